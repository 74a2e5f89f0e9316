#!/usr/bin/env bash
# Loads the same data into influxdb3 and into VictoriaMetrics, in turn, and prints medians.
#
# Both servers get an empty directory on the same disk for every run, listen on loopback only and
# run with their defaults. They promise different things: influxdb3 acknowledges a write when it is
# on stable storage, VictoriaMetrics when it is in memory.
#
#   INFLUXDB3_BIN     the server           (target/release/influxdb3)
#   LOAD_TESTS_BIN    the driver           (target/release/load-tests)
#   PEER_BIN          the peer             (victoria-metrics, as Debian's package installs it)
#   PAIRS, ROWS, HOSTS                     (3, 1080000, 1000)
#   SCRATCH           parent of all data   (${TMPDIR:-/tmp}); it must not be a memory file system
#   RESULTS           lines of JSON        (a new file in SCRATCH, kept)

set -euo pipefail
cd "$(dirname "$0")/.."

server=${INFLUXDB3_BIN:-target/release/influxdb3}
driver=${LOAD_TESTS_BIN:-target/release/load-tests}
peer=${PEER_BIN:-victoria-metrics}
pairs=${PAIRS:-3}
rows=${ROWS:-1080000}
hosts=${HOSTS:-1000}
scratch=$(mktemp -d "${SCRATCH:-${TMPDIR:-/tmp}}/compare.XXXXXX")
results=${RESULTS:-$scratch.jsonl}

pid=
address=

fail() { echo "compare.sh: $*" >&2; exit 1; }

stop() {
    [ -n "$pid" ] || return 0
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 600); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    pid=
}

trap 'stop; rm -rf "$scratch"' EXIT

choose_address() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + RANDOM % 10000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            address=127.0.0.1:$port
            return
        fi
    done
    fail "no free port was found"
}

await_health() {
    for _ in $(seq 300); do
        curl -sf --max-time 2 "http://$address/health" >/dev/null && return
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 20 "$scratch/log" >&2
    fail "$1 did not come up"
}

# Starts a server, given as a name, on an empty directory.
start() {
    stop
    rm -rf "$scratch/data"
    sync
    choose_address
    case $1 in
        influxdb3)
            "$server" serve --node-id bench --object-store file --data-dir "$scratch/data" \
                --http-bind "$address" --without-auth >"$scratch/log" 2>&1 &
            ;;
        victoria-metrics)
            # The data set lies in 2016; the default keeps one month and would drop it.
            "$peer" -storageDataPath="$scratch/data" -httpListenAddr="$address" \
                -retentionPeriod=100y >"$scratch/log" 2>&1 &
            ;;
    esac
    pid=$!
    await_health "$1"
}

load() {
    "$driver" load --json "$results" --label "$1" --target "$2" --address "$address" \
        --pid "$pid" --hosts "$hosts" --rows "$rows"
}

expect_rows() {
    [ "$2" = "$rows" ] || fail "$1 holds ${2:-no} rows after $rows were acknowledged"
}

run_influxdb3() {
    start influxdb3
    load influxdb3 influxdb3-v3
    local answer
    answer=$("$driver" query --json "$results" --address "$address")
    expect_rows influxdb3 "$(sed -n 's/.*"count(\*)":\([0-9]*\).*/\1/p' <<<"$answer")"
}

run_victoria_metrics() {
    start victoria-metrics
    load victoria-metrics v1
    curl -sf --max-time 60 "http://$address/internal/force_flush"
    local samples
    samples=$(curl -sf --max-time 60 "http://$address/metrics" |
        sed -n 's/^vm_rows_inserted_total{type="influx"} //p')
    expect_rows victoria-metrics "$((${samples:-0} / 10))"
}

describe_machine() {
    local version
    version=$("$peer" -version 2>&1 | head -n 1)
    [ -n "$version" ] || version=$(dpkg-query -W -f '${Package} ${Version}' victoria-metrics)
    printf '{"kind":"machine","cores":%d,"memory_mib":%d,"cpu":"%s","kernel":"%s",' \
        "$(nproc)" "$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" \
        "$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)" "$(uname -r)"
    printf '"file_system":"%s","peer":"%s"}\n' \
        "$(stat -f -c %T "$scratch")" "$version"
}

[ -x "$server" ] || fail "$server is missing; build it with: cargo build --release"
[ -x "$driver" ] || fail "$driver is missing; build it with: cargo build --release -p load-tests"
command -v "$peer" >/dev/null || fail "$peer is missing; try: apt-get install victoria-metrics"
[ "$(stat -f -c %T "$scratch")" != tmpfs ] || fail "$scratch lies in memory; set SCRATCH"

: >"$results"
describe_machine >>"$results"

# Who goes first alternates, so that neither always meets the warmer or the emptier machine.
for pair in $(seq "$pairs"); do
    echo "pair $pair of $pairs"
    if ((pair % 2 == 1)); then
        run_influxdb3
        run_victoria_metrics
    else
        run_victoria_metrics
        run_influxdb3
    fi
done

echo "one row a request, on an empty server"
start influxdb3
"$driver" lone-writer --json "$results" --address "$address" --sync-dir "$scratch"
stop

echo
"$driver" summary "$results"
echo
echo "lines of JSON: $results"
