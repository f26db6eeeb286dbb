# SPDX-License-Identifier: ISC
"""posthorn explain: what it says of a client is what the server says to it, and it names the line that decides."""
import json
import re
import subprocess
import time

import pytest

from lib import setups
from lib.policy_server import PolicyServer
from lib.waiting import free_port

# Restriction lists in which every place that can decide is on a line of its own.
MAIN_CF = """
smtpd_restriction_classes = strict
strict =
    reject_non_fqdn_sender,
    check_sender_access inline:{{bad@example.org=REJECT go away} {slow@example.org=DEFER_IF_PERMIT come back}}
smtpd_helo_restrictions =
    reject_invalid_helo_hostname
smtpd_recipient_restrictions =
    check_client_access cidr:{{192.0.2.66/32 REJECT} {192.0.2.67/32 450 4.7.0 not now}},
    reject_unauth_destination,
    check_recipient_access inline:{ben@example.test=strict},
    permit
"""

# client, sender, recipient, more arguments -> exit status, reply, restriction, list
CASES = [
    ("192.0.2.1", "carl@example.org", "anna@example.test", [], 0, r"250 2\.0\.0 Ok: queued", None, None),
    ("192.0.2.66", "carl@example.org", "anna@example.test", [], 1, r"554 5\.7\.1 <unknown\[192\.0\.2\.66\]>: Client host rejected: Access denied",
     "check_client_access", "smtpd_recipient_restrictions"),
    ("192.0.2.67", "carl@example.org", "anna@example.test", [], 2, r"450 4\.7\.0 .*not now", "check_client_access",
     "smtpd_recipient_restrictions"),
    ("192.0.2.1", "carl@example.org", "x@elsewhere.example", [], 1, r"554 5\.7\.1 <x@elsewhere.example>: Relay access denied",
     "reject_unauth_destination", "smtpd_relay_restrictions"),
    ("192.0.2.1", "bad@example.org", "ben@example.test", [], 1, r"554 5\.7\.1 <bad@example.org>: Sender address rejected: go away",
     "check_sender_access", "strict"),
    ("192.0.2.1", "slow@example.org", "ben@example.test", [], 2, r"450 4\.7\.1 .*come back", "check_sender_access", "strict"),
    ("192.0.2.1", "carl", "ben@example.test", [], 1, r"504 5\.5\.2 <carl>: Sender address rejected: need fully-qualified address",
     "reject_non_fqdn_sender", "strict"),
    ("192.0.2.1", "carl@example.org", "nobody@example.test", [], 1, r"550 5\.1\.1 .*User unknown", "reject_unlisted_recipient",
     "smtpd_reject_unlisted_recipient"),
    ("192.0.2.1", "carl@example.org", "anna@example.test", ["--helo", "a..b"], 1, r"501 5\.5\.2 <a\.\.b>: Helo command rejected",
     "reject_invalid_helo_hostname", "smtpd_helo_restrictions"),
    ("192.0.2.1", '"carl@example.org', "anna@example.test", [], 1, r"501 5\.(1|5)\.\d", None, None),
]


@pytest.fixture
def server(posthorn):
    setups.virtual_domain(posthorn, "discard")
    posthorn.main["smtpd_peername_lookup"] = "no"
    text = "".join(f"{name} = {value}\n" for name, value in posthorn.main.items())
    posthorn.main_cf = text + MAIN_CF
    posthorn.start()
    return posthorn


def explain(server, *arguments):
    """Both places for -c are right: before the subcommand, as for all of them, and behind it, as for check."""
    where = ("-c", server.config, "explain") if "--live" in arguments else ("explain", "-c", server.config)
    return server.command("posthorn", *where, *arguments)


def line_of(server, word, number=0):
    lines = [n for n, line in enumerate((server.config / "main.cf").read_text().splitlines(), 1) if word in line]
    return lines[number]


