#!/usr/bin/env bash
# What a build costs: the release binary from nothing in a folder of its own, then again after one changed line in lacon-prompt.
# Appends seconds, processor seconds and bytes to benchmarks/record/build.jsonl.
#   benchmarks/build.sh [--check]        several minutes; packages are fetched before the clock starts
# Processor seconds tell the cost where others use the machine too.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --check ]; then [ -w benchmarks/record ]; echo "ready"; exit 0; fi
target="$(mktemp -d)"; changed=crates/lacon-prompt/src/compress.rs
cp "$changed" "$target/changed.rs"; trap 'cp "$target/changed.rs" "$changed"; rm -rf "$target"' EXIT
cargo fetch --quiet --locked
packages="$(cargo tree --package lacon --edges normal,build --prefix none --locked | sed 's, (\*)$,,' | sort -u | grep -c .)"
TIMEFORMAT="%R %U %S"
build() { # prints wall and processor seconds
  { time CARGO_TARGET_DIR="$target" cargo build --release --quiet --locked --package lacon; } 2>&1 | tail -n 1 | awk '{printf "%.0f %.0f", $1, $2 + $3}'
}
read -r cold cold_cpu <<<"$(build)"
bytes="$(wc -c <"$target/release/lacon")"
printf '\n/// One more.\npub fn one_more(n: u64) -> u64 {\n    n + 1\n}\n' >>"$changed"
read -r warm warm_cpu <<<"$(build)"
printf '{"date":"%s","commit":"%s","rustc":"%s","cpus":%s,"load":"%s","packages":%s,"cold_s":%s,"cold_cpu_s":%s,"warm_s":%s,"warm_cpu_s":%s,"binary_bytes":%s}\n' \
  "$(date -u +%F)" "$(git rev-parse --short HEAD)" "$(rustc --version | cut -d' ' -f2)" "$(nproc)" "$(cut -d' ' -f1 /proc/loadavg)" \
  "$packages" "$cold" "$cold_cpu" "$warm" "$warm_cpu" "$bytes" | tee -a benchmarks/record/build.jsonl
