"""A real HTTP server, for auth_http and auth_introspection: a process, which can be killed.

    authd.py SETTINGS.json

Users and secrets stand in the settings as bytes in Latin-1. Who is called "slow" waits for his answer two seconds,
and until the gate, a file, is there. Each question is noted in the file `asked`, a line of JSON each, before it is
answered.
"""
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import time
import urllib.parse


class Settings:
    """What the process is given. `where` is "ip:port" or the path of a UNIX socket; `tls` a certificate and its key."""

    def __init__(self, path):
        given = json.loads(pathlib.Path(path).read_text())
        self.where, self.tls, self.backends = given["where"], given["tls"], given["backends"]
        self.users = {user.encode("latin-1"): secret.encode("latin-1") for user, secret in given["users"].items()}
        self.asked, self.gate = pathlib.Path(given["asked"]), pathlib.Path(given["gate"])

    def owner_of(self, token):
        """The user whose secret it is, or None."""
        return next((user for user, secret in self.users.items() if token and secret == token), None)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self, **what):
        line = json.dumps({name: value.decode("latin-1") for name, value in what.items()}) + "\n"
        with open(self.server.settings.asked, "ab", 0) as asked:
            asked.write(line.encode())

    def take_time(self, user):
        if user != b"slow":
            return
        time.sleep(2)
        while not self.server.settings.gate.exists():
            time.sleep(0.02)

    def answer(self, fields, body=b""):
        self.send_response(200)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def field(self, name):
        return urllib.parse.unquote_to_bytes(self.headers.get(name, "").encode("latin-1"))

    def certified(self):
        """Whose certificate the client has shown."""
        found = re.search(r"CN=([^,/]*)", self.headers.get("Auth-SSL-Subject", ""))
        return found[1].encode() if found and self.headers.get("Auth-SSL-Verify") == "SUCCESS" else b""

    def judge(self, user):
        """(user, secret) that are let in, or None."""
        users, method = self.server.settings.users, self.headers["Auth-Method"]
        shown, salt = self.field("Auth-Pass"), self.field("Auth-Salt")
        if method in ("xoauth2", "oauthbearer"):
            owner = self.server.settings.owner_of(shown)
            return (owner, shown) if owner and user in (b"", owner) else None
        if method == "external":
            owner = self.certified()
            return (owner, users[owner]) if owner in users and user in (b"", owner) else None
        if user not in users:
            return None
        wanted = {"plain": lambda: users[user],
                  "cram-md5": lambda: hmac.new(users[user], salt, "md5").hexdigest().encode(),
                  "apop": lambda: hashlib.md5(salt + users[user]).hexdigest().encode()}[method]()
        return (user, users[user]) if hmac.compare_digest(wanted, shown) else None

    def do_GET(self):
        user = self.field("Auth-User")
        self.note(user=user)
        self.take_time(user)
        found = self.judge(user)
        if found is None:
            self.answer({"Auth-Status": "Invalid login"})
            return
        host, port = self.server.settings.backends[self.headers["Auth-Protocol"]]
        fields = {"Auth-Status": "OK", "Auth-Server": host, "Auth-Port": port}
        if found[0] != user:
            fields["Auth-User"] = found[0].decode("latin-1")
        if found[1] != self.field("Auth-Pass"):
            fields["Auth-Pass"] = found[1].decode("latin-1")
        self.answer(fields)

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])), encoding="latin-1")
        token = form[b"token"][0]
        owner = self.server.settings.owner_of(token)
        self.note(user=owner or b"")
        self.take_time(owner or b"")
        said = {"active": True, "username": owner.decode()} if owner else {"active": False}
        self.answer({"Content-Type": "application/json"}, json.dumps(said).encode())


class Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 512

    def get_request(self):
        sock, address = super().get_request()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context:
            sock = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return sock, address


class Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads, request_queue_size = True, 512


def serve(settings):
    if settings.where.startswith("/"):
        pathlib.Path(settings.where).unlink(missing_ok=True)
        server = Unix(settings.where, Handler)
        os.chmod(settings.where, 0o666)
    else:
        ip, _, port = settings.where.rpartition(":")
        server = Tcp((ip, int(port)), Handler)
        server.context = None
        if settings.tls:
            server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            server.context.load_cert_chain(*settings.tls)
    server.settings = settings
    print("ready", flush=True)
    server.serve_forever()


class Authd:
    """The process, from outside. `users` are bytes by bytes, `backends` (ip, port) by protocol."""

    def __init__(self, env, where, users, backends, tls=None):
        self.asked_path, self.gate, self.process = env.path("asked"), env.path("gate"), None
        self.settings = env.write("authd.json", json.dumps({
            "where": str(where), "tls": [str(path) for path in tls] if tls else None,
            "backends": {protocol: [ip, str(port)] for protocol, (ip, port) in backends.items()},
            "users": {user.decode("latin-1"): secret.decode("latin-1") for user, secret in users.items()},
            "asked": str(self.asked_path), "gate": str(self.gate)}))
        env.keep(self)
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, __file__, str(self.settings)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n", "the auth server does not start"

    def asked(self):
        """Of whom it has been asked, in order."""
        if not self.asked_path.exists():
            return []
        return [json.loads(line)["user"].encode("latin-1") for line in self.asked_path.read_bytes().splitlines()]

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.kill()


if __name__ == "__main__":
    serve(Settings(sys.argv[1]))
