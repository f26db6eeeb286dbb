# SPDX-License-Identifier: ISC
"""smtpd_spf_check: what the client is told, what the log says, which headers the message gets. One server, many services."""
import re

import pytest

from lib.dns_server import DnsServer
from lib.lmtp_sink import LmtpSink
from lib.mta import Posthorn
from lib.network import namespace, namespaces_unavailable
from lib.smtp import SmtpClient
from lib.waiting import accepts_connections, free_port, wait_for

GOOD, BAD, TRUSTED, INSIDE, GOOD6 = "192.0.2.1", "192.0.2.2", "192.0.2.50", "192.0.2.200", "2001:db8::1"
MANY = " ".join(f"a:h{i}.many.test" for i in range(11))

ZONE = {
    ("pass.test", "TXT"): ["v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all exp=why.pass.test"],
    ("why.pass.test", "TXT"): ["%{i} is not ours, %{s}; see http://pass.test/?%{L}"],
    ("mx.test", "TXT"): ["some other text", "v=spf1 mx -all"],
    ("mx.test", "MX"): ["10 host.mx.test"],
    ("host.mx.test", "A"): ["192.0.2.1"],
    ("soft.test", "TXT"): ["v=spf1 ~all"],
    ("neutral.test", "TXT"): ["v=spf1 ?all"],
    ("bad.test", "TXT"): ["v=spf1 foo:bar -all"],
    ("twice.test", "TXT"): ["v=spf1 -all", "v=spf1 +all"],
    ("broken.test", "*"): "servfail",
    ("silent.test", "*"): "silent",
    ("include.test", "TXT"): ["v=spf1 include:pass.test -all"],
    ("redirect.test", "TXT"): ["v=spf1 redirect=pass.test"],
    ("loop.test", "TXT"): ["v=spf1 include:loop.test -all"],
    ("many.test", "TXT"): [f"v=spf1 {MANY} -all"],
    ("void.test", "TXT"): ["v=spf1 a:x.void.test a:y.void.test a:z.void.test +all"],
    ("long.test", "TXT"): ["v=spf1 " + "ip4:198.51.100.1 " * 300 + "-all"],
    ("longexp.test", "TXT"): ["v=spf1 -all exp=text.longexp.test"],
    ("text.longexp.test", "TXT"): ["long " * 200],
    ("evilexp.test", "TXT"): ["v=spf1 -all exp=text.evilexp.test"],
    ("text.evilexp.test", "TXT"): ["one\r\n250 two"],
    ("helofail.test", "TXT"): ["v=spf1 -all"],
    ("helopass.test", "TXT"): ["v=spf1 +all"],
    ("none.test", "A"): ["198.51.100.1"],
}
SERVICES = {
    "reject": {"smtpd_spf_check": "reject"},
    "mark": {"smtpd_spf_check": "mark"},
    "off": {},
    "strict": {"smtpd_spf_check": "reject", "smtpd_spf_permerror_action": "reject", "smtpd_spf_temperror_action": "mark",
               "smtpd_spf_identities": "mailfrom"},
    "helo": {"smtpd_spf_check": "reject", "smtpd_spf_identities": "helo", "smtpd_authserv_id": "authority.test"},
    "soft": {"smtpd_spf_check": "reject", "soft_bounce": "yes"},
    "refusing": {"smtpd_spf_check": "reject", "smtpd_recipient_restrictions": "reject"},
}


@pytest.fixture(scope="module")
def server():
    if namespaces_unavailable() or Posthorn.unavailable():
        pytest.skip(namespaces_unavailable() or Posthorn.unavailable())
    with namespace(("192.0.2.0/24", "2001:db8::1/128")) as name:
        dns, sink, mta = DnsServer(ZONE, "127.0.0.1", 53).start(), LmtpSink(), Posthorn()
        mta.wrapper = ["ip", "netns", "exec", name]
        mta.main.update({
            "mynetworks": f"127.0.0.1/32, {INSIDE}/32", "inet_protocols": "all",
            "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
            "virtual_mailbox_domains": "virt.test", "virtual_mailbox_maps": "static:x",
            "virtual_transport": f"lmtp:{sink.next_hop}", "smtpd_spf_trusted_forwarders": f"{TRUSTED}/32",
            "smtpd_authorized_xclient_hosts": GOOD,
        })
        mta.ports = {service: free_port() for service in SERVICES}
        mta.dns, mta.sink = dns, sink
        mta.master_cf = "".join(f"{port} inet n - n - - smtpd\n" + "".join(f"  -o {{ {k} = {v} }}\n" for k, v in SERVICES[name].items())
                                for name, port in mta.ports.items()) + mta.master_cf
        mta.main["inet_interfaces"] = "all"
        try:
            mta.start()
            for port in mta.ports.values():
                wait_for(lambda port=port: accepts_connections("127.0.0.1", port), f"port {port}", 30)
            yield mta
        finally:
            mta.finish()
            sink.close()
            dns.stop()


