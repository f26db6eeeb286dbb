# SPDX-License-Identifier: ISC
"""The main job: a message from port 25, its recipient in PostgreSQL, into Dovecot over LMTP."""
import re

import pytest

from lib import setups
from lib.waiting import wait_for

pytestmark = pytest.mark.core


@pytest.fixture
def world(mta, postgres, dovecot_factory):
    setups.main_job(mta, postgres)
    mta.start()
    dovecot = dovecot_factory(mta)
    dovecot.user("anna@example.test", "ben@example.test")
    dovecot.start()
    return mta, postgres, dovecot


def test_one_message_to_one_mailbox(world):
    mta, _, dovecot = world
    with mta.smtp(expect="220 mail.example.test ESMTP") as client:
        reply = client.say("EHLO client.test")
        assert reply.splitlines()[0] == "250-mail.example.test"
        for keyword in ("PIPELINING", "SIZE 10240000", "ENHANCEDSTATUSCODES", "8BITMIME"):
            assert re.search(rf"^250[- ]{keyword}$", reply, re.M), reply
        client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        client.say("RCPT TO:<anna@example.test>", expect="250 2.1.5 Ok")
        queue_id = client.send_message("From: carl@example.org\nDate: Sat, 21 Nov 2026 12:00:00 +0000\n"
                                       "Subject: hello\nMessage-Id: <1@example.org>\n\n"
                                       "First line.\n.line with a dot\n")
        client.say("QUIT", expect="221 2.0.0 Bye")
        client.expect_close()

    message = dovecot.wait_message("anna@example.test")
    assert message.startswith("Return-Path: <carl@example.org>\nDelivered-To: anna@example.test\n")
    assert re.search(r"^Received: from client\.test \(localhost \[127\.0\.0\.1\]\)\n"
                     rf"\tby mail\.example\.test \(.*\) with ESMTP id {queue_id}\n"
                     r"\tfor <anna@example\.test>; \w{3}, [ \d]\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)$",
                     message, re.M), message
    assert message.endswith("Subject: hello\nMessage-Id: <1@example.org>\n\nFirst line.\n.line with a dot\n")

    mta.log.wait(rf"postfix/smtpd\[\d+\]: {queue_id}: client=localhost\[127\.0\.0\.1\]$")
    mta.log.wait(rf"postfix/cleanup\[\d+\]: {queue_id}: message-id=<1@example\.org>$")
    mta.log.wait(rf"postfix/qmgr\[\d+\]: {queue_id}: from=<carl@example\.org>, size=\d+, nrcpt=1 \(queue active\)$")
    mta.log.wait(rf"postfix/lmtp\[\d+\]: {queue_id}: to=<anna@example\.test>, "
                 r"relay=mail\.example\.test\[private/dovecot-lmtp\], delay=[\d.]+, "
                 r"delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, dsn=2\.0\.0, status=sent "
                 r"\(250 2\.0\.0 <anna@example\.test> \S+ Saved\)$")
    mta.log.wait(rf"postfix/qmgr\[\d+\]: {queue_id}: removed$")
    mta.log.wait(r"postfix/smtpd\[\d+\]: disconnect from localhost\[127\.0\.0\.1\] "
                 r"ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5$")


def test_alias_reaches_every_destination(world):
    mta, _, dovecot = world
    queue_id = mta.send("carl@example.org", "All@Example.Test")
    dovecot.wait_message("anna@example.test")
    dovecot.wait_message("ben@example.test")
    mta.log.wait(rf"{queue_id}: to=<ben@example\.test>, orig_to=<All@Example\.Test>, .*status=sent")


@pytest.mark.parametrize("recipient, reply", [
    ("nobody@example.test",
     "550 5.1.1 <nobody@example.test>: Recipient address rejected: User unknown in virtual mailbox table"),
    ("it's'@example.test",
     "550 5.1.1 <it's'@example.test>: Recipient address rejected: User unknown in virtual mailbox table"),
])
def test_unknown_recipient_is_refused_at_rcpt(world, recipient, reply):
    mta, *_ = world
    with mta.smtp() as client:
        client.hello()
        client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        client.say(f"RCPT TO:<{recipient}>", expect=reply)
        client.say("DATA", expect="554 5.5.1 Error: no valid recipients")
        client.say("QUIT", expect="221 2.0.0 Bye")
    mta.log.wait(r"NOQUEUE: reject: RCPT from localhost\[127\.0\.0\.1\]: " + re.escape(reply)
                 + rf"; from=<carl@example\.org> to=<{re.escape(recipient)}> proto=ESMTP helo=<client\.test>$")


