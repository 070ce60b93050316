"""Sources that are killed in the middle of a login, and sources that take two seconds while hundreds go on."""
import contextlib
import os
import re
import select
import signal
import subprocess
import time

from harness import eventually, weight
from logins import IN, LATER, NO, Way
from test_auth_file import cpu, crypt
from test_auth_mysql import QUERY
from test_auth_pam import make_db
from test_auth_table import USERS, File, House, Http, Introspection, Jwt, Mysql, Pam, Passthrough

WORDS = {
    "imap": b"a NO [UNAVAILABLE] Temporary failure, try again later.",
    "pop3": b"-ERR [SYS/TEMP] Temporary failure, try again later",
    "smtp": b"451 4.3.2 Internal server error",
}
SLOW = b"slow", b"p4tience"
HELPERS = "auth_helpers 3;"     # as many as there are logins under way


def with_slow(users):
    return {**users, SLOW[0]: SLOW[1]}


class SlowFile(File):
    """The slow one's hash takes minutes."""

    def __init__(self, env):
        super().__init__(env)
        cheap = crypt("$2b$", 4, SLOW[1].decode())
        self.path.write_bytes(self.path.read_bytes() + f"slow:{cheap[:4]}20{cheap[6:]}\n".encode())
        self.secrets = with_slow(USERS)
        self.text += HELPERS


class SlowPam(Pam):
    """The slow one waits in a program, two seconds and until the gate is open."""

    def __init__(self, env):
        super().__init__(env)
        self.secrets, self.gate = with_slow(USERS), env.path("gate")
        script = env.write("wait", f"""#!/bin/sh
[ "$PAM_USER" = slow ] || exit 0
echo >> {env.path("waiting")}
sleep 2
until [ -e {self.gate} ]; do sleep 0.05; done
""", 0o755)
        users = {user.decode(): secret.decode() for user, secret in self.secrets.items()}
        env.write("pam.d/mail", f"auth required pam_exec.so quiet {script}\n"
                  f"auth required pam_userdb.so db={make_db(env, users, 'more')} crypt=crypt\n"
                  "account required pam_permit.so\n")
        self.waiting = lambda: (env.path("waiting").read_bytes() if env.path("waiting").exists() else b"").count(b"\n")
        self.text += HELPERS


class Outage:
    """A house with a login under way in each protocol, and what becomes of it when the source is killed."""

    def __init__(self, env, source):
        self.house = House(env, source, source.backends or WORDS)
        self.log = self.house.postern.log
        method = source.methods[0]
        self.ways = [Way(protocol, method, "initial") for protocol in source.backends or WORDS]
        for way in self.ways:       # all is well
            assert self.house.login(way, b"joe", source.secrets[b"joe"]) is IN, way

    def begin(self):
        """Each protocol's client has sent all that it has to say."""
        user, secret = SLOW[0], self.house.source.secrets[SLOW[0]]
        self.clients = [self.house.begin(way, user, secret) for way in self.ways]

    def end(self, reason):
        """None is let in, each is told so in its protocol's words, and the log says who could not answer and why."""
        for way, client in zip(self.ways, self.clients):
            client.expect(WORDS[way.protocol])
        assert len(self.lines(reason)) == len(self.ways), (reason, self.log()[-2000:])
        assert not [told for told in self.house.told if b"slow" in told]
        assert not re.search('client logged in, .*login: "slow"', self.log())

    def lines(self, reason):
        return [line for line in self.log().splitlines()
                if re.search(rf'\[error\] .*{reason}.*, client: .*, login: "slow"', line)]

    def is_down(self, reason):
        """While it is gone, nobody is let in either."""
        for way in self.ways:
            assert self.house.login(way, b"joe", self.house.source.secrets[b"joe"]) is LATER, way
        self.house.postern.wait_log(rf'\[error\] .*{reason}.*, client: .*, login: "joe"', len(self.ways))

    def is_back(self):
        """Those who were put off log in now, in the same session, and so does everybody."""
        secret = self.house.source.secrets[b"joe"]
        eventually(lambda: all(self.house.login(way, b"joe", secret) is IN for way in self.ways), "it is back")
        for way, client in zip(self.ways, self.clients):
            way.begin(client, b"joe", secret)
            assert way.verdict(way.end(client, b"joe", secret)) is IN, way
            client.close()


def server_outage(env, source, where, label):
    """A server that is asked over a connection."""
    outage = Outage(env, source)
    outage.begin()
    eventually(lambda: source.server.asked().count(b"slow") == 3, "all three are asked about")
    source.server.kill()
    outage.end(f"{label} {re.escape(where)} (closed the connection before its answer was whole|failed)")
    outage.is_down(f"{label} {re.escape(where)}")
    source.server.start()
    outage.is_back()


