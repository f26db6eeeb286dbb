# SPDX-License-Identifier: ISC
"""mysql: tables against a real MariaDB, beside Debian's postfix-mysql: the same answers, and what happens when it stops,
stalls, refuses, or is attacked. Only in a build --with-mysql."""
import re
import subprocess
import threading
import time

import pytest

from lib import databases, setups
from lib.databases import QUERY
from lib.mariadb import MariaDB
from lib.table_query import BUILD
from lib.waiting import allowed, free_port, wait_for

class Tables(databases.SqlTables):
    kind, user, password = "mysql", "posthorn", "secret"


@pytest.fixture(scope="module")
def server():
    for server in databases.serve("mysql", MariaDB):
        prepare(server)
        yield server


def prepare(server):
    server.sql("CREATE DATABASE mail CHARACTER SET utf8mb4; USE mail;"
               "CREATE TABLE box (address VARCHAR(200), target VARCHAR(200));"
               "INSERT INTO box SELECT CONCAT('user', seq, '@x.example'), CONCAT('box', seq) FROM seq_0_to_999;"
               "INSERT INTO box VALUES ('two@x.example', 'a@x'), ('two@x.example', 'b@x'), ('null@x.example', NULL),"
               " ('it''s@x.example', 'quoted'), ('back\\\\slash@x.example', 'slashed'), ('müller@x.example', 'umlaut'),"
               " ('empty@x.example', '');"
               "\nDELIMITER //\n"
               "CREATE PROCEDURE one(IN a VARCHAR(200)) BEGIN SELECT target FROM box WHERE address = a; END//\n"
               "CREATE PROCEDURE none(IN a VARCHAR(200)) BEGIN SET @x = a; END//\n"
               "CREATE PROCEDURE many(IN a VARCHAR(200)) BEGIN SELECT 1; SELECT 2; END//\n"
               "DELIMITER ;\n"
               "CREATE USER posthorn@'%' IDENTIFIED BY 'secret'; GRANT SELECT, EXECUTE ON mail.* TO posthorn@'%';"
               "CREATE USER posthorn@localhost IDENTIFIED BY 'secret'; GRANT SELECT, EXECUTE ON mail.* TO posthorn@localhost;"
               "CREATE USER fromfile@'%' IDENTIFIED BY 'filed'; GRANT SELECT ON mail.* TO fromfile@'%';")


@pytest.fixture
def tables(server, tmp_path):
    return Tables(server, tmp_path)


def answer_cases(tables):
    option_file = tables.top / "my.cnf"
    option_file.write_text("[client]\nuser = fromfile\n[posthorn]\npassword = filed\n")
    no_login = f"hosts = 127.0.0.1:{tables.server.port}\ndbname = mail\nquery = {QUERY}\noption_file = {option_file}\n"
    for name, more in (("file.cf", "option_group = posthorn\n"), ("file-no-group.cf", "")):
        (tables.top / name).write_text(no_login + more)
    return [
        *databases.sql_cases(tables),
        (tables.table("columns.cf", query="SELECT 'a', NULL, '', 'b'"), "x", "found a,b"),
        (tables.table("call.cf", query="CALL one('%s')"), "user1@x.example", "found box1"),
        (tables.table("call.cf", query="CALL one('%s')"), "nobody@x.example", "not-found"),
        (tables.table("call-none.cf", query="CALL none('%s')"), "a", "error"),
        (tables.table("call-none2.cf", query="CALL none('%s')", more="require_result_set = no\n"), "a", "not-found"),
        (tables.table("call-many.cf", query="CALL many('%s')"), "a", "error"),
        (tables.table("unix.cf", hosts=f"unix:{tables.server.socket}"), "user4@x.example", "found box4"),
        (tables.table("two-hosts.cf", hosts=f"inet:127.0.0.1:{free_port()}, unix:{tables.server.socket}"),
         "user3@x.example", "found box3"),
        (f"mysql:{tables.top}/file.cf", "user1@x.example", "found box1"),
        (f"mysql:{tables.top}/file-no-group.cf", "user1@x.example", "error"),
    ]


def test_answers_as_from_postfix(tables, tmp_path):
    # With a password that only the option file has, Postfix logs in with an empty one.
    differences = {(f"mysql:{tables.top}/file.cf", "user1@x.example"): "error"}
    databases.check_answers(tables, "mysql", answer_cases(tables), tmp_path / "reference", differences)


def test_legacy_name_in_main_cf(tables):
    with open(tables.top / "main.cf", "a", encoding="ascii") as file:
        file.write(f"box_hosts = 127.0.0.1:{tables.server.port}\nbox_user = posthorn\nbox_password = secret\n"
                   f"box_dbname = mail\nbox_query = {QUERY}\n")
    assert tables.one("mysql:box", "user1@x.example")[0] == "found box1"


