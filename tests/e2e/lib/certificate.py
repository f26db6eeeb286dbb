# SPDX-License-Identifier: ISC
"""A certificate that signed itself, for tests that need encryption and ask nothing about it."""
import ssl
import subprocess


def self_signed(directory, name="mail.example.org"):
    """cert.pem and key.pem in this directory."""
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", directory / "key.pem",
                    "-out", directory / "cert.pem"], check=True, capture_output=True)
    (directory / "key.pem").chmod(0o600)
    return directory / "cert.pem", directory / "key.pem"


def trusting(path):
    """A client's context that trusts this certificate."""
    return ssl.create_default_context(cafile=str(path))
