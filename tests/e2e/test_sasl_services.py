# SPDX-License-Identifier: ISC
"""Logging in with everything that may sit behind it: real clients, saslauthd, SQL; services that die, hang, come back, and lie."""
import concurrent.futures
import os
import re
import shutil
import smtplib
import sqlite3
import subprocess
import time

import pytest
from lib.fake_auth import HANDSHAKE, FakeDovecot, FakeSaslauthd
from lib.maillog import MailLog
from lib.sasl import DovecotAuth, Saslauthd, b64, cyrus_unavailable, plain, sasldb
from lib.smtp import SmtpClient
from lib.waiting import allowed, wait_for

USERS = {"anna": "secret", "ben": "geheim"}


def configure(mta, **parameters):
    mta.log.expect(r"SASL \S+ authentication (failed|aborted)", r"SASL authentication failure")
    mta.main.update({
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_relay_restrictions": "permit_sasl_authenticated, reject_unauth_destination",
        "mynetworks": "192.0.2.0/24",
        "default_transport": "discard:",
        "smtpd_sasl_failure_delay": "0",
        "smtpd_error_sleep_time": "0",
        "smtpd_soft_error_limit": "200",
        "smtpd_hard_error_limit": "200",
        **parameters,
    })


def cyrus(mta, text, **parameters):
    configure(mta, smtpd_sasl_type="cyrus", **parameters)
    mta.file("sasl/smtpd.conf", text)


def dovecot(mta, **parameters):
    configure(mta, smtpd_sasl_type="dovecot", smtpd_sasl_path="private/auth", **parameters)


def login(mta, name, password, expect=None):
    """The reply to one AUTH PLAIN."""
    with mta.smtp() as client:
        client.hello()
        return client.say("AUTH PLAIN " + plain(name, password), expect=expect)


def offered(mta):
    with mta.smtp() as client:
        match = re.search(r"250.AUTH (.*)", client.hello())
        return match and match.group(1).split()


GOOD = "235 2.7.0 Authentication successful"
BAD = re.compile("535 5.7.8 Error: authentication failed: .*")
LATER = re.compile("454 4.7.0 Temporary authentication failure: .*")


@pytest.fixture
def auth():
    """auth(mta): a real Dovecot behind private/auth."""
    if DovecotAuth.unavailable():
        pytest.skip(DovecotAuth.unavailable())
    made = []

    def make(mta, **options):
        made.append(DovecotAuth(mta.queue / "private" / "auth", mta.owner, USERS, **options))
        return made[-1]

    yield make
    for service in made:
        service.finish()


@pytest.fixture
def needs_cyrus():
    if cyrus_unavailable():
        pytest.skip(cyrus_unavailable())


# --- clients ----------------------------------------------------------------------------------------------------

def run_client(*command, input=None):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    result = subprocess.run([str(word) for word in command], input=input, capture_output=True, text=True, timeout=30)
    return result.returncode, result.stdout + result.stderr


def python_client(port, mechanism, name, password):
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo()
        client.user, client.password = name, password
        client.auth(mechanism, getattr(client, "auth_" + mechanism.lower().replace("-", "_")))
        client.sendmail("anna@example.org", ["x@elsewhere.example"], "Subject: x\r\n\r\nx\r\n")


def all_clients(mta):
    """Every client that this machine has, with every mechanism it knows: accepted with the right password only."""
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        python_client(mta.port, mechanism, "anna", "secret")
        with pytest.raises(smtplib.SMTPAuthenticationError):
            python_client(mta.port, mechanism, "anna", "wrong")
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        for password, good in (("secret", True), ("wrong", False)):
            code, text = run_client("swaks", "--server", f"127.0.0.1:{mta.port}", "--from", "a@example.org", "--to",
                                    "x@elsewhere.example", "-a", mechanism, "-au", "anna", "-ap", password)
            assert (code == 0) == good, text
    for mechanism in ("plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256"):
        for password, good in (("secret", True), ("wrong", False)):
            code, text = run_client("msmtp", "--host=127.0.0.1", f"--port={mta.port}", "--tls=off", f"--auth={mechanism}",
                                    "--user=anna", f"--passwordeval=echo {password}", "--from=a@example.org",
                                    "x@elsewhere.example", input="Subject: x\n\nx\n")
            assert (code == 0) == good, (mechanism, text)
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        code, text = run_client("curl", "-sS", f"smtp://127.0.0.1:{mta.port}/c.example", "--login-options",
                                f"AUTH={mechanism}", "-u", "anna:secret", "--mail-from", "a@example.org", "--mail-rcpt",
                                "x@elsewhere.example", "-T", "-", input="Subject: x\n\nx\n")
        assert code == 0, (mechanism, text)


