# SPDX-License-Identifier: ISC
"""Port 25's policy where a dialogue alone does not show it: starting, counting clients, a table that fails, large mail."""
import socket

import pytest

from lib import setups
from lib.waiting import accepts_connections, wait_for


def test_an_open_relay_does_not_start(mta):
    mta.log.expect(r"specify at least one working instance", r"bad command startup", r"exit status 1", r"smtpd", r"startup failed")
    mta.main.update({"smtpd_relay_restrictions": "permit_mynetworks", "smtpd_recipient_restrictions": "permit"})
    if mta.name == "posthorn":
        with pytest.raises(AssertionError, match="startup failed"):
            mta.start()
    else:  # it starts its smtpd at the first client
        mta.start(wait=False)
        wait_for(lambda: accepts_connections("127.0.0.1", mta.port), "the listener", 20)
    mta.log.wait(r"postfix/smtpd\[\d+\]: fatal: in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, "
                 r"specify at least one working instance of: reject_unauth_destination, defer_unauth_destination, reject, "
                 r"defer, defer_if_permit or check_relay_domains$", seconds=20)


def test_clients_are_counted_by_address(mta):
    mta.log.expect(r"Connection concurrency limit exceeded")
    setups.virtual_domain(mta, "discard")
    mta.main.update({"smtpd_client_connection_count_limit": "2", "smtpd_client_event_limit_exceptions": "",
                     "smtpd_peername_lookup": "no"})
    mta.start()
    mta.log.wait(r"smtpd\[\d+\]: disconnect from")
    with mta.smtp() as first, mta.smtp() as second:
        with mta.smtp(expect="421 4.7.0 mail.example.test Error: too many connections from 127.0.0.1") as third:
            third.expect_close()
        mta.log.wait(r"smtpd\[\d+\]: warning: Connection concurrency limit exceeded: 3 from unknown\[127\.0\.0\.1\] for service ")
        with mta.smtp(source="127.0.0.3") as other:
            other.say("QUIT", expect="221 2.0.0 Bye")
        first.say("NOOP", expect="250 2.0.0 Ok")
        second.say("QUIT", expect="221 2.0.0 Bye")


def test_a_failing_recipient_table_defers(mta):
    mta.log.expect(r"fail:table")
    setups.virtual_domain(mta, "discard")
    mta.main.update({"virtual_mailbox_maps": "fail:table", "virtual_alias_maps": ""})
    mta.start()
    with mta.smtp() as client:
        client.hello()
        client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        client.say("RCPT TO:<anna@example.test>", expect="451 4.3.0 <anna@example.test>: Temporary lookup failure")
        client.say("DATA", expect="554 5.5.1 Error: no valid recipients")
        client.say("RSET", expect="250 2.0.0 Ok")
    mta.log.wait(r"smtpd\[\d+\]: NOQUEUE: reject: RCPT from \S+: 451 4\.3\.0 <anna@example\.test>: Temporary lookup failure; "
                 r"from=<carl@example\.org> to=<anna@example\.test> proto=ESMTP helo=<client\.test>$")


def test_slow_and_large_mail_arrives(mta):
    setups.virtual_domain(mta, "discard")
    mta.start()
    line = b"x" * 70 + b"\r\n"
    with mta.smtp() as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.hello()
        client.envelope("carl@example.org", "anna@example.test")
        client.say("DATA", expect=354)
        for byte in b"Subject: x\r\n\r\n..\r\n.y\r\n":
            client.send(bytes([byte]))
        client.socket.sendall(line * 40000)
        client.socket.sendall(b".\r\n")
        queue_id = client.reply(250).split()[-1]
    mta.log.wait(rf"{queue_id}: to=<anna@example\.test>, .*status=sent")
    size = int(mta.log.wait(rf"{queue_id}: from=<carl@example\.org>, size=(\d+), nrcpt=1").group(1))
    assert 40000 * 71 < size < 40000 * 72 + 1000  # Postfix counts two bytes for each line end
