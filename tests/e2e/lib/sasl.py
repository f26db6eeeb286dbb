# SPDX-License-Identifier: ISC
"""The authentication services that Posthorn and Postfix log people in with, each private and real:

    DovecotAuth   Dovecot's auth process on a UNIX socket and a port
    sasldb()      a Cyrus sasldb file made by saslpasswd2
    Saslauthd     Cyrus' saslauthd, checking a sasldb

and what a client says: plain("anna", "secret").
"""
import base64
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

from . import dovecot_settings as settings
from . import processes
from .waiting import accepts_connections, free_port, wait_for

DOVECOT = """\
{heading}
protocols =
{cleartext}
auth_verbose = yes
auth_mechanisms = {mechanisms}
auth_failure_delay = {failure_delay}
auth_cache_size = 0
{databases}
{more}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener {socket} {{
    mode = 0600
    user = {owner}
  }}
{port}
}}
"""


def b64(text):
    if isinstance(text, str):
        text = text.encode()
    return base64.b64encode(text).decode()


def plain(login, password, authzid=""):
    return b64(f"{authzid}\0{login}\0{password}")


class DovecotAuth:
    def __init__(self, socket, owner, users, mechanisms="plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256",
                 failure_delay="0", passwords_for="", more=""):
        """`passwords_for`: the mechanisms that use the users' passwords (all when empty); `more`: further settings."""
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="dovecot-auth-", dir="/tmp"))
        self.top.chmod(0o755)
        self.socket = pathlib.Path(socket)
        self.port = free_port()
        (self.top / "users").write_text("".join(f"{name}:{{PLAIN}}{password}::::::\n"
                                                for name, password in users.items()))
        (self.top / "dovecot.conf").write_text(DOVECOT.format(
            heading=settings.heading(self.top), cleartext=settings.cleartext(), socket=self.socket, owner=owner,
            port=settings.port(self.port), mechanisms=mechanisms, failure_delay=failure_delay, more=more,
            databases=settings.passdb_file(self.top / "users", passwords_for) + settings.userdb_nobody()))
        self.process = None

    @staticmethod
    def unavailable():
        if os.geteuid() != 0:
            return "Dovecot's auth needs root"
        return None if pathlib.Path("/usr/lib/dovecot/auth").exists() else "dovecot is not installed"

    def start(self):
        assert self.process is None
        if self.socket.is_socket():
            self.socket.unlink()
        with open(self.top / "stderr", "ab") as errors:
            self.process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", self.top / "dovecot.conf"],
                                            stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        wait_for(self.socket.is_socket, f"Dovecot's socket\n{(self.top / 'stderr').read_text()}")
        wait_for(lambda: accepts_connections("127.0.0.1", self.port), "Dovecot's port")
        return self

    def stop(self):
        if self.process is None:
            return
        family = list(processes.descendants(self.process.pid))
        self.process.send_signal(signal.SIGTERM)
        for pid in family:  # auth itself would wait for its clients to go
            processes.kill(pid)
        self.process.wait(10)
        self.process = None
        if self.socket.is_socket():
            self.socket.unlink()

    def log(self):
        return (self.top / "log").read_text(errors="replace")

    def finish(self):
        self.stop()
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.top, ignore_errors=True)


# --- Cyrus ----------------------------------------------------------------------------------------------------

def cyrus_unavailable():
    if os.geteuid() != 0:
        return "needs root"
    for program in ("saslpasswd2", "saslauthd"):
        if shutil.which(program, path="/usr/sbin:/usr/bin") is None:
            return f"{program} is not installed (sasl2-bin)"
    return None


def sasldb(path, users, owner, realm="mail.example.test"):
    """Makes a password file that only `owner` reads."""
    for name, password in users.items():
        subprocess.run(["/usr/sbin/saslpasswd2", "-p", "-c", "-f", path, "-u", realm, name], input=password.encode(),
                       check=True, capture_output=True)
    entry = pwd.getpwnam(owner)
    os.chown(path, entry.pw_uid, entry.pw_gid)
    os.chmod(path, 0o600)
    return path


class Saslauthd:
    """Cyrus' saslauthd. What it wants in /etc it gets in a mount namespace of its own."""

    def __init__(self, directory, mechanism, *options, set_up="true"):
        """set_up: a shell command that runs in its namespace first."""
        self.directory = pathlib.Path(directory)
        self.command = f"{set_up} && exec /usr/sbin/saslauthd -d -a {mechanism} {' '.join(map(str, options))} -n 2 -m {self.directory}"
        self.process = None

    @classmethod
    def with_sasldb(cls, directory, database):
        return cls(directory, "sasldb", set_up=f"touch /etc/sasldb2 && mount --bind {database} /etc/sasldb2")

    @classmethod
    def with_pam(cls, directory, service, lines):
        """One service file in a /etc/pam.d that nobody else sees."""
        services = pathlib.Path(directory).parent / "pam.d"
        services.mkdir(parents=True, exist_ok=True)
        (services / service).write_text(lines)
        return cls(directory, "pam", set_up=f"mount --bind {services} /etc/pam.d")

    @property
    def socket(self):
        return self.directory / "mux"

    def start(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        with open(self.directory.parent / f"{self.directory.name}.log", "ab") as log:
            self.process = subprocess.Popen(["unshare", "-m", "sh", "-c", self.command], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)
        wait_for(self.socket.is_socket, "saslauthd's socket")
        return self

    def stop(self):
        if self.process is None:
            return
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(10)
        self.process = None
        if self.socket.is_socket():
            self.socket.unlink()

    def pause(self, stopped=True):
        os.killpg(self.process.pid, signal.SIGSTOP if stopped else signal.SIGCONT)
