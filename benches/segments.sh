#!/usr/bin/env bash
# TCP segments of a reading and its answer, both ways together: what OutSegs in /proc/net/snmp grows by over a run on the loopback, where
# every segment is sent once. Usage: benches/segments.sh [SQUALL]   (nothing else should use TCP)
set -euo pipefail
cd "$(dirname "$0")/.."
squall=${1:-target/release/squall}
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
segments() { awk '$1 == "Tcp:" { if (head) print $(place); else for (i = 1; i <= NF; i++) if ($i == "OutSegs") place = i; head = 1 }' /proc/net/snmp; }

"$squall" serve --http-port 0 --mqtt-port 0 > "$work/serve.txt" &
server=$!
until grep -q Ctrl-C "$work/serve.txt"; do sleep 0.1; done
for protocol in http ws mqtt; do
    cat > "$work/s.toml" <<TOML
[scenario]
name = "segments"
[run]
warm_up = "0s"
[[phase]]
name = "steady"
duration = "10s"
[fleet.meters]
protocol = "$protocol"
devices = 200
rate = "5/s"
TOML
    target=$(awk -v protocol="$protocol" '$1 == protocol { print $2 }' "$work/serve.txt")
    before=$(segments)
    "$squall" run "$work/s.toml" --target "$protocol=$target" --out "$work/results-$protocol" --quiet > /dev/null || true
    after=$(segments)
    readings=$(awk -F, '$3 == "all" { print $7 }' "$work"/results-"$protocol"/segments/*/summary.csv)
    awk -v protocol="$protocol" -v all=$((after - before)) -v readings="$readings" \
        'BEGIN { printf "%s: %.2f segments a reading (%d readings)\n", protocol, all / readings, readings }'
done
