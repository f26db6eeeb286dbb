# SPDX-License-Identifier: ISC
"""Each role in turn is stopped for a while, has no descriptor left, is killed, while people log in and send: mail that was
acknowledged arrives, nobody else dies, nothing grows or stays behind, and service is back when the trouble ends.

STRESS_ROUNDS in the environment repeats the kills and reloads more often.
"""
import os
import resource
import time

from lib import processes
from lib.waiting import wait_for
from test_logins_under_load import Senders, arrived, pair, served  # noqa: F401 -- fixtures

ROLES = ("lookup", "resolver", "queue", "state", "keys", "auth", "submission", "lmtp")
ROUNDS = int(os.environ.get("STRESS_ROUNDS", "2"))


def _pid(server, role):
    return wait_for(lambda: server.pids(role), f"a process {role}")[0]


def _serves_again(senders, what):
    before = len(senders.acknowledged)
    wait_for(lambda: len(senders.acknowledged) > before + 6, f"service after {what}", 20, 0.02)


def _all_arrives(server, sink, senders):
    server.command("postqueue", "-f")
    wanted = {str(number).encode() for number in senders.acknowledged}
    wait_for(lambda: wanted <= arrived(sink), "all acknowledged messages", 30, 0.1)


def _descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def _limit_descriptors(pid, soft):
    """Another process's limits are for its own user to change, where root has not all its capabilities."""
    child = os.fork()
    if child == 0:
        try:
            status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status", encoding="utf-8"))  # noqa: SIM115
            owner, group = int(status["Uid"].split()[0]), int(status["Gid"].split()[0])
            os.setresgid(group, group, group)
            os.setresuid(owner, owner, owner)
            hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard if soft is None else soft, hard))
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def _cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_role_that_stands_still_costs_time_only(served, sink):  # noqa: F811
    with Senders(served.port) as senders:
        _serves_again(senders, "the start")
        family = processes.descendants(served.master_pid)
        memory = {pid: processes.memory_kib(pid) for pid in family}
        for role in ROLES:
            pid = _pid(served, role)
            processes.kill(pid, 19)  # SIGSTOP
            time.sleep(0.7)
            grown = {name: processes.memory_kib(other) - memory[other] for other, name in family.items()}
            processes.kill(pid, 18)  # SIGCONT
            assert max(grown.values()) < 30000, (role, grown)
            _serves_again(senders, f"{role} stood still")
        assert {pid: name for pid, name in processes.descendants(served.master_pid).items() if name in ROLES} == \
            {pid: name for pid, name in family.items() if name in ROLES}, "somebody died of it"
    _all_arrives(served, sink, senders)


def test_a_role_without_descriptors_neither_spins_nor_loses_mail(served, sink):  # noqa: F811
    served.log.expect(r"Too many open files", r"signal 6", r"exit status 1", r"fatal: ", r"error: open database")
    with Senders(served.port) as senders:
        _serves_again(senders, "the start")
        for role in (*ROLES, "master"):
            pid = served.master_pid if role == "master" else _pid(served, role)
            before = _cpu_seconds(pid)
            assert _limit_descriptors(pid, _descriptors(pid) - 2), role
            if role == "master":  # which needs some for every new process
                processes.kill(_pid(served, "state"))
            time.sleep(0.7)
            if processes.is_running(pid):
                assert _cpu_seconds(pid) - before < 0.5, f"{role} spins"
                assert _limit_descriptors(pid, None), role
            else:
                assert role != "master"
            _serves_again(senders, f"{role} had no descriptor")
    _all_arrives(served, sink, senders)
    assert not served.log.lines("panic:")


def test_nothing_stays_behind_after_many_kills_and_reloads(served, sink):  # noqa: F811
    served.log.expect(r"command startup")
    with Senders(served.port) as senders:
        _serves_again(senders, "the start")
        descriptors, family = _descriptors(served.master_pid), sorted(processes.descendants(served.master_pid).values())
        for _ in range(ROUNDS):
            for role in ROLES:
                processes.kill(_pid(served, role))
                time.sleep(0.15)
            _serves_again(senders, "the kills")
            served.reload()
            _serves_again(senders, "the reload")
    _all_arrives(served, sink, senders)
    wait_for(lambda: sorted(processes.descendants(served.master_pid).values()) == family, "the same processes as before", 20)
    wait_for(lambda: _descriptors(served.master_pid) <= descriptors, "as few descriptors as before", 10)
