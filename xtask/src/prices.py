"""Prints what `genai-prices` knows of the providers named on the command line, as compact JSON, one model a line.

Clauses: "=x" equals, "^x" starts with, "$x" ends with, "*x" contains, "~x" regular expression; a list is "or",
{"and": [...]} is "and". Prices are USD for a million tokens: a number, or [base, [start, price], ...] where a prompt
of more than `start` tokens pays `price` for all of its tokens.
"""

import json
import sys
from datetime import date
from decimal import Decimal
from importlib.metadata import version

from genai_prices.data import providers

RATES = {
    "input_mtok": "input",
    "cache_read_mtok": "cached",
    "cache_write_mtok": "cache_write",
    "cache_write_5m_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
}
SIGNS = {"equals": "=", "starts_with": "^", "ends_with": "$", "contains": "*", "regex": "~"}


def clause(c):
    for name, sign in SIGNS.items():
        if hasattr(c, name):
            text = getattr(c, name)
            return sign + (text if name == "regex" else text.lower())
    if hasattr(c, "or_"):
        parts = [clause(x) for x in c.or_]
        return parts[0] if len(parts) == 1 else parts
    if hasattr(c, "and_"):
        return {"and": [clause(x) for x in c.and_]}
    sys.exit(f"a clause of an unknown kind: {c}")


def number(x):
    if Decimal(x) * 10**9 % 1 != 0:
        sys.exit(f"{x} has more than nine decimals")
    return float(x) if x % 1 else int(x)


def rate(x):
    if hasattr(x, "tiers"):
        return [number(x.base)] + [[t.start, number(t.price)] for t in x.tiers]
    return number(x)


def rates(prices):
    return {short: rate(prices.__dict__[k]) for k, short in RATES.items() if prices.__dict__.get(k) is not None}


def valid(constraint):
    if constraint is None:
        return {}
    if hasattr(constraint, "start_date"):
        return {"from": str(constraint.start_date)}
    if constraint.start_time.tzinfo and constraint.start_time.utcoffset():
        sys.exit("a time of day that is not in UTC")
    return {"hours": [constraint.start_time.strftime("%H:%M"), constraint.end_time.strftime("%H:%M")]}


def model(m):
    rows = m.prices if isinstance(m.prices, list) else [m.prices]
    prices = [
        {**valid(getattr(r, "constraint", None)), **rates(getattr(r, "prices", r))} for r in rows
    ]
    if not any(set(p) - {"from", "hours"} for p in prices):
        return None
    row = {"id": m.id, "match": clause(m.match)}
    if m.context_window:
        row["context"] = m.context_window
    row["prices"] = prices
    batch = [
        {**valid(v.constraint), **rates(v.prices)}
        for v in m.price_variants or []
        if v.when == {"processing": "batch"}
    ]
    if batch:
        row["batch"] = batch
    return row


def provider(p):
    row = {"id": p.id, "name": p.name}
    if p.pricing_urls:
        row["url"] = p.pricing_urls[0]
    if p.model_match:
        row["match"] = clause(p.model_match)
    if p.provider_match:
        row["alias"] = clause(p.provider_match)
    if p.fallback_model_providers:
        row["fallback"] = p.fallback_model_providers
    return row, [m for m in map(model, p.models) if m]


def compact(x):
    return json.dumps(x, ensure_ascii=False, separators=(",", ":"))


known = {p.id: p for p in providers}
missing = [p for p in sys.argv[1:] if p not in known]
if missing:
    sys.exit(f"genai-prices knows no provider {missing}")
out = []
for p in providers:
    if p.id in sys.argv[1:]:
        row, models = provider(p)
        head = compact(row)[:-1]
        out.append(head + ',"models":[\n' + ",\n".join(compact(m) for m in models) + "\n]}")
source = {
    "name": f"genai-prices {version('genai-prices')}",
    "license": "MIT",
    "url": "https://pypi.org/project/genai-prices/",
    "checked": str(date.today()),
}
print('{"source":' + compact(source) + ',\n"providers":[\n' + ",\n".join(out) + "\n]}")
