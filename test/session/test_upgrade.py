"""A new binary takes over from the one that runs, or does not; and WINCH, which makes room for it."""
import fcntl
import os
import pathlib
import pty
import re
import shutil
import signal
import struct
import subprocess
import termios
import threading
import time

from harness import Postern, Wire, eventually, netns, open_files, weight
from peers import Listener
from test_master import gone, greets, log_in, mail, peers, still_talks
from test_service import Ears, Manager, greeter, serve, unix


class Upgrade:
    """A postern that is upgraded: the master that runs, and the one that comes."""

    def __init__(self, env, text=None, postern=None, **options):
        self.env = env
        self.old = postern or env.postern(text, **options)
        self.new = None
        self.oldbin = env.path("postern.pid.oldbin")

    def adopt(self, pid):
        """A Postern for the new master, which is ended with the test."""
        self.new = Postern.__new__(Postern)
        self.new.__dict__.update(self.old.__dict__, pid=pid)
        return self.env.keep(self.new)

    def begin(self):
        """USR2; returns the new master when it serves."""
        self.old.kill(signal.SIGUSR2)
        return self.adopt(eventually(self.newcomer, "the pid file of the new master"))

    def newcomer(self):
        pid = number_in(self.old.pid_path)
        return pid if pid and pid != self.old.pid else None

    def end_old(self):
        """WINCH and QUIT, as an operator does who is content; what was new is the old of the next."""
        self.old.kill(signal.SIGWINCH)
        self.old.kill(signal.SIGQUIT)
        eventually(lambda: gone(self.old.pid), "the end of the old master")
        self.old, self.new = self.new, None
        return self.old

    def round(self):
        """One whole upgrade."""
        self.begin()
        return self.end_old()

    def kill_old(self):
        """Without a word; what was new is the old of the next."""
        self.old.kill(signal.SIGKILL)
        eventually(lambda: gone(self.old.pid), "the end of the old master")
        self.old, self.new = self.new, None

    def end_new(self, number=signal.SIGQUIT):
        """Roll-back; returns when the old master has its name back."""
        self.new.kill(number)
        eventually(lambda: gone(self.new.pid), "the end of the new master")
        eventually(lambda: number_in(self.old.pid_path) == self.old.pid, "the old pid file")
        assert not self.oldbin.exists()
        self.new = None
        return self.old


def number_in(path):
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


# --- upgrade ---

def test_both_masters_serve_and_the_old_one_goes(env):
    peers(env)
    path = env.path("mail.sock")
    up = Upgrade(env, mail(env, f"listen [::1]:{env.port()}; listen unix:{path};"), workers=2)
    addresses = [(env.ip(), 2143), ("::1", env.port()), str(path)]
    inode = os.stat(path).st_ino
    client = log_in(env)
    new = up.begin()
    assert number_in(up.oldbin) == up.old.pid
    assert len(up.old.children()) == 2 and len(new.children()) == 2
    up.old.kill(signal.SIGWINCH)
    eventually(lambda: len(up.old.children()) == 1, "the end of the old worker without clients")
    still_talks(client)
    for address in addresses:
        Wire.to(address).expect(b"* OK IMAP4 ready")
    other = log_in(env)
    old = up.old
    old.kill(signal.SIGQUIT)
    still_talks(client)
    still_talks(other)
    client.close()
    eventually(lambda: gone(old.pid), "the end of the old master")
    assert not up.oldbin.exists() and number_in(old.pid_path) == new.pid
    assert os.stat(path).st_ino == inode
    for address in addresses:
        Wire.to(address).expect(b"* OK IMAP4 ready")
    still_talks(other)
    new.stop()
    assert not path.exists() and not old.pid_path.exists()


def test_roll_back_by_hup_and_quit(env):
    peers(env)
    path = env.path("mail.sock")
    up = Upgrade(env, mail(env, f"listen unix:{path};"), workers=2)
    old_client = log_in(env)
    new = up.begin()
    up.old.kill(signal.SIGWINCH)
    eventually(lambda: len(up.old.children()) == 1, "the end of the worker without clients")
    new_client = log_in(env)
    up.old.write(mail(env, "bogus x;"))         # the old binary does not read the configuration of the new one
    up.old.kill(signal.SIGHUP)
    eventually(lambda: len(up.old.children()) == 3, "the old master's workers")
    new.kill(signal.SIGQUIT)
    still_talks(old_client)
    still_talks(new_client)
    new_client.close()
    new_pid = new.pid
    eventually(lambda: gone(new_pid), "the end of the new master")
    eventually(lambda: number_in(up.old.pid_path) == up.old.pid, "the old pid file")
    assert not up.oldbin.exists()
    up.old.wait_log(rf"new binary process {new_pid} exited with code 0")
    still_talks(old_client)
    Wire.to(str(path)).expect(b"* OK IMAP4 ready")
    greets(env)
    up.old.write(mail(env, f"listen unix:{path};"))
    up.old.reload()
    up.begin()                                  # it can be asked again
    old_client.close()
    up.end_old().stop()
    assert not path.exists()


