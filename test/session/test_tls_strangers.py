"""Clients that are strange or hostile inside TLS, and the ways in which a TLS connection ends."""
import os
import random
import re
import signal
import ssl
import subprocess

from certs import Authority, s_client, self_signed
from harness import Wire, eventually
from stage import SECRET, Stage, listen_to_all
from test_tls import WORDS, log_in, secure_stage, settings
from test_tls_reload import client_hello, greeted
from test_tls_words import one_of_each


def test_a_certificate_says_nothing_but_its_header(env):
    """Line ends, other control bytes and 8-bit text in a subject do not reach the auth server as such."""
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com"), """ssl_verify_client optional_no_ca;
        auth_http_pass_client_cert on;"""))
    for i, (subject, seen) in enumerate((
            ("/CN=joe\r\nX-Evil: yes", r"CN=joe\0D\0AX-Evil: yes"), ("/CN=joe\nAuth-User: root/O=\tx", None),
            ("/CN=J\u00f6rg, the \\\\ \"best\"", None),
            ("/CN=" + "x" * 64 + "".join(f"/OU={n:060}" for n in range(200)), None))):
        client = greeted(stage, ca.trust(client=self_signed(env, subject, f"evil{i}")))
        client.send(b"a LOGIN joe " + SECRET + b"\r\n")
        assert client.line() in (b"a OK backend LOGIN\r\n",), subject[:40]
        request = stage.auth.requests[-1]
        assert "X-Evil" not in request.names and request["Auth-User"] == "joe", request.raw
        text = request["Auth-SSL-Subject"] + request["Auth-SSL-Issuer"]
        assert re.fullmatch("[ -~]+", text), text
        assert seen is None or request["Auth-SSL-Subject"] == seen, text
    assert "X-Evil" not in re.sub(r"\\0D\\0AX-Evil", "", stage.postern.log())


NAMES = [
    (b"joe", "CN=joe"), (b"joe\0.evil.example", r"CN=joe\00.evil.example"), (b"\0", r"CN=\00"), (b"", "CN="),
    (b"joe\r\nAuth-Status: OK\r\n\r\n", r"CN=joe\0D\0AAuth-Status: OK\0D\0A\0D\0A"),
    (b"joe,O=root+UID=0", r"CN=joe\,O=root\+UID=0"), (b'"joe" <\\;#=>', None), (b" joe ", r"CN=\ joe\ "),
    ("J\u00f6rg".encode(), r"CN=J\C3\B6rg"), (b"\x01\x1b[2J\x7f", r"CN=\01\1B[2J\7F"),
    (b"%00%0d%n%s", "CN=%00%0d%n%s"), (b"x" * 60000, "CN=" + "x" * 60000), (b"\0" * 30000, "CN=" + r"\00" * 30000),
]


def test_external_says_whatever_name_a_certificate_has_in_one_line(env):
    """Verified, of our own authority, and still a stranger's bytes; as long as OpenSSL takes them."""
    ca = Authority(env)
    pair = ca.issue("joe")
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com"), f"""
        ssl_client_certificate {ca.certificate}; ssl_verify_client on; imap_auth external;"""),
        answer=lambda request: {**stage.yes, "Auth-User": "real", "Auth-Pass": "x"})
    for i, (name, seen) in enumerate(NAMES):
        client = greeted(stage, ca.trust(client=ca.rename(pair, name, f"name{i}")))
        client.send(b"a AUTHENTICATE EXTERNAL =\r\n")
        assert client.line() == b"a OK backend LOGIN\r\n", name[:40]
        request = stage.auth.requests[-1]
        assert len(stage.auth.requests) == i + 1 and request["Auth-User"] == "", request.raw
        assert request["Auth-SSL-Verify"] == "SUCCESS" and "Auth-Status" not in request.names, request.raw
        assert re.fullmatch("[ -~]*", request["Auth-SSL-Subject"]), request["Auth-SSL-Subject"]
        assert seen is None or request["Auth-SSL-Subject"] == seen, request["Auth-SSL-Subject"][:200]
        client.close()
    client = greeted(stage, ca.trust(client=ca.rename(pair, b"\xff\xfe\x80", "teletex", kind=0x14)))
    client.send(b"a AUTHENTICATE EXTERNAL =\r\n")
    client.expect(b"a OK backend LOGIN")
    assert stage.auth.requests[-1]["Auth-SSL-Subject"] == r"CN=\C3\BF\C3\BE\C2\80"
    client.close()
    log = stage.postern.log()
    assert "\x1b" not in log and "\0" not in log and re.search("^Auth-Status", log, re.M) is None
    other = greeted(stage, ca.trust(client=pair))
    other.send(b"a AUTHENTICATE EXTERNAL =\r\n")
    other.expect(b"a OK backend LOGIN")


def test_settings_of_a_chosen_server_decide_about_certificates(env):
    """Its own CAs, CRL and depth, whatever the first server of the listen asks for."""
    a, b = Authority(env, "a"), Authority(env, "b")
    pair = a.issue("open.test", "a.test", "b.test")
    of_a, of_b, revoked = a.issue("ann"), b.issue("bob"), b.issue("rob")
    b.revoke(revoked[0])
    first = settings(pair)
    strict = "ssl_verify_client on; ssl_client_certificate"
    texts = {"open.test": first, "a.test": first + f"{strict} {a.certificate};",
             "b.test": first + f"{strict} {b.certificate}; ssl_crl {b.crl()};"}
    orders = (("open.test", "a.test", "b.test"), ("a.test", "b.test", "open.test"), ("b.test", "open.test", "a.test"))
    stage = Stage(env, "imap", raw="".join(
        f"server {{ listen {env.ip()}:{2143 + i} ssl; protocol imap; server_name {name}; {texts[name]} }}"
        for i, order in enumerate(orders) for name in order))
    for i in range(len(orders)):
        for name, client, welcome in (("open.test", None, True), ("open.test", of_b, True), ("a.test", of_a, True),
                                      ("a.test", of_b, False), ("a.test", None, False), ("b.test", of_b, True),
                                      ("b.test", of_a, False), ("b.test", revoked, False)):
            wire = Wire.to((env.ip(), 2143 + i)).secure(a.trust(client=client), name)
            assert wire.line().startswith(b"* OK" if welcome else b"* BYE"), (orders[i], name, client)
            wire.close()
    stage.untouched()


def test_ticket_keys_of_a_chosen_server(env):
    """Another gateway with the same file takes its tickets, though neither's first server knows the file."""
    ca = Authority(env)
    pair = ca.issue("first.test", "second.test")
    key = env.write("ticket.key", os.urandom(48), mode=0o600)
    Stage(env, "imap", raw="".join(f"""
    server {{ listen {env.ip(i)}:2143 ssl; protocol imap; server_name first.test; {settings(pair)}
              ssl_session_ticket_key {env.write(f"own{i}", os.urandom(80), mode=0o600)}; }}
    server {{ listen {env.ip(i)}:2143 ssl; protocol imap; server_name second.test; {settings(pair)}
              ssl_session_ticket_key {key}; }}""" for i in (1, 5)))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for name, together in (("first.test", False), ("second.test", True)):
            context = ca.trust(version=version)
            client = Wire.to((env.ip(1), 2143)).secure(context, name)
            client.line()
            client = Wire.to((env.ip(5), 2143)).secure(context, name, client.sock.session)
            client.line()
            assert client.sock.session_reused == together, (version, name)


