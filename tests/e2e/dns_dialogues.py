# SPDX-License-Identifier: ISC
"""The zone and the dialogues of test_dns_restrictions.py: (name, service, client address, sender, recipient, HELO)."""

LISTED = "2.2.0.192"  # 192.0.2.2, backwards

ZONE = {
    # clients: .1 good, .2 listed everywhere, .3 no name, .4 forged, .5 failing, .6 name without address, .7 failing forward
    ("1.2.0.192.in-addr.arpa", "PTR"): ["good.client.test"],
    ("good.client.test", "A"): ["192.0.2.1"],
    ("2.2.0.192.in-addr.arpa", "PTR"): ["bad.client.test"],
    ("bad.client.test", "A"): ["192.0.2.2", "192.0.2.22"],
    ("4.2.0.192.in-addr.arpa", "PTR"): ["forged.client.test"],
    ("forged.client.test", "A"): ["192.0.2.44"],
    ("5.2.0.192.in-addr.arpa", "PTR"): "servfail",
    ("6.2.0.192.in-addr.arpa", "PTR"): ["gone.client.test"],
    ("7.2.0.192.in-addr.arpa", "PTR"): ["failing.client.test"],
    ("failing.client.test", "*"): "servfail",
    ("8.2.0.192.in-addr.arpa", "PTR"): ["-bad-.client.test"],
    ("9.2.0.192.in-addr.arpa", "PTR"): ["192.0.2.9"],
    ("10.2.0.192.in-addr.arpa", "CNAME"): ["10.classless.test"],
    ("10.classless.test", "PTR"): ["alias.client.test"],
    ("alias.client.test", "CNAME"): ["real.client.test"],
    ("real.client.test", "A"): ["192.0.2.10"],
    ("11.2.0.192.in-addr.arpa", "PTR"): ["empty.client.test"],
    ("empty.client.test", "TXT"): ["no address"],
    ("12.2.0.192.in-addr.arpa", "PTR"): "silent",
    # domains
    ("mail.test", "MX"): ["10 mx.mail.test", "20 mx2.mail.test"],
    ("mx.mail.test", "A"): ["198.51.100.1"],
    ("mx2.mail.test", "A"): ["198.51.100.2"],
    ("mail.test", "NS"): ["ns.mail.test"],
    ("mail.test", "A"): ["198.51.100.9"],
    ("ns.mail.test", "A"): ["198.51.100.3"],
    ("addressonly.test", "A"): ["198.51.100.4"],
    ("six.test", "AAAA"): ["2001:db8::1"],
    ("null.test", "MX"): ["0 ."],
    ("fail.test", "*"): "servfail",
    ("refused.test", "*"): "refused",
    ("txtonly.test", "TXT"): ["nothing else"],
    ("numeric.test", "MX"): ["10 198.51.100.5"],
    ("malformed.test", "MX"): ["10 -bad-.test"],
    ("alias.test", "CNAME"): ["mail.test"],
    ("loop.test", "CNAME"): ["loop.test"],
    ("cut.test", "MX"): {"truncated": ["10 mx.mail.test"]},
    ("deadmx.test", "MX"): ["10 nowhere.test"],
    ("sub.mail.test", "A"): ["198.51.100.8"],
    ("lie.test", "*"): "lying",
    # backup mail exchangers: we are 192.0.2.77 (proxy_interfaces) and here.test
    ("us.test", "A"): ["192.0.2.77"],
    ("backup.test", "MX"): ["10 mx.mail.test", "20 us.test"],
    ("byname.test", "MX"): ["30 here.test", "10 mx.mail.test", "20 mx2.mail.test"],
    ("primary.test", "MX"): ["10 us.test", "20 mx.mail.test"],
    ("equal.test", "MX"): ["10 mx.mail.test", "10 us.test", "20 us.test"],
    ("onlyus.test", "MX"): ["10 us.test"],
    ("outside.test", "MX"): ["10 far.test", "20 us.test"],
    ("partly.test", "MX"): ["10 near.test", "20 us.test"],
    ("far.test", "A"): ["203.0.113.1"],
    ("near.test", "A"): ["198.51.100.1", "203.0.113.2"],
    ("deadprimary.test", "MX"): ["10 nowhere.test", "20 us.test"],
    ("failprimary.test", "MX"): ["10 host.failing.test", "20 us.test"],
    ("host.failing.test", "*"): "servfail",
    ("textprimary.test", "MX"): ["10 txtonly.test", "20 us.test"],
    ("cutdata.test", "A"): ["198.51.100.77"],
    # lists
    (f"{LISTED}.bl.test", "A"): ["127.0.0.2"],
    (f"{LISTED}.bl.test", "TXT"): ["see http://bl.test/?192.0.2.2"],
    (f"{LISTED}.plain.bl.test", "A"): ["127.0.0.4"],
    (f"{LISTED}.two.bl.test", "A"): ["127.0.0.3", "127.0.0.10"],
    (f"{LISTED}.two.bl.test", "TXT"): ["one", "two $sender ${recipient}"],
    (f"{LISTED}.fail.bl.test", "*"): "servfail",
    (f"{LISTED}.nottxt.bl.test", "A"): ["127.0.0.2"],
    (f"{LISTED}.nottxt.bl.test", "TXT"): "servfail",
    ("bad.client.test.dbl.test", "A"): ["127.0.1.2"],
    ("forged.client.test.dbl.test", "A"): ["127.0.1.2"],
    ("forged.client.test.dbl.test", "TXT"): ["forged"],
    ("spam.test.dbl.test", "A"): ["127.0.1.2"],
    ("spam.test.dbl.test", "TXT"): ["spam domain"],
    ("virt.test.dbl.test", "A"): ["127.0.1.2"],
    ("1.2.0.192.wl.test", "A"): ["127.0.5.1"],
    ("2.2.0.192.faulty.wl.test", "*"): "servfail",
    ("good.client.test.wl.test", "A"): ["127.0.5.1"],
}

