# SPDX-License-Identifier: ISC
"""Which key of a table speaks for an address: access(5), virtual(5), canonical(5), transport(5), with random tables (the same
ones every time) on both servers. Every value says which key it stands behind; the replies and what becomes of each
recipient must be the same."""
import os
import random
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.mta import Postfix, Posthorn
from lib.waiting import wait_for

DOMAINS = ["example.test", "sub.example.test", "a.sub.example.test", "other.test", "list-x.test"]
CLASSES = {"example.test": "virtual_mailbox_domains", "sub.example.test": "relay_domains", "other.test": "virtual_alias_domains",
           "list-x.test": "mydestination"}
LOCALS = ["anna", "ben", "anna+shop", "ben-list", "anna+a+b", "ben-a+b", "owner-list", "+", "Carl"]
SEEDS = range(int(os.environ.get("SEARCH_ORDER_SEEDS", "6")))


def keys_of(local, domain):
    """All keys that any of the manual pages might ask for, and some that none asks for."""
    bare = re.split(r"[+-]", local)[0] or local
    parents = [domain.split(".", n)[-1] for n in range(domain.count(".") + 1)]
    return [f"{local}@{domain}", f"{bare}@{domain}", local, f"{local}@", f"{bare}@", bare, f"@{domain}", f"@.{domain}", domain, f".{domain}",
            *parents, *(f".{parent}" for parent in parents), *(f"@{parent}" for parent in parents), "*", "@", ""]


def random_keys(chance, share, need=lambda key: True):
    keys = {key for domain in DOMAINS for local in LOCALS for key in keys_of(local, domain) if key and need(key)}
    return [key for key in sorted(keys) if chance.random() < share]


def word(key):
    return re.sub(r"[^a-zA-Z0-9.]", lambda match: f"_{ord(match.group()):x}", key)


def tables_of(chance):
    share = chance.choice([0.05, 0.15, 0.4])
    target = lambda key: chance.choice([f"to.{word(key)}@mailbox.test", f"{word(key)}@mailbox.test", "@mailbox.test"  # noqa: E731
                                        if key.startswith("@") else "only-name@mailbox.test"])
    is_mapped = lambda key: "@" in key and not key.endswith("@") or "." not in key  # noqa: E731
    return {
        "access": "".join(f"{key} {chance.choice(['REJECT', 'DEFER', '450 4.7.0'])} by {word(key)}\n"
                          for key in random_keys(chance, share * chance.choice([0.05, 0.3]))),
        "senders": "".join(f"{key} REJECT by {word(key)}\n" for key in random_keys(chance, 0.03)),
        "virtual": "".join(f"{key} {target(key)}\n" for key in random_keys(chance, share, is_mapped)),
        "canonical": "".join(f"{key} {word(key)}.c@mailbox.test\n" for key in random_keys(chance, share * 0.2, is_mapped)),
        "transport": "".join(f"{key} discard:by {word(key)}\n" for key in random_keys(chance, share)),
        "relay": "".join(f"{key} x\n" for key in random_keys(chance, 0.4)),
    }


def main_of(chance):
    lists = ["", "smtpd_access_maps", "transport_maps", "relay_domains, smtpd_access_maps, transport_maps"]
    main = {
        "recipient_delimiter": chance.choice(["", "+", "-", "+-"]),
        "parent_domain_matches_subdomains": chance.choice(lists),
        "propagate_unmatched_extensions": chance.choice(["canonical, virtual", "", "virtual"]),
        "owner_request_special": chance.choice(["yes", "no"]),
        "virtual_alias_maps": "texthash:$config_directory/virtual",
        "recipient_canonical_maps": chance.choice(["", "texthash:$config_directory/canonical"]),
        "transport_maps": "texthash:$config_directory/transport",
        "relay_recipient_maps": chance.choice(["", "texthash:$config_directory/relay"]),
        "virtual_mailbox_maps": chance.choice(["", "texthash:$config_directory/relay"]),
        "local_recipient_maps": "", "virtual_transport": "discard:virtual", "relay_transport": "discard:relay",
        "local_transport": "discard:local", "default_transport": "discard:default", "notify_classes": "",
        "smtpd_hard_error_limit": "1000", "smtpd_error_sleep_time": "0",
        "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "smtpd_recipient_restrictions": "check_recipient_access texthash:$config_directory/access, "
                                        "check_sender_access texthash:$config_directory/senders",
    }
    for domain, parameter in CLASSES.items():
        main[parameter] = domain
    return main


def outcome(mta, client, sender, recipient):
    """The replies, and for an accepted recipient who got it by which transport's rule."""
    replies = [client.say("RSET"), client.say(f"MAIL FROM:<{sender}>"), client.say(f"RCPT TO:<{recipient}>")]
    if replies[-1].startswith("250"):
        queue_id = client.send_message("Subject: x\n\nText.\n")
        wait_for(lambda: f"{queue_id}: removed" in mta.log.text(), f"the end of {queue_id} for {recipient}")
        lines = re.findall(rf"{queue_id}: (to=.*)", mta.log.text())
        replies += sorted(re.sub(r"delays?=[\d./]+, ", "", line) for line in lines)
    return replies[1:]


def outcomes(kind, seed):
    chance = random.Random(seed)
    mta = kind()
    mta.log.expect("")
    mta.main.update(main_of(chance))
    for name, text in tables_of(chance).items():
        mta.file(name, text)
    cases = [(chance.choice(["", "carl@example.org", "anna+shop@sub.example.test", "ben@other.test"]), f"{local}@{domain}")
             for domain in DOMAINS for local in LOCALS if chance.random() < 0.6]
    try:
        mta.start()
        with mta.smtp() as client:
            client.hello()
            return [(case, outcome(mta, client, *case)) for case in cases]
    finally:
        mta.finish()


@pytest.mark.parametrize("seed", SEEDS)
def test_both_servers_take_the_same_key(seed, request):
    if Postfix.unavailable() or request.config.getoption("--mta"):
        pytest.skip("needs both servers")
    with ThreadPoolExecutor(2) as both:
        ours, reference = both.map(lambda kind: outcomes(kind, seed), (Posthorn, Postfix))
    different = [(case, theirs, mine) for (case, mine), (_, theirs) in zip(ours, reference) if mine != theirs]
    assert not different, "\n".join(f"{case}\n  Postfix:  {theirs}\n  Posthorn: {mine}" for case, theirs, mine in different)
