"""One table of logins through every source, by every mechanism that it serves, in every protocol that has it."""
import concurrent.futures
import re

import logins
from authd import Authd
from certs import Authority
from harness import Postern, Skip, eventually, weight
from issuer import Issuer
from logins import IN, NEVER, NO, PORTS, WAYS, backend, greeted
from peers import Listener
from real import Dovecot, MariaDB, Postfix
from test_auth_mysql import QUERY, TABLE as TABLE_OF_USERS, quoted
from test_auth_pam import make_db

# The users that every source knows. What names a shell, a format, a database or a header would stumble over is a name.
USERS = {
    b"joe": b"s3cr3t",
    b"Joe": b"0ther",
    b"joe@example.org": b"p w\"rd\\ {5}",
    b"o'neil": b"quote'quote",
    b"\"quoted\"": b"\"",
    b"back\\slash": b"\\\\'",
    b"' OR '1'='1": b"' OR '1'='1",
    b"x'); DROP TABLE users; --": b"; --",
    b"100%": b"%n%s%41",
    b"%n%s%41": b"100%",
    b"j o e": b"b l a n k",
    b"$(touch pwned)`id`": b"${IFS}",
    "m\u00fcller@\u4f8b\u3048.jp".encode(): "\u00e4\u00f6\u20ac".encode(),
    b"joe,a=jim": b"a=1,,",
    b"u" * 250: b"p" * 500,
}
RIGHT, ANOTHERS = object(), object()    # the secret of that user, the secret of another one

# By however little, not the secret of joe.
WRONG = [
    b"", b"S3CR3T", b"s3cr3", b"s3cr3t ", b" s3cr3t", b"s3cr3t\x01", b"*", b"%", b"' OR '1'='1", b"\xff\xfe",
    b"s3cr3t\xcc\x81", b"s" * 1024, b"s" * 1025, b"s" * 4096,
]
# By however little, nobody's names.
STRANGERS = [
    b"JOE", b"jo", b"joe2", b"joe ", b" joe", b"joe'", b"joe\"", b"joe\\", b"joe' -- ", b"joe'#", b"joe%", b"joe%00",
    b"joe%0d%0aAuth-Status: OK", b"j_e", b"*", b"%", b":", b"joe:x", b"../joe", b"-joe", b"#joe", b"joe\t",
    b"\x1b]0;joe\x07", b"joe\x7f", b"jo\xc3\xab", b"joe\xff", b"\xfe\xff", b"joe\xc3", b"\xc0\xaajoe", b"\xed\xa0\x80",
    "jo\uff45".encode(), "jo\u0435".encode(), b"' OR 1=1 -- ", b"' UNION SELECT '{PLAIN}x' -- ", b":user",
    b"u" * 251, b"u" * 1024,
]
# Names that are none: no source hears of them.
NAMELESS = [b"", b"u" * 1025, b"u" * 4096, b"joe\0", b"joe\0x", b"joe\r\n", b"joe\n", b"joe\rx",
            b"joe\r\nAuth-Status: OK"]
LINES = [b"s3cr3t\0", b"s3cr3t\0x", b"s3cr3t\r\n", b"s3cr3t\n", b"s3cr3t\r\nAuth-Status: OK"]
TABLE = [(user, RIGHT, IN) for user in USERS] + [(user, ANOTHERS, NO) for user in USERS] + \
    [(b"joe", secret, NO) for secret in WRONG] + [(user, b"s3cr3t", NO) for user in STRANGERS] + \
    [(user, b"s3cr3t", NEVER) for user in NAMELESS] + [(b"joe", secret, NEVER) for secret in LINES]

GROUPS = {"plain": 0, "login": 0, "cram-md5": 0, "apop": 0, "xoauth2": 1000, "oauthbearer": 1000, "external": 2000}


