# SPDX-License-Identifier: ISC
"""Address verification (ADDRESS_VERIFICATION_README) beside Postfix: replies, log lines, what servers are asked; and what the
memory of results does over time and restarts."""
import os
import pwd
import re
import threading
import time

import pytest

from lib.lmtp_sink import LmtpSink
from lib.mta import IS_ROOT, Postfix, Posthorn
from lib.reference_release import lines_as_followed
from lib.smtp import SmtpClient
from lib.waiting import accepts_connections, allowed, free_port, wait_for

pytestmark = pytest.mark.skipif(Posthorn.unavailable() is not None, reason="needs an installed build")

ALIASES = "inline:{{two@virt.test=anna@virt.test, ben@virt.test}, {alias@virt.test=ben@virt.test}, {noalias@virt.test=no@virt.test}}"
TRANSPORTS = ("inline:{{v.test=virtual:}, {err.test=error:5.1.2 no way}, {wait.test=retry:4.3.1 not now}, {disc.test=discard:gone}, "
              "{dead.test=lmtp:inet:127.0.0.1:1}}")


def on_rcpt(address):
    if address.startswith("no"):
        return "550 5.1.1 <x> no such user here"
    if address.startswith("temp"):
        return "450 4.2.1 mailbox busy"
    if address.startswith("slow"):
        time.sleep(1.5)
    return "250 2.1.5 sure"


def configure(mta, sink, **more):
    mta.main.update({
        "mynetworks": "127.0.0.9/32", "mydestination": "$myhostname", "local_recipient_maps": "",
        "virtual_mailbox_domains": "virt.test, v.test", "virtual_mailbox_maps": "inline:{{box@v.test=box}, {dir@v.test=dir/}, {a=b}}",
        "virtual_transport": f"lmtp:{sink.next_hop}", "virtual_alias_maps": ALIASES, "transport_maps": TRANSPORTS,
        "relay_domains": "err.test, disc.test, dead.test, wait.test, smtp.test",
        "virtual_mailbox_base": mta.directory / "mail", "virtual_minimum_uid": 1,
        "virtual_uid_maps": f"static:{pwd.getpwnam('nobody').pw_uid}", "virtual_gid_maps": f"static:{pwd.getpwnam('nobody').pw_gid}",
        "smtpd_reject_unlisted_recipient": "no", "smtpd_peername_lookup": "no", "smtpd_error_sleep_time": "0",
        "smtpd_relay_restrictions": "reject_unauth_destination",
        "smtpd_recipient_restrictions": "reject_unverified_recipient",
        "address_verify_poll_delay": "1", "notify_classes": "", **more})
    (mta.directory / "mail").mkdir(exist_ok=True)


@pytest.fixture
def sink():
    server = LmtpSink()
    server.on_rcpt = on_rcpt
    yield server
    server.close()


@pytest.fixture
def server(sink):
    if not IS_ROOT:
        pytest.skip("needs root")
    server = Posthorn()
    configure(server, sink)
    yield server
    server.finish()


def ask(server, recipient, sender="carl@x.test"):
    with server.smtp() as client:
        client.hello()
        client.say(f"MAIL FROM:<{sender}>", expect=250)
        return client.say(f"RCPT TO:<{recipient}>")


# --- beside Postfix ----------------------------------------------------------------------------

