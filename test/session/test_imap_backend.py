"""IMAP towards the backend: what it hears, what it says, and how it fails."""
import re
import time

from harness import eventually
from peers import accept, imap_backend
from stage import SECRET, Counter, Cutter, Stage, b64, listen_to_all
from test_imap import LATER, PLAIN, WRONG


# What the backend offers, what the client logs in with, and what the backend is to hear.
TO_THE_BACKEND = [
    (b"", b"joe", b"x", [b'a LOGIN "joe" "x"\r\n']),
    (b"", b'j"o\\e d', b"100% {5}*(", [b'a LOGIN "j\\"o\\\\e d" "100% {5}*("\r\n']),
    (b"", b"joe", b"", [b'a LOGIN "joe" ""\r\n']),
    (b"", "jörg".encode(), b"x", [b"a LOGIN {5}\r\n", "jörg".encode() + b' "x"\r\n']),
    (b"", b"joe", b"\xff\xfe", [b'a LOGIN "joe" {2}\r\n', b"\xff\xfe\r\n"]),
    (b"", b"\xe9", b"\xff\xfe", [b"a LOGIN {1}\r\n", b"\xe9 {2}\r\n", b"\xff\xfe\r\n"]),
    (b"LITERAL+", b"\xe9", b"\xff\xfe", [b"a LOGIN {1+}\r\n", b"\xe9 {2+}\r\n", b"\xff\xfe\r\n"]),
    (b"LITERAL-", b"\xe9", b"\xff\xfe", [b"a LOGIN {1+}\r\n", b"\xe9 {2+}\r\n", b"\xff\xfe\r\n"]),
    (b"LITERAL-", b"joe", 1300 * b"\xc3\xa4\xc3", [b'a LOGIN "joe" {3900+}\r\n', 1300 * b"\xc3\xa4\xc3" + b"\r\n"]),
    (b"LITERAL-", b"joe", 4097 * b"\xe4", [b'a LOGIN "joe" {4097}\r\n', 4097 * b"\xe4" + b"\r\n"]),
    (b"", b"joe", b"\x01\x7f\t", [b'a LOGIN "joe" "\x01\x7f\t"\r\n']),
]


def test_credentials_reach_the_backend_byte_for_byte(env):
    """Quoted, or as literals; one is sent before it is invited only where the backend said LITERAL+ or LITERAL-."""
    heard, case = [], []

    def backend(wire):
        offered = case[0]
        wire.send(b"* OK [CAPABILITY IMAP4rev1 " + offered + b"] hello\r\n")
        lines = []
        while True:
            lines.append(wire.line())
            literal = re.search(rb"\{(\d+)\}\r\n$", lines[-1]) if not lines[-1].startswith(b"a LOGIN \"j") or \
                b"100%" not in lines[-1] else None
            if literal:
                assert wire.held == b""     # it waits
                wire.send(b"+ go on\r\n")
            elif not re.search(rb"\{(\d+)\+\}\r\n$", lines[-1]):
                break
        heard.append(lines)
        wire.send(b"a OK in\r\n")

    stage = Stage(env, "imap", {"": "imap_client_buffer 16k;"}, backend=backend)
    for offered, user, password, wanted in TO_THE_BACKEND:
        case[:] = [offered]
        assert stage.say(b"a AUTHENTICATE PLAIN " + b64(b"", user, password) + b"\r\n") == b"a OK in\r\n"
        assert heard[-1] == wanted, f"wanted {wanted}, heard {heard[-1]}"
        request = stage.auth.requests[-1]
        assert (request.decoded("Auth-User"), request.decoded("Auth-Pass")) == (user, password)
    stage.backend.check()


def test_untagged_lines_before_the_ok_are_passed_on(env):
    untagged = b"* CAPABILITY IMAP4rev1 IDLE\r\n* 3 EXISTS\r\n* OK [ALERT] {3}\r\n* LIST () \"/\" {4}\r\na OK\r\n"

    def backend(wire):
        wire.send(b"* OK hello\r\n* OK more\r\n")
        tag = wire.line().split()[0]
        wire.send(untagged + tag + b" OK [READ-WRITE] in\r\n* 4 EXISTS\r\n")
        wire.send(wire.rest())
    stage = Stage(env, "imap", backend=backend)
    heard = stage.say(b"tag.1 LOGIN joe x\r\nb ECHO\r\n")
    assert heard == b"* OK more\r\n" + untagged + b"tag.1 OK [READ-WRITE] in\r\n* 4 EXISTS\r\nb ECHO\r\n", heard


def test_what_follows_the_login_reaches_the_backend_once_and_in_order(env):
    payload = b"".join(b"b%d NOOP\r\n" % i for i in range(20000))
    got = []

    def backend(wire):
        wire.send(b"* OK hello\r\n")
        wire.line()
        wire.send(b"a OK in\r\n" + payload)
        got.append(wire.rest())
    stage = Stage(env, "imap", {"": "", "small": "imap_client_buffer 200; proxy_buffer 100;"}, backend=backend)
    for server in ("", "small"):
        for login in (b"a LOGIN joe x\r\n", b"a AUTHENTICATE PLAIN\r\n" + PLAIN + b"\r\n",
                      b"a LOGIN {3}\r\njoe {1}\r\nx\r\n"):
            client = stage.client(server)
            client.send(b"0 NOOP\r\n" + login + payload)
            client.finish()
            heard = client.rest()
            assert heard.startswith(b"0 OK completed\r\n") and heard.endswith(b"a OK in\r\n" + payload), heard[:200]
            eventually(lambda: got, "the end of the backend")
            assert got.pop() == payload


