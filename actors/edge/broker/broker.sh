#!/usr/bin/env bash
# Apache Kafka on this machine (KRaft, loopback only), for `make kafka`, for tests and for trying it out.
#
#   broker.sh start DIR [N]    fetches it once, formats the storage of N nodes (default 1; 1 or 3) if there is
#                              none, starts what isn't running, prints host:port[,host:port...]
#   broker.sh stop DIR         stops all of them (SIGTERM, then SIGKILL); fine if none runs
#   broker.sh watch DIR        starts whatever of it dies again, until SIGTERM; leaves it running
#   broker.sh kill DIR NODE    SIGKILL to one (1..3)
#   broker.sh pid DIR NODE     prints its process id
#   broker.sh address DIR      prints the addresses
#   broker.sh configs DIR ARGUMENT...   Kafka's own tool for settings (--entity-type topics --alter ...)
#   broker.sh fetch DIR        only fetches it
#
# All data is under DIR/kafka. The programs are Java archives from Maven Central, pinned by pom.xml and kept in
# FTE_KAFKA_LIB (default: build/kafka of the checkout). Each node takes about 330 MB. Environment:
# FTE_KAFKA_PORT (first of 2 ports a node; default: free ones, kept in DIR), FTE_KAFKA_HOST (the address that clients
# reach it by, when its storage is made; default 127.0.0.1), FTE_KAFKA_HEAP (256m), FTE_KAFKA_ADVERTISED (a port a
# node, separated by commas, by which clients reach it, where that isn't its own: a proxy of the tests).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)

usage() {
    sed -n '2,19s/^# \{0,1\}//p' "$0" >&2
    exit 64
}
[ $# -ge 2 ] || usage
verb=$1
mkdir -p "$2" || { echo "fte: cannot make the directory $2" >&2; exit 78; }
dir=$(cd "$2" && pwd)/kafka
lib=${FTE_KAFKA_LIB:-$root/build/kafka}
host=${FTE_KAFKA_HOST:-127.0.0.1}
wait_s=60

fail() {
    echo "fte: $2" >&2
    exit "$1"
}

# Whole or not at all: it is renamed when everything is there.
fetch() {
    local fresh=$lib.new.$$
    [ ! -e "$lib/kafka_2.13-3.9.1.jar" ] || return 0
    command -v mvn > /dev/null || fail 69 "mvn is missing: Debian's package maven has it"
    mkdir -p "$(dirname "$lib")"
    echo "fte: fetching Apache Kafka 3.9.1 (46 MB)" >&2
    if ! mvn -q -B -f "$here/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
        -DincludeScope=runtime "-DoutputDirectory=$fresh" > "$fresh.log" 2>&1; then
        sed -n 's/^\[ERROR\] *\(Failed.*\|.*[Uu]nknown host.*\)/fte: \1/p' "$fresh.log" | head -n 1 | cut -c 1-400 >&2
        rm -rf "$fresh" "$fresh.log"
        fail 69 "Apache Kafka could not be fetched from Maven Central: is there a network?"
    fi
    rm -f "$fresh.log"
    rm -rf "$lib"
    mv "$fresh" "$lib" 2> /dev/null || rm -rf "$fresh" # another start was quicker
}

java_run() {
    java -cp "$lib/*" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true \
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS" "$@"
}

free_ports() {
    if [ -n "${FTE_KAFKA_PORT:-}" ]; then
        seq "$FTE_KAFKA_PORT" "$((FTE_KAFKA_PORT + 2 * $1 - 1))"
        return
    fi
    /usr/bin/python3 - "$((2 * $1))" << 'PY'
import socket, sys
taken = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in taken:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in taken), sep="\n")
PY
}

# Node i listens on ports[2i] for clients and on ports[2i+1] for the quorum; both are kept in DIR.
configure() {
    local n=$1 i voters='' ports advertised
    mapfile -t ports < <(free_ports "$n")
    for ((i = 0; i < n; i++)); do
        voters+=${voters:+,}$((i + 1))@127.0.0.1:${ports[2 * i + 1]}
    done
    IFS=, read -r -a advertised <<< "${FTE_KAFKA_ADVERTISED:-}"
    mkdir -p "$dir.new"
    for ((i = 0; i < n; i++)); do
        mkdir -p "$dir.new/$((i + 1))"
        cat > "$dir.new/$((i + 1))/server.properties" << CONF
process.roles=broker,controller
node.id=$((i + 1))
listeners=CLIENT://$host:${ports[2 * i]},CONTROLLER://127.0.0.1:${ports[2 * i + 1]}
advertised.listeners=CLIENT://$host:${advertised[i]:-${ports[2 * i]}}
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
controller.quorum.voters=$voters
log.dirs=$dir/$((i + 1))/data
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=$n
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=$n
transaction.state.log.min.isr=$((n > 1 ? 2 : 1))
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=1500
num.network.threads=1
num.io.threads=2
log.cleaner.dedupe.buffer.size=4194304
controlled.shutdown.enable=$([ "$n" -gt 1 ] && echo true || echo false)
CONF
    done
    seq 1 "$n" > "$dir.new/nodes"
    for ((i = 0; i < n; i++)); do echo "$host:${ports[2 * i]}"; done | paste -sd, > "$dir.new/address"
    java_run kafka.tools.StorageTool random-uuid > "$dir.new/cluster-id" 2> /dev/null
    mv "$dir.new" "$dir"
}

