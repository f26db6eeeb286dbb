# SPDX-License-Identifier: ISC
"""Restrictions that ask DNS: each dialogue of dns_dialogues.py with both servers, in a network namespace with its own
name server on port 53. The same replies and the same log lines."""
import os
import re
import socket

import pytest

from dns_dialogues import DIALOGUES, SERVICES, ZONE
from lib.dns_server import DnsServer
from lib.mta import Postfix, Posthorn
from lib.network import namespace, namespaces_unavailable
from lib.reference_release import lines_as_followed, release
from lib.waiting import accepts_connections, free_port, wait_for

MAIN = {
    "mynetworks": "127.0.0.1/32",
    "virtual_mailbox_domains": "virt.test",
    "virtual_mailbox_maps": "static:x",
    "virtual_alias_maps": "inline:{anna@virt.test=anna@virt.test}",
    "relay_domains": "relay.test, mail.test, null.test, fail.test, nowhere.test, deadmx.test",
    "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
    "smtpd_client_connection_count_limit": "0",
    "virtual_transport": "discard",
    "parent_domain_matches_subdomains": "smtpd_access_maps",
    "reject_tempfail_action": "defer_if_permit",
    "proxy_interfaces": "192.0.2.77",
    "mydestination": "here.test",
    "local_recipient_maps": "",
}


class Server:
    """One server with a listener for each of SERVICES."""

    def __init__(self, kind, namespace_name):
        self.mta = kind()
        self.mta.wrapper = ["ip", "netns", "exec", namespace_name]
        self.mta.main.update(MAIN)
        self.mta.log.expect("")
        self.ports = {name: free_port() for name in SERVICES}
        self.mta.master_cf = "".join(
            f"127.0.0.1:{self.ports[name]} inet n - n - - smtpd\n"
            + "".join(f"  -o {{ {parameter} = {value} }}\n" for parameter, value in overrides.items())
            for name, overrides in SERVICES.items()) + self.mta.master_cf
        self.mta.start()
        for port in self.ports.values():
            wait_for(lambda port=port: accepts_connections("127.0.0.1", port), f"port {port}", 30)
        wait_for(lambda: self.mta.log.is_idle(len(self.ports)), "the end of the first connections", 30)


@pytest.fixture(scope="module")
def network():
    if namespaces_unavailable() or Posthorn.unavailable():
        pytest.skip(namespaces_unavailable() or Posthorn.unavailable())
    with namespace() as name:
        dns = DnsServer(ZONE, "127.0.0.1", 53).start()
        yield name, dns
        dns.stop()


@pytest.fixture(scope="module")
def both(network):
    if Postfix.unavailable():
        pytest.skip(Postfix.unavailable())
    servers = []
    try:
        for kind in (Posthorn, Postfix):
            servers.append(Server(kind, network[0]))
        yield servers
    finally:
        died = servers[0].mta.log.lines(r"panic:|fatal:|killed by signal") if servers else []
        for server in servers:
            server.mta.finish()
        assert not died, died


def converse(port, client, steps):
    """Each reply, the greeting first."""
    with socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(client, 0)) as connection, \
            connection.makefile("rwb") as stream:
        replies = [stream.readline()]
        for step in steps:
            try:
                stream.write(step.encode() + b"\r\n")
                stream.flush()
                replies.append(stream.readline())
            except (ConnectionResetError, BrokenPipeError):
                break  # after a 421 or 521 the server hangs up, whatever we still say
    return b"".join(replies).decode()


def normalized(line):
    """Without time, process id, queue id, and what only one of the two has to say."""
    line = re.sub(r"^\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ postfix/smtpd\[\d+\]: ", "", line)
    return re.sub(r"\b[0-9A-F]{9,15}: ", "ID: ", line)


# Postfix's remarks on what the name server said, from inside its DNS library.
OWN_REMARKS = r"in resource data of|valid_hostname|malformed domain name|numeric domain name|(un)?using backwards"


def hold(server, dialogue):
    _, service, client, sender, recipient, helo = dialogue
    log = server.mta.log
    before = len(log.lines())
    ended = len(log.lines(r"smtpd\[\d+\]: disconnect from"))
    replies = converse(server.ports[service], client, [
        f"HELO {helo}", f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "QUIT"])
    log.wait(r"smtpd\[\d+\]: disconnect from", count=ended + 1, seconds=30)
    lines = [normalized(line) for line in log.lines()[before:] if " postfix/smtpd[" in line]
    return replies, lines_as_followed(line for line in lines if not re.search(OWN_REMARKS, line))


# Two restrictions that later releases do not have any more.
COMPARED = [dialogue for dialogue in DIALOGUES if release() < (3, 9) or dialogue[1] not in ("naked", "maps-rbl")]


@pytest.mark.parametrize("dialogue", COMPARED, ids=[dialogue[0] for dialogue in COMPARED])
def test_both_say_the_same(both, dialogue):
    posthorn, postfix = (hold(server, dialogue) for server in both)
    assert posthorn[0] == postfix[0]
    assert "\n".join(posthorn[1]) == "\n".join(postfix[1])


