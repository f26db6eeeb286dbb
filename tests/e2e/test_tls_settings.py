# SPDX-License-Identifier: ISC
"""Every TLS parameter that changes a handshake, seen by openssl s_client: both servers offer and log the same."""
import concurrent.futures
import pathlib
import re
import shutil
import tempfile
import time

import pytest

from lib.certs import TestCa, openssl
from lib.mta import IS_ROOT, Postfix, Posthorn
from lib.tls_client import s_client
from lib.waiting import accepts_connections, free_port, wait_for
from test_tls_dialogue import plain

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="needs Debian's Postfix")

TLS12, TLS13 = ["-tls1_2"], ["-tls1_3"]
ASK = {"smtpd_tls_ask_ccert": "yes", "smtpd_tls_loglevel": "1, peercert, untrusted"}
CLIENT = ["-cert", "{client}", "-key", "{client_key}", "-cert_chain", "{client}"]
OTHER = ["-cert", "{other}", "-key", "{other_key}"]

# name: (overrides of the service, what s_client is told, one session each)
CASES = {
    "default": ({}, [TLS12, TLS13, [*TLS12, "-cipher", "DHE"], [*TLS12, "-cipher", "aRSA"], [*TLS12, "-cipher", "aECDSA"]]),
    "cert and key in one file": ({"smtpd_tls_cert_file": "{one_file}", "smtpd_tls_key_file": "$smtpd_tls_cert_file", "smtpd_tls_eccert_file": ""}, [TLS12]),
    "chain files": ({"smtpd_tls_chain_files": "{rsa_key}, {rsa}, {ecdsa_key}, {ecdsa}"}, [[*TLS12, "-cipher", "aRSA"], [*TLS12, "-cipher", "aECDSA"]]),
    "chain files, other order": ({"smtpd_tls_chain_files": "{ecdsa_key}, {ecdsa}, {rsa_key}, {rsa}"}, [TLS12, TLS13, [*TLS12, "-cipher", "aRSA"]]),
    "ed25519 too": ({"smtpd_tls_chain_files": "{ed25519_key} {ed25519} {rsa_key} {rsa}"}, [TLS13, [*TLS12, "-cipher", "aRSA"], [*TLS13, "-sigalgs", "ed25519"]]),
    "dh file": ({"smtpd_tls_dh1024_param_file": "{dh}"}, [[*TLS12, "-cipher", "DHE"], TLS12]),
    "dh file of groups": ({"smtpd_tls_dh1024_param_file": "{ffdhe}"}, [[*TLS12, "-cipher", "DHE"]]),
    "dh auto": ({"smtpd_tls_dh1024_param_file": "auto"}, [[*TLS12, "-cipher", "DHE"]]),
    "dh file missing": ({"smtpd_tls_dh1024_param_file": "/nowhere/dh.pem"}, [[*TLS12, "-cipher", "DHE"]]),
    "eecdh strong": ({"smtpd_tls_eecdh_grade": "strong"}, [TLS12]),
    "eecdh ultra": ({"smtpd_tls_eecdh_grade": "ultra"}, [TLS12]),
    "eecdh curves": ({"tls_eecdh_auto_curves": "secp521r1 nonsense X448"}, [TLS12, TLS13, [*TLS13, "-curves", "X448"], [*TLS13, "-curves", "X25519"]]),
    "high": ({"smtpd_tls_ciphers": "high", "tls_high_cipherlist": "AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES256-GCM-SHA384"},
             [TLS12, [*TLS12, "-cipher", "DHE"], [*TLS12, "-cipher", "AES128"]]),
    "medium": ({"smtpd_tls_ciphers": "medium", "tls_medium_cipherlist": "ECDHE+AES128:@STRENGTH"}, [TLS12, [*TLS12, "-cipher", "AES256"]]),
    "mandatory": ({"smtpd_tls_security_level": "encrypt", "smtpd_tls_mandatory_ciphers": "high", "smtpd_tls_ciphers": "medium",
                   "tls_high_cipherlist": "ECDHE+CHACHA20", "tls_medium_cipherlist": "ECDHE+AES128"}, [TLS12, [*TLS12, "-cipher", "AES128"]]),
    "excluded": ({"smtpd_tls_exclude_ciphers": "AES128, CHACHA20 DHE aECDSA"}, [TLS12, [*TLS12, "-cipher", "DHE"], [*TLS12, "-cipher", "AES128"]]),
    "mandatory exclusion": ({"smtpd_tls_security_level": "encrypt", "smtpd_tls_mandatory_exclude_ciphers": "AES256"}, [TLS12]),
    "our order": ({"tls_preempt_cipherlist": "yes"}, [[*TLS12, "-cipher", "ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-GCM-SHA384"]]),
    "their order": ({"tls_preempt_cipherlist": "no"}, [[*TLS12, "-cipher", "ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-GCM-SHA384"]]),
    "protocols, lower": ({"smtpd_tls_protocols": "<=TLSv1.2, >=TLSv1.2"}, [TLS12, TLS13, []]),
    "protocols, listed": ({"smtpd_tls_protocols": "TLSv1.3"}, [TLS12, TLS13]),
    "protocols, excluded": ({"smtpd_tls_protocols": "!SSLv2, !SSLv3, !TLSv1, !TLSv1.1, !TLSv1.3"}, [TLS12, TLS13]),
    "old protocols": ({"smtpd_tls_protocols": ">=TLSv1", "tls_medium_cipherlist": "ALL:@SECLEVEL=0"}, [["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
                                                                                                     ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]]),
    "mandatory protocols": ({"smtpd_tls_security_level": "encrypt", "smtpd_tls_mandatory_protocols": ">=TLSv1.3", "smtpd_tls_protocols": ""}, [TLS12, TLS13]),
    "no ticket": ({"tls_ssl_options": "NO_TICKET"}, [TLS12]),
    "option by number": ({"tls_ssl_options": "0x4000"}, [TLS12]),
    "options by name": ({"tls_ssl_options": "no_compression, NO_RENEGOTIATION PRIORITIZE_CHACHA", "tls_preempt_cipherlist": "yes"},
                        [[*TLS12, "-cipher", "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES256-GCM-SHA384"]]),
    "workarounds": ({"tls_disable_workarounds": "CVE-2010-4180, DONT_INSERT_EMPTY_FRAGMENTS 0xFFFF"}, [TLS12]),
    "no session ids": ({"smtpd_tls_always_issue_session_ids": "no", "tls_ssl_options": "NO_TICKET"}, [TLS12]),
    "session ids": ({"smtpd_tls_always_issue_session_ids": "yes", "tls_ssl_options": "NO_TICKET"}, [TLS12]),
    "no ticket cipher": ({"tls_session_ticket_cipher": ""}, [TLS12]),
    "asked": (ASK, [CLIENT, OTHER, [], [*TLS12, *CLIENT]]),
    "depth": ({**ASK, "smtpd_tls_ccert_verifydepth": "0"}, [CLIENT, OTHER]),
    "no authorities": ({**ASK, "smtpd_tls_CAfile": ""}, [CLIENT, OTHER]),
    "directory of authorities": ({**ASK, "smtpd_tls_CAfile": "", "smtpd_tls_CApath": "{capath}"}, [CLIENT, OTHER]),
    "file and directory": ({**ASK, "smtpd_tls_CApath": "{capath}"}, [CLIENT, OTHER]),
    "default authorities": ({**ASK, "tls_append_default_CA": "yes"}, [CLIENT, OTHER]),
    "required": ({**ASK, "smtpd_tls_req_ccert": "yes", "smtpd_tls_security_level": "encrypt"}, [CLIENT, OTHER, []]),
    "required, but may": ({**ASK, "smtpd_tls_req_ccert": "yes", "smtpd_tls_ask_ccert": "no"}, [CLIENT]),
    "distrusts servers": (ASK, [["-cert", "{ecdsa}", "-key", "{ecdsa_key}", "-cert_chain", "{ecdsa}"]]),
    "sha1": ({**ASK, "smtpd_tls_fingerprint_digest": "sha1"}, [CLIENT]),
    "sha512": ({**ASK, "smtpd_tls_fingerprint_digest": "sha512"}, [CLIENT]),
    "md5": ({**ASK, "smtpd_tls_fingerprint_digest": "md5"}, [CLIENT]),
    "loglevel 0": ({"smtpd_tls_loglevel": "0"}, [TLS12]),
    "loglevel summary": ({"smtpd_tls_loglevel": "summary"}, [TLS13]),
    "config file": ({"tls_config_file": "{openssl_cnf}"}, [TLS13]),
    "config name": ({"tls_config_file": "{openssl_cnf}", "tls_config_name": "mail"}, [TLS13]),
    "config none": ({"tls_config_file": "none"}, [TLS13]),
    "config relative": ({"tls_config_file": "openssl.cnf"}, [TLS13]),
    "config missing": ({"tls_config_file": "/nowhere/openssl.cnf"}, [TLS13]),
    "bad digest": ({"smtpd_tls_fingerprint_digest": "sha99"}, [TLS13]),
    "bad protocols": ({"smtpd_tls_protocols": "TLSv7"}, [TLS13]),
    "bad authorities": ({**ASK, "smtpd_tls_CAfile": "/nowhere/ca.pem"}, [TLS13]),
}
FACTS = [r"New, (\S+), Cipher is (\S+)", r"Server Temp Key: (.*)", r"Peer signature type: (.*)", r"Peer signing digest: (.*)", r"^subject=(.*)",
         r"Acceptable client certificate CA names\n(.*?)\n(?:Client|Requested|Shared|Peer)", r"No client certificate (CA names) sent",
         r"Session-ID: *()[0-9A-F]", r"session ticket lifetime hint: (\d+)", r"Secure Renegotiation IS *(.*)", r"Compression: (.*)", r"(Early data was .*)",
         r"Verification(.*)", r"(454 4.7.0|421 4|221 2.0.0 Bye)", r"(No ALPN negotiated|ALPN protocol.*)"]


