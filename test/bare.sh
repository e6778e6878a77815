#!/usr/bin/env bash
# The first sentence of the README, tried: a bare Debian 12 in a directory, a fresh clone of what is
# committed in it, `make run` until it serves and answers, `make test`. Needs root and debootstrap.
#
#   test/bare.sh [DIR]          everything (default DIR: a temporary one, deleted if all went well)
#   test/bare.sh DIR run        only as root: make run
#   test/bare.sh DIR user       only as a user with sudo: make run
#   test/bare.sh DIR test       only as a user with sudo: make test
#
# DIR/base keeps the bare system for the next time. Environment: BARE_MIRROR (default: the first
# mirror of this machine's apt), BARE_PORT (8080). How this machine reaches its package registries
# (resolv.conf, apt, pip, npm, certificates) is copied in. It takes a quarter of an hour on a small
# machine, so it is not part of `make test`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
clone="/srv/a path with spaces/fte"
port=${BARE_PORT:-8080}

say() { printf 'bare: %s\n' "$*"; }
fail() {
    printf 'bare: %s\n' "$*" >&2
    exit 1
}

# --- outside -----------------------------------------------------------------------------------

mirror() {
    sed -nE -e 's/^URIs:[[:space:]]*([^ ]+).*/\1/p' -e 's/^deb (\[[^]]*\] )?([^ ]+) .*/\2/p' \
        /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list \
        2> /dev/null | grep -v -e security -e '^$' | head -n 1
}

