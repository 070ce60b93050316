"""allow and deny: whose address counts, whose list, and when."""
import re
import signal
import subprocess

from certs import Authority
from harness import Wire, eventually, netns
from stage import GREETINGS, Stage
from test_arrival import DENIED, v1

PORTS = {"imap": 2143, "pop3": 2110, "smtp": 2025}


def addresses(*networks):
    for network in networks:
        subprocess.run(["ip", "address", "add", network, "dev", "lo"], check=True)


def answer(address, source=None):
    """The first words on a connection from there."""
    client = Wire.to(address, source)
    heard = client.line()
    client.close()
    return heard


@netns
def test_the_example_that_everybody_begins_with(env):
    """As it stands in the manual, and in nginx's of its other parts."""
    addresses("192.168.1.5/24", "192.168.2.5/24", "2001:db8::5/64")
    path = env.path("door")
    Stage(env, "imap", mail="allow 192.168.1.0/24; deny all;",
          raw="".join(f"server {{ listen {port}; listen [::]:{port}; protocol {protocol}; }}\n"
                      for protocol, port in PORTS.items()) + f"server {{ listen unix:{path} mode=0666; protocol imap; }}")
    for protocol, port in PORTS.items():
        for ip, is_in in (("192.168.1.5", True), ("192.168.2.5", False), ("127.0.0.1", False), ("::1", False),
                          ("2001:db8::5", False)):
            heard = answer((ip, port), ip)
            assert heard.startswith(GREETINGS[protocol]) if is_in else heard == DENIED[protocol], (protocol, ip, heard)
    assert answer(str(path)) == DENIED["imap"]


@netns
def test_an_ipv4_client_is_one_however_it_comes_and_however_it_is_written(env):
    """A socket of both families shows it as an IPv4-mapped address; so may a rule."""
    addresses("10.1.2.3/8", "192.0.2.7/24")
    Stage(env, "imap", raw="""server { listen [::]:143 ipv6only=off; protocol imap;
        deny 127.0.0.5; deny ::ffff:127.0.0.6; deny ::ffff:10.0.0.0/104; allow 127.0.0.0/8; allow ::1; deny all; }""")
    for ip, is_in in (("127.0.0.1", True), ("127.0.0.5", False), ("127.0.0.6", False), ("127.0.0.7", True),
                      ("10.1.2.3", False), ("192.0.2.7", False), ("::1", True)):
        heard = answer((ip, 143), ip)
        assert heard.startswith(GREETINGS["imap"]) if is_in else heard == DENIED["imap"], (ip, heard)


START = {"imap": (b"a STARTTLS\r\n", b"a OK"), "pop3": (b"STLS\r\n", b"+OK"), "smtp": (b"STARTTLS\r\n", b"220")}


class House:
    """Two servers behind one listen of each protocol, in the clear; STARTTLS may choose the second."""

    def __init__(self, env, first, second):
        authority = Authority(env)
        pairs = {name: authority.issue(name) for name in ("one.example.com", "two.example.com")}
        self.places = {protocol: (env.ip(), port) for protocol, port in PORTS.items()}
        self.stage = Stage(env, "imap", raw="".join(
            f"server {{ listen {ip}:{port}; protocol {protocol}; server_name {name}; starttls on; {rules}"
            f" ssl_certificate {pair[0]}; ssl_certificate_key {pair[1]}; }}\n"
            for protocol, (ip, port) in self.places.items()
            for (name, pair), rules in zip(pairs.items(), (first, second))))
        self.context = authority.trust()

    def secured(self, protocol, name):
        client = Wire.to(self.places[protocol])
        assert client.line().startswith(GREETINGS[protocol].replace(b"mail", b"one"))
        client.send(START[protocol][0])
        assert client.line().startswith(START[protocol][1])
        return client.secure(self.context, name)


def test_in_the_clear_the_first_servers_list_decides(env):
    """Nobody has chosen another server yet, and a client that never asks for TLS would be the first one's."""
    house = House(env, "deny all;", "allow all;")
    for protocol, words in DENIED.items():
        assert Wire.to(house.places[protocol]).rest() == words
    house.stage.untouched()


def test_and_then_that_of_the_server_that_starttls_chooses(env):
    house = House(env, "allow all;", "deny all;")
    for protocol, words in DENIED.items():
        assert house.secured(protocol, "two.example.com").rest() == words
        client = house.secured(protocol, "one.example.com")
        client.send(b"a LOGOUT\r\nQUIT\r\n")
        assert client.line() not in (words, b"")
    house.stage.postern.wait_log("access forbidden by rule .*SSL handshaking", 3)


def test_a_reload_changes_the_list_for_those_who_come(env):
    """Included from a file; who is in stays in."""
    rules = env.write("rules.conf", "allow all;\n")
    stage = Stage(env, "imap", {"v": f"include {rules};"})
    inside = stage.client()
    inside.send(b"a LOGIN joe secret\r\n")
    inside.expect(b"a OK backend LOGIN")
    waiting = stage.client()
    env.write("rules.conf", f"deny 127.0.0.1;\nallow {env.ip(9)};\n")
    stage.postern.reload()
    eventually(lambda: stage.postern.children("shutting down"), "the old worker has been told")
    assert Wire.to(stage.address()).rest() == DENIED["imap"]
    assert answer(stage.address(), env.ip(9)).startswith(GREETINGS["imap"])
    inside.send(b"b NOOP\r\n")
    inside.expect(b"b OK backend NOOP")
    waiting.send(b"a LOGIN jim secret\r\n")
    waiting.expect(b"a OK backend LOGIN")
    env.write("rules.conf", "deny 10.0.0.0/33;\n")
    stage.postern.kill(signal.SIGHUP)
    stage.postern.wait_log(r'invalid value "10.0.0.0/33" in "deny" directive: prefix length out of range in .*rules.conf:1')
    assert Wire.to(stage.address()).rest() == DENIED["imap"]


def test_who_may_not_come_in_is_asked_nothing_and_told_nothing_ahead(env):
    """Its first words, a whole login, are in the same segment; nobody hears of them."""
    for action, heard in ("refuse", b"* BYE Access denied\r\n"), ("drop", b""):
        stage = Stage(env, "imap", {"v": f"deny 192.0.2.0/24; deny_action {action}; set_real_ip_from 127.0.0.0/8;"},
                      listen="proxy_protocol")
        client = stage.connect()
        client.send(v1() + b"a LOGIN joe s3cr3t-of-joe\r\n")
        assert client.rest() == heard
        stage.postern.wait_log(r"\[info\] .*access forbidden by rule, client: 192.0.2.1, server: ")
        stage.untouched()
        assert not re.search("LOGIN", stage.postern.log())
        env.close()


def test_each_server_that_shares_a_list_asks_it(env):
    """One set is built for all that have the same lines; a server with its own trusted proxies has it, too."""
    stage = Stage(env, "imap", {"a": "", "b": "set_real_ip_from 192.0.2.1;", "c": "deny_action drop;", "d": "allow all;"},
                  mail=f"deny {env.ip(9)}; allow all;")
    for server, heard in ("a", DENIED["imap"]), ("b", DENIED["imap"]), ("c", b""):
        assert Wire.to(stage.address(server), env.ip(9)).rest() == heard, server
        assert answer(stage.address(server), env.ip(8)).startswith(GREETINGS["imap"])
    assert answer(stage.address("d"), env.ip(9)).startswith(GREETINGS["imap"])