# Settings of a whole server: all cases of one are held one after another.
SERVERS = {
    "plain": {}, "more": {}, "senders": {}, # alike: they run side by side
    "data": {"lmtp_address_verify_target": "data", "address_verify_sender_ttl": "100d"},
    "soft": {"soft_bounce": "yes", "address_verify_sender": "prober@probe.test"},
    "routes": {"address_verify_virtual_transport": "error:5.1.9 probes only", "address_verify_transport_maps": "",
               "address_verify_relay_transport": "discard:for probes"},
    "uncached": {"address_verify_negative_cache": "no", "address_verify_sender": ""},
}
REJECT = {"unverified_recipient_reject_code": "550"}
BY_SENDER = {"smtpd_sender_restrictions": "reject_unverified_sender", "smtpd_recipient_restrictions": "permit"}
# name -> (server, settings of its smtpd service, addresses asked one after another)
CASES = {
    "defaults": ("plain", {}, [
        "anna@virt.test", "anna@virt.test", "no@virt.test", "no@virt.test", "temp@virt.test", "two@virt.test", "alias@virt.test",
        "noalias@virt.test", "x@v.test", "box@v.test", "dir@v.test", "x@err.test", "x@wait.test", "x@disc.test", "x@dead.test",
        "postmaster", "double-bounce@mail.example.test"]),
    "codes": ("more", {**REJECT, "unverified_recipient_defer_code": "451", "unverified_recipient_reject_reason": "Go away"},
              ["a1@virt.test", "no1@virt.test", "temp1@virt.test", "x1@err.test"]),
    "permissive": ("more", {"unverified_recipient_reject_code": "250", "unverified_recipient_defer_code": "250"},
                   ["no2@virt.test", "temp2@virt.test"]),
    "at-once": ("more", {"unverified_recipient_tempfail_action": "defer",
                          "smtpd_recipient_restrictions": "reject_unverified_recipient, reject"}, ["temp3@virt.test", "a3@virt.test"]),
    "if-permit": ("more", {"smtpd_recipient_restrictions": "reject_unverified_recipient, reject"},
                  ["temp4@virt.test", "no4@virt.test"]),
    "warn": ("more", {**REJECT, "smtpd_recipient_restrictions": "warn_if_reject reject_unverified_recipient"},
             ["temp5@virt.test", "no5@virt.test", "a5@virt.test"]),
    "sender": ("senders", {**BY_SENDER, "unverified_sender_reject_code": "550", "unverified_sender_defer_code": "451"},
               ["no6@virt.test", "temp6@virt.test", "a6@virt.test", "", "x6@dead.test", "x6@err.test",
                "double-bounce@mail.example.test"]),
    "sender-early": ("senders", {**BY_SENDER, "smtpd_delay_reject": "no", "unverified_sender_reject_reason": "Who are you?"},
                     ["no7@virt.test", "a7@virt.test"]),
    "poll": ("more", {"address_verify_poll_count": "1"}, ["temp8@virt.test"]),
    "data": ("data", REJECT, ["anna@virt.test", "no@virt.test", "temp@virt.test", "two@virt.test"]),
    "soft": ("soft", REJECT, ["no@virt.test", "x@err.test", "prober@probe.test", "anna@virt.test"]),
    "routes": ("routes", REJECT, ["anna@virt.test", "x@err.test", "x@dead.test"]),
    "uncached": ("uncached", {"address_verify_poll_count": "2"}, ["anna@virt.test", "no@virt.test"]),
}
# Lines that say the same of each program on the way, whatever program that is.
COMPONENTS = r"(smtpd|cleanup|qmgr|lmtp|virtual|error|discard|bounce|verify)"


def normalized(line, port):
    line = re.sub(rf"^.*? postfix/{COMPONENTS}\[\d+\]: ", r"\1: ", line)
    line = re.sub(r"\b[0-9A-F]{9,15}\b", "ID", line).replace(f":{port}", ":PORT")
    line = re.sub(r"delay=[\d.]+, delays=[\d./]+", "delay=", line)
    line = re.sub(r"conn_use=\d+, ", "", line)
    return re.sub(r"size=\d+", "size=", re.sub(r"<\d{14}\.", "<TIME.", line))


def interesting(lines):
    """Without what only one of them has to say of itself."""
    return [line for line in lines if re.search(rf" postfix/{COMPONENTS}\[", line)
            and not re.search(r"connect from|lost connection|full cleanup|: connect to |queue-active|close database", line)]


