"""Compares the prices that `lacon models --prices` shows with those of the package `genai-prices`.

    python3 scripts/compare_prices.py target/debug/lacon

Every spelling of every model of the shipped providers is asked for: as `provider/name`, and bare where the package finds
a provider for it. Compared are all token prices of the hour, at the base, above each length, and for a batch. Without the
package it says so and passes.
"""

import json
import subprocess
import sys
from datetime import datetime, timezone

try:
    from genai_prices.data_snapshot import get_snapshot
    from genai_prices.types import TieredPrices
except ImportError:
    print("skipped: genai-prices is not installed (pip install genai-prices)")
    sys.exit(0)

KINDS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "reasoning": "output_reasoning_mtok",
}


def spellings(clause):
    if hasattr(clause, "equals"):
        return [clause.equals]
    return [name for part in getattr(clause, "or_", []) for name in spellings(part)]


def at(price, prompt):
    if isinstance(price, TieredPrices):
        return next((t.price for t in reversed(price.tiers) if prompt > t.start), price.base)
    return price


def expected(prices, prompt):
    found = {kind: at(getattr(prices, key), prompt) for kind, key in KINDS.items()}
    return {kind: None if usd is None else float(usd) for kind, usd in found.items()}


def main(lacon):
    snapshot = get_snapshot()
    with open("crates/lacon-monitor/data/prices.json", encoding="utf-8") as file:
        shipped = {p["id"]: {m["id"] for m in p["models"]} for p in json.load(file)["providers"]}
    wanted = {}
    now = datetime.now(timezone.utc)
    for provider in snapshot.providers:
        for model in provider.models:
            if model.id in shipped.get(provider.id, ()):
                for name in [model.id, *spellings(model.match)]:
                    found = provider.find_model(name, all_providers=snapshot.providers)
                    if found is not None:
                        wanted[f"{provider.id}/{name}"] = found
                    try:
                        of, found = snapshot.find_provider_model(name, None, None, None)
                    except LookupError:
                        continue
                    if "/" not in name and found.id in shipped.get(of.id, ()):
                        wanted[name] = found
    output = subprocess.run([lacon, "models", "--prices", "--json", *wanted], capture_output=True, text=True, check=True)
    rows = json.loads(output.stdout)["models"]
    faults = []
    for row, (name, model) in zip(rows, wanted.items(), strict=True):
        price = row["price"]
        if price is None:
            faults.append(f"{name}: no price")
            continue
        standard = model.get_prices(now)
        batch = model.get_prices(now, {"processing": "batch"})
        checks = [(price, expected(standard, 0)), (price["batch"] or price, expected(batch, 0))]
        checks += [(tier, expected(standard, tier["above_tokens"] + 1)) for tier in price["tiers"]]
        for shown, right in checks:
            for kind, usd in right.items():
                if shown[kind] != usd:
                    faults.append(f"{name}: {kind} {shown[kind]}, genai-prices has {usd}")
    print("\n".join(faults[:50]))
    print(f"{len(wanted)} names compared, {len(faults)} differences")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "target/debug/lacon")
