"""How an SMTP client is called: by DNS, confirmed, before it is greeted."""
import signal
import smtplib
import struct
import threading

from certs import Authority
from harness import Vitals, Wire, eventually, netns
from nameserver import (A, AAAA, ASKED, CNAME, NOTIMP, NXDOMAIN, PTR, REFUSED, SERVFAIL, NameServer, address, ptr,
                        record, reverse, soa, wire)
from peers import AuthHttp, accept
from real import Postfix
from stage import GREETINGS, Stage, b64

CLIENT = "192.0.2.1"
GREETING = GREETINGS["smtp"]
LOGIN = b"EHLO c\r\nAUTH PLAIN " + b64(b"", b"joe", b"secret") + b"\r\n"


def head(ip):
    """The PROXY header of a client that comes from there."""
    six = ":" in ip
    return b"PROXY TCP%d %s %s 4711 25\r\n" % (6 if six else 4, ip.encode(), b"::2" if six else b"198.51.100.7")


class House:
    """An SMTP gateway behind a proxy that may say where clients come from, and a name server."""

    def __init__(self, env, settings="resolver {dns};", servers=None, listen="proxy_protocol", **options):
        self.env = env
        self.dns = env.keep(NameServer((env.ip(5), 5300)))
        settings = "set_real_ip_from 127.0.0.0/8;\n" + settings.format(dns=f"{env.ip(5)}:5300")
        self.stage = Stage(env, "smtp", servers, mail=settings, listen=listen, **options)
        self.postern = self.stage.postern

    def connect(self, ip=CLIENT, server=None):
        client = self.stage.connect(server)
        client.send(head(ip))
        return client

    def greet(self, ip=CLIENT, server=None):
        client = self.connect(ip, server)
        client.expect(GREETING)
        return client

    def names(self, client):
        """Logs in; what the auth server and the backend are told of how the client is called."""
        self.stage.heard.clear()
        client.send(LOGIN)
        while not client.line().startswith(b"235 "):
            pass
        client.close()
        told = self.stage.auth.requests[-1]["Client-Host"]
        shown = [line for line in self.stage.heard if line.startswith(b"XCLIENT ")]
        assert shown[0].endswith(b" NAME=%s\r\n" % told.encode()), shown
        return told

    def name(self, ip=CLIENT, server=None):
        return self.names(self.greet(ip, server))


def test_a_name_that_has_the_address_is_the_clients(env):
    house = House(env)
    house.dns.host(CLIENT, "mx.example.org")
    house.dns.host("2001:db8::25", "six.example.org")
    assert house.name() == "mx.example.org"
    assert house.name("2001:db8::25") == "six.example.org"
    assert house.dns.questions() == sorted([(reverse(CLIENT), PTR), ("mx.example.org", A),
                                            (reverse("2001:db8::25"), PTR), ("six.example.org", AAAA)])


def test_any_of_the_addresses_will_do_and_any_alias(env):
    house = House(env)
    house.dns.zone[reverse(CLIENT), PTR] = [record(CNAME, wire("1.0/25.2.0.192.in-addr.arpa")),
                                            ptr("Mail.Example.org", owner=wire("1.0/25.2.0.192.in-addr.arpa"))]
    house.dns.zone["mail.example.org", A] = [record(CNAME, wire("farm.example.org"))] + [
        address(f"192.0.2.{i}", owner=wire("farm.example.org")) for i in (7, 8, 1)]
    assert house.name() == "Mail.Example.org"


def test_the_first_name_that_is_one_counts(env):
    house = House(env)
    house.dns.zone[reverse(CLIENT), PTR] = [ptr([b"no host", b"org"]), ptr("a.example.org"), ptr("b.example.org")]
    house.dns.zone["a.example.org", A] = [address(CLIENT)]
    assert house.name() == "a.example.org"


