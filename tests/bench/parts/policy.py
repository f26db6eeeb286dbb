# SPDX-License-Identifier: ISC
"""What a policy costs: sessions with DNS lists and SPF while every DNS answer takes 5 ms, and long restriction lists."""
import pathlib
import shutil
import statistics
import subprocess
import time

from lib.mta import ROOT
from lib.network import namespace
from lib.waiting import accepts_connections, free_port, wait_for

from . import servers

DNS_DELAY_MS = 5
CONCURRENT = 500
LISTS = "reject_rbl_client bl1.test, reject_rbl_client bl2.test, reject_rbl_client bl3.test"
POLICYD = "/usr/bin/policyd-spf"

# Thirty restrictions that ask nobody but tables of main.cf: what a long configuration itself costs.
THIRTY = ", ".join(["permit_mynetworks", "reject_unauth_destination", "reject_non_fqdn_recipient", "reject_unlisted_recipient",
                    "reject_invalid_helo_hostname", "reject_non_fqdn_helo_hostname", "reject_non_fqdn_sender",
                    "reject_unauth_pipelining", "reject_multi_recipient_bounce", "permit_sasl_authenticated",
                    *(f"check_{kind}_access texthash:$config_directory/access{i}" for i in range(5)
                      for kind in ("client", "helo", "sender", "recipient"))])


def compile_helper(directory, name):
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / name
    subprocess.run(["cc", "-D_GNU_SOURCE", "-O2", "-o", program, ROOT / "tests/bench" / f"{name}.c"], check=True)
    return program


def start_server(name, options, network, settings, spawn=False, processes=100):
    server = servers.make(name, options, free_port())
    server.wrapper = [*server.cpu.wrapper, "ip", "netns", "exec", network]
    server.main.update({
        "mynetworks": "127.0.0.0/8", "virtual_mailbox_domains": "example.test", "virtual_mailbox_maps": "static:x",
        "smtpd_relay_restrictions": "reject_unauth_destination", "smtpd_client_connection_count_limit": "0",
        "default_process_limit": str(processes), "in_flow_delay": "0s", "inet_interfaces": "all", "smtpd_peername_lookup": "yes", **settings})
    server.master_cf = server.master_cf.replace("127.0.0.1:", "0.0.0.0:", 1)
    if spawn:
        server.master_cf += f"policyd-spf unix - n n - 0 spawn user=nobody argv={POLICYD}\n"
    for i in range(5):
        server.file(f"access{i}", "".join(f"nobody{j}.test REJECT\n" for j in range(100)))
    server.start()
    wait_for(lambda: accepts_connections("127.0.0.1", server.port), f"{name} to listen", 30)
    return server


class Load:
    """Runs the clients; no run repeats the names of another."""

    def __init__(self, options):
        self.program = compile_helper(options.directory, "smtp_clients")
        self.next_client = 0
        self.seconds = 300  # for one run

    def run(self, server, concurrent, sessions, rcpts=1):
        cpu = server.cpu.seconds()
        result = subprocess.run([self.program, "10.0.0.1", str(server.port), str(concurrent), str(sessions), str(rcpts),
                                 str(self.next_client), "anna@example.test"], capture_output=True, text=True, timeout=self.seconds, check=False)
        self.next_client += sessions
        if result.returncode != 0:
            raise SystemExit(f"smtp_clients: {result.stderr}")
        seconds, accepted, failed, retries = result.stdout.split()
        time.sleep(0.2)
        return {"sessions": sessions, "seconds": float(seconds), "per_second": sessions / float(seconds), "accepted": int(accepted),
                "failed": int(failed), "retries": int(retries), "cpu_ms": (server.cpu.seconds() - cpu) / sessions * 1000}


