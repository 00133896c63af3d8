#!/usr/bin/env bash
# Sends the trace of a run to a real collector (Phoenix from PyPI) and compares what it keeps with what was sent.
#   benchmarks/collector.sh        needs python3; skips where Phoenix cannot be installed
set -euo pipefail
cd "$(dirname "$0")/.."
work="${WORK:-$PWD/target/collector}"; port="${PORT:-6006}"; mkdir -p "$work"
if [ ! -x "$work/venv/bin/phoenix" ]; then
  { python3 -m venv "$work/venv" && "$work/venv/bin/pip" -q install arize-phoenix; } || { echo "skipped: Phoenix cannot be installed"; exit 0; }
fi
[ -n "${LACON:-}" ] || cargo build --release --quiet --locked --package lacon
lacon="${LACON:-${CARGO_TARGET_DIR:-target}/release/lacon}"
rm -rf "$work/data" "$work/results"
PHOENIX_HOST=127.0.0.1 PHOENIX_PORT="$port" PHOENIX_GRPC_PORT=$((port + 1)) PHOENIX_WORKING_DIR="$work/data" PHOENIX_TELEMETRY_ENABLED=false \
  timeout 600 "$work/venv/bin/phoenix" serve >"$work/phoenix.log" 2>&1 &
phoenix=$!; trap 'kill $phoenix 2>/dev/null || true' EXIT
for _ in $(seq 300); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.5; done
"$lacon" run CRCL --llm sim --out "$work/results" --run-id collector --otlp "http://127.0.0.1:$port" >/dev/null
pulled() { # The same trace, fetched from Phoenix: its calls and tokens are those that were sent.
  rm -rf "$work/pulled"
  "$lacon" trace pull phoenix --url "http://127.0.0.1:$port" --last 1 -o "$work/pulled"
  "$lacon" trace analyze "$work"/pulled/phoenix-*.json --json >"$work/pulled.json"
  "$lacon" trace analyze "$work"/results/CRCL/*/collector --json >"$work/sent.json"
  python3 -c 'import json, sys
a, b = (json.load(open(f)) for f in sys.argv[1:])
key = lambda t: (t["summary"]["n_calls"], t["summary"]["n_tool_calls"], t["summary"]["tokens"]["prompt"], t["summary"]["tokens"]["completion"], round(t["wall_s"], 2))
print("pulled", key(a), "sent", key(b)); sys.exit(key(a) != key(b))' "$work/pulled.json" "$work/sent.json"
}
"$work/venv/bin/python" - "$port" "$work"/results/CRCL/*/collector <<'PY'
import collections, importlib.metadata, json, sys, time, urllib.request
port, folder = sys.argv[1:]
sent = [json.loads(line) for line in open(f"{folder}/trace.jsonl")]
# Phoenix takes a request at once and its spans in one after the other.
for _ in range(60):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/projects/default/spans?limit=1000", timeout=30) as answer:
        kept = json.load(answer)["data"]
    if len(kept) >= len(sent):
        break
    time.sleep(1)
run = json.load(open(f"{folder}/run.json"))
ids = {span["context"]["span_id"] for span in kept}
kinds = collections.Counter(span["span_kind"] for span in kept)
tokens = lambda key: sum(span["attributes"].get(key) or 0 for span in kept)
calls = sum(call["prompt"] or 0 for call in run["calls"]), sum(call["completion"] or 0 for call in run["calls"])
got = tokens("llm.token_count.prompt"), tokens("llm.token_count.completion")
print(f"Phoenix {importlib.metadata.version('arize-phoenix')}: {len(kept)} of {len(sent)} spans, {dict(kinds)}, prompt and answer tokens {got}, sent {calls}")
lost = [span["name"] for span in kept if span["parent_id"] and span["parent_id"] not in ids]
sys.exit(len(kept) != len(sent) or got != calls or bool(lost) or kinds["LLM"] != len(run["calls"]) or kinds["TOOL"] != len(run["tools"]))
PY
pulled
