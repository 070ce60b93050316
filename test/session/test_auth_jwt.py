"""auth_jwt: tokens judged by the keys of their issuer, and keys that change while we run."""
import base64
import itertools
import json
import time

from harness import Wire, eventually, weight
from issuer import Issuer, Key, b64url
from peers import Listener, imap_backend, smtp_backend
from stage import b64

JOE = "joe@example.org"
TOKENS = "imap_auth xoauth2 oauthbearer; pop3_auth xoauth2 oauthbearer; smtp_auth xoauth2 oauthbearer;"
JUDGE = f"auth_token_issuer {Issuer.URL}; auth_token_audience mail;"


def xoauth2(user, token):
    return b64(f"user={user}\1auth=Bearer {token}\1\1".encode())


def oauthbearer(user, token):
    return b64(f"n,{user and 'a='}{user},\1auth=Bearer {token}\1\1".encode())


class Place:
    """An issuer, backends that take tokens, and postern between them and its clients."""

    PORTS = {"imap": 143, "pop3": 110, "smtp": 587}
    STARTS = {"imap": b"a AUTHENTICATE ", "pop3": b"AUTH ", "smtp": b"AUTH "}
    YES = {"imap": b"a OK", "pop3": b"+OK backend", "smtp": b"235"}

    def __init__(self, env, issuer=None, mail=JUDGE, algs=("EdDSA",), sources=None, **options):
        self.env, self.heard, self.issuer = env, [], issuer or Issuer(env, algs)
        self.backends = [env.keep(Listener((env.ip(2), port), serve))
                         for port, serve in ((143, self.imap), (110, self.pop3), (25, self.smtp))]
        self.sources = sources or f"auth_jwt {self.issuer.path};"
        self.mail = mail
        self.postern = env.postern(self.text(), **options)
        env.keep(self)

    def imap(self, wire):
        imap_backend(wire, capability="IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER", on_command=self.heard.append)

    def pop3(self, wire):
        """RFC 5034: the response comes with AUTH, or is asked for."""
        wire.send(b"+OK backend ready\r\n")
        line = wire.line()
        if len(line.split()) == 2:
            wire.send(b"+ \r\n")
            line += wire.line()
        self.heard.append(line)
        wire.send(b"+OK backend AUTH\r\n")
        wire.rest()

    def smtp(self, wire):
        smtp_backend(wire, extensions=(b"AUTH XOAUTH2 OAUTHBEARER",), on_command=self.heard.append)

    def text(self):
        ip, backend = self.env.ip(), self.env.ip(2)
        return f"""
    {self.sources} {TOKENS} {self.mail}
    server {{ listen {ip}:143; protocol imap; proxy_pass {backend}:143; }}
    server {{ listen {ip}:110; protocol pop3; proxy_pass {backend}:110; }}
    server {{ listen {ip}:587; protocol smtp; proxy_pass {backend}:25; proxy_smtp_auth on; xclient off; }}
"""

    def client(self, protocol):
        client = Wire.to((self.env.ip(), self.PORTS[protocol]))
        client.line()
        if protocol == "smtp":
            client.send(b"EHLO client.example\r\n")
            while not client.line().startswith(b"250 "):
                pass
        return client

    def login(self, token, user=JOE, protocol="imap", mechanism="xoauth2"):
        """The last answer to a login; an error challenge is answered as clients do."""
        client = self.client(protocol)
        message = {"xoauth2": xoauth2, "oauthbearer": oauthbearer}[mechanism](user, token)
        client.send(self.STARTS[protocol] + mechanism.upper().encode() + b" " + message + b"\r\n")
        answer = client.line()
        if answer.startswith((b"+ ", b"334 ")):
            client.send(b"AQ==\r\n")
            answer = client.line()
        client.close()
        return answer

    def lets_in(self, *args, protocol="imap", **more):
        return self.login(*args, protocol=protocol, **more).startswith(self.YES[protocol])

    def backend_message(self):
        """What the backend was sent in the last login, without its base64."""
        return base64.b64decode(self.heard[-1].split()[-1]).decode()

    def refused_for(self, reason):
        return self.postern.wait_log(f"{reason}.* client: ")

    def stop(self):
        """Whatever happened: no token in the log. All of them begin alike."""
        for form in ("eyJhbGci", base64.b64encode(b"auth=Bearer ey").decode()[:12]):
            assert form not in self.postern.log(), f"the log holds {form!r}"


