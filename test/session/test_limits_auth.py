"""limit_auth: who has guessed too often waits, is refused, and costs no source anything; others do not notice."""
import os
import select
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

from harness import PATIENCE, Wire, eventually, weight
from logins import WAYS, greeted
from peers import accept, imap_backend, smtp_backend
from stage import Stage, b64
from test_arrival import v1

GOOD, WRONG, LIMITED = b"a OK backend LOGIN", b"a NO Invalid login", b"a NO [LIMIT] Too many failed logins"
RATE = "rate=1/h burst=3"
BY_ADDRESS = f"limit_auth_zone $remote_addr zone=failures:1m {RATE}; limit_auth failures;"
BY_USER = f"limit_auth_zone $remote_user zone=failures:1m {RATE}; limit_auth failures;"
BY_PAIR = f"limit_auth_zone $remote_addr$remote_user zone=failures:1m {RATE}; limit_auth failures;"
HOUSES = "set_real_ip_from 127.0.0.0/8;"


def judge(env):
    """An auth server that knows one password, "right"."""
    return lambda request: accept(env.ip(2), 2000) if request["Auth-Pass"] == "right" else \
        {"Auth-Status": "Invalid login"}


def make(env, mail, **options):
    """Clients say where they come from in a PROXY header."""
    options.setdefault("answer", judge(env))
    return Stage(env, "imap", mail=HOUSES + mail, listen="proxy_protocol", **options)


def come(stage, source="192.0.2.1"):
    client = stage.connect()
    client.send(v1(source, 1, "::1" if ":" in source else "198.51.100.7"))
    client.expect(b"* OK IMAP4 ready")
    return client


def guess(stage, user, password, source="192.0.2.1"):
    """What a login hears; the connection is closed."""
    client = come(stage, source)
    client.send(b"a LOGIN %s %s\r\n" % (user if isinstance(user, bytes) else user.encode(), password.encode()))
    heard = client.line().rstrip(b"\r\n")
    client.close()
    return heard


def use_up(stage, user="joe", source="192.0.2.1", count=3):
    assert [guess(stage, user, f"wrong{i}", source) for i in range(count)] == [WRONG] * count


def asked(stage):
    return len(stage.auth.requests)


# -- by what

def test_an_address_that_has_guessed_too_often_asks_nobody(env):
    stage = make(env, BY_ADDRESS)
    use_up(stage)
    assert guess(stage, "joe", "wrong") == LIMITED
    assert guess(stage, "jim", "right") == LIMITED
    assert asked(stage) == 3
    stage.postern.wait_log(r'\[info\] .*client login failed: "too many failed logins" while in http auth state', 2)
    assert guess(stage, "joe", "right", "192.0.2.2") == GOOD
    assert guess(stage, "jim", "right", "2001:db8::1") == GOOD


def test_an_ipv6_client_is_all_of_its_64_and_a_site_is_worth_sixteen(env):
    stage = make(env, BY_ADDRESS)
    use_up(stage, source="2001:db8:1:1::1")
    assert guess(stage, "jim", "right", "2001:db8:1:1:ffff::") == LIMITED
    for i in range(2, 17):
        use_up(stage, f"u{i}", f"2001:db8:1:{i:x}::1")
    assert guess(stage, "jim", "right", "2001:db8:1:99::1") == LIMITED
    assert asked(stage) == 48
    assert guess(stage, "jim", "right", "2001:db8:2:99::1") == GOOD


def test_a_user_is_guarded_wherever_the_guesses_come_from(env):
    stage = make(env, BY_USER)
    for i, user in enumerate(("joe", "JOE", "Joe")):
        use_up(stage, user, f"192.0.2.{i}", 1)
    assert guess(stage, "joe", "right", "198.51.100.1") == LIMITED
    assert guess(stage, "jim", "right") == GOOD
    assert asked(stage) == 4


def test_a_pair_is_guarded_by_itself(env):
    stage = make(env, BY_PAIR)
    use_up(stage)
    assert guess(stage, "joe", "right") == LIMITED
    assert guess(stage, "joe", "right", "192.0.2.2") == GOOD
    assert guess(stage, "jim", "right") == GOOD


