#!/usr/bin/env bash
# A private PostgreSQL 15 cluster in a state directory: Unix socket only, never the system's cluster.
#
#   db/cluster.sh start DIR    makes it if there is none, starts it if it isn't running, prints its URL
#   db/cluster.sh stop DIR     stops it (fast shutdown); fine if it isn't running
#   db/cluster.sh url DIR      prints its URL
#   db/cluster.sh watch DIR    starts it, and again whenever it dies, until SIGTERM; leaves it running
#
# PostgreSQL refuses to run as root: then it runs as the user `postgres` of Debian's package. The URL
# is kept in DIR/database-url. Environment: FTE_PG_BIN (default /usr/lib/postgresql/15/bin).
set -euo pipefail

usage() {
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 64
}
[ $# -eq 2 ] || usage
verb=$1
bin=${FTE_PG_BIN:-/usr/lib/postgresql/15/bin}
mkdir -p "$2" || { echo "fte: cannot make the state directory $2" >&2; exit 78; }
dir=$(cd "$2" && pwd)
data=$dir/pg
[ -x "$bin/postgres" ] || { echo "fte: no PostgreSQL 15 in $bin" >&2; exit 78; }

# The path of a socket has at most 107 bytes (unix(7)) and must be reachable for the server's user,
# so it lives in a directory of its own, 0700, named after the state directory.
tag=$(printf '%s' "$dir" | sha256sum | cut -c1-12)
base=/tmp
[ "$(id -u)" -eq 0 ] && [ -w /run ] && base=/run
[ "$(id -u)" -ne 0 ] && [ -d "${XDG_RUNTIME_DIR:-}" ] && base=$XDG_RUNTIME_DIR
sockets=$base/fte-$(id -u)-$tag
url="postgresql:///fte?host=$sockets&user=fte"

# as_server COMMAND...: as a user that PostgreSQL accepts. A checkout below a directory that this user
# may not enter (/root) is reached with one capability: to search and read, nothing else.
as_server() {
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
        return
    fi
    local caps=()
    if ! setpriv --reuid=postgres --regid=postgres --clear-groups test -x "$dir" 2> /dev/null; then
        caps=(--inh-caps=+dac_read_search --ambient-caps=+dac_read_search)
    fi
    # Not from the caller's directory: the server's user may not be allowed to stand there.
    (cd / && setpriv --reuid=postgres --regid=postgres --clear-groups "${caps[@]}" "$@")
}

own() {
    mkdir -p "$1"
    # A name in /tmp can be guessed: what another user has put there is not ours to use.
    if [ -L "$1" ] || ! [ -O "$1" ] && [ "$(stat -c %U "$1")" != postgres ]; then
        echo "fte: $1 belongs to somebody else" >&2
        exit 78
    fi
    chmod 700 "$1"
    [ "$(id -u)" -ne 0 ] || chown postgres:postgres "$1"
}

# True if the server of this data lives: the process in its file stands in the data directory, and is
# not one that was killed and waits to be reaped (pg_ctl status takes a zombie for a server, and a
# number that somebody else has got since). Starts no process: it is asked five times a second.
running() {
    local pid word state='' rest
    { read -r pid < "$data/postmaster.pid"; } 2> /dev/null || return 1
    [ "/proc/$pid/cwd" -ef "$data" ] || return 1
    while read -r word state rest; do
        [ "$word" = State: ] && break
    done 2> /dev/null < "/proc/$pid/status" || return 1
    [ "$state" != Z ]
}

make_cluster() {
    local fresh=$dir/pg.new
    rm -rf "$fresh"
    own "$fresh"
    as_server "$bin/initdb" -D "$fresh" -U fte -A trust -E UTF8 --locale=C.UTF-8 \
        > "$dir/initdb.log" 2>&1 || { tail -n 5 "$dir/initdb.log" >&2; exit 69; }
    cat >> "$fresh/postgresql.conf" << 'CONF'
# --- fte: durable (the defaults, said aloud) and fit for a small machine ---
fsync = on
synchronous_commit = on
full_page_writes = on
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 60
shared_buffers = 256MB
wal_buffers = 16MB
max_wal_size = 4GB
min_wal_size = 512MB
checkpoint_timeout = 15min
wal_compression = lz4
random_page_cost = 1.1
jit = off
autovacuum_naptime = 15s
log_min_messages = warning
log_timezone = UTC
timezone = UTC
CONF
    # Renamed when whole: a start that was killed half-way begins again.
    mv "$fresh" "$data"
}

# Backends of a server that was killed may need a moment to notice, and PostgreSQL refuses as long.
boot() {
    local try
    for try in 1 2 3 4 5 6 7 8 9 10; do
        as_server "$bin/pg_ctl" start -w -t 60 -s -D "$data" -l "$data/server.log" \
            -o "-c unix_socket_directories='$sockets'" < /dev/null > "$dir/pg_ctl.log" 2>&1 && return 0
        tail -n 5 "$data/server.log" 2> /dev/null | grep -q 'shared memory block' || return 1
        sleep 0.$try
    done
    return 1
}

# A server that was killed is back before its clients have tried three times.
watch() {
    local nap
    exec {nap}<> <(:) # nothing is ever written to it: a place to wait without a process
    trap 'exit 0' TERM INT HUP
    while :; do
        running || (start) > /dev/null || true
        read -r -t 0.2 -u "$nap" || true
    done
}

start() {
    [ -f "$data/PG_VERSION" ] || make_cluster
    own "$sockets"
    if ! running; then
        # The server died without tidying up. Whether another one still uses the data PostgreSQL finds
        # out by itself, by the key of its shared memory.
        rm -f "$data/postmaster.pid"
        rm -f "$sockets"/.s.PGSQL.5432*
        boot || { cat "$dir/pg_ctl.log" >&2; tail -n 5 "$data/server.log" >&2; exit 69; }
    fi
    # Also where the checkout has been moved: the name of the socket's directory follows its path.
    if [ "$(cat "$dir/database-url" 2> /dev/null)" != "$url" ]; then
        as_server "$bin/psql" -X -q -h "$sockets" -U fte -d postgres -v ON_ERROR_STOP=1 -t \
            -c "select 1 from pg_database where datname = 'fte'" | grep -q 1 ||
            as_server "$bin/createdb" -h "$sockets" -U fte fte
        (umask 077 && printf '%s\n' "$url" > "$dir/database-url.new")
        mv "$dir/database-url.new" "$dir/database-url"
    fi
    printf '%s\n' "$url"
}

case $verb in
    start) start ;;
    stop)
        if [ -d "$data" ] && running; then
            as_server "$bin/pg_ctl" stop -s -w -t 30 -m fast -D "$data" ||
                as_server "$bin/pg_ctl" stop -s -w -t 10 -m immediate -D "$data"
        fi
        rm -rf "$sockets"
        ;;
    watch) watch ;;
    url) printf '%s\n' "$url" ;;
    *) usage ;;
esac
