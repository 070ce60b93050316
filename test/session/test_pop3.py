"""POP3 before login, and what goes with it to the backend."""
import re
import time

from harness import eventually
from peers import accept
from stage import SECRET, Counter, Cutter, Stage, b64, check_all, cut_everywhere, listen_to_all, trickle, wait_requests

PLAIN = b64(b"", b"joe", SECRET)
INVALID = b"-ERR invalid command\r\n"
WRONG = b"-ERR [AUTH] Authentication failed\r\n"
LATER = b"-ERR [SYS/TEMP] Temporary failure, try again later\r\n"
DIGEST = b"0123456789abcdef0123456789ABCDEF"
LOGIN = b"+OK\r\n+OK backend PASS\r\n"

SERVERS = {
    "": "pop3_auth plain;",
    "all": "pop3_auth plain apop cram-md5 external; pop3_capabilities TOP USER PIPELINING;",
    "digests": "pop3_auth apop cram-md5;",
    "external": "pop3_auth external;",
    "small": "pop3_client_buffer 200;",
    "errors": "max_errors 2;",
    "commands": "max_commands 3;",
}

SAID_AND_HEARD = [
    # capabilities
    ("", b"CAPA\r\n", b"+OK Capability list follows\r\nTOP\r\nUSER\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nSASL PLAIN LOGIN\r\n.\r\n"),
    ("all", b"capa\n", b"+OK Capability list follows\r\nTOP\r\nUSER\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
     b"SASL PLAIN LOGIN CRAM-MD5\r\n.\r\n"),
    ("digests", b"CAPA\r\n", b"+OK Capability list follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nSASL CRAM-MD5\r\n.\r\n"),
    ("", b"AUTH\r\n", b"+OK methods supported:\r\nPLAIN\r\nLOGIN\r\n.\r\n"),
    ("digests", b"AUTH\r\n", b"+OK methods supported:\r\nCRAM-MD5\r\n.\r\n"),
    # before login
    ("", b"NOOP\r\nnoop\nQUIT\r\nNOOP\r\n", b"+OK\r\n+OK\r\n+OK\r\n"),
    ("", b"STAT\r\nSTLS\r\nLIST\r\nNOOP\r\n", 3 * INVALID + b"+OK\r\n"),
    ("", b"PASS x\r\nUSER\r\nUSER \r\nUSER joe\r\nPASS\r\nPASS x\r\n", 3 * INVALID + b"+OK\r\n" + 2 * INVALID),
    # limits
    ("errors", b"X\r\nX\r\nX\r\nNOOP\r\n", 2 * INVALID),
    ("commands", b"NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n", b"+OK\r\n+OK\r\n+OK\r\n"),
    ("commands", 4 * b"AUTH PLAIN\r\n*\r\n", 3 * b"+ \r\n-ERR authentication cancelled\r\n"),
    ("small", b"USER joe\r\nPASS " + SECRET + 200 * b"x" + b"\r\nQUIT\r\n", b"+OK\r\n" + INVALID),
    ("small", b"AUTH PLAIN\r\n" + 300 * b"A" + b"\r\nQUIT\r\n",
     b"+ \r\n-ERR authentication exchange line is too long\r\n"),
    ("", b"USER " + 2000 * b"u" + b"\r\nNOOP\r\n", INVALID + b"+OK\r\n"),
    ("", 10000 * b"x", INVALID),
    # what ends a line, and what does not
    ("", b"NOOP\rNOOP\r\nNOOP\0\r\nNO\0OP\r\nNOOP\r\n", 3 * INVALID + b"+OK\r\n"),
    ("", b"USER jo\re\r\nPASS x\r\nUSER jo\0e\r\nPASS x\r\nNOOP\r\n", 4 * INVALID + b"+OK\r\n"),
    # mechanisms: only listed ones
    ("digests", b"USER joe\r\nPASS x\r\nAUTH PLAIN\r\nAUTH LOGIN\r\nAUTH EXTERNAL\r\n", 5 * INVALID),
    ("", b"APOP joe " + DIGEST + b"\r\nAUTH CRAM-MD5\r\nAUTH EXTERNAL " + b64(b"joe") + b"\r\nAUTH NTLM\r\n", 4 * INVALID),
    # cancelling, in each step
    ("all", b"AUTH PLAIN\r\n*\r\nAUTH LOGIN\r\n*\r\nAUTH LOGIN\r\n" + b64(b"joe") + b"\r\n*\r\nAUTH EXTERNAL\r\nNOOP\r\n",
     b"+ \r\n-ERR authentication cancelled\r\n+ VXNlcm5hbWU6\r\n-ERR authentication cancelled\r\n"
     b"+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n-ERR authentication cancelled\r\n"
     b"-ERR [AUTH] No valid client certificate\r\n+OK\r\n"),
    # base64 that is none, and steps that hold too little
    ("", b"AUTH PLAIN !\r\nAUTH PLAIN " + PLAIN + b"=\r\nAUTH PLAIN\r\nA\r\nAUTH PLAIN\r\nAGpvZQBzdG==\r\nAUTH PLAIN =\r\n",
     2 * INVALID + 2 * (b"+ \r\n" + INVALID) + INVALID),
    ("", b"AUTH PLAIN " + b64(b"", b"", b"x") + b"\r\nAUTH PLAIN " + b64(b"", b"joe") + b"\r\nAUTH LOGIN\r\n\r\nNOOP\r\n",
     b"-ERR invalid credentials\r\n" + INVALID + b"+ VXNlcm5hbWU6\r\n-ERR invalid credentials\r\n+OK\r\n"),
]


