# SPDX-License-Identifier: ISC
"""An SMTP client that reads like the dialogue it holds.

    with mta.smtp() as client:
        client.say("EHLO client.test", expect=250)
        client.say("MAIL FROM:<a@example.org>", expect="250 2.1.0 Ok")
        client.say("RCPT TO:<b@example.test>", expect="250 2.1.5 Ok")
        queue_id = client.send_message("Subject: hello\n\nHello.\n")
"""
import re
import socket


class Disconnected(Exception):
    """The server closed the connection where a reply was expected."""


class SmtpClient:
    def __init__(self, port, host="127.0.0.1", timeout=20.0, expect=220, source="127.0.0.1"):
        self.transcript = []
        self.socket = socket.create_connection((host, port), timeout=timeout, source_address=(source, 0))
        self.stream = self.socket.makefile("rb")
        self.banner = self.reply(expect) if expect is not None else None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        self.close()

    def close(self):
        self.stream.close()
        self.socket.close()

    # --- one command, one reply -------------------------------------------------------

    def say(self, command, expect=None):
        """Sends one line and reads one reply. `expect`: a code, the whole reply text, a compiled pattern,
        or None for no check. A reply of several lines is one string with newlines."""
        self.send((command + "\r\n").encode("utf-8", "surrogateescape"))
        return self.reply(expect)

    def send(self, data):
        self.transcript.append("> " + repr(data)[2:-1])
        self.socket.sendall(data)

    def reply(self, expect=None):
        lines = []
        while True:
            line = self.stream.readline()
            if not line:
                self.transcript.append("< (connection closed)")
                raise Disconnected("\n".join(self.transcript))
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            self.transcript.append("< " + text)
            lines.append(text)
            if not line.endswith(b"\r\n") or len(text) < 3 or text[3:4] != "-":
                break
        reply = "\n".join(lines)
        if expect is not None and not _matches(reply, expect):
            raise AssertionError(f"expected {expect!r} in this dialogue:\n  " + "\n  ".join(self.transcript))
        return reply

    def expect_close(self):
        """The server must close now, without another word."""
        try:
            rest = self.stream.read()
        except ConnectionResetError:
            return  # closed while something of ours was still unread
        assert rest == b"", f"unexpected: {rest!r} after\n  " + "\n  ".join(self.transcript)

    # --- whole steps ----------------------------------------------------------------

    def hello(self, name="client.test"):
        return self.say(f"EHLO {name}", expect=250)

    def envelope(self, sender, *recipients):
        self.say(f"MAIL FROM:<{sender}>", expect="250 2.1.0 Ok")
        for recipient in recipients:
            self.say(f"RCPT TO:<{recipient}>", expect="250 2.1.5 Ok")

    def send_message(self, text, expect=None):
        """DATA with this text (lines end in \\n here). Returns the queue id of the 250."""
        self.say("DATA", expect="354 End data with <CR><LF>.<CR><LF>")
        lines = text.split("\n")
        if lines and lines[-1] == "":
            lines.pop()
        stuffed = "".join(("." if line.startswith(".") else "") + line + "\r\n" for line in lines)
        self.transcript.append(f"> ({len(stuffed)} bytes of message, then a dot)")
        self.socket.sendall(stuffed.encode("utf-8", "surrogateescape") + b".\r\n")
        if expect is not None:
            return self.reply(expect)
        reply = self.reply(re.compile(r"250 2\.0\.0 Ok: queued as (\w+)"))
        return reply.rsplit(" ", 1)[1]


def _matches(reply, expect):
    if isinstance(expect, int):
        return reply.startswith(str(expect)) and reply[3:4] in (" ", "-", "")
    if isinstance(expect, re.Pattern):
        return expect.fullmatch(reply) is not None
    return reply == expect


def send(port, sender, recipients, text, **options):
    """A whole session; returns the queue id."""
    if isinstance(recipients, str):
        recipients = [recipients]
    with SmtpClient(port, **options) as client:
        client.hello()
        client.envelope(sender, *recipients)
        queue_id = client.send_message(text)
        client.say("QUIT", expect="221 2.0.0 Bye")
    return queue_id
