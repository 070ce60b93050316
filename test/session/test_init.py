"""The init script, run as an operator runs it: in /etc, with settings from /etc/default."""
import os
import pathlib
import shutil
import signal
import subprocess

from harness import Postern, Wire, eventually
from peers import Listener, imap_backend
from stage import b64


class Service:
    """The init script in an /etc of the test's own, for a postern in front of a backend that lets everybody in."""

    def __init__(self, env, **settings):
        self.env = env
        self.script = env.source_dir() / "etc" / "postern.init"
        layer = env.path("etc")
        layer.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", layer], check=True)
        (layer / "upper").mkdir()
        (layer / "work").mkdir()
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                        f"lowerdir=/etc,upperdir={layer}/upper,workdir={layer}/work", "/etc"], check=True)
        self.postern = Postern(env)
        self.settings = {"DAEMON": self.postern.binary, "CONFIG": self.postern.config, "OPTIONS": f'"-p {env.folder}"'}
        self.set(**settings)
        env.keep(Listener((env.ip(2), 143), imap_backend))
        env.write("users", "joe:{PLAIN}secret\n", 0o600)
        self.configure()
        env.keep(self)

    def set(self, **settings):
        self.settings |= settings
        pathlib.Path("/etc/default/postern").write_text("".join(f"{k}={v}\n" for k, v in self.settings.items()))

    def configure(self, mail="", level="info", **options):
        self.postern.write(f"auth_file users; proxy_pass {self.env.ip(2)}:143; {mail}\n"
                           f"server {{ listen {self.env.ip()}:2143; protocol imap; }}", level=level, **options)

    def run(self, *words, user=None, shell="/bin/sh"):
        """Returns (exit status, what it said)."""
        done = subprocess.run([shell, self.script, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=100, user=user)
        return done.returncode, done.stdout

    def must(self, word, status=0):
        """The script ends with that status; returns what it said."""
        got, said = self.run(word)
        assert got == status, f"{word}: exit status {got}, wanted {status}: {said}"
        return said

    def pid(self):
        return int(self.postern.pid_path.read_text())

    def start(self):
        self.must("start")
        self.postern.pid = self.pid()

    def login(self):
        wire = Wire.to((self.env.ip(), 2143))
        wire.line()
        wire.send(b"a AUTHENTICATE PLAIN " + b64(b"", b"joe", b"secret") + b"\r\n")
        answer = wire.line()
        assert answer.startswith(b"a OK"), answer
        return wire

    def stop(self):
        self.postern.stop()


def wait_ended(pids):
    """Orphans, which nobody reaps here, count as gone."""
    def has_ended(pid):
        try:
            return ") Z" in pathlib.Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True
    eventually(lambda: all(has_ended(pid) for pid in pids), "they end")


def still_relays(wire):
    wire.send(b"n NOOP\r\n")
    assert wire.line().startswith(b"n OK")


def test_start_status_and_stop_do_so_and_twice_is_no_mistake(env):
    service = Service(env)
    assert "not running" in service.must("status", 3)
    for _ in range(2):
        service.start()
        service.login().close()
    assert f"running, pid {service.pid()}" in service.must("status")
    for _ in range(2):
        service.must("stop")
        assert not service.postern.pid_path.exists()
        eventually(service.postern.zombie, "the master, which has let go of all it had, is dead")
    service.must("status", 3)
    assert "SIGTERM" not in service.postern.log()       # nobody was there who had to be told to go


def test_exit_statuses_are_those_of_the_linux_standard_base(env):
    service = Service(env)
    for word, status in (("reload", 7), ("force-reload", 7), ("upgrade", 7), ("reopen", 7), ("try-restart", 0),
                         ("condrestart", 0), ("configtest", 0), ("dance", 2), ("", 2)):
        service.must(word, status)
    assert "Usage: " in service.run()[1] and service.run()[0] == 2
    status, said = service.run("start", user=65534)
    assert status == 4 and "only root" in said, said
    assert service.run("status", user=65534)[0] == 3
    service.set(CONFIG=env.path("nowhere"))
    service.must("start", 6)
    service.set(DAEMON=env.path("nowhere"))
    service.must("start", 5)
    service.must("stop")


def test_what_reads_a_broken_configuration_refuses_it_and_says_why(env):
    service = Service(env, STOP_SECONDS=1)
    service.start()
    session, workers = service.login(), service.postern.children()
    service.configure(mail="timeout never;")
    for word in "reload", "force-reload", "restart", "try-restart", "upgrade":
        said = service.must(word, 6)
        assert '"timeout"' in said and "postern.conf:" in said and "nothing has changed" in said, said
    assert '"timeout"' in service.must("configtest", 6)
    still_relays(session)
    assert service.pid() == service.postern.pid and service.postern.children() == workers
    assert "SIGHUP" not in service.postern.log()
    service.must("stop")        # for which nothing has to be right
    eventually(service.postern.zombie, "the end of the master")
    service.must("start", 1)


def test_reload_makes_a_change_take_effect(env):
    service = Service(env)
    service.start()
    session, workers = service.login(), service.postern.children()
    service.configure(mail="imap_capabilities IMAP4rev1 X-NEW;")
    service.must("reload")
    service.postern.wait_log("reconfigured")
    still_relays(session)
    assert not set(workers) & set(service.postern.children()) - set(service.postern.children("shutting down"))
    wire = Wire.to((env.ip(), 2143))
    wire.line()
    wire.send(b"a CAPABILITY\r\n")
    assert b"X-NEW" in wire.line()


def test_restart_is_another_process(env):
    service = Service(env)
    service.start()
    for word in "restart", "try-restart", "condrestart":
        before = service.pid()
        service.must(word)
        service.postern.pid = service.pid()
        assert service.pid() != before
    service.login().close()


def test_stop_lets_sessions_end_for_a_while_and_then_tells_their_clients(env):
    service = Service(env, STOP_SECONDS=1)
    service.start()
    session = service.login()
    service.must("stop")
    assert session.rest().startswith(b"* BYE")
    log = service.postern.log()
    assert 0 < log.index("SIGQUIT") < log.index("SIGTERM"), log


def test_a_master_that_does_not_react_is_killed(env):
    service = Service(env, STOP_SECONDS=1)
    service.start()
    workers = service.postern.children()
    os.kill(service.pid(), signal.SIGSTOP)
    service.must("stop")
    assert not service.postern.pid_path.exists()
    wait_ended(workers)
    service.start()


def test_a_pid_file_of_somebody_else_harms_nobody(env):
    service = Service(env)
    bystander = subprocess.Popen(["sleep", "60"])
    for text in f"{bystander.pid}\n", "0\n", "-1\n", "1; kill 1\n", "", "99999999999999999999\n":
        service.postern.pid_path.write_text(text)
        service.must("status", 1)
        service.must("reload", 7)
        service.must("stop")
        assert not service.postern.pid_path.exists() and bystander.poll() is None
    bystander.kill()
    service.start()


def test_a_killed_master_is_noticed_and_can_be_started_again(env):
    service = Service(env)
    service.start()
    workers = service.postern.children()
    os.kill(service.pid(), signal.SIGKILL)
    eventually(service.postern.zombie, "the end of the master")
    assert "dead" in service.must("status", 1)
    wait_ended(workers)
    service.start()
    service.login().close()


def test_the_pid_file_is_found_as_the_configuration_names_it(env):
    service = Service(env)
    text = service.postern.config.read_text()
    for written in 'pid "PATH";', "pid\t'PATH' ;  # not pid /run/other.pid;", "daemon on; pid PATH; ":
        service.postern.config.write_text(text.replace(f"pid {service.postern.pid_path};",
                                                       written.replace("PATH", str(service.postern.pid_path))))
        service.start()
        service.must("status")
        service.must("stop")
        eventually(service.postern.zombie, "the end of the master")
    env.write("pid.conf", f"pid {service.postern.pid_path};\n")
    service.postern.config.write_text(text.replace(f"pid {service.postern.pid_path};", "include pid.conf;"))
    service.set(PIDFILE=service.postern.pid_path)
    service.start()
    service.must("status")


def test_reopen_begins_new_logs(env):
    service = Service(env)
    service.start()
    service.postern.log_path.rename(env.path("error.log.1"))
    service.must("reopen")
    service.login().close()
    service.postern.wait_log("client logged in")


def install(env, service):
    """A binary that can be replaced, under the same path, as a package does it."""
    shutil.copy(service.postern.binary, env.path("new"))
    env.path("new").rename(env.path("postern"))
    service.set(DAEMON=env.path("postern"))


def test_upgrade_goes_over_to_the_new_binary_and_leaves_the_old_its_sessions(env):
    service = Service(env)
    install(env, service)
    service.start()
    session, old = service.login(), service.pid()
    service.must("upgrade")
    new = service.pid()
    service.postern.pid = new
    assert new != old
    still_relays(session)
    service.login().close()
    said = service.must("status")
    assert f"running, pid {new}" in said and f"pid {old} serves its last sessions" in said, said
    assert f"pid {old} still has sessions" in service.must("upgrade", 1)
    assert service.pid() == new
    session.close()
    eventually(lambda: not env.path("postern.pid.oldbin").exists(), "the old master has gone")
    assert "last sessions" not in service.must("status")
    service.must("upgrade")
    service.postern.pid = service.pid()
    assert service.pid() != new


def test_stop_ends_both_masters_of_an_upgrade(env):
    service = Service(env, STOP_SECONDS=1)
    install(env, service)
    service.start()
    session, old = service.login(), service.pid()
    service.must("upgrade")
    new = service.pid()
    another = service.login()
    service.must("stop")
    assert session.rest().startswith(b"* BYE") and another.rest().startswith(b"* BYE")
    wait_ended([old, new])
    service.must("status", 3)
    assert not list(env.folder.glob("postern.pid*"))
    service.start()
    service.login().close()


def test_stop_waits_for_a_new_master_that_just_starts(env):
    service = Service(env)
    install(env, service)
    service.start()
    old = service.pid()
    env.write("slow", f'#!/bin/sh\nsleep 1\nexec {service.postern.binary} "$@"\n', 0o755).rename(env.path("postern"))
    os.kill(old, signal.SIGUSR2)
    eventually(env.path("postern.pid.oldbin").exists, "the beginning of an upgrade")
    service.must("stop")
    (line,) = service.postern.wait_log("start new binary process")
    wait_ended([old, int(line.split()[-1])])
    assert not list(env.folder.glob("postern.pid*"))


def test_an_upgrade_that_fails_says_so_and_the_old_master_goes_on(env):
    service = Service(env)
    install(env, service)
    service.start()
    session, old = service.login(), service.pid()
    env.path("postern").unlink()
    env.write("postern", "#!/bin/sh\ncase \" $* \" in *\" -t \"*) exit 0 ;; *) exit 1 ;; esac\n", 0o755)
    said = service.must("upgrade", 1)
    assert f"the old one, pid {old}, goes on" in said, said
    assert service.pid() == old and not env.path("postern.pid.oldbin").exists()
    still_relays(session)
    service.login().close()
    install(env, service)
    for _ in range(3):
        old = service.pid()
        session.close()
        session = service.login()
        service.must("upgrade")
        service.postern.pid = service.pid()
        assert service.pid() != old
        still_relays(session)
        session.close()
        eventually(lambda: not env.path("postern.pid.oldbin").exists(), "the old master has gone")


def test_renew_upgrades_for_a_new_binary_and_reloads_for_anything_else(env):
    service = Service(env)
    service.must("renew")
    service.must("status", 3)       # who did not run does not run now
    install(env, service)
    service.start()
    old = service.pid()
    service.must("renew")
    service.postern.wait_log("reconfigured")
    assert service.pid() == old
    install(env, service)
    service.must("renew")
    service.postern.pid = service.pid()
    assert service.pid() != old
