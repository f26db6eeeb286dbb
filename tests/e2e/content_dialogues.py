# SPDX-License-Identifier: ISC
"""What cleanup(8) does to messages: tables, services and messages for test_content.py.

SERVICES: name -> (overrides of the smtpd, overrides of its own cleanup service). CASES: (name, service, envelope,
message); the envelope is (sender, recipients...), the message text with LF.
"""

TABLES = {
    "header_checks": r"""
/^Subject: .*reject plain/          REJECT
/^Subject: .*reject text/           REJECT no such thing here
/^Subject: .*reject code/           REJECT 5.7.9 with a code
/^Subject: .*reject defer/          REJECT 4.2.1 come again
/^Subject: .*reject odd/            REJECT 2.0.0 odd
/^Subject: .*warn me/               WARN look at this
/^Subject: .*warn silently/         WARN
/^Subject: .*inform/                INFO for your information
/^Subject: .*discard/               DISCARD away
/^Subject: .*hold/                  HOLD keep
/^Subject: .*ignore/                IGNORE
/^Subject: .*strip/                 STRIP this
/^Subject: .*replace bad/           REPLACE no header
/^Subject: .*replace empty/         REPLACE
/^Subject: (.*)replace/             REPLACE Subject: ${1}replaced
/^Subject: .*prepend bad/           PREPEND nothing
/^Subject: .*prepend/               PREPEND X-Before: the subject
/^Subject: .*pass/                  PASS good
/^Subject: .*redirect bad/          REDIRECT nobody
/^Subject: .*redirect/              REDIRECT carl@example.test
/^Subject: .*bcc bad/               BCC nobody
/^Subject: .*bcc/                   BCC carl@example.test
/^Subject: .*filter bad/            FILTER nothing
/^Subject: .*filter empty/          FILTER
/^Subject: .*unknown action/        FROBNICATE it
/^Subject: .*dunno/                 DUNNO whatever
/^Subject: .*odd case/              wArN mixed case
/^Subject: .*folded.*second line/   WARN folded
/^X-Stop:/                          REJECT stopped
/^X-Warn:/                          WARN x-warn
/^From:.*evil/                      REJECT evil from
/^Resent-To:.*hidden/               IGNORE
""",
    "mime_checks": r"""
/^Content-Type:.*name="?[^"]*\.exe/  REJECT no programs
/^Content-Type:.*inspect/           WARN inspected
/^Content-Disposition:.*strip/      IGNORE
/^MIME-Version:.*warn/              WARN version
/^X-Part:/                          WARN part header
""",
    "nested_checks": r"""
/^Subject:.*inner/                  WARN inner subject
/^Received:/                        IGNORE
""",
    "body_checks": r"""
/^forbidden line/                   REJECT not this
/^warn line/                        WARN seen
/^remove line/                      IGNORE
/^strip line/                       STRIP
/^replace (.*) line/                REPLACE the ${1} was here
/^prepend line/                     PREPEND before it
/^hold line/                        HOLD
/^discard line/                     DISCARD gone
/^redirect line/                    REDIRECT carl@example.test
/^bcc line/                         BCC carl@example.test
/^pass line/                        PASS
/^base64 hit/                       WARN in a part
/WARNLONG/                          WARN long
""",
    "privacy": r"""
/^Received:/                        IGNORE
/^User-Agent:/                      IGNORE
/^X-Originating-IP:/                IGNORE
""",
    "canonical": r"""
anna@old.example      anna@example.test
info                  ben@example.test
@moved.example        @example.test
chain1@old.example    chain2@old.example
chain2@old.example    ben@example.test
multi@old.example     anna@example.test, ben@example.test
self@example.test     self@example.test
loop1@old.example     loop2@old.example
loop2@old.example     loop1@old.example
odd@old.example       "odd one"@example.test
""",
    "sender_canonical": "joe@host.local.example joe.user@example.test\n@hidden.example joe.user@example.test\n",
    "recipient_canonical": "anna.old@example.test anna@example.test\nlist@example.test all@example.test\n",
    "sender_bcc": "boss@example.test carl@example.test\n@watched.example copies@example.test\n",
    "recipient_bcc": "ben@example.test carl@example.test\nall@example.test carl@example.test\nanna+x@example.test carl@example.test\n",
    "recipient_access": r"""
/^bcc1@/        BCC carl@example.test
/^bcc2@/        BCC ben@example.test
/^bccbad@/      BCC nobody
/^hold@/        HOLD
/^holdtext@/    HOLD for a while
/^discard@/     DISCARD
/^redirect@/    REDIRECT carl@example.test
/^redirect2@/   REDIRECT ben@example.test
/^redirectbad@/ REDIRECT nobody
/^prepend1@/    PREPEND X-One: 1
/^prepend2@/    PREPEND X-Two: 2
/^prependbad@/  PREPEND no header
/^prependempty@/ PREPEND
/^warn@/        WARN careful
/^info@/        INFO just so
/^filterbad@/   FILTER nowhere
/^filterempty@/ FILTER
/^filtered@/    FILTER lmtp:inet:127.0.0.1:FILTERPORT
/^filterhop@/   FILTER lmtp:
""",
    "filter_checks": r"""
/^Subject:.*to the filter/  FILTER lmtp:inet:127.0.0.1:FILTERPORT
/^Subject:.*to the sink/    FILTER lmtp:inet:127.0.0.1:SINKPORT
/^Subject:.*elsewhere/      REDIRECT carl@example.test
""",
}

