"""SMTP without authentication: the gate, from its first recipient to its end."""
import re
import time

from harness import Wire
from peers import AuthHttp, Listener, accept, smtp_backend


class Gate:
    """An auth server that judges recipients, a backend that keeps what it is told, and postern between them."""

    def __init__(self, env, script=smtp_backend, answer=None, more="", server="", **backend):
        self.env, self.commands, self.messages = env, [], []
        backend = {"on_command": self.commands.append, "on_message": self.messages.append, **backend}
        if script is not smtp_backend:
            backend = {}
        self.backend = env.keep(Listener((env.ip(2), 2000), lambda wire: script(wire, **backend)))
        self.auth = env.keep(AuthHttp((env.ip(3), 9000), answer or self.judge))
        self.postern = env.postern(f"""
    auth_http {env.ip(3)}:9000/auth;
    smtp_auth none;
    xclient off;
    {more}
    server {{ listen {env.ip()}:2525; protocol smtp; {server} }}
""")

    def judge(self, request):
        """bad@ is nobody, slow@ is nobody a second later, far@ lives elsewhere."""
        to = request["Auth-SMTP-To"]
        if "<bad@" in to:
            return {"Auth-Status": "no such user", "Auth-Error-Code": "550 5.1.1"}
        if "<slow@" in to:
            return {"Auth-Status": "not yet", "Auth-Error-Code": "450 4.2.1", "Auth-Wait": "1"}
        if "<long@" in to:
            return {"Auth-Status": "not yet", "Auth-Wait": "60"}
        return accept(self.env.ip(9 if "<far@" in to else 2), 2000)

    def connect(self):
        client = Wire.to((self.env.ip(), 2525))
        client.expect(b"220 mail.example.com ESMTP ready")
        return client

    def enter(self, *recipients):
        """A client in the gate: MAIL and one RCPT are accepted, or those given."""
        client = self.connect()
        client.send(b"EHLO me\r\nMAIL FROM:<a@b>\r\n")
        client.expect(b"250 mail.example.com", b"250 2.0.0 OK")
        for recipient in recipients or (b"joe@x",):
            client.send(b"RCPT TO:<" + recipient + b">\r\n")
            client.expect(b"250 2.1.5 backend takes it")
        return client

    def asked(self):
        return [request["Auth-SMTP-To"] for request in self.auth.requests]

    def seen(self):
        """The command lines that the backend got, without our EHLO."""
        return [line.rstrip(b"\r\n") for line in self.commands if line.rstrip(b"\r\n") != b"EHLO mail.example.com"]


DIALOGUE = (b"EHLO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<bad@x>\r\nRCPT TO:<one@x>\r\nRCPT TO:<bad@y>\r\n"
            b"RCPT TO:<far@x>\r\nRCPT TO:<two@x>\r\nDATA\r\nSubject: 1\r\n\r\n..dot\r\n.\r\n"
            b"MAIL FROM:<c@d> SIZE=9\r\nRCPT TO:<bad@z>\r\nRCPT TO:<three@x>\r\nBDAT 7\r\n\r\n.\r\n12"
            b"BDAT 0 LAST\r\nVRFY joe\r\nQUIT\r\n")

ANSWERS = [b"250 mail.example.com", b"250 2.0.0 OK", b"550 5.1.1 no such user",
           b"250 2.1.5 backend takes it", b"550 5.1.1 no such user",
           b"451 4.3.0 Recipient is served elsewhere, send to it alone",
           b"250 2.1.5 backend takes it", b"354 go ahead", b"250 2.0.0 queued",
           b"250 2.0.0 backend MAIL", b"550 5.1.1 no such user", b"250 2.1.5 backend takes it",
           b"250 2.0.0 chunk taken", b"250 2.0.0 chunk taken", b"500 5.5.1 Invalid command", b"221 2.0.0 backend bye"]

PASSED = [b"MAIL FROM:<a@b>", b"RCPT TO:<one@x>", b"RCPT TO:<two@x>", b"DATA",
          b"MAIL FROM:<c@d> SIZE=9", b"RCPT TO:<three@x>", b"BDAT 7", b"BDAT 0 LAST", b"QUIT"]

ASKED = [b"bad@x", b"one@x", b"bad@y", b"far@x", b"two@x", b"bad@z", b"three@x"]


