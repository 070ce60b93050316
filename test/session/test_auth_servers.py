"""auth_http with several servers: turns, failures, backups, and how long connections are kept."""
import re
import socket
import threading

from certs import Authority
from harness import Vitals, Wire, eventually
from peers import AuthHttp, Listener, accept, compose, smtp_backend
from stage import SECRET, b64

LOGIN = b"AUTH PLAIN " + b64(b"", b"joe", SECRET) + b"\r\n"
IN, NOT_NOW = b"235 2.0.0 OK\r\n", b"451 4.3.2 Internal server error\r\n"


class Scene:
    """Postern before a backend and auth servers; `conf` is the mail block's text, %0 %1 ... stand for the servers."""

    def __init__(self, env, conf, hosts=2):
        self.env = env
        self.backend = env.keep(Listener((env.ip(2), 2000), smtp_backend))
        self.yes = accept(env.ip(2), 2000)
        self.places = [(env.ip(10 + i), 9000) for i in range(hosts)]
        for i, (host, port) in enumerate(self.places):
            conf = conf.replace(f"%{i}", f"{host}:{port}")
        self.postern = env.postern(f"xclient off; {conf} server {{ listen {env.ip()}:2525; protocol smtp; }}")

    def serve(self, number, answer=None, **options):
        """An auth server at one of the places; by default it says yes."""
        return self.env.keep(AuthHttp(self.places[number], answer or self.yes, **options))

    def script(self, number, talk):
        """One whose every connection is a function of its Wire."""
        return self.env.keep(Listener(self.places[number], talk))

    def begin(self):
        client = Wire.to((self.env.ip(), 2525))
        client.send(LOGIN)
        client.expect(b"220 mail.example.com ESMTP ready")
        return client

    def login(self):
        client = self.begin()
        said = client.line()
        client.close()
        return said


def read_request(wire):
    while b"\r\n\r\n" not in wire.held:
        if not wire.fill():
            return False
    wire.held = wire.held.partition(b"\r\n\r\n")[2]
    return True


def errors(postern):
    return [line for line in postern.log().split("\n") if "[error]" in line]


# -- turns

def test_servers_of_a_line_take_turns(env):
    scene = Scene(env, "auth_http %0/first http://%1/second;")
    servers = [scene.serve(0), scene.serve(1)]
    for _ in range(6):
        assert scene.login() == IN
    assert [len(server.requests) for server in servers] == [3, 3]
    assert [server.accepted for server in servers] == [1, 1]
    assert servers[0].requests[0].line == "GET /first HTTP/1.1" and servers[0].requests[0]["Host"] == env.ip(10)
    assert servers[1].requests[0].line == "GET /second HTTP/1.1" and servers[1].requests[0]["Host"] == env.ip(11)
    assert not errors(scene.postern)


def test_servers_of_an_upstream_take_turns_by_weight(env):
    scene = Scene(env, "upstream auth { server %0 weight=3; server %1; } auth_http http://auth/who;")
    servers = [scene.serve(0), scene.serve(1)]
    for _ in range(8):
        assert scene.login() == IN
    assert [len(server.requests) for server in servers] == [6, 2]
    assert {request["Host"] for server in servers for request in server.requests} == {"auth"}
    assert {request.line for server in servers for request in server.requests} == {"GET /who HTTP/1.1"}


# -- failures

def half_an_answer(wire):
    read_request(wire)
    wire.send(b"HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-User: boss\r\n")


def garbage(wire):
    read_request(wire)
    wire.send(b"\x16\x03\x01 garbage\r\n\r\n")


def server_error(wire):
    read_request(wire)
    wire.send(b"HTTP/1.1 503 later\r\nContent-Length: 0\r\nAuth-Status: OK\r\n\r\n")
    wire.rest()


DEATHS = [
    (lambda wire: wire.close(), "closed the connection before its answer was whole"),
    (lambda wire: (read_request(wire), wire.close()), "closed the connection before its answer was whole"),
    (lambda wire: (read_request(wire), wire.reset()), "closed the connection before its answer was whole"),
    (half_an_answer, "closed the connection before its answer was whole"),
    (garbage, "sent invalid response: bad status line"),
    (server_error, "sent invalid response: status 503"),
]


def test_a_server_that_dies_mid_login_is_passed_over(env):
    """And without a mark of what it had said: its Auth-User is not the backend's."""
    scene = Scene(env, "upstream auth { server %0 max_fails=0; server %1 backup; } auth_http http://auth/;")
    current = []
    first = scene.script(0, lambda wire: current[0](wire))
    second = scene.serve(1)
    for count, (talk, logged) in enumerate(DEATHS, 1):
        current[:] = [talk]
        assert scene.login() == IN, logged
        assert first.accepted == count and len(second.requests) == count
        lines = errors(scene.postern)
        assert len(lines) == count and f"auth http server {env.ip(10)}:9000 {logged} while in http auth" in lines[-1]
    scene.postern.wait_log('client logged in, .* login: "joe", upstream', len(DEATHS))
    assert "aside" not in scene.postern.log()


