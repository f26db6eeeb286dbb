# SPDX-License-Identifier: ISC
"""A real haproxy in front of both servers, and what anvil(8) counts and says."""
import shutil
import socket
import subprocess

import pytest

from lib import setups
from lib.smtp import SmtpClient
from lib.waiting import accepts_connections, free_port, wait_for

HAPROXY = """\
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
    retries 0
listen one
    bind 127.0.0.1:{one}
    server mail 127.0.0.1:{port} send-proxy
listen two
    bind 127.0.0.1:{two}
    server mail 127.0.0.1:{port} send-proxy-v2
listen checked
    bind 127.0.0.1:{checked}
    option smtpchk EHLO proxy.test
    server mail 127.0.0.1:{port} send-proxy-v2 check inter 200ms
"""


@pytest.fixture
def behind_haproxy(mta, tmp_path):
    if not shutil.which("haproxy", path="/usr/sbin:/usr/bin"):
        pytest.skip("haproxy is not installed")
    ports = {name: free_port() for name in ("one", "two", "checked")}
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text(HAPROXY.format(port=mta.port, **ports))
    setups.virtual_domain(mta, "discard")
    mta.main.update({"smtpd_upstream_proxy_protocol": "haproxy", "smtpd_peername_lookup": "no",
                     "smtpd_client_restrictions": "check_client_access inline:{127.0.0.66=REJECT}",
                     "smtpd_client_event_limit_exceptions": ""})
    mta.log.expect(r"haproxy read: ")  # from the connection that looks whether the server is there
    mta.start()
    haproxy = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-q", "-f", configuration], stderr=subprocess.DEVNULL)
    try:
        for port in ports.values():
            wait_for(lambda port=port: accepts_connections("127.0.0.1", port), "haproxy", 20)
        yield mta, ports
    finally:
        haproxy.terminate()
        haproxy.wait(10)


@pytest.mark.parametrize("version", ["one", "two"])
def test_haproxy_says_who_is_there(behind_haproxy, version):
    mta, ports = behind_haproxy
    with SmtpClient(ports[version], source="127.0.0.7") as client:
        client.hello()
        client.envelope("carl@example.org", "anna@example.test")
        queue_id = client.send_message("Subject: x\n\nx\n")
        client.say("QUIT", expect="221 2.0.0 Bye")
    mta.log.wait(rf"{queue_id}: client=unknown\[127\.0\.0\.7\]$")
    mta.log.wait(r"disconnect from unknown\[127\.0\.0\.7\] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5")
    with SmtpClient(ports[version], source="127.0.0.66") as client:
        client.hello()
        client.say("MAIL FROM:<x@example.org>", expect=250)
        client.say("RCPT TO:<anna@example.test>",
                   expect="554 5.7.1 <unknown[127.0.0.66]>: Client host rejected: Access denied")


def test_haproxys_own_checks_are_the_proxys(behind_haproxy):
    mta, _ = behind_haproxy
    mta.log.wait(r"connect from unknown\[127\.0\.0\.1\]", count=3)  # LOCAL: the connection's own address
    mta.log.wait(r"disconnect from unknown\[127\.0\.0\.1\] ehlo=1")


def test_connections_are_counted(mta):
    mta.log.expect(r"Connection rate limit exceeded")
    mta.main.update({"smtpd_client_connection_rate_limit": "2", "smtpd_client_event_limit_exceptions": "",
                     "smtpd_peername_lookup": "no", "anvil_status_update_time": "1s",
                     "anvil_rate_time_unit": "30s"})
    mta.start()
    for _ in range(2):
        with mta.smtp(source="127.0.0.5") as client:
            client.say("QUIT", expect=221)
    with mta.smtp(source="127.0.0.5", expect="421 4.7.0 mail.example.test Error: too many connections from 127.0.0.5") as client:
        client.expect_close()
    service = f"127\\.0\\.0\\.1:{mta.port}"
    mta.log.wait(rf"smtpd\[\d+\]: warning: Connection rate limit exceeded: 3 from unknown\[127\.0\.0\.5\] for service {service}$")
    mta.log.wait(rf"anvil\[\d+\]: statistics: max connection rate \d/30s for \({service}:127\.0\.0\.5\) at \w\w\w [ \d]\d \d\d:\d\d:\d\d$",
                 seconds=25)
    mta.log.wait(rf"anvil\[\d+\]: statistics: max connection count 1 for \({service}:127\.0\.0\.\d\) at ", seconds=15)
    mta.log.wait(r"anvil\[\d+\]: statistics: max cache size \d at ", seconds=15)


