"""IMAP before login, and what goes with it to the backend."""
import re
import time

from harness import PATIENCE, eventually
from peers import accept
from stage import SECRET, Stage, b64, check_all, cut_everywhere, listen_to_all, trickle, wait_requests

PLAIN = b64(b"", b"joe", SECRET)
INVALID = b"BAD invalid command\r\n"
WRONG = b"NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"
LATER = b"NO [UNAVAILABLE] Temporary failure, try again later.\r\n"

SERVERS = {
    "": "imap_auth plain;",
    "all": "imap_auth plain login cram-md5 external; imap_capabilities IMAP4rev1 IDLE SASL-IR;",
    "cram": "imap_auth cram-md5;",
    "external": "imap_auth external;",
    "small": "imap_client_buffer 1k;",
    "errors": "max_errors 2;",
    "commands": "max_commands 3;",
}

SAID_AND_HEARD = [
    # capabilities: as configured, then mechanisms, SASL-IR once and last
    ("", b"a CAPABILITY\r\n", b"* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN SASL-IR\r\na OK completed\r\n"),
    ("all", b"a capability\n", b"* CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN AUTH=LOGIN AUTH=CRAM-MD5 SASL-IR\r\n"
     b"a OK completed\r\n"),
    ("cram", b"a CAPABILITY\r\n", b"* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=CRAM-MD5 SASL-IR LOGINDISABLED\r\n"
     b"a OK completed\r\n"),
    # every character that RFC 9051 gives to tags, and no other
    ("", b"!#$&',-./0189:;<=>?@AZ[]^_`az|}~ NOOP\r\na NOOP\r\n",
     b"!#$&',-./0189:;<=>?@AZ[]^_`az|}~ OK completed\r\na OK completed\r\n"),
    ("", b"a+b NOOP\r\n", b"* " + INVALID),
    ("", b"a\xe9 NOOP\r\n", b"* " + INVALID),
    ("", b"a\x01 NOOP\r\n", b"* " + INVALID),
    ("", b"a% NOOP\r\na* NOOP\r\na\" NOOP\r\n", 3 * (b"* " + INVALID)),
    ("", b"\r\na NOOP\r\n", b"* " + INVALID + b"a OK completed\r\n"),
    # before login
    ("", b"a LOGOUT\r\nb NOOP\r\n", b"* BYE\r\na OK completed\r\n"),
    ("", b"a SELECT INBOX\r\nb STARTTLS\r\nc NOOP\r\n", b"a " + INVALID + b"b " + INVALID + b"c OK completed\r\n"),
    ("", b"a ID NIL\r\nb ID (\"name\" \"x\" \"os\" NIL)\r\n", b"* ID NIL\r\na OK completed\r\n* ID NIL\r\nb OK completed\r\n"),
    ("", b"a ID (\"name\" {4+}\r\n)\r\n( \"os\" NIL)\r\n", b"* ID NIL\r\na OK completed\r\n"),
    ("errors", 5 * b"a ENABLE CONDSTORE\r\n" + b"b NOOP\r\n",
     5 * b"a BAD ENABLE is possible only after login\r\n" + b"b OK completed\r\n"),
    # limits
    ("errors", b"a X\r\nb X\r\nc X\r\nd NOOP\r\n", b"a " + INVALID + b"b " + INVALID),
    ("commands", b"a NOOP\r\nb NOOP\r\nc NOOP\r\nd NOOP\r\n", b"a OK completed\r\nb OK completed\r\nc OK completed\r\n"),
    ("commands", 3 * b"a AUTHENTICATE PLAIN\r\n*\r\n" + b"d NOOP\r\n",
     3 * b"+ \r\na BAD authentication cancelled\r\n"),
    ("small", b"a NOOP " + 2000 * b" " + b"\r\n", b"a " + INVALID),
    ("small", b"a LOGIN joe " + SECRET + 2000 * b"x", b"a " + INVALID),
    ("small", b"a LOGIN joe {2000}\r\n" + b"b NOOP\r\n", b"a " + INVALID),
    ("small", b"a LOGIN joe {2000+}\r\n" + b"b NOOP\r\n", b"a " + INVALID),
    ("small", b"a AUTHENTICATE PLAIN\r\n" + 2000 * b"A" + b"\r\nb NOOP\r\n",
     b"+ \r\na BAD authentication exchange line is too long\r\n"),
    ("small", b"a ID " + 100000 * b"(", b"a " + INVALID),
    # what ends a line, and what does not
    ("", b"a NOOP\nb NOOP\r\n", b"a OK completed\r\nb OK completed\r\n"),
    ("", b"a NOOP\rb NOOP\r\n", b"a " + INVALID),
    ("", b"a NO\0OP\r\nb NOOP\r\n", b"a " + INVALID + b"b OK completed\r\n"),
    ("", b"a NOOP\0\r\nb NOOP\r\n", b"a " + INVALID + b"b OK completed\r\n"),
    # literals: junk, lengths that wrap, and payloads that look like commands
    ("", b"a LOGIN {3}x\r\nb NOOP\r\n", b"a " + INVALID + b"b OK completed\r\n"),
    ("", b"a LOGIN {x}\r\nb LOGIN {}\r\nc LOGIN {-1}\r\nd NOOP\r\n",
     b"a " + INVALID + b"b " + INVALID + b"c " + INVALID + b"d OK completed\r\n"),
    ("", b"a LOGIN {4294967299}\r\nb NOOP\r\n", b"a " + INVALID),
    ("", b"a LOGIN {18446744073709551619+}\r\nabc x\r\nb NOOP\r\n", b"a " + INVALID),
    ("", b"a SELECT {8+}\r\nb LOGOUT\r\n", b"a " + INVALID),
    ("", b"a LOGIN joe x {8+}\r\nb LOGOUT\r\n", b"a " + INVALID),
    ("", b"a LOGIN {0}\r\n x\r\nb NOOP\r\n", b"+ OK\r\na BAD invalid credentials\r\nb OK completed\r\n"),
    # mechanisms: only listed ones, PLAIN and LOGIN counting as one
    ("cram", b"a LOGIN joe x\r\nb AUTHENTICATE PLAIN\r\nc AUTHENTICATE LOGIN\r\nd AUTHENTICATE EXTERNAL\r\n",
     b"a " + INVALID + b"b " + INVALID + b"c " + INVALID + b"d " + INVALID),
    ("", b"a AUTHENTICATE EXTERNAL " + b64(b"joe") + b"\r\nb AUTHENTICATE CRAM-MD5\r\nc AUTHENTICATE NTLM\r\n",
     b"a " + INVALID + b"b " + INVALID + b"c " + INVALID),
    ("", b"a AUTHENTICATE\r\nb AUTHENTICATE \r\nc AUTHENTICATE PLAIN x y\r\n",
     b"a " + INVALID + b"b " + INVALID + b"c " + INVALID),
    # cancelling, in each step
    ("all", b"a AUTHENTICATE PLAIN\r\n*\r\nb AUTHENTICATE LOGIN\r\n*\r\nc AUTHENTICATE LOGIN\r\n" + b64(b"joe") + b"\r\n*\r\n"
     b"e NOOP\r\n",
     b"+ \r\na BAD authentication cancelled\r\n+ VXNlcm5hbWU6\r\nb BAD authentication cancelled\r\n"
     b"+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\nc BAD authentication cancelled\r\n"
     b"e OK completed\r\n"),
    # base64 that is none: alphabet, padding, what follows the padding, bits behind the end
    ("", b"a AUTHENTICATE PLAIN !\r\nb AUTHENTICATE PLAIN " + PLAIN + b"=\r\nc AUTHENTICATE PLAIN AGpvZQBz=A==\r\n"
     b"d AUTHENTICATE PLAIN\r\nAGpvZQB\r\n", b"a " + INVALID + b"b " + INVALID + b"c " + INVALID + b"+ \r\nd " + INVALID),
    ("", b"a AUTHENTICATE PLAIN\r\nAGpvZQBzB===\r\nb AUTHENTICATE PLAIN\r\nAGpv ZQBz\r\nc AUTHENTICATE PLAIN\r\nAGpvZQBzdG==\r\n",
     b"+ \r\na " + INVALID + b"+ \r\nb " + INVALID + b"+ \r\nc " + INVALID),
    # steps of length 0 and 1
    ("all", b"a AUTHENTICATE PLAIN =\r\nb AUTHENTICATE PLAIN\r\n\r\nc AUTHENTICATE LOGIN\r\n\r\nd AUTHENTICATE CRAM-MD5 =\r\n"
     b"e AUTHENTICATE EXTERNAL =\r\n",
     b"a " + INVALID + b"+ \r\nb " + INVALID + b"+ VXNlcm5hbWU6\r\nc BAD invalid credentials\r\nd " + INVALID +
     b"e NO [AUTHENTICATIONFAILED] No valid client certificate.\r\n"),
    ("", b"a AUTHENTICATE PLAIN\r\nA\r\nb NOOP\r\n", b"+ \r\na " + INVALID + b"b OK completed\r\n"),
    # no user, no separator, no password field
    ("", b"a AUTHENTICATE PLAIN " + b64(b"", b"", b"x") + b"\r\nb AUTHENTICATE PLAIN " + b64(b"joe") +
     b"\r\nc AUTHENTICATE PLAIN " + b64(b"", b"joe") + b"\r\nd LOGIN \"\" x\r\n",
     b"a BAD invalid credentials\r\nb " + INVALID + b"c " + INVALID + b"d BAD invalid credentials\r\n"),
]

