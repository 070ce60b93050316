"""Who comes from nginx, Perdition or Dovecot's proxy finds what the guides for him say."""
import pathlib
import re
import subprocess

import guide
from certs import Authority
from harness import Postern, Skip, Wire, eventually, netns, weight
from peers import AuthHttp, Listener, accept, imap_backend, pop3_backend, smtp_backend
from real import Dovecot, MariaDB, answers, program
from stage import b64

CONF = "/etc/postern/postern.conf"

# What a client says in one go, by port; the greeting, and what comes behind it, is compared.
DIALOGUES = {
    143: [b"a LOGIN joe secret\r\nb LOGOUT\r\n", b"a LOGIN joe wrong\r\n", b"a AUTHENTICATE PLAIN " + b64(b"", b"joe", b"secret")
          + b"\r\nb LOGOUT\r\n", b"a LOGOUT\r\n"],
    110: [b"USER joe\r\nPASS secret\r\nQUIT\r\n", b"USER joe\r\nPASS wrong\r\n", b"QUIT\r\n"],
    587: [b"EHLO me\r\nAUTH PLAIN " + b64(b"", b"joe", b"secret") + b"\r\nQUIT\r\n", b"EHLO me\r\nMAIL FROM:<a@example.com>\r\nQUIT\r\n"],
}


def say_all():
    """All that clients hear who say these dialogues; challenges, which are never the same, are left out."""
    heard = []
    for port, said in DIALOGUES.items():
        for words in said:
            client = Wire.to(("127.0.0.1", port))
            greeting = client.line()
            for line in words.splitlines(keepends=True):
                client.send(line)
                reply = client.line()
                while port == 587 and reply[3:4] == b"-":
                    heard.append(reply)
                    reply = client.line()
                heard.append(reply)
            heard.append(client.rest())
            heard.append(re.sub(rb"<.*>", b"<>", greeting))
            client.close()
    return heard


def mail_house(env):
    """Backends of three protocols, and an auth server as nginx's documentation has it."""
    ports = {"imap": (10143, imap_backend), "pop3": (10110, pop3_backend), "smtp": (10587, smtp_backend)}
    for port, backend in ports.values():
        env.keep(Listener((env.ip(7), port), backend))

    def judge(request):
        if request["Auth-Pass"] == "secret":
            return accept(env.ip(7), ports[request["Auth-Protocol"]][0])
        return {"Auth-Status": "Invalid login or password"}
    return env.keep(AuthHttp(("127.0.0.1", 9000), judge, keep_alive=False))


@netns
def test_nginx_and_postern_read_one_file(env):
    """nginx itself serves by the guide's nginx.conf, then Postern does, and no client hears a difference."""
    nginx = program("nginx")
    if not list(pathlib.Path("/etc/nginx/modules-enabled").glob("*mail*")):
        raise Skip("nginx has no mail module here")
    auth = mail_house(env)
    text = guide.replaced(guide.block("coming-from-nginx", "/etc/nginx/nginx.conf"), {
        "/run/nginx.pid": env.path("postern.pid"), "/var/log/nginx/error.log": env.path("error.log")})
    postern = env.keep(Postern(env, config=text))
    subprocess.run([nginx, "-q", "-c", postern.config], check=True)
    eventually(lambda: answers(("127.0.0.1", 143)), "nginx answers")
    by_nginx, asked = say_all(), [request.line for request in auth.requests]
    subprocess.run([nginx, "-c", postern.config, "-s", "stop"], check=True)
    eventually(lambda: not env.path("postern.pid").exists(), "nginx has gone")

    status, said = postern.run("-t")
    warnings = [re.sub(r"^postern: \[warn\] | in /\S+$", "", line) for line in said.splitlines() if "[warn]" in line]
    promised = guide.block("coming-from-nginx", "Here is all that is said about the file above:").splitlines()
    assert status == 0 and list(dict.fromkeys(re.sub(r":\d+$", ":143", line) for line in warnings)) == promised, said
    del auth.requests[:]
    postern.start()
    assert say_all() == by_nginx
    assert len(auth.requests) == len(asked) and all(request["Auth-Session-ID"] for request in auth.requests)


# -- coming-from-perdition

