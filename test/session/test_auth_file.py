"""auth_file: who is let in by a password file, and what its helper processes outlive."""
import base64
import ctypes
import hashlib
import hmac
import os
import re
import signal
import subprocess
import threading

from harness import PATIENCE, Wire, eventually, weight
from peers import Listener, imap_backend, pop3_backend
from real import program

LIBCRYPT = ctypes.CDLL("libcrypt.so.1")
LIBCRYPT.crypt.restype = LIBCRYPT.crypt_gensalt.restype = ctypes.c_char_p
LIBCRYPT.crypt_gensalt.argtypes = [ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_int]

REFUSED = re.compile(rb"a NO (\[AUTHENTICATIONFAILED\] )?.*")
NOT_NOW = b"a NO [UNAVAILABLE] Temporary failure, try again later."


def crypt(prefix, cost, password):
    """A hash of crypt(3)."""
    salt = LIBCRYPT.crypt_gensalt(prefix.encode(), cost, b"sixteen bytes of", 16)
    return LIBCRYPT.crypt(password.encode(), salt).decode()


def digest(name, password, salt=b"", encode=base64.b64encode):
    return encode(hashlib.new(name, password.encode() + salt).digest() + salt).decode()


SLOW = crypt("$2b$", 12, "slow")        # some 0.3 s of a processor


class Place:
    """A password file, an IMAP and a POP3 backend, and postern between them and its clients."""

    def __init__(self, env, users, server="", mail="", helpers=2, mode=0o600, challenges=False, **options):
        self.env, self.heard, self.path = env, [], env.write("users", users, mode)
        self.names = {2: "first", 3: "second"}
        for host in self.names:
            env.keep(Listener((env.ip(host), 143), self.imap))
            env.keep(Listener((env.ip(host), 110), lambda wire: pop3_backend(wire, on_command=self.heard.append)))
        env.keep(Listener((env.ip(2), 2143), self.imap))
        self.mail, self.server, self.helpers, self.challenges = mail, server, helpers, challenges
        self.postern = env.postern(self.text(), **options)

    def imap(self, wire):
        where = ":".join(map(str, wire.sock.getsockname())).encode()
        imap_backend(wire, capability="IMAP4rev1 LITERAL+", on_command=lambda line: self.heard.append((where, line)))

    def text(self):
        more = "" if "proxy_pass" in self.server + self.mail else f"proxy_pass {self.env.ip(2)};"
        imap, pop3 = ("cram-md5", "apop cram-md5") if self.challenges else ("", "")
        return f"""
    auth_file {self.path}; auth_helpers {self.helpers}; {more} {self.mail}
    server {{ listen {self.env.ip()}:143; protocol imap; imap_auth plain {imap}; {self.server} }}
    server {{ listen {self.env.ip()}:110; protocol pop3; pop3_auth plain {pop3}; {self.server} }}
"""

    def client(self, source=None, port=143):
        client = Wire.to((self.env.ip(), port), source)
        client.line()
        return client

    def begin(self, user, password, source=None):
        """An IMAP client that has sent its login."""
        client = self.client(source)
        client.send(b"a LOGIN {%d+}\r\n%s {%d+}\r\n%s\r\n" % (
            len(user.encode()), user.encode(), len(password.encode()), password.encode()))
        return client

    def login(self, user, password, source=None):
        """The answer to a login by IMAP."""
        client = self.begin(user, password, source)
        answer = client.line().rstrip(b"\r\n")
        client.close()
        return answer

    def cram(self, user, password):
        """The answer to a login by CRAM-MD5, by IMAP."""
        client = self.client()
        client.send(b"a AUTHENTICATE CRAM-MD5\r\n")
        salt = base64.b64decode(client.line()[2:])
        answer = f"{user} {hmac.new(password.encode(), salt, 'md5').hexdigest()}"
        client.send(base64.b64encode(answer.encode()) + b"\r\n")
        return client.line()

    def apop(self, user, password):
        client = Wire.to((self.env.ip(), 110))
        salt = client.line().split()[-1]
        client.send(f"APOP {user} {hashlib.md5(salt + password.encode()).hexdigest()}\r\n".encode())
        return client.line()

    def refuses(self, user, password, why=None):
        """The log says why. Returns what the client hears."""
        before = len(self.postern.log())
        answer = self.login(user, password)
        assert REFUSED.fullmatch(answer), (user, password, answer)
        if why:
            eventually(lambda: why in self.postern.log()[before:], f"{user!r}: {why!r} in the log")
        return answer

    def lets_in(self, user, password, source=None):
        return self.login(user, password, source) == b"a OK backend LOGIN"

    def backend_login(self, user, password):
        """(address, user, password) as the backend saw them."""
        del self.heard[:]
        assert self.lets_in(user, password), (user, self.postern.log()[-1000:])
        where, line = self.heard[0]
        words = [word.strip(b'"') for word in re.sub(rb"\{\d+\+?\}\r\n", b"", line).split()[2:4]]
        return (where.decode(), *(word.decode() for word in words))

    def slow_logins(self, count):
        """Keeps as many helpers busy."""
        return [self.begin("slow", "slow") for _ in range(count)]

    def helper_pids(self):
        return self.postern.children("auth_file")


