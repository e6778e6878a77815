#!/usr/bin/env bash
# Runs the tests: unit (with a throw-away PostgreSQL), simulation, then integration over the real processes. Ends
# with the closing lines of the runners. Usage: test/run.sh [unit|simulation|integration|all|sanitized|threads]
# (default all). sanitized: with programs built by SAN=..., where any report is a failure; threads: the same with
# programs built by SAN=thread, and the tests of what has threads. Usage: test/run.sh threads [short]
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
build=${BUILD:-build}
work=$(mktemp -d "${TMPDIR:-/tmp}/fte-test.XXXXXX")
failed=0

# shellcheck disable=SC2317 # called by the trap
cleanup() {
    db/cluster.sh stop "$work/state" > /dev/null 2>&1 || true
    rm -rf "$work"
}
trap cleanup EXIT

unit() {
    local url
    url=$(db/cluster.sh start "$work/state")
    DATABASE_URL=$url "$build/bin/fte" migrate > /dev/null
    # One at a time: tests of the database share it.
    DATABASE_URL=$url FTE_STATE_DIR=$work/state FTE_BIN=$PWD/$build/bin "$build/bin/test-unit" --jobs 1 || failed=1
    db/cluster.sh stop "$work/state"
}

integration() {
    ls test/integration/*_test.py > /dev/null 2>&1 || return 0
    FTE_BIN=$PWD/$build/bin /usr/bin/python3 -m pytest -q -p no:cacheprovider test/contract test/docs \
        test/integration || failed=1
    # Every fault point, with programs that have them; and the checker that judges.
    FTE_BIN=$PWD/$build/bin FTE_FAULTS_BIN=$PWD/$build/faults/bin /usr/bin/python3 -m pytest -q \
        -p no:cacheprovider test/chaos || failed=1
}

# Edge, router and cores under a simulator, which must find mistakes that are made on purpose; and the protocol's model.
simulation() {
    make --no-print-directory sim || failed=1
    make --no-print-directory sim-mutants || failed=1
    make --no-print-directory model || failed=1
}

# Reports go to files, since neither the log nor the exit code of a killed process can be relied on.
sanitized() {
    local reports=$work/reports
    mkdir -m 0777 "$reports"
    export ASAN_OPTIONS=log_path=$reports/asan:detect_leaks=1:abort_on_error=0
    export UBSAN_OPTIONS=log_path=$reports/ubsan:print_stacktrace=1
    sanitized_tests
    count_reports "$reports"
}

count_reports() {
    local report
    for report in "$1"/*; do
        [ -e "$report" ] || continue
        failed=1
        head -n 60 "$report" >&2
    done
    echo "sanitizers: $(find "$1" -type f | wc -l) reports"
}

# Threads have the ingress (its gate and its workers), the edge on Kafka (librdkafka's) and whatever speaks ZeroMQ. Libraries are
# not instrumented: tsan.supp names them, each with its reason.
threads() {
    local reports=$work/reports
    local tests=(test/integration/http_test.py test/integration/flow_test.py test/integration/edge_test.py)
    local part=(-k "not shown_back and not unsound")
    [ "$1" != short ] || part=(-k "double_click or 150_keep_alive or slow_clients or dispatched_once and PostgresLog")
    mkdir -m 0777 "$reports"
    export TSAN_OPTIONS=log_path=$reports/tsan:exitcode=0:second_deadlock_stack=1:history_size=4:suppressions=$PWD/test/tsan.supp
    FTE_BIN=$PWD/$build/bin /usr/bin/python3 -m pytest -q -p no:cacheprovider "${tests[@]}" "${part[@]}" || failed=1
    count_reports "$reports"
}

# The programs' own tests, without those of the checkout (make run, the documents), of the browser, and those where
# nothing new of a program is reached: kills, many workers, whole nodes and hosts.
sanitized_tests() {
    local file left_out=()
    unit
    # It warns of coroutines in its reports' files; what a simulation leaves behind is the killed processes' own.
    ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS='' "$build/bin/sim" --steps 1000000 || failed=1
    for file in run browser scale nodes hosts edge_restart topic_size quota; do
        left_out+=(--ignore "test/integration/${file}_test.py")
    done
    FTE_BIN=$PWD/$build/bin /usr/bin/python3 -m pytest -q -p no:cacheprovider test/contract test/integration \
        "${left_out[@]}" || failed=1
}

case $what in
    sanitized) sanitized ;;
    threads) threads "${2:-all}" ;;
    unit) unit ;;
    integration) integration ;;
    simulation) simulation ;;
    all)
        unit
        simulation
        integration
        ;;
    *)
        echo "usage: test/run.sh [unit|simulation|integration|all|sanitized|threads [short]]" >&2
        exit 64
        ;;
esac
exit $failed