CHECKS = {
    "header_checks": "regexp:$config_directory/header_checks",
    "mime_header_checks": "regexp:$config_directory/mime_checks",
    "nested_header_checks": "regexp:$config_directory/nested_checks",
    "body_checks": "regexp:$config_directory/body_checks",
}
LOCAL = {"local_header_rewrite_clients": "permit_mynetworks"}
REMOTE = {"local_header_rewrite_clients": ""}

SERVICES = {
    "plain": (REMOTE, {}),
    "local": (LOCAL, {}),
    "checks": (REMOTE, CHECKS),
    "small": (REMOTE, {**CHECKS, "body_checks_size_limit": "100", "header_size_limit": "200"}),
    "nomime": (REMOTE, {**CHECKS, "disable_mime_input_processing": "yes"}),
    "override": ({**REMOTE, "receive_override_options": "no_header_body_checks"}, CHECKS),
    "nomaps": ({**LOCAL, "receive_override_options": "no_address_mappings"},
               {"canonical_maps": "texthash:$config_directory/canonical", "always_bcc": "carl@example.test"}),
    "unknown": ({**REMOTE, "receive_override_options": "no_unknown_recipient_checks"}, {}),
    "broken": (REMOTE, {"header_checks": "fail:broken"}),
    "brokenbody": (REMOTE, {"body_checks": "fail:broken"}),
    "privacy": (REMOTE, {"header_checks": "regexp:$config_directory/privacy"}),
    "strict7": (REMOTE, {"strict_7bit_headers": "yes"}),
    "strict8": (REMOTE, {"strict_8bitmime": "yes"}),
    "strictbody": (REMOTE, {"strict_8bitmime_body": "yes"}),
    "strictenc": (REMOTE, {"strict_mime_encoding_domain": "yes"}),
    "nesting": (REMOTE, {"header_checks": "regexp:$config_directory/header_checks", "mime_nesting_limit": "3"}),
    "canonical": (LOCAL, {"canonical_maps": "texthash:$config_directory/canonical"}),
    "canonremote": (REMOTE, {"canonical_maps": "texthash:$config_directory/canonical"}),
    "canonclasses": (LOCAL, {"canonical_maps": "texthash:$config_directory/canonical",
                             "canonical_classes": "header_sender"}),
    "sendercanon": (LOCAL, {"sender_canonical_maps": "texthash:$config_directory/sender_canonical",
                            "recipient_canonical_maps": "texthash:$config_directory/recipient_canonical"}),
    "sendernohdr": (LOCAL, {"sender_canonical_maps": "texthash:$config_directory/sender_canonical",
                            "sender_canonical_classes": "envelope_sender"}),
    "brokencanon": (LOCAL, {"sender_canonical_maps": "fail:broken"}),
    "remotedomain": (REMOTE, {"remote_header_rewrite_domain": "domain.invalid"}),
    "addmissing": (REMOTE, {"always_add_missing_headers": "yes",
                            "undisclosed_recipients_header": "To: undisclosed-recipients:;"}),
    "masquerade": (LOCAL, {"masquerade_domains": "!keep.example.test example.test", "masquerade_exceptions": "root",
                           "masquerade_classes": "envelope_sender, envelope_recipient, header_sender, header_recipient"}),
    "masqdefault": (LOCAL, {"masquerade_domains": "example.test"}),
    "alwaysbcc": (REMOTE, {"always_bcc": "carl@example.test"}),
    "bccmaps": (REMOTE, {"sender_bcc_maps": "texthash:$config_directory/sender_bcc",
                         "recipient_bcc_maps": "texthash:$config_directory/recipient_bcc"}),
    "brokenbcc": (REMOTE, {"sender_bcc_maps": "fail:broken"}),
    "noorig": (REMOTE, {"enable_original_recipient": "no"}),
    "actions": ({**REMOTE, "smtpd_recipient_restrictions": "check_recipient_access regexp:$config_directory/recipient_access",
                 "smtpd_reject_unlisted_recipient": "no"}, {}),
    "filter": ({**REMOTE, "content_filter": "lmtp:inet:127.0.0.1:FILTERPORT",
                "smtpd_recipient_restrictions": "check_recipient_access regexp:$config_directory/recipient_access"},
               {"header_checks": "regexp:$config_directory/filter_checks"}),
    "filterchecks": ({**REMOTE, "smtpd_reject_unlisted_recipient": "no",
                      "smtpd_recipient_restrictions": "check_recipient_access regexp:$config_directory/recipient_access"},
                     {"header_checks": "regexp:$config_directory/filter_checks"}),
    "addressmap": ({"local_header_rewrite_clients": "check_address_map inline:{127.0.0.1=x}"}, {}),
    "propagate": (LOCAL, {"recipient_delimiter": "+", "canonical_maps": "texthash:$config_directory/canonical"}),
    "nopropagate": (LOCAL, {"recipient_delimiter": "+", "propagate_unmatched_extensions": "virtual",
                            "canonical_maps": "texthash:$config_directory/canonical"}),
}

