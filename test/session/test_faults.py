"""Peers that close, reset, fall silent, trickle or talk rubbish, in each stage of a session."""
import base64
import random
import re
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from harness import Vitals, Wire, eventually, netns
from peers import Listener, Request, accept, compose
from stage import BACKENDS

LOGIN = {
    "imap": "a LOGIN {user} secret\r\n",
    "pop3": "USER {user}\r\nPASS secret\r\n",
    "smtp": "EHLO me\r\nAUTH PLAIN {plain}\r\n",
}
# What a client hears to a login that nobody could judge, and what still works afterwards.
UNAVAILABLE = {
    "imap": (b"a NO [UNAVAILABLE] ", b"b NOOP\r\n", b"b OK"),
    "pop3": (b"-ERR [SYS/TEMP] ", b"NOOP\r\n", b"+OK"),
    "smtp": (b"4", b"NOOP\r\n", b"250"),
}
READY = {"imap": b"* OK backend\r\n", "pop3": b"+OK backend\r\n", "smtp": b"220 backend ESMTP\r\n"}
SERVER = {"imap": "", "pop3": "", "smtp": "xclient off; proxy_smtp_auth on;"}


def hold(wire):
    """Keeps the connection until the other side closes it."""
    wire.rest()


def silence(wire):
    hold(wire)


def close(wire):
    pass


def reset(wire):
    wire.reset()


def half_close(wire):
    wire.finish()
    hold(wire)


def trickle(wire):
    """A line that never ends, byte by byte."""
    try:
        while True:
            wire.send(b"*")
            time.sleep(0.05)
    except OSError:
        pass


def garbage(wire):
    wire.send(b"\0\xff%n\r\r\n" * 30 + b"\r\n\r\n")
    hold(wire)


def endless(wire):
    """More than any buffer holds, and no end of line in it."""
    try:
        while True:
            wire.send(b"*" * 65536)
    except OSError:
        pass


FAULTS = {f.__name__: f for f in (silence, close, reset, half_close, trickle, garbage, endless)}


class Deaf:
    """An address whose connections never come about: the kernel's queue is full."""

    def __init__(self, address):
        self.sock = socket.socket()
        self.sock.bind(address)
        self.sock.listen(0)
        self.full = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            self.full.append(filler)

    def stop(self):
        for sock in self.full + [self.sock]:
            sock.close()


def read_request(wire):
    while b"\r\n\r\n" not in wire.held:
        if not wire.fill():
            return None
    raw, _, wire.held = wire.held.partition(b"\r\n\r\n")
    return Request(raw)


def login(protocol, user):
    plain = base64.b64encode(f"\0{user}\0secret".encode()).decode()
    return LOGIN[protocol].format(user=user, plain=plain).encode()


def verdict(client, protocol):
    """The line that decides a login."""
    while True:
        line = client.line()
        assert line, "closed without a word"
        if protocol == "imap" and line.startswith(b"a "):
            return line
        if protocol == "pop3" and line != b"+OK\r\n":
            return line
        if protocol == "smtp" and line[:3] not in (b"250", b"334"):
            return line


