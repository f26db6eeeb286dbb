# SPDX-License-Identifier: ISC
"""SmtpClient that can start TLS, and the small pieces of OpenSSL that tests need around it."""
import ssl
import subprocess

from .smtp import SmtpClient


def context(ca=None, client=None, newest=None, oldest=None, ciphers=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED if ca else ssl.CERT_NONE
    if ca:
        made.load_verify_locations(ca)
    if client:
        made.load_cert_chain(client.cert, client.key)
    if newest:
        made.maximum_version = newest
    if oldest:
        made.minimum_version = oldest
    if ciphers:
        made.set_ciphers(ciphers)
    return made


class TlsClient(SmtpClient):
    def __init__(self, port, wrapped=None, expect=220, **options):
        if wrapped is None:
            super().__init__(port, expect=expect, **options)
        else:
            super().__init__(port, expect=None, **options)
            self.secure(wrapped)
            self.banner = self.reply(expect)

    def secure(self, with_context, name=None, session=None):
        self.stream.close()
        self.socket = with_context.wrap_socket(self.socket, server_hostname=name or "mail.example.test", session=session)
        self.stream = self.socket.makefile("rb")

    def starttls(self, with_context=None, name=None, session=None):
        self.say("STARTTLS", expect="220 2.0.0 Ready to start TLS")
        self.secure(with_context or context(), name, session)
        return self

    def subject(self):
        return dict(part[0] for part in self.socket.getpeercert()["subject"])["commonName"]


def s_client(port, *arguments, input="QUIT\r\n", timeout=20):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *map(str, arguments)], input=input.encode(),
                          capture_output=True, timeout=timeout, check=False)
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
