# SPDX-License-Identifier: ISC
"""check_policy_service beside Postfix: what the service is told, what its answers do, and what happens when it fails."""
import os
import re
import threading
import time

import pytest

from lib.mta import IS_ROOT, Postfix, Posthorn
from lib.policy_server import ANSWERS, PolicyServer
from lib.reference_release import LATER_ATTRIBUTES
from lib.smtp import Disconnected, SmtpClient
from lib.waiting import accepts_connections, allowed, free_port, wait_for

pytestmark = pytest.mark.skipif(Posthorn.unavailable() is not None, reason="needs an installed build")

MAIN = {
    "mynetworks": "127.0.0.9/32",
    "virtual_mailbox_domains": "virt.test",
    "virtual_mailbox_maps": "static:x",
    "virtual_transport": "discard",
    "smtpd_relay_restrictions": "reject_unauth_destination",
    "smtpd_restriction_classes": "strict, asking",
    "strict": "reject",
    "asking": "check_policy_service { inet:127.0.0.1:1, try_limit=1 }",
    "smtpd_peername_lookup": "no",
    "smtpd_error_sleep_time": "0",
    "smtpd_policy_service_timeout": "1s",
    "smtpd_client_connection_count_limit": "0",
}
NOBODY = "inet:127.0.0.1:1"  # nothing listens there


def services(policy):
    """name -> restrictions; {S} is the service."""
    lists = {
        "plain": "check_policy_service {S}",
        # One each for what takes seconds: they are talked to side by side.
        **{f"slow-{i}": "check_policy_service {S}" for i in range(6)},
        "warn": "warn_if_reject check_policy_service {{ {S}, try_limit=1 }}",
        "warn-then-reject": "warn_if_reject check_policy_service {{ {S}, try_limit=1 }}, reject",
        "words": "warn_if_reject defer_if_reject, warn_if_reject defer_if_permit, check_policy_service {S}",
        "limit": "check_policy_service {{ {S} request_limit=1, policy_context=limited }}",
        "refused": f"check_policy_service {NOBODY}",
        "refused-once": f"check_policy_service {{{{ {NOBODY} try_limit = 1 }}}}".replace("try_limit = 1", "try_limit=1"),
        "missing": "check_policy_service unix:private/nothing",
        "local": "check_policy_service {{ local:private/nothing try_limit=1 }}",
        "port": "check_policy_service {{ inet:1, try_limit=1 }}",
        "default": f"check_policy_service {{{{ {NOBODY}, default_action=DUNNO, try_limit=1 }}}}",
        "default-text": f"check_policy_service {{{{ {NOBODY}, {{{{ default_action = 451 4.3.5 See http://x/ }}}}, try_limit=1 }}}}",
        "default-class": f"check_policy_service {{{{ {NOBODY} default_action=asking try_limit=1 }}}}",
        "warn-refused": f"warn_if_reject check_policy_service {{{{ {NOBODY} try_limit=1 }}}}",
        "no-argument": "check_policy_service",
        "then-reject": "check_policy_service {S}, reject",
        "after-defer": "defer_if_reject, check_policy_service {S}",
        "class": "asking",
        "then-permit": "check_policy_service {S}, permit",
    }
    return {name: "reject_unauth_destination, " + text.format(S=policy) for name, text in lists.items()}


# Answers that Posthorn takes for failures, and Postfix not: longer than 16,000 octets, or with a NUL inside.
OURS = {"overlong", "long-name", "nul", "binary"}
SLOW = ["upper-name", "no-equals", "empty", "early", "half", "no-end", "wrong-name", "close", "close-once", "silent", "stall",
        "crlf"]

TALKS = [(f"slow-{SLOW.index(name) % 6}", name) for name in SLOW] + [
    ("plain", name) for name in ANSWERS if name not in OURS and name not in SLOW] + [
    (service, "dunno") for service in ("refused", "refused-once", "missing", "local", "port", "default", "default-text",
                                       "default-class", "warn-refused", "no-argument", "limit", "class")] + [
    ("warn", name) for name in ("reject", "code", "defer", "defer-if-permit", "defer-if-reject", "class", "unknown", "hold",
                                "table")] + [
    (service, name) for service in ("then-reject", "after-defer", "then-permit", "warn-then-reject", "words")
    for name in ("dunno", "ok", "defer-if-permit", "defer-if-reject", "reject", "defer", "warn", "discard")]