ENVELOPE = ("joe@example.org", "anna@example.test")
PLAIN = "From: joe@example.org\nTo: anna@example.test\nMessage-ID: <1@example.org>\nDate: Sat, 21 Nov 2026 10:00:00 +0000\n"


def with_subject(subject, body="Hello.\n"):
    return f"{PLAIN}Subject: {subject}\nX-Last: 1\n\n{body}"


def with_body(body):
    return f"{PLAIN}Subject: body\n\n{body}"


MULTIPART = PLAIN + """\
MIME-Version: 1.0 warn
Content-Type: multipart/mixed; boundary="outer"; x=inspect

prolog
warn line in the prolog
--outer
Content-Type: text/plain
X-Part: one

warn line in part one
--outer
Content-Type: multipart/alternative;
 boundary=inner

--inner
Content-Type: text/html; name=page

remove line of part two
--inner--
warn line after inner
--outer
Content-Disposition: attachment; strip
Content-Type: message/rfc822

Received: from inside
Subject: the inner one
Content-Type: text/plain; charset=inspect

warn line in a message
--outer--
epilog
warn line at the end
"""

PROGRAM = PLAIN + """\
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: application/x-msdownload; name="virus.exe"

TVqQ
--b--
"""


def nested(depth):
    text = PLAIN + "MIME-Version: 1.0\n"
    for level in range(depth):
        text += f"Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"
    return text + "Content-Type: text/plain\n\ntext\n"