END = "permit_mynetworks, reject_unauth_destination"


def recipient(*restrictions):
    return {"smtpd_recipient_restrictions": ", ".join([*restrictions, END])}


ACCESS = ("inline:{{mx.mail.test=REJECT mail exchanger}, {198.51.100.2=REJECT second}, {198.51.100.3=REJECT name server}, "
          "{198.51.100.4=REJECT 5.7.9 address}, {198.51.100.5=450 numeric}, {ns.mail.test=DUNNO}, {nowhere.test=OK}, "
          "{192.0.2.22=REJECT other address}, {192.0.2.44=REJECT real owner}, {198.51.100.9=DEFER later}}")
SECOND = "inline:{{198.51.100.2=REJECT second}, {198.51.100.8=REJECT self}}"
NAMESERVER = "inline:{{198.51.100.3=REJECT name server}, {bad.client.test=REJECT}}"
REVERSE = "inline:{{forged.client.test=REJECT forged name}, {good.client.test=OK}, {192.0.2.3=REJECT 5.1.1 by address}}"

# Everything that postconf(5) lists at default_rbl_reply, and a condition on what it does not know.
ALL_MACROS = "$rbl_code 5.7.1 " + " | ".join(f"${name}" for name in (
    "client client_address client_name reverse_client_name helo_name server_name rbl_class rbl_domain rbl_reason rbl_txt rbl_what "
    "recipient recipient_domain recipient_name sender sender_domain sender_name").split()) \
    + " | ${rbl_reason?with} ${rbl_reason:without} ${sender:no sender} ${nonsense?x} ${nonsense:y} ${client_port?a port} ${localtime?a time}"