def test_clients_with_dovecot(posthorn, auth):
    dovecot(posthorn)
    posthorn.start()
    auth(posthorn).start()
    all_clients(posthorn)
    assert posthorn.log.wait(r"client=\S+, sasl_method=(scram-sha-256|SCRAM-SHA-256), sasl_username=anna$")
    assert posthorn.log.wait(r"disconnect from \S+ ehlo=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=6$")


def test_clients_with_sasldb(posthorn, needs_cyrus):
    database = sasldb(posthorn.directory / "sasldb", USERS, "postfix")
    cyrus(posthorn, f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {database}\n"
                    "mech_list: PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256\n")
    posthorn.start()
    all_clients(posthorn)
    assert sorted(offered(posthorn)) == sorted("PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256".split())


# --- what Cyrus SASL asks -----------------------------------------------------------------------------------------

def test_saslauthd(posthorn, needs_cyrus):
    """Where a chrooted Postfix would find it; gone, back, and a wrong password in between."""
    database = sasldb(posthorn.directory / "sasldb", USERS, "root", realm="mail.example.test")
    service = Saslauthd.with_sasldb(posthorn.directory / "saslauthd", database)
    cyrus(posthorn, f"pwcheck_method: saslauthd\nsaslauthd_path: {service.socket}\nmech_list: PLAIN LOGIN\n",
          smtpd_sasl_local_domain="mail.example.test")
    posthorn.log.expect(r"SASL authentication problem: (cannot connect to|Password verification failed)")
    posthorn.start()
    try:
        service.start()
        login(posthorn, "anna", "secret", GOOD)
        login(posthorn, "anna", "wrong", BAD)
        service.stop()
        login(posthorn, "anna", "secret", LATER)
        service.start()
        login(posthorn, "anna", "secret", GOOD)
    finally:
        service.stop()


def test_saslauthd_of_a_chrooted_postfix(posthorn, needs_cyrus):
    """Debian's way: saslauthd -m /var/spool/postfix/var/run/saslauthd, and a file that does not say where."""
    if os.path.exists("/run/saslauthd/mux"):
        pytest.skip("a saslauthd runs on this machine")
    cyrus(posthorn, "pwcheck_method: saslauthd\nmech_list: PLAIN\n")
    posthorn.start()
    directory = posthorn.queue / "var" / "run" / "saslauthd"
    directory.mkdir(parents=True)
    service = FakeSaslauthd(directory / "mux").start()
    try:
        login(posthorn, "good", "x", GOOD)
        login(posthorn, "bad", "x", BAD)
    finally:
        service.stop()


def test_sqlite(posthorn, needs_cyrus):
    path = posthorn.directory / "sql" / "users.sqlite"
    path.parent.mkdir()
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE users (name TEXT, password TEXT)")
    database.execute("INSERT INTO users VALUES ('anna', 'secret')")
    database.commit()
    database.close()
    shutil.chown(path, "postfix")
    cyrus(posthorn, f"pwcheck_method: auxprop\nauxprop_plugin: sql\nsql_engine: sqlite3\nsql_database: {path}\n"
                    "sql_select: SELECT password FROM users WHERE name = '%u'\nmech_list: PLAIN CRAM-MD5 SCRAM-SHA-256\n")
    posthorn.start()
    login(posthorn, "anna", "secret", GOOD)
    login(posthorn, "anna", "wrong", BAD)
    login(posthorn, "anna' OR '1'='1", "secret", BAD)
    python_client(posthorn.port, "CRAM-MD5", "anna", "secret")


