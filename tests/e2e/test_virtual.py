# SPDX-License-Identifier: ISC
"""Delivery into Maildirs, as virtual(8) does it."""
import os
import re

import pytest

from lib import setups
from lib.mta import IS_ROOT
from lib.waiting import wait_for


@pytest.fixture
def world(mta):
    base = mta.directory / "mail"
    base.mkdir()
    setups.virtual_domain(mta, "virtual", aliases=(("info", "anna@example.test"),))
    setups.maildirs(mta, base)
    return mta, base


def messages(base, name):
    new = base / "example.test" / name / "new"
    return sorted(new.iterdir()) if new.is_dir() else []


@pytest.mark.core
def test_a_message_becomes_a_file(world):
    mta, base = world
    mta.start()
    queue_id = mta.send("carl@example.org", "info@example.test",
                        "From: carl@example.org\nDate: Sat, 21 Nov 2026 12:00:00 +0000\nMessage-Id: <1@x>\n"
                        "Subject: hello\n\nFrom here\n.dot\n")
    wait_for(lambda: messages(base, "anna"), "the file")
    mta.wait_empty()
    (path,) = messages(base, "anna")
    text = path.read_text()
    assert text.startswith("Return-Path: <carl@example.org>\nX-Original-To: info@example.test\n"
                           "Delivered-To: anna@example.test\nReceived: from client.test (localhost [127.0.0.1])\n"), text
    assert text.endswith("Subject: hello\n\nFrom here\n.dot\n")
    assert not list((base / "example.test/anna/tmp").iterdir())
    assert {entry.name for entry in (base / "example.test/anna").iterdir()} == {"cur", "new", "tmp"}
    status = path.stat()
    assert (status.st_mode & 0o777, status.st_uid) == (0o600, base.stat().st_uid)
    mta.log.wait(rf"postfix/virtual\[\d+\]: {queue_id}: to=<anna@example\.test>, orig_to=<info@example\.test>, relay=virtual, "
                 r"delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, dsn=2\.0\.0, status=sent \(delivered to maildir\)$")


@pytest.mark.core
def test_many_messages_get_names_of_their_own(world):
    mta, base = world
    mta.start()
    with mta.smtp() as client:
        client.hello()
        for number in range(50):
            client.envelope("carl@example.org", "anna@example.test", "ben@example.test")
            client.send_message(f"Subject: {number}\n\nText.\n")
    for name in ("anna", "ben"):
        wait_for(lambda name=name: len(messages(base, name)) == 50, "50 files")
        subjects = {re.search(r"^Subject: (\d+)$", path.read_text(), re.M).group(1) for path in messages(base, name)}
        assert subjects == {str(number) for number in range(50)}
    mta.wait_empty()


def test_a_mailbox_file(world):
    mta, base = world
    mta.file("mailboxes", "anna@example.test anna.mbox\n")
    mta.main["virtual_mailbox_lock"] = "fcntl"
    mta.start()
    for number in range(2):
        mta.send("carl@example.org", "anna@example.test", f"Subject: {number}\n\nText.\nFrom a line\n")
        mta.wait_empty()
    text = (base / "anna.mbox").read_text()
    assert len(re.findall(r"^From carl@example\.org  \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}$", text, re.M)) == 2
    assert text.count("\nText.\n>From a line\n\n") == 2


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user delivers everything as itself")
def test_an_id_below_the_minimum_is_refused(world):
    mta, base = world
    mta.main["virtual_minimum_uid"] = 100
    mta.main["virtual_uid_maps"] = "static:5"
    mta.log.expect(r"bad uid 5 in virtual_uid_maps|virtual_uid_maps")
    mta.start()
    queue_id = mta.send("carl@example.org", "anna@example.test")
    mta.log.wait(rf"{queue_id}: .*status=(deferred|bounced)")
    assert not messages(base, "anna")


def test_a_store_that_cannot_be_written_defers(world):
    mta, base = world
    mta.start()
    (base / "example.test").write_text("a file in the way of a directory")
    mta.log.expect(r"maildir", r"Not a directory")
    queue_id = mta.send("carl@example.org", "anna@example.test")
    mta.log.wait(rf"{queue_id}: .*status=deferred \(maildir delivery failed: create maildir file "
                 rf"{base}/example\.test/anna/tmp/\S+: Not a directory\)")
    os.unlink(base / "example.test")
    mta.command("postqueue", "-f")
    wait_for(lambda: messages(base, "anna"), "delivery after the repair")


def test_a_full_mailbox_bounces(world):
    mta, base = world
    mta.main["virtual_mailbox_limit"] = mta.main["message_size_limit"] = 10000
    mta.file("mailboxes", "anna@example.test anna.mbox\nben@example.test ben/\n")
    mta.start()
    text = "Subject: large\n\n" + ("y" * 70 + "\n") * 100
    mta.send("carl@example.org", "anna@example.test", text)
    mta.wait_empty()
    queue_id = mta.send("ben@example.test", "anna@example.test", text)
    mta.log.wait(rf"{queue_id}: to=<anna@example\.test>, .*dsn=5\.2\.2, status=bounced \(")
    wait_for(lambda: (base / "ben/new").is_dir() and list((base / "ben/new").iterdir()), "the bounce")
