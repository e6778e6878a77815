#!/usr/bin/env bash
# Installs the Debian packages of packages.txt that are missing. Usage: supervisor/setup.sh SECTION...
# Quiet when there is nothing to do; needs root or sudo only when there is.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

wanted() {
    local section="" line name
    while IFS= read -r line; do
        case $line in
            '#'* | '') continue ;;
            '['*) section=${line//[\[\]]/} ;;
            *)
                name=${line%% *}
                # NAME? = not where a program of that name is there already, from wherever
                case $name in
                    *'?')
                        name=${name%?}
                        command -v "$name" > /dev/null && continue
                        ;;
                esac
                for s in "$@"; do
                    [ "$s" = "$section" ] && echo "$name"
                done
                ;;
        esac
    done < "$root/packages.txt"
    return 0
}

mapfile -t names < <(wanted "$@")
# One question for all: this runs at every start. A package that dpkg doesn't know isn't in the answer.
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${names[@]}" 2> /dev/null || true)
missing=()
for name in "${names[@]}"; do
    case $'\n'$installed$'\n' in
        *$'\n'"installed $name"$'\n'*) ;;
        *) missing+=("$name") ;;
    esac
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo > /dev/null; then
        echo "fte: these Debian packages are missing, and this user can't install them: ${missing[*]}" >&2
        exit 78
    fi
    sudo=(sudo)
fi
echo "fte: installing ${#missing[@]} Debian packages: ${missing[*]}"
log=$(mktemp)
install_missing() {
    # The private cluster is all we want of PostgreSQL: its package must not make one of its own.
    if [ ! -d /etc/postgresql-common ]; then
        "${sudo[@]}" mkdir -p /etc/postgresql-common/createcluster.d
        echo "create_main_cluster = false" |
            "${sudo[@]}" tee /etc/postgresql-common/createcluster.d/fte.conf
    fi
    "${sudo[@]}" apt-get update -q &&
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
            "${missing[@]}"
}
if ! install_missing > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "fte: installing Debian packages failed (all output: $log)" >&2
    exit 69
fi
rm -f "$log"
