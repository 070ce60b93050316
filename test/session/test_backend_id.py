"""Whom the backend believes the client to be: ID of IMAP, XCLIENT of POP3 and SMTP."""
import re

from harness import Postern, Wire, eventually
from nameserver import NameServer
from peers import Listener, smtp_backend
from real import Dovecot, Postfix
from stage import GREETINGS, Stage, b64

USERS = {"joe": "secret"}
HEADER = b"PROXY TCP4 192.0.2.%d 198.51.100.7 4711 143\r\n"


def house(env, settings=""):
    """A Dovecot that takes our word, behind listens that are told by PROXY headers."""
    dovecot = Dovecot(env, env.ip(2), USERS, trusted="127.0.0.0/8")
    users = env.write("users", "joe:{PLAIN}secret\n", 0o600)
    postern = env.postern(f"""
    auth_file {users}; set_real_ip_from 127.0.0.0/8; {settings}
    server {{ listen {env.ip()}:143 proxy_protocol; protocol imap; proxy_pass {env.ip(2)}; }}
    server {{ listen {env.ip()}:110 proxy_protocol; protocol pop3; proxy_pass {env.ip(2)}; }}
""")
    return dovecot, postern


def logged_in(dovecot):
    """Dovecot's log, once it tells of the login: its answer comes first."""
    eventually(lambda: "Login: user=<joe>" in dovecot.log(), "the login in Dovecot's log")
    return dovecot.log()


def say(env, port, *said):
    """Says these lines, each once the one before has been answered, and returns the last answer."""
    client = Wire.to((env.ip(), port), patience=60)
    client.send(said[0])
    heard = client.line()
    for line in said[1:]:
        client.send(line)
        heard = client.line()
        while heard.startswith(b"* "):
            heard = client.line()
    return client, heard


def test_dovecot_believes_an_imap_id(env):
    dovecot, postern = house(env, "proxy_imap_id on;")
    client, heard = say(env, 143, HEADER % 7, b'a ID ("name" "Mutt" "x-originating-ip" "10.0.0.1")\r\n', b"b LOGIN joe secret\r\n")
    assert heard.startswith(b"b OK"), heard
    log = logged_in(dovecot)
    assert "rip=192.0.2.7" in log and f"lip={env.ip()}" in log, log
    assert "10.0.0.1" not in log


def test_without_it_dovecot_sees_the_gateway(env):
    dovecot, _ = house(env)
    _, heard = say(env, 143, HEADER % 7, b"b LOGIN joe secret\r\n")
    assert heard.startswith(b"b OK"), heard
    assert "192.0.2.7" not in logged_in(dovecot)


def test_dovecot_believes_xclient_of_pop3(env):
    dovecot, postern = house(env)
    _, heard = say(env, 110, HEADER % 9, b"USER joe\r\n", b"PASS secret\r\n")
    assert heard.startswith(b"+OK"), heard
    assert "rip=192.0.2.9" in logged_in(dovecot)


def test_xclient_off_tells_pop3_nothing(env):
    dovecot, _ = house(env, "xclient off;")
    _, heard = say(env, 110, HEADER % 9, b"USER joe\r\n", b"PASS secret\r\n")
    assert heard.startswith(b"+OK"), heard
    assert "192.0.2.9" not in logged_in(dovecot)


class Policy(Listener):
    """Postfix asks it about each recipient, and so tells what it believes. It has no objections."""

    def __init__(self, address):
        self.asked = []
        super().__init__(address, self.talk)

    def talk(self, wire):
        while True:
            fields = {}
            while (line := wire.line()) not in (b"\n", b""):
                name, _, value = line.decode().rstrip("\n").partition("=")
                fields[name] = value
            if line == b"":
                return
            self.asked.append(fields)
            wire.send(b"action=DUNNO\n\n")


