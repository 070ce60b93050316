"""What an operator copies out of auth-http, auth-passthrough, auth-chains and auth-oauth works as these guides say."""
import re
import subprocess

import guide
from certs import Authority
from harness import Wire, eventually
from issuer import Issuer
from peers import AuthHttp, Introspection, Listener, accept, imap_backend, pop3_backend, smtp_backend
from real import Dovecot
from stage import b64
from test_auth_jwt import xoauth2

CONF = "/etc/postern/postern.conf"
REFUSED, NOT_NOW = b"a NO [AUTHENTICATIONFAILED]", b"a NO [UNAVAILABLE]"


class Guided:
    """Configuration `number` of a guide, on the test's addresses: 10.0.0.N is ip(N), where backends listen."""

    def __init__(self, env, name, number=0, backends=(7,), **changes):
        self.env, self.heard = env, []
        for host in backends:
            env.keep(Listener((env.ip(host), 143), self.backend))
        inside = re.fullmatch(r"mail \{\n(.*)\}\n", guide.block(name, CONF, number), re.S).group(1)
        inside = re.sub(r"listen (\d+);", rf"listen {env.ip()}:\1;", inside)
        text = guide.replaced(inside, changes)
        text = re.sub(r"\b10\.0\.0\.(\d+)\b", lambda found: env.ip(int(found[1])), text)
        self.postern = env.postern(text, level="info")

    def backend(self, wire):
        where = wire.sock.getsockname()[0]
        imap_backend(wire, capability="IMAP4rev1", on_command=lambda line: self.heard.append((where, line)))

    def client(self, port=143):
        client = Wire.to((self.env.ip(), port))
        client.line()
        return client

    def login(self, user, password):
        client = self.client()
        client.send(f'a LOGIN "{user}" "{password}"\r\n'.encode())
        answer = client.line()
        client.close()
        return answer

    def lets_in(self, user, password="sesame"):
        return self.login(user, password).startswith(b"a OK")

    def line(self, event):
        """The log has a line that the guide promises; in it "..." is anything."""
        return self.postern.wait_log(".*".join(re.escape(part) for part in event.split("...")))[-1]


# -- auth-http

def start_example(env):
    """The program of the guide, at ip(9), and its users' backends."""
    text = guide.replaced(guide.block("auth-http", "/usr/local/sbin/mail-auth"), {"127.0.0.1": env.ip(9)})
    text = re.sub(r"\b10\.0\.0\.(\d+)\b", lambda found: env.ip(int(found[1])), text)
    guide.Program(env, text, (env.ip(9), 9000))


def test_auth_http_a_first_server(env):
    start_example(env)
    guided = Guided(env, "auth-http", 0, (7, 8), **{"127.0.0.1": env.ip(9)})
    assert guided.lets_in("joe") and guided.heard[-1][0] == env.ip(7)
    assert guided.lets_in("ann", "open") and guided.heard[-1][0] == env.ip(8)
    assert guided.login("joe", "wrong") == b"a NO Invalid login\r\n"
    assert not guided.lets_in("jim") and not guided.lets_in("jim", "")
    client = guided.client()
    client.send(b"a AUTHENTICATE PLAIN " + b64(b"ann", b"joe", b"sesame") + b"\r\n")
    assert client.line().startswith(b"a NO Not for others"), "joe may not act for ann"
    assert "[error]" not in guided.postern.log()
    by_hand = guide.block("auth-http", "Ask it by hand, as Postern would:")
    by_hand = guide.replaced(by_hand, {"127.0.0.1": env.ip(9)})
    said = subprocess.run(["sh", "-c", by_hand], capture_output=True, text=True)
    assert "200 OK" in said.stdout and f"Auth-Server: {env.ip(7)}" in said.stdout, said


