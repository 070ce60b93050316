"""What an operator gets wrong with a source is said by -t: what it is, where, and, where it helps, what to do."""
import re

from harness import Postern, Skip

TOKENS = "imap_auth xoauth2 oauthbearer;"
QUERY = "SELECT password FROM users WHERE name = :user"


class Desk:
    """An operator who writes a configuration and asks whether it is right."""

    def __init__(self, env):
        self.env, self.wrong = env, []

    def says(self, mail, wanted, status=1):
        """-t ends with that status, and one of its lines holds `wanted`, a pattern."""
        postern = Postern(self.env, f"{mail}\nproxy_pass {self.env.ip(7)};\n"
                                    f"server {{ listen {self.env.ip()}:143; protocol imap; }}")
        got, said = postern.run("-t")
        if got != status or not any(re.search(wanted, line) for line in said.splitlines()):
            self.wrong.append(f"{mail}\n  wanted {status}: {wanted}\n  got {got}: {said}")

    def check(self):
        assert not self.wrong, "\n".join(self.wrong)


def test_files_that_cannot_be_used(env):
    desk, here = Desk(env), re.escape(str(env.folder))
    for name, text, mode in (("users", "joe:{PLAIN}x\n", 0o600), ("empty", "# nobody yet\n", 0o600),
                             ("open", "joe:{PLAIN}x\n", 0o644), ("twice", "joe:{PLAIN}x\n\njoe:{PLAIN}y\n", 0o600),
                             ("scheme", "joe:{FOO}x\n", 0o600), ("hash", "joe:{SHA256}zz\n", 0o600)):
        env.write(name, text, mode)
    place = rf' in {here}/postern\.conf:\d+$'
    desk.says("auth_file none;", rf'\[emerg\] stat\(\) "{here}/none" failed \(2: No such file or directory\){place}')
    desk.says(f"auth_file {env.folder};", rf'\[emerg\] "{here}" is not a file{place}')
    desk.says("auth_file empty;", rf'\[warn\] .*auth_file "{here}/empty" has no users, nobody can log in by it$', 0)
    desk.says("auth_file open;", rf'\[warn\] "{here}/open" holds secrets and everybody may read it{place}', 0)
    desk.says("auth_file twice;", rf"\[emerg\] .*user is there twice in {here}/twice:3$")
    desk.says("auth_file twice;", rf'\[emerg\] "auth_file" "{here}/twice" cannot be used{place}')
    desk.says("auth_file scheme;", rf"\[emerg\] .*unknown password scheme in {here}/scheme:1$")
    desk.says("auth_file hash;", rf"\[emerg\] .* in {here}/hash:1$")
    desk.says("auth_file users; auth_cache zone=a:1k;", r'"zone=a:1k": the zone is too small, at least 32k in ')
    desk.says("auth_file users; auth_cache zone=a;", r'\[emerg\] invalid parameter "zone=a": invalid size in ')
    desk.says("auth_file users; auth_cache on;", r'\[emerg\] invalid parameter "on" in ')
    desk.says("auth_file users mach=*@x;", r'\[emerg\] invalid parameter "mach=\*@x" in ')
    desk.check()


def test_keys_that_are_none(env):
    desk, here = Desk(env), re.escape(str(env.folder))
    for text, why in (("hello", "not a JSON object"), ("", "not a JSON object"), ("[1]", "not a JSON object"),
                      ("-----BEGIN PUBLIC KEY-----", "not a JSON object"), ("{}", 'no array "keys"'),
                      ('{"keys":[]}', "no key that can be used"),
                      ('{"keys":[{"kty":"oct","k":"aaaa"}]}', "no key that can be used")):
        env.write("keys", text)
        desk.says(f"auth_jwt keys; {TOKENS}", rf'\[emerg\] .*{re.escape(why)} in "{here}/keys"$')
        desk.says(f"auth_jwt keys; {TOKENS}", rf'\[emerg\] "auth_jwt" "{here}/keys" cannot be used in ')
    desk.says("auth_jwt keys;", r'"imap_auth plain" cannot be served by "auth_jwt": leave it out, or add "auth_http"')
    desk.check()


def test_secrets_that_are_none(env):
    desk, here = Desk(env), re.escape(str(env.folder))
    env.write("empty", "", 0o600)
    env.write("open", "secret\n", 0o644)
    env.write("users", "joe:{PLAIN}x\n", 0o600)
    asked = f"auth_introspection http://{env.ip(3)}/x; auth_introspection_client_id a; {TOKENS}"
    for directive in f"{asked} auth_introspection_secret_file", "auth_file users; proxy_master_user m":
        desk.says(f"{directive} none;", rf'\[emerg\] open\(\) "{here}/none" failed \(2: No such file.* in ')
        desk.says(f"{directive} empty;", rf'\[emerg\] no secret in the first line of "{here}/empty" in ')
        desk.says(f"{directive} open;", rf'\[warn\] "{here}/open" holds secrets and everybody may read it in ', 0)
    desk.says(asked, r'\[emerg\] no "auth_introspection_secret_file" is defined for "auth_introspection" in ')
    desk.check()


