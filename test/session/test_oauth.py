"""XOAUTH2 and OAUTHBEARER from the client's side, and how a refused token ends."""
import contextlib
import imaplib
import os
import smtplib
import subprocess
import time

from certs import Authority
from harness import Wire, eventually
from peers import AuthHttp, Listener, accept, imap_backend, pop3_backend, smtp_backend
from real import program
from stage import b64, listen_to_all

MECHANISMS = ("XOAUTH2", "OAUTHBEARER")
GOOD, EXPIRED = b"g00d.t0ken-of_joe", b"3xpired.t0ken-of_joe"
REVOKED, LOST = b"r3voked.t0ken-of_joe", b"l0st.t0ken-of_joe"
THEIRS = b64(b'{"status":"invalid_token","scope":"mail"}')
OURS = {"XOAUTH2": b64(b'{"status":"401","schemes":"bearer"}'),
        "OAUTHBEARER": b64(b'{"status":"invalid_token","schemes":"bearer"}')}


def pop3_backend_that_asks(wire):
    """Takes a token that is too long for the AUTH command, too."""
    def on_command(line):
        if len(line.split()) == 2 and line.startswith(b"AUTH "):
            wire.send(b"+ \r\n")
            wire.line()
    pop3_backend(wire, on_command=on_command)


class Kind:
    """How a protocol puts it."""

    def __init__(self, port, hello, start, ask, let_in, no, later, cancelled, too_long, bye, noop, backend):
        self.port, self.hello, self.start, self.ask, self.let_in, self.no = port, hello, start, ask, let_in, no
        self.later, self.cancelled, self.too_long, self.bye, self.noop = later, cancelled, too_long, bye, noop
        self.backend = backend


KINDS = {
    "imap": Kind(143, b"* OK IMAP4 ready", b"a AUTHENTICATE ", b"+ ", b"a OK backend AUTHENTICATE", b"a NO ",
                 b"a NO [UNAVAILABLE] Temporary failure, try again later.", b"a BAD authentication cancelled",
                 b"a BAD authentication exchange line is too long",
                 b"* BYE Idle for too long, closing connection", (b"n NOOP\r\n", b"n OK completed"),
                 lambda wire: imap_backend(wire, capability="IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER")),
    "pop3": Kind(110, b"+OK POP3 ready", b"AUTH ", b"+ ", b"+OK backend AUTH", b"-ERR ",
                 b"-ERR [SYS/TEMP] Temporary failure, try again later", b"-ERR authentication cancelled",
                 b"-ERR authentication exchange line is too long",
                 b"-ERR [SYS/TEMP] Disconnected for inactivity", (b"NOOP\r\n", b"+OK"), pop3_backend_that_asks),
    "smtp": Kind(587, b"220 mail.example.com ESMTP ready", b"AUTH ", b"334 ", b"235 2.0.0 OK", b"535 5.7.0 ",
                 b"451 4.3.2 Internal server error", b"501 5.7.0 Authentication cancelled",
                 b"500 5.5.6 Authentication exchange line is too long",
                 b"421 4.4.2 mail.example.com Disconnected for inactivity", (b"NOOP\r\n", b"250 2.0.0 OK"),
                 smtp_backend),
}


def message(mechanism, token=GOOD, user=b"joe"):
    if mechanism == "XOAUTH2":
        return b64(b"user=" + user + b"\1auth=Bearer " + token + b"\1\1")
    header = b"n,a=" + user + b"," if user else b"n,,"
    return b64(header + b"\1host=mail.example.com\1port=143\1auth=Bearer " + token + b"\1\1")


def attempt(kind, mechanism, token=GOOD, user=b"joe"):
    """A login in one line."""
    return kind.start + mechanism.encode() + b" " + message(mechanism, token, user) + b"\r\n"


