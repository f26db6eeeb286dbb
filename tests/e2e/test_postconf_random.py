# SPDX-License-Identifier: ISC
"""postconf beside Postfix's own over generated configurations and command lines (postconf_inputs.py): the same output, complaints,
exit status and edited files. The seed is fixed; POSTCONF_ROUNDS and POSTCONF_SEED look further.

Run: /usr/bin/python3 -m pytest tests/e2e/test_postconf_random.py
"""
import concurrent.futures
import difflib
import os
import random
import shlex

import postconf_inputs as inputs
import pytest
from test_postconf import posthorn, postfix  # noqa: F401 (a fixture)

ROUNDS = int(os.environ.get("POSTCONF_ROUNDS", "150"))
SEED = int(os.environ.get("POSTCONF_SEED", "1"))


def make(seed, directory):
    """Writes one configuration and says what to ask."""
    source = random.Random(seed)
    directory.mkdir(parents=True)
    (directory / "main.cf").write_bytes(inputs.main_cf(source).encode())
    (directory / "master.cf").write_bytes(inputs.master_cf(source).encode())
    for path in directory.iterdir():  # Postfix reads a fresh file twice, and says everything twice
        os.utime(path, (1, 1))
    is_edit = source.random() < 0.45
    arguments = inputs.edit(source) if is_edit else inputs.show(source)
    return is_edit, arguments


UNASKED = ("warning: truncated macro", "warning: empty macro", 'warning: ":" expected', "warning: main.cf: ")


def is_comment(line):
    return line.lstrip()[:1] in ("", "#")


def is_text(line):
    return not is_comment(line)


def outcome(program, seed, directory):
    is_edit, arguments = make(seed, directory)
    result = program("-c", str(directory), *arguments)
    files = {name: (directory / name).read_text().splitlines() for name in ("main.cf", "master.cf")}
    if is_edit:  # where comments beside an edited entry go: docs/config-differences.md
        files["master.cf"] = [*filter(is_text, files["master.cf"]), *sorted(filter(is_comment, files["master.cf"]))]
    left = sorted(path.name for path in directory.iterdir())
    return arguments, {"out": result.out, "warnings": result.warnings, "status": result.status, "files": files, "left": left}


def difference(expected, found):
    if isinstance(expected, set):
        return sorted([f"- {line}" for line in expected - found] + [f"+ {line}" for line in found - expected])
    if isinstance(expected, dict):
        return [line for key in expected for line in difference(expected[key], found[key])]
    if isinstance(expected, list):
        return [line for line in difflib.ndiff(expected, found) if line[0] in "+-"]
    return [f"- {expected}", f"+ {found}"]


def compare(seed, parent, reference):
    """None, or what differs."""
    # One path for both: warnings name it.
    directory = parent / f"etc-{seed}"
    arguments, expected = outcome(reference, seed, directory)
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    _, found = outcome(posthorn, seed, directory)
    if is_known(expected):
        return None
    for result in (expected, found):
        result["warnings"] = without_known(result["warnings"])
    different = [key for key in expected if expected[key] != found[key]]
    if not different:
        return None
    lines = [f"seed {seed}: postconf {shlex.join(arguments)}"]
    for key in different:
        lines += [f"  {key}: {line}" for line in difference(expected[key], found[key])]
    return "\n".join(lines)


def is_known(expected):
    """docs/config-differences.md: what cannot be evaluated is reported in other words, and not before it is asked for. Some of it
    kills Postfix's postconf."""
    return expected["status"] < 0 or any("macro processing error" in line for line in expected["warnings"])


def without_known(warnings):
    """Postfix warns of mistakes in values that nobody asked for; long lines are cut at different places."""
    return {line[:300] for line in warnings if not line.startswith(UNASKED)}


def test_the_same_for_random_configurations(postfix, tmp_path):  # noqa: F811
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda seed: compare(seed, tmp_path, postfix), range(SEED * 100000, SEED * 100000 + ROUNDS)))
    different = [text for text in results if text]
    assert not different, f"{len(different)} of {ROUNDS} differ:\n" + "\n".join(different[:20])