class House:
    """A source, backends that keep what they are told, and postern with a server a protocol and a group of methods.

    A source has `text`, its directives; `methods`, the words of all that it serves; `secrets`, by user; `label`, as
    the log has it; `kind`, its directive.
    """

    def __init__(self, env, source, protocols=PORTS, settings="", **options):
        self.env, self.source, self.told, self.protocols = env, source, [], protocols
        if not source.backends:
            for protocol in protocols:
                env.keep(Listener((env.ip(2), PORTS[protocol]), backend(protocol, self.told)))
        self.context = None
        servers = "".join(self.servers(group) for group in sorted({GROUPS[method] for method in source.methods}))
        self.postern = env.postern(f"{source.text} xclient off; {settings}\n{servers}", **options)
        env.keep(self)

    def servers(self, group):
        how = {0: "proxy_auth plain;", 1000: "", 2000: "proxy_auth plain;"}[group]
        if group == 2000:
            authority = Authority(self.env, "clients")
            pair = authority.issue("mail.example.com")
            self.context = authority.trust(client=authority.issue("joe"))
            how += f"""ssl_certificate {pair[0]}; ssl_certificate_key {pair[1]};
                ssl_verify_client on; ssl_client_certificate {authority.certificate};"""
        text = ""
        for protocol in self.protocols:
            host, port = self.source.backends.get(protocol, (self.env.ip(2), PORTS[protocol]))
            words = " ".join(method for method in self.source.methods if GROUPS[method] == group and
                             (protocol, method) not in (("imap", "apop"), ("smtp", "apop"), ("pop3", "login")))
            smtp = "proxy_smtp_auth on;" if protocol == "smtp" else ""
            tls = "ssl" if group == 2000 else ""
            text += f"""    server {{ listen {self.env.ip()}:{PORTS[protocol] + group} {tls}; protocol {protocol};
        {protocol}_auth {words}; {protocol}_client_buffer 16k; proxy_pass {host}:{port}; {how} {smtp} }}\n"""
        return text

    def ways(self, all_forms=True):
        """Those that are served; without `all_forms`, no mechanism twice in a protocol."""
        return [way for way in WAYS if way.method in self.source.methods and way.protocol in self.protocols and
                (all_forms or way.form != "asked" or way.method == "cram-md5")]

    def client(self, way):
        group = GROUPS[way.method]
        context = self.context if group == 2000 else None
        return greeted(way.protocol, (self.env.ip(), PORTS[way.protocol] + group), context)

    def begin(self, way, user, secret):
        """A client that has sent its login and hears nothing yet."""
        client = self.client(way)
        way.begin(client, user, secret)
        return client

    def login(self, way, user, secret):
        client = self.begin(way, user, secret)
        verdict = way.verdict(way.end(client, user, secret))
        client.close()
        return verdict

    def secret_of(self, user, secret):
        if secret is RIGHT:
            return self.source.secrets[user]
        if secret is ANOTHERS:
            users = list(self.source.secrets)
            return self.source.secrets[users[users.index(user) - 1]]
        return secret

    def expected(self, way, user, secret, wanted):
        """(verdict, who is let in). With EXTERNAL the certificate counts, and a token may say alone whose it is."""
        if not way.is_sound(user, secret):
            return NEVER, None
        if way.method == "external":
            return (IN, b"joe") if user in (b"", b"joe") else (NO, None)
        if way.method == "oauthbearer" and user == b"":
            owners = [name for name, own in self.source.secrets.items() if own == secret]
            return (IN, owners[0]) if owners else (NO, None)
        return NO if wanted is NEVER else wanted, user

    def hears(self, way, user, secret):
        """The backend was told who it is and how he shows it, byte by byte."""
        if way.method == "external":
            secret = USERS[user]
        wanted = {"xoauth2": b"user=%s\1auth=Bearer %s\1\1" % (user, secret),
                  "oauthbearer": b"n,a=%s,\1" % logins.gs2(user)}.get(way.method, b"\0%s\0%s" % (user, secret))
        assert self.told and self.told[-1].startswith(wanted) and secret in self.told[-1], (way, user, self.told)

    def cases(self, table, all_forms):
        """(way, user, secret, verdict, who is let in) of all that can be said at all."""
        for way in self.ways(all_forms):
            for user, secret, wanted in table:
                secret = self.secret_of(user, secret)
                if way.can_say(user, secret):
                    yield (way, user, secret, *self.expected(way, user, secret, wanted))

    def judge(self, case):
        """What is wrong with it, or None. A login that nobody can be asked about may be refused in any words."""
        way, user, secret, wanted, who = case
        del self.told[:]
        got = self.login(way, user, secret)
        if got is not wanted and (wanted, got) != (NEVER, NO):
            return f"{way}: {user[:60]!r} with {secret[:60]!r} is {got}, not {wanted}"
        if wanted is IN and not self.source.backends:
            self.hears(way, who, secret)
        elif self.told:
            return f"{way}: {user[:60]!r} with {secret[:60]!r}: the backend was told {self.told}"
        return None

    def run(self, table, all_forms=True, at_once=1):
        """All of it; what is wrong is told together. Our own backends can be told only one thing at a time."""
        cases = list(self.cases(table, all_forms))
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            wrong = [error for error in pool.map(self.judge, cases) if error]
        assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong)
        assert len(cases) > len(table), len(cases)
        asked = sum(case[3] is not NEVER for case in cases)
        eventually(lambda: self.postern.log().count(" -> asking") == asked, f"{asked} questions, not more or less")

    def stop(self):
        """Whatever happened: each line of the log is one of ours, without a secret and with nothing raw in it."""
        log = self.postern.log_path.read_bytes()
        for line in log.splitlines():
            assert re.match(rb"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[[a-z]+\] \d+#\d+: ", line), line
            assert not re.search(rb"[\x00-\x1f\x7f]", line), line
        log.decode()
        for secret in {*self.source.secrets.values()} - {*self.source.secrets}:
            for form in (secret, logins.b64(secret).rstrip(b"=")):
                assert len(form) < 6 or form not in log, f"the log holds {form!r}"


