"""What a TLS handshake agrees on, as openssl s_client sees it: versions, ciphers, curves, certificates, keys."""
import os
import re
import subprocess

from certs import Authority, make_dhparam, s_client
from stage import Stage
from test_tls import WORDS, settings

BYE = {"imap": b"z LOGOUT\r\n", "pop3": b"QUIT\r\n", "smtp": b"QUIT\r\n"}


def check(stage, server, options, *patterns):
    """s_client, run with these options and then saying goodbye, tells all of this."""
    text = s_client(stage.address(server), *options, said=BYE[stage.protocol])
    for pattern in patterns:
        assert re.search(pattern, text, re.M), f"[{server}] {options}: no {pattern!r} in\n{text}"
    return text


def test_the_settings_decide_what_is_agreed_on(env):
    ca = Authority(env)
    ec, rsa = ca.issue("mail.example.com"), ca.issue("mail.example.com", kind="rsa")
    both = settings(ec) + settings(rsa)
    dh = make_dhparam(env.path("dh.pem"))
    stage = Stage(env, "imap", {
        "both": both,
        "old": both + "ssl_protocols TLSv1.2;",
        "new": both + "ssl_protocols TLSv1.3;",
        "ciphers": both + "ssl_ciphers ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256;",
        "prefer": both + """ssl_ciphers ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256;
                            ssl_prefer_server_ciphers on;""",
        "curve": both + "ssl_ecdh_curve secp384r1;",
        "curves": both + "ssl_ecdh_curve X448:prime256v1;",
        "dh": settings(rsa) + f"ssl_dhparam {dh};",
        "no dh": settings(rsa),
        "command": both + "ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256; ssl_conf_command Groups P-521;",
        "minimum": both + "ssl_conf_command MinProtocol TLSv1.3;",
    }, listen="ssl")
    refused = r"alert (protocol version|handshake failure)|unsupported protocol"
    for server, options, *patterns in (
            ("both", ["-tls1_3"], r"^New, TLSv1.3"),
            ("both", ["-tls1_2"], r"^New, TLSv1.2", r"Secure Renegotiation IS supported", r"^closed"),
            ("both", ["-tls1_1", "-cipher", "ALL@SECLEVEL=0"], refused),
            ("both", ["-tls1_2", "-sigalgs", "RSA-PSS+SHA256"], r"Peer signature type: RSA-PSS"),
            ("both", ["-tls1_2", "-sigalgs", "ECDSA+SHA256"], r"Peer signature type: ECDSA"),
            ("both", ["-tls1_3", "-sigalgs", "RSA-PSS+SHA256"], r"Peer signature type: RSA-PSS"),
            ("both", ["-tls1_3", "-sigalgs", "ECDSA+SHA256"], r"Peer signature type: ECDSA"),
            ("both", ["-tls1_2", "-cipher", "aRSA"], r"Cipher is ECDHE-RSA|Cipher is AES|Cipher is DHE-RSA"),
            ("both", ["-tls1_2", "-cipher", "NULL-SHA256@SECLEVEL=0"], refused),
            ("old", ["-tls1_3"], refused),
            ("old", [], r"^New, TLSv1.2"),
            ("new", ["-tls1_2"], refused),
            ("new", [], r"^New, TLSv1.3"),
            ("ciphers", ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305"],
             r"Cipher is ECDHE-ECDSA-AES128-GCM-SHA256"),
            ("prefer", ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305"],
             r"Cipher is ECDHE-ECDSA-CHACHA20-POLY1305"),
            ("ciphers", ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], refused),
            ("curve", [], r"Server Temp Key: ECDH, (P-384|secp384r1), 384 bits"),
            ("curve", ["-groups", "X25519"], refused),
            ("curves", [], r"Server Temp Key: X448"),
            ("curves", ["-groups", "P-256"], r"Server Temp Key: ECDH, (P-256|prime256v1)"),
            ("dh", ["-tls1_2", "-cipher", "kDHE"], r"Server Temp Key: DH, 2048 bits"),
            ("no dh", ["-tls1_2", "-cipher", "kDHE"], refused),
            ("command", [], r"Cipher is TLS_CHACHA20_POLY1305_SHA256", r"Server Temp Key: ECDH, (P-521|secp521r1)"),
            ("minimum", ["-tls1_2"], refused)):
        check(stage, server, options, *patterns)


