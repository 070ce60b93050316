"""What two masters share, and what goes from one to the next: limits, caches, TLS sessions and tickets."""
import os

import signal
import time

from certs import Authority
from harness import eventually
from stage import Stage
from test_auth_cache import only_right
from test_chain import OK, House
from test_limits_conn import ZONES, enter, refused, soon_in
from test_tls import settings
from test_tls_sessions import V12, V13, leave, resumes, visit
from test_upgrade import Upgrade, gone

HTTP = "{http}; {backend} auth_cache zone=logins:1m ttl=1h negative=1h;"


def counted(env, limit=4):
    stage = Stage(env, "imap", mail=ZONES + f"limit_conn user {limit};", workers=2)
    return stage, Upgrade(env, postern=stage.postern)


# --- limits ---

def test_both_masters_count_together(env):
    stage, up = counted(env)
    old = enter(stage, "joe", "joe")
    new = up.begin()
    only_new_accepts(up)
    more = enter(stage, "joe", "joe")
    refused(stage, "joe")
    old[0].close()
    more.append(soon_in(stage))
    refused(stage, "joe")
    # A worker of the new one dies: its sessions are counted no more, those of the old one are.
    for worker in new.children():
        os.kill(worker, signal.SIGKILL)
    more = [soon_in(stage) for _ in range(3)]
    refused(stage, "joe")
    old[1].close()
    more.append(soon_in(stage))
    refused(stage, "joe")
    up.end_old()
    refused(stage, "joe")
    for client in more:
        client.close()
    for client in [soon_in(stage) for _ in range(4)]:
        client.close()


def test_what_a_killed_old_master_held_is_given_back(env):
    stage, up = counted(env)
    held = enter(stage, "joe", "joe", "joe")
    up.begin()
    only_new_accepts(up)
    held += enter(stage, "joe")
    refused(stage, "joe")
    workers = up.old.children()
    # Stopped workers hold on, though their master is dead: nothing of theirs may be given back before they are.
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    up.kill_old()
    time.sleep(0.3)
    refused(stage, "joe")
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    eventually(lambda: all(gone(worker) for worker in workers), "the end of its workers")
    more = [soon_in(stage) for _ in range(3)]
    refused(stage, "joe")
    up.begin()                          # the slots of the dead are given away again
    refused(stage, "joe")
    for client in more + held[3:]:
        client.close()
    for client in [soon_in(stage) for _ in range(4)]:
        client.close()
    up.end_old()


def test_what_a_killed_new_master_held_is_given_back(env):
    stage, up = counted(env)
    held = enter(stage, "joe")
    for winch in (False, True):
        new = up.begin()
        workers = new.children()
        only_new_accepts(up)
        more = enter(stage, "joe", "joe", "joe")
        refused(stage, "joe")
        if winch:
            new.kill(signal.SIGWINCH)
            up.old.kill(signal.SIGHUP)
        up.end_new(signal.SIGKILL)
        for client in more:
            client.expect_end()
        more = [soon_in(stage) for _ in range(3)]
        refused(stage, "joe")
        for client in more:
            client.close()
    held[0].close()
    up.round()
    more = [soon_in(stage) for _ in range(4)]
    refused(stage, "joe")
    for client in more:
        client.close()


def only_new_accepts(up):
    """WINCH to the old one; returns when all of its workers that are left are on their way out."""
    up.old.kill(signal.SIGWINCH)
    eventually(lambda: up.old.children() == up.old.children("shutting down"), "that only the new one accepts")


def test_another_size_or_key_starts_empty_and_says_so(env):
    stage, up = counted(env, 1)
    held = enter(stage, "joe")
    text = stage.postern.config.read_text()
    stage.postern.config.write_text(text.replace("zone=user:1m", "zone=user:2m"))
    up.begin()
    stage.postern.wait_log('"limit_conn_zone" zone "user" has another size or key and starts empty')
    held[0].close()
    up.end_old()
    held = [soon_in(stage)]
    refused(stage, "joe")
    held[0].close()


# --- caches ---

def test_answers_of_an_auth_server_go_along(env):
    house = House(env, HTTP, answer=only_right(env), workers=2)
    up = Upgrade(env, postern=house.postern)
    assert house.login("joe", "right") == OK
    assert house.login("jim", "wrong") == b"a NO Invalid login"
    asked = len(house.auth.requests)
    for _ in range(2):
        up.round()
        assert house.login("joe", "right") == OK
        assert house.login("jim", "wrong") == b"a NO Invalid login"
    assert len(house.auth.requests) == asked


def test_a_master_does_not_take_the_file_of_another_for_its_own(env):
    """Both answer from the file as it is now, and neither from what the other had kept of it."""
    house = House(env, "{file}; {backend} auth_cache zone=logins:1m ttl=1h negative=1h;", users="joe:{PLAIN}secret\n")
    up = Upgrade(env, postern=house.postern)
    up.begin()
    for _ in range(3):
        assert house.login("joe", "secret") == OK
    house.file.write_text("joe:{PLAIN}other\n")
    eventually(lambda: house.login("joe", "other") == OK, "the new password")
    eventually(lambda: all(house.login("joe", "secret") != OK for _ in range(3)), "that the old password opens nothing")
    up.end_old()        # who may have given all the answers so far
    eventually(lambda: house.login("joe", "other") == OK, "the new password")
    assert house.login("joe", "secret") != OK


# --- TLS ---

def test_sessions_and_tickets_are_good_for_both_masters(env):
    ca = Authority(env)
    pair = ca.issue("mail.example.com")
    stage = Stage(env, "imap", {
        "tickets": settings(pair),
        "numbers": settings(pair, "ssl_session_cache shared:a:1m; ssl_session_tickets off;")}, listen="ssl", workers=2)
    up = Upgrade(env, postern=stage.postern)
    ways = [("tickets", ca.trust(version=V12)), ("tickets", ca.trust(version=V13)), ("numbers", ca.trust(version=V12))]

    def sessions():
        return [leave(visit(stage.address(server), context)) for server, context in ways]

    def check(kept, who):
        for (server, context), session in zip(ways, kept):
            assert resumes(stage.address(server), context, session), (server, who)

    of_old = sessions()
    up.begin()
    both = sessions()                   # of either
    for _ in range(4):
        check(of_old, "of the old one")
        check(both, "of one of them")
    only_new_accepts(up)
    check(of_old, "of the old one by the new one")
    of_new = sessions()
    up.old.kill(signal.SIGHUP)          # and back again
    eventually(lambda: len(up.old.children()) >= 2, "workers of the old one")
    up.end_new()
    check(of_new, "of the new one by the old one")
    up.round()
    up.round()
    check(of_old + of_new, "of the first and of one that is gone")