def test_foreign_domain_needs_permission(mta, postgres):
    setups.main_job(mta, postgres)
    mta.main["mynetworks"] = "192.0.2.0/24"
    mta.start()
    with mta.smtp() as client:
        client.hello()
        client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        client.say("RCPT TO:<x@elsewhere.test>", expect="554 5.7.1 <x@elsewhere.test>: Relay access denied")
        client.say("RCPT TO:<anna@example.test>", expect="250 2.1.5 Ok")
        client.say("QUIT", expect="221 2.0.0 Bye")


def test_database_that_is_down_is_a_passing_fault(world):
    mta, postgres, dovecot = world
    mta.log.expect(r"pgsql", r"virtual_(mailbox_domains|mailbox_maps|alias_maps)", r"lookup (error|failure)",
                   r"table lookup problem", r"trivial-rewrite", r"problem talking to service")
    postgres.stop()
    with mta.smtp() as client:
        client.hello()
        client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        client.say("RCPT TO:<anna@example.test>",
                   expect="451 4.3.0 <anna@example.test>: Temporary lookup failure")
        client.say("QUIT", expect="221 2.0.0 Bye")
    postgres.start()

    def accepted():
        with mta.smtp() as client:
            client.hello()
            client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
            reply = client.say("RCPT TO:<anna@example.test>")
            assert reply[0] in "24", reply
            return reply == "250 2.1.5 Ok"

    if mta.name == "postfix":
        mta.reload()  # it waits a minute before it tries a failed host again
    wait_for(accepted, "recovery without a restart", 5, 0.2)
    mta.send("carl@example.org", "anna@example.test")
    dovecot.wait_message("anna@example.test")


def test_dovecot_that_is_down_defers(world):
    mta, _, dovecot = world
    dovecot.stop()
    queue_id = mta.send("carl@example.org", "anna@example.test")
    mta.log.wait(rf"lmtp\[\d+\]: {queue_id}: to=<anna@example\.test>, relay=none, .*dsn=4\.4\.1, status=deferred "
                 r"\(connect to mail\.example\.test\[private/dovecot-lmtp\]: No such file or directory\)$")
    assert queue_id in mta.mailq()
    assert "(connect to mail.example.test[private/dovecot-lmtp]: No such file or directory)" in mta.mailq()
    dovecot.start()
    assert mta.command("postqueue", "-f").returncode == 0
    dovecot.wait_message("anna@example.test")
    mta.wait_empty()


def test_refused_by_dovecot_bounces_to_the_sender(world):
    mta, postgres, dovecot = world
    postgres.sql("INSERT INTO mailboxes VALUES ('lost@example.test', 'example.test', 'x/')", "mail")
    queue_id = mta.send("anna@example.test", "lost@example.test", "Subject: gone\n\nText.\n")
    mta.log.wait(rf"{queue_id}: to=<lost@example\.test>, .*dsn=5\.1\.1, status=bounced \(host mail\.example\.test"
                 r"\[private/dovecot-lmtp\] said: 550 5\.1\.1 <lost@example\.test> User doesn't exist: "
                 r"lost@example\.test \(in reply to RCPT TO command\)\)$")
    mta.log.wait(rf"postfix/bounce\[\d+\]: {queue_id}: sender non-delivery notification: (\w+)$")
    bounce = dovecot.wait_message("anna@example.test")
    assert bounce.startswith("Return-Path: <>\n")
    for line in (
            "Subject: Undelivered Mail Returned to Sender", "From: Mail Delivery System <MAILER-DAEMON@mail.example.test>",
                 "Auto-Submitted: auto-replied", "To: anna@example.test", "Content-Type: message/delivery-status",
                 "Final-Recipient: rfc822; lost@example.test", "Action: failed", "Status: 5.1.1",
                 "Subject: gone", "Text."):
        assert f"\n{line}\n" in bounce, f"{line!r} is not in\n{bounce}"
    mta.wait_empty()
