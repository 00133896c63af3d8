#!/usr/bin/env bash
# Runs both profiles against the replay server in ../shared/referee and prints one table.
#   benchmarks/referee.sh [--faults] [--names N] [--optimizations] [--replay] [--overshoot "1 1.3 1.6 2 3"] [--only baseline|lacon] [--check]
# --faults: 429 8 %, 500 4 %, drop 3 %, stall 2 %, bad JSON 2 %.  --optimizations: each one off alone, those that are off by default on alone.
# --overshoot: the model's answers are so many times longer than the prompts ask for; one row each.
# Ends with 1 where a run decides otherwise than the baseline, or another role than the risk manager decides.
# --check: only says whether it could run.  --replay: CRCL and FIG at their recorded seconds.  Needs python3; skips where ../shared is absent.
set -euo pipefail
cd "$(dirname "$0")/.."
shared="$(cd .. && pwd)/shared"
[ -d "$shared/referee" ] || { echo "skipped: ../shared/referee is not here"; exit 0; }
scale="${TIME_SCALE:-0.05}"; port="${PORT:-8091}"; names=3; levers=0; replay=0; check=0; only=; overshoot=; faults=()
while [ $# -gt 0 ]; do case "$1" in
  --faults) faults=(SIM_429=0.08 SIM_500=0.04 SIM_DROP=0.03 SIM_STALL=0.02 SIM_BADJSON=0.02) ;;
  --names) names="$2"; shift ;;
  --optimizations|--levers) levers=1 ;;
  --replay) replay=1 ;;
  --check) check=1 ;;
  --only) only="$2"; shift ;;
  --overshoot) overshoot="$2"; shift ;;
  *) echo "unknown flag $1"; exit 2 ;;
esac; shift; done
if [ "$check" = 1 ]; then
  command -v python3 >/dev/null || { echo "skipped: python3 is not here"; exit 0; }
  [ -f "$shared/referee/server.py" ] && [ -f "$shared/workload/latency_model.json" ] && [ -f benchmarks/referee_table.py ]
  echo "ready"; exit 0
fi

work="${WORK:-$PWD/target/referee}"; mkdir -p "$work"
if [ ! -x "$work/venv/bin/python" ]; then
  python3 -m venv "$work/venv" && "$work/venv/bin/pip" -q install tiktoken aiohttp uvloop
fi
if [ ! -f "$work/server/vocab/o200k_base.tiktoken" ]; then
  mkdir -p "$work/server" && cp "$shared"/referee/* "$work/server/" && chmod -R u+w "$work/server" && (cd "$work/server" && ./get_vocab.sh)
fi
# LACON names a binary that is built already.
[ -n "${LACON:-}" ] || cargo build --release --quiet --locked
lacon="${LACON:-$PWD/target/release/lacon}"
profile=typical; [ "$replay" = 1 ] && profile=replay
log="$work/calls.jsonl"; rm -f "$log"
(cd "$work/server" && exec env TIME_SCALE="$scale" SIM_PROFILE="$profile" SIM_MAX_TOKENS_CUT=hard "${faults[@]}" ../venv/bin/python server.py \
  --port "$port" --runs "$shared/workload/runs" --runs "$shared/workload/calib" --latency "$shared/workload/latency_model.json" --log "$log" >"$work/server.out" 2>&1) &
server=$!; trap 'kill $server 2>/dev/null || true' EXIT
for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.2; done

results="$work/results"; rm -rf "$results"
one() { # ticker date name profile extra...
  # A run that fails is part of the table, not the end of it.
  env -u OPENAI_API_KEY LACON_LLM_HEADERS=true LACON_LLM_TIME_SCALE="$scale" "$lacon" run "$1" --date "$2" --base-url "http://127.0.0.1:$port/v1" \
    --tools-url "http://127.0.0.1:$port/sim/tools" --run-id "$3" --profile "$4" --out "$results/$4${6:+-}${6:-}${7:+-}${7:-}" --json "${@:5:2}" >/dev/null 2>>"$work/lacon.err" || true
}
configure() { (exec 3<>"/dev/tcp/127.0.0.1/$port"; printf 'POST /sim/config HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n%s' "${#1}" "$1" >&3; cat <&3 >/dev/null); }
forget() { configure '{}'; }
tickers="AAPL:2025-08-07 ETH:2025-08-08 NVDA:2025-08-11 UNH:2025-08-08"
[ "$replay" = 1 ] && { tickers="CRCL:2025-07-30 FIG:2025-07-31"; names=1; }
cuts=()
run_all() { # label profile extra...
  forget; cuts+=("$1:$( [ -f "$log" ] && (sleep 0.5; wc -l <"$log") || echo 0)")
  for t in $tickers; do for n in $(seq "$names"); do one "${t%%:*}" "${t##*:}" "${t%%:*}_$n" "${@:2}"; done; done
}
if [ "$levers" = 1 ]; then
  names=1
  run_all lacon lacon
  for l in no_barrier prefetch condense word_limits parallel_judge digests contradictions prefix_layout stagger repair local_signal hedge concise prompt_plan deadline_ladder slack_models memory shared_news tool_cache all; do run_all "without $l" lacon --disable "$l"; done
elif [ -n "$overshoot" ]; then
  for f in $overshoot; do configure "{\"overshoot\": $f}"; tag="overshoot $f"; cuts+=("$tag:$( [ -f "$log" ] && (sleep 0.5; wc -l <"$log") || echo 0)")
    for t in $tickers; do for n in $(seq "$names"); do one "${t%%:*}" "${t##*:}" "${t%%:*}_$n" lacon --disable "shared_news" "$f"; done; done; done
else
  [ "$only" = lacon ] || run_all baseline seed
  [ "$only" = baseline ] || run_all lacon lacon
fi
sleep 0.6
"$work/venv/bin/python" benchmarks/referee_table.py "$work/server" "$log" "$results" "$scale" "${cuts[@]}"