def test_auth_http_several_servers(env):
    auths = [env.keep(AuthHttp((env.ip(host), 9000), accept(env.ip(7), 143))) for host in (1, 2)]
    guided = Guided(env, "auth-http", 1)
    for _ in range(4):
        assert guided.lets_in("joe")
    assert all(auth.requests for auth in auths), "they share the questions"
    auths[0].stop()
    for _ in range(4):
        assert guided.lets_in("joe")
    guided.line("connect() to auth http server ... failed")


def test_auth_http_an_upstream(env):
    path = env.path("mail-auth.socket")
    backup = env.keep(AuthHttp(str(path), accept(env.ip(7), 143)))
    auths = [env.keep(AuthHttp((env.ip(host), 9000), accept(env.ip(7), 143))) for host in (1, 2)]
    guided = Guided(env, "auth-http", 2, **{"/run/mail-auth.socket": path})
    for _ in range(6):
        assert guided.lets_in("joe")
    assert len(auths[0].requests) == 2 * len(auths[1].requests) and not backup.requests
    for auth in auths:
        auth.stop()
    assert guided.lets_in("joe") and backup.requests[0]["Host"] == "auth"


class TlsAuthHttp(AuthHttp):
    def __init__(self, address, answer, context):
        self.context = context
        super().__init__(address, answer)

    def talk(self, wire):
        super().talk(wire.secure(self.context, name=None))


def test_auth_http_by_tls(env):
    authority = Authority(env)
    context = authority.serve(authority.issue(env.ip(9)))
    env.keep(TlsAuthHttp((env.ip(9), 9443), accept(env.ip(7), 143), context))
    guide.promised("auth-http", "SSL handshake with auth http server ... failed")
    guided = Guided(env, "auth-http", 3,
                    **{"/etc/postern/ca.crt": authority.certificate, "auth.example.com": env.ip(9)})
    assert guided.lets_in("joe")


def test_auth_http_what_the_log_says(env):
    empty = b"Content-Length: 0\r\n\r\n"
    answers = {
        "auth http server ... sent invalid response: status 404": b"HTTP/1.1 404 No\r\n" + empty,
        "auth http server ... sent invalid response: no Auth-Status": b"HTTP/1.1 200 OK\r\n" + empty,
        "auth http server ... did not send server or port": {"Auth-Status": "OK"},
        'auth http server ... sent invalid server address:"..."': accept("http://mail", 143),
        "auth http server ... closed the connection before its answer was whole": b"HTTP/1.1 200 OK\r\nAuth-",
    }
    guide.promised("auth-http", *answers, 'upstream "..." could not be resolved', "auth http server ... timed out",
                   "connect() to auth http server ... failed", "auth http server ... did not send password")
    given = []
    auth = env.keep(AuthHttp((env.ip(9), 9000), lambda request: given[-1], keep_alive=False))
    guided = Guided(env, "auth-http", 0, (), **{"127.0.0.1": env.ip(9)})
    for line, answer in answers.items():
        given.append(answer)
        assert guided.login("joe", "sesame").startswith(NOT_NOW), line
        guided.line(line)
    auth.stop()
    assert guided.login("joe", "sesame").startswith(NOT_NOW)
    guided.line("connect() to auth http server ... failed")


# -- auth-oauth; the rest of it is followed by test_auth_oauth

