"""auth_http: what the auth server is asked, and what comes of each thing that it may answer."""
import re
import socket
import subprocess
import threading
import time

from harness import Vitals, Wire, eventually, netns
from peers import AuthHttp, Listener, accept, imap_backend, smtp_backend
from stage import SECRET, Stage, b64, wait_requests

INTERNAL = b"451 4.3.2 Internal server error"
LOGIN = b"AUTH PLAIN " + b64(b"", b"joe", SECRET) + b"\r\n"
QUICK = "xclient off; auth_http_timeout 1s; max_errors 1000;"
YES = b"Auth-Status: OK\r\nAuth-Server: %s\r\nAuth-Port: 2000\r\n"


def yes(env):
    return YES % env.ip(2).encode()


def login(stage, server=None):
    """A client that has asked to be let in."""
    client = stage.client(server)
    client.send(LOGIN)
    return client


# -- the question

def test_the_question_has_nginxs_headers_in_nginxs_order(env):
    stage = Stage(env, "smtp", mail='xclient off; auth_http_header X-Key "a b;c$d"; auth_http_header X-Two 2;')
    client = stage.client()
    client.send(b"EHLO me\r\nAUTH PLAIN " + b64(b"", b"j %oe+=&\xc3\xa9\x7f", b"p\x01 \t%41+\xff") + b"\r\n")
    client.expect(b"250-mail.example.com", b"250 AUTH PLAIN LOGIN", b"235 2.0.0 OK")
    session = stage.auth.requests[0]["Auth-Session-ID"].encode()
    assert stage.auth.requests[0].raw.split(b"\r\n") == [
        b"GET /auth HTTP/1.1", b"Host: " + env.ip(3).encode(), b"Connection: keep-alive",
        b"Auth-Method: plain", b"Auth-User: j%20%25oe+=&\xc3\xa9\x7f", b"Auth-Pass: p%01%20%09%2541+\xff",
        b"Auth-Protocol: smtp", b"Auth-Login-Attempt: 1", b"Client-IP: 127.0.0.1", b"Client-Host: [UNAVAILABLE]",
        b"Auth-Session-ID: " + session, b"X-Key: a b;c$d", b"X-Two: 2"]


def test_imap_is_asked_about_without_a_client_host(env):
    stage = Stage(env, "imap", mail="imap_auth plain cram-md5;")
    client = stage.client()
    client.send(b'a LOGIN joe "s e"\r\n')
    client.expect(b"a OK backend LOGIN")
    assert stage.auth.requests[0].names == ["Host", "Connection", "Auth-Method", "Auth-User", "Auth-Pass",
                                            "Auth-Protocol", "Auth-Login-Attempt", "Client-IP", "Auth-Session-ID"]
    assert stage.auth.requests[0].decoded("Auth-Pass") == b"s e"


def test_attempts_are_counted_in_a_session(env):
    stage = Stage(env, "smtp", mail="xclient off;",
                  answer={"Auth-Status": "no", "Auth-Wait": "1"})
    client = stage.client()
    client.send(LOGIN * 2)
    client.expect(*[b"535 5.7.0 no"] * 2)
    stage.client().send(LOGIN)
    wait_requests(stage, 3)
    assert [r["Auth-Login-Attempt"] for r in stage.auth.requests] == ["1", "2", "1"]


# -- answers

def fields(**more):
    return lambda env: {**accept(env.ip(2), 2000), **{k.replace("_", "-"): v for k, v in more.items()}}


def without(name):
    return lambda env: {k: v for k, v in accept(env.ip(2), 2000).items() if k != name}


def raw(text):
    """A whole answer; %Y stands for the lines of a yes."""
    return lambda env: text.replace(b"%Y", yes(env))


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"

