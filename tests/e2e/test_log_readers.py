# SPDX-License-Identifier: ISC
"""pflogsumm and fail2ban's own filter read our log as they read Postfix's: one scenario with both servers, and the tools
say the same about both."""
import re
import shutil
import subprocess

import pytest

from lib.mta import Postfix, Posthorn
from lib.reference_release import lines_as_followed
from lib import setups
from lib.smtp import Disconnected, SmtpClient

FILTER = "/etc/fail2ban/filter.d/postfix.conf"


def talk(mta, source, *lines):
    """Says each line; what the server answers does not matter here."""
    with SmtpClient(mta.port, source=source, expect=None) as client:
        try:
            client.reply()
            for line in lines:
                client.say(line)
        except (Disconnected, OSError):
            pass


def scenario(mta):
    mail, rcpt = "MAIL FROM:<carl@example.org>", "RCPT TO:<anna@example.test>"
    for number in range(3):
        mta.send("carl@example.org", ["anna@example.test", "ben@example.test"][:1 + number % 2], source=f"127.0.0.{10 + number}")
    talk(mta, "127.0.0.20", "EHLO x", mail, "RCPT TO:<nobody@example.test>", "QUIT")
    talk(mta, "127.0.0.21", "EHLO x", mail, "RCPT TO:<x@elsewhere.example>", "QUIT")
    talk(mta, "127.0.0.22", "HELO a..b", mail, rcpt, "QUIT")
    talk(mta, "127.0.0.23", "EHLO x", "MAIL FROM:<local>", rcpt, "QUIT")
    talk(mta, "127.0.0.24", "EHLO x", mail, rcpt, "QUIT")
    talk(mta, "127.0.0.25", "FOO", "FOO", "FOO", "FOO")
    talk(mta, "127.0.0.26", "GET / HTTP/1.0")
    talk(mta, "127.0.0.27", "EHLO x", "EHLO")
    talk(mta, "127.0.0.28", "EHLO x\r\nNOOP", "QUIT")
    talk(mta, "127.0.0.29", "AUTH LOGIN", "QUIT")
    talk(mta, "127.0.0.30", "EHLO x", mail, rcpt, "RCPT TO:<held@example.test>", "DATA", "Subject: x\r\n\r\n.", "QUIT")
    for _ in range(3):
        talk(mta, "127.0.0.31", "NOOP", "QUIT")


@pytest.fixture(scope="module")
def logs():
    """Both servers' logs after the same day."""
    for reason in (Posthorn.unavailable(), Postfix.unavailable()):
        if reason:
            pytest.skip(reason)
    servers, texts = [Posthorn(), Postfix()], {}
    try:
        for mta in servers:
            mta.log.expect("")
            setups.virtual_domain(mta, "discard", mailboxes=("anna", "ben", "held"))
            mta.main.update({
                "mynetworks": "127.0.0.1/32", "smtpd_peername_lookup": "no", "smtpd_hard_error_limit": "3",
                "smtpd_error_sleep_time": "0", "smtpd_client_connection_rate_limit": "2", "smtpd_client_event_limit_exceptions": "",
                "smtpd_relay_restrictions": "reject_unauth_destination",
                "smtpd_helo_restrictions": "reject_invalid_helo_hostname",
                "smtpd_sender_restrictions": "reject_non_fqdn_sender",
                "smtpd_client_restrictions": "check_client_access inline:{{127.0.0.24=450 4.7.1 Client host rejected: later}}",
                "smtpd_recipient_restrictions": "check_recipient_access inline:{held@example.test=HOLD}",
                "smtpd_forbid_unauth_pipelining": "no",
            })
            mta.start()
            scenario(mta)
            mta.log.wait(r"status=sent", count=4, seconds=20)
            mta.log.wait(r"qmgr\[\d+\]: \w+: removed", count=3, seconds=20)
            texts[mta.name] = mta.log.path
        # The readers know the lines of the followed release.
        texts["postfix"].write_text("".join(line + "\n" for line in lines_as_followed(texts["postfix"].read_text().splitlines())))
        yield texts
    finally:
        for mta in servers:
            mta.finish()


def summary(path):
    """pflogsumm's report without times, hours and sizes (a longer queue id makes a message longer)."""
    text = subprocess.run(["pflogsumm", "--problems-first", "--verbose-msg-detail", str(path)], capture_output=True, check=True).stdout.decode()
    lines = []
    for line in text.splitlines():
        if re.match(r"\s+\d\d(00)?-\d\d(00)?\s|\s*\d+k?\s+bytes|\s*[\d.]+k?\s+\d+\s+[\d.]+ s", line) or "Postfix log summaries" in line:
            continue
        line = re.sub(r"\b\w{3} [ \d]\d \d\d:\d\d:\d\d\b|\b[0-9A-F]{9,}\b|:\d{4,5}\b|\b\d\d:\d\d:\d\d\b", "#", line)
        lines.append(re.sub(r"[\d.]+k?( +bytes| +s\b)|^\s*\d+k? +(?=\S+@)", r"#\1", line).rstrip())
    return "\n".join(lines)


def test_pflogsumm_says_the_same(logs):
    if not shutil.which("pflogsumm", path="/usr/sbin:/usr/bin"):
        pytest.skip("pflogsumm is not installed")
    mine, theirs = summary(logs["posthorn"]), summary(logs["postfix"])
    sections = [section.split("Per-Hour")[0].split("Warnings")[0] for section in (mine, theirs)]
    assert sections[0] == sections[1]
    assert re.search(r"^\s+4\s+delivered", mine, re.M) and re.search(r"^\s+\d+\s+rejected", mine, re.M), mine


LOGWATCH = Postfix.directory_of_reference / "usr/share/logwatch/scripts/services/postfix"


def test_logwatch_says_the_same(logs):
    """Debian's logwatch depends on a mail server: it is unpacked beside the reference, not installed."""
    if not LOGWATCH.exists():
        pytest.skip("logwatch is not unpacked (tools/postfix-reference.sh)")
    found = {}
    for name, path in logs.items():
        lines = [line for line in path.read_text().splitlines(True) if not re.search("is not supported yet|postfix-script|daemon started", line)]
        done = subprocess.run(["perl", LOGWATCH, "--detail", "10", "--nosect_vars", "--max_report_width", "200"], input="".join(lines).encode(),
                              capture_output=True, check=True)
        assert b"Unmatched" not in done.stdout, done.stdout.decode()
        text = re.sub(r"[\d.]+[KM]? +(Bytes|bytes) .*|[\d.,]+K?$|\b\d+\.\d\d\b", "#", done.stdout.decode(), flags=re.M)
        found[name] = re.sub(r"\b[0-9A-F]{9,}\b|:\d{4,5}\b", "#", text)
    assert found["posthorn"] == found["postfix"]
    assert "Delivered" in found["posthorn"] or "delivered" in found["posthorn"].lower()


@pytest.mark.parametrize("mode", ["more", "normal", "rbl", "ddos", "extra", "aggressive", "errors", "auth"])
def test_fail2ban_finds_the_same(logs, mode):
    if not shutil.which("fail2ban-regex"):
        pytest.skip("fail2ban is not installed")
    found = {}
    for name, path in logs.items():
        result = subprocess.run(["fail2ban-regex", "--out", "ip", str(path), f"{FILTER[:-5]}[mode={mode}]"],
                                capture_output=True, check=False)
        assert result.returncode in (0, 255), result.stderr
        found[name] = sorted(result.stdout.decode().split())
    assert found["posthorn"] == found["postfix"]
    assert found["posthorn"] or mode in ("rbl", "auth")