def test_an_auth_server_that_is_killed_puts_off_its_logins(env):
    server_outage(env, Http(env, users=with_slow(USERS)), f"{env.ip(3)}:9000", "auth http server")


def test_an_auth_server_over_https_that_is_killed_puts_off_its_logins(env):
    server_outage(env, Http(env, "https", users=with_slow(USERS)), f"{env.ip(3)}:9000", "auth http server")


def test_an_auth_server_at_a_unix_socket_that_is_killed_puts_off_its_logins(env):
    server_outage(env, Http(env, "unix", users=with_slow(USERS)), f"unix:{env.path('auth.sock')}", "auth http server")


def test_an_introspection_server_that_is_killed_puts_off_its_logins(env):
    server_outage(env, Introspection(env, users=with_slow(USERS)), f"{env.ip(3)}:9000", "introspection server")


SLOWLY = QUERY.replace("SELECT ", "SELECT IF(:user = 'slow', SLEEP(2) + GET_LOCK('gate', 60), 0) AS nothing, ", 1)


class SlowMysql(Mysql):
    """The slow one waits in the database, two seconds and for a lock, which is free unless locked()."""

    def __init__(self, env):
        super().__init__(env, users=with_slow(USERS), query=SLOWLY)
        self.text += HELPERS

    @contextlib.contextmanager
    def locked(self):
        """Somebody has the lock until what this gives is called."""
        command = [self.server.client, "--no-defaults", f"--socket={self.server.socket}", "--user=root", "--batch",
                   "--skip-column-names", "--unbuffered"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            holder.stdin.write(b"SELECT GET_LOCK('gate', 0);\n")
            holder.stdin.flush()
            assert holder.stdout.readline() == b"1\n"
            yield holder.stdin.close

    def waiting(self):
        rows = self.server.sql("SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'postern' AND "
                               "state IN ('User sleep', 'User lock')")
        return int(rows[0][0])


@weight(5)
def test_a_database_that_is_killed_puts_off_its_logins(env):
    source = SlowMysql(env)
    outage = Outage(env, source)
    outage.begin()
    eventually(lambda: source.waiting() == 3, "the database is busy with all three")
    source.server.kill()
    outage.end("auth_mysql .* cannot answer: ")
    outage.is_down("auth_mysql .* cannot answer: ")
    source.server.start()
    outage.is_back()


def helper_outage(env, source, under_way):
    """Helpers, each with a login, which all die."""
    outage = Outage(env, source)
    pids = outage.house.postern.children(source.kind)
    assert len(pids) == 3, pids
    outage.begin()
    eventually(lambda: under_way(pids), "all three are asked about")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    outage.end(f"{source.kind} .* ended without an answer")
    outage.house.postern.wait_log("exited on signal 9", 3)
    outage.is_back()


def test_helpers_of_a_file_that_are_killed_put_off_their_logins(env):
    helper_outage(env, SlowFile(env), lambda pids: all(cpu(pid) > 5 for pid in pids))


def test_helpers_of_pam_that_are_killed_put_off_their_logins(env):
    source = SlowPam(env)
    helper_outage(env, source, lambda pids: source.waiting() == 3)


def state(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        return stat.read().rpartition(")")[2].split()[0]


def is_computing(pid):
    """Of a process that is stopped: it was not in a system call, such as the one that waits for a question."""
    with open(f"/proc/{pid}/syscall", encoding="utf-8") as call:
        return call.read().startswith("-1")


def stop(pid):
    os.kill(pid, signal.SIGSTOP)
    while state(pid) != "T":
        pass


def stop_at_work(pid):
    """Lets a process that is stopped go on, and stops it again while it computes, if that happens soon."""
    for _ in range(1000):
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.0002)
        stop(pid)
        if is_computing(pid):
            return


def test_a_helper_of_tokens_that_is_killed_puts_off_one_login(env):
    """A crowd keeps it busy. Whoever it had is put off; what it had not begun with is the next one's."""
    source = Jwt(env)
    source.text += "auth_helpers 1;"
    house = House(env, source, protocols=["imap"], events="worker_connections 2048;")
    way, secret = Way("imap", "xoauth2", "initial"), source.issuer.token("joe", more="x" * 8000).encode()
    put_off = 0
    for _ in range(5):      # it may be caught between two questions
        pid, = eventually(lambda: house.postern.children("auth_jwt"), "a helper")
        assert house.login(way, b"joe", secret) is IN
        stop(pid)
        clients = [house.begin(way, b"joe", secret) for _ in range(100)]
        stop_at_work(pid)
        os.kill(pid, signal.SIGKILL)
        verdicts = [way.verdict(way.end(client, b"joe", secret)) for client in clients]
        assert set(verdicts) <= {IN, LATER} and verdicts.count(LATER) <= 1, verdicts
        put_off += verdicts.count(LATER)
        if put_off:
            break
        for client in clients:
            client.close()
    assert put_off == 1, "it never had a question when it was killed"
    house.postern.wait_log(r'\[error\] .*auth_jwt .* ended without an answer.*, client: .*, login: "joe"')
    assert house.login(way, b"joe", secret) is IN


def test_a_question_that_no_helper_has_taken_is_the_next_ones(env):
    source = Jwt(env)
    source.text += "auth_helpers 1;"
    house = House(env, source, protocols=["imap"])
    way, secret = Way("imap", "oauthbearer", "initial"), source.secrets[b"joe"]
    pid, = house.postern.children("auth_jwt")
    stop(pid)
    client = house.begin(way, b"joe", secret)
    house.postern.wait_log("dialogue -> asking")
    os.kill(pid, signal.SIGKILL)
    assert way.verdict(way.end(client, b"joe", secret)) is IN


JUDGE = """#!/bin/sh
read -r who <&3         # name and password, a NUL behind each, which the shell passes over
case "$who" in slow{secret}*) ;; *) exit 1;; esac
echo >> {waiting}
sleep 2
until [ -e {gate} ]; do sleep 0.05; done
USER=slow exec "$@"
"""
PASSDB = """
passdb {{
  driver = checkpassword
  args = {path}
}}
"""


class SlowPassthrough(Passthrough):
    """The slow one waits in a program of Dovecot's, two seconds and until the gate is open. IMAP and POP3."""

    def __init__(self, env):
        self.env, self.gate = env, env.path("gate")
        self.marks = env.write("marks", "", 0o666)
        path = env.write("judge", JUDGE.format(secret=SLOW[1].decode(), waiting=self.marks, gate=self.gate), 0o755)
        super().__init__(env, mta=False, more=PASSDB.format(path=path))
        self.secrets = with_slow(USERS)

    def waiting(self):
        return len(self.marks.read_bytes())


@weight(5)
def test_a_backend_that_decides_and_is_killed_puts_off_its_logins(env):
    source = SlowPassthrough(env)
    outage = Outage(env, source)
    outage.begin()
    eventually(lambda: source.waiting() == 2, "Dovecot judges both")
    source.dovecot.kill()
    outage.end("upstream prematurely closed connection")
    assert all(f"source: auth_passthrough {env.ip(4)}" in line for line in outage.lines("upstream"))
    outage.is_down("connect.. failed")
    source.dovecot.start()
    outage.is_back()


# --- a source that takes its time ---

SLEEPERS = 200


def others_go_on(env, source, waiting, open_gate):
    """One worker serves 200 sessions and 60 fresh logins while the source is still busy with the slow one."""
    users = env.write("others", "".join(f"user{i}:{{PLAIN}}of{i}\n" for i in range(SLEEPERS)), 0o600)
    source.text = re.sub(rf"({source.kind} [^;]+);", r"\1 match=slow match=joe;", source.text) + \
        f"auth_file {users}; auth_timeout 60s; auth_http_timeout 60s; timeout 60s;"
    house = House(env, source, protocols=["imap", "pop3"], events="worker_connections 2048;")
    imap = Way("imap", "plain", "command")
    sessions = [house.begin(imap, b"user%d" % i, b"of%d" % i) for i in range(SLEEPERS)]
    for i, client in enumerate(sessions):
        assert imap.verdict(imap.end(client, b"user%d" % i, b"of%d" % i)) is IN
    slow = house.begin(imap, *SLOW)
    eventually(lambda: waiting() == 1, "it is busy with the slow one")
    for client in sessions:
        client.send(b"b NOOP\r\n")
    for client in sessions:
        client.expect(b"b OK NOOP")
    for i in range(60):
        way = house.ways()[i % len(house.ways())]
        assert house.login(way, b"user%d" % i, b"of%d" % i) is IN, way
    assert house.login(imap, b"user0", b"wrong") is NO
    # And the source itself, which can do more than one thing at a time.
    assert house.login(imap, b"joe", source.secrets[b"joe"]) is IN
    assert not select.select([slow.sock], [], [], 0)[0], "all of this was before the slow one's answer"
    open_gate()
    assert imap.verdict(imap.end(slow, *SLOW)) is IN


@weight(5)
def test_a_slow_auth_server_holds_up_none_of_hundreds(env):
    source = Http(env, users=with_slow(USERS))
    source.methods = ["plain", "login"]
    others_go_on(env, source, lambda: source.server.asked().count(b"slow"), source.server.gate.touch)


@weight(5)
def test_a_slow_pam_stack_holds_up_none_of_hundreds(env):
    source = SlowPam(env)
    others_go_on(env, source, source.waiting, source.gate.touch)


@weight(5)
def test_a_slow_database_holds_up_none_of_hundreds(env):
    source = SlowMysql(env)
    with source.locked() as unlock:
        others_go_on(env, source, source.waiting, unlock)
