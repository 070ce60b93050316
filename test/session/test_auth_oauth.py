"""doc/auth-oauth: its configurations do what it says, with a real Dovecot where one is meant."""
import base64
import json
import re

import guide
from certs import Authority
from harness import Wire, eventually, weight
from issuer import Issuer
from peers import AuthHttp, Introspection, Listener, accept, imap_backend
from real import Dovecot
from test_auth_jwt import JOE, xoauth2, oauthbearer

GUIDE = "auth-oauth"
CONF = "/etc/postern/postern.conf"
JWT, INTROSPECTION, CHAIN, HTTP, MASTER = range(5)

OAUTH2 = """
auth_mechanisms = plain xoauth2 oauthbearer
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {path}
}}
"""


def claims_of(token):
    middle = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))


class TlsIntrospection(Introspection):
    """The same over TLS."""

    def __init__(self, address, answer, context):
        self.context = context
        super().__init__(address, answer)

    def talk(self, wire):
        super().talk(wire.secure(self.context, name=None))


class Guided:
    """A configuration of the guide, on the test's addresses; clients that speak TLS with it."""

    def __init__(self, env, number, backend=True, **changes):
        self.env, self.authority, self.heard = env, Authority(env), []
        pair = self.authority.issue("mail.example.com")
        self.issuer = Issuer(env)
        text = guide.block(GUIDE, CONF, number)
        inside = re.fullmatch(r"mail \{\n(.*)\}\n", text, re.S).group(1)
        places = {"/etc/postern/mail.crt": pair[0], "/etc/postern/mail.key": pair[1],
                  "listen     993 ssl": f"listen {env.ip()}:993 ssl"}
        if "192.0.2.10" in text:
            places["192.0.2.10"] = env.ip(2)
        if "/etc/postern/keys.json" in text:
            places["/etc/postern/keys.json"] = self.issuer.path
        if backend:
            env.keep(Listener((env.ip(2), 143), self.backend))
        self.postern = env.postern(guide.replaced(inside, {**places, **changes}))

    def backend(self, wire):
        imap_backend(wire, capability="IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER", on_command=self.heard.append)

    def login(self, command):
        client = Wire.to((self.env.ip(), 993)).secure(self.authority.trust())
        client.line()
        client.send(b"a " + command + b"\r\n")
        answer = client.line()
        if answer.startswith(b"+ "):
            client.send(b"AQ==\r\n")
            answer = client.line()
        client.close()
        return answer

    def lets_in(self, token, user=JOE, mechanism=xoauth2):
        name = mechanism.__name__.upper().encode()
        return self.login(b"AUTHENTICATE %s %s" % (name, mechanism(user, token))).startswith(b"a OK")


def dovecot(env, more):
    return Dovecot(env, env.ip(2), {}, more=more)


@weight(5)
def test_a_jwt_is_judged_and_passed_on_to_a_real_backend(env):
    env.keep(Introspection((env.ip(5), 8080), lambda token: {"active": True, "username": claims_of(token)["email"]}))
    path = env.write("dovecot-oauth2.conf", f"introspection_url = http://{env.ip(5)}:8080/\nintrospection_mode = post\n"
                     "username_attribute = username\nactive_attribute = active\nactive_value = true\n")
    backend = dovecot(env, OAUTH2.format(path=path))
    guided = Guided(env, JWT, backend=False)
    for mechanism in xoauth2, oauthbearer:
        assert guided.lets_in(guided.issuer.token(), mechanism=mechanism)
        assert not guided.lets_in(guided.issuer.token(aud="web"), mechanism=mechanism)
    eventually(lambda: backend.log().count(f"Login: user=<{JOE}>") == 2, "both logins at Dovecot")


def test_an_introspection_server_is_asked_with_our_secret(env):
    tls = Authority(env, "provider")
    context = tls.serve(tls.issue(env.ip(3)))
    answers = {"good": {"active": True, "username": JOE, "aud": "mail"}, "web": {"active": True, "username": JOE, "aud": "web"}}
    provider = env.keep(TlsIntrospection((env.ip(3), 8443), lambda token: answers.get(token, {"active": False}), context))
    secret = env.write("oauth.secret", "to-ask\n", 0o600)
    guided = Guided(env, INTROSPECTION, **{"login.example.com": f"{env.ip(3)}:8443", "/etc/postern/oauth.secret": secret,
                                           "/etc/postern/ca.crt": tls.certificate})
    assert guided.lets_in("good") and not guided.lets_in("web") and not guided.lets_in("none")
    assert provider.requests[0]["Authorization"] == "Basic " + base64.b64encode(b"postern:to-ask").decode()


def test_each_source_of_a_chain_is_asked_what_it_can_judge(env):
    answers = {"opaque": {"active": True, "iss": Issuer.URL, "aud": "mail", "email": JOE}}
    provider = env.keep(Introspection((env.ip(3), 8080), lambda token: answers.get(token, {"active": False})))
    users = env.write("users", "joe:{PLAIN}secret\n", 0o600)
    guided = Guided(env, CHAIN, **{"/etc/postern/users": users, "127.0.0.1:8080": f"{env.ip(3)}:8080"})
    assert guided.lets_in(guided.issuer.token()) and not guided.lets_in(guided.issuer.token(exp=1))
    assert guided.login(b"LOGIN joe secret").startswith(b"a OK")
    assert not provider.requests
    assert guided.lets_in("opaque")
    foreign = guided.issuer.token(iss="https://other.example.org")
    assert not guided.lets_in(foreign)
    assert provider.tokens == ["opaque", foreign]
    assert not guided.login(b"LOGIN joe wrong").startswith(b"a OK")


def test_a_program_of_ones_own_judges_tokens(env):
    answer = accept(env.ip(2), 143, Auth_User=JOE)
    auth = env.keep(AuthHttp((env.ip(3), 9000), answer))
    guided = Guided(env, HTTP, **{"127.0.0.1:9000": f"{env.ip(3)}:9000"})
    assert guided.lets_in("opaque")
    assert auth.requests[0]["Auth-Method"] == "xoauth2" and auth.requests[0]["Auth-Pass"] == "opaque"


@weight(5)
def test_a_master_user_logs_in_for_who_brought_a_token(env):
    password = guide.block(GUIDE, "/etc/dovecot/masters").strip().partition(":")[2]
    masters = env.write("masters", guide.block(GUIDE, "/etc/dovecot/masters"))
    passdb = guide.replaced(guide.block(GUIDE, "/etc/dovecot/conf.d/auth-master.conf"), {"/etc/dovecot/masters": masters})
    backend = dovecot(env, passdb)
    env.write("dovecot/users", f"{JOE}:{{PLAIN}}never told\n")
    secret = env.write("master.secret", password + "\n", 0o600)
    guided = Guided(env, MASTER, backend=False, **{"/etc/postern/master.secret": secret})
    assert guided.lets_in(guided.issuer.token()), backend.log()
    assert not guided.lets_in(guided.issuer.token("eve@example.org"))
    eventually(lambda: f"Login: user=<{JOE}>" in backend.log(), "the login at Dovecot")
    assert password not in guided.postern.log()
