"""Real peers: a Dovecot and a Postfix of the test's own, in its folder and on its addresses."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

from harness import PATIENCE, Skip, Wire, eventually


def program(name):
    """The path of an installed program, or the test is skipped."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/lib/dovecot")
    if path is None:
        raise Skip(f"{name} is not installed")
    return path


def answers(address):
    try:
        Wire.to(address).close()
        return True
    except OSError:
        return False


class Dovecot:
    """IMAP on port 143 and POP3 on 110 of an address, or on `ports`; users from a passwd-file, mail in Maildirs.

    With `tls`, a pair of certificate and key, also imaps on 993 and pop3s on 995, and
    STARTTLS, without which no password is taken. `first` stands in front of the passdb, `more` at the end.
    """

    CONFIG = """
base_dir = {dir}/run
state_dir = {dir}/state
instance_name = test-{number}
log_path = {dir}/dovecot.log
info_log_path = {dir}/dovecot.log
auth_verbose = yes
{ssl}
protocols = imap pop3
listen = {ip}
mail_location = maildir:{dir}/mail/%n
mail_uid = 65534
mail_gid = 65534
first_valid_uid = 1
mail_debug = no
auth_mechanisms = plain login
auth_failure_delay = 0
login_trusted_networks = {trusted}
{first}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {dir}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={dir}/mail/%n
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
  process_min_avail = 1
  inet_listener imap {{
    port = {ports[0]}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {ports[1]}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service auth {{
  unix_listener postfix-auth {{
    mode = 0666
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
  client_limit = 1100
}}
{more}
"""

    NO_TLS = "ssl = no\ndisable_plaintext_auth = no"
    TLS = "ssl = required\nssl_cert = <{}\nssl_key = <{}"

    def __init__(self, env, ip, users, trusted="", more="", tls=None, first="", ports=(143, 110)):
        self.program = program("dovecot")
        self.dir = env.path("dovecot")
        self.ip, self.imap, self.pop3, self.delivered = ip, (ip, ports[0]), (ip, ports[1]), 0
        self.auth_socket = self.dir / "run" / "postfix-auth"
        for sub in ("", "run", "state", "mail"):
            (self.dir / sub).mkdir(exist_ok=True)
        os.chown(self.dir / "mail", 65534, 65534)
        env.write("dovecot/users", "".join(f"{user}:{{PLAIN}}{password}\n" for user, password in users.items()))
        self.config = env.write("dovecot/dovecot.conf", self.CONFIG.format(
            dir=self.dir, ip=ip, ports=ports, number=env.number, trusted=trusted, more=more, first=first,
            ssl=self.TLS.format(*tls) if tls else self.NO_TLS, imaps=993 if tls else 0, pop3s=995 if tls else 0))
        env.keep(self)
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.program, "-F", "-c", str(self.config)], stdin=subprocess.DEVNULL,
                                        stdout=open(self.dir / "console.log", "ab"), stderr=subprocess.STDOUT)
        eventually(lambda: answers(self.imap) and answers(self.pop3), "Dovecot answers")

    def processes(self):
        """All of it, masters ahead of who they have started, by pid: the titles."""
        parents, titles = {}, {}
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(ValueError, OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                titles[int(entry.name)] = (entry / "cmdline").read_text(errors="replace")
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return {pid: titles[pid] for pid in found}

    def kill(self):
        """All of it at once, without a word to anybody."""
        pids = self.processes()
        for number in signal.SIGSTOP, signal.SIGKILL:
            for pid in pids:
                os.kill(pid, number)
        self.process.wait()
        eventually(lambda: not answers(self.imap) and not answers(self.pop3), "nobody answers any more")

    def deliver(self, user, text):
        """Puts a message into a user's INBOX."""
        box = self.dir / "mail" / user
        for sub in ("cur", "new", "tmp"):
            (box / sub).mkdir(parents=True, exist_ok=True)
        self.delivered += 1
        name = f"{self.delivered}.M{os.getpid()}.test"
        (box / "tmp" / name).write_bytes(text)
        os.rename(box / "tmp" / name, box / "new" / name)
        for path in [box, *box.rglob("*")]:
            os.chown(path, 65534, 65534)

    def log(self):
        return (self.dir / "dovecot.log").read_text(errors="replace")

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


class Postfix:
    """An MTA that delivers everything for example.com to Maildirs; XCLIENT allowed from loopback.

    With `tls`, a pair of certificate and key, also smtps on 465, and STARTTLS, without
    which no mail is taken.
    """

    TLS = """
smtpd_tls_cert_file = {0}
smtpd_tls_key_file = {1}
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
smtpd_tls_security_level = encrypt
"""
    SMTPS = """
{ip}:465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
tlsmgr unix - - n 1000? 1 tlsmgr
"""

    MAIN = """
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
maillog_file = {dir}/postfix.log
maillog_file_prefixes = {dir}
inet_interfaces = all
inet_protocols = ipv4
myhostname = backend.example.com
mydestination =
mynetworks = 127.0.0.254/32
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = example.com
virtual_mailbox_base = {dir}/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
smtpd_recipient_restrictions = {restrictions}
smtpd_authorized_xclient_hosts = {xclient}
smtpd_peername_lookup = no
smtpd_client_connection_rate_limit = 0
smtpd_error_sleep_time = 0
biff = no
{more}
"""
    MASTER = """
{ip}:25 inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
"""

    def __init__(self, env, ip, sasl=None, xclient="127.0.0.0/8",
                 restrictions="permit_sasl_authenticated, reject_unauth_destination", more="", tls=None):
        self.program = program("postfix")
        self.dir = env.path("postfix")
        self.ip, self.smtp = ip, (ip, 25)
        for sub in ("", "queue", "data", "mail"):
            (self.dir / sub).mkdir(exist_ok=True)
        shutil.chown(self.dir / "data", "postfix")
        os.chown(self.dir / "mail", 65534, 65534)
        if sasl:
            more += f"\nsmtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = {sasl}\n"
        if tls:
            more += self.TLS.format(*tls)
        env.write("postfix/main.cf", self.MAIN.format(dir=self.dir, ip=ip, xclient=xclient,
                                                      restrictions=restrictions, more=more))
        env.write("postfix/master.cf", (self.MASTER + (self.SMTPS if tls else "")).format(ip=ip))
        self.command("start")
        env.keep(self)
        eventually(lambda: answers(self.smtp), "Postfix answers")

    def command(self, verb):
        done = subprocess.run([self.program, "-c", str(self.dir), verb], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        assert done.returncode == 0, f"postfix {verb}: {done.stdout}"

    def messages(self, count=1):
        """Waits for so many delivered messages; returns their texts."""
        box = self.dir / "mail" / "box" / "new"
        eventually(lambda: box.exists() and len(list(box.iterdir())) >= count, f"{count} delivered messages")
        return [path.read_bytes() for path in sorted(box.iterdir())]

    def log(self):
        path = pathlib.Path(self.dir / "postfix.log")
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self):
        self.command("stop")


class MariaDB:
    """A server with its own data, on a UNIX socket and, with `ip`, on port 3306 there; root needs no password.

    With `tls`, a triple of CA, certificate and key, it also speaks TLS.
    """

    def __init__(self, env, ip=None, tls=None):
        self.program, self.client = program("mariadbd"), program("mariadb")
        self.dir, self.address = env.path("mariadb"), (ip, 3306)
        self.socket = self.dir / "socket"
        for sub in ("", "data", "tmp"):
            (self.dir / sub).mkdir()
            shutil.chown(self.dir / sub, "mysql")
        self.options = [f"--datadir={self.dir}/data", "--user=mysql", "--skip-innodb", "--default-storage-engine=Aria",
                        f"--tmpdir={self.dir}/tmp", "--skip-name-resolve"]
        self.run(program("mariadb-install-db"), *self.options, "--auth-root-authentication-method=normal",
                 "--skip-test-db")
        self.options += [f"--socket={self.socket}", f"--pid-file={self.dir}/pid", f"--log-error={self.dir}/mariadb.log",
                         "--log-warnings=2"]
        self.options += [f"--bind-address={ip}"] if ip else ["--skip-networking"]
        if tls:
            for path in tls:
                shutil.copy(path, self.dir)
                shutil.chown(self.dir / path.name, "mysql")
            self.options += [f"--ssl-{what}={self.dir}/{path.name}" for what, path in zip(("ca", "cert", "key"), tls)]
        env.keep(self)
        self.start()

    def run(self, *words):
        done = subprocess.run([words[0], "--no-defaults", *words[1:]], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        assert done.returncode == 0, f"{words}: {done.stdout}"
        return done.stdout

    def start(self):
        self.process = subprocess.Popen([self.program, "--no-defaults", *self.options], stdin=subprocess.DEVNULL,
                                        stdout=open(self.dir / "console.log", "ab"), stderr=subprocess.STDOUT)
        eventually(lambda: answers(str(self.socket)), "MariaDB answers", 60)

    def sql(self, text, *more):
        """Runs statements as root; returns the rows, each a list of words."""
        said = self.run(self.client, f"--socket={self.socket}", "--user=root", "--batch", "--skip-column-names",
                        "--default-character-set=utf8mb4", "-e", text, *more)
        return [line.split("\t") for line in said.splitlines()]

    def connections(self, user):
        """The numbers of this account's connections."""
        return sorted(int(row[0]) for row in self.sql(
            f"SELECT id FROM information_schema.processlist WHERE user = '{user}'"))

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)


class HAProxy:
    """TCP fronts on ports of `ip`: (port, port of the `backend`, word of its "server" line) each; `more` is text, and
    has `ports` of its own."""

    CONFIG = """
global
  nbthread 1
defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
"""

    def __init__(self, env, ip, backend=None, fronts=(), more="", ports=()):
        self.log_path = env.path("haproxy.log")
        ports = [*ports, *(port for port, _, _ in fronts)]
        config = env.write("haproxy.cfg", self.CONFIG + "".join(
            f"listen front{port}\n  bind {ip}:{port}\n  server s {backend}:{to} {word}\n" for port, to, word in fronts) + more)
        self.process = subprocess.Popen([program("haproxy"), "-db", "-f", str(config)], stdin=subprocess.DEVNULL,
                                        stdout=open(self.log_path, "wb"), stderr=subprocess.STDOUT)
        env.keep(self)
        eventually(lambda: all(answers((ip, port)) for port in ports), "HAProxy answers")

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