def test_postgresql(posthorn, postgres, needs_cyrus):
    postgres.sql("CREATE TABLE logins (name text, password text); INSERT INTO logins VALUES ('anna', 'secret'); "
                 "GRANT SELECT ON logins TO posthorn", "mail")
    cyrus(posthorn, "pwcheck_method: auxprop\nauxprop_plugin: sql\nsql_engine: pgsql\nsql_hostnames: "
                    f"127.0.0.1:{postgres.port}\nsql_user: posthorn\nsql_passwd: change-me\nsql_database: mail\n"
                    "sql_select: SELECT password FROM logins WHERE name = '%u'\nmech_list: PLAIN LOGIN\n")
    posthorn.start()
    login(posthorn, "anna", "secret", GOOD)
    login(posthorn, "anna", "wrong", BAD)
    login(posthorn, "anna'; DROP TABLE logins; --", "secret", BAD)
    login(posthorn, "anna", "secret", GOOD)


def test_edited_configuration_is_noticed(posthorn, needs_cyrus):
    """Postfix's processes live for minutes only: nobody reloads after an edit."""
    database = sasldb(posthorn.directory / "sasldb", USERS, "postfix")
    text = f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {database}\nmech_list: PLAIN\n"
    cyrus(posthorn, text)
    posthorn.log.expect(r"smtpd\.conf has changed: starting again", r"auth.*(exit|ended|died)", r"auth service: connection lost",
                        r"no SASL authentication mechanisms")
    posthorn.start()
    assert offered(posthorn) == ["PLAIN"]
    time.sleep(5.1)  # how often it is looked at
    posthorn.file("sasl/smtpd.conf", text.replace("PLAIN", "PLAIN LOGIN"))
    offered(posthorn)
    wait_for(lambda: sorted(offered(posthorn) or []) == ["LOGIN", "PLAIN"], "the new list")


def test_slow_saslauthd_blocks_nobody_else(posthorn, needs_cyrus):
    service = FakeSaslauthd(posthorn.directory / "mux", delay=4).start()
    cyrus(posthorn, f"pwcheck_method: saslauthd\nsaslauthd_path: {service.path}\nmech_list: PLAIN LOGIN\n",
          auth_worker_limit="6", auth_timeout="3")
    posthorn.log.expect(r"SASL worker \d+: no answer in time: killed")
    posthorn.start()
    try:
        login(posthorn, "good", "x", GOOD)
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            slow = [pool.submit(login, posthorn, "slow", "x") for _ in range(5)]
            wait_for(lambda: service.waiting == 5, "five logins that wait")
            begun = time.monotonic()
            login(posthorn, "good", "x", GOOD)
            login(posthorn, "bad", "x", BAD)
            assert time.monotonic() - begun < allowed(2)
            assert all(LATER.fullmatch(one.result()) for one in slow)  # each after auth_timeout
        login(posthorn, "good", "x", GOOD)
        service.delay = 0.2
        login(posthorn, "slow", "x", GOOD)
        wait_for(lambda: len(posthorn.pids("auth-worker")) <= 6, "the killed workers to be gone")
    finally:
        service.stop()


def test_more_logins_than_workers(posthorn, needs_cyrus):
    """A hundred at once, with half-done ones that hold on to their worker."""
    database = sasldb(posthorn.directory / "sasldb", USERS, "postfix")
    cyrus(posthorn, f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {database}\nmech_list: PLAIN LOGIN\n",
          auth_worker_limit="2", smtpd_client_connection_count_limit="0")
    posthorn.start()
    idle = [SmtpClient(posthorn.port) for _ in range(40)]
    for client in idle:
        client.hello()
        client.say("AUTH LOGIN", expect="334 VXNlcm5hbWU6")
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda i: login(posthorn, "anna", "secret" if i % 2 else "no", GOOD if i % 2 else BAD), range(60)))
    for client in idle:
        client.say(b64("anna"), expect="334 UGFzc3dvcmQ6")
        client.say(b64("secret"), expect=GOOD)
        client.close()
    assert len(posthorn.pids("auth-worker")) <= 2


# --- Dovecot ---------------------------------------------------------------------------------------------------------

