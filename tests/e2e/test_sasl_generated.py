# SPDX-License-Identifier: ISC
"""AUTH exchanges that a generator made up, with Posthorn and Debian's Postfix, which ask the same Dovecot and the same sasldb: the same
replies, the same kinds of log lines. By hand, for longer: SASL_DIALOGUES=500 SASL_SEED=7 pytest test_sasl_generated.py"""
import os
import random
import re

import pytest
from lib.sasl import b64, plain
from lib.smtp import SmtpClient
from test_sasl import both  # noqa: F401 (a fixture)

COUNT, SEED = int(os.environ.get("SASL_DIALOGUES", "20")), int(os.environ.get("SASL_SEED", "1"))


def response(rng):
    """What a client may say where base64 is wanted."""
    good = plain("anna", "secret")
    return rng.choice([good, plain("anna", "wrong"), plain("nobody", "x"), b64("anna"), b64("secret"), "*", "", "====", "A", "AA", "AAA=",
                       good[:-1], good + "A", good + "!", "@@@@", b64("\0"), b64("\0\0"), b64("\0\0\0"), b64("x" * rng.choice([1, 255, 1100, 3000])),
                       plain("anna", ""), plain("", "secret"), "A" * rng.choice([12284, 12292, 20000])])


def session(rng, service):
    """Commands; ("AUTH", command, responses) goes on while the server asks."""
    steps = ["EHLO c.example"] if rng.random() < 0.9 else ["HELO c.example"]
    for _ in range(rng.randint(2, 7)):
        kind = rng.random()
        if kind < 0.15:
            steps.append(rng.choice(["NOOP", "RSET", "EHLO again.example", "MAIL FROM:<a@example.org>", "AUTH", "AUTH PLAIN a b", "AUTH FOO",
                                     "VRFY x", "RCPT TO:<anna@virt.example>"]))
            continue
        mechanism = rng.choice(["PLAIN", "LOGIN", "plain", "Login", "CRAM-MD5", "SCRAM-SHA-1"])
        initial = rng.choice([""] * 3 + [" " + (response(rng) or "AAAA")]) if mechanism.lower() in ("plain", "login") else ""
        if initial.strip().startswith("*") or len(initial) > 2000:
            initial = ""
        steps.append(("AUTH", f"AUTH {mechanism}{initial}", [response(rng) for _ in range(4)]))
    return steps


def hold(server, service, steps):
    """The replies, masked, and how many warnings of each kind."""
    log = server.mta.log
    before, ended = len(log.lines()), len(log.lines(r"smtpd\[\d+\]: disconnect from"))
    replies = []
    with SmtpClient(server.ports[service]) as client:
        for step in steps:
            if isinstance(step, str):
                replies.append((step, client.say(step)))
                continue
            _, command, answers = step
            reply = client.say(command)
            replies.append((command, reply))
            for answer in answers:
                if not reply.startswith("334"):
                    break
                reply = client.say(answer)
                replies.append((answer, reply))
            if reply.startswith("334"):
                replies.append(("*", client.say("*")))
    log.wait(r"smtpd\[\d+\]: disconnect from", count=ended + 1, seconds=20)
    lines = [line for line in log.lines()[before:] if re.search(r" postfix/smtpd\[", line)]
    lines = [re.sub(r".* postfix/smtpd\[\d+\]: ", "", line) for line in lines]
    kinds = sorted(re.sub(r", sasl_username=.*|(?<=request longer than )\d+: .*|^\w+(?=: client=)", "", line) for line in lines)
    masked = [(said[:60], re.sub(r"^334 [P-c][\w+/=]{30,}", "334 (challenge)", reply)) for said, reply in replies]
    return masked, kinds


@pytest.mark.parametrize("number", range(COUNT))
def test_both_say_the_same(both, number):  # noqa: F811
    rng = random.Random(SEED * 100000 + number)
    service = ("dovecot", "cyrus")[number % 2]
    steps = session(rng, service)
    posthorn, postfix = (hold(server, service, steps) for server in both)
    assert posthorn == postfix, steps
