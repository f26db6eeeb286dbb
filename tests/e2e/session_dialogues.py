# SPDX-License-Identifier: ISC
"""Dialogues about who the client is said to be, and what it may do how often: (name, service, steps), as in
smtp_dialogues.py."""
from smtp_dialogues import MAIL, MAIN as DIALOGUE_MAIN, RCPT, TEXT, lines, raw

MAIN = {**DIALOGUE_MAIN, "smtpd_client_event_limit_exceptions": "", "inet_protocols": "all",
        "smtpd_client_connection_count_limit": "0"}
TRUSTED = {"smtpd_authorized_xclient_hosts": "127.0.0.1, 192.0.2.66", "smtpd_authorized_xforward_hosts": "127.0.0.0/8"}

SERVICES = {
    "plain": {},
    "no_talkers": {"smtpd_upstream_proxy_protocol": "haproxy", "smtpd_forbid_unauth_pipelining": "yes"},
    "trusted": TRUSTED,
    "trusted_now": {**TRUSTED, "smtpd_delay_reject": "no",
                    "smtpd_client_restrictions": "check_client_access inline:{{192.0.2.5=REJECT}, {bad.example=421 go}}"},
    "names": {**TRUSTED, "smtpd_client_restrictions":
              "reject_unknown_reverse_client_hostname, reject_unknown_client_hostname, "
              "check_reverse_client_hostname_access inline:{{bad.example=REJECT reverse}}"},
    "networks": {**TRUSTED, "mynetworks": "192.0.2.0/24, [2001:db8::]/32", "smtpd_discard_ehlo_keyword_address_maps":
                 "inline:{{192.0.2.9=xclient xforward pipelining}}"},
    "discarding": {"smtpd_discard_ehlo_keywords": "chunking, dsn, etrn, 8bitmime, size, vrfy"},
    "hidden": {**TRUSTED, "smtpd_discard_ehlo_keywords": "xclient,xforward,silent-discard"},
    "ports": {"smtpd_client_port_logging": "yes", **TRUSTED},
    "proxied": {**TRUSTED, "smtpd_upstream_proxy_protocol": "haproxy", "smtpd_upstream_proxy_timeout": "2s",
                "mynetworks": "192.0.2.0/24"},
    "footer": {"smtpd_reject_footer": "For help, call 800-555-0101 (${localtime?}).\\nclient ${client_address} $client_name port "
               "helo=$helo_name \\nfrom $sender_name|$sender_domain|$sender "
               "${server_name}", "smtpd_reject_footer_maps": "regexp:{ {/need MAIL command/ \\c: really}, "
               "{/^501 Syntax: HELO/ say it} }", "disable_vrfy_command": "yes"},
    "soft": {"soft_bounce": "yes"},
    "filter": {"smtpd_command_filter": "regexp:{ {/^(MAIL FROM:<)[ ]+(.*)/ $$1$$2}, {/^HOLA (.*)/ EHLO $$1}, {/^DATEN$$/ DATA} }"},
    "filter_fails": {"smtpd_command_filter": "fail:filter"},
    "words": {"smtpd_noop_commands": "PING, inline:{pong=x}", "smtpd_forbidden_commands": "EVIL, regexp:{{/^worse/ x}}",
              "smtpd_junk_command_limit": "2"},
    "permits": {"smtpd_log_access_permit_actions": "permit, ok, permit_mynetworks, permit_auth_destination, 500",
                "smtpd_client_restrictions": "permit_mynetworks", "mynetworks": "127.0.0.0/8",
                "smtpd_helo_restrictions": "check_helo_access inline:{{a.example=OK}, {b.example=DUNNO}, {c.example=permit_auth_destination}, "
                "{d.example=250}}",
                "smtpd_sender_restrictions": "check_sender_access inline:{sender.example=OK}, permit",
                "smtpd_recipient_restrictions": "permit_auth_destination, reject"},
    "permits_static": {"smtpd_log_access_permit_actions": "static:all", "smtpd_sender_restrictions": "permit"},
    "open_early": {"smtpd_delay_open_until_valid_rcpt": "no"},
    "deadline": {"smtpd_per_record_deadline": "yes", "smtpd_timeout": "1s", "smtpd_min_data_rate": "100"},
    "stressed": {"smtpd_timeout": "${stress?{1}:{300}}s", "stress": "yes"},
    "tarpit": {"smtpd_error_sleep_time": "1s", "smtpd_soft_error_limit": "2", "smtpd_hard_error_limit": "4"},
    "messages": {"smtpd_client_message_rate_limit": "2"},
    "recipients": {"smtpd_client_recipient_rate_limit": "2"},
    "exempt": {"smtpd_client_message_rate_limit": "1", "smtpd_client_event_limit_exceptions": "127.0.0.1"},
    "xclient_limits": {**TRUSTED, "smtpd_client_message_rate_limit": "1"},
}


