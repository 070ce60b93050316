#!/usr/bin/env python3
"""What a login, an idle session and a gigabyte cost: Postern beside nginx, in one run.

    bench.py [--build DIR] [--logins N] [--idle N] [--megabytes N] [--rounds N] [PART ...]

PART is syscalls, cpu, idle, bulk, tls-latency, tls-cpu, tls-idle, tls-bulk, auth-cache or jwt;
all of them without one. Both proxies have one worker, error_log at level error, the same auth server
(HTTP, kept connections), the same IMAP backend, which this program plays itself, and for
imaps the same certificate (ECDSA P-256; TLS 1.3). Rounds are interleaved and the median
is printed; absolute figures move with the machine, the ratio is what counts. Memory is
that of freshly started proxies. auth-cache has Postern beside itself: users of a password
file (bcrypt, cost 10) come back all at once, without auth_cache and with it; jwt likewise
shows what judging tokens costs. All happens in a network namespace of its own. Needs
root, nginx with its mail module, openssl and strace.
"""
import argparse
import asyncio
import base64
import concurrent.futures
import glob
import os
import pathlib
import re
import resource
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "session"))
from harness import Env         # noqa: E402
from issuer import Issuer       # noqa: E402

BACKEND, AUTH, FRONT = ("127.44.0.2", 2143), ("127.44.0.3", 9000), {"postern": ("127.44.0.4", 2143), "nginx": ("127.44.0.5", 2143)}
FRONT |= {"without": ("127.44.0.6", 2143), "with": ("127.44.0.7", 2143), "EdDSA": ("127.44.0.8", 2143),
          "RS256": ("127.44.0.9", 2143)}
TLS_PORT = 2993
CHUNK = bytes(65536 - 2) + b"\r\n"


# --- the peers, on one asyncio loop in a process of their own ---

class Auth(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.held = transport, b""

    def data_received(self, data):
        self.held += data
        while b"\r\n\r\n" in self.held:
            head, _, self.held = self.held.partition(b"\r\n\r\n")
            keep = b"HTTP/1.1" in head
            self.transport.write(b"HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Server: %s\r\nAuth-Port: %d\r\n%s\r\n" % (
                BACKEND[0].encode(), BACKEND[1], b"Content-Length: 0\r\n" if keep else b"Connection: close\r\n"))
            if not keep:
                self.transport.close()


class Backend(asyncio.Protocol):
    """IMAP as far as a login needs it; `x FEED n` sends n chunks, `x SINK n` takes n chunks, then says OK."""

    def connection_made(self, transport):
        self.transport, self.held, self.literal, self.sink, self.feed = transport, b"", 0, 0, 0
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=1 << 20)
        transport.write(b"* OK [CAPABILITY IMAP4rev1 LITERAL+ SASL-IR AUTH=XOAUTH2] backend\r\n")

    paused = feeding = False

    def pause_writing(self):
        self.paused = True

    def resume_writing(self):
        self.paused = False
        self.pump()

    def pump(self):
        while self.feed and not self.paused:
            self.transport.write(CHUNK)
            self.feed -= 1
        if not self.feed and self.feeding:
            self.feeding = False
            self.transport.write(b"x OK fed\r\n")

    def data_received(self, data):
        if self.sink:
            self.sink -= len(data)
            if self.sink <= 0:
                self.sink = 0
                self.transport.write(b"x OK sunk\r\n")
            return
        self.held += data
        while b"\r\n" in self.held:
            line, _, self.held = self.held.partition(b"\r\n")
            if self.literal:
                line, self.literal = b"", line.endswith(b"}")
                if self.literal:
                    self.transport.write(b"+ OK\r\n")
                else:
                    self.transport.write(self.tag + b" OK in\r\n")
                continue
            words = line.split()
            if line.endswith(b"}"):
                self.tag, self.literal = words[0], True
                self.transport.write(b"+ OK\r\n")
            elif words[1] == b"LOGOUT":
                self.transport.write(b"* BYE\r\n" + words[0] + b" OK out\r\n")
                self.transport.close()
                return
            elif words[1] == b"FEED":
                self.feed, self.feeding = int(words[2]), True
                self.pump()
            elif words[1] == b"SINK":
                self.sink = int(words[2]) * len(CHUNK) - len(self.held)
            else:
                self.transport.write(words[0] + b" OK done\r\n")


