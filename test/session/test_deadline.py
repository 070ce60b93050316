"""The time before login is bounded as a whole: no byte that trickles in, no phase that begins, and no TLS extends it."""
import select
import ssl
import threading
import time

from certs import Authority
from harness import PATIENCE, Wire, weight
from stage import Stage, b64
from test_access import START

HALF = 2        # seconds; `timeout` is twice that
GOODBYE = {"imap": b"* BYE Idle", "pop3": b"-ERR", "smtp": b"421"}
CLEAR, TLS, PROXY, PROXY_TLS = range(4)
PORTS = {protocol: [2000 + 100 * i + kind for kind in range(4)] for i, protocol in enumerate(("imap", "pop3", "smtp"), 1)}
HEADER = b"PROXY UNKNOWN " + b"x" * 60 + b"\r\n"
NOOP = {"imap": b"a NOOP\r\n", "pop3": b"NOOP\r\n", "smtp": b"NOOP\r\n"}
# Whose answer stands behind those of all NOOPs and is like none of them; in SMTP that of STARTTLS itself does.
LAST = {"imap": (b"last NOOP\r\n", b"last OK"), "pop3": (b"CAPA\r\n", b"\r\n.\r\n")}
AUTH = {"imap": b"a AUTHENTICATE PLAIN\r\n", "pop3": b"AUTH PLAIN\r\n", "smtp": b"AUTH PLAIN\r\n"}


class House:
    """Every kind of listen of each protocol."""

    def __init__(self, env):
        authority = Authority(env)
        certificate, key = authority.issue("mail.example.com")
        # The tickets of 1.3 would come where no answer does.
        self.env, self.context = env, authority.trust(version=ssl.TLSVersion.TLSv1_2)
        words = {CLEAR: "", TLS: "ssl", PROXY: "proxy_protocol", PROXY_TLS: "ssl proxy_protocol"}
        self.stage = Stage(env, "imap", mail=f"timeout {2 * HALF}s; max_errors 1000; ssl_certificate {certificate}; "
                                             f"ssl_certificate_key {key}; pop3_auth plain;",
                           raw="".join(f"server {{ listen {env.ip()}:{port} {words[kind]}; protocol {protocol}; "
                                       f"{'starttls on;' if kind == CLEAR else ''} }}\n"
                                       for protocol, ports in PORTS.items() for kind, port in enumerate(ports)))

    def hello(self):
        """The first words of a handshake."""
        out = ssl.MemoryBIO()
        try:
            self.context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="mail.example.com").do_handshake()
        except ssl.SSLWantReadError:
            return out.read()
        raise AssertionError("a handshake without a server")


class Dawdler:
    """A client that dawdles in one phase until half of its time is over, and then in another, byte by byte."""

    def __init__(self, house, protocol, name, kind, first, then):
        self.house, self.protocol, self.name = house, protocol, f"{protocol}: {name}"
        self.first, self.then = first, then
        self.client = Wire.to((house.env.ip(), PORTS[protocol][kind]))
        self.heard, self.ended = b"", False

    def drip(self, data, until=None):
        """Says it byte by byte, round and round, and listens, until it is time or the other side has had enough."""
        end, at = time.monotonic() + PATIENCE, 0
        while not self.ended and not (until and until.is_set()):
            assert time.monotonic() < end, f"{self.name}: still open"
            try:
                if data:
                    self.client.send(data[at % len(data):][:1])
                at += 1
                if select.select([self.client.sock], [], [], 0.1)[0]:
                    self.ended = not self.client.fill()
            except OSError:
                self.ended = True
            self.heard += self.client.held
            self.client.held = b""
        return at

    def say(self, data, wanted):
        self.client.send(data)
        while wanted not in self.heard and self.client.fill():
            self.heard += self.client.held
            self.client.held = b""
        assert wanted in self.heard, (self.name, self.heard)

    # What can be dawdled with first; each ends where the second begins.

    def silence(self, until):
        self.drip(b"", until)

    def header(self, until):
        at = self.drip(HEADER[:-2], until)
        self.client.send(HEADER[at:])

    def commands(self, until):
        self.drip(NOOP[self.protocol] * 1000, until)
        self.client.send(b"\r\n")

    def secured(self, until):
        """STARTTLS, at the half."""
        self.commands(until)
        for go, ready in filter(None, (LAST.get(self.protocol), START[self.protocol])):
            self.heard = b""
            self.say(go, ready)

    def run(self, half, ends):
        getattr(self, self.first)(half)
        self.heard = b""
        self.then(self)
        ends.append(self.name)


