"""`fuse`: regions that nobody else observes become one node, so that LangGraph runs them within one step."""

from __future__ import annotations

from collections import defaultdict
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._static import END, START, Flow, State, flow

if TYPE_CHECKING:
    from collections.abc import Iterable

_INVOKED: ContextVar[Any] = ContextVar("lacon_invoked", default=None)
_OBSERVERS = ("checkpoint", "stream")


@dataclass(frozen=True)
class Region:
    """Nodes between one that starts them all and the one that waits for them all."""

    name: str
    source: str
    #: The node that runs after the region; None where the graph ends.
    join: str | None
    entries: frozenset[str]
    #: Nodes that run in lockstep with each other; parts do not wait for one another.
    parts: tuple[frozenset[str], ...]

    @property
    def nodes(self) -> frozenset[str]:
        """All nodes of the region."""
        return frozenset().union(*self.parts)

    def __str__(self) -> str:
        parts = " | ".join(", ".join(sorted(part)) for part in self.parts)
        return f"{self.source} -> [{parts}] -> {self.join or 'END'}"


def fuse(builder: Any, *, allow: Iterable[str] = (), leave: Iterable[str] = ()) -> Any:
    """A builder for the same graph with fewer barriers; ``compile`` it as usual. The given builder is not changed.

    Branches between a node that starts them and the one that waits for them all become one node where they do not read what the
    others write. The final state is the same, and the order within each reducer. ``leave`` names nodes to leave as they are.

    Whoever observes the steps in between would see a difference, so they get the graph as it was written: runs with a
    ``checkpointer``, streams, and interrupts at a node of a region. ``allow=["checkpoint", "stream"]`` asks for fused ones there.
    ``explain()`` of the result says what was fused, and of the rest why not.
    """
    from langgraph.graph import StateGraph

    if isinstance(builder, FusedGraph):
        raise TypeError("builder is fused already")
    if not isinstance(builder, StateGraph):
        hint = "\nhint: pass the StateGraph, not what its compile() gave" if hasattr(builder, "builder") else ""
        raise TypeError(f"builder is of type {type(builder).__name__}, a StateGraph is needed{hint}")
    if isinstance(allow, str) or isinstance(leave, str):
        raise TypeError("allow and leave are lists, a str is given")
    allowed, left_out = frozenset(allow), frozenset(leave)
    for word in sorted(allowed - set(_OBSERVERS)):
        raise ValueError(f"allow holds {word!r}\nhint: known are {', '.join(_OBSERVERS)}")
    for name in sorted(left_out - set(builder.nodes)):
        raise ValueError(f"leave holds {name!r}, which is no node of the graph")
    graph = flow(builder)
    regions, left = find(builder, graph, left_out)
    return FusedGraph(builder, graph, regions, left, allowed)


class FusedGraph:
    """What ``fuse`` gives: compiles to a graph of LangGraph."""

    def __init__(
        self, builder: Any, graph: Flow, regions: list[Region], left: list[tuple[str, str]], allow: frozenset[str]
    ) -> None:
        self.builder = builder
        self.regions = regions
        #: Where something was looked at and left alone: the node that starts it, and the reason.
        self.left = left
        self._flow = graph
        self._allow = allow

    def explain(self) -> str:
        """What was fused and what was left alone, with the reason, as text."""
        lines = [f"fused: {region}" for region in self.regions]
        lines += [f"left alone: {where}: {why}" for where, why in self.left]
        return "\n".join(lines) or "nothing to fuse: no two branches run side by side for more than one step"

    def to_dict(self) -> dict[str, Any]:
        """The same as data."""
        return {
            "fused": [
                {"name": r.name, "source": r.source, "join": r.join, "parts": [sorted(part) for part in r.parts]}
                for r in self.regions
            ],
            "left_alone": [{"at": where, "reason": why} for where, why in self.left],
        }

    def compile(self, checkpointer: Any = None, **options: Any) -> Any:
        """Compiles as ``StateGraph.compile`` does. Regions that are observed by what is passed are left alone."""
        self.left = [entry for entry in self.left if not entry[1].startswith(_SEEN)]
        regions = []
        interrupts: set[str] = set()
        for name in ("interrupt_before", "interrupt_after"):
            wanted = options.get(name) or []
            interrupts |= set(self.builder.nodes) if wanted == "*" else set(wanted)
        for region in self.regions:
            if checkpointer not in (None, False) and "checkpoint" not in self._allow:
                self.left.append((region.source, f"{_SEEN} by a checkpointer\nhint: fuse(builder, allow=[\"checkpoint\"])"))
            elif stops := sorted(interrupts & region.nodes):
                self.left.append((region.source, f"{_SEEN} by an interrupt at {stops[0]!r}"))
            else:
                regions.append(region)
        if not regions:
            return self.builder.compile(checkpointer, **options)
        compiled = _without(self.builder, self._flow, regions).compile(checkpointer, **options)
        stock = None if "stream" in self._allow else self.builder.compile(checkpointer, **options)
        compiled.__class__ = _compiled_class()
        compiled._lacon_stock = stock
        return compiled