def test_any_of_several_limits_is_enough(env):
    stage = make(env, BY_ADDRESS + f"limit_auth_zone $remote_user zone=users:1m {RATE}; limit_auth users;")
    use_up(stage, "joe", "192.0.2.1", 2)
    use_up(stage, "joe", "192.0.2.2", 1)
    assert guess(stage, "joe", "right", "192.0.2.3") == LIMITED
    use_up(stage, "jim", "192.0.2.1", 1)
    assert guess(stage, "jim", "right", "192.0.2.1") == LIMITED
    assert guess(stage, "jim", "right", "192.0.2.2") == GOOD


def test_a_server_without_limits_has_none_and_the_exempt_are_never_limited(env):
    stage = make(env, BY_ADDRESS, servers={"a": "", "b": "limit_exempt 192.0.2.0/24; limit_exempt 2001:db8::/32;"})

    def hear(source, password):
        client = stage.connect("b")
        client.send(v1(source, 1, "::1" if ":" in source else "198.51.100.7"))
        client.line()
        client.send(b"a LOGIN joe %s\r\n" % password)
        heard = client.line().rstrip(b"\r\n")
        client.close()
        return heard
    for source in "192.0.2.9", "2001:db8::1":
        assert [hear(source, b"wrong") for _ in range(5)] == [WRONG] * 5
        assert hear(source, b"right") == GOOD
    assert [hear("198.51.100.9", b"wrong") for _ in range(4)] == [WRONG] * 3 + [LIMITED]


def test_hostile_names_have_buckets_of_their_own(env):
    stage = make(env, BY_USER)

    def hear(name, password):
        client = come(stage)
        client.send(b"a LOGIN {%d}\r\n" % len(name))
        assert client.line().startswith(b"+")
        client.send(name + b" " + password + b"\r\n")
        heard = client.line().rstrip(b"\r\n")
        client.close()
        return heard
    for name in b"x" * 1000, b"%n%s", b"caf\xff", b"a b", b"\x1b[2J":
        assert [hear(name, b"wrong") for _ in range(4)] == [WRONG] * 3 + [LIMITED], name
    assert hear(b"x" * 999, b"right") == GOOD
    assert "\x1b" not in stage.postern.log()


# -- what counts

def test_only_failures_count(env):
    stage = make(env, BY_ADDRESS + BY_USER.replace("failures", "users"))
    assert [guess(stage, "joe", "right") for _ in range(8)] == [GOOD] * 8
    stage.auth.answer = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
    for _ in range(5):
        assert guess(stage, "joe", "right").startswith(b"a NO [UNAVAILABLE]")
    stage.auth.answer = judge(env)
    assert guess(stage, "joe", "right") == GOOD
    use_up(stage, "jim")
    assert guess(stage, "jim", "right") == LIMITED


def test_what_is_forgiven_may_be_tried_again(env):
    stage = make(env, BY_ADDRESS.replace("rate=1/h", "rate=1/s"))
    use_up(stage)
    eventually(lambda: guess(stage, "joe", "right") == GOOD, "a failure is forgiven")


def test_a_backend_that_refuses_is_as_good_as_a_source(env):
    stage = make(env, BY_ADDRESS + "auth_passthrough on; proxy_pass " + env.ip(2) + ":2000;",
                 servers={"": "auth_passthrough on;"}, backend=lambda wire: imap_backend(wire, b"joe", b"right"))
    for _ in range(3):
        assert guess(stage, "joe", "wrong").startswith(b"a NO [AUTHENTICATIONFAILED]")
    connected = stage.backend.accepted
    assert guess(stage, "joe", "right") == LIMITED
    assert stage.backend.accepted == connected
    assert [guess(stage, "joe", "right", "192.0.2.2") for _ in range(5)] == [GOOD] * 5


def test_guesses_that_come_all_at_once_are_counted_too(env):
    started, go = threading.Semaphore(0), threading.Event()

    def slow(request):
        started.release()
        go.wait(20)
        return judge(env)(request)
    stage = make(env, BY_ADDRESS, answer=slow)
    clients = [come(stage) for _ in range(10)]
    for client in clients:
        client.send(b"a LOGIN joe wrong\r\n")
    for _ in range(3):
        assert started.acquire(timeout=20)
    waiting = {client.sock: client for client in clients}
    for _ in range(7):
        ready, _, _ = select.select(list(waiting), [], [], PATIENCE)
        assert waiting.pop(ready[0]).line().rstrip(b"\r\n") == LIMITED
    assert asked(stage) == 3
    go.set()
    for client in waiting.values():
        assert client.line().rstrip(b"\r\n") == WRONG
    for client in clients:
        client.close()
    assert asked(stage) == 3


