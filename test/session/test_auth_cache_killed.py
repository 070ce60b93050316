"""auth_cache: workers that die or stand still within it."""
import os
import pathlib
import signal
import struct
import threading

from harness import eventually, weight
from test_auth_cache import freeze, only_right
from test_chain import NOT_NOW, OK, REFUSED, House


@weight(8)
def test_workers_that_are_killed_in_the_midst_of_it_hold_up_nobody(env):
    """A storm of logins while one worker after the other is killed: whoever gets an answer gets the right one."""
    users = "".join(f"user{i}:{{PLAIN}}right{i}\n" for i in range(8))
    house = House(env, "{file}; {backend} auth_cache zone=logins:32k ttl=1h negative=1h;", users, workers=4,
                  level="notice")
    ended, wrong, answers = threading.Event(), [], []

    def storm(number):
        good, bad = (f"user{number}", f"right{number}"), (f"user{number}", "wrong")
        while not ended.is_set():
            for who, wanted in ((good, b"a OK"), (bad, b"a NO")):
                try:
                    said = house.login(*who)
                except OSError:
                    continue
                answers.append(who)
                if said and not said.startswith(wanted) and said != NOT_NOW:
                    wrong.append((who, said))
    threads = [threading.Thread(target=storm, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(6):
        count = len(answers)
        eventually(lambda: len(answers) >= count + 100, "logins")
        pid = eventually(house.postern.children, "a worker")[0]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: pid not in house.postern.children(), "it is gone")
    ended.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a login hangs"
    assert not wrong, wrong
    for i in range(8):
        assert house.login(f"user{i}", f"right{i}") == OK
        assert REFUSED.fullmatch(house.login(f"user{i}", "wrong"))


class Locks:
    """The words by which buckets of the smallest cache are locked: two and one, each zone's on its second page."""

    def __init__(self, pid):
        self.memory = open(f"/proc/{pid}/mem", "r+b", buffering=0)
        lines = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
        self.pages = [int(line.split("-")[0], 16) + 4096 for line in lines if "memfd:postern-zone" in line]

    def read(self):
        words = []
        for page in self.pages:
            self.memory.seek(page)
            words += struct.unpack("=2I", self.memory.read(8))
        return words

    def write(self, word):
        for page in self.pages:
            self.memory.seek(page)
            self.memory.write(struct.pack("=2I", word, word))


@weight(5)
def test_who_dies_within_the_cache_leaves_its_door_open(env):
    """A worker is killed while each bucket is locked by it: the next one forgets what lay there, and goes on."""
    house = House(env, "{http}; {backend} auth_cache zone=logins:32k ttl=1h;", answer=only_right(env))
    pid, = house.postern.children()
    locks = Locks(pid)
    assert house.login("joe", "right") == OK
    assert house.asked() == ["joe"]
    freeze(pid)
    locks.write(1)          # so it says: the only child has the first slot
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: pid not in house.postern.children() and house.postern.children(), "another worker")
    for _ in range(3):
        assert house.login("joe", "right") == OK
    assert house.asked() == ["joe", "joe"]


def test_who_stands_still_within_the_cache_does_not_hold_up_others(env):
    """Its buckets serve nobody: the source is asked instead."""
    house = House(env, "{http}; {backend} auth_cache zone=logins:32k ttl=1h;", answer=only_right(env))
    locks = Locks(house.postern.children()[0])
    locks.write(60)         # of some process that lives, for all that is known
    for _ in range(3):
        assert house.login("joe", "right") == OK
    assert len(house.asked()) == 3
    locks.write(0)
    for _ in range(3):
        assert house.login("joe", "right") == OK
    assert len(house.asked()) == 4