# What a machine has to know to reach its registries; nothing else of this one.
copy_network() {
    local root=$1 file authorities=/etc/ssl/certs/ca-certificates.crt
    for file in /etc/resolv.conf /etc/pip.conf /root/.npmrc; do
        [ ! -e "$file" ] || install -D -m 644 "$(readlink -f "$file")" "$root$file"
    done
    for file in /etc/apt/apt.conf.d/*; do
        ! grep -qiE 'proxy|check-(date|valid)|ca-?info' "$file" || cp "$file" "$root/etc/apt/apt.conf.d/"
    done
    # Under a name of its own: Debian's package of them writes the usual one.
    [ ! -e "$authorities" ] || install -m 644 "$authorities" "$root/etc/bare-authorities.crt"
    {
        env | grep -iE '^(https?|no)_proxy=|^PIP_(INDEX_URL|TRUSTED_HOST)=' || true
        for file in SSL_CERT_FILE PIP_CERT NODE_EXTRA_CA_CERTS npm_config_cafile; do
            echo "$file=/etc/bare-authorities.crt"
        done
    } > "$root/etc/bare-environment"
}

make_base() {
    local base=$1 from=${BARE_MIRROR:-$(mirror)}
    [ ! -e "$base/etc/debian_version" ] || return 0
    say "a bare Debian 12 from ${from:=http://deb.debian.org/debian}"
    rm -rf "$base.new"
    debootstrap --variant=minbase bookworm "$base.new" "$from" > "$base.log" 2>&1 ||
        fail "debootstrap failed, see $base.log"
    mv "$base.new" "$base"
}

# inside DIR NAME STEP: in a fresh copy of the bare system, with processes and host name of its own.
inside() {
    local dir=$1 name=$2 root=$1/$2 begun=$SECONDS
    shift 2
    rm -rf --one-file-system "$root"
    cp -a "$dir/base" "$root"
    copy_network "$root"
    git -C "$here" bundle create -q "$root/srv/fte.bundle" HEAD
    cp "$here/test/bare.sh" "$root/srv/bare.sh"
    say "$name: begins"
    # shellcheck disable=SC2016
    BARE_PORT=$port unshare --mount --pid --uts --fork --kill-child bash -c '
        set -e
        hostname bare
        mount --bind "$1" "$1"
        mount -t proc proc "$1/proc"
        mount --rbind /sys "$1/sys"
        mount --rbind /dev "$1/dev"
        mount -t tmpfs -o mode=755 run "$1/run"
        mount -t tmpfs -o mode=1777 shm "$1/dev/shm" 2> /dev/null || true
        exec chroot "$1" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
            BARE_PORT="$BARE_PORT" bash /srv/bare.sh --inside "$2"' bash "$root" "$1" < /dev/null
    say "$name: well, after $((SECONDS - begun)) s"
    rm -rf --one-file-system "$root"
}

# --- inside ------------------------------------------------------------------------------------

# What README says a bare Debian needs before the first command.
prepare() {
    apt-get update -q > /dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y git make > /dev/null 2>&1
    mkdir -p "${clone%/*}"
    git -c advice.detachedHead=false clone -q /srv/fte.bundle "$clone"
    cd "$clone"
}

make_user() {
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y sudo > /dev/null 2>&1
    useradd -m -s /bin/bash ann
    echo 'ann ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ann
    chown -R ann: "${clone%/*}"
    [ ! -e /root/.npmrc ] || install -o ann -m 644 /root/.npmrc /home/ann/.npmrc
}

# as WHO COMMAND...: with the environment of a login, and how this machine reaches registries.
as() {
    local who=$1 more=()
    shift
    mapfile -t more < /etc/bare-environment
    setpriv --reuid="$who" --regid="$who" --init-groups env -i PATH="$PATH" USER="$who" \
        HOME="$(getent passwd "$who" | cut -d: -f6)" "${more[@]}" "$@"
}

# field NAME: of the JSON on standard input, where it is a text.
field() { sed -nE "s/.*\"$1\": ?\"([^\"]*)\".*/\1/p" | head -n 1; }

# asked WHAT STATUS: a message over HTTP, and its outcome.
asked() {
    local base=http://127.0.0.1:$port link status=''
    link=$(curl -sS -m 20 -H 'Content-Type: application/json' "$base/support/submit" \
        -d "{\"name\":\"Ann\",\"email\":\"ann.$RANDOM$RANDOM@example.org\",\"message\":\"$1\"}" | field status_url)
    for _ in $(seq 100); do
        status=$(curl -sS -m 20 -H 'Accept: application/json' "$base${link#"$base"}" | field status)
        [ "$status" != "$2" ] || { say "\"$1\": $status" && return 0; }
        sleep 0.2
    done
    fail "\"$1\": \"$status\" and not \"$2\""
}

# True, with their names, if processes of ours live.
left_running() { grep -HE '^(fte|postgres)' /proc/[0-9]*/comm 2> /dev/null; }

# serves WHO: make run as this user, from nothing to an answer, and a second time.
serves() {
    local who=$1 out=/srv/out begun code run
    for time in first second; do
        begun=$(date +%s%N)
        set -m # a process group of its own, which Ctrl-C can reach
        as "$who" FTE_HTTP_PORT="$port" make run > "$out" 2>&1 < /dev/null &
        run=$!
        set +m
        until grep -q 'fte is ready' "$out"; do
            kill -0 "$run" 2> /dev/null || { cat "$out" >&2 && fail "make run ended"; }
            sleep 0.05
        done
        say "make run as $who, $time time: ready after $((($(date +%s%N) - begun) / 1000000)) ms; it said:"
        sed 's/^/      /' "$out"
        asked "How do I write my own actor?" answered
        asked "I want a refund" escalated
        kill -INT -- "-$run" # as a terminal does on Ctrl-C
        code=0
        wait "$run" || code=$?
        say "Ctrl-C: exit code $code"
        ! left_running || fail "these are left running"
    done
}

inside_step() {
    local begun
    prepare
    case $1 in
        run) serves root ;;
        user)
            make_user
            serves ann
            ;;
        test)
            make_user
            begun=$SECONDS
            as ann make test
            say "make test as ann: passed, after $((SECONDS - begun)) s"
            ;;
    esac
}

# --- story -------------------------------------------------------------------------------------

if [ "${1:-}" = --inside ]; then
    inside_step "$2"
    exit 0
fi
[ "$(id -u)" -eq 0 ] || fail "needs root (unshare, chroot)"
command -v debootstrap > /dev/null || fail "apt-get install debootstrap"
temporary=''
[ $# -gt 0 ] || temporary=$(mktemp -d /var/tmp/fte-bare.XXXXXX)
dir=${1:-$temporary}
mkdir -p "$dir"
make_base "$dir/base"
for step in ${2:-run user test}; do
    inside "$dir" "$step" "$step"
done
[ -z "$temporary" ] || rm -rf --one-file-system "$temporary"
