# SPDX-License-Identifier: ISC
"""spawn(8) services of master.cf: programs started by the supervisor, one for each connection."""
import concurrent.futures
import grp
import os
import pathlib
import pwd
import shutil
import socket
import stat
import time

import pytest

from lib import processes
from lib.mta import IS_ROOT, Posthorn
from lib.waiting import free_port, wait_for

pytestmark = pytest.mark.skipif(not IS_ROOT or Posthorn.unavailable() is not None, reason="needs root and an installed build")

# Says who and where it is, then repeats lines until the connection ends; "exit N" and "sleep" do what they say.
SCRIPT = """#!/bin/sh
echo "id $(id -u) $(id -g) $(id -G)"
echo "directory $(pwd)"
echo "arguments $#: $*"
echo "environment $(env | grep -v -e ^PWD= -e ^OLDPWD= -e ^_= -e ^SHLVL= | sort | tr '\\n' ' ')"
echo "descriptors $(ls /proc/$$/fd | tr '\\n' ' ')"
echo "to standard error" >&2
echo "session $(cut -d' ' -f6 /proc/$$/stat) $$"
while read -r word argument; do
    case "$word" in
    exit) exit "$argument" ;;
    crash) kill -SEGV $$ ;;
    stubborn) trap '' TERM; echo stubborn ;;
    sleep) sleep 1000 & wait ;;
    *) echo "$word $argument" ;;
    esac
done
"""