def test_connections_at_once(mta):
    """Counted for each service by itself, and given back when they end."""
    other = free_port()
    mta.master_cf = f"127.0.0.1:{other} inet n - n - - smtpd\n" + mta.master_cf
    mta.log.expect(r"Connection concurrency limit exceeded")
    mta.main.update({"smtpd_client_connection_count_limit": "2", "smtpd_client_event_limit_exceptions": "", "smtpd_peername_lookup": "no"})
    mta.start()
    wait_for(lambda: accepts_connections("127.0.0.1", other), "the other port")
    with mta.smtp(source="127.0.0.5"), mta.smtp(source="127.0.0.5") as second:
        with mta.smtp(source="127.0.0.5", expect="421 4.7.0 mail.example.test Error: too many connections from 127.0.0.5") as client:
            client.expect_close()
        mta.log.wait(rf"smtpd\[\d+\]: warning: Connection concurrency limit exceeded: 3 from unknown\[127\.0\.0\.5\] "
                     rf"for service 127\.0\.0\.1:{mta.port}$")
        with SmtpClient(other, source="127.0.0.5"), mta.smtp(source="127.0.0.6"):
            pass  # another service, another client
        ended = len(mta.log.lines(r"disconnect from unknown\[127\.0\.0\.5\]"))
        second.say("QUIT", expect=221)
        mta.log.wait(r"disconnect from unknown\[127\.0\.0\.5\]", count=ended + 1)
        with mta.smtp(source="127.0.0.5") as third:
            third.say("QUIT", expect=221)


def test_networks_share_a_limit(posthorn):
    """smtpd_client_ipv4_prefix_length (3.8)."""
    posthorn.log.expect(r"Message delivery request rate limit exceeded")
    posthorn.main.update({"smtpd_client_message_rate_limit": "1", "smtpd_client_event_limit_exceptions": "", "smtpd_client_ipv4_prefix_length": "24",
                          "smtpd_peername_lookup": "no"})
    posthorn.start()
    for source, expect in (("127.0.7.5", 250), ("127.0.7.9", "450 4.7.1 Error: too much mail from 127.0.7.9"), ("127.0.8.5", 250)):
        with posthorn.smtp(source=source) as client:
            client.hello()
            client.say("MAIL FROM:<a@sender.example>", expect=expect)


def test_bare_newlines_are_noted(posthorn):
    """smtpd_forbid_bare_newline = note (3.9): said once, when the session ends."""
    posthorn.main.update({"smtpd_forbid_bare_newline": "note", "smtpd_forbid_bare_newline_exclusions": "127.0.0.9", "smtpd_peername_lookup": "no"})
    posthorn.start()
    for source, ending in (("127.0.0.8", "noop=1 quit=1 commands=2 notes=bare_lf"), ("127.0.0.9", "noop=1 quit=1 commands=2")):
        with posthorn.smtp(source=source) as client:
            client.send(b"NOOP\n")
            client.reply(250)
            client.say("QUIT", expect=221)
        posthorn.log.wait(rf"disconnect from unknown\[{source}\] {ending}$")


def test_a_slow_proxy_header_is_waited_for(posthorn):
    """One byte at a time; Postfix wants it in one packet."""
    posthorn.main.update({"smtpd_upstream_proxy_protocol": "haproxy", "smtpd_peername_lookup": "no"})
    posthorn.log.expect(r"haproxy read: ")
    posthorn.start()
    with socket.create_connection(("127.0.0.1", posthorn.port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"PROXY TCP4 192.0.2.77 192.0.2.25 1 25\r\nQUIT\r\n":
            connection.sendall(bytes([byte]))
        posthorn.log.wait(r"connect from unknown\[192\.0\.2\.77\]")
        posthorn.log.wait(r"improper command pipelining after CONNECT from unknown\[192\.0\.2\.77\]|disconnect from unknown\[192\.0\.2\.77\]")
