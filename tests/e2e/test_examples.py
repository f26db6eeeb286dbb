# SPDX-License-Identifier: ISC
"""The configurations of docs/examples, as they are, with Posthorn and with Debian's Postfix, in a network of their own where
ports 25, 587 and 465, the name server and the blocklists are real."""
import contextlib
import os
import re
import shutil
import smtplib
import socket
import subprocess

import pytest

from lib.certificate import self_signed, trusting
from lib.dns_server import DnsServer
from lib.lmtp_sink import LmtpSink
from lib.mta import ROOT, Postfix, Posthorn
from lib.network import namespace, namespaces_unavailable
from lib.sasl import DovecotAuth, plain
from lib.waiting import accepts_connections, wait_for

SERVER = "192.0.2.1"
LAPTOP = "192.0.2.77"  # no name, and on the list of addresses that send no mail
GOOD = "192.0.2.25"    # somebody's mail server

ZONE = {
    ("mail.example.org", "A"): [SERVER],
    ("77.2.0.192.zen.spamhaus.org", "A"): ["127.0.0.10"],
    ("77.2.0.192.zen.spamhaus.org", "TXT"): ["https://www.spamhaus.org/query/ip/192.0.2.77"],
    ("25.2.0.192.in-addr.arpa", "PTR"): ["mail.sender.test"], ("mail.sender.test", "A"): [GOOD],
    ("80.2.0.192.in-addr.arpa", "PTR"): ["mail.partner.test"], ("mail.partner.test", "A"): ["192.0.2.80"],
    ("80.2.0.192.zen.spamhaus.org", "A"): ["127.0.0.2"],
    ("90.2.0.192.in-addr.arpa", "PTR"): ["mail.forged.test"], ("mail.forged.test", "A"): ["192.0.2.91"],
    ("130.2.0.192.in-addr.arpa", "PTR"): ["mail.spam.test"], ("mail.spam.test", "A"): ["192.0.2.130"],
    ("sender.test", "MX"): ["10 mail.sender.test"], ("partner.test", "MX"): ["10 mail.partner.test"],
    ("newsletter.test", "MX"): ["10 mail.sender.test"], ("example.org", "MX"): ["10 mail.example.org"],
}


@contextlib.contextmanager
def serving(kind, example, sink):
    """The example, adapted only to the directories of the test and to where its mail ends."""
    mta = kind()
    source = ROOT / "docs" / "examples" / example
    text = (source / "main.cf").read_text()
    own = set(re.findall(r"^(\w+) =", text, re.M))
    text = text.replace("lmtp:unix:private/dovecot-lmtp", f"lmtp:{sink.next_hop}")
    mta.main.update({"inet_interfaces": "all"})
    mta.main_cf = text + "".join(f"{name} = {value}\n" for name, value in mta.main.items() if name not in own)
    mta.master_cf = (source / "master.cf").read_text()
    if kind is Postfix:  # it was unpacked, not installed: nothing of it is inside a chroot
        mta.master_cf = re.sub(r"^(\w\S*\s+\w\S*\s+\S+\s+\S+\s+)y", r"\1n", mta.master_cf, flags=re.M)
    for path in source.iterdir():
        if path.name not in ("main.cf", "master.cf"):
            mta.file(path.name, path.read_text())
    certificate, _ = self_signed(mta.config / "tls")
    mta.trust = trusting(certificate)
    mta.wrapper = ["ip", "netns", "exec", serving.network]
    mta.port = 25
    auth = None
    try:
        mta.start()
        for port in (587, 465):
            wait_for(lambda port=port: accepts_connections("127.0.0.1", port), f"port {port}", 20)
        auth = DovecotAuth(mta.queue / "private" / "auth", mta.owner, {"anna": "secret", "ben": "hidden"}).start()
        yield mta
    finally:
        if auth is not None:
            auth.finish()
        mta.finish()


@pytest.fixture(scope="module")
def world():
    reason = namespaces_unavailable() or Posthorn.unavailable() or DovecotAuth.unavailable()
    if reason:
        pytest.skip(reason)
    with namespace() as name:
        serving.network = name
        dns = DnsServer(ZONE, "127.0.0.1", 53).start()
        sink = LmtpSink()
        yield sink
        sink.close()
        dns.stop()


