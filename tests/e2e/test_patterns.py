# SPDX-License-Identifier: ISC
"""regexp:, pcre: and cidr: tables beside Postfix's: the same answers and the same warnings to awkward texts and keys.

Run: /usr/bin/python3 -m pytest tests/e2e/test_patterns.py
What differs on purpose stands at the end, with the reason.
"""
import os
import pathlib
import subprocess
import time

import pytest
from lib import setups
from lib.map_server import MapServer, netstring
from lib.mta import ROOT, Postfix
from lib.reference_release import as_followed

OURS = pathlib.Path(os.environ.get("POSTHORN_BUILD", ROOT / "build" / "normal")) / "inst" / "sbin" / "postmap"
REFERENCE = Postfix.directory_of_reference
HAS_REFERENCE = (REFERENCE / "usr/lib/postfix/postfix-pcre.so").exists()

# (text of the table, keys); each for regexp: and pcre:.
REGEX_TEXTS = [
    # results
    (r"/(a)(b)?/ x[$$][${1}][$(2)]$$1", ["ab", "a"]),
    (r"/a/ [$$1] $$", ["a"]),
    (r"/a/ [$] ", ["a"]),
    (r"/a/ [$]$", ["a"]),
    (r"/a/ [${] ", ["a"]),
    (r"/a/ [${}] ", ["a"]),
    (r"/a/ [${1}]", ["a"]),
    (r"/(a)/ [${0}]", ["a"]),
    (r"/(a)/ [${x}]", ["a"]),
    (r"/(a)/ [${1?y}] ${1:z}", ["a"]),
    (r"/(a)/ $1-$1.b $1_c", ["a"]),
    (r"/(a)/ $(1$(2)) ", ["a"]),
    (r"/(a)/ ${99999}", ["a"]),
    (r"/(a)/ ${1} $x ${2}", ["a"]),
    (r"/(a)/ a$", ["a"]),
    (r"/(a)/ ${01} $001", ["a"]),
    ("/a/    x    y   \t", ["a"]),
    (r"/((((((((((((a))))))))))))/ $12 $9", ["a"]),
    (r"/(a)|(b)/ [$1][$2]", ["a", "b"]),
    (r"/(.*)@(.*)/ ${2}@$1", ["user+x@Example.com"]),
    (r"/[[:alpha:]]+([0-9]{2,3})$/ n=${1}", ["abc123", "abc1"]),
    (r"/a/", ["a"]),
    # negation
    (r"!/(a)/ $1", ["a"]),
    (r"!/(a)/ $$1", ["a", "b"]),
    (r"!/a/ !/b/ y", ["xx"]),
    ("!", ["A"]),
    ("! !  /a/ x", ["A"]),
    ("!!/x/ y", ["x", "z"]),
    # flags
    ("/a/i x\n/A/ii y", ["A", "a"]),
    ("/a/q x", ["A"]),
    ("/a/m_\n/a/im y", ["a"]),
    ("/^.$/ one\n/^..$/ two", ["é"]),
    ("/^\\W$/ one\n/É/ two\n/^..$/ z", ["é"]),
    ("/ééé/ x\n/É/i y", ["ééé"]),
    ("/a/x\n/a/X y", ["a"]),
    # delimiters
    ("/a x", ["A"]),
    ("ifx /a/\nfoo bar\n|a|b c\n#a#b\n\"a\" c", ["a"]),
    ("/a\\/b/ c\n/\\a\\/ d", ["a/b"]),
    ("//x\n// empty", ["a"]),
    ("{a}b} x", ["a"]),
    (".a.b.x\n.q. x", ["q"]),
    (" ", ["x"]),
    ("", ["x"]),
    ("# foo\n\n", ["x"]),
    ("  /x/ y\n/a/\n   b\n# c\n   d", ["a", "x"]),
    ("\\a\\ x", ["a"]),
    ("/\\\\/ x", ["\\", "a"]),
    ("/^$/ empty", ["", "a"]),
    # if and endif
    ("if /a/ foo\n/b/ x\nendif bar\n/c/ y", ["abc", "c"]),
    ("IF /a/\n/b/ x\nIF !/c/\n/d/ d\nEndIF\n/e/ e\nendif\n/f/ f", ["ad", "acd", "ae", "e", "f", "ab"]),
    ("if /a/\n/b/ x\nIF !/c/\n/d/ d\n/e/ e\nendif\n/f/ f", ["zf", "af", "acf"]),
    ("endif\nif\nif/a/\n/./ z", ["zf", "a"]),
    ("if /a(/\n/./ z\nendif\n/f/ g", ["zf"]),
    ("if !!/a/\nif !/b/\n/c/ abc\nendif\nif /d/\n/e/ x\nendif\n/./ inner\nendif\n/./ outer", ["ab", "ac", "ade", "z"]),
    ("if /a/\n/(b)(c)?(d)/ $3$2$1\nendif", ["abd", "abcd"]),
    ("endif foo\nif /x/ /y/ foo\nendif", ["x"]),
    ("IF /x/i\nENDIF!\n/x/ y", ["x"]),
    ("if /z/\nendif\nendif\n/x/ y", ["x"]),
    # broken expressions
    ("/a(/ x\n/a/", ["A"]),
    (r"/a(/ $1x", ["a"]),
    ("/[/ y\n/a{2,1}/ z", ["a"]),
    (r"/\(a\)/x $1", ["a"]),
]

