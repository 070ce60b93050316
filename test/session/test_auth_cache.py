"""auth_cache: who finds in it what, for how long, and what lies in its memory."""
import base64
import hashlib
import hmac
import os
import pathlib
import re
import signal
import time

from certs import Authority
from harness import Wire, eventually, weight
from peers import AuthHttp, Introspection, Listener, accept, imap_backend, pop3_backend, smtp_backend
from stage import Stage, b64
from test_chain import NOT_NOW, OK, REFUSED, House, unknown

CACHE = "auth_cache zone=logins:1m ttl=1h"
FILE = "{file}; {backend} " + CACHE
HTTP = "{http}; {backend} " + CACHE
PASSWORD, BACKEND_PASSWORD = "Tr0ub4dor-and-3", "opens-the-backend"


def only_right(env, **more):
    """An auth server that knows one password, "right"."""
    return lambda request: accept(env.ip(2), 143, **more) if request["Auth-Pass"] == "right" else \
        {"Auth-Status": "Invalid login", "Auth-Wait": "1"}


def source_of(house):
    return f"auth_http {house.env.ip(3)}:9000/auth"


def cached(house, event, user="joe", source=None):
    """How many such lines of the log say that the cache decided."""
    source = re.escape(source or f"auth_file {house.file}")
    pattern = f'{event}.*login: "{re.escape(user)}".*, source: {source} \\(cached\\), '
    return len(re.findall(pattern, house.postern.log()))


# -- who shares it

def freeze(pid):
    """Stops a worker, which then takes no connection."""
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: ") T" in pathlib.Path(f"/proc/{pid}/stat").read_text(), "it stands still")


def test_a_worker_knows_what_another_was_told(env):
    house = House(env, HTTP + " negative=1h;", answer=only_right(env), workers=2)
    first, second = house.postern.children()
    freeze(second)
    assert house.login("joe", "right") == OK
    assert house.login("joe", "wrong") == b"a NO Invalid login"
    freeze(first)
    os.kill(second, signal.SIGCONT)
    assert house.login("joe", "right") == OK
    assert house.login("joe", "wrong") == b"a NO Invalid login"
    os.kill(first, signal.SIGCONT)
    assert len(house.asked()) == 2
    for event in "client logged in", "client login failed":
        said = house.postern.wait_log(event, 2)
        assert [re.search(r"\] (\d+)#", line).group(1) for line in said] == [str(first), str(second)], said


@weight(4)
def test_a_worker_that_is_started_again_knows_what_the_last_one_was_told(env):
    house = House(env, HTTP + ";", answer=only_right(env))
    assert house.login("joe", "right") == OK
    for _ in range(3):
        pid, = house.postern.children()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: pid not in house.postern.children() and house.postern.children(), "another worker")
        assert house.login("joe", "right") == OK
    assert house.asked() == ["joe"]


def change(house, *changes):
    """Reloads with some text replaced; the old workers are gone when this returns."""
    text, before = house.postern.config.read_text(), house.postern.children()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    house.postern.config.write_text(text)
    house.postern.kill(signal.SIGHUP)
    eventually(lambda: house.postern.children() and not set(before) & set(house.postern.children()), "the reload")


def test_a_reload_that_changes_the_source_asks_again(env):
    env.keep(AuthHttp((env.ip(4), 9000), accept(env.ip(2), 143)))
    house = House(env, "upstream them {{ server " + env.ip(3) + ":9000; }} auth_http http://them/auth; "
                  "auth_http_header X-Realm one; {backend} " + CACHE + ";", answer=only_right(env))
    assert house.login("joe", "right") == OK
    assert house.login("joe", "right") == OK
    assert len(house.asked()) == 1
    change(house, ("them/auth", "them/other"))
    assert house.login("joe", "right") == OK
    assert len(house.asked()) == 2
    change(house, ("X-Realm one", "X-Realm two"))
    assert house.login("joe", "right") == OK
    assert len(house.asked()) == 3
    change(house, (f"server {env.ip(3)}:9000;", f"server {env.ip(3)}:9000; server {env.ip(4)}:9000 backup;"))
    assert house.login("joe", "right") == OK
    assert len(house.asked()) == 4
    change(house, ("zone=logins:1m", "zone=logins:2m"))
    assert house.login("joe", "right") == OK
    assert len(house.asked()) == 5
    change(house, ("error.log debug", "error.log info"))
    assert house.login("joe", "right") == OK
    assert len(house.asked()) == 5


