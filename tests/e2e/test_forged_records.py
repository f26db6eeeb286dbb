# SPDX-License-Identifier: ISC
"""A role that was taken over, and its neighbours: tests/tools/forge starts one real role as the supervisor would and speaks
to it as each role that master/graph.c connects with it, in ways that no honest neighbour would. Nobody dies of a signal, stops
answering, grows or keeps descriptors, and nothing is granted that docs/architecture.md says is not.
"""
import subprocess

import pytest

from lib import setups
from lib.mta import Posthorn

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def stopped():
    """The directories and the configuration of a server that ran."""
    reason = Posthorn.unavailable()
    if reason:
        pytest.skip(reason)
    server = Posthorn()
    setups.virtual_domain(server, "lmtp:unix:private/x")
    server.main["smtpd_tls_security_level"] = "may"
    server.main["virtual_mailbox_base"] = server.directory / "mail"
    server.main["smtpd_sasl_type"] = "dovecot"
    server.main["smtpd_sasl_path"] = "private/auth"
    server.main["resolver_servers"] = "127.0.0.1:9"
    server.start()
    server.stop()
    yield server
    server.log.expect(r".")
    server.finish()


@pytest.mark.parametrize("role", ["smtpd", "submission", "queue", "lookup", "resolver", "state", "keys", "auth", "lmtp", "virtual"])
def test_a_taken_over_neighbour_gains_nothing(stopped, role):
    forge = Posthorn.installed_prefix().parent / "tests" / "tools" / "forge"
    stopped.main["smtpd_sasl_auth_enable"] = "yes" if role in ("submission", "auth") else "no"
    stopped.write_configuration()
    programs = next(path.parent for path in Posthorn.installed_prefix().rglob("smtpd") if path.is_file())
    result = subprocess.run([forge, programs, stopped.config, stopped.owner, role], capture_output=True, text=True, timeout=120,
                            check=False, env={**stopped.environment(), **stopped.more_environment})
    log = "\n".join(line for line in stopped.log.text().splitlines() if f"/{role}[" in line)[-2000:]
    assert result.returncode == 0, f"{result.stdout}{result.stderr}\n{log}"
    assert not stopped.log.lines(r"Sanitizer|runtime error|panic:"), stopped.log.lines(r"Sanitizer|runtime error|panic:")[:9]