# What the PTR record and then its name are answered with, what is told of the client, and what the log says of it.
NO, LATER = "[UNAVAILABLE]", "[TEMPUNAVAIL]"
FAILURES = [
    (NXDOMAIN, None, NO,
     r"X could not be resolved \(3: Host not found\) while in resolving client address, client: X,"),
    ([], None, NO, r"X could not be resolved \(3: Host not found\)"),
    (SERVFAIL, None, LATER, r"X could not be resolved \(2: Server failure\) while in resolving client address"),
    (NOTIMP, None, LATER, r"X could not be resolved \(4: Unimplemented\)"),
    (REFUSED, None, LATER, r"X could not be resolved \(5: Operation refused\)"),
    ([ptr("h.test")], NXDOMAIN, NO,
     r'"h.test" could not be resolved \(3: Host not found\) while in resolving client hostname'),
    ([ptr("h.test")], [], NO, r'"h.test" could not be resolved \(3: Host not found\)'),
    ([ptr("h.test")], SERVFAIL, LATER, r'"h.test" could not be resolved \(2: Server failure\)'),
    ([ptr("h.test")], [address("192.0.2.250")], NO,
     '"h.test" does not resolve to X while in resolving client hostname'),
    ([ptr([b"a b"])], None, LATER, r'X resolved to invalid host name "a\\+032b" while in resolving client address'),
    ([ptr([b"a\r\nXCLIENT"])], None, LATER, r'X resolved to invalid host name "a\\+013\\+010XCLIENT"'),
    ([ptr([b"NAME=x"])], None, LATER, r'X resolved to invalid host name "NAME\\+061x"'),
    ([ptr([b"h.test"])], None, LATER, r'X resolved to invalid host name "h\\+046test"'),
    ([ptr([b"a\0b", b"\xff\"\\"])], None, LATER, r'X resolved to invalid host name "a\\+000b.\\+255\\+034\\+092"'),
    ([ptr([b"_dmarc", b"org"])], None, LATER, 'X resolved to invalid host name "_dmarc.org"'),
    ([ptr([])], None, LATER, 'X resolved to invalid host name ""'),
    ([ptr([b"\xff" * 63] * 3 + [b"\xff" * 61])], None, LATER, 'X resolved to invalid host name "'),
    ([ptr([b"x" * 63] * 3 + [b"x" * 62])], None, LATER, r"X could not be resolved \(1: Format error\)"),
    ([record(PTR, ASKED)], None, NO, r'"[0-9.]*.in-addr.arpa" could not be resolved \(3: Host not found\)'),
    ([record(PTR, b"\xc0\xff")], None, LATER, r"X could not be resolved \(1: Format error\)"),
    ([record(PTR, wire("h.test") + b"x")], None, LATER, r"X could not be resolved \(1: Format error\)"),
    ([b"\xc0\x28" + ptr("h.test")[2:]], None, LATER, r"X could not be resolved \(1: Format error\)"),
    ([record(CNAME, ASKED)], None, LATER, r"X could not be resolved \(1: Format error\)"),
    (lambda q: q.answer(ptr("h.test"), count=2), None, LATER, r"X could not be resolved \(1: Format error\)"),
]


def test_who_has_no_name_is_told_apart_from_who_has_none_now(env):
    house = House(env)
    clients = []
    for i, (names, addresses, told, said) in enumerate(FAILURES):
        ip = f"192.0.2.{i + 1}"
        if addresses is not None:       # each client's own
            names = [ptr(f"h{i}.test")]
            said = said.replace("h.test", f"h{i}.test")
            house.dns.zone[f"h{i}.test", A] = addresses
        house.dns.zone[reverse(ip), PTR] = names
        clients.append((house.connect(ip), ip, told, said.replace("X ", f"{ip} ").replace("X,", f"{ip},")))
    for client, ip, told, said in clients:
        client.expect(GREETING)
        assert house.names(client) == told, (ip, said)
        house.postern.wait_log(said)
    log = house.postern.log()
    assert "\r" not in log and not any(line.startswith("XCLIENT") for line in log.splitlines())


def test_nobody_asks_where_nobody_is_to_be_asked(env):
    house = House(env, servers={"on": "", "off": "resolver off;", "v6": "resolver {dns} ipv4=off;"
                                .format(dns=f"{env.ip(5)}:5300"), "v4": f"resolver {env.ip(5)}:5300 ipv6=off;"})
    house.dns.host(CLIENT, "mx.example.org")
    house.dns.host("2001:db8::25", "six.example.org")
    assert house.name(server="off") == NO
    assert house.name(server="v6") == NO
    assert house.name("2001:db8::25", server="v4") == NO
    assert not house.dns.asked
    assert house.name(server="on") == house.name(server="v4") == "mx.example.org"
    assert house.name("2001:db8::25", server="v6") == "six.example.org"


