# SPDX-License-Identifier: ISC
"""A server for socketmap: and tcp: tables; answer(connection number, what was asked) gives the bytes to say."""
import os
import socket
import threading


class MapServer:
    def __init__(self, answer, path=None, netstrings=True):
        self.answer = answer
        self.netstrings = netstrings
        self.asked = []
        self.connections = 0
        if path is None:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
        else:
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(str(path))
            os.chmod(path, 0o666)
            self.listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(client, self.connections), daemon=True).start()

    def _question(self, stream):
        if not self.netstrings:
            return stream.readline().decode().rstrip("\n")
        digits = b""
        while (byte := stream.read(1)) not in (b":", b""):
            digits += byte
        if not digits:
            return ""
        text = stream.read(int(digits)).decode()
        assert stream.read(1) == b","
        return text

    def _serve(self, client, number):
        with client, client.makefile("rb") as stream:
            while question := self._question(stream):
                self.asked.append(question)
                reply = self.answer(number, question)
                if reply is None:
                    return
                try:
                    client.sendall(reply)
                except OSError:
                    return

    def close(self):
        self.listener.close()


def netstring(text):
    data = text if isinstance(text, bytes) else text.encode()
    return b"%d:%s," % (len(data), data)