def test_a_silent_server_leaves_time_for_the_next(env):
    """Half of auth_http_timeout, whether it takes the connection and says nothing, or trickles."""
    scene = Scene(env, "auth_http_timeout 2s; auth_http http://auth/; "
                       "upstream auth { server %0 max_fails=0; server %1 backup; }")
    talks = [lambda wire: wire.rest(),
             lambda wire: (read_request(wire), wire.send(b"HTTP/1.1 200 OK\r\nAuth-"), wire.rest())]
    current = []
    scene.script(0, lambda wire: current[0](wire))
    second = scene.serve(1)
    for count, talk in enumerate(talks, 1):
        current[:] = [talk]
        assert scene.login() == IN
        scene.postern.wait_log(rf"\[error\].* auth http server {env.ip(10)}:9000 timed out", count)
    assert len(second.requests) == 2


def test_a_server_that_failed_is_left_alone_until_its_time_is_over(env):
    scene = Scene(env, "upstream auth { server %0 fail_timeout=1s; server %1; } auth_http http://auth/;")
    second = scene.serve(1)
    for _ in range(6):
        assert scene.login() == IN
    assert len(second.requests) == 6 and len(errors(scene.postern)) == 1
    scene.postern.wait_log(rf"\[error\].* connect\(\) to auth http server {env.ip(10)}:9000 failed \(111: ")
    scene.postern.wait_log(r"\[notice\].* auth http server .* is put aside for 1000 ms")
    first = scene.serve(0)
    eventually(lambda: scene.login() == IN and first.requests, "the first is asked again")
    before = len(first.requests)
    for _ in range(4):
        assert scene.login() == IN
    assert len(first.requests) == before + 2
    log = scene.postern.log()
    assert log.count("is put aside") == 1 and log.count(" is back") == 1, log


def test_a_backup_is_asked_only_when_the_others_are_gone(env):
    scene = Scene(env, "upstream auth { server %0 backup; server %1; server %2; } auth_http http://auth/;", hosts=3)
    backup, first, second = scene.serve(0), scene.serve(1), scene.serve(2)
    for _ in range(4):
        assert scene.login() == IN
    assert [len(server.requests) for server in (backup, first, second)] == [0, 2, 2]
    first.stop()
    for _ in range(4):
        assert scene.login() == IN
    assert not backup.requests
    second.stop()
    for _ in range(4):
        assert scene.login() == IN
    assert len(backup.requests) == 4


def test_when_all_are_gone_the_login_is_put_off_and_tried_at_each(env):
    scene = Scene(env, "auth_http %0 %1; max_errors 1000;")
    for count in range(1, 4):
        assert scene.login() == NOT_NOW
        lines = errors(scene.postern)
        assert len(lines) == 2 * count and all("failed (111: Connection refused)" in line for line in lines), lines
    assert scene.postern.log().count("is put aside") == 2
    servers = [scene.serve(0), scene.serve(1)]
    for _ in range(4):
        assert scene.login() == IN
    assert sum(len(server.requests) for server in servers) == 4
    assert scene.backend.accepted == 4


def test_an_answer_that_is_no_yes_is_final(env):
    """A refusal is one, and a server that does not know what it is asked would not be helped by the next."""
    scene = Scene(env, "upstream auth { server %0; server %1 backup; } auth_http http://auth/;")
    answers = [{"Auth-Status": "no"}, b"HTTP/1.1 404 no\r\nContent-Length: 0\r\n\r\n", {"Auth-Server": "127.0.0.1"}]
    first = scene.serve(0, lambda request: answers[len(first.requests) - 1])
    second = scene.serve(1)
    assert [scene.login() for _ in answers] == [b"535 5.7.0 no\r\n", NOT_NOW, NOT_NOW]
    assert not second.requests and scene.backend.accepted == 0 and "aside" not in scene.postern.log()


def test_who_leaves_while_a_server_is_silent_is_let_go(env):
    scene = Scene(env, "auth_http %0 %1;")
    scene.script(0, lambda wire: wire.rest())
    scene.script(1, lambda wire: wire.rest())
    worker = Vitals(scene.postern.children()[0])
    before = worker.descriptors()
    for _ in range(2):
        client = scene.begin()
        eventually(lambda: worker.descriptors() == before + 2, "it is asked about")
        client.reset()
        worker.wait_descriptors(before)


def test_many_logins_lose_nothing_when_a_server_dies_among_them(env):
    scene = Scene(env, "auth_http %0 %1;")
    dying, second = scene.serve(0, delay=0.2), scene.serve(1, delay=0.05)
    clients = [scene.begin() for _ in range(60)]
    eventually(lambda: len(dying.requests) >= 20, "the first has questions before it")
    dying.stop()
    for client in clients:
        client.expect(IN[:-2])
    assert scene.backend.accepted == 60 and len(second.requests) >= 30


# -- sockets and TLS

