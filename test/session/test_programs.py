"""Helper programs that are replaced beneath a running master: no versions are mixed."""
import os
import shutil
import signal

from harness import Postern, Wire, eventually
from peers import Listener, imap_backend

STAMP = b"postern ipc "         # in front of the version in each program


class Place:
    """A folder of helper programs of its own, and what logs in by them."""

    def __init__(self, env):
        self.env = env
        self.folder = env.path("programs")
        self.folder.mkdir()
        env.keep(Listener((env.ip(2), 2000), imap_backend))
        self.users = env.write("users", "joe:{PLAIN}secret\n", 0o600)

    def install(self, version=None):
        """Puts the helper of auth_file there, as a package manager does; with `version`, one of that release."""
        program = (self.env.build / "postern-auth-file").read_bytes()
        if version is not None:
            assert program.count(STAMP) == 1
            start = program.index(STAMP) + len(STAMP)
            program = program[:start] + version + program[start + len(version):]
        new = self.folder / "new"
        new.write_bytes(program)
        new.chmod(0o755)
        new.rename(self.folder / "postern-auth-file")

    def text(self, helpers=1, more=""):
        return f"""
    auth_file {self.users}; auth_helpers {helpers}; proxy_pass {self.env.ip(2)}:2000; {more}
    server {{ listen {self.env.ip()}:2143; protocol imap; }}
"""

    def make(self, mail):
        postern = self.env.keep(Postern(self.env))
        self.write(postern, mail)
        return postern

    def write(self, postern, mail):
        postern.write(mail)
        config = postern.config.read_text()
        postern.config.write_text(config.replace(f"auth_helper_path {self.env.build};", f"auth_helper_path {self.folder};"))

    def lets_in(self):
        wire = Wire.to((self.env.ip(), 2143))
        wire.line()
        wire.send(b"a LOGIN joe secret\r\n")
        answer = wire.line()
        wire.close()
        return answer == b"a OK backend LOGIN\r\n"


def program_of(pid):
    """Which file it runs: the inode."""
    return os.stat(f"/proc/{pid}/exe").st_ino


def test_a_running_master_stays_with_the_programs_that_it_has(env):
    place = Place(env)
    place.install()
    postern = place.make(place.text()).start()
    (first,) = postern.children("auth_file")
    inode = program_of(first)
    place.install(b"9.9")
    postern.reload()
    assert postern.children("auth_file") == [first] and place.lets_in()
    os.kill(first, signal.SIGKILL)          # the next one is what it was
    eventually(lambda: [program_of(pid) for pid in postern.children("auth_file") if pid != first] == [inode], "another helper")
    place.write(postern, place.text(helpers=2))
    postern.reload()                        # another source, so other helpers
    eventually(lambda: [program_of(pid) for pid in postern.children("auth_file")] == [inode, inode], "two new helpers")
    assert place.lets_in()
    (place.folder / "postern-auth-file").unlink()
    place.write(postern, place.text(helpers=3))
    postern.reload()
    eventually(lambda: [program_of(pid) for pid in postern.children("auth_file")] == [inode] * 3, "three new helpers")
    assert place.lets_in()
    # Who starts now gets what is there now.
    postern.stop()
    place.install(b"9.9")
    status, said = postern.run()
    assert status == 1 and "is of another version than its master: upgrade the running master (SIGUSR2)" in said, said


def test_a_reload_that_would_mix_versions_is_refused(env):
    """A program that the master has never had open before, of a package that is newer than the master."""
    place = Place(env)
    place.install(b"9.9")
    plain = f"auth_http 127.0.0.1:1; server {{ listen {env.ip()}:2143; protocol imap; }}"
    postern = place.make(plain).start()
    (worker,) = postern.children()
    place.write(postern, place.text())
    for count in (1, 2):
        postern.kill(signal.SIGHUP)
        postern.wait_log("reload failed, the configuration in force is kept", count)
        postern.wait_log(r"\[emerg\] .*helper process \d+ is of another version than its master: upgrade the running", count)
    eventually(lambda: postern.children() == [worker], "the old worker alone")
    place.install()
    postern.reload()
    assert place.lets_in()


def test_t_says_that_versions_differ(env):
    place = Place(env)
    place.install(b"0.0")
    status, said = place.make(place.text()).run("-t")
    assert status == 1 and "is of another version" in said, said
    shutil.rmtree(place.folder)
