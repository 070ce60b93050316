"""Real clients and servers with TLS on both legs: openssl, curl, swaks, mbsync, fetchmail, Python, Dovecot, Postfix."""
import hashlib
import imaplib
import os
import poplib
import re
import smtplib
import socket
import ssl
import subprocess
import threading

from certs import Authority
from harness import PATIENCE, Wire, eventually, weight
from peers import AuthHttp, Listener, accept, compose, imap_backend
from real import Dovecot, Postfix, program
from test_real import SUBMISSION, USERS, body_of, chunks, large, message, until

PORTS = {"imap": (143, 993), "pop3": (110, 995), "smtp": (587, 465)}
GATE = 25


class Fort:
    """Dovecot and Postfix that take nothing in the clear, and postern before them, which takes nothing either.

    Towards clients TLS at once on 993, 995 and 465, STARTTLS on 143, 110 and 587; `how`
    is proxy_ssl. Port 25 is for mail without a login.
    """

    def __init__(self, env, how="on", postfix=False, more="", workers=1, dovecot="", **trust):
        self.env, self.ip, self.ca = env, env.ip(), Authority(env)
        pair = self.ca.issue("backend.example.com", env.ip(2), env.ip(3))
        self.front = self.ca.issue("mail.example.com", env.ip())
        self.dovecot = Dovecot(env, env.ip(2), USERS, tls=pair, more=dovecot)
        self.postfix = postfix and Postfix(env, env.ip(3), sasl=self.dovecot.auth_socket, tls=pair,
                                           more="message_size_limit = 30000000\nvirtual_mailbox_limit = 0")
        self.users = env.write("users", "".join(f"{user}:{{PLAIN}}{word}\n" for user, word in USERS.items()), 0o600)
        self.postern = env.postern(self.settings(how, more, **trust), workers=workers, level="info")

    def settings(self, how="on", more="", trust=None, name="backend.example.com"):
        def server(protocol, backend, text=""):
            clear, secure = PORTS[protocol]
            return "".join(f"server {{ listen {self.ip}:{port} {words}; protocol {protocol}; proxy_pass {backend}; {text} }}\n"
                           for port, words in ((clear, "; starttls only"), (secure, "ssl")))
        gate = self.env.path("gate.sock")
        port = 465 if how == "on" else 25
        if not hasattr(self, "auth"):
            self.auth = self.env.keep(AuthHttp(str(gate), accept(self.env.ip(3), port)))
        return f"""
    ssl_certificate {self.front[0]}; ssl_certificate_key {self.front[1]};
    proxy_ssl {how}; proxy_ssl_trusted_certificate {trust or self.ca.certificate}; proxy_ssl_name {name};
    auth_file {self.users}; {more}
    {server("imap", self.env.ip(2), "imap_auth plain cram-md5;")}
    {server("pop3", self.env.ip(2), "pop3_auth plain apop cram-md5;")}
    {server("smtp", self.env.ip(3), SUBMISSION)}
    server {{ listen {self.ip}:{GATE}; protocol smtp; starttls on; smtp_auth none; auth_http unix:{gate}:/;
        smtp_capabilities PIPELINING 8BITMIME CHUNKING "SIZE 30000000"; }}
"""

    def run(self, *command, text=None, status=0):
        done = subprocess.run([program(command[0]), *map(str, command[1:])], input=text, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=90, env={**os.environ, "HOME": str(self.env.folder)})
        assert status is None or done.returncode == status, (command, done.returncode, done.stdout.decode(errors="replace"))
        return done.stdout

    def curl(self, url, *words, status=0):
        return self.run("curl", "-sS", "--ssl-reqd", "--cacert", self.ca.certificate, "-u", "joe:secret", *words, url,
                        status=status)

    def urls(self, protocol):
        """Of STARTTLS and of TLS at once."""
        return f"{protocol}://{self.ip}", f"{protocol}s://{self.ip}"

    def imap(self, user="joe", password="secret"):
        client = imaplib.IMAP4_SSL(self.ip, 993, ssl_context=self.ca.trust(), timeout=60)
        client.login(user, password)
        return client

    def wire(self):
        """A client of imaps that has logged in."""
        client = Wire.to((self.ip, 993), patience=60).secure(self.ca.trust(), self.ip)
        client.line()
        client.send(b"a LOGIN joe secret\r\n")
        until(client, b"a OK")
        return client


