# SPDX-License-Identifier: ISC
"""What the postmaster is told of a session (notify_classes), beside Debian's Postfix: who gets a notice, when, the whole text."""
import re
import socket
import threading

import pytest

from lib import setups
from lib.lmtp_sink import LmtpSink
from lib.mta import Postfix, Posthorn
from lib.waiting import accepts_connections, free_port, wait_for

ALL = "policy, protocol, resource, software, bounce, data"

# Services by name: what their entries in master.cf override.
SERVICES = {
    "all": {"notify_classes": ALL},
    "none": {"notify_classes": ""},
    "default": {},
    "policy": {"notify_classes": "policy"},
    "protocol": {"notify_classes": "protocol,delay 2bounce"},
    "bounce": {"notify_classes": "bounce"},
    "data": {"notify_classes": "data"},
    "software": {"notify_classes": "software, policy", "smtpd_recipient_restrictions": "reject_unknown_word"},
    "software-only": {"smtpd_recipient_restrictions": "reject_unknown_word"},
    "broken": {"notify_classes": "software, policy", "smtpd_recipient_restrictions": "check_recipient_access fail:x"},
    "limit": {"notify_classes": "protocol", "smtpd_hard_error_limit": "3"},
    "few": {"notify_classes": "policy", "smtpd_recipient_limit": "1", "smtpd_recipient_overshoot_limit": "1"},
    "warn": {"notify_classes": "policy", "smtpd_recipient_restrictions": "warn_if_reject reject"},
    "small": {"notify_classes": "bounce", "message_size_limit": "1000"},
    "checks": {"notify_classes": "policy", "cleanup_service_name": "strict"},
    "helo": {"notify_classes": "policy", "smtpd_helo_restrictions": "reject_invalid_helo_hostname"},
    "long": {"notify_classes": "protocol", "smtpd_history_flush_threshold": "16"},
    "early": {"notify_classes": "policy", "smtpd_delay_reject": "no", "smtpd_client_restrictions": "reject"},
}

MAIL, ELSEWHERE, NOBODY, ANNA = "MAIL FROM:<carl@example.org>", "RCPT TO:<x@elsewhere.test>", "RCPT TO:<nobody@example.test>", "RCPT TO:<anna@example.test>"
MESSAGE = ["DATA", "Subject: x\r\n\r\nbody\r\n."]
HANG_UP = None
SECRET = "AGFubmEAc2VjcmV0"

