"""One run of a team as a step of an engine that may repeat its steps: Ray tasks, Temporal activities, DBOS steps.

What a run finished stands in its journal, in a folder or a database that every worker sees. A step that is repeated goes on from
there, so no finished call is made or billed twice; where the run has ended, its result is only read.
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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .__main__ import binary

__all__ = ["run_once"]

# How long a step waits for an earlier one that still holds its folder: the system frees the lock when that process is gone.
_LOCKED_S = 60.0
# The exit code of a command that was told to stop, such as by an engine that ends a node.
_INTERRUPTED = 130


def run_once(
    team: str, inputs: Mapping[str, Any], run_id: str, folder: str | os.PathLike[str] | None = None, *,
    journal: str | None = None, options: Sequence[str] = (),
) -> dict[str, Any]:
    """Runs a team under a name, goes on with the run, or reads its result, whichever is left to do.

    Runs are kept in a ``folder`` that every worker sees, or in a ``journal`` (``postgres://…``, ``s3://…``). ``options`` are flags of
    ``lacon run``. The dict has run, status, result, decision, tokens, cost_usd, seconds and error. A run that has other inputs, or a
    missing command, raises; what goes wrong in the run is its status and error.
    """
    if (folder is None) == (journal is None):
        raise ValueError("a run is kept in a folder or in a journal\nhint: run_once(team, inputs, run_id, folder), or journal=URL")
    if folder is not None:
        return _in_folder(team, Path(folder).absolute(), run_id, inputs, options)
    return _in_journal(team, str(journal), run_id, inputs, options)


def _command() -> str:
    command = binary()
    if command is None:
        raise RuntimeError("no command `lacon` on this node\nhint: install the wheel that holds it, or name it by LACON_BINARY")
    return str(command)


def _place(team: str, folder: Path, run_id: str) -> Path:
    found = list(folder.glob(f"teams/*/runs/{run_id}"))
    return found[0] if found else folder / "teams" / Path(team).stem / "runs" / run_id


def done(team: str, folder: Path, run_id: str, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """The row of a run in a folder that has ended. One that was told to stop has a record too, and is gone on with."""
    try:
        record = json.loads((_place(team, folder, run_id) / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return None if record["status"] == "interrupted" else _row(run_id, record, inputs)


def _row(run_id: str, record: dict[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    if {name: record["inputs"].get(name) for name in inputs} != dict(inputs):
        raise ValueError(f"run {run_id} has other inputs\nhint: each run needs a name of its own, and each list of runs a folder or a name")
    return {
        "run": run_id,
        "status": record["status"],
        "result": (record.get("result") or {}).get("text"),
        "decision": (record.get("decision") or {}).get("value"),
        "tokens": (record.get("tokens") or {}).get("total"),
        "cost_usd": None if record.get("cost_usd") is None else float(record["cost_usd"]),
        "seconds": record.get("wall_s"),
        "error": record.get("failure") and json.dumps(record["failure"]),
    }


def _failed(run_id: str, made: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    why = "\n".join(line for line in made.stderr.splitlines() if line.startswith(("error", "hint")))
    return {"run": run_id, "status": "failed", "error": why or f"lacon ended with code {made.returncode}"}


def _in_journal(team: str, journal: str, run_id: str, inputs: Mapping[str, Any], options: Sequence[str]) -> dict[str, Any]:
    command = _command()
    while True:
        with tempfile.TemporaryDirectory() as scratch:
            told = Path(scratch) / "inputs.json"
            told.write_text(json.dumps(dict(inputs)), encoding="utf-8")
            words = [command, "run", team, "--out", scratch, "--run-id", run_id, "--input", f"@{told}", "--json", *options]
            # The address may hold a password, which a command line shows to everyone.
            environment = {**os.environ, "LACON_RUN_JOURNAL_AT": journal}
            made = subprocess.run(words, capture_output=True, text=True, preexec_fn=_with_parent, env=environment)
        record = json.loads(made.stdout) if made.stdout.strip() else None
        # A worker that was too late leaves the run to the one that has it.
        if record is not None and record["status"] != "interrupted" and "another worker " not in made.stderr:
            return _row(run_id, record, inputs)
        if "has other inputs" in made.stderr:
            raise ValueError(made.stderr.strip())
        # Whoever has it ends, or is silent for the time of its lease.
        if record is None and " is in use by " not in made.stderr:
            return _failed(run_id, made)
        time.sleep(0.5)


def _in_folder(team: str, folder: Path, run_id: str, inputs: Mapping[str, Any], options: Sequence[str]) -> dict[str, Any]:
    command = _command()
    began = time.monotonic()
    while True:
        row = done(team, folder, run_id, inputs)
        if row is not None:
            return row
        with tempfile.TemporaryDirectory() as scratch:
            told = Path(scratch) / "inputs.json"
            told.write_text(json.dumps(dict(inputs)), encoding="utf-8")
            run = ["--resume", run_id] if _begun(_place(team, folder, run_id)) else ["--force", "--run-id", run_id]
            given = [] if run[0] == "--resume" else ["--input", f"@{told}"]
            words = [command, "run", team, "--out", str(folder), *run, *given, *options]
            made = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=_with_parent)
        row = done(team, folder, run_id, inputs)
        if row is not None:
            return row
        waits = " is in use by " in made.stderr and time.monotonic() - began <= _LOCKED_S
        if not waits and made.returncode != _INTERRUPTED:
            return _failed(run_id, made)
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
