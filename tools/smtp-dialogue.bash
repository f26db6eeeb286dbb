#!/bin/bash
# SPDX-License-Identifier: ISC
# One SMTP session on 127.0.0.1:PORT that shows every line; used by ./demo. Fails at the first reply that is not
# the expected one. usage: smtp-dialogue.bash PORT
set -eu
exec 3<>"/dev/tcp/127.0.0.1/$1"

from=3 to=3
. "$(dirname "$0")/dialogue.bash"

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
    "Date: $(now)" "Message-Id: <demo.$$@example.org>" "" \
    "Hello Anna," "" "this came in by SMTP, was put safely on disk and then into your mailbox."; do
    say "$line"
done
say "."
expect 250
say "QUIT"
expect 221
