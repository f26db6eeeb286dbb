# SPDX-License-Identifier: ISC
"""Random SMTP dialogues, odd in every way a client can be odd, from a seed: the same seed gives the same dialogue.

A step is (bytes, replies that it must bring at least). What the server said last decides one thing only: after a 354 the
next step is content.
"""
import random

ADDRESSES = [
    "<a@sender.example>", "<>", "<anna@virt.example>", "<ben@virt.example>", "<info@virt.example>", "<both@virt.example>",
    "<nobody@virt.example>", "<x@elsewhere.example>", "a@sender.example", "anna@virt.example", "< anna@virt.example>",
    "<anna@virt.example >", "<anna @virt.example>", '<"anna"@virt.example>', '<"an na"@virt.example>', '<"a\\"b"@sender.example>',
    '<"a\\\\b"@sender.example>', '<"anna@virt.example"@sender.example>', "<@one.example:anna@virt.example>",
    "<@one.example,@two.example:anna@virt.example>", "<@one.example anna@virt.example>", "<anna%virt.example@sender.example>",
    "<sender.example!anna>", "<anna@virt.example.>", "<anna@.virt.example>", "<anna@virt..example>", "<anna@[127.0.0.1]>",
    "<anna@[IPv6:::1]>", "<anna@[127.0.0.1>", "<anna>", "<@>", "<@virt.example>", "<anna@>", "<postmaster>", "<Postmaster@virt.example>",
    "<abuse>", "<-anna@virt.example>", "<anna(c)@virt.example>", "(c)<anna@virt.example>", "<anna@virt.example>(c)", "Anna <anna@virt.example>",
    "<anna@virt.example", "anna@virt.example>", "<<anna@virt.example>>", "<anna@virt.example><ben@virt.example>",
    "<anna@virt.example>,<ben@virt.example>", "<anna;@virt.example>", "<an,na@virt.example>", "<an:na@virt.example>", "<ann\xc3\xa4@virt.example>",
    "<ann\xe4@virt.example>", "<anna@virt\xc3\xa4.example>", "<" + "a" * 70 + "@virt.example>", "<a@" + "b." * 130 + "example>", '<"">', '<""@virt.example>',
    "<\"unclosed@virt.example>", "<anna@virt.example\\>", "<an\\na@virt.example>", "<anna\t@virt.example>", "<a@b@c.example>", "<.a.@virt.example>",
    "<a..b@virt.example>", "<ANNA@VIRT.EXAMPLE>", "<anna+ext@virt.example>", "<owner-anna@virt.example>", "''<anna@virt.example>'", "",
]
MAIL_PARAMETERS = [
    "SIZE=100", "SIZE=0", "SIZE=", "SIZE", "SIZE=-1", "SIZE=abc", "SIZE=99999999999999999999", "SIZE=100x", "size=7", "SIZE=+1",
    "BODY=8BITMIME", "BODY=7BIT", "BODY=BINARYMIME", "BODY=", "BODY", "body=7bit", "SMTPUTF8", "SMTPUTF8=x", "smtputf8", "RET=FULL", "RET=HDRS",
    "RET=", "RET=x", "ret=full", "RET", "ENVID=abc", "ENVID=a+2Bb", "ENVID=a+2bb", "ENVID=", "ENVID=a=b", "ENVID=+00", "ENVID=" + "e" * 110,
    "ENVID=a+", "ENVID=\xe4", "AUTH=<>", "FOO", "FOO=bar", "=", "=x", "NOTIFY=NEVER", "ORCPT=rfc822;x",
    "XVERP", "MT-PRIORITY=3", "BY=1;R", "REQUIRETLS", "HOLDFOR=10", "<x>", '"quoted"', "(comment)", "A=<b c>", 'ENVID="a b"',
]
RCPT_PARAMETERS = [
    "NOTIFY=NEVER", "NOTIFY=SUCCESS", "NOTIFY=SUCCESS,FAILURE,DELAY", "NOTIFY=NEVER,SUCCESS", "NOTIFY=", "NOTIFY", "NOTIFY=x", "notify=delay",
    "NOTIFY=SUCCESS,", "NOTIFY=,SUCCESS", "NOTIFY=SUCCESS,SUCCESS", "NOTIFY=success failure", "ORCPT=rfc822;anna@virt.example", "ORCPT=rfc822;a+40b",
    "ORCPT=rfc822;", "ORCPT=;x", "ORCPT=x", "ORCPT=", "ORCPT", "ORCPT=utf-8;a\\x{e4}b@c", "ORCPT=rfc822;a+4", "ORCPT=rfc822;a=b", "ORCPT=a b;c",
    "orcpt=RFC822;Anna@x", "ORCPT=rfc822;" + "o" * 510, "FOO", "FOO=bar", "SIZE=1", "BODY=7BIT", "RET=FULL", "=", "<x>", '"q"',
    "ORCPT=unknown;x@y", "ORCPT=rfc822;\xc3\xa4@x", "ORCPT=utf-8;\xc3\xa4@x.example",
]
ARGUMENTS = ["", " ", " x", " x y", " <x>", " foo bar baz", " anna@virt.example", " <anna@virt.example>", " <nobody@virt.example>", " anna", " @virt.example",
             " #virt.example", " virt.example", " \xc3\xa4", " \xe4", " \"a b\"", " \"a", " <a b", " (a b) c", " [127.0.0.1]", " [IPv6:::1]", " a..b", " -x-", " a_b",
             " 1.2.3.4", " " + "h" * 300, " x\t", "\tx", " client.example.", " .", " a@b", " [", " ]", " [1.2.3]", "=x", ":", ": x",
             " [ipv6:1::2]", " elsewhere.example", " <x@elsewhere.example>", " postmaster", " \"\"", " <>", " ''"]
