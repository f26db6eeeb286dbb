# SPDX-License-Identifier: ISC
"""Private keys: in no process but keys, and new ones in use without a reload, half a file never."""
import os
import re
import shutil
import ssl
import subprocess
import threading
import time

import pytest

from lib.certs import TestCa, openssl
from lib.mta import IS_ROOT
from lib.tls_client import TlsClient, context
from lib.waiting import wait_for

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="reads other processes' memory")


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return TestCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def served(posthorn, ca, tmp_path):
    """A server with certificates of its own, in files that the test may write over."""
    pairs = {}
    for kind in ("rsa", "ecdsa"):
        made = ca.server("mail.example.test", kind, name=f"first-{kind}")
        pairs[kind] = type(made)(posthorn.config / f"{kind}.pem", posthorn.config / f"{kind}.key")
        shutil.copy(made.cert, pairs[kind].cert)
        shutil.copy(made.key, pairs[kind].key)
        pairs[kind].key.chmod(0o600)
    posthorn.main.update({
        "smtpd_tls_cert_file": pairs["rsa"].cert, "smtpd_tls_key_file": pairs["rsa"].key,
        "smtpd_tls_eccert_file": pairs["ecdsa"].cert, "smtpd_tls_eckey_file": pairs["ecdsa"].key,
        "smtpd_tls_security_level": "may", "smtpd_relay_restrictions": "permit_mynetworks, reject",
    })
    posthorn.pairs = pairs
    return posthorn


RSA, ECDSA = (dict(ciphers=f"ECDHE-{kind}-AES256-GCM-SHA384", newest=ssl.TLSVersion.TLSv1_2) for kind in ("RSA", "ECDSA"))


def serial(port, **options):
    with TlsClient(port) as client:
        client.hello()
        client.starttls(context(**options))
        der = client.socket.getpeercert(binary_form=True)
    return openssl("x509", "-inform", "DER", "-noout", "-serial", input=der).strip()


def serial_of(path):
    return openssl("x509", "-in", path, "-noout", "-serial").strip()


# --- where keys are -------------------------------------------------------------------------------------

def memory(pid):
    found = b""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            start, end, mode = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if "r" not in mode or "[v" in line:
                continue
            try:
                mem.seek(int(start, 16))
                found += mem.read(int(end, 16) - int(start, 16))
            except OSError:
                pass
    return found


def secrets_of(path):
    """The numbers of a private key as they stand in memory, in either byte order, and a line of its PEM text."""
    text = openssl("pkey", "-in", path, "-noout", "-text")
    wanted = {}
    for name in ("prime1", "prime2", "privateExponent", "priv"):
        match = re.search(rf"^{name}:\n((?: +[0-9a-f:]+\n)+)", text, re.M)
        if match:
            number = bytes.fromhex(re.sub(r"[\s:]", "", match.group(1))).lstrip(b"\0")
            wanted[f"{name}, big end first"] = number
            wanted[f"{name}, little end first"] = number[::-1]
    lines = [line for line in path.read_text().splitlines() if not line.startswith("-")]
    wanted["PEM text"] = lines[1 if len(lines) > 3 else 0].encode()
    return wanted


def test_no_process_but_keys_has_a_private_key(served):
    served.master_cf = f"127.0.0.1:{served.port} inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes\n" + \
        "127.0.0.1:{} inet n - n - - smtpd\n".format(served.port + 1) + served.master_cf.split("\n", 1)[1]
    served.log.expect(r"SASL|sasl|auth")
    served.start()
    for port in (served.port, served.port + 1):
        for options in (RSA, ECDSA, {}):
            serial(port, **options)
    wanted = {f"{kind}: {name}": value for kind, pair in served.pairs.items() for name, value in secrets_of(pair.key).items()}
    assert len(wanted) >= 10
    everywhere = {}
    for role in ("smtpd", "submission", "keys", "lookup", "queue", "resolver"):
        for pid in served.pids(role):
            held = memory(pid)
            assert len(held) > 1000000
            everywhere.setdefault(role, set()).update(name for name, value in wanted.items() if value in held)
    everywhere["master"] = {name for name, value in wanted.items() if value in memory(served.master_pid)}
    in_keys = everywhere.pop("keys")
    assert {"rsa: prime1, little end first", "ecdsa: priv, little end first"} <= in_keys  # the test can see them
    assert not any("PEM" in name for name in in_keys)
    assert set(everywhere) >= {"smtpd", "submission", "master"}
    assert {role: names for role, names in everywhere.items() if names} == {}


def test_keys_is_confined(served):
    served.start()
    out = served.command("posthorn", "probe").stdout
    lines = [line for line in out.splitlines() if line.startswith("keys")]
    assert lines and not any(line.endswith("allowed") for line in lines), out


# --- new certificates -------------------------------------------------------------------------------------

def wait_serial(served, expected, **options):
    wait_for(lambda: serial(served.port, **options) == expected, f"certificate {expected}", 12, 0.2)


def test_new_certificates_are_used_without_a_reload(served, ca):
    served.start()
    for kind, options in (("rsa", RSA), ("ecdsa", ECDSA)):
        new = ca.server("mail.example.test", kind, name=f"second-{kind}")
        assert serial(served.port, **options) == serial_of(served.pairs[kind].cert)
        served.pairs[kind].write_over(new)
        wait_serial(served, serial_of(new.cert), **options)
    served.log.wait(r"keys\[\d+\]: \S+rsa.pem with key \S+rsa.key: new certificate in use")
    assert not served.log.lines("reload")


