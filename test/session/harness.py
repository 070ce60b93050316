"""What every session test stands on: a place of its own, postern in it, and a wire to talk over."""
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import time

PATIENCE = 20       # seconds after which something that must happen has not happened


class Skip(Exception):
    """This machine lacks what the test needs; the text says what."""


def netns(test):
    """The test gets a network namespace of its own: wildcard addresses and fixed ports are free there."""
    test.netns = True
    return test


def slow(test):
    """Only for ./check --all."""
    test.slow = True
    return test


def weight(seconds, limit=None):
    """Takes about so long: begun early. `limit`: seconds after which it is ended."""
    def mark(test):
        test.weight = seconds
        if limit:
            test.limit = limit
        return test
    return mark


def eventually(condition, what, patience=PATIENCE):
    """Waits until condition() is true and returns its value."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"did not happen within {patience} s: {what}")


def open_files(pid):
    """What a process has open, by descriptor, as readlink tells; what it closes meanwhile is left out."""
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            pass
    return found


def gather_logs(folder):
    """The ends of all logs below a test's folder, for the report of its failure."""
    text = ""
    for path in sorted(pathlib.Path(folder).rglob("*.log")):
        if "mail" in path.parts:        # Dovecot's own index logs
            continue
        lines = path.read_text(errors="replace").splitlines()[-60:]
        text += f"\n--- {path.relative_to(folder)}\n" + "\n".join(lines)
    return text


class Vitals:
    """What a process uses, as /proc tells."""

    def __init__(self, pid):
        self.pid, self.proc = pid, pathlib.Path(f"/proc/{pid}")

    def ticks(self):
        """CPU time so far, in hundredths of a second."""
        fields = (self.proc / "stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def wakeups(self):
        """How often it has gone to sleep so far, and so has been woken."""
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (self.proc / "status").read_text(), re.M).group(1))

    def descriptors(self):
        return len(os.listdir(self.proc / "fd"))

    def memory_kb(self):
        """What is resident and not shared with a file."""
        return int(re.search(r"RssAnon:\s+(\d+) kB", (self.proc / "status").read_text()).group(1))

    def check_memory(self, before_kb, more_kb):
        """It has not grown by more than that; AddressSanitizer keeps what was freed, and some around it."""
        now_kb = self.memory_kb()
        maps = (self.proc / "maps").read_bytes()
        if b"libasan" not in maps and b"10007fff8000" not in maps:     # clang links it in: its shadow ends there
            assert now_kb <= before_kb + more_kb, f"{before_kb} kB have become {now_kb} kB"

    def idles(self, seconds=1.0):
        """It hardly runs for so long: whatever it waits for, it does not spin."""
        before = self.ticks()
        time.sleep(seconds)
        spent = self.ticks() - before
        assert spent <= 10 * seconds, f"{spent} ticks of CPU in {seconds} s without work"

    def wait_descriptors(self, count):
        eventually(lambda: self.descriptors() <= count, f"no more than {count} descriptors are open")


