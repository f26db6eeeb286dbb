# SPDX-License-Identifier: ISC
"""postmap, postalias and newaliases beside Debian's: the same exit status, output and warnings for every option, alone and
together; and what root may be made to do in a folder that somebody else can write (attack 19).

A scenario is a list of steps on the files of one folder; each step is one command and, optionally, its standard input.
"""
import concurrent.futures
import os
import pathlib
import pwd
import re
import stat
import subprocess
import tempfile
import threading

import pytest

from lib import reference
from lib.reference_release import FOLLOWED, as_followed, release
from lib.table_query import BUILD, MAIN_CF, table_types

MAIL = ("From x@example.org  Mon Jan 1\nSubject: one\n two\n\tthree\nX-Odd : blank\nContent-Type: multipart/mixed;\n"
        "\tboundary=\"b\"\nReceived: by x\n\nprologue\n--b\nContent-Type: text/plain\nX-Part: 1\n\nbody one\n\nFrom: not a header\n"
        "--b\nContent-Type: message/rfc822\n\nSubject: inner\nX-Inner: i\n j\n\ninner body\n.\n--b--\nepilogue\n")
HEADERS = MAIL.split("\n", 1)[1]
BAD_HEADER = "Subject: a\nthis is no header\nX: y\n\nbody\n"
REGEXP = "/^(.*)$/ <$1>\n"

SOURCES = {
    "plain": "one 1\nTwo 2 and more  \n  # comment\n\"three four\" 3\nONE 4\n",
    "odd": "novalue\n  leading space\nkey:  value\n\"unbalanced x\na\\ b c\n\"a b\" c\n\xff bad\n\u00fcml \u00e4\nlong " + "v" * 3000 + "\n",
    "more": "a 1\n b\n\n#x\n c\nlast 9",
    "empty": "",
    "comments": "# only\n\n   \n",
    "aliases": ("root: anna\nAnna: anna@example.test, \"|/bin/cat x\"\nlist: :include:/tmp/x\n  , ben\n\"Ben Smith\": ben\n"
                "noval:\n: x\nfoo@bar: x\na, b: c\nroot: second\nspace  : x\n(c) comment (d): e (f)\n"),
    "files": "good NAME\nboth NAME NAME\nmissing /nonexistent/file\n",
    "re": REGEXP,
}

