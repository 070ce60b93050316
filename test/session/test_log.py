"""The error log: where lines go, which, and what they look like."""
import os
import re
import signal
import socket
import subprocess

from harness import Postern, Wire, eventually, netns, open_files
from peers import AuthHttp

LINE = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(emerg|alert|crit|error|warn|notice|info|debug)\] (\d+)#\d+: (\*\d+ )?[^\x00-\x1f\x7f]+")


class Syslog:
    """Takes datagrams on UDP or a UNIX path."""

    def __init__(self, address):
        self.sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(address)
        self.sock.setblocking(False)
        if isinstance(address, str):
            os.chmod(address, 0o666)
        self.got = []

    def texts(self):
        while True:
            try:
                self.got.append(self.sock.recv(65536).decode())
            except BlockingIOError:
                return self.got

    def wait(self, pattern):
        return eventually(lambda: [t for t in self.texts() if re.search(pattern, t)], f"{pattern!r} in the syslog")[0]


def serve(env, more="", port=2143):
    return f"auth_http {env.ip(3)}:9000/auth; server {{ listen {env.ip()}:{port}; protocol imap; {more} }}"


def visit(env, port=2143):
    """A client that connects, fails to log in and leaves."""
    wire = Wire.to((env.ip(), port))
    wire.send(b"a LOGIN joe x\r\n")
    wire.expect(b"* OK IMAP4 ready", re.compile(rb"a NO .*"))
    wire.close()


def refusing(env):
    env.keep(AuthHttp((env.ip(3), 9000), {"Auth-Status": "not you"}))


def test_every_line_has_the_form(env):
    refusing(env)
    postern = env.postern(serve(env))
    visit(env)
    postern.wait_log("client login failed")
    postern.reload()
    for line in postern.log().splitlines():
        assert LINE.fullmatch(line), line
    first = postern.log().splitlines()[0]
    assert re.search(r"\[notice\] (\d+)#\1: postern/[0-9.]+ \(compatible with nginx/1\.31\.5\)$", first), first
    line, = postern.wait_log("connected to")
    assert re.search(rf"\[info\] \d+#\d+: \*\d+ client {env.ip(1)[:4]}[0-9.]+:\d+ connected to {env.ip()}:2143$", line), line
    line, = postern.wait_log("client login failed")
    assert re.search(rf'\[info\] .*: \*\d+ client login failed: "not you" while in http auth state, client: [0-9.]+, '
                     rf'server: {re.escape(env.ip())}:2143, login: "joe"', line), line


def test_each_target_takes_its_level_and_what_is_worse(env):
    refusing(env)
    levels = ("emerg", "alert", "crit", "error", "warn", "notice", "info", "debug")
    main = "".join(f"error_log {env.path(level + '.txt')} {level};\n" for level in levels)
    postern = env.postern(serve(env), main=main + f"error_log {env.path('plain.txt')};")
    visit(env)
    postern.wait_log("client login failed")
    eventually(lambda: "login failed" in env.path("debug.txt").read_text(), "the debug log")
    for index, level in enumerate(levels):
        seen = {match[1] for match in LINE.finditer(env.path(f"{level}.txt").read_text())}
        assert seen <= set(levels[:index + 1]), (level, seen)
        assert level not in ("notice", "info") or level in seen, (level, seen)
    assert env.path("plain.txt").read_text() == ""      # error is the default


def test_a_servers_own_log_replaces_the_outer_ones(env):
    refusing(env)
    own, other = env.path("own.txt"), env.path("mail.txt")
    text = f"error_log {other} info; auth_http {env.ip(3)}:9000/auth;" + "".join(
        f"server {{ listen {env.ip()}:{port}; protocol imap; {more} }}\n"
        for port, more in ((2143, ""), (2144, f"error_log {own} info; error_log stderr;")))
    postern = env.postern(text)
    visit(env)
    visit(env, 2144)
    for path, mine, others in ((other, 2143, 2144), (own, 2144, 2143)):
        eventually(lambda: "login failed" in path.read_text(), f"{path}")
        assert f":{mine}" in path.read_text() and f":{others}" not in path.read_text()
    assert "connected to" not in postern.log()


