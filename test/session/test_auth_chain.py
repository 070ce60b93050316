"""Sources of a server one after the other, what reloads leave of them, and what a failed login costs in time."""
import signal

from harness import Vitals, Wire, eventually, open_files, weight
from peers import AuthHttp, Listener, accept, imap_backend, smtp_backend
from real import MariaDB
from stage import b64
from test_auth_file import cpu, crypt
from test_auth_mysql import TABLE
from test_chain import NOT_NOW, OK, REFUSED, House, refuse, unknown


def answers(env, said):
    """An auth server that accepts, refuses, does not know or breaks, by user."""
    words = {"yes": accept(env.ip(2), 143), "no": refuse(None), "who": unknown(None), "bad": b"HTTP/1.1 500 no\r\n\r\n"}
    return lambda request: words[said.get(request["Auth-User"], "who")]


def picky_backend(wire, on_command):
    imap_backend(wire, user=b"pass", password=b"right", on_command=on_command)


# -- who decides

def test_three_sources_are_asked_in_their_order(env):
    """Behind each user stands who decided, and whom else it cost a question."""
    house = House(env, "{file}; {http}; auth_passthrough on; {backend}",
                  "file:{PLAIN}right\nlocked:!right\nboth:{PLAIN}right\n", backend=picky_backend,
                  answer=answers(env, {"http": "yes", "wrong": "no", "bad": "bad", "both": "yes"}))
    file, http, backend = f"auth_file {house.file}", f"auth_http {env.ip(3)}:9000/auth", f"auth_passthrough {env.ip(2)}"
    picky = b"a NO [AUTHENTICATIONFAILED] Authentication failed."
    cases = [
        # user, password, heard, source, questions, whether the backend heard of it
        ("file", "wrong", picky, file, 0, False),
        ("locked", "right", picky, file, 0, False),
        ("both", "wrong", picky, file, 0, False),
        ("wrong", "right", b"a NO Invalid login", http, 1, False),
        ("bad", "right", NOT_NOW, None, 1, False),
        ("pass", "wrong", picky, backend, 1, True),
        ("pass", "right", OK, backend, 1, True),
        ("nobody", "right", picky, backend, 1, True),
    ]
    for user, password, heard, source, questions, backend_hears in cases:
        del house.auth.requests[:], house.heard[:]
        said = house.login(user, password)
        assert (said, len(house.asked()), bool(house.heard)) == (heard, questions, backend_hears), \
            (user, password, said, house.asked(), house.heard)
        if source:
            house.decided("client logged in" if heard == OK else "client login failed", user, source)
        else:
            assert f'login: "{user}", source:' not in house.postern.log()
            house.postern.wait_log("auth http server .*500")


def test_a_helper_that_cannot_answer_ends_the_chain(env):
    """One that takes too long for its limit; the next source, which would say yes, does not hear of it."""
    house = House(env, "{file}; auth_helpers 1; auth_timeout 1s; {http}; {backend}",
                  f"slow:{{BLF-CRYPT}}{crypt('$2b$', 15, 'right')}\n")
    assert house.login("slow", "right") == NOT_NOW
    assert house.asked() == []
    assert not house.heard
    house.postern.wait_log(f"auth_file {house.file} timed out")


def test_a_server_has_its_own_chain_or_that_of_mail(env):
    other = env.keep(AuthHttp((env.ip(4), 9000), accept(env.ip(2), 143)))
    house = House(env, "{file}; {http}; {backend} server {{ listen " +
                  f"{env.ip()}:1143; protocol imap; auth_http {env.ip(4)}:9000/other; }}}}",
                  "joe:{PLAIN}right\n", answer=unknown)

    def login(port, user):
        client = Wire.to((env.ip(), port))
        client.line()
        client.send(f"a LOGIN {user} wrong\r\n".encode())
        return client.line().rstrip(b"\r\n")
    assert REFUSED.fullmatch(login(143, "joe"))
    assert login(1143, "joe") == OK
    assert login(143, "jim") == b"a NO no such user"
    assert login(1143, "jim") == OK
    assert house.asked() == ["jim"]
    assert [request["Auth-User"] for request in other.requests] == ["joe", "jim"]


