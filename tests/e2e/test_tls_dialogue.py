# SPDX-License-Identifier: ISC
"""Encrypted dialogues with both servers, the same certificates and one configuration: the same replies and log lines."""
import re
import socket
import ssl

import pytest

from lib.certs import TestCa, fingerprint, public_key_fingerprint
from lib.mta import Postfix, Posthorn
from lib.tls_client import context
from lib.waiting import accepts_connections, free_port, wait_for
from test_smtp_dialogue import normalized, read_reply

RELAY = "permit_mynetworks, reject_unauth_destination"
REMOTE = {"smtpd_relay_restrictions": "permit_tls_clientcerts, reject_unauth_destination"}
SERVICES = {
    "may": {"smtpd_tls_security_level": "may"},
    "old": {"smtpd_use_tls": "yes"},
    "enforced": {"smtpd_enforce_tls": "yes"},
    "encrypt": {"smtpd_tls_security_level": "encrypt"},
    "wrapped": {"smtpd_tls_wrappermode": "yes"},
    "ask": {"smtpd_tls_security_level": "may", "smtpd_tls_ask_ccert": "yes", "smtpd_tls_loglevel": "1, peercert, untrusted", **REMOTE},
    "require": {"smtpd_tls_security_level": "encrypt", "smtpd_tls_req_ccert": "yes"},
    "require-wrapped": {"smtpd_tls_wrappermode": "yes", "smtpd_tls_req_ccert": "yes"},
    "all": {"smtpd_tls_security_level": "may", "smtpd_tls_ask_ccert": "yes",
            "smtpd_relay_restrictions": "permit_tls_all_clientcerts, reject_unauth_destination"},
    "ccert": {"smtpd_tls_security_level": "may", "smtpd_tls_ask_ccert": "yes",
              "smtpd_client_restrictions": "check_ccert_access texthash:$config_directory/ccert"},
    "pubkey": {"smtpd_tls_security_level": "may", "smtpd_tls_ask_ccert": "yes", "smtpd_client_restrictions":
               "check_ccert_access { texthash:$config_directory/ccert, { search_order = pubkey_fingerprint } }"},
    "plain": {"smtpd_tls_security_level": "may", "smtpd_client_restrictions": "reject_plaintext_session"},
    "none": {"smtpd_tls_security_level": "none"},
    "nocert": {"smtpd_tls_security_level": "may", "smtpd_tls_cert_file": "", "smtpd_tls_eccert_file": ""},
    "verbose": {"smtpd_tls_security_level": "may", "smtpd_tls_loglevel": "verbose, summary, cache"},
    "mandatory": {"smtpd_tls_security_level": "encrypt", "smtpd_tls_mandatory_ciphers": "high",
                  "smtpd_tls_mandatory_protocols": "<=TLSv1.2", "smtpd_tls_mandatory_exclude_ciphers": "AES256"},
    "rsa": {"smtpd_tls_security_level": "may", "smtpd_tls_eccert_file": ""},
    "hidden": {"smtpd_tls_security_level": "may", "smtpd_discard_ehlo_keywords": "starttls"},
    "choosy": {"smtpd_tls_security_level": "may", "smtpd_tls_ciphers": "high", "smtpd_tls_protocols": "TLSv1.2",
               "smtpd_tls_exclude_ciphers": "AES128, CAMELLIA"},
}


class Tls:
    """A step: the handshake. Options are those of lib.tls_client.context(); name is the SNI."""

    def __init__(self, client=None, name=None, **options):
        self.client, self.name, self.options = client, name, options


TLS12 = {"newest": ssl.TLSVersion.TLSv1_2}
START = ["EHLO x.test", "STARTTLS"]
MAIL = ["MAIL FROM:<a@example.org>", "RCPT TO:<b@elsewhere.test>", "QUIT"]