def test_what_a_server_chosen_by_its_name_has_is_agreed_on(env):
    """Nothing of the default server's TLS settings stays in force, nor is anything lost of those chosen."""
    ca, other = Authority(env), Authority(env, "other")
    one, two, rsa = ca.issue("one.test"), ca.issue("two.test"), ca.issue("four.test", kind="rsa")
    dh = make_dhparam(env.path("dh.pem"))
    servers = (("one.test", settings(one)),
               ("two.test", settings(two, """ssl_protocols TLSv1.2; ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;
                                             ssl_ecdh_curve secp384r1;""")),
               ("three.test", settings(two, """ssl_conf_command Groups P-521; ssl_protocols TLSv1.3;
                                               ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;""")),
               ("four.test", settings(rsa, f"ssl_dhparam {dh};")),
               ("five.test", settings(one, f"ssl_client_certificate {other.certificate}; ssl_verify_client optional;")),
               ("six.test", "ssl_reject_handshake on;"))
    Stage(env, "imap", raw="".join(
        f"server {{ listen {env.ip()}:2143 ssl; protocol imap; server_name {name}; {text} }}"
        for name, text in servers))
    for name, options, *patterns in (
            ("one.test", [], r"subject=CN = one.test", r"Server Temp Key: X25519",
             r"No client certificate CA names sent"),
            ("ONE.test", [], r"subject=CN = one.test"),
            ("unknown.test", [], r"subject=CN = one.test"),
            ("two.test", [], r"subject=CN = two.test", r"New, TLSv1.2, Cipher is ECDHE-ECDSA-AES128-GCM-SHA256",
             r"Server Temp Key: ECDH, (P-384|secp384r1)"),
            ("two.test", ["-tls1_3"], r"alert protocol version"),
            ("three.test", [], r"Cipher is TLS_AES_128_GCM_SHA256", r"Server Temp Key: ECDH, (P-521|secp521r1)"),
            ("three.test", ["-tls1_2"], r"alert protocol version"),
            ("four.test", ["-tls1_2", "-cipher", "kDHE"], r"Server Temp Key: DH, 2048 bits"),
            ("five.test", [], r"Acceptable client certificate CA names\nCN = Test other"),
            ("six.test", [], r"unrecognized name", r"no peer certificate available")):
        text = s_client((env.ip(), 2143), "-servername", name, *options, said=b"z LOGOUT\r\n")
        for pattern in patterns:
            assert re.search(pattern, text, re.M), f"[{name}] {options}: no {pattern!r} in\n{text}"


def test_reject_handshake_needs_no_certificate_and_refuses_who_names_nobody(env):
    ca = Authority(env)
    stage = Stage(env, "imap", raw=f"""
    server {{ listen {env.ip()}:2143 ssl; protocol imap; ssl_reject_handshake on; }}
    server {{ listen {env.ip()}:2143 ssl; protocol imap; server_name good.test; {settings(ca.issue("good.test"))} }}""")
    for options, pattern in ((["-noservername"], "unrecognized name"),
                             (["-servername", "bad.test"], "unrecognized name"),
                             (["-servername", "good.test"], r"\* OK IMAP4 ready")):
        text = s_client((env.ip(), 2143), *options, said=b"z LOGOUT\r\n")
        assert re.search(pattern, text), text
    stage.postern.wait_log(r"SSL_do_handshake\(\) failed", 2)