SERVICES = {
    "none": {},
    "no-names": {"smtpd_peername_lookup": "no", **recipient("reject_unknown_client_hostname")},
    "client": recipient("reject_unknown_client_hostname"),
    "client-code": {"unknown_client_reject_code": "550", **recipient("reject_unknown_client")},
    "reverse": {"unknown_client_reject_code": "550", **recipient("reject_unknown_reverse_client_hostname")},
    "helo": {"unknown_hostname_reject_code": "550", **recipient("reject_unknown_helo_hostname")},
    "helo-now": {"unknown_helo_hostname_tempfail_action": "defer", **recipient("reject_unknown_hostname")},
    "sender": {"unknown_address_reject_code": "550", **recipient("reject_unknown_sender_domain")},
    "sender-now": {"unknown_address_tempfail_action": "defer", **recipient("reject_unknown_sender_domain")},
    "sender-warn": recipient("warn_if_reject reject_unknown_sender_domain"),
    "sender-early": {"smtpd_delay_reject": "no", "smtpd_sender_restrictions": "reject_unknown_sender_domain"},
    "recipient": recipient("reject_unknown_recipient_domain"),
    "rbl": recipient("reject_rbl_client none.bl.test", "reject_rbl_client bl.test"),
    "rbl-plain": recipient("reject_rbl_client plain.bl.test"),
    "rbl-code": {"maps_rbl_reject_code": "450", **recipient("reject_rbl_client bl.test")},
    "rbl-filter": recipient("reject_rbl_client two.bl.test=127.0.0.2", "reject_rbl_client two.bl.test=127.0.[1;2].[0..255]",
                            "reject_rbl_client two.bl.test=127.0.0.[4;8..12]"),
    "rbl-miss": recipient("reject_rbl_client two.bl.test=127.0.0.[4..9]"),
    "rbl-fail": recipient("reject_rbl_client fail.bl.test"),
    "rbl-txt": recipient("reject_rbl_client nottxt.bl.test"),
    "rbl-maps": {"rbl_reply_maps": "inline:{{bl.test=521 5.7.9 $$rbl_class $$rbl_what on $$rbl_domain for $${client_name}: "
                 "$$rbl_reason$$rbl_txt $$helo_name $$sender_domain $$recipient_name}}", **recipient("reject_rbl_client bl.test")},
    "rbl-maps-odd": {"rbl_reply_maps": "inline:{{bl.test=no code}}", **recipient("reject_rbl_client bl.test")},
    "rbl-maps-fail": {"rbl_reply_maps": "fail:maps", **recipient("reject_rbl_client bl.test")},
    "rbl-default": {"default_rbl_reply": "$rbl_code listed ${rbl_reason?because $rbl_reason}", **recipient("reject_rbl_client bl.test")},
    "rbl-macros": {"default_rbl_reply": ALL_MACROS, **recipient("reject_rhsbl_sender dbl.test", "reject_rhsbl_helo dbl.test",
                                                                "reject_rbl_client bl.test")},
    "rbl-maps-unknown": {"rbl_reply_maps": "inline:{{bl.test=550 5.7.1 $$nonsense}}", **recipient("reject_rbl_client bl.test")},
    "rbl-maps-filter": {"rbl_reply_maps": "regexp:{{/^bl.test=127/ 550 5.7.8 $$$$rbl_domain}}",
                        **recipient("reject_rbl_client bl.test=127.0.0.[1..20]")},
    "rbl-warn": recipient("warn_if_reject reject_rbl_client bl.test"),
    "rhsbl-client": recipient("reject_rhsbl_client dbl.test"),
    "rhsbl-reverse": recipient("reject_rhsbl_reverse_client dbl.test"),
    "rhsbl-helo": recipient("reject_rhsbl_helo dbl.test"),
    "rhsbl-sender": recipient("reject_rhsbl_sender dbl.test=127.0.1.[2..99]"),
    "rhsbl-recipient": recipient("reject_rhsbl_recipient dbl.test"),
    "dnswl": {"smtpd_recipient_restrictions": "permit_dnswl_client wl.test=127.0.5.[0..3], reject"},
    "dnswl-fail": {"smtpd_recipient_restrictions": "permit_dnswl_client faulty.wl.test, reject"},
    "rhswl": {"smtpd_recipient_restrictions": "permit_rhswl_client wl.test, reject"},
    "sender-mx": recipient(f"check_sender_mx_access {ACCESS}"),
    "sender-mx2": recipient(f"check_sender_mx_access {SECOND}"),
    "sender-ns": recipient(f"check_sender_ns_access {NAMESERVER}"),
    "sender-a": recipient(f"check_sender_a_access {ACCESS}"),
    "sender-a-name": recipient("check_sender_a_access inline:{{addressonly.test=REJECT name}, {nowhere.test=REJECT ghost}}"),
    "helo-mx": recipient(f"check_helo_mx_access {ACCESS}"),
    "helo-ns": recipient(f"check_helo_ns_access {NAMESERVER}"),
    "helo-a": recipient(f"check_helo_a_access {SECOND}"),
    "client-a": recipient(f"check_client_a_access {ACCESS}"),
    "client-mx": recipient(f"check_client_mx_access {ACCESS}"),
    "client-ns": recipient(f"check_client_ns_access {NAMESERVER}"),
    "recipient-mx": recipient(f"check_recipient_mx_access {ACCESS}"),
    "reverse-a": recipient(f"check_reverse_client_hostname_a_access {ACCESS}"),
    "reverse-access": recipient(f"check_reverse_client_hostname_access {REVERSE}"),
}



