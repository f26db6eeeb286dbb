# SPDX-License-Identifier: ISC
"""Who may send as whom: beside Debian's Postfix, with owners in PostgreSQL, and the From header, which is ours."""
import pytest

from lib import setups
from lib.mta import ROOT, Postfix, Posthorn
from ownership_dialogues import DIALOGUES, MAIN, SERVICES
from test_smtp_dialogue import Listeners, hold


@pytest.fixture(scope="module")
def both():
    for kind in (Posthorn, Postfix):
        if kind.unavailable():
            pytest.skip(kind.unavailable())
    servers = []
    try:
        for kind in (Posthorn, Postfix):
            servers.append(Listeners(kind, SERVICES, MAIN))
        yield servers
    finally:
        for server in servers:
            server.mta.finish()


@pytest.mark.parametrize("name, service, steps", DIALOGUES, ids=[name for name, _, _ in DIALOGUES])
def test_both_say_the_same(both, name, service, steps):
    posthorn, postfix = (hold(server, service, steps) for server in both)
    assert posthorn[0] == postfix[0]
    assert posthorn[1] == postfix[1]


def logged_in(server, login):
    client = server.smtp()
    client.say(f"XCLIENT LOGIN={login}", expect=220)
    client.hello()
    return client


def test_owners_in_postgresql(posthorn, postgres):
    posthorn.log.expect("reject: ")
    setups.main_job(posthorn, postgres)
    text = (ROOT / "etc" / "pgsql" / "senders.cf").read_text()
    posthorn.file("pgsql/senders.cf", text.replace("127.0.0.1:5432", f"127.0.0.1:{postgres.port}"))
    posthorn.main.update({"smtpd_sender_login_maps": "pgsql:$config_directory/pgsql/senders.cf", "smtpd_sasl_auth_enable": "yes",
                          "smtpd_authorized_xclient_hosts": "127.0.0.1", "virtual_transport": "discard",
                          "smtpd_sender_restrictions": "reject_sender_login_mismatch"})
    posthorn.start()
    for login, sender, code in [("anna@example.test", "anna@example.test", 250), ("anna@example.test", "INFO@example.test", 250),
                                ("ben@example.test", "info@example.test", 553), ("ben@example.test", "all@example.test", 250),
                                ("Ben@example.test", "all@example.test", 250), ("anna@example.test", "ben@example.test", 553),
                                ("anna@example.test", "\"x' OR '1'='1\"@example.test", 553)]:
        with logged_in(posthorn, login) as client:
            client.say(f"MAIL FROM:<{sender}>", expect="250 2.1.0 Ok")
            client.say("RCPT TO:<ben@example.test>", expect=code)
    postgres.stop()
    posthorn.log.expect("pgsql|lookup (error|failure)")
    with logged_in(posthorn, "anna@example.test") as client:
        client.say("MAIL FROM:<other@example.test>", expect="250 2.1.0 Ok")
        assert client.say("RCPT TO:<ben@example.test>").startswith("451 4.3.0 ")


@pytest.fixture(scope="module")
def from_checker():
    if Posthorn.unavailable():
        pytest.skip(Posthorn.unavailable())
    server = Posthorn()
    server.log.expect("reject: ")
    setups.virtual_domain(server, "discard")
    server.main.update({"smtpd_sasl_auth_enable": "yes", "smtpd_authorized_xclient_hosts": "127.0.0.1", "smtpd_from_login_check": "yes",
                        "smtpd_sender_login_maps": "inline:{ {anna@example.test=anna} {team@example.test=anna, ben} {ben@example.test=ben} }"})
    try:
        server.start()
        yield server
    finally:
        server.finish()


OWN = "From: Anna <anna@example.test>\n"


