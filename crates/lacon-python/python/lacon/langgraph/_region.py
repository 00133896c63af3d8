"""Runs the nodes of one region inside one step, and gives their writes in the order of the steps that they came from.

Each part of a region keeps its own clock and its own copies of the channels that it reads. Parts do not read from each other, which
`fuse` has shown, so a part sees what it would have seen between the barriers.
"""

from __future__ import annotations

import asyncio
import copy
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._static import END, Flow, function_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.runnables import RunnableConfig

    from ._fuse import Region

Updates = list[tuple[str, Any]]


@dataclass
class _Part:
    """Nodes that run in lockstep with each other."""

    number: int
    channels: dict[str, Any]
    active: list[str]
    step: int = 1
    joined: set[tuple[int, str]] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    done: dict[str, tuple[Updates, set[str]]] = field(default_factory=dict)


class Runner:
    """The function that a region becomes, sync and async."""

    def __init__(self, builder: Any, flow: Flow, region: Region) -> None:
        self.region = region
        self.builder = builder
        self.plain = {node: [end for end in flow.plain.get(node, ()) if end in region.nodes] for node in region.nodes}
        self.waiting = [
            (index, starts, end) for index, (starts, end) in enumerate(flow.waiting) if end in region.nodes
        ]
        self.reads = {node: sorted(flow.reads[node]) for node in region.nodes}
        self.route_reads = {node: sorted(flow.route_reads.get(node, ())) for node in region.nodes}
        self.writes = {node: flow.writes[node] for node in region.nodes}
        self.runnables = {node: _traced(builder.nodes[node].runnable, node) for node in region.nodes}
        self.metadata = {node: builder.nodes[node].metadata or {} for node in region.nodes}
        self.reducers = frozenset(key for key, channel in builder.channels.items() if hasattr(channel, "operator"))

    # The run of a region.

    def run(self, state: Mapping[str, Any], config: RunnableConfig) -> Any:
        """One run, on threads."""
        from langchain_core.runnables.config import get_executor_for_config

        parts = self._parts(state)
        log: list[tuple[int, str, Updates]] = []
        failed: tuple[int, str, BaseException] | None = None
        with get_executor_for_config(config) as pool:
            running: dict[Future[Any], tuple[_Part, str]] = {}

            def start(part: _Part) -> None:
                part.left = set(part.active)
                for node in part.active:
                    values = self._values(part, self.reads[node])
                    running[pool.submit(self._one, part, node, values, self._config(config, node, part))] = (part, node)

            for part in parts:
                start(part)
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    part, node = running.pop(future)
                    error = future.exception()
                    if error is not None:
                        failed = _first(failed, (part.step, node, error))
                        continue
                    if self._finish(part, node, future.result(), log) and (failed is None or part.step <= failed[0]):
                        start(part)
        return self._merge(state, log, failed)

    async def arun(self, state: Mapping[str, Any], config: RunnableConfig) -> Any:
        """One run, on the event loop."""
        parts = self._parts(state)
        log: list[tuple[int, str, Updates]] = []
        failed: tuple[int, str, BaseException] | None = None
        running: dict[asyncio.Task[Any], tuple[_Part, str]] = {}
        limit = config.get("max_concurrency")
        slots = asyncio.Semaphore(limit) if limit else None

        async def one(part: _Part, node: str, values: dict[str, Any]) -> Any:
            if slots is None:
                return await self._aone(part, node, values, self._config(config, node, part))
            async with slots:
                return await self._aone(part, node, values, self._config(config, node, part))

        def start(part: _Part) -> None:
            part.left = set(part.active)
            for node in part.active:
                work = one(part, node, self._values(part, self.reads[node]))
                running[asyncio.get_running_loop().create_task(work, context=copy_context())
                        if _TASKS_TAKE_CONTEXT else asyncio.ensure_future(work)] = (part, node)

        try:
            for part in parts:
                start(part)
            while running:
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    part, node = running.pop(task)
                    if task.cancelled():
                        continue
                    error = task.exception()
                    if error is not None:
                        failed = _first(failed, (part.step, node, error))
                        for other, (its, _) in running.items():
                            if its.step > part.step:
                                other.cancel()
                        continue
                    if self._finish(part, node, task.result(), log) and (failed is None or part.step <= failed[0]):
                        start(part)
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.gather(*running, return_exceptions=True)
        return self._merge(state, log, failed)

    # Parts and their steps.

    def _parts(self, state: Mapping[str, Any]) -> list[_Part]:
        parts = []
        for number, nodes in enumerate(self.region.parts):
            keys = {key for node in nodes for key in (*self.reads[node], *self.route_reads[node])}
            channels = {key: _filled(self.builder.channels[key], state, key) for key in keys}
            parts.append(_Part(number, channels, sorted(nodes & self.region.entries)))
        return parts

    def _values(self, part: _Part, keys: Sequence[str]) -> dict[str, Any]:
        return {key: part.channels[key].get() for key in keys if part.channels[key].is_available()}

    def _finish(self, part: _Part, node: str, result: tuple[Updates, set[str]], log: list[tuple[int, str, Updates]]) -> bool:
        """Notes what a node did; at the end of its step applies it, and says whether there is a next one."""
        part.done[node] = result
        part.left.discard(node)
        if part.left or len(part.done) < len(part.active):
            return False
        after: set[str] = set()
        by_key: dict[str, list[Any]] = {}
        for name in sorted(part.done):
            updates, picked = part.done[name]
            log.append((part.step, name, updates))
            after |= picked
            after.update(self.plain[name])
            for key, value in updates:
                by_key.setdefault(key, []).append(value)
            part.joined |= {(index, name) for index, starts, _ in self.waiting if name in starts}
        for key, values in by_key.items():
            if key in part.channels:
                # Two values at once for a key without a reducer are an error, which `_merge` raises for the whole step.
                part.channels[key].update(values if key in self.reducers else values[-1:])
        for index, starts, end in self.waiting:
            if all((index, start) in part.joined for start in starts):
                part.joined -= {(index, start) for start in starts}
                after.add(end)
        part.done = {}
        part.step += 1
        part.active = sorted(after & self.region.nodes)
        return bool(part.active)

    def _merge(
        self, state: Mapping[str, Any], log: list[tuple[int, str, Updates]], failed: tuple[int, str, BaseException] | None
    ) -> Any:
        """All writes in the order of their steps, and of names in each step: as the barriers would have applied them."""
        from langgraph.types import Command, Overwrite

        log.sort(key=lambda entry: entry[:2])
        replaced = {
            key
            for _, _, updates in log
            for key, value in updates
            if isinstance(value, Overwrite) or (isinstance(value, dict) and "__overwrite__" in value)
        }
        # LangGraph folds the values of a reducer in the order given, whatever step they came from.
        folded = self.reducers - replaced
        channels: dict[str, Any] = {}
        steps: dict[int, dict[str, list[Any]]] = {}
        for step, _, updates in log:
            for key, value in updates:
                if key not in folded:
                    steps.setdefault(step, {}).setdefault(key, []).append(value)
        for step, by_key in sorted(steps.items()):
            if failed is not None and failed[0] <= step:
                break
            for key, values in by_key.items():
                if key not in channels:
                    channels[key] = _filled(self.builder.channels[key], state, key)
                channels[key].update(values)
        if failed is not None:
            raise failed[2]
        out: list[Any] = [
            Command(update={key: value})
            for _, _, updates in log
            for key, value in updates
            if key in folded
        ]
        final = {key: channel.get() for key, channel in channels.items()}
        final = {key: Overwrite(value) if key in self.reducers else value for key, value in final.items()}
        if not out:
            return final or None
        return [*out, Command(update=final)] if final else out

    # One node.

    def _config(self, config: RunnableConfig, node: str, part: _Part) -> RunnableConfig:
        metadata = {**(config.get("metadata") or {}), **self.metadata[node], "langgraph_node": node}
        # Steps count from 1 inside the region, after the one that it runs in.
        metadata["lacon_region_step"] = part.step
        mine = {key: value for key, value in config.items() if key != "run_id"}
        return {**mine, "metadata": metadata, "run_name": node}  # type: ignore[typeddict-item]

    def _one(self, part: _Part, node: str, values: dict[str, Any], config: RunnableConfig) -> tuple[Updates, set[str]]:
        output = self.runnables[node].invoke(values, config)
        updates = self._updates(node, output)
        picked: set[str] = set()
        for branch in self.builder.branches.get(node, {}).values():
            seen = self._seen(part, node, branch, output, updates)
            picked.add(self._place(node, branch, branch.path.invoke(seen, config)))
        return updates, picked

    async def _aone(self, part: _Part, node: str, values: dict[str, Any], config: RunnableConfig) -> tuple[Updates, set[str]]:
        output = await self.runnables[node].ainvoke(values, config)
        updates = self._updates(node, output)
        picked: set[str] = set()
        for branch in self.builder.branches.get(node, {}).values():
            seen = self._seen(part, node, branch, output, updates)
            picked.add(self._place(node, branch, await branch.path.ainvoke(seen, config)))
        return updates, picked

    def _seen(self, part: _Part, node: str, branch: Any, output: Any, updates: Updates) -> dict[str, Any]:
        """What a route reads: the state with its own node's writes, and what else the node returned."""
        view = {}
        for key in self.route_reads[node]:
            channel = part.channels[key]
            own = [value for name, value in updates if name == key]
            if own:
                channel = channel.copy()
                channel.update(own)
            if channel.is_available():
                view[key] = channel.get()
        return {**output, **view} if isinstance(output, dict) and branch.input_schema is None else view

    def _place(self, node: str, branch: Any, result: Any) -> str:
        from langgraph.errors import InvalidUpdateError
        from langgraph.types import Send

        picks = result if isinstance(result, (list, tuple)) else [result]
        if len(picks) != 1 or isinstance(picks[0], Send):
            raise InvalidUpdateError(
                f"the route after {node!r} gave {result!r}; it is declared to go to one node\nhint: fuse(builder, leave=[{node!r}])"
            )
        end = branch.ends[picks[0]]
        return str(end) if end != END else END

    def _updates(self, node: str, output: Any) -> Updates:
        from langgraph.errors import InvalidUpdateError
        from langgraph.types import Command

        channels = self.builder.channels
        if output is None:
            return []
        if isinstance(output, Command):
            if output.goto or output.graph is not None:
                raise InvalidUpdateError(
                    f"{node!r} returned a Command that goes elsewhere, and no annotation said so\nhint: fuse(builder, leave=[{node!r}])"
                )
            updates = list(output._update_as_tuples())
        elif isinstance(output, dict):
            updates = list(output.items())
        elif isinstance(output, (list, tuple)) and any(isinstance(one, Command) for one in output):
            return [update for one in output for update in self._updates(node, one)]
        else:
            from langgraph._internal._fields import get_cached_annotated_keys, get_update_as_tuples

            if not get_cached_annotated_keys(type(output)):
                raise InvalidUpdateError(f"Expected dict, got {output}")
            updates = list(get_update_as_tuples(output, list(channels)))
        updates = [(key, value) for key, value in updates if key in channels]
        for key, _ in updates:
            if key not in self.writes[node]:
                raise InvalidUpdateError(f"{node!r} writes {key!r}, which is not among its declared writes")
        return updates


def _filled(channel: Any, state: Mapping[str, Any], key: str) -> Any:
    from langgraph._internal._typing import MISSING

    if key not in state:
        return channel.from_checkpoint(MISSING)
    value = state[key]
    # A reducer may change what it is given in place; it runs here for reading, and in LangGraph for the result.
    in_place = hasattr(channel, "operator") and isinstance(value, (list, dict, set))
    return channel.from_checkpoint(copy.copy(value) if in_place else value)


def _first(
    a: tuple[int, str, BaseException] | None, b: tuple[int, str, BaseException]
) -> tuple[int, str, BaseException]:
    return b if a is None or b[0] < a[0] else a


def _traced(runnable: Any, node: str) -> Any:
    """The node's runnable, as a run of its own for callbacks; LangGraph leaves that to what it wraps nodes in."""
    if function_of(runnable) is not None and getattr(runnable, "trace", None) is False:
        runnable = copy.copy(runnable)
        runnable.trace = True
        runnable.name = node
    return runnable


_TASKS_TAKE_CONTEXT = __import__("sys").version_info >= (3, 11)
