"""postern-passwd: what it changes, what it leaves alone, and what interrupts it."""
import os
import pty
import re
import resource
import select
import signal
import stat
import subprocess
import termios
import threading
import time

from harness import PATIENCE, eventually
from real import program
from test_auth_file import Place

USERS = b"""# our users
\r
ann:{PLAIN}secret:1000:1000:Ann:/home/ann:/bin/sh:host=192.0.2.1  port=143\r
#joe:{PLAIN}old

bob:!{PLAIN}secret
last:{PLAIN}secret"""


class Command:
    """The command and its file."""

    def __init__(self, env, users=USERS, mode=0o640):
        self.env, self.path = env, env.write("place/users", users, mode)
        self.binary = env.build / "postern-passwd"

    def argv(self, *words):
        return [self.binary, self.path, *words]

    def run(self, *words, said="", status=0, **options):
        """Runs it; returns what it printed. Passwords come from standard input."""
        done = subprocess.run(self.argv(*words, *(["--stdin"] if said else [])), input=said, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=PATIENCE, **options)
        assert done.returncode == status, (words, done.returncode, done.stdout)
        return done.stdout

    def text(self):
        return self.path.read_bytes()

    def names(self):
        return [line.split("\t")[0] for line in self.run("list").splitlines()]

    def alone(self):
        """Nothing was left beside the file."""
        assert sorted(p.name for p in self.path.parent.iterdir()) == [self.path.name]


def test_users_come_change_and_go(env):
    command = Command(env)
    command.run("add", "joe", said="first\n")
    assert command.run("verify", "joe", said="first\n") == "the password fits\n"
    assert "wrong password" in command.run("verify", "joe", said="First\n", status=1)
    assert "the user is there already" in command.run("add", "joe", said="other\n", status=1)
    command.run("passwd", "joe", "-s", "sha512-crypt", said="second\n")
    command.run("verify", "joe", said="first\n", status=1)
    command.run("verify", "joe", said="second\n")
    command.run("lock", "joe")
    assert "the user is locked" in command.run("verify", "joe", said="second\n", status=1)
    assert "stays locked" in command.run("passwd", "joe", said="third\n")
    assert "it was so already" in command.run("lock", "joe")
    command.run("unlock", "joe")
    command.run("verify", "joe", said="third\n")
    command.run("set", "joe", "--set", "host=10.0.0.8", "--set", "reason=100%", "--set", "port=143")
    command.run("set", "joe", "--unset", "port", "--set", "nologin")
    assert command.text().endswith(b"::::::host=10.0.0.8 reason=100%% nologin\n")
    command.run("delete", "joe")
    assert "unknown user" in command.run("delete", "joe", status=1)
    assert command.text() == USERS + b"\n"
    command.alone()


def test_all_that_was_not_asked_for_stays_byte_for_byte(env):
    command = Command(env)
    command.run("set", "ann", "--set", "port=993")
    assert command.text() == USERS.replace(b"port=143", b"port=993")
    command.run("unlock", "bob")
    command.run("delete", "last")
    wanted = USERS.replace(b"port=143", b"port=993").replace(b"bob:!", b"bob:")
    assert command.text() == wanted.removesuffix(b"last:{PLAIN}secret")


def test_the_list_shows_no_password(env):
    command = Command(env, USERS + b"\njim:{PLAIN}x::::::pass=secret user=jim2\n")
    assert command.run("list") == ("ann\tPLAIN\tactive\thost=192.0.2.1 port=143\nbob\tPLAIN\tlocked\t\n"
                                   "last\tPLAIN\tactive\t\njim\tPLAIN\tactive\tpass=... user=jim2\n")


def test_dovecot_takes_what_is_made(env):
    command = Command(env, b"")
    for scheme, *cost in (("YESCRYPT", "-r1"), ("SHA512-CRYPT", "-r1000"), ("SHA256-CRYPT", "-r1000"),
                          ("BLF-CRYPT", "-r4"), ("PLAIN",)):
        command.run("add", scheme, "-s", scheme, *cost, said="secret\n")
        stored = [line.split(":")[1] for line in command.text().decode().splitlines() if line.startswith(scheme)][0]
        subprocess.run([program("doveadm"), "-c", env.write("doveadm.conf", ""), "pw", "-t", stored, "-p", "secret"],
                       check=True, stdout=subprocess.PIPE)