@pytest.mark.core
@pytest.mark.parametrize("mode", [[], ["--live"]], ids=["dry", "live"])
def test_every_answer_names_what_decided(server, mode):
    for client, sender, recipient, more, status, reply, restriction, where in CASES:
        case = f"{client} {sender} {recipient} {more}"
        result = explain(server, "--client", client, "--helo", "mx.example.org", "--from", sender, "--to", recipient, "--json", *more, *mode)
        assert result.returncode == status, f"{case}: {result.stderr}"
        answer = json.loads(result.stdout)
        assert re.match(reply, answer["reply"]), f"{case}: {answer['reply']}"
        decided = answer["decided_by"]
        assert (decided and decided["restriction"].split()[0]) == restriction, case
        if restriction:
            assert decided["list"] == where, case
        if where in ("strict", "smtpd_recipient_restrictions", "smtpd_helo_restrictions"):
            assert decided["file"].endswith("/main.cf") and decided["line"] == line_of(server, restriction, -1), case
    assert "192.0.2." not in server.log.text(), "an imagined client left traces in the log"


def test_it_agrees_with_the_server_itself(server):
    """The same client for real, from an address of its own."""
    server.log.expect(r"Illegal address syntax from")
    server.main_cf = server.main_cf.replace("192.0.2.6", "127.0.0.6")
    server.restart()
    for client, sender, recipient, more, *_ in CASES:
        client = client.replace("192.0.2.6", "127.0.0.6").replace("192.0.2.", "127.0.0.")
        helo = more[1] if more else "mx.example.org"
        answer = json.loads(explain(server, "--client", client, "--helo", helo, "--from", sender, "--to", recipient, "--json").stdout)
        with server.smtp(source=client) as real:
            replies = [real.say(f"EHLO {helo}")]
            for command in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>"):
                if not replies[-1].startswith(("4", "5")):
                    replies.append(real.say(command))
        if not answer["reply"].startswith("250 2.0.0 Ok: queued"):
            assert answer["reply"] == replies[-1].strip(), (client, sender, recipient)


def test_the_text_shows_the_way(server):
    text = explain(server, "--client", "192.0.2.1", "--from", "bad@example.org", "--to", "ben@example.test").stdout
    for line in (rf"reject_unauth_destination  \[main\.cf:{line_of(server, 'reject_unauth_destination', -1)}\]",
                 r'table: inline:\{ben@example\.test=strict\} "ben@example\.test" = strict',
                 r"-> reject: 554 5\.7\.1 <bad@example\.org>: Sender address rejected: go away",
                 r"Result: reject at \"RCPT TO:<ben@example\.test>\": 554 5\.7\.1",
                 rf"Decided by: check_sender_access .* in strict \(.*/main\.cf, line {line_of(server, 'bad@example.org')}\)"):
        assert re.search(line, text), f"{line}\n{text}"


def test_a_logged_refusal_is_explained(server):
    with server.smtp() as client:
        client.hello()
        client.say("MAIL FROM:<bad@example.org>", expect="250 2.1.0 Ok")
        client.say("RCPT TO:<anna@example.test>", expect="250 2.1.5 Ok")
        client.say("RCPT TO:<ben@example.test>", expect="554 5.7.1 <bad@example.org>: Sender address rejected: go away")
    line = server.log.wait(r"reject: RCPT from .*go away.*").group(0)
    queue_id = re.search(r"(\w+): reject: RCPT from .*go away", server.log.text()).group(1)
    whole = next(text for text in server.log.text().splitlines() if line in text)
    for what in (whole, queue_id):
        answer = json.loads(explain(server, "--log", what, "--json").stdout)
        assert answer["decided_by"]["restriction"].startswith("check_sender_access"), answer
        assert (answer["client"], answer["sender"], answer["recipient"]) == ("127.0.0.1", "bad@example.org", "ben@example.test")


def test_the_configuration_on_disk_is_tried_before_it_is_in_force(server):
    server.main_cf = server.main_cf.replace("    permit\n", "    reject\n")
    server.write_configuration()
    arguments = ("--client", "192.0.2.1", "--from", "carl@example.org", "--to", "anna@example.test")
    assert explain(server, *arguments).returncode == 1
    assert explain(server, *arguments, "--live").returncode == 0


