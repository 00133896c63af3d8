#!/bin/sh
# A table of texts through every engine, beside `lacon batch` and tiktoken: ROWS="1000 100000" scale.sh [FOLDER]. Installs the
# engines and the Python package as a user would (release build) into an environment in FOLDER. LACON_BINARY names the command.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-target/scale-bench}"
to=$(cd "${1:-target/scale-bench}" && pwd)
[ -x "$to/venv/bin/python" ] || python3 -m venv "$to/venv"
"$to/venv/bin/pip" install --quiet "pyarrow>=25" "pandas>=3" "polars>=2.1" "ray[data]>=2.60" "daft>=0.7.26" "datafusion>=55" "pyspark>=4.3" tiktoken==0.14.0
"$to/venv/bin/python" -c "import lacon.arrow" 2>/dev/null ||
  CARGO_TARGET_DIR="$to/build" "$to/venv/bin/pip" install --quiet --no-deps "$here/../crates/lacon-python"
RANKS_DIR=$(dirname "$(cargo metadata --format-version 1 --locked --manifest-path "$here/../Cargo.toml" |
  "$to/venv/bin/python" -c 'import json, sys; print([p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "tiktoken-rs"][0])')")/assets
export RANKS_DIR
"$to/venv/bin/python" "$here/scale.py" ${ROWS:-1000 100000}
# Runs of a team on Ray while workers and nodes are killed: RUNS=1000 KILLS=200 NODES=10 are the large form.
[ -n "${LACON_BINARY:-}" ] || { echo "runs on Ray: skipped, LACON_BINARY names no command"; exit 0; }
"$to/venv/bin/pip" install --quiet pytest
RUNS=${RUNS:-200} KILLS=${KILLS:-20} NODES=${NODES:-4} "$to/venv/bin/python" -m pytest -q -s -p no:cacheprovider \
  "$here/../crates/lacon-python/tests/test_ray.py" -k nothing_is_lost 2>/dev/null | grep -E "runs, |passed|failed"