def connect(server, service, client):
    host = client if ":" in client else "127.0.0.1"
    return SmtpClient(server.ports[service], host=host, source=client)


def rcpt(server, service, client, sender, helo="client.test"):
    with connect(server, service, client) as session:
        session.say(f"EHLO {helo}", 250)
        session.say(f"MAIL FROM:<{sender}>", 250)
        reply = session.say("RCPT TO:<anna@virt.test>")
        session.say("QUIT", 221)
    return reply


OK = "250 2.1.5 Ok"


def rejected(sender, text, code="550 5.7.23"):
    return f"{code} <{sender}>: Sender address rejected: SPF {text}"


def fail(sender, domain, client=BAD, more=""):
    return rejected(sender, f"fail - {domain} does not let {client} send its mail{more}")


PASS_EXPLAINS = "; pass.test explains: 192.0.2.2 is not ours, a&b@pass.test; see http://pass.test/?a%26b"


@pytest.mark.parametrize("service, client, sender, reply", [
    ("reject", GOOD, "a@pass.test", OK),
    ("reject", BAD, "a&b@pass.test", fail("a&b@pass.test", "pass.test", more=PASS_EXPLAINS)),
    ("reject", GOOD6, "a@pass.test", OK),
    ("reject", GOOD, "a@mx.test", OK),
    ("reject", BAD, "a@mx.test", fail("a@mx.test", "mx.test")),
    ("reject", BAD, "a@soft.test", OK),
    ("reject", BAD, "a@neutral.test", OK),
    ("reject", BAD, "a@none.test", OK),
    ("reject", BAD, "a@nowhere.test", OK),
    ("reject", BAD, "a@bad.test", OK),
    ("reject", BAD, "", OK),
    ("reject", BAD, "local", OK),
    ("reject", BAD, "a@[192.0.2.2]", OK),
    ("reject", BAD, "a@broken.test", rejected("a@broken.test", "check of broken.test: DNS cannot tell now", "451 4.4.3")),
    ("reject", GOOD, "a@include.test", OK),
    ("reject", BAD, "a@include.test", fail("a@include.test", "include.test")),
    ("reject", BAD, "a&b@redirect.test", fail("a&b@redirect.test", "redirect.test", more=PASS_EXPLAINS.replace("b@pass.", "b@redirect.")
                                               .replace("pass.test explains", "redirect.test explains"))),
    ("reject", BAD, "a@evilexp.test", fail("a@evilexp.test", "evilexp.test")),
    ("reject", TRUSTED, "a@pass.test", OK),
    ("reject", INSIDE, "a@pass.test", OK),
    ("reject", "127.0.0.7", "a@pass.test", OK),
    ("mark", BAD, "a@pass.test", OK),
    ("mark", BAD, "a@broken.test", OK),
    ("off", BAD, "a@pass.test", OK),
    ("strict", BAD, "a@bad.test", rejected("a@bad.test", "record of bad.test: unknown mechanism", "550 5.7.24")),
    ("strict", BAD, "a@twice.test", rejected("a@twice.test", "record of twice.test: several SPF records", "550 5.7.24")),
    ("strict", BAD, "a@loop.test", rejected("a@loop.test", "record of loop.test: more than 10 terms that ask DNS", "550 5.7.24")),
    ("strict", BAD, "a@many.test", rejected("a@many.test", "record of many.test: more than 2 terms without a DNS answer", "550 5.7.24")),
    ("strict", BAD, "a@void.test", rejected("a@void.test", "record of void.test: more than 2 terms without a DNS answer", "550 5.7.24")),
    ("strict", BAD, "a@long.test", rejected("a@long.test", "record of long.test: record too long", "550 5.7.24")),
    ("strict", BAD, "a@broken.test", OK),
    ("soft", BAD, "a@mx.test", fail("a@mx.test", "mx.test").replace("550 5", "450 4")),
])
def test_what_the_client_is_told(server, service, client, sender, reply):
    assert rcpt(server, service, client, sender) == reply
    if reply != OK:
        server.log.wait(rf"smtpd\[\d+\]: NOQUEUE: reject: RCPT from unknown\[{re.escape(client)}\]: {re.escape(reply)}; "
                        rf"from=<{re.escape(sender)}> to=<anna@virt\.test> proto=ESMTP helo=<client\.test>$")