def test_what_postern_would_not_take_is_not_written(env):
    command = Command(env)
    cases = [
        (["add", "j:oe"], "colons or control characters"),
        (["add", "#joe"], 'cannot begin with "#"'),
        (["add", "joe\nroot"], "colons or control characters"),
        (["add", "joe", "--set", "port=70000"], "invalid port"),
        (["add", "joe", "--set", "host=a b"], "blanks"),
        (["add", "joe", "--set", "host=a\nroot:{PLAIN}x"], "control characters"),
        (["add", "joe", "--set", "allow_nets=10.0.0.0/33"], "invalid network"),
        (["passwd", "nobody"], "unknown user"),
    ]
    for words, why in cases:
        assert why in command.run(*words, said="secret\n", status=1), words
    for said, why in (("\n", "empty password"), ("x" * 2000 + "\n", "too long"),
                      ("a\rb\n", "line end"), ("a\0b\n", "NUL")):
        assert why in command.run("add", "joe", said=said, status=1), said
    assert "no password was given" in command.run("add", "joe", "--stdin", status=1)
    assert command.text() == USERS
    # A file that has been bad before stays as it is, too.
    command.path.write_bytes(USERS + b"\nbad:{ROT13}x\n")
    assert "unknown password scheme" in command.run("delete", "ann", status=1)
    assert command.text() == USERS + b"\nbad:{ROT13}x\n"
    command.alone()


def test_no_password_stands_in_a_command_line(env):
    command = Command(env)
    said = command.run("add", "joe", "--set", "pass=x", said="y\n", status=2)
    assert "no password may stand in a command line" in said
    for words in ["add", "joe", "secret"], ["add", "joe", "-p", "secret"], ["passwd", "ann", "--password=secret"]:
        assert "try --help" in command.run(*words, status=2)
    command.run("add", "joe", "-s", "PLAIN", "--set", "pass", said="for us\nfor%them\n")
    assert command.text() == USERS + b"\njoe:{PLAIN}for us::::::pass=for%%them\n"


def test_owner_mode_and_link_stay(env):
    command = Command(env)
    os.chown(command.path, 4711, 4712)
    target, command.path = command.path, env.path("link")
    command.path.symlink_to("place/users")
    command.run("add", "joe", said="secret\n")
    assert command.path.is_symlink() and b"joe:" in target.read_bytes()
    after = target.stat()
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (4711, 4712, 0o640)


def test_a_file_is_made_when_that_is_said(env):
    command = Command(env)
    command.path.unlink()
    assert "No such file" in command.run("add", "joe", said="secret\n", status=1)
    assert "cannot hold" in command.run("add", "j:oe", "--create", said="secret\n", status=1)
    assert not command.path.exists()
    os.umask(0)
    command.run("add", "joe", "--create", said="secret\n")
    assert stat.S_IMODE(command.path.stat().st_mode) == 0o600
    command.run("add", "ann", "--create", said="secret\n")
    assert command.names() == ["joe", "ann"]
    for other in "/dev/null", command.path.parent:
        command.path = other
        assert "not a regular file" in command.run("list", status=1)


def test_a_full_disk_leaves_the_old_file(env):
    command = Command(env, b"".join(b"user%d:*\n" % i for i in range(10000)))
    before = command.text()

    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))
    assert "File too large" in command.run("delete", "user1", status=1, preexec_fn=small)
    assert command.text() == before
    command.alone()
    full = env.path("full")
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=192k", "none", full], check=True)
    command.path = full / "users"
    command.path.write_bytes(before)
    assert "No space left on device" in command.run("delete", "user1", status=1)
    assert command.text() == before
    command.alone()
    subprocess.run(["umount", full], check=True)


