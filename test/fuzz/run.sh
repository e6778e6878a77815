#!/usr/bin/env bash
# Runs fuzz targets that `make fuzz` has built, as many at a time as there are cores: test/fuzz/run.sh SECONDS TARGET...
# Starts from the seeds in the tree and from what earlier runs found (build/fuzz/corpus). An input that ends a
# target is printed, and its path; the last line counts.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=build/fuzz

# one SECONDS TARGET: leaves a file TARGET.failed where the target found something.
one() {
    local seconds=$1 target=$2 log=$out/$2.log input code=0
    local given=("test/fuzz/seeds/$target")
    mkdir -p "$out/corpus/$target"
    case $target in head | envelope) given+=(test/fixture/protocol) ;; esac
    rm -f "$out/$target"-{crash,leak,timeout,oom}-*
    "$out/bin/${target}_fuzz" -max_total_time="$seconds" -max_len=4096 -timeout=25 -rss_limit_mb=2048 \
        -dict="test/fuzz/$target.dict" -artifact_prefix="$out/$target-" -print_final_stats=1 \
        "$out/corpus/$target" "${given[@]}" > "$log" 2>&1 || code=$?
    # shellcheck disable=SC2016 # awk's own
    awk -v target="$target" -v seconds="$seconds" '
        match($0, /cov: [0-9]+/) { cov = substr($0, RSTART + 5, RLENGTH - 5) }
        /stat::number_of_executed_units/ { runs = $2 }
        /stat::peak_rss_mb/ { rss = $2 }
        END { printf "  FUZZ  %-10s %4d s  %9d runs  %5d edges  %4d MB\n", target, seconds, runs, cov, rss }' "$log"
    [ "$code" -ne 0 ] || return 0
    tail -n 60 "$log"
    for input in "$out/$target"-{crash,leak,timeout,oom}-*; do
        [ ! -e "$input" ] || printf 'fuzz: %s ends on %s, in base64:\n%s\n' "$target" "$input" "$(base64 "$input")"
    done
    touch "$out/$target.failed"
}

if [ "$1" = one ]; then
    one "$2" "$3"
    exit
fi
seconds=$1
shift
failed=0
rm -f "$out"/*.failed
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 test/fuzz/run.sh one "$seconds"
for target; do
    [ ! -e "$out/$target.failed" ] || failed=$((failed + 1))
done
echo "fuzz: $(($# - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