pid_of() {
    local pid
    { read -r pid < "$dir/$1/pid"; } 2> /dev/null || return 1
    # The number may be somebody else's by now.
    { tr '\0' ' ' < "/proc/$pid/cmdline" | grep -qF "$dir/$1/server.properties"; } 2> /dev/null || return 1
    printf '%s\n' "$pid"
}

# Nobody listens there. A node that was killed a moment ago may still be on its way out.
free() {
    local i
    for ((i = 0; i < 50; i++)); do
        (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null || return 0
        sleep 0.1
    done
    return 1
}

boot() {
    local node=$1 port
    pid_of "$node" > /dev/null && return
    for port in $(sed -n '/^listeners=/s/[^,:]*:[^,:]*:\([0-9]*\)/ \1/gp' "$dir/$node/server.properties" | tr -d ,); do
        free "$port" || fail 69 "port $port of 127.0.0.1 is taken by another program"
    done
    if [ ! -e "$dir/$node/data/meta.properties" ]; then
        java_run kafka.tools.StorageTool format -t "$(cat "$dir/cluster-id")" \
            -c "$dir/$node/server.properties" > "$dir/$node/format.log" 2>&1 ||
            { tail -n 5 "$dir/$node/format.log" >&2; exit 69; }
    fi
    # A session of its own: it outlives the terminal that started it, as PostgreSQL does.
    (cd / && exec setsid java -cp "$lib/*" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn "-Xmx${FTE_KAFKA_HEAP:-256m}" \
        -Xms64m -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError kafka.Kafka \
        "$dir/$node/server.properties" >> "$dir/$node/server.log" 2>&1 < /dev/null) &
    echo $! > "$dir/$node/pid"
}

# An answer to ApiVersions is what makes it a broker; a port that is open may be nobody yet.
wait_for() {
    /usr/bin/python3 - "$1" "$wait_s" << 'PY'
import socket, struct, sys, time
end = time.monotonic() + float(sys.argv[2])
host, port = sys.argv[1].rsplit(":", 1)
ask = struct.pack(">hhih", 18, 0, 1, 3) + b"fte"
while time.monotonic() < end:
    try:
        with socket.create_connection((host, int(port)), 1) as s:
            s.sendall(struct.pack(">i", len(ask)) + ask)
            if len(s.recv(4)) == 4:
                sys.exit(0)
    except OSError:
        pass
    time.sleep(0.05)
sys.exit(1)
PY
}

start() {
    local n=${1:-1} node address
    case $n in 1 | 3) ;; *) usage ;; esac
    command -v java > /dev/null || fail 69 "java is missing: Debian's package openjdk-17-jre-headless has it"
    fetch
    [ -e "$dir/address" ] || configure "$n"
    [ "$(wc -l < "$dir/nodes")" -eq "$n" ] || [ $# -eq 0 ] ||
        fail 78 "$dir holds a Kafka of $(wc -l < "$dir/nodes") nodes, and $n are wanted: remove it, or ask for as many"
    while read -r node; do
        boot "$node"
    done < "$dir/nodes"
    while IFS= read -r address; do
        wait_for "$address" || {
            tail -n 5 "$dir"/*/server.log >&2
            fail 69 "Kafka does not answer on $address"
        }
    done < <(tr ',' '\n' < "$dir/address")
    cat "$dir/address"
}

stop() {
    local node pid pids=() i
    [ -e "$dir/nodes" ] || return 0
    while read -r node; do
        pid=$(pid_of "$node") && pids+=("$pid") && kill "$pid" 2> /dev/null
    done < "$dir/nodes"
    for ((i = 0; i < 200; i++)); do
        kill -0 "${pids[@]}" 2> /dev/null || return 0
        sleep 0.05
    done
    kill -KILL "${pids[@]}" 2> /dev/null || true
}

watch() {
    local nap node
    exec {nap}<> <(:) # nothing is ever written to it: a place to wait without a process
    trap 'exit 0' TERM INT HUP
    while :; do
        while read -r node; do
            boot "$node"
        done < "$dir/nodes"
        read -r -t 0.5 -u "$nap" || true
    done
}

case $verb in
    start) start "${@:3:1}" ;;
    fetch) fetch ;;
    stop) stop ;;
    watch) watch ;;
    kill) kill -KILL "$(pid_of "${3:-1}")" ;;
    pid) pid_of "${3:-1}" ;;
    address) cat "$dir/address" ;;
    configs) java_run kafka.admin.ConfigCommand --bootstrap-server "$(cat "$dir/address")" "${@:3}" ;;
    *) usage ;;
esac
