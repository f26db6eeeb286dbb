# SPDX-License-Identifier: ISC
"""More clients than a service may have: process limits, $stress, postscreen's two queues, and no descriptor left."""
import os
import re
import socket
import subprocess

import pytest

from lib import setups
from lib.mta import IS_ROOT, Postfix, Posthorn
from lib.waiting import accepts_connections, free_port, wait_for


class Client:
    """A connection that may get no greeting for a while."""

    def __init__(self, port, source="127.0.0.1"):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
        self.stream = self.socket.makefile("rb")

    def line(self):
        return self.stream.readline().decode().rstrip("\r\n")

    def say(self, text):
        self.socket.sendall(text.encode() + b"\r\n")
        return self.line()

    def is_silent(self, seconds):
        self.socket.settimeout(seconds)
        try:
            return not self.socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(20)

    def close(self):
        self.stream.close()
        self.socket.close()


def limited(mta, limit, overrides=""):
    mta.master_cf = mta.master_cf.replace(f"127.0.0.1:{mta.port} inet n - n - - smtpd",
                                          f"127.0.0.1:{mta.port} inet n - n - {limit} smtpd{overrides}")
    mta.main["smtpd_peername_lookup"] = "no"
    mta.main["smtpd_client_connection_count_limit"] = "0"
    mta.start()
    is_quiet(mta)


def is_quiet(mta):
    """Whoever looked whether it is there has gone."""
    wait_for(lambda: 0 < len(mta.log.lines(r": connect from")) == len(mta.log.lines(r": disconnect from")), "nobody", 20)


def test_stress_comes_and_goes(posthorn):
    posthorn.log.expect(r"has reached its process limit", r"increase the process count", r"STRESS_README")
    limited(posthorn, 10, " -o { smtpd_hard_error_limit = ${stress?{1}:{20}} }")
    crowd = [Client(posthorn.port) for _ in range(8)]
    assert all(client.line().startswith("220 ") for client in crowd)
    assert crowd[0].say("FOO").startswith("500 ")
    assert crowd[0].say("NOOP").startswith("250 ")  # calm: one error is not too many
    assert not posthorn.log.lines("process limit")
    crowd.append(Client(posthorn.port))
    assert crowd[-1].line().startswith("220 ")
    service = re.escape(f"127.0.0.1:{posthorn.port}")
    posthorn.log.wait(rf'master\[\d+\]: warning: service "{service}" \({service}\) has reached its process limit "10": '
                      r"new clients may experience noticeable delays$")
    crowd.append(Client(posthorn.port))
    assert crowd[-1].line().startswith("220 ")
    assert crowd[-1].say("FOO").startswith("500 ")
    assert crowd[-1].line() == "421 4.7.0 mail.example.test Error: too many errors"
    assert crowd[1].say("FOO").startswith("500 ")  # sessions that run feel it, too
    assert crowd[1].line() == "421 4.7.0 mail.example.test Error: too many errors"
    for client in crowd:
        client.close()
    is_quiet(posthorn)
    calm = Client(posthorn.port)
    calm.line()
    assert calm.say("FOO").startswith("500 ") and calm.say("NOOP").startswith("250 ")
    calm.close()


def test_beyond_the_limit_clients_wait(posthorn):
    posthorn.log.expect(r"has reached its process limit", r"increase the process count", r"STRESS_README")
    limited(posthorn, 3)
    crowd = [Client(posthorn.port) for _ in range(3)]
    assert all(client.line().startswith("220 ") for client in crowd)
    late = Client(posthorn.port)
    assert late.is_silent(0.5)
    crowd[0].close()
    assert late.line().startswith("220 ")
    for client in [late, *crowd[1:]]:
        client.close()


def test_without_descriptors_it_waits(posthorn):
    """No spinning, one line in the log, and everybody is served when there are some again."""
    if not IS_ROOT:
        pytest.skip("needs root to take descriptors away")
    posthorn.log.expect(r"accept connection: Too many open files")
    posthorn.main["smtpd_peername_lookup"] = "no"
    posthorn.start()
    pid = posthorn.pids("smtpd")[0]
    before = file_limit(pid)
    descriptors = max(map(int, os.listdir(f"/proc/{pid}/fd"))) + 1
    file_limit(pid, descriptors)
    try:
        crowd = [Client(posthorn.port) for _ in range(descriptors)]
        posthorn.log.wait(r"smtpd\[\d+\]: warning: accept connection: Too many open files$")
        spent = cpu_seconds(pid)
        assert crowd[-1].is_silent(2.0)
        assert cpu_seconds(pid) - spent < 0.5
        assert len(posthorn.log.lines("Too many open files")) == 1
    finally:
        file_limit(pid, before)
    assert all(client.line().startswith("220 ") for client in crowd)
    for client in crowd:
        client.close()


