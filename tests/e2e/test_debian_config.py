# SPDX-License-Identifier: ISC
"""Configurations as Debian ships them start unchanged."""
import re

import pytest

from lib.mta import Postfix

# What Debian's postinst appends to its template with "postconf -e" on an "Internet Site".
POSTINST = """\
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = mail.example.test
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
mydestination = $myhostname, example.test, mail.example.test, localhost.example.test, localhost
relayhost =
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = loopback-only
inet_protocols = all
"""


def _shipped(name):
    path = Postfix.directory_of_reference / "usr/share/postfix" / name
    if not path.exists():
        pytest.skip("Debian's Postfix is not unpacked")
    return path.read_text()


def _places(posthorn):
    """Where this test must differ: directories, users, log, and nothing else."""
    names = ("queue_directory", "data_directory", "mail_owner", "setgid_group", "maillog_file", "maillog_file_prefixes")
    return "".join(f"{name} = {posthorn.main[name]}\n" for name in names)


def _on_our_port(posthorn, master_cf):
    changed = re.sub(r"(?m)^smtp      inet", f"127.0.0.1:{posthorn.port} inet", master_cf)
    assert changed != master_cf
    return changed + "postlog unix-dgram n - n - 1 postlogd\n" * ("postlog" not in master_cf)


def test_stock_main_cf_and_master_cf(posthorn):
    posthorn.main_cf = _shipped("main.cf.debian") + _shipped("main.cf.tls") + POSTINST + _places(posthorn)
    posthorn.master_cf = _on_our_port(posthorn, _shipped("master.cf.dist"))
    # Debian's certificate is made by another package; a missing one must not stop port 25.
    posthorn.log.expect(r"ssl-cert-snakeoil", r"No server certs available", r"smtpd_tls_", r"smtp_tls_", r"/etc/aliases", r"is not supported",
                        r"has no effect", r"overriding earlier entry")
    posthorn.start()
    with posthorn.smtp(expect=re.compile(r"220 mail\.example\.test ESMTP Post(fix|horn) \(Debian(/GNU)?\)")) as client:
        client.hello()
        client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        client.say("QUIT", expect="221 2.0.0 Bye")
    assert posthorn.command("postfix", "-c", posthorn.config, "status").returncode == 0
    assert posthorn.command("postfix", "-c", posthorn.config, "check").returncode == 0


def test_long_commented_main_cf_is_read(posthorn):
    """main.cf.dist: 700 lines of comments and continuation lines."""
    text = _shipped("main.cf.dist")
    text = re.sub(r"(?m)^(queue_directory|data_directory|command_directory|daemon_directory|mail_owner|setgid_group|"
                  r"sendmail_path|newaliases_path|mailq_path|html_directory|manpage_directory|sample_directory|"
                  r"readme_directory|debug_peer_level|debugger_command)\s*=.*\n(?:[ \t]+.*\n)*", "", text)
    posthorn.file("mailname", "mail.example.test\n")  # an installed Debian has one in /etc
    posthorn.main_cf = text.replace("/etc/mailname", f"{posthorn.config}/mailname") + _places(posthorn)
    posthorn.log.expect(r"is not supported", r"has no effect", r"/etc/aliases", r"myhostname")
    posthorn.start()
    with posthorn.smtp() as client:
        client.hello()
        client.say("QUIT", expect="221 2.0.0 Bye")


def test_a_misspelt_parameter_is_named_with_its_line(posthorn):
    posthorn.main_cf = "# a comment\ncompatibility_level = 3.6\n" + _places(posthorn) + \
        "mydestination =\nsmtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\nsmtpd_bannner = x\n"
    posthorn.log.expect(r"smtpd_bannner")
    posthorn.start()
    line = len(posthorn.main_cf.splitlines())
    told = posthorn.error_output.read_text() + posthorn.log.text()
    assert re.search(rf"main\.cf[:,]? ?(line )?{line}: unused parameter: smtpd_bannner=x", told), told
