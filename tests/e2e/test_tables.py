# SPDX-License-Identifier: ISC
"""Every table type answers RCPT alike, and one that fails is a 451, never a 550."""
import os
import subprocess
import time

import pytest

from lib import setups
from lib.mta import ROOT
from lib.waiting import wait_for

DOMAINS = [("example.test", "example.test")]
MAILBOXES = [("anna@example.test", "example.test/anna/"), ("ben@example.test", "example.test/ben/")]
ALIASES = [("info@example.test", "anna@example.test"), ("all@example.test", "anna@example.test, ben@example.test"),
           ("@alias.test", "ben@example.test")]


def text_tables(mta, kind):
    names = []
    for name, rows in (("domains", DOMAINS), ("mailboxes", MAILBOXES), ("aliases", ALIASES)):
        path = mta.file(name, "".join(f"{key}   {value}\n" for key, value in rows))
        names.append(f"{kind}:{path}")
    mta.write_configuration()
    if kind == "hash":
        for name in names:
            result = mta.command("postmap", name)
            assert result.returncode == 0, result.stderr
    return names


def inline_tables(_, __):
    return ["inline:{" + ", ".join(f"{{{key} = {value}}}" for key, value in rows) + "}" for rows in (DOMAINS, MAILBOXES, ALIASES)]


def sqlite_tables(mta, _):
    """The schema and the files of etc/."""
    database = mta.config / "mail.sqlite"
    sql = (ROOT / "etc/schema.sqlite.sql").read_text() + (ROOT / "etc/demo/data.sql").read_text() + \
        "INSERT INTO aliases (address, destination) VALUES ('@alias.test', 'ben@example.test');"
    subprocess.run(["sqlite3", "-bail", database], input=sql, text=True, check=True)
    names = []
    for name in ("domains", "mailboxes", "aliases"):
        text = (ROOT / f"etc/sqlite/{name}.cf").read_text().replace("/var/lib/posthorn/mail.sqlite", str(database))
        names.append(f"sqlite:{mta.file(f'sqlite/{name}.cf', text)}")
    return names


KINDS = {"texthash": text_tables, "hash": text_tables, "inline": inline_tables, "sqlite": sqlite_tables}


@pytest.mark.core
@pytest.mark.parametrize("prefix", ["", "proxy:"])
@pytest.mark.parametrize("kind", KINDS)
def test_recipients(mta, sink, kind, prefix):
    domains, mailboxes, aliases = [prefix + name for name in KINDS[kind](mta, kind)]
    mta.main.update({
        "smtpd_relay_restrictions": setups.RELAY_POLICY,
        "virtual_mailbox_domains": domains, "virtual_mailbox_maps": mailboxes, "virtual_alias_maps": aliases,
        "virtual_alias_domains": "alias.test", "virtual_transport": f"lmtp:{sink.next_hop}", "mynetworks": "192.0.2.1",
        "local_recipient_maps": "",
    })
    mta.start()
    unknown = "550 5.1.1 <{0}>: Recipient address rejected: User unknown in virtual mailbox table"
    with mta.smtp() as client:
        client.hello()
        client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        for address in ("anna@example.test", "ANNA@Example.TEST", "info@example.test", "all@example.test", "x@alias.test"):
            client.say(f"RCPT TO:<{address}>", expect="250 2.1.5 Ok")
        for address in ("nobody@example.test", "a_na@example.test", "'@example.test", "'or''='@example.test"):
            client.say(f"RCPT TO:<{address}>", expect=unknown.format(address))
        for address in ("x@elsewhere.test", "x%elsewhere.test@example.test", "elsewhere.test!x@example.test"):
            client.say(f"RCPT TO:<{address}>", expect=f"554 5.7.1 <{address}>: Relay access denied")
        client.send_message("Subject: tables\n\nText.\n")
    mta.wait_empty()
    got = sorted(address for message in sink.messages for address in message.recipients)
    assert got == ["anna@example.test"] * 3 + ["ben@example.test"] * 2  # one a different original recipient


@pytest.mark.parametrize("table", ["fail:broken", "texthash:/nonexistent/table", "sqlite:/nonexistent/table.cf"])
def test_a_broken_table_is_a_passing_fault(mta, table):
    setups.virtual_domain(mta, "lmtp:inet:127.0.0.1:9")
    mta.main["virtual_mailbox_maps"] = table
    mta.log.expect(r"broken|nonexistent|virtual_mailbox_maps|lookup")
    mta.start()
    with mta.smtp() as client:
        client.hello()
        client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        client.say("RCPT TO:<anna@example.test>", expect="451 4.3.0 <anna@example.test>: Temporary lookup failure")


def test_a_changed_table_is_noticed_without_reload(posthorn, sink):
    """Postfix's processes end after a while and open their tables anew; ours live on and must look."""
    setups.virtual_domain(posthorn, f"lmtp:{sink.next_hop}")
    posthorn.start()
    with posthorn.smtp() as client:
        client.hello()
        client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        client.say("RCPT TO:<dora@example.test>", expect=550)
        path = posthorn.config / "mailboxes"
        path.write_text(path.read_text() + "dora@example.test x/\n")
        os.utime(path, (time.time() + 1, time.time() + 1))
        wait_for(lambda: client.say("RCPT TO:<dora@example.test>").startswith("250"), "the new mailbox", 5, 0.2)
