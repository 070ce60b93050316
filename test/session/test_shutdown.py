"""worker_shutdown_timeout, in every phase of a session: each is told what can be told, and the worker goes."""
import base64
import re
import threading

from certs import Authority
from harness import PATIENCE, Wire, eventually, weight
from nameserver import PTR, NameServer, reverse
from peers import AuthHttp, Listener, accept, imap_backend, pop3_backend, smtp_backend
from test_faults import Deaf

BYE = b"* BYE [UNAVAILABLE] Server shutting down, try again\r\n"
ERR = b"-ERR [SYS/TEMP] Server is shutting down\r\n"
GONE = b"421 4.3.2 mail.example.com Server is shutting down\r\n"
WORDS = {"imap": BYE, "pop3": ERR, "smtp": GONE}
SILENCE = b""
LOGIN = {"imap": "a LOGIN {user} x\r\n", "pop3": "USER {user}\r\nPASS x\r\n", "smtp": "EHLO me\r\nAUTH PLAIN {plain}\r\n"}
USUAL = {"imap": 2000, "pop3": 2001, "smtp": 2002}

# Whom the auth server sends where: user, port at the backends' address.
PORTS = {"mute": 2010, "stuck": 2011, "deaf": 2012, "half": 2013, "ended": 2014, "keeps": 2015}


def login(protocol, user):
    plain = base64.b64encode(f"\0{user}\0x".encode()).decode()
    return LOGIN[protocol].format(user=user, plain=plain).encode()


class Scene:
    """Everything that a session can hang at."""

    def __init__(self, env):
        self.env, self.over = env, threading.Event()
        ip = env.ip(2)
        for protocol, script in (("imap", imap_backend), ("pop3", pop3_backend), ("smtp", smtp_backend)):
            env.keep(Listener((ip, USUAL[protocol]), script))
        env.keep(Listener((ip, PORTS["mute"]), self.hold))
        env.keep(Listener((ip, PORTS["stuck"]), lambda wire: self.hold(wire, b"* OK backend\r\n")))
        env.keep(Deaf((ip, PORTS["deaf"])))
        env.keep(Listener((ip, PORTS["half"]), lambda wire: self.imap(wire, b"* 1 EXI")))
        env.keep(Listener((ip, PORTS["ended"]), lambda wire: self.imap(wire, b"", True)))
        env.keep(Listener((ip, PORTS["keeps"]), self.imap))
        env.keep(Listener((ip, 2016), self.slow_smtp))
        env.keep(AuthHttp((env.ip(3), 9000), self.answer))
        env.keep(NameServer((env.ip(4), 53), {(reverse("127.0.0.1"), PTR): None}))
        self.ca = Authority(env)
        self.trust = self.ca.trust()
        self.certificate, self.key = self.ca.issue("mail.example.com")
        self.postern = env.postern(self.text(), main="worker_shutdown_timeout 1500ms;")

    def hold(self, wire, said=b""):
        wire.send(said)
        self.over.wait(PATIENCE)

    def imap(self, wire, said=b"", finish=False):
        """Lets in, says something more, perhaps its last, and stays."""
        wire.send(b"* OK backend\r\n")
        tag = wire.line().split()[0]
        wire.send(tag + b" OK in\r\n" + said)
        if finish:
            wire.finish()
        self.over.wait(PATIENCE)

    def slow_smtp(self, wire):
        """Says nothing of a message."""
        wire.send(b"220 backend\r\n")
        while line := wire.line():
            verb = line.split()[0].upper()
            wire.send(b"354 go ahead\r\n" if verb == b"DATA" else b"250 fine\r\n")
            if verb == b"DATA":
                self.over.wait(PATIENCE)
                return

    def answer(self, request):
        user = request.get("Auth-User", "")
        if user == "asked" or "<asked@" in request.get("Auth-SMTP-To", ""):
            self.over.wait(PATIENCE)
            return None
        if user == "wait":
            return {"Auth-Status": "Invalid login", "Auth-Wait": "60"}
        port = USUAL[request["Auth-Protocol"]]
        if request.get("Auth-Method") == "none":
            port = 2016 if "<slow@" in request["Auth-SMTP-To"] else 2002
        return accept(self.env.ip(2), PORTS.get(user, port))

    def text(self):
        ip, tls = self.env.ip(), f"ssl_certificate {self.certificate}; ssl_certificate_key {self.key};"
        plain = "".join(f"server {{ listen {ip}:{port}; protocol {protocol}; starttls on; {tls} }}\n"
                        for protocol, port in (("imap", 143), ("pop3", 110), ("smtp", 587)))
        return f"""
    auth_http {self.env.ip(3)}:9000/auth; auth_http_timeout 60s; timeout 120s;
    proxy_ssl_verify off;
    {plain}
    server {{ listen {ip}:1143 proxy_protocol; protocol imap; }}
    server {{ listen {ip}:993 ssl; protocol imap; {tls} }}
    server {{ listen {ip}:1993; protocol imap; proxy_ssl on; }}
    server {{ listen {ip}:25; protocol smtp; smtp_auth none; xclient off; }}
    server {{ listen {ip}:1025; protocol smtp; smtp_auth none; xclient off; smtp_greeting_delay 60s; }}
    server {{ listen {ip}:1026; protocol smtp; smtp_auth none; xclient off; resolver {self.env.ip(4)}; resolver_timeout 60s; }}
"""

    def connect(self, port, greeted=True):
        wire = Wire.to((self.env.ip(), port))
        if greeted:
            assert wire.line()
        return wire


