#!/usr/bin/env bash
# Whether the static binary is as fast as the ordinary one: devices that ask again as soon as they are answered, against `squall serve` on
# a core of its own, by both binaries in turn on another core. Two ratios, static to ordinary: readings answered per second, and readings
# per second of the generator's processor time, which tells the two apart even where the service is the slower of the two.
# Fails where the median of one is below 0.97.
#
# Usage: benches/static.sh STATIC [ORDINARY [ROUNDS [SECONDS]]]      contrib/static.sh builds STATIC
set -euo pipefail
cd "$(dirname "$0")/.."
static=$(realpath "${1:?which static binary?}")
ordinary=${2:-}
rounds=${3:-9} seconds=${4:-4}
if [ -z "$ordinary" ]; then
    cargo build --release --locked --quiet
    ordinary=${CARGO_TARGET_DIR:-target}/release/squall
fi
ordinary=$(realpath "$ordinary")
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
taskset -c 1 "$ordinary" serve --http-port 0 --mqtt-port 0 >"$work/serve.txt" &
server=$!
until grep -q Ctrl-C "$work/serve.txt"; do sleep 0.05; done
http=$(grep -o 'http://[^ ]*/v1/readings' "$work/serve.txt")
ws=$(grep -o 'ws://[^ ]*' "$work/serve.txt")
mqtt=$(grep -o 'mqtt://[^ ]*' "$work/serve.txt")
for protocol in http ws mqtt; do
    cat >"$work/s.toml" <<SCENARIO
[scenario]
name = "$protocol"
[run]
warm_up = "1s"
[[phase]]
name = "whole"
duration = "${seconds}s"
[fleet.meters]
protocol = "$protocol"
devices = 64
model = "closed"
SCENARIO
    for round in $(seq "$rounds"); do
        # Neither is always the first.
        order="ordinary static"
        [ $((round % 2)) = 1 ] || order="static ordinary"
        for which in $order; do
            taskset -c 0 "${!which}" run --quiet --workers 1 --out "$work/out/$protocol-$round-$which" --target "$protocol=${!protocol}" \
                "$work/s.toml" >/dev/null || true
        done
    done
done
python3 - "$work/out" "$rounds" <<'PY'
import csv, json, pathlib, statistics, sys
out, rounds = pathlib.Path(sys.argv[1]), int(sys.argv[2])
def measured(protocol, round, which):
    directory = next(next((out / f"{protocol}-{round}-{which}").iterdir()).iterdir())
    rows = [row for row in csv.DictReader(open(directory / "summary.csv")) if row["kind"] == "reading" and row["phase"] != "all"]
    ok = sum(int(row["ok"]) for row in rows)
    worker = json.load(open(directory / "run.json"))["worker_use"]
    spent = sum(one["cpu_s"] - one["waited_s"] for one in worker)
    if spent <= 0 or any((one["starved_share"] or 0) > 0.05 for one in worker):
        sys.exit(f"{protocol}, round {round}, {which}: the generator had too little of its core; measure on an idle machine")
    return ok / sum(float(row["duration_s"]) for row in rows), ok / spent
slow = False
for protocol in ("http", "ws", "mqtt"):
    pairs = [(measured(protocol, round, "static"), measured(protocol, round, "ordinary")) for round in range(1, rounds + 1)]
    told = []
    for at, what in enumerate(("per second", "per second of processor")):
        ratios = sorted(static[at] / ordinary[at] for static, ordinary in pairs)
        middle = statistics.median(ratios)
        slow |= middle < 0.97
        rate = statistics.median(ordinary[at] for _, ordinary in pairs)
        told.append(f"{rate:,.0f} readings {what}, ratio {middle:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")
    print(f"{protocol:5} {'; '.join(told)}")
sys.exit(slow)
PY
