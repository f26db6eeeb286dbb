#!/bin/bash
# SPDX-License-Identifier: ISC
# What a mail program does on port 587, shown line by line; used by ./demo: without TLS, with TLS but no login, with both.
# Fails at the first reply that is not the expected one. usage: submission-dialogue.bash PORT CERTIFICATE LOGIN PASSWORD
set -eu
. "$(dirname "$0")/dialogue.bash"
port=$1 certificate=$2 login=$3 password=$4

printf '(in the clear)\n'
exec 3<>"/dev/tcp/127.0.0.1/$port"
from=3 to=3
expect 220
say "EHLO laptop.example.test"
expect 250
say "MAIL FROM:<$login>"
expect 530
say "QUIT"
expect 221
exec 3>&-

printf '(STARTTLS, the certificate verified: openssl s_client)\n'
coproc openssl s_client -quiet -starttls smtp -connect "127.0.0.1:$port" -name laptop.example.test \
    -CAfile "$certificate" -verify_return_error -verify_hostname demo.example.test 2>/dev/null
exec 4<&"${COPROC[0]}" 5>&"${COPROC[1]}" # bash closes its own two as soon as the program ends
from=4 to=5
say "EHLO laptop.example.test"
expect 250
say "MAIL FROM:<$login>"
expect 250
say "RCPT TO:<ben@example.test>"
expect 554
say "RSET"
expect 250
say "AUTH PLAIN $(printf '\0%s\0%s' "$login" "$password" | base64)"
expect 235
say "MAIL FROM:<ben@example.test>"
expect 250
say "RCPT TO:<ben@example.test>"
expect 553
say "RSET"
expect 250
say "MAIL FROM:<$login>"
expect 250
say "RCPT TO:<ben@example.test>"
expect 250
say "DATA"
expect 354
for line in "From: Anna <$login>" "To: ben@example.test" "Subject: Lunch?" "" "Noon, at the horn?"; do
    say "$line"
done
say "."
expect 250
say "QUIT"
expect 221