def filtered(patterns, *restrictions):
    return {"smtpd_dns_reply_filter": f"regexp:{{{patterns}}}", **recipient(*restrictions)}


BACKUP = {"smtpd_relay_restrictions": "permit_mx_backup, reject_unauth_destination"}
SERVICES.update({
    "mx-backup": BACKUP,
    "mx-backup-networks": {"permit_mx_backup_networks": "198.51.100.0/24", **BACKUP},
    "mx-backup-table": {"permit_mx_backup_networks": "fail:networks", **BACKUP},
    "maps-rbl": {"maps_rbl_domains": "none.bl.test, bl.test", **recipient("reject_maps_rbl")},
    "naked": {"smtpd_helo_restrictions": "permit_naked_ip_address, reject"},
    "filter-helo": filtered("{/ IN A 198/ IGNORE}", "reject_unknown_helo_hostname"),
    "filter-helo-all": filtered("{/^[^ ]+ [0-9]+ in / ignore}", "reject_unknown_helo_hostname"),
    "filter-sender": filtered("{/ IN MX 10 mx.mail.test. *$$/ IGNORE}", "reject_unknown_sender_domain", f"check_sender_mx_access {ACCESS}"),
    "filter-sender-all": {"unknown_address_reject_code": "550", **filtered("{/ IN / IGNORE}", "reject_unknown_sender_domain")},
    "filter-rbl": filtered("{/127.0.0.(2|3)$$/ IGNORE}", "reject_rbl_client two.bl.test=127.0.0.3", "reject_rbl_client bl.test"),
    "filter-txt": filtered("{/ IN TXT one$$/ IGNORE} {/ IN TXT see http/ IGNORE}", "reject_rbl_client two.bl.test"),
    "filter-txt-all": filtered("{/ IN TXT / IGNORE}", "reject_rbl_client bl.test"),
    "filter-server": filtered("{/ IN (MX|NS|A) / IGNORE}", f"check_sender_mx_access {ACCESS}", f"check_sender_ns_access {ACCESS}",
                              f"check_sender_a_access {ACCESS}"),
    "filter-odd": filtered("{/./ DROP}", "reject_unknown_sender_domain", "reject_rbl_client bl.test"),
    "filter-fail": {"smtpd_dns_reply_filter": "fail:filter", **recipient("reject_unknown_sender_domain", "reject_rbl_client bl.test")},
    "filter-backup": {"smtpd_dns_reply_filter": "regexp:{{/ IN MX / IGNORE}}", **BACKUP},
    "expansion": {"smtpd_expansion_filter": "\\40a-eABCDE.@\\\\", "rbl_reply_maps":
                  "inline:{{bl.test=521 $$sender|$$client|$$rbl_reason|$$helo_name}}", **recipient("reject_rbl_client bl.test")},
})

GOOD, BAD, NAMELESS, FORGED, FAILING, GONE, UNSURE = (f"192.0.2.{i}" for i in range(1, 8))
ANNA = "anna@virt.test"
CARL = "carl@mail.test"


def talk(service, client=GOOD, sender=CARL, recipient=ANNA, helo="client.test"):
    parts = [service, client.rsplit(".", 1)[1], sender, recipient if recipient != ANNA else "", helo if helo != "client.test" else ""]
    return (" ".join(part for part in parts if part), service, client, sender, recipient, helo)


CLIENTS = [f"192.0.2.{i}" for i in range(1, 12)]
SENDERS = [f"carl@{name}.test" for name in ("mail addressonly six null fail refused txtonly numeric malformed alias cut "
                                           "nowhere deadmx sub.mail").split()] + [
    "", "carl@[198.51.100.4]", "carl@[IPv6:2001:db8::1]", "anna@virt.test", "local"]