@pytest.mark.parametrize("mode", [[], ["--live"]], ids=["dry", "live"])
def test_a_service_for_logins_inside_tls(server, mode):
    """Nobody shakes hands, and nobody is asked which mechanisms there are."""
    port = free_port()
    server.master_cf += (f"127.0.0.1:{port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes"
                         " -o smtpd_sasl_type=dovecot -o smtpd_sasl_path=private/auth -o smtpd_sasl_message_limit=9/1h"
                         " -o smtpd_relay_restrictions=permit_sasl_authenticated,reject -o smtpd_recipient_restrictions=\n")
    server.log.expect("TLS|certificate|SASL")
    server.restart()
    began = time.monotonic()
    arguments = ("--port", port, "--client", "192.0.2.1", "--from", "carl@example.org", "--to", "anna@example.test", "--json", *mode)
    for login, reply in ((["--sasl", "carl"], r"250 2\.0\.0 Ok"), ([], r"554 5\.7\.1 .*Access denied")):
        answer = json.loads(explain(server, *arguments, *login).stdout)
        assert re.match(reply, answer["reply"]), answer
    assert time.monotonic() - began < 5, "it waits for processes that are not there"


def test_a_live_session_is_traced(server):
    server.main_cf += "smtpd_policy_trace = 127.0.0.9\n"
    server.restart()
    for source in ("127.0.0.1", "127.0.0.9"):
        with server.smtp(source=source) as client:
            client.hello()
            client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
            client.say("RCPT TO:<anna@example.test>", expect="250 2.1.5 Ok")
    server.log.wait(r"smtpd\[\d+\]: trace: unknown\[127\.0\.0\.9\]: smtpd_recipient_restrictions: reject_unauth_destination")
    server.log.wait(r"smtpd\[\d+\]: trace: unknown\[127\.0\.0\.9\]:   table: cidr:.* = not found")
    server.log.wait(r"smtpd\[\d+\]: trace: unknown\[127\.0\.0\.9\]: -> permit")
    assert "trace: unknown[127.0.0.1]" not in server.log.text()


LOGIN_CASES = [
    # login, sender, more -> exit status, reply, restriction
    ("carl", "carl@example.org", [], 0, r"250 2\.0\.0 Ok", None),
    ("carl", "ben@example.org", [], 1, r"553 5\.7\.1 <ben@example\.org>: Sender address rejected: not owned by user carl",
     "reject_sender_login_mismatch"),
    ("", "other@example.org", ["--port", "submission-test", "--tls"], 1, r"554 5\.7\.1 .*Client host rejected: Access denied", "reject"),
    ("", "carl@example.org", ["--port", "submission-test", "--no-tls"], 1, r"530 5\.7\.0 Must issue a STARTTLS command first", None),
]


@pytest.mark.parametrize("mode", [[], ["--live"]], ids=["dry", "live"])
def test_logged_in_clients(posthorn, mode):
    """The laptop that is locked out of port 25 and may write through submission, under its own name only."""
    setups.virtual_domain(posthorn, "discard")
    port = free_port()
    name = f"127.0.0.1:{port}"
    key, certificate = posthorn.config / "key.pem", posthorn.config / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "100", "-subj",
                    "/CN=mail.example.test", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    posthorn.main.update({"smtpd_peername_lookup": "no", "mynetworks": "127.0.0.1/32", "smtpd_tls_cert_file": certificate,
                          "smtpd_tls_key_file": key, "smtpd_sender_login_maps": "inline:{carl@example.org=carl, ben@example.org=ben}"})
    posthorn.master_cf = f"""{name} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_sasl_type=dovecot
  -o smtpd_sasl_path=private/auth
  -o smtpd_sender_restrictions=reject_sender_login_mismatch
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o smtpd_recipient_restrictions=
""" + posthorn.master_cf
    posthorn.log.expect(r"SASL|auth")
    posthorn.start()
    for login, sender, more, status, reply, restriction in LOGIN_CASES:
        arguments = [name if argument == "submission-test" else argument for argument in more]
        if login:
            arguments += ["--sasl", login]
        result = explain(posthorn, "--client", "192.0.2.7", "--helo", "localhost", "--from", sender, "--to", "x@elsewhere.example", "--json",
                         *arguments, *mode)
        case = f"{login} {sender} {more}"
        assert result.returncode == status, f"{case}: {result.stderr}{result.stdout}"
        answer = json.loads(result.stdout)
        assert re.match(reply, answer["reply"]), f"{case}: {answer['reply']}"
        assert (answer["decided_by"] and answer["decided_by"]["restriction"]) == restriction, case
    refused = explain(posthorn, "--client", "192.0.2.7", "--from", "carl@example.org", "--to", "x@elsewhere.example", "--port", str(posthorn.port), *mode)
    assert refused.returncode == 1, "port 25 relays for strangers"


