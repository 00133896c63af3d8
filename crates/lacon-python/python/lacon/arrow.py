"""Columns of texts: an Arrow record batch in, one out, with as many rows and one more column.

``source`` is a record batch, table or reader of pyarrow, a frame of Polars or pandas, or anything else with the Arrow PyCapsule
interface; what comes back is of the same kind. The column holds string, large_string, string_view or a dictionary of them. Strings
are not copied, and other threads run meanwhile. A null stays null. Where a row can fail, it is null in the new column, and the
column ``errors`` says why; with ``errors=None`` the first failure is raised. ``out`` names the new column; the name of the texts
replaces them. In a worker of an engine, pass ``num_threads=1``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from ._native import ArrowWork
from ._types import Policy, Side

__all__ = ["chunk", "compress", "count", "count_messages", "encode", "expand", "trim", "truncate"]

_S = TypeVar("_S")


def count(
    source: _S, column: str = "text", out: str = "tokens", *, encoding: str | None = None, model: str | None = None,
    num_threads: int | None = None,
) -> _S:
    """Tokens of each text, as int64."""
    return _apply(ArrowWork.count(encoding, model), source, column, out, None, num_threads)


def count_messages(
    source: _S, column: str = "messages", out: str = "tokens", *, errors: str | None = "error", model: str = "gpt-4o",
    num_threads: int | None = None,
) -> _S:
    """Prompt tokens of messages, each text a JSON array of them, as int64."""
    return _apply(ArrowWork.count_messages(model), source, column, out, errors, num_threads)


def encode(
    source: _S, column: str = "text", out: str = "ids", *, encoding: str | None = None, model: str | None = None,
    num_threads: int | None = None,
) -> _S:
    """Token ids of each text, as a list of uint32."""
    return _apply(ArrowWork.encode(encoding, model), source, column, out, None, num_threads)


def truncate(
    source: _S, max_tokens: int, column: str = "text", out: str = "truncated", *, side: Side = "back",
    encoding: str | None = None, model: str | None = None, num_threads: int | None = None,
) -> _S:
    """Each text cut to at most ``max_tokens``."""
    return _apply(ArrowWork.truncate(max_tokens, side, encoding, model), source, column, out, None, num_threads)


def chunk(
    source: _S, max_tokens: int, column: str = "text", out: str = "chunks", *, encoding: str | None = None,
    model: str | None = None, num_threads: int | None = None,
) -> _S:
    """Each text in consecutive parts of at most ``max_tokens``, as a list of strings; an empty text has none."""
    return _apply(ArrowWork.chunk(max_tokens, encoding, model), source, column, out, None, num_threads)


def compress(
    source: _S, column: str = "text", out: str = "compressed", *, errors: str | None = "error", policy: Policy = "lossless",
    budget: int | None = None, query: str = "", ratio: float | None = None, disable: Sequence[str] = (),
    enable: Sequence[str] = (), encoding: str | None = None, model: str | None = None, num_threads: int | None = None,
) -> _S:
    """The shorter form of each text, without a store; options as in ``lacon.compress``."""
    work = ArrowWork.compress(policy, budget, query, ratio, list(disable), list(enable), encoding, model)
    return _apply(work, source, column, out, errors, num_threads)


def expand(
    source: _S, column: str = "compressed", out: str = "expanded", *, errors: str | None = "error",
    num_threads: int | None = None,
) -> _S:
    """What each text was compressed from."""
    return _apply(ArrowWork.expand(), source, column, out, errors, num_threads)


def trim(
    source: _S, max_tokens: int, column: str = "text", out: str = "trimmed", *, errors: str | None = "error",
    messages: bool = False, encoding: str | None = None, model: str | None = None, num_threads: int | None = None,
) -> _S:
    """Each text fitted into ``max_tokens``, or with ``messages=True`` each JSON array of messages."""
    return _apply(ArrowWork.trim(max_tokens, messages, encoding, model), source, column, out, errors, num_threads)


def _apply(
    work: ArrowWork, source: _S, column: str, out: str, errors: str | None, num_threads: int | None
) -> _S:
    """Does the work, and gives the result the type of the source."""
    library, name = type(source).__module__.partition(".")[0], type(source).__name__
    done = work.apply(source, column, out, errors, num_threads, name == "RecordBatchReader")
    module: Any = sys.modules.get(library)
    if library == "pyarrow" and name in ("RecordBatch", "StructArray"):
        done = module.record_batch(done)
    elif library == "pyarrow":
        done = module.table(done) if name == "Table" else module.RecordBatchReader.from_stream(done)
    elif library == "polars":
        done = module.DataFrame(done)
    elif library == "pandas":
        done = module.DataFrame.from_arrow(done)
    return cast("_S", done)