ONLY = {
    "regexp": [
        ("/a/! /b/ x", ["ac"]), ("/(a)/!/b/ x$1", ["ac", "ab"]), ("/a/i!!/b/i x", ["ab"]), ("/a/X x", ["A"]),
        (r"/a/ !/b(/ x", ["ab"]), (r"/a/ !", ["ab"]), (r"/a/!", ["ab"]), (r"/a/!/b(/ x", ["ab"]),
        (r"/(a)\1/ back $1", ["aa", "ab"]), (r"/\(a\)b/x bre $1", ["ab"]), ("/a+/x bre", ["a+", "aa"]),
        ("/^b$/m x\n/^b$/ y", ["a\nb"]), (r"/\bfoo\b/ gnu", ["a foo b", "afoo"]), ("/[z-a]/ y\n/*a/ n", ["a"]),
    ],
    "pcre": [
        ("/a/!/b/ x", ["ac"]), ("/a b/x ab\n/^b$/m multi\n/c.d/s s", ["ab"]), ("/^b$/m multi\n/^b$/ single", ["a\nb", "b"]),
        ("/a.b/s nodot\n/a.b/ dot", ["a\nb", "axb"]), ("/b/A anch\n/b/ y", ["ab", "ba"]), ("/b$/E e\n/b$/ y", ["ab\n", "ab"]),
        ("/(a+)/U <$1>", ["aaa"]), ("/(a+?)/U <$1>", ["aaa"]), ("/(?<n>a)/ $n", ["a"]), ("/(?<n>a)/ $1", ["a"]),
        (r"/(?=a)\Ka/ k$0", ["a"]), (r"/(?<=a)b(?!c)/ look", ["abd", "abc"]), (r"/\p{L}/ l", ["abd", "1"]),
        ("/(*UTF)^.$/ u", ["é"]), (r"/\y/ x", ["y"]), (r"/\y/X x", ["y"]), (r"/\Qa.b\E/ x", ["a.b", "axb"]), ("/a/X x", ["a"]),
    ],
    "cidr": [
        ("1.2.3.4 x", ["1.2.3.4", "1.2.3.5", "01.2.3.4", "1.2.3", "", "foo", "::1"]),
        ("1.2.3.4/24 x", ["1.2.3.4"]), ("1.2.3.0/24 x", ["1.2.3.4", "1.2.4.4"]), ("1.2.3.0/33 x", ["1.2.3.4"]),
        ("1.2.3.0/ x\n1.2.3.0/-1 x\n1.2.3.0/1a x\n1.2.3.0/0x1 x\n1.2.3.4/+32 x\n1.2.3.4/32/32 x", ["1.2.3.4"]),
        ("1.2.3.4/99999999999999999999 x\n1.2.3.4/032 x", ["1.2.3.4"]),
        ("[1.2.3.4] x", ["1.2.3.4", "[1.2.3.4]"]), ("[1.2.3.0]/24 x", ["1.2.3.4"]), ("[1.2.3.0/24] x", ["1.2.3.4"]),
        ("[1.2.3.0/24 x\n[1.2.3.4 x\n[1.2.3.4]x x\n[1.2.3.4]/ x\n[] x\n[/24 x\n1.2.3.4] x\n1.2.3.0/24] x", ["1.2.3.4"]),
        ("[1.2.3.0/24]/8 x\n[[1.2.3.4]] x\n]1.2.3.4[ x\nfoo/x x\nfoo/8 x\n/8 x\n/ x", ["1.2.3.4"]),
        ("[::1] x", ["::1", "0:0:0:0:0:0:0:1"]), ("0.0.0.0/0 x\n::/0 y", ["::1", "1.2.3.4", "::ffff:1.2.3.4", "[::1]"]),
        ("::ffff:1.2.3.0/120 x\n::/0 y", ["::ffff:1.2.3.4"]), ("1.2.3 x\n1.2.0.0/16 y", ["1.2.3.0"]),
        ("010.0.0.1 x", ["10.0.0.1", "8.0.0.1"]), ("8.0.0.1 x", ["010.0.0.1"]),
        ("!1.2.3.4 x\n!::1 y", ["1.2.3.5", "1.2.3.4", "::2", "::1"]), ("! 1.2.3.4 x", ["1.2.3.5"]),
        ("!!1.2.3.4 x\n! ! ::1 y", ["1.2.3.4", "1.2.3.5", "::1"]), ("!", ["1"]), ("!  \n/24 x", ["1.2.3.4"]),
        ("1.2.3.4\nfoo", ["1.2.3.4"]), ("1.2.3.4   a  b \n   c  ", ["1.2.3.4"]), (" 1.2.3.5 z", ["1.2.3.5"]),
        ("if 1.2.3.0/24\n1.2.3.4 a\n1.2.3.0/24 b\nendif\n0.0.0.0/0 c", ["1.2.3.4", "1.2.3.5", "1.2.4.4", "::1"]),
        ("if 1.2.3.0/24 x\n1.2.3.4 a\nendif y\n0.0.0.0/0 c", ["1.2.4.4", "1.2.3.4"]),
        ("if !1.2.3.0/24\n1.2.4.4 a\nendif\n0.0.0.0/0 c\n::/0 d", ["1.2.4.4", "1.2.3.4", "::1"]),
        ("if!1.2.3.4\n1.2.3.5 z\nendif", ["1.2.3.5"]), ("if! !1.2.3.4\n1.2.3.5 z\nendif", ["1.2.3.5"]),
        ("if   !   1.2.3.4\n1.2.3.5 z\nendif", ["1.2.3.5"]), ("IF 1.2.3.4\n1.2.3.5 z\nif 1.2.3.4", ["1.2.3.5"]),
        ("if [1.2.3.4]\n1.2.3.4 z\n endif\nendif", ["1.2.3.4"]), ("if 0.0.0.0/0\nif 1.0.0.0/8\n1.2.3.4 a\nENDIF\n2.3.4.5 b\nEndif ",
                                                                ["1.2.3.4", "2.3.4.5", "3.4.5.6"]),
        ("endif\nif\nif foo\n1.2.3.4 x\nifx y\nendif2", ["1.2.3.4"]),
        ("2001:db8::/32 x\n2001:DB8:0::1:0/111 z\n2001:db8::1/64 y", ["2001:DB8::1", "2001:db9::1"]),
        ("fe80::1%lo x", ["fe80::1"]), ("0.0.0.0/00 x", ["1.2.3.4"]), ("1.2.3.5 $1 $$ z", ["1.2.3.5"]),
        ("2001:db8::/33 a\n2001:db8:8000::/33 b\n128.0.0.0/1 c\n0.0.0.0/1 d", ["2001:db8:7fff::", "2001:db8:8000::1", "127.0.0.1", "200.1.1.1"]),
    ],
}