def test_every_protocol_knows_its_own_alpn_only(env):
    ca = Authority(env)
    pair = ca.issue("mail.example.com")
    stage = Stage(env, "imap", raw="".join(
        f"server {{ listen {env.ip()}:{2143 + i} ssl; protocol {name}; {settings(pair)} }}"
        for i, name in enumerate(WORDS)))
    for i, protocol in enumerate(WORDS):
        for offered, agreed in ((protocol, True), ("http/1.1," + protocol, True), ("h2", False),
                                ("imap" if protocol != "imap" else "pop3", False), (protocol + "x", False)):
            text = s_client((env.ip(), 2143 + i), "-alpn", offered, said=BYE[protocol])
            wanted = f"ALPN protocol: {protocol}\n" if agreed else "alert no application protocol"
            assert wanted in text, (protocol, offered, text)
    assert stage.postern.running()


def test_close_notify_is_the_last_word(env):
    """Of a session that the gateway ends, of one that the client ends, and of one that a backend has ended."""
    ca = Authority(env)
    stage = Stage(env, "imap", {"": settings(ca.issue("mail.example.com"), "timeout 1s;")}, listen="ssl")
    for said in (b"z LOGOUT\r\n", b"a LOGIN joe x\r\nz LOGOUT\r\n", b"", b"x\r\n" * 10):
        for version in ("-tls1_2", "-tls1_3"):
            text = s_client(stage.address(), version, said=said)
            assert "* OK IMAP4 ready" in text and re.search("^closed", text, re.M), text
            assert "unexpected eof" not in text, text


def test_keys_of_every_kind(env):
    """Encrypted with one of several passwords, in a store, and readable by root alone."""
    ca = Authority(env)
    first, second = ca.issue("a.test", password="open sesame"), ca.issue("b.test", kind="rsa", password="pass:word%1")
    plain = ca.issue("c.test")
    passwords = env.write("passwords", "wrong\nopen sesame\r\n\npass:word%1", mode=0o600)
    for path in (*first, *second, *plain, passwords):
        os.chown(path, 0, 0)
        path.chmod(0o600)
    stage = Stage(env, "imap", {
        "a": settings(first), "b": settings(second), "both": settings(first) + settings(second), "c": settings(plain),
        "store": f"ssl_certificate {plain[0]}; ssl_certificate_key store:file:{plain[1]};",
        "locked": f"ssl_certificate {first[0]}; ssl_certificate_key store:file:{first[1]};",
    }, mail=f"ssl_password_file {passwords};", listen="ssl")
    for server, name in (("a", "a"), ("b", "b"), ("both", "a"), ("c", "c"), ("store", "c"), ("locked", "a")):
        check(stage, server, ["-CAfile", ca.certificate], rf"subject=CN = {name}.test", r"Verify return code: 0 \(ok\)")
    check(stage, "both", ["-sigalgs", "RSA-PSS+SHA256"], r"subject=CN = b.test")
    stage.postern.reload()
    check(stage, "store", [], r"subject=CN = c.test")
    for secret in ("open sesame", "pass:word%1"):
        assert secret not in stage.postern.log()


def test_a_response_about_the_certificate_is_stapled(env):
    ca = Authority(env)
    good, bad, rsa = ca.issue("good.test"), ca.issue("bad.test"), ca.issue("good.test", kind="rsa")
    ca.revoke(bad[0])
    staple = ca.ocsp(good[0])
    stage = Stage(env, "imap", {
        "good": settings(good, f"ssl_stapling_file {staple};"),
        "bad": settings(bad, f"ssl_stapling_file {ca.ocsp(bad[0], 'bad')};"),
        "none": settings(good),
        "two": settings(good) + settings(rsa, f"ssl_stapling_file {staple};"),
    }, listen="ssl")
    ask = ["-status", "-CAfile", ca.certificate]
    check(stage, "good", ask, r"OCSP Response Status: successful", r"Cert Status: good")
    check(stage, "bad", ask, r"Cert Status: revoked")
    check(stage, "none", ask, r"OCSP response: no response sent")
    check(stage, "two", [*ask, "-sigalgs", "ECDSA+SHA256"], r"Cert Status: good")
    check(stage, "two", [*ask, "-sigalgs", "RSA-PSS+SHA256"], r"OCSP response: no response sent")
    assert "OCSP" not in check(stage, "good", [], r"\* OK IMAP4 ready").replace("OCSP response: no response sent", "")