def login_lines(user, password):
    """Every form of SASL in which a client can send these."""
    return [
        b"AUTH PLAIN " + b64(b"", user, password) + b"\r\n",
        b"auth plain\r\n" + b64(user, user, password) + b"\r\n",
        b"AUTH LOGIN " + b64(user) + b"\r\n" + b64(password) + b"\r\n",
        b"AUTH LOGIN\r\n" + b64(user) + b"\r\n" + b64(password) + b"\r\n",
    ]


def test_before_login_every_line_has_its_answer(env):
    stage = Stage(env, "pop3", SERVERS)
    check_all(stage, SAID_AND_HEARD)
    stage.untouched()
    log = stage.postern.log()
    assert "client sent too many invalid commands" in log and "client sent too many commands" in log
    assert 'client sent too long command "PASS...' in log
    assert "client sent invalid base64 encoding in AUTH PLAIN command" in log


def test_only_digests_put_a_challenge_into_the_greeting(env):
    stage = Stage(env, "pop3", SERVERS)
    seen = set()
    for server in SERVERS:
        client = stage.connect(server)
        line = client.line()
        salt = re.fullmatch(rb"\+OK POP3 ready( <\d+\.\d+@mail\.example\.com>)?\r\n", line)
        assert salt and bool(salt.group(1)) == (server in ("all", "digests")), line
        assert line not in seen or not salt.group(1)
        seen.add(line)
        client.close()


def test_every_form_of_login_asks_the_same(env):
    stage = Stage(env, "pop3")
    lines = login_lines(b"joe doe", SECRET) + [b"USER joe doe\r\nPASS " + SECRET + b"\r\n",
                                               b"USER x\r\nUSER joe doe\r\nNOOP\r\nPASS " + SECRET + b"\r\n"]
    for line in lines:
        heard = stage.say(line + b"QUIT\r\n")
        assert heard.endswith(b"+OK backend PASS\r\n+OK bye\r\n"), (line, heard)
        request = stage.auth.requests[-1]
        assert (request["Auth-Method"], request.decoded("Auth-User"), request["Auth-Pass"]) == ("plain", b"joe doe", SECRET.decode())
        assert request["Auth-Protocol"] == "pop3" and request["Auth-Login-Attempt"] == "1"
    assert len(stage.auth.requests) == len(lines)
    assert stage.heard == [b"USER joe doe\r\n", b"PASS " + SECRET + b"\r\n", b"QUIT\r\n"] * len(lines)


