# SPDX-License-Identifier: ISC
# The parts of ./demo, in the order in which it uses them. Sourced by it after lib.sh.

demo="$ROOT/demo.d"
posthorn_runs=no dovecot_pid= postgres_pid=

step() { printf '\n== %s\n' "$*"; }

# wait_until SECONDS COMMAND...: true as soon as COMMAND is.
wait_until() {
    tries=$(($1 * 20))
    shift
    while ! "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.05
    done
}

# A fresh demo.d/ and the ids that everything runs with: its own users as root, ourselves otherwise.
prepare_directory() {
    if alive; then
        die "another demo is running here (pid $(tr -d ' ' <"$demo/queue/pid/master.pid"))"
    fi
    make_demo_directory
    mkdir "$demo/conf" "$demo/mail"
    chmod 755 "$demo" "$demo/conf"
    if is_root; then
        owner=postfix group=postdrop
        mail_uid=${SUDO_UID:-$(id -u nobody)} mail_gid=${SUDO_GID:-$(id -g nobody)}
        [ "$mail_uid" != 0 ] || { mail_uid=$(id -u nobody) mail_gid=$(id -g nobody); }
        chown "$mail_uid:$mail_gid" "$demo/mail"
    else
        owner=$(id -un) group=$(id -gn) mail_uid=$(id -u) mail_gid=$(id -g)
    fi
    port=$(free_port)
    submission_port=$(free_port $((port + 1)))
    password=horn
}

# As root the servers change to users who must be able to reach the directory. Where the tree is closed to them
# (/root), it lies in /tmp, and demo.d points to it.
make_demo_directory() {
    case "$(readlink "$demo" 2>/dev/null)" in
    /tmp/posthorn-demo.*) rm -rf "$(readlink "$demo")" ;;
    esac
    rm -rf "$demo"
    if ! is_root || others_may_enter "$ROOT"; then
        mkdir "$demo"
    else
        elsewhere=$(mktemp -d /tmp/posthorn-demo.XXXXXX)
        ln -s "$elsewhere" "$demo"
        demo=$elsewhere
    fi
}

# Every directory above needs "x".
others_may_enter() {
    above=$1
    while [ "$above" != / ]; do
        case "$(stat -c %A "$above")" in
        *[xt]) above=$(dirname "$above") ;;
        *) return 1 ;;
        esac
    done
}

# free_port [FIRST]: one on which nobody listens. /proc/net/tcp lists the taken ones in hexadecimal.
free_port() {
    candidate=${1:-$((20000 + $$ % 10000))}
    while grep -qi ":$(printf %04X "$candidate") 0*:0000 0A" /proc/net/tcp /proc/net/tcp6 2>/dev/null; do
        candidate=$((candidate + 1))
    done
    printf '%s\n' "$candidate"
}

# fill TEMPLATE TARGET: replaces @NAME@.
fill() {
    sed -e "s|@DEMO@|$demo|g" -e "s|@OWNER@|$owner|g" -e "s|@GROUP@|$group|g" -e "s|@TABLE@|$table|g" \
        -e "s|@TRANSPORT@|$transport|g" -e "s|@MAIL_UID@|$mail_uid|g" -e "s|@MAIL_GID@|$mail_gid|g" \
        -e "s|@DOVECOT_USER@|${dovecot_user:-}|g" -e "s|@DOVECOT_GROUP@|${dovecot_group:-}|g" \
        -e "s|@DOVECOT_LOGIN@|${dovecot_login:-}|g" -e "s|@SOCKET_OWNER@|${socket_owner:-}|g" \
        -e "s|@ROOTLESS@|${rootless:-}|g" "$1" >"$2"
}