INLINE = {
    "regexp": [("{ {if /a/}, {/b/ x}, {endif}, {/c/ {y}} }", ["ab", "c"]), ("{{/c/ {y} z}}", ["c"]),
               ("{{/c/ x},,, {/d/ y}{/e/ z}}", ["c"]), ("{ {   /c/ a$$b }   {} {#x} {/c{2}/ y} }", ["cc"]), ("{}", ["c"]),
               ("{ }", ["c"]), ("{x}", ["c"]), ("{ {/a/ b}", ["c"]), ("{ {/a/ b} } z", ["c"]), ("{ {/a/ b}z }", ["c"]),
               ("{ /a/ b }", ["c"])],
    "cidr": [("{{1.2.3.0/24 x}, {::1 y}}", ["1.2.3.4", "::1"]), ("{{bad}, {1.2.3.4}}", ["1.2.3.4"]), ("{1.2.3.4 x}", ["1.2.3.4"])],
}
INLINE["pcre"] = INLINE["regexp"]


def cases():
    for kind in ("regexp", "pcre", "cidr"):
        for text, keys in ([] if kind == "cidr" else REGEX_TEXTS) + ONLY[kind]:
            yield kind, text, keys


@pytest.fixture(scope="session")
def settings(tmp_path_factory):
    """A configuration that both programs read."""
    directory = tmp_path_factory.mktemp("patterns")
    (directory / "main.cf").write_text(
        f"queue_directory = {directory}\ndata_directory = {directory}\nmeta_directory = {directory}\n"
        f"shlib_directory = {REFERENCE}/usr/lib/postfix\nsmtputf8_enable = yes\n")
    (directory / "dynamicmaps.cf").write_text(f"pcre\t{REFERENCE}/usr/lib/postfix/postfix-pcre.so\tdict_pcre_open\n")
    return directory


