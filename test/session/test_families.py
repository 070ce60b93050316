"""Clients that come by IPv6 and over UNIX sockets, in each protocol, through all that asks who they are."""
import functools
import struct

from harness import Wire, eventually, netns
from peers import accept, imap_backend, pop3_backend, smtp_backend
from stage import GREETINGS, Stage, b64
from test_arrival import DENIED
from test_limits_conn import BYE
from test_preface import read_v2

PROTOCOLS = ("imap", "pop3", "smtp")
BACKENDS = {"imap": imap_backend, "pop3": functools.partial(pop3_backend, greeting=b"+OK [XCLIENT] backend ready"),
            "smtp": smtp_backend}
IN = {"imap": b"a OK", "pop3": b"+OK", "smtp": b"235"}
LIMITED = {"imap": b"a NO [LIMIT] Too many failed logins\r\n", "pop3": b"-ERR [SYS/TEMP] Too many failed logins\r\n",
           "smtp": b"454 4.7.0 Too many failed logins\r\n"}


class House:
    """A gateway with the same settings for ::1 and for a UNIX socket; its backend is on 127.0.0.1 and notes what it hears."""

    def __init__(self, env, protocol, settings, mail="", backend=None, **options):
        self.protocol, self.heard = protocol, []
        self.path = env.path(f"{protocol}.sock")
        blocks = "".join(f"server {{ listen {at}; protocol {protocol}; {settings} }}\n"
                         for at in ("[::1]:2143", f"unix:{self.path} mode=0666"))
        self.stage = Stage(env, protocol, mail=mail, raw=blocks, backend=backend or self.serve, **options)
        self.auth, self.postern = self.stage.auth, self.stage.postern

    def serve(self, wire):
        BACKENDS[self.protocol](wire, on_command=self.heard.append)

    def connect(self, is_unix):
        return Wire.to(str(self.path) if is_unix else ("::1", 2143))

    def log_in(self, client, password=b"secret"):
        """What a greeted client hears of its login."""
        line = client.line()
        assert line.startswith(GREETINGS[self.protocol]), line
        client.send({"imap": b"a LOGIN joe %s\r\n" % password, "pop3": b"USER joe\r\nPASS %s\r\n" % password,
                     "smtp": b"AUTH PLAIN %s\r\n" % b64(b"", b"joe", password)}[self.protocol])
        if self.protocol == "pop3":
            client.line()
        return client.line()


def each(env, settings, test, **options):
    for protocol in PROTOCOLS:
        house = House(env, protocol, settings, **options)
        for is_unix in False, True:
            test(house, is_unix)
        env.close()


@netns
def test_source_and_log_are_told_where_they_come_from(env):
    def test(house, is_unix):
        ip = "unix:" if is_unix else "::1"
        client = house.connect(is_unix)
        assert house.log_in(client).startswith(IN[house.protocol])
        assert house.auth.requests[-1]["Client-IP"] == ip
        client.close()
        place = f"unix:{house.path}" if is_unix else r"\[::1\]:2143"
        house.postern.wait_log(f"client logged in, client: {ip}, server: {place}, ")
        house.postern.wait_log(rf"client (\[::1\]:\d+|unix:) connected to {place}$")
    each(env, "", test)


@netns
def test_lists_know_them(env):
    for rules, v6, local in (("allow ::1; deny all;", True, False), ("allow unix:; deny all;", False, True),
                             ("deny ::/0; allow all;", False, True), ("deny unix:; allow all;", True, False),
                             ("allow 0.0.0.0/0; deny all;", False, False)):
        for protocol in PROTOCOLS:
            house = House(env, protocol, rules)
            for is_unix, is_in in (False, v6), (True, local):
                line = house.connect(is_unix).line()
                assert line.startswith(GREETINGS[protocol]) if is_in else line == DENIED[protocol], (rules, protocol)
            env.close()


