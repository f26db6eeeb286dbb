# SPDX-License-Identifier: ISC
"""kill -9 of any role at any time: no acknowledged message is lost, and service is back within a second."""
import random
import time

import pytest

from lib import processes, setups
from lib.waiting import allowed, wait_for
from test_durability import Load, all_delivered, missing

pytestmark = pytest.mark.core


def _victims(posthorn, role):
    return wait_for(lambda: posthorn.pids(role), f"a process {role}")


@pytest.mark.parametrize("role", ["smtpd", "queue", "lookup", "lmtp"])
def test_kill_of_a_role_loses_nothing(posthorn, sink, role):
    setups.virtual_domain(posthorn, f"lmtp:{sink.next_hop}")
    posthorn.main["minimal_backoff_time"] = posthorn.main["queue_run_delay"] = "2s"
    # A killed process is what this test is about; its peers say so.
    posthorn.log.expect(r"killed by signal 9", r"signal 9", r"went away", r"is gone", r"gave no answer", r"closed",
                        r"lost", r"not available", r"throttling", r"temporary lookup", r"lookup failure",
                        r"bad command startup", r"premature end-of-input", r"queue file write error")
    posthorn.start()
    with Load(posthorn.port) as load:
        load.wait(30)
        for _ in range(3):
            time.sleep(random.random() * 0.3)
            for pid in _victims(posthorn, role):
                processes.kill(pid)
            killed = time.monotonic()
            before = len(load.acknowledged)
            wait_for(lambda: len(load.acknowledged) > before + 8, f"service after the end of {role}", 5, 0.005)
            assert time.monotonic() - killed < allowed(1)
            time.sleep(1.5)  # a role that dies all the time is restarted more slowly, on purpose
    posthorn.command("postqueue", "-f")
    wait_for(lambda: all_delivered(load, sink), f"{missing(load, sink)[:9]} of {len(load.acknowledged)}", 30, 0.1)


def test_kill_of_the_virtual_agent_loses_nothing(posthorn):
    mail = posthorn.directory / "mail"
    mail.mkdir()
    setups.virtual_domain(posthorn, "virtual")
    setups.maildirs(posthorn, mail)
    posthorn.main["minimal_backoff_time"] = posthorn.main["queue_run_delay"] = "2s"
    posthorn.log.expect(r"signal 9", r"went away", r"is gone", r"gave no answer", r"closed", r"lost", r"not available",
                        r"throttling")
    posthorn.start()
    posthorn.send("carl@example.org", "anna@example.test")
    with Load(posthorn.port) as load:
        load.wait(30)
        for _ in range(3):
            time.sleep(random.random() * 0.3)
            for pid in _victims(posthorn, "virtual"):
                processes.kill(pid)
            time.sleep(0.5)
    posthorn.command("postqueue", "-f")
    posthorn.wait_empty(30)
    texts = [path.read_text() for path in (mail / "example.test/anna/new").iterdir()]
    for number in load.acknowledged:
        assert any(f"\nX-Number: {number}\n" in text for text in texts), f"number {number} is lost"


def test_stop_ends_every_process_and_keeps_the_queue(posthorn, sink):
    setups.virtual_domain(posthorn, f"lmtp:{sink.next_hop}")
    posthorn.start()
    with Load(posthorn.port) as load:
        load.wait(50)
        family = [posthorn.master_pid, *posthorn.pids()]
        posthorn.stop()
        assert not any(processes.is_running(pid) for pid in family)
        load.stopping.set()
    posthorn.start()
    posthorn.command("postqueue", "-f")
    wait_for(lambda: all_delivered(load, sink), f"{missing(load, sink)[:9]} of {len(load.acknowledged)}", 30, 0.1)
