#!/usr/bin/env bash
# Real clients of the wire formats against `lacon serve`, all on loopback: what each sees, and what its provider gets.
#   benchmarks/clients.sh [LACON]      LACON: a built binary; one is built where none is named
# Makes a virtual environment below the target folder from PyPI. Exits 1 where a client sees anything but its provider's answer.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
lacon=${1:-}
if [ -z "$lacon" ]; then
    cargo build --release --quiet --locked --package lacon
    lacon=$target/release/lacon
fi
venv=$target/clients-venv
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
timeout 600 "$venv/bin/pip" install --quiet --upgrade openai anthropic litellm langchain-openai langchain-anthropic aiohttp
# No client may ask anybody else while it runs.
export LITELLM_LOCAL_MODEL_COST_MAP=True LANGSMITH_TRACING=false NO_PROXY=127.0.0.1
timeout 240 "$venv/bin/python" benchmarks/clients.py "$lacon"