class Client:
    def __init__(self, address, timeout=10):
        if isinstance(address, int):
            self.socket = socket.create_connection(("127.0.0.1", address), timeout=timeout)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(str(address))
        self.stream = self.socket.makefile("rwb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def line(self):
        return self.stream.readline().decode().rstrip("\n")

    def hello(self):
        return dict(self.line().split(" ", 1) for _ in range(7))

    def say(self, line):
        self.stream.write(line.encode() + b"\n")
        self.stream.flush()


@pytest.fixture
def server():
    server = Posthorn()
    server.script = server.file("program", SCRIPT)
    server.script.chmod(0o755)
    server.main["smtpd_relay_restrictions"] = "reject_unauth_destination"
    yield server
    server.finish()


def add(server, *lines):
    server.master_cf += "".join(line.replace("SCRIPT", str(server.script)) + "\n" for line in lines)


@pytest.mark.core
def test_what_a_program_finds(server):
    nobody, daemon = pwd.getpwnam("nobody"), grp.getgrnam("daemon")
    port = free_port()
    server.main["export_environment"] = "TZ LANG=C.UTF-8 MAIL_CONFIG"
    add(server, "echo unix - n n - 0 spawn user=nobody argv=SCRIPT one two three -o x=y",
        f"127.0.0.1:{port} inet n n n - 0 spawn user=nobody:daemon argv=SCRIPT",
        "open unix n n n - 0 spawn user=nobody argv=SCRIPT")
    server.start()
    with Client(server.queue / "private" / "echo") as client:
        found = client.hello()
        assert found["id"] == f"{nobody.pw_uid} {nobody.pw_gid} {nobody.pw_gid}", "no other groups"
        assert found["directory"] == str(server.queue)
        assert found["arguments"] == "5: one two three -o x=y"
        assert found["environment"].split() == ["LANG=C.UTF-8", f"MAIL_CONFIG={server.config}", "PATH=/usr/bin:/bin"]
        assert set(found["descriptors"].split()) <= {"0", "1", "2", "3", "10"}, "3 and 10 are the shell's own"
        assert found["to"] == "standard error"
        session, pid = found["session"].split()
        assert session == pid
        client.say("hello")
        assert client.line() == "hello "
    wait_for(lambda: not processes.is_running(int(pid)), "its end with the connection")
    with Client(port) as client:
        assert client.hello()["id"] == f"{nobody.pw_uid} {daemon.gr_gid} {daemon.gr_gid}"
    with Client(server.queue / "public" / "open") as client:
        client.hello()
    info = os.stat(server.queue / "private" / "echo")
    assert stat.S_ISSOCK(info.st_mode) and stat.S_IMODE(info.st_mode) == 0o666
    assert stat.S_IMODE(os.stat(server.queue / "private").st_mode) == 0o700, "only the mail system gets at it"


BUSYBOX = "/bin/busybox"


@pytest.mark.skipif(not pathlib.Path(BUSYBOX).exists(), reason="busybox-static is not installed")
def test_a_chroot_column_is_obeyed(server):
    """A static program inside the queue directory finds itself there, and nothing of the world outside."""
    script = f"{BUSYBOX} id -u; pwd; {BUSYBOX} ls -d / /etc /home /proc {server.config}; {BUSYBOX} cat; exit 0"
    add(server, f"jail unix - n y - 0 spawn user=nobody argv={BUSYBOX} sh -c {{ {script} }}",
        f"free unix - n n - 0 spawn user=nobody argv={BUSYBOX} sh -c {{ {script} }}")
    server.start()
    (server.queue / "bin").mkdir()
    shutil.copy(BUSYBOX, server.queue / "bin" / "busybox")
    said = {}
    for name in ("jail", "free"):
        with Client(server.queue / "private" / name) as client:
            client.say("the end")
            lines = []
            while (line := client.line()) not in ("the end", ""):
                if not line.startswith("ls: "): # standard error is the connection, too
                    lines.append(line)
            assert line == "the end"
        said[name] = lines
    nobody = str(pwd.getpwnam("nobody").pw_uid)
    assert said["jail"] == [nobody, "/", "/"]
    assert said["free"] == [nobody, str(server.queue), "/", "/etc", "/home", "/proc", str(server.config)]


def test_a_program_is_looked_for_inside_its_chroot(server):
    add(server, "jail unix - n y - 0 spawn user=nobody argv=/bin/sh")
    server.start()
    server.log.expect("command /bin/sh cannot be executed")
    with Client(server.queue / "private" / "jail") as client:
        assert client.line() == ""
    server.log.wait(r"postfix/spawn\[\d+\]: warning: command /bin/sh cannot be executed")


@pytest.mark.parametrize("arguments, problem", [
    ("user=root argv=/bin/cat", "request to use privileged user id of root"),
    ("user=postfix argv=/bin/cat", "request to use mail system owner user id of postfix"),
    ("user=nobody:root argv=/bin/cat", "request to use privileged group id of nobody"),
    ("user=nobody:postfix argv=/bin/cat", "request to use mail system owner group id of nobody"),
    ("user=no-such-user argv=/bin/cat", "unknown user name: no-such-user"),
    ("user=nobody:no-such-group argv=/bin/cat", "unknown group name: no-such-group"),
    ("argv=/bin/cat", "missing user= attribute"),
    ("user=nobody", "missing argv= attribute"),
    ("user=nobody flags=R argv=/bin/cat", "unknown attribute name: flags=R"),
])
def test_a_service_that_cannot_run_is_named_and_left_out(server, arguments, problem):
    add(server, f"bad unix - n n - 0 spawn {arguments}", "good unix - n n - 0 spawn user=nobody argv=SCRIPT")
    server.log.expect(r"service bad: .*: not started")
    server.start()
    assert server.log.lines(rf"warning: {server.config}/master\.cf, line \d+: service bad: {problem}: not started")
    assert not (server.queue / "private" / "bad").exists()
    with Client(server.queue / "private" / "good") as client:
        client.hello()


def test_a_time_limit_ends_the_whole_group(server):
    server.main["echo_time_limit"] = "1s"
    add(server, "echo unix - n n - 0 spawn user=nobody argv=SCRIPT")
    server.log.expect("Command time limit exceeded", "killed by signal 9")
    server.start()
    with Client(server.queue / "private" / "echo") as client:
        pid = int(client.hello()["session"].split()[1])
        client.say("sleep")
        wait_for(lambda: processes.descendants(pid), "its child")
        family = [pid, *processes.descendants(pid)]
        assert client.line() == "", "the connection ends"
        wait_for(lambda: not any(processes.is_running(one) for one in family), "the end of all of them")
    assert server.log.wait(r'postfix/spawn\[\d+\]: warning: Command time limit exceeded: "(\S+)"').group(1) == str(server.script)
    server.log.wait(r"postfix/spawn\[\d+\]: warning: command \S+ killed by signal 9")


def test_the_process_limit_makes_others_wait(server):
    add(server, "echo unix - n n - 2 spawn user=nobody argv=SCRIPT")
    server.log.expect("has reached its process limit", "to avoid this condition", "killed by signal 13")
    server.start()
    path = server.queue / "private" / "echo"
    with Client(path) as one, Client(path) as two, Client(path, timeout=0.5) as three:
        one.hello(), two.hello()
        with pytest.raises(TimeoutError):
            three.line()
        one.__exit__()
        with Client(path) as four:
            two.__exit__()
            four.hello()
    server.log.wait(r'master\[\d+\]: warning: service "echo" \(unix:private/echo\) has reached its process limit "2"')


@pytest.mark.core
def test_many_connections_one_after_another_and_at_once(server):
    add(server, "echo unix - n n - 0 spawn user=nobody argv=/bin/cat")
    server.start()

    def talk(number):
        with Client(server.queue / "private" / "echo", timeout=30) as client:
            client.say(f"number {number}")
            return client.line() == f"number {number}"
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        assert all(pool.map(talk, range(200)))
    wait_for(lambda: not server.pids("cat"), "their end")


def test_exit_statuses_are_logged_and_crashes_slow_it_down(server):
    add(server, "echo unix - n n - 0 spawn user=nobody argv=SCRIPT")
    server.log.expect("exit status 3", "killed by signal 11")
    server.start()
    path = server.queue / "private" / "echo"
    for words in ["exit 0", "exit 3"]:
        with Client(path) as client:
            client.hello()
            client.say(words)
            assert client.line() == ""
    server.log.wait(r"postfix/spawn\[\d+\]: warning: command \S+/program exit status 3")
    began = time.monotonic()
    for _ in range(5):
        with Client(path) as client:
            client.hello()
            client.say("crash")
            client.line()
    server.log.wait(r"command \S+/program killed by signal 11", count=5)
    assert 0.25 < time.monotonic() - began < 5, "up to 0, 0.1, 0.2, 0.4 seconds between them"
    with Client(path) as client:
        client.hello()


@pytest.mark.core
def test_reload_and_stop(server):
    add(server, "kept unix - n n - 0 spawn user=nobody argv=SCRIPT old", "gone unix - n n - 0 spawn user=nobody argv=SCRIPT")
    server.log.expect("killed by signal 9") # the stubborn one
    server.start()
    with Client(server.queue / "private" / "kept") as kept, Client(server.queue / "private" / "gone") as gone:
        assert kept.hello()["arguments"] == "1: old"
        gone.hello()
        server.master_cf = server.master_cf.replace("SCRIPT old", "SCRIPT new").replace(f"{server.script} old", f"{server.script} new")
        server.master_cf = "".join(line for line in server.master_cf.splitlines(True) if not line.startswith("gone"))
        server.reload()
        for client in (kept, gone): # what runs goes on
            client.say("still there")
            assert client.line() == "still there"
        wait_for(lambda: not (server.queue / "private" / "gone").exists(), "the end of its socket")
        with Client(server.queue / "private" / "kept") as fresh:
            assert fresh.hello()["arguments"] == "1: new"
            fresh.say("stubborn") # also one that does not want to end
            assert fresh.line() == "stubborn"
            family = server.pids("program")
            assert len(family) == 3
            began = time.monotonic()
            server.stop()
            assert time.monotonic() - began < 6
    assert not any(processes.is_running(pid) for pid in family)


def test_a_command_that_is_not_there(server):
    add(server, "none unix - n n - 0 spawn user=nobody argv=/no/such/program", "bare unix - n n - 0 spawn user=nobody argv=cat")
    server.log.expect("command /no/such/program cannot be executed")
    server.start()
    with Client(server.queue / "private" / "none") as client:
        assert client.line() == ""
    server.log.wait(r"postfix/spawn\[\d+\]: warning: command /no/such/program cannot be executed")
    with Client(server.queue / "private" / "bare") as client:
        client.say("found")
        assert client.line() == "found"
    assert pathlib.Path("/proc", str(server.master_pid)).exists()
