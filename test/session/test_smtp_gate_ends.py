"""smtp_auth none: how a gated session ends, and what silence, death and slowness of either side do to it."""
import hashlib
import re
import socket
import threading
import time

from harness import Vitals, Wire, eventually
from test_smtp_gate import Gate, dead_at, smtp_like


def dies(wire, how):
    """Takes a recipient and a part of a message, then goes."""
    smtp_like(wire, 3)
    wire.line()
    wire.send(b"354 go ahead\r\n")
    wire.take(2000)
    how(wire)


DEATHS = [
    (Wire.close, b"421 4.3.0 mail.example.com Internal server error", "upstream prematurely closed connection"),
    (Wire.reset, b"421 4.3.0 mail.example.com Internal server error", "upstream prematurely closed connection"),
    (Wire.finish, b"421 4.3.0 mail.example.com Internal server error", "upstream prematurely closed connection"),
    (lambda wire: wire.send(b"421 4.3.0 disk full\r\n"), b"421 4.3.0 disk full",
     'upstream sent invalid response: "421 4.3.0 disk full"'),
    (lambda wire: wire.send(b"garbage\r\n"), b"421 4.3.0 mail.example.com Internal server error",
     'upstream sent invalid response: "garbage"'),
]


def test_a_backend_that_dies_in_a_message_is_said(env):
    current = []
    gate = Gate(env, lambda wire: dies(wire, current[0]))
    for how, said, logged in DEATHS:
        current[:] = [how]
        client = gate.enter()
        client.send(b"DATA\r\n")
        client.expect(b"354 go ahead")
        client.send(b"x" * 3000)
        client.expect(said)
        client.expect_end()
        client.close()
        gate.postern.wait_log(re.escape(logged) + " while proxying, client: .*, upstream: ")
    gate.postern.wait_log(r"\[error\].* upstream prematurely closed connection", 3)
    gate.postern.wait_log("proxied session done", len(DEATHS))


def test_a_backend_that_dies_while_the_client_is_sending_much(env):
    gate = Gate(env, lambda wire: dies(wire, Wire.reset))
    for number in range(5):
        client = gate.enter()
        client.send(b"DATA\r\n")
        client.expect(b"354 go ahead")
        try:
            for _ in range(40):
                client.send(b"x" * 60000 + b"\r\n")
        except OSError:
            pass
        client.expect(b"421 4.3.0 mail.example.com Internal server error")
        client.close()
        gate.postern.wait_log("upstream prematurely closed connection", number + 1)


def test_the_backends_own_goodbye_is_passed(env):
    gate = Gate(env, lambda wire: (smtp_like(wire, 3), wire.send(b"421 4.3.2 backend goes\r\n"), wire.close()))
    client = gate.enter()
    client.expect(b"421 4.3.2 backend goes")
    client.expect_end()
    gate.postern.wait_log(r'\[info\].* upstream sent invalid response: "421 4.3.2 backend goes" while proxying')


def test_a_backend_that_dies_at_a_command_is_said(env):
    current = []
    gate = Gate(env, lambda wire: dead_at(wire, b"NOOP", current[0]))
    for number, how in enumerate((Wire.close, Wire.reset, Wire.finish), 1):
        current[:] = [how]
        client = gate.enter()
        client.send(b"NOOP\r\n")
        client.expect(b"421 4.3.0 mail.example.com Internal server error")
        client.expect_end()
        gate.postern.wait_log("upstream prematurely closed connection while proxying, client: .*upstream: ", number)


def test_a_client_that_leaves_in_a_message_sends_no_end_of_it(env):
    texts = []

    def keep_raw(wire):
        smtp_like(wire, 3)
        wire.line()
        wire.send(b"354 go ahead\r\n")
        texts.append(wire.rest())
    gate = Gate(env, keep_raw)
    for number, leave in enumerate((Wire.finish, Wire.close, Wire.reset), 1):
        client = gate.enter()
        client.send(b"DATA\r\n")
        client.expect(b"354 go ahead")
        client.send(b"half a message\r\n")
        time.sleep(0.05)
        leave(client)
        eventually(lambda: len(texts) == number, "the backend sees the end")
        assert texts[-1] == b"half a message\r\n"


def test_a_half_closed_client_still_gets_its_answers(env):
    gate = Gate(env)
    client = gate.enter()
    client.send(b"DATA\r\nhi\r\n.\r\nMAIL FROM:<a@b>\r\nRCPT TO:<bad@x>\r\nNOOP\r\n")
    client.finish()
    client.expect(b"354 go ahead", b"250 2.0.0 queued", b"250 2.0.0 backend MAIL", b"550 5.1.1 no such user",
                  b"250 2.0.0 backend NOOP")
    client.expect_end()


