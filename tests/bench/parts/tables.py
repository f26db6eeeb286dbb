# SPDX-License-Identifier: ISC
"""Lookups a second, table by table: both postmaps with "-q -", and our table library as lookup uses it (many at once on fibers)."""
import pathlib
import subprocess
import tempfile
import time

from lib import reference
from lib.mariadb import MariaDB
from lib.postgres import PostgreSQL
from lib.slapd import BASE, Slapd
from lib.table_query import BUILD, MAIN_CF, table_types

ENTRIES, KEYS, DATABASE_KEYS, RULES = 100000, 50000, 5000, 200


def measure(options):
    print(f"\nLookups a second: {ENTRIES:,} entries in files, 1,000 in databases, {RULES} rules in lists of patterns\n")
    print(f"{'table':<10} {'Postfix postmap -q -':>22} {'Posthorn postmap -q -':>22} {'Posthorn, many at once':>23}")
    results = {}
    with tempfile.TemporaryDirectory(prefix="bench-tables-") as directory:
        top = pathlib.Path(directory)
        top.chmod(0o755)
        ours, theirs = Ours(top / "ours"), reference.Reference(top / "theirs", MAIN_CF)
        servers = []
        try:
            for kind, spec, keys in [*_files(top), *_databases(top, servers)]:
                results[kind] = _one(kind, spec, keys, ours, theirs, options.rounds)
        finally:
            for server in servers:
                server.finish()
    return results


class Ours:
    def __init__(self, conf):
        self.conf = conf
        conf.mkdir()
        (conf / "main.cf").write_text(MAIN_CF)

    def run(self, program, *arguments, input=None):
        return subprocess.run([BUILD / "commands" / program, "-c", self.conf, *arguments], input=input, capture_output=True,
                              check=False, timeout=600)

    def at_once(self, spec, keys):
        text = "".join(f"find\t{spec}\t{key}\n" for key in keys).encode()
        return subprocess.run([BUILD / "tests/tools/table_query", "-c", self.conf, "-d", "600000"], input=text,
                              capture_output=True, check=False, timeout=600)


def _one(kind, spec, keys, ours, theirs, rounds):
    many, one = ("\n".join(keys) + "\n").encode(), (keys[0] + "\n").encode()
    ways = {
        "postfix": lambda text: theirs.run("postmap", "-q", "-", spec, input=text),
        "posthorn": lambda text: ours.run("postmap", "-q", "-", spec, input=text),
        "at once": lambda text: ours.at_once(spec, text.decode().splitlines()),
    }
    result = {}
    if kind not in table_types():
        del ways["posthorn"], ways["at once"]
    if reference.unavailable(kind) and kind in reference.KINDS:
        del ways["postfix"]
    for name, way in ways.items():
        for text in (one, many):
            done = way(text)
            assert done.returncode == 0 and len(done.stdout.splitlines()) == len(text.splitlines()), (kind, name, done.stderr[:300])
        # What one lookup takes is the start of the program, and is taken off.
        result[name] = max((len(keys) - 1) / (_time(way, many) - _time(way, one)) for _ in range(rounds))
    print(f"{kind:<10} " + " ".join(f"{result.get(name, 0):>{width},.0f}" for name, width in
                                    (("postfix", 22), ("posthorn", 22), ("at once", 23))))
    return result


def _time(way, text):
    started = time.monotonic()
    way(text)
    return time.monotonic() - started


def _files(top):
    keys = [f"user{n * 7919 % ENTRIES}@example.test" for n in range(KEYS)]
    text = "".join(f"user{n}@example.test box{n}\n" for n in range(ENTRIES))
    for kind in ("lmdb", "cdb", "texthash"):
        path = top / kind
        path.write_text(text)
        if kind != "texthash":
            assert subprocess.run([BUILD / "commands/postmap", "-c", top / "ours", f"{kind}:{path}"], check=False).returncode == 0
        yield kind, f"{kind}:{path}", keys
    patterns = top / "patterns"
    patterns.write_text("".join(f"/^nobody{n}@/ x\n" for n in range(RULES)) + "/^user([0-9]+)@/ box$1\n")
    for kind in ("regexp", "pcre"):
        yield kind, f"{kind}:{patterns}", keys[:20000]
    networks = top / "networks"
    networks.write_text("".join(f"10.{n}.0.0/16 x\n" for n in range(RULES)) + "192.0.2.0/24 found\n")
    yield "cidr", f"cidr:{networks}", [f"192.0.2.{n % 256}" for n in range(20000)]
    yield "static", "static:all", keys
    yield "unix", "unix:passwd.byname", ["root"] * 20000


def _sql(top, kind, settings):
    path = top / f"{kind}.cf"
    path.write_text(settings + "query = SELECT target FROM box WHERE address = '%s'\n")
    return f"{kind}:{path}"


def _databases(top, servers):
    keys = [f"user{n % 1000}@example.test" for n in range(DATABASE_KEYS)]
    rows = ",".join(f"('user{n}@example.test', 'box{n}')" for n in range(1000))
    create = f"CREATE TABLE box (address VARCHAR(100) PRIMARY KEY, target VARCHAR(100)); INSERT INTO box VALUES {rows};"
    subprocess.run(["sqlite3", "-bail", top / "box.sqlite"], input=create, text=True, check=True)
    yield "sqlite", _sql(top, "sqlite", f"dbpath = {top}/box.sqlite\n"), keys
    servers.append(PostgreSQL().start())
    servers[-1].sql(create)
    yield "pgsql", _sql(top, "pgsql", f"hosts = 127.0.0.1:{servers[-1].port}\nuser = postgres\ndbname = postgres\n"), keys
    servers.append(MariaDB().start())
    servers[-1].sql("CREATE DATABASE mail; USE mail; " + create + "CREATE USER bench@'%' IDENTIFIED BY 'x'; GRANT SELECT ON mail.* "
                    "TO bench@'%';")
    yield "mysql", _sql(top, "mysql", f"hosts = 127.0.0.1:{servers[-1].port}\nuser = bench\npassword = x\ndbname = mail\n"), keys
    servers.append(Slapd("".join(f"dn: cn=user{n},{BASE}\nobjectClass: inetOrgPerson\nobjectClass: mailThing\ncn: user{n}\nsn: x\n"
                                 f"mail: user{n}@example.test\nmaildrop: box{n}\n\n" for n in range(1000))).start())
    path = top / "ldap.cf"
    path.write_text(f"server_host = {servers[-1].url}\nsearch_base = {BASE}\nquery_filter = mail=%s\nbind = no\nversion = 3\n")
    yield "ldap", f"ldap:{path}", keys
