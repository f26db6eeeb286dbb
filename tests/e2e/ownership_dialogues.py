# SPDX-License-Identifier: ISC
"""Dialogues about whose the sender address is: (name, service, steps), as in smtp_dialogues.py. XCLIENT says who is logged in."""
from smtp_dialogues import MAIN as DIALOGUE_MAIN, RCPT

OWNERS = ("inline:{ {anna@example.test=anna} {shared@example.test=anna, Ben  carl} {dave=dave} {@example.net=eve} "
          "{\"a b\"@example.test=anna} {frank+list@example.test=anna} {frank@example.test=frank} {nobody@example.test=,} }")

MAIN = {**DIALOGUE_MAIN, "mydestination": "local.test", "recipient_delimiter": "+", "smtpd_sasl_security_options": "",
        "smtpd_sasl_auth_enable": "yes", "smtpd_sender_login_maps": OWNERS, "smtpd_discard_ehlo_keywords": "auth, silent-discard",
        "smtpd_authorized_xclient_hosts": "127.0.0.1", "smtpd_error_sleep_time": "0",
        "in_flow_delay": "0"}

# Forms that owners come in. What each table gives for a domain, a folded key and $1 is the reference's business.
FORMS = {
    "pcre": "pcre:{ {/^(.*)@example\\.test$/i $1, postmaster} {/^(list-[a-z]+)@lists\\.test$/ $1\tBEN} }",
    "regexp": "regexp:{ {/^anna@/ anna} {/^.*@example\\.net$/ eve} }",
    "union": "unionmap:{inline:{ {anna@example.test=anna} {@example.test=ben} },inline:{ {anna@example.test=carl} {@example.net=eve, dave} }}",
    "several": "inline:{ {anna@example.test=anna} }, inline:{ {anna@example.test=ben} {@example.test=carl} }",
    "static": "static:anna",
    "case": "inline:{ {anna@example.test=ANNA} {Ben@example.test=ben} {carl@EXAMPLE.test=carl} }",
    "alias": "inline:{ {info@alias.test=anna} {@alias.test=ben} {anna@example.test=anna} }",
    "domainless": "inline:{ {anna=anna} {@=ben} {<>=eve} {postmaster=carl} }",
    "spaces": "inline:{ {anna@example.test = ,, anna ,  , ben} {ben@example.test=anna\tben} }",
    "long": "inline:{ {anna@example.test=" + ", ".join(f"user{n}" for n in range(2000)) + ", anna} }",
}

SERVICES = {
    "mismatch": {"smtpd_sender_restrictions": "reject_sender_login_mismatch"},
    "authenticated": {"smtpd_sender_restrictions": "reject_authenticated_sender_login_mismatch"},
    "unauthenticated": {"smtpd_sender_restrictions": "reject_unauthenticated_sender_login_mismatch"},
    "known": {"smtpd_sender_restrictions": "reject_known_sender_login_mismatch"},
    "no_maps": {"smtpd_sender_restrictions": "reject_sender_login_mismatch", "smtpd_sender_login_maps": ""},
    "failing": {"smtpd_sender_restrictions": "reject_sender_login_mismatch", "smtpd_sender_login_maps": "fail:owners"},
    "warning": {"smtpd_sender_restrictions": "warn_if_reject reject_sender_login_mismatch"},
    "early": {"smtpd_sender_restrictions": "reject_sender_login_mismatch", "smtpd_delay_reject": "no"},
    "at_rcpt": {"smtpd_recipient_restrictions": "reject_sender_login_mismatch, permit", "smtpd_helo_restrictions":
                "reject_sender_login_mismatch"},
    "nobody_logs_in": {"smtpd_sender_restrictions": "reject_sender_login_mismatch, reject_known_sender_login_mismatch",
                       "smtpd_sasl_auth_enable": "no"},
    **{f"form_{name}": {"smtpd_sender_login_maps": table.replace("$", "$$"), "smtpd_sender_restrictions": "reject_sender_login_mismatch"}
       for name, table in FORMS.items()},
}

SENDERS = ["anna@example.test", "Anna@Example.test", "anna+x@example.test", "shared@example.test", "dave@local.test",
           "dave+x@mail.example.test", "x@example.net", "other@example.org", "", '"a b"@example.test', "dave", "frank+list@example.test",
           "frank+other@example.test", "nobody@example.test", "anna%example.test@local.test", "@relay.test:anna@example.test"]


ODD_SENDERS = ["anna@example.test", "ANNA@EXAMPLE.TEST", "anna+x@example.test", "ben@example.test", "carl@example.test", "list-x@lists.test",
               "x@example.net", "info@alias.test", "other@alias.test", "anna", "postmaster", "", '"anna"@example.test', "anna@[127.0.0.1]",
               "anna@example.test.", '"anna@example.test"@other.test']


def senders(login, which=SENDERS):
    begin = [f"XCLIENT LOGIN={login}"] if login else []
    steps = [step for sender in which for step in (f"MAIL FROM:<{sender}>", RCPT, "RSET")]
    return [*begin, "EHLO client.example", *steps, "QUIT"]


DIALOGUES = [
    *((f"{service}, {login or 'nobody'}", service, senders(login))
      for service in ("mismatch", "authenticated", "unauthenticated", "known") for login in (None, "anna", "BEN", "dave", "eve")),
    *((f"{service}, {login or 'nobody'}", service, senders(login, SENDERS[:1] + SENDERS[7:9]))
      for service in ("no_maps", "failing", "warning", "early", "at_rcpt", "nobody_logs_in") for login in (None, "anna", "ben")),
    *((f"{service}, {login or 'nobody'}", service, senders(login, ODD_SENDERS))
      for service in SERVICES if service.startswith("form_") for login in (None, "anna", "BEN", "user1999" if service == "form_long" else "eve")),
]
