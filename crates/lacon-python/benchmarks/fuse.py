"""Wall time of two graphs as LangGraph runs them and fused, and what a region costs where nothing waits.

    python crates/lacon-python/benchmarks/fuse.py [SCALE]

The trading graph has the shape of the original Python system: four analysts, each with a tool loop, then debates. Its nodes sleep for
the medians of recorded calls times SCALE (0.02 by default).
"""

import asyncio
import operator
import statistics
import sys
import time
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph

from lacon.langgraph import fuse, observes

SCALE = float(sys.argv[1]) if len(sys.argv) > 1 else 0.02
#: Seconds of an analyst's first call, its tools, and its second call.
ANALYSTS = {"market": (3.0, 2.0, 17.0), "social": (2.0, 14.0, 8.0), "news": (3.0, 22.0, 9.0), "fundamentals": (2.0, 12.0, 11.0)}


def sleeper(name, seconds, reads=(), key=None):
    writes = [key or name, "log"]

    @observes(reads=reads, writes=writes)
    async def node(state):
        await asyncio.sleep(seconds() if callable(seconds) else seconds)
        return {writes[0]: (state.get(writes[0]) or 0) + 1 if writes[0] in reads else 1, "log": [name]}

    return node


def trading():
    names = ["dispatcher", "aggregator", "bull", "bear", "manager", "risk", "trader"]
    names += [f"{a}{part}" for a in ANALYSTS for part in ("", "_tools", "_done")]
    state = TypedDict("state", {**{name: int for name in names}, "log": Annotated[list, operator.add]}, total=False)
    builder = StateGraph(state)
    builder.add_node("dispatcher", sleeper("dispatcher", 0))
    builder.add_edge(START, "dispatcher")
    for analyst, (first, tools, second) in ANALYSTS.items():

        def analyze(analyst=analyst, first=first, second=second):
            @observes(reads=[analyst], writes=[analyst, "log"])
            async def node(state):
                turn = state.get(analyst, 0)
                await asyncio.sleep((second if turn else first) * SCALE)
                return {analyst: turn + 1, "log": [analyst]}

            @observes(reads=[analyst], routes_to_one=True)
            def route(state):
                return f"{analyst}_tools" if state[analyst] == 1 else f"{analyst}_done"

            return node, route

        node, route = analyze()
        builder.add_node(analyst, node)
        builder.add_node(f"{analyst}_tools", sleeper(f"{analyst}_tools", tools * SCALE))
        builder.add_node(f"{analyst}_done", sleeper(f"{analyst}_done", 0))
        builder.add_edge("dispatcher", analyst)
        builder.add_conditional_edges(analyst, route, [f"{analyst}_tools", f"{analyst}_done"])
        builder.add_edge(f"{analyst}_tools", analyst)
    for name, seconds in (("aggregator", 0), ("bull", 10), ("bear", 11), ("manager", 18), ("risk", 14), ("trader", 5)):
        builder.add_node(name, sleeper(name, seconds * SCALE))
    builder.add_edge([f"{a}_done" for a in ANALYSTS], "aggregator")
    builder.add_edge("aggregator", "bull")
    builder.add_edge("aggregator", "bear")
    builder.add_edge(["bull", "bear"], "manager")
    for start, end in (("manager", "risk"), ("risk", "trader"), ("trader", END)):
        builder.add_edge(start, end)
    return builder


def example(unit=0.1):
    state = TypedDict("state", {"source": int, "fast": int, "after": int, "slow": int, "join": int, "log": Annotated[list, operator.add]}, total=False)
    builder = StateGraph(state)
    for name, seconds in (("source", 0), ("fast", unit), ("after", 6 * unit), ("slow", 6 * unit), ("join", 0)):
        builder.add_node(name, sleeper(name, seconds))
    for start, end in ((START, "source"), ("source", "fast"), ("source", "slow"), ("fast", "after"), ("join", END)):
        builder.add_edge(start, end)
    builder.add_edge(["after", "slow"], "join")
    return builder


async def measure(graph, n):
    out = []
    for _ in range(n):
        began = time.perf_counter()
        state = await graph.ainvoke({"log": []})
        out.append(time.perf_counter() - began)
    return statistics.median(out), state


async def main():
    for name, builder, n in (("example", example(), 5), ("trading", trading(), 5), ("example, no waits", example(0), 200)):
        fused = fuse(builder)
        stock_s, stock = await measure(builder.compile(), n)
        fused_s, got = await measure(fused.compile(), n)
        assert got == stock, (got, stock)
        print(f"{name}: stock {stock_s * 1e3:.1f} ms, fused {fused_s * 1e3:.1f} ms, {(fused_s / stock_s - 1) * 100:+.1f} %, {fused.explain()}")


asyncio.run(main())
