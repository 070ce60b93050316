"""Whose turn it is: what a client sends at the wrong moment waits, in order, and is carried out once."""
import os
import queue
import signal
import threading
import time

from peers import accept
from stage import Stage, wait_requests


class Single:
    """An auth server that cannot say, slowly, and remembers how many it was asked about at a time."""

    def __init__(self):
        self.lock, self.asking, self.most, self.users = threading.Lock(), 0, 0, []

    def answer(self, request):
        with self.lock:
            self.asking += 1
            self.most = max(self.most, self.asking)
            self.users.append(request["Auth-User"])
        time.sleep(0.003)
        with self.lock:
            self.asking -= 1
        return b"HTTP/1.1 500 broken\r\nContent-Length: 0\r\n\r\n"


def commands(count):
    """A LOGIN here and there among NOOPs, each with the answer that it gets."""
    for i in range(count):
        if i % 41 == 40:
            yield b"t%d LOGIN u%d secret\r\n" % (i, i), b"t%d NO [UNAVAILABLE] Temporary failure, try again later." % i
        else:
            yield b"t%d NOOP\r\n" % i, b"t%d OK completed" % i


def test_commands_that_come_while_one_is_judged_wait(env):
    """The client half pauses every few commands; bytes that arrive in the pause must not start it twice."""
    single = Single()
    stage = Stage(env, "imap", answer=single.answer, mail="max_commands 100000;")
    client = stage.client()
    said = list(commands(6000))

    def talk():
        for line, _ in said:
            client.send(line)
    talker = threading.Thread(target=talk)
    talker.start()
    for _, answer in said:
        client.expect(answer)
    talker.join()
    client.close()
    assert single.most == 1, f"{single.most} questions about one client at a time"
    assert single.users == [f"u{i}" for i in range(40, 6000, 41)]


def test_a_wait_is_not_got_around_by_leaving(env):
    """All guesses in one segment and the half-close behind them: only the first is judged."""
    stage = Stage(env, "imap", answer={"Auth-Status": "no", "Auth-Wait": "3"})
    assert stage.say(b"".join(b"a%d LOGIN joe x%d\r\n" % (i, i) for i in range(20))) == b"a0 NO no\r\n"
    assert len(stage.auth.requests) == 1


def test_our_delay_is_not_the_clients_time(env):
    """RFC 5321 has the client wait for the greeting: `timeout` begins with it."""
    stage = Stage(env, "smtp", {"": "smtp_greeting_delay 2s; timeout 2s;"},
                  answer={"Auth-Status": "no", "Auth-Wait": "1"})
    client = stage.client()
    client.send(b"AUTH PLAIN AGpvZQB4\r\n")
    client.expect(b"535 5.7.0 no")
    client.quiet(0.5)
    client.send(b"NOOP\r\n")
    client.expect(b"250 2.0.0 OK")


def test_a_name_that_is_found_for_a_client_that_is_gone_finds_nobody(env):
    """The look-up's answer waits for the next turn, in which the client's reset comes first."""
    stage = Stage(env, "imap", answer=lambda request: answers.get(), events="epoll_events 1;")
    answers = queue.Queue()
    worker, = stage.postern.children()
    client = stage.client()
    client.send(b"a LOGIN joe x\r\n")
    wait_requests(stage, 1)
    os.kill(worker, signal.SIGSTOP)
    answers.put(accept("localhost", 2000))
    time.sleep(0.2)             # the answer is there before the reset
    client.reset()
    os.kill(worker, signal.SIGCONT)
    stage.client().close()
    assert stage.postern.children() == [worker]
