# SPDX-License-Identifier: ISC
"""Access policies and dialogues at random, but valid: what SMTPD_ACCESS, RESTRICTION_CLASS and access(5) allow. The same
seed makes the same ones. Names and addresses are those of the zone in dns_dialogues.py.

    policy = Policy(random.Random(1), policy_service="inet:127.0.0.1:10023")
    policy.overrides        # of one smtpd service: name -> value
    dialogue(rng)           # (client address, [line, ...])
"""

CLIENTS = [f"192.0.2.{i}" for i in range(1, 12)] + ["127.0.0.1"] * 3
HELOS = ["client.test", "mail.test", "nodots", "spam.test", "bad_helo.test", "-bad-.test", "[192.0.2.1]", "[junk]", "192.0.2.1", "1.2.3.4.5",
         "localhost", "nowhere.test", "fail.test", "null.test", "sub.mail.test", "client.test.", "MAIL.Test"]
SENDERS = ["", "", "carl@mail.test", "carl+x@mail.test", "carl", "x@spam.test", "x@nowhere.test", "x@fail.test", "x@null.test",
           "x@sub.mail.test", "anna@virt.test", "ghost@virt.test", "CARL@Mail.Test", "x@[192.0.2.1]", "x@nodots", "lisa@here.test",
           "x@alias.test", "\"odd one\"@mail.test", "x@-bad-.test"]
RECIPIENTS = ["anna@virt.test"] * 4 + [
    "ben@virt.test", "ben@virt.test", "ghost@virt.test", "anna+box@virt.test", "ANNA@VIRT.test", "anna", "postmaster",
    "postmaster@virt.test", "info@list.test", "ghost@list.test", "lisa@here.test", "ghost@here.test", "bob@relay.test",
    "ghost@relay.test", "bob@mail.test", "bob@nowhere.test", "bob@null.test", "bob@fail.test", "bob%mail.test@virt.test",
    "mail.test!bob@virt.test", "\"bob@mail.test\"@virt.test", "lisa@[192.0.2.77]", "bob@[203.0.113.9]", "bob@sub.relay.test",
    "\"two words\"@virt.test", "bob@nodots", "anna@virt.test."]
LOGINS = ["anna", "carl@mail.test", "nobody"]

# Where everything that a service's policy does not change comes from.
MAIN = {
    "mynetworks": "127.0.0.1/32",
    "mydestination": "here.test",
    "local_recipient_maps": "inline:{lisa=x}",
    "virtual_mailbox_domains": "virt.test",
    "virtual_mailbox_maps": "inline:{ {anna@virt.test = a} {ben@virt.test = b} }",
    "virtual_alias_domains": "list.test",
    "virtual_alias_maps": "inline:{ {info@list.test = anna@virt.test} {postmaster@virt.test = ben@virt.test} }",
    "relay_domains": "relay.test",
    "relay_recipient_maps": "inline:{ {bob@relay.test = x} {bob@sub.relay.test = x} }",
    "recipient_delimiter": "+",
    "proxy_interfaces": "192.0.2.77",
    "smtpd_sender_login_maps": "inline:{ {anna@virt.test = anna} {carl@mail.test = carl@mail.test, anna} {lisa@here.test = lisa} }",
    "default_transport": "discard", "virtual_transport": "discard", "local_transport": "discard", "relay_transport": "discard",
    "smtpd_authorized_xclient_hosts": "192.0.2.0/24, 127.0.0.1",
    "smtpd_client_connection_count_limit": "0",
    "smtpd_soft_error_limit": "100", "smtpd_hard_error_limit": "100",
    "smtpd_junk_command_limit": "100",
    "notify_classes": "",
    "smtpd_client_port_logging": "no",
}

# What Postfix's trivial-rewrite takes from main.cf, whatever a service overrides.
SHARED = {
    "show_user_unknown_table_name": ["yes", "no"],
    "parent_domain_matches_subdomains": ["smtpd_access_maps", "", "smtpd_access_maps, relay_domains"],
}