def test_blanks_belong_to_what_user_and_pass_give(env):
    stage = Stage(env, "pop3")
    stage.say(b"USER  j o e \r\nPASS  a%b  c \r\n")
    request = stage.auth.requests[-1]
    assert (request.decoded("Auth-User"), request.decoded("Auth-Pass")) == (b" j o e ", b" a%b  c ")
    stage.say("USER jörg\r\nPASS \udcff\r\n".encode(errors="surrogateescape"))
    assert stage.heard == [b"USER  j o e \r\n", b"PASS  a%b  c \r\n", "USER jörg\r\n".encode(), b"PASS \xff\r\n"]


def test_apop_and_cram_md5_are_asked_with_what_they_have(env):
    stage = Stage(env, "pop3", {"": "pop3_auth apop cram-md5;"},
                  answer=lambda request: accept(env.ip(2), 2000, Auth_User="real joe", Auth_Pass="other"))
    for method, said in (("apop", b"APOP joe doe " + DIGEST + b"\r\n"),
                         ("cram-md5", b"AUTH CRAM-MD5\r\n" + b64(b"joe doe " + DIGEST) + b"\r\n")):
        client = stage.connect()
        salt = client.line().split()[-1]
        client.send(said)
        if method == "cram-md5":
            client.expect(b"+ " + b64(salt))
        client.expect(b"+OK backend PASS")
        request = stage.auth.requests[-1]
        assert (request["Auth-Method"], request.decoded("Auth-User"), request["Auth-Pass"], request["Auth-Salt"]) == \
            (method, b"joe doe", DIGEST.decode(), salt.decode())
        client.close()
    assert stage.heard == 2 * [b"USER real joe\r\n", b"PASS other\r\n"]


def test_an_auth_server_without_a_password_for_a_digest_is_a_temporary_failure(env):
    stage = Stage(env, "pop3", {"": "pop3_auth apop;"})
    assert stage.say(2 * (b"APOP joe " + DIGEST + b"\r\n") + b"NOOP\r\n") == 2 * LATER + b"+OK\r\n"
    assert stage.backend.accepted == 0
    stage.postern.wait_log("auth http server .* did not send password", 2)


def test_a_wrong_digest_asks_nobody(env):
    stage = Stage(env, "pop3", {"": "pop3_auth apop cram-md5;"})
    for response in (b"", b"joe", b"joe ", b"joe 0123", b"joe" + DIGEST, b" " + DIGEST, b"joe " + 32 * b"g", b"joe " + 33 * b"0"):
        assert stage.say(b"APOP " + response + b"\r\nNOOP\r\n") == INVALID + b"+OK\r\n", response
        heard = stage.say(b"AUTH CRAM-MD5\r\n" + b64(response) + b"\r\nNOOP\r\n").split(b"\r\n")
        assert heard[1].startswith(b"-ERR ") and heard[2] == b"+OK", (response, heard)
    stage.untouched()


def test_lines_never_come_out_of_credentials(env):
    """nginx copied them to the backend, where one credential became two commands."""
    stage = Stage(env, "pop3", {"": "pop3_auth plain cram-md5 external;"})
    for bad in (b"\r", b"\n", b"\0", b"\r\nDELE 1"):
        for user, password in ((b"jo" + bad + b"e", b"x"), (b"joe", b"x" + bad + b"y"), (bad, b"x"), (b"joe", bad)):
            for line in login_lines(user, password):
                if b"\0" in bad and b"plain" in line.lower():
                    continue
                heard = stage.say(line + b"NOOP\r\n")
                assert b"-ERR invalid credentials\r\n" in heard and heard.endswith(b"+OK\r\n"), (line, heard)
    for line in (b"AUTH CRAM-MD5\r\n" + b64(b"jo\ne " + DIGEST),
                 b"AUTH PLAIN " + b64(b"", b"joe", b"x", b"y")):
        assert b"-ERR invalid credentials\r\n" in stage.say(line + b"\r\n"), line
    stage.untouched()
    assert all(re.match(r"\d{4}/\d\d/\d\d ", line) for line in stage.postern.log().splitlines())


