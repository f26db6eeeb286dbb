#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Handshakes a second, CPU time of the server for each, and memory of an idle TLS session, beside Debian's Postfix.

Usage: tests/bench/tls.py [ROUNDS [SECONDS]]. The servers run in turn; what is printed is the median of the rounds.
"""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from lib import processes  # noqa: E402
from lib.certs import TestCa  # noqa: E402
from lib.mta import Postfix, Posthorn  # noqa: E402

CASES = {"RSA-2048": ("ECDHE-RSA-AES256-GCM-SHA384", "full"), "P-256": ("ECDHE-ECDSA-AES256-GCM-SHA384", "full"),
         "resumed": ("ECDHE-ECDSA-AES256-GCM-SHA384", "resumed")}
IDLE = 100
CLIENT = Posthorn.installed_prefix().parent / "tests" / "bench" / "tls_client"


def cpu_seconds(mta):
    """Of all its processes, those that ended included."""
    ticks = 0
    for pid in (mta.master_pid, *processes.descendants(mta.master_pid)):
        try:
            fields = open(f"/proc/{pid}/stat", encoding="ascii", errors="replace").read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(mta):
    return sum(processes.memory_kib(pid) for pid in processes.descendants(mta.master_pid))


def measure(kind, ca, seconds, pairs):
    mta = kind()
    mta.log.expect("")
    rsa, ecdsa = pairs
    mta.main.update({
        "smtpd_tls_cert_file": rsa.cert, "smtpd_tls_key_file": rsa.key, "smtpd_tls_eccert_file": ecdsa.cert,
        "smtpd_tls_eckey_file": ecdsa.key, "smtpd_tls_security_level": "may", "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "smtpd_client_connection_count_limit": "0", "default_process_limit": "200", "tls_preempt_cipherlist": "no",
    })
    mta.start()
    result = {}
    try:
        for name, (cipher, mode) in CASES.items():
            before = cpu_seconds(mta)
            done = subprocess.run([CLIENT, "rate", str(mta.port), str(seconds), "8", cipher, mode], stdout=subprocess.PIPE, check=True)
            rate = float(done.stdout)
            result[name] = rate
            result[f"{name}, CPU ms"] = (cpu_seconds(mta) - before) * 1000 / (rate * seconds)
        before = memory(mta)
        with subprocess.Popen([CLIENT, "idle", str(mta.port), str(IDLE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            assert client.stdout.readline() == b"ready\n"
            result["KiB per idle session"] = (memory(mta) - before) / IDLE
            client.stdin.close()
    finally:
        mta.finish()
    return result


def main():
    rounds, seconds = (int(sys.argv[i]) if len(sys.argv) > i else 3 for i in (1, 2))
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        ca = TestCa(directory)
        pairs = ca.server("mail.example.test", "rsa"), ca.server("mail.example.test", "ecdsa")
        kinds = [kind for kind in (Posthorn, Postfix) if not kind.unavailable()]
        results = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind in kinds:
                results[kind].append(measure(kind, ca, seconds, pairs))
    for name in results[kinds[0]][0]:
        medians = [statistics.median(result[name] for result in results[kind]) for kind in kinds]
        print(f"{name:24}" + "".join(f"{kind.name:>10} {median:9.2f}" for kind, median in zip(kinds, medians)))


main()