SCHEMES = {
    "plain": "{PLAIN}secret",
    "cleartext": "{CLEARTEXT}secret",
    "lowercase": "{plain}secret",
    "plain_b64": "{PLAIN.b64}" + base64.b64encode(b"secret").decode(),
    "sha": "{SHA}" + digest("sha1", "secret"),
    "ssha": "{SSHA}" + digest("sha1", "secret", b"salt"),
    "sha256": "{SHA256}" + digest("sha256", "secret"),
    "sha256_hex": "{SHA256.HEX}" + hashlib.sha256(b"secret").hexdigest(),
    "sha256_by_length": "{SHA256}" + hashlib.sha256(b"secret").hexdigest(),
    "ssha256": "{SSHA256}" + digest("sha256", "secret", b"salt"),
    "sha512": "{SHA512}" + digest("sha512", "secret"),
    "ssha512": "{SSHA512}" + digest("sha512", "secret", b"salt"),
    "ssha512_hex": "{SSHA512.hex}" + (hashlib.sha512(b"secretsalt").digest() + b"salt").hex(),
    "ldap_md5": "{LDAP-MD5}" + digest("md5", "secret"),
    "plain_md5": "{PLAIN-MD5}" + hashlib.md5(b"secret").hexdigest(),
    "smd5": "{SMD5}" + digest("md5", "secret", b"salt"),
    "md5_crypt": "{MD5-CRYPT}" + crypt("$1$", 0, "secret"),
    "sha256_crypt": "{SHA256-CRYPT}" + crypt("$5$", 1000, "secret"),
    "sha512_crypt": "{SHA512-CRYPT}" + crypt("$6$", 1000, "secret"),
    "bcrypt": "{BLF-CRYPT}" + crypt("$2b$", 4, "secret"),
    "bcrypt_2y": "{BLF-CRYPT}" + crypt("$2y$", 4, "secret"),
    "yescrypt": "{CRYPT}" + crypt("$y$", 1, "secret"),
    "no_scheme": crypt("$y$", 1, "secret"),
}


def check_schemes(place):
    """The users are called as their schemes, and the password of all is "secret"."""
    wrong = [name for name in SCHEMES if not place.lets_in(name, "secret")]
    assert not wrong, f"refused: {wrong}"
    wrong = [(name, tried) for name in SCHEMES for tried in ("Secret", "secret ", "", SCHEMES[name])
             if place.lets_in(name, tried)]
    assert not wrong, f"let in: {wrong}"


def test_every_scheme_lets_in_who_knows_the_password(env):
    place = Place(env, "".join(f"{name}:{secret}\n" for name, secret in SCHEMES.items()))
    check_schemes(place)


def test_dovecot_makes_the_hashes_that_are_understood(env):
    """What `doveadm pw` prints goes into the file as it is."""
    config = env.write("doveadm.conf", "")
    users = {}
    for scheme in "SSHA256", "SHA512", "SSHA512", "SHA512-CRYPT", "SHA256-CRYPT", "BLF-CRYPT", "PLAIN-MD5", "CRYPT":
        done = subprocess.run([program("doveadm"), "-c", str(config), "pw", "-s", scheme, "-p", "secret"],
                              stdout=subprocess.PIPE, text=True, check=True)
        users[scheme] = done.stdout.strip()
    place = Place(env, "".join(f"{name}:{secret}:1:1:gecos:/home:/bin/sh:\n" for name, secret in users.items()))
    wrong = [name for name in users if not place.lets_in(name, "secret")]
    assert not wrong, f"refused: {[users[name] for name in wrong]}"