def ask(program, settings, spec, *keys, options=(), input=None):
    """What each key gives, and all that is said."""
    env = {**os.environ, "MAIL_CONFIG": str(settings)}
    if program != OURS:
        env["LD_LIBRARY_PATH"] = f"{REFERENCE}/usr/lib/postfix"
    said = []
    for key in keys or ["-"]:
        done = subprocess.run([program, *options, "-q", key, spec], capture_output=True, text=True, timeout=30, env=env,
                              cwd=settings, input=input)
        said.append((key, done.returncode, done.stdout, done.stderr))
    return said


def ask_both(settings, spec, *keys, **options):
    reference = REFERENCE / "usr/sbin/postmap"
    assert ask(OURS, settings, spec, *keys, **options) == ask(reference, settings, spec, *keys, **options)


@pytest.mark.skipif(not HAS_REFERENCE, reason="Debian's postfix-pcre is not unpacked (tools/postfix-reference.sh build/postfix-ref)")
class TestBesidePostfix:
    @pytest.mark.parametrize("number,case", enumerate(cases()))
    def test_files(self, settings, number, case):
        kind, text, keys = case
        (settings / f"table{number}").write_text(text + "\n")
        ask_both(settings, f"{kind}:table{number}", *keys)

    @pytest.mark.parametrize("kind", INLINE)
    def test_texts_in_the_name(self, settings, kind):
        for text, keys in INLINE[kind]:
            ask_both(settings, f"{kind}:{text}", *keys)

    @pytest.mark.parametrize("kind", ["regexp", "pcre", "cidr"])
    def test_no_file(self, settings, kind):
        ask_both(settings, f"{kind}:{settings}/none", "key")

    def test_randmap(self, settings):
        for text in ("{}", "x", "{ }", ""):
            ask_both(settings, f"randmap:{text}", "key")
        ask_both(settings, "randmap:{only}", "key")

    @pytest.mark.parametrize("options", [["-h"], ["-b"]])
    def test_a_message(self, settings, options):
        (settings / "checks").write_text("/^Subject:.*\\n.*more/ subject\n/^From: (.*)/ from $1\n/viagra/ body\n!/x/ none\n")
        message = "Received: x\nSubject: hello\n more\nFrom: me\n\nbuy viagra\nFrom: inside\nx\n\nend\n"
        ask_both(settings, "regexp:checks", options=options, input=message)

    def test_many_keys(self, settings):
        (settings / "networks").write_text("10.0.0.0/8 private\n!192.0.2.0/24 elsewhere\n")
        ask_both(settings, "cidr:networks", input="10.1.2.3\n192.0.2.1\n8.8.8.8\nname\n::1\n")

    def test_what_cannot_be_done(self, settings):
        (settings / "plain").write_text("/a/ b\n")
        reference = REFERENCE / "usr/sbin/postmap"
        for arguments in (["-s", "regexp:plain"], ["cidr:plain"], ["-s", "randmap:{a}"]):
            said = []
            for program in (OURS, reference):
                env = {**os.environ, "MAIL_CONFIG": str(settings), "LD_LIBRARY_PATH": f"{REFERENCE}/usr/lib/postfix"}
                done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30, env=env, cwd=settings)
                said.append((done.returncode, done.stdout, as_followed(done.stderr)))
            assert said[0] == said[1]