def xclient(attributes, *more):
    return ["EHLO proxy.example", "XCLIENT " + attributes, *more, "QUIT"]


def message(content=TEXT, before=()):
    return ["EHLO c.example", *before, MAIL, RCPT, "DATA", raw(content)]


V2 = b"\r\n\r\n\0\r\nQUIT\n"


def v2(command, family, addresses, length=None):
    return V2 + bytes([0x20 | command, family]) + (len(addresses) if length is None else length).to_bytes(2, "big") + addresses


IPV4 = bytes([192, 0, 2, 7, 198, 51, 100, 25]) + (4321).to_bytes(2, "big") + (25).to_bytes(2, "big")
IPV6 = bytes.fromhex("20010db8000000000000000000000007" + "20010db8000000000000000000000019") + (99).to_bytes(2, "big") + (25).to_bytes(2, "big")
MAPPED = bytes.fromhex("00000000000000000000ffffc0000207" * 2) + (99).to_bytes(2, "big") + (25).to_bytes(2, "big")
HELLO = ["EHLO x", MAIL, "RCPT TO:<x@elsewhere.example>", "QUIT"]
# What a proxy sends before anything else: its name, and what it is.
PROXY_HEADERS = {
    "v1": b"PROXY TCP4 192.0.2.7 198.51.100.25 4321 25\r\n",
    "v1 in ipv6": b"PROXY TCP6 2001:DB8::0:7 2001:db8::19 4321 25\r\n",
    "v1 mapped": b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4321 25\r\n",
    "v1 with lf": b"PROXY TCP4 192.0.2.7 198.51.100.25 4321 25\n",
    "v1 unknown": b"PROXY UNKNOWN\r\n",
    "v1 wrong family": b"PROXY TCP4 ::1 ::1 4321 25\r\n",
    "v1 no server": b"PROXY TCP4 192.0.2.7\r\n",
    "v1 no port": b"PROXY TCP4 192.0.2.7 198.51.100.25\r\n",
    "v1 no server port": b"PROXY TCP4 192.0.2.7 198.51.100.25 4321\r\n",
    "v1 bad port": b"PROXY TCP4 192.0.2.7 198.51.100.25 65536 25\r\n",
    "v1 port zero": b"PROXY TCP4 192.0.2.7 198.51.100.25 0 25\r\n",
    "v1 bad address": b"PROXY TCP4 192.0.2 198.51.100.25 4321 25\r\n",
    "v1 lower case": b"proxy TCP4 192.0.2.7 198.51.100.25 4321 25\r\n",
    "no header": b"EHLO x\r\n",
    "no header, longer": b"EHLO client.example\r\nQUIT\r\n\t\x01\xff\\",
    "v2": v2(1, 0x11, IPV4),
    "v2 in ipv6": v2(1, 0x21, IPV6),
    "v2 mapped": v2(1, 0x21, MAPPED),
    "v2 with more": v2(1, 0x11, IPV4 + b"\x04\0\x01x"),
    "v2 local": v2(0, 0, b""),
    "v2 local with addresses": v2(0, 0x11, IPV4),
    "v2 bad command": v2(2, 0x11, IPV4),
    "v2 bad version": V2 + b"\x11\x11\0\x0c" + IPV4,
    "v2 datagram": v2(1, 0x12, IPV4),
    "v2 unspecified": v2(1, 0, b""),
    "v2 short addresses": v2(1, 0x11, IPV4[:8]),
    "v2 too long": v2(1, 0x11, IPV4, 5000),
}

