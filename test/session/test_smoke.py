"""One login in each protocol, through everything."""
from harness import Wire
from peers import AuthHttp, Listener, accept, imap_backend, pop3_backend, smtp_backend


def place(env, backend, protocol, more=""):
    """Auth server, backend and postern; returns postern, the auth server and where to connect to."""
    server = env.keep(Listener((env.ip(2), 2000), backend))
    auth = env.keep(AuthHttp((env.ip(3), 9000), accept(env.ip(2), 2000)))
    postern = env.postern(f"""
    auth_http {env.ip(3)}:9000/auth;
    server {{ listen {env.ip()}:2143; protocol {protocol}; {more} }}
""")
    return postern, auth, (env.ip(), 2143), server


def test_imap(env):
    postern, auth, address, _ = place(env, imap_backend, "imap")
    client = Wire.to(address)
    client.expect(b"* OK IMAP4 ready")
    client.send(b"a1 LOGIN joe secret\r\n")
    client.expect(b"a1 OK backend LOGIN")
    client.send(b"a2 NOOP\r\n")
    client.expect(b"a2 OK backend NOOP")
    client.send(b"a3 LOGOUT\r\n")
    client.expect(b"* BYE backend", b"a3 OK bye")
    client.expect_end()
    assert auth.requests[0]["Auth-User"] == "joe" and auth.requests[0]["Auth-Pass"] == "secret"
    client.close()
    postern.wait_log("proxied session done")
    assert "secret" not in postern.log()


def test_pop3(env):
    postern, auth, address, _ = place(env, pop3_backend, "pop3")
    client = Wire.to(address)
    client.expect(b"+OK POP3 ready")
    client.send(b"USER joe\r\nPASS secret\r\nSTAT\r\n")
    client.expect(b"+OK", b"+OK backend PASS", b"+OK backend STAT")
    client.send(b"QUIT\r\n")
    client.expect(b"+OK bye")
    client.expect_end()
    assert auth.requests[0]["Auth-Protocol"] == "pop3"


def test_smtp(env):
    postern, auth, address, _ = place(env, smtp_backend, "smtp", "xclient off; proxy_smtp_auth on;")
    client = Wire.to(address)
    client.expect(b"220 mail.example.com ESMTP ready")
    client.send(b"EHLO me\r\n")
    client.expect(b"250-mail.example.com", b"250 AUTH PLAIN LOGIN")
    client.send(b"AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n")
    client.expect(b"235 2.0.0 OK")
    client.send(b"MAIL FROM:<a@b>\r\n")
    client.expect(b"250 2.0.0 backend MAIL")
    client.send(b"QUIT\r\n")
    client.expect(b"221 2.0.0 backend bye")
    client.expect_end()
