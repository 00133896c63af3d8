"""Journals of runs that many machines see, on a real PostgreSQL and on object stores of this machine: workers that die, sleep past
their lease or come at once, and a server that restarts."""

import collections
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest
from _stores import STORES, free_port

from lacon.__main__ import binary

LEASE_S = 3
FLAGS = ["--llm", "sim", "--seed", "3", "--input", "question=Is it?", "--json"]


class Postgres:
    """A server of its own in a folder, run by somebody who is not root, as it wants."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="lacon-pg-")
        self.who = {"user": "nobody"} if os.getuid() == 0 else {}
        if self.who:
            shutil.chown(self.folder, "nobody")
        self.port = free_port()
        self.url = f"postgres://lacon@127.0.0.1:{self.port}/postgres"
        self.do("initdb", "-D", f"{self.folder}/data", "-A", "trust", "-U", "lacon")
        self.start()

    def do(self, program, *words):
        done = subprocess.run([program, *words], capture_output=True, text=True, cwd=self.folder, timeout=120, **self.who)
        assert done.returncode == 0, done.stderr + done.stdout

    def start(self):
        told = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        self.do("pg_ctl", "-D", f"{self.folder}/data", "-o", told, "-l", f"{self.folder}/log", "-w", "start")

    def stop(self):
        self.do("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "-w", "stop")

    def ask(self, query):
        done = subprocess.run(["psql", "-At", self.url, "-c", query], capture_output=True, text=True)
        # Before the first claim there are no tables.
        assert done.returncode == 0 or "does not exist" in done.stderr, done.stderr
        return done.stdout.splitlines()

    def lines(self, run):
        return "\n".join(self.ask(f"select entry from lacon_journal where run = 'debate/{run}' and kind = 'lines' order by n")).splitlines()

    def kinds(self, run):
        return self.ask(f"select kind from lacon_journal where run = 'debate/{run}' order by n")


class Store:
    """A journal in a store."""

    def __init__(self, kind):
        self.at = kind("runs")
        self.told = self.at.told(self.at.address)
        os.environ |= self.told
        self.url = f"{kind.scheme}://runs/journal"

    def entries(self, run):
        return [json.loads(self.at.get(key)) for key in sorted(self.at.keys(f"journal/debate/{run}/0"))]

    def lines(self, run):
        return "".join(entry["text"] for entry in self.entries(run) if entry["kind"] == "lines").splitlines()

    def kinds(self, run):
        return [entry["kind"] for entry in self.entries(run)]


@pytest.fixture(scope="module", params=["postgres", *STORES])
def place(request):
    if binary() is None:
        pytest.skip("there is no command lacon here; LACON_BINARY names one")
    url = "postgres://127.0.0.1:9/none" if request.param == "postgres" else f"{request.param}://none/none?"
    said = subprocess.run([str(binary()), "run", "debate", "--journal", url, "--run-id", "1"], capture_output=True, text=True).stderr
    if "this build of lacon" in said:
        pytest.skip(f"the command lacon was built without what {url} needs")
    if request.param == "postgres":
        if shutil.which("initdb") is None:
            pytest.skip("there is no PostgreSQL here")
        made = Postgres()
        yield made
        made.stop()
        shutil.rmtree(made.folder, ignore_errors=True)
    else:
        before = dict(os.environ)
        made = Store(STORES[request.param])
        yield made
        made.at.stop()
        os.environ.clear()
        os.environ.update(before)


def started(place, run, out, scale="0.02", more=(), lease_s=LEASE_S):
    words = [str(binary()), "run", "debate", "--out", str(out), "--journal", place.url, "--run-id", run, "--time-scale", scale, *FLAGS, *more]
    told = {**os.environ, "LACON_RUN_JOURNAL_LEASE_S": str(lease_s)}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=told)


def ended(running):
    out, said = running.communicate(timeout=120)
    return running.returncode, json.loads(out) if out.strip() else None, said


def calls(place, run):
    """Finished calls in the journal of a run, which must not hold one twice."""
    held = [json.loads(line.partition(" ")[2]) for line in place.lines(run) if line]
    return collections.Counter(line["key"] for line in held if line["kind"] == "call")


def wait_for_calls(place, run, running, n=1):
    until = time.monotonic() + 60
    while sum(calls(place, run).values()) < n and running.poll() is None and time.monotonic() < until:
        time.sleep(0.05)


def test_a_run_begins_once_and_its_result_is_told_everywhere(place, tmp_path):
    many = [started(place, "once", tmp_path / str(n)) for n in range(6)]
    told = [ended(running) for running in many]
    done = [record for code, record, _ in told if code == 0]
    # Each was told the result, or that another worker has the run.
    assert done and all(record == done[0] for record in done)
    assert all(" is in use by process " in said for code, _, said in told if code != 0), told
    assert place.kinds("once").count("claim") == 1 and place.kinds("once")[-1] == "record"
    assert set(calls(place, "once").values()) == {1} and len(calls(place, "once")) == 5
    code, record, said = ended(started(place, "once", tmp_path / "later"))
    assert code == 0 and record == done[0] and "has ended" in said
    code, _, said = ended(started(place, "once", tmp_path / "other", more=["--input", "question=Another?"]))
    assert code == 0, "a run that has ended is told, whatever is given"


def test_a_worker_that_died_is_followed_after_its_lease(place, tmp_path):
    first = started(place, "died", tmp_path / "a", scale="0.1")
    wait_for_calls(place, "died", first, 2)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    found = sum(calls(place, "died").values())
    assert 2 <= found < 5
    code, _, said = ended(started(place, "died", tmp_path / "b"))
    assert code == 2 and " is in use by process " in said and "hint: wait" in said
    time.sleep(LEASE_S + 3)
    code, _, said = ended(started(place, "died", tmp_path / "b", more=["--input", "question=Another?"]))
    assert code == 2 and "has other inputs" in said
    code, record, said = ended(started(place, "died", tmp_path / "b"))
    assert code == 0 and record["status"] == "done", said
    assert set(calls(place, "died").values()) == {1} and len(calls(place, "died")) == 5
    assert (tmp_path / "b/teams/debate/runs/died/run.json").exists()


def test_a_worker_that_slept_past_its_lease_writes_nothing(place, tmp_path):
    first = started(place, "slept", tmp_path / "a", scale="0.1")
    wait_for_calls(place, "slept", first)
    first.send_signal(signal.SIGSTOP)
    time.sleep(LEASE_S + 3)
    code, record, said = ended(started(place, "slept", tmp_path / "b"))
    assert code == 0 and record["status"] == "done", said
    before = place.lines("slept"), place.kinds("slept")
    first.send_signal(signal.SIGCONT)
    code, record, said = ended(first)
    assert code == 3 and ("another worker" in said) and record["status"] == "interrupted", (code, said)
    assert (place.lines("slept"), place.kinds("slept")) == before
    assert set(calls(place, "slept").values()) == {1}


def test_a_worker_that_is_stopped_gives_its_run_back_at_once(place, tmp_path):
    first = started(place, "stopped", tmp_path / "a", scale="0.1")
    wait_for_calls(place, "stopped", first)
    first.send_signal(signal.SIGTERM)
    ended(first)
    code, record, said = ended(started(place, "stopped", tmp_path / "b"))
    assert code == 0 and record["status"] == "done", said
    assert place.kinds("stopped").count("release") == 1 and set(calls(place, "stopped").values()) == {1}


def test_what_cannot_be_is_said(place, tmp_path):
    def said(*more):
        words = [str(binary()), "run", "debate", "--out", str(tmp_path), *FLAGS, *more]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        assert done.returncode != 0 and "panicked" not in done.stderr
        return done.stderr

    assert "needs a name" in said("--journal", place.url)
    assert "no run 'none'" in said("--journal", place.url, "--resume", "none").replace('"', "'")
    assert "knows no journal at ftp://" in said("--journal", "ftp://a/b", "--run-id", "1")
    assert not [found for found in tmp_path.rglob("*") if found.is_file()]


def test_a_server_that_restarts_costs_nothing(place, tmp_path):
    if not isinstance(place, Postgres):
        pytest.skip("of the places here only PostgreSQL keeps what it has over a restart")
    first = started(place, "restart", tmp_path / "a", scale="0.15", lease_s=60)
    wait_for_calls(place, "restart", first)
    place.stop()
    place.start()
    code, record, said = ended(first)
    assert code == 0 and record["status"] == "done", said
    assert set(calls(place, "restart").values()) == {1} and len(calls(place, "restart")) == 5
    assert place.ask("select status from lacon_runs where run = 'debate/restart'") == ["done"]
    closed = f"postgres://lacon@127.0.0.1:{free_port()}/postgres"
    done = subprocess.run([str(binary()), "run", "debate", "--journal", closed, "--run-id", "1", *FLAGS], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 3 and "cannot be used" in done.stderr and "refused" in done.stderr, done.stderr


def test_runs_on_ray_are_kept_in_a_journal(place):
    ray = pytest.importorskip("ray")
    from lacon.ray import run_many

    told = {} if isinstance(place, Postgres) else place.told
    told = told | {"PYTHONPATH": os.pathsep.join(sys.path), "LACON_BINARY": str(binary()), "LACON_RUN_JOURNAL_LEASE_S": str(LEASE_S)}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": told})
    try:
        rows = [{"question": f"Is {n} a number?"} for n in range(8)]
        options = ["--llm", "sim", "--seed", "3", "--time-scale", "0.02"]
        done, killed = [], 0
        for row in run_many("debate", rows, journal=place.url, name="list", options=options, parallel=2):
            done.append(row)
            if killed < 2 and (found := workers()):
                os.kill(found[0], signal.SIGKILL)
                killed += 1
        assert sorted(row["index"] for row in done) == list(range(8)) and {row["status"] for row in done} == {"done"}, done
        for row in done:
            assert set(calls(place, row["run"]).values()) == {1} and len(calls(place, row["run"])) == 5
        again = list(run_many("debate", rows, journal=place.url, name="list", options=["--llm", "openai", "--base-url", "http://127.0.0.1:9"]))
        assert sorted(map(str, again)) == sorted(map(str, done))
        with pytest.raises(Exception, match="has other inputs"):
            list(run_many("debate", [{"question": "Another?"}], journal=place.url, name="list", options=options))
        with pytest.raises(ValueError, match="under a name"):
            next(run_many("debate", rows, journal=place.url))
    finally:
        ray.shutdown()


def workers():
    """The commands of runs that are under way for the list."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if b"--run-id" in words and words[words.index(b"--run-id") + 1].startswith(b"list-"):
            found.append(int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]))
    return found
