"""The helpers that ask sources: who they are, what they are given, and what happens when one of them is gone."""
import ctypes
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess

from harness import Skip, Wire, eventually, open_files, weight
from test_auth_file import NOT_NOW, Place, append, cpu, crypt, overwrite, replace

SLOW = f"slow:{{BLF-CRYPT}}{crypt('$2b$', 14, 'slow')}\n"        # more than a second of a processor


# --- what reloads leave alone ---

@weight(20)
def test_a_hundred_reloads_leave_helpers_alone(env):
    place = Place(env, "joe:{PLAIN}secret\n", level="notice")
    place.postern.reload()
    pids, fds = place.helper_pids(), len(open_files(place.postern.pid))
    for _ in range(100):
        place.postern.reload()
    assert place.helper_pids() == pids and len(pids) == 2
    assert place.postern.log().count("start helper process") == 2
    eventually(lambda: len(place.postern.children()) == 1, "the last generation's worker alone")
    eventually(lambda: len(open_files(place.postern.pid)) <= fds, "no descriptor is left behind")
    assert place.lets_in("joe", "secret")


def test_a_source_that_is_no_longer_named_ends_its_helpers(env):
    place = Place(env, "joe:{PLAIN}secret\n")
    other = env.write("other", "ann:{PLAIN}secret\n", 0o600)
    pids = place.helper_pids()
    place.postern.write(place.text().replace(str(place.path), str(other)))
    place.postern.reload()
    assert place.lets_in("ann", "secret") and not place.lets_in("joe", "secret")
    eventually(lambda: len(place.helper_pids()) == 2 and not set(pids) & set(place.helper_pids()), "the old ones end")
    maps = pathlib.Path(f"/proc/{place.postern.pid}/maps")
    eventually(lambda: maps.read_text().count("memfd:postern-epoch") == 2, "one source's two views")


def getfd(pidfd, fd):
    """A descriptor of another process: pidfd_getfd(2), which Python does not have."""
    got = ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, fd, 0)
    if got == -1:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return got


# --- when one is killed ---

def test_a_helper_that_is_killed_takes_nobody_along(env):
    """Two logins are being answered; one helper dies. The other's client is let in, and the place is filled again."""
    place = Place(env, SLOW + "joe:{PLAIN}secret\n")
    pids = place.helper_pids()
    before = {pid: cpu(pid) for pid in pids}
    clients = place.slow_logins(2)
    eventually(lambda: all(cpu(pid) > before[pid] + 2 for pid in pids), "both are at work")
    os.kill(pids[0], signal.SIGKILL)
    assert {client.line() for client in clients} == {b"a OK backend LOGIN\r\n", NOT_NOW + b"\r\n"}
    eventually(lambda: len(place.helper_pids()) == 2, "two helpers again")
    assert pids[0] not in place.helper_pids() and pids[1] in place.helper_pids()
    assert place.lets_in("joe", "secret") and place.lets_in("slow", "slow")


def test_helpers_that_die_again_and_again_are_started_ever_later(env):
    """And are back, all of them, as soon as they are left alone."""
    place = Place(env, "joe:{PLAIN}secret\n")
    for _ in range(4):
        victims = eventually(place.helper_pids, "helpers")
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not set(victims) & set(place.helper_pids()), "they are gone")
    eventually(lambda: place.lets_in("joe", "secret"), "somebody answers again")
    eventually(lambda: len(place.helper_pids()) == 2, "two helpers")


@weight(10)
def test_a_mailbox_that_was_shut_down_spins_nobody_and_is_new_after_a_reload(env):
    """A worker that has been taken over can do that to all others."""
    place = Place(env, "joe:{PLAIN}secret\n")
    pids = place.helper_pids()
    mailbox = open_files(pids[0])[4]
    master = os.pidfd_open(place.postern.pid)
    fd, = (fd for fd, name in open_files(place.postern.pid).items() if name == mailbox)
    with socket.socket(fileno=getfd(master, fd)) as end:
        end.shutdown(socket.SHUT_RD)
    os.close(master)
    for pid in pids:
        place.postern.wait_log(rf"\[alert\] {pid}#\d+: auth_file .*the mailbox has been shut down")
        eventually(lambda: pid not in place.helper_pids(), "it ends")
    place.postern.reload()
    assert place.lets_in("joe", "secret")
    eventually(lambda: len(place.helper_pids()) == 2, "those that hung on to the old one are gone")


# --- files that are being written ---