class Server:
    def __init__(self, kind, files):
        mta = self.mta = kind()
        mta.log.expect("")
        mta.main.update({
            "smtpd_tls_cert_file": files["rsa"], "smtpd_tls_key_file": files["rsa_key"], "smtpd_tls_eccert_file": files["ecdsa"],
            "smtpd_tls_eckey_file": files["ecdsa_key"], "smtpd_tls_CAfile": files["ca"], "smtpd_tls_security_level": "may",
            "smtpd_tls_loglevel": "1", "smtpd_relay_restrictions": "reject", "smtpd_client_connection_count_limit": "0",
            "smtpd_tls_protocols": ">=TLSv1.2", "smtpd_tls_mandatory_protocols": ">=TLSv1.2", "tls_preempt_cipherlist": "no",
        })
        mta.add_environment({"SSL_CERT_FILE": str(files["other_ca"])})
        self.ports = {name: free_port() for name in [*CASES, "trusts servers", "rotating", "kept"]}
        overrides = {name: case[0] for name, case in CASES.items()} | {"trusts servers": {**ASK, "tls_trust_server_ccerts": "yes"},
                                                                         "rotating": {"smtpd_tls_session_cache_timeout": "2s"}, "kept": {}}
        mta.master_cf = "".join(
            f"127.0.0.1:{self.ports[name]} inet n - n - - smtpd\n"
            + "".join(f"  -o {{ {parameter} = {value.format(**files)} }}\n" for parameter, value in overrides[name].items())
            for name in self.ports) + mta.master_cf
        self.files = files

    def start(self):
        self.mta.start()
        for port in self.ports.values():
            wait_for(lambda port=port: accepts_connections("127.0.0.1", port), f"port {port}", 20)

    def see(self, name, options):
        """What s_client says, and what the log says of it."""
        log = self.mta.log
        before, ended = len(log.lines()), len(log.lines(r"smtpd\[\d+\]: disconnect from"))
        options = [str(self.files.get(word[1:-1], word)) if word[:1] == "{" else word for word in options]
        out = s_client(self.ports[name], "-starttls", "smtp", "-servername", "mail.example.test", "-ign_eof", *options)
        log.wait(r"smtpd\[\d+\]: disconnect from", count=ended + 1, seconds=20)
        found = {pattern: match.groups() for pattern in FACTS if (match := re.search(pattern, out, re.M | re.S if "CA names" in pattern else re.M))}
        lines = [plain(line) for line in log.lines()[before:] if " postfix/smtpd[" in line]
        lines = [line.replace(": client certificate verif", ": certificate verif") for line in lines if line]  # since 3.9
        return found, [line for line in lines if re.search(r"established|subject_CN|verification failed|re-using", line)]


