#!/usr/bin/env bash
# What a cold build costs: builds the release binary from nothing in a folder of its own and appends seconds and bytes to benchmarks/record/build.jsonl.
#   benchmarks/build.sh [--check]        several minutes; packages are fetched before the clock starts
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --check ]; then [ -w benchmarks/record ]; echo "ready"; exit 0; fi
target="$(mktemp -d)"; trap 'rm -rf "$target"' EXIT
cargo fetch --quiet --locked
packages="$(cargo tree --package lacon --edges normal,build --prefix none --locked | sed 's, (\*)$,,' | sort -u | grep -c .)"
began="$(date +%s)"
CARGO_TARGET_DIR="$target" cargo build --release --quiet --locked --package lacon
seconds=$(($(date +%s) - began))
bytes="$(wc -c <"$target/release/lacon")"
printf '{"date":"%s","commit":"%s","rustc":"%s","cpus":%s,"load":"%s","packages":%s,"cold_release_s":%s,"binary_bytes":%s}\n' \
  "$(date -u +%F)" "$(git rev-parse --short HEAD)" "$(rustc --version | cut -d' ' -f2)" "$(nproc)" "$(cut -d' ' -f1 /proc/loadavg)" \
  "$packages" "$seconds" "$bytes" | tee -a benchmarks/record/build.jsonl