# (program, arguments, standard input). "T" is the table type.
SCENARIOS = {
    "create and query": [
        ("postmap", ["T:plain"]), ("postmap", ["-q", "one", "T:plain"]), ("postmap", ["-q", "ONE", "T:plain"]),
        ("postmap", ["-f", "-q", "ONE", "T:plain"]), ("postmap", ["-q", "two", "T:plain"]), ("postmap", ["-q", "none", "T:plain"]),
        ("postmap", ["-q", "\"three four\"", "T:plain"]), ("postmap", ["-q", "three four", "T:plain"]),
        ("postmap", ["-q", "-", "T:plain"], "one\nTWO\nx\none\n"), ("postmap", ["-q", "-", "T:plain"], "x\n"),
        ("postmap", ["-q", "-", "T:plain"], ""), ("postmap", ["-q", "-", "T:plain"], "one"),
        ("postmap", ["-s", "T:plain"]),
    ],
    "odd lines": [("postmap", ["T:odd"]), ("postmap", ["-s", "T:odd"]), ("postmap", ["-u", "T:odd"]), ("postmap", ["-s", "T:odd"]),
                  ("postmap", ["-q", "key:", "T:odd"]), ("postmap", ["-q", "\u00fcml", "T:odd"]), ("postmap", ["-q", "\u00dcML", "T:odd"])],
    "continuation": [("postmap", ["T:more"]), ("postmap", ["-s", "T:more"])],
    "empty": [("postmap", ["T:empty"]), ("postmap", ["-s", "T:empty"]), ("postmap", ["-q", "x", "T:empty"]),
              ("postmap", ["T:comments"]), ("postmap", ["-s", "T:comments"])],
    "not folded": [("postmap", ["-f", "T:plain"]), ("postmap", ["-s", "T:plain"]), ("postmap", ["-q", "ONE", "T:plain"]),
                   ("postmap", ["-f", "-q", "ONE", "T:plain"]), ("postmap", ["-f", "-q", "-", "T:plain"], "ONE\nTwo\ntwo\n")],
    "replace": [("postmap", ["-r", "T:plain"]), ("postmap", ["-s", "T:plain"])],
    "ignore": [("postmap", ["-w", "T:plain"]), ("postmap", ["-s", "T:plain"])],
    "both": [("postmap", ["-w", "-r", "T:plain"]), ("postmap", ["-s", "T:plain"]), ("postmap", ["-r", "-w", "T:plain"]),
             ("postmap", ["-s", "T:plain"])],
    "nul": [("postmap", ["-N", "T:plain"]), ("postmap", ["-s", "T:plain"]), ("postmap", ["-q", "one", "T:plain"]),
            ("postmap", ["-n", "T:plain"]), ("postmap", ["-s", "T:plain"]), ("postmap", ["-q", "one", "T:plain"])],
    "files": [("postmap", ["-F", "T:files"]), ("postmap", ["-F", "-q", "good", "T:files"]), ("postmap", ["-F", "-q", "both", "T:files"]),
              ("postmap", ["-q", "good", "T:files"]), ("postmap", ["-F", "-s", "T:files"]), ("postmap", ["-s", "T:files"]),
              ("postmap", ["-F", "-q", "-", "T:files"], "good\nx\n")],
    "aliases": [("postalias", ["T:aliases"]), ("postalias", ["-q", "anna", "T:aliases"]), ("postalias", ["-q", "ANNA", "T:aliases"]),
                ("postalias", ["-q", "Ben Smith", "T:aliases"]), ("postalias", ["-q", "root", "T:aliases"]),
                ("postalias", ["-q", "-", "T:aliases"], "list\nanna\nx\n"), ("postalias", ["-q", "@", "T:aliases"]),
                ("postalias", ["-q", "space", "T:aliases"]), ("postalias", ["-q", "comment", "T:aliases"]),
                ("postalias", ["-r", "T:aliases"]), ("postalias", ["-q", "root", "T:aliases"]), ("postalias", ["-w", "T:aliases"]),
                ("postalias", ["-f", "T:aliases"]), ("postalias", ["-f", "-q", "Anna", "T:aliases"]),
                ("postalias", ["-q", "anna", "T:aliases"])],
    "postalias of a map": [("postalias", ["T:plain"])],
    "postmap of aliases": [("postmap", ["T:aliases"]), ("postmap", ["-s", "T:aliases"])],
    "headers": [("postmap", ["-h", "-q", "-", "regexp:re"], HEADERS), ("postmap", ["-h", "-q", "-", "regexp:re"], MAIL),
                ("postmap", ["-h", "-q", "-", "regexp:re"], BAD_HEADER), ("postmap", ["-h", "-q", "-", "regexp:re"], ""),
                ("postmap", ["-h", "-q", "-", "regexp:re"], "\nbody\n"), ("postmap", ["-hU", "-q", "-", "regexp:re"], HEADERS)],
    "body": [("postmap", ["-b", "-q", "-", "regexp:re"], HEADERS), ("postmap", ["-b", "-q", "-", "regexp:re"], BAD_HEADER),
             ("postmap", ["-b", "-q", "-", "regexp:re"], "x\n"), ("postmap", ["-b", "-q", "-", "regexp:re"], "A: b\n"),
             ("postmap", ["-b", "-q", "-", "regexp:re"], "A: b\n\nc")],
    "both parts": [("postmap", ["-hb", "-q", "-", "regexp:re"], HEADERS), ("postmap", ["-bh", "-q", "-", "regexp:re"], BAD_HEADER)],
    "mime": [("postmap", ["-hm", "-q", "-", "regexp:re"], HEADERS), ("postmap", ["-bm", "-q", "-", "regexp:re"], HEADERS),
             ("postmap", ["-hbm", "-q", "-", "regexp:re"], HEADERS), ("postmap", ["-hm", "-q", "-", "regexp:re"], BAD_HEADER),
             ("postmap", ["-bm", "-q", "-", "regexp:re"], MAIL)],
    "no message": [("postmap", ["-h", "-q", "x", "regexp:re"]), ("postmap", ["-m", "-q", "-", "regexp:re"], "x\n"),
                   ("postmap", ["-h", "regexp:re"]), ("postmap", ["-b", "-s", "regexp:re"])],
    "several maps": [("postmap", ["T:plain"]), ("postmap", ["T:more"]), ("postmap", ["-q", "a", "T:plain", "T:more"]),
                     ("postmap", ["-q", "one", "T:plain", "T:nothing"]), ("postmap", ["-q", "-", "T:plain", "T:more"], "one\na\nx\n"),
                     ("postmap", ["T:plain", "T:more"]), ("postmap", ["-s", "T:plain", "T:more"]),
                     ("postmap", ["-q", "x", "T:plain", "static:all"])],
    "delete": [("postmap", ["T:plain"]), ("postmap", ["-d", "one", "T:plain"]), ("postmap", ["-s", "T:plain"])],
    "increment": [("postmap", ["-i", "T:fresh"], "new 1\nOther 2\n"), ("postmap", ["-s", "T:fresh"]),
                  ("postmap", ["-i", "T:fresh"], "new 3\nthird 4\n"), ("postmap", ["-s", "T:fresh"]),
                  ("postmap", ["-ir", "T:fresh"], "new 3\n"), ("postmap", ["-q", "new", "T:fresh"]),
                  ("postmap", ["-iw", "T:fresh"], "new 5\n"), ("postmap", ["-q", "new", "T:fresh"]),
                  ("postmap", ["-d", "new", "T:fresh"]), ("postmap", ["-d", "new", "T:fresh"]), ("postmap", ["-q", "new", "T:fresh"]),
                  ("postmap", ["-d", "-", "T:fresh"], "third\nx\n"), ("postmap", ["-d", "-", "T:fresh"], "x\n"),
                  ("postmap", ["-s", "T:fresh"])],
    "mistakes": [("postmap", []), ("postmap", ["-x", "T:plain"]), ("postmap", ["T:missing"]),
                 ("postmap", ["regexp:re"]), ("postmap", ["static:x"]), ("postmap", ["proxy:T:plain"]),
                 ("postmap", ["-q", "x", "T:missing"]), ("postmap", ["-q", "x", "nosuch:plain"]), ("postmap", ["-s", "regexp:re"]),
                 ("postmap", ["-d", "x", "regexp:re"]), ("postmap", ["-q", "a", "-s", "T:plain"]),
                 ("postmap", ["-q", "a", "-d", "b", "T:plain"]), ("postmap", ["-q", "a", "fail:x"]), ("postmap", ["-q", "a", "regexp:missing"]),
                 ("postmap", ["-s", "static:x"]), ("postmap", ["-q", "a", "static:all"]), ("postmap", ["-q", "-", "inline:{a=b}"], "a\nb\n"),
                 ("postalias", ["-s", "nosuch:plain"]), ("postmap", ["-s", "T:missing"]), ("postmap", ["-q"]),
                 ("postmap", ["-q", "a", "environ:x"]), ("postmap", ["-f", "-q", "NO_SUCH_NAME", "environ:x"])],
    "unix": [("postmap", ["-q", "root", "unix:passwd.byname"]), ("postmap", ["-q", "daemon", "unix:group.byname"]),
             ("postmap", ["-q", "nosuchuser", "unix:passwd.byname"]), ("postmap", ["-q", "x", "unix:shadow"]),
             ("postmap", ["-q", "-", "unix:passwd.byname"], "root\nnobody\nx\n"), ("postmap", ["-s", "unix:passwd.byname"])],
}
# Their steps are independent of each other: at once, since Debian's takes a second to say that something is wrong.
AT_ONCE = ("mistakes", "no message", "several maps", "unix")
ONLY = {"delete": ("lmdb",), "increment": ("lmdb",), "mistakes": ("lmdb",)}  # a constant database cannot be changed; here it can


