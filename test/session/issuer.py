"""An issuer of JSON Web Tokens: keys of three kinds, their public halves in a JWKS file, and tokens, by openssl."""
import base64
import json
import os
import pathlib
import subprocess
import time

KINDS = {
    "RS256": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "ES256": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "EdDSA": ("-algorithm", "ED25519"),
}


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*args, data=None):
    return subprocess.run(["openssl", *map(str, args)], input=data, capture_output=True, check=True, timeout=60).stdout


def der_numbers(der):
    """The two integers of a short DER sequence, each in 32 bytes."""
    at, numbers = 2, b""
    for _ in range(2):
        size = der[at + 1]
        numbers += int.from_bytes(der[at + 2:at + 2 + size], "big").to_bytes(32, "big")
        at += 2 + size
    return numbers


class Key:
    """One key pair; `kid` names it."""

    def __init__(self, env, kid, alg):
        self.kid, self.alg, self.path = kid, alg, env.path(f"{kid}.key")
        openssl("genpkey", *KINDS[alg], "-out", self.path)

    def public(self, **more):
        """The JWK."""
        jwk = {"kid": self.kid, "use": "sig", "alg": self.alg}
        spki = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")
        if self.alg == "RS256":
            modulus = openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip().partition("=")[2]
            jwk.update(kty="RSA", n=b64url(bytes.fromhex(modulus)), e="AQAB")
        elif self.alg == "ES256":
            jwk.update(kty="EC", crv="P-256", x=b64url(spki[-64:-32]), y=b64url(spki[-32:]))
        else:
            jwk.update(kty="OKP", crv="Ed25519", x=b64url(spki[-32:]))
        return {**jwk, **more}

    def sign(self, data):
        if self.alg == "EdDSA":
            message = self.path.with_suffix(".message")
            message.write_bytes(data)
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", message)
        signature = openssl("dgst", "-sha256", "-sign", self.path, data=data)
        return der_numbers(signature) if self.alg == "ES256" else signature

    def token(self, claims, **header):
        """A signed token; `header` replaces what stands in its header, None takes it away."""
        head = {"alg": self.alg, "typ": "JWT", "kid": self.kid, **header}
        head = {name: value for name, value in head.items() if value is not None}
        text = f"{b64url(json.dumps(head).encode())}.{b64url(json.dumps(claims).encode())}"
        return f"{text}.{b64url(self.sign(text.encode()))}"


class Issuer:
    """https://login.example.com, whose tokens are for "mail"."""

    URL = "https://login.example.com"

    def __init__(self, env, algs=("EdDSA",)):
        self.env, self.path = env, pathlib.Path(env.path("keys.json"))
        self.keys = {alg: Key(env, f"key-{alg}", alg) for alg in algs}
        self.key = self.keys[algs[0]]
        self.publish(*self.keys.values())

    def publish(self, *keys):
        """Puts the keys into the file, at once, as a careful operator does."""
        self.replace(json.dumps({"keys": [key.public() for key in keys]}))

    def replace(self, text):
        fresh = self.env.write("keys.json.new", text)
        os.rename(fresh, self.path)

    def claims(self, user="joe@example.org", **more):
        """What its tokens say; None takes a claim away."""
        now = int(time.time())
        claims = {"iss": self.URL, "aud": "mail", "exp": now + 600, "iat": now, "email": user, **more}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, user="joe@example.org", **more):
        return self.key.token(self.claims(user, **more))
