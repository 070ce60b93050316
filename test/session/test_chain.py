"""Several sources of one server, what is remembered of their answers, and what a failed login costs."""
import re

from harness import Wire, eventually, weight
from peers import AuthHttp, Listener, accept, imap_backend
from stage import b64

OK = b"a OK backend LOGIN"
REFUSED = re.compile(rb"a NO (\[AUTHENTICATIONFAILED\] )?.*")
NOT_NOW = b"a NO [UNAVAILABLE] Temporary failure, try again later."


class House:
    """An IMAP server of postern's, and whom it asks. `mail` is its text, with {file}, {http} and {backend} in it."""

    def __init__(self, env, mail, users="", answer=None, backend=imap_backend, more="", **options):
        self.env, self.heard = env, []
        self.file = env.write("users", users, 0o600)
        env.keep(Listener((env.ip(2), 143), lambda wire: backend(wire, on_command=self.heard.append)))
        self.auth = env.keep(AuthHttp((env.ip(3), 9000), answer or accept(env.ip(2), 143)))
        text = mail.format(file=f"auth_file {self.file}", http=f"auth_http {env.ip(3)}:9000/auth",
                           backend=f"proxy_pass {env.ip(2)};")
        self.postern = env.postern(f"{text} server {{ listen {env.ip()}:143; protocol imap; {more} }}", **options)

    def client(self, source=None):
        client = Wire.to((self.env.ip(), 143), source)
        client.line()
        return client

    def begin(self, user, password, source=None):
        client = self.client(source)
        client.send(f"a LOGIN {user} {password}\r\n".encode())
        return client

    def login(self, user, password, source=None):
        """The answer to a login."""
        client = self.begin(user, password, source)
        line = client.line().rstrip(b"\r\n")
        client.close()
        return line

    def asked(self):
        """Of whom the auth server has been asked."""
        return [request["Auth-User"] for request in self.auth.requests]

    def decided(self, event, user, source, count=1):
        """The log names the source behind such a line about the user."""
        self.postern.wait_log(f'{event}.*login: "{re.escape(user)}".*, source: {re.escape(source)}, session: ', count)


def refuse(request):
    return {"Auth-Status": "Invalid login", "Auth-Wait": "1"}


def unknown(request):
    return {"Auth-Status": "no such user", "Auth-Wait": "1", "Auth-Unknown-User": "on"}


# -- the chain

def test_only_an_unknown_user_is_asked_about_further_on(env):
    house = House(env, "{file}; {http}; {backend}", "joe:{PLAIN}right\n")
    file, http = f"auth_file {house.file}", f"auth_http {env.ip(3)}:9000/auth"
    assert house.login("joe", "right") == OK
    assert REFUSED.fullmatch(house.login("joe", "wrong"))
    assert house.asked() == []
    assert house.login("jim", "any") == OK
    assert house.asked() == ["jim"]
    house.decided("client logged in", "joe", file)
    house.decided("client login failed", "joe", file)
    house.decided("client logged in", "jim", http)
    house.decided("proxied session done", "jim", http)


def test_an_auth_server_may_not_know_a_user(env):
    house = House(env, "{http}; {file}; {backend}", "joe:{PLAIN}right\n",
                  answer=lambda request: (unknown if request["Auth-User"] != "jim" else refuse)(request))
    assert house.login("joe", "right") == OK
    assert REFUSED.fullmatch(house.login("joe", "wrong"))
    assert house.login("jim", "right") == b"a NO Invalid login"
    assert REFUSED.fullmatch(house.login("nobody", "right"))
    house.decided("client login failed", "nobody", f"auth_file {house.file}")
    house.decided("client login failed", "jim", f"auth_http {env.ip(3)}:9000/auth")


def test_the_last_one_that_does_not_know_a_user_has_the_words(env):
    house = House(env, "{file}; {http}; {backend}", "joe:{PLAIN}right\n", answer=unknown)
    assert house.login("jim", "right") == b"a NO no such user"


def test_nobody_gets_around_a_source_that_cannot_answer(env):
    house = House(env, "{http}; {file}; {backend}", "joe:{PLAIN}right\n", answer=lambda request: None)
    assert house.login("joe", "right") == NOT_NOW
    assert not house.heard


