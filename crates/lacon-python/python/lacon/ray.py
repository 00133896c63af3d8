"""Thousands of runs of a team on Ray: each is one task that runs the command ``lacon run``, and a dead worker's runs go on elsewhere.

What a run finished stands in its journal, in a folder that every node sees. A task that Ray starts again resumes from there, so no
finished call is made or billed twice. The same folder also makes a second ``run_many`` go on where a first one stopped.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .__main__ import binary
from .engines import need

__all__ = ["run_many"]

# How long a task waits for an earlier one that still holds its run: the system frees the lock when that process is gone.
_LOCKED_S = 60.0


def run_many(
    team: str, inputs: Iterable[Mapping[str, Any]], folder: str | os.PathLike[str], *, options: Sequence[str] = (),
    parallel: int = 8, budget_usd: float | None = None, run_budget_usd: float | None = None, num_cpus: float = 1,
) -> Iterator[dict[str, Any]]:
    """Runs a team once for each of ``inputs`` and yields a dict for each run as it ends, in any order.

    ``options`` are flags of ``lacon run``, such as ``["--base-url", proxy]``. At most ``parallel`` runs are under way, and a slow
    reader holds new ones back. With ``budget_usd`` each run reserves ``run_budget_usd`` before it starts and gives back what it
    did not spend, so all runs together stay within it; those that no longer fit are yielded as ``"no_budget"``.
    """
    if budget_usd is not None and run_budget_usd is None:
        raise ValueError("budget_usd needs run_budget_usd\nhint: what one run may cost; lacon plan TEAM says what it is expected to")
    if parallel < 1:
        raise ValueError(f"parallel is {parallel}, at least 1 is needed")
    ray = need("ray")
    place = Path(folder).absolute()
    place.mkdir(parents=True, exist_ok=True)
    flags = [*options, *(["--budget-usd", str(run_budget_usd)] if run_budget_usd is not None else [])]
    # A worker that dies is no fault of the run; an exception of the task is.
    task = ray.remote(num_cpus=num_cpus, max_retries=-1)(_run)
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
                    done = _done(team, place, index, given)
                    yield {"index": index, **(done or {"run": _name(index), "status": "no_budget"})}
                ended = True
                break
            found = next(waiting, None)
            if found is None:
                ended = True
                break
            running[task.remote(team, str(place), found[0], dict(found[1]), flags)] = found[0]
        if running:
            ready, _ = ray.wait(list(running), num_returns=1)
            row = {"index": running.pop(ready[0]), **ray.get(ready[0])}
            # A run whose cost is not known may have cost all that it was allowed.
            spent += reserve if row.get("cost_usd") is None else row["cost_usd"]
            yield row


def _name(index: int) -> str:
    return f"{index:07d}"


def _place(team: str, folder: Path, index: int) -> Path:
    found = list(folder.glob(f"teams/*/runs/{_name(index)}"))
    return found[0] if found else folder / "teams" / Path(team).stem / "runs" / _name(index)


def _done(team: str, folder: Path, index: int, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """The row of a run that has ended."""
    try:
        record = json.loads((_place(team, folder, index) / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    told = {name: record["inputs"].get(name) for name in given}
    if told != dict(given):
        raise ValueError(f"run {_name(index)} in {folder} has other inputs\nhint: a folder holds the runs of one list of inputs")
    return {
        "run": _name(index),
        "status": record["status"],
        "result": (record.get("result") or {}).get("text"),
        "decision": (record.get("decision") or {}).get("value"),
        "tokens": (record.get("tokens") or {}).get("total"),
        "cost_usd": None if record.get("cost_usd") is None else float(record["cost_usd"]),
        "seconds": record.get("wall_s"),
        "error": record.get("failure") and json.dumps(record["failure"]),
    }


def _run(team: str, folder: str, index: int, given: dict[str, Any], flags: list[str]) -> dict[str, Any]:
    """One run, in a worker: from its journal where there is one."""
    place = Path(folder)
    command = binary()
    if command is None:
        raise RuntimeError("no command `lacon` on this node\nhint: install the wheel that holds it, or name it by LACON_BINARY")
    began = time.monotonic()
    while True:
        done = _done(team, place, index, given)
        if done is not None:
            return done
        with tempfile.TemporaryDirectory() as scratch:
            told = Path(scratch) / "inputs.json"
            told.write_text(json.dumps(given), encoding="utf-8")
            run = ["--resume", _name(index)] if _begun(_place(team, place, index)) else ["--force", "--run-id", _name(index)]
            inputs = [] if run[0] == "--resume" else ["--input", f"@{told}"]
            words = [str(command), "run", team, "--out", folder, *run, *inputs, *flags]
            made = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=_with_parent)
        done = _done(team, place, index, given)
        if done is not None:
            return done
        why = "\n".join(line for line in made.stderr.splitlines() if line.startswith(("error", "hint")))
        if " is in use by " not in made.stderr or time.monotonic() - began > _LOCKED_S:
            return {"run": _name(index), "status": "failed", "error": why or f"lacon ended with code {made.returncode}"}
        time.sleep(0.2)


def _begun(run: Path) -> bool:
    """Whether a journal has its first line: before it, nothing was asked."""
    try:
        with (run / "journal.jsonl").open("rb") as journal:
            return journal.readline().endswith(b"\n")
    except FileNotFoundError:
        return False


def _with_parent() -> None:
    """Ends the command when its worker dies, so that nobody else writes to the run that another worker resumes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