FORBIDDEN = [b"\r", b"\n", b"\0", b"\r\nx SELECT INBOX"]


def login_lines(user, password):
    """Every form in which a client can send these."""
    def literal(text, plus=b""):
        return b"{%d%s}\r\n%s" % (len(text), plus, text)
    return [
        b"a LOGIN " + literal(user) + b" " + literal(password) + b"\r\n",
        b"a LOGIN " + literal(user, b"+") + b" " + literal(password, b"+") + b"\r\n",
        b"a AUTHENTICATE PLAIN " + b64(b"", user, password) + b"\r\n",
        b"a AUTHENTICATE PLAIN\r\n" + b64(user, user, password) + b"\r\n",
        b"a AUTHENTICATE LOGIN " + b64(user) + b"\r\n" + b64(password) + b"\r\n",
        b"a AUTHENTICATE LOGIN\r\n" + b64(user) + b"\r\n" + b64(password) + b"\r\n",
    ]


def test_before_login_every_line_has_its_answer(env):
    stage = Stage(env, "imap", SERVERS)
    check_all(stage, SAID_AND_HEARD)
    stage.untouched()
    log = stage.postern.log()
    assert "client sent too many invalid commands" in log and "client sent too many commands" in log
    assert 'client sent too long command "a LOGIN' in log
    assert "client sent invalid base64 encoding in AUTH PLAIN command" in log


