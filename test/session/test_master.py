"""The master's life: start, signals, children, reload, end."""
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import time

from harness import Postern, Wire, eventually, open_files
from peers import AuthHttp, Listener, accept, imap_backend


def mail(env, more=""):
    return f"""
    auth_http {env.ip(3)}:9000/auth;
    server {{ listen {env.ip()}:2143; protocol imap; {more} }}
"""


def log_in(env):
    """A client in its relay, with the scripted auth server and backend behind it."""
    client = Wire.to((env.ip(), 2143))
    client.expect(b"* OK IMAP4 ready")
    client.send(b"a1 LOGIN joe secret\r\n")
    client.expect(b"a1 OK backend LOGIN")
    return client


def peers(env):
    env.keep(Listener((env.ip(2), 2000), imap_backend))
    env.keep(AuthHttp((env.ip(3), 9000), accept(env.ip(2), 2000)))


def still_talks(client):
    client.send(b"n NOOP\r\n")
    client.expect(b"n OK backend NOOP")


def greets(env):
    client = Wire.to((env.ip(), 2143))
    client.expect(b"* OK IMAP4 ready")
    client.close()


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def processes(postern):
    return [postern.pid] + postern.children("postern: ")


def gone(pid):
    """Ended, though perhaps nobody has asked how."""
    try:
        return ") Z" in pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


# --- the start command ---

def test_start_returns_when_it_serves(env):
    postern = Postern(env, mail(env), workers=2)
    old = os.umask(0)
    try:
        env.keep(postern).start()
    finally:
        os.umask(old)
    greets(env)
    assert postern.pid_path.read_text() == f"{postern.pid}\n"
    assert mode(postern.pid_path) == 0o644 and mode(postern.log_path) == 0o644
    assert len(postern.children()) == 2
    assert re.search(r"\[notice\] \d+#\d+: postern/\S+ \(compatible with nginx/1\.31\.5\)\n", postern.log())
    postern.stop()
    assert not postern.pid_path.exists()


def test_a_second_start_fails_and_harms_nobody(env):
    postern = env.postern(mail(env))
    status, said = postern.run()
    assert status == 1
    assert said.endswith(f"postern: [emerg] bind() to {env.ip()}:2143 failed (98: Address already in use)\n"), said
    assert said.count("[emerg]") == 1 and said.count("try again to bind() after 500 ms") == 4, said
    assert postern.pid_path.read_text() == f"{postern.pid}\n"
    greets(env)


def test_a_start_without_ready_workers_fails(env):
    postern = env.keep(Postern(env, mail(env), main="working_directory /nonexistent;"))
    status, said = postern.run()
    assert status == 1
    assert "(2: No such file or directory)" in said, said
    assert not postern.pid_path.exists()
    status, said = postern.run("-g", "pid /nonexistent/pid;")
    assert status == 1


def test_a_pid_file_that_cannot_be_written_fails_the_start(env):
    postern = env.keep(Postern(env, mail(env)))
    postern.pid_path = pathlib.Path("/nonexistent/pid")
    postern.write(mail(env))
    status, said = postern.run()
    assert status == 1
    assert 'postern: [emerg] open() "/nonexistent/pid" failed (2: No such file or directory)\n' in said, said


def test_a_bad_password_file_is_said_where_the_start_was_typed(env):
    users = env.write("users", "joe:{PLAIN}a\njoe:{PLAIN}b\n", 0o600)
    postern = env.keep(Postern(env, f"""
    auth_file {users}; proxy_pass {env.ip(2)}:2000;
    server {{ listen {env.ip()}:2143; protocol imap; }}
"""))
    status, said = postern.run()
    assert status == 1
    assert f"{users}:2" in said, said


def test_descriptors_of_strangers_are_closed(env):
    postern = Postern(env, mail(env))
    ours, theirs = os.pipe()
    done = subprocess.run(postern.command(), pass_fds=(theirs,), timeout=60)
    assert done.returncode == 0
    env.keep(postern).pid = int(postern.pid_path.read_text())
    os.close(theirs)
    os.set_blocking(ours, False)
    assert os.read(ours, 1) == b"", "somebody still has the other end"
    os.close(ours)