# (name, service, steps after EHLO, whether somebody gets a notice). The name is in the EHLO, which tells the notices apart.
CASES = [
    ("fine", "all", [MAIL, ANNA, *MESSAGE, "QUIT"], False),
    ("silent", "all", ["QUIT"], False),
    ("relay", "all", [MAIL, ELSEWHERE, "QUIT"], True),
    ("relay-none", "none", [MAIL, ELSEWHERE, "FOO", "QUIT"], False),
    ("relay-default", "default", [MAIL, ELSEWHERE, "FOO", "QUIT"], False),
    ("relay-policy", "policy", [MAIL, ELSEWHERE, "QUIT"], True),
    ("relay-protocol", "protocol", [MAIL, ELSEWHERE, "QUIT"], False),
    ("unknown", "bounce", [MAIL, NOBODY, "QUIT"], True),
    ("unknown-policy", "policy", [MAIL, NOBODY, "QUIT"], False),
    ("syntax", "protocol", ["FOO", "MAIL", "RCPT TO:<x>", "DATA", "NOOP", "VRFY", "BDAT x", "QUIT"], True),
    ("syntax-policy", "policy", ["FOO", "MAIL", "RCPT TO:<x>", "DATA", "QUIT"], False),
    ("no-recipients", "protocol", [MAIL, "DATA", "QUIT"], False),
    ("chunks", "protocol", [MAIL, "BDAT 0 LAST", "QUIT"], False),
    ("auth", "protocol", ["AUTH PLAIN " + SECRET, "QUIT"], True),
    ("crowded", "long", ["FOO", "NOOP", "NOOP", "NOOP", "FOO", "RSET", "FOO", "QUIT"], True),
    ("option", "protocol", [MAIL + " FOO=bar", "QUIT"], True),
    ("forgiven", "all", ["FOO", MAIL, ELSEWHERE, ANNA, *MESSAGE, "QUIT"], False),
    ("after", "all", [MAIL, ANNA, *MESSAGE, "FOO", "QUIT"], True),
    ("long", "all", ["FOO " + "word " * 60, "FOO " + "x" * 200, "FOO  a   b" + " " * 90 + "c ", "QUIT"], True),
    ("odd-bytes", "all", ["FOO a\tb\x01c\x7fd\xe4", "FOO \u00e4".encode().decode("latin-1"), "FOO a\0b", "QUIT"], True),
    ("lost", "all", ["FOO", HANG_UP], True),
    ("lost-in-data", "all", ["FOO", MAIL, ANNA, "DATA", HANG_UP], True),
    ("software", "software", [MAIL, ANNA, "QUIT"], True),
    ("by-default", "software-only", [MAIL, ANNA, "QUIT"], True),
    ("broken", "broken", [MAIL, ANNA, "QUIT"], True),
    ("too-many", "limit", ["FOO", "FOO", "FOO"], True),
    ("few", "few", [MAIL, ANNA, ANNA, "QUIT"], False),
    ("fewer", "few", [MAIL, ANNA, ANNA, ANNA, "QUIT"], True),
    ("warned", "warn", [MAIL, ANNA, "QUIT"], True),
    ("size", "small", [MAIL, ANNA, "DATA", "x" * 900 + "\r\n" + "x" * 900 + "\r\n.", "QUIT"], True),
    ("size-said", "small", [MAIL + " SIZE=2000", "QUIT"], False),
    ("checked", "checks", [MAIL, ANNA, "DATA", "Subject: bad\r\n\r\n.", "QUIT"], True),
    ("a..b", "helo", [MAIL, ANNA, "QUIT"], True),
    ("early", "early", ["NOOP", "QUIT"], True),
    ("footer", "all", ["VRFY nobody@example.test", "ETRN x", "HELP", "QUIT"], True),
]

STAMPS = [
    (r"\b[0-9A-F]{9,15}\b", "ID"),
    (r"<\d{14}\.ID@", "<STAMP.ID@"),
    (r"\w{3}, +\d+ \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)", "DATE"),
]