def test_right_logins_that_come_all_at_once_all_get_in(env):
    """They wait for each other at most: what was charged is taken back."""
    stage = make(env, BY_ADDRESS)
    clients = [come(stage) for _ in range(12)]
    for client in clients:
        client.send(b"a LOGIN joe right\r\n")
    for client in clients:
        assert client.line().rstrip(b"\r\n") == GOOD
        client.close()


METHODS = {"imap": "plain login cram-md5 xoauth2 oauthbearer", "smtp": "plain login cram-md5 xoauth2 oauthbearer",
           "pop3": "plain apop cram-md5 xoauth2 oauthbearer"}


def test_every_way_to_log_in_is_guarded(env):
    """One wrong login by each, from an address of its own; the right one behind it asks nobody."""
    for protocol, methods in METHODS.items():
        ways = [way for way in WAYS if way.protocol == protocol and way.method != "external"]
        stage = Stage(env, protocol, {"": f"{protocol}_auth {methods};"}, answer={"Auth-Status": "no"},
                      mail=BY_ADDRESS.replace("burst=3", "burst=1"))

        def hear(way, source):
            client = greeted(protocol, stage.address(), source=source)
            way.begin(client, b"joe", b"secret")
            line = way.end(client, b"joe", b"secret")
            client.close()
            return line

        def case(number, way):
            source = env.ip(10 + number)
            heard = [hear(way, source), hear(way, source)]
            if b"Too many failed logins" in heard[0] or b"Too many failed logins" not in heard[1]:
                return f"{way}: {heard}"
        with ThreadPoolExecutor(len(ways)) as pool:
            wrong = [said for said in pool.map(case, range(len(ways)), ways) if said]
        assert not wrong, "\n".join(wrong)
        assert asked(stage) == len(ways)
        env.close()


def test_no_hash_is_computed_for_who_is_over_the_limit(env):
    """The helpers, which would, stand still; who is not over the limit waits for them."""
    users = env.write("users", "joe:{PLAIN}right\n", 0o600)
    stage = make(env, BY_ADDRESS, servers={"": f"auth_file {users}; proxy_pass {env.ip(2)}:2000;"})
    for _ in range(3):
        assert guess(stage, "joe", "wrong") .startswith(b"a NO [AUTHENTICATIONFAILED]")
    helpers = stage.postern.children("auth_file")
    for pid in helpers:
        os.kill(pid, signal.SIGSTOP)
    assert guess(stage, "joe", "right") == LIMITED
    other = come(stage, "192.0.2.2")
    other.send(b"a LOGIN joe right\r\n")
    other.quiet(0.3)
    for pid in helpers:
        os.kill(pid, signal.SIGCONT)
    other.expect(GOOD)
    other.close()


def test_a_recipient_is_no_login(env):
    """With smtp_auth none, one that is refused costs its sender nothing, nor is it held back by failed logins."""
    def answer(request):
        if request["Auth-Method"] != "none":
            return {"Auth-Status": "no"}
        return {"Auth-Status": "no such user", "Auth-Error-Code": "550", "Auth-Wait": "1"} if "nobody" in request["Auth-SMTP-To"] \
            else accept(env.ip(2), 2000)
    stage = Stage(env, "smtp", {"": "smtp_auth none plain;"}, answer=answer, mail=BY_ADDRESS.replace("burst=3", "burst=1"),
                  backend=lambda wire: smtp_backend(wire))
    client = stage.client()
    client.send(b"MAIL FROM:<a@b>\r\n" + b"RCPT TO:<nobody@c>\r\n" * 2)
    client.expect(b"250 2.0.0 OK", *[b"550 no such user"] * 2)
    login = b"AUTH PLAIN " + b64(b"", b"joe", b"x") + b"\r\n"
    assert b"Too many" not in stage.say(login)
    late = stage.client()
    late.send(login)
    late.expect(b"454 4.7.0 Too many failed logins")
    late.send(b"MAIL FROM:<a@b>\r\nRCPT TO:<joe@c>\r\n")
    late.expect(b"250 2.0.0 OK", b"250 2.1.5 backend takes it")