def seen_over_tls(house, count):
    """Dovecot says so of each login."""
    def logins():
        return [line for line in house.dovecot.log().splitlines() if "Login: user=" in line]
    eventually(lambda: len(logins()) >= count, f"{count} logins at Dovecot")
    assert len(logins()) == count and all(", TLS" in line for line in logins()), logins()


def name_it(env):
    """Where the test lives, the gateway has the name that its certificate bears."""
    hosts = env.write("hosts", f"127.0.0.1 localhost\n{env.ip()} mail.example.com\n")
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)


# --- reading ---

def read_by_curl(env, how):
    house = Fort(env, how)
    house.dovecot.deliver("joe", message())
    for url in house.urls("imap"):
        assert house.curl(url + "/INBOX;MAILINDEX=1") == message()
        house.curl(url, "-u", "joe:wrong", status=67)
    for url in house.urls("pop3"):
        assert house.curl(url + "/1") == message()
        assert house.curl(url + "/1", "--login-options", "AUTH=+APOP") == message()
        house.curl(url + "/1", "-u", "joe:wrong", status=67)
    seen_over_tls(house, 6)


def test_curl_reads_over_tls(env):
    read_by_curl(env, "on")


def test_curl_reads_by_starttls_on_both_legs(env):
    read_by_curl(env, "starttls")


def test_curl_with_another_authority_goes_no_further(env):
    house = Fort(env)
    other = Authority(env, "other")
    house.curl(house.urls("imap")[1], "--cacert", other.certificate, status=60)
    house.postern.wait_log("SSL_do_handshake\\(\\) failed .*while SSL handshaking")
    seen_over_tls(house, 0)


def test_pythons_clients_read_over_tls(env):
    house = Fort(env, "starttls")
    context = house.ca.trust()
    client = imaplib.IMAP4(house.ip, 143, timeout=60)
    client.starttls(context)
    client.login("joe", "secret")
    assert client.append("INBOX", None, None, message(7))[0] == "OK"
    assert client.select() == ("OK", [b"1"]) and client.fetch("1", "(RFC822)")[1][0][1] == message(7)
    client.logout()
    user, password = list(USERS.items())[1]
    house.imap(user, password).logout()
    for make in (lambda: poplib.POP3_SSL(house.ip, 995, timeout=60, context=context), lambda: stls(house, context)):
        client = make()
        client.user("joe")
        client.pass_("secret")
        assert client.stat()[0] == 1
        client.quit()
    seen_over_tls(house, 4)


def stls(house, context):
    client = poplib.POP3(house.ip, 110, timeout=60)
    client.stls(context)
    return client


def test_openssl_s_client_logs_in(env):
    """Each of its ways to say STARTTLS, and TLS at once, with what it then knows of the session."""
    house = Fort(env, postfix=True)
    for protocol, said, answer in (
            ("imap", "a LOGIN joe secret\r\nb LOGOUT\r\n", b"a OK"),
            ("pop3", "USER joe\r\nPASS secret\r\nQUIT\r\n", b"+OK Logged in."),
            ("smtp", "EHLO me\r\nAUTH PLAIN AGpvZQBzZWNyZXQ=\r\nQUIT\r\n", b"235 2.0.0 OK")):
        for port, way in zip(PORTS[protocol], (["-starttls", protocol], [])):
            got = house.run("openssl", "s_client", "-CAfile", house.ca.certificate, "-verify_return_error", "-quiet",
                            "-ign_eof", *way, "-connect", f"{house.ip}:{port}", text=said.encode())
            assert answer in got, (protocol, way, got)


def mbsync_config(house, more):
    return house.env.write("mbsyncrc", f"""
IMAPAccount house
Host mail.example.com
User joe
Pass secret
CertificateFile {house.ca.certificate}
{more}

IMAPStore far
Account house

MaildirStore near
Path {house.env.path("mirror")}/
Inbox {house.env.path("mirror/INBOX")}

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Sync All
""", 0o600)


