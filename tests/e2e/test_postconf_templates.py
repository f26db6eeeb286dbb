# SPDX-License-Identifier: ISC
"""postconf -t, -b, -T, -m and -j; the first three beside Postfix's own.

Run: /usr/bin/python3 -m pytest tests/e2e/test_postconf_templates.py
Environment as in test_postconf.py. docs/config-differences.md says what may differ.
"""
import json
import re
import shutil

import pytest

from lib.mta import ROOT, Postfix
from test_postconf import CONFIGS, posthorn
from test_postconf import postfix  # noqa: F401 (a fixture)

ALL_FOUR = """\
# A comment

failure_template = <<END
Charset: utf-8
From: Postman <MAILER-DAEMON>
subject: Gone
Postmaster-Subject: PM gone

Host $myhostname in $(mydomain), costs $$5, ${maximal_queue_lifetime_hours} hours, ${mydomain?yes} ${nosuch:no}
  indented: caf\u00e9

$mydestination
END
delay_template=<< EOF
Subject: Only a subject
Foo bar

$delay_warning_time_minutes
EOF
success_template = <<EOF


after blank lines
EOF
 verify_template = one line
"""

# One more template behind the four: complete, odd or broken.
MORE = [
    "",
    "failure_template = <<EOF\nX-Odd: a\n\ntext\nEOF\n",
    "failure_template = <<EOF\nSubject:\n\ntext\nEOF\n",
    "failure_template = <<EOF\nSubject: caf\u00e9\n\ntext\nEOF\n",
    "failure_template = <<EOF\nSubject: x\n\ntext \u00e9\nEOF\n",
    "failure_template = <<EOF\nSubject: x\n\nEOF\n",
    "failure_template = <<EOF\nSubject: x\n continued\n\nabc\nEOF\n",
    "failure_template = <<EOF\nSubject: x\n\n$maximal_queue_lifetime_weeks\nEOF\n",
    "failure_template = <<EOF\nSubject: x\n\n$maximal_queue_lifetime_eons\nEOF\n",
    "failure_template = <<EOF\nSubject: x\n\nline\n$nosuch and more\nEOF\n",
    "success_template = <<EOF\nPostmaster-Subject: x\n\nabc\nEOF\n",
    "success_template =\n",
    "success_template = twice\n",
]

# These complaints name a line, and Postfix counts one too many.
BAD = ["junk\n", "= x\n", "a b = x\n", "failure_template = <<\n", "other_template = x\n",
       "failure_template = <<EOF\nSubject: x\n\ntext\n"]


@pytest.fixture
def etc(tmp_path):
    """A configuration whose bounce daemon, which prints the templates for Postfix's postconf, can be found."""
    shutil.copytree(CONFIGS / "mailstack", tmp_path / "etc")
    with open(tmp_path / "etc" / "main.cf", "a") as main_cf:
        main_cf.write(f"daemon_directory = {Postfix.directory_of_reference}/usr/lib/postfix/sbin\n")
    return tmp_path / "etc"


def show(program, etc, *arguments):
    result = program("-c", str(etc), *arguments)
    result.warnings = {re.sub(r"^\S*bounce: ", "", line) for line in result.warnings}
    if any("execv" in line for line in result.warnings):
        pytest.skip("the reference cannot run its bounce daemon here")
    return result


def templates(etc, text):
    path = etc.parent / "templates"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("option", ["-t", "-b"])
@pytest.mark.parametrize("more", MORE)
def test_same_templates(postfix, etc, option, more):  # noqa: F811
    file = templates(etc, ALL_FOUR + more)
    reference, result = show(postfix, etc, option, file), show(posthorn, etc, option, file)
    # What stands in the place of a template that is left out is each program's own text.
    if reference.status == 0 and not any("ignoring" in line for line in reference.warnings):
        assert result.out == reference.out
    assert result.warnings == reference.warnings
    assert result.status == reference.status


@pytest.mark.parametrize("text", BAD)
def test_same_complaints_about_templates(postfix, etc, text):  # noqa: F811
    file = templates(etc, text)
    reference, result = show(postfix, etc, "-t", file), show(posthorn, etc, "-t", file)
    assert result.status == reference.status
    without_line = [{re.sub(r"line \d+", "line N", line) for line in each.warnings} for each in (result, reference)]
    assert without_line[0] == without_line[1]


def test_built_in_templates_are_a_template_file(etc):
    built_in = show(posthorn, etc, "-t", "")
    assert [line for line in built_in.out if line.endswith("_template = <<EOF")] == [
        f"{name}_template = <<EOF" for name in ("failure", "delay", "success", "verify")]
    again = show(posthorn, etc, "-t", templates(etc, "\n".join(built_in.out) + "\n"))
    assert (again.out, again.warnings) == (built_in.out, set())


def test_the_file_that_main_cf_names(etc):
    with open(etc / "main.cf", "a") as main_cf:
        main_cf.write(f"bounce_template_file = {templates(etc, 'verify_template = mine' + chr(10))}\n")
    assert "mine" in show(posthorn, etc, "-b").out
    assert "mine" not in show(posthorn, etc, "-b", "").out


@pytest.mark.parametrize("arguments", [["-t", "a", "b"], ["-t", "-b"], ["-b", "/no/such/file"], ["-T", "nothing"]],
                         ids=" ".join)
def test_same_refusals(postfix, etc, arguments):  # noqa: F811
    reference, result = show(postfix, etc, *arguments), show(posthorn, etc, *arguments)
    assert result.status == reference.status
    assert result.warnings == reference.warnings


# --- the TLS library, table types, JSON --------------------------------------------------------------------


def test_same_tls_library(postfix):  # noqa: F811
    assert posthorn("-T", "public-key-algorithms").out == postfix("-T", "public-key-algorithms").out
    for mode in ("compile-version", "run-version"):
        assert re.fullmatch(r"OpenSSL \d+\.\d+\.\d+.*", posthorn("-T", mode).out[0])


def test_table_types_are_those_of_the_build():
    header = (ROOT / "common" / "table" / "table_type_names.def").read_text()
    types = re.findall(r"^TABLE_TYPE\((\w+)\)", header, re.M)
    assert posthorn("-m").out == [*types, "proxy"]
    assert types == sorted(types)


@pytest.mark.parametrize("options", ["-n", "-nx", "-P", "-F", "-d", "-C user", "myhostname relayhost"])
def test_json_says_the_same(options):
    plain = posthorn("-c", str(CONFIGS / "mailstack"), *options.split())
    lines = posthorn("-c", str(CONFIGS / "mailstack"), "-j", *options.split())
    assert lines.status == 0 and lines.warnings == plain.warnings
    objects = [json.loads(line) for line in lines.out]
    assert all(len(each) == 1 for each in objects)
    said = [f"{name} = {value}" for each in objects for name, value in each.items()]
    assert [line.split() for line in said if not line.startswith("process_id ")] == \
        [line.split() for line in plain.out if not line.startswith("process_id ")]


def test_json_of_whole_entries():
    entries = [json.loads(line) for line in posthorn("-c", str(CONFIGS / "mailstack"), "-jM").out]
    fields = ["service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command"]
    assert all(list(entry) == fields for entry in entries)
    assert (entries[0]["service"], entries[0]["command"]) == ("smtp", "smtpd")
    assert posthorn("-jf").status == 1
