"""Reloads and upgrades in a row, under load: no session, no byte and no connection is lost by them."""
import re
import signal
from collections import Counter

from certs import Authority
from harness import Skip, Vitals, Wire, eventually, open_files, slow, weight
from load import Load
from real import Dovecot
from test_upgrade import Upgrade

MESSAGE = b"Subject: long\r\n\r\n" + b"".join(b"line %d of a long message\r\n" % i for i in range(10000))
EVENTS = "worker_connections 4096;"
USERS = 20000           # of auth_file


def text(env, pair, by_address=5000, by_domain=5000):
    def server(protocol, port, *more):
        return f"server {{ listen {env.ip()}:{port} backlog=2048; protocol {protocol}; {' '.join(more)} }}\n"

    tls = "listen {}:{} ssl backlog=2048;"
    return f"""
    auth_http {env.ip(3)}:9000/auth;
    ssl_certificate {pair[0]}; ssl_certificate_key {pair[1]};
    starttls on;
    proxy_smtp_auth on; xclient off;
    timeout 60s;
    limit_conn_zone $remote_addr zone=addresses:256k;
    limit_conn_zone $domain zone=domains:256k;
    limit_conn addresses {by_address}; limit_conn domains {by_domain};
    {server("imap", 2143, tls.format(env.ip(), 2993), f"listen unix:{env.path('imap.sock')};",
            f"listen [::1]:{env.port()};")}
    {server("pop3", 2110, tls.format(env.ip(), 2995), f"listen unix:{env.path('pop3.sock')};")}
    {server("smtp", 2587, tls.format(env.ip(), 2465), f"listen unix:{env.path('smtp.sock')};")}
    {server("imap", 2144, f"auth_file {env.path('users')}; proxy_pass {env.ip(2)}:2000;")}
"""


def doors(env):
    def door(protocol, address, tls="no", **more):
        return {"protocol": protocol, "address": address, "tls": tls, **more}

    found = [door("imap", ("::1", env.port())), door("imap", (env.ip(), 2144), file=True)]
    for protocol, plain, secure in ("imap", 2143, 2993), ("pop3", 2110, 2995), ("smtp", 2587, 2465):
        found += [door(protocol, (env.ip(), plain)), door(protocol, (env.ip(), plain), "start"),
                  door(protocol, (env.ip(), secure), "yes"), door(protocol, str(env.path(protocol + ".sock")))]
    return found


def dovecot(env):
    """One with the same mailbox for whoever comes, or None."""
    try:
        real = Dovecot(env, env.ip(5), {}, first="passdb {\n  driver = static\n  args = nopassword=yes\n}\n",
                       more=f"mail_location = maildir:{env.path('dovecot/mail/anybody')}\n")
    except Skip:
        return None
    real.deliver("anybody", MESSAGE)
    return real.imap


class Siege:
    """A gateway, and those who keep it busy."""

    def __init__(self, env, sessions, rate):
        self.env = env
        authority = Authority(env)
        self.pair = authority.issue("mail.example.com")
        env.write("users", "".join(f"{name}:{{PLAIN}}secret\n" for name in Load.user_names(USERS)))
        self.up = Upgrade(env, text(env, self.pair), workers=4, level="notice", events=EVENTS)
        self.before = self.settled()
        self.load = Load(env, doors(env), sessions, rate, authority.certificate, dovecot(env), MESSAGE)
        self.load.ask("settle")

    def master(self):
        return self.up.old

    def renew_when_resting(self):
        """Nobody comes to the old master's workers any more; who is there is told to leave."""
        old = self.up.old
        old.kill(signal.SIGWINCH)
        eventually(lambda: old.children() == old.children("worker process is shutting down"), "the old workers' rest")
        self.load.begin("renew")

    def upgrade(self):
        """The operator is content with the new binary. The old one stays as long as its last session."""
        self.up.begin()
        self.renew_when_resting()
        self.up.end_old()
        self.load.answer()

    def roll_back(self):
        self.up.begin()
        self.renew_when_resting()
        self.load.answer()
        self.up.old.kill(signal.SIGHUP)
        eventually(lambda: set(self.up.old.children()) - set(self.up.old.children("shutting down")), "workers again")
        new = self.up.new
        new.kill(signal.SIGWINCH)
        eventually(lambda: new.children() == new.children("worker process is shutting down"), "the new workers' rest")
        self.load.begin("renew")
        self.up.end_new()
        self.load.answer()

    def settled(self):
        """The master as it is when nobody but the workers of one generation and the helpers is there."""
        master = self.master()
        eventually(lambda: len(master.children("postern: ")) == 6, "only four workers and two helpers are there")
        return Counter(re.sub(r"\d+", "N", name) for name in open_files(master.pid).values())

    def end(self):
        """All leave; nothing was lost, and nothing is left of them."""
        sums = self.load.ask("end")
        assert sums["inside"] == 0 and sums["left"] == sums["logins"] and sums["bytes"] > 0, sums
        print(f"{sums['logins']} logins, {sums['bytes']} bytes carried, {sums['fetched']} of messages; {sums['ways']}")
        master = self.master()
        check_counts(self.env, master, self.pair)
        assert self.settled() == self.before, (self.before, self.settled())
        bad = re.findall(r".*\[(?:alert|crit|emerg)\].*|.*\[error\] .*reload failed.*", master.log())
        assert not bad, "\n".join(bad[:20])


def check_counts(env, master, pair):
    """Nobody is counted any more: as many as there may be come in, and not one more."""
    master.write(text(env, pair, by_address=3, by_domain=2), events=EVENTS, workers=4, level="notice")
    master.reload()
    eventually(lambda: not master.children("shutting down"), "the end of the workers of before")
    clients = [Wire.to((env.ip(), 2143)) for _ in range(3)]
    for client in clients:
        client.expect(re.compile(rb"\* OK .*"))
    Wire.to((env.ip(), 2143)).expect(b"* BYE [UNAVAILABLE] Too many connections")
    for number, client in enumerate(clients):
        client.send(b"a LOGIN n-%d@example.com secret\r\n" % number)
        client.expect(re.compile(rb"a OK .*") if number < 2 else re.compile(rb"a NO \[UNAVAILABLE\] Too many .*"))
    for client in clients:
        client.close()


def reload_often(siege, count):
    """Each with some who come in. Returns how much memory the master uses when all of them have left."""
    for _ in range(count):
        siege.master().reload()
        siege.load.ask("arrive")
    master = siege.master()
    eventually(lambda: len(master.children()) == len(master.children("shutting down")) + 4, "the old workers' rest")
    siege.load.ask("renew")
    siege.settled()
    return Vitals(siege.master().pid).memory_kb()


def endure(env, sessions, rate, reloads, upgrades):
    siege = Siege(env, sessions, rate)
    used_kb = reload_often(siege, reloads // 2)
    reload_often(siege, reloads // 2)
    Vitals(siege.master().pid).check_memory(used_kb, 512)
    for count in range(1, upgrades + 1):
        if count % 5 == 3:
            siege.roll_back()
        else:
            siege.upgrade()
            siege.master().reload()
    siege.end()


@weight(40, limit=240)
def test_reloads_and_upgrades_lose_nothing(env):
    endure(env, sessions=100, rate=10, reloads=10, upgrades=3)


@slow
@weight(300, limit=1200)
def test_a_hundred_reloads_and_twenty_upgrades_lose_nothing(env):
    endure(env, sessions=300, rate=20, reloads=100, upgrades=20)
