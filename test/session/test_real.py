"""Real clients read and send mail through Postern, at a real Dovecot and a real Postfix."""
import contextlib
import email
import hashlib
import imaplib
import os
import poplib
import re
import shutil
import signal
import smtplib
import subprocess

from harness import Wire, eventually, netns, weight
from peers import AuthHttp, accept
from real import Dovecot, Postfix, program

MESSAGE = b"From: a@example.com\r\nTo: joe@example.com\r\nSubject: hello\r\nMessage-Id: <%d@example.com>\r\n\r\n"
USERS = {"joe": "secret", "ann@example.com": 'p w"\\%{3}'}


def message(number=1, body=b"This is the text.\r\n"):
    return MESSAGE % number + body


def large(size, seed=1):
    """Lines of hexadecimal digits, some beginning with a dot, `size` bytes or a few more."""
    block = b"".join(b"." * (i % 7 == 0) + hashlib.sha256(b"%d %d" % (seed, i)).hexdigest().encode() + b"\r\n"
                     for i in range(997))
    return block * (size // len(block) + 1)


class House:
    """Dovecot and Postfix as backends, Postern in front of them, users in a file."""

    def __init__(self, env, postfix=None, smtp="", more="", users=None, **options):
        self.env = env
        self.dovecot = Dovecot(env, env.ip(2), USERS)
        self.postfix = None
        if postfix is not None:
            self.postfix = Postfix(env, env.ip(3), sasl=self.dovecot.auth_socket, **postfix)
        users = users or "".join(f"{user}:{{PLAIN}}{password}\n" for user, password in USERS.items())
        self.users = env.write("users", users, 0o600)
        self.ip = env.ip()
        self.postern = env.postern(f"""
    auth_file {self.users};
    server {{ listen {self.ip}:143; protocol imap; proxy_pass {env.ip(2)}; imap_auth plain cram-md5; {more} }}
    server {{ listen {self.ip}:110; protocol pop3; proxy_pass {env.ip(2)}; pop3_auth plain apop cram-md5; {more} }}
    server {{ listen {self.ip}:587; protocol smtp; proxy_pass {env.ip(3)}; {smtp or "smtp_auth plain login cram-md5;"} }}
""", level="info", **options)

    def run(self, *command, text=None, status=0):
        """Runs a client to its end; returns what it printed."""
        done = subprocess.run([program(command[0]), *command[1:]], input=text, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=90, env={**os.environ, "HOME": str(self.env.folder)})
        assert status is None or done.returncode == status, (command, done.returncode, done.stdout.decode(errors="replace"))
        return done.stdout

    def imap(self, user="joe", password="secret"):
        client = imaplib.IMAP4(self.ip, 143, timeout=60)
        client.login(user, password)
        return client

    def smtp(self):
        return smtplib.SMTP(self.ip, 587, "client.example.com", timeout=60)


# --- reading ---

def test_curl_reads_imap(env):
    house = House(env)
    house.dovecot.deliver("joe", message())
    got = house.run("curl", "-s", "-u", "joe:secret", f"imap://{house.ip}/INBOX;MAILINDEX=1")
    assert got == message()
    for options in ["AUTH=PLAIN"], ["AUTH=CRAM-MD5"], ["AUTH=PLAIN", "--sasl-ir"]:
        got = house.run("curl", "-s", "-u", "joe:secret", "--login-options", *options, f"imap://{house.ip}/INBOX;MAILINDEX=1")
        assert got == message(), options
    house.run("curl", "-s", "-u", "joe:wrong", f"imap://{house.ip}/INBOX;MAILINDEX=1", status=67)


def test_curl_reads_pop3(env):
    house = House(env)
    house.dovecot.deliver("joe", message())
    for options in [], ["AUTH=PLAIN"], ["AUTH=PLAIN", "--sasl-ir"], ["AUTH=CRAM-MD5"], ["AUTH=+APOP"]:
        login = ["--login-options"] if options else []
        got = house.run("curl", "-s", "-u", "joe:secret", *login, *options, f"pop3://{house.ip}/1")
        assert got == message(), options
    house.run("curl", "-s", "-u", "joe:wrong", f"pop3://{house.ip}/1", status=67)


def test_imaplib_works_with_a_mailbox(env):
    house = House(env)
    client = house.imap()
    assert "UIDPLUS" in client.capabilities
    assert client.create("Sent")[0] == "OK"
    assert client.append("INBOX", r"(\Seen)", None, message(7))[0] == "OK"
    assert client.select("INBOX") == ("OK", [b"1"])
    assert client.fetch("1", "(RFC822)")[1][0][1] == message(7)
    assert client.search(None, "SUBJECT", "hello") == ("OK", [b"1"])
    assert client.copy("1", "Sent")[0] == "OK" and client.store("1", "+FLAGS", r"(\Deleted)")[0] == "OK"
    assert client.expunge() == ("OK", [b"1"])
    assert client.logout()[0] == "BYE"
    house.postern.wait_log("proxied session done")


def test_a_password_of_any_characters_arrives(env):
    """By LOGIN quoted, by PLAIN, and by CRAM-MD5, at IMAP and POP3."""
    house = House(env)
    user, password = list(USERS.items())[1]
    client = house.imap(user, password)
    client.logout()
    client = imaplib.IMAP4(house.ip, 143, timeout=20)
    client.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
    client.logout()
    client = imaplib.IMAP4(house.ip, 143, timeout=20)
    client.login_cram_md5(user, password)
    client.logout()
    client = poplib.POP3(house.ip, 110, timeout=20)
    client.user(user)
    client.pass_(password)
    client.quit()
    assert house.dovecot.log().count(f"Login: user=<{user}>") == 4
    assert password not in house.postern.log()


def test_imaplib_hears_why_it_is_refused_and_may_try_again(env):
    house = House(env)
    client = imaplib.IMAP4(house.ip, 143, timeout=20)
    with contextlib.suppress(imaplib.IMAP4.error):
        client.login("joe", "wrong")
        raise AssertionError("let in")
    client.login("joe", "secret")
    client.logout()


def test_a_backend_that_refuses_leaves_the_client_its_dialogue(env):
    """The gateway knows the user, Dovecot does not."""
    house = House(env, users="joe:{PLAIN}secret\neve:{PLAIN}secret\n")
    client = imaplib.IMAP4(house.ip, 143, timeout=20)
    with contextlib.suppress(imaplib.IMAP4.error):
        client.login("eve", "secret")
        raise AssertionError("let in")
    client.login("joe", "secret")
    assert client.select()[0] == "OK"
    client.logout()
    house.postern.wait_log("eve")


def test_poplib_reads_and_deletes(env):
    house = House(env)
    for number in 1, 2, 3:
        house.dovecot.deliver("joe", message(number))
    client = poplib.POP3(house.ip, 110, timeout=20)
    assert b"POP3 ready" in client.getwelcome()
    client.apop("joe", "secret")
    assert client.stat() == (3, 3 * len(message(1)))
    lines = b"\r\n".join(client.retr(2)[1]) + b"\r\n"
    assert lines in [message(n) for n in (1, 2, 3)]
    client.dele(1)
    client.quit()
    client = poplib.POP3(house.ip, 110, timeout=20)
    client.user("joe")
    client.pass_("secret")
    assert client.stat()[0] == 2
    client.quit()


def test_mbsync_mirrors_a_mailbox(env):
    house = House(env)
    for number in range(20):
        house.dovecot.deliver("joe", message(number, large(2000, number)))
    inbox = env.path("mirror/INBOX")
    for sub in "cur", "new", "tmp":
        (inbox / sub).mkdir(parents=True)
    config = env.write("mbsyncrc", f"""
IMAPAccount house
Host {house.ip}
User joe
Pass secret
SSLType None
AuthMechs LOGIN PLAIN

IMAPStore far
Account house

MaildirStore near
Path {env.path("mirror")}/
Inbox {inbox}

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Sync All
""", 0o600)
    house.run("mbsync", "-c", str(config), "-a")
    mirrored = [path for sub in ("cur", "new") for path in (inbox / sub).iterdir()]
    assert len(mirrored) == 20
    # And back: what is put there appears at Dovecot.
    (inbox / "new" / "1.new.test").write_bytes(message(99).replace(b"\r\n", b"\n"))
    house.run("mbsync", "-c", str(config), "-a")
    client = house.imap()
    assert client.select() == ("OK", [b"21"])
    client.logout()


def test_fetchmail_collects(env):
    house = House(env)
    for protocol in "imap", "pop3", "apop":
        for number in range(5):
            house.dovecot.deliver("joe", message(number))
        out = env.path(f"fetched.{protocol}")
        config = env.write("fetchmailrc", f"""
poll {house.ip} protocol {protocol} auth password user joe password secret
    sslproto '' mda "cat >> {out}" fetchall
""", 0o600)
        house.run("fetchmail", "-f", str(config), "--nosyslog", "--pidfile", str(env.path("fetchmail.pid")))
        assert out.read_bytes().count(b"Subject: hello") == 5


def test_idle_hears_of_a_message_at_once(env):
    house = House(env)
    house.dovecot.deliver("joe", message(1))
    client = Wire.to((house.ip, 143))
    client.line()
    client.send(b"a LOGIN joe secret\r\n")
    while not client.line().startswith(b"a OK"):
        pass
    client.send(b"b SELECT INBOX\r\nc IDLE\r\n")
    while not client.line().startswith(b"+ "):
        pass
    house.dovecot.deliver("joe", message(2))
    until(client, b"* 2 EXISTS")
    house.postern.reload()          # the old worker keeps it
    house.dovecot.deliver("joe", message(3))
    until(client, b"* 3 EXISTS")
    client.send(b"DONE\r\nd LOGOUT\r\n")
    until(client, b"c OK")
    until(client, b"d OK")
    client.expect_end()


def until(wire, begin):
    """Reads up to a line that begins so."""
    while True:
        line = wire.line()
        assert line, f"the end came before {begin!r}"
        if line.startswith(begin):
            return line


# --- sending ---

SUBMISSION = "proxy_smtp_auth on; smtp_auth plain login cram-md5; smtp_capabilities 8BITMIME \"SIZE 30000000\" PIPELINING;"


def test_submission_logs_in_at_postfix(env):
    """smtplib by each mechanism: Postfix sees the client's address by XCLIENT and checks the password itself."""
    house = House(env, postfix={"restrictions": "permit_sasl_authenticated, reject"}, smtp=SUBMISSION)
    for i, mechanism in enumerate(("auth_plain", "auth_login", "auth_cram_md5"), 1):
        with smtplib.SMTP(house.ip, 587, "client.example.com", timeout=20, source_address=(env.ip(9), 0)) as client:
            client.ehlo()
            client.user, client.password = "joe", "secret"
            client.auth(mechanism[5:].replace("_", "-"), getattr(client, mechanism))
            assert client.sendmail("joe@example.com", ["ann@example.com", "bob@example.com"], message(i)) == {}
    texts = house.postfix.messages(6)
    assert all(b"client.example.com" in text and env.ip(9).encode() in text for text in texts), texts[0]
    assert len(re.findall(rf"client=.*\[{env.ip(9)}\].*sasl_username=joe", house.postfix.log())) == 3, house.postfix.log()


def test_xclient_names_the_user(env):
    """proxy_smtp_auth off: XCLIENT tells Postfix who it is, and that is enough for it."""
    house = House(env, postfix={"restrictions": "permit_sasl_authenticated, reject"}, smtp="xclient on; smtp_auth login plain;")
    user, password = list(USERS.items())[1]
    with smtplib.SMTP(house.ip, 587, "client.example.com", timeout=20, source_address=(env.ip(9), 0)) as client:
        client.login(user, password)
        assert client.sendmail("joe@example.com", ["ann@example.com"], message()) == {}
    text, = house.postfix.messages(1)
    received = email.message_from_bytes(text)["Received"]
    assert env.ip(9) in received and "client.example.com" in received, received
    assert re.search(rf"client=.*\[{env.ip(9)}\].*sasl_username={user}", house.postfix.log()), house.postfix.log()


@netns
def test_xclient_takes_the_address_of_an_ipv6_client(env):
    house = House(env, postfix={"restrictions": "permit_sasl_authenticated, reject", "more": "inet_protocols = all"},
                  smtp="listen [::1]:587; xclient on;")
    with smtplib.SMTP("::1", 587, "client.example.com", timeout=20) as client:
        client.login("joe", "secret")
        assert client.sendmail("joe@example.com", ["ann@example.com"], message()) == {}
    assert re.search(r"client=.*\[::1\].*sasl_username=joe", house.postfix.log()), house.postfix.log()


def test_a_postfix_that_does_not_trust_us_is_a_temporary_failure_where_it_has_to(env):
    """It offers no XCLIENT: nobody shall be let in under our name instead of the client's."""
    house = House(env, postfix={"xclient": "192.0.2.1"}, smtp="proxy_xclient_required on;")
    with house.smtp() as client:
        with contextlib.suppress(smtplib.SMTPAuthenticationError, smtplib.SMTPResponseException):
            client.login("joe", "secret")
            raise AssertionError("let in")
        assert client.noop()[0] == 250
    house.postern.wait_log("upstream does not offer XCLIENT with what it needs")


def test_what_postfix_refuses_at_login_is_refused(env):
    house = House(env, postfix={}, smtp=SUBMISSION, users="joe:{PLAIN}secret\neve:{PLAIN}secret\n")
    with house.smtp() as client:
        with contextlib.suppress(smtplib.SMTPAuthenticationError):
            client.login("eve", "secret")
            raise AssertionError("let in")
    with house.smtp() as client:
        client.login("joe", "secret")
        assert client.sendmail("joe@example.com", ["ann@example.com"], message()) == {}


def test_swaks_and_curl_submit(env):
    house = House(env, postfix={"restrictions": "permit_sasl_authenticated, reject"}, smtp=SUBMISSION)
    wrong = []
    for mechanism in "PLAIN", "LOGIN", "CRAM-MD5":
        said = house.run("swaks", "--server", house.ip, "--port", "587", "--helo", "client.example.com",
                         "--from", "joe@example.com", "--to", "ann@example.com,bob@example.com", "--auth", mechanism,
                         "--auth-user", "joe", "--auth-password", "secret", "--pipeline", status=None)
        if b"queued as" not in said:
            wrong.append(said.decode(errors="replace"))
    assert not wrong, "\n".join(wrong)
    env.write("mail.eml", message())
    for option in "AUTH=PLAIN", "AUTH=LOGIN", "AUTH=CRAM-MD5":
        house.run("curl", "-sS", "-u", "joe:secret", "--login-options", option, f"smtp://{house.ip}:587/client.example.com",
                  "--mail-from", "joe@example.com", "--mail-rcpt", "ann@example.com", "-T", str(env.path("mail.eml")))
    house.postfix.messages(9)
    said = house.run("swaks", "--server", house.ip, "--port", "587", "--from", "joe@example.com", "--to", "ann@example.com",
                     "--auth", "PLAIN", "--auth-user", "joe", "--auth-password", "wrong", status=None)
    assert b"535 5.7.8" in said or b"535 5.7.0" in said, said


def test_an_unlisted_sender_needs_to_authenticate(env):
    house = House(env, postfix={}, smtp="smtp_auth plain;")
    with house.smtp() as client:
        client.ehlo()
        assert client.mail("joe@example.com") == (530, b"5.7.1 Authentication required")


# --- unauthenticated SMTP ---

def gate(env, **postfix):
    """Everybody may send to example.com; Postfix has the last word about each recipient."""
    postfix.setdefault("restrictions", "reject_unauth_destination")
    backend = Postfix(env, env.ip(3), **postfix)
    auth = env.keep(AuthHttp((env.ip(4), 9000), accept(env.ip(3), 25)))
    postern = env.postern(f"""
    auth_http {env.ip(4)}:9000/auth;
    server {{ listen {env.ip()}:25; protocol smtp; smtp_auth none;
        smtp_capabilities PIPELINING 8BITMIME CHUNKING SMTPUTF8 "SIZE 30000000"; }}
""", level="info")
    return postern, backend, auth


def body_of(text):
    """The body of a delivered message, its line ends as they were sent."""
    return text.partition(b"\n\n")[2].replace(b"\n", b"\r\n")


def test_unauthenticated_mail_for_several_recipients_is_delivered(env):
    _, backend, auth = gate(env)
    with smtplib.SMTP(env.ip(), 25, "client.example.com", timeout=20, source_address=(env.ip(9), 0)) as client:
        for number in 1, 2:
            refused = client.sendmail("a@example.org", [f"u{i}@example.com" for i in range(5)] + ["x@elsewhere.example"],
                                      message(number))
            assert list(refused) == ["x@elsewhere.example"], refused
    texts = backend.messages(10)
    assert all(body_of(text) == b"This is the text.\r\n" for text in texts)
    assert len(auth.requests) == 12 and {r["Auth-Method"] for r in auth.requests} == {"none"}
    assert f"[{env.ip(9)}]" in backend.log()


@weight(5)
def test_five_megabytes_arrive_intact(env):
    """By DATA, with dots and bare CRs and LFs as smtplib sends them, and by BDAT in chunks of any size."""
    _, backend, _ = gate(env, more="message_size_limit = 30000000\nmailbox_size_limit = 0\nvirtual_mailbox_limit = 0")
    body = large(5 << 20)
    with smtplib.SMTP(env.ip(), 25, "client.example.com", timeout=60) as client:
        assert client.sendmail("a@example.org", ["b@example.com"], message(1, body)) == {}
        client.mail("a@example.org")
        client.rcpt("b@example.com")
        chunks(client, message(2, body), [1, 2, 70000, 1 << 20, 333333])
    texts = backend.messages(2)
    for text in texts:
        assert hashlib.sha256(body_of(text)).digest() == hashlib.sha256(body).digest()


def chunks(client, text, sizes):
    """Sends `text` in chunks of these sizes, all of them ahead of their answers, the rest being the last."""
    at, count = 0, 0
    for size in sizes:
        client.sock.sendall(b"BDAT %d\r\n" % size + text[at:at + size])
        at, count = at + size, count + 1
    client.sock.sendall(b"BDAT %d LAST\r\n" % (len(text) - at) + text[at:])
    for _ in range(count + 1):
        code, said = client.getreply()
        assert code == 250, (code, said)


def test_swaks_pipelines_through_the_gate(env):
    _, backend, _ = gate(env)
    done = subprocess.run([program("swaks"), "--server", env.ip(), "--helo", "client.example.com", "--from", "a@example.org",
                           "--to", "b@example.com,c@example.com", "--pipeline"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60)
    assert done.returncode == 0 and b"queued as" in done.stdout, done.stdout.decode()
    backend.messages(2)


def test_curl_sends_through_the_gate(env):
    _, backend, _ = gate(env)
    env.write("mail.eml", message())
    subprocess.run([program("curl"), "-sS", f"smtp://{env.ip()}/client.example.com", "--mail-from", "a@example.org",
                    "--mail-rcpt", "b@example.com", "--mail-rcpt", "c@example.com", "-T", str(env.path("mail.eml"))],
                   check=True, timeout=60)
    assert all(body_of(text) == b"This is the text.\r\n" for text in backend.messages(2))


# --- large transfers, and what happens meanwhile ---

def reader(house, want):
    """Starts to fetch message 1; a function that gives whether all of it came, once it has."""
    client = Wire.to((house.ip, 143), patience=60)
    client.line()
    client.send(b"a LOGIN joe secret\r\n")
    until(client, b"a OK")
    client.send(b"b SELECT INBOX\r\nc FETCH 1 BODY.PEEK[]\r\n")
    count = int(until(client, b"* 1 FETCH").rpartition(b"{")[2].rstrip(b"}\r\n"))
    assert count == len(want)

    def finish():
        got = hashlib.sha256()
        left = count
        while left > 0:
            piece = client.take(min(left, 1 << 20))
            assert piece, f"the end came {left} bytes early"
            got.update(piece)
            left -= len(piece)
        until(client, b"c OK")
        client.send(b"d LOGOUT\r\n")
        until(client, b"d OK")
        client.expect_end()
        client.close()
        return got.digest() == hashlib.sha256(want).digest()
    return client, finish


@weight(10)
def test_reloads_during_a_large_download_lose_nothing(env):
    house = House(env, workers=2)
    want = message(1, large(50 << 20))
    house.dovecot.deliver("joe", want)
    readers = [reader(house, want) for _ in range(2)]
    for _ in range(4):
        house.postern.reload()
        for client, _ in readers:
            if len(client.held) < 10 << 20:
                client.fill()
    assert all(finish() for _, finish in readers)
    eventually(lambda: len(house.postern.children()) == 2, "the old workers are gone")


@weight(5)
def test_a_large_message_can_be_appended(env):
    house = House(env)
    text = message(1, large(20 << 20))
    client = house.imap()
    assert client.append("INBOX", None, None, text)[0] == "OK"
    client.select()
    got = client.fetch("1", "(RFC822)")[1][0][1]
    assert hashlib.sha256(got).digest() == hashlib.sha256(text).digest()
    client.logout()


def serves(worker, port):
    """Whether the worker holds the connection of the client with this port."""
    inodes = set()
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            words = line.split()
            if words[2].endswith(f":{port:04X}"):
                inodes.add(f"socket:[{words[9]}]")
    for entry in os.listdir(f"/proc/{worker}/fd"):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/{worker}/fd/{entry}") in inodes:
                return True
    return False


@weight(5)
def test_a_worker_that_is_killed_takes_only_its_own_sessions_along(env):
    house = House(env, workers=2)
    want = message(1, large(20 << 20))
    house.dovecot.deliver("joe", want)
    readers = [reader(house, want) for _ in range(6)]
    victim, other = house.postern.children()
    fate = [serves(victim, client.sock.getsockname()[1]) for client, _ in readers]
    assert True in fate and False in fate, "one worker has them all"
    os.kill(victim, signal.SIGKILL)
    for dies, (client, finish) in zip(fate, readers):
        if dies:
            while client.fill():
                client.held = b""
        else:
            assert finish()
    eventually(lambda: len(house.postern.children()) == 2, "another worker")
    assert other in house.postern.children()
    house.postern.wait_log(f"worker process {victim} exited on signal 9")
    for _ in range(4):
        house.imap().logout()


# --- the first minute ---

def source_copy(env):
    """The tree without what was built in it."""
    def built(folder, names):
        return [name for name in names if name == ".git" or os.path.exists(os.path.join(folder, name, "config.status"))]
    return shutil.copytree(env.source_dir(), env.path("tree"), symlinks=True, ignore=built)


@netns
@weight(20, limit=900)
def test_quickstart_prints_a_command_that_works(env):
    """In a copy of the tree, twice in a row, as somebody does who has just unpacked it."""
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    tree = source_copy(env)
    for _ in range(2):
        done = subprocess.run([f"{tree}/quickstart"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=800)
        assert done.returncode == 0, done.stdout
        fetch, = re.findall(r"^ +(curl .*)$", done.stdout, re.M)
        got = subprocess.run(fetch, shell=True, stdout=subprocess.PIPE, check=True, timeout=60).stdout
        assert b"you read it through Postern" in got, got
        assert b"[warn]" not in got and "[warn]" not in done.stdout
    end, = re.findall(r"The end: (.*)$", done.stdout, re.M)
    subprocess.run(end, shell=True, cwd=tree, check=True, timeout=60)
    for port in 10143, 10144:
        with contextlib.suppress(ConnectionRefusedError):
            Wire.to(("127.0.0.1", port)).close()
            raise AssertionError(f"port {port} is still served")
