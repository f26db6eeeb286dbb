#!/bin/sh
# SPDX-License-Identifier: ISC
# Parameters that parameters.def says work but that no code asks for: neither by name, nor by the suffix of a transport's
# family, nor as $name in another's default. Their status is too hopeful, or the code is still missing. For whoever
# changes a status; prints one name a line.
set -eu
cd "$(dirname "$0")/.."
asked=$(mktemp)
works=$(mktemp)
trap 'rm -f "$asked" "$works"' EXIT
# posthorn check looks at parameters without doing what they ask for; proxy_read_maps only lists them.
find auth commands common keys lmtp lookup master queue resolver smtpd state submission virtual -name '*.[ch]' -not -path 'common/config/parameter*' \
    -not -name 'posthorn_check*' -exec grep -ohE '"[A-Za-z0-9_]+"' {} + | tr -d '"' >"$asked"
grep -hv 'PARAMETER(proxy_' common/config/parameters*.def |
    sed -nE 's/^PARAMETER\(([A-Za-z0-9_]+), [A-Z]+, (.*)$/\2/p' |
    grep -oE '\$[{(]*[a-z0-9_]+' | tr -d '${(' >>"$asked"
sort -u -o "$asked" "$asked"
sed -nE 's/^PARAMETER\(([A-Za-z0-9_]+), .*, WORKS, [A-Z_ |]+,$/\1/p' common/config/parameters*.def | sort >"$works"
suffixes=$(grep -E '^_' "$asked" | paste -sd '|' -)
comm -23 "$works" "$asked" | grep -vE "^(lmtp|virtual|smtp|local|pipe|relay)(${suffixes:-,})\$" || true
