"""`lacon.langgraph.fuse`: fused graphs give what LangGraph gives for the graph as it was written.

`LACON_FUSE_CASES=10000 pytest tests/test_fuse.py` runs so many random graphs; 200 by default.
"""

import asyncio
import operator
import os
import random
import time
from typing import Annotated, Literal, TypedDict

import pytest

pytest.importorskip("langgraph", reason="langgraph is not installed")

from _graphs import Log, wired
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Overwrite, RetryPolicy, Send

from lacon.langgraph import FusedGraph, fuse, observes

N_CASES = int(os.environ.get("LACON_FUSE_CASES", "200"))
KEYS = [f"k{i}" for i in range(12)]
State = TypedDict("State", {**{k: str for k in KEYS}, "log": Annotated[list, operator.add], "total": Annotated[int, operator.add],
                            "tally": Annotated[dict, lambda a, b: {**a, **b}], **{f"turns{i}": Annotated[int, operator.add] for i in range(120)}})


def make_node(name, reads, writes, chance, fails=False):
    """What it writes holds all that it read, so that whatever it saw too early or too late is seen in the end."""
    replaces = chance.random() < 0.03
    turns = turns_of(name)

    @observes(reads=[*reads, turns], writes=[*writes, turns])
    def node(state):
        seen = f"{name}({','.join(f'{k}={state.get(k)}' for k in sorted(reads))})"[:300]
        out = {}
        for key in writes:
            out[key] = {"log": [seen], "total": len(seen), "tally": {name: seen}}.get(key, seen)
        if fails and chance_of(name, state):
            raise RuntimeError(f"{name} failed")
        if replaces and "log" in out:
            out["log"] = Overwrite([seen])
        out[turns] = 1
        return out

    return node


def chance_of(name, state):
    return (len(name) + state.get(turns_of(name), 0)) % 2 == 0


def turns_of(name):
    """The key that counts a node's turns."""
    return f"turns{name[1:]}"


def make_route(name, ends, n_turns):
    """Goes back so often, then on."""

    turns = turns_of(name)

    @observes(reads=[turns], routes_to_one=True)
    def route(state):
        return ends[0] if state[turns] <= n_turns else ends[-1]

    return route