def test_daemon_off_stays_in_the_foreground(env):
    postern = env.keep(Postern(env, mail(env), main="daemon off;"))
    proc = subprocess.Popen(postern.command())
    eventually(lambda: postern.pid_path.exists() and postern.pid_path.read_text(), "the pid file")
    assert int(postern.pid_path.read_text()) == proc.pid
    greets(env)
    proc.send_signal(signal.SIGINT)
    assert proc.wait(20) == 0


def test_master_process_off_is_two_processes_and_no_second_worker(env):
    postern = env.keep(Postern(env, mail(env), main="master_process off;", workers=4))
    proc = subprocess.Popen(postern.command())
    eventually(lambda: postern.pid_path.exists() and postern.pid_path.read_text(), "the pid file")
    postern.pid = proc.pid
    (worker,) = postern.children()
    os.kill(worker, signal.SIGKILL)
    assert proc.wait(20) == 1


# --- the command line ---

def test_t_says_so_and_touches_nothing(env):
    postern = Postern(env, mail(env))
    status, said = postern.run("-t")
    assert status == 0
    assert said == (f"postern: the configuration file {postern.config} syntax is ok\n"
                    f"postern: configuration file {postern.config} test is successful\n"), said
    assert not postern.pid_path.exists()
    env.keep(postern).start()
    assert postern.run("-tq") == (0, "")
    assert postern.pid_path.read_text() == f"{postern.pid}\n"


def test_t_fails_with_the_reason(env):
    postern = Postern(env, mail(env, "bogus x;"))
    status, said = postern.run("-t")
    assert status == 1
    assert re.fullmatch(rf'postern: \[emerg\] unknown directive "bogus" in {re.escape(str(postern.config))}:\d+\n'
                        rf"postern: configuration file {re.escape(str(postern.config))} test failed\n", said), said


def test_t_resolves_names_and_opens_logs(env):
    postern = Postern(env, mail(env).replace(f"{env.ip(3)}:9000", "no-such-host.invalid:9000"))
    status, said = postern.run("-t")
    assert status == 1
    assert 'host not found in auth_http "no-such-host.invalid:9000' in said, said
    postern.log_path = pathlib.Path("/nonexistent/error.log")
    postern.write(mail(env))
    status, said = postern.run("-t")
    assert status == 1
    assert 'open() "/nonexistent/error.log" failed (2: No such file or directory)' in said, said


def test_s_speaks_as_nginx_does(env):
    postern = Postern(env, mail(env))
    path = postern.pid_path
    cases = [
        (None, f'[error] open() "{path}" failed (2: No such file or directory)'),
        ("", f'[error] invalid PID number "" in "{path}"'),
        ("x\n", f'[error] invalid PID number "x" in "{path}"'),
        ("99999999\n", "[alert] kill(99999999, 15) failed (3: No such process)"),
    ]
    for text, want in cases:
        if text is not None:
            path.write_text(text)
        assert postern.run("-s", "stop") == (1, f"postern: {want}\n"), text


def test_s_sends_what_it_is_told(env):
    postern = env.postern(mail(env))
    for word, want in (("reopen", "SIGUSR1"), ("reload", "SIGHUP"), ("quit", "SIGQUIT")):
        assert postern.run("-s", word) == (0, "")
        postern.wait_log(rf"\({want}\) received")
    eventually(lambda: not postern.running() or postern.zombie(), "the end")


def test_e_is_the_log_until_there_is_one(env):
    postern = Postern(env, mail(env, "bogus x;"), args=["-e", "early.log"])
    status, said = postern.run()
    assert status == 1 and "unknown directive" in said
    assert "[emerg]" in env.path("early.log").read_text()


# --- children ---

