#!/usr/bin/python3
"""The manuals say what the program does: compared with its tables, and their examples loaded.

Run by `make check` in the build folder. Each name and each example is a test; what differs is
printed.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

BUILD = pathlib.Path.cwd()
SOURCE = pathlib.Path(os.environ.get("srcdir", pathlib.Path(__file__).parent.parent)).resolve()
sys.dont_write_bytecode = True     # the source may be read-only
sys.path.insert(0, str(SOURCE / "test/session"))
import certs        # noqa: E402

CONTEXTS = ["main", "events", "mail", "server", "upstream"]

# What stands around an example of each kind, so that it is a whole configuration.
FRAMES = {
    "file": "{}",
    "main": "{}\nevents {{ }}",
    "events": "events {{\n{}\n}}",
    "mail": "events {{ }}\nmail {{\nauth_http 127.0.0.1:9000;\n{}\n"
            "server {{ listen 127.0.0.1:10143; protocol imap; }}\n}}",
    "server": "events {{ }}\nmail {{ auth_http 127.0.0.1:9000; server {{ listen 127.0.0.1:143;\n{}\n}} }}",
}

passed = failed = 0


def check(what, problem):
    """Counts a test; `problem` is what to print, or nothing."""
    global passed, failed
    if problem:
        failed += 1
        print(f"failed  {what}: {problem}")
    else:
        passed += 1


def plain(line):
    """A line of mdoc as it reads, near enough."""
    line = re.sub(r"^\.(It|Ic) | (Ic|Ar|Cm|Fl|Dv|Pa|No|Li) ", " ", line)
    return re.sub(r" ([;,])", r"\1", " ".join(line.split()))


def lines_of(manual):
    return (SOURCE / "doc" / manual).read_text().replace("\\&", "").splitlines()


def section(lines, title):
    start = lines.index(f".Sh {title}")
    end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith(".Sh ")), len(lines))
    return lines[start:end]


def items(lines, label):
    """The lines between `.It label` and the next item, of each list that has one."""
    for i, line in enumerate(lines):
        if line == f".It {label}:":
            end = next(j for j in range(i + 1, len(lines)) if lines[j].startswith((".It ", ".El")))
            yield lines[i + 1:end]


def manual_directives():
    """name -> (contexts, default), from the Syntax, Default and Context of each entry."""
    lines, found = lines_of("postern.conf.5"), {}
    for syntax, default, context in zip(*(items(lines, label) for label in ("Syntax", "Default", "Context"))):
        contexts = CONTEXTS if context == ["any"] else context[0].split(", ")
        for name in set(re.findall(r"^\.Ic (\w+)", "\n".join(syntax), re.M)):
            own = next((line for line in default if line.startswith(f".Ic {name} ")), default[0])
            before = found.get(name, ([], own))[0]
            if set(contexts) & set(before):
                check(name, "has two entries")
            found[name] = (before + contexts, own)
    return found


def entries():
    """Each entry of a directive: the lines from its heading to the next one."""
    lines = lines_of("postern.conf.5")
    heads = [i for i, line in enumerate(lines) if line.startswith((".Ss ", ".Sh "))] + [len(lines)]
    for begin, end in zip(heads, heads[1:]):
        if ".It Syntax:" in lines[begin:end]:
            yield lines[begin:end]


def check_examples():
    """Each directive stands in an example of its own entry; that all of these load is tried elsewhere."""
    for entry in entries():
        shown = "\n".join(text for _, kind, text in blocks_of(entry) if kind in FRAMES)
        for syntax in items(entry, "Syntax"):
            for name in dict.fromkeys(re.findall(r"^\.Ic (\w+)", "\n".join(syntax), re.M)):
                is_there = re.search(rf"(?:^|[{{;])\s*{name}\b", shown, re.M)
                check(f"example of {name}", "" if is_there else f"there is none under {entry[0][4:]!r}")


def table():
    """kind -> rows of fields, as the program has them."""
    rows = {"directive": [], "option": [], "signal": []}
    run = subprocess.run([BUILD / "test/manual_table"], check=True, capture_output=True, text=True)
    for line in run.stdout.splitlines():
        kind, *fields = line.split("\t")
        rows[kind].append(fields[:-1])
    return rows


def check_default(name, fallback, default):
    """A directive with a default shows it; a default that is a path depends on the build."""
    if fallback.startswith("/"):
        expected = "compiled in"
    elif fallback:
        expected = f".Ic {name} {fallback} ;"
    elif default.startswith("."):
        return f"default {plain(default)!r}, but the table has none"
    else:
        return ""
    return "" if default == expected else f"default {plain(default)!r}, not {plain(expected)!r}"


def compare_directives(rows):
    described, known = manual_directives(), {}
    for name, contexts, fallback in rows:
        before = known.get(name, (set(), ""))
        known[name] = (before[0] | set(contexts.split()), before[1] or fallback)
    for name in sorted(set(described) | set(known)):
        if name not in described:
            check(name, "is not in postern.conf.5")
        elif name not in known:
            check(name, "is in postern.conf.5 only")
        elif set(described[name][0]) != known[name][0]:
            check(name, f"contexts {described[name][0]}, not {sorted(known[name][0])}")
        else:
            check(name, check_default(name, known[name][1], described[name][1]))


def compare(what, described, known):
    """Two dictionaries, both ways."""
    for name in sorted(set(described) | set(known)):
        if name not in described:
            check(f"{what} {name}", "is not in postern.8")
        elif name not in known:
            check(f"{what} {name}", "is in postern.8 only")
        elif described[name] != known[name]:
            check(f"{what} {name}", f"{described[name]!r} in postern.8, {known[name]!r} in the program")
        else:
            check(f"{what} {name}", "")


def compare_options(rows):
    """Letters, and whether they take a value; of the manual, of the parser and of -h."""
    known = {letter: bool(value) for letter, value in rows}
    described = {}
    for line in section(lines_of("postern.8"), "OPTIONS"):
        for letter, value in re.findall(r"Fl (\S)(?: (?:Ar|Cm) (\S+))?", line) if line.startswith(".It ") else []:
            described[letter] = bool(value)
    compare("option", described, known)
    run = subprocess.run([BUILD / "postern", "-h"], capture_output=True, text=True)
    helped = set(re.findall(r"(?:^|,)\s*-(\S)", run.stdout + run.stderr, re.M))
    check("-h", f"shows {sorted(helped)}" if helped != set(known) else "")


def compare_signals(rows):
    known = {name: (word, acts) for name, word, acts in rows}
    described = {}
    for line in section(lines_of("postern.8"), "SIGNALS"):
        if line.startswith(".It "):
            word = re.search(r"Fl s Cm (\w+)", line)
            for name in re.findall(r"SIG[A-Z0-9]+", line):
                described[name] = (word.group(1) if word else "", "" if "ignored" in line else "acts")
    compare("signal", described, known)


def check_environment():
    """Each variable that the program reads by its name is in the manual."""
    lines = section(lines_of("postern.8"), "ENVIRONMENT")
    described = {name for line in lines if line.startswith(".It Ev ") for name in re.findall(r"[A-Z_]{2,}", line)}
    text = "".join(path.read_text() for room in ("common", "master", "worker") for path in (SOURCE / room).rglob("*.c"))
    for name in sorted(set(re.findall(r'getenv\("(\w+)"\)|#define VARIABLE "(\w+)"', text))):
        name = "".join(name)
        check(f"variable {name}", "" if name in described else "is not in postern.8")


def schemes():
    """The heads of the list of password schemes."""
    lines = section(lines_of("postern.conf.5"), "PASSWORD FILE")
    return [line[4:] for line in lines[lines.index(".Ss Passwords"):lines.index(".Ss Keys")] if line.startswith(".It ")]


def blocks_of(lines):
    """Each literal block: its index, what its mark says it is, its text."""
    for i, line in enumerate(lines):
        if line.startswith(".Bd -literal"):
            mark = re.fullmatch(r'\.\\" example: (\w+)', lines[i - 1])
            text = "\n".join(lines[i + 1:lines.index(".Ed", i)])
            yield i, mark and mark.group(1), text.replace("\\e", "\\")


# An account's key set, of RFC 8037, appendix A.
JWKS = '{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'


class Place:
    """A folder with the files that examples name, each in place of its absolute path."""

    def __init__(self, folder):
        self.folder = folder
        for sub in ("etc/pam.d", "log", "run"):
            self.path(sub).mkdir(parents=True)
        self.path("etc/pam.d/mail").write_text("auth required pam_deny.so\naccount required pam_deny.so\n")
        self.path("etc/keys.json").write_text(JWKS)
        for secret in ("users", "mysql.secret", "oauth.secret", "master.secret", "locked.secret"):
            self.put(secret, b"" if secret == "users" else b"a secret\n")
        for key in ("tickets.new", "tickets.old"):
            self.put(key, os.urandom(80))
        self.make_certificates()
        self.moves = [("/etc/postern", self.path("etc")), ("/var/log/postern", self.path("log")),
                      ("/run", self.path("run")), ("/usr/libexec/postern", BUILD)]

    def path(self, name):
        return self.folder / name

    def put(self, name, data):
        path = self.path("etc") / name
        path.touch(mode=0o600)
        path.write_bytes(data)

    def make_certificates(self):
        """Those of one authority, its list of those revoked, and its word on one of them."""
        authority = certs.Authority(self)
        for name, more in {"mail": {}, "mail-rsa": {"kind": "rsa"}, "org": {}, "gateway": {},
                           "locked": {"password": "a secret"}}.items():
            certificate, key = authority.issue(f"{name}.example.com", file=name, **more)
            self.put(f"{name}.crt", certificate.read_bytes())
            self.put(f"{name}.key", key.read_bytes())
        self.put("ca.crt", authority.certificate.read_bytes())
        self.put("ca.crl", authority.crl().read_bytes())
        self.put("mail.ocsp", authority.ocsp(self.path("etc/mail.crt")).read_bytes())
        certs.make_dhparam(self.path("etc/dh.pem"))

    def conf(self, text):
        """Writes a configuration; returns its path."""
        for old, new in self.moves:
            text = re.sub(rf"(?<![\w.]){old}\b", str(new), text)
        self.path("etc/postern.conf").write_text(text + "\n")
        return self.path("etc/postern.conf")


def judge_users(place, text):
    """What is wrong with an example of a password file."""
    users = place.path("users")
    users.write_text(text)
    return subprocess.run([BUILD / "test/manual_table", users], capture_output=True, text=True).stdout


def judge_scheme(place, scheme):
    why = judge_users(place, f"joe:{{{scheme}}}x")
    return why if "unknown password scheme" in why else ""


def load(place, text):
    """postern -t of an example."""
    helpers = [] if "auth_helper_path" in text else ["-g", f"auth_helper_path {BUILD};"]
    run = subprocess.run([BUILD / "postern", "-t", "-q", "-p", place.folder, "-c", place.conf(text), *helpers],
                         capture_output=True, text=True)
    wrong = [line for line in run.stderr.splitlines() if "[emerg]" in line]
    return "\n".join(wrong) or (f"exit status {run.returncode}: {run.stderr}" if run.returncode else "")


def is_left_out(text):
    """Does an example need a helper program that this build has none of?"""
    return any(re.search(rf"^ *auth_{name}\s", text, re.M) and not (BUILD / f"postern-auth-{name}").exists()
               for name in ("mysql", "pam"))


def load_examples():
    with tempfile.TemporaryDirectory(prefix="postern-manual-") as name:
        place = Place(pathlib.Path(name))
        for i, kind, text in blocks_of(lines_of("postern.conf.5")):
            where = f"postern.conf.5:{i + 1}"
            if kind in FRAMES and is_left_out(text):
                print(f"left out  {where}: this build has no such helper")
            elif kind in FRAMES:
                check(where, load(place, FRAMES[kind].format(text)))
            elif kind == "users":
                check(where, judge_users(place, text))
            elif kind != "none":
                check(where, "a literal block without a mark that says what it is")
        for scheme in re.findall(r"[A-Z][A-Z0-9-]+", " ".join(schemes())):
            check(f"scheme {scheme}", judge_scheme(place, scheme))


def main():
    rows = table()
    compare_directives(rows["directive"])
    compare_options(rows["option"])
    compare_signals(rows["signal"])
    check_environment()
    check_examples()
    load_examples()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
