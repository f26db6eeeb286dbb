# SPDX-License-Identifier: ISC
"""The policy services that people really run, as Debian packages them: policyd-spf by spawn and over a socket, postgrey over a
socket. The same dialogues with Posthorn and with Postfix, in a network with a name server of its own."""
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

from lib.dns_server import DnsServer
from lib.lmtp_sink import LmtpSink
from lib.mta import IS_ROOT, Postfix, Posthorn
from lib.smtp import SmtpClient
from lib.waiting import accepts_connections, free_port, wait_for
from test_dns_restrictions import namespace

POSTGREY = "/usr/sbin/postgrey"
POLICYD_SPF = next((path for path in (Postfix.directory_of_reference / "usr/bin/policyd-spf", pathlib.Path("/usr/bin/policyd-spf"))
                    if path.exists()), None)
pytestmark = pytest.mark.skipif(not IS_ROOT or Posthorn.unavailable() is not None, reason="needs root and an installed build")

ZONE = {
    ("good.test", "TXT"): ["v=spf1 ip4:192.0.2.1 -all"],
    ("soft.test", "TXT"): ["v=spf1 ip4:192.0.2.1 ~all"],
    ("broken.test", "TXT"): ["v=spf1 ip4:not-an-address -all"],
    ("down.test", "TXT"): "servfail",
    ("plain.test", "A"): ["192.0.2.77"],
    ("helo.test", "TXT"): ["v=spf1 ip4:192.0.2.1 -all"],
}