def make_folder(top):
    top.mkdir()
    content = top / "content"
    content.write_text("content\nof a file\n")
    for name, text in SOURCES.items():
        (top / name).write_bytes(text.replace("NAME", str(content)).encode("latin-1" if "\xff" in text else "utf-8")
                                 if name != "odd" else text.encode().replace(b"\xc3\xbf", b"\xff"))
    return top


class Side:
    def __init__(self, top, run):
        self.folder = make_folder(top)
        self.run = run

    def step(self, kind, program, arguments, text=None):
        words = [word.replace("T:", f"{kind}:", 1) if word.startswith(("T:", "proxy:T:")) else word for word in arguments]
        done = self.run(program, words, None if text is None else text.encode(), self.folder)
        return done.returncode, normal(done.stdout, self.folder), normal(done.stderr, self.folder)

    def steps(self, kind, name):
        steps = SCENARIOS[name]
        if name not in AT_ONCE:
            return [self.step(kind, *step) for step in steps]
        first = [self.step(kind, *step) for step in steps if step[1] and not step[1][0].startswith("-")]
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            rest = list(pool.map(lambda step: self.step(kind, *step),
                                 [step for step in steps if not step[1] or step[1][0].startswith("-")]))
        made = iter(first), iter(rest)
        return [next(made[0] if step[1] and not step[1][0].startswith("-") else made[1]) for step in steps]