def test_who_is_refused(env):
    """All of them hear the same; the log says why."""
    place = Place(env, f"""# a comment
joe:{{PLAIN}}secret
locked:!{{PLAIN}}secret
starred:*
nothing::
empty:{{PLAIN}}
bare
nologin:{{PLAIN}}secret::::::nologin
far:{{PLAIN}}secret::::::allow_nets=192.0.2.0/24,2001:db8::/32
pop:{{PLAIN}}secret::::::protocols=pop3
""")
    cases = [
        ("joe", "wrong", "wrong password"),
        ("Joe", "secret", "unknown user"),
        ("joe ", "secret", "unknown user"),
        ("nobody", "secret", "unknown user"),
        ("# a comment", "", "unknown user"),
        ("locked", "secret", "the user is locked"),
        ("locked", "!{PLAIN}secret", "the user is locked"),
        ("starred", "*", "the user is locked"),
        ("nothing", "", None),
        ("nothing", "x", "the user is locked"),
        ("empty", "x", "the user is locked"),
        ("bare", "x", "the user is locked"),
        ("nologin", "secret", "the user has nologin"),
        ("far", "secret", "client address is not in allow_nets"),
        ("pop", "secret", "protocol is not in protocols"),
        ("joe", "x" * 1025, "password too long"),
    ]
    answers = {place.refuses(*case) for case in cases}
    assert len(answers) == 1, answers
    assert not place.heard, "the backend was asked"
    assert "secret" not in place.postern.log()


def test_nologin_says_its_reason(env):
    place = Place(env, "joe:{PLAIN}secret::::::nologin reason=Moved%%away\n")
    assert place.login("joe", "secret").endswith(b"Moved%away")
    assert b"Moved" not in place.login("joe", "wrong")


def test_allow_nets_and_protocols_let_in_whom_they_name(env):
    place = Place(env, f"joe:{{PLAIN}}secret::::::allow_nets={env.ip(9)},192.0.2.0/24 protocols=imap,smtp\n"
                  f"pop:{{PLAIN}}secret::::::protocols=pop3\n")
    assert place.lets_in("joe", "secret", source=env.ip(9))
    assert not place.lets_in("joe", "secret", source=env.ip(8))
    for user, wanted in ("pop", b"+OK backend PASS\r\n"), ("joe", b"-ERR"):
        client = place.client(env.ip(9), 110)
        client.send(f"USER {user}\r\nPASS secret\r\n".encode())
        client.line()
        assert client.line().startswith(wanted), user


def test_what_the_backend_is_told(env):
    place = Place(env, f"""
plain:{{PLAIN}}secret
host:{{PLAIN}}secret::::::host={env.ip(3)}
port:{{PLAIN}}secret::::::host={env.ip(2)} port=2143
both:{{PLAIN}}secret::::::host={env.ip(2)}:2143
user:{{PLAIN}}secret::::::user=other
dest:{{PLAIN}}secret::::::user=other destuser=another@example.com
pass:{{PLAIN}}secret::::::pass=master%%100
named:{{PLAIN}}secret::::::proxy=y host=localhost port=9
trailing:{{PLAIN}}secret:1000:1000:Joe:/home/joe:/bin/sh:userdb_mail=maildir:~/x host={env.ip(3)} foo
""")
    first, second, other = f"{env.ip(2)}:143", f"{env.ip(3)}:143", f"{env.ip(2)}:2143"
    wanted = {
        "plain": (first, "plain", "secret"),
        "host": (second, "host", "secret"),
        "port": (other, "port", "secret"),
        "both": (other, "both", "secret"),
        "user": (first, "other", "secret"),
        "dest": (first, "another@example.com", "secret"),
        "pass": (first, "pass", "master%100"),
        "trailing": (second, "trailing", "secret"),
    }
    got = {user: place.backend_login(user, "secret") for user in wanted}
    assert got == wanted
    # Nobody listens there; but it was asked for by its name, and that was tried.
    assert place.login("named", "secret") == NOT_NOW
    place.postern.wait_log(r"upstream: 127\.0\.0\.1:9")