def test_half_a_renewal_keeps_the_old_certificate(served, ca):
    served.log.expect(r"the certificate that was there before stays in use")
    served.start()
    pair, old = served.pairs["rsa"], serial_of(served.pairs["rsa"].cert)
    new = ca.server("mail.example.test", "rsa", name="third-rsa")
    whole = new.cert.read_text()
    steps = [
        (lambda: pair.cert.write_text(whole[:700]), r"rsa.pem it is damaged or not whole"),
        (lambda: pair.cert.write_text(whole), r"the key is not that of the certificate"),
        (lambda: pair.cert.unlink(), r"rsa.pem cannot be opened: No such file"),
    ]
    for change, complaint in steps:
        change()
        served.log.wait(rf"keys\[\d+\]: warning: \S+rsa.pem with key \S+rsa.key: .*{complaint}.*: the certificate that was there "
                        "before stays in use", seconds=15)
        assert serial(served.port, **RSA) == old
    assert served._postfix("reload") == 0  # not even a reload loses it
    time.sleep(1)
    wait_serial(served, old, **RSA)
    pair.cert.write_text(whole)
    shutil.copy(new.key, pair.key)
    wait_serial(served, serial_of(new.cert), **RSA)


def test_rotation_under_load(served, ca):
    served.main["smtpd_client_connection_count_limit"] = "0"
    served.start()
    pair, done, problems, seen = served.pairs["ecdsa"], threading.Event(), [], set()

    def load():
        made = context(ca=ca.root.cert, **ECDSA)
        while not done.is_set():
            try:
                with TlsClient(served.port) as client:
                    client.hello()
                    client.starttls(made)
                    client.say("NOOP", expect=250)
                    seen.add(client.socket.getpeercert()["serialNumber"])
            except (OSError, AssertionError) as problem:
                problems.append(problem)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(3):
            new = ca.server("mail.example.test", "ecdsa", name=f"load-{number}")
            pair.write_over(new)
            wait_for(lambda new=new: serial_of(new.cert).split("=")[1] in seen, "the new certificate", 10)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not problems, problems[0]
    assert len(seen) == 4


def test_a_certificate_that_ends_soon_is_warned_of(served, ca):
    soon = ca.server("mail.example.test", "rsa", name="soon", days=5)
    served.pairs["rsa"].write_over(soon)
    served.log.expect(r"certificate expires in [45] days: \S+rsa.pem on 20\d\d-\d\d-\d\d")
    served.start()
    served.log.wait(r"keys\[\d+\]: warning: certificate expires in [45] days: \S+rsa.pem on ")
    check = served.command("posthorn", "check")
    assert re.search(r"rsa.pem expires on 20\d\d-", check.stdout + check.stderr)


def test_an_ended_certificate_is_used_and_warned_of(served, ca):
    ended = ca.server("mail.example.test", "rsa", name="ended", days=0)
    served.pairs["rsa"].write_over(ended)
    served.log.expect(r"certificate expired: \S+rsa.pem on 20\d\d-\d\d-\d\d")
    time.sleep(1)  # notAfter is now
    served.start()
    served.log.wait(r"keys\[\d+\]: warning: certificate expired: \S+rsa.pem on ")
    assert serial(served.port, **RSA) == serial_of(ended.cert)


def test_a_renewal_behind_a_link_and_with_the_key_first(served, ca):
    """As certbot does it, then by hand; and a file that nobody may read."""
    served.log.expect(r"stays in use")
    live = served.config / "live"
    for name in ("live-a", "live-b"):
        new = ca.server("mail.example.test", "ecdsa", name=name)
        (served.config / name).mkdir()
        shutil.copy(new.cert, served.config / name / "cert.pem")
        shutil.copy(new.key, served.config / name / "key.pem")
    live.symlink_to("live-a")
    served.main.update({"smtpd_tls_eccert_file": live / "cert.pem", "smtpd_tls_eckey_file": live / "key.pem"})
    served.start()
    assert serial(served.port, **ECDSA) == serial_of(live / "cert.pem")
    (served.config / "new").symlink_to("live-b")
    os.rename(served.config / "new", live)
    old = serial_of(live / "cert.pem")
    wait_serial(served, old, **ECDSA)
    new = ca.server("mail.example.test", "ecdsa", name="key-first")
    shutil.copy(new.key, live / "key.pem")
    served.log.wait(r"live/cert.pem with key \S+live/key.pem: the key is not that of the certificate.* stays in use", seconds=15)
    assert serial(served.port, **ECDSA) == old
    (live / "cert.pem").chmod(0)
    shutil.copy(new.cert, live / "cert.pem")
    wait_serial(served, serial_of(new.cert), **ECDSA)


def test_without_any_certificate_there_is_no_tls_but_mail(served):
    for pair in served.pairs.values():
        os.unlink(pair.key)
    served.log.expect(r"cannot be opened", r"No server certs available")
    served.start()
    with TlsClient(served.port) as client:
        assert "STARTTLS" in client.hello()
        client.say("STARTTLS", expect="454 4.7.0 TLS not available due to local problem")
        client.say("MAIL FROM:<a@example.org>", expect="250 2.1.0 Ok")


def test_a_key_that_others_can_read_is_still_not_opened_by_services(served):
    """After the start no service opens anything: the files may vanish."""
    served.start()
    for pair in served.pairs.values():
        pair.key.chmod(0)
    assert subprocess.run(["ls", "-l", f"/proc/{served.pids('smtpd')[0]}/fd"], capture_output=True, text=True,
                          check=True).stdout.count(".key") == 0
    serial(served.port, **RSA)
