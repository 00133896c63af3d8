"""Spark: ``map_in_arrow(frame, arrow.count, "text")``, or ``function(arrow.count)(frame["text"])`` as an ``arrow_udf`` (Spark 4.1).

Spark has no unsigned integers, so ids are int32 here.
"""

from __future__ import annotations

from typing import Any

from . import Work, need, on_column, type_of


def map_in_arrow(frame: Any, work: Work, column: str = "text", **options: Any) -> Any:
    """The frame with the new columns."""
    pa, types = need("pyarrow"), need("pyspark.sql.pandas.types")
    options = {"num_threads": 1, **options, "column": column}

    def done(batch: Any) -> Any:
        batch = work(batch, **options)
        return batch.cast(pa.schema([field.with_type(_signed(field.type)) for field in batch.schema]))

    schema = types.to_arrow_schema(frame.schema)
    empty = pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)
    return frame.mapInArrow(lambda batches: map(done, batches), types.from_arrow_schema(done(empty).schema))


def function(work: Work, **options: Any) -> Any:
    """A function of Spark over a column of texts."""
    kind = _signed(type_of(work, options))
    returns = need("pyspark.sql.pandas.types").from_arrow_type(kind)
    return need("pyspark.sql.functions").arrow_udf(lambda texts: on_column(work, texts, options).cast(kind), returns)


def _signed(kind: Any) -> Any:
    pa = need("pyarrow")
    ids = {pa.list_(pa.uint32()): pa.list_(pa.int32()), pa.large_list(pa.uint32()): pa.large_list(pa.int32())}
    return ids.get(kind, kind)
