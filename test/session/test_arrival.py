"""Who a client is before it is greeted: PROXY headers, and whether it may come in."""
import struct
import subprocess

from certs import Authority
from harness import Wire, netns
from real import HAProxy
from stage import GREETINGS, Stage

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOGIN = b"a LOGIN joe secret\r\n"


def v1(source="192.0.2.1", port=4711, destination="198.51.100.7", to=143):
    return b"PROXY %s %s %s %d %d\r\n" % (b"TCP6" if ":" in source else b"TCP4", source.encode(), destination.encode(), port, to)


def v2(body=bytes([192, 0, 2, 1, 198, 51, 100, 7, 0x12, 0x67, 0, 143]), family=0x11, command=0x21):
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


def asked(stage):
    """What the auth server heard last of where the client is."""
    request = stage.auth.requests[-1]
    return [request.get(name) for name in ("Client-IP", "Proxy-Protocol-Addr", "Proxy-Protocol-Port",
                                           "Proxy-Protocol-Server-Addr", "Proxy-Protocol-Server-Port")]


def log_in(stage, header, server=None):
    """All that is heard of a login behind this header, sent in one segment."""
    client = stage.connect(server)
    client.send(header + LOGIN + b"b LOGOUT\r\n")
    heard = client.rest()
    client.close()
    return heard


IN = b"* OK IMAP4 ready\r\na OK backend LOGIN\r\n* BYE backend\r\nb OK bye\r\n"


def test_a_trusted_proxy_says_where_the_client_comes_from(env):
    stage = Stage(env, "imap", {"v": f"set_real_ip_from {env.ip()}; set_real_ip_from 127.0.0.0/8;"}, listen="proxy_protocol")
    told = ["192.0.2.1", "192.0.2.1", "4711", "198.51.100.7", "143"]
    for header in v1(), v2(), v2() + b"":
        assert log_in(stage, header) == IN
        assert asked(stage) == told
    assert log_in(stage, v1("2001:db8::1", 1, "::1")) == IN
    assert asked(stage) == ["2001:db8::1", "2001:db8::1", "1", "::1", "143"]
    assert len(stage.postern.wait_log("client: 192.0.2.1, server: ")) >= 1


def test_others_are_only_reported(env):
    stage = Stage(env, "imap", {"v": "set_real_ip_from 192.0.2.0/24; set_real_ip_from unix:;"}, listen="proxy_protocol")
    assert log_in(stage, v1()) == IN
    assert asked(stage) == ["127.0.0.1", "192.0.2.1", "4711", "198.51.100.7", "143"]


def test_a_header_of_nobody_is_as_none(env):
    stage = Stage(env, "imap", {"v": "set_real_ip_from 127.0.0.0/8;"}, listen="proxy_protocol")
    for header in b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN x y z\r\n", v2(b"", 0, 0x20), v2(b"\1\0\1x", 0x11, 0x20):
        assert log_in(stage, header) == IN
        assert asked(stage) == ["127.0.0.1", None, None, None, None]


def test_a_header_may_come_in_any_pieces(env):
    stage = Stage(env, "imap", {"v": "set_real_ip_from 127.0.0.0/8;"}, listen="proxy_protocol")
    for header in v1(), v2(v2()[16:] + b"\x04\x00\x03pad"):
        clients = [stage.connect() for _ in range(len(header) + 1)]
        for cut, client in enumerate(clients):
            client.send(header[:cut])
        clients[-2].quiet(0.2)
        for cut, client in enumerate(clients):
            client.send(header[cut:] + LOGIN)
        for client in clients:
            client.expect(b"* OK IMAP4 ready", b"a OK backend LOGIN")
            client.close()


