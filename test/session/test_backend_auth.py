"""How Postern logs in at its backend: every mechanism, at a real Dovecot and a real Postfix."""
import json
import urllib.parse

from certs import Authority
from harness import Wire, eventually
from peers import AuthHttp, Listener, accept
from real import Dovecot, Postfix
from stage import b64

USERS = {"joe": "secret", "ann": "p w"}
TOKENS = {"token-of-joe": "joe", "token-of-ann": "ann"}
MECHANISMS = "plain login xoauth2 oauthbearer external"

AUTH = """
passdb {{
  driver = passwd-file
  args = {dir}/masters
  master = yes
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {dir}/oauth2.conf
}}
auth_ssl_username_from_cert = yes
"""


def introspection(wire):
    """RFC 7662 for Dovecot: says whose token it is."""
    while True:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += wire.take(1)
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        token = urllib.parse.parse_qs(wire.take(length).decode()).get("token", [""])[0]
        user = TOKENS.get(token)
        body = json.dumps({"active": True, "username": user} if user else {"active": False}).encode()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class House:
    """Dovecot with every mechanism and Postfix behind it; an auth server that lets everybody in."""

    def __init__(self, env, settings, postfix=False):
        self.env, self.ip = env, env.ip()
        folder = env.path("dovecot")
        folder.mkdir()
        authority = Authority(env)
        pair = authority.issue("localhost", env.ip(2))
        gateway = authority.issue("gateway")
        env.keep(Listener((env.ip(5), 8080), introspection))
        env.write("dovecot/masters", "master:{PLAIN}of all\ngateway:::::::nopassword\n")
        env.write("dovecot/oauth2.conf", f"introspection_url = http://{env.ip(5)}:8080/\nintrospection_mode = post\n"
                  "username_attribute = username\nactive_attribute = active\nactive_value = true\n")
        more = AUTH.format(dir=folder) + f"""
auth_mechanisms = {MECHANISMS}
ssl_ca = <{authority.certificate}
ssl_verify_client_cert = yes
ssl_require_crl = no
"""
        self.dovecot = Dovecot(env, env.ip(2), USERS, more=more, tls=pair)
        self.auth = env.keep(AuthHttp((env.ip(3), 9000), self.answer))
        submission = ""
        if postfix:
            self.postfix = Postfix(env, env.ip(4), sasl=self.dovecot.auth_socket)
            submission = (f"server {{ listen {self.ip}:587; protocol smtp; proxy_pass {env.ip(4)}; proxy_ssl off; "
                          "xclient off; proxy_smtp_auth on; }")
        self.secret = env.write("master.secret", "of all\n", 0o600)
        settings = settings.format(secret=self.secret, cert=gateway[0], key=gateway[1])
        self.postern = env.postern(f"""
    auth_http {env.ip(3)}:9000/auth;
    proxy_ssl starttls; proxy_ssl_trusted_certificate {authority.certificate}; proxy_ssl_name localhost;
    imap_auth plain cram-md5 xoauth2 oauthbearer; pop3_auth plain apop xoauth2 oauthbearer;
    smtp_auth plain cram-md5 xoauth2 oauthbearer;
    {settings}
    server {{ listen {self.ip}:143; protocol imap; proxy_pass {env.ip(2)}; }}
    server {{ listen {self.ip}:110; protocol pop3; proxy_pass {env.ip(2)}; }}
    {submission}
""", level="info")
        env.keep(self)

    def answer(self, request):
        backends = {"imap": (2, 143), "pop3": (2, 110), "smtp": (4, 25)}
        host, port = backends[request["Auth-Protocol"]]
        return accept(self.env.ip(host), port)

    def ask(self, protocol, *said):
        """Says these lines and returns the last answer to each."""
        port = {"imap": 143, "pop3": 110, "smtp": 587}[protocol]
        client = Wire.to((self.ip, port), patience=60)
        heard = [client.line()]
        for line in said:
            client.send(line + b"\r\n")
            heard.append(client.line())
            while protocol == "imap" and heard[-1].startswith(b"* ") or protocol == "smtp" and heard[-1][3:4] == b"-":
                heard[-1] = client.line()
        client.close()
        return heard[-1]

    def logged(self, count, user="joe"):
        """So many logins stand in Dovecot's log, each of which may come a moment after its answer."""
        eventually(lambda: self.dovecot.log().count(f"Login: user=<{user}>") >= count, f"{count} logins of {user}")
        return self.dovecot.log().count(f"Login: user=<{user}>") == count

    def stop(self):
        for secret in ("of all", "secret", "token-of", b64(b"", b"joe", b"secret").decode()):
            assert secret not in self.postern.log(), secret


