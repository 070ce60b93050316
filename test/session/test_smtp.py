"""SMTP: the client's dialogue before it is let in, and the backend's half of the login."""
import base64
import hashlib
import hmac
import re
import threading
import time

from harness import Vitals, Wire, eventually, netns
from peers import AuthHttp, Listener, accept, smtp_backend
from stage import SECRET, Stage, b64, check_all, cut_everywhere, listen_to_all

GREETING = b"220 mail.example.com ESMTP ready\r\n"
INTERNAL = b"451 4.3.2 Internal server error"
PLAIN = b64(b"", b"joe", SECRET)
LOGIN = b"AUTH PLAIN " + PLAIN + b"\r\n"
OFF = "xclient off;"


# -- the greeting

def test_the_greeting_is_delayed(env):
    stage = Stage(env, "smtp", mail="smtp_greeting_delay 1s; " + OFF)
    client = stage.connect()
    client.quiet(0.6)
    client.expect(GREETING.rstrip())
    client.send(LOGIN)
    client.expect(b"235 2.0.0 OK")


def test_early_talkers_are_turned_away(env):
    stage = Stage(env, "smtp", mail="smtp_greeting_delay 5s;")
    for number, said in enumerate((b"EHLO me\r\n", b"x", b"EHLO me\r\n" * 20000), 1):
        client = stage.connect()
        try:
            client.send(said)
        except OSError:
            pass
        client.expect(b"503 5.5.0 Improper use of SMTP command pipelining")
        client.expect_end()
        stage.postern.wait_log('client was rejected before greeting: "503 5.5.0 Improper use of SMTP command pipelining"'
                               " while sending client greeting line, client: 127.0.0.1, server: ", number)
    stage.untouched()


def test_who_leaves_before_the_greeting_is_let_go(env):
    stage = Stage(env, "smtp", mail="smtp_greeting_delay 60s;")
    worker = Vitals(stage.postern.children()[0])
    before = worker.descriptors()
    for leave in (Wire.close, Wire.reset, Wire.finish):
        client = stage.connect()
        eventually(lambda: worker.descriptors() > before, "it is accepted")
        leave(client)
        worker.wait_descriptors(before)


# -- commands

SERVERS = {
    "": OFF,
    "caps": OFF + 'smtp_auth login plain cram-md5 external; smtp_capabilities "SIZE 10485760" ENHANCEDSTATUSCODES DSN;',
    "none": OFF + "smtp_auth none;",
    "both": OFF + "smtp_auth none plain;",
    "cram": OFF + "smtp_auth cram-md5;",
    "few": OFF + "max_errors 2;",
    "short": OFF + "smtp_client_buffer 200;",
    "many": OFF + "max_commands 3;",
}
HELLO = b"250-mail.example.com\r\n250 AUTH PLAIN LOGIN\r\n"
INVALID = b"500 5.5.1 Invalid command\r\n"
ARGUMENT = b"501 5.5.4 Invalid argument\r\n"
SEQUENCE = b"503 5.5.1 Bad sequence of commands\r\n"
OK = b"250 2.0.0 OK\r\n"
BYE = b"221 2.0.0 Bye\r\n"
FIRST = b"530 5.7.1 Authentication required\r\n"
WRONG = b"535 5.7.8 Invalid credentials\r\n"
CANCELLED = b"501 5.7.0 Authentication cancelled\r\n"