def test_dovecot_goes_and_comes_back(posthorn, auth):
    service = auth(posthorn)
    dovecot(posthorn)
    posthorn.log.expect(r"SASL: Connect to Dovecot auth socket 'private/auth' failed: (No such file|Connection refused)",
                        r"no SASL authentication mechanisms for")
    posthorn.start()
    assert offered(posthorn) is None  # never seen: what it offers is not known
    login(posthorn, "anna", "secret", LATER)
    service.start()
    login(posthorn, "anna", "secret", GOOD)
    with posthorn.smtp() as client:
        client.hello()
        client.say("AUTH LOGIN", expect="334 VXNlcm5hbWU6")
        service.stop()
        wait_for(lambda: LATER.fullmatch(login(posthorn, "anna", "secret")), "the loss to be noticed")
        client.say(b64("anna"), expect=LATER)
        login(posthorn, "anna", "secret", LATER)
        assert "PLAIN" in offered(posthorn)  # a client that is not offered AUTH gives up for good
        service.start()
        client.say("AUTH LOGIN", expect="334 VXNlcm5hbWU6")
        client.say(b64("anna"), expect="334 UGFzc3dvcmQ6")
        client.say(b64("secret"), expect=GOOD)


def test_restarted_dovecot_costs_no_login(posthorn, auth):
    service = auth(posthorn)
    dovecot(posthorn)
    posthorn.start()
    service.start()
    for _ in range(3):
        login(posthorn, "anna", "secret", GOOD)
        service.stop()
        service.start()
    login(posthorn, "anna", "secret", GOOD)


def test_dovecot_is_told_about_the_client(posthorn):
    dovecot(posthorn, smtpd_sasl_service="submission")
    posthorn.start()
    service = FakeDovecot(posthorn.queue / "private" / "auth").start()
    try:
        with posthorn.smtp() as client:
            port = client.socket.getsockname()[1]
            client.hello()
            client.say("AUTH PLAIN " + plain("good", "x"), expect=GOOD)
        assert re.fullmatch(rb"VERSION\t1\t\d+\n", service.lines[0])
        assert re.fullmatch(rb"CPID\t\d+\n", service.lines[1])
        fields = service.lines[2].decode().rstrip("\n").split("\t")
        assert fields[:2] + fields[2:3] == ["AUTH", fields[1], "PLAIN"]
        assert set(fields[3:]) == {"service=submission", "nologin", "lip=127.0.0.1", "rip=127.0.0.1", f"lport={posthorn.port}",
                                   f"rport={port}", "resp=" + plain("good", "x")}
        assert fields[-1].startswith("resp=")
    finally:
        service.stop()


def say(text):
    return lambda connection, number: connection.sendall(text.replace("ID", number).encode("latin-1"))


def hang_up(connection, number):
    connection.close()


LIES = {  # login name: what the service says, and what the client shall hear
    "wrong-id": (say("OK\t4294967295\tuser=root\nFAIL\tID\n"), BAD),
    "malformed-id": (say("OK\tx\tuser=root\n"), LATER),
    "negative-id": (say("OK\t-1\tuser=root\n"), LATER),
    "huge-id": (say("OK\t99999999999999999999\tuser=root\n"), LATER),
    "nobody": (say("OK\tID\n"), LATER),
    "empty-name": (say("OK\tID\tuser=\n"), LATER),
    "long-name": (say("OK\tID\tuser=" + "x" * 5000 + "\n"), LATER),
    "long-line": (say("OK\tID\tuser=" + "x" * 70000 + "\n"), LATER),
    "nul": (say("OK\tID\tuser=root\0\n"), LATER),
    "challenge-with-newline": (say("CONT\tID\tYWJj\r250 ok\n"), LATER),
    "challenge-no-base64": (say("CONT\tID\t%%%%\n"), LATER),
    "fail-then-ok": (say("FAIL\tID\tuser=x\nOK\tID\tuser=root\n"), BAD),
    "temporary": (say("FAIL\tID\tuser=x\ttemp\n"), LATER),
    "temporary-code": (say("FAIL\tID\tuser=x\tcode=temp_fail\n"), LATER),
    "reason": (say("FAIL\tID\treason=Go away\n"), "535 5.7.8 Error: authentication failed: Go away"),
    "reason-with-newline": (say("FAIL\tID\treason=a\001nb\001r\001tc\n"), "535 5.7.8 Error: authentication failed: a?b??c"),
    "unknown-words": (say("HELLO\tworld\n\x01\x02\nFAIL\tID\n"), BAD),
    "dies": (hang_up, LATER),
    "empty-line": (say("\n"), LATER),
    "silent": (lambda connection, number: None, LATER),
}


