# SPDX-License-Identifier: ISC
"""A table that fails is a passing fault and a warning that names it: every type of table, and every place where tables are used
(sender_login_maps: test_sender_ownership.py; SNI: test_tls.py)."""
import re

import pytest

from lib.map_server import MapServer, netstring
from lib.table_query import table_types
from lib.waiting import free_port

# How a table of each type fails. NAME: a path without a file; PORT: nobody listens there.
BROKEN = {
    "hash": "hash:NAME", "btree": "btree:NAME", "lmdb": "lmdb:NAME", "cdb": "cdb:NAME", "texthash": "texthash:NAME",
    "regexp": "regexp:NAME", "pcre": "pcre:NAME", "cidr": "cidr:NAME", "pgsql": "pgsql:PGSQL", "mysql": "mysql:MYSQL",
    "ldap": "ldap:LDAP", "sqlite": "sqlite:SQLITE", "socketmap": "socketmap:inet:127.0.0.1:PORT:name", "tcp": "tcp:127.0.0.1:PORT",
    "unix": "unix:nothing.byname", "fail": "fail:always", "unionmap": "unionmap:{static:x,fail:inner}",
    "pipemap": "pipemap:{static:x,fail:inner}", "randmap": "randmap:{}", "inline": "inline:{nonsense}", "nothing": "nothing:x",
    "proxy": "proxy:texthash:NAME",
}
SQL = "hosts = 127.0.0.1:PORT\nuser = x\npassword = x\ndbname = x\nquery = SELECT '%s'\n"
FILES = {"PGSQL": SQL, "MYSQL": SQL, "SQLITE": "dbpath = NAME\nquery = SELECT '%s'\n",
         "LDAP": "server_host = ldap://127.0.0.1:PORT\nsearch_base = dc=x\nbind = no\nversion = 3\n"}


def test_every_type(posthorn):
    """As an access table: 451 to the recipient that leads to it, and the others are not disturbed."""
    port, types = free_port(), table_types()
    kinds = [kind for kind in BROKEN if kind in types or kind in ("nothing", "proxy")]

    def fill(text):
        return text.replace("NAME", f"{posthorn.directory}/missing").replace("PORT", str(port))
    files = {name: str(posthorn.file(f"{name}.cf", fill(text))) for name, text in FILES.items()}
    specs = {kind: fill(re.sub("|".join(FILES), lambda match: files[match[0]], BROKEN[kind])) for kind in kinds}
    posthorn.main.update({f"{kind}_class": f"check_sender_access {spec}" for kind, spec in specs.items()})
    posthorn.main.update({
        "mydestination": "example.test", "local_recipient_maps": "", "smtpd_relay_restrictions": "reject_unauth_destination",
        "smtpd_soft_error_limit": 1000, "smtpd_hard_error_limit": 1000,
        "smtpd_restriction_classes": ", ".join(f"{kind}_class" for kind in kinds),
        "smtpd_recipient_restrictions": f"check_recipient_access texthash:{posthorn.config}/classes, permit",
    })
    posthorn.file("classes", "".join(f"{kind}@example.test {kind}_class\n" for kind in kinds))
    posthorn.log.expect(".*")
    posthorn.start()
    with posthorn.smtp() as client:
        client.hello()
        client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        for kind in kinds:
            assert client.say(f"RCPT TO:<{kind}@example.test>").startswith("451 4.3."), kind
            client.say("RCPT TO:<fine@example.test>", expect="250 2.1.5 Ok")
    for kind, spec in specs.items():
        posthorn.log.wait(r"smtpd\[.*: reject: RCPT .* 451 4\.3\..*to=<" + kind + "@example.test>")
        named = re.escape(spec.removeprefix("proxy:"))
        posthorn.log.wait(r"warning: .*" + named)