def test_a_login_is_the_same_wherever_the_backend_cuts_it(env):
    counter = Counter()
    pieces = [b"* OK hi\r\n", b"+ 1\r\n", b"+\r\n", b"* X {5}\r\nb OK\n\r\n", b"b OK in\r\n* 1 EXISTS\r\n", b"c OK\r\n"]
    whole = b"".join(pieces)

    def backend(wire):
        out = Cutter(wire, counter.next() % (len(whole) + 1))
        out.send(pieces[0])
        wire.expect(b"b LOGIN {2}")
        out.send(pieces[1])
        wire.expect("é {2}".encode())
        out.send(pieces[2])
        wire.expect("é".encode())
        out.send(pieces[3] + pieces[4])
        wire.expect(b"c NOOP")
        out.send(pieces[5])
        wire.rest()
    stage = Stage(env, "imap", backend=backend)
    clients = [stage.client() for _ in range(len(whole) + 1)]
    for client in clients:
        client.send(b"b AUTHENTICATE PLAIN " + b64(b"", "é".encode(), "é".encode()) + b"\r\nc NOOP\r\n")
        client.finish()
    for got in listen_to_all(clients):
        assert got == pieces[3] + pieces[4] + pieces[5], got
    stage.backend.check()


def test_the_silence_of_a_backend_ends_at_the_timeout(env):
    def backend(wire):
        user = stage.auth.requests[-1]["Auth-User"]
        wire.send({"one": b"", "two": b"* OK hel", "three": b"* OK hello\r\n"}[user])
        wire.rest()
    stage = Stage(env, "imap", {"": "timeout 1s;"}, backend=backend)
    for user in (b"one", b"two", b"three"):
        client = stage.client()
        client.send(b"a LOGIN " + user + b" x\r\nb LOGOUT\r\n")
        assert client.rest() == b"a " + LATER + b"* BYE\r\nb OK completed\r\n"
    stage.postern.wait_log("upstream timed out", 3)


REFUSALS = {
    "no": b" NO [AUTHENTICATIONFAILED] not you\r\n", "bad": b" BAD what\r\n",
    "busy": b" NO [UNAVAILABLE] not now\r\n", "esc": b" NO \x1b[31mred\x7f\r\n",
}


def refusing_backend(told=None):
    """Says no to users by name, echoes the password of `echo`, lets `joe` in."""
    def backend(wire):
        wire.send(b"* OK hello\r\n")
        line = wire.line()
        if told is not None:
            told.append(line)
        if not line:
            return
        tag, user = line.split()[0], line.split(b'"')[1].decode()
        if user == "echo":
            wire.send(tag + b" NO wrong: " + line)
        elif user == "bye":
            wire.send(b"* BYE full\r\n")
        elif user in REFUSALS:
            wire.send(b"* OK wait\r\n" + tag + REFUSALS[user])
        else:
            wire.send(tag + b" OK in\r\n")
        wire.rest()
    return backend


def test_a_refusal_of_the_backend_leaves_the_session_open(env):
    stage = Stage(env, "imap", {"off": "", "on": "proxy_pass_error_message on;"}, backend=refusing_backend())
    said = b"a LOGIN no x\r\nb LOGIN bad x\r\nc LOGIN busy x\r\nd NOOP\r\ne LOGIN joe x\r\n"
    assert stage.say(said, "off") == b"a " + WRONG + b"b " + WRONG + b"c " + LATER + b"d OK completed\r\ne OK in\r\n"
    assert stage.say(said, "on") == (b"a NO [AUTHENTICATIONFAILED] not you\r\n"
                                     b"b BAD what\r\nc NO [UNAVAILABLE] not now\r\n"
                                     b"d OK completed\r\ne OK in\r\n")
    assert stage.say(b"a LOGIN bye x\r\n", "on") == b"a " + LATER
    assert stage.say(b"a LOGIN esc x\r\n", "on") == b"a NO [31mred\r\n"
    assert [r["Auth-Login-Attempt"] for r in stage.auth.requests] == ["1", "2", "3", "4"] * 2 + ["1", "1"]
    stage.postern.wait_log(r'client login failed: "a NO \[AUTHENTICATIONFAILED\] not you".*login: "no", upstream: ', 2)


def test_a_backend_that_repeats_the_password_is_not_quoted(env):
    """Neither in the log nor to the client, who may not know the one that the auth server gave."""
    stage = Stage(env, "imap", {"off": "", "on": "proxy_pass_error_message on;"}, backend=refusing_backend())
    assert stage.say(b"a LOGIN echo " + SECRET + b"\r\n", "off") == b"a " + WRONG
    assert stage.say(b"a LOGIN echo " + SECRET + b"\r\n", "on") == b"a " + WRONG
    stage.postern.wait_log("client login failed", 2)


