#!/usr/bin/env bash
# How long a page takes to write, and in how much memory: of the quickstart, and of a run of 72 hours with three fleets, made
# up from the seconds of a short one. Fails beyond 0.3 s and 5 s.
# Usage: benches/page.sh [HOURS]   (needs GNU time, Debian's package `time`, and a few GB under TMPDIR)
set -euo pipefail
cd "$(dirname "$0")/.."
hours=${1:-72}
cargo build --release --quiet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/days.toml" <<'TOML'
[scenario]
name = "days"
[run]
warm_up = "1s"
[[phase]]
name = "steady"
duration = "8s"
[fleet.meters]
protocol = "http"
devices = 20
rate = "1/s"
[fleet.sensors]
protocol = "mqtt"
devices = 20
rate = "1/s"
[fleet.machines]
protocol = "ws"
devices = 20
rate = "1/s"
TOML
target/release/squall run scenarios/quickstart.toml --out "$work/results" --quiet > /dev/null
target/release/squall run "$work/days.toml" --out "$work/results" --quiet > /dev/null
python3 benches/days.py "$work"/results/days/* "$work/long" "$hours"

# measure NAME RUN MOST: the median of five tries, each with the file in the cache.
measure() {
    for _ in 1 2 3 4 5; do
        /usr/bin/time -f '%e %M' -o "$work/time" target/release/squall report "$2" --html "$work/page.html" > /dev/null
        cat "$work/time" >> "$work/times-$1"
    done
    sort -n "$work/times-$1" | sed -n 3p > "$work/median"
    read -r seconds memory < "$work/median"
    printf '%s: %s s, peak resident memory %s KiB, page of %s bytes\n' "$1" "$seconds" "$memory" "$(wc -c < "$work/page.html")"
    awk -v seconds="$seconds" -v most="$3" 'BEGIN { exit seconds > most }' || { echo "more than $3 s"; exit 1; }
}
measure quickstart "$(echo "$work"/results/quickstart/*)" 0.3
measure "$hours hours" "$work/long" 5
du -h "$work/long/latency.hlog" "$work/long/intervals.csv"