class Theatre:
    """One postern with a server for each protocol; a user's name says what becomes of it.

    http-FAULT and part-FAULT happen at the auth server, before and within its answer;
    anybody else has a backend of that name, whose script is a function of the Wire.
    """

    def __init__(self, env, scripts=None, mail="", limit="1500ms"):
        self.env, self.ports, self.hosts = env, {}, {}
        for name, script in {**BACKENDS, **(scripts or {})}.items():
            self.ports[name] = 7000 + len(self.ports)
            env.keep(script if isinstance(script, Deaf) else Listener((env.ip(2), self.ports[name]), script))
        env.keep(Listener((env.ip(3), 9000), self.ask))
        self.address = {p: (env.ip(), 2143 + i) for i, p in enumerate(LOGIN)}
        servers = "\n".join(f"server {{ listen {ip}:{port}; protocol {p}; {SERVER[p]} }}"
                            for p, (ip, port) in self.address.items())
        self.postern = env.postern(f"""
    auth_http {env.ip(3)}:9000/;
    timeout {limit}; auth_http_timeout {limit}; proxy_timeout {limit};
    {mail}
    {servers}
""")
        self.worker = Vitals(self.postern.children()[0])
        self.before = self.worker.descriptors()

    def ask(self, wire):
        while (request := read_request(wire)) is not None:
            user = request["Auth-User"]
            stage, _, fault = user.partition("-")
            if stage == "part":
                wire.send(b"HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Ser")
            if stage in ("http", "part"):
                FAULTS.get(fault, close)(wire)          # chance makes up names
                return
            port = self.ports.get(user, self.ports[request["Auth-Protocol"]])
            wire.send(compose(accept(self.hosts.get(user, self.env.ip(2)), port)))

    def client(self, protocol, user=None):
        """A client that has been greeted and, with a user, has said its login."""
        client = Wire.to(self.address[protocol])
        client.line()
        if user:
            client.send(login(protocol, user))
        return client

    def bystander(self):
        """Somebody else, who has logged in and notices nothing."""
        client = self.client("imap", "good")
        client.expect(b"a OK backend LOGIN")
        return client

    def judge(self, protocol, user, pattern, client):
        """It hears of a temporary failure, may go on, and one line tells why. Returns what is wrong."""
        start, said, heard = UNAVAILABLE[protocol]
        line = verdict(client, protocol)
        client.send(said)
        after = client.line()
        client.close()
        if not line.startswith(start) or not after.startswith(heard):
            return f"{protocol} {user}: {line!r} {after!r}"
        lines = [text for text in self.postern.log().splitlines() if "[error]" in text
                 and f'login: "{user}"' in text and f"server: {self.env.ip()}:{self.address[protocol][1]}" in text]
        if len(lines) != 1 or not re.search(pattern, lines[0]):
            return f"{protocol} {user}: wanted one line with {pattern!r}: {lines}"

    def run(self, cases):
        """All logins at once. Each case is (protocol, user, pattern in the log)."""
        other = self.bystander()
        with ThreadPoolExecutor(len(cases)) as pool:
            wrong = pool.map(lambda case: self.judge(*case, self.client(*case[:2])), cases)
            other.send(b"x NOOP\r\n")
            other.expect(b"x OK backend NOOP")
            wrong = [said for said in wrong if said]
        assert not wrong, "\n".join(wrong)
        other.close()
        self.settle()

    def settle(self):
        """Nothing is left of what was: no descriptor, no work, no session."""
        kept = 32                               # connections to the auth server that may be used again
        self.worker.wait_descriptors(self.before + kept)
        self.worker.idles(0.5)
        self.postern.kill(signal.SIGQUIT)       # a worker leaves when it counts no session
        eventually(self.postern.zombie, "the end of all")


def test_an_auth_server_at_fault_is_a_temporary_failure(env):
    server = f"auth http server {re.escape(env.ip(3))}:9000 "
    patterns = {
        "silence": "timed out", "close": "closed", "reset": "closed", "half_close": "closed",
        "trickle": "timed out|sent invalid", "garbage": "sent invalid", "endless": "sent invalid",
    }
    Theatre(env).run([(protocol, f"{stage}-{fault}", server + pattern) for protocol in LOGIN
                      for stage in ("http", "part") for fault, pattern in patterns.items()])


def greeting(fault):
    return FAULTS[fault]


def behind_greeting(protocol, fault):
    def script(wire):
        wire.send(READY[protocol])
        wire.line()
        FAULTS[fault](wire)
    return script


def behind_password(protocol, fault):
    """Plays along until it has the password."""
    def script(wire):
        wire.send(READY[protocol])
        while b"secret" not in (line := wire.line()) and b"AUTH PLAIN" not in line:
            if not line:
                return
            if line.endswith(b"}\r\n"):
                wire.send(b"+ OK\r\n")
            elif protocol == "smtp":
                wire.send(b"250 backend\r\n")
            elif protocol == "pop3":
                wire.send(b"+OK\r\n")
        FAULTS[fault](wire)
    return script


def test_a_backend_at_fault_is_a_temporary_failure(env):
    gone = "upstream prematurely closed connection"
    patterns = {
        "silence": "upstream timed out", "close": gone, "reset": f"{gone}|reset by peer", "half_close": gone,
        "trickle": "upstream (timed out|sent invalid)", "garbage": "upstream sent invalid response",
        "endless": "upstream sent (too long|invalid) response",
    }
    scripts, cases = {}, []
    for protocol in LOGIN:
        for fault, pattern in patterns.items():
            for stage, script in ("greeting", greeting(fault)), ("command", behind_greeting(protocol, fault)), \
                    ("password", behind_password(protocol, fault)):
                scripts[f"{protocol}-{stage}-{fault}"] = script
                cases.append((protocol, f"{protocol}-{stage}-{fault}", pattern))
    theatre = Theatre(env, scripts)
    theatre.run([(p, u,
                  f"({pattern}).* while .*upstream: {re.escape(env.ip(2))}:{theatre.ports[u]},") for p, u, pattern in cases])


