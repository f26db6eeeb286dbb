# SPDX-License-Identifier: ISC
"""The mail log of one server: waiting for lines, and complaining about lines that nobody expected."""
import re

from .waiting import wait_for

# What must not appear unless a test says so, in any of the server's output.
_COMPLAINT = re.compile(
    r": (?:warning|error|fatal|panic): |AddressSanitizer|LeakSanitizer|runtime error:|"
    r"Assertion .* failed|stack smashing|double free|corrupted")


class MailLog:
    def __init__(self, path):
        self.path = path
        self.expected = []

    def text(self):
        try:
            return self.path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def lines(self, pattern=""):
        return [line for line in self.text().splitlines() if re.search(pattern, line)]

    def wait(self, pattern, count=1, seconds=10.0):
        """Waits until at least `count` lines match; returns the match of the last of them."""
        wait_for(lambda: len(self.lines(pattern)) >= count,
                 f"log line {count} like {pattern!r} in\n{_Tail(self)}", seconds)
        return re.search(pattern, self.lines(pattern)[-1])

    def is_idle(self, sessions):
        """Have more than so many SMTP sessions ended, and none is open?"""
        begun, ended = (len(self.lines(rf"smtpd\[\d+\]: {word} from")) for word in ("connect", "disconnect"))
        return begun == ended and ended > sessions

    def expect(self, *patterns):
        """Complaints that match one of these are what this test is about."""
        self.expected.extend(re.compile(pattern) for pattern in patterns)

    def unexpected(self, more_text=""):
        return [line for line in (self.text() + more_text).splitlines()
                if _COMPLAINT.search(line) and not any(p.search(line) for p in self.expected)]


class _Tail:
    """Rendered only when the wait fails."""

    def __init__(self, log):
        self.log = log

    def __format__(self, spec):
        return str(self)

    def __str__(self):
        return "\n".join(self.log.text().splitlines()[-40:])