class Server:
    def __init__(self, kind):
        self.mta = mta = kind()
        self.sink = LmtpSink(extensions=("PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME"))
        setups.virtual_domain(mta, f"lmtp:{self.sink.next_hop}", mailboxes=["anna", "boss", "bounces"], aliases=[("office", "boss@example.test")])
        mta.main.update({"error_notice_recipient": "office@example.test", "bounce_notice_recipient": "bounces@example.test",
                         "mynetworks": "127.0.0.9/32", "smtpd_peername_lookup": "no", "smtpd_error_sleep_time": "0"})
        mta.log.expect("")
        self.ports = {name: free_port() for name in SERVICES}
        mta.master_cf = "".join(
            f"127.0.0.1:{self.ports[name]} inet n - n - - smtpd\n" + "".join(f"  -o {{ {key} = {value} }}\n" for key, value in overrides.items())
            for name, overrides in SERVICES.items()) + mta.master_cf
        mta.master_cf += "strict unix n - n - 0 cleanup\n  -o { header_checks = regexp:{{/^Subject: bad/ REJECT no}} }\n"
        mta.start()
        for port in self.ports.values():
            wait_for(lambda port=port: accepts_connections("127.0.0.1", port), f"port {port}", 30)

    def finish(self):
        self.mta.finish()
        self.sink.close()

    def talk(self, name, service, steps):
        with socket.create_connection(("127.0.0.1", self.ports[service]), timeout=20) as connection:
            stream = connection.makefile("rb")
            stream.readline()
            for step in [f"EHLO {name}.test" if ".." not in name else f"EHLO {name}"] + steps:
                if step is HANG_UP:
                    return
                try:
                    connection.sendall(step.encode("latin-1") + b"\r\n")
                    while stream.readline()[3:4] == b"-":
                        pass
                except ConnectionError:
                    return  # it hung up

    def run(self):
        """All dialogues; the notices by the name that the EHLO in them has."""
        for name, service, steps, _ in CASES:
            try:
                self.talk(name, service, steps)
            except TimeoutError as error:
                raise AssertionError(f"{name}: no answer\n" + "\n".join(self.mta.log.lines('')[-12:])) from error
        expected = sum(told for *_, told in CASES)
        try:
            wait_for(lambda: len(self.notices()) >= expected, f"{expected} notices", 10)
        except AssertionError:
            pass  # the tests say which
        self.mta.send("carl@example.org", ["anna@example.test"], "Subject: the end\n\n")
        wait_for(lambda: any(b"Subject: the end" in message.content for message in self.sink.messages), "the last message", 20)
        found = {}
        for message in self.notices():
            name = re.search(rb"EHLO (\S+?)(?:\.test)?\r?\n", message.content)
            found.setdefault(name.group(1).decode() if name else "?", []).append(f"{message.sender} -> {message.recipients}\n{normalized(message.content)}")
        return found

    def notices(self):
        return [message for message in self.sink.messages if b"errors from" in message.content]


def normalized(content):
    text = content.decode(errors="surrogateescape").replace("\r\n", "\n")
    for pattern, replacement in STAMPS:
        text = re.sub(pattern, replacement, text)
    header, _, body = text.partition("\n\n")
    return re.sub(r"\n[ \t]+", " ", header) + "\n\n" + body


@pytest.fixture(scope="module")
def results():
    for kind in (Posthorn, Postfix):
        if kind.unavailable():
            pytest.skip(kind.unavailable())
    found, servers = {}, []

    def go_through(server, kind):
        try:
            found[kind] = server.run()
        except BaseException as error:  # the test reports it
            found[kind] = error

    try:
        for kind in (Posthorn, Postfix):
            servers.append((Server(kind), kind))
        threads = [threading.Thread(target=go_through, args=pair) for pair in servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        yield found
    finally:
        for server, _ in servers:
            server.finish()


@pytest.mark.parametrize("name, told", [(case[0], case[3]) for case in CASES if case[1] != "software-only"])
def test_both_tell_the_same(results, name, told):
    for kind in (Posthorn, Postfix):
        if isinstance(results[kind], BaseException):
            pytest.fail(f"{kind.__name__}: {results[kind]}")
    posthorn, postfix = (results[kind].get(name, []) for kind in (Posthorn, Postfix))
    postfix = [notice.replace(SECRET, "...") for notice in postfix]  # Postfix shows it
    assert "\n".join(posthorn) == "\n".join(postfix)
    assert len(posthorn) == told


def test_by_default_only_trouble_of_ours_is_told_and_from_there_on(results):
    """Until something fails nothing is kept for the sake of resource and software: Postfix tells of the whole session."""
    [notice] = [notice for notice in results[Posthorn]["?"] if "451 4.3.5" in notice]
    said = re.findall(r"^ ((?:In|Out): .*)$", notice, re.M)
    assert said == [f"In:  {ANNA}", "Out: 451 4.3.5 Server configuration error", "In:  QUIT", "Out: 221 2.0.0 Bye"]
    assert "Subject: Postfix SMTP server: errors from unknown[127.0.0.1]" in notice
    [whole] = results[Postfix]["by-default"]
    assert all(line in whole for line in said)


def test_no_secret_is_told(results):
    for notices in results[Posthorn].values():
        assert SECRET not in "".join(notices)
    assert " In:  AUTH PLAIN ...\n" in results[Posthorn]["auth"][0]