class Server:
    def __init__(self, kind, policy):
        self.mta, self.policy = kind(), policy
        lists = services(f"inet:127.0.0.1:{policy.port}")
        self.mta.main.update(MAIN)
        self.mta.main["notify_classes"] = ""
        self.mta.log.expect("")
        self.ports = {name: free_port() for name in lists}
        self.mta.master_cf = "".join(f"127.0.0.1:{self.ports[name]} inet n - n - - smtpd\n"
                                     f"  -o {{ smtpd_recipient_restrictions = {text} }} -o syslog_name={name}\n"
                                     for name, text in lists.items()) + self.mta.master_cf
        self.mta.start()
        for port in self.ports.values():
            wait_for(lambda port=port: accepts_connections("127.0.0.1", port), f"port {port}", 30)
        self.results = {}

    def lines(self, service, pattern):
        return self.mta.log.lines(rf" {service}/smtpd\[\d+\]: {pattern}")

    def talk(self, service, name):
        ended, before = len(self.lines(service, "disconnect from")), len(self.lines(service, ""))
        replies = []
        try:
            with SmtpClient(self.ports[service]) as client:
                for line in ("EHLO client.test", f"MAIL FROM:<{name}@x.test>", "RCPT TO:<anna@virt.test>", "DATA",
                             "Subject: x\r\n\r\nhello\r\n.", "QUIT"):
                    replies.append(client.say(line).split("\n")[-1])
        except (Disconnected, ConnectionResetError, BrokenPipeError):
            replies.append("(closed)")
        wait_for(lambda: len(self.lines(service, "disconnect from")) > ended, "the end of the session", 20)
        lines = [normalized(line, self.policy.port) for line in self.lines(service, "")[before:]]
        asked = sum(f"sender={name}@x.test" in request and "server_port=%d" % self.ports[service] in request
                    for request in self.policy.requests)
        self.results[service, name] = [re.sub("queued as .*", "queued", reply) for reply in replies], lines, asked

    def talk_to(self, service):
        wait_for(lambda: self.lines(service, "disconnect from"), "the end of the first connection", 30)
        for talk in TALKS:
            if talk[0] == service:
                self.talk(*talk)

    def talk_all(self):
        threads = [threading.Thread(target=self.talk_to, args=(service,)) for service in self.ports]
        for thread in threads:
            thread.start()
        return threads


def normalized(line, port):
    line = re.sub(r"^\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ \S+/smtpd\[\d+\]: ", "", line)
    return re.sub(r"\b[0-9A-F]{9,15}: ", "ID: ", line).replace(f":{port}", ":PORT")


@pytest.fixture(scope="module")
def both():
    if Postfix.unavailable():
        pytest.skip(Postfix.unavailable())
    servers = [Server(kind, PolicyServer()) for kind in (Posthorn, Postfix)]
    try:
        for thread in [thread for server in servers for thread in server.talk_all()]:
            thread.join()
        yield [server.results for server in servers]
    finally:
        died = servers[0].mta.log.lines(r"panic:|killed by signal")
        for server in servers:
            server.mta.finish()
        assert not died, died


@pytest.mark.parametrize("talk", TALKS, ids=[" ".join(talk) for talk in TALKS])
def test_both_say_the_same(both, talk):
    posthorn, postfix = (results[talk] for results in both)
    assert posthorn == postfix


# --- what the service is told ---------------------------------------------------------------

STEPS = ["HELO one.test", "EHLO two.test", "VRFY anna@virt.test", "ETRN virt.test",
         "MAIL FROM:<a@x.test> SIZE=77 BODY=8BITMIME", "RCPT TO:<anna@virt.test>", "RSET", "MAIL FROM:<>",
         "RCPT TO:<anna@virt.test>", "RCPT TO:<Ben@VIRT.test>", "VRFY ben@virt.test", "DATA", "Subject: x\r\n\r\nhello\r\n.",
         "MAIL FROM:<\"odd one\"@x.test> SMTPUTF8", "RCPT TO:<gr\u00fcn@virt.test>",
         "BDAT 22 LAST\r\nSubject: hi\r\n\r\nabcde", "MAIL FROM:<late@x.test>", "VRFY nobody@elsewhere.test"]


