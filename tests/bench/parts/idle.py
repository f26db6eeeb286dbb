# SPDX-License-Identifier: ISC
"""What an idle connection costs: many clients that have said EHLO, and one message beside them."""
import pathlib
import resource
import selectors
import socket
import statistics
import time

from lib import processes
from lib.smtp import send

from . import servers


def measure(names, options):
    print(f"\nIdle connections past EHLO, and a message beside them\n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (options.connections + 1000, options.connections + 1000))
    results = {}
    for name in names:
        # Postfix has one process a connection and refuses more than its process limit.
        count = options.connections if name == "posthorn" else 95
        results[name] = _one(name, options, count)
        print("{name:<9} {connections:>6} connections: {process_kib:.1f} KiB each in its processes, {kernel_kib:.1f} KiB "
              "each in the kernel (both ends); in {smtpd} smtpd; a message takes {message_ms:.1f} ms "
              "(before: {before_ms:.1f} ms)".format(name=name, **results[name]))
    return results


def _one(name, options, count):
    sink = servers.Sink()
    server = servers.make(name, options, sink.port)
    try:
        server.start()
        before_ms = _message_ms(server)
        time.sleep(1)
        memory, slab = _memory(server), _slab_kib()
        clients = _connect(server.port, count)
        time.sleep(2)
        result = {"connections": count, "process_kib": (_memory(server) - memory) / count,
                  "kernel_kib": (_slab_kib() - slab) / count, "smtpd": len(server.pids("smtpd")),
                  "message_ms": _message_ms(server), "before_ms": before_ms}
        for client in clients:
            client.close()
        return result
    finally:
        servers.stop(server)
        sink.stop()


def _memory(server):
    return sum(processes.memory_kib(pid) for pid in [server.master_pid, *server.pids()])


def _slab_kib():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Slab:"):
            return int(line.split()[1])
    return 0


def _message_ms(server):
    """Connect to QUIT, the median of five."""
    times = []
    for _ in range(5):
        started = time.monotonic()
        send(server.port, "carl@example.org", "anna@example.test", "Subject: beside\n\nHello.\n")
        times.append((time.monotonic() - started) * 1000)
    return statistics.median(times)


def _connect(port, count):
    """Opens `count` sessions, 200 at a time, each through banner and EHLO to its whole answer."""
    clients = []
    while len(clients) < count:
        batch = [_Client(port, len(clients) + index) for index in range(min(200, count - len(clients)))]
        _run(batch)
        clients.extend(client.socket for client in batch)
    return clients


class _Client:
    def __init__(self, port, number):
        # Several source addresses: one has not enough ports for everything.
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30,
                                               source_address=(f"127.0.1.{1 + number % 200}", 0))
        self.text, self.said_hello = b"", False

    def done(self):
        """Reads what is there; True after the last line of the answer to EHLO."""
        data = self.socket.recv(4096)
        if not data:
            raise AssertionError(f"closed after {self.text!r}")
        self.text += data
        last = self.text.rsplit(b"\r\n", 2)[-2] if self.text.endswith(b"\r\n") else b"   -"
        if last[3:4] == b"-":
            return False
        if self.said_hello:
            if not last.startswith(b"250"):
                raise AssertionError(f"refused: {self.text!r}")
            return True
        if not last.startswith(b"220"):
            raise AssertionError(f"refused: {self.text!r}")
        self.said_hello, self.text = True, b""
        self.socket.sendall(b"EHLO idle.test\r\n")
        return False


def _run(batch):
    with selectors.DefaultSelector() as selector:
        for client in batch:
            selector.register(client.socket, selectors.EVENT_READ, client)
        waiting = len(batch)
        while waiting:
            ready = selector.select(timeout=30)
            if not ready:
                raise AssertionError(f"{waiting} connections got no answer to EHLO within 30 s")
            for key, _ in ready:
                if key.data.done():
                    selector.unregister(key.fileobj)
                    waiting -= 1
