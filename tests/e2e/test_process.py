# SPDX-License-Identifier: ISC
"""The supervisor: start, stop, reload, crashes and confinement.

Most tests run it with a stand-in for every role (tests/unit/role_dummy.c), whose smtpd greets with "220 PID SERVICE"
and answers "ask ROLE" with that peer's pid. So they test the supervisor alone, and every moment of it.
"""
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
from lib import processes
from lib.certificate import self_signed
from lib.mta import IS_ROOT, Posthorn
from lib.waiting import accepts_connections, allowed, free_port, wait_for

ROLES = ("smtpd", "queue", "lookup", "resolver", "state", "lmtp", "virtual")


def build_directory():
    return Posthorn.installed_prefix().parent


class StandIn(Posthorn):
    """Posthorn with the stand-in for every role."""

    def __init__(self, **options):
        super().__init__(**options)
        self.programs = self.directory / "programs"
        self.programs.mkdir()
        # Copies: another user must be able to run them, wherever the build directory is.
        shutil.copy(self.prefix / "libexec" / "posthorn" / "master", self.programs / "master")
        for role in ROLES:
            shutil.copy(self.prefix.parent / "tests" / "unit" / "role_dummy", self.programs / role)
        self.main["daemon_directory"] = self.programs
        self.log.expect(r"parameter \S+ is not supported yet")  # the usual main.cf, read by this release

    def postfix(self, word):
        return self.command("postfix", "-c", self.config, word)

    def status(self):
        """{role: (pid, state)} as posthorn status tells it."""
        lines = self.command("posthorn", "-c", self.config, "status").stdout.splitlines()
        return {line.split()[0]: tuple(line.split()[1:3]) for line in lines}

    def pid_of(self, role):
        return int(self.status()[role][0])


class Session:
    """A connection to the stand-in's smtpd."""

    def __init__(self, port, address="127.0.0.1"):
        self.socket = socket.create_connection((address, port), timeout=10)
        self.file = self.socket.makefile("rwb", buffering=0)
        greeting = self.file.readline().decode().split()
        assert greeting[0] == "220", greeting
        self.pid = int(greeting[1])

    def say(self, line):
        self.file.write(line.encode() + b"\r\n")
        return self.file.readline().decode().strip()

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture
def stand_in():
    probe = build_directory() / "tests" / "unit" / "role_dummy"
    if Posthorn.unavailable() or not probe.exists():
        pytest.skip("needs an installed build and tests/unit/role_dummy (make check)")
    server = StandIn()
    try:
        yield server
    finally:
        server.finish()


# --- the words of postfix(1) ---------------------------------------------------------------------


def test_words_and_exit_statuses(stand_in):
    stand_in.write_configuration()
    stopped = stand_in.postfix("status")
    assert (stopped.returncode, stopped.stderr) == (1, "postfix/postfix-script: the Postfix mail system is not running\n")
    for word in ("stop", "reload", "abort"):
        result = stand_in.postfix(word)
        assert result.returncode == 1
        assert result.stderr == "postfix/postfix-script: fatal: the Postfix mail system is not running\n"
    stand_in.log.expect(r"fatal: the Postfix mail system is (not|already) running", r"fatal: unknown command")
    stand_in.start()
    assert f"running: PID: {stand_in.master_pid}\n" in stand_in.postfix("status").stderr
    again = stand_in.postfix("start")
    assert (again.returncode, again.stderr) == (
        1, "postfix/postfix-script: fatal: the Postfix mail system is already running\n")
    assert stand_in.postfix("no-such-word").returncode == 1
    assert stand_in.postfix("check").returncode == 0
    stand_in.stop()
    log = stand_in.log.text()
    for line in (r"postfix/postfix-script\[\d+\]: starting the Postfix mail system",
                 r"postfix/master\[\d+\]: daemon started -- version [\d.]+, configuration /",
                 r"postfix/postfix-script\[\d+\]: stopping the Postfix mail system"):
        assert re.search(line, log), line


def test_abort_ends_at_once(stand_in):
    stand_in.start()
    family = [stand_in.master_pid, *processes.descendants(stand_in.master_pid)]
    with Session(stand_in.port):
        assert stand_in.postfix("abort").returncode == 0
        wait_for(lambda: not any(processes.is_running(pid) for pid in family), "the end", 2)
    assert "terminating on signal 15" in stand_in.log.text()
    stand_in.master_pid = None


