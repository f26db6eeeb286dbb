# SPDX-License-Identifier: ISC
"""Random dialogues (torture_dialogues.py) with both servers: the same replies and log lines.

    TORTURE=10000:500 pytest test_torture.py     500 dialogues from seed 10000 on, instead of the fixed ones
"""
import concurrent.futures
import os
import re
import socket

import pytest

from lib.mta import Postfix, Posthorn
from smtp_dialogues import MAIN as DIALOGUE_MAIN
from test_smtp_dialogue import Listeners, read_reply
from torture_dialogues import Torture

FIRST, COUNT = map(int, os.environ.get("TORTURE", "1:150").split(":"))
MAIN = {**DIALOGUE_MAIN, "smtpd_client_connection_count_limit": "0", "smtpd_hard_error_limit": "100", "smtpd_junk_command_limit": "100"}
SERVICES = {
    "plain": {},
    "strict": {
        "smtpd_helo_required": "yes", "strict_rfc821_envelopes": "yes", "smtpd_forbid_unauth_pipelining": "yes",
        "smtpd_helo_restrictions": "reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname",
        "smtpd_sender_restrictions": "reject_non_fqdn_sender", "smtpd_recipient_restrictions": "reject_non_fqdn_recipient",
        "smtpd_data_restrictions": "reject_unauth_pipelining", "smtpd_hard_error_limit": "4", "smtpd_junk_command_limit": "3",
    },
    "early": {
        "smtpd_delay_reject": "no", "smtpd_helo_restrictions": "reject_invalid_helo_hostname", "disable_vrfy_command": "yes",
        "smtpd_sender_restrictions": "reject_non_fqdn_sender", "smtpd_discard_ehlo_keywords": "dsn, etrn", 
        "smtpd_forbid_bare_newline": "reject",
    },
}


def address_of(number):
    return f"127.{16 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"


def service_of(seed):
    return list(SERVICES)[seed % len(SERVICES)]


def torture(port, seed, source):
    """What went over the wire, as a list of lines."""
    client, said = Torture(seed), []
    with socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0)) as connection, \
            connection.makefile("rb") as stream:
        last = read_reply(stream)
        said.append("< " + last.decode("latin-1"))
        while not last.endswith(b"(closed)"):
            text, count = client.step(last.startswith(b"354"))
            said.append("> " + repr(text))
            try:
                connection.sendall(text.encode("latin-1"))
                for _ in range(count):
                    last = read_reply(stream)
                    said.append("< " + last.decode("latin-1"))
                    if last.endswith(b"(closed)"):
                        break
            except TimeoutError:
                said.append("(no reply)")
                break
            except OSError:  # a reset and an end of file are the same news
                said.append("< (closed)")
                break
    # What is echoed: a control character is '?' in our replies, and a refusal ends after 510 bytes (RFC 5321 4.5.3.1.5).
    return [re.sub(r"[\x01-\x09\x0b\x0c\x0e-\x1f\x7f]", "?", re.sub(r"queued as \w+", "queued as ID", line))[:500] for line in said]


def about(lines, source):
    """What the log says of this client and its messages; cleanup is a process of its own in Postfix, so its lines come last."""
    ids = {m.group(1) for m in (re.search(rf": (\w+): client=unknown\[{re.escape(source)}\]", line) for line in lines) if m}
    done = {m.group(1) for m in (re.search(r"qmgr\[\d+\]: (\w+): from=", line) for line in lines) if m}
    wanted = re.compile("|".join([rf"\[{re.escape(source)}\]", *(rf"\b{i}\b" for i in ids)]))
    found = []
    for line in lines:
        if not wanted.search(line) or not re.search(r" postfix/(smtpd|cleanup)\[", line):
            continue
        unfinished = re.search(r"cleanup\[\d+\]: (?:warning: )?(\w+): message-id", line)
        if unfinished and unfinished.group(1) not in done:
            continue  # given up: which of the two said how much of it is chance
        text = re.sub(r"^\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ postfix/(\w+)\[\d+\]", r"\1", line)
        text = re.sub(r"<\d{14}\.[0-9A-F]{6,}@", "<STAMP.ID@", text)
        found.append(re.sub(r"\b[0-9A-F]{9,15}\b", "ID", text)[:500])
    return sorted(found, key=lambda text: text.startswith("cleanup"))


@pytest.fixture(scope="module")
def results():
    for kind in (Posthorn, Postfix):
        if kind.unavailable():
            pytest.skip(kind.unavailable())
    servers, found = [], {}
    try:
        for kind in (Posthorn, Postfix):
            servers.append(Listeners(kind, SERVICES, MAIN))

        def run(server, seed):
            found[server.mta.name, seed] = torture(server.ports[service_of(seed)], seed, address_of(seed - FIRST))

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for job in [pool.submit(run, server, seed) for seed in range(FIRST, FIRST + COUNT) for server in servers]:
                job.result()
        for server in servers:
            server.mta.log.wait(r"smtpd\[\d+\]: disconnect from unknown\[127\.(?!0\.0\.1\])", count=COUNT, seconds=30)
            said = sum("queued as" in line for seed in range(FIRST, FIRST + COUNT) for line in found[server.mta.name, seed])
            if said:
                server.mta.log.wait(r"qmgr\[\d+\]: \w+: from=", count=said, seconds=30)
            lines = server.mta.log.lines()
            for seed in range(FIRST, FIRST + COUNT):
                found[server.mta.name, seed, "log"] = about(lines, address_of(seed - FIRST))
        yield found
    finally:
        for server in servers:
            server.mta.finish()


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_both_say_the_same(results, seed):
    assert results["posthorn", seed] == results["postfix", seed]
    assert results["posthorn", seed, "log"] == results["postfix", seed, "log"]
