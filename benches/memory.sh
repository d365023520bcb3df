#!/usr/bin/env bash
# Peak memory of a 10 s run and of a 60 s run of the same fleets, against `squall serve` in another process.
# Usage: benches/memory.sh   (needs GNU time, Debian's package `time`)
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --quiet
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

target/release/squall serve --http-port 0 --mqtt-port 0 > "$work/serve.txt" &
server=$!
until grep -q Ctrl-C "$work/serve.txt"; do sleep 0.1; done
targets=$(awk '$1 ~ /^(http|ws|mqtt)$/ { printf "--target %s=%s ", $1, $2 }' "$work/serve.txt")

for span in 10s 60s; do
    # shellcheck disable=SC2086 # one word per target is meant
    /usr/bin/time -f "$span: peak resident memory %M KiB" target/release/squall run scenarios/quickstart.toml \
        --duration "$span" $targets --out "$work/results" --label "$span" --quiet > /dev/null
done