def test_mbsync_mirrors_over_tls(env):
    name_it(env)
    house = Fort(env)
    for number in range(5):
        house.dovecot.deliver("joe", message(number, large(20000, number)))
    inbox = env.path("mirror/INBOX")
    for sub in "cur", "new", "tmp":
        (inbox / sub).mkdir(parents=True)
    house.run("mbsync", "-c", mbsync_config(house, "SSLType IMAPS"), "-a")
    house.dovecot.deliver("joe", message(9))
    (inbox / "new" / "1.new.test").write_bytes(message(99).replace(b"\r\n", b"\n"))
    house.run("mbsync", "-c", mbsync_config(house, "SSLType STARTTLS"), "-a")
    assert len([path for sub in ("cur", "new") for path in (inbox / sub).iterdir()]) == 7
    client = house.imap()
    assert client.select() == ("OK", [b"7"])
    client.logout()


def test_fetchmail_collects_over_tls(env):
    name_it(env)
    house = Fort(env, "starttls")
    for protocol, way in (("imap", "ssl"), ("pop3", "ssl"), ("imap", "sslproto tls1.2+"), ("pop3", "sslproto tls1.2+")):
        house.dovecot.deliver("joe", message())
        out = env.path("fetched")
        config = env.write("fetchmailrc", f"""
poll mail.example.com protocol {protocol} auth password user joe password secret
    {way} sslcertck sslcertfile {house.ca.certificate} mda "cat >> {out}" fetchall
""", 0o600)
        house.run("fetchmail", "-f", config, "--nosyslog", "--pidfile", env.path("fetchmail.pid"))
        assert out.read_bytes().count(b"Subject: hello") == 1, (protocol, way)
        out.unlink()
    seen_over_tls(house, 4)


def test_idle_over_tls_hears_of_a_message_at_once(env):
    house = Fort(env)
    house.dovecot.deliver("joe", message(1))
    client = house.wire()
    client.send(b"b SELECT INBOX\r\nc IDLE\r\n")
    until(client, b"+ ")
    house.dovecot.deliver("joe", message(2))
    until(client, b"* 2 EXISTS")
    house.postern.reload()
    house.dovecot.deliver("joe", message(3))
    until(client, b"* 3 EXISTS")
    client.send(b"DONE\r\nd LOGOUT\r\n")
    until(client, b"c OK")
    until(client, b"d OK")
    client.expect_end()


def test_a_half_close_travels_across_both_legs(env):
    """By the FIN alone and by close_notify: the backend hears of it, and its answer, longer than any buffer, arrives."""
    ca = Authority(env)
    pair = ca.issue("backend.example.com", "mail.example.com")
    text, heard, goodbye_said = large(3 << 20), [], threading.Event()

    def backend(wire):
        wire.secure(ca.serve(pair), None)
        wire.send(b"* OK ready\r\n")
        wire.send(wire.line().split()[0] + b" OK in\r\n")
        heard.append(wire.rest())       # up to close_notify, which Python tells from a FIN without it
        goodbye_said.wait(PATIENCE)
        wire.send(text)
    env.keep(Listener((env.ip(2), 2000), backend))
    env.keep(AuthHttp((env.ip(3), 9000), accept(env.ip(2), 2000)))
    env.postern(f"""
    auth_http {env.ip(3)}:9000/; proxy_ssl on; proxy_ssl_trusted_certificate {ca.certificate};
    proxy_ssl_name backend.example.com; ssl_certificate {pair[0]}; ssl_certificate_key {pair[1]};
    server {{ listen {env.ip()}:2993 ssl; protocol imap; }}""")
    for finish in (lambda sock: socket.socket.shutdown(sock, socket.SHUT_WR), say_close_notify):
        client = Wire.to((env.ip(), 2993)).secure(ca.trust())
        client.line()
        client.send(b"a LOGIN joe secret\r\n")
        client.expect(b"a OK in")
        client.send(b"b IDLE\r\n")
        goodbye_said.clear()
        finish(client.sock)
        goodbye_said.set()
        assert client.rest() == text
        client.close()
    assert heard == [b"b IDLE\r\n"] * 2


def say_close_notify(sock):
    """Python's unwrap() also waits for the other side's; that is not awaited here."""
    sock.settimeout(0.01)
    try:
        sock.unwrap()
    except TimeoutError:
        sock.settimeout(PATIENCE)


