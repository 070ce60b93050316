"""Certificates for a test, made by the openssl command: an authority, and what it signs. And its s_client."""
import ssl
import subprocess


def s_client(address, *options, said=b""):
    """All that `openssl s_client` tells of a connection over which it says this; it ends when the server closes."""
    done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % address, "-ign_eof", *map(str, options)],
                          input=said, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
    return done.stdout.decode(errors="replace")


def make_dhparam(path, group="ffdhe2048"):
    subprocess.run(["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", f"group:{group}", "-out", path],
                   check=True, timeout=60)
    return path


def der(tag, *parts):
    """A DER element (X.690 section 8.1)."""
    body = b"".join(parts)
    size = b"" if len(body) < 128 else len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size) if size else len(body)]) + size + body


def der_split(body):
    """The elements that stand in the content of one, each with its head."""
    parts = []
    while body:
        size, at = body[1], 2
        if size & 0x80:
            at += size & 0x7f
            size = int.from_bytes(body[2:at], "big")
        parts.append(body[:at + size])
        body = body[at + size:]
    return parts


def der_content(element):
    return element[len(element) - int.from_bytes(element[2:2 + (element[1] & 0x7f)], "big"):] if element[1] & 0x80 \
        else element[2:]


class Authority:
    """A CA in the test's folder, by itself or below `parent`. What it issues is a pair of paths, (certificate, key)."""

    def __init__(self, env, name="ca", parent=None):
        self.env, self.name = env, name
        self.folder = env.path(f"tls-{name}")
        self.folder.mkdir()
        (self.folder / "index.txt").touch()
        (self.folder / "serial").write_text("1000\n")
        (self.folder / "crlnumber").write_text("1000\n")
        self.key = self.make_key("authority")
        self.certificate = self.folder / "authority.pem"
        self.config = self.write_config()
        self.sign_own(f"/CN=Test {name}", parent)

    def sign_own(self, subject, parent):
        request = ["req", "-new", "-key", self.key, "-subj", subject, "-config", self.config]
        if parent is None:
            self.openssl(*request, "-x509", "-days", "30", "-extensions", "v3_ca", "-out", self.certificate)
            return
        self.openssl(*request, "-reqexts", "v3_ca", "-out", self.folder / "authority.csr")
        self.openssl("ca", "-batch", "-notext", "-config", parent.config, "-days", "30", "-in",
                     self.folder / "authority.csr", "-out", self.certificate)

    def openssl(self, *words):
        done = subprocess.run(["openssl", *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        assert done.returncode == 0, f"openssl {words}: {done.stdout}"

    def write_config(self):
        path = self.folder / "openssl.cnf"
        path.write_text(f"""
[req]
distinguished_name = dn
[dn]
[v3_ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[ca]
default_ca = test
[test]
database = {self.folder}/index.txt
serial = {self.folder}/serial
crlnumber = {self.folder}/crlnumber
certificate = {self.certificate}
private_key = {self.key}
new_certs_dir = {self.folder}
default_md = sha256
default_crl_days = 30
policy = policy
unique_subject = no
copy_extensions = copy
[policy]
commonName = supplied
""")
        return path

    def make_key(self, name, kind="ec", password=None):
        path = self.folder / f"{name}.key"
        kinds = {"ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
                 "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]}
        secret = ["-aes256", "-pass", f"pass:{password}"] if password else []
        self.openssl("genpkey", *kinds[kind], *secret, "-out", path)
        path.chmod(0o600)
        return path

    def issue(self, *names, kind="ec", password=None, begin=None, end=None, file=None):
        """Signs a certificate for these names (host names and addresses); the first is its CN."""
        stem = file or f"{names[0].replace('*', 'any')}-{kind}"
        key = self.make_key(stem, kind, password)
        request, certificate = self.folder / f"{stem}.csr", self.folder / f"{stem}.pem"
        alternatives = ",".join(("IP:" if name.replace(".", "").isdigit() or ":" in name else "DNS:") + name
                                for name in names)
        given = ["-passin", f"pass:{password}"] if password else []
        self.openssl("req", "-new", "-key", key, *given, "-subj", f"/CN={names[0]}",
                     "-addext", f"subjectAltName={alternatives}", "-config", self.config, "-out", request)
        dates = (["-startdate", begin] if begin else []) + (["-enddate", end] if end else ["-days", "30"])
        self.openssl("ca", "-batch", "-notext", "-config", self.config, *dates, "-in", request, "-out", certificate)
        return certificate, key

    def rename(self, pair, common_name, file, kind=0x0c):
        """The same certificate for whatever bytes as its CN: what the openssl command would not sign.
        `kind` is that of the string; UTF8String if not said."""
        text = ssl.PEM_cert_to_DER_cert(pair[0].read_text())
        tbs, algorithm, _ = der_split(der_content(text))
        parts = der_split(der_content(tbs))
        parts[5] = der(0x30, der(0x31, der(0x30, b"\x06\x03\x55\x04\x03", der(kind, common_name))))
        tbs = der(0x30, *parts)
        signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=tbs, stdout=subprocess.PIPE,
                                check=True, timeout=60).stdout
        path = self.folder / f"{file}.pem"
        path.write_text(ssl.DER_cert_to_PEM_cert(der(0x30, tbs, algorithm, der(0x03, b"\0", signed))))
        return path, pair[1]

    def expired(self, *names):
        return self.issue(*names, begin="20200101000000Z", end="20200201000000Z", file=f"{names[0]}-expired")

    def revoke(self, certificate):
        self.openssl("ca", "-config", self.config, "-revoke", certificate)

    def ocsp(self, certificate, name="staple", days=7):
        """A file with this authority's word on a certificate of its own."""
        path = self.folder / f"{name}.der"
        self.openssl("ocsp", "-index", self.folder / "index.txt", "-CA", self.certificate, "-rsigner", self.certificate,
                     "-rkey", self.key, "-issuer", self.certificate, "-cert", certificate, "-ndays", days,
                     "-respout", path)
        return path

    def crl(self):
        path = self.folder / "crl.pem"
        self.openssl("ca", "-config", self.config, "-gencrl", "-out", path)
        return path

    def trust(self, client=None, version=None, alpn=None):
        """A client's context that trusts this authority; `client` is the pair it shows of itself."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.certificate)
        if client:
            context.load_cert_chain(*client)
        if version:
            context.minimum_version = context.maximum_version = version
        if alpn:
            context.set_alpn_protocols(alpn)
        return context

    def serve(self, pair, ask_client=False):
        """A server's context with this pair; `ask_client` demands a certificate of ours."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        if ask_client:
            context.load_verify_locations(self.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def self_signed(env, subject, name):
    """A pair that nobody signed but itself, for a subject with whatever is in it."""
    certificate, key = env.path(f"{name}.pem"), env.path(f"{name}.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-utf8",
                    "-subj", subject, "-days", "30", "-keyout", key, "-out", certificate],
                   check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    return certificate, key
