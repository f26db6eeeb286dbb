# SPDX-License-Identifier: ISC
"""smtpd_proxy_filter beside Postfix: what the client is told, what is logged, and what the filter was told."""
import re

import pytest

from lib.mta import Postfix, Posthorn
from lib.smtp_filter import SmtpFilter, closed_port
from lib.waiting import free_port, wait_for
from smtp_dialogues import MAIN
from test_smtp_dialogue import Listeners, hold, normalized, talk

EHLO = "EHLO client.example"
BODY = "Subject: hello\r\n\r\nfirst\r\n..dot\r\n.. two\r\nlast\r\n.\r\n"


def said(mode, text=BODY, recipients=("ben@virt.example",), rest=("QUIT",)):
    """A message whose sender tells the filter what to do."""
    return [EHLO, f"MAIL FROM:<{mode}@sender.example> BODY=8BITMIME", *[f"rcpt to:<{to}>" for to in recipients], "DATA", (text.encode(), 1), *rest]


# service -> what it overrides; {main} and the like are ports of filters.
SERVICES = {
    "main": {"smtpd_proxy_filter": "127.0.0.1:{main}", "smtpd_proxy_ehlo": "front.example"},
    "adjust": {"smtpd_proxy_filter": "inet:[127.0.0.1]:{main}", "smtpd_proxy_options": "speed_adjust"},
    "early": {"smtpd_proxy_filter": "127.0.0.1:{main}", "smtpd_delay_open_until_valid_rcpt": "no"},
    "port": {"smtpd_proxy_filter": "{main}"},
    "hurried": {"smtpd_proxy_filter": "127.0.0.1:{main}", "smtpd_proxy_timeout": "2s"},
    "hurried_adjust": {"smtpd_proxy_filter": "127.0.0.1:{main}", "smtpd_proxy_timeout": "2s", "smtpd_proxy_options": "speed_adjust"},
    "small": {"smtpd_proxy_filter": "127.0.0.1:{main}", "message_size_limit": "2000"},
    "trusted": {"smtpd_proxy_filter": "127.0.0.1:{main}", "smtpd_authorized_xforward_hosts": "127.0.0.0/8"},
    "restricted": {"smtpd_proxy_filter": "127.0.0.1:{main}", "smtpd_sender_restrictions":
                   "check_sender_access inline:{{hold@sender.example=HOLD}, {discard@sender.example=DISCARD}, {filter@sender.example=FILTER smtp:x}, "
                   "{redirect@sender.example=REDIRECT ben@virt.example}, {prepend@sender.example=PREPEND X-Seen: yes}, "
                   "{bcc@sender.example=BCC ben@virt.example}}",
                   "smtpd_end_of_data_restrictions": "check_sender_access inline:{{late@sender.example=REJECT too late}}"},
    "down": {"smtpd_proxy_filter": "127.0.0.1:{down}"},
    "down_adjust": {"smtpd_proxy_filter": "127.0.0.1:{down}", "smtpd_proxy_options": "speed_adjust"},
    "gone": {"smtpd_proxy_filter": "unix:private/nothing"},
    "refusing": {"smtpd_proxy_filter": "127.0.0.1:{refusing}"},
    "closing": {"smtpd_proxy_filter": "127.0.0.1:{closing}"},
    "mute": {"smtpd_proxy_filter": "127.0.0.1:{mute}", "smtpd_proxy_timeout": "1s"},
    "plain": {"smtpd_proxy_filter": "127.0.0.1:{plain}"},
    "no_ehlo": {"smtpd_proxy_filter": "127.0.0.1:{no_ehlo}"},
    "no_xforward": {"smtpd_proxy_filter": "127.0.0.1:{no_xforward}"},
    "few": {"smtpd_proxy_filter": "127.0.0.1:{few}", "myhostname": "front.example"},
    "loop": {"smtpd_proxy_filter": "127.0.0.1:{behind}"},
}
FILTERS = {
    "main": {}, "refusing": {"greeting": "554 5.3.2 not today"}, "closing": {"greeting": "close"}, "mute": {"greeting": "silent"},
    "plain": {"hello": ("250 filter",)}, "no_ehlo": {"hello": ("502 5.5.1 what",)}, "no_xforward": {"xforward": "550 5.7.1 no"},
    "few": {"hello": ("250-filter", "250-XFORWARD name HELO odd", "250 SIZE")},
}

