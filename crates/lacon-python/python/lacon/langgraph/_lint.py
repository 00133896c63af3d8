"""`lint`: what barriers a graph has that nothing needs, and the faults that its wiring has."""

from __future__ import annotations

import copy
import datetime
import json
import os
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ._fuse import FusedGraph
from ._static import END, START, Flow, flow

_KINDS = ("runs_more_than_once", "write_conflict", "blocking", "barrier", "undecided")


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    #: One of runs_more_than_once, write_conflict, blocking, barrier and undecided.
    kind: str
    #: The nodes that it is about; of a barrier the one that waits first.
    nodes: tuple[str, ...]
    message: str
    hint: str = ""
    #: Seconds that it costs a run at most, where a trace was given.
    seconds: float | None = None


@dataclass(frozen=True)
class Lint:
    """What ``lint`` found. ``str()`` is text for people."""

    findings: tuple[Finding, ...]
    edges: tuple[tuple[str, str], ...] = field(repr=False, default=())

    def __iter__(self) -> Any:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def of(self, kind: str) -> list[Finding]:
        """Findings of one kind."""
        if kind not in _KINDS:
            raise ValueError(f"kind is {kind!r}\nhint: known are {', '.join(_KINDS)}")
        return [one for one in self.findings if one.kind == kind]

    def __str__(self) -> str:
        lines = []
        for one in self.findings:
            cost = "" if one.seconds is None else f" (up to {one.seconds:.2f} s a run)"
            lines.append(f"{one.kind}: {one.message}{cost}")
            if one.hint:
                lines.append(f"  hint: {one.hint}")
        return "\n".join(lines) or "nothing found"

    def to_json(self) -> str:
        """The findings as a JSON list."""
        return json.dumps([asdict(one) for one in self.findings], ensure_ascii=False, indent=1)

    def to_mermaid(self) -> str:
        """The graph as Mermaid, with the waiting as dotted arrows and faults marked."""
        names = sorted({name for edge in self.edges for name in edge})
        place = {name: f"n{number}" for number, name in enumerate(names)}
        lines = ["flowchart TD"]
        lines += [f'  {place[name]}["{name.strip("_")}"]' for name in names]
        lines += [f"  {place[start]} --> {place[end]}" for start, end in self.edges]
        for one in self.findings:
            if one.kind == "barrier":
                cost = "" if one.seconds is None else f" {one.seconds:.2f} s"
                lines.append(f"  {place[one.nodes[1]]} -. waits{cost} .-> {place[one.nodes[0]]}")
            else:
                marked = [place[node] for node in one.nodes if node in place]
                lines += [f"  style {node} stroke:#c00" for node in marked]
        return "\n".join(lines)


def lint(graph: Any, *, trace: Any = None) -> Lint:
    """Reads a StateGraph, a compiled one or a fused one, and says what in its wiring costs time or is wrong. Changes nothing.

    ``trace`` adds what it costs and finds nodes that block each other: a file of spans or runs (JSON or JSON lines, of
    ``lacon.save_trace`` or LangSmith), or a list of dicts with name, start and end.
    """
    builder = graph
    if isinstance(graph, FusedGraph) or (not hasattr(graph, "waiting_edges") and hasattr(graph, "builder")):
        builder = graph.builder
    if not hasattr(builder, "waiting_edges") or not hasattr(builder, "branches"):
        raise TypeError(f"graph is of type {type(graph).__name__}, a StateGraph is needed, compiled or not")
    seen = flow(builder)
    spans = _spans(trace)
    times = {name: statistics.median(end - start for start, end in spans[name]) for name in spans if name in builder.nodes}
    known = times if trace is not None else None
    findings = []
    if seen.problem is not None:
        what, _, hint = seen.problem.partition("\nhint: ")
        findings.append(Finding("undecided", (), f"the steps of the graph cannot be decided: {what}", hint))
    else:
        findings += _repeats(seen)
        findings += _conflicts(builder, seen)
        findings += _blocking(seen, spans)
        findings += _barriers(builder, seen, known)
    if seen.guessed_reads:
        names = sorted(seen.guessed_reads)
        findings.append(
            Finding(
                "undecided",
                tuple(names),
                f"what {_some(names)} read cannot be seen in the source, so all keys are assumed",
                "declare it: @lacon.langgraph.observes(reads=[...], writes=[...])",
            )
        )
    edges = {(start, end) for start in [START, *builder.nodes] for end in [*seen.after(start), *_ends(seen, start)]}
    return Lint(tuple(findings), tuple(sorted(edges)))


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"


def _ends(graph: Flow, node: str) -> list[str]:
    ends = [*graph.plain.get(node, ()), *(end for ends, _ in graph.routes.get(node, ()) for end in ends)]
    return [END] if END in ends else []


def _barriers(builder: Any, graph: Flow, times: Mapping[str, float] | None) -> Iterable[Finding]:
    """Nodes that start after a step in which they read nothing of the slower others."""
    why = _reasons(builder)
    waits: dict[str, set[str]] = defaultdict(set)
    for before, after in graph.moves:
        for node in after.active:
            makers = {maker for maker in before.active if node in graph.after(maker)}
            for other in before.active - makers - {node, START}:
                joined = any(node == end and other in starts for starts, end in graph.waiting)
                reads = graph.reads.get(node, frozenset()) | graph.route_reads.get(node, frozenset())
                if makers and not joined and not reads & graph.writes.get(other, frozenset()):
                    waits[node].add(other)
    found = []
    for node, others in waits.items():
        seconds = None
        if times is not None:
            before_it = [maker for maker in graph.writes if node in graph.after(maker)]
            own = max((times.get(maker, 0.0) for maker in before_it), default=0.0)
            seconds = max(0.0, max(times.get(other, 0.0) for other in others) - own)
        reason = why.get(node)
        hint = "lacon.langgraph.compile(builder) starts it without this wait" if reason is None else f"it waits in compile(builder) too: {reason}"
        slower = sorted(others)
        found.append(Finding("barrier", (node, *slower), f"{node!r} waits for {_some(slower)} and reads nothing of what they write", hint, seconds))
    return sorted(found, key=lambda one: (-(one.seconds or 0.0), one.nodes))


