"""Scripted peers: HTTP auth servers and backends that do exactly what a test says."""
import json
import os
import socket
import threading
import time
import urllib.parse

from harness import Wire


class Listener:
    """Accepts connections and hands each, as a Wire, to a function in a thread of its own."""

    def __init__(self, address, serve):
        self.serve, self.wires, self.errors, self.accepted = serve, [], [], 0
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.bind(address)
            os.chmod(address, 0o666)
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            self.sock = socket.socket(family)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.sock.bind(address)
        self.address = self.sock.getsockname()
        self.sock.listen(512)
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def loop(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            self.accepted += 1
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = Wire(sock)
            self.wires.append(wire)
            threading.Thread(target=self.guard, args=(wire,), daemon=True).start()

    def guard(self, wire):
        try:
            self.serve(wire)
        except (OSError, TimeoutError):
            pass
        except Exception as error:     # an assertion of the script: the test shall see it
            self.errors.append(error)
        finally:
            wire.close()

    def check(self):
        """Raises what a script found wrong."""
        if self.errors:
            raise self.errors[0]

    def stop(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        for wire in self.wires:
            wire.close()
        self.check()


class Request:
    """One request as the auth server saw it."""

    def __init__(self, raw):
        self.raw = raw
        lines = raw.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.fields = [tuple(line.split(": ", 1)) if ": " in line else (line.rstrip(":"), "")
                       for line in lines[1:] if line]
        self.names = [name for name, _ in self.fields]

    @classmethod
    def read(cls, wire):
        """The next one's head; None: there is none. A body is left to the caller."""
        while b"\r\n\r\n" not in wire.held:
            if not wire.fill():
                return None
        raw, _, wire.held = wire.held.partition(b"\r\n\r\n")
        return cls(raw)

    def __getitem__(self, name):
        """The value of a field, as sent; KeyError if there is none, AssertionError if there are two."""
        values = [value for field, value in self.fields if field.lower() == name.lower()]
        if not values:
            raise KeyError(name)
        assert len(values) == 1, f"{name} was sent {len(values)} times"
        return values[0]

    def get(self, name, default=None):
        try:
            return self[name]
        except KeyError:
            return default

    def decoded(self, name):
        return urllib.parse.unquote_to_bytes(self[name].encode("latin-1"))


def accept(host, port, **more):
    """The fields of a yes."""
    fields = {"Auth-Status": "OK", "Auth-Server": host, "Auth-Port": str(port)}
    fields.update({name.replace("_", "-"): str(value) for name, value in more.items()})
    return fields


class AuthHttp(Listener):
    """An auth server. `answer` is a dict of fields, raw bytes, or a function of the Request that gives one of them."""

    def __init__(self, address, answer, keep_alive=True, delay=0):
        self.answer, self.keep_alive, self.delay, self.requests = answer, keep_alive, delay, []
        super().__init__(address, self.talk)

    def talk(self, wire):
        while request := Request.read(wire):
            self.requests.append(request)
            answer = self.answer(request) if callable(self.answer) else self.answer
            if self.delay:
                time.sleep(self.delay)
            if answer is None:
                return
            if isinstance(answer, dict):
                answer = compose(answer, self.keep_alive)
            wire.send(answer)
            if not self.keep_alive:
                return


class Introspection(Listener):
    """An introspection server (RFC 7662). `answer` gives for a token a dict, which goes out as JSON with status 200,
    or raw bytes; or it is one of them."""

    def __init__(self, address, answer):
        self.answer, self.requests, self.tokens = answer, [], []
        super().__init__(address, self.talk)

    def talk(self, wire):
        while request := Request.read(wire):
            body = wire.take(int(request["Content-Length"])).decode()
            request.form = dict(urllib.parse.parse_qsl(body, strict_parsing=True))
            self.requests.append(request)
            self.tokens.append(request.form["token"])
            answer = self.answer(request.form["token"]) if callable(self.answer) else self.answer
            if answer is None:
                return
            if isinstance(answer, dict):
                text = json.dumps(answer).encode()
                answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)
            wire.send(answer)


def compose(fields, keep_alive=True):
    """An HTTP response that has these fields."""
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    if keep_alive:
        return f"HTTP/1.1 200 OK\r\n{head}Content-Length: 0\r\n\r\n".encode("latin-1")
    return f"HTTP/1.0 200 OK\r\n{head}\r\n".encode("latin-1")


def imap_backend(wire, user=None, password=None, capability="IMAP4rev1", on_command=None):
    """A small IMAP server: takes LOGIN in any of its forms, then answers NOOP, ECHO and LOGOUT."""
    wire.send(f"* OK [CAPABILITY {capability}] backend ready\r\n".encode())
    line = b""
    while True:
        piece = wire.line()
        if not piece:
            return
        line += piece
        if line.rstrip().endswith(b"}"):
            count = line.rstrip().rpartition(b"{")[2][:-1]
            if not count.endswith(b"+"):
                wire.send(b"+ OK\r\n")
            line += wire.take(int(count.rstrip(b"+")))
            continue
        if on_command:
            on_command(line)
        tag, _, command = line.rstrip(b"\r\n").partition(b" ")
        verb = command.split(b" ")[0].upper()
        line = b""
        if verb == b"LOGOUT":
            wire.send(b"* BYE backend\r\n" + tag + b" OK bye\r\n")
            return
        if verb == b"LOGIN" and user is not None and (user not in command or password not in command):
            wire.send(tag + b" NO [AUTHENTICATIONFAILED] backend says no\r\n")
            continue
        wire.send(tag + b" OK backend " + verb + b"\r\n")


def pop3_backend(wire, user=None, password=None, on_command=None, greeting=b"+OK backend ready"):
    wire.send(greeting + b"\r\n")
    while True:
        line = wire.line()
        if not line:
            return
        if on_command:
            on_command(line)
        verb, _, argument = line.rstrip(b"\r\n").partition(b" ")
        verb = verb.upper()
        if verb == b"QUIT":
            wire.send(b"+OK bye\r\n")
            return
        if verb == b"PASS" and password is not None and argument != password:
            wire.send(b"-ERR backend says no\r\n")
            continue
        wire.send(b"+OK backend " + verb + b"\r\n")


def smtp_backend(wire, extensions=(b"8BITMIME", b"XCLIENT NAME ADDR LOGIN"), on_command=None, on_message=None, rcpt=None, greeting=b"220 backend ESMTP"):
    """A small SMTP server. `rcpt` gives the reply to each RCPT line; on_message sees the text with its dot."""
    wire.send(greeting + b"\r\n")
    while True:
        line = wire.line()
        if not line:
            return
        if on_command:
            on_command(line)
        verb = line.split()[0].upper() if line.split() else b""
        if verb == b"EHLO":
            lines = [b"backend"] + list(extensions)
            wire.send(b"".join(b"250" + (b" " if i == len(lines) - 1 else b"-") + text + b"\r\n"
                               for i, text in enumerate(lines)))
        elif verb == b"XCLIENT":
            wire.send(b"220 backend ESMTP again\r\n")
        elif verb == b"AUTH":
            if len(line.split()) == 2:      # the response is too long for the same line
                wire.send(b"334 \r\n")
                response = wire.line()
                if on_command:
                    on_command(response)
            wire.send(b"235 2.7.0 backend accepts\r\n")
        elif verb == b"RCPT":
            wire.send((rcpt(line) if rcpt else b"250 2.1.5 backend takes it") + b"\r\n")
        elif verb == b"DATA":
            wire.send(b"354 go ahead\r\n")
            text = b""
            while not (text == b".\r\n" or text.endswith(b"\r\n.\r\n")):
                piece = wire.line()
                if not piece:
                    return
                text += piece
            if on_message:
                on_message(text)
            wire.send(b"250 2.0.0 queued\r\n")
        elif verb == b"BDAT":
            text = wire.take(int(line.split()[1]))
            if on_message:
                on_message(text)
            wire.send(b"250 2.0.0 chunk taken\r\n")
        elif verb == b"QUIT":
            wire.send(b"221 2.0.0 backend bye\r\n")
            return
        else:
            wire.send(b"250 2.0.0 backend " + verb + b"\r\n")
