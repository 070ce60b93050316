"""Whom the backend believes the client to be: ID of IMAP, XCLIENT of POP3 and SMTP."""
from harness import Wire, eventually
from peers import smtp_backend
from real import Dovecot, Postfix
from stage import Stage, b64

USERS = {"joe": "secret"}
HEADER = b"PROXY TCP4 192.0.2.%d 198.51.100.7 4711 143\r\n"


def house(env, settings=""):
    """A Dovecot that takes our word, behind listens that are told by PROXY headers."""
    dovecot = Dovecot(env, env.ip(2), USERS, trusted="127.0.0.0/8")
    users = env.write("users", "joe:{PLAIN}secret\n", 0o600)
    postern = env.postern(f"""
    auth_file {users}; set_real_ip_from 127.0.0.0/8; {settings}
    server {{ listen {env.ip()}:143 proxy_protocol; protocol imap; proxy_pass {env.ip(2)}; }}
    server {{ listen {env.ip()}:110 proxy_protocol; protocol pop3; proxy_pass {env.ip(2)}; }}
""")
    return dovecot, postern


def logged_in(dovecot):
    """Dovecot's log, once it tells of the login: its answer comes first."""
    eventually(lambda: "Login: user=<joe>" in dovecot.log(), "the login in Dovecot's log")
    return dovecot.log()


def say(env, port, *said):
    """Says these lines, each once the one before has been answered, and returns the last answer."""
    client = Wire.to((env.ip(), port), patience=60)
    client.send(said[0])
    heard = client.line()
    for line in said[1:]:
        client.send(line)
        heard = client.line()
        while heard.startswith(b"* "):
            heard = client.line()
    return client, heard


def test_dovecot_believes_an_imap_id(env):
    dovecot, postern = house(env, "proxy_imap_id on;")
    client, heard = say(env, 143, HEADER % 7, b'a ID ("name" "Mutt" "x-originating-ip" "10.0.0.1")\r\n', b"b LOGIN joe secret\r\n")
    assert heard.startswith(b"b OK"), heard
    log = logged_in(dovecot)
    assert "rip=192.0.2.7" in log and f"lip={env.ip()}" in log, log
    assert "10.0.0.1" not in log


def test_without_it_dovecot_sees_the_gateway(env):
    dovecot, _ = house(env)
    _, heard = say(env, 143, HEADER % 7, b"b LOGIN joe secret\r\n")
    assert heard.startswith(b"b OK"), heard
    assert "192.0.2.7" not in logged_in(dovecot)


def test_dovecot_believes_xclient_of_pop3(env):
    dovecot, postern = house(env)
    _, heard = say(env, 110, HEADER % 9, b"USER joe\r\n", b"PASS secret\r\n")
    assert heard.startswith(b"+OK"), heard
    assert "rip=192.0.2.9" in logged_in(dovecot)


def test_xclient_off_tells_pop3_nothing(env):
    dovecot, _ = house(env, "xclient off;")
    _, heard = say(env, 110, HEADER % 9, b"USER joe\r\n", b"PASS secret\r\n")
    assert heard.startswith(b"+OK"), heard
    assert "192.0.2.9" not in logged_in(dovecot)


def test_postfix_hears_all_that_it_offers_to_hear(env):
    postfix = Postfix(env, env.ip(3), restrictions="permit_sasl_authenticated, reject_unauth_destination")
    users = env.write("users", "joe:{PLAIN}secret\n", 0o600)
    env.postern(f"""
    auth_file {users}; set_real_ip_from 127.0.0.0/8;
    server {{ listen {env.ip()}:587 proxy_protocol; protocol smtp; proxy_pass {env.ip(3)}; }}
""")
    client = Wire.to((env.ip(), 587), patience=60)
    client.send(b"PROXY TCP4 192.0.2.8 198.51.100.7 4711 587\r\n")
    client.line()
    for line in b"EHLO laptop.example.com", b"AUTH PLAIN " + b64(b"", b"joe", b"secret"), b"MAIL FROM:<joe@example.com>", \
            b"RCPT TO:<ann@example.com>", b"DATA", b"Subject: x\r\n\r\nx\r\n.":
        client.send(line + b"\r\n")
        heard = client.line()
        while heard[3:4] == b"-":
            heard = client.line()
        assert heard[:1] in b"23", heard
    message = postfix.messages()[0]
    assert b"from laptop.example.com (unknown [192.0.2.8])" in message, message
    assert "client=unknown[192.0.2.8]" in postfix.log(), postfix.log()


def test_a_backend_without_xclient_is_spoken_with_all_the_same(env):
    heard = []
    stage = Stage(env, "smtp", {"may": "", "must": "proxy_xclient_required on;"},
                  backend=lambda wire: smtp_backend(wire, extensions=(b"8BITMIME",), on_command=heard.append))
    login = b"AUTH PLAIN " + b64(b"", b"joe", b"secret") + b"\r\n"
    for server, answer in ("may", b"235 2.0.0 OK"), ("must", b"451 4.3.2 Internal server error"):
        client = stage.client(server)
        client.send(login)
        client.expect(answer)
        client.close()
    assert heard == [b"EHLO mail.example.com\r\n"] * 2
    assert len(stage.postern.wait_log("upstream does not offer XCLIENT with what it needs")) == 1


def test_proxies_in_a_circle_notice(env):
    """A gateway whose backend is itself."""
    users = env.write("users", "joe:{PLAIN}secret\n", 0o600)
    postern = env.postern(f"""
    auth_file {users}; proxy_imap_id on;
    server {{ listen {env.ip()}:143; protocol imap; proxy_pass {env.ip()}:143; }}
""")
    client = Wire.to((env.ip(), 143), patience=60)
    client.send(b"a LOGIN joe secret\r\n")
    client.line()
    assert client.line().startswith(b"a NO [UNAVAILABLE]")
    assert len(postern.wait_log("proxying goes in a circle")) == 1
    assert postern.log().count("connected to") == 7
