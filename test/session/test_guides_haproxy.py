"""What an operator copies out of the guide haproxy works, with a real HAProxy in front, a Dovecot and a Postfix behind."""
import contextlib
import smtplib

import guide
from certs import Authority
from harness import Wire, eventually, weight
from real import Dovecot, HAProxy, Postfix, answers
from test_real import message

USERS = "joe:{PLAIN}sesame\n"


def install(env):
    """What the guide's configurations find in /etc/postern; returns the authority."""
    ca = Authority(env)
    for path, name in zip(ca.issue("mail.example.com"), ("mail.crt", "mail.key")):
        env.write(f"etc/{name}", path.read_bytes(), 0o600)
    env.write("etc/users", USERS, 0o600)
    return ca


def test_haproxy_in_front(env):
    ca = install(env)
    house = guide.House(env, "haproxy", 0)
    house.backend(7)
    config = guide.located(env, guide.block("haproxy", "/etc/haproxy/haproxy.cfg"), {"inter 10s": "inter 100ms"})
    haproxy = HAProxy(env, env.ip(2), more=config, ports=(143, 993))
    # A connection of the balancer comes from 127.0.0.1 here, not from its address.
    house.change(f"set_real_ip_from {env.ip(2)};", "set_real_ip_from 127.0.0.1;")
    eventually(lambda: "imap/gateway2 is DOWN" in haproxy.log(), "there is no other gateway here")
    for port in 143, 993:
        client = Wire.to((env.ip(2), port), source=env.ip(42))
        if port == 143:
            client.expect(b"* OK IMAP4 ready")
            client.send(b"a STARTTLS\r\n")
            client.line()
        client.secure(ca.trust())
        client.send(b"b LOGIN joe sesame\r\n")
        eventually(lambda: client.line().startswith(b"b OK"), "the login")
        client.close()
    eventually(lambda: house.postern.log().count(f"client logged in, client: {env.ip(42)}, ") == 2, "it is the client")
    direct = Wire.to((env.ip(), 10143))
    direct.send(b"a LOGIN joe sesame\r\n")
    assert direct.rest() == b""
    house.line("broken header: no signature while reading PROXY protocol, client: ")
    # Its checks are those of a client which says nothing, and nothing is wrong with them.
    before = house.postern.log().count("connected to")
    eventually(lambda: house.postern.log().count("connected to") > before + 5, "checks")
    assert "gateway1 is DOWN" not in haproxy.log()
    assert house.postern.log().count("broken header") == house.postern.log().count("[error]") == 1


def test_haproxy_by_a_unix_socket(env):
    install(env)
    path = env.path("imap.socket")
    house = guide.House(env, "haproxy", 1, {"/run/postern/imap.socket": path})
    house.backend(7)
    server = guide.replaced(guide.block("haproxy", "On one machine a UNIX socket is enough. In HAProxy that is:"),
                            {"/run/postern/imap.socket": path})
    HAProxy(env, env.ip(2), more=f"listen imap\n  bind {env.ip(2)}:143\n  {server}", ports=(143,))
    client = Wire.to((env.ip(2), 143), source=env.ip(42))
    client.send(b"b LOGIN joe sesame\r\n")
    client.line()
    assert client.line().startswith(b"b OK")
    house.line(f"client logged in, client: {env.ip(42)}, ")


def test_haproxy_telling_dovecot(env):
    install(env)
    more = guide.located(env, guide.block("haproxy", "/etc/dovecot/conf.d/10-gateway.conf"))
    dovecot = Dovecot(env, env.ip(7), {"joe": "sesame"}, more=guide.replaced(more, {env.ip(1): "127.0.0.1"}))
    house = guide.House(env, "haproxy", 2)
    assert house.lets_in("joe", source=env.ip(42))
    eventually(lambda: f"rip={env.ip(42)}" in dovecot.log(), "Dovecot knows the client")
    client = house.client(110, source=env.ip(43))
    client.send(b"USER joe\r\nPASS sesame\r\n")
    assert client.line() == b"+OK\r\n" and client.line().startswith(b"+OK")
    eventually(lambda: f"rip={env.ip(43)}" in dovecot.log(), "by POP3 as well")


@weight(8)
def test_haproxy_telling_postfix(env):
    install(env)
    dovecot = Dovecot(env, env.ip(7), {"joe": "sesame"})
    postfix = Postfix(env, env.ip(8), sasl=dovecot.auth_socket)
    with open(env.path("postfix/master.cf"), "a") as master:
        master.write(guide.located(env, guide.block("haproxy", "/etc/postfix/master.cf")))
    postfix.command("reload")
    house = guide.House(env, "haproxy", 3)

    def submit():
        with smtplib.SMTP(env.ip(), 587, "client.example.com", timeout=20, source_address=(env.ip(42), 0)) as client:
            client.login("joe", "sesame")
            assert client.sendmail("joe@example.com", ["ann@example.com"], message()) == {}
    eventually(lambda: answers((env.ip(8), 10587)), "the new port")
    submit()
    postfix.messages(1)
    assert f"client=unknown[{env.ip(42)}], sasl_method=PLAIN, sasl_username=joe" in postfix.log(), postfix.log()
    # XCLIENT goes by the address that the header has told, which is none of those that Postfix trusts.
    postfix.command("stop")
    main = env.path("postfix/main.cf")
    main.write_text(main.read_text().replace("smtpd_authorized_xclient_hosts = 127.0.0.0/8",
                                             "smtpd_authorized_xclient_hosts = 127.0.0.1"))
    postfix.command("start")
    eventually(lambda: answers((env.ip(8), 10587)), "Postfix answers")
    house.change("xclient         off;", "proxy_xclient_required on;")
    with contextlib.suppress(smtplib.SMTPException):
        submit()
        raise AssertionError("XCLIENT was offered")
    house.line("upstream does not offer XCLIENT with what it needs")
