# SPDX-License-Identifier: ISC
"""Start with a full spool: many deferred messages for a destination that was down, then the server anew."""
import re
import time

from lib.smtp import SmtpClient, send
from lib.waiting import free_port, wait_for

from . import servers


def measure(names, options):
    print(f"\nRestart with {options.deferred:,} deferred messages\n")
    results = {}
    for name in names:
        results[name] = _one(name, options)
        print("{name:<9} filled in {fill_s:.0f} s; after {how}: banner after {banner_s:.3f} s, first delivery of a new message "
              "{delivery_s:.3f} s after it".format(name=name, **results[name]))
    return results


def _one(name, options):
    port = free_port()  # nobody listens there yet
    server = servers.make(name, options, port)
    server.main.update({"minimal_backoff_time": "20000s", "maximal_backoff_time": "40000s", "queue_run_delay": "20000s",
                        "bounce_queue_lifetime": "30d", "maximal_queue_lifetime": "30d"})
    sink = None
    try:
        server.start()
        started = time.monotonic()
        source = servers.load(server, 50, options.deferred, 1024)
        assert source.wait(3600) == 0, "smtp-source failed"
        wait_for(lambda: _deferred(server) >= options.deferred, "all messages to be deferred", 3600, 1)
        fill = time.monotonic() - started
        server.stop()
        sink = servers.Sink(port)
        started = time.monotonic()
        server.start(wait=False)
        wait_for(lambda: _banner(server), "the banner", 60, 0.005)
        banner = time.monotonic() - started
        log_start = server.log.path.stat().st_size  # some hundred thousand lines that need not be read again
        started = time.monotonic()
        queue_id = send(server.port, "carl@example.org", "anna@example.test", "Subject: new\n\nNew.\n")
        wait_for(lambda: _sent(server, log_start, queue_id), "the delivery of the new message", 60, 0.005)
        return {"fill_s": fill, "how": "a stop", "banner_s": banner, "delivery_s": time.monotonic() - started}
    finally:
        servers.stop(server)
        if sink:
            sink.stop()


def _banner(server):
    try:
        with SmtpClient(server.port):
            return True
    except OSError:
        return False


def _sent(server, log_start, queue_id):
    with open(server.log.path, "rb") as file:
        file.seek(log_start)
        return re.search(rb"%s: to=<anna@example.test>.*status=sent" % queue_id.encode(), file.read())


def _deferred(server):
    """How many messages have been tried, by their log lines: both servers write the same."""
    with open(server.log.path, "rb") as file:
        return sum(b"status=deferred" in line for line in file)
