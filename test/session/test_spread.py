"""Sessions spread over the workers, also when they come so slowly that the same worker could take each."""
import collections
import re
import time

from harness import Wire, eventually, slow, weight
from stage import Stage

WORKERS, SESSIONS = 4, 400


def spread(env, a_second):
    """Logs in and stays, one after the other; each worker has its share of all, within a tenth."""
    stage = Stage(env, "imap", workers=WORKERS, level="info", events="worker_connections 4096;")
    began, held = time.monotonic(), []
    for i in range(SESSIONS):
        time.sleep(max(0, began + i / a_second - time.monotonic()))
        wire = Wire.to(stage.address())
        wire.send(b"a LOGIN joe x\r\n")
        wire.expect(b"* OK IMAP4 ready", b"a OK backend LOGIN")
        held.append(wire)
    lines = stage.postern.wait_log("client logged in", SESSIONS)
    shares = collections.Counter(re.search(r" (\d+)#", line)[1] for line in lines)
    share = SESSIONS / WORKERS
    assert len(shares) == WORKERS and all(abs(count - share) <= share / 10 for count in shares.values()), shares
    for wire in held:
        wire.close()
    eventually(lambda: stage.postern.log().count("proxied session done") == SESSIONS, "the end of all sessions")


@weight(9)
def test_sessions_that_come_one_by_one_are_spread(env):
    spread(env, 60)


@slow
@weight(45)
def test_ten_logins_a_second_are_spread(env):
    spread(env, 10)