HEADER_CASES = [(f"header-{subject.replace(' ', '-')}", "checks", ENVELOPE, with_subject(subject)) for subject in (
    "reject plain", "reject text", "reject code", "reject defer", "reject odd", "warn me", "warn silently", "inform",
    "discard", "hold", "ignore", "strip", "replace bad", "replace empty", "to be replace", "prepend bad", "prepend",
    "pass", "redirect bad", "redirect", "bcc bad", "bcc", "filter bad", "filter empty", "unknown action", "dunno",
    "odd case", "folded\n\tsecond line", "nothing")]

BODY_CASES = [(f"body-{word}", "checks", ENVELOPE, with_body(f"before\n{word} {more}line of text\nwarn line behind\n"))
              for word, more in (("forbidden", ""), ("warn", ""), ("remove", ""), ("strip", ""), ("replace", "thing "),
                                 ("prepend", ""), ("hold", ""), ("discard", ""), ("redirect", ""), ("bcc", ""),
                                 ("pass", ""))]

CHECK_CASES = [
    ("mime", "checks", ENVELOPE, MULTIPART),
    ("mime-disabled", "nomime", ENVELOPE, MULTIPART),
    ("mime-program", "checks", ENVELOPE, PROGRAM),
    ("mime-program-disabled", "nomime", ENVELOPE, PROGRAM),
    ("checks-skipped", "override", ENVELOPE, with_subject("reject plain")),
    ("stop-before-id", "checks", ENVELOPE, "X-Stop: 1\n" + with_subject("x")),
    ("stop-after-id", "checks", ENVELOPE, PLAIN + "X-Stop: 1\n\nbody\n"),
    ("several-warnings", "checks", ENVELOPE, PLAIN + "X-Warn: 1\nX-Warn: 2\nSubject: warn me\n\nwarn line\nwarn line 2\n"),
    ("two-recipients", "checks", ("joe@example.org", "anna@example.test", "ben@example.test"), with_subject("warn me")),
    ("null-sender", "checks", ("", "anna@example.test"), with_subject("warn me")),
    ("pass-then-reject", "checks", ENVELOPE, PLAIN + "Subject: pass\nX-Stop: 1\n\nforbidden line\n"),
    ("garbage-header", "checks", ENVELOPE, PLAIN + "Subject: x\ngarbage without a colon\nX-Stop: body now\n"),
    ("garbage-warned", "checks", ENVELOPE, PLAIN + "Subject: x\nwarn line is no header\nX-Stop: body now\n"),
    ("blank-name", "checks", ENVELOPE, PLAIN + "Subject : warn me\n\nx\n"),
    ("no-body", "checks", ENVELOPE, PLAIN + "Subject: warn me\n"),
    ("several-from", "checks", ENVELOPE, "From: good@example.org\nFrom: evil@example.org\n" + with_subject("x")),
    ("several-from-kept", "plain", ENVELOPE, "From: good@example.org\nFrom: evil@example.org\n" + with_subject("x")),
    ("no-headers", "checks", ENVELOPE, "\nwarn line and no header\n"),
    ("mbox-line", "checks", ENVELOPE, "From joe Sat Nov 21 10:00:00 2026\n" + with_subject("warn me")),
    ("body-limit", "small", ENVELOPE, with_body("x" * 70 + "\n" + "warn line early\n" + "y" * 70 + "\nwarn line late\n")),
    ("body-limit-parts", "small", ENVELOPE, PLAIN + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n"
     + "x" * 120 + "\nwarn line late\n--b\n\nwarn line early\n--b--\n"),
    ("header-limit", "small", ENVELOPE, PLAIN + "X-Long: " + "a" * 300 + "\nSubject: x\n\nb\n"),
    ("header-limit-lines", "small", ENVELOPE, PLAIN + "X-Long: " + "".join(f"{'a' * 50}{n}\n\t" for n in range(9)) + "end\nSubject: x\n\nb\n"),
    ("header-limit-none", "checks", ENVELOPE, PLAIN + "X-Long: " + "".join(f"{n:08d}\n\t" for n in range(60)) + "end\nSubject: x\n\nb\n"),
    ("long-line", "checks", ENVELOPE, with_body("a" * 3000 + "WARNLONG" + "b" * 3000 + "\nend\n")),
    ("long-line-early", "checks", ENVELOPE, with_body("WARNLONG" + "b" * 3000 + "\nend\n")),
    ("large", "checks", ENVELOPE, with_body("0123456789" * 6 + "\n" + ("filler text " * 5 + "\n") * 5000 + "warn line\n")),
    ("large-part", "checks", ENVELOPE, PLAIN + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n"
     + ("filler text " * 5 + "\n") * 5000 + "--b\nContent-Type: text/plain; name=late.exe\n\nx\n--b--\n"),
    ("large-part-warned", "checks", ENVELOPE, PLAIN + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n"
     + ("filler text " * 5 + "\n") * 5000 + "--b\nX-Part: late\n\nwarn line\nreplace late line\n--b--\n"),
    ("broken", "broken", ENVELOPE, with_subject("x")),
    ("broken-body", "brokenbody", ENVELOPE, with_body("one\ntwo\n")),
    ("privacy", "privacy", ENVELOPE, "Received: from home ([10.0.0.1])\n\tby pc; x\nUser-Agent: Mua\n" + with_subject("x")),
    ("privacy-off", "plain", ENVELOPE, "Received: from home ([10.0.0.1])\n\tby pc; x\nUser-Agent: Mua\n" + with_subject("x")),
    ("strict7-good", "strict7", ENVELOPE, with_subject("ascii")),
    ("strict7-bad", "strict7", ENVELOPE, with_subject("gr\u00fcn")),
    ("strict7-body", "strict7", ENVELOPE, with_body("gr\u00fcn\n")),
    ("strict8-bad", "strict8", ENVELOPE, with_subject("gr\u00fcn", "gr\u00fcn\n")),
    ("strict8-body-declared", "strict8", ENVELOPE,
     PLAIN + "MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: 8bit\n\ngr\u00fcn\n"),
    ("strictbody-bad", "strictbody", ENVELOPE, with_body("first\ngr\u00fcn\n")),
    ("strictenc-good", "strictenc", ENVELOPE, MULTIPART),
    ("strictenc-bad", "strictenc", ENVELOPE,
     PLAIN + "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n--b\n\nx\n--b--\n"),
    ("strictenc-message", "strictenc", ENVELOPE,
     PLAIN + "Content-Type: message/partial\nContent-Transfer-Encoding: 8bit\n\nx\n"),
    ("nesting-good", "nesting", ENVELOPE, nested(4)),
    ("nesting-bad", "nesting", ENVELOPE, nested(7)),
]

