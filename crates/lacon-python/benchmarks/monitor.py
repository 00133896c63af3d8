"""What `performance_monitor` costs an operation: the best of 1,000 rounds of 1,000 calls.

    python crates/lacon-python/benchmarks/monitor.py
"""

import time

import lacon


def plain():
    pass


@lacon.performance_monitor("decorated")
def decorated():
    pass


def context():
    with lacon.performance_monitor("context"):
        pass


def cost(function, n=1_000):
    best = float("inf")
    for _ in range(1_000):
        began = time.perf_counter()
        for _ in range(n):
            function()
        best = min(best, time.perf_counter() - began)
    return best / n * 1e6


base = cost(plain)
print(f"decorator {cost(decorated) - base:.2f} us, context manager {cost(context) - base:.2f} us an operation")