PORT_OF = {"imap": 143, "pop3": 110, "smtp": 587}
CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"      # the beginning of one


def says(protocol, data, *answers, port=None):
    """A client that is greeted, says this, and is answered these lines before it has to wait."""
    def begin(scene):
        wire = scene.connect(port or PORT_OF[protocol])
        wire.send(data)
        for answer in answers:
            wire.expect(answer)
        return wire
    return begin


def logs_in(protocol, user, port=None):
    """The same, whose login goes nowhere. What SMTP says to EHLO is skipped."""
    def begin(scene):
        wire = scene.connect(port or PORT_OF[protocol])
        wire.send(login(protocol, user))
        if protocol == "pop3":
            wire.expect(b"+OK")
        while protocol == "smtp" and not wire.line().startswith(b"250 "):
            pass
        return wire
    return begin


def silent(port):
    return lambda scene: scene.connect(port, greeted=False)


def half_hello(port):
    def begin(scene):
        wire = scene.connect(port, greeted=False)
        wire.send(CLIENT_HELLO)
        return wire
    return begin


def half_header(scene):
    wire = scene.connect(1143, greeted=False)
    wire.send(b"PROXY TCP4 192.0.2.1 ")
    return wire


def finished(begin):
    def both(scene):
        wire = begin(scene)
        wire.finish()
        return wire
    return both


def secured(scene):
    return scene.connect(993, greeted=False).secure(scene.trust)


def secured_and_greeted(scene):
    wire = secured(scene)
    assert wire.line()
    return wire


def inside(protocol, more=b"", *answers):
    """A client in its relay, or an SMTP session that is one."""
    def begin(scene):
        wire = scene.connect(PORT_OF[protocol])
        wire.send(login(protocol, "joe"))
        last = {"imap": rb"a OK .*\r\n", "pop3": rb"\+OK backend PASS\r\n", "smtp": rb"235 .*\r\n"}[protocol]
        while not re.fullmatch(last, wire.line()):
            pass
        wire.send(more)
        for answer in answers:
            wire.expect(answer)
        return wire
    return begin


def lets_in(user):
    def begin(scene):
        wire = scene.connect(143)
        wire.send(login("imap", user))
        wire.expect(b"a OK in")
        return wire
    return begin


def gate(*steps):
    """Unauthenticated SMTP: (what is sent, what is answered at its end)."""
    def begin(scene):
        wire = scene.connect(25)
        for data, answer in steps:
            wire.send(data)
            while answer is not None and not wire.line().startswith(answer):
                pass
        return wire
    return begin


