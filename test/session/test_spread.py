"""Sessions spread over the workers, also when they come so slowly that the same worker could take each."""
import collections
import os
import re
import signal
import time

from harness import Vitals, Wire, eventually, slow, weight
from stage import Stage

WORKERS, SESSIONS = 4, 400


def spread(env, a_second):
    """Logs in and stays, one after the other; each worker has its share of all, within a tenth."""
    stage = Stage(env, "imap", workers=WORKERS, level="info", events="worker_connections 4096;")
    began, held = time.monotonic(), []
    for i in range(SESSIONS):
        time.sleep(max(0, began + i / a_second - time.monotonic()))
        wire = Wire.to(stage.address())
        wire.send(b"a LOGIN joe x\r\n")
        wire.expect(b"* OK IMAP4 ready", b"a OK backend LOGIN")
        held.append(wire)
    lines = stage.postern.wait_log("client logged in", SESSIONS)
    shares = collections.Counter(re.search(r" (\d+)#", line)[1] for line in lines)
    share = SESSIONS / WORKERS
    assert len(shares) == WORKERS and all(abs(count - share) <= share / 10 for count in shares.values()), shares
    for wire in held:
        wire.close()
    eventually(lambda: stage.postern.log().count("proxied session done") == SESSIONS, "the end of all sessions")


@weight(9)
def test_sessions_that_come_one_by_one_are_spread(env):
    spread(env, 60)


@slow
@weight(45)
def test_ten_logins_a_second_are_spread(env):
    spread(env, 10)


def place(env, more=""):
    return env.postern(f"auth_http 127.0.0.1:9; server {{ listen {env.ip()}:2143; {more} protocol imap; }}",
                       workers=WORKERS, level="info", events="worker_connections 4096;")


def greeted(address):
    client = Wire.to(address)
    client.expect(b"* OK IMAP4 ready")
    return client


def ends(client):
    """What no two connections have in common: the ports of its ends."""
    return client.sock.getsockname()[1], client.sock.getpeername()[1]


def by_worker(postern, clients):
    """Who has let in each of these, by pid."""
    ours = {ends(client) for client in clients}
    found = re.findall(r" (\d+)#\d+: \*\d+ client \S+:(\d+) connected to \S+:(\d+)", postern.log())
    return {(int(port), int(door)): int(pid) for pid, port, door in found if (int(port), int(door)) in ours}


def check_spread(postern, clients):
    """Each worker has its share of these, within a tenth."""
    counts = collections.Counter(by_worker(postern, clients).values())
    share = len(clients) / WORKERS
    assert len(counts) == WORKERS and sum(counts.values()) == len(clients), counts
    assert all(abs(count - share) <= share / 10 for count in counts.values()), counts


def test_they_spread_over_all_doors_together(env):
    postern = place(env, f"listen {env.ip()}:2144; listen {env.ip()}:2145;")
    clients = [greeted((env.ip(), 2143 + number % 3)) for number in range(SESSIONS)]
    check_spread(postern, clients)


@slow
def test_who_has_lost_its_clients_gets_the_next_ones(env):
    postern = place(env)
    poor = postern.children()[0]
    vitals = Vitals(poor)
    empty = vitals.descriptors()
    clients = [greeted((env.ip(), 2143)) for _ in range(SESSIONS)]
    where = by_worker(postern, clients)
    leave = [client for client in clients if where[ends(client)] == poor]
    stay = [client for client in clients if client not in leave]
    for client in leave:
        client.close()
    vitals.wait_descriptors(empty)
    check_spread(postern, stay + [greeted((env.ip(), 2143)) for _ in range(len(leave))])


def test_who_is_far_ahead_lets_them_in_while_the_others_stand_still(env):
    postern = place(env)
    awake, *others = postern.children()
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    clients = [greeted((env.ip(), 2143)) for _ in range(100)]
    assert set(by_worker(postern, clients).values()) == {awake}
    for pid in others:
        os.kill(pid, signal.SIGCONT)
    clients += [greeted((env.ip(), 2143)) for _ in range(700)]
    check_spread(postern, clients)


def test_they_spread_over_the_workers_of_a_reload(env):
    postern = place(env)
    old = [greeted((env.ip(), 2143)) for _ in range(50)]
    postern.reload()
    check_spread(postern, [greeted((env.ip(), 2143)) for _ in range(200)])
    assert len(by_worker(postern, old)) == 50