def test_a_header_has_4096_bytes_at_most(env):
    """The first command stands behind it in the same segment, and it may come in pieces."""
    stage = Stage(env, "imap", {"v": "set_real_ip_from 127.0.0.0/8;"}, listen="proxy_protocol")
    addresses = v2()[16:]
    whole = v2(addresses + b"\x04" + struct.pack("!H", 4096 - 16 - 12 - 3) + bytes(4096 - 16 - 12 - 3))
    assert len(whole) == 4096 and log_in(stage, whole) == IN
    assert asked(stage)[0] == "192.0.2.1"
    client = stage.connect()
    for piece in whole[:15], whole[15:1000], whole[1000:4095]:
        client.send(piece)
        client.quiet(0.05)
    client.send(whole[4095:] + LOGIN)
    client.expect(b"* OK IMAP4 ready", b"a OK backend LOGIN")
    client.close()
    many = v2(addresses + b"\xee\0\0" * ((4096 - 28) // 3))
    assert log_in(stage, many) == IN
    assert log_in(stage, v2(addresses + b"\x04" + struct.pack("!H", 4096 - 16 - 12 - 2) + bytes(4096 - 16 - 12 - 2))) == b""
    stage.postern.wait_log("broken header: header too long while reading PROXY protocol, client: 127.0.0.1")


def test_a_client_of_the_proxys_unix_socket_is_one(env):
    stage = Stage(env, "imap", {"open": "set_real_ip_from 127.0.0.0/8;", "local": "set_real_ip_from 127.0.0.0/8; allow unix:; deny all;"},
                  listen="proxy_protocol")
    header = v2(b"/run/mail".ljust(108, b"\0") * 2, family=0x31)
    for server in "open", "local":
        assert log_in(stage, header, server) == IN
        assert asked(stage)[:2] == ["unix:", "unix:"]
    assert log_in(stage, v2(), "local") == b"* BYE Access denied\r\n"


@netns
def test_a_proxy_is_trusted_by_its_name_or_because_it_is_local(env):
    hosts = env.write("hosts", "127.0.0.9 balancer.example\n::1 balancer.example\n127.0.0.1 localhost\n")
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    path = str(env.path("door"))
    stage = Stage(env, "imap", raw=f"""
server {{ listen 127.0.0.1:2143 proxy_protocol; listen [::1]:2143 proxy_protocol; protocol imap; set_real_ip_from balancer.example; }}
server {{ listen unix:{path} proxy_protocol; protocol imap; set_real_ip_from unix:; }}
server {{ listen unix:{path}2 proxy_protocol; protocol imap; set_real_ip_from 127.0.0.0/8; }}
""")
    for address, source, told in ((("127.0.0.1", 2143), "127.0.0.9", "192.0.2.1"), (("127.0.0.1", 2143), "127.0.0.8", "127.0.0.8"),
                                  (("::1", 2143), None, "192.0.2.1"), (path, None, "192.0.2.1"), (path + "2", None, "unix:")):
        client = Wire.to(address, source=source)
        client.send(v1() + LOGIN)
        client.expect(b"* OK IMAP4 ready", b"a OK backend LOGIN")
        client.close()
        assert asked(stage) == [told, "192.0.2.1", "4711", "198.51.100.7", "143"], (address, source)


BROKEN = {
    "no signature": [b"a LOGIN joe s3cr3t-of-joe\r\n", b"PROXYTCP4", b"\r\n\r\n\0\r\nQUIT\r", b"\x16\x03\x01\x02\x00"],
    "line does not end with CRLF": [b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 143\n"],
    "invalid line": [b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 66000\r\n", b"PROXY TCP4 a b 1 2\r\n"],
    "line too long": [b"PROXY UNKNOWN " + b"x" * 100],
    "unknown version or command": [v2(command=0x22), v2(command=0x31)],
    "unknown family": [v2(family=0x12), v2(family=0x99)],
    "addresses missing": [v2(b"\0" * 11), v2(family=0x21)],
    "TLV past the end": [v2(v2()[16:] + b"\x04\x00\x09pad")],
    "wrong checksum": [v2(v2()[16:] + b"\x03\x00\x04\0\0\0\0")],
    "header too long": [SIGNATURE + b"\x21\x11\xff\xff"],
}


def test_a_broken_header_closes_its_own_connection_alone(env):
    stage = Stage(env, "imap", listen="proxy_protocol")
    other = stage.connect()
    other.send(v1())
    other.expect(b"* OK IMAP4 ready")
    for why, headers in BROKEN.items():
        for header in headers:
            client = stage.connect()
            client.send(header)
            assert client.rest() == b"", header
            client.close()
        assert len(stage.postern.wait_log(f"broken header: {why} while reading PROXY protocol, client: 127.0.0.1",
                                          len(headers))) == len(headers)
    other.send(LOGIN)
    other.expect(b"a OK backend LOGIN")
    assert len(stage.auth.requests) == 1


def test_a_header_that_stops_is_no_header(env):
    stage = Stage(env, "imap", listen="proxy_protocol", mail="timeout 2s;")
    client = stage.connect()
    client.send(v1()[:10])
    client.finish()
    assert client.rest() == b""
    stage.postern.wait_log("broken header: cut short")
    silent = stage.connect()
    silent.send(v2()[:20])
    assert silent.rest() == b""
    stage.postern.wait_log("client timed out while reading PROXY protocol")


def test_tls_begins_behind_the_header(env):
    authority = Authority(env)
    certificate, key = authority.issue("mail.example.com")
    stage = Stage(env, "imap", {"v": f"ssl_certificate {certificate}; ssl_certificate_key {key}; set_real_ip_from 127.0.0.0/8;"},
                  listen="ssl proxy_protocol")
    client = stage.connect()
    client.send(v2())
    client.secure(authority.trust())
    client.expect(b"* OK IMAP4 ready")
    client.send(LOGIN)
    client.expect(b"a OK backend LOGIN")
    assert asked(stage)[0] == "192.0.2.1"


def test_who_talks_behind_the_header_talks_early(env):
    """With smtp_greeting_delay an SMTP client waits for the greeting, whoever brings it."""
    stage = Stage(env, "smtp", mail="smtp_greeting_delay 1s; set_real_ip_from 127.0.0.0/8;", listen="proxy_protocol")
    for header in v1(), v2():
        early, patient = stage.connect(), stage.connect()
        early.send(header + b"EHLO me\r\n")
        patient.send(header)
        early.expect(b"503 5.5.0 Improper use of SMTP command pipelining")
        early.expect_end()
        patient.expect(b"220 mail.example.com ESMTP ready")
        patient.close()
    stage.postern.wait_log("client was rejected before greeting: .*, client: 192.0.2.1, server: ", 2)


DENIED = {"imap": b"* BYE Access denied\r\n", "pop3": b"-ERR Access denied\r\n", "smtp": b"554 5.7.1 Access denied\r\n"}


def test_a_real_haproxy_in_front(env):
    """By either version, in front of TLS and of clear text; and one that says nothing is found out."""
    authority = Authority(env)
    certificate, key = authority.issue("mail.example.com")
    settings = "protocol imap; set_real_ip_from 127.0.0.0/8;"
    stage = Stage(env, "imap", raw=f"""
server {{ listen {env.ip()}:2143 proxy_protocol; {settings} }}
server {{ listen {env.ip()}:2993 ssl proxy_protocol; {settings} ssl_certificate {certificate}; ssl_certificate_key {key}; }}
""")
    fronts = [(2001, 2143, "send-proxy"), (2002, 2143, "send-proxy-v2"), (2003, 2993, "send-proxy-v2"), (2004, 2143, "")]
    HAProxy(env, env.ip(4), env.ip(), fronts)
    for port, to, word in fronts:
        client = Wire.to((env.ip(4), port), source=env.ip(9))
        if to == 2993:
            client.secure(authority.trust())
        client.send(LOGIN)
        if word == "":
            assert client.rest() == b""
            continue
        client.expect(b"* OK IMAP4 ready", b"a OK backend LOGIN")
        assert asked(stage)[0] == env.ip(9)
        client.close()
    stage.postern.wait_log("broken header: no signature")


def check_list(env, protocol):
    words = DENIED[protocol]
    stage = Stage(env, protocol, {
        "in": "allow 127.0.0.0/8; deny all;", "out": "deny 127.0.0.1; allow all;", "drop": "deny all; deny_action drop;",
        "own": "allow 127.0.0.1; deny 127.0.0.0/8;", "heir": "",
    }, mail="allow 192.168.1.0/24; deny all;")
    for server, heard in ("in", None), ("own", None), ("out", words), ("heir", words), ("drop", b""):
        client = stage.connect(server)
        if heard is None:
            assert client.line().startswith(GREETINGS[protocol])
        else:
            assert client.rest() == heard, server
        client.close()
    assert len(stage.postern.wait_log("access forbidden by rule, client: 127.0.0.1", 3)) == 3


def test_whom_the_list_does_not_let_in_is_told_so_imap(env):
    check_list(env, "imap")


def test_whom_the_list_does_not_let_in_is_told_so_pop3(env):
    check_list(env, "pop3")


def test_whom_the_list_does_not_let_in_is_told_so_smtp(env):
    check_list(env, "smtp")


def test_the_real_address_is_what_counts(env):
    stage = Stage(env, "imap", {"v": "set_real_ip_from 127.0.0.0/8; allow 192.0.2.0/25; allow unix:; deny all;"},
                  listen="proxy_protocol")
    assert log_in(stage, v1()) == IN
    assert log_in(stage, v1("192.0.2.129")) == b"* BYE Access denied\r\n"
    assert log_in(stage, b"PROXY UNKNOWN\r\n") == b"* BYE Access denied\r\n"


def test_the_server_that_sni_chooses_has_its_own_list(env):
    authority = Authority(env)
    pairs = {name: authority.issue(name) for name in ("in.example.com", "out.example.com")}
    servers = "\n".join(
        f"server {{ listen {env.ip()}:2143 ssl; protocol imap; server_name {name}; ssl_certificate {pair[0]};"
        f" ssl_certificate_key {pair[1]}; {rules} }}"
        for (name, pair), rules in zip(pairs.items(), ("allow all;", "deny all;")))
    stage = Stage(env, "imap", raw=servers)
    for name, heard in ("in.example.com", b"* OK IMAP4 ready\r\n"), ("out.example.com", b"* BYE Access denied\r\n"):
        client = stage.connect()
        client.secure(authority.trust(), name)
        assert client.line() == heard
        client.close()


def test_where_no_server_lets_it_in_no_hands_are_shaken(env):
    authority = Authority(env)
    certificate, key = authority.issue("mail.example.com")
    stage = Stage(env, "imap", {"v": f"ssl_certificate {certificate}; ssl_certificate_key {key}; deny all;"}, listen="ssl")
    client = stage.connect()
    assert client.rest() == b""
    stage.postern.wait_log("access forbidden by rule")


def test_ten_thousand_rules_are_one_question(env):
    env.write("rules.conf", "".join(f"deny 10.{i // 256}.{i % 256}.0/24;\n" for i in range(10000)))
    stage = Stage(env, "imap", {"v": f"include {env.path('rules.conf')}; deny 127.0.0.1; allow all;"})
    assert stage.connect().rest() == b"* BYE Access denied\r\n"
