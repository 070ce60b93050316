"""Clients, auth servers, token servers and backends that do as chance has it: only who has the right secret gets in."""
import base64
import json
import random
import re
from concurrent.futures import ThreadPoolExecutor

from harness import Vitals, Wire
from peers import AuthHttp, Introspection, Listener, accept, compose
from stage import b64

RIGHT, WRONG = "right.4711", "wrong.0815"
PORTS = {"imap": 2143, "pop3": 2110, "smtp": 2525}
GREETING = {"imap": b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER] here\r\n",
            "pop3": b"+OK here\r\n", "smtp": b"220 here ESMTP\r\n"}
YES = {"imap": b"%s OK in\r\n", "pop3": b"+OK in\r\n", "smtp": b"235 2.7.0 in\r\n"}
NO = {"imap": b"%s NO you said %s\r\n", "pop3": b"-ERR you said %s\r\n", "smtp": b"535 5.7.8 you said %s\r\n"}
IN = {"imap": re.compile(rb"a OK "), "pop3": re.compile(rb"\+OK in"), "smtp": re.compile(rb"235 ")}
EHLO = b"250-here\r\n250-AUTH PLAIN XOAUTH2 OAUTHBEARER\r\n250 CHUNKING\r\n"


WORDS = re.compile(rb"[A-Za-z0-9+/]+")


