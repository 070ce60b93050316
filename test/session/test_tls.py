"""TLS towards clients: at once and by STARTTLS, SNI, ALPN, client certificates, resumption, injection."""
import re
import socket
import ssl

from certs import Authority
from harness import Wire
from stage import SECRET, Stage, b64

# What each protocol says: STARTTLS and its go-ahead, a login and its answer, the last words.
WORDS = {
    "imap": (b"t STARTTLS\r\n", b"t OK completed", b"a LOGIN joe " + SECRET + b"\r\n", b"a OK", b"z LOGOUT\r\n"),
    "pop3": (b"STLS\r\n", b"+OK", b"USER joe\r\nPASS " + SECRET + b"\r\n", b"+OK", b"QUIT\r\n"),
    "smtp": (b"STARTTLS\r\n", b"220 2.0.0 Start TLS", b"AUTH PLAIN " + b64(b"", b"joe", SECRET) + b"\r\n", b"235", b"QUIT\r\n"),
}


def settings(pair, more=""):
    return f"ssl_certificate {pair[0]}; ssl_certificate_key {pair[1]}; {more}"


def secure_stage(env, protocol, tls, listen="ssl", **options):
    """A stage whose only server has these ssl_ settings."""
    return Stage(env, protocol, {"": f"{tls} proxy_smtp_auth on; xclient off;"}, listen=listen, **options)


def log_in(client, protocol):
    _, _, login, ok, _ = WORDS[protocol]
    if protocol == "smtp":
        client.send(b"EHLO me\r\n")
        while client.line()[3:4] == b"-":
            pass
    client.send(login)
    lines = [client.line() for _ in range(2 if protocol == "pop3" else 1)]
    assert lines[-1].startswith(ok), lines


def log_out(client, protocol):
    client.send(WORDS[protocol][4])
    assert b"bye" in client.rest()


def start_tls(client, protocol, context, name="mail.example.com"):
    if protocol == "smtp":
        client.send(b"EHLO me\r\n")
        while client.line()[3:4] == b"-":
            pass
    client.send(WORDS[protocol][0])
    assert client.line().startswith(WORDS[protocol][1])
    return client.secure(context, name)


def each_version(env, protocol):
    ca = Authority(env)
    stage = secure_stage(env, protocol, settings(ca.issue("mail.example.com")))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client = stage.connect().secure(ca.trust(version=version))
        assert client.line()
        log_in(client, protocol)
        log_out(client, protocol)
    assert len(stage.auth.requests) == 2
    request = stage.auth.requests[1]
    assert request["Auth-SSL"] == "on" and request["Auth-SSL-Protocol"] == "TLSv1.3"
    assert request["Auth-SSL-Cipher"].startswith("TLS_") and request.get("Auth-SSL-Verify") is None


def test_imaps(env):
    each_version(env, "imap")


def test_pop3s(env):
    each_version(env, "pop3")


def test_smtps(env):
    each_version(env, "smtp")


def by_starttls(env, protocol):
    ca = Authority(env)
    stage = secure_stage(env, protocol, settings(ca.issue("mail.example.com"), "starttls on;"), listen="")
    client = start_tls(stage.client(), protocol, ca.trust())
    log_in(client, protocol)
    log_out(client, protocol)
    assert stage.auth.requests[0]["Auth-SSL"] == "on"
    stage.postern.wait_log("using starttls.*client logged in|client logged in.*using starttls")


def test_a_handshake_is_finished_where_no_greeting_follows(env):
    """By TLS 1.2 the last word is the server's, which must not wait for what a silent client says."""
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com"), "starttls on;"), listen="")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client = stage.connect()
        client.line()
        start_tls(client, "imap", ca.trust(version=version))
        log_in(client, "imap")
        log_out(client, "imap")


def test_imap_by_starttls(env):
    by_starttls(env, "imap")


def test_pop3_by_stls(env):
    by_starttls(env, "pop3")


def test_smtp_by_starttls(env):
    by_starttls(env, "smtp")