@pytest.fixture(scope="module")
def files():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="posthorn-tls-"))  # where Postfix's users can look up authorities
    directory.chmod(0o755)
    ca, other = TestCa(directory / "ca"), TestCa(directory / "other", "Other")
    pairs = {kind: ca.server("mail.example.test", kind) for kind in ("rsa", "ecdsa", "ed25519")}
    pairs["client"], pairs["other"] = ca.client("anna"), other.client("carl")
    made = {name: pair.cert for name, pair in pairs.items()} | {f"{name}_key": pair.key for name, pair in pairs.items()}
    made |= {"ca": ca.root.cert, "other_ca": directory / "other.pem", "one_file": directory / "one.pem", "dh": directory / "dh.pem",
             "ffdhe": directory / "ffdhe.pem", "capath": directory / "capath", "openssl_cnf": directory / "openssl.cnf"}
    made["other_ca"].write_text(other.root.cert.read_text() + other.intermediate.cert.read_text())
    made["one_file"].write_text(pairs["rsa"].key.read_text() + pairs["rsa"].cert.read_text())
    openssl("dhparam", "-dsaparam", "-out", made["dh"], 1024)
    openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe4096", "-out", made["ffdhe"])
    made["capath"].mkdir()
    for name, authority in (("root", other.root.cert), ("next", other.intermediate.cert), ("unhashed", ca.root.cert)):
        shutil.copy(authority, made["capath"] / f"{name}.pem")
        if name != "unhashed":
            hashed = openssl("x509", "-in", authority, "-noout", "-hash").strip()
            (made["capath"] / f"{hashed}.0").symlink_to(f"{name}.pem")
    made["openssl_cnf"].write_text("openssl_conf = all\nmail = mail_all\n[all]\nssl_conf = all_ssl\n[all_ssl]\nsystem_default = all_tls\n"
                                   "[all_tls]\nCiphersuites = TLS_CHACHA20_POLY1305_SHA256\n[mail_all]\nssl_conf = mail_ssl\n[mail_ssl]\n"
                                   "system_default = mail_tls\n[mail_tls]\nCiphersuites = TLS_AES_128_GCM_SHA256\n")
    yield made
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def both(files):
    for kind in (Posthorn, Postfix):
        if kind.unavailable():
            pytest.skip(kind.unavailable())
    servers = [Server(kind, files) for kind in (Posthorn, Postfix)]
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.mta.finish()