ADDRESSES = """\
From: joe
Sender: "Joe User" <joe@host>
Reply-To: Joe (home) <joe@example.org>, anna@old.example (Anna), <ben>
To: anna@old.example, info, "Carl C." <carl@example.test>
Cc: friends: anna@old.example, ben@moved.example;, odd@old.example
Bcc: hidden@old.example
Resent-To: joe
Errors-To: anna@old.example
X-Other: joe, anna@old.example
Message-ID: <1@example.org>
Date: Sat, 21 Nov 2026 10:00:00 +0000
Subject: addresses

Hello.
"""

LONG_LIST = "To: " + ",\n ".join(f"Person Number {n} <person{n}@host{n}>" for n in range(12)) + "\n" + PLAIN + "\nx\n"
PLAIN_LIST = "Cc: a1@example.org,a2@example.org,\n a3@example.org , A Four <a4@example.org>\n" + PLAIN + "\nx\n"
ODD_LISTS = "".join(f"To: {value}\n" for value in (
    "one two three", "a b@c", "<>", "undisclosed-recipients:;", "(comment only)", '"quoted" <q>', "a@b@c", "a%b", "a!b",
    "@r1,@r2:u@v", "u@[1.2.3.4]", "u@.", "u.", '"x y"', "x (c1) @ (c2) y", "a,,b", ",", "<a>,<b> c", "a;b", "x:y",
    "Unbalanced <u", 'unbalanced "quote', "trailing.dot@host.", "g1:a,b;,g2:;", "<<nested>>", "J. R. Hacker <jr>",
    "a@" + "d" * 20, "\u00fcml\u00e4ut <u>", "Joe <joe> (" + "c" * 300 + ")", "\\escaped <e>", "u@host (c)", "a b <c> d")) \
    + PLAIN + "\nx\n"

