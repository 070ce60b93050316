"""STARTTLS and STLS: who offers it, who insists on it, what of the time before is forgotten, whom SNI chooses then."""
import re

from certs import Authority, s_client
from harness import Wire
from peers import AuthHttp
from stage import SECRET, Stage, b64
from test_tls import WORDS, log_in, settings, start_tls
from test_tls_words import one_of_each

PORTS = {protocol: 2143 + i for i, protocol in enumerate(WORDS)}
PLAIN = b64(b"", b"joe", SECRET)


def secured(env, protocol, context, before=b"", answers=0, name="mail.example.com"):
    """A client that has said something, heard so many lines for it, and then made itself secure."""
    client = Wire.to((env.ip(), PORTS[protocol]))
    client.line()
    client.send(before)
    for _ in range(answers):
        client.line()
    go, ready = WORDS[protocol][:2]
    client.send(go)
    line = client.line()
    assert line.startswith(ready), line
    return client.secure(context, name)


def test_s_client_knows_how_each_protocol_starts(env):
    stage, _ = one_of_each(env, "starttls on;")
    for protocol, bye in (("imap", b"z LOGOUT\r\n"), ("pop3", b"QUIT\r\n"), ("smtp", b"QUIT\r\n")):
        for version in ("-tls1_2", "-tls1_3"):
            text = s_client((env.ip(), PORTS[protocol]), "-starttls", protocol, version, said=bye)
            assert "New, TLS" in text and re.search("BYE|[+]OK|221 2.0.0", text) and "\nclosed" in text, text
    assert stage.postern.running()


def test_who_insists_on_tls_hears_no_password_before_it(env):
    """No mechanism is offered, nothing is taken, nobody is asked, and SMTP takes no message either."""
    stage, context = one_of_each(env, "starttls only; smtp_auth none;")
    must = {"imap": b"NO [PRIVACYREQUIRED] Must issue a STARTTLS command first\r\n",
            "pop3": b"-ERR Must issue a STLS command first\r\n",
            "auth": b"538 5.7.11 Encryption required for requested authentication mechanism\r\n",
            "mail": b"530 5.7.0 Must issue a STARTTLS command first\r\n"}
    for protocol, said, heard in (
            ("imap", b"a LOGIN joe " + SECRET + b"\r\n", b"a " + must["imap"]),
            ("imap", b"a LOGIN {3}\r\n", b"a " + must["imap"]),
            ("imap", b"a AUTHENTICATE PLAIN\r\n", b"a " + must["imap"]),
            ("imap", b"a AUTHENTICATE PLAIN " + PLAIN + b"\r\n", b"a " + must["imap"]),
            ("imap", b"a CAPABILITY\r\n",
             re.compile(rb"\* CAPABILITY (?!.*AUTH=).* STARTTLS LOGINDISABLED\r\na OK completed\r\n")),
            ("pop3", b"USER joe\r\n", must["pop3"]), ("pop3", b"PASS " + SECRET + b"\r\n", must["pop3"]),
            ("pop3", b"AUTH PLAIN\r\n", must["pop3"]), ("pop3", b"AUTH\r\n", must["pop3"]),
            ("pop3", b"APOP joe 0123456789abcdef0123456789abcdef\r\n", must["pop3"]),
            ("pop3", b"CAPA\r\n",
             re.compile(rb"\+OK Capability list follows\r\n(?!(?s:.*)(SASL|USER))(?s:.*)\r\nSTLS\r\n\.\r\n")),
            ("smtp", b"EHLO me\r\n", b"250-mail.example.com\r\n250 STARTTLS\r\n"),
            ("smtp", b"EHLO me\r\nMAIL FROM:<a@b>\r\n", b"250-mail.example.com\r\n250 STARTTLS\r\n" + must["mail"]),
            ("smtp", b"HELO me\r\nMAIL FROM:<a@b>\r\n", b"250 mail.example.com\r\n" + must["mail"]),
            ("smtp", b"MAIL FROM:<a@b>\r\n", must["mail"]),
            ("smtp", b"AUTH PLAIN " + PLAIN + b"\r\n", must["auth"])):
        client = Wire.to((env.ip(), PORTS[protocol]))
        client.line()
        client.send(said)
        client.finish()
        got = client.rest()
        assert heard.fullmatch(got) if hasattr(heard, "fullmatch") else got == heard, (protocol, said, got)
    stage.untouched()
    client = secured(env, "smtp", context)
    client.send(b"EHLO me\r\nMAIL FROM:<a@b>\r\n")
    client.expect(b"250 mail.example.com", b"250 2.0.0 OK")


