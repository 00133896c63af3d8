"""Thousands of runs of a team on Ray: each is one task that runs the command ``lacon run``, and a dead worker's runs go on elsewhere.

What a run finished stands in its journal, in a folder or a database that every node sees. A task that Ray starts again resumes from
there, so no finished call is made or billed twice. A second ``run_many`` with the same place goes on where a first one stopped.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .engines import need
from .step import done, run_once

__all__ = ["run_many"]


def run_many(
    team: str, inputs: Iterable[Mapping[str, Any]], folder: str | os.PathLike[str] | None = None, *, options: Sequence[str] = (),
    parallel: int = 8, budget_usd: float | None = None, run_budget_usd: float | None = None, num_cpus: float = 1,
    journal: str | None = None, name: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Runs a team once for each of ``inputs`` and yields a dict for each run as it ends, in any order.

    Runs are kept in a ``folder`` that every node sees, or in a ``journal`` (``postgres://…``, ``s3://…``) under the ``name`` of this list.

    ``options`` are flags of ``lacon run``, such as ``["--base-url", proxy]``. At most ``parallel`` runs are under way, and a slow
    reader holds new ones back. With ``budget_usd`` each run reserves ``run_budget_usd`` before it starts and gives back what it
    did not spend, so all runs together stay within it; those that no longer fit are yielded as ``"no_budget"``.
    """
    if budget_usd is not None and run_budget_usd is None:
        raise ValueError("budget_usd needs run_budget_usd\nhint: what one run may cost; lacon plan TEAM says what it is expected to")
    if parallel < 1:
        raise ValueError(f"parallel is {parallel}, at least 1 is needed")
    if (folder is None) == (journal is None) or (journal is None) != (name is None):
        raise ValueError("runs are kept in a folder, or in a journal under a name\nhint: run_many(…, folder), or run_many(…, journal=URL, name=NAME)")
    ray = need("ray")
    place = None if folder is None else Path(folder).absolute()
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    flags = [*options, *(["--budget-usd", str(run_budget_usd)] if run_budget_usd is not None else [])]
    # A worker that dies is no fault of the run; an exception of the task is.
    task = ray.remote(num_cpus=num_cpus, max_retries=-1)(run_once)
    running: dict[Any, int] = {}
    waiting, spent = enumerate(inputs), 0.0
    reserve, ended = run_budget_usd or 0.0, False
    while not ended or running:
        while not ended and len(running) < parallel:
            # What costs nothing more is no reason to stop: a run of an earlier call is only read.
            if budget_usd is not None and spent + reserve * (len(running) + 1) > budget_usd + 1e-9:
                if running:
                    break
                for index, given in waiting:
                    row = None if place is None else done(team, place, _name(index), given)
                    yield {"index": index, **(row or {"run": _name(index, name), "status": "no_budget"})}
                ended = True
                break
            found = next(waiting, None)
            if found is None:
                ended = True
                break
            running[task.remote(team, dict(found[1]), _name(found[0], name), place, journal=journal, options=flags)] = found[0]
        if running:
            ready, _ = ray.wait(list(running), num_returns=1)
            row = {"index": running.pop(ready[0]), **ray.get(ready[0])}
            # A run whose cost is not known may have cost all that it was allowed.
            spent += reserve if row.get("cost_usd") is None else row["cost_usd"]
            yield row


def _name(index: int, under: str | None = None) -> str:
    return f"{index:07d}" if under is None else f"{under}-{index:07d}"