def normal(output, folder):
    text = output.decode(errors="backslashreplace").replace(str(folder), "FOLDER")
    text = re.sub(r"^YP_LAST_MODIFIED.*", "YP_LAST_MODIFIED", text, flags=re.M)
    text = re.sub(r"\[-[A-Za-z]+\]", "[-options]", text)
    text = re.sub(r"\. Is the postfix-\w+ package installed\?", "", text)  # Debian's addition
    return re.sub(r"^\S*/(?=post)|^(\w+)/(?=post)", "", text, flags=re.M)


def ours(top):
    conf = top / "conf"
    conf.mkdir(parents=True)
    (conf / "main.cf").write_text(MAIN_CF)

    def run(program, arguments, data, cwd):
        return subprocess.run([BUILD / "commands" / program, *arguments], input=data, cwd=cwd, capture_output=True, check=False,
                              timeout=60, env=dict(os.environ, MAIL_CONFIG=str(conf)))
    return run


def theirs(top):
    postfix = reference.Reference(top / "conf", MAIN_CF)
    return lambda program, arguments, data, cwd: postfix.run(program, *arguments, input=data if data is not None else b"", cwd=cwd)


KINDS = ("lmdb", "cdb", "btree", "hash")
# Each with the types that have it; what does not name its type, once.
COMBINATIONS = [(name, kind) for name in SCENARIOS for kind in ONLY.get(name, KINDS)
                if kind == KINDS[0] or any("T:" in str(step) for step in SCENARIOS[name])]


@pytest.mark.parametrize("name,kind", COMBINATIONS)
def test_as_postfix_does(name, kind, tmp_path):
    if kind not in table_types():
        pytest.skip(f"built without {kind}")
    if reference.unavailable(*{kind} & set(reference.KINDS)):
        pytest.skip(reference.unavailable(kind))
    sides = [Side(tmp_path / "ours", ours(tmp_path / "our-conf")), Side(tmp_path / "theirs", theirs(tmp_path / "their-conf"))]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda side: side.steps(kind, name), sides))
    for step, (mine, wanted) in zip(SCENARIOS[name], zip(*results)):
        if kind == "cdb" and "-s" in step[1] and step[1][-1].startswith("T:") and "not supported" in wanted[2]:
            assert mine[0] == 0 or "open database" in mine[2], step  # ours can list it, too
        elif kind == "hash" and "-s" in step[1]:
            assert (mine[0], sorted(mine[1].splitlines()), mine[2]) == (wanted[0], sorted(wanted[1].splitlines()), wanted[2]), step
        elif kind == "cdb" and "-s" in step[1] and release() != FOLLOWED:
            assert mine[0] == wanted[0], step  # listed in the order of the file there
        else:
            assert mine == (*wanted[:2], as_followed(wanted[2])), step


# --- attack 19: root in a folder of somebody else --------------------------------------------------------------


@pytest.fixture
def lent():
    """A folder that belongs to nobody, where root runs postmap. Not below pytest's own, which it closes to others at each start."""
    if os.geteuid() != 0:
        pytest.skip("only root can be led astray")
    with tempfile.TemporaryDirectory(prefix="lent-", dir="/tmp") as top:
        pathlib.Path(top).chmod(0o755)
        yield from lend(pathlib.Path(top))


