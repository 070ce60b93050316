"""Descriptors, memory and log have bounds, whatever is done to them for however long."""
import os
import pwd
import re
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from harness import Vitals, Wire, eventually, weight
from stage import Stage


def enter(stage):
    client = stage.client()
    client.send(b"a LOGIN joe secret\r\n")
    client.expect(b"a OK backend LOGIN")
    return client


def worker_of(stage):
    return Vitals(stage.postern.children()[0])


def served(client):
    client.send(b"x NOOP\r\n")
    client.expect(b"x OK backend NOOP")


def fill_the_house(stage, count):
    """Many logins at once, more than fit: those that are let in are served, the others wait outside."""
    clients = [stage.connect() for _ in range(count)]
    for client in clients:
        client.send(b"a LOGIN joe secret\r\n")
    return clients


def check_full_house(stage, worker, count, complaint):
    """With `count` logins at once: nobody who was let in is lost, nobody spins, all come in as others leave."""
    clients = fill_the_house(stage, count)
    lines = stage.postern.wait_log(complaint)
    worker.idles(1)
    assert len(lines) <= 3, lines
    waiting = list(clients)
    while waiting:                              # whoever is in leaves, and makes room
        client = waiting.pop(0)
        client.expect(re.compile(rb"\* OK .*"), b"a OK backend LOGIN")
        served(client)
        client.close()
    log = stage.postern.log()
    assert "[error]" not in log, [line for line in log.splitlines() if "[error]" in line][:3]
    late = enter(stage)
    served(late)
    late.close()


def test_descriptors_run_out_and_nobody_notices_who_is_in(env):
    for number in 60, 150:
        stage = Stage(env, "imap", main=f"worker_rlimit_nofile {number};", events="worker_connections 10000;")
        worker = worker_of(stage)
        check_full_house(stage, worker, number, "worker_connections are not enough")
        assert worker.descriptors() < number
        stage.postern.stop()
        for thing in env.started:
            thing.stop()
        env.started = []


def test_worker_connections_run_out_and_nobody_notices_who_is_in(env):
    stage = Stage(env, "imap", events="worker_connections 20;")
    check_full_house(stage, worker_of(stage), 40, "worker_connections are not enough")


def test_a_full_worker_leaves_its_clients_to_the_others(env):
    """Six seats a worker are three relays, or two and a login; none of seven waits while any has room."""
    stage = Stage(env, "imap", events="worker_connections 7;", workers=4)
    clients = [enter(stage) for _ in range(12)]
    for client in clients:
        served(client)


@weight(5)
def test_many_idle_sessions_cost_little_and_leave_nothing(env):
    """2,000 relays, then none."""
    stage = Stage(env, "imap", main="worker_rlimit_nofile 20000;", events="worker_connections 10000;", level="error")
    worker = worker_of(stage)
    enter(stage).close()
    time.sleep(0.2)
    before, memory = worker.descriptors(), worker.memory_kb()
    with ThreadPoolExecutor(16) as pool:
        clients = list(pool.map(lambda _: enter(stage), range(2000)))
    eventually(lambda: worker.descriptors() >= before + 4000, "2000 relays")
    worker.idles(1)
    worker.check_memory(memory, 2000 * 2)
    for client in clients:
        client.close()
    worker.wait_descriptors(before + 16)
    worker.idles(1)
    stage.postern.kill(signal.SIGQUIT)
    eventually(stage.postern.zombie, "the end of a worker that counts no session")


def flood(client, data, times):
    """Sends it so often and reads the answers meanwhile; returns how many bytes of them came."""
    def talk():
        try:
            for _ in range(times):
                client.send(data)
            client.finish()
        except OSError:
            pass
    talker = threading.Thread(target=talk)
    talker.start()
    count = 0
    while client.fill():
        count += len(client.held)
        client.held = b""
    talker.join()
    return count


def test_floods_before_login_find_bounded_memory(env):
    """Everything that a client may say for ever without logging in."""
    stage = Stage(env, "smtp", mail="max_errors 1000000; max_commands 1000000; timeout 60s;",
                  level="info")
    worker = worker_of(stage)
    before, log = worker.memory_kb(), len(stage.postern.log())
    floods = (b"EHLO me\r\n" * 2000, 100), (b"AUTH PLAIN\r\n*\r\n" * 1000, 10), (b"AUTH LOGIN\r\nam9l\r\n*\r\n" * 1000, 10), \
        (b"MAIL FROM:<a@b>\r\nRSET\r\n" * 1000, 20), (b"rubbish\r\n" * 1000, 20), (b"\r\n" * 1000, 20)
    for data, times in floods:
        client = stage.client()
        client.send(b"EHLO me\r\n")
        assert flood(client, data, times) >= data.count(b"\n") * times * 10 // 2, data[:20]
        worker.check_memory(before, 1024)
    said = sum(len(data) * times for data, times in floods)
    assert len(stage.postern.log()) - log < said / 100, "more log than a line a connection"
    stage.untouched()