def test_inside_tls_all_is_offered_and_starttls_no_more(env):
    stage, context = one_of_each(env, "starttls only;")
    for protocol, said, heard in (
            ("imap", b"a CAPABILITY\r\n",
             rb"\* CAPABILITY (?!.*(STARTTLS|LOGINDISABLED)).*AUTH=PLAIN.*\r\na OK completed\r\n"),
            ("imap", b"a STARTTLS\r\n", rb"a BAD .*\r\n"),
            ("pop3", b"CAPA\r\n", rb"\+OK .*\r\n(?!(?s:.*)STLS)(?s:.*)USER\r\n(?s:.*)SASL PLAIN LOGIN\r\n\.\r\n"),
            ("pop3", b"STLS\r\n", rb"-ERR invalid command\r\n"),
            ("smtp", b"EHLO me\r\n", rb"250-mail.example.com\r\n250 AUTH PLAIN LOGIN\r\n"),
            ("smtp", b"STARTTLS\r\n", rb"503 5.5.1 .*\r\n")):
        client = secured(env, protocol, context)
        client.send(said)
        client.finish()
        got = client.rest()
        assert re.fullmatch(heard, got), (protocol, said, got)
    assert stage.postern.running()


def test_without_starttls_nobody_offers_it(env):
    stage, _ = one_of_each(env, "starttls off;")
    for protocol, said, heard in (
            ("imap", b"a STARTTLS\r\n", rb"a BAD .*\r\n"), ("pop3", b"STLS\r\n", rb"-ERR .*\r\n"),
            ("smtp", b"STARTTLS\r\n", rb"50[02] 5.5.1 .*\r\n"),
            ("imap", b"a CAPABILITY\r\n", rb"(?!(?s:.*)STARTTLS)(?s:.*)"),
            ("pop3", b"CAPA\r\n", rb"(?!(?s:.*)STLS)(?s:.*)"),
            ("smtp", b"EHLO me\r\n", rb"(?!(?s:.*)STARTTLS)(?s:.*)")):
        client = Wire.to((env.ip(), PORTS[protocol]))
        client.line()
        client.send(said)
        client.finish()
        got = client.rest()
        assert re.fullmatch(heard, got), (protocol, said, got)


def test_nothing_from_before_tls_is_remembered(env):
    """Neither a name nor an envelope."""
    stage, context = one_of_each(env, "starttls on; smtp_auth plain none;")
    for protocol, before, answers, said, heard in (
            ("pop3", b"USER joe\r\n", 1, b"PASS " + SECRET + b"\r\n", rb"-ERR .*\r\n"),
            ("smtp", b"EHLO old\r\nMAIL FROM:<a@b>\r\n", 4, b"RCPT TO:<c@d>\r\n", rb"503 5.5.1 .*\r\n"),
            ("smtp", b"EHLO old\r\nMAIL FROM:<a@b>\r\n", 4, b"MAIL FROM:<e@f>\r\n", rb"250 2.0.0 OK\r\n")):
        client = secured(env, protocol, context, before, answers)
        client.send(said)
        client.finish()
        got = client.rest()
        assert re.fullmatch(heard, got), (protocol, before, got)
    stage.untouched()


