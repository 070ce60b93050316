"""TLS across reloads: renewed certificates, broken files, files that have not changed; handshakes without end."""
import ctypes
import os
import re
import ssl
import time

from certs import Authority, make_dhparam
from harness import Wire, eventually
from stage import SECRET, Stage, listen_to_all
from test_tls import log_in, secure_stage, settings


def serial(client):
    return client.sock.getpeercert()["serialNumber"]


def greeted(stage, context):
    client = stage.connect().secure(context)
    client.expect(b"* OK IMAP4 ready")
    return client


def test_a_renewed_certificate_is_for_new_clients_and_old_ones_live_on(env):
    """Before login and after it; and a ticket of before is simply not used any more."""
    ca = Authority(env)
    pair = ca.issue("mail.example.com", file="server")
    stage = secure_stage(env, "imap", settings(pair), workers=2)
    context = ca.trust()
    early, late = greeted(stage, context), greeted(stage, context)
    log_in(late, "imap")
    first, session = serial(late), early.sock.session
    ca.issue("mail.example.com", file="server")
    before = stage.connect().secure(context)
    assert serial(before) == first          # nobody has said that it is to be read
    stage.postern.reload()
    eventually(lambda: serial(greeted(stage, context)) != first, "the new certificate")
    client = stage.connect().secure(context, session=session)
    client.expect(b"* OK IMAP4 ready")
    assert serial(client) != first
    log_in(early, "imap")
    for client in (early, late):
        client.send(b"n NOOP\r\n")
        client.expect(b"n OK backend NOOP")
        assert serial(client) == first


def test_broken_files_at_a_reload_change_nothing(env):
    """Whichever it is: the old workers serve on with what they have, and the log says which file it was."""
    ca = Authority(env)
    pair, other = ca.issue("mail.example.com"), ca.issue("mail.example.com", kind="rsa", password="sesame")
    files = {"cert": pair[0], "key": pair[1], "locked": other[1],
             "passwords": env.write("passwords", "sesame\n", mode=0o600),
             "dh": make_dhparam(env.path("dh.pem")), "ticket": env.write("ticket.key", os.urandom(80), mode=0o600),
             "crl": ca.crl(), "ca": ca.certificate, "staple": ca.ocsp(pair[0])}
    stage = secure_stage(env, "imap", settings(pair, f"""
        ssl_password_file {files["passwords"]}; ssl_certificate {other[0]}; ssl_certificate_key {other[1]};
        ssl_dhparam {files["dh"]}; ssl_session_ticket_key {files["ticket"]}; ssl_crl {files["crl"]};
        ssl_client_certificate {files["ca"]}; ssl_stapling_file {files["staple"]};"""))
    context = ca.trust()
    worker = stage.postern.children()
    for name, path in files.items():
        good = path.read_bytes()
        for bad in (b"rubbish\n", b"", None):
            if bad is None:
                path.unlink()
            else:
                path.write_bytes(bad)
            count = stage.postern.log().count("[emerg]")
            stage.postern.kill(1)
            eventually(lambda: stage.postern.log().count("[emerg]") > count, f"a complaint about {name} {bad!r}")
            line = [line for line in stage.postern.log().splitlines() if "[emerg]" in line][-1]
            assert path.name in line or name == "passwords" and files["locked"].name in line, (name, bad, line)
            assert "sesame" not in line
        path.write_bytes(good)
        path.chmod(0o600)
    assert stage.postern.children() == worker
    greeted(stage, context)
    stage.postern.reload()
    greeted(stage, context)


def test_a_key_of_another_certificate_is_refused_at_a_reload(env):
    ca = Authority(env)
    pair, other = ca.issue("mail.example.com"), ca.issue("other.test")
    stage = secure_stage(env, "imap", settings(pair))
    pair[1].write_bytes(other[1].read_bytes())
    stage.postern.kill(1)
    stage.postern.wait_log(r'\[emerg\].*SSL_CTX_use_PrivateKey\("[^"]*"\) failed.*key values mismatch')
    greeted(stage, ca.trust())


class Watch:
    """Tells which of some files were opened, by whomever."""

    def __init__(self, paths):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_NONBLOCK)
        self.names = {self.libc.inotify_add_watch(self.fd, str(path).encode(), 0x20): path.name for path in paths}

    def opened(self):
        """Those opened since the last time."""
        names = set()
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return names
        for at in range(0, len(data), 16):
            names.add(self.names[int.from_bytes(data[at:at + 4], "little")])
        return names


