# SPDX-License-Identifier: ISC
"""Certificates by server name, from every kind of table: both servers show the same certificate and say the same."""
import os
import re
import shutil
import ssl
import subprocess
import types

import pytest

from lib.certs import TestCa
from lib.mta import IS_ROOT, Postfix, Posthorn
from lib.reference import unavailable
from lib.tls_client import TlsClient, context
from lib.waiting import accepts_connections, free_port, wait_for
from test_tls_dialogue import plain
from test_tls_keys import memory, secrets_of

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="needs Debian's Postfix, and reads other processes' memory")

RSA, ECDSA = (dict(ciphers=f"ECDHE-{kind}-AES256-GCM-SHA384", newest=ssl.TLSVersion.TLSv1_2) for kind in ("RSA", "ECDSA"))
# The built files of each service below, by the server that makes them; None: each uses its own.
BUILT = {"lmdb": Postfix, "cdb": Postfix, "ours-lmdb": Posthorn, "ours-cdb": Posthorn, "hash": None}
NAMES = ["one.example.test", "ONE.Example.TEST", "www.example.org", "a.b.example.org", "example.org", ".example.org", "else.test",
         "two.kinds.test", "x.deep.example.org", "first.test", "under_score.test", "a..b", "-", "x" * 63 + ".test", "x" * 64 + ".test",
         "192.0.2.1", "test"]
BROKEN = ["mismatch.test", "certfirst.test", "empty.test", "keyonly.test"]


class Names:
    """One server with a service for each kind of table."""

    def __init__(self, kind, ca, texts):
        mta = self.mta = kind()
        mta.log.expect("")
        mta.main.update({
            "smtpd_tls_cert_file": ca.default.cert, "smtpd_tls_key_file": ca.default.key, "smtpd_tls_security_level": "may",
            "smtpd_tls_loglevel": "1", "smtpd_relay_restrictions": "reject", "tls_preempt_cipherlist": "no",
        })
        maps = {
            "lmdb": f"lmdb:{texts['lmdb']}", "cdb": f"cdb:{texts['cdb']}", "ours-lmdb": f"lmdb:{texts['ours-lmdb']}",
            "ours-cdb": f"cdb:{texts['ours-cdb']}", "hash": f"hash:{mta.config}/names", "texthash": f"texthash:{texts['good']}",
            "inline": f"inline:{{ {{ one.example.test = {ca.one.key}, {ca.one.cert} }}, {{.example.org={ca.two.key} {ca.two.cert}}} }}",
            "several": f"cdb:{texts['other']}, lmdb:{texts['lmdb']}", "damaged": f"cdb:{texts['damaged']}", "absent": f"cdb:{texts['absent']}",
            "plain": f"cdb:{texts['plain']}",
        }
        self.ports = {name: free_port() for name in maps}
        mta.master_cf = "".join(f"127.0.0.1:{self.ports[name]} inet n - n - - smtpd\n  -o {{ tls_server_sni_maps = {value} }}\n"
                                for name, value in maps.items()) + mta.master_cf
        self.text = mta.file("names", texts["all"].read_text())
        mta.write_configuration()
        done = mta.command("postmap", "-F", f"hash:{self.text}")
        assert done.returncode == 0, done.stderr
        if kind is Posthorn:
            self.text.unlink()

    def start(self):
        self.mta.start()
        for port in self.ports.values():
            wait_for(lambda port=port: accepts_connections("127.0.0.1", port), f"port {port}", 20)
        return self

    def show(self, service, name, **options):
        """(subject of the certificate or how it failed, what the log says of it)"""
        log = self.mta.log
        end = r"smtpd\[\d+\]: disconnect from .* starttls="  # not that of a connection that only looked whether somebody listens
        before, ended = len(log.lines()), len(log.lines(end))
        try:
            with TlsClient(self.ports[service]) as client:
                client.hello()
                client.say("STARTTLS", expect=220)
                made = context(ca=options.pop("ca"), **options)
                made.hostname_checks_common_name = True
                client.secure(made, name=name)
                shown = client.subject()
                client.say("QUIT", expect=221)
        except (OSError, ssl.SSLError, UnicodeError) as problem:
            shown = type(problem).__name__
        log.wait(end, count=ended + 1, seconds=20)
        lines = [plain(line) for line in log.lines()[before:] if " postfix/smtpd[" in line]
        lines = [line for line in lines if line and re.search(r"SNI|established|lookup problem", line)]
        if any("not matched" in line for line in lines):  # Debian's 3.7 leaves out the name then, newer ones do not
            lines = [line.replace(f"] to {name}: TLS", "]: TLS") for line in lines]
        return shown, lines


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    made = TestCa(tmp_path_factory.mktemp("ca"))
    made.default, made.one, made.two = (made.server(*one) for one in (("mail.example.test", "rsa"), ("one.example.test", "ecdsa"),
                                                                       ("two.example.org", "rsa")))
    made.rsa, made.ecdsa = made.server("kinds.test", "rsa"), made.server("kinds.test", "ecdsa")
    return made


