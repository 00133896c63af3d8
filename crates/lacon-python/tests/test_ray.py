"""Runs of a team on a real Ray of several nodes on this machine, while workers and nodes are killed."""

import json
import os
import pathlib
import random
import signal
import sys

import pytest

# A node of a busy machine may take long to start.
os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")

pytest.importorskip("ray")
import ray  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

from lacon.__main__ import binary  # noqa: E402
from lacon.ray import run_many  # noqa: E402

RUNS, KILLS, NODES = (int(os.environ.get(name, usual)) for name, usual in (("RUNS", "40"), ("KILLS", "6"), ("NODES", "2")))
pytestmark = pytest.mark.skipif(binary() is None, reason="there is no command lacon here; LACON_BINARY names one")


@pytest.fixture
def cluster():
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [made.add_node(num_cpus=2) for _ in range(2)]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "LACON_BINARY": str(binary())}
    ray.init(address=made.address, log_to_driver=False, runtime_env={"env_vars": environment})
    yield made, nodes
    ray.shutdown()
    made.shutdown()


def rows(n):
    return [{"question": f"Is {n} a number?"} for n in range(n)]


def calls(folder, name):
    """Finished calls in the journal of a run, which must not hold one twice."""
    lines = next(folder.glob(f"teams/*/runs/{name}/journal.jsonl")).read_text().splitlines()
    return [line for line in lines if json.loads(line.partition(" ")[2])["kind"] == "call"]


def workers(folder):
    """The processes that have a run of this test under way: the parents of its commands."""
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(folder).encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                yield int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue


def test_nothing_is_lost_doubled_or_overspent_while_nodes_die(cluster, tmp_path):
    made, nodes = cluster
    some, killed, ended = random.Random(5), 0, 0
    flags = ["--llm", "sim", "--seed", "3", "--time-scale", os.environ.get("SCALE", "0.02")]
    budget = 0.1 * RUNS
    done = []
    for row in run_many("debate", rows(RUNS), tmp_path, options=flags, parallel=4, budget_usd=budget, run_budget_usd=0.1):
        done.append(row)
        if killed * RUNS < KILLS * len(done) and (found := list(workers(tmp_path))):
            os.kill(some.choice(found), signal.SIGKILL)
            killed += 1
        if ended * RUNS < NODES * len(done) and ended < NODES:
            made.remove_node(nodes.pop(some.randrange(len(nodes))), allow_graceful=False)
            nodes.append(made.add_node(num_cpus=2, wait=False))
            ended += 1
    print(f"{RUNS} runs, {killed} workers and {ended} nodes killed, {sum(row['cost_usd'] for row in done):.4f} USD of {budget:.2f}")
    assert killed and ended == NODES
    assert sorted(row["index"] for row in done) == list(range(RUNS))
    assert {row["status"] for row in done} == {"done"}, [row for row in done if row["status"] != "done"][:3]
    assert sum(row["cost_usd"] for row in done) <= budget
    for row in done:
        held = calls(tmp_path, row["run"])
        assert len(held) == len(set(held)) == 5, row
    # The folder goes on where it stopped: all was done, so nothing is made.
    again = list(run_many("debate", rows(RUNS), tmp_path, options=["--llm", "openai", "--base-url", "http://127.0.0.1:9"]))
    assert sorted(map(str, again)) == sorted(map(str, done))
    with pytest.raises(Exception, match="has other inputs"):
        list(run_many("debate", [{"question": "Another?"}], tmp_path))


def test_a_budget_ends_the_list(cluster, tmp_path):
    flags = ["--llm", "sim", "--seed", "3", "--time-scale", "0"]
    done = list(run_many("debate", rows(8), tmp_path, options=flags, parallel=2, budget_usd=0.1, run_budget_usd=0.05))
    states = [row["status"] for row in done]
    assert len(done) == 8 and states.count("done") >= 2 and states.count("no_budget") >= 1
    assert sum(row.get("cost_usd", 0) for row in done) <= 0.1
    with pytest.raises(ValueError, match="needs run_budget_usd"):
        next(run_many("debate", rows(1), tmp_path, budget_usd=1))