# -- for how long

@weight(4)
def test_an_answer_is_believed_for_its_time(env):
    house = House(env, "{http}; {backend} auth_cache zone=logins:1m ttl=2s negative=1s;", answer=only_right(env))
    assert house.login("joe", "right") == OK
    assert house.login("joe", "wrong") == b"a NO Invalid login"

    def asked_again(password):
        asked = len(house.asked())
        house.login("joe", password)
        return len(house.asked()) > asked
    eventually(lambda: asked_again("wrong"), "the refusal is forgotten")
    eventually(lambda: asked_again("right"), "the login is forgotten")


def test_a_shorter_time_holds_for_what_is_known_already(env):
    house = House(env, HTTP + ";", answer=only_right(env))
    assert house.login("joe", "right") == OK
    change(house, ("ttl=1h", "ttl=1s"))
    assert house.login("joe", "right") == OK
    assert len(house.asked()) == 2


def test_an_hour_of_a_token_is_no_longer_than_the_token(env):
    """The issuer says when it ends, and a minute is for clocks that differ."""
    def answer(token):
        return {"active": True, "username": "joe", "exp": int(time.time()) + (3600 if token == "long" else -59)}
    issuer = env.keep(Introspection((env.ip(4), 9000), answer))
    house = House(env, f"auth_introspection http://{env.ip(4)}:9000/; {{backend}} proxy_auth xoauth2; {CACHE};",
                  more="imap_auth xoauth2;")

    def login(token):
        client = house.client()
        client.send(b"a AUTHENTICATE XOAUTH2 " + b64(f"user=joe\1auth=Bearer {token}\1\1".encode()) + b"\r\n")
        return client.line()
    for _ in range(3):
        login("long")
    assert issuer.tokens == ["long"]
    login("short")
    eventually(lambda: login("short") and issuer.tokens.count("short") >= 2, "it is asked about again")
    login("longer")
    assert issuer.tokens[-1] == "longer"


# -- what a file that changes does

def test_what_the_backend_refuses_is_asked_about_anew(env):
    """The password that the source returns for the backend is changed at both: one login meets the old one."""
    current = ["old"]
    stage = Stage(env, "imap", mail=CACHE + ";", answer=lambda _: accept(env.ip(2), 2000, **{"Auth-Pass": current[0]}),
                  backend=lambda wire: imap_backend(wire, b"joe", current[0].encode()))

    def login():
        return stage.say(b"a LOGIN joe own\r\n").split(b"\r\n")[0]
    assert [login(), login()] == [OK, OK]
    assert len(stage.auth.requests) == 1
    current[0] = "new"
    assert login() == b"a NO [AUTHENTICATIONFAILED] Authentication failed."
    assert [login(), login()] == [OK, OK]
    assert len(stage.auth.requests) == 2


def put(house, users):
    """Another password file, all at once."""
    house.env.write("users.new", users, 0o600).rename(house.file)


def test_a_user_that_is_locked_in_the_file_is_out(env):
    users = "ann:{PLAIN}right\nbob:{PLAIN}right\ncat:{PLAIN}right\ndan:{PLAIN}right\njoe:{PLAIN}right\n"
    house = House(env, FILE + " negative=1h;", users)
    for user in "ann", "bob", "cat", "dan", "joe":
        assert house.login(user, "right") == OK
        assert house.login(user, "right") == OK
        assert cached(house, "client logged in", user) == 1
    put(house, "ann:!right\nbob:{PLAIN}right::::::nologin\ncat:{PLAIN}right::::::allow_nets=192.0.2.0/24\n"
        "joe:{PLAIN}right\neve:{PLAIN}right\n")
    eventually(lambda: house.login("eve", "right") == OK, "the file is read")
    for user in "ann", "bob", "cat", "dan":
        assert REFUSED.fullmatch(house.login(user, "right")), user
    assert house.login("joe", "right") == OK


def test_who_was_refused_may_come_in_when_the_file_says_so(env):
    house = House(env, FILE + " negative=1h;", "joe:{PLAIN}old\n")
    for user in "joe", "eve":
        for _ in range(2):
            assert REFUSED.fullmatch(house.login(user, "new"))
        assert cached(house, "client login failed", user) == 1
    put(house, "joe:{PLAIN}new\neve:{PLAIN}new\n")
    eventually(lambda: house.login("joe", "new") == OK, "the file is read")
    assert house.login("eve", "new") == OK


