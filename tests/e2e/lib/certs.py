# SPDX-License-Identifier: ISC
"""Certificates as a public CA gives them: a root that clients know, an intermediate, leaves of RSA and ECDSA.

    ca = TestCa(directory)
    pair = ca.server("mail.example.test", "rsa")        # pair.cert (with its chain), pair.key
    client = ca.client("anna")
"""
import dataclasses
import os
import pathlib
import shutil
import subprocess

KEYS = {"rsa": ["-newkey", "rsa:2048"], "ecdsa": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "ed25519": ["-newkey", "ed25519"]}


@dataclasses.dataclass
class Pair:
    cert: pathlib.Path
    key: pathlib.Path

    def write_over(self, other):
        """As a renewal does: each file is replaced in one step, the certificate first."""
        for mine, theirs in ((self.cert, other.cert), (self.key, other.key)):
            new = mine.with_suffix(".new")
            shutil.copy(theirs, new)
            os.rename(new, mine)


def openssl(*arguments, **options):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, timeout=60, check=False, **options)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def fingerprint(path, digest="sha256"):
    return openssl("x509", "-in", path, "-noout", "-fingerprint", f"-{digest}").strip().split("=", 1)[1]


def public_key_fingerprint(path, digest="sha256"):
    public = openssl("x509", "-in", path, "-noout", "-pubkey")
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public.encode(), capture_output=True, check=True).stdout
    text = subprocess.run(["openssl", "dgst", f"-{digest}", "-c"], input=der, capture_output=True, check=True).stdout.decode()
    return text.strip().split("= ")[1].upper()


class TestCa:
    __test__ = False

    def __init__(self, directory, name="Test"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.root = self._self_signed("root", f"{name} Root X1")
        self.intermediate = self._signed("intermediate", "ecdsa", f"/CN={name} Authority E1/O={name}", self.root,
                                         "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=keyCertSign,cRLSign\n")

    def _self_signed(self, name, common_name):
        pair = Pair(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        openssl("req", "-x509", "-nodes", *KEYS["ecdsa"], "-keyout", pair.key, "-out", pair.cert, "-days", 3650,
                "-subj", f"/CN={common_name}")
        return pair

    def _signed(self, name, kind, subject, issuer, extensions, days=90):
        pair = Pair(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        request, extra = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        extra.write_text(extensions)
        openssl("req", "-new", "-nodes", *KEYS[kind], "-keyout", pair.key, "-out", request, "-subj", subject)
        openssl("x509", "-req", "-in", request, "-CA", issuer.cert, "-CAkey", issuer.key, "-CAcreateserial", "-days", days,
                "-extfile", extra, "-out", pair.cert)
        return pair

    def server(self, host, kind="rsa", days=90, name=None, usage="serverAuth"):
        pair = self._signed(name or f"{host}-{kind}", kind, f"/CN={host}", self.intermediate,
                            f"subjectAltName=DNS:{host}\nextendedKeyUsage={usage}\nkeyUsage=digitalSignature\n", days)
        pair.cert.write_text(pair.cert.read_text() + self.intermediate.cert.read_text())
        pair.key.chmod(0o600)
        return pair

    def client(self, common_name, kind="ecdsa"):
        pair = self.server(common_name, kind, name=f"client-{common_name}", usage="clientAuth")
        return pair

    def self_signed(self, common_name):
        return self._self_signed(f"self-{common_name}", common_name)
