"""Descriptors are few, in a process or in the whole system: what is begun goes on, who knocks waits, nobody spins."""
import re
import resource
import socket
import subprocess
import time

from harness import Vitals, Wire, eventually
from stage import Stage
from test_limits import check_full_house, enter, fill_the_house, limit_descriptors, served, worker_of
from test_listen import sockets


class Faults:
    """strace makes system calls of a process fail: `call:error=NAME:when=1..3` the first three.

    It puts another, harmless call in their place: one that is none would end a process in a sandbox.
    """

    def __init__(self, env, pid, *faults):
        self.out = env.path("strace.log")
        calls = ",".join(fault.split(":")[0] for fault in faults)
        said = env.path("strace.err")
        self.process = subprocess.Popen(["strace", "-o", self.out, "-p", str(pid), "-e", f"trace={calls}",
                                         *[word for fault in faults for word in ("-e", f"inject={fault}:syscall=getpid")]],
                                        stderr=open(said, "wb"), stdin=subprocess.DEVNULL)
        env.keep(self)
        eventually(lambda: "attached" in said.read_text(), "strace has the process")

    def check(self, count):
        """So many have failed, and no more."""
        injected = lambda: self.out.read_text().count("(INJECTED)")
        eventually(lambda: injected() >= count, f"{count} calls fail")
        assert injected() == count, self.out.read_text()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)


def file_stage(env, **options):
    """Users are in a file, so that helpers are asked: each question takes a socket along."""
    users = env.write("users", "joe:{PLAIN}secret\n", 0o600)
    return Stage(env, "imap", {"": f"auth_file {users}; proxy_pass {env.ip(2)}:2000;"}, **options)


def test_questions_to_helpers_are_counted_with_the_rest(env):
    stage = file_stage(env, main="worker_rlimit_nofile 70;", events="worker_connections 10000;")
    worker = worker_of(stage)
    check_full_house(stage, worker, 70, "worker_connections are not enough")
    assert worker.descriptors() < 70