@pytest.fixture(scope="module")
def network():
    if subprocess.run(["ip", "netns", "list"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no network namespaces here")
    with namespace() as name:
        dns = DnsServer(ZONE, "127.0.0.1", 53).start()
        yield name
        dns.stop()


class InetdServer:
    """policyd-spf behind a socket of ours, one process a connection."""

    def __init__(self, command):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.processes, self.command = [], command
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.processes.append(subprocess.Popen(self.command, stdin=connection, stdout=connection))

    def close(self):
        self.listener.close()
        for process in self.processes:
            process.kill()
            process.wait()


def settings_of_spf(directory):
    path = pathlib.Path(directory) / "policyd-spf.conf"
    path.write_text("debugLevel = -1\nTestOnly = 1\nHELO_reject = Fail\nMail_From_reject = Fail\nPermError_reject = False\n"
                    "TempError_Defer = True\nskip_addresses = 127.0.0.0/8\n")
    return path


# (client, sender): what policyd-spf makes of it
SPF_TALKS = [("192.0.2.1", "carl@good.test"), ("192.0.2.9", "carl@good.test"), ("192.0.2.9", "carl@soft.test"),
             ("192.0.2.9", "carl@broken.test"), ("192.0.2.9", "carl@down.test"), ("192.0.2.9", "carl@plain.test"),
             ("192.0.2.1", ""), ("127.0.0.1", "carl@good.test")]


class Server:
    def __init__(self, kind, network, restrictions, master_cf=""):
        self.sink = LmtpSink()
        self.mta = kind()
        self.mta.wrapper = ["ip", "netns", "exec", network]
        self.mta.main.update({
            "mynetworks": "127.0.0.9/32", "virtual_mailbox_domains": "virt.test", "virtual_mailbox_maps": "static:x",
            "virtual_transport": f"lmtp:{self.sink.next_hop}", "smtpd_relay_restrictions": "reject_unauth_destination",
            "smtpd_recipient_restrictions": restrictions, "smtpd_peername_lookup": "no", "policyd-spf_time_limit": "3600",
            "smtpd_client_connection_count_limit": "0"})
        self.mta.master_cf += master_cf
        self.mta.log.expect("")
        self.mta.start()

    def talk(self, client, sender, recipients=("anna@virt.test",)):
        """The replies to RCPT, and what the delivered message carries in front."""
        with SmtpClient(self.mta.port, source=client, timeout=40) as connection:
            connection.say("EHLO client.test")
            connection.say(f"MAIL FROM:<{sender}>", expect=250)
            replies = [connection.say(f"RCPT TO:<{recipient}>") for recipient in recipients]
            delivered = len(self.sink.messages)
            if not replies[0].startswith("250"):
                return replies, []
            connection.send_message("Subject: hello\n\nHello.\n")
        wait_for(lambda: len(self.sink.messages) > delivered, "the delivery")
        head = self.sink.messages[-1].content.decode().replace("\r\n", "\n").split("\n\n")[0]
        own = re.findall(r"^((?:Received-SPF|X-Greylist|Authentication-Results): .*(?:\n[ \t].*)*)", head, re.M)
        return replies, [re.sub(r"\s+", " ", re.sub(r"mail\.example\.test|delayed \d+ seconds.*", "", line)) for line in own]

    def finish(self):
        self.mta.finish()
        self.sink.close()


def both(network, *settings):
    kinds = [Posthorn] + ([] if Postfix.unavailable() else [Postfix])
    return [Server(kind, network, *settings) for kind in kinds]


@pytest.mark.skipif(POLICYD_SPF is None, reason="policyd-spf is not unpacked (tools/postfix-reference.sh)")
@pytest.mark.parametrize("way", ["spawn", "socket"])
def test_policyd_spf(network, way, tmp_path):
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:3]:
        parent.chmod(0o755) if str(parent).startswith("/tmp/pytest") else None
    settings = settings_of_spf(tmp_path)
    program = tmp_path / "policyd-spf" # where nobody may start it, wherever this tree is
    shutil.copy(POLICYD_SPF, program)
    # "ip netns exec" also shows it this network's resolv.conf.
    inetd = InetdServer(["ip", "netns", "exec", network, "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
                         program, settings]) if way == "socket" else None
    policy = f"inet:127.0.0.1:{inetd.port}" if inetd else "unix:private/policyd-spf"
    entry = "" if inetd else f"policyd-spf unix - n n - 0 spawn user=nobody argv={program} {settings}\n"
    servers = both(network, f"check_policy_service {policy}", entry)
    try:
        results = [[server.talk(*talk) for talk in SPF_TALKS] for server in servers]
        for result in results[1:]:
            assert results[0] == result
        said = dict(zip(SPF_TALKS, results[0]))
        good, bad = said["192.0.2.1", "carl@good.test"], said["192.0.2.9", "carl@good.test"]
        assert good[0] == ["250 2.1.5 Ok"] and any(line.startswith("Received-SPF: Pass") for line in good[1])
        assert re.match(r"550 5\.7\.23 <anna@virt\.test>: Recipient address rejected: Message rejected due to: SPF fail", bad[0][0])
        # Several recipients: the header comes once, because all questions of a message reach the same process.
        for server in servers:
            replies, headers = server.talk("192.0.2.1", "carl@good.test", ("anna@virt.test", "ben@virt.test", "carl@virt.test"))
            assert replies == ["250 2.1.5 Ok"] * 3 and len([line for line in headers if "Received-SPF" in line]) == 1
        assert not servers[0].mta.log.lines("problem talking to server|exit status|killed by")
    finally:
        for server in servers:
            server.finish()
        if inetd:
            inetd.close()


@pytest.mark.skipif(not os.path.exists(POSTGREY), reason="postgrey is not installed")
def test_postgrey(network):
    directory = pathlib.Path(f"/tmp/posthorn-postgrey-{os.getpid()}")
    directory.mkdir()
    nobody = pwd.getpwnam("nobody")
    os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    port = free_port()
    postgrey = subprocess.Popen([POSTGREY, f"--inet=127.0.0.1:{port}", f"--dbdir={directory}", "--delay=1", "--user=nobody",
                                 "--group=nogroup", f"--pidfile={directory}/pid", "--privacy", "--quiet"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    servers = []
    try:
        wait_for(lambda: accepts_connections("127.0.0.1", port), "postgrey", 20)
        servers = both(network, f"check_policy_service inet:127.0.0.1:{port}")
        for number, server in enumerate(servers):
            client, sender = f"192.0.2.{40 + number}", f"grey{number}@plain.test"
            first, _ = server.talk(client, sender)
            assert re.match(r"450 4\.2\.0 <anna@virt\.test>: Recipient address rejected: Greylisted", first[0]), first
            time.sleep(2.1)
            second, headers = server.talk(client, sender)
            assert second == ["250 2.1.5 Ok"]
            assert [line.split(":")[0] for line in headers] == ["X-Greylist"]
        assert not servers[0].mta.log.lines("problem talking to server")
    finally:
        for server in servers:
            server.finish()
        postgrey.terminate()
        postgrey.wait(10)
        shutil.rmtree(directory, ignore_errors=True)
