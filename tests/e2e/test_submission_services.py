# SPDX-License-Identifier: ISC
"""The submission entries of a dozen stacks: both servers answer, log and deliver the same, and no option is passed over in silence."""
import concurrent.futures
import os
import pathlib
import re
import shutil
import socket
import ssl
import tempfile

import pytest

from lib.certificate import self_signed
from lib.lmtp_sink import LmtpSink
from lib.mta import Postfix, Posthorn
from lib.sasl import DovecotAuth, plain
from lib.tls_client import context
from lib.waiting import accepts_connections, free_port, wait_for
from submission_services import FILES, STACKS, USER_PARAMETERS
from test_smtp_dialogue import normalized, read_reply

USERS = {"anna@example.test": "horn", "robot@example.test": "tin"}
SERVICES = [(stack, port) for stack, text in STACKS.items() for port in (587, 465) if f"{{{port}}}" in text]
LOGIN = "AUTH PLAIN " + plain("anna@example.test", "horn")
ROBOT = "AUTH PLAIN " + plain("robot@example.test", "tin")
MESSAGE = """\
From: Anna <anna@example.test>
To: Ben <ben@example.test>
Subject: {subject}
User-Agent: Horn 1.0
X-Originating-IP: [192.0.2.7]

Hello
.""".replace("\n", "\r\n")
# None: STARTTLS and the handshake, or nothing where TLS is there already.
DIALOGUES = {
    "in the clear": ["EHLO laptop", "AUTH PLAIN", "MAIL FROM:<anna@example.test>", "QUIT"],
    "without a login": ["EHLO laptop", None, "MAIL FROM:<anna@example.test>", "EHLO laptop", "MAIL FROM:<anna@example.test>",
                        "RCPT TO:<ben@example.test>", "RCPT TO:<carl@elsewhere.test>", "ETRN example.test", "QUIT"],
    "as somebody else": ["EHLO laptop", None, "EHLO laptop", LOGIN, "MAIL FROM:<ben@example.test>", "RCPT TO:<ben@example.test>", "QUIT"],
    "as a robot": ["EHLO laptop", None, "EHLO laptop", ROBOT, "MAIL FROM:<robot@example.test>", "RCPT TO:<ben@example.test>", "QUIT"],
    "to nobody": ["EHLO laptop", None, "EHLO laptop", LOGIN, "MAIL FROM:<anna@example.test>", "RCPT TO:<nobody@example.test>",
                  "RCPT TO:<nobody@local.test>", "QUIT"],
    "sent": ["EHLO laptop", None, "EHLO laptop", LOGIN, "MAIL FROM:<anna@example.test>", "RCPT TO:<ben@example.test>", "DATA", MESSAGE, "QUIT"],
}


