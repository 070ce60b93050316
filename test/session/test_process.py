"""What the processes are allowed, what they inherit, and how they go."""
import os
import pathlib
import pwd
import re
import signal
import socket
import subprocess

from harness import Postern, Wire, eventually, open_files, weight
from peers import AuthHttp, Listener, accept, imap_backend, pop3_backend, smtp_backend

IMAP = "auth_http 127.0.0.1:1; server {{ listen {ip}:2143; protocol imap; {more} }}"
NOBODY = pwd.getpwnam("nobody")


def imap(env, more=""):
    return IMAP.format(ip=env.ip(), more=more)


def greets(env):
    wire = Wire.to((env.ip(), 2143))
    wire.expect(b"* OK IMAP4 ready")
    return wire


def status(pid):
    """/proc/PID/status as a dict of lists of words."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {name: value.split() for name, _, value in (line.partition(":") for line in text.splitlines())}


def limit(pid, name):
    """Soft and hard, from /proc/PID/limits."""
    return re.search(rf"^{name} +(\S+) +(\S+)", pathlib.Path(f"/proc/{pid}/limits").read_text(), re.M).groups()


def gone(pid):
    try:
        return ") Z" in pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def three_protocols(env, main="", more=""):
    """All three protocols with a backend each; returns postern."""
    scripts = (("imap", 2001, imap_backend), ("pop3", 2002, pop3_backend), ("smtp", 2003, smtp_backend))
    for _, port, script in scripts:
        env.keep(Listener((env.ip(2), port), script))
    ports = {name: port for name, port, _ in scripts}
    env.keep(AuthHttp((env.ip(3), 9000), lambda r: accept(env.ip(2), ports[r["Auth-Protocol"]])))
    return env.postern(f"auth_http {env.ip(3)}:9000/auth; {more}" + "".join(
        f"server {{ listen {env.ip()}:{port + 1000}; protocol {name}; }}\n" for name, port, _ in scripts), main=main)


def greeted(env):
    """A client of each protocol that has been greeted and no more."""
    wires = [Wire.to((env.ip(), port)) for port in (3001, 3002, 3003)]
    for wire in wires:
        assert wire.line()
    return wires


def logged_in(env):
    wires = greeted(env)
    for wire, line in zip(wires, (b"a LOGIN joe x\r\n", b"USER joe\r\nPASS x\r\n",
                                  b"EHLO me\r\nAUTH PLAIN AGpvZQBzZWNyZXQ=\r\n")):
        wire.send(line)
    wires[0].expect(b"a OK backend LOGIN")
    wires[1].expect(b"+OK", b"+OK backend PASS")
    eventually(lambda: wires[2].line().startswith(b"235 "), "the SMTP login")
    return wires


GOODBYES = (re.compile(rb"\* BYE \[UNAVAILABLE\] .*"), re.compile(rb"-ERR \[SYS/TEMP\] .*"),
            re.compile(rb"421 4\.3\.2 .*"))


def part(wires):
    for wire, goodbye in zip(wires, GOODBYES):
        wire.expect(goodbye)
        wire.expect_end()


def test_workers_are_nobody_for_good(env):
    postern = env.postern(imap(env), workers=2)
    master = status(postern.pid)
    assert master["Uid"] == ["0"] * 4
    for pid in postern.children():
        worker = status(pid)
        assert worker["Uid"] == [str(NOBODY.pw_uid)] * 4 and worker["Gid"] == [str(NOBODY.pw_gid)] * 4
        assert set(worker["Groups"]) <= {str(NOBODY.pw_gid)}
        assert worker["NoNewPrivs"] == ["1"] and worker["Seccomp"] == ["2"]
        for name in ("CapPrm", "CapEff", "CapAmb", "CapInh"):
            assert int(worker[name][0], 16) == 0, name


def test_a_group_of_its_own(env):
    postern = env.postern(imap(env), user="nobody mail")
    worker = status(postern.children()[0])
    assert worker["Gid"] == ["8"] * 4 and worker["Uid"] == [str(NOBODY.pw_uid)] * 4


def test_without_root_workers_stay_who_they_are_and_the_user_is_a_warning(env):
    env.folder.chmod(0o777)
    postern = Postern(env, imap(env))
    done = subprocess.run(["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", *postern.command()],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert '[warn] the "user" directive makes sense only if the master process runs with super-user privileges' in done.stderr
    env.keep(postern).pid = int(postern.pid_path.read_text())
    assert status(postern.children()[0])["Uid"] == ["1000"] * 4
    greets(env)


def test_limits_priority_and_directory_are_the_workers_alone(env):
    env.path("work").mkdir()
    postern = env.postern(imap(env), main=f"""