@pytest.mark.parametrize("name", CASES)
def test_both_offer_the_same(both, name):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for options in CASES[name][1]:
            ours, theirs = pool.map(lambda server, options=options: server.see(name, options), both)
            differs = {key: (ours[0].get(key), theirs[0].get(key)) for key in FACTS if ours[0].get(key) != theirs[0].get(key)}
            assert ours[0] and not differs, options
            assert "\n".join(ours[1]) == "\n".join(theirs[1]), options


def test_a_certificate_of_a_server_can_be_trusted(both):
    """tls_trust_server_ccerts: newer than Debian's Postfix."""
    _, lines = both[0].see("trusts servers", CASES["distrusts servers"][1][0])
    assert re.search(r"Trusted TLS connection established from localhost", lines[-1])


# --- sessions over time -----------------------------------------------------------------------------------

def session(server, name, file, *options):
    """Makes a session and keeps it in a file, or comes back with the one in the file; True: it was resumed."""
    known = file.exists()
    out = s_client(server.ports[name], "-starttls", "smtp", "-ign_eof", "-sess_in" if known else "-sess_out", file, *options)
    assert "221 2.0.0 Bye" in out, out
    return "Reused, TLSv1" in out


@pytest.mark.parametrize("options", [TLS12, TLS13], ids=["1.2", "1.3"])
def test_tickets_open_for_as_long_as_their_keys_live(both, tmp_path, options):
    """Sealed for one lifetime of a key (2 s), opened for another one; then a full handshake. Not for other services."""
    ours = both[0]
    kept, aging = tmp_path / "kept", tmp_path / "aging"
    assert not session(ours, "kept", kept, *options)
    assert session(ours, "kept", kept, *options)
    assert not session(ours, "rotating", kept, *options)
    assert not session(ours, "rotating", aging, *options)
    begun = time.monotonic()
    while session(ours, "rotating", aging, *options):
        assert time.monotonic() - begun < 20
        time.sleep(0.3)
    assert time.monotonic() - begun > 1.5
    assert session(ours, "kept", kept, *options)  # of another process, with keys of its own


def test_tickets_end_with_the_process_that_made_them(both, tmp_path):
    """A reload starts a new one: clients make one full handshake, and nothing fails."""
    ours, kept, new = both[0], tmp_path / "kept", tmp_path / "new"
    assert not session(ours, "kept", kept)
    assert session(ours, "kept", kept)
    before = set(ours.mta.pids("smtpd"))
    assert ours.mta._postfix("reload") == 0
    wait_for(lambda: before.isdisjoint(ours.mta.pids("smtpd")), "new processes", 20)
    assert not session(ours, "kept", kept)
    assert not session(ours, "kept", new)
    assert session(ours, "kept", new)