class Http:
    """auth_http: a process that is asked over http, https or a UNIX socket."""
    kind, methods, backends = "auth_http", list(GROUPS), {}

    def __init__(self, env, over="http", users=USERS):
        # To this server secrets are tokens, too.
        self.secrets, tls, self.text = users, None, ""
        where, url = f"{env.ip(3)}:9000", f"http://{env.ip(3)}:9000/auth"
        if over == "https":
            authority = Authority(env, "auth")
            tls, url = authority.issue(env.ip(3)), f"https://{env.ip(3)}:9000/auth"
            self.text = f"auth_http_ssl_trusted_certificate {authority.certificate};"
        elif over == "unix":
            where = env.path("auth.sock")
            url = f"unix:{where}:/auth"
        self.text += f"auth_http {url}; auth_http_pass_client_cert on;"
        self.server = Authd(env, where, users, {protocol: (env.ip(2), port) for protocol, port in PORTS.items()}, tls)


class File:
    """auth_file, with passwords in clear, which serve challenges, too."""
    kind, methods, backends, secrets = "auth_file", ["plain", "login", "cram-md5", "apop"], {}, USERS

    def __init__(self, env):
        self.path = env.write("users", b"".join(b"%s:{PLAIN.b64}%s\n" % (user, logins.b64(secret))
                                                for user, secret in USERS.items()), 0o600)
        self.text = f"auth_file {self.path};"


class Mysql:
    """auth_mysql: a real MariaDB, where a name is a name to the last blank."""
    kind, methods, backends, secrets = "auth_mysql", ["plain", "login", "cram-md5", "apop"], {}, USERS

    def __init__(self, env, users=USERS, query=QUERY):
        if not (env.build / "postern-auth-mysql").exists():
            raise Skip("postern was built without auth_mysql")
        self.secrets, self.server = users, MariaDB(env)
        rows = ", ".join(f"({quoted(user)}, {quoted(b'{PLAIN.b64}' + logins.b64(secret))})"
                         for user, secret in users.items())
        self.server.sql(TABLE_OF_USERS.replace("utf8mb4_bin", "utf8mb4_nopad_bin") +
                        f"INSERT INTO mail.users (name, password) VALUES {rows}")
        password = env.write("dbpass", "dbpass\n", 0o600)
        self.text = f"""
    auth_mysql unix:{self.server.socket}; auth_mysql_user postern; auth_mysql_database mail;
    auth_mysql_password_file {password}; auth_mysql_query "{query}";
"""