def xoauth2(user, token):
    return b64(b"user=%s\1auth=Bearer %s\1\1" % (user, token))


def oauthbearer(user, token):
    return b64(b"n,a=%s,\1auth=Bearer %s\1\1" % (user, token))


def let_in(heard):
    return heard.startswith((b"a OK", b"+OK", b"235"))


def test_a_password_goes_by_each_mechanism_that_takes_one(env):
    house = House(env, "proxy_auth plain;")
    assert let_in(house.ask("imap", b"a LOGIN joe secret"))
    assert let_in(house.ask("pop3", b"USER joe", b"PASS secret"))
    assert not let_in(house.ask("imap", b"a LOGIN joe wrong"))
    assert house.logged(2)


def test_auth_login_towards_a_real_backend(env):
    house = House(env, "proxy_auth login;", postfix=True)
    assert let_in(house.ask("imap", b"a LOGIN joe secret"))
    assert let_in(house.ask("pop3", b"USER joe", b"PASS secret"))
    assert let_in(house.ask("smtp", b"EHLO c", b"AUTH PLAIN " + b64(b"", b"joe", b"secret")))
    assert not let_in(house.ask("smtp", b"EHLO c", b"AUTH PLAIN " + b64(b"", b"joe", b"wrong")))
    assert house.dovecot.log().count("method=LOGIN") >= 2, house.dovecot.log()


def test_a_token_travels_to_a_real_backend(env):
    house = House(env, "", postfix=True)
    for name, response in ("XOAUTH2", xoauth2), ("OAUTHBEARER", oauthbearer):
        good, bad = response(b"joe", b"token-of-joe"), response(b"joe", b"token-of-nobody")
        name = name.encode()
        assert let_in(house.ask("imap", b"a AUTHENTICATE %s %s" % (name, good)))
        assert let_in(house.ask("pop3", b"AUTH %s %s" % (name, good)))
        assert let_in(house.ask("smtp", b"EHLO c", b"AUTH %s %s" % (name, good)))
        for protocol, start in ("imap", b"a AUTHENTICATE "), ("pop3", b"AUTH "):
            # the error challenge is for whoever spoke with the mechanism; what is said to it brings the refusal
            heard = house.ask(protocol, start + name + b" " + bad, b"AQ==")
            assert heard.startswith((b"a NO", b"-ERR")), heard
    assert house.logged(4)


def test_a_master_user_logs_in_for_those_who_left_no_password(env):
    house = House(env, "proxy_master_user master {secret};", postfix=True)
    assert let_in(house.ask("imap", b"a LOGIN joe secret"))
    assert not let_in(house.ask("imap", b"a LOGIN joe wrong"))
    digest = b64(b"joe " + b"0" * 32)
    assert let_in(house.ask("imap", b"a AUTHENTICATE CRAM-MD5", digest))
    assert let_in(house.ask("pop3", b"APOP joe " + b"0" * 32))
    assert let_in(house.ask("smtp", b"EHLO c", b"AUTH CRAM-MD5", digest))
    assert house.logged(3)


def test_without_a_master_user_a_digest_opens_nothing(env):
    house = House(env, "")
    assert house.ask("imap", b"a AUTHENTICATE CRAM-MD5", b64(b"joe " + b"0" * 32)).startswith(b"a NO [UNAVAILABLE]")
    assert house.ask("pop3", b"APOP joe " + b"0" * 32).startswith(b"-ERR [SYS/TEMP]")
    assert house.logged(0)


def test_a_master_user_can_log_in_for_all(env):
    house = House(env, "proxy_master_user master {secret} always;", postfix=True)
    assert let_in(house.ask("imap", b"a LOGIN joe anything"))
    assert let_in(house.ask("pop3", b"USER ann", b"PASS anything"))
    assert let_in(house.ask("smtp", b"EHLO c", b"AUTH PLAIN " + b64(b"", b"joe", b"anything")))
    assert house.logged(1, "joe") and house.logged(1, "ann")


def test_our_certificate_says_who_we_are(env):
    house = House(env, "proxy_auth external; proxy_ssl_certificate {cert}; proxy_ssl_certificate_key {key};")
    assert let_in(house.ask("imap", b"a LOGIN joe anything"))
    assert let_in(house.ask("pop3", b"USER ann", b"PASS anything"))
    assert house.logged(1, "joe") and house.logged(1, "ann")