def test_what_came_in_the_clear_behind_starttls_is_not_used(env):
    """The injected command is neither carried out nor remembered; a half one is not completed inside TLS."""
    ca = Authority(env)
    pair = ca.issue("mail.example.com")
    raw = "".join(f"server {{ listen {env.ip()}:{2143 + i}; protocol {p}; {settings(pair, 'starttls on;')} }}"
                  for i, p in enumerate(WORDS))
    stage = Stage(env, "imap", raw=raw)
    for i, (protocol, injected, asked, answer) in enumerate((
            ("imap", b"x NOOP\r\ny NO", b"b NOOP\r\n", b"b OK completed"),
            ("pop3", b"NOOP\r\nNO", b"NOOP\r\n", b"+OK"),
            ("smtp", b"NOOP\r\nNO", b"NOOP\r\n", b"250 2.0.0 OK"))):
        client = Wire.to((env.ip(), 2143 + i))
        client.line()
        client.send(WORDS[protocol][0] + injected)
        assert client.line().startswith(WORDS[protocol][1])
        client.secure(ca.trust())
        client.send(asked)
        client.expect(answer)
        client.quiet(0.2)
        client.close()


def test_sni_chooses_certificate_and_settings(env):
    ca = Authority(env)
    one, two = ca.issue("mail.example.com"), ca.issue("*.example.org", "example.org")
    stage = Stage(env, "imap", raw=f"""
    server {{ listen {env.ip()}:2143 ssl; protocol imap; server_name mail.example.com; {settings(one)}
              imap_capabilities IMAP4rev1 ONE; }}
    server {{ listen {env.ip()}:2143 ssl; protocol imap; server_name imap.example.org *.example.org; {settings(two)}
              imap_capabilities IMAP4rev1 TWO; }}""")
    for name, word in (("mail.example.com", b"ONE"), ("imap.example.org", b"TWO"), ("x.example.org", b"TWO")):
        client = Wire.to((env.ip(), 2143)).secure(ca.trust(), name)
        client.expect(b"* OK IMAP4 ready")
        client.send(b"a CAPABILITY\r\n")
        assert word in client.line(), name
        client.close()
    assert stage.postern.running()


def test_a_client_with_alpn_has_to_name_the_protocol(env):
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com")))
    client = stage.connect().secure(ca.trust(alpn=["http/1.1", "imap"]))
    assert client.sock.selected_alpn_protocol() == "imap"
    client.expect(b"* OK IMAP4 ready")
    try:
        stage.connect().secure(ca.trust(alpn=["http/1.1"]))
        raise AssertionError("ALPN http/1.1 was accepted")
    except ssl.SSLError as error:
        assert "no application protocol" in str(error).lower() or "alert" in str(error).lower(), error


def test_a_ticket_resumes_at_another_worker_and_after_a_reload(env):
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com")), workers=4)
    context = ca.trust()
    first = stage.connect().secure(context)
    first.expect(b"* OK IMAP4 ready")
    session = first.sock.session
    assert session.has_ticket and not first.sock.session_reused
    held = []
    for _ in range(12):                     # held open, so that they spread over the workers
        client = stage.connect().secure(context, session=session)
        client.expect(b"* OK IMAP4 ready")
        assert client.sock.session_reused
        held.append(client)
    stage.postern.reload()
    client = stage.connect().secure(context, session=held[-1].sock.session)
    client.expect(b"* OK IMAP4 ready")
    assert client.sock.session_reused


def test_a_session_id_resumes_at_another_worker_and_after_a_reload(env):
    ca = Authority(env)
    more = "ssl_session_tickets off; ssl_session_cache shared:tls:1m;"
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com"), more), workers=4)
    context = ca.trust(version=ssl.TLSVersion.TLSv1_2)
    first = stage.connect().secure(context)
    first.expect(b"* OK IMAP4 ready")
    session = first.sock.session
    held = []
    for _ in range(12):
        client = stage.connect().secure(context, session=session)
        client.expect(b"* OK IMAP4 ready")
        assert client.sock.session_reused
        held.append(client)
    stage.postern.reload()
    client = stage.connect().secure(context, session=session)
    assert client.sock.session_reused


