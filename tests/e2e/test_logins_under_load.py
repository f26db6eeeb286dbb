# SPDX-License-Identifier: ISC
"""kill -9 of the processes that people who send mail depend on, while they do: no acknowledged message is lost, nobody else dies of
it, and the next login works. And reloads while sessions stand at every point of a login."""
import threading
import time

import pytest

from lib import processes, setups
from lib.certs import TestCa
from lib.sasl import DovecotAuth, plain
from lib.smtp import Disconnected
from lib.tls_client import TlsClient, context
from lib.waiting import wait_for

pytestmark = pytest.mark.core
USERS = {"anna": "right", "ben": "wright"}
# A killed process is what this is about; its peers say so.
NEWS = (r"signal 9", r"went away", r"is gone", r"no answer", r"connection lost", r"lost connection", r"not available", r"throttling",
        r"Temporary lookup", r"lookup error", r"SSL_accept error", r"TLS library problem", r"authentication (failed|aborted)", r"closed",
        r"no signature", r"no certificates", r"premature end-of-input", r"SASL: ", r"no SASL authentication mechanisms", r"startup",
        r"service: ", r"cannot send", r"Connection lost", r"queue file write error", r"the notice about \S+ for \S+ is lost")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return TestCa(tmp_path_factory.mktemp("ca")).server("mail.example.test", "ecdsa")


@pytest.fixture
def served(posthorn, sink, pair):
    if DovecotAuth.unavailable():
        pytest.skip(DovecotAuth.unavailable())
    setups.virtual_domain(posthorn, f"lmtp:{sink.next_hop}")
    posthorn.main.update({
        "smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": "private/auth", "smtpd_tls_auth_only": "yes",
        "smtpd_tls_security_level": "may", "smtpd_tls_cert_file": pair.cert, "smtpd_tls_key_file": pair.key, "mynetworks": "192.0.2.0/24",
        "smtpd_sasl_message_limit": "100000/1d", "smtpd_sasl_failure_delay": "0", "smtpd_client_restrictions": "permit_sasl_authenticated, reject",
        "smtpd_client_connection_count_limit": "0", "minimal_backoff_time": "2s", "queue_run_delay": "2s"})
    posthorn.log.expect(*NEWS)
    posthorn.start()
    auth = DovecotAuth(posthorn.queue / "private" / "auth", posthorn.owner, USERS).start()
    yield posthorn
    auth.finish()


class Senders:
    """Connections one after the other, each with a handshake, a login and a message. What was answered 250 counts."""

    def __init__(self, port):
        self.port, self.stop, self.acknowledged, self.lock, self.next = port, False, [], threading.Lock(), 0

    def __enter__(self):
        self.threads = [threading.Thread(target=self.run, args=(login,)) for login in ("anna", "ben", "anna", "ben")]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def run(self, login):
        while not self.stop:
            with self.lock:
                self.next += 1
                number = self.next
            try:
                with TlsClient(self.port) as client:
                    client.hello()
                    client.starttls(context())
                    client.hello()
                    client.say(f"AUTH PLAIN {plain(login, USERS[login])}", expect=235)
                    client.say("MAIL FROM:<a@example.org>", expect=250)
                    client.say("RCPT TO:<anna@example.test>", expect=250)
                    client.say("DATA", expect=354)
                    client.say(f"X-Number: {number}\r\n\r\nx\r\n.", expect=250)
                    with self.lock:
                        self.acknowledged.append(number)
            except (AssertionError, OSError, Disconnected):
                time.sleep(0.05)


def arrived(sink):
    return {line.split(b":")[1].strip() for message in sink.messages for line in message.content.splitlines() if line.startswith(b"X-Number:")}


@pytest.mark.parametrize("role", ["keys", "auth", "state", "submission", "lookup"])
def test_kill_costs_no_acknowledged_message_and_nobody_else(served, sink, role):
    with Senders(served.port) as senders:
        wait_for(lambda: len(senders.acknowledged) > 5, "the first messages", 30)
        for _ in range(2):
            family = processes.descendants(served.master_pid)
            victims = [pid for pid, name in family.items() if name == role]
            assert victims
            for pid in victims:
                processes.kill(pid)
            before = len(senders.acknowledged)
            wait_for(lambda: len(senders.acknowledged) > before + 8, f"logins after the end of {role}", 20, 0.02)
            others = {pid: name for pid, name in family.items() if name != role}
            gone = {name for pid, name in others.items() if not processes.is_running(pid)}
            assert gone <= {"auth-worker"}, f"died with {role}: {gone}"
            time.sleep(1.0)
    served.command("postqueue", "-f")
    wanted = {str(number).encode() for number in senders.acknowledged}
    wait_for(lambda: wanted <= arrived(sink), "all acknowledged messages", 30, 0.1)


def test_sessions_go_on_after_a_reload(served):
    """The old process drains while it is served by new ones, wherever its clients stand."""
    with TlsClient(served.port) as clear, TlsClient(served.port) as halfway, TlsClient(served.port) as encrypted, \
            TlsClient(served.port) as inside:
        for client in (clear, halfway, encrypted, inside):
            client.hello()
        for client in (halfway, encrypted, inside):
            client.starttls(context())
            client.hello()
        halfway.say("AUTH LOGIN", expect="334 VXNlcm5hbWU6")
        inside.say(f"AUTH PLAIN {plain('anna', 'right')}", expect=235)
        inside.say("MAIL FROM:<a@example.org>", expect=250)
        old = set(served.pids("submission"))
        served.reload()
        for role in ("keys", "auth", "state"):
            for pid in served.pids(role):
                processes.kill(pid)
        wait_for(lambda: served.pids("keys") and served.pids("auth") and served.pids("state"), "new peers")
        assert halfway.say("YW5uYQ==").startswith(("454 4.7.0 ", "334 UGFzc3dvcmQ6"))
        clear.starttls(context())
        clear.hello()
        for client in (clear, encrypted):
            client.say(f"AUTH PLAIN {plain('anna', 'right')}", expect=235)
            client.say("MAIL FROM:<a@example.org>", expect=250)
        for client in (clear, encrypted, inside):
            client.say("RCPT TO:<anna@example.test>", expect=250)
            client.send_message("Subject: x\n\nx\n")
    wait_for(lambda: not old & set(served.pids("submission")), "the end of the old process")
