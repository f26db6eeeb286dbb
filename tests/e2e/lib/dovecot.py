# SPDX-License-Identifier: ISC
"""A private Dovecot that only speaks LMTP, on a UNIX socket, into Maildirs. Works as root and as an ordinary user."""
import grp
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

from . import dovecot_settings as settings
from .waiting import wait_for

CONFIG = """\
{heading}
protocols = lmtp
default_internal_user = {internal}
default_internal_group = {internal_group}
default_login_user = {login}
{rootless}
first_valid_uid = 1
{mail}
mail_fsync = {fsync}
postmaster_address = postmaster@example.test
{databases}
service lmtp {{
  process_min_avail = 2
  unix_listener {socket} {{
    mode = 0600
    {socket_owner}
  }}
}}
"""

# Without root nothing can be chrooted or change its user.
ROOTLESS = "\n".join(f"service {name} {{\n  chroot =\n}}" for name in ("anvil", "stats"))


class Dovecot:
    def __init__(self, socket, owner, fsync="never"):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="dovecot-", dir="/tmp"))
        self.top.chmod(0o755)
        self.socket = pathlib.Path(socket)
        is_root = os.geteuid() == 0
        me = pwd.getpwuid(os.geteuid()).pw_name
        my_group = grp.getgrgid(os.getegid()).gr_name
        self.mail_user = pwd.getpwnam("nobody") if is_root else pwd.getpwuid(os.geteuid())
        self.mail = self.top / "mail"
        self.mail.mkdir()
        os.chown(self.mail, self.mail_user.pw_uid, self.mail_user.pw_gid)
        (self.top / "users").write_text("")
        (self.top / "dovecot.conf").write_text(CONFIG.format(
            heading=settings.heading(self.top), mail=settings.maildir(), socket=self.socket, fsync=fsync,
            databases=settings.lower_case_names() + settings.passdb_anybody() + settings.userdb_file(self.top / "users"),
            internal="dovecot" if is_root else me, internal_group="dovecot" if is_root else my_group,
            login="dovenull" if is_root else me, rootless="" if is_root else ROOTLESS,
            socket_owner=f"user = {owner}" if is_root else ""))
        self.process = None

    @staticmethod
    def unavailable():
        program = shutil.which("dovecot", path="/usr/sbin:/usr/bin")
        return None if program else "dovecot is not installed"

    def user(self, *addresses):
        """Makes mailboxes."""
        with open(self.top / "users", "a", encoding="ascii") as file:
            for address in addresses:
                home = self.mail / address
                file.write(f"{address}::{self.mail_user.pw_uid}:{self.mail_user.pw_gid}::{home}::\n")

    def start(self):
        assert self.process is None
        if self.socket.is_socket():
            self.socket.unlink()
        with open(self.top / "stderr", "ab") as errors:
            self.process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", self.top / "dovecot.conf"],
                                            stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        wait_for(self.socket.is_socket, "Dovecot's socket\n" + (self.top / "stderr").read_text())
        return self

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        self.process = None
        if self.socket.is_socket():
            self.socket.unlink()

    def finish(self):
        self.stop()
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.top, ignore_errors=True)

    def messages(self, address):
        """The texts of all messages in this mailbox, oldest first."""
        new = self.mail / address / "Maildir" / "new"
        files = sorted(new.iterdir()) if new.is_dir() else []
        return [file.read_text(errors="replace") for file in files]

    def wait_message(self, address, count=1, seconds=15):
        """Waits for message number `count` and returns it."""
        wait_for(lambda: len(self.messages(address)) >= count, f"message {count} for {address}", seconds)
        return self.messages(address)[count - 1]