def test_auth_oauth_what_the_log_says_when_nobody_can_judge(env):
    issuer, authority = Issuer(env), Authority(env)
    pair = authority.issue("mail.example.com")
    users = env.write("users", "joe:{PLAIN}sesame\n", 0o600)
    provider = env.keep(Introspection((env.ip(9), 8080), b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"))
    guided = Guided(env, "auth-oauth", 2, **{
        "/etc/postern/users": users, "/etc/postern/keys.json": issuer.path, "127.0.0.1": env.ip(9),
        "/etc/postern/mail.crt": pair[0], "/etc/postern/mail.key": pair[1], "993 ssl": f"{env.ip()}:993 ssl",
        "192.0.2.10": env.ip(7)})

    def bears():
        client = Wire.to((env.ip(), 993)).secure(authority.trust())
        client.line()
        client.send(b"a AUTHENTICATE XOAUTH2 " + xoauth2("joe", "random") + b"\r\n")
        return client.line()

    lines = ("introspection server ... sent invalid response: status 401",
             "connect() to introspection server ... failed", 'not a JSON object in "..."')
    guide.promised("auth-oauth", *lines)
    assert bears().startswith(NOT_NOW)
    guided.line(lines[0])
    provider.stop()
    assert bears().startswith(NOT_NOW)
    guided.line(lines[1])
    issuer.replace("<html>Sorry</html>")
    guided.line(lines[2])


# -- auth-passthrough

USERS = {"joe": "sesame", "ann": "open"}


def test_auth_passthrough_one_backend(env):
    dovecot = Dovecot(env, env.ip(7), USERS)
    submission = []
    env.keep(Listener((env.ip(7), 587), lambda wire: smtp_backend(wire, (b"AUTH PLAIN",), submission.append)))
    guided = Guided(env, "auth-passthrough", 0, ())
    assert guided.lets_in("joe") and guided.lets_in("ann", "open")
    client = guided.client()
    client.send(b"a LOGIN joe wrong\r\n")
    assert client.line().startswith(REFUSED)
    client.send(b"a LOGIN joe sesame\r\n")
    assert client.line().startswith(b"a OK"), "the client may try again"
    client = guided.client(110)
    client.send(b"USER ann\r\nPASS open\r\n")
    client.expect(re.compile(rb"\+OK.*"), re.compile(rb"\+OK.*"))
    client = guided.client(587)
    client.send(b"AUTH PLAIN " + b64(b"", b"joe", b"sesame") + b"\r\n")
    assert client.line().startswith(b"235 ") and b"AUTH PLAIN " + b64(b"", b"joe", b"sesame") + b"\r\n" in submission
    line = guided.line('client login failed: "... source: auth_passthrough')
    assert '[AUTHENTICATIONFAILED]' in line, line
    dovecot.stop()
    assert guided.login("joe", "sesame").startswith(NOT_NOW)
    guided.line("connect() failed")


def test_auth_passthrough_tells_the_address(env):
    more = guide.block("auth-passthrough", "/etc/dovecot/conf.d/10-gateway.conf")
    more = guide.replaced(more, {"10.0.0.1": env.ip(1) + " 127.0.0.1"})
    dovecot = Dovecot(env, env.ip(7), USERS, more=more)
    guided = Guided(env, "auth-passthrough", 1, (), **{"auth_failure_delay 2s;": "auth_failure_delay 100ms;"})
    client = Wire.to((env.ip(), 143), env.ip(42))
    client.line()
    client.send(b"a LOGIN joe wrong\r\nb LOGIN joe sesame\r\n")
    client.expect(re.compile(rb"a NO \[AUTHENTICATIONFAILED\].*"))
    assert client.line().startswith(b"b OK")
    eventually(lambda: f"rip={env.ip(42)}" in dovecot.log(), "Dovecot knows where the client is")


def test_auth_passthrough_behind_other_sources(env):
    text = guide.replaced(guide.block("auth-passthrough", "/etc/postern/moved"), {"10.0.0.8": env.ip(8)})
    moved = env.write("moved", text, 0o600)
    Dovecot(env, env.ip(7), {"joe": "other", "ann": "open"})
    guided = Guided(env, "auth-passthrough", 2, (8,), **{"/etc/postern/moved": moved})
    assert guided.lets_in("joe") and guided.heard[-1][0] == env.ip(8)
    assert not guided.lets_in("joe", "other"), "who has moved is not asked about at the old server"
    assert guided.lets_in("ann", "open")
    guided.line('login: "joe"... source: auth_file')
    guided.line('login: "ann"... source: auth_passthrough')


def test_auth_passthrough_refuses_what_would_let_in_everybody(env):
    guide.promised("auth-passthrough", '"auth_passthrough" is not the last source')
    config = guide.block("auth-passthrough", CONF).replace("listen ", f"listen {env.ip()}:")
    whole = f"error_log {env.path('error.log')};\nauth_helper_path {env.build};\nevents {{ }}\n{config}"
    users = env.write("users", "joe:{PLAIN}sesame\n", 0o600)
    for old, new, status in (("", "", 0), ("proxy_smtp_auth  on;", "", 1), ("on;", "on; proxy_auth none;", 1),
                             ("on;\n", f"on; auth_file {users};\n", 1)):
        path = env.write("postern.conf", whole.replace(old, new, 1))
        done = subprocess.run([env.build / "postern", "-t", "-c", path], capture_output=True, text=True)
        assert done.returncode == status and "Sanitizer" not in done.stderr, (new, done.stderr)
        assert not status or '[emerg] "auth_passthrough" ' in done.stderr, (new, done.stderr)


# -- auth-chains

def test_auth_chains_how_a_chain_works(env):
    robots = env.write("robots", "scan-robot:{PLAIN}sesame\n", 0o600)
    users = env.write("users", "joe@example.org:{PLAIN}sesame\nann@example.net:{PLAIN}sesame\n", 0o600)
    auth = env.keep(AuthHttp((env.ip(9), 9000), accept(env.ip(7), 143)))
    guided = Guided(env, "auth-chains", 0, **{
        "/etc/postern/robots": robots, "/etc/postern/users": users, "127.0.0.1": env.ip(9)})
    assert guided.lets_in("scan-robot") and guided.lets_in("joe@example.org")
    assert guided.lets_in("ann@example.net") and not guided.lets_in("ann@example.net", "wrong")
    assert not auth.requests and guided.lets_in("eve@example.com") and len(auth.requests) == 1
    assert guided.login("eve", "sesame").startswith(REFUSED) and len(auth.requests) == 1
    guided.line('client login failed: "unknown user"... login: "eve"')
    guided.line('client login failed: "wrong password"... login: "ann@example.net"... source: auth_file')
    auth.stop()
    assert guided.login("eve@example.com", "sesame").startswith(NOT_NOW) and guided.lets_in("joe@example.org")


def test_auth_chains_methods(env):
    issuer = Issuer(env)
    users = env.write("users", "joe:{PLAIN}sesame\n", 0o600)
    guided = Guided(env, "auth-chains", 1, **{"/etc/postern/users": users, "/etc/postern/keys.json": issuer.path})
    assert guided.lets_in("joe")
    client = guided.client()
    token = issuer.token("ann@example.org")
    client.send(b"a AUTHENTICATE XOAUTH2 " + xoauth2("ann@example.org", token) + b"\r\n")
    guided.line('login: "ann@example.org"... source: auth_jwt')


def test_auth_chains_remembering(env):
    good = ["sesame"]
    refusal = {"Auth-Status": "no", "Auth-Wait": "1"}
    let_in = accept(env.ip(7), 143)
    auth = env.keep(AuthHttp((env.ip(9), 9000),
                             lambda request: let_in if request["Auth-Pass"] in good else refusal))
    guided = Guided(env, "auth-chains", 2, **{"127.0.0.1": env.ip(9)})
    assert guided.lets_in("joe") and guided.lets_in("joe") and len(auth.requests) == 1
    guided.line(f"client logged in, ... source: auth_http {env.ip(9)}:9000/auth (cached)")
    assert not guided.lets_in("joe", "wrong") and not guided.lets_in("joe", "wrong") and len(auth.requests) == 2
    good[:] = ["changed"]
    assert guided.lets_in("joe", "changed"), "a changed password works at once"
    auth.stop()
    assert guided.lets_in("joe", "changed") and guided.login("ann", "sesame").startswith(NOT_NOW)
