# SPDX-License-Identifier: ISC
"""What a stolen password can do: limits per login that all services share and a restart keeps, and failed logins that wait."""
import json
import re
import time

import pytest

from lib import setups
from lib.sasl import DovecotAuth, plain
from lib.waiting import accepts_connections, free_port, wait_for

LIMITED = "450 4.7.1 <{to}>: Recipient address rejected: user {login} exceeds the limit of {limit}"


def limited(server, **parameters):
    """Two services where XCLIENT logs people in."""
    server.log.expect("reject: |hold: ")
    setups.virtual_domain(server, "discard")
    server.main.update({"smtpd_sasl_auth_enable": "yes", "smtpd_authorized_xclient_hosts": "127.0.0.1", **parameters})
    server.second = free_port()
    server.master_cf += f"127.0.0.1:{server.second} inet n - n - - smtpd\n"
    server.start()
    wait_for(lambda: accepts_connections("127.0.0.1", server.second), "the second service")


def logged_in(server, login, port=None):
    first, server.port = server.port, port or server.port
    client = server.smtp()
    server.port = first
    client.say(f"XCLIENT LOGIN={login}", expect=220)
    client.hello()
    return client


def one_message(client, expect=None, to="anna@example.test"):
    client.say("MAIL FROM:<anna@example.test>", expect="250 2.1.0 Ok")
    reply = client.say(f"RCPT TO:<{to}>")
    if expect is not None:
        assert reply == expect
        client.say("RSET", expect="250 2.0.0 Ok")
        return None
    assert reply == "250 2.1.5 Ok"
    return client.send_message("Subject: x\n\nx\n")


def test_messages_are_counted_over_services_and_restarts(posthorn):
    limited(posthorn, smtpd_sasl_message_limit="3/1h, 4/1d")
    refusal = LIMITED.format(to="anna@example.test", login="anna", limit="3 messages in 1h")
    with logged_in(posthorn, "anna") as client, logged_in(posthorn, "Anna", posthorn.second) as other:
        one_message(client)
        one_message(other)
        one_message(client)
        one_message(client, refusal)
        one_message(other, refusal.replace("anna ", "Anna "))
    with logged_in(posthorn, "ben") as client:
        one_message(client)
    with posthorn.smtp() as client:  # nobody in particular
        client.hello()
        for _ in range(4):
            one_message(client)
    posthorn.log.wait(r"smtpd\[\d+\]: NOQUEUE: reject: " + re.escape(
        f"RCPT from localhost[127.0.0.1]: {refusal}; from=<anna@example.test> to=<anna@example.test> proto=ESMTP helo=<client.test>"))
    posthorn.restart()
    with logged_in(posthorn, "anna") as client:
        one_message(client, refusal)
    with logged_in(posthorn, "carl") as client:
        for _ in range(2):
            one_message(client)
        question = ["--client", "192.0.2.1", "--from", "anna@example.test", "--to", "anna@example.test", "--sasl", "carl", "--port",
                    str(posthorn.port)]
        for _ in range(3):  # to ask is not to send
            posthorn.command("posthorn", "-c", posthorn.config, "explain", *question)
        one_message(client)
        explained = posthorn.command("posthorn", "-c", posthorn.config, "explain", "--live", *question)
        assert "user carl exceeds the limit of 3 messages in 1h" in explained.stdout, explained


def test_recipients_are_counted(posthorn):
    limited(posthorn, smtpd_sasl_recipient_limit="3", smtpd_sasl_message_limit="none")
    with logged_in(posthorn, "anna") as client:
        client.say("MAIL FROM:<anna@example.test>", expect="250 2.1.0 Ok")
        for to in ("anna@example.test", "ben@example.test", "anna@example.test"):
            client.say(f"RCPT TO:<{to}>", expect="250 2.1.5 Ok")
        client.say("RCPT TO:<nobody@example.test>", expect=550)  # what is refused anyway does not count
        client.say("RCPT TO:<ben@example.test>",
                   expect=LIMITED.format(to="ben@example.test", login="anna", limit="3 recipients in 1h"))
        client.send_message("Subject: x\n\nto those who were accepted\n")


def test_explaining_counts_nowhere(posthorn):
    limited(posthorn, smtpd_sasl_message_limit="1/1h", smtpd_sasl_recipient_limit="9")

    def explained():
        out = posthorn.command("posthorn", "-c", posthorn.config, "explain", "--client", "192.0.2.1", "--sasl", "anna", "--no-tls", "--live",
                               "--from", "anna@example.test", "--to", "ben@example.test", "--json").stdout
        return json.loads(out)["reply"]

    for _ in range(3):
        assert explained().startswith("250 ")
    with logged_in(posthorn, "anna") as client:
        one_message(client)
    assert explained() == LIMITED.format(to="ben@example.test", login="anna", limit="1 messages in 1h")


