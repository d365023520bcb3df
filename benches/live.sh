#!/usr/bin/env bash
# What the live screen costs the generator: pairs of short runs with `--live` in a pseudo-terminal and with `--quiet`, in turns, at a rate that is
# many a core's, against a plain echo, which leaves both room on two cores. Prints pacing lag p99 and the generator's work of each pair, and over all
# pairs the ratio of the former and the difference of the latter in per cent of a core: less what workers waited awake, which they do the
# more the less there is to do.
# Usage: benches/live.sh [PAIRS] [READINGS_PER_S]   (30 and 50000; needs an idle machine, script(1) and python3)
set -euo pipefail
cd "$(dirname "$0")/.."
pairs=${1:-30}
rate=${2:-50000}
cargo build --release --quiet
cargo build --release --quiet --manifest-path benches/peers/Cargo.toml --bin plain-tcp
squall=$PWD/target/release/squall
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

cat > "$work/live.toml" <<TOML
[scenario]
name = "live"
[run]
warm_up = "1s"
[[phase]]
name = "steady"
duration = "4s"
[fleet.meters]
protocol = "tcp"
tcp = { correlate = "order" }
payload = { size = "120B" }
devices = 500
rate = "$((rate / 500))/s"
arrival = "poisson"
in_flight = 256
TOML

# Keys that nobody presses: an end of input would be one.
mkfifo "$work/keys"
exec 7<> "$work/keys"

coproc echo { exec benches/peers/target/release/plain-tcp; }
server=$echo_PID
read -r port <&"${echo[0]}"
target=tcp=tcp://127.0.0.1:$port

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
import glob, json, math, statistics, sys
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
    """The median, and the order statistics that hold it 95 times in 100, whatever the values' distribution: a host that takes the
    core away for a while makes a mean worthless."""
    values = sorted(values)
    below, outside = 0, 0.5 ** len(values)
    while below < len(values) // 2 and outside <= 0.025:
        below += 1
        outside += math.comb(len(values), below) * 0.5 ** len(values)
    rank = max(below - 1, 0)
    return statistics.median(values), values[rank], values[-1 - rank]
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