class House:
    """Each protocol, before an auth server that knows tokens and backends that take any."""

    def __init__(self, env, mail="", methods="plain xoauth2 oauthbearer"):
        self.env = env
        self.auth = env.keep(AuthHttp((env.ip(3), 9000), self.judge))
        for kind in KINDS.values():
            env.keep(Listener((env.ip(2), kind.port), kind.backend))
        servers = "\n".join(f"server {{ listen {env.ip()}:{kind.port}; protocol {name}; "
                            f"{name}_auth {methods}; }}" for name, kind in KINDS.items())
        self.postern = env.postern(f"auth_http {env.ip(3)}:9000/auth; xclient off;\n{mail}\n{servers}")
        env.keep(self)

    def judge(self, request):
        token = request.decoded("Auth-Pass")
        if token == EXPIRED:
            return {"Auth-Status": "token expired", "Auth-Wait": "1", "Auth-Error-SASL": THEIRS.decode()}
        if token == REVOKED:
            return {"Auth-Status": "token revoked"}
        if token == LOST:
            return b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
        return accept(self.env.ip(2), KINDS[request["Auth-Protocol"]].port)

    def client(self, kind):
        client = Wire.to((self.env.ip(), kind.port))
        client.expect(kind.hello)
        return client

    def run(self, *command, status=0, text=None):
        """Runs a client to its end; returns what it printed."""
        done = subprocess.run([program(command[0]), *command[1:]], input=text, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60, env={**os.environ, "HOME": str(self.env.folder)})
        assert done.returncode == status, (command, done.returncode, done.stdout.decode(errors="replace"))
        return done.stdout

    def stop(self):
        """No token in the log, and no piece of a message that held one."""
        log = self.postern.log()
        for token in (GOOD, EXPIRED, REVOKED, LOST):
            assert token.decode() not in log, token
            for mechanism in MECHANISMS:
                assert message(mechanism, token).decode().rstrip("=")[-24:] not in log, (mechanism, token)


def each():
    for kind in KINDS.values():
        for mechanism in MECHANISMS:
            yield kind, mechanism


def still_serves(client, kind):
    client.send(kind.noop[0])
    client.expect(kind.noop[1])


# -- scripted clients

def test_a_token_lets_in_and_is_what_the_auth_server_is_asked_about(env):
    house = House(env)
    for kind, mechanism in each():
        client = house.client(kind)
        client.send(attempt(kind, mechanism))
        client.expect(kind.let_in)
        client = house.client(kind)
        client.send(kind.start + mechanism.lower().encode() + b"\r\n")
        client.expect(kind.ask)
        client.send(message(mechanism) + b"\r\n")
        client.expect(kind.let_in)
        for request in house.auth.requests[-2:]:
            assert request["Auth-Method"] == mechanism.lower()
            assert (request.decoded("Auth-User"), request.decoded("Auth-Pass")) == (b"joe", GOOD)


def test_a_token_may_say_alone_whose_it_is(env):
    house = House(env)
    house.auth.answer = lambda request: {**house.judge(request), "Auth-User": "joe"}
    for kind in KINDS.values():
        client = house.client(kind)
        client.send(attempt(kind, "OAUTHBEARER", user=b""))
        client.expect(kind.let_in)
        assert house.auth.requests[-1]["Auth-User"] == ""


def test_a_name_has_its_commas_and_equals_signs_escaped(env):
    house = House(env)
    for kind in KINDS.values():
        client = house.client(kind)
        client.send(attempt(kind, "OAUTHBEARER", user=b"j=2Co=3De\xc3\xa9"))
        client.expect(kind.let_in)
        assert house.auth.requests[-1].decoded("Auth-User") == b"j,o=e\xc3\xa9"


def test_the_auth_servers_challenge_comes_first_and_its_words_after_any_answer(env):
    house = House(env, "max_errors 1;")
    waiting = []
    for kind, mechanism in each():
        for answer in (b"AQ==", b"", b"*", b"\0 \r!", kind.noop[0].strip()):
            client = house.client(kind)
            client.send(attempt(kind, mechanism, EXPIRED))
            waiting.append((kind, client, answer))
    for kind, client, answer in waiting:        # all of them have waited a second by then
        client.expect(kind.ask + THEIRS)
        client.send(answer + b"\r\n")
        client.expect(kind.no + b"token expired")
        still_serves(client, kind)
        client.send(attempt(kind, "XOAUTH2"))
        client.expect(kind.let_in)


def test_without_a_challenge_of_the_auth_servers_ours_is_sent_and_the_end_waits_for_the_answer(env):
    house = House(env)
    for kind, mechanism in each():
        client = house.client(kind)
        client.send(attempt(kind, mechanism, REVOKED))
        client.expect(kind.ask + OURS[mechanism])
        client.send(b"AQ==\r\n" + kind.noop[0])
        client.expect(kind.no + b"token revoked")
        client.expect_end()


def test_a_challenge_that_cannot_be_sent_is_replaced(env):
    house = House(env)
    kind = KINDS["imap"]
    for challenge in ("{}", "e30", "e30=e30=", "QUJD" * 2000):
        house.auth.answer = {"Auth-Status": "no", "Auth-Error-SASL": challenge}
        client = house.client(kind)
        client.send(attempt(kind, "OAUTHBEARER", REVOKED))
        client.expect(kind.ask + OURS["OAUTHBEARER"])
        client.send(b"\r\n")
        client.expect(b"a NO no")