CASES = [
    ("", b"EHLO me\r\nQUIT\r\nNOOP\r\n", HELLO + BYE),
    ("", b"ehlo me\nhelo me\nquit\n", HELLO + b"250 mail.example.com\r\n" + BYE),
    ("", b"EHLO\r\nHELO\r\nEHLO a b\r\nEHLO  a \r\n", ARGUMENT * 3 + HELLO),
    ("", b"EHLO a\x01\r\nHELO a\x7f\r\nEHLO a\0b\r\nEHLO a\rb\r\nEHLO a\tb\r\nEHLO caf\xc3\xa9\r\n", ARGUMENT * 5 + HELLO),
    ("caps", b"EHLO me\r\n", b"250-mail.example.com\r\n250-SIZE 10485760\r\n250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n"
                             b"250 AUTH PLAIN LOGIN CRAM-MD5\r\n"),
    ("none", b"EHLO me\r\n", b"250 mail.example.com\r\n"),
    ("both", b"EHLO me\r\n", b"250-mail.example.com\r\n250 AUTH PLAIN\r\n"),
    ("", b"NOOP\r\nRSET\r\nNOOP x\r\n", OK * 3),
    ("", b"VRFY a\r\nEXPN a\r\nHELP\r\nDATA\r\nXCLIENT ADDR=::1\r\n", INVALID * 5),
    ("", b"MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\n", FIRST + SEQUENCE),
    ("", b"STARTTLS\r\n", INVALID),
    ("few", b"a\r\nb\r\nc\r\nNOOP\r\n", INVALID * 2),
    ("few", b"EHLO\r\n" * 9 + b"NOOP\r\n", ARGUMENT * 9 + OK),
    ("many", b"NOOP\r\n" * 9, OK * 3),
    ("short", b"NOOP " + b"x" * 193 + b"\r\nNOOP\r\n", OK * 2),
    ("short", b"NOOP " + b"x" * 194 + b"\r\nNOOP\r\n", INVALID),
    ("short", b"x" * 100000, INVALID),
    ("short", b"AUTH PLAIN " + b"A" * 300 + b"\r\nNOOP\r\n", b"500 5.5.6 Authentication exchange line is too long\r\n"),
    ("none", b"RCPT TO:<a@b>\r\nMAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\nRSET\r\nRCPT TO:<a@b>\r\n",
     SEQUENCE + OK + SEQUENCE + OK + SEQUENCE),
    ("none", b"MAIL\r\nMAIL FROM:<a\x01@b>\r\nMAIL FROM:<a@b>\r\nRCPT\r\nRCPT TO:<a\x7f>\r\nRCPT TO:<a\0>\r\n",
     ARGUMENT * 2 + OK + ARGUMENT * 3),
    ("none", b"EHLO x\r\nMAIL FROM:<a@b>\r\nEHLO y\r\nRCPT TO:<a@b>\r\n",
     b"250 mail.example.com\r\n" + OK + b"250 mail.example.com\r\n" + SEQUENCE),
    ("none", LOGIN, INVALID),
    # AUTH
    ("", b"AUTH\r\nAUTH NTLM\r\nAUTH CRAM-MD5\r\nAUTH EXTERNAL\r\nAUTH PLAINX\r\n", ARGUMENT + INVALID * 4),
    ("cram", LOGIN + b"AUTH LOGIN\r\n", INVALID * 2),
    ("", b"AUTH EXTERNAL " + b64(b"joe") + b"\r\n", INVALID),
    ("", b"AUTH PLAIN\r\n*\r\nAUTH LOGIN\r\n*\r\nAUTH LOGIN\r\nam9l\r\n*\r\nNOOP\r\n",
     b"334 \r\n" + CANCELLED + b"334 VXNlcm5hbWU6\r\n" + CANCELLED + b"334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n" +
     CANCELLED + OK),
    ("", b"AUTH PLAIN ====\r\nAUTH PLAIN A\r\nAUTH PLAIN \xff\xff\xff\xff\r\nAUTH PLAIN " + PLAIN + b" x\r\n", INVALID * 4),
    ("", b"AUTH PLAIN =\r\n", INVALID),
    ("both", b"MAIL FROM:<a@b>\r\n" + LOGIN, OK + SEQUENCE),
]


def test_commands_and_their_answers(env):
    stage = Stage(env, "smtp", SERVERS)
    check_all(stage, CASES)
    stage.untouched()
    stage.postern.wait_log(r'client sent too long command "NOOP\.\.\." while in auth state, client: ')
    stage.postern.wait_log('client sent too many invalid commands while in auth state')
    stage.postern.wait_log(r'client was rejected: "MAIL FROM:<a@b>" while in auth state')
    stage.postern.wait_log("client sent invalid base64 encoding in AUTH PLAIN command while in auth state")
    stage.postern.wait_log("client sent invalid login in AUTH PLAIN command while in auth state")