def stay_open(request, env):
    """A no that lets the session go on even before the gate."""
    to = request["Auth-SMTP-To"]
    if "<bad@" in to:
        if request["Auth-Login-Attempt"] == "1":
            return {"Auth-Status": "no such user", "Auth-Error-Code": "550 5.1.1", "Auth-Wait": "1"}
        return {"Auth-Status": "no such user", "Auth-Error-Code": "550 5.1.1"}
    return accept(env.ip(9 if "<far@" in to else 2), 2000)


def have(gate, pieces, answers=ANSWERS, pause=0.0):
    """Has a dialogue in these pieces: the answers come in order, the texts arrive as they are."""
    texts = len(gate.messages)
    client = gate.connect()
    for piece in pieces:
        client.send(piece)
        if pause:
            time.sleep(pause)
    client.expect(*answers)
    client.expect_end()
    client.close()
    assert gate.messages[texts:] == [b"Subject: 1\r\n\r\n..dot\r\n.\r\n", b"\r\n.\r\n12", b""]


# The same without the recipient that is refused before the gate, which takes a second or ends the session.
QUICK = DIALOGUE.replace(b"RCPT TO:<bad@x>\r\n", b"")
QUICK_ANSWERS = ANSWERS[:2] + ANSWERS[3:]


def test_every_recipient_of_every_transaction_is_asked_about(env):
    gate = Gate(env, extensions=(b"CHUNKING",), answer=lambda request: stay_open(request, env))
    have(gate, [DIALOGUE])
    assert gate.seen() == PASSED
    assert gate.asked() == [f"RCPT TO:<{a.decode()}>" for a in ASKED]
    request = gate.auth.requests[-1]
    assert request["Auth-Method"] == "none" and request["Auth-User"] == "" and request["Auth-Pass"] == ""
    assert request["Auth-SMTP-Helo"] == "me" and request["Auth-SMTP-From"] == "MAIL FROM:<c@d> SIZE=9"
    assert request["Auth-Login-Attempt"] == "7" and request["Client-Host"] == "[UNAVAILABLE]"
    gate.postern.wait_log('client login failed: "no such user"', 3)
    gate.postern.wait_log("proxied session done")


def test_cut_by_the_client_at_every_offset(env):
    gate = Gate(env, extensions=(b"CHUNKING",))
    for at in range(1, len(QUICK)):
        have(gate, [QUICK[:at], QUICK[at:]], QUICK_ANSWERS, 0.001)
    have(gate, [QUICK[i:i + 1] for i in range(len(QUICK))], QUICK_ANSWERS)
    assert gate.seen() == PASSED * len(QUICK), "the backend was told something else"


class Dribble:
    """A wire whose words leave one byte at a time."""

    def __init__(self, wire):
        self.wire = wire

    def __getattr__(self, name):
        return getattr(self.wire, name)

    def send(self, data):
        for i in range(len(data)):
            self.wire.send(data[i:i + 1])
            time.sleep(0.0003)


def test_backend_speaks_one_byte_at_a_time(env):
    messages = []
    gate = Gate(env, lambda wire: smtp_backend(Dribble(wire), extensions=(b"CHUNKING",), on_message=messages.append))
    gate.messages = messages
    have(gate, [QUICK], QUICK_ANSWERS)


SMUGGLED = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r.\r", b"\r.\n"]


def test_a_dot_between_bare_line_ends_closes(env):
    gate = Gate(env)
    evil = b"MAIL FROM:<evil@b>\r\nRCPT TO:<joe@x>\r\nDATA\r\nevil\r\n.\r\n"
    for number, end in enumerate(SMUGGLED, 1):
        client = gate.enter()
        client.send(b"DATA\r\n")
        client.expect(b"354 go ahead")
        client.send(b"good" + end + evil)
        client.expect(b"554 5.6.0 Dot between bare line ends")
        client.expect_end()
        gate.postern.wait_log("client sent a dot between bare line ends in its message", number)
    assert b"MAIL FROM:<evil@b>" not in gate.seen() and not gate.messages
    assert len(gate.auth.requests) == len(SMUGGLED)


TEXTS = [
    b".\r\n",
    b"..\r\n.\r\n",
    b"a\r\n.b\r\n..\r\n...\r\n.\r\n",
    bytes(range(256)) + b"\r\n.\r\n",
    b"bare\nline\rends\n\r\n\r\r\n.\r\n",
    b"x" * 70000 + b"\r\n.\r\n",
    b"a.\r\n.\r\n",
]


def test_message_text_passes_byte_for_byte(env):
    gate = Gate(env)
    client = gate.enter()
    for text in TEXTS:
        client.send(b"DATA\r\n" + text + b"MAIL FROM:<a@b>\r\nRCPT TO:<joe@x>\r\n")
        client.expect(b"354 go ahead", b"250 2.0.0 queued", b"250 2.0.0 backend MAIL", b"250 2.1.5 backend takes it")
    client.close()
    assert gate.messages == TEXTS