def main_parameters(rng):
    return {**MAIN, **{name: rng.choice(values) for name, values in SHARED.items()}}


TEXTS = ["", "", "no thanks", "5.7.9 with a status", "4.2.1 later", "5.1.1 user", "5.1.8 domain", "2.1.5 odd", "5.7 short", "two, words; more",
         "4.1.7 host"]
CODES = ["421", "450", "451", "521", "550", "554", "250", "299", "399", "600", "5555", "12", "0"]
LISTS = ["permit_mynetworks, reject", "reject_unknown_sender_domain", "warn_if_reject reject_non_fqdn_sender, permit", "defer_if_permit", "defer_if_reject, reject_non_fqdn_recipient", "reject_unlisted_recipient", "permit_sasl_authenticated reject", "reject_unauth_destination",
         "check_sender_access", "warn_if_reject, reject", "permit", "reject", "defer", "nonsense", "permit_auth_destination,"]


def action(rng, classes):
    """The right side of an access table."""
    text = rng.choice(TEXTS)
    kinds = {
        "OK": 4, "DUNNO": 6, "REJECT": 5, "DEFER": 3, "DEFER_IF_PERMIT": 5, "DEFER_IF_REJECT": 4, "WARN": 2, "INFO": 2, "HOLD": 2,
        "DISCARD": 2, "REDIRECT": 1, "BCC": 1, "FILTER": 1, "PREPEND": 2, "code": 6, "list": 5, "class": 4 if classes else 0, "bogus": 1,
    }
    kind = rng.choices(list(kinds), list(kinds.values()))[0]
    if kind == "code":
        return f"{rng.choice(CODES)} {text}".strip()
    if kind == "list":
        return rng.choice(LISTS)
    if kind == "class":
        return rng.choice(classes)
    if kind == "bogus":
        return rng.choice(["FROBNICATE", "REJECTED now", "OKAY", "permit_mynetwork", "check_helo_access hash:/nowhere"])
    if kind in ("REDIRECT", "BCC"):
        text = rng.choice(["ben@virt.test", "<ben@virt.test>", "nobody", ""])
    if kind == "FILTER":
        text = rng.choice(["discard:", "discard:next", "nowhere", "", "discard: x"])
    if kind == "PREPEND":
        text = rng.choice(["X-Seen: yes", "X-Other: 1", "nonsense", "", ": x", "X-Bad : y"])
    word = rng.choice([kind, kind, kind.lower(), kind.title()])
    return f"{word} {text}".rstrip()


KEYS = {
    "client": ["good.client.test", "client.test", ".client.test", "unknown", "192.0.2", "192.0.2.2", "127.0.0.1", "localhost", "bad.client.test",
               "test", "192.0.2.3", "192"],
    "reverse_client_hostname": ["forged.client.test", "good.client.test", "client.test", "unknown", "192.0.2.3", "gone.client.test"],
    "helo": ["client.test", "mail.test", "test", ".mail.test", "nodots", "spam.test", "[192.0.2.1]", "192.0.2.1", "192.0.2", "sub.mail.test"],
    "sender": ["<>", "carl@mail.test", "carl@", "mail.test", ".mail.test", "carl", "spam.test", "x@", "test", "anna@virt.test", "here.test",
               "192.0.2.1", "[192.0.2.1]", "nodots", "carl+x@"],
    "recipient": ["anna@virt.test", "anna@", "virt.test", "test", "anna", "ghost@", "relay.test", ".relay.test", "here.test", "bob@mail.test",
                  "postmaster", "postmaster@", "list.test", "[192.0.2.77]", "anna+box@virt.test"],
    "sasl": ["anna", "carl@mail.test", "nobody"],
    "etrn": ["virt.test", "test", "relay.test", ".test"],
    "servers": ["mx.mail.test", "198.51.100.1", "198.51.100.2", "198.51.100", "mail.test", "ns.mail.test", "198.51.100.3", "198.51.100.9",
                "192.0.2.1", "192.0.2.2", "nowhere.test", "addressonly.test", "test"],
}


