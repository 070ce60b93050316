"""First words: what comes with the end of a handshake, and what came in the clear before it."""
import ssl

from certs import Authority
from harness import Wire
from stage import SECRET, Stage, b64
from test_tls import WORDS, settings


def one_of_each(env, more, listen=""):
    """A server for each protocol, at 2143 and up; returns the stage and a context that trusts it."""
    ca = Authority(env)
    pair = ca.issue("mail.example.com")
    raw = "".join(f"server {{ listen {env.ip()}:{2143 + i} {listen}; protocol {p}; {settings(pair, more)} }}"
                  for i, p in enumerate(WORDS))
    return Stage(env, "imap", raw=raw), ca.trust()


def speak_with_the_handshake(wire, context, said):
    """Sends `said` in one segment with the last flight of the handshake; returns all that is heard."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="mail.example.com")
    heard, done = b"", False
    while True:
        try:
            if not done:
                tls.do_handshake()
                tls.write(said)
                wire.send(outgoing.read())
                done = True
            piece = tls.read(65536)
            if not piece:
                return heard
            heard += piece
        except ssl.SSLWantReadError:
            wire.send(outgoing.read())
            if not wire.fill():
                return heard
            incoming.write(wire.held)
            wire.held = b""


def test_words_that_come_with_the_end_of_the_handshake_are_heard(env):
    stage, context = one_of_each(env, "timeout 10s;", listen="ssl")
    for i, (said, heard) in enumerate((
            (b"a NOOP\r\nz LOGOUT\r\n", b"* OK IMAP4 ready\r\na OK completed\r\n* BYE\r\nz OK completed\r\n"),
            (b"NOOP\r\nQUIT\r\n", b"+OK POP3 ready\r\n+OK\r\n+OK\r\n"),
            (b"NOOP\r\nQUIT\r\n", b"220 mail.example.com ESMTP ready\r\n250 2.0.0 OK\r\n221 2.0.0 Bye\r\n"))):
        got = speak_with_the_handshake(Wire.to((env.ip(), 2143 + i)), context, said)
        assert got == heard, got
    assert "timed out" not in stage.postern.log()


def test_a_login_that_comes_with_the_end_of_the_handshake_and_all_behind_it(env):
    stage, context = one_of_each(env, "", listen="ssl")
    count = 2000
    said = b"a LOGIN joe " + SECRET + b"\r\n" + b"".join(b"n%d NOOP\r\n" % i for i in range(count)) + b"z LOGOUT\r\n"
    got = speak_with_the_handshake(stage.connect(), context, said)
    assert got.count(b"OK backend NOOP") == count and got.endswith(b"z OK bye\r\n"), got[-200:]


def test_an_early_talker_inside_tls_is_turned_away(env):
    stage, context = one_of_each(env, "smtp_greeting_delay 2s;", listen="ssl")
    got = speak_with_the_handshake(Wire.to((env.ip(), 2145)), context, b"EHLO me\r\n")
    assert got == b"503 5.5.0 Improper use of SMTP command pipelining\r\n", got
    stage.postern.wait_log("client was rejected before greeting")
