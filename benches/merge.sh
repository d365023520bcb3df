#!/usr/bin/env bash
# Peak memory of merging 64 shards of an hour each, synthetic: one short shard is run, and its intervals are repeated for an hour.
# Fails above 200 MB, and before it fills a disk. A small case first: benches/merge.sh "" 8 300
# usage: benches/merge.sh [SQUALL [SHARDS [SECONDS]]]      BENCH_DIR=DIR names a disk with room for the records
set -euo pipefail
cd "$(dirname "$0")/.."
squall=${1:-}
shards=${2:-64}
seconds=${3:-3600}
if [ -z "$squall" ]; then
    cargo build --release --quiet
    squall=target/release/squall
fi
squall=$(realpath "$squall")
work=$(mktemp -d ${BENCH_DIR:+-p "$BENCH_DIR"})
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
"$squall" serve --http-port 0 --mqtt-port 0 >"$work/serve.txt" &
server=$!
until grep -q Ctrl-C "$work/serve.txt"; do sleep 0.1; done
http=$(awk '$1 == "http" { print $2 }' "$work/serve.txt")
ws=$(awk '$1 == "ws" { print $2 }' "$work/serve.txt")
mqtt=$(awk '$1 == "mqtt" { print $2 }' "$work/serve.txt")
cat >"$work/s.toml" <<SCENARIO
[scenario]
name = "s"
[run]
warm_up = "0s"
[[phase]]
name = "steady"
duration = "${seconds}s"
[fleet.a]
protocol = "http"
devices = $((10 * shards))
rate = "10/s"
[fleet.b]
protocol = "ws"
devices = $((10 * shards))
rate = "10/s"
[fleet.c]
protocol = "mqtt"
devices = $((10 * shards))
rate = "10/s"
SCENARIO
# A shard of the whole time, ended after some seconds: its layout is that of the whole time.
timeout --signal=INT 12 "$squall" run "$work/s.toml" --shard "1/$shards" --out "$work/seed" --quiet \
    --target "http=$http" --target "ws=$ws" --target "mqtt=$mqtt" >/dev/null || true
kill "$server"
wait "$server" || true
server=
python3 - "$work" "$shards" "$seconds" <<'PY'
import json, pathlib, shutil, sys
work, shards, seconds = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
seed = next((work / "seed" / "s").iterdir())
lines = (seed / "shard.ndjson").read_text().splitlines()
header = json.loads(lines[0])
whole = [json.loads(line)["interval"] for line in lines[1:] if line.startswith('{"interval"')][2:8]
step = header["layout"]["interval_ns"]
count = seconds * 1_000_000_000 // step
manifest = json.loads((seed / "run.json").read_text())
texts = [json.dumps(interval["load"], separators=(",", ":")) for interval in whole]
size = sum(len(text) for text in texts) // len(texts)
room = shutil.disk_usage(work).free
need = shards * count * (size + 200)
print(f"{shards} shards of {count} intervals of {size} bytes each: {need / 1e9:.2f} GB", flush=True)
if need > 0.8 * room:
    sys.exit(f"only {room / 1e9:.1f} GB are free under {work}; name a larger disk: BENCH_DIR=DIR")
for shard in range(1, shards + 1):
    folder = work / "shards" / f"{shard}of{shards}"
    folder.mkdir(parents=True)
    header["run_id"] = manifest["run_id"] = f"{shard}of{shards}"
    header["shard"] = manifest["shard"]["shard"] = f"{shard}/{shards}"
    with open(folder / "shard.ndjson", "w") as out:
        out.write(json.dumps(header, separators=(",", ":")) + "\n")
        for n in range(count):
            out.write('{"interval":{"number":%d,"start":%d,"end":%d,"load":%s,"switches":[]}}\n'
                      % (n, n * step, (n + 1) * step, texts[n % len(texts)]))
    (folder / "events.csv").write_text("t_s,event,name,detail\n")
    manifest.pop("files", None)
    manifest["state"] = "interrupted"
    (folder / "run.json").write_text(json.dumps(manifest))
PY
python3 - "$squall" "$work" "$seconds" <<'PY'
import pathlib, resource, subprocess, sys, time
squall, work, seconds = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
began = time.monotonic()
with open(work / "said.txt", "w") as said:
    done = subprocess.run([squall, "merge", *sorted((work / "shards").iterdir()), "--allow-incomplete", "--out", work / "merged"],
                          stdout=said, stderr=subprocess.STDOUT)
took = time.monotonic() - began
# The largest of the children that have ended, and there was one.
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
if done.returncode not in (0, 1, 12, 99):
    sys.exit((work / "said.txt").read_text() + f"squall merge ended with {done.returncode}")
rows = sum(1 for _ in open(next((work / "merged" / "s").iterdir()) / "intervals.csv"))
print(f"peak resident memory {peak / 1e6:.0f} MB, {took:.1f} s, {rows} rows of intervals.csv")
if rows <= seconds:
    sys.exit("rows are missing: not all was merged")
if peak >= 200_000_000:
    sys.exit("more than 200 MB")
PY