def test_a_token_that_nobody_could_judge_is_not_called_invalid(env):
    house = House(env)
    for kind, mechanism in each():
        client = house.client(kind)
        client.send(attempt(kind, mechanism, LOST))
        client.expect(kind.later)
        still_serves(client, kind)


def test_an_exchange_is_cancelled_before_the_token(env):
    house = House(env)
    for kind, mechanism in each():
        client = house.client(kind)
        client.send(kind.start + mechanism.encode() + b"\r\n*\r\n")
        client.expect(kind.ask, kind.cancelled)
        still_serves(client, kind)
    assert not house.auth.requests


def test_what_is_no_message_reaches_nobody(env):
    house = House(env, "max_errors 100;")
    bad = [b"user=joe", b"user=joe\1auth=Bearer a b\1\1", b"user=joe\1auth=Basic x\1\1", b"user=\1auth=Bearer x\1\1",
           b"user=j\r\noe\1auth=Bearer x\1\1", b"user=j\0oe\1auth=Bearer x\1\1", b"user=joe\1auth=Bearer x\1\1\1",
           b"p=tls-unique,,\1auth=Bearer x\1\1", b"n,a=j\noe,\1auth=Bearer x\1\1", b"n,a=,\1auth=Bearer x\1\1",
           b"n,,\1auth=Bearer x\1auth=Bearer y\1\1", b"\1"]
    for kind in KINDS.values():
        client = house.client(kind)
        for mechanism in MECHANISMS:
            for text in bad:
                client.send(kind.start + mechanism.encode() + b" " + b64(text) + b"\r\n")
                line = client.line()
                assert line.startswith((b"a BAD ", b"-ERR invalid", b"500 5.5.1", b"535 5.7.8")), (text, line)
        still_serves(client, kind)
    assert not house.auth.requests


def test_a_pipelined_failure_is_the_same_wherever_it_is_cut(env):
    house = House(env)
    for kind in KINDS.values():
        said = attempt(kind, "OAUTHBEARER", REVOKED, b"") + b"AQ==\r\n" + kind.noop[0]
        heard = kind.ask + OURS["OAUTHBEARER"] + b"\r\n" + kind.no + b"token revoked\r\n"
        clients = [house.client(kind) for _ in range(0, len(said) + 1, 3)]
        for i, client in enumerate(clients):
            client.send(said[:3 * i])
        time.sleep(0.2)         # both pieces must not arrive as one
        for i, client in enumerate(clients):
            with contextlib.suppress(OSError):      # it may have heard all of it
                client.send(said[3 * i:])
                client.finish()
        assert set(listen_to_all(clients)) == {heard}


def test_who_leaves_at_the_challenge_is_forgotten(env):
    house = House(env)
    for leave in (Wire.finish, Wire.close, Wire.reset):
        for kind, mechanism in each():
            client = house.client(kind)
            client.send(attempt(kind, mechanism, REVOKED))
            client.expect(kind.ask + OURS[mechanism])
            leave(client)
            if leave == Wire.finish:
                client.expect_end()
    log = house.postern
    eventually(lambda: log.log().count("-> dead") == log.log().count(" connected to "), "the end of all sessions")


def test_the_clock_runs_while_the_challenge_is_not_answered(env):
    house = House(env, "timeout 2s;")
    clients = [(kind, house.client(kind)) for kind in KINDS.values()]
    for kind, client in clients:
        client.send(attempt(kind, "XOAUTH2", REVOKED))
        client.expect(kind.ask + OURS["XOAUTH2"])
    for kind, client in clients:
        client.expect(kind.bye)
        client.expect_end()


def test_a_token_longer_than_the_buffer_is_refused_by_name(env):
    house = House(env)
    for kind in KINDS.values():
        for lead in (kind.start + b"XOAUTH2 ", kind.start + b"XOAUTH2\r\n"):
            client = house.client(kind)
            client.send(lead + message("XOAUTH2", GOOD * 1000))
            if lead.endswith(b"\n"):
                client.expect(kind.ask)
            client.expect(kind.too_long)
            client.expect_end()
    assert not house.auth.requests


def test_with_a_larger_buffer_a_token_may_be_long(env):
    token = (GOOD * 1000)[:12000]
    house = House(env, "imap_client_buffer 32k; pop3_client_buffer 32k; smtp_client_buffer 32k;")
    for kind, mechanism in each():
        client = house.client(kind)
        client.send(attempt(kind, mechanism, token))
        client.expect(kind.let_in)
        assert house.auth.requests[-1].decoded("Auth-Pass") == token