def test_a_client_of_a_unix_socket_has_no_name_now(env):
    path = env.path("smtp.sock")
    house = House(env, raw=f"server {{ listen unix:{path}; protocol smtp; }}"
                           f"server {{ listen unix:{path}2; protocol smtp; resolver off; }}")
    for address_, told in (str(path), LATER), (f"{path}2", NO):
        client = Wire.to(address_)
        client.expect(GREETING)
        client.send(LOGIN)
        while not client.line().startswith(b"235 "):
            pass
        assert house.stage.auth.requests[-1]["Client-Host"] == told
    assert not house.dns.asked


def test_other_protocols_ask_nobody(env):
    dns = env.keep(NameServer((env.ip(5), 5300)))
    stage = Stage(env, "imap", mail=f"resolver {env.ip(5)}:5300;")
    client = stage.client()
    client.send(b"a LOGIN joe secret\r\n")
    client.expect(b"a OK backend LOGIN")
    assert stage.auth.requests[-1].get("Client-Host") is None
    assert not dns.asked


def test_an_answer_too_long_for_a_datagram_comes_by_tcp(env):
    house = House(env)

    def names(question):
        if question.over == "udp":
            return question.answer(flags=0x8380)
        return [ptr([b"no host", b"%d" % i]) for i in range(100)] + [ptr("mx.example.org")]
    house.dns.zone[reverse(CLIENT), PTR] = names
    house.dns.zone["mx.example.org", A] = [address(CLIENT)]
    assert house.name() == "mx.example.org"
    assert [q.over for q in house.dns.asked] == ["udp", "tcp", "udp"]


def test_servers_that_are_not_there_are_passed_over(env):
    dead = " ".join(f"{env.ip(i)}:5300" for i in (6, 7))
    house = House(env, f"resolver {dead} {{dns}};")
    for i in range(3):      # wherever the row begins
        house.dns.host(f"192.0.2.{i}", f"h{i}.example.org")
        assert house.name(f"192.0.2.{i}") == f"h{i}.example.org"


def test_another_server_may_know_what_one_does_not_want_to_say(env):
    house = House(env, f"resolver {env.ip(6)}:5300 {{dns}};")
    other = env.keep(NameServer((env.ip(6), 5300)))
    for i, code in enumerate((SERVFAIL, REFUSED, NOTIMP)):
        ip, name = f"192.0.2.{i + 1}", f"h{i}.example.org"
        house.dns.host(ip, name)
        other.zone.update({(reverse(ip), PTR): code, (name, A): code})
        assert house.name(ip) == name
    assert other.asked


@netns
def test_a_name_server_has_port_53_and_may_be_ipv6(env):
    dns = env.keep(NameServer(("::1", 53)))
    dns.host(env.ip(9), "mx.example.org")
    stage = Stage(env, "smtp", mail="resolver [::1];")
    client = Wire.to(stage.address(), source=env.ip(9))
    client.expect(GREETING)
    client.send(LOGIN)
    while not client.line().startswith(b"235 "):
        pass
    assert stage.auth.requests[-1]["Client-Host"] == "mx.example.org"


def test_what_is_known_is_not_asked_again(env):
    house = House(env)
    house.dns.host(CLIENT, "mx.example.org")
    house.dns.zone[reverse("192.0.2.3"), PTR] = NXDOMAIN
    house.dns.zone[reverse("192.0.2.4"), PTR] = [ptr([b"a b"])]
    for _ in range(5):
        assert house.name() == "mx.example.org"
        assert house.name("192.0.2.3") == NO
        assert house.name("192.0.2.4") == LATER
    assert len(house.dns.questions()) == 4
    # each client has its line, for it is about that client
    assert len(house.postern.wait_log("192.0.2.3 could not be resolved", 5)) == 5


def test_records_are_good_as_long_as_they_say(env):
    house = House(env)
    house.dns.host(CLIENT, "mx.example.org", ttl=0)
    for count in 1, 2, 3:
        assert house.name() == "mx.example.org"
        assert len(house.dns.questions()) == 2 * count
    # the least of all counts
    house.dns.zone[reverse("192.0.2.2"), PTR] = [ptr("old.example.org", ttl=86400)]
    house.dns.zone["old.example.org", A] = [address("192.0.2.2", ttl=1)]
    assert house.name("192.0.2.2") == "old.example.org"
    house.dns.zone["old.example.org", A] = [address("192.0.2.3")]
    eventually(lambda: house.name("192.0.2.2") == NO, "the records are asked for again")


