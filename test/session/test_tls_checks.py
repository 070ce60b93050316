"""What `postern -t` refuses of TLS settings, with real files, and what it warns of."""
import os
import re

from certs import Authority, make_dhparam
from harness import Postern
from test_tls import settings


class Bench:
    """Files good and bad, and a server in front of them."""

    def __init__(self, env):
        self.env, self.ca = env, Authority(env)
        self.pair, self.rsa = self.ca.issue("mail.example.com"), self.ca.issue("mail.example.com", kind="rsa")
        self.locked = self.ca.issue("locked.test", password="sesame")
        self.rubbish = env.write("rubbish.pem", "rubbish\n", mode=0o600)
        self.good = settings(self.pair)
        self.listen = f"listen {env.ip()}:993 ssl;"

    def test(self, server, main=""):
        """-t of one server with these lines; line 14 is the first of them."""
        postern = Postern(self.env, f"auth_http {self.env.ip(3)}:9000/;\nserver {{\nprotocol imap;\n{server}\n}}",
                          main=main)
        return postern.run("-t")


def test_what_is_refused(env):
    b = Bench(env)
    cert, key = b.pair
    short = env.write("short.key", os.urandom(47), mode=0o600)
    long = env.write("long.key", os.urandom(81), mode=0o600)
    none = env.path("no.such.file")
    empty = env.write("empty.pem", "", mode=0o600)
    wrong = env.write("wrong.passwords", "one\ntwo\n", mode=0o600)
    other = Authority(env, "other").issue("mail.example.com")
    ssl = b.listen + b.good
    cut = env.write("cut.pem", cert.read_text()[:200], mode=0o600)
    weak = env.path("weak.key")
    b.ca.openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:512", "-out", weak)
    b.ca.openssl("req", "-x509", "-new", "-key", weak, "-subj", "/CN=weak", "-days", "30", "-out", env.path("weak.pem"))
    wrong_cases = []
    for text, *wanted in (
            (b.listen, r'no "ssl_certificate" is defined for the "listen ... ssl" directive in .*postern.conf:\d+'),
            (b.listen + f"ssl_certificate {cert};",
             r'no "ssl_certificate_key" is defined for the "listen ... ssl" directive in'),
            (b.listen + f"ssl_certificate_key {key};",
             r'no "ssl_certificate" is defined for the "listen ... ssl" directive in'),
            (b.listen + f"ssl_certificate {cert}; ssl_certificate {b.rsa[0]}; ssl_certificate_key {key};",
             r'no "ssl_certificate_key" is defined for certificate ".*rsa.pem" and the "listen ... ssl" directive in'),
            (f"listen {env.ip()}:143; starttls on;",
             r'no "ssl_certificate" is defined for the "starttls" directive in'),
            (f"listen {env.ip()}:143; starttls only;",
             r'no "ssl_certificate" is defined for the "starttls" directive in'),
            (f"listen {env.ip()}:143; starttls only; ssl_certificate {cert};",
             r'no "ssl_certificate_key" is defined for the "starttls" directive in'),
            (f"listen {env.ip()}:143; starttls maybe;", r'invalid value "maybe" in.*postern.conf:\d+'),
            (ssl + "ssl_verify_client on;",
             r"no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client"),
            (ssl + "ssl_verify_client optional;", r"no ssl_client_certificate or ssl_trusted_certificate"),
            (ssl + "ssl_verify_client maybe;", r'invalid value "maybe"'),
            (ssl + f"ssl_verify_client on; ssl_client_certificate {b.rubbish};", r"rubbish.pem"),
            (ssl + f"ssl_verify_client on; ssl_client_certificate {empty};", r"empty.pem"),
            (ssl + f"ssl_verify_client on; ssl_trusted_certificate {none};", r"no.such.file.*No such file"),
            (ssl + f"ssl_client_certificate {b.ca.certificate}; ssl_crl {b.rubbish};", r"rubbish.pem"),
            (b.listen + f"ssl_certificate {none}; ssl_certificate_key {key};",
             r'cannot load certificate ".*no.such.file": BIO_new_file\(\) failed \(SSL: .*No such file or directory'),
            (b.listen + f"ssl_certificate {b.rubbish}; ssl_certificate_key {key};",
             r'cannot load certificate ".*rubbish.pem": PEM_read_bio_X509_AUX\(\) failed \(SSL: .*no start line'),
            (b.listen + f"ssl_certificate {cut}; ssl_certificate_key {key};", r'cannot load certificate ".*cut.pem"'),
            (b.listen + f"ssl_certificate {cert}; ssl_certificate_key {none};",
             r'cannot load certificate key ".*no.such.file": BIO_new_file\(\) failed'),
            (b.listen + f"ssl_certificate {cert}; ssl_certificate_key {b.rubbish};",
             r'cannot load certificate key ".*rubbish.pem": PEM_read_bio_PrivateKey\(\) failed'),
            (b.listen + f"ssl_certificate {cert}; ssl_certificate_key {other[1]};",
             r'SSL_CTX_use_PrivateKey\(".*"\) failed \(SSL: .*key values mismatch'),
            (b.listen + f"ssl_certificate {env.path('weak.pem')}; ssl_certificate_key {weak};",
             r"weak.pem.*(too small|ee key)"),
            (b.listen + f"ssl_certificate {b.locked[0]}; ssl_certificate_key {b.locked[1]};",
             r'cannot load certificate key ".*locked.test-ec.key": it is encrypted'),
            (b.listen + settings(b.locked, f"ssl_password_file {wrong};"),
             r'cannot load certificate key ".*locked.test-ec.key"'),
            (b.listen + settings(b.locked, f"ssl_password_file {none};"), r"no.such.file.*No such file"),
            (b.listen + f"ssl_certificate {cert}; ssl_certificate_key engine:pkcs11:token;", r'engine:'),
            (b.listen + f"ssl_certificate {cert}; ssl_certificate_key store:nosuchscheme:x;",
             r'cannot load certificate key "store:nosuchscheme:x": OSSL_STORE_open\(\) failed'),
            (b.listen + f"ssl_certificate {cert}; ssl_certificate_key store:file:{none};",
             r'cannot load certificate key "store:file:.*no.such.file": OSSL_STORE'),
            (ssl + f"ssl_dhparam {b.rubbish};", r"rubbish.pem"), (ssl + f"ssl_dhparam {none};", r"no.such.file"),
            (ssl + "ssl_ecdh_curve nosuchcurve;", r'SSL_CTX_set1_curves_list\("nosuchcurve"\) failed'),
            (ssl + "ssl_ciphers NOSUCHCIPHER;",
             r'SSL_CTX_set_cipher_list\("NOSUCHCIPHER"\) failed \(SSL: .*no cipher match'),
            (ssl + "ssl_protocols TLSv9;", r'invalid value "TLSv9" in.*postern.conf:\d+'),
            (ssl + "ssl_protocols SSLv3;", r"none of the protocols"),
            (ssl + "ssl_protocols;", r'invalid number of arguments in "ssl_protocols" directive'),
            (ssl + "ssl_conf_command NoSuchCommand x;", r'SSL_CONF_cmd\("NoSuchCommand", "x"\) failed'),
            (ssl + "ssl_conf_command Ciphersuites nosuch;", r'SSL_CONF_cmd\("Ciphersuites", "nosuch"\) failed'),
            (ssl + f"ssl_session_ticket_key {short};", r'"[^"]*short.key" must be 48 or 80 bytes'),
            (ssl + f"ssl_session_ticket_key {long};", r'"[^"]*long.key" must be 48 or 80 bytes'),
            (ssl + f"ssl_session_ticket_key {none};", r"no.such.file.*No such file"),
            (ssl + "ssl_session_cache shared:a:1k;", r"session cache.*too small|invalid.*1k"),
            (ssl + "ssl_session_cache shared:a;", r'invalid.*"shared:a"'),
            (ssl + "ssl_session_cache shared::1m;", r"invalid"),
            (ssl + "ssl_session_cache nonsense;", r'invalid session cache "nonsense"'),
            (ssl + "ssl_session_cache builtin:x;", r'invalid.*"builtin:x"'),
            (ssl + "ssl_verify_depth x;", r"invalid number"),
            (ssl + f"ssl_stapling_file {b.rubbish};", r"rubbish.pem"),
            (ssl + f"ssl_stapling_file {none};", r"no.such.file"),
            (ssl + "ssl on;", r'unknown directive "ssl"'),
            (ssl + "ssl_session_tickets maybe;", r'it must be "on" or "off"'),
            (ssl + "ssl_certificate_compression on;", r"ssl_certificate_compression")):
        status, said = b.test(text)
        if status != 1 or not re.search(r"\[emerg\].*" + wanted[0], said) or not re.search(r"postern.conf:\d+", said):
            wrong_cases.append(f"{text}\n  status {status}, wanted {wanted[0]}\n  said {said}")
        assert "sesame" not in said
    assert not wrong_cases, "\n".join(wrong_cases)