# -- whom it does not concern

def test_who_has_logged_in_from_there_before_gets_in_while_others_guess(env):
    stage = make(env, BY_USER + BY_ADDRESS.replace("failures", "addresses"), workers=2)
    assert guess(stage, "joe", "right", "192.0.2.1") == GOOD
    use_up(stage, "joe", "198.51.100.1")                # a guesser elsewhere
    assert guess(stage, "joe", "wrong", "198.51.100.2") == LIMITED
    use_up(stage, "jim", "192.0.2.1")                   # and one in the same house
    assert guess(stage, "jim", "right", "192.0.2.1") == LIMITED
    before = asked(stage)
    assert guess(stage, "joe", "right", "192.0.2.1") == GOOD
    assert guess(stage, "joe", "wrong", "198.51.100.3") == LIMITED
    assert asked(stage) == before + 1


def test_but_it_has_a_bucket_of_its_own(env):
    stage = make(env, BY_USER)
    assert guess(stage, "joe", "right") == GOOD
    use_up(stage, "joe")
    assert guess(stage, "joe", "right") == LIMITED
    assert guess(stage, "joe", "right", "192.0.2.2") == GOOD
    assert asked(stage) == 5


# -- how it is said

def test_the_words_are_those_of_the_protocol(env):
    says = {"pop3": (b"USER joe\r\nPASS x\r\n", b"-ERR [SYS/TEMP] Too many failed logins\r\n"),
            "smtp": (b"EHLO x\r\nAUTH PLAIN " + b64(b"", b"joe", b"x") + b"\r\n", b"454 4.7.0 Too many failed logins\r\n")}
    for protocol, (said, wanted) in says.items():
        stage = Stage(env, protocol, mail=BY_ADDRESS.replace("burst=3", "burst=1"), answer={"Auth-Status": "no"})
        assert b"Too many" not in stage.say(said)
        client = stage.client()
        client.send(said)
        line = client.line()
        while b"Too many" not in line:
            line = client.line()
        assert line == wanted
        client.send(b"NOOP\r\n")
        assert client.line(), "the dialogue goes on"
        client.close()
        assert asked(stage) == 1
        env.close()


def test_who_leaves_while_it_waits_is_let_go(env):
    """Its wait is a minute, and the guesses that it has sent ahead are not tried."""
    stage = make(env, BY_ADDRESS, servers={"": "auth_failure_delay 60s;"}, answer={"Auth-Status": "no", "Auth-Wait": "1"})
    clients = [come(stage) for _ in range(6)]
    for client in clients:
        client.send(b"a LOGIN joe wrong\r\n" * 3)
    eventually(lambda: asked(stage) == 3, "as many as may be are tried")
    for client in clients:
        client.finish()
    heard = sorted(client.rest() for client in clients)
    assert heard == [LIMITED + b"\r\n"] * 3 + [b"a NO no\r\n"] * 3, heard
    for client in clients:
        client.close()
    assert asked(stage) == 3


# -- over all workers

def test_all_workers_know_and_a_reload_forgets_nothing(env):
    stage = make(env, BY_ADDRESS, workers=2)
    clients = [come(stage, "198.51.100.77") for _ in range(4)]
    use_up(stage)
    assert [guess(stage, "joe", "right") for _ in range(3)] == [LIMITED] * 3
    stage.postern.reload()
    assert guess(stage, "joe", "right") == LIMITED
    assert asked(stage) == 3
    for client in clients:
        client.close()


@weight(5)
def test_a_killed_worker_leaves_no_lock_and_no_more_than_its_attempts(env):
    stage = make(env, BY_ADDRESS.replace("burst=3", "burst=30"), workers=2)
    for round_ in range(4):
        use_up(stage, f"u{round_}", count=5)
        pids = stage.postern.children()
        os.kill(pids[0], signal.SIGKILL)
        eventually(lambda: pids[0] not in stage.postern.children() and len(stage.postern.children()) >= 1, "it is gone")
    use_up(stage, "last", count=10)
    assert guess(stage, "joe", "right") == LIMITED
    assert asked(stage) == 30
