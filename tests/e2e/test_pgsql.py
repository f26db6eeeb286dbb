# SPDX-License-Identifier: ISC
"""pgsql: tables against a real PostgreSQL: many lookups at once, a server that stops, stalls, refuses, or is attacked."""
import os
import pathlib
import re
import socket
import subprocess
import threading
import time

import pytest

from lib.mta import ROOT
from lib.postgres import PostgreSQL
from lib.table_query import TableQuery
from lib.waiting import free_port, wait_for

BUILD = pathlib.Path(os.environ.get("POSTHORN_BUILD", ROOT / "build" / "normal"))
QUERY = "SELECT target FROM box WHERE address = '%s'"


class Tables(TableQuery):
    """A configuration directory with .cf files, and the tool that asks them."""

    def __init__(self, server, top):
        super().__init__(top)
        self.server = server

    def table(self, name="box.cf", hosts=None, query=QUERY, user="postgres", more=""):
        path = self.top / name
        hosts = hosts or f"inet:127.0.0.1:{self.server.port}"
        path.write_text(f"hosts = {hosts}\nuser = {user}\npassword = secret\ndbname = mail\n"
                        + (f"query = {query}\n" if query else "") + more)
        return f"pgsql:{path}"


@pytest.fixture(scope="module")
def server():
    if PostgreSQL.unavailable():
        pytest.skip(PostgreSQL.unavailable())
    server = PostgreSQL()
    server.start()
    server.sql("CREATE DATABASE mail")
    server.sql("CREATE TABLE box (address text, target text);"
               "INSERT INTO box SELECT 'user' || n || '@x.example', 'box' || n FROM generate_series(0, 999) n;"
               "INSERT INTO box VALUES ('two@x.example', 'a@x'), ('two@x.example', 'b@x'), ('null@x.example', NULL),"
               " ('it''s@x.example', 'quoted'), ('back\\slash@x.example', 'slashed'), ('müller@x.example', 'umlaut');"
               "CREATE ROLE locked LOGIN PASSWORD 'other'", database="mail")
    hba = server.data / "pg_hba.conf"
    hba.write_text("host all locked 127.0.0.1/32 scram-sha-256\n" + hba.read_text())
    server.sql("SELECT pg_reload_conf()")
    yield server
    server.finish()


@pytest.fixture
def tables(server, tmp_path):
    if server.process is None:
        server.start()
    return Tables(server, tmp_path)


def test_answers(tables):
    plain = tables.table()
    cases = [
        (plain, "user1@x.example", "found box1"),
        (plain, "USER1@X.example", "found box1"),
        (plain, "nobody@x.example", "not-found"),
        (plain, "two@x.example", "found a@x,b@x"),
        (plain, "null@x.example", "not-found"),
        (plain, "müller@x.example", "found umlaut"),
        (tables.table("format.cf", more="result_format = lmtp:%s:%D\n"), "user1@x.example", "found lmtp:box1:x.example"),
        (tables.table("limit.cf", more="expansion_limit = 1\n"), "two@x.example", "error"),
        (tables.table("domain.cf", more="domain = y.example\n"), "user1@x.example", "not-found"),
        (tables.table("part.cf", query="SELECT '%u' || '/' || '%d'"), "a@b.example", "found a/b.example"),
        (tables.table("nodomain.cf", query="SELECT '%d'"), "plain", "not-found"),
        (tables.table("legacy.cf", query="", more="select_field = target\ntable = box\nwhere_field = address\n"
                      "additional_conditions = AND target <> 'box2'\n"), "user1@x.example", "found box1"),
        (tables.table("function.cf", query="", more="select_function = upper\n"), "abc", "found ABC"),
        (tables.table("wrong.cf", query="SELECT nothing FROM nowhere"), "a", "error"),
        (tables.table("unix.cf", hosts=f"unix:{tables.server.top}", more=""), "user1@x.example", None),
        (tables.table("latin.cf", more="encoding = LATIN1\n"), "user1@x.example", "found box1"),
        (tables.table("uri.cf", hosts=f"postgresql://postgres@127.0.0.1:{tables.server.port}/mail"), "user2@x.example",
         "found box2"),
        (tables.table("name.cf", hosts=f"localhost:{tables.server.port}"), "user3@x.example", "found box3"),
        (tables.table("two-hosts.cf", hosts=f"127.0.0.1:{tables.server.port} localhost:{tables.server.port}"),
         "user3@x.example", "found box3"),
    ]
    answers, _ = tables.ask([(table, key) for table, key, _ in cases])
    for (table, key, wanted), answer in zip(cases, answers):
        assert wanted is None or answer == wanted, (table, key)