class Run:
    """All cases of one server, on a thread of its own."""

    def __init__(self, kind, name):
        self.sink = LmtpSink()
        self.sink.on_rcpt = on_rcpt
        self.mta = kind()
        self.cases = {case: settings for case, settings in CASES.items() if settings[0] == name}
        configure(self.mta, self.sink, **SERVERS[name])
        self.mta.log.expect("")
        self.ports = {case: free_port() for case in self.cases}
        self.mta.master_cf += "".join(
            f"127.0.0.1:{self.ports[case]} inet n - n - - smtpd\n"
            + "".join(f"  -o {{ {parameter} = {value} }}\n" for parameter, value in overrides.items())
            for case, (_, overrides, _) in self.cases.items())
        self.steps = {}
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        self.mta.start()
        for port in self.ports.values():
            wait_for(lambda port=port: accepts_connections("127.0.0.1", port), f"port {port}", 30)
        time.sleep(0.5) # the ends of those connections
        for case, (_, _, addresses) in self.cases.items():
            self.steps[case] = [self.step(case, address) for address in addresses]

    def step(self, case, address):
        before = len(self.mta.log.lines())
        reply = self.talk(case, address)
        if "in progress" in reply:
            time.sleep(0.5)
        self.settle(before)
        lines = set(lines_as_followed(normalized(line, self.sink.port) for line in interesting(self.mta.log.lines()[before:])))
        return address, reply, sorted(lines)

    def talk(self, case, address):
        by_sender = case.startswith("sender")
        with SmtpClient(self.ports[case]) as client:
            client.hello()
            first = client.say(f"MAIL FROM:<{address if by_sender else 'carl@x.test'}>")
            return first + " / " + client.say(f"RCPT TO:<{'anna@virt.test' if by_sender else address}>")

    def settle(self, before):
        """A probe that the client did not wait for comes to its end."""
        wait_for(lambda: all(any(f"{queue_id}: removed" in line for line in self.mta.log.lines()[before:]) for queue_id in
                             re.findall(r"cleanup\[\d+\]: (\w+): message-id=", "\n".join(self.mta.log.lines()[before:]))),
                 "the end of the probe", 10)
        time.sleep(0.05)


@pytest.fixture(scope="module")
def runs():
    if Postfix.unavailable():
        pytest.skip(Postfix.unavailable())
    started = {(kind.name, name): Run(kind, name) for name in SERVERS for kind in (Posthorn, Postfix)}
    for run in started.values():
        run.thread.join()
    yield {(key[0], case): steps for key, run in started.items() for case, steps in run.steps.items()}
    died = [line for (name, _), run in started.items() if name == "posthorn"
            for line in run.mta.log.lines(r"panic:|fatal:|killed by signal")]
    for run in started.values():
        run.mta.finish()
        run.sink.close()
    assert not died, died


@pytest.mark.parametrize("case", CASES)
def test_both_say_the_same(runs, case):
    posthorn, postfix = runs["posthorn", case], runs["postfix", case]
    assert len(postfix) == len(CASES[case][2])
    assert posthorn == postfix


# --- our memory, our waiting ----------------------------------------------------------------------


def probes(sink):
    return [command for command in sink.commands if command.upper().startswith("RCPT")]


@pytest.mark.core
def test_a_client_waits_for_the_probe_and_no_longer(server, sink):
    server.main["address_verify_poll_delay"] = "10"
    server.start()
    began = time.monotonic()
    assert ask(server, "anna@virt.test").startswith("250")
    assert time.monotonic() - began < allowed(2)
    assert ask(server, "slow@virt.test").startswith("250")
    assert 1.4 < time.monotonic() - began < 5


@pytest.mark.core
def test_results_survive_a_restart(server, sink):
    server.start()
    assert ask(server, "anna@virt.test").startswith("250")
    assert ask(server, "no@virt.test").startswith("450")
    time.sleep(1.2) # the state role writes once a second
    server.restart()
    asked = len(probes(sink))
    assert ask(server, "anna@virt.test").startswith("250")
    assert ask(server, "no@virt.test").startswith("450")
    assert len(probes(sink)) == asked


def test_many_clients_one_probe(server, sink):
    server.start()
    clients = [server.smtp() for _ in range(20)]
    for client in clients:
        client.hello()
        client.say("MAIL FROM:<carl@x.test>", expect=250)
    for client in clients:
        client.send(b"RCPT TO:<slow@virt.test>\r\n")
    for client in clients:
        client.reply("250 2.1.5 Ok")
        client.close()
    assert len(probes(sink)) == 1
    assert "Mail queue is empty" in server.mailq()