HELOS = ["mail.test", "addressonly.test", "six.test", "null.test", "fail.test", "txtonly.test", "nowhere.test", "1.2.3.4",
         "[192.0.2.1]", "[junk]", "malformed.test", "-bad-", "alias.test", "deadmx.test", "sub.mail.test"]

DIALOGUES = (
    [talk(service, client) for service in ("none", "no-names", "client", "client-code", "reverse", "rhsbl-client", "rhsbl-reverse",
                                           "client-a", "client-mx", "client-ns", "reverse-a", "reverse-access")
     for client in CLIENTS]
    + [talk(service, sender=sender) for service in ("sender", "sender-now", "sender-warn", "sender-early", "sender-mx", "sender-mx2",
                                                    "sender-ns", "sender-a",
                                                    "sender-a-name") for sender in SENDERS]
    + [talk(service, helo=helo) for service in ("helo", "helo-now", "helo-mx", "helo-ns", "helo-a", "rhsbl-helo") for helo in HELOS]
    + [talk("recipient", recipient=f"bob@{name}.test") for name in ("mail", "null", "fail", "nowhere", "relay", "virt")]
    + [talk("recipient-mx", recipient=f"bob@{name}.test") for name in ("mail", "null", "fail", "nowhere", "deadmx", "virt")]
    + [talk(service, client) for service in SERVICES if service.startswith("rbl") for client in (GOOD, BAD)]
    + [talk("rhsbl-sender", sender=sender) for sender in ("x@spam.test", "x@sub.spam.test", "x@[192.0.2.1]", "", "spam.test")]
    + [talk("rhsbl-helo", helo=helo) for helo in ("spam.test", "[192.0.2.2]", "192.0.2.2")]
    + [talk("rbl-macros", BAD, sender) for sender in ("", CARL, "x@spam.test", "local", '"odd one"@mail.test', "a$client@mail.test")]
    + [talk("rbl-macros", helo="spam.test"), talk("rbl-macros", BAD, recipient="postmaster@virt.test")]
    + [talk("rhsbl-recipient"), talk("rhsbl-recipient", recipient="bob@mail.test")]
    + [talk("dnswl-fail", client) for client in (GOOD, BAD)]
    + [talk(service, client, recipient=to) for service in ("dnswl", "rhswl") for client in (GOOD, BAD)
       for to in (ANNA, "bob@mail.test", "bob@elsewhere.test")]
    + [talk(service, recipient=f"bob@{name}") for service in ("mx-backup", "mx-backup-networks", "mx-backup-table", "filter-backup")
       for name in ("backup.test", "byname.test", "primary.test", "equal.test", "onlyus.test", "outside.test", "partly.test",
                    "deadprimary.test", "failprimary.test", "textprimary.test", "addressonly.test", "unheardof.test", "broken.fail.test",
                    "refused.test", "virt.test", "relay.test", "[192.0.2.77]", "[203.0.113.1]", "us.test", "here.test")]
    + [talk("maps-rbl", client) for client in (GOOD, BAD)]
    + [talk("naked", helo=helo) for helo in ("192.0.2.1", "1.2.3", "1.2.3.4.5", "2001:db8::1", "[192.0.2.1]", "client.test", "12.34:")]
    + [talk(service, helo=helo) for service in ("filter-helo", "filter-helo-all") for helo in HELOS]
    + [talk(service, sender=sender) for service in ("filter-sender", "filter-sender-all", "filter-server") for sender in SENDERS]
    + [talk(service, client) for service in ("filter-rbl", "filter-txt", "filter-txt-all", "filter-odd", "filter-fail", "expansion")
       for client in (GOOD, BAD)]
)

# Where Posthorn differs on purpose: it says why an MX that is no host name is not looked up ("Unknown error 0" in Postfix).
DIFFERENT = {talk(service, sender="carl@malformed.test")[0] for service in ("sender-mx", "sender-mx2")} | {
    talk("helo-mx", helo="malformed.test")[0], talk("filter-server", sender="carl@malformed.test")[0],
    # After a filter that fails, Posthorn's line about the list names no reason of its own.
    talk("filter-odd", BAD)[0], talk("filter-fail", BAD)[0]}
DIALOGUES = [dialogue for dialogue in DIALOGUES if dialogue[0] not in DIFFERENT]
