"""Daft: ``frame.with_column("tokens", function(arrow.count)(frame["text"]))``."""

from __future__ import annotations

from typing import Any

from . import Work, need, on_column, type_of


def function(work: Work, *, batch_size: int | None = None, **options: Any) -> Any:
    """A function of Daft over a column of texts."""
    daft = need("daft")

    kind = daft.DataType.from_arrow_type(type_of(work, options))

    def lacon(texts: Any) -> Any:
        column = texts.to_arrow()
        return on_column(work, column.combine_chunks() if hasattr(column, "chunks") else column, options)

    return daft.func.batch(return_dtype=kind, batch_size=batch_size)(lacon)