def test_a_file_that_is_half_written_is_not_read(env):
    """Its writer may take its time; a helper that is started meanwhile begins with what the others have."""
    other = env.write("other", "eve:{PLAIN}secret\nann:{PLAIN}secret\n", 0o600)
    place = Place(env, "joe:{PLAIN}secret\n",
                  mail=f"server {{ listen {env.ip()}:1143; protocol imap; auth_file {other}; }}")
    helpers = place.postern.children(f"auth_file {place.path}")
    with open(place.path, "w", encoding="utf-8") as file:
        file.write("ann:{PLAIN}secret\nbob:{PLAIN}sec")
        file.flush()
        os.kill(helpers[0], signal.SIGKILL)
        # Nobody announces this one, so two looks have to be taken before it counts.
        os.truncate(other, len("eve:{PLAIN}secret\n"))
        place.postern.wait_log(r"other\" read, 1 users", 2)
        eventually(lambda: len(place.postern.children(f"auth_file {place.path}")) == 2, "a new helper")
        for _ in range(10):
            assert place.lets_in("joe", "secret") and not place.lets_in("ann", "secret")
            assert not place.lets_in("bob", "sec")
        file.write("ret\n")
    eventually(lambda: place.lets_in("bob", "secret"), "the whole file")
    assert place.lets_in("ann", "secret") and not place.lets_in("joe", "secret")
    assert not re.search(r"users\" read, 2 users.*\n(.*\n)*.*users\" read, 1 users", place.postern.log())


def users(count):
    return "".join(f"u{number}:{{PLAIN}}secret\n" for number in range(count))


def test_a_helper_that_has_stopped_gets_the_last_file_and_no_heap_of_them(env):
    place = Place(env, users(1))
    stopped, running = place.helper_pids()
    os.kill(stopped, signal.SIGSTOP)
    for count in range(2, 7):
        replace(place, users(count))
        place.postern.wait_log(rf" {running}#\d+: auth_file .*read, {count} users")
    os.kill(stopped, signal.SIGCONT)
    place.postern.wait_log(rf" {stopped}#\d+: auth_file .*read, 6 users")
    assert re.findall(rf" {stopped}#\d+: auth_file .*read, (\d+) users", place.postern.log()) == ["1", "2", "6"]
    for _ in range(6):
        assert place.lets_in("u5", "secret")


@weight(15)
def test_a_file_that_kills_its_readers_is_given_up(env):
    """There is memory for a small table and not for a large one. Whoever was let in before is so again."""
    place = Place(env, users(1))
    pids = place.helper_pids()
    bytes_now = max(int(status_of(pid)["VmSize"].split()[0]) << 10 for pid in pids)
    if bytes_now > 1 << 30:
        raise Skip("built with AddressSanitizer, which needs all of the memory there is")
    limit = bytes_now + (100 << 20)
    resource.prlimit(place.postern.pid, resource.RLIMIT_AS, (limit, limit))
    for pid in pids:                    # the next ones inherit that
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(place.helper_pids()) == 2 and not set(pids) & set(place.helper_pids()), "new helpers")
    replace(place, "#\n" * (8 << 20) + users(2))
    place.postern.wait_log(r"\[error\].*helper processes die while they read .*what was read before stays in force")
    eventually(lambda: len(place.helper_pids()) == 2, "two helpers")
    eventually(lambda: place.lets_in("u0", "secret"), "somebody answers")
    assert not place.lets_in("u1", "secret")
    pids = place.helper_pids()
    replace(place, users(3))
    eventually(lambda: place.lets_in("u2", "secret"), "the next file")
    assert place.helper_pids() == pids


def test_helpers_have_copies_and_not_the_file(env):
    place = Place(env, "joe:{PLAIN}secret\n")
    for pid in place.helper_pids():
        names = open_files(pid).values()
        assert str(place.path) not in names, names
        assert f" {place.path}" not in pathlib.Path(f"/proc/{pid}/maps").read_text()
    append(place, "ann:{PLAIN}secret\n")
    eventually(lambda: place.lets_in("ann", "secret"), "the new user")
    for pid in [place.postern.pid, *place.postern.children()]:
        assert "postern-file" not in pathlib.Path(f"/proc/{pid}/maps").read_text()


def test_workers_can_read_the_epoch_and_not_write_it(env):
    place = Place(env, "joe:{PLAIN}secret\n", workers=2)

    def views(pid):
        lines = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
        return sorted(line.split()[1] for line in lines if "memfd:postern-epoch" in line)
    assert views(place.postern.pid) == ["r--s", "rw-s"]
    for pid in place.postern.children():
        assert views(pid) == ["r--s"]
        assert not any("memfd:postern-" in name for name in open_files(pid).values()), open_files(pid)


