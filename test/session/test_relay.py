"""The relay: every byte arrives, memory is bounded, silence ends it, a half-close travels."""
import hashlib
import random
import threading
import time

from harness import Vitals, Wire, eventually
from stage import Stage

MEGABYTE = 1 << 20


def scripted(talk):
    """A backend that lets everybody in; then `talk` has the wire."""
    def backend(wire):
        wire.send(b"* OK backend\r\n")
        tag = wire.line().split()[0]
        wire.send(tag + b" OK in\r\n")
        talk(wire)
    return backend


def inside(env, talk, mail="", **options):
    """A stage, a client that is logged in, and its worker."""
    stage = Stage(env, "imap", backend=scripted(talk), mail=mail, **options)
    return stage, enter(stage), Vitals(stage.postern.children()[0])


def enter(stage):
    client = stage.client()
    client.send(b"a LOGIN joe secret\r\n")
    client.expect(b"a OK in")
    return client


def chunks(seed, total):
    """So many bytes that look random, in pieces of odd sizes."""
    rng = random.Random(seed)
    stock = rng.randbytes(MEGABYTE + 65537)
    while total > 0:
        size = min(total, rng.choice((1, 2, 7, 1460, 4096, 16384, 65535, 65536, 65537, 200001)))
        at = rng.randrange(MEGABYTE + 65537 - size)
        yield stock[at:at + size]
        total -= size


def pour(wire, seed, total):
    for piece in chunks(seed, total):
        wire.send(piece)
    wire.finish()


def digest(wire):
    """Of all that comes up to the end of file."""
    sum_, count = hashlib.sha256(wire.held), len(wire.held)
    wire.held = b""
    while wire.fill():
        sum_.update(wire.held)
        count += len(wire.held)
        wire.held = b""
    return count, sum_.hexdigest()


def expected(seed, total):
    sum_ = hashlib.sha256()
    for piece in chunks(seed, total):
        sum_.update(piece)
    return total, sum_.hexdigest()


def in_thread(call, *args):
    thread = threading.Thread(target=call, args=args)
    thread.start()
    return thread


def test_bulk_is_intact_both_ways_at_once(env):
    total, heard = 24 * MEGABYTE, []

    def talk(wire):
        pouring = in_thread(pour, wire, 1, total)
        heard.append(digest(wire))
        pouring.join()
    stage, client, _ = inside(env, talk)
    pouring = in_thread(pour, client, 2, total)
    assert digest(client) == expected(1, total)
    pouring.join()
    eventually(lambda: heard, "the backend's end of file")
    assert heard[0] == expected(2, total)
    client.close()
    stage.postern.wait_log("proxied session done")


def test_what_is_pipelined_behind_a_login_arrives_once_and_in_order(env):
    heard = []
    stage = Stage(env, "imap", backend=scripted(lambda wire: heard.append(digest(wire))))
    client = stage.client()
    said = b"".join(chunks(3, MEGABYTE))
    talking = in_thread(lambda: (client.send(b"a LOGIN joe secret\r\n" + said), client.finish()))
    client.expect(b"a OK in")
    client.expect_end()
    talking.join()
    eventually(lambda: heard, "the backend's end of file")
    assert heard[0] == expected(3, MEGABYTE)


def test_who_does_not_read_is_not_sent_to_memory(env):
    """Each way: the sender is stopped, the worker holds little and is idle, and all is there at last."""
    total, heard, go = 200 * MEGABYTE, [], threading.Event()

    def down(wire):
        in_thread(pour, wire, 4, total)
        go.wait(60)
        heard.append(digest(wire))
    stage, client, worker = inside(env, down)
    in_thread(pour, client, 5, total)
    before = worker.memory_kb()
    time.sleep(0.5)
    worker.idles()
    worker.check_memory(before, 2048)
    client.close()
    go.set()
    eventually(lambda: heard, "the backend's end")


def test_half_closed_by_the_client(env):
    """The backend hears the end, then sends all it has."""
    def talk(wire):
        assert wire.rest() == b"last words"
        pour(wire, 6, 3 * MEGABYTE)
    stage, client, _ = inside(env, talk)
    client.send(b"last words")
    client.finish()
    assert digest(client) == expected(6, 3 * MEGABYTE)
    stage.postern.wait_log("proxied session done")


def test_half_closed_by_the_backend(env):
    heard = []

    def talk(wire):
        wire.send(b"last words")
        wire.finish()
        heard.append(digest(wire))
    stage, client, _ = inside(env, talk)
    assert client.rest() == b"last words"
    pour(client, 7, 3 * MEGABYTE)
    eventually(lambda: heard, "the backend's end of file")
    assert heard[0] == expected(7, 3 * MEGABYTE)
    stage.postern.wait_log("proxied session done")


def beat(wire, line, times):
    for _ in range(times):
        time.sleep(0.4)
        wire.send(line)


def test_progress_either_way_keeps_a_session(env):
    """Far longer than proxy_timeout, with one side silent all the time."""
    def talk(wire):
        if wire.line() == b"push\r\n":
            beat(wire, b"* 1 EXISTS\r\n", 6)
        else:
            beat(wire, b"", 1)
            wire.held += wire.take(6 * 6)
        wire.send(b"* done\r\n")
        wire.rest()
    stage, pushed, _ = inside(env, talk, mail="proxy_timeout 1500ms;")
    pushing = enter(stage)
    pushed.send(b"push\r\n")
    pushing.send(b"pull\r\n")
    beat(pushing, b"NOOP\r\n", 6)
    pushed.expect(*[b"* 1 EXISTS"] * 6, b"* done")
    pushing.expect(b"* done")
    assert "timed out" not in stage.postern.log()