def decoded(word):
    """What the word stands for in base64, wherever that may begin."""
    return b" ".join(base64.b64decode(word[i:][:(len(word) - i) // 4 * 4]) for i in range(min(4, len(word))))


def holds(line, secret):
    return secret in line or any(secret in decoded(word) for word in WORDS.findall(line))


class House:
    """A server of each protocol, whose chain is as long as can be."""

    def __init__(self, env, seed):
        self.env, self.rng = env, random.Random(seed)
        users = env.write("users", f"ann:{{PLAIN}}{RIGHT}\n", 0o600)
        for host in (3, 4):
            env.keep(AuthHttp((env.ip(host), 9000), self.auth))
        env.keep(Introspection((env.ip(5), 9000), self.introspect))
        for protocol, port in PORTS.items():
            env.keep(Listener((env.ip(2), port), lambda wire, protocol=protocol: self.backend(protocol, wire)))
        servers = "".join(f"server {{ listen {env.ip()}:{port}; protocol {protocol}; proxy_pass {env.ip(2)}:{port};"
                          f"{protocol}_auth plain xoauth2 oauthbearer; }}\n" for protocol, port in PORTS.items())
        self.postern = env.postern(f"""
    upstream pool {{ server {env.ip(3)}:9000 weight=2 fail_timeout=100ms; server {env.ip(4)}:9000 fail_timeout=100ms; }}
    auth_http http://pool/; auth_introspection {env.ip(5)}:9000/ match=*; auth_file {users}; auth_passthrough on;
    auth_http_timeout 400ms; auth_http_keepalive 4; auth_http_keepalive_timeout 300ms;
    auth_cache zone=chance:64k ttl=2s negative=50ms; auth_failure_delay 1ms;
    timeout 1s; proxy_timeout 1s; xclient off; proxy_smtp_auth on; proxy_pass_error_message on; max_errors 100;
    {servers}""")
        self.worker = Vitals(self.postern.children()[0])
        self.before = self.worker.descriptors()

    def auth(self, request):
        """A yes is for who is right; all else is no yes, however much it looks like one."""
        rng, protocol = self.rng, request["Auth-Protocol"]
        yes = accept(self.env.ip(2), PORTS[protocol])
        whole = compose(yes)
        if request["Auth-Pass"] == RIGHT and request["Auth-User"] == "joe" and rng.random() < 0.5:
            return yes
        unknown = {"Auth-Status": "who?", "Auth-Unknown-User": "on", **rng.choice(({}, {"Auth-Wait": "1"}))}
        return rng.choice((
            unknown, unknown, unknown, {"Auth-Status": "no", "Auth-Error-SASL": rng.choice(("e30=", "!", "AA" * 3000))},
            {"Auth-Status": "no", "Auth-Wait": "1"}, {**yes, "Auth-Status": "ok"}, {**yes, "Auth-Status": ""},
            {**yes, "Auth-Unknown-User": "on"}, {**yes, "Auth-Port": "0"}, {**yes, "Auth-Server": "no such.name"},
            {**yes, "Auth-Status": f"no {request['Auth-Pass']}"}, {"X": "y" * 20000, **yes}, None,
            whole[:rng.randrange(len(whole) - 1)], whole.replace(b"200 OK", b"500 OK"), whole.replace(b"200", b"302"),
            whole.replace(b"Auth-Port", b"Auth-Status: OK\r\nAuth-Port"), b"\0\xff\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\nAuth-Status: OK\r\n\r\n" * 3))

    def introspect(self, token):
        rng = self.rng
        yes = {"active": True, "username": "joe"}
        if token == RIGHT and rng.random() < 0.5:
            return yes
        text = json.dumps(yes).encode()
        return rng.choice((
            {"active": False}, {"active": False}, {"active": "true", "username": "joe"}, {"active": True},
            {"active": True, "username": "nobody"}, {"active": True, "username": ["joe"]}, {**yes, "exp": 1}, None,
            b"HTTP/1.1 500 no\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text),
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text[:rng.randrange(len(text))]),
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"[" * 30000))

    def backend(self, protocol, wire):
        rng = self.rng
        if rng.random() < 0.05:
            wire.send(rng.choice((b"", b"\0", b"* BYE\r\n", b"* PREAUTH\r\n", b"-ERR\r\n", b"421 no\r\n", b"x" * 9000)))
            return
        wire.send(GREETING[protocol])
        said = b""
        while line := wire.line():
            said += line.rstrip(b"\r\n") + b" "
            tag = (said.split() or [b"a"])[0]
            if rng.random() < 0.1:
                wire.send(rng.choice((b"+ \r\n" * 9, b"+\r\n", b"334 \r\n" * 9, b"* x {7}\r\n", b"* y\r\n" * 500,
                                      b"\0\r\n", b"235\0 x\r\n", b"z" * 9000)))
            elif line.startswith((b"EHLO", b"HELO")):
                wire.send(EHLO)
                said = b""
            elif line.startswith(b"USER"):
                wire.send(b"+OK go on\r\n")
            elif line.upper().endswith((b"QUIT\r\n", b"LOGOUT\r\n")):
                return
            else:
                answer = YES if holds(said, RIGHT.encode()) else NO
                values = (tag, said[-600:])[protocol != "imap":] if answer is NO else (tag,)[protocol != "imap":]
                wire.send(answer[protocol] % values)
                said = b""

    def words(self, protocol, rng, user, secret):
        """What a client may say to log in."""
        user, secret = user.encode(), secret.encode()
        plain = b64(rng.choice((b"", b"", user, b"root")), user, secret)
        field = b"\1auth=Bearer " + secret + b"\1\1"
        ways = [b"PLAIN " + plain, b"XOAUTH2 " + b64(b"user=" + user + field),
                b"OAUTHBEARER " + b64(b"n,a=" + user + b"," + field), b"OAUTHBEARER " + b64(b"n,," + field)]
        command = {"imap": b"a AUTHENTICATE ", "pop3": b"AUTH ", "smtp": b"AUTH "}[protocol]
        words = [command + way + b"\r\n" for way in ways]
        words += {"imap": [b"a LOGIN " + user + b" " + secret + b"\r\n"] * 2,
                  "pop3": [b"USER " + user + b"\r\nPASS " + secret + b"\r\n"] * 2, "smtp": words[:1]}[protocol]
        return rng.choice(words)

    def wander(self, seed):
        """One client, which guesses a few times. Returns whether it got in, with nothing but what is wrong."""
        rng = random.Random(seed)
        protocol, secret = rng.choice(list(PORTS)), rng.choice((RIGHT, WRONG, WRONG))
        client, heard = Wire.to((self.env.ip(), PORTS[protocol]), patience=3), b""
        try:
            client.send(b"EHLO me\r\n" if protocol == "smtp" else b"")
            for _ in range(rng.randrange(1, 5)):
                said = self.words(protocol, rng, rng.choice(("joe", "joe", "ann", "jim")), secret)
                client.send(said if rng.random() < 0.9 else said[:rng.randrange(len(said))])
                client.sock.settimeout(rng.choice((0.01, 0.1, 0.5)))
                try:
                    client.fill()
                except TimeoutError:
                    pass
                client.send(rng.choice((b"", b"", b"\r\n", b"*\r\n", b"AQ==\r\n")))
            rng.choice((client.close, client.reset, client.finish, lambda: client.rest()))()
        except OSError:
            pass
        heard = client.held
        client.close()
        return secret, any(IN[protocol].match(line) for line in heard.splitlines())


def test_only_the_right_secret_opens_and_no_secret_is_logged(env):
    seed = random.randrange(10 ** 9)
    print(f"seed {seed}")
    house = House(env, seed)
    with ThreadPoolExecutor(24) as pool:
        came = list(pool.map(house.wander, range(seed, seed + 300)))
    assert (WRONG, True) not in came
    assert (RIGHT, True) in came
    house.worker.wait_descriptors(house.before)
    log = house.postern.log()
    assert "exited on signal" not in log
    for secret in (RIGHT.encode(), WRONG.encode()):
        told = [line for line in log.encode().splitlines() if holds(line, secret[:6])]
        assert not told, told[:3]
