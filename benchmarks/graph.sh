#!/usr/bin/env bash
# What a node costs: the executor, a bare tokio JoinSet, graph-flow (crates.io), LangGraph (PyPI), in interleaved rounds.
#   benchmarks/graph.sh [ROUNDS|--check]        needs python3 for LangGraph; a rival that cannot be installed is left out and named
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --check ]; then
  command -v python3 >/dev/null || { echo "skipped: python3 is not here"; exit 0; }
  [ -f benchmarks/graph_rivals/Cargo.toml ] && [ -f benchmarks/langgraph_nodes.py ]
  echo "ready"; exit 0
fi
rounds="${1:-5}"; work="$PWD/target/graph-bench"; mkdir -p "$work"; : >"$work/rows.jsonl"
[ -n "${LACON:-}" ] || cargo build --release --quiet --locked
lacon="${LACON:-${CARGO_TARGET_DIR:-target}/release/lacon}"
flow="${CARGO_TARGET_DIR:-target}/graph-rivals/release/graph-rivals"
cargo build --release --quiet --manifest-path benchmarks/graph_rivals/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}/graph-rivals" || { echo "left out: graph-flow does not build"; flow=; }
python="$work/venv/bin/python"
if [ ! -x "$python" ]; then python3 -m venv "$work/venv" && "$work/venv/bin/pip" -q install langgraph || { echo "left out: langgraph cannot be installed"; python=; }; fi
for _ in $(seq "$rounds"); do
  "$lacon" bench graph --rounds 1 --json | tr -d '\n' >>"$work/rows.jsonl"; echo >>"$work/rows.jsonl"
  [ -z "$flow" ] || "$flow" 10000 >>"$work/rows.jsonl"
  # LangGraph is slow: fewer nodes tell as much.
  [ -z "$python" ] || "$python" benchmarks/langgraph_nodes.py 200 >>"$work/rows.jsonl"
done
python3 - "$work/rows.jsonl" <<'PY'
import json, statistics, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
names = dict.fromkeys(row.get("name", "lacon") for row in rows)
median = lambda name, key: statistics.median(row[key] for row in rows if row.get("name", "lacon") == name)
ours = {key: median("lacon", key) for key in ("chain_us", "wide_us")}
print(f"| microseconds per node, median of {sum(r.get('name', 'lacon') == 'lacon' for r in rows)} rounds | chain | side by side | chain, times ours |\n|---|--:|--:|--:|")
for name in names:
    print(f"| {name} | {median(name, 'chain_us'):.2f} | {median(name, 'wide_us'):.2f} | {median(name, 'chain_us') / ours['chain_us']:.0f} |")
print(f"| bare tokio JoinSet | {median('lacon', 'join_set_us'):.2f} | {median('lacon', 'join_set_us'):.2f} | {median('lacon', 'join_set_us') / ours['chain_us']:.1f} |")
PY
