#!/bin/bash
# SPDX-License-Identifier: ISC
# One SMTP session on 127.0.0.1:PORT that shows every line; used by ./demo. Fails at the first reply that is not
# the expected one. usage: smtp-dialogue.bash PORT
set -eu
exec 3<>"/dev/tcp/127.0.0.1/$1"

say() {
    printf '> %s\n' "$1"
    printf '%s\r\n' "$1" >&3
}

expect() { # CODE: reads one reply, which may have several lines
    local line
    while true; do
        IFS= read -r -t 10 line <&3 || { printf '(connection closed)\n'; exit 1; }
        line=${line%$'\r'}
        printf '< %s\n' "$line"
        [ "${line:3:1}" = - ] || break
    done
    [ "${line:0:3}" = "$1" ] || exit 1
}

expect 220
say "EHLO client.example.test"
expect 250
say "MAIL FROM:<carl@example.org>"
expect 250
say "RCPT TO:<info@example.test>"
expect 250
say "DATA"
expect 354
for line in "From: Carl <carl@example.org>" "To: info@example.test" "Subject: The horn sounds" \
    "Date: $(LC_ALL=C date '+%a, %d %b %Y %H:%M:%S %z')" "Message-Id: <demo.$$@example.org>" "" \
    "Hello Anna," "" "this came in by SMTP, was put safely on disk and then into your mailbox."; do
    say "$line"
done
say "."
expect 250
say "QUIT"
expect 221