PLACES = {  # map name: (parameter, value with SPEC for the table, sender, recipient)
    "mailbox": ("virtual_mailbox_maps", "SPEC", "x@example.org", "broken@virtual.test"),
    "alias": ("virtual_alias_maps", "SPEC", "x@example.org", "broken-alias@virtual.test"),
    "local": ("local_recipient_maps", "SPEC", "x@example.org", "broken-local@example.test"),
    "relay": ("relay_recipient_maps", "SPEC", "x@example.org", "broken-relay@relay.test"),
    "domain": ("virtual_mailbox_domains", "virtual.test, SPEC", "x@example.org", "x@broken-domain.test"),
    "relaydomain": ("relay_domains", "relay.test, SPEC", "x@example.org", "x@broken-relaydomain.test"),
    "destination": ("mydestination", "example.test, SPEC", "x@example.org", "x@broken-destination.test"),
    "transport": ("transport_maps", "SPEC", "x@example.org", "broken-transport@virtual.test"),
    "canonical": ("canonical_maps", "SPEC", "x@example.org", "broken-canonical@virtual.test"),
    "bcc": ("recipient_bcc_maps", "SPEC", "x@example.org", "broken-bcc@virtual.test"),
    "senderbcc": ("sender_bcc_maps", "SPEC", "broken-senderbcc@example.org", "x@virtual.test"),
    "sendercanonical": ("sender_canonical_maps", "SPEC", "broken-sendercanonical@example.org", "x@virtual.test"),
    "access": ("smtpd_recipient_restrictions", "check_recipient_access SPEC", "x@example.org", "broken-access@virtual.test"),
    "senderaccess": ("smtpd_sender_restrictions", "check_sender_access SPEC", "broken-senderaccess@example.org", "x@virtual.test"),
}


@pytest.fixture
def answers():
    def answer(_, question):
        place, key = question.split(" ", 1)
        if place == "mailbox":
            return netstring("TEMP broken" if key.startswith("broken@") else "OK x" if "@virtual.test" in key else "NOTFOUND ")
        return netstring("TEMP broken" if f"broken-{place}" in key else "NOTFOUND " if place != "local" else "OK x")
    server = MapServer(answer)
    yield server
    server.close()


def test_every_place(mta, answers):
    def spec(place):
        return f"socketmap:inet:127.0.0.1:{answers.port}:{place}"
    mta.main.update({
        "smtpd_relay_restrictions": "reject_unauth_destination", "virtual_transport": "lmtp:inet:127.0.0.1:9",
        "mynetworks": "192.0.2.1", "header_checks": spec("header"), "body_checks": spec("body"),
    })
    mta.main.update({parameter: value.replace("SPEC", spec(place)) for place, (parameter, value, _, _) in PLACES.items()})
    mta.log.expect(".*")
    mta.start()
    replies = {}
    for place, (_, _, sender, recipient) in PLACES.items():
        with mta.smtp() as client:
            client.hello()
            replies[place] = [client.say(f"MAIL FROM:<{sender}>"), client.say(f"RCPT TO:<{recipient}>"), client.say("DATA")]
            if replies[place][-1].startswith("354"):
                client.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
                replies[place].append(client.reply())
    for place, text in {"header": "Subject: broken-header\r\n\r\nx", "body": "Subject: x\r\n\r\nbroken-body"}.items():
        with mta.smtp() as client:
            client.hello()
            client.say("MAIL FROM:<x@example.org>", expect="250 2.1.0 Ok")
            client.say("RCPT TO:<x@virtual.test>", expect="250 2.1.5 Ok")
            client.say("DATA", expect=354)
            client.send(f"{text}\r\n.\r\n".encode())
            replies[place] = [client.reply()]
    for place, dialogue in replies.items():
        refusal = next((reply for reply in dialogue if reply[0] in "45"), None)
        assert refusal is not None and refusal.startswith("451 4.3."), (place, dialogue)
        mta.log.wait("warning: .*" + re.escape(spec(place)))
