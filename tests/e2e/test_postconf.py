# SPDX-License-Identifier: ISC
"""postconf beside Postfix's own, over a folder of awkward configurations: equal output, equal edits.

Run: /usr/bin/python3 -m pytest tests/e2e/test_postconf.py
What may differ is listed here and in docs/config-differences.md.
"""
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from lib.mta import ROOT, Postfix

HERE = pathlib.Path(__file__).resolve().parent
OURS = pathlib.Path(os.environ.get("POSTHORN_BUILD", ROOT / "build" / "normal")) / "inst" / "sbin" / "postconf"
CONFIGS = HERE / "configs"

# Defaults that differ on purpose; docs/config-differences.md says why.
DIFFERENT_DEFAULTS = """
    alias_maps command_directory config_directory daemon_directory import_environment mail_release_date
    mail_version process_id proxy_read_maps smtp_tls_dane_insecure_mx_policy smtp_tls_security_level
    smtpd_forbid_bare_newline smtpd_forbid_unauth_pipelining tls_eecdh_auto_curves tls_export_cipherlist
    tls_high_cipherlist tls_legacy_public_key_fingerprints tls_low_cipherlist tls_medium_cipherlist
    tls_null_cipherlist tls_preempt_cipherlist smtpd_tls_protocols smtpd_tls_mandatory_protocols
    postscreen_tls_protocols postscreen_tls_mandatory_protocols tlsproxy_tls_protocols
    tlsproxy_tls_mandatory_protocols local_recipient_maps milter_macro_v""".split()

SHOW = [
    "-n", "-nf", "-nx", "-nxf", "-nh", "-nH", "-p -n", "-C user", "-C service", "-C user,service -n",
    "-M", "-Mf", "-Mx", "-Mxf", "-M smtp", "-M smtp/inet nope", "-M */unix", "-F", "-Ff", "-Fh", "-FH",
    "-F */*/chroot", "-Fh smtp/inet/command", "-F smtp/inet/nope", "-P", "-Pf", "-Ph", "-PH", "-Px",
    "-P */inet/syslog_name", "-P nope", "myhostname mydomain nosuchname", "-x mydestination", "-h myorigin",
    "-hx myorigin", "myhostname -h", "-- myhostname", "-o mail_name=other -n", "-o mail_name=other mail_name", "-d mail_owner", "-a", "-A", "-l",
]

EDIT_MAIN = [
    ["-e", "mydestination = a, b", "newone=1"],
    ["relayhost="],
    ["mail_name = with  two blanks "],
    ["-X", "mydestination", "nosuch", "strict"],
    ["-#", "mydestination", "mydomain"],
    ["-e", "mydomain=c.example"],
    ["-e", "a=1", "a=2"],
    ["-e", "novalue"],
    ["-e", "# x=1"],
    ["-e", " =x"],
    ["-X", "a=b"],
    ["-X", " "],
    ["-e"],
    ["-X"],
]

EDIT_MASTER = [
    ["-M", "-e", "smtp/inet=smtp inet n - n - - smtpd -o a=b"],
    ["-M", "new/unix=new unix n - n - - pipe argv=x { a b }"],
    ["-Me", "smtp/inet=submission inet n - y - - smtpd"],
    ["-MX", "lmtp/unix", "nope/unix"],
    ["-M#", "smtp/inet"],
    ["-MX", "foo"],
    ["-Fe", "dovecot/unix/chroot=y"],
    ["-F", "*/unix/chroot=n"],
    ["-Fe", "smtp/inet/nope=unix"],
    ["-Fe", "smtp/inet/*=unix"],
    ["-Pe", "submission/inet/syslog_name=foo", "submission/inet/new=2", "lmtp/unix/foo=bar"],
    ["-Pe", "nope/inet/x=y"],
    ["-Pe", "dovecot/unix/x=y"],
    ["-PX", "submission/inet/syslog_name"],
]


@pytest.fixture(scope="session")
def postfix():
    """Runs Postfix's postconf; the package is unpacked, not installed."""
    root = Postfix.directory_of_reference
    program = root / "usr/sbin/postconf"
    if not program.exists():
        pytest.skip(f"no reference: {program}")
    libraries = str(root / "usr/lib/postfix")
    return lambda *args: run(program, args, LD_LIBRARY_PATH=libraries)


def posthorn(*args):
    return run(OURS, args)


class Result:
    """What a program said. Warnings are a set: Postfix reads a fresh file twice and repeats itself."""

    def __init__(self, done):
        self.status = done.returncode
        self.out = done.stdout.splitlines()
        self.warnings = {re.sub(r"^\S*postconf: ", "", line) for line in done.stderr.splitlines()}


def run(program, args, **environment):
    env = {name: value for name, value in os.environ.items() if name != "MAIL_CONFIG"}
    done = subprocess.run([program, *args], capture_output=True, text=True, timeout=30, env={**env, **environment})
    return Result(done)


