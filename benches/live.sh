#!/usr/bin/env bash
# What the live screen costs the generator: pairs of runs with `--live` in a pseudo-terminal and with `--quiet`, in turns, at a rate that is
# many a core's, against `squall serve` in another process. Prints pacing lag p99 and the generator's work of each pair, and over all
# pairs the ratio of the former and the difference of the latter in per cent of a core: less what workers waited awake, which they do the
# more the less there is to do.
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
    wall = max(use["wall_s"] for use in used)
    cpu, waited = (100 * sum(use[part] for use in used) / wall for part in ("cpu_s", "waited_s"))
    # The pacer waits awake and lends its core meanwhile: what others then had of it is in `waited_s` and `starved_share`, not in `cpu_s`.
    starved = 100 * sum(use["starved_share"] or 0 for use in used)
    return run["pacing_lag"]["p99_ms"], cpu - waited, cpu - waited + starved, cpu
def interval(values):
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1) / len(values))
    # Student's t at 97.5 % for few pairs; from 20 on hardly more than 2.
    t = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}.get(len(values), 2.1)
    return mean, mean - t * spread, mean + t * spread
logs, costs = [], []
for pair in range(1, pairs + 1):
    (live, *live_use), (quiet, *quiet_use) = figures("live", pair), figures("quiet", pair)
    logs.append(math.log(live / quiet))
    costs.append([one - other for one, other in zip(live_use, quiet_use)])
    print(f"pair {pair}: lag p99 {live:.3f} ms live, {quiet:.3f} ms quiet, ratio {live / quiet:.3f}; "
          f"generator's work {live_use[0]:.1f} % and {quiet_use[0]:.1f} % of a core, "
          f"with what it waited awake {live_use[2]:.1f} % and {quiet_use[2]:.1f} %")
ratio, low, high = (math.exp(log) for log in interval(logs))
print(f"ratio of lag p99: {ratio:.3f}, 95 % interval {low:.3f} to {high:.3f}")
names = ("work, without what was waited awake", "the same, with the time it had no core as if that were work", "all processor time, waiting included")
print("generator, live less quiet, in % of a core, with 95 % intervals:")
for name, values in zip(names, zip(*costs)):
    mean, low, high = interval(values)
    print(f"  {name}: {mean:+.2f} ({low:+.2f} to {high:+.2f})")
PY
