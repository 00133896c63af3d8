#!/bin/sh
# The Python package beside tiktoken, in turns: python.sh [FOLDER]. Builds the wheel (release) into an environment in FOLDER.
# tiktoken's rank files are those of the crate tiktoken-rs, which the tests have fetched.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-target/python-bench}"
to=$(cd "${1:-target/python-bench}" && pwd)
[ -x "$to/venv/bin/python" ] || python3 -m venv "$to/venv"
"$to/venv/bin/pip" install --quiet 'maturin>=1.16,<2' tiktoken==0.14.0
CARGO_TARGET_DIR="$to/build" "$to/venv/bin/maturin" build --quiet --release --locked --out "$to/wheels" -m "$here/../crates/lacon-python/Cargo.toml"
"$to/venv/bin/pip" install --quiet --no-index --no-deps --force-reinstall --find-links "$to/wheels" lacon
ranks=$(cargo metadata --format-version 1 --locked --manifest-path "$here/../Cargo.toml" |
  python3 -c 'import json, sys; print([p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "tiktoken-rs"][0])')
ls -l "$to/wheels"/*.whl
# In isolation, or this folder's own python.py would be what `import` finds first.
"$to/venv/bin/python" -I "$here/python_counts.py" "$(dirname "$ranks")/assets"
