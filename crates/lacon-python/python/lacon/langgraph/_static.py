"""What can be known of a graph without running it: which keys each node reads and writes, and which nodes run in one step.

Reads and writes are declared (``observes``), inferred from a function's source where every use of its state is plain, or taken to be
all keys of the node's input schema. Steps are found by walking every state of activity that the edges allow, so what holds in all of
them holds in every run.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from langgraph.graph import StateGraph

START, END = "__start__", "__end__"

#: Transitions between states of activity that are looked at; more is a graph that is left alone.
LIMIT = 50_000

_F = TypeVar("_F", bound="Callable[..., Any]")


class Unknown(Exception):
    """The graph, or a part of it, cannot be decided without running it; says why."""


def observes(*, reads: Iterable[str], writes: Iterable[str] = (), routes_to_one: bool = False) -> Callable[[_F], _F]:
    """Declares which keys of the state a node or a route reads and which a node writes.

    ``fuse`` gives the function these keys and no others, and refuses a write that is not declared. ``routes_to_one`` says of a
    route that it returns one name, never a list or a ``Send``.
    """
    if isinstance(reads, str) or isinstance(writes, str):
        raise TypeError("reads and writes are lists of keys, a str is given\nhint: reads=[\"key\"]")
    declared = Access(frozenset(reads), frozenset(writes), "declared", routes_to_one)

    def mark(function: _F) -> _F:
        function.__lacon_access__ = declared  # type: ignore[attr-defined]
        return function

    return mark


@dataclass(frozen=True)
class Access:
    """Keys that a function reads and writes; None is any."""

    reads: frozenset[str] | None
    writes: frozenset[str] | None
    how: str
    routes_to_one: bool = False
    #: Names that its source mentions.
    names: frozenset[str] = frozenset()


_MUTATORS = frozenset(
    ["add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "reverse", "setdefault", "sort", "update"]
)


def access(function: Any) -> Access:
    """What a function reads and writes, as declared or as its source shows."""
    unknown = Access(None, None, "unknown")
    while function is not None:
        declared = getattr(function, "__lacon_access__", None)
        if declared is not None:
            tree = _tree(function) if inspect.isfunction(function) else None
            return replace(declared, names=_names(tree, function)) if tree is not None else declared  # type: ignore[no-any-return]
        # Own decorators change no argument and no result; others may.
        inner = getattr(function, "__wrapped__", None)
        if inner is None or not getattr(function, "__lacon_transparent__", False):
            break
        function = inner
    if not inspect.isfunction(function) or hasattr(function, "__wrapped__"):
        return unknown
    tree = _tree(function)
    if tree is None:
        return unknown
    return _infer(tree, function)


def _tree(function: Any) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | None:
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return None
    for text in (source, source.strip().rstrip(",)"), f"({source.strip()}", f"_({source.strip()}"):
        try:
            module = ast.parse(text)
        except SyntaxError:
            continue
        found = [
            node
            for node in ast.walk(module)
            if isinstance(node, ast.Lambda if function.__name__ == "<lambda>" else (ast.FunctionDef, ast.AsyncFunctionDef))
        ]
        if function.__name__ != "<lambda>":
            found = [node for node in found if node.name == function.__name__][:1]  # type: ignore[union-attr]
        # Several lambdas of one line cannot be told apart, and a file may have changed since it was imported.
        is_it = len(found) == 1 and _texts_of_tree(found[0]) == _texts_of_code(function.__code__)
        return found[0] if is_it else None
    return None


def _texts_of_tree(tree: Any) -> set[str]:
    body = tree.body if isinstance(tree.body, list) else [tree.body]
    return {
        node.value for part in body for node in ast.walk(part) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def _texts_of_code(code: Any) -> set[str]:
    texts: set[str] = set()
    left: list[Any] = list(code.co_consts)
    while left:
        value = left.pop()
        if isinstance(value, str) and "<locals>" not in value and "<lambda>" not in value:
            texts.add(value)
        elif isinstance(value, (tuple, frozenset)):
            left += value
        elif inspect.iscode(value):
            left += value.co_consts
    return texts


def _infer(tree: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, function: Any) -> Access:
    arguments = tree.args.posonlyargs + tree.args.args
    names = _names(tree, function)
    if isinstance(tree, ast.Lambda):
        outputs: list[ast.expr | None] = [tree.body]
        generator = False
    else:
        own = list(_own(tree))
        outputs = [node.value for node in own if isinstance(node, ast.Return)]
        generator = any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in own)
    one = bool(outputs) and not generator and all(_is_one(output) for output in outputs)
    hint = getattr(function, "__annotations__", {}).get("return")
    one = one or hint is str or str(hint) in ("str", "'str'") or str(hint).split(".")[-1].startswith("Literal[")
    reads = _reads(tree, arguments[0].arg) if arguments and not tree.args.vararg else None
    writes: frozenset[str] | None = frozenset()
    for output in outputs:
        keys = _keys(output)
        writes = None if keys is None or writes is None else writes | keys
    if generator:
        writes = None
    return Access(reads, writes, "inferred", one, names)


def _names(tree: ast.AST, function: Any) -> frozenset[str]:
    """Names and attributes that a function mentions, and what its aliases stand for."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    around = {**function.__globals__, **dict(zip(function.__code__.co_freevars, _cells(function), strict=False))}
    aliased = {getattr(around.get(name), "__name__", name) for name in names}
    return frozenset(names | aliased | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)})


