# SPDX-License-Identifier: ISC
"""Logging in: every dialogue of sasl_dialogues.py with Posthorn and Debian's Postfix, which ask the same Dovecot and read
the same sasldb: the same replies and log lines."""
import os
import pathlib
import re
import shutil
import tempfile

import pytest
from lib.mta import Postfix, Posthorn
from lib.reference_release import FOLLOWED, as_followed, comparable, release
from lib.sasl import DovecotAuth, cyrus_unavailable, sasldb
from lib.waiting import accepts_connections, free_port, wait_for
from sasl_dialogues import DIALOGUES, NAMELESS, SERVICES, USERS
from test_smtp_dialogue import normalized, talk

SMTPD_CONF = """\
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {database}
mech_list: PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 ANONYMOUS
"""


class Server:
    """One server with a listener for each of SERVICES."""

    def __init__(self, kind, dovecot, database):
        self.mta = kind()
        self.mta.log.expect("")
        self.mta.main.update({
            "smtpd_sasl_auth_enable": "yes",
            "smtpd_relay_restrictions": "permit_sasl_authenticated, reject_unauth_destination",
            "virtual_mailbox_domains": "virt.example",
            "virtual_mailbox_maps": "inline:{anna@virt.example=anna/}",
            "mynetworks": "192.0.2.0/24",
            "default_transport": "lmtp:[127.0.0.1]:1",
            "virtual_transport": "lmtp:[127.0.0.1]:1",
            "smtpd_error_sleep_time": "0",
            "smtpd_soft_error_limit": "100",
            "smtpd_hard_error_limit": "100",
        })
        if kind is Posthorn:
            self.mta.main["smtpd_sasl_failure_delay"] = "0"
        self.mta.file("sasl/smtpd.conf", SMTPD_CONF.format(database=database))
        if kind is Postfix and release() != FOLLOWED:  # Debian's place beside main.cf is no longer built in
            self.mta.main["cyrus_sasl_config_path"] = "$config_directory/sasl"
        self.ports = {name: free_port() for name in SERVICES}
        text = ""
        for name, overrides in SERVICES.items():
            path = f"inet:127.0.0.1:{dovecot.port}" if name == "inet" else str(dovecot.socket)
            if overrides.get("smtpd_sasl_type") == "dovecot":
                overrides = {**overrides, "smtpd_sasl_path": path}
            text += f"127.0.0.1:{self.ports[name]} inet n - n - - smtpd\n"
            text += "".join(f"  -o {{ {parameter} = {value} }}\n" for parameter, value in overrides.items())
        self.mta.master_cf = text + self.mta.master_cf
        self.mta.start()
        for port in self.ports.values():
            wait_for(lambda port=port: accepts_connections("127.0.0.1", port), f"port {port}", 20)
        wait_for(lambda: self.mta.log.is_idle(len(self.ports)), "the end of the first connections", 20)

    def hold(self, service, steps, is_nameless):
        """The replies, and the sorted log lines of smtpd."""
        log = self.mta.log
        before = len(log.lines())
        ended = len(log.lines(r"smtpd\[\d+\]: disconnect from"))
        replies = [mask_challenge(reply.decode("latin-1")) for reply in talk(self.ports[service], steps)]
        log.wait(r"smtpd\[\d+\]: disconnect from", count=ended + 1, seconds=20)
        lines = [normalized(line, []) for line in log.lines()[before:] if re.search(r" postfix/smtpd\[", line)]
        lines = [line for line in lines if line]
        if is_nameless:
            lines = [re.sub(r", sasl_username=.*", "", line) for line in lines]
        # That only part of the line arrived is said with its beginning there, and without it here: it is a password.
        lines = [re.sub(r"(request longer than \d+): .*", r"\1", line) for line in lines]
        return [as_followed(re.sub(r"queued as \w+", "queued as ID", reply)) for reply in replies], sorted(lines)


def mask_challenge(reply):
    """What a server makes up anew each time."""
    return re.sub(r"^334 [P-c][\w+/=]{30,}", "334 (challenge)", reply)


@pytest.fixture(scope="module")
def both():
    for reason in (DovecotAuth.unavailable(), cyrus_unavailable(), Posthorn.unavailable(), Postfix.unavailable()):
        if reason:
            pytest.skip(reason)
    top = pathlib.Path(tempfile.mkdtemp(prefix="sasl-", dir="/tmp"))
    top.chmod(0o755)
    servers = []
    dovecot = DovecotAuth(top / "auth", "postfix", USERS)
    try:
        dovecot.start()
        database = sasldb(top / "sasldb", USERS, "postfix")
        for kind in (Posthorn, Postfix):
            servers.append(Server(kind, dovecot, database))
        yield servers
    finally:
        for server in servers:
            server.mta.finish()
        dovecot.finish()
        if not os.environ.get("KEEP"):
            shutil.rmtree(top, ignore_errors=True)


CASES = comparable([(f"{name}-{service}", service, steps, name in NAMELESS)
                    for name, services, steps in DIALOGUES for service in services])


@pytest.mark.parametrize("name, service, steps, is_nameless", CASES, ids=[case[0] for case in CASES])
def test_both_say_the_same(both, name, service, steps, is_nameless):
    posthorn, postfix = (server.hold(service, steps, is_nameless) for server in both)
    assert posthorn[0] == postfix[0]
    assert posthorn[1] == postfix[1]
