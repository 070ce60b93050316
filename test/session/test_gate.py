"""Unauthenticated SMTP: a session that Postern never stops looking at."""
import threading

from harness import Wire
from peers import AuthHttp, Listener, accept


def place(env, backend):
    """Auth server, backend and postern; returns a client that has been greeted."""
    env.keep(Listener((env.ip(2), 2000), backend))
    env.keep(AuthHttp((env.ip(3), 9000), accept(env.ip(2), 2000)))
    env.postern(f"""
    auth_http {env.ip(3)}:9000/auth;
    server {{ listen {env.ip()}:2125; protocol smtp; smtp_auth none; xclient off; }}
""")
    client = Wire.to((env.ip(), 2125))
    client.expect(b"220 mail.example.com ESMTP ready")
    return client


def test_a_large_message_gets_through_to_a_backend_that_reads_late(env):
    """All queues on the way are full before the backend reads; then nothing may stand still."""
    text = (b"the quick brown fox\r\n..\r\n" * 1000 + b"\n.x\r\n") * 1000 + b".\r\n"
    begin, got = threading.Event(), []

    def backend(wire):
        wire.send(b"220 backend\r\n")
        for answer in b"250 EHLO", b"250 MAIL", b"250 RCPT", b"354 go ahead":
            wire.line()
            wire.send(answer + b"\r\n")
        begin.wait(20)
        got.append(wire.take(len(text)))
        wire.send(b"250 queued\r\n")
        got.append(wire.line())
        wire.send(b"221 bye\r\n")

    client = place(env, backend)
    client.send(b"EHLO c\r\nMAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\n")
    client.expect(b"250 mail.example.com", b"250 2.0.0 OK", b"250 RCPT")
    client.send(b"DATA\r\n")
    client.expect(b"354 go ahead")
    sender = threading.Thread(target=client.send, args=(text + b"QUIT\r\n",))
    sender.start()
    sender.join(0.5)            # by then it is stuck, for nobody has read what it sent
    begin.set()
    client.expect(b"250 queued", b"221 bye")
    client.expect_end()
    sender.join()
    assert got == [text, b"QUIT\r\n"]


def test_a_refused_sender_gets_the_backends_words(env):
    """The backend refuses MAIL when it is said again; the client hears that in answer to its RCPT, and may go on."""
    def backend(wire):
        wire.send(b"220 backend\r\n")
        for answer in b"250 EHLO", b"552 5.3.4 too large":
            wire.line()
            wire.send(answer + b"\r\n")
        wire.rest()

    client = place(env, backend)
    client.send(b"MAIL FROM:<a@example> SIZE=9\r\nRCPT TO:<b@example>\r\nRSET\r\n")
    client.expect(b"250 2.0.0 OK", b"552 5.3.4 too large", b"250 2.0.0 OK")