def test_a_refused_line_never_lets_its_literal_run(env):
    stage = Stage(env, "imap")
    for line in (b"a X", b"a LOGIN", b"a LOGIN x y", b"a NOOP", b"x", b"", b"a ID (", b"a AUTHENTICATE PLAIN", b"a LOGIN \""):
        heard = stage.say(line + b" {15+}\r\nz LOGIN joe x\r\nb LOGOUT\r\n")
        assert b"BYE" not in heard and b"z OK" not in heard and b"b OK" not in heard, (line, heard)
    stage.untouched()


def test_every_form_of_login_asks_the_same(env):
    stage = Stage(env, "imap", {"": "imap_auth plain login;"})
    lines = login_lines(b"joe", SECRET)
    lines += [b"a LOGIN joe " + SECRET + b"\r\n", b"a login \"joe\" \"" + SECRET + b"\"\r\n"]
    for line in lines:
        heard = stage.say(line + b"b LOGOUT\r\n")
        assert heard.endswith(b"a OK backend LOGIN\r\n* BYE backend\r\nb OK bye\r\n"), (line, heard)
    for request in stage.auth.requests:
        assert (request["Auth-Method"], request["Auth-User"], request["Auth-Pass"]) == ("plain", "joe", SECRET.decode())
        assert request["Auth-Protocol"] == "imap" and request["Auth-Login-Attempt"] == "1"
    assert len(stage.auth.requests) == len(lines)
    assert [line for line in stage.heard if b"LOGIN" in line] == [b'a LOGIN "joe" "' + SECRET + b'"\r\n'] * len(lines)


