# SPDX-License-Identifier: ISC
"""Everything that may sit behind Cyrus SASL on Debian, each behind a listener of its own of Posthorn and Debian's Postfix: PAM and LDAP
through saslauthd, LDAP and SQL as plugins, realms, Kerberos; with clients that speak what needs more than a password in base64."""
import concurrent.futures
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import tempfile

import pytest
from lib import kerberos
from lib.mta import Postfix, Posthorn
from lib.sasl import Saslauthd, cyrus_unavailable, plain, sasldb
from lib.slapd import BASE, Slapd
from lib.smtp import SmtpClient
from lib.waiting import accepts_connections, free_port, wait_for

HOST = "mail.example.test"
GOOD = "235 2.7.0 Authentication successful"
MODULES = pathlib.Path("/usr/lib/x86_64-linux-gnu/sasl2")
PEOPLE = f"ou=people,{BASE}"
ENTRIES = f"""\
dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: uid=anna,{PEOPLE}
objectClass: inetOrgPerson
uid: anna
cn: Anna
sn: A
userPassword: secret

dn: uid=proxy,{PEOPLE}
objectClass: inetOrgPerson
uid: proxy
cn: Proxy
sn: P
userPassword: proxy
authzTo: {{0}}dn.regex:^uid=.*,{PEOPLE}$
"""
SLAPD = ("authz-policy to\nsasl-auxprops slapd\npassword-hash {CLEARTEXT}\n"
         f"authz-regexp \"uid=([^,@]*)(@[^,]*)?,.*cn=auth\" \"uid=$1,{PEOPLE}\"\naccess to * by * read by anonymous auth\n")
# The password of each user in realm second.test is another one.
SERVICES = {
    "pam": {"smtpd_sasl_path": "pam", "smtpd_sasl_service": "mailtest", "smtpd_sasl_local_domain": ""},
    "ldap": {"smtpd_sasl_path": "ldap"},
    "ldapdb": {"smtpd_sasl_path": "ldapdb"},
    "sql": {"smtpd_sasl_path": "sql"},
    "realms": {"smtpd_sasl_path": "realms", "smtpd_sasl_local_domain": "second.test"},
    "realms-first": {"smtpd_sasl_path": "realms", "smtpd_sasl_local_domain": HOST},
    "gssapi": {"smtpd_sasl_path": "gssapi"},
}


