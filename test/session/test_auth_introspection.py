"""auth_introspection: tokens that an OAuth server is asked about, in all protocols."""
import base64
import re
import select
import time

from certs import Authority
from harness import Wire, eventually
from peers import Introspection, Listener
from stage import BACKENDS, GREETINGS

TOKEN = "2YotnFZFEjr1zCsicMWpAA+/="


def xoauth2(user, token):
    return base64.b64encode(f"user={user}\1auth=Bearer {token}\1\1".encode())


def oauthbearer(user, token):
    return base64.b64encode((f"n,a={user}," if user else "n,,").encode() + f"\1auth=Bearer {token}\1\1".encode())


MECHANISMS = {"XOAUTH2": xoauth2, "OAUTHBEARER": oauthbearer}
COMMANDS = {"imap": b"a AUTHENTICATE %s %s\r\n", "pop3": b"AUTH %s %s\r\n", "smtp": b"AUTH %s %s\r\n"}
PORTS = {"imap": 2143, "pop3": 2110, "smtp": 2525}
IN = {"imap": rb"a OK .*", "pop3": rb"\+OK .*", "smtp": rb"235 .*"}
NO = {"imap": rb"a NO \[AUTHENTICATIONFAILED\].*", "pop3": rb"-ERR .*", "smtp": rb"535 .*"}
NOT_NOW = {"imap": rb"a NO \[UNAVAILABLE\].*", "pop3": rb"-ERR \[SYS/TEMP\].*", "smtp": rb"4\d\d .*"}
CHALLENGE = {protocol: word + rb" ([A-Za-z0-9+/=]+)\r\n"
             for protocol, word in (("imap", rb"\+"), ("pop3", rb"\+"), ("smtp", rb"334"))}


class Scene:
    """Postern with a server of each protocol, which asks about tokens; `answer` is what Introspection takes."""

    def __init__(self, env, answer, conf="", url=None, hosts=1):
        self.env = env
        self.servers = [env.keep(Introspection((env.ip(10 + i), 9000), answer)) for i in range(hosts)]
        self.heard = []
        text = ""
        for protocol, port in PORTS.items():
            backend = self.backend(protocol)
            env.keep(Listener((env.ip(2), port), backend))
            text += f"""server {{ listen {env.ip()}:{port}; protocol {protocol}; {protocol}_auth xoauth2 oauthbearer;
                proxy_pass {env.ip(2)}:{port}; }}\n"""
        secret = env.write("secret", "s3cret of ours\n", 0o600)
        url = url or " ".join(f"http://{env.ip(10 + i)}:9000/introspect" for i in range(hosts))
        self.postern = env.postern(f"""
            xclient off; proxy_smtp_auth on; auth_introspection {url};
            auth_introspection_client_id gateway; auth_introspection_secret_file {secret}; {conf}
            {text}""")
        env.keep(self)

    def backend(self, protocol):
        """Lets everybody in who brings a token, by whichever mechanism."""
        def serve(wire):
            BACKENDS[protocol](wire, on_command=lambda line: self.heard.append((protocol, line)))
        return serve

    def begin(self, protocol, mechanism, user, token=TOKEN):
        client = Wire.to((self.env.ip(), PORTS[protocol]))
        assert client.line().startswith(GREETINGS[protocol])
        client.send(COMMANDS[protocol] % (mechanism.encode(), MECHANISMS[mechanism](user, token)))
        return client

    def refused(self, protocol, mechanism, user, token=TOKEN):
        """Logs in in vain; returns the error challenge and the last line."""
        client = self.begin(protocol, mechanism, user, token)
        line = client.line()
        challenge = re.fullmatch(CHALLENGE[protocol], line)
        if challenge:
            client.send(b"AQ==\r\n" if mechanism == "OAUTHBEARER" else b"\r\n")
            line = client.line()
        client.close()
        return challenge and base64.b64decode(challenge[1]), line

    def stop(self):
        log = self.postern.log()
        for secret in (TOKEN, "s3cret", base64.b64encode(b"gateway:s3cret%20of%20ours").decode()):
            assert secret not in log, f"the log holds {secret!r}"


def every_way():
    return [(protocol, mechanism) for protocol in PORTS for mechanism in MECHANISMS]


