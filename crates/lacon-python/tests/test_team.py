"""`lacon.Team`: the command runs a team, functions of Python answer its tools and agents. Skipped where there is no command."""

import asyncio
import json
import threading
import urllib.error
import urllib.request

import pytest

import lacon
from lacon.__main__ import binary

if binary() is None:
    pytest.skip("there is no command lacon: LACON_BINARY names one", allow_module_level=True)

QUICK = {"llm": "sim", "time_scale": 0}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_a_team_of_the_program_runs(folder):
    result = lacon.Team("debate").run({"question": "Is tea better than coffee?"}, **QUICK)
    assert result.decision in ("yes", "no") and result.agents["judge"] and result.simulated
    assert result.tokens > 500 and result.calls >= 5 and result.cost_usd > 0 and result.record["status"] == "done"
    assert (folder / "results/teams/debate/runs" / result.run_id / "run.json").exists()
    assert result.run_id in result._repr_html_()


def notes(asked):
    team = lacon.Team("notes", inputs={"topic": "text", "days": {"kind": "integer", "default": 3}}, decision={"agent": "judge", "values": ["yes", "no"]})

    async def search(query: str) -> str:
        """Finds passages."""
        asked.append(("search", query))
        await asyncio.sleep(0)
        return f"Rain fell on 3 days: {query}."

    @team.own_agent(output={"list": "parts"}, prompt="Split {topic}.")
    def planner(prompt: str):
        asked.append(("planner", prompt))
        return "one\ntwo \x7f \"quoted\" \\ ü"

    team.agent("reader", prompt="Look at {item}.", each="parts", tools=[search], prefetch={"search": {"query": "{item}"}}, words=40)

    @team.own_agent(reads=["reader", "input:topic"])
    async def judge(reads: dict[str, str], agent: str) -> str:
        asked.append((agent, sorted(reads)))
        return "Yes\nbecause it rained"

    return team


def test_functions_answer_tools_and_agents():
    asked = []
    result = notes(asked).run({"topic": "rain"}, **QUICK)
    assert result.decision == "yes" and result.agents["judge"] == "because it rained"
    assert ("planner", "Split rain.") in asked and ("judge", ["reader", "topic"]) in asked
    assert ("search", "one") in asked and ("search", "two \x7f \"quoted\" \\ ü") in asked
    assert result.calls == 2 and len(result.record["tools"]) == 4
    assert [agent["model"] for agent in result.record["agents"] if agent["name"] == "judge"] == [""]


def test_events_come_as_things_go_on():
    async def main():
        events = [event async for event in notes([]).stream({"topic": "rain"}, **QUICK)]
        assert events[-1].kind == "result" and events[-1].result.decision == "yes"
        assert {"started", "finished", "calling", "answered", "tool"} <= {event.kind for event in events}
        assert any(event.kind == "answered" and event.agent == "reader" and event.text for event in events)

        return await asyncio.gather(*(notes([]).arun({"topic": str(n)}, **QUICK) for n in range(3)))

    assert len({result.run_id for result in asyncio.run(main())}) == 3


def test_canceling_ends_the_command_and_the_run_can_be_gone_on_with():
    started = threading.Event()
    calls = []

    def team(slow):
        one = lacon.Team("two")
        one.agent("first", prompt="Say something.", words=20)

        @one.own_agent(reads=["first"])
        async def last(reads):
            calls.append(reads)
            if slow:
                started.set()
                await asyncio.sleep(60)
            return "done"

        return one

    async def main():
        task = asyncio.create_task(team(True).arun(run_id="r", **QUICK))
        await asyncio.to_thread(started.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert json.loads(open("results/teams/two/runs/r/run.json").read())["status"] == "interrupted"
    result = team(False).run(resume="r", **QUICK)
    assert result.text == "done" and result.calls == 1 and calls[0] == calls[1]
    assert result.record["calls"][0]["status"] == "ok"


def test_faults_are_exceptions_with_their_hint():
    with pytest.raises(lacon.TeamError, match='input "topic" is missing') as caught:
        lacon.Team("research").run(**QUICK)
    assert caught.value.code == 2 and "hint: add --input topic" in str(caught.value)
    with pytest.raises(lacon.TeamError, match="did you mean"):
        lacon.Team("x").agent("a", prompt="p", wrods=3).run(**QUICK)
    with pytest.raises(lacon.TeamError, match="deadline") as caught:
        lacon.Team("research").run({"topic": "x"}, llm="sim", deadline_s=0.001)
    assert caught.value.record["status"] == "deadline" and caught.value.code == 1
    with pytest.raises(TypeError, match="'budget' is no option"):
        lacon.Team("research").run({"topic": "x"}, budget=3)
    with pytest.raises(TypeError, match="inputs is of type list"):
        lacon.Team("research").run(["x"])
    with pytest.raises(TypeError, match="type object"):
        lacon.Team("x").agent("a", prompt=object()).run()
    with pytest.raises(ValueError, match="name is empty"):
        lacon.Team("")
    team = lacon.Team("x")

    @team.own_agent()
    def fails():
        raise KeyError("no such row")

    with pytest.raises(lacon.TeamError, match="fails") as caught:
        team.run(**QUICK)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_file_names_tools_that_functions_answer(folder):
    (folder / "team.toml").write_text(
        '[team]\nname = "mine"\n[[tool]]\nname = "price"\ncode = true\narguments = { ticker = "the ticker", days = "days" }\n'
        '[[agent]]\nname = "a"\nprompt = "Say it."\ntools = ["price"]\nprefetch = { price = { ticker = "AMD", days = "3" } }\n'
    )
    asked = []
    team = lacon.Team(folder / "team.toml")

    @team.tool
    def price(ticker: str, days: int) -> dict:
        asked.append((ticker, days))
        return {"close": 12.5}

    result = team.run(**QUICK)
    assert asked == [("AMD", 3)] and result.record["tools"][0]["status"] == "ok"


def test_nobody_else_can_call_the_functions():
    from lacon._serve import BODY, Served

    def post(url, data=b"{}", headers=None):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, headers or {}), timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    async def main():
        async with Served({"f": lambda x=1: str(x)}) as served:
            url = served.urls["f"]
            right, secret = url.rsplit("/", 1)[0], url.split("/")[3]
            ask = lambda *given: asyncio.to_thread(post, *given)  # noqa: E731
            assert await ask(url) == 200 and await ask(url, b'{"x": "3", "y": 4}') == 200
            assert await ask(url.replace(secret, "x" * len(secret))) == 403 and await ask(url.replace(secret, "")) == 403
            assert await ask(f"{right}/g") == 404 and await ask(url, b"{") == 400 and await ask(url, b"[]") == 500
            assert await ask(url, b"", {"content-length": str(BODY + 1)}) == 413
        with pytest.raises(OSError):
            await asyncio.to_thread(urllib.request.urlopen, url, b"{}", 5)

    asyncio.run(main())
