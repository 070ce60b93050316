"""Under a service manager: sockets that it opened, and what it wants to be told."""
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time

from harness import PATIENCE, Postern, Skip, Wire, eventually, open_files
from peers import AuthHttp, Listener, accept, imap_backend


def serve(*listens, more=""):
    """A server for each, which greets with its number."""
    return "auth_http 127.0.0.1:1;\n" + more + "\n".join(
        f"server {{ listen {listen}; protocol smtp; server_name server-{i}; }}" for i, listen in enumerate(listens))


def greeter(address):
    wire = Wire.to(address)
    number = re.fullmatch(rb"220 server-(\d+) ESMTP ready\r\n", wire.line())[1]
    wire.close()
    return int(number)


class Manager:
    """Starts postern as a service manager would: in the foreground, with sockets from descriptor 3 on."""

    def __init__(self, env, mail, socks=(), main="daemon off;", **variables):
        self.postern = env.keep(Postern(env, mail, main=main))
        self.socks, self.variables = socks, variables
        self.said = env.path("stderr")

    def start(self):
        """Returns when it serves, or has ended."""
        self.pid = self.postern.pid = os.fork()
        if self.pid == 0:
            self.become()
        eventually(lambda: self.ended() or self.postern.pid_path.exists() and self.postern.pid_path.read_text(), "the start")
        return self.postern

    def become(self):
        try:
            for number, sock in enumerate(self.socks):
                os.dup2(sock.fileno(), 100 + number)
            for number in range(len(self.socks)):
                os.dup2(100 + number, 3 + number)
            os.closerange(100, 100 + len(self.socks))
            os.dup2(os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)
            values = {"LISTEN_PID": os.getpid(), "LISTEN_FDS": len(self.socks), "LISTEN_FDNAMES": "x", **self.variables}
            command = self.postern.command()
            os.execve(command[0], command, {**os.environ, **{k: str(v) for k, v in values.items() if v is not None}})
        finally:
            os._exit(127)

    def ended(self):
        return self.postern.zombie()


def tcp(ip, port, family=socket.AF_INET):
    """As a service manager opens it: blocking, without TCP_NODELAY, with a backlog of its own."""
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((ip, port))
    sock.listen(7)
    return sock


def unix(path, mode):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    os.chmod(path, mode)
    sock.listen(7)
    return sock


def inodes(pid):
    return {target for target in open_files(pid).values() if target.startswith("socket:")}


def inode(sock):
    return f"socket:[{os.fstat(sock.fileno()).st_ino}]"


# --- sockets ---

def test_sockets_of_a_service_manager_are_served(env):
    path, ip = env.path("lent"), env.ip()
    socks = [tcp(ip, 2501), unix(path, 0o600)]
    early = Wire.to((ip, 2501))         # waits in the backlog
    postern = Manager(env, serve(f"{ip}:2501", f"unix:{path}", f"{ip}:2502"), socks).start()
    assert early.line() == b"220 server-0 ESMTP ready\r\n"
    assert greeter(str(path)) == 1 and greeter((ip, 2502)) == 2
    assert {inode(sock) for sock in socks} <= inodes(postern.pid)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, "the mode is the service manager's"
    for line in open(f"/proc/{postern.pid}/environ").read().split("\0"):
        assert not line.startswith("LISTEN_") or line, line
    postern.stop()
    assert path.is_socket(), "the file is the service manager's"
    late = Wire.to((ip, 2501))          # its own descriptor still listens
    again = Manager(env, serve(f"{ip}:2501", f"unix:{path}", f"{ip}:2502"), socks)
    again.start()
    assert late.line() == b"220 server-0 ESMTP ready\r\n" and greeter(str(path)) == 1
    assert not again.ended()


def test_what_the_configuration_does_not_listen_on_is_closed_and_named(env):
    path, ip = env.path("lent"), env.ip()
    socks = [tcp(ip, 2501), unix(path, 0o666), tcp(ip, 2502)]
    postern = Manager(env, serve(f"{ip}:2502"), socks).start()
    postern.wait_log(rf"\[notice\] .*inherited socket {ip}:2501 is not in the configuration, closed$")
    postern.wait_log(rf"inherited socket unix:{path} is not in the configuration, closed$")
    assert greeter((ip, 2502)) == 0
    for pid in (postern.pid, *postern.children()):
        assert inodes(pid).isdisjoint({inode(socks[0]), inode(socks[1])})
    assert path.is_socket()


