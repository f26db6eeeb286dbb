# SPDX-License-Identifier: ISC
"""A policy service (SMTPD_POLICY_README) for tests. The local part of the sender names the answer; some answers are
misbehaviour. Every request is kept as it came."""
import socket
import threading
import time

LONG = b"REJECT " + b"x" * 1500

# name -> bytes to send, or a list of steps: bytes, a number of seconds to wait, "close".
ANSWERS = {
    "dunno": b"action=DUNNO\n\n",
    "ok": b"action=OK\n\n",
    "lower": b"action=permit\n\n",
    "reject": b"action=REJECT\n\n",
    "reject-text": b"action=REJECT 5.7.9 policy says no\n\n",
    "code": b"action=521 5.7.0 go away\n\n",
    "code-2xx": b"action=250 fine\n\n",
    "code-status": b"action=451 4.1.7 odd status\n\n",
    "defer": b"action=DEFER\n\n",
    "defer-text": b"action=DEFER 4.2.1 later\n\n",
    "defer-if-permit": b"action=DEFER_IF_PERMIT greylisted\n\n",
    "defer-if-permit-lower": b"action=defer_if_permit Service temporarily unavailable\n\n",
    "defer-if-reject": b"action=DEFER_IF_REJECT busy\n\n",
    "warn": b"action=WARN watch this one\n\n",
    "info": b"action=INFO just saying\n\n",
    "hold": b"action=HOLD\n\n",
    "hold-text": b"action=HOLD look at it\n\n",
    "discard": b"action=DISCARD quietly\n\n",
    "redirect": b"action=REDIRECT ben@virt.test\n\n",
    "redirect-bad": b"action=REDIRECT nobody\n\n",
    "bcc": b"action=BCC ben@virt.test\n\n",
    "filter": b"action=FILTER discard:here\n\n",
    "filter-bad": b"action=FILTER nowhere\n\n",
    "prepend": b"action=PREPEND X-Policy: seen\n\n",
    "prepend-bad": b"action=PREPEND nonsense\n\n",
    "class": b"action=strict\n\n",
    "list": b"action=permit_mynetworks, reject\n\n",
    "list-warn": b"action=warn_if_reject reject_unknown_reverse, reject\n\n",
    "table": b"action=check_sender_access hash:/etc/passwd\n\n",
    "unknown": b"action=frobnicate\n\n",
    "empty-action": b"action=\n\n",
    "blank-action": b"action=  \n\n",
    "spaces": b"action=  REJECT   spaced   text  \n\n",
    "longest": b"action=" + LONG + b"\n\n",
    "overlong": b"action=REJECT " + b"x" * 100000 + b"\n\n",
    "long-name": b"x" * 100000 + b"=y\naction=OK\n\n",
    "control": b"action=REJECT a\tb\x01c\x7fd\n\n",
    "eight-bit": "action=REJECT gr\u00fcn \xff\n\n".encode("latin-1"),
    "nul": b"action=REJECT a\0b\n\n",
    "crlf": b"action=OK\r\n\r\n",
    "other-first": b"flags=none\naction=REJECT after another\n\n",
    "other-last": b"action=REJECT before another\nflags=none\n\n",
    "two": b"action=REJECT one\naction=OK\n\n",
    "wrong-name": b"result=OK\n\n",
    "upper-name": b"ACTION=OK\n\n",
    "no-equals": b"action\n\n",
    "empty": b"\n",
    "early": b"\n\naction=OK\n\n",
    "binary": bytes(range(256)) + b"\n\n",
    "split": [b"act", 0.05, b"ion=REJ", 0.05, b"ECT in pieces\n", 0.05, b"\n"],
    "close": ["close"],
    "half": [b"action=REJ", "close"],
    "no-end": [b"action=REJECT\n", "close"],
    "silent": [5],
    "stall": [b"action=OK\n", 5],
    "reply-and-close": [b"action=REJECT then goodbye\n\n", "close"],
    "unasked": b"action=REJECT first\n\naction=OK\n\n",
    "close-once": "once",
}


class PolicyServer:
    def __init__(self, path=None, port=0):
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
            self.listener.listen(100)
        else:
            self.listener = socket.create_server(("127.0.0.1", port))
            self.port = self.listener.getsockname()[1]
        self.requests, self.seen = [], set()
        self.connections = 0
        self.answer = None  # a function from a request (dict) to bytes, instead of ANSWERS
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection, connection.makefile("rb") as stream:
                while True:
                    lines = []
                    while (line := stream.readline()) not in (b"\n", b""):
                        lines.append(line.decode("utf-8", "surrogateescape").rstrip("\n"))
                    if not line:
                        return
                    self.requests.append(lines)
                    if not self._reply(connection, dict(one.split("=", 1) for one in lines)):
                        return
        except (ConnectionResetError, BrokenPipeError):
            pass

    def _reply(self, connection, request):
        if self.answer:
            connection.sendall(self.answer(request))
            return True
        name = request["sender"].split("@")[0] or "dunno"
        steps = ANSWERS.get(name, ANSWERS["dunno"])
        if steps == "once":
            key = (name, request["policy_context"], request["instance"])
            steps = [ANSWERS["reject-text"]] if key in self.seen else ["close"]
            self.seen.add(key)
        for step in steps if isinstance(steps, list) else [steps]:
            if step == "close":
                return False
            if isinstance(step, bytes):
                connection.sendall(step)
            else:
                time.sleep(step)
        return True