def popmap_house(env, popmap):
    """The guide's program with this popmap, and the configuration that asks it."""
    house = guide.House(env, "coming-from-perdition", 2, {"127.0.0.1": env.ip(9)}, files=[popmap])
    text = guide.block("coming-from-perdition", "/usr/local/sbin/popmap-auth")
    if popmap.endswith(".re"):
        text = guide.replaced(text, {'popmap"': 'popmap.re"'})
    guide.Program(env, guide.located(env, text, {"127.0.0.1": env.ip(9)}), (env.ip(9), 9000))
    return house


def follow_popmap(env, popmap):
    house = popmap_house(env, popmap)
    users = {"horms": "sesame", "jane": "sesame", "joe": "sesame"}
    for host, port in (7, 143), (8, 143), (8, 10143):
        house.backend(host, port, users)
    for user, there in ("horms", (8, 143, b"horms")), ("jain", (8, 10143, b"jane")), ("joe", (7, 143, b"joe")):
        assert house.lets_in(user), user
        host, port, line = house.heard[-1]
        assert (host, port) == there[:2] and there[2] in line, house.heard
    assert house.login("horms", "wrong").startswith(b"a NO [AUTHENTICATIONFAILED]")
    house.line(f'client login failed: "...AUTHENTICATIONFAILED... upstream: {env.ip(8)}:143')
    return house


def test_perdition_a_popmap_in_a_file(env):
    house = follow_popmap(env, "/etc/postern/popmap")
    house.put("/etc/postern/popmap", f"joe: {env.ip(8)}\n")
    assert house.lets_in("joe") and house.heard[-1][0] == 8, "a change counts at once"
    client = house.client()
    client.send(b"a AUTHENTICATE PLAIN " + b64(b"ann", b"joe", b"sesame") + b"\r\n")
    assert client.line().startswith(b"a NO Not supported"), "joe may not act for ann"


def test_perdition_a_popmap_of_expressions(env):
    house = follow_popmap(env, "/etc/postern/popmap.re")
    assert house.lets_in("joe@example.org") and house.heard[-1][0] == 8 and b'"joe"' in house.heard[-1][2]


def test_perdition_without_a_popmap(env):
    ca = Authority(env)
    pair = ca.issue("mail.example.com")
    house = guide.House(env, "coming-from-perdition", 0,
                        {"/etc/postern/mail.crt": pair[0], "/etc/postern/mail.key": pair[1]})
    house.backend(7, 143, {"joe": "sesame"})
    assert house.lets_in("joe") and not house.lets_in("joe", "wrong") and house.lets_in("joe", port=993, tls=ca.trust())
    assert b"STLS" in house.say(110, b"CAPA\r\n")


@weight(3)
def test_perdition_its_table(env):
    if not (env.build / "postern-auth-mysql").exists():
        raise Skip("postern was built without auth_mysql")
    database = MariaDB(env, env.ip(5))
    database.sql("""
        CREATE DATABASE dbPerdition;
        CREATE TABLE dbPerdition.tblPerdition (user varchar(128) PRIMARY KEY, servername varchar(255), port varchar(8));
        CREATE USER perdition IDENTIFIED BY 'perdition';
        GRANT SELECT ON dbPerdition.tblPerdition TO perdition;
        INSERT INTO dbPerdition.tblPerdition VALUES ('horms', '10.0.0.8', NULL), ('jain', 'jane@10.0.0.8', '10143'),
            ('eve', '10.0.0.8:10143', NULL);""".replace("10.0.0.8", env.ip(8)))
    env.write("etc/mysql.secret", "perdition\n", 0o600)
    house = guide.House(env, "coming-from-perdition", 1)
    users = {"horms": "sesame", "jane": "sesame", "eve": "sesame", "joe": "sesame"}
    for host, port in (7, 143), (8, 143), (8, 10143):
        house.backend(host, port, users)
    for user, port in ("horms", 143), ("jain", 10143), ("eve", 10143):
        assert house.lets_in(user) and house.heard[-1][:2] == (8, port), user
    assert not house.lets_in("horms", "wrong") and not house.lets_in("joe")
    more = guide.located(env, guide.block("coming-from-perdition", "two more lines:"))
    house.change("server {", more + "server {")
    assert house.lets_in("joe") and house.heard[-1][0] == 7 and not house.lets_in("joe", "wrong")


# -- coming-from-dovecot

def real_login(house, dovecot, port, *said):
    """Says these lines, each once the one before was answered; Dovecot's word on the login, and the session's id."""
    client = house.client(port, source=house.env.ip(42))
    for line in said:
        client.send(line)
        answer = client.line()
        while answer.startswith(b"* "):
            answer = client.line()
    assert answer.startswith((b"a OK", b"+OK")), answer
    ident = house.line("client logged in").rpartition("session: ")[2]
    eventually(lambda: f"rip={house.env.ip(42)}" in dovecot.log() and f"session=<{ident}>" in dovecot.log(),
               f"Dovecot knows the client, and that it is session {ident}")
    client.close()