class Backends:
    """All services, started once, and the files that describe them to Cyrus SASL."""

    def __init__(self):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="backends-", dir="/tmp"))
        self.top.chmod(0o755)
        self.started = []
        self.environment = {}
        self.configurations = {
            "pam": self.pam(), "ldap": self.saslauthd_ldap(), "ldapdb": self.ldapdb(), "sql": self.sql(), "realms": self.realms()}
        self.kerberos = None
        if not kerberos.unavailable() and (MODULES / "libgssapiv2.so").exists():
            self.configurations["gssapi"] = self.gssapi()

    def started_service(self, service):
        self.started.append(service)
        return service.start()

    def pam(self):
        crypted = subprocess.run(["openssl", "passwd", "-6", "secret"], capture_output=True, text=True, check=True).stdout
        (self.top / "passwords").write_text(f"anna:{crypted}")
        service = self.started_service(Saslauthd.with_pam(
            self.top / "pam", "mailtest",
            f"auth required pam_pwdfile.so pwdfile={self.top}/passwords\naccount required pam_permit.so\n"))
        return f"pwcheck_method: saslauthd\nsaslauthd_path: {service.socket}\nmech_list: PLAIN LOGIN\n"

    def slapd(self):
        for service in self.started:
            if isinstance(service, Slapd):
                return service
        return self.started_service(Slapd(ENTRIES, more=SLAPD))

    def saslauthd_ldap(self):
        (self.top / "ldap.conf").write_text(
            f"ldap_servers: {self.slapd().url}\nldap_search_base: {PEOPLE}\nldap_filter: uid=%u\nldap_version: 3\n")
        service = self.started_service(Saslauthd(self.top / "ldap", "ldap", "-O", self.top / "ldap.conf"))
        return f"pwcheck_method: saslauthd\nsaslauthd_path: {service.socket}\nmech_list: PLAIN LOGIN\n"

    def ldapdb(self):
        return (f"pwcheck_method: auxprop\nauxprop_plugin: ldapdb\nldapdb_uri: {self.slapd().url}\nldapdb_id: proxy\n"
                "ldapdb_pw: proxy\nldapdb_mech: DIGEST-MD5\nmech_list: PLAIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-256\n")

    def sql(self):
        path = self.top / "sql" / "users.sqlite"
        path.parent.mkdir()
        database = sqlite3.connect(path)
        database.executescript("CREATE TABLE users (name TEXT, password TEXT); INSERT INTO users VALUES ('anna', 'secret')")
        database.close()
        shutil.chown(path, "postfix")
        return (f"pwcheck_method: auxprop\nauxprop_plugin: sql\nsql_engine: sqlite3\nsql_database: {path}\n"
                "sql_select: SELECT password FROM users WHERE name = '%u'\nmech_list: PLAIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1\n")

    def realms(self):
        database = self.top / "sasldb"
        sasldb(database, {"anna": "secret"}, "postfix", HOST)
        sasldb(database, {"anna": "other"}, "postfix", "second.test")
        return (f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {database}\n"
                "mech_list: PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256\n")

    def gssapi(self):
        self.kerberos = self.started_service(kerberos.Kerberos())
        self.kerberos.add_user("anna", "secret")
        self.kerberos.login("anna", "secret")
        keytab = self.kerberos.keytab(f"smtp/{HOST}", "postfix")
        self.environment = {"KRB5_CONFIG": str(self.kerberos.top / "krb5.conf"), "KRB5_KTNAME": f"FILE:{keytab}"}
        return f"keytab: {keytab}\nmech_list: GSSAPI\n"

    def finish(self):
        for service in reversed(self.started):
            (service.finish if hasattr(service, "finish") else service.stop)()
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.top, ignore_errors=True)


class Server:
    """One server with a listener for each of SERVICES."""

    def __init__(self, kind, backends):
        self.mta = kind()
        self.mta.log.expect(r"SASL \S+ authentication failed", r"SASL authentication failure", r"SASL authentication problem")
        self.mta.main.update({
            "smtpd_sasl_auth_enable": "yes", "smtpd_relay_restrictions": "permit_sasl_authenticated, reject_unauth_destination",
            "mynetworks": "192.0.2.0/24", "default_transport": "discard:", "smtpd_error_sleep_time": "0",
            "smtpd_sasl_local_domain": HOST})
        if kind is Posthorn:
            self.mta.main["smtpd_sasl_failure_delay"] = "0"
        for name, text in backends.configurations.items():
            self.mta.file(f"sasl/{name}.conf", text)
        if backends.environment:
            self.mta.add_environment(backends.environment)
        self.ports = {}
        text = ""
        for name, overrides in SERVICES.items():
            if overrides["smtpd_sasl_path"] not in backends.configurations:
                continue
            self.ports[name] = free_port()
            text += f"127.0.0.1:{self.ports[name]} inet n - n - - smtpd\n"
            text += "".join(f"  -o {{ {parameter} = {value} }}\n" for parameter, value in overrides.items())
        self.mta.master_cf = text + self.mta.master_cf
        self.mta.start()
        for port in self.ports.values():
            wait_for(lambda port=port: accepts_connections("127.0.0.1", port), f"port {port}", 20)


@pytest.fixture(scope="module")
def both():
    for reason in (cyrus_unavailable(), Posthorn.unavailable(), Postfix.unavailable(), Slapd.unavailable()):
        if reason:
            pytest.skip(reason)
    backends, servers = Backends(), []
    try:
        for kind in (Posthorn, Postfix):
            servers.append(Server(kind, backends))
        yield servers, backends
    finally:
        for server in servers:
            server.mta.finish()
        backends.finish()


