# SPDX-License-Identifier: ISC
"""posthorn check: one small configuration for each kind of finding, with the line it must point at, and clean ones.

Run: /usr/bin/python3 -m pytest tests/e2e/test_posthorn_check.py
Nothing is started; POSTHORN_BUILD names the build directory.
"""
import json
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess

import pytest

from lib.mta import ROOT, Postfix

PROGRAM = pathlib.Path(os.environ.get("POSTHORN_BUILD", ROOT / "build" / "normal")) / "inst" / "sbin" / "posthorn"
IS_ROOT = os.geteuid() == 0
OWNER = "mail" if IS_ROOT else pwd.getpwuid(os.geteuid()).pw_name

SMTP = "smtp inet n - n - - smtpd\n"
SUBMISSION = SMTP + "submission inet n - n - - smtpd\n"
RELAY = "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n"
TLS = "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {etc}/good.pem\n"


class Place:
    """A configuration directory with a queue, users that exist, and nothing to complain about."""

    def __init__(self, root):
        self.root = root
        self.etc, self.queue, self.data = root / "etc", root / "queue", root / "data"
        for directory in (self.etc, self.queue, self.queue / "private", self.data):
            directory.mkdir(mode=0o755)
        (self.queue / "private").chmod(0o700)
        if IS_ROOT:
            for directory in (self.data, self.queue / "private"):
                shutil.chown(directory, OWNER)
        self.write()

    def write(self, main="", master=SMTP):
        settings = {
            "compatibility_level": "3.6", "queue_directory": self.queue, "data_directory": self.data,
            "mail_owner": OWNER, "setgid_group": "daemon", "default_privs": "nobody",
            "myhostname": "mail.example.test", "mydestination": "", "mynetworks": "127.0.0.0/8 [::1]/128",
        }
        written = {line.split("=")[0].strip() for line in main.splitlines()}
        base = "".join(f"{name} = {value}\n" for name, value in settings.items() if name not in written)
        fill = {"{etc}": str(self.etc), "{queue}": str(self.queue), "{root}": str(self.root)}
        for name, value in fill.items():
            main, master = main.replace(name, value), master.replace(name, value)
        (self.etc / "main.cf").write_text(base + main)
        (self.etc / "master.cf").write_text(master)

    def line(self, name, text):
        lines = (self.etc / name).read_text().splitlines()
        found = [number for number, line in enumerate(lines, 1) if text in line]
        assert found, f"{text!r} is not in {name}"
        return found[-1]

    def check(self, *options, offline=True):
        arguments = [PROGRAM, "check", "-c", self.etc, *options] + ["--offline"] * offline
        return subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True, timeout=60)

    def findings(self, *options, offline=True):
        done = self.check("--json", *options, offline=offline)
        assert done.stderr == ""
        report = json.loads(done.stdout)
        assert done.returncode == (1 if report["errors"] else 0)
        return report["findings"]

    def find(self, wanted, *options, offline=True):
        found = [finding for finding in self.findings(*options, offline=offline) if finding["id"] == wanted]
        assert len(found) == 1, found
        return found[0]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """good, soon (10 days), expired, other (another key), foreign (another name); each with its key inside."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl program")
    root = tmp_path_factory.mktemp("certificates")
    for name, days, host in (("good", 90, "mail.example.test"), ("soon", 10, "mail.example.test"),
                             ("other", 90, "mail.example.test"), ("foreign", 90, "elsewhere.example.test")):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", days,
                "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", "-keyout", root / f"{name}.key",
                "-out", root / f"{name}.crt")
    openssl("req", "-new", "-key", root / "good.key", "-subj", "/CN=mail.example.test", "-out", root / "expired.csr")
    (root / "index.txt").write_text("")
    (root / "ca.cnf").write_text(f"[ca]\ndefault_ca=a\n[a]\ndatabase={root}/index.txt\nnew_certs_dir={root}\n"
                                 "rand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
    openssl("ca", "-batch", "-config", root / "ca.cnf", "-selfsign", "-keyfile", root / "good.key", "-in",
            root / "expired.csr", "-startdate", "20200101000000Z", "-enddate", "20210101000000Z", "-notext",
            "-out", root / "expired.crt")
    shutil.copy(root / "good.key", root / "expired.key")
    for name in ("good", "soon", "other", "foreign", "expired"):
        pem = root / f"{name}.pem"
        pem.write_text((root / f"{name}.key").read_text() + (root / f"{name}.crt").read_text())
        pem.chmod(0o600)
        (root / f"{name}.key").chmod(0o600)
    return root


# id, severity, main.cf, master.cf, the file and a text on the line to be named
CASES = [
    # --- relay
    ("open-relay", "error", "smtpd_relay_restrictions = permit,\n  reject_unauth_destination\n", SMTP,
     "main.cf", "= permit,"),
    ("open-relay", "error", RELAY, SMTP + "2525 inet n - n - - smtpd\n -o syslog_name=x\n"
     " -o smtpd_relay_restrictions=permit,reject\n", "master.cf", "=permit,reject"),
    ("open-relay", "error", "smtpd_relay_restrictions = trusted, reject_unauth_destination\n"
     "smtpd_restriction_classes = trusted\ntrusted = permit_mynetworks\n  permit\n", SMTP, "main.cf", "  permit"),
    ("no-relay-control", "error", "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = permit_mynetworks\n", SMTP,
     "main.cf", "smtpd_relay_restrictions"),
    ("forgeable-relay", "warning", "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = permit_mynetworks\n"
     "  check_sender_access inline:{a=OK}\n  reject_unauth_destination\n", SMTP, "main.cf", "check_sender_access"),
    ("relay-control-warns-only", "warning", "smtpd_relay_restrictions = permit_mynetworks,\n  warn_if_reject,\n"
     "  reject_unauth_destination,\n  reject\n", SMTP, "main.cf", "reject_unauth_destination"),
    ("no-relay-control", "error", "compatibility_level = 0\n", SUBMISSION + " -o smtpd_relay_restrictions=reject\n",
     "master.cf", "smtp inet"),
    # --- order
    ("unreachable-restriction", "warning", RELAY + "smtpd_recipient_restrictions =\n  permit_mynetworks\n  permit\n"
     "  # said later\n  reject_unlisted_recipient\n", SMTP, "main.cf", "  reject_unlisted_recipient"),
    ("unreachable-restriction", "warning", "smtpd_relay_restrictions = permit_auth_destination,\n"
     "  reject_unauth_destination,\n  reject_unlisted_recipient\n", SMTP, "main.cf", "reject_unlisted_recipient"),
    ("unreachable-restriction", "warning", RELAY + "mua_client_restrictions = reject,\n permit_sasl_authenticated\n",
     SUBMISSION + " -o smtpd_client_restrictions=$mua_client_restrictions\n", "main.cf", "permit_sasl_authenticated"),
    ("unknown-restriction", "error", RELAY + "smtpd_sender_restrictions =\n  reject_unknown_sender\n", SMTP, "main.cf",
     "reject_unknown_sender"),
    ("restriction-without-argument", "error", RELAY + "smtpd_sender_restrictions = check_sender_access\n", SMTP, "main.cf",
     "check_sender_access"),
    ("login-already-permitted", "warning", RELAY + "smtpd_sender_login_maps = static:x\nsmtpd_sender_restrictions =\n"
     "  permit_sasl_authenticated\n  reject_sender_login_mismatch\n", SMTP, "main.cf", "reject_sender_login_mismatch"),
    ("login-map-missing", "warning", RELAY + "smtpd_sender_restrictions = reject_sender_login_mismatch\n", SMTP, "main.cf",
     "reject_sender_login_mismatch"),
    ("repeated-restriction", "note", RELAY + "smtpd_sender_restrictions = reject_non_fqdn_sender,\n"
     "  reject_unlisted_sender, reject_non_fqdn_sender\n", SMTP, "main.cf", "reject_unlisted_sender"),
    ("recipient-not-known-yet", "warning", RELAY + "smtpd_delay_reject = no\nsmtpd_client_restrictions =\n"
     "  check_recipient_access inline:{a=OK}\n", SMTP, "main.cf", "check_recipient_access"),
    ("helo-not-required", "note", RELAY + "smtpd_helo_restrictions = reject_invalid_helo_hostname\n", SMTP, "main.cf",
     "smtpd_helo_restrictions"),
    # --- networks
    ("mynetworks-open", "error", "mynetworks = 127.0.0.0/8\n  0.0.0.0/0\n", SMTP, "main.cf", "0.0.0.0/0"),
    ("mynetworks-public", "warning", "mynetworks =\n  127.0.0.0/8,\n  198.51.100.0/24\n", SMTP, "main.cf", "198.51.100.0"),
    ("mynetworks-public", "warning", "mynetworks = [2001:db8:1::]/48\n", SMTP, "main.cf", "2001"),
    ("mynetworks-container-default", "note", "mynetworks = 172.16.0.0/12\n", SMTP, "main.cf", "172.16"),
    ("mynetworks-syntax", "error", "mynetworks = 127.0.0.0/8\n  192.168.1.5/24\n", SMTP, "main.cf", "192.168.1.5"),
    ("mynetworks-syntax", "error", RELAY, SUBMISSION + "  -o mynetworks=10.0.0.0/33\n", "master.cf", "10.0.0.0/33"),
    # --- auth
    ("auth-without-tls", "error", "", SUBMISSION + "  -o smtpd_sasl_auth_enable=yes\n", "master.cf", "auth_enable"),
    ("auth-before-tls", "error", TLS, SUBMISSION + "  -o syslog_name=x -o smtpd_sasl_auth_enable=yes\n", "master.cf",
     "auth_enable"),
    ("enforce-tls-without-effect", "error", TLS, SUBMISSION + "  -o syslog_name=x\n  -o smtpd_enforce_tls=yes\n",
     "master.cf", "enforce"),
    ("tls-without-certificate", "error", "smtpd_tls_security_level = may\n", SMTP, "main.cf", "smtpd_tls_security_level"),
    ("wrappermode-missing", "error", TLS, SMTP + "smtps inet n - n - - smtpd\n", "master.cf", "smtps"),
    ("wrappermode-misplaced", "error", TLS, SUBMISSION + "  -o smtpd_tls_wrappermode=yes\n", "master.cf", "wrappermode"),
    ("port-25-requires-tls", "warning", "smtpd_tls_security_level = encrypt\nsmtpd_tls_cert_file = none\n", SMTP, "main.cf",
     "smtpd_tls_security_level"),
    ("auth-on-port-25", "note", TLS + "smtpd_tls_auth_only = yes\nsmtpd_sasl_auth_enable = yes\n", SMTP, "main.cf",
     "smtpd_sasl_auth_enable"),
    # --- parameters
    ("unused-parameter", "warning", "smtpd_recipent_restrictions = reject\n", SMTP, "main.cf", "smtpd_recipent"),
    ("unused-parameter", "warning", "", SMTP + "  -o smtpd_helo_requird=yes\n", "master.cf", "requird"),
    ("bad-value", "error", "message_size_limit = big\n", SMTP, "main.cf", "big"),
    ("bad-value", "error", "", SMTP + "  -o smtpd_timeout=soon\n", "master.cf", "soon"),
    ("parameter-without-effect", "note", "max_use = 7\n", SMTP, "main.cf", "max_use"),
    ("undefined-parameter", "warning", "smtpd_banner = $myhostnam ESMTP\n", SMTP, "main.cf", "myhostnam "),
    ("syntax", "error", "", SMTP + "broken inet n\n", "master.cf", "broken"),
    # --- domains
    ("domain-in-two-classes", "error", "mydestination = localhost, example.test\nvirtual_mailbox_domains = example.org,\n"
     "  example.test\n", SMTP, "main.cf", "  example.test"),
    ("mailbox-limit-too-small", "error", "virtual_mailbox_limit = 1000000\n",
     SMTP + "virtual unix - n n - - virtual\n", "main.cf", "virtual_mailbox_limit"),
    ("soft-bounce", "note", "soft_bounce = yes\n", SMTP, "main.cf", "soft_bounce"),
    # --- tables
    ("table-missing", "error", "virtual_alias_maps = inline:{a=b},\n  hash:{etc}/nothing\n", SMTP, "main.cf", "nothing"),
    ("table-missing", "error", "virtual_alias_maps = pipemap:{texthash:{etc}/nothing,static:x}\n", SMTP, "main.cf",
     "nothing"),
    ("table-unreadable", "error", "virtual_alias_maps = texthash:{etc}\n", SMTP, "main.cf", "texthash"),
    ("table-empty", "warning", "virtual_alias_maps = hash:{etc}/empty\n", SMTP, "main.cf", "empty"),
    ("table-stale", "warning", "virtual_alias_maps = hash:{etc}/stale\n", SMTP, "main.cf", "stale"),
    ("table-in-foreign-format", "error", "virtual_alias_maps = hash:{etc}/foreign\n", SMTP, "main.cf", "foreign"),
    ("table-type-unknown", "error", "virtual_alias_maps = hsah:{etc}/full\n", SMTP, "main.cf", "hsah"),
    ("table-type-unknown", "error", "virtual_alias_maps = {etc}/full\n", SMTP, "main.cf", "full"),
    ("table-type-unsupported", "error", "virtual_alias_maps = nis:mail.aliases\n", SMTP, "main.cf", "nis"),
    ("table-missing", "error", "", SMTP + "  -o smtpd_sender_restrictions=check_sender_access,lmdb:{etc}/nothing\n",
     "master.cf", "nothing"),
    ("list-file-unreadable", "error", "relay_domains = {etc}/nothing\n", SMTP, "main.cf", "nothing"),
    # --- delivery
    ("no-outbound-delivery", "warning", "", SMTP + "smtp unix - - n - - smtp\n", "master.cf", "smtp unix"),
    ("no-outbound-delivery", "warning", "default_transport = relay:x\n", SMTP + "relay unix - - n - - smtp\n", "main.cf",
     "default_transport"),
    ("transport-unsupported", "error", "mydestination = example.test\n", SMTP + "local unix - n n - - local\n", "master.cf",
     "local unix"),
    ("transport-unsupported", "error", "virtual_mailbox_domains = example.test\nvirtual_transport = dovecot\n",
     SMTP + "dovecot unix - n n - - pipe user=nobody argv=/bin/true\n", "main.cf", "virtual_transport"),
    ("transport-undefined", "error", "relay_domains = example.test\nrelay_transport = nowhere:x\n", SMTP, "main.cf", "relay_transport"),
    ("content-filter-unsupported", "error", "", SMTP + "  -o content_filter=amavis:[127.0.0.1]:10024\n"
     "amavis unix - - n - 2 smtp\n", "master.cf", "content_filter"),
    ("unsupported-parameter", "error", "lmtp_header_checks = static:x\n", SMTP, "main.cf", "lmtp_header_checks"),
    ("spawn-user-missing", "error", "", SMTP + "p unix - n n - 0 spawn\n  user=no_such_user argv=/bin/true\n", "master.cf", "p unix"),
    ("spawn-program-missing", "error", "", SMTP + "p unix - n n - 0 spawn\n  user=nobody argv=/no/such/policyd -x\n", "master.cf",
     "p unix"),
    # --- sockets
    ("transport-socket-absent", "error", "virtual_transport = lmtp:unix:private/dovecot-lmtp\n", SMTP, "main.cf", "lmtp"),
    ("sasl-socket-absent", "error", "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth\n",
     SUBMISSION + " -o smtpd_sasl_auth_enable=yes\n", "main.cf", "smtpd_sasl_path"),
    ("milter-absent", "warning", "smtpd_milters = unix:{root}/milter,\n  unix:{root}/second\n", SMTP, "main.cf", "second"),
    ("milter-absent-and-skipped", "warning", "milter_default_action = accept\nsmtpd_milters =\n  { unix:{root}/m }\n", SMTP,
     "main.cf", "{ unix"),
    ("policy-service-absent", "error", RELAY + "smtpd_recipient_restrictions =\n"
     "  check_policy_service { unix:private/policy, timeout=10s }\n", SMTP, "main.cf", "private/policy"),
    ("not-a-socket", "error", "virtual_transport = lmtp:unix:{etc}/main.cf\n", SMTP, "main.cf", "lmtp"),
    # --- certificates
    ("certificate-expired", "error", "smtpd_tls_cert_file = {etc}/expired.pem\n", SMTP, "main.cf", "expired"),
    ("certificate-expires-soon", "warning", "smtpd_tls_cert_file = {etc}/soon.pem\n", SMTP, "main.cf", "soon"),
    ("certificate-key-mismatch", "error", "smtpd_tls_cert_file = {etc}/good.crt\nsmtpd_tls_key_file = {etc}/other.key\n",
     SMTP, "main.cf", "other.key"),
    ("certificate-name-mismatch", "warning", "", SUBMISSION + "  -o smtpd_tls_chain_files={etc}/foreign.pem\n", "master.cf",
     "foreign"),
    ("certificate-unreadable", "error", "smtpd_tls_chain_files = {etc}/good.key\n", SMTP, "main.cf", "good.key"),
    ("certificate-unreadable", "error", "smtpd_tls_cert_file = {etc}/good.crt\nsmtpd_tls_key_file = {etc}/nothing\n", SMTP,
     "main.cf", "nothing"),
    ("ca-file-unreadable", "warning", "smtp_tls_CAfile = {etc}/nothing\n", SMTP, "main.cf", "nothing"),
    # --- rights
    ("user-missing", "error", "mail_owner = nosuchuser\n", SMTP, "main.cf", "nosuchuser"),
    ("user-privileged", "error", "mail_owner = root\n", SMTP, "main.cf", "= root"),
    ("user-shared", "warning", "mail_owner = nobody\ndefault_privs = daemon\n", SMTP, "main.cf", "= nobody"),
    ("user-missing", "error", "setgid_group = nosuchgroup\n", SMTP, "main.cf", "nosuchgroup"),
    # --- names
    ("dnsbl-public-resolver", "warning", RELAY + "smtpd_client_restrictions =\n  reject_rbl_client zen.example.org=127.0.0.2\n",
     SMTP, "main.cf", "zen"),
    ("dnsbl-dead", "error", "postscreen_dnsbl_sites = zen.example.org*2\n  dnsbl.sorbs.net=127.0.0.[2..9]*1\n", SMTP,
     "main.cf", "sorbs"),
]

# Which certificate a case copies, so that the others need no openssl.
CERTIFICATE_FAMILIES = ("certificate-", "auth-", "enforce-", "wrappermode-")

def fill(place, case_id, request):
    (place.etc / "full").write_text("key value\n")
    (place.etc / "empty").write_text("# nothing\n\n")
    (place.etc / "stale").write_text("key value\n")
    (place.etc / "stale.lmdb").write_text("")
    (place.etc / "foreign.db").write_text("x")
    os.utime(place.etc / "stale.lmdb", (1, 1))
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(place.root / "milter"))
    if case_id.startswith(CERTIFICATE_FAMILIES):
        for path in request.getfixturevalue("certificates").iterdir():
            if path.suffix in (".pem", ".crt", ".key"):
                shutil.copy(path, place.etc)
    (place.root / "resolv.conf").write_text("search x\nnameserver 8.8.8.8\n")
    return server


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_finding(place, case, request):
    wanted, severity, main, master, name, text = case
    with fill(place, wanted, request):
        place.write(main, master)
        options = ["--resolv-conf", place.root / "resolv.conf"]
        finding = place.find(wanted, *options)
    assert finding["severity"] == severity
    assert finding["file"] == str(place.etc / name)
    assert finding["line"] == place.line(name, text)
    assert finding["why"].endswith(".") and finding["mend"].endswith(".")


# --- what needs more than two files ------------------------------------------------------------------


def test_container_gateway(place):
    place.write("mynetworks = 127.0.0.0/8\n  10.88.0.0/16\n")
    finding = place.find("mynetworks-container-gateway", "--gateway", "10.88.0.1,fd00::1")
    assert finding["line"] == place.line("main.cf", "10.88")
    place.write("mynetworks = 10.88.0.0/17\n")
    assert not [f for f in place.findings("--gateway", "10.88.128.1") if f["id"].startswith("mynetworks")]


def test_an_interface_of_a_container_engine(place):
    """The loopback interface stands in for docker0, in a network namespace of its own."""
    place.write("mynetworks = 172.18.0.0/16\n")
    script = "ip link set lo name docker0 && ip address add 172.18.0.1/16 dev docker0 && " \
        f"exec '{PROGRAM}' check --json --offline --only networks -c '{place.etc}'"
    done = subprocess.run(["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, timeout=30)
    if done.stdout == "":
        pytest.skip("no network namespaces: " + done.stderr.strip())
    findings = json.loads(done.stdout)["findings"]
    assert [finding["id"] for finding in findings] == ["mynetworks-container-gateway"]
    assert "docker0" in findings[0]["message"]


def test_the_right_name_is_suggested(place):
    place.write("smtpd_recipent_restrictions = reject\n")
    assert "did you mean smtpd_recipient_restrictions?" in place.find("unused-parameter")["message"]


def test_config_files_that_others_can_write(place):
    (place.etc / "main.cf").chmod(0o666)
    finding = place.find("config-writable")
    assert finding["file"] == str(place.etc / "main.cf") and finding["line"] is None
    (place.etc / "main.cf").chmod(0o644)
    place.etc.chmod(0o777)
    assert place.find("config-writable")["file"] == str(place.etc)


@pytest.mark.skipif(not IS_ROOT, reason="only root can give files away")
def test_config_files_of_another_user(place):
    shutil.chown(place.etc / "master.cf", "nobody")
    assert place.find("config-owner")["file"] == str(place.etc / "master.cf")


def test_readable_passwords(place):
    place.write("virtual_mailbox_maps = proxy:pgsql:{etc}/sql.cf\nsmtp_sasl_password_maps = hash:{etc}/logins\n")
    (place.etc / "sql.cf").write_text("hosts = localhost\nuser = x\npassword = secret\nquery = SELECT 1\n")
    (place.etc / "logins").write_text("relay.example.test user:secret\n")
    found = {(f["file"], f["line"]) for f in place.findings() if f["id"] == "password-readable"}
    assert found == {(str(place.etc / "sql.cf"), 3), (str(place.etc / "main.cf"), place.line("main.cf", "logins"))}
    for name in ("sql.cf", "logins"):
        (place.etc / name).chmod(0o640)
    assert not [f for f in place.findings() if f["id"] == "password-readable"]


def test_queue_directories(place):
    (place.queue / "private").chmod(0o755)
    place.queue.chmod(0o777)
    messages = [f["message"] for f in place.findings() if f["id"] == "directory-rights"]
    assert [message.split()[0] for message in sorted(messages)] == [str(place.queue), str(place.queue / "private")]


def test_sqlite_database(place):
    place.write("virtual_mailbox_maps = sqlite:{etc}/sql.cf\n")
    (place.etc / "sql.cf").write_text(f"# comment\ndbpath = {place.root}/no.db\nquery = SELECT 1\n")
    finding = place.find("table-missing")
    assert (finding["file"], finding["line"]) == (str(place.etc / "sql.cf"), 2)


DATABASE_FILES = [
    # (type, text of the file, wanted finding or None, its line)
    ("pgsql", "hosts = h\nquery = SELECT a FROM b WHERE c = '%s'\n", None, 0),
    ("pgsql", "hosts = h\nquery = SELECT a FROM b WHERE c = '%u' AND d = '%d'\n", None, 0),
    ("pgsql", "hosts = h\nqeury = SELECT 1\nquery = SELECT 1\n", "database-setting-unknown", 2),
    ("pgsql", "hosts = h\nselect_function = f\n", None, 0),
    ("mysql", "hosts = h\nselect_field = a\ntable = b\nwhere_field = c\n", None, 0),
    ("mysql", "hosts = h\nselect_field = a\ntable = b\n", "database-query-missing", 1),
    ("mysql", "hosts = h\nquery =\n", "database-query-missing", 1),
    ("mysql", "tls_CAfile = /x\nrequire_result_set = no\ncharset = utf8mb4\nquery = CALL f('%s')\n", None, 0),
    ("mysql", "encoding = UTF8\nquery = SELECT 1\n", "database-setting-unknown", 1),
    ("pgsql", "hosts = h\nquery =\n  SELECT a FROM b\n  WHERE c = %s\n", "database-key-unquoted", 2),
    ("pgsql", "query = SELECT '%%s' || a FROM b WHERE c LIKE '%%'\n", None, 0),
    ("pgsql", "query = \"SELECT a FROM b WHERE c = '%s'\"\n", "database-value-in-quotes", 1),
    ("pgsql", "query = SELECT 1\nnonsense\n", "database-file-syntax", 2),
    ("ldap", "server_host = h\nsearch_base = dc=x\nquery_filter = (mail=%s)\n", None, 0),
    ("ldap", "server_host = h\nquery_filter = (mail=%s)\n", "ldap-search-base-missing", 1),
    ("ldap", "search_base = dc=x\nquery_filter = \"(mail=%s)\"\n", "database-value-in-quotes", 2),
    ("ldap", "search_base = dc=x\n\nbind_passwd = x\n", "database-setting-unknown", 3),
]


@pytest.mark.parametrize("kind,text,wanted,line", DATABASE_FILES)
def test_database_files(place, kind, text, wanted, line):
    place.write(f"virtual_mailbox_maps = proxy:{kind}:{{etc}}/db.cf\n")
    (place.etc / "db.cf").write_text(text)
    found = [(f["id"], f["file"], f["line"]) for f in place.findings() if f["id"].startswith(("database-", "ldap-"))]
    assert found == ([(wanted, str(place.etc / "db.cf"), line)] if wanted else [])


def test_ports_of_neighbours(place):
    with socket.create_server(("127.0.0.1", 0)) as open_port, socket.socket() as closed_port:
        closed_port.bind(("127.0.0.1", 0))
        here, gone = open_port.getsockname()[1], closed_port.getsockname()[1]
        place.write(f"smtpd_milters = inet:127.0.0.1:{here}\n  inet:localhost:{gone}\n")
        assert place.find("milter-absent", offline=False)["line"] == place.line("main.cf", str(gone))
        assert not [f for f in place.findings() if f["id"] == "milter-absent"]


def test_a_service_of_master_cf_is_there_later(place):
    place.write(RELAY + "smtpd_recipient_restrictions = check_policy_service unix:private/policy\n",
                SMTP + "policy unix - n n - 0 spawn user=nobody argv=/bin/true\n")
    assert not [f for f in place.findings() if f["id"] == "policy-service-absent"]


def test_a_name_without_address(place):
    place.write("myhostname = mail.invalid\n")
    finding = place.find("hostname-unresolved", offline=False)
    assert finding["severity"] == "note" and finding["line"] == place.line("main.cf", "mail.invalid")


@pytest.mark.parametrize("hosts, wanted", [
    ("192.0.2.9 mail.example.test\n", None),
    ("192.0.2.9 elsewhere.example.test mail.example.test\n", "elsewhere.example.test"),
    ("127.0.1.1 vm mail.example.test\n", None),
])
def test_a_name_that_leads_elsewhere(place, hosts, wanted):
    """With a hosts file of its own, in a mount namespace."""
    (place.root / "hosts").write_text(hosts)
    script = f"mount --bind '{place.root}/hosts' /etc/hosts && exec '{PROGRAM}' check --json --only names -c '{place.etc}'"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=60)
    if done.stdout == "":
        pytest.skip("no mount namespaces: " + done.stderr.strip())
    findings = json.loads(done.stdout)["findings"]
    assert [finding["id"] for finding in findings] == ["hostname-reverse"] * bool(wanted)
    if wanted:
        assert wanted in findings[0]["message"]
        assert findings[0]["line"] == place.line("main.cf", "myhostname")


def test_encrypted_key(place, certificates):
    openssl("ec", "-in", certificates / "good.key", "-aes256", "-passout", "pass:x", "-out", place.etc / "locked.key")
    (place.etc / "locked.key").chmod(0o600)
    shutil.copy(certificates / "good.crt", place.etc)
    place.write("smtpd_tls_cert_file = {etc}/good.crt\nsmtpd_tls_key_file = {etc}/locked.key\n")
    assert "passphrase" in place.find("certificate-unreadable")["message"]


def test_readable_key(place, certificates):
    shutil.copy(certificates / "good.pem", place.etc)
    (place.etc / "good.pem").chmod(0o644)
    place.write("smtpd_tls_chain_files = {etc}/good.pem\n")
    assert "private key" in place.find("password-readable")["message"]


# --- nothing to say -------------------------------------------------------------------------------------


@pytest.mark.parametrize("main", [
    "", RELAY,
    "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination,\n"
    "  check_sender_access inline:{a=OK}\n",
    "smtpd_restriction_classes = strict\nstrict = reject_non_fqdn_sender, permit\n"
    "smtpd_sender_restrictions = check_sender_access inline:{example.org=strict}\n",
    "mynetworks = !192.168.7.1 192.168.0.0/16 [fe80::]/10 203.0.113.5 inline:{10.1.1.1=x} {etc}/networks\n",
    "mydestination = localhost\nvirtual_mailbox_domains = {etc}/networks\n",
    "virtual_alias_maps = inline:{ {a@b = c@d} } static:x unix:passwd.byname fail:x unionmap:{static:a,static:b}\n",
    "own = x\nsmtpd_banner = $myhostname ESMTP $own\n",
], ids=lambda main: main.split("=")[0].strip() or "base")
def test_clean(place, main):
    (place.etc / "networks").write_text("# ours\n10.9.0.0/16\n")
    place.write(main)
    assert place.findings() == []
    done = place.check()
    assert done.returncode == 0 and done.stdout == f"{place.etc}: 0 errors, 0 warnings, 0 notes\n"


def test_clean_mail_server(place, certificates):
    """Encrypted submission, Dovecot, a milter: what a careful admin has. Unsupported settings are not looked at."""
    shutil.copy(certificates / "good.pem", place.etc)
    place.write(RELAY + TLS + """\
