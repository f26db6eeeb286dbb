# SPDX-License-Identifier: ISC
"""What later releases of the reference say in other words. We follow Debian 12's, 3.7; where the tests run beside a newer one
(Debian 13 has 3.10), its lines are read as 3.7 would have written them. Beside 3.7 nothing here does anything."""
import functools
import os
import re
import subprocess

from .mta import Postfix

FOLLOWED = (3, 7)

# (first release that says so, what it says, what 3.7 said; None: it said nothing)
CHANGES = (
    ((3, 9), r'warning: support for restriction "permit_mx_backup" will be removed', None),
    ((3, 10), r"cleanup(\[\d+\])?: \w+: removed \((canceled|discarded)\)$", None),
    ((3, 10), r"\b(NOQUEUE|ID|[0-9A-F]{6,}|[0-9B-Zb-z]{10,}): (lost connection|timeout|too many errors|improper command) ", r"\2 "),
    ((3, 8), r"key-exchange \S+", "key-exchange GROUP"),  # which groups are offered first is OpenSSL's and the release's choice
    ((3, 8), r"\bcert fingerprint=(\S+), pkey fingerprint=", r"fingerprint=\1, pkey_fingerprint="),
    ((3, 8), r"(reject: .* helo=<[^>]*>) sasl_method=\S+ sasl_username=.*", r"\1"),
    ((3, 8), r"(Invalid authentication mechanism): '[^']*'", r"\1"),
    ((3, 8), r"name must be local and have no domain", "name must be local"),
    ((3, 8), r"no 'map create' support for this type: (\w+)", r"unsupported dictionary type: \1 does not support bulk-mode creation."),
)

# Dialogues of tests/e2e/*_dialogues.py in which a later release behaves otherwise: HELP is a command, a line that is no
# command counts as an unknown one, a line ends at its first NUL before its characters are looked at, AUTH has a longer limit.
OTHERWISE = {"ehlo with odd bytes", "unknown verbs", "empty command", "tls hello in the clear", "control bytes in addresses", "utf8",
             "long-dovecot", "long-cyrus"}

# The policy protocol's attributes that came later.
LATER_ATTRIBUTES = ("compatibility_level", "mail_version")


@functools.cache
def release():
    """(3, 7): the reference's."""
    top = Postfix.directory_of_reference
    done = subprocess.run([top / "usr/sbin/postconf", "-dh", "mail_version"], capture_output=True, text=True, check=False,
                          env={**os.environ, "LD_LIBRARY_PATH": str(top / "usr/lib/postfix"), "MAIL_CONFIG": "/nonexistent"})
    numbers = re.match(r"(\d+)\.(\d+)", done.stdout)
    return (int(numbers.group(1)), int(numbers.group(2))) if numbers else FOLLOWED


def as_followed(text):
    """This line of either server as it would be beside 3.7, or None."""
    if release() == FOLLOWED or text is None:
        return text
    for since, pattern, words in CHANGES:
        if release() >= since:
            if words is None and re.search(pattern, text):
                return None
            text = re.sub(pattern, words or "", text)
    return text


def comparable(cases):
    """These dialogues (the name first) without those in which the reference behaves otherwise than the followed release."""
    return cases if release() == FOLLOWED else [case for case in cases if case[0] not in OTHERWISE]


def lines_as_followed(lines):
    return [line for line in map(as_followed, lines) if line]