def test_a_file_that_is_put_back_does_not_bring_back_what_was_said(env):
    """Each reading is another one, though the text is the same."""
    house = House(env, FILE + ";", "joe:{PLAIN}right\n")
    assert house.login("joe", "right") == OK
    put(house, "eve:{PLAIN}right\n")
    eventually(lambda: house.login("eve", "right") == OK, "the file is read")
    assert REFUSED.fullmatch(house.login("joe", "right"))
    put(house, "joe:{PLAIN}right\nann:{PLAIN}right\n")
    eventually(lambda: house.login("ann", "right") == OK, "the file is read")
    before = cached(house, "client logged in")
    assert house.login("joe", "right") == OK
    assert cached(house, "client logged in") == before


def test_a_bad_file_voids_nothing(env):
    house = House(env, FILE + ";", "joe:{PLAIN}right\n")
    assert house.login("joe", "right") == OK
    put(house, "joe:{NOSUCH}right\n")
    house.postern.wait_log("what was read before stays in force")
    assert house.login("joe", "right") == OK
    assert cached(house, "client logged in") == 1


# -- whose answers they are

def test_a_user_comes_in_only_from_where_the_file_allows(env):
    house = House(env, FILE + " negative=1h;", f"joe:{{PLAIN}}right::::::allow_nets={env.ip(20)}\n")
    for _ in range(3):
        assert house.login("joe", "right", env.ip(20)) == OK
        assert REFUSED.fullmatch(house.login("joe", "right", env.ip(21)))
    assert cached(house, "client logged in") == cached(house, "client login failed") == 2


def logins(env, port, protocol):
    """Logs in by each way to show a password."""
    said = {"imap": [b"a LOGIN joe right\r\n", b"a AUTHENTICATE PLAIN " + b64(b"", b"joe", b"right") + b"\r\n"],
            "pop3": [b"USER joe\r\nPASS right\r\n", b"AUTH PLAIN " + b64(b"", b"joe", b"right") + b"\r\n"],
            "smtp": [b"EHLO x\r\nAUTH PLAIN " + b64(b"", b"joe", b"right") + b"\r\n"]}[protocol]
    for words in said:
        client = Wire.to((env.ip(), port))
        client.line()
        client.send(words)
        while not re.match(rb"(a OK|\+OK backend PASS|235|a NO|-ERR|5)", line := client.line()):
            assert line, words
        assert line[:4] in (b"a OK", b"+OK ", b"235 "), line
        client.close()


def test_another_protocol_or_name_finds_nothing(env):
    env.keep(Listener((env.ip(2), 110), pop3_backend))
    env.keep(Listener((env.ip(2), 25), smtp_backend))
    ports = {"imap": 143, "pop3": 110, "smtp": 25}
    house = House(env, HTTP + "; " + "".join(
        "server {{ listen " + f"{env.ip()}:{port}; {text} }}}} " for port, text in (
            (110, "protocol pop3;"), (25, "protocol smtp; xclient off;"), (1143, "protocol imap;"),
            (2143, "protocol imap; server_name other.example.com;"))),
        answer=lambda request: accept(env.ip(2), ports[request["Auth-Protocol"]]))
    for count, (port, protocol) in enumerate(((143, "imap"), (110, "pop3"), (25, "smtp"), (2143, "imap")), 1):
        logins(env, port, protocol)
        assert len(house.asked()) == count, protocol
    logins(env, 1143, "imap")           # differs in nothing
    assert len(house.asked()) == 4


def test_a_login_for_another_finds_nothing(env):
    """A login with an authorization identity is a question of its own, and so is one by TLS."""
    authority = Authority(env)
    certificate, key = authority.issue("mail.example.com")
    house = House(env, HTTP + "; server {{ " + f"listen {env.ip()}:993 ssl; protocol imap; "
                  f"ssl_certificate {certificate}; ssl_certificate_key {key}; }}}}", answer=accept(env.ip(2), 143))

    def login(authz, client=None):
        client = client or house.client()
        client.send(b"a AUTHENTICATE PLAIN " + b64(authz, b"joe", b"right") + b"\r\n")
        assert client.line().startswith(b"a OK")

    def secure():
        client = Wire.to((env.ip(), 993)).secure(authority.trust())
        client.line()
        return client
    login(b"")
    login(b"jim")
    login(b"jim")
    assert [request.get("Auth-Authz") for request in house.auth.requests] == [None, "jim"]
    login(b"", secure())
    login(b"", secure())
    login(b"")
    assert len(house.asked()) == 3