def test_an_answer_about_another_certificate_is_refused(env):
    b = Bench(env)
    other = b.ca.issue("other.test")
    status, said = b.test(b.listen + b.good + f"ssl_stapling_file {b.ca.ocsp(other[0])};")
    assert status == 1 and re.search(r"\[emerg\].*staple.der", said), said


def test_what_is_taken(env):
    b = Bench(env)
    ssl = b.listen + b.good
    keys = [env.write(f"{size}.key", os.urandom(size), mode=0o600) for size in (48, 80)]
    for text in (ssl, b.listen + "ssl_reject_handshake on;", ssl + settings(b.rsa),
                 ssl + "".join(f"ssl_session_ticket_key {key};" for key in keys),
                 ssl + f"ssl_dhparam {make_dhparam(env.path('dh.pem'))};",
                 ssl + "ssl_session_cache builtin:1000 shared:a:10m; ssl_session_timeout 1h;",
                 ssl + "ssl_session_cache off;", ssl + "ssl_verify_client optional_no_ca;",
                 ssl + "ssl_protocols SSLv3 TLSv1 TLSv1.1 TLSv1.2 TLSv1.3; ssl_ciphers ALL:@SECLEVEL=0;",
                 ssl + "ssl_conf_command Options PrioritizeChaCha; ssl_conf_command SignatureAlgorithms ECDSA+SHA256;",
                 ssl + "ssl_certificate_compression off; ssl_prefer_server_ciphers on; ssl_verify_depth 5;",
                 ssl + "starttls only;", ssl + f"ssl_stapling_file {b.ca.ocsp(b.pair[0])};",
                 f"listen {env.ip()}:143; starttls off; ssl_certificate {env.path('none')};"):
        status, said = b.test(text)
        assert status == 0 and "syntax is ok" in said and "[warn]" not in said, (text, said)