def gated_reader(wire, go, digests):
    """Takes a recipient, then reads nothing until it may."""
    wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 131072)
    smtp_like(wire, 3)
    wire.line()
    wire.send(b"354 go ahead\r\n")
    go.wait(20)
    digest, tail, count = hashlib.sha256(wire.held), wire.held, len(wire.held)
    while not tail.endswith(b"\r\n.\r\n"):
        more = wire.sock.recv(65536)
        if not more:
            return
        digest.update(more)
        count += len(more)
        tail = (tail + more)[-5:]
    digests.append((count, digest.hexdigest()))
    wire.send(b"250 2.0.0 queued\r\n")
    wire.rest()


def test_a_backend_that_does_not_read_stops_the_client(env):
    go, digests = threading.Event(), []
    gate = Gate(env, lambda wire: gated_reader(wire, go, digests))
    client = gate.enter()
    client.send(b"DATA\r\n")
    client.expect(b"354 go ahead")
    worker = Vitals(gate.postern.children()[0])
    before = worker.memory_kb()
    block = (b"0123456789abcdef" * 64)[:-2] + b"\r\n"
    text = block * (24 << 10) + b".\r\n"
    sender = threading.Thread(target=client.send, args=(text,), daemon=True)
    sender.start()
    sender.join(1)
    assert sender.is_alive(), "24 MB went nowhere"
    worker.check_memory(before, 2048)
    go.set()
    client.expect(b"250 2.0.0 queued")
    sender.join(20)
    assert digests == [(len(text), hashlib.sha256(text).hexdigest())]


def test_a_slow_backend_gets_it_all(env):
    """It takes a little at a time: every kind of stop and go between the two sockets."""
    digests = []

    def sips(wire):
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 131072)
        smtp_like(wire, 3)
        wire.line()
        wire.send(b"354 go ahead\r\n")
        digest, tail, count = hashlib.sha256(), b"", 0
        while not tail.endswith(b"\r\n.\r\n"):
            more = wire.sock.recv(16384)
            if count % 7 == 0:
                time.sleep(0.001)
            digest.update(more)
            count += len(more)
            tail = (tail + more)[-5:]
        digests.append((count, digest.hexdigest()))
        wire.send(b"250 2.0.0 queued\r\n")
        wire.rest()
    gate = Gate(env, sips)
    client = gate.enter()
    client.send(b"DATA\r\n")
    client.expect(b"354 go ahead")
    text = b"".join(b"%d %s\r\n" % (i, b"y" * (i % 900)) for i in range(9000)) + b".\r\n"
    client.send(text)
    client.expect(b"250 2.0.0 queued")
    assert digests == [(len(text), hashlib.sha256(text).hexdigest())]


def test_a_client_that_reads_no_answers_is_not_read(env):
    gate = Gate(env, more="timeout 20s;")
    client = gate.enter()
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    worker = Vitals(gate.postern.children()[0])
    before = worker.memory_kb()
    command, count = b"NOOP " + b"n" * 3000 + b"\r\n", 4000
    sender = threading.Thread(target=client.send, args=(command * count,), daemon=True)
    sender.start()
    sender.join(0.5)
    worker.check_memory(before, 2048)
    client.expect(*[b"250 2.0.0 backend NOOP"] * count)
    sender.join(20)


def test_silence_in_the_gate_has_an_end(env):
    gate = Gate(env, more="proxy_timeout 1s;")
    client = gate.enter()
    client.expect(b"421 4.4.2 mail.example.com Disconnected for inactivity")
    client.expect_end()
    gate.postern.wait_log("client timed out while proxying")


def test_a_silent_backend_in_the_gate_has_an_end(env):
    gate = Gate(env, lambda wire: (smtp_like(wire, 3), wire.rest()), more="proxy_timeout 1s;")
    client = gate.enter()
    client.send(b"NOOP\r\n")
    client.expect(b"421 4.4.2 mail.example.com Disconnected for inactivity")
    client.expect_end()
    gate.postern.wait_log("upstream timed out while proxying")


def test_shutdown_speaks_between_answers(env):
    gate = Gate(env)
    client = gate.enter()
    gate.postern.stop()
    client.expect(b"421 4.3.2 mail.example.com Server is shutting down")
    client.expect_end()