def test_a_login_by_tls_is_another_one(env):
    """A source that hears nothing of TLS is asked again all the same."""
    authority = Authority(env)
    certificate, key = authority.issue("mail.example.com")
    house = House(env, FILE + "; server {{ " + f"listen {env.ip()}:993 ssl; protocol imap; "
                  f"ssl_certificate {certificate}; ssl_certificate_key {key}; }}}}", "joe:{PLAIN}right\n")
    for count in range(2):
        assert house.login("joe", "right") == OK
        assert cached(house, "client logged in") == count
        client = Wire.to((env.ip(), 993)).secure(authority.trust())
        client.line()
        client.send(b"a LOGIN joe right\r\n")
        client.expect(OK)
        assert cached(house, "client logged in") == 2 * count
        client.close()


def test_what_is_no_password_is_never_remembered(env):
    """A digest is of one challenge, and a certificate is looked at each time."""
    authority = Authority(env)
    certificate, key = authority.issue("mail.example.com")
    context = authority.trust(client=authority.issue("joe"))
    env.keep(Listener((env.ip(2), 110), pop3_backend))
    ports = {"imap": 143, "pop3": 110}
    house = House(env, HTTP + f" negative=1h; ssl_certificate {certificate}; ssl_certificate_key {key}; "
                  f"ssl_verify_client on; ssl_client_certificate {authority.certificate}; "
                  "server {{ listen " + f"{env.ip()}:993 ssl; protocol imap; imap_auth external cram-md5; }}}} "
                  "server {{ listen " + f"{env.ip()}:995 ssl; protocol pop3; pop3_auth apop; }}}}",
                  answer=lambda request: accept(env.ip(2), ports[request["Auth-Protocol"]], Auth_User="joe",
                                                Auth_Pass="right"))

    def client(port):
        wire = Wire.to((env.ip(), port)).secure(context)
        return wire, wire.line()
    for _ in range(3):
        wire, _ = client(993)
        wire.send(b"a AUTHENTICATE EXTERNAL " + b64(b"joe") + b"\r\n")
        wire.expect(re.compile(rb"a OK.*"))
        wire, _ = client(993)
        wire.send(b"a AUTHENTICATE CRAM-MD5\r\n")
        challenge = base64.b64decode(wire.line()[2:])
        wire.send(b64(b"joe " + hmac.new(b"right", challenge, "md5").hexdigest().encode()) + b"\r\n")
        wire.expect(re.compile(rb"a OK.*"))
        wire, greeting = client(995)
        stamp = re.search(rb"<.*>", greeting).group()
        wire.send(b"APOP joe " + hashlib.md5(stamp + b"right").hexdigest().encode() + b"\r\n")
        wire.expect(re.compile(rb"\+OK.*"))
    methods = [request["Auth-Method"] for request in house.auth.requests]
    assert sorted(methods) == ["apop"] * 3 + ["cram-md5"] * 3 + ["external"] * 3, methods
    assert "(cached)" not in house.postern.log()


def test_a_second_attempt_of_a_session_is_a_question_of_its_own(env):
    """An auth server may go by the number of the attempt."""
    house = House(env, HTTP + " negative=1h;", answer=only_right(env))
    client = house.begin("joe", "wrong")
    client.expect(b"a NO Invalid login")
    client.send(b"a LOGIN joe right\r\n")
    client.expect(OK)
    assert house.login("joe", "right") == OK
    assert [request["Auth-Login-Attempt"] for request in house.auth.requests] == ["1", "2", "1"]


# -- refusals, and what is no answer

