"""limit_conn: who is counted by what, over all workers, and what becomes of the counts of the dead."""
import os
import random
import signal
import threading

from certs import Authority
from harness import PATIENCE, Wire, eventually, weight
from peers import accept
from stage import Stage
from test_arrival import v1

ZONES = """
limit_conn_zone $remote_addr zone=addr:1m;
limit_conn_zone $remote_user zone=user:1m;
limit_conn_zone $domain zone=domain:1m;
limit_conn_zone $auth_http_x_plan zone=plan:1m;
"""
BYE = {"imap": b"* BYE [UNAVAILABLE] Too many connections", "pop3": b"-ERR [SYS/TEMP] Too many connections",
       "smtp": b"421 4.7.0 Too many connections"}
NO = b"a NO [UNAVAILABLE] Too many connections"
OK = b"a OK backend LOGIN"


def log_in(stage, user="joe", server=None, client=None):
    """A client and what it heard; it stays."""
    client = client or stage.client(server)
    client.send(b"a LOGIN %s secret\r\n" % (user if isinstance(user, bytes) else user.encode()))
    return client, client.line().rstrip(b"\r\n")


def enter(stage, *users, server=None):
    """These log in, and are let in."""
    clients = []
    for user in users:
        client, heard = log_in(stage, user, server)
        assert heard == OK, (user, heard)
        clients.append(client)
    return clients


def refused(stage, *users, server=None):
    """None of these is let in; each may go on."""
    for user in users:
        client, heard = log_in(stage, user, server)
        assert heard == NO, (user, heard)
        client.send(b"b NOOP\r\n")
        client.expect(b"b OK completed")
        client.close()


def turned_away(stage, server=None, said=b"", bye=BYE["imap"]):
    """A client that is not even greeted."""
    client = stage.connect(server)
    client.send(said)
    assert client.rest() == bye + b"\r\n"
    client.close()


def soon_in(stage, user="joe", server=None):
    """A client gets in as soon as the gateway has noticed that others have left."""
    def attempt():
        client = stage.connect(server)
        if client.line().startswith(b"* OK") and log_in(stage, user, client=client)[1] == OK:
            return client
        client.close()
        return None
    return eventually(attempt, f"{user} gets in")


# -- by what

def test_an_address_is_counted_from_its_arrival(env):
    for protocol in "imap", "pop3", "smtp":
        stage = Stage(env, protocol, mail=ZONES + "limit_conn addr 2;")
        first, second = stage.client(), stage.client()
        turned_away(stage, bye=BYE[protocol])
        stage.postern.wait_log(r'\[error\] .*limiting connections by zone "addr", client: ')
        first.close()
        eventually(lambda: arrives(stage, protocol), "the place of the first is free")
        second.close()
        stage.untouched()
        env.close()


def arrives(stage, protocol):
    client = stage.connect()
    heard = client.line().rstrip(b"\r\n")
    client.close()
    return heard != BYE[protocol]


def test_a_user_is_counted_from_the_login_on(env):
    stage = Stage(env, "imap", mail=ZONES + "limit_conn user 2;")
    waiting = [stage.client() for _ in range(4)]
    joe = enter(stage, "joe", "JOE")
    refused(stage, "joe", "Joe")
    jim = enter(stage, "jim")
    joe[0].close()
    joe.append(soon_in(stage))
    refused(stage, "joe")
    stage.postern.wait_log(r'limiting connections by zone "user" while in http auth state, client: .*, login: "joe"')
    for client in waiting + joe + jim:
        client.close()


def test_the_words_are_those_of_the_protocol(env):
    said = {"pop3": (b"USER joe\r\nPASS s\r\n", b"+OK\r\n", b"-ERR [SYS/TEMP] Too many connections\r\n"),
            "smtp": (b"EHLO x\r\nAUTH PLAIN AGpvZQBz\r\n", None, b"454 4.7.0 Too many connections\r\n")}
    for protocol, (login, before, last) in said.items():
        stage = Stage(env, protocol, mail=ZONES + "limit_conn user 1; smtp_auth plain;")
        first, second = stage.client(), stage.client()
        for client in first, second:
            client.send(login)
        heard = [b"", b""]
        for i, client in enumerate((first, second)):
            while not heard[i].endswith(last) and b"235 " not in heard[i] and heard[i].count(b"+OK") < 2:
                heard[i] += client.line()
        assert sorted(text.endswith(last) for text in heard) == [False, True], heard
        left = second if heard[1].endswith(last) else first
        left.send(b"NOOP\r\n")
        assert left.line()[:3] in (b"+OK", b"250", b"-ER"), "the dialogue goes on"
        env.close()


