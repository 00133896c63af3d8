"""LangGraph's own loops, with nodes of later steps started as soon as what they observe is final."""

from __future__ import annotations

import asyncio
import binascii
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from contextvars import ContextVar, copy_context
from dataclasses import replace
from functools import partial
from types import FunctionType
from typing import Any

from langchain_core.tracers._streaming import _StreamingCallbackHandler
from langgraph._internal._constants import CONF, CONFIG_KEY_CALL, CONFIG_KEY_RESUMING, CONFIG_KEY_RUNTIME, CONFIG_KEY_SEND, INTERRUPT, PULL
from langgraph.channels import EphemeralValue
from langgraph.checkpoint.base.id import uuid6
from langgraph.pregel import _loop
from langgraph.pregel._algo import prepare_single_task, task_path_str
from langgraph.pregel._checkpoint import create_checkpoint
from langgraph.runtime import Runtime

from ._ahead import Ahead, Level, Work, output
from ._plan import names_of

#: Streams whose chunks nodes make while they run.
_MADE_BY_NODES = frozenset(["messages", "custom", "tools"])
#: Seconds: a step that ends within this is left to LangGraph, whose work per node is of that size.
_QUIET = 0.004
_ON: Any = EphemeralValue(Any, guard=False)
_ON.value = None
_IDS: ContextVar[dict[int, str]] = ContextVar("lacon_checkpoint_ids")


class _Later(BaseException):
    """A node that was started early needs what only the loop can give."""


def with_global(function: Any, name: str, value: Any) -> Any:
    """LangGraph's function, with another value for one of the names that it uses."""
    changed = FunctionType(
        function.__code__, {**function.__globals__, name: value}, function.__name__, function.__defaults__, function.__closure__
    )
    changed.__kwdefaults__ = function.__kwdefaults__
    return changed


class _Claim:
    """Stands for a node that was started early: waits for it, once. Later attempts run it."""

    def __init__(self, proc: Any, work: Work) -> None:
        self.proc = proc
        self.work: Work | None = work

    def invoke(self, value: Any, config: Any) -> Any:
        work, self.work = self.work, None
        if work is None:
            return self.proc.invoke(value, config)
        try:
            work.future.result()
        except CancelledError:
            return self.proc.invoke(value, config)
        return self.proc.invoke(value, config) if isinstance(work.error, _Later) else _given(work, config)

    async def ainvoke(self, value: Any, config: Any) -> Any:
        work, self.work = self.work, None
        if work is None:
            return await self.proc.ainvoke(value, config)
        await work.future
        return await self.proc.ainvoke(value, config) if isinstance(work.error, _Later) else _given(work, config)

    async def astream(self, value: Any, config: Any) -> AsyncIterator[Any]:
        if self.work is None:
            async for chunk in self.proc.astream(value, config):
                yield chunk
        else:
            yield await self.ainvoke(value, config)


def _given(work: Work, config: Any) -> Any:
    """Gives the loop what a node wrote, or its error."""
    config[CONF][CONFIG_KEY_SEND](list(work.task.writes))
    if work.error is not None:
        raise work.error
    return None