def table(rng, kind, classes, files):
    """A table of access actions; `files` collects name -> text of those that are files in the configuration's directory."""
    keys = rng.sample(KEYS[kind], rng.randint(1, min(6, len(KEYS[kind]))))
    form = rng.choices(["inline", "static", "texthash", "pcre", "regexp", "cidr", "fail", "missing"], [8, 3, 3, 2, 1, 2, 0.3, 0.3])[0]
    rules = [(key, action(rng, classes)) for key in keys]
    if form == "static":
        return "static:{" + action(rng, classes) + "}"
    if form == "inline":
        return "inline:{" + ", ".join("{%s = %s}" % rule for rule in rules) + "}"
    if form == "fail":
        return "fail:whatever"
    if form == "missing":
        return "hash:/nowhere/at/all"
    name = f"table{len(files)}"
    if form == "cidr":
        nets = rng.sample(["192.0.2.0/29", "127.0.0.0/8", "192.0.2.8/29", "198.51.100.0/24", "192.0.2.2", "0.0.0.0/0"], 3)
        files[name] = "".join(f"{net} {action(rng, classes)}\n" for net in nets)
    elif form == "texthash":
        files[name] = "".join(f"{key} {value}\n" for key, value in rules if value)
    else:
        files[name] = "".join(f"/{rng.choice(['', '^', '@'])}{key.strip('.<>[]').replace('.', '[.]').replace('+', '.')}/ {value}\n"
                              for key, value in rules)
    return f"{form}:$config_directory/{name}"


PLAIN = {
    "permit": 1, "reject": 1, "defer": 1, "permit_mynetworks": 6, "permit_sasl_authenticated": 5, "permit_inet_interfaces": 2,
    "permit_auth_destination": 3, "reject_unauth_destination": 6, "defer_unauth_destination": 2, "check_relay_domains": 1,
    "permit_mx_backup": 1, "permit_naked_ip_address": 1, "permit_tls_clientcerts": 1, "permit_tls_all_clientcerts": 1,
    "defer_if_permit": 2, "defer_if_reject": 2,
    "reject_invalid_helo_hostname": 2, "reject_invalid_hostname": 1, "reject_non_fqdn_helo_hostname": 2, "reject_non_fqdn_hostname": 1,
    "reject_non_fqdn_sender": 3, "reject_non_fqdn_recipient": 3, "reject_unlisted_recipient": 3,
    "check_recipient_maps": 1, "reject_unauth_pipelining": 1, "reject_multi_recipient_bounce": 2,
    "reject_unknown_client_hostname": 2, "reject_unknown_client": 1, "reject_unknown_reverse_client_hostname": 2, "reject_unknown_helo_hostname": 2,
    "reject_unknown_hostname": 1, "reject_unknown_sender_domain": 3, "reject_unknown_recipient_domain": 2,
    "reject_rbl_client bl.test": 2, "reject_rbl_client two.bl.test=127.0.0.[2..9]": 1, "reject_rbl fail.bl.test": 1, "reject_maps_rbl": 1,
    "reject_rhsbl_client dbl.test": 1, "reject_rhsbl_reverse_client dbl.test": 1, "reject_rhsbl_helo dbl.test": 1,
    "reject_rhsbl_sender dbl.test": 2, "reject_rhsbl_recipient dbl.test": 1, "permit_dnswl_client wl.test": 1,
    "permit_dnswl_client faulty.wl.test": 1, "permit_rhswl_client wl.test": 1,
    "reject_sender_login_mismatch": 2, "reject_authenticated_sender_login_mismatch": 1, "reject_unauthenticated_sender_login_mismatch": 1,
    "reject_known_sender_login_mismatch": 1, "reject_plaintext_session": 1,
    "reject_unknwon_client": 0.2, "sleep 0": 0.3, "check_sender_access": 0.2,
}
CHECKS = [("client", "client"), ("reverse_client_hostname", "reverse_client_hostname"), ("helo", "helo"), ("sender", "sender"),
          ("recipient", "recipient"), ("sasl", "sasl"), ("etrn", "etrn"), ("ccert", "sasl")]