POP3, IMAP = (110, b"USER joe\r\n", b"PASS sesame\r\n"), (143, b"a LOGIN joe sesame\r\n")


def test_dovecot_a_passwd_file(env):
    house = guide.House(env, "coming-from-dovecot", 0, files=["/etc/postern/users"])
    for host, port in (7, 143), (8, 143), (8, 10143):
        house.backend(host, port)
    for user, there in ("joe", (8, 143, b"joe")), ("ann", (8, 10143, b"ann@isp")), ("bob", (7, 143, b"bob")):
        assert house.lets_in(user) and house.heard[-1][:2] == there[:2] and there[2] in house.heard[-1][2], house.heard
    assert b"Moving" in house.login("eve") and not house.lets_in("joe", "wrong")


@weight(3)
def test_dovecot_a_passdb_that_asks_nobody(env):
    more = guide.located(env, guide.block("coming-from-dovecot", "/etc/dovecot/conf.d/10-gateway.conf"))
    dovecot = Dovecot(env, env.ip(7), {"joe": "sesame"}, more=more.replace(env.ip(1), "127.0.0.0/8"))
    for said in IMAP, POP3:
        house = guide.House(env, "coming-from-dovecot", 1)
        real_login(house, dovecot, *said)
        assert not house.lets_in("joe", "wrong")
        house.postern.stop()


@weight(3)
def test_dovecot_a_passdb_in_sql(env):
    if not (env.build / "postern-auth-mysql").exists():
        raise Skip("postern was built without auth_mysql")
    database = MariaDB(env, env.ip(5))
    database.sql(f"""
        CREATE DATABASE mail;
        CREATE TABLE mail.users (userid varchar(128), domain varchar(128), password varchar(255), host varchar(255),
            destuser varchar(255), allow_nets varchar(255));
        CREATE USER postern IDENTIFIED BY 'sesame';
        GRANT SELECT ON mail.users TO postern;
        INSERT INTO mail.users VALUES ('joe', 'example.org', '{{PLAIN}}sesame', '{env.ip(8)}', NULL, NULL),
            ('ann', 'example.org', '{{PLAIN}}sesame', NULL, 'ann@isp', '127.0.0.0/8')""")
    env.write("etc/mysql.secret", "sesame\n", 0o600)
    house = guide.House(env, "coming-from-dovecot", 2)
    for host in 7, 8:
        house.backend(host, users={"joe@example.org": "sesame", "ann@isp": "sesame", "ann@example.org": "sesame"})
    assert house.lets_in("joe@example.org") and house.heard[-1][0] == 8
    assert house.lets_in("ann@example.org") and b"ann@isp" in house.heard[-1][2]
    assert not house.lets_in("joe@example.org", "wrong") and len(house.heard) == 4
    old = re.search(r"SELECT.*:domain", house.postern.config.read_text(), re.S)[0]
    house.change(old, guide.block("coming-from-dovecot", "password without judging it:"))
    assert house.lets_in("joe@example.org") and not house.lets_in("joe@example.org", "wrong")
    assert not house.lets_in("eve@example.org")


@weight(3)
def test_dovecot_a_master_user(env):
    masters = guide.located(env, guide.block("coming-from-dovecot", "/etc/dovecot/master-users"))
    path = env.write("master-users", masters.replace(env.ip(1), "127.0.0.1"), 0o644)
    passdb = guide.block("coming-from-dovecot", "/etc/dovecot/conf.d/auth-master.conf.ext")
    passdb = guide.replaced(passdb, {"/etc/dovecot/master-users": path})
    dovecot = Dovecot(env, env.ip(7), {"joe": "unknown to the gateway"}, trusted="127.0.0.0/8", first=passdb)
    env.write("etc/users", "joe:{PLAIN}sesame\neve:{PLAIN}sesame\n", 0o600)
    house = guide.House(env, "coming-from-dovecot", 3, files=["/etc/postern/master.secret"])
    real_login(house, dovecot, *IMAP)
    assert house.lets_in("joe") and not house.lets_in("joe", "wrong")
    assert not house.lets_in("eve"), "whom the backend does not know no master user can be"
