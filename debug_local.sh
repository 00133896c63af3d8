#!/usr/bin/env bash
# Hands its arguments to `lacon verify`; builds the program first where it is not installed.
set -euo pipefail
cd "$(dirname "$0")"
if [ -n "${LACON:-}" ]; then exec "$LACON" verify "$@"; fi
cargo build --release --quiet --locked --package lacon
exec "${CARGO_TARGET_DIR:-target}/release/lacon" verify "$@"