def test_floods_before_an_imap_login_find_bounded_memory(env):
    stage = Stage(env, "imap", mail="max_errors 1000000; max_commands 1000000; timeout 60s;", level="info")
    worker = worker_of(stage)
    before, log = worker.memory_kb(), len(stage.postern.log())
    floods = (b"a NOOP\r\n" * 2000, 100), (b"a AUTHENTICATE PLAIN\r\n*\r\n" * 1000, 10), \
        (b"a ID (" + b"(" * 1000 + b"\r\n", 100), (b"a LOGIN {1}\r\nx {1}\r\ny z\r\n" * 1000, 10), \
        (b"(" * 10000, 10), (b"a STATUS {4000000000+}\r\n", 1), (b"a rubbish\r\n" * 1000, 20)
    for data, times in floods:
        client = stage.client()
        flood(client, data, times)
        worker.check_memory(before, 1024)
    said = sum(len(data) * times for data, times in floods)
    assert len(stage.postern.log()) - log < said / 100, "more log than a line a connection"
    stage.untouched()


def test_who_does_not_read_its_answers_is_not_read(env):
    stage = Stage(env, "imap", mail="max_commands 10000000; timeout 3s;", level="info")
    worker = worker_of(stage)
    before, client = worker.memory_kb(), stage.client()
    client.sock.settimeout(1)
    try:
        while True:
            client.send(b"a CAPABILITY\r\n" * 1000)
    except TimeoutError:
        pass
    worker.idles(0.5)
    worker.check_memory(before, 512)
    other = enter(stage)
    served(other)
    stage.postern.wait_log("client timed out while in auth state")
    client.close()


def test_a_client_cannot_write_more_log_than_it_sends(env):
    """Lines of its own making, one for each thing that is worth one, in single bytes' worth of commands."""
    stage = Stage(env, "imap", mail="max_errors 1000; max_commands 100000;", level="info")
    for data in b"a\r\n" * 900, b"\r\n" * 900, b"a LOGIN\r\n" * 900, b"a AUTHENTICATE\r\n" * 900, b"\0" * 3000, b"a LOGIN " + b"x" * 20000 + b"\r\n":
        before = len(stage.postern.log())
        client = stage.client()
        flood(client, data, 1)
        client.close()
        written = len(stage.postern.log()) - before
        assert written <= len(data) + 600, f"{data[:30]} wrote {written} bytes of log for {len(data)}"
    attempts, before = 900, stage.postern.log().count("\n")
    flood(stage.client(), b"a AUTHENTICATE PLAIN\r\n!\r\n" * attempts, 1)
    assert stage.postern.log().count("\n") - before <= attempts + 2, "more than a line a login attempt"
    stage.untouched()


def test_workers_share_the_sessions_evenly(env):
    """At a low rate, one by one, all of them kept."""
    stage = Stage(env, "imap", workers=4, level="info")
    clients = [stage.client() for _ in range(200)]
    workers = [Vitals(pid) for pid in stage.postern.children()]
    counts = [len(re.findall(rf" {w.pid}#\d+: \*\d+ client .* connected", stage.postern.log())) for w in workers]
    assert sum(counts) == 200 and max(counts) - min(counts) <= 10, counts
    for client in clients:
        client.close()


def test_idle_workers_are_idle(env):
    stage = Stage(env, "imap", workers=2)
    client = enter(stage)
    for pid in stage.postern.children() + [stage.postern.pid]:
        Vitals(pid).idles(0.5)
    client.close()


def test_a_flood_behind_the_end_harms_nobody(env):
    """Whoever goes on sending after the last word is cut off; others are served meanwhile."""
    stage = Stage(env, "imap")
    worker, other = worker_of(stage), enter(stage)
    before = worker.descriptors()
    floods = [stage.client() for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        done = [pool.submit(flood, client, b"x LOGOUT\r\n" * 6000, 200) for client in floods]
        while not all(job.done() for job in done):
            served(other)
    worker.wait_descriptors(before)


def limit_descriptors(pid, count):
    """From outside; only the process's own user may."""
    group = os.stat(f"/proc/{pid}").st_gid or pwd.getpwnam("nobody").pw_gid
    subprocess.run(["prlimit", f"--pid={pid}", f"--nofile={count}:500"], user="nobody", group=group, extra_groups=[],
                   check=True)


def test_a_kernel_without_descriptors_is_waited_for(env):
    """Who is in stays in; who knocks comes in when there are descriptors again; nobody spins meanwhile."""
    stage = Stage(env, "imap", main="worker_rlimit_nofile 500;")
    worker, inside = worker_of(stage), enter(stage)
    limit_descriptors(worker.pid, 3)
    waiting = [stage.connect() for _ in range(3)]
    stage.postern.wait_log(r"accept4\(\) failed .*Too many open files")
    worker.idles(1)
    served(inside)
    assert stage.postern.log().count("accept4() failed") <= 3
    limit_descriptors(worker.pid, 500)
    for client in waiting:
        client.expect(b"* OK IMAP4 ready")
        client.send(b"a LOGIN joe secret\r\n")
        client.expect(b"a OK backend LOGIN")


def test_answers_with_slow_bodies_do_not_use_up_the_descriptors(env):
    """A connection that still waits for an answer's body is given up before a client is turned away."""
    stage = Stage(env, "imap", main="worker_rlimit_nofile 100;", events="worker_connections 10000;")
    fields = "".join(f"{name}: {value}\r\n" for name, value in stage.yes.items())
    stage.auth.answer = f"HTTP/1.1 200 OK\r\n{fields}Content-Length: 10\r\n\r\n".encode()
    worker = worker_of(stage)
    clients = []
    for _ in range(25):
        clients.append(enter(stage))
    for client in clients:
        served(client)
    assert "[error]" not in stage.postern.log() and worker.descriptors() <= 100
