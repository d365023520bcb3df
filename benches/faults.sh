#!/usr/bin/env bash
# What faults cost that are there but not on: processor time per reading of a run whose scenario has network and message faults for
# every device, switched by hand only, against the same run without them. In turn, so that a change of the machine meets both.
#
# Usage: benches/faults.sh [ROUNDS] [SECONDS]; prints one line per protocol: the median ratio and its range.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-7} seconds=${2:-4}
cargo build --release --quiet
binary=${CARGO_TARGET_DIR:-target}/release/squall
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
taskset -c 1 "$binary" serve --http-port 0 --mqtt-port 0 >"$work/serve.txt" &
server=$!
until grep -q Ctrl-C "$work/serve.txt"; do sleep 0.05; done
http=$(grep -o 'http://[^ ]*/v1/readings' "$work/serve.txt")
ws=$(grep -o 'ws://[^ ]*' "$work/serve.txt")
mqtt=$(grep -o 'mqtt://[^ ]*' "$work/serve.txt")

scenario() { # PROTOCOL FAULTS
    cat <<TOML
[scenario]
name = "faults-$1"
[run]
warm_up = "1s"
[[phase]]
name = "whole"
duration = "${seconds}s"
[fleet.meters]
protocol = "$1"
devices = 64
model = "closed"
$2
TOML
}
faults='
[[fault]]
name = "slow"
kind = "latency"
delay = "100ms"
[[fault]]
name = "lossy"
kind = "message-drop"
message = "verdict"
nth = 10
'
for protocol in http ws mqtt; do
    scenario $protocol "" >"$work/plain.toml"
    scenario $protocol "$faults" >"$work/faulty.toml"
    for round in $(seq "$rounds"); do
        for which in plain faulty; do
            taskset -c 0 "$binary" run --quiet --workers 1 --out "$work/out" --label "$which" --target "$protocol=${!protocol}" \
                "$work/$which.toml" >/dev/null || true
            directory=$(ls -td "$work"/out/faults-"$protocol"/*-"$which" | head -1)
            python3 - "$directory" "$which" >>"$work/$protocol.txt" <<'PY'
import csv, json, sys
run = json.load(open(sys.argv[1] + "/run.json"))
ok = sum(int(row["ok"]) for row in csv.DictReader(open(sys.argv[1] + "/summary.csv")) if row["kind"] == "reading" and row["phase"] != "all")
print(sys.argv[2], sum(worker["cpu_s"] - worker["waited_s"] for worker in run["worker_use"]) / ok * 1e6)
PY
        done
    done
    python3 - "$work/$protocol.txt" $protocol <<'PY'
import statistics, sys
rows = [line.split() for line in open(sys.argv[1])]
plain, faulty = ([float(cost) for which, cost in rows if which == wanted] for wanted in ("plain", "faulty"))
ratios = sorted(one / other for one, other in zip(faulty, plain))
print(f"{sys.argv[2]:5} {statistics.median(plain):6.2f} us plain, {statistics.median(faulty):6.2f} us with faults that are off: "
      f"ratio {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")
PY
done