def test_close_notify_without_a_fin_is_a_half_close(env):
    """All that was asked before it is answered, before a login and after one."""
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com")))
    for said, last in ((b"a NOOP\r\nb NOOP\r\n", b"b OK completed\r\n"),
                       (b"a LOGIN joe " + SECRET + b"\r\nb NOOP\r\n", b"b OK backend NOOP\r\n")):
        wire = stage.connect()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = ca.trust().wrap_bio(incoming, outgoing, server_hostname="mail.example.com")
        heard, done = b"", False
        while True:
            try:
                if not done:
                    tls.do_handshake()
                    tls.write(said)
                    done = True
                    tls.unwrap()
                heard += tls.read(65536)
            except ssl.SSLWantReadError:
                wire.send(outgoing.read())
                if not wire.fill():
                    break
                incoming.write(wire.held)
                wire.held = b""
            except ssl.SSLError:        # what comes behind our close_notify: the library reads no more of it
                break
        wire.rest()
    requests = eventually(lambda: len(stage.auth.requests) == 1, "the login")
    eventually(lambda: any(b"NOOP" in line for line in stage.heard), "what was said behind the login")
    stage.postern.wait_log("proxied session done")
    assert requests and "without close_notify" not in stage.postern.log()


def test_a_stop_says_nothing_in_the_clear(env):
    """In the middle of a handshake a client hears nothing; one that stands in TLS is told inside it."""
    stage, context = one_of_each(env, "starttls on;")
    hello = client_hello(context)
    started = []
    for i, protocol in enumerate(WORDS):
        for piece in (b"", hello[:50]):
            client = Wire.to((env.ip(), 2143 + i))
            client.line()
            client.send(WORDS[protocol][0])
            client.line()
            client.send(piece)
            started.append(client)
    inside = Wire.to((env.ip(), 2143))
    inside.line()
    inside.send(WORDS["imap"][0])
    inside.line()
    inside.secure(context)
    inside.send(b"a NOOP\r\n")
    inside.line()
    stage.postern.kill(signal.SIGTERM)
    assert inside.rest().startswith(b"* BYE ")
    for heard in listen_to_all(started):
        assert heard == b"", heard