def test_a_refused_login_gives_back_what_it_took(env):
    def backend(wire):
        wire.send(b"* OK ready\r\n")
        for line in iter(wire.line, b""):
            word = b"OK in" if b"right" in line else b"NO no"
            wire.send(line.split(b" ")[0] + b" " + word + b"\r\n")
    stage = Stage(env, "imap", mail=ZONES + "limit_conn user 1; limit_conn addr 3;", backend=backend)
    client = stage.client()
    for _ in range(4):
        client.send(b"a LOGIN joe wrong\r\n")
        assert client.line().startswith(b"a NO [AUTHENTICATIONFAILED]")
    client.send(b"a LOGIN joe right\r\n")
    client.expect(b"a OK in")
    refused(stage, "joe")
    client.close()


def test_a_domain_is_counted_whatever_its_case(env):
    stage = Stage(env, "imap", mail=ZONES + "limit_conn domain 2;")
    clients = enter(stage, "joe@example.org", "jim@EXAMPLE.org", "joe@example.net", "joe", "jim", "jo", '"joe@"')
    refused(stage, "jack@example.ORG", '"a@b@example.org"')
    for client in clients:
        client.close()


def test_a_word_of_the_auth_server_is_counted(env):
    plans = {"joe": "gold", "jim": "gold", "jack": "tin", "jo": None, "ja": ""}

    def answer(request):
        plan = plans[request["Auth-User"]]
        return accept(env.ip(2), 2000, **({} if plan is None else {"x_PLAN": plan}))
    for cache in "", "auth_cache zone=logins:1m ttl=1h;":
        stage = Stage(env, "imap", mail=ZONES + "limit_conn plan 2;" + cache, answer=answer)
        clients = enter(stage, "joe", "jim", "jack", "jo", "jo", "jo", "ja", "ja", "ja")
        refused(stage, "joe", "jim")
        clients += enter(stage, "jack")
        refused(stage, "jack")
        for client in clients:
            client.close()
        env.close()


def test_hostile_names_are_counted_and_are_never_in_the_log(env):
    stage = Stage(env, "imap", mail=ZONES + "limit_conn user 1;")
    names = [b"x" * 1000, b"y" * 1000, b"%s%n", b"caf\xc3\xa9", b"caf\xff", b"a b", b"zone=user", b"..", b"\x1b[2J"]
    clients = []
    for name in names:
        for want in OK, NO:
            client = stage.client()
            client.send(b"a LOGIN {%d}\r\n" % len(name))
            assert client.line().startswith(b"+")
            client.send(name + b" secret\r\n")
            assert client.line().rstrip(b"\r\n") == want, name
            clients.append(client)
    assert "\x1b" not in stage.postern.log()
    for client in clients:
        client.close()


def test_an_ipv6_client_is_all_of_its_64(env):
    stage = Stage(env, "imap", {"v": "limit_conn addr 2; set_real_ip_from 127.0.0.0/8;"}, mail=ZONES,
                  listen="proxy_protocol")
    clients = []

    def come(source):
        client = stage.connect()
        client.send(v1(source, 1, "::1" if ":" in source else "198.51.100.7"))
        clients.append(client)
        return client.line().rstrip(b"\r\n")
    greeting = b"* OK IMAP4 ready"
    assert [come("2001:db8:1:2::%x" % i) for i in (1, 0xffff)] == [greeting] * 2
    assert come("2001:db8:1:2:8000::") == BYE["imap"]
    assert [come("2001:db8:1:3::1"), come("192.0.2.1"), come("192.0.2.1")] == [greeting] * 3
    assert come("192.0.2.1") == BYE["imap"]
    assert come("192.0.2.2") == greeting
    for client in clients:
        client.close()


def test_the_exempt_are_not_counted_by_address(env):
    stage = Stage(env, "imap", {"v": "limit_conn addr 1; limit_conn user 3; set_real_ip_from 127.0.0.0/8; "
                                     "limit_exempt 192.0.2.0/24; limit_exempt 2001:db8::/32;"},
                  mail=ZONES, listen="proxy_protocol")
    clients = []
    for source, count in (("192.0.2.7", 3), ("2001:db8::1", 3), ("198.51.100.1", 1)):
        for i in range(count + 1):
            client = stage.connect()
            client.send(v1(source, 1, "::1" if ":" in source else "198.51.100.7"))
            heard = client.line()
            assert heard.startswith(b"* BYE") == (source == "198.51.100.1" and i == count), (source, i)
            clients.append(client)
    for client, want in zip(clients, (OK, OK, OK, NO)):
        assert log_in(stage, client=client)[1] == want