class Pam:
    """auth_pam with pam_userdb, in a service directory of the test's own."""
    kind, methods, backends, secrets = "auth_pam", ["plain", "login"], {}, USERS

    def __init__(self, env):
        users = {user.decode(): secret.decode() for user, secret in USERS.items()}
        env.write("pam.d/mail", f"auth required pam_userdb.so db={make_db(env, users)} crypt=crypt\n"
                  "account required pam_permit.so\n")
        self.text = f"auth_pam mail; auth_pam_directory {env.path('pam.d')};"


class Jwt:
    """auth_jwt: each user's secret is a token that an issuer has signed."""
    kind, methods, backends = "auth_jwt", ["xoauth2", "oauthbearer"], {}

    def __init__(self, env):
        self.issuer = Issuer(env)
        self.secrets = {user: self.issuer.token(user.decode()).encode() for user in USERS}
        self.text = f"auth_jwt {self.issuer.path}; auth_token_issuer {Issuer.URL}; auth_token_audience mail;"


class Introspection:
    """auth_introspection: each user's secret is a token that the server knows."""
    kind, methods, backends = "auth_introspection", ["xoauth2", "oauthbearer"], {}

    def __init__(self, env, users=USERS):
        self.secrets = {user: b"token-%d" % i for i, user in enumerate(users)}
        self.server = Authd(env, f"{env.ip(3)}:9000", self.secrets, {})
        self.text = f"auth_introspection http://{env.ip(3)}:9000/introspect;"


class Passthrough:
    """auth_passthrough: a real Dovecot decides, and Postfix, which asks it."""
    kind, methods, secrets = "auth_passthrough", ["plain", "login"], USERS

    def __init__(self, env, mta=True, more=""):
        more += "auth_username_chars =\nauth_username_format = %u\nauth_cache_size = 0\n" \
            "mail_max_userip_connections = 0\nmail_location = maildir:~/%u\n"
        # It looks for quotes and backslashes with a backslash ahead of them.
        users = {re.sub(r"(['\"\\])", r"\\\1", user.decode()): secret.decode() for user, secret in USERS.items()}
        self.dovecot = Dovecot(env, env.ip(4), users, more=more)
        self.backends = {"imap": self.dovecot.imap, "pop3": self.dovecot.pop3}
        if mta:
            self.postfix = Postfix(env, env.ip(4), sasl=self.dovecot.auth_socket)
            self.backends["smtp"] = self.postfix.smtp
        self.text = "auth_passthrough on;"


OAUTH2 = """
auth_mechanisms = plain login xoauth2 oauthbearer
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {path}
}}
"""


class TokenPassthrough(Passthrough):
    """The same with tokens, which Dovecot asks a server about."""
    methods = ["xoauth2", "oauthbearer"]

    def __init__(self, env):
        self.secrets = {user: b"token-%d" % i for i, user in enumerate(USERS)}
        self.server = Authd(env, f"{env.ip(3)}:9000", self.secrets, {})
        path = env.write("oauth2.conf", f"""introspection_url = http://{env.ip(3)}:9000/introspect
introspection_mode = post
username_attribute = username
active_attribute = active
active_value = true
""")
        super().__init__(env, mta=False, more=OAUTH2.format(path=path))


@weight(10)
def test_auth_http_over_http_judges_all_as_the_table_has_it(env):
    House(env, Http(env)).run(TABLE)


@weight(10)
def test_auth_http_over_https_judges_all_as_the_table_has_it(env):
    House(env, Http(env, "https")).run(TABLE, all_forms=False)


@weight(10)
def test_auth_http_over_a_unix_socket_judges_all_as_the_table_has_it(env):
    House(env, Http(env, "unix")).run(TABLE, all_forms=False)


