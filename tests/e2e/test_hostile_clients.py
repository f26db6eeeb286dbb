# SPDX-License-Identifier: ISC
"""Clients that cheat: ends of data that are none, states that must not survive, everything without a bound."""
import pathlib
import re
import subprocess
import time

import pytest

from lib import processes, setups
from lib.smtp import Disconnected, SmtpClient
from lib.waiting import allowed, wait_for

pytestmark = pytest.mark.core

HIDDEN = b"MAIL FROM:<smuggled@example.org>\r\nRCPT TO:<ben@example.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nGotcha.\r\n.\r\n"


@pytest.fixture
def world(mta, sink):
    setups.virtual_domain(mta, f"lmtp:{sink.next_hop}")
    mta.main["smtpd_forbid_bare_newline"] = "normalize"
    mta.main["smtpd_forbid_bare_newline_exclusions"] = ""
    # What follows an end of data that is none would be a command in one packet with it.
    mta.log.expect(r"improper command pipelining")
    mta.start()
    return mta, sink


@pytest.mark.parametrize("end", [
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n\n.\r\n", b"\r\r\n.\r\r\n", b"\r\n.\r\r\n",
    b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\n\r.\r\n", b"\r\n. \r\n", b"\x85.\r\n", b"\r\n.\r\0\n",
], ids=lambda end: end.hex())
def test_only_crlf_dot_crlf_ends_a_message(world, end):
    mta, sink = world
    with mta.smtp() as client:
        client.hello()
        client.envelope("carl@example.org", "anna@example.test")
        client.say("DATA", expect=354)
        client.send(b"Subject: outer\r\n\r\nText." + end + HIDDEN)
        client.reply(re.compile(r"250 2\.0\.0 Ok: queued as \w+|550 5\.5\.2 .*|521 5\.5\.2 .*"))
        # Were the hidden message taken as commands, its replies would be waiting here.
        client.say("NOOP", expect="250 2.0.0 Ok")
        client.say("QUIT", expect="221 2.0.0 Bye")
    mta.wait_empty()
    assert all(message.sender == "carl@example.org" for message in sink.messages)
    assert len(sink.messages) <= 1


def test_what_we_send_on_holds_no_bare_newline_or_carriage_return(world):
    mta, sink = world
    with mta.smtp() as client:
        client.hello()
        client.envelope("carl@example.org", "anna@example.test")
        client.say("DATA", expect=354)
        client.send(b"Subject: bare\r\n\r\na\nb\rc\r\n..dot\r\n\n.\nend\r\n.\r\n")
        client.reply(250)
    wait_for(lambda: sink.messages, "delivery")
    content = sink.messages[0].content.replace(b"\r\n", b"")
    assert b"\n" not in content and b"\r" not in content, sink.messages[0].content


def test_nothing_survives_a_refused_message(world):
    mta, sink = world
    with mta.smtp() as client:
        client.hello()
        client.say("RCPT TO:<anna@example.test>", expect="503 5.5.1 Error: need MAIL command")
        client.say("DATA", expect="503 5.5.1 Error: need RCPT command")
        client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        client.say("MAIL FROM:<other@example.org>", expect="503 5.5.1 Error: nested MAIL command")
        client.say("DATA", expect="554 5.5.1 Error: no valid recipients")
        client.say("RCPT TO:<anna@example.test>", expect="250 2.1.5 Ok")
        client.say("RSET", expect="250 2.0.0 Ok")
        client.say("DATA", expect="503 5.5.1 Error: need RCPT command")
        client.envelope("carl@example.org", "anna@example.test")
        client.send_message("Subject: one\n\nText.\n")
        client.say("RCPT TO:<ben@example.test>", expect="503 5.5.1 Error: need MAIL command")
        client.say("EHLO again", expect=250)
        client.say("DATA", expect="503 5.5.1 Error: need RCPT command")
        client.say("QUIT", expect="221 2.0.0 Bye")
    mta.wait_empty()
    assert [message.recipients for message in sink.messages] == [["anna@example.test"]]


def test_a_message_cut_off_is_not_a_message(world):
    mta, sink = world
    for text in (b"Subject: cut", b"Subject: cut\r\n\r\nText.\r\n", b"Subject: cut\r\n\r\nText.\r\n."):
        with mta.smtp() as client:
            client.hello()
            client.envelope("carl@example.org", "anna@example.test")
            client.say("DATA", expect=354)
            client.send(text)
    mta.log.wait(r"lost connection after DATA \(\d+ bytes\) from localhost\[127\.0\.0\.1\]$", 3)
    assert mta.mailq() == "Mail queue is empty\n"
    assert not sink.messages


