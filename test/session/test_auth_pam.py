"""auth_pam: real PAM stacks in a service directory of the test's own."""
import os
import pathlib
import re
import signal
import subprocess

from harness import Postern, Skip, Wire, eventually, weight
from peers import Listener, imap_backend
from real import program
from test_auth_file import NOT_NOW, crypt

MODULES = [pathlib.Path(folder) / "security" for folder in
           ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64", "/lib")]


class Stack:
    """A service, an IMAP backend, and postern between them and its clients."""

    def __init__(self, env, service, server="", mail="", helpers=2, start=True, **options):
        if not (env.build / "postern-auth-pam").exists():
            raise Skip("built without PAM")
        self.env, self.heard = env, []
        env.keep(Listener((env.ip(2), 143), lambda wire: imap_backend(wire, on_command=self.heard.append)))
        self.folder = env.path("pam.d")
        self.service(service)
        self.text = f"""
    auth_pam mail; auth_pam_directory {self.folder}; auth_helpers {helpers}; proxy_pass {env.ip(2)}; {mail}
    server {{ listen {env.ip()}:143; protocol imap; {server} }}
"""
        self.options = options
        if start:
            self.postern = env.postern(self.text, **options)

    def service(self, text, name="mail"):
        self.env.write(f"pam.d/{name}", text)

    def begin(self, user, password, address=None, source=None):
        """An IMAP client that has sent its login."""
        client = Wire.to(address or (self.env.ip(), 143), source)
        client.line()
        user, password = (text.encode() if isinstance(text, str) else text for text in (user, password))
        client.send(b"a LOGIN {%d+}\r\n%s {%d+}\r\n%s\r\n" % (len(user), user, len(password), password))
        return client

    def login(self, user, password, **where):
        client = self.begin(user, password, **where)
        answer = client.line().rstrip(b"\r\n")
        client.close()
        return answer

    def lets_in(self, user, password, **where):
        return self.login(user, password, **where) == b"a OK backend LOGIN"

    def refuses(self, user, password, why, answer=b"a NO [AUTHENTICATIONFAILED] Authentication failed."):
        """The client hears nothing but a no, and the log has the reason."""
        before = len(self.postern.log())
        got = self.login(user, password)
        assert got.startswith(answer.split(b"]")[0]), (user, password, got)
        eventually(lambda: why in self.postern.log()[before:], f"{user!r}: {why!r} in the log")

    def helper_pids(self):
        return self.postern.children("auth_pam")


def make_db(env, users, name="users"):
    """A database for pam_userdb; returns what to say as db=."""
    lines = "".join(f"{user}\n{crypt('$5$', 1000, password)}\n" for user, password in users.items())
    text = env.write(name, lines.replace("\\", "\\\\"), 0o600)
    subprocess.run([program("db_load"), "-T", "-t", "hash", "-f", text, env.path(f"{name}.db")], check=True)
    return env.path(name)


def userdb(env, users, options=""):
    return f"""auth     required pam_userdb.so db={make_db(env, users)} crypt=crypt {options}
account  required pam_permit.so
"""


def has_ended(pid):
    """It may still wait for somebody to bury it."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def script(env, name, text):
    """A program for pam_exec."""
    return env.write(name, f"#!/bin/sh\n{text}\n", 0o755)


USERS = {
    "joe": "secret",
    "ann@example.org": "p\u00e4ss w\"rd\\",
    "Joe": "other",
    "m\u00fcller": "secret",
    "o'neil": "quote",
    "$(touch pwned)": "shell",
    "%n%s": "format",
    "x" * 255: "long",
}


def test_users_of_a_database_are_let_in_with_their_passwords(env):
    stack = Stack(env, userdb(env, USERS))
    wrong = [user for user, password in USERS.items() if not stack.lets_in(user, password)]
    assert not wrong, f"refused: {wrong}"
    wrong = [(user, tried) for user in USERS for tried in ("", "Secret", "secret ", "*", "secrets") if
             tried != USERS[user] and stack.lets_in(user, tried)]
    assert not wrong, f"let in: {wrong}"
    assert b"pwned" not in b"".join(os.listdir(os.fsencode(env.folder)))


HOSTILE = [
    ("nobody-knows", "unknown user"),
    ("joe ", "unknown user"),
    ("' OR 1=1 -- ", "unknown user"),
    ("*", "unknown user"),
    (b"\xff\xfe\x80", "unknown user"),
    ("JOE", "unknown user"),
    ("x" * 256, "not a name that PAM is asked about"),
    ("-joe", "not a name that PAM is asked about"),
    ("--help", "not a name that PAM is asked about"),
    ("..", "not a name that PAM is asked about"),
    ("../users", "not a name that PAM is asked about"),
    ("/etc/passwd", "not a name that PAM is asked about"),
    ("jo\x01e", "not a name that PAM is asked about"),
    ("joe\x7f", "not a name that PAM is asked about"),
]


def test_hostile_names_are_unknown(env):
    stack = Stack(env, userdb(env, USERS))
    for user, why in HOSTILE:
        stack.refuses(user, "secret", why)
    stack.refuses("joe", "secret".upper(), "wrong password")
    stack.refuses("joe", "", "empty password")
    stack.refuses("joe", "x" * 512, "password too long")
    assert stack.lets_in("joe", "secret"), "afterwards"
    assert "secret" not in stack.postern.log() and "SECRET" not in stack.postern.log()


def test_the_account_phase_counts(env):
    """A right password is not enough; and what it says about the user is for the log alone."""
    stack = Stack(env, userdb(env, {"joe": "secret"}).replace("pam_permit", "pam_deny"))
    stack.refuses("joe", "secret", "the account is refused")
    stack.refuses("joe", "wrong", "wrong password")
    stack.service(userdb(env, {"joe": "secret"}))
    assert stack.lets_in("joe", "secret"), "the service's file is read at each login"


RESULTS = [
    ("auth=user_unknown", "unknown user", b"a NO [AUTH"),
    ("auth=maxtries", "too many wrong passwords", b"a NO [AUTH"),
    ("auth=perm_denied", "permission denied", b"a NO [AUTH"),
    ("auth=cred_insufficient", "insufficient credentials", b"a NO [AUTH"),
    ("auth=acct_expired", "the account has expired", b"a NO [AUTH"),
    ("acct=acct_expired", "the account has expired", b"a NO [AUTH"),
    ("acct=new_authtok_reqd", "the password has to be changed", b"a NO [AUTH"),
    ("acct=user_unknown", "the user has no account", b"a NO [AUTH"),
    ("acct=perm_denied", "permission denied", b"a NO [AUTH"),
    ("auth=authinfo_unavail", "cannot retrieve authentication info", NOT_NOW),
    ("auth=system_err", "System error", NOT_NOW),
    ("auth=service_err", "Error in service module", NOT_NOW),
    ("auth=conv_err", "Conversation error", NOT_NOW),
    ("acct=authinfo_unavail", "cannot retrieve authentication info", NOT_NOW),
    ("acct=abort", "Critical error - immediate abort", NOT_NOW),
]


def test_every_result_of_pam_is_no_or_not_now(env):
    stack = Stack(env, "")
    for option, why, answer in RESULTS:
        stack.service(f"auth required pam_debug.so {option}\naccount required pam_debug.so {option}\n")
        before = len(stack.postern.log())
        got = stack.login("joe", "secret")
        assert got.startswith(answer), (option, got)
        eventually(lambda: why in stack.postern.log()[before:], f"{option}: {why!r} in the log")
    stack.service("auth required pam_debug.so auth=success\naccount required pam_debug.so acct=success\n")
    assert stack.lets_in("joe", "secret")


def test_a_stack_that_is_broken_is_not_now(env):
    stack = Stack(env, userdb(env, {"joe": "secret"}))
    good = (stack.folder / "mail").read_text()
    for broken in ("auth required pam_no_such_module.so\n", "auth required pam_userdb.so db=/nowhere\n", "",
                   "nonsense\n"):
        stack.service(broken + "account required pam_permit.so\n")
        assert not stack.lets_in("joe", "secret"), broken
    (stack.folder / "mail").unlink()
    assert stack.login("joe", "secret") == NOT_NOW
    stack.postern.wait_log(r"PAM cannot be started")
    stack.service(good)
    assert stack.lets_in("joe", "secret")


def test_a_service_that_is_not_there_is_refused_at_the_start(env):
    stack = Stack(env, "", start=False)
    (stack.folder / "mail").unlink()
    postern = env.keep(Postern(env, stack.text))
    for options in ["-t"], []:
        status, said = postern.run(*options)
        assert status != 0 and f'PAM has no usable service "mail" in {stack.folder}' in said, said


def test_a_second_question_is_not_answered(env):
    """pam_stress asks in words of its own; the password is not what it gets."""
    first = f"auth required pam_userdb.so db={make_db(env, {'joe': 'secret'})} crypt=crypt\n"
    account = "account required pam_permit.so\n"
    stack = Stack(env, first + "auth required pam_stress.so\n" + account)
    stack.refuses("joe", "secret", "PAM asks for more than a password, PAM says: STRESS Password: ")
    # The same question again has the same answer.
    stack.service(first + first + account)
    assert stack.lets_in("joe", "secret")


def test_what_modules_say_is_for_the_log(env):
    message = env.write("message", "go\x1b[31m away \"now\"")
    stack = Stack(env, f"auth optional pam_echo.so file={message}\nauth required pam_deny.so\n"
                  "account required pam_permit.so\n")
    stack.refuses("joe", "secret", r"wrong password, PAM says: go\x1B[31m away \x22now\x22")


ENVIRONMENT = """auth required pam_exec.so {options} {script}
account required pam_permit.so
"""


def test_modules_learn_where_the_client_is(env):
    seen = env.path("seen")
    path = script(env, "show", f"env > {seen}.new; id -u >> {seen}.new; mv {seen}.new {seen}")
    local = f"unix:{env.path('imap.sock')}"
    stack = Stack(env, ENVIRONMENT.format(options="", script=path), mail=f"server {{ listen {local}; protocol imap; }}")
    for where, rhost in ({"source": env.ip(77)}, env.ip(77)), ({"address": str(env.path("imap.sock"))}, "unix:"):
        assert stack.lets_in("joe", "secret", **where)
        lines = seen.read_text().splitlines()
        values = dict(line.split("=", 1) for line in lines if "=" in line)
        assert values["PAM_RHOST"] == rhost, values
        assert values["PAM_USER"] == "joe" and values["PAM_SERVICE"] == "mail", values
        assert values["PAM_TTY"] == "postern", values
        assert values.get("PAM_RUSER", "") == "" and values["PAM_TYPE"] == "auth", values
        assert "secret" not in seen.read_text()


def test_the_password_reaches_modules_byte_by_byte(env):
    seen = env.path("seen")
    path = script(env, "read", f"cat > {seen}")
    stack = Stack(env, ENVIRONMENT.format(options="expose_authtok", script=path))
    for password in ("secret", "p\u00e4ss w\"rd\\", "%s%n$HOME`id`", "x" * 500, b"\xff\xfe\x01"):
        assert stack.lets_in("joe", password), password
        wanted = password.encode() if isinstance(password, str) else password
        assert seen.read_bytes().rstrip(b"\0") == wanted


def test_the_helper_is_root_with_few_capabilities_or_a_user_of_its_own(env):
    seen = env.path("seen")
    path = script(env, "who", f"{{ id -u; grep -E 'Cap(Eff|Bnd)' /proc/self/status; ls /proc/self/fd; }} > {seen}")
    stack = Stack(env, ENVIRONMENT.format(options="seteuid", script=path))
    assert stack.lets_in("joe", "secret")
    uid, effective, bounding, *descriptors = seen.read_text().split("\n")
    # chown, dac_read_search, fowner, setgid, setuid, audit_write
    kept = sum(1 << number for number in (0, 2, 3, 6, 7, 29))
    assert uid == "0"
    for line in effective, bounding:
        assert int(line.split()[1], 16) & ~kept == 0, line
    assert [fd for fd in descriptors if fd] <= ["0", "1", "2", "3"], "only ls itself has opened one"
    env.path("seen").unlink()
    env.folder.chmod(0o777)
    stack.postern.write(stack.text + "auth_pam_user daemon;")
    stack.postern.reload()
    assert stack.lets_in("joe", "secret")
    assert seen.read_text().split("\n")[0] == "1"


@weight(10)
def test_a_hung_module_costs_its_login_and_its_helper(env):
    """The others are served on, and the helper comes back."""
    path = script(env, "hang", 'case "$PAM_USER" in slow*) exec sleep 1000;; esac')
    stack = Stack(env, ENVIRONMENT.format(options="", script=path), mail="auth_timeout 2s;")
    pids = stack.helper_pids()
    hung = [stack.begin(f"slow{i}", "secret") for i in range(len(pids) - 1)]
    for _ in range(20):
        assert stack.lets_in("joe", "secret")
    for client in hung:
        client.expect(NOT_NOW)
    eventually(lambda: len(set(stack.helper_pids()) - set(pids)) == len(hung), "new helpers in place of the hung ones")
    # Now all of them, and more than there are.
    hung = [stack.begin(f"slow{i}", "secret") for i in range(2 * len(pids))]
    for client in hung:
        client.expect(NOT_NOW)
    eventually(lambda: stack.lets_in("joe", "secret"), "the service is back")


def test_what_a_hung_module_has_started_ends_with_it(env):
    note = env.path("note")
    os.mkfifo(note)
    hung = script(env, "hung", f'echo $$ > "{note}"; exec sleep 600')
    stack = Stack(env, f"auth required pam_exec.so quiet {hung}\naccount required pam_permit.so\n", mail="auth_timeout 1s;")
    client = stack.begin("joe", "secret")
    pid = int(open(note).read())
    assert client.line().startswith(NOT_NOW)
    eventually(lambda: has_ended(pid), "the program of the module has ended")


@weight(4)
def test_helpers_are_replaced_after_a_thousand_answers(env):
    """Whatever modules leak goes with them, and no login notices."""
    stack = Stack(env, "auth required pam_deny.so\naccount required pam_permit.so\n", level="info",
                  mail="max_commands 10000; timeout 600s;")
    first = set(stack.helper_pids())
    count = 2600
    client = Wire.to((env.ip(), 143), patience=120)
    client.send(b"".join(b"%d LOGIN joe x\r\n" % i for i in range(count)))
    client.line()
    for i in range(count):
        assert client.line().startswith(b"%d NO [AUTHENTICATIONFAILED]" % i)
    stack.postern.wait_log("answers are enough for one process", 2)
    eventually(lambda: len(stack.helper_pids()) == 2 and not first & set(stack.helper_pids()), "two new helpers")


def test_a_helper_that_is_killed_costs_one_login(env):
    path = script(env, "hang", 'case "$PAM_USER" in slow*) exec sleep 1000;; esac')
    stack = Stack(env, ENVIRONMENT.format(options="", script=path), helpers=1)
    pid, = stack.helper_pids()
    client = stack.begin("slow", "secret")
    eventually(lambda: b"sleep" in subprocess.check_output(["ps", "-e", "-o", "args"]), "the module hangs")
    os.kill(pid, signal.SIGKILL)
    client.expect(NOT_NOW)
    eventually(lambda: stack.lets_in("joe", "secret"), "a new helper")


def test_the_delay_after_a_failure_holds_up_nobody_else(env):
    """The one helper answers others while the refused client waits for its answer."""
    stack = Stack(env, "auth optional pam_faildelay.so delay=4000000\n" + userdb(env, {"joe": "secret"}), helpers=1)
    refused = stack.begin("joe", "wrong")
    stack.postern.wait_log("wrong password")
    for _ in range(5):
        assert stack.lets_in("joe", "secret")
    refused.quiet(0.1)
    refused.expect(re.compile(rb"a NO \[AUTHENTICATIONFAILED\].*"))


def test_modules_may_call_the_user_by_another_name(env):
    if not any((folder / "pam_user_map.so").exists() for folder in MODULES):
        raise Skip("pam_user_map is not there (mariadb-server brings it)")
    os.makedirs("/etc/security", exist_ok=True)
    mapped = env.write("user_map.conf", "joe: ann\nbob: bob\n")
    target = pathlib.Path("/etc/security/user_map.conf")
    if not target.exists():
        raise Skip("no /etc/security/user_map.conf to put another in the place of")
    subprocess.run(["mount", "--bind", mapped, target], check=True)
    stack = Stack(env, "auth required pam_user_map.so\n" + userdb(env, {"ann": "secret", "bob": "secret"}))
    assert stack.lets_in("joe", "secret") and stack.lets_in("bob", "secret")
    assert [re.split(rb'[ "]+', line)[2] for line in stack.heard if b"LOGIN" in line] == [b"ann", b"bob"], stack.heard


def shadow(env, users):
    """Puts users into the system of this test's mount namespace; its name: (password, fields behind it)."""
    passwd, hidden = pathlib.Path("/etc/passwd").read_text(), pathlib.Path("/etc/shadow").read_text()
    for number, (user, (password, fields)) in enumerate(users.items()):
        secret = crypt("$5$", 1000, password) if password else password
        passwd += f"{user}:x:{4711 + number}:65534::/nonexistent:/bin/sh\n"
        hidden += f"{user}:{secret}:{fields}\n"
    subprocess.run(["mount", "--bind", env.write("etc/passwd", passwd), "/etc/passwd"], check=True)
    subprocess.run(["mount", "--bind", env.write("etc/shadow", hidden, 0o600), "/etc/shadow"], check=True)


def test_users_of_the_system_are_let_in_by_pam_unix(env):
    """Its account phase knows the fields of shadow(5)."""
    shadow(env, {
        "postern-joe": ("secret", "19000:0:99999:7:::"),
        "postern-gone": ("secret", "19000:0:99999:7::1:"),
        "postern-due": ("secret", "0:0:99999:7:::"),
        "postern-free": ("", "19000:0:99999:7:::"),
    })
    stack = Stack(env, "auth required pam_unix.so nodelay\naccount required pam_unix.so\n")
    assert stack.lets_in("postern-joe", "secret")
    stack.refuses("postern-joe", "wrong", "wrong password")
    stack.refuses("postern-gone", "secret", "the account has expired")
    stack.refuses("postern-due", "secret", "the password has to be changed")
    stack.refuses("postern-free", "x", "wrong password")
    stack.refuses("postern-none", "secret", "unknown user")
    # The silence that pam_unix wishes is kept, and the helpers do not keep it.
    stack.service("auth required pam_unix.so\naccount required pam_unix.so\n")
    client = stack.begin("postern-joe", "wrong")
    stack.postern.wait_log("wrong password", 3)
    assert stack.lets_in("postern-joe", "secret")
    client.quiet(0.1)


def test_only_passwords_can_be_asked_about(env):
    stack = Stack(env, userdb(env, {"joe": "secret"}), start=False)
    postern = env.keep(Postern(env, stack.text.replace("protocol imap;", "protocol imap; imap_auth cram-md5;")))
    status, said = postern.run("-t")
    assert status != 0 and "auth_pam" in said and "cram-md5" in said.lower(), said


def test_what_modules_keep_between_logins_is_kept(env):
    """pam_faillock counts in a folder of its own, with the capabilities that are left."""
    shadow(env, {"postern-joe": ("secret", "19000:0:99999:7:::")})
    tally = env.path("tally")
    tally.mkdir(0o755)
    stack = Stack(env, f"""auth required pam_faillock.so preauth dir={tally} deny=2
auth sufficient pam_unix.so nodelay
auth [default=die] pam_faillock.so authfail dir={tally} deny=2
account required pam_faillock.so dir={tally}
account required pam_unix.so
""")
    assert not stack.lets_in("postern-joe", "wrong")
    assert stack.lets_in("postern-joe", "secret"), "which forgives"
    assert not stack.lets_in("postern-joe", "wrong") and not stack.lets_in("postern-joe", "wrong")
    assert not stack.lets_in("postern-joe", "secret"), "two in a row lock"
