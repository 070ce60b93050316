"""The systemd unit, under a real systemd that has processes, a root and a control group of its own."""
import os
import pathlib
import shutil
import subprocess

from harness import PATIENCE, Skip, eventually, netns
from machine import mount, must, serves, still_relays
from test_deb import Debian

CGROUPS = pathlib.Path("/sys/fs/cgroup")


class Booted(Debian):
    """As Debian, with a systemd that has nothing to do but what a test asks for."""

    def __init__(self, env):
        super().__init__(env)
        self.program = pathlib.Path("/lib/systemd/systemd")
        if not os.access(self.program, os.X_OK):
            raise Skip("systemd is not installed")
        mount("-t", "sysfs", "sysfs", "/sys")
        mount("-t", "cgroup2", "cgroup2", CGROUPS)
        self.group = CGROUPS / f"postern-test-{env.number}"
        self.group.mkdir(exist_ok=True)
        pathlib.Path("/etc/systemd/system/alone.target").write_text("[Unit]\nAllowIsolate=yes\n")
        # There is no journal.
        self.said = env.write("said.log", "")
        extra = pathlib.Path("/etc/systemd/system/postern.service.d/said.conf")
        extra.parent.mkdir()
        extra.write_text(f"[Service]\nStandardError=append:{self.said}\n")
        env.keep(self)
        self.boot()

    def boot(self):
        inner = "umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && " \
                f"exec env -i container=lxc PATH={os.environ['PATH']} " \
                f"{self.program} --system --unit=alone.target --log-target=console --show-status=no"
        outer = f"echo $$ >{self.group}/cgroup.procs && exec unshare --pid --mount --mount-proc --cgroup --fork " \
                f"--kill-child sh -c '{inner}'"
        self.unshare = subprocess.Popen(["sh", "-c", outer], stdin=subprocess.DEVNULL, start_new_session=True,
                                        stdout=open(self.env.path("systemd.log"), "wb"), stderr=subprocess.STDOUT)
        eventually(lambda: pathlib.Path("/run/systemd/private").exists() or self.unshare.poll(), "systemd listens")
        if self.unshare.poll() is not None:
            raise Skip("systemd does not run here: " + self.env.path("systemd.log").read_text())
        self.first = next(pid for pid in self.children(self.unshare.pid))
        eventually(lambda: "running" in self.run("systemctl", "is-system-running"), "systemd has booted")

    @staticmethod
    def children(parent):
        return [int(pid) for pid in pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]

    def inside(self, *words):
        return ["nsenter", "-t", str(self.first), "--mount", "--pid", "--root", "--wd", *map(str, words)]

    def run(self, *words):
        return subprocess.run(self.inside(*words), capture_output=True, text=True, timeout=100).stdout

    def must(self, *words, **options):
        return must(*self.inside(*words), **options)

    def dpkg(self, *words):
        return self.must("dpkg", "--force-unsafe-io", "--force-confdef", "--force-confold", *words)

    def show(self, name):
        return self.must("systemctl", "show", "--value", "-p", name, "postern").strip()

    def stop(self):
        self.unshare.kill()
        self.unshare.wait(PATIENCE)

        def removed():
            for folder in sorted(self.group.rglob("*/"), reverse=True):
                try:
                    folder.rmdir()
                except OSError:
                    return False
            self.group.rmdir()
            return True
        eventually(removed, "the control groups are empty")


@netns
def test_systemd_finds_nothing_wrong_with_the_unit_and_little_exposed(env):
    machine = Debian(env)
    if not shutil.which("systemd-analyze"):
        raise Skip("systemd is not installed")
    machine.install("postern")
    unit = "/lib/systemd/system/postern.service"
    assert must("systemd-analyze", "verify", "--man=no", unit) == ""
    must("systemd-analyze", "security", "--offline=true", "--threshold=40", unit)


@netns
def test_the_unit_starts_reloads_upgrades_and_stops(env):
    machine = Booted(env)
    machine.serve_mail()
    machine.install("postern")
    assert machine.show("ActiveState") == "active" and machine.show("UnitFileState") == "enabled", machine.run("systemctl", "status", "postern")
    machine.add_user()
    session, before = machine.login(), machine.show("MainPID")

    machine.must("systemctl", "reload", "postern")
    machine.wait_log("reconfigured")
    machine.edit("/etc/postern/postern.conf", "worker_processes  auto;", "worker_processes  many;")
    machine.must("systemctl", "reload", "postern", status=1)
    assert '"worker_processes" directive invalid value' in machine.said.read_text()
    machine.edit("/etc/postern/postern.conf", "worker_processes  many;", "worker_processes  auto;")
    assert machine.show("MainPID") == before

    machine.install("postern", version="9:1")
    eventually(lambda: machine.show("MainPID") != before, "the new master is the main process")
    still_relays(session)
    machine.login().close()
    assert machine.show("ActiveState") == "active" and machine.show("NRestarts") == "0"
    session.close()
    assert serves(machine.wait_masters(1)[0])
    assert machine.show("ActiveState") == "active"

    machine.must("systemctl", "restart", "postern")
    session = machine.login()
    machine.edit("/lib/systemd/system/postern.service", "timeout 10 ", "timeout 1 ")
    machine.must("systemctl", "daemon-reload")
    machine.must("systemctl", "stop", "postern")
    assert b"* BYE" in session.rest()
    assert not machine.processes() and machine.show("Result") == "success", machine.show("Result")
    machine.must("systemctl", "start", "postern")
    machine.dpkg("-P", "postern")
    eventually(lambda: not machine.processes(), "nothing runs any more")


@netns
def test_pam_can_do_in_what_the_unit_leaves_it_all_that_it_can_do_without(env):
    """Passwords of the system, which only root may read; and modules as the workers' account."""
    machine = Booted(env)
    machine.serve_mail()
    must("useradd", "--password", must("openssl", "passwd", "-6", "secret").strip(), "joe")
    pathlib.Path("/etc/pam.d/postern").write_text("auth required pam_unix.so\naccount required pam_unix.so\n")
    pathlib.Path("/etc/pam.d/anybody").write_text("auth required pam_permit.so\naccount required pam_permit.so\n")
    machine.install("postern", "postern-pam")
    for account, service in ("root", "postern"), ("postern", "anybody"):
        machine.edit("/etc/postern/postern.conf", "    auth_file  users;", f"""
    auth_pam_user {account};
    auth_pam {service};""")
        machine.must("systemctl", "restart", "postern")
        machine.login("joe").close()
        assert any("auth_pam" in title for title in machine.processes().values())
        machine.edit("/etc/postern/postern.conf", f"""
    auth_pam_user {account};
    auth_pam {service};""", "    auth_file  users;")
