#!/usr/bin/env bash
# The team `review` in Lacon and in Python frameworks, against the same simulated server: lines that the user writes, calls,
# tokens, time (of the run at recorded speed, and of starting the program), memory, and what two answers cut in the middle do.
#
#   LACON=target/dist/lacon benchmarks/peers.sh
#
# Needs python3 with langgraph, langchain-openai, openai-agents and pydantic-ai; what is not installed is left out and named.
set -euo pipefail
LACON=${LACON:-lacon}
command -v "$LACON" >/dev/null || { echo "no lacon: set LACON=path/to/lacon" >&2; exit 2; }
LACON=$(realpath "$(command -v "$LACON")")
PEERS=$(cd "$(dirname "$0")/peers" && pwd); TEAM=$(cd "$(dirname "$0")/.." && pwd)/teams/review/team.toml
export LACON PEERS TEAM SCALE="${SCALE:-0.1}" RUNS="${RUNS:-3}"
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 - <<'PY'
import json, os, re, statistics, subprocess, sys, tempfile, time

lacon, peers, scale, runs = os.environ["LACON"], os.environ["PEERS"], os.environ["SCALE"], int(os.environ["RUNS"])
change = "".join(
    f"--- a/src/part{i}.rs\n+++ b/src/part{i}.rs\n@@ -{i * 10 + 1},4 +{i * 10 + 1},5 @@\n fn part{i}(rows: &[Row]) -> usize {{\n"
    f"-    rows.iter().filter(|row| row.size > {i}).count()\n+    let limit = {i * 7 + 3};\n"
    f"+    rows.iter().filter(|row| row.size >= limit).count()\n }}\n" for i in range(40))
open("change.diff", "w").write(change)

def lines(path):
    return sum(1 for line in open(path) if line.strip() and not line.strip().startswith("#") and "# measured" not in line)

class Server:
    def __init__(self, faults=""):
        flags = ["--faults", faults] if faults else []
        self.process = subprocess.Popen([lacon, "sim", "serve", "--port", "0", "--time-scale", scale, *flags],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = re.search(r"http://\S+?(?=,)", self.process.stdout.readline()).group()
    def __enter__(self):
        return self
    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

def ours(*flags):
    def command(url):
        return [lacon, "run", "review", "--input", "change=@change.diff", "--input", "rules=Limits are named constants.", "--json",
                "--force", "--run-id", "x", "--llm", "openai", "--base-url", url + "/v1", *flags]
    return command

def theirs(name):
    return lambda url: [sys.executable, os.path.join(peers, f"review_{name}.py"), "change.diff"]

def run(command, url):
    environment = {**os.environ, "OPENAI_BASE_URL": url + "/v1", "OPENAI_API_KEY": "none", "LACON_LLM_TIME_SCALE": scale}
    environment["PYTHONPATH"] = peers
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as error:
        began = time.monotonic()
        process = subprocess.Popen(command(url), stdout=out, stderr=error, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        out.seek(0), error.seek(0)
        text, error = out.read(), error.read()
    if status:
        return {"failed": (error.strip().splitlines() or ["?"])[-1][:90], "seconds": seconds}
    got = json.loads(text)
    if "result" in got:
        got = {"seconds": got["wall_s"], "calls": len(got["calls"]), "tokens": got["tokens"]["total"], "text": got["result"]["text"]}
    return {**got, "start": seconds - got["seconds"], "cpu": usage.ru_utime + usage.ru_stime, "mb": usage.ru_maxrss / 1024}

team = os.environ["TEAM"]
ways = [("Lacon", ours(), lines(team)), ("Lacon, nothing on", ours("--disable", "all"), lines(team))]
for name, module in [("langgraph", "langgraph"), ("agents", "agents"), ("pydantic_ai", "pydantic_ai")]:
    if subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True).returncode:
        print(f"left out: {module} is not installed")
    else:
        ways.append((name, theirs(name), lines(os.path.join(peers, f"review_{name}.py"))))
print(f"{'':<20}{'lines':>6}{'calls':>7}{'tokens':>8}{'s':>8}{'start s':>9}{'CPU s':>7}{'MB':>6}{'figures':>9}  two answers cut")
for name, command, n in ways:
    with Server() as server:
        # The first run loads and compiles what the later ones find.
        all_of = [run(command, server.url) for _ in range(runs + 1)][1:]
    with Server("cut*2") as server:
        cut = run(command, server.url)
    fate = f"failed: {cut['failed']}" if "failed" in cut else f"done in {cut['seconds'] / float(scale):.0f} s"
    if "failed" in all_of[0]:
        print(f"{name:<20}{n:>6}  failed: {all_of[0]['failed']}")
        continue
    middle = lambda key: statistics.median(one[key] for one in all_of)
    figures = statistics.median(len(set(re.findall(r"\d+(?:\.\d+)?", one["text"]))) for one in all_of)
    print(f"{name:<20}{n:>6}{middle('calls'):>7.0f}{middle('tokens'):>8.0f}{middle('seconds') / float(scale):>8.1f}{middle('start'):>9.2f}"
          f"{middle('cpu'):>7.2f}{middle('mb'):>6.0f}{figures:>9.0f}  {fate}")
PY
