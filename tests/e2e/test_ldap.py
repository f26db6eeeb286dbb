# SPDX-License-Identifier: ISC
"""ldap: tables against a real slapd, beside Debian's postfix-ldap: the same answers, and what happens when it stops, stalls,
refuses, or is attacked. Only in a build --with-ldap."""
import socket
import subprocess
import time

import pytest

from lib import databases, setups
from lib.slapd import BASE, Slapd
from lib.table_query import BUILD
from lib.waiting import allowed, free_port, wait_for

PEOPLE = f"ou=people,{BASE}"
GROUPS = f"ou=groups,{BASE}"


def person(name, *more, mail=None):
    lines = [f"dn: cn={name},{PEOPLE}", "objectClass: inetOrgPerson", "objectClass: mailThing", f"cn: {name}", "sn: x",
             f"mail: {mail or name + '@example.test'}", f"maildrop: {name}.drop@store.test", *more]
    return "\n".join(lines) + "\n\n"


def group(name, *more, mail=True):
    lines = [f"dn: cn={name},{GROUPS}", "objectClass: organizationalRole", "objectClass: mailThing", f"cn: {name}", *more]
    if mail:
        lines.append(f"mail: {name}@example.test")
    return "\n".join(lines) + "\n\n"


def member(name, where=PEOPLE):
    return f"member: cn={name},{where}"


ENTRIES = (
    f"dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n"
    f"dn: {GROUPS}\nobjectClass: organizationalUnit\nou: groups\n\n"
    + person("anna") + person("ben", mail="ben@example.test\nmail: benjamin@example.test") + person("carl", "maildrop: second@store.test")
    + person("star", mail="st*r(x)@example.test") + person("back", mail="b\\s@example.test")
    + "".join(person(f"user{n}") for n in range(200))
    + group("staff", member("anna"), member("ben"))
    + group("mixed", member("anna"), "memberaddr: extern@other.test")
    + group("nested", member("staff", GROUPS), member("carl"))
    + group("loop", member("loop", GROUPS), member("anna"))
    + group("gone", member("anna"), member("nobody"))
    + group("terminal", member("anna"), "maildrop: list@lists.test")
    + group("url", f"labeledURI: ldap:///{PEOPLE}?mail?one?(cn=anna)")
    + group("url-all", f"labeledURI: ldap:///{PEOPLE}??one?(cn=carl)")
    + group("url-other", f"labeledURI: ldap:///{PEOPLE}?sn?one?(cn=anna)")
    + group("url-bad", "labeledURI: ldap:///x?y?z?q?r?s?t?u"))


class Tables(databases.Tables):
    def table(self, name="t.cf", **settings):
        values = {"server_host": self.server.url, "search_base": BASE, "query_filter": "mail=%s", "result_attribute": "maildrop",
                  "bind": "no", "version": "3", **settings}
        path = self.top / name
        path.write_text("".join(f"{key} = {value}\n" for key, value in values.items() if value is not None))
        return f"ldap:{path}"


@pytest.fixture(scope="module")
def server():
    yield from databases.serve("ldap", Slapd, ENTRIES)


@pytest.fixture
def tables(server, tmp_path):
    return Tables(server, tmp_path)