def test_a_unix_client_is_one_address(env):
    path = env.path("sock")
    Stage(env, "imap", mail=ZONES, raw=f"server {{ listen {env.ip()}:2143; protocol imap; }} "
                                       f"server {{ listen unix:{path} mode=0666; protocol imap; limit_conn addr 1; }}")
    first = Wire.to(str(path))
    first.expect(b"* OK IMAP4 ready")
    second = Wire.to(str(path))
    assert second.rest() == BYE["imap"] + b"\r\n"
    first.close()


def test_the_server_that_sni_chooses_counts_by_its_own_limits(env):
    authority = Authority(env)
    certificate, key = authority.issue("wide.example.com", "tight.example.com")
    tls = f"ssl_certificate {certificate}; ssl_certificate_key {key};"
    stage = Stage(env, "imap", mail=ZONES, raw=f"""
        server {{ listen {env.ip()}:2143 ssl; protocol imap; server_name wide.example.com; {tls} limit_conn addr 5; }}
        server {{ listen {env.ip()}:2143 ssl; protocol imap; server_name tight.example.com; {tls} limit_conn addr 2; }}
    """)

    def come(name):
        client = stage.connect().secure(authority.trust(), name)
        clients.append(client)
        return client.line().rstrip(b"\r\n")
    clients = []
    greeting = b"* OK IMAP4 ready"
    assert [come("tight.example.com") for _ in range(3)] == [greeting] * 2 + [BYE["imap"]]
    assert [come("wide.example.com") for _ in range(3)] == [greeting] * 3
    stage.connect().expect_end()        # in front of a handshake nothing can be said
    for client in clients:
        client.close()


def test_a_dry_run_only_logs(env):
    stage = Stage(env, "imap", mail=ZONES + "limit_conn addr 1; limit_conn user 1; limit_conn_dry_run on; "
                                            "limit_conn_log_level warn;")
    clients = enter(stage, "joe", "joe", "joe")
    for zone in "addr", "user":
        stage.postern.wait_log(rf'\[warn\] .*limiting connections, dry run, by zone "{zone}"', 2)
    for client in clients:
        client.close()


def test_the_first_of_several_limits_that_is_reached_decides(env):
    stage = Stage(env, "imap", {"a": "limit_conn user 1; limit_conn domain 3;", "b": "limit_conn user 2;", "c": ""},
                  mail=ZONES + "limit_conn user 4;")
    clients = enter(stage, "joe@x", server="a")
    refused(stage, "joe@x", server="a")
    clients += enter(stage, "joe@x", server="b")
    refused(stage, "joe@x", server="b")
    clients += enter(stage, "joe@x", "joe@x", server="c")
    refused(stage, "joe@x", server="c")
    clients += enter(stage, "a@x", "b@x", server="a")
    refused(stage, "c@x", server="a")
    for client in clients:
        client.close()


def come_from_everywhere(stage, count):
    """Clients of as many addresses; each with the first that it heard."""
    clients = []
    for i in range(count):
        client = stage.connect()
        client.send(v1(f"10.0.{i // 256}.{i % 256}"))
        clients.append((client, client.line().rstrip(b"\r\n")))
    return clients


def test_a_zone_that_is_full_has_no_room_for_others(env):
    """Whom it cannot count it does not let in: a limit that is off when many come would be none. Room that is given back is used."""
    mail = "limit_conn_zone $remote_addr zone=small:32k; limit_conn small 5; set_real_ip_from 127.0.0.0/8;"
    options = {"mail": mail, "listen": "proxy_protocol", "level": "info", "events": "worker_connections 10000;",
               "main": "worker_rlimit_nofile 20000;"}
    stage = Stage(env, "imap", {"limit": "", "dry": "limit_conn_dry_run on;"}, **options)
    clients = come_from_everywhere(stage, 900)
    refused = [i for i, (_, heard) in enumerate(clients) if heard == BYE["imap"]]
    assert all(heard in (b"* OK IMAP4 ready", BYE["imap"]) for _, heard in clients)
    assert 100 <= refused[0] and 100 <= len(refused) <= 700, (len(refused), refused[:5])
    stage.postern.wait_log('limiting connections by zone "small", which is full while', len(refused))
    dry = stage.connect("dry")
    dry.send(v1(f"10.0.{refused[0] // 256}.{refused[0] % 256}"))
    dry.expect(b"* OK IMAP4 ready")
    stage.postern.wait_log('limiting connections, dry run, by zone "small", which is full')
    dry.close()
    again = stage.connect()         # whose address is counted already is none of those
    again.send(v1("10.0.0.0"))
    again.expect(b"* OK IMAP4 ready")
    again.close()
    for client, _ in clients:
        client.close()

    def is_let_in():
        client = stage.connect()
        client.send(v1(f"10.0.{refused[0] // 256}.{refused[0] % 256}"))
        heard = client.line()
        client.close()
        return heard.startswith(b"* OK")
    eventually(is_let_in, "there is room again")


