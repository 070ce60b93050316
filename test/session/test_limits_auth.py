"""limit_auth: who has guessed too often waits, is refused, and costs no source anything; others do not notice."""
import base64
import binascii
import os
import select
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

from harness import PATIENCE, Wire, eventually, weight
from logins import IN, MORE, NO, WAYS, greeted
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


def try_in(stage, user, password, source="192.0.2.1"):
    """A client that has tried to log in and hears of it some day."""
    client = come(stage, source)
    client.send(b"a LOGIN %s %s\r\n" % (user if isinstance(user, bytes) else user.encode(), password.encode()))
    return client


def guess(stage, user, password, source="192.0.2.1"):
    """What a login hears; the connection is closed."""
    client = try_in(stage, user, password, source)
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


# -- where a source says yes to everybody

REFUSED = b"a NO [AUTHENTICATIONFAILED] Authentication failed."
HELLO = {"imap": b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER] ready\r\n",
         "pop3": b"+OK ready\r\n", "smtp": b"220 ready\r\n"}


def holds(word, secret):
    """Is it said here, plain or in base64?"""
    try:
        return secret in word or secret in base64.b64decode(word, validate=True)
    except binascii.Error:
        return False


def picky_backend(protocol, secret=b"right"):
    """A backend that knows one password, which is a token, too."""
    yes, no = {"imap": (b"OK in", b"NO says the backend"), "pop3": (b"+OK in", b"-ERR says the backend"),
               "smtp": (b"235 in", b"535 5.7.8 says the backend")}[protocol]

    def serve(wire):
        wire.send(HELLO[protocol])
        while line := wire.line():
            words = line.split()
            tag = words.pop(0) + b" " if protocol == "imap" else b""
            verb = words[0].upper()
            if verb == b"AUTH" and len(words) == 2:
                wire.send(MORE[protocol] + b"\r\n")
                words.append(wire.line().strip())
            if verb == b"EHLO":
                wire.send(b"250-backend\r\n250 AUTH PLAIN XOAUTH2 OAUTHBEARER\r\n")
            elif verb in (b"LOGIN", b"PASS", b"AUTH", b"AUTHENTICATE"):
                wire.send(tag + (yes if any(holds(word, secret) for word in words) else no) + b"\r\n")
            else:
                wire.send(tag + {"imap": b"OK", "pop3": b"+OK", "smtp": b"250"}[protocol] + b" as you like\r\n")
    return serve


def make_open(env, mail, **options):
    """Its source lets in everybody, its backend does not."""
    options.setdefault("answer", accept(env.ip(2), 2000))
    options.setdefault("backend", picky_backend("imap"))
    return make(env, mail, **options)


def use_up_at_backend(stage, count):
    assert [guess(stage, "joe", "wrong", f"198.51.100.{i}") for i in range(count)] == [REFUSED] * count


def master(env):
    """With this the backend is shown a master user's password, which it refuses."""
    return f"proxy_master_user master {env.write('master', 'other', 0o600)} always;"


OPEN_METHODS = {"imap": "plain login xoauth2 oauthbearer", "pop3": "plain xoauth2 oauthbearer",
                "smtp": "plain login xoauth2 oauthbearer"}


def test_the_backends_no_is_a_failed_login_by_every_way(env):
    """Guesses from one address, which the backend refuses; then the right one asks nobody, but elsewhere it gets in."""
    for protocol, methods in OPEN_METHODS.items():
        ways = [way for way in WAYS if way.protocol == protocol and way.method in methods.split()]
        stage = Stage(env, protocol, {"": f"{protocol}_auth {methods}; proxy_smtp_auth on;"}, mail=BY_ADDRESS,
                      backend=picky_backend(protocol))

        def hear(way, source, secret):
            client = greeted(protocol, stage.address(), source=env.ip(source))
            way.begin(client, b"joe", secret)
            line = way.end(client, b"joe", secret)
            client.close()
            return "limited" if b"Too many failed logins" in line else way.verdict(line)

        def case(number, way):
            heard = [hear(way, 20 + number, b"wrong") for _ in range(3)] + [hear(way, 20 + number, b"right")]
            heard += [hear(way, 60 + number, b"right") for _ in range(4)]
            if heard != [NO] * 3 + ["limited"] + [IN] * 4:
                return f"{way}: {heard}"
        with ThreadPoolExecutor(len(ways)) as pool:
            wrong = [said for said in pool.map(case, range(len(ways)), ways) if said]
        assert not wrong, "\n".join(wrong)
        assert asked(stage) == 7 * len(ways)
        env.close()


