"""Debian's packages: installed, used, upgraded beneath a living session, removed and purged."""
import os
import pathlib
import pwd
import re
import subprocess

from harness import Skip, eventually, netns
from machine import Machine, must, serves, still_relays
from peers import Listener, imap_backend
from real import Dovecot

INIT = "/etc/init.d/postern"
MAIL = b"Subject: long\r\n\r\n" + b"This line is as long as the others.\r\n" * 20000


class Debian(Machine):
    """The packages, and a Dovecot where the shipped configuration looks for the mail server."""

    def serve_mail(self):
        return Dovecot(self.env, "127.0.0.1", {"joe@example.com": "secret", "joe": "secret"}, ports=(10143, 10110))

    def deb(self, name, version=None, change=None):
        """The path of a package as it was built; or of one made of it with another version, and `change`d files."""
        found = list(self.env.build.glob(f"deb/{name}_*.deb"))
        if len(found) != 1:
            raise Skip(f"{self.env.build}/deb has not one package {name}")
        if version is None:
            return found[0]
        folder, made = self.env.path(f"{name}-{version}"), self.env.path(f"{name}_{version}.deb")
        must("dpkg-deb", "-R", found[0], folder)
        control = folder / "DEBIAN/control"
        old = must("dpkg-deb", "-f", found[0], "Version").strip()
        control.write_text(control.read_text().replace(f"Version: {old}", f"Version: {version}")
                           .replace(f"postern (= {old})", f"postern (= {version})"))
        if change:
            change(folder)
        must("dpkg-deb", "-Znone", "-b", folder, made)
        return made

    @staticmethod
    def dpkg(*words):
        return must("dpkg", "--force-unsafe-io", "--force-confdef", "--force-confold", *words)

    def install(self, *names, **options):
        return self.dpkg("-i", *[self.deb(name, **options) for name in names])

    @staticmethod
    def status(name="postern"):
        done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", name], capture_output=True, text=True)
        return done.stdout or "not-installed"



@netns
def test_a_package_lives_from_install_to_purge(env):
    """The shipped configuration, one session that outlives a reload and an upgrade, and nothing is left."""
    machine = Debian(env)
    machine.serve_mail().deliver("joe", MAIL)
    machine.install("postern")
    assert "running" in must(INIT, "status")
    account = pwd.getpwnam("postern")
    log_folder = os.stat("/var/log/postern")
    assert (log_folder.st_uid, log_folder.st_mode & 0o777) == (0, 0o750)
    assert os.stat("/etc/postern/users").st_mode & 0o777 == 0o600
    machine.add_user()
    session = machine.login()
    session.send(b"s SELECT INBOX\r\n")
    while not session.line().startswith(b"s OK"):
        pass
    workers = [pid for pid, title in machine.processes().items() if "worker" in title]
    assert workers and all(os.stat(f"/proc/{pid}").st_uid == account.pw_uid for pid in workers)

    must(INIT, "reload")
    machine.wait_log("reconfigured")
    still_relays(session)

    before = machine.pid()
    session.send(b"f FETCH 1 BODY[]\r\n")       # of which the session owes the client most while the upgrade goes on
    machine.install("postern", version="9:1")
    assert machine.status() == "installed"
    assert machine.pid() != before and serves(machine.pid()) and not serves(before)
    size = int(re.search(rb"\{(\d+)\}\r\n$", session.line())[1])
    assert session.take(size) == MAIL and session.line() == b")\r\n"
    while not session.line().startswith(b"f OK"):
        pass
    machine.login().close()
    still_relays(session)
    session.close()
    assert machine.wait_masters(1) == [machine.pid()]
    assert not pathlib.Path("/run/postern.pid.oldbin").exists()

    machine.dpkg("-r", "postern")
    eventually(lambda: not machine.processes(), "nothing runs any more")
    assert machine.status() == "config-files" and pathlib.Path("/etc/postern/users").exists()
    must("sh", INIT, "start", status=5)
    must("sh", INIT, "stop")
    machine.dpkg("-P", "postern")
    assert machine.status() == "not-installed"
    assert machine.files() == machine.files_before, machine.files() ^ machine.files_before
    assert not os.path.exists("/etc/postern") and not os.path.exists("/var/log/postern")
    assert pwd.getpwnam("postern") == account       # as Debian does it: its number may still be the owner of something