def test_postfix_hears_all_that_it_offers_to_hear(env):
    policy = env.keep(Policy((env.ip(7), 9001)))
    postfix = Postfix(env, env.ip(3), restrictions=f"check_policy_service inet:{env.ip(7)}:9001, "
                      "permit_sasl_authenticated, reject_unauth_destination")
    users = env.write("users", "joe:{PLAIN}secret\n", 0o600)
    dns = env.keep(NameServer((env.ip(5), 5300)))
    dns.host("192.0.2.8", "laptop.example.net")
    env.postern(f"""
    auth_file {users}; set_real_ip_from 127.0.0.0/8; resolver {env.ip(5)}:5300;
    server {{ listen {env.ip()}:587 proxy_protocol; protocol smtp; proxy_pass {env.ip(3)}; }}
""")
    client = Wire.to((env.ip(), 587), patience=60)
    client.send(b"PROXY TCP4 192.0.2.8 198.51.100.7 4711 587\r\n")
    client.line()
    for line in b"EHLO laptop.example.com", b"AUTH PLAIN " + b64(b"", b"joe", b"secret"), b"MAIL FROM:<joe@example.com>", \
            b"RCPT TO:<ann@example.com>", b"DATA", b"Subject: x\r\n\r\nx\r\n.":
        client.send(line + b"\r\n")
        heard = client.line()
        while heard[3:4] == b"-":
            heard = client.line()
        assert heard[:1] in b"23", heard
    message = postfix.messages()[0]
    assert b"from laptop.example.com (laptop.example.net [192.0.2.8])" in message, message
    eventually(lambda: "client=laptop.example.net[192.0.2.8]" in postfix.log(), "the client in Postfix's log")
    wanted = {"client_address": "192.0.2.8", "client_name": "laptop.example.net", "client_port": "4711",
              "server_address": env.ip(), "server_port": "587", "helo_name": "laptop.example.com",
              "protocol_name": "ESMTP", "sasl_username": "joe"}
    assert {name: policy.asked[0].get(name) for name in wanted} == wanted, policy.asked[0]


def test_a_backend_without_xclient_is_spoken_with_all_the_same(env):
    heard = []
    stage = Stage(env, "smtp", {"may": "", "must": "proxy_xclient_required on;"},
                  backend=lambda wire: smtp_backend(wire, extensions=(b"8BITMIME",), on_command=heard.append))
    login = b"AUTH PLAIN " + b64(b"", b"joe", b"secret") + b"\r\n"
    for server, answer in ("may", b"235 2.0.0 OK"), ("must", b"451 4.3.2 Internal server error"):
        client = stage.client(server)
        client.send(login)
        client.expect(answer)
        client.close()
    assert heard == [b"EHLO mail.example.com\r\n"] * 2
    assert len(stage.postern.wait_log("upstream does not offer XCLIENT with what it needs")) == 1


def test_proxies_in_a_circle_notice(env):
    """A gateway whose backend is itself."""
    users = env.write("users", "joe:{PLAIN}secret\n", 0o600)
    postern = env.postern(f"""
    auth_file {users}; proxy_imap_id on;
    server {{ listen {env.ip()}:143; protocol imap; proxy_pass {env.ip()}:143; }}
""")
    client = Wire.to((env.ip(), 143), patience=60)
    client.send(b"a LOGIN joe secret\r\n")
    client.line()
    assert client.line().startswith(b"a NO [UNAVAILABLE]")
    assert len(postern.wait_log("proxying goes in a circle")) == 1
    assert postern.log().count("connected to") == 7


def test_two_gateways_in_a_ring_notice(env):
    """Each hands its logins to the other."""
    users = env.write("users", "joe:{PLAIN}secret\n", 0o600)
    posterns = []
    for mine, other in (1, 4), (4, 1):
        postern = env.keep(Postern(env, config=f"""
user nobody;
error_log {env.path(f"error{mine}.log")} debug;
pid {env.path(f"{mine}.pid")};
auth_helper_path {env.build};
events {{}}
mail {{
    auth_file {users}; proxy_imap_id on;
    server {{ listen {env.ip(mine)}:143; protocol imap; proxy_pass {env.ip(other)}:143; }}
}}
"""))
        postern.log_path, postern.pid_path = env.path(f"error{mine}.log"), env.path(f"{mine}.pid")
        posterns.append(postern.start())
    client = Wire.to((env.ip(1), 143))
    client.send(b"a LOGIN joe secret\r\n")
    client.line()
    assert client.line().startswith(b"a NO [UNAVAILABLE]")
    # Five more in turns; the last of them has connected once more before it says that this is far enough.
    assert len(posterns[1].wait_log("proxying goes in a circle")) == 1
    eventually(lambda: [postern.log().count("connected to") for postern in posterns] == [4, 3], "seven connections")
    assert "proxying goes in a circle" not in posterns[0].log()


