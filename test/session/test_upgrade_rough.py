"""Upgrades where all is against them: the environment, the folder of the pid file, the binary, signals in any order."""
import collections
import fcntl
import itertools
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess

from harness import PATIENCE, Postern, eventually, open_files, weight
from test_auth_http import bind
from test_master import gone, greets, log_in, mail, peers, still_talks
from test_service import tcp
from test_upgrade import Upgrade, number_in

F_ADD_SEALS, SEALS = 1033, 7            # F_SEAL_SEAL, SHRINK, GROW


class Rubbish:
    """Starts postern with variables and descriptors that nobody should give it."""

    def __init__(self, env):
        self.env, self.postern = env, Postern(env, mail(env))

    def start(self, fds, lent=None, **variables):
        """`fds`: from 3 on; None: that number is free. `lent` is closed here. Returns what it said."""
        said = self.env.path("said")
        pid = os.fork()
        if pid == 0:
            self.become(fds, said, variables)
        if lent:
            lent.close()
        assert os.waitpid(pid, 0)[1] == 0, said.read_text()
        self.postern.pid = int(self.postern.pid_path.read_text())
        return said.read_text()

    def become(self, fds, said, variables):
        try:
            held = [fd if fd is None else fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]
            os.closerange(3, 100)
            for number, fd in enumerate(held, 3):
                if fd is not None:
                    os.dup2(fd, number)
            os.closerange(100, 200)
            os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644), 2)
            command = self.postern.command()
            values = {name: str(value(os.getpid()) if callable(value) else value) for name, value in variables.items()}
            os.execve(command[0], command, {**os.environ, **values})
        finally:
            os._exit(127)


