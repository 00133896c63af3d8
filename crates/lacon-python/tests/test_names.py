"""The plan's own names: monitor, cache, batch, one ledger; and the command in the wheel."""

import asyncio
import json
import os
import subprocess
import sys
import threading

import pytest

import lacon


@pytest.fixture(autouse=True)
def empty():
    lacon.report(clear=True)


def test_functions_of_all_kinds_are_timed():
    @lacon.performance_monitor("sync", size=3)
    def double(x):
        "Doubles."
        return x * 2

    @lacon.performance_monitor("async")
    async def wait(x):
        await asyncio.sleep(0.01)
        return double(x)

    @lacon.performance_monitor("generator")
    def some(n):
        yield from range(n)

    @lacon.performance_monitor("async generator")
    async def asome(n):
        for i in range(n):
            yield i

    async def main():
        return await asyncio.gather(*(wait(i) for i in range(3))), [i async for i in asome(2)]

    assert asyncio.run(main()) == ([0, 2, 4], [0, 1]) and list(some(3)) == [0, 1, 2]
    assert double.__name__ == "double" and double.__doc__ == "Doubles."
    with pytest.raises(TypeError), lacon.performance_monitor("context"):
        double(None)
    rows = lacon.report()
    assert rows["sync"]["calls"] == 4 and rows["sync"]["errors"] == 1 and rows["sync"]["sums"] == {"size": 12}
    assert rows["async"]["calls"] == 3 and rows["async"]["total_s"] >= 0.03
    assert rows["generator"]["calls"] == rows["async generator"]["calls"] == rows["context"]["errors"] == 1
    assert "sync" in str(rows) and rows.to_dict()["operations"] == rows.rows
    shown = rows._repr_html_()
    assert shown.startswith("<table>") and shown.count("<tr>") == len(rows.rows) + 1 and "<td>async generator</td>" in shown
    assert str(lacon.report(clear=True)) and str(lacon.report()) == "the ledger is empty"
    for wrong in (lambda: 3, "", None, 3):
        with pytest.raises(TypeError, match="a name is needed"):
            lacon.performance_monitor(wrong)


def test_threads_write_into_one_ledger():
    @lacon.performance_monitor("work")
    def work():
        with lacon.performance_monitor("inner"):
            pass

    threads = [threading.Thread(target=lambda: [work() for _ in range(500)]) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert lacon.report()["work"]["calls"] == lacon.report()["inner"]["calls"] == 2000


def test_a_trace_holds_the_tree(tmp_path):
    with lacon.performance_monitor("outer"):
        with lacon.performance_monitor("inner"):
            pass
    assert lacon.save_trace(tmp_path / "trace.jsonl") == 2
    root, outer, inner = map(json.loads, (tmp_path / "trace.jsonl").read_text().splitlines())
    assert root["attributes"]["gen_ai.operation.name"] == "invoke_workflow" and "parent_span_id" not in root
    assert outer["parent_span_id"] == root["span_id"] and inner["parent_span_id"] == outer["span_id"]
    assert 0 <= outer["start_s"] <= inner["start_s"] <= inner["end_s"] <= outer["end_s"] <= root["end_s"]
    lacon.report(clear=True)
    with pytest.raises(ValueError, match="empty"):
        lacon.save_trace(tmp_path / "none.jsonl")


def test_the_cache_is_a_view_of_the_process():
    cache = lacon.TokenizerCache()
    cache.clear()
    encoding = cache.get("cl100k_base")
    assert encoding is lacon.get_encoding("cl100k_base") is cache.for_model("gpt-4") and "cl100k_base" in cache
    hits = cache.hits
    for _ in range(5):
        lacon.count("a", encoding="cl100k_base")
    assert lacon.TokenizerCache().hits >= hits + 4 and cache.loads >= 1 and cache.bytes > 100_000
    assert cache.stats()["cl100k_base"]["load_seconds"] >= 0 and repr(cache).startswith("TokenizerCache(loads=")
    with pytest.raises(ValueError):
        cache.get("no_such")


def test_prompts_are_prepared_in_one_batch():
    rows = json.dumps([{"day": i, "close": i * 7, "venue": "XNAS"} for i in range(40)], indent=1)
    text = "\n".join(f"line {i} of a long text" for i in range(400))
    processor = lacon.BatchPromptProcessor(num_threads=2, limits={"news": 100})
    done = processor.process_prompts_parallel([(rows, "market"), (3, "none"), (text, "news"), ("short", "news")])
    assert [getattr(one, "agent", None) for one in done] == ["market", None, "news", "news"]
    assert lacon.expand(done[0].prompt) == rows and done[0].saved > 0 and isinstance(done[1], TypeError)
    assert done[2].tokens_after <= 100 and lacon.count(done[2].prompt) == done[2].tokens_after and done[3].prompt == "short"
    assert lacon.report()["batch_prompts"]["calls"] == 1 and "PreparedPrompt('market'" in repr(done[0])
    assert asyncio.run(processor.process_prompts_parallel_async([("a", "b")]))[0].prompt == "a"
    for wrong in ([("a", "b"), "ab"], [("a", "b"), ("a", 3)]):
        with pytest.raises(TypeError, match=r"prompts\[1\]"):
            processor.process_prompts_parallel(wrong)
    with pytest.raises(ValueError):
        lacon.BatchPromptProcessor(policy="fast")


def run(**environment):
    inherited = {key: value for key, value in os.environ.items() if key not in ("LACON_BINARY", "PATH")}
    command = [sys.executable, "-m", "lacon", "--version"]
    return subprocess.run(command, env={**inherited, "PATH": "", **environment}, capture_output=True, text=True)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script of the shell")
def test_the_command_runs_or_says_that_it_is_not_there(tmp_path):
    if (os.path.join(os.path.dirname(lacon.__file__), "bin", "lacon")) and not os.path.exists(os.path.join(os.path.dirname(lacon.__file__), "bin", "lacon")):
        missing = run()
        assert missing.returncode == 127 and "without the command" in missing.stderr and "hint:" in missing.stderr
        stand_in = tmp_path / "stand-in"
        stand_in.write_text("#!/bin/sh\necho \"got $1\"\nexit 3\n")
        stand_in.chmod(0o755)
        done = run(LACON_BINARY=str(stand_in))
        assert (done.returncode, done.stdout) == (3, "got --version\n")
        assert run(LACON_BINARY=str(tmp_path / "nothing")).returncode == 126
    else:
        assert "lacon" in run().stdout
