# SPDX-License-Identifier: ISC
"""Random access policies and random dialogues (lib/random_access.py) with both servers, in a network namespace with its own name
server: the same replies, the same log lines, the same questions to the policy service.

The seeds are fixed. To try others: RANDOM_ACCESS_SEEDS=100-400 pytest tests/e2e/test_random_access.py"""
import concurrent.futures
import os
import random
import re
import socket

import pytest

from dns_dialogues import ZONE
from lib import random_access
from lib.dns_server import DnsServer
from lib.mta import Postfix, Posthorn
from lib.network import namespace, namespaces_unavailable
from lib.policy_server import PolicyServer
from lib.waiting import accepts_connections, free_port, wait_for

SERVICES_A_SEED = int(os.environ.get("RANDOM_ACCESS_SERVICES", "16"))
DIALOGUES_A_SERVICE = int(os.environ.get("RANDOM_ACCESS_DIALOGUES", "10"))


def seeds():
    first, _, last = os.environ.get("RANDOM_ACCESS_SEEDS", "1-1").partition("-")
    return range(int(first), int(last or first) + 1)


class NewLines:
    """What a log has had since it was last asked."""

    def __init__(self, path):
        self.path, self.offset, self.rest = path, 0, ""

    def take(self):
        with open(self.path, encoding="utf-8", errors="replace") as file:
            file.seek(self.offset)
            text = self.rest + file.read()
            self.offset = file.tell()
        *lines, self.rest = text.split("\n")
        return [line for line in lines if " postfix/smtpd[" in line]

    def until_disconnect(self):
        lines = []

        def ended():
            lines.extend(self.take())
            return any(re.search(r"smtpd\[\d+\]: disconnect from", line) for line in lines)
        wait_for(ended, "the end of a session", 30, 0.005)
        process = re.search(r"smtpd\[\d+\]: (?=disconnect from)", "\n".join(lines)).group(0)
        return [line for line in lines if process in line]


class Server:
    def __init__(self, kind, network, seed):
        self.policy_server = PolicyServer()
        self.policy_server.answer = random_access.policy_answer(seed)
        self.mta = kind()
        self.mta.wrapper = ["ip", "netns", "exec", network]
        self.mta.main.update(random_access.main_parameters(random.Random(seed)))
        self.mta.log.expect("")
        self.ports, self.policies = [], []
        for number in range(SERVICES_A_SEED):
            policy = random_access.Policy(random.Random(f"{seed}/{number}"), f"inet:127.0.0.1:{self.policy_server.port}", f"s{number}-")
            for name, text in policy.files.items():
                self.mta.file(name, text)
            self.ports.append(free_port())
            self.policies.append(policy)
        self.mta.master_cf = "".join(
            f"127.0.0.1:{port} inet n - n - - smtpd\n"
            + "".join(f"  -o {{ {name} = {value} }}\n" for name, value in policy.overrides.items())
            for port, policy in zip(self.ports, self.policies)) + self.mta.master_cf
        self.mta.start()
        for port in self.ports:
            wait_for(lambda port=port: accepts_connections("127.0.0.1", port), f"port {port}", 30)
        wait_for(lambda: self.mta.log.is_idle(len(self.ports)), "the end of the first connections", 60)
        self.lines = NewLines(self.mta.log.path)
        self.lines.take()

    def hold(self, number, client, lines):
        del self.policy_server.requests[:]
        replies = talk(self.ports[number], client, lines)
        log = [normalized(line) for line in self.lines.until_disconnect()]
        return replies, [line for line in log if not re.search(OWN_REMARKS, line)], [request_facts(one) for one in self.policy_server.requests]

    def finish(self):
        self.policy_server.close()
        self.mta.finish()


# Postfix's remarks on what the name server said, from inside its DNS library.
OWN_REMARKS = r" is unavailable\. |error: open database|support for restriction|RBL lookup error|in resource data of|valid_hostname|malformed domain name|numeric domain name|(un)?using backwards"
# What no two servers have in common.
OWN_ATTRIBUTES = re.compile(r"(instance|client_port|server_port|queue_id)=")


def request_facts(request):
    return [line for line in request if not OWN_ATTRIBUTES.match(line)]


def normalized(line):
    line = re.sub(r"^\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ postfix/smtpd\[\d+\]: ", "", line)
    line = re.sub(r"/tmp/post(fix|horn)-[^/]*/conf/", "", line)
    line = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", line)
    return re.sub(r"\b[0-9A-F]{9,15}: ", "ID: ", line)


def read_reply(stream):
    text = ""
    while True:
        line = stream.readline().decode("latin-1")
        text += line
        if not line.endswith("\n"):
            return text + "(closed)"
        if line[3:4] != "-":
            return text


def talk(port, client, lines):
    """(line, reply), the greeting first."""
    with socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(client, 0)) as connection, \
            connection.makefile("rb") as stream:
        replies = [("(greeting)", read_reply(stream))]
        for line in lines:
            try:
                connection.sendall(line.encode() + b"\r\n")
                replies.append((line, read_reply(stream)))
                if replies[-1][1].startswith("354"):
                    connection.sendall(b"Subject: test\r\n\r\nHello.\r\n.\r\n")
                    replies.append(("(message)", re.sub(r"queued as \w+", "queued as ID", read_reply(stream))))
            except OSError:
                replies.append((line, "(closed)"))
            if "(closed)" in replies[-1][1]:
                break
    return replies


@pytest.fixture(scope="module")
def network():
    for reason in (namespaces_unavailable(), Posthorn.unavailable(), Postfix.unavailable()):
        if reason:
            pytest.skip(reason)
    with namespace() as name:
        dns = DnsServer(ZONE, "127.0.0.1", 53).start()
        yield name
        dns.stop()


def story(policy, client, lines, posthorn, postfix):
    """For whoever has to find out."""
    mine, theirs = (["\n".join(map(repr, one[0])), "\n".join(one[1]), "\n".join(map(str, one[2]))] for one in (posthorn, postfix))
    parts = [f"{name} = {value}" for name, value in policy.overrides.items()]
    parts += [f"--- {name}:\n{text}" for name, text in policy.files.items()]
    return "\n".join([*parts, f"--- from {client}: {lines}", "=== Posthorn", *mine, "=== Postfix", *theirs])


@pytest.mark.parametrize("seed", seeds())
def test_both_judge_alike(network, seed):
    servers, differences = [], []
    try:
        for kind in (Posthorn, Postfix):
            servers.append(Server(kind, network, seed))
        rng = random.Random(seed)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for number in range(SERVICES_A_SEED):
                for _ in range(DIALOGUES_A_SERVICE):
                    client, lines = random_access.dialogue(rng)
                    posthorn, postfix = pool.map(lambda server: server.hold(number, client, lines), servers)
                    if posthorn != postfix:
                        differences.append(f"##### service {number}\n" + story(servers[0].policies[number], client, lines, posthorn, postfix))
        died = servers[0].mta.log.lines(r"panic:|fatal:|killed by signal")
    finally:
        for server in servers:
            server.finish()
    assert not died, died
    if os.environ.get("RANDOM_ACCESS_REPORT") and differences:
        with open(os.environ["RANDOM_ACCESS_REPORT"], "a", encoding="utf-8") as file:
            file.write(f"########## seed {seed}\n" + "\n".join(differences) + "\n")
    assert not differences, "\n\n".join(differences[:3])
