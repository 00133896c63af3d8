"""Ray Data: ``map_batches(dataset, arrow.count, column="text")``. Teams of agents on Ray are in ``lacon.ray``."""

from __future__ import annotations

from typing import Any

from . import Work, need


def map_batches(
    dataset: Any, work: Work, column: str = "text", *, batch_size: int | None = 4096, workers: Any = None, **options: Any
) -> Any:
    """The dataset with the new columns. ``workers`` is the number of actors or (least, most); leave processors for reading."""
    data = need("ray.data")
    least, most = workers if isinstance(workers, tuple) else (workers or 1, workers)
    return dataset.map_batches(
        _Worker,
        fn_constructor_args=(work, {"num_threads": 1, "column": column, **options}),
        batch_format="pyarrow",
        batch_size=batch_size,
        zero_copy_batch=True,
        compute=data.ActorPoolStrategy(min_size=least, max_size=most),
    )


class _Worker:
    def __init__(self, work: Work, options: dict[str, Any]) -> None:
        self.work, self.options = work, options

    def __call__(self, batch: Any) -> Any:
        return self.work(batch, **self.options)
