# SPDX-License-Identifier: ISC
# The two halves of an SMTP session, sourced by the dialogues of ./demo: every line is shown. A reply that is not the expected one
# ends the program. The connection's descriptors are $from and $to.

say() {
    printf '> %s\n' "$1"
    printf '%s\r\n' "$1" >&"$to"
}

expect() { # CODE: reads one reply, which may have several lines
    local line
    while true; do
        IFS= read -r -t 10 line <&"$from" || { printf '(connection closed)\n'; exit 1; }
        line=${line%$'\r'}
        printf '< %s\n' "$line"
        [ "${line:3:1}" = - ] || break
    done
    [ "${line:0:3}" = "$1" ] || exit 1
}

now() { LC_ALL=C date '+%a, %d %b %Y %H:%M:%S %z'; }
