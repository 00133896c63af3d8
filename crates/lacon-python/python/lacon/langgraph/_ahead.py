"""Which nodes of later steps can start now, with exactly what LangGraph will give them.

A level is one step: the nodes that surely run in it, and those that may. What they write is known when they end, and bounded by the plan
before. So a key is sure in a level if no node that is still open can have written it, and a node is sure if one that ended has
started it. LangGraph's loop goes through the same steps afterwards and finds the work done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from langgraph.pregel._algo import task_path_str

from ._plan import Node, Plan

#: Steps that are looked ahead at most.
DEPTH = 64
_COPIED = (list, dict, set)
_FIXED = (str, int, float, tuple, frozenset, bytes, type(None))
_NO_OUTPUT = frozenset(["__error__", "__interrupt__", "__error_source_node__"])


@dataclass(eq=False)
class Work:
    """One node in one step."""

    name: str
    step: int
    #: LangGraph applies the writes of one step in this order.
    rank: str
    node: Node
    #: What it wrote; None while it is open, or when it failed.
    writes: list[tuple[str, Any]] | None = None
    #: What it was given, by key: channels as they will be.
    seen: dict[str, Any] = field(default_factory=dict)
    task: Any = None
    future: Any = None
    error: BaseException | None = None


@dataclass
class Level:
    """One step."""

    step: int
    works: list[Work]
    #: Nodes that may run beside them.
    maybe: frozenset[str] = frozenset()
    #: Channels, where they differ from the loop's.
    over: dict[str, Any] = field(default_factory=dict)
    #: Keys and joins whose values are not known.
    unsure: frozenset[str] = frozenset()
    #: Names that joins have seen.
    joined: dict[str, frozenset[str]] = field(default_factory=dict)


class InPlace(Exception):
    """A reducer that may change what it is given."""


class Kept:
    """A reducer that computes once what is computed ahead and later again, so that both see the same object."""

    def __init__(self, operator: Callable[[Any, Any], Any]) -> None:
        self.operator = operator
        self.__name__ = getattr(operator, "__name__", "reducer")
        self._kept: dict[tuple[int, int], tuple[Any, Any, Any, int]] = {}

    def __call__(self, left: Any, right: Any) -> Any:
        kept = self._kept.get((id(left), id(right)))
        return self.operator(left, right) if kept is None else kept[2]

    def ahead(self, step: int, left: Any, right: Any) -> Any:
        """Computes it without a change of what is there; raises where it might change that in place."""
        kept = self._kept.get((id(left), id(right)))
        if kept is None:
            if not isinstance(left, _COPIED + _FIXED):
                raise InPlace
            before = left.copy() if isinstance(left, _COPIED) else left
            result = self.operator(before, right)
            if result is before and isinstance(left, _COPIED):
                raise InPlace
            kept = self._kept[(id(left), id(right))] = (left, right, result, step)
        return kept[2]

    def forget(self, step: int) -> None:
        """Drops what was computed for steps before one."""
        if self._kept:
            self._kept = {key: kept for key, kept in self._kept.items() if kept[3] >= step}


class Ahead:
    """The levels of one run."""

    def __init__(
        self, plan: Plan, channels: dict[str, Any], start: Callable[[Work, Level], None], stop: int,
        before: frozenset[str], after: frozenset[str],
    ) -> None:
        self.plan = plan
        self.channels = channels
        self.stop = stop
        self.before, self.after = before, after
        self.levels: list[Level] = []
        self._start = start
        self._begun: dict[tuple[int, str], Work] = {}
        #: Whether a node waits for a key to become sure.
        self._waiting = False
        #: The first level that has to be looked at again.
        self._stale = 0
        for key in plan.folded:
            channels[key].operator = Kept(channels[key].operator)

    def arrive(self, step: int, works: list[Work]) -> list[Work]:
        """The loop has come to a step with these nodes. Returns what was started for it and not claimed."""
        passed = [self._begun.pop(place) for place in [place for place in self._begun if place[0] <= step]]
        for key in self.plan.folded:
            self.channels[key].operator.forget(step)
        self.levels = [Level(step, works)]
        self._stale = 0
        return passed

    def claim(self, step: int, name: str) -> Work | None:
        """What was started early, if it was."""
        return self._begun.pop((step, name), None)

    def concerns(self, work: Work) -> bool:
        """Whether a node that has ended may let others start."""
        index = work.step - self.levels[0].step
        if index >= len(self.levels) or all(one.writes is not None for one in self.levels[0].works):
            # The loop itself goes on.
            return False
        if not self._waiting and not self._starts_any(index, work):
            return False
        self._stale = min(self._stale, index)
        return True

    def advance(self) -> None:
        """Looks ahead from where something has changed."""
        index, self._stale = self._stale, DEPTH
        if index >= len(self.levels) or all(one.writes is not None for one in self.levels[0].works):
            return
        self._waiting = self._waiting and index > 0
        while index < DEPTH:
            level = self.levels[index]
            after = self._next(level) if level.step < self.stop else None
            if after is None:
                break
            index += 1
            self.levels[index:] = [after, *self.levels[index + 1 :]]
            for one in after.works:
                if one.task is None and one.node.why is None:
                    if one.node.needs.isdisjoint(after.unsure):
                        self._start(one, after)
                        self._begun[after.step, one.name] = one
                    else:
                        self._waiting = True
        del self.levels[index + 1 :]

    def _starts_any(self, index: int, work: Work) -> bool:
        level = self.levels[index]
        for channel, _ in work.writes or ():
            if channel in self.plan.branches:
                return True
            if channel in self.plan.joins:
                names = self.plan.joins[channel][0]
                seen = self._joined(level, channel) | {w.name for w in level.works if w.writes is not None}
                if names <= seen:
                    return True
        return False

    def _joined(self, level: Level, channel: str) -> frozenset[str]:
        seen = level.joined.get(channel)
        return frozenset(self.channels[channel].seen) if seen is None else seen

    def _next(self, level: Level) -> Level | None:
        """The level after one; None if nothing surely runs in it, or the run may stop before."""
        plan = self.plan
        unsure = set(level.unsure) | plan.unstable
        maybe: set[str] = set()
        still_open = [(name, plan.nodes.get(name, plan.unknown)) for name in level.maybe]
        written: dict[str, list[Any]] = {}
        names = {work.name for work in level.works} | level.maybe
        if not names.isdisjoint(self.after):
            self._waiting = True
            return None
        for work in sorted(level.works, key=lambda work: work.rank):
            if work.writes is None:
                still_open.append((work.name, work.node))
                continue
            for channel, value in work.writes:
                written.setdefault(channel, []).append(value)
        may_write: set[str] = set()
        open_names = {name for name, _ in still_open}
        for _, node in still_open:
            if node.stops:
                self._waiting = True
                return None
            may_write |= node.writes
            maybe |= plan.nodes.keys() if node.ends is None else node.ends
        over, joined = dict(level.over), dict(level.joined)
        sure = [plan.branches[channel] for channel in written if channel in plan.branches]
        for channel, (starts, end) in plan.joins.items():
            known = channel not in level.unsure
            seen = before = self._joined(level, channel)
            if known and seen == starts and end in names:
                seen = frozenset()
            seen |= frozenset(written.get(channel, ()))
            if known and seen == starts:
                sure.append(end)
            elif starts <= seen | open_names or (not known and (channel in written or open_names & starts)):
                maybe.add(end)
            if seen is not before:
                joined[channel] = seen
        for key, values in written.items():
            if key not in plan.keys or key in may_write:
                continue
            folded = plan.keys[key]
            if folded and (key in level.unsure or key not in plan.folded):
                continue
            done = self._update(over, key, values, level.step + 1)
            if done is None:
                return None
            (unsure.discard if done else unsure.add)(key)
        unsure |= may_write
        # A reducer that nothing reads early is not computed ahead.
        unsure |= {key for key in written if plan.keys.get(key) and key not in plan.folded}
        maybe |= {send.node for send in written.get("__pregel_tasks", ())}
        maybe -= set(sure)
        maybe.discard("__end__")
        step = level.step + 1
        if not sure or not (maybe | set(sure)).isdisjoint(self.before):
            self._waiting = self._waiting or bool(sure)
            return None
        works = [self._work(step, name) for name in sorted(set(sure))]
        return Level(step, works, frozenset(maybe), over, frozenset(unsure), joined)

    def _work(self, step: int, name: str) -> Work:
        old = self._begun.get((step, name))
        return old or Work(name, step, task_path_str(("__pregel_pull", name)), self.plan.nodes.get(name, self.plan.unknown))

    def _update(self, over: dict[str, Any], key: str, values: list[Any], step: int) -> bool | None:
        """Whether a key is known after these values; None where LangGraph will raise an error."""
        channel = (over.get(key) or self.channels[key]).copy()
        operator = getattr(channel, "operator", None)
        if isinstance(operator, Kept):
            channel.operator = partial(operator.ahead, step)
        try:
            channel.update(values)
        except InPlace:
            return False
        except Exception:
            return None
        if operator is not None:
            channel.operator = operator
        over[key] = channel
        return True


def output(writes: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]] | None:
    """What a node wrote, None if it failed or was interrupted."""
    done = list(writes)
    return None if any(channel in _NO_OUTPUT for channel, _ in done) else done