@pytest.mark.core
def test_lying_dovecot(posthorn):
    """Checklist 12. After each lie an honest login works, and one that was under way lost no more than itself."""
    dovecot(posthorn, auth_timeout="2")
    posthorn.log.expect(r"SASL: ")
    posthorn.start()
    service = FakeDovecot(posthorn.queue / "private" / "auth").start()
    try:
        for name, (answer, expect) in LIES.items():
            service.answers[name] = answer
            try:
                login(posthorn, name, "x", expect)
            except AssertionError as error:
                raise AssertionError(name) from error
            login(posthorn, "good", "x", GOOD)
        with posthorn.smtp() as client:  # an answer that nobody asked for
            client.hello()
            service.answers["eager"] = say("CONT\tID\t\nOK\tID\tuser=root\n")
            assert client.say("AUTH PLAIN " + plain("eager", "x")).startswith(("334", "454"))
            assert not client.say("").startswith("235")
        assert not posthorn.log.lines(r"sasl_username=root")
    finally:
        service.stop()


@pytest.mark.parametrize("handshake", [
    b"", b"\n", b"VERSION\t2\t0\nDONE\n", b"VERSION\t1\t1\nDONE\n", b"MECH\tPLAIN\nDONE\n", b"VERSION\t1\t1\nMECH\tPL AIN\nDONE\n",
    b"VERSION\tx\ty\n", b"VERSION\t1\t1\n" + b"MECH\tPLAIN\tplaintext\n" * 5000, b"x" * 70000, b"\0\0\0\n",
    b"VERSION\t1\t1\nMECH\tPLAIN\nOK\t1\tuser=root\nDONE\n", b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext"],
    ids=lambda handshake: repr(handshake)[2:30])
def test_bad_handshakes(lying, handshake):
    posthorn, service = lying
    service.stop()
    service.handshake = handshake
    service.serve = lambda connection: connection.sendall(handshake)
    service.start()
    login(posthorn, "good", "x", LATER)


@pytest.fixture(scope="module")
def lying(request):
    from lib.mta import Posthorn
    if Posthorn.unavailable() or os.geteuid() != 0:
        pytest.skip("needs an installed Posthorn and root")
    posthorn = Posthorn()
    dovecot(posthorn)
    posthorn.log.expect(r"SASL: ", r"no SASL authentication mechanisms")
    posthorn.start()
    service = FakeDovecot(posthorn.queue / "private" / "auth").start()
    yield posthorn, service
    service.stop()
    service = FakeDovecot(posthorn.queue / "private" / "auth").start()  # and after all that
    login(posthorn, "good", "x", GOOD)
    service.stop()
    posthorn.finish()


# --- sizes, secrets, confinement -----------------------------------------------------------------------------------------

@pytest.mark.core
def test_sizes(posthorn, auth):
    """Empty and large credentials, every base64 length around a block: the same service answers afterwards."""
    dovecot(posthorn)
    posthorn.log.expect(r"request longer than")
    posthorn.start()
    auth(posthorn).start()
    with posthorn.smtp() as client:
        client.hello()
        for size in (0, 1, 2, 3, 4, 47, 48, 49, 9000, 9216):
            client.say("AUTH PLAIN", expect="334 ")
            client.say(b64("x" * size), expect=BAD)
        for name, password in (("", ""), ("anna", ""), ("", "secret"), ("x" * 4500, "y" * 4500), ("\0" * 50, "x"), ("\001" * 4000, "x")):
            client.say("AUTH PLAIN", expect="334 ")
            client.say(plain(name, password), expect=BAD)
        for size in (12289, 65536, 200000):
            client.say("AUTH PLAIN", expect="334 ")
            client.say("A" * size, expect="500 5.5.6 SASL response limit exceeded")
        client.say("AUTH PLAIN " + plain("anna", "secret"), expect=GOOD)


def memory_of(pid):
    """All that a process could have kept."""
    data = b""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if "rw" in line.split()[1] and "[v" not in line and end - start < 1 << 26:  # a sanitizer's shadow is larger
                memory.seek(start)
                try:
                    data += memory.read(end - start)
                except OSError:
                    pass
    return data


@pytest.mark.parametrize("kind", ["dovecot", "cyrus"])
def test_no_password_stays(posthorn, auth, kind):
    """Neither in a log nor in the memory of the processes that passed it on."""
    secret, encoded = "Xq7Zp2Wv9Lk4", b64("Xq7Zp2Wv9Lk4")
    if kind == "dovecot":
        dovecot(posthorn)
        service = auth(posthorn)
    else:
        database = sasldb(posthorn.directory / "sasldb", {"anna": "other"}, "postfix")
        cyrus(posthorn, f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {database}\nmech_list: PLAIN LOGIN\n")
    posthorn.log.expect(r"improper command pipelining", r"request longer than")
    posthorn.start()
    if kind == "dovecot":
        service.start()
    with posthorn.smtp() as client:
        client.hello()
        client.say("AUTH LOGIN", expect="334 VXNlcm5hbWU6")
        client.say(b64("anna"), expect="334 UGFzc3dvcmQ6")
        client.say(encoded, expect=BAD)
        client.say("AUTH PLAIN " + plain("anna", secret), expect=BAD)
        needles = [secret.encode(), encoded.encode(), plain("anna", secret).encode()[6:]]
        for program in ("submission", "auth"):
            for pid in posthorn.pids(program):
                data = memory_of(pid)
                assert b"anna" in data or program != "submission"
                assert not [needle for needle in needles if needle in data], (program, pid)
        client.say("AUTH PLAIN " + plain("anna", secret * 300))
        client.send(b"EHLO x\r\nAUTH PLAIN " + plain("anna", secret).encode() + b"\r\n")
        client.reply("554 5.5.0 Error: SMTP protocol synchronization")
    text = posthorn.log.text()
    assert secret not in text and encoded not in text and plain("anna", secret)[6:] not in text


def test_confinement(posthorn, needs_cyrus):
    database = sasldb(posthorn.directory / "sasldb", USERS, "postfix")
    cyrus(posthorn, f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {database}\nmech_list: PLAIN\n")
    posthorn.start()
    login(posthorn, "anna", "secret", GOOD)
    names = [posthorn.pids(program) for program in ("auth", "auth-spawner", "auth-worker")]
    assert [len(pids) for pids in names] == [1, 1, 1]
    for pid in (pid for pids in names for pid in pids):
        status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status", encoding="ascii").read().splitlines() if ":\t" in line)
        assert status["Uid"].split()[0] != "0"
        assert int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
    assert os.readlink(f"/proc/{names[0][0]}/root").endswith("/data/empty")
    text = posthorn.command("posthorn", "-c", posthorn.config, "probe").stdout
    tries = re.findall(r"^auth +\d+ +(worker: )?(\S.*?)  +(\S.*)$", text, re.M)
    assert len(tries) == 28, text
    worked = {(who, what) for who, what, result in tries if result in ("ALLOWED", "Connection refused")
              or (what.startswith("connect") and result == "No such file or directory")}
    if os.environ.get("ASAN_OPTIONS"):  # its runtime signals; the spawner, that is
        worked.discard(("worker: ", "signal another process"))
    assert worked <= {("worker: ", "read /etc/passwd"), ("worker: ", "connect to a unix socket"),
                      ("worker: ", "change the root directory back"), ("", "change the root directory back")}, text


def test_no_login_no_auth_process(posthorn):
    posthorn.start()
    assert posthorn.pids("auth") == []


def test_reload_in_the_middle(posthorn, auth):
    dovecot(posthorn)
    posthorn.start()
    auth(posthorn).start()
    with posthorn.smtp() as client:
        client.hello()
        client.say("AUTH PLAIN " + plain("anna", "secret"), expect=GOOD)
        posthorn.reload()
        client.say("MAIL FROM:<a@example.org>", expect=250)
        client.say("RCPT TO:<x@elsewhere.example>", expect=250)
    wait_for(lambda: login(posthorn, "anna", "secret") == GOOD, "logins after a reload")
