# SPDX-License-Identifier: ISC
"""sqlite: tables beside Debian's postfix-sqlite: the same answers; what a stranger's address may not do."""
import subprocess

import pytest

from lib import databases
from lib.databases import QUERY
from lib.table_query import TableQuery, table_types


class Tables(TableQuery):
    def __init__(self, top):
        super().__init__(top)
        rows = "".join(f"INSERT INTO box VALUES ('user{n}@x.example', 'box{n}');" for n in range(10))
        self.sql("CREATE TABLE box (address text, target text);" + rows +
                 "INSERT INTO box VALUES ('two@x.example', 'a@x'), ('two@x.example', 'b@x'), ('null@x.example', NULL), "
                 "('empty@x.example', ''), ('it''s@x.example', 'quoted'), ('back\\slash@x.example', 'slashed'), "
                 "('müller@x.example', 'umlaut');")

    def sql(self, statements):
        return subprocess.run(["sqlite3", "-bail", self.top / "mail.db"], input=statements, text=True, check=True,
                              capture_output=True).stdout

    def table(self, name="box.cf", query=QUERY, more=""):
        path = self.top / name
        path.write_text(f"dbpath = {self.top}/mail.db\n" + (f"query = {query}\n" if query else "") + more)
        return f"sqlite:{path}"


@pytest.fixture
def tables(tmp_path):
    if "sqlite" not in table_types():
        pytest.skip("built without sqlite")
    return Tables(tmp_path)


def test_answers_as_from_postfix(tables, tmp_path):
    missing = tables.top / "missing.cf"
    missing.write_text(f"dbpath = {tables.top}/missing.db\nquery = {QUERY}\n")
    cases = [*databases.sql_cases(tables), (f"sqlite:{missing}", "a", "error"),
             (tables.table("columns.cf", query="SELECT 'a', 'b' UNION SELECT 'c', 'd'"), "x", "found a,c")]
    databases.check_answers(tables, "sqlite", cases, tmp_path / "reference")