ADDRESS_CASES = [
    (f"addresses-{service}", service, ENVELOPE, ADDRESSES)
    for service in ("plain", "local", "canonical", "canonremote", "canonclasses", "sendercanon", "remotedomain", "masquerade",
                    "masqdefault", "nomaps", "addressmap")] + [
    ("long-list", "local", ENVELOPE, LONG_LIST),
    ("plain-list", "local", ENVELOPE, PLAIN_LIST),
    ("odd-lists", "local", ENVELOPE, ODD_LISTS),
    ("odd-lists-remote", "remotedomain", ENVELOPE, ODD_LISTS),
    ("sender-unqualified", "plain", ("joe", "anna@example.test"), with_subject("x")),
    ("sender-host", "plain", ("joe@host", "anna@example.test"), with_subject("x")),
    ("sender-daemon", "plain", ("MAILER-DAEMON", "anna@example.test"), with_subject("x")),
    ("sender-daemon-origin", "plain", ("mailer-daemon@mail.example.test", "anna@example.test"), with_subject("x")),
    ("sender-percent", "plain", ("joe%host", "anna@example.test"), with_subject("x")),
    ("canon-recipient", "canonical", ("joe@example.org", "anna@old.example"), with_subject("x")),
    ("canon-recipient-domain", "canonical", ("joe@example.org", "ben@moved.example"), with_subject("x")),
    ("canon-recipient-chain", "canonical", ("anna@old.example", "chain1@old.example"), with_subject("x")),
    ("canon-recipient-multi", "canonical", ("joe@example.org", "multi@old.example"), with_subject("x")),
    ("canon-recipient-classes", "canonclasses", ("anna@old.example", "anna@example.test"), ADDRESSES),
    ("canon-duplicates", "canonical", ("joe@example.org", "anna@old.example", "anna@example.test", "anna@old.example"),
     with_subject("x")),
    ("canon-extension", "propagate", ("anna+x@old.example", "anna+ext@old.example"), ADDRESSES),
    ("canon-no-extension", "nopropagate", ("anna+x@old.example", "anna+ext@old.example"), ADDRESSES),
    ("canon-logged", "canonical", ("chain1@old.example", "chain1@old.example"), with_subject("x")),
    ("sendercanon", "sendercanon", ("joe@host.local.example", "anna.old@example.test"),
     "From: Joe <joe@host.local.example>\nTo: anna.old@example.test, list@example.test\nSubject: x\n\nx\n"),
    ("sendercanon-domain", "sendercanon", ("who@hidden.example", "list@example.test"), "From: who@hidden.example\n\nx\n"),
    ("sendercanon-envelope", "sendernohdr", ("who@hidden.example", "anna@example.test"), "From: who@hidden.example\n\nx\n"),
    ("sendercanon-broken", "brokencanon", ENVELOPE, with_subject("x")),
    ("sendercanon-null", "sendercanon", ("", "anna@example.test"), with_subject("x")),
    ("masq-envelope", "masquerade", ("joe@a.b.example.test", "anna@host.example.test"), with_subject("x")),
    ("masq-kept", "masquerade", ("joe@x.keep.example.test", "anna@example.test"),
     "From: joe@x.keep.example.test\nTo: root@a.example.test, joe@a.example.test\n\nx\n"),
    ("complete", "local", ENVELOPE, "Subject: nothing else\n\nx\n"),
    ("complete-null", "local", ("", "anna@example.test"), "Subject: nothing else\n\nx\n"),
    ("complete-quoted", "local", ('"joe user"@example.org', "anna@example.test"), "Subject: nothing else\n\nx\n"),
    ("complete-canonical", "canonical", ("anna@old.example", "anna@example.test"), "Subject: nothing else\n\nx\n"),
    ("complete-remote", "remotedomain", ENVELOPE, "Subject: nothing else\n\nx\n"),
    ("complete-not", "plain", ENVELOPE, "Subject: nothing else\n\nx\n"),
    ("complete-always", "addmissing", ENVELOPE, "Subject: nothing else\n\nx\n"),
    ("complete-always-cc", "addmissing", ENVELOPE, "Cc: someone\nSubject: nothing else\n\nx\n"),
    ("complete-resent", "local", ENVELOPE, "Resent-To: joe\nSubject: nothing else\n\nx\n"),
]

