"""Predicted and billed input cost of three teams under three cache rules.

    LACON=target/dist/lacon python3 benchmarks/caches.py [--scale 0.1]

The trading team runs against ../shared/referee where that is here, else on the simulator like the other teams. Each run records a tape; `lacon layout` predicts hits and writes from its requests alone and compares them with
the bill. Cost is in tokens of uncached input. Ends with 1 where an error is above 2 %.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LACON = os.path.realpath(os.environ.get("LACON", "target/debug/lacon"))
SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
REFEREE = Path(os.environ.get("REFEREE", SHARED / "referee"))
PYTHON = os.environ.get("REFEREE_PYTHON", sys.executable)
SCALE = sys.argv[sys.argv.index("--scale") + 1] if "--scale" in sys.argv else "0.1"
RULES = {"openai-5.5": "gpt-5.5", "openai-5.6": "gpt-5.6-sol", "anthropic": "claude-opus-4-7"}
DOCUMENT = "Invoice of 2025-0{}-1{}\nName: Customer {}; Amount: {}.50; Subject: order {}\nPlease pay within 30 days."
GIVEN = {
    "debate": {
        "question": "Should the town close its main street to cars?",
        "material": "Traffic fell by 23 percent in the trial of 2023. Shops lost 4 percent of sales in the first month and won "
        "6 percent in the second. The bus needs 2 minutes more. 61 percent of those asked are in favor.\n" * 30,
    },
    "review": {
        "change": "".join(
            f"--- a/src/part{i}.rs\n+++ b/src/part{i}.rs\n@@ -{i * 10 + 1},4 +{i * 10 + 1},5 @@\n"
            f"-    rows.iter().filter(|row| row.size > {i}).count()\n+    let limit = {i * 7 + 3};\n"
            f"+    rows.iter().filter(|row| row.size >= limit).count()\n"
            for i in range(40)
        ),
        "rules": "Limits are named constants.",
    },
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def serve(command, port, **env):
    server = subprocess.Popen(
        command, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=env.get("FOLDER")
    )
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return server
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{command[0]} does not answer")


def lacon(*arguments, rule=""):
    env = {k: v for k, v in os.environ.items() if k != "OPENAI_API_KEY"}
    env |= {"SIM_CACHE_RULE": rule} if rule else {}
    env |= {"LACON_LLM_TIME_SCALE": SCALE, "LACON_LLM_HEADERS": "true", "LACON_LLM_HEDGE_FIRST_TOKEN_S": "60"}
    done = subprocess.run([LACON, *arguments], capture_output=True, text=True, env=env)
    if done.returncode:
        raise SystemExit(f"lacon {' '.join(arguments)}: {done.stderr}")
    return json.loads(done.stdout)


def measured(team, rule, folder, *more):
    tape = f"{folder}/{team}-{rule}.jsonl"
    model = RULES[rule]
    lacon("run", *more, "--quick-model", model, "--deep-model", model, "--run-id", f"{team}_{rule}", "--time-scale", SCALE,
          "--out", f"{folder}/{rule}", "--tape", tape, "--record", "--force", "--json", rule=rule)
    layout = lacon("layout", tape, "--json")
    assert layout["rule"] == rule, layout["rule"]
    prompt = sum(p["prompt"] for p in layout["as_sent"])
    billed = layout["billed"]
    reads, writes = billed["cached"], billed["written"]
    print(
        f"{team:<9}{rule:<12}{prompt:>8}{billed['predicted_tokens']:>11.0f}{billed['billed_tokens']:>9.0f}"
        f"{100 * billed['error']:>8.2f}{reads['predicted']:>8}/{reads['billed']:<7}"
        f"{writes['predicted']:>7}/{writes['billed']:<7}{100 * (1 - billed['billed_tokens'] / prompt):>7.1f}",
        flush=True,
    )
    return abs(billed["error"])


def main():
    print("team     rule          prompt  predicted   billed  error %   read p/b     written p/b   net saving %")
    errors = []
    with tempfile.TemporaryDirectory() as folder:
        for rule in RULES:
            if (REFEREE / "vocab").is_dir():
                port, work = free_port(), SHARED / "workload"
                referee = serve(
                    [PYTHON, "server.py", "--port", str(port), "--runs", str(work / "runs"), "--runs", str(work / "calib"),
                     "--latency", str(work / "latency_model.json"), "--log", f"{folder}/calls.jsonl"],
                    port, SIM_CACHE_RULE=rule, TIME_SCALE=SCALE, FOLDER=str(REFEREE),
                )
                try:
                    url = f"http://127.0.0.1:{port}"
                    where = ["--llm", "openai", "--base-url", f"{url}/v1", "--tools-url", f"{url}/sim/tools"]
                    errors.append(measured("trading", rule, folder, "AAPL", "--date", "2025-08-07", *where))
                finally:
                    referee.kill()
            else:
                errors.append(measured("trading", rule, folder, "AAPL"))
            for team, given in GIVEN.items():
                inputs = f"{folder}/{team}.json"
                Path(inputs).write_text(json.dumps(given))
                errors.append(measured(team, rule, folder, team, "--input", f"@{inputs}"))
    print(f"largest error: {100 * max(errors):.2f} %")
    sys.exit(max(errors) > 0.02)


if __name__ == "__main__":
    main()
