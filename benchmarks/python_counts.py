#!/usr/bin/env python3
"""lacon beside tiktoken in one process, in turns: `benchmarks/python.sh` makes the environment and runs it.

  python_counts.py RANKS_DIR

RANKS_DIR holds tiktoken's rank files (`assets` of the crate tiktoken-rs), so that nothing is downloaded. The text is the source of
this Python's own library. Totals must agree; medians and best of the rounds are of processor time of one thread.
"""
import asyncio
import os
import pathlib
import statistics
import subprocess
import sys
import time

import tiktoken
import tiktoken.load
import tiktoken_ext.openai_public as public

import lacon

ROUNDS = 9
public.load_tiktoken_bpe = lambda path, expected_hash=None: tiktoken.load.load_tiktoken_bpe(
    os.path.join(sys.argv[1], path.rsplit("/", 1)[-1]), expected_hash
)
theirs = tiktoken.Encoding(**public.o200k_base())
ours = lacon.get_encoding("o200k_base")

parts, size = [], 0
for path in sorted(pathlib.Path(os.__file__).parent.rglob("*.py")):
    if size < 5_000_000 and "site-packages" not in path.parts:
        parts.append(path.read_text(encoding="utf-8", errors="replace"))
        size += len(parts[-1].encode())
whole = "".join(parts)
documents = [whole[i : i + 8192] for i in range(0, len(whole), 8192)]
short = "What was the close of AAPL on the last trading day?"
assert lacon.count(whole) == len(theirs.encode_ordinary(whole))


def timed(call, times=1):
    began = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - began) / times


def table(title, contenders, unit, times=1):
    print(f"\n{title}")
    taken = {name: [] for name in contenders}
    for call in contenders.values():
        call()
    for _ in range(ROUNDS):
        for name, call in contenders.items():
            taken[name].append(timed(call, times))
    for name, seconds in taken.items():
        print(f"  {name:44} median {unit(statistics.median(seconds))}   best {unit(min(seconds))}")


def rate(seconds):
    return f"{size / seconds / 1e6:8.1f} MB/s"


def micros(seconds):
    return f"{seconds * 1e6:8.2f} us"


print(f"lacon {lacon.__version__}, tiktoken {tiktoken.__version__}, Python {sys.version.split()[0]}, {size:,} bytes, o200k_base")
table(
    "one text of 5 MB",
    {
        "lacon.count": lambda: lacon.count(whole),
        "lacon.encode": lambda: lacon.encode(whole),
        "tiktoken encode_ordinary": lambda: theirs.encode_ordinary(whole),
        "tiktoken encode_to_numpy" if "numpy" in sys.modules else "tiktoken encode": lambda: theirs.encode(whole, disallowed_special=()),
    },
    rate,
)
table(
    "the same in documents of 8,192 characters",
    {
        "lacon.count": lambda: [lacon.count(text) for text in documents],
        "lacon Encoding.encode_ordinary": lambda: [ours.encode_ordinary(text) for text in documents],
        "tiktoken encode_ordinary": lambda: [theirs.encode_ordinary(text) for text in documents],
    },
    rate,
)
table(
    f"{len(short.split())} words",
    {
        "lacon.count": lambda: lacon.count(short),
        "lacon Encoding.encode": lambda: ours.encode(short),
        "tiktoken encode": lambda: theirs.encode(short),
        "tiktoken encode_ordinary": lambda: theirs.encode_ordinary(short),
    },
    micros,
    times=20_000,
)


async def gap(work):
    """The longest time that a task which sleeps for a millisecond was kept waiting beyond it, while the work ran."""
    worst, stop = 0.0, False

    async def heart():
        nonlocal worst
        while not stop:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - began - 0.001)

    beating = asyncio.create_task(heart())
    await asyncio.sleep(0.01)
    worst = 0.0
    await work()
    stop = True
    await beating
    return worst


print("\nlongest gap of the event loop while 5 MB are worked on in a thread (median and worst of 9)")
works = {
    "nothing (50 ms of sleep)": lambda: asyncio.sleep(0.05),
    "lacon.count_async": lambda: lacon.count_async(whole),
    "lacon.count_batch_async, documents": lambda: lacon.count_batch_async(documents),
    "lacon.encode_async": lambda: lacon.encode_async(whole),
    "tiktoken encode_ordinary in to_thread": lambda: asyncio.to_thread(theirs.encode_ordinary, whole),
}
gaps = {name: [] for name in works}
for _ in range(9):
    for name, work in works.items():
        gaps[name].append(asyncio.run(gap(work)))
for name, seconds in gaps.items():
    print(f"  {name:44} median {statistics.median(seconds) * 1e3:6.1f} ms   worst {max(seconds) * 1e3:6.1f} ms")

print("\nimport, in a process of its own (median of 15)")
for name in ("lacon", "tiktoken"):
    script = f"import time; a = time.perf_counter(); import {name}; print(time.perf_counter() - a)"
    taken = [float(subprocess.check_output([sys.executable, "-c", script])) for _ in range(15)]
    print(f"  {name:44} median {statistics.median(taken) * 1e3:6.1f} ms")