def test_challenges_are_answered_from_plain_secrets(env):
    place = Place(env, "joe:{PLAIN}secret\nhashed:{SHA256}" + digest("sha256", "secret") + "\n",
                  challenges=True)
    for user, wanted in ("joe", b"a OK backend LOGIN"), ("hashed", b"a NO"):
        assert place.cram(user, "secret").startswith(wanted), user
    assert place.apop("joe", "secret") == b"+OK backend PASS\r\n"
    assert b"PASS secret\r\n" in place.heard


# --- the file changes ---

def replace(place, text):
    """A new file takes the old one's place, as editors do it."""
    fresh = place.env.write("users.new", text, 0o600)
    os.rename(fresh, place.path)


def overwrite(place, text):
    """The same file, written anew."""
    with open(place.path, "w", encoding="utf-8") as file:
        file.write(text)


def append(place, text):
    with open(place.path, "a", encoding="utf-8") as file:
        file.write(text)


def change_is_seen(env, change):
    place = Place(env, "joe:{PLAIN}secret\n")
    pids = place.helper_pids()
    assert place.lets_in("joe", "secret")
    client = place.begin("joe", "secret")
    client.expect(b"a OK backend LOGIN")
    change(place, "ann:{PLAIN}secret\n")
    eventually(lambda: place.lets_in("ann", "secret"), "the new user is let in")
    place.postern.wait_log(r"users\" read, \d users", 2 * 2)
    assert place.lets_in("joe", "secret") == (change is append)
    client.send(b"b NOOP\r\n")
    client.expect(b"b OK backend NOOP")
    assert place.helper_pids() == pids


def test_a_file_that_another_replaces_is_read(env):
    change_is_seen(env, replace)


def test_a_file_that_is_written_in_place_is_read(env):
    change_is_seen(env, overwrite)


def test_a_line_that_is_appended_is_read(env):
    change_is_seen(env, append)


def test_a_link_that_is_turned_is_read(env):
    """The file is a symbolic link into another folder, as secrets of containers are."""
    env.write("one/users", "joe:{PLAIN}secret\n", 0o600)
    env.write("two/users", "ann:{PLAIN}secret\n", 0o600)
    os.symlink("one", env.path("now"))
    os.symlink("now/users", env.path("linked"))
    place = Place(env, "", mail=f"proxy_pass {env.ip(2)};")
    place.path = env.path("linked")
    place.postern.write(place.text())
    place.postern.reload()
    assert place.lets_in("joe", "secret")
    os.symlink("two", env.path("next"))
    os.rename(env.path("next"), env.path("now"))
    eventually(lambda: place.lets_in("ann", "secret"), "the new user is let in")


def test_a_bad_line_keeps_what_was_read_before(env):
    place = Place(env, "joe:{PLAIN}secret\n")
    for change in replace, overwrite:
        before = len(place.postern.log())
        change(place, "ann:{PLAIN}secret\n\nbob:{ROT13}frperg\n")
        eventually(lambda: place.postern.log()[before:].count("unknown password scheme in ") == 2, "two complaints")
        line = [l for l in place.postern.log()[before:].splitlines() if "unknown password" in l][0]
        assert "[error]" in line and f"{place.path}:3," in line, line
        assert "frperg" not in place.postern.log()
        assert place.lets_in("joe", "secret") and not place.lets_in("ann", "secret")
    replace(place, "ann:{PLAIN}secret\n")
    eventually(lambda: place.lets_in("ann", "secret"), "the mended file is read")


def test_a_file_that_is_gone_keeps_what_was_read_before(env):
    place = Place(env, "joe:{PLAIN}secret\n")
    place.path.unlink()
    assert place.lets_in("joe", "secret")
    replace(place, "ann:{PLAIN}secret\n")
    eventually(lambda: place.lets_in("ann", "secret"), "the new file is read")


