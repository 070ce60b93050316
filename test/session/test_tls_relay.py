"""The relay under TLS: bytes both ways at once, in pieces and with pauses as chance has it."""
import random
import threading
import time

from certs import Authority
from harness import Wire
from peers import AuthHttp, Listener, accept

SESSIONS = 12
BYTES = 3_000_000
BLOCK = bytes(random.Random(1).randbytes(1 << 20)) * 5


def pump(wire, rng, offset):
    """Sends BYTES bytes of the stream that begins at `offset`, in odd pieces, sometimes resting."""
    sent = 0
    while sent < BYTES:
        piece = min(rng.choice((1, 17, 1400, 16384, 16385, 70000, 300000)), BYTES - sent)
        wire.send(BLOCK[offset + sent:offset + sent + piece])
        sent += piece
        if rng.random() < 0.05:
            time.sleep(rng.random() / 20)


def drain(wire, rng, offset):
    """Takes BYTES bytes and compares them, sometimes resting, so that the other side has to wait."""
    got = 0
    while got < BYTES:
        data = wire.take(min(rng.choice((1, 100, 5000, 65536, 400000)), BYTES - got))
        assert data == BLOCK[offset + got:offset + got + len(data)] and data, f"wrong or missing at {got}"
        got += len(data)
        if rng.random() < 0.05:
            time.sleep(rng.random() / 20)


def both_ways(wire, rng, out, into):
    """Sends and takes at once. OpenSSL's objects are not for two threads: one at a time talks to it."""
    wire.sock.settimeout(0.02)
    sent, got, wire.held = 0, len(wire.held), b""
    end = time.monotonic() + 60
    while (sent < BYTES or got < BYTES) and time.monotonic() < end:
        if sent < BYTES:
            piece = BLOCK[out + sent:out + min(sent + rng.choice((1, 17, 1400, 16385, 70000)), BYTES)]
            try:
                sent += wire.sock.send(piece)
            except TimeoutError:
                pass
        if got < BYTES:
            try:
                data = wire.sock.recv(min(rng.choice((1, 5000, 65536)), BYTES - got))
            except TimeoutError:
                continue
            assert data and data == BLOCK[into + got:into + got + len(data)], f"wrong at {got}"
            got += len(data)
        if rng.random() < 0.01:
            time.sleep(rng.random() / 50)
    assert (sent, got) == (BYTES, BYTES), f"stalled: {sent} sent, {got} received of {BYTES}"


def run(env, client_tls, backend_tls, talk_client, talk_backend):
    ca = Authority(env)
    pair = ca.issue("mail.example.com")
    serve = ca.serve(pair)
    numbers = iter(range(SESSIONS))
    lock = threading.Lock()

    def backend(wire):
        if backend_tls:
            wire.secure(serve, None)
        wire.send(b"* OK ready\r\n")
        wire.send(wire.line().split()[0] + b" OK in\r\n")
        with lock:
            number = next(numbers)
        talk_backend(wire, random.Random(1000 + number))
        wire.rest()

    env.keep(Listener((env.ip(2), 2000), backend))
    env.keep(AuthHttp((env.ip(3), 9000), accept(env.ip(2), 2000)))
    postern = env.postern(f"""
    auth_http {env.ip(3)}:9000/auth; ssl_certificate {pair[0]}; ssl_certificate_key {pair[1]};
    proxy_ssl {'on' if backend_tls else 'off'}; proxy_ssl_trusted_certificate {ca.certificate};
    proxy_ssl_name mail.example.com;
    server {{ listen {env.ip()}:2143 {'ssl' if client_tls else ''}; protocol imap; }}""")
    wrong = []

    def client(number):
        try:
            wire = Wire.to((env.ip(), 2143))
            if client_tls:
                wire.secure(ca.trust())
            wire.line()
            wire.send(b"a LOGIN joe secret\r\n")
            wire.expect(b"a OK in")
            talk_client(wire, random.Random(number))
            wire.close()
        except BaseException as error:
            wrong.append(f"session {number}: {error!r}")
    threads = [threading.Thread(target=client, args=(n,), daemon=True) for n in range(SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert not wrong and not any(thread.is_alive() for thread in threads), wrong
    postern.wait_log("proxied session done", SESSIONS)


def test_bytes_to_the_client(env):
    run(env, True, True, lambda w, r: drain(w, r, 0), lambda w, r: pump(w, r, 0))


def test_bytes_to_the_backend(env):
    run(env, True, True, lambda w, r: pump(w, r, 0), lambda w, r: drain(w, r, 0))


def test_bytes_both_ways_at_once(env):
    run(env, True, True, lambda w, r: both_ways(w, r, 0, 777), lambda w, r: both_ways(w, r, 777, 0))


def test_bytes_both_ways_with_tls_in_front(env):
    run(env, True, False, lambda w, r: both_ways(w, r, 0, 777), lambda w, r: both_ways(w, r, 777, 0))


def test_bytes_both_ways_with_tls_behind(env):
    run(env, False, True, lambda w, r: both_ways(w, r, 0, 777), lambda w, r: both_ways(w, r, 777, 0))
