# SPDX-License-Identifier: ISC
"""A mail server in a directory of its own: Posthorn from build/inst, or Debian's Postfix from build/postfix-ref.

Both have one interface, so a test can hold the same dialogue with each:

    mta.main["virtual_mailbox_domains"] = "example.test"
    mta.start()
    with mta.smtp() as client: ...
    mta.log.wait(r"status=sent")
    mta.command("postqueue", "-p").stdout

Everything lives below one directory in /tmp; all listeners are on 127.0.0.0/8; only processes
that were started here are signalled.
"""
import atexit
import contextlib
import grp
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

from . import processes
from .maillog import MailLog
from .smtp import SmtpClient, send
from .waiting import accepts_connections, free_port, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[3]
IS_ROOT = os.geteuid() == 0

# The default, as both servers document it.
IMPORT_ENVIRONMENT = "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME"

# The services of a stock master.cf, unchrooted; the listener is a column of its own.
MASTER_CF = """\
{listener} inet n - n - - smtpd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       n       -       -       lmtp
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
"""


class Mta:
    name = "?"
    usual_complaints = ()

    def __init__(self, parent="/tmp"):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=parent))
        self.directory.chmod(0o755)  # the roles run as another user
        self.config = self.directory / "conf"
        self.config.mkdir()
        self.queue = self.directory / "queue"
        self.port = free_port()
        self.log = MailLog(self.directory / "maillog")
        self.log.expect(*self.usual_complaints)
        self.error_output = self.directory / "stderr"
        self.master_pid = None
        self.wrapper = []  # a command in front of the one that starts the server
        self.more_environment = {}
        self.owner = "postfix" if IS_ROOT else pwd.getpwuid(os.geteuid()).pw_name
        self.group = "postdrop" if IS_ROOT else grp.getgrgid(os.getegid()).gr_name
        self.main = {
            "compatibility_level": "3.6",
            "queue_directory": self.queue,
            "data_directory": self.directory / "data",
            "mail_owner": self.owner,
            "setgid_group": self.group,
            "maillog_file": self.log.path,
            "maillog_file_prefixes": self.directory,
            "myhostname": "mail.example.test",
            "mydestination": "",
            "alias_maps": "",
            "mynetworks": "127.0.0.0/8",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "smtpd_banner": "$myhostname ESMTP",
        }
        self.master_cf = MASTER_CF.replace("{listener}", f"127.0.0.1:{self.port}")
        # A test that writes main.cf itself sets this instead of `main`.
        self.main_cf = None

    # --- configuration ------------------------------------------------------------------

    def file(self, name, text):
        """Writes a file beside main.cf and returns its path."""
        path = self.config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        # Postfix's programs sleep for two seconds when a file was changed just now.
        os.utime(path, (time.time() - 10, time.time() - 10))
        return path

    def add_environment(self, variables):
        """Environment of the server's own processes."""
        self.more_environment.update(variables)
        self.main["import_environment"] = self.main.get("import_environment", IMPORT_ENVIRONMENT) + "".join(
            f" {name}={value}" for name, value in variables.items())

    def write_configuration(self):
        text = self.main_cf
        if text is None:
            text = "".join(f"{name} = {value}\n" for name, value in self.main.items())
        self.file("main.cf", text)
        self.file("master.cf", self.master_cf)

    # --- life -------------------------------------------------------------------------------

    def start(self, wait=True):
        self.write_configuration()
        self._start()
        if wait:
            wait_for(lambda: accepts_connections("127.0.0.1", self.port), f"{self.name} to listen\n"
                     + self._last_words(), 20)
        return self

    def _last_words(self):
        words = self.error_output.read_text(errors="replace") if self.error_output.exists() else ""
        return (words + self.log.text())[-4000:]

    def stop(self):
        if self.master_pid is None:
            return
        master = self.master_pid
        family = [master, *processes.descendants(master)]

        # With the session: a child that was being forked is in no list, and holds the listening sockets of all services.
        def running():
            return [pid for pid in {*family, *processes.session(master)} if processes.is_running(pid)]

        self._stop()
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not running(), "the end", 20)
        left = running()
        for pid in left:
            processes.kill(pid)
        self.master_pid = None
        assert not left, f"still running after stop: {left}\n{self._last_words()}"

    def crash(self):
        """A power failure, as far as a process can tell: everything dies at once, nothing is told."""
        family = processes.descendants(self.master_pid)
        processes.kill(self.master_pid, signal.SIGSTOP)
        for pid in [*family, *processes.descendants(self.master_pid), self.master_pid]:
            processes.kill(pid)
        wait_for(lambda: not any(processes.is_running(pid) for pid in [*family, self.master_pid]), "the crash")
        self._reap()
        self.master_pid = None

    def restart(self):
        self.stop()
        self.start()

    def finish(self):
        """The end of a test: everything stopped, and nothing in the log that nobody expected."""
        complaints = []
        try:
            self.stop()
            errors = self.error_output.read_text(errors="replace") if self.error_output.exists() else ""
            complaints = self.log.unexpected(errors)
        finally:
            if not os.environ.get("KEEP"):
                shutil.rmtree(self.directory, ignore_errors=True)
        assert not complaints, "unexpected in the log:\n" + "\n".join(complaints)

    def pids(self, program=None):
        """Pids of its processes, all or those of one program: mta.pids("smtpd")."""
        family = processes.descendants(self.master_pid)
        return sorted(pid for pid, name in family.items() if program in (None, name))

    # --- talking to it -------------------------------------------------------------------------

    def smtp(self, **options):
        return SmtpClient(self.port, **options)

    def send(self, sender, recipients, text="Subject: test\n\nHello.\n", **options):
        return send(self.port, sender, recipients, text, **options)

    def command(self, program, *arguments, input=None, timeout=30):
        """Runs one of its commands with this configuration. Result: returncode, stdout, stderr."""
        if isinstance(input, str):
            input = input.encode()
        result = subprocess.run([self.program(program), *map(str, arguments)], input=input, timeout=timeout,
                                capture_output=True, env=self.environment(), check=False)
        result.stdout = result.stdout.decode(errors="replace")
        result.stderr = result.stderr.decode(errors="replace")
        return result

    def mailq(self):
        result = self.command("postqueue", "-p")
        assert result.returncode == 0, result.stderr
        return result.stdout

    def wait_empty(self, seconds=20):
        wait_for(lambda: "Mail queue is empty" in self.mailq(), "an empty queue\n" + self._last_words(), seconds, 0.1)