def test_login_takes_bare_words_as_nginx_does(env):
    stage = Stage(env, "imap")
    assert stage.say("a LOGIN dom\\jörg*master p%(s]s)\r\n".encode()) == b"a OK backend LOGIN\r\n"
    request = stage.auth.requests[0]
    assert (request.decoded("Auth-User"), request.decoded("Auth-Pass")) == ("dom\\jörg*master".encode(), b"p%(s]s)")


def test_an_authorization_identity_is_passed_on(env):
    stage = Stage(env, "imap")
    stage.say(b"a AUTHENTICATE PLAIN " + b64(b"boss", b"joe", SECRET) + b"\r\n")
    stage.say(b"a AUTHENTICATE PLAIN " + b64(b"joe", b"joe", SECRET) + b"\r\n")
    assert [r.get("Auth-Authz") for r in stage.auth.requests] == ["boss", None]


def test_cram_md5_is_asked_with_what_it_has(env):
    stage = Stage(env, "imap", {"": "imap_auth cram-md5;"},
                  answer=lambda request: accept(env.ip(2), 2000, Auth_User="real joe", Auth_Pass="other"))
    digest = b"0123456789abcdef0123456789ABCDEF"
    salts = set()
    for _ in range(2):
        client = stage.client()
        client.send(b"a AUTHENTICATE CRAM-MD5\r\n")
        challenge = client.line()
        client.send(b64(b"joe doe " + digest) + b"\r\n")
        client.expect(b"a OK backend LOGIN")
        request = stage.auth.requests[-1]
        assert (request["Auth-Method"], request.decoded("Auth-User"), request["Auth-Pass"]) == \
            ("cram-md5", b"joe doe", digest.decode())
        assert challenge == b"+ " + b64(request["Auth-Salt"].encode()) + b"\r\n"
        assert re.fullmatch(r"<\d+\.\d+@mail\.example\.com>", request["Auth-Salt"])
        salts.add(request["Auth-Salt"])
        client.close()
    assert len(salts) == 2
    assert [line for line in stage.heard if b"LOGIN" in line] == 2 * [b'a LOGIN "real joe" "other"\r\n']


def test_a_wrong_cram_md5_response_asks_nobody(env):
    stage = Stage(env, "imap", {"": "imap_auth cram-md5;"})
    for response in (b"", b"joe", b"joe ", b"joe 0123", b"joe" + 32 * b"0", b" " + 32 * b"0", b"joe " + 32 * b"g", b"joe " + 33 * b"0"):
        heard = stage.say(b"a AUTHENTICATE CRAM-MD5\r\n" + b64(response) + b"\r\nb NOOP\r\n").split(b"\r\n")
        assert heard[1].startswith(b"a BAD ") and heard[2] == b"b OK completed", (response, heard)
    stage.untouched()
    assert "client sent invalid CRAM-MD5 hash" in stage.postern.log()


def test_lines_never_come_out_of_credentials(env):
    stage = Stage(env, "imap", {"": "imap_auth plain login cram-md5 external; max_errors 100;"})
    for bad in FORBIDDEN:
        for user, password in ((b"jo" + bad + b"e", b"x"), (b"joe", b"x" + bad + b"y"), (bad, b"x"), (b"joe", bad)):
            for line in login_lines(user, password):
                if b"\0" in bad and b"PLAIN" in line:
                    continue        # a separator there; see below
                heard = stage.say(line + b"\r\nb NOOP\r\n")
                assert b"a BAD invalid credentials\r\n" in heard and b"b OK completed" in heard, (line, heard)
    digest = 32 * b"0"
    for line in (b"a AUTHENTICATE CRAM-MD5\r\n" + b64(b"jo\ne " + digest),
                 b"a AUTHENTICATE PLAIN " + b64(b"", b"joe", b"x", b"y"),
                 b"a AUTHENTICATE PLAIN " + b64(b"bo\nss", b"joe", b"x")):
        assert b"a BAD invalid credentials\r\n" in stage.say(line + b"\r\n"), line
    stage.untouched()
    assert all(re.match(r"\d{4}/\d\d/\d\d ", line) for line in stage.postern.log().splitlines())


