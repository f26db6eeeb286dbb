# SPDX-License-Identifier: ISC
"""The programs people type: their words and their exit codes, on both servers."""
import json
import re
import threading
import time

import pytest

from lib import setups
from lib.mta import IS_ROOT
from lib.waiting import wait_for


@pytest.fixture
def queue(mta, sink):
    """A server with two deferred messages: (server, [older id, newer id], sink)."""
    setups.virtual_domain(mta, f"lmtp:{sink.next_hop}")
    sink.on_rcpt = lambda address: "452 4.2.2 Mailbox full"
    mta.start()
    ids = []
    for sender, recipients in (("carl@example.org", ["anna@example.test"]),
                               ("", ["anna@example.test", "ben@example.test"])):
        ids.append(mta.send(sender, recipients, "Subject: waiting\n\nBody.\n"))
        mta.log.wait(rf"{ids[-1]}: to=<{recipients[-1]}>.*status=deferred")
    wait_for(lambda: "*" not in mta.mailq(), "both messages to be back in deferred")
    return mta, ids, sink


REASON = r"\(host 127\.0\.0\.1\[127\.0\.0\.1\] said: 452 4\.2\.2 Mailbox full \(in reply to RCPT TO command\)\)"


def test_empty_queue(mta):
    setups.virtual_domain(mta, "lmtp:inet:127.0.0.1:9")
    mta.start()
    for program, arguments in (("mailq", []), ("postqueue", ["-p"])):
        result = mta.command(program, *arguments)
        assert (result.returncode, result.stdout, result.stderr) == (0, "Mail queue is empty\n", "")
    assert mta.command("postqueue", "-j").stdout == ""
    assert mta.command("postqueue", "-f").returncode == 0


def test_mailq_lists_the_messages(queue):
    mta, (first, second), _ = queue
    text = mta.command("mailq").stdout
    lines = text.splitlines()
    assert lines[0] == "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------"
    date = r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d"
    assert re.search(rf"^{first} +\d+ {date}  carl@example\.org\n{REASON}\n {{41}}anna@example\.test\n\n", text, re.M), text
    assert re.search(rf"^{second} +\d+ {date}  MAILER-DAEMON\n{REASON}\n {{41}}anna@example\.test\n"
                     rf"(?:{REASON}\n)? {{41}}ben@example\.test\n\n", text, re.M), text
    assert re.fullmatch(r"-- \d+ Kbytes in 2 Requests\.", lines[-1])


def test_postqueue_json(queue):
    mta, (first, second), _ = queue
    entries = {entry["queue_id"]: entry for entry in map(json.loads, mta.command("postqueue", "-j").stdout.splitlines())}
    assert set(entries) == {first, second}
    entry = entries[first]
    assert entry["queue_name"] == "deferred"
    assert abs(entry["arrival_time"] - time.time()) < 60
    assert entry["message_size"] > 0 and entry["forced_expire"] is False
    assert entry["sender"] == "carl@example.org" and entries[second]["sender"] == "MAILER-DAEMON"
    assert [r["address"] for r in entries[second]["recipients"]] == ["anna@example.test", "ben@example.test"]
    assert re.fullmatch(REASON[2:-2], entry["recipients"][0]["delay_reason"])


def test_flush_delivers_what_waits(queue):
    mta, _, sink = queue
    sink.on_rcpt = lambda address: "250 2.1.5 OK"
    result = mta.command("postqueue", "-f")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    mta.wait_empty()
    assert sorted(len(message.recipients) for message in sink.messages) in ([1, 2], [1, 1, 1])


def test_one_message_is_retried_by_its_id(queue):
    mta, (first, second), sink = queue
    sink.on_rcpt = lambda address: "250 2.1.5 OK"
    assert mta.command("postqueue", "-i", first).returncode == 0
    wait_for(lambda: first not in mta.mailq(), "delivery of the first message")
    assert second in mta.mailq()


def test_postsuper_deletes(queue):
    mta, (first, second), _ = queue
    result = mta.command("postsuper", "-d", first)
    assert result.returncode == 0
    assert result.stderr == f"postsuper: {first}: removed\npostsuper: Deleted: 1 message\n"
    assert first not in mta.mailq() and second in mta.mailq()
    result = mta.command("postsuper", "-d", "-", input=f"{second}\n")
    assert (result.returncode, result.stderr) == (0, f"postsuper: {second}: removed\npostsuper: Deleted: 1 message\n")
    assert mta.mailq() == "Mail queue is empty\n"


def test_postsuper_deletes_all(queue):
    mta, ids, _ = queue
    result = mta.command("postsuper", "-d", "ALL")
    assert result.returncode == 0
    assert result.stderr.endswith(f"postsuper: Deleted: {len(ids)} messages\n")
    assert mta.mailq() == "Mail queue is empty\n"


def test_postsuper_of_an_unknown_id_is_no_error(queue):
    mta, *_ = queue
    result = mta.command("postsuper", "-d", "0123456789A")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "postsuper: Deleted: 0 messages\n")


def test_root_changes_a_stopped_queue(posthorn, sink):
    """What postsuper writes as root must be the queue's own: this message is still in the journal."""
    setups.virtual_domain(posthorn, f"lmtp:{sink.next_hop}")
    answers = threading.Event()
    usual, sink.on_rcpt = sink.on_rcpt, lambda address: None if answers.wait(20) else None
    posthorn.start()
    queue_id = posthorn.send("carl@example.org", ["anna@example.test"], "Subject: waiting\n\nBody.\n")
    posthorn.log.wait(rf"{queue_id}: from=.*queue active")
    posthorn.crash()
    answers.set()
    sink.on_rcpt = usual
    wait_for(lambda: posthorn.command("postsuper", "-h", queue_id).stderr ==
             f"postsuper: {queue_id}: placed on hold\npostsuper: Placed on hold: 1 message\n", "the hold")
    held = posthorn.queue / "hold" / queue_id
    assert held.stat().st_uid == held.parent.stat().st_uid
    posthorn.start()
    wait_for(lambda: f"{queue_id}!" in posthorn.mailq(), "the held message")
    assert posthorn.command("postsuper", "-H", queue_id).returncode == 0
    assert posthorn.command("postqueue", "-f").returncode == 0
    posthorn.log.wait(rf"{queue_id}: to=<anna@example\.test>.*status=sent")