def test_a_refusal_that_is_remembered_is_said_in_the_same_words(env):
    refusals = {"text": {"Auth-Status": "Your mailbox has moved", "Auth-Wait": "1"},
                "closed": {"Auth-Status": "Go away"},
                "code": {"Auth-Status": "Too many of you", "Auth-Wait": "1", "Auth-Error-Code": "454 4.7.0"}}
    env.keep(Listener((env.ip(2), 25), smtp_backend))
    house = House(env, HTTP + " negative=1h; server {{ listen " + f"{env.ip()}:25; protocol smtp; }}}}",
                  answer=lambda request: refusals[request["Auth-User"]])

    def hear():
        """What each of them is told, to the end of its connection."""
        clients = {(user, port): Wire.to((env.ip(), port)) for user in refusals for port in (143, 25)}
        for (user, port), client in clients.items():
            client.send(b"EHLO x\r\nAUTH PLAIN " + b64(b"", user.encode(), b"x") + b"\r\nQUIT\r\n" if port == 25 else
                        f"a LOGIN {user} x\r\nb LOGOUT\r\n".encode())
        return {who: client.rest() for who, client in clients.items()}
    first = hear()
    for (user, port), said in first.items():
        assert refusals[user]["Auth-Status"].encode() in said, said
        assert (b"454 4.7.0 " in said) == (port == 25 and user == "code"), said
        assert (b"b OK" in said or b"221" in said) == (user != "closed"), said
    assert len(house.asked()) == 6
    assert hear() == first
    assert len(house.asked()) == 6


def test_who_is_not_known_is_remembered_source_by_source(env):
    house = House(env, "{http}; {file}; {backend} " + CACHE + " negative=1h;", "joe:{PLAIN}right\n", answer=unknown)
    for _ in range(3):
        assert house.login("joe", "right") == OK
        assert REFUSED.fullmatch(house.login("joe", "wrong"))
        assert REFUSED.fullmatch(house.login("jim", "right"))
    assert sorted(house.asked()) == ["jim", "joe", "joe"]
    house.decided("client logged in", "joe", f"auth_file {house.file} (cached)", 2)
    put(house, "jim:{PLAIN}right\n")
    eventually(lambda: house.login("jim", "right") == OK, "the file is read")
    assert REFUSED.fullmatch(house.login("joe", "right"))
    assert sorted(house.asked()) == ["jim", "joe", "joe"]


def test_refusals_are_not_remembered_unless_it_is_said(env):
    house = House(env, FILE + ";", "joe:{PLAIN}right\n")
    for user in "joe", "jim":
        for _ in range(2):
            assert REFUSED.fullmatch(house.login(user, "wrong"))
    assert "(cached)" not in house.postern.log()


def test_what_is_known_lets_in_while_its_source_is_away(env):
    house = House(env, HTTP + " negative=1h;", answer=only_right(env))
    assert house.login("joe", "right") == OK
    assert house.login("joe", "wrong") == b"a NO Invalid login"
    house.auth.answer = lambda request: None
    assert house.login("joe", "right") == OK
    assert house.login("joe", "wrong") == b"a NO Invalid login"
    for password in "other", "other":
        assert house.login("joe", password) == NOT_NOW
    assert house.login("jim", "right") == NOT_NOW
    house.auth.answer = only_right(env)
    assert house.login("joe", "other") == b"a NO Invalid login"
    assert house.login("jim", "right") == OK


def test_an_auth_server_that_wants_to_be_asked_again_is(env):
    """What it says behind its WAIT holds for that login alone."""
    answers = []
    house = House(env, HTTP + ";", answer=lambda request: {"Auth-Status": "WAIT", "Auth-Wait": "1"}
                  if answers.append(1) or len(answers) % 2 else accept(env.ip(2), 143))
    assert house.login("joe", "right") == OK
    assert house.login("joe", "right") == OK
    assert len(answers) == 4


def test_a_backend_that_decides_is_asked_each_time(env):
    house = House(env, "{file}; auth_passthrough on; {backend} " + CACHE + " negative=1h;", "jim:{PLAIN}right\n")
    for count in range(1, 4):
        assert house.login("joe", "right") == OK
        assert len(house.heard) == count
    assert cached(house, "client logged in", "joe", f"auth_passthrough {env.ip(2)}") == 0


# -- guessing

@weight(8)
def test_no_number_of_wrong_guesses_displaces_who_is_in(env):
    """The smallest zone, whose refusals have room for a few: thousands of them, for this user, others, and nobody."""
    users = "".join(f"user{i}:{{PLAIN}}right\n" for i in range(4))
    house = House(env, "{file}; {backend} auth_cache zone=logins:32k ttl=1h negative=1h; max_errors 10000;", users,
                  level="info")
    for i in range(4):
        assert house.login(f"user{i}", "right") == OK
    before = len(house.postern.wait_log("client logged in", 4))
    for guesser in range(4):
        client = house.client()
        for first in range(0, 1000, 100):
            client.send(b"".join(f"g{n} LOGIN {who} wrong{n}\r\n".encode() for n in range(first, first + 50)
                                 for who in (f"user{n % 4}", f"nobody{n}")))
            for _ in range(100):
                assert b" NO " in client.line()
        client.close()
    for i in range(4):
        assert house.login(f"user{i}", "right") == OK
    house.postern.wait_log("client logged in", before + 4)
    assert [cached(house, "client logged in", f"user{i}") for i in range(4)] == [1] * 4