def lend(top):
    folder = top / "lent"
    folder.mkdir()
    source = folder / "table"
    source.write_text("key value\n")
    for path in (folder, source):
        os.chown(path, pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
    conf = top / "conf"
    conf.mkdir()
    (conf / "main.cf").write_text(MAIN_CF)
    yield folder, conf


def postmap(conf, *arguments, program="postmap", **options):
    return subprocess.run([BUILD / "commands" / program, "-c", conf, *map(str, arguments)], capture_output=True, text=True,
                          check=False, timeout=30, **options)


def owner(path):
    return pwd.getpwuid(path.stat().st_uid).pw_name


FORMATS = [("lmdb", "postmap"), ("hash", "postalias"), ("cdb", "postmap")]


@pytest.mark.parametrize("kind,program", FORMATS)
def test_root_writes_as_the_owner_of_the_source(lent, kind, program):
    folder, conf = lent
    if kind not in table_types():
        pytest.skip(f"built without {kind}")
    if program == "postalias":
        (folder / "table").write_text("key: value\n")
    built = folder / ("table.cdb" if kind == "cdb" else "table.lmdb")
    (folder / "table").chmod(0o640)
    assert postmap(conf, f"{kind}:{folder}/table", program=program).returncode == 0
    assert owner(built) == "nobody" and stat.S_IMODE(built.stat().st_mode) == 0o640
    assert postmap(conf, "-p", f"{kind}:{folder}/table", program=program).returncode == 0
    assert stat.S_IMODE(built.stat().st_mode) == 0o644
    assert postmap(conf, "-o", f"{kind}:{folder}/table", program=program).returncode == 0
    assert owner(built) == "root"
    # -i and -d change it with the rights of its source's owner, too.
    assert postmap(conf, f"{kind}:{folder}/table", program=program).returncode == 0
    line = "more: value\n" if program == "postalias" else "more value\n"
    assert postmap(conf, "-i", f"{kind}:{folder}/table", program=program, input=line).returncode == 0
    assert owner(built) == "nobody"
    assert postmap(conf, "-d", "more", f"{kind}:{folder}/table", program=program).returncode == 0
    assert owner(built) == "nobody"


@pytest.mark.parametrize("kind", ["lmdb", "cdb"])
def test_planted_links_lead_nowhere(lent, tmp_path, kind):
    folder, conf = lent
    if kind not in table_types():
        pytest.skip(f"built without {kind}")
    precious = tmp_path / "precious"
    precious.write_text("precious")
    built = folder / f"table.{kind}"
    for plant in (built.symlink_to, built.hardlink_to):
        built.unlink(missing_ok=True)
        plant(precious)
        assert postmap(conf, f"{kind}:{folder}/table").returncode == 0
        assert precious.read_text() == "precious" and owner(precious) == "root"
        assert not built.is_symlink() and owner(built) == "nobody" and built.stat().st_nlink == 1
    # The table of a file that is not the folder owner's: root does not lend its rights to the folder.
    (folder / "table").unlink()
    (folder / "table").symlink_to(precious)
    precious.write_text("stolen key\n")
    precious.chmod(0o600)
    before = built.read_bytes()
    done = postmap(conf, f"{kind}:{folder}/table")
    assert done.returncode != 0 or owner(built) == "root" and stat.S_IMODE(built.stat().st_mode) & 0o077 == 0, before


def test_a_rebuild_under_load_never_fails_a_lookup(lent):
    """Readers see the old table or the new one: no lock, no half of a file, no moment without."""
    folder, conf = lent
    source = folder / "big"
    source.write_text("".join(f"key{n} value\n" for n in range(5000)))
    assert postmap(conf, f"hash:{source}").returncode == 0
    done = threading.Event()
    failures = []

    def build():
        while not done.is_set():
            result = postmap(conf, f"hash:{source}")
            if result.returncode != 0:
                failures.append(result.stderr)

    builders = [threading.Thread(target=build) for _ in range(2)]
    for builder in builders:
        builder.start()
    keys = "".join(f"key{n}\n" for n in range(5000))
    for _ in range(15):
        found = postmap(conf, "-q", "-", f"hash:{source}", input=keys)
        assert found.returncode == 0 and len(found.stdout.splitlines()) == 5000 and found.stderr == ""
    done.set()
    for builder in builders:
        builder.join()
    assert failures == []
    assert [path.name for path in folder.iterdir() if path.name.startswith("big")] in (
        ["big", "big.lmdb"], ["big.lmdb", "big"])