class Wire:
    """A connection that a test talks over. Everything is bytes; everything has a deadline."""

    def __init__(self, sock, patience=PATIENCE):
        self.sock = sock
        self.sock.settimeout(patience)
        self.held = b""

    @classmethod
    def to(cls, address, source=None, patience=PATIENCE):
        """Connects to ("ip", port) or to the path of a UNIX socket."""
        if isinstance(address, str):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(patience)
            sock.connect(address)
        else:
            sock = socket.create_connection(address, patience, (source, 0) if source else None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock, patience)

    def secure(self, context, name="mail.example.com", session=None):
        """Shakes hands as the client (as the server with name=None). Nothing may have come ahead of it."""
        assert self.held == b"", f"came in the clear ahead of TLS: {self.held!r}"
        if name is None:
            self.sock = context.wrap_socket(self.sock, server_side=True)
        else:
            self.sock = context.wrap_socket(self.sock, server_hostname=name, session=session)
        return self

    def send(self, data):
        self.sock.sendall(data)

    def fill(self):
        """Reads some more; False at the end of file (a reset counts as one, and close_notify behind our own)."""
        try:
            more = self.sock.recv(65536)
        except (ConnectionResetError, ssl.SSLZeroReturnError):
            return False
        self.held += more
        return bool(more)

    def line(self):
        """The next line with its end; what there is at the end of file."""
        while b"\n" not in self.held:
            if not self.fill():
                break
        line, end, self.held = self.held.partition(b"\n")
        return line + end

    def take(self, count):
        """Exactly so many bytes, fewer only at the end of file."""
        pieces, missing = [], count
        while missing > 0 and (self.held or self.fill()):
            pieces.append(self.held[:missing])      # joined once: adding each to the last would be quadratic
            missing -= len(pieces[-1])
            self.held = self.held[len(pieces[-1]):]
        return b"".join(pieces)

    def rest(self):
        """All that comes until the other side closes."""
        while self.fill():
            pass
        taken, self.held = self.held, b""
        return taken

    def expect(self, *wanted):
        """The next lines are these: bytes for a whole line without CRLF, or a compiled pattern. Returns the last."""
        for want in wanted:
            got = self.line()
            if isinstance(want, bytes):
                assert got == want + b"\r\n", f"wanted {want!r}, got {got!r}"
            else:
                assert want.fullmatch(got.rstrip(b"\r\n")), f"wanted {want.pattern!r}, got {got!r}"
        return got

    def expect_end(self):
        """The other side closes without another word."""
        got = self.rest()
        assert got == b"", f"wanted the end, got {got!r}"

    def quiet(self, seconds):
        """Nothing comes for so long, and the connection stays open."""
        self.sock.settimeout(seconds)
        try:
            more = self.sock.recv(65536)
        except TimeoutError:
            return
        finally:
            self.sock.settimeout(PATIENCE)
        raise AssertionError(f"wanted silence, got {more!r}")

    def finish(self):
        """The half-close: nothing more will be sent. The FIN alone: a socket of ssl would forget that it is one."""
        socket.socket.shutdown(self.sock, socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


class Env:
    """A test's place: a folder, a /24 of loopback addresses, and all that was started in it."""

    def __init__(self, number, build, folder):
        self.number, self.build, self.folder = number, build, folder
        self.started = []

    def ip(self, host=1):
        """An address that no other test uses."""
        return f"127.{10 + self.number // 250}.{1 + self.number % 250}.{host}"

    def port(self):
        """One for ::1, of which there is only one; below those that the kernel gives to clients."""
        return 20000 + self.number % 12000

    def path(self, name):
        return self.folder / name

    def write(self, name, text, mode=0o644):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    def keep(self, thing):
        """Will be stopped when the test ends, last one first."""
        self.started.append(thing)
        return thing

    def close(self, quiet=False):
        for thing in reversed(self.started):
            try:
                thing.stop()
            except BaseException:
                if not quiet:
                    raise
        self.started = []

    def postern(self, mail, **options):
        """Starts postern with this text inside mail {} and waits until it serves."""
        return self.keep(Postern(self, mail, **options)).start()

    def source_dir(self):
        return pathlib.Path(__file__).resolve().parent.parent.parent


class Postern:
    """The daemon, from start to stop."""

    def __init__(self, env, mail="", main="", events="", workers=1, level="debug", user="nobody", config=None, args=(),
                 binary=None):
        self.env, self.args = env, list(args)
        self.binary = binary or env.build / "postern"
        self.log_path, self.pid_path = env.path("error.log"), env.path("postern.pid")
        self.config = env.path("postern.conf")
        self.write(mail, main, events, workers, level, user) if config is None else env.write("postern.conf", config)
        self.pid = None

    def write(self, mail, main="", events="", workers=1, level="debug", user="nobody"):
        """Writes the configuration; follow with reload() when it runs."""
        self.env.write("postern.conf", f"""
user {user};
worker_processes {workers};
error_log {self.log_path} {level};
pid {self.pid_path};
auth_helper_path {self.env.build};
{main}
events {{ {events} }}
mail {{
    server_name mail.example.com;
{mail}
}}
""")

    def command(self, *more):
        return [str(self.binary), "-p", str(self.env.folder), "-c", str(self.config), *self.args, *more]

    def run(self, *more):
        """Runs the command to its end; returns (status, what it said)."""
        done = subprocess.run(self.command(*more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=60)
        return done.returncode, done.stdout

    def start(self):
        status, said = self.run()
        missing = re.search(r'needs the program ".*/(postern-auth-\w+)", which is not there', said)
        if missing and not (self.env.build / missing[1]).exists():
            raise Skip(f"built without {missing[1]}")
        assert status == 0, f"postern did not start ({status}): {said}"
        self.pid = int(self.pid_path.read_text())
        return self

    def log(self):
        try:
            return self.log_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def wait_log(self, pattern, count=1):
        """Waits until the log has `count` lines that match; returns them."""
        regex = re.compile(pattern)

        def look():
            lines = [line for line in self.log().splitlines() if regex.search(line)]
            return lines if len(lines) >= count else None
        return eventually(look, f"{count} x {pattern!r} in the log")

    def kill(self, number):
        os.kill(self.pid, number)

    def children(self, title="worker process"):
        """The pids of this master's children whose title holds `title`."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                name = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == self.pid and title in name:
                found.append(int(entry.name))
        return sorted(found)

    def reload(self):
        """SIGHUP; returns when the old workers have been told and the new ones serve."""
        before = self.log().count("reconfigured")
        self.kill(signal.SIGHUP)
        eventually(lambda: self.log().count("reconfigured") > before, "the reload")

    def running(self):
        return self.pid is not None and pathlib.Path(f"/proc/{self.pid}").exists()

    def stop(self, number=signal.SIGTERM):
        """Ends it and looks after its last words: no sanitizer may have found anything."""
        if self.running():
            self.kill(number)
            eventually(lambda: not self.running() or self.zombie(), "the end of postern")
        self.pid = None
        for report in self.env.folder.glob("sanitizer.*"):
            raise AssertionError(report.read_text(errors="replace"))
        assert "Sanitizer" not in self.log() and "this must hold" not in self.log(), "a process broke: see its log"

    def zombie(self):
        try:
            return ") Z" in pathlib.Path(f"/proc/{self.pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True
