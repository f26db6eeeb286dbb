# SPDX-License-Identifier: ISC
"""A network namespace of one test: loopback with the clients' addresses, port 25 and port 53 free, nothing beyond."""
import contextlib
import ctypes
import os
import pathlib
import subprocess

CLONE_NEWNET = 0x40000000
_made = 0


def _enter(handle):
    if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def namespaces_unavailable():
    if os.geteuid() != 0:
        return "needs root"
    if subprocess.run(["ip", "netns", "list"], capture_output=True, check=False).returncode != 0:
        return "no network namespaces here"
    return None


@contextlib.contextmanager
def namespace(addresses=("192.0.2.0/24",), options="timeout:1 attempts:1"):
    """This thread, and what it starts, in a network of its own. Start servers with mta.wrapper = ["ip", "netns", "exec", name]."""
    global _made
    _made += 1
    name = f"posthorn-{os.getpid()}-{_made}"
    settings = pathlib.Path("/etc/netns") / name
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        settings.mkdir(parents=True)
        (settings / "resolv.conf").write_text(f"nameserver 127.0.0.1\noptions {options}\n")
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        for address in addresses:
            subprocess.run(["ip", "-n", name, "address", "add", address, "dev", "lo", *(["nodad"] if ":" in address else [])],
                           check=True)
        with open("/proc/thread-self/ns/net", "rb") as home, open(f"/run/netns/{name}", "rb") as inside:
            _enter(inside)
            try:
                yield name
            finally:
                _enter(home)
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False)
        (settings / "resolv.conf").unlink(missing_ok=True)
        settings.rmdir()