def test_what_follows_the_login_reaches_the_backend_once_and_in_order(env):
    payload = b"".join(b"TOP %d 0\r\n" % i for i in range(20000))
    got = []

    def backend(wire):
        wire.send(b"+OK hello\r\n")
        wire.line()
        wire.send(b"+OK\r\n")
        wire.line()
        wire.send(b"+OK in\r\n" + payload)
        got.append(wire.rest())
    stage = Stage(env, "pop3", {"": "", "small": "pop3_client_buffer 100; proxy_buffer 100;"}, backend=backend)
    for server in ("", "small"):
        for login in (b"USER joe\r\nPASS x\r\n", b"AUTH PLAIN\r\n" + PLAIN + b"\r\n"):
            client = stage.client(server)
            client.send(b"NOOP\r\n" + login + payload)
            client.finish()
            assert client.rest().endswith(b"\r\n+OK in\r\n" + payload)
            eventually(lambda: got, "the end of the backend")
            assert got.pop() == payload


def test_a_login_is_the_same_wherever_the_client_cuts_it(env):
    stage = Stage(env, "pop3")
    for said, heard in (
            (b"AUTH\r\nX\r\nUSER j e\r\nPASS a b\r\nSTAT\r\nQUIT\r\n",
             b"+OK methods supported:\r\nPLAIN\r\nLOGIN\r\n.\r\n" + INVALID + LOGIN + b"+OK backend STAT\r\n+OK bye\r\n"),
            (b"AUTH PLAIN\r\n*\r\nAUTH LOGIN\r\nam9l\r\neA==\r\nSTAT\r\nQUIT\r\n",
             b"+ \r\n-ERR authentication cancelled\r\n+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n+OK backend PASS\r\n"
             b"+OK backend STAT\r\n+OK bye\r\n")):
        for cut, got in enumerate(cut_everywhere(stage, said)):
            assert got == heard, f"cut at {cut}: {got!r}"


def test_a_login_is_the_same_wherever_the_backend_cuts_it(env):
    counter = Counter()
    pieces = [b"+OK <x@y> hi\r\n", b"+OK user\r\n", b"+OK in\r\n", b"+OK 1 2\r\n.\r\n"]
    whole = b"".join(pieces)

    def backend(wire):
        out = Cutter(wire, counter.next() % (len(whole) + 1))
        out.send(pieces[0])
        wire.expect(b"USER joe")
        out.send(pieces[1])
        wire.expect(b"PASS x")
        out.send(pieces[2] + pieces[3])
        assert wire.rest() == b"STAT\r\n"
    stage = Stage(env, "pop3", backend=backend)
    clients = [stage.client() for _ in range(len(whole) + 1)]
    for client in clients:
        client.send(b"AUTH PLAIN " + b64(b"", b"joe", b"x") + b"\r\nSTAT\r\n")
        client.finish()
    for got in listen_to_all(clients):
        assert got == pieces[2] + pieces[3], got
    stage.backend.check()


def test_a_half_close_before_the_verdict_is_no_leaving(env):
    stage = Stage(env, "pop3")
    stage.auth.delay = 0.3
    assert stage.say(b"USER joe\r\nPASS x\r\nSTAT\r\n") == LOGIN + b"+OK backend STAT\r\n"
    assert stage.say(b"NOOP\r\nQUI") == b"+OK\r\n"
    assert stage.say(b"") == b""


def test_silence_and_trickle_end_at_the_timeout(env):
    bye = b"-ERR [SYS/TEMP] Disconnected for inactivity\r\n"
    stage = Stage(env, "pop3", {"": "timeout 1s;", "apop": "timeout 1s; pop3_auth apop;"})
    silent = [stage.client(), stage.client("apop"), stage.client()]
    silent[2].send(b"USER joe\r\n")
    assert trickle(stage.client(), b"x") == bye
    assert trickle(stage.client(), b"NOOP\r\n", 0.01).endswith(b"+OK\r\n" + bye)
    assert [client.rest() for client in silent] == [bye, bye, b"+OK\r\n" + bye]
    stage.postern.wait_log("client timed out", 5)


