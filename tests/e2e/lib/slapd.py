# SPDX-License-Identifier: ISC
"""A private OpenLDAP server on a loopback port and a UNIX socket, as an ordinary user; root lends it the user nobody."""
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import urllib.parse

from .programs import unconfined
from .waiting import accepts_connections, free_port, wait_for

SERVER = pathlib.Path("/usr/sbin/slapd")
SCHEMA = pathlib.Path("/etc/ldap/schema")
BASE = "dc=example,dc=test"


class Slapd:
    def __init__(self, entries, more=""):
        """entries: LDIF of everything below dc=example,dc=test; more: lines for the database's configuration."""
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="ldap-", dir="/tmp"))
        self.top.chmod(0o755)
        self.port = free_port()
        self.url = f"ldap://127.0.0.1:{self.port}"
        self.socket_url = f"ldapi://{urllib.parse.quote(str(self.top / 'socket'), safe='')}"
        self.process = None
        self.user = []
        (self.top / "data").mkdir()
        (self.top / "slapd.conf").write_text(
            "".join(f"include {SCHEMA}/{name}.schema\n" for name in ("core", "cosine", "inetorgperson"))
            + f"pidfile {self.top}/pid\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\nallow bind_v2\n"
            "attributetype ( 1.3.6.1.4.1.4203.666.1.100 NAME 'maildrop' SUP mail )\n"
            "attributetype ( 1.3.6.1.4.1.4203.666.1.101 NAME 'memberaddr' SUP mail )\n"
            "objectclass ( 1.3.6.1.4.1.4203.666.3.100 NAME 'mailThing' SUP top AUXILIARY"
            " MAY ( maildrop $ memberaddr $ mail $ member $ labeledURI ) )\n"
            f"database mdb\nsuffix \"{BASE}\"\nrootdn \"cn=admin,{BASE}\"\nrootpw secret\ndirectory {self.top}/data\n"
            f"index mail,maildrop,memberaddr eq\n{more}\n")
        ldif = self.top / "entries.ldif"
        ldif.write_text(f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: test\n\n{entries}")
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for path in (self.top, *self.top.iterdir()):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
            self.user = ["setpriv", "--reuid=nobody", f"--regid={nobody.pw_gid}", "--clear-groups"]
        self.program = unconfined(SERVER, self.top)
        result = subprocess.run([*self.user, self.program, "-T", "add", "-q", "-f", self.top / "slapd.conf", "-l", ldif], cwd="/",
                                capture_output=True, text=True, check=False, timeout=60)
        assert result.returncode == 0, result.stderr

    @staticmethod
    def unavailable():
        return None if SERVER.exists() else "slapd is not installed"

    def start(self):
        with open(self.top / "stderr", "ab") as errors:
            self.process = subprocess.Popen(
                [*self.user, self.program, "-f", self.top / "slapd.conf", "-h", f"{self.url}/ {self.socket_url}", "-d", "0"], cwd="/",
                stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        wait_for(lambda: accepts_connections("127.0.0.1", self.port), "slapd", 20, 0.05)
        return self

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def finish(self):
        self.stop()
        shutil.rmtree(self.top, ignore_errors=True)
