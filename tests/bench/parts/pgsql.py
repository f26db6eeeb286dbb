# SPDX-License-Identifier: ISC
"""What a recipient in PostgreSQL costs: queries at the server per recipient, counted there, and the memory of the lookups."""
import re

from lib import processes, setups
from lib.mta import ROOT
from lib.postgres import PostgreSQL
from lib.waiting import wait_for

from . import servers

MESSAGES = 100


def measure(names, options):
    print("\nPostgreSQL: queries per recipient (domains, mailboxes and aliases in pgsql: tables), memory of the lookups\n")
    results = {}
    database = PostgreSQL()
    with open(database.data / "postgresql.conf", "a", encoding="ascii") as file:
        file.write("log_statement = 'all'\n")
    database.start()
    try:
        for name in names:
            results[name] = _one(name, options, database)
            print("{name:<9} {single:.2f} queries a recipient in messages with one, {ten:.2f} in messages with ten; {where}: "
                  "{memory_kib:,} KiB ({processes} processes), {connections} connections to the database"
                  .format(name=name, **results[name]))
    finally:
        database.finish()
    return results


def _one(name, options, database):
    sink = servers.Sink()
    server = servers.make(name, options, sink.port)
    try:
        _schema(database)
        setups.main_job(server, database)
        server.main["virtual_transport"] = f"lmtp:inet:127.0.0.1:{sink.port}"
        for table in ("virtual_mailbox_domains", "virtual_mailbox_maps", "virtual_alias_maps"):
            server.main[table] = "proxy:" + server.main[table]
        server.start()
        result = {"single": _queries(server, sink, database, 1), "ten": _queries(server, sink, database, 10)}
        programs = ("lookup",) if name == "posthorn" else ("proxymap", "trivial-rewrite")
        pids = [pid for program in programs for pid in server.pids(program)]
        result["connections"] = int(database.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'mail'"))
        result["memory_kib"], result["processes"] = sum(processes.memory_kib(pid) for pid in pids), len(pids)
        result["where"] = " and ".join(programs)
        return result
    finally:
        servers.stop(server)
        sink.stop()


def _schema(database):
    database.sql("DROP DATABASE IF EXISTS mail WITH (FORCE)")
    database.sql("DROP ROLE IF EXISTS posthorn")
    database.sql("CREATE DATABASE mail")
    database.sql_file(ROOT / "etc" / "schema.postgresql.sql", "mail")
    database.sql("CREATE ROLE posthorn LOGIN PASSWORD 'change-me'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO posthorn;"
                 "INSERT INTO domains (name) VALUES ('bench.test');"
                 "INSERT INTO mailboxes (address, domain, maildir) SELECT 'user' || n || '@bench.test', 'bench.test', 'x/' || n || '/' "
                 "FROM generate_series(0, 9999) n", "mail")


def _counted(database):
    """Statements that a mail server asked, so far."""
    text = (database.top / "stderr").read_text(errors="replace")
    return len(re.findall(r"statement: SELECT .*(?:domains|mailboxes|aliases)|execute .*: SELECT .*(?:domains|mailboxes|aliases)", text))


_next = [0]


def _queries(server, sink, database, recipients):
    before, taken = _counted(database), sink.count()
    for _ in range(MESSAGES):
        addresses = [f"user{_next[0] + n}@bench.test" for n in range(recipients)]
        _next[0] = (_next[0] + recipients) % 9000
        server.send("carl@example.org", addresses)
    wait_for(lambda: "Mail queue is empty" in server.mailq(), "an empty queue", 60, 0.2)
    assert sink.count() > taken
    return (_counted(database) - before) / (MESSAGES * recipients)
