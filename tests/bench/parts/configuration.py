# SPDX-License-Identifier: ISC
"""A main.cf with 300 settings: from the start to the banner, and from a reload to the first session under the new one."""
import os
import signal
import statistics
import subprocess
import time

from lib.mta import ROOT
from lib.smtp import SmtpClient
from lib.waiting import wait_for

from . import servers

SETTINGS = 300


def measure(names, options):
    print(f"\nA configuration of {SETTINGS} settings\n")
    results = {}
    for name in names:
        rounds = [_one(name, options) for _ in range(options.rounds)]
        results[name] = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        print("{name:<9} start to banner {start_ms:.0f} ms, reload to a session with the new settings {reload_ms:.0f} ms"
              .format(name=name, **results[name]))
    return results


def _defaults(server):
    """Settings that change nothing: each with its default, as postconf -d says it."""
    lines = server.command("postconf", "-d").stdout.splitlines()
    known = [line.split(" = ", 1) for line in lines if " = " in line]
    skipped = ("_directory", "_name", "mail_version", "mydestination", "mynetworks", "inet_", "myhostname", "mydomain", "mail_owner",
               "setgid_group", "process_id", "maillog", "compatibility", "alias_", "import_", "multi_instance", "_path")
    return {name: value for name, value in known if value and "$" not in value and not any(word in name for word in skipped)}


def _one(name, options):
    sink = servers.Sink()
    server = servers.make(name, options, sink.port)
    try:
        server.write_configuration()
        more = _defaults(server)
        for setting in sorted(more):
            if len(server.main) < SETTINGS:
                server.main.setdefault(setting, more[setting])
        assert len(server.main) == SETTINGS, f"{len(server.main)} settings"
        server.write_configuration()
        start = _supervisor(server)
        started = time.monotonic()
        start()
        wait_for(lambda: _banner(server) is not None, "the banner", 60, 0.002)
        start = time.monotonic() - started
        server.master_pid = int((server.queue / "pid" / "master.pid").read_text())
        server.main["smtpd_banner"] = "$myhostname ESMTP changed"
        server.write_configuration()
        started = time.monotonic()
        os.kill(server.master_pid, signal.SIGHUP)
        wait_for(lambda: "changed" in (_banner(server) or ""), "the new banner", 60, 0.002)
        return {"start_ms": start * 1000, "reload_ms": (time.monotonic() - started) * 1000}
    finally:
        servers.stop(server)
        sink.stop()


def _supervisor(server):
    """What starts it, the same way for both: the supervisor alone, without the script and the waiting of `postfix start`."""
    if server.name == "postfix":
        return lambda: server.start(wait=False)
    program = server.command("postconf", "-hx", "daemon_directory").stdout.strip() + "/master"
    return lambda: subprocess.Popen([*server.wrapper, program, "-c", server.config, "-d"], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                                    env=server.environment())


def _banner(server):
    try:
        with SmtpClient(server.port) as client:
            return client.banner
    except OSError:
        return None
