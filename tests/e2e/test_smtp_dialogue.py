# SPDX-License-Identifier: ISC
"""Every dialogue of smtp_dialogues.py with both servers under one configuration: the same replies and log lines."""
import re
import socket

import pytest

from lib.mta import Postfix, Posthorn
from lib.reference_release import as_followed, comparable
from lib.waiting import accepts_connections, free_port, wait_for
from smtp_dialogues import DIALOGUES, MAIN, SERVICES


class Listeners:
    """One server with a listener for each of SERVICES."""

    def __init__(self, kind, services=SERVICES, main=MAIN):
        self.mta = kind()
        self.mta.main.update(main)
        self.mta.log.expect("")
        self.ports = {name: free_port() for name in services}
        listeners = "".join(
            f"127.0.0.1:{self.ports[name]} inet n - n - - smtpd\n"
            + "".join(f"  -o {{ {parameter} = {value} }}\n" for parameter, value in overrides.items())
            for name, overrides in services.items())
        self.mta.master_cf = listeners + self.mta.master_cf
        self.mta.start()
        for port in self.ports.values():
            wait_for(lambda port=port: accepts_connections("127.0.0.1", port), f"port {port}", 20)
        wait_for(lambda: self.mta.log.is_idle(len(self.ports)), "the end of the first connections", 20)


@pytest.fixture(scope="module")
def both():
    for kind in (Posthorn, Postfix):
        if kind.unavailable():
            pytest.skip(kind.unavailable())
    servers = []
    try:
        for kind in (Posthorn, Postfix):
            servers.append(Listeners(kind))
        yield servers
    finally:
        for server in servers:
            server.mta.finish()


def read_reply(stream):
    lines = b""
    while True:
        line = stream.readline()
        lines += line
        if not line.endswith(b"\n"):
            return lines + b"(closed)"
        if line[3:4] != b"-":
            return lines


def talk(port, steps):
    """The replies to each step, the greeting first. A first step of bytes is sent before it."""
    replies = []
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection, connection.makefile("rb") as stream:
        if steps and isinstance(steps[0], bytes):
            connection.sendall(steps[0])
            steps = steps[1:]
        replies.append(read_reply(stream))
        for step in steps:
            data, count = step if isinstance(step, tuple) else ((step + "\r\n").encode(), 1)
            try:
                connection.sendall(data)
                replies.append(b"".join(read_reply(stream) for _ in range(count)))
            except OSError:  # a reset and an end of file are the same news
                replies.append(b"(closed)")
            if b"(closed)" in replies[-1]:
                break
    return replies


def normalized(text, queued):
    """Without times, process ids and queue ids; without what cleanup says of messages that were given up."""
    text = re.sub(r"^\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ postfix/", "", text)
    match = re.match(r"cleanup\[\d+\]: (?:warning: )?([0-9A-F]{6,}): message-id", text)
    if match and match.group(1) not in queued:
        return None
    text = re.sub(r"^(\w+)\[\d+\]", r"\1", text)
    text = re.sub(r"<\d{14}\.[0-9A-F]{6,}@", "<STAMP.ID@", text)
    return as_followed(re.sub(r"\b[0-9A-F]{9,15}\b", "ID", text))


def hold(server, service, steps):
    log = server.mta.log
    before = len(log.lines())
    ended = len(log.lines(r"smtpd\[\d+\]: disconnect from"))
    replies = talk(server.ports[service], steps)
    log.wait(r"smtpd\[\d+\]: disconnect from", count=ended + 1, seconds=20)
    text = b"\n".join(replies).decode("latin-1")
    queued = re.findall(r"queued as (\w+)", text)
    for queue_id in queued:
        if not any(": discard: " in line for line in log.lines()[before:]):
            log.wait(rf"cleanup\[\d+\]: {queue_id}: message-id=")
    lines = [normalized(line, queued) for line in log.lines()[before:] if re.search(r" postfix/(smtpd|cleanup)\[", line)]
    # cleanup and smtpd are two processes in Postfix: which of them logs first is chance.
    return re.sub(r"queued as \w+", "queued as ID", text), sorted(line for line in lines if line)


@pytest.mark.parametrize("name, service, steps", comparable(DIALOGUES), ids=[name for name, _, _ in comparable(DIALOGUES)])
def test_both_say_the_same(both, name, service, steps):
    posthorn, postfix = (hold(server, service, steps) for server in both)
    assert posthorn[0] == postfix[0]
    assert posthorn[1] == postfix[1]
