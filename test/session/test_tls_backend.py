"""TLS towards backends and auth servers: whom we believe, and that nothing secret goes to anybody else."""
import hashlib
import re
import ssl

from certs import Authority
from harness import Wire
from peers import AuthHttp, Listener, accept, compose, imap_backend, pop3_backend, smtp_backend
from stage import SECRET, b64

LOGINS = {"imap": b"a LOGIN joe " + SECRET + b"\r\n", "pop3": b"USER joe\r\nPASS " + SECRET + b"\r\n",
          "smtp": b"EHLO me\r\nAUTH PLAIN " + b64(b"", b"joe", SECRET) + b"\r\n"}
YES = {"imap": rb"a OK.*", "pop3": rb"\+OK backend PASS", "smtp": rb"235 .*"}
NOT_NOW = {"imap": rb"a NO \[UNAVAILABLE\].*", "pop3": rb"-ERR \[SYS/TEMP\].*", "smtp": rb"451 4\.3\.2 .*"}
BACKENDS = {"imap": imap_backend, "pop3": pop3_backend, "smtp": smtp_backend}


def place(env, protocol, backend, settings, more=None):
    """A backend at "localhost", an auth server that names it, and postern with these proxy_ssl settings."""
    server = env.keep(Listener((env.ip(2), 2000), backend))
    answer = {**accept(env.ip(2), 2000), **(more or {})}
    auth = env.keep(AuthHttp((env.ip(3), 9000), answer))
    postern = env.postern(f"""
    auth_http {env.ip(3)}:9000/auth; timeout 3s; proxy_smtp_auth on; xclient off;
    {settings}
    server {{ listen {env.ip()}:2143; protocol {protocol}; }}""")
    return postern, server, auth


def login(env, protocol):
    """The last line that a client hears which logs in."""
    client = Wire.to((env.ip(), 2143))
    client.line()
    client.send(LOGINS[protocol])
    want = {"imap": 1, "pop3": 2, "smtp": 0}[protocol]
    if protocol == "smtp":
        while client.line()[3:4] == b"-":
            pass
        want = 1
    lines = [client.line() for _ in range(want)]
    return client, lines[-1].rstrip(b"\r\n")


def over_tls(serve, protocol, heard):
    """A backend that shakes hands at once."""
    def backend(wire):
        wire.secure(serve, None)
        BACKENDS[protocol](wire, on_command=heard.append)
    return backend


def by_starttls(serve, protocol, heard, behind=b"", offer=True):
    """A backend that wants to be asked. `behind` follows its go-ahead in the clear."""
    def imap(wire):
        wire.send(b"* OK [CAPABILITY IMAP4rev1" + (b" STARTTLS" if offer else b"") + b"] ready\r\n")
        while line := wire.line():
            heard.append(line)
            tag, verb = line.split()[:2]
            if verb == b"CAPABILITY":
                wire.send(b"* CAPABILITY IMAP4rev1" + (b" STARTTLS" if offer else b"") + b"\r\n" + tag + b" OK done\r\n")
            elif verb == b"STARTTLS":
                wire.send(tag + b" OK go\r\n" + behind)
                wire.secure(serve, None)
                while line := wire.line():
                    heard.append(line)
                    wire.send(line.split()[0] + b" OK backend\r\n")
            else:
                wire.send(tag + b" BAD no\r\n")

    def pop3(wire):
        wire.send(b"+OK ready\r\n")
        while line := wire.line():
            heard.append(line)
            if line.startswith(b"CAPA"):
                wire.send(b"+OK list\r\nUSER\r\n" + (b"STLS\r\n" if offer else b"") + b".\r\n")
            elif line.startswith(b"STLS") and offer:
                wire.send(b"+OK go\r\n" + behind)
                wire.secure(serve, None)
                while line := wire.line():
                    heard.append(line)
                    wire.send(b"+OK backend " + line.split()[0] + b"\r\n")
            else:
                wire.send(b"-ERR no\r\n")

    def smtp(wire):
        wire.send(b"220 ready\r\n")
        while line := wire.line():
            heard.append(line)
            if line.startswith(b"EHLO"):
                wire.send(b"250-backend\r\n" + (b"250-STARTTLS\r\n" if offer else b"") + b"250 8BITMIME\r\n")
            elif line.startswith(b"STARTTLS"):
                wire.send(b"220 go\r\n" + behind)
                wire.secure(serve, None)
                while line := wire.line():
                    heard.append(line)
                    wire.send(b"250 AUTH PLAIN\r\n" if line.startswith(b"EHLO") else b"235 2.7.0 in\r\n")
            else:
                wire.send(b"502 no\r\n")
    return {"imap": imap, "pop3": pop3, "smtp": smtp}[protocol]


