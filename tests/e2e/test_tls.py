# SPDX-License-Identifier: ISC
"""TLS as clients see it: certificates that verify, names, sessions, attacks, a thousand sessions at once."""
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from lib import processes, setups
from lib.certs import TestCa
from lib.lmtp_sink import LmtpSink
from lib.mta import Postfix, Posthorn
from lib.reference_release import as_followed
from lib.tls_client import TlsClient, context, s_client
from lib.waiting import accepts_connections, free_port, wait_for

TLS12 = {"newest": ssl.TLSVersion.TLSv1_2}


class Server:
    """One server with several TLS services, for the whole file."""

    def __init__(self, kind, ca, directory):
        self.ca = ca
        self.rsa, self.ecdsa = ca.server("mail.example.test", "rsa"), ca.server("mail.example.test", "ecdsa")
        self.one, self.two = ca.server("one.example.test", "ecdsa"), ca.server("two.example.org", "rsa")
        self.sink = LmtpSink()
        mta = self.mta = kind()
        setups.virtual_domain(mta, f"lmtp:{self.sink.next_hop}")
        chain = directory / "chain.pem"
        chain.write_text("".join(path.read_text() for path in (self.rsa.key, self.rsa.cert, self.ecdsa.key, self.ecdsa.cert)))
        sni = mta.file("sni", f"one.example.test {self.one.key}, {self.one.cert}\n.example.org {self.two.key} {self.two.cert}\n"
                       f"broken.example.test {self.one.key}, {self.two.cert}\n")
        mta.main.update({
            "smtpd_tls_cert_file": self.rsa.cert, "smtpd_tls_key_file": self.rsa.key,
            "smtpd_tls_eccert_file": self.ecdsa.cert, "smtpd_tls_eckey_file": self.ecdsa.key,
            "smtpd_tls_security_level": "may", "smtpd_tls_loglevel": "1", "smtpd_tls_received_header": "yes",
            "smtpd_tls_CAfile": ca.root.cert, "smtpd_starttls_timeout": "3s", "smtpd_client_connection_count_limit": "0",
            "smtpd_tls_protocols": ">=TLSv1.2",
        })
        self.ports = {name: free_port() for name in ("other", "wrapped", "chain", "sni", "ask", "untimely", "cached")}
        options = {
            "other": "", "wrapped": "-o smtpd_tls_wrappermode=yes", "chain": f"-o smtpd_tls_chain_files={chain} -o smtpd_tls_cert_file= -o smtpd_tls_eccert_file=",
            "sni": f"-o tls_server_sni_maps=hash:{sni}",
            "ask": "-o smtpd_tls_ask_ccert=yes", "untimely": "-o smtpd_tls_session_cache_timeout=0",
            "cached": "-o smtpd_tls_session_cache_database=btree:$data_directory/cache -o tls_ssl_options=NO_TICKET",
        }
        mta.master_cf = "".join(f"127.0.0.1:{self.ports[name]} inet n - n - - smtpd {options[name]}\n"
                                for name in self.ports) + mta.master_cf
        self.ports["main"] = mta.port
        self.sni = sni

    def start(self):
        self.mta.start()
        for port in self.ports.values():
            wait_for(lambda port=port: accepts_connections("127.0.0.1", port), f"port {port}", 20)
        return self

    def client(self, service="main", **options):
        return TlsClient(self.ports[service], **options)

    def finish(self):
        self.sink.close()
        self.mta.finish()


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return TestCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server(ca, tmp_path_factory):
    if Posthorn.unavailable():
        pytest.skip(Posthorn.unavailable())
    made = Server(Posthorn, ca, tmp_path_factory.mktemp("files"))
    made.mta.log.expect(r"TLS library problem", r"broken|two.example.org-rsa|the key is not that of", r"TLS SNI from")
    yield made.start()
    made.finish()


def handshake(server, service="main", name=None, session=None, **options):
    """Returns (subject, session, resumed, cipher)."""
    made = options.pop("context", None) or context(ca=server.ca.root.cert, **options)
    with server.client(service) as client:
        client.hello()
        client.starttls(made, name, session)
        client.hello()  # reads the ticket of TLS 1.3, too
        client.say("NOOP", expect="250 2.0.0 Ok")
        return client.subject(), client.socket.session, client.socket.session_reused, client.socket.cipher()[0]