@pytest.fixture(scope="class", params=["posthorn", "postfix"])
def server_kind(request):
    kind = {"posthorn": Posthorn, "postfix": Postfix}[request.param]
    chosen = request.config.getoption("--mta")
    if (chosen and request.param not in chosen) or kind.unavailable():
        pytest.skip(kind.unavailable() or "not chosen")
    return kind


@pytest.fixture(scope="class")
def laptop_server(world, server_kind):
    with serving(server_kind, "laptop", world) as mta:
        mta.log.expect("reject: ", "authentication (failed|aborted)", "smtpd_hide_client_session", "hostname .* does not resolve")
        yield mta


@pytest.fixture(scope="class")
def access_server(world, server_kind):
    with serving(server_kind, "access", world) as mta:
        mta.log.expect("reject: ", "hold: ", "hostname .* does not resolve", "lost connection")
        yield mta


def submit_session(mta, port, login="anna", password="secret"):
    if port == 465:
        client = smtplib.SMTP_SSL("mail.example.org", 465, local_hostname="localhost", source_address=(LAPTOP, 0), context=mta.trust,
                                  timeout=20)
    else:
        client = smtplib.SMTP("mail.example.org", port, local_hostname="localhost", source_address=(LAPTOP, 0), timeout=20)
        client.starttls(context=mta.trust)
    if login:
        client.login(login, password)
    return client


@pytest.fixture(autouse=True)
def addresses(monkeypatch):
    """smtplib checks the certificate's name, so it must be called by it."""
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: resolve(
        SERVER if host == "mail.example.org" else host, *rest, **more))


TEXT = "From: anna@example.org\nTo: ben@example.org\nSubject: from the train\n\nHello\n"


# Messages come from standard input, or from the file MAIL.
CLIENTS = [
    ("swaks with STARTTLS", ["swaks", "--server", SERVER, "--port", "587", "--tls", "--auth", "PLAIN", "--auth-user", "anna", "--auth-password",
                             "secret", "--helo", "localhost", "--from", "anna@example.org", "--to", "ben@example.org", "--data", "@MAIL"]),
    ("swaks on 465", ["swaks", "--server", SERVER, "--tlsc", "--auth", "LOGIN", "--auth-user", "anna", "--auth-password", "secret", "--from",
                      "anna@example.org", "--to", "ben@example.org", "--data", "@MAIL"]),
    ("msmtp", ["msmtp", f"--host={SERVER}", "--port=587", "--auth=plain", "--user=anna", "--passwordeval=echo secret", "--tls=on",
               "--tls-certcheck=off", "--from=anna@example.org", "ben@example.org"]),
    ("msmtp on 465", ["msmtp", f"--host={SERVER}", "--port=465", "--auth=cram-md5", "--user=anna", "--passwordeval=echo secret", "--tls=on",
                      "--tls-starttls=off", "--tls-certcheck=off", "--from=anna@example.org", "ben@example.org"]),
    ("s-nail", ["s-nail", "-:/", "-Sv15-compat", "-Ssmtp-use-starttls", "-Stls-verify=ignore", "-Ssmtp-auth=plain",
                f"-Smta=smtp://anna:secret@{SERVER}:587", "-Sfrom=anna@example.org", "-Shostname=laptop", "-Ssendwait", "-s", "from the train",
                "ben@example.org"]),
    ("curl", ["curl", "-sS", "-k", "--ssl-reqd", f"smtp://{SERVER}:587/localhost", "--user", "anna:secret", "--mail-from",
              "anna@example.org", "--mail-rcpt", "ben@example.org", "-T", "MAIL"]),
    ("curl on 465", ["curl", "-sS", "-k", f"smtps://{SERVER}:465/localhost", "--user", "anna:secret", "--mail-from", "anna@example.org",
                     "--mail-rcpt", "ben@example.org", "-T", "MAIL"]),
]


def converse(mta, client, sender, recipient, helo="mail.sender.test"):
    """The reply to RCPT on port 25."""
    connection = smtplib.SMTP(SERVER, 25, source_address=(client, 0), timeout=30, local_hostname=helo)
    with connection:
        connection.ehlo(helo)
        code, text = connection.mail(sender)
        if code == 250:
            code, text = connection.rcpt(recipient)
    return f"{code} {text.decode()}"