def test_a_backend_that_cannot_be_reached_is_a_temporary_failure(env):
    theatre = Theatre(env)
    theatre.ports["refusing"], theatre.ports["deaf"] = 1, 2
    env.keep(Deaf((env.ip(2), 2)))
    theatre.run([(protocol, user, pattern + f".* while connecting to upstream, .*upstream: {re.escape(env.ip(2))}:")
                 for protocol in LOGIN for user, pattern in (("refusing", "connect\\(\\) failed"),
                                                            ("deaf", "upstream timed out"))])


def test_an_auth_server_that_cannot_be_reached_is_a_temporary_failure(env):
    env.keep(Deaf((env.ip(4), 9000)))
    cases = [(9000, "auth http server .* timed out"), (9, "auth http server .* failed .*refused")]
    servers = "\n".join(f"server {{ listen {env.ip()}:{2143 + i}; auth_http {env.ip(4)}:{port}/; protocol imap; }}"
                        for i, (port, _) in enumerate(cases))
    postern = env.postern("auth_http_timeout 1s;" + servers)
    for i, (_, pattern) in enumerate(cases):
        client = Wire.to((env.ip(), 2143 + i))
        client.expect(b"* OK IMAP4 ready")
        client.send(login("imap", "joe"))
        client.expect(re.compile(rb"a NO \[UNAVAILABLE\] .*"))
        postern.wait_log(pattern)
        client.close()
    assert postern.log().count("[error]") == len(cases)


def play(client, fault):
    """What the client heard while it did this, up to its end or the other side's."""
    if fault in ("close", "reset"):
        getattr(client, fault)()
        return b""
    if fault == "trickle":
        trickle(client)
    elif fault == "garbage":
        client.send(b"\0\xff%n\r\r\n" * 30)
    elif fault == "half_close":
        client.finish()
    return client.rest()


GOODBYE = {"imap": b"* BYE", "pop3": b"-ERR", "smtp": b"421"}

# What a client has said before it fails: nothing, half a command, half an authentication.
BEGUN = {
    "imap": (b"", b"a LOG", b"a LOGIN {5}\r\n", b"a AUTHENTICATE PLAIN\r\n"),
    "pop3": (b"", b"US", b"USER joe\r\n", b"AUTH PLAIN\r\n"),
    "smtp": (b"", b"EH", b"EHLO me\r\nAUTH PLAIN\r\n", b"EHLO me\r\nAUTH LOGIN\r\n"),
}


def test_a_client_at_fault_before_its_login_is_let_go(env):
    theatre = Theatre(env, mail="max_errors 100;")

    def case(protocol, begun, fault):
        client = theatre.client(protocol)
        client.send(begun)
        heard = play(client, fault)
        if fault in ("silence", "trickle", "garbage") and not GOODBYE[protocol] in heard:
            return f"{protocol} {begun!r} {fault}: no goodbye in {heard!r}"

    cases = [(p, begun, fault) for p in BEGUN for begun in BEGUN[p]
             for fault in ("close", "reset", "half_close", "silence", "trickle", "garbage")]
    with ThreadPoolExecutor(len(cases)) as pool:
        wrong = [said for said in pool.map(case, *zip(*cases)) if said]
    assert not wrong, "\n".join(wrong)
    timed_out = [line for line in theatre.postern.log().splitlines() if "client timed out while in auth state" in line]
    assert len(timed_out) == len([c for c in cases if c[2] in ("silence", "trickle", "garbage")]), len(timed_out)
    assert "[error]" not in theatre.postern.log()
    theatre.settle()


def test_a_client_that_goes_while_others_have_the_turn_is_noticed(env):
    """During the question, the connect and the backend's login, long before their own limits."""
    scripts = {f"{p}-{stage}": behind_greeting(p, "silence") if stage == "login" else silence
               for p in LOGIN for stage in ("greeting", "login")}
    theatre = Theatre(env, scripts, limit="60s")
    clients = [theatre.client(p, user) for p in LOGIN for user in ("http-silence", f"{p}-greeting", f"{p}-login")]
    eventually(lambda: theatre.worker.descriptors() >= theatre.before + 2 * len(clients), "all questions under way")
    for client in clients:
        client.reset()
    theatre.settle()
    assert "timed out" not in theatre.postern.log()


def test_a_client_at_fault_before_its_greeting_is_let_go(env):
    theatre = Theatre(env, mail="smtp_greeting_delay 1s;", limit="3s")
    clients = [(fault, Wire.to(theatre.address["smtp"])) for fault in ("close", "reset", "half_close", "garbage", "silence")]
    for fault, client in clients:
        if fault == "silence":
            client.expect(b"220 mail.example.com ESMTP ready")
            client.close()
            continue
        heard = play(client, fault)
        assert heard == (b"503 5.5.0 Improper use of SMTP command pipelining\r\n" if fault == "garbage" else b""), heard
    theatre.settle()