def test_socket(tables):
    """unix:/directory, as libpq and Postfix understand it: the port is part of the socket's name."""
    uri = tables.table("socket.cf", hosts=f"postgresql:///mail?host={tables.server.top}&port={tables.server.port}"
                                          "&user=postgres")
    assert tables.one(uri, "user1@x.example")[0] == "found box1"


def test_legacy_name_in_main_cf(tables):
    with open(tables.top / "main.cf", "a", encoding="ascii") as file:
        file.write(f"box_hosts = 127.0.0.1:{tables.server.port}\nbox_user = postgres\nbox_dbname = mail\n"
                   "box_query = SELECT target FROM box WHERE address = '%s'\n")
    assert tables.one("pgsql:box", "user1@x.example")[0] == "found box1"


def test_postmap_asks_too(tables):
    postmap = BUILD / "commands/postmap"
    done = subprocess.run([postmap, "-c", tables.top, "-q", "user5@x.example", tables.table()], capture_output=True,
                          text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "box5\n", "")


def test_injection(tables):
    """Attack 13: whatever stands in an address stays a value."""
    table = tables.table()
    escaping = tables.table("escaping.cf", query="SELECT target FROM box WHERE address = E'%s' LIMIT 1")
    keys = ["' OR 'a'='a", "'; DROP TABLE box; --", "\\' OR 1=1 --", "\\", "'", "''", "%", "_", "%s", "$1", "a\\'b@x.example",
            "user1@x.example' --", "\" OR \"\"=\"", "user1@x.example\\", "/* */", "user%@x.example", "E'\\x27"]
    answers, log = tables.ask([(table, key) for key in keys])
    assert answers == ["not-found"] * len(keys), log
    assert tables.one(table, "it's@x.example")[0] == "found quoted"
    assert tables.one(table, "back\\slash@x.example")[0] == "found slashed"
    # In E'' a backslash escapes too.
    answers, log = tables.ask([(escaping, key) for key in keys])
    assert answers == ["not-found"] * len(keys), log
    assert tables.one(escaping, "back\\slash@x.example")[0] == "found slashed"
    assert tables.server.sql("SELECT count(*) FROM box", "mail").strip() == "1006"


def test_malformed_utf8_is_not_asked(tables):
    process = tables.start()
    questions = b"".join(b"find\t%s\t%s\n" % (tables.table().encode(), key) for key in
                         (b"\xbf\x27 OR 1=1@x.example", b"a\xc3\x27@x.example", b"\xff@x.example", b"\xed\xa0\x80@x.example"))
    out, log = process.stdin.buffer, None
    out.write(questions)
    out.close()
    process.stdin = None
    answers = process.stdout.read()
    log = process.stderr.read()
    assert process.wait(30) == 0
    assert [line.split(" ", 1)[1] for line in answers.splitlines()] == ["not-found"] * 4 and "warning:" not in log