# What PLAIN's message holds; the line that is logged.
BAD_PLAIN = [
    ((b"", b"", SECRET), "invalid login in AUTH PLAIN"),
    ((b"", b"jo\re", SECRET), "invalid login in AUTH PLAIN"),
    ((b"", b"jo\ne", SECRET), "invalid login in AUTH PLAIN"),
    ((b"", b"joe", b"a\r\nMAIL FROM:<x>"), "invalid password in AUTH PLAIN"),
    ((b"", b"joe", b"a", b"b"), "invalid password in AUTH PLAIN"),
    ((b"", b"joe"), "invalid password in AUTH PLAIN"),
    ((b"joe",), "invalid login in AUTH PLAIN"),
    ((b"a\nb", b"joe", b"x"), "invalid authorization identity in AUTH PLAIN"),
    ((b"", b"u" * 1025, b"x"), "invalid login in AUTH PLAIN"),
]


def test_credentials_that_could_become_a_line_are_refused(env):
    stage = Stage(env, "smtp", mail="max_errors 100; " + OFF)
    client = stage.client()
    for parts, logged in BAD_PLAIN:
        before = stage.postern.log().count("\n")
        client.send(b"AUTH PLAIN " + b64(*parts) + b"\r\n")
        heard = client.line()
        assert heard in (WRONG, INVALID), (parts, heard)
        lines = stage.postern.log().split("\n")[before:]
        assert any(f"client sent {logged} command" in line for line in lines), (parts, lines)
    client.send(b"AUTH LOGIN\r\n" + b64(b"a\r\nb") + b"\r\nAUTH LOGIN\r\nam9l\r\n" + b64(b"p\0q") + b"\r\n")
    client.expect(b"334 VXNlcm5hbWU6", WRONG.rstrip(), b"334 VXNlcm5hbWU6", b"334 UGFzc3dvcmQ6", WRONG.rstrip())
    stage.untouched()


# Said; what the auth server hears of method, user and password.
MECHANISMS = [
    ([LOGIN], ("plain", "joe", SECRET.decode())),
    ([b"auth plain\r\n", PLAIN + b"\r\n"], ("plain", "joe", SECRET.decode())),
    ([b"AUTH LOGIN\r\n", b64(b"joe") + b"\r\n", b64(SECRET) + b"\r\n"], ("plain", "joe", SECRET.decode())),
    ([b"AUTH LOGIN " + b64(b"joe") + b"\r\n", b64(SECRET) + b"\r\n"], ("plain", "joe", SECRET.decode())),
    ([b"AUTH LOGIN\r\n", b64(b"joe") + b"\r\n", b"\r\n"], ("plain", "joe", "")),
]


def test_every_mechanism_reaches_the_auth_server(env):
    stage = Stage(env, "smtp", SERVERS)
    for steps, asked in MECHANISMS:
        client = stage.client("caps")
        for step in steps[:-1]:
            client.send(step)
            client.expect(re.compile(rb"334 .*"))
        client.send(steps[-1])
        client.expect(b"235 2.0.0 OK")
        request = stage.auth.requests[-1]
        assert (request["Auth-Method"], request["Auth-User"], request["Auth-Pass"]) == asked
        client.close()


