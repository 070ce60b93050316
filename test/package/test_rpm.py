"""RPM's packages, whose scriptlets run here as they would at home; what they require has other names there."""
import os
import pathlib
import pwd

from harness import Skip, eventually, netns
from machine import Machine, must, serves, still_relays
from peers import Listener, imap_backend


class RedHat(Machine):
    """The packages, also with a higher release, and a backend that lets everybody in."""

    def __init__(self, env):
        super().__init__(env)
        self.init = must("rpm", "--eval", "%{_initddir}").strip() + "/postern"
        # One that may be there already in the machine's own database.
        self.database = env.path("rpmdb")
        must("rpm", "--initdb", "--dbpath", self.database)
        env.keep(Listener(("127.0.0.1", 10143), imap_backend))

    def rpms(self, folder, *names):
        place = self.env.build / "rpm" / folder
        found = [path for name in names for path in place.glob(f"*/{name}-[0-9]*.rpm")]
        if len(found) != len(names):
            raise Skip(f"{place} has not one each of {' '.join(names)}")
        return found

    def rpm(self, *words):
        return must("rpm", "--dbpath", self.database, "--nodeps", *words)


@netns
def test_packages_live_from_install_to_erasure(env):
    machine = RedHat(env)
    machine.rpm("-i", *machine.rpms("RPMS", "postern", "postern-mysql"))
    assert not machine.processes()      # nobody is started unasked
    must(machine.init, "start")
    account = pwd.getpwnam("postern")
    machine.add_user()
    session, before = machine.login(), machine.pid()
    workers = [pid for pid, title in machine.processes().items() if "worker" in title]
    assert workers and all(os.stat(f"/proc/{pid}").st_uid == account.pw_uid for pid in workers)
    users = pathlib.Path("/etc/postern/users").read_text()
    must(machine.init, "reload")
    machine.wait_log("reconfigured")

    machine.rpm("-U", *machine.rpms("again", "postern", "postern-mysql"))
    assert machine.pid() != before and serves(machine.pid()), "the new binary serves"
    assert machine.log().count("SIGUSR2") == 1
    still_relays(session)
    machine.login().close()
    session.close()
    assert machine.wait_masters(1) == [machine.pid()]
    assert pathlib.Path("/etc/postern/users").read_text() == users

    helper_only = machine.pid()
    machine.rpm("-i", *machine.rpms("again", "postern-pam"))
    machine.wait_log("reconfigured", 2)
    assert machine.masters() == [helper_only]

    machine.rpm("-e", "postern-pam", "postern-mysql", "postern")
    eventually(lambda: not machine.processes(), "nothing runs any more")
    assert pathlib.Path("/etc/postern/users.rpmsave").read_text() == users
    # In /etc/rc?.d is what Debian's systemctl does for init scripts; another's does not.
    left = {path for path in machine.files() - machine.files_before if not path.startswith("/etc/rc")}
    assert left <= {"/etc/postern", "/var/log/postern"}, left