_SEEN = "its steps are observed"


def _compiled_class() -> Any:
    global _class
    if _class is None:
        from langgraph.graph.state import CompiledStateGraph

        class FusedCompiledGraph(CompiledStateGraph):  # type: ignore[type-arg]
            """A compiled graph whose streams are made by the graph as it was written."""

            _lacon_stock: Any = None

            def copy(self, update: dict[str, Any] | None = None) -> Any:
                attributes = {k: v for k, v in self.__dict__.items() if k not in ("__orig_class__", "_lacon_stock")}
                new = self.__class__(**{**attributes, **(update or {})})
                given = {k: v for k, v in (update or {}).items() if k == "config"}
                new._lacon_stock = self._lacon_stock.copy(given) if self._lacon_stock is not None else None
                return new

            def invoke(self, input: Any, config: Any = None, **options: Any) -> Any:
                if self._lacon_stock is not None and options.get("stream_mode", "values") != "values":
                    return self._lacon_stock.invoke(input, config, **options)
                token = _INVOKED.set(self)
                try:
                    return super().invoke(input, config, **options)
                finally:
                    _INVOKED.reset(token)

            async def ainvoke(self, input: Any, config: Any = None, **options: Any) -> Any:
                if self._lacon_stock is not None and options.get("stream_mode", "values") != "values":
                    return await self._lacon_stock.ainvoke(input, config, **options)
                token = _INVOKED.set(self)
                try:
                    return await super().ainvoke(input, config, **options)
                finally:
                    _INVOKED.reset(token)

            def stream(self, *arguments: Any, **options: Any) -> Any:
                if self._lacon_stock is not None and _INVOKED.get() is not self:
                    return self._lacon_stock.stream(*arguments, **options)
                return super().stream(*arguments, **options)

            def astream(self, *arguments: Any, **options: Any) -> Any:
                if self._lacon_stock is not None and _INVOKED.get() is not self:
                    return self._lacon_stock.astream(*arguments, **options)
                return super().astream(*arguments, **options)

        _class = FusedCompiledGraph
    return _class


_class: Any = None


def find(builder: Any, graph: Flow, leave: frozenset[str]) -> tuple[list[Region], list[tuple[str, str]]]:
    """Regions that can be fused, and of what looks like one the reason why not."""
    if graph.problem is not None:
        return [], [("the graph", graph.problem)]
    regions: list[Region] = []
    left: list[tuple[str, str]] = []
    taken: set[str] = set()
    order = [START, *builder.nodes]
    for source in order:
        entries = frozenset(graph.plain.get(source, ())) - {END}
        if len(entries) < 2 or source in taken:
            continue
        found, reason = _region(builder, graph, source, entries, leave, taken)
        if found is not None:
            regions.append(found)
            taken |= found.nodes
        elif reason is not None:
            left.append((source, reason))
    return regions, left