@pytest.mark.parametrize("service, helo, sender, reply", [
    ("reject", "helofail.test", "a@helopass.test",
     "550 5.7.23 <helofail.test>: Helo command rejected: SPF fail - helofail.test does not let 192.0.2.2 send its mail"),
    ("reject", "helofail.test", "",
     "550 5.7.23 <helofail.test>: Helo command rejected: SPF fail - helofail.test does not let 192.0.2.2 send its mail"),
    ("reject", "broken.test", "a@helopass.test", OK),
    ("reject", "broken.test", "", "451 4.4.3 <broken.test>: Helo command rejected: SPF check of broken.test: DNS cannot tell now"),
    ("reject", "[192.0.2.2]", "", OK),
    ("reject", "%{d}%{p100r.}", "", OK),
    ("strict", "helofail.test", "a@helopass.test", OK),
    ("strict", "helofail.test", "",
     "550 5.7.23 <helofail.test>: Helo command rejected: SPF fail - helofail.test does not let 192.0.2.2 send its mail"),
    ("helo", "helopass.test", "a@pass.test", OK),
])
def test_the_helo_identity(server, service, helo, sender, reply):
    assert rcpt(server, service, BAD, sender, helo) == reply


def test_the_explanation_is_bounded(server):
    reply = rcpt(server, "reject", BAD, "a@longexp.test")
    assert "; longexp.test explains: long long " in reply
    assert 300 < len(reply) <= 510


def test_a_silent_name_server_defers(server):
    """After the time that resolv.conf allows."""
    assert rcpt(server, "reject", BAD, "a@silent.test").startswith("451 4.4.3 <a@silent.test>")


def test_recipients_after_the_first_cost_nothing(server):
    with connect(server, "reject", BAD) as session:
        session.hello()
        session.say("MAIL FROM:<b@soft.test>", 250)
        session.say("RCPT TO:<anna@virt.test>", OK)
        before = len(server.dns.questions)
        session.say("RCPT TO:<ben@virt.test>", OK)
        assert len(server.dns.questions) == before
        session.say("RSET", 250)
        session.say("MAIL FROM:<b@mx.test>", 250)  # a new sender is a new question
        session.say("RCPT TO:<anna@virt.test>", 550)
        session.say("RCPT TO:<ben@virt.test>", 550)


def test_mail_that_is_refused_anyway_is_not_checked(server):
    assert rcpt(server, "refusing", BAD, "x@unasked.test").startswith("554 5.7.1 ")
    assert ("unasked.test", "TXT") not in server.dns.questions


def deliver(server, service, client, sender, text, helo="client.test"):
    with connect(server, service, client) as session:
        session.say(f"EHLO {helo}", 250)
        session.envelope(sender, "anna@virt.test")
        session.send_message(text)
        session.say("QUIT", 221)
    count = len(server.sink.messages)
    wait_for(lambda: any(marker_of(text) in message.content for message in server.sink.messages), f"delivery {count}", 15)
    content = next(message.content for message in server.sink.messages if marker_of(text) in message.content)
    return content.decode().replace("\r\n", "\n").split("\n\n")[0] + "\n"


def marker_of(text):
    return re.search(r"Subject: .*", text).group().encode()


def headers(*lines):
    return "".join(line + "\n" for line in lines)


def test_headers_of_a_pass(server):
    head = deliver(server, "reject", GOOD, "carl@pass.test", "Subject: pass\n\n.\n")
    assert head.startswith(headers(
        "Received-SPF: pass (pass.test permits 192.0.2.1)", "\treceiver=mail.example.test;", "\tidentity=mailfrom;",
        "\tclient-ip=192.0.2.1;", "\thelo=client.test;", '\tenvelope-from="carl@pass.test"',
        "Authentication-Results: mail.example.test;", "\tspf=pass smtp.mailfrom=carl@pass.test;", "\tspf=none smtp.helo=client.test",
        "Received: from client.test")[:-1]), head


