"""A run of a team as a step: of DBOS for real, with a process that dies in the middle, and of Temporal without its server."""

import asyncio
import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from lacon.__main__ import binary
from lacon.step import run_once

EXAMPLES = pathlib.Path(__file__).parents[3] / "examples" / "python"
pytestmark = pytest.mark.skipif(binary() is None, reason="there is no command lacon here; LACON_BINARY names one")


def calls(folder):
    """Finished calls in the journals below a folder."""
    lines = [line for path in folder.glob("teams/*/runs/*/journal.jsonl") for line in path.read_text().splitlines()]
    return [line for line in lines if json.loads(line.partition(" ")[2])["kind"] == "call"]


def test_a_run_begins_goes_on_or_is_read(tmp_path):
    options = ["--llm", "sim", "--seed", "3", "--time-scale", "0"]
    row = run_once("debate", {"question": "Is it?"}, "one", tmp_path, options=options)
    assert row["status"] == "done" and row["run"] == "one" and len(calls(tmp_path)) == 5
    again = run_once("debate", {"question": "Is it?"}, "one", tmp_path, options=["--llm", "openai", "--base-url", "http://127.0.0.1:9"])
    assert again == row
    with pytest.raises(ValueError, match="has other inputs"):
        run_once("debate", {"question": "Another?"}, "one", tmp_path)
    assert run_once("no such team", {}, "two", tmp_path)["status"] == "failed"
    with pytest.raises(ValueError, match="in a folder or in a journal"):
        run_once("debate", {}, "three")


def test_a_run_that_was_told_to_stop_is_gone_on_with(tmp_path):
    """As where an engine ends a node: it tells the command to stop, which leaves a record."""
    words = [str(binary()), "run", "debate", "--out", str(tmp_path), "--run-id", "one", "--input", "question=Is it?", "--llm", "sim", "--seed", "3", "--time-scale", "0.1"]
    first = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not calls(tmp_path) and first.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 130 and json.loads(next(tmp_path.rglob("run.json")).read_text())["status"] == "interrupted"
    row = run_once("debate", {"question": "Is it?"}, "one", tmp_path, options=["--llm", "sim", "--seed", "3", "--time-scale", "0"])
    assert row["status"] == "done" and len(set(calls(tmp_path))) == len(calls(tmp_path)) == 5


WORKER = """
import sys
sys.path.insert(0, {examples!r})
import steps_dbos
from dbos import DBOS, SetWorkflowID
steps_dbos.options = ["--llm", "sim", "--seed", "3", "--time-scale", sys.argv[1]]
DBOS(config=steps_dbos.config)
DBOS.launch()
with SetWorkflowID("the-one"):
    handle = DBOS.start_workflow(steps_dbos.answer, "Is it?")
print(handle.get_result(), flush=True)
DBOS.destroy()
"""


def test_a_workflow_of_dbos_outlives_its_process(tmp_path):
    if importlib.util.find_spec("dbos") is None:
        pytest.skip("dbos is not installed")
    if not EXAMPLES.exists():
        pytest.skip("the examples are not beside the package")
    env = {**os.environ, "LACON_EXAMPLE_FOLDER": str(tmp_path), "DBOS__APPVERSION": "1"}
    words = [sys.executable, "-c", WORKER.format(examples=str(EXAMPLES))]
    dies = subprocess.Popen([*words, "0.1"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while len(calls(tmp_path)) < 2 and dies.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    dies.send_signal(signal.SIGKILL)
    said = dies.communicate()
    before = len(calls(tmp_path))
    assert 2 <= before < 5, said
    done = subprocess.run([*words, "0"], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "done with" in done.stdout, done.stderr
    made = calls(tmp_path)
    assert len(made) == len(set(made)) == 5 and len(list(tmp_path.glob("teams/*/runs/*"))) == 1


def test_an_activity_of_temporal(tmp_path, monkeypatch):
    """The activity in Temporal's own test environment. Its server is in no registry, so the workflow is checked by types alone."""
    testing = pytest.importorskip("temporalio.testing")
    if not EXAMPLES.exists():
        pytest.skip("the examples are not beside the package")
    monkeypatch.setenv("LACON_EXAMPLE_FOLDER", str(tmp_path))
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import steps_temporal

    row = testing.ActivityEnvironment().run(steps_temporal.team_run, "Is it?", "worth-it")
    assert row["status"] == "done" and len(calls(tmp_path)) == 5
    # A second attempt, as after a worker died.
    assert testing.ActivityEnvironment().run(steps_temporal.team_run, "Is it?", "worth-it") == row
    with pytest.raises(KeyError, match="TEMPORAL_ADDRESS"):
        asyncio.run(steps_temporal.main())
