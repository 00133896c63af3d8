"""`compile`: LangGraph's own loop, with nodes of later steps started as soon as what they observe is final.

The loop goes through the same steps, with the same tasks, checkpoints and streams. Where it comes to a node that was started early, it
waits for it instead of running it. What was started early is used only if its task and all that it read are what the loop has.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.typing import ContextT, InputT, OutputT, StateT

from ._loops import AsyncLoop, SyncLoop, with_global
from ._plan import Plan, plan

if TYPE_CHECKING:
    from langgraph.graph import StateGraph


def compile(
    builder: StateGraph[StateT, ContextT, InputT, OutputT],
    checkpointer: Any = None,
    *,
    allow: Iterable[str] = (),
    leave: Iterable[str] = (),
    **options: Any,
) -> EarlyGraph[StateT, ContextT, InputT, OutputT]:
    """Compiles as ``builder.compile`` does. Nodes start as soon as what they read is final, not when the whole step before has ended.

    The result is LangGraph's compiled graph, with the same states, checkpoints, interrupts and order of writes. ``leave`` names nodes
    that never start early. Streams of ``messages`` and ``custom`` chunks, and ``astream_events``, keep LangGraph's order: during them
    nothing starts early, unless ``allow=["stream"]``. ``explain()`` of the result says which nodes can start early and why others not.
    """
    from langgraph.graph import StateGraph

    if not isinstance(builder, StateGraph):
        hint = "\nhint: pass the StateGraph, not what its compile() gave" if hasattr(builder, "builder") else ""
        raise TypeError(f"builder is of type {type(builder).__name__}, a StateGraph is needed{hint}")
    if isinstance(allow, str) or isinstance(leave, str):
        raise TypeError("allow and leave are lists, a str is given")
    allowed, left = frozenset(allow), frozenset(leave)
    for word in sorted(allowed - {"stream"}):
        raise ValueError(f"allow holds {word!r}\nhint: known is stream")
    for name in sorted(left - set(builder.nodes)):
        raise ValueError(f"leave holds {name!r}, which is no node of the graph")
    compiled = builder.compile(checkpointer, **options)
    early = _Early(plan(compiled, left), "stream" in allowed)
    compiled.__class__ = EarlyGraph
    compiled._early = early  # type: ignore[attr-defined]
    return compiled  # type: ignore[return-value]


class _Early:
    """What all runs of a graph share."""

    def __init__(self, known: Plan, streams: bool) -> None:
        self.plan = known
        self.streams = streams
        self.counts = {"started": 0, "used": 0, "dropped": 0}
        self.lock = threading.Lock()
        self.stream = _with_loop(Pregel.stream, "SyncPregelLoop", partial(SyncLoop, self))
        self.astream = _with_loop(Pregel.astream, "AsyncPregelLoop", partial(AsyncLoop, self))

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1


def _with_loop(function: Any, name: str, loop: Any) -> Any:
    """LangGraph's function, running another loop."""
    if name not in function.__code__.co_names and not any(name in getattr(c, "co_names", ()) for c in function.__code__.co_consts):
        return function
    return with_global(function, name, loop)


class EarlyGraph(CompiledStateGraph[StateT, ContextT, InputT, OutputT]):
    """A compiled graph of LangGraph that starts nodes early."""

    _early: _Early

    @property
    def started_early(self) -> dict[str, int]:
        """How many nodes were started early so far, how many of them were used, and how many were run again or not needed."""
        return dict(self._early.counts)

    def explain(self) -> str:
        """Which nodes can start early, and why others never do, as text."""
        nodes = self._early.plan.nodes
        lines = [f"can start early: {', '.join(sorted(name for name, node in nodes.items() if node.why is None)) or 'none'}"]
        lines += [f"waits for its step: {name}: {node.why}" for name, node in sorted(nodes.items()) if node.why is not None]
        return "\n".join(lines)

    def copy(self, update: dict[str, Any] | None = None) -> Any:
        attributes = {key: value for key, value in self.__dict__.items() if key not in ("__orig_class__", "_early")}
        new = self.__class__(**{**attributes, **(update or {})})
        new._early = self._early
        return new

    if not TYPE_CHECKING:
        # Types are those of LangGraph.

        @wraps(Pregel.stream)
        def stream(self, *arguments, **options):
            return (self._early.stream if self._early.plan.useful else Pregel.stream)(self, *arguments, **options)

        @wraps(Pregel.astream)
        def astream(self, *arguments, **options):
            return (self._early.astream if self._early.plan.useful else Pregel.astream)(self, *arguments, **options)


