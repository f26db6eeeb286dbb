# SPDX-License-Identifier: ISC
"""Configurations that several tests use, made from the samples in etc/."""
import os
import pwd

from .mta import ROOT

RELAY_POLICY = "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination"


def virtual_domain(mta, transport, mailboxes=("anna", "ben"), aliases=()):
    """example.test with its mailboxes in text tables; delivery by `transport`."""
    mta.main.update({
        "smtpd_relay_restrictions": RELAY_POLICY,
        "virtual_mailbox_domains": "example.test",
        "virtual_mailbox_maps": "texthash:$config_directory/mailboxes",
        "virtual_alias_maps": "texthash:$config_directory/aliases",
        "virtual_transport": transport,
    })
    mta.file("mailboxes", "".join(f"{name}@example.test example.test/{name}/\n" for name in mailboxes))
    mta.file("aliases", "".join(f"{name}@example.test {target}\n" for name, target in aliases))


def main_job(mta, postgres):
    """The sample of etc/main.cf: recipients in PostgreSQL, delivery by LMTP into Dovecot."""
    for name in ("domains", "mailboxes", "aliases"):
        text = (ROOT / "etc" / "pgsql" / f"{name}.cf").read_text()
        mta.file(f"pgsql/{name}.cf", text.replace("127.0.0.1:5432", f"127.0.0.1:{postgres.port}"))
    mta.main.update({
        "smtpd_relay_restrictions": RELAY_POLICY,
        "virtual_mailbox_domains": "pgsql:$config_directory/pgsql/domains.cf",
        "virtual_mailbox_maps": "pgsql:$config_directory/pgsql/mailboxes.cf",
        "virtual_alias_maps": "pgsql:$config_directory/pgsql/aliases.cf",
        "virtual_transport": "lmtp:unix:private/dovecot-lmtp",
        "local_recipient_maps": "",
        "alias_maps": "",
    })
    postgres.sql("""
        INSERT INTO domains (name) VALUES ('example.test');
        INSERT INTO mailboxes (address, domain, maildir) VALUES
            ('anna@example.test', 'example.test', 'example.test/anna/'),
            ('ben@example.test', 'example.test', 'example.test/ben/');
        INSERT INTO aliases (address, destination) VALUES
            ('info@example.test', 'anna@example.test'),
            ('all@example.test', 'anna@example.test'),
            ('all@example.test', 'ben@example.test');
    """, "mail")


def maildirs(mta, base):
    """Delivery by virtual(8) below this directory, with ids that this test may use."""
    is_root = os.geteuid() == 0
    user = pwd.getpwnam("nobody") if is_root else pwd.getpwuid(os.geteuid())
    os.chown(base, user.pw_uid, user.pw_gid)
    mta.main.update({
        "virtual_mailbox_base": base,
        "virtual_uid_maps": f"static:{user.pw_uid}",
        "virtual_gid_maps": f"static:{user.pw_gid}",
        "virtual_minimum_uid": min(user.pw_uid, 100),
    })