def test_a_killed_worker_harms_no_other_and_is_replaced(env):
    peers(env)
    postern = env.postern(mail(env), workers=2)
    clients = [log_in(env) for _ in range(8)]
    before = postern.children()
    victim = before[0]
    os.kill(victim, signal.SIGKILL)
    postern.wait_log(rf"worker process {victim} exited on signal 9")
    eventually(lambda: len(postern.children()) == 2, "another worker")
    greets(env)
    alive = 0
    for client in clients:
        client.send(b"n NOOP\r\n")
        alive += client.line() == b"n OK backend NOOP\r\n"
    assert 0 < alive < 8, f"{alive} of 8 sessions are left"


def test_workers_end_with_their_master(env):
    users = env.write("users", "joe:{PLAIN}a\n", 0o600)
    postern = env.postern(f"""
    auth_file {users}; proxy_pass {env.ip(2)}:2000;
    server {{ listen {env.ip()}:2143; protocol imap; }}
""", workers=2)
    pids = processes(postern)
    assert len(pids) > 3
    client = Wire.to((env.ip(), 2143))
    client.expect(b"* OK IMAP4 ready")
    os.kill(postern.pid, signal.SIGKILL)
    eventually(lambda: all(gone(pid) for pid in pids[1:]), "the end of all children", 5)
    # What was left behind is no obstacle.
    postern.start()


def test_a_worker_that_hangs_does_not_keep_the_master(env):
    postern = env.postern(mail(env))
    (worker,) = postern.children()
    os.kill(worker, signal.SIGSTOP)
    postern.stop()
    assert gone(worker)


def test_helpers_outlive_a_reload_and_see_no_more_than_they_need(env):
    users = env.write("users", "joe:{PLAIN}a\n", 0o600)
    postern = env.postern(f"""
    auth_file {users}; auth_helpers 2; proxy_pass {env.ip(2)}:2000;
    server {{ listen {env.ip()}:2143; protocol imap; }}
""")
    helpers = postern.children("auth_file")
    assert len(helpers) == 2
    environ = pathlib.Path(f"/proc/{helpers[0]}/environ").read_bytes().split(b"\0")
    assert not [v for v in environ if v and not v.startswith((b"TZ=", b"ASAN_", b"UBSAN_", b"LSAN_"))], environ
    assert b"secret" not in pathlib.Path(f"/proc/{helpers[0]}/cmdline").read_bytes()
    postern.reload()
    assert postern.children("auth_file") == helpers
    os.kill(helpers[0], signal.SIGKILL)
    eventually(lambda: len(postern.children("auth_file")) == 2, "another helper")
    postern.stop(signal.SIGQUIT)
    assert all(gone(pid) for pid in helpers)


# --- reload ---

def test_a_reload_leaves_sessions_alone(env):
    peers(env)
    postern = env.postern(mail(env))
    old = postern.children()
    client = log_in(env)
    postern.reload()
    still_talks(client)
    new = eventually(lambda: [pid for pid in postern.children() if pid not in old], "new workers")
    assert set(old) <= set(postern.children()), "the old worker has a client"
    again = log_in(env)
    client.send(b"x LOGOUT\r\n")
    client.expect(b"* BYE backend", b"x OK bye")
    client.expect_end()
    client.close()
    eventually(lambda: postern.children() == new, "the end of the old worker")
    still_talks(again)


def test_a_broken_configuration_changes_nothing(env):
    postern = env.postern(mail(env))
    workers = postern.children()
    broken = [
        (mail(env, "bogus x;"), "", "unknown directive"),
        (mail(env).replace(f"{env.ip(3)}:9000", "no-such-host.invalid"), "", "host not found in auth_http"),
        (mail(env).replace(f"{env.ip()}:2143", f"{env.ip()}:2999"), "", f"bind() to {env.ip()}:2999 failed (98:"),
        (mail(env), "working_directory /nonexistent;", "chdir() to working_directory failed"),
        (mail(env).replace(f"auth_http {env.ip(3)}:9000/auth;", f"auth_file /nonexistent; proxy_pass {env.ip(2)}:1;"), "",
         '"/nonexistent" failed (2: No such file or directory)'),
    ]
    env.keep(Listener((env.ip(), 2999), lambda wire: None))
    for count, (text, main, why) in enumerate(broken, 1):
        postern.write(text, main)
        postern.kill(signal.SIGHUP)
        postern.wait_log("reload failed, the configuration in force is kept", count)
        postern.wait_log(re.escape(why))
        eventually(lambda: postern.children() == workers, "the old workers and no others")
        greets(env)
    postern.write(mail(env))
    postern.reload()
    greets(env)