DIALOGUES = [
    ("starttls", "may", [*START, Tls(), "EHLO x.test", "QUIT"]),
    ("old parameters", "old", [*START, Tls(), "EHLO x.test", "QUIT"]),
    ("tls 1.2", "may", [*START, Tls(**TLS12), "EHLO x.test", "QUIT"]),
    ("tls 1.2 with rsa", "rsa", [*START, Tls(**TLS12), "EHLO x.test", "QUIT"]),
    ("rsa", "rsa", [*START, Tls(), "QUIT"]),
    ("twice", "may", [*START, Tls(), "STARTTLS", "EHLO x", "STARTTLS", "QUIT"]),
    ("syntax", "may", ["EHLO x.test", "STARTTLS now", "STARTTLS a b", "QUIT"]),
    ("without ehlo", "may", ["STARTTLS", Tls(), "EHLO x.test", "QUIT"]),
    ("after helo", "may", ["HELO x.test", "STARTTLS", Tls(), "MAIL FROM:<a@example.org>", "QUIT"]),
    ("greeting is forgotten", "may", [*START, Tls(), "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.test>", "QUIT"]),
    ("inside a transaction", "may", ["EHLO x", "MAIL FROM:<a@example.org>", "RCPT TO:<anna@example.test>", "STARTTLS", Tls(),
                                     "RCPT TO:<anna@example.test>", "DATA", "EHLO x", "QUIT"]),
    ("sent ahead in the clear", "may", ["EHLO x", (b"STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@example.org>\r\n", 1), Tls(),
                                        "RCPT TO:<anna@example.test>", "EHLO good", "QUIT"]),
    ("pipelined", "may", [*START, Tls(), ("EHLO x\r\n".encode(), 1), (b"MAIL FROM:<a@example.org>\r\nRCPT TO:<anna@example.test>\r\nRSET\r\n", 3), "QUIT"]),
    ("forced order", "encrypt", ["NOOP", "MAIL FROM:<a@example.org>", "EHLO x", "MAIL FROM:<a@example.org>", "RCPT TO:<x@y.z>",
                                 "DATA", "BDAT 0 LAST", "RSET", "VRFY anna", "ETRN example.test", "AUTH PLAIN", "HELO x", "QUIT"]),
    ("forced order, odd words", "encrypt", ["FOO", "XFORWARD NAME=x", "noop x", "STARTTLS", Tls(), "RSET", "QUIT"]),
    ("enforced", "enforced", ["EHLO x", "MAIL FROM:<a@example.org>", "STARTTLS", Tls(), "EHLO x", "MAIL FROM:<a@example.org>", "QUIT"]),
    ("wrapped", "wrapped", [Tls(), "EHLO x", "STARTTLS", "MAIL FROM:<a@example.org>", "QUIT"]),
    ("wrapped, 1.2", "wrapped", [Tls(**TLS12), "EHLO x", "QUIT"]),
    ("no certificate wanted", "none", ["EHLO x", "STARTTLS", "QUIT"]),
    ("no certificate there", "nocert", ["EHLO x", "STARTTLS", "MAIL FROM:<a@example.org>", "QUIT"]),
    ("hidden", "hidden", ["EHLO x", "STARTTLS", "QUIT"]),
    ("plaintext refused", "plain", ["EHLO x", "MAIL FROM:<a@example.org>", "RCPT TO:<anna@example.test>", "STARTTLS", Tls(),
                                    "EHLO x", "MAIL FROM:<a@example.org>", "RCPT TO:<anna@example.test>", "QUIT"]),
    ("no client certificate", "ask", [*START, Tls(), "EHLO x", *MAIL]),
    ("client known by fingerprint", "ask", [*START, Tls("anna"), "EHLO x", *MAIL]),
    ("client known by public key", "ask", [*START, Tls("ben"), "EHLO x", *MAIL]),
    ("client of our authority, not known", "ask", [*START, Tls("carl"), "EHLO x", *MAIL]),
    ("self-signed client", "ask", [*START, Tls("self"), "EHLO x", *MAIL]),
    ("client certificate in tls 1.2", "ask", [*START, Tls("anna", **TLS12), "EHLO x", *MAIL]),
    ("all trusted clients", "all", [*START, Tls("carl"), "EHLO x", *MAIL]),
    ("all trusted clients, self-signed", "all", [*START, Tls("self"), "EHLO x", *MAIL]),
    ("access by certificate", "ccert", [*START, Tls("carl"), "EHLO x", *MAIL]),
    ("access by certificate, dunno", "ccert", [*START, Tls("anna"), "EHLO x", *MAIL]),
    ("access by public key", "ccert", [*START, Tls("self"), "EHLO x", *MAIL]),
    ("access, only public keys", "pubkey", [*START, Tls("carl"), "EHLO x", *MAIL]),
    ("access, only public keys, listed", "pubkey", [*START, Tls("self"), "EHLO x", *MAIL]),
    ("access without certificate", "ccert", [*START, Tls(), "EHLO x", *MAIL]),
    ("certificate required", "require", [*START, Tls("carl"), "EHLO x", "QUIT"]),
    ("certificate required, none", "require", [*START, Tls(), "EHLO x", "QUIT"]),
    ("certificate required, self-signed", "require", [*START, Tls("self"), "EHLO x", "QUIT"]),
    ("certificate required, wrapped, good", "require-wrapped", [Tls("carl"), "EHLO x", "QUIT"]),
    ("verbose", "verbose", [*START, Tls(), "QUIT"]),
    ("no cipher in common", "choosy", [*START, Tls(ciphers="ECDHE-ECDSA-AES128-GCM-SHA256", **TLS12)]),
    ("no version in common", "choosy", [*START, Tls(oldest=ssl.TLSVersion.TLSv1_3)]),
    ("cipher excluded, another one chosen", "choosy", [*START, Tls(**TLS12), "QUIT"]),
    ("mandatory ciphers and protocols", "mandatory", [*START, Tls(), "QUIT"]),
    ("mandatory ciphers and protocols, without", "mandatory", [*START, Tls(oldest=ssl.TLSVersion.TLSv1_3), "QUIT"]),
    ("garbage instead of a handshake", "may", [*START, (b"EHLO x\r\n", 0), None]),
    ("gone instead of a handshake", "may", [*START, None]),
    ("gone instead of a handshake, wrapped", "wrapped", [None]),
    ("garbage, wrapped", "wrapped", [(b"EHLO x\r\nMAIL FROM:<>\r\n", 0), None]),
]


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return TestCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def people(ca):
    made = {name: ca.client(name) for name in ("anna", "ben", "carl")}
    made["self"] = ca.self_signed("self")
    return made