def play_peers():
    """Forks the process that plays auth server and backend; returns its pid."""
    pid = os.fork()
    if pid:
        return pid

    async def serve():
        loop = asyncio.get_running_loop()
        await loop.create_server(Auth, *AUTH, backlog=4096)
        await loop.create_server(Backend, *BACKEND, backlog=4096)
        await asyncio.sleep(3600)
    asyncio.run(serve())
    os._exit(0)


# --- the proxies ---

class Proxy:
    def __init__(self, name, command, folder):
        self.name, self.address, self.tls_address = name, FRONT[name], (FRONT[name][0], TLS_PORT)
        self.command, self.folder = command, folder
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, cwd=self.folder)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(self.address, 1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def pids(self):
        """The master and its children."""
        children = []
        for path in glob.glob(f"/proc/{self.process.pid}/task/*/children"):
            children += [int(pid) for pid in pathlib.Path(path).read_text().split()]
        return [self.process.pid] + children

    def worker(self):
        for pid in self.pids()[1:]:
            if b"worker process" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        raise RuntimeError("no worker")

    def cpu_us(self):
        total = 0
        for pid in self.pids():
            # nanoseconds on a CPU: finer than the ticks of /proc/PID/stat
            total += int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1000
        return total

    def pss(self):
        total = 0
        for pid in self.pids():
            total += int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1]) * 1024
        return total

    def stop(self):
        self.process.terminate()
        self.process.wait(20)

    def warm(self, address, login):
        """Starts afresh, and has done what is done once: what was freed before would hide what is taken now."""
        self.stop()
        self.start()
        for _ in range(20):
            login(address)
        return self


def start_postern(build, folder):
    (folder / "postern.conf").write_text(f"""
daemon off; worker_processes 1;
error_log {folder}/postern.log error; pid {folder}/postern.pid;
events {{ worker_connections 8192; }}
mail {{ server_name bench; auth_http {AUTH[0]}:{AUTH[1]}/auth;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; ssl_protocols TLSv1.3;
    server {{ listen {FRONT['postern'][0]}:{FRONT['postern'][1]}; protocol imap; }}
    server {{ listen {FRONT['postern'][0]}:{TLS_PORT} ssl; protocol imap; }} }}
""")
    return Proxy("postern", [str(build / "postern"), "-p", str(folder), "-c", str(folder / "postern.conf")], folder)


def start_alone(name, build, folder, mail):
    """A postern with sources of its own, which are this text."""
    (folder / f"{name}.conf").write_text(f"""
daemon off; worker_processes 1;
error_log {folder}/{name}.log error; pid {folder}/{name}.pid; auth_helper_path {build};
events {{ worker_connections 8192; }}
mail {{ server_name bench; proxy_pass {BACKEND[0]}:{BACKEND[1]}; {mail}
    server {{ listen {FRONT[name][0]}:{FRONT[name][1]}; protocol imap; }} }}
""")
    return Proxy(name, [str(build / "postern"), "-p", str(folder), "-c", str(folder / f"{name}.conf")], folder)


def start_nginx(folder):
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    module = next(iter(glob.glob("/usr/lib*/nginx/modules/ngx_mail_module.so")), None)
    if program is None:
        return None
    (folder / "nginx.conf").write_text(f"""
{f'load_module {module};' if module else ''}
daemon off; worker_processes 1;
error_log {folder}/nginx.log error; pid {folder}/nginx.pid;
events {{ worker_connections 8192; }}
mail {{ server_name bench; auth_http {AUTH[0]}:{AUTH[1]}/auth;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; ssl_protocols TLSv1.3;
    server {{ listen {FRONT['nginx'][0]}:{FRONT['nginx'][1]}; protocol imap; }}
    server {{ listen {FRONT['nginx'][0]}:{TLS_PORT} ssl; protocol imap; }} }}
""")
    return Proxy("nginx", [program, "-c", str(folder / "nginx.conf")], folder)


def make_certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", "/CN=bench", "-days", "60", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
                   check=True, capture_output=True)


# --- the load ---

