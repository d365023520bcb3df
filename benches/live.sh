#!/usr/bin/env bash
# What the live screen costs the generator: builds what benches/live.py needs, and runs it against a plain echo.
# Usage: benches/live.sh [PAIRS] [READINGS_PER_S]   (300 and 50000: ten minutes; needs an idle machine and python3)
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --quiet
cargo build --release --quiet --manifest-path benches/peers/Cargo.toml --bin plain-tcp
exec python3 benches/live.py target/release/squall benches/peers/target/release/plain-tcp "$@"