def test_cram_md5_carries_challenge_and_digest(env):
    stage = Stage(env, "smtp", SERVERS)
    salts = set()
    for _ in range(2):
        client = stage.client("cram")
        client.send(b"AUTH CRAM-MD5\r\n")
        challenge = client.line()
        assert challenge.startswith(b"334 ")
        salt = base64.b64decode(challenge[4:])
        digest = hmac.new(SECRET, salt, hashlib.md5).hexdigest()
        client.send(b64(b"joe with blanks " + digest.encode()) + b"\r\n")
        client.expect(b"235 2.0.0 OK")
        request = stage.auth.requests[-1]
        assert request["Auth-Method"] == "cram-md5" and request.decoded("Auth-User") == b"joe with blanks"
        assert request["Auth-Pass"] == digest and request["Auth-Salt"].encode() == salt
        assert re.fullmatch(rb"<\d+\.\d+@mail\.example\.com>", salt)
        salts.add(salt)
    assert len(salts) == 2
    for bad in (b"joe", b"joe short", b"joe " + b"g" * 32, b" " + b"0" * 32, b"0" * 32):
        client = stage.client("cram")
        client.send(b"AUTH CRAM-MD5\r\n")
        client.line()
        client.send(b64(bad) + b"\r\n")
        assert client.line()[:3] in (b"500", b"535")
    assert len(stage.auth.requests) == 2
    stage.postern.wait_log("client sent invalid CRAM-MD5 hash in AUTH CRAM-MD5 command")


def test_a_login_cut_at_every_offset_is_the_same(env):
    stage = Stage(env, "smtp", {"": OFF})
    said = b"EHLO me\r\nAUTH LOGIN\r\n" + b64(b"joe") + b"\r\n" + b64(SECRET) + b"\r\nMAIL FROM:<a@b>\r\nQUIT\r\n"
    heard = HELLO + b"334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 2.0.0 OK\r\n250 2.0.0 backend MAIL\r\n221 2.0.0 backend bye\r\n"
    for cut, got in enumerate(cut_everywhere(stage, said)):
        assert got == heard, (said[:cut], got)


def test_a_flood_of_commands_is_bounded_and_answered(env):
    stage = Stage(env, "smtp", mail="max_commands 1000000; " + OFF)
    worker = Vitals(stage.postern.children()[0])
    client = stage.client()
    before = worker.memory_kb()
    count = 20000
    sender = threading.Thread(target=client.send, args=(b"EHLO me\r\n" * count,), daemon=True)
    sender.start()
    sender.join(0.5)
    worker.check_memory(before, 1024)
    assert client.take(len(HELLO) * count) == HELLO * count
    client.send(LOGIN)
    client.expect(b"235 2.0.0 OK")


def test_silence_has_an_end(env):
    stage = Stage(env, "smtp", mail="timeout 1s; " + OFF)
    client = stage.client()
    client.expect(b"421 4.4.2 mail.example.com Disconnected for inactivity")
    client.expect_end()
    stage.postern.wait_log("client timed out while in auth state, client: 127.0.0.1")


# -- xclient and the rest of the login at the backend

OURS = b"EHLO mail.example.com"
XCLIENT = b"XCLIENT ADDR=127.0.0.1 LOGIN=joe NAME=[UNAVAILABLE]"
# Settings; what the client says; what the backend is told up to the login.
LOGINS = [
    ("", b"EHLO me\r\n" + LOGIN, [OURS, XCLIENT, b"EHLO me"]),
    ("", b"HELO me\r\n" + LOGIN, [OURS, XCLIENT, b"HELO me"]),
    ("", LOGIN, [OURS, XCLIENT]),
    (OFF, b"EHLO me\r\n" + LOGIN, [OURS]),
    (OFF, b"HELO me\r\n" + LOGIN, [b"HELO mail.example.com"]),
    ("proxy_smtp_auth on;", b"EHLO me\r\n" + LOGIN,
     [OURS, b"XCLIENT ADDR=127.0.0.1 NAME=[UNAVAILABLE]", b"EHLO me", b"AUTH PLAIN " + PLAIN]),
    (OFF + "proxy_smtp_auth on;", b"EHLO me\r\n" + LOGIN, [OURS, b"AUTH PLAIN " + PLAIN]),
    ("", b"AUTH PLAIN " + b64(b"", b"a b+c=d\xc3\xa9\x7f\x01", b"x") + b"\r\n",
     [OURS, b"XCLIENT ADDR=127.0.0.1 LOGIN=a+20b+2Bc+3Dd+C3+A9+7F+01 NAME=[UNAVAILABLE]"]),
    ("smtp_auth none;", b"EHLO me\r\nMAIL FROM:<a@b> SIZE=1\r\nRCPT TO:<c@d>\r\n",
     [OURS, b"XCLIENT ADDR=127.0.0.1 NAME=[UNAVAILABLE]", b"EHLO me", b"MAIL FROM:<a@b> SIZE=1", b"RCPT TO:<c@d>"]),
    ("smtp_auth none;" + OFF, b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<c@d>\r\n",
     [b"HELO mail.example.com", b"MAIL FROM:<>", b"RCPT TO:<c@d>"]),
]


