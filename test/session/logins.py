"""Every way in which a client logs in, by protocol and mechanism, and a backend that keeps what it was told."""
import base64
import hashlib
import hmac
import re

from harness import Wire
from stage import b64

IN, NO, LATER, NEVER = "let in", "refused", "put off", "not even asked about"

PORTS = {"imap": 143, "pop3": 110, "smtp": 587}
START = {"imap": b"a AUTHENTICATE ", "pop3": b"AUTH ", "smtp": b"AUTH "}
MORE = {"imap": b"+ ", "pop3": b"+ ", "smtp": b"334 "}
VERDICTS = {
    "imap": [(IN, rb"a OK .*"), (LATER, rb"a NO \[UNAVAILABLE\] .*"), (NO, rb"a NO .*"), (NEVER, rb"(a|\*) BAD .*")],
    "pop3": [(IN, rb"\+OK .*"), (LATER, rb"-ERR \[SYS/TEMP\] .*"), (NO, rb"-ERR (\[AUTH\] |Invalid login).*"),
             (NEVER, rb"-ERR .*")],
    "smtp": [(IN, rb"235 .*"), (LATER, rb"4\d\d .*"), (NO, rb"535 .*"), (NEVER, rb"50\d .*")],
}


def gs2(name):
    return name.replace(b"=", b"=3D").replace(b",", b"=2C")


def xoauth2(user, token):
    return b64(b"user=%s\1auth=Bearer %s\1\1" % (user, token))


def oauthbearer(user, token):
    return b64(b"n,%s,\1auth=Bearer %s\1\1" % (b"a=" + gs2(user) if user else b"", token))


def cram_md5(user, secret, salt):
    return b64(user + b" " + hmac.new(secret, salt, "md5").hexdigest().encode())


# What each says, step by step.
SASL = {
    "plain": [lambda user, secret, salt: b64(b"", user, secret)],
    "login": [lambda user, secret, salt: b64(user), lambda user, secret, salt: b64(secret)],
    "cram-md5": [cram_md5],
    "xoauth2": [lambda user, secret, salt: xoauth2(user, secret)],
    "oauthbearer": [lambda user, secret, salt: oauthbearer(user, secret)],
    "external": [lambda user, secret, salt: b64(user)],
}


class Way:
    """One of them. `method` is the word of imap_auth and its like, `form` how it is said."""

    def __init__(self, protocol, method, form):
        self.protocol, self.method, self.form = protocol, method, form

    def __repr__(self):
        return f"{self.protocol} {self.method}, {self.form}"

    def can_say(self, user, secret):
        """Can its lines carry these bytes at all? Where not, it would be another login, or several lines."""
        if self.form == "command":
            return self.protocol == "imap" or b"\n" not in user + secret
        if self.method == "xoauth2":
            return b"\1" not in user
        return self.method != "cram-md5" or not secret.endswith(b"\0")     # HMAC fills keys up with NULs

    def is_sound(self, user, secret):
        """Is it a login that a source is asked about?"""
        said = user if self.method in ("cram-md5", "apop", "external") else user + secret
        if any(byte in said for byte in b"\r\n\0") or len(user) > 1024:
            return False
        if self.form == "command" and self.protocol == "pop3" and secret == b"" and self.method == "plain":
            return False
        if self.method in ("xoauth2", "oauthbearer"):
            return re.fullmatch(rb"[A-Za-z0-9._~+/-]+=*", secret) is not None and \
                (user != b"" or self.method == "oauthbearer")
        return user != b"" or self.method == "external"

    def begin(self, client, user, secret):
        """Says all but what answers a challenge; `client` has been greeted and is ready for AUTH."""
        if self.form == "command":
            client.send(self.commands(client, user, secret))
        elif self.form == "initial":
            client.send(START[self.protocol] + self.method.upper().encode() + b" " +
                        (SASL[self.method][0](user, secret, None) or b"=") + b"\r\n")
        else:
            client.send(START[self.protocol] + self.method.upper().encode() + b"\r\n")

    def commands(self, client, user, secret):
        if self.protocol == "imap":
            return b"a LOGIN {%d+}\r\n%s {%d+}\r\n%s\r\n" % (len(user), user, len(secret), secret)
        if self.method == "apop":
            return b"APOP %s %s\r\n" % (user, hashlib.md5(client.timestamp + secret).hexdigest().encode())
        client.send(b"USER %s\r\n" % user)
        line = client.line()
        return b"PASS %s\r\n" % secret if line.startswith(b"+OK") else b"NOT-A-COMMAND\r\n"

    def end(self, client, user, secret):
        """Answers challenges, the one that tells of an error, too, and returns the last line."""
        steps = SASL.get(self.method, [])[1 if self.form == "initial" else 0:]
        while (line := client.line()).startswith(MORE[self.protocol]):
            salt = base64.b64decode(line[len(MORE[self.protocol]):])
            client.send((steps.pop(0)(user, secret, salt) if steps else b"AQ==") + b"\r\n")
        return line.rstrip(b"\r\n")

    def verdict(self, line):
        for verdict, pattern in VERDICTS[self.protocol]:
            if re.fullmatch(pattern, line):
                return verdict
        raise AssertionError(f"{self}: what is {line!r}?")


WAYS = [Way("imap", "plain", "command"), Way("pop3", "plain", "command"), Way("pop3", "apop", "command")] + [
    Way(protocol, method, form) for protocol in PORTS for method in SASL for form in ("initial", "asked")
    if (method, form) != ("cram-md5", "initial")]


def greeted(protocol, address, context=None, source=None):
    """A client that is ready to log in."""
    client = Wire.to(address, source)
    if context:
        client.secure(context)
    client.timestamp = client.line().split()[-1]
    if protocol == "smtp":
        client.send(b"EHLO client.example\r\n")
        while not (line := client.line()).startswith(b"250 "):
            assert line.startswith(b"250-"), line
    return client


def backend(protocol, told):
    """Takes PLAIN, XOAUTH2 and OAUTHBEARER from anybody; `told` has what was said with them, decoded."""
    hello = {"imap": b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER] ready\r\n",
             "pop3": b"+OK ready\r\n", "smtp": b"220 ready\r\n"}[protocol]

    def serve(wire):
        wire.send(hello)
        while line := wire.line():
            words = line.split()
            tag = words.pop(0) + b" " if protocol == "imap" else b""
            if words[0].upper() in (b"AUTH", b"AUTHENTICATE"):
                if len(words) == 2:
                    wire.send(MORE[protocol] + b"\r\n")
                    words.append(wire.line().strip())
                told.append(base64.b64decode(words[2]))
                wire.send(tag + {"imap": b"OK", "pop3": b"+OK", "smtp": b"235"}[protocol] + b" in\r\n")
            elif words[0].upper() == b"EHLO":
                wire.send(b"250-backend\r\n250 AUTH PLAIN XOAUTH2 OAUTHBEARER\r\n")
            else:
                wire.send(tag + {"imap": b"OK", "pop3": b"+OK", "smtp": b"250"}[protocol] + b" " + words[0] + b"\r\n")
    return serve