def table(*, size=64, seals=SEALS, text=b""):
    fd = os.memfd_create("table", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    os.pwrite(fd, text, 0)
    if seals:
        fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


@weight(4)
def test_an_environment_full_of_rubbish_starts_a_plain_master(env):
    rubbish = Rubbish(env)
    ends = os.pipe()
    pair = socket.socketpair()

    def me(pid):
        return pid
    no_number, nothing = "is not a number that can be", "nothing is taken over from a master before this one"
    magic = bytes.fromhex("7468 6572 6974 3100")
    cases = [
        ([], {"LISTEN_PID": me, "LISTEN_FDS": 99999999}, no_number),
        ([], {"LISTEN_PID": me, "LISTEN_FDS": -1}, no_number),
        ([], {"LISTEN_PID": me, "LISTEN_FDS": ""}, no_number),
        ([], {"LISTEN_PID": "x", "LISTEN_FDS": 1}, no_number),
        ([], {"LISTEN_PID": lambda pid: pid + 1, "LISTEN_FDS": 5}, ""),
        ([], {"LISTEN_PID": me}, ""),
        ([], {"LISTEN_FDS": 1}, ""),
        ([None, ends[0], pair[0].fileno(), table()], {"LISTEN_PID": me, "LISTEN_FDS": 5}, "descriptor 7 of LISTEN_FDS is"),
        *(([], {"POSTERN_HERITAGE": text}, nothing)
          for text in ("", "-1", "0", "1", "2", "x", "3", "2147483647", "99999999999999999999")),
        ([ends[0]], {"POSTERN_HERITAGE": 3}, "is no table"),
        ([pair[0].fileno()], {"POSTERN_HERITAGE": 3}, "is no table"),
        ([os.open("/", os.O_RDONLY)], {"POSTERN_HERITAGE": 3}, nothing),
        ([os.open(env.write("file", "x" * 64), os.O_RDWR)], {"POSTERN_HERITAGE": 3}, "is no sealed table"),
        ([table(size=1 << 40)], {"POSTERN_HERITAGE": 3}, "is no table"),
        ([table(seals=0)], {"POSTERN_HERITAGE": 3}, "is no sealed table"),
        ([table(seals=SEALS | 8)], {"POSTERN_HERITAGE": 3}, "is no sealed table"),
        ([table()], {"POSTERN_HERITAGE": 3}, "makes no sense"),
        ([table(text=magic)], {"POSTERN_HERITAGE": 3}, "makes no sense"),
        ([], {"NOTIFY_SOCKET": env.write("noted", "")}, "service manager failed"),
        ([], {"NOTIFY_SOCKET": "/" + "x" * 200}, "is neither an absolute path"),
        ([], {"NOTIFY_SOCKET": "vsock:2:1"}, "is neither an absolute path"),
        ([], {"NOTIFY_SOCKET": "@", "WATCHDOG_USEC": "-1", "WATCHDOG_PID": "x"}, "is neither an absolute path"),
    ]
    for fds, variables, why in cases:
        said = rubbish.start(fds, **variables)
        greets(env)
        eventually(lambda: why in said + rubbish.postern.log(), f"{why!r} because of {variables}, not only {said!r}")
        rubbish.postern.stop()


def test_a_socket_is_taken_for_what_it_was_at_the_start_or_not_at_all(env):
    rubbish = Rubbish(env)
    for count, variables, said in ((2, {}, "is not in the configuration, closed"),
                                   (1, {"POSTERN_HERITAGE": 3}, "descriptor 3 of LISTEN_FDS is not open")):
        sock = tcp(env.ip(), 2143)
        fds = [sock.fileno()] * count
        heard = rubbish.start(fds, sock, LISTEN_PID=lambda pid: pid, LISTEN_FDS=count, **variables)
        assert said in heard + rubbish.postern.log(), (heard, rubbish.postern.log())
        greets(env)
        rubbish.postern.reload()
        greets(env)
        rubbish.postern.stop()


# --- signals ---

def burst(postern, numbers):
    """All at once: it finds them waiting."""
    postern.kill(signal.SIGSTOP)
    eventually(lambda: ") T" in pathlib.Path(f"/proc/{postern.pid}/stat").read_text(), "that it stands still")
    for number in numbers:
        postern.kill(number)
    postern.kill(signal.SIGCONT)


def descendants():
    """What runs in this test's PID namespace, or waits to be asked how it ended, but for us: (pid, what)."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                found.append((int(entry.name), (entry / "stat").read_text()))
            except (FileNotFoundError, ProcessLookupError):
                pass
    return found


def reap():
    """We are the first process here, and so the one that orphans come to."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    return True


def nothing_is_left(env):
    eventually(lambda: reap() and not descendants(), "that no process is left")
    assert not list(env.folder.glob("postern.pid*")), list(env.folder.glob("postern.pid*"))


@weight(8)
def test_signals_in_one_burst_end_with_one_master_that_serves_or_none(env):
    one = {signal.SIGHUP, signal.SIGUSR2, signal.SIGWINCH, signal.SIGQUIT}
    for count in range(2, 5):
        for numbers in itertools.combinations(sorted(one), count):
            up = Upgrade(env, mail(env))
            burst(up.old, numbers * 2)
            if signal.SIGQUIT in numbers:
                eventually(lambda: gone(up.old.pid), f"the end after {numbers}")
                up.old.pid = None
                nothing_is_left(env)
                continue
            if signal.SIGUSR2 in numbers:
                up.adopt(eventually(up.newcomer, f"the new master after {numbers}"))
                up.end_old()
            else:
                up.old.kill(signal.SIGHUP)
            greets(env)
            up.old.stop()
            nothing_is_left(env)


def test_what_has_been_waited_for_and_cannot_be_is_said(env):
    up = Upgrade(env, mail(env))
    up.old.write(mail(env), main="master_process off;")
    burst(up.old, (signal.SIGHUP, signal.SIGUSR2))
    up.old.wait_log("the new binary waits for the end of a reload")
    up.old.wait_log("the changing binary signal is ignored: the master process is off")
    greets(env)


def test_a_reload_that_looks_up_names_holds_up_no_end(env):
    """USR2 waits for it; what ends it, or gives it up, does not."""
    bind(env, "/etc/resolv.conf", f"nameserver {env.ip(9)}\noptions timeout:30 attempts:1\n")
    for last in (signal.SIGTERM, signal.SIGQUIT, signal.SIGWINCH):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind((env.ip(9), 53))
            server.settimeout(PATIENCE)
            up = Upgrade(env, mail(env))
            up.old.write(mail(env).replace(env.ip(3), "nobody.example"))
            up.old.kill(signal.SIGHUP)
            assert b"nobody" in server.recv(512)
            burst(up.old, (signal.SIGUSR2, signal.SIGHUP))
            up.old.wait_log("the new binary waits for the end of a reload")
            up.old.write(mail(env))
            up.old.kill(last)
            if last == signal.SIGWINCH:
                up.adopt(eventually(up.newcomer, "the new master"))
                up.end_old()
                greets(env)
                up.old.stop()
            else:
                old = up.old.pid
                eventually(lambda: gone(old), "the end")
                up.old.pid = None
            nothing_is_left(env)
            up.old.log_path.unlink()


def test_an_old_master_that_ends_while_the_new_one_stands_still_is_not_missed(env):
    up = Upgrade(env, mail(env))
    for last in (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL):
        seen = up.old.log().count("start new binary process")
        up.old.kill(signal.SIGUSR2)
        new = up.adopt(int(up.old.wait_log("start new binary process", seen + 1)[-1].split()[-1]))
        new.kill(signal.SIGSTOP)
        greets(env)
        rested = up.old.log().count("stop accepting connections")
        for number in (signal.SIGUSR2, signal.SIGHUP, signal.SIGWINCH):
            up.old.kill(number)
        # One that is still pending when it is sent again comes once, and before those of higher numbers.
        up.old.wait_log("stop accepting connections", rested + 1)
        up.old.kill(signal.SIGHUP)
        greets(env)
        up.old.kill(last)
        old = up.old.pid
        eventually(lambda: gone(old), "the end of the old master")
        new.kill(signal.SIGCONT)
        eventually(lambda: number_in(new.pid_path) == new.pid, "the pid file of the new master")
        eventually(lambda: not up.oldbin.exists(), "that the pid file of the old one is gone")
        greets(env)
        up.old = new
    up.round()
    up.old.stop()
    nothing_is_left(env)


# --- the binary ---

def test_a_binary_that_never_ends_keeps_nobody(env):
    peers(env)
    binary = env.path("bin/postern")
    binary.parent.mkdir()
    shutil.copy(env.build / "postern", binary)
    up = Upgrade(env, mail(env), binary=binary)
    client = log_in(env)
    binary.unlink()
    env.write("bin/postern", "#!/bin/sh\nwhile :; do sleep 1; done\n", 0o755)
    up.old.kill(signal.SIGUSR2)
    pid = int(up.old.wait_log("start new binary process")[-1].split()[-1])
    eventually(lambda: pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"/bin/sh"), "the shell")
    still_talks(client)
    greets(env)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: number_in(up.old.pid_path) == up.old.pid and not up.oldbin.exists(), "the pid file")
    binary.unlink()
    shutil.copy(env.build / "postern", binary)
    up.begin()
    client.close()
    up.end_old()
    greets(env)


