# SPDX-License-Identifier: ISC
"""Delivery into Maildirs and mailbox files, as virtual(8) does it."""
import os
import re
import time

import pytest

from lib import setups
from lib.waiting import wait_for

DELAYS = r"delay=[\d.]+, delays=[\d.]+/[\d.]+/0/[\d.]+"


def make_world(mta):
    base = mta.directory / "mail"
    base.mkdir()
    setups.virtual_domain(mta, "virtual", aliases=[("info", "anna@example.test")])
    setups.maildirs(mta, base)
    mta.main["minimal_backoff_time"] = mta.main["maximal_backoff_time"] = "1000s"
    mta.file("mailboxes", "anna@example.test example.test/anna/\nmbox@example.test mbox\n"
                          "up@example.test ../up/\nhome@example.test x/../../up/\n")
    return mta, base


@pytest.fixture
def world(mta):
    return make_world(mta)


def messages(directory):
    return sorted(directory.iterdir()) if directory.is_dir() else []


def test_maildir(world):
    mta, base = world
    mta.start()
    queue_id = mta.send("carl@example.org", "info@example.test", "Subject: x\n\nFrom here\n.dot\n")
    mta.log.wait(rf"postfix/virtual\[\d+\]: {queue_id}: to=<anna@example\.test>, orig_to=<info@example\.test>, "
                 rf"relay=virtual, {DELAYS}, dsn=2\.0\.0, status=sent \(delivered to maildir\)$")
    new = base / "example.test" / "anna" / "new"
    [file] = messages(new)
    host = os.uname().nodename
    assert re.fullmatch(rf"{int(time.time()) // 100}\d\d\.V[0-9a-f]+I[0-9a-f]+M\d+\.{re.escape(host)}", file.name)
    text = file.read_text()
    assert text.startswith("Return-Path: <carl@example.org>\nX-Original-To: info@example.test\n"
                           "Delivered-To: anna@example.test\nReceived: from ")
    assert text.endswith("\n\nFrom here\n.dot\n")
    for name in ("", "new", "tmp", "cur"):
        assert (base / "example.test" / "anna" / name).stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.stat().st_uid == base.stat().st_uid
    assert not messages(new.parent / "tmp")


def test_mbox(world):
    mta, base = world
    mta.start()
    for _ in range(2):
        queue_id = mta.send("carl@example.org", "mbox@example.test", "Subject: x\n\nFrom here\n")
        mta.log.wait(rf"{queue_id}: to=<mbox@example\.test>, relay=virtual, {DELAYS}, dsn=2\.0\.0, "
                     r"status=sent \(delivered to mailbox\)$")
    text = (base / "mbox").read_text()
    assert len(re.findall(r"^From carl@example\.org  \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\n"
                          r"Return-Path: <carl@example\.org>\nX-Original-To: mbox@example\.test\n"
                          r"Delivered-To: mbox@example\.test\nReceived: ", text, re.M)) == 2
    assert text.count("\n\n>From here\n\n") == 2


def test_path_that_leaves_the_base(posthorn):  # newer than the reference
    mta, base = make_world(posthorn)
    mta.log.expect(r"bad mailbox path")
    mta.start()
    queue_id = mta.send("carl@example.org", "home@example.test")
    mta.log.wait(r"postfix/virtual\[\d+\]: warning: recipient home@example\.test: bad mailbox path x/\.\./\.\./up/ in "
                 r"virtual_mailbox_maps$")
    mta.log.wait(rf"{queue_id}: to=<home@example\.test>, relay=virtual, {DELAYS}, dsn=4\.3\.5, "
                 r"status=deferred \(mail system configuration error\)$")
    assert not (base.parent / "up").exists()


@pytest.mark.parametrize("parameter, value, complaint", [
    ("virtual_uid_maps", "static:5", r"recipient anna@example\.test: bad uid 5 in virtual_uid_maps"),
    ("virtual_uid_maps", "static:nobody", r"recipient anna@example\.test: bad uid nobody in virtual_uid_maps"),
    ("virtual_gid_maps", "static:0", r"recipient anna@example\.test: bad gid 0 in virtual_gid_maps"),
    ("virtual_uid_maps", "", r"recipient anna@example\.test: not found in virtual_uid_maps"),
])
def test_bad_ids(world, parameter, value, complaint):
    mta, base = world
    mta.log.expect(complaint)
    mta.main[parameter] = value
    mta.main["virtual_minimum_uid"] = "100"
    mta.start()
    queue_id = mta.send("carl@example.org", "anna@example.test")
    mta.log.wait(rf"warning: {complaint}$")
    mta.log.wait(rf"{queue_id}: to=<anna@example\.test>, .*dsn=4\.3\.5, status=deferred "
                 r"\(mail system configuration error\)$")
    assert not messages(base / "example.test" / "anna" / "new")


def test_no_permission(world):
    mta, base = world
    mta.log.expect(r"maildir access problem", r"perhaps you need to create")
    if os.geteuid() != 0:
        pytest.skip("needs another user's directory")
    os.chown(base, 0, 0)
    mta.start()
    queue_id = mta.send("carl@example.org", "anna@example.test")
    mta.log.wait(r"warning: maildir access problem for UID/GID=\d+/\d+: create maildir file \S+: Permission denied$")
    mta.log.wait(r"warning: perhaps you need to create the maildirs in advance$")
    mta.log.wait(rf"{queue_id}: to=<anna@example\.test>, .*dsn=4\.2\.0, status=deferred "
                 r"\(maildir delivery failed: create maildir file \S+: Permission denied\)$")


def test_limit(world):
    mta, base = world
    mta.main["message_size_limit"] = "3000"
    mta.main["virtual_mailbox_limit"] = "3000"
    mta.log.expect(r"queue file size limit exceeded", r"mail_stream_cleanup")  # of the bounce
    mta.start()
    mta.send("carl@example.org", "mbox@example.test", "Subject: x\n\n" + "0123456789" * 180 + "\n")
    mta.log.wait(r"delivered to mailbox")
    before = (base / "mbox").stat().st_size
    queue_id = mta.send("carl@example.org", "mbox@example.test", "Subject: x\n\n" + "0123456789" * 180 + "\n")
    mta.log.wait(rf"{queue_id}: to=<mbox@example\.test>, .*dsn=5\.2\.2, status=bounced "
                 rf"\(delivery failed to mailbox {base}/mbox: error writing message: File too large\)$")
    wait_for(lambda: (base / "mbox").stat().st_size == before, "the former size")
