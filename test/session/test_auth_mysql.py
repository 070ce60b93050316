"""auth_mysql: who is let in by a row of a real MariaDB, and who is not."""
import hashlib

import guide
import test_auth_file
from certs import Authority
from harness import Skip, Wire, eventually
from real import MariaDB
from test_auth_file import NOT_NOW, SCHEMES, check_schemes

TABLE = """
CREATE DATABASE IF NOT EXISTS mail CHARACTER SET utf8mb4;
CREATE TABLE mail.users (
    name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY,
    password VARCHAR(5000), host VARCHAR(400), port VARCHAR(10), tls VARCHAR(20), login VARCHAR(2000),
    pass VARCHAR(2000), allow_nets VARCHAR(5000), protocols VARCHAR(40), nologin BOOL, reason TEXT, quota BIGINT,
    photo BLOB);
CREATE USER postern IDENTIFIED BY 'dbpass';
GRANT SELECT ON mail.users TO postern;
"""

QUERY = ("SELECT quota, password, host, port, tls AS `ssl`, login AS user, pass, allow_nets, protocols, nologin, "
         "reason, photo FROM users WHERE name = :user")


def quoted(value):
    """A literal of SQL: bytes and text as they are."""
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    raw = value if isinstance(value, bytes) else value.encode()
    return f"CONVERT(x'{raw.hex()}' USING utf8mb4)" if raw else "''"


class Place(test_auth_file.Place):
    """The same gateway and backends; the users are in a table."""

    def __init__(self, env, users=None, query=QUERY, source="", db=None, at=None, user="postern", password="dbpass",
                 **options):
        if not (env.build / "postern-auth-mysql").exists():
            raise Skip("postern was built without auth_mysql")
        self.db = db or MariaDB(env)
        if db is None:
            self.db.sql(TABLE)
        self.query, self.source, self.user, self.at = query, source, user, at or f"unix:{self.db.socket}"
        self.password_file = env.write("dbpass", password + "\n", 0o600) if password is not None else None
        if users:
            self.add(users)
        super().__init__(env, "", **options)

    def add(self, users):
        """Users by name: the columns, or the password alone."""
        for name, columns in users.items():
            columns = columns if isinstance(columns, dict) else {"password": columns}
            names = ", ".join(["name", *columns])
            values = ", ".join(map(quoted, [name, *columns.values()]))
            self.db.sql(f"REPLACE INTO mail.users ({names}) VALUES ({values})")

    def text(self):
        file = f"auth_mysql_password_file {self.password_file};" if self.password_file else ""
        query = self.query.replace("\\", "\\\\").replace('"', '\\"')
        return super().text().replace(f"auth_file {self.path};", f"""
    auth_mysql {self.at}; auth_mysql_user {self.user}; auth_mysql_database mail; {file}
    auth_mysql_query "{query}"; {self.source}
""")

    def helper_pids(self):
        return self.postern.children("auth_mysql")

    def cannot_say(self, user, password, why):
        before = len(self.postern.log())
        answer = self.login(user, password)
        assert answer == NOT_NOW, (user, password, answer)
        eventually(lambda: why in self.postern.log()[before:], f"{user!r}: {why!r} in the log")


def test_every_scheme_lets_in_who_knows_the_password(env):
    place = Place(env, SCHEMES)
    check_schemes(place)
    assert "dbpass" not in place.postern.log() and "{PLAIN}" not in place.postern.log()


PLAIN = "{PLAIN}secret"