def _cells(function: Any) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            yield None


def _own(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a function, those of functions inside it left out."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield node
            yield from _own(node)


def _keys(output: ast.expr | None) -> frozenset[str] | None:
    """Keys of a dict display; of None none; anything else is not known."""
    if output is None or (isinstance(output, ast.Constant) and output.value is None):
        return frozenset()
    if isinstance(output, ast.Dict):
        keys = [key.value for key in output.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
        return frozenset(keys) if len(keys) == len(output.keys) else None
    if isinstance(output, ast.IfExp):
        body, other = _keys(output.body), _keys(output.orelse)
        return None if body is None or other is None else body | other
    return None


def _is_one(output: ast.expr | None) -> bool:
    """Whether an expression is one name, or END."""
    if isinstance(output, ast.Constant):
        return isinstance(output.value, (str, bool))
    if isinstance(output, ast.Name):
        return output.id == "END"
    if isinstance(output, ast.IfExp):
        return _is_one(output.body) and _is_one(output.orelse)
    return isinstance(output, (ast.Compare, ast.JoinedStr)) or (isinstance(output, ast.UnaryOp) and isinstance(output.op, ast.Not))


def _reads(tree: ast.AST, name: str) -> frozenset[str] | None:
    """Keys that are read where every use of the state is ``state["key"]``, ``state.get("key")`` or ``"key" in state``."""
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    reads: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Name) or node.id != name:
            continue
        if not isinstance(node.ctx, ast.Load):
            return None
        use = parents[node]
        key: ast.expr | None = None
        if isinstance(use, ast.Subscript) and use.value is node and isinstance(use.ctx, ast.Load):
            key = use.slice
        elif isinstance(use, ast.Attribute) and use.attr == "get":
            call = parents[use]
            if not isinstance(call, ast.Call) or call.func is not use or not call.args:
                return None
            key, use = call.args[0], call
        elif isinstance(use, ast.Compare) and use.comparators == [node] and isinstance(use.ops[0], (ast.In, ast.NotIn)):
            key = use.left
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            return None
        # What is changed in place is a write that no channel sees.
        after = parents.get(use)
        if isinstance(after, ast.Attribute) and after.attr in _MUTATORS and isinstance(parents.get(after), ast.Call):
            return None
        if isinstance(after, ast.Subscript) and not isinstance(after.ctx, ast.Load):
            return None
        reads.add(key.value)
    return frozenset(reads)


def function_of(runnable: Any) -> Any:
    """The Python function behind a runnable, if it is one function."""
    return getattr(runnable, "func", None) or getattr(runnable, "afunc", None)


@dataclass(frozen=True)
class State:
    """Nodes of one step, and what the joins have seen."""

    active: frozenset[str]
    joined: frozenset[tuple[int, str]] = frozenset()


@dataclass
class Flow:
    """The graph as data, and every step that it can take."""

    plain: dict[str, list[str]]
    waiting: list[tuple[frozenset[str], str]]
    #: Of each node the routes: their destinations, and whether they go to one of them.
    routes: dict[str, list[tuple[list[str], bool]]]
    reads: dict[str, frozenset[str]]
    writes: dict[str, frozenset[str]]
    #: Keys that may be all keys of the schema, for want of knowing better.
    guessed_reads: set[str]
    guessed_writes: set[str]
    route_reads: dict[str, frozenset[str]]
    names: dict[str, frozenset[str]]
    moves: set[tuple[State, State]] = field(default_factory=set)
    problem: str | None = None

    def after(self, node: str) -> set[str]:
        """Nodes that an edge of any kind leads to."""
        out = set(self.plain.get(node, ()))
        out |= {end for ends, _ in self.routes.get(node, ()) for end in ends}
        out |= {end for starts, end in self.waiting if node in starts}
        return out - {END}

    def reach(self, starts: Iterable[str], stop: str | None = None) -> set[str]:
        """Nodes that can be reached, the first ones included, without going through ``stop``."""
        seen: set[str] = set()
        left = [node for node in starts if node != stop]
        while left:
            node = left.pop()
            if node not in seen:
                seen.add(node)
                left += self.after(node) - seen - {stop}
        return seen


def flow(builder: StateGraph[Any, Any, Any, Any], walk: bool = True) -> Flow:
    """Reads a graph builder and walks its steps, unless told not to. What cannot be known is a problem of the whole."""
    plain: dict[str, list[str]] = defaultdict(list)
    for start, end in sorted(builder.edges):
        plain[start].append(end)
    waiting = [(frozenset(starts), end) for starts, end in sorted(builder.waiting_edges)]
    routes: dict[str, list[tuple[list[str], bool]]] = defaultdict(list)
    route_reads: dict[str, frozenset[str]] = {}
    reads: dict[str, frozenset[str]] = {}
    writes: dict[str, frozenset[str]] = {}
    names: dict[str, frozenset[str]] = {}
    guessed_reads: set[str] = set()
    guessed_writes: set[str] = set()
    problem = None
    for start, branches in builder.branches.items():
        keys: frozenset[str] = frozenset()
        for branch in branches.values():
            known = access(function_of(branch.path))
            schema = branch.input_schema or (builder.nodes[start].input_schema if start in builder.nodes else builder.state_schema)
            keys |= known.reads if known.reads is not None else frozenset(builder.schemas[schema])
            if branch.ends is None:
                problem = problem or f"the route after {start!r} may go anywhere\nhint: pass path_map, or annotate it -> Literal[...]"
                continue
            routes[start].append((sorted(set(branch.ends.values())), known.routes_to_one))
        route_reads[start] = keys
    every = frozenset(builder.channels)
    for name, spec in builder.nodes.items():
        known = access(function_of(spec.runnable))
        names[name] = known.names
        schema_keys = frozenset(builder.schemas[spec.input_schema])
        if known.reads is None:
            guessed_reads.add(name)
        if known.writes is None:
            guessed_writes.add(name)
        reads[name] = schema_keys if known.reads is None else known.reads & schema_keys
        writes[name] = every if known.writes is None else known.writes & every
        if spec.ends:
            routes[name].append((sorted({*spec.ends, END}), False))
        elif "Command" in known.names:
            problem = problem or f"{name!r} returns a Command that may go anywhere\nhint: annotate it -> Command[Literal[...]]"
        if spec.defer:
            problem = problem or f"{name!r} is deferred until nothing else runs"
    done = Flow(dict(plain), waiting, dict(routes), reads, writes, guessed_reads, guessed_writes, route_reads, names)
    done.problem = problem
    if problem is None and walk:
        try:
            done.moves = _walk(done)
        except Unknown as error:
            done.problem = str(error)
    return done


def _choices(ends: list[str], one: bool) -> list[tuple[str, ...]]:
    if one:
        return [(end,) for end in ends]
    if len(ends) > 5:
        raise Unknown("a route may go to several of more than five nodes\nhint: annotate it -> str where it goes to one")
    return [pick for n in range(1, len(ends) + 1) for pick in itertools.combinations(ends, n)]


def _walk(graph: Flow) -> set[tuple[State, State]]:
    first = State(frozenset([START]))
    seen, left = {first}, [first]
    moves: set[tuple[State, State]] = set()
    while left:
        state = left.pop()
        always = {end for node in state.active for end in graph.plain.get(node, ())}
        options = [_choices(ends, one) for node in sorted(state.active) for ends, one in graph.routes.get(node, ())]
        n_options = 1
        for option in options:
            n_options *= len(option)
        if n_options > LIMIT:
            raise Unknown(f"its steps have more than {LIMIT} forms")
        joined = set(state.joined)
        for index, (starts, _) in enumerate(graph.waiting):
            joined |= {(index, node) for node in state.active & starts}
        full = [index for index, (starts, _) in enumerate(graph.waiting) if all((index, start) in joined for start in starts)]
        always |= {graph.waiting[index][1] for index in full}
        rest = frozenset(entry for entry in joined if entry[0] not in full)
        for picks in itertools.product(*options):
            active = always.union(*picks) - {END}
            after = State(frozenset(active), rest)
            moves.add((state, after))
            if len(moves) > LIMIT:
                raise Unknown(f"its steps have more than {LIMIT} forms")
            if after not in seen and active:
                seen.add(after)
                left.append(after)
    return moves
