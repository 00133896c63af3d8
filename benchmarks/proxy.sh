#!/usr/bin/env bash
# What `lacon serve` adds to a call on loopback, against the bare upstream: p50 and p99 by size of the prompt.
#   benchmarks/proxy.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/.."
cargo run --release --quiet --locked --package lacon-proxy --example overhead -- "${1:-400}"