def test_the_backend_is_told_who_comes_from_where(env):
    servers = {str(i): settings for i, (settings, _, _) in enumerate(LOGINS)}
    stage = Stage(env, "smtp", servers)
    for number, (_, said, told) in enumerate(LOGINS):
        stage.heard.clear()
        client = stage.client(str(number))
        client.send(said + b"NOOP\r\n")
        eventually(lambda: b"NOOP\r\n" in stage.heard, f"login {number} is through")
        assert [line.rstrip(b"\r\n") for line in stage.heard] == told + [b"NOOP"], stage.heard
        client.close()


@netns
def test_an_ipv6_client_is_marked(env):
    heard = []
    env.keep(Listener(("::1", 2000), lambda wire: smtp_backend(wire, on_command=heard.append)))
    auth = env.keep(AuthHttp(("127.0.0.1", 9000), accept("::1", 2000)))
    env.postern("auth_http 127.0.0.1:9000/; server { listen [::1]:25; }")
    client = Wire.to(("::1", 25))
    client.send(LOGIN)
    client.expect(GREETING.rstrip(), b"235 2.0.0 OK")
    assert heard[1] == b"XCLIENT ADDR=IPV6:::1 LOGIN=joe NAME=[UNAVAILABLE]\r\n", heard
    assert auth.requests[0]["Client-IP"] == "::1"


def test_a_client_of_a_unix_socket(env):
    heard = []
    env.keep(Listener((env.ip(2), 2000), lambda wire: smtp_backend(wire, on_command=heard.append)))
    auth = env.keep(AuthHttp((env.ip(3), 9000), accept(env.ip(2), 2000)))
    path = str(env.path("smtp.sock"))
    env.postern(f"auth_http {env.ip(3)}:9000/; server {{ listen unix:{path}; protocol smtp; }}")
    client = Wire.to(path)
    client.send(LOGIN)
    client.expect(GREETING.rstrip(), b"235 2.0.0 OK")
    assert auth.requests[0]["Client-IP"] == "unix:" and auth.requests[0]["Client-Host"] in ("[UNAVAILABLE]", "[TEMPUNAVAIL]")
    assert heard[1].startswith(b"XCLIENT ADDR=[UNAVAILABLE] LOGIN=joe NAME="), heard


def test_what_follows_the_login_reaches_the_backend_once_and_in_order(env):
    stage = Stage(env, "smtp", mail=OFF)
    client = stage.client()
    text = b"".join(b"NOOP %d\r\n" % i for i in range(400))
    client.send(LOGIN + text + b"QUIT\r\n")
    client.expect(b"235 2.0.0 OK", *[b"250 2.0.0 backend NOOP"] * 400, b"221 2.0.0 backend bye")
    client.expect_end()
    assert b"".join(stage.heard[1:]) == text + b"QUIT\r\n"


class Answers:
    """A backend that answers each command from a list: bytes, or a function of its Wire. After the last it listens."""

    def __init__(self):
        self.answers, self.heard = [], []

    def __call__(self, wire):
        for number, answer in enumerate(list(self.answers)):
            if number > 0:
                line = wire.line()
                if not line:
                    return
                self.heard.append(line.rstrip(b"\r\n"))
            if callable(answer):
                answer(wire)
            else:
                wire.send(answer + b"\r\n")
        while line := wire.line():
            self.heard.append(line.rstrip(b"\r\n"))