smtpd_helo_required = yes
smtpd_helo_restrictions = permit_mynetworks, reject_invalid_helo_hostname
virtual_transport = lmtp:unix:private/dovecot-lmtp
virtual_mailbox_domains = example.test
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_sender_login_maps = static:anna
smtpd_milters = unix:{root}/milter
mua_relay = permit_sasl_authenticated, reject
""", SMTP + """\
submission inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sender_restrictions=reject_sender_login_mismatch
  -o smtpd_relay_restrictions=$mua_relay
submissions inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes
  -o { smtpd_client_restrictions = permit_sasl_authenticated, reject }
127.0.0.1:10025 inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes -o smtpd_tls_security_level=none
lmtp unix - - n - - lmtp
""")
    sockets = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for server, path in zip(sockets, ("queue/private/dovecot-lmtp", "queue/private/auth", "milter")):
        server.bind(str(place.root / path))
    families = "relay,order,networks,auth,domains,delivery,tables,sockets,certificates,rights,names"
    assert place.findings("--only", families) == []
    for server in sockets:
        server.close()


def test_stock_debian(place):
    """What Debian installs has no finding but those about what this host lacks and this release does not do."""
    share = Postfix.directory_of_reference / "usr/share/postfix"
    if not share.exists():
        pytest.skip("Debian's Postfix is not unpacked")
    shipped = (share / "main.cf.debian").read_text() + (share / "main.cf.tls").read_text()
    installed = f"""\
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = mail.example.test
alias_maps = hash:{place.etc}/aliases
alias_database = hash:{place.etc}/aliases
mydestination = $myhostname, example.test, mail.example.test, localhost.example.test, localhost
relayhost =
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = all
inet_protocols = all
"""
    named = set(re.findall(r"(?m)^(\w+) *=", installed))  # Debian's script replaces what is there
    kept = [line for line in shipped.splitlines(keepends=True) if line.partition("=")[0].strip() not in named]
    (place.etc / "main.cf").write_text("".join(kept) + installed)
    (place.etc / "aliases").write_text("postmaster: root\n")
    shutil.copy(share / "master.cf.dist", place.etc / "master.cf")
    of_this_host = {"certificate-unreadable", "certificate-name-mismatch", "user-missing", "directory-missing",
                    "ca-file-unreadable", "parameter-without-effect", "unsupported-parameter", "no-outbound-delivery",
                    "transport-unsupported"}
    assert [finding for finding in place.findings() if finding["id"] not in of_this_host] == []


def test_checking_changes_nothing(place):
    place.write("virtual_alias_maps = hash:{etc}/virtual\n")
    (place.etc / "virtual").write_text("a@example.test b@example.test\n")
    before = sorted((str(path), path.stat().st_mtime_ns) for path in place.root.rglob("*"))
    assert place.findings() == []
    assert sorted((str(path), path.stat().st_mtime_ns) for path in place.root.rglob("*")) == before


# --- how it is said ----------------------------------------------------------------------------------------


def test_text(place):
    place.write("smtpd_relay_restrictions = permit, reject_unauth_destination\n")
    done = place.check("--only", "relay")
    lines = done.stdout.splitlines()
    where = f"{place.etc}/main.cf, line {place.line('main.cf', 'permit,')}"
    assert done.returncode == 1
    assert lines[0].startswith(f"{where}: error: smtp/inet is an open relay")
    assert lines[0].endswith(" [open-relay]")
    assert any(line.startswith("    why:  ") for line in lines) and any(line.startswith("    mend: ") for line in lines)
    assert all(len(line) <= 100 for line in lines[1:])
    assert lines[-1] == f"{place.etc}: 1 errors, 0 warnings, 0 notes"


def test_json_shape(place):
    place.write("max_use = 7\nsmtpd_relay_restrictions = permit, reject_unauth_destination\n")
    report = json.loads(place.check("--json").stdout)
    assert {key: report[key] for key in ("configuration", "errors", "warnings", "notes")} == {
        "configuration": str(place.etc), "errors": 1, "warnings": 1, "notes": 1}
    for finding in report["findings"]:
        assert list(finding) == ["id", "severity", "file", "line", "message", "why", "mend"]
    place.write()
    assert json.loads(place.check("--json").stdout)["findings"] == []


@pytest.mark.parametrize("missing", ["main.cf", "master.cf"])
def test_a_configuration_that_cannot_be_read(place, missing):
    (place.etc / missing).unlink()
    done = place.check("--json")
    assert done.returncode == 2 and done.stdout == ""
    assert str(place.etc / missing) in done.stderr


@pytest.mark.parametrize("options", [["--only", "nothing"], ["--nope"], ["main.cf"]], ids=" ".join)
def test_wrong_usage(place, options):
    assert place.check(*options).returncode == 64


def test_the_environment_names_the_directory(place):
    environment = {**os.environ, "MAIL_CONFIG": str(place.etc)}
    done = subprocess.run([PROGRAM, "check", "--offline"], capture_output=True, text=True, env=environment, timeout=30)
    assert done.returncode == 0 and str(place.etc) in done.stdout
    done = subprocess.run([PROGRAM, "-c", place.etc, "check", "--offline"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and str(place.etc) in done.stdout