@pytest.mark.parametrize("delay", ["yes", "no"])
def test_every_attribute_in_its_order(delay):
    if Postfix.unavailable():
        pytest.skip(Postfix.unavailable())
    told = []
    for kind in (Posthorn, Postfix):
        policy, mta = PolicyServer(), kind()
        ask = f"check_policy_service {{ inet:127.0.0.1:{policy.port}, {{ policy_context = two words }} }}"
        mta.main.update(MAIN)
        mta.main.update({f"smtpd_{stage}_restrictions": ask for stage in "client helo sender data end_of_data etrn".split()})
        mta.main.update({"smtpd_recipient_restrictions": "reject_unauth_destination, " + ask, "smtpd_delay_reject": delay,
                         "smtpd_policy_service_timeout": "20s"}) # a busy machine makes nobody ask twice
        mta.log.expect("reject: ETRN")
        try:
            mta.start()
            with mta.smtp() as client:
                for step in STEPS:
                    client.say(step)
                port = client.socket.getsockname()[1]
                told.append([request for request in policy.requests if f"client_port={port}" in request])
        finally:
            mta.finish()
            policy.close()

    def normal(requests):
        text = "\n\n".join("\n".join(line for line in request if line.partition("=")[0] not in LATER_ATTRIBUTES)
                           for request in requests)
        text = re.sub(r"instance=[0-9a-f]+\.[0-9a-f]+\.[0-9a-f]+\.", "instance=X.", text)
        return re.sub(r"(client_port|server_port|queue_id)=\w+", r"\1=X", text)
    assert normal(told[0]) == normal(told[1])
    assert len(told[0]) > 15 and (delay == "yes" or "protocol_state=CONNECT" in told[0][0])


# --- connections ---------------------------------------------------------------------------------


@pytest.fixture
def alone():
    mta, policy = Posthorn(), PolicyServer()
    mta.main.update(MAIN)
    mta.main["smtpd_recipient_restrictions"] = f"check_policy_service inet:127.0.0.1:{policy.port}"
    yield mta, policy
    mta.finish()
    policy.close()


def rcpt(mta, sender="dunno@x.test"):
    with mta.smtp() as client:
        client.hello()
        client.say(f"MAIL FROM:<{sender}>", expect=250)
        return client.say("RCPT TO:<anna@virt.test>")


@pytest.mark.core
def test_one_connection_serves_many_sessions_one_after_another(alone):
    mta, policy = alone
    mta.start()
    for _ in range(20):
        assert rcpt(mta).startswith("250")
    assert policy.connections == 1 and len(policy.requests) == 20


@pytest.mark.core
def test_a_transaction_keeps_its_connection(alone):
    """Two clients at once: each has its own connection until its message is through; then both are anybody's."""
    mta, policy = alone
    seen = {}
    plain = policy._serve

    def serve(connection):
        thread = threading.get_ident()
        policy.answer = lambda request: (seen.setdefault(request["instance"], set()).add(threading.get_ident()),
                                         b"action=DUNNO\n\n")[1]
        del thread
        plain(connection)
    policy._serve = serve
    mta.start()
    with mta.smtp() as one, mta.smtp() as two:
        for client in (one, two):
            client.hello()
            client.say("MAIL FROM:<dunno@x.test>", expect=250)
        for _ in range(5):
            for client in (one, two):
                client.say("RCPT TO:<anna@virt.test>", expect=250)
        assert policy.connections == 2
        assert all(len(threads) == 1 for threads in seen.values()) and len(seen) == 2
        for client in (one, two):
            client.say("RSET", expect=250)
    for _ in range(4):
        rcpt(mta)
    assert policy.connections == 2


@pytest.mark.core
def test_more_sessions_than_connections(alone):
    """A service that takes its time and two hundred clients: at most fifty connections, and everybody is answered."""
    mta, policy = alone
    policy.answer = lambda request: (time.sleep(0.02), b"action=DUNNO\n\n")[1]
    mta.main["smtpd_policy_service_timeout"] = "20s"
    mta.start()
    clients = [mta.smtp() for _ in range(200)]
    try:
        for client in clients:
            client.hello()
            client.send(b"MAIL FROM:<dunno@x.test>\r\nRCPT TO:<anna@virt.test>\r\n")
        for client in clients:
            client.reply(250)
            client.reply("250 2.1.5 Ok")
    finally:
        for client in clients:
            client.close()
    assert policy.connections <= 50 and len(policy.requests) == 200


