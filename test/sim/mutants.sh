#!/usr/bin/env bash
# Can the simulation fail? Makes one mistake after the other in copies of the sources (mutants.txt), and wants the
# simulation to find each. Called by `make sim-mutants`, which gives the commands:
#   SIM_CC="gcc flags" SIM_LD="gcc flags" SIM_OBJECTS="a.o ..." SIM_LIBS="..." test/sim/mutants.sh WORK-DIRECTORY
# Ends with the line `N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$1
steps=${STEPS:-60000000}
mkdir -p "$work"

# mutant NUMBER SIMULATION FILE SED WHAT: 0 where it was found.
mutant() {
    local dir=$work/$1 simulation=$2 file=$3 change=$4 what=$5 flags=() objects object
    mkdir -p "$dir"
    sed -e "$change" "$file" > "$dir/mutant.c"
    if cmp -s "$dir/mutant.c" "$file"; then
        echo "mutant: $file has no longer what line $1 of mutants.txt changes ($what)"
        return 1
    fi
    case $file in
        actors/edge/edge.c) flags=(-Dmain=edge_main) ;;
        actors/router/router.c) flags=(-Dmain=router_main) ;;
    esac
    objects=
    for object in $SIM_OBJECTS; do # the copy takes the place of its original
        case $object in
            */test/sim/"$(basename "$file" .c)"_main.o | */"${file%.c}.o") ;;
            *) objects+=" $object" ;;
        esac
    done
    # shellcheck disable=SC2086 # lists of words
    $SIM_CC "${flags[@]}" -w -c -o "$dir/mutant.o" "$dir/mutant.c" &&
        $SIM_LD -o "$dir/sim" "$dir/mutant.o" $objects $SIM_LIBS || return 1
    if timeout 120 "$dir/sim" --only "$simulation" --steps "$steps" > "$dir/log" 2>&1; then
        echo "mutant not found: $file without: $what"
        return 1
    fi
    # Found means that the simulation said so, not that something else went wrong.
    grep -q '^0 passed, 1 failed' "$dir/log" || {
        echo "mutant of $file: the simulation did not end"
        return 1
    }
    printf '  %-30s %-52s %s\n' "$file" "$what" "$(head -n 1 "$dir/log")"
    rm -f "$dir/sim"
}

# one LINE-NUMBER: of the list below.
one() {
    local line simulation file change what
    line=$(grep -v '^#' test/sim/mutants.txt | sed -n "$1p")
    IFS='~' read -r simulation file change what <<< "${line// | /\~}"
    mutant "$1" "$simulation" "$file" "$change" "$what"
}

if [ $# -eq 2 ]; then # called by xargs
    one "$2"
    exit
fi
all=$(grep -vc '^#' test/sim/mutants.txt)
status=0
# shellcheck disable=SC2016 # it is the inner shell's
seq "$all" | xargs -P "$(nproc)" -I{} bash -c '"$0" "$1" {} > "$1/{}.said" 2>&1 || touch "$1/{}.failed"' "$0" "$work" || status=1
for ((i = 1; i <= all; i++)); do cat "$work/$i.said"; done
failed=$(find "$work" -maxdepth 1 -name '*.failed' | wc -l)
rm -f "$work"/*.failed
echo "mutants: $((all - failed)) passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$status" -eq 0 ]
