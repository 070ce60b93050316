"""One session, whatever it sends and however fast, gets a share of its worker and no more."""
import os
import tempfile
import threading

from harness import Wire, eventually
from stage import Stage

FLOOD = 1 << 24


def flood(wire, data):
    """Sends without end and without a copy, so as fast as can be, in a thread, until the other side has had enough."""
    def talk():
        wire.sock.settimeout(None)
        with tempfile.TemporaryFile() as file:
            file.write(data * (FLOOD // len(data)))
            file.flush()
            try:
                while True:
                    os.sendfile(wire.sock.fileno(), file.fileno(), 0, FLOOD)
            except OSError:
                pass
    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    return thread


def greets_at_once(stage, patience=2):
    """Others are served meanwhile."""
    for _ in range(20):
        client = Wire.to(stage.address(), patience=patience)
        assert client.line(), "no greeting"
        client.close()


def test_a_refused_chunk_without_end_holds_up_nobody(env):
    """RFC 3030: its bytes are no commands; they are thrown away, by shares, until `timeout`."""
    stage = Stage(env, "smtp", mail="timeout 3s;")
    client = stage.client()
    client.send(b"BDAT 999999999999\r\n")
    thread = flood(client, b"x" * 1024)
    greets_at_once(stage)
    eventually(lambda: not thread.is_alive(), "the end of the client's time")


def test_a_backends_answer_without_end_holds_up_nobody(env):
    ends = []

    def backend(wire):
        wire.send(b"220 backend\r\n")
        wire.line()
        ends.append(flood(wire, b"250-and so on\r\n"))
        ends[0].join()
    stage = Stage(env, "smtp", backend=backend, mail="timeout 3s; smtp_auth none; xclient off;")
    client = stage.client()
    client.send(b"MAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\n")
    eventually(lambda: ends, "the backend's EHLO")
    greets_at_once(stage)
    client.expect(b"250 2.0.0 OK", b"451 4.3.2 Internal server error")


def test_bytes_for_a_backend_that_is_gone_hold_up_nobody(env):
    gone = threading.Event()

    def backend(wire):
        wire.send(b"* OK backend\r\n")
        tag = wire.line().split()[0]
        wire.send(tag + b" OK in\r\n")
        wire.line()
        wire.reset()
        gone.set()
    stage = Stage(env, "imap", backend=backend, mail="timeout 3s;")
    client = stage.client()
    client.send(b"a LOGIN joe secret\r\n")
    client.expect(b"a OK in")
    client.send(b"b NOOP\r\n")
    gone.wait(10)
    thread = flood(client, b"x" * 1024)
    greets_at_once(stage)
    eventually(lambda: not thread.is_alive(), "the end of the client's time")