worker_rlimit_nofile 3333; worker_rlimit_core 1m; worker_priority 7; working_directory {env.path("work")};
worker_cpu_affinity 01 10;""", workers=2)
    assert limit(postern.pid, "Max open files") == limit("self", "Max open files")
    assert os.getpriority(os.PRIO_PROCESS, postern.pid) == os.getpriority(os.PRIO_PROCESS, 0)
    for pid in postern.children():
        assert limit(pid, "Max open files") == ("3333", "3333")
        assert limit(pid, "Max core file size") == ("1048576", "1048576")
        assert os.getpriority(os.PRIO_PROCESS, pid) == 7
        assert os.readlink(f"/proc/{pid}/cwd") == str(env.path("work"))
    if os.cpu_count() >= 2:
        assert sorted(map(tuple, map(os.sched_getaffinity, postern.children()))) == [(0,), (1,)]


def test_descriptors_of_strangers_end_here(env):
    secret = env.write("secret", "x")
    postern = env.keep(Postern(env, imap(env), workers=2))
    with open(secret) as stranger, socket.create_server((env.ip(), 2999)) as listener:
        done = subprocess.run(postern.command(), pass_fds=(stranger.fileno(), listener.fileno()), timeout=60)
    assert done.returncode == 0
    postern.pid = int(postern.pid_path.read_text())
    links = {pid: list(open_files(pid).values()) for pid in (postern.pid, *postern.children())}
    assert len(links) == 3
    for pid, found in links.items():
        assert str(secret) not in found, (pid, found)
    try:
        Wire.to((env.ip(), 2999))
        raise AssertionError("somebody holds the stranger's socket")
    except ConnectionRefusedError:
        pass


def test_a_worker_holds_only_what_it_needs(env):
    """No end of another's channel, no configuration, nothing of the master's own."""
    users = env.write("users", "joe:{PLAIN}a\n", 0o600)
    postern = env.postern(f"auth_file {users}; proxy_pass {env.ip(2)}:1; server {{ listen {env.ip()}:2143; protocol imap; }}",
                          workers=3)
    for pid in postern.children():
        found = sorted(open_files(pid).values())
        files = [f for f in found if f.startswith("/") and not f.startswith(("/dev/null", "/memfd:"))]
        assert set(files) <= {str(postern.log_path)}, found
        sockets = [f for f in found if f.startswith("socket:")]
        assert len(sockets) <= 5, found     # the listener, its channel, a mailbox, and what the resolver has


def test_the_environment_is_what_env_says(env):
    users = env.write("users", "joe:{PLAIN}a\n", 0o600)
    postern = Postern(env, f"auth_file {users}; proxy_pass 127.0.0.1:1; server {{ listen {env.ip()}:2143; protocol imap; }}",
                      main="env FOO=bar; env INHERITED; env ABSENT;")
    inherited = {**os.environ, "INHERITED": "yes", "STRANGER": "secret", "TZ": "Asia/Tokyo"}
    subprocess.run(postern.command(), check=True, env=inherited, timeout=60)
    env.keep(postern).pid = int(postern.pid_path.read_text())
    for pid in postern.children("auth"):
        words = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        assert b"STRANGER" not in words and b"PATH=" not in words, words
    for pid in (postern.pid, *postern.children()):
        assert b"STRANGER" not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()


def test_titles_tell_who_is_who(env):
    postern = env.postern(imap(env))
    title = pathlib.Path(f"/proc/{postern.pid}/cmdline").read_bytes().rstrip(b"\0").decode()
    assert title.startswith("postern: master process ") and str(postern.config) in title, title
    wire = greets(env)
    postern.reload()
    eventually(lambda: postern.children("postern: worker process is shutting down"), "the old worker's title")
    assert len(postern.children("postern: worker process")) == 2
    wire.close()


def test_term_says_goodbye_in_each_protocol(env):
    postern = three_protocols(env)
    early, inside = greeted(env), logged_in(env)
    postern.kill(signal.SIGTERM)
    part(early)
    for wire in inside:
        wire.rest()
    eventually(postern.zombie, "the end")


def test_the_shutdown_timeout_says_goodbye_before_login_and_after(env):
    postern = three_protocols(env, main="worker_shutdown_timeout 1500ms;")
    early, inside = greeted(env), logged_in(env)
    postern.reload()
    for wire in inside[:1]:     # until then it lives
        wire.send(b"n NOOP\r\n")
        wire.expect(b"n OK backend NOOP")
    postern.wait_log(r"\[notice\].*: shutdown timeout$")
    part(early)
    for wire in inside:
        wire.rest()
    eventually(lambda: not postern.children("shutting down"), "the end of the old worker")
    greeted(env)


def test_an_idle_session_is_told_of_the_shutdown(env):
    """After a second of silence a goodbye cannot be taken for message text."""
    postern = three_protocols(env, main="worker_shutdown_timeout 1500ms;")
    inside = logged_in(env)
    inside[0].quiet(1.2)
    postern.reload()
    part(inside)


def test_quit_ends_when_the_last_session_has(env):
    postern = three_protocols(env)
    wires = logged_in(env)
    postern.kill(signal.SIGQUIT)
    postern.wait_log("gracefully shutting down")
    wires[0].send(b"n NOOP\r\n")
    wires[0].expect(b"n OK backend NOOP")
    wires[1].send(b"STAT\r\n")
    wires[1].expect(b"+OK backend STAT")
    assert postern.running() and not postern.zombie()
    for wire in wires:
        wire.close()
    eventually(postern.zombie, "the end")
    assert not postern.pid_path.exists()


def test_term_after_quit_ends_at_once(env):
    postern = three_protocols(env)
    wires = logged_in(env)
    postern.kill(signal.SIGQUIT)
    postern.wait_log("gracefully shutting down")
    postern.kill(signal.SIGTERM)
    for wire in wires:
        wire.rest()
    eventually(postern.zombie, "the end")


@weight(4)
def test_a_worker_that_keeps_dying_comes_back_and_does_not_spin(env):
    postern = env.postern(imap(env), workers=2)
    killed = set()
    for round_ in range(3):
        fresh = eventually(lambda: [p for p in postern.children() if p not in killed][:1] if
                           len(postern.children()) == 2 else None, "two workers")
        os.kill(fresh[0], (signal.SIGKILL, signal.SIGXCPU, signal.SIGTRAP)[round_])
        killed.add(fresh[0])
        greets(env)
        postern.wait_log(rf"\[alert\].*: worker process {fresh[0]} exited on signal {(9, 24, 5)[round_]}")
    eventually(lambda: len(postern.children()) == 2, "two workers again")
    assert len(postern.wait_log("start worker process", 2 + 3)) == 2 + 3    # the master may say so a moment later


def test_all_workers_killed_at_once(env):
    postern = env.postern(imap(env), workers=4)
    victims = postern.children()
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(postern.children()) == 4 and not set(postern.children()) & set(victims), "four new workers")
    greets(env)


def test_helpers_that_are_killed_come_back(env):
    users = env.write("users", "joe:{PLAIN}secret\n", 0o600)
    env.keep(Listener((env.ip(2), 2000), imap_backend))
    postern = env.postern(f"auth_file {users}; proxy_pass {env.ip(2)}:2000; server {{ listen {env.ip()}:2143; protocol imap; }}")
    victims = postern.children("auth-file") or postern.children("auth")
    assert victims, "no helper is there"
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(set(postern.children("auth")) - set(victims)) == len(victims), "new helpers")
    wire = greets(env)
    wire.send(b"a LOGIN joe secret\r\n")
    wire.expect(b"a OK backend LOGIN")


def test_a_new_start_beside_workers_whose_master_was_killed(env):
    postern = env.postern(imap(env), workers=2)
    old = postern.children()
    os.kill(postern.pid, signal.SIGKILL)
    eventually(lambda: all(map(gone, old)), "the end of the workers")
    postern.start()
    greets(env)


BROKEN = [
    ("nonsense;", 'unknown directive "nonsense"'),
    ("include none.conf;", "failed (2: No such file or directory)"),
    ("user nobody-at-all;", 'directive is duplicate'),
    ("error_log /nonexistent/x.log;", 'open() "/nonexistent/x.log" failed (2:'),
    ("error_log syslog:server=nowhere.invalid;", "host not found"),
    ("working_directory /nonexistent;", "chdir() to working_directory failed (2:"),
    ("mail {}", '"mail" directive is duplicate'),
]


def test_a_reload_that_cannot_be_says_why_and_changes_nothing(env):
    postern = env.postern(imap(env), workers=2)
    good, workers = postern.config.read_text(), postern.children()
    for count, (text, why) in enumerate(BROKEN, 1):
        postern.config.write_text(good + text)
        postern.kill(signal.SIGHUP)
        postern.wait_log("reload failed, the configuration in force is kept", count)
        assert why in postern.log(), f"{text}: {postern.log()}"
        greets(env).close()
        assert set(workers) <= set(postern.children()), text
    eventually(lambda: postern.children() == workers, "the end of what was begun in vain")
    postern.config.write_text(good)
    postern.reload()
    eventually(lambda: not set(workers) & set(postern.children()), "new workers")
    greets(env)


def test_a_configuration_that_is_gone_changes_nothing(env):
    postern = env.postern(imap(env))
    os.rename(postern.config, env.path("away"))
    postern.kill(signal.SIGHUP)
    postern.wait_log(r'\[emerg\].*: open\(\) ".*postern.conf" failed \(2: No such file or directory\)$')
    postern.wait_log("configuration in force is kept")
    greets(env)
    os.rename(env.path("away"), postern.config)
    postern.reload()


def test_a_reload_takes_everything_anew(env):
    postern = env.postern(imap(env), workers=1)
    second = env.path("second.log")
    postern.write(imap(env, "imap_capabilities NEW;"), main=f"error_log {second} info; worker_priority 3;", workers=3)
    postern.reload()
    eventually(lambda: len(postern.children()) == 3, "three workers and no old one")
    assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in postern.children()} == {3}
    wire = greets(env)
    wire.send(b"c CAPABILITY\r\n")
    wire.expect(re.compile(rb"\* CAPABILITY NEW .*"))
    eventually(lambda: "connected to" in second.read_text(), "the second log")


def test_the_pid_file_moves_with_the_configuration(env):
    postern = env.postern(imap(env))
    text = postern.config.read_text()
    postern.config.write_text(text.replace(str(postern.pid_path), str(env.path("new.pid"))))
    postern.reload()
    eventually(lambda: not postern.pid_path.exists(), "the end of the old name")
    assert env.path("new.pid").read_text() == f"{postern.pid}\n"
    postern.stop()
    assert not env.path("new.pid").exists()


def descriptors(pid):
    return sorted(re.sub(r"\d+", "N", target) for target in open_files(pid).values())


@weight(3)
def test_reloads_good_and_bad_leave_nothing_behind(env):
    users = env.write("users", "joe:{PLAIN}a\n", 0o600)
    postern = env.postern(f"auth_file {users}; proxy_pass 127.0.0.1:1; server {{ listen {env.ip()}:2143; protocol imap; }}"
                          f"server {{ listen unix:{env.path('s')}; protocol pop3; error_log {env.path('own.txt')}; }}")
    good = postern.config.read_text()
    bad = [good + text for text, _ in BROKEN]
    settled = None
    for round_ in range(3):
        for text in bad:
            failures = postern.log().count("is kept")
            postern.config.write_text(text)
            postern.kill(signal.SIGHUP)
            eventually(lambda: postern.log().count("is kept") > failures, "the failure")
        postern.config.write_text(good)
        postern.reload()
        eventually(lambda: descriptors(postern.pid).count("anon_inode:[eventfd]") == 1, "the end of the old generation")
        eventually(lambda: settled is None or descriptors(postern.pid) == settled,
                   f"the descriptors of the first round: {settled}, now {descriptors(postern.pid)}")
        settled = descriptors(postern.pid)
    zombies = [pid for pid in os.listdir("/proc") if pid.isdigit() and ") Z" in pathlib.Path(f"/proc/{pid}/stat").read_text()
               and pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1] == str(postern.pid)]
    assert zombies == []
    greets(env)


@weight(3)
def test_killing_and_reloading_in_a_storm_ends_well(env):
    postern = env.postern(imap(env), workers=3)
    for round_ in range(12):
        for pid in postern.children()[round_ % 2::2]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        postern.kill(signal.SIGHUP)
        if round_ % 3 == 0:
            postern.kill(signal.SIGUSR1)
    # A reload may have failed because its worker was killed before it was ready: another one may not.
    def done():
        postern.kill(signal.SIGHUP)
        before = postern.log().count("reconfigured")
        return eventually(lambda: postern.log().count("reconfigured") > before or "is kept" in postern.log()[-400:], "an end")
    eventually(lambda: done() and "reconfigured" in postern.log(), "a reload that succeeds")
    eventually(lambda: len(postern.children()) == 3, "three workers and no more")
    for _ in range(6):
        greets(env).close()


def test_quit_in_the_middle_of_a_reload_ends(env):
    for number in (signal.SIGQUIT, signal.SIGTERM):
        postern = env.postern(imap(env), workers=2)
        postern.kill(signal.SIGHUP)
        postern.kill(number)
        eventually(lambda: not postern.running() or postern.zombie(), "the end")
        assert not postern.pid_path.exists()


def test_a_reload_during_quit_is_refused_quietly(env):
    postern = three_protocols(env)
    wires = logged_in(env)
    postern.kill(signal.SIGQUIT)
    postern.wait_log("gracefully shutting down")
    postern.kill(signal.SIGHUP)
    postern.kill(signal.SIGUSR1)
    wires[0].send(b"n NOOP\r\n")
    wires[0].expect(b"n OK backend NOOP")
    for wire in wires:
        wire.close()
    eventually(postern.zombie, "the end")


def test_workers_become_the_new_user_after_a_reload(env):
    postern = env.postern(imap(env))
    postern.write(imap(env), user="mail mail")
    postern.reload()
    mail = pwd.getpwnam("mail")
    eventually(lambda: len(postern.children()) == 1, "the end of the old worker")
    assert status(postern.children()[0])["Uid"] == [str(mail.pw_uid)] * 4


def test_a_worker_killed_while_draining_is_not_replaced(env):
    postern = env.postern(imap(env))
    wire = greets(env)
    postern.reload()
    old, = eventually(lambda: postern.children("shutting down"), "the old worker")
    os.kill(old, signal.SIGKILL)
    postern.wait_log(rf"worker process {old} exited on signal 9")
    wire.expect_end()
    greets(env)
    assert len(postern.children()) == 1


def test_old_workers_end_with_the_master_too(env):
    postern = three_protocols(env)
    wires = logged_in(env)
    postern.reload()
    pids = eventually(lambda: len(postern.children()) == 2 and postern.children(), "old and new")
    os.kill(postern.pid, signal.SIGKILL)
    eventually(lambda: all(map(gone, pids)), "the end of all")
    for wire in wires:
        wire.rest()


def test_many_servers_on_many_ports(env):
    mail = "auth_http 127.0.0.1:1;" + "".join(
        f"server {{ listen {env.ip(host)}:3000-3019; protocol {protocol}; error_log {env.path('own')}.{host}; }}\n"
        for host, protocol in zip(range(1, 21), ("imap", "pop3", "smtp") * 7))
    postern = env.postern(mail, workers=2, level="warn")
    for host, word in ((1, b"* OK"), (2, b"+OK"), (3, b"220"), (20, b"+OK")):
        for port in (3000, 3019):
            assert Wire.to((env.ip(host), port)).line().startswith(word)
    postern.write(mail, workers=1)
    postern.reload()
    assert Wire.to((env.ip(20), 3019)).line().startswith(b"+OK")


def test_the_last_words_of_a_process_are_logged(env):
    """Too few descriptors to begin with: the worker gives up, and whoever typed the start reads why."""
    postern = Postern(env, imap(env), main="worker_rlimit_nofile 3;")
    code, said = postern.run()
    assert code == 1 and re.search(r"\[alert\] last words of worker process \d+: epoll_create1\(\) failed", said), said
    assert "last words of worker process" in postern.log() and not postern.pid_path.exists()


def test_an_interrupt_from_the_terminal_reaches_all_and_ends_well(env):
    users = env.write("users", "joe:{PLAIN}a\n", 0o600)
    postern = Postern(env, f"auth_file {users}; proxy_pass 127.0.0.1:1; server {{ listen {env.ip()}:2143; protocol imap; }}",
                      main="daemon off;", workers=2)
    process = subprocess.Popen(postern.command(), stdin=subprocess.DEVNULL, start_new_session=True)
    eventually(postern.pid_path.exists, "the start")
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(20) == 0 and not postern.pid_path.exists()
    assert not re.search(r"\[(emerg|alert|crit|error)\]", postern.log()), postern.log()