def test_hold_and_release(queue):
    mta, (first, second), sink = queue
    assert mta.command("postsuper", "-h", first).stderr == \
        f"postsuper: {first}: placed on hold\npostsuper: Placed on hold: 1 message\n"
    assert f"{first}!" in mta.mailq()
    sink.on_rcpt = lambda address: "250 2.1.5 OK"
    mta.command("postqueue", "-f")
    wait_for(lambda: second not in mta.mailq(), "delivery of the other message")
    assert f"{first}!" in mta.mailq()
    assert mta.command("postsuper", "-H", first).stderr == \
        f"postsuper: {first}: released from hold\npostsuper: Released from hold: 1 message\n"
    mta.command("postqueue", "-f")
    mta.wait_empty()


def test_postcat_shows_a_message(queue):
    mta, (first, _), _ = queue
    result = mta.command("postcat", "-q", first)
    assert result.returncode == 0
    assert re.match(rf"\*\*\* ENVELOPE RECORDS deferred/(\w/)?{first} \*\*\*\n", result.stdout), result.stdout
    for line in ("sender: carl@example.org", "*** MESSAGE CONTENTS deferred/", "Subject: waiting", "Body.",
                 "*** HEADER EXTRACTED deferred/", "recipient: anna@example.test", "*** MESSAGE FILE END deferred/"):
        assert line in result.stdout, (line, result.stdout)
    assert mta.command("postcat", "-bh", "-q", first).stdout.endswith("\n\nBody.\n")
    missing = mta.command("postcat", "-q", "0123456789A")
    assert missing.returncode == 1
    assert "open queue file 0123456789A: No such file or directory" in missing.stderr


@pytest.mark.parametrize("kind", ["texthash", "inline", "static", "hash"])
def test_postmap_queries(mta, kind):
    setups.virtual_domain(mta, "lmtp:inet:127.0.0.1:9")
    mta.write_configuration()
    # Debian's Postfix has hash as Berkeley DB, here it is LMDB: postmap makes either.
    path = mta.file("table", "anna@example.test  first answer\n# comment\nben@example.test second\n   continued\n")
    name = {"inline": "inline:{anna@example.test=first answer, {ben@example.test = second   continued}}",
            "static": "static:always"}.get(kind, f"{kind}:{path}")
    if kind == "inline":
        name = "inline:{{anna@example.test=first answer},{ben@example.test = second   continued}}"
    if kind == "hash":
        assert mta.command("postmap", name).returncode == 0
    if kind == "static":
        assert mta.command("postmap", "-q", "whatever", name).stdout == "always\n"
        return
    found = mta.command("postmap", "-q", "anna@example.test", name)
    assert (found.returncode, found.stdout) == (0, "first answer\n"), found.stderr
    found = mta.command("postmap", "-q", "ben@example.test", name)
    assert (found.returncode, found.stdout) == (0, "second   continued\n")
    missing = mta.command("postmap", "-q", "carl@example.test", name)
    assert (missing.returncode, missing.stdout, missing.stderr) == (1, "", "")
    many = mta.command("postmap", "-q", "-", name, input="anna@example.test\ncarl@example.test\nben@example.test\n")
    assert (many.returncode, many.stdout) == (0, "anna@example.test\tfirst answer\nben@example.test\tsecond   continued\n")


def test_postmap_of_a_missing_source_fails(mta):
    mta.write_configuration()
    result = mta.command("postmap", f"hash:{mta.config}/nothing")
    assert result.returncode == 1
    assert f"open {mta.config}/nothing: No such file or directory" in result.stderr
    result = mta.command("postmap", "-q", "key", f"nosuch:{mta.config}/nothing")
    assert result.returncode == 1
    assert "unsupported dictionary type: nosuch" in result.stderr


def test_postmap_folds_case_of_keys(mta):
    mta.write_configuration()
    path = mta.file("table", "Anna@Example.Test found\n")
    assert mta.command("postmap", "-q", "ANNA@example.test", f"texthash:{path}").stdout == "found\n"


@pytest.mark.parametrize("program, arguments", [
    ("postqueue", ["-x"]), ("postsuper", ["-x"]), ("postcat", ["-x"]), ("postmap", ["-?"])])
def test_an_unknown_option_is_refused(mta, program, arguments):
    mta.write_configuration()
    result = mta.command(program, *arguments)
    assert result.returncode != 0
    assert result.stderr


def test_mailq_refuses_an_unknown_option(posthorn):
    """Postfix's mailq is its sendmail, which is not among what is compared here."""
    posthorn.write_configuration()
    result = posthorn.command("mailq", "-q", "-Y")
    assert result.returncode != 0 and result.stderr


def test_commands_without_a_running_server(mta):
    mta.start()
    mta.stop()
    result = mta.command("postqueue", "-p")
    if IS_ROOT:
        assert result.returncode == 0, result.stderr
        assert "warning: Mail system is down -- accessing queue directly" in result.stderr
    else:
        assert result.returncode == 69, result.stderr
        assert "Queue report unavailable - mail system is down" in result.stderr
    result = mta.command("postqueue", "-f")
    assert result.returncode == 69, result.stderr
    assert "Cannot flush mail queue - mail system is down" in result.stderr
