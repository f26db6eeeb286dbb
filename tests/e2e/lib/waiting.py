# SPDX-License-Identifier: ISC
"""Free ports, and waiting with a deadline."""
import contextlib
import os
import random
import socket
import time

_given = set()
# Below the range of ephemeral ports; files of tests that run at the same time share none.
_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = range(20000 + 12000 * _worker // _workers, 20000 + 12000 * (_worker + 1) // _workers)


def free_port(address="127.0.0.1"):
    """A TCP port on which nobody listens now, and that this test run has not given away before."""
    while True:
        port = random.choice(_ports)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((address, port))
            except OSError:
                continue
        _given.add(port)
        return port


def wait_for(condition, what, seconds=10.0, pause=0.02):
    """Calls condition() until it returns something true, and returns that. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(pause)


def allowed(seconds):
    """How long something may take that needs less than `seconds` when nobody else wants the processor: more where others take
    it from us just now, which a short loop measures."""
    began, used = time.monotonic(), time.process_time()
    while time.process_time() - used < 0.03:
        pass
    return seconds * max(1.0, 2 * (time.monotonic() - began) / 0.03 - 1)


def accepts_connections(address, port):
    with contextlib.suppress(OSError):
        with socket.create_connection((address, port), timeout=1):
            return True
    return False