# --- certificates ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("service", ["main", "chain", "wrapped"])
@pytest.mark.parametrize("ciphers, kind", [("ECDHE-RSA-AES256-GCM-SHA384", "RSA"), ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDSA")])
def test_a_client_that_verifies_is_content_with_either_chain(server, service, ciphers, kind):
    made = context(ca=server.ca.root.cert, ciphers=ciphers, **TLS12)
    made.check_hostname = True
    if service == "wrapped":
        with server.client("wrapped", wrapped=made) as client:
            assert kind in client.socket.cipher()[0]
    else:
        assert kind in handshake(server, service, context=made)[3]


def test_dhe(server):
    assert "DHE-RSA" in handshake(server, ciphers="DHE-RSA-AES256-GCM-SHA384", **TLS12)[3]


def test_anonymous_and_old_ciphers_are_not_offered(server):
    port = server.ports["main"]
    for cipher in ("ADH-AES256-SHA256:@SECLEVEL=0", "AES256-SHA:@SECLEVEL=0", "AES256-GCM-SHA384:@SECLEVEL=0"):
        assert "Cipher is (NONE)" in s_client(port, "-starttls", "smtp", "-tls1_2", "-cipher", cipher), cipher
    for version in ("-tls1", "-tls1_1"):
        assert "Cipher is (NONE)" in s_client(port, "-starttls", "smtp", version, "-cipher", "ALL:@SECLEVEL=0"), version


@pytest.mark.parametrize("name, subject", [("one.example.test", "one.example.test"), ("ONE.example.TEST", "one.example.test"),
                                           ("a.b.example.org", "two.example.org"), ("example.org", "mail.example.test"),
                                           ("else.test", "mail.example.test")])
def test_certificates_by_name(server, name, subject):
    assert handshake(server, "sni", name)[0] == subject
    if subject != "mail.example.test":
        server.mta.log.wait(rf"TLS connection established from localhost\[127.0.0.1\] to {name}: TLSv1.3")


def test_a_name_without_a_usable_certificate_fails(server):
    with pytest.raises((ssl.SSLError, OSError)):
        handshake(server, "sni", "broken.example.test")


def test_odd_names_get_the_default_certificate(server):
    for name in ("x" * 63 + ".test", "..", "a..b", "under_score.test", "-"):
        out = s_client(server.ports["sni"], "-starttls", "smtp", "-servername", name)
        assert "CN=mail.example.test" in out.replace(" = ", "="), (name, out)


def test_the_table_of_names_is_read_again(server):
    new = server.ca.server("new.example.test", "ecdsa")
    text = server.sni.read_text()
    server.sni.write_text(text + f"new.example.test {new.key}, {new.cert}\n")
    wait_for(lambda: handshake(server, "sni", "new.example.test")[0] == "new.example.test", "the new name", 10, 0.3)


# --- sessions ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("options", [{}, TLS12], ids=["1.3", "1.2"])
def test_resumption_and_no_ticket_for_another_service(server, options):
    made = context(ca=server.ca.root.cert, **options)
    _, session, resumed, _ = handshake(server, context=made)
    assert not resumed
    assert handshake(server, context=made, session=session)[2]
    assert not handshake(server, "other", context=made, session=session)[2]
    assert handshake(server, context=made, session=session)[2]


def test_sessions_without_tickets(server):
    made = context(ca=server.ca.root.cert, **TLS12)
    _, session, _, _ = handshake(server, "cached", context=made)
    assert not session.has_ticket
    assert handshake(server, "cached", context=made, session=session)[2]


def test_no_sessions_with_a_timeout_of_zero(server):
    for options in ({}, TLS12):
        made = context(ca=server.ca.root.cert, **options)
        _, session, _, _ = handshake(server, "untimely", context=made)
        assert session is None or not session.has_ticket
        assert session is None or not handshake(server, "untimely", context=made, session=session)[2]


def test_renegotiation_is_refused(server):
    out = subprocess.run(["openssl", "s_client", "-starttls", "smtp", "-tls1_2", "-connect", f"127.0.0.1:{server.ports['main']}"],
                         input=b"R\n", capture_output=True, timeout=20, check=False)
    assert b"no renegotiation" in out.stdout + out.stderr


# --- attacks --------------------------------------------------------------------------------------------------

def test_bytes_behind_starttls_are_gone(server):
    """CVE-2011-0411: what somebody in between sent ahead in the clear is not heard inside TLS."""
    with server.client() as client:
        client.hello()
        client.send(b"STARTTLS\r\nMAIL FROM:<evil@example.org>\r\nRSET\r\n")
        client.reply("220 2.0.0 Ready to start TLS")
        client.secure(context())
        client.say("RCPT TO:<anna@example.test>", expect="503 5.5.1 Error: need MAIL command")
        client.hello()


def test_a_handshake_that_stalls_ends_in_time(server):
    log, before = server.mta.log, time.monotonic()
    with server.client() as client:
        client.hello()
        client.say("STARTTLS", expect=220)
        client.send(b"\x16\x03\x01\x02")
        client.expect_close()
    assert 2 < time.monotonic() - before < 8
    log.wait(r"SSL_accept error from localhost\[127.0.0.1\]: Connection timed out")
    log.wait(r"lost connection after STARTTLS from localhost")


def test_hostile_handshakes_do_no_harm(server):
    hello = (b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03" + bytes(32) + b"\x00\x00\x02\x13\x01\x01\x00\x00\x00")
    for data in (b"\x80\x2e\x01\x00\x02" + bytes(44), b"\x16\x03\x01\xff\xff" + bytes(70000), b"GET / HTTP/1.0\r\n\r\n", hello,
                 b"\x15\x03\x01\x00\x02\x02\x28", b"\x17\x03\x03\x00\x10" + bytes(16), bytes(5)):
        with server.client() as client:
            client.hello()
            client.say("STARTTLS", expect=220)
            try:
                client.send(data)
                client.socket.shutdown(socket.SHUT_WR)
                client.stream.read()
            except OSError:
                pass
    assert handshake(server)[0] == "mail.example.test"


@pytest.mark.parametrize("service", ["main", "wrapped"])
def test_a_huge_hello_and_many_slow_ones(server, service):
    """Messages of a handshake are bounded by OpenSSL, all of it by its deadline, and nobody else waits for it."""
    size = 2000000
    hello = b"\x01" + size.to_bytes(3, "big") + bytes(size)
    stalled = []
    try:
        for _ in range(200):
            stalled.append(socket.create_connection(("127.0.0.1", server.ports["wrapped"]), timeout=10))
            stalled[-1].sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
        with server.client(service, expect=None if service == "wrapped" else 220) as client:
            if service == "main":
                client.hello()
                client.say("STARTTLS", expect=220)
            try:
                for at in range(0, size, 16000):
                    part = hello[at:at + 16000]
                    client.socket.sendall(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part)
                while client.socket.recv(4096):  # at most an alert
                    pass
            except ConnectionError:
                pass
        server.mta.log.wait(r"TLS library problem: .*excessive message size")
        assert handshake(server)[0] == "mail.example.test"
        for connection in stalled:  # smtpd_starttls_timeout = 3s
            connection.settimeout(10)
            assert connection.recv(100) == b""
    finally:
        for connection in stalled:
            connection.close()


def test_truncated_sessions_and_half_records(server):
    with server.client() as client:
        client.hello()
        client.starttls()
        raw = socket.socket(fileno=client.socket.detach())
        raw.sendall(b"\x17\x03\x03\x00\x40abc")
        raw.close()
    server.mta.log.wait(r"lost connection after STARTTLS from localhost")
    assert handshake(server)[0] == "mail.example.test"


# --- mail -------------------------------------------------------------------------------------------------------

def received_header(port, sink, made=None, wrapped=None):
    count = len(sink.messages)
    with TlsClient(port, wrapped=wrapped) as client:
        client.hello()
        if made is not None:
            client.starttls(made)
            client.hello()
        client.envelope("carl@example.org", "anna@example.test")
        client.send_message("Subject: x\n\nx\n")
    wait_for(lambda: len(sink.messages) > count, "delivery")
    head = sink.messages[-1].content.decode().replace("\r\n", "\n").split("\n\n")[0]
    head = re.search(r"^Received: .*?(?=^\S)", head, re.M | re.S).group(0)
    head = re.sub(r"\w+;|id \w+|[A-Z][a-z]{2}, .*", "X", head)
    return re.sub(r"\(Posthorn|\(Postfix", "(MTA", head)


def test_received_header_as_in_postfix(server, ca, tmp_path):
    if Postfix.unavailable():
        pytest.skip(Postfix.unavailable())
    reference = Server(Postfix, ca, tmp_path)
    reference.mta.log.expect("")
    try:
        shutil.rmtree(reference.mta.config / "none", ignore_errors=True)
        reference.start()
        client = ca.client("Anna (Smith) \\ x")
        for options in ({}, TLS12):
            for made in (context(**options), context(client=client, **options)):
                for service in ("main", "ask"):
                    ours, theirs = (received_header(one.ports[service], one.sink, made) for one in (server, reference))
                    assert as_followed(ours) == as_followed(theirs)
                    assert "with ESMTPS id" not in ours or "(using TLSv1." in ours
    finally:
        reference.finish()


def test_swaks(server):
    # Newer ones look at the name as well, and 127.0.0.1 is in no certificate.
    words = subprocess.run(["swaks", "--version"], capture_output=True, text=True, check=False).stdout
    name = ["--tls-verify-target", "mail.example.test"] if re.search(r"version 202[3-9]", words) else []
    for service, option in (("main", "-tls"), ("wrapped", "-tlsc")):
        done = subprocess.run(["swaks", option, "--server", "127.0.0.1", "--port", str(server.ports[service]), "--from", "a@example.org",
                               "--to", "anna@example.test", "--tls-verify", "--tls-ca-path", str(server.ca.root.cert), *name],
                              capture_output=True, timeout=30, check=False)
        assert done.returncode == 0, done.stdout.decode()
        assert b"250 2.0.0 Ok: queued as" in done.stdout


def test_a_large_message_both_ways(server):
    text = "".join(f"{i} {'x' * 70}\n" for i in range(20000))
    with server.client() as client:
        client.hello()
        client.starttls()
        client.hello()
        client.envelope("carl@example.org", "anna@example.test")
        client.send_message("Subject: large\n\n" + text)
    found = wait_for(lambda: [one for one in server.sink.messages if b"Subject: large" in one.content], "delivery")
    assert found[0].content.replace(b"\r\n", b"\n").endswith(text.encode())


# --- many ----------------------------------------------------------------------------------------------------------

def open_sessions(server, count, made):
    clients, problems = [], []

    def work(share):
        try:
            for _ in range(share):
                client = server.client()
                client.hello()
                client.starttls(made)
                client.hello()
                clients.append(client)
        except (OSError, AssertionError) as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(count // 20,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems[0]
    return clients


def test_a_thousand_sessions_at_once(server):
    smtpd = sorted(server.mta.pids("smtpd"), key=lambda pid: processes.memory_kib(pid))
    before = {pid: processes.memory_kib(pid) for pid in smtpd}
    clients = open_sessions(server, 1000, context())
    grown = max(processes.memory_kib(pid) - before[pid] for pid in smtpd)
    try:
        for client in clients[::50]:
            client.say("NOOP", expect="250 2.0.0 Ok")
        assert grown / 1000 < 60, f"{grown / 1000:.1f} KiB a session"
    finally:
        for client in clients:
            client.close()


def test_handshakes_survive_the_end_of_keys(server):
    server.mta.log.expect(r"keys pid \d+ killed by signal 9", r"keys service")
    for _ in range(2):
        for pid in server.mta.pids("keys"):
            processes.kill(pid)
        assert handshake(server)[0] == "mail.example.test"
        time.sleep(0.3)


def test_testssl_has_nothing_to_complain_about(server, tmp_path):
    program = shutil.which("testssl.sh") or shutil.which("testssl")
    if program is None:
        pytest.skip("testssl.sh is not installed")
    report = tmp_path / "report.csv"
    subprocess.run([program, "--quiet", "--color", "0", "--warnings", "off", "--fast", "--ip", "127.0.0.1", "--nodns", "none", "-t", "smtp",
                    "--protocols", "--std", "--server-preference", "--renegotiation", "--crime", "--freak", "--logjam", "--drown", "--heartbleed",
                    "--ccs-injection", "--ticketbleed", "--poodle", "--sweet32", "--csvfile", report,
                    f"mail.example.test:{server.ports['main']}"], capture_output=True, timeout=200, check=False)
    rows = [line.strip('"').split('","') for line in report.read_text().splitlines()[1:]]
    assert len(rows) > 20
    # engine_problem is about the scanner's own openssl: it would like to have the GOST algorithms.
    bad = [row for row in rows if row[3] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL", "WARN") and row[0] != "engine_problem"]
    assert bad == []