def check_good(env, protocol, how):
    ca = Authority(env)
    heard = []
    make = over_tls if how == "on" else by_starttls
    backend = make(ca.serve(ca.issue("backend.example.com")), protocol, heard)
    place(env, protocol, backend, f"""
        proxy_ssl {how}; proxy_ssl_trusted_certificate {ca.certificate}; proxy_ssl_name backend.example.com;""")
    _, line = login(env, protocol)
    assert re.fullmatch(YES[protocol], line), line
    if how == "starttls":
        clear, _, secret = b"".join(heard).partition({"imap": b"STARTTLS", "pop3": b"STLS", "smtp": b"STARTTLS"}[protocol])
        assert SECRET not in clear and b64(b"", b"joe", SECRET) not in clear


def test_imap_backend_over_tls(env):
    check_good(env, "imap", "on")


def test_pop3_backend_over_tls(env):
    check_good(env, "pop3", "on")


def test_smtp_backend_over_tls(env):
    check_good(env, "smtp", "on")


def test_imap_backend_by_starttls(env):
    check_good(env, "imap", "starttls")


def test_pop3_backend_by_stls(env):
    check_good(env, "pop3", "starttls")


def test_smtp_backend_by_starttls(env):
    check_good(env, "smtp", "starttls")


def check_bad(env, protocol, backend, settings, pattern, heard):
    """The client hears "not now", the log says why, and the backend got no credentials."""
    postern, _, _ = place(env, protocol, backend, settings)
    client, line = login(env, protocol)
    assert re.fullmatch(NOT_NOW[protocol], line), line
    postern.wait_log(pattern)
    said = b"".join(heard)
    assert SECRET not in said and b64(b"", b"joe", SECRET) not in said
    assert SECRET.decode() not in postern.log()
    client.close()


def fault(env, pair_of, settings, pattern, ask_client=False):
    """A certificate fault of an IMAP backend."""
    ca = Authority(env)
    heard = []
    pair = pair_of(ca)
    backend = over_tls(ca.serve(pair, ask_client), "imap", heard)
    check_bad(env, "imap", backend, "proxy_ssl on; " + settings.format(ca=ca), pattern, heard)


TRUST = "proxy_ssl_trusted_certificate {ca.certificate}; proxy_ssl_name backend.example.com;"


def test_an_expired_backend_gets_nothing(env):
    fault(env, lambda ca: ca.expired("backend.example.com"), TRUST, "certificate has expired")


def test_a_backend_of_another_name_gets_nothing(env):
    fault(env, lambda ca: ca.issue("other.example.com"), TRUST, "(?i)hostname mismatch")


def test_a_backend_of_another_authority_gets_nothing(env):
    other = Authority(env, "other")
    fault(env, lambda ca: other.issue("backend.example.com"), TRUST, "unable to get local issuer certificate")


def test_a_revoked_backend_gets_nothing(env):
    def revoked(ca):
        pair = ca.issue("backend.example.com")
        ca.revoke(pair[0])
        ca.crl()
        return pair
    fault(env, revoked, TRUST + "proxy_ssl_crl {ca.folder}/crl.pem;", "certificate revoked")


def test_an_address_is_verified_as_one(env):
    ca = Authority(env)
    heard = []
    place(env, "imap", over_tls(ca.serve(ca.issue("x.example.com", env.ip(2))), "imap", heard),
          f"proxy_ssl on; proxy_ssl_trusted_certificate {ca.certificate};")
    assert re.fullmatch(YES["imap"], login(env, "imap")[1])