def test_what_is_no_listening_socket_is_refused_and_the_rest_served(env):
    ip = env.ip()
    other, listening = socket.socket(), tcp(ip, 2501)
    manager = Manager(env, serve(f"{ip}:2501"), [other, listening])
    postern = manager.start()
    assert greeter((ip, 2501)) == 0
    assert "descriptor 3 of LISTEN_FDS is not a listening stream socket, closed" in manager.said.read_text()
    assert inode(other) not in inodes(postern.pid)


def test_descriptors_that_are_meant_for_another_process_are_closed(env):
    ip = env.ip()
    sock = tcp(env.ip(2), 2501)
    for variables in ({"LISTEN_PID": 1}, {"LISTEN_PID": None}, {"LISTEN_FDS": None}):
        postern = Manager(env, serve(f"{ip}:2501"), [sock], **variables).start()
        assert greeter((ip, 2501)) == 0 and inode(sock) not in inodes(postern.pid), variables
        assert "inherited" not in postern.log()
        postern.stop()


def test_a_lent_socket_lives_through_reloads(env):
    path, ip = env.path("lent"), env.ip()
    socks = [tcp(ip, 2501), unix(path, 0o600)]
    postern = Manager(env, serve(f"{ip}:2501", f"unix:{path}"), socks).start()
    postern.write(serve(f"{ip}:2501 backlog=33", f"unix:{path}"), main="daemon off;")
    postern.reload()
    assert greeter((ip, 2501)) == 0 and greeter(str(path)) == 1
    assert {inode(sock) for sock in socks} <= inodes(postern.pid)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    postern.write(serve(f"{ip}:2501"), main="daemon off;")
    postern.reload()
    eventually(lambda: inode(socks[1]) not in inodes(postern.pid), "the closing of what is not wanted any more")
    assert path.is_socket(), "it is not ours to remove"


def test_a_session_over_a_lent_socket(env):
    """Accepted sockets have what ours have, TCP_NODELAY for one: a whole login works at once."""
    sock = tcp(env.ip(), 2143)
    env.keep(Listener((env.ip(2), 2000), imap_backend))
    env.keep(AuthHttp((env.ip(3), 9000), accept(env.ip(2), 2000)))
    Manager(env, f"auth_http {env.ip(3)}:9000/auth; server {{ listen {env.ip()}:2143; protocol imap; }}", [sock]).start()
    client = Wire.to((env.ip(), 2143))
    client.send(b"a LOGIN joe secret\r\n")
    client.expect(b"* OK IMAP4 ready", b"a OK backend LOGIN")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_systemd_socket_activate(env):
    """The real thing, which needs no systemd that runs: it listens, and starts us at the first client."""
    program = shutil.which("systemd-socket-activate")
    if program is None:
        raise Skip("no systemd-socket-activate")
    ip, path = env.ip(), env.path("lent")
    postern = env.keep(Postern(env, serve(f"{ip}:2501", f"unix:{path}"), main="daemon off;"))
    with open(env.path("stderr"), "w") as said:
        proc = subprocess.Popen([program, f"--listen={ip}:2501", f"--listen={path}", "--fdname=a:b", *postern.command()],
                                stderr=said)
    eventually(lambda: "Listening on" in env.path("stderr").read_text() and path.exists(), "its sockets")
    assert not postern.pid_path.exists()
    assert greeter((ip, 2501)) == 0
    postern.pid = proc.pid              # systemd-socket-activate has become it
    eventually(lambda: postern.pid_path.exists() and postern.pid_path.read_text() == f"{proc.pid}\n", "the pid file")
    assert greeter(str(path)) == 1
    assert "inherited" not in postern.log()
    postern.kill(signal.SIGTERM)
    assert proc.wait(PATIENCE) == 0
    assert path.is_socket()


# --- what it is told ---

class Ears:
    """The manager's end of NOTIFY_SOCKET."""

    def __init__(self, name):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind("\0" + name[1:] if name.startswith("@") else name)
        self.sock.settimeout(PATIENCE)
        self.signs = 0

    def hear(self):
        """The next message but for signs of life, as a dict."""
        while True:
            message = self.sock.recv(4096).decode()
            if message != "WATCHDOG=1":
                return dict(line.split("=", 1) for line in message.split("\n"))
            self.signs += 1


def told(env, mail, name=None, **variables):
    name = name or str(env.path("notify"))
    ears = Ears(name)
    return ears, Manager(env, mail, NOTIFY_SOCKET=name, **variables)