def test_it_is_found_again_however_it_was_called(env):
    """By a relative name, by PATH, with words that need quotes; from a folder that is not the prefix."""
    folder = env.path("a b")
    folder.mkdir()
    shutil.copy(env.build / "postern", folder / "postern")
    postern = env.keep(Postern(env, mail(env)))
    calls = [(["a b/postern"], env.folder), (["./postern"], folder), (["postern"], env.folder)]
    for program, here in calls:
        command = [*program, "-p", os.path.relpath(env.folder, here), "-c", "postern.conf",
                   "-g", 'env "A=b c";  worker_shutdown_timeout 7s;']
        subprocess.run(command, cwd=here, check=True, timeout=60, env={**os.environ, "PATH": "a b:/nonexistent"},
                       executable=folder / "postern")
        postern.pid = int(postern.pid_path.read_text())
        up = Upgrade(env, postern=postern)
        args = pathlib.Path(f"/proc/{postern.pid}/cmdline").read_bytes()
        for _ in range(2):
            up.round()
        assert pathlib.Path(f"/proc/{up.old.pid}/cmdline").read_bytes().strip(b"\0") == args.strip(b"\0")
        greets(env)
        up.old.stop()
        postern.pid = None
        nothing_is_left(env)


def test_workers_come_back_when_descriptors_do(env):
    """The new master is gone, the old one rests, and at first can start nobody."""
    up = Upgrade(env, mail(env))
    new = up.begin()
    up.old.kill(signal.SIGWINCH)
    up.old.wait_log(rf"{up.old.pid}#{up.old.pid}: worker process \d+ exited with code 0")
    up.old.kill(signal.SIGALRM)
    up.old.wait_log("SIGALRM")          # behind the end of the worker and all that it has left
    (worker,) = new.children()
    os.kill(worker, signal.SIGSTOP)     # the old master keeps the descriptor by which it would hear of its end
    limits = resource.prlimit(up.old.pid, resource.RLIMIT_NOFILE)
    free = [number for number in range(100) if number not in open_files(up.old.pid)]
    resource.prlimit(up.old.pid, resource.RLIMIT_NOFILE, (free[1], limits[1]))
    new.kill(signal.SIGKILL)
    up.old.wait_log(r'socketpair\(\) failed while spawning "worker process" \(24:')
    resource.prlimit(up.old.pid, resource.RLIMIT_NOFILE, limits)
    os.kill(worker, signal.SIGCONT)
    up.old.wait_log("workers are back with the configuration in force")
    greets(env)
    up.round()
    greets(env)


# --- the pid file ---

def test_what_stands_where_the_old_pid_file_goes(env):
    up = Upgrade(env, mail(env))
    other = env.write("other", "untouched")
    for make in (lambda: up.oldbin.write_text("1\n"), lambda: up.oldbin.symlink_to(other),
                 lambda: up.oldbin.symlink_to("/nonexistent/x"), lambda: os.mkfifo(up.oldbin)):
        make()
        up.round()
        assert not up.oldbin.exists() and not up.oldbin.is_symlink() and other.read_text() == "untouched"
        greets(env)
    up.oldbin.mkdir()
    up.old.kill(signal.SIGUSR2)
    up.old.wait_log(r"rename\(\) .* failed \(21: Is a directory\)")
    greets(env)
    assert number_in(up.old.pid_path) == up.old.pid
    up.oldbin.rmdir()
    up.round()