class _Loop:
    """What both loops add to LangGraph's."""

    _ahead: Ahead | None = None
    _on: bool | None = None
    _over = False
    _timer: Any = None
    _since = 0.0

    def __init__(self, early: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._early = early
        self._lock = threading.RLock()
        self._ids: dict[int, str] = {}
        self._works: dict[str, Work] = {}

    # What LangGraph calls.

    def tick(self: Any) -> bool:
        with self._lock:
            more: bool = super().tick()  # type: ignore[misc]
            if more:
                self._arrive()
            return more

    def after_tick(self: Any) -> None:
        with self._lock:
            super().after_tick()  # type: ignore[misc]

    def put_writes(self: Any, task_id: str, writes: Any, **options: Any) -> None:
        super().put_writes(task_id, writes, **options)  # type: ignore[misc]
        if self._ahead is None or (work := self._works.get(task_id)) is None:
            return
        with self._lock:
            work.writes = output(writes)
            if work.writes is not None:
                self._soon(work)
            elif not any(channel == INTERRUPT for channel, _ in writes):
                self._over = True

    def _put_checkpoint(self: Any, metadata: Any) -> None:
        token = _IDS.set(self._ids)
        try:
            _put_planned(self, metadata)
        finally:
            _IDS.reset(token)

    # Nodes of later steps.

    def _starts_early(self: Any) -> bool:
        """Whether this run may start nodes early at all."""
        if self._early.streams:
            return True
        modes = self.stream.modes if self.stream is not None else ()
        manager = self.manager
        handlers = (*manager.handlers, *manager.inheritable_handlers) if manager is not None else ()
        return _MADE_BY_NODES.isdisjoint(modes) and not any(isinstance(one, _StreamingCallbackHandler) for one in handlers)

    def _arrive(self: Any) -> None:
        if self._on is None:
            self._on = self.cache_policy is None and self._starts_early()
            if self._on:
                known = self._early.plan
                before, after = (names_of(wanted, known.nodes) for wanted in (self.interrupt_before, self.interrupt_after))
                self._ahead = Ahead(known, self.channels, self._start, self.stop, before, after)
        ahead = self._ahead
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._works = {}
        for task in list(self.tasks.values()):
            self._works[task.id] = self._claim(task)
        if ahead is None:
            return
        for work in ahead.arrive(self.step, list(self._works.values())):
            # The loop has come past it: the run went another way.
            work.future.cancel()
            self._early.count("dropped")
        if len(self._works) > 1:
            self._since = time.monotonic()
            self._context = copy_context()
            for work in self._works.values():
                if work.writes is not None:
                    self._soon(work)

    def _claim(self: Any, task: Any) -> Work:
        """The work that a task of this step stands for, if it was started early with the same task and the same values."""
        node = self._early.plan.nodes.get(task.name, self._early.plan.unknown)
        if task.path[0] != PULL:
            return Work(task.name, self.step, task_path_str(task.path[:3]), node, output(task.writes) if task.writes else None)
        if node.declared and node.reads is not None and isinstance(task.input, dict):
            self.tasks[task.id] = task = replace(task, input={key: task.input[key] for key in node.reads if key in task.input})
        work: Work | None = self._ahead.claim(self.step, task.name) if self._ahead is not None else None
        if work is None:
            return Work(task.name, self.step, task_path_str(task.path[:3]), node, output(task.writes) if task.writes else None)
        same = work.task.id == task.id and not task.writes and all(_same(seen, self.channels[key]) for key, seen in work.seen.items())
        self._early.count("used" if same else "dropped")
        if same:
            self.tasks[task.id] = replace(task, proc=_Claim(task.proc, work))
        else:
            work.future.cancel()
            work = Work(task.name, self.step, work.rank, node, output(task.writes) if task.writes else None)
        return work

    def _start(self: Any, work: Work, level: Level) -> None:
        """Starts a node of a later step, as LangGraph will."""
        process = self.nodes[work.name]
        known = self._early.plan
        channels = {key: level.over.get(key) or self.channels[key] for key in (*known.keys, *known.unstable)}
        work.seen = {key: channels[key].copy() for key in work.node.needs}
        channels.update(dict.fromkeys(process.triggers, _ON))
        for step in range(self.step, work.step):
            self._ids.setdefault(step, str(uuid6(clock_seq=step)))
        id = self._ids[work.step - 1]
        config = {**self.config, CONF: {key: value for key, value in self.config[CONF].items() if key != CONFIG_KEY_RESUMING}}
        task: Any = prepare_single_task(
            (PULL, work.name),
            None,
            checkpoint={"v": self.checkpoint["v"], "id": id, "channel_versions": {}, "versions_seen": {}, "channel_values": {}},  # type: ignore[typeddict-item]
            checkpoint_id_bytes=binascii.unhexlify(id.replace("-", "")),
            checkpoint_null_version=0,
            pending_writes=[],
            processes=self.nodes,
            channels=channels,
            managed=self.managed,
            config=config,  # type: ignore[arg-type]
            step=work.step,
            stop=self.stop,
            for_execution=True,
            store=self.store,
            checkpointer=self.checkpointer,
            manager=self.manager,
            retry_policy=self.retry_policy,
        )
        work.task = task
        conf = dict(task.config[CONF])
        conf[CONFIG_KEY_CALL] = _later
        if isinstance(runtime := conf.get(CONFIG_KEY_RUNTIME), Runtime):
            conf[CONFIG_KEY_RUNTIME] = runtime.patch_execution_info(node_first_attempt_time=time.time(), node_attempt=1)
        reads = work.node.reads
        value = task.input if reads is None else {key: task.input[key] for key in reads if key in task.input}
        self._early.count("started")
        work.future = self._context.copy().run(
            partial(self.submit, self._run, work, value, {**task.config, CONF: conf}, __cancel_on_exit__=True, __reraise_on_exit__=False)
        )

    def _landed(self: Any, work: Work) -> None:
        """A node that was started early has ended."""
        if work.error is None:
            with self._lock:
                work.writes = list(work.task.writes) or [("__no_writes__", None)]
                self._soon(work)

    def _soon(self: Any, work: Work) -> None:
        """Looks ahead after a node has ended, once the step is old enough that this pays."""
        if self._over or not self._ahead.concerns(work):
            return
        wait = self._since + _QUIET - time.monotonic()
        if self._timer is None:
            self._timer = self._call_later(max(wait, 0.0))

    def _end(self: Any) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self: Any) -> None:
        with self._lock:
            self._timer = None
            if not self._over:
                try:
                    self._ahead.advance()
                except Exception:
                    # A channel or a reducer of somebody's own raises: LangGraph will, where it comes to that.
                    self._over = True