class Writer:
    """A random graph."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.builder = StateGraph(State)
        self.n = 0
        self.fails = self.chance.random() < 0.15
        self.mixes = self.chance.random() < 0.35
        self.open = list(KEYS)
        self.chance.shuffle(self.open)

    def node(self, keys):
        chance = self.chance
        self.n += 1
        name = f"{chance.choice('abcxyz')}{self.n}"
        both = KEYS if self.mixes and chance.random() < 0.3 else keys
        reads = [key for key in both if chance.random() < 0.5]
        if self.mixes and chance.random() < 0.15:
            reads.append(chance.choice(["log", "tally"]))
        writes = [chance.choice(both)] if both and chance.random() < 0.8 else []
        writes += [key for key in ("log", "total", "tally") if chance.random() < 0.5]
        # One node at most: which of two that fail in one step is raised is a race in LangGraph itself.
        fails = self.fails and chance.random() < 0.2
        self.fails = self.fails and not fails
        self.builder.add_node(name, make_node(name, reads, writes, chance, fails))
        return name

    def branch(self, start, keys, depth):
        """A chain with loops, routes and forks from one node on; its last node."""
        chance, at = self.chance, start
        for _ in range(chance.randrange(0, 4)):
            form = chance.random()
            if form < 0.5:
                after = self.node(keys)
                self.builder.add_edge(at, after)
            elif form < 0.65:
                after, back = self.node(keys), self.node(keys)
                self.builder.add_edge(back, at)
                self.builder.add_conditional_edges(at, make_route(at, [back, after], chance.randrange(0, 3)), [back, after])
            elif form < 0.8:
                one, two, after = self.node(keys), self.node(keys), self.node(keys)
                self.builder.add_conditional_edges(at, make_route(at, [one, two], chance.randrange(0, 2)), [one, two])
                self.builder.add_edge(one, after)
                self.builder.add_edge(two, after)
            elif depth:
                after = self.fork(at, keys, depth - 1)
            else:
                continue
            at = after
        return at

    def fork(self, start, keys, depth):
        """Branches that meet."""
        chance = self.chance
        n = chance.randrange(2, 4)
        shares = [keys[i::n] for i in range(n)]
        ends = []
        for share in shares:
            first = self.node(share)
            self.builder.add_edge(start, first)
            ends.append(self.branch(first, share, depth))
        join = self.node(keys)
        if chance.random() < 0.85:
            self.builder.add_edge(ends, join)
        else:
            for end in ends:
                self.builder.add_edge(end, join)
        return join

    def write(self):
        at = self.node(KEYS)
        self.builder.add_edge(START, at)
        for _ in range(self.chance.randrange(1, 3)):
            at = self.fork(at, self.open, 1)
            at = self.branch(at, self.open, 0)
        if self.chance.random() < 0.2:
            # An edge that nothing planned: across branches, back, or to the end.
            names = sorted(self.builder.nodes)
            self.builder.add_edge(self.chance.choice(names), self.chance.choice(names))
        self.builder.add_edge(at, END)
        return self.builder


def outcome(graph, state, is_async, limit=60):
    config = {"recursion_limit": limit}
    try:
        return asyncio.run(graph.ainvoke(state, config)) if is_async else graph.invoke(state, config)
    except Exception as error:
        return type(error).__name__, str(error)[:90] if not type(error).__name__.startswith("GraphRec") else ""


def check(builder, state, is_async=False, **options):
    """Fused and stock give the same; says what was fused."""
    fused = fuse(builder, **options)
    stock = outcome(builder.compile(), state, is_async)
    got = outcome(fused.compile(), state, is_async)
    if isinstance(stock, tuple) and stock[0] == "GraphRecursionError":
        return fused
    assert got == stock, fused.explain()
    return fused


def test_random_graphs_end_as_langgraph_ends_them():
    n_fused = 0
    for seed in range(N_CASES):
        builder = Writer(seed).write()
        try:
            fused = check(builder, {"k0": "given", "log": ["first"]}, is_async=False if seed % 5 else True)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        n_fused += bool(fused.regions)
    assert n_fused > N_CASES // 5, n_fused


def waits(name, seconds, **more):
    @observes(reads=[], writes=["log", *more])
    def node(state):
        time.sleep(seconds)
        return {"log": [name], **more}

    async def anode(state):
        await asyncio.sleep(seconds)
        return {"log": [name], **more}

    return node, observes(reads=[], writes=["log", *more])(anode)


def example(fast=0.02, after=0.12, slow=0.12, is_async=False):
    """The graph of the issue: a quick node and the one after it beside a slow one, then a join."""
    builder = StateGraph(Log)
    builder.add_node("source", waits("source", 0)[is_async])
    builder.add_edge(START, "source")
    seconds = {"fast": fast, "after": after, "slow": slow, "join": 0}
    wired(builder, "source", {name: waits(name, wait)[is_async] for name, wait in seconds.items()})
    return builder


@pytest.mark.parametrize("is_async", [False, True])
def test_the_issues_example_has_one_step_less_and_the_same_order(is_async):
    builder = example(is_async=is_async)
    fused = check(builder, {"log": []}, is_async)
    assert fused.regions[0].parts == (frozenset({"after", "fast"}), frozenset({"slow"})) and fused.regions[0].join == "join"
    graph = fused.compile()
    state = asyncio.run(graph.ainvoke({"log": []})) if is_async else graph.invoke({"log": []})
    assert state["log"] == ["source", "fast", "slow", "after", "join"]
    assert "fused: source -> [after, fast | slow] -> join" in fused.explain()
    assert fused.to_dict()["fused"][0]["join"] == "join"


def test_whoever_observes_the_steps_gets_the_graph_as_written():
    builder = example(0, 0, 0)
    compiled = fuse(builder).compile()
    stock = builder.compile()
    # Updates of one step come in the order in which its nodes happen to end.
    updates = [sorted(map(str, graph.stream({"log": []}, stream_mode="updates"))) for graph in (compiled, stock)]
    assert updates[0] == updates[1] and len(updates[0]) == 5
    assert compiled.with_config(tags=["a"]).invoke({"log": []}) == stock.invoke({"log": []})
    tagged = compiled.with_config(tags=["a"])
    assert sorted(map(str, tagged.stream({"log": []}))) == sorted(map(str, stock.stream({"log": []})))

    async def events(graph):
        return [e["name"] async for e in graph.astream_events({"log": []}, version="v2") if e["event"] == "on_chain_start"]

    assert sorted(asyncio.run(events(compiled))) == sorted(asyncio.run(events(stock)))
    asked = fuse(builder, allow=["stream"]).compile()
    assert any("fast+slow" in str(chunk) or "after+fast+slow" in chunk for chunk in asked.stream({"log": []}, stream_mode="updates"))
    for options, reason in (({"checkpointer": InMemorySaver()}, "checkpointer"), ({"interrupt_before": ["after"], "checkpointer": None}, "interrupt at 'after'")):
        fused = fuse(builder)
        graph = fused.compile(**options)
        assert "after" in graph.nodes and reason in fused.explain()
    kept = fuse(builder, allow=["checkpoint"]).compile(InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    for turn in (1, 2):
        state = kept.invoke({"log": []}, config)
        assert state["log"] == ["source", "fast", "slow", "after", "join"] * turn


def left(change, **options):
    builder = example(0, 0, 0)
    change(builder)
    fused = check(builder, {"log": []}, **options)
    assert not fused.regions
    return fused.explain()


def test_reasons_to_leave_a_region_alone():
    def reads_all(builder):
        builder.nodes.pop("after")
        builder.add_node("after", lambda state: {"log": [str(dict(state))]})

    assert "read what the others write" in left(reads_all)

    def retried(builder):
        builder.nodes.pop("slow")
        builder.add_node("slow", waits("slow", 0)[0], retry_policy=RetryPolicy())

    assert "'slow' has a retry_policy" in left(retried)

    def triggers(builder):
        builder.waiting_edges.clear()
        builder.add_edge("after", "join")
        builder.add_edge("slow", "join")

    assert "wait for all of them" in left(triggers)

    def sends(builder):
        builder.add_conditional_edges("fast", lambda state: [Send("slow", {})], ["slow"])

    assert left(sends)
    assert "to be left" in left(lambda builder: None, leave=["fast"])

    def anywhere(builder):
        builder.add_conditional_edges("join", lambda state: END)

    assert "may go anywhere" in left(anywhere)


def test_reads_and_writes_are_inferred_where_the_source_is_plain():
    class Shape(TypedDict, total=False):
        messages: Annotated[list, add_messages]
        quick: str
        done: str

    def market(state) -> dict:
        return {"quick": "up" + state.get("quick", "")}

    def report(state) -> dict:
        return {"done": state["quick"] + "!"} if "quick" in state else {"done": "none"}

    def news(state) -> dict:
        return {"messages": [("user", "news")]}

    def on(state) -> Literal["report", "market"]:
        return "report" if state["quick"].startswith("upup") else "market"

    builder = StateGraph(Shape)
    for node in (market, report, news):
        builder.add_node(node)
    builder.add_node("join", lambda state: None)
    builder.add_edge(START, "market")
    builder.add_edge(START, "news")
    builder.add_conditional_edges("market", on)
    builder.add_edge(["report", "news"], "join")
    fused = fuse(builder)
    assert fused.regions[0].parts == (frozenset({"market", "report"}), frozenset({"news"})), fused.explain()
    assert fused.compile().invoke({})["done"] == "upup!" == builder.compile().invoke({})["done"]


def test_a_source_that_changed_since_it_was_imported_is_not_read(tmp_path, monkeypatch):
    import importlib

    from lacon.langgraph._static import access

    file = tmp_path / "changing_nodes.py"
    file.write_text("def node(state):\n    return {'log': [state['quick']]}\n")
    monkeypatch.syspath_prepend(tmp_path)
    node = importlib.import_module("changing_nodes").node
    assert access(node).reads == {"quick"} and access(node).writes == {"log"}
    file.write_text("def node(state):\n    return {'log': [state['other']]}  \n")
    assert access(node).reads is None


def test_wrong_declarations_are_errors():
    builder = example(0, 0, 0)
    builder.nodes.pop("after")

    @observes(reads=[], writes=[])
    def after(state):
        return {"seen": "x"}

    builder.add_node("after", after)
    with pytest.raises(Exception, match="'seen', which is not among its declared writes"):
        fuse(builder).compile().invoke({"log": []})
    for call, error in ((lambda: fuse(builder.compile()), TypeError), (lambda: fuse(3), TypeError), (lambda: fuse(builder, allow=["x"]), ValueError),
                        (lambda: fuse(builder, leave=["nobody"]), ValueError), (lambda: fuse(builder, leave="after"), TypeError),
                        (lambda: observes(reads="key"), TypeError)):
        with pytest.raises(error):
            call()
    assert isinstance(fuse(builder), FusedGraph)


def test_callbacks_and_names_of_nodes_stay():
    from langchain_core.callbacks import BaseCallbackHandler

    seen = []

    class Handler(BaseCallbackHandler):
        def on_chain_start(self, serialized, inputs, *, metadata=None, **more):
            seen.append((more.get("name"), (metadata or {}).get("langgraph_node")))

    fuse(example(0, 0, 0)).compile().invoke({"log": []}, {"callbacks": [Handler()]})
    assert {("fast", "fast"), ("after", "after"), ("slow", "slow"), ("join", "join")} <= set(seen)


def test_nodes_get_config_and_runtime_and_reducers_may_work_in_place():
    from langchain_core.runnables import RunnableConfig
    from langgraph.runtime import Runtime

    class Shape(TypedDict, total=False):
        log: Annotated[list, lambda a, b: a.extend(b) or a]
        own: str

    class Context(TypedDict):
        user: str

    def first(state, config: RunnableConfig) -> dict:
        return {"log": [config["metadata"]["langgraph_node"], config["configurable"]["word"]]}

    def second(state, runtime: Runtime[Context]) -> dict:
        return {"log": [runtime.context["user"]], "own": "x"}

    def side(state) -> dict:
        return {"log": ["side"]}

    builder = StateGraph(Shape, context_schema=Context)
    for node in (first, second, side):
        builder.add_node(node)
    builder.add_node("join", lambda state: {"log": [len(state["log"])]})
    builder.add_edge(START, "first")
    builder.add_edge(START, "side")
    builder.add_edge("first", "second")
    builder.add_edge(["second", "side"], "join")
    fused = fuse(builder)
    assert len(fused.regions) == 1, fused.explain()
    for is_async in (False, True):
        states = []
        for graph in (builder.compile(), fused.compile()):
            options = {"config": {"configurable": {"word": "w"}}, "context": {"user": "u"}}
            given = {"log": ["given"]}
            states.append(asyncio.run(graph.ainvoke(given, **options)) if is_async else graph.invoke(given, **options))
        assert states[0] == states[1] and states[0]["log"] == ["given", "first", "w", "side", "u", 5]


def test_cancelling_a_fused_run_cancels_its_nodes():
    done = []

    @observes(reads=[], writes=["log"])
    async def slow(state):
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            done.append("cancelled")
            raise

    builder = example(0, 0, 0, is_async=True)
    builder.nodes.pop("slow")
    builder.add_node("slow", slow)
    graph = fuse(builder).compile()

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(graph.ainvoke({"log": []}), 0.3)

    asyncio.run(main())
    assert done == ["cancelled"]