def test_credentials_of_the_auth_server_hold_no_lines_either(env):
    def answer(request):
        bad = {"cr": b"a\rb", "nul": b"a\0b", "tab": b"a\tb"}[request["Auth-User"]]
        return (b"HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Server: %s\r\nAuth-Port: 2000\r\nAuth-Pass: %s\r\n"
                b"Content-Length: 0\r\n\r\n" % (env.ip(2).encode(), bad))
    stage = Stage(env, "imap", answer=answer)
    assert stage.say(b"a LOGIN cr x\r\n") == b"a " + LATER
    assert stage.say(b"a LOGIN nul x\r\n") == b"a " + LATER
    assert stage.backend.accepted == 0


def test_a_login_is_the_same_wherever_the_client_cuts_it(env):
    stage = Stage(env, "imap", {"": "imap_auth plain login;"})
    bye = b"* BYE backend\r\nz OK bye\r\n"
    for said, heard in (
            (b"a CAPABILITY\r\nb LOGIN {3}\r\njoe \"x y\"\r\nc NOOP\r\nz LOGOUT\r\n",
             b"* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN AUTH=LOGIN SASL-IR\r\na OK completed\r\n+ OK\r\n"
             b"b OK backend LOGIN\r\nc OK backend NOOP\r\n" + bye),
            (b"a X {0}\r\nb AUTHENTICATE LOGIN\r\nam9l\r\neA==\r\nc NOOP\r\nz LOGOUT\r\n",
             b"a " + INVALID + b"+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\nb OK backend LOGIN\r\nc OK backend NOOP\r\n" + bye)):
        for cut, got in enumerate(cut_everywhere(stage, said)):
            assert got == heard, f"cut at {cut}: {got!r}"


def test_a_half_close_before_the_verdict_is_no_leaving(env):
    stage = Stage(env, "imap")
    stage.auth.delay = 0.3
    assert stage.say(b"a LOGIN joe x\r\nb NOOP\r\n") == b"a OK backend LOGIN\r\nb OK backend NOOP\r\n"
    assert stage.say(b"a NOOP\r\nb LOG") == b"a OK completed\r\n"
    assert stage.say(b"") == b""


def test_a_half_close_after_login_waits_for_the_backend(env):
    def backend(wire):
        wire.send(b"* OK hello\r\n")
        wire.line()
        wire.send(b"a OK in\r\n")
        asked = wire.rest()
        time.sleep(0.2)
        wire.send(b"you said " + asked)
    stage = Stage(env, "imap", backend=backend)
    client = stage.client()
    client.send(b"a LOGIN joe x\r\n")
    client.expect(b"a OK in")
    client.send(b"b FETCH\r\n")
    client.finish()
    client.expect(b"you said b FETCH")
    client.expect_end()


def test_a_disconnect_in_each_step_leaves_nothing(env):
    stage = Stage(env, "imap", {"": "imap_auth plain login cram-md5;"})
    for said in (b"", b"a", b"a LOGIN", b"a LOGIN {3}\r\n", b"a LOGIN {3}\r\njo", b"a AUTHENTICATE PLAIN\r\n",
                 b"a AUTHENTICATE LOGIN\r\nam9l\r\n", b"a AUTHENTICATE CRAM-MD5\r\n"):
        client = stage.client()
        client.send(said)
        client.reset()
        assert stage.say(said) is not None
    assert stage.say(b"a LOGIN joe x\r\n") == b"a OK backend LOGIN\r\n"
    assert len(stage.auth.requests) == 1


def test_silence_trickle_and_commands_all_end_at_the_timeout(env):
    bye = b"* BYE Idle for too long, closing connection\r\n"
    stage = Stage(env, "imap", {"": "timeout 1s; max_errors 1000;", "cram": "timeout 1s; imap_auth cram-md5;"})
    silent = [stage.client(), stage.client("cram"), stage.client()]
    silent[2].send(b"a AUTHENTICATE PLAIN\r\n")
    assert trickle(stage.client(), b"x") == bye
    assert trickle(stage.client(), b"a NOOP\r\n", 0.01).endswith(b"a OK completed\r\n" + bye)
    assert silent[0].rest() == bye and silent[1].rest() == bye and silent[2].rest() == b"+ \r\n" + bye
    stage.postern.wait_log("client timed out", 5)


