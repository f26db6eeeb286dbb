# SPDX-License-Identifier: ISC
"""Fixtures. Run with Debian's interpreter: /usr/bin/python3 -m pytest tests/e2e [--mta posthorn].

`mta` runs a test once with Posthorn and once with Debian's Postfix, so every expectation is also checked on the
reference; `posthorn` and `postfix` are one of them. All of them end with: nothing unexpected in the log.
Environment: POSTHORN_BUILD (build directory with inst/), POSTFIX_REFERENCE, KEEP=1 (leave the directories).
"""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lib.dovecot import Dovecot  # noqa: E402
from lib.lmtp_sink import LmtpSink  # noqa: E402
from lib.mta import ROOT, Postfix, Posthorn  # noqa: E402
from lib.postgres import PostgreSQL  # noqa: E402

SERVERS = {"posthorn": Posthorn, "postfix": Postfix}


def pytest_addoption(parser):
    parser.addoption("--mta", action="append", choices=sorted(SERVERS), help="only this server (may be repeated)")


def pytest_configure(config):
    config.addinivalue_line("markers", "core: what also runs on the sanitizer build")


def pytest_generate_tests(metafunc):
    if "mta" in metafunc.fixturenames:
        metafunc.parametrize("mta", metafunc.config.getoption("--mta") or ["posthorn", "postfix"], indirect=True)


def _server(request, name):
    chosen = request.config.getoption("--mta")
    if chosen and name not in chosen:
        pytest.skip(f"not chosen: {name}")
    reason = SERVERS[name].unavailable()
    if reason:
        pytest.skip(reason)
    return SERVERS[name]()


def _served(request, name):
    server = _server(request, name)
    try:
        yield server
    finally:
        server.finish()


@pytest.fixture
def mta(request):
    yield from _served(request, request.param)


@pytest.fixture
def posthorn(request):
    yield from _served(request, "posthorn")


@pytest.fixture
def postfix(request):
    yield from _served(request, "postfix")


@pytest.fixture(scope="session")
def postgres_server():
    if PostgreSQL.unavailable():
        pytest.skip(PostgreSQL.unavailable())
    server = PostgreSQL()
    yield server.start()
    server.finish()


@pytest.fixture
def postgres(postgres_server):
    """The shared server with a fresh database `mail` made from etc/schema.postgresql.sql, user posthorn."""
    if postgres_server.process is None:
        postgres_server.start()
    postgres_server.sql("DROP DATABASE IF EXISTS mail WITH (FORCE)")
    postgres_server.sql("DROP ROLE IF EXISTS posthorn")
    postgres_server.sql("CREATE DATABASE mail")
    postgres_server.sql_file(ROOT / "etc" / "schema.postgresql.sql", "mail")
    postgres_server.sql("CREATE ROLE posthorn LOGIN PASSWORD 'change-me'; "
                        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO posthorn", "mail")
    return postgres_server


@pytest.fixture
def dovecot_factory():
    """Call it with a server under test: a Dovecot listens where virtual_transport = lmtp:unix:private/... points."""
    if Dovecot.unavailable():
        pytest.skip(Dovecot.unavailable())
    made = []

    def make(mta):
        made.append(Dovecot(mta.queue / "private" / "dovecot-lmtp", mta.owner))
        return made[-1]

    yield make
    for dovecot in made:
        dovecot.finish()


@pytest.fixture
def sink():
    server = LmtpSink()
    yield server
    server.close()
