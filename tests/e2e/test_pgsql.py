# SPDX-License-Identifier: ISC
"""pgsql: tables against a real PostgreSQL: many lookups at once, a server that stops, stalls, refuses, or is attacked."""
import re
import socket
import subprocess
import threading
import time

import pytest

from lib import databases, reference
from lib.postgres import PostgreSQL
from lib.table_query import BUILD, MAIN_CF
from lib.waiting import free_port, wait_for


class Tables(databases.SqlTables):
    kind, user, password = "pgsql", "postgres", "secret"


@pytest.fixture(scope="module")
def server():
    for server in databases.serve("pgsql", PostgreSQL):
        prepare(server)
        yield server


def prepare(server):
    server.sql("CREATE DATABASE mail")
    server.sql("CREATE DATABASE other")
    server.sql("CREATE TABLE box (address text, target text); INSERT INTO box VALUES ('user1@x.example', 'other1')", database="other")
    server.sql("CREATE TABLE box (address text, target text);"
               "INSERT INTO box SELECT 'user' || n || '@x.example', 'box' || n FROM generate_series(0, 999) n;"
               "INSERT INTO box VALUES ('two@x.example', 'a@x'), ('two@x.example', 'b@x'), ('null@x.example', NULL), ('empty@x.example', ''),"
               " ('it''s@x.example', 'quoted'), ('back\\slash@x.example', 'slashed'), ('müller@x.example', 'umlaut');"
               "CREATE ROLE locked LOGIN PASSWORD 'other'", database="mail")
    hba = server.data / "pg_hba.conf"
    hba.write_text("host all locked 127.0.0.1/32 scram-sha-256\n" + hba.read_text())
    server.sql("SELECT pg_reload_conf()")


@pytest.fixture
def tables(server, tmp_path):
    return Tables(server, tmp_path)


def answer_cases(tables):
    port = tables.server.port
    return [
        *databases.sql_cases(tables),
        (tables.table("update.cf", query="UPDATE box SET target = target WHERE address = '%s'"), "nobody", "error"),
        (tables.table("columns.cf", query="SELECT 'a', NULL, '', 'b'"), "x", "found a,b"),
        (tables.table("function.cf", query="", more="select_function = upper\n"), "abc", "found ABC"),
        # who is asked
        (tables.table("socket.cf", hosts=f"postgresql:///mail?host={tables.server.top}&port={port}&user=postgres", dbname="other"),
         "user1@x.example", "found box1"),
        (tables.table("uri.cf", hosts=f"postgresql://postgres@127.0.0.1:{port}/mail", dbname="other"), "user2@x.example", "found box2"),
        (tables.table("uri2.cf", hosts=f"postgres://postgres@localhost:{port}/other"), "user1@x.example", "found other1"),
        (tables.table("uri3.cf", hosts="postgresql://x:y:z@@[/"), "user1@x.example", "error"),
        (tables.table("other.cf", dbname="other"), "user1@x.example", "found other1"),
        (tables.table("missing.cf", dbname="missing"), "user1@x.example", "error"),
        (tables.table("name.cf", hosts=f"localhost:{port}"), "user3@x.example", "found box3"),
        (tables.table("hosts.cf", hosts=f"127.0.0.1:{port}, inet:localhost:{port}"), "user3@x.example", "found box3"),
        (tables.table("hosts2.cf", hosts=f"127.0.0.1:{free_port()} inet:127.0.0.1:{port}"), "user3@x.example", "found box3"),
        (tables.table("hosts3.cf", hosts=f"unix:{tables.top} inet:127.0.0.1:{port}"), "user3@x.example", "found box3"),
    ]


def test_answers_as_from_postfix(tables, tmp_path):
    cases = answer_cases(tables)
    differences = {(table, key): "not-found" for table, key, _ in cases if "müller" in key}  # sent as LATIN1 before 3.8
    differences[f"pgsql:{tables.top}/uri2.cf", "user1@x.example"] = "error"  # newer Postfix knows postgres: too
    # A statement that gives no rows cannot say that there is no such address.
    differences.update({(table, key): "not-found" for table, key, _ in cases if key == "nobody"})
    databases.check_answers(tables, "pgsql", cases, tmp_path / "reference", differences)


