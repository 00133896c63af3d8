"""The functions of ``lacon.arrow`` inside engines for tables: one file an engine, which imports it on first use.

``work`` is a function of ``lacon.arrow``, and ``options`` are its keywords: ``polars.expression(arrow.truncate, "text",
max_tokens=100)``. A work that can fail for a row gives a struct of the result and ``error`` where an engine wants one column.
A worker uses one thread, because the engine starts as many workers as it wants.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

Work = Callable[..., Any]


def need(name: str) -> Any:
    """A module of an engine, which is nobody's dependency."""
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(f"{name} cannot be imported: {error}\nhint: pip install {package}") from error


def on_column(work: Work, column: Any, options: dict[str, Any]) -> Any:
    """The result for a column of pyarrow, as a column; a struct where rows can fail."""
    pa = need("pyarrow")

    done = work(pa.record_batch([column], names=["text"]), column="text", **{"num_threads": 1, **options})
    columns = done.select([name for name in done.schema.names if name != "text"])
    return columns.column(0) if columns.num_columns == 1 else columns.to_struct_array()


def type_of(work: Work, options: dict[str, Any]) -> Any:
    """The type of pyarrow that ``on_column`` gives for a column of ``string``."""
    pa = need("pyarrow")

    return on_column(work, pa.array([], pa.string()), options).type
