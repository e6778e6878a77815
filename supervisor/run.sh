#!/usr/bin/env bash
# make run: from a bare Debian 12 to a page that answers, in the foreground until Ctrl-C.
#
#   packages -> build -> settings -> private PostgreSQL -> migrations -> knowledge base -> supervisor -> ready
#
# Whatever of it is killed is started again: actors by the supervisor, the supervisor and the watcher
# of the database from here. Ctrl-C (or SIGTERM) drains, then stops PostgreSQL; the data stays.
# Settings: FTE_STATE_DIR (default var/), FTE_HTTP_PORT (8080), DATABASE_URL (then no private cluster),
# FTE_CONFIG (a file of settings), FTE_RUN_TIMEOUT (seconds until it must be ready, 60). With KAFKA=1 also a
# private Apache Kafka (one node), which then keeps the log.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
build=${BUILD:-build}
fte=$root/$build/bin/fte
supervisor='' watcher='' broker_watcher='' stopping='' private='' kafka=${KAFKA:-}
broker=actors/edge/broker/broker.sh

say() { printf 'fte: %s\n' "$*" || true; } # also where nobody listens any more
fail() {
    local code=$1
    shift
    printf 'fte: %s\n' "$*" >&2
    exit "$code"
}

# setting NAME DEFAULT: from the environment, else from the file FTE_CONFIG, else the default.
setting() {
    local value=${!1:-}
    if [ -z "$value" ] && [ -r "${FTE_CONFIG:-}" ]; then
        value=$(sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*\(.*[^[:space:]]\)[[:space:]]*$/\1/p" \
            "$FTE_CONFIG" | head -n 1)
    fi
    printf '%s' "${value:-$2}"
}

# Builds; shows what it is at in one line of a terminal, and everything if it fails.
build_all() {
    local log line
    log=$(mktemp)
    [ -x "$fte" ] || say "building"
    if ! make --no-print-directory -j"$(nproc)" build 2>&1 | while IFS= read -r line; do
        printf '%s\n' "$line" >> "$log"
        if [ -t 1 ]; then printf '\r\033[K%.78s' "$line"; fi
    done; then
        printf '\n' && tail -n 40 "$log" >&2
        rm -f "$log"
        fail 1 "the build failed"
    fi
    if [ -t 1 ]; then printf '\r\033[K'; fi
    rm -f "$log"
}

# One line for each fault, before anything is made or started.
check_settings() {
    local code=0
    "$fte" check --settings || code=$?
    [ "$code" -eq 0 ] || exit 78
    timeout=$(setting FTE_RUN_TIMEOUT 60)
    FTE_PG_BIN=$(setting FTE_PG_BIN /usr/lib/postgresql/15/bin)
    FTE_STATE_DIR=$(umask 077 && state=$(setting FTE_STATE_DIR "$root/var") && mkdir -p "$state" && cd "$state" && pwd)
    export FTE_PG_BIN FTE_STATE_DIR
}

start_database() {
    local url
    url=$(setting DATABASE_URL '')
    if [ -n "$url" ]; then
        export DATABASE_URL=$url
        return
    fi
    private=yes
    [ -d "$FTE_STATE_DIR/pg" ] || say "creating a private PostgreSQL cluster in $FTE_STATE_DIR/pg"
    DATABASE_URL=$(db/cluster.sh start "$FTE_STATE_DIR") || fail 78 "the private PostgreSQL doesn't start"
    export DATABASE_URL
}

start_broker() {
    [ -n "$kafka" ] || return 0
    FTE_LOG_BACKEND=kafka
    FTE_KAFKA_BROKERS=$("$broker" start "$FTE_STATE_DIR") || fail 78 "the private Kafka doesn't start"
    export FTE_LOG_BACKEND FTE_KAFKA_BROKERS
}

start_watcher() {
    [ -z "$kafka" ] || { "$broker" watch "$FTE_STATE_DIR" > /dev/null 2>> "$log" < /dev/null & broker_watcher=$!; }
    [ -z "$private" ] || { db/cluster.sh watch "$FTE_STATE_DIR" > /dev/null 2>> "$log" < /dev/null & watcher=$!; }
}

start_supervisor() {
    rm -f "$FTE_STATE_DIR/ready"
    "$fte" up 2>> "$log" < /dev/null &
    supervisor=$!
}

# What was said in the log since this start and concerns a person.
explain() {
    tail -c "+$((log_begin + 1))" "$log" | grep -vE '^time=[^ ]+ level=(debug|info|warn) ' |
        grep -vE ' actor=supervisor ' | sort -u | head -n 20 >&2 || true
}

# Until the file `ready` says so (supervisor/control.h).
wait_ready() {
    local word='' names='' until=$((SECONDS + timeout))
    while [ "$word" != ready ]; do
        [ -z "$stopping" ] || return 0
        if ! kill -0 "$supervisor" 2> /dev/null; then
            local code=0
            wait "$supervisor" || code=$?
            supervisor=''
            explain
            [ "$code" -eq 78 ] || say "the supervisor ended with exit code $code, see $log" >&2
            exit "$code"
        fi
        word='' names=''
        if [ -r "$FTE_STATE_DIR/ready" ]; then
            read -r word names < "$FTE_STATE_DIR/ready" || true
        fi
        if [ "$word" = misconfigured ]; then
            explain
            say "can't start: $names; nothing is left running" >&2
            exit 78
        fi
        if [ "$SECONDS" -ge "$until" ]; then
            explain
            say "not ready after $timeout s: $names; see $log" >&2
            exit 69
        fi
        read -r -t 0.02 -u "$never" || true
    done
}

# However it ends: what was started is stopped, PostgreSQL last. Ctrl-C also ends a program that is
# waited for just then; what was wanted is an end in good order all the same.
finish() {
    local code=$1 one
    trap '' INT TERM HUP EXIT
    set +e # the terminal may be gone
    if [ -n "$stopping" ]; then
        say "draining; the data stays in $FTE_STATE_DIR"
        code=0
    fi
    if [ -n "$supervisor" ] && kill -0 "$supervisor" 2> /dev/null; then
        kill -TERM "$supervisor" 2> /dev/null || true
        wait "$supervisor" 2> /dev/null || true
    fi
    for one in $watcher $broker_watcher; do
        kill -TERM "$one" 2> /dev/null || true
        wait "$one" 2> /dev/null || true
    done
    [ -z "$kafka" ] || "$broker" stop "$FTE_STATE_DIR" || true
    [ -z "$private" ] || db/cluster.sh stop "$FTE_STATE_DIR" || true
    exit "$code"
}

greet() {
    local url elsewhere=''
    [ "$FTE_STATE_DIR" = "$root/var" ] || printf -v elsewhere 'export FTE_STATE_DIR=%q\n%24s' "$FTE_STATE_DIR" ''
    url=$(setting FTE_PUBLIC_URL "http://127.0.0.1:$(setting FTE_HTTP_PORT 8080)")
    cat << TEXT

  fte is ready:  $url/

  Open the page and ask "How do I write my own actor?": the reply comes from docs/guide, with its
  source. Then write "I want a refund": no reply, but an escalation with its reason.

  In another terminal:  $elsewhere$build/bin/fte status      what every actor does
                        $build/bin/fte ticket list
                        kill -9 any process you like, and watch $build/bin/fte top
  Log: ${log#"$root"/}    Ctrl-C stops it in good order and keeps the data.

TEXT
}

# Until somebody wants it to stop. What dies is started again.
stay() {
    local code one last=-10
    while [ -z "$stopping" ]; do
        wait -n $supervisor $watcher $broker_watcher || true
        [ -z "$stopping" ] || break
        for one in $watcher $broker_watcher; do
            if ! kill -0 "$one" 2> /dev/null; then
                kill -TERM $watcher $broker_watcher 2> /dev/null || true
                start_watcher
                break
            fi
        done
        if ! kill -0 "$supervisor" 2> /dev/null; then
            code=0
            wait "$supervisor" || code=$?
            supervisor=''
            case $code in
                0) exit 0 ;; # fte drain
                78)
                    explain
                    exit 78
                    ;;
            esac
            say "the supervisor ended (exit code $code) and is started again"
            [ $((SECONDS - last)) -gt 5 ] || read -r -t 1 -u "$never" || true
            last=$SECONDS
            start_supervisor
        fi
    done
}

exec {never}<> <(:) # nothing is ever written to it: a place to wait a moment without a process
supervisor/setup.sh build run ${kafka:+kafka}
build_all
check_settings
if "$fte" status > /dev/null 2>&1; then
    fail 78 "it runs already on $FTE_STATE_DIR; \`$build/bin/fte drain\` stops it"
fi
log=$FTE_STATE_DIR/fte.log
[ "$(stat -c %s "$log" 2> /dev/null || echo 0)" -lt 20000000 ] || mv -f "$log" "$log.1"
(umask 077 && : >> "$log")
log_begin=$(stat -c %s "$log")
trap 'stopping=yes' INT TERM HUP
trap : PIPE
trap 'finish $?' EXIT
start_database
start_broker
"$fte" migrate > /dev/null || exit 78
"$fte" kb import docs/guide > /dev/null || exit 1
start_watcher
start_supervisor
wait_ready
[ -n "$stopping" ] || greet
stay