SERVER_CHECKS = [f"{who}_{what}" for who in ("client", "reverse_client_hostname", "helo", "sender", "recipient") for what in ("a", "mx", "ns")]
BARE_TABLE_STAGES = {"client": "client", "helo": "helo", "sender": "sender", "relay": "recipient", "recipient": "recipient", "etrn": "etrn"}


class Policy:
    """The overrides of one smtpd service, and the files that they name."""

    def __init__(self, rng, policy_service, prefix=""):
        self.rng, self.policy_service = rng, policy_service
        self.files = {}
        self.overrides = {}
        self.classes = [f"class{i}" for i in range(rng.randint(0, 3))]
        self._settings()
        for at, name in reversed(list(enumerate(self.classes))):  # a class names only later ones: no circles
            self.overrides[name] = self._list("class", self.classes[at + 1:], 1, 4)
        if self.classes:
            self.overrides["smtpd_restriction_classes"] = ", ".join(self.classes)
        self._stages()
        self.files = {prefix + name: text for name, text in self.files.items()}
        self.overrides = {name: value.replace("$config_directory/", "$config_directory/" + prefix) for name, value in self.overrides.items()}

    def _restriction(self, stage, classes):
        rng = self.rng
        kind = rng.choices(["plain", "check", "servers", "class", "bare", "policy"], [10, 7, 2, 2, 1, 1.5])[0]
        if kind == "class" and classes:
            return rng.choice(classes)
        if kind == "bare" and stage in BARE_TABLE_STAGES:
            return table(rng, BARE_TABLE_STAGES[stage], classes, self.files)
        if kind == "policy":
            return f"check_policy_service {self.policy_service}"
        if kind == "servers":
            return f"check_{rng.choice(SERVER_CHECKS)}_access {table(rng, 'servers', classes, self.files)}"
        if kind == "check":
            name, keys = rng.choice(CHECKS)
            return f"check_{name}_access {table(rng, keys, classes, self.files)}"
        # Elsewhere Debian's Postfix asks it of the first recipient only, whatever it has answered.
        plain = {**PLAIN, "reject_unlisted_sender": 3} if stage == "sender" else PLAIN
        return rng.choices(list(plain), list(plain.values()))[0]

    def _list(self, stage, classes, least, most):
        rng, words = self.rng, []
        for _ in range(rng.randint(least, most)):
            warn = "warn_if_reject " if rng.random() < 0.15 else ""
            words.append(warn + self._restriction(stage, classes))
        return rng.choice([", ", ", ", " "]).join(words)

    def _stages(self):
        rng = self.rng
        protect = rng.choice(["relay", "relay", "recipient", "both"])
        lengths = {"client": 3, "helo": 3, "sender": 3, "relay": 2, "recipient": 4, "data": 2, "end_of_data": 2, "etrn": 2}
        for stage, most in lengths.items():
            text = self._list(stage, self.classes, 0 if rng.random() < 0.6 else 1, most)
            if stage in ("relay", "recipient") and protect in (stage, "both"):
                words = rng.choice(["permit_mynetworks, reject_unauth_destination", "reject_unauth_destination", "defer_unauth_destination",
                                    "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination", "check_relay_domains"])
                text = ", ".join(filter(None, [text, words] if rng.random() < 0.7 else [words, text]))
            self.overrides[f"smtpd_{stage}_restrictions"] = text

    def _settings(self):
        rng, codes = self.rng, ["450", "451", "454", "521", "550", "553", "554", "571"]
        some = {
            "smtpd_delay_reject": ["yes", "yes", "no"],
            "smtpd_relay_before_recipient_restrictions": ["yes", "no"],
            "smtpd_helo_required": ["yes", "no", "no"],
            "smtpd_reject_unlisted_recipient": ["yes", "no"],
            "smtpd_reject_unlisted_sender": ["yes", "no"],
            "soft_bounce": ["no", "no", "no", "yes"],
            "smtpd_null_access_lookup_key": ["<>", "<>", "carl@mail.test"],
            "unknown_address_tempfail_action": ["defer_if_permit", "defer"],
            "unknown_helo_hostname_tempfail_action": ["defer_if_permit", "defer"],
            "reject_tempfail_action": ["defer_if_permit", "defer"],
            "smtpd_log_access_permit_actions": ["", "", "static:all", "permit_mynetworks, check_client_access, ok", "inline:{permit_sasl_authenticated=x}"],
            "allow_untrusted_routing": ["no", "no", "yes"],
            "strict_rfc821_envelopes": ["no", "no", "yes"],
            "smtpd_peername_lookup": ["yes"] * 5 + ["no"],
            "rbl_reply_maps": ["", "", "inline:{ {bl.test = 521 5.7.9 $rbl_class $rbl_what is on $rbl_domain$rbl_reason} }"],
            "smtpd_reject_footer": ["", "", "", "\\c. Ask us; $client_name"],
            "disable_vrfy_command": ["no", "no", "yes"],
            **{name: codes for name in (
                "access_map_reject_code", "reject_code", "relay_domains_reject_code", "invalid_hostname_reject_code", "non_fqdn_reject_code",
                "multi_recipient_bounce_reject_code", "unknown_client_reject_code", "unknown_hostname_reject_code",
                "unknown_address_reject_code", "maps_rbl_reject_code", "unknown_local_recipient_reject_code",
                "unknown_virtual_alias_reject_code", "unknown_virtual_mailbox_reject_code", "unknown_relay_recipient_reject_code",
                "plaintext_reject_code")},
            **{name: ["450", "451", "452"] for name in ("defer_code", "access_map_defer_code")},
            "maps_rbl_domains": ["bl.test", "none.bl.test, two.bl.test"],
        }
        for name, values in some.items():
            if rng.random() < 0.4:
                self.overrides[name] = rng.choice(values)


