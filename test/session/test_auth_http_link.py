"""auth_http: the connection to the auth server, and what can happen on it."""
import os
import select
import time

from harness import Wire
from peers import AuthHttp, Listener, Request, accept, smtp_backend
from stage import Stage, b64, wait_requests
from test_auth_http import HEAD, INTERNAL, LOGIN, QUICK, login, yes


def test_one_kept_connection_serves_many_logins(env):
    stage = Stage(env, "smtp", mail="xclient off;")
    for _ in range(12):
        client = login(stage)
        client.expect(b"235 2.0.0 OK")
        client.close()
    assert len(stage.auth.requests) == 12 and stage.auth.accepted == 1


def test_a_body_does_not_disturb_the_next_answer(env):
    body = b"Auth-Status: no\r\n\r\nHTTP/1.1 200 OK\r\nAuth-Status: no\r\n\r\n"
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), yes(env), body),
               b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n%s\r\n%x;q=1\r\n%s\r\n0\r\nX: y\r\n\r\n" %
               (yes(env), len(body), body)]
    stage = Stage(env, "smtp", mail="xclient off;", answer=lambda request: answers[len(stage.auth.requests) % 2])
    for _ in range(6):
        client = login(stage)
        client.expect(b"235 2.0.0 OK")
        client.close()
    assert stage.auth.accepted == 1


def test_bytes_behind_an_answer_are_not_the_next_one(env):
    forged = HEAD + yes(env) + b"\r\n"
    refused = HEAD + b"Auth-Status: no\r\n\r\n"
    stage = Stage(env, "smtp", mail=QUICK, answer=lambda request: refused + forged)
    for _ in range(4):
        client = login(stage)
        client.expect(b"535 5.7.0 no")
        client.expect_end()
    assert stage.backend.accepted == 0


def test_http_1_0_has_a_connection_a_login(env):
    env.keep(Listener((env.ip(2), 2000), smtp_backend))
    auth = env.keep(AuthHttp((env.ip(3), 9000), accept(env.ip(2), 2000), keep_alive=False))
    env.postern(f"auth_http {env.ip(3)}:9000/; xclient off; server {{ listen {env.ip()}:2525; protocol smtp; }}")
    for _ in range(5):
        client = Wire.to((env.ip(), 2525))
        client.send(LOGIN)
        client.expect(b"220 mail.example.com ESMTP ready", b"235 2.0.0 OK")
        client.close()
    assert auth.accepted == 5 and len(auth.requests) == 5


class Script(Listener):
    """An auth server whose every connection is a function of its Wire and number."""

    def __init__(self, env, talk):
        self.count = 0

        def serve(wire):
            self.count += 1
            talk(wire, self.count)
        super().__init__((env.ip(3), 9000), serve)


def scripted(env, talk, more=QUICK):
    """Postern before a scripted auth server; returns it and a function that logs in and gives the answer."""
    backend = env.keep(Listener((env.ip(2), 2000), smtp_backend))
    env.keep(Script(env, talk))
    postern = env.postern(f"auth_http {env.ip(3)}:9000/; {more} server {{ listen {env.ip()}:2525; protocol smtp; }}")

    def attempt():
        client = Wire.to((env.ip(), 2525))
        client.send(LOGIN)
        client.expect(b"220 mail.example.com ESMTP ready")
        answer = client.line()
        client.close()
        return answer
    return postern, attempt, backend


def test_a_kept_connection_that_died_is_made_again(env):
    """Closed or reset after an answer, while idle or as the next question arrives: the login does not notice."""
    def talk(wire, number):
        if not Request.read(wire):
            return
        wire.send(HEAD + yes(env) + b"\r\n")
        if number % 3 == 0:
            wire.reset()
        elif number % 3 == 1:
            Request.read(wire)
    postern, attempt, _ = scripted(env, talk)
    for _ in range(9):
        assert attempt() == b"235 2.0.0 OK\r\n"
    assert "auth http server" not in postern.log()


def test_an_answer_cut_short_at_any_offset_is_a_failure_at_once(env):
    whole = HEAD + yes(env) + b"\r\n"
    cuts = iter(range(len(whole) + 1))

    def talk(wire, number):
        if Request.read(wire):
            wire.send(whole[:next(cuts)])
    postern, attempt, backend = scripted(env, talk, "xclient off; auth_http_timeout 60s;")
    for cut in range(len(whole)):
        assert attempt() == INTERNAL + b"\r\n", whole[:cut]
    assert attempt() == b"235 2.0.0 OK\r\n" and backend.accepted == 1
    lines = postern.wait_log(
        r"\[error\].*auth http server .* closed the connection before its answer was whole", len(whole))
    assert "while in http auth state, client: 127.0.0.1" in lines[0]


