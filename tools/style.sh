#!/bin/sh
# SPDX-License-Identifier: ISC
# The house rules that a machine can check. Prints what breaks them; exit status 1 when anything does.
set -u
cd "$(dirname "$0")/.." || exit 1
broken=0
complain() {
    printf 'failed: %s\n' "$*"
    broken=1
}

# The room of a daemon is a folder with sources; commands/ has many programs.
rooms=$(ls -- */*.c | sed 's|/.*||' | sort -u | grep -v '^commands$')
sources=$(find commands common $rooms tests/unit tests/fuzz tests/bench tests/tools -name '*.[ch]' -type f | sort)

for file in $sources; do
    head -n 1 "$file" | grep -q 'SPDX-License-Identifier: ISC' || complain "$file: no SPDX line"
    lines=$(wc -l <"$file")
    [ "$lines" -le 600 ] || complain "$file: $lines lines (600 at most)"
done

# Functions over 60 lines: from "{" in column 1 to "}" in column 1.
for file in $(printf '%s\n' $sources | grep '\.c$'); do
    awk -v file="$file" '/^\{/ { start = NR } /^\}[ \t]*$/ && start { if (NR - start > 61)
        printf "failed: %s:%d: a function of %d lines (60 at most)\n", file, start, NR - start - 1; start = 0 }' "$file"
done | grep . && broken=1

banned='\b(sprintf|vsprintf|strcpy|strcat|strncat|strncpy|alloca|setjmp|longjmp|gets|tmpnam|mktemp)[[:space:]]*\('
grep -nE "$banned" $sources && complain "a banned function"
grep -rnwE 'TODO|FIXME|XXX|HACK' $sources demo check tools/lib.sh tests/e2e --include='*' | grep -v 'XXXXXX' &&
    complain "an unfinished spot"

# A daemon includes nothing of another daemon.
others=$(echo $rooms commands | tr ' ' '|')
for room in $rooms; do
    for file in "$room"/*.[ch]; do
        [ -f "$file" ] || continue
        grep -nE "#include \"($others)/" "$file" | grep -v "\"$room/" &&
            complain "$file: includes another room"
    done
done
exit "$broken"
