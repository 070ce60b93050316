"""What an operator copies out of the guide tls works as it says."""
import re
import ssl
import subprocess

import guide
from certs import Authority, s_client
from peers import AuthHttp
from real import Dovecot
from stage import b64


class Fort(guide.House):
    """Configuration `number` of the guide, with certificates of one authority where it looks for them."""

    def __init__(self, env, number, **options):
        self.ca = Authority(env)
        self.trust = self.ca.trust()
        for file, name, kind in (("mail", "mail.example.com", "ec"), ("mail-rsa", "mail.example.com", "rsa"),
                                 ("org", "*.mail.example.org", "ec")):
            self.install(env, file, self.ca.issue(name, *[name[2:]] * name.startswith("*."), kind=kind, file=file))
        env.write("etc/ca.crt", self.ca.certificate.read_bytes())
        env.write("etc/users", "joe:{PLAIN}sesame\n", 0o600)
        env.write("etc/master.secret", "of-all\n", 0o600)
        for key in "tickets.0", "tickets.1":
            env.write(f"etc/{key}", bytes(range(80)), 0o600)
        super().__init__(env, "tls", number, **options)

    def install(self, env, name, pair):
        for path, suffix in zip(pair, ("crt", "key")):
            env.write(f"etc/{name}.{suffix}", path.read_bytes(), 0o600)


def test_tls_towards_clients(env):
    fort = Fort(env, 0)
    fort.backend(7)
    assert fort.lets_in("joe", port=993, tls=fort.trust) and not fort.lets_in("joe", "wrong", port=993, tls=fort.trust)
    assert fort.login("joe").startswith(b"a NO [PRIVACYREQUIRED]")
    client = fort.client()
    client.send(b"a STARTTLS\r\n")
    client.expect(re.compile(rb"a OK .*"))
    client.secure(fort.trust).send(b"b LOGIN joe sesame\r\n")
    client.expect(re.compile(rb"b OK .*"))
    assert b"STLS" in fort.say(110, b"CAPA\r\n") and b"-ERR" in fort.say(110, b"USER joe\r\n")
    fort.client(995, tls=fort.trust)


def test_tls_two_kinds_of_certificate(env):
    fort = Fort(env, 1)
    fort.backend(7)
    for ciphers in "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256":
        context = fort.ca.trust(version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers(ciphers)
        assert fort.lets_in("joe", port=993, tls=context), ciphers


def test_tls_several_names(env):
    fort = Fort(env, 2)
    for host in 7, 8:
        fort.backend(host)
    for name, host in ("mail.example.com", 7), ("mail.example.org", 8), ("x.mail.example.org", 8):
        assert fort.lets_in("joe", port=993, tls=fort.trust, name=name) and fort.heard[-1][0] == host, name


def test_tls_clients_must_show_a_certificate(env):
    fort = Fort(env, 3)
    fort.backend(7)
    joe = fort.ca.trust(client=fort.ca.issue("joe"))
    assert fort.lets_in("joe", port=993, tls=joe) and not fort.lets_in("joe", "wrong", port=993, tls=joe)
    fort.client(993, tls=fort.trust)
    assert fort.greeting == b"* BYE No required SSL certificate\r\n"
    fort.line("client sent no required SSL certificate")


def test_tls_a_certificate_instead_of_a_password(env):
    asked = []

    def judge(request):
        asked.append(request)
        return {"Auth-Status": "OK", "Auth-User": re.search(r"CN=(\w+)", request["Auth-SSL-Subject"])[1]}
    auth = env.keep(AuthHttp((env.ip(9), 9000), judge))
    fort = Fort(env, 4, changes={"127.0.0.1": env.ip(9)})
    fort.backend(7)
    client = fort.client(993, tls=fort.ca.trust(client=fort.ca.issue("joe")))
    client.send(b"a AUTHENTICATE EXTERNAL =\r\n")
    client.expect(re.compile(rb"a OK .*"))
    assert asked[-1]["Auth-Method"] == "external" and asked[-1]["Auth-SSL-Verify"] == "SUCCESS"
    assert any(b64(b"joe", b"postern", b"of-all") in line for _, _, line in fort.heard), fort.heard
    bare = fort.client(993, tls=fort.trust)
    bare.send(b"a CAPABILITY\r\n")
    assert b"EXTERNAL" not in bare.line()
    assert len(auth.requests) == 1


def test_tls_towards_a_real_backend(env):
    ca = Authority(env, "backends")
    dovecot = Dovecot(env, env.ip(7), {"joe": "sesame"}, tls=ca.issue("backend.example.com"))
    fort = Fort(env, 5)
    guide.promised("tls", "while SSL handshaking to upstream, ...", "upstream does not offer STARTTLS")
    assert fort.login("joe").startswith(b"a NO [UNAVAILABLE]")
    fort.line("certificate verify failed...while SSL handshaking to upstream, ")
    assert "Login: user=<joe>" not in dovecot.log()
    env.write("etc/ca.crt", ca.certificate.read_bytes())
    fort.postern.reload()
    assert fort.lets_in("joe")


def test_tls_keys_of_tickets_go_and_clients_come_back(env):
    fort = Fort(env, 6)
    fort.backend(7)
    address, session = (env.ip(), 993), env.path("session")
    s_client(address, "-tls1_2", "-sess_out", session, said=b"z LOGOUT\r\n")
    change = guide.located(env, guide.block("tls", "new one on one machine and hand both to the others:"))
    for turn, word in enumerate(("Reused", "New")):
        subprocess.run(["sh", "-ec", change], check=True)
        fort.postern.reload()
        text = s_client(address, "-tls1_2", "-sess_in", session, said=b"z LOGOUT\r\n")
        assert re.search(f"^{word}, TLSv1.2", text, re.M), (turn, text)


def test_tls_what_the_test_tells(env):
    fort = Fort(env, 0)
    fort.install(env, "mail", fort.ca.issue("mail.example.com", end="20991231235959Z", file="late"))
    assert fort.postern.run("-t", "-q") == (0, "")
    ends = subprocess.run(["date", "-u", "-d", "+3 days", "+%Y%m%d%H%M%SZ"], capture_output=True, text=True).stdout.strip()
    fort.install(env, "mail", fort.ca.issue("mail.example.com", end=ends, file="soon"))
    env.path("etc/mail.key").chmod(0o644)
    status, said = fort.postern.run("-t", "-q")
    for line in 'certificate "..." expires in ... days', '"..." holds secrets and everybody may read it':
        guide.promised("tls", line)
        assert re.search(".*".join(map(re.escape, line.split("..."))), said), (line, said)
    assert status == 0
