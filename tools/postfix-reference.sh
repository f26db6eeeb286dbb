#!/bin/sh
# SPDX-License-Identifier: ISC
# Unpacks (never installs) Debian's Postfix under DIRECTORY/root: the reference that tests/e2e and tests/bench
# compare with; policyd-spf and logwatch, whose packages want a mail server installed. Needs root for apt; does nothing
# when it is there already.
# usage: tools/postfix-reference.sh DIRECTORY
set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/tools/lib.sh"
directory=${1:?usage: postfix-reference.sh DIRECTORY}
plugins="pcre pgsql sqlite lmdb mysql ldap cdb"
packages=postfix others='postfix-policyd-spf-python logwatch' missing=
for plugin in $plugins; do
    packages="$packages postfix-$plugin"
    [ -e "$directory/root/usr/lib/postfix/postfix-$plugin.so" ] || missing=yes
done
[ -x "$directory/root/usr/lib/postfix/sbin/master" ] && [ -x "$directory/root/usr/bin/policyd-spf" ] &&
    [ -e "$directory/root/usr/share/logwatch/scripts/services/postfix" ] || missing=yes
[ -n "$missing" ] || exit 0
mkdir -p "$directory"
cd "$directory"
apt-get download $packages $others >download.log 2>&1 ||
    { apt-get update >>download.log 2>&1 && apt-get download $packages $others >>download.log 2>&1; } ||
    die "cannot download Debian's postfix package, see $directory/download.log"
for package in ./*.deb; do
    dpkg -x "$package" root
done
# The libraries its programs need; their names change with every Debian release.
if is_root; then
    wanted=$(apt-cache depends --no-recommends --no-suggests $packages |
        awk '$1 == "Depends:" && $2 ~ /^lib/ { print $2 }' | sort -u)
    printf '%s\n' $wanted >libraries.txt
    need_packages libraries.txt
fi