def test_that_there_is_no_name_is_good_as_long_as_the_zone_says(env):
    """RFC 2308: the SOA that comes along says for how long, and it may be about the name or its address."""
    house = House(env)
    short, long_ = [soa(ttl=3600, minimum=1)], [soa(ttl=3600, minimum=3600, owner=wire("in-addr.arpa"))]
    cases = {"192.0.2.1": (lambda q: q.answer(code=NXDOMAIN, authority=short), True),
             "192.0.2.2": (lambda q: q.answer(authority=short), True),
             "192.0.2.3": (lambda q: q.answer(code=NXDOMAIN, authority=long_), False),
             "192.0.2.4": (lambda q: q.answer(authority=long_), False),
             # another zone's word does not count, nor is it kept where nobody says how long
             "192.0.2.5": (lambda q: q.answer(code=NXDOMAIN, authority=[soa(3600, 3600, wire("test"))]), True),
             "192.0.2.6": (lambda q: q.answer(code=NXDOMAIN), True),
             "192.0.2.7": (lambda q: [ptr("h.test", ttl=3600)], True)}
    for ip, (said, _) in cases.items():
        house.dns.zone[reverse(ip), PTR] = said
    house.dns.zone["h.test", A] = lambda q: q.answer(code=NXDOMAIN, authority=short)
    for ip in cases:
        assert house.name(ip) == NO
    # Now all of them have names.
    for i, ip in enumerate(cases):
        house.dns.zone.pop(("h.test", A), None)
        house.dns.host(ip, f"h{i}.example.org")
    for i, (ip, (_, forgotten)) in enumerate(cases.items()):
        if forgotten:
            eventually(lambda: house.name(ip) == f"h{i}.example.org", f"the name of {ip} is asked for again")
    for ip, (_, forgotten) in cases.items():
        assert forgotten or house.name(ip) == NO


def test_valid_overrules_what_records_say(env):
    house = House(env, servers={"long": f"resolver {env.ip(5)}:5300 valid=1h;",
                                "short": f"resolver valid=1s {env.ip(5)}:5300;"})
    house.dns.host(CLIENT, "mx.example.org", ttl=0)
    house.dns.host("192.0.2.2", "slow.example.org", ttl=0x7fffffff)
    for _ in range(3):
        assert house.name(server="long") == "mx.example.org"
    assert len(house.dns.questions()) == 2
    assert house.name("192.0.2.2", "short") == "slow.example.org"
    house.dns.zone[reverse("192.0.2.2"), PTR] = NXDOMAIN
    eventually(lambda: house.name("192.0.2.2", "short") == NO, "valid=1s is over")


def hold(house, ip, name):
    """The PTR record of an address, held back until release() of what this returns; resent questions are held, too."""
    gate = threading.Event()

    def answer(question):
        gate.wait(30)
        return [ptr(name)]
    house.dns.zone[reverse(ip), PTR] = answer
    house.dns.zone[name, AAAA if ":" in ip else A] = [address(ip)]
    return gate


def test_all_who_wait_for_one_address_ask_once(env):
    house = House(env)
    gate = hold(house, CLIENT, "mx.example.org")
    clients = [house.connect() for _ in range(20)]
    house.dns.wait(1)
    house.postern.wait_log("-> naming", 20)
    for client in clients[:5]:      # some have no patience
        client.close()
    gate.set()
    for client in clients[5:]:
        client.expect(GREETING)
        assert house.names(client) == "mx.example.org"
    assert house.dns.questions() == sorted([(reverse(CLIENT), PTR), ("mx.example.org", A)])


def test_silence_has_an_end_and_is_a_failure(env):
    house = House(env, "resolver {dns}; resolver_timeout 1s;")
    house.dns.zone[reverse(CLIENT), PTR] = None
    house.dns.zone[reverse("192.0.2.2"), PTR] = [ptr("silent.test")]
    house.dns.zone["silent.test", A] = None
    assert house.name() == LATER
    assert house.name("192.0.2.2") == LATER
    late = r"could not be resolved \(110: Operation timed out\) while in resolving client"
    house.postern.wait_log(f"192.0.2.1 {late} address")
    house.postern.wait_log(f'"silent.test" {late} hostname')