def test_tokens_wait_for_tls_where_it_has_to_be(env):
    authority = Authority(env)
    certificate, key = authority.issue("mail.example.com")
    house = House(env, f"ssl_certificate {certificate}; ssl_certificate_key {key}; starttls only;")
    lists = {"imap": b"a CAPABILITY\r\n", "pop3": b"CAPA\r\n", "smtp": b"EHLO me\r\n"}
    ends = {"imap": b"a OK completed", "pop3": b".", "smtp": b"250 "}
    orders = {"imap": (b"b STARTTLS\r\n", b"b OK completed"), "pop3": (b"STLS\r\n", b"+OK"),
              "smtp": (b"STARTTLS\r\n", b"220 2.0.0 Start TLS")}
    early = {"imap": b"a NO [PRIVACYREQUIRED] Must issue a STARTTLS command first",
             "pop3": b"-ERR Must issue a STLS command first",
             "smtp": b"538 5.7.11 Encryption required for requested authentication mechanism"}

    def offered(client, name):
        client.send(lists[name])
        text = b""
        while not text.splitlines() or not text.splitlines()[-1].startswith(ends[name]):
            text += client.line()
        return [m for m in MECHANISMS if m.encode() in text]

    for name, kind in KINDS.items():
        client = house.client(kind)
        assert offered(client, name) == []
        client.send(attempt(kind, "XOAUTH2"))
        client.expect(early[name])
        client.send(orders[name][0])
        client.expect(orders[name][1])
        client.secure(authority.trust())
        assert offered(client, name) == list(MECHANISMS)
        client.send(attempt(kind, "XOAUTH2"))
        client.expect(kind.let_in)
    assert len(house.auth.requests) == 3


# -- real ones

CURL = {
    "imap": ("imap://{ip}:143/", ()),
    "pop3": ("pop3://{ip}:110/", ("-X", "NOOP", "-I")),
    "smtp": ("smtp://{ip}:587/me", ("--mail-from", "a@example.com", "--mail-rcpt", "b@example.com", "-T", "-")),
}


def curl(house, name, token, status=0):
    url, options = CURL[name]
    return house.run("curl", "-sS", "--oauth2-bearer", token.decode(), "-u", "joe:", *options,
                     url.format(ip=house.env.ip()), status=status, text=b"Subject: x\r\n\r\ntext\r\n")


def let_curl_in_and_refuse_it(env, method):
    """curl takes the mechanism that it likes best of those that are offered."""
    house = House(env, methods=method)
    for name in KINDS:
        curl(house, name, GOOD)
        assert (house.auth.requests[-1]["Auth-Method"], house.auth.requests[-1]["Auth-Protocol"]) == (method, name)
        for token in (REVOKED, EXPIRED):
            curl(house, name, token, status=67)
    assert house.postern.log().count("client logged in") == 3
    assert len(house.auth.requests) == 9


def test_curl_speaks_xoauth2_and_understands_a_refusal(env):
    let_curl_in_and_refuse_it(env, "xoauth2")


def test_curl_speaks_oauthbearer_and_understands_a_refusal(env):
    let_curl_in_and_refuse_it(env, "oauthbearer")


def test_imaplib_is_let_in_and_understands_a_refusal(env):
    house = House(env)
    for token, status in ((GOOD, "OK"), (REVOKED, "NO")):
        challenges = []

        def say(challenge):
            challenges.append(challenge)
            return b"user=joe\1auth=Bearer " + token + b"\1\1" if len(challenges) == 1 else b""

        client = imaplib.IMAP4(env.ip(), 143, timeout=20)
        assert {"AUTH=XOAUTH2", "AUTH=OAUTHBEARER"} <= set(client.capabilities)
        try:
            assert client.authenticate("XOAUTH2", say)[0] == status
            assert challenges == [b""]
            client.logout()
        except imaplib.IMAP4.error as error:
            assert status == "NO" and "token revoked" in str(error), error
            assert challenges == [b"", b'{"status":"401","schemes":"bearer"}']


def test_smtplib_is_let_in_and_understands_a_refusal(env):
    house = House(env)
    for first in (True, False):
        for token, code in ((GOOD, 235), (REVOKED, 535)):
            client = smtplib.SMTP(env.ip(), 587, timeout=20)
            client.ehlo()
            assert client.esmtp_features["auth"].split() == ["PLAIN", "XOAUTH2", "OAUTHBEARER"]
            said = f"user=joe\1auth=Bearer {token.decode()}\1\1"
            try:
                got = client.auth("XOAUTH2", lambda challenge=None, said=said: "" if challenge else said,
                                  initial_response_ok=first)
                assert got[0] == code == 235
                client.quit()
            except smtplib.SMTPAuthenticationError as error:
                assert (error.smtp_code, code) == (535, 535) and b"token revoked" in error.smtp_error, error
                client.close()