def answer_cases(tables):
    groups = {"special_result_attribute": "member, labeledURI", "leaf_result_attribute": "mail", "result_attribute": "memberaddr"}
    terminal = {**groups, "terminal_result_attribute": "maildrop"}
    plain, grouped = tables.table("plain.cf"), tables.table("groups.cf", **groups)
    ended = tables.table("terminal.cf", **terminal)
    admin = {"bind": "yes", "bind_dn": f"cn=admin,{BASE}", "bind_pw": "secret"}
    return [
        (plain, "anna@example.test", "found anna.drop@store.test"),
        (plain, "ANNA@Example.test", "found anna.drop@store.test"),
        (plain, "benjamin@example.test", "found ben.drop@store.test"),
        (plain, "carl@example.test", "found carl.drop@store.test,second@store.test"),
        (plain, "nobody@example.test", "not-found"),
        (plain, "*", "not-found"),
        (plain, "anna*", "not-found"),
        (plain, "st*r(x)@example.test", "found star.drop@store.test"),
        (plain, "b\\s@example.test", "found back.drop@store.test"),
        (plain, "x)(mail=*", "not-found"),
        (tables.table("format.cf", result_format="smtp:[%d]:%U:%2"), "anna@example.test", "found smtp:[store.test]:anna:example"),
        (tables.table("filter.cf", result_filter="<%s>"), "anna@example.test", "found <anna.drop@store.test>"),
        (tables.table("limit.cf", expansion_limit=1), "carl@example.test", "error"),
        (tables.table("limit2.cf", expansion_limit=2), "carl@example.test", "found carl.drop@store.test,second@store.test"),
        (tables.table("size.cf", query_filter="cn=%u*", size_limit=1), "user1@example.test", "error"),
        (tables.table("size2.cf", query_filter="(&(cn=*)(|(mail=%s)(objectClass=inetOrgPerson)))", size_limit=2),
         "anna@example.test", "error"),
        (tables.table("domain.cf", domain="other.test"), "anna@example.test", "not-found"),
        (tables.table("domain2.cf", domain="other.test example.test"), "anna@example.test", "found anna.drop@store.test"),
        (tables.table("parts.cf", query_filter="(&(cn=%u)(mail=*))", search_base="ou=people,dc=%2,dc=%1"), "anna@example.test",
         "found anna.drop@store.test"),
        (tables.table("parts.cf", query_filter="(&(cn=%u)(mail=*))", search_base="ou=people,dc=%2,dc=%1"), "anna@exa,mple.test",
         "not-found"),
        (tables.table("base.cf", search_base="cn=%u,ou=people,dc=%2,dc=%1", scope="base"), "anna@example.test",
         "found anna.drop@store.test"),
        (tables.table("base.cf", search_base="cn=%u,ou=people,dc=%2,dc=%1", scope="base"), "nobody@example.test", "not-found"),
        (tables.table("base.cf", search_base="cn=%u,ou=people,dc=%2,dc=%1", scope="base"), "anna,ou=people+x@example.test",
         "not-found"),
        (tables.table("base.cf", search_base="cn=%u,ou=people,dc=%2,dc=%1", scope="base"), "plain", "not-found"),
        (tables.table("nobase.cf", search_base="dc=nowhere"), "anna@example.test", "error"),
        (tables.table("badfilter.cf", query_filter="(mail=%s"), "anna@example.test", "error"),
        (tables.table("one.cf", scope="one"), "anna@example.test", "not-found"),
        (tables.table("one2.cf", scope="one", search_base=PEOPLE), "anna@example.test", "found anna.drop@store.test"),
        (tables.table("scope.cf", scope="wide"), "anna@example.test", "found anna.drop@store.test"),
        (tables.table("default.cf", query_filter=None), "anna@example.test", "not-found"),
        (tables.table("two.cf", result_attribute="mail, maildrop"), "anna@example.test",
         "found anna@example.test,anna.drop@store.test"),
        (tables.table("none.cf", result_attribute="title"), "anna@example.test", "not-found"),
        (grouped, "anna@example.test", "found anna@example.test"),
        (grouped, "staff@example.test", "found anna@example.test,ben@example.test,benjamin@example.test"),
        (grouped, "mixed@example.test", "found anna@example.test,extern@other.test"),
        (grouped, "nested@example.test", "found anna@example.test,ben@example.test,benjamin@example.test,carl@example.test"),
        (grouped, "loop@example.test", "error"),
        (grouped, "gone@example.test", "found anna@example.test"),
        (grouped, "url@example.test", "found anna@example.test"),
        (grouped, "url-all@example.test", "found carl@example.test"),
        (grouped, "url-other@example.test", "not-found"),
        (grouped, "url-bad@example.test", "error"),
        (tables.table("depth.cf", recursion_limit=2, **groups), "nested@example.test", "error"),
        (tables.table("depth3.cf", recursion_limit=3, **groups), "staff@example.test",
         "found anna@example.test,ben@example.test,benjamin@example.test"),
        (ended, "terminal@example.test", "found list@lists.test"),
        (ended, "staff@example.test", "found anna.drop@store.test,ben.drop@store.test"),
        (tables.table("bind.cf", **admin), "anna@example.test", "found anna.drop@store.test"),
        (tables.table("badbind.cf", **{**admin, "bind_pw": "wrong"}), "anna@example.test", "error"),
        (tables.table("anonymous.cf", bind="yes"), "anna@example.test", "found anna.drop@store.test"),
        (tables.table("version2.cf", version=2, **admin), "anna@example.test", "found anna.drop@store.test"),
        (tables.table("tls.cf", start_tls="yes"), "anna@example.test", "error"),
        (tables.table("port.cf", server_host="127.0.0.1", server_port=tables.server.port), "anna@example.test",
         "found anna.drop@store.test"),
        (tables.table("hostport.cf", server_host=f"127.0.0.1:{tables.server.port}"), "anna@example.test",
         "found anna.drop@store.test"),
        (tables.table("socket.cf", server_host=tables.server.socket_url), "anna@example.test", "found anna.drop@store.test"),
        (tables.table("hosts.cf", server_host=f"ldap://127.0.0.1:{free_port()} {tables.server.url}"), "anna@example.test",
         "found anna.drop@store.test"),
        (tables.table("dead.cf", server_host=f"ldap://127.0.0.1:{free_port()}"), "anna@example.test", "error"),
    ]


def in_order(answer):
    """An attribute's values are a set: the server gives them as it likes."""
    word, _, values = answer.partition(" ")
    return " ".join([word, *sorted(values.split(","))])


def test_answers_as_from_postfix(tables, tmp_path):
    databases.check_answers(tables, "ldap", answer_cases(tables), tmp_path / "reference", normal=in_order)


