# SPDX-License-Identifier: ISC
"""What a stolen password can do: limits per login that all services share and a restart keeps, and failed logins that wait."""
import concurrent.futures
import json
import re
import time

import pytest

from lib import processes, setups
from lib.sasl import DovecotAuth, plain
from lib.smtp import SmtpClient
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
    assert explained() == LIMITED.format(to="ben@example.test", login="anna", limit="1 message in 1h")


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
        one_message(client, LIMITED.format(to="anna@example.test", login="other", limit="1 message in 1h"))
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
    posthorn.log.wait(rf"smtpd\[\d+\]: \S+: hold: RCPT from localhost\[127\.0\.0\.1\]: <ben>: user ben exceeds the limit of 1 message in 1h; "
                      r"from=<anna@example\.test> to=<anna@example\.test> proto=ESMTP helo=<client\.test>")
    wait_for(lambda: f"{held}!" in posthorn.mailq(), "the held message")


def test_limits_hold_without_state(posthorn):
    """Its file gone, it goes on with what it has open; itself gone, each process counts for itself, from nothing."""
    limited(posthorn, smtpd_sasl_message_limit="1/1h")
    posthorn.log.expect("state service: ", "killed by signal 9", r"state\[", "state.*(startup|bad command)", "throttling", "exit status")
    data = posthorn.directory / "data" / "state"
    refusal = LIMITED.format(to="anna@example.test", login="anna", limit="1 message in 1h")
    with logged_in(posthorn, "anna") as client, logged_in(posthorn, "anna", posthorn.second) as other:
        one_message(client)
        one_message(other, refusal)
        data.rename(data.with_name("gone"))
        one_message(client, refusal)
        processes.kill(posthorn.pids("state")[0])
        wait_for(lambda: posthorn.log.lines(r"fatal: open directory \S+state: No such file"), "a state that cannot start")
        for session in (client, other):
            one_message(session)
            one_message(session, refusal)
        data.with_name("gone").rename(data)


@pytest.mark.parametrize("value", ["many", "3/1y", "1/s,2/m,3/h,4/d,5/w"])
def test_a_limit_that_cannot_be_read_stops_the_start(posthorn, value):
    posthorn.log.expect(r".*")
    setups.virtual_domain(posthorn, "discard")
    posthorn.main["smtpd_sasl_message_limit"] = value
    with pytest.raises(AssertionError, match="startup failed"):
        posthorn.start()
    assert f"fatal: bad configuration: smtpd_sasl_message_limit = {value}" in posthorn.log.text()


# --- failed logins ------------------------------------------------------------------------------------------------------------------

LATER = "454 4.7.0 Temporary authentication failure: too many failed logins, try again later"
GOOD = "235 2.7.0 Authentication successful"


@pytest.fixture
def guessed(posthorn):
    """Dovecot behind two services; guessed(password, source, login) is (reply, seconds)."""
    if DovecotAuth.unavailable():
        pytest.skip(DovecotAuth.unavailable())
    posthorn.log.expect("authentication (failed|refused)")
    limited(posthorn, smtpd_sasl_type="dovecot", smtpd_sasl_path="private/auth", mynetworks="127.0.0.1/32",
            smtpd_sasl_failure_delay_max="2s", smtpd_client_connection_count_limit="0",
            smtpd_peername_lookup="no")
    auth = DovecotAuth(posthorn.queue / "private" / "auth", posthorn.owner, {"anna": "right", "ben": "right"}).start()

    def attempt(password, source, login="anna", port=None):
        with SmtpClient(port or posthorn.port, source=source) as client:
            client.hello()
            begin = time.monotonic()
            reply = client.say(f"AUTH PLAIN {plain(login, password)}")
            return reply, time.monotonic() - begin

    attempt.mta = posthorn
    yield attempt
    auth.finish()


def refused(result, least, most):
    reply, seconds = result
    return reply.startswith("535") and least <= seconds < most


def quick(result):
    return result[0] == GOOD and result[1] < 0.8


def test_failed_logins_wait_longer_and_longer(guessed):
    for n in (2, 3, 4):  # guesses at one login from everywhere
        assert refused(guessed("wrong", f"127.0.0.{n}"), 0, 0.8)
    assert refused(guessed("wrong", "127.0.0.5"), 0.9, 1.8)
    reply, seconds = guessed("right", "127.0.0.5")  # late, but not refused, at a place where she was never seen
    assert reply == GOOD and 1.8 <= seconds < 2.8
    assert quick(guessed("right", "127.0.0.5"))  # and now she was
    for login in "xyz":  # guesses at every login from one address, on both ports
        assert refused(guessed("wrong", "127.0.0.6", login, guessed.mta.second), 0, 0.8)
    assert refused(guessed("wrong", "127.0.0.6", "e"), 0.5, 1.8)
    guessed.mta.log.wait(r"smtpd\[\d+\]: unknown\[127\.0\.0\.6\]: SASL PLAIN authentication delayed by [01]\.\ds after failed logins, "
                         r"sasl_username=e$")
    guessed.mta.restart()  # forgets nothing
    assert refused(guessed("wrong", "127.0.0.6", "f"), 0.5, 2.8)
    assert quick(guessed("right", "127.0.0.5"))
    for _ in range(4):  # a webmail in mynetworks
        assert refused(guessed("wrong", "127.0.0.1"), 0, 0.8)


def many_at_once(guessed, source, count=40):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda n: guessed("wrong", source, "anna", (guessed.mta.port, guessed.mta.second)[n % 2]), range(count)))


@pytest.mark.parametrize("is_down", [False, True], ids=["counted in state", "without state"])
def test_parallel_guesses_wait_for_each_other(guessed, is_down):
    """Forty connections guess no faster than one, and lock nobody out; while state is away each process sees to it itself."""
    mta = guessed.mta
    assert quick(guessed("right", "127.0.0.9"))
    data = mta.directory / "data" / "state"
    if is_down:
        mta.log.expect("state service: ", "killed by signal 9", r"state\[", "state.*(startup|bad command)", "throttling", "exit status")
        data.rename(data.with_name("gone"))
        processes.kill(mta.pids("state")[0])
        wait_for(lambda: mta.log.lines(r"fatal: open directory \S+state: No such file"), "a state that cannot start")
    begin = time.monotonic()
    for burst in range(2):
        replies = [reply for reply, _ in many_at_once(guessed, "127.0.0.10")]
        judged = [reply for reply in replies if reply != LATER]
        assert all(reply.startswith("535") for reply in judged)
        if burst == 0:
            assert len(judged) <= (20 if not is_down else 40)  # ten may begin at once, in each process when it is alone
    seconds = time.monotonic() - begin
    assert len(judged) <= (3 + seconds / 2) * (2 if is_down else 1)
    assert quick(guessed("right", "127.0.0.9" if not is_down else "127.0.0.1"))
    assert mta.log.lines(r"warning: unknown\[127\.0\.0\.10\]: SASL PLAIN authentication refused: too many failed logins "
                         r"(from this address|of this user), sasl_username=anna$")
    reply, seconds = guessed("right", "127.0.0.11")  # at a new place
    assert reply == GOOD and seconds <= (3.8 if is_down else 2.8)  # a second for state to come back
    if is_down:
        data.with_name("gone").rename(data)
