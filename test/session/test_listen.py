"""Listeners: every form of address, every parameter, and what a reload makes of them."""
import ctypes
import errno
import grp
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import threading

from harness import Postern, Wire, eventually, netns, open_files
from peers import AuthHttp, Listener, accept, imap_backend

SYS_PIDFD_GETFD = 438
IPPROTO_MPTCP = 262


def sockets(pid):
    """The listening sockets of a process, as our own duplicates, by their names: "127.0.0.1:143"."""
    found = {}
    pidfd = os.pidfd_open(pid)
    for number, target in open_files(pid).items():
        if not target.startswith("socket:"):
            continue
        fd = ctypes.CDLL(None, use_errno=True).syscall(SYS_PIDFD_GETFD, pidfd, number, 0)
        if fd == -1 and ctypes.get_errno() == errno.EBADF:     # closed since we looked: a channel to a child that ended
            continue
        assert fd >= 0, os.strerror(ctypes.get_errno())
        sock = socket.socket(fileno=fd)
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            name = sock.getsockname()
            found[name if isinstance(name, str) else
                  f"[{name[0]}]:{name[1]}" if sock.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"] = sock
    os.close(pidfd)
    return found


def backlog(port):
    """The backlog of a TCP port, from ss."""
    text = subprocess.run(["ss", "-Htln", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
    return int(text.split()[2])


def servers(*listens, more=""):
    """A server for each, which can be told apart by its name."""
    return "auth_http 127.0.0.1:1;\n" + "\n".join(
        f"server {{ listen {listen}; protocol smtp; server_name server-{i}; {more} }}" for i, listen in enumerate(listens))


def who_is_at(address):
    """The number of the server that greets there, or None."""
    try:
        wire = Wire.to(address)
    except OSError:
        return None
    greeting = wire.line()
    wire.close()
    return int(re.fullmatch(rb"220 server-(\d+) ESMTP ready\r\n", greeting)[1])


@netns
def test_each_form_of_address(env):
    env.write("hosts", "127.0.0.1 localhost\n")
    postern = env.postern(servers("25", "*:26", "127.0.0.5:27", "localhost:28", "[::1]:29", "[::]:30",
                                  f"unix:{env.path('s')}", "127.0.0.6:31-33", "34-35"))
    for address, number in [(("127.0.0.9", 25), 0), (("127.0.0.9", 26), 1), (("127.0.0.5", 27), 2), (("127.0.0.1", 28), 3),
                            (("::1", 29), 4), (("::1", 30), 5), (str(env.path("s")), 6), (("127.0.0.6", 31), 7),
                            (("127.0.0.6", 32), 7), (("127.0.0.6", 33), 7), (("127.0.0.1", 34), 8), (("127.0.0.1", 35), 8)]:
        assert who_is_at(address) == number, address
    for address in (("127.0.0.1", 27), ("127.0.0.6", 34 + 2), ("127.0.0.1", 30), ("::1", 25)):
        assert who_is_at(address) is None, address
    assert {"0.0.0.0:25", "0.0.0.0:26", "127.0.0.1:28", "[::1]:29", "[::]:30"} <= set(sockets(postern.pid))


@netns
def test_a_name_means_all_its_addresses(env):
    env.write("hosts", "127.0.0.8 many.test\n127.0.0.9 many.test\n::1 many.test\n127.0.0.8 many.test\n")
    subprocess.run(["mount", "--bind", env.path("hosts"), "/etc/hosts"], check=True)
    postern = env.postern(servers("many.test:25"))
    for address in ("127.0.0.8", "127.0.0.9", "::1"):
        assert who_is_at((address, 25)) == 0
    assert set(sockets(postern.pid)) == {"127.0.0.8:25", "127.0.0.9:25", "[::1]:25"}


@netns
def test_the_protocol_comes_from_the_port(env):
    env.postern("auth_http 127.0.0.1:1;" + "".join(f"server {{ listen {port}; }}\n" for port in (25, 465, 587, 110, 995, 143, 993))
                + "server { listen 100-110; }".replace("110", "109") .replace("listen", "protocol pop3; listen"))
    for port, word in ((25, b"220 "), (465, b"220 "), (587, b"220 "), (110, b"+OK "), (995, b"+OK "), (143, b"* OK "),
                       (993, b"* OK "), (100, b"+OK ")):
        assert Wire.to(("127.0.0.1", port)).line().startswith(word), port


@netns
def test_each_parameter_reaches_the_socket(env):
    postern = env.postern(servers("127.0.0.1:25", "127.0.0.1:26 backlog=77 rcvbuf=16k sndbuf=20480",
                                  "127.0.0.1:27 so_keepalive=on", "127.0.0.1:28 so_keepalive=30m:20s:7",
                                  "127.0.0.1:29 so_keepalive=off", "127.0.0.1:30 so_keepalive=:5:", "127.0.0.1:31 bind"))
    found = sockets(postern.pid)
    option = lambda port, name, level=socket.SOL_SOCKET: found[f"127.0.0.1:{port}"].getsockopt(level, name)
    assert (backlog(25), backlog(26)) == (511, 77)
    assert (option(26, socket.SO_RCVBUF), option(26, socket.SO_SNDBUF)) == (2 * 16384, 2 * 20480)
    assert [option(port, socket.SO_KEEPALIVE) for port in range(25, 32)] == [0, 0, 1, 1, 0, 1, 0]
    tcp = [option(28, name, socket.IPPROTO_TCP) for name in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)]
    assert tcp == [1800, 20, 7]
    assert option(30, socket.TCP_KEEPINTVL, socket.IPPROTO_TCP) == 5


@netns
def test_ipv6only(env):
    postern = env.postern(servers("[::]:25", "[::]:26 ipv6only=off", "[::]:27 ipv6only=on"))
    found = sockets(postern.pid)
    only = [found[f"[::]:{port}"].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) for port in (25, 26, 27)]
    assert only == [1, 0, 1]
    assert [who_is_at(("127.0.0.1", port)) for port in (25, 26, 27)] == [None, 1, None]
    postern.wait_log("client 127.0.0.1:[0-9]+ connected to")      # not ::ffff:127.0.0.1


@netns
def test_both_families_on_one_port(env):
    env.postern(servers("25", "[::]:25"))
    assert (who_is_at(("127.0.0.1", 25)), who_is_at(("::1", 25))) == (0, 1)


@netns
def test_multipath(env):
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP).close()
        known = True
    except OSError:
        known = False
    postern = Postern(env, servers("127.0.0.1:25 multipath"))
    status, said = postern.run()
    if not known:       # a kernel without it: the reason is said
        assert status == 1 and "socket() 127.0.0.1:25 failed" in said, said
        return
    assert status == 0, said
    env.keep(postern).pid = int(postern.pid_path.read_text())
    assert sockets(postern.pid)["127.0.0.1:25"].getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == IPPROTO_MPTCP
    assert who_is_at(("127.0.0.1", 25)) == 0


