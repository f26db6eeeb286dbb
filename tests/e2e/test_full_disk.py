# SPDX-License-Identifier: ISC
"""A spool on a disk of its own that runs full: clients are put off, nothing is lost, and it goes on by itself."""
import os
import subprocess

import pytest

from lib import setups
from lib.mta import IS_ROOT
from lib.waiting import wait_for

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="only root can mount a small disk")


@pytest.fixture
def small_disk(mta, sink):
    mta.queue.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m,mode=755", "tmpfs", mta.queue],
                             capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount: {mounted.stderr.strip()}")
    setups.virtual_domain(mta, f"lmtp:{sink.next_hop}")
    mta.main["message_size_limit"] = 200000
    mta.main["notify_classes"] = ""  # a notice to the postmaster would need room too
    mta.start()
    yield mta, sink
    mta.stop()
    subprocess.run(["umount", mta.queue], check=True)


def fill(queue, leave):
    """Takes the free space but this many bytes."""
    space = os.statvfs(queue)
    size = space.f_bavail * space.f_frsize - leave
    with open(queue / "filler", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)


def try_one(mta, size=20000):
    """The reply that decided: to MAIL, or to the end of the data."""
    with mta.smtp() as client:
        client.hello()
        reply = client.say("MAIL FROM:<carl@example.org>")
        if reply.startswith("250"):
            client.say("RCPT TO:<anna@example.test>", expect=250)
            client.say("DATA", expect=354)
            client.send(b"Subject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * (size // 72) + b".\r\n")
            reply = client.reply()
        return reply


def test_a_full_disk_is_a_passing_fault(small_disk):
    mta, sink = small_disk
    mta.log.expect(r"not enough free space", r"No space left on device", r"Insufficient system storage",
                   r"queue file write error", r"postmaster notification")
    assert try_one(mta).startswith("250 2.0.0 Ok: queued as ")
    wait_for(lambda: len(sink.messages) == 1, "the first delivery")
    sink.on_rcpt = lambda address: "452 4.2.2 Not now"  # so that everything stays in the spool
    fill(mta.queue, 4096)
    acknowledged, replies = 1, []
    for _ in range(1000):  # what room there is inside files that exist may be used up first
        replies.append(try_one(mta, 190000))
        if not replies[-1].startswith("250"):
            break
        acknowledged += 1
    assert replies[-1] in ("452 4.3.1 Insufficient system storage", "451 4.3.0 Error: queue file write error"), replies[-3:]
    sink.on_rcpt = lambda address: "250 2.1.5 OK"
    (mta.queue / "filler").unlink()
    wait_for(lambda: try_one(mta).startswith("250"), "room again", 10, 0.5)
    mta.command("postqueue", "-f")
    mta.wait_empty(60)
    assert len(sink.messages) == acknowledged + 1
