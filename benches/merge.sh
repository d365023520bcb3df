#!/usr/bin/env bash
# Peak memory of merging 64 shards of an hour each, synthetic: one short shard is run, and its intervals are repeated for an hour.
# Fails above 200 MB. usage: benches/merge.sh [SQUALL]   (needs GNU time, Debian's package `time`, and 64 times the record's size on disk)
set -euo pipefail
cd "$(dirname "$0")/.."
squall=${1:-}
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
cat >"$work/s.toml" <<'SCENARIO'
[scenario]
name = "s"
[run]
warm_up = "0s"
[[phase]]
name = "steady"
duration = "3600s"
[fleet.a]
protocol = "http"
devices = 640
rate = "10/s"
[fleet.b]
protocol = "ws"
devices = 640
rate = "10/s"
[fleet.c]
protocol = "mqtt"
devices = 640
rate = "10/s"
SCENARIO
# A shard of the hour, ended after some seconds: its layout is that of the hour.
timeout --signal=INT 12 "$squall" run "$work/s.toml" --shard 1/64 --out "$work/seed" --quiet \
    --target "http=$http" --target "ws=$ws" --target "mqtt=$mqtt" >/dev/null || true
python3 - "$work" <<'PY'
import json, pathlib, sys
work = pathlib.Path(sys.argv[1])
seed = next((work / "seed" / "s").iterdir())
lines = (seed / "shard.ndjson").read_text().splitlines()
header = json.loads(lines[0])
whole = [json.loads(line)["interval"] for line in lines[1:] if line.startswith('{"interval"')][2:8]
step = header["layout"]["interval_ns"]
count = 3_600_000_000_000 // step
manifest = json.loads((seed / "run.json").read_text())
texts = [json.dumps(interval["load"], separators=(",", ":")) for interval in whole]
for shard in range(1, 65):
    folder = work / "shards" / f"{shard}of64"
    folder.mkdir(parents=True)
    header["run_id"] = manifest["run_id"] = f"{shard}of64"
    header["shard"] = manifest["shard"]["shard"] = f"{shard}/64"
    with open(folder / "shard.ndjson", "w") as out:
        out.write(json.dumps(header, separators=(",", ":")) + "\n")
        for n in range(count):
            out.write('{"interval":{"number":%d,"start":%d,"end":%d,"load":%s,"switches":[]}}\n'
                      % (n, n * step, (n + 1) * step, texts[n % len(texts)]))
    (folder / "events.csv").write_text("t_s,event,name,detail\n")
    manifest.pop("files", None)
    manifest["state"] = "interrupted"
    (folder / "run.json").write_text(json.dumps(manifest))
print(f"64 shards of {count} intervals, {sum(len(t) for t in texts) // len(texts)} bytes each")
PY
code=0
/usr/bin/time -f "%M %e" -o "$work/time.txt" "$squall" merge "$work"/shards/* --allow-incomplete --out "$work/merged" >"$work/said.txt" || code=$?
case $code in 0 | 1 | 12 | 99) ;; *) cat "$work/said.txt"; exit "$code" ;; esac
read -r kib seconds <<<"$(tail -n 1 "$work/time.txt")"
rows=$(wc -l <"$(echo "$work"/merged/s/*/intervals.csv)")
echo "peak resident memory $((kib / 1024)) MiB, $seconds s, $rows rows of intervals.csv"
[ "$rows" -gt 3600 ] && [ "$kib" -lt 195312 ]
