# SPDX-License-Identifier: ISC
"""What the tests of pgsql:, mysql: and ldap: tables share: a server for a module, tables for a test, and Postfix's answers beside ours."""
import concurrent.futures

import pytest

from . import reference
from .table_query import MAIN_CF, TableQuery, table_types

QUERY = "SELECT target FROM box WHERE address = '%s'"


def serve(kind, server_class, *arguments):
    """A running server, for the fixture of a module."""
    if kind not in table_types():
        pytest.skip(f"built without {kind}")
    if server_class.unavailable():
        pytest.skip(server_class.unavailable())
    server = server_class(*arguments).start()
    try:
        yield server
    finally:
        server.finish()


class Tables(TableQuery):
    """A configuration directory with .cf files, and the tool that asks them. Starts the server again that a test stopped."""

    def __init__(self, server, top):
        super().__init__(top)
        self.server = server
        if server.process is None:
            server.start()


class SqlTables(Tables):
    kind = user = password = None

    def table(self, name="box.cf", hosts=None, query=QUERY, user=None, password=None, dbname="mail", more=""):
        path = self.top / name
        hosts = hosts or f"inet:127.0.0.1:{self.server.port}"
        path.write_text(f"hosts = {hosts}\nuser = {user or self.user}\npassword = {password or self.password}\n"
                        + (f"dbname = {dbname}\n" if dbname else "") + (f"query = {query}\n" if query else "") + more)
        return f"{self.kind}:{path}"


def sql_cases(tables):
    """What is the same for every SQL server: (table, key, answer)."""
    plain = tables.table()
    many = "a@nine.eight.seven.six.five.four.three.two.one"
    (tables.top / "domains").write_text("x.example yes\n")
    (tables.top / "domain-list").write_text("w.example\nx.example\n")
    legacy = "select_field = target\ntable = box\nwhere_field = address\n"
    return [
        (plain, "user1@x.example", "found box1"),
        (plain, "USER1@X.example", "found box1"),
        (plain, "nobody@x.example", "not-found"),
        (plain, "two@x.example", "found a@x,b@x"),
        (plain, "null@x.example", "not-found"),
        (plain, "empty@x.example", "not-found"),
        (plain, "it's@x.example", "found quoted"),
        (plain, "back\\slash@x.example", "found slashed"),
        (plain, "müller@x.example", "found umlaut"),
        # result_format
        *((tables.table(f"format{n}.cf", more=f"result_format = {text}\n"), key, wanted) for n, (text, key, wanted) in enumerate([
            ("lmtp:%s:%D", "user1@x.example", "found lmtp:box1:x.example"),
            ("%s|%u|%d|%S|%U|%D|%1|%2|%%", "two@x.example", "found a@x|a|x|two@x.example|two|x.example|example|x|%,"
             "b@x|b|x|two@x.example|two|x.example|example|x|%"),
            ("[%u]", "user1@x.example", "found [box1]"),
            ("[%d]", "user1@x.example", "not-found"),
            ("[%3]", "user1@x.example", "not-found"),
            ("[%9]", "user1@x.example", "not-found"),
            ("[%D]", "plain", "not-found"),
            ("fixed", "two@x.example", "found fixed,fixed"),
            ("%x", "two@x.example", "error"),
            ("%", "two@x.example", "error"),
            ("%s %s", "user1@x.example", "found box1 box1"),
        ])),
        # expansion_limit
        (tables.table("limit.cf", more="expansion_limit = 1\n"), "two@x.example", "error"),
        (tables.table("limit.cf", more="expansion_limit = 1\n"), "user1@x.example", "found box1"),
        (tables.table("limit2.cf", more="expansion_limit = 2\n"), "two@x.example", "found a@x,b@x"),
        (tables.table("limit0.cf", more="expansion_limit = 0\n"), "two@x.example", "found a@x,b@x"),
        (tables.table("limit3.cf", query="SELECT 'a,b'", more="expansion_limit = 1\n"), "x", "found a,b"),
        # domain
        *((tables.table(f"domain{n}.cf", more=f"domain = {text}\n"), key, wanted) for n, (text, key, wanted) in enumerate([
            ("y.example", "user1@x.example", "not-found"),
            ("y.example, X.Example", "user1@x.example", "found box1"),
            ("example", "user1@x.example", "not-found"),
            ("static:all", "user1@x.example", "found box1"),
            (f"texthash:{tables.top}/domains", "user1@x.example", "found box1"),
            (f"texthash:{tables.top}/domains", "user1@y.example", "not-found"),
            (f"y.example {tables.top}/domain-list", "user1@x.example", "found box1"),
            ("!x.example, static:all", "user1@x.example", "not-found"),
            ("x.example", "user1", "not-found"),
            ("x.example", "@x.example", "not-found"),
            ("x.example", "x.example", "not-found"),
            ("fail:broken", "user1@x.example", "error"),
        ])),
        # query
        *((tables.table(f"query{n}.cf", query=text), key, wanted) for n, (text, key, wanted) in enumerate([
            ("SELECT '%s/%u/%d/%S/%U/%D/%%'", "a@b.example", "found a@b.example/a/b.example/a@b.example/a/b.example/%"),
            ("SELECT '%1.%2.%3.%4.%5.%6.%7.%8.%9'", many, "found one.two.three.four.five.six.seven.eight.nine"),
            ("SELECT '%1.%2.%3.%4.%5.%6.%7.%8.%9'", "a@eight.seven.six.five.four.three.two.one", "not-found"),
            ("SELECT '%2'", "plain", "not-found"),
            ("SELECT '%2'", "a@example", "not-found"),
            ("SELECT '%1'", "mail.example", "not-found"),
            ("SELECT '%d'", "plain", "not-found"),
            ("SELECT '%u'", "plain", "found plain"),
            ("SELECT '%u'", "@x.example", "not-found"),
            ("SELECT '%u|%d'", '"a@b"@c.example', 'found "a@b"|c.example'),
            ("SELECT 'x' WHERE '%s' = 'y'", "x", "not-found"),
            ("SELECT nothing FROM nowhere", "a", "error"),
            ("SELECT '%x'", "a", "error"),
        ])),
        # the older forms
        (tables.table("legacy.cf", query="", more=legacy + "additional_conditions = AND target <> 'box2'\n"), "user1@x.example",
         "found box1"),
        (tables.table("legacy.cf", query="", more=legacy + "additional_conditions = AND target <> 'box2'\n"), "user2@x.example",
         "not-found"),
        (tables.table("legacy2.cf", query="", more=legacy), "it's@x.example", "found quoted"),
        (tables.table("both.cf", query="SELECT 'query'", more=legacy + "select_function = upper\n"), "abc", "found query"),
        (tables.table("nothing.cf", query="", more="select_field = target\n"), "abc", "error"),
    ]


def check_answers(tables, kind, cases, top, differences=(), normal=str):
    """cases: (table, key, answer), ours and Postfix's; differences: {(table, key): Postfix's}; normal: where order may vary."""
    answers, log = tables.ask([(table, key) for table, key, _ in cases])
    wrong = [(table, key, answer, wanted) for (table, key, wanted), answer in zip(cases, answers) if normal(answer) != normal(wanted)]
    assert not wrong, f"{wrong}\n{log}"
    if reference.unavailable(kind):
        return
    postfix = reference.Reference(top, MAIN_CF)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        theirs = list(pool.map(lambda case: postfix.query(*case[:2]), cases))
    differences = dict(differences)
    different = [(table, key, answer, postfix) for (table, key, _), answer, postfix in zip(cases, answers, theirs)
                 if postfix != differences.get((table, key), answer)]
    assert not different, different