# -- over all workers

def test_all_workers_count_together_and_a_reload_forgets_nothing(env):
    stage = Stage(env, "imap", mail=ZONES + "limit_conn user 6; limit_conn addr 10;", workers=2)
    clients = enter(stage, *["joe"] * 6)
    lines = stage.postern.wait_log("client logged in", 6)
    assert len({line.split("#")[0].split("] ")[1] for line in lines}) == 2, "both workers have some"
    refused(stage, "joe")
    stage.postern.reload()
    refused(stage, "joe", "joe")
    others = [soon_in(stage, "jim") for _ in range(4)]      # those that were refused may not have left yet
    turned_away(stage)
    clients[0].close()
    clients[0] = soon_in(stage)
    turned_away(stage)
    stage.postern.reload()
    turned_away(stage)
    for client in clients + others:
        client.close()
    eventually(lambda: arrives(stage, "imap"), "all have left")


def test_another_size_or_key_starts_empty(env):
    stage = Stage(env, "imap", mail=ZONES + "limit_conn user 1;")
    client, = enter(stage, "joe")
    text = stage.postern.config.read_text()
    stage.postern.config.write_text(text.replace("zone=user:1m", "zone=user:2m"))
    stage.postern.reload()
    stage.postern.wait_log('"limit_conn_zone" zone "user" has another size or key and starts empty')
    client2, = enter(stage, "joe")
    refused(stage, "joe")
    client.close()
    client2.close()


class Crowd:
    """Threads that come, log in, say something, and leave, for as long as there is work."""

    def __init__(self, stage, count):
        self.stage, self.done, self.logins, self.lock = stage, threading.Event(), 0, threading.Lock()
        self.threads = [threading.Thread(target=self.work, args=(i,), daemon=True) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def work(self, number):
        pick = random.Random(number)
        while not self.done.is_set():
            try:
                client = Wire.to(self.stage.address())
                if client.line().startswith(b"* OK"):
                    if pick.random() < 0.8:
                        client, heard = log_in(self.stage, f"u{number % 4}@example.org", client=client)
                        if heard == OK:
                            with self.lock:
                                self.logins += 1
                            self.done.wait(pick.random() / 10)
                client.close()
            except (OSError, TimeoutError):
                self.done.wait(0.01)

    def stop(self):
        self.done.set()
        for thread in self.threads:
            thread.join(PATIENCE)


def as_many_as_may(stage, limit):
    """As many as may be here, and not one more: they stay."""
    def attempt():
        clients = [stage.connect() for _ in range(limit)]
        heard = [client.line() for client in clients]
        more = stage.connect()
        last = more.line()
        more.close()
        if all(line.startswith(b"* OK") for line in heard) and last.startswith(b"* BYE"):
            return clients
        for client in clients:
            client.close()
        return None
    return eventually(attempt, f"there is room for {limit}", patience=60)


@weight(40, limit=240)
def test_two_hundred_killed_workers_leave_no_count(env):
    stage = Stage(env, "imap", mail=ZONES + "limit_conn addr 30; limit_conn user 20; limit_conn domain 25;", workers=4,
                  level="notice")
    pick = random.Random(200)
    crowd = Crowd(stage, 12)
    killed, drained, old = 0, 0, []
    while killed < 200:
        # Some stay, so that the workers that are told to go have somebody to stay for.
        for _ in range(4):
            try:
                old.append(enter(stage, "old@example.org")[0])
            except (AssertionError, OSError):
                pass
        before = len(stage.postern.children())
        stage.postern.kill(signal.SIGHUP)
        eventually(lambda: len(stage.postern.children()) > before or len(stage.postern.children("shutting down")) > 0
                   or before == 0, "another generation")
        for _ in range(10):
            alive = stage.postern.children()
            if alive:
                victim = pick.choice(alive)
                is_draining = victim in stage.postern.children("shutting down")
                try:
                    os.kill(victim, signal.SIGKILL)
                except ProcessLookupError:      # the last of its clients had left
                    continue
                killed, drained = killed + 1, drained + is_draining
                eventually(lambda: set(stage.postern.children()) != set(alive), "it is gone")
        for client in old:
            client.close()
        old = []
    assert crowd.logins > 0 and drained >= 10, (crowd.logins, drained)
    crowd.stop()
    stage.postern.reload()
    here = as_many_as_may(stage, 30)
    for client, user, heard in zip(here, ["u1"] * 21 + ["u2"] * 5 + ["u3"], [OK] * 20 + [NO] + [OK] * 5 + [NO]):
        assert log_in(stage, user + "@example.org", client=client)[1] == heard, user
    for client in here:
        client.close()
