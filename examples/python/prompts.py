"""Counts, shortens and restores a prompt. Needs nothing but lacon."""

import json

import lacon

rows = json.dumps([{"day": day, "close": 100 + day, "venue": "XNAS"} for day in range(60)], indent=1)
with lacon.performance_monitor("shorten"):
    short = lacon.compress(rows)
assert lacon.expand(short.text) == rows
print(f"{short.tokens_before} tokens before, {short.tokens_after} after, exactly the same rows")

request = [{"role": "user", "content": "Which day was dearest?"}, {"role": "tool", "tool_call_id": "a", "content": rows}]
print(lacon.count_messages(request, "gpt-4o").total, "tokens a request,", lacon.compress(request).tokens_after, "compressed")
print(lacon.report()["shorten"]["calls"], "operation in the ledger")