@pytest.mark.parametrize("bad", ["a\0b", "a\x01b", "a@b@c", "<a", "a>b", "a b", '"a"b'])
def test_hostile_addresses_never_reach_a_table_or_the_spool(world, bad):
    mta, sink = world
    mta.log.expect(r"Illegal address syntax from localhost\[127\.0\.0\.1\] in RCPT command: ")
    with mta.smtp() as client:
        client.hello()
        client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        reply = client.say(f"RCPT TO:<{bad}@example.test>")
        assert re.match(r"5[05]\d 5\.", reply), reply
        client.say("QUIT", expect="221 2.0.0 Bye")
    assert not sink.messages


def test_recipients_are_bounded(mta):
    setups.virtual_domain(mta, "lmtp:inet:127.0.0.1:9")
    mta.main["smtpd_recipient_limit"] = 10
    mta.main["smtpd_recipient_overshoot_limit"] = 5
    mta.start()
    with mta.smtp() as client:
        client.hello()
        client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        for _ in range(10):
            client.say("RCPT TO:<anna@example.test>", expect="250 2.1.5 Ok")
        client.say("RCPT TO:<anna@example.test>", expect="452 4.5.3 Error: too many recipients")
        client.say("QUIT", expect="221 2.0.0 Bye")
    mta.log.expect(r"too many recipients")


def test_errors_are_bounded(mta, sink):
    setups.virtual_domain(mta, f"lmtp:{sink.next_hop}")
    mta.main["smtpd_error_sleep_time"] = "0s"
    mta.start()
    with mta.smtp() as client:
        client.hello()
        for _ in range(20):
            client.say("FROBNICATE", expect="500 5.5.2 Error: command not recognized")
        try:
            client.say("NOOP", expect="421 4.7.0 mail.example.test Error: too many errors")
        except (ConnectionResetError, BrokenPipeError):
            pass  # the server had said its 421 and hung up before it read the NOOP
        client.expect_close()
    mta.log.wait(r"too many errors after UNKNOWN from localhost\[127\.0\.0\.1\]$")


@pytest.mark.parametrize("line", ["GET / HTTP/1.1", "POST /x HTTP/1.0", "CONNECT x:25 HTTP/1.1"])
def test_a_web_browser_is_sent_away(world, line):
    mta, _ = world
    mta.log.expect(r"non-SMTP command from")
    with mta.smtp() as client:
        client.say(line, expect="221 2.7.0 Error: I can break rules, too. Goodbye.")
        client.expect_close()


def test_a_silent_client_is_sent_away(mta, sink):
    setups.virtual_domain(mta, f"lmtp:{sink.next_hop}")
    mta.main["smtpd_timeout"] = "1s"
    mta.start()
    with mta.smtp() as client:
        client.hello()
        started = time.monotonic()
        client.reply("421 4.4.2 mail.example.test Error: timeout exceeded")
        assert 0.8 < time.monotonic() - started < allowed(3)
        client.expect_close()
    mta.log.wait(r"timeout after EHLO from localhost\[127\.0\.0\.1\]$")


def test_an_endless_line_takes_no_memory(posthorn, sink):
    """64 MB without a line end, as command and as header; the server's memory stays where it was."""
    setups.virtual_domain(posthorn, f"lmtp:{sink.next_hop}")
    posthorn.main["smtpd_timeout"] = "20s"
    posthorn.log.expect(r"request longer than 2048: x{30}", r"queue file size limit exceeded")
    posthorn.log.expect(r"request longer than 2048: x", r"queue file size limit exceeded")
    posthorn.start()
    posthorn.send("carl@example.org", "anna@example.test")
    before = sum(processes.memory_kib(pid) for pid in posthorn.pids())
    most = (32 if processes.is_sanitized(posthorn.pids("smtpd")[0]) else 8) * 1024
    for start in (None, b"Subject: "):
        with SmtpClient(posthorn.port) as client:
            client.hello()
            if start:
                client.envelope("carl@example.org", "anna@example.test")
                client.say("DATA", expect=354)
                client.send(start)
            try:
                for _ in range(64):
                    client.socket.sendall(b"x" * (1 << 20))
            except OSError:
                pass  # being thrown out is fine
            during = sum(processes.memory_kib(pid) for pid in posthorn.pids())
            assert during < before + most, f"{before} KiB before, {during} KiB now"
    posthorn.send("carl@example.org", "anna@example.test")


@pytest.mark.parametrize("tables", ["", "inline:{old@example.test=anna@example.test}"], ids=["completed", "mapped"])
def test_headers_full_of_addresses_take_little_memory(posthorn, tables):
    """What is known of the addresses of one part of the headers is forgotten before the next part comes."""
    setups.virtual_domain(posthorn, "discard")
    posthorn.main.update({"local_header_rewrite_clients": "static:all", "canonical_maps": tables})
    posthorn.start()
    posthorn.send("carl@example.org", "anna@example.test")
    smtpd = posthorn.pids("smtpd")[0]
    if processes.is_sanitized(smtpd):
        return
    before = processes.memory_kib(smtpd)
    with posthorn.smtp(timeout=60) as client:
        client.hello()
        client.envelope("carl@example.org", "anna@example.test")
        client.say("DATA", expect=354)
        for _ in range(200):  # 240,000 addresses, 2.4 MB
            client.send(b"To: " + b"b@example," * 1200 + b"\r\n")
        client.say(".", expect=250)
    peak = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{smtpd}/status").read_text()).group(1))
    assert peak - before < 60 * 1024, f"{before} KiB before, {peak} KiB at most"