def test_workers_come_back_by_themselves_when_the_new_master_dies(env):
    up = Upgrade(env, mail(env), workers=2)
    new = up.begin()
    workers = new.children()
    up.old.kill(signal.SIGWINCH)
    eventually(lambda: not up.old.children(), "the end of the old workers")
    waits = Wire.to((env.ip(), 2143))
    waits.expect(b"* OK IMAP4 ready")
    up.end_new(signal.SIGKILL)
    up.old.wait_log(rf"new binary process {new.pid} exited on signal 9")
    eventually(lambda: len(up.old.children()) == 2, "the old master's workers")
    greets(env)
    eventually(lambda: all(gone(pid) for pid in workers), "the end of the new workers")
    up.begin()
    up.end_old()
    greets(env)


def broken_binaries(env, up):
    """Ways in which a new binary comes to nothing, each as (what to put there, what the log says)."""
    real = up.old.binary.read_bytes()
    return [
        (None, rf'execve\(\) failed while executing new binary process "{env.path("bin/postern")}" \(2: No such file'),
        (b"this is no program", r"execve\(\) failed while executing new binary process .* \(8: Exec format error\)"),
        (b"#!/bin/sh\nexit 3\n", r"new binary process \d+ exited with code 3"),
        (b"#!/bin/sh\nkill -9 $$\n", r"new binary process \d+ exited on signal 9"),
        (real[:4096], r"new binary process \d+ exited"),
    ]


def test_a_new_binary_that_comes_to_nothing_changes_nothing(env):
    peers(env)
    binary = env.path("bin/postern")
    binary.parent.mkdir()
    shutil.copy(env.build / "postern", binary)
    up = Upgrade(env, mail(env), workers=2, binary=binary)
    client = log_in(env)
    workers = up.old.children()
    before = open_files(up.old.pid)
    for what, said in broken_binaries(env, up):
        binary.unlink()
        if what is not None:
            binary.write_bytes(what)
            binary.chmod(0o755)
        start = len(up.old.log())
        up.old.kill(signal.SIGUSR2)
        eventually(lambda: re.search(said, up.old.log()[start:]), f"{said} in the log")
        eventually(lambda: re.search(r"new binary process \d+ exited", up.old.log()[start:]), "its end")
        eventually(lambda: number_in(up.old.pid_path) == up.old.pid and not up.oldbin.exists(), "the pid file")
        binary.touch()
    assert up.old.children() == workers
    still_talks(client)
    assert open_files(up.old.pid).keys() == before.keys(), "descriptors"
    binary.unlink()
    shutil.copy(env.build / "postern", binary)
    up.begin()
    client.close()
    up.end_old()
    greets(env)


def test_a_configuration_that_the_new_binary_refuses_changes_nothing(env):
    path = env.path("mail.sock")
    up = Upgrade(env, mail(env, f"listen unix:{path};"))
    env.keep(Listener((env.ip(), 2999), lambda wire: None))
    for count, (text, main, why) in enumerate([
            (mail(env, "bogus x;"), "", "unknown directive"),
            (mail(env).replace("2143", "2999"), "", f"bind() to {env.ip()}:2999 failed (98:"),
            (mail(env, f"listen unix:{path};"), "working_directory /nonexistent;", "working_directory failed"),
            (mail(env, f"listen unix:{path};"), "#pid", 'open() "/nonexistent/pid" failed')], 1):
        up.old.write(text, main)
        if main == "#pid":
            up.old.config.write_text(up.old.config.read_text().replace(str(up.old.pid_path), "/nonexistent/pid"))
        up.old.kill(signal.SIGUSR2)
        up.old.wait_log(r"new binary process \d+ exited with code 1", count)
        up.old.wait_log(re.escape(why))
        eventually(lambda: number_in(up.old.pid_path) == up.old.pid and not up.oldbin.exists(), "the pid file")
        greets(env)
        Wire.to(str(path)).expect(b"* OK IMAP4 ready")
    up.old.write(mail(env, f"listen unix:{path};"))
    up.begin()
    up.end_old()
    Wire.to(str(path)).expect(b"* OK IMAP4 ready")