def set_up(mta, ca, people, server_certificates):
    rsa, ecdsa = server_certificates
    mta.main.update({
        "smtpd_tls_cert_file": rsa.cert, "smtpd_tls_key_file": rsa.key,
        "smtpd_tls_eccert_file": ecdsa.cert, "smtpd_tls_eckey_file": ecdsa.key,
        "smtpd_tls_CAfile": ca.root.cert, "smtpd_tls_loglevel": "1",
        "relay_clientcerts": "texthash:$config_directory/relay", "smtpd_relay_restrictions": RELAY,
        "smtpd_tls_protocols": ">=TLSv1.2", "smtpd_tls_mandatory_protocols": ">=TLSv1.2",
        "tls_preempt_cipherlist": "no", "virtual_mailbox_domains": "example.test", "virtual_mailbox_maps": "static:x",
        "virtual_transport": "discard", "smtpd_forbid_unauth_pipelining": "no", "smtpd_error_sleep_time": "0",
    })
    mta.file("relay", f"{fingerprint(people['anna'].cert)} anna\n{public_key_fingerprint(people['ben'].cert)} ben\n")
    mta.file("ccert", f"{fingerprint(people['carl'].cert)} REJECT not you\n{fingerprint(people['anna'].cert)} DUNNO\n"
             f"{public_key_fingerprint(people['self'].cert)} 450 4.1.8 later\n")


class Server:
    def __init__(self, kind, ca, people, certificates):
        self.mta = kind()
        self.mta.log.expect("")
        set_up(self.mta, ca, people, certificates)
        self.ports = {name: free_port() for name in SERVICES}
        self.mta.master_cf = "".join(
            f"127.0.0.1:{self.ports[name]} inet n - n - - smtpd\n"
            + "".join(f"  -o {{ {parameter} = {value} }}\n" for parameter, value in overrides.items())
            for name, overrides in SERVICES.items()) + self.mta.master_cf

    def start(self):
        self.mta.start()
        for port in self.ports.values():
            wait_for(lambda port=port: accepts_connections("127.0.0.1", port), f"port {port}", 20)
        wait_for(lambda: self.mta.log.is_idle(len(self.ports)), "the end of the first connections", 20)


@pytest.fixture(scope="module")
def both(ca, people):
    for kind in (Posthorn, Postfix):
        if kind.unavailable():
            pytest.skip(kind.unavailable())
    certificates = ca.server("mail.example.test", "rsa"), ca.server("mail.example.test", "ecdsa")
    servers = [Server(kind, ca, people, certificates) for kind in (Posthorn, Postfix)]
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.mta.finish()


def talk(port, steps, service, people):
    replies = []
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    stream = connection.makefile("rb")
    try:
        if not (service.endswith("wrapped")):
            replies.append(read_reply(stream))
        for step in steps:
            if step is None:
                break
            if isinstance(step, Tls):
                stream.close()
                client = people[step.client] if step.client else None
                connection = context(client=client, **step.options).wrap_socket(connection, server_hostname=step.name)
                stream = connection.makefile("rb")
                if service.endswith("wrapped"):
                    replies.append(read_reply(stream))
                continue
            data, count = step if isinstance(step, tuple) else ((step + "\r\n").encode(), 1)
            connection.sendall(data)
            replies.append(b"".join(read_reply(stream) for _ in range(count)))
            if b"(closed)" in replies[-1]:
                break
    except (OSError, ssl.SSLError) as problem:
        replies.append(type(problem).__name__.encode())
    finally:
        stream.close()
        connection.close()
    return replies


def plain(line):
    line = normalized(line, [])
    if line is None or re.search(r"statistics:|TLS library problem|initializing the server-side TLS engine|TLS cipher list", line):
        return None  # OpenSSL's words name lines of its source; Postfix starts a process here
    if re.search(r"No server certs available|TLS has been selected", line):
        return None  # said when a process starts
    line = re.sub(r"SSL_accept error from (\S+): -?\d+", r"SSL_accept error from \1: N", line)
    return re.sub(r": self[- ]signed certificate", ": self-signed certificate", line)


def hold(server, service, steps, people):
    log = server.mta.log
    before = len(log.lines())
    ended = len(log.lines(r"smtpd\[\d+\]: disconnect from"))
    replies = talk(server.ports[service], steps, service, people)
    log.wait(r"smtpd\[\d+\]: disconnect from", count=ended + 1, seconds=20)
    lines = [plain(line) for line in log.lines()[before:] if " postfix/smtpd[" in line]
    return [reply.decode("latin-1") for reply in replies], [line for line in lines if line]


@pytest.mark.parametrize("name, service, steps", DIALOGUES, ids=[name for name, _, _ in DIALOGUES])
def test_both_say_the_same(both, people, name, service, steps):
    posthorn, postfix = (hold(server, service, steps, people) for server in both)
    for ours, theirs in zip(posthorn, postfix):
        assert "\n".join(ours) == "\n".join(theirs)