def test_auth_file_judges_all_as_the_table_has_it(env):
    House(env, File(env)).run(TABLE)


@weight(10)
def test_auth_passthrough_judges_tokens_as_a_real_dovecot_has_it(env):
    """To it Joe's token is joe's as well; that is its decision."""
    source = TokenPassthrough(env)
    House(env, source, protocols=source.backends).run([case for case in TABLE if case[0] != b"Joe"], at_once=40)


@weight(10)
def test_auth_mysql_judges_all_as_the_table_has_it(env):
    source = Mysql(env)
    House(env, source).run(TABLE)
    assert source.server.sql("SELECT COUNT(*) FROM mail.users") == [[str(len(USERS))]]


def test_auth_pam_judges_all_as_the_table_has_it(env):
    House(env, Pam(env)).run(TABLE)


def test_auth_jwt_judges_all_as_the_table_has_it(env):
    House(env, Jwt(env)).run(TABLE)


def test_auth_introspection_judges_all_as_the_table_has_it(env):
    House(env, Introspection(env)).run(TABLE)


@weight(20)
def test_auth_passthrough_judges_all_as_a_real_dovecot_has_it(env):
    """Each of its refusals takes it half a second."""
    House(env, Passthrough(env)).run(TABLE, all_forms=False, at_once=40)


# --- what is refused before anybody logs in ---

SERVED = {
    "auth_http": ["plain", "login", "cram-md5", "apop", "xoauth2", "oauthbearer", "external"],
    "auth_file": ["plain", "login", "cram-md5", "apop"],
    "auth_mysql": ["plain", "login", "cram-md5", "apop"],
    "auth_pam": ["plain", "login"],
    "auth_jwt": ["xoauth2", "oauthbearer"],
    "auth_introspection": ["xoauth2", "oauthbearer"],
    "auth_passthrough": ["plain", "login", "xoauth2", "oauthbearer"],
}


def test_a_mechanism_that_no_source_serves_is_refused_by_t(env):
    """Each source with each word that each protocol takes; the message names both, and who could."""
    query = 'auth_mysql_query "SELECT password FROM users WHERE name = :user"'
    env.write("pam.d/mail", "auth required pam_deny.so\naccount required pam_deny.so\n")
    texts = {
        "auth_http": f"auth_http {env.ip(3)}:9000/auth",
        "auth_file": f"auth_file {env.write('users', 'joe:{PLAIN}secret', 0o600)}",
        "auth_mysql": f"auth_mysql unix:/nowhere; auth_mysql_user joe; auth_mysql_database mail; {query}",
        "auth_pam": f"auth_pam mail; auth_pam_directory {env.path('pam.d')}",
        "auth_jwt": Jwt(env).text.rstrip(";"),
        "auth_introspection": f"auth_introspection http://{env.ip(3)}:9000/introspect",
        "auth_passthrough": "auth_passthrough on",
    }
    if not (env.build / "postern-auth-mysql").exists():
        del texts["auth_mysql"]
    authority = Authority(env)
    pair = authority.issue("mail.example.com")
    tls = f"ssl_certificate {pair[0]}; ssl_certificate_key {pair[1]}; ssl_verify_client on; " \
        f"ssl_client_certificate {authority.certificate};"
    wrong = []
    for kind, text in texts.items():
        for protocol in PORTS:
            for method in GROUPS:
                if (protocol, method) in (("imap", "apop"), ("smtp", "apop"), ("pop3", "login")):
                    continue
                postern = Postern(env, f"""{text}; {tls} server {{ listen {env.ip()}:{PORTS[protocol]} ssl;
                    protocol {protocol}; {protocol}_auth {method}; proxy_pass {env.ip(2)}; proxy_smtp_auth on; }}""")
                status, said = postern.run("-t")
                refusal = f'[emerg] "{protocol}_auth {method}" cannot be served by "{kind}"'
                if (status == 0) != (method in SERVED[kind]) or (status != 0 and refusal not in said):
                    wrong.append(f"{kind}, {protocol}_auth {method}: {status}, {said}")
    assert not wrong, "\n".join(wrong)