def test_postmap_asks_too(tables):
    done = subprocess.run([BUILD / "commands/postmap", "-c", tables.top, "-q", "-", tables.table()], capture_output=True,
                          text=True, check=False, timeout=30, input="user5@x.example\nno\nuser6@x.example\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "user5@x.example\tbox5\nuser6@x.example\tbox6\n", "")


def test_injection(tables):
    """Attack 13: whatever stands in an address stays a value, whatever the character set."""
    keys = ["' OR 'a'='a", "'; DROP TABLE box; --", "\\' OR 1=1 -- ", "\\", "'", "''", "%", "_", "%s", "a\\'b@x.example",
            "user1@x.example' -- ", "\" OR \"\"=\"", "user1@x.example\\", "/* */", "user%@x.example", "\\x27 OR 1", "0x27",
            "縗' OR 1=1 -- ", "¿' OR 1=1 -- "]
    for more in ("", "charset = gbk\n", "charset = sjis\n"):
        table = tables.table(more=more)
        answers, log = tables.ask([(table, key) for key in keys])
        # A column of another character set cannot be compared with what is not ASCII: that is an error, and no answer either.
        allowed = {"not-found"} if not more else {"not-found", "error"}
        assert set(answers) <= allowed, log
    assert tables.server.sql("SELECT COUNT(*) FROM box", "mail").strip() == "1007"


def test_malformed_utf8_is_not_asked(tables):
    process = tables.start()
    table = tables.table().encode()
    questions = b"".join(b"find\t%s\t%s\n" % (table, key) for key in
                         (b"\xbf\x27 OR 1=1@x.example", b"a\xc3\x27@x.example", b"\xff@x.example"))
    process.stdin.buffer.write(questions)
    process.stdin.close()
    process.stdin = None
    answers = process.stdout.read()
    assert [line.split(" ", 1)[1] for line in answers.splitlines()] == ["not-found"] * 3
    assert "warning:" not in process.stderr.read() and process.wait(30) == 0


def test_a_thousand_lookups_share_few_connections(tables):
    table = tables.table(query="SELECT target, SLEEP(0.004) FROM box WHERE address = '%s'")
    most = 0
    done = threading.Event()

    def watch():
        nonlocal most
        while not done.is_set():
            most = max(most, int(tables.server.sql(
                "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'posthorn'")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    answers, log = tables.ask([(table, f"user{n}@x.example") for n in range(1000)], "-d", "60000")
    done.set()
    watcher.join()
    assert answers == [f"found box{n},0" for n in range(1000)], log
    assert 2 <= most <= 8


def test_a_slow_query_holds_nobody_up(tables):
    slow = tables.table("slow.cf", query="SELECT CONCAT('slow', SLEEP(1.5), '%s')")
    fast = tables.table("fast.cf")
    answers, _ = tables.ask([(slow, "a"), (slow, "b")] + [(fast, f"user{n}@x.example") for n in range(100)], "-t")
    assert [answer.split(" (")[0] for answer in answers[:2]] == ["found slow0a", "found slow0b"]
    for answer in answers[2:]:
        assert answer.startswith("found box") and int(re.search(r"\((\d+) ms\)", answer)[1]) < 1200


def test_a_deadline_ends_a_lookup(tables):
    slow = tables.table("slow.cf", query="SELECT CONCAT('slow', SLEEP(2), '%s')")
    started = time.monotonic()
    answers, log = tables.ask([(slow, str(n)) for n in range(12)], "-d", "500")
    assert answers == ["error"] * 12 and time.monotonic() - started < allowed(1.9)
    assert "slow.cf" in log and "timeout" in log


def test_failures_name_host_and_file(tables):
    port = free_port()
    table = tables.table(hosts=f"inet:127.0.0.1:{port}")
    answer, log = tables.one(table, "user1@x.example")
    assert answer == "error"
    assert re.search(rf"warning: connect to mysql server inet:127\.0\.0\.1:{port}: Can't connect", log)
    assert f'warning: {table} lookup error for "user1@x.example"' in log
    table = tables.table(password="wrong-secret")
    answer, log = tables.one(table, "user1@x.example")
    assert answer == "error" and "Access denied" in log and table in log and "wrong-secret" not in log


def test_a_restart_is_not_noticed_when_idle_and_an_error_while_it_lasts(tables):
    table = tables.table()
    process = tables.start("-d", "2000")

    def ask(key):
        process.stdin.write(f"find\t{table}\t{key}\n")
        process.stdin.flush()
        return process.stdout.readline().split(" ", 1)[1].strip()

    assert ask("user1@x.example") == "found box1"
    tables.server.stop()
    tables.server.start()
    assert ask("user2@x.example") == "found box2"
    tables.server.stop()
    assert ask("user3@x.example") == "error"
    tables.server.start()
    time.sleep(1.2)  # one pause of a host that was down
    assert ask("user4@x.example") == "found box4"
    _, log = process.communicate(timeout=30)
    assert process.returncode == 0, log


def test_tls(tables, tmp_path):
    """tls_verify_cert against a server without TLS refuses to talk in the clear."""
    answer, log = tables.one(tables.table(more="tls_verify_cert = yes\n"), "user1@x.example")
    assert answer == "error" and ("TLS" in log or "SSL" in log), log


@pytest.mark.core
def test_recipients_through_the_confined_lookup(server, posthorn):
    """The library connects, and loads what it needs, where files, calls and memory are restricted."""
    if server.process is None:
        server.start()
    posthorn.file("box.cf", f"hosts = 127.0.0.1:{server.port}\nuser = posthorn\npassword = secret\ndbname = mail\nquery = {QUERY}\n")
    setups.virtual_domain(posthorn, "lmtp:inet:127.0.0.1:9")
    posthorn.main.update({"virtual_mailbox_domains": "x.example", "virtual_mailbox_maps": "proxy:mysql:$config_directory/box.cf",
                          "virtual_alias_maps": ""})
    posthorn.start()
    with posthorn.smtp() as client:
        client.hello()
        client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        client.say("RCPT TO:<user7@x.example>", expect="250 2.1.5 Ok")
        client.say("RCPT TO:<nobody@x.example>", expect=550)
        server.stop()
        posthorn.log.expect(r"mysql|lookup error|virtual_mailbox_maps")
        client.say("RCPT TO:<user8@x.example>", expect="451 4.3.0 <user8@x.example>: Temporary lookup failure")
        server.start()
        wait_for(lambda: client.say("RCPT TO:<user9@x.example>").startswith("250"), "the database again", 10, 0.3)