def test_a_good_address_stays_good_while_it_is_renewed(server, sink):
    server.main.update({"address_verify_positive_refresh_time": "1s", "address_verify_negative_refresh_time": "1s"})
    server.start()
    assert ask(server, "anna@virt.test").startswith("250")
    sink.on_rcpt = lambda address: "550 5.1.1 gone"
    time.sleep(2.1)
    assert ask(server, "anna@virt.test").startswith("250"), "what was known counts"
    wait_for(lambda: len(probes(sink)) == 2, "the renewal")
    server.log.wait("status=undeliverable")
    assert ask(server, "anna@virt.test").startswith("250"), "a failed probe does not spoil it"
    assert ask(server, "ben@virt.test").startswith("450")
    sink.on_rcpt = on_rcpt
    time.sleep(2.1)
    ask(server, "ben@virt.test")
    wait_for(lambda: ask(server, "ben@virt.test").startswith("250"), "the better result")


def test_results_expire(server, sink):
    server.main.update({"address_verify_positive_expire_time": "1s", "address_verify_negative_expire_time": "1s"})
    server.start()
    assert ask(server, "anna@virt.test").startswith("250")
    sink.on_rcpt = lambda address: "550 5.1.1 gone"
    time.sleep(2.1)
    assert ask(server, "anna@virt.test").startswith("450")
    sink.on_rcpt = on_rcpt
    time.sleep(2.1)
    assert ask(server, "anna@virt.test").startswith("250")


def test_a_probe_delivers_nothing(server, sink):
    server.start()
    for address in ("anna@virt.test", "box@v.test", "dir@v.test", "x@disc.test"):
        assert ask(server, address).startswith("250")
    time.sleep(0.3)
    assert sink.messages == [] and not any(command.upper().startswith("DATA") for command in sink.commands)
    assert not any(os.scandir(server.directory / "mail"))
    assert "Mail queue is empty" in server.mailq()
    sent = server.send("carl@x.test", "anna@virt.test")
    server.log.wait(rf"{sent}: to=<anna@virt.test>.*status=sent")
    assert len(sink.messages) == 1, "the connection that a probe used takes mail"


def test_a_transport_without_a_process(server, sink):
    server.main["address_verify_poll_count"] = "10"
    server.log.expect("connect to transport private/relay")
    server.start()
    assert re.match(r"450 4\.1\.1 <x@smtp\.test>: Recipient address rejected: unverified address: ", ask(server, "x@smtp.test"))
    server.log.wait(r"to=<x@smtp\.test>, .*status=undeliverable")


def test_too_many_probes(server, sink):
    server.main.update({"address_verify_pending_request_limit": "3", "address_verify_poll_count": "1"})
    server.log.expect("too many probes under way")
    server.start()
    for i in range(6):
        assert "Address verification in progress" in ask(server, f"slow{i}@virt.test")
    assert len(server.log.lines(r"postfix/verify\[\d+\]: warning: too many probes under way: <slow\d@virt.test> is not verified now")) >= 2


@pytest.mark.core
def test_hostile_addresses(server, sink):
    """Quotes, long names, and what looks like a second command: one probe each, or none, and the server lives."""
    server.log.expect("bad .* address syntax", "Illegal address")
    server.start()
    for address in ('"no body"@virt.test', '"a\\"b"@virt.test', "x" * 60 + "@virt.test", '"' + "y" * 500 + '"@virt.test', "%s%d@elsewhere",
                    '"a,b"@virt.test', "anna+ext@virt.test"):
        assert re.match("250|450|501|504|554", ask(server, address))
    assert ask(server, "anna@virt.test").startswith("250")


def test_an_explanation_sends_no_probe(server, sink):
    server.start()
    result = server.command("posthorn", "explain", "--client", "203.0.113.9", "--name", "c.test", "--helo", "c.test", "--from", "carl@x.test", "--to",
                         "anna@virt.test", "--port", str(server.port))
    assert "verification" in result.stdout, result.stdout + result.stderr
    assert probes(sink) == []


def test_the_queue_restarts_under_a_waiting_client(server, sink):
    server.log.expect("killed by signal 9", "service failure", "queue service")
    server.start()
    with server.smtp() as client:
        client.hello()
        client.say("MAIL FROM:<carl@x.test>", expect=250)
        client.send(b"RCPT TO:<slow@virt.test>\r\n")
        wait_for(lambda: probes(sink), "the probe")
        os.kill(server.pids("queue")[0], 9)
        assert re.match("250|450", client.reply())
    assert ask(server, "anna@virt.test").startswith("250")


