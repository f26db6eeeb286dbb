# SPDX-License-Identifier: ISC
"""Dialogues about whose the sender address is: (name, service, steps), as in smtp_dialogues.py. XCLIENT says who is logged in."""
from smtp_dialogues import MAIN as DIALOGUE_MAIN, RCPT

OWNERS = ("inline:{ {anna@example.test=anna} {shared@example.test=anna, Ben  carl} {dave=dave} {@example.net=eve} "
          "{\"a b\"@example.test=anna} {frank+list@example.test=anna} {frank@example.test=frank} {nobody@example.test=,} }")

MAIN = {**DIALOGUE_MAIN, "mydestination": "local.test", "recipient_delimiter": "+", "smtpd_sasl_security_options": "",
        "smtpd_sasl_auth_enable": "yes", "smtpd_sender_login_maps": OWNERS, "smtpd_discard_ehlo_keywords": "auth, silent-discard",
        "smtpd_authorized_xclient_hosts": "127.0.0.1", "smtpd_error_sleep_time": "0",
        "in_flow_delay": "0"}

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
}

SENDERS = ["anna@example.test", "Anna@Example.test", "anna+x@example.test", "shared@example.test", "dave@local.test",
           "dave+x@mail.example.test", "x@example.net", "other@example.org", "", '"a b"@example.test', "dave", "frank+list@example.test",
           "frank+other@example.test", "nobody@example.test", "anna%example.test@local.test", "@relay.test:anna@example.test"]


def senders(login, which=SENDERS):
    begin = [f"XCLIENT LOGIN={login}"] if login else []
    steps = [step for sender in which for step in (f"MAIL FROM:<{sender}>", RCPT, "RSET")]
    return [*begin, "EHLO client.example", *steps, "QUIT"]


DIALOGUES = [
    *((f"{service}, {login or 'nobody'}", service, senders(login))
      for service in ("mismatch", "authenticated", "unauthenticated", "known") for login in (None, "anna", "BEN", "dave", "eve")),
    *((f"{service}, {login or 'nobody'}", service, senders(login, SENDERS[:1] + SENDERS[7:9]))
      for service in ("no_maps", "failing", "warning", "early", "at_rcpt", "nobody_logs_in") for login in (None, "anna", "ben")),
]