def test_the_server_is_asked_as_rfc_7662_has_it(env):
    scene = Scene(env, {"active": False})
    for protocol, mechanism in every_way():
        _, line = scene.refused(protocol, mechanism, "joe")
        assert re.match(NO[protocol], line), line
    server = scene.servers[0]
    assert server.accepted == 1 and server.tokens == [TOKEN] * 6
    request = server.requests[0]
    assert request.line == "POST /introspect HTTP/1.1" and request["Host"] == env.ip(10)
    assert request["Accept"] == "application/json"
    assert request["Content-Type"] == "application/x-www-form-urlencoded"
    assert request["Authorization"] == "Basic " + base64.b64encode(b"gateway:s3cret%20of%20ours").decode()
    assert request.form == {"token": TOKEN, "token_type_hint": "access_token"}


FITS = {"active": True, "iss": "https://id.example", "aud": ["x", "mail"], "scope": "a imap", "username": "joe"}
REFUSALS = [
    ({"active": False}, "the token is not active"),
    ({**FITS, "active": False}, "the token is not active"),
    ({**FITS, "username": "jim"}, "the token is another user's"),
    ({**FITS, "exp": 1}, "the token has expired"),
    ({**FITS, "nbf": 1 << 40}, "the token is not valid yet"),
    ({**FITS, "iss": "https://id.example/"}, "the token is of another issuer"),
    ({**FITS, "aud": "web"}, "the token is for another audience"),
    ({**FITS, "scope": "imapx"}, "the token lacks a scope"),
    ({"active": True, "iss": "https://id.example", "aud": "mail", "scope": "imap"}, "the token names no user"),
]


def test_a_token_that_does_not_fit_is_refused_with_a_challenge(env):
    current = []
    scene = Scene(env, lambda token: current[0], "auth_token_issuer https://id.example; "
                  "auth_token_audience mail other; auth_token_scope imap;")
    for count, (answer, reason) in enumerate(REFUSALS):
        protocol, mechanism = every_way()[count % 6]
        current[:] = [answer]
        challenge, line = scene.refused(protocol, mechanism, "joe")
        assert challenge is not None and b"status" in challenge, (reason, challenge)
        assert re.match(NO[protocol], line), (reason, line)
        scene.postern.wait_log(rf'client login failed: "{reason}"')
    assert not [line for line in scene.postern.log().split("\n") if "[error]" in line]


HEAD = b"HTTP/1.1 200 OK\r\n"
GOOD = b'{"active":true,"username":"joe"}'
GARBLED = [
    (HEAD + b"Content-Length: 0\r\n\r\n", "sent invalid response: not a JSON object"),
    (HEAD + b"Content-Length: 4\r\n\r\ntrue", "sent invalid response: not a JSON object"),
    (HEAD + b"Content-Length: 33\r\n\r\n" + GOOD + b"x", "sent invalid response: not a JSON object"),
    (HEAD + b"Content-Length: 2\r\n\r\n{}", 'sent invalid response: "active" is neither true nor false'),
    (HEAD + b"Content-Length: 48\r\n\r\n" + b'{"active":false,"active":true,"username":"joe"} ',
     "sent invalid response: not a JSON object"),
    (HEAD + b"Content-Length: 70000\r\n\r\n", "sent invalid response: body too long"),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n20\r\n" + GOOD + b"0\r\n", "sent invalid response: bad chunk"),
    (b"HTTP/1.1 401 no\r\nContent-Length: 32\r\n\r\n" + GOOD, "sent invalid response: status 401"),
    (b"HTTP/1.1 500 no\r\nContent-Length: 32\r\n\r\n" + GOOD, "sent invalid response: status 500"),
    (b"HTTP/1.1 302 x\r\nLocation: /\r\nContent-Length: 32\r\n\r\n" + GOOD, "sent invalid response: status 302"),
    (b"220 hello\r\n\r\n", "sent invalid response: bad status line"),
]


def test_what_is_no_answer_lets_nobody_in(env):
    current = []
    scene = Scene(env, lambda token: current[0])
    for count, (answer, logged) in enumerate(GARBLED):
        protocol, mechanism = every_way()[count % 6]
        current[:] = [answer]
        _, line = scene.refused(protocol, mechanism, "joe")
        assert re.match(NOT_NOW[protocol], line), (logged, line)
        scene.postern.wait_log(rf"\[error\].* introspection server {env.ip(10)}:9000 {re.escape(logged)}")
    assert not scene.heard, scene.heard