def test_stop_does_not_wait_for_idle_sessions_for_ever(stand_in):
    stand_in.start()
    with Session(stand_in.port), Session(stand_in.port):
        begin = time.monotonic()
        stand_in.stop()
        assert time.monotonic() - begin < 5
    assert "killed" not in stand_in.log.text()


def test_pid_file_and_directories(stand_in):
    stand_in.start()
    assert (stand_in.queue / "pid" / "master.pid").read_text().strip() == str(stand_in.master_pid)
    modes = {name: (stand_in.queue / name).stat().st_mode & 0o7777 for name in (
        "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "maildrop", "pid", "private",
        "public", "saved", "trace")}
    assert {mode for name, mode in modes.items() if name not in ("maildrop", "pid", "public")} == {0o700}
    assert (modes["maildrop"], modes["pid"], modes["public"]) == (0o730, 0o755, 0o710)
    assert (stand_in.queue / "public" / "showq").is_socket() and (stand_in.queue / "public" / "postqueue").is_socket()
    assert not any((stand_in.directory / "data" / "empty").iterdir())


# --- crashes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_killed_role_is_back_within_a_second(stand_in, role):
    stand_in.log.expect(rf"process \S+/{role} pid \d+ killed by signal 9")
    stand_in.start()
    old = stand_in.pid_of(role)
    killed = time.monotonic()
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: stand_in.status().get(role, ("", ""))[1] == "serving" and stand_in.pid_of(role) != old, f"a new {role}", 1)
    with Session(stand_in.port) as session:  # and its peers have found it
        assert session.say("ask queue") == f"250 {stand_in.pid_of('queue')}"
        assert session.say("ask lookup") == f"250 {stand_in.pid_of('lookup')}"
    assert time.monotonic() - killed < allowed(1)
    stand_in.log.wait(rf"warning: process \S+/{role} pid {old} killed by signal 9")


def test_session_survives_the_death_of_its_peers(stand_in):
    stand_in.log.expect(r"killed by signal 9")
    stand_in.start()
    with Session(stand_in.port) as session:
        for role in ("queue", "lookup"):
            old = stand_in.pid_of(role)
            os.kill(old, signal.SIGKILL)
            answer = session.say(f"ask {role}")
            assert answer.startswith("250 ") and answer != f"250 {old}"


def test_repeated_crashes_are_slowed(stand_in):
    stand_in.log.expect(r"killed by signal 6", r"panic: asked to", r"bad command startup")  # it may not even get ready
    stand_in.start()
    begin = time.monotonic()
    for _ in range(6):
        wait_for(lambda: accepts_connections("127.0.0.1", stand_in.port), "smtpd")
        with Session(stand_in.port) as session:
            session.say("crash")
    wait_for(lambda: stand_in.status()["smtpd"][1] == "serving", "smtpd", 10)
    assert time.monotonic() - begin > 0.1 + 0.2 + 0.4 + 0.8 + 1.6


def test_role_that_never_starts_fails_the_start(stand_in):
    stand_in.log.expect(r".*")
    (stand_in.programs / "lmtp").unlink()
    (stand_in.programs / "lmtp").symlink_to("/bin/false")
    stand_in.write_configuration()
    result = stand_in.postfix("start")
    assert result.returncode == 1
    assert "lmtp does not start: see the log" in result.stderr
    assert result.stderr.endswith("fatal: mail system startup failed\n")
    assert re.search(r"lmtp: bad command startup -- throttling", stand_in.log.text())
    assert stand_in.postfix("status").returncode == 1


def test_roles_end_with_the_supervisor(stand_in):
    stand_in.start()
    family = processes.descendants(stand_in.master_pid)
    processes.kill(stand_in.master_pid)
    wait_for(lambda: not any(processes.is_running(pid) for pid in family), "the roles to end", 2)
    stand_in.start()  # the locks went with it


# --- reload ---------------------------------------------------------------------------------------