AUTH = OFF + "proxy_smtp_auth on;"
NO = b"535 5.7.8 Authentication failed"
# Settings, the backend's answers, what the client hears, what the log says.
FAILURES = [
    (OFF, [b"554 5.3.2 go away"], INTERNAL,
     'upstream sent invalid response: "554 5.3.2 go away" while connecting to upstream'),
    (OFF, [b"421-4.3.2 busy\r\n421 4.3.2 too"], INTERNAL, 'upstream sent invalid response: "421-4.3.2 busy" while'),
    (OFF, [b"garbage"], INTERNAL, 'upstream sent invalid response: "garbage" while connecting to upstream'),
    (OFF, [b"250 no greeting"], INTERNAL, 'upstream sent invalid response: "250 no greeting"'),
    (OFF, [b"220-a\r\n250 b"], INTERNAL, 'upstream sent invalid response: "250 b"'),
    (OFF, [b"220 \0"], INTERNAL, "upstream sent invalid response: "),
    (OFF, [b"220 " + b"x" * 9000], INTERNAL, "upstream sent too long response line: "),
    (OFF, [Wire.close], INTERNAL, "upstream prematurely closed connection while connecting to upstream"),
    # A reset right behind the handshake is seen as a failed connect or as an early end, as it happens.
    (OFF, [Wire.reset], INTERNAL, "while connecting to upstream"),
    (OFF, [Wire.finish], INTERNAL, "upstream prematurely closed connection while connecting to upstream"),
    (OFF, [lambda wire: wire.rest()], INTERNAL, "upstream timed out while connecting to upstream"),
    (OFF, [b"220 hi", b"502 no"], INTERNAL, 'upstream sent invalid response: "502 no" while sending HELO/EHLO to upstream'),
    (OFF, [b"220 hi", Wire.close], INTERNAL, "upstream prematurely closed connection while sending HELO/EHLO to upstream"),
    (OFF, [b"220 hi", lambda wire: wire.send(b"250-a\r\n") or wire.rest()], INTERNAL,
     "upstream timed out while sending HELO/EHLO to upstream"),
    ("", [b"220 hi", b"250-a\r\n250 XCLIENT ADDR", b"550 no XCLIENT"], INTERNAL,
     'upstream sent invalid response: "550 no XCLIENT" while sending XCLIENT to upstream'),
    ("", [b"220 hi", b"250-a\r\n250 XCLIENT ADDR", b"250 odd"], INTERNAL,
     'upstream sent invalid response: "250 odd" while sending XCLIENT'),
    (AUTH, [b"220 hi", b"250 a", b"535 5.7.8 backend says no"], NO, 'client login failed: "535 5.7.8 backend says no"'),
    (AUTH, [b"220 hi", b"250 a", b"454 4.7.0 later"], INTERNAL, 'upstream sent invalid response: "454 4.7.0 later" while'),
    (AUTH, [b"220 hi", b"250 a", b"504 5.5.4 no PLAIN"], INTERNAL, 'upstream sent invalid response: "504 5.5.4 no PLAIN"'),
    (AUTH, [b"220 hi", b"250 a", Wire.close], INTERNAL, "upstream prematurely closed connection while sending AUTH"),
    (AUTH, [b"220 hi", b"250 a", b"334 more"], INTERNAL, 'AUTH PLAIN to upstream failed: asked for more than the mechanism has'),
    (AUTH + "proxy_pass_error_message on;", [b"220 hi", b"250 a", b"535-5.7.8 backend\r\n535 5.7.8 says no"],
     b"535 5.7.8 backend", 'client login failed: "535-5.7.8 backend"'),
    (AUTH + "proxy_pass_error_message on;", [b"220 hi", b"250 a", b"535 5.7.8 not " + SECRET], NO,
     'client login failed: "not shown: it holds the password"'),
    (AUTH + "proxy_pass_error_message on;", [b"220 hi", b"250 a", b"454 4.7.0 later"], b"454 4.7.0 later", None),
    (AUTH, [b"220 hi", b"250 a", b"502 5.5.2 what is AUTH PLAIN " + PLAIN], INTERNAL, "not shown: it holds the password"),
    (AUTH, [b"220 hi", b"250 a", b"454 4.7.0 for " + SECRET], INTERNAL, "not shown: it holds the password"),
]