def test_shutdown_says_err_before_login_and_after(env):
    bye = b"-ERR [SYS/TEMP] Server is shutting down\r\n"
    stage = Stage(env, "pop3")
    fresh, inside = stage.client(), stage.client()
    inside.send(b"USER joe\r\nPASS x\r\n")
    inside.expect(b"+OK", b"+OK backend PASS")
    time.sleep(1.2)         # of the backend's silence
    stage.postern.kill(15)
    assert [fresh.rest(), inside.rest()] == [bye, bye]


def test_worker_shutdown_timeout_tells_those_who_have_not_logged_in(env):
    stage = Stage(env, "pop3", main="worker_shutdown_timeout 1s;")
    waiting, entering = stage.client(), stage.client()
    stage.postern.kill(3)
    stage.postern.wait_log("gracefully shutting down")
    entering.send(b"USER joe\r\nPASS x\r\nQUIT\r\n")
    entering.expect(b"+OK", b"+OK backend PASS", b"+OK bye")
    assert waiting.rest() == b"-ERR [SYS/TEMP] Server is shutting down\r\n"


REFUSALS = {"no": b"-ERR [AUTH] not you\r\n", "plain": b"-ERR not you\r\n", "busy": b"-ERR [IN-USE] locked\r\n",
            "ill": b"-ERR [SYS/TEMP] later\r\n", "esc": b"-ERR \x1b[31mred\r\n"}


def refusing_backend(wire):
    wire.send(b"+OK hello\r\n")
    user = wire.line()[5:-2].decode()
    wire.send(b"+OK\r\n")
    line = wire.line()
    wire.send(b"-ERR wrong: " + line if user == "echo" else REFUSALS.get(user, b"+OK in\r\n"))
    wire.rest()


def test_a_refusal_of_the_backend_leaves_the_session_open(env):
    stage = Stage(env, "pop3", {"off": "", "on": "proxy_pass_error_message on;"}, backend=refusing_backend)
    users = (b"no", b"plain", b"busy", b"ill", b"esc", b"joe")
    said = b"".join(b"AUTH PLAIN " + b64(b"", user, b"x") + b"\r\n" for user in users)
    assert stage.say(said, "off") == 2 * WRONG + 2 * LATER + WRONG + b"+OK in\r\n"
    assert stage.say(said, "on") == b"".join(
        REFUSALS[user] for user in ("no", "plain", "busy", "ill")) + b"-ERR [31mred\r\n+OK in\r\n"
    assert [r["Auth-Login-Attempt"] for r in stage.auth.requests] == ["1", "2", "3", "4", "5", "6"] * 2
    stage.postern.wait_log(r'client login failed: "-ERR \[AUTH\] not you".*login: "no", upstream: ', 2)


def test_a_backend_that_repeats_the_password_is_not_quoted(env):
    stage = Stage(env, "pop3", {"off": "", "on": "proxy_pass_error_message on;"}, backend=refusing_backend)
    for server in ("off", "on"):
        assert stage.say(b"AUTH PLAIN " + b64(b"", b"echo", SECRET) + b"\r\n", server) == WRONG
    stage.postern.wait_log("client login failed", 2)


def test_no_credential_survives_a_failed_attempt(env):
    stage = Stage(env, "pop3", backend=refusing_backend)
    heard = stage.say(b"USER no\r\nPASS x\r\nPASS x\r\nUSER joe\r\nX\r\nPASS x\r\nUSER joe\r\nAUTH PLAIN\r\n*\r\nPASS x\r\n")
    assert heard == (b"+OK\r\n" + WRONG + INVALID + b"+OK\r\n" + 2 * INVALID + b"+OK\r\n+ \r\n" +
                     b"-ERR authentication cancelled\r\n" + INVALID), heard
    assert len(stage.auth.requests) == 1