# --- -t ---

def untouched(place, before):
    """What -t does is not seen by who serves."""
    eventually(lambda: (place.helper_pids(), place.postern.children()) == before, "those who served, and no others")
    assert place.lets_in("joe", "secret")


def test_a_bad_file_is_refused_by_t_with_its_line(env):
    place = Place(env, "joe:{PLAIN}secret\n")
    log, before = place.postern.log_path, (place.helper_pids(), place.postern.children())
    other = env.write("other", "ann:{PLAIN}secret\nbob:{ROT13}frperg\n", 0o600)
    place.postern.write(place.text().replace(str(place.path), str(other)))
    size = log.stat().st_size
    status, said = place.postern.run("-t")
    assert status == 1 and f"unknown password scheme in {other}:2" in said, said
    assert f'"auth_file" "{other}" cannot be used in {place.postern.config}:' in said, said
    assert "frperg" not in said and "start helper" not in said, said
    assert log.stat().st_size == size, "it wrote into the log of who serves"
    untouched(place, before)
    other.write_text("ann:{PLAIN}secret\n")
    status, said = place.postern.run("-t")
    assert status == 0 and said.count("\n") == 2, said
    status, said = place.postern.run("-t", "-q")
    assert (status, said) == (0, "")
    untouched(place, before)


def test_t_ends_what_it_started(env):
    place = Place(env, "joe:{PLAIN}secret\n")
    mine = set(place.helper_pids())

    def helpers():
        found = set()
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if b"auth_file" in path.read_bytes():
                    found.add(int(path.parent.name))
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found
    assert place.postern.run("-t")[0] == 0
    assert helpers() == mine
    other = env.write("other", "bob:{ROT13}frperg\n", 0o600)
    place.postern.write(place.text().replace(str(place.path), str(other)))
    assert place.postern.run("-t")[0] == 1
    assert helpers() == mine


HASHED = f"joe:{crypt('$2b$', 4, 'secret')}\n"


def test_challenges_over_hashes_are_refused(env):
    """By -t, by a start and by a reload; of two sources one that can is enough."""
    place = Place(env, HASHED)
    before = (place.helper_pids(), place.postern.children())
    place.challenges = True
    place.postern.write(place.text())
    wanted = re.compile(rf'\[emerg\] (\d+#\d+: )?"imap_auth cram-md5" cannot be served by "auth_file" '
                        rf'"{place.path}", which holds only hashes of passwords: .* in {place.postern.config}:\d+')
    status, said = place.postern.run("-t")
    assert status == 1 and wanted.search(said), said
    place.postern.kill(signal.SIGHUP)
    place.postern.wait_log("reload failed")
    place.postern.wait_log(wanted)
    untouched(place, before)
    place.postern.stop()
    status, said = place.postern.run()
    assert status == 1 and wanted.search(said) and "ended before it was ready" not in said, said
    # Somebody else in the chain has what it takes.
    other = env.write("other", "ann:{PLAIN}secret\n", 0o600)
    place.postern.write(place.text().replace("auth_helpers", f"auth_file {other}; auth_helpers"))
    assert place.postern.run("-t")[0] == 0
    # Or the file itself, for some.
    place.postern.write(place.text())
    append(place, "ann:{PLAIN}secret\n")
    status, said = place.postern.run("-t")
    assert status == 0, said


def test_what_a_file_holds_now_counts_at_a_reload(env):
    """The helpers are the same; what they can answer is not."""
    place = Place(env, "joe:{PLAIN}secret\n", level="info")
    pids = place.helper_pids()
    replace(place, HASHED)
    place.postern.wait_log(r"users\" read, 1 users", 4)
    place.challenges = True
    place.postern.write(place.text(), level="info")     # else their log is another one, and they are others
    place.postern.kill(signal.SIGHUP)
    place.postern.wait_log("reload failed")
    overwrite(place, "joe:{PLAIN}secret\n")
    place.postern.wait_log(r"users\" read, 1 users", 6)
    place.postern.reload()
    assert place.helper_pids() == pids


def test_a_file_with_a_writer_at_t(env):
    """Who has the file open, and has not written for a while, is not waited for."""
    place = Place(env, "joe:{PLAIN}secret\n")
    with open(place.path, "a", encoding="utf-8"):
        assert place.postern.run("-t")[0] == 0


# --- programs and accounts ---

