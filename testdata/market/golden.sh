#!/usr/bin/env bash
# Writes the golden indicator files with stockstats from PyPI, in a venv of its own; the tests read the files and need neither.
# usage: testdata/market/golden.sh [FOLDER OF RECORDED RUNS]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
python3 -m venv "$venv"
"$venv/bin/pip" -q install stockstats==0.6.10 bokeh-sampledata==2026.1
"$venv/bin/python" "$here/golden.py" "$@"
