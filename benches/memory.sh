#!/usr/bin/env bash
# Peak memory of a 10 s run and of a 60 s run of the same fleets, against `squall serve` in another process.
# Usage: benches/memory.sh   (needs GNU time, Debian's package `time`; SQUALL names a binary that is built already)
set -euo pipefail
cd "$(dirname "$0")/.."
squall=${SQUALL:-target/release/squall}
[ -n "${SQUALL:-}" ] || cargo build --release --quiet
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

"$squall" serve --http-port 0 --mqtt-port 0 > "$work/serve.txt" &
server=$!
until grep -q Ctrl-C "$work/serve.txt"; do sleep 0.1; done

targets=$(awk '$1 ~ /^(http|ws|mqtt)$/ { printf "--target %s=%s ", $1, $2 }' "$work/serve.txt")

for span in 10s 60s; do
    # shellcheck disable=SC2086 # one word per target is meant
    /usr/bin/time -f "$span: peak resident memory %M KiB" "$squall" run scenarios/quickstart.toml \
        --duration "$span" $targets --out "$work/results" --label "$span" --quiet > /dev/null
done

# Idle subscribers over server-sent events: what a thousand of them add to the peak, each.
peak() { # devices
    cat > "$work/idle.toml" <<EOF
[scenario]
name = "idle"
[target]
http = "$(awk '$1 == "http" { print $2 }' "$work/serve.txt")"
sse = "$(awk '$1 == "sse" { print $2 }' "$work/serve.txt")"
[run]
warm_up = "0s"
connect_rate = "1000/s"
[[phase]]
name = "idle"
duration = "5s"
[fleet.meter]
protocol = "http"
devices = 1
rate = "10/s"
[fleet.listeners]
protocol = "sse"
model = "subscriber"
devices = $1
EOF
    /usr/bin/time -f %M -o "$work/peak" "$squall" run "$work/idle.toml" --out "$work/results" --label "idle-$1" --quiet > /dev/null
    tail -n 1 "$work/peak"
}
few=$(peak 10)
many=$(peak 1010)
awk -v few="$few" -v many="$many" 'BEGIN { printf "1000 idle subscribers over server-sent events: %.1f KiB each\n", (many - few) / 1000 }'
