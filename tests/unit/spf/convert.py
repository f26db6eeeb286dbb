#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Makes rfc7208-tests.txt of rfc7208-tests.yml, for test_spf_suite.c, which reads lines and no YAML:
    zcat /usr/share/doc/python3-spf/rfc7208-tests.yml.gz | tests/unit/spf/convert.py > tests/unit/spf/rfc7208-tests.txt
Records of type SPF become TXT records where a name has no TXT of its own, as the suite asks of its drivers."""
import sys

import yaml

NOTICE = """\
The RFC 7208 test suite (openspf.org, release 2014.04), converted from rfc7208-tests.yml of Debian's package
python3-spf by convert.py: descriptions and comments left out, one item a line, bytes that are not printable ASCII
(and backslash) as \\xNN. Its notice:

(C) 2006-2008 Stuart D Gathman <stuart@bmsi.com>
    2007-2008 Julian Mehnle <julian@mehnle.net>
         2014 Scott Kitterman <scott@kitterman.com>
All rights reserved.

Redistribution and use in source and binary forms, with or without
modification, are permitted provided that the following conditions
are met:
1. Redistributions of source code must retain the above copyright notice,
   this list of conditions and the following disclaimer.
2. Redistributions in binary form must reproduce the above copyright
   notice, this list of conditions and the following disclaimer in the
   documentation and/or other materials provided with the distribution.
3. The names of the authors may not be used to endorse or promote products
   derived from this software without specific prior written permission.

THIS SOFTWARE IS PROVIDED BY THE AUTHORS ``AS IS'' AND ANY EXPRESS OR
IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES
OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED.
IN NO EVENT SHALL THE AUTHORS BE LIABLE FOR ANY DIRECT, INDIRECT,
INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES (INCLUDING, BUT
NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE,
DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY
THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT
(INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE OF
THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.

Lines: "scenario TITLE"; "zone NAME TYPE DATA" (TYPE "TIMEOUT": what the name does not have is not answered;
MX data: preference, blank, name); "test ID", then its "helo", "host", "from", "result" (one or several) and,
where it matters, "explanation" ("DEFAULT": none of the domain's own).
"""


def plain(value):
    text = "".join(chr(b) if 32 <= b < 127 and b != 92 else f"\\x{b:02x}" for b in str(value).encode())
    return text[:-1] + r"\x20" if text.endswith(" ") else text


def line(*fields):
    print(" ".join(fields).rstrip())


def records(entries):
    own_txt = any(isinstance(entry, dict) and "TXT" in entry for entry in entries)
    for entry in entries:
        if entry == "TIMEOUT":
            yield "TIMEOUT", ""
            continue
        (kind, value), = entry.items()
        if kind == "SPF":
            kind = None if own_txt else "TXT"
        if kind is None or value == "NONE":
            continue
        if kind == "TXT":
            value = "".join(value) if isinstance(value, list) else value
        elif kind == "MX":
            value = f"{value[0]} {value[1]}"
        yield kind, value


def main():
    for text in NOTICE.splitlines():
        line("#", text)
    for scenario in yaml.safe_load_all(sys.stdin.buffer):
        print()
        line("scenario", scenario["description"])
        for name, entries in scenario["zonedata"].items():
            for kind, value in records(entries):
                line("zone", plain(name).replace(" ", r"\x20"), kind, plain(value))
        for name, test in scenario["tests"].items():
            line("test", name)
            for key, field in (("helo", "helo"), ("host", "host"), ("from", "mailfrom"), ("result", "result"),
                               ("explanation", "explanation")):
                value = test.get(field)
                if value is not None:
                    line(f" {key}", " ".join(value) if isinstance(value, list) else plain(value))


main()
