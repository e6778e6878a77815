#!/usr/bin/env bash
# Runs the tests: unit (with a throw-away PostgreSQL), then integration over the real processes.
# Ends with the closing lines of the runners. Usage: test/run.sh [unit|integration|all] (default all).
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
build=${BUILD:-build}
work=$(mktemp -d "${TMPDIR:-/tmp}/fte-test.XXXXXX")
failed=0

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
    DATABASE_URL=$url FTE_STATE_DIR=$work/state "$build/bin/test-unit" --jobs 1 || failed=1
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

case $what in
    unit) unit ;;
    integration) integration ;;
    all)
        unit
        integration
        ;;
    *)
        echo "usage: test/run.sh [unit|integration|all]" >&2
        exit 64
        ;;
esac
exit $failed
