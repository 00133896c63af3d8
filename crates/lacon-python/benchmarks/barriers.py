"""Wall time of graphs as LangGraph runs them, fused, and with early starts; and the overhead where nothing waits.

    python crates/lacon-python/benchmarks/barriers.py [SCALE]

The trading graph has the shape of the original Python system: four analysts, each with a tool loop, then debates. Its nodes sleep for
the medians of recorded calls times SCALE (0.02 by default).
"""

import asyncio
import operator
import statistics
import sys
import time
from typing import Annotated, TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from lacon.langgraph import compile, fuse, observes

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


def mapped(n=8, unit=0.05):
    """A map over n parts beside a slow node with a chain behind it, then a join."""
    state = TypedDict("state", {"plan": int, "slow": int, "review": int, "note": int, "reduce": int, "log": Annotated[list, operator.add]}, total=False)
    builder = StateGraph(state)
    for name, seconds in (("plan", 0), ("note", unit), ("review", 4 * unit), ("reduce", 0), ("end", 0)):
        builder.add_node(name, sleeper(name, seconds, key="note" if name == "end" else None))

    async def part(state):
        await asyncio.sleep(unit * (1 + state["i"] % 4))
        return {"log": [f"part {state['i']}"]}

    builder.add_node("part", observes(reads=["i"], writes=["log"])(part))
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda state: [Send("part", {"i": i}) for i in range(n)], ["part"])
    builder.add_edge("plan", "note")
    builder.add_edge("note", "review")
    builder.add_edge("part", "reduce")
    builder.add_edge(["review", "reduce"], "end")
    builder.add_edge("end", END)
    return builder


def wide(chains=20, length=10, seconds=lambda chain, place: 0):
    """Chains of nodes side by side, each with a key of its own, then a join."""
    state = TypedDict("state", {**{f"c{i}": int for i in range(chains)}, "log": Annotated[list, operator.add]}, total=False)
    builder = StateGraph(state)
    for chain in range(chains):
        at = START
        for place in range(length):
            name = f"n{chain}_{place}"
            builder.add_node(name, sleeper(name, seconds(chain, place), [f"c{chain}"], f"c{chain}"))
            builder.add_edge(at, name)
            at = name
    builder.add_node("join", observes(reads=[], writes=["log"])(lambda state: {"log": ["join"]}))
    builder.add_edge([f"n{chain}_{length - 1}" for chain in range(chains)], "join")
    builder.add_edge("join", END)
    return builder


async def measure(graphs, n, saved=False):
    """Median seconds of each, in turns; the states must be the same."""
    times, first = [[] for _ in graphs], None
    for turn in range(n):
        for place, graph in enumerate(graphs):
            began = time.perf_counter()
            state = await graph.ainvoke({"log": []}, {"configurable": {"thread_id": str(turn)}, "recursion_limit": 500})
            times[place].append(time.perf_counter() - began)
            first = first or state
            assert saved or state == first, (state, first)
    return [statistics.median(one) for one in times]


async def main():
    uneven = lambda chain, place: 0.02 if chain % 10 == place else 0  # noqa: E731
    rows = (
        ("fast, after, slow", example(), 5), (f"trading graph, waits x {SCALE}", trading(), 5), ("map of 8 parts", mapped(), 5),
        ("200 nodes, each chain waits elsewhere", wide(seconds=uneven), 5),
        ("fast, after, slow without waits", example(0), 300), ("200 nodes in 20 chains without waits", wide(), 20),
        ("200 nodes in one chain without waits", wide(1, 200), 20), ("200 nodes side by side without waits", wide(200, 1), 20),
    )
    for name, builder, n in rows:
        graphs = [builder.compile(), fuse(builder).compile(), compile(builder)]
        stock, fused, early = await measure(graphs, n)
        print(f"{name:40} stock {stock * 1e3:8.2f} ms, fused {(fused / stock - 1) * 100:+6.1f} %, early starts {(early / stock - 1) * 100:+6.1f} %  {graphs[2].started_early}", flush=True)
    for name, builder in (("trading graph, saved", trading()), ("200 nodes in 20 chains, saved", wide())):
        stock, early = await measure([builder.compile(InMemorySaver()), compile(builder, InMemorySaver())], 5)
        print(f"{name:40} stock {stock * 1e3:8.2f} ms, early starts {(early / stock - 1) * 100:+6.1f} %", flush=True)


asyncio.run(main())