def test_helpers_that_die_while_the_file_is_bad_come_back_with_the_good_one(env):
    """Also when the bad one was written over the good one in place: helpers have a copy of that."""
    place = Place(env, "joe:{PLAIN}secret\n")
    for change in replace, overwrite:
        before = place.postern.log().count("unknown password scheme")
        change(place, "bob:{ROT13}frperg\n\n" + change.__name__)
        place.postern.wait_log("unknown password scheme", before + 2)
        pids = place.helper_pids()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(place.helper_pids()) == 2 and not set(pids) & set(place.helper_pids()), "new helpers")
        assert place.lets_in("joe", "secret") and not place.lets_in("bob", "secret")
        place.postern.wait_log(r"\[error\].*unknown password scheme.*stays in force", before + 4)
    replace(place, "bob:{PLAIN}secret\n")
    eventually(lambda: place.lets_in("bob", "secret"), "the mended file is read")


BAD_LINES = {
    "joe:{ROT13}secret": "unknown password scheme",
    "joe:{PLAINsecret": "password scheme without",
    "joe:{SHA256}xx": "password is not in its encoding",
    "joe:{SHA256}AAAA": "password digest of a wrong length",
    "joe:{PLAIN}secret::::::host=a/b": "invalid host",
    "joe:{PLAIN}secret::::::port=99999": "invalid port",
    "joe:{PLAIN}secret::::::port=143": "port without host",
    "joe:{PLAIN}secret::::::allow_nets=10.0.0.0/33": "invalid network",
    "joe:{PLAIN}secret::::::allow_nets=": "a key has no value",
    "joe:{PLAIN}secret::::::protocols=nntp": "unknown protocol",
    "joe:{PLAIN}secret::::::user=%n": "must be written",
    "joe:{PLAIN}secret::::::nopassword=y": "not supported",
    "joe:{PLAIN}sec\x01ret": "control character in line",
    ":{PLAIN}secret": "no user name",
    "ann:{PLAIN}secret": "user is there twice",
}


def test_a_bad_file_does_not_start(env):
    place = Place(env, "ann:{PLAIN}secret\n")
    place.postern.stop()
    for line, why in BAD_LINES.items():
        overwrite(place, f"ann:{{PLAIN}}secret\n{line}\n")
        status, said = place.postern.run()
        assert status == 1 and why in said and f"{place.path}:2" in said, (line, status, said)
        assert not place.postern.pid_path.exists()
    for text in "", "# nobody yet\n":       # but a file without users is one
        overwrite(place, text)
        place.postern.start()
        assert not place.lets_in("ann", "secret")
        place.postern.stop()


def test_a_world_readable_file_is_warned_of(env):
    place = Place(env, "joe:{PLAIN}secret\n", mode=0o644)
    assert place.lets_in("joe", "secret")
    status, said = place.postern.run("-t")
    assert status == 0 and re.search(rf'\[warn\] "{place.path}" holds secrets and everybody may read it', said), said
    assert said.count("everybody") == 1, said
    place.postern.reload()
    place.postern.wait_log(r"\[warn\].*everybody may read it")
    place.path.chmod(0o600)
    assert "everybody" not in place.postern.run("-t")[1]
    os.chmod(env.write("users.new", "ann:{PLAIN}secret\n"), 0o644)
    os.rename(env.path("users.new"), place.path)
    place.postern.wait_log(r"\[warn\].*everybody may read it", 2)
    eventually(lambda: place.lets_in("ann", "secret"), "it is used, for all that")


def test_a_missing_file_does_not_start(env):
    place = Place(env, "joe:{PLAIN}secret\n")
    place.postern.stop()
    place.path.unlink()
    for more in [], ["-t"]:
        status, said = place.postern.run(*more)
        assert status == 1 and f"\"{place.path}\" failed (2: No such file" in said, said


# --- what helpers outlive ---

def test_a_helper_that_is_killed_costs_only_the_login_it_had(env):
    place = Place(env, f"joe:{{PLAIN}}secret\nslow:{{BLF-CRYPT}}{crypt('$2b$', 15, 'slow')}\n", helpers=1)
    idle = place.begin("joe", "secret")
    idle.expect(b"a OK backend LOGIN")
    pid, = place.helper_pids()
    busy = place.begin("slow", "slow")
    eventually(lambda: cpu(pid) > 5, "the helper is at work")
    waiting = place.begin("joe", "secret")
    os.kill(pid, signal.SIGKILL)
    busy.expect(NOT_NOW)
    waiting.expect(b"a OK backend LOGIN")
    idle.send(b"b NOOP\r\n")
    idle.expect(b"b OK backend NOOP")
    fresh, = eventually(place.helper_pids, "a new helper")
    assert fresh != pid
    place.postern.wait_log(f"helper process {pid} exited on signal 9")
    place.postern.wait_log("ended without an answer")
    busy.send(b"c NOOP\r\n")            # and that session is still there
    busy.expect(b"c OK completed")


