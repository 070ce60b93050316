"""Upgrades where all is against them: the environment, the folder of the pid file, the binary, signals in any order."""
import fcntl
import os
import socket

from harness import Postern
from test_master import greets, mail
from test_service import tcp

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
        ([None, ends[0], pair[0].fileno(), table()], {"LISTEN_PID": me, "LISTEN_FDS": 5}, "descriptor 7 of LISTEN_FDS is not open"),
        *(([], {"POSTERN_HERITAGE": text}, nothing) for text in ("", "-1", "0", "1", "2", "x", "3", "2147483647", "99999999999999999999")),
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
        assert why in said or why in rubbish.postern.log(), (variables, why, said)
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