def test_the_limit_that_it_was_started_with_counts(env):
    """Without worker_rlimit_nofile, as a shell or a supervisor has set it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (90, hard))
    stage = Stage(env, "imap", events="worker_connections 10000;")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    worker = worker_of(stage)
    check_full_house(stage, worker, 90, "worker_connections are not enough")
    assert worker.descriptors() < 90


def test_nobody_comes_in_whose_login_would_lack_a_descriptor(env):
    """Those that are in may be in the middle of their logins, all at once, and lack nothing."""
    stage = Stage(env, "imap", main="worker_rlimit_nofile 64;", events="worker_connections 10000;")
    clients = [stage.connect() for _ in range(64)]
    stage.postern.wait_log("worker_connections are not enough")
    accepted = stage.postern.log().count("connected to")
    for client in clients[:accepted]:
        client.expect(b"* OK IMAP4 ready")
        client.send(b"a LOGIN joe secret\r\n")
    for client in clients[:accepted]:
        client.expect(b"a OK backend LOGIN")
    assert "[error]" not in stage.postern.log() and "Too many open files" not in stage.postern.log()


def test_a_question_that_finds_no_socket_waits_for_one(env):
    """EMFILE of the process, ENFILE of the system, and what the kernel says of too many on their way."""
    for fault in "socketpair:error=EMFILE:when=1..5", "socketpair:error=ENFILE:when=1..5", \
            "sendmsg:error=ETOOMANYREFS:when=1..5", "sendmsg:error=EAGAIN:when=1..5":
        stage = file_stage(env)
        client = stage.client()
        faults = Faults(env, worker_of(stage).pid, fault)
        client.send(b"a LOGIN joe secret\r\n")
        client.expect(b"a OK backend LOGIN")
        faults.check(5)
        assert "[error]" not in stage.postern.log()
        env.close()


def test_a_login_that_finds_no_socket_may_be_tried_again(env):
    """Of a connection to the auth server, and of one to the backend: the dialogue goes on."""
    for which in 1, 2:
        stage = Stage(env, "imap")
        client = stage.client()
        faults = Faults(env, worker_of(stage).pid, f"socket:error=ENFILE:when={which}")
        client.send(b"a LOGIN joe secret\r\n")
        client.expect(re.compile(rb"a NO \[UNAVAILABLE\] .*"))
        client.send(b"a LOGIN joe secret\r\n")
        client.expect(b"a OK backend LOGIN")
        faults.check(1)
        stage.postern.wait_log(r"socket\(\) failed|Too many open files in system")
        env.close()


def test_a_system_without_descriptors_is_waited_for(env):
    """Each look finds none, twice a second at most; then all who knocked come in."""
    stage = Stage(env, "imap")
    worker, inside = worker_of(stage), enter(stage)
    begun = time.monotonic()
    faults = Faults(env, worker.pid, "accept4:error=ENFILE:when=1..4")
    waiting = [stage.connect() for _ in range(3)]
    stage.postern.wait_log(r"\[alert\] .*accept4\(\) failed .*Too many open files in system.*accepting pauses")
    served(inside)
    for client in waiting:
        client.expect(b"* OK IMAP4 ready")
    faults.check(4)
    passed = time.monotonic() - begun
    assert passed > 1.5, "it looked more often than twice a second"
    assert stage.postern.log().count("accept4() failed") <= passed + 1, "more than a line a second"


def test_one_that_gives_up_before_it_is_accepted_harms_nobody(env):
    """What accept4() says of one client is not said of the next."""
    stage = Stage(env, "imap")
    for error in "ECONNABORTED", "EPROTO", "EPERM", "EINTR":
        faults = Faults(env, worker_of(stage).pid, f"accept4:error={error}:when=1..3")
        stage.client().close()
        faults.check(3)
        faults.stop()
    assert "accept4" not in stage.postern.log()


def test_a_listening_socket_that_somebody_shuts_down_is_given_up(env):
    """It is shared with whoever has inherited it. It would say that something is there without end."""
    stage = Stage(env, "imap", {"a": "", "b": ""}, workers=2)
    inside = enter(stage)
    workers = [Vitals(pid) for pid in stage.postern.children()]
    sockets(workers[0].pid)[f"{env.ip()}:2144"].shutdown(socket.SHUT_RDWR)
    stage.postern.wait_log(rf"\[alert\] .*accept4\(\) on {env.ip()}:2144 failed .*nobody comes in there any more", 2)
    for worker in workers:
        worker.idles(0.5)
    served(inside)
    for _ in range(8):
        stage.client("a").close()
    assert stage.postern.log().count("nobody comes in there") == 2
    stage.postern.reload()
    stage.client("a").close()


def test_a_full_house_sleeps(env):
    """Whatever knocks: it is not woken by it, and runs for nobody."""
    stage = Stage(env, "imap", events="worker_connections 12;", workers=2)
    workers = [Vitals(pid) for pid in stage.postern.children()]
    clients = fill_the_house(stage, 30)
    stage.postern.wait_log("worker_connections are not enough", 2)
    for worker in workers:
        worker.idles(0.5)
    before = [worker.wakeups() for worker in workers]
    knocking = [stage.connect() for _ in range(100)]
    time.sleep(0.5)
    after = [worker.wakeups() for worker in workers]
    assert max(b - a for a, b in zip(before, after)) <= 10, (before, after)
    for client in clients + knocking:
        client.close()
    eventually(lambda: Wire.to(stage.address()).line(), "who comes later is served")


def test_a_process_without_descriptors_looks_twice_a_second(env):
    stage = Stage(env, "imap", main="worker_rlimit_nofile 500;")
    worker = worker_of(stage)
    limit_descriptors(worker.pid, 3)
    waiting = [stage.connect() for _ in range(20)]
    stage.postern.wait_log(r"accept4\(\) failed .*Too many open files")
    before, begun = worker.wakeups(), time.monotonic()
    worker.idles(1.5)
    passed = time.monotonic() - begun
    assert worker.wakeups() - before <= 8 * passed, "it wakes more often than it looks"
    assert stage.postern.log().count("accept4() failed") <= passed + 2
    limit_descriptors(worker.pid, 500)
    for client in waiting:
        client.expect(b"* OK IMAP4 ready")