def cpu(pid):
    """Ticks that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        return int(stat.read().rpartition(")")[2].split()[11])


@weight(5)
def test_a_helper_that_is_killed_in_a_burst_costs_one_login_at_most(env):
    place = Place(env, f"slow:{{BLF-CRYPT}}{crypt('$2b$', 7, 'slow')}\n", workers=2, level="error",
                  events="worker_connections 2048;")
    victim, other = place.helper_pids()
    clients = place.slow_logins(200)
    eventually(lambda: cpu(victim) > 10, "the helper is at work")
    os.kill(victim, signal.SIGKILL)
    answers = [client.line() for client in clients]
    assert answers.count(b"a OK backend LOGIN\r\n") >= len(clients) - 1, answers
    assert set(answers) <= {b"a OK backend LOGIN\r\n", NOT_NOW + b"\r\n"}, set(answers)
    fresh = eventually(lambda: len(place.helper_pids()) == 2 and place.helper_pids(), "two helpers again")
    assert other in fresh and victim not in fresh


def test_a_slow_hash_stalls_nobody_else(env):
    """One helper computes for minutes; logins by the other, dialogues and relays go on."""
    place = Place(env, f"joe:{{PLAIN}}secret\nslow:{{BLF-CRYPT}}{crypt('$2b$', 4, 'x')[:4]}"
                  f"20{crypt('$2b$', 4, 'x')[6:]}\n", helpers=2)
    idle = place.begin("joe", "secret")
    idle.expect(b"a OK backend LOGIN")
    busy, = place.slow_logins(1)
    eventually(lambda: any(cpu(pid) > 5 for pid in place.helper_pids()), "a helper is at work")
    for _ in range(20):
        assert place.lets_in("joe", "secret")
    idle.send(b"b NOOP\r\n")
    idle.expect(b"b OK backend NOOP")
    busy.close()


def test_a_hash_that_is_too_slow_is_a_temporary_failure(env):
    place = Place(env, f"slow:{{BLF-CRYPT}}{crypt('$2b$', 4, 'x')[:4]}20{crypt('$2b$', 4, 'x')[6:]}\n",
                  mail="auth_timeout 1s;", helpers=1)
    assert place.login("slow", "slow") == NOT_NOW
    place.postern.wait_log(r"auth_file .*users timed out")


@weight(25)
def test_a_burst_of_slow_logins_is_let_in_to_the_last(env):
    """1,000 at once, two workers, two helpers, 10 ms a hash: nobody is refused before the deadline."""
    place = Place(env, f"slow:{{BLF-CRYPT}}{crypt('$2b$', 7, 'slow')}\n", workers=2, level="error",
                  events="worker_connections 4096;", main="worker_rlimit_nofile 8192;")
    clients = place.slow_logins(1000)
    for client in clients:
        client.sock.settimeout(60)
    answers = [client.line() for client in clients]
    assert set(answers) == {b"a OK backend LOGIN\r\n"}, set(answers)


def test_a_reload_leaves_helpers_alone_unless_the_source_changed(env):
    place = Place(env, "joe:{PLAIN}secret\n")
    pids = place.helper_pids()
    assert len(pids) == 2
    busy = threading.Thread(target=lambda: [place.lets_in("joe", "secret") for _ in range(50)])
    busy.start()
    place.postern.reload()
    place.postern.write(place.text() + "timeout 50s;")
    place.postern.reload()
    assert place.helper_pids() == pids and place.lets_in("joe", "secret")
    place.helpers = 3
    place.postern.write(place.text())
    place.postern.reload()
    eventually(lambda: len(place.helper_pids()) == 3 and not set(pids) & set(place.helper_pids()), "new helpers alone")
    assert place.lets_in("joe", "secret")
    busy.join(PATIENCE)


def test_a_login_under_way_outlives_a_reload(env):
    """Whether the reload keeps its helpers or replaces them."""
    place = Place(env, f"slow:{{BLF-CRYPT}}{crypt('$2b$', 13, 'slow')}\n")
    for place.helpers in 2, 3:
        pids = place.helper_pids()
        before = {pid: cpu(pid) for pid in pids}
        busy = place.slow_logins(3)
        eventually(lambda: any(cpu(pid) > before[pid] + 2 for pid in pids), "a helper is at work")
        place.postern.write(place.text())
        place.postern.reload()
        for client in busy:
            client.expect(b"a OK backend LOGIN")
            client.close()
    eventually(lambda: len(place.helper_pids()) == 3, "the old helpers are gone")


def test_what_is_no_file_is_refused(env):
    place = Place(env, "joe:{PLAIN}secret\n")
    os.mkfifo(env.path("fifo"))
    for path in env.path("fifo"), env.folder, "/dev/null":
        place.postern.config.write_text(place.postern.config.read_text().replace(str(place.path), str(path)))
        place.path = path
        status, said = place.postern.run("-t")
        assert status == 1 and f'"{path}" is not a file' in said, said


@weight(5)
def test_a_large_file_is_read_while_logins_go_on(env):
    def users(word):
        return "".join(f"user{i}@example.com:{{PLAIN}}{word}{i}\n" for i in range(200000))
    place = Place(env, users("old"))
    assert place.lets_in("user0@example.com", "old0") and place.lets_in("user199999@example.com", "old199999")
    replace(place, users("new"))
    eventually(lambda: place.lets_in("user0@example.com", "old0") + place.lets_in("user0@example.com", "new0") and
               place.postern.log().count("read, 200000 users") == 4, "the new file")
    assert place.lets_in("user199999@example.com", "new199999") and not place.lets_in("user0@example.com", "old0")


def test_a_reload_with_a_bad_source_changes_nothing(env):
    place = Place(env, "joe:{PLAIN}secret\n")
    pids, workers = place.helper_pids(), place.postern.children()
    other = env.write("other", "joe:{ROT13}secret\n", 0o600)
    place.postern.write(place.text().replace(str(place.path), str(other)))
    os.kill(place.postern.pid, signal.SIGHUP)
    place.postern.wait_log(f"unknown password scheme in {other}:1")
    place.postern.wait_log("reload failed, the configuration in force is kept")
    eventually(lambda: place.helper_pids() == pids and place.postern.children() == workers, "the new ones are gone")
    assert place.lets_in("joe", "secret")


def test_the_log_of_helpers_follows_usr1(env):
    place = Place(env, "joe:{PLAIN}secret\n", level="info")
    place.postern.wait_log(r"auth_file \".*users\" read, 1 users", 2)
    os.rename(place.postern.log_path, env.path("error.log.1"))
    place.postern.kill(signal.SIGUSR1)
    eventually(place.postern.log_path.exists, "the new log")
    eventually(lambda: "reopen" in place.postern.log() + env.path("error.log.1").read_text(), "it is noted")
    append(place, "ann:{PLAIN}secret\n")
    place.postern.wait_log(r"auth_file \".*users\" read, 2 users", 2)
    assert "2 users" not in env.path("error.log.1").read_text()


def test_servers_with_files_of_their_own_do_not_mix(env):
    """The same name in two files is two users."""
    other = env.write("other", "joe:{PLAIN}other\n", 0o600)
    place = Place(env, "joe:{PLAIN}secret\n",
                  mail=f"server {{ listen {env.ip()}:1143; protocol imap; auth_file {other}; }}")
    for port, password, right in (143, "secret", True), (143, "other", False), (1143, "other", True), (1143, "secret", False):
        client = place.client(port=port)
        client.send(f"a LOGIN joe {password}\r\n".encode())
        assert client.line().startswith(b"a OK" if right else b"a NO"), (port, password)


def test_helpers_end_with_their_master(env):
    place = Place(env, "joe:{PLAIN}secret\n")
    pids = place.helper_pids() + place.postern.children()
    os.kill(place.postern.pid, signal.SIGKILL)
    eventually(lambda: not any(os.path.exists(f"/proc/{pid}/exe") and alive(pid) for pid in pids), "they end")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