def trusting():
    """A client's TLS settings: what the certificate says is not what is measured."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


async def greet(address, tls=None):
    reader, writer = await asyncio.open_connection(*address, ssl=tls)
    await reader.readline()
    return reader, writer


LOGIN = b"a LOGIN joe secret\r\n"


async def log_in(reader, writer, words=LOGIN):
    writer.write(words)
    assert b"OK" in await reader.readline()


async def one_login(address, words=LOGIN):
    """Connect, greeting, login, one NOOP answered by the backend, LOGOUT."""
    reader, writer = await greet(address)
    await log_in(reader, writer, words)
    writer.write(b"b NOOP\r\n")
    assert b"OK" in await reader.readline()
    writer.write(b"c LOGOUT\r\n")
    await reader.read()
    writer.close()


async def many_logins(address, count, at_once=32, words=LOGIN):
    """`words` may depend on the lane's number."""
    async def lane(number, n):
        for _ in range(n):
            await one_login(address, words(number) if callable(words) else words)
    await asyncio.gather(*[lane(number, count // at_once) for number in range(at_once)])


async def in_groups(things, begin):
    """begin(thing) for all, fifty at once."""
    done = []
    for first in range(0, len(things), 50):
        done += await asyncio.gather(*[begin(thing) for thing in things[first:first + 50]])
    await asyncio.sleep(1)
    return done


def secure_login(address, context, session=None):
    """One login by imaps, start to end; seconds, and a session to resume."""
    start = time.perf_counter()
    with socket.create_connection(address) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain, session=session) as sock:
            file = sock.makefile("rb")
            file.readline()
            for command in (b"a LOGIN joe secret", b"b NOOP"):
                sock.sendall(command + b"\r\n")
                assert b"OK" in file.readline()
            sock.sendall(b"c LOGOUT\r\n")
            file.read()
            assert session is None or sock.session_reused
            return time.perf_counter() - start, sock.session


def many_secure_logins(address, count, resumed, at_once=16):
    context = trusting()
    session = secure_login(address, context)[1] if resumed else None
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda _: secure_login(address, context, session), range(count)))


async def silent_clients(proxy, count):
    """Bytes of PSS a client that has connected to the port of imaps and says nothing."""
    before = proxy.pss()
    clients = await in_groups([proxy.tls_address] * count, lambda address: asyncio.open_connection(*address))
    connected = proxy.pss()
    for _, writer in clients:
        writer.close()
    await asyncio.sleep(1)
    return (connected - before) / count


async def idle_sessions(proxy, address, tls, count):
    """Bytes of PSS a client that was greeted and is silent, and a client that has logged in and is idle."""
    before = proxy.pss()
    clients = await in_groups([address] * count, lambda address: greet(address, tls))
    greeted = proxy.pss()
    await in_groups(clients, lambda client: log_in(*client))
    logged_in = proxy.pss()
    for _, writer in clients:
        writer.close()
    await asyncio.sleep(1)
    return (greeted - before) / count, (logged_in - before) / count


def bulk(address, verb, chunks, tls=None):
    sock = socket.create_connection(address)
    if tls:
        sock = tls.wrap_socket(sock)
    file = sock.makefile("rb")
    file.readline()
    sock.sendall(b"a LOGIN joe secret\r\n")
    file.readline()
    sock.sendall(b"x %s %d\r\n" % (verb, chunks))
    if verb == b"SINK":
        time.sleep(0.05)
        for _ in range(chunks):
            sock.sendall(CHUNK)
        assert file.readline().startswith(b"x OK")
    else:
        left = chunks * len(CHUNK)
        file.close()
        while left > 0:
            left -= len(sock.recv(min(left, 1 << 20)))
        sock.recv(100)
    sock.close()


# --- the measurements ---

def table(title, unit, figures):
    print(f"\n{title}")
    medians = {name: statistics.median(values) for name, values in figures.items()}
    for name, value in medians.items():
        print(f"    {name:10} {value:12.1f} {unit}")
    if len(medians) == 2:
        first, second = medians.values()
        print(f"    {'ratio':10} {first / second:12.3f}")


def trace(proxy, work):
    """The worker's system calls by name while work() runs."""
    out = f"/tmp/bench.strace.{os.getpid()}"
    strace = subprocess.Popen(["strace", "-c", "-f", "-o", out, "-p", str(proxy.worker())], stderr=subprocess.DEVNULL)
    time.sleep(1)
    work()
    strace.terminate()
    strace.wait()
    rows = [line.split() for line in pathlib.Path(out).read_text().splitlines()]
    os.unlink(out)
    return {row[-1]: int(row[3]) for row in rows if len(row) >= 5 and row[3].isdigit() and row[-1] != "total"}