def test_verification_can_be_turned_off(env):
    ca, other = Authority(env), Authority(env, "other")
    place(env, "imap", over_tls(ca.serve(other.issue("x.example.com")), "imap", []), "proxy_ssl on; proxy_ssl_verify off;")
    assert re.fullmatch(YES["imap"], login(env, "imap")[1])


def test_a_backend_that_wants_our_certificate_gets_it(env):
    ca = Authority(env)
    mine = ca.issue("postern", password="sesame")
    env.write("password", "wrong\nsesame\n", 0o600)
    backend = over_tls(ca.serve(ca.issue("backend.example.com"), ask_client=True), "imap", [])
    place(env, "imap", backend, f"""proxy_ssl on; {TRUST.format(ca=ca)} proxy_ssl_certificate {mine[0]};
        proxy_ssl_certificate_key {mine[1]}; proxy_ssl_password_file {env.path('password')};""")
    assert re.fullmatch(YES["imap"], login(env, "imap")[1])


def refuses_starttls(env, protocol):
    ca = Authority(env)
    heard = []
    backend = by_starttls(ca.serve(ca.issue("backend.example.com")), protocol, heard, offer=False)
    check_bad(env, protocol, backend, "proxy_ssl starttls; " + TRUST.format(ca=ca), "upstream does not offer", heard)


def test_an_imap_backend_without_starttls_gets_nothing(env):
    refuses_starttls(env, "imap")


def test_a_pop3_backend_without_stls_gets_nothing(env):
    refuses_starttls(env, "pop3")


def test_an_smtp_backend_without_starttls_gets_nothing(env):
    refuses_starttls(env, "smtp")


def injects(env, protocol, behind):
    ca = Authority(env)
    heard = []
    backend = by_starttls(ca.serve(ca.issue("backend.example.com")), protocol, heard, behind=behind)
    check_bad(env, protocol, backend, "proxy_ssl starttls; " + TRUST.format(ca=ca),
              "upstream sent data behind|SSL_do_handshake", heard)


def test_an_imap_backend_that_sends_ahead_of_tls_gets_nothing(env):
    injects(env, "imap", b"* OK injected\r\n")


def test_a_pop3_backend_that_sends_ahead_of_tls_gets_nothing(env):
    injects(env, "pop3", b"+OK injected\r\n")


def test_an_smtp_backend_that_sends_ahead_of_tls_gets_nothing(env):
    injects(env, "smtp", b"250 injected\r\n")


def test_the_source_may_ask_for_tls_but_not_for_less(env):
    ca = Authority(env)
    backend = over_tls(ca.serve(ca.issue("special.example.com")), "imap", [])
    postern, _, auth = place(env, "imap", backend, f"proxy_ssl_trusted_certificate {ca.certificate};",
                             {"Auth-SSL": "on", "Auth-SSL-Name": "special.example.com"})
    assert re.fullmatch(YES["imap"], login(env, "imap")[1])
    postern.write(f"auth_http {env.ip(3)}:9000/auth; proxy_ssl on; proxy_ssl_trusted_certificate {ca.certificate};"
                  f"server {{ listen {env.ip()}:2143; protocol imap; }}")
    postern.reload()
    auth.answer = {**accept(env.ip(2), 2000), "Auth-SSL": "off"}
    assert re.fullmatch(NOT_NOW["imap"], login(env, "imap")[1])
    postern.wait_log("the source wants no TLS to the upstream")