FROM_HEADERS = [
    (OWN, None),
    ("From: anna+shop@example.test\n", "anna+shop@example.test>: From"),  # no recipient_delimiter here
    ("From: \"ben@example.test\" <anna@example.test>\n", None),
    ("From: team@example.test, anna@example.test\nSender: anna@example.test\n", None),
    ("From: ben@example.test\n", "ben@example.test>: From"),
    ("From: unknown@example.test\n", "unknown@example.test>: From"),
    ("From: anna@example.test, ben@example.test\nSender: anna@example.test\n", "ben@example.test>: From"),
    (OWN + "Sender: ben@example.test\n", "ben@example.test>: Sender"),
    (OWN + "Subject: x\nFROM : <ben@example.test>\n", "ben@example.test>: From"),
    (OWN + "Resent-From: ben@example.test\n", "ben@example.test>: Resent-From"),
    ("From: ben@example.test <anna@example.test>\n", "ben@example.test>: From"),
    ("From: ,\n", ">: From"),
    ("Subject: nobody says who\n", None),
    (OWN + "X: " + "x" * 200 + "\n" + "X-Pad: y\n" * 20000 + "From: ben@example.test\n", "anna@example.test>: From"),
    # how else an address may be hidden from us, or shown to a reader
    ("From: Team: ben@example.test, anna@example.test;\n", "ben@example.test>: From"),
    ("From: undisclosed:;\n", ">: From"),
    ("From: =?utf-8?q?ben=40example.test?= <anna@example.test>\n", None),  # a name
    ("From: =?utf-8?q?=3Cben=40example.test=3E?=\n", "=?utf-8?q?=3Cben=40example.test=3E?=>: From"),
    ("From: anna@example.test (ben@example.test)\n", None),
    ("From: (anna@example.test)ben(x)@(y)example.test\n", "ben@example.test>: From"),
    (OWN + OWN, None),
    (OWN + "From: ben@example.test\n", "ben@example.test>: From"),
    ("From: ben@example.test\n" + OWN, "ben@example.test>: From"),
    ("From:\n ben@example.test\n", "ben@example.test>: From"),
    ("From: <anna@example.test>,\n\tben@example.test\n", "ben@example.test>: From"),
    ("fROM\t: \"ben\"@example.test\n", "ben@example.test>: From"),
    ("FROM: BEN@EXAMPLE.TEST\n", "BEN@EXAMPLE.TEST>: From"),
    ("FROM: ANNA@EXAMPLE.TEST\n", None),
    ("From: <@anna@example.test:ben@example.test>\n", "ben@example.test>: From"),
    ("From: <anna@example.test> <ben@example.test>\n", "ben@example.test>: From"),
    ("From: anna@example.test ben@example.test\n", ""),
    ("From: anna@example.test;ben@example.test\n", "ben@example.test>: From"),
    ("From: anna@example.test\0, ben@example.test\n", ""),
    ("From: b\u00e9n@example.test\n", ""),
    ("From: \"anna@example.test\n", None),
    ("From: \"ben@example.test\n", "ben@example.test >: From"),
    ("From: <ben@example.test\n", "ben@example.test>: From"),
    ("From: ben@[127.0.0.1]\n", "ben@[127.0.0.1]>: From"),
    ("From: " + "a" * 9000 + " <anna@example.test>\n", "anna@example.test>: From"),
    ("From: " + "anna@example.test, " * 300 + "ben@example.test\n", ""),
    (OWN + "Resent-Sender: ben@example.test\n", "ben@example.test>: Resent-Sender"),
    ("Received: x\n" * 20 + "\tFrom: ben@example.test\n" + OWN, None),  # a continuation of Received
    (OWN + "X: y\nnot a header\nFrom: ben@example.test\n", None),  # text, for every reader
]


@pytest.mark.parametrize("headers, refused", FROM_HEADERS, ids=range(len(FROM_HEADERS)))
def test_the_from_header_of_a_login(from_checker, headers, refused):
    with logged_in(from_checker, "anna") as client:
        client.envelope("anna@example.test", "ben@example.test")
        if refused is None:
            client.send_message(headers + "\nHello\n")
            return
        client.say("DATA", expect=354)
        client.send(headers.replace("\n", "\r\n").encode() + b"\r\nHello\r\n.\r\n")
        reply = client.reply(553)
        assert reply.startswith(f"553 5.7.1 <{refused} header rejected: " if refused else "553 5.7.1 <"), reply
        client.envelope("anna@example.test", "ben@example.test")  # and nothing of it is left
        client.send_message(OWN + "\nHello\n")
    assert f"reject: END-OF-MESSAGE from localhost[127.0.0.1]: {reply}; from=<anna@example.test> to=<ben@example.test>" in \
        from_checker.log.text()


def test_the_from_header_of_strangers_is_their_own(from_checker):
    with from_checker.smtp() as client:
        client.hello()
        client.envelope("list@example.org", "ben@example.test")
        client.send_message("From: anna@example.test\n\nover a mailing list\n")