class NameServer:
    """A DNS server on 127.0.0.1 that answers a question as its first label says."""

    def __init__(self, env, address):
        """`address`: where the good name leads to."""
        self.good = socket.inet_aton(address)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 53))
        conf = env.write("resolv.conf", "nameserver 127.0.0.1\n")
        subprocess.run(["mount", "--bind", str(conf), "/etc/resolv.conf"], check=True)
        threading.Thread(target=self.loop, daemon=True).start()

    def loop(self):
        while True:
            try:
                question, peer = self.sock.recvfrom(4096)
            except OSError:
                return
            label = question[13:13 + question[12]].decode()
            if (answer := self.answer(label, question)) is not None:
                self.sock.sendto(answer, peer)

    def answer(self, label, question):
        end = question.index(b"\0", 12) + 5
        asked = question[12:end]
        is_a = asked[-3] == 1
        head = question[:2]
        if label == "silent":
            return None
        if label == "garbage":
            return b"\0\xff" * 40
        if label == "short":
            return head + b"\x81\x80\0\1\0\1\0\0\0\0" + asked + b"\xc0\x0c\0\1"
        if label == "loop":         # a name that is a pointer to itself
            return head + b"\x81\x80\0\1\0\1\0\0\0\0\xc0\x0c\0\1\0\1"
        if label == "nobody":
            return head + b"\x81\x83\0\1\0\0\0\0\0\0" + asked
        if label == "servfail":
            return head + b"\x81\x82\0\1\0\0\0\0\0\0" + asked
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + self.good if is_a else b""
        return head + b"\x81\x80\0\1\0" + bytes([1 if is_a else 0]) + b"\0\0\0\0" + asked + record

    def stop(self):
        self.sock.close()


@netns
def test_a_name_server_at_fault_is_a_temporary_failure(env):
    env.keep(NameServer(env, env.ip(2)))
    theatre = Theatre(env)
    unresolved = 'upstream "[a-z]*.test:700." could not be resolved'
    cases = {"nobody": unresolved, "servfail": unresolved + "|timed out", "silent": "timed out", "garbage": "timed out",
             "short": unresolved + "|timed out", "loop": unresolved + "|timed out"}
    theatre.hosts = {name: name + ".test" for name in (*cases, "found")}
    client = theatre.client("imap", "found")
    client.expect(b"a OK backend LOGIN")
    client.close()
    theatre.run([(protocol, user, pattern) for protocol in LOGIN for user, pattern in cases.items()])


def wander(theatre, rng, users):
    """One client that does as chance has it."""
    protocol = rng.choice(list(LOGIN))
    client = theatre.client(protocol)
    words = [login(protocol, rng.choice(users)), b"NOOP\r\n", b"x NOOP\r\n", rng.choice(BEGUN[protocol]), b"QUIT\r\n",
             b"x LOGOUT\r\n", b"\0rubbish\r\n", b"n NOOP\r\n" * 100, b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"]
    try:
        for _ in range(rng.randrange(1, 6)):
            said = rng.choice(words)
            client.send(said[:rng.choice((len(said), len(said), rng.randrange(len(said) + 1)))])
            client.sock.settimeout(rng.choice((0.001, 0.02, 0.2)))
            try:
                if not client.fill():
                    break
            except TimeoutError:
                pass
        rng.choice((client.close, client.reset, client.finish))()
    except OSError:
        pass
    return client


def test_chance_finds_nothing(env):
    """Hundreds of clients, auth servers and backends that fail in ways nobody thought of; in the end all is as before."""
    scripts = {f"{p}-{stage.__name__}-{fault}": stage(p, fault) for p in LOGIN for fault in FAULTS
               for stage in (behind_greeting, behind_password)}
    theatre = Theatre(env, scripts, limit="1s", mail="max_errors 20; smtp_auth plain login none;")
    users = list(scripts) + [f"{stage}-{fault}" for stage in ("http", "part") for fault in FAULTS] + ["good"] * 40
    seed = random.randrange(10 ** 9)
    print(f"seed {seed}")
    with ThreadPoolExecutor(24) as pool:
        clients = list(pool.map(lambda i: wander(theatre, random.Random(seed + i), users), range(400)))
    for client in clients:
        client.close()
    assert "exited on signal" not in theatre.postern.log()
    theatre.settle()