def test_a_recipient_who_wants_other_tls_is_elsewhere(env):
    ca = Authority(env)
    heard = []
    server = env.keep(Listener((env.ip(2), 2000), over_tls(ca.serve(ca.issue("special.example.com")), "smtp", heard)))
    told = {"joe": {"Auth-SSL": "on", "Auth-SSL-Name": "special.example.com"}, "clear": {},
            "named": {"Auth-SSL": "on", "Auth-SSL-Name": "other.example.com"},
            "jim": {"Auth-SSL": "on", "Auth-SSL-Name": "special.example.com"}}
    auth = env.keep(AuthHttp((env.ip(3), 9000), lambda request: {
        **accept(env.ip(2), 2000), **told[re.search("<(.*)@", request["Auth-SMTP-To"])[1]]}))
    env.postern(f"""
    auth_http {env.ip(3)}:9000/auth; smtp_auth none; xclient off; proxy_ssl_trusted_certificate {ca.certificate};
    server {{ listen {env.ip()}:2143; protocol smtp; }}""")
    client = Wire.to((env.ip(), 2143))
    client.line()
    client.send(b"MAIL FROM:<a@b>\r\n")
    client.line()
    answers = []
    for name in told:
        client.send(b"RCPT TO:<%s@x>\r\n" % name.encode())
        answers.append(client.line()[:9])
    assert answers == [b"250 2.1.5", b"451 4.3.0", b"451 4.3.0", b"250 2.1.5"]
    assert len(auth.requests) == 4 and server.accepted == 1


def test_auth_http_over_https(env):
    ca, other = Authority(env), Authority(env, "other")
    good, bad = ca.serve(ca.issue("localhost", env.ip(3))), other.serve(other.issue("localhost", env.ip(4)))
    server = env.keep(Listener((env.ip(2), 2000), imap_backend))
    yes = compose(accept(env.ip(2), 2000))
    asked = []

    def https(context):
        def serve(wire):
            wire.secure(context, None)
            while True:
                while b"\r\n\r\n" not in wire.held:
                    if not wire.fill():
                        return
                head, _, wire.held = wire.held.partition(b"\r\n\r\n")
                asked.append(head)
                wire.send(yes)
        return serve
    right = env.keep(Listener((env.ip(3), 443), https(good)))
    env.keep(Listener((env.ip(4), 443), https(bad)))
    postern = env.postern(f"""
    auth_http_ssl_trusted_certificate {ca.certificate};
    server {{ listen {env.ip()}:2143; protocol imap; auth_http https://{env.ip(3)}/auth; }}
    server {{ listen {env.ip()}:2144; protocol imap; auth_http https://{env.ip(4)}/auth; }}""")
    for _ in range(3):
        client, line = login(env, "imap")
        assert re.fullmatch(YES["imap"], line), line
        client.close()
    assert right.accepted == 1 and len(asked) == 3
    client = Wire.to((env.ip(), 2144))
    client.line()
    client.send(LOGINS["imap"])
    client.expect(re.compile(NOT_NOW["imap"]))
    postern.wait_log("unable to get local issuer certificate")
    assert len(asked) == 3 and server.accepted == 3


def test_fifty_megabytes_over_tls_on_both_legs(env):
    ca = Authority(env)
    pair = ca.issue("backend.example.com", "mail.example.com")
    block = bytes(range(256)) * 4096
    total = hashlib.sha256()

    def backend(wire):
        wire.secure(ca.serve(pair), None)
        wire.send(b"* OK ready\r\n")
        wire.send(wire.line().split()[0] + b" OK in\r\n")
        assert wire.line() == b"b FETCH\r\n"
        for i in range(50):
            wire.send(block)
        data = wire.take(50 * len(block))
        wire.send(hashlib.sha256(data).hexdigest().encode() + b"\r\n")
    place(env, "imap", backend, f"""proxy_ssl on; {TRUST.format(ca=ca)}
        ssl_certificate {pair[0]}; ssl_certificate_key {pair[1]}; starttls on;""")
    client = Wire.to((env.ip(), 2143))
    client.line()
    client.send(b"t STARTTLS\r\n")
    client.line()
    client.secure(ca.trust())
    client.send(LOGINS["imap"])
    client.expect(b"a OK in")
    client.send(b"b FETCH\r\n")
    got = client.take(50 * len(block))
    assert got == block * 50
    for i in range(50):
        client.send(block)
        total.update(block)
    assert client.line().strip().decode() == total.hexdigest()


def test_the_name_that_a_source_gives_goes_before_the_configured_one(env):
    ca = Authority(env)
    backend = over_tls(ca.serve(ca.issue("special.example.com")), "imap", [])
    place(env, "imap", backend, f"proxy_ssl on; {TRUST.format(ca=ca)}", {"Auth-SSL-Name": "special.example.com"})
    assert re.fullmatch(YES["imap"], login(env, "imap")[1])