def test_stderr_is_a_target_in_the_foreground(env):
    refusing(env)
    postern = Postern(env, serve(env), main="daemon off;")
    postern.config.write_text(postern.config.read_text().replace(f"error_log {postern.log_path} debug", "error_log stderr info"))
    console = env.path("console.log")
    with open(console, "wb") as out:
        process = subprocess.Popen(postern.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    postern.log_path = console
    env.keep(postern).pid = process.pid
    postern.wait_log("start worker process")
    eventually(lambda: postern.pid_path.exists(), "the start")
    visit(env)
    postern.wait_log("client login failed")
    for line in postern.log().splitlines():
        assert LINE.fullmatch(line), line
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_what_a_process_writes_to_stderr_is_in_the_log(env):
    postern = env.postern(serve(env))
    for pid in (postern.pid, *postern.children()):
        assert os.readlink(f"/proc/{pid}/fd/2") == str(postern.log_path)


def test_syslog_over_udp(env):
    refusing(env)
    syslog = Syslog((env.ip(4), 5140))
    env.postern(serve(env), main=f"error_log syslog:server={env.ip(4)}:5140,facility=mail,tag=gate info;", level="error")
    visit(env)
    text = syslog.wait("client login failed")
    host = re.escape(socket.gethostname())
    assert re.fullmatch(rf"<{2 * 8 + 6}>[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d {host} gate: \d{{4}}/.* \[info\] \d+#\d+: \*\d+ "
                        r'client login failed: "not you" .*', text), text
    assert syslog.wait(r"\[notice\] .*compatible with").startswith(f"<{2 * 8 + 5}>")


def test_syslog_over_a_unix_socket_with_defaults(env):
    refusing(env)
    path = str(env.path("log.sock"))
    syslog = Syslog(path)
    env.postern(serve(env), main=f"error_log syslog:server=unix:{path},nohostname notice;", level="error")
    text = syslog.wait("start worker process")
    assert re.fullmatch(rf"<{23 * 8 + 5}>[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d nginx: \d{{4}}/.*", text), text
    assert not any("connected to" in t for t in syslog.texts())


@netns
def test_syslog_on_its_own_port(env):
    syslog = Syslog(("127.0.0.1", 514))
    env.postern(serve(env), main="error_log syslog:server=127.0.0.1 notice;", level="error")
    syslog.wait("start worker process")


def test_a_syslog_nobody_reads_stops_nothing(env):
    refusing(env)
    path = str(env.path("log.sock"))
    Syslog(path)    # taken by nobody, full soon
    env.postern(serve(env), main=f"error_log syslog:server=unix:{path} debug; error_log syslog:server={env.ip(9)} debug;")
    for _ in range(30):
        visit(env)


def test_a_syslog_that_is_not_there_is_a_warning_and_no_more(env):
    refusing(env)
    status, said = Postern(env, serve(env), main=f"error_log syslog:server=unix:{env.path('none')} debug;").run()
    assert status == 0 and "[emerg]" not in said, said
    postern = env.keep(Postern(env, serve(env)))
    postern.pid = int(postern.pid_path.read_text())
    visit(env)


def small_disk(env):
    """A file system of two pages in the test's own mount namespace."""
    disk = env.path("disk")
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", disk], check=True)
    return disk


def test_a_full_disk_stops_nothing_and_the_log_goes_on_when_there_is_room(env):
    refusing(env)
    disk = small_disk(env)
    ballast = env.write("disk/ballast", b"x" * 4096)
    postern = env.postern(serve(env), main=f"error_log {disk}/small.txt debug;", workers=2)
    for _ in range(20):
        visit(env)
    small = disk / "small.txt"
    assert small.stat().st_size == 4096
    postern.wait_log("client login failed", 20)         # the other target has it all
    postern.reload()
    visit(env)
    ballast.unlink()
    visit(env)
    eventually(lambda: small.stat().st_size > 4096, "the log goes on")


def test_the_pid_file_on_a_full_disk_fails_the_start(env):
    disk = small_disk(env)
    env.write("disk/ballast", b"x" * 8192)
    postern = Postern(env, serve(env))
    postern.config.write_text(postern.config.read_text().replace(f"pid {postern.pid_path}", f"pid {disk}/pid"))
    status, said = postern.run()
    assert status == 1 and f'"{disk}/pid" failed (28: No space left on device)' in said, said


def test_logs_reopen_while_sessions_live(env):
    refusing(env)
    own = env.path("own.txt")
    postern = env.postern(serve(env, f"error_log {own} info;"), workers=2)
    wire = Wire.to((env.ip(), 2143))
    wire.expect(b"* OK IMAP4 ready")
    os.rename(own, env.path("own.1"))
    os.rename(postern.log_path, env.path("error.1"))
    postern.kill(signal.SIGUSR1)
    eventually(lambda: own.exists() and postern.log_path.exists(), "the new files")
    assert own.stat().st_mode & 0o777 == 0o644
    eventually(lambda: all(str(own) in open_files(pid).values()
                           for pid in postern.children()), "the workers have the new file")
    size = env.path("own.1").stat().st_size
    wire.send(b"a LOGIN joe x\r\n")
    wire.expect(re.compile(rb"a NO .*"))
    eventually(lambda: "login failed" in own.read_text(), "the line in the new file")
    assert env.path("own.1").stat().st_size == size


def test_a_log_that_cannot_be_reopened_is_kept(env):
    refusing(env)
    logs = env.path("logs")
    logs.mkdir()
    postern = env.postern(serve(env), main=f"error_log {logs}/x.txt info;")
    os.rename(logs, env.path("moved"))
    postern.kill(signal.SIGUSR1)
    postern.wait_log(r'\[emerg\].*: open\(\) ".*/logs/x.txt" failed \(2:')
    visit(env)
    eventually(lambda: "login failed" in env.path("moved/x.txt").read_text(), "the line in the old file")


def test_strangers_text_cannot_forge_lines(env):
    env.keep(AuthHttp((env.ip(3), 9000), {"Auth-Status": 'no "way" \u00e9\x80'}))
    postern = env.postern(serve(env))
    for login in (b'{7+}\r\njo"\x1b\x01\\e', b'"j\xff\xc3\xa9\\"e"'):
        wire = Wire.to((env.ip(), 2143))
        wire.send(b"a LOGIN " + login + b" x\r\n")
        wire.expect(b"* OK IMAP4 ready", re.compile(rb"a NO .*"))
    postern.wait_log("client login failed", 2)
    for line in postern.log().splitlines():
        assert LINE.fullmatch(line), repr(line)
    assert b"\x1b" not in postern.log_path.read_bytes()
    assert r'login: "jo\x22\x1B\x01\x5Ce"' in postern.log(), postern.log()


def test_modes_do_not_depend_on_the_umask(env):
    for mask in (0o000, 0o077):
        for path in ("error.log", "postern.pid"):
            env.path(path).unlink(missing_ok=True)
        postern = Postern(env, serve(env))
        subprocess.run(["sh", "-c", f'umask {mask:o} && exec "$@"', "sh", *postern.command()], check=True, timeout=60)
        modes = {oct(path.stat().st_mode & 0o777) for path in (postern.log_path, postern.pid_path)}
        postern.pid = int(postern.pid_path.read_text())
        env.keep(postern).stop()
        assert modes == {"0o644"}, (oct(mask), modes)


def test_the_log_of_a_container_goes_to_its_console(env):
    """error_log /dev/stderr or /dev/stdout, also after USR1."""
    for target in ("/dev/stderr", "/dev/stdout"):
        postern = Postern(env, serve(env), main="daemon off;")
        text = postern.config.read_text()
        postern.config.write_text(text.replace(f"error_log {postern.log_path} debug", f"error_log {target} info"))
        process = subprocess.Popen(postern.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        eventually(postern.pid_path.exists, "the start")
        Wire.to((env.ip(), 2143)).expect(b"* OK IMAP4 ready")
        process.send_signal(signal.SIGUSR1)
        for _ in range(2):
            Wire.to((env.ip(), 2143)).expect(b"* OK IMAP4 ready")
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=20)
        assert process.returncode == 0 and said.count("connected to") == 3 and "reopening logs" in said, said
        assert all(LINE.fullmatch(line) for line in said.splitlines()), said
