"""One ledger of the process: what was done, how long it took, what it saved. Read by `report` and `save_trace`."""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    _F = TypeVar("_F", bound=Callable[..., Any])

#: Spans that are kept one by one; the oldest go first.
LIMIT = 100_000

_now = time.perf_counter
_ids = itertools.count(1)
_BEGAN, _BEGAN_UNIX = _now(), time.time()
# A span: id, id of the one around it, operation, start, end, kind of error, attributes.
_spans: deque[tuple[int, int, str, float, float, str | None, dict[str, Any] | None]] = deque(maxlen=LIMIT)
# The open span: id, start, and the span around it.
_open: ContextVar[tuple[int, float, Any] | None] = ContextVar("lacon_span", default=None)


class performance_monitor:
    """Times an operation into the ledger: a decorator of sync and async functions and generators, and a context manager.

    ``@performance_monitor("operation")`` or ``with performance_monitor("operation"):``. Keywords are attributes of its spans.
    """

    __slots__ = ("_attributes", "_name")

    def __init__(self, operation: str, **attributes: Any) -> None:
        if not isinstance(operation, str) or not operation:
            raise TypeError(
                f"operation is {operation!r}, a name is needed\nhint: @performance_monitor(\"operation\"), with its parentheses"
            )
        self._name = operation
        self._attributes = attributes or None

    def __enter__(self) -> performance_monitor:
        outer = _open.get()
        _open.set((next(_ids), _now(), outer))
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        end = _now()
        span = _open.get()
        assert span is not None, "entered before it is left"
        outer = span[2]
        _open.set(outer)
        what = None if kind is None else kind.__name__
        _spans.append((span[0], 0 if outer is None else outer[0], self._name, span[1], end, what, self._attributes))

    async def __aenter__(self) -> performance_monitor:
        return self.__enter__()

    async def __aexit__(self, *error: Any) -> None:
        self.__exit__(*error)

    def __call__(self, function: _F) -> _F:
        if not callable(function):
            raise TypeError(f"a value of type {type(function).__name__} is decorated, a function is needed")
        # Importing these takes longer than all of this package.
        import functools
        import inspect

        # Written out twice rather than called: a call of Python costs as much as all of this.
        name, attributes = self._name, self._attributes
        now, number, inside, enter, note = _now, _ids.__next__, _open.get, _open.set, _spans.append
        wrapper: Any
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaits(*arguments: Any, **options: Any) -> Any:
                outer, mine, failed = inside(), number(), None
                start = now()
                enter((mine, start, outer))
                try:
                    return await function(*arguments, **options)
                except BaseException as error:
                    failed = type(error).__name__
                    raise
                finally:
                    note((mine, outer[0] if outer else 0, name, start, now(), failed, attributes))
                    enter(outer)

            wrapper = awaits
        elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            # Its body runs between other code, so what is open there is not inside of it.
            wrapper = _generator(function, self, inspect.isasyncgenfunction(function))
        else:

            @functools.wraps(function)
            def calls(*arguments: Any, **options: Any) -> Any:
                outer, mine, failed = inside(), number(), None
                start = now()
                enter((mine, start, outer))
                try:
                    return function(*arguments, **options)
                except BaseException as error:
                    failed = type(error).__name__
                    raise
                finally:
                    note((mine, outer[0] if outer else 0, name, start, now(), failed, attributes))
                    enter(outer)

            wrapper = calls

        wrapper.__lacon_transparent__ = True
        return wrapper  # type: ignore[no-any-return]


def _generator(function: Any, monitor: performance_monitor, is_async: bool) -> Any:
    import functools

    def note(start: float, outer: int, error: BaseException | None) -> None:
        what = None if error is None or isinstance(error, GeneratorExit) else type(error).__name__
        _spans.append((next(_ids), outer, monitor._name, start, _now(), what, monitor._attributes))

    def around() -> int:
        outer = _open.get()
        return 0 if outer is None else outer[0]

    if is_async:

        @functools.wraps(function)
        async def awrapper(*arguments: Any, **options: Any) -> Any:
            start, outer, failed = _now(), around(), None
            try:
                async for item in function(*arguments, **options):
                    yield item
            except BaseException as error:
                failed = error
                raise
            finally:
                note(start, outer, failed)

        return awrapper

    @functools.wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        start, outer, failed = _now(), around(), None
        try:
            return (yield from function(*arguments, **options))
        except BaseException as error:
            failed = error
            raise
        finally:
            note(start, outer, failed)

    return wrapper


