#!/usr/bin/env bash
# Pacing lag at 2 000 readings/s against `squall serve` in another process, three runs: p50 and p99 of each.
# Usage: benches/pacing.sh   (needs an idle machine with two cores)
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --quiet
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

cat > "$work/pacing.toml" <<'TOML'
[scenario]
name = "pacing"
[[phase]]
name = "steady"
duration = "20s"
[fleet.http-meters]
protocol = "http"
devices = 334
rate = "2/s"
arrival = "poisson"
[fleet.ws-meters]
protocol = "ws"
devices = 333
rate = "2/s"
arrival = "poisson"
[fleet.mqtt-meters]
protocol = "mqtt"
devices = 333
rate = "2/s"
arrival = "poisson"
TOML

target/release/squall serve --http-port 0 --mqtt-port 0 > "$work/serve.txt" &
server=$!
until grep -q Ctrl-C "$work/serve.txt"; do sleep 0.1; done
targets=$(awk '$1 ~ /^(http|ws|mqtt)$/ { printf "--target %s=%s ", $1, $2 }' "$work/serve.txt")

for run in 1 2 3; do
    # shellcheck disable=SC2086 # one word per target is meant
    target/release/squall run "$work/pacing.toml" $targets --out "$work/results" --label "$run" --quiet > /dev/null
    grep -A2 '"pacing_lag"' "$work"/results/pacing/*-"$run"/run.json | tr -d '\n '
    echo
done
