"""Spark: ``map_in_arrow(frame, arrow.count, "text")``. Spark has no unsigned integers, so ids are int32 here."""

from __future__ import annotations

from typing import Any

from . import Work, need


def map_in_arrow(frame: Any, work: Work, column: str = "text", **options: Any) -> Any:
    """The frame with the new columns."""
    pa = need("pyarrow")
    types = need("pyspark.sql.pandas.types")

    options = {"num_threads": 1, **options, "column": column}

    def signed(batch: Any) -> Any:
        ids = {pa.list_(pa.uint32()): pa.list_(pa.int32()), pa.large_list(pa.uint32()): pa.large_list(pa.int32())}
        return batch.cast(pa.schema([field.with_type(ids.get(field.type, field.type)) for field in batch.schema]))

    def apply(batches: Any) -> Any:
        for batch in batches:
            yield signed(work(batch, **options))

    schema = types.to_arrow_schema(frame.schema)
    empty = pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)
    return frame.mapInArrow(apply, types.from_arrow_schema(signed(work(empty, **options)).schema))