def test_a_thousand_lookups_share_few_connections(tables):
    table = tables.table(query="SELECT target, pg_sleep(0.005)::text FROM box WHERE address = '%s'")
    most = 0
    done = threading.Event()

    def watch():
        nonlocal most
        while not done.is_set():
            most = max(most, int(tables.server.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'mail'")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    answers, log = tables.ask([(table, f"user{n}@x.example") for n in range(1000)], "-d", "60000")
    done.set()
    watcher.join()
    assert answers == [f"found box{n}" for n in range(1000)], log
    assert 2 <= most <= 8


def test_an_answer_of_many_buffers(tables):
    table = tables.table(query="SELECT repeat('x', 1000) || '%s' FROM generate_series(1, 2000)")
    answer, log = tables.one(table, "y", "-d", "5000")
    assert answer == "found " + ",".join(["x" * 1000 + "y"] * 2000), log


def test_a_slow_query_holds_nobody_up(tables):
    slow = tables.table("slow.cf", query="SELECT 'slow' FROM pg_sleep(2) WHERE '%s' <> ''")
    fast = tables.table("fast.cf")
    answers, _ = tables.ask([(slow, "a"), (slow, "b")] + [(fast, f"user{n}@x.example") for n in range(100)], "-t")
    assert [answer.split(" (")[0] for answer in answers[:2]] == ["found slow"] * 2
    for answer in answers[2:]:
        assert answer.startswith("found box") and int(re.search(r"\((\d+) ms\)", answer)[1]) < 1500


def test_a_deadline_ends_a_query(tables):
    slow = tables.table("slow.cf", query="SELECT 'slow' FROM pg_sleep(20) WHERE '%s' <> ''")
    started = time.monotonic()
    answer, log = tables.one(slow, "a", "-d", "500")
    assert answer == "error" and time.monotonic() - started < 3
    assert "slow.cf" in log and "timeout" in log


def test_a_query_that_timed_out_ends_at_the_server(tables):
    """Otherwise slow queries would pile up there, a few more with every deadline."""
    slow = tables.table("slow.cf", query="SELECT 'slow' FROM pg_sleep(30) WHERE '%s' <> ''")
    process = tables.start("-d", "300")
    for _ in range(3):
        for n in range(8):
            process.stdin.write(f"find\t{slow}\tkey{n}\n")
        process.stdin.write("sleep\t400\n")
    process.stdin.write("sleep\t500\n")
    process.stdin.flush()
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active' AND pid <> pg_backend_pid()"
    wait_for(lambda: int(tables.server.sql(running)) > 0, "a slow query")
    wait_for(lambda: process.poll() is not None or not process.stdin.flush() and int(tables.server.sql(running)) == 0,
             "the end of all slow queries", 10, 0.2)
    out, log = process.communicate(timeout=30)
    assert [line.split(" ", 1)[1] for line in out.splitlines()] == ["error"] * 24, log
    assert int(tables.server.sql(running)) == 0


def test_a_dead_database_is_an_error_that_names_the_file(tables):
    table = tables.table(hosts=f"inet:127.0.0.1:{free_port()}")
    answer, log = tables.one(table, "user1@x.example")
    assert answer == "error"
    assert re.search(r"warning: connect to pgsql server inet:127\.0\.0\.1:\d+: .*Connection refused", log)
    assert f'warning: {table} lookup error for "user1@x.example"' in log


def test_a_host_that_is_not_known(tables):
    answer, log = tables.one(tables.table(hosts="inet:no-such-host.invalid:5432"), "a")
    assert answer == "error" and 'could not translate host name "no-such-host.invalid"' in log


def test_wrong_password(tables):
    table = tables.table(user="locked")
    answer, log = tables.one(table, "user1@x.example")
    assert answer == "error" and "password authentication failed" in log and table in log
    assert "secret" not in log


def test_fail_over(tables):
    """One host refuses, one accepts and says nothing, one works."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = (f"inet:127.0.0.1:{free_port()} inet:127.0.0.1:{silent.getsockname()[1]} "
                 f"inet:127.0.0.1:{tables.server.port}")
        answers, log = tables.ask([(tables.table(hosts=hosts), f"user{n}@x.example") for n in range(200)], "-d", "30000")
    assert answers == [f"found box{n}" for n in range(200)], log


def test_a_restart_under_load(tables):
    """Lookups before and after succeed, those in between are errors; none says that the key does not exist."""
    table = tables.table()
    process = tables.start("-d", "3000")
    outcome = {}

    def collect():
        outcome["out"] = process.stdout.read()

    reader = threading.Thread(target=collect)
    reader.start()
    log_reader = threading.Thread(target=lambda: outcome.update(log=process.stderr.read()))
    log_reader.start()

    def ask(count):
        for n in range(count):
            process.stdin.write(f"find\t{table}\tuser{n % 1000}@x.example\nsleep\t1\n")
        process.stdin.flush()

    ask(300)
    time.sleep(0.2)
    tables.server.stop()
    ask(300)
    time.sleep(0.5)
    tables.server.start()
    time.sleep(1.2)  # one pause of a host that was down
    process.stdin.write("sleep\t1500\n")
    ask(300)
    process.stdin.close()
    reader.join(60)
    log_reader.join(60)
    assert process.wait(10) == 0
    # In the order of the questions: those from in between may be answered after those from afterwards.
    lines = sorted(outcome["out"].splitlines(), key=lambda line: int(line.split(" ", 1)[0]))
    answers = [line.split(" ", 1)[1] for line in lines]
    assert len(answers) == 900
    assert "not-found" not in answers
    assert all(answer.startswith("found box") for answer in answers[-300:]), outcome["log"][-2000:]


def test_a_restart_between_two_lookups_is_not_noticed(tables):
    table = tables.table()
    process = tables.start()
    process.stdin.write(f"find\t{table}\tuser1@x.example\n")
    process.stdin.flush()
    assert process.stdout.readline() == "1 found box1\n"
    tables.server.stop()
    tables.server.start()
    process.stdin.write(f"find\t{table}\tuser2@x.example\n")
    out, log = process.communicate(timeout=30)
    assert "found box2" in out and "warning:" not in log


def test_a_changed_file_is_read_again(tables):
    table = tables.table()
    keep = tables.table("other.cf")
    process = tables.start()
    process.stdin.write(f"find\t{keep}\tuser1@x.example\nfind\t{table}\tuser1@x.example\nfind\t{table}\tuser1@x.example\n")
    process.stdin.flush()
    tables.table(query="SELECT 'changed'")
    process.stdin.write(f"sleep\t1200\nfind\t{table}\tuser1@x.example\n")
    out, _ = process.communicate(timeout=30)
    assert out.splitlines()[-1].endswith("found changed")
