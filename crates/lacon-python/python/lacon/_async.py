"""The same functions as awaitables that work off the event loop.

Each runs in a thread of the loop's default executor and holds the interpreter's lock only to convert its arguments and result.
Cancelling the task stops a count within the time that 64 KiB of text take; any other work goes on to its end in its thread, and
its result is dropped. Short texts are done at once: handing them over would take longer.
"""

from __future__ import annotations

from . import _native

# Importing typing takes longer than all of this package; type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar

    from ._native import Compressed, RequestCount, Trimmed
    from ._types import Json, Source

    _T = TypeVar("_T")

#: What is done at once: a hand-over takes 60 to 100 us; counting so much takes 20, and encoding ten times that. One batch for all counts
#: that are gathered was tried: 0.9 to 1.3 times the time of a thread each.
_INLINE_COUNT, _INLINE_ENCODE = 32 << 10, 8 << 10


async def _in_thread(work: Callable[..., _T], *args: Any, **options: Any) -> _T:
    # Importing asyncio takes three times as long as all of this package; who awaits has it already.
    from asyncio import to_thread

    return await to_thread(work, *args, **options)


async def count_async(text: str, *, encoding: str | None = None, model: str | None = None) -> int:
    """``count`` off the event loop; cancelling the task stops it."""
    if not isinstance(text, str) or len(text) <= _INLINE_COUNT:
        return _native.count(text, encoding=encoding, model=model)
    cancel = _native.Cancel()
    try:
        counted = await _in_thread(
            _native.count_cancellable, text, cancel, encoding=encoding, model=model
        )
    finally:
        cancel.cancel()
    assert counted is not None, "nobody but this function cancels"
    return counted


async def encode_async(text: str, *, encoding: str | None = None, model: str | None = None) -> list[int]:
    """``encode`` off the event loop."""
    if not isinstance(text, str) or len(text) <= _INLINE_ENCODE:
        return _native.encode(text, encoding=encoding, model=model)
    return await _in_thread(_native.encode, text, encoding=encoding, model=model)


async def count_batch_async(texts: Iterable[str], **options: Any) -> list[int]:
    """``count_batch`` off the event loop."""
    return await _in_thread(_native.count_batch, texts, **options)


async def count_messages_async(
    messages: Iterable[Json], model: str = "gpt-4o", **options: Any
) -> RequestCount:
    """``count_messages`` off the event loop."""
    return await _in_thread(_native.count_messages, messages, model, **options)


async def compress_async(source: Source, **options: Any) -> Compressed:
    """``compress`` off the event loop."""
    return await _in_thread(_native.compress, source, **options)


async def compress_batch_async(sources: Iterable[Source], **options: Any) -> list[Compressed | Exception]:
    """``compress_batch`` off the event loop."""
    return await _in_thread(_native.compress_batch, sources, **options)


async def expand_async(source: Source, **options: Any) -> Any:
    """``expand`` off the event loop."""
    return await _in_thread(_native.expand, source, **options)


async def trim_async(source: Source, max_tokens: int, **options: Any) -> Trimmed:
    """``trim`` off the event loop."""
    return await _in_thread(_native.trim, source, max_tokens, **options)