def test_a_name_server_that_wakes_up_is_heard_by_those_who_wait(env):
    house = House(env)
    house.dns.zone[reverse(CLIENT), PTR] = None
    client = house.connect()
    house.dns.wait(1)
    house.dns.host(CLIENT, "mx.example.org")
    client.expect(GREETING)
    assert house.names(client) == "mx.example.org"


def test_200_clients_without_an_answer_keep_nobody_else_waiting(env):
    house = House(env, events="worker_connections 2000;")
    house.dns.host(CLIENT, "mx.example.org")
    house.dns.zone.update({(reverse(f"10.0.0.{i}"), PTR): None for i in range(200)})
    silent = [house.connect(f"10.0.0.{i}") for i in range(200)]
    house.dns.wait(200)
    for _ in range(3):
        assert house.name() == "mx.example.org"
    house.dns.host("192.0.2.2", "other.example.org")
    assert house.name("192.0.2.2") == "other.example.org"
    for client in silent:
        assert not client.held
    silent[0].quiet(0.1)


def test_who_leaves_while_its_name_is_looked_up_is_forgotten(env):
    house = House(env)
    worker = Vitals(house.postern.children()[0])
    gate = hold(house, CLIENT, "mx.example.org")
    first = house.connect()
    house.dns.wait(1)
    idle = worker.descriptors()
    leavers = [house.connect() for _ in range(20)]
    house.postern.wait_log("-> naming", 21)
    for i, client in enumerate(leavers):
        (client.reset, client.close, client.finish)[i % 3]()
    worker.wait_descriptors(idle)
    gate.set()
    first.expect(GREETING)
    assert house.names(first) == "mx.example.org"


def test_who_asks_last_may_leave_last(env):
    """Nobody waits any more when the answer comes; the next client finds it."""
    house = House(env)
    gate = hold(house, CLIENT, "mx.example.org")
    client = house.connect()
    house.dns.wait(1)
    client.reset()
    house.postern.wait_log("naming -> dead")
    gate.set()
    house.dns.wait(2)
    assert house.name() == "mx.example.org"
    assert len(house.dns.questions()) == 2


def test_what_a_client_says_meanwhile_is_answered_behind_the_greeting(env):
    house = House(env)
    gate = hold(house, CLIENT, "mx.example.org")
    client = house.connect()
    client.send(b"EHLO c\r\nQUIT\r\n")
    client.finish()
    house.dns.wait(1)
    client.quiet(0.2)
    gate.set()
    client.expect(GREETING)
    assert client.rest().endswith(b"\r\n221 2.0.0 Bye\r\n")


def test_who_speaks_first_is_refused_where_there_is_a_delay(env):
    house = House(env, "resolver {dns}; smtp_greeting_delay 1s;")
    gate = hold(house, CLIENT, "mx.example.org")
    client, patient = house.connect(), house.connect()
    client.send(b"EHLO c\r\n")
    house.dns.wait(1)
    gate.set()
    assert client.rest() == b"503 5.5.0 Improper use of SMTP command pipelining\r\n"
    patient.expect(GREETING)
    assert house.names(patient) == "mx.example.org"


def test_the_look_up_is_not_the_clients_time(env):
    house = House(env, "resolver {dns}; timeout 2s;")
    gate = hold(house, CLIENT, "mx.example.org")
    client = house.connect()
    house.dns.wait(1)
    client.quiet(2.5)
    gate.set()
    client.expect(GREETING)
    assert house.names(client) == "mx.example.org"


def test_hands_are_shaken_before_anybody_is_asked(env):
    authority = Authority(env)
    certificate, key = authority.issue("mail.example.com")
    house = House(env, servers={"s": f"ssl_certificate {certificate}; ssl_certificate_key {key};"},
                  listen="ssl proxy_protocol")
    gate = hold(house, CLIENT, "mx.example.org")
    client = house.connect()
    assert not house.dns.asked
    client.secure(authority.trust())
    house.dns.wait(1)
    gate.set()
    client.expect(GREETING)
    assert house.names(client) == "mx.example.org"
    gone = house.connect("192.0.2.9")
    hold(house, "192.0.2.9", "gone.example.org")
    gone.secure(authority.trust())
    house.dns.wait(3)
    gone.close()
    house.postern.wait_log("naming -> dead")


