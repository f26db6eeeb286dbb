# SPDX-License-Identifier: ISC
"""An LMTP server that does what a test tells it to, good or bad.

    sink = LmtpSink()                                   # accepts everything
    sink.on_rcpt = lambda address: "550 5.1.1 No such user"
    sink.on_end_of_data = lambda message, recipient: "452 4.2.2 Mailbox full"
    sink.script = {"DATA": b"354 go\\r\\n", "DATA": None}  # raw bytes; None closes the connection
"""
import dataclasses
import os
import socketserver
import threading

from .waiting import free_port


@dataclasses.dataclass
class Message:
    sender: str
    recipients: list
    content: bytes
    session: int = 0
    commands: list = dataclasses.field(default_factory=list)


class LmtpSink:
    def __init__(self, path=None, extensions=("PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SIZE 50000000", "DSN")):
        self.messages = []
        self.sessions = 0
        self.commands = []
        self.extensions = extensions
        self.greeting = "220 sink.test LMTP ready"
        self.on_mail = lambda address: "250 2.1.0 OK"
        self.on_rcpt = lambda address: "250 2.1.5 OK"
        self.on_end_of_data = lambda message, recipient: f"250 2.0.0 <{recipient}> saved"
        self.script = {}
        self.lock = threading.Lock()
        self.path = path
        sink = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                try:
                    _Session(sink, self.rfile, self.wfile).run()
                except (OSError, ValueError):
                    pass  # the client went away, which tests do on purpose

        if path is None:
            self.port = free_port()
            self.server = _TcpServer(("127.0.0.1", self.port), Handler)
            self.next_hop = f"inet:127.0.0.1:{self.port}"
        else:
            if os.path.exists(path):
                os.unlink(path)
            self.server = _UnixServer(str(path), Handler)
            os.chmod(path, 0o666)
            self.next_hop = f"unix:{path}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        if self.path and os.path.exists(self.path):
            os.unlink(self.path)


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


class _Session:
    def __init__(self, sink, reader, writer):
        self.sink, self.reader, self.writer = sink, reader, writer
        with sink.lock:
            sink.sessions += 1
            self.number = sink.sessions
        self.sender, self.recipients, self.commands = "", [], []

    def reply(self, text):
        self.writer.write(text.encode() + b"\r\n")

    def scripted(self, verb):
        """True when the test replaced what this verb does."""
        if verb not in self.sink.script:
            return False
        action = self.sink.script[verb]
        if callable(action):
            action = action(self)
        if action is None:
            raise OSError("closed by script")
        self.writer.write(action)
        return True

    def run(self):
        if not self.scripted("CONNECT"):
            self.reply(self.sink.greeting)
        while True:
            line = self.reader.readline(4096)
            if not line:
                return
            command = line.decode(errors="replace").rstrip("\r\n")
            verb = command.split(" ")[0].upper()
            self.commands.append(command)
            with self.sink.lock:
                self.sink.commands.append(command)
            if self.scripted(verb):
                continue
            if verb == "QUIT":
                self.reply("221 2.0.0 Bye")
                return
            self.dispatch(verb, command)

    def dispatch(self, verb, command):
        if verb == "LHLO":
            lines = ["sink.test", *self.sink.extensions]
            for line in lines[:-1]:
                self.reply("250-" + line)
            self.reply("250 " + lines[-1])
        elif verb == "MAIL":
            self.sender, self.recipients = _address(command), []
            self.reply(self.sink.on_mail(self.sender))
        elif verb == "RCPT":
            answer = self.sink.on_rcpt(_address(command))
            if answer.startswith("2"):
                self.recipients.append(_address(command))
            self.reply(answer)
        elif verb == "DATA":
            self.data()
        elif verb in ("RSET", "NOOP"):
            self.reply("250 2.0.0 OK")
        else:
            self.reply("502 5.5.2 Unknown command")

    def data(self):
        if not self.recipients:
            self.reply("503 5.5.1 No recipients")
            return
        self.reply("354 OK")
        lines = []
        while True:
            line = self.reader.readline(1 << 20)
            if not line:
                return
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        if self.scripted("."):
            return
        message = Message(self.sender, list(self.recipients), b"".join(lines), self.number, list(self.commands))
        answers = [self.sink.on_end_of_data(message, recipient) for recipient in self.recipients]
        if any(answer.startswith("2") for answer in answers):
            with self.sink.lock:
                self.sink.messages.append(message)
        for answer in answers:
            self.reply(answer)


def _address(command):
    return command[command.index("<") + 1:command.index(">")]
