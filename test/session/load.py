#!/usr/bin/env python3
"""Many clients at once, with the backends and the auth server behind the gateway, in a process of its own.

    load.py SPEC        a file in JSON that Load writes

A session logs in at one of the doors, in one of several ways, and then carries two streams of
frames, one each way, each at a pace of its own. Its name is the seed of both. When it leaves, each
side says so by an empty frame, and what one has sent must be what the other has got, to the byte.
There are those that stay, those that stay for a while, and those that come all the time and leave
soon. Nothing may fail: not a connection, not a login, not a byte.

"settle" on the standard input is answered when most of those that shall be there have been let in;
"arrive" when some more have; "renew" when all that were there have left and others have come in
their stead; "end" with the sums, when all have left. An answer is a line of JSON.
"""
import asyncio
import base64
import collections
import hashlib
import json
import pathlib
import random
import re
import ssl
import subprocess
import sys

PATIENCE = 60           # seconds for each step of a session
LIMIT = 1 << 16         # of a line
ERRORS = 20             # that are told in full


class Load:
    """The other process, seen from a test. `doors` are what clients come to: (protocol, address, tls), with tls
    "no", "yes" or "start". At those with "file" only user_names() come; users whose names begin with "d" are sent to
    `dovecot`, where there is one message."""

    def __init__(self, env, doors, sessions, rate, ca=None, dovecot=None, message=b""):
        spec = {"doors": doors, "sessions": sessions, "rate": rate, "ca": str(ca) if ca else None,
                "auth": [env.ip(3), 9000], "slow": env.ip(4), "host": env.ip(2),
                "dovecot": dovecot, "message": hashlib.sha256(message).hexdigest()}
        path = env.write("load.json", json.dumps(spec))
        self.errors = open(env.path("load.log"), "wb")
        self.process = subprocess.Popen([sys.executable, __file__, str(path)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True)
        env.keep(self)
        self.answer()

    @staticmethod
    def user_names(count):
        return [f"f{number}@example.com" for number in range(count)]

    def answer(self):
        line = self.process.stdout.readline()
        assert line, "the load generator is gone: see load.log"
        answer = json.loads(line)
        assert not answer["errors"], "\n".join(answer["errors"])
        return answer

    def ask(self, word):
        """Says a word and waits for the answer to it; what has gone wrong is raised."""
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.answer()

    def begin(self, word):
        """The same without the wait; answer() is for later."""
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.errors.close()


# --- what goes to and fro ---

class Stream:
    """One direction of a session: the digest of what was sent, and that of what has come."""

    def __init__(self):
        self.sent, self.got, self.bytes = hashlib.sha256(), hashlib.sha256(), 0

    def agrees(self):
        return self.sent.digest() == self.got.digest()


class Talk:
    """What both sides know of a session, by its user's name."""

    def __init__(self, name):
        self.name, self.up, self.down = name, Stream(), Stream()
        self.leave = asyncio.Event()
        self.stage = "connecting"


async def patient(work):
    return await asyncio.wait_for(work, PATIENCE)


async def send_frame(writer, stream, data):
    frame = len(data).to_bytes(4, "big") + data
    stream.sent.update(frame)
    stream.bytes += len(frame)
    writer.write(frame)
    await patient(writer.drain())


async def take_frame(reader, stream):
    """The next frame's content; empty: it was the last."""
    head = await reader.readexactly(4)
    data = await reader.readexactly(int.from_bytes(head, "big"))
    stream.got.update(head + data)
    return data


def some_bytes(dice):
    """Mostly a few lines; now and then so much that sockets are full."""
    return dice.randbytes(dice.randrange(100_000, 400_000) if dice.random() < 0.03 else dice.randrange(1, 3000))


async def push(writer, stream, seed, leave):
    """Sends frames until it is time to leave."""
    dice = random.Random(seed)
    pace = dice.uniform(0.3, 3)
    while not leave.is_set():
        await send_frame(writer, stream, some_bytes(dice))
        try:
            await asyncio.wait_for(leave.wait(), dice.uniform(0, pace))
        except asyncio.TimeoutError:
            pass
    await send_frame(writer, stream, b"")


async def pull(reader, stream):
    while await take_frame(reader, stream):
        pass


# --- behind the gateway ---

def user_of(line):
    """Who a backend's LOGIN, USER or AUTH PLAIN names."""
    match = re.fullmatch(rb'(?:\S+ LOGIN|USER) "?([^" ]+)"?(?: .*)?\r\n', line)
    if match:
        return match[1].decode()
    match = re.fullmatch(rb"AUTH PLAIN (\S+)\r\n", line)
    return base64.b64decode(match[1]).split(b"\0")[1].decode() if match else None


class Behind:
    """The backends, and the auth server that lets everybody in."""

    def __init__(self, crowd):
        self.crowd, self.spec = crowd, crowd.spec
        self.ports = {"imap": 2000, "pop3": 2001, "smtp": 2002}

    async def start(self):
        for protocol, port in self.ports.items():
            await asyncio.start_server(self.guard(getattr(self, protocol)), self.spec["host"], port, backlog=1024)
        await asyncio.start_server(self.guard(self.auth), *self.spec["auth"], backlog=1024)
        for number, door in enumerate(self.spec["doors"]):
            await asyncio.start_server(self.guard(self.laggard(door["address"])), self.spec["slow"], 3000 + number,
                                       backlog=1024)

    def guard(self, serve):
        """What goes wrong here goes wrong for the client as well, but is known better here."""
        async def call(reader, writer):
            try:
                await serve(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                self.crowd.note(f"behind: {error!r}")
            finally:
                writer.close()
        return call

    async def auth(self, reader, writer):
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return          # a worker has closed a connection that it kept
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line)
            name, protocol = fields["Auth-User"], fields["Auth-Protocol"]
            if name[0] == "a":
                await asyncio.sleep(random.uniform(0.5, 3))
            host, port = self.spec["dovecot"] if name[0] == "d" else (self.spec["host"], self.ports[protocol])
            writer.write(f"HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Server: {host}\r\nAuth-Port: {port}\r\n"
                         "Content-Length: 0\r\n\r\n".encode())

    async def imap(self, reader, writer):
        writer.write(b"* OK [CAPABILITY IMAP4rev1] ready\r\n")
        line = await reader.readline()
        if line:
            await self.talk(reader, writer, user_of(line), line.split()[0] + b" OK in\r\n")

    async def pop3(self, reader, writer):
        writer.write(b"+OK ready\r\n")
        line = await reader.readline()
        if line:
            writer.write(b"+OK\r\n")
            await reader.readline()
            await self.talk(reader, writer, user_of(line), b"+OK in\r\n")

    async def smtp(self, reader, writer):
        writer.write(b"220 backend ESMTP\r\n")
        if await reader.readline():
            writer.write(b"250-backend\r\n250 AUTH PLAIN\r\n")
            line = await reader.readline()
            await self.talk(reader, writer, user_of(line), b"235 2.7.0 in\r\n")

    async def talk(self, reader, writer, name, answer):
        talk = self.crowd.talks.setdefault(name, Talk(name))     # a test may come by itself
        if name[0] == "b":
            await asyncio.sleep(random.uniform(0.5, 3))
        writer.write(answer)
        leave = asyncio.Event()
        pusher = asyncio.create_task(push(writer, talk.down, "down " + name, leave))
        try:
            await pull(reader, talk.up)
            leave.set()
            await pusher
            await reader.read()         # the client closes
        finally:
            pusher.cancel()

    def laggard(self, address):
        """A way to a door on which all that clients say comes in two pieces, some time apart, for a while."""
        async def carry(reader, writer, cuts):
            while data := await reader.read(65536):
                if cuts > 0:
                    writer.write(data[:len(data) // 2])
                    await asyncio.sleep(random.uniform(0.1, 1))
                    data, cuts = data[len(data) // 2:], cuts - 1
                writer.write(data)
                await writer.drain()

        async def serve(reader, writer):
            ahead = await connect(address)
            up = asyncio.create_task(carry(reader, ahead[1], 6))
            down = asyncio.create_task(carry(ahead[0], writer, 0))
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            up.cancel()
            down.cancel()
            ahead[1].close()
        return serve


# --- in front of it ---

async def connect(address, **tls):
    if isinstance(address, str):
        return await asyncio.open_unix_connection(address, limit=LIMIT, **tls)
    return await asyncio.open_connection(*address, limit=LIMIT, **tls)


class Client:
    """One session, as its client sees it."""

    STARTTLS = {"imap": (b"s STARTTLS\r\n", b"s OK"), "pop3": (b"STLS\r\n", b"+OK"), "smtp": (b"STARTTLS\r\n", b"220")}
    GREETING = {"imap": b"* OK", "pop3": b"+OK", "smtp": b"220"}

    def __init__(self, crowd, talk, door, number):
        self.crowd, self.talk, self.door = crowd, talk, door
        self.dice = random.Random(talk.name)
        self.address = door["address"]
        if talk.name[0] == "s":
            self.address = crowd.spec["slow"], 3000 + number

    async def pause(self):
        """Some do not begin at once."""
        if self.dice.random() < 0.3:
            await asyncio.sleep(self.dice.uniform(0, 2))

    async def expect(self, begin):
        line = await patient(self.reader.readline())
        assert line and line.startswith(begin), f"wanted {begin!r}, heard {line!r}"
        return line

    async def say(self, text, *answers):
        self.writer.write(text)
        for begin in answers:
            await self.expect(begin)

    async def enter(self):
        """Comes in by the door."""
        tls = {"ssl": self.crowd.tls, "server_hostname": "mail.example.com"}
        self.reader, self.writer = await patient(connect(self.address, **(tls if self.door["tls"] == "yes" else {})))
        self.talk.stage = "waiting for the greeting"
        await self.expect(self.GREETING[self.door["protocol"]])
        self.talk.stage = "greeted"
        await self.pause()
        if self.door["tls"] == "start":
            command, answer = self.STARTTLS[self.door["protocol"]]
            if self.door["protocol"] == "smtp":
                await self.hello()
            await self.say(command, answer)
            self.talk.stage = "in its handshake"
            await patient(self.writer.start_tls(self.crowd.tls, server_hostname="mail.example.com"))
            self.talk.stage = "secured"
            await self.pause()

    async def hello(self):
        self.writer.write(b"EHLO client\r\n")
        while (await self.expect(b"250"))[3:4] == b"-":
            pass

    async def log_in(self):
        """Logs in; some send their first frame right behind."""
        self.talk.stage = "logging in"
        await getattr(self, "log_in_" + self.door["protocol"])(self.talk.name)
        self.talk.stage = "logged in"

    async def ahead(self, ready):
        if ready and self.talk.name[0] != "d" and self.dice.random() < 0.3:
            await send_frame(self.writer, self.talk.up, some_bytes(self.dice))

    async def log_in_imap(self, name):
        if self.dice.random() < 0.3:
            plain = base64.b64encode(f"\0{name}\0secret".encode())
            await self.say(b"a AUTHENTICATE PLAIN\r\n", b"+")
            self.writer.write(plain + b"\r\n")
        else:
            self.writer.write(f"a LOGIN {name} secret\r\n".encode())
        await self.ahead(True)
        await self.expect(b"a OK")

    async def log_in_pop3(self, name):
        await self.say(f"USER {name}\r\n".encode(), b"+OK")
        await self.pause()
        self.writer.write(b"PASS secret\r\n")
        await self.ahead(True)
        await self.expect(b"+OK")

    async def log_in_smtp(self, name):
        await self.hello()
        await self.pause()
        await self.say(b"AUTH PLAIN " + base64.b64encode(f"\0{name}\0secret".encode()) + b"\r\n", b"235")

    async def carry(self):
        """Both streams, to their ends."""
        puller = asyncio.create_task(pull(self.reader, self.talk.down))
        pusher = asyncio.create_task(push(self.writer, self.talk.up, "up " + self.talk.name, self.talk.leave))
        try:
            done, _ = await asyncio.wait((pusher, puller), return_when=asyncio.FIRST_COMPLETED)
            assert pusher in done or puller.exception(), "the backend has left by itself"
            await patient(asyncio.gather(pusher, puller))
        finally:
            pusher.cancel()
            puller.cancel()
        assert self.talk.up.agrees(), "what the backend got is not what was sent"
        assert self.talk.down.agrees(), "what the client got is not what was sent"

    async def read_mail(self):
        """A real server: its message again and again, and IDLE between."""
        await self.say(b"b SELECT INBOX\r\n")
        while not (await self.expect(b"")).startswith(b"b "):
            pass
        while not self.talk.leave.is_set():
            self.writer.write(b"c FETCH 1 BODY.PEEK[]\r\n")
            line = await self.expect(b"* 1 FETCH")
            message = await patient(self.reader.readexactly(int(re.search(rb"\{(\d+)\}", line)[1])))
            assert hashlib.sha256(message).hexdigest() == self.crowd.spec["message"], "another message"
            self.crowd.fetched += len(message)
            await self.expect(b")")
            await self.expect(b"c OK")
            await self.say(b"d IDLE\r\n", b"+")
            await asyncio.wait((asyncio.create_task(self.talk.leave.wait()),), timeout=self.dice.uniform(0.3, 3))
            self.writer.write(b"DONE\r\n")
            while not (await self.expect(b"")).startswith(b"d OK"):
                pass
        await self.say(b"e LOGOUT\r\n", b"* BYE", b"e OK")


class Crowd:
    def __init__(self, spec):
        self.spec = spec
        self.dice = random.Random(1)
        self.talks = {}
        self.errors, self.error_count = [], 0
        self.present, self.inside = set(), set()        # the talks that have begun, and of these who is logged in
        self.logins, self.left, self.bytes, self.fetched = 0, 0, 0, 0
        self.ways = collections.Counter()
        self.ending = False
        self.tls = ssl.create_default_context(cafile=spec["ca"]) if spec["ca"] else None

    def note(self, text):
        self.error_count += 1
        if len(self.errors) < ERRORS:
            self.errors.append(text)

    def choose(self):
        """A new user and its door. The first letter of the name says what is slow, or who is behind."""
        number = self.dice.randrange(len(self.spec["doors"]))
        door = self.spec["doors"][number]
        kinds = "nnnnabs" + ("d" if self.spec["dovecot"] and door["protocol"] == "imap" else "")
        if door.get("file"):
            kinds = "f"
        name = f"{self.dice.choice(kinds)}{len(self.talks)}@example.com"
        self.talks[name] = Talk(name)
        return Client(self, self.talks[name], door, number)

    async def visit(self, seconds):
        """One session, from its connection to its end. Whatever goes wrong is told."""
        client = self.choose()
        talk, door = client.talk, client.door
        timer = asyncio.get_running_loop().call_later(seconds, talk.leave.set) if seconds else None
        self.present.add(talk)
        try:
            await client.enter()
            await client.log_in()
            self.logins += 1
            self.ways[f"{door['protocol']} {door['tls']} {'unix' if isinstance(door['address'], str) else 'tcp'}"] += 1
            self.inside.add(talk)
            await (client.read_mail() if talk.name[0] == "d" else client.carry())
            self.left += 1
            self.bytes += talk.up.bytes + talk.down.bytes
        except (OSError, AssertionError, asyncio.TimeoutError, asyncio.IncompleteReadError, KeyError) as error:
            self.note(f"{talk.name} at {door}, {talk.stage}: {error!r}")
        finally:
            self.present.discard(talk)
            self.inside.discard(talk)
            if timer:
                timer.cancel()
            if hasattr(client, "writer"):
                client.writer.close()

    async def stay(self):
        """A place that is never empty for long. Every fourth stays until it is told to leave."""
        while not self.ending:
            await self.visit(self.dice.choice((None, self.dice.uniform(1, 4), self.dice.uniform(3, 12), 20)))

    async def come(self):
        """Newcomers without end, who leave soon."""
        visits = set()
        while not self.ending:
            visits.add(asyncio.create_task(self.visit(self.dice.uniform(0.01, 2))))
            await asyncio.sleep(1 / self.spec["rate"])
            visits = {visit for visit in visits if not visit.done()}
        if visits:
            await asyncio.wait(visits)

    def report(self):
        errors = self.errors + ([f"{self.error_count} errors in all"] if self.error_count else [])
        print(json.dumps({"errors": errors, "logins": self.logins, "left": self.left, "bytes": self.bytes,
                          "fetched": self.fetched, "inside": len(self.inside), "ways": self.ways}), flush=True)

    async def reach(self, condition):
        """Waits for a condition; no longer than anything else, and not when it has gone wrong already."""
        for _ in range(PATIENCE * 20):
            if condition() or self.errors:
                return
            await asyncio.sleep(0.05)
        self.note("what was waited for did not come")

    async def settle(self):
        # Those that have only just left their places are on their way back.
        await self.reach(lambda: len(self.inside) >= self.spec["sessions"] * 0.75)

    async def arrive(self):
        enough = self.logins + 5
        await self.reach(lambda: self.logins >= enough)

    async def renew(self):
        were = set(self.present)
        for talk in were:
            talk.leave.set()
        await self.reach(lambda: not were & self.present)
        await self.settle()

    async def main(self):
        await Behind(self).start()
        places = []
        come = None
        self.report()
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while word := (await reader.readline()).decode().strip():
            if word == "settle" and not places:
                places = [asyncio.create_task(self.stay()) for _ in range(self.spec["sessions"])]
                come = asyncio.create_task(self.come())
            if word == "end":
                self.ending = True
                await self.leave(places + [come])
            else:
                await getattr(self, word)()
            self.report()

    async def leave(self, tasks):
        for talk in self.present:
            talk.leave.set()
        _, late = await asyncio.wait(tasks, timeout=PATIENCE)
        if late:
            self.note(f"{len(late)} do not leave")


if __name__ == "__main__":
    asyncio.run(Crowd(json.loads(pathlib.Path(sys.argv[1]).read_text())).main())