def hello(d):
    d.drip(d.house.hello())
    assert d.heard == b"", d.heard


def commands(d):
    d.drip(NOOP[d.protocol])
    assert GOODBYE[d.protocol] in d.heard, d.heard


def password(d):
    d.say(AUTH[d.protocol], {"imap": b"+ ", "pop3": b"+ ", "smtp": b"334 "}[d.protocol])
    d.drip(b64(b"", b"joe", b"x" * 200))
    assert GOODBYE[d.protocol] in d.heard, d.heard


def commands_in_tls(d):
    d.client.secure(d.house.context)
    commands(d)


CASES = [
    ("a header", PROXY, "silence", lambda d: d.drip(HEADER[:-2])),
    ("commands behind a header", PROXY, "header", commands),
    ("a handshake", TLS, "silence", hello),
    ("a handshake behind a header", PROXY_TLS, "header", hello),
    ("commands behind a handshake", TLS, "silence", commands_in_tls),
    ("commands behind a handshake behind a header", PROXY_TLS, "header", commands_in_tls),
    ("commands", CLEAR, "commands", commands),
    ("a password", CLEAR, "commands", password),
    ("a handshake behind STARTTLS", CLEAR, "secured", hello),
    ("commands behind STARTTLS", CLEAR, "secured", commands_in_tls),
]


@weight(8)
def test_nothing_extends_the_time_before_login(env):
    """Whoever came first is gone before those who came when half of its time was over, in silence."""
    house, half, ends, errors = House(env), threading.Event(), [], []

    def guard(work):
        try:
            work()
        except Exception as error:      # the test shall see it
            errors.append(error)

    def wait(client):
        client.rest()
        ends.append("a late one")
    dawdlers = [Dawdler(house, protocol, *case) for protocol in PORTS for case in CASES]
    threads = [threading.Thread(target=guard, args=(lambda d=d: d.run(half, ends),)) for d in dawdlers]
    for thread in threads:
        thread.start()
    house.stage.postern.wait_log("connected to", len(dawdlers))
    time.sleep(HALF)
    late = [Wire.to((env.ip(), PORTS[protocol][CLEAR])) for protocol in PORTS]
    threads += [threading.Thread(target=guard, args=(lambda c=c: wait(c),)) for c in late]
    for thread in threads[len(dawdlers):]:
        thread.start()
    time.sleep(HALF / 8)
    half.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert not errors, errors
    assert len(ends) == len(dawdlers) + len(late) and set(ends[len(dawdlers):]) == {"a late one"}, ends
    house.stage.postern.wait_log("client timed out", len(ends))
    house.stage.untouched()


def test_logins_that_fail_do_not_extend_it_either(env):
    """The clock stands while a source has the turn, and goes on from there: three pauses do not fit."""
    stage = Stage(env, "imap", mail="timeout 1s;", answer={"Auth-Status": "no", "Auth-Wait": "1"})
    client = stage.client()
    for _ in range(10):
        time.sleep(0.4)
        client.send(b"a LOGIN joe wrong\r\n")
        if (heard := client.line()) != b"a NO no\r\n":
            break
    assert heard.startswith(GOODBYE["imap"]) and client.rest() == b"", heard
    assert len(stage.auth.requests) <= 2
    stage.postern.wait_log("client timed out")