@weight(6)
def test_tokens_of_every_kind_of_key_let_in_by_every_protocol(env):
    place = Place(env, algs=("RS256", "ES256", "EdDSA"))
    for alg, protocol, mechanism in itertools.product(place.issuer.keys, place.PORTS, ("xoauth2", "oauthbearer")):
        token = place.issuer.keys[alg].token(place.issuer.claims())
        answer = place.login(token, protocol=protocol, mechanism=mechanism)
        assert answer.startswith(place.YES[protocol]), (alg, protocol, mechanism, answer)
        assert token in place.backend_message() and JOE in place.backend_message(), place.heard[-1]


def refusals(issuer, stranger):
    """Tokens that let nobody in, with what the log says of each."""
    now, key = int(time.time()), issuer.key
    good = issuer.token()
    head, claims, signature = good.split(".")
    none = b64url(json.dumps({"alg": "none", "typ": "JWT"}).encode())
    eve = b64url(json.dumps(issuer.claims("eve@example.org")).encode())
    return [
        (good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"), "the token's signature is wrong"),
        (f"{head}.{eve}.{signature}", "the token's signature is wrong"),
        (f"{none}.{claims}.", "the token's algorithm is not taken"),
        (f"{none}.{claims}.{signature}", "the token's algorithm is not taken"),
        (f"{head}.{claims}.", "the token's signature is wrong"),
        (key.token(issuer.claims(), alg="HS256"), "the token's algorithm is not taken"),
        (key.token(issuer.claims(), crit=["exp"]), "the token asks for an extension"),
        (stranger.token(issuer.claims(), kid=key.kid), "the token's signature is wrong"),
        (stranger.token(issuer.claims(), kid=None), "the token's signature is wrong"),
        (issuer.token(exp=now - 61), "the token has expired"),
        (issuer.token(exp=None), "the token never expires"),
        (issuer.token(nbf=now + 3600), "the token is not valid yet"),
        (issuer.token(iat=now + 3600), "the token was issued in the future"),
        (issuer.token(aud="web"), "the token is for another audience"),
        (issuer.token(aud=None), "the token is for another audience"),
        (issuer.token(email=None), "the token names no user"),
        (issuer.token("joe\r\n@example.org"), "what the token names can be no user"),
        (issuer.token("eve@example.org"), "the token is another user's"),
        (issuer.token("JOE@example.org"), "the token is another user's"),
        (issuer.token(email_verified=False), "the address in the token is not verified"),
    ]


def test_a_token_that_is_not_as_it_should_be_lets_nobody_in(env):
    place = Place(env)
    for token, reason in refusals(place.issuer, Key(env, "stranger", "EdDSA")):
        before = len(place.postern.log())
        assert not place.lets_in(token), reason
        eventually(lambda: reason in place.postern.log()[before:], f"{reason!r} in the log")
    assert all(backend.accepted == 0 for backend in place.backends)
    assert place.lets_in(place.issuer.token())


def test_what_another_issuer_signed_is_unknown_here(env):
    place = Place(env)
    stranger = Key(env, "stranger", "EdDSA")
    for token, reason in (
            (place.issuer.token(iss="https://evil.example.org"), "the token is of another issuer"),
            (stranger.token(place.issuer.claims()), "the token's key is not known"),
            ("mF_9.B5f-4.1JqM", "the token is no JWT"), ("opaque", "the token is no JWT")):
        before = len(place.postern.log())
        assert not place.lets_in(token)
        eventually(lambda: reason in place.postern.log()[before:], f"{reason!r} in the log")
    assert all(backend.accepted == 0 for backend in place.backends)


def test_a_refusal_comes_in_each_protocols_words(env):
    place = Place(env)
    bad = place.issuer.token(aud="web")
    for protocol, word in ("imap", b"a NO [AUTHENTICATIONFAILED]"), ("pop3", b"-ERR [AUTH]"), ("smtp", b"535 5.7.8"):
        for mechanism in ("xoauth2", "oauthbearer"):
            answer = place.login(bad, protocol=protocol, mechanism=mechanism)
            assert answer.startswith(word), (protocol, mechanism, answer)


def test_who_does_not_say_his_name_is_whom_the_token_names(env):
    place = Place(env)
    token = place.issuer.token()
    assert place.lets_in(token, user="", mechanism="oauthbearer")
    assert f"a={JOE}" in place.backend_message()
    assert place.lets_in(token, user="joe@EXAMPLE.org")
    assert f"user={JOE}" in place.backend_message()
    place.postern.wait_log(f'login: "{JOE}"')


def test_scopes_and_claim_are_as_configured(env):
    place = Place(env, mail=JUDGE + "auth_token_scope mail.read mail.send; auth_token_claim upn; auth_token_leeway 2h;")
    issuer, now = place.issuer, int(time.time())
    assert place.lets_in(issuer.token(email=None, upn=JOE, scope="openid mail.send mail.read"))
    assert place.lets_in(issuer.token(upn=JOE, scp=["mail.read", "mail.send"], exp=now - 3600))
    assert not place.lets_in(issuer.token(upn=JOE, scope="mail.read"))
    place.refused_for("the token lacks a scope")
    assert not place.lets_in(issuer.token(scope="mail.send mail.read"))
    place.refused_for("the token names no user")


def test_fresh_keys_need_no_signal(env):
    place = Place(env)
    issuer, helpers = place.issuer, place.postern.children("auth_jwt")
    old, new = issuer.key, Key(env, "next", "ES256")
    token = new.token(issuer.claims())
    assert not place.lets_in(token)
    issuer.publish(old, new)
    eventually(lambda: place.lets_in(token), "the new key is known")
    assert place.lets_in(old.token(issuer.claims()))
    issuer.publish(new)
    eventually(lambda: not place.lets_in(old.token(issuer.claims())), "the old key is forgotten")
    assert place.lets_in(token)
    assert place.postern.children("auth_jwt") == helpers and "reconfigur" not in place.postern.log()


def test_a_bad_file_leaves_the_old_keys_in_force(env):
    place = Place(env)
    token = place.issuer.token()
    for count, text in enumerate(("{", '{"keys":[]}', '{"keys":[{"kty":"oct","k":"AAAA"}]}', ""), 1):
        place.issuer.replace(text)
        place.postern.wait_log("what was read before stays in force", count)
        assert place.lets_in(token)
    place.issuer.publish(place.issuer.key)
    assert place.lets_in(token)


def test_a_bad_file_at_the_start_is_refused(env):
    issuer = Issuer(env)
    place = Place(env, issuer)
    config = place.postern.config.read_text()
    for text, why in (("{", "not a JSON object"), ('{"keys":[]}', "no key that can be used")):
        env.write("bad.json", text)
        place.postern.config.write_text(config.replace(str(issuer.path), str(env.path("bad.json"))))
        status, said = place.postern.run("-t")
        assert status != 0 and why in said, said
    place.postern.config.write_text(config)


def test_keys_that_cannot_be_used_are_spoken_of(env):
    issuer = Issuer(env)
    keys = [issuer.key.public(d="AAAA"), {"kty": "oct", "k": "AAAA"}, issuer.key.public(use="enc")]
    issuer.replace(json.dumps({"keys": keys}))
    place = Place(env, issuer)
    place.postern.wait_log(r"\[warn\].*key 1 in .*private half")
    place.postern.wait_log(r"\[warn\].*key 2 in .*a shared secret is no public key")
    assert "key 3" not in place.postern.log()
    assert place.lets_in(issuer.token())


def test_a_token_longer_than_the_limit_is_refused(env):
    place = Place(env, mail=JUDGE + "imap_client_buffer 64k;")
    assert place.lets_in(place.issuer.token(more="x" * 8000))
    assert not place.lets_in(place.issuer.token(more="x" * 16000))
    assert place.lets_in(place.issuer.token())