def _region(
    builder: Any, graph: Flow, source: str, entries: frozenset[str], leave: frozenset[str], taken: set[str]
) -> tuple[Region | None, str | None]:
    candidates = []
    for join in [*builder.nodes, None]:
        if join == source or join in entries:
            continue
        nodes = frozenset(graph.reach(entries, join))
        if source not in nodes and entries <= nodes and (join is None or any(join in graph.after(node) for node in nodes)):
            candidates.append((len(nodes), join or "", join, nodes))
    first: str | None = None
    # Reasons are told of where the branches all meet; of other places they would only confuse.
    told = {join for _, _, join, _ in candidates if all(join is None or join in graph.reach([entry]) for entry in entries)}
    for _, _, join, nodes in sorted(candidates, key=lambda entry: entry[:2]):
        if nodes == entries:
            # One step has no barrier in it.
            return None, None
        reason = _shape(graph, source, entries, nodes, join)
        if reason is None:
            reason = _parts_and_reason(builder, graph, nodes, leave, taken)
            if reason is None:
                parts = _parts(graph, nodes, entries)
                if len(parts) > 1:
                    return Region(_name(builder, nodes), source, join, entries, parts), None
                reason = "its branches read what the others write, or meet before the end"
                first = first or (reason if join in told else None)
                continue
            return None, reason
        first = first or (reason if join in told else None)
    return None, first


_SHAPE = "its branches"


def _name(builder: Any, nodes: frozenset[str]) -> str:
    name = "+".join(sorted(nodes))
    if len(name) > 60:
        name = f"{sorted(nodes)[0]}+{len(nodes) - 1}"
    while name in builder.nodes or name in builder.channels:
        name += "_"
    return name


def _shape(graph: Flow, source: str, entries: frozenset[str], nodes: frozenset[str], join: str | None) -> str | None:
    """Why nodes are no region, if they are none: in every run they start together, run alone and end together."""
    for node in graph.plain.keys() | graph.routes.keys() | {start for starts, _ in graph.waiting for start in starts}:
        if node in nodes:
            continue
        if node != source and graph.after(node) & nodes:
            return f"{_SHAPE} are entered from {node!r} too"
        if node == source and any(set(ends) & nodes for ends, _ in graph.routes.get(node, ())):
            return f"{_SHAPE} are entered by a route of {source!r}"
    for starts, end in graph.waiting:
        if (starts & nodes and not starts <= nodes) or (end in nodes and not starts <= nodes):
            return f"{_SHAPE} meet others at {end!r}"
    inner = {index for index, (starts, _) in enumerate(graph.waiting) if starts & nodes}
    ends = frozenset() if join is None else frozenset([join])
    moves = sorted(graph.moves, key=lambda move: (sorted(move[0].active), sorted(move[1].active)))
    for before, after in moves:
        was, now = before.active & nodes, after.active & nodes
        if was and now and before.active <= nodes and not after.active <= nodes:
            outside = sorted(after.active - nodes)[0]
            return f"{_SHAPE} are not over when {outside!r} starts\nhint: wait for all of them by add_edge([...], {outside!r})"
    for before, after in moves:
        was, now = before.active & nodes, after.active & nodes
        if was and not before.active <= nodes:
            return f"{_SHAPE} run beside {sorted(before.active - nodes)[0]!r}"
        if was and not now and (after.active != ends or _pending(after, inner)):
            more = sorted(after.active - ends)
            return f"{_SHAPE} end at different steps, or before {join or 'END'!r}" + (f": {more[0]!r} runs" if more else "")
        if not was and now and (after.active != entries or source not in before.active or _pending(after, inner)):
            return f"{_SHAPE} do not start together"
    return None


def _pending(state: State, joins: set[int]) -> bool:
    return any(index in joins for index, _ in state.joined)