def test_who_is_refused(env):
    """All of them hear the same; the log says why."""
    place = Place(env, {
        "joe": PLAIN, "locked": "!" + PLAIN, "starred": "*", "nothing": "", "empty": "{PLAIN}", "null": None,
        "nologin": {"password": PLAIN, "nologin": 1},
        "far": {"password": PLAIN, "allow_nets": "192.0.2.0/24,2001:db8::/32"},
        "pop": {"password": PLAIN, "protocols": "pop3"},
    })
    cases = [
        ("joe", "wrong", "wrong password"),
        ("Joe", "secret", "unknown user"),
        ("joe ", "secret", None),               # blanks at the end are nothing to the column's collation
        ("nobody", "secret", "unknown user"),
        ("locked", "secret", "the user is locked"),
        ("locked", "!" + PLAIN, "the user is locked"),
        ("starred", "*", "the user is locked"),
        ("nothing", "x", "the user is locked"),
        ("empty", "x", "the user is locked"),
        ("null", "x", "the user is locked"),
        ("null", "NULL", "the user is locked"),
        ("nologin", "secret", "the user has nologin"),
        ("far", "secret", "client address is not in allow_nets"),
        ("pop", "secret", "protocol is not in protocols"),
    ]
    for user, password, why in cases:
        if why:
            place.refuses(user, password, why)
    assert not place.heard, "the backend was asked"
    assert "secret" not in place.postern.log()
    assert len(place.db.connections("postern")) == 2


HOSTILE = [
    b"' OR 1=1 -- ", b"joe' -- ", b"'", b"''", b'"', b"\\", b"\\'", b"joe\\", b"%", b"j%", b"_oe", b"jo_", b"*",
    b"joe;",
    b"joe'; DROP TABLE users; -- ", b"joe/*", b"joe\0x".replace(b"\0", b"\x01"), b":user", b"?", b"@joe", b"joe@", b"@",
    b"x'6a6f65'", b"joe' UNION SELECT '{PLAIN}x", b"CONCAT('j','oe')", b"a" * 1000, b"a" * 4096,
    b"\xff", b"joe\xff", b"\xc3", b"joe\xc0\xa7", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xbf\x27 OR 1=1 -- ",
    "jöe".encode(), "ｊｏｅ".encode(), "joé".encode(), "𝔧𝔬𝔢".encode(),
]


def test_hostile_names_are_names(env):
    """They are nobody's, unless they stand in the table; and then they are somebody's like any other."""
    place = Place(env, {"joe": PLAIN})
    for name in HOSTILE:
        client = place.client()
        client.send(b"a LOGIN {%d+}\r\n%s {6+}\r\nsecret\r\n" % (len(name), name))
        answer = client.line()
        assert answer.startswith((b"a NO", b"a BAD")), (name, answer)
        assert b"UNAVAILABLE" not in answer, (name, answer)
        client.close()
    assert place.lets_in("joe", "secret")
    strange = [name.decode() for name in HOSTILE if len(name) < 255 and b"\x01" not in name
               and name.decode(errors="ignore").encode() == name and not name.endswith(b" ")]
    place.add({name: PLAIN for name in strange})
    for name in strange:
        assert place.lets_in(name, "secret"), name
        assert not place.lets_in(name, "' OR '1'='1"), name
    assert len(place.db.sql("SELECT name FROM mail.users")) == len(strange) + 1


def test_names_that_are_no_utf8_are_not_asked_about(env):
    """The server would have to make something of them; it has not heard of any."""
    place = Place(env, {"joe": PLAIN})
    place.db.sql("SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = 'ON'")
    for name in HOSTILE:
        if name.decode(errors="ignore").encode() == name:
            continue
        client = place.client()
        client.send(b"a LOGIN {%d+}\r\n%s {6+}\r\nsecret\r\n" % (len(name), name))
        assert client.line().startswith(b"a NO"), name
        client.close()
    assert place.lets_in("joe", "secret")
    asked = place.db.sql("SELECT argument FROM mysql.general_log WHERE command_type = 'Execute'")
    assert len(asked) == 1, asked