def test_the_words_of_a_backend_that_refuses_are_its_own_where_they_may_be(env):
    heard = {"imap": (b"a LOGIN joe wrong\r\n", b"a NO says the backend"),
             "pop3": (b"USER joe\r\nPASS wrong\r\n", b"-ERR says the backend"),
             "smtp": (b"EHLO x\r\nAUTH PLAIN " + b64(b"", b"joe", b"wrong") + b"\r\n", b"535 5.7.8 says the backend")}
    for protocol, (said, wanted) in heard.items():
        stage = Stage(env, protocol, {"": "proxy_pass_error_message on; proxy_smtp_auth on;"},
                      mail=BY_ADDRESS.replace("burst=3", "burst=1"), backend=picky_backend(protocol))
        assert wanted in stage.say(said).split(b"\r\n")
        client = stage.client()
        client.send(said)
        while b"Too many failed logins" not in (line := client.line()):
            assert line and b"says the backend" not in line
        client.close()
        assert asked(stage) == 1
        env.close()


def test_a_refusal_of_the_backend_waits_as_any_does(env):
    """The guesses that were sent ahead are not tried when their sender leaves during the first one's silence."""
    stage = make_open(env, BY_ADDRESS, servers={"": "auth_failure_delay 60s;"})
    client = come(stage)
    client.send(b"a LOGIN joe wrong\r\n" * 3)
    stage.postern.wait_log(r'client login failed: "a NO says the backend"')
    client.finish()
    assert client.rest() == REFUSED + b"\r\n"
    client.close()
    assert asked(stage) == 1


def test_what_the_backend_was_shown_for_the_client_is_no_failure_of_the_clients(env):
    """A master user's password, one that the source has returned, or none: the client had no hand in it."""
    kinds = {"master": (master(env), {}), "returned": ("", {"Auth-Pass": "returned"})}
    for kind, (settings, headers) in kinds.items():
        stage = make_open(env, BY_ADDRESS + BY_USER.replace("failures", "users"), servers={"": settings},
                          answer=accept(env.ip(2), 2000, **headers))
        assert [guess(stage, "joe", "right") for _ in range(6)] == [REFUSED] * 6, kind
        assert asked(stage) == 6
        env.close()


def test_a_password_that_the_source_repeats_is_still_the_clients(env):
    stage = make_open(env, BY_ADDRESS, answer=lambda request: {
        **accept(env.ip(2), 2000), "Auth-Pass": request["Auth-Pass"]})
    assert [guess(stage, "joe", "wrong") for _ in range(3)] == [REFUSED] * 3
    assert guess(stage, "joe", "right") == LIMITED
    assert guess(stage, "joe", "right", "192.0.2.2") == b"a OK in"


def test_who_is_refused_by_the_backend_is_not_remembered(env):
    """A yes of the source makes nobody known: not who guesses, nor for whom the source's own password did not do."""
    stage = make_open(env, BY_USER)
    assert guess(stage, "joe", "right", "192.0.2.1") == b"a OK in"
    assert guess(stage, "joe", "wrong", "192.0.2.2") == REFUSED
    use_up_at_backend(stage, 2)
    assert guess(stage, "joe", "right", "192.0.2.2") == LIMITED
    assert guess(stage, "joe", "right", "192.0.2.1") == b"a OK in"
    env.close()
    stage = make_open(env, BY_USER, answer=lambda request: {
        **accept(env.ip(2), 2000), **({"Auth-Pass": "stale"} if request["Auth-Pass"] == "returned" else {})})
    assert guess(stage, "joe", "returned", "192.0.2.2") == REFUSED
    use_up_at_backend(stage, 3)
    assert guess(stage, "joe", "right", "192.0.2.2") == LIMITED