def add(operation: str, start: float, error: str | None = None, /, **attributes: Any) -> None:
    """A span that ended now, inside the one that is open."""
    outer = _open.get()
    _spans.append((next(_ids), 0 if outer is None else outer[0], operation, start, _now(), error, attributes))


class Report:
    """The ledger by operation. ``str()`` is a table; ``rows`` are dicts."""

    def __init__(self, rows: list[dict[str, Any]], dropped: bool) -> None:
        self.rows = rows
        #: Whether spans older than the last 100,000 are not in it.
        self.dropped = dropped

    def __getitem__(self, operation: str) -> dict[str, Any]:
        for row in self.rows:
            if row["operation"] == operation:
                return row
        raise KeyError(operation)

    def to_dict(self) -> dict[str, Any]:
        """The rows as data."""
        return {"operations": self.rows, "dropped": self.dropped}

    def __str__(self) -> str:
        if not self.rows:
            return "the ledger is empty"
        lines = [f"{'operation':32} {'calls':>7} {'errors':>6} {'total s':>9} {'median ms':>10} {'max ms':>9}  more"]
        for row in self.rows:
            times = f"{row['total_s']:9.3f} {row['median_s'] * 1e3:10.3f} {row['max_s'] * 1e3:9.3f}"
            more = ", ".join(f"{key} {value:g}" for key, value in row["sums"].items())
            lines.append(f"{row['operation'][:32]:32} {row['calls']:7} {row['errors']:6} {times}  {more}")
        if self.dropped:
            lines.append(f"only the last {LIMIT:,} spans are counted")
        return "\n".join(lines)


def report(*, clear: bool = False) -> Report:
    """What the process did so far, by operation, the longest total first. Numbers among the attributes are summed.

    ``clear`` empties the ledger.
    """
    spans = list(_spans)
    dropped = len(spans) == LIMIT
    if clear:
        _spans.clear()
    by_name: dict[str, list[Any]] = {}
    for span in spans:
        by_name.setdefault(span[2], []).append(span)
    rows = []
    for name, group in by_name.items():
        times = sorted(span[4] - span[3] for span in group)
        sums: dict[str, float] = {}
        for span in group:
            for key, value in (span[6] or {}).items():
                if isinstance(value, (int, float)):
                    sums[key] = sums.get(key, 0) + value
        rows.append(
            {
                "operation": name,
                "calls": len(group),
                "errors": sum(span[5] is not None for span in group),
                "total_s": sum(times),
                "median_s": times[len(times) // 2],
                "max_s": times[-1],
                "sums": sums,
            }
        )
    return Report(sorted(rows, key=lambda row: -row["total_s"]), dropped)


_MODEL = {"model": "gen_ai.request.model", "input_tokens": "gen_ai.usage.input_tokens", "output_tokens": "gen_ai.usage.output_tokens",
          "agent": "gen_ai.agent.name", "operation": "gen_ai.operation.name"}  # fmt: skip


def save_trace(path: str | os.PathLike[str]) -> int:
    """Writes the ledger as spans, one a line, in the form that ``lacon trace analyze`` reads. Gives their number."""
    import json

    spans = sorted(_spans, key=lambda span: span[3])
    if not spans:
        raise ValueError("the ledger is empty: there is no span to save")
    trace = f"{os.getpid():08x}{int(_BEGAN_UNIX * 1e3):024x}"
    first = min(span[3] for span in spans)
    last = max(span[4] for span in spans)
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_BEGAN_UNIX + first - _BEGAN))
    lines: list[dict[str, Any]] = [
        {
            "trace_id": trace,
            "span_id": f"{0:016x}",
            "name": "lacon",
            "start_s": 0.0,
            "end_s": last - first,
            "attributes": {"gen_ai.operation.name": "invoke_workflow", "lacon.started_at": started},
        }
    ]
    known = {span[0] for span in spans}
    for number, outer, name, start, end, error, attributes in spans:
        given = {_MODEL.get(key, f"lacon.{key}"): value for key, value in (attributes or {}).items()}
        if error is not None:
            given["error.type"] = error
        parent = outer if outer in known else 0
        line = {"trace_id": trace, "span_id": f"{number:016x}", "parent_span_id": f"{parent:016x}", "name": name}
        lines.append({**line, "start_s": start - first, "end_s": end - first, "attributes": given})
    text = "".join(json.dumps(line, ensure_ascii=False, default=str) + "\n" for line in lines)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return len(spans)