write_configuration() {
    if [ "$full" = yes ]; then
        table=pgsql transport=lmtp:unix:private/dovecot-lmtp
    else
        table=sqlite transport=virtual
    fi
    fill etc/demo/main.cf.in "$demo/conf/main.cf"
    # The sample of etc/, but on high ports of 127.0.0.1 only, and without the second service where people log in.
    sed -e "s/^smtp  *inet/127.0.0.1:$port inet/" -e "s/^submission  *inet/127.0.0.1:$submission_port inet/" \
        -e '/^submissions/,/^pickup/{/^pickup/!d;}' etc/master.cf >"$demo/conf/master.cf"
    write_credentials
    mkdir "$demo/conf/$table"
    for name in domains mailboxes aliases senders; do
        sed -e "s|^dbpath = .*|dbpath = $demo/mail.sqlite|" -e "s|^hosts = .*|hosts = 127.0.0.1:${postgres_port:-0}|" \
            "etc/$table/$name.cf" >"$demo/conf/$table/$name.cf"
    done
    if [ "$full" = no ]; then
        sqlite3 -bail "$demo/mail.sqlite" <etc/schema.sqlite.sql
        sqlite3 -bail "$demo/mail.sqlite" <etc/demo/data.sql
    fi
}

# A certificate that signed itself, and Cyrus SASL's password file with one login.
write_credentials() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=demo.example.test \
        -addext subjectAltName=DNS:demo.example.test -keyout "$demo/conf/key.pem" -out "$demo/conf/cert.pem" 2>/dev/null ||
        die "openssl made no certificate"
    mkdir "$demo/conf/sasl"
    printf '%s\n' "pwcheck_method: auxprop" "auxprop_plugin: sasldb" "sasldb_path: $demo/conf/sasl/sasldb2" "mech_list: PLAIN LOGIN" \
        >"$demo/conf/sasl/smtpd.conf"
    printf %s "$password" | "$(command -v saslpasswd2 || printf /usr/sbin/saslpasswd2)" -p -c -f "$demo/conf/sasl/sasldb2" \
        -u example.test anna >/dev/null 2>&1 || die "saslpasswd2 made no password file"
    ! is_root || chown "$owner:$group" "$demo/conf/sasl/sasldb2"
}

# --- the dialogue -------------------------------------------------------------------------------------------------

answers() { bash -c "exec 3<>/dev/tcp/127.0.0.1/$port && read -r -t 5 <&3 && printf 'QUIT\\r\\n' >&3 && read -r -t 5 <&3"; }

# One SMTP session, shown line by line: > is what we say, < what the server answers.
converse() { bash "$ROOT/tools/smtp-dialogue.bash" "$port" | tee "$demo/dialogue" && grep -q '^< 250 2.0.0 Ok: queued as' "$demo/dialogue"; }

# The same for port 587: refused without TLS, refused without a login, taken with both.
converse_as_user() {
    bash "$ROOT/tools/submission-dialogue.bash" "$submission_port" "$demo/conf/cert.pem" "anna@example.test" "$password" |
        tee "$demo/dialogue" && grep -q '^< 250 2.0.0 Ok: queued as' "$demo/dialogue"
}

# delivered COUNT: the messages, when there are so many.
delivered() { messages=$(find "$demo/mail" -path '*/new/*' -type f) && [ "$(printf '%s\n' "$messages" | grep -c .)" = "$1" ] && printf '%s\n' "$messages"; }
received_by() { find "$demo/mail" -path "*/$1/*" -path '*/new/*' -type f; }

queue_id() { sed -n 's/^< 250 2.0.0 Ok: queued as \([^[:space:]]*\).*/\1/p' "$demo/dialogue"; }
logged_removal() { grep -q "$(queue_id): removed" "$demo/maillog"; }
log_lines() { # after the lines of our own first look at the port
    sleep 0.3
    wc -l <"$demo/maillog"
}

# The supervisor runs. (In a container whose first process collects nobody, an ended one stays as a zombie.)
alive() {
    pid=$(tr -d ' \n' 2>/dev/null <"$demo/queue/pid/master.pid") || return 1
    [ -n "$pid" ] && grep -q '^State:[[:space:]]*[^ZX]' "/proc/$pid/status" 2>/dev/null
}