def test_sockets_come_and_go_with_the_configuration(env):
    first, second = env.path("first"), env.path("second")
    postern = env.postern(mail(env, f"listen unix:{first};"))
    inode = os.stat(first).st_ino
    Wire.to(str(first)).expect(b"* OK IMAP4 ready")
    postern.write(mail(env, f"listen unix:{first}; listen unix:{second};"))
    postern.reload()
    assert os.stat(first).st_ino == inode
    Wire.to(str(second)).expect(b"* OK IMAP4 ready")
    postern.write(mail(env, f"listen unix:{second};"))
    postern.reload()
    assert not first.exists()
    Wire.to(str(second)).expect(b"* OK IMAP4 ready")
    postern.kill(signal.SIGKILL)
    eventually(lambda: not postern.running() or postern.zombie(), "the end")
    assert second.exists()
    postern.start()
    Wire.to(str(second)).expect(b"* OK IMAP4 ready")
    postern.stop()
    assert not second.exists()


def test_reloads_in_a_burst_end_with_the_last_configuration(env):
    postern = env.postern(mail(env), workers=2)
    for _ in range(10):
        postern.kill(signal.SIGHUP)
    postern.write(mail(env), workers=3)
    postern.kill(signal.SIGHUP)
    eventually(lambda: len(postern.children()) == 3, "three workers and no more")
    time.sleep(0.5)
    assert len(postern.children()) == 3
    greets(env)


# --- logs, end ---

def has_open(pid, path):
    wanted = os.stat(path)
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.path.samestat(os.stat(entry), wanted):
                return True
        except FileNotFoundError:
            pass
    return False


def test_all_lines_have_the_time_zone_of_the_configuration(env):
    postern = env.postern(mail(env), main="env TZ=Etc/GMT-5;")
    greets(env)
    postern.wait_log("connected to")
    hours = {int(re.search(r" (\d\d):", line).group(1)) for line in postern.log().splitlines()}
    now = time.gmtime()
    near = {(now.tm_hour + 5) % 24, (now.tm_hour + 4) % 24}
    assert hours <= near, f"{hours}, but it is {near}"
    postern.write(mail(env), main="env TZ=Etc/GMT-9;")
    postern.reload()
    time.sleep(1.1)         # the text of a second is composed once
    postern.kill(signal.SIGUSR1)
    (line,) = postern.wait_log("reopening logs")
    assert int(re.search(r" (\d\d):", line).group(1)) in {(h + 4) % 24 for h in near}


def test_syslog_gets_the_lines_of_all_processes_and_may_come_back(env):
    path = str(env.path("devlog"))
    users = env.write("users", "joe:{PLAIN}a\n", 0o600)

    def listen():
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(path)
        os.chmod(path, 0o666)
        sock.settimeout(20)
        return sock

    def wait_for(sock, what):
        while what not in sock.recv(65536):
            pass

    syslog = listen()
    postern = env.postern(f"""
    auth_file {users}; proxy_pass {env.ip(2)}:2000;
    server {{ listen {env.ip()}:2143; protocol imap; }}
""", main=f"error_log syslog:server=unix:{path},tag=gate info;")
    wait_for(syslog, b" gate: ")
    syslog.close()
    os.unlink(path)
    greets(env)
    syslog = listen()
    greets(env)
    wait_for(syslog, b"connected to")
    users.write_text("joe:{PLAIN}b\n")
    wait_for(syslog, b"auth_file")
    postern.kill(signal.SIGALRM)
    wait_for(syslog, b"SIGALRM")
    syslog.close()


