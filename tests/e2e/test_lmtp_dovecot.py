# SPDX-License-Identifier: ISC
"""Delivery into a real Dovecot: many recipients, many messages over few connections, a Dovecot that restarts."""
import pytest

from lib import setups
from lib.waiting import wait_for


@pytest.fixture
def world(mta, dovecot_factory):
    setups.virtual_domain(mta, "lmtp:unix:private/dovecot-lmtp", mailboxes=("anna", "ben", "gone"))
    mta.main["minimal_backoff_time"] = mta.main["maximal_backoff_time"] = "1s"
    mta.main["queue_run_delay"] = "1s"
    mta.start()
    dovecot = dovecot_factory(mta)
    dovecot.user("anna@example.test", "ben@example.test")
    dovecot.start()
    return mta, dovecot


def test_several_recipients_in_one_transaction(world):
    mta, dovecot = world
    queue_id = mta.send("carl@example.org", ["anna@example.test", "ben@example.test", "gone@example.test"],
                        "Subject: three\n\n.dot\nlast\n")
    for user in ("anna", "ben"):
        message = dovecot.wait_message(f"{user}@example.test")
        assert message.startswith("Return-Path: <carl@example.org>\n")
        assert message.endswith("\n\n.dot\nlast\n")
        mta.log.wait(rf"{queue_id}: to=<{user}@example\.test>, relay=mail\.example\.test\[private/dovecot-lmtp\], .*"
                     rf"dsn=2\.0\.0, status=sent \(250 2\.0\.0 <{user}@example\.test> \S+ Saved\)$")
    mta.log.wait(rf"{queue_id}: to=<gone@example\.test>, relay=mail\.example\.test\[private/dovecot-lmtp\], .*"
                 r"dsn=5\.1\.1, status=bounced \(host mail\.example\.test\[private/dovecot-lmtp\] said: "
                 r"550 5\.1\.1 <gone@example\.test> User doesn't exist: gone@example\.test "
                 r"\(in reply to RCPT TO command\)\)$")


def test_large_message_arrives_whole(world):
    mta, dovecot = world
    body = "".join(f"{number:08d} the quick brown fox jumps over the lazy dog\n" for number in range(30000))
    mta.send("carl@example.org", "anna@example.test", "Subject: large\n\n" + body)
    assert dovecot.wait_message("anna@example.test").endswith("\n\n" + body)


def test_dovecot_restarts(world):
    mta, dovecot = world
    mta.send("carl@example.org", "anna@example.test")
    dovecot.wait_message("anna@example.test")
    dovecot.stop()
    queue_id = mta.send("carl@example.org", "anna@example.test")
    mta.log.wait(rf"{queue_id}: to=<anna@example\.test>, .*status=deferred")
    dovecot.start()
    dovecot.wait_message("anna@example.test", 2)
    mta.wait_empty()


def test_many_messages(world):
    mta, dovecot = world
    with mta.smtp() as client:
        client.hello()
        for number in range(60):
            client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
            client.say(f"RCPT TO:<{'anna' if number % 2 else 'ben'}@example.test>", expect="250 2.1.5 Ok")
            client.send_message(f"Subject: {number}\n\nbody {number}\n")
    for user in ("anna", "ben"):
        wait_for(lambda: len(dovecot.messages(f"{user}@example.test")) == 30, f"30 messages for {user}", 30)
    texts = [text.split("\n\n", 1)[1] for user in ("anna", "ben") for text in dovecot.messages(f"{user}@example.test")]
    assert sorted(texts) == sorted(f"body {number}\n" for number in range(60))