def test_what_the_backend_is_told(env):
    place = Place(env, {
        "plain": PLAIN,
        "empty": {"password": PLAIN, "host": "", "port": "", "tls": "", "login": "", "pass": "", "reason": ""},
        "host": {"password": PLAIN, "host": env.ip(3)},
        "port": {"password": PLAIN, "host": env.ip(2), "port": "2143"},
        "both": {"password": PLAIN, "host": f"{env.ip(2)}:2143"},
        "login": {"password": PLAIN, "login": "other@example.com"},
        "pass": {"password": PLAIN, "pass": "master%%100"},
        "clear": {"password": PLAIN, "tls": "no", "photo": "x" * 3000, "quota": 7},
    })
    first, second, other = f"{env.ip(2)}:143", f"{env.ip(3)}:143", f"{env.ip(2)}:2143"
    wanted = {
        "plain": (first, "plain", "secret"),
        "empty": (first, "empty", "secret"),
        "host": (second, "host", "secret"),
        "port": (other, "port", "secret"),
        "both": (other, "both", "secret"),
        "login": (first, "other@example.com", "secret"),
        "pass": (first, "pass", "master%%100"),
        "clear": (first, "clear", "secret"),
    }
    got = {user: place.backend_login(user, "secret") for user in wanted}
    assert got == wanted


def test_nologin_says_its_reason(env):
    place = Place(env, {"joe": {"password": PLAIN, "nologin": 1, "reason": "Moved%away"},
                        "ann": {"password": PLAIN, "nologin": 0, "reason": "Moved"}})
    assert place.login("joe", "secret").endswith(b"Moved%away")
    assert b"Moved" not in place.login("joe", "wrong")
    assert place.lets_in("ann", "secret")