def test_more_users_than_there_is_room_for_come_in_all_the_same(env):
    count = 300
    house = House(env, "{file}; {backend} auth_cache zone=logins:32k ttl=1h;",
                  "".join(f"user{i}:{{PLAIN}}right{i}\n" for i in range(count)), level="info")
    for _ in range(2):
        for i in range(count):
            assert house.login(f"user{i}", f"right{i}") == OK
    for i in range(0, count, 7):
        assert REFUSED.fullmatch(house.login(f"user{i}", f"right{i + 1}"))


# -- what lies in memory

def shared_memory(pid, name="postern-zone"):
    """All that a process sees of such mappings."""
    found = b""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            if f"memfd:{name}" in line:
                start, end = (int(x, 16) for x in line.split()[0].split("-"))
                end = min(end, start + (2 << 20))       # behind the table are ledgers, which a cache does not have
                memory.seek(start)
                found += memory.read(end - start)
    return found


def forms(text):
    """How it might be found: as it is, reversed, in base64 at each offset, percent-encoded, in hex, hashed."""
    raw = text.encode()
    yield raw
    yield raw[::-1]
    yield raw.hex().encode()
    yield "".join(f"%{byte:02X}" for byte in raw).encode()
    for shift in range(3):
        yield base64.b64encode(b"\0" * shift + raw)[4 if shift else 0:-4]
    for name in "md5", "sha1", "sha256", "sha512":
        yield hashlib.new(name, raw).digest()[:16]
        yield hashlib.new(name, raw).hexdigest()[:32].encode()


def test_nothing_that_was_said_lies_in_shared_memory(env):
    def answer(request):
        if request["Auth-User"] == "joe-of-the-mill":
            return accept(env.ip(2), 143, Auth_User="joe-at-the-backend", Auth_Pass=BACKEND_PASSWORD)
        return {"Auth-Status": "No-room-at-the-inn", "Auth-Wait": "1"}
    house = House(env, HTTP + " negative=1h;", answer=answer)
    pid, = house.postern.children()
    assert shared_memory(pid).strip(b"\0")
    before = len(shared_memory(pid).replace(b"\0", b""))
    for _ in range(2):
        assert house.login("joe-of-the-mill", PASSWORD) == OK
        assert house.login("eve-of-the-mill", PASSWORD) == b"a NO No-room-at-the-inn"
    assert len(house.asked()) == 2
    memory = shared_memory(pid)
    assert len(memory.replace(b"\0", b"")) > before + 600, "two answers lie there"
    for text in (PASSWORD, BACKEND_PASSWORD, "joe-of-the-mill", "eve-of-the-mill", "joe-at-the-backend", env.ip(2),
                 "No-room-at-the-inn", *(f"joe-of-the-mill{between}{PASSWORD}" for between in ("", "\0", ":"))):
        for form in forms(text):
            assert form not in memory, (text, form)


def all_memory(pid):
    """All that a process can write to, but for what it shares, and for the vast shadow of AddressSanitizer."""
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            where, mode = line.split()[:2]
            if mode.startswith("rw-p"):
                start, end = (int(x, 16) for x in where.split("-"))
                if end - start < 64 << 20:
                    memory.seek(start)
                    found.append(memory.read(end - start))
    return b"\n".join(found)


def test_no_password_stays_with_a_worker_that_has_let_in_its_user(env):
    house = House(env, HTTP + " negative=1h;",
                  answer=lambda request: accept(env.ip(2), 143, Auth_Pass=BACKEND_PASSWORD))
    clients = [house.begin("joe", PASSWORD) for _ in range(3)]
    for client in clients:
        client.expect(OK)
    pid, = house.postern.children()
    memory = all_memory(pid)
    assert b"mail.example.com" in memory
    for text in PASSWORD, BACKEND_PASSWORD:
        where = memory.find(text.encode())
        assert where == -1, memory[max(0, where - 200):where + 100]