REFUSED = [f"{step}-{code}" for step in ("mail", "rcpt", "data", "dot") for code in (421, 450, 550, 250, 354)
           if (step, code) not in (("data", 354), ("dot", 354))]
MISBEHAVED = [f"{step}-{what}" for step in ("rcpt", "dot") for what in ("close", "lines", "bare", "eight")] + \
    ["mail-close", "data-close", "content-close"]
DIALOGUES = [(f"{mode}, {service}", service, said(mode, rest=("RSET", "QUIT"))) for service in ("main", "adjust") for mode in ["ok", *REFUSED]] + \
    [(f"{mode}, {service}", service, said(mode)) for service in ("main", "adjust") for mode in MISBEHAVED if mode != "data-250"] + [
    (f"{mode}, {service}", service, said(mode)) for service, mode in
    (("hurried", "rcpt-silent"), ("hurried", "dot-slow"), ("hurried_adjust", "dot-silent"), ("hurried_adjust", "dot-slow"))] + [
    ("two messages", "main", said("ok", rest=()) + said("dot-550", rest=())[1:] + said("ok")[1:]),
    ("two recipients", "main", said("ok", recipients=("ben@virt.example", "other@virt.example"))),
    ("two recipients, speed_adjust", "adjust", said("ok", recipients=("ben@virt.example", "other@virt.example"))),
    ("one of two is refused", "main", said("rcpt-550", recipients=("ben@virt.example", "other@virt.example"))),
    ("our own refusal", "main", said("ok", recipients=("nobody@elsewhere.example", "ben@virt.example"))),
    ("no recipient is ours", "main", [EHLO, "MAIL FROM:<ok@sender.example>", "RCPT TO:<x@elsewhere.example>", "DATA", "QUIT"]),
    ("no message", "main", [EHLO, "MAIL FROM:<ok@sender.example>", "RCPT TO:<ben@virt.example>", "RSET", "QUIT"]),
    ("refused twice", "main", [EHLO, "MAIL FROM:<rcpt-550@sender.example>", "RCPT TO:<ben@virt.example>", "RCPT TO:<ben@virt.example>", "DATA", "QUIT"]),
    ("lost and again", "main", [EHLO, "MAIL FROM:<rcpt-close@sender.example>", "RCPT TO:<ben@virt.example>", "RCPT TO:<ben@virt.example>", "DATA", "QUIT"]),
    ("HELO", "main", ["HELO old.example", "MAIL FROM:<ok@sender.example>", "RCPT TO:<ben@virt.example>", "DATA", (BODY.encode(), 1), "QUIT"]),
    ("no hello", "main", ["MAIL FROM:<ok@sender.example>", "RCPT TO:<ben@virt.example>", "DATA", (BODY.encode(), 1), "QUIT"]),
    ("odd hello", "main", ["EHLO a+b=c", "MAIL FROM:<ok@sender.example>", "RCPT TO:<ben@virt.example>", "DATA", (BODY.encode(), 1), "QUIT"]),
    ("long hello", "main", ["EHLO " + "x" * 600 + ".example", "MAIL FROM:<ok@sender.example>", "RCPT TO:<ben@virt.example>", "DATA",
                            (BODY.encode(), 1), "QUIT"]),
    ("parameters", "main", [EHLO, "mail from:<ok@sender.example>  size=100 body=8BITMIME RET=HDRS ENVID=x", "RCPT TO:<ben@virt.example> NOTIFY=NEVER",
                            "data", (BODY.encode(), 1), "QUIT"]),
    ("empty", "main", said("ok", ".\r\n")), ("blank first", "main", said("ok", "\r\nx\r\n.\r\n")),
    ("space first", "main", said("ok", " leading\r\n.\r\n")), ("mbox line", "main", said("ok", "From me\r\nSubject: x\r\n\r\n.\r\n")),
    ("bare LF", "main", said("ok", "Subject: x\n\na\nb\r\n.\r\n")), ("long line", "main", said("ok", "Subject: x\r\n\r\n" + "y" * 5000 + "\r\n.\r\n")),
    ("large", "main", said("ok", "Subject: x\r\n\r\n" + ("z" * 76 + "\r\n") * 12000 + ".\r\n")),
    ("large, speed_adjust", "adjust", said("ok", "Subject: x\r\n\r\n" + ("z" * 76 + "\r\n") * 12000 + ".\r\n")),
    ("BDAT", "main", [EHLO, "MAIL FROM:<ok@sender.example>", "RCPT TO:<ben@virt.example>", (b"BDAT 10\r\nSubject: x", 1),
                      (b"BDAT 14 LAST\r\n\r\n\r\n.one\r\n..\r\n", 1), "QUIT"]),
    ("BDAT refused", "main", [EHLO, "MAIL FROM:<data-550@sender.example>", "RCPT TO:<ben@virt.example>", (b"BDAT 10\r\nSubject: x", 1),
                              (b"BDAT 4 LAST\r\n\r\n\r\n", 1), "QUIT"]),
    ("too large", "small", said("ok", "Subject: x\r\n\r\n" + "y\r\n" * 2000 + ".\r\n")),
    ("forwarded", "trusted", [EHLO, "XFORWARD NAME=far.example ADDR=192.0.2.7 PORT=99 HELO=far PROTO=SMTP IDENT=ABC SOURCE=REMOTE", *said("ok")[1:]]),
    ("forwarded ident", "trusted", [EHLO, "XFORWARD IDENT=ABC", *said("ok")[1:]]),
    ("early", "early", said("ok")), ("early, refused", "early", said("mail-550")), ("port", "port", said("ok")),
    ("too late", "restricted", said("late"))] + [
    (f"action {word}", "restricted", said(word)) for word in ("hold", "discard", "filter", "redirect", "prepend", "bcc")] + [
    (service, service, said("ok")) for service in
    ("down", "down_adjust", "gone", "refusing", "closing", "mute", "plain", "no_ehlo", "no_xforward", "few")] + [
    ("down, twice", "down", [EHLO, "MAIL FROM:<ok@sender.example>", "RCPT TO:<ben@virt.example>", "RCPT TO:<ben@virt.example>", "DATA", "QUIT"]),
]