BCC_CASES = [
    ("always-bcc", "alwaysbcc", ENVELOPE, with_subject("x")),
    ("always-bcc-itself", "alwaysbcc", ("joe@example.org", "carl@example.test"), with_subject("x")),
    ("always-bcc-none", "nomaps", ENVELOPE, with_subject("x")),
    ("bcc-sender", "bccmaps", ("boss@example.test", "anna@example.test"), with_subject("x")),
    ("bcc-sender-alias", "bccmaps", ("x@watched.example", "anna@example.test"), with_subject("x")),
    ("bcc-recipient", "bccmaps", ("joe@example.org", "ben@example.test"), with_subject("x")),
    ("bcc-recipient-alias", "bccmaps", ("joe@example.org", "all@example.test"), with_subject("x")),
    ("bcc-both", "bccmaps", ("boss@example.test", "ben@example.test", "anna@example.test"), with_subject("x")),
    ("bcc-broken", "brokenbcc", ENVELOPE, with_subject("x")),
    ("duplicates", "plain", ("joe@example.org", "anna@example.test", "info@example.test", "all@example.test"), with_subject("x")),
    ("duplicates-no-original", "noorig", ("joe@example.org", "anna@example.test", "info@example.test", "all@example.test"),
     with_subject("x")),
    ("unknown-accepted", "unknown", ("joe@example.org", "info@example.test"), with_subject("x")),
]

ACTION_CASES = [(f"access-{'-'.join(words)}", "actions", ("joe@example.org", *(f"{word}@example.test" for word in words)),
                 PLAIN + "\nx\n") for words in (
    ("bcc1",), ("bcc1", "bcc2"), ("bccbad",), ("hold",), ("holdtext",), ("hold", "holdtext"), ("discard",),
    ("redirect",), ("redirect", "redirect2"), ("redirect", "bcc1"), ("redirectbad",), ("prepend1",), ("prepend1", "prepend2"),
    ("prepend2", "prepend1", "prepend1"), ("prependbad",), ("prependempty",), ("warn",), ("info",), ("filterbad",),
    ("filterempty",), ("hold", "discard"), ("discard", "redirect"))]

FILTER_CASES = [
    ("filter-all", "filter", ("joe@example.org", "anna@example.test", "info@example.test"), with_subject("x")),
    ("filter-overridden", "filter", ENVELOPE, with_subject("to the sink")),
    ("filter-redirected", "filter", ENVELOPE, with_subject("elsewhere")),
    ("filter-by-header", "filterchecks", ENVELOPE, with_subject("to the filter")),
    ("filter-by-access", "filterchecks", ("joe@example.org", "filtered@example.test"), with_subject("x")),
    ("filter-by-both", "filterchecks", ("joe@example.org", "filtered@example.test"), with_subject("to the sink")),
    ("filter-none", "filterchecks", ENVELOPE, with_subject("x")),
]

CASES = HEADER_CASES + BODY_CASES + CHECK_CASES + ADDRESS_CASES + BCC_CASES + ACTION_CASES + FILTER_CASES