def test_of_two_auth_http_lines_the_last_one_wins(env):
    """Where the last one stands, as it is with nginx; mail's and a server's do not add up either."""
    first = env.keep(AuthHttp((env.ip(4), 9000), accept(env.ip(2), 143)))
    house = House(env, f"auth_http {env.ip(4)}:9000/first; " + "{file}; {http}; {backend}", "joe:{PLAIN}right\n")
    assert REFUSED.fullmatch(house.login("joe", "wrong"))
    assert house.asked() == []
    assert house.login("jim", "any") == OK
    assert house.asked() == ["jim"]
    assert not first.requests and first.accepted == 0


def test_patterns_leave_a_domain_to_its_source(env):
    """Who is covered by none is refused without a question; a source that is broken breaks its domain alone."""
    house = House(env, "{file} match=*@file.example match=*+spam@*; {http} match=*@http.example; {backend}",
                  "joe@file.example:{PLAIN}right\njim+spam@http.example:{PLAIN}right\n",
                  answer=answers(env, {"bad@http.example": "bad", "joe@http.example": "yes"}))
    assert house.login("joe@file.example", "right") == OK
    assert house.login("jim+spam@http.example", "right") == OK
    assert REFUSED.fullmatch(house.login("bad@file.example", "right"))
    assert house.asked() == []
    assert house.login("joe@http.example", "right") == OK
    assert house.login("bad@http.example", "right") == NOT_NOW
    assert house.login("eve+spam@http.example", "right") == b"a NO no such user"
    assert house.asked() == ["joe@http.example", "bad@http.example", "eve+spam@http.example"]
    for user in "joe@file.example.net", "xfile.example", "@http.exampl", "joe":
        assert REFUSED.fullmatch(house.login(user, "right"))
    assert len(house.asked()) == 3


def test_methods_choose_sources_as_well(env):
    """A token goes to who can judge tokens, past the file; a password to the file, which decides."""
    house = House(env, "{file}; {http}; {backend}", "joe:{PLAIN}right\n", more="imap_auth plain xoauth2 cram-md5;")

    def speak(mechanism, *said):
        client = house.client()
        client.send(f"a AUTHENTICATE {mechanism}\r\n".encode())
        client.line()
        client.send(b64(*said) + b"\r\n")
        return client.line().rstrip(b"\r\n")
    assert speak("XOAUTH2", b"user=joe\1auth=Bearer right\1\1") == NOT_NOW       # this backend takes none
    assert [request["Auth-Method"] for request in house.auth.requests] == ["xoauth2"]
    assert REFUSED.fullmatch(speak("CRAM-MD5", b"joe 0123456789abcdef0123456789abcdef"))
    assert REFUSED.fullmatch(house.login("joe", "wrong"))
    assert len(house.asked()) == 1


def test_only_the_last_source_makes_an_unknown_user_cost_a_hash(env):
    """Nobody can tell who is in the file from how long it takes; nobody waits for a hash when others follow."""
    users = f"joe:{{BLF-CRYPT}}{crypt('$2b$', 13, 'right')}\n"
    house = House(env, "{file}; auth_helpers 1; {http}; {backend} server {{ listen " +
                  f"{env.ip()}:1143; protocol imap; auth_file {env.path('users')}; }}}}", users, answer=unknown)
    helper, = house.postern.children("auth_file")

    def cost(port, user):
        before = cpu(helper)
        client = Wire.to((env.ip(), port))
        client.line()
        client.send(f"a LOGIN {user} wrong\r\n".encode())
        assert b" NO " in client.line()
        return cpu(helper) - before
    wrong = cost(143, "joe")
    assert wrong > 10
    assert cost(143, "nobody") < wrong / 4
    assert cost(1143, "nobody") > wrong / 2


def mysql(env):
    """A MariaDB with users, and the text that makes it a source."""
    db = MariaDB(env)
    db.sql(TABLE)
    db.sql("INSERT INTO mail.users (name, password) VALUES ('ann', '{PLAIN}right'), ('off', '!{PLAIN}right')")
    secret = env.write("dbpass", "dbpass\n", 0o600)
    return db, (f"auth_mysql unix:{db.socket}; auth_mysql_user postern; auth_mysql_database mail; "
                f"auth_mysql_password_file {secret}; "
                'auth_mysql_query "SELECT password FROM users WHERE name = :user"; ')


