"""Sessions that come back: caches, tickets and their keys, and what still holds in the second handshake."""
import os
import re
import ssl
import subprocess
import time

from certs import Authority, s_client
from harness import Wire
from stage import Stage
from test_tls import log_in, secure_stage, settings

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
WELCOME = b"* OK IMAP4 ready"


def visit(address, context, session=None, name="mail.example.com", greeting=WELCOME):
    """Shakes hands, is greeted; returns the connection."""
    client = Wire.to(address).secure(context, name, session)
    client.expect(greeting)
    return client


def leave(client):
    """Ends it well, and returns its session."""
    session = client.sock.session
    client.send(b"z LOGOUT\r\n")
    client.rest()
    client.close()
    return session


def resumes(address, context, session, name="mail.example.com"):
    client = visit(address, context, session, name)
    reused = client.sock.session_reused
    leave(client)
    return reused


def test_each_kind_of_cache(env):
    """Who may come back, by a number or a ticket, in which version of TLS."""
    ca = Authority(env)
    pair = ca.issue("mail.example.com")
    kinds = ("off", "none", "builtin", "builtin:100", "shared:a:1m")
    servers = {f"{kind} {tickets}": settings(pair, f"ssl_session_cache {kind}; ssl_session_tickets {tickets};")
               for kind in kinds for tickets in ("on", "off")}
    servers["both on"] = settings(pair, "ssl_session_cache builtin:50 shared:b:1m;")
    stage = Stage(env, "imap", servers, listen="ssl")
    for server in servers:
        kept = server.endswith(" on") or server.startswith(("builtin", "shared"))
        for version in (V12, V13):
            context = ca.trust(version=version)
            session = leave(visit(stage.address(server), context))
            if session is None or version == V13 and not session.has_ticket:
                assert not kept, (server, version)
            else:
                assert resumes(stage.address(server), context, session) == kept, (server, version)


def test_a_number_is_enough_when_the_client_knows_no_tickets(env):
    """s_client comes back five times, and each time any of four workers knows it."""
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com"), "ssl_session_cache shared:a:1m;"),
                         workers=4)
    text = s_client(stage.address(), "-tls1_2", "-no_ticket", "-reconnect", said=b"z LOGOUT\r\n")
    assert len(re.findall("^Reused, TLSv1.2", text, re.M)) == 5, text


def test_a_ticket_is_replaced_when_it_is_used(env):
    """By s_client: the session of one process is taken up by the next, in both versions."""
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com")), workers=2)
    for version, ticket in (("-tls1_2", None), ("-tls1_3", "Post-Handshake New Session Ticket arrived")):
        file = env.path("session" + version)
        text = s_client(stage.address(), version, "-sess_out", file, said=b"z LOGOUT\r\n")
        assert re.search("^New, TLS", text, re.M), text
        for _ in range(3):
            text = s_client(stage.address(), version, "-sess_in", file, "-sess_out", file, said=b"z LOGOUT\r\n")
            assert re.search("^Reused, TLS", text, re.M) and "* OK IMAP4 ready" in text, text
            assert ticket is None or text.count(ticket) == 1, text


def ticket_name(address, *options):
    """How the key is named that sealed the ticket which this client was given, and whether it came back."""
    text = s_client(address, "-tls1_2", *options, said=b"z LOGOUT\r\n")
    line = re.search(r"TLS session ticket:\s+0000 - ([0-9a-f -]{47})", text)
    return bytes.fromhex(line.group(1).replace("-", " ")) if line else None, "\nReused, TLS" in text


