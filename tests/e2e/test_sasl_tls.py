# SPDX-License-Identifier: ISC
"""Logins that TLS has a part in: when AUTH is offered, what the Received line says, client certificates, channel binding;
and tokens, which nobody sends in the clear."""
import base64
import hashlib
import hmac
import json
import re
import shutil
import ssl
import subprocess
import time

import pytest
from lib import dovecot_settings
from lib.sasl import DovecotAuth, b64, cyrus_unavailable, plain, sasldb


USERS = {"anna": "secret"}
GOOD = "235 2.7.0 Authentication successful"
FAILED = re.compile("535 5.7.8 Error: authentication failed: .*")


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A CA, the server's certificate, and one of a client called anna."""
    top = tmp_path_factory.mktemp("certificates")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", top / "ca.key", "-out", top / "ca.pem", "-days", "2",
            "-subj", "/CN=Test CA")
    for name, subject in (("server", "mail.example.test"), ("anna", "anna")):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", top / f"{name}.key", "-out", top / f"{name}.csr", "-subj",
                f"/CN={subject}")
        openssl("x509", "-req", "-in", top / f"{name}.csr", "-CA", top / "ca.pem", "-CAkey", top / "ca.key", "-CAcreateserial",
                "-out", top / f"{name}.pem", "-days", "2")
    return top


def configure(mta, certificates, **parameters):
    for name in ("server.key", "server.pem", "ca.pem"):
        mta.file(name, (certificates / name).read_text())
    mta.log.expect(r"SASL \S+ authentication failed", r"SASL authentication failure", r"certificate.*expires", r"cannot load")
    mta.main.update({
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_relay_restrictions": "permit_sasl_authenticated, reject_unauth_destination",
        "mynetworks": "192.0.2.0/24",
        "smtpd_tls_security_level": "may",
        "smtpd_tls_auth_only": "yes",
        "smtpd_tls_chain_files": "$config_directory/server.key, $config_directory/server.pem",
        **parameters,
    })
    if mta.name == "posthorn":
        mta.main["smtpd_sasl_failure_delay"] = "0"


def start_tls(client, certificate=None, version=None):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version is not None:
        context.maximum_version = version
    if certificate is not None:
        context.load_cert_chain(certificate.with_suffix(".pem"), certificate.with_suffix(".key"))
    client.say("STARTTLS", expect="220 2.0.0 Ready to start TLS")
    client.socket = context.wrap_socket(client.socket)
    client.stream = client.socket.makefile("rb")


@pytest.fixture
def auth():
    if DovecotAuth.unavailable():
        pytest.skip(DovecotAuth.unavailable())
    made = []

    def make(mta, **options):
        made.append(DovecotAuth(mta.queue / "private" / "auth", mta.owner, USERS, **options))
        return made[-1].start()

    yield make
    for service in made:
        service.finish()


def test_only_inside_tls(mta, auth, sink, certificates):
    """Both servers: AUTH is not there before TLS, other options hold inside, and the Received line tells of it."""
    configure(mta, certificates, smtpd_sasl_type="dovecot", smtpd_sasl_path="private/auth",
              smtpd_sasl_security_options="noanonymous, noplaintext", smtpd_sasl_tls_security_options="noanonymous",
              smtpd_sasl_authenticated_header="yes", default_transport=f"lmtp:inet:127.0.0.1:{sink.port}",
              smtpd_tls_received_header="no")
    mta.start()
    auth(mta)
    with mta.smtp() as client:
        assert "AUTH" not in client.hello()
        client.say("AUTH PLAIN " + plain("anna", "secret"), expect="503 5.5.1 Error: authentication not enabled")
        start_tls(client)
        assert "250-AUTH PLAIN LOGIN" in client.hello()
        client.say("AUTH PLAIN " + plain("anna", "secret"), expect=GOOD)
        client.envelope("anna@example.org", "x@elsewhere.example")
        queue_id = client.send_message("Subject: x\n\nx\n")
    mta.log.wait(rf"{queue_id}: client=\S+, sasl_method=PLAIN, sasl_username=anna$")
    mta.log.wait(rf"{queue_id}: to=<x@elsewhere.example>.*status=sent")
    assert f"\t(Authenticated sender: anna)\n\tby mail.example.test (Postfix) with ESMTPSA id {queue_id}\n" in \
        sink.messages[0].content.decode().replace("\r\n", "\n")


