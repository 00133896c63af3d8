"""Prints the table of benchmarks/referee.sh: the referee's log cut into parts, beside what the runs say of themselves.

   referee_table.py SERVER_DIR LOG RESULTS_DIR SCALE LABEL:FIRST_LINE ...
"""
import collections
import glob
import json
import statistics as st
import sys

server, log, results, scale = sys.argv[1:5]
sys.path.insert(0, server)
import score  # noqa: E402

lines = [json.loads(line) for line in open(log)]
cuts = [(c.rsplit(":", 1)[0], int(c.rsplit(":", 1)[1])) for c in sys.argv[5:]]
MUST = {"bull": ["market", "social", "news", "fundamentals"], "bear": ["market", "social", "news", "fundamentals"],
        "plan": ["market", "social", "news", "fundamentals", "bull", "bear"], "judge": ["bull", "bear"],
        "risk_manager": ["plan", "risky", "safe", "neutral"]}
ALL = score.NEED + ["judge"]
RECORDED = {}
for path in glob.glob(server + "/../../../../shared/workload/runs/*.json"):
    recorded = json.load(open(path))
    RECORDED[recorded["ticker"]] = recorded["recorded"].get("decision")


WHOLE = (".", "!", "?", ":", ")", "]", '"', "*", "|", "%", "`", "”")


def is_cut(folder, run):
    """How many of a run's texts end inside a sentence."""
    cut = 0
    for report in run["reports"]:
        try:
            lines = [x.strip() for x in open(f"{folder}/{report['path']}").read().split("\n") if x.strip()]
        except OSError:
            continue
        last = lines[-1] if lines else ""
        # A row, an item or a decision line ends where its line ends.
        row = last.startswith(("-", "*", "•", "|", "#")) or last[:1].isdigit() or last.endswith(("BUY", "SELL", "HOLD"))
        cut += not (last.endswith(WHOLE) or row)
    return cut


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))] if values else float("nan")


decisions, strangers = {}, 0
print(f"{'':22s} {'runs':>5s} {'complete':>8s} {'decided':>7s} {'by rm':>6s} {'cut':>5s} {'p50 s':>7s} {'p90 s':>7s} {'mean s':>7s} {'span90':>7s} {'tokens':>8s} {'prompt':>7s} {'compl.':>7s} "
      f"{'cached':>7s} {'calls':>6s} {'coverage':>8s} {'own ms':>7s} {'peak MB':>7s}")
for i, (label, first) in enumerate(cuts):
    last = cuts[i + 1][1] if i + 1 < len(cuts) else len(lines)
    by = collections.defaultdict(list)
    for record in lines[first:last]:
        if record.get("run"):
            by[record["run"]].append(record)
    folder = {"baseline": "seed", "lacon": "lacon"}.get(label, "lacon-" + label.removeprefix("without ").removeprefix("with ").replace("overshoot ", "shared_news-"))
    own, cut = {}, {}
    for path in glob.glob(f"{results}/{folder}/*/*/*/run.json"):
        run = json.load(open(path))
        own[run["run_id"]] = run
        cut[run["run_id"]] = is_cut(path.removesuffix("/run.json"), run)
    decisions[label] = {name: run["decision"]["action"] for name, run in own.items()}
    by_manager = sum(run["decision"]["source"] == "risk_manager" and not run["decision"].get("stands_in_for") for run in own.values())
    strangers += len(own) - by_manager
    seconds, spans, totals, prompts, completions, cached, calls, worst, complete = [], [], [], [], [], [], [], [], 0
    decided = 0
    for name, records in sorted(by.items()):
        # A stream that was closed behind its word limit is an answer; the server notes it as a client that went away.
        records = [{**r, "status": 200, "planned": r["t_end"] - r["t"]} if r["status"] == -1 and r.get("completion", 0) > 20 and not r.get("fault") else r
                   for r in records]
        account = score.account(records)
        if not account:
            continue
        run = own.get(name)
        answered = {r["role"] for r in records if r["kind"] == "llm" and r["status"] == 200 and r["turn"] == "answer" and r["completion"] > 20}
        seconds.append(account["model_s"] + (run["own_ms"] / 1e3 if run else 0))
        spans.append(account["span_s"])
        totals.append(account["total"])
        prompts.append(account["prompt"])
        completions.append(account["completion"])
        cached.append(account["cached"])
        calls.append(account["calls"])
        for r in records:
            if r["kind"] == "llm":
                worst += [v for k, v in (r.get("coverage") or {}).items() if k in MUST.get(r["role"], [])]
        reports = run and all(x["words"] > 0 for x in run["reports"] if x["path"].startswith("reports/1_"))
        decided += bool(run and RECORDED.get(run["ticker"]) in (None, run["decision"]["action"]))
        complete += bool(run and reports and run["decision"]["parsed"] and not set(ALL) - answered)
    if not seconds:
        continue
    print(f"{label:22s} {len(seconds):5d} {complete:8d} {decided:7d} {by_manager:6d} {sum(cut.values()) / max(1, len(cut)):5.2f} {st.median(seconds):7.1f} {quantile(seconds, 0.9):7.1f} {st.mean(seconds):7.1f} {quantile(spans, 0.9):7.1f} "
          f"{st.mean(totals):8.0f} {st.mean(prompts):7.0f} {st.mean(completions):7.0f} {st.mean(cached):7.0f} {st.mean(calls):6.1f} "
          f"{min(worst, default=float('nan')):8.2f} {st.median(r['own_ms'] for r in own.values()):7.1f} "
          f"{max(r['peak_rss_mb'] or 0 for r in own.values()):7.1f}")
print(f"runtime = model and tool time on the critical chain (referee's clock, recorded seconds) + our own time; time scale {scale}; "
      "span90 = p90 of first request to last answer, failed attempts and waits included, our own time stretched by 1/scale; "
      "decided = runs whose decision is the recorded one; coverage = the lowest share of numbers that reached a role which must read them")
print("by rm = runs whose decision the risk manager states; cut = texts of a run's 13 that end inside a sentence")
if "baseline" in decisions and "lacon" in decisions:
    names = sorted(set(decisions["baseline"]) & set(decisions["lacon"]))
    same = sum(decisions["baseline"][n] == decisions["lacon"][n] for n in names)
    n, p, z = len(names), same / max(1, len(names)), 1.96
    middle, half = (p + z * z / (2 * n)) / (1 + z * z / n), z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    print(f"agreement of lacon with baseline: {same} of {n} decisions, {100 * p:.0f} % (95 % interval {100 * (middle - half):.0f} to {min(100, 100 * (middle + half)):.0f} %)")
    for name in names:
        if decisions["baseline"][name] != decisions["lacon"][name]:
            print(f"  {name}: baseline {decisions['baseline'][name]}, lacon {decisions['lacon'][name]}")
    strangers += n - same
sys.exit(1 if strangers else 0)
