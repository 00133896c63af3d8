"""pandas: ``apply(frame, arrow.count, "text")``. The index stays; new columns are of Arrow's types."""

from __future__ import annotations

from typing import Any

from . import Work, need


def apply(frame: Any, work: Work, column: str = "text", **options: Any) -> Any:
    """The frame with the new columns."""
    pd = need("pandas")
    pa = need("pyarrow")

    texts = pa.array(frame[column], pa.string(), from_pandas=True)
    texts = texts if isinstance(texts, pa.ChunkedArray) else pa.chunked_array([texts])
    done = work(pa.table({column: texts}), column=column, **options)
    new = {
        name: pd.Series(pd.arrays.ArrowExtensionArray(done.column(name)), index=frame.index)
        for name in done.column_names
        if name != column or options.get("out") == column
    }
    return frame.assign(**new)
