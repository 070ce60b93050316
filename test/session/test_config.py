"""The configuration: the seed's text, a whole nginx.conf, everything that is wrong with one, and the dump."""
import base64
import hashlib
import hmac
import pathlib
import random
import re
import subprocess

from harness import Postern, Wire, netns, weight
from peers import AuthHttp, Listener, accept, imap_backend, pop3_backend, smtp_backend

SEED = """
worker_processes auto;
error_log {log} info;
events {{
    worker_connections  1024;
}}
mail {{
    server_name       mail.example.com;
    auth_http         localhost:9000/cgi-bin/nginxauth.cgi;
    imap_capabilities IMAP4rev1 UIDPLUS IDLE LITERAL+ QUOTA;
    pop3_auth         plain apop cram-md5;
    pop3_capabilities LAST TOP USER PIPELINING UIDL;
    smtp_auth         login plain cram-md5;
    smtp_capabilities "SIZE 10485760" ENHANCEDSTATUSCODES 8BITMIME DSN;
    xclient           off;
    server {{ listen   25;  protocol smtp; }}
    server {{ listen   110; protocol pop3; proxy_pass_error_message on; }}
    server {{ listen   143; protocol imap; }}
    server {{ listen   587; protocol smtp; }}
}}
"""
USER, PASSWORD = b"joe", b"secret"


