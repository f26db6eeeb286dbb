#!/bin/sh
# SPDX-License-Identifier: ISC
# Parameters that parameters.def says work but that no code asks for by name: their status is too hopeful, or the
# code is still missing. For whoever changes a status; prints one name a line.
set -eu
cd "$(dirname "$0")/.."
asked=$(mktemp)
trap 'rm -f "$asked"' EXIT
find commands common lmtp lookup master queue smtpd virtual -name '*.[ch]' -not -path 'common/config/parameters*' \
    -exec grep -ohE '"[A-Za-z0-9_]+"' {} + | tr -d '"' | sort -u >"$asked"
sed -nE 's/^PARAMETER\(([A-Za-z0-9_]+), .*, WORKS, [A-Z_ |]+,$/\1/p' common/config/parameters*.def | sort |
    comm -23 - "$asked"