HELLO, RCPT = (b"EHLO me\r\n", b"250 "), (b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", b"250 2.1.5")
SLOW = (b"MAIL FROM:<a@b>\r\nRCPT TO:<slow@d>\r\n", b"250 fine")
TEXT = b"Subject: x\r\n\r\nhello\r\n"

# What it is called, the phase in the log's words, how a client gets there, what it hears then.
PHASES = [
    ("no PROXY header", "proxy", silent(1143), SILENCE),
    ("half a PROXY header", "proxy", half_header, SILENCE),
    ("no ClientHello", "handshake", silent(993), SILENCE),
    ("half a ClientHello", "handshake", half_hello(993), SILENCE),
    ("a handshake behind STARTTLS", "handshake", says("imap", b"a STARTTLS\r\n", b"a OK completed"), SILENCE),
    ("smtp_greeting_delay", "greeting", silent(1025), GONE),
    ("name look-up", "naming", silent(1026), GONE),
    ("greeted over TLS", "dialogue", secured_and_greeted, BYE),
    *((f"greeted, {p}", "dialogue", says(p, b""), WORDS[p]) for p in WORDS),
    *((f"half a command, {p}", "dialogue", says(p, b"A"), WORDS[p]) for p in WORDS),
    ("a literal", "dialogue", says("imap", b"a LOGIN {3}\r\n", b"+ OK"), BYE),
    ("half an AUTH, imap", "dialogue", says("imap", b"a AUTHENTICATE PLAIN\r\n", b"+ "), BYE),
    ("half an AUTH, pop3", "dialogue", says("pop3", b"AUTH PLAIN\r\n", b"+ "), ERR),
    *((f"auth in flight, {p}", "asking", logs_in(p, "asked"), WORDS[p]) for p in WORDS),
    ("auth in flight, and a client that has said its last", "asking", finished(logs_in("imap", "asked")), BYE),
    *((f"Auth-Wait, {p}", "asking", logs_in(p, "wait"), WORDS[p]) for p in WORDS),
    *((f"dialling, {p}", "dial", logs_in(p, "deaf"), WORDS[p]) for p in WORDS),
    ("the backend's handshake", "secure", logs_in("imap", "mute", 1993), BYE),
    *((f"the backend's greeting, {p}", "login", logs_in(p, "mute"), WORDS[p]) for p in WORDS),
    ("the backend's answer to LOGIN", "login", logs_in("imap", "stuck"), BYE),
    *((f"relay, {p}", "relay", inside(p), WORDS[p]) for p in WORDS),
    ("relay in the middle of the client's line", "relay", inside("imap", b"n NO"), SILENCE),
    ("relay in the middle of the backend's line", "relay", lets_in("half"), b"* 1 EXI"),
    ("relay, and a client that has said its last", "relay", finished(lets_in("keeps")), BYE),
    ("relay, and a backend that has", "relay", lets_in("ended"), SILENCE),
    ("gate between commands", "gate", gate(HELLO, RCPT), GONE),
    ("gate in half a command", "gate", gate(HELLO, RCPT, (b"RCPT TO", None)), GONE),
    ("gate while a recipient is asked about", "gate", gate(HELLO, RCPT, (b"RCPT TO:<asked@x>\r\n", None)), GONE),
    ("gate in DATA", "gate", gate(HELLO, RCPT, (b"DATA\r\n", b"354"), (TEXT, None)), GONE),
    ("gate behind the dot", "gate", gate(HELLO, SLOW, (b"DATA\r\n", b"354"), (TEXT + b".\r\n", None)), GONE),
]


@weight(6)
def test_the_shutdown_timeout_ends_every_phase(env):
    scene = Scene(env)
    postern = scene.postern
    wires = [(name, begin(scene), wanted) for name, _, begin, wanted in PHASES]
    wanted_phases = [phase for _, phase, _, _ in PHASES]
    for phase in set(wanted_phases):
        postern.wait_log(rf"-> {phase}\b", wanted_phases.count(phase))
    wires[-1][1].quiet(1.1)             # a goodbye in a relay takes a second of silence
    postern.reload()
    heard = [(name, wire.rest(), wanted) for name, wire, wanted in wires]
    wrong = [f"{name}: wanted {wanted!r}, got {got!r}" for name, got, wanted in heard if got != wanted]
    assert not wrong, "\n".join(wrong)
    eventually(lambda: not postern.children("shutting down"), "the end of the old worker")
    assert len(postern.wait_log(r"\[notice\].*: shutdown timeout$")) == 1
    scene.over.set()


@weight(4)
def test_whoever_keeps_talking_or_does_not_read_is_ended_too(env):
    """Nothing is said in the middle of others' words, and queues that are full keep no worker."""
    scene = Scene(env)
    postern = scene.postern
    busy, deaf = inside("imap")(scene), scene.connect(143)
    heard = []

    def chat():
        try:
            while not scene.over.is_set():
                busy.send(b"n NOOP\r\n")
                if not (line := busy.line()):
                    break
                heard.append(line)
        except OSError:
            pass
    deaf.sock.setblocking(False)
    try:
        while True:
            deaf.sock.send(b"c CAPABILITY\r\n" * 1000)
    except BlockingIOError:
        pass
    thread = threading.Thread(target=chat, daemon=True)
    thread.start()
    eventually(lambda: len(heard) > 10, "a conversation")
    postern.reload()
    eventually(lambda: not postern.children("shutting down"), "the end of the old worker")
    thread.join(PATIENCE)
    assert set(heard[:-1]) == {b"n OK backend NOOP\r\n"} and b"BYE" not in b"".join(heard), set(heard)
    scene.over.set()