WORDS = ["HELO", "EHLO", "RSET", "NOOP", "VRFY", "EXPN", "ETRN", "HELP", "TURN", "SEND", "SOML", "SAML", "DATA", "XCLIENT", "XFORWARD", "STARTTLS", "QUITT",
         "FOO", "MAIL", "RCPT", "MAIL FROM", "RCPT TO", "MAIL TO:", "RCPT FROM:", "helo", "Ehlo", "rset", "noop", "vrfy", "data", "", " ", "\t", "\"x\"", "<", "(", "\x80",
         "MAILFROM:", "RCPTTO:", "BDAT"]
# What ends a session: seldom, else no dialogue gets anywhere.
LAST_WORDS = ["GET / HTTP/1.0", "POST /", "CONNECT x", "Subject: x", "From:", "QUIT", "QUIT now", "quit", "\x16\x03\x01\x02", "1abc", "BDAT x", "BDAT", "BDAT -1", "BDAT 5 FIRST",
              "BDAT 99999999999999999999", "BDAT 1 LAST x", "{", "=", "a\0b", "\0"]
CONTENTS = [
    "Subject: x\r\nMessage-Id: <one@sender.example>\r\n\r\nhello\r\n", "hello\r\n", "", "\r\n", "\r\n\r\n", "..\r\n", "...x\r\n", "Subject: x\n\nlf only\n.\nmore\r\n",
    "a\r.\r\nb\r\n", "a\n.\r\nb\r\n", "a\r\n.\nb\r\n", "a\r\n.\rb\r\n", "\r\n.\r\r\nx\r\n", "Subject: \xe4\r\n\r\n\xff\xfe\r\n", "From x y\r\nSubject: x\r\n\r\n", ">From x\r\n",
    "Received: a\r\n" * 5 + "\r\n", "Message-Id:\r\n\r\n", "X" * 3000 + "\r\n", "Message-Id: <a@b>\r\nMessage-Id: <c@d>\r\n\r\n", "Message-Id: <a\r\n @b>\r\n\r\n", " folded\r\nSubject: x\r\n",
    "Subject : x\r\nMessage-ID : <a@b>\r\n\r\n", "message-id:<x@y>\r\n", "no header\r\nMessage-Id: <x@y>\r\n", "Bcc: x@y\r\n\r\n", "Content-Type: text/plain\r\n\r\nx",
    "Message-Id: <\xe4@b>\r\n\r\n", "Message-Id: <\xc3\xa4@b>\r\n\r\n", "Resent-Message-Id: <r@s>\r\nMessage-Id: <m@s>\r\n\r\n", ":\r\n\r\n", "Subject: x\r\n.\r\n"[:-3],
]


