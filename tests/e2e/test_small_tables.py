# SPDX-License-Identifier: ISC
"""unix:, static:, environ:, fail:, inline:, unionmap:, pipemap:, randmap: and texts in the name, beside Debian's postmap: the
same answers, exit status and messages."""
import concurrent.futures
import os
import subprocess

from lib import reference
from lib.table_query import BUILD, MAIN_CF

CASES = [
    ("unix:passwd.byname", ["root", "ROOT", "nosuch", "0"]),
    ("unix:group.byname", ["root", "adm", "nosuch"]),
    ("unix:nothing.byname", ["x"]), ("unix:DIR", ["x"]), ("unix:", ["x"]),
    ("unionmap:{texthash:t, static:x}", ["one", "none"]), ("unionmap:{ texthash:t static:x }", ["one"]),
    ("unionmap:{texthash:t,texthash:t}", ["one"]), ("unionmap:texthash:t", ["one"]), ("unionmap:{}", ["one"]),
    ("unionmap:{texthash:t", ["one"]), ("unionmap:{fail:x, static:y}", ["one"]), ("unionmap:{static:y, fail:x}", ["one"]),
    ("unionmap:{static:{a b}, static:c}", ["one"]), ("unionmap:{unionmap:{static:a, static:b}, static:c}", ["two"]),
    ("unionmap:{pipemap:{texthash:t, inline:{1=x}}, randmap:{z}}", ["one", "two"]),
    ("pipemap:{texthash:t, inline:{1=uno}}", ["one", "two", "none"]), ("pipemap:{texthash:t}", ["two"]), ("pipemap:{}", ["two"]),
    ("pipemap:texthash:t", ["two"]), ("pipemap:{static:x, fail:y}", ["two"]), ("pipemap:{texthash:t, static:x}", ["none"]),
    ("pipemap:{fail:x, static:y}", ["two"]), ("pipemap:{inline:{{a=b c}}, regexp:re}", ["a"]),
    ("pipemap:{unionmap:{inline:{a=b}, inline:{a=c}}, regexp:re}", ["a", "x"]),
    ("randmap:{a}", ["x"]), ("randmap:{}", ["x"]), ("randmap:a", ["x"]), ("randmap:{a", ["x"]),
    ("static:x", ["y"]), ("static:", ["y"]), ("static:{a b}", ["y"]), ("static:{ a b }", ["y"]), ("static: a b", ["y"]),
    ("static:{a", ["y"]), ("static:{a} b", ["y"]),
    ("environ:", ["PATH"]), ("environ:x", ["PATH", "path", "NO_SUCH"]), ("fail:x", ["y"]), ("fail:", ["y"]),
    ("inline:{a=b, c = d}", ["c", "C", "d"]), ("inline:{{a = b c}, {d = e}}", ["a"]), ("inline:{a=}", ["a"]), ("inline:{a}", ["a"]),
    ("inline:{}", ["a"]), ("inline:a=b", ["a"]), ("inline:{a=b", ["a"]), ("inline:{a=b} c", ["a"]), ("inline:{a=b a=c}", ["a"]),
    ("inline:{ A=b }", ["a"]), ("inline:{{ x y = z }}", ["x y"]),
    ("cidr:{ {1.2.3.0/24 x}, {!1.0.0.0/8 y} }", ["1.2.3.4", "2.2.3.4", "1.1.1.1"]), ("cidr:{1.2.3.0/24 x}", ["1.2.3.4"]),
    ("cidr:{}", ["1.2.3.4"]), ("pcre:{{/^a$/ b}}", ["a"]), ("pcre:{/^a$/ b}", ["a"]),
    ("regexp:{{/^a(.)$/ <${1}>}}", ["ab"]), ("regexp:{{if /a/}, {/b/ x}, {endif}, {/./ y}}", ["ab", "c", "a"]), ("regexp:{", ["c"]),
    ("nothing:x", ["c"]), ("thash:t", ["one"]),
]


def test_answers_as_from_postmap(tmp_path):
    (tmp_path / "t").write_text("one 1\ntwo 2\n")
    (tmp_path / "re").write_text("/^(.*)$/ <$1>\n")
    (tmp_path / "DIR").mkdir()
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/main.cf").write_text(MAIN_CF)
    postfix = None if reference.unavailable("pcre") else reference.Reference(tmp_path / "reference", MAIN_CF)
    environment = dict(os.environ, MAIL_CONFIG=str(tmp_path / "conf"))

    def plain(done):
        return done.returncode, done.stdout, done.stderr

    def ask(case):
        spec, key = case
        ours = subprocess.run([BUILD / "commands/postmap", "-q", key, spec], env=environment, capture_output=True, cwd=tmp_path,
                              check=False, timeout=30)
        theirs = postfix.run("postmap", "-q", key, spec, cwd=tmp_path) if postfix is not None else ours
        return None if plain(ours) == plain(theirs) else (case, plain(ours), plain(theirs))
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        different = [found for found in pool.map(ask, [(spec, key) for spec, keys in CASES for key in keys]) if found]
    assert not different, different