# --- what only Posthorn does, or does otherwise ---------------------------------------------------------

def ours(settings, spec, *keys, **options):
    return [(status, out) for _, status, out, _ in ask(OURS, settings, spec, *keys, **options)]


def test_a_costly_subject_fails_the_lookup(settings):
    """Postfix gives up on the rule after some seconds and goes on with the next: a sender could talk a REJECT away."""
    (settings / "costly").write_text("/^(a+)+$/ REJECT\n/^a/ OK\n")
    began = time.monotonic()
    [(key, status, out, said)] = ask(OURS, settings, "pcre:costly", "a" * 60 + "b")
    assert (status, out) == (1, "") and "line 1: match limit exceeded" in said and "query error" in said
    assert time.monotonic() - began < 5


def test_texthash_in_the_name(settings):
    assert ours(settings, "texthash:{ {Anna  one two}, {ben three} }", "anna", "ben", "carl") == [
        (0, "one two\n"), (0, "three\n"), (1, "")]


def test_compounds_leave_keys_as_they_are(settings):
    (settings / "case").write_text("/^Anna$/i exact\n")
    assert ours(settings, "unionmap:{regexp:case}", "Anna", "anna") == [(0, "exact\n"), (1, "")]


@pytest.mark.parametrize("program", [OURS, REFERENCE / "usr/sbin/postmap"], ids=["posthorn", "postfix"])
class TestServers:
    """What a socketmap or tcp server says, on both."""
    @pytest.fixture(autouse=True)
    def is_there(self, program):
        if not program.exists():
            pytest.skip(f"no {program}")

    REPLIES = [
        (netstring("OK here it is"), 0, "here it is\n"), (netstring("NOTFOUND "), 1, ""), (netstring("TEMP later"), 1, None),
        (netstring("TIMEOUT "), 1, None), (netstring("PERM no"), 1, None), (netstring("WHAT"), 1, None),
        (b"5:OK xy;", 1, None), (b"x", 1, None), (b"999999999:", 1, None), (netstring("OK " + "x" * 99997), 0, "x" * 99997 + "\n"),
        (netstring("OK " + "x" * 99998), 1, None),
    ]

    @pytest.mark.parametrize("number", range(len(REPLIES)))
    def test_socketmap(self, program, settings, number):
        reply, status, out = self.REPLIES[number]
        server = MapServer(lambda *_: reply)
        [(_, got, said, errors)] = ask(program, settings, f"socketmap:inet:127.0.0.1:{server.port}:name", "The Key")
        assert (got, said) == (status, out or "")
        assert ("query error" in errors) == (out is None)
        assert server.asked[0] == "name The Key"
        server.close()

    LINES = [
        (b"200 a%20b%25c\n", 0, "a b%c\n"), (b"500 none\n", 1, ""), (b"400 later\n", 1, None), (b"300 x\n", 1, None),
        (b"200\n", 1, None), (b"200 %4\n", 1, None), (b"200 " + b"x" * 5000 + b"\n", 1, None), (b"200 ok\n", 0, "ok\n"),
    ]

    @pytest.mark.parametrize("number", range(len(LINES)))
    def test_tcp(self, program, settings, number):
        reply, status, out = self.LINES[number]
        server = MapServer(lambda *_: reply, netstrings=False)
        [(_, got, said, errors)] = ask(program, settings, f"tcp:127.0.0.1:{server.port}", "The Key%")
        assert (got, said) == (status, out or "")
        assert ("query error" in errors) == (out is None)
        assert server.asked[0] == "get The%20Key%25"
        server.close()