@pytest.mark.parametrize("service, client, helo, sender, received, results", [
    ("mark", BAD, "client.test", "carl@mx.test", "fail (mx.test does not permit 192.0.2.2)",
     ["mail.example.test;", "\tspf=fail smtp.mailfrom=carl@mx.test;", "\tspf=none smtp.helo=client.test"]),
    ("mark", BAD, "helofail.test", "carl@pass.test", None, ["mail.example.test;", "\tspf=fail smtp.helo=helofail.test"]),
    ("mark", BAD, "client.test", "carl@bad.test", "permerror (bad.test has a faulty policy about 192.0.2.2)",
     ["mail.example.test;", '\tspf=permerror reason="unknown mechanism" smtp.mailfrom=carl@bad.test;', "\tspf=none smtp.helo=client.test"]),
    ("mark", BAD, "client.test", '"a b;spf=pass"@soft.test', "softfail (soft.test probably does not permit 192.0.2.2)",
     ["mail.example.test;", "\tspf=softfail smtp.mailfrom=soft.test;", "\tspf=none smtp.helo=client.test"]),
    ("mark", BAD, "helopass.test", "", "pass (helopass.test permits 192.0.2.2)", ["mail.example.test;", "\tspf=pass smtp.helo=helopass.test"]),
    ("mark", GOOD6, "x;spf=pass", "carl@pass.test", "pass (pass.test permits 2001:db8::1)",
     ["mail.example.test;", "\tspf=pass smtp.mailfrom=carl@pass.test;", '\tspf=none smtp.helo="x?spf=pass"']),
    ("helo", BAD, "helopass.test", "carl@pass.test", "pass (helopass.test permits 192.0.2.2)",
     ["authority.test;", "\tspf=pass smtp.helo=helopass.test"]),
])
def test_headers(server, service, client, helo, sender, received, results):
    head = deliver(server, service, client, sender, f"Subject: {service} {client} {sender}{helo}\n\n.\n".replace("+", ""), helo)
    if received:
        assert head.startswith(f"Received-SPF: {received}\n\treceiver=mail.example.test;\n"), head
    assert "\nAuthentication-Results: " + headers(*results) in head, head
    assert head.count("Received-SPF:") == head.count("Authentication-Results:") == 1


FORGED = headers(
    "Authentication-Results: mail.example.test; spf=pass smtp.mailfrom=bank.test",
    "authentication-results : MAIL.Example.Test 1; dkim=pass",
    'Authentication-Results: (a comment (nested) \\) ) "mail.example\\.test"; dmarc=pass',
    "Authentication-Results:", "\tmail.example.test; spf=pass", "\tsmtp.mailfrom=bank.test",
    "Authentication-Results: mail.example.test(); none")
HONEST = headers("Authentication-Results: other.test; spf=pass", "Authentication-Results: mail.example.test.evil.test; spf=pass")


def test_forged_results_are_removed(server):
    head = deliver(server, "mark", BAD, "carl@soft.test", f"{FORGED}Subject: forged\n{HONEST}X-Last: 1\n\n.\n")
    assert head.endswith(f"\nSubject: forged\n{HONEST}X-Last: 1\n"), head
    assert head.count("Authentication-Results: mail.example.test;") == 1 and "spf=softfail" in head
    assert "bank.test" not in head and "dkim" not in head and "dmarc" not in head


@pytest.mark.parametrize("service, client", [("off", BAD), ("mark", INSIDE)])
def test_results_of_others_are_left_alone(server, service, client):
    head = deliver(server, service, client, "carl@soft.test", f"{FORGED}Subject: kept {service}\n\n.\n")
    assert FORGED.split("\n", maxsplit=1)[0] in head and "Received-SPF" not in head


def test_a_huge_header_section_hides_no_forgery(server):
    """Larger than what is kept in memory."""
    padding = "".join(f"X-Padding-{i}: {'x' * 900}\n" for i in range(200))
    head = deliver(server, "mark", BAD, "carl@soft.test", f"Subject: huge\n{padding}{FORGED}X-Last: 1\n\n.\n")
    assert "bank.test" not in head, "forged results survived"


def test_a_login_is_not_checked(server):
    with connect(server, "reject", GOOD) as session:  # may speak for others: XCLIENT with a login
        session.say("EHLO proxy.test", 250)
        session.say(f"XCLIENT NAME=client.test ADDR={BAD} LOGIN=carl", 220)
        session.say("EHLO client.test", 250)
        session.say("MAIL FROM:<a@mx.test>", 250)
        session.say("RCPT TO:<anna@virt.test>", OK)
        session.say("RSET", 250)
        session.say("QUIT", 221)
    with connect(server, "reject", GOOD) as session:
        session.say("EHLO proxy.test", 250)
        session.say(f"XCLIENT NAME=client.test ADDR={BAD}", 220)
        session.say("EHLO client.test", 250)
        session.say("MAIL FROM:<a@mx.test>", 250)
        session.say("RCPT TO:<anna@virt.test>", 550)
        session.say("QUIT", 221)