@netns
def test_a_wildcard_and_specific_addresses_share_one_socket(env):
    postern = env.postern(servers("25", "127.0.0.2:25", "127.0.0.3:25", "[::]:25", "[::1]:25"))
    assert set(sockets(postern.pid)) == {"0.0.0.0:25", "[::]:25"}
    assert [who_is_at((ip, 25)) for ip in ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "::1")] == [0, 1, 2, 0, 4]
    postern.wait_log(r"connected to 127\.0\.0\.3:25")


@netns
def test_bind_gives_a_specific_address_a_socket_of_its_own(env):
    postern = env.postern(servers("25", "127.0.0.2:25 bind", "127.0.0.3:25 backlog=9", "127.0.0.4:25"))
    assert set(sockets(postern.pid)) == {"0.0.0.0:25", "127.0.0.2:25", "127.0.0.3:25"}
    for _ in range(4):
        assert [who_is_at((f"127.0.0.{i}", 25)) for i in range(1, 6)] == [0, 1, 2, 3, 0]
    # Whoever comes later gets nothing of it.
    status, said = Postern(env, servers("127.0.0.2:25 bind")).run()
    assert status == 1 and "bind() to 127.0.0.2:25 failed (98:" in said, said
    for address in ("0.0.0.0", "127.0.0.2", "127.0.0.7"):
        thief = socket.socket()
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            thief.bind((address, 25))
            thief.listen()
            raise AssertionError(f"{address} could be taken")
        except OSError:
            thief.close()


@netns
def test_addresses_change_between_shared_and_own_over_reload(env):
    postern = env.postern(servers("25", "127.0.0.2:25"))
    for listens in (("25", "127.0.0.2:25 bind"), ("25", "127.0.0.2:25"), ("127.0.0.1:25", "127.0.0.2:25"), ("25", "127.0.0.2:25")):
        postern.write(servers(*listens))
        postern.reload()
        # A client that comes to a socket which is being given up, in the moment before its end, is closed with it.
        eventually(lambda: len(postern.children()) == 1, "the end of the old worker")
        assert [who_is_at((f"127.0.0.{i}", 25)) for i in (1, 2)] == [0, 1], listens