DIALOGUES = [
    ("xclient not allowed", "plain", ["EHLO x", "XCLIENT NAME=a.example", "XFORWARD NAME=a.example", "XCLIENT", "QUIT"]),
    ("xclient", "trusted", xclient("NAME=spike.example ADDR=192.0.2.7", *message())),
    ("xclient in two commands", "trusted", xclient("NAME=spike.example ADDR=192.0.2.66", "XCLIENT PORT=99",
                                                   "XCLIENT ADDR=192.0.2.67", "XCLIENT ADDR=127.0.0.1", *message())),
    ("xclient allowed again", "trusted", xclient("ADDR=192.0.2.66", "EHLO y", "XCLIENT ADDR=127.0.0.1", "EHLO z", "XCLIENT ADDR=127.0.0.9",
                                                 "EHLO z", "XCLIENT ADDR=127.0.0.1")),
    ("xclient helo and proto", "trusted", xclient("HELO=inner.example PROTO=ESMTP ADDR=192.0.2.66", MAIL + " SIZE=10", RCPT, "DATA", raw(TEXT),
                                                  "XCLIENT PROTO=smtp", MAIL, RCPT, "RSET", "XCLIENT HELO=[UNAVAILABLE]", MAIL, RCPT)),
    ("xclient login", "trusted", xclient("LOGIN=anna+40virt.example ADDR=192.0.2.66", *message(), "XCLIENT LOGIN=[UNAVAILABLE]",
                                         *message(), "XCLIENT LOGIN=ben", "XCLIENT NAME=other.example", *message())),
    ("xclient unavailable", "names", xclient("NAME=[UNAVAILABLE] ADDR=192.0.2.7", *message()[:3])),
    ("xclient temporarily unavailable", "names", xclient("NAME=[TEMPUNAVAIL] ADDR=192.0.2.7", *message()[:3])),
    ("xclient reverse name", "names", xclient("NAME=good.example REVERSE_NAME=[UNAVAILABLE] ADDR=192.0.2.66", *message()[:3])),
    ("xclient reverse name refused", "names", xclient("NAME=good.example REVERSE_NAME=bad.example ADDR=192.0.2.66", *message()[:3])),
    ("xclient reverse names", "names", xclient("NAME=[UNAVAILABLE] REVERSE_NAME=bad.example ADDR=192.0.2.66", *message()[:3])),
    ("xclient addr unavailable", "trusted", xclient("ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE]", *message())),
    ("xclient ipv6", "networks", xclient("ADDR=IPV6:2001:DB8::0:1", "EHLO x", MAIL, "RCPT TO:<x@elsewhere.example>")),
    ("xclient ipv6 bare", "trusted", xclient("ADDR=2001:db8::7", *message())),
    ("xclient mapped", "trusted", xclient("ADDR=IPV6:::ffff:192.0.2.66", *message())),
    ("xclient networks", "networks", xclient("ADDR=192.0.2.9", "EHLO x", MAIL, "RCPT TO:<x@elsewhere.example>")),
    ("xclient destination", "trusted", xclient("DESTADDR=192.0.2.25 DESTPORT=25 ADDR=127.0.0.1", "XCLIENT DESTADDR=[UNAVAILABLE]",
                                               "XCLIENT DESTPORT=x", "XCLIENT DESTADDR=300.1.1.1")),
    ("xclient syntax", "trusted", ["XCLIENT", "XCLIENT NAME", "XCLIENT NAME=", "XCLIENT =x", "XCLIENT FOO=x", "XCLIENT NAME=-bad-",
                                   "XCLIENT NAME=a_b..c", "XCLIENT ADDR=1.2.3", "XCLIENT ADDR=a<b>@c", "XCLIENT PORT=123456",
                                   "XCLIENT PORT=-1", "XCLIENT PROTO=LMTP", "XCLIENT IDENT=x", "XCLIENT NAME=" + "a" * 300,
                                   "XCLIENT PORT=1 FOO=x", "QUIT"]),
    ("xclient xtext", "trusted", ["XCLIENT NAME=+73pike.example", "XCLIENT HELO=a+20b+3Cc", "XCLIENT NAME=a+2", "XCLIENT PORT=+32+35",
                                  "XCLIENT PROTO=+45SMTP", "xclient port=80 addr=192.0.2.66", MAIL, RCPT, "QUIT"]),
    ("xclient in a transaction", "trusted", ["EHLO x", MAIL, "XCLIENT PORT=1", "XFORWARD PORT=1", "RSET", "XCLIENT PORT=1", "QUIT"]),
    ("xclient and early lists", "trusted_now", xclient("ADDR=192.0.2.5", "EHLO x", MAIL)),
    ("xclient and early lists, 421", "trusted_now", xclient("NAME=bad.example", "EHLO x")),
    ("xclient hidden", "hidden", ["EHLO x", "XCLIENT PORT=1", "EHLO x", "XFORWARD PORT=1", "QUIT"]),
    ("discarded keywords are logged", "discarding", ["EHLO x", "EHLO y", "ETRN x", "VRFY x", "QUIT"]),
    ("xforward", "trusted", ["EHLO filter.example", "XFORWARD NAME=spike.example ADDR=192.0.2.9 HELO=spike.example PROTO=ESMTP PORT=77",
                             "XFORWARD IDENT=ABC123 SOURCE=REMOTE", MAIL, RCPT, "DATA", raw(TEXT), *message()[1:], "QUIT"]),
    ("xforward only the name", "trusted", message(before=["XFORWARD NAME=spike.example"]) + ["QUIT"]),
    ("xforward ident", "trusted", message(before=["XFORWARD IDENT=<a@b>"]) + ["QUIT"]),
    ("xforward helo only", "trusted", message(before=["XFORWARD HELO=x"]) + ["QUIT"]),
    ("xforward unavailable", "trusted", message(before=["XFORWARD NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] "
                                                        "HELO=[UNAVAILABLE] PROTO=[UNAVAILABLE] IDENT=[UNAVAILABLE] "
                                                        "SOURCE=[UNAVAILABLE]"]) + ["QUIT"]),
    ("xforward syntax", "trusted", ["XFORWARD", "XFORWARD NAME", "XFORWARD NAME=a..b", "XFORWARD ADDR=x", "XFORWARD PROTO=" + "x" * 65,
                                    "XFORWARD SOURCE=x", "XFORWARD DOMAIN=LOCAL", "XFORWARD LOGIN=x", "XFORWARD PORT=x", "XFORWARD NAME=a+20b",
                                    "XFORWARD ADDR=IPV6:2001:db8::1", *message(), "QUIT"]),
    ("xforward and rset", "trusted", ["EHLO x", "XFORWARD NAME=spike.example ADDR=192.0.2.9", "RSET", *message(), "QUIT"]),
    ("ports in the log", "ports", xclient("NAME=spike.example ADDR=192.0.2.66 PORT=1234",
                                          "XFORWARD NAME=a.example ADDR=192.0.2.3 PORT=7", *message())),
    *[(f"proxy {name}", "proxied", [header, *HELLO]) for name, header in PROXY_HEADERS.items()],
    ("proxy v2 and a pipelining client", "proxied", [PROXY_HEADERS["v2"] + b"EHLO x\r\n", (b"", 1), "QUIT"]),
    ("talking before the greeting, refused", "no_talkers", [PROXY_HEADERS["v2"] + b"EHLO x\r\nNOOP\r\n"]),
    ("talking before the second greeting", "trusted", [lines("XCLIENT PORT=1", "EHLO x", "NOOP"), "QUIT"]),
    ("footer", "footer", ["HELO", "HELO c.example", "FOO", MAIL, "RCPT TO:<x@elsewhere.example>", RCPT, "RSET", "RCPT TO:<x>", "QUIT"]),
    ("soft bounce", "soft", ["HELO", "EHLO x", MAIL, "RCPT TO:<x@elsewhere.example>", "RCPT TO:<nobody@virt.example>", "FOO", "QUIT"]),
    ("command filter", "filter", ["HOLA x", "MAIL FROM:<   a@sender.example>", RCPT, "DATEN", raw(TEXT), " HOLA y", "QUIT"]),
    ("command filter that fails", "filter_fails", ["EHLO x"]),
    ("noop commands", "words", ["PING", "pong", "FOO", "QUIT"]),
    ("forbidden commands", "words", ["EVIL thing"]),
    ("forbidden by a table", "words", ["GET /", "WORSE thing"]),
    ("junk of noop commands", "words", ["PING"] * 30),
    ("logged permissions", "permits", sum([[f"HELO {h}.example", MAIL, RCPT, "RSET"] for h in "abcd"], []) + ["QUIT"]),
    ("logged permissions, all", "permits_static", ["HELO x", MAIL, RCPT, "QUIT"]),
    ("opened at mail", "open_early", ["EHLO x", MAIL, "RCPT TO:<x@elsewhere.example>", RCPT, "DATA", raw(TEXT), "MAIL FROM:<", "QUIT"]),
    ("deadline of a command", "deadline", [raw("EHLO x\r\nMAIL", 1), raw("", 1)]),
    ("stress", "stressed", ["EHLO x", raw("", 1)]),
    ("tarpit", "tarpit", ["FOO", "FOO", "FOO", "FOO", "FOO"]),
    ("message rate", "messages", ["EHLO x", MAIL, "RSET", "MAIL FROM", MAIL, "RSET", MAIL, MAIL, RCPT, "QUIT"]),
    ("recipient rate", "recipients", ["EHLO x", MAIL, RCPT, "RCPT TO:<", RCPT, "VRFY anna@virt.example", "QUIT"]),
    ("exempt from rates", "exempt", ["EHLO x", MAIL, "RSET", MAIL, "QUIT"]),
    ("rates behind xclient", "xclient_limits", xclient("ADDR=192.0.2.77", MAIL, "RSET", MAIL)),
    ("no rates for the proxy", "xclient_limits", ["EHLO x", MAIL, "RSET", MAIL, "QUIT"]),
]
