"""The command line: what each option says, where it says it, and the status it ends with."""
import os
import re
import signal
import subprocess

from harness import Postern, Wire, eventually
from peers import Listener

SERVER = """
    auth_http 127.0.0.1:1/auth;
    server {{ listen {ip}:2143; protocol imap; }}
"""


def call(env, *args, stdin=subprocess.DEVNULL, cwd=None):
    """Runs postern with exactly these arguments; returns (status, stdout, stderr)."""
    done = subprocess.run([str(env.build / "postern"), *map(str, args)], stdin=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace", timeout=60, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


def place(env, **options):
    return Postern(env, SERVER.format(ip=env.ip()), **options)


def test_what_cannot_be_understood_is_named_and_ends_with_1(env):
    cases = [
        (["-x"], 'invalid option: "x"'),
        (["-tx"], 'invalid option: "x"'),
        (["word"], 'invalid option: "word"'),
        (["-c"], 'option "-c" requires file name'),
        (["-tc"], 'option "-c" requires file name'),
        (["-e"], 'option "-e" requires file name'),
        (["-p"], 'option "-p" requires directory name'),
        (["-g"], 'option "-g" requires parameter'),
        (["-s"], 'option "-s" requires parameter'),
        (["-s", "dance"], 'invalid option: "-s dance"'),
        (["-sdance"], 'invalid option: "-s dance"'),
    ]
    for args, text in cases:
        status, out, err = call(env, *args)
        assert (status, out, err) == (1, "", f"postern: {text}\n"), f"{args}: {status} {out!r} {err!r}"


def test_version_and_help_go_to_stderr(env):
    for args, wanted in [
        (["-v"], r"postern version: postern/[0-9.]+\n"),
        (["-V"], r"postern version: postern/[0-9.]+\nbuilt with OpenSSL .*\nconfigure arguments:.*\n"),
        (["-h"], r"postern version: .*\nUsage: postern .*\n(.|\n)*-\?,-h +: (.|\n)*-s signal(.|\n)*"),
        (["-?"], r"postern version: .*\nUsage: (.|\n)*"),
    ]:
        status, out, err = call(env, *args)
        assert status == 0 and out == "" and re.fullmatch(wanted, err), f"{args}: {status} {out!r} {err!r}"


def test_every_option_is_in_the_help(env):
    err = call(env, "-h")[2]
    for letter in "?hvVtTqDspecg":
        assert re.search(rf"^  (-.,)?-{re.escape(letter)}\b|^  -{re.escape(letter)}[, ]", err, re.M), f"-{letter}: {err}"


def test_t_says_two_lines_and_binds_nothing(env):
    postern = place(env)
    holder = env.keep(Listener((env.ip(), 2143), lambda wire: None))
    status, out, err = call(env, "-t", "-p", env.folder, "-c", postern.config)
    name = postern.config
    assert (status, out) == (0, "")
    assert err == (f"postern: the configuration file {name} syntax is ok\n"
                   f"postern: configuration file {name} test is successful\n"), err
    assert holder.accepted == 0 and not postern.pid_path.exists()


def test_q_is_silent_where_all_is_well(env):
    postern = place(env)
    for args in (["-tq"], ["-qt"], ["-t", "-q"]):
        assert call(env, *args, f"-c{postern.config}") == (0, "", ""), args
    env.write("postern.conf", "events {} nonsense;")
    status, out, err = call(env, "-tq", "-c", postern.config)
    assert status == 1 and out == ""
    assert err == (f'postern: [emerg] unknown directive "nonsense" in {postern.config}:1\n'
                   f"postern: configuration file {postern.config} test failed\n"), err


def test_T_prints_every_file_once_with_its_name(env):
    postern = place(env)
    extra = env.write("conf.d/a.conf", "timeout 7s;\n")
    postern.write(SERVER.format(ip=env.ip()) + "include conf.d/*.conf;")
    status, out, err = call(env, "-T", "-c", postern.config)
    assert status == 0 and "syntax is ok" in err
    assert out == (f"# configuration file {postern.config}:\n{postern.config.read_text()}\n"
                   f"# configuration file {extra}:\n{extra.read_text()}\n"), out


def test_paths_start_at_the_prefix_and_includes_at_the_configuration(env):
    (env.path("logs")).mkdir()
    env.write("etc/main.conf", "pid run.pid; error_log logs/own.log info; daemon on; include more.conf;")
    env.write("etc/more.conf", "events {}\n")
    status, _, err = call(env, "-t", "-p", env.folder, "-c", "etc/main.conf")
    assert status == 0, err
    assert f"file {env.folder}/etc/main.conf" in err and env.path("logs/own.log").exists()
    env.path("logs/own.log").unlink()
    folder = env.folder.name
    for cwd, prefix in ((env.folder.parent, folder), (env.folder.parent, f"./{folder}/"), (env.folder, ".")):
        status, _, err = call(env, "-t", "-p", prefix, "-c", "etc/main.conf", cwd=cwd)
        assert status == 0, err
        assert env.path("logs/own.log").exists(), (cwd, prefix)
        env.path("logs/own.log").unlink()


def test_g_adds_directives_and_names_itself_in_errors(env):
    postern = place(env)
    common = ("-t", "-c", postern.config, "-p", env.folder)
    assert call(env, *common, "-g", "worker_priority 3; timer_resolution 100ms;")[0] == 0
    for text, why in [
        ("nonsense;", 'unknown directive "nonsense" in command line'),
        ("pid x; pid y;", '"pid" directive is duplicate in command line'),
        ("events {}", "block directives are not supported in -g option"),
        ("worker_priority 3", 'unexpected end of parameter, expecting ";" in command line'),
    ]:
        status, _, err = call(env, *common, "-g", text)
        assert status == 1 and why in err and err.count("[emerg]") == 1, f"{text}: {err}"
    status, _, err = call(env, *common, "-g", "pid elsewhere;")     # the file names one, too
    assert status == 1 and f'"pid" directive is duplicate in {postern.config}:' in err, err


def test_e_takes_what_is_said_before_the_log_is_known(env):
    env.write("postern.conf", "events {}\nbroken;\n")
    log = env.path("early.log")
    status, _, err = call(env, "-t", "-c", env.path("postern.conf"), "-e", log)
    assert status == 1 and 'unknown directive "broken"' in err
    assert re.search(r'^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[emerg\] \d+#\d+: unknown directive "broken" in .*:2$',
                     log.read_text(), re.M), log.read_text()
    assert call(env, "-t", "-c", env.path("postern.conf"), "-e", "stderr")[0] == 1
    status, _, err = call(env, "-t", "-c", env.path("postern.conf"), "-e", "/nonexistent/x.log")
    assert status == 1 and 'could not open error log file: open() "/nonexistent/x.log" failed (2:' in err, err


def test_a_missing_configuration_is_one_line(env):
    name = env.path("none.conf")
    for args in (["-t"], []):
        status, _, err = call(env, *args, "-c", name)
        assert status == 1 and f'postern: [emerg] open() "{name}" failed (2: No such file or directory)\n' in err, err
        assert err.count("[emerg]") == 1


def test_s_signals_the_running_master(env):
    postern = place(env)
    env.keep(postern).start()

    def again(word):
        return call(env, "-c", postern.config, "-p", env.folder, f"-s{word}")

    assert again("reload") == (0, "", "")
    postern.wait_log(r"\[notice\].*: reconfigured$")
    os.rename(postern.log_path, env.path("old.log"))
    assert again("reopen")[0] == 0
    eventually(postern.log_path.exists, "the new log")
    assert again("quit")[0] == 0
    eventually(lambda: postern.zombie(), "the end")
    eventually(lambda: not postern.pid_path.exists(), "the pid file's end")
    status, _, err = again("stop")
    assert status == 1 and f'[error] open() "{postern.pid_path}" failed (2: No such file or directory)' in err, err


def test_s_refuses_a_pid_file_that_names_nobody(env):
    postern = place(env)
    for text, why in [("", 'invalid PID number ""'), ("abc\n", 'invalid PID number "abc"'),
                      ("-1\n", 'invalid PID number "-1"'), ("0\n", 'invalid PID number "0"'),
                      ("99999999\n", "kill(99999999, 15) failed (3: No such process)")]:
        env.write("postern.pid", text)
        status, _, err = call(env, "-c", postern.config, "-s", "stop")
        assert status == 1 and why in err, f"{text!r}: {err}"


def test_start_returns_when_the_sockets_listen(env):
    for _ in range(3):
        postern = place(env)
        status, said = postern.run()
        assert (status, said) == (0, ""), said
        postern.pid = int(postern.pid_path.read_text())
        Wire.to((env.ip(), 2143)).expect(b"* OK IMAP4 ready")
        postern.stop()
        assert not postern.pid_path.exists()


def test_start_in_vain_says_why_and_leaves_the_other_instance_alone(env):
    first = env.keep(place(env)).start()
    pid_text = first.pid_path.read_text()
    status, out, err = call(env, *first.command()[1:])
    assert status == 1, (status, out, err)
    assert f"[emerg] bind() to {env.ip()}:2143 failed (98: Address already in use)" in err, err
    assert first.pid_path.read_text() == pid_text and first.running()
    Wire.to((env.ip(), 2143)).expect(b"* OK IMAP4 ready")


def test_a_start_whose_worker_cannot_start_fails(env):
    postern = Postern(env, SERVER.format(ip=env.ip()), main="working_directory /nonexistent;")
    status, said = postern.run()
    assert status == 1, said
    assert "chdir() to working_directory failed (2: No such file or directory)" in said + postern.log(), said
    assert "[emerg]" in said and not postern.pid_path.exists(), said


def test_a_pid_file_that_cannot_be_written_fails_the_start(env):
    postern = Postern(env, SERVER.format(ip=env.ip()))
    postern.config.write_text(postern.config.read_text().replace(f"pid {postern.pid_path}", "pid /nonexistent/pid"))
    status, said = postern.run()
    assert status == 1 and '[emerg] open() "/nonexistent/pid" failed (2:' in said, said


def test_in_the_foreground_it_stays_and_ends_with_0(env):
    for main in ("daemon off;", "daemon off; master_process off;", "master_process off;"):
        postern = place(env, main=main)
        process = subprocess.Popen(postern.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        eventually(lambda: postern.pid_path.exists() and postern.pid_path.read_text(), "the pid file")
        assert int(postern.pid_path.read_text()) == process.pid
        postern.pid = process.pid
        Wire.to((env.ip(), 2143)).expect(b"* OK IMAP4 ready")
        assert len(postern.children()) == 1
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
        assert process.returncode == 0, (main, process.returncode, out)
        assert not postern.pid_path.exists()


def test_started_with_standard_descriptors_closed(env):
    postern = env.keep(place(env))
    subprocess.run(["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *postern.command()], check=True, timeout=60)
    postern.pid = int(postern.pid_path.read_text())
    Wire.to((env.ip(), 2143)).expect(b"* OK IMAP4 ready")
    for fd in "012":
        assert os.readlink(f"/proc/{postern.pid}/fd/{fd}") in ("/dev/null", str(postern.log_path))


def test_relative_paths_hold_after_the_start(env):
    postern = place(env)
    postern.config.write_text(postern.config.read_text().replace(f"{env.folder}/", ""))
    subprocess.run([postern.binary, "-p", ".", "-c", "postern.conf"], cwd=env.folder, check=True, timeout=60)
    env.keep(postern).pid = int(postern.pid_path.read_text())
    postern.reload()
    os.rename(postern.log_path, env.path("old.log"))
    postern.kill(signal.SIGUSR1)
    eventually(postern.log_path.exists, "the new log")
    Wire.to((env.ip(), 2143)).expect(b"* OK IMAP4 ready")