class Posthorn(Mta):
    name = "posthorn"
    usual_complaints = (r"parameter \S+ is not supported yet", r"parameter queue_run_delay has no effect here",
                        # Bounces to other hosts wait for a release that can deliver there.
                        r"connect to transport private/smtp: Connection refused")

    def __init__(self, **options):
        super().__init__(**options)
        self.prefix = self.installed_prefix()
        # A fiber that came near the end of its stack is a warning when its process ends.
        self.add_environment({"POSTHORN_STACK_WATCH": os.environ.get("POSTHORN_STACK_WATCH", "1")})
        sanitizers = {name: os.environ[name] for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS") if name in os.environ}
        if sanitizers:
            self.add_environment(sanitizers)

    @staticmethod
    def installed_prefix():
        return pathlib.Path(os.environ.get("POSTHORN_BUILD", ROOT / "build" / "normal")) / "inst"

    @staticmethod
    def unavailable():
        prefix = Posthorn.installed_prefix()
        return None if (prefix / "sbin" / "postfix").exists() else f"not installed in {prefix}"

    def program(self, name):
        return self.prefix / "sbin" / name

    def environment(self):
        return {**os.environ, "MAIL_CONFIG": str(self.config)}

    def _postfix(self, word, timeout=30):
        with open(self.error_output, "ab") as errors:
            return subprocess.run([*self.wrapper, self.program("postfix"), "-c", self.config, word], stdin=subprocess.DEVNULL,
                                  stdout=errors, stderr=errors, timeout=timeout, check=False,
                                  env={**self.environment(), **self.more_environment}).returncode

    def _start(self):
        code = self._postfix("start")
        assert code == 0, f"postfix start ended with {code}\n{self._last_words()}"
        self.master_pid = int(wait_for(lambda: (self.queue / "pid" / "master.pid").read_text().strip(), "a pid"))

    def _stop(self):
        self._postfix("stop")

    def _reap(self):
        pass  # the master is init's child

    def reload(self):
        self.write_configuration()
        assert self._postfix("reload") == 0, self._last_words()


def _reachable_reference():
    """The unpacked Postfix; a copy for this run where the tree is closed to the users that its daemons become (/root)."""
    top = pathlib.Path(os.environ.get("POSTFIX_REFERENCE", ROOT / "build" / "postfix-ref")) / "root"
    if not IS_ROOT or not top.is_dir() or all(above.stat().st_mode & 0o001 for above in top.resolve().parents):
        return top
    place = pathlib.Path(tempfile.mkdtemp(prefix="postfix-reference-", dir="/tmp"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    place.chmod(0o755)
    return shutil.copytree(top, place / "root", symlinks=True, ignore=shutil.ignore_patterns("man", "locale"))


class Postfix(Mta):
    name = "postfix"
    directory_of_reference = _reachable_reference()
    # What an unpacked Postfix says that an installed one would not.
    usual_complaints = (r"/etc/aliases", r"symlink leaves directory", r"group or other writable", r"not owned by",
                        r"postdrop", r"cannot get RSA", r"resetting file time stamps", r"file system clock is",
                        r"problem talking to service private/scache", r"does not exist.*(passwd|resolv|hosts|services|nsswitch)")

    def __init__(self, **options):
        super().__init__(**options)
        top = self.directory_of_reference
        self.main.update({
            "command_directory": top / "usr/sbin",
            "daemon_directory": top / "usr/lib/postfix/sbin",
            "shlib_directory": top / "usr/lib/postfix",
            "meta_directory": self.config,
            "import_environment": f"{IMPORT_ENVIRONMENT} LD_LIBRARY_PATH={top}/usr/lib/postfix",
        })
        plugins = top / "usr/lib/postfix"
        self.file("dynamicmaps.cf", "".join(
            f"{kind} {plugins}/postfix-{kind}.so dict_{kind}_open{f' mkmap_{kind}_open' * (kind in ('lmdb', 'cdb'))}\n"
            for kind in ("pgsql", "sqlite", "lmdb", "mysql", "ldap", "cdb", "pcre")))
        self.file("postfix-files", "")
        self.master = None

    @classmethod
    def unavailable(cls):
        if not IS_ROOT:
            return "Debian's Postfix runs only as root"
        if not (cls.directory_of_reference / "usr/lib/postfix/sbin/master").exists():
            return "Debian's Postfix is not unpacked (tools/postfix-reference.sh build/postfix-ref)"
        return None

    def program(self, name):
        return self.directory_of_reference / {"mailq": "usr/sbin/postqueue"}.get(name, f"usr/sbin/{name}")

    def command(self, program, *arguments, **options):
        if program == "mailq":
            arguments = ("-p", *arguments)
        return super().command(program, *arguments, **options)

    def environment(self):
        return {**os.environ, "MAIL_CONFIG": str(self.config),
                "LD_LIBRARY_PATH": f"{self.directory_of_reference}/usr/lib/postfix"}

    def _make_directories(self):
        uid, gid = pwd.getpwnam(self.owner).pw_uid, pwd.getpwnam(self.owner).pw_gid
        postdrop = grp.getgrnam(self.group).gr_gid
        self.queue.mkdir(exist_ok=True)
        for name, mode, group in [*((n, 0o700, gid) for n in (
                "active bounce corrupt defer deferred flush hold incoming private saved trace").split()),
                ("public", 0o710, postdrop), ("maildrop", 0o1730, postdrop)]:
            path = self.queue / name
            path.mkdir(exist_ok=True)
            os.chown(path, uid, group)
            path.chmod(mode)
        (self.queue / "pid").mkdir(exist_ok=True)
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        os.chown(data, uid, gid)
        data.chmod(0o700)

    def _start(self):
        self._make_directories()
        with open(self.error_output, "ab") as errors:
            self.master = subprocess.Popen(
                [*self.wrapper, self.directory_of_reference / "usr/lib/postfix/sbin/master", "-c", self.config, "-d"],
                stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=True,
                env={**self.environment(), **self.more_environment})
        self.master_pid = self.master.pid
        if " showq " in self.master_cf.replace("\n", " "):  # its sockets are made after the ports
            wait_for((self.queue / "public" / "showq").is_socket, f"Postfix's sockets\n{self._last_words()}", 20)

    def _stop(self):
        self.master.terminate()
        self._reap()

    def _reap(self):
        self.master.wait(10)

    def reload(self):
        self.write_configuration()
        processes.kill(self.master_pid, signal.SIGHUP)
        time.sleep(0.3)