def test_two_unix_servers_one_of_them_dying(env):
    paths = [str(env.path("first.sock")), str(env.path("second.sock"))]
    scene = Scene(env, f"auth_http unix:{paths[0]}:/a unix:{paths[1]}:/b;")
    dying = env.keep(Listener(paths[0], half_an_answer))
    second = env.keep(AuthHttp(paths[1], scene.yes))
    for _ in range(4):
        assert scene.login() == IN
    assert dying.accepted == 1 and len(second.requests) == 4
    assert second.requests[0].line == "GET /b HTTP/1.1" and second.requests[0]["Host"] == "localhost"
    scene.postern.wait_log(rf"\[error\].* auth http server unix:{paths[0]} closed the connection before its answer")


def test_two_https_servers_one_of_them_dying_or_another_than_it_says(env):
    ca, other = Authority(env), Authority(env, "other")
    contexts = [ca.serve(ca.issue("localhost", env.ip(10))), ca.serve(ca.issue("localhost", env.ip(11)))]
    false = other.serve(other.issue("localhost", env.ip(10)))
    scene = Scene(env, f"auth_http_ssl_trusted_certificate {ca.certificate}; auth_http_ssl_name localhost; "
                       "upstream auth { server %0 max_fails=0; server %1 backup; } auth_http https://auth/;")
    asked, current = [], []

    def honest(wire):
        wire.secure(contexts[1], None)
        while read_request(wire):
            asked.append(wire)
            wire.send(compose(scene.yes))

    def dying(wire):
        wire.secure(contexts[0], None)
        half_an_answer(wire)

    def stranger(wire):
        wire.secure(false, None)
        read_request(wire)
        asked.append("the stranger")
    scene.script(0, lambda wire: current[0](wire))
    scene.script(1, honest)
    cases = [(dying, "closed the connection before its answer was whole"),
             (stranger, r"failed \(.*unable to get local issuer certificate"),
             (lambda wire: wire.send(b"HTTP/1.1 200 OK\r\n\r\n"), r"failed \(")]
    for count, (talk, logged) in enumerate(cases, 1):
        current[:] = [talk]
        assert scene.login() == IN
        scene.postern.wait_log(rf"\[error\].* auth http server {env.ip(10)}:9000 {logged}")
        assert len(asked) == count and "the stranger" not in asked


# -- kept connections

def test_no_connection_is_kept_that_is_not_to_be(env):
    scene = Scene(env, "auth_http %0; auth_http_keepalive 0;", hosts=1)
    server = scene.serve(0)
    for _ in range(4):
        assert scene.login() == IN
    assert server.accepted == 4 and {request["Connection"] for request in server.requests} == {"close"}


def test_a_connection_serves_no_more_logins_than_it_may(env):
    scene = Scene(env, "auth_http %0; auth_http_keepalive_requests 3;", hosts=1)
    server = scene.serve(0)
    for _ in range(7):
        assert scene.login() == IN
    assert server.accepted == 3 and len(server.requests) == 7


def test_no_more_connections_are_kept_than_may_be_nor_longer(env):
    scene = Scene(env, "auth_http %0; auth_http_keepalive 2; auth_http_keepalive_timeout 700ms;", hosts=1)
    worker = Vitals(scene.postern.children()[0])
    before = worker.descriptors()
    gate = threading.Event()
    server = scene.serve(0, lambda request: gate.wait(20) and scene.yes)
    clients = [scene.begin() for _ in range(6)]
    eventually(lambda: len(server.requests) == 6, "all are asked about")
    gate.set()
    for client in clients:
        client.expect(IN[:-2])
        client.close()
    assert server.accepted == 6
    worker.wait_descriptors(before + 2)
    worker.wait_descriptors(before)


# -- what joins the logs

def test_the_auth_server_hears_the_sessions_id(env):
    scene = Scene(env, "auth_http %0;", hosts=1)
    server = scene.serve(0)
    for _ in range(3):
        assert scene.login() == IN
    ids = [request["Auth-Session-ID"] for request in server.requests]
    assert len(set(ids)) == 3 and all(re.fullmatch("[0-9a-f]{16}", each) for each in ids)
    for each in ids:
        scene.postern.wait_log(rf"client logged in, .* session: {each}")


def test_a_server_that_takes_no_connection_is_passed_over(env):
    """Its queue is full and the kernel drops what knocks: nothing comes back at all."""
    scene = Scene(env, "auth_http_timeout 2s; upstream auth { server %0; server %1 backup; } auth_http http://auth/;")
    deaf = socket.socket()
    deaf.bind(scene.places[0])
    deaf.listen(0)
    held = [socket.socket() for _ in range(4)]
    for sock in held:
        sock.setblocking(False)
        sock.connect_ex(scene.places[0])
    second = scene.serve(1)
    assert scene.login() == IN and len(second.requests) == 1
    scene.postern.wait_log(rf"\[error\].* auth http server {env.ip(10)}:9000 timed out")
    for sock in held + [deaf]:
        sock.close()