def check(env, text, *args):
    """postern -t for this text; returns (status, stderr). Nothing may ever break it."""
    path = env.write("postern.conf", text)
    done = subprocess.run([str(env.build / "postern"), "-t", "-p", str(env.folder), "-c", str(path), *args],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    said = done.stderr.decode(errors="replace")
    assert done.returncode in (0, 1), f"status {done.returncode} for:\n{text}\n{said}"
    assert "Sanitizer" not in said, said
    return done.returncode, said


def expected_digest(request):
    """What the client must have sent for the salt that the auth server was told."""
    salt = request["Auth-Salt"].encode()
    if request["Auth-Method"] == "apop":
        return hashlib.md5(salt + PASSWORD).hexdigest()
    return hmac.new(PASSWORD, salt, "md5").hexdigest()


def seed_answer(backends):
    def answer(request):
        if request["Auth-Method"] == "plain":
            good = request["Auth-Pass"] == PASSWORD.decode()
        else:
            good = request["Auth-Pass"] == expected_digest(request)
        if not good or request["Auth-User"] != USER.decode():
            return {"Auth-Status": "Invalid login or password"}
        return accept("127.0.0.1", backends[request["Auth-Protocol"]], Auth_Pass=PASSWORD.decode())
    return answer


def seed(env):
    for name, port, script in (("imap", 1143, imap_backend), ("pop3", 1110, pop3_backend), ("smtp", 1025, smtp_backend)):
        env.keep(Listener(("127.0.0.1", port), script))
    auth = env.keep(AuthHttp(("127.0.0.1", 9000), seed_answer({"imap": 1143, "pop3": 1110, "smtp": 1025})))
    postern = Postern(env, config=SEED.format(log=env.path("error.log")), args=["-g", f"pid {env.path('postern.pid')};"])
    env.keep(postern).start()
    return postern, auth


def cram(wire, prompt, done):
    challenge = base64.b64decode(prompt)
    answer = USER + b" " + hmac.new(PASSWORD, challenge, "md5").hexdigest().encode()
    wire.send(base64.b64encode(answer) + b"\r\n")
    wire.expect(done)


def seed_imap(port):
    wire = Wire.to(("127.0.0.1", port))
    wire.expect(b"* OK IMAP4 ready")
    wire.send(b"a CAPABILITY\r\n")
    wire.expect(re.compile(rb"\* CAPABILITY IMAP4rev1 UIDPLUS IDLE LITERAL\+ QUOTA AUTH=PLAIN SASL-IR"), b"a OK completed")
    wire.send(b"b AUTHENTICATE PLAIN " + base64.b64encode(b"\0" + USER + b"\0" + PASSWORD) + b"\r\n")
    wire.expect(re.compile(rb"b OK backend LOGIN"))


def seed_pop3(method):
    wire = Wire.to(("127.0.0.1", 110))
    greeting = wire.expect(re.compile(rb"\+OK POP3 ready <[^ <>@]+@mail\.example\.com>"))
    if method == "apop":
        salt = greeting.split()[-1]
        wire.send(b"APOP " + USER + b" " + hashlib.md5(salt + PASSWORD).hexdigest().encode() + b"\r\n")
        wire.expect(b"+OK backend PASS")
    elif method == "cram-md5":
        wire.send(b"AUTH CRAM-MD5\r\n")
        cram(wire, wire.expect(re.compile(rb"\+ [A-Za-z0-9+/=]+"))[2:], b"+OK backend PASS")
    else:
        wire.send(b"USER " + USER + b"\r\nPASS " + PASSWORD + b"\r\n")
        wire.expect(b"+OK", b"+OK backend PASS")
    return wire


def seed_smtp(port, method):
    wire = Wire.to(("127.0.0.1", port))
    wire.expect(b"220 mail.example.com ESMTP ready")
    wire.send(b"EHLO me\r\n")
    wire.expect(b"250-mail.example.com", b"250-SIZE 10485760", b"250-ENHANCEDSTATUSCODES", b"250-8BITMIME", b"250-DSN",
                re.compile(rb"250 AUTH PLAIN LOGIN CRAM-MD5"))
    if method == "cram-md5":
        wire.send(b"AUTH CRAM-MD5\r\n")
        cram(wire, wire.expect(re.compile(rb"334 [A-Za-z0-9+/=]+"))[4:], b"235 2.0.0 OK")
    else:
        wire.send(b"AUTH PLAIN " + base64.b64encode(b"\0" + USER + b"\0" + PASSWORD) + b"\r\n")
        wire.expect(b"235 2.0.0 OK")
    wire.send(b"MAIL FROM:<a@b>\r\n")
    wire.expect(b"250 2.0.0 backend MAIL")
    return wire


@netns
def test_the_seed_configuration_serves_all_three_protocols(env):
    postern, auth = seed(env)
    seed_imap(143)
    for method in ("plain", "apop", "cram-md5"):
        seed_pop3(method)
    for port in (25, 587):
        for method in ("plain", "cram-md5"):
            seed_smtp(port, method)
    assert {r["Auth-Method"] for r in auth.requests} == {"plain", "apop", "cram-md5"}
    assert auth.requests[0].line == "GET /cgi-bin/nginxauth.cgi HTTP/1.0" or "HTTP/1.1" in auth.requests[0].line
    assert all(r["Host"] == "localhost" for r in auth.requests)
    assert "secret" not in postern.log()


@netns
def test_a_wrong_digest_is_refused_in_the_seed_configuration(env):
    seed(env)
    wire = Wire.to(("127.0.0.1", 110))
    wire.line()
    wire.send(b"APOP joe 0123456789abcdef0123456789abcdef\r\n")
    wire.expect(re.compile(rb"-ERR .*Invalid login or password"))


@netns
def test_the_seed_configuration_reloads(env):
    postern, _ = seed(env)
    wire = seed_pop3("apop")
    postern.reload()
    wire.send(b"STAT\r\n")
    wire.expect(b"+OK backend STAT")
    seed_smtp(587, "cram-md5")


NGINX_CONF = r"""
user  nobody;
worker_processes  2;
worker_rlimit_nofile 20000;
error_log  {dir}/error.log notice;
pid        {dir}/postern.pid;
load_module modules/ngx_mail_module.so;
lock_file {dir}/nginx.lock;
pcre_jit on;
thread_pool default threads=32 max_queue=65536;
events {{
    use epoll;
    worker_connections  1024;
    multi_accept on;
    accept_mutex off;
    accept_mutex_delay 500ms;
}}
http {{
    include       /etc/nginx/mime.types;      # is not there, and is not looked for
    default_type  application/octet-stream;
    log_format  main  '$remote_addr - $remote_user [$time_local] "$request" {{ } " ' ';' "{{";
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    server {{
        listen 80 default_server;
        location ~ \.php$ {{ fastcgi_pass unix:/run/php.sock; if ($request_method = "}") {{ return 405; }} }}
        location / {{ proxy_set_header Host ${{host}}; }}
    }}
}}
stream {{
    upstream dns {{ server 192.0.2.1:53; }}
    server {{ listen 53 udp; proxy_pass dns; }}
}}
mail {{
    server_name mail.example.com;
    auth_http 127.0.0.1:9000/auth;
    proxy on;
    server {{ listen {ip}:2143; protocol imap; auth_http_header X-Port $remote_port; }}
}}
"""


def test_a_whole_nginx_conf_loads_with_a_warning_for_each_part_that_is_not_ours(env):
    text = NGINX_CONF.replace('{{ } "', '{{ }} "').replace('"}"', '"}}"').format(dir=env.folder, ip=env.ip())
    status, said = check(env, text)
    assert status == 0, said
    for name in ("load_module", "lock_file", "pcre_jit", "thread_pool", "http", "stream"):
        lines = [line for line in said.splitlines() if f'"{name}"' in line]
        assert len(lines) == 1 and "[warn]" in lines[0] and re.search(r" in .*postern.conf:\d+$", lines[0]), (name, said)
    env.keep(Postern(env, config=text)).start()
    Wire.to((env.ip(), 2143)).expect(b"* OK IMAP4 ready")


GOOD = """events {{}}
mail {{
    auth_http 127.0.0.1:1;
    server {{
        listen {ip}:2143;
        protocol imap;
{inner}
    }}
{mail}
}}
{main}
"""

# where the text goes, the text, what is said, and the line relative to where it was put
WRONG = [
    ("main", "nonsense on;", 'unknown directive "nonsense"', 0),
    ("main", "listen 1;", '"listen" directive is not allowed here', 0),
    ("inner", "worker_processes 2;", '"worker_processes" directive is not allowed here', 0),
    ("inner", "events {}", '"events" directive is not allowed here', 0),
    ("main", "pid;", 'invalid number of arguments in "pid" directive', 0),
    ("main", "pid a b;", 'invalid number of arguments in "pid" directive', 0),
    ("main", "pid a;\npid b;", '"pid" directive is duplicate', 1),
    ("inner", "timeout 1s;\n\n\ntimeout 2s;", '"timeout" directive is duplicate', 3),
    ("main", "events {}", '"events" directive is duplicate', 0),
    ("main", "mail {}", '"mail" directive is duplicate', 0),
    ("inner", "timeout x;", '"timeout" directive invalid value', 0),
    ("inner", "timeout 1y;", '"timeout" directive invalid value', 0),
    ("inner", "timeout -1;", '"timeout" directive invalid value', 0),
    ("inner", "timeout 0;", '"timeout" directive', 0),
    ("inner", "proxy_timeout 0;", '"proxy_timeout" directive', 0),
    ("inner", "auth_http_timeout 0s;", '"auth_http_timeout" directive', 0),
    ("inner", "proxy_buffer 0;", '"proxy_buffer" directive', 0),
    ("inner", "imap_client_buffer 0;", '"imap_client_buffer" directive', 0),
    ("inner", "proxy_buffer 1g;", '"proxy_buffer" directive invalid value', 0),
    ("inner", "timeout 99999999999999999999;", '"timeout" directive invalid value', 0),
    ("inner", "max_errors five;", '"max_errors" directive invalid number', 0),
    ("inner", "xclient maybe;", 'invalid value "maybe" in "xclient" directive, it must be "on" or "off"', 0),
    ("inner", "imap_auth plain dance;", 'invalid value "dance"', 0),
    ("inner", "imap_auth apop;", 'invalid value "apop"', 0),
    ("inner", "timeout 1s", 'unexpected "}"', 1),
    ("inner", "timeout 1s {", 'directive "timeout" is not terminated by ";"', 0),
    ("main", "events;", 'directive "events" has no opening "{"', 0),
    ("main", ";", 'unexpected ";"', 0),
    ("main", "{", 'unexpected "{"', 0),
    ("main", "}", 'unexpected "}"', 0),
    ("main", "pid 'x'y;", 'unexpected "y"', 0),
    ("main", "pid " + "x" * 4097 + ";", 'too long parameter "xxxxxxxxxx..." started', 0),
    ("main", "pid 'x" + "y" * 5000 + ";", 'too long parameter, probably missing terminating "\'" character', 0),
    ("main", "pid 'x", 'unexpected end of file, expecting ";" or "}"', 1),
    ("main", "pid x", 'unexpected end of file, expecting ";" or "}"', 1),
    ("main", "include none.conf;", 'open() "{dir}/none.conf" failed (2: No such file or directory)', 0),
    ("main", "include postern.conf;", "includes itself", 0),
    ("main", "include /;", "failed (21: Is a directory)", 0),
    ("inner", "listen 0;", 'invalid port in "0" of the "listen" directive', 0),
    ("inner", "listen 65536;", 'invalid port in "65536" of the "listen" directive', 0),
    ("inner", "listen 3000-2000;", 'invalid port range in "3000-2000" of the "listen" directive', 0),
    ("inner", "listen [::1;", 'invalid host in "[::1" of the "listen" directive', 0),
    ("inner", "listen 127.0.0.1;", 'no port in "127.0.0.1" of the "listen" directive', 0),
    ("inner", "listen nowhere.invalid:25;", 'host not found in "nowhere.invalid:25" of the "listen" directive', 0),
    ("inner", "listen {ip}:2143;", 'duplicate "{ip}:2143" address and port pair', 0),
    ("inner", "listen 1 backlog=0;", 'invalid backlog "backlog=0"', 0),
    ("inner", "listen 1 backlog=x;", 'invalid backlog "backlog=x"', 0),
    ("inner", "listen 1 rcvbuf=x;", 'invalid rcvbuf "rcvbuf=x"', 0),
    ("inner", "listen 1 sndbuf=x;", 'invalid sndbuf "sndbuf=x"', 0),
    ("inner", "listen 1 so_keepalive=::;", 'invalid so_keepalive value: "::"', 0),
    ("inner", "listen 1 reuseport;", 'invalid parameter "reuseport"', 0),
    ("inner", "listen 1 default_server;", 'invalid parameter "default_server"', 0),
    ("mail", "server {\nprotocol imap;\n}", 'no "listen" is defined for server', 0),
    ("mail", "server {\nlisten 127.0.0.1:99;\n}", "unknown mail protocol for server", 0),
    ("mail", "server {\nlisten 127.0.0.1:99;\nprotocol dance;\n}", 'unknown protocol "dance"', 2),
    ("mail", "auth_http https:///;", "auth_http", 0),
    ("inner", "auth_http nowhere.invalid/;", "host not found", 0),
    ("main", "user nobody nogroup-at-all;", 'getgrnam("nogroup-at-all") failed', 0),
    ("main", "user nobody-at-all;", 'getpwnam("nobody-at-all") failed', 0),
    ("main", "error_log {dir}/x.log dance;", 'invalid log level "dance"', 0),
    ("main", "error_log syslog:;", "syslog", 0),
    ("main", "error_log syslog:server=127.0.0.1,tag=a-b;", "syslog", 0),
    ("main", "error_log syslog:server=127.0.0.1,facility=x;", "syslog facility", 0),
    ("main", "worker_processes 0;", '"worker_processes" directive', 0),
    ("main", "worker_processes -1;", '"worker_processes" directive invalid', 0),
    ("main", "worker_cpu_affinity 0102;", 'invalid character "2" in "worker_cpu_affinity"', 0),
    ("inner", "server_name 'a\\r\\nb';", "server_name", 0),
    ("inner", "imap_capabilities 'A\\r\\nB';", "imap_capabilities", 0),
    ("inner", "auth_http_header X 'a\\nb';", "auth_http_header", 0),
    ("inner", "auth_file none.users;", "", 0),
    ("inner", "ssl on;", 'unknown directive "ssl"', 0),
]


def test_whatever_is_wrong_is_one_line_that_says_where(env):
    for where, text, why, offset in WRONG:
        names = {"ip": env.ip(), "dir": env.folder}
        for name, value in names.items():
            text, why = text.replace("{%s}" % name, str(value)), why.replace("{%s}" % name, str(value))
        whole = GOOD.format(ip=env.ip(), **{"main": "", "mail": "", "inner": "", where: text})
        line = GOOD[:GOOD.index("{%s}" % where)].count("\n") + 1 + offset
        status, said = check(env, whole)
        lines = [one for one in said.splitlines() if "[emerg]" in one]
        assert status == 1 and len(lines) == 1, f"{text!r}: {status} {said}"
        assert why in lines[0], f"{text!r}: wanted {why!r}, got {said}"
        assert lines[0].endswith(f" in {env.path('postern.conf')}:{line}"), f"{text!r}: wanted line {line}: {said}"


def test_what_is_missing_is_named(env):
    for text, why in [("", 'no "events" section in configuration'),
                      ("events {}\nmail { server { listen 127.0.0.1:143; } }", 'no "auth_http" is defined for server in'),
                      ("events {", 'unexpected end of file, expecting "}"'),
                      ("events {}\n'", 'unexpected end of file, expecting ";" or "}"'),
                      ("\0", "unexpected NUL byte"),
                      ("events {}\npid a\0b;", "unexpected NUL byte")]:
        status, said = check(env, text)
        assert status == 1 and said.count("[emerg]") == 1 and why in said, f"{text!r}: {said}"


def test_an_error_in_an_included_file_names_that_file(env):
    env.write("conf.d/b.conf", "\n\nnonsense;\n")
    env.write("conf.d/a.conf", "timeout 5s;\n")
    for block in ("main", "mail", "inner"):
        text = GOOD.format(ip=env.ip(), **{"main": "", "mail": "", "inner": "", block: "include conf.d/b.*;"})
        status, said = check(env, text)
        assert status == 1 and f'unknown directive "nonsense" in {env.folder}/conf.d/b.conf:3\n' in said, said
    text = GOOD.format(ip=env.ip(), main="\nnonsense;", mail="include conf.d/a.conf;\ninclude none*.conf;", inner="")
    line = text.splitlines().index("nonsense;") + 1
    status, said = check(env, text)
    assert status == 1 and f'unknown directive "nonsense" in {env.path("postern.conf")}:{line}\n' in said, said


VALID = NGINX_CONF.replace('{{ } "', '{{ }} "').replace('"}"', '"}}"')
SPICE = ["{", "}", ";", "'", '"', "\\", "\n", "#", "\0", "$", "${", " ", "\r", "\xff", "listen ", "include ", "include *;",
         "99999999999", "-", "mail {", "server {", "events", "x" * 5000, "unix:", "[::", "on", "0"]


def mutate(random_, text):
    for _ in range(random_.randint(1, 4)):
        at = random_.randrange(len(text) + 1)
        kind = random_.randrange(4)
        if kind == 0:
            text = text[:at] + random_.choice(SPICE) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + random_.randint(1, 30):]
        elif kind == 2:
            other = random_.randrange(len(text) + 1)
            text = text[:at] + text[other:other + random_.randint(1, 60)] + text[at:]
        else:
            text = text[:at]
    return text