def file_limit(pid, new=None):
    """The soft limit of open files; as the user that the process has become, since root in a container may not."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        uid, gid = (int(re.search(rf"^{name}:\s+(\d+)", text, re.M).group(1)) for text in [status.read()] for name in ("Uid", "Gid"))
    words = ["prlimit", "--pid", str(pid), f"--nofile={new}:" if new else "--nofile", "--noheadings", "--output", "SOFT"][:None if not new else 4]
    done = subprocess.run(words, user=uid, group=gid, extra_groups=[], capture_output=True, check=True)
    return int(done.stdout or 0)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- postscreen's queues, with both servers --------------------------------------------------------------------------

MASTER = """\
127.0.0.1:{port} inet n - n - 1 postscreen
smtpd pass - - n - {limit} smtpd
dnsblog unix - - n - 0 dnsblog
tlsproxy unix - - n - 0 tlsproxy
"""


def screened(kind, limit, **settings):
    if kind.unavailable():
        pytest.skip(kind.unavailable())
    mta = kind()
    mta.log.expect("")
    setups.virtual_domain(mta, "discard")
    mta.main.update({"smtpd_peername_lookup": "no", "postscreen_client_connection_count_limit": "0",
                     "smtpd_client_connection_count_limit": "0", **settings})
    port = free_port()
    mta.master_cf = MASTER.format(port=port, limit=limit) + mta.master_cf.split("\n", 1)[1]
    mta.port = port
    mta.start()
    wait_for(lambda: accepts_connections("127.0.0.1", port), "postscreen")
    return mta


def settled(mta):
    """The connections that looked whether it is there have ended."""
    wait_for(lambda: 0 < len(mta.log.lines(r"postscreen\[\d+\]: CONNECT")) ==
             len(mta.log.lines(r"postscreen\[\d+\]: (DISCONNECT|PASS (OLD|NEW))")), "nobody", 20)


@pytest.mark.parametrize("kind", [Posthorn, Postfix])
def test_too_many_to_screen(kind):
    mta = screened(kind, "-", postscreen_pre_queue_limit="10", postscreen_greet_wait="${stress?{1}:{4}}s", postscreen_access_list="")
    try:
        settled(mta)
        calm = [Client(mta.port, f"127.0.0.{10 + i}") for i in range(8)]
        assert all(client.line().startswith("220-") for client in calm)
        assert not mta.log.lines("STRESS")
        hurried = Client(mta.port, "127.0.0.30")
        assert hurried.line().startswith("220-")
        mta.log.wait(r"postscreen\[\d+\]: entering STRESS mode with 9 connections$")
        refused = Client(mta.port, "127.0.0.31")
        assert refused.line() == "421 4.3.2 All screening ports are busy"
        mta.log.wait(r"postscreen\[\d+\]: reject: connect from \[127\.0\.0\.31\]:\d+: all screening ports busy$")
        assert hurried.line().startswith("220 ")
        assert calm[-1].is_silent(0.1)  # they wait as long as they were to
        for client in calm[:3]:
            client.close()
        mta.log.wait(r"postscreen\[\d+\]: leaving STRESS mode with 7 connections$")
        for client in [*calm[3:], hurried, refused]:
            client.close()
    finally:
        mta.finish()


@pytest.mark.parametrize("kind", [Posthorn, Postfix])
def test_too_many_for_the_server(kind):
    mta = screened(kind, "1", postscreen_post_queue_limit="5", postscreen_access_list="permit_mynetworks")
    try:
        wait_for(lambda: 0 < len(mta.log.lines(r"CONNECT from \[")) == len(mta.log.lines(r"smtpd\[\d+\]: disconnect from")), "nobody", 20)
        crowd = []
        before = len(mta.log.lines(r"LISTED"))
        for number in range(6):
            crowd.append(Client(mta.port, f"127.0.0.{10 + number}"))
            mta.log.wait(r"LISTED", count=before + number + 1)
        assert crowd[0].line().startswith("220 ")
        refused = Client(mta.port, "127.0.0.30")
        assert refused.line() == "421 4.3.2 All server ports are busy"
        mta.log.wait(r"postscreen\[\d+\]: NOQUEUE: reject: CONNECT from \[127\.0\.0\.30\]:\d+: all server ports busy$")
        for client in [*crowd, refused]:
            client.close()
    finally:
        mta.finish()