def variants():
    """name, server, settings, start options, sessions a run."""
    spf = {"smtpd_recipient_restrictions": LISTS, "smtpd_spf_check": "reject"}
    lists = {"smtpd_recipient_restrictions": LISTS}
    policyd = {"smtpd_recipient_restrictions": f"{LISTS}, check_policy_service unix:private/policyd-spf", "policyd-spf_time_limit": "3600"}
    found = [("Posthorn, 3 lists", "posthorn", lists, {}, 10000),
             ("Posthorn, 3 lists and SPF", "posthorn", spf, {}, 10000),
             ("Postfix, 3 lists, 100 processes", "postfix", lists, {"processes": 100}, 4000),
             ("Postfix, 3 lists, 500 processes", "postfix", lists, {"processes": 500}, 4000)]
    if shutil.which(POLICYD):
        found.append(("Postfix, 3 lists and policyd-spf, 100 processes", "postfix", policyd, {"processes": 100, "spawn": True}, 800))
    return found


def measure_dns(names, options):
    print(f"\nHELO, MAIL, RCPT, QUIT by {CONCURRENT} clients at once, each with its own address and sender domain; 3 DNS lists; every DNS "
          f"answer takes {DNS_DELAY_MS} ms: {options.rounds} rounds, the servers in turn, median\n")
    results = {}
    load, dns_program = Load(options), compile_helper(options.directory, "dns_delay")
    with namespace(("10.0.0.1/8",), "timeout:3 attempts:3") as network:
        dns = subprocess.Popen([dns_program, "127.0.0.1", str(DNS_DELAY_MS)])
        running = []
        try:
            for title, name, settings, start, sessions in variants():
                if name in names:
                    running.append((title, start_server(name, options, network, settings, **start), sessions))
            for title, server, sessions in running:
                started = time.monotonic()
                load.run(server, CONCURRENT, sessions // 4)  # warm: every process is started
                print(f"{title}: warm after {time.monotonic() - started:.1f} s", flush=True)
                results[title] = []
            for _ in range(options.rounds):
                for title, server, sessions in running:
                    results[title].append(load.run(server, CONCURRENT, sessions))
        finally:
            for _, server, _ in running:
                servers.stop(server)
            dns.terminate()
            dns.wait(5)
    _print(results, "sessions/s", "session")
    return results


def measure_restrictions(names, options):
    """Many recipients a message, where the server may remember what it asked, and one."""
    return {count: _measure_recipients(names, options, count) for count in (50, 1)}


def _measure_recipients(names, options, count):
    print(f"\n{count} RCPT a session by 20 clients: {options.rounds} rounds, the servers in turn, median\n")
    results, load = {}, Load(options)
    with namespace(("10.0.0.1/8",), "timeout:3 attempts:3") as network:
        running = []
        try:
            for name in names:
                for title, settings in ((f"{name}, no restriction but reject_unauth_destination", {}),
                                        (f"{name}, 30 restrictions, 20 of them tables", {"smtpd_recipient_restrictions": THIRTY})):
                    settings = {"smtpd_peername_lookup": "no", "smtpd_error_sleep_time": "0", **settings}
                    running.append((title, start_server(name, options, network, settings)))
            for title, server in running:
                load.run(server, 20, 100, count)
                results[title] = []
            for _ in range(options.rounds):
                for title, server in running:
                    run = load.run(server, 20, 400 if count > 1 else 4000, count)
                    results[title].append({**run, "per_second": run["per_second"] * count, "cpu_ms": run["cpu_ms"] / count})
        finally:
            for _, server in running:
                servers.stop(server)
    _print(results, "RCPT/s", "RCPT")
    return results


def _print(results, unit, what):
    for title, runs in results.items():
        rounds = " ".join(f"{run['per_second']:.0f}" for run in runs)
        retries = sum(run["retries"] for run in runs)
        failed = sum(run["failed"] for run in runs)
        print(f"{title:<58} {statistics.median(run['per_second'] for run in runs):>8.0f} {unit}  ({rounds})  CPU "
              f"{statistics.median(run['cpu_ms'] for run in runs):.3f} ms a {what}" + (f"  REFUSED {failed}" if failed else "")
              + (f"  {retries} connections begun again" if retries else ""))
