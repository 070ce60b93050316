"""A newcomer's first steps: what README says, and the configuration that an installation puts there."""
import re
import subprocess

import guide
from harness import Postern, netns
from peers import Listener, imap_backend, pop3_backend
from real import Dovecot, program

README = "../README"


class First(guide.House):
    CONF = "everything; all that it needs to have is:"


def run_lines(env, text, said=None):
    """Runs commands of README with the programs of this build; passwords come from standard input."""
    for line in text.splitlines():
        words = line.replace("/etc/postern/", f"{env.path('etc')}/").split()
        subprocess.run([env.build / words[0], *words[1:], "--stdin"], input=said, text=True, check=True,
                       stdout=subprocess.DEVNULL)


@netns
def test_readme_a_first_configuration(env):
    """Word for word, but for the address; and the command that shows folders."""
    dovecot = Dovecot(env, env.ip(7), {"joe": "sesame", "ann": "sesame"})
    house = First(env, README, 0, {"listen 143": "listen 0.0.0.0:1143"})
    listing = ["curl", "-s", "imap://joe:{}@localhost:1143"]
    assert "`curl imap://joe:PASSWORD@localhost`" in (guide.DOC / README).read_text()
    for password, status in ("sesame", 0), ("wrong", 67):
        done = subprocess.run([program("curl"), *listing[1:-1], listing[-1].format(password)], capture_output=True)
        assert done.returncode == status and (b"INBOX" in done.stdout) == (status == 0), done
    assert "Login: user=<joe>" in dovecot.log()

    env.path("etc").mkdir()
    run_lines(env, guide.block(README, "configuration, in the format of Dovecot's passwd-file, which this writes:")
              .replace("10.0.0.8", env.ip(8)), "sesame\n")
    house.backend(8)
    house.change("auth_passthrough on;", f"auth_file {env.path('etc/users')};")
    for user, there in ("joe", 0), ("ann", 1):
        done = subprocess.run([program("curl"), "-s", f"imap://{user}:sesame@localhost:1143", "-X", "NOOP"])
        assert done.returncode == 0 and len({line for _, _, line in house.heard if b"LOGIN" in line}) == there


@netns
def test_the_shipped_configuration_serves_once_the_backend_is_in_it(env):
    """As its own comments say: the address into three lines, and a "#" away, or a user into the file."""
    text = (env.source_dir() / "etc/postern.conf").read_text()
    for port, backend in (143, imap_backend), (110, pop3_backend):
        env.keep(Listener((env.ip(7), port + 10000), backend))
    text = text.replace("127.0.0.1:10", f"{env.ip(7)}:10").replace("/var/log/postern/", f"{env.folder}/")
    env.write("users", "", 0o600)
    mine = f"pid {env.path('postern.pid')}; auth_helper_path {env.build};"
    postern = env.keep(Postern(env, config=text, args=["-g", mine])).start()
    house = guide.Visitor("127.0.0.1")
    assert not house.lets_in("joe")
    subprocess.run([env.build / "postern-passwd", env.path("users"), "add", "joe", "--stdin"], input="sesame\n", text=True,
                   check=True, stdout=subprocess.DEVNULL)
    postern.wait_log("auth_file .*read, 1 users")
    assert house.lets_in("joe") and not house.lets_in("ann")
    env.write("postern.conf", re.sub(r"#(?=auth_passthrough)", "", text))
    postern.reload()
    assert house.lets_in("joe") and house.lets_in("ann") and not house.lets_in("joe", "wrong")
