#!/usr/bin/env bash
# The five shipped teams with all optimizations and with none, on the simulator with the same draws: time, tokens, money, and
# whether the result is the same. Then a fan-out of 10,000 items with 64 calls at once: memory; and the same killed by
# SIGKILL several times and gone on with: the ledger must hold every call once. With cargo at hand, 1,000 teams at once.
#
#   LACON=target/dist/lacon benchmarks/teams.sh [--short]
#
# Time is what recorded calls took; the simulator runs it at SCALE of that. Our own time is in it, SCALE times enlarged.
set -euo pipefail
LACON=${LACON:-lacon}
command -v "$LACON" >/dev/null || { echo "no lacon: set LACON=path/to/lacon" >&2; exit 2; }
LACON=$(command -v "$LACON"); LACON=$(realpath "$LACON")
SCALE=${SCALE:-0.1}; SEEDS=${SEEDS:-"1 2 3 4 5"}; ITEMS=${ITEMS:-10000}
if [ "${1:-}" = --short ]; then SCALE=0; SEEDS=1; ITEMS=400; TEAMS=100; fi
SOURCE=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
export LACON SCALE SEEDS ITEMS
python3 - <<'PY'
import json, os, re, statistics, subprocess

lacon, scale, seeds = os.environ["LACON"], os.environ["SCALE"], os.environ["SEEDS"].split()
diff = "".join(
    f"--- a/src/part{i}.rs\n+++ b/src/part{i}.rs\n@@ -{i * 10 + 1},4 +{i * 10 + 1},5 @@\n fn part{i}(rows: &[Row]) -> usize {{\n"
    f"-    rows.iter().filter(|row| row.size > {i}).count()\n+    let limit = {i * 7 + 3};\n"
    f"+    rows.iter().filter(|row| row.size >= limit).count()\n }}\n" for i in range(40))
documents = [f"Invoice of 2025-{i % 12 + 1:02}-{i % 28 + 1:02}\nName: Customer {i}; Amount: {i * 3 % 997}.50; Subject: order {1000 + i}\n"
             "Thank you for your order. Please pay within 30 days and name the number of the invoice." for i in range(40)]
given = {
    "research": {"topic": "How do cities cool their streets in summer?", "depth": 6},
    "review": {"change": diff, "rules": "Limits are named constants."},
    "triage": {"message": "The pump stops after 3 minutes and shows error 17. I cleaned the filter twice. What can I do?"},
    "extract": {"documents": documents},
    "debate": {"question": "Should the town close its main street to cars?",
               "material": "Traffic fell by 23 percent in the trial of 2023. Shops lost 4 percent of sales in the first month and won 6 "
                           "percent in the second. The bus needs 2 minutes more. 61 percent of those asked are in favor."},
}

def run(team, seed, *flags):
    with open("given.json", "w") as file:
        json.dump(given[team], file)
    done = subprocess.run([lacon, "run", team, "--input", "@given.json", "--json", "--force", "--run-id", "x", "--seed", seed,
                           "--time-scale", scale, *flags], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{team} {flags}: {done.stderr}")
    return json.loads(done.stdout)

def figures(run):
    return set(re.findall(r"\d+(?:\.\d+)?", run["result"]["text"]))

def seconds(run):
    return run["wall_s"] / float(scale) if float(scale) else 0.0

print(f"{'team':<10}{'':>10}{'s':>8}{'calls':>7}{'tokens':>9}{'cached':>8}{'USD':>9}{'figures':>9}  decision")
shares = []
for team in given:
    rows, stated = {}, {}
    ways = [("none", ["--disable", "all"]), ("all", [])]
    # Where agents read the same with the same model, one call may answer for them, on demand.
    if team == "review":
        ways.append(("merged", ["--enable", "merged"]))
    for name, flags in ways:
        runs = [run(team, seed, *flags) for seed in seeds]
        stated[name] = [figures(r) for r in runs]
        middle = lambda value: statistics.median(value(r) for r in runs)
        rows[name] = (middle(seconds), middle(lambda r: r["tokens"]["total"]), middle(lambda r: float(r["cost_usd"])))
        decisions = {(r["decision"] or {}).get("value", "-") for r in runs}
        print(f"{team:<10}{name:>10}{rows[name][0]:>8.1f}{middle(lambda r: len(r['calls'])):>7.0f}{rows[name][1]:>9.0f}"
              f"{middle(lambda r: r['tokens'].get('cached') or 0):>8.0f}{rows[name][2]:>9.4f}{middle(lambda r: len(figures(r))):>9.0f}  {', '.join(sorted(decisions))}")
    shares.append([a / n - 1 if n else 0.0 for a, n in zip(rows["all"], rows["none"])])
    print(f"{'':<20}{shares[-1][0]:>+8.0%}{'':>7}{shares[-1][1]:>+9.0%}{'':>8}{shares[-1][2]:>+9.0%}  "
          f"figures of none that all states too: {sum(len(n & a) for n, a in zip(stated['none'], stated['all']))} "
          f"of {sum(map(len, stated['none']))}")
mean = [statistics.mean(share[i] for share in shares) for i in range(3)]
print(f"mean of five: time {mean[0]:+.0%}, tokens {mean[1]:+.0%}, money {mean[2]:+.0%}")

given["extract"] = {"documents": [f"Name: Customer {i}; Amount: {i}.50; Subject: order" for i in range(int(os.environ["ITEMS"]))]}
text = subprocess.run([lacon, "new", "many", "--template", "extract"], capture_output=True, text=True)
with open("many/team.toml") as file:
    team = file.read().replace("in_flight = 32", "in_flight = 64")
with open("many/team.toml", "w") as file:
    file.write(team)
scale = "0"
given["many"] = given["extract"]
wide = run("many", "1")
print(f"fan-out of {os.environ['ITEMS']} items, 64 at once, no waiting: {len(wide['calls'])} calls, {wide['wall_s']:.2f} s, "
      f"peak memory {wide['peak_rss_mb']} MB")

import random, signal, time
draw, kills = random.Random(1), 0
command = [lacon, "run", "many", "--time-scale", "0", "--json"]
with open("given.json", "w") as file:
    json.dump(given["many"], file)
first = ["--input", "@given.json", "--run-id", "killed"]
while True:
    process = subprocess.Popen(command + first, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first = ["--resume", "killed"]
    try:
        # Later kills come later, so that the run ends.
        out, error = process.communicate(timeout=wide["wall_s"] * draw.uniform(0.2, 0.5) * (1 + kills / 2))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
        if not os.path.exists("results/teams/many/runs/killed/journal.jsonl"):
            first = ["--input", "@given.json", "--run-id", "killed", "--force"]
        continue
    if process.returncode:
        raise SystemExit(error.decode())
    break
last = json.loads(out)
same = lambda value: "the same" if value(last) == value(wide) else f"{value(last)} instead of {value(wide)}"
print(f"killed {kills} times and gone on with: calls {same(lambda r: len(r['calls']))}, tokens {same(lambda r: r['tokens']['total'])}, "
      f"cost {same(lambda r: r['cost_usd'])}, result {same(lambda r: r['result']['text'])}")
PY
if command -v cargo >/dev/null && [ -n "$SOURCE" ]; then
    cargo run --quiet --manifest-path "$SOURCE/Cargo.toml" -p lacon-agents --example many_teams -- "${TEAMS:-1000}" 0.05
fi