def test_a_program_that_is_not_there_is_named(env):
    place = Place(env, "joe:{PLAIN}secret\n")
    config = place.postern.config.read_text()
    empty = env.path("empty")
    empty.mkdir()
    config = config.replace(f"auth_helper_path {env.build}", f"auth_helper_path {empty}")
    place.postern.config.write_text(config)
    status, said = place.postern.run("-t")
    wanted = f'"auth_file" needs a program, but open() "{empty}/postern-auth-file" failed (2: '
    assert status == 1 and wanted in said, said
    for source, package, option in ("auth_pam login", "postern-pam", "--with-pam=yes"), (
            f"auth_mysql {env.ip(7)}; auth_mysql_user u; auth_mysql_database d; "
            "auth_mysql_query \"SELECT password FROM users WHERE name = :user\"", "postern-mysql", "--with-mysql=yes"):
        place.postern.config.write_text(config.replace(f"auth_file {place.path}", source))
        status, said = place.postern.run("-t")
        line = f'"{source.split()[0]}" needs the program "{empty}/{package.replace("postern-", "postern-auth-")}", ' \
               f"which is not there: install {package}, or build with {option} in {place.postern.config}:"
        assert status == 1 and line in said, said
    untouched(place, (place.helper_pids(), place.postern.children()))


def status_of(pid):
    """What the kernel says of a process, by name."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


KEPT = sum(1 << number for number in (0, 2, 3, 6, 7, 29))  # CHOWN, DAC_READ_SEARCH, FOWNER, SETGID, SETUID, AUDIT_WRITE


class Pam(Place):
    """The same with a stack that lets in everybody."""

    def __init__(self, env, **options):
        if not (env.build / "postern-auth-pam").exists():
            raise Skip("built without PAM")
        env.write("pam.d/all", "auth required pam_permit.so\naccount required pam_permit.so\n")
        super().__init__(env, "", **options)

    def text(self):
        return super().text().replace(f"auth_file {self.path};",
                                      f"auth_pam all; auth_pam_directory {self.env.path('pam.d')};")

    def helper_pids(self):
        return self.postern.children("auth_pam")


def test_a_helper_of_pam_is_root_with_few_capabilities(env):
    place = Pam(env)
    assert place.lets_in("joe", "whatever")
    own = status_of("self")
    for pid in place.helper_pids():
        status = status_of(pid)
        assert status["Uid"].split() == ["0"] * 4 and status["Groups"].split() == ["0"], status
        for name in "CapPrm", "CapEff", "CapBnd":
            assert int(status[name], 16) == KEPT & int(own["CapBnd"], 16), (name, status[name])
        assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0
    worker = status_of(place.postern.children()[0])
    assert int(worker["CapEff"], 16) == 0


def test_a_helper_without_descriptors_ends_and_another_begins(env):
    """As modules that leak them leave it. It would take requests out of the mailbox and answer none."""
    place = Pam(env, helpers=1)
    pid, = place.helper_pids()
    assert place.lets_in("joe", "secret")
    eventually(lambda: status_of(pid)["State"].startswith("S"), "a helper that waits for the next request")
    room = min(set(range(100)) - set(open_files(pid)))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (room, room))
    assert place.login("joe", "secret") == NOT_NOW
    place.postern.wait_log(rf"\[alert\] {pid}#\d+: auth_pam .*no descriptor is left for a request")
    eventually(lambda: place.lets_in("joe", "secret"), "a new helper")
    assert place.helper_pids() != [pid]


def test_a_helper_of_pam_may_have_another_account(env):
    place = Pam(env, mail="auth_pam_user nobody;")
    assert place.lets_in("joe", "whatever")
    for pid in place.helper_pids():
        status = status_of(pid)
        assert "0" not in status["Uid"].split() and int(status["CapEff"], 16) == 0, status
    config = place.postern.config.read_text()
    place.postern.config.write_text(config.replace("auth_pam_user nobody", "auth_pam_user no-such-user"))
    status, said = place.postern.run("-t")
    assert status == 1 and re.search(r'getpwnam\("no-such-user"\) failed .*in .*postern.conf:\d+', said), said


def test_a_master_that_is_not_root_says_what_its_helpers_cannot_see(env):
    place = Pam(env)
    place.postern.stop()
    for path in env.folder, place.postern.log_path:
        path.chmod(0o777)
    done = subprocess.run(place.postern.command("-t"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          user=65534, group=65534, extra_groups=[], check=False)
    assert '[warn] "auth_pam" sees no more than its user may' in done.stdout, done.stdout


def test_a_helper_that_is_started_by_hand_says_so(env):
    done = subprocess.run([env.build / "postern-auth-file"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True, check=False)
    assert done.returncode == 1 and "runs only under postern" in done.stderr, done.stderr
