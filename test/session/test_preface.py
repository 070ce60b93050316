"""What a backend is told of the client before its protocol begins: the PROXY header."""
import re
import ssl
import struct

from certs import Authority, self_signed
from harness import Wire, eventually
from peers import Listener, imap_backend
from real import Dovecot, HAProxy
from stage import Stage

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def tlvs_of(value):
    """The TLVs that a value holds."""
    found, at = {}, 0
    while at < len(value):
        kind, count = struct.unpack("!BH", value[at:at + 3])
        found[kind] = value[at + 3:at + 3 + count]
        at += 3 + count
    assert at == len(value)
    return found


def read_v2(wire):
    """(command and family, addresses, TLVs) of a header."""
    assert wire.take(12) == SIGNATURE
    command, family, length = struct.unpack("!BBH", wire.take(4))
    body = wire.take(length)
    size = {0x11: 12, 0x21: 36, 0x00: 0}[family]
    assert command == 0x21
    return family, body[:size], tlvs_of(body[size:])


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


class Reader:
    """A backend of IMAP that reads a binary header first, and clients that speak TLS to the gateway in front of it."""

    def __init__(self, env, servers):
        self.authority = Authority(env)
        self.tlvs = []
        certificate, key = self.authority.issue("mail.example.com")
        mail = f"proxy_protocol v2; ssl_certificate {certificate}; ssl_certificate_key {key};"
        self.stage = Stage(env, "imap", servers(self.authority), listen="ssl", mail=mail, backend=self.serve)

    def serve(self, wire):
        self.tlvs.append(read_v2(wire)[2])
        imap_backend(wire)

    def log_in(self, server, context, session=None):
        """What the backend is told of it, and the TLS session."""
        client = self.stage.connect(server)
        client.secure(context, session=session)
        client.expect(b"* OK IMAP4 ready")
        client.send(b"a LOGIN joe secret\r\n")
        client.expect(b"a OK backend LOGIN")
        kept = client.sock.session
        client.close()
        return self.tlvs.pop(), kept


def test_the_clients_certificate_is_told_with_its_verdict(env):
    several = self_signed(env, "/CN=joe/CN=ann", "several")
    stranger = self_signed(env, "/CN=root", "stranger")
    reader = Reader(env, lambda ca: {
        "on": f"ssl_verify_client optional; ssl_client_certificate {ca.certificate};",
        "several": f"ssl_verify_client on; ssl_client_certificate {several[0]};",
        "no ca": f"ssl_verify_client optional_no_ca; ssl_client_certificate {ca.certificate};",
    })
    ca = reader.authority
    v12 = ssl.TLSVersion.TLSv1_2
    known, several, stranger = (ca.trust(client=pair, version=v12) for pair in (ca.issue("joe"), several, stranger))

    # A good one, then the same TLS session again: it is not shown on that connection.
    tlvs, session = reader.log_in("on", known)
    assert tlvs[0x20][:5] == b"\7\0\0\0\0"
    inner = tlvs_of(tlvs[0x20][5:])
    assert inner[0x21] == b"TLSv1.2" and inner[0x22] == b"joe" and inner[0x23].startswith(b"ECDHE-")
    tlvs, _ = reader.log_in("on", known, session)
    assert tlvs[0x20][:5] == b"\5\0\0\0\0" and tlvs_of(tlvs[0x20][5:])[0x22] == b"joe"
    # None; one of somebody who may call himself whatever he likes; one whose name is not one.
    for server, context, head in (("on", ca.trust(), b"\1\0\0\0\1"), ("no ca", stranger, b"\7\0\0\0\1"),
                                  ("several", several, b"\7\0\0\0\0")):
        tlvs, _ = reader.log_in(server, context)
        assert tlvs[0x20][:5] == head and 0x22 not in tlvs_of(tlvs[0x20][5:]), (server, tlvs)


