"""What an operator copies out of the guides fleet and tuning works as they say."""
import os
import re
import socket
import subprocess

import guide
from certs import Authority, s_client
from harness import Postern, Wire, eventually
from peers import AuthHttp, accept
from real import Dovecot, program
from stage import Stage


def install(env):
    """What the guides' configurations find in /etc/postern; returns the authority."""
    ca = Authority(env)
    for path, name in zip(ca.issue("mail.example.com"), ("mail.crt", "mail.key")):
        env.write(f"etc/{name}", path.read_bytes(), 0o600)
    for key in "tickets.0", "tickets.1":
        env.write(f"etc/{key}", os.urandom(80), 0o600)
    env.write("etc/users", "joe:{PLAIN}sesame\n", 0o600)
    return ca


class Gateway:
    """One machine of the fleet, with the auth servers and the syslog server that it asks, and a real Dovecot."""

    def __init__(self, env):
        self.env, self.ca = env, install(env)
        self.dovecot = Dovecot(env, env.ip(7), {"joe": "sesame"}, trusted="127.0.0.0/8")
        self.auths = [env.keep(AuthHttp((env.ip(host), 9000), accept(env.ip(7), 143))) for host in (5, 6)]
        self.syslog = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.syslog.bind((env.ip(9), 514))
        self.syslog.settimeout(10)
        self.house = guide.House(env, "fleet", 0, {"worker_shutdown_timeout 10m;": "worker_shutdown_timeout 1s;"})

    def log_in(self):
        client = self.house.client(993, tls=self.ca.trust())
        client.send(b"a LOGIN joe sesame\r\n")
        until(client, b"a OK")
        return client


def until(client, begin):
    line = client.line()
    while not line.startswith(begin):
        assert line, f"the end came before {begin!r}"
        line = client.line()
    return line


def test_fleet_following_one_session(env):
    gateway = Gateway(env)
    gateway.log_in()
    ident = re.search("session: ([0-9a-f]{16})$", gateway.house.line("client logged in"))[1]
    asked = [request for auth in gateway.auths for request in auth.requests]
    assert [request["Auth-Session-ID"] for request in asked] == [ident]
    eventually(lambda: f"session=<{ident}>" in gateway.dovecot.log(), "Dovecot's log has the same id")
    line = gateway.syslog.recv(4096)
    assert re.match(rb"<21>\S+ +\d+ \S+ %s postern: " % re.escape(socket.gethostname().encode()), line), line


def test_fleet_one_auth_server_is_enough(env):
    gateway = Gateway(env)
    gateway.auths[0].stop()
    for _ in range(3):
        gateway.log_in()


def test_fleet_taking_one_out(env):
    """Those in IDLE are told to go elsewhere, and then it ends."""
    gateway = Gateway(env)
    client = gateway.log_in()
    client.send(b"b SELECT INBOX\r\nc IDLE\r\n")
    until(client, b"+ ")
    gateway.house.postern.run("-s", "quit")
    eventually(lambda: refuses((env.ip(), 993)), "it stops listening")
    assert until(client, b"* BYE") and client.rest() == b""
    eventually(lambda: not gateway.house.postern.running() or gateway.house.postern.zombie(), "it ends")


def test_fleet_the_script_of_keepalived(env):
    text = guide.block("fleet", "/etc/keepalived/keepalived.conf")
    script = re.search(r'script +"/usr/bin/(.*)"', text)[1].replace("127.0.0.1", env.ip())
    command = [program("curl"), *script.split()[1:]]
    gateway = Gateway(env)
    assert subprocess.run(command).returncode == 0 and "invalid command" not in gateway.house.postern.log()
    gateway.house.postern.stop()
    assert subprocess.run(command).returncode != 0


def refuses(address):
    try:
        Wire.to(address).close()
        return False
    except ConnectionRefusedError:
        return True


def test_fleet_tickets_of_one_machine_are_good_at_the_other(env):
    gateway = Gateway(env)
    text = gateway.house.postern.config.read_text().replace(f"listen   {env.ip()}:", f"listen   {env.ip(3)}:")
    folder = env.path("second")
    folder.mkdir()
    second = Postern(env, config=text.replace("error.log", "second.log"), args=["-g", (
        f"pid {folder}/postern.pid; auth_helper_path {env.build};")])
    second.pid_path = folder / "postern.pid"
    env.keep(second).start()
    session = env.path("session")
    s_client((env.ip(), 993), "-tls1_2", "-sess_out", session, said=b"z LOGOUT\r\n")
    text = s_client((env.ip(3), 993), "-tls1_2", "-sess_in", session, said=b"z LOGOUT\r\n")
    assert "\nReused, TLSv1.2" in text, text


def test_tuning_where_to_begin(env):
    ca = install(env)
    house = guide.House(env, "tuning", 0)
    house.backend(7)
    assert house.lets_in("joe", port=993, tls=ca.trust()) and not house.lets_in("joe", "wrong", port=993, tls=ca.trust())
    status, said = house.postern.run("-t", "-q")
    assert (status, said) == (0, ""), "nothing is unwise, and descriptors are enough"


def test_tuning_how_many_sessions_a_worker_has(env):
    """(worker_connections - 1) / 2; one more waits, and comes in when another has left."""
    guide.promised("tuning", "sessions of a worker = (worker_connections - 1) / 2")
    stage = Stage(env, "imap", events="worker_connections 9;")
    clients = []
    for _ in range(4):
        clients.append(stage.client())
        clients[-1].send(b"a LOGIN joe secret\r\n")
        clients[-1].expect(re.compile(rb"a OK.*"))
    waits = stage.connect()
    waits.quiet(0.3)
    clients.pop().close()
    waits.expect(b"* OK IMAP4 ready")