def test_many_half_open_sessions_leave_room_for_others(posthorn, sink):
    setups.virtual_domain(posthorn, f"lmtp:{sink.next_hop}")
    posthorn.start()
    silent = [SmtpClient(posthorn.port) for _ in range(300)]
    started = time.monotonic()
    posthorn.send("carl@example.org", "anna@example.test")
    assert time.monotonic() - started < allowed(1)
    for client in silent:
        client.close()


@pytest.mark.parametrize("flood", ["discarded chunk", "tiny chunks"])
def test_a_flood_leaves_room_for_others(posthorn, sink, flood):
    """A client that sends faster than anybody reads is still only one of many."""
    setups.virtual_domain(posthorn, f"lmtp:{sink.next_hop}")
    posthorn.main["message_size_limit"] = 1 << 40
    posthorn.start()
    with SmtpClient(posthorn.port) as client:
        client.hello()
        if flood == "tiny chunks":
            client.envelope("carl@example.org", "anna@example.test")
            command = ["yes", "BDAT 2\r\nx"]
        else:
            client.send(b"BDAT 9000000000000000000\r\n")
            command = ["cat", "/dev/zero"]
        client.socket.setblocking(True)  # the children's, too
        with subprocess.Popen(command, stdout=client.socket, stderr=subprocess.DEVNULL) as sender, \
                subprocess.Popen(["cat"], stdin=client.socket, stdout=subprocess.DEVNULL) as reader:
            try:
                time.sleep(0.3)
                slowest = 0
                for _ in range(20):
                    started = time.monotonic()
                    with SmtpClient(posthorn.port) as other:
                        other.hello()
                    slowest = max(slowest, time.monotonic() - started)
            finally:
                sender.kill()
                reader.kill()
    assert slowest < 0.5


def test_pipelined_session_in_one_packet(world):
    mta, sink = world
    with mta.smtp() as client:
        client.hello()
        client.send(b"MAIL FROM:<carl@example.org>\r\nRCPT TO:<anna@example.test>\r\nRCPT TO:<nobody@example.test>\r\nDATA\r\n")
        client.reply("250 2.1.0 Ok")
        client.reply("250 2.1.5 Ok")
        client.reply(550)
        client.reply(354)
        client.send(b"Subject: piped\r\n\r\nText.\r\n.\r\nQUIT\r\n")
        client.reply(re.compile(r"250 2\.0\.0 Ok: queued as \w+"))
        client.reply("221 2.0.0 Bye")
        client.expect_close()
    wait_for(lambda: sink.messages, "delivery")


def test_one_byte_at_a_time(world):
    mta, sink = world
    with mta.smtp() as client:
        for command, expect in ((b"EHLO slow.test\r\n", 250), (b"MAIL FROM:<carl@example.org>\r\n", 250),
                                (b"RCPT TO:<anna@example.test>\r\n", 250), (b"DATA\r\n", 354),
                                (b"Subject: slow\r\n\r\n..dot\r\n.\r\n", 250)):
            for index in range(len(command)):
                client.socket.sendall(command[index:index + 1])
                time.sleep(0.001)
            client.reply(expect)
    wait_for(lambda: sink.messages, "delivery")
    assert sink.messages[0].content.endswith(b"\r\n\r\n.dot\r\n")


def test_connection_reset_everywhere_harms_nobody(world):
    mta, sink = world
    steps = [b"EHLO x\r\n", b"MAIL FROM:<carl@example.org>\r\n", b"RCPT TO:<anna@example.test>\r\n", b"DATA\r\n", b"x\r\n"]
    for count in range(len(steps) + 1):
        with mta.smtp() as client:
            for step in steps[:count]:
                client.send(step)
                if step != b"x\r\n":
                    client.reply()
            client.socket.setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")  # SO_LINGER 0: reset instead of close
    mta.send("carl@example.org", "anna@example.test")
    wait_for(lambda: sink.messages, "delivery")
    assert len(sink.messages) == 1


def test_disconnected_is_raised_for_a_closed_connection(world):
    """The helper itself: a reply that never comes is not a pass."""
    mta, _ = world
    with mta.smtp() as client:
        client.say("QUIT", expect="221 2.0.0 Bye")
        with pytest.raises(Disconnected):
            client.reply()
