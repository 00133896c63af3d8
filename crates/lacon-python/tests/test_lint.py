"""`lacon.langgraph.lint`: each fault is found where it is, and nowhere else."""

import json
import operator
from typing import Annotated, TypedDict

import pytest

pytest.importorskip("langgraph", reason="langgraph is not installed")

from langgraph.graph import END, START, StateGraph

from lacon.langgraph import fuse, lint, observes


class State(TypedDict, total=False):
    log: Annotated[list, operator.add]
    quick: str
    deep: str


def node(*writes, reads=()):
    @observes(reads=reads, writes=writes)
    def run(state):
        return {key: ["x"] if key == "log" else "x" for key in writes}

    return run


def graph(join="all", **writes):
    builder = StateGraph(State)
    for name in ("source", "fast", "after", "slow", "join"):
        builder.add_node(name, node(*writes.get(name, ("log",))))
    builder.add_edge(START, "source")
    builder.add_edge("source", "fast")
    builder.add_edge("source", "slow")
    builder.add_edge("fast", "after")
    if join == "all":
        builder.add_edge(["after", "slow"], "join")
    else:
        builder.add_edge("after", "join")
        builder.add_edge("slow", "join")
    builder.add_edge("join", END)
    return builder


def test_a_barrier_and_its_cost():
    trace = [{"name": n, "start_s": s, "end_s": e} for n, s, e in
             (("fast", 0, 0.1), ("slow", 0, 0.6), ("after", 0.6, 1.2), ("join", 1.2, 1.2))]
    for form in (graph(), graph().compile(), fuse(graph())):
        found = lint(form, trace=trace)
        (barrier,) = found.of("barrier")
        assert barrier.nodes == ("after", "slow") and barrier.seconds == pytest.approx(0.5) and len(found) == 1
    assert "'after' waits for 'slow' and reads nothing of what they write (up to 0.50 s a run)" in str(found)
    assert json.loads(found.to_json())[0]["kind"] == "barrier"
    assert "-. waits 0.50 s .->" in found.to_mermaid() and found.to_mermaid().startswith("flowchart TD")
    reads = graph()
    reads.nodes.pop("after")
    reads.add_node("after", node("quick", reads=["deep"]))
    reads.nodes.pop("slow")
    reads.add_node("slow", node("deep"))
    assert not lint(reads)
    assert str(lint(reads)) == "nothing found"


def test_traces_of_files(tmp_path):
    rows = [{"name": "fast", "start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:00:01Z"},
            {"name": "slow", "start_time": "2026-01-01T00:00:00+00:00", "end_time": "2026-01-01T00:00:03"+"Z"}]
    (tmp_path / "runs.json").write_text(json.dumps({"runs": [{"name": "root", "child_runs": rows}]}))
    (tmp_path / "runs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for file in ("runs.json", "runs.jsonl"):
        assert lint(graph(), trace=tmp_path / file).of("barrier")[0].seconds == 2
    for wrong, error in ((3, TypeError), ([3], TypeError), ([{"name": "x"}], ValueError)):
        with pytest.raises(error, match="trace"):
            lint(graph(), trace=wrong)


def test_a_fan_in_that_runs_more_than_once():
    (found,) = lint(graph("each")).of("runs_more_than_once")
    assert found.nodes[0] == "join" and "add_edge(['after', 'slow'], 'join')" in found.hint
    runs = []
    builder = graph("each")
    builder.nodes.pop("join")
    builder.add_node("join", lambda state: runs.append(1))
    builder.compile().invoke({})
    assert len(runs) == 2
    assert not lint(graph()).of("runs_more_than_once")
    loop = StateGraph(State)
    loop.add_node("a", node("log"))
    loop.add_node("b", node("log"))
    loop.add_edge(START, "a")
    loop.add_edge("a", "b")
    loop.add_conditional_edges("b", observes(reads=["log"], routes_to_one=True)(lambda s: END), ["a", END])
    assert not lint(loop)


def test_two_writers_without_a_reducer():
    (found,) = lint(graph(fast=("quick",), slow=("quick", "log"))).of("write_conflict")
    assert found.nodes == ("fast", "slow") and "'quick'" in found.message
    with pytest.raises(Exception, match="quick"):
        graph(fast=("quick",), slow=("quick", "log")).compile().invoke({})
    assert not lint(graph(after=("quick",), slow=("quick",))).of("write_conflict")


def test_nodes_that_block_each_other():
    blocked = [{"name": "fast", "start": 0, "end": 1.0}, {"name": "slow", "start": 1.0, "end": 3.0}]
    (found,) = lint(graph(), trace=blocked).of("blocking")
    assert "'fast' blocks the event loop" in found.message and found.seconds == pytest.approx(1.0)
    assert not lint(graph(), trace=[{**row, "start": 0} for row in blocked]).of("blocking")


def test_what_cannot_be_decided_is_said():
    builder = graph()
    builder.nodes.pop("after")
    builder.add_node("after", lambda state: {"log": [str(state)]})
    assert "'after' read cannot be seen" in str(lint(builder))
    builder.add_conditional_edges("join", lambda state: END)
    assert "may go anywhere" in str(lint(builder)) and "path_map" in str(lint(builder))
    with pytest.raises(TypeError, match="a StateGraph is needed"):
        lint(3)
    with pytest.raises(ValueError, match="known are"):
        lint(graph()).of("x")