def test_what_was_agreed_on_is_told_and_what_was_not_is_not(env):
    reader = Reader(env, lambda ca: {"": ""})
    tlvs, _ = reader.log_in("", reader.authority.trust(alpn=["imap"]))
    assert tlvs[0x01] == b"imap" and tlvs[0x02] == b"mail.example.com" and len(tlvs[0x05]) == 16
    nameless = reader.authority.trust()
    nameless.check_hostname = False
    client = reader.stage.connect("")
    client.sock = nameless.wrap_socket(client.sock)
    client.send(b"a LOGIN joe secret\r\n")
    client.expect(b"* OK IMAP4 ready", b"a OK backend LOGIN")
    assert set(reader.tlvs.pop()) == {0x05, 0x20}


def test_a_real_dovecot_takes_the_name_of_the_certificate(env):
    authority = Authority(env)
    certificate, key = authority.issue("mail.example.com")
    dovecot = Dovecot(env, env.ip(2), {"joe": "secret"}, more="""
haproxy_trusted_networks = 127.0.0.0/8
auth_ssl_username_from_cert = yes
service imap-login {
  inet_listener imap-haproxy {
    port = 1143
    haproxy = yes
  }
}
""")
    users = env.write("users", "joe:{PLAIN}secret\nann:{PLAIN}secret\n", 0o644)
    env.postern(f"""
    auth_file {users}; proxy_protocol v2; proxy_pass {env.ip(2)}:1143;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    ssl_verify_client optional; ssl_client_certificate {authority.certificate};
    server {{ listen {env.ip()}:993 ssl; protocol imap; }}
""", level="info")

    def log_in(user, pair):
        client = Wire.to((env.ip(), 993), patience=60)
        client.secure(authority.trust(client=pair))
        client.send(b"a LOGIN %s secret\r\n" % user)
        line = client.line()
        while not line.startswith(b"a "):
            line = client.line()
        client.close()
        return line
    pair = authority.issue("joe")
    assert log_in(b"joe", pair).startswith(b"a OK")
    eventually(lambda: "Login: user=<joe>" in dovecot.log(), "the login in Dovecot's log")
    # The name that it reads is the certificate's, whatever the user is called.
    assert log_in(b"ann", pair).startswith(b"a OK")
    eventually(lambda: dovecot.log().count("Login: user=<joe>") == 2, "the certificate's name in Dovecot's log")
    assert not log_in(b"ann", None).startswith(b"a OK")


def test_a_real_haproxy_behind_reads_the_header(env):
    haproxy = HAProxy(env, env.ip(4), env.ip(2), [], more=f"""
listen behind
  bind {env.ip(4)}:1143 accept-proxy
  log stdout format raw daemon
  log-format "%ci:%cp to %[dst]:%[dst_port] for %[fc_pp_authority] as %[fc_pp_unique_id]"
  server s {env.ip(2)}:2000
""")
    backend = env.keep(Listener((env.ip(2), 2000), imap_backend))
    authority = Authority(env)
    certificate, key = authority.issue("mail.example.com")
    users = env.write("users", "joe:{PLAIN}secret\n", 0o644)
    postern = env.postern(f"""
    auth_file {users}; proxy_protocol v2; proxy_pass {env.ip(4)}:1143;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    server {{ listen {env.ip()}:993 ssl; protocol imap; }}
""", level="info")
    client = Wire.to((env.ip(), 993), source=env.ip(9))
    port = client.sock.getsockname()[1]
    client.secure(authority.trust())
    client.send(b"a LOGIN joe secret\r\n")
    client.expect(b"* OK IMAP4 ready", b"a OK backend LOGIN")
    client.close()
    session = re.search(r"client logged in, .* session: (\w+)", postern.wait_log("client logged in")[0])[1]
    wanted = f"{env.ip(9)}:{port} to {env.ip()}:993 for mail.example.com as {session}"
    eventually(lambda: wanted in haproxy.log(), f"{wanted!r} in HAProxy's log")
    assert backend.accepted == 1


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