def test_mail_without_login_is_asked_about_with_the_name(env):
    house = House(env, "resolver {dns}; smtp_auth none;")
    house.dns.host(CLIENT, "mx.example.org")
    client = house.greet()
    client.send(b"HELO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\n")
    taken = b"250 2.1.5 backend takes it"
    client.expect(b"250 mail.example.com", b"250 2.0.0 OK", taken, taken)
    assert [request["Client-Host"] for request in house.stage.auth.requests] == ["mx.example.org"] * 2
    assert b"NAME=mx.example.org\r\n" in house.stage.heard[1]


def test_a_real_postfix_believes_the_name(env):
    postfix = Postfix(env, env.ip(3), restrictions="reject_unauth_destination")
    env.keep(AuthHttp((env.ip(4), 9000), accept(env.ip(3), 25)))
    dns = env.keep(NameServer((env.ip(5), 5300)))
    dns.host(env.ip(9), "mx.example.org")
    env.postern(f"auth_http {env.ip(4)}:9000/auth; resolver {env.ip(5)}:5300;"
                f"server {{ listen {env.ip()}:25; protocol smtp; smtp_auth none; }}")
    for host, name in (9, "mx.example.org"), (8, "unknown"):
        with smtplib.SMTP(env.ip(), 25, "c", timeout=20, source_address=(env.ip(host), 0)) as client:
            client.sendmail("a@example.org", ["joe@example.com"], "Subject: hello\r\n\r\nhello\r\n")
        eventually(lambda: f": client={name}[{env.ip(host)}]" in postfix.log(), f"Postfix logs {name}")


def test_a_reload_begins_anew_and_those_who_wait_are_still_answered(env):
    house = House(env)
    other = env.keep(NameServer((env.ip(6), 5300)))
    gate = hold(house, "192.0.2.9", "slow.example.org")
    house.dns.host(CLIENT, "old.example.org")
    other.host(CLIENT, "new.example.org")
    assert house.name() == "old.example.org"
    waiting = house.connect("192.0.2.9")
    house.dns.wait(3)
    config = house.postern.config
    config.write_text(config.read_text().replace(f"resolver {env.ip(5)}", f"resolver {env.ip(6)}"))
    old = house.postern.children()
    house.postern.kill(signal.SIGHUP)
    eventually(lambda: house.postern.children("worker process is shutting down") == old, "the old worker drains")
    assert house.name() == "new.example.org"
    gate.set()
    waiting.expect(GREETING)
    assert house.names(waiting) == "slow.example.org"
    eventually(lambda: not house.postern.children("worker process is shutting down"), "the old worker has gone")
    # the same name servers once more: still nothing is kept
    count = len(other.questions())
    old = house.postern.children()
    house.postern.kill(signal.SIGHUP)
    eventually(lambda: house.postern.children() and not set(old) & set(house.postern.children()), "a new worker")
    assert house.name() == "new.example.org"
    assert len(other.questions()) == count + 2


def test_a_worker_ends_in_the_middle_of_look_ups(env):
    house = House(env)
    house.dns.zone[reverse(CLIENT), PTR] = None
    clients = [house.connect() for _ in range(5)]
    house.dns.wait(1)
    house.postern.wait_log("-> naming", 5)
    house.postern.kill(signal.SIGTERM)
    for client in clients:
        client.expect(b"421 4.3.2 mail.example.com Server is shutting down")
        client.expect_end()
    house.postern.wait_log("worker process [0-9]+ exited with code 0")


def test_answers_that_are_not_ours_are_no_answers(env):
    """Another id, another question, too short to be anything: the real one still counts."""
    house = House(env)

    def names(question):
        lie, other = question.answer(ptr("liar.test")), (int.from_bytes(question.id, "big") + 1) % 65536
        lies = [struct.pack("!H", other) + lie[2:], lie.replace(b"\x07in-addr", b"\x07in-addx"), question.id, b""]
        for lie in lies:
            house.dns.sock.sendto(lie, peers[-1])
        return [ptr("mx.example.org")]
    peers, serve = [], house.dns.serve

    def note(packet, peer):
        peers.append(peer)
        serve(packet, peer)
    house.dns.serve = note
    house.dns.zone[reverse(CLIENT), PTR] = names
    house.dns.zone["mx.example.org", A] = [address(CLIENT)]
    assert house.name() == "mx.example.org"