@weight(8)
def test_a_database_in_the_midst_of_a_chain(env):
    """It decides about its users; when it is away, nobody gets around it, but for those whom the cache knows."""
    db, source = mysql(env)
    house = House(env, "{file}; " + source + "{http}; {backend} auth_cache zone=logins:1m ttl=1h negative=1h;",
                  "joe:{PLAIN}right\n")
    assert house.login("ann", "right") == OK
    assert REFUSED.fullmatch(house.login("ann", "wrong"))
    assert REFUSED.fullmatch(house.login("off", "right"))
    assert house.asked() == []
    assert house.login("jim", "right") == OK
    assert house.asked() == ["jim"]
    said = house.postern.wait_log('client (logged in|login failed).*login: "(ann|off)"', 3)
    assert all(f"source: auth_mysql unix:{db.socket}, " in line for line in said), said
    db.kill()
    assert house.login("joe", "right") == OK
    assert house.login("ann", "right") == OK
    assert REFUSED.fullmatch(house.login("ann", "wrong"))
    assert house.login("jim", "right") == OK            # here all that was asked is known
    assert house.login("ann", "other") == NOT_NOW
    assert house.login("eve", "right") == NOT_NOW
    assert house.asked() == ["jim"]
    db.start()
    eventually(lambda: house.login("eve", "right") == OK, "the database is back")
    assert house.asked() == ["jim", "eve"]


# -- what reloads leave

@weight(12)
def test_a_hundred_reloads_leave_connections_to_a_database_alone(env):
    db, source = mysql(env)
    house = House(env, source + "auth_helpers 3; {backend}", level="notice")
    assert house.login("ann", "right") == OK
    helpers = house.postern.children("auth_mysql")
    eventually(lambda: len(db.connections("postern")) == len(helpers), "each helper has its connection")
    before = db.connections("postern")
    for _ in range(100):
        house.postern.reload()
    assert house.login("ann", "right") == OK
    assert house.postern.children("auth_mysql") == helpers and len(helpers) == 3
    assert db.connections("postern") == before

@weight(20)
def test_a_hundred_reloads_leave_no_connection_to_an_auth_server_behind(env):
    house = House(env, "{file}; {http}; {backend} auth_cache zone=logins:1m;", "joe:{PLAIN}right\n", level="notice")

    def kept():
        """Connections that the auth server has, as it sees them."""
        return sum(wire.sock.fileno() != -1 for wire in house.auth.wires)
    assert house.login("jim", "right") == OK
    house.postern.reload()
    assert house.login("ann", "right") == OK
    eventually(lambda: len(house.postern.children()) == 1, "the last generation's worker alone")
    eventually(lambda: kept() == 1, "one connection")
    helpers, fds = house.postern.children("auth_file"), len(open_files(house.postern.pid))
    for count in range(100):
        house.postern.reload()
        if count % 10 == 0:
            assert house.login(f"user{count}", "right") == OK
    assert house.login("jim", "right") == OK
    assert house.login("eve", "right") == OK
    eventually(lambda: len(house.postern.children()) == 1, "the last generation's worker alone")
    eventually(lambda: kept() == 1, "one connection")
    assert house.postern.children("auth_file") == helpers
    eventually(lambda: len(open_files(house.postern.pid)) <= fds, "no descriptor is left behind")
    maps = open(f"/proc/{house.postern.pid}/maps").read()
    assert maps.count("memfd:postern-zone") == 2, maps


@weight(10)
def test_a_storm_of_reloads_during_logins_fails_none(env):
    house = House(env, "{http}; {backend} auth_cache zone=logins:1m;", level="notice")
    for count in range(60):
        house.postern.kill(signal.SIGHUP)
        assert house.login(f"user{count % 7}", "right") == OK
    assert set(house.asked()) == {f"user{n}" for n in range(7)}


# -- the silence after a refusal

def test_a_client_that_goes_during_the_silence_leaves_nothing_behind(env):
    house = House(env, "{file}; {backend} auth_failure_delay 600s;", "joe:{PLAIN}right\n")
    pid, = house.postern.children()
    vitals = Vitals(pid)
    assert house.login("joe", "right") == OK        # what is opened once is open
    assert house.login("joe", "right") == OK
    house.begin("jim", "wrong").close()
    eventually(lambda: house.postern.log().count("-> dead") == 3, "all have ended")
    before = vitals.descriptors()
    clients = [house.begin("jim" if i % 2 else "joe", "wrong") for i in range(60)]
    house.postern.wait_log("client login failed", 61)
    assert vitals.descriptors() >= before + 60
    for i, client in enumerate(clients):
        (Wire.close, Wire.reset)[i % 2](client)
    vitals.wait_descriptors(before)
    eventually(lambda: house.postern.log().count("-> dead") == 63, "all have ended")
    vitals.idles(0.5)


