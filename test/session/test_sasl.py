"""Every way to log in: a client that leaves in the midst of it, and answers of odd lengths."""
from certs import Authority
from harness import Wire, eventually
from peers import AuthHttp
from stage import b64

PLAIN, TOKEN = b64(b"", b"joe", b"x"), b64(b"user=joe\1auth=Bearer x\1\1")
BEARER, DIGEST = b64(b"n,a=joe,\1auth=Bearer x\1\1"), b64(b"joe 0123456789abcdef0123456789abcdef")
AUTH = {
    "PLAIN": [PLAIN],
    "LOGIN": [b64(b"joe"), b64(b"x")],
    "CRAM-MD5": [DIGEST],
    "XOAUTH2": [TOKEN],
    "OAUTHBEARER": [BEARER],
    "EXTERNAL": [b64(b"joe")],
}
NAMES = {"imap": b"a AUTHENTICATE ", "pop3": b"AUTH ", "smtp": b"AUTH "}
PORTS = {"imap": 143, "pop3": 110, "smtp": 587}
OTHERS = {
    "imap": [b"a LOGIN joe x\r\n", b'a LOGIN "joe" {1}\r\nx\r\n', b"a LOGIN {3+}\r\njoe {1+}\r\nx\r\n"],
    "pop3": [b"USER joe\r\nPASS x\r\n", b"APOP joe 0123456789abcdef0123456789abcdef\r\n"],
    "smtp": [],
}


class House:
    """Each protocol with all its methods, behind TLS, for a client that shows a certificate; nobody is let in."""

    def __init__(self, env, mail=""):
        self.env = env
        authority = Authority(env)
        certificate, key = authority.issue("mail.example.com")
        self.context = authority.trust(client=authority.issue("joe"))
        self.auth = env.keep(AuthHttp((env.ip(3), 9000), {"Auth-Status": "no"}))
        methods = {"imap": "", "pop3": "apop", "smtp": "login"}
        servers = "\n".join(f"server {{ listen {env.ip()}:{port} ssl; protocol {name}; "
                            f"{name}_auth plain cram-md5 external xoauth2 oauthbearer {methods[name]}; }}"
                            for name, port in PORTS.items())
        self.postern = env.postern(f"""
    auth_http {env.ip(3)}:9000/auth; max_errors 1000;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    ssl_verify_client on; ssl_client_certificate {authority.certificate}; ssl_session_cache shared:T:1m;
    {mail}
    {servers}""")

    def client(self, name):
        client = Wire.to((self.env.ip(), PORTS[name])).secure(self.context)
        client.line()
        return client

    def all_have_ended(self):
        text = self.postern.log()
        return text.count("-> dead") == text.count(" connected to ")


def dialogues(name):
    """All that a client may say to log in, up to the byte before the last."""
    yield from OTHERS[name]
    for mechanism, lines in AUTH.items():
        start = NAMES[name] + mechanism.encode()
        yield start + b"\r\n" + b"\r\n".join(lines) + b"\r\n"
        if mechanism != "CRAM-MD5":
            yield start + b" " + b"\r\n".join(lines) + b"\r\n"


def leave_everywhere(env, name):
    """No login that was not said to its end is asked about, and nobody hangs about."""
    house, ways = House(env), [Wire.close, Wire.finish, Wire.reset]
    for said in dialogues(name):
        for cut in range(0, len(said) - 1, 3):
            client = house.client(name)
            client.send(said[:cut])
            ways[cut // 3 % 3](client)
            if ways[cut // 3 % 3] == Wire.finish:
                client.rest()
    eventually(house.all_have_ended, "the end of all sessions")
    assert not house.auth.requests


def test_imap_clients_leave_in_the_midst_of_every_login(env):
    leave_everywhere(env, "imap")


def test_pop3_clients_leave_in_the_midst_of_every_login(env):
    leave_everywhere(env, "pop3")


def test_smtp_clients_leave_in_the_midst_of_every_login(env):
    leave_everywhere(env, "smtp")


def test_the_shortest_answers_are_judged_like_others(env):
    """Only whole logins are asked about: EXTERNAL may say nothing, and LOGIN's password may be empty."""
    house = House(env)
    asked = 0
    for name in PORTS:
        for mechanism, lines in AUTH.items():
            for step in range(len(lines)):
                for answer in (b"", b"A", b"=", b"AA==", b"*"):
                    client = house.client(name)
                    client.send(NAMES[name] + mechanism.encode() + b"\r\n")
                    client.send(b"".join(line + b"\r\n" for line in lines[:step]) + answer + b"\r\n")
                    client.finish()
                    said = client.rest().splitlines()
                    assert len(said) == step + 2, (name, mechanism, step, answer, said)
                    asked += answer == b"" and (mechanism == "EXTERNAL" or step == 1)
    assert len(house.auth.requests) == asked == 6
    assert [r["Auth-Method"] for r in house.auth.requests] == ["plain", "external"] * 3
