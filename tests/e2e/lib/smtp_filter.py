# SPDX-License-Identifier: ISC
"""An SMTP server for tests that stands before the queue (SMTPD_PROXY_README). What it is told decides what it does: the local
part of the sender names a step and an answer ("rcpt-550"). Every transaction is kept as it came."""
import re
import socket
import socketserver
import threading
import time

LAST = {"mail": "250 2.1.0 Filter sender ok", "rcpt": "250 2.1.5 Filter recipient ok", "data": "354 Filter go ahead",
        "dot": "250 2.0.0 Filter has it"}
ODD = {"lines": ["550-5.7.1 two", "550 5.7.1 lines"], "garbage": ["nonsense", "550 5.7.1 after nonsense"], "long": ["550 5.7.1 " + "x" * 3000],
       "endless": ["250-nonsense"] * 3000, "unending": ["x" * 40000], "mixed": ["250-fine", "550 5.7.1 not so"],
       "twice": ["250 one", "250 two"], "early": ["354 go", "250 before the end"], "toosoon": ["354 go", "552 5.3.4 Too much"],
       "bare": ["550"], "eight": ["550 5.7.1 gr\u00fcn \x01"]}


class Dialogue(socketserver.StreamRequestHandler):
    def say(self, *lines):
        self.wfile.write("".join(line + "\r\n" for line in lines).encode())

    def answer(self, step):
        """False: hang up."""
        wanted, _, what = self.mode.partition("-")
        if wanted != step:
            self.say(LAST[step])
        elif what == "close":
            return False
        elif what == "silent":
            self.server.released.wait(20)
            return False
        elif what == "slow":
            time.sleep(0.3)
            self.say(LAST[step])
        else:
            self.say(*ODD.get(what, [f"{what} {what[0]}.7.1 Filter says {what}"]))
        return True

    def content(self):
        text = []
        while True:
            line = self.rfile.readline()
            if not line:
                return b"".join(text), False
            if line == b".\r\n":
                return b"".join(text), True
            text.append(line)
            if self.mode == "content-close":
                return b"".join(text), False

    def handle(self):
        heard = []
        self.mode = ""
        with self.server.lock:
            self.server.busy += 1
        try:
            self.dialogue(heard)
        except OSError:
            heard.append("(reset)")
        finally:
            with self.server.lock:
                self.server.heard.append(heard)
                self.server.busy -= 1

    def dialogue(self, heard):
        if self.server.greeting == "close":
            return
        if self.server.greeting == "silent":
            self.server.released.wait(20)
            return
        self.say(self.server.greeting)
        while True:
            line = self.rfile.readline().decode("latin-1")
            heard.append(line.rstrip("\r\n") if line else "(closed)")
            verb = line[:4].upper().strip()
            if not line:
                return
            if verb == "EHLO":
                self.say(*self.server.hello)
            elif verb == "XFOR":
                self.say(self.server.xforward)
            elif verb == "MAIL":
                self.mode = re.search(r"<([^@>]*)", line).group(1)
                if not self.answer("mail"):
                    return
            elif verb in ("RCPT", "DATA"):
                is_other = verb == "RCPT" and "other@" in line  # one that no mode is about
                if is_other:
                    self.say(LAST["rcpt"])
                elif not self.answer(verb.lower()):
                    return
                if verb == "DATA" and self.mode.split("-")[0] != "data":
                    text, is_whole = self.content()
                    heard.extend([text, "." if is_whole else "(no dot)"])
                    if not is_whole or not self.answer("dot"):
                        return
            elif verb == "QUIT":
                self.say("221 Bye")
                return
            else:
                self.say("502 What?")


class SmtpFilter(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, greeting="220 filter ESMTP", hello=("250-filter", "250-8BITMIME", "250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"),
                 xforward="250 Ok", address=("127.0.0.1", 0)):
        self.greeting, self.hello, self.xforward = greeting, hello, xforward
        self.heard, self.busy, self.lock = [], 0, threading.Lock()
        self.released = threading.Event()
        super().__init__(address, Dialogue)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, request, client_address):
        raise

    def close(self):
        self.released.set()
        self.shutdown()
        self.server_close()


def closed_port():
    """A port where nothing listens, and that nobody else gets."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    return taken