def test_keys_of_tickets_in_files_and_their_rotation(env):
    """The first seals, all open; one that has gone opens nothing any more."""
    ca = Authority(env)
    pair = ca.issue("mail.example.com")
    keys = {name: env.write(name, os.urandom(size), mode=0o600)
            for name, size in (("old", 48), ("new", 80), ("last", 80))}
    names = {key: path.read_bytes()[:16] for key, path in keys.items()}

    def use(*chosen):
        return "".join(f"ssl_session_ticket_key {keys[name]};" for name in chosen)
    stage = secure_stage(env, "imap", settings(pair, use("old")), workers=2)
    context = {version: ca.trust(version=version) for version in (V12, V13)}
    first = {version: leave(visit(stage.address(), context[version])) for version in context}
    assert ticket_name(stage.address()) == (names["old"], False)
    s_client(stage.address(), "-tls1_2", "-sess_out", env.path("session"), said=b"z LOGOUT\r\n")
    for chosen, comes_back, sealed in ((("new", "old"), True, "new"), (("new",), False, "new"),
                                       (("last", "new"), False, "last"),
                                       (("last", "new", "old"), True, "last")):
        text = stage.postern.config.read_text()
        stage.postern.config.write_text(re.sub(r"(ssl_session_ticket_key \S+;)+", use(*chosen), text))
        stage.postern.reload()
        assert ticket_name(stage.address())[0] == names[sealed], chosen
        assert ticket_name(stage.address(), "-sess_in", env.path("session")) == (names[sealed], comes_back), chosen
        for version in context:
            assert resumes(stage.address(), context[version], first[version]) == comes_back, (chosen, version)


def test_a_file_of_keys_makes_two_gateways_one(env):
    ca = Authority(env)
    pair = ca.issue("mail.example.com")
    key = env.write("ticket.key", os.urandom(80), mode=0o600)
    shared, own = settings(pair, f"ssl_session_ticket_key {key};"), settings(pair)
    stage = Stage(env, "imap", {"shared": shared, "own": own}, listen="ssl")
    config = env.write("second/postern.conf", re.sub(
        r"listen \S+:(\d+)", lambda m: f"listen {env.ip(9)}:{m.group(1)}", stage.postern.config.read_text()
    ).replace(str(stage.postern.log_path), str(env.path("second.log"))).replace("postern.pid", "second.pid"))
    second = type(stage.postern)(env, config=config.read_text())
    second.pid_path = env.path("second.pid")
    env.keep(second).start()
    for server, together in (("shared", True), ("own", False)):
        for version in (V12, V13):
            context = ca.trust(version=version)
            session = leave(visit(stage.address(server), context))
            assert resumes((env.ip(9), stage.ports[server]), context, session) == together, (server, version)


