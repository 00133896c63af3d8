"""What `compile` knows of a graph before it runs: of each node, what it can observe and what it may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._static import Flow, access, flow, function_of

#: Parameters through which a node sees what others put into the store.
_STORE = frozenset(["store", "runtime"])
_STORE_NAMES = frozenset(["get_store", "get_runtime"])


@dataclass(frozen=True)
class Node:
    """One node: keys and channels, as far as they are known."""

    #: Keys that it, or a route behind it, reads.
    needs: frozenset[str]
    #: Keys that its function is given; None is all of its schema.
    reads: frozenset[str] | None
    #: Channels that it may write: keys of the state and joins.
    writes: frozenset[str]
    #: Nodes that it may start in the next step, joins left out; None is any.
    ends: frozenset[str] | None
    #: Whether the run may stop in the step that it is in.
    stops: bool
    #: Why it never starts early, if so.
    why: str | None
    declared: bool = False


@dataclass
class Plan:
    """A graph, ready to start nodes early."""

    nodes: dict[str, Node]
    #: Keys whose values can be told ahead, with whether each has a reducer.
    keys: dict[str, bool]
    #: Keys whose values depend on more than writes.
    unstable: frozenset[str]
    #: Channels that start a node in the next step.
    branches: dict[str, str]
    #: Channels that wait for several nodes: their names, and the node that they start.
    joins: dict[str, tuple[frozenset[str], str]]
    #: What is taken of a node that is not one of the graph's.
    unknown: Node
    interrupt_before: frozenset[str] = frozenset()
    interrupt_after: frozenset[str] = frozenset()
    #: Keys with a reducer that a node which may start early reads.
    folded: frozenset[str] = frozenset()

    @property
    def useful(self) -> bool:
        """Whether any node may start early."""
        return any(node.why is None for node in self.nodes.values())


def plan(compiled: Any, leave: frozenset[str]) -> Plan:
    """Reads a compiled graph."""
    from langgraph.channels import BinaryOperatorAggregate, EphemeralValue, LastValue, NamedBarrierValue

    builder = compiled.builder
    graph = flow(builder, walk=False)
    keys = {
        key: type(channel) is BinaryOperatorAggregate
        for key, channel in builder.channels.items()
        if type(channel) in (LastValue, BinaryOperatorAggregate)
    }
    branches: dict[str, str] = {}
    joins: dict[str, tuple[frozenset[str], str]] = {}
    for channel, nodes in compiled.trigger_to_nodes.items():
        kind = type(compiled.channels[channel])
        if len(nodes) == 1 and channel.startswith("branch:to:") and kind is EphemeralValue:
            branches[channel] = next(iter(nodes))
        elif len(nodes) == 1 and kind is NamedBarrierValue:
            joins[channel] = (frozenset(compiled.channels[channel].names), next(iter(nodes)))
    every = frozenset(builder.channels) | joins.keys()
    # What leads a graph that has handlers of errors elsewhere cannot be told by its edges.
    handled = any(spec.error_handler_node for spec in builder.nodes.values())
    nodes = {name: _node(compiled, graph, name, every, joins, keys, leave, handled) for name in builder.nodes}
    unknown = Node(frozenset(), None, every, None, True, "it is unknown")
    done = Plan(nodes, keys, frozenset(builder.channels) - keys.keys(), branches, joins, unknown)
    done.folded = frozenset(key for node in nodes.values() if node.why is None for key in node.needs if keys.get(key))
    for word in ("before", "after"):
        wanted = getattr(compiled, f"interrupt_{word}_nodes")
        setattr(done, f"interrupt_{word}", names_of(wanted, nodes))
    return done


def names_of(wanted: Any, nodes: Mapping[str, Node]) -> frozenset[str]:
    """Names of nodes in what LangGraph takes as a list of interrupts."""
    return frozenset(nodes) if wanted == "*" else frozenset(wanted or ())


def _node(
    compiled: Any, graph: Flow, name: str, every: frozenset[str], joins: Mapping[str, tuple[frozenset[str], str]],
    keys: Mapping[str, bool], leave: frozenset[str], handled: bool,
) -> Node:
    builder, spec, process = compiled.builder, compiled.builder.nodes[name], compiled.nodes[name]
    function = function_of(spec.runnable)
    known = access(function)
    mine = frozenset(channel for channel, (starts, _) in joins.items() if name in starts)
    routed = (end for options, _ in graph.routes.get(name, ()) for end in options)
    ends: frozenset[str] | None = frozenset([*graph.plain.get(name, ()), *routed])
    guessed = name in graph.guessed_writes
    if handled or _goes_anywhere(builder, name, known, guessed):
        ends = None
    writes = every if handled or guessed else graph.writes[name] | mine
    # A route may also read what its node returned, whatever the key.
    needs = (graph.reads[name] | graph.route_reads.get(name, frozenset())) & builder.channels.keys()
    reads = None if name in graph.guessed_reads else graph.reads[name]
    routes = builder.branches.get(name, {}).values()
    mentions = known.names.union(*(access(function_of(branch.path)).names for branch in routes))
    # Tools may interrupt.
    stops = bool("interrupt" in mentions or process.subgraphs or hasattr(spec.runnable, "tools_by_name"))
    why = _why(compiled, name, known, mentions, needs, keys, leave)
    return Node(needs, reads, writes, ends, stops, why, known.how == "declared")


def _goes_anywhere(builder: Any, name: str, known: Any, guessed: bool) -> bool:
    """Whether a node may lead to others than its edges say: by a Command, a Send or a route without destinations."""
    if guessed and not builder.nodes[name].ends:
        return True
    if builder.nodes[name].ends and (not known.names or "Send" in known.names):
        return True
    for branch in builder.branches.get(name, {}).values():
        route = access(function_of(branch.path))
        if branch.ends is None or (not route.routes_to_one and (not route.names or "Send" in route.names)):
            return True
    return False


def _why(
    compiled: Any, name: str, known: Any, mentions: frozenset[str], needs: frozenset[str], keys: Mapping[str, bool],
    leave: frozenset[str],
) -> str | None:
    """Why a node never starts early."""
    spec, process = compiled.builder.nodes[name], compiled.nodes[name]
    if name in leave:
        return "it is to be left as it is"
    if spec.defer:
        return "it is deferred until nothing else runs"
    if spec.is_error_handler:
        return "it is an error handler"
    if process.subgraphs:
        return "it is a graph itself"
    if "interrupt" in mentions:
        return "it interrupts"
    if process.mapper is not None or not isinstance(process.channels, list):
        return "its state is no TypedDict"
    if any(branch.input_schema is not None and compiled.schema_to_mapper.get(branch.input_schema) is not None
           for branch in compiled.builder.branches.get(name, {}).values()):
        return "the state of its route is no TypedDict"
    for policy in ("cache_policy", "timeout"):
        if getattr(process, policy, None) is not None:
            return f"it has a {policy}"
    accepts = frozenset(getattr(spec.runnable, "func_accepts", ()))
    if compiled.store is not None and known.how != "declared" and (accepts & _STORE or mentions & _STORE_NAMES):
        return "it may read from the store what others put there\nhint: declare it by lacon.langgraph.observes if it does not"
    odd = sorted(needs - keys.keys())
    if odd:
        return f"it reads {odd[0]!r}, whose channel is a {type(compiled.channels[odd[0]]).__name__}"
    return None