def test_a_key_update_is_nothing_special(env):
    """Before a login, and while bytes are relayed."""
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com")))
    with subprocess.Popen(["openssl", "s_client", "-tls1_3", "-crlf", "-connect", "%s:%d" % stage.address()],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        said = b""

        def until(text):
            nonlocal said
            said = b""
            while text not in said:
                line = client.stdout.readline()
                assert line, said
                said += line

        def say(text):
            client.stdin.write(text)
            client.stdin.flush()
        until(b"* OK IMAP4 ready")
        for i, (text, answer) in enumerate(((b"a NOOP\n", b"a OK"), (b"b LOGIN joe " + SECRET + b"\n", b"b OK"),
                                            (b"c NOOP\n", b"c OK"))):
            say((b"K\n", b"k\n", b"K\n")[i])
            until(b"KEYUPDATE")
            say(text)
            until(answer)
        say(b"d LOGOUT\n")
        said = client.stdout.read()
    assert b"d OK bye" in said and b"closed" in said, said


def test_rubbish_of_all_kinds(env):
    """Random records, broken hellos and floods of empty ones: each ends, and nobody else notices."""
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com"), "timeout 2s;"),
                         events="worker_connections 1024;")
    hello, dice = client_hello(ca.trust()), random.Random(3)
    pieces = [bytes([kind, 3, version]) + len(body).to_bytes(2, "big") + body
              for kind in (20, 21, 22, 23, 24, 0, 128) for version in (0, 1, 3, 4)
              for body in (b"", b"\1", dice.randbytes(50), dice.randbytes(16384))]
    for _ in range(60):
        broken = bytearray(hello)
        broken[dice.randrange(len(hello))] ^= 1 << dice.randrange(8)
        pieces.append(bytes(broken))
    pieces += [b"\x16\x03\x01\x00\x00" * 5000, b"\x15\x03\x01\x00\x02\x01\x00" * 5000,
               b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + b"x" * 60000,
               hello + dice.randbytes(3000), hello * 2, b"\x80\x2e\x01\x03\x01" + dice.randbytes(60)]
    worker = stage.postern.children()
    clients = []
    for piece in pieces:
        client = stage.connect()
        try:
            client.send(piece)
        except OSError:
            pass
        clients.append(client)
    log_in(greeted(stage, ca.trust()), "imap")
    listen_to_all(clients)
    assert stage.postern.children() == worker
    log = stage.postern.log()
    assert "[alert]" not in log and "[crit]" not in log and "[error]" not in log
    assert len(stage.auth.requests) == 1


def test_tls_over_a_unix_socket(env):
    ca = Authority(env)
    path = str(env.path("sock"))
    stage = Stage(env, "imap",
                  raw=f"server {{ listen unix:{path} ssl; protocol imap; {settings(ca.issue('mail.example.com'))} }}")
    client = Wire.to(path).secure(ca.trust())
    client.expect(b"* OK IMAP4 ready")
    log_in(client, "imap")
    assert stage.auth.requests[0]["Auth-SSL"] == "on" and stage.auth.requests[0]["Client-IP"] == "unix:"


def test_a_cache_that_is_full_forgets(env):
    """Far more sessions than it has room for: the newest come back, all handshakes succeed."""
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com"),
                                               "ssl_session_tickets off; ssl_session_cache shared:a:32k;"),
                         workers=2)
    context = ca.trust(version=ssl.TLSVersion.TLSv1_2)
    sessions = []
    for _ in range(150):
        client = greeted(stage, context)
        sessions.append(client.sock.session)
        client.close()
    for session, reused in ((sessions[-1], True),):
        client = stage.connect().secure(context, session=session)
        client.expect(b"* OK IMAP4 ready")
        assert client.sock.session_reused == reused
    text = s_client(stage.address(), "-tls1_2", said=b"z LOGOUT\r\n")
    assert "* OK IMAP4 ready" in text