def test_a_service_that_restarts_is_no_failure(alone):
    mta, policy = alone
    mta.start()
    assert rcpt(mta).startswith("250")
    assert rcpt(mta, "reply-and-close@x.test") == "554 5.7.1 <anna@virt.test>: Recipient address rejected: then goodbye"
    began = time.monotonic()
    assert rcpt(mta).startswith("250")
    assert rcpt(mta, "unasked@x.test") == "554 5.7.1 <anna@virt.test>: Recipient address rejected: first"
    assert rcpt(mta).startswith("250")
    assert time.monotonic() - began < allowed(0.9), "no pause for a connection that was closed while it was idle"


@pytest.mark.core
@pytest.mark.parametrize("answer", sorted(OURS))
def test_an_answer_without_bounds_is_a_failure(alone, answer):
    mta, policy = alone
    mta.log.expect(r"from 127\.0\.0\.1:\d+: more than 16000 octets", r"NUL byte in reply", "problem talking to server",
                   "missing attribute action")
    mta.main["smtpd_policy_service_try_limit"] = "1"
    mta.start()
    assert rcpt(mta, answer + "@x.test") == ("451 4.3.5 <anna@virt.test>: Recipient address rejected: "
                                           "Server configuration problem")
    assert rcpt(mta).startswith("250"), "the next question is not touched by it"
    assert len(policy.requests) == 2


def test_old_connections_are_closed(alone):
    mta, policy = alone
    mta.main["smtpd_policy_service_max_idle"] = "1s"
    mta.start()
    rcpt(mta)
    wait_for(lambda: not mta.pids("smtpd") or not _connected(mta, policy.port), "the end of the idle connection", 5)
    rcpt(mta)
    assert policy.connections == 2


def _connected(mta, port):
    """True while a process of the server has a connection to this port."""
    hexed = f":{port:04X}"
    with open("/proc/net/tcp") as table:
        inodes = {line.split()[9] for line in table if line.split()[2].endswith(hexed) and line.split()[3] == "01"}
    for pid in mta.pids():
        for fd in os.scandir(f"/proc/{pid}/fd"):
            try:
                if os.readlink(fd.path)[8:-1] in inodes:
                    return True
            except OSError:
                pass
    return False


@pytest.mark.parametrize("argument, words", [
    ("nothing", 'need service transport:endpoint instead of "nothing"'),
    ("127.0.0.1:1", "invalid transport name: 127.0.0.1 in service: 127.0.0.1:1"),
    ("{ inet:1 foo=bar }", 'unknown option: "foo = bar"'),
    ("{ inet:1 timeout=soon }", "invalid timeout: 0 (min 1)"),
    ("{ }", 'empty policy service: "{ }"'),
])
def test_a_malformed_service_is_fatal(argument, words):
    mta = Posthorn()
    mta.main.update(MAIN)
    mta.main["smtpd_recipient_restrictions"] = f"check_policy_service {argument}"
    mta.log.expect("")
    with pytest.raises(AssertionError):
        mta.start(wait=False)
    text = mta.log.text()
    mta.log.expect("")
    mta.finish()
    assert f"fatal: smtpd_recipient_restrictions: check_policy_service: {words}" in text


def test_a_unix_socket_below_the_queue_directory():
    if not IS_ROOT:
        pytest.skip("needs root")
    mta = Posthorn()
    mta.main.update(MAIN)
    mta.main["smtpd_recipient_restrictions"] = "check_policy_service unix:private/policy-test"
    mta.start()
    policy = PolicyServer(path=mta.queue / "private" / "policy-test")
    (mta.queue / "private" / "policy-test").chmod(0o666)
    try:
        assert rcpt(mta, "reject-text@x.test") == "554 5.7.9 <anna@virt.test>: Recipient address rejected: policy says no"
    finally:
        mta.finish()
        policy.close()
