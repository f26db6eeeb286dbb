# SPDX-License-Identifier: ISC
"""A private Kerberos realm: MIT's krb5kdc on a loopback port, with its database and all files in one directory."""
import os
import pathlib
import shutil
import subprocess
import tempfile

from .waiting import accepts_connections, free_port, wait_for

REALM = "EXAMPLE.TEST"
PROGRAMS = ("kdb5_util", "kadmin.local", "krb5kdc", "kinit")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def unavailable():
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    return f"{missing[0]} is not installed (krb5-kdc, krb5-admin-server, krb5-user)" if missing else None


class Kerberos:
    def __init__(self):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="krb5-", dir="/tmp"))
        self.top.chmod(0o755)
        self.port = free_port()
        self.process = None
        (self.top / "krb5.conf").write_text(
            f"[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_realm = false\ndns_lookup_kdc = false\nrdns = false\n"
            f"dns_canonicalize_hostname = false\nudp_preference_limit = 1\ndefault_ccache_name = FILE:{self.top}/ccache\n"
            f"[realms]\n{REALM} = {{\n kdc = 127.0.0.1:{self.port}\n}}\n"
            f"[domain_realm]\n.example.test = {REALM}\n")
        (self.top / "kdc.conf").write_text(
            f"[kdcdefaults]\nkdc_listen = 127.0.0.1:{self.port}\nkdc_tcp_listen = 127.0.0.1:{self.port}\n"
            f"[realms]\n{REALM} = {{\n database_name = {self.top}/principal\n key_stash_file = {self.top}/stash\n acl_file = {self.top}/acl\n}}\n"
            f"[logging]\nkdc = FILE:{self.top}/kdc.log\n")
        self.run("kdb5_util", "create", "-s", "-P", "master", "-r", REALM)

    @property
    def environment(self):
        return {"KRB5_CONFIG": str(self.top / "krb5.conf"), "KRB5_KDC_PROFILE": str(self.top / "kdc.conf")}

    def run(self, program, *arguments, input=None):
        done = subprocess.run([shutil.which(program, path=PATH), *map(str, arguments)], input=input, capture_output=True, text=True,
                              env={**os.environ, **self.environment}, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def add_user(self, name, password):
        self.run("kadmin.local", "-r", REALM, "-q", f"addprinc -pw {password} {name}")

    def keytab(self, principal, owner):
        """The keys of a service, in a file that only `owner` reads."""
        path = self.top / "keytab"
        self.run("kadmin.local", "-r", REALM, "-q", f"addprinc -randkey {principal}")
        self.run("kadmin.local", "-r", REALM, "-q", f"ktadd -k {path} {principal}")
        shutil.chown(path, owner)
        return path

    def start(self):
        self.process = subprocess.Popen([shutil.which("krb5kdc", path=PATH), "-n", "-r", REALM], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **self.environment})
        wait_for(lambda: accepts_connections("127.0.0.1", self.port), "the key distribution centre")
        return self

    def login(self, name, password):
        self.run("kinit", name, input=password + "\n")

    def finish(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
        shutil.rmtree(self.top, ignore_errors=True)
