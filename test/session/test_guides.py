"""The guides of doc/ for auth_file and auth_pam: their text, on the test's paths and addresses, does what it says."""
import os
import shutil
import subprocess

import guide
from harness import Skip, Wire, eventually, weight
from peers import Listener, imap_backend
from real import program
from test_auth_pam import shadow

CONF = "/etc/postern/postern.conf"


class Guided:
    """A configuration of a guide, two backends, and clients."""

    def __init__(self, env, name, number=0, **changes):
        self.env, self.heard = env, []
        for host in 2, 3:
            env.keep(Listener((env.ip(host), 143), self.backend))
        text = guide.block(name, CONF, number)
        inside = text.strip().removeprefix("mail {").removesuffix("}")
        places = {"listen 143;": f"listen {env.ip()}:143;", "10.0.0.7": env.ip(2)}
        self.text = guide.replaced(inside, {**changes, **places})
        self.postern = env.postern(self.text)

    def backend(self, wire):
        where = wire.sock.getsockname()[0]
        imap_backend(wire, capability="IMAP4rev1", on_command=lambda line: self.heard.append((where, line)))

    def login(self, user, password):
        client = Wire.to((self.env.ip(), 143))
        client.line()
        client.send(f'a LOGIN "{user}" "{password}"\r\n'.encode())
        answer = client.line()
        client.close()
        return answer

    def lets_in(self, user, password="sesame"):
        return self.login(user, password).startswith(b"a OK")


def run_commands(env, text, said, users):
    """Runs each line of a block as the guide has it, passwords from standard input."""
    places = {"/etc/postern/users": users, "postern-passwd": env.build / "postern-passwd"}
    for line in guide.replaced(text, places).splitlines():
        done = subprocess.run(["sh", "-c", f"{line} {'--stdin' if said else ''}"], input=said, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, (line, done.stdout)


def test_auth_file_the_first_users(env):
    users = env.path("users")
    run_commands(env, guide.block("auth-file", "hash that the system has is stored of them:"), "sesame\n", users)
    assert users.stat().st_mode & 0o777 == 0o600
    guided = Guided(env, "auth-file", **{"/etc/postern/users": users})
    assert guided.lets_in("joe@example.org") and guided.lets_in("ann@example.org")
    assert not guided.lets_in("joe@example.org", "wrong") and not guided.lets_in("joe")


def test_auth_file_more_than_a_password(env):
    text = guide.replaced(guide.block("auth-file", "/etc/postern/users"), {"10.0.0.8": env.ip(3)})
    users = env.write("users", text, 0o600)
    guided = Guided(env, "auth-file", **{"/etc/postern/users": users})
    assert guided.lets_in("joe") and {where for where, _ in guided.heard} == {env.ip(3)}
    assert guided.lets_in("ann") and any(b"ann@example.org" in line for _, line in guided.heard)
    assert not guided.lets_in("office") and not guided.lets_in("printer")
    assert b"Your_mail_has_moved" in guided.login("moved", "sesame")
    run_commands(env, guide.block("auth-file", "(PLAIN for the sake of the example.) By the command:"), "", users)
    del guided.heard[:]
    eventually(lambda: guided.lets_in("joe") and guided.heard[-1][0] == env.ip(2), "the key is gone")
    lock, unlock = guide.block("auth-file", "To lock a user out at once, and to let him in again:").splitlines()
    run_commands(env, lock, "", users)
    eventually(lambda: not guided.lets_in("joe"), "the user is locked out")
    run_commands(env, unlock, "", users)
    eventually(lambda: guided.lets_in("joe"), "the user is back")


def test_auth_file_with_a_cache(env):
    users = env.write("users", "joe:{PLAIN}sesame\n", 0o600)
    guided = Guided(env, "auth-file", 1, **{"/etc/postern/users": users})
    assert guided.lets_in("joe") and guided.lets_in("joe") and not guided.lets_in("joe", "wrong")
    users.write_text("joe:{PLAIN}other\n")
    eventually(lambda: not guided.lets_in("joe"), "the change voids what the cache knows")
    assert guided.lets_in("joe", "other")


def test_auth_file_several_files(env):
    domain = env.write("users.example.org", "joe@example.org:{PLAIN}sesame\n", 0o600)
    rest = env.write("users", "joe:{PLAIN}sesame\njoe@example.org:{PLAIN}never\nann@example.org:{PLAIN}sesame\n", 0o600)
    guided = Guided(env, "auth-file", 2, **{"/etc/postern/users.example.org": domain,
                                            "/etc/postern/users;": f"{rest};"})
    assert guided.lets_in("joe@example.org") and guided.lets_in("joe") and guided.lets_in("ann@example.org")
    assert not guided.lets_in("joe@example.org", "never")


def needs_pam(env):
    if not (env.build / "postern-auth-pam").exists():
        raise Skip("built without PAM")


def put_service(env, text):
    """A service among those of the system, in this test's mount namespace."""
    folder = env.path("etc.pam.d")
    if not folder.exists():
        shutil.copytree("/etc/pam.d", folder)
        subprocess.run(["mount", "--bind", folder, "/etc/pam.d"], check=True)
    (folder / "postern").write_text(text)


def test_auth_pam_accounts_of_the_system(env):
    needs_pam(env)
    shadow(env, {"postern-joe": ("sesame", "19000:0:99999:7:::"), "postern-gone": ("sesame", "19000:0:99999:7::1:")})
    put_service(env, guide.block("auth-pam", "/etc/pam.d/postern"))
    guided = Guided(env, "auth-pam")
    assert guided.lets_in("postern-joe") and not guided.lets_in("postern-gone") and not guided.lets_in("postern-none")


@weight(13)
def test_auth_pam_against_guessing(env):
    needs_pam(env)
    shadow(env, {"postern-joe": ("sesame", "19000:0:99999:7:::")})
    tally = env.path("faillock")
    tally.mkdir()
    os.makedirs("/var/run/faillock", exist_ok=True)
    subprocess.run(["mount", "--bind", tally, "/var/run/faillock"], check=True)
    put_service(env, guide.block("auth-pam", "/etc/pam.d/postern", 1))
    guided = Guided(env, "auth-pam")
    assert guided.lets_in("postern-joe")
    for _ in range(5):
        assert not guided.lets_in("postern-joe", "wrong")
    assert not guided.lets_in("postern-joe"), "five in a row lock"


def test_auth_pam_users_of_a_mail_server(env):
    needs_pam(env)
    text = env.write("mailusers.txt", guide.block("auth-pam", "/etc/postern/mailusers.txt"), 0o600)
    db = env.path("mailusers")
    command = guide.block("auth-pam", 'after each change (pam_userdb adds the ".db" itself):')
    subprocess.run(guide.replaced(command, {"/etc/postern/mailusers.txt": text, "/etc/postern/mailusers.db": f"{db}.db",
                                            "db_load": program("db_load")}), shell=True, check=True)
    service = guide.block("auth-pam", "/etc/postern/pam.d/mail")
    env.write("pam.d/mail", guide.replaced(service, {"/etc/postern/mailusers": db}))
    users = env.write("users", "joe:{PLAIN}sesame\nann@example.org:{PLAIN}sesame\n", 0o600)
    guided = Guided(env, "auth-pam", 1, **{"/etc/postern/pam.d": env.path("pam.d"), "/etc/postern/users": users})
    assert guided.lets_in("joe@example.org") and not guided.lets_in("joe@example.org", "wrong")
    assert guided.lets_in("joe"), "another domain is asked about in the file"
    assert guided.lets_in("ann@example.org"), "whom PAM does not know the file may know"
