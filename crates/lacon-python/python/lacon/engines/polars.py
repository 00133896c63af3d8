"""Polars: ``frame.with_columns(expression(arrow.count, "text").alias("tokens"))``, also of a lazy frame that streams.

A whole frame needs no adapter: ``arrow.count(frame)`` gives a frame.
"""

from __future__ import annotations

from typing import Any

from . import Work, need, on_column, type_of


def expression(work: Work, column: Any = "text", **options: Any) -> Any:
    """An expression over a column or an expression of texts."""
    pl = need("polars")
    pa = need("pyarrow")

    def apply(series: Any) -> Any:
        # Polars' own layout of strings: any other one is a copy.
        texts = series.to_arrow(compat_level=pl.CompatLevel.newest())
        return pl.Series(series.name, on_column(work, texts, {"num_threads": None, **options}))

    kind = pl.Series(pa.array([], type_of(work, options))).dtype
    expression = pl.col(column) if isinstance(column, str) else column
    return expression.map_batches(apply, return_dtype=kind, is_elementwise=True)