class Filtered(Listeners):
    def __init__(self, kind):
        self.filters = {name: SmtpFilter(**options) for name, options in FILTERS.items()}
        self.closed = closed_port()
        self.numbers = {**{name: server.port for name, server in self.filters.items()}, "down": self.closed.getsockname()[1]}

        def fill(value):
            return re.sub(r"\{(\w+)\}(?![,}])", lambda match: str(self.numbers[match.group(1)]) if match.group(1) in self.numbers else match.group(0), value)
        self.behind = free_port()

        def with_service_behind():
            mta = kind()
            mta.master_cf = (f"127.0.0.1:{self.behind} inet n - n - - smtpd -o smtpd_proxy_filter= -o mynetworks=127.0.0.0/8\n"
                             "  -o smtpd_authorized_xforward_hosts=127.0.0.0/8\n") + mta.master_cf
            return mta

        self.numbers["behind"] = self.behind
        super().__init__(with_service_behind, {name: {key: fill(value) for key, value in overrides.items()} for name, overrides in SERVICES.items()},
                         {**MAIN, "message_size_limit": "2000000"})

    def finish(self):
        for server in self.filters.values():
            server.close()
        self.closed.close()
        self.mta.finish()

    def masked(self, text):
        for name, port in self.numbers.items():
            text = text.replace(f":{port}", f":{name}").replace(f" {port}", f" {name}")
        return text


@pytest.fixture(scope="module")
def both():
    for kind in (Posthorn, Postfix):
        if kind.unavailable():
            pytest.skip(kind.unavailable())
    servers = []
    try:
        for kind in (Posthorn, Postfix):
            servers.append(Filtered(kind))
        yield servers
    finally:
        for server in servers:
            server.finish()


def normal(item):
    text = item if isinstance(item, str) else item.decode("latin-1")
    text = re.sub(r"PORT=\d{4,5}\b", "PORT=N", text)
    return re.sub(r"\w{3}, +\d+ \w{3} \d{4} \d\d:\d\d:\d\d .*", "DATE", text)


