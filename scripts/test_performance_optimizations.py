"""Checks the parts of the optimization plan on the Python package, and prints what each one took.

    python scripts/test_performance_optimizations.py [--full-test]

Needs the package `lacon`. Exit code 1 means that a check failed. Times are printed and never judged.
"""

import argparse
import asyncio
import json
import sys
import time

import lacon

ROWS = json.dumps([{"day": i, "close": i * 7, "venue": "XNAS"} for i in range(200)], indent=1)


def tokenizer_cache(n):
    cache = lacon.TokenizerCache()
    first = cache.get("o200k_base")
    for _ in range(n):
        lacon.count("hello")
    assert cache.get("o200k_base") is first and cache.loads == len(cache.stats())
    return f"{cache.loads} loaded, {cache.hits} uses after loading"


def async_tokens(n):
    texts = [f"text {i} " * 2000 for i in range(n // 100)]

    async def main():
        return await asyncio.gather(*(lacon.count_async(text) for text in texts))

    assert asyncio.run(main()) == lacon.count_batch(texts)
    return f"{len(texts)} counts, equal to those of a batch"


def parallel_prompts(n):
    pairs = [(f"{i}\n{ROWS}", f"agent{i % 9}") for i in range(n // 100)]
    done = lacon.BatchPromptProcessor().process_prompts_parallel(pairs)
    assert [one.agent for one in done] == [agent for _, agent in pairs]
    assert all(lacon.expand(one.prompt) == prompt for one, (prompt, _) in zip(done, pairs, strict=True))
    return f"{len(pairs)} prompts, {sum(one.saved for one in done):,} tokens saved, all expand to what they were"


def monitor(n):
    @lacon.performance_monitor("monitored")
    def nothing():
        pass

    for _ in range(n):
        nothing()
    assert lacon.report()["monitored"]["calls"] >= n
    return f"{n} operations"


def main():
    parser = argparse.ArgumentParser(description="Checks the parts of the optimization plan on the Python package.")
    parser.add_argument("--full-test", action="store_true", help="ten times the work")
    n = 10_000 if parser.parse_args().full_test else 1_000
    failed = 0
    for check in (tokenizer_cache, async_tokens, parallel_prompts, monitor):
        began = time.perf_counter()
        try:
            said = f"ok: {check(n)}"
        except AssertionError as error:
            failed, said = failed + 1, f"FAILED: {error}"
        print(f"{check.__name__:18} {(time.perf_counter() - began) * 1e3:8.1f} ms  {said}")
    print(lacon.report())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
