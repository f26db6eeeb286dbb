# SPDX-License-Identifier: ISC
"""The two servers with one configuration, each in a control group, and the sink that both deliver to."""
import mmap
import os
import pathlib
import re
import struct
import subprocess
import sys
import time

from lib import setups
from lib.mta import ROOT, Postfix, Posthorn
from lib.waiting import accepts_connections, free_port, wait_for

from .machine import CpuGroup

_PROGRAMS = Postfix.directory_of_reference / "usr/sbin"
_LIBRARIES = {"LD_LIBRARY_PATH": f"{Postfix.directory_of_reference}/usr/lib/postfix"}


class Sink:
    """Postfix's smtp-sink as an LMTP server that discards; it counts what it has taken on its standard output."""

    def __init__(self, port=None):
        self.port = port or free_port()
        self.process = subprocess.Popen([_PROGRAMS / "smtp-sink", "-L", "-c", "-u", "nobody", f"127.0.0.1:{self.port}", "1000"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env={**os.environ, **_LIBRARIES})
        os.set_blocking(self.process.stdout.fileno(), False)
        self._text = b""
        wait_for(lambda: accepts_connections("127.0.0.1", self.port), "smtp-sink")

    def count(self):
        """Messages taken since the start."""
        data = self.process.stdout.read()
        if data:
            self._text = (self._text + data)[-400:]
        found = re.findall(rb"mesg=(\d+)", self._text)
        return int(found[-1]) if found else 0

    def wait(self, count, seconds):
        """The time at which the sink had taken this many messages."""
        deadline = time.monotonic() + seconds
        while self.count() < count:
            if time.monotonic() > deadline:
                sys.exit(f"only {self.count()} of {count} messages reached the sink within {seconds} s")
            time.sleep(0.002)
        return time.monotonic()

    def stop(self):
        self.process.terminate()
        self.process.wait(5)


class FlushDelay:
    """The slow disk of flush_delay.c: built once, shared by all processes of one server."""

    def __init__(self, directory, delay_ms):
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.library = directory / "flush_delay.so"
        subprocess.run(["cc", "-D_GNU_SOURCE", "-O2", "-shared", "-fPIC", "-o", self.library,
                        ROOT / "tests/bench/flush_delay.c", "-ldl"], check=True)
        self.file = directory / f"flush-device-{os.getpid()}-{time.monotonic_ns()}"
        self.file.write_bytes(struct.pack("=qqqq", delay_ms * 1000000, 0, 0, 0))
        self.file.chmod(0o666)
        with open(self.file, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 32)
        self.environment = {"LD_PRELOAD": str(self.library), "FLUSH_DELAY_FILE": str(self.file)}

    def counts(self):
        """(calls, flushes) so far."""
        return struct.unpack("=qq", self.map[16:32])

    def check_loaded(self, pids):
        """Every process of the server must go through the library."""
        for pid in pids:
            try:
                maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
                name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:
                continue
            if str(self.library) not in maps:
                sys.exit(f"flush_delay.so is not loaded in {name}[{pid}]: the figures would be worthless")


def make(name, options, sink_port, delay=None):
    """A server, configured and started. server.cpu is its control group."""
    server = {"postfix": Postfix, "posthorn": Posthorn}[name](parent=options.directory)
    reason = server.unavailable()
    if reason:
        sys.exit(f"tests/bench/run: {reason}")
    setups.virtual_domain(server, f"lmtp:inet:127.0.0.1:{sink_port}")
    server.main["local_recipient_maps"] = ""
    server.main["alias_maps"] = ""
    if options.log == "none":
        del server.main["maillog_file"]
        server.master_cf = server.master_cf.replace("postlog ", "#postlog ")
    server.cpu = CpuGroup(name)
    server.wrapper = server.cpu.wrapper
    if delay is not None:
        server.add_environment(delay.environment)
    server.delay = delay
    return server


def stop(server):
    server.log.expect(".*")  # a benchmark is about figures; tests/e2e is about log lines
    server.finish()
    server.cpu.close()
    if server.delay is not None:
        server.delay.file.unlink()


def load(server, sessions, messages, length=4096):
    """smtp-source as a running process."""
    return subprocess.Popen([_PROGRAMS / "smtp-source", "-s", str(sessions), "-m", str(messages), "-l", str(length), "-d",
                             "-f", "carl@example.org", "-t", "anna@example.test", "-M", "client.test",
                             f"127.0.0.1:{server.port}"], stdin=subprocess.DEVNULL, env={**os.environ, **_LIBRARIES})


def run_load(server, sink, sessions, messages, seconds=600):
    """Sends and waits for the last delivery. Returns (seconds, CPU seconds)."""
    taken, cpu, started = sink.count(), server.cpu.seconds(), time.monotonic()
    source = load(server, sessions, messages)
    ended = sink.wait(taken + messages, seconds)
    if source.wait(30) != 0:
        sys.exit(f"smtp-source ended with {source.returncode}")
    time.sleep(0.3)  # the last removals belong to the messages too
    return ended - started, server.cpu.seconds() - cpu
