#!/usr/bin/env bash
# Checks fte.pml with spin: every state that two faults can lead to, that every run ends (no cycle of states), and that
# each safeguard is needed (taken out, spin finds an error). Work goes to the directory given, or build/model.
# Ends with the line `model: N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")/../.."
model=$PWD/test/model/fte.pml
work=$PWD/${1:-build/model}
faults=${FAULTS:-2}
mutations="NO_FENCE NO_UNIQUE NO_GATE PASS_BEFORE_COMMIT COMMIT_BEYOND NO_REDELIVERY ANSWER_BEFORE_COMMIT
COMPOSE_RECOVERED NO_LEASE_CHECK"
mkdir -p "$work"

# verify NAME FAULTS "SPIN-OPTIONS" "COMPILER-OPTIONS" "PAN-OPTIONS": the verifier's words into NAME/log.
verify() {
    local dir=$work/$1
    rm -rf "$dir"
    mkdir -p "$dir"
    # shellcheck disable=SC2086 # lists of options
    (cd "$dir" && spin -a -DFAULTS="$2" $3 "$model" && gcc -w $4 -DCOLLAPSE -DNOCLAIM -DMEMLIM=3000 -o pan pan.c &&
        ./pan -m100000 -w22 $5) > "$dir/log" 2>&1 || true
}

# Complete, and without an error.
passes() {
    grep -q 'errors: 0' "$work/$1/log" && ! grep -q 'not completed\|too small' "$work/$1/log"
}

states() {
    sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' "$work/$1/log"
}

say() { # say NUMBER-OF-PROBLEMS WORDS
    if [ "$1" -eq 0 ]; then
        echo "  $2"
        passed=$((passed + 1))
    else
        echo "FAILED: $2"
        failed=$((failed + 1))
    fi
}

passed=0
failed=0
verify whole "$faults" "" "-O2 -DSAFETY" "" &
whole=$!
verify ends 1 "" "-O2 -DNP" "-l"
for mutation in $mutations; do
    verify "$mutation" "$faults" "-D$mutation" "-O0 -DSAFETY" ""
done
wait "$whole"
passes whole && code=0 || code=1
say "$code" "whole: $(states whole) states with $faults faults"
passes ends && code=0 || code=1
say "$code" "ends: no run is endless, $(states ends) states with 1 fault"
for mutation in $mutations; do
    # An error of the model, not of spin or of the compiler.
    grep -q 'errors: 1' "$work/$mutation/log" && code=0 || code=1
    found=$(sed -n 's/^pan:1: *//p' "$work/$mutation/log")
    say "$code" "$mutation: ${found:-not noticed}"
done
[ "$failed" -eq 0 ] || grep -h 'pan:\|rror' "$work"/{whole,ends}/log || true
echo "model: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