def test_client_certificates(env):
    ca, other = Authority(env), Authority(env, "other")
    good, expired, revoked = ca.issue("joe", file="good"), ca.expired("jim"), ca.issue("ann", file="revoked")
    ca.revoke(revoked[0])
    unknown = other.issue("eve")
    base = settings(ca.issue("mail.example.com"),
                    f"ssl_client_certificate {ca.certificate}; ssl_crl {ca.crl()};")
    stage = Stage(env, "imap", {mode: f"{base} ssl_verify_client {mode};"
                                for mode in ("on", "optional", "optional_no_ca")}, listen="ssl")
    welcome, bad, none = b"* OK IMAP4 ready", b"* BYE SSL certificate error", b"* BYE No required SSL certificate"
    for mode, pair, answer, verify in (
            ("on", good, welcome, "SUCCESS"), ("on", expired, bad, None), ("on", revoked, bad, None),
            ("on", unknown, bad, None), ("on", None, none, None),
            ("optional", good, welcome, "SUCCESS"), ("optional", None, welcome, "NONE"), ("optional", unknown, bad, None),
            ("optional_no_ca", unknown, welcome, "FAILED:.+"), ("optional_no_ca", None, welcome, "NONE")):
        client = stage.connect(mode).secure(ca.trust(client=pair))
        line = client.line().rstrip(b"\r\n")
        assert line == answer, (mode, pair, line)
        if verify:
            log_in(client, "imap")
            request = stage.auth.requests[-1]
            assert re.fullmatch(verify, request["Auth-SSL-Verify"]), (mode, request.fields)
            assert ("Auth-SSL-Subject" in request.names) == (pair is not None)
        client.close()
    stage.postern.wait_log(r"client SSL certificate verify error: \(10:certificate has expired\)")
    stage.postern.wait_log(r"client SSL certificate verify error: \(23:certificate revoked\)")
    stage.postern.wait_log(r"client sent no required SSL certificate")