def test_what_was_verified_is_known_when_the_session_comes_back(env):
    ca = Authority(env)
    joe = ca.issue("joe")
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com"), f"""
        ssl_client_certificate {ca.certificate}; ssl_verify_client optional; ssl_session_cache shared:a:1m;
        auth_http_pass_client_cert on;"""))
    for version, options in ((V12, 0), (V13, 0), (V12, ssl.OP_NO_TICKET)):
        context = ca.trust(client=joe, version=version)
        context.options |= options
        session = leave(visit(stage.address(), context))
        client = visit(stage.address(), context, session)
        assert client.sock.session_reused
        log_in(client, "imap")
        request = stage.auth.requests[-1]
        assert request["Auth-SSL-Verify"] == "SUCCESS" and request["Auth-SSL-Subject"] == "CN=joe", request.fields
        assert b"BEGIN CERTIFICATE" in request.decoded("Auth-SSL-Cert")
        leave(client)


def test_a_revocation_ends_the_sessions_of_the_revoked(env):
    ca = Authority(env)
    joe, crl = ca.issue("joe"), ca.crl()
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com"), f"""
        ssl_client_certificate {ca.certificate}; ssl_crl {crl}; ssl_verify_client on;
        ssl_session_cache shared:a:1m;"""))
    sessions = {}
    for version in (V12, V13):
        context = ca.trust(client=joe, version=version)
        sessions[context] = leave(visit(stage.address(), context))
        assert resumes(stage.address(), context, sessions[context])
    ca.revoke(joe[0])
    ca.crl()
    stage.postern.reload()
    for context, session in sessions.items():
        client = Wire.to(stage.address()).secure(context, session=session)
        client.expect(b"* BYE SSL certificate error")
        assert not client.sock.session_reused
        client.close()


def by_names(env, servers):
    """Servers of one listen, by name."""
    stage = Stage(env, "imap", raw="".join(
        f"server {{ listen {env.ip()}:2143 ssl; protocol imap; server_name {name}; {text} }}"
        for name, text in servers.items()))
    return stage, (env.ip(), 2143)


def test_a_session_is_good_only_where_it_was_made(env):
    """A session made where nobody asks for a certificate opens no door where one is asked for."""
    ca = Authority(env)
    pair = ca.issue("open.test", "strict.test", "also.test")
    cache = "ssl_session_cache shared:a:1m;"
    stage, address = by_names(env, {
        "open.test": settings(pair, cache),
        "strict.test": settings(pair, cache + f"ssl_client_certificate {ca.certificate}; ssl_verify_client on;"),
        "also.test": settings(pair, cache)})
    for version, options in ((V12, 0), (V13, 0), (V12, ssl.OP_NO_TICKET)):
        context = ca.trust(version=version)
        context.options |= options
        session = leave(visit(address, context, name="open.test"))
        assert resumes(address, context, session, name="open.test")
        client = Wire.to(address).secure(context, "strict.test", session)
        client.expect(b"* BYE No required SSL certificate")
        assert not client.sock.session_reused, version
        client.close()
    stage.untouched()


def test_the_cache_of_a_server_chosen_by_its_name(env):
    """It is used though the first server of the listen has none."""
    ca = Authority(env)
    pair = ca.issue("first.test", "second.test", "third.test")
    kinds = ("none", "shared:x:1m", "builtin")
    cached = "ssl_session_cache shared:a:1m;"
    Stage(env, "imap", raw="".join(
        f"server {{ listen {env.ip()}:{2143 + i} ssl; protocol imap; server_name {name}; {settings(pair, text)} }}"
        for i, first in enumerate(kinds) for name, text in (
            ("first.test", f"ssl_session_cache {first};"), ("second.test", cached),
            ("third.test", cached + "ssl_session_tickets off;"))))
    for i, first in enumerate(kinds):
        for name, options, version in (("second.test", ssl.OP_NO_TICKET, V12), ("third.test", 0, V12),
                                       ("third.test", 0, V13)):
            context = ca.trust(version=version)
            context.options |= options
            session = leave(visit((env.ip(), 2143 + i), context, name=name))
            assert resumes((env.ip(), 2143 + i), context, session, name=name), (first, name, version)


def test_how_long_a_session_lives_where_it_was_made(env):
    """What a ticket says of its life is the chosen server's ssl_session_timeout."""
    ca = Authority(env)
    pair = ca.issue("first.test", "second.test")
    _, address = by_names(env, {"first.test": settings(pair, "ssl_session_timeout 100s;"),
                                "second.test": settings(pair, "ssl_session_timeout 200s;")})
    for version in (V12, V13):
        for name, life in (("first.test", 100), ("second.test", 200)):
            session = leave(visit(address, ca.trust(version=version), name=name))
            assert session.ticket_lifetime_hint == life, (name, version, session.ticket_lifetime_hint)


def test_a_session_that_is_too_old_does_not_come_back(env):
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com"),
                         "ssl_session_timeout 1s; ssl_session_cache shared:a:1m;"))
    old = []
    for version, options in ((V12, 0), (V13, 0), (V12, ssl.OP_NO_TICKET)):
        context = ca.trust(version=version)
        context.options |= options
        old.append((context, leave(visit(stage.address(), context))))
    time.sleep(2.5)
    for context, session in old:
        assert not resumes(stage.address(), context, session)


def test_junk_for_a_ticket_is_no_ticket(env):
    """A ticket that was changed at any place, or cut, gives a full handshake."""
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com")))
    file = env.path("session")
    s_client(stage.address(), "-tls1_2", "-sess_out", file, said=b"z LOGOUT\r\n")
    assert ticket_name(stage.address(), "-sess_in", file)[1]
    der = ssl.PEM_cert_to_DER_cert(file.read_text().replace("SSL SESSION PARAMETERS", "CERTIFICATE"))
    at = der.index(ticket_bytes(stage, file))
    for change in (0, 15, 16, 40, 100, 150):
        broken = bytearray(der)
        broken[at + change] ^= 1
        text = ssl.DER_cert_to_PEM_cert(bytes(broken)).replace("CERTIFICATE", "SSL SESSION PARAMETERS")
        name, reused = ticket_name(stage.address(), "-sess_in", env.write("broken", text))
        assert name is not None and not reused, change
    assert "[alert]" not in stage.postern.log()


def ticket_bytes(stage, file):
    """The first bytes of the ticket in a file of -sess_out."""
    text = subprocess.run(["openssl", "sess_id", "-in", file, "-noout", "-text"], capture_output=True, text=True).stdout
    return bytes.fromhex(re.search(r"TLS session ticket:\s+0000 - ([0-9a-f -]{47})", text).group(1).replace("-", " "))