def test_limits_from_a_table(posthorn):
    limited(posthorn, smtpd_sasl_message_limit="inline:{ {boss=none} {shop=2/1d} {typo=lots} }, 1/1h")
    posthorn.log.expect("bad limit for typo: lots")
    with logged_in(posthorn, "boss") as client:
        for _ in range(3):
            one_message(client)
    with logged_in(posthorn, "shop") as client:
        one_message(client)
        one_message(client)
        one_message(client, LIMITED.format(to="anna@example.test", login="shop", limit="2 messages in 1d"))
    with logged_in(posthorn, "other") as client:
        one_message(client)
        one_message(client, LIMITED.format(to="anna@example.test", login="other", limit="1 messages in 1h"))
    with logged_in(posthorn, "typo") as client:
        one_message(client, "451 4.3.0 <anna@example.test>: Temporary lookup failure")


def test_a_table_that_fails_defers_and_holding_holds(posthorn):
    limited(posthorn, smtpd_sasl_message_limit="1/1h", smtpd_sasl_limit_action="hold", smtpd_sasl_recipient_limit="fail:x")
    posthorn.log.expect("fail:x|lookup error")
    with logged_in(posthorn, "anna") as client:
        one_message(client, "451 4.3.0 <anna@example.test>: Temporary lookup failure")
    posthorn.main["smtpd_sasl_recipient_limit"] = ""
    posthorn.reload()
    with logged_in(posthorn, "ben") as client:
        one_message(client)
        held = one_message(client)
    posthorn.log.wait(rf"smtpd\[\d+\]: \S+: hold: RCPT from localhost\[127\.0\.0\.1\]: <ben>: user ben exceeds the limit of 1 messages in 1h; "
                      r"from=<anna@example\.test> to=<anna@example\.test> proto=ESMTP helo=<client\.test>")
    wait_for(lambda: f"{held}!" in posthorn.mailq(), "the held message")


def test_without_state_nobody_is_limited(posthorn):
    limited(posthorn, smtpd_sasl_message_limit="1/1h")
    posthorn.log.expect("state service: ", "killed by signal", "state.*startup", "throttling")
    data = posthorn.directory / "data" / "state"
    with logged_in(posthorn, "anna") as client:
        one_message(client)
        one_message(client, LIMITED.format(to="anna@example.test", login="anna", limit="1 messages in 1h"))
        data.rename(data.with_name("gone"))  # it goes on with what it has open
        one_message(client, LIMITED.format(to="anna@example.test", login="anna", limit="1 messages in 1h"))
        data.with_name("gone").rename(data)


@pytest.mark.parametrize("value", ["many", "3/1y", "1/s,2/m,3/h,4/d,5/w"])
def test_a_limit_that_cannot_be_read_stops_the_start(posthorn, value):
    posthorn.log.expect(r".*")
    setups.virtual_domain(posthorn, "discard")
    posthorn.main["smtpd_sasl_message_limit"] = value
    with pytest.raises(AssertionError, match="startup failed"):
        posthorn.start()
    assert f"fatal: bad configuration: smtpd_sasl_message_limit = {value}" in posthorn.log.text()


def test_failed_logins_wait_longer_and_longer(posthorn):
    if DovecotAuth.unavailable():
        pytest.skip(DovecotAuth.unavailable())
    posthorn.log.expect("authentication failed")
    setups.virtual_domain(posthorn, "discard")
    posthorn.main.update({"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": "private/auth",
                          "mynetworks": "127.0.0.1/32"})
    posthorn.start()
    auth = DovecotAuth(posthorn.queue / "private" / "auth", posthorn.owner, {"anna": "right"}).start()
    try:

        def attempt(password, source, login="anna"):
            with posthorn.smtp(source=source) as client:
                client.hello()
                begin = time.monotonic()
                client.say(f"AUTH PLAIN {plain(login, password)}", expect=235 if password == "right" else 535)
                return time.monotonic() - begin

        assert all(attempt("wrong", f"127.0.0.{n}") < 0.8 for n in (2, 3, 4))  # guesses at one login from everywhere
        assert 1 <= attempt("wrong", "127.0.0.5") < 1.8
        assert attempt("right", "127.0.0.5") < 0.8  # who knows the password waits for nothing
        assert all(attempt("wrong", "127.0.0.6", login) < 0.8 for login in "bcd")  # guesses at every login from one address
        assert 1 <= attempt("wrong", "127.0.0.6", "e") < 1.8
        assert all(attempt("wrong", "127.0.0.1", "anna") < 0.8 for _ in range(2))  # a webmail in mynetworks
    finally:
        auth.finish()