def told(dialogue):
    """How much of a message that broke off has left is chance."""
    if "(no dot)" in dialogue:
        dialogue = [item for item in dialogue if isinstance(item, str)]
    return [normal(item) for item in dialogue]


def exchange(server, service, steps):
    """Replies, log lines, and what filters heard."""
    before = {name: len(one.heard) for name, one in server.filters.items()}
    replies, lines = hold(server, service, steps)
    for one in server.filters.values():
        one.released.set()
    wait_for(lambda: all(not one.busy for one in server.filters.values()), "the filters' ends")
    heard = [told(dialogue) for name, one in server.filters.items() for dialogue in one.heard[before[name]:]]
    for one in server.filters.values():
        one.released.clear()
    return replies, [normal(server.masked(line)) for line in lines], heard


@pytest.mark.parametrize("name, service, steps", DIALOGUES, ids=[name for name, _, _ in DIALOGUES])
def test_both_do_the_same(both, name, service, steps):
    posthorn, postfix = (exchange(server, service, steps) for server in both)
    assert posthorn[0] == postfix[0]
    assert posthorn[1] == postfix[1]
    assert posthorn[2] == postfix[2]


def loop(server, steps):
    """A message through a service whose filter is another service, which stores it."""
    log = server.mta.log
    before, ended = len(log.lines()), len(log.lines(r"smtpd\[\d+\]: disconnect from"))
    replies = talk(server.ports["loop"], steps)
    log.wait(r"smtpd\[\d+\]: disconnect from", count=ended + 2, seconds=20)
    queue_id = re.search(rb"queued as (\w+)", b"".join(replies)).group(1).decode()
    log.wait(rf"cleanup\[\d+\]: {queue_id}: message-id=")
    lines = [normalized(line, [queue_id]) for line in log.lines()[before:] if re.search(r" postfix/(smtpd|cleanup)\[", line)]
    return [reply.replace(queue_id.encode(), b"ID") for reply in replies], sorted(line for line in lines if line)


def test_a_message_comes_back_through_another_service(both):
    steps = said("ok", "Message-Id: <one@sender.example>\r\nSubject: x\r\n\r\n" + ("z" * 76 + "\r\n") * 5000 + ".\r\n")
    posthorn, postfix = (loop(server, steps) for server in both)
    assert posthorn == postfix
    assert any("orig_client=unknown[127.0.0.1]" in line for line in posthorn[1])
    assert any(line.startswith("smtpd: proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as ID; from=<ok@sender.example>") for line in posthorn[1])


def test_a_filter_may_refuse_before_the_end(both):
    posthorn, postfix = (exchange(server, "main", said("data-toosoon"))[:2] for server in both)  # not: whether it heard the rest
    assert posthorn == postfix
    assert "552 5.3.4 Too much" in posthorn[0]


# What a filter must not say is our own affair (docs/config-differences.md): the client gets a reply that it can read.
@pytest.mark.parametrize("service", ["main", "adjust"])
@pytest.mark.parametrize("mode, warning", [("rcpt-garbage", "received garbage from proxy"), ("dot-garbage", "received garbage from proxy"),
                                           ("dot-354", ""), ("dot-199", ""), ("rcpt-mixed", "rejected \"rcpt to"), ("dot-mixed", ""),
                                           ("rcpt-endless", "lost connection with proxy"), ("data-unending", "lost connection with proxy"),
                                           ("mail-twice", "speaks out of turn"), ("rcpt-twice", "speaks out of turn"), ("data-early", "speaks out of turn")])
def test_nonsense_is_a_451(both, service, mode, warning):
    replies, lines = hold(both[0], service, said(mode))
    assert replies.count("451 4.3.0 Error: queue file write error") == 1
    assert "nonsense" not in replies and "queued" not in replies
    assert any(warning in line for line in lines)


def test_long_replies_are_cut(both):
    replies, lines = hold(both[0], "main", said("rcpt-long"))
    assert "550 5.7.1 xxx" in replies and max(map(len, replies.splitlines())) <= 2048
    assert any("response longer than 2048: 550 5.7.1 x" in line for line in lines)