def test_reload_drops_no_session_and_refuses_no_connection(stand_in):
    stand_in.start()
    failures, answered, stop = [], [], threading.Event()

    def knock():
        while not stop.is_set():
            try:
                with Session(stand_in.port) as session:
                    answer = session.say("ask queue")
                    (answered if answer.startswith("250") else failures).append(answer)
            except (OSError, AssertionError, IndexError) as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=knock) for _ in range(4)]
    with Session(stand_in.port) as old:
        for thread in threads:
            thread.start()
        for _ in range(5):
            stand_in.reload()
            assert old.say("ask queue") == f"250 {stand_in.pid_of('queue')}"
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == [] and len(answered) > 20
        new = stand_in.pid_of("smtpd")
        assert old.pid != new and processes.is_running(old.pid)
        assert old.say("ask lookup") == f"250 {stand_in.pid_of('lookup')}"  # not the one it began with
    wait_for(lambda: not processes.is_running(old.pid), "the drained smtpd to end")
    wait_for(lambda: len(processes.descendants(stand_in.master_pid)) == len(ROLES), "the others to end")


def test_reload_brings_new_values_and_sockets(stand_in):
    stand_in.start()
    queue = stand_in.pid_of("queue")
    second = free_port()
    stand_in.main["smtpd_banner"] = "relay.example"
    stand_in.master_cf += f"127.0.0.1:{second} inet n - n - - smtpd\n  -o smtpd_banner=other.example\n"
    stand_in.reload()
    assert stand_in.pid_of("queue") == queue  # it owns the spool: it goes on
    stand_in.log.wait(rf"queue\[{queue}\]: reloaded, smtpd_banner relay.example")
    with Session(stand_in.port) as session:
        assert session.say("config smtpd_banner") == "250 relay.example"
    with Session(second) as session:
        assert session.say("config smtpd_banner") == "250 other.example"
    stand_in.master_cf = re.sub(rf"127.0.0.1:{second}.*\n.*\n", "", stand_in.master_cf)
    stand_in.reload()
    wait_for(lambda: not accepts_connections("127.0.0.1", second), "the socket to close")
    assert accepts_connections("127.0.0.1", stand_in.port)


@pytest.mark.parametrize("line, words", [
    ("message_size_limit = soon", "bad numerical configuration: message_size_limit = soon"),
    ("data_directory = /tmp/elsewhere", "cannot change while the mail system runs"),
    ("inet_interfaces = 192.0.2.1", "Cannot assign requested address"),
])
def test_broken_configuration_changes_nothing(stand_in, line, words):
    stand_in.log.expect(r"error: ", r"fatal: ", r"overriding earlier entry")
    stand_in.start()
    before = stand_in.status()
    if line.startswith("inet_interfaces"):
        stand_in.master_cf = stand_in.master_cf.replace("127.0.0.1:", "")
    name, value = line.split(" = ")
    stand_in.main[name] = value
    stand_in.write_configuration()
    result = stand_in.postfix("reload")
    assert result.returncode == 1
    assert words in result.stderr and words in stand_in.log.text()
    after = stand_in.status()
    assert {role: value for role, value in before.items() if role != "master"} == {
        role: value for role, value in after.items() if role != "master"}
    with Session(stand_in.port) as session:
        assert session.say("ask queue").startswith("250")


def test_hangup_reloads_too(stand_in):
    stand_in.start()
    old = stand_in.pid_of("smtpd")
    os.kill(stand_in.master_pid, signal.SIGHUP)
    wait_for(lambda: stand_in.status()["smtpd"][1] == "serving" and stand_in.pid_of("smtpd") != old, "a new smtpd")
    stand_in.log.wait(r"master\[\d+\]: reload -- version")


def test_a_hangup_with_an_unknown_facility_changes_nothing(stand_in):
    """No command reads it first: the supervisor itself must refuse it, and live on."""
    stand_in.log.expect(r"error: ")
    stand_in.start()
    old = stand_in.pid_of("smtpd")
    stand_in.main["syslog_facility"] = "nonesuch"
    stand_in.write_configuration()
    os.kill(stand_in.master_pid, signal.SIGHUP)
    stand_in.log.wait(r"parameter syslog_facility: unrecognized value: nonesuch")
    stand_in.main["syslog_facility"] = "mail"
    stand_in.write_configuration()
    assert stand_in.pid_of("smtpd") == old


