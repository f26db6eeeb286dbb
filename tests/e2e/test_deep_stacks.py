# SPDX-License-Identifier: ISC
"""The deepest ways through the server that input or configuration choose: every fiber stays within three quarters of its stack.

The measure is POSTHORN_STACK_WATCH, which all tests set: a fiber that used more is a warning when its process ends, and an
unexpected warning fails the test. Here are the ways that recurse."""
import re

from lib import setups

DEEP = 200


def _if_nest(depth, rule):
    return "".join(["if /a/\n"] * depth + [rule + "\n"] + ["endif\n"] * depth)


def _map_nest(posthorn, depth):
    inner = f"texthash:{posthorn.file('plain', 'x y')}"
    for level in range(depth):
        inner = f"{'pipemap' if level % 2 else 'unionmap'}:{{{inner}}}"
    return inner


def _hostile_headers():
    yield "To: " + "(" * 3000 + ")" * 3000 + " anna@example.test"
    yield "Cc: " + "g:" * 2000 + "anna@example.test" + ";" * 2000
    yield "From: " + "<" * 3000 + "carl@example.org" + ">" * 3000
    yield "Reply-To: " + "\"" + "\\\"" * 4000 + "\" <carl@example.org>"
    yield "Sender: " + ",".join(["a@b"] * 3000)


def _hostile_mime(depth):
    lines = ["MIME-Version: 1.0", 'Content-Type: multipart/mixed; boundary="b0"', ""]
    for level in range(depth):
        lines += [f"--b{level}", f'Content-Type: multipart/mixed; boundary="b{level + 1}"', ""]
        lines += [f"--b{level + 1}", "Content-Type: message/rfc822", "", f"Subject: {level}", ""] if level % 5 == 4 else []
    return lines


def test_no_input_takes_a_fiber_to_the_end_of_its_stack(posthorn, sink):
    setups.virtual_domain(posthorn, f"lmtp:{sink.next_hop}", aliases=[
        *((f"chain{i}", f"chain{i + 1}@example.test") for i in range(DEEP)), ("loop", "loop@example.test, anna@example.test")])
    posthorn.file("nest.pcre", _if_nest(DEEP, "/^(.*)$/ DUNNO"))
    posthorn.file("nest.regexp", _if_nest(DEEP, "/^((((((((((.*))))))))))$/ DUNNO"))
    posthorn.main.update({
        "smtpd_restriction_classes": "inner, outer, twin",
        "inner": "check_sender_access inline:{{circle@example.org=outer}}, warn_if_reject outer",
        "outer": "check_recipient_access pcre:$config_directory/nest.pcre, "
                 "check_helo_access regexp:$config_directory/nest.regexp, inner",
        "twin": "${{$mail_name} == {x} ? {" * 20 + "reject" + "} : {permit}}" * 20,
        "smtpd_recipient_restrictions": "check_sender_access inline:{{circle@example.org=outer}}, reject_unauth_destination",
        "smtpd_data_restrictions": f"check_sender_access {_map_nest(posthorn, 30)}",
        "header_checks": "pcre:$config_directory/nest.pcre, regexp:$config_directory/nest.regexp",
        "body_checks": "pcre:$config_directory/nest.pcre, regexp:$config_directory/nest.regexp",
        "remote_header_rewrite_domain": "invalid.example",
        "virtual_alias_recursion_limit": 2 * DEEP,
        "header_size_limit": 1000000,
        "mime_nesting_limit": 2 * DEEP,
    })
    posthorn.log.expect(r"unreasonable recursion", r"recursion", r"unreasonable", r"nesting", r"nested",
                        r"Alias expansion error", r"premature", r"Illegal address syntax")
    posthorn.start()
    with posthorn.smtp() as client:
        client.say("EHLO " + "a" * 200, expect=250)
        for local in ("((((a", '"' + '\\"' * 50 + '"', "@a,@b:anna", "a!b!c%d%e", "x" * 400, "(" * 300 + ")" * 300 + "anna"):
            client.say(f"MAIL FROM:<{local}@example.org>")
            client.say("RSET", expect=250)
        client.say("MAIL FROM:<circle@example.org>", expect=250)
        client.say("RCPT TO:<anna@example.test>", expect=re.compile(r"4\d\d .*"))
        client.say("RSET", expect=250)
        for message in ["\r\n".join([*_hostile_headers(), "", "text"]), "\r\n".join([*_hostile_mime(DEEP), "a" * 900])]:
            client.say("MAIL FROM:<carl@example.org>", expect=250)
            client.say("RCPT TO:<anna@example.test>", expect=250)
            client.say("RCPT TO:<chain0@example.test>")
            client.say("RCPT TO:<loop@example.test>")
            client.say("DATA", expect=354)
            client.send(message.encode() + b"\r\n.\r\n")
            client.reply(re.compile(r"250 .*"))
        client.say("QUIT", expect=221)
    posthorn.stop()