def test_an_answer_may_come_in_any_two_pieces(env):
    whole = HEAD + yes(env) + b"\r\n"
    cuts = iter(range(1, len(whole)))

    def talk(wire, number):
        for cut in cuts:
            if not Request.read(wire):
                return
            wire.send(whole[:cut])
            time.sleep(0.001)
            wire.send(whole[cut:])
    postern, attempt, backend = scripted(env, talk, "xclient off;")
    for _ in range(1, len(whole)):
        assert attempt() == b"235 2.0.0 OK\r\n"


def hang(wire, sent):
    Request.read(wire)
    wire.send(sent)
    wire.rest()


def trickles(wire, _):
    Request.read(wire)
    try:
        for byte in (HEAD + b"X: y\r\n" * 1000):
            wire.send(bytes([byte]))
            time.sleep(0.1)
    except OSError:
        pass


BROKEN = [
    (lambda wire, _: hang(wire, b""), "timed out"),
    (lambda wire, _: hang(wire, HEAD), "timed out"),
    (lambda wire, _: wire.rest(), "timed out"),
    (trickles, "timed out"),
    (lambda wire, _: wire.close(), "closed the connection before its answer was whole"),
    (lambda wire, _: (Request.read(wire), wire.reset()), "closed the connection before its answer was whole"),
    (lambda wire, _: (Request.read(wire), wire.send(b"x" * 20000), wire.rest()),
     "sent invalid response: head too long"),
    (lambda wire, _: (Request.read(wire), wire.send(os.urandom(3000).replace(b"\n", b"") + b"\n\n"), wire.rest()),
     "sent invalid response: bad status line"),
]


def test_a_broken_auth_server_is_a_temporary_failure_in_time(env):
    current = []
    postern, attempt, backend = scripted(env, lambda wire, number: current[0](wire, number))
    for talk, logged in BROKEN:
        current[:] = [talk]
        before = postern.log().count("\n")
        assert attempt() == INTERNAL + b"\r\n"
        lines = [line for line in postern.log().split("\n")[before:] if "[error]" in line]
        assert len(lines) == 1 and f"auth http server {env.ip(3)}:9000 {logged}" in lines[0], lines
    assert backend.accepted == 0


def test_an_absent_auth_server_is_a_temporary_failure(env):
    postern = env.postern(f"auth_http {env.ip(3)}:9000/; server {{ listen {env.ip()}:2525; protocol smtp; }}")
    client = Wire.to((env.ip(), 2525))
    client.send(LOGIN * 2)
    client.expect(b"220 mail.example.com ESMTP ready", INTERNAL, INTERNAL)
    postern.wait_log(rf"\[error\].* connect\(\) to auth http server {env.ip(3)}:9000 failed "
                     r"\(111: Connection refused\) "
                     "while in http auth state", 2)


def test_a_slow_auth_server_holds_nobody_else_up(env):
    def answer(request):
        if request["Auth-User"] == "slow":
            time.sleep(0.5)
        return accept(env.ip(2), 2000)
    stage = Stage(env, "smtp", mail="xclient off;", answer=answer)
    slow = stage.client()
    slow.send(b"AUTH PLAIN " + b64(b"", b"slow", b"x") + b"\r\n")
    wait_requests(stage, 1)
    for _ in range(3):
        client = login(stage)
        client.expect(b"235 2.0.0 OK")
    assert not select.select([slow.sock], [], [], 0)[0]
    slow.expect(b"235 2.0.0 OK")


def test_a_unix_auth_server_and_a_unix_backend(env):
    heard = []
    path, backend = str(env.path("auth.sock")), str(env.path("backend.sock"))
    env.keep(Listener(backend, lambda wire: smtp_backend(wire, on_command=heard.append)))
    auth = env.keep(AuthHttp(path, {"Auth-Status": "OK", "Auth-Server": "unix:" + backend}))
    env.postern(f"auth_http unix:{path}:/q?x=1; xclient off; server {{ listen {env.ip()}:2525; protocol smtp; }}")
    client = Wire.to((env.ip(), 2525))
    client.send(LOGIN + b"NOOP\r\n")
    client.expect(b"220 mail.example.com ESMTP ready", b"235 2.0.0 OK", b"250 2.0.0 backend NOOP")
    assert auth.requests[0].line == "GET /q?x=1 HTTP/1.1" and auth.requests[0]["Host"] == "localhost"