def test_legacy_name_in_main_cf(tables):
    with open(tables.top / "main.cf", "a", encoding="ascii") as file:
        file.write(f"people_server_host = {tables.server.url}\npeople_search_base = {BASE}\npeople_bind = no\n"
                   "people_query_filter = mail=%s\npeople_result_attribute = maildrop\n")
    assert tables.one("ldap:people", "anna@example.test")[0] == "found anna.drop@store.test"


def test_postmap_asks_too(tables):
    done = subprocess.run([BUILD / "commands/postmap", "-c", tables.top, "-q", "-", tables.table()], capture_output=True,
                          text=True, check=False, timeout=30, input="anna@example.test\nno\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "anna@example.test\tanna.drop@store.test\n", "")


def test_a_thousand_lookups_share_few_connections(tables):
    answers, log = tables.ask([(tables.table(), f"user{n % 200}@example.test") for n in range(1000)], "-d", "60000")
    assert answers == [f"found user{n % 200}.drop@store.test" for n in range(1000)], log


def test_a_silent_server_holds_nobody_up(tables):
    """It accepts and says nothing; others' answers come at once, and the lookup ends with the table's timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dumb = tables.table("dumb.cf", server_host=f"ldap://127.0.0.1:{silent.getsockname()[1]}", timeout=1)
        started = time.monotonic()
        answers, log = tables.ask([(dumb, "a"), (dumb, "b")] + [(tables.table(), "anna@example.test")] * 20, "-t")
        assert time.monotonic() - started < 4
    assert [answer.split(" (")[0] for answer in answers[:2]] == ["error"] * 2 and "dumb.cf" in log
    for answer in answers[2:]:
        assert answer.startswith("found anna") and int(answer.split("(")[1].split()[0]) < 800


def test_a_deadline_ends_a_lookup(tables):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dumb = tables.table("dumb.cf", server_host=f"ldap://127.0.0.1:{silent.getsockname()[1]}", timeout=2)
        started = time.monotonic()
        answers, log = tables.ask([(dumb, str(n)) for n in range(12)], "-d", "400")
        assert answers == ["error"] * 12 and time.monotonic() - started < allowed(1.9) and "dumb.cf: timeout" in log


def test_failures_name_the_server_and_the_file(tables):
    table = tables.table("bad.cf", bind="yes", bind_dn=f"cn=admin,{BASE}", bind_pw="not-the-password")
    answer, log = tables.one(table, "anna@example.test")
    assert answer == "error" and "not-the-password" not in log
    assert f"warning: Unable to bind to server {tables.server.url} with dn cn=admin,{BASE}: 49 (Invalid credentials)" in log
    assert f'warning: {table} lookup error for "anna@example.test"' in log
    for settings, words in (({"bind": "maybe"}, "unsupported bind = maybe"), ({"timeout": "soon"}, "timeout = soon"),
                            ({"start_tls": "yes", "server_host": "ldaps://127.0.0.1"}, "exclude each other"),
                            ({"version": 2, "start_tls": "yes"}, "need version = 3"), ({"recursion_limit": 0}, "recursion_limit")):
        table = tables.table("wrong.cf", **settings)
        answer, log = tables.one(table, "anna@example.test")
        assert answer == "error" and words in log and table in log


def test_a_restart_is_not_noticed_when_idle_and_an_error_while_it_lasts(tables):
    table = tables.table()
    process = tables.start("-d", "2000")

    def ask():
        process.stdin.write(f"find\t{table}\tanna@example.test\n")
        process.stdin.flush()
        return process.stdout.readline().split(" ", 1)[1].strip()

    assert ask() == "found anna.drop@store.test"
    tables.server.stop()
    tables.server.start()
    assert ask() == "found anna.drop@store.test"
    tables.server.stop()
    assert ask() == "error"
    tables.server.start()
    assert ask() == "found anna.drop@store.test"
    _, log = process.communicate(timeout=30)
    assert process.returncode == 0, log


@pytest.mark.core
def test_recipients_through_the_confined_lookup(server, posthorn):
    """The library connects, and reads what it needs, where files, calls and memory are restricted."""
    if server.process is None:
        server.start()
    posthorn.file("people.cf", f"server_host = {server.url}\nsearch_base = {BASE}\nquery_filter = mail=%s\nresult_attribute = cn\n"
                               f"bind = yes\nbind_dn = cn=admin,{BASE}\nbind_pw = secret\n")
    setups.virtual_domain(posthorn, "lmtp:inet:127.0.0.1:9")
    posthorn.main.update({"virtual_mailbox_maps": "proxy:ldap:$config_directory/people.cf", "virtual_alias_maps": ""})
    posthorn.start()
    with posthorn.smtp() as client:
        client.hello()
        client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        client.say("RCPT TO:<anna@example.test>", expect="250 2.1.5 Ok")
        client.say("RCPT TO:<nobody@example.test>", expect=550)
        server.stop()
        posthorn.log.expect(r"ldap|LDAP|lookup error|virtual_mailbox_maps")
        client.say("RCPT TO:<ben@example.test>", expect="451 4.3.0 <ben@example.test>: Temporary lookup failure")
        server.start()
        wait_for(lambda: client.say("RCPT TO:<carl@example.test>").startswith("250"), "the directory again", 10, 0.3)
