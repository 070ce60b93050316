"""What a backend is told of the client before its protocol begins: the PROXY header."""
import struct

from certs import Authority
from harness import Wire, eventually
from peers import Listener, imap_backend
from real import Dovecot
from stage import Stage

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def read_v2(wire):
    """(command and family, addresses, TLVs) of a header."""
    assert wire.take(12) == SIGNATURE
    command, family, length = struct.unpack("!BBH", wire.take(4))
    body = wire.take(length)
    size = {0x11: 12, 0x21: 36, 0x00: 0}[family]
    tlvs, at = {}, size
    while at < length:
        kind, count = struct.unpack("!BH", body[at:at + 3])
        tlvs[kind] = body[at + 3:at + 3 + count]
        at += 3 + count
    assert at == length and command == 0x21
    return family, body[:size], tlvs


def v4(wire, peer):
    return b"PROXY TCP4 127.0.0.1 %s %d 2143\r\n" % (peer.encode(), wire.sock.getsockname()[1])


def test_a_line_tells_the_backend_where_the_client_comes_from(env):
    heads = []

    def backend(wire):
        heads.append(wire.line())
        imap_backend(wire)
    stage = Stage(env, "imap", {"v": "proxy_protocol on;"}, backend=backend)
    client = stage.client()
    client.send(b"a LOGIN joe secret\r\n")
    client.expect(b"a OK backend LOGIN")
    assert heads == [v4(client, env.ip())]


def test_a_binary_header_tells_session_and_tls_as_well(env):
    heads = []

    def backend(wire):
        heads.append(read_v2(wire))
        imap_backend(wire)
    authority = Authority(env)
    certificate, key = authority.issue("mail.example.com")
    stage = Stage(env, "imap", {"v": f"proxy_protocol v2; ssl_certificate {certificate}; ssl_certificate_key {key};"},
                  listen="ssl", backend=backend)
    client = stage.connect()
    port = client.sock.getsockname()[1]
    client.secure(authority.trust())
    client.expect(b"* OK IMAP4 ready")
    client.send(b"a LOGIN joe secret\r\n")
    client.expect(b"a OK backend LOGIN")
    family, addresses, tlvs = heads[0]
    assert family == 0x11 and addresses[:4] == bytes([127, 0, 0, 1]) and addresses[8:] == struct.pack("!HH", port, 2143)
    assert tlvs[0x02] == b"mail.example.com"
    assert f"session: {tlvs[0x05].decode()}" in stage.postern.log()
    assert tlvs[0x20][:5] == b"\1\0\0\0\1" and b"TLSv1.3" in tlvs[0x20]


def test_the_real_client_is_told_and_families_do_not_mix(env):
    heads = []

    def backend(wire):
        heads.append(wire.line())
        imap_backend(wire)
    stage = Stage(env, "imap", {"v": "proxy_protocol on; set_real_ip_from 127.0.0.0/8;"}, backend=backend, listen="proxy_protocol")
    client = stage.connect()
    client.send(b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 143\r\na LOGIN joe secret\r\n")
    client.expect(b"* OK IMAP4 ready", b"a OK backend LOGIN")
    assert heads == [b"PROXY TCP6 2001:db8::1 ::ffff:%s 4711 2143\r\n" % env.ip().encode()]


def test_a_unix_client_is_nobody(env):
    heads = []

    def backend(wire):
        heads.append(wire.line())
        imap_backend(wire)
    path = env.path("door")
    stage = Stage(env, "imap", raw=f"server {{ listen unix:{path}; protocol imap; proxy_protocol on; }}", backend=backend)
    client = Wire.to(str(path))
    client.expect(b"* OK IMAP4 ready")
    client.send(b"a LOGIN joe secret\r\n")
    client.expect(b"a OK backend LOGIN")
    assert heads == [b"PROXY UNKNOWN\r\n"]


def test_the_header_comes_before_tls_and_a_real_dovecot_believes_it(env):
    authority = Authority(env)
    pair = authority.issue("localhost", env.ip(2))
    dovecot = Dovecot(env, env.ip(2), {"joe": "secret"}, tls=pair, more=f"""
haproxy_trusted_networks = 127.0.0.0/8
service imap-login {{
  inet_listener imap-haproxy {{
    port = 1143
    haproxy = yes
  }}
  inet_listener imaps-haproxy {{
    port = 1993
    haproxy = yes
    ssl = yes
  }}
}}
""")
    users = env.write("users", "joe:{PLAIN}secret\n", 0o600)
    settings = f"auth_file {users}; set_real_ip_from 127.0.0.0/8; proxy_ssl_trusted_certificate {authority.certificate}; proxy_ssl_name localhost;"
    postern = env.postern(settings + "".join(
        f"server {{ listen {env.ip()}:{port} proxy_protocol; protocol imap; proxy_pass {env.ip(2)}:{to}; proxy_ssl {ssl}; proxy_protocol {version}; }}\n"
        for port, to, ssl, version in ((2143, 1143, "starttls", "v2"), (2144, 1143, "starttls", "on"), (2145, 1993, "on", "v2"))), level="info")
    for i, port in enumerate((2143, 2144, 2145)):
        client = Wire.to((env.ip(), port), patience=60)
        client.send(b"PROXY TCP4 192.0.2.%d 198.51.100.7 4711 143\r\na LOGIN joe secret\r\n" % (i + 1))
        line = client.line()
        while not line.startswith(b"a "):
            line = client.line()
        assert line.startswith(b"a OK"), line
        eventually(lambda: f"rip=192.0.2.{i + 1}" in dovecot.log(), "the client's address in Dovecot's log")
        client.close()
    assert "192.0.2.1" in postern.log()


def test_a_backend_that_does_not_take_the_header_is_none(env):
    stage = Stage(env, "imap", {"v": "proxy_protocol v2;"}, backend=lambda wire: wire.send(b"* BYE go away\r\n"))
    client = stage.client()
    client.send(b"a LOGIN joe secret\r\n")
    assert client.line().startswith(b"a NO [UNAVAILABLE]")