def test_login_does_not_survive_starttls(posthorn, auth, certificates):
    configure(posthorn, certificates, smtpd_sasl_type="dovecot", smtpd_sasl_path="private/auth", smtpd_tls_auth_only="no")
    posthorn.start()
    auth(posthorn)
    with posthorn.smtp() as client:
        client.hello()
        client.say("AUTH PLAIN " + plain("anna", "secret"), expect=GOOD)
        start_tls(client)
        client.hello()
        client.say("MAIL FROM:<anna@example.org>", expect=250)
        client.say("RCPT TO:<x@elsewhere.example>", expect=554)
        client.say("RSET", expect=250)
        client.say("AUTH PLAIN " + plain("anna", "secret"), expect=GOOD)


def test_external(posthorn, auth, certificates):
    """A client certificate instead of a password: hidden by default, and only for a certificate that is trusted."""
    configure(posthorn, certificates, smtpd_sasl_type="dovecot", smtpd_sasl_path="private/auth",
              smtpd_tls_ask_ccert="yes", smtpd_tls_CAfile="$config_directory/ca.pem", smtpd_sasl_mechanism_filter="static:all")
    posthorn.start()
    auth(posthorn, mechanisms="plain external", passwords_for="plain",
         more="auth_ssl_username_from_cert = yes\n" + dovecot_settings.passdb_anybody("external"))
    with posthorn.smtp() as client:
        client.hello()
        start_tls(client, certificates / "anna")
        assert "EXTERNAL" in client.hello()
        client.say("AUTH EXTERNAL =", expect=GOOD)
        client.say("MAIL FROM:<anna@example.org>", expect=250)
        client.say("RCPT TO:<x@elsewhere.example>", expect=250)
    posthorn.log.wait(r"sasl_method=EXTERNAL, sasl_username=anna$")
    with posthorn.smtp() as client:
        client.hello()
        start_tls(client)
        client.hello()
        client.say("AUTH EXTERNAL =", expect=FAILED)
        client.say("AUTH EXTERNAL " + b64("anna"), expect=FAILED)


# --- channel binding ---------------------------------------------------------------------------------------------------