def entries(ca, directory):
    empty = directory / "empty.pem"
    empty.write_text("nothing\n")
    good = [f"one.example.test {ca.one.key}, {ca.one.cert}", f".example.org {ca.two.key} {ca.two.cert}",
            f".kinds.test {ca.rsa.key} {ca.rsa.cert} {ca.ecdsa.key} {ca.ecdsa.cert}", f"first.test {ca.one.key} {ca.one.cert}"]
    bad = [f"mismatch.test {ca.one.key}, {ca.two.cert}", f"certfirst.test {ca.one.cert} {ca.one.key}", f"empty.test {empty}",
           f"keyonly.test {ca.one.key}"]
    return good, bad


@pytest.fixture(scope="module")
def texts(ca, tmp_path_factory):
    """Sources, and the tables that one of the servers built of them; then the sources are gone."""
    for problem in (Posthorn.unavailable(), Postfix.unavailable(), unavailable("lmdb", "cdb")):
        if problem:
            pytest.skip(problem)
    directory = tmp_path_factory.mktemp("tables")
    good, bad = entries(ca, directory)
    made = {name: directory / name for name in ("all", "good", *BUILT, "other", "damaged", "absent", "plain")}
    made["all"].write_text("\n".join(good + bad) + "\n")
    made["good"].write_text("\n".join(good) + "\n")
    builders = {Postfix: Postfix(), Posthorn: Posthorn()}
    for builder in builders.values():
        builder.write_configuration()

    def build(name, kind, text, by, *options):
        made[name].write_text(text)
        done = builders[by].command("postmap", *options, f"{kind}:{made[name]}")
        assert done.returncode == 0, done.stderr
        made[name].unlink()

    for name, by in BUILT.items():
        if by:
            build(name, name.split("-")[-1], made["all"].read_text(), by, "-F")
    build("other", "cdb", f"first.test {ca.two.key} {ca.two.cert}\n", Postfix, "-F")
    build("plain", "cdb", f"one.example.test {ca.one.key}\n", Postfix)  # without -F
    directory.joinpath("damaged.cdb").write_bytes(directory.joinpath("cdb.cdb").read_bytes()[:5000])
    for builder in builders.values():
        shutil.rmtree(builder.directory)
    return made


@pytest.fixture(scope="module")
def both(ca, texts):
    servers = types.SimpleNamespace(ours=Names(Posthorn, ca, texts), theirs=Names(Postfix, ca, texts))
    try:
        servers.ours.start()
        servers.theirs.start()
        yield servers
    finally:
        servers.ours.mta.finish()
        servers.theirs.mta.finish()


@pytest.mark.parametrize("service", ["lmdb", "cdb", "ours-lmdb", "ours-cdb", "hash", "texthash", "inline", "several"])
def test_both_show_the_same_certificate(both, ca, service):
    seen = set()
    for name in NAMES:
        ours, theirs = (server.show(service, name, ca=ca.root.cert) for server in (both.ours, both.theirs))
        assert ours == theirs, name
        seen.add(ours[0])
    assert {"mail.example.test", "one.example.test", "two.example.org"} <= seen


@pytest.mark.parametrize("service", ["lmdb", "ours-cdb", "hash"])
def test_what_is_broken_fails_in_both(both, ca, service):
    for name in BROKEN:
        ours, theirs = (server.show(service, name, ca=ca.root.cert) for server in (both.ours, both.theirs))
        assert ours[0] == theirs[0] and "Error" in ours[0], (name, ours, theirs)


@pytest.mark.parametrize("service, complaint", [
    ("damaged", r"damaged.cdb is damaged, or no table"), ("absent", r"absent.cdb cannot be opened: No such file"),
    ("plain", r"plain.cdb, name one.example.test: the value is not what postmap -F makes"),
])
def test_a_table_that_cannot_be_read_is_not_an_answer(both, ca, service, complaint):
    """Not the default certificate: the table might have said otherwise."""
    ours = both.ours.show(service, "one.example.test", ca=ca.root.cert)
    assert "Error" in ours[0] and "lookup problem" in ours[1][0]
    both.ours.mta.log.wait(rf"keys\[\d+\]: warning: .*{complaint}")
    if service != "damaged":  # Postfix's smtpd ends there, with a fatal error
        theirs = both.theirs.show(service, "one.example.test", ca=ca.root.cert)
        assert theirs[0] == ours[0] and theirs[1] == ours[1]


