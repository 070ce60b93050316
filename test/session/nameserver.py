"""A scripted name server, over UDP and TCP: it says exactly what a test wants."""
import ipaddress
import socket
import struct
import threading

from harness import eventually
from peers import Listener

A, CNAME, SOA, PTR, AAAA = 1, 5, 6, 12, 28
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
ASKED = b"\xc0\x0c"         # the question's name, by a pointer to it


def wire(name):
    """A name in DNS' own form; labels are given as bytes where they are no plain text."""
    labels = [label.encode() for label in name.split(".") if label] if isinstance(name, str) else name
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def record(kind, data, ttl=60, owner=ASKED):
    return owner + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def ptr(name, ttl=60, owner=ASKED):
    return record(PTR, wire(name), ttl, owner)


def address(text, ttl=60, owner=ASKED):
    ip = ipaddress.ip_address(text)
    return record(A if ip.version == 4 else AAAA, ip.packed, ttl, owner)


def soa(ttl=60, minimum=60, owner=b"\0"):
    """What a zone, by default that of all names, says along with a "there is none"."""
    return record(SOA, wire("ns.test") + wire("admin.test") + struct.pack("!IIIII", 1, 2, 3, 4, minimum), ttl, owner)


def reverse(text):
    return ipaddress.ip_address(text).reverse_pointer


class Question:
    def __init__(self, packet, over):
        self.packet, self.over = packet, over
        self.id, labels, at = packet[:2], [], 12
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]])
            at += 1 + packet[at]
        self.name = b".".join(labels).decode("latin-1").lower()
        self.kind = struct.unpack("!H", packet[at + 1:at + 3])[0]
        self.section = packet[12:at + 5]

    def answer(self, *records, code=NOERROR, flags=0x8180, count=None, authority=()):
        return self.id + struct.pack("!HHHHH", flags | code, 1, len(records) if count is None else count, len(authority), 0) + \
            self.section + b"".join(records) + b"".join(authority)


class NameServer:
    """Who is not in `zone` does not exist.

    The zone maps (name, kind) to records, to a code, to None (silence), or to a function of the
    Question that gives one of them or the bytes of a whole answer. Changes take effect at once.
    """

    def __init__(self, place, zone=None):
        self.zone, self.asked, self.lock = zone if zone is not None else {}, [], threading.Lock()
        self.sock = socket.socket(socket.AF_INET6 if ":" in place[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(place)
        self.tcp = Listener(place, self.talk)
        threading.Thread(target=self.loop, daemon=True).start()

    def host(self, ip, name, ttl=60):
        """An address whose name is confirmed."""
        self.zone[reverse(ip), PTR] = [ptr(name, ttl)]
        self.zone.setdefault((name, A if "." in ip else AAAA), []).append(address(ip, ttl))

    def reply(self, packet, over):
        question = Question(packet, over)
        with self.lock:
            self.asked.append(question)
        said = self.zone.get((question.name, question.kind), NXDOMAIN)
        if callable(said):
            said = said(question)
        if isinstance(said, int):
            return question.answer(code=said, authority=[soa()] if said == NXDOMAIN else [])
        return question.answer(*said) if isinstance(said, list) else said

    def loop(self):
        while True:
            try:
                packet, peer = self.sock.recvfrom(4096)
            except OSError:
                return
            threading.Thread(target=self.serve, args=(packet, peer), daemon=True).start()

    def serve(self, packet, peer):
        said = self.reply(packet, "udp")
        if said is not None:
            try:
                self.sock.sendto(said, peer)
            except OSError:
                pass        # the test is over

    def talk(self, wire_):
        while True:
            head = wire_.take(2)
            if len(head) < 2:
                return
            said = self.reply(wire_.take(struct.unpack("!H", head)[0]), "tcp")
            if said is not None:
                wire_.send(struct.pack("!H", len(said)) + said)

    def questions(self, kind=None):
        """What has been asked, each once however often it was sent: (name, kind)."""
        with self.lock:
            asked = {(q.id, q.name, q.kind) for q in self.asked}
        return sorted((name, k) for _, name, k in asked if kind in (None, k))

    def wait(self, count):
        eventually(lambda: len(self.questions()) >= count, f"{count} questions to the name server")

    def stop(self):
        self.sock.close()
        self.tcp.stop()
