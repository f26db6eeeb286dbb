# SPDX-License-Identifier: ISC
"""What becomes of mail when the LMTP server accepts, refuses, dies or is not there: results and log lines."""
import re

import pytest

from lib import setups
from lib.waiting import free_port, wait_for

DELAYS = r"delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+"


@pytest.fixture
def world(mta, sink):
    setups.virtual_domain(mta, f"lmtp:{sink.next_hop}")
    mta.main["minimal_backoff_time"] = mta.main["maximal_backoff_time"] = "1000s"
    return mta, sink


def relay(sink):
    return rf"127\.0\.0\.1\[127\.0\.0\.1\]:{sink.port}"


def test_delivered(world):
    mta, sink = world
    mta.start()
    queue_id = mta.send("carl@example.org", "anna@example.test", "Subject: x\n\n.dot\n..\nlast\n")
    mta.log.wait(rf"postfix/lmtp\[\d+\]: {queue_id}: to=<anna@example\.test>, relay={relay(sink)}, {DELAYS}, "
                 r"dsn=2\.0\.0, status=sent \(250 2\.0\.0 <anna@example\.test> saved\)$")
    message = sink.messages[0]
    assert message.sender == "carl@example.org"
    assert message.recipients == ["anna@example.test"]
    assert message.content.endswith(b"\r\nSubject: x\r\n\r\n.dot\r\n..\r\nlast\r\n") or \
        message.content.endswith(b"\r\n\r\n.dot\r\n..\r\nlast\r\n")
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", message.content) is None
    assert "LHLO mail.example.test" in sink.commands
    mail = next(command for command in sink.commands if command.startswith("MAIL"))
    assert re.fullmatch(r"MAIL FROM:<carl@example\.org> SIZE=\d+", mail)
    assert "RCPT TO:<anna@example.test> ORCPT=rfc822;anna@example.test" in sink.commands


def test_each_recipient_gets_its_own_result(world):
    mta, sink = world
    sink.on_rcpt = lambda address: "550-5.1.1 No\r\n550 5.1.1 such user" if address.startswith("ben") else "250 2.1.5 OK"
    mta.main["virtual_alias_maps"] = ""
    setups.virtual_domain(mta, f"lmtp:{sink.next_hop}", mailboxes=("anna", "ben", "cleo"))
    sink.on_end_of_data = lambda message, to: "452 4.2.2 Mailbox full" if to.startswith("cleo") else f"250 2.0.0 <{to}> saved"
    mta.start()
    queue_id = mta.send("carl@example.org", ["anna@example.test", "ben@example.test", "cleo@example.test"])
    mta.log.wait(rf"{queue_id}: to=<anna@example\.test>, relay={relay(sink)}, {DELAYS}, dsn=2\.0\.0, status=sent ")
    mta.log.wait(rf"{queue_id}: to=<ben@example\.test>, relay={relay(sink)}, {DELAYS}, dsn=5\.1\.1, status=bounced "
                 r"\(host 127\.0\.0\.1\[127\.0\.0\.1\] said: 550-5\.1\.1 No 550 5\.1\.1 such user "
                 r"\(in reply to RCPT TO command\)\)$")
    mta.log.wait(rf"{queue_id}: to=<cleo@example\.test>, relay={relay(sink)}, {DELAYS}, dsn=4\.2\.2, status=deferred "
                 r"\(host 127\.0\.0\.1\[127\.0\.0\.1\] said: 452 4\.2\.2 Mailbox full "
                 r"\(in reply to end of DATA command\)\)$")


HOST = r"127\.0\.0\.1\[127\.0\.0\.1\]"