@pytest.mark.parametrize("encoding, key, wanted", [
    ("UTF8", "müller@x.example", "found umlaut"),
    ("LATIN1", "müller@x.example", "not-found"),  # two characters to the server
    ("LATIN1", "user1@x.example", "found box1"),
    ("SQL_ASCII", "user1@x.example", "found box1"),
    ("EUC_JP", "user1@x.example", "found box1"),
    ("EUC_JP", "€@x.example", "error"),  # no such character: the server's word, not ours
    ("EUC_JP", "€' OR 1=1 --", "error"),
    ("SJIS", "ü' OR 1=1 --", "error|not-found"),
    ("GBK", "縗' OR 1=1 --", "error|not-found"),
    ("nonsense", "user1@x.example", "error"),
])
def test_encodings(tables, encoding, key, wanted):
    answer, log = tables.one(tables.table(more=f"encoding = {encoding}\n"), key)
    assert answer in wanted.split("|"), log


class Relay:
    """A port in front of the server that counts its connections and can be closed."""

    def __init__(self, server):
        self.target, self.count = ("127.0.0.1", server.port), 0
        self.port = free_port()
        self.open()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, args=(self.listener,), daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _serve(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.count += 1
            upstream = socket.create_connection(self.target)
            for one, other in ((client, upstream), (upstream, client)):
                threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    @staticmethod
    def _copy(one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.mark.parametrize("who", ["posthorn", "postfix"])
def test_hosts_begin_anywhere(tables, who, tmp_path):
    """Each program begins with a host of its own choice: the load is shared."""
    relays = [Relay(tables.server), Relay(tables.server)]
    table = tables.table(hosts=" ".join(f"127.0.0.1:{relay.port}" for relay in relays))
    if who == "posthorn":
        def query():
            return tables.one(table, "user1@x.example")[0]
    elif reference.unavailable("pgsql"):
        return
    else:
        postfix = reference.Reference(tmp_path / "reference", MAIN_CF)

        def query():
            return postfix.query(table, "user1@x.example")
    for _ in range(40):
        assert query() == "found box1"
        if all(relay.count for relay in relays):
            break
    assert all(relay.count for relay in relays)
    for relay in relays:
        relay.close()


def test_several_databases(tables):
    """Two URIs are two databases: whichever is chosen answers, and their connections are not mixed up."""
    hosts = " ".join(f"postgresql://postgres@127.0.0.1:{tables.server.port}/{name}" for name in ("mail", "other"))
    seen = set()
    for _ in range(40):
        seen.add(tables.one(tables.table(hosts=hosts), "user1@x.example")[0])
        if len(seen) == 2:
            break
    assert seen == {"found box1", "found other1"}
    pair = [(tables.table("mail.cf"), "user1@x.example"), (tables.table("other.cf", dbname="other"), "user1@x.example")]
    answers, _ = tables.ask(pair * 20)
    assert answers == ["found box1", "found other1"] * 20


def test_idle_connections_are_closed(tables):
    connections = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'posthorn'"
    table = tables.table(more="idle_interval = 1\n")
    process = tables.start()
    process.stdin.write(f"find\t{table}\tuser1@x.example\nsleep\t60000\n")
    process.stdin.flush()
    assert process.stdout.readline() == "1 found box1\n"
    wait_for(lambda: int(tables.server.sql(connections)) == 0, "the idle connection's end", 20)
    assert process.poll() is None
    process.kill()
    process.communicate()


def test_a_host_that_failed_rests_for_retry_interval_at_most(tables):
    relay = Relay(tables.server)
    table = tables.table(hosts=f"127.0.0.1:{relay.port}", more="retry_interval = 1\n")
    relay.close()
    process = tables.start()

    def ask(number):
        process.stdin.write(f"find\t{table}\tuser1@x.example\n")
        process.stdin.flush()
        return process.stdout.readline().removeprefix(f"{number} ").strip()
    assert ask(1) == "error"
    relay.open()
    began, number, answer = time.monotonic(), 1, "error"
    while answer == "error" and time.monotonic() - began < 20:
        time.sleep(0.1)
        number += 1
        answer = ask(number)
    assert answer == "found box1" and relay.count == 1
    process.communicate(timeout=30)
    relay.close()


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
    assert tables.server.sql("SELECT count(*) FROM box", "mail").strip() == "1007"


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
