# SPDX-License-Identifier: ISC
"""Debian's own postmap and postalias, unpacked, with all its table plugins: what answers are compared with."""
import os
import subprocess

from .mta import Postfix

TOP = Postfix.directory_of_reference
PLUGINS = TOP / "usr/lib/postfix"
KINDS = ("cdb", "ldap", "lmdb", "mysql", "pcre", "pgsql", "sqlite")


def unavailable(*kinds):
    missing = [kind for kind in kinds if not (PLUGINS / f"postfix-{kind}.so").exists()]
    return f"no reference for {', '.join(missing)} (tools/postfix-reference.sh)" if missing else None


class Reference:
    """A configuration directory for its commands. They run without being installed, so main.cf says where they are."""

    def __init__(self, top, main_cf):
        self.top = top
        top.mkdir(parents=True, exist_ok=True)
        (top / "main.cf").write_text(
            f"{main_cf}\nqueue_directory = {top}\ndata_directory = {top}\ncommand_directory = {TOP}/usr/sbin\n"
            f"daemon_directory = {PLUGINS}/sbin\nshlib_directory = {PLUGINS}\nmeta_directory = {top}\n"
            f"import_environment = MAIL_CONFIG LD_LIBRARY_PATH={PLUGINS}\n")
        (top / "dynamicmaps.cf").write_text("".join(
            f"{kind} {PLUGINS}/postfix-{kind}.so dict_{kind}_open"
            f"{f' mkmap_{kind}_open' if kind in ('lmdb', 'cdb') else ''}\n" for kind in KINDS))
        (top / "postfix-files").write_text("")

    def run(self, program, *arguments, input=None, cwd=None):
        environment = dict(os.environ, MAIL_CONFIG=str(self.top), LD_LIBRARY_PATH=str(PLUGINS))
        return subprocess.run([TOP / "usr/sbin" / program, *map(str, arguments)], env=environment, input=input, cwd=cwd,
                              capture_output=True, check=False, timeout=60)

    def query(self, spec, key):
        """In the words of lib.table_query: "found x", "not-found" or "error"."""
        done = self.run("postmap", "-q", key, spec)
        if done.returncode == 0:
            return "found " + done.stdout.decode().removesuffix("\n")
        return "error" if b"fatal:" in done.stderr or b"error" in done.stderr.lower() else "not-found"