@netns
def test_what_a_living_socket_cannot_become_is_opened_anew(env):
    postern = env.postern(servers("[::]:25", "127.0.0.1:26"))
    for only, port in (("off", 26), ("on", 27), ("off", 26)):
        postern.write(servers(f"[::]:25 ipv6only={only}", f"127.0.0.1:{port}"))
        postern.reload()
        assert sockets(postern.pid)["[::]:25"].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == (only == "on")
        eventually(lambda: len(postern.children()) == 1, "the end of the old worker")
        assert [who_is_at(("::1", 25)), who_is_at(("127.0.0.1", 25))] == [0, None if only == "on" else 0]


def test_a_unix_socket_has_the_mode_and_owner_it_is_given(env):
    paths = [env.path(name) for name in ("a", "b", "c")]
    postern = env.postern(servers(f"unix:{paths[0]}", f"unix:{paths[1]} mode=0640", f"unix:{paths[2]} mode=600 owner=nobody group=mail"))
    modes = [stat.S_IMODE(path.stat().st_mode) for path in paths]
    assert modes == [0o666, 0o640, 0o600]
    assert (paths[2].stat().st_uid, paths[2].stat().st_gid) == (pwd.getpwnam("nobody").pw_uid, grp.getgrnam("mail").gr_gid)
    assert [who_is_at(str(path)) for path in paths] == [0, 1, 2]
    postern.wait_log(r"client unix: connected to unix:.*/a")
    postern.stop()
    assert not any(path.exists() for path in paths)


def test_a_reload_changes_mode_and_owner_of_a_living_unix_socket(env):
    path = env.path("s")
    postern = env.postern(servers(f"unix:{path}"))
    inode = path.stat().st_ino
    nobody, mail = pwd.getpwnam("nobody").pw_uid, grp.getgrnam("mail").gr_gid
    for parameters, mode, uid, gid in (("mode=0600 owner=nobody group=mail", 0o600, nobody, mail), ("mode=0640", 0o640, 0, 0),
                                       ("", 0o666, 0, 0)):
        postern.write(servers(f"unix:{path} {parameters}"))
        postern.reload()
        st = path.stat()
        assert (stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid) == (mode, uid, gid), parameters
        assert st.st_ino == inode and who_is_at(str(path)) == 0


def test_a_stale_unix_socket_stops_no_start(env):
    path = env.path("s")
    postern = env.postern(servers(f"unix:{path}"))
    pids = [postern.pid, *postern.children()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: all(not os.path.exists(f"/proc/{p}") or ") Z" in open(f"/proc/{p}/stat").read() for p in pids), "the end")
    assert path.is_socket() and who_is_at(str(path)) is None
    postern.start()
    assert who_is_at(str(path)) == 0


def test_a_living_unix_socket_and_a_file_stay_what_they_are(env):
    holder = env.keep(Listener(str(env.path("held")), lambda wire: wire.send(b"mine\r\n")))
    env.write("file", "precious")
    for name in ("held", "file"):
        status, said = Postern(env, servers(f"unix:{env.path(name)}")).run()
        assert status == 1 and f"bind() to unix:{env.path(name)} failed (98: Address already in use)" in said, said
    assert Wire.to(str(env.path("held"))).line() == b"mine\r\n" and holder.accepted >= 1
    assert env.path("file").read_text() == "precious"


def test_a_unix_path_that_is_too_long_is_refused(env):
    status, said = Postern(env, servers("unix:/tmp/" + "x" * 120)).run("-t")
    assert status == 1 and "[emerg]" in said and re.search(r" in \S+:\d+$", said.splitlines()[0]), said


def test_a_start_in_vain_takes_its_unix_sockets_away(env):
    env.keep(Listener((env.ip(), 2500), lambda wire: None))
    status, said = Postern(env, servers(f"unix:{env.path('s')}", f"{env.ip()}:2500")).run()
    assert status == 1 and "bind()" in said and not env.path("s").exists(), said


def test_a_reload_keeps_opens_and_closes_sockets(env):
    ip, path, other = env.ip(), env.path("s"), env.path("t")
    postern = env.postern(servers(f"{ip}:2501", f"{ip}:2502", f"unix:{path}"))
    inodes = {name: os.fstat(sock.fileno()).st_ino for name, sock in sockets(postern.pid).items()}
    postern.write(servers(f"{ip}:2503", f"unix:{path}", f"{ip}:2501 backlog=33 rcvbuf=16k", f"unix:{other}"))
    postern.reload()
    found = sockets(postern.pid)
    assert set(found) == {f"{ip}:2501", f"{ip}:2503", str(path), str(other)}
    for name in (f"{ip}:2501", str(path)):
        assert os.fstat(found[name].fileno()).st_ino == inodes[name]
    assert found[f"{ip}:2501"].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * 16384
    assert [who_is_at(a) for a in ((ip, 2501), (ip, 2503), str(path), str(other))] == [2, 0, 1, 3]
    for sock in found.values():
        sock.close()
    found = None
    eventually(lambda: who_is_at((ip, 2502)) is None, "the end of the old socket")
    postern.write(servers(f"{ip}:2501"))
    postern.reload()
    assert not path.exists() and not other.exists()