def test_who_gets_in_with_a_returned_password_is_remembered(env):
    """The client's guesses are the source's to judge, and its yes is the last word about them."""
    def answer(request):
        said = judge(env)(request)
        return {**said, "Auth-Pass": "returned"} if request["Auth-Pass"] == "right" else said
    stage = make(env, BY_USER, backend=picky_backend("imap", b"returned"), answer=answer)
    assert guess(stage, "joe", "right", "192.0.2.1") == b"a OK in"
    use_up(stage, "joe", "198.51.100.1")
    assert guess(stage, "joe", "right", "192.0.2.2") == LIMITED
    assert guess(stage, "joe", "right", "192.0.2.1") == b"a OK in"


def test_a_backend_that_cannot_say_costs_the_client_nothing(env):
    """It is not there, puts the client off, or breaks off: five of each, and the right one gets in."""
    moods = ["closes", "later", "breaks"]

    def moody(wire):
        if not moods:
            picky_backend("imap")(wire)
        elif moods[0] != "closes":
            wire.send(HELLO["imap"])
            tag = wire.line().split()[0]
            if moods[0] == "later":
                wire.send(tag + b" NO [UNAVAILABLE] not now\r\n")
    stage = make_open(env, BY_ADDRESS, backend=moody)
    while moods:
        heard = [guess(stage, "joe", "wrong") for _ in range(5)]
        assert all(line.startswith(b"a NO [UNAVAILABLE]") for line in heard), (moods[0], heard)
        moods.pop(0)
    stage.auth.answer = accept(env.ip(2), 2001)         # nobody listens there
    assert all(guess(stage, "joe", "wrong").startswith(b"a NO [UNAVAILABLE]") for _ in range(5))
    stage.auth.answer = accept(env.ip(2), 2000)
    assert guess(stage, "joe", "right") == b"a OK in"


def test_who_does_not_wait_for_the_backends_answer_has_failed(env):
    """As who does not wait for a source's. But nothing hangs on it where the backend is shown another's password."""
    shown, go = threading.Semaphore(0), threading.Event()

    def slow(wire):
        wire.send(HELLO["imap"])
        tag = wire.line().split()[0]
        shown.release()
        go.wait(PATIENCE)
        wire.send(tag + b" OK in\r\n")

    def leave_three(stage):
        clients = [try_in(stage, "joe", "wrong") for _ in range(3)]
        for _ in clients:
            assert shown.acquire(timeout=PATIENCE)
        for client in clients:
            client.reset()
        stage.postern.wait_log("login -> dead", 3)
        go.set()
    for settings, heard in ("", LIMITED), (master(env), b"a OK in"):
        go.clear()
        stage = make_open(env, BY_ADDRESS, servers={"": settings}, backend=slow)
        leave_three(stage)
        assert guess(stage, "joe", "right") == heard, settings
        env.close()


def test_with_xclient_alone_the_backend_is_shown_no_password(env):
    """It refuses the session, not the client's password: nothing is counted."""
    def refuses(wire):
        wire.send(HELLO["smtp"])
        while line := wire.line():
            hello = line.upper().startswith(b"EHLO")
            wire.send(b"250-backend\r\n250 XCLIENT NAME ADDR LOGIN\r\n" if hello else b"550 no\r\n")
    stage = Stage(env, "smtp", mail=BY_ADDRESS.replace("burst=3", "burst=1"), backend=refuses)
    login = b"EHLO x\r\nAUTH PLAIN " + b64(b"", b"joe", b"right") + b"\r\n"
    for _ in range(3):
        heard = stage.say(login)
        assert b"Too many" not in heard and b"235" not in heard, heard
    assert asked(stage) == 3


def test_the_cache_knows_what_the_source_has_said_and_the_backend_decides_still(env):
    """A yes that was kept makes a wrong password no better: it is refused, counted, and nobody is known by it."""
    stage = make_open(env, BY_USER + "auth_cache zone=logins:1m ttl=1h negative=1h;")
    assert [guess(stage, "joe", "wrong") for _ in range(3)] == [REFUSED] * 3
    assert guess(stage, "joe", "right") == LIMITED
    assert stage.backend.accepted == 3
    assert [guess(stage, "jim", said) for said in ("wrong", "right", "right")] == [REFUSED, b"a OK in", b"a OK in"]


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
