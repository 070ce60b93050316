"""kill -9 of the master: all others go within seconds, whatever they do, and the next start finds nothing in its way."""
import os
import pathlib
import signal
import threading

from harness import PATIENCE, Postern, Skip, Wire, eventually, weight
from peers import Listener, imap_backend

ENDLESS = "{BLF-CRYPT}$2b$18$" + "a" * 21 + "u" + "b" * 31        # a minute of a processor, or more
SECONDS = 5             # in which they are gone


def gone(pid):
    try:
        return ") Z" in pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def ticks(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def log_in(env, port, user):
    """A client that has sent its login."""
    wire = Wire.to((env.ip(), port))
    wire.line()
    wire.send(b"a LOGIN %s secret\r\n" % user)
    return wire


def wait_busy(pids):
    """One of them computes."""
    before = {pid: ticks(pid) for pid in pids}
    eventually(lambda: any(ticks(pid) > before[pid] + 5 for pid in pids), "a helper at work")


def die(postern, *others):
    """Kills the master; returns all who have to follow."""
    pids = postern.children("postern: ") + postern.children("auth_") + list(others)
    postern.kill(signal.SIGKILL)
    return pids


def follow(pids):
    eventually(lambda: all(map(gone, pids)), f"the end of {pids}", SECONDS)


def file_text(env, more=""):
    env.keep(Listener((env.ip(2), 2000), imap_backend))
    return f"""
    auth_file {env.path("users")}; auth_helpers 2; auth_timeout 600s; proxy_pass {env.ip(2)}:2000; {more}
    server {{ listen {env.ip()}:2143; listen unix:{env.path("socket")}; protocol imap; }}
"""


@weight(6)
def test_workers_and_helpers_follow_and_the_next_start_serves_at_once(env):
    env.write("users", f"joe:{{PLAIN}}secret\nslow:{ENDLESS}\n", 0o600)
    text = file_text(env, "limit_conn_zone $remote_addr zone=all:64k; limit_conn all 50;")
    postern = env.postern(text, workers=2)
    inside = log_in(env, 2143, b"joe")
    inside.expect(b"a OK backend LOGIN")
    generations = set(postern.children())
    for _ in range(2):
        postern.reload()        # the session stays with the oldest generation
    generations |= set(postern.children())
    assert len(postern.children("shutting down")) >= 1 and len(generations) >= 3
    slow = log_in(env, 2143, b"slow")
    wait_busy(postern.children("auth_file"))
    pids = die(postern, *generations)
    # Not a moment later; stale are the pid file, the UNIX socket, and perhaps for a while the port.
    again = env.keep(Postern(env, text, workers=2)).start()
    follow(pids)
    for wire in (inside, slow):
        wire.rest()
    for address in ((env.ip(), 2143), str(env.path("socket"))):
        wire = Wire.to(address)
        wire.expect(b"* OK IMAP4 ready")
        wire.send(b"a LOGIN joe secret\r\n")
        wire.expect(b"a OK backend LOGIN")
    assert int(again.pid_path.read_text()) == again.pid
    again.reload()


@weight(4)
def test_a_helper_with_a_fresh_file_behind_a_slow_answer_follows(env):
    """Its ear is at the lock of the table then, and not at the channel."""
    users = env.write("users", f"joe:{{PLAIN}}secret\nslow:{ENDLESS}\n", 0o600)
    postern = env.postern(file_text(env))
    slow = [log_in(env, 2143, b"slow") for _ in range(2)]
    helpers = postern.children("auth_file")
    for pid in helpers:
        wait_busy([pid])
    before = [len(os.listdir(f"/proc/{pid}/fd")) for pid in helpers]
    env.write("users.new", f"joe:{{PLAIN}}other\nslow:{ENDLESS}\n", 0o600).rename(users)

    def waits_for_the_lock(pid):
        """A thread of it that sleeps in futex(2) with a timeout."""
        states = [pathlib.Path(f"/proc/{pid}/task/{tid}/wchan").read_text() for tid in os.listdir(f"/proc/{pid}/task")]
        return any("futex" in state for state in states)
    eventually(lambda: any(map(waits_for_the_lock, helpers)), "the fresh file waits for the answer")
    assert before == [len(os.listdir(f"/proc/{pid}/fd")) for pid in helpers]
    follow(die(postern))
    for wire in slow:
        wire.rest()


@weight(4)
def test_a_helper_that_hangs_in_pam_follows_with_what_it_has_started(env):
    if not (env.build / "postern-auth-pam").exists():
        raise Skip("built without PAM")
    note = env.path("note")
    os.mkfifo(note)
    hung = env.write("hung", f'#!/bin/sh\necho $$ > "{note}"\nexec sleep 600\n', 0o755)
    env.write("pam.d/mail", f"auth required pam_exec.so quiet {hung}\naccount required pam_permit.so\n")
    env.keep(Listener((env.ip(2), 2000), imap_backend))
    text = f"""
    auth_pam mail; auth_pam_directory {env.path("pam.d")}; auth_helpers 2; auth_timeout 600s;
    proxy_pass {env.ip(2)}:2000;
    server {{ listen {env.ip()}:2143; protocol imap; }}
"""
    postern = env.postern(text)
    client = log_in(env, 2143, b"joe")
    program = int(open(note).read())
    pids = die(postern, program)
    env.keep(Postern(env, text)).start()
    follow(pids)
    client.rest()


def test_a_client_that_does_not_read_keeps_no_worker(env):
    def talk(wire):
        wire.send(b"* OK backend\r\n")
        tag = wire.line().split()[0]
        wire.send(tag + b" OK in\r\n")
        wire.sock.settimeout(0.5)
        try:
            while True:
                wire.send(b"* 1 EXISTS\r\n" * 4096)
        except TimeoutError:
            full.set()
        wire.rest()
    full = threading.Event()
    env.write("users", "joe:{PLAIN}secret\n", 0o600)
    env.keep(Listener((env.ip(2), 2001), talk))
    postern = env.postern(file_text(env).replace(":2000;", ":2001;"))
    client = log_in(env, 2143, b"joe")
    client.expect(b"a OK in")
    assert full.wait(PATIENCE)
    follow(die(postern))


def test_a_stale_pid_file_of_whatever_kind_is_no_obstacle(env):
    env.write("users", "joe:{PLAIN}secret\n", 0o600)
    text = file_text(env)
    for stale in ("1\n", "999999\n", "nonsense", "", f"{os.getpid()}\n"):
        env.write("postern.pid", stale)
        postern = env.keep(Postern(env, text)).start()
        assert int(postern.pid_path.read_text()) == postern.pid
        postern.stop()
        assert not postern.pid_path.exists()


@weight(3)
def test_the_socket_of_a_live_one_is_refused_and_stays(env):
    env.write("users", "joe:{PLAIN}secret\n", 0o600)
    holder = env.keep(Listener(str(env.path("socket")), lambda wire: wire.send(b"mine\r\n")))
    inode = env.path("socket").stat().st_ino
    status, said = Postern(env, file_text(env)).run()
    assert status == 1 and said.count("try again to bind() after 500 ms") == 4, said
    assert f"[emerg] bind() to unix:{env.path('socket')} failed (98: Address already in use)" in said, said
    assert env.path("socket").stat().st_ino == inode and holder.accepted >= 1
    assert Wire.to(str(env.path("socket")), patience=PATIENCE).line() == b"mine\r\n"
