# SPDX-License-Identifier: ISC
"""Delivery status notifications with templates of the admin's own, beside Debian's Postfix: the whole messages."""
import re
import threading

import pytest

from lib import setups
from lib.lmtp_sink import LmtpSink
from lib.mta import Postfix, Posthorn
from lib.waiting import wait_for

TEMPLATES = """\
failure_template = <<EOF
Charset: utf-8
From: Post Office <postmaster>
Subject: Could not deliver your message
Postmaster-Subject: Copy: could not deliver

This is $myhostname. It did not work; your mail waited for ${maximal_queue_lifetime_days} days at most.

Gr\u00fc\u00dfe
EOF

delay_template = <<EOF
Charset: us-ascii
From: MAILER-DAEMON (The Postman)
Subject: Still trying
Postmaster-Subject: Copy: still trying

$delay_warning_time_seconds seconds have passed at $mydomain.
EOF

success_template = <<EOF
Subject: It arrived

Delivered.
EOF
"""

STAMPS = [
    (r"\b[0-9A-F]{9,15}\b", "ID"),
    (r"ID\.\d{10}/", "ID.TIME/"),
    (r"<\d{14}\.ID@", "<STAMP.ID@"),
    (r"\w{3}, +\d+ \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)", "DATE"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
]

# (name, sender, recipient, RCPT parameters, subjects of the notifications that follow)
CASES = [
    ("failed", "anna@example.test", "gone@example.test", "", ["Could not deliver your message", "Copy: could not deliver"]),
    ("failed-alias", "anna@example.test", "info@example.test", "", ["Could not deliver your message", "Copy: could not deliver"]),
    ("failed-sender-alias", "team@example.test", "gone@example.test", "", ["Could not deliver your message", "Copy: could not deliver"]),
    ("failed-null", "", "gone@example.test", "", ["Copy: could not deliver"]),
    ("failed-orcpt", "anna@example.test", "gone@example.test", " ORCPT=rfc822;a+2Bb@c.test NOTIFY=FAILURE",
     ["Could not deliver your message", "Copy: could not deliver"]),
    ("delayed", "anna@example.test", "later@example.test", "", ["Still trying", "Copy: still trying"]),
]


class Server:
    def __init__(self, kind):
        self.mta = mta = kind()
        self.sink = LmtpSink(extensions=("PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME"))
        self.sink.on_rcpt = lambda address: {"gone": "550 5.1.1 No such user", "later": "450 4.2.1 Come again"}.get(
            address.split("@")[0], "250 2.1.5 OK")
        setups.virtual_domain(mta, f"lmtp:{self.sink.next_hop}", mailboxes=["anna", "gone", "later", "boss"],
                              aliases=[("info", "gone@example.test"), ("team", "anna@example.test"),
                                      ("office", "boss@example.test")])
        mta.main.update({
            "bounce_template_file": mta.file("bounce.cf", TEMPLATES), "notify_classes": "bounce, 2bounce, delay",
            "bounce_notice_recipient": "office@example.test", "2bounce_notice_recipient": "boss@example.test",
            "delay_notice_recipient": "boss@example.test", "delay_warning_time": "1s", "queue_run_delay": "1s",
            "minimal_backoff_time": "1s", "maximal_backoff_time": "1s", "enable_threaded_bounces": "yes",
            "mydomain": "example.test"})
        mta.log.expect("")
        mta.start()

    def finish(self):
        self.mta.finish()
        self.sink.close()

    def run(self, case):
        name, sender, recipient, parameters, subjects = case
        before = len(self.sink.messages)
        with self.mta.smtp() as client:
            client.say("EHLO client.test", expect=250)
            client.say(f"MAIL FROM:<{sender}>", expect=250)
            client.say(f"RCPT TO:<{recipient}>{parameters}", expect=250)
            client.send_message(f"From: anna@example.test\nMessage-ID: <{name}@x>\nSubject: {name}\n\nbody\n")
        wait_for(lambda: len(self.sink.messages) >= before + len(subjects), f"the notifications of {name}", 20)
        return sorted((message.sender, message.recipients, normalized(message.content))
                      for message in self.sink.messages[before:])


def normalized(content):
    text = content.decode(errors="surrogateescape").replace("\r\n", "\n")
    for pattern, replacement in STAMPS:
        text = re.sub(pattern, replacement, text)
    header, _, body = text.partition("\n\n")
    # The order in which a header is completed, and how it is cut into lines, is no news to anybody.
    return sorted(re.sub(r"\n[ \t]+", " ", header).split("\n")), body


@pytest.fixture(scope="module")
def results():
    for kind in (Posthorn, Postfix):
        if kind.unavailable():
            pytest.skip(kind.unavailable())
    found, servers = {}, []

    def go_through(server, kind):
        for case in CASES:
            try:
                found[kind, case[0]] = server.run(case)
            except BaseException as error:  # the case that it belongs to reports it
                found[kind, case[0]] = error

    try:
        for kind in (Posthorn, Postfix):
            servers.append((Server(kind), kind))
        threads = [threading.Thread(target=go_through, args=pair) for pair in servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        yield found
    finally:
        for server, _ in servers:
            server.finish()


@pytest.mark.parametrize("name, subjects", [(case[0], case[4]) for case in CASES])
def test_both_write_the_same(results, name, subjects):
    for kind in (Posthorn, Postfix):
        if isinstance(results[kind, name], BaseException):
            raise results[kind, name]
    posthorn, postfix = results[Posthorn, name], results[Postfix, name]
    assert posthorn == postfix
    found = [line[9:] for _, _, (header, _) in posthorn for line in header if line.startswith("Subject: ")]
    assert sorted(found) == sorted(subjects)


def test_a_broken_template_costs_only_itself_and_a_reload_reads_the_file_again():
    if Posthorn.unavailable():
        pytest.skip(Posthorn.unavailable())
    mta, sink = Posthorn(), LmtpSink()
    try:
        sink.on_rcpt = lambda address: "550 5.1.1 No" if address.startswith("gone") else "250 2.1.5 OK"
        setups.virtual_domain(mta, f"lmtp:{sink.next_hop}", mailboxes=["anna", "gone"])
        mta.main["bounce_template_file"] = mta.file("bounce.cf", "failure_template = <<EOF\nCharset: us-ascii\n\nGr\u00fc\u00dfe\nEOF\n")
        mta.log.expect(r"8-bit message text in failure template", r"please specify a charset", r"-- ignoring this template")
        mta.start()
        mta.send("anna@example.test", ["gone@example.test"])
        wait_for(lambda: sink.messages, "the bounce", 10)
        assert b"Subject: Undelivered Mail Returned to Sender" in sink.messages[0].content
        mta.file("bounce.cf", TEMPLATES)
        mta.reload()
        mta.send("anna@example.test", ["gone@example.test"])
        wait_for(lambda: len(sink.messages) > 1, "the second bounce", 10)
        assert b"Subject: Could not deliver your message" in sink.messages[1].content
    finally:
        mta.finish()
        sink.close()