class Torture:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.left = self.random.randint(4, 16)

    def pick(self, choices):
        return self.random.choice(choices)

    def chance(self, percent):
        return self.random.randrange(100) < percent

    # --- commands -------------------------------------------------------------------------

    def path_command(self, word, good, parameters):
        address = good if self.chance(55) else self.pick(ADDRESSES)
        text = word + (self.pick(["", " ", "  ", "\t"]) if self.chance(20) else "") + address
        for _ in range(self.pick([0, 0, 0, 1, 1, 2])):
            text += self.pick([" ", " ", " ", "  ", ""] if self.chance(10) else [" "]) + self.pick(parameters)
        return text

    def mail(self):
        return self.path_command(self.pick(["MAIL FROM:"] * 6 + ["mail from:", "MAIL  FROM:", "MAIL FROM :", "MAIL FROM", "MAIL FROM=", "MAIL\tFROM:"]),
                                 "<a@sender.example>", MAIL_PARAMETERS)

    def rcpt(self):
        return self.path_command(self.pick(["RCPT TO:"] * 6 + ["rcpt to:", "RCPT  TO:", "RCPT TO :", "RCPT TO", "RCPT\tTO:"]),
                                 "<anna@virt.example>", RCPT_PARAMETERS)

    def other(self):
        return self.pick(WORDS) + self.pick(ARGUMENTS)

    def command(self):
        kind = self.random.randrange(100)
        if kind < 25:
            return self.mail()
        if kind < 55:
            return self.rcpt()
        if kind < 63:
            return "DATA" + (self.pick(ARGUMENTS) if self.chance(10) else "")
        if kind < 72:
            return self.pick(["EHLO", "HELO"]) + " client.example"
        if kind < 78:
            return "RSET"
        return self.other()

    def line_end(self):
        return self.pick(["\n", "\r\r\n", " \r\n", "\t\r\n"]) if self.chance(4) else "\r\n"

    def spoil(self, text):
        if self.chance(3):
            text = self.pick([" ", "\t", "\x01", "\xe4"]) + text
        if self.chance(2):
            text += self.pick(["\r", "\x01", "\xe4", "\xc3\xa4", " " * 2500, " " + "y" * 2100, " <" + "z" * 1000 + ">"])
        return text

    # --- steps ----------------------------------------------------------------------------------

    def chunk(self):
        size = self.pick([0, 1, 5, 20, 100])
        content = (self.pick(CONTENTS) + "x" * size)[:size]
        return ("BDAT %d%s\r\n%s" % (size, self.pick(["", "", " LAST", " last"]), content), 1)

    def pipeline(self):
        commands = [self.command() for _ in range(self.random.randint(2, 5))]
        commands = [c for c in commands if not c.upper().startswith(("DATA", "BDAT", "XCLIENT", "STARTTLS", "AUTH"))] or ["NOOP"]
        return "".join(c + "\r\n" for c in commands), len(commands)

    def content(self):
        text = self.pick(CONTENTS)
        return (text if text.endswith("\r\n") or not text else text + "\r\n") + ".\r\n", 1

    def step(self, wants_content):
        if wants_content:
            return self.content()
        self.left -= 1
        if self.left < 0:
            return "QUIT\r\n", 1
        kind = self.random.randrange(100)
        if kind < 8:
            return self.pipeline()
        if kind < 16:
            return self.chunk()
        if kind < 18:
            return self.pick(LAST_WORDS) + "\r\n", 1
        return self.spoil(self.command()) + self.line_end(), 1
