#!/usr/bin/env bash
# What the live screen costs the generator: pairs of runs with `--live` in a pseudo-terminal and with `--quiet`, in turns, at a rate that is
# many a core's, against `squall serve` in another process. Prints pacing lag p99 and processor time of each run, and of every pair
# the ratio of the former and the difference of the latter in per cent of a core.
# Usage: benches/live.sh [PAIRS] [READINGS_PER_S]   (10 and 50000; needs an idle machine, script(1) and python3)
set -euo pipefail
cd "$(dirname "$0")/.."
pairs=${1:-10}
rate=${2:-50000}
cargo build --release --quiet
squall=$PWD/target/release/squall
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

cat > "$work/live.toml" <<TOML
[scenario]
name = "live"
[run]
warm_up = "2s"
[[phase]]
name = "steady"
duration = "15s"
[fleet.meters]
protocol = "ws"
devices = 500
rate = "$((rate / 500))/s"
arrival = "poisson"
in_flight = 256
TOML

# Keys that nobody presses: an end of input would be one.
mkfifo "$work/keys"
exec 7<> "$work/keys"

"$squall" serve --http-port 0 --mqtt-port 0 > "$work/serve.txt" &
server=$!
until grep -q Ctrl-C "$work/serve.txt"; do sleep 0.1; done
target=$(awk '$1 == "ws" { print $1 "=" $2 }' "$work/serve.txt")

measure() { # label, further options
    local command=("$squall" run "$work/live.toml" --target "$target" --out "$work/results" --label "$1" "$2")
    if [ "$2" = --live ]; then
        TERM=xterm-256color COLORTERM=truecolor script -qec "stty cols 120 rows 40; ${command[*]}" /dev/null > /dev/null <&7 || true
    else
        "${command[@]}" > /dev/null || true
    fi
}

for pair in $(seq "$pairs"); do
    # The order changes from pair to pair, so that what drifts falls on both.
    if [ $((pair % 2)) = 0 ]; then order="quiet live"; else order="live quiet"; fi
    for mode in $order; do measure "$mode-$pair" "--$mode"; done
done

python3 - "$work/results/live" "$pairs" <<'PY'
import glob, json, math, sys
folder, pairs = sys.argv[1], int(sys.argv[2])
def figures(mode, pair):
    run = json.load(open(glob.glob(f"{folder}/*-{mode}-{pair}/run.json")[0]))
    used = run["worker_use"]
    cpu = sum(use["cpu_s"] for use in used) / max(use["wall_s"] for use in used)
    return run["pacing_lag"]["p99_ms"], cpu
ratios, costs = [], []
for pair in range(1, pairs + 1):
    (live, live_cpu), (quiet, quiet_cpu) = figures("live", pair), figures("quiet", pair)
    ratios.append(live / quiet)
    costs.append(100 * (live_cpu - quiet_cpu))
    print(f"pair {pair}: lag p99 {live:.3f} ms live, {quiet:.3f} ms quiet, ratio {ratios[-1]:.3f}; "
          f"generator {100 * live_cpu:.1f} % and {100 * quiet_cpu:.1f} % of a core")
logs = [math.log(ratio) for ratio in ratios]
mean = sum(logs) / len(logs)
spread = math.sqrt(sum((log - mean) ** 2 for log in logs) / max(len(logs) - 1, 1) / len(logs))
# Student's t at 97.5 % for few pairs; from 20 on hardly more than 2.
t = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}.get(len(logs), 2.1)
print(f"ratio of lag p99: {math.exp(mean):.3f}, 95 % interval {math.exp(mean - t * spread):.3f} to {math.exp(mean + t * spread):.3f}")
print(f"generator's processor time: {sum(costs) / len(costs):+.2f} % of a core on average")
PY