def test_a_pattern_says_who_is_asked(env):
    house = House(env, "{file} match=*@example.org match=root; {http} match=*@example.net; {backend}",
                  "joe@example.org:{PLAIN}right\nroot:{PLAIN}right\njoe@example.net:{PLAIN}right\n")
    assert REFUSED.fullmatch(house.login("joe@EXAMPLE.ORG", "right"))   # who is in the file is spelled there
    assert house.login("joe@example.org", "right") == OK
    assert house.login("root", "right") == OK
    assert house.asked() == []
    assert house.login("joe@example.net", "any") == OK
    assert REFUSED.fullmatch(house.login("joe@example.com", "right"))
    assert house.asked() == ["joe@example.net"]
    house.postern.wait_log('client login failed: "unknown user".*login: "joe@example.com", session: ')


# -- passthrough

def picky_backend(wire, on_command):
    imap_backend(wire, user=b"joe", password=b"right", on_command=on_command)


def test_the_backend_decides_where_nobody_else_does(env):
    house = House(env, "{file}; auth_passthrough on; {backend}", "jim:{PLAIN}right\n", backend=picky_backend)
    assert house.login("joe", "right") == OK
    client = house.begin("joe", "wrong")
    client.expect(REFUSED)
    client.send(b"a LOGIN joe right\r\n")   # its session goes on
    client.expect(OK)
    house.decided("client login failed", "joe", f"auth_passthrough {env.ip(2)}")
    house.decided("client logged in", "joe", f"auth_passthrough {env.ip(2)}", 2)
    del house.heard[:]
    assert REFUSED.fullmatch(house.login("jim", "wrong"))
    assert house.heard == []


def plain_backend(wire, on_command):
    imap_backend(wire, capability="IMAP4rev1 AUTH=PLAIN SASL-IR", on_command=on_command)


def test_the_backend_judges_whom_the_client_wants_to_be(env):
    house = House(env, "auth_passthrough on; {backend}", backend=plain_backend)
    client = house.client()
    client.send(b"a AUTHENTICATE PLAIN " + b64(b"ann", b"joe", b"right") + b"\r\n")
    client.expect(b"a OK backend AUTHENTICATE")
    assert house.heard == [b"a AUTHENTICATE PLAIN " + b64(b"ann", b"joe", b"right") + b"\r\n"]


def test_nobody_is_meant_where_the_backend_could_not_be_told(env):
    house = House(env, "auth_passthrough on; {backend} proxy_auth login;")
    client = house.client()
    client.send(b"a AUTHENTICATE PLAIN " + b64(b"ann", b"joe", b"right") + b"\r\n")
    client.expect(REFUSED)
    assert house.heard == []


def test_a_backend_that_is_not_there_lets_nobody_in(env):
    house = House(env, f"auth_passthrough on; proxy_pass {env.ip(9)}:9;")
    assert house.login("joe", "right") == NOT_NOW


def preauth_backend(wire, on_command):
    wire.send(b"* PREAUTH [CAPABILITY IMAP4rev1] come in\r\n")
    on_command(wire.line())


def test_a_backend_that_lets_everybody_in_decides_nothing(env):
    house = House(env, "auth_passthrough on; {backend}", backend=preauth_backend)
    assert house.login("joe", "any") == NOT_NOW
    assert "client logged in" not in house.postern.log()


# -- the silence after a refusal

def test_a_refused_client_waits_and_nobody_else(env):
    house = House(env, "{file}; {backend} auth_failure_delay 1s;", "joe:{PLAIN}right\n")
    refused = house.begin("joe", "wrong")
    house.postern.wait_log("client login failed")
    assert house.login("joe", "right") == OK        # meanwhile
    assert refused.held == b""
    refused.quiet(0.1)
    refused.expect(REFUSED)
    refused.send(b"a LOGIN joe right\r\n")
    refused.expect(OK)


@weight(8)
def test_each_further_refusal_of_a_session_takes_longer(env):
    """The third of one client is begun before the first of another, and said behind it."""
    house = House(env, "{file}; {backend} auth_failure_delay 1s;", "joe:{PLAIN}right\n")
    patient = house.begin("joe", "wrong")
    patient.expect(REFUSED)
    patient.send(b"a LOGIN joe wrong\r\n")
    patient.expect(REFUSED)
    patient.send(b"a LOGIN joe wrong\r\n")
    house.postern.wait_log("client login failed", 3)
    fresh = house.begin("joe", "wrong")
    fresh.expect(REFUSED)
    patient.expect(REFUSED)
    said = house.postern.wait_log("asking -> dialogue", 4)
    numbers = [re.search(r"\*(\d+) ", line).group(1) for line in said]
    assert numbers[0] == numbers[1] == numbers[3] != numbers[2], numbers