def test_an_answer_cut_short_anywhere_is_none(env):
    whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD
    cuts = iter(range(len(whole)))

    def talk(wire):
        while b"access_token" not in wire.held:
            if not wire.fill():
                return
        wire.send(whole[:next(cuts)])
    env.keep(Listener((env.ip(20), 9000), talk))
    scene = Scene(env, {"active": False}, url=f"http://{env.ip(20)}:9000/")
    for cut in range(len(whole)):
        _, line = scene.refused("imap", "XOAUTH2", "joe")
        assert re.match(NOT_NOW["imap"], line), (cut, line)
    scene.postern.wait_log("closed the connection before its answer was whole", len(whole))
    assert not scene.heard


def test_the_user_is_whom_the_token_names(env):
    """In any way of saying so, and with a body in any form."""
    forms = [HEAD + b"Content-Length: 32\r\n\r\n" + GOOD,
             HEAD + b"Transfer-Encoding: chunked\r\n\r\n10\r\n%s\r\n10\r\n%s\r\n0\r\n\r\n" % (GOOD[:16], GOOD[16:]),
             b"HTTP/1.0 200 OK\r\n\r\n" + GOOD]
    current = []

    def talk(wire):
        while True:
            while b"access_token" not in wire.held:
                if not wire.fill():
                    return
            wire.held = b""
            wire.send(current[0])
            if b"Length" not in current[0] and b"chunked" not in current[0]:
                return
    env.keep(Listener((env.ip(20), 9000), talk))
    scene = Scene(env, {"active": False}, url=f"http://{env.ip(20)}:9000/")
    for form in forms:
        current[:] = [form]
        client = scene.begin("smtp", "OAUTHBEARER", "")
        line = client.line()
        assert re.match(IN["smtp"], line), line
        client.close()
    scene.postern.wait_log('client logged in, .*login: "joe"', 3)


def test_the_next_server_is_asked_when_one_is_dead(env):
    scene = Scene(env, {"active": False}, hosts=2)
    scene.servers[0].stop()
    for _ in range(4):
        _, line = scene.refused("imap", "XOAUTH2", "joe")
        assert re.match(NO["imap"], line), line
    assert len(scene.servers[1].requests) == 4
    scene.postern.wait_log(rf"\[notice\].* introspection server {env.ip(10)}:9000/introspect is put aside")


def test_a_server_that_dies_mid_login_is_passed_over(env):
    """Its connection was in use before: the question goes there once more, then to the other."""
    scene = Scene(env, {"active": False}, hosts=2)
    scene.servers[0].answer = None
    for _ in range(4):
        _, line = scene.refused("imap", "OAUTHBEARER", "joe")
        assert re.match(NO["imap"], line), line
    assert len(scene.servers[1].requests) == 4 and len(scene.servers[0].requests) == 1


def test_a_slow_server_holds_nobody_else_up(env):
    def answer(token):
        if token == "slow":
            time.sleep(0.5)
        return {"active": False}
    scene = Scene(env, answer)
    slow = scene.begin("imap", "XOAUTH2", "joe", "slow")
    eventually(lambda: scene.servers[0].requests, "it is asked about")
    for _ in range(3):
        scene.refused("imap", "XOAUTH2", "joe")
    assert not select.select([slow.sock], [], [], 0)[0]
    assert re.fullmatch(CHALLENGE["imap"], slow.line())


def test_over_https(env):
    """And only if it is who it says."""
    ca, other = Authority(env), Authority(env, "other")
    contexts = [ca.serve(ca.issue("localhost", env.ip(20))), other.serve(other.issue("localhost", env.ip(20)))]
    asked = env.keep(Introspection((env.ip(21), 9000), {"active": False}))
    current = []

    def https(wire):
        wire.secure(current[0], None)
        asked.talk(wire)
    env.keep(Listener((env.ip(20), 443), https))
    scene = Scene(env, None, f"auth_http_ssl_trusted_certificate {ca.certificate}; auth_http_keepalive 0;",
                  f"https://{env.ip(20)}/i")
    for context, said in zip(contexts, (NO, NOT_NOW)):
        current[:] = [context]
        _, line = scene.refused("imap", "XOAUTH2", "joe")
        assert re.match(said["imap"], line), line
        assert len(asked.requests) == 1
    scene.postern.wait_log(r"SSL handshake with introspection server .* failed \(.*unable to get local issuer")


def test_over_a_unix_socket(env):
    path = str(env.path("introspection.sock"))
    server = env.keep(Introspection(path, {"active": False}))
    scene = Scene(env, None, url=f"unix:{path}:/i")
    _, line = scene.refused("pop3", "OAUTHBEARER", "joe")
    assert re.match(NO["pop3"], line), line
    assert server.requests[0].line == "POST /i HTTP/1.1" and server.requests[0]["Host"] == "localhost"
