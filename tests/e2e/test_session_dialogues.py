# SPDX-License-Identifier: ISC
"""Every dialogue of session_dialogues.py with both servers under one configuration: the same replies and log lines."""
import re

import pytest

from lib.mta import Postfix, Posthorn
from session_dialogues import DIALOGUES, MAIN, SERVICES
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


def without_ports(lines, server, service):
    """Each server's own port, and those that the kernel gives to clients."""
    return [re.sub(r"(\[127\.0\.0\.1\]):\d+", r"\1:PORT", line.replace(str(server.ports[service]), "SERVICE")) for line in lines]


@pytest.mark.parametrize("name, service, steps", DIALOGUES, ids=[name for name, _, _ in DIALOGUES])
def test_both_say_the_same(both, name, service, steps):
    results = [hold(server, service, steps) for server in both]
    assert results[0][0] == results[1][0]
    assert without_ports(results[0][1], both[0], service) == without_ports(results[1][1], both[1], service)