# What a backend says first, and then to LOGIN (None: closes); each is a temporary failure.
BROKEN = [
    (b"* BYE too busy\r\n", None), (b"* PREAUTH in\r\n", None), (b"rubbish\r\n", None), (b"+OK pop3\r\n", None),
    (b"", None),
    (b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] x\r\n", None), (b"* OK " + 9000 * b"x", None), (b"* OK \0\r\n", None),
    (b"* OK x\r\n", None), (b"* OK x\r\n", b"b OK not your tag\r\n"), (b"* OK x\r\n", b"a MAYBE\r\n"),
    (b"* OK x\r\n", b"* BYE\r\n"), (b"* OK x\r\n", b"a O"), (b"* OK x\r\n", 3000 * b"* X\r\n"),
    (b"* OK x\r\n", b"* X {18446744073709551615}\r\n"), (b"* OK x\r\n", b"+ go on\r\n"),
]


def test_a_broken_backend_is_a_temporary_failure(env):
    def backend(wire):
        first, then = BROKEN[int(stage.auth.requests[-1]["Auth-User"])]
        wire.send(first)
        if then is not None and wire.line():
            wire.send(then)
    stage = Stage(env, "imap", backend=backend)
    for i in range(len(BROKEN)):
        heard = stage.say(b"a LOGIN %d x\r\nb NOOP\r\n" % i)
        assert heard == b"a " + LATER + b"b OK completed\r\n", (BROKEN[i], heard)


def test_a_backend_that_is_not_there_is_a_temporary_failure(env):
    stage = Stage(env, "imap", answer=accept(env.ip(2), 2001))
    assert stage.say(b"a LOGIN joe x\r\nb NOOP\r\n") == b"a " + LATER + b"b OK completed\r\n"
    stage.postern.wait_log(r"connect\(\) failed \(111: Connection refused\) while connecting to upstream, client: .*"
                           rf"upstream: {re.escape(env.ip(2))}:2001")


def test_no_credential_survives_a_failed_attempt(env):
    def answer(request):
        if request["Auth-User"] == "joe":
            return dict(stage.yes, **{"Auth-User": "no", "Auth-Pass": "other"})
        return stage.yes
    told = []
    stage = Stage(env, "imap", answer=answer, backend=refusing_backend(told))
    heard = stage.say(b"a AUTHENTICATE PLAIN " + b64(b"boss", b"joe", SECRET) + b"\r\nb LOGIN esc x\r\n"
                      b"c AUTHENTICATE LOGIN am9l\r\n*\r\nd LOGIN bad {0}\r\n\r\ne NOOP\r\n")
    assert heard == (b"a " + WRONG + b"b " + WRONG + b"+ UGFzc3dvcmQ6\r\nc BAD authentication cancelled\r\n+ OK\r\nd " +
                     WRONG + b"e OK completed\r\n"), heard
    assert [(r["Auth-User"], r["Auth-Pass"], r.get("Auth-Authz")) for r in stage.auth.requests] == \
        [("joe", SECRET.decode(), "boss"), ("esc", "x", None), ("bad", "", None)]
    assert told == [b'a LOGIN "no" "other"\r\n', b'b LOGIN "esc" "x"\r\n', b'd LOGIN "bad" ""\r\n']


def test_each_way_a_backend_can_fail_ends_in_time_and_disturbs_nobody(env):
    def trickles(wire):
        for byte in b"* OK " + 200 * b"x":
            wire.send(bytes([byte]))
            time.sleep(0.1)

    def trickles_lines(wire):
        wire.send(b"* OK hi\r\n")
        for _ in range(200):
            wire.send(b"* X\r\n")
            time.sleep(0.1)

    def half_closes(wire):
        wire.finish()
        wire.rest()

    def half_closes_late(wire):
        wire.send(b"* OK hi\r\n")
        wire.line()
        half_closes(wire)

    ways = {b"trickles": trickles, b"lines": trickles_lines, b"half": half_closes, b"late": half_closes_late,
            b"reset": lambda wire: wire.reset()}

    def backend(wire):
        ways.get(stage.turn, imap_backend)(wire)
    stage = Stage(env, "imap", {"": "timeout 1s;"}, backend=backend)
    stage.turn = b""
    other = stage.client()
    other.send(b"a LOGIN joe x\r\n")
    other.expect(b"a OK backend LOGIN")
    for way in ways:
        stage.turn = way
        client = stage.client()
        client.send(b"a LOGIN joe x\r\n")
        assert client.line() == b"a " + LATER, way
        other.send(b"b NOOP\r\n")
        other.expect(b"b OK backend NOOP")
        client.close()
    stage.postern.wait_log("upstream timed out while connecting to upstream")
    stage.postern.wait_log("upstream timed out while sending LOGIN command to upstream")
    stage.postern.wait_log("upstream prematurely closed connection while ", 2)