def test_a_server_that_closes_is_asked_again(settings):
    server = MapServer(lambda number, asked: netstring("OK " + asked.split()[1]) if number > 1 or asked == "m a" else None)
    spec = f"socketmap:inet:127.0.0.1:{server.port}:m"
    assert ours(settings, spec, input="a\nb\nc\n") == [(0, "a\ta\nb\tb\nc\tc\n")]
    assert server.connections == 2
    server.close()


# --- inside of a running server, confined -----------------------------------------------------------------

def test_in_a_running_server(mta, sink):
    setups.virtual_domain(mta, f"lmtp:{sink.next_hop}")
    mta.log.expect(r"socketmap|unexpected EOF|virtual_alias_\w+ lookup|virtual_alias_maps")
    state = {"up": True}

    def answer(_, asked):
        if not state["up"]:
            return None
        return netstring("OK anna@example.test" if asked == "aliases Info@example.test" or asked == "aliases info@example.test"
                         else "NOTFOUND ")

    server = MapServer(answer)
    networks = mta.file("networks", "192.0.2.0/24 REJECT documentation\n!10.0.0.0/8 DUNNO\n")
    recipients = mta.file("recipients", "if !/^info@/\n/^(.*)-out@(.*)$/ 550 Use ${1}@$2 instead\nendif\n")
    mta.main.update({
        "smtpd_client_restrictions": f"check_client_access cidr:{networks}",
        "smtpd_recipient_restrictions": f"check_recipient_access regexp:{recipients}, reject_unauth_destination",
        "virtual_alias_maps": f"socketmap:inet:127.0.0.1:{server.port}:aliases",
    })
    if mta.name == "posthorn":  # the reference has pcre in a package of its own, unpacked elsewhere
        mta.main["smtpd_sender_restrictions"] = "check_sender_access pcre:{ {/^(?!carl).*spam/ REJECT no spam} }"
    mta.start()
    with mta.smtp() as client:
        client.hello()
        client.say("MAIL FROM:<carl@example.org>", expect="250 2.1.0 Ok")
        client.say("RCPT TO:<List-out@example.test>", expect="550 5.7.1 <List-out@example.test>: Recipient address rejected: "
                                                             "Use list@example.test instead")
        client.say("RCPT TO:<info@example.test>", expect="250 2.1.5 Ok")
        client.say("RCPT TO:<nobody@example.test>", expect=550)
        state["up"] = False
        client.say("RCPT TO:<ben@example.test>", expect="451 4.3.0 <ben@example.test>: Temporary lookup failure")
        state["up"] = True
        client.say("RCPT TO:<anna@example.test>", expect="250 2.1.5 Ok")
        if mta.name == "posthorn":
            client.say("RCPT TO:<ben@example.test>", expect="250 2.1.5 Ok")  # Postfix remembers the failure
            client.say("RSET", expect="250 2.0.0 Ok")
            client.say("MAIL FROM:<spam@example.org>", expect="250 2.1.0 Ok")
            client.say("RCPT TO:<ben@example.test>", expect="554 5.7.1 <spam@example.org>: Sender address rejected: no spam")
    server.close()