@pytest.mark.parametrize("script, dsn, reason", [
    ({"CONNECT": b"421 4.3.2 busy\r\n"}, "4.3.2", rf"host {HOST} refused to talk to me: 421 4\.3\.2 busy"),
    ({"CONNECT": b"554 5.3.2 no\r\n"}, "4.3.2", rf"host {HOST} refused to talk to me: 554 5\.3\.2 no"),
    ({"CONNECT": None}, "4.4.2", rf"lost connection with {HOST} while receiving the initial server greeting"),
    ({"LHLO": None}, "4.4.2", rf"lost connection with {HOST} while performing the LHLO handshake"),
    ({"LHLO": b"451 4.3.0 later\r\n"}, "4.3.0", rf"host {HOST} refused to talk to me: 451 4\.3\.0 later"),
    ({"MAIL": b"451 4.3.0 later\r\n"}, "4.3.0",
     rf"host {HOST} said: 451 4\.3\.0 later \(in reply to MAIL FROM command\)"),
    ({"MAIL": None}, "4.4.2", rf"lost connection with {HOST} while sending MAIL FROM"),
    ({"RCPT": None}, "4.4.2", rf"lost connection with {HOST} while sending RCPT TO"),
    ({"DATA": b"451 4.3.0 later\r\n"}, "4.3.0", rf"host {HOST} said: 451 4\.3\.0 later \(in reply to DATA command\)"),
    ({"DATA": None}, "4.4.2", rf"lost connection with {HOST} while sending DATA command"),
    ({".": None}, "4.4.2",
     rf"lost connection with {HOST} while sending end of data -- message may be sent more than once"),
    ({".": b"451 4.3.0 later\r\n"}, "4.3.0",
     rf"host {HOST} said: 451 4\.3\.0 later \(in reply to end of DATA command\)"),
], ids=lambda value: " ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else "")
def test_deferred(world, script, dsn, reason):
    mta, sink = world
    sink.script = script
    mta.start()
    queue_id = mta.send("carl@example.org", "anna@example.test")
    mta.log.wait(rf"postfix/lmtp\[\d+\]: {queue_id}: to=<anna@example\.test>, relay={relay(sink)}, {DELAYS}, "
                 rf"dsn={re.escape(dsn)}, status=deferred \({reason}\)$")
    assert queue_id in mta.mailq()


def test_nobody_listens(mta):
    port = free_port()
    setups.virtual_domain(mta, f"lmtp:inet:127.0.0.1:{port}")
    mta.start()
    queue_id = mta.send("carl@example.org", "anna@example.test")
    mta.log.wait(rf"postfix/lmtp\[\d+\]: {queue_id}: to=<anna@example\.test>, relay=none, {DELAYS}, dsn=4\.4\.1, "
                 rf"status=deferred \(connect to {HOST}:{port}: Connection refused\)$")


def test_no_socket(mta):
    setups.virtual_domain(mta, "lmtp:unix:private/nothing")
    mta.start()
    queue_id = mta.send("carl@example.org", "anna@example.test")
    mta.log.wait(rf"postfix/lmtp\[\d+\]: {queue_id}: to=<anna@example\.test>, relay=none, {DELAYS}, dsn=4\.4\.1, "
                 r"status=deferred \(connect to mail\.example\.test\[private/nothing\]: No such file or directory\)$")


def test_stalling_server_times_out(world):
    mta, sink = world
    sink.script = {"MAIL": b"", "RCPT": b"", "DATA": b""}
    mta.main["lmtp_mail_timeout"] = "1s"
    mta.start()
    queue_id = mta.send("carl@example.org", "anna@example.test")
    mta.log.wait(rf"{queue_id}: to=<anna@example\.test>, relay={relay(sink)}, {DELAYS}, dsn=4\.4\.2, status=deferred "
                 rf"\(conversation with {HOST} timed out while sending MAIL FROM\)$")


def test_long_lines_are_broken(world):
    mta, sink = world
    mta.start()
    queue_id = mta.send("carl@example.org", "anna@example.test", "Subject: x\n\n" + "0123456789" * 250 + "\n")
    wait_for(lambda: sink.messages, "the message")
    body = sink.messages[0].content.split(b"\r\n\r\n", 1)[1]
    text = b"0123456789" * 250
    assert body == text[:998] + b"\r\n " + text[998:998 + 997] + b"\r\n " + text[1995:] + b"\r\n"
    mta.log.wait(rf"{queue_id}: breaking line > 998 bytes with <CR><LF>SPACE$")


def test_addresses_are_quoted(world):
    mta, sink = world
    mta.main["virtual_mailbox_maps"] = "static:x"
    mta.start()
    queue_id = mta.send('"a b"@example.org', '"c d"@example.test')
    mta.log.wait(rf'{queue_id}: to=<"c d"@example\.test>, .*status=sent')
    assert any(command.startswith('MAIL FROM:<"a b"@example.org>') for command in sink.commands)
    assert any(command.startswith('RCPT TO:<"c d"@example.test>') for command in sink.commands)


def test_connections_are_used_again(posthorn, sink):
    setups.virtual_domain(posthorn, f"lmtp:{sink.next_hop}")
    posthorn.start()
    for number in range(10):
        posthorn.send("carl@example.org", "anna@example.test")
        wait_for(lambda: len(sink.messages) == number + 1, "the message")
    assert sink.sessions == 1
    posthorn.log.wait(r"to=<anna@example\.test>, .*, conn_use=10, delay=")


def test_hostile_replies_never_count_as_sent(posthorn, sink):
    posthorn.log.expect(r"malformed reply")
    setups.virtual_domain(posthorn, f"lmtp:{sink.next_hop}")
    posthorn.main["minimal_backoff_time"] = posthorn.main["maximal_backoff_time"] = "1000s"
    posthorn.start()
    for script in ({"CONNECT": b"220 hi\r\n250 a\r\n250 b\r\n250 c\r\n354 d\r\n250 e\r\n"},
                   {"MAIL": b"250 ok\r\n250 ok\r\n354 go\r\n250 delivered\r\n"},
                   {"DATA": b"354 go\r\n250 delivered\r\n"},
                   {"RCPT": b"250-a\r\n550 b\r\n"},
                   {"RCPT": b"250-" + b"x" * 100000},
                   {"RCPT": b"250-more\r\n" * 10000},
                   {"DATA": b"250 delivered\r\n"}):
        sink.script = script
        queue_id = posthorn.send("carl@example.org", "anna@example.test")
        line = posthorn.log.wait(rf"{queue_id}: to=<anna@example\.test>, .*status=")
        assert "status=deferred" in posthorn.log.text().split(f"{queue_id}: to=")[1].split("\n")[0], line


@pytest.mark.parametrize("has_dsn", [True, False])
def test_success_notification_is_the_servers_duty(world, has_dsn):
    mta, sink = world
    sink.extensions = tuple(word for word in sink.extensions if has_dsn or word != "DSN")
    mta.start()
    with mta.smtp() as client:
        client.hello()
        client.say("MAIL FROM:<ben@example.test> RET=HDRS ENVID=a+2Bb", expect="250 2.1.0 Ok")
        client.say("RCPT TO:<anna@example.test> NOTIFY=SUCCESS,FAILURE", expect="250 2.1.5 Ok")
        queue_id = client.send_message("Subject: x\n\nx\n")
    mta.log.wait(rf"{queue_id}: to=<anna@example\.test>, .*status=sent")
    mail = next(command for command in sink.commands if command.startswith("MAIL"))
    rcpt = next(command for command in sink.commands if command.startswith("RCPT"))
    if has_dsn:
        assert " RET=HDRS" in mail and " ENVID=a+2Bb" in mail
        assert rcpt == "RCPT TO:<anna@example.test> ORCPT=rfc822;anna@example.test NOTIFY=SUCCESS,FAILURE"
        mta.log.wait(rf"{queue_id}: removed")
        assert "notification" not in mta.log.text()
    else:
        assert "ENVID" not in mail and rcpt == "RCPT TO:<anna@example.test>"
        mta.log.wait(rf"{queue_id}: sender delivery status notification: ")
