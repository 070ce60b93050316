"""auth_mysql: the connection to its database, and what logins outlive when that is slow, gone or not what it seems."""
import os
import shutil
import socket
import struct
import subprocess
import threading
import time

from certs import Authority
from harness import PATIENCE, eventually, weight
from peers import Listener
from real import MariaDB
from test_auth_file import NOT_NOW
from test_auth_mysql import PLAIN, TABLE, Place


def prepared(env, **options):
    """A database with the table."""
    db = MariaDB(env, **options)
    db.sql(TABLE)
    return db


# --- it goes, and comes again ---

def test_a_server_that_is_killed_comes_back_to_all(env):
    place = Place(env, {"joe": PLAIN})
    pids = place.helper_pids()
    for _ in range(2):
        assert place.lets_in("joe", "secret")
        place.db.kill()
        for _ in range(6):
            assert place.login("joe", "secret") == NOT_NOW
        place.db.start()
        eventually(lambda: place.lets_in("joe", "secret"), "the database is found again")
    place.postern.wait_log(r"auth_mysql .* cannot answer: connecting failed \(2002")
    place.postern.wait_log(r"\[notice\].*the database answers again", 2)
    assert place.helper_pids() == pids and "dbpass" not in place.postern.log()


def test_it_starts_without_its_database(env):
    """And is ready, and -t says that all is well; the log has a warning."""
    db = prepared(env)
    db.stop()
    place = Place(env, db=db)
    place.postern.wait_log(r"\[warn\].*auth_mysql .*connecting failed \(2002.*nobody can log in by it", 2)
    assert place.postern.run("-t")[0] == 0
    assert place.login("joe", "secret") == NOT_NOW
    place.postern.reload()
    db.start()
    place.add({"joe": PLAIN})
    eventually(lambda: place.lets_in("joe", "secret"), "the database is found")


def test_a_connection_that_is_gone_costs_no_login(env):
    """Killed while it was idle, by the server's own timeout, or with the server."""
    place = Place(env, {"joe": PLAIN}, helpers=1)
    for _ in range(3):
        assert place.lets_in("joe", "secret")
        number, = place.db.connections("postern")
        place.db.sql(f"KILL {number}")
        eventually(lambda: not place.db.connections("postern"), "it is gone")
        assert place.lets_in("joe", "secret")
    place.db.sql("SET GLOBAL wait_timeout = 1")
    number, = place.db.connections("postern")
    place.db.sql(f"KILL {number}")
    assert place.lets_in("joe", "secret")
    eventually(lambda: not place.db.connections("postern"), "it was idle for too long")
    assert place.lets_in("joe", "secret")
    place.db.stop()
    place.db.start()
    assert place.lets_in("joe", "secret")
    assert "cannot answer" not in place.postern.log()


LOCKING = ("SELECT password FROM users WHERE name = :user AND IF(:user = 'slow', GET_LOCK('gate', 100) + "
           "RELEASE_LOCK('gate'), 1) > 0")