def test_one_new_binary_at_a_time(env):
    up = Upgrade(env, mail(env))
    new = up.begin()
    up.old.kill(signal.SIGUSR2)
    up.old.wait_log("the changing binary signal is ignored: a new binary's process runs already")
    new.kill(signal.SIGUSR2)
    up.old.wait_log("the changing binary signal is ignored: the old binary's process still runs")
    up.old.kill(signal.SIGHUP)
    up.old.wait_log("the configuration is not read while a new binary's process runs")
    new.reload()
    up.end_old()
    up.begin()
    greets(env)
    up.end_old()
    greets(env)


def test_upgrade_and_reload_wait_for_each_other(env):
    up = Upgrade(env, mail(env), workers=2)
    up.old.kill(signal.SIGHUP)
    up.begin()
    log = up.old.log()
    assert log.index("reconfigured") < log.index("start new binary process"), "USR2 came during a reload"
    up.new.kill(signal.SIGHUP)
    up.old.kill(signal.SIGQUIT)
    eventually(lambda: up.old.log().count("reconfigured") == 2, "a reload of the new one")
    up.end_old()
    up.old.write(mail(env, "bogus x;"), workers=2)
    up.old.kill(signal.SIGHUP)
    up.old.kill(signal.SIGUSR2)         # the reload is refused, and then so is the new binary
    up.old.wait_log(r"new binary process \d+ exited with code 1")
    up.old.write(mail(env), workers=2)
    up.round()
    greets(env)


def test_signals_that_come_early_are_not_lost(env):
    """The new master has them when it listens, and is not killed by them."""
    up = Upgrade(env, mail(env))
    up.old.kill(signal.SIGUSR2)
    (line,) = up.old.wait_log("start new binary process")
    pid = int(line.split()[-1])
    for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGWINCH):
        os.kill(pid, number)
    up.adopt(eventually(up.newcomer, "the pid file of the new master"))
    for name in ("USR1", "HUP"):
        up.old.wait_log(rf"{pid}#{pid}: signal \d+ \(SIG{name}\) received")
    up.old.wait_log(rf"{pid}#{pid}: reconfigured")
    up.end_old()
    greets(env)


def test_a_killed_old_master_leaves_all_to_the_new_one(env):
    peers(env)
    path = env.path("mail.sock")
    up = Upgrade(env, mail(env, f"listen unix:{path};"), workers=2)
    for winch in (False, True):
        up.begin()
        workers = up.old.children()
        if winch:
            up.old.kill(signal.SIGWINCH)
        client = log_in(env)
        up.kill_old()
        eventually(lambda: all(gone(pid) for pid in workers), "the end of its workers", 5)
        client.close()
        eventually(lambda: not up.oldbin.exists(), "that the pid file of the dead is gone")
        greets(env)
    up.round()
    Wire.to(str(path)).expect(b"* OK IMAP4 ready")
    up.old.stop()
    assert not path.exists()


def test_an_old_master_killed_while_the_new_one_starts_is_not_missed(env):
    up = Upgrade(env, mail(env))
    for pause in (0, 0.005, 0.02):
        seen = up.old.log().count("start new binary process")
        up.old.kill(signal.SIGUSR2)
        new = up.adopt(int(up.old.wait_log("start new binary process", seen + 1)[-1].split()[-1]))
        time.sleep(pause)
        up.kill_old()
        eventually(lambda: number_in(new.pid_path) == new.pid, "the pid file of the new master")
        eventually(lambda: not up.oldbin.exists(), "that the pid file of the dead is gone")
        greets(env)


@netns
def test_a_new_binary_may_listen_where_the_old_one_has_only_a_part(env):
    """And the other way round: the new one shares the port with what it was left and does not want."""
    up = Upgrade(env, mail(env))
    up.old.write(mail(env).replace(f"{env.ip()}:2143", "2143"))
    up.begin()
    greets(env)
    up.end_old()
    greets(env)
    up.old.write(mail(env))
    up.begin()
    greets(env)
    up.end_old()
    greets(env)


def test_a_new_master_killed_at_its_start_changes_nothing(env):
    up = Upgrade(env, mail(env))
    for pause in (0, 0.002, 0.005, 0.01, 0.02, 0.04):
        seen = up.old.log().count("start new binary process")
        up.old.kill(signal.SIGUSR2)
        pid = int(up.old.wait_log("start new binary process", seen + 1)[-1].split()[-1])
        time.sleep(pause)
        os.kill(pid, signal.SIGKILL)
        up.old.wait_log(rf"new binary process {pid} exited on signal 9")
        eventually(lambda: number_in(up.old.pid_path) == up.old.pid and not up.oldbin.exists(), "the pid file")
        greets(env)
    up.round()
    greets(env)


