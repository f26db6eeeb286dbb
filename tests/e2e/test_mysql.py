# SPDX-License-Identifier: ISC
"""mysql: tables against a real MariaDB, beside Debian's postfix-mysql: the same answers, and what happens when it stops,
stalls, refuses, or is attacked. Only in a build --with-mysql."""
import concurrent.futures
import re
import subprocess
import threading
import time

import pytest

from lib import reference, setups
from lib.mariadb import MariaDB
from lib.table_query import BUILD, MAIN_CF, TableQuery, table_types
from lib.waiting import allowed, free_port, wait_for

QUERY = "SELECT target FROM box WHERE address = '%s'"


class Tables(TableQuery):
    def __init__(self, server, top):
        super().__init__(top)
        self.server = server

    def table(self, name="box.cf", hosts=None, query=QUERY, user="posthorn", password="secret", more=""):
        path = self.top / name
        hosts = hosts or f"inet:127.0.0.1:{self.server.port}"
        path.write_text(f"hosts = {hosts}\nuser = {user}\npassword = {password}\ndbname = mail\n"
                        + (f"query = {query}\n" if query else "") + more)
        return f"mysql:{path}"


@pytest.fixture(scope="module")
def server():
    if "mysql" not in table_types():
        pytest.skip("built without mysql")
    if MariaDB.unavailable():
        pytest.skip(MariaDB.unavailable())
    server = MariaDB().start()
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
    yield server
    server.finish()


@pytest.fixture
def tables(server, tmp_path):
    if server.process is None:
        server.start()
    return Tables(server, tmp_path)


def answer_cases(tables):
    plain = tables.table()
    option_file = tables.top / "my.cnf"
    option_file.write_text("[client]\nuser = fromfile\n[posthorn]\npassword = filed\n")
    no_login = f"hosts = 127.0.0.1:{tables.server.port}\ndbname = mail\nquery = {QUERY}\noption_file = {option_file}\n"
    for name, more in (("file.cf", "option_group = posthorn\n"), ("file-no-group.cf", "")):
        (tables.top / name).write_text(no_login + more)
    return [
        (plain, "user1@x.example", "found box1"),
        (plain, "USER1@X.example", "found box1"),
        (plain, "nobody@x.example", "not-found"),
        (plain, "two@x.example", "found a@x,b@x"),
        (plain, "null@x.example", "not-found"),
        (plain, "empty@x.example", "not-found"),
        (plain, "müller@x.example", "found umlaut"),
        (plain, "it's@x.example", "found quoted"),
        (plain, "back\\slash@x.example", "found slashed"),
        (tables.table("format.cf", more="result_format = lmtp:%s:%D\n"), "user1@x.example", "found lmtp:box1:x.example"),
        (tables.table("parts.cf", more="result_format = %u.%d.%U.%1.%2\n"), "two@x.example",
         "found a.x.two.example.x,b.x.two.example.x"),
        (tables.table("parts3.cf", more="result_format = %3\n"), "two@x.example", "not-found"),
        (tables.table("percent.cf", more="result_format = %%%s\n"), "user1@x.example", "found %box1"),
        (tables.table("limit.cf", more="expansion_limit = 1\n"), "two@x.example", "error"),
        (tables.table("limit2.cf", more="expansion_limit = 2\n"), "two@x.example", "found a@x,b@x"),
        (tables.table("domain.cf", more="domain = y.example\n"), "user1@x.example", "not-found"),
        (tables.table("domain2.cf", more="domain = y.example, x.example\n"), "user1@x.example", "found box1"),
        (tables.table("domain3.cf", more="domain = static:all\n"), "user1@x.example", "found box1"),
        (tables.table("domain4.cf", more="domain = x.example\n"), "@x.example", "not-found"),
        (tables.table("part.cf", query="SELECT '%u/%d/%U/%D/%S'"), "a@b.example", "found a/b.example/a/b.example/a@b.example"),
        (tables.table("labels.cf", query="SELECT '%1-%2-%3'"), "a@mail.b.example", "found example-b-mail"),
        (tables.table("labels.cf", query="SELECT '%1-%2-%3'"), "a@b.example", "not-found"),
        (tables.table("nodomain.cf", query="SELECT '%d'"), "plain", "not-found"),
        (tables.table("user.cf", query="SELECT '%u'"), "plain", "found plain"),
        (tables.table("user.cf", query="SELECT '%u'"), "@x.example", "not-found"),
        (tables.table("columns.cf", query="SELECT 'a', NULL, '', 'b'"), "x", "found a,b"),
        (tables.table("legacy.cf", query="", more="select_field = target\ntable = box\nwhere_field = address\n"
                      "additional_conditions = AND target <> 'box2'\n"), "user1@x.example", "found box1"),
        (tables.table("wrong.cf", query="SELECT nothing FROM nowhere"), "a", "error"),
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
    cases = answer_cases(tables)
    answers, log = tables.ask([(table, key) for table, key, _ in cases])
    for (table, key, wanted), answer in zip(cases, answers):
        assert answer == wanted, (table, key, log)
    if reference.unavailable("mysql"):
        return
    postfix = reference.Reference(tmp_path / "reference", MAIN_CF)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        theirs = list(pool.map(lambda case: postfix.query(*case[:2]), cases))
    # With a password that only the option file has, Postfix logs in with an empty one.
    expected = ["error" if table.endswith("/file.cf") else wanted for table, _, wanted in cases]
    assert theirs == expected


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
