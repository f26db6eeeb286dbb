# SPDX-License-Identifier: ISC
"""What this machine is, and counting the CPU time of a server with a control group (version 2 or 1)."""
import itertools
import os
import pathlib
import platform
import subprocess
import sys

_V1 = pathlib.Path("/sys/fs/cgroup/cpuacct")
_V2 = pathlib.Path("/sys/fs/cgroup")


def check():
    if os.geteuid() != 0:
        sys.exit("tests/bench/run: only as root (Postfix and control groups need it)")


def describe(directory):
    pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
    filesystem = subprocess.run(["findmnt", "-n", "-o", "FSTYPE,SOURCE", "-T", directory], capture_output=True,
                                text=True, check=False).stdout.strip()
    return f"{os.cpu_count()} processors, Linux {platform.release()}, spools on {filesystem}"


class CpuGroup:
    """All processes started through `wrapper` and all their children, ended ones included."""

    _serial = itertools.count()

    def __init__(self, name):
        v2 = not (_V1 / "cpuacct.usage").exists()
        self.path = (_V2 if v2 else _V1) / f"posthorn-bench-{os.getpid()}-{next(self._serial)}-{name}"
        self.path.mkdir()
        self.v2 = v2
        self.wrapper = ["/bin/sh", "-c", f'echo $$ >{self.path}/cgroup.procs && exec "$@"', "sh"]

    def seconds(self):
        """CPU time used so far, user and system."""
        if not self.v2:
            return int((self.path / "cpuacct.usage").read_text()) / 1e9
        for line in (self.path / "cpu.stat").read_text().splitlines():
            if line.startswith("usage_usec "):
                return int(line.split()[1]) / 1e6
        raise AssertionError("no usage_usec in cpu.stat")

    def pids(self):
        return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]

    def close(self):
        try:
            self.path.rmdir()
        except OSError:
            pass  # a process is still ending; an empty group left behind does no harm