def chain(certificate, authority, path):
    path.write_bytes(certificate.read_bytes() + authority.certificate.read_bytes())
    return path


def test_client_certificates_below_other_authorities(env):
    """Depth counts the CAs between; names are told of ssl_client_certificate only; both are trusted."""
    root, hidden = Authority(env, "root"), Authority(env, "hidden")
    between = Authority(env, "between", parent=root)
    deep, direct, secret = between.issue("deep"), root.issue("direct"), hidden.issue("secret")
    deep = chain(deep[0], between, env.path("deep.pem")), deep[1]
    server = settings(root.issue("mail.example.com"), "ssl_verify_client on;")
    known = f"ssl_client_certificate {root.certificate};"
    stage = Stage(env, "imap", {
        "shown": server + known, "hidden": server + f"ssl_trusted_certificate {hidden.certificate};",
        "both": server + known + f"ssl_trusted_certificate {hidden.certificate};",
        "shallow": server + known + "ssl_verify_depth 0;", "depth 2": server + known + "ssl_verify_depth 2;",
    }, listen="ssl")
    welcome, bad = r"\* OK IMAP4 ready", r"\* BYE SSL certificate error"
    for name, pair, pattern in (
            ("shown", direct, welcome), ("shown", deep, welcome), ("shown", secret, bad),
            ("hidden", secret, welcome), ("hidden", direct, bad),
            ("both", secret, welcome), ("both", direct, welcome), ("both", deep, welcome),
            ("shallow", direct, welcome), ("shallow", deep, bad), ("depth 2", deep, welcome)):
        check(stage, name, ["-cert", pair[0], "-key", pair[1], "-cert_chain", pair[0]], pattern)
    check(stage, "shown", [], r"CA names\nCN = Test root", r"\* BYE No required SSL certificate")
    assert "Test hidden" not in check(stage, "both", [], r"CA names\nCN = Test root")
    check(stage, "hidden", [], r"No client certificate CA names sent")
    stage.postern.wait_log(r"verify error: \(22:certificate chain too long\)")


def test_every_protocol_tells_what_is_wrong_with_a_certificate(env):
    ca, other = Authority(env), Authority(env, "other")
    base = settings(ca.issue("mail.example.com"), f"ssl_client_certificate {ca.certificate}; ssl_verify_client on;")
    stranger = other.issue("eve")
    stage = Stage(env, "imap", raw="".join(
        f"server {{ listen {env.ip()}:{2143 + i} ssl; protocol {name}; {base} }}" for i, name in enumerate(WORDS)))
    for i, start in enumerate(("* BYE ", "-ERR ", "421 4.7.1 ")):
        for version in ("-tls1_2", "-tls1_3"):
            text = s_client((env.ip(), 2143 + i), version)
            assert start + "No required SSL certificate\n" in text.replace("\r", "") and "\nclosed" in text, text
            text = s_client((env.ip(), 2143 + i), version, "-cert", stranger[0], "-key", stranger[1])
            assert start + "SSL certificate error\n" in text.replace("\r", "") and "\nclosed" in text, text
    stage.untouched()


def test_renegotiation_is_refused(env):
    ca = Authority(env)
    stage = Stage(env, "imap", {"": settings(ca.issue("mail.example.com"))}, listen="ssl")
    client = Renegotiator(stage.address())
    client.ask(b"R\n")
    assert b"no renegotiation" in client.end(), client.said
    assert len(stage.auth.requests) == 0


class Renegotiator:
    """s_client at whose terminal somebody types: there R asks for a renegotiation."""

    def __init__(self, address):
        self.said = b""
        self.process = subprocess.Popen(["openssl", "s_client", "-tls1_2", "-crlf", "-connect", "%s:%d" % address],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while b"* OK IMAP4 ready" not in self.said:
            piece = self.process.stdout.readline()
            assert piece, self.said
            self.said += piece

    def ask(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def end(self):
        """What it said until it gave up."""
        self.said += self.process.communicate(timeout=60)[0]
        return self.said
