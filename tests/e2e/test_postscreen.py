# SPDX-License-Identifier: ISC
"""postscreen in master.cf: the same clients come to both servers, each from an address of its own, in a network namespace
with its own name server. The same replies, and the same log lines about each address."""
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest

from lib.dns_server import DnsServer
from lib.mta import IS_ROOT, Postfix, Posthorn
from lib.waiting import accepts_connections, free_port, wait_for
from test_dns_restrictions import namespace


def listed(last, name, answer="127.0.0.2"):
    return {(f"{last}.2.0.192.{name}.test", "A"): [answer]}


ZONE = {**listed(10, "bl"), **listed(11, "bl"), **listed(11, "other", "127.0.0.4"), **listed(12, "wl"), **listed(13, "bl"),
        **listed(13, "wl"), **listed(14, "bl", "127.255.255.254"), **listed(15, "other", "127.0.0.9"),
        **listed(16, "secret"), **listed(17, "bl"), **listed(18, "wl"), **listed(19, "bl"), **listed(20, "bl"), **listed(28, "bl"),
        ("21.2.0.192.bl.test", "A"): "servfail", ("22.2.0.192.bl.test", "A"): "silent"}
SITES = "bl.test*2, other.test=127.0.0.[1..5]*3 wl.test*-4, secret.test=127.0.0.2"
DNSBL = {"postscreen_dnsbl_sites": SITES, "postscreen_dnsbl_threshold": "1", "postscreen_greet_wait": "2s"}
DEEP = {"postscreen_pipelining_enable": "yes", "postscreen_non_smtp_command_enable": "yes", "postscreen_bare_newline_enable": "yes"}

SERVICES = {
    "ignore": {},
    "greet_drop": {"postscreen_greet_action": "drop"},
    "greet_enforce": {"postscreen_greet_action": "enforce"},
    "no_banner": {"postscreen_greet_banner": ""},
    "dnsbl_ignore": DNSBL,
    "dnsbl_drop": {**DNSBL, "postscreen_dnsbl_action": "drop", "postscreen_dnsbl_reply_map": "inline:{secret.test=public.test}"},
    "dnsbl_enforce": {**DNSBL, "postscreen_dnsbl_action": "enforce", "postscreen_greet_action": "enforce"},
    "dnsbl_allow": {**DNSBL, **DEEP, "postscreen_dnsbl_allowlist_threshold": "-2", "postscreen_greet_wait": "3s"},
    "access": {"postscreen_access_list": "permit_mynetworks, cidr:{ {192.0.2.40 reject}, {192.0.2.41 permit}, {192.0.2.42 dunno} }"},
    "access_drop": {"postscreen_access_list": "cidr:{{192.0.2.45 reject}}", "postscreen_blacklist_action": "drop"},
    "access_enforce": {"postscreen_access_list": "cidr:{{192.0.2.46 reject}}", "postscreen_denylist_action": "enforce"},
    "access_fails": {"postscreen_access_list": "fail:x, permit"},
    "deep": DEEP,
    "deep_drop": {**DEEP, "postscreen_pipelining_action": "drop", "postscreen_bare_newline_action": "drop"},
    "deep_enforce": {**DEEP, "postscreen_non_smtp_command_action": "enforce", "postscreen_bare_newline_action": "enforce"},
    "deep_ignore": {**DEEP, "postscreen_pipelining_action": "ignore", "postscreen_non_smtp_command_action": "ignore"},
    "few": {**DEEP, "postscreen_command_count_limit": "3", "postscreen_command_time_limit": "2s"},
    "two": {"postscreen_client_connection_count_limit": "1", "postscreen_greet_wait": "2s"},
    "words": {**DEEP, "postscreen_discard_ehlo_keywords": "chunking, dsn, silent-discard", "postscreen_helo_required": "yes",
              "postscreen_disable_vrfy_command": "yes", "postscreen_reject_footer": "\\c. See ${client_address} at $server_name",
              "postscreen_expansion_filter": "0123456789abcdefghijklmnopqrstuvwxyz"},
    "veto": {"postscreen_allowlist_interfaces": "!127.0.0.1, static:all"},
    "proxy": {"postscreen_upstream_proxy_protocol": "haproxy", "postscreen_upstream_proxy_timeout": "1s"},
    "tls": {**DEEP, "postscreen_tls_security_level": "may"},
    "tls_only": {**DEEP, "postscreen_tls_security_level": "encrypt"},
    "no_cache": {"postscreen_cache_map": ""},
}
MAIN = {
    "mynetworks": "127.0.0.1/32",
    "mydestination": "",
    "virtual_mailbox_domains": "virt.test",
    "virtual_mailbox_maps": "static:x",
    "virtual_transport": "discard",
    "smtpd_relay_restrictions": "reject_unauth_destination",
    "smtpd_peername_lookup": "no",
    "smtpd_banner": "$myhostname ESMTP",
    "postscreen_greet_wait": "1s",
    "smtpd_tls_security_level": "may",
    "smtpd_forbid_unauth_pipelining": "no",
    "smtpd_client_connection_count_limit": "0",
}
MASTER = """\
smtpd     pass  -       -       n       -       -       smtpd
dnsblog   unix  -       -       n       -       0       dnsblog
tlsproxy  unix  -       -       n       -       0       tlsproxy
"""