def test_chunks_pass_by_their_count(env):
    gate = Gate(env, extensions=(b"CHUNKING",))
    chunks = [b"\r\n.\r\nQUIT\r\n", b"", b"\n.\n" + bytes(range(256)) * 300, b"last"]
    client = gate.enter()
    client.send(b"".join(b"BDAT %d%s\r\n%s" % (len(c), b" LAST" if c == b"last" else b"", c) for c in chunks))
    client.send(b"RCPT TO:<joe@x>\r\nNOOP\r\n")
    client.expect(*[b"250 2.0.0 chunk taken"] * 4, b"503 5.5.1 Bad sequence of commands", b"250 2.0.0 backend NOOP")
    client.close()
    assert gate.messages == chunks


def no_chunks(wire, seen):
    """A backend that has never heard of BDAT: its bytes would be commands."""
    wire.send(b"220 backend\r\n")
    while line := wire.line():
        seen.append(line.rstrip(b"\r\n"))
        known = line.split()[0] in (b"EHLO", b"MAIL", b"RCPT", b"NOOP")
        wire.send(b"250 2.1.5 backend takes it\r\n" if known else b"500 5.5.2 what?\r\n")


def test_no_chunk_goes_to_a_backend_that_does_not_count(env):
    seen = []
    gate = Gate(env, lambda wire: no_chunks(wire, seen))
    client = gate.enter()
    evil = b"MAIL FROM:<evil@b>\r\nXCLIENT ADDR=1.2.3.4\r\n"
    client.send(b"BDAT %d LAST\r\n%sNOOP\r\n" % (len(evil), evil))
    client.expect(b"500 5.5.2 what?", b"250 2.1.5 backend takes it")
    client.close()
    assert b"MAIL FROM:<evil@b>" not in seen and not [s for s in seen if s.startswith(b"XCLIENT")], seen