def show_calls(title, counts, per):
    print(f"\n{title}: {sum(counts.values()) / per:.2f}")
    print("    " + ", ".join(f"{name} {calls / per:.2f}" for name, calls in
                              sorted(counts.items(), key=lambda c: -c[1]) if calls / per >= 0.01))


def measure_syscalls(proxies, args):
    megabytes = 64
    for proxy in proxies:
        asyncio.run(many_logins(proxy.address, 320))
        counts = trace(proxy, lambda: asyncio.run(many_logins(proxy.address, args.logins)))
        show_calls(f"system calls a login, {proxy.name}", counts, args.logins // 32 * 32)
    for proxy in proxies:
        counts = trace(proxy, lambda: bulk(proxy.address, b"FEED", megabytes * 16))
        show_calls(f"system calls a megabyte down, {proxy.name} (64 KB steps are 32)", counts, megabytes)


def interleave(proxies, rounds, work):
    figures = {proxy.name: [] for proxy in proxies}
    for _ in range(rounds):
        for proxy in proxies:
            figures[proxy.name].append(work(proxy))
    return figures


def measure_cpu(proxies, args):
    def work(proxy):
        before = proxy.cpu_us()
        asyncio.run(many_logins(proxy.address, args.logins))
        return (proxy.cpu_us() - before) / (args.logins // 32 * 32)
    table(f"CPU a login (plain IMAP, {args.logins} logins, 32 at once)", "us", interleave(proxies, args.rounds, work))


def measure_idle(proxies, args):
    def work(proxy):
        proxy.warm(proxy.address, lambda address: asyncio.run(one_login(address)))
        return asyncio.run(idle_sessions(proxy, proxy.address, None, args.idle))
    figures = {proxy.name: work(proxy) for proxy in proxies}
    for column, what in enumerate(("a client that was greeted and is silent", "an idle logged-in session")):
        table(f"memory of {what} (PSS, {args.idle} of them)", "bytes",
              {name: [pair[column]] for name, pair in figures.items()})


def measure_bulk(proxies, args, tls=None):
    chunks = args.megabytes * 1024 * 1024 // len(CHUNK)
    for verb, title in ((b"FEED", "down"), (b"SINK", "up")):
        def work(proxy):
            before = proxy.cpu_us()
            bulk(proxy.tls_address if tls else proxy.address, verb, chunks, tls)
            return (proxy.cpu_us() - before) / 1000 * 1024 / args.megabytes
        table(f"CPU a gigabyte {title} ({'TLS in front' if tls else 'plain'})", "ms",
              interleave(proxies, args.rounds, work))


def measure_tls_latency(proxies, args):
    count = max(20, args.logins // 64)

    def work(proxy):
        context = trusting()
        return statistics.median(secure_login(proxy.tls_address, context)[0] for _ in range(count)) * 1000
    table(f"latency of a login by imaps (p50 of {count}, one after the other)", "ms",
          interleave(proxies, args.rounds, work))


def measure_tls_cpu(proxies, args):
    count = args.logins // 4
    for resumed in (False, True):
        def work(proxy):
            before = proxy.cpu_us()
            many_secure_logins(proxy.tls_address, count, resumed)
            return (proxy.cpu_us() - before) / count
        table(f"CPU a login by imaps, {'resumed' if resumed else 'full handshake'} ({count} logins, 16 at once)", "us",
              interleave(proxies, args.rounds, work))


def measure_tls_idle(proxies, args):
    def warm(proxy):
        return proxy.warm(proxy.tls_address, lambda address: secure_login(address, trusting()))

    table(f"memory of a TLS client that has connected and is silent (PSS, {args.idle} of them)", "bytes",
          {proxy.name: [asyncio.run(silent_clients(warm(proxy), args.idle))] for proxy in proxies})
    figures = {proxy.name: asyncio.run(idle_sessions(warm(proxy), proxy.tls_address, trusting(), args.idle))
               for proxy in proxies}
    for column, what in enumerate(("a TLS client that was greeted and is silent", "an idle logged-in TLS session")):
        table(f"memory of {what} (PSS, {args.idle} of them)", "bytes",
              {name: [pair[column]] for name, pair in figures.items()})


def measure_tls_bulk(proxies, args):
    measure_bulk(proxies, args, trusting())


def storm(proxy, count, words):
    """So many clients log in, 64 at once; (logins a second, us of CPU a login in all processes of the proxy)."""
    before, start = proxy.cpu_us(), time.perf_counter()
    asyncio.run(many_logins(proxy.address, count, 64, words))
    seconds = time.perf_counter() - start
    return count / seconds, (proxy.cpu_us() - before) / count


def compare(title, proxies, rounds, work):
    """Runs storms in turns; work(proxy) is one."""
    figures = interleave(proxies, rounds, work)
    for column, (what, unit) in enumerate((("logins a second", "/s"), ("CPU a login, workers and helpers", "us"))):
        table(f"{title}: {what}", unit, {name: [pair[column] for pair in pairs] for name, pairs in figures.items()})


def measure_auth_cache(proxies, args):
    build, folder = args.build.resolve(), args.folder
    users = folder / "users"
    users.touch(0o600)
    subprocess.run([build / "postern-passwd", "-s", "BLF-CRYPT", "-r", "10", "-i", users, "add", "user"],
                   input=b"secret\n", check=True, stdout=subprocess.DEVNULL)
    secret = users.read_text().strip().partition(":")[2]
    users.write_text("".join(f"user{i}:{secret}\n" for i in range(64)))
    pair = [start_alone("without", build, folder, f"auth_file {users};"),
            start_alone("with", build, folder, f"auth_file {users}; auth_cache zone=logins:1m ttl=1h;")]

    def words(number):
        return b"a LOGIN user%d secret\r\n" % number
    try:
        storm(pair[1], 64, words)       # everybody has been here before
        compare("64 users of bcrypt, cost 10, come back, without auth_cache and with it", pair, args.rounds,
                lambda proxy: storm(proxy, 128 if proxy is pair[0] else args.logins // 64 * 64, words))
    finally:
        for proxy in pair:
            proxy.stop()


def measure_jwt(proxies, args):
    build, folder = args.build.resolve(), args.folder
    pair, tokens = [], {}
    try:
        for alg in "EdDSA", "RS256":
            (folder / alg).mkdir()
            issuer = Issuer(Env(0, build, folder / alg), (alg,))
            said = f"user=joe@example.org\1auth=Bearer {issuer.token()}\1\1".encode()
            tokens[alg] = b"a AUTHENTICATE XOAUTH2 " + base64.b64encode(said) + b"\r\n"
            pair.append(start_alone(alg, build, folder, f"auth_jwt {issuer.path}; auth_token_issuer {issuer.URL}; "
                                    "auth_token_audience mail; imap_auth xoauth2;"))
        compare("tokens of auth_jwt", pair, args.rounds,
                lambda proxy: storm(proxy, args.logins // 64 * 64, tokens[proxy.name]))
    finally:
        for proxy in pair:
            proxy.stop()


PARTS = {"syscalls": measure_syscalls, "cpu": measure_cpu, "idle": measure_idle, "bulk": measure_bulk,
         "tls-latency": measure_tls_latency, "tls-cpu": measure_tls_cpu, "tls-idle": measure_tls_idle,
         "tls-bulk": measure_tls_bulk, "auth-cache": measure_auth_cache, "jwt": measure_jwt}
OURS = {"auth-cache", "jwt"}    # nginx has nothing like it


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path.cwd())
    parser.add_argument("--logins", type=int, default=6400)
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART")
    args = parser.parse_args()
    if "POSTERN_BENCH_INSIDE" not in os.environ:        # so that no other run is in the way
        os.environ["POSTERN_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh",
                              sys.executable, __file__, *sys.argv[1:]])
    folder = args.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-bench."))
    folder.chmod(0o755)
    make_certificate(folder)
    # Proxies and peers inherit it: an idle session is two descriptors here and two there.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    peers = play_peers()
    proxies = []
    try:
        time.sleep(0.5)
        if set(args.parts or PARTS) - OURS:
            proxies += filter(None, (start_postern(args.build.resolve(), folder), start_nginx(folder)))
        for part in args.parts or PARTS:
            PARTS[part](proxies, args)
    finally:
        for proxy in proxies:
            proxy.stop()
        os.kill(peers, 15)
        os.waitpid(peers, 0)
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