def test_files_are_looked_for_beside_the_configuration(env):
    b = Bench(env)
    for path in b.pair:
        env.write(path.name, path.read_bytes(), mode=0o600)
    status, said = b.test(b.listen + f"ssl_certificate {b.pair[0].name}; ssl_certificate_key {b.pair[1].name};")
    assert status == 0, said


def test_clear_text_is_warned_of_where_strangers_may_come(env):
    """Neither on TLS, nor under `starttls only`, nor on this machine alone; and only by -t."""
    b = Bench(env)
    for listen, more, warned in (
            ("192.0.2.1:143", "", True), ("*:143", "", True), ("143", "", True), ("[::]:143", "", True),
            ("[2001:db8::1]:143", "", True),
            ("192.0.2.1:143", "starttls on;", True), ("192.0.2.1:143", "starttls only;", False),
            ("192.0.2.1:993 ssl", "", False),
            ("127.0.0.1:143", "", False), ("127.9.9.9:143", "", False), ("[::1]:143", "", False),
            (f"unix:{env.path('sock')}", "", False)):
        status, said = b.test(f"listen {listen}; {b.good} {more}")
        told = re.search(r"\[warn\] clients log in without encryption on .* in .*postern.conf:\d+", said) is not None
        assert status == 0 and told == warned, (listen, more, said)


def test_secrets_that_everybody_may_read_are_warned_of(env):
    b = Bench(env)
    passwords = env.write("passwords", "sesame\n", mode=0o644)
    ticket = env.write("ticket.key", os.urandom(48), mode=0o644)
    b.locked[1].chmod(0o644)
    text = b.listen + settings(b.locked, f"ssl_password_file {passwords}; ssl_session_ticket_key {ticket};")
    status, said = b.test(text)
    assert status == 0 and "sesame" not in said, said
    for name in ("passwords", "ticket.key", b.locked[1].name):
        warnings = re.findall(rf'\[warn\] "[^"]*{name}" holds secrets and everybody may read it', said)
        assert len(warnings) == 1, (name, said)
    for path in (passwords, ticket, b.locked[1]):
        path.chmod(0o640)
    assert "[warn]" not in b.test(text)[1]


def test_who_shares_a_listen_agrees(env):
    """In protocol and ssl; and differs in its names."""
    b = Bench(env)
    first = f"{b.listen} {b.good} server_name a.test; }} server {{ protocol imap; "
    for second, wanted in ((f"listen {env.ip()}:993 ssl; {b.good} server_name b.test;", None),
                           (f"listen {env.ip()}:993; server_name b.test;", "duplicate|ssl"),
                           (f"listen {env.ip()}:993 ssl; {b.good} server_name a.test;", "duplicate")):
        status, said = b.test(first + second)
        assert status == (0 if wanted is None else 1), said
        assert wanted is None or re.search(rf"\[emerg\].*({wanted})", said), said