def _parts_and_reason(
    builder: Any, graph: Flow, nodes: frozenset[str], leave: frozenset[str], taken: set[str]
) -> str | None:
    """Why a region cannot be run by other means than LangGraph's, if it cannot."""
    from langgraph.channels import BinaryOperatorAggregate, LastValue
    from typing_extensions import is_typeddict

    defaults = getattr(builder, "_node_defaults", None)
    for name in ("retry_policy", "cache_policy", "timeout", "error_handler"):
        if getattr(defaults, name, None) is not None:
            return f"its nodes have a default {name}"
    for node in sorted(nodes):
        spec = builder.nodes[node]
        if node in leave:
            return f"{node!r} is to be left as it is"
        if node in taken:
            return f"{node!r} is in another region"
        for name in ("retry_policy", "cache_policy", "timeout", "error_handler_node", "trace_policy"):
            if getattr(spec, name, None) is not None:
                return f"{node!r} has a {name}"
        if spec.is_error_handler or spec.ends:
            return f"{node!r} is an error handler" if spec.is_error_handler else f"{node!r} returns Commands"
        if hasattr(spec.runnable, "channels"):
            return f"{node!r} is a graph itself"
        if "interrupt" in graph.names[node]:
            return f"{node!r} interrupts"
        schemas = [spec.input_schema, *(b.input_schema for b in builder.branches.get(node, {}).values() if b.input_schema)]
        if not all(is_typeddict(schema) or schema is dict for schema in schemas):
            return f"the state of {node!r} is no TypedDict"
        for ends, one in graph.routes.get(node, ()):
            if not one and len(ends) > 1:
                return f"the route after {node!r} may go to several nodes\nhint: annotate it -> str or -> Literal[...]"
        for key in sorted(graph.reads[node] | graph.writes[node] | graph.route_reads.get(node, frozenset())):
            if key in builder.managed:
                return f"{node!r} reads {key!r}, which counts steps"
            if type(builder.channels[key]) not in (LastValue, BinaryOperatorAggregate):
                return f"the channel of {key!r} is a {type(builder.channels[key]).__name__}"
    return None


def _parts(graph: Flow, nodes: frozenset[str], entries: frozenset[str]) -> tuple[frozenset[str], ...]:
    """Parts that neither lead to each other nor read what another writes."""
    owner = {node: node for node in nodes}

    def root(node: str) -> str:
        while owner[node] != node:
            node = owner[node]
        return node

    def unite(a: str, b: str) -> None:
        owner[root(a)] = root(b)

    # A node of the first step reads before any other writes; what runs later may see it.
    after_first = {end for node in nodes for end in graph.after(node)}
    late = nodes - (entries - after_first)
    reads = {node: graph.reads[node] | graph.route_reads.get(node, frozenset()) for node in late}
    for node in nodes:
        for end in graph.after(node) & nodes:
            unite(node, end)
    for starts, end in graph.waiting:
        if end in nodes:
            for start in starts:
                unite(start, end)
    for reader, keys in reads.items():
        for writer in nodes:
            if keys & graph.writes[writer]:
                unite(reader, writer)
    parts: dict[str, set[str]] = defaultdict(set)
    for node in nodes:
        parts[root(node)].add(node)
    return tuple(frozenset(part) for part in sorted(parts.values(), key=sorted))


def _without(builder: Any, graph: Flow, regions: list[Region]) -> Any:
    """A copy of the builder with each region as one node."""
    import copy

    from langgraph._internal._runnable import RunnableCallable
    from langgraph.graph._node import StateNodeSpec

    from ._region import Runner

    new = copy.copy(builder)
    new.compiled = False
    new.nodes, new.edges, new.waiting_edges = dict(builder.nodes), set(builder.edges), set(builder.waiting_edges)
    new.branches = defaultdict(dict, {start: dict(branches) for start, branches in builder.branches.items()})
    new.schemas, new.channels = dict(builder.schemas), dict(builder.channels)
    # All channels, those of private schemas included.
    every: Any = type("LaconRegionInput", (dict,), {})
    new.schemas[every] = dict(builder.channels)
    for region in regions:
        inside = region.nodes
        for node in inside:
            del new.nodes[node]
            new.branches.pop(node, None)
        new.edges = {edge for edge in new.edges if not inside & set(edge)}
        new.waiting_edges = {(starts, end) for starts, end in new.waiting_edges if not inside & {*starts, end}}
        runner = Runner(builder, graph, region)
        run, arun = _functions(runner)
        new.nodes[region.name] = StateNodeSpec(
            RunnableCallable(run, arun, name=region.name, trace=False),
            metadata={"lacon_region": sorted(inside)},
            input_schema=every,
            retry_policy=None,
            cache_policy=None,
        )
        new.edges |= {(region.source, region.name), (region.name, region.join or END)}
    return new


def _functions(runner: Any) -> tuple[Any, Any]:
    # LangGraph finds what a function wants by the names and types of its parameters.
    from langchain_core.runnables import RunnableConfig

    def run(state: Any, config: RunnableConfig) -> Any:
        return runner.run(state, config)

    async def arun(state: Any, config: RunnableConfig) -> Any:
        return await runner.arun(state, config)

    run.__annotations__["config"] = arun.__annotations__["config"] = RunnableConfig
    return run, arun