def test_a_refusal_of_the_auth_server_closes_unless_it_says_wait(env):
    def answer(request):
        return {"joe": stage.yes, "again": {"Auth-Status": "Not yet", "Auth-Wait": 1}}.get(
            request["Auth-User"], {"Auth-Status": "Go away"})
    stage = Stage(env, "pop3", answer=answer)
    assert stage.say(b"USER x\r\nPASS x\r\nNOOP\r\n") == b"+OK\r\n-ERR Go away\r\n"
    client = stage.client()
    client.send(b"USER again\r\nPASS x\r\nNOOP\r\nUSER joe\r\nPASS x\r\n")
    client.expect(b"+OK")
    client.quiet(0.4)
    client.expect(b"-ERR Not yet", b"+OK", b"+OK", b"+OK backend PASS")
    assert [r["Auth-Login-Attempt"] for r in stage.auth.requests] == ["1", "1", "2"]


def test_leaving_during_the_wait_is_answered_at_once(env):
    stage = Stage(env, "pop3", answer={"Auth-Status": "No", "Auth-Wait": 600})
    client = stage.client()
    client.send(b"USER joe\r\nPASS x\r\n")
    client.expect(b"+OK")
    wait_requests(stage, 1)
    client.quiet(0.2)
    client.finish()
    assert client.rest() == b"-ERR No\r\n"


def test_digests_can_be_tried_again(env):
    def answer(request):
        if request["Auth-User"] == "joe":
            return dict(stage.yes, **{"Auth-Pass": "x"})
        return {"Auth-Status": "No", "Auth-Wait": 1} if request["Auth-User"] == "slow" else b"HTTP/1.1 500 no\r\n\r\n"
    stage = Stage(env, "pop3", {"": "pop3_auth apop;"}, answer=answer)
    stage.auth.keep_alive = False
    client = stage.client()
    for user, heard in ((b"none", LATER), (b"slow", b"-ERR No\r\n"), (b"joe", b"+OK backend PASS\r\n")):
        client.send(b"APOP " + user + b" " + DIGEST + b"\r\n")
        assert client.line() == heard
    assert len({r["Auth-Salt"] for r in stage.auth.requests}) == 1


# What a backend says first, then to USER and to PASS; it closes where nothing follows.
BROKEN = [
    (b"",), (b"-ERR busy\r\n",), (b"* OK imap\r\n",), (b"+OK " + 9000 * b"x",), (b"+OK \0\r\n",), (b"+OK\r\n",),
    (b"+OK\r\n", b"-ERR [SYS/TEMP] later\r\n"), (b"+OK\r\n", b"rubbish\r\n"), (b"+OK\r\n", b"+OK\r\n"),
    (b"+OK\r\n", b"+OK\r\n", b"rubbish\r\n"), (b"+OK\r\n", b"+OK\r\n", b"+O"),
    (b"+OK\r\n", b"+OK\r\n", b"-ERR [IN-USE] locked\r\n"),
]


def test_a_broken_backend_is_a_temporary_failure(env):
    def backend(wire):
        script = BROKEN[int(stage.auth.requests[-1]["Auth-User"])]
        for i, text in enumerate(script):
            if i > 0 and not wire.line():
                return
            wire.send(text)
    stage = Stage(env, "pop3", backend=backend)
    for i in range(len(BROKEN)):
        heard = stage.say(b"USER %d\r\nPASS x\r\nNOOP\r\n" % i)
        assert heard == b"+OK\r\n" + LATER + b"+OK\r\n", (BROKEN[i], heard)


def test_the_silence_of_a_backend_ends_at_the_timeout(env):
    def backend(wire):
        for _ in range(int(stage.auth.requests[-1]["Auth-User"])):
            wire.send(b"+OK\r\n")
            wire.line()
        wire.rest()
    stage = Stage(env, "pop3", {"": "timeout 1s;"}, backend=backend)
    for steps in range(3):
        assert stage.say(b"USER %d\r\nPASS x\r\nQUIT\r\n" % steps) == b"+OK\r\n" + LATER + b"+OK\r\n"
    stage.postern.wait_log("upstream timed out", 3)