ARGUMENTS = ("--client", "192.0.2.1", "--from", "carl@example.org", "--to", "anna@example.test")


@pytest.mark.parametrize("mode", [[], ["--live"]], ids=["dry", "live"])
def test_policy_services_are_asked_only_on_request(server, mode):
    service = PolicyServer()
    service.answer = lambda request: b"action=DEFER_IF_PERMIT greylisted\n\n"
    server.main_cf = server.main_cf.replace("    permit\n", f"    check_policy_service inet:127.0.0.1:{service.port}\n")
    server.restart()
    try:
        supposed = explain(server, *ARGUMENTS, *mode)
        assert supposed.returncode == 0 and 'Supposed: policy services say "DUNNO"' in supposed.stdout, supposed.stdout
        assert explain(server, *ARGUMENTS, "--policy", "REJECT no", *mode).returncode == 1
        assert not service.requests
        asked = explain(server, *ARGUMENTS, "--ask-policy", *mode)
        assert asked.returncode == 2 and "450 4.7.1 <anna@example.test>: Recipient address rejected: greylisted" in asked.stdout
        assert len(service.requests) == 1 and "Supposed" not in asked.stdout
    finally:
        service.close()


def test_verified_addresses_are_those_of_the_running_server(server):
    """A dry run sends no probe: what the server remembers counts, and else it says what would be done."""
    server.main_cf = server.main_cf.replace("    permit\n", "    reject_unverified_recipient\n")
    server.restart()
    unknown = explain(server, *ARGUMENTS)
    assert unknown.returncode == 2, unknown.stdout
    assert "nothing is remembered of <anna@example.test>, and no probe was sent: the server would ask transport discard" in unknown.stdout
    with server.smtp(source="127.0.0.2") as client:
        client.hello()
        client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        client.say("RCPT TO:<anna@example.test>", expect="250 2.1.5 Ok")
    for mode in ([], ["--live"]):
        known = explain(server, *ARGUMENTS, *mode)
        assert known.returncode == 0 and "address verification: anna@example.test = deliverable" in known.stdout, known.stdout
    server.stop()
    assert "no probe was sent" in explain(server, *ARGUMENTS).stdout


# What a locked-out user reads: (arguments, a part of "What to do").
ADVICE = [
    (["--client", "192.0.2.66"], 'change what the table says of "192.0.2.66" ("REJECT")'),
    (["--to", "x@elsewhere.example"], "to send mail out, people need a service with smtpd_sasl_auth_enable = yes"),
    (["--to", "nobody@example.test"], "add the user to virtual_mailbox_maps"),
    (["--to", "ben@example.test", "--from", "carl"], "the other side must mend its DNS, or the name that it sends"),
    (["--helo", "a..b"], "the other side must mend its DNS, or the name that it sends"),
    (["--to", "ben@example.test", "--from", "slow@example.org"], 'change what the table says of "slow@example.org"'),
]


def test_it_says_what_to_do(server):
    for more, advice in ADVICE:
        text = explain(server, *ARGUMENTS, *more).stdout
        assert f"What to do: {advice}" in text, f"{more}\n{text}"
    assert "What to do" not in explain(server, *ARGUMENTS).stdout


def test_wrong_usage(server):
    assert explain(server, "--client", "not-an-address", "--from", "a@b", "--to", "c@d").returncode == 64
    assert explain(server, "--client", "192.0.2.1", "--port", "4711").returncode == 64
    hostile = explain(server, "--log", "x postfix/smtpd[1]: NOQUEUE: reject: RCPT from x[\x1b[31m192.0.2.1]: 550 5.1.1 no")
    assert hostile.returncode == 64 and "control characters" in hostile.stderr and "\x1b" not in hostile.stderr
    assert "no client" in explain(server, "--log", "postfix/smtpd[1]: 4ABC: nothing here").stderr
    server.stop()
    result = explain(server, "--client", "192.0.2.1", "--from", "a@b", "--to", "c@d", "--live")
    assert result.returncode == 69 and "cannot be asked" in result.stderr