def test_a_backend_that_fails_is_a_failure_that_the_client_can_understand(env):
    backend = Answers()
    servers = {str(i): case[0] for i, case in enumerate(FAILURES)}
    stage = Stage(env, "smtp", servers, backend=backend, mail="timeout 3s; auth_http_timeout 2s;")
    wrong = []
    for number, (_, answers, said, logged) in enumerate(FAILURES):
        backend.answers = answers
        before = stage.postern.log().count("\n")
        client = stage.client(str(number))
        client.send(LOGIN)
        got = client.line().rstrip(b"\r\n")
        lines = [line for line in stage.postern.log().split("\n")[before:] if "connected to" not in line]
        if got != said or (logged and not any(logged in line and "upstream: " in line for line in lines)):
            wrong.append(f"{number} {answers}: {got!r}, log {[l for l in lines if 'debug' not in l]}")
        if not any("[error]" in line or "[info]" in line for line in lines):
            wrong.append(f"{number} {answers}: nothing in the log")
        client.close()
    assert not wrong, "\n".join(wrong)


def test_a_client_whose_backend_failed_may_try_again(env):
    backend = Answers()
    stage = Stage(env, "smtp", backend=backend, mail=AUTH)
    client = stage.client()
    for answers, said in (([b"421 busy"], INTERNAL), ([b"220 a", b"250 b", b"535 no"], NO),
                          ([b"220 a", b"250 b", b"235 yes", b"250 noop"], b"235 2.0.0 OK")):
        backend.answers = answers
        client.send(LOGIN)
        client.expect(said)
    client.send(b"NOOP\r\n")
    client.expect(b"250 noop")
    assert [r["Auth-Login-Attempt"] for r in stage.auth.requests] == ["1", "2", "3"]


def test_a_dead_backend_is_said(env):
    stage = Stage(env, "smtp", mail=OFF, answer=accept(env.ip(8), 2000))
    client = stage.client()
    client.send(LOGIN * 2)
    client.expect(INTERNAL, INTERNAL)
    stage.postern.wait_log(r"\[error\].* connect\(\) failed \(111: Connection refused\) while connecting to upstream, "
                           rf"client: 127.0.0.1, server: .*, login: \"joe\", upstream: {env.ip(8)}:2000", 2)


def test_a_backend_may_answer_in_any_two_pieces(env):
    whole = b"220-a\r\n220 b\r\n", b"250-x\r\n250-XCLIENT ADDR\r\n250 Y\r\n", b"220 c\r\n", b"235 ok\r\n"
    total = sum(len(part) for part in whole)
    cuts = iter(range(1, total))

    def dribble(wire):
        left = next(cuts)
        for number, part in enumerate(whole):
            if number > 0:
                wire.line()
            if 0 < left < len(part):
                wire.send(part[:left])
                time.sleep(0.002)
                part = part[left:]
                left = 0
            else:
                left -= len(part)
            wire.send(part)
        wire.rest()
    stage = Stage(env, "smtp", backend=dribble, mail="proxy_smtp_auth on;")
    for cut in range(1, total):
        client = stage.client()
        client.send(LOGIN)
        client.expect(b"235 2.0.0 OK")
        client.close()


def test_a_client_that_leaves_while_its_backend_is_slow(env):
    stage = Stage(env, "smtp", backend=lambda wire: wire.rest(), mail=OFF + "timeout 2s;")
    worker = Vitals(stage.postern.children()[0])
    before = worker.descriptors()
    for leave in (Wire.reset, Wire.close, Wire.finish):
        client = stage.client()
        client.send(LOGIN)
        eventually(lambda: worker.descriptors() > before + 1, "the backend is called")
        leave(client)
        worker.wait_descriptors(before + 1)


def test_silent_clients_are_told_of_the_end(env):
    stage = Stage(env, "smtp", mail=OFF)
    clients = [stage.client() for _ in range(5)]
    stage.postern.stop()
    assert listen_to_all(clients) == [b"421 4.3.2 mail.example.com Server is shutting down\r\n"] * 5
