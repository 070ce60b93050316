"""The guides of doc/, from which tests take exactly the text that an operator would copy.

In a guide a file is a block, indented by four blanks, behind a paragraph whose last line ends with
the file's path and a colon:

    In /etc/postern/postern.conf:

        mail { ... }

A block behind any other paragraph that ends with a colon has that whole line as its name:
commands, queries and what they print.
"""
import pathlib
import re
import subprocess
import sys
import textwrap

from harness import Wire, eventually
from peers import Listener
from real import answers

DOC = pathlib.Path(__file__).resolve().parent.parent.parent / "doc"


def blocks(guide):
    """All blocks of doc/GUIDE in their order, as (name, text)."""
    found, name, held = [], None, []
    for line in (DOC / guide).read_text().splitlines() + ["end"]:
        if line.startswith("    ") or not line:
            held.append(line)
            continue
        text = "\n".join(held).strip("\n")
        if name and text:
            found.append((name, textwrap.dedent(text) + "\n"))
        path = re.search(r"(/\S+):$", line)
        name, held = path.group(1) if path else line if line.endswith(":") else None, []
    return found


def block(guide, name, number=0):
    """The block of that name; of several the one with that number."""
    return [text for found, text in blocks(guide) if found == name][number]


def promised(guide, *lines):
    """The guide does have these words."""
    text = (DOC / guide).read_text()
    for line in lines:
        assert line in text, f"doc/{guide} has no {line!r}"


def replaced(text, changes):
    """The text with paths and addresses of the test in place of the guide's; each must be there."""
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in the guide's text:\n{text}"
        text = text.replace(old, str(new))
    return text


def located(env, text, changes=None):
    """The text where a test is: 10.0.0.N is ip(N), /etc/postern a folder of it, ports alone are those of ip()."""
    text = replaced(text, changes or {})
    text = re.sub(r"\b10\.0\.0\.(\d+)\b", lambda found: env.ip(int(found[1])), text)
    text = re.sub(r"\blisten( +)(\d+)(?=[ ;])", rf"listen\g<1>{env.ip()}:\2", text)
    return text.replace("/etc/postern", str(env.path("etc")))


class Visitor:
    """Who comes to a gateway at this address."""

    def __init__(self, address):
        self.address = address

    def client(self, port=143, source=None, tls=None, name="mail.example.com", session=None):
        """A client that has been greeted, by TLS with such a context."""
        client = Wire.to((self.address, port), source)
        if tls:
            client.secure(tls, name, session)
        self.greeting = client.line()
        return client

    def login(self, user, password="sesame", **options):
        """The answer to an IMAP login."""
        client = self.client(**options)
        client.send(f'a LOGIN "{user}" "{password}"\r\n'.encode())
        answer = client.line()
        while answer.startswith(b"* "):
            answer = client.line()
        client.close()
        return answer

    def lets_in(self, user, password="sesame", **options):
        return self.login(user, password, **options).startswith(b"a OK")

    def say(self, port, said):
        """All that a client hears who says this, behind its greeting."""
        client = self.client(port)
        client.send(said)
        client.finish()
        heard = client.rest()
        client.close()
        return heard


class House(Visitor):
    """Postern as configuration `number` of a guide has it; other files of the guide are put where it looks for them."""

    CONF = "/etc/postern/postern.conf"

    def __init__(self, env, name, number=0, changes=None, files=(), **options):
        super().__init__(env.ip())
        self.env, self.name, self.heard = env, name, []
        for path in files:
            self.put(path)
        text = block(name, self.CONF, number)
        inside = re.fullmatch(r"mail \{\n(.*)\}\n", text, re.S)
        self.postern = self.mail(inside[1], changes, options) if inside else self.whole(text, changes)

    def mail(self, text, changes, options):
        """A mail block alone; what is around it is as in other tests."""
        text = text.replace("    server_name         mail.example.com;\n", "")     # which it is anyway
        return self.env.postern(located(self.env, text, changes), level="info", **options)

    def whole(self, text, changes):
        """A configuration that has all there must be; where it says nothing of its log, it is the test's."""
        log = self.env.path("error.log")
        mine = f"pid {self.env.path('postern.pid')}; auth_helper_path {self.env.build};"
        if "error_log" in text:
            changes = {"/var/log/postern/error.log": log, **(changes or {})}
        else:
            mine += f" error_log {log} info;"
        return self.env.postern("", config=located(self.env, text, changes), args=["-g", mine])

    def put(self, path, text=None):
        """Writes a file of the guide, or this text, below the test's own /etc/postern."""
        text = located(self.env, block(self.name, path)) if text is None else text
        return self.env.write(path.replace("/etc/postern", "etc"), text, 0o600)

    def backend(self, host, port=143, users=None):
        """An IMAP server at ip(host), with these users or for everybody; `heard` has what it is told."""
        def serve(wire):
            wire.send(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] backend\r\n")
            for line in iter(wire.line, b""):
                self.heard.append((host, port, line))
                tag, verb, *words = line.decode().replace('"', "").split()
                good = verb != "LOGIN" or users is None or tuple(words) in users.items()
                wire.send(f"{tag} {'OK done' if good else 'NO [AUTHENTICATIONFAILED] no'}\r\n".encode())
        return self.env.keep(Listener((self.env.ip(host), port), serve))

    def change(self, old, new):
        """Replaces the first such words of the configuration, and reloads."""
        text = self.postern.config.read_text()
        assert old in text, old
        self.postern.config.write_text(text.replace(old, new, 1))
        self.postern.reload()

    def line(self, event):
        """The log has a line that the guide promises; in it "..." is anything."""
        return self.postern.wait_log(".*".join(re.escape(part) for part in event.split("...")))[-1]


class Program:
    """A program that a guide shows, run as it is there; `address` is where it listens."""

    def __init__(self, env, text, address):
        path = env.write("program", text, 0o755)
        with open(env.path("program.log"), "wb") as log:
            self.process = subprocess.Popen([sys.executable, path], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        env.keep(self)
        eventually(lambda: answers(address), "the program listens")

    def stop(self):
        self.process.terminate()
        self.process.wait()