# --- sending ---

def submit(env, how):
    house = Fort(env, how, postfix=True)
    env.write("mail.eml", message(1))
    for url in house.urls("smtp"):
        url += ":587" if url.startswith("smtp:") else ""
        house.curl(url + "/client.example.com", "--mail-from", "joe@example.com", "--mail-rcpt", "ann@example.com",
                   "-T", env.path("mail.eml"))
    for port, way in zip(PORTS["smtp"], ("--tls", "--tls-on-connect")):
        said = house.run("swaks", "--server", house.ip, "--port", port, way, "--tls-verify", "--tls-ca-path",
                         house.ca.certificate, "--helo", "client.example.com", "--from", "joe@example.com",
                         "--to", "ann@example.com,bob@example.com", "--auth", "CRAM-MD5", "--auth-user", "joe",
                         "--auth-password", "secret", "--pipeline")
        assert b"queued as" in said
    texts = house.postfix.messages(6)
    assert all(b"TLSv1.3" in text for text in texts), texts[0]
    assert len(re.findall("sasl_username=joe", house.postfix.log())) == 4


def test_submission_over_tls(env):
    submit(env, "on")


def test_submission_by_starttls_on_both_legs(env):
    submit(env, "starttls")


def test_smtplib_submits_over_tls(env):
    house = Fort(env, "starttls", postfix=True)
    context = house.ca.trust()
    with smtplib.SMTP(house.ip, 587, "client.example.com", timeout=60) as client:
        assert client.ehlo()[0] == 250 and not client.has_extn("auth")
        client.starttls(context=context)
        client.login("joe", "secret")
        assert client.sendmail("joe@example.com", ["ann@example.com"], message(1)) == {}
    with smtplib.SMTP_SSL(house.ip, 465, "client.example.com", timeout=60, context=context) as client:
        client.login("joe", "secret")
        assert client.sendmail("joe@example.com", ["ann@example.com"], message(2, large(3 << 20))) == {}
    assert {len(body_of(text)) for text in house.postfix.messages(2)} == {len(b"This is the text.\r\n"), len(large(3 << 20))}


def through_the_gate(env, how):
    """By DATA and by BDAT in chunks sent ahead of their answers, with STARTTLS and without."""
    house = Fort(env, how, postfix=True)
    body = large(2 << 20)
    for secure in True, False:
        with smtplib.SMTP(house.ip, GATE, "client.example.com", timeout=60) as client:
            if secure:
                client.starttls(context=house.ca.trust())
            refused = client.sendmail("a@example.org", ["b@example.com", "x@elsewhere.example"], message(1, body))
            assert list(refused) == ["x@elsewhere.example"]
            client.mail("a@example.org")
            client.rcpt("b@example.com")
            chunks(client, message(2, body), [1, 2, 70000, 333333])
    texts = house.postfix.messages(4)
    assert all(body_of(text) == body and b"TLSv1.3" in text for text in texts)
    assert len(house.auth.requests) == 6


def test_mail_without_a_login_over_tls(env):
    through_the_gate(env, "on")


def test_mail_without_a_login_by_starttls_on_both_legs(env):
    through_the_gate(env, "starttls")


# --- large transfers ---

def reader(house, want):
    """Starts to fetch message 1; a function that says whether all of it came, once it has."""
    client = house.wire()
    client.send(b"b SELECT INBOX\r\nc FETCH 1 BODY.PEEK[]\r\n")
    count = int(until(client, b"* 1 FETCH").rpartition(b"{")[2].rstrip(b"}\r\n"))

    def finish():
        got, left = hashlib.sha256(), count
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
    return finish


@weight(10)
def test_reloads_during_a_large_download_over_tls_lose_nothing(env):
    house = Fort(env, workers=2)
    want = message(1, large(50 << 20))
    house.dovecot.deliver("joe", want)
    readers = [reader(house, want) for _ in range(2)]
    for _ in range(3):
        house.postern.reload()
    assert all(finish() for finish in readers)
    eventually(lambda: len(house.postern.children()) == 2, "the old workers are gone")


