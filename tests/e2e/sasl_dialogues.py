# SPDX-License-Identifier: ISC
"""Logins that Posthorn and Postfix must answer alike, with the same Dovecot and the same sasldb: (name, services, steps).

A step is what the client sends; it then waits for one reply. (text, n) waits for n replies. Where Posthorn differs on
purpose (docs/config-differences.md, "Logging in") there is no dialogue here.
"""
from lib.sasl import b64, plain

USERS = {"anna": "secret", "ben": "geheim", "carl": "pass word"}
GOOD = "AUTH PLAIN " + plain("anna", "secret")
MAIL = "MAIL FROM:<a@example.org>"
MESSAGE = ["MAIL FROM:<a@example.org>", "RCPT TO:<anna@virt.example>", "DATA", "Subject: x\r\n\r\nx\r\n."]

DOVECOT = {"smtpd_sasl_type": "dovecot"}
# What each listener overrides. The paths of both authentication services are set in main.cf and here by the test.
SERVICES = {
    "dovecot": DOVECOT,
    "inet": DOVECOT,
    "cyrus": {},
    "realm": {"smtpd_sasl_local_domain": "mail.example.test"},
    "auth-only": {**DOVECOT, "smtpd_tls_auth_only": "yes"},
    "no-plaintext": {**DOVECOT, "smtpd_sasl_security_options": "noanonymous, noplaintext"},
    "cyrus-no-plaintext": {"smtpd_sasl_security_options": "noanonymous,noplaintext"},
    "no-dictionary": {**DOVECOT, "smtpd_sasl_security_options": "noanonymous,nodictionary"},
    "cyrus-nothing": {"smtpd_sasl_security_options": ""},
    "filter": {**DOVECOT, "smtpd_sasl_mechanism_filter": "plain, login"},
    "filter-not": {**DOVECOT, "smtpd_sasl_mechanism_filter": "!plain, inline:{CRAM-MD5=x}, static:rest"},
    "old-clients": {**DOVECOT, "broken_sasl_auth_clients": "yes"},
    "exceptions": {**DOVECOT, "smtpd_sasl_exceptions_networks": "!192.0.2.0/24, 127.0.0.0/8"},
    "header": {**DOVECOT, "smtpd_sasl_authenticated_header": "yes"},
    "helo": {**DOVECOT, "smtpd_helo_required": "yes"},
    "discard": {**DOVECOT, "smtpd_discard_ehlo_keywords": "auth"},
    "off": {"smtpd_sasl_auth_enable": "no"},
    "access": {**DOVECOT, "smtpd_recipient_restrictions":
               "check_sasl_access inline:{{anna=REJECT}, {ben=permit}, {carl=550 5.7.9 gone}}, permit_sasl_authenticated, "
               "reject_unauth_destination"},
}
BOTH = ["dovecot", "cyrus"]
EVERY_EHLO = sorted(SERVICES)