class Gate:
    """A lock in the database that the login of "slow" waits for, until it is opened."""

    def __init__(self, place):
        self.place = place
        self.process = subprocess.Popen(
            [place.db.client, "--no-defaults", f"--socket={place.db.socket}", "--user=root", "-e",
             "SELECT GET_LOCK('gate', 0); SELECT SLEEP(1000)"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        eventually(lambda: place.db.sql("SELECT IS_USED_LOCK('gate')") != [["NULL"]], "the gate is shut")

    def waiting(self):
        return [row[0] for row in self.place.db.sql(
            "SELECT id FROM information_schema.processlist WHERE user = 'postern' AND state = 'User lock'")]

    def open(self):
        holder = self.place.db.sql("SELECT IS_USED_LOCK('gate')")[0][0]
        self.place.db.sql(f"KILL {holder}")
        self.process.wait(PATIENCE)


def test_a_query_that_is_slow_holds_up_nobody_else(env):
    place = Place(env, {"slow": PLAIN, "joe": PLAIN}, query=LOCKING)
    gate = Gate(place)
    slow = place.begin("slow", "secret")
    eventually(gate.waiting, "it waits")
    for _ in range(50):
        assert place.lets_in("joe", "secret")
    slow.quiet(0.01)
    gate.open()
    slow.expect(b"a OK backend LOGIN")


def test_a_query_that_takes_too_long_costs_its_login_only(env):
    place = Place(env, {"slow": PLAIN, "joe": PLAIN}, query=LOCKING, source="auth_timeout 1s;", helpers=1)
    gate, pids = Gate(place), place.helper_pids()
    for _ in range(2):
        assert place.login("slow", "secret") == NOT_NOW
        eventually(lambda: place.lets_in("joe", "secret"), "the helper has given up")
    assert place.helper_pids() == pids
    place.postern.wait_log(r"the query timed out|auth_mysql .* timed out")
    gate.open()
    assert place.lets_in("slow", "secret")


def test_a_server_that_dies_in_the_middle_of_a_login(env):
    place = Place(env, {"slow": PLAIN, "joe": PLAIN}, query=LOCKING, helpers=1)
    gate = Gate(place)
    slow = place.begin("slow", "secret")
    eventually(gate.waiting, "it waits")
    place.db.kill()
    slow.expect(NOT_NOW)
    gate.process.wait(PATIENCE)
    place.db.start()
    eventually(lambda: place.lets_in("joe", "secret"), "the database is found again")


# --- what keeps its connections ---

def test_reloads_leave_connections_alone(env):
    place = Place(env, {"joe": PLAIN}, helpers=3, level="notice")
    before = place.db.connections("postern")
    assert len(before) == 3
    for _ in range(30):
        place.postern.reload()
    assert place.db.connections("postern") == before and place.lets_in("joe", "secret")
    place.query = place.query.replace("WHERE", "WHERE 1 AND")
    place.postern.write(place.text())
    place.postern.reload()
    eventually(lambda: not set(before) & set(place.db.connections("postern")), "the old ones are gone")
    assert len(place.db.connections("postern")) == 3 and place.lets_in("joe", "secret")


def test_the_password_is_read_anew_when_its_file_changes(env):
    place = Place(env, {"joe": PLAIN}, password="wr0ng")
    place.postern.wait_log(r"\[warn\].*connecting failed \(1045: Access denied", 2)
    assert place.login("joe", "secret") == NOT_NOW
    env.write("dbpass", "dbpass\nnotes below it\n", 0o600)
    eventually(lambda: place.lets_in("joe", "secret"), "the new password")
    place.db.sql("ALTER USER postern IDENTIFIED BY 'next'")
    assert place.lets_in("joe", "secret")               # who is in stays in
    before = place.db.connections("postern")
    fresh = env.write("dbpass.new", "next", 0o600)
    os.rename(fresh, place.password_file)
    eventually(lambda: not set(before) & set(place.db.connections("postern")), "the next password is what is used")
    assert place.lets_in("joe", "secret") and len(place.db.connections("postern")) == 2
    assert "wr0ng" not in place.postern.log() and "dbpass" not in place.postern.log().replace(str(env.folder), "")


def test_a_password_file_without_a_password_is_none(env):
    place = Place(env, {"joe": PLAIN})
    for text in "", "\nsecond\n", "a\0b\n", "x" * 1025 + "\n":
        env.write("dbpass", text, 0o600)
        place.postern.wait_log(r"\[error\].*the password file of auth_mysql .* cannot be used.*stays in force", 2)
        assert place.lets_in("joe", "secret")
    place.postern.stop()
    status, said = place.postern.run("-t")
    assert status == 1 and "the password file of auth_mysql" in said and "xxx" not in said, said


# --- how it proves who it is ---

def test_sockets_that_know_who_asks_need_no_password(env):
    db = prepared(env)
    db.sql("CREATE USER nobody@localhost IDENTIFIED VIA unix_socket; GRANT SELECT ON mail.users TO nobody@localhost")
    place = Place(env, {"joe": PLAIN}, db=db, user="nobody", password=None)
    assert place.lets_in("joe", "secret") and len(db.connections("nobody")) == 2


def test_keys_of_ed25519_prove_who_asks(env):
    db = prepared(env, ip=env.ip(5))
    db.sql("INSTALL SONAME 'auth_ed25519'; "
           "CREATE USER modern IDENTIFIED VIA ed25519 USING PASSWORD('dbpass'); GRANT SELECT ON mail.users TO modern")
    place = Place(env, {"joe": PLAIN}, db=db, user="modern", at=env.ip(5))
    assert place.lets_in("joe", "secret") and len(db.connections("modern")) == 2


# --- TLS ---

TLS_QUERY = ("SELECT password, (SELECT variable_value FROM information_schema.session_status "
             "WHERE variable_name = 'Ssl_version') AS user FROM users WHERE name = :user")


def readable(path):
    """By the account of the helpers."""
    shutil.chown(path, "nobody")
    return path


def test_tls_is_verified(env):
    """By CA and name; what is not as it should be lets nobody in, and there is no way around it."""
    ca, other = Authority(env), Authority(env, "other")
    pair = ca.issue("db.example.com", env.ip(5))
    db = prepared(env, ip=env.ip(5), tls=(ca.certificate, *pair))
    on = "auth_mysql_ssl on;"
    place = Place(env, {"joe": PLAIN}, db=db, at=f"{env.ip(5)}:3306", query=TLS_QUERY, helpers=1,
                  source=f"{on} auth_mysql_ssl_trusted_certificate {ca.certificate};")
    assert place.backend_login("joe", "secret")[1] == "TLSv1.3"
    before = db.connections("postern")
    for _ in range(20):
        assert place.lets_in("joe", "secret")
    assert db.connections("postern") == before and len(before) == 1

    def with_source(source, at=env.ip(5)):
        place.source, place.at = source, at
        place.postern.write(place.text())
        place.postern.reload()
    with_source(f"{on} auth_mysql_ssl_trusted_certificate {other.certificate};")
    place.cannot_say("joe", "secret", "connecting failed (2026")
    with_source(on)                                     # the system's CAs do not know it
    place.cannot_say("joe", "secret", "connecting failed (2026")
    with_source(f"{on} auth_mysql_ssl_verify off;")
    assert place.backend_login("joe", "secret")[1] == "TLSv1.3"
    with_source("auth_mysql_ssl off;")
    assert place.lets_in("joe", "secret")
    # The right CA, and another name.
    db.stop()
    wrong = ca.issue("db.example.net")
    for path, option in zip(wrong, ("cert", "key")):
        shutil.copy(path, db.dir)
        shutil.chown(db.dir / path.name, "mysql")
        db.options = [f"--ssl-{option}={db.dir}/{path.name}" if o.startswith(f"--ssl-{option}=") else o
                      for o in db.options]
    db.start()
    with_source(f"{on} auth_mysql_ssl_trusted_certificate {ca.certificate};")
    place.cannot_say("joe", "secret", "connecting failed (2026")
    # No TLS at all.
    db.stop()
    db.options = [o for o in db.options if not o.startswith("--ssl-")] + ["--skip-ssl"]
    db.start()
    place.cannot_say("joe", "secret", "connecting failed (2026")
    assert not db.connections("postern")


def test_a_certificate_proves_who_asks(env):
    ca = Authority(env)
    db = prepared(env, ip=env.ip(5), tls=(ca.certificate, *ca.issue(env.ip(5))))
    db.sql("ALTER USER postern REQUIRE X509")
    certificate, key = ca.issue("postern.example.com")
    readable(key)
    tls = f"auth_mysql_ssl on; auth_mysql_ssl_trusted_certificate {ca.certificate};"
    place = Place(env, {"joe": PLAIN}, db=db, at=env.ip(5), source=tls)
    place.cannot_say("joe", "secret", "Access denied")
    place.source = f"{tls} auth_mysql_ssl_certificate {certificate}; auth_mysql_ssl_certificate_key {key};"
    place.postern.write(place.text())
    place.postern.reload()
    assert place.lets_in("joe", "secret")


# --- servers that are none ---

def packet(number, payload):
    return struct.pack("<I", len(payload))[:3] + bytes([number]) + payload


def greeting(tls=False):
    """Of a server of the protocol's version 10, which wants mysql_native_password."""
    able = 0xffffffff if tls else 0xffffffff & ~0x800
    return packet(0, b"\x0a8.0.99\0" + struct.pack("<I", 7) + b"12345678\0" +
                  struct.pack("<HBHH", able & 0xffff, 0x2d, 2, able >> 16) + b"\x15" + b"\0" * 10 +
                  b"123456789012\0" + b"mysql_native_password\0")


OK = b"\0\0\0\2\0\0\0"


class Impostor:
    """A server on port 3306 that says a few things, each when it has been told something, and then is silent."""

    def __init__(self, env, *says, trickle=False):
        self.heard, self.address = b"", (env.ip(6), 3306)
        self.says, self.trickle = says, trickle
        self.listener = env.keep(Listener(self.address, self.serve))

    def becomes(self, place, *says):
        """From now on it says this; by the time that has been heard, a login has failed."""
        before, self.says = self.listener.accepted, says
        eventually(lambda: place.login("joe", "secret") == NOT_NOW and self.listener.accepted > before, "an attempt")

    def serve(self, wire):
        try:
            for i, said in enumerate(self.says):
                if i > 0 and not self.hear(wire):
                    return
                wire.send(said)
            while self.trickle:
                wire.send(b"\x01")
                time.sleep(0.05)
            while self.hear(wire):
                pass
        except OSError:
            pass

    def hear(self, wire):
        more = wire.sock.recv(65536)
        self.heard += more
        return bool(more)


def meet(env, impostor, mail="", times=2):
    """Logins fail for now; helpers outlive that, and so do their passwords."""
    place = Place(env, db=MariaDBNowhere(), at=impostor.address[0], source=f"auth_timeout 2s; {mail}", helpers=1)
    pids = place.helper_pids()
    for _ in range(times):
        assert place.login("joe", "secret") == NOT_NOW
    time.sleep(0.2)
    assert place.helper_pids() == pids, place.postern.log()[-2000:]
    assert b"dbpass" not in impostor.heard and "dbpass" not in place.postern.log()
    return place


class MariaDBNowhere:
    """What stands in a Place for a database that is not there."""
    socket = "/nowhere"


@weight(12)
def test_a_server_that_is_silent_holds_no_helper(env):
    meet(env, Impostor(env)).postern.wait_log("connecting timed out")


@weight(12)
def test_a_server_that_is_silent_behind_its_greeting_holds_no_helper(env):
    meet(env, Impostor(env, greeting())).postern.wait_log("connecting timed out")


@weight(12)
def test_a_server_that_is_silent_in_its_handshake_holds_no_helper(env):
    meet(env, Impostor(env, greeting(tls=True)), "auth_mysql_ssl on;").postern.wait_log("connecting timed out")


@weight(12)
def test_a_server_that_is_silent_behind_the_login_holds_no_helper(env):
    meet(env, Impostor(env, greeting(), packet(2, OK)))


@weight(12)
def test_a_server_that_trickles_holds_no_helper(env):
    meet(env, Impostor(env, trickle=True))


def test_a_server_that_speaks_garbage_is_none(env):
    impostor = Impostor(env, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    place = meet(env, impostor, times=1)
    pids = place.helper_pids()
    for said in (b"\0\0\0\0", b"\xff\xff\xff\0" + b"x" * 70000, packet(0, b"\x0a"), packet(0, b"\x0a" + b"8" * 100),
                 packet(0, b"\xff\x10\x04Too many connections"), packet(0, b"\xff"), packet(7, b"\x0a8.0\0")):
        impostor.becomes(place, said)
    impostor.becomes(place, greeting(), packet(2, OK), packet(1, b"\xff\x01"))
    impostor.becomes(place, greeting(), packet(2, OK), packet(1, OK), packet(1, b"\0" * 12))
    impostor.becomes(place, greeting(), packet(2, OK), packet(1, OK), packet(1, b"\0\1\0\0\0\xff\xff\1\0\0\0\0"))
    assert place.helper_pids() == pids


def test_a_server_that_asks_for_the_password_in_clear_is_not_told(env):
    impostor = Impostor(env, greeting())
    place = meet(env, impostor, times=1)
    for plugin in b"mysql_clear_password\0", b"dialog\0\2Password: ", b"mysql_old_password\0":
        impostor.becomes(place, greeting(), packet(2, b"\xfe" + plugin), packet(4, OK))
    assert b"dbpass" not in impostor.heard


def test_a_server_that_asks_for_a_file_is_given_none(env):
    """The answer to the first statement: send me /etc/passwd."""
    impostor = Impostor(env, greeting(), packet(2, OK), packet(1, b"\xfb/etc/passwd"))
    meet(env, impostor)
    assert b"autocommit" in impostor.heard and b"root:" not in impostor.heard


class Path:
    """A way to the database that can be cut without anybody being told, as by a firewall that has forgotten us."""

    def __init__(self, env, target):
        self.address, self.target, self.cut, self.count = (env.ip(7), 3306), target, threading.Event(), 0
        env.keep(Listener(self.address, self.serve))

    def serve(self, wire):
        self.count += 1
        cut, out = self.cut, socket.create_connection(self.target)
        back = threading.Thread(target=self.carry, args=(out, wire.sock, cut), daemon=True)
        back.start()
        self.carry(wire.sock, out, cut)

    @staticmethod
    def carry(source, sink, cut):
        source.settimeout(None)
        try:
            while data := source.recv(65536):
                if not cut.is_set():
                    sink.sendall(data)
            if not cut.is_set():
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@weight(20)
def test_a_path_that_is_silently_cut_is_found_out(env):
    """After some idle seconds the server is asked first whether it is there; a new connection answers in time."""
    db = prepared(env, ip=env.ip(5))
    path = Path(env, db.address)
    place = Place(env, {"joe": PLAIN}, db=db, at=env.ip(7), helpers=1, source="auth_timeout 8s;")
    assert place.lets_in("joe", "secret") and path.count == 1
    time.sleep(10.5)
    assert place.lets_in("joe", "secret") and path.count == 1
    path.cut.set()
    path.cut = threading.Event()
    time.sleep(10.5)
    assert place.lets_in("joe", "secret") and path.count == 2
    assert "cannot answer" not in place.postern.log()