def test_a_reload_reads_only_what_has_changed(env):
    """Unless ssl_object_cache_inheritable is off: then it reads everything."""
    ca = Authority(env)
    one, two = ca.issue("one.test"), ca.issue("two.test")
    crl = ca.crl()
    servers = {"one": settings(one, f"ssl_client_certificate {ca.certificate}; ssl_crl {crl};"
                                    "ssl_verify_client optional;"),
               "two": settings(two)}
    stage = Stage(env, "imap", servers, listen="ssl")
    watch = Watch([*one, *two, crl, ca.certificate])
    everything = set(watch.names.values())
    stage.postern.reload()
    assert watch.opened() == set()
    one[0].write_bytes(one[0].read_bytes())
    watch.opened()
    stage.postern.reload()
    assert watch.opened() == {one[0].name, one[1].name}
    stage.postern.reload()
    assert watch.opened() == set()
    os.utime(crl)
    stage.postern.reload()
    assert watch.opened() == {crl.name, ca.certificate.name}
    text = stage.postern.config.read_text()
    stage.postern.config.write_text("ssl_object_cache_inheritable off;\n" + text)
    for _ in range(2):
        stage.postern.reload()
        assert watch.opened() == everything


def test_no_worker_ever_opens_a_file_of_tls(env):
    ca = Authority(env)
    pair = ca.issue("mail.example.com")
    ticket = env.write("ticket.key", os.urandom(48), mode=0o600)
    stage = secure_stage(env, "imap",
                         settings(pair, f"ssl_session_ticket_key {ticket}; ssl_client_certificate {ca.certificate};"
                                                     "ssl_verify_client optional;"), workers=2)
    files = [*pair, ticket, ca.certificate]
    context = ca.trust(client=ca.issue("joe"))
    watch = Watch([path for path in files if path != ca.certificate])
    for _ in range(4):
        log_in(greeted(stage, context), "imap")
    os.kill(stage.postern.children()[0], 9)
    eventually(lambda: len(stage.postern.children()) == 2, "another worker")
    for _ in range(4):
        log_in(greeted(stage, context), "imap")
    assert watch.opened() == set()


def test_two_hundred_silent_handshakes_disturb_nobody(env):
    """Silent ones, and those that stopped in the middle, end at the timeout; others log in meanwhile."""
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com"), "timeout 2s;"),
                         events="worker_connections 1024;")
    context = ca.trust()
    hello = client_hello(context)
    stuck = [stage.connect() for _ in range(200)]
    for i, client in enumerate(stuck):
        client.send((b"", hello[:5], hello[:-1], hello)[i % 4])
    for _ in range(5):
        client = greeted(stage, context)
        log_in(client, "imap")
        client.send(b"z LOGOUT\r\n")
        assert b"z OK" in client.rest()
    for i, heard in enumerate(listen_to_all(stuck)):
        assert heard == b"" if i % 4 != 3 else heard[:1] == b"\x16", heard[:20]
    stage.postern.wait_log("client timed out while SSL handshaking", 200)
    log_in(greeted(stage, context), "imap")


def client_hello(context):
    """The first flight of a client."""
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="mail.example.com")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("no handshake without a server")


def test_clients_that_leave_in_the_middle_of_a_handshake(env):
    """At every byte of the first flight, by a FIN or a reset: one line each, and no session stays."""
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com")))
    hello = client_hello(ca.trust())
    cuts = [*range(0, 12), *range(12, len(hello), 40), len(hello)]
    clients = []
    for cut in cuts:
        for end in (Wire.finish, Wire.reset):
            client = stage.connect()
            client.send(hello[:cut])
            end(client)
            if end is Wire.finish:
                clients.append(client)
    listen_to_all(clients)
    stage.postern.wait_log("handshake -> dead", 2 * len(cuts))
    assert "[alert]" not in stage.postern.log() and "[error]" not in stage.postern.log()


def test_a_handshake_in_single_bytes(env):
    """Every flight of the client comes byte by byte; so does what it says behind."""
    ca = Authority(env)
    stage = secure_stage(env, "imap", settings(ca.issue("mail.example.com")))
    wire = stage.connect()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ca.trust().wrap_bio(incoming, outgoing, server_hostname="mail.example.com")
    said = [b"a LOGIN joe " + SECRET + b"\r\n", b"z LOGOUT\r\n"]
    heard = b""
    while b"z OK" not in heard:
        try:
            tls.do_handshake()
            if said:
                tls.write(said.pop(0))
            heard += tls.read(65536)
        except ssl.SSLWantReadError:
            for byte in outgoing.read():
                wire.send(bytes([byte]))
            assert wire.fill(), heard
            incoming.write(wire.held)
            wire.held = b""
    assert b"a OK backend LOGIN" in heard


def test_expiry_is_warned_of_when_it_is_near(env):
    """Of an expired certificate and of one that ends within two weeks; not of a good one, and once a file."""
    ca = Authority(env)
    old, good = ca.expired("old.test"), ca.issue("good.test")
    near = ca.issue("near.test", begin="20200101000000Z", end=soon())
    stage = Stage(env, "imap", {"old": settings(old), "old again": settings(old), "near": settings(near),
                                "good": settings(good)},
                  listen="ssl")
    status, said = stage.postern.run("-t")
    assert status == 0 and said.count("has expired on 2020-02-01") == 1, said
    assert len(re.findall(r'near.test.*expires in [56] days', said)) == 1 and "good.test" not in said, said


def soon():
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + 6 * 86400 + 3600))