MAIL = ["EHLO c.test", "MAIL FROM:<a@b.test>", "RCPT TO:<anna@virt.test>"]
WAIT = object()  # for the greeting
STARTTLS = object()
# (name, service, last number of the client's address, steps): a text is a command and waits for its reply; bytes are
# sent as they are; WAIT reads a reply; a number sleeps.
CASES = [
    ("a good client", "ignore", 1, [WAIT, *MAIL, "QUIT"]),
    ("a good client comes back", "ignore", 1, [WAIT, "QUIT"]),
    ("speaks early, ignored", "ignore", 2, [b"EHLO x\r\n", WAIT, WAIT, "MAIL FROM:<a@b.test>", "QUIT"]),
    ("speaks early, dropped", "greet_drop", 3, [b"EHLO x\r\nMAIL FROM:<a@b.test>\r\n", WAIT, WAIT]),
    ("speaks early, refused", "greet_enforce", 4, [b"EHLO x\r\n", WAIT, "MAIL FROM:<a@b.test> SIZE=10", "RCPT TO:<\"c d\"@virt.test>",
                                                   "RCPT TO:<@x:e@virt.test>", "QUIT"]),
    ("hangs up early", "ignore", 5, [0.2]),
    ("no teaser", "no_banner", 6, [WAIT, *MAIL, "QUIT"]),
    ("listed, ignored", "dnsbl_ignore", 10, [WAIT, "QUIT"]),
    ("not listed", "dnsbl_ignore", 9, [WAIT, "QUIT"]),
    ("listed twice, dropped", "dnsbl_drop", 11, [WAIT, WAIT]),
    ("listed by a secret list", "dnsbl_drop", 16, [WAIT, WAIT]),
    ("wrong answer of a list", "dnsbl_drop", 15, [WAIT, "QUIT"]),
    ("listed and trusted", "dnsbl_drop", 13, [WAIT, "QUIT"]),
    ("a list fails", "dnsbl_drop", 21, [WAIT, "QUIT"]),
    ("a list is late", "dnsbl_drop", 22, [WAIT, "QUIT"]),
    ("listed, refused", "dnsbl_enforce", 17, [WAIT, *MAIL, "VRFY x", "ETRN x", "DATA"]),
    ("listed and early", "dnsbl_enforce", 28, [b"HELO x\r\n", WAIT, "MAIL FROM:<>", "RCPT TO:<x@virt.test>", "BDAT 5", ]),
    ("trusted: no tests", "dnsbl_allow", 18, [WAIT, *MAIL, "QUIT"]),
    ("listed where trust counts", "dnsbl_allow", 19, [WAIT, *MAIL, "QUIT"]),
    ("denied, ignored", "access", 40, [WAIT, "QUIT"]),
    ("allowed", "access", 41, [WAIT, "QUIT"]),
    ("neither", "access", 42, [WAIT, "QUIT"]),
    ("denied, dropped", "access_drop", 45, [WAIT]),
    ("denied, refused", "access_enforce", 46, [WAIT, *MAIL, "QUIT"]),
    ("access list fails", "access_fails", 44, [WAIT, "QUIT"]),
    ("deep tests passed", "deep", 50, [WAIT, *MAIL, "RSET", "NOOP", "QUIT"]),
    ("deep tests passed, back", "deep", 50, [WAIT, *MAIL, "QUIT"]),
    ("deep tests, hangs up before RCPT", "deep", 51, [WAIT, *MAIL[:2]]),
    ("deep tests, hangs up after RCPT", "deep", 52, [WAIT, *MAIL]),
    ("pipelining, refused", "deep", 53, [WAIT, b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@virt.test>\r\nQUIT\r\n", WAIT, WAIT, WAIT, WAIT]),
    ("http, dropped", "deep", 54, [WAIT, "GET / HTTP/1.0"]),
    ("bare newlines, ignored", "deep", 55, [WAIT, b"EHLO x\n", WAIT, b"NOOP\n", WAIT, *MAIL[1:], "QUIT"]),
    ("a header, dropped", "deep", 56, [WAIT, "Subject: x"]),
    ("pipelining, dropped", "deep_drop", 57, [WAIT, b"EHLO x\r\nQUIT\r\n", WAIT]),
    ("bare newlines, dropped", "deep_drop", 58, [WAIT, b"EHLO x\n", WAIT]),
    ("http, refused", "deep_enforce", 59, [WAIT, "GET / HTTP/1.0", *MAIL, "QUIT"]),
    ("bare newlines, refused", "deep_enforce", 60, [WAIT, b"EHLO x\n", WAIT, *MAIL[1:], "QUIT"]),
    ("pipelining, ignored", "deep_ignore", 61, [WAIT, b"EHLO x\r\nGET x\r\nMAIL FROM:<a@b.test>\r\n", WAIT, WAIT, WAIT, MAIL[2], "QUIT"]),
    ("pipelining, ignored, back", "deep_ignore", 61, [WAIT, "QUIT"]),
    ("too many commands", "few", 62, [WAIT, "NOOP", "RSET", "FOO", "NOOP"]),
    ("too slow", "few", 63, [WAIT, WAIT]),
    ("too long", "few", 64, [WAIT, b"x" * 3000, WAIT]),
    ("words", "words", 65, [WAIT, "MAIL FROM:<x>", "HELO", "EHLO", "VRFY x", "ETRN", "EHLO a b", "MAIL", "RCPT TO:<x>", "MAIL FROM:<x y", "MAIL FROM:<x>",
                            "RCPT", "RCPT TO:x y", "AUTH PLAIN", "XCLIENT NAME=x", "HELP", "DATA x"]),
    ("data without recipients", "words", 66, [WAIT, "EHLO x", "DATA"]),
    ("bdat", "words", 67, [WAIT, "HELO x", "BDAT"]),
    ("bdat without chunking", "words", 68, [WAIT, "EHLO x", "BDAT 6"]),
    ("veto", "veto", 70, [WAIT, *MAIL, "QUIT"]),
    ("proxied", "proxy", 71, [b"PROXY TCP4 192.0.2.171 192.0.2.25 1234 25\r\n", WAIT, *MAIL, "QUIT"]),
    ("not proxied", "proxy", 72, [b"EHLO x\r\n", WAIT]),
    ("tls", "tls", 74, [WAIT, "EHLO x", STARTTLS, MAIL[1], "EHLO y", "STARTTLS", *MAIL[1:], "QUIT"]),
    ("tls demanded", "tls_only", 75, [WAIT, *MAIL, "NOOP", STARTTLS, *MAIL, "QUIT"]),
    ("nothing is remembered", "no_cache", 73, [WAIT, "QUIT"]),
    ("nothing was remembered", "no_cache", 73, [WAIT, "QUIT"]),
]


class Server:
    def __init__(self, kind, inside):
        self.mta = kind()
        self.mta.wrapper = ["ip", "netns", "exec", inside]
        self.mta.main.update(MAIN)
        self.mta.log.expect("")
        key, certificate = self.mta.config / "key.pem", self.mta.config / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=mail.example.test", "-keyout", key, "-out", certificate], check=True, capture_output=True)
        self.mta.main.update({"smtpd_tls_key_file": key, "smtpd_tls_cert_file": certificate})
        self.ports = {name: free_port() for name in SERVICES}
        lines = []
        for name, overrides in SERVICES.items():
            settings = {"postscreen_cache_map": f"btree:$data_directory/{name}", **overrides}
            # What is not postscreen's must stand in main.cf for both servers: here it is left to services of their own.
            lines.append(f"127.0.0.1:{self.ports[name]} inet n - n - 1 postscreen\n" + "".join(
                f"  -o {{ {parameter} = {value} }}\n" for parameter, value in settings.items() if parameter.startswith("postscreen")))
        self.mta.master_cf = "".join(lines) + MASTER + self.mta.master_cf

    def start(self):
        self.mta.start()
        for port in self.ports.values():
            wait_for(lambda port=port: accepts_connections("127.0.0.1", port), f"port {port}", 30)
        return self


def read_reply(stream):
    """One reply; the first half of the greeting, "220-", is not waited behind but is part of it."""
    text = b""
    while True:
        try:
            line = stream.readline()
        except ConnectionResetError:
            line = b""
        text += line
        if not line.endswith(b"\n"):
            return text + b"(closed)"
        if line[3:4] != b"-":
            return text


ANYONE = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ANYONE.check_hostname = False
ANYONE.verify_mode = ssl.CERT_NONE


def visit(port, last, steps):
    replies = []
    with socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(f"192.0.2.{last}", 0)) as connection, \
            connection.makefile("rb") as stream:
        for step in steps:
            if isinstance(step, (int, float)):
                time.sleep(step)
                continue
            try:
                if isinstance(step, bytes):
                    connection.sendall(step)
                    continue
                if step is STARTTLS:
                    connection.sendall(b"STARTTLS\r\n")
                    replies.append(read_reply(stream).decode("latin-1"))
                    connection = ANYONE.wrap_socket(connection)
                    stream = connection.makefile("rb")
                    continue
                if step is not WAIT:
                    connection.sendall(step.encode() + b"\r\n")
                replies.append(read_reply(stream).decode("latin-1"))
            except OSError:
                replies.append("(closed)")
            if replies[-1].endswith("(closed)"):
                break
    return replies


def about(server, service, last):
    """What the log says of an address, without times and ports."""
    found = []
    for line in server.mta.log.lines(rf"192\.0\.2\.{'1?' if service == 'proxy' else ''}{last}\b"):
        text = re.sub(r"^\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ postfix/", "", line)
        text = re.sub(r"^([\w/]+)\[\d+\]", r"\1", text).replace(str(server.ports[service]), "SERVICE")
        text = re.sub(r"(\[[\d.]+\]):\d+", r"\1:PORT", text)
        text = re.sub(r"after [\d.]+ from", "after T from", text)
        if not text.startswith(("anvil", "dnsblog: warning", "lookup", "tlsproxy")):
            found.append(re.sub(r"\b[0-9A-F]{9,15}\b", "ID", text))
    return found


@pytest.fixture(scope="module")
def visits():
    """All cases with both servers, as many at once as their order allows."""
    if not IS_ROOT or Posthorn.unavailable() or Postfix.unavailable():
        pytest.skip(Posthorn.unavailable() or Postfix.unavailable() or "needs root")
    if subprocess.run(["ip", "netns", "list"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no network namespaces here")
    results = {}
    with namespace() as inside:
        dns = DnsServer(ZONE, "127.0.0.1", 53).start()
        servers = [Server(kind, inside).start() for kind in (Posthorn, Postfix)]
        try:
            def run(case):
                for server in servers:
                    results[case[0], server.mta.name] = visit(server.ports[case[1]], case[2], case[3])

            by_client = {}
            for case in CASES:
                by_client.setdefault((case[1], case[2]), []).append(case)
            threads = [threading.Thread(target=lambda cases=cases: [run(case) for case in cases]) for cases in by_client.values()]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            time.sleep(1.0)
            for case in CASES:
                for server in servers:
                    results[case[0], server.mta.name, "log"] = about(server, case[1], case[2])
            yield results
        finally:
            dns.stop()
            for server in servers:
                server.mta.finish()


@pytest.mark.parametrize("name", [case[0] for case in CASES])
def test_both_say_the_same(visits, name):
    assert visits[name, "posthorn"] == visits[name, "postfix"]
    mine, theirs = visits[name, "posthorn", "log"], visits[name, "postfix", "log"]
    assert sorted(mine) == sorted(theirs)
    assert [line for line in mine if line.startswith("postscreen")] == [line for line in theirs if line.startswith("postscreen")]