def test_guesses_that_were_sent_ahead_are_judged_one_by_one(env):
    """The second is not asked about before the first has been answered; who leaves has had one guess."""
    house = House(env, "{http}; {backend} auth_failure_delay 1s;", answer=refuse)
    greedy = house.client()
    greedy.send(b"a LOGIN joe one\r\nb LOGIN joe two\r\nc LOGIN joe three\r\n")
    house.postern.wait_log("client login failed")
    other = house.begin("jim", "one")
    house.postern.wait_log("client login failed", 2)
    assert house.asked() == ["joe", "jim"]
    greedy.expect(b"a NO Invalid login")
    other.expect(b"a NO Invalid login")
    eventually(lambda: house.asked() == ["joe", "jim", "joe"], "the second guess")
    greedy.finish()
    assert greedy.rest() == b"b NO Invalid login\r\n"
    assert house.asked() == ["joe", "jim", "joe"]


def test_the_longer_of_two_silences_counts(env):
    """Of auth_failure_delay and the Auth-Wait of the auth server."""
    house = House(env, "{http}; {backend} "
                  "server {{ listen " + f"{env.ip()}:1143; protocol imap; auth_failure_delay 600s; }}}} "
                  "server {{ listen " + f"{env.ip()}:2143; protocol imap; auth_failure_delay 1s; }}}}",
                  answer=lambda request: {"Auth-Status": "no", "Auth-Wait": request["Auth-Pass"]})

    def begin(port, wait):
        client = Wire.to((env.ip(), port))
        client.line()
        client.send(f"a LOGIN joe {wait}\r\n".encode())
        return client
    silent = [begin(1143, 1), begin(2143, 300)]
    house.postern.wait_log("client login failed", 2)
    said = [begin(143, 1), begin(2143, 1)]
    for client in said:
        client.expect(b"a NO no")
    for client in silent:
        client.quiet(0.1)
        client.finish()
        client.expect(b"a NO no")
        client.expect_end()


def test_an_auth_server_that_wants_the_client_gone_is_waited_for_too(env):
    """Without an Auth-Wait it means: say it and close. The silence comes first."""
    house = House(env, "{http}; {backend} auth_failure_delay 1s;", answer={"Auth-Status": "Go away"})
    client = house.begin("joe", "wrong")
    house.postern.wait_log("client login failed")
    other = house.begin("joe", "wrong")
    assert client.held == b""
    client.expect(b"a NO Go away")
    client.rest()
    other.expect(b"a NO Go away")


def test_recipients_and_temporary_failures_cost_no_silence(env):
    env.keep(Listener((env.ip(2), 25), smtp_backend))
    house = House(env, "{http}; {backend} auth_failure_delay 600s; server {{ listen " +
                  f"{env.ip()}:25; protocol smtp; smtp_auth none; }}}}",
                  answer=lambda request: {"Auth-Status": "No such mailbox", "Auth-Wait": "1", "Auth-Error-Code": "550"}
                  if request["Auth-Method"] == "none" else None)
    assert house.login("joe", "right") == NOT_NOW
    client = Wire.to((env.ip(), 25))
    client.line()
    client.send(b"HELO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n")
    client.line()
    client.line()
    assert client.line().startswith(b"550 "), "refused"


def test_a_refusal_from_the_cache_costs_the_same_silence(env):
    house = House(env, "{file}; {backend} auth_failure_delay 1s; auth_cache zone=logins:1m ttl=1h negative=1h;",
                  "joe:{PLAIN}right\n")
    house.begin("joe", "wrong").expect(REFUSED)
    again = house.begin("joe", "wrong")
    house.postern.wait_log(r"client login failed.*\(cached\)")
    assert house.login("joe", "right") == OK
    assert again.held == b""
    again.quiet(0.1)
    again.expect(REFUSED)
