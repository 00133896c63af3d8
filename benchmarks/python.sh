#!/bin/sh
# The Python package beside tiktoken and LangGraph, in turns: python.sh [FOLDER]. Installs it as a user would (release build) into an
# environment in FOLDER. tiktoken's rank files are those of the crate tiktoken-rs, which the tests have fetched.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-target/python-bench}"
to=$(cd "${1:-target/python-bench}" && pwd)
[ -x "$to/venv/bin/python" ] || python3 -m venv "$to/venv"
"$to/venv/bin/pip" install --quiet tiktoken==0.14.0
CARGO_TARGET_DIR="$to/build" "$to/venv/bin/pip" install --quiet --force-reinstall --no-deps "$here/../crates/lacon-python"
ranks=$(cargo metadata --format-version 1 --locked --manifest-path "$here/../Cargo.toml" |
  "$to/venv/bin/python" -c 'import json, sys; print([p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "tiktoken-rs"][0])')
"$to/venv/bin/python" -I "$here/python_counts.py" "$(dirname "$ranks")/assets"
echo
echo "barriers of LangGraph graphs"
"$to/venv/bin/pip" install --quiet langgraph==1.2.24
"$to/venv/bin/python" -I "$here/../crates/lacon-python/benchmarks/barriers.py"