class TestLaptop:
    @pytest.mark.parametrize("port", [587, 465])
    def test_the_laptop_sends(self, laptop_server, world, port):
        before = len(world.messages)
        with submit_session(laptop_server, port) as client:
            assert client.sendmail("anna@example.org", ["ben@example.org"], TEXT) == {}
            assert client.sendmail("team@example.org", ["ben@example.org"], TEXT) == {}
        wait_for(lambda: len(world.messages) == before + 2, "the messages")
        content = world.messages[before].content.decode()
        assert re.search(r"^Received: from localhost \(unknown \[192\.0\.2\.77\]\)\r?\n", content), content
        assert " with ESMTPSA id " in content
        assert re.search(r"^Message-Id: <\S+@mail\.example\.org>\r?$", content, re.M) and re.search(r"^Date: ", content, re.M)
        service = "submission" if port == 587 else "submissions"
        laptop_server.log.wait(rf"postfix/{service}/smtpd\[\d+\]: [0-9A-F]+: client=unknown\[192\.0\.2\.77\], sasl_method=[A-Z0-9-]+, sasl_username=anna")

    @pytest.mark.parametrize("port", [587, 465])
    def test_the_laptop_cannot_send_as_somebody_else(self, laptop_server, port):
        with submit_session(laptop_server, port) as client:
            for sender in ("ben@example.org", "boss@elsewhere.test"):
                assert client.mail(sender)[0] == 250
                assert client.rcpt("ben@example.org") == (
                    553, f"5.7.1 <{sender}>: Sender address rejected: not owned by user anna".encode())
                client.rset()

    def test_without_the_password_the_laptop_sends_nothing(self, laptop_server):
        with submit_session(laptop_server, 587, login=None) as client:
            client.ehlo_or_helo_if_needed()
            assert client.mail("anna@example.org")[0] == 250
            assert client.rcpt("ben@example.org")[0] == 554
            client.rset()
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login("anna", "guess")
        with smtplib.SMTP("mail.example.org", 587, local_hostname="localhost", source_address=(LAPTOP, 0), timeout=20) as client:
            client.ehlo()
            assert not client.has_extn("auth")  # no password in the clear
            assert client.mail("anna@example.org")[0] == 530

    def test_the_same_laptop_on_port_25_is_refused(self, laptop_server):
        assert converse(laptop_server, LAPTOP, "anna@example.org", "ben@example.org", "localhost").startswith(
            "450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.77]")
        assert converse(laptop_server, GOOD, "carl@sender.test", "ben@example.org") == "250 2.1.5 Ok"
        assert converse(laptop_server, GOOD, "carl@sender.test", "x@elsewhere.test") == "554 5.7.1 <x@elsewhere.test>: Relay access denied"

    def test_port_25_offers_no_login(self, laptop_server):
        with smtplib.SMTP(SERVER, 25, source_address=(GOOD, 0), timeout=20) as client:
            client.ehlo()
            assert client.has_extn("starttls") and not client.has_extn("auth")


    # --- the programs that people send with ---------------------------------------------------------

    @pytest.mark.parametrize("name, command", CLIENTS, ids=[name for name, _ in CLIENTS])
    def test_real_clients(self, laptop_server, world, tmp_path, name, command):
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        (tmp_path / "mail").write_text(TEXT)
        before = len(world.messages)
        result = subprocess.run([word.replace("MAIL", str(tmp_path / "mail")) for word in command], input=TEXT.encode(), timeout=30,
                                capture_output=True, check=False, env={**os.environ, "HOME": str(tmp_path), "LC_ALL": "C"})
        assert result.returncode == 0, (result.stdout, result.stderr)
        wait_for(lambda: len(world.messages) == before + 1, f"{name}'s message", 15)
        message = world.messages[-1]
        assert message.recipients == ["ben@example.org"] and message.sender == "anna@example.org"
        assert b"Hello" in message.content and re.search(rb" with (ESMTP|UTF8SMTP)SA id ", message.content)

    def test_openssl_s_client(self, laptop_server, world):
        before = len(world.messages)
        lines = ["EHLO localhost", f"AUTH PLAIN {plain('anna', 'secret')}", "MAIL FROM:<anna@example.org>", "rcpt TO:<ben@example.org>",
                 "DATA"]
        process = subprocess.Popen(["timeout", "20", "openssl", "s_client", "-quiet", "-crlf", "-starttls", "smtp", "-connect", f"{SERVER}:587"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            for line, code in zip([*lines, *TEXT.splitlines(), ".", "QUIT"],
                                  [b"250 ", b"235 ", b"250 ", b"250 ", b"354 "] + [None] * len(TEXT.splitlines()) + [b"250 ", b"221 "]):
                process.stdin.write(line.encode() + b"\n")
                process.stdin.flush()
                reply = b"250-" if code else None
                while reply is not None and reply[3:4] == b"-":
                    reply = process.stdout.readline()
                assert code is None or reply.startswith(code), (line, reply)
        finally:
            process.stdin.close()
            process.stdout.close()
            process.kill()
            process.wait()
        wait_for(lambda: len(world.messages) == before + 1, "the message")

    def test_as_thunderbird_does(self, laptop_server, world):
        """What Thunderbird 115 sends, command by command."""
        before = len(world.messages)
        with smtplib.SMTP("mail.example.org", 587, source_address=(LAPTOP, 0), timeout=20) as client:
            assert client.docmd("EHLO", "[192.168.1.5]")[0] == 250
            assert client.docmd("STARTTLS")[0] == 220
            client.sock = laptop_server.trust.wrap_socket(client.sock, server_hostname="mail.example.org")
            client.file = None
            assert client.docmd("EHLO", "[192.168.1.5]")[0] == 250
            assert client.docmd("AUTH PLAIN", plain("anna", "secret"))[0] == 235
            body = TEXT.replace("Hello", "Gr\u00fc\u00dfe").replace("\n", "\r\n").encode()
            assert client.docmd(f"MAIL FROM:<anna@example.org> BODY=8BITMIME SIZE={len(body)}")[0] == 250
            assert client.docmd("RCPT TO:<ben@example.org>")[0] == 250
            assert client.docmd("DATA")[0] == 354
            client.send(body + b".\r\n")
            assert client.getreply()[0] == 250
            assert client.docmd("QUIT")[0] == 221
        wait_for(lambda: len(world.messages) == before + 1, "the message")
        assert "Gr\u00fc\u00dfe".encode() in world.messages[-1].content


class TestAccess:
    @pytest.mark.parametrize("client, sender, recipient, helo, reply", [
        (GOOD, "carl@sender.test", "anna@example.org", "mail.sender.test", "250 2.1.5 Ok"),
        (GOOD, "carl@sender.test", "ben@example.org", "mail.sender.test", "250 2.1.5 Ok"),
        (LAPTOP, "carl@sender.test", "anna@example.org", "mail.sender.test", "450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.77]"),
        ("192.0.2.80", "carl@partner.test", "anna@example.org", "mail.partner.test", "250 2.1.5 Ok"),  # listed, and ours all the same
        ("192.0.2.130", "x@sender.test", "anna@example.org", "mail.spam.test", "554 5.7.1 <mail.spam.test[192.0.2.130]>: Client host rejected: you have written enough"),
        (GOOD, "carl@sender.test", "anna@example.org", "mail.example.org", "554 5.7.1 <mail.example.org>: Helo command rejected: you are not me"),
        (GOOD, "carl@sender.test", "anna@example.org", "localhost", "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname"),
        (GOOD, "carl@nowhere.test", "anna@example.org", "mail.sender.test", "450 4.1.8 <carl@nowhere.test>: Sender address rejected: Domain not found"),
        (GOOD, "anna@example.org", "anna@example.org", "mail.sender.test", "554 5.7.1 <anna@example.org>: Sender address rejected: our own people write through port 587"),
        (GOOD, "carl@sender.test", "x@elsewhere.test", "mail.sender.test", "554 5.7.1 <x@elsewhere.test>: Relay access denied"),
        (GOOD, "carl@sender.test", "nobody@example.org", "mail.sender.test", "550 5.1.1 <nobody@example.org>: Recipient address rejected: User unknown in virtual mailbox table"),
        ("192.0.2.90", "carl@sender.test", "ben@example.org", "mail.sender.test", "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.90]"),
        ("192.0.2.90", "carl@sender.test", "anna@example.org", "mail.sender.test", "250 2.1.5 Ok"),
    ], ids=range(13))
    def test_the_access_example(self, access_server, client, sender, recipient, helo, reply):
        assert converse(access_server, client, sender, recipient, helo) == reply

    def test_people_send_there_too(self, access_server, world):
        before = len(world.messages)
        with submit_session(access_server, 587) as client:
            assert client.sendmail("anna@example.org", ["ben@example.org"], TEXT) == {}
        wait_for(lambda: len(world.messages) == before + 1, "the message")