class Attentive:
    """A backend that has heard all of a login before it answers any of it: what waits for an answer never comes."""

    def __init__(self, greeting, count, answers):
        self.greeting, self.count, self.answers, self.heard = greeting, count, answers, []

    def __call__(self, wire):
        wire.send(self.greeting)
        self.heard.append([wire.line() for _ in range(self.count)])
        wire.send(self.answers[0])
        for answer in self.answers[1:]:
            self.heard[-1].append(wire.line())
            wire.send(answer)
        wire.rest()


def test_to_say_who_it_is_costs_no_round_trip_pop3(env):
    backend = Attentive(b"+OK [XCLIENT] ready\r\n", 2, (b"+OK Updated\r\n+OK\r\n", b"+OK in\r\n"))
    stage = Stage(env, "pop3", {"v": "set_real_ip_from 127.0.0.0/8;"}, listen="proxy_protocol", backend=backend)
    for family, ip in (b"4", b"192.0.2.1"), (b"6", b"2001:db8::1"):
        client = stage.connect()
        client.send(b"PROXY TCP%s %s %s 4711 110\r\nUSER joe\r\nPASS secret\r\n" % (family, ip, b"::2" if family == b"6" else b"198.51.100.7"))
        client.expect(GREETINGS["pop3"], b"+OK", b"+OK in")
        session = re.search(r"session: (\w+)", stage.postern.wait_log(f"client logged in, client: {ip.decode()}")[0])[1]
        assert backend.heard[-1] == [b"XCLIENT ADDR=%s PORT=4711 SESSION=%s TTL=5\r\n" % (ip, session.encode()),
                                     b"USER joe\r\n", b"PASS secret\r\n"]
        client.close()


def test_a_unix_client_has_no_address_to_tell_pop3(env):
    backend = Attentive(b"+OK [XCLIENT] ready\r\n", 1, (b"+OK\r\n", b"+OK in\r\n"))
    path = str(env.path("door"))
    stage = Stage(env, "pop3", raw=f"server {{ listen unix:{path}; protocol pop3; }}", backend=backend)
    client = Wire.to(path)
    client.send(b"USER joe\r\nPASS secret\r\n")
    client.expect(GREETINGS["pop3"], b"+OK", b"+OK in")
    assert backend.heard == [[b"USER joe\r\n", b"PASS secret\r\n"]]


def test_to_say_who_it_is_costs_no_round_trip_imap(env):
    backend = Attentive(b"* OK [CAPABILITY IMAP4rev1 ID] ready\r\n", 2, (b"",))
    stage = Stage(env, "imap", {"v": "proxy_imap_id on;"}, backend=backend)
    client = stage.client()
    client.send(b"a LOGIN joe secret\r\n")
    (said, login), = eventually(lambda: backend.heard, "both commands")
    assert re.fullmatch(rb'\S+ ID \("x-session-id" "\w+" "x-proxy-ttl" "5" "x-originating-ip" "127.0.0.1" "x-originating-port" "\d+" '
                        rb'"x-connected-ip" "[\d.]+" "x-connected-port" "2143"\)\r\n', said), said
    assert b" LOGIN " in login


def test_a_unix_client_is_unavailable_to_smtp(env):
    path = str(env.path("door"))
    stage = Stage(env, "smtp", raw=f"server {{ listen unix:{path}; protocol smtp; }}",
                  backend=lambda wire: smtp_backend(wire, extensions=(b"XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT",),
                                                    on_command=stage.heard.append))
    client = Wire.to(path)
    client.expect(GREETINGS["smtp"])
    client.send(b"EHLO [127.0.0.1]\r\nAUTH PLAIN " + b64(b"", b"a=b c+d", b"secret") + b"\r\n")
    while not client.line().startswith(b"235 "):
        pass
    assert [line for line in stage.heard if line.startswith(b"XCLIENT")] == [
        b"XCLIENT ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] LOGIN=a+3Db+20c+2Bd NAME=[UNAVAILABLE] PROTO=ESMTP "
        b"HELO=[127.0.0.1] DESTADDR=[UNAVAILABLE] DESTPORT=[UNAVAILABLE]\r\n"]