ended() { ! alive; }

show_log_and_die() {
    [ ! -f "$demo/maillog" ] || tail -n 40 "$demo/maillog" >&2
    [ ! -f "$demo/dovecot/log" ] || tail -n 10 "$demo/dovecot/log" >&2
    die "$1 (log: demo.d/maillog)"
}

# --- the neighbours of --full ---------------------------------------------------------------------------------------

start_postgresql() {
    step "Starting a private PostgreSQL"
    postgres_bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    postgres_port=$(free_port $((submission_port + 1)))
    as_postgres=
    mkdir "$demo/postgresql"
    if is_root; then # it refuses to run as root
        chown postgres: "$demo/postgresql"
        as_postgres="setpriv --reuid=postgres --regid=postgres --clear-groups"
    fi
    (cd / && $as_postgres "$postgres_bin/initdb" -D "$demo/postgresql/data" -U postgres -A trust -N --no-locale \
        -E UTF8 >/dev/null) || die "initdb failed"
    (cd / && exec $as_postgres "$postgres_bin/postgres" -D "$demo/postgresql/data" -h 127.0.0.1 -p "$postgres_port" \
        -k "$demo/postgresql") >"$demo/postgres.log" 2>&1 </dev/null &
    postgres_pid=$!
    wait_until 20 "$postgres_bin/pg_isready" -q -h "$demo/postgresql" -p "$postgres_port" ||
        die "PostgreSQL did not start, see demo.d/postgres.log"
    psql_demo postgres -c 'CREATE DATABASE mail' -c "CREATE ROLE posthorn LOGIN PASSWORD 'change-me'"
    psql_demo mail -f etc/schema.postgresql.sql -f etc/demo/data.sql \
        -c 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO posthorn'
}

psql_demo() {
    database=$1
    shift
    "$postgres_bin/psql" -h 127.0.0.1 -p "$postgres_port" -U postgres -d "$database" -X -q -v ON_ERROR_STOP=1 "$@"
}

start_dovecot() {
    step "Starting a private Dovecot"
    if is_root; then
        dovecot_user=dovecot dovecot_group=dovecot dovecot_login=dovenull socket_owner="user = $owner"
    else # without root nothing can be chrooted
        dovecot_user=$(id -un) dovecot_group=$(id -gn) dovecot_login=$(id -un)
        rootless='service anvil {\n  chroot =\n}\nservice stats {\n  chroot =\n}'
    fi
    mkdir -p "$demo/dovecot"
    case "$(/usr/sbin/dovecot --version)" in
    2.[0-3].*) fill etc/demo/dovecot.conf.in "$demo/dovecot/dovecot.conf" ;;
    *) fill etc/demo/dovecot-2.4.conf.in "$demo/dovecot/dovecot.conf" ;; # most settings have another name
    esac
    /usr/sbin/dovecot -F -c "$demo/dovecot/dovecot.conf" >>"$demo/dovecot/stderr" 2>&1 </dev/null &
    dovecot_pid=$!
    wait_until 10 test -S "$demo/queue/private/dovecot-lmtp" ||
        { cat "$demo/dovecot/stderr" >&2; die "Dovecot did not start"; }
}

# Also the end of Ctrl-C: the servers first, then their neighbours.
stop_everything() {
    status=$?
    trap - EXIT
    trap '' INT TERM
    [ "$posthorn_runs" = no ] || "$sbin/postfix" -c "$demo/conf" stop >/dev/null 2>&1 || status=1
    for pid in $dovecot_pid; do kill "$pid" 2>/dev/null && wait "$pid" || true; done
    for pid in $postgres_pid; do kill -INT "$pid" 2>/dev/null && wait "$pid" || true; done
    if [ "$posthorn_runs" = yes ]; then
        wait_until 10 ended && say "Stopped."
    fi
    exit "$status"
}