def test_blanks_behind_a_name_count_where_the_collation_says_so(env):
    """With nearly all they do not: then the query knows how the user is spelled."""
    place = Place(env, {"joe": PLAIN}, query="SELECT password, name AS user FROM users WHERE name = :user")
    assert place.backend_login("joe  ", "secret") == (f"{env.ip(2)}:143", "joe", "secret")
    place.db.sql("ALTER TABLE mail.users MODIFY name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
    place.refuses("joe  ", "secret", "unknown user")
    assert place.lets_in("joe", "secret")


def test_values_that_cannot_be_used_are_no_yes(env):
    cases = {
        "cr": ({"host": "mx\r\nQUIT"}, "column host holds a control character"),
        "nul": ({"host": "mx\0x"}, "column host holds a control character"),
        "login": ({"login": "joe\r\nDELE 1"}, "column user holds a control character"),
        "pass": ({"pass": "x\ny"}, "column pass holds a control character"),
        "long": ({"login": "x" * 1025}, "column user is too long"),
        "nets": ({"allow_nets": "10.0.0.0/33"}, "invalid network in allow_nets"),
        "nonets": ({"allow_nets": ""}, "invalid network in allow_nets"),
        "manynets": ({"allow_nets": "10.0.0.0/8," * 400}, "column allow_nets is too long"),
        "port": ({"host": "mx", "port": "70000"}, "invalid port"),
        "zero": ({"host": "mx", "port": "0"}, "invalid port"),
        "alone": ({"port": "143"}, "port without host"),
        "host": ({"host": "a b"}, "invalid host"),
        "ssl": ({"tls": "maybe"}, "invalid value of ssl"),
        "proto": ({"protocols": "nntp"}, "unknown protocol"),
        "scheme": ({"password": "{ROT13}frperg"}, "unknown password scheme"),
        "hash": ({"password": "secret"}, "not a hash"),
        "huge": ({"password": "{PLAIN}" + "x" * 4500}, "column password is too long"),
        "text": ({"nologin": 1, "reason": "no\r\na OK"}, "column reason holds a control character"),
    }
    place = Place(env, {name: {"password": PLAIN, **columns} for name, (columns, _) in cases.items()})
    for name, (_, why) in cases.items():
        place.cannot_say(name, "secret", why)
    assert not place.heard, "the backend was asked"
    assert "frperg" not in place.postern.log() and "QUIT" not in place.postern.log()


def test_of_several_rows_none_counts(env):
    place = Place(env, {"joe": PLAIN, "ann": PLAIN, "bob": PLAIN},
                  query="SELECT password FROM users WHERE name = :user OR (:user = 'joe' AND name <> 'joe')")
    place.cannot_say("joe", "secret", "query returned more than one row")
    assert place.lets_in("ann", "secret") and len(place.db.connections("postern")) == 2


# --- the password is the query's to judge ---

CHECK = ("SELECT IF(password = SHA2(CONCAT('salt', :password), 256), NULL, '!') AS password, login AS user "
         "FROM users WHERE name = :user")


def test_a_query_that_is_given_the_password_may_judge_it(env):
    place = Place(env, {"joe": hashlib.sha256(b"saltsecret").hexdigest(), "null": None}, query=CHECK)
    assert place.lets_in("joe", "secret")
    place.refuses("joe", "wrong", "the user is locked")
    place.refuses("joe", "Secret", "the user is locked")
    place.refuses("joe", "", "empty password")
    place.refuses("null", "secret", "the user is locked")
    place.refuses("ann", "secret", "unknown user")
    place.refuses("joe", "' OR '1'='1", "the user is locked")
    for password in b"\xff\xfe", b"s\xc3", b"x" * 1000:         # any bytes are a password
        client = place.client()
        client.send(b"a LOGIN joe {%d+}\r\n%s\r\n" % (len(password), password))
        assert client.line().startswith(b"a NO"), password
    place.add({"joe": hashlib.sha256(b"salt\xff\xfe").hexdigest()})
    client = place.client()
    client.send(b"a LOGIN joe {2+}\r\n\xff\xfe\r\n")
    client.expect(b"a OK backend LOGIN")
    assert "secret" not in place.postern.log()


def test_a_password_in_the_table_is_compared_as_bytes(env):
    place = Place(env, {"joe": "Secret"}, query="SELECT NULL AS password FROM users WHERE name = :user "
                  "AND password = :password")
    assert place.lets_in("joe", "Secret")
    for wrong in "secret", "SECRET", "Secret ", "Sécret", "0":
        place.refuses("joe", wrong, "unknown user")


def test_errors_that_may_quote_a_password_are_not_told(env):
    place = Place(env, {"joe": PLAIN}, query="CALL login(:user, :password)")
    place.db.sql("CREATE PROCEDURE mail.login(IN who TEXT, IN pass TEXT) BEGIN DECLARE said TEXT "
                 "DEFAULT CONCAT('no ', pass); SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = said; END // "
                 "GRANT EXECUTE ON PROCEDURE mail.login TO postern //", "--delimiter=//")
    place.cannot_say("joe", "s3cr3t-of-joe", "the query failed (1644: 45000)")
    assert "s3cr3t" not in place.postern.log()


def test_challenges_need_plain_passwords(env):
    place = Place(env, {"joe": PLAIN, "hashed": SCHEMES["bcrypt"]}, challenges=True)
    for user, wanted in ("joe", b"a OK backend LOGIN"), ("hashed", b"a NO"), ("nobody", b"a NO"):
        assert place.cram(user, "secret").startswith(wanted), user
    assert place.apop("joe", "secret") == b"+OK backend PASS\r\n"
    assert b"PASS secret\r\n" in place.heard
    # A query that wants the password can serve none of them: that is said before anybody tries.
    place.query = CHECK
    place.postern.write(place.text())
    status, said = place.postern.run("-t")
    assert status == 1 and "cannot be served by \"auth_mysql\"" in said, said


# --- what the query knows, and what it may be ---

def test_the_query_is_given_what_it_names(env):
    place = Place(env, query="""
        SELECT '{PLAIN}secret' AS password, -- one of :these is no parameter
               CONCAT_WS('|', :user, :local, :domain, :protocol, :client, :server) AS user /* nor ':user */
        FROM users WHERE name = :local # ' or this
    """)
    place.add({"joe": PLAIN, "a@b": PLAIN})
    where = f"{env.ip(2)}:143"
    assert place.backend_login("joe", "secret") == (where, f"joe|joe||imap|127.0.0.1|mail.example.com", "secret")
    got = place.backend_login("a@b@Example.com", "secret")
    assert got == (where, "a@b@Example.com|a@b|Example.com|imap|127.0.0.1|mail.example.com", "secret")
    client = Wire.to((env.ip(), 110), env.ip(9))
    client.line()
    client.send(b"USER joe@\r\nPASS secret\r\n")
    client.line()
    client.expect(b"+OK backend PASS")
    assert f"USER joe@|joe||pop3|{env.ip(9)}|mail.example.com\r\n".encode() in place.heard, place.heard


def test_a_procedure_may_answer(env):
    place = Place(env, {"joe": PLAIN}, query="CALL login(:user)")
    place.cannot_say("joe", "secret", "the query failed (1370")
    place.db.sql("CREATE PROCEDURE mail.login(IN who VARCHAR(255) CHARACTER SET utf8mb4) SQL SECURITY DEFINER "
                 "SELECT password FROM mail.users WHERE name = who COLLATE utf8mb4_bin; "
                 "GRANT EXECUTE ON PROCEDURE mail.login TO postern")
    eventually(lambda: place.lets_in("joe", "secret"), "the next attempt")
    for _ in range(4):
        assert place.lets_in("joe", "secret")
        place.refuses("joe", "wrong", "wrong password")
        place.refuses("ann", "secret", "unknown user")


def test_queries_that_return_no_users(env):
    """Whatever comes back, nobody is let in by it."""
    db = MariaDB(env)
    db.sql(TABLE)
    cases = {
        "SELECT host FROM users WHERE name = :user": "the query returns no column password",
        "SELECT password, reason AS PASSWORD FROM users WHERE name = :user": "the query returns two columns",
        "DO SLEEP(0 * LENGTH(:user))": "the query returns no table",
        "SELECT password FROM nothing WHERE name = :user": "preparing the query failed (1142",
        "SELECT password FROM mysql.user WHERE user = :user": "preparing the query failed (1142",
        "SELECT password FROM users WHERE name = :user AND": "preparing the query failed (1064",
        "UPDATE users SET reason = 'x' WHERE name = :user": "preparing the query failed (1142",
        "SELECT (SELECT name FROM users) AS password FROM users WHERE name = :user": "reading the answer failed (1242",
    }
    place = Place(env, {"joe": PLAIN, "ann": PLAIN}, query=CHECK, db=db)
    for query, why in cases.items():
        place.query = query
        place.postern.write(place.text())
        place.postern.reload()
        place.cannot_say("joe", "secret", why)
    assert not place.heard


def test_a_table_may_change(env):
    """SELECT * goes on, with the columns that there are now."""
    place = Place(env, {"joe": PLAIN}, query="SELECT *, '' AS port FROM users WHERE name = :user", helpers=1)
    place.cannot_say("joe", "secret", "two columns port")
    place.db.sql("ALTER TABLE mail.users DROP COLUMN port")
    assert place.lets_in("joe", "secret")
    place.db.sql("ALTER TABLE mail.users ADD COLUMN user VARCHAR(20) DEFAULT 'other' FIRST")
    assert place.backend_login("joe", "secret")[1] == "other"
    place.db.sql("ALTER TABLE mail.users DROP COLUMN password")
    place.cannot_say("joe", "secret", "the query returns no column password")


def test_changes_in_the_table_count_at_once(env):
    place = Place(env, {"joe": PLAIN}, helpers=1)
    place.db.sql("SET GLOBAL autocommit = 0")           # as some servers have it, to our loss
    for password in "one", "two", "three":
        place.add({"joe": "{PLAIN}" + password})
        assert place.lets_in("joe", password)
    place.db.sql("DELETE FROM mail.users; COMMIT")
    place.refuses("joe", "three", "unknown user")


def test_of_sources_the_next_knows(env):
    """Users of one domain are in a table, others in a file."""
    users = env.write("others", "ann@example.org:{PLAIN}secret\njoe@example.com:{PLAIN}other\n", 0o600)
    place = Place(env, {"joe@example.com": PLAIN}, source=f"auth_file {users};")
    assert place.lets_in("joe@example.com", "secret") and place.lets_in("ann@example.org", "secret")
    place.refuses("joe@example.com", "other", "wrong password")
    place.refuses("bob@example.com", "secret", "unknown user")


# --- the guide ---

GUIDE, CONF = "auth-mysql", "/etc/postern/postern.conf"


class Guided(Place):
    """The guide's table, account and configuration; paths and addresses are the test's."""

    def __init__(self, env, number, account, changes, db):
        db.sql(guide.block(GUIDE, "The table:") + account)
        secret = guide.block(GUIDE, "/etc/postern/mysql.secret")
        env.write("mysql.secret", secret, 0o600)
        text = guide.block(GUIDE, CONF, number).strip()
        assert text.startswith("mail {") and text.endswith("}")
        self.conf = guide.replaced(text[len("mail {"):-1], {
            "/etc/postern/mysql.secret": env.path("mysql.secret"), "10.0.0.7": env.ip(2), "143": f"{env.ip()}:143",
            **changes})
        super().__init__(env, db=db)

    def text(self):
        return self.conf

    def first_user(self):
        self.db.sql(guide.block(GUIDE, "A first user (the hash is what `openssl passwd -6` or `doveadm pw` print):"))


def test_the_guide_works_on_one_machine(env):
    db = MariaDB(env)
    place = Guided(env, 0, guide.block(GUIDE, "The account:"), {"/run/mysqld/mysqld.sock": db.socket}, db)
    place.first_user()
    assert place.lets_in("joe@example.org", "sesame") and not place.lets_in("joe@example.org", "Sesame")
    place.refuses("joe", "sesame", "unknown user")
    place.refuses("Joe@example.org", "sesame", "unknown user")
    db.sql(f"UPDATE mail.users SET backend = '{env.ip(3)}', allow_nets = '127.0.0.0/8'")
    assert place.backend_login("joe@example.org", "sesame")[0] == f"{env.ip(3)}:143"
    db.sql("UPDATE mail.users SET disabled = TRUE")
    place.refuses("joe@example.org", "sesame", "the user has nologin")
    db.sql("UPDATE mail.users SET disabled = FALSE, allow_nets = '192.0.2.0/24'")
    place.refuses("joe@example.org", "sesame", "client address is not in allow_nets")
    # Its other queries, in place of this one.
    db.sql("UPDATE mail.users SET password = SHA2('joesesame', 256)")
    query = place.conf[place.conf.index('"SELECT') + 1:place.conf.index('";')]
    place.conf = place.conf.replace(query, guide.block(GUIDE, "In place of the query above:"))
    place.postern.write(place.text())
    place.postern.reload()
    assert place.lets_in("joe@example.org", "sesame")
    place.refuses("joe@example.org", "Sesame", "the user is locked")
    whole = guide.block(GUIDE, "in the table, in a query by the whole name:")
    place.conf = place.conf.replace(guide.block(GUIDE, "In place of the query above:"), whole)
    place.postern.write(place.text())
    place.postern.reload()
    db.sql("UPDATE mail.users SET password = '{PLAIN}sesame'")
    assert place.backend_login("joe", "sesame")[1:] == ("joe", "sesame")


def test_the_guide_works_with_a_database_elsewhere(env):
    ca = Authority(env)
    db = MariaDB(env, ip=env.ip(5), tls=(ca.certificate, *ca.issue(env.ip(5))))
    account = guide.replaced(guide.block(GUIDE, "The account:"), {"postern@localhost": "postern"})
    place = Guided(env, 1, account + "ALTER USER postern REQUIRE SSL;", {
        "db.example.org": env.ip(5), "/etc/postern/db-ca.pem": ca.certificate}, db)
    place.first_user()
    assert place.backend_login("joe@example.org", "sesame")[1] == "joe"
    assert not place.lets_in("joe@example.org", "Sesame")
