"""A machine to install packages on: this one as it stands, in namespaces, and whatever is changed is forgotten."""
import os
import pathlib
import shutil
import subprocess

from harness import Skip, Wire, eventually
from stage import b64


def must(*words, status=0, **options):
    """Runs a command, which ends with that status; returns what it said."""
    done = subprocess.run([str(word) for word in words], stdin=options.pop("stdin", subprocess.DEVNULL),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          timeout=100, **options)
    assert done.returncode == status, f"{words}: exit status {done.returncode}, wanted {status}: {done.stdout}"
    return done.stdout


def mount(*words):
    try:
        must("mount", *words)
    except AssertionError as why:
        raise Skip(f"no root of its own for a test: {why}")


def enter(env):
    """The rest of this process, and all it starts, has a root folder of its own above that of the machine."""
    place = pathlib.Path("/mnt")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", place)
    for name in ("upper", "work", "root"):
        (place / name).mkdir()
    root = place / "root"
    mount("-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={place}/upper,workdir={place}/work", root)
    mount("-t", "proc", "proc", root / "proc")
    mount("--rbind", "/dev", root / "dev")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root / "run")
    for folder in {env.folder, env.build, env.source_dir()}:
        if not (root / folder.relative_to("/")).is_dir():
            raise Skip(f"{folder} is not on the file system of /")
        mount("--bind", folder, root / folder.relative_to("/"))
    os.chroot(root)
    os.chdir("/")


class Machine:
    """Nothing of Postern is installed on it; services may be started, as in runlevel 2."""

    def __init__(self, env):
        self.env = env
        enter(env)
        os.environ |= {"DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        for path in ("/usr/sbin/policy-rc.d", "/var/lib/man-db/auto-update"):
            pathlib.Path(path).unlink(missing_ok=True)
        self.script("/sbin/runlevel", "echo N 2")
        if shutil.which("dpkg"):
            subprocess.run(["dpkg", "--purge", "postern-mysql", "postern-pam", "postern"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for folder in ("/etc/postern", "/var/log/postern"):
            shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["userdel", "postern"], stderr=subprocess.DEVNULL)
        self.files_before = self.files()

    @staticmethod
    def script(path, text):
        path = pathlib.Path(path)
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    @staticmethod
    def files():
        """Whatever has to do with Postern below the folders where packages put things."""
        found = must("find", "/etc", "/lib/systemd", "/usr/lib/systemd", "/usr/sbin", "/usr/libexec", "/usr/share",
                     "/var/lib", "/var/log", "/run", "-name", "*postern*", "-o", "-lname", "*postern*").split()
        return {path for path in found if not path.startswith(("/var/lib/dpkg/info", "/run/postern-"))}

    def processes(self):
        """The pids of everything that calls itself postern, and the titles."""
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
                if title.startswith("postern: "):
                    found[int(entry.name)] = title
        return found

    def masters(self):
        return sorted(pid for pid, title in self.processes().items() if title.startswith("postern: master"))

    def wait_masters(self, count):
        return eventually(lambda: len(self.masters()) == count and self.masters(), f"{count} masters")

    @staticmethod
    def pid():
        return int(pathlib.Path("/run/postern.pid").read_text())

    @staticmethod
    def log():
        return pathlib.Path("/var/log/postern/error.log").read_text()

    def wait_log(self, text, count=1):
        eventually(lambda: self.log().count(text) >= count, f"{count} x {text!r} in the log")

    @staticmethod
    def edit(path, old, new):
        """As an operator would; what is to be changed must be there."""
        path = pathlib.Path(path)
        text = path.read_text()
        assert old in text, f"{old!r} is not in {path}"
        path.write_text(text.replace(old, new))

    def add_user(self):
        """joe@example.com with the password "secret", and waits until a running postern has heard of it."""
        must("sh", "-c", "echo secret | postern-passwd -i /etc/postern/users add joe@example.com")

        def is_known():
            try:
                self.login().close()
            except AssertionError:
                return False
            return True
        eventually(is_known, "a login")

    @staticmethod
    def login(user="joe@example.com", password="secret", port=143):
        """A client by IMAP whom Postern has let in."""
        wire = Wire.to(("127.0.0.1", port))
        wire.line()
        wire.send(b"a AUTHENTICATE PLAIN " + b64(b"", user.encode(), password.encode()) + b"\r\n")
        answer = wire.line()
        assert answer.startswith(b"a OK"), answer
        return wire


def still_relays(wire):
    wire.send(b"n NOOP\r\n")
    line = wire.line()
    while line.startswith(b"* "):
        line = wire.line()
    assert line.startswith(b"n OK"), line


def serves(pid):
    """Whether this process runs the binary that is installed."""
    return os.path.samefile(f"/proc/{pid}/exe", "/usr/sbin/postern")
