# SPDX-License-Identifier: ISC
"""Content checks, address rewriting and copies: every case of content_dialogues.py with both servers. The replies, what
smtpd and cleanup log, who gets the message and what arrives there must be the same."""
import re
import threading
import time

import pytest

from content_dialogues import CASES, SERVICES, TABLES
from lib import setups
from lib.lmtp_sink import LmtpSink
from lib.mta import Postfix, Posthorn
from lib.reference_release import as_followed
from lib.smtp import SmtpClient
from lib.waiting import accepts_connections, free_port, wait_for

NAMES = "anna ben carl list".split() + [
    word for word in re.findall(r"/\^(\w+)@/", TABLES["recipient_access"])]


def override(parameter, value):
    return f"  -o {{ {parameter} = {value} }}\n"


class Server:
    def __init__(self, kind):
        self.mta = mta = kind()
        self.sink, self.filter = LmtpSink(), LmtpSink()
        self.ports = {name: free_port() for name in SERVICES}
        setups.virtual_domain(mta, f"lmtp:{self.sink.next_hop}", mailboxes=NAMES,
                              aliases=[("info", "anna@example.test"), ("all", "anna@example.test, ben@example.test"),
                                       ("copies", "ben@example.test, carl@example.test")])
        mta.main.update({"mydomain": "example.test", "append_dot_mydomain": "yes", "virtual_alias_domains": "", "notify_classes": "",
                         "remote_header_rewrite_domain": "domain.invalid",
                         "smtpd_relay_restrictions": "permit_mynetworks, reject",
                         "lmtp_destination_recipient_limit": "50"})
        mta.log.expect("")
        for name, text in TABLES.items():
            mta.file(name, self.with_ports(text))
        for name, (smtpd, cleanup) in SERVICES.items():
            smtpd = {**smtpd, "cleanup_service_name": f"cleanup-{name}"}
            cleanup = {"remote_header_rewrite_domain": "", **cleanup}
            mta.master_cf += (f"127.0.0.1:{self.ports[name]} inet n - n - - smtpd\n"
                              + self.with_ports("".join(override(*item) for item in smtpd.items())))
            mta.master_cf += f"cleanup-{name} unix n - n - 0 cleanup\n" + "".join(override(*item) for item in cleanup.items())
        mta.start()
        for port in self.ports.values():
            wait_for(lambda port=port: accepts_connections("127.0.0.1", port), f"port {port}", 20)

    def with_ports(self, text):
        return text.replace("FILTERPORT", str(self.filter.port)).replace("SINKPORT", str(self.sink.port))

    def finish(self):
        self.mta.finish()
        self.sink.close()
        self.filter.close()


def say_all(client, envelope, text):
    sender, *recipients = envelope
    replies = [client.say("EHLO client.test"), client.say(f"MAIL FROM:<{sender}>")]
    replies += [client.say(f"RCPT TO:<{recipient}>") for recipient in recipients]
    if any(reply.startswith("250") for reply in replies[2:]):
        replies.append(client.say("DATA"))
        lines = text.encode().split(b"\n")
        assert lines.pop() == b""
        client.send(b"".join((b"." if line[:1] == b"." else b"") + line + b"\r\n" for line in lines) + b".\r\n")
        replies.append(client.reply())
    replies.append(client.say("QUIT"))
    return replies[1:]


STAMPS = [
    (r"\b[0-9A-F]{9,15}\b", "ID"),
    (r"<\d{14}\.ID@", "<STAMP.ID@"),
    (r"\w{3}, +\d+ \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)", "DATE"),
    (r"/tmp/post\w+-\w+/conf", "CONF"),
    (r"inet:127.0.0.1:\d+", "inet:127.0.0.1:PORT"),
    # The recipient's part of cleanup's work is done at RCPT here, when the message has no name yet.
    (r"^warning: NOQUEUE: (multi-valued)", r"warning: ID: \1"),
]


# The table that fails is named by lookup here; the clocks are the reference's own trouble.
NOT_COMPARED = (r"(dis)?connect from|\w+: client=|warning: fail:broken lookup error|warning: file system clock|(NOQUEUE: )?lost connection after CONNECT"
                r"|warning: resetting file time")


def normalized(text):
    for pattern, replacement in STAMPS:
        text = re.sub(pattern, replacement, text)
    return text


def log_of(lines):
    """What smtpd and cleanup said, and who got it from whom."""
    said, delivered = [], set()
    for line in lines:
        match = re.search(r" postfix/(smtpd|cleanup)\[\d+\]: (.*)", line)
        if match and not re.match(NOT_COMPARED, match.group(2)):
            said.append(as_followed(f"{match.group(1)}: {normalized(match.group(2))}"))
        match = re.search(r"postfix/lmtp\[\d+\]: \w+: (to=<.*?>(?:, orig_to=<.*?>)?), relay=.* status=(\w+)", line)
        if match:
            delivered.add(f"{match.group(1)} {match.group(2)}")
        match = re.search(r"postfix/qmgr\[\d+\]: \w+: (from=<.*>), size=\d+, (nrcpt=\d+)", line)
        if match:
            count = match.group(2) if not re.search("redirect: ", "".join(lines)) else ""
            delivered.add(f"{match.group(1)} {count}")
    return sorted(line for line in said if line), sorted(delivered)


def run_case(server, case):
    name, service, envelope, text = case
    log = server.mta.log
    before = len(log.lines())
    stored = [len(sink.messages) for sink in (server.sink, server.filter)]
    ended = len(log.lines(r"smtpd\[\d+\]: disconnect from"))
    with SmtpClient(server.ports[service]) as client:
        replies = say_all(client, envelope, text)
    log.wait(r"smtpd\[\d+\]: disconnect from", count=ended + 1, seconds=20)
    queued = re.findall(r"queued as (\w+)", " ".join(replies))
    if not queued:
        time.sleep(0.3)  # cleanup is another process in Postfix: its word may come later
    lines = log.lines()[before:]
    if queued and not any(re.search(": (discard|hold): ", line) for line in lines):
        log.wait(rf"{queued[0]}: removed", seconds=20)
    messages = [(where + message.sender, sorted(message.recipients),
                 normalized(message.content.decode(errors="surrogateescape")))
                for sink, where, count in zip((server.sink, server.filter), ("", "filter: "), stored)
                for message in sink.messages[count:]]
    said, delivered = log_of(log.lines()[before:])
    if any(reply.startswith("451 4.3.0") for reply in replies):
        # A copy's table is asked before the header there, after it here.
        said = [line for line in said if ": message-id=" not in line]
    return {"replies": [normalized(reply) for reply in replies], "said": said, "delivered": delivered,
            "messages": sorted(messages)}


@pytest.fixture(scope="module")
def results():
    """Both servers go through all cases at the same time."""
    for kind in (Posthorn, Postfix):
        if kind.unavailable():
            pytest.skip(kind.unavailable())
    found, servers = {}, []

    def go_through(server, kind):
        for case in CASES:
            try:
                found[kind, case[0]] = run_case(server, case)
            except Exception as error:  # the case that it belongs to reports it
                found[kind, case[0]] = error

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


@pytest.mark.parametrize("name", [case[0] for case in CASES])
def test_both_do_the_same(results, name):
    posthorn, postfix = results[Posthorn, name], results[Postfix, name]
    for result in (posthorn, postfix):
        if isinstance(result, Exception):
            raise result
    for part in ("replies", "said", "delivered", "messages"):
        assert posthorn[part] == postfix[part], part
