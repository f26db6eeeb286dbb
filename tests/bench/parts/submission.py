# SPDX-License-Identifier: ISC
"""People who send: STARTTLS, AUTH PLAIN against one Dovecot, 4 KB messages, both servers in turn. The clients are processes of
Python on the same machine, so that the rates are lower bounds for both; the servers' own CPU is what tells them apart.
Dovecot's CPU is not counted."""
import multiprocessing
import pathlib
import socket
import ssl
import statistics
import tempfile
import time

from lib.certificate import self_signed
from lib.sasl import DovecotAuth, plain

from . import servers

_SESSIONS = 20
_PROCESSES = 4
_LOGIN = plain("anna", "secret")
_TEXT = b"From: anna@example.test\r\nSubject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * 56 + b".\r\n"


def _command(stream, sock, line, code):
    sock.sendall(line + b"\r\n" if line is not _TEXT else line)
    while True:
        reply = stream.readline()
        if reply[3:4] != b"-":
            break
    if not reply.startswith(code):
        raise RuntimeError(f"{line[:40]!r}: {reply!r}")


def _session(port, context, messages):
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = sock.makefile("rb")
    stream.readline()
    _command(stream, sock, b"EHLO client.test", b"250")
    _command(stream, sock, b"STARTTLS", b"220")
    stream.close()
    sock = context.wrap_socket(sock)
    stream = sock.makefile("rb")
    _command(stream, sock, b"EHLO client.test", b"250")
    _command(stream, sock, f"AUTH PLAIN {_LOGIN}".encode(), b"235")
    for _ in range(messages):
        _command(stream, sock, b"MAIL FROM:<anna@example.test> BODY=8BITMIME", b"250")
        _command(stream, sock, b"RCPT TO:<anna@example.test>", b"250")
        _command(stream, sock, b"DATA", b"354")
        _command(stream, sock, _TEXT, b"250")
    _command(stream, sock, b"QUIT", b"221")
    stream.close()
    sock.close()


def _client(arguments):
    """One process: some threads that send one after another."""
    from concurrent.futures import ThreadPoolExecutor
    port, threads, logins, messages = arguments
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: _session(port, context, messages), range(logins)))


def _one_run(server, sink, pool, logins, messages):
    total = logins // _PROCESSES * _PROCESSES * messages
    taken, cpu, started = sink.count(), server.cpu.seconds(), time.monotonic()
    pool.map(_client, [(server.port, _SESSIONS // _PROCESSES, logins // _PROCESSES, messages)] * _PROCESSES, chunksize=1)
    ended = sink.wait(taken + total, 600)
    time.sleep(0.3)
    return {"per_second": total / (ended - started), "cpu_ms": (server.cpu.seconds() - cpu) / total * 1000}


def _make(name, options, sink, top, dovecot):
    server = servers.make(name, options, sink.port)
    server.main.update({
        "smtpd_tls_cert_file": top / "tls" / "cert.pem", "smtpd_tls_key_file": top / "tls" / "key.pem",
        "smtpd_tls_security_level": "encrypt", "smtpd_tls_auth_only": "yes", "smtpd_sasl_auth_enable": "yes",
        "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": dovecot.socket, "smtpd_client_restrictions": "permit_sasl_authenticated, reject",
        "smtpd_sender_login_maps": "inline:{anna@example.test=anna}", "smtpd_sender_restrictions": "reject_sender_login_mismatch"})
    return server


def measure(names, options):
    print(f"\nsubmission: STARTTLS (P-256), AUTH PLAIN (Dovecot), {_SESSIONS} sessions: {options.rounds} rounds, in turn, median\n")
    results = {}
    sink = servers.Sink()
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as directory, multiprocessing.Pool(_PROCESSES) as pool:
        top = pathlib.Path(directory)
        top.chmod(0o755)
        self_signed(top / "tls")
        dovecot = DovecotAuth(top / "auth", "postfix", {"anna": "secret"}).start()
        running = {}
        try:
            for name in names:
                running[name] = _make(name, options, sink, top, dovecot)
                running[name].start()
                _one_run(running[name], sink, pool, 40, 1)
            for messages, logins in ((1, 800), (10, 200)):
                runs = results[f"{messages} a login"] = {name: [] for name in names}
                for _ in range(options.rounds):
                    for name in names:
                        runs[name].append(_one_run(running[name], sink, pool, logins, messages))
                _print(names, messages, runs)
        finally:
            for server in running.values():
                servers.stop(server)
            dovecot.finish()
            sink.stop()
    return results


def _print(names, messages, runs):
    for name in names:
        rounds = " ".join(f"{run['per_second']:.0f}" for run in runs[name])
        print(f"{messages:>3} messages a login  {name:<9} {statistics.median(run['per_second'] for run in runs[name]):>7.0f} messages/s  "
              f"({rounds})  {statistics.median(run['cpu_ms'] for run in runs[name]):.3f} ms CPU a message")
    if len(names) == 2:
        speed = statistics.median(a["per_second"] / b["per_second"] for a, b in zip(runs["posthorn"], runs["postfix"]))
        cpu = statistics.median(b["cpu_ms"] / a["cpu_ms"] for a, b in zip(runs["posthorn"], runs["postfix"]))
        print(f"    -> {speed:.2f} times the messages/s, CPU per message divided by {cpu:.2f} (medians of the ratios of each round)")