# --- start in the foreground, log, users --------------------------------------------------------------


def test_foreground_and_readiness(stand_in):
    stand_in.write_configuration()
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(stand_in.directory / "notify"))
    manager.settimeout(10)
    with open(stand_in.error_output, "ab") as errors:
        process = subprocess.Popen([stand_in.program("postfix"), "-c", stand_in.config, "start-fg"], stdout=errors,
                                   stderr=errors, env={**os.environ, "NOTIFY_SOCKET": str(stand_in.directory / "notify")})
    try:
        assert manager.recv(100) == b"READY=1"
        with Session(stand_in.port) as session:
            assert session.say("ask lookup").startswith("250")
        assert (stand_in.queue / "pid" / "master.pid").read_text().strip() == str(process.pid)
        process.terminate()
        assert manager.recv(100) == b"STOPPING=1"
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()


def test_log_to_standard_output(stand_in):
    stand_in.main["maillog_file"] = "/dev/stdout"
    stand_in.main["maillog_file_prefixes"] = "/dev/stdout"
    stand_in.write_configuration()
    process = subprocess.Popen([stand_in.program("postfix"), "-c", stand_in.config, "start-fg"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: accepts_connections("127.0.0.1", stand_in.port), "the port")
        Session(stand_in.port).close()  # it greets: it has started
    finally:
        process.terminate()
        text = process.communicate(timeout=5)[0].decode()
    assert re.search(r"postfix/master\[\d+\]: daemon started", text)
    assert re.search(r"postfix/smtpd\[\d+\]: started", text)


def test_logrotate(stand_in):
    stand_in.start()
    assert stand_in.postfix("logrotate").returncode == 0
    rotated = [name for name in os.listdir(stand_in.directory) if re.fullmatch(r"maillog\.\d{8}-\d{6}\.gz", name)]
    assert len(rotated) == 1
    stand_in.reload()
    stand_in.log.wait(r"postfix/smtpd\[\d+\]: started")  # roles write to the new file


@pytest.mark.skipif(not IS_ROOT, reason="needs root to become somebody else")
def test_missing_owner_is_fatal(stand_in):
    stand_in.log.expect(r".*")
    stand_in.main["mail_owner"] = "no-such-user"
    stand_in.write_configuration()
    result = stand_in.postfix("start")
    assert result.returncode == 1
    assert "parameter mail_owner: unknown user name value: no-such-user" in result.stderr


@pytest.mark.skipif(not IS_ROOT, reason="the ordinary tests show it already")
def test_as_an_ordinary_user(stand_in):
    user = pwd.getpwnam("nobody")
    stand_in.log.expect(r"kernel")
    stand_in.write_configuration()
    os.chown(stand_in.directory, user.pw_uid, user.pw_gid)
    for path in (stand_in.config, *stand_in.config.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)
    programs = stand_in.directory / "sbin"  # the build directory may be closed to that user
    programs.mkdir()
    for name in ("postfix", "posthorn"):
        shutil.copy(stand_in.prefix / "sbin" / name, programs / name)
    run = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "capture_output": True, "check": False}
    result = subprocess.run([programs / "postfix", "-c", stand_in.config, "start"], **run)
    assert result.returncode == 0, result.stderr
    try:
        master = int((stand_in.queue / "pid" / "master.pid").read_text())
        family = processes.descendants(master)
        assert sorted(family.values()) == sorted(ROLES)
        assert {os.stat(f"/proc/{pid}/status").st_uid for pid in family} <= {0, user.pw_uid}
        text = subprocess.run([programs / "posthorn", "-c", stand_in.config, "probe"], **run).stdout.decode()
        check_confinement(text)
    finally:
        subprocess.run([programs / "postfix", "-c", stand_in.config, "stop"], **run)
    assert "not started as root" in stand_in.log.text()


# --- confinement ------------------------------------------------------------------------------------