def test_the_clock_stands_while_others_have_the_turn(env):
    stage = Stage(env, "imap", {"": "timeout 1s;"})
    stage.auth.delay = 1.5
    assert stage.say(b"a LOGIN joe x\r\nb NOOP\r\n") == b"a OK backend LOGIN\r\nb OK backend NOOP\r\n"


def test_shutdown_says_bye_before_login_and_after(env):
    bye = b"* BYE [UNAVAILABLE] Server shutting down, try again\r\n"
    stage = Stage(env, "imap")
    fresh, half, inside = stage.client(), stage.client(), stage.client()
    half.send(b"a AUTHENTICATE PLAIN\r\n")
    half.expect(b"+ ")
    inside.send(b"a LOGIN joe x\r\n")
    inside.expect(b"a OK backend LOGIN")
    time.sleep(1.2)         # of the backend's silence: then no message can be in the middle
    stage.postern.kill(15)
    assert [fresh.rest(), half.rest(), inside.rest()] == [bye, bye, bye]


def test_shutdown_says_nothing_in_the_middle_of_a_line(env):
    def backend(wire):
        wire.send(b"* OK hello\r\n")
        wire.line()
        wire.send(b"a OK in\r\n* 1 FETCH (BODY[] {1000}\r\nFrom: x\r\nTo:")
        wire.rest()
    stage = Stage(env, "imap", backend=backend)
    client = stage.client()
    client.send(b"a LOGIN joe x\r\n")
    client.expect(b"a OK in", b"* 1 FETCH (BODY[] {1000}", b"From: x")
    assert client.take(3) == b"To:"
    time.sleep(1.2)
    stage.postern.kill(15)
    client.expect_end()


def test_a_refusal_of_the_auth_server_closes_unless_it_says_wait(env):
    def answer(request):
        user = request["Auth-User"]
        if user == "joe":
            return stage.yes
        if user == "again":
            return {"Auth-Status": "Not yet", "Auth-Wait": 1}
        return {"Auth-Status": "Go away"}
    stage = Stage(env, "imap", answer=answer)
    assert stage.say(b"a LOGIN x x\r\nb NOOP\r\n") == b"a NO Go away\r\n"
    client = stage.client()
    client.send(b"a LOGIN again x\r\nb NOOP\r\nc LOGIN joe x\r\n")
    client.quiet(0.4)
    client.expect(b"a NO Not yet", b"b OK completed", b"c OK backend LOGIN")
    assert [r["Auth-Login-Attempt"] for r in stage.auth.requests] == ["1", "1", "2"]
    stage.postern.wait_log('client login failed: "Go away" while in http auth state, client: .*, login: "x"')


def test_words_of_the_auth_server_that_begin_like_the_tag_are_still_words(env):
    stage = Stage(env, "imap", answer={"Auth-Status": "Invalid login or password"})
    assert stage.say(b"Invalid LOGIN joe x\r\n") == b"Invalid NO Invalid login or password\r\n"


def test_leaving_during_the_wait_is_answered_at_once(env):
    stage = Stage(env, "imap", answer={"Auth-Status": "No", "Auth-Wait": 600})
    client = stage.client()
    client.send(b"a LOGIN joe x\r\n")
    wait_requests(stage, 1)
    client.quiet(0.2)
    client.finish()
    assert client.rest() == b"a NO No\r\n"