# What is sent, and what the log says of the server. All are 451 and never a login.
UNUSABLE = [
    (without("Auth-Status"), "sent invalid response: no Auth-Status"),
    (fields(Auth_Status=""), "sent invalid response: no Auth-Status"),
    (raw(HEAD + b"%YAuth-Status: OK\r\n\r\n"), "sent invalid header in response: Auth-Status twice"),
    (raw(HEAD + b"%YAuth-Status: no\r\n\r\n"), "sent invalid header in response: Auth-Status twice"),
    (raw(HEAD + b"%YAuth-Server: 127.0.0.9\r\n\r\n"), "sent invalid header in response: Auth-Server twice"),
    (raw(HEAD + b"%YAUTH-USER: a\r\nauth-user: b\r\n\r\n"), "sent invalid header in response: Auth-User twice"),
    (fields(Auth_Error_Code="535"), "sent invalid header in response: Auth-Error-Code with OK"),
    (fields(Auth_Wait="x"), "sent invalid header in response: Auth-Wait"),
    (fields(Auth_Wait="-1"), "sent invalid header in response: Auth-Wait"),
    (raw(b"HTTP/1.1 500 no\r\nContent-Length: 0\r\n%Y\r\n"), "sent invalid response: status 500"),
    (raw(b"HTTP/1.0 403 no\r\n%Y\r\n"), "sent invalid response: status 403"),
    (raw(b"HTTP/1.1 302 there\r\n%Y\r\n"), "sent invalid response: status 302"),
    (raw(b"%Y\r\n"), "sent invalid response: bad status line"),
    (raw(b"HTTP/2 200\r\n%Y\r\n"), "sent invalid response: bad status line"),
    (raw(b"HTTP/1.1 200\0OK\r\n%Y\r\n"), "sent invalid response: bad status line"),
    (raw(b"\r\n\r\n"), "sent invalid response: bad status line"),
    (raw(bytes(range(128, 256)) + b"\r\n\r\n"), "sent invalid response: bad status line"),
    (raw(HEAD + b"Auth-User: a\0b\r\n%Y\r\n"), "sent invalid header in response: control byte"),
    (raw(HEAD + b"Auth-User: a\rb\r\n%Y\r\n"), "sent invalid header in response: control byte"),
    (raw(HEAD + b"Auth-Pass: a\x7fb\r\n%Y\r\n"), "sent invalid header in response: control byte"),
    (raw(HEAD + b"%Y folded: x\r\n\r\n"), "sent invalid header in response: bad header name"),
    (raw(HEAD + b"%Yno colon\r\n\r\n"), "sent invalid header in response: bad header name"),
    (raw(HEAD + b"%YAuth User: x\r\n\r\n"), "sent invalid header in response: bad header name"),
    (fields(Auth_User=""), "sent invalid header in response: Auth-User"),
    (fields(Auth_User="u" * 1025), "sent invalid header in response: Auth-User"),
    (fields(Auth_Pass=""), "sent invalid header in response: Auth-Pass"),
    (without("Auth-Server"), "did not send server or port"),
    (without("Auth-Port"), "did not send server or port"),
    (fields(Auth_Server=""), "did not send server or port"),
    (fields(Auth_Server="127.0.0.1:25"), 'sent invalid server address:"127.0.0.1:25"'),
    (fields(Auth_Server="127.0.0.256"), 'sent invalid server address:"127.0.0.256"'),
    (fields(Auth_Server="[127.0.0.1]"), 'sent invalid server address:"[127.0.0.1]"'),
    (fields(Auth_Server="[::1"), 'sent invalid server address:"[::1"'),
    (fields(Auth_Server="a b"), 'sent invalid server address:"a b"'),
    (fields(Auth_Server="-" * 300), 'sent invalid server address:"---'),
    (fields(Auth_Server="a..b"), 'sent invalid server address:"a..b"'),
    (fields(Auth_Server="unix:relative"), 'sent invalid server address:"unix:relative"'),
    (fields(Auth_Server="unix:/" + "x" * 200), 'sent invalid server address:"unix:/xxx'),
    (fields(Auth_Port="0"), 'sent invalid server port:"0"'),
    (fields(Auth_Port="65536"), 'sent invalid server port:"65536"'),
    (fields(Auth_Port="25x"), 'sent invalid server port:"25x"'),
    (fields(Auth_Port="-1"), 'sent invalid server port:"-1"'),
    (fields(X_Long="x" * 17000), "sent invalid response: head too long"),
    (raw(b"HTTP/1.1 100 Continue\r\n%Y\r\n" + HEAD + b"\r\n"), "sent invalid response: no Auth-Status"),
    (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n%Y\r\n"), "bad Content-Length"),
    (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n%Y\r\n"), "bad Transfer-Encoding"),
]


def test_what_is_no_clear_yes_is_no_login(env):
    current = []
    stage = Stage(env, "smtp", mail=QUICK, answer=lambda request: current[0](env))
    client = stage.client()
    wrong = []
    for answer, logged in UNUSABLE:
        current[:] = [answer]
        before = stage.postern.log().count("\n")
        client.send(LOGIN)
        got = client.line()
        lines = stage.postern.log().split("\n")[before:]
        if got != INTERNAL + b"\r\n" or not any(f" auth http server {env.ip(3)}:9000 {logged}" in line
                                                or f" {logged} while" in line for line in lines if "[error]" in line):
            wrong.append(f"{answer(env)!r:.100}: {got!r}, wanted {logged!r} in {lines}")
    assert not wrong, "\n".join(wrong)
    assert stage.backend.accepted == 0
    client.send(b"NOOP\r\n")
    client.expect(b"250 2.0.0 OK")


GOOD = [
    fields(),
    fields(X_Long="x" * 15000),
    fields(Auth_Wait="5"),
    fields(X="  "),
    raw(b"HTTP/1.0 200 OK\r\nConnection: close\r\n%Y\r\n"),
    raw(b"HTTP/1.1 204 No Content\r\n%Y\r\n"),
    raw(b"HTTP/1.1 200 OK\nContent-Length: 0\n" + b"%Y\n"),
    raw(b"HTTP/1.1 200\r\nContent-Length: 0\r\n%Y\r\n"),
    raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n%Y\r\npart of a body"),
    raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n%Y\r\n5\r\nhello\r\n0\r\n\r\n"),
    raw(b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"%Y\r\n"),
    raw(HEAD.replace(b": ", b":") + b"%YX-Empty:\r\n\r\n"),
]


def test_every_form_of_a_yes_is_one(env):
    current = []
    stage = Stage(env, "smtp", mail=QUICK, answer=lambda request: current[0](env))
    for answer in GOOD:
        current[:] = [answer]
        client = login(stage)
        client.expect(b"235 2.0.0 OK")
        client.send(b"NOOP\r\n")
        client.expect(b"250 2.0.0 backend NOOP")
        client.close()


# Fields of the answer; what an SMTP client hears; whether the session stays open.
REFUSALS = [
    ({"Auth-Status": "bad password"}, b"535 5.7.0 bad password", False),
    ({"Auth-Status": "ok"}, b"535 5.7.0 ok", False),
    ({"Auth-Status": "OKAY", "Auth-Wait": "0"}, b"535 5.7.0 OKAY", False),
    ({"Auth-Status": "no", "Auth-Error-Code": "454 4.7.0"}, b"454 4.7.0 no", False),
    ({"Auth-Status": "no", "Auth-Error-Code": "550"}, b"550 no", False),
    ({"Auth-Status": "no", "Auth-Error-Code": "250 2.0.0"}, b"535 5.7.0 no", False),
    ({"Auth-Status": "no", "Auth-Error-Code": "junk"}, b"535 5.7.0 no", False),
    ({"Auth-Status": "no", "Auth-Wait": "1"}, b"535 5.7.0 no", True),
    ({"Auth-Status": "x" * 2000}, b"535 5.7.0 " + b"x" * 480, False),
]


def test_a_refusal_is_said_in_the_servers_words(env):
    current = []
    stage = Stage(env, "smtp", mail=QUICK, answer=lambda request: current[0])
    for answer, said, stays in REFUSALS:
        current[:] = [answer]
        client = login(stage)
        client.expect(said)
        if stays:
            client.send(b"NOOP\r\n")
            client.expect(b"250 2.0.0 OK")
        else:
            client.expect_end()
        client.close()
    stage.postern.wait_log(r'\[info\].* client login failed: "bad password" while in http auth state, client: '
                           r'127.0.0.1, server: .*, login: "joe"')
    assert stage.backend.accepted == 0


def test_the_same_in_imap_and_pop3(env):
    auth = env.keep(AuthHttp((env.ip(3), 9000), {"Auth-Status": "go away"}))
    env.postern(f"""
    auth_http {env.ip(3)}:9000/;
    server {{ listen {env.ip()}:2143; protocol imap; }}
    server {{ listen {env.ip()}:2110; protocol pop3; }}
""")
    imap, pop3 = Wire.to((env.ip(), 2143)), Wire.to((env.ip(), 2110))
    imap.send(b"a LOGIN joe x\r\n")
    imap.expect(re.compile(rb"\* OK .*"), re.compile(rb"a NO .*go away"))
    imap.expect_end()
    pop3.send(b"USER joe\r\nPASS x\r\n")
    pop3.expect(re.compile(rb"\+OK .*"), re.compile(rb"\+OK.*"), re.compile(rb"-ERR .*go away"))
    pop3.expect_end()
    assert len(auth.requests) == 2


def test_an_answer_that_repeats_the_password_does_not_log_it(env):
    """As it was sent, with its escapes, and as the server decoded it."""
    stage = Stage(env, "smtp", mail=QUICK, answer=lambda request: {
        "Auth-Status": "no " + (request["Auth-Pass"] if request["Auth-User"] == "raw"
                                else request.decoded("Auth-Pass").decode())})
    for user in (b"raw", b"decoded"):
        client = stage.client()
        client.send(b"AUTH PLAIN " + b64(b"", user, b"my pass%word") + b"\r\n")
        client.line()
        client.expect_end()
    stage.postern.wait_log("client login failed", 2)
    assert "my%20pass" not in stage.postern.log() and "my pass" not in stage.postern.log()


# -- overrides

def test_user_and_password_of_the_answer_go_to_the_backend(env):
    stage = Stage(env, "smtp", mail="xclient off; proxy_smtp_auth on;",
                  answer=fields(Auth_User="real%20joe", Auth_Pass="p%41 x")(env))
    client = login(stage)
    client.expect(b"235 2.0.0 OK")
    assert stage.heard[1] == b"AUTH PLAIN " + b64(b"", b"real%20joe", b"p%41 x") + b"\r\n", stage.heard
    stage.postern.wait_log('client logged in, .*login: "real%20joe", upstream: ')


def test_hostile_names_stay_within_their_line(env):
    """8-bit, quotes, backslashes and blanks arrive as they are; no log line is forged."""
    stage = Stage(env, "imap", answer=fields(Auth_User='a"b\\c \xe9{3}', Auth_Pass='p"\\ {5+}')(env))
    client = stage.client()
    client.send(b"a LOGIN joe x\r\n")
    client.expect(b"a OK backend LOGIN")
    wire = b"".join(stage.heard)
    assert b'a"b\\c \xe9{3}' in wire or b'a\\"b\\\\c' in wire, wire
    stage.postern.wait_log("client logged in")
    assert '"a"b' not in stage.postern.log()


# -- waiting

def test_wait_asks_the_same_again(env):
    answers = [{"Auth-Status": "WAIT", "Auth-Wait": "1"}, {"Auth-Status": "WAIT"}]
    stage = Stage(env, "smtp", mail="xclient off;",
                  answer=lambda request: answers.pop(0) if answers else accept(env.ip(2), 2000))
    client = login(stage)
    client.quiet(0.5)
    assert len(stage.auth.requests) == 1
    client.expect(b"235 2.0.0 OK")
    raws = [request.raw for request in stage.auth.requests]
    assert len(raws) == 3 and raws[0] == raws[1] == raws[2]


def test_who_leaves_while_the_server_says_wait_is_let_go(env):
    stage = Stage(env, "smtp", mail="xclient off;", answer={"Auth-Status": "WAIT", "Auth-Wait": "60"})
    worker = Vitals(stage.postern.children()[0])
    before = worker.descriptors()
    for number, leave in enumerate((Wire.close, Wire.reset, Wire.finish), 1):
        client = login(stage)
        wait_requests(stage, number)
        time.sleep(0.1)         # its answer is on the way
        leave(client)
        if leave is Wire.finish:
            client.expect(INTERNAL)
            client.expect_end()
        worker.wait_descriptors(before + 1)     # what remains is the kept connection


def test_who_has_left_is_not_waited_for(env):
    stage = Stage(env, "smtp", mail="xclient off;", answer={"Auth-Status": "WAIT", "Auth-Wait": "60"})
    stage.auth.delay = 0.3
    client = login(stage)
    client.finish()
    client.expect(INTERNAL)
    client.expect_end()


def test_a_refusal_with_a_wait_is_silence_first(env):
    stage = Stage(env, "smtp", mail="xclient off;", answer={"Auth-Status": "no", "Auth-Wait": "1"})
    client = login(stage)
    client.send(b"NOOP\r\n")
    client.quiet(0.6)
    client.expect(b"535 5.7.0 no", b"250 2.0.0 OK")


def test_who_leaves_during_the_silence_is_noticed(env):
    stage = Stage(env, "smtp", mail="xclient off;", answer={"Auth-Status": "no", "Auth-Wait": "60"})
    worker = Vitals(stage.postern.children()[0])
    before = worker.descriptors()
    for number, leave in enumerate((Wire.close, Wire.reset, Wire.finish), 1):
        client = login(stage)
        stage.postern.wait_log('client login failed: "no"', number)
        leave(client)
        if leave is Wire.finish:
            client.expect(b"535 5.7.0 no")
            client.expect_end()
        worker.wait_descriptors(before + 1)


def test_a_wait_of_ages_is_shortened_and_stops_nobody(env):
    stage = Stage(env, "smtp", mail="xclient off;", answer={"Auth-Status": "no", "Auth-Wait": "9" * 40})
    client = login(stage)
    stage.postern.wait_log("client login failed")
    client.quiet(0.3)
    stage.postern.stop()
    client.expect(b"421 4.3.2 mail.example.com Server is shutting down")


# -- where to

def bind(env, path, text):
    """This text stands at `path`, for this test alone."""
    source = env.write("bound-" + path.replace("/", "-"), text)
    subprocess.run(["mount", "--bind", str(source), path], check=True)


class Dns:
    """A name server with a table: name -> list of IPv4 addresses; None: silence; "fail": SERVFAIL; else NXDOMAIN."""

    def __init__(self, address, table):
        self.table, self.asked = table, []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(address)
        threading.Thread(target=self.loop, daemon=True).start()

    def loop(self):
        while True:
            try:
                query, peer = self.sock.recvfrom(4096)
            except OSError:
                return
            answer = self.answer(query)
            if answer:
                self.sock.sendto(answer, peer)

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, kind, question = ".".join(labels), query[at + 2], query[12:at + 5]
        self.asked.append(name)
        found = self.table.get(name, "none")
        if found is None:
            return None
        if isinstance(found, str):
            code = 2 if found == "fail" else 3
            return query[:2] + b"\x81" + bytes([0x80 | code]) + b"\0\1\0\0\0\0\0\0" + question
        records = [b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(a) for a in found] if kind == 1 else []
        return query[:2] + b"\x81\x80\0\1\0" + bytes([len(records)]) + b"\0\0\0\0" + question + b"".join(records)

    def stop(self):
        self.sock.close()


def named(env, server, port=2000):
    """An auth server that sends everybody to `server`, and postern; returns what a client hears, and postern."""
    backend = [env.keep(Listener((address, 2000), smtp_backend)) for address in ("127.0.0.1", "127.0.0.7", "::1")]
    names = iter(server)
    env.keep(AuthHttp(("127.0.0.3", 9000), lambda request: accept(next(names), port)))
    postern = env.postern("auth_http 127.0.0.3:9000/; xclient off; timeout 2s; server { listen 25; }")

    def attempt():
        client = Wire.to(("127.0.0.1", 25))
        client.send(LOGIN)
        client.expect(b"220 mail.example.com ESMTP ready")
        return client.line().rstrip()
    return attempt, postern, backend


@netns
def test_names_without_dns(env):
    bind(env, "/etc/hosts", "127.0.0.7 backend.example store # comment\n127.0.0.99 two.example\n127.0.0.7 two.example\n")
    servers = ["localhost", "LOCALHOST.", "backend.example", "Store", "two.example", "[::1]", "::1", "127.0.0.7"]
    attempt, postern, backends = named(env, servers)
    for server in servers:
        assert attempt() == b"235 2.0.0 OK", server
    assert [backend.accepted for backend in backends] == [2, 4, 2]
    postern.wait_log(r"client logged in, .* upstream: 127.0.0.7:2000")
    postern.wait_log(r"client logged in, .* upstream: \[::1\]:2000")


@netns
def test_names_by_dns(env):
    bind(env, "/etc/resolv.conf", "nameserver 127.0.0.53\nsearch corp.example\noptions timeout:1 attempts:1\n")
    bind(env, "/etc/hosts", "")
    dns = env.keep(Dns(("127.0.0.53", 53), {
        "one.example.com": ["127.0.0.7"], "host.corp.example": ["127.0.0.7"],
        "dead.first.example": ["127.0.0.99", "127.0.0.7"], "broken.example": "fail", "silent.example": None,
    }))
    cases = [("one.example.com", b"235 2.0.0 OK"), ("host", b"235 2.0.0 OK"), ("dead.first.example", b"235 2.0.0 OK"),
             ("unknown.example", INTERNAL), ("broken.example", INTERNAL), ("silent.example", INTERNAL)]
    attempt, postern, backends = named(env, [name for name, _ in cases])
    for name, said in cases:
        assert attempt() == said, name
    assert "one.example.com" in dns.asked and backends[1].accepted == 3
    postern.wait_log(r'\[error\].* could not be resolved', 2)


@netns
def test_who_leaves_while_a_name_is_looked_up_is_let_go(env):
    """And the answer that comes too late, or never, finds nobody."""
    bind(env, "/etc/resolv.conf", "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n")
    bind(env, "/etc/hosts", "")
    dns = env.keep(Dns(("127.0.0.53", 53), {"silent.example": None, "one.example.com": ["127.0.0.7"]}))
    attempt, postern, _ = named(env, ["silent.example", "silent.example", "one.example.com"])
    for count, leave in enumerate((Wire.reset, Wire.close), 1):
        client = Wire.to(("127.0.0.1", 25))
        client.send(LOGIN)
        eventually(lambda: len(dns.asked) >= 2 * count, "both kinds of address are asked for")
        leave(client)
    assert attempt() == b"235 2.0.0 OK"


HOSTILE_DNS = [
    lambda query: query[:2],
    lambda query: query[:2] + b"\xff" * 500,
    lambda query: query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:] + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\xff\x7f",
    lambda query: query[:2] + b"\x81\x80\0\1\xff\xff\0\0\0\0" + query[12:] + b"\xc0\x0c" * 200,
    lambda query: query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + b"\xc0\x0c" + query[12:],
]


@netns
def test_a_hostile_name_server_only_fails(env):
    bind(env, "/etc/resolv.conf", "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n")
    bind(env, "/etc/hosts", "")
    dns = env.keep(Dns(("127.0.0.53", 53), {}))
    current = []
    dns.answer = lambda query: current[0](query)
    attempt, postern, backends = named(env, ["some.example"] * len(HOSTILE_DNS) + ["127.0.0.7"])
    for answer in HOSTILE_DNS:
        current[:] = [answer]
        assert attempt() == INTERNAL
    assert attempt() == b"235 2.0.0 OK" and len(postern.children()) == 1
    assert "exited" not in postern.log()


@netns
def test_the_auth_server_may_be_a_name(env):
    bind(env, "/etc/hosts", "127.0.0.3 auth.example\n127.0.0.1 localhost\n")
    env.keep(Listener(("127.0.0.1", 2000), smtp_backend))
    auth = env.keep(AuthHttp(("127.0.0.3", 9000), accept("localhost", 2000)))
    env.postern("auth_http http://auth.example:9000/cgi-bin/auth.cgi; xclient off; server { listen 25; }")
    client = Wire.to(("127.0.0.1", 25))
    client.send(LOGIN)
    client.expect(b"220 mail.example.com ESMTP ready", b"235 2.0.0 OK")
    assert auth.requests[0]["Host"] == "auth.example" and auth.requests[0].line == "GET /cgi-bin/auth.cgi HTTP/1.1"


# -- passwords that the backend needs

def test_a_digest_is_no_password_for_a_backend(env):
    stage = Stage(env, "imap", mail="imap_auth plain cram-md5;")
    client = stage.client()
    client.send(b"a AUTHENTICATE CRAM-MD5\r\n")
    client.expect(re.compile(rb"\+ .*"))
    client.send(b64(b"joe " + 32 * b"0") + b"\r\n")
    client.expect(re.compile(rb"a NO \[UNAVAILABLE\] .*"))
    stage.postern.wait_log(rf"\[error\].* auth http server {env.ip(3)}:9000 did not send password")
    assert stage.backend.accepted == 0


def test_many_ask_at_once_and_each_gets_its_own_answer(env):
    def answer(request):
        user = request["Auth-User"]
        time.sleep(0.01)
        return {"Auth-Status": f"not {user}"} if int(user[1:]) % 2 else accept(env.ip(2), 2000)
    stage = Stage(env, "smtp", mail="xclient off;", answer=answer)
    clients = [stage.client() for _ in range(60)]
    for number, client in enumerate(clients):
        client.send(b"AUTH PLAIN " + b64(b"", b"u%d" % number, b"x") + b"\r\n")
    for number, client in enumerate(clients):
        client.expect(b"535 5.7.0 not u%d" % number if number % 2 else b"235 2.0.0 OK")


# -- what is not nginx's

OAUTH = {"imap": b"a AUTHENTICATE OAUTHBEARER %s\r\n",
         "pop3": b"AUTH OAUTHBEARER %s\r\n", "smtp": b"AUTH OAUTHBEARER %s\r\n"}
TOKEN = SECRET.decode() + "~+/="


def oauth(stage, user):
    client = stage.client()
    message = (b"n,a=%s," % user if user else b"n,,") + b"\1auth=Bearer " + TOKEN.encode() + b"\1\1"
    client.send(OAUTH[stage.protocol] % b64(message))
    return client


def check_oauth(env, protocol, refused, accepted, **options):
    """A token is told of and its challenge passed on; who leaves the name to the token is whom the server names."""
    answers = [{"Auth-Status": "no", "Auth-Wait": "1", "Auth-Error-SASL": "eyJzIjoxfQ=="}, fields(Auth_User="joe")(env)]
    stage = Stage(env, protocol, answer=lambda request: answers[len(stage.auth.requests) - 1],
                  mail=f"xclient off; {protocol}_auth plain xoauth2 oauthbearer;", **options)
    client = oauth(stage, b"jim")
    client.expect({"smtp": b"334 eyJzIjoxfQ=="}.get(protocol, b"+ eyJzIjoxfQ=="))
    client.send(b"AQ==\r\n")
    client.expect(re.compile(refused))
    client.close()
    client = oauth(stage, b"")
    client.expect(re.compile(accepted))
    told = [(r["Auth-Method"], r["Auth-User"], r["Auth-Pass"]) for r in stage.auth.requests]
    assert told == [("oauthbearer", "jim", TOKEN), ("oauthbearer", "", TOKEN)]
    stage.postern.wait_log('client logged in, .*login: "joe"')


def test_a_token_is_told_of_in_imap(env):
    check_oauth(env, "imap", rb"a NO .*no", rb"a OK .*", backend=lambda wire: imap_backend(
        wire, capability="IMAP4rev1 SASL-IR AUTH=OAUTHBEARER"))


def test_a_token_is_told_of_in_pop3(env):
    check_oauth(env, "pop3", rb"-ERR .*no", rb"\+OK .*")


def test_a_token_is_told_of_in_smtp(env):
    check_oauth(env, "smtp", rb"535 5.7.0 no", rb"235 .*")


def test_a_challenge_that_is_none_is_replaced(env):
    answers = ["{}", "eyJ9 x", "A" * 2052, ""]
    stage = Stage(env, "imap", mail="imap_auth oauthbearer;", answer=lambda request: {
        "Auth-Status": "no", "Auth-Error-SASL": answers[len(stage.auth.requests) - 1]})
    for answer in answers:
        client = oauth(stage, b"joe")
        line = client.line()
        assert re.fullmatch(rb"\+ [A-Za-z0-9+/]+=*\r\n", line) and answer.encode() != line[2:-2], line
        client.send(b"AQ==\r\n")
        client.expect(re.compile(rb"a NO .*no"))
        client.close()
    stage.postern.wait_log(r"\[error\].* sent invalid header in response: Auth-Error-SASL", len(answers))


def test_an_unknown_user_is_the_next_sources(env):
    """Only if the refusal says so: any other ends it, and so does a failure."""
    users = env.write("users", "ann:{PLAIN}%s\n" % SECRET.decode())
    answers = {"unknown": {"Auth-Status": "who?", "Auth-Unknown-User": "on"}, "wrong": {"Auth-Status": "no"},
               "off": {"Auth-Status": "no", "Auth-Unknown-User": "off"},
               "odd": {"Auth-Status": "no", "Auth-Unknown-User": "yes"},
               "down": b"HTTP/1.1 500 x\r\nAuth-Status: no\r\nAuth-Unknown-User: on\r\nContent-Length: 0\r\n\r\n"}
    current = []
    stage = Stage(env, "smtp", mail=f"xclient off; auth_file {users}; proxy_pass {env.ip(2)}:2000;",
                  answer=lambda request: answers[current[0]])
    cases = [("unknown", b"ann", b"235 2.0.0 OK"), ("wrong", b"ann", b"535 5.7.0 no"), ("off", b"ann", b"535 5.7.0 no"),
             ("odd", b"ann", b"535 5.7.0 no"), ("down", b"ann", INTERNAL)]
    for answer, user, said in cases:
        current[:] = [answer]
        client = stage.client()
        client.send(b"AUTH PLAIN " + b64(b"", user, SECRET) + b"\r\n")
        client.expect(said)
        client.close()
    assert stage.backend.accepted == 1
