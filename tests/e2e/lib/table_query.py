# SPDX-License-Identifier: ISC
"""Tables asked directly, many at once on fibers, as lookup does it: tests/tools/table_query with a configuration directory."""
import os
import pathlib
import subprocess

from .mta import ROOT

BUILD = pathlib.Path(os.environ.get("POSTHORN_BUILD", ROOT / "build" / "normal"))
MAIN_CF = ("compatibility_level = 3.6\nmyhostname = mail.example.test\ninet_interfaces = 127.0.0.1\nalias_maps =\n"
           "alias_database =\n")


def table_types():
    """What this build can open."""
    names = subprocess.run([BUILD / "commands/postconf", "-m"], capture_output=True, text=True, check=True).stdout
    return names.split()


class TableQuery:
    def __init__(self, top):
        self.top = top
        (top / "main.cf").write_text(MAIN_CF)

    def start(self, *arguments):
        environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=1")
        return subprocess.Popen([BUILD / "tests/tools/table_query", "-c", self.top, *arguments], env=environment,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ask(self, questions, *arguments):
        """[(table, key)] to ([answer], log)."""
        process = self.start(*arguments)
        out, log = process.communicate("".join(f"find\t{table}\t{key}\n" for table, key in questions), timeout=120)
        assert process.returncode == 0, log
        answers = dict(line.split(" ", 1) for line in out.splitlines())
        return [answers[str(number)] for number in range(1, len(questions) + 1)], log

    def one(self, table, key, *arguments):
        answers, log = self.ask([(table, key)], *arguments)
        return answers[0], log