def test_usr1_reaches_workers_that_may_not_enter_the_log_directory(env):
    peers(env)
    folder = env.path("logs")
    folder.mkdir(mode=0o700)
    postern = Postern(env, mail(env), workers=1)
    postern.log_path = folder / "error.log"
    postern.write(mail(env))
    env.keep(postern).start()
    client = log_in(env)
    postern.reload()        # its worker is draining now
    moved = folder / "error.log.1"
    postern.log_path.rename(moved)
    postern.kill(signal.SIGUSR1)
    eventually(postern.log_path.exists, "the new log")
    assert mode(postern.log_path) & 0o022 == 0
    assert "reopening logs" in moved.read_text()
    workers = postern.children()
    assert len(workers) == 2
    eventually(lambda: all(has_open(pid, postern.log_path) for pid in workers), "the swap in both workers")
    greets(env)
    client.send(b"x LOGOUT\r\n")
    client.expect(b"* BYE backend", b"x OK bye")
    client.close()
    postern.wait_log("client [0-9.:]+ connected to")
    postern.wait_log("proxied session done")


def test_reopening_a_log_that_every_server_has_replaced_harms_nobody(env):
    """The worker keeps the number of such a file, too: the fresh one is going to have it."""
    over, own = env.path("over.log"), env.path("own.log")
    postern = env.postern(f"""
    auth_http {env.ip(3)}:9000/auth; error_log {over};
    server {{ listen {env.ip()}:2143; protocol imap; error_log {own}; }}
""")
    client = Wire.to((env.ip(), 2143))
    client.expect(b"* OK IMAP4 ready")
    (worker,) = postern.children()
    for path in (over, own):
        path.rename(f"{path}.1")
    postern.kill(signal.SIGUSR1)
    eventually(lambda: all(path.exists() and has_open(worker, path) for path in (own, over)), "the swap")
    client.send(b"a1 NOOP\r\n")
    client.expect(b"a1 OK completed")
    assert postern.children() == [worker]


def test_more_logs_than_a_channel_holds_are_reopened(env):
    """A channel holds some 280 messages; the worker stands still, so that none is read too early."""
    logs = [env.path(f"log.{n}") for n in range(400)]
    postern = env.postern(f"""
    auth_http {env.ip(3)}:9000/auth;
    server {{ listen {env.ip()}:2143; protocol imap; {" ".join(f"error_log {log};" for log in logs)} }}
""")
    greets(env)
    (worker,) = postern.children()
    os.kill(worker, signal.SIGSTOP)
    for log in logs:
        log.unlink()
    postern.kill(signal.SIGUSR1)
    postern.wait_log("reopening logs")
    eventually(logs[-1].exists, "the new logs")
    os.kill(worker, signal.SIGCONT)
    eventually(lambda: {str(log) for log in logs} <= set(open_files(worker).values()), "the swap of all logs")
    assert "failed" not in postern.log()
    assert postern.children() == [worker]
    greets(env)


def test_quit_waits_for_the_last_session(env):
    peers(env)
    postern = env.postern(mail(env), workers=2)
    client = log_in(env)
    postern.kill(signal.SIGQUIT)
    eventually(lambda: len(postern.children()) == 1, "the end of the idle worker")
    still_talks(client)
    try:
        Wire.to((env.ip(), 2143)).close()
        raise AssertionError("somebody still listens")
    except ConnectionRefusedError:
        pass
    assert postern.pid_path.exists()
    client.send(b"x LOGOUT\r\n")
    client.expect(b"* BYE backend", b"x OK bye")
    client.close()
    eventually(lambda: not postern.running() or postern.zombie(), "the end of the master")
    assert not postern.pid_path.exists()


def test_signals_of_no_meaning_are_ignored(env):
    postern = env.postern(mail(env))
    for number in (signal.SIGALRM, signal.SIGIO):
        postern.kill(number)
        postern.wait_log(rf"signal {int(number)} \(SIG[A-Z0-9]+\) received from \d+, ignoring")
    greets(env)