def test_a_reload_that_cannot_bind_changes_nothing(env):
    ip = env.ip()
    env.keep(Listener((ip, 2509), lambda wire: None))
    postern = env.postern(servers(f"{ip}:2501"))
    workers = postern.children()
    postern.write(servers(f"unix:{env.path('s')}", f"{ip}:2501", f"{ip}:2509"))
    postern.kill(signal.SIGHUP)
    postern.wait_log(rf"\[emerg\].*: bind\(\) to {ip}:2509 failed \(98: Address already in use\)")
    postern.wait_log("reload failed, the configuration in force is kept")
    assert who_is_at((ip, 2501)) == 0 and not env.path("s").exists()
    assert postern.children() == workers and set(sockets(postern.pid)) == {f"{ip}:2501"}


def test_no_connection_is_lost_over_many_reloads(env):
    ip = env.ip()
    postern = env.postern(servers(f"{ip}:2501"), workers=2)
    done, served = threading.Event(), []

    def knock():
        while not done.is_set():
            served.append(who_is_at((ip, 2501)))
    knockers = [threading.Thread(target=knock) for _ in range(3)]
    for thread in knockers:
        thread.start()
    for _ in range(5):
        postern.reload()
    done.set()
    for thread in knockers:
        thread.join()
    assert len(served) > 20 and set(served) == {0}, served


def test_removed_sockets_end_while_sessions_on_them_live(env):
    ip = env.ip()
    env.keep(Listener((env.ip(2), 2000), imap_backend))
    env.keep(AuthHttp((env.ip(3), 9000), accept(env.ip(2), 2000)))
    text = f"auth_http {env.ip(3)}:9000/auth; server {{ listen {ip}:%d; protocol imap; }}"
    postern = env.postern(text % 2501)
    early, inside = Wire.to((ip, 2501)), Wire.to((ip, 2501))
    inside.send(b"a LOGIN joe x\r\n")
    inside.expect(b"* OK IMAP4 ready", b"a OK backend LOGIN")
    early.expect(b"* OK IMAP4 ready")
    postern.write(text % 2502)
    postern.reload()
    eventually(lambda: who_refuses((ip, 2501)), "the end of the old socket")
    inside.send(b"b NOOP\r\n")
    inside.expect(b"b OK backend NOOP")
    early.send(b"a LOGIN joe x\r\n")        # a session before login may still log in
    early.expect(b"a OK backend LOGIN")
    late = Wire.to((ip, 2502))
    late.expect(b"* OK IMAP4 ready")
    assert len(postern.children("shutting down")) == 1
    for wire in (early, inside):
        wire.close()
    eventually(lambda: not postern.children("shutting down"), "the end of the old worker")


def test_who_waits_at_a_socket_that_a_reload_gives_up_is_served(env):
    """Nobody else listens there any more, so the old workers take who has connected before they close."""
    ip, path = env.ip(), env.path("s")
    kept, tcp = f"{ip}:2500", f"{ip}:2501"
    postern = env.postern(servers(kept, tcp, f"unix:{path}", f"{ip}:2502"), workers=2)
    old = postern.children()
    for pid in old:
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda pid=pid: ") T" in open(f"/proc/{pid}/stat").read(), "the stop")
    waiting = [(number, Wire.to(address)) for _ in range(20)
               for number, address in ((1, (ip, 2501)), (2, str(path)), (0, (ip, 2500)), (3, (ip, 2502)))]
    postern.write(servers(kept))
    postern.reload()
    assert not path.exists() and {number for number, wire in waiting if number == 0 and wire.line()} == {0}
    for pid in old:
        os.kill(pid, signal.SIGCONT)
    for number, wire in waiting:
        assert number == 0 or wire.line() == b"220 server-%d ESMTP ready\r\n" % number
        wire.send(b"NOOP\r\n")
        wire.expect(b"250 2.0.0 OK")
    assert who_refuses((ip, 2501)) and who_refuses((ip, 2502)) and who_is_at((ip, 2500)) == 0
    for _, wire in waiting:
        wire.close()
    eventually(lambda: not postern.children("shutting down"), "the end of the old workers")


def who_refuses(address):
    try:
        Wire.to(address).close()
        return False
    except ConnectionRefusedError:
        return True