def _reasons(builder: Any) -> Mapping[str, str | None]:
    """Of each node why it never starts early; compiles a copy, which is what `compile` decides by."""
    from ._plan import plan

    own = copy.copy(builder)
    own.nodes = {name: copy.copy(spec) for name, spec in builder.nodes.items()}
    try:
        nodes = plan(own.compile(), frozenset()).nodes
    except ValueError as error:
        return dict.fromkeys(builder.nodes, str(error).partition("\n")[0])
    return {name: None if node.why is None else node.why.partition("\n")[0] for name, node in nodes.items()}


def _repeats(graph: Flow) -> Iterable[Finding]:
    """Nodes that one branch starts while another one that leads to them still runs."""
    late: dict[str, set[str]] = defaultdict(set)
    for before, after in graph.moves:
        for node in after.active:
            by_edge = {maker for maker in before.active if node in graph.plain.get(maker, ())}
            makers = {start for start, ends in graph.plain.items() if node in ends} - {START}
            if not by_edge or len(makers) < 2:
                continue
            behind = graph.reach([node])
            for other in after.active - {node}:
                on_the_way = graph.reach([other], node)
                if other not in behind and any(maker in on_the_way for maker in makers - by_edge):
                    late[node] |= (makers & on_the_way) | by_edge
    for node, makers in sorted(late.items()):
        names = sorted(makers)
        hint = f"wait for all: add_edge([{', '.join(repr(name) for name in names)}], {node!r})"
        message = f"{node!r} runs more than once: {_some(names)} end at different steps, and each starts it"
        yield Finding("runs_more_than_once", (node, *names), message, hint)


def _conflicts(builder: Any, graph: Flow) -> Iterable[Finding]:
    """Keys without a reducer that two nodes of one step write."""
    found: dict[tuple[str, str, str], None] = {}
    sure = {node: keys for node, keys in graph.writes.items() if node not in graph.guessed_writes}
    for state in {state for move in graph.moves for state in move}:
        nodes = sorted(node for node in state.active if node in sure)
        for place, one in enumerate(nodes):
            for other in nodes[place + 1 :]:
                for key in sorted(sure[one] & sure[other]):
                    if type(builder.channels[key]).__name__ == "LastValue":
                        found[(key, one, other)] = None
    for key, one, other in sorted(found):
        message = f"{one!r} and {other!r} write {key!r} in one step, and it has no reducer: LangGraph raises InvalidUpdateError"
        yield Finding("write_conflict", (one, other), message, f"give it one: {key}: Annotated[..., reducer]")


def _blocking(graph: Flow, spans: Mapping[str, list[tuple[float, float]]]) -> Iterable[Finding]:
    """Nodes of one step that ran one after another."""
    pairs = {
        (one, other)
        for state in {state for move in graph.moves for state in move}
        for one in state.active
        for other in state.active
        if one < other and one in spans and other in spans
    }
    for one, other in sorted(pairs):
        if len(spans[one]) != len(spans[other]):
            continue
        gaps = []
        for a, b in zip(sorted(spans[one]), sorted(spans[other]), strict=True):
            first, second = sorted((a, b))
            gaps.append(second[0] >= first[1] and second[0] - first[1] < 0.05 and first[1] > first[0])
        if gaps and all(gaps):
            longest = max(end - start for start, end in (*spans[one], *spans[other]))
            total = sum(end - start for start, end in (*spans[one], *spans[other])) / len(gaps)
            first_name = min((one, other), key=lambda name: min(spans[name]))
            message = f"{one!r} and {other!r} are of one step and ran one after another: {first_name!r} blocks the event loop"
            yield Finding("blocking", (one, other), message, "await its work, or run it by asyncio.to_thread", max(0.0, total - longest))


def _spans(trace: Any) -> dict[str, list[tuple[float, float]]]:
    """Start and end of each run of a node, by its name."""
    if trace is None:
        return {}
    rows: Any = trace
    if isinstance(trace, (str, os.PathLike)):
        text = Path(trace).read_text(encoding="utf-8")
        try:
            rows = json.loads(text)
        except json.JSONDecodeError:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(rows, Mapping):
        rows = rows.get("runs") or rows.get("spans") or [rows]
    if not isinstance(rows, Iterable):
        raise TypeError(f"trace is of type {type(trace).__name__}, a path or a list of spans is needed")
    out: dict[str, list[tuple[float, float]]] = defaultdict(list)
    left = list(rows)
    n = 0
    while left:
        row = left.pop(0)
        if not isinstance(row, Mapping):
            raise TypeError(f"trace[{n}] is of type {type(row).__name__}, a dict is needed")
        n += 1
        left += row.get("child_runs") or []
        start = next((row[key] for key in ("start_s", "start", "start_time") if row.get(key) is not None), None)
        end = next((row[key] for key in ("end_s", "end", "end_time") if row.get(key) is not None), None)
        if row.get("name") and start is not None and end is not None:
            out[str(row["name"])].append((_seconds(start), _seconds(end)))
    if not out:
        raise ValueError("trace holds no span with name, start and end")
    return dict(out)


def _seconds(value: Any) -> float:
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if isinstance(value, str):
        return datetime.datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
    return float(value)