def hold(server, service, *responses):
    """The offer, the replies to AUTH PLAIN with each of these, and what the log says of them."""
    log = server.mta.log
    before, ended = len(log.lines()), len(log.lines(r"smtpd\[\d+\]: disconnect from"))
    with SmtpClient(server.ports[service]) as client:
        match = re.search(r"250.AUTH (.*)", client.hello())
        replies = [sorted(match.group(1).split()) if match else None]
        replies += [client.say("AUTH PLAIN " + response) for response in responses]
    log.wait(r"smtpd\[\d+\]: disconnect from", count=ended + 1, seconds=20)
    lines = [re.sub(r".* postfix/smtpd\[\d+\]: ", "", line) for line in log.lines()[before:] if " postfix/smtpd[" in line]
    return replies, [re.sub(r", sasl_username=.*", "", line) for line in lines if "SASL" in line]


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "gssapi"])
def test_passwords(both, service):
    """A wrong one, an unknown name, names that mean something to LDAP and SQL, and the right one."""
    password = "other" if service == "realms" else "secret"
    wrong = [plain("anna", "wrong"), plain("nobody", "secret"), plain("*", "secret"), plain("anna' OR '1'='1", "x"),
             plain("anna)(uid=*", "secret"), plain("anna", "secret" if service == "realms" else "other")]
    if service == "pam":
        wrong = wrong[:1]  # it takes two seconds for each
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        held = list(pool.map(lambda server: hold(server, service, *wrong, plain("anna", password)), both[0]))
    assert held[0] == held[1]
    assert held[0][0][-1] == GOOD
    assert all(reply.startswith(("535", "454")) for reply in held[0][0][1:-1])


def test_realms_in_the_name(both):
    """anna@second.test on the listener of the first realm."""
    held = [hold(server, "realms-first", plain("anna@second.test", "secret"), plain("anna@second.test", "other")) for server in both[0]]
    assert held[0] == held[1]
    assert [reply[:3] for reply in held[0][0][1:]] == ["535", "235"]


# --- other clients -------------------------------------------------------------------------------------------------------------

def gsasl(port, mechanism, password, *options, environment=()):
    if shutil.which("gsasl") is None:
        pytest.skip("gsasl is not installed")
    return subprocess.run(["gsasl", "--smtp", f"--connect=127.0.0.1:{port}", f"--hostname={HOST}", "-m", mechanism, "-a", "anna",
                           "-p", password, "--no-starttls", *options], input="\n", capture_output=True, text=True, timeout=30,
                          env={**os.environ, **dict(environment)})


@pytest.mark.parametrize("service, mechanism", [
    *(("realms-first", mechanism) for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")),
    ("ldapdb", "DIGEST-MD5"), ("ldapdb", "SCRAM-SHA-256"), ("sql", "DIGEST-MD5"), ("sql", "SCRAM-SHA-1")])
def test_mechanisms_of_gsasl(both, service, mechanism):
    for server in both[0]:
        for password in ("secret", "wrong"):
            done = gsasl(server.ports[service], mechanism, password, f"--realm={HOST}", "--quality-of-protection=qop-auth")
            assert ("authentication successful" in (done.stdout + done.stderr).lower()) == (password == "secret"), (server.mta.name, done)


def test_kerberos(both):
    """GSSAPI, with a ticket of a private realm; nobody sends a password, and without a ticket nobody gets in."""
    servers, backends = both
    if backends.kerberos is None:
        pytest.skip("needs krb5-kdc, krb5-admin-server, krb5-user and libsasl2-modules-gssapi-mit")
    for server in servers:
        done = gsasl(server.ports["gssapi"], "GSSAPI", "", environment=backends.kerberos.environment)
        assert "authentication successful" in (done.stdout + done.stderr).lower(), (server.mta.name, done, server.mta.log.text())
        none = {**backends.kerberos.environment, "KRB5CCNAME": f"FILE:{backends.top}/none"}
        done = gsasl(server.ports["gssapi"], "GSSAPI", "", environment=none)
        assert "authentication successful" not in (done.stdout + done.stderr).lower(), done
