"""What a worker makes of directives that show only while it runs."""
from harness import Wire, eventually


def test_a_user_without_any_backend_is_a_temporary_failure(env):
    users = env.write("users", "joe:{PLAIN}secret\n", 0o600)
    postern = env.postern(f"auth_file {users}; server {{ listen {env.ip()}:2143; protocol imap; }}")
    client = Wire.to((env.ip(), 2143))
    client.expect(b"* OK IMAP4 ready")
    client.send(b"a LOGIN joe secret\r\nb NOOP\r\n")
    client.expect(b"a NO [UNAVAILABLE] Temporary failure, try again later.", b"b OK completed")
    assert eventually(lambda: "no backend is named for this user" in postern.log(), "the reason in the log")
    assert "exited on signal" not in postern.log()