@netns
def test_connections_of_theirs_are_counted(env):
    """One address each: those of UNIX sockets cannot be told apart."""
    def test(house, is_unix):
        first = house.connect(is_unix)
        assert house.log_in(first).startswith(IN[house.protocol])
        assert house.connect(is_unix).rest() == BYE[house.protocol] + b"\r\n"
        first.close()

        def comes():
            return house.connect(is_unix).line().startswith(GREETINGS[house.protocol])
        eventually(comes, "the place is free again")
    each(env, "limit_conn addresses 1;", test, mail="limit_conn_zone $remote_addr zone=addresses:1m;")


@netns
def test_failed_logins_of_theirs_are_counted(env):
    def answer(request):
        return accept(env.ip(2), 2000) if request["Auth-Pass"] == "right" else {"Auth-Status": "no"}

    def test(house, is_unix):
        heard = [house.log_in(house.connect(is_unix), password) for password in (b"wrong", b"right")]
        assert b"no\r\n" in heard[0] and heard[1] == LIMITED[house.protocol], heard
    each(env, "", test, answer=answer,
         mail="limit_auth_zone $remote_addr zone=guessers:1m rate=1/h burst=1; limit_auth guessers;")


@netns
def test_and_may_be_exempt(env):
    def test(house, is_unix):
        for _ in range(3):
            assert b"no\r\n" in house.log_in(house.connect(is_unix), b"wrong")
    each(env, "limit_exempt ::1; limit_exempt unix:;", test, answer={"Auth-Status": "no"},
         mail="limit_auth_zone $remote_addr zone=guessers:1m rate=1/h burst=1; limit_auth guessers;"
              "limit_conn_zone $remote_addr zone=addresses:1m; limit_conn addresses 1;")


TOLD = {
    "imap": (b'"x-originating-ip" "::1" "x-originating-port" "%d" "x-connected-ip" "::1" "x-connected-port" "2143"', None),
    "pop3": (b"XCLIENT ADDR=::1 PORT=%d SESSION=", None),
    "smtp": (b"XCLIENT ADDR=IPV6:::1 LOGIN=joe NAME=[UNAVAILABLE]\r\n",
             b"XCLIENT ADDR=[UNAVAILABLE] LOGIN=joe NAME=[UNAVAILABLE]\r\n"),
}


@netns
def test_backends_are_told_in_the_protocols_words(env):
    """Of an address that is none, IMAP and POP3 say nothing."""
    def test(house, is_unix):
        house.heard.clear()
        client = house.connect(is_unix)
        assert house.log_in(client).startswith(IN[house.protocol])
        said, wanted = b"".join(house.heard), TOLD[house.protocol][is_unix]
        if wanted is None:
            assert b"ADDR" not in said and b"-ip" not in said, said
            assert b"x-session-id" in said or house.protocol == "pop3", said
        else:
            wanted = wanted % client.sock.getsockname()[1] if b"%d" in wanted else wanted
            assert wanted in said, said
        client.close()
    each(env, "", test, mail="xclient on; proxy_imap_id on;")


@netns
def test_and_by_proxy_headers(env):
    heads = []

    def v1(wire):
        heads.append(wire.line())

    def v2(wire):
        heads.append(read_v2(wire)[:2])

    for read, setting in (v1, "on"), (v2, "v2"):
        def test(house, is_unix):
            client = house.connect(is_unix)
            assert house.log_in(client).startswith(IN[house.protocol])
            port = client.sock.getsockname()[1] if not is_unix else 0
            loopback = b"\0" * 15 + b"\1"
            wanted = {("on", False): b"PROXY TCP6 ::1 ::1 %d 2143\r\n" % port, ("on", True): b"PROXY UNKNOWN\r\n",
                      ("v2", False): (0x21, loopback * 2 + struct.pack("!HH", port, 2143)), ("v2", True): (0, b"")}
            assert heads[-1] == wanted[setting, is_unix], heads[-1]
            client.close()

        for protocol in PROTOCOLS:
            def serve(wire):
                read(wire)
                BACKENDS[protocol](wire, on_command=None)
            house = House(env, protocol, f"proxy_protocol {setting};", backend=serve)
            for is_unix in False, True:
                test(house, is_unix)
            env.close()
