#!/usr/bin/env bash
# A binary for any Linux of this processor: glibc is linked in, so that it starts in an empty image too. Leaves in DIR (dist unless
# given) the binary, its checksum, and a list of what is built in with versions and licences, as CycloneDX JSON.
# usage: contrib/static.sh [DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p "${1:-dist}"
dist=$(realpath "${1:-dist}")
# With --target, what runs while it is built (build scripts, procedural macros) is linked as ever.
target=$(rustc -vV | sed -n 's/^host: //p')
# Linked in, glibc does not say whether the kernel gives random numbers: then they would be read from a device, which an empty root has not.
RUSTFLAGS='-C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom"' cargo build --release --locked --target "$target"
name=squall-$(cargo metadata --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["packages"][0]["version"])')-$target
install -m 755 "${CARGO_TARGET_DIR:-target}/$target/release/squall" "$dist/$name"
# It starts where there is nothing else.
if [ "$(id -u)" = 0 ]; then
    empty=$(mktemp -d)
    cp "$dist/$name" "$empty/squall"
    chroot "$empty" /squall --version
    rm -r "$empty"
fi
cargo metadata --locked --format-version 1 --filter-platform "$target" | python3 -c '
import json, sys
metadata = json.load(sys.stdin)
used = {node["id"]: node for node in metadata["resolve"]["nodes"]}
packages = {package["id"]: package for package in metadata["packages"]}
root, seen = metadata["resolve"]["root"], set()
open_ = [root]
# What tests alone need is not built in.
while open_:
    id = open_.pop()
    if id in seen: continue
    seen.add(id)
    open_ += [d["pkg"] for d in used[id]["deps"] if any(k["kind"] is None for k in d["dep_kinds"])]
def component(package, kind):
    purl = "pkg:cargo/{name}@{version}".format(**package)
    found = {"type": kind, "name": package["name"], "version": package["version"], "purl": purl, "bom-ref": purl}
    if package["license"]:
        found["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    return found
json.dump({
    "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
    "metadata": {"component": component(packages[root], "application")},
    "components": [component(packages[id], "library") for id in sorted(seen - {root}, key=lambda id: packages[id]["name"])],
}, sys.stdout, indent=1)' >"$dist/$name.cdx.json"
(cd "$dist" && sha256sum "$name" "$name.cdx.json" >"$name.sha256")
echo "$dist/$name"