def scram_plus(client, name, password, binding):
    """SCRAM-SHA-256-PLUS (RFC 5802, 7677). The reply to its last step."""
    gs2, first = "p=tls-unique,,", f"n={name},r=rOprNGfwEbeRWgbNEkqO"
    challenge = client.say("AUTH SCRAM-SHA-256-PLUS " + b64(gs2 + first))
    assert challenge.startswith("334 "), challenge
    server_first = base64.b64decode(challenge[4:]).decode()
    fields = dict(part.split("=", 1) for part in server_first.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    final = f"c={b64(gs2.encode() + binding)},r={fields['r']}"
    signature = hmac.digest(hashlib.sha256(client_key).digest(), f"{first},{server_first},{final}".encode(), "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature))
    reply = client.say(b64(f"{final},p={base64.b64encode(proof).decode()}"))
    return client.say("") if reply.startswith("334 ") else reply


def test_channel_binding(posthorn, certificates):
    """A login that is tied to this TLS connection cannot be passed on from another one."""
    if cyrus_unavailable():
        pytest.skip(cyrus_unavailable())
    database = sasldb(posthorn.directory / "sasldb", USERS, "postfix")
    posthorn.file("sasl/smtpd.conf", f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {database}\n"
                                     "mech_list: PLAIN SCRAM-SHA-256\n")
    configure(posthorn, certificates)
    posthorn.start()
    for forged in (False, True):
        with posthorn.smtp() as client:
            client.hello()
            start_tls(client, version=ssl.TLSVersion.TLSv1_2)
            assert "SCRAM-SHA-256-PLUS" in client.hello()
            binding = client.socket.get_channel_binding("tls-unique")
            if forged:
                binding = bytes(len(binding))
            reply = scram_plus(client, "anna", "secret", binding)
            assert (reply == GOOD) != forged, reply
    with posthorn.smtp() as client:  # TLS 1.3 has another binding; it is offered there too
        client.hello()
        start_tls(client)
        assert "SCRAM-SHA-256-PLUS" in client.hello()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"])
@pytest.mark.parametrize("version, binding", [("1.3", "tls-exporter"), ("1.2", "tls-unique")])
def test_channel_binding_of_gsasl(posthorn, certificates, version, binding, mechanism):
    """A client that others wrote, with GnuTLS, binds its login to TLS 1.3 (RFC 9266) and to TLS 1.2."""
    for reason in (cyrus_unavailable(), None if shutil.which("gsasl") else "gsasl is not installed"):
        if reason:
            pytest.skip(reason)
    database = sasldb(posthorn.directory / "sasldb", USERS, "postfix")
    posthorn.file("sasl/smtpd.conf", f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {database}\n"
                                     "mech_list: SCRAM-SHA-1 SCRAM-SHA-256\n")
    configure(posthorn, certificates, smtpd_tls_loglevel="1")
    posthorn.start()
    for password, good in (("secret", True), ("wrong", False)):
        done = subprocess.run(["gsasl", "--smtp", "--starttls", f"--connect=127.0.0.1:{posthorn.port}", "-m", mechanism, "-a", "anna", "-p",
                               password, "--verbose", f"--priority=NORMAL:-VERS-ALL:+VERS-TLS{version}",
                               "--x509-ca-file=", "--hostname=mail.example.test"],  # "": any certificate
                              input="", capture_output=True, text=True, timeout=30)
        assert ("authentication successful" in done.stdout.lower()) == good, done
        first = re.search(rf"^AUTH {mechanism}\n334 .*\n(\S+)$|^AUTH {mechanism} (\S+)$", done.stdout, re.M)
        assert base64.b64decode(first.group(1) or first.group(2)).startswith(f"p={binding},,".encode()), done
    posthorn.log.wait(f"TLS connection established from .*: TLSv{version} ")


# --- tokens -----------------------------------------------------------------------------------------------------------------

def token(key, **claims):
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    text = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + b"." + part(json.dumps(claims).encode())
    return (text + b"." + part(hmac.digest(key, text, "sha256"))).decode()


def test_tokens(posthorn, auth, certificates):
    """OAUTHBEARER (RFC 7628) and XOAUTH2, with JSON Web Tokens that Dovecot checks by itself."""
    configure(posthorn, certificates, smtpd_sasl_type="dovecot", smtpd_sasl_path="private/auth")
    key = b"0123456789abcdef0123456789abcdef"
    keys = posthorn.directory / "keys" / "default" / "HS256"
    keys.mkdir(parents=True)
    (keys / "default").write_text(base64.b64encode(key).decode())
    posthorn.start()
    auth(posthorn, mechanisms="oauthbearer xoauth2", passwords_for="plain",
         more=dovecot_settings.passdb_tokens(posthorn.directory / "keys", posthorn.directory / "oauth2.conf"))
    now = int(time.time())
    good = token(key, sub="anna", iat=now - 60, exp=now + 600)
    with posthorn.smtp() as client:
        client.hello()
        start_tls(client)
        assert "250-AUTH OAUTHBEARER XOAUTH2" in client.hello()
        for bad in (token(b"x" * 32, sub="anna", exp=now + 600), token(key, sub="anna", exp=now - 600), "x.y.z"):
            for text, name in ((f"n,a=anna,\1auth=Bearer {bad}\1\1", "OAUTHBEARER"), (f"user=anna\1auth=Bearer {bad}\1\1", "XOAUTH2")):
                reply = client.say(f"AUTH {name} {b64(text)}")
                if reply.startswith("334 "):  # what is wrong, in JSON; the client answers with an empty response
                    assert json.loads(base64.b64decode(reply[4:]))["status"]
                    reply = client.say(b64("\1") if name == "OAUTHBEARER" else "")
                assert FAILED.fullmatch(reply), reply
        client.say("AUTH XOAUTH2 " + b64(f"user=anna\1auth=Bearer {good}\1\1"), expect=GOOD)
    with posthorn.smtp() as client:
        client.hello()
        start_tls(client)
        client.hello()
        client.say("AUTH OAUTHBEARER", expect="334 ")
        client.say(b64(f"n,a=anna,\1auth=Bearer {good}\1\1"), expect=GOOD)
    posthorn.log.wait(r"SASL OAUTHBEARER authentication failed: .*, sasl_username=anna$")
    assert good not in posthorn.log.text()