def test_the_file_of_a_socket_goes_with_the_last_that_listens(env):
    first, second = env.path("first"), env.path("second")
    up = Upgrade(env, mail(env, f"listen unix:{first}; listen unix:{second};"))
    up.old.write(mail(env, f"listen unix:{second};"))
    up.begin()
    up.old.wait_log(rf"inherited socket unix:{first} is not in the configuration, closed")
    Wire.to(str(first)).expect(b"* OK IMAP4 ready")         # by the old one
    up.end_old()
    eventually(lambda: not first.exists(), "that nobody's file is gone")
    Wire.to(str(second)).expect(b"* OK IMAP4 ready")
    up.old.write(mail(env, f"listen unix:{first}; listen unix:{second};"))
    up.begin()
    up.old.write(mail(env, f"listen unix:{first};"))
    up.new.reload()
    Wire.to(str(first)).expect(b"* OK IMAP4 ready")         # that it bound itself
    Wire.to(str(second)).expect(b"* OK IMAP4 ready")        # by the old one
    up.end_old()
    eventually(lambda: not second.exists(), "that nobody's file is gone")
    up.old.stop()
    assert not first.exists()


def test_a_service_manager_hears_who_is_the_main_process(env):
    """Its socket stays its own through all of it, and no master that goes ends the service."""
    path, name = env.path("lent"), str(env.path("notify"))
    ears = Ears(name)
    postern = Manager(env, serve(f"unix:{path}"), [unix(path, 0o600)], NOTIFY_SOCKET=name).start()

    def main(master):
        heard = ears.hear()
        assert heard.get("READY") == "1" and heard["MAINPID"] == str(master.pid), heard
        assert greeter(str(path)) == 0
    main(postern)
    up = Upgrade(env, postern=postern)
    main(up.begin())
    main(up.end_old() and up.begin())           # nothing was said of the end of the first
    rested = up.old.log().count("stop accepting connections")
    up.old.kill(signal.SIGWINCH)
    up.old.wait_log("stop accepting connections", rested + 1)
    main(up.end_new())
    up.old.stop()
    assert "STOPPING" in ears.hear()
    assert path.is_socket()


class Knocker(threading.Thread):
    """Connects again and again, and counts who is not greeted."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.greeted, self.failed, self.done = address, 0, [], threading.Event()
        self.start()

    def run(self):
        while not self.done.is_set():
            try:
                client = Wire.to(self.address)
                client.expect(b"* OK IMAP4 ready")
                client.close()
                self.greeted += 1
            except (OSError, AssertionError) as error:
                self.failed.append(repr(error))

    def stop(self):
        self.done.set()
        self.join()


@weight(6)
def test_ten_upgrades_turn_nobody_away_and_leave_nothing(env):
    peers(env)
    path = env.path("mail.sock")
    users = env.write("users", "joe:{PLAIN}secret\n", 0o600)
    up = Upgrade(env, mail(env, f"listen unix:{path};") + f"""
    server {{ listen {env.ip()}:2144; protocol imap; auth_file {users}; proxy_pass {env.ip(2)}:2000;
        auth_cache zone=a:1m ttl=1h; limit_conn addr 1000; }}
    limit_conn_zone $remote_addr zone=addr:1m;
""", workers=2)
    knockers = [env.keep(Knocker(address)) for address in ((env.ip(), 2143), str(path), (env.ip(), 2144))]
    clients = [log_in(env)]
    up.begin()
    up.old.kill(signal.SIGWINCH)
    clients[0].close()
    up.end_old()
    settled = eventually(lambda: settle_down(up.old), "that it has settled")
    environ = variables(up.old)
    for _ in range(9):
        up.round()
    for knocker in knockers:
        knocker.stop()
        assert knocker.greeted > 20 and not knocker.failed, (knocker.greeted, knocker.failed[:5])
    eventually(lambda: settle_down(up.old) == settled, f"as many descriptors as after the first: {settled}")
    assert variables(up.old) == environ
    for worker in up.old.children():
        assert "POSTERN_HERITAGE" not in pathlib.Path(f"/proc/{worker}/environ").read_text()
    assert "Sanitizer" not in up.old.log() and "[alert]" not in up.old.log() and "[emerg]" not in up.old.log()


def settle_down(postern):
    """How many descriptors the master has of each kind, once it is alone and its helpers have what they read."""
    kinds = {}
    for name in open_files(postern.pid).values():
        kind = re.sub(r"\d+", "N", name)
        kinds[kind] = kinds.get(kind, 0) + 1
    return kinds


def variables(postern):
    """The master's environment, as its next one would get it."""
    text = pathlib.Path(f"/proc/{postern.pid}/environ").read_bytes()
    return sorted(set(re.findall(rb"([A-Z_]+)=", text)))