class Server:
    def __init__(self, kind, dovecot, certificate):
        self.sink = LmtpSink()
        mta = self.mta = kind()
        mta.log.expect("")
        mta.main.update(USER_PARAMETERS)
        mta.main.update({
            "smtpd_tls_cert_file": certificate[0], "smtpd_tls_key_file": certificate[1], "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": dovecot.socket,
            "smtpd_relay_restrictions": "permit_sasl_authenticated, reject_unauth_destination", "mynetworks": "192.0.2.0/24",
            "smtpd_sender_login_maps": "inline:{anna@example.test=anna@example.test, ben@example.test=ben@example.test, robot@example.test=robot@example.test}",
            "virtual_mailbox_domains": "example.test", "virtual_mailbox_maps": "inline:{ben@example.test=x, anna@example.test=x}",
            "mydestination": "local.test", "local_recipient_maps": "inline:{x=y}", "virtual_transport": f"lmtp:{self.sink.next_hop}",
            "header_checks": f"regexp:$config_directory/private_received", "smtp_header_checks": "pcre:$config_directory/private_headers",
            "smtpd_error_sleep_time": "0", "smtpd_tls_loglevel": "0", "smtpd_forbid_unauth_pipelining": "no", "fast_flush_domains": "",
        })
        if kind is Posthorn:
            mta.main["smtpd_sasl_failure_delay"] = "0"
        for name, text in FILES.items():
            mta.file(name, text)
        self.ports = {service: free_port() for service in SERVICES}
        mine = ""
        for stack, text in STACKS.items():
            text = re.sub(r"\{(\d+)\}", lambda match, stack=stack: f"127.0.0.1:{self.ports[stack, int(match.group(1))]}", text)
            if kind is Postfix:  # unpacked, not installed: nothing of it is inside a chroot
                text = re.sub(r"^(\w\S*\s+\w\S*\s+\S+\s+\S+\s+)[y-]", r"\1n", text, flags=re.M)
            mine += re.sub(r"^\{\d+\}", "", text)
        mta.master_cf = mta.master_cf + mine

    def start(self):
        self.mta.start()
        for port in self.ports.values():
            wait_for(lambda port=port: accepts_connections("127.0.0.1", port), f"port {port}", 20)
        wait_for(lambda: self.mta.log.is_idle(len(self.ports)), "the end of the first connections", 20)

    def hold(self, service, steps):
        log, delivered = self.mta.log, len(self.sink.messages)
        before, ended = len(log.lines()), len(log.lines(r"smtpd\[\d+\]: disconnect from"))
        replies = self.talk(service, steps)
        log.wait(r"smtpd\[\d+\]: disconnect from", count=ended + 1, seconds=20)
        lines = [normalized(line, []) for line in log.lines()[before:] if re.search(r"smtpd\[", line)]
        message = None
        if "queued as" in replies[-2]:
            wait_for(lambda: len(self.sink.messages) > delivered, "delivery")
            message = tidy(self.sink.messages[-1].content.decode())
        lines = [re.sub(r"smtpd\[\d+\]", "smtpd", line) for line in lines if line]
        return [re.sub(r"queued as \w+", "queued as ID", reply) for reply in replies], sorted(lines), message

    def talk(self, service, steps):
        connection = socket.create_connection(("127.0.0.1", self.ports[service]), timeout=20)
        replies = []
        if service[1] == 465:
            steps = [step for step in steps if step is not None]
            connection = context().wrap_socket(connection)
        with connection, connection.makefile("rb") as first:
            stream = first
            replies.append(read_reply(stream))
            for step in steps:
                connection.sendall(((step or "STARTTLS") + "\r\n").encode())
                replies.append(read_reply(stream))
                if step is None and replies[-1].startswith(b"220"):
                    connection = context().wrap_socket(connection)
                    stream = connection.makefile("rb")
            stream.close()
            connection.close()
        return [reply.decode() for reply in replies]


def tidy(message):
    """Without what each server makes up anew: ids, times, its name."""
    message = re.sub(r"\b[0-9A-F]{8,}\b", "ID", message.replace("\r\n", "\n"))
    message = re.sub(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), .*", "DATE", message)
    return re.sub(r"Message-Id: <\d+\.ID@", "Message-Id: <TIME.ID@", re.sub(r"\(Post(horn|fix)\)", "(MTA)", message))


@pytest.fixture(scope="module")
def both():
    for reason in (DovecotAuth.unavailable(), Posthorn.unavailable(), Postfix.unavailable()):
        if reason:
            pytest.skip(reason)
    top = pathlib.Path(tempfile.mkdtemp(prefix="msa-", dir="/tmp"))
    top.chmod(0o755)
    dovecot = DovecotAuth(top / "auth", "postfix", USERS)
    servers = []
    try:
        dovecot.start()
        servers += [Server(kind, dovecot, self_signed(top / "tls")) for kind in (Posthorn, Postfix)]
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.mta.finish()
            server.sink.close()
        dovecot.finish()
        if not os.environ.get("KEEP"):
            shutil.rmtree(top, ignore_errors=True)


@pytest.mark.parametrize("stack, port", SERVICES)
def test_both_do_the_same(both, stack, port):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, steps in DIALOGUES.items():
            if name == "in the clear" and port == 465:
                continue
            ours, theirs = pool.map(lambda server, steps=steps: server.hold((stack, port), steps), both)
            assert ours[0] == theirs[0], name
            assert ours[1] == theirs[1], name
            assert ours[2] == theirs[2], name
            assert (ours[2] is not None) == (name == "sent")


# What stacks write there and what does nothing here: each is named in the log when the server starts.
WITHOUT_EFFECT = {"milter_macro_daemon_name"}


def test_no_option_is_passed_over_in_silence(both):
    used = set(re.findall(r"-o (\w+)=\S", "".join(STACKS.values())))
    warned = {name for name in used if both[0].mta.log.lines(rf"warning: \S+master.cf, line \d+: service \S+: parameter {name} ")}
    assert warned == WITHOUT_EFFECT