def test_a_service_manager_hears_start_reload_and_end(env):
    for name in (str(env.path("notify")), f"@postern-test-{env.number}"):
        ears, manager = told(env, serve(f"{env.ip()}:2501"), name)
        postern = manager.start()
        message = ears.hear()
        assert message == {"READY": "1", "MAINPID": str(postern.pid), "STATUS": "Serving"}, message
        before = time.monotonic_ns() // 1000
        postern.kill(signal.SIGHUP)
        message = ears.hear()
        assert message["RELOADING"] == "1" and before <= int(message["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        message = ears.hear()
        assert message["READY"] == "1" and message["STATUS"] == "Serving" and "reconfigured" in postern.log(), message
        good = postern.config.read_text()
        postern.config.write_text("nonsense;")
        postern.kill(signal.SIGHUP)
        assert ears.hear()["RELOADING"] == "1"
        message = ears.hear()
        assert message["READY"] == "1" and "the last reload failed" in message["STATUS"], message
        postern.config.write_text(good)
        postern.kill(signal.SIGHUP)
        assert ears.hear()["RELOADING"] == "1" and ears.hear()["STATUS"] == "Serving"
        postern.kill(signal.SIGWINCH)
        assert "without workers" in ears.hear()["STATUS"]
        postern.kill(signal.SIGHUP)
        assert ears.hear()["RELOADING"] == "1" and ears.hear()["STATUS"] == "Serving"
        postern.kill(signal.SIGQUIT)
        assert ears.hear()["STOPPING"] == "1"
        eventually(manager.ended, "the end")
        os.waitpid(manager.pid, 0)


def test_a_start_in_the_background_tells_its_own_pid(env):
    ears = Ears(str(env.path("notify")))
    postern = env.keep(Postern(env, serve(f"{env.ip()}:2501")))
    done = subprocess.run(postern.command(), env={**os.environ, "NOTIFY_SOCKET": str(env.path("notify"))}, timeout=60)
    postern.pid = int(postern.pid_path.read_text())
    assert done.returncode == 0 and ears.hear()["MAINPID"] == str(postern.pid)


def test_nobody_but_the_master_may_speak_to_the_service_manager(env):
    users = env.write("users", "joe:{PLAIN}x\n")
    ears, manager = told(env, f"auth_file {users}; server {{ listen {env.ip()}:2501; protocol imap; }}")
    postern = manager.start()
    ears.hear()
    (helper, *_), (worker,) = postern.children("auth_file"), postern.children()
    with open(f"/proc/{helper}/environ") as file:
        assert "NOTIFY" not in file.read()
    socks = [inodes(pid) for pid in (postern.pid, worker, helper)]
    with open("/proc/net/unix") as file:        # its only one that is SOCK_DGRAM
        datagram = {f"socket:[{fields[6]}]" for fields in map(str.split, file) if fields[4] == "0002"}
    assert [len(datagram & found) for found in socks] == [1, 0, 0]


def test_a_service_manager_that_is_gone_harms_nobody(env):
    ears, manager = told(env, serve(f"{env.ip()}:2501"))
    ears.sock.close()
    postern = manager.start()
    assert greeter((env.ip(), 2501)) == 0
    postern.reload()
    assert greeter((env.ip(), 2501)) == 0
    assert len(postern.wait_log("the service manager failed")) == 1


def test_a_service_manager_that_does_not_listen_holds_up_nobody(env):
    name = str(env.path("notify"))
    ears, manager = told(env, serve(f"{env.ip()}:2501"), name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.setblocking(False)
        try:
            while True:
                filler.sendto(b"X=1", name)
        except BlockingIOError:
            pass
    postern = manager.start()
    assert greeter((env.ip(), 2501)) == 0
    while "READY" not in (message := ears.hear()):
        assert message == {"X": "1"}, message
    assert message["MAINPID"] == str(postern.pid)


def test_signs_of_life_come_while_it_lives(env):
    ears, manager = told(env, serve(f"{env.ip()}:2501"), WATCHDOG_USEC=100000)
    postern = manager.start()
    ears.hear()
    eventually(lambda: ears.sock.recv(100) == b"WATCHDOG=1" and ears.sock.recv(100) == b"WATCHDOG=1", "two signs of life")
    postern.kill(signal.SIGSTOP)
    eventually(lambda: ") T" in open(f"/proc/{postern.pid}/stat").read(), "the stop")
    ears.sock.setblocking(False)
    try:
        while True:
            ears.sock.recv(100)
    except BlockingIOError:
        pass
    ears.sock.settimeout(0.5)
    try:
        assert not ears.sock.recv(100), "a sign of life of a process that is stopped"
    except TimeoutError:
        pass
    postern.kill(signal.SIGCONT)
    ears.sock.settimeout(PATIENCE)
    assert ears.sock.recv(100) == b"WATCHDOG=1"