DIALOGUES = [
    ("ehlo", EVERY_EHLO, ["EHLO c.example"]),
    ("plain", [*BOTH, "inet", "realm"], ["EHLO c.example", GOOD, GOOD, *MESSAGE, "QUIT"]),
    ("relay", BOTH, ["EHLO c.example", MAIL, "RCPT TO:<x@elsewhere.example>", "RSET", GOOD, MAIL,
                     "RCPT TO:<x@elsewhere.example>"]),
    ("without-ehlo", ["dovecot", "cyrus", "helo"], [GOOD]),
    ("helo", BOTH, ["HELO c.example", GOOD, *MESSAGE]),
    ("wrong", BOTH, ["EHLO c.example", "AUTH PLAIN " + plain("anna", "wrong"), "AUTH PLAIN " + plain("nobody", "x"),
                     "AUTH PLAIN " + plain("anna", "Secret"), "AUTH LOGIN", b64("anna"), b64("bad")]),
    ("login", BOTH, ["EHLO c.example", "AUTH LOGIN", b64("carl"), b64("pass word"), *MESSAGE]),
    ("login-initial", BOTH, ["EHLO c.example", "AUTH login " + b64("anna"), b64("secret"), *MESSAGE]),
    ("challenged-plain", BOTH, ["EHLO c.example", "AUTH PLAIN", plain("ben", "geheim")]),
    ("cancel", BOTH, ["EHLO c.example", "AUTH PLAIN", "*", "AUTH LOGIN", "*", "AUTH LOGIN", b64("anna"), "*", GOOD]),
    ("empty", ["cyrus"], ["EHLO c.example", "AUTH PLAIN", "=", "AUTH PLAIN =", "AUTH PLAIN", "", "AUTH LOGIN", "", ""]),
    ("empty-dovecot", ["dovecot"], ["EHLO c.example", "AUTH PLAIN", "=", "AUTH PLAIN =", "AUTH PLAIN", ""]),
    ("malformed", BOTH, ["EHLO c.example", "AUTH PLAIN !!!!", "AUTH PLAIN A", "AUTH PLAIN AA", "AUTH PLAIN AAA", "AUTH PLAIN AA=A",
                         "AUTH PLAIN *", "AUTH PLAIN AAAA=", "AUTH PLAIN", "AAAAA"]),
    ("malformed-more", BOTH, ["EHLO c.example", "AUTH LOGIN", "@@@", "AUTH PLAIN " + plain("anna", "secret") + "=",
                              "AUTH PLAIN", "AG FubmE=", "AUTH CRAM-MD5", "=", "AUTH SCRAM-SHA-1", "AUTH PLAIN",
                              "AUTH PLAIN ===="]),
    ("syntax", BOTH, ["EHLO c.example", "AUTH", "AUTH PLAIN AGFu bmE=", "AUTH  PLAIN  " + plain("anna", "x"), "auth plain"
                      " " + plain("anna", "secret")]),
    ("unknown", BOTH, ["EHLO c.example", "AUTH FOO", "AUTH FOO AAAA", "AUTH PL\x01AIN", "AUTH ANONYMOUS", "AUTH <>"]),
    ("external", ["dovecot"], ["EHLO c.example", "AUTH EXTERNAL", "AUTH EXTERNAL ="]),
    ("authzid", ["dovecot"], ["EHLO c.example", "AUTH PLAIN " + plain("anna", "secret", "ben"),
                              "AUTH PLAIN " + plain("anna", "secret", "anna"), MAIL, "RCPT TO:<x@elsewhere.example>"]),
    ("control", ["cyrus"], ["EHLO c.example", "AUTH PLAIN " + plain("an\nna", "se\ncret")]),
    ("in-transaction", BOTH, ["EHLO c.example", MAIL, GOOD, "RSET", GOOD, "EHLO again.example", "AUTH LOGIN", MAIL,
                              "RCPT TO:<x@elsewhere.example>"]),
    ("sender", BOTH, ["EHLO c.example", "MAIL FROM:<a@example.org> AUTH=<>", "RSET",
                      "MAIL FROM:<a@example.org> AUTH=e+3Dmc2@example.com", "RCPT TO:<anna@virt.example>", "RSET", GOOD,
                      "MAIL FROM:<a@example.org> AUTH=b@example.org", "RCPT TO:<anna@virt.example>", "RSET",
                      "MAIL FROM:<a@example.org> AUTH=a AUTH=b"]),
    ("pipelined", BOTH, ["EHLO c.example", (b"AUTH PLAIN\r\n" + plain("anna", "secret").encode() + b"\r\nNOOP\r\n", 3)]),
    ("pipelined-initial", BOTH, ["EHLO c.example", (GOOD.encode() + b"\r\nNOOP\r\n", 2)]),
    ("long", BOTH, ["EHLO c.example", "AUTH PLAIN", "A" * 12200, "AUTH PLAIN", "A" * 12289, "AUTH PLAIN", "A" * 65536, "NOOP",
                    "AUTH LOGIN", b64("x" * 4000), b64("y" * 4000)]),
    ("cram", BOTH, ["EHLO c.example", "AUTH CRAM-MD5", "anna", "AUTH CRAM-MD5 AAAA", "AUTH CRAM-MD5",
                    b64("anna 00112233445566778899aabbccddeeff")]),
    ("unfinished", BOTH, ["EHLO c.example", "AUTH LOGIN"]),
    ("too-early", ["auth-only", "no-plaintext", "cyrus-no-plaintext", "exceptions", "discard", "off", "helo"],
     ["EHLO c.example", GOOD, "AUTH LOGIN", MAIL]),
    ("header", ["header"], ["EHLO c.example", GOOD, *MESSAGE]),
    ("access-anna", ["access"], ["EHLO c.example", GOOD, MAIL, "RCPT TO:<anna@virt.example>"]),
    ("access-ben", ["access"], ["EHLO c.example", "AUTH PLAIN " + plain("ben", "geheim"), MAIL,
                                "RCPT TO:<x@elsewhere.example>"]),
    ("access-carl", ["access"], ["EHLO c.example", "AUTH PLAIN " + plain("carl", "pass word"), MAIL,
                                 "RCPT TO:<anna@virt.example>"]),
    ("access-nobody", ["access"], ["EHLO c.example", MAIL, "RCPT TO:<anna@virt.example>"]),
]

# The reference names nobody here, or the wrong one; Posthorn names whom the client named.
NAMELESS = {"wrong", "malformed-more", "authzid", "empty", "empty-dovecot", "long", "syntax", "cancel", "too-early"}