# --- WINCH ---

def test_winch_retires_the_workers_and_hup_brings_others(env):
    peers(env)
    postern = env.postern(mail(env), workers=2)
    old = postern.children()
    client = log_in(env)
    postern.kill(signal.SIGWINCH)
    eventually(lambda: len(postern.children()) == 1, "the end of the worker without clients")
    postern.kill(signal.SIGWINCH)       # once more changes nothing
    still_talks(client)
    waits = Wire.to((env.ip(), 2143))   # the socket listens on, though nobody accepts
    waits.quiet(0.3)
    postern.kill(signal.SIGUSR1)
    postern.kill(signal.SIGHUP)
    waits.expect(b"* OK IMAP4 ready")
    waits.close()
    still_talks(client)
    eventually(lambda: len([pid for pid in postern.children() if pid not in old]) == 2, "two new workers")
    client.close()
    eventually(lambda: not set(old) & set(postern.children()), "the end of the old worker")
    postern.kill(signal.SIGWINCH)
    eventually(lambda: not postern.children(), "the end of all workers")
    postern.stop(signal.SIGQUIT)
    assert not postern.pid_path.exists()


def test_winch_and_hup_in_a_burst_end_with_workers(env):
    postern = env.postern(mail(env), workers=2)
    for _ in range(5):
        postern.kill(signal.SIGWINCH)
        postern.kill(signal.SIGHUP)
        time.sleep(0.02)
    postern.kill(signal.SIGHUP)
    eventually(lambda: len(postern.children()) == 2, "two workers")
    greets(env)


def test_a_killed_worker_that_was_retired_stays_away(env):
    peers(env)
    postern = env.postern(mail(env))
    (worker,) = postern.children()
    client = log_in(env)
    postern.kill(signal.SIGWINCH)
    postern.wait_log(rf"{worker}#{worker}: gracefully shutting down")
    os.kill(worker, signal.SIGKILL)
    postern.wait_log(rf"worker process {worker} exited on signal 9")
    client.expect_end()
    time.sleep(0.3)
    assert not postern.children()


def test_helpers_stay_when_workers_rest(env):
    users = env.write("users", "joe:{PLAIN}a\n", 0o600)
    postern = env.postern(f"""
    auth_file {users}; proxy_pass {env.ip(2)}:2000;
    server {{ listen {env.ip()}:2143; protocol imap; }}
""")
    helpers = postern.children("auth_file")
    postern.kill(signal.SIGWINCH)
    eventually(lambda: not postern.children(), "the end of the worker")
    assert postern.children("auth_file") == helpers
    postern.reload()
    assert postern.children("auth_file") == helpers
    greets(env)


def test_a_broken_configuration_does_not_bring_workers_and_a_good_one_does(env):
    postern = env.postern(mail(env))
    postern.kill(signal.SIGWINCH)
    eventually(lambda: not postern.children(), "the end of the worker")
    postern.write(mail(env, "bogus x;"))
    postern.kill(signal.SIGHUP)
    postern.wait_log("reload failed, the configuration in force is kept")
    assert not postern.children()
    postern.write(mail(env))
    postern.reload()
    greets(env)


def test_a_window_that_changes_its_size_ends_no_workers(env):
    postern = env.keep(Postern(env, mail(env), main="daemon off;"))
    ours, theirs = pty.openpty()
    proc = subprocess.Popen(postern.command(), stdin=theirs, stdout=theirs, start_new_session=True,
                            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    eventually(lambda: postern.pid_path.exists() and postern.pid_path.read_text(), "the pid file")
    postern.pid = proc.pid
    workers = postern.children()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
    postern.kill(signal.SIGALRM)
    postern.wait_log("SIGALRM")
    assert "stop accepting" not in postern.log() and postern.children() == workers
    greets(env)
    postern.kill(signal.SIGWINCH)       # but one that is meant does, in the foreground too
    eventually(lambda: all(gone(pid) for pid in workers), "the end of the worker")
    proc.send_signal(signal.SIGTERM)
    assert proc.wait(20) == 0
    os.close(ours)
    os.close(theirs)