@weight(5)
def test_no_mutation_of_a_configuration_breaks_it(env):
    valid = VALID.format(dir=env.folder, ip=env.ip())
    random_ = random.Random(2026)
    for _ in range(150):
        text = mutate(random_, valid)
        status, said = check(env, text.encode("latin-1"))
        emergencies = said.count("[emerg]")
        assert (status == 0 and emergencies == 0) or (status == 1 and emergencies == 1), f"{status}\n{said}\n---\n{text}"


def dump(env, text, name="postern.conf"):
    path = env.write(name, text)
    done = subprocess.run([str(env.build / "postern"), "-Dq", "-p", str(env.folder), "-c", str(path)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


RICH = """
user nobody nogroup;
worker_processes 3;
worker_cpu_affinity 01 10;
worker_priority -5;
worker_rlimit_nofile 5000;
worker_rlimit_core 1g;
worker_shutdown_timeout 90s;
working_directory {dir};
env FOO=bar;
env 'BAR=a "b" \\'c\\' ; {{ \\t x';
timer_resolution 100ms;
debug_points stop;
error_log {dir}/a.log warn;
error_log {dir}/b.log debug;
error_log syslog:server=127.0.0.1:5140,facility=mail,tag=x,nohostname error;
error_log stderr;
events {{ worker_connections 77; multi_accept on; debug_connection 10.0.0.0/8; debug_connection unix:; }}
mail {{
    server_name 'mail.example.com';
    timeout 1h30m;
    auth_http unix:{dir}/sock:/uri;
    auth_http_header X-A "b c;d";
    auth_http_header X-B '$x "q"';
    proxy_pass_error_message on;
    smtp_capabilities "SIZE 1" DSN;
    server {{ listen {ip}:2100-2102 backlog=7 rcvbuf=8k sndbuf=16k so_keepalive=30m::10; protocol pop3; timeout 5ms; }}
    server {{ listen unix:{dir}/l.sock mode=0600 owner=nobody group=nogroup; protocol imap; error_log {dir}/c.log info;
             proxy_pass 127.0.0.1; }}
    server {{ listen [::1]:2143 ipv6only=off bind; protocol smtp; smtp_auth none; xclient off; smtp_greeting_delay 10s; }}
}}
"""


def test_the_dump_loads_as_what_it_was(env):
    for text in (RICH, SEED.replace("{log}", "{dir}/e.log").replace("localhost", "127.0.0.1"), VALID, GOOD):
        first = dump(env, text.format(dir=env.folder, ip=env.ip(), inner="", mail="", main=""))
        second = dump(env, first, "dumped.conf")
        assert first == second, f"{first}\n--- became\n{second}"
        assert "timeout" in first and "worker_connections" in first


def test_the_dump_shows_defaults_and_what_servers_inherit(env):
    text = dump(env, RICH.format(dir=env.folder, ip=env.ip()))
    servers = text.split("    server {")[1:]
    assert [re.search(r"\n +timeout ([^;]+);", s)[1] for s in servers] == ["5ms", "5400s", "5400s"], text
    for wanted in ("proxy_timeout", "max_errors 5;", "pop3_capabilities TOP USER UIDL;", 'smtp_capabilities "SIZE 1" DSN;',
                   "proxy_pass_error_message on;"):
        assert all(wanted in s for s in servers), f"{wanted}:\n{text}"


def test_words_mean_what_nginx_makes_of_them(env):
    """Read back from the request that the auth server gets, byte for byte."""
    auth = env.keep(AuthHttp((env.ip(3), 9000), {"Auth-Status": "no"}))
    env.postern(rf"""
    auth_http {env.ip(3)}:9000/auth?a=b;
    auth_http_header X-1 "double \" \' \\ quote";
    auth_http_header X-2 'single " \x $x ${{y}}';
    auth_http_header X-3 bare\ blank\;\{{;
    auth_http_header X-4 ${{not_a_block}};   # a comment; with {{ and "
    auth_http_header X-5 a#b;
    server {{ listen {env.ip()}:2143; protocol imap; }}
""")
    wire = Wire.to((env.ip(), 2143))
    wire.send(b"a LOGIN joe x\r\n")
    wire.expect(b"* OK IMAP4 ready", re.compile(rb"a NO .*"))
    request = auth.requests[0]
    assert [request[f"X-{i}"] for i in range(1, 6)] == [
        "double \" ' \\ quote", 'single " \\x $x ${y}', "bare\\ blank\\;\\{", "${not_a_block}", "a#b"]


def test_a_servers_list_replaces_the_outer_one(env):
    auth = env.keep(AuthHttp((env.ip(3), 9000), {"Auth-Status": "no"}))
    env.postern(f"""
    auth_http {env.ip(3)}:9000/auth;
    auth_http_header X-Outer 1;
    imap_capabilities OUTER;
    server {{ listen {env.ip()}:2143; protocol imap; }}
    server {{ listen {env.ip()}:2144; protocol imap; auth_http_header X-Inner 1; imap_capabilities INNER ONE; }}
""")
    for port, header, other, words in ((2143, "X-Outer", "X-Inner", b"OUTER"), (2144, "X-Inner", "X-Outer", b"INNER ONE")):
        wire = Wire.to((env.ip(), port))
        wire.send(b"c CAPABILITY\r\na LOGIN joe x\r\n")
        wire.expect(b"* OK IMAP4 ready", re.compile(rb"\* CAPABILITY " + words + rb" AUTH=.*"), b"c OK completed",
                    re.compile(rb"a NO .*"))
        assert header in auth.requests[-1].names and other not in auth.requests[-1].names