def _later(*arguments: Any, **options: Any) -> Any:
    raise _Later


def _same(seen: Any, channel: Any) -> bool:
    """Whether a channel holds what a node saw."""
    if not seen.is_available() or not channel.is_available():
        return bool(seen.is_available() == channel.is_available())
    a, b = seen.get(), channel.get()
    try:
        return a is b or bool(a == b)
    except Exception:
        return False


def _create_planned(checkpoint: Any, channels: Any, step: int, *, id: str | None = None, **options: Any) -> Any:
    made = create_checkpoint(checkpoint, channels, step, id=id or _IDS.get().pop(step, None), **options)
    if channels is not None:
        # A join's names are saved in the background; a step that ends at once would change them before.
        values = made["channel_values"]
        made["channel_values"] = {key: set(value) if type(value) is set else value for key, value in values.items()}
    return made


_put_planned = with_global(_loop.PregelLoop._put_checkpoint, "create_checkpoint", _create_planned)


class SyncLoop(_Loop, _loop.SyncPregelLoop):
    def _run(self, work: Work, value: Any, config: Any) -> None:
        try:
            work.task.proc.invoke(value, config)
        except BaseException as error:
            work.error = error
        self._landed(work)

    def _call_later(self, wait: float) -> Any:
        if not wait:
            return self._look()
        timer = threading.Timer(wait, self._look)
        timer.daemon = True
        timer.start()
        return timer

    def __exit__(self, *error: Any) -> Any:
        self._end()
        try:
            return super().__exit__(*error)
        finally:
            self._ahead = None


class AsyncLoop(_Loop, _loop.AsyncPregelLoop):
    async def _run(self, work: Work, value: Any, config: Any) -> None:
        try:
            await work.task.proc.ainvoke(value, config)
        except asyncio.CancelledError as error:
            if sys.version_info < (3, 11) or asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise
            work.error = error
        except BaseException as error:
            work.error = error
        self._landed(work)

    def _call_later(self, wait: float) -> Any:
        return asyncio.get_running_loop().call_later(wait, self._look)

    async def __aexit__(self, *error: Any) -> Any:
        self._end()
        try:
            return await super().__aexit__(*error)
        finally:
            self._ahead = None