@netns
def test_what_the_operator_changed_outlives_an_upgrade(env):
    machine = Debian(env)
    machine.serve_mail()
    machine.install("postern")
    machine.add_user()
    machine.edit("/etc/postern/postern.conf", "    #server_name  mail.example.com;", "    server_name  mine.example.com;")
    machine.edit("/etc/default/postern", "#STOP_SECONDS=10", "STOP_SECONDS=1")
    kept = {path: pathlib.Path(path).read_bytes()
            for path in ("/etc/postern/postern.conf", "/etc/postern/users", "/etc/default/postern")}

    def change(folder):
        for path in kept:
            with open(folder / path[1:], "a") as file:
                file.write("# new in this version\n")
    machine.install("postern", version="9:1", change=change)
    assert all(pathlib.Path(path).read_bytes() == text for path, text in kept.items())
    machine.login().close()


@netns
def test_a_package_on_top_of_a_broken_configuration_leaves_the_service_as_it_is(env):
    machine = Debian(env)
    machine.serve_mail()
    machine.install("postern")
    machine.add_user()
    session, before = machine.login(), machine.pid()
    machine.edit("/etc/postern/postern.conf", "worker_processes  auto;", "worker_processes  many;")
    said = machine.install("postern", version="9:1")
    assert '"worker_processes" directive invalid value' in said and "/etc/init.d/postern renew" in said, said
    assert machine.status() == "installed" and machine.masters() == [before]
    still_relays(session)
    machine.login().close()
    machine.edit("/etc/postern/postern.conf", "worker_processes  many;", "worker_processes  auto;")
    must(INIT, "renew")
    assert machine.pid() != before and serves(machine.pid())
    machine.login().close()


@netns
def test_a_port_that_is_taken_does_not_keep_a_package_from_being_installed(env):
    machine = Debian(env)
    env.keep(Listener(("127.0.0.1", 143), imap_backend))
    said = machine.install("postern")
    assert "143" in said and "Address already in use" in said, said
    assert machine.status() == "installed" and not machine.processes()


@netns
def test_all_packages_of_one_transaction_cause_one_upgrade(env):
    """And those of helpers alone cause a reload: master and helpers never are of two versions for long."""
    machine = Debian(env)
    machine.serve_mail()
    machine.install("postern")
    pathlib.Path("/etc/pam.d/postern").write_text("auth required pam_permit.so\naccount required pam_permit.so\n")
    before = machine.pid()
    machine.install("postern-mysql", "postern-pam")
    machine.wait_log("reconfigured")
    assert machine.masters() == [before]
    machine.edit("/etc/postern/postern.conf", "    auth_file  users;", "    auth_pam  postern;")
    must(INIT, "reload")
    machine.wait_log("reconfigured", 2)
    session = machine.login()
    machine.install("postern-mysql", "postern", "postern-pam", version="9:1")
    assert machine.pid() != before and serves(machine.pid())
    helpers = [pid for pid, title in machine.processes().items() if "auth_pam" in title]
    program = "/usr/libexec/postern/postern-auth-pam"
    assert any(os.path.samefile(f"/proc/{pid}/exe", program) for pid in helpers)
    assert len(re.findall(r"SIGUSR2", machine.log())) == 1
    still_relays(session)
    machine.login().close()
    machine.dpkg("-r", "postern-mysql", "postern-pam")
    still_relays(session)
    session.close()
    machine.dpkg("-P", "postern-mysql", "postern-pam", "postern")
    eventually(lambda: not machine.processes(), "nothing runs any more")


@netns
def test_a_policy_of_the_machine_has_the_last_word(env):
    """policy-rc.d has the last word about start, upgrade and reload."""
    machine = Debian(env)
    machine.script("/usr/sbin/policy-rc.d", "exit 101")
    machine.install("postern")
    assert not machine.processes()
    must(INIT, "start")
    before = machine.pid()
    machine.install("postern", version="9:1")
    assert machine.masters() == [before] and not serves(before)


@netns
def test_logs_are_rotated_by_the_package(env):
    machine = Debian(env)
    machine.serve_mail()
    machine.install("postern")
    machine.add_user()
    machine.login().close()
    machine.wait_log("client logged in")
    must("logrotate", "--force", "--state", env.path("state"), "/etc/logrotate.d/postern")
    rotated = pathlib.Path("/var/log/postern/error.log.1")
    assert "client logged in" in rotated.read_text()
    eventually(lambda: pathlib.Path("/var/log/postern/error.log").exists(), "a new log")
    machine.login().close()
    machine.wait_log("client logged in")


@netns
def test_the_tests_of_the_package_pass_as_autopkgtest_runs_them(env):
    machine = Debian(env)
    machine.install("postern")
    tests = env.source_dir() / "debian" / "tests"
    control = (tests / "control").read_text()
    for name in re.search(r"(?m)^Tests: (.*)$", control)[1].split():
        scratch = env.path(name)
        scratch.mkdir()
        must(tests / name, cwd=env.source_dir(), env=os.environ | {"AUTOPKGTEST_TMP": str(scratch)})
