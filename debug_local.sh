#!/usr/bin/env bash
# Hands its arguments to `lacon verify`; builds the suite first where LACON names no binary.
set -euo pipefail
cd "$(dirname "$0")"
if [ -n "${LACON:-}" ]; then exec "$LACON" verify "$@"; fi
cargo build --release --quiet --locked --package lacon-verify
exec "${CARGO_TARGET_DIR:-target}/release/lacon-verify" verify "$@"