def test_an_auth_server_that_cannot_answer_leaves_the_session_open(env):
    answers = [b"HTTP/1.1 500 no\r\nAuth-Status: OK\r\n\r\n", b"rubbish\r\n\r\n", None,
               b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Status: OK\r\n\r\n"]

    def answer(request):
        return answers[int(request["Auth-User"])]
    stage = Stage(env, "imap", answer=answer)
    stage.auth.keep_alive = False
    said = b"".join(b"%d LOGIN %d x\r\n" % (i, i) for i in range(len(answers)))
    heard = stage.say(said + b"z NOOP\r\n")
    assert heard == b"".join(b"%d " % i + LATER for i in range(len(answers))) + b"z OK completed\r\n", heard
    assert stage.backend.accepted == 0


def test_long_credentials_arrive_whole_or_are_refused(env):
    stage = Stage(env, "imap", {"": "imap_client_buffer 200k;"})
    user, password = 1024 * b"u", 65536 * b"%"
    assert stage.say(b"a LOGIN " + user + b" {65536+}\r\n" + password + b"\r\n") == b"a OK backend LOGIN\r\n"
    request = stage.auth.requests[0]
    assert (request.decoded("Auth-User"), request.decoded("Auth-Pass")) == (user, password)
    assert stage.heard == [b'a LOGIN "' + user + b'" "' + password + b'"\r\n']
    heard = stage.say(b"a LOGIN u" + user + b" x\r\nb AUTHENTICATE PLAIN " + b64(b"", b"joe", password + b"%") + b"\r\n"
                      b"c AUTHENTICATE LOGIN " + b64(b"u" + user) + b"\r\n")
    assert heard == b"".join(tag + b" BAD invalid credentials\r\n" for tag in (b"a", b"b", b"c")), heard
    assert len(stage.auth.requests) == 1


def test_a_dialogue_in_single_bytes_is_the_same(env):
    """On both sides, with short buffers."""
    def backend(wire):
        def say(text):
            for i in range(len(text)):
                wire.send(text[i:i + 1])
                time.sleep(0.001)
        say(b"* OK hello\r\n")
        assert wire.line() == b"b LOGIN {1}\r\n"
        say(b"+ \r\n")
        wire.expect(b"\xe9 \"x\"")
        say(b"* 1 EXISTS\r\nb OK in\r\n* 2 EXISTS\r\n")
        say(wire.rest())
    stage = Stage(env, "imap", {"": "imap_client_buffer 100; proxy_buffer 100;"}, backend=backend)
    client = stage.client()
    for byte in b"a NOOP\r\nb LOGIN {1}\r\n\xe9 {1+}\r\nx\r\nc IDLE\r\nDONE\r\n":
        client.send(bytes([byte]))
        time.sleep(0.001)
    client.finish()
    assert client.rest() == (b"a OK completed\r\n+ OK\r\n* 1 EXISTS\r\nb OK in\r\n* 2 EXISTS\r\nc IDLE\r\nDONE\r\n")
    stage.backend.check()


def test_digests_can_be_tried_again(env):
    """CVE-2026-27651: the second attempt found no challenge any more."""
    def answer(request):
        if request["Auth-User"] == "joe":
            return dict(stage.yes, **{"Auth-Pass": "x"})
        return {"Auth-Status": "No", "Auth-Wait": 1} if request["Auth-User"] == "slow" else b"HTTP/1.1 500 no\r\n\r\n"
    stage = Stage(env, "imap", {"": "imap_auth cram-md5;"}, answer=answer)
    stage.auth.keep_alive = False
    client = stage.client()
    challenges = set()
    for user, heard in ((b"none", b"a " + LATER), (b"slow", b"a NO No\r\n"), (b"joe", b"a OK backend LOGIN\r\n")):
        client.send(b"a AUTHENTICATE CRAM-MD5\r\n")
        challenges.add(client.line())
        client.send(b64(user + b" " + 32 * b"0") + b"\r\n")
        assert client.line() == heard
    assert challenges == {b"+ " + b64(r["Auth-Salt"].encode()) + b"\r\n" for r in stage.auth.requests}


def test_a_client_that_leaves_takes_its_login_along(env):
    """A reset while the auth server or the backend has the turn ends all at once."""
    left = []
    stage = Stage(env, "imap", backend=lambda wire: left.append(wire.rest()))
    client = stage.client()
    client.send(b"a LOGIN joe x\r\n")
    eventually(lambda: stage.backend.accepted == 1, "the backend is asked")
    client.reset()
    eventually(lambda: left, "the backend is left")
    stage.auth.delay = 0.5
    client = stage.client()
    client.send(b"a LOGIN joe x\r\n")
    wait_requests(stage, 2)
    client.reset()
    time.sleep(0.8)
    assert stage.backend.accepted == 1
    assert stage.say(b"a NOOP\r\n") == b"a OK completed\r\n"


def test_shutdown_says_bye_whoever_has_the_turn(env):
    bye = b"* BYE [UNAVAILABLE] Server shutting down, try again\r\n"
    held = []

    def answer(request):
        held.append(request["Auth-User"])
        if request["Auth-User"] == "held":
            time.sleep(5)
        return {"Auth-Status": "no", "Auth-Wait": 100} if request["Auth-User"] == "waits" else stage.yes
    stage = Stage(env, "imap", answer=answer, backend=lambda wire: wire.rest())
    clients = [stage.client() for _ in range(4)]
    for client, said in zip(clients, (b"a LOGIN {3}\r\n", b"a LOGIN held x\r\n", b"a LOGIN waits x\r\n", b"a LOGIN joe x\r\n")):
        client.send(said)
    clients[0].expect(b"+ OK")
    eventually(lambda: len(held) == 3 and stage.backend.accepted == 1, "all are on their way")
    clients[2].quiet(0.2)
    stage.postern.kill(15)
    assert listen_to_all(clients) == 4 * [bye]


def test_a_goodbye_is_not_overtaken_by_a_reset(env):
    """Though the client has sent what nobody read any more."""
    stage = Stage(env, "imap", backend=lambda wire: wire.rest())
    client = stage.client()
    client.send(b"a LOGIN joe x\r\n")
    eventually(lambda: stage.backend.accepted == 1, "the backend is asked")
    client.send(b"b NOOP\r\n")
    client.quiet(0.2)
    stage.postern.kill(15)
    client.expect(b"* BYE [UNAVAILABLE] Server shutting down, try again")
    assert client.sock.recv(1) == b""


def test_bad_commands_cost_no_log_lines(env):
    stage = Stage(env, "imap", {"": "max_errors 100000;"}, level="info")
    stage.say(2000 * b"a X\r\nb NOOP\r\nc ID NIL\r\nd ENABLE X\r\n")
    stage.say(b"a LOGIN \x1b[31m\xe9\\\"\x01 x\r\n")
    lines = stage.postern.log().splitlines()
    assert len([line for line in lines if "*1 " in line]) <= 3, lines
    assert all(line.isprintable() for line in lines)


def memory(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) * 1024


def test_memory_before_login_stays_bounded(env):
    stage = Stage(env, "imap", {"": "max_commands 1000000; max_errors 1000000;"}, level="info")
    worker = stage.postern.children()[0]
    client = stage.client()
    before = None
    for said in (b"a AUTHENTICATE PLAIN\r\n*\r\n", b"a ID (\"a\" \"b\")\r\n", b"a X\r\n", b"a LOGIN {3}\r\na\0b x\r\n"):
        for _ in range(5):
            client.send(1000 * said + b"z NOOP\r\n")
            while client.line() != b"z OK completed\r\n":
                pass
            before = before or memory(worker)
    assert memory(worker) - before < 2 << 20


def test_a_client_that_does_not_read_is_not_read_from(env):
    stage = Stage(env, "imap", {"": "max_commands 100000000;"}, level="info")
    client = stage.client()
    client.sock.settimeout(0.5)
    sent, piece = 0, 5000 * b"a NOOP\r\n"
    try:
        while sent < 100 << 20:
            sent += client.sock.send(piece[sent % 8:])
        raise AssertionError("it took 100 MB whose answers nobody read")
    except TimeoutError:
        pass
    client.sock.settimeout(PATIENCE)
    whole = (sent + 7) // 8
    answers = 0
    while answers < sent // 8:
        assert client.line() == b"a OK completed\r\n"
        answers += 1
    client.send(piece[sent % 8:][:whole * 8 - sent] + b"b LOGOUT\r\n")
    heard = client.rest()
    assert heard == (whole - answers) * b"a OK completed\r\n" + b"* BYE\r\nb OK completed\r\n"


def test_a_client_that_never_reads_is_gone_at_the_timeout(env):
    stage = Stage(env, "imap", {"": "max_commands 100000000; timeout 1s;"}, level="info")
    client = stage.client()
    client.sock.settimeout(0.5)
    try:
        while True:
            client.send(5000 * b"a NOOP\r\n")
    except OSError:         # no more is taken; perhaps it is over already
        pass
    stage.postern.wait_log("client timed out")
    assert b"BYE" not in client.rest()[-100:]