@pytest.mark.parametrize("service", ["lmdb", "cdb", "hash"])
@pytest.mark.parametrize("options", [RSA, ECDSA], ids=["rsa", "ecdsa"])
def test_a_name_with_several_algorithms(both, ca, service, options):
    ours, theirs = (server.show(service, "a.kinds.test", ca=ca.root.cert, **options) for server in (both.ours, both.theirs))
    assert ours == theirs and ours[0] == "kinds.test"


# --- what only ours does --------------------------------------------------------------------------------

@pytest.fixture
def renewing(posthorn, ca):
    """A text, and the table that postmap -F built of it."""
    posthorn.names = {}
    for name in ("first", "second"):
        posthorn.names[name] = ca.server(f"{name}.test", "ecdsa")
    posthorn.pem = posthorn.file("name.pem", "".join(path.read_text() for path in (posthorn.names["first"].key, posthorn.names["first"].cert)))
    posthorn.text = posthorn.file("names", f"one.test {posthorn.pem}\n")
    posthorn.main.update({
        "smtpd_tls_cert_file": ca.default.cert, "smtpd_tls_key_file": ca.default.key, "smtpd_tls_security_level": "may",
        "smtpd_relay_restrictions": "permit_mynetworks, reject", "tls_server_sni_maps": f"hash:{posthorn.text}",
    })
    posthorn.write_configuration()
    assert posthorn.command("postmap", "-F", f"hash:{posthorn.text}").returncode == 0
    return posthorn


def subject(mta, ca, name="one.test"):
    with TlsClient(mta.port) as client:
        client.hello()
        client.starttls(context(ca=ca.root.cert), name)
        return client.subject()


def put(pem, pair):
    new = pem.with_suffix(".new")
    new.write_text(pair.key.read_text() + pair.cert.read_text())
    os.rename(new, pem)


def test_whatever_is_newer_counts(renewing, ca):
    """A renewed certificate needs no postmap, a new table no text."""
    renewing.log.expect(r"mistake.pem")
    renewing.start()
    assert subject(renewing, ca) == "first.test"
    put(renewing.pem, renewing.names["second"])
    wait_for(lambda: subject(renewing, ca) == "second.test", "the renewed certificate", 12, 0.2)
    put(renewing.pem, renewing.names["first"])
    assert renewing.command("postmap", "-F", f"hash:{renewing.text}").returncode == 0
    renewing.pem.unlink()  # the table holds it
    wait_for(lambda: subject(renewing, ca) == "first.test", "the new table", 12, 0.2)
    third = ca.server("third.test", "rsa")
    done = renewing.command("postmap", "-F", "-i", f"hash:{renewing.text}", input=f"three.test {third.key} {third.cert}\n")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: subject(renewing, ca, "three.test") == "third.test", "the added name", 12, 0.2)
    assert subject(renewing, ca) == "first.test"


def test_a_damaged_table_leaves_the_old_one_in_use(renewing, ca):
    renewing.log.expect(r"the table that was there before stays in use", r"names: No such file")
    renewing.start()
    renewing.text.unlink()
    built = renewing.config / "names.lmdb"
    content = built.read_bytes()
    built.write_bytes(content[:4096])
    renewing.log.wait(r"keys\[\d+\]: warning: \S+names.lmdb: \S+names.lmdb is damaged, or no table that postmap built: the table that was there before", seconds=15)
    assert subject(renewing, ca) == "first.test"
    assert renewing._postfix("reload") == 0
    assert subject(renewing, ca) == "first.test"
    built.write_bytes(content)
    renewing.log.wait(r"keys\[\d+\]", count=1)
    assert subject(renewing, ca) == "first.test"


def test_private_keys_of_a_table_are_in_keys_alone(renewing, ca):
    renewing.start()
    assert subject(renewing, ca) == "first.test"
    wanted = secrets_of(renewing.names["first"].key)
    wanted["base64 of the table"] = subprocess.run(["base64", "-w0", renewing.pem], capture_output=True, check=True).stdout[200:260]
    held = {}
    for role in ("smtpd", "keys", "lookup", "master"):
        content = b"".join(memory(pid) for pid in ([renewing.master_pid] if role == "master" else renewing.pids(role)))
        held[role] = {name for name, value in wanted.items() if value in content}
    assert held.pop("keys") & {"priv, big end first", "priv, little end first"}
    assert {role: names for role, names in held.items() if names} == {}