def test_queries_and_databases(env):
    desk, here = Desk(env), re.escape(str(env.folder))
    at = f"auth_mysql {env.ip(8)}; auth_mysql_user postern; auth_mysql_database mail;"
    query = f'auth_mysql_query "{QUERY}";'
    names = ":user, :local, :domain, :protocol, :client, :server and :password"
    desk.says(at, r'\[emerg\] no "auth_mysql_query" is defined for "auth_mysql" in ')
    desk.says(f"{at} {query}".replace(":user", ":usr"), rf"unknown parameter; there are {names} in ")
    desk.says(f"{at} {query}".replace(":user", "'%u'"), r"the query asks for neither :user nor :local in ")
    desk.says(f"{at} {query}".replace(":user", "':user'"), r"the query asks for neither :user nor :local in ")
    desk.says(f"{at} {query} auth_mysql_password_file none;", rf'\[emerg\] stat\(\) "{here}/none" failed \(2: ')
    desk.says(f"auth_mysql {env.ip(8)}; {query} auth_mysql_database mail;", r'no "auth_mysql_user" is defined for ')
    if not (env.build / "postern-auth-mysql").exists():
        desk.check()
        raise Skip("built without MySQL")
    why = r"nobody can log in by it until that is mended$"
    desk.says(f"{at} {query}", rf'\[warn\] .*auth_mysql "{env.ip(8)}": connecting failed .*, {why}', 0)
    at = at.replace(env.ip(8), f"unix:{env.path('none')}")
    desk.says(f"{at} {query}", rf'\[warn\] .*auth_mysql "unix:{here}/none": connecting failed .*, {why}', 0)
    desk.check()


def test_services_of_pam(env):
    if not (env.build / "postern-auth-pam").exists():
        raise Skip("built without PAM")
    desk, here = Desk(env), re.escape(str(env.folder))
    env.write("pam.d/mail", "auth required pam_permit.so\naccount required pam_permit.so\n")
    ours = "auth_pam_directory pam.d;"
    desk.says(f"auth_pam mail; {ours}", "test is successful", 0)
    desk.says(f"auth_pam male; {ours}", rf'\[emerg\] .*PAM has no usable service "male" in {here}/pam.d$')
    desk.says("auth_pam mail; auth_pam_directory pam;", rf'\[emerg\] "{here}/pam" is not a directory in ')
    desk.says("auth_pam ../mail;", r'\[emerg\] invalid service "../mail" in ')
    desk.says(f"auth_pam mail; {ours} auth_pam_user no-such-user;", r'\[emerg\] getpwnam\("no-such-user"\) failed in ')
    desk.says(f"auth_pam mail; {ours} imap_auth cram-md5;", r'"imap_auth cram-md5" cannot be served by "auth_pam"')
    env.write("pam.d/other", "auth required pam_permit.so\naccount required pam_permit.so\n")
    other = r'\[warn\] .*auth_pam "male": there is no such service in {}, PAM asks the one called "other"$'
    desk.says(f"auth_pam male; {ours}", other.format(rf"{here}/pam\.d"), 0)
    desk.check()


def test_a_service_that_is_there_is_not_warned_of(env):
    if not (env.build / "postern-auth-pam").exists():
        raise Skip("built without PAM")
    env.write("pam.d/mail", "auth required pam_permit.so\naccount required pam_permit.so\n")
    for service, folder in ("mail", "auth_pam_directory pam.d;"), ("MAIL", "auth_pam_directory pam.d;"), ("login", ""):
        postern = Postern(env, f"auth_pam {service}; {folder} proxy_pass {env.ip(7)};\n"
                               f"server {{ listen {env.ip()}:143; protocol imap; }}")
        status, said = postern.run("-t")
        assert status == 0 and "warn" not in said, said


def test_backends_that_cannot_judge(env):
    desk = Desk(env)
    env.write("users", "joe:{PLAIN}x\n", 0o600)
    desk.says("auth_passthrough on; auth_file users;", r'"auth_passthrough" is not the last source: nobody behind')
    desk.says("auth_passthrough on; imap_auth cram-md5;", r'"imap_auth cram-md5" cannot be served by "auth_pass')
    for more, what in (("proxy_auth none;", '"proxy_auth none"'), ("proxy_master_user m secret always;", "always")):
        env.write("secret", "secret\n", 0o600)
        desk.says(f"auth_passthrough on; {more}", rf'lets the backend judge the client.s password, .*{what}')
    desk.check()


def test_each_source_of_the_shipped_configuration_is_ready_to_use(env):
    """What stands behind a "#" there is right, too."""
    text = (env.source_dir() / "etc/postern.conf").read_text().replace("/var/log/postern/", f"{env.folder}/")
    env.write("users", "joe:{PLAIN}x\n", 0o600)
    env.write("keys.json", '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"' + "A" * 43 + '"}]}')
    for group in ("auth_http ", "auth_pam ", "auth_mysql", "(auth_jwt|auth_token|imap_auth)", "auth_passthrough",
                  "auth_failure_delay"):
        if "mysql" in group and not (env.build / "postern-auth-mysql").exists():
            continue
        if "pam" in group and not (env.build / "postern-auth-pam").exists():
            continue
        ours, count = re.subn(rf"(?m)^    #(?={group})", "    ", text)
        assert count, group
        env.write("postern.conf", f"pid {env.path('pid')};\nauth_helper_path {env.build};\n{ours}")
        postern = Postern(env, config=env.path("postern.conf").read_text())
        status, said = postern.run("-t")
        assert status == 0 and "emerg" not in said, (group, said)
