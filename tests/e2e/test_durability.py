# SPDX-License-Identifier: ISC
"""What was acknowledged is never lost: crashes, restarts, reloads, and messages of every size."""
import random
import re
import threading
import time

import pytest

from lib import setups
from lib.smtp import Disconnected, SmtpClient
from lib.waiting import wait_for

pytestmark = pytest.mark.core


class Load:
    """Clients that send numbered messages until stopped, and remember which ones were acknowledged."""

    def __init__(self, port, clients=8, size=600):
        self.port, self.size = port, size
        self.acknowledged = {}  # number -> queue id
        self.refused = []
        self.lock = threading.Lock()
        self.next = 0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)

    def wait(self, count, seconds=30):
        wait_for(lambda: len(self.acknowledged) >= count, f"{count} acknowledged messages", seconds)

    def _take_number(self):
        with self.lock:
            self.next += 1
            return self.next

    def _run(self):
        while not self.stopping.is_set():
            try:
                with SmtpClient(self.port, timeout=10) as client:
                    client.hello()
                    self._session(client)
            except (OSError, Disconnected, AssertionError):
                time.sleep(0.01)  # the server was away: the next try counts

    def _session(self, client):
        for _ in range(20):
            if self.stopping.is_set():
                return
            number = self._take_number()
            client.envelope("carl@example.org", "anna@example.test")
            body = f"Subject: number {number}\nX-Number: {number}\n\n" + "x" * 70 + "\n" * (self.size // 70)
            queue_id = client.send_message(body)
            with self.lock:
                self.acknowledged[number] = queue_id
            time.sleep(0.01)  # the sink is a slow one


def numbers(sink):
    with sink.lock:
        texts = [message.content for message in sink.messages]
    return [int(re.search(rb"^X-Number: (\d+)", text, re.M).group(1)) for text in texts]


def all_delivered(load, sink):
    return set(load.acknowledged) <= set(numbers(sink))


def missing(load, sink):
    return sorted(set(load.acknowledged) - set(numbers(sink)))


def test_crash_of_everything_loses_nothing(mta, sink):
    """kill -9 of all processes at once, in the middle of the load, three times."""
    setups.virtual_domain(mta, f"lmtp:{sink.next_hop}")
    mta.log.expect(r"")  # what is cut off by a crash may look like anything
    mta.start()
    for _ in range(3):
        with Load(mta.port) as load:
            load.wait(40)
            time.sleep(random.random() * 0.2)
            mta.crash()
            load.stopping.set()
        mta.start()
        mta.command("postqueue", "-f")
        wait_for(lambda: all_delivered(load, sink), f"{missing(load, sink)} of {len(load.acknowledged)}", 30, 0.1)
    # Twice is allowed, half is not.
    for message in sink.messages:
        assert message.content.rstrip().endswith(b"x" * 70), message.content[-200:]


def test_deferred_messages_survive_a_restart(mta, sink):
    setups.virtual_domain(mta, f"lmtp:{sink.next_hop}")
    sink.on_rcpt = lambda address: "452 4.2.2 Not now"
    mta.start()
    ids = [mta.send("carl@example.org", "anna@example.test", f"Subject: {n}\n\nNumber {n}.\n") for n in range(20)]
    mta.log.wait(r"dsn=4\.2\.2, status=deferred \(host 127\.0\.0\.1\[127\.0\.0\.1\] said: 452 4\.2\.2 Not now "
                 r"\(in reply to RCPT TO command\)\)", 20)
    before = mta.mailq()
    assert all(queue_id in before for queue_id in ids)
    mta.restart()
    assert sorted(re.findall(r"^\w+", mta.mailq(), re.M)) == sorted(re.findall(r"^\w+", before, re.M))
    sink.on_rcpt = lambda address: "250 2.1.5 OK"
    mta.command("postqueue", "-f")
    mta.wait_empty()
    assert sorted(re.search(rb"Number (\d+)\.", m.content).group(1) for m in sink.messages) == \
        sorted(str(n).encode() for n in range(20))


@pytest.mark.parametrize("size", [0, 1, 1000, 64 * 1024, 128 * 1024 - 1, 128 * 1024, 128 * 1024 + 1, 1024 * 1024,
                                  9 * 1024 * 1024])
def test_content_of_every_size_arrives_unchanged(mta, sink, size):
    setups.virtual_domain(mta, f"lmtp:{sink.next_hop}")
    mta.start()
    line = "0123456789" * 7 + "\n"
    body = (line * (size // len(line) + 1))[:size]
    body = body[:-1] + "\n" if body else ""
    text = f"From: carl@example.org\nDate: Sat, 21 Nov 2026 12:00:00 +0000\nMessage-Id: <1@x>\nSubject: {size}\n\n{body}"
    mta.send("carl@example.org", "anna@example.test", text)
    wait_for(lambda: sink.messages, "delivery")
    got = sink.messages[0].content.decode().replace("\r\n", "\n")
    assert got[got.index("From: carl"):] == text
    mta.wait_empty()


def test_too_large_is_refused_and_nothing_stays(mta, sink):
    mta.log.expect(r"queue file size limit exceeded", r"mail_stream_cleanup: close error")
    setups.virtual_domain(mta, f"lmtp:{sink.next_hop}")
    mta.main["message_size_limit"] = 100000
    mta.start()
    with mta.smtp() as client:
        assert "\n250-SIZE 100000\n" in client.hello()
        client.say("MAIL FROM:<carl@example.org> SIZE=100001",
                   expect="552 5.3.4 Message size exceeds fixed limit")
        client.say("RSET", expect="250 2.0.0 Ok")
        client.envelope("carl@example.org", "anna@example.test")
        client.send_message("Subject: big\n\n" + ("x" * 70 + "\n") * 3000,
                            expect="552 5.3.4 Error: message file too big")
        client.say("QUIT", expect="221 2.0.0 Bye")
    assert "Mail queue is empty" in mta.mailq()
    assert not sink.messages


def test_reload_under_load_drops_no_session(mta, sink):
    if mta.name == "postfix":
        mta.log.expect(r"problem talking to service rewrite")  # its processes end one by one
    setups.virtual_domain(mta, f"lmtp:{sink.next_hop}")
    mta.start()
    with mta.smtp() as old:
        old.hello()
        old.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        with Load(mta.port) as load:
            load.wait(20)
            mta.main["smtpd_banner"] = "$myhostname ESMTP reloaded"
            mta.reload()
            load.wait(len(load.acknowledged) + 40)
        # The session of before goes on where it was.
        old.say("RCPT TO:<anna@example.test>", expect="250 2.1.5 Ok")
        old.send_message("Subject: over the reload\nX-Number: 0\n\nText.\n")
        old.say("QUIT", expect="221 2.0.0 Bye")

    def new_banner():
        with mta.smtp(expect=220) as client:
            return client.banner == "220 mail.example.test ESMTP reloaded"

    wait_for(new_banner, "the new banner")
    wait_for(lambda: all_delivered(load, sink) and 0 in numbers(sink), "all deliveries", 30)


def test_a_stop_waits_for_a_delivery_under_way(posthorn, sink):
    """Its result is written down: after the next start nobody gets the message a second time."""
    setups.virtual_domain(posthorn, f"lmtp:{sink.next_hop}")
    begun = threading.Event()

    def slowly(_message, recipient):
        begun.set()
        time.sleep(0.6)
        return f"250 2.0.0 <{recipient}> saved"

    sink.on_end_of_data = slowly
    posthorn.start()
    queue_id = posthorn.send("carl@example.org", "anna@example.test")
    assert begun.wait(10)
    posthorn.stop()
    posthorn.log.wait(rf"{queue_id}: to=<anna@example\.test>, .*status=sent")
    posthorn.start()
    posthorn.wait_empty()
    assert len(sink.messages) == 1
