"""What a worker makes of directives that show only while it runs."""
import os

from harness import Wire, eventually
from peers import AuthHttp, Listener, accept, imap_backend


def test_affinity_auto_gives_each_worker_one_cpu(env):
    allowed = sorted(os.sched_getaffinity(0))
    postern = env.postern(f"auth_http 127.0.0.1:9; server {{ listen {env.ip()}:2143; protocol imap; }}",
                          main="worker_cpu_affinity auto;", workers=2)
    cpus = sorted(cpu for pid in postern.children() for cpu in os.sched_getaffinity(pid))
    assert cpus == sorted(allowed[i % len(allowed)] for i in range(2)), f"{cpus} of {allowed}"


def test_titles(env):
    postern = env.postern(f"auth_http 127.0.0.1:9; server {{ listen {env.ip()}:2143; protocol imap; }}")
    pid, = postern.children()
    with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
        assert cmdline.read().rstrip(b"\0") == b"postern: worker process"


def test_debug_connection_lifts_the_level_for_whom_it_names_only(env):
    postern = env.postern(f"auth_http 127.0.0.1:9; server {{ listen {env.ip()}:2143; protocol imap; }}",
                          level="error", events=f"debug_connection {env.ip(7)};")
    for source in env.ip(8), env.ip(7):
        client = Wire.to((env.ip(), 2143), source)
        client.expect(b"* OK IMAP4 ready")
        client.close()
    postern.wait_log(f"client {env.ip(7)}:.* connected")
    assert env.ip(8) not in postern.log()


def test_a_user_without_any_backend_is_a_temporary_failure(env):
    users = env.write("users", "joe:{PLAIN}secret\n", 0o600)
    postern = env.postern(f"auth_file {users}; server {{ listen {env.ip()}:2143; protocol imap; }}")
    client = Wire.to((env.ip(), 2143))
    client.expect(b"* OK IMAP4 ready")
    client.send(b"a LOGIN joe secret\r\nb NOOP\r\n")
    client.expect(b"a NO [UNAVAILABLE] Temporary failure, try again later.", b"b OK completed")
    assert eventually(lambda: "no backend is named for this user" in postern.log(), "the reason in the log")
    assert "exited on signal" not in postern.log()


def test_debug_shows_each_step_and_each_bad_command(env):
    env.keep(Listener((env.ip(2), 2000), imap_backend))
    env.keep(AuthHttp((env.ip(3), 9000), accept(env.ip(2), 2000)))
    postern = env.postern(f"""
    auth_http {env.ip(3)}:9000/auth;
    server {{ listen {env.ip()}:2143; protocol imap; }}
""")
    client = Wire.to((env.ip(), 2143))
    client.send(b"a bogus\r\nb LOGIN joe secret\r\nc LOGOUT\r\n")
    assert b"c OK bye" in client.rest()
    client.close()
    postern.wait_log(r"\[debug\] .*client sent invalid command")
    for step in ("greeting -> dialogue", "dialogue -> asking", "asking -> dial", "dial -> login", "login -> relay",
                 "relay -> dead"):
        postern.wait_log(r"\[debug\] .*" + step)
