"""A new binary takes over from the one that runs, or does not; and WINCH, which makes room for it."""
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import time

from harness import Postern, Wire, eventually
from test_master import gone, greets, log_in, mail, peers, still_talks


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
