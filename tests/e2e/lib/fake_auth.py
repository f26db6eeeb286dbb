# SPDX-License-Identifier: ISC
"""Authentication services that misbehave: a Dovecot and a saslauthd in threads of the test."""
import base64
import os
import pathlib
import pwd
import re
import socket
import struct
import threading
import time

HANDSHAKE = b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nMECH\tANONYMOUS\tanonymous\nSPID\t1\nCUID\t2\nCOOKIE\tx\nDONE\n"


class UnixServer:
    def __init__(self, path, owner="postfix"):
        self.path = pathlib.Path(path)
        self.owner = owner
        self.connections = []
        self.listener = None

    def start(self):
        if self.path.is_socket():
            self.path.unlink()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        os.chown(self.path, pwd.getpwnam(self.owner).pw_uid, -1)
        self.listener.listen(100)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    def stop(self):
        if self.listener is not None:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.connections.clear()

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            self.serve(connection)
        except OSError:
            pass
        connection.close()


class FakeDovecot(UnixServer):
    """What it answers depends on the login name: `answers[name](connection, id)`; "good" logs in with any password."""

    handshake = HANDSHAKE

    def __init__(self, path, owner="postfix"):
        super().__init__(path, owner)
        self.answers = {}
        self.lines = []

    def serve(self, connection):
        connection.sendall(self.handshake)
        for line in connection.makefile("rb"):
            self.lines.append(line)
            match = re.match(rb"(AUTH|CONT)\t(\d+)(?:\t(.*))?\n", line)
            if not match:
                continue
            number = match.group(2).decode()
            response = re.search(rb"resp=(\S*)", line)
            if not response:
                connection.sendall(f"CONT\t{number}\t\n".encode())
                continue
            name = base64.b64decode(response.group(1)).split(b"\0")[1].decode()
            action = self.answers.get(name, lambda c, n: c.sendall(f"OK\t{n}\tuser={name}\n".encode()))
            action(connection, number)


class FakeSaslauthd(UnixServer):
    """"good" logs in with any password; "slow" is told so after `delay` seconds; everybody else is refused."""

    def __init__(self, path, owner="postfix", delay=3.0):
        super().__init__(path, owner)
        self.delay = delay
        self.waiting = 0

    @staticmethod
    def _read(connection, count):
        data = b""
        while len(data) < count:
            more = connection.recv(count - len(data))
            if not more:
                raise OSError("closed")
            data += more
        return data

    def serve(self, connection):
        fields = []
        for _ in range(4):
            length = struct.unpack("!H", self._read(connection, 2))[0]
            fields.append(self._read(connection, length).decode())
        if fields[0] == "slow":
            self.waiting += 1
            time.sleep(self.delay)
        answer = b"OK" if fields[0] in ("good", "slow") else b"NO"
        connection.sendall(struct.pack("!H", len(answer)) + answer)