def test_a_helo_from_before_tls_is_told_to_nobody(env):
    stage, context = one_of_each(env, "starttls on; smtp_auth none; xclient off;")
    client = secured(env, "smtp", context, b"EHLO evil.example\r\n", 2)
    client.send(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n")
    client.expect(b"250 2.0.0 OK")
    client.line()
    request = stage.auth.requests[0]
    assert "evil" not in request.raw.decode() and request.get("Auth-SMTP-Helo", "") == "", request.raw
    assert request["Auth-SMTP-From"] == "MAIL FROM:<a@b>" and request["Auth-SSL"] == "on"


def test_what_stands_behind_starttls_is_thrown_away_whole(env):
    """Whole commands, halves and a login: they are answered nowhere, and nobody hears of them."""
    stage, context = one_of_each(env, "starttls on;")
    for protocol, injected, said, heard in (
            ("imap", b"x LOGIN joe " + SECRET + b"\r\n", b"y NOOP\r\n", b"y OK completed\r\n"),
            ("imap", b"x LOGIN {3}\r\n", b"y NOOP\r\n", b"y OK completed\r\n"),
            ("imap", b"x AUTHENTICATE PLAIN\r\n" + PLAIN, b"y NOOP\r\n", b"y OK completed\r\n"),
            ("imap", b"x NOO", b"P\r\n", b"* BAD invalid command\r\n"),
            ("pop3", b"USER joe\r\n", b"PASS " + SECRET + b"\r\n", b"-ERR invalid command\r\n"),
            ("pop3", b"USER joe\r\nPASS " + SECRET + b"\r\n", b"NOOP\r\n", b"+OK\r\n"),
            ("pop3", b"AUTH PLAIN\r\n", b"NOOP\r\n", b"+OK\r\n"),
            ("pop3", b"NO", b"OP\r\n", b"-ERR invalid command\r\n"),
            ("smtp", b"AUTH PLAIN\r\n", b"NOOP\r\n", b"250 2.0.0 OK\r\n"),
            ("smtp", b"AUTH PLAIN " + PLAIN + b"\r\n", b"NOOP\r\n", b"250 2.0.0 OK\r\n"),
            ("smtp", b"EHLO evil\r\n", b"NOOP\r\n", b"250 2.0.0 OK\r\n"),
            ("smtp", b"NO", b"OP\r\n", b"500 5.5.1 Invalid command\r\n")):
        client = Wire.to((env.ip(), PORTS[protocol]))
        client.line()
        client.send(WORDS[protocol][0] + injected)
        line = client.line()
        assert line.startswith(WORDS[protocol][1]) and client.held == b"", (protocol, injected, line, client.held)
        client.secure(context)
        client.send(said)
        client.finish()
        got = client.rest()
        assert got == heard, (protocol, injected, got)
    stage.untouched()


def test_a_handshake_cannot_be_mixed_with_text(env):
    """Text where the handshake must begin ends the session; nothing of it is carried out."""
    stage, _ = one_of_each(env, "starttls on;")
    for protocol in PORTS:
        client = Wire.to((env.ip(), PORTS[protocol]))
        client.line()
        client.send(WORDS[protocol][0])
        client.line()
        client.send(WORDS[protocol][2])
        got = client.rest()
        assert not re.search(rb"[ -~]{5}", got), got
    stage.postern.wait_log("SSL_do_handshake\\(\\) failed .* while SSL handshaking", 3)
    stage.untouched()


def test_certificates_are_asked_for_after_starttls_too(env):
    ca = Authority(env, "clients")
    _, context = one_of_each(env, f"starttls on; ssl_verify_client on; ssl_client_certificate {ca.certificate};")
    for protocol, start in (("imap", b"* BYE "), ("pop3", b"-ERR "), ("smtp", b"421 4.7.1 ")):
        client = secured(env, protocol, context)
        client.expect(start + b"No required SSL certificate")
        client.expect_end()


def test_the_handshake_counts_within_the_time_of_the_client(env):
    stage, _ = one_of_each(env, "starttls on; timeout 1s;")
    clients = [Wire.to((env.ip(), port)) for port in PORTS.values()]
    for client, protocol in zip(clients, PORTS):
        client.line()
        client.send(WORDS[protocol][0])
        client.line()
        client.send(b"\x16\x03\x01\x01")
    for client in clients:
        assert client.rest() == b""
    stage.postern.wait_log("client timed out while SSL handshaking", 3)


def sni_stage(env, protocol, ca):
    """Two servers on one port; after STARTTLS the second is chosen by its name."""
    one, two = ca.issue("one.test"), ca.issue("two.test")
    stage = Stage(env, protocol, raw=f"""
    server {{ listen {env.ip()}:2143; protocol {protocol}; server_name one.test; {settings(one)}
              starttls on; imap_capabilities IMAP4rev1 ONE; pop3_capabilities USER ONE; smtp_capabilities ONE; }}
    server {{ listen {env.ip()}:2143; protocol {protocol}; server_name two.test; {settings(two)}
              timeout 2s; max_errors 1;
              starttls on; imap_capabilities IMAP4rev1 TWO; pop3_capabilities USER TWO; smtp_capabilities TWO;
              auth_http {env.ip(4)}:9000/second; auth_http_header X-Server two; error_log {env.path("two.log")} info;
              proxy_smtp_auth on; xclient off; }}""")
    return stage, env.keep(AuthHttp((env.ip(4), 9000), stage.yes))


def sni_holds(env, protocol, ask, one, two):
    ca = Authority(env)
    stage, second = sni_stage(env, protocol, ca)
    for name, words, others in (("one.test", one, two), ("two.test", two, one), ("else.test", one, two)):
        client = Wire.to((env.ip(), 2143))
        client.line()
        context = ca.trust()
        context.check_hostname = name != "else.test"
        start_tls(client, protocol, context, name)
        client.send(ask)
        client.finish()
        got = client.rest()
        assert words in got and others not in got, (name, got)
    assert not stage.auth.requests and not second.requests
    client = Wire.to((env.ip(), 2143))
    client.line()
    start_tls(client, protocol, ca.trust(), "two.test")
    log_in(client, protocol)
    assert second.requests[0]["X-Server"] == "two" and not stage.auth.requests
    two_log = env.path("two.log").read_text()
    assert "client logged in" in two_log and "client logged in" not in stage.postern.log()
    silent = Wire.to((env.ip(), 2143))
    silent.line()
    start_tls(silent, protocol, ca.trust(), "two.test")
    silent.rest()
    assert "client timed out" in env.path("two.log").read_text()


def test_sni_after_starttls_imap(env):
    sni_holds(env, "imap", b"a CAPABILITY\r\n", b" ONE", b" TWO")


def test_sni_after_stls_pop3(env):
    sni_holds(env, "pop3", b"CAPA\r\n", b"\nONE", b"\nTWO")


def test_sni_after_starttls_smtp(env):
    sni_holds(env, "smtp", b"EHLO me\r\n", b"one.test\r\n250-ONE", b"two.test\r\n250-TWO")


def test_a_server_that_insists_on_tls_may_be_chosen_inside_it(env):
    """A server that is chosen inside TLS has TLS, however much it insists on it."""
    ca = Authority(env)
    pair = ca.issue("one.test", "two.test")
    stage = Stage(env, "imap", raw=f"""
    server {{ listen {env.ip()}:2143; protocol imap; server_name one.test; {settings(pair)} starttls on; }}
    server {{ listen {env.ip()}:2143; protocol imap; server_name two.test; {settings(pair)} starttls only; }}""")
    client = Wire.to((env.ip(), 2143))
    client.line()
    start_tls(client, "imap", ca.trust(), "two.test")
    log_in(client, "imap")
    assert stage.auth.requests[0]["Auth-SSL"] == "on"


def count_across(env, setting, said, good, reason):
    """Said once before TLS and `good` times in it, it is answered; once more and that is the end."""
    stage, context = one_of_each(env, "starttls on; " + setting)
    for i, protocol in enumerate(WORDS, 1):
        line = (b"a " if protocol == "imap" else b"") + said + b"\r\n"
        client = secured(env, protocol, context, before=line, answers=1)
        for _ in range(good):
            client.send(line)
            assert client.line() != b"", protocol
        client.send(line)
        assert client.rest() == b"", protocol
        stage.postern.wait_log(reason, i)


def test_errors_before_tls_count_in_it(env):
    """What was said is forgotten, but not how much: max_errors is for the whole of a client's time."""
    count_across(env, "max_errors 1;", b"XYZZY", 0, "client sent too many invalid commands")


def test_commands_before_tls_count_in_it(env):
    count_across(env, "max_commands 3;", b"NOOP", 1, "client sent too many commands")