def without_different_defaults(lines):
    return [line for line in lines if line.split(" ")[0] not in DIFFERENT_DEFAULTS]


def assert_same(reference, result):
    assert result.out == reference.out
    assert result.warnings == reference.warnings
    assert result.status == reference.status


@pytest.mark.parametrize("options", SHOW)
@pytest.mark.parametrize("name", ["awkward", "expressions", "mailstack", "services", "syntax"])
def test_same_output(postfix, name, options):
    arguments = ["-c", str(CONFIGS / name), *options.split()]
    assert_same(postfix(*arguments), posthorn(*arguments))


@pytest.mark.parametrize("options", ["-n", "-M", "-nx", "relayhost"])
@pytest.mark.parametrize("name", ["broken-main", "broken-master", "nomaster", "no-such-directory"])
def test_same_complaints(postfix, name, options):
    arguments = ["-c", str(CONFIGS / name), *options.split()]
    assert_same(postfix(*arguments), posthorn(*arguments))


def test_a_loop_is_shown_but_not_evaluated():
    """Postfix refuses to show it at all."""
    directory = str(CONFIGS / "loop")
    assert posthorn("-c", directory, "-h", "relayhost").out == ["$a"]
    evaluated = posthorn("-c", directory, "-hx", "relayhost")
    assert evaluated.status == 1
    assert any("nesting" in line for line in evaluated.warnings)


@pytest.mark.parametrize("options", ["-d", "-df", "-x", "-dh"])
def test_same_defaults(postfix, options):
    arguments = ["-c", str(CONFIGS / "mailstack"), *options.split()]
    reference, result = postfix(*arguments), posthorn(*arguments)
    if "f" in options or "h" in options:  # not one line a parameter: only the amount can be compared
        assert len(result.out) >= len(reference.out)
        return
    ours = without_different_defaults(result.out)
    missing = [line for line in without_different_defaults(reference.out) if line not in ours]
    assert missing == []


def test_later_releases_are_known():
    names = {line.split(" ")[0] for line in posthorn("-d").out}
    assert {"smtpd_hide_client_session", "use_srv_lookup", "smtp_tlsrpt_enable"} <= names


def edited(program, source, directory, arguments):
    shutil.copytree(CONFIGS / source, directory)
    result = program("-c", str(directory), *arguments)
    text = (directory / "main.cf").read_text() + (directory / "master.cf").read_text()
    leftovers = {path.name for path in directory.iterdir()} - {"main.cf", "master.cf"}
    assert leftovers == set()
    shutil.rmtree(directory)
    return result, text


@pytest.mark.parametrize("arguments", EDIT_MAIN + EDIT_MASTER, ids=" ".join)
@pytest.mark.parametrize("source", ["mailstack", "awkward"])
def test_same_edits(postfix, tmp_path, source, arguments):
    reference, expected = edited(postfix, source, tmp_path / "etc", arguments)
    result, text = edited(posthorn, source, tmp_path / "etc", arguments)
    assert text == expected
    assert_same(reference, result)


def test_comments_stay_inside_an_edited_entry(tmp_path):
    """Postfix moves them in front of the entry."""
    shutil.copytree(CONFIGS / "awkward", tmp_path / "etc")
    posthorn("-c", str(tmp_path / "etc"), "-Fe", "smtp/inet/chroot=n")
    lines = (tmp_path / "etc" / "master.cf").read_text().splitlines()
    assert lines[1].split() == ["smtp", "inet", "n", "-", "n", "-", "-", "smtpd"]
    assert "  # inside" in lines[2:6]


def test_an_edit_keeps_mode_and_link(tmp_path):
    real = tmp_path / "real.cf"
    real.write_text("a = b")
    real.chmod(0o640)
    (tmp_path / "main.cf").symlink_to(real)
    assert posthorn("-c", str(tmp_path), "c=d").status == 0
    assert (tmp_path / "main.cf").is_symlink()
    assert real.read_text() == "a = b\nc = d\n"
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_failed_edit_changes_nothing(tmp_path):
    (tmp_path / "main.cf").write_text("a = b\n")
    (tmp_path / "main.cf.tmp").mkdir()
    assert posthorn("-c", str(tmp_path), "c=d").status == 1
    assert (tmp_path / "main.cf").read_text() == "a = b\n"


def test_output_is_a_configuration_again(tmp_path):
    """One mail stack pipes `postconf -n` back into main.cf."""
    before = posthorn("-c", str(CONFIGS / "mailstack"), "-n").out
    shutil.copy(CONFIGS / "mailstack" / "master.cf", tmp_path)
    (tmp_path / "main.cf").write_text("\n".join(line for line in before if "config_directory" not in line) + "\n")
    again = posthorn("-c", str(tmp_path), "-n").out
    assert [line for line in again if "config_directory" not in line] == \
        [line for line in before if "config_directory" not in line]
