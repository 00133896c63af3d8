"""DataFusion: ``context.register_udf(function(arrow.count, "tokens"))``, then ``SELECT tokens(text) FROM …``."""

from __future__ import annotations

from typing import Any

from . import Work, need, on_column, type_of


def function(work: Work, name: str, **options: Any) -> Any:
    """A scalar function of SQL over a column of texts."""
    pa = need("pyarrow")

    def apply(texts: Any) -> Any:
        return on_column(work, texts, options)

    return need("datafusion").udf(apply, [pa.string()], type_of(work, options), "immutable", name)