def test_external_is_for_verified_certificates(env):
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com"), f"""
        ssl_client_certificate {ca.certificate}; ssl_verify_client optional; imap_auth plain external;
        auth_http_pass_client_cert on;"""), answer=lambda request: {**stage.yes, "Auth-Pass": "x"})
    client = stage.connect().secure(ca.trust(client=ca.issue("joe")))
    client.expect(b"* OK IMAP4 ready")
    client.send(b"a AUTHENTICATE EXTERNAL " + b64(b"joe") + b"\r\n")
    assert client.line().startswith(b"a OK")
    request = stage.auth.requests[0]
    assert request["Auth-Method"] == "external" and request["Auth-User"] == "joe"
    assert request["Auth-SSL-Verify"] == "SUCCESS" and request["Auth-SSL-Subject"] == "CN=joe"
    assert re.fullmatch("[0-9a-f]{40}", request["Auth-SSL-Fingerprint"])
    assert b"BEGIN CERTIFICATE" in request.decoded("Auth-SSL-Cert")
    client = stage.connect().secure(ca.trust())
    client.expect(b"* OK IMAP4 ready")
    client.send(b"a AUTHENTICATE EXTERNAL " + b64(b"joe") + b"\r\n")
    assert not client.line().startswith(b"a OK")
    assert len(stage.auth.requests) == 1


def test_external_without_a_name_leaves_it_to_the_source(env):
    ca = Authority(env)
    stage = secure_stage(env, "smtp", settings(ca.issue("mail.example.com"), f"""
        ssl_client_certificate {ca.certificate}; ssl_verify_client optional; smtp_auth external;"""),
        answer=lambda request: {**stage.yes, "Auth-User": "real joe", "Auth-Pass": "x"})
    client = stage.connect().secure(ca.trust(client=ca.issue("joe")))
    client.line()
    client.send(b"EHLO me\r\nAUTH EXTERNAL =\r\n")
    client.expect(b"250-mail.example.com", b"250 AUTH EXTERNAL", b"235 2.0.0 OK")
    assert stage.auth.requests[0]["Auth-User"] == "" and stage.auth.requests[0]["Auth-SSL-Subject"] == "CN=joe"
    assert b"AUTH PLAIN " + b64(b"", b"real joe", b"x") + b"\r\n" in stage.heard
    stage.auth.answer = lambda request: {**stage.yes, "Auth-Pass": "x"}
    client = stage.connect().secure(ca.trust(client=ca.issue("joe")))
    client.line()
    client.send(b"AUTH EXTERNAL =\r\n")
    assert client.line().startswith(b"451 ")
    stage.postern.wait_log("did not send user")


# What each protocol says to who would log in before TLS, and what it offers before and in it.
EARLY = {
    "imap": (b"a LOGIN joe x\r\n", b"a NO [PRIVACYREQUIRED]", b"b CAPABILITY\r\n",
             b"SASL-IR STARTTLS LOGINDISABLED\r\n", b"AUTH=PLAIN SASL-IR\r\n"),
    "pop3": (b"USER joe\r\n", b"-ERR Must issue a STLS", b"CAPA\r\n", b"AUTH-RESP-CODE\r\nSTLS\r\n.\r\n",
             b"SASL PLAIN LOGIN\r\n.\r\n"),
    "smtp": (b"MAIL FROM:<a@b>\r\n", b"530 5.7.0 Must issue a STARTTLS", b"EHLO me\r\n",
             b"250 STARTTLS\r\n", b"250 AUTH PLAIN LOGIN\r\n"),
}


def until(client, end):
    heard = b""
    while not heard.endswith(end):
        line = client.line()
        assert line, heard
        heard += line


def starttls_only(env, protocol):
    early, refusal, ask, before, inside = EARLY[protocol]
    ca = Authority(env)
    stage = secure_stage(env, protocol, settings(ca.issue("mail.example.com"), "starttls only;"), listen="")
    client = stage.client()
    client.send(early)
    assert client.line().startswith(refusal)
    client.send(ask)
    until(client, before)
    if protocol == "imap":
        client.expect(b"b OK completed")
    start_tls(client, protocol, ca.trust())
    client.send(ask)
    until(client, inside)
    assert not stage.auth.requests
    if protocol == "imap":
        client.expect(b"b OK completed")
    log_in(client, protocol)


def test_nothing_but_tls_is_offered_under_only_by_imap(env):
    starttls_only(env, "imap")


def test_nothing_but_tls_is_offered_under_only_by_pop3(env):
    starttls_only(env, "pop3")


def test_nothing_but_tls_is_offered_under_only_by_smtp(env):
    starttls_only(env, "smtp")


def test_a_handshake_that_does_not_end_ends_at_the_timeout(env):
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com"), "timeout 1s;"))
    silent, slow = stage.connect(), stage.connect()
    slow.send(b"\x16\x03\x01\x02")
    assert silent.rest() == b"" and slow.rest() == b""
    stage.postern.wait_log("client timed out while SSL handshaking", 2)


def test_rubbish_instead_of_a_handshake_is_logged_once(env):
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com")))
    client = stage.connect()
    client.send(b"a LOGIN joe secret\r\n")
    client.rest()
    assert len(stage.postern.wait_log("SSL_do_handshake\\(\\) failed .* while SSL handshaking")) == 1


def test_a_broken_certificate_at_a_reload_changes_nothing(env):
    ca = Authority(env)
    pair = ca.issue("mail.example.com")
    stage = secure_stage(env, "imap", settings(pair))
    good = pair[0].read_bytes()
    pair[0].write_bytes(b"rubbish")
    stage.postern.kill(1)
    stage.postern.wait_log(r"\[emerg\] .*cannot load certificate")
    client = stage.connect().secure(ca.trust())
    client.expect(b"* OK IMAP4 ready")
    pair[0].write_bytes(good)
    stage.postern.reload()
    stage.connect().secure(ca.trust()).expect(b"* OK IMAP4 ready")


def test_a_half_close_without_close_notify_still_gets_its_answer(env):
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com")))
    client = stage.connect().secure(ca.trust())
    client.expect(b"* OK IMAP4 ready")
    client.send(b"a LOGIN joe " + SECRET + b"\r\n")
    assert client.line().startswith(b"a OK")
    client.send(b"b NOOP\r\nz LOGOUT\r\n")
    client.finish()
    assert b"b OK" in client.rest()
    stage.postern.wait_log("client closed the connection without close_notify")


def test_greeting_and_ticket_come_without_delay(env):
    """No time is measured: the client sees one record after another without having to acknowledge."""
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com")))
    client = stage.connect()
    client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    client.secure(ca.trust()).expect(b"* OK IMAP4 ready")
    assert client.sock.session.has_ticket