@weight(5)
def test_a_large_message_is_appended_over_tls(env):
    house = Fort(env, "starttls")
    text = message(1, large(20 << 20))
    client = house.imap()
    assert client.append("INBOX", None, None, text)[0] == "OK"
    client.select()
    got = client.fetch("1", "(RFC822)")[1][0][1]
    assert hashlib.sha256(got).digest() == hashlib.sha256(text).digest()
    client.logout()


# --- servers that cannot be trusted ---

def turned_away(house):
    """Every protocol says "not now", and neither server was given a password."""
    context = house.ca.trust()
    for said, port, answer in ((b"a LOGIN joe secret\r\n", 993, rb"a NO \[UNAVAILABLE\].*\r\n"),
                               (b"USER joe\r\nPASS secret\r\n", 995, rb"-ERR \[SYS/TEMP\].*\r\n"),
                               (b"EHLO me\r\nAUTH PLAIN AGpvZQBzZWNyZXQ=\r\n", 465, rb"451 4\.3\.2 .*\r\n")):
        client = Wire.to((house.ip, port)).secure(context, house.ip)
        client.line()
        client.send(said)
        while (line := client.line()).startswith((b"+OK", b"250")):
            pass
        assert re.fullmatch(answer, line), line
        client.close()
    assert "sasl_username" not in house.postfix.log() and "authentication failed" not in house.postfix.log()
    assert "user=<joe>" not in house.dovecot.log()


def test_servers_of_another_name_get_nothing(env):
    for how in "on", "starttls":
        if how == "on":
            house = Fort(env, how, postfix=True, name="other.example.com")
        else:
            house.postern.write(house.settings(how, name="other.example.com"), level="info")
            house.postern.reload()
        turned_away(house)
    house.postern.wait_log("(?i)hostname mismatch", 6)


def test_servers_of_another_authority_get_nothing(env):
    other = Authority(env, "other")
    house = Fort(env, "starttls", postfix=True, trust=other.certificate)
    turned_away(house)
    house.postern.wait_log("unable to get local issuer certificate|self-signed certificate", 3)
    house.postern.write(house.settings("on"), level="info")
    house.postern.reload()
    house.imap().logout()


def test_plain_speech_to_a_port_of_tls_and_back_is_a_temporary_failure(env):
    """proxy_ssl on at a port that greets in the clear."""
    house = Fort(env, postfix=True)
    text = house.settings().replace(f"proxy_pass {env.ip(2)};", f"proxy_pass {env.ip(2)}:143;")
    house.postern.write(text, level="info")
    house.postern.reload()
    client = Wire.to((house.ip, 993)).secure(house.ca.trust(), house.ip)
    client.line()
    client.send(b"a LOGIN joe secret\r\n")
    assert client.line().startswith(b"a NO [UNAVAILABLE]")
    house.postern.wait_log("SSL_do_handshake\\(\\) failed .*wrong version number")


# --- resumption towards servers ---

def test_sessions_with_a_real_dovecot_are_resumed(env):
    """It shows its certificate once."""
    house = Fort(env, dovecot="verbose_ssl = yes\nservice imap-login {\n  service_count = 0\n}")
    for _ in range(4):
        house.imap().logout()
    seen_over_tls(house, 4)
    log = house.dovecot.log()
    assert len(re.findall("write certificate$", log, re.M)) == 1, log


def count_resumed(env, version, reuse, behind=False):
    """Of five logins, how many connections to the backend took an earlier session up."""
    ca = Authority(env)
    context = ca.serve(ca.issue("backend.example.com"))
    context.minimum_version = context.maximum_version = version
    reused = []

    def backend(wire):
        wire.secure(context, None)
        reused.append(wire.sock.session_reused)
        imap_backend(wire)
    env.keep(Listener((env.ip(2), 2000), backend))
    auth = env.keep(AuthHttp((env.ip(3), 9000), accept(env.ip(2), 2000)))
    env.postern(f"""
    auth_http {env.ip(3)}:9000/; proxy_ssl on; proxy_ssl_trusted_certificate {ca.certificate};
    proxy_ssl_name backend.example.com; proxy_ssl_session_reuse {reuse};
    server {{ listen {env.ip()}:2143; protocol imap; }}""")
    for i in range(5):
        if behind and i == 3:
            auth.answer["Auth-SSL-Name"] = "other.example.com"      # before proxy_ssl_name
        client = Wire.to((env.ip(), 2143))
        client.line()
        client.send(b"a LOGIN joe secret\r\n")
        if behind and i >= 3:
            assert client.line().startswith(b"a NO [UNAVAILABLE]")
            continue
        assert client.line().startswith(b"a OK")
        client.send(b"b LOGOUT\r\n")
        client.rest()
    return reused