def test_silence_ends_a_session_with_a_goodbye_where_it_may_stand(env):
    """Not within a line, whoever has begun it."""
    def talk(wire):
        line = wire.line()
        if line == b"begin\r\n":
            wire.send(b"* 1 FETCH (BODY[] {1000}\r\nSubject: cut h")
        wire.rest()
    stage, idle, worker = inside(env, talk, mail="proxy_timeout 1500ms;")
    begun, half = enter(stage), enter(stage)
    idle.send(b"idle\r\n")
    begun.send(b"begin\r\n")
    half.send(b"idle\r\nx APPEND box {3")
    before = worker.descriptors() - 6
    assert idle.rest().startswith(b"* BYE ")
    assert begun.rest() == b"* 1 FETCH (BODY[] {1000}\r\nSubject: cut h"
    assert half.rest() == b""
    stage.postern.wait_log("client timed out while proxying", 3)
    worker.wait_descriptors(before)


def test_either_side_that_breaks_off_ends_the_session(env):
    """Closed or reset, silent or in the middle of a download: nothing is left, nobody spins."""
    def talk(wire):
        word = wire.line().strip()
        if word == b"reset":
            wire.reset()
        elif word == b"push":
            pour(wire, 8, 50 * MEGABYTE)
        elif word == b"hang":       # takes no notice of anything
            time.sleep(5)
        elif word != b"close":
            wire.rest()
    stage, first, worker = inside(env, talk, mail="timeout 1s;")
    before = worker.descriptors() - 2
    other = enter(stage)
    for word, fault in ((b"reset", None), (b"close", None), (b"push", "reset"), (b"push", "close"), (b"hang", "reset"),
                        (b"stay", "reset"), (b"stay", "close")):
        client = enter(stage)
        client.send(word + b"\r\n")
        if fault is None:
            client.expect_end()
            client.close()
        else:
            if word == b"push":
                client.take(1000)
            getattr(client, fault)()
    first.close()
    worker.wait_descriptors(before + 2)
    worker.idles(0.5)
    other.send(b"x\r\n")
    other.quiet(0.1)
    stage.postern.wait_log("proxied session done", 8)


def test_who_stops_in_the_relay_is_ended_and_the_log_says_who(env):
    """A client that reads no more, one that stays when its backend has left, a backend that ignores the end."""
    def talk(wire):
        word = wire.line().strip()
        if word == b"push":
            pour(wire, 9, 50 * MEGABYTE)
        elif word == b"finish":
            wire.finish()
            wire.rest()
        elif word == b"ignore":
            time.sleep(6)
    stage, deaf, worker = inside(env, talk, mail="proxy_timeout 2s; timeout 1s;")
    staying, ignored, ended = enter(stage), enter(stage), []
    before = worker.descriptors() - 6
    deaf.send(b"push\r\n")
    staying.send(b"finish\r\n")
    ignored.send(b"ignore\r\n")
    ignored.finish()
    in_thread(lambda: ended.append((staying.rest(), ignored.rest())))
    stage.postern.wait_log("client timed out while proxying", 2)
    stage.postern.wait_log("upstream timed out while proxying", 1)
    worker.wait_descriptors(before)
    eventually(lambda: ended, "both were closed")
    assert ended[0][0] in (b"", b"* BYE Disconnected for inactivity\r\n"), ended
    assert b"BYE" not in digest_tail(deaf)


def digest_tail(wire):
    """The last of what comes up to the end of file."""
    tail = b""
    while wire.fill():
        tail, wire.held = (tail + wire.held)[-200:], b""
    return tail


def test_many_who_do_not_read_cost_a_buffer_each(env):
    go = threading.Event()

    def talk(wire):
        go.wait(20)
        pour(wire, 10, 8 * MEGABYTE)
    stage, first, worker = inside(env, talk, events="worker_connections 1000;", level="error")
    clients = [first] + [enter(stage) for _ in range(39)]
    before = worker.memory_kb()
    go.set()
    time.sleep(0.5)
    worker.idles(0.5)
    worker.check_memory(before, 40 * 80)
    for client in clients[:3]:
        assert digest(client) == expected(10, 8 * MEGABYTE)
    for client in clients:
        client.close()
    worker.wait_descriptors(32)


def test_a_bulky_session_does_not_hold_up_the_others(env):
    def talk(wire):
        while line := wire.line():
            if line == b"push\r\n":
                pour(wire, 11, 100 * MEGABYTE)
                return
            wire.send(line)
    stage, other, _ = inside(env, talk)
    bulky, done = [enter(stage) for _ in range(3)], []
    for client in bulky:
        client.send(b"push\r\n")
        in_thread(lambda c: done.append(digest(c)), client)
    served = 0
    while len(done) < 3:
        other.send(b"ping\r\n")
        other.expect(b"ping")
        served += 1
    assert served > 10 and done == [expected(11, 100 * MEGABYTE)] * 3