def _greeting(rng):
    if rng.random() < 0.08:
        return []
    return [f"{rng.choice(['HELO', 'EHLO', 'EHLO'])} {rng.choice(HELOS)}"]


def _transaction(rng):
    lines = [f"MAIL FROM:<{rng.choice(SENDERS)}>"]
    lines += [f"RCPT TO:<{rng.choice(RECIPIENTS)}>" for _ in range(rng.choice([1, 1, 2, 3]))]
    if rng.random() < 0.5:
        lines += ["DATA", "RSET"]  # Debian's Postfix keeps the recipients of a message that smtpd_end_of_data_restrictions refuse
    elif rng.random() < 0.4:
        lines.append("RSET")
    return lines


def dialogue(rng):
    """(client address, lines). A line DATA stands for a whole short message, when the server wants one."""
    lines = []
    if rng.random() < 0.15:
        attributes = [f"LOGIN={rng.choice(LOGINS)}"]
        if rng.random() < 0.3:
            attributes.append(f"NAME={rng.choice(['mx.other.test', '[UNAVAILABLE]', '[TEMPUNAVAIL]'])}")
        lines += ["EHLO proxy.test", "XCLIENT " + " ".join(attributes)]
    lines += _greeting(rng)
    if rng.random() < 0.06:
        lines.append(f"ETRN {rng.choice(['virt.test', 'list.test', 'mail.test'])}")
    for _ in range(rng.choice([1, 1, 2])):
        lines += _transaction(rng)
    return rng.choice(CLIENTS), [*lines, "QUIT"]


def policy_answer(seed):
    """A policy service's answer, made of nothing but the question: both servers hear the same."""
    import random
    import zlib

    def answer(request):
        facts = "|".join(request.get(name, "") for name in ("protocol_state", "sender", "recipient", "helo_name", "client_address"))
        rng = random.Random(zlib.crc32(f"{seed}|{facts}".encode()))
        return f"action={action(rng, [])}\n\n".encode()
    return answer