# What a role may do beyond nothing at all; everything else that the probe tries must fail.
ALLOWED = {
    "smtpd": set(),
    "lmtp": set(),
    "queue": {"create in the queue directory"},
    "virtual": {"read /etc/passwd", "create in the queue directory", "create in /tmp"},
    "resolver": {"connect to 127.0.0.1"},
    "state": set(),
    "submission": set(),
    "auth": set(),  # its workers: test_sasl_services.py
    "keys": set(),
    "lookup": {"read /etc/passwd", "connect to 127.0.0.1", "connect to a unix socket"},
}
HARMLESS = {"change the root directory back"}


def check_confinement(text, roles=ROLES):
    seen = {}
    for line in text.splitlines():
        role, pid, what, outcome = re.fullmatch(r"(\S+) +(\d+) +(.*?)  +(\S.*)", line).groups()
        seen.setdefault(role, set()).add(what)
        worked = outcome in ("ALLOWED", "Connection refused") or (
            what.startswith("connect") and outcome == "No such file or directory")
        assert not worked or what in ALLOWED[role] | HARMLESS, line
    assert set(seen) == set(roles)
    assert all({"run a program", "trace a process", "read /etc/shadow", "fork", "become root"} <= tries
               for tries in seen.values())


def test_every_role_is_confined(stand_in):
    stand_in.start()
    check_confinement(stand_in.command("posthorn", "-c", stand_in.config, "probe").stdout)


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return dict(re.split(r":\s+", line.strip(), maxsplit=1) for line in file if ":\t" in line)


def test_what_the_kernel_says_about_the_real_roles(posthorn):
    """All of them: with a second service where people log in, inside TLS."""
    certificate, key = self_signed(posthorn.directory / "tls")
    posthorn.master_cf += (f"127.0.0.1:{free_port()} inet n - n - - smtpd\n  -o smtpd_sasl_auth_enable=yes -o smtpd_sasl_type=dovecot\n"
                           f"  -o smtpd_tls_security_level=may -o smtpd_tls_cert_file={certificate} -o smtpd_tls_key_file={key}\n")
    posthorn.start()
    text = posthorn.command("posthorn", "-c", posthorn.config, "probe").stdout
    check_confinement(text, [*ROLES, "submission", "auth", "keys"])
    for pid, role in processes.descendants(posthorn.master_pid).items():
        status = status_of(pid)
        assert status["NoNewPrivs"] == "1", role
        assert status["Seccomp"] == "2", role
        if not IS_ROOT:
            continue
        assert status["Uid"].split()[0] == str(pwd.getpwnam("postfix").pw_uid), role
        few = 0b11001011 if role == "virtual" else 0  # chown, dac_override, fowner, setgid, setuid
        assert int(status["CapPrm"], 16) | int(status["CapBnd"], 16) == few, role
        if role in ("smtpd", "lmtp", "submission", "auth", "keys"):
            root = pathlib.Path(os.readlink(f"/proc/{pid}/root"))
            assert root == posthorn.directory / "data" / "empty", role


def test_nothing_is_inherited(stand_in):
    secret = open(stand_in.directory / "secret", "w")  # noqa: SIM115 -- inherited on purpose
    os.set_inheritable(secret.fileno(), True)
    stand_in.write_configuration()
    subprocess.run([stand_in.program("postfix"), "-c", stand_in.config, "start"], close_fds=False, check=True,
                   stderr=subprocess.DEVNULL, env={**os.environ, "SECRET": "1", "TZ": "UTC"})
    secret.close()
    stand_in.master_pid = int((stand_in.queue / "pid" / "master.pid").read_text())
    if not IS_ROOT:
        pytest.skip("a process that cannot be traced shows its descriptors to root only")
    for pid, role in processes.descendants(stand_in.master_pid).items():
        open_files = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        files = {name for name in open_files if name.startswith("/")}
        assert files <= {"/dev/null", str(stand_in.log.path)}, (role, files)
        names = {text.split("=")[0] for text in pathlib.Path(f"/proc/{pid}/environ").read_text().split("\0") if text}
        assert names <= {"PATH", "MAIL_CONFIG", "MAIL_DEBUG", "MAIL_LOGTAG", "TZ", "LANG", "POSTLOG_SERVICE", "POSTLOG_HOSTNAME",
                         "DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR",
                         "ASAN_OPTIONS", "UBSAN_OPTIONS", "POSTHORN_STACK_WATCH"}, role  # the last three are the tests' own: see lib/mta.py