def test_chunks_before_a_recipient_are_no_commands(env):
    gate = Gate(env, extensions=(b"CHUNKING",))
    client = gate.connect()
    client.send(b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
    client.expect(b"500 5.5.1 Invalid command", b"250 2.0.0 OK")
    client.send(b"MAIL FROM:<a@b>\r\nRCPT TO:<joe@x>\r\nRSET\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
    client.expect(b"250 2.0.0 OK", b"250 2.1.5 backend takes it", b"250 2.0.0 backend RSET",
                  b"503 5.5.1 Bad sequence of commands", b"250 2.0.0 backend NOOP")
    client.close()
    assert not gate.messages


NEVER = [(b"XCLIENT ADDR=192.0.2.1 LOGIN=root", b"500 5.5.1 Invalid command"),
         (b"XFORWARD ADDR=192.0.2.1", b"500 5.5.1 Invalid command"),
         (b"VRFY root", b"500 5.5.1 Invalid command"),
         (b"EXPN root", b"500 5.5.1 Invalid command"),
         (b"ETRN x", b"500 5.5.1 Invalid command"),
         (b"", b"500 5.5.1 Invalid command"),
         (b"MAILX FROM:<a@b>", b"500 5.5.1 Invalid command"),
         (b" XCLIENT ADDR=192.0.2.1", b"500 5.5.1 Invalid command"),
         (b"NOOP\rXCLIENT ADDR=192.0.2.1", b"500 5.5.1 Invalid command"),
         (b"NOOP \rXCLIENT ADDR=192.0.2.1", b"501 5.5.4 Invalid argument"),
         (b"RCPT TO:<a@x>\0", b"501 5.5.4 Invalid argument"),
         (b"RCPT TO:<a\x01@x>", b"501 5.5.4 Invalid argument"),
         (b"RCPT TO:<a\x7f@x>", b"501 5.5.4 Invalid argument"),
         (b"EHLO a\tb", b"501 5.5.4 Invalid argument"),
         (b"EHLO", b"501 5.5.4 Invalid argument"),
         (b"RCPT", b"501 5.5.4 Invalid argument"),
         (b"BDAT x LAST", b"501 5.5.4 Invalid argument"),
         (b"BDAT -1", b"501 5.5.4 Invalid argument"),
         (b"BDAT 99999999999999999999", b"501 5.5.4 Invalid argument"),
         (b"AUTH PLAIN AGpvZQBzZWNyZXQ=", b"503 5.5.1 Bad sequence of commands"),
         (b"STARTTLS", b"503 5.5.1 Bad sequence of commands"),
         (b"MAIL FROM:<again@b>", b"503 5.5.1 Bad sequence of commands")]


def test_what_the_gate_does_not_know_never_reaches_the_backend(env):
    gate = Gate(env, more="max_errors 100;")
    client = gate.enter()
    for command, answer in NEVER:
        client.send(command + b"\r\n")
        client.expect(answer)
    client.send(b"NOOP\r\n")
    client.expect(b"250 2.0.0 backend NOOP")
    client.close()
    assert gate.seen() == [b"MAIL FROM:<a@b>", b"RCPT TO:<joe@x>", b"NOOP"]
    assert len(gate.auth.requests) == 1


def test_too_many_errors_close_without_a_word(env):
    gate = Gate(env, more="max_errors 2;")
    client = gate.enter()
    client.send(b"XCLIENT\r\n" * 3 + b"NOOP\r\n")
    client.expect(*[b"500 5.5.1 Invalid command"] * 2)
    client.expect_end()
    gate.postern.wait_log("client sent too many invalid commands while proxying, client: ")


def test_an_endless_command_closes(env):
    gate = Gate(env)
    client = gate.enter()
    client.send(b"RCPT TO:<" + b"a" * 200000)
    client.expect(b"500 5.5.1 Invalid command")
    client.expect_end()
    gate.postern.wait_log(r'client sent too long command "RCPT\.\.\."')


def test_hello_in_the_gate_begins_again_without_the_backend_seeing_it(env):
    gate = Gate(env)
    client = gate.enter()
    client.send(b"EHLO other\r\nRCPT TO:<joe@x>\r\nMAIL FROM:<b@c>\r\nRCPT TO:<joe@x>\r\nHELO third\r\n")
    client.expect(b"250 mail.example.com", b"503 5.5.1 Bad sequence of commands", b"250 2.0.0 backend MAIL",
                  b"250 2.1.5 backend takes it", b"250 mail.example.com")
    client.close()
    assert gate.seen() == [b"MAIL FROM:<a@b>", b"RCPT TO:<joe@x>", b"RSET", b"MAIL FROM:<b@c>", b"RCPT TO:<joe@x>",
                           b"RSET"]
    assert gate.auth.requests[-1]["Auth-SMTP-Helo"] == "other"


def test_reset_ends_the_transaction(env):
    gate = Gate(env)
    client = gate.enter()
    client.send(b"RSET\r\nRCPT TO:<joe@x>\r\nMAIL FROM:<n@b>\r\nRCPT TO:<two@x>\r\nDATA\r\nhi\r\n.\r\nRCPT TO:<x@x>\r\n")
    client.expect(b"250 2.0.0 backend RSET", b"503 5.5.1 Bad sequence of commands", b"250 2.0.0 backend MAIL",
                  b"250 2.1.5 backend takes it", b"354 go ahead", b"250 2.0.0 queued",
                  b"503 5.5.1 Bad sequence of commands")
    client.close()
    assert gate.asked() == ["RCPT TO:<joe@x>", "RCPT TO:<two@x>"]


def test_the_backends_refusal_of_the_first_recipient_is_passed_and_the_session_goes_on(env):
    replies = iter([b"550-5.1.1 nobody\r\n550 5.1.1 here", b"250 2.1.5 fine"])
    gate = Gate(env, rcpt=lambda line: next(replies))
    client = gate.connect()
    client.send(b"EHLO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<x@x>\r\nRCPT TO:<y@x>\r\nDATA\r\nhi\r\n.\r\n")
    client.expect(b"250 mail.example.com", b"250 2.0.0 OK", b"550-5.1.1 nobody", b"550 5.1.1 here", b"250 2.1.5 fine",
                  b"354 go ahead", b"250 2.0.0 queued")
    client.close()


def test_a_wait_in_the_gate_is_silence_and_then_the_refusal(env):
    gate = Gate(env)
    client = gate.enter()
    client.send(b"RCPT TO:<slow@x>\r\nNOOP\r\n")
    client.quiet(0.5)
    client.expect(b"450 4.2.1 not yet", b"250 2.0.0 backend NOOP")
    client.close()
    assert gate.seen()[-1] == b"NOOP"


def test_who_leaves_during_a_wait_in_the_gate_is_noticed(env):
    gate = Gate(env)
    for leave in (Wire.finish, Wire.close, Wire.reset):
        client = gate.enter()
        client.send(b"RCPT TO:<long@x>\r\n")
        gate.postern.wait_log('client login failed: "not yet"', len(gate.auth.requests) // 2)
        leave(client)
    gate.postern.wait_log("proxied session done", 3)


def smtp_like(wire, commands):
    wire.send(b"220 backend\r\n")
    for _ in range(commands):
        wire.line()
        wire.send(b"250 2.1.5 backend takes it\r\n")


def dead_at(wire, verb, how):
    wire.send(b"220 backend\r\n")
    while line := wire.line():
        if line.upper().startswith(verb):
            how(wire)
            return
        wire.send(b"250 2.1.5 backend takes it\r\n")


def test_an_auth_server_that_fails_in_the_gate_is_a_temporary_refusal(env):
    bad = [b"HTTP/1.1 500 no\r\nAuth-Status: OK\r\n\r\n", b"junk\r\n\r\n", None, {"Auth-Server": "127.0.0.1"}]

    def answer(request):
        to = request["Auth-SMTP-To"]
        return bad[int(to[-2])] if "<fail" in to else accept(env.ip(2), 2000)
    gate = Gate(env, answer=answer)
    client = gate.enter()
    for number in range(len(bad)):
        client.send(b"RCPT TO:<fail@%d>\r\n" % number)
        client.expect(b"451 4.3.2 Internal server error")
    client.send(b"RCPT TO:<two@x>\r\nQUIT\r\n")
    client.expect(b"250 2.1.5 backend takes it", b"221 2.0.0 backend bye")
    client.expect_end()
    assert gate.seen() == [b"MAIL FROM:<a@b>", b"RCPT TO:<joe@x>", b"RCPT TO:<two@x>", b"QUIT"]
    gate.postern.wait_log(r"\[error\].* auth http server .*while proxying", len(bad))


def test_two_sessions_do_not_wait_for_each_other(env):
    gate = Gate(env)
    waiting, other = gate.enter(), gate.enter()
    waiting.send(b"RCPT TO:<slow@x>\r\n")
    gate.postern.wait_log('client login failed: "not yet"')
    other.send(b"RCPT TO:<two@x>\r\nQUIT\r\n")
    other.expect(b"250 2.1.5 backend takes it", b"221 2.0.0 backend bye")
    waiting.expect(b"450 4.2.1 not yet")


def test_a_backend_that_speaks_unasked_is_not_believed(env):
    """A reply too many would shift all that follow: the client could take a refusal for a yes."""
    def chatty(wire):
        smtp_like(wire, 3)
        wire.line()
        wire.send(b"250 noop\r\n250 and more\r\n")
        wire.rest()
    gate = Gate(env, chatty)
    client = gate.enter()
    client.send(b"NOOP\r\n")
    client.expect(b"250 noop", b"421 4.3.0 mail.example.com Internal server error")
    client.expect_end()
    gate.postern.wait_log(r'\[error\].* upstream sent invalid response: "250 and more" while proxying')


def test_replies_of_a_backend_that_cannot_be_understood(env):
    current = []
    gate = Gate(env, lambda wire: dead_at(wire, b"NOOP", lambda w: (w.send(current[0]), w.rest())))
    for answer, logged in ((b"999 x\r\n", 'invalid response: "999 x"'), (b"\r\n", 'invalid response: ""'),
                           (b"25\r\n", 'invalid response: "25"'), (b"250x\r\n", 'invalid response: "250x"'),
                           (b"250 a\0b\r\n", "invalid response: "), (b"250 a\rb\r\n", "invalid response: "),
                           (b"250 " + b"x" * 70000, "too long response line: ")):
        current[:] = [answer]
        client = gate.enter()
        client.send(b"NOOP\r\n")
        client.expect(b"421 4.3.0 mail.example.com Internal server error")
        client.expect_end()
        gate.postern.wait_log(r"\[error\].* upstream sent " + re.escape(logged))


def test_a_thousand_recipients_in_one_segment(env):
    gate = Gate(env)
    client = gate.enter()
    count = 1000
    client.send(b"".join(b"RCPT TO:<%s@%d>\r\n" % (b"u" if i % 3 else b"bad", i) for i in range(count)) + b"QUIT\r\n")
    for i in range(count):
        client.expect(b"250 2.1.5 backend takes it" if i % 3 else b"550 5.1.1 no such user")
    client.expect(b"221 2.0.0 backend bye")
    assert len(gate.auth.requests) == count + 1
    assert gate.auth.accepted == 2      # a connection serves a thousand requests (auth_http_keepalive_requests)