def test_who_leaves_during_the_silence_is_not_waited_for(env):
    house = House(env, "{file}; {backend} auth_failure_delay 600s;", "joe:{PLAIN}right\n")
    half = house.begin("joe", "wrong")
    house.postern.wait_log("client login failed")
    half.finish()
    half.expect(REFUSED)
    half.expect_end()
    gone = house.begin("joe", "wrong")
    house.postern.wait_log("client login failed", 2)
    gone.reset()
    house.postern.wait_log(r"asking -> dead", 1)


def test_a_backends_refusal_waits_as_a_sources(env):
    house = House(env, "auth_passthrough on; {backend} auth_failure_delay 600s;", backend=picky_backend)
    refused = house.begin("joe", "wrong")
    house.postern.wait_log("login -> overruled")
    refused.quiet(0.1)
    refused.finish()
    refused.expect(REFUSED)
    refused.expect_end()
    gone = house.begin("joe", "wrong")
    house.postern.wait_log("login -> overruled", 2)
    gone.reset()
    house.postern.wait_log("overruled -> dead", 1)


# -- the cache

CACHED = "{http}; {backend} auth_cache zone=logins:1m ttl=1h"


def only_right(env):
    return lambda request: accept(env.ip(2), 143) if request["Auth-Pass"] == "right" else \
        {"Auth-Status": "Invalid login", "Auth-Wait": "1"}


def test_all_workers_know_what_one_was_told(env):
    house = House(env, CACHED + ";", answer=only_right(env), workers=4)
    for _ in range(20):
        assert house.login("joe", "right") == OK
    assert house.asked() == ["joe"]
    source = f"auth_http {env.ip(3)}:9000/auth"
    house.decided("client logged in", "joe", source)
    house.decided("client logged in", "joe", source + " (cached)", 19)


def test_the_cache_answers_the_same_question_only(env):
    house = House(env, CACHED + ";", answer=only_right(env))
    assert house.login("joe", "right", env.ip(20)) == OK
    for _ in range(3):
        assert house.login("joe", "wrong", env.ip(20)) == b"a NO Invalid login"
    assert len(house.asked()) == 4
    assert house.login("joe", "right", env.ip(21)) == OK
    assert len(house.asked()) == 5
    assert house.login("jim", "right", env.ip(20)) == OK
    assert len(house.asked()) == 6
    assert house.login("joe", "right", env.ip(20)) == OK
    assert house.login("joe", "right", env.ip(21)) == OK
    assert len(house.asked()) == 6


def test_refusals_are_remembered_where_it_is_said(env):
    house = House(env, CACHED + " negative=1h;", answer=only_right(env))
    for _ in range(3):
        assert house.login("joe", "wrong") == b"a NO Invalid login"
    assert house.asked() == ["joe"]
    assert house.login("joe", "right") == OK
    house.decided("client login failed", "joe", f"auth_http {env.ip(3)}:9000/auth (cached)", 2)


def test_a_reload_that_leaves_the_source_alone_keeps_what_is_known(env):
    house = House(env, CACHED + ";", answer=only_right(env))
    assert house.login("joe", "right") == OK
    workers = house.postern.children()
    text = house.postern.config.read_text()
    house.postern.config.write_text(text.replace("protocol imap;", "protocol imap; timeout 30s;"))
    house.postern.kill(1)
    eventually(lambda: not set(workers) & set(house.postern.children()) and house.postern.children(), "a reload")
    assert house.login("joe", "right") == OK
    assert house.asked() == ["joe"]


def test_a_changed_file_voids_what_it_has_said(env):
    house = House(env, "{file}; {backend} auth_cache zone=logins:1m ttl=1h negative=1h;", "joe:{PLAIN}right\n")
    assert house.login("joe", "right") == OK
    assert house.login("joe", "right") == OK
    assert REFUSED.fullmatch(house.login("joe", "new"))
    house.decided("client logged in", "joe", f"auth_file {house.file} (cached)")
    env.write("users.new", "joe:{PLAIN}new\n", 0o600).rename(house.file)
    eventually(lambda: house.login("joe", "new") == OK, "the new password is taken")
    assert REFUSED.fullmatch(house.login("joe", "right"))


def test_a_cache_never_remembers_what_nobody_could_say(env):
    answers = [None, accept(env.ip(2), 143)]
    house = House(env, CACHED + " negative=1h;", answer=lambda request: answers.pop(0))
    assert house.login("joe", "right") == NOT_NOW
    assert house.login("joe", "right") == OK
    assert house.login("joe", "right") == OK