def test_an_old_pid_file_with_the_number_of_a_new_start_goes(env):
    """In a container the next start may well have the number of the one that was killed during an upgrade."""
    postern = env.keep(Postern(env, mail(env), main="daemon off;"))
    oldbin = env.path("postern.pid.oldbin")
    script = env.write("script", f'#!/bin/sh\necho $$ >{oldbin}\nexec "$@"\n', 0o755)
    proc = subprocess.Popen([script, *postern.command()])
    postern.pid = eventually(lambda: number_in(postern.pid_path), "the pid file")
    assert postern.pid == proc.pid
    eventually(lambda: not oldbin.exists(), "that the old pid file is gone")
    postern.stop()
    assert proc.wait(20) == 0


def mount(folder, options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)


def test_a_folder_that_is_full_or_read_only_changes_nothing(env):
    folder = env.path("run")
    folder.mkdir()
    mount(folder, "size=8k,nr_inodes=3")
    postern = Postern(env, mail(env))
    postern.pid_path = folder / "postern.pid"
    postern.write(mail(env))
    env.keep(postern).start()
    up = Upgrade(env, postern=postern)
    up.oldbin = folder / "postern.pid.oldbin"
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    postern.kill(signal.SIGUSR2)
    postern.wait_log(r"rename\(\) .* failed \(30: Read-only file system\)")
    greets(env)
    subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
    (folder / "filler").write_bytes(b"")
    for count in range(1, 3):
        if count == 2:
            (folder / "filler").unlink()
            try:
                (folder / "fill").write_bytes(b"x" * 65536)
            except OSError:
                pass
        postern.kill(signal.SIGUSR2)
        postern.wait_log(r"new binary process \d+ exited with code 1", count)
        eventually(lambda: number_in(postern.pid_path) == postern.pid and not up.oldbin.exists(), "the pid file")
        greets(env)
    (folder / "fill").unlink()
    up.round()
    greets(env)


def test_a_pid_file_of_another_name_after_the_upgrade(env):
    up = Upgrade(env, mail(env))
    before = up.old.pid_path
    for number in (signal.SIGQUIT, signal.SIGKILL):
        after = env.path(f"other.{number}")
        up.old.config.write_text(up.old.config.read_text().replace(f"pid {up.old.pid_path}", f"pid {after}"))
        up.old.kill(signal.SIGUSR2)
        new = up.adopt(eventually(lambda: number_in(after), "the new pid file"))
        assert number_in(up.oldbin) == up.old.pid and not up.old.pid_path.exists()
        new.pid_path = after
        old = up.old
        old.kill(number)
        eventually(lambda: gone(old.pid), "the end of the old master")
        eventually(lambda: not up.oldbin.exists(), "that the old pid file is gone")
        assert not old.pid_path.exists()
        up.old, up.oldbin = new, pathlib.Path(f"{after}.oldbin")
        greets(env)


# --- what nobody may have but a master ---

def kinds(pid):
    return sorted(re.sub(r"\d+", "N", name) for name in open_files(pid).values())


def test_children_of_an_upgraded_master_have_no_more_than_others(env):
    users = env.write("users", "joe:{PLAIN}secret\n", 0o600)
    up = Upgrade(env, mail(env) + f"""
    server {{ listen {env.ip()}:2144; protocol imap; auth_file {users}; proxy_pass {env.ip(2)}:2000;
        auth_cache zone=a:1m ttl=1h; limit_conn addr 1000; }}
    limit_conn_zone $remote_addr zone=addr:1m;
""")

    def look():
        worker, helper = up.old.children()[0], up.old.children("auth_file")[0]
        return kinds(worker), kinds(helper), environment(worker), environment(helper)
    plain = look()
    up.round()

    def has_no_more():
        return all(not collections.Counter(now) - collections.Counter(then) for now, then in zip(look(), plain))
    eventually(has_no_more, f"that there is no more than {plain}")


def environment(pid):
    return pathlib.Path(f"/proc/{pid}/environ").read_bytes().strip(b"\0")


# --- which master a command reaches ---

def test_s_reaches_the_master_in_the_pid_file(env):
    up = Upgrade(env, mail(env))
    new = up.begin()
    for word, name in (("reopen", "USR1"), ("reload", "HUP"), ("quit", "QUIT")):
        assert up.old.run("-s", word) == (0, "")
        up.old.wait_log(rf"{new.pid}#{new.pid}: signal \d+ \(SIG{name}\) received")
    eventually(lambda: number_in(up.old.pid_path) == up.old.pid, "the pid file of the old one")
    greets(env)
    assert up.old.run("-s", "stop") == (0, "")
    eventually(lambda: gone(up.old.pid), "the end of the old one")
    up.old.pid = up.new.pid = None
    nothing_is_left(env)
