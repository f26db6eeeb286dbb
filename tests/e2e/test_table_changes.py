# SPDX-License-Identifier: ISC
"""Tables that change while lookups run: noticed without a reload, and without a moment in which an entry that stays is missing."""
import os
import subprocess
import threading
import time

import pytest

from lib.table_query import BUILD, TableQuery, table_types

STAYS = "stays@example.test"


def text(generation, entries=2000):
    lines = [f"key{n}@example.test generation{generation}\n" for n in range(entries)]
    return "".join(lines) + f"{STAYS} here\nchanges@example.test generation{generation}\n"


class Stream:
    """Lookups one after another, some hundred a second, until told to stop."""

    def __init__(self, tables, spec, keys):
        self.process = tables.start("-d", "5000")
        self.spec, self.keys, self.done = spec, keys, threading.Event()
        self.answers, self.log = [], []
        self.threads = [threading.Thread(target=work) for work in (self._ask, self._read, self._complain)]
        for thread in self.threads:
            thread.start()

    def _ask(self):
        while not self.done.is_set():
            for key in self.keys:
                self.process.stdin.write(f"find\t{self.spec}\t{key}\n")
            self.process.stdin.flush()
            time.sleep(0.003)
        self.process.stdin.close()

    def _read(self):
        for line in self.process.stdout:
            self.answers.append(line.rstrip("\n").split(" ", 1)[1])

    def _complain(self):
        self.log += [line for line in self.process.stderr if "ASan doesn't fully support" not in line]

    def finish(self):
        self.done.set()
        for thread in self.threads:
            thread.join(30)
        assert self.process.wait(30) == 0
        return self.answers


def write_slowly(path, content):
    """As an editor or a script does it, in place: for a while there is half of a file."""
    half = len(content) // 2
    with open(path, "w", encoding="ascii") as file:
        file.write(content[:half])
        file.flush()
        time.sleep(0.4)
        file.write(content[half:])


@pytest.mark.parametrize("kind", ["hash", "texthash", "cdb"])
def test_a_source_written_in_place(tmp_path, kind):
    if kind not in table_types():
        pytest.skip(f"built without {kind}")
    tables = TableQuery(tmp_path)
    path = tmp_path / "table"
    path.write_text(text(0))
    os.utime(path, (time.time() - 60, time.time() - 60))
    stream = Stream(tables, f"{kind}:{path}", [STAYS, "changes@example.test"])
    time.sleep(0.3)
    write_slowly(path, text(1))
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline and "found generation1" not in stream.answers[-20:]:
        time.sleep(0.05)
    answers = stream.finish()
    assert "found generation0" in answers and answers[-1] == "found generation1"
    assert set(answers) == {"found here", "found generation0", "found generation1"}
    assert stream.log == []


def test_postmap_again_and_again(tmp_path):
    tables = TableQuery(tmp_path)
    path = tmp_path / "table"
    path.write_text(text(0))
    assert subprocess.run([BUILD / "commands/postmap", "-c", tmp_path, f"hash:{path}"], check=False).returncode == 0
    stream = Stream(tables, f"hash:{path}", [STAYS])
    for generation in range(1, 6):
        fresh = tmp_path / "fresh"
        fresh.write_text(text(generation))
        fresh.rename(path)
        assert subprocess.run([BUILD / "commands/postmap", "-c", tmp_path, f"hash:{path}"], check=False).returncode == 0
        time.sleep(0.3)
    answers = stream.finish()
    assert len(answers) > 200 and set(answers) == {"found here"} and stream.log == []


def test_only_the_built_file_changes(tmp_path):
    """postmap on another machine, the .lmdb copied over: the text need not be there at all."""
    tables = TableQuery(tmp_path)
    path, built = tmp_path / "table", tmp_path / "table.lmdb"

    def build(generation):
        path.write_text(text(generation, 10))
        assert subprocess.run([BUILD / "commands/postmap", "-c", tmp_path, f"hash:{path}"], check=False).returncode == 0
        path.unlink()

    build(0)
    stream = Stream(tables, f"hash:{path}", [STAYS, "changes@example.test"])
    time.sleep(0.3)
    old = built.read_bytes()
    build(1)
    assert built.read_bytes() != old
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline and "found generation1" not in stream.answers[-20:]:
        time.sleep(0.05)
    answers = stream.finish()
    assert answers[-1] == "found generation1" and set(answers) == {"found here", "found generation0", "found generation1"}