def test_tls_1_3_sessions_with_backends_are_resumed(env):
    assert count_resumed(env, ssl.TLSVersion.TLSv1_3, "on") == [False] + [True] * 4


def test_tls_1_2_sessions_with_backends_are_resumed(env):
    assert count_resumed(env, ssl.TLSVersion.TLSv1_2, "on") == [False] + [True] * 4


def test_no_session_is_resumed_where_that_is_off(env):
    assert count_resumed(env, ssl.TLSVersion.TLSv1_3, "off") == [False] * 5


def test_a_session_is_not_resumed_under_another_name(env):
    """It was verified for one name; for another there is a handshake, which fails."""
    assert count_resumed(env, ssl.TLSVersion.TLSv1_3, "on", behind=True)[:3] == [False, True, True]


# --- what a source says of a session's TLS ---

def test_auth_http_over_https_chooses_tls_session_by_session(env):
    """One kept connection; each answer names backend, TLS and the name to be verified."""
    house = Fort(env)
    server = house.ca.serve(house.ca.issue("auth.example.com", env.ip(5)))
    answers = [accept(env.ip(2), port, Auth_SSL=how, Auth_SSL_Name=name, Auth_User="joe", Auth_Pass="secret")
               for port, how, name in ((993, "on", "backend.example.com"), (143, "starttls", "backend.example.com"),
                                       (993, "on", env.ip(2)), (993, "on", "other.example.com"),
                                       (143, "off", "backend.example.com"), (993, "on", "backend.example.com"))]
    asked = []

    def https(wire):
        wire.secure(server, None)
        while True:
            while b"\r\n\r\n" not in wire.held:
                if not wire.fill():
                    return
            head, _, wire.held = wire.held.partition(b"\r\n\r\n")
            wire.send(compose(answers[len(asked)]))
            asked.append(head)
    auth = env.keep(Listener((env.ip(5), 443), https))
    house.postern.write(f"""
    auth_http https://{env.ip(5)}/auth; auth_http_ssl_trusted_certificate {house.ca.certificate};
    auth_http_ssl_name auth.example.com; proxy_ssl_trusted_certificate {house.ca.certificate};
    ssl_certificate {house.front[0]}; ssl_certificate_key {house.front[1]};
    server {{ listen {house.ip}:993 ssl; protocol imap; }}""", level="info")
    house.postern.reload()
    for welcome in True, True, True, False, False, True:
        client = Wire.to((house.ip, 993)).secure(house.ca.trust(), house.ip)
        client.line()
        client.send(b"a LOGIN someone whatever\r\n")
        line = client.line()
        assert line.startswith(b"a OK" if welcome else b"a NO"), (welcome, line)
        client.close()
    assert auth.accepted == 1 and len(asked) == 6
    assert all(b"\r\nAuth-SSL: on\r\n" in head for head in asked)


def test_a_line_of_auth_file_chooses_tls(env):
    house = Fort(env, "off")
    env.write("users", f"""
joe:{{PLAIN}}secret::::::ssl=yes host={env.ip(2)} port=993
jim:{{PLAIN}}secret::::::ssl=starttls host={env.ip(2)} port=143 user=joe
jil:{{PLAIN}}secret::::::starttls=yes host={env.ip(2)} port=143 user=joe
ann:{{PLAIN}}secret::::::host={env.ip(2)} port=143 user=joe
""", 0o600)
    house.postern.wait_log("read, 4 users", 2)
    for user in "joe", "jim", "jil":
        house.imap(user).logout()
    try:
        house.imap("ann").logout()
        raise AssertionError("let in: Dovecot takes no password in the clear")
    except imaplib.IMAP4.error:
        pass
    seen_over_tls(house, 3)