def test_a_folder_that_cannot_be_written_leaves_the_old_file(env):
    command = Command(env)
    subprocess.run(["mount", "--bind", command.path.parent, command.path.parent], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", command.path.parent], check=True)
    assert "Read-only file system" in command.run("add", "joe", said="secret\n", status=1)
    assert command.text() == USERS
    command.run("verify", "ann", said="secret\n")
    subprocess.run(["umount", command.path.parent], check=True)


def test_who_changes_at_the_same_time_waits(env):
    """None of many changes is lost, and every state between them is a whole file."""
    command = Command(env, b"first:*\n")
    seen, done = [], threading.Event()

    def watch():
        while not done.is_set():
            seen.append(command.text())
    watcher = threading.Thread(target=watch)
    watcher.start()
    running = [subprocess.Popen(command.argv("add", f"user{i}", "-s", "PLAIN", "--stdin"), stdin=subprocess.PIPE)
               for i in range(24)]
    for proc in running:
        proc.stdin.write(b"secret\n")
        proc.stdin.close()
    assert [proc.wait(PATIENCE) for proc in running] == [0] * len(running)
    done.set()
    watcher.join()
    assert sorted(command.names()) == sorted(["first"] + [f"user{i}" for i in range(len(running))])
    final = command.text()
    assert all(final.startswith(text) and text.endswith(b"\n") for text in seen)
    command.alone()


def test_who_is_killed_leaves_the_old_file_or_the_new(env):
    command = Command(env, b"".join(b"user%d:*\n" % i for i in range(20000)))
    changed = command.text().replace(b"user1:*", b"user1:!*")
    for i in range(40):
        before = command.text()
        proc = subprocess.Popen(command.argv("delete", "user2"))
        time.sleep(i * 0.0005)
        proc.kill()
        proc.wait()
        after = command.text()
        assert after in (before, before.replace(b"user2:*\n", b"")), "half a file"
        command.path.write_bytes(before)
    command.run("lock", "user1")
    assert command.text() == changed
    command.alone()


def test_an_editor_that_writes_meanwhile_is_noticed(env):
    """The lock is ours alone; who takes none of it must not lose its work."""
    command = Command(env)
    fd = os.open(command.path.parent, os.O_RDONLY)
    slowly = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:delay_enter=2000000:when=1"]
    proc = subprocess.Popen([*slowly, *command.argv("delete", "ann")], stderr=subprocess.PIPE, text=True)
    eventually(lambda: ".users.postern-passwd" in os.listdir(fd), "the new text is being written")
    with command.path.open("ab") as file:
        file.write(b"\nmeanwhile:*\n")
    assert "changed by somebody else meanwhile" in proc.communicate(timeout=PATIENCE)[1]
    assert proc.returncode == 1 and command.text() == USERS + b"\nmeanwhile:*\n"
    command.alone()


class Terminal:
    """The command at a terminal of its own."""

    def __init__(self, command, *words):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(command.binary, [str(word) for word in command.argv(*words)])
        self.seen = b""

    def until(self, text):
        """Reads until the text is there; returns all before it."""
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < end, (text, self.seen)
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.fd, 4096)
                except OSError:
                    raise AssertionError((text, self.seen)) from None
        before, _, self.seen = self.seen.partition(text)
        return before

    def echoes(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def answer(self, prompt, text):
        self.until(prompt)
        eventually(lambda: not self.echoes(), "the echo is off")
        os.write(self.fd, text)

    def finish(self):
        """What else it says, and its status."""
        while True:
            try:
                more = os.read(self.fd, 4096)
            except OSError:
                break
            if not more:
                break
            self.seen += more
        return self.seen, os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_password_is_typed_unseen_and_twice(env):
    command = Command(env)
    terminal = Terminal(command, "add", "joe", "-s", "PLAIN")
    terminal.answer(b"Password of joe: ", b"se:same\n")
    terminal.answer(b"Password of joe again: ", b"se:same\n")
    said, status = terminal.finish()
    assert status == 0 and b"same" not in said, said
    terminal = Terminal(command, "passwd", "joe", "--set", "pass")
    terminal.answer(b"Password of joe: ", b"one\n")
    terminal.answer(b"Password of joe again: ", b"two\n")
    said, status = terminal.finish()
    assert status == 1 and b"the two are not the same" in said, said
    terminal = Terminal(command, "verify", "joe")
    terminal.answer(b"Password of joe: ", b"se:same\n")
    said, status = terminal.finish()
    assert status == 0 and b"the password fits" in said, said
    terminal = Terminal(command, "passwd", "nobody")
    said, status = terminal.finish()
    assert status == 1 and said == b"postern-passwd: unknown user\r\n", "nobody types in vain"


def test_an_interrupted_prompt_gives_the_echo_back(env):
    command = Command(env)
    for keys, number in (b"\x03", signal.SIGINT), (b"\x1c", signal.SIGQUIT), (None, signal.SIGTERM):
        terminal = Terminal(command, "add", "joe")
        keeper = os.dup(terminal.fd)
        terminal.answer(b"Password of joe: ", b"half")
        if keys:
            os.write(terminal.fd, keys)
        else:
            os.kill(terminal.pid, number)
        eventually(terminal.echoes, "the echo is back")
        _, status = terminal.finish()
        assert status == -number, status
        os.close(keeper)
    assert command.text() == USERS


def test_a_running_postern_reads_the_change_by_itself(env):
    place = Place(env, "joe:{PLAIN}secret\n")
    command = Command(env)
    command.path = place.path
    pids = place.helper_pids()
    command.run("add", "ann", "-s", "SHA512-CRYPT", "-r", "1000", said="secret\n")
    eventually(lambda: place.lets_in("ann", "secret"), "the new user is let in")
    command.run("passwd", "joe", "-s", "SHA512-CRYPT", "-r", "1000", said="other\n")
    eventually(lambda: place.lets_in("joe", "other"), "the new password is taken")
    assert not place.lets_in("joe", "secret")
    command.run("lock", "ann")
    eventually(lambda: not place.lets_in("ann", "secret"), "the user is locked")
    assert place.helper_pids() == pids


def test_manual_and_help_agree(env):
    command = Command(env)
    told = subprocess.run([command.binary, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    manual = (env.source_dir() / "doc/postern-passwd.8").read_text()
    options = re.findall(r"^  -(\w), --(\w+)", told, re.M)
    assert options and sorted(options) == sorted(re.findall(r"^\.It Fl (\w) , Fl -(\w+)", manual, re.M))
    commands = re.findall(r"^  ([a-z]+)", told, re.M)
    assert commands and sorted(commands) == sorted(re.findall(r"^\.It Cm (\w+)(?: Ar user)?$", manual, re.M))
    version = subprocess.run([command.binary, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert re.fullmatch(r"postern-passwd \S+\n", version)
