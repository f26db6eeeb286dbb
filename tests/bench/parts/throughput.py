# SPDX-License-Identifier: ISC
"""Messages per second from first connect to last delivery, and CPU per message, both servers in turn."""
import statistics

from . import servers

_MESSAGES = {0: {1: 3000, 20: 8000, 100: 8000}, 5: {1: 300, 20: 4000, 100: 8000}}


def _messages(options, sessions, delay_ms):
    return options.messages or _MESSAGES[delay_ms].get(sessions, 4000)


def measure(names, options, delay_ms):
    session_counts = [int(text) for text in options.sessions.split(",")]
    title = "4 KB messages, LMTP sink" + (f", every flush takes {delay_ms} ms" if delay_ms else "")
    print(f"\n{title}: {options.rounds} rounds, the servers in turn, median\n")
    sink = servers.Sink()
    running = {}
    for name in names:
        delay = servers.FlushDelay(options.directory, delay_ms) if delay_ms else None
        running[name] = servers.make(name, options, sink.port, delay)
    results = {str(sessions): {name: [] for name in names} for sessions in session_counts}
    try:
        for server in running.values():
            server.start()
            servers.run_load(server, sink, 10, 300)  # warm: every process is started, every file is made
        for _ in range(options.rounds):
            for sessions in session_counts:
                for name in names:
                    results[str(sessions)][name].append(
                        _one_run(running[name], sink, sessions, _messages(options, sessions, delay_ms)))
    finally:
        for server in running.values():
            servers.stop(server)
        sink.stop()
    _print(names, session_counts, results, delay_ms)
    return results


def _one_run(server, sink, sessions, messages):
    calls = server.delay.counts() if server.delay else (0, 0)
    seconds, cpu = servers.run_load(server, sink, sessions, messages)
    if server.delay:
        server.delay.check_loaded(server.cpu.pids())
        calls = [now - before for now, before in zip(server.delay.counts(), calls)]
    return {"messages": messages, "seconds": seconds, "per_second": messages / seconds,
            "cpu_ms": cpu / messages * 1000, "flush_calls": calls[0] / messages, "flushes": calls[1] / messages}


def _median(runs, key):
    return statistics.median(run[key] for run in runs)


def _print(names, session_counts, results, delay_ms):
    head = f"{'sessions':>8}  {'server':<9} {'messages/s':>10}  {'(all rounds)':<24} {'CPU ms/message':>14}"
    print(head + (f" {'flush calls':>12} {'flushes':>8}  each per message" if delay_ms else ""))
    for sessions in session_counts:
        runs = results[str(sessions)]
        for name in names:
            rounds = " ".join(f"{run['per_second']:.0f}" for run in runs[name])
            line = (f"{sessions:>8}  {name:<9} {_median(runs[name], 'per_second'):>10.0f}  {rounds:<24} "
                    f"{_median(runs[name], 'cpu_ms'):>14.3f}")
            if delay_ms:
                line += f" {_median(runs[name], 'flush_calls'):>12.2f} {_median(runs[name], 'flushes'):>8.2f}"
            print(line)
        if len(names) == 2:
            speed = statistics.median(ours["per_second"] / theirs["per_second"]
                                      for ours, theirs in zip(runs["posthorn"], runs["postfix"]))
            cpu = statistics.median(theirs["cpu_ms"] / ours["cpu_ms"]
                                    for ours, theirs in zip(runs["posthorn"], runs["postfix"]))
            print(f"{'':>8}  -> {speed:.2f} times the messages/s, CPU per message divided by {cpu:.2f}"
                  " (medians of the ratios of each round)")