# --- what Posthorn does by itself ------------------------------------------------------------------


@pytest.fixture
def alone(network):
    mta = Posthorn()
    mta.wrapper = ["ip", "netns", "exec", network[0]]
    mta.main.update(MAIN)
    try:
        yield mta
    finally:
        mta.finish()


def ask(mta, client="192.0.2.1", sender="carl@mail.test"):
    """The reply to RCPT."""
    text = converse(mta.port, client, ["HELO client.test", f"MAIL FROM:<{sender}>", "RCPT TO:<anna@virt.test>", "QUIT"])
    return text.splitlines()[3]


OTHER_ZONE = {
    ("2.2.0.192.in-addr.arpa", "PTR"): ["bad.client.test"],
    ("bad.client.test", "A"): ["192.0.2.2"],
    ("2.2.0.192.refusing.test", "A"): ["127.255.255.254"],
    ("2.2.0.192.mixed.test", "A"): ["127.255.255.254", "127.0.0.2"],
    ("lie.test", "*"): "lying",
    ("garbage.test", "*"): "garbage",
    ("silent.test", "*"): "silent",
    ("slow.test", "MX"): [0.5, "10 mx.test"],
    ("loop.test", "CNAME"): ["loop2.test"],
    ("loop2.test", "CNAME"): ["loop.test"],
    ("many.test", "MX"): [f"{i} mx{i}.many.test" for i in range(1000)],
    ("good.test", "MX"): ["10 mx.test"],
}


@pytest.fixture
def other_dns(network):
    server = DnsServer(OTHER_ZONE).start()
    yield server
    server.stop()


def test_a_list_that_refuses_our_name_server_lists_nobody(alone, other_dns):
    alone.log.expect(r"refuses this name server")
    alone.main.update({"resolver_servers": f"127.0.0.1:{other_dns.port}", "smtpd_recipient_restrictions":
                       "reject_rbl_client refusing.test=127.[0..255].[0..255].[0..255], reject_rbl_client refusing.test, "
                       "permit_dnswl_client refusing.test, reject_rbl_client mixed.test"})
    alone.start()
    assert ask(alone, "192.0.2.2") == "554 5.7.1 Service unavailable; Client host [192.0.2.2] blocked using mixed.test"
    alone.log.wait(r"warning: 2\.2\.0\.192\.refusing\.test: the list answers 127\.255\.255\.254: it refuses this name server, "
                   r"and lists nobody")


@pytest.mark.parametrize("domain, reply", [
    ("good", "250 2.1.5 Ok"), ("slow", "250 2.1.5 Ok"), ("nowhere", "550 5.1.8 <x@nowhere.test>: Sender address rejected: Domain not found"),
    ("lie", 450), ("garbage", 450), ("silent", 450), ("loop", 450), ("many", "250 2.1.5 Ok"),
])
def test_a_name_server_that_misbehaves_is_never_a_no(alone, other_dns, domain, reply):
    alone.log.expect(r"malformed DNS reply", r"aliases")
    alone.main.update({"resolver_servers": f"127.0.0.1:{other_dns.port}", "unknown_address_reject_code": "550",
                       "smtpd_recipient_restrictions": "reject_unknown_sender_domain"})
    alone.start()
    answer = ask(alone, sender=f"x@{domain}.test")
    if isinstance(reply, str):
        assert answer == reply
    else:
        assert answer.startswith(f"{reply} "), answer


def test_without_a_resolver_the_session_goes_on(alone, other_dns):
    alone.log.expect(r"resolver", r"killed by signal 9")
    alone.main.update({"resolver_servers": f"127.0.0.1:{other_dns.port}",
                       "smtpd_recipient_restrictions": "reject_unknown_sender_domain"})
    alone.start()
    with socket.create_connection(("127.0.0.1", alone.port), timeout=30) as connection, connection.makefile("rwb") as stream:
        def say(line):
            stream.write(line + b"\r\n")
            stream.flush()
            return stream.readline()
        assert stream.readline().startswith(b"220 ")
        assert say(b"HELO client.test").startswith(b"250 ")
        assert say(b"MAIL FROM:<x@good.test>").startswith(b"250 ")
        os.kill(alone.pids("resolver")[0], 9)
        assert say(b"RCPT TO:<anna@virt.test>") == b"250 2.1.5 Ok\r\n"
        assert say(b"QUIT").startswith(b"221 ")


def test_answers_are_kept_for_a_moment(alone, other_dns):
    alone.main.update({"resolver_servers": f"127.0.0.1:{other_dns.port}",
                       "smtpd_recipient_restrictions": "reject_unknown_sender_domain"})
    alone.start()
    for _ in range(3):
        assert ask(alone, "127.0.0.1", "x@good.test") == "250 2.1.5 Ok"
    assert other_dns.questions.count(("good.test", "MX")) == 1
