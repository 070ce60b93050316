"""A gateway between a scripted auth server and a scripted backend, and what is said across it."""
import base64
import select
import threading
import time

from harness import PATIENCE, Wire, eventually
from peers import AuthHttp, Listener, accept, imap_backend, pop3_backend, smtp_backend

BACKENDS = {"imap": imap_backend, "pop3": pop3_backend, "smtp": smtp_backend}
GREETINGS = {"imap": b"* OK IMAP4 ready", "pop3": b"+OK POP3 ready", "smtp": b"220 mail.example.com ESMTP ready"}
SECRET = b"s3cr3t-of-joe"


def b64(*parts):
    """Base64 of its parts, NUL between them: b64(b"", b"joe", b"x") is PLAIN's message."""
    return base64.b64encode(b"\0".join(parts))


class Stage:
    """Auth server, backend and postern of one protocol.

    `servers` maps names to the settings of a server; each listens on a port of its own, with
    the parameters `listen`. Or `raw` is the text of all servers; the first has port 2143.
    `answer` is what AuthHttp takes; by default everybody is let in. The backend is a
    function of a Wire; `heard` has each command that the usual one was given.
    """

    def __init__(self, env, protocol, servers=None, answer=None, backend=None, mail="", listen="",
                 raw=None, **options):
        self.env, self.protocol = env, protocol
        self.heard = []
        self.backend = env.keep(Listener((env.ip(2), 2000), backend or self.usual))
        self.yes = accept(env.ip(2), 2000)
        self.auth = env.keep(AuthHttp((env.ip(3), 9000), answer or self.yes))
        servers = servers or {"": ""}
        self.ports = {name: 2143 + i for i, name in enumerate(servers)}
        blocks = "\n".join(f"server {{ listen {env.ip()}:{self.ports[name]} {listen}; protocol {protocol}; {text} }}"
                           for name, text in servers.items())
        self.postern = env.postern(f"auth_http {env.ip(3)}:9000/auth;\n{mail}\n{raw or blocks}\n", **options)
        env.keep(self)

    def usual(self, wire):
        BACKENDS[self.protocol](wire, on_command=self.heard.append)

    def address(self, server=None):
        return self.env.ip(), self.ports[server] if server is not None else next(iter(self.ports.values()))

    def connect(self, server=None):
        return Wire.to(self.address(server))

    def client(self, server=None):
        """A client that has been greeted."""
        client = self.connect(server)
        line = client.line()
        assert line.startswith(GREETINGS[self.protocol]) and line.endswith(b"\r\n"), line
        return client

    def say(self, said, server=None):
        """All that a client hears that says this, and then no more, behind its greeting."""
        client = self.client(server)
        client.send(said)
        client.finish()
        heard = client.rest()
        client.close()
        return heard

    def untouched(self):
        """Nobody asked the auth server or the backend anything."""
        assert not self.auth.requests, self.auth.requests[0].raw
        assert self.backend.accepted == 0

    def stop(self):
        """Whatever happened: no password in the log, in any encoding."""
        log = self.postern.log()
        for form in (SECRET.decode(), b64(SECRET).decode().rstrip("="), b64(b"", b"joe", SECRET).decode().rstrip("=")):
            assert form not in log, f"the log holds {form!r}"


def check_all(stage, cases):
    """Each case is (server, said, heard): what is heard is said by the gateway up to the end of the connection."""
    wrong = []
    for server, said, heard in cases:
        got = stage.say(said, server)
        if got != heard:
            wrong.append(f"[{server}] said {said!r}\n  wanted {heard!r}\n  heard  {got!r}")
    assert not wrong, "\n".join(wrong)


def listen_to_all(wires, patience=PATIENCE):
    """What each of many connections says up to its end; they are read side by side."""
    left = {wire.sock: wire for wire in wires}
    end = time.monotonic() + patience
    while left:
        ready, _, _ = select.select(list(left), [], [], max(0, end - time.monotonic()))
        assert ready, f"{len(left)} of {len(wires)} connections were not closed"
        for sock in ready:
            if not left[sock].fill():
                del left[sock]
    return [wire.held for wire in wires]


def cut_everywhere(stage, said, server=None):
    """Says `said` in two pieces, cut at every offset, each on a connection of its own; returns what each heard."""
    clients = [stage.client(server) for _ in range(len(said) + 1)]
    for cut, client in enumerate(clients):
        client.send(said[:cut])
    time.sleep(0.2)         # both pieces must not arrive as one
    for cut, client in enumerate(clients):
        client.send(said[cut:])
        client.finish()
    heard = listen_to_all(clients)
    for client in clients:
        client.close()
    return heard


class Cutter:
    """A backend's side of a Wire that pauses at one offset of all it sends."""

    def __init__(self, wire, cut):
        self.wire, self.cut, self.sent = wire, cut, 0

    def send(self, data):
        here = self.cut - self.sent
        self.sent += len(data)
        if 0 < here < len(data):
            self.wire.send(data[:here])
            time.sleep(0.05)
            data = data[here:]
        self.wire.send(data)


class Counter:
    """Numbers for threads."""

    def __init__(self):
        self.lock, self.count = threading.Lock(), 0

    def next(self):
        with self.lock:
            self.count += 1
            return self.count - 1


def trickle(client, data, pause=0.1):
    """Sends byte by byte, round and round, until the other side has had enough; returns what it said."""
    end = time.monotonic() + PATIENCE
    for i in range(10 ** 6):
        try:
            client.send(data[i % len(data):][:1])
        except OSError:
            break
        if select.select([client.sock], [], [], pause)[0] and not client.fill():
            break
        assert time.monotonic() < end, "the connection is still open"
    return client.held


def wait_requests(stage, count):
    eventually(lambda: len(stage.auth.requests) >= count, f"{count} questions to the auth server")
