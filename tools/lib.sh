# SPDX-License-Identifier: ISC
# Shell helpers of ./demo, ./check and tools/*: sourced, never run. Needs $ROOT, the top of the tree.
# Nothing here starts a system service; packages are installed only by root, and only the missing ones.

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

is_root() { [ "$(id -u)" = 0 ]; }

# packages FILE...: what these lists ask for, one word a line, comments removed. `a | b` becomes a|b: one of the two, since
# some packages have another name in another release of Debian or Ubuntu.
packages() { sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$@"; }

# missing_packages FILE...: those of them that are not installed, one a line.
missing_packages() {
    packages "$@" | sort -u | while read -r names; do
        case "$names" in
        *'|'*) name=$(choose_packages "$names") ;;
        *) name=$names ;;
        esac
        dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed ||
            printf '%s\n' "$names"
    done
}

# choose_packages NAMES...: of each a|b the first that apt can install; the first of all when it knows none.
choose_packages() {
    for names in "$@"; do
        chosen=
        for name in $(printf '%s' "$names" | tr '|' ' '); do
            LC_ALL=C apt-cache policy "$name" 2>/dev/null | grep -q '^  Candidate: [^(]' && chosen=$name && break
        done
        printf '%s\n' "${chosen:-${names%%|*}}"
    done
}

# need_packages FILE...: installs what is missing (root), or says what root must type (anybody else).
need_packages() {
    command -v dpkg-query >/dev/null || die "needs Debian's dpkg and apt; the package lists are in tools/"
    missing=$(missing_packages "$@" | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    if ! is_root; then
        say "These packages are missing. As root, type:"
        say "    apt-get install --no-install-recommends" $(choose_packages $missing)
        return 1
    fi
    say "Installing:" $(choose_packages $missing)
    apt_install_quietly $missing
}

# Packages such as dovecot-core start a daemon when they are installed. policy-rc.d (Debian policy, 9.3.3)
# keeps them from it for this one run; whatever stood there before is put back.
apt_install_quietly() {
    policy=/usr/sbin/policy-rc.d
    made_policy=no
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made_policy=yes
    fi
    enabled_before=$(list_enabled_services)
    trap 'restore_policy' EXIT INT TERM
    install_log=$(mktemp)
    if ! apt_install_once "$@" >"$install_log" 2>&1; then
        # Old package lists name files that the mirror no longer has.
        apt-get update >>"$install_log" 2>&1
        if ! apt_install_once "$@" >>"$install_log" 2>&1; then
            tail -n 20 "$install_log" >&2
            restore_policy
            die "apt-get could not install: $*"
        fi
    fi
    rm -f "$install_log"
    disable_new_services "$enabled_before"
    restore_policy
    trap - EXIT INT TERM
}

# Nobody sits at the questions of packages (tzdata, slapd, needrestart on Ubuntu), and another apt may be at work.
apt_install_once() {
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get install -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 $(choose_packages "$@") </dev/null
}

restore_policy() {
    [ "$made_policy" = no ] || rm -f "$policy"
    made_policy=no
}

list_enabled_services() {
    ls /etc/systemd/system/*.wants 2>/dev/null | sort -u
}

# What the packages enabled for the next boot is disabled again: we use the programs, not the services.
disable_new_services() {
    command -v systemctl >/dev/null || return 0
    list_enabled_services | while read -r unit; do
        case "$unit" in
        dovecot.service | postgresql.service | dovecot.socket | mariadb.service | slapd.service)
            printf '%s\n' "$1" | grep -qx "$unit" || systemctl disable "$unit" >/dev/null 2>&1
            ;;
        esac
    done
    return 0
}

# need_users: the mail owner and the set-gid group, as root only (an ordinary user runs everything as itself).
need_users() {
    is_root || return 0
    getent group postdrop >/dev/null || groupadd --system postdrop
    getent passwd postfix >/dev/null ||
        useradd --system --user-group --home-dir /var/spool/postfix --shell /usr/sbin/nologin postfix
}

# build_tree DIRECTORY [configure options]: an out-of-tree build, configured again only when the options or
# configure itself changed. Output goes to DIRECTORY/build.log.
build_tree() {
    directory=$1
    shift
    mkdir -p "$directory"
    log="$directory/build.log"
    : >"$log"
    if [ ! -x "$ROOT/configure" ] || [ "$ROOT/configure.ac" -nt "$ROOT/configure" ]; then
        (cd "$ROOT" && mkdir -p build-aux && autoreconf -i) >>"$log" 2>&1 || return 1
    fi
    wanted="${CC:-} ${CFLAGS:-} $*"
    if [ ! -f "$directory/config.status" ] || [ "$ROOT/configure" -nt "$directory/config.status" ] ||
        [ "$(cat "$directory/configured-with" 2>/dev/null)" != "$wanted" ]; then
        (cd "$directory" && "$ROOT/configure" -q "$@") >>"$log" 2>&1 || return 1
        printf '%s\n' "$wanted" >"$directory/configured-with"
    fi
    make -C "$directory" -j"$(nproc)" >>"$log" 2>&1
}

# install_tree BUILD: puts the programs under BUILD/inst (the prefix it was configured with).
install_tree() {
    make -C "$1" install >>"$1/build.log" 2>&1
}

seconds_now() { date +%s; }
