"""`lacon.wrap` around chat models of LangChain, alone and in a graph of LangGraph."""

import asyncio
import copy
import json
import threading
import time
from typing import Annotated, TypedDict

import pytest

pytest.importorskip("langchain_core", reason="langchain-core is not installed")

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

import lacon

ROWS = json.dumps([{"day": i, "close": i * 7, "venue": "XNAS"} for i in range(40)], indent=1)
LONG = "One two three. Four costs 5.5 dollars. Six seven! Eight nine ten."


class Model(BaseChatModel):
    """Streams word by word, and remembers what it was asked and how much it said."""

    answer: str = LONG
    wait: float = 0.0
    temperature: float | None = None
    asked: list = []
    said: list = []

    @property
    def _llm_type(self):
        return "test"

    def bind_tools(self, tools, **kwargs):
        return self.bind(tools=tools, **kwargs)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.asked.append((messages, kwargs))
        time.sleep(self.wait)
        if kwargs.get("tools"):
            calls = [{"name": kwargs["tools"][0].__name__, "args": {"word": "x"}, "id": "c"}]
            return ChatResult(generations=[ChatGeneration(message=AIMessage("", tool_calls=calls))])
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.answer))])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        self.asked.append((messages, kwargs))
        await asyncio.sleep(self.wait)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.answer))])


class Streaming(Model):
    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        self.asked.append((messages, kwargs))
        for word in self.answer.split(" "):
            self.said.append(word)
            yield ChatGenerationChunk(message=AIMessageChunk(word if word == self.answer.split(" ")[0] else f" {word}"))


def fresh(kind=Streaming, **fields):
    return kind(asked=[], said=[], **fields)


@pytest.fixture(autouse=True)
def empty():
    lacon.report(clear=True)


async def collect(stream):
    return [chunk async for chunk in stream]


def test_a_stream_ends_at_the_sentence_behind_the_limit():
    for words, text in ((3, "One two three."), (4, "One two three. Four costs 5.5 dollars."), (100, LONG)):
        forms = []
        for call in (
            lambda m: m.invoke("q").content,
            lambda m: asyncio.run(m.ainvoke("q")).content,
            lambda m: "".join(chunk.content for chunk in m.stream("q")),
            lambda m: "".join(chunk.content for chunk in asyncio.run(collect(m.astream("q")))),
            lambda m: m.batch(["q"])[0].content,
        ):
            inner = fresh()
            forms.append(call(lacon.wrap(inner, agents={"a": words}, agent="a")))
            assert len(inner.said) <= len(text.split()) + 1
            assert inner.asked[0][0][0].content == f"Answer in at most {words} words."
        assert set(forms) == {text}
    row = lacon.report()["chat test"]
    assert row["calls"] == 15 and row["sums"]["stopped_early"] == 10
    off = fresh()
    assert lacon.wrap(off, agents={"a": 3}, agent="a", early_stop=False, instruct=False).invoke("q").content == LONG
    assert [message.type for message in off.asked[0][0]] == ["human"]
    whole = fresh()
    assert lacon.wrap(whole, agents={"b": 3}, agent="a").invoke([SystemMessage("s"), HumanMessage("q")]).content == LONG


def test_required_sections_are_told_and_waited_for():
    inner = fresh(answer="# Facts\nOne two. Three.\n# Risks\nFour five. Six.")
    model = lacon.wrap(inner, agents={"a": {"words": 1, "sections": ["Facts", "Risks"]}}, agent="a")
    assert model.invoke("q").content == "# Facts\nOne two. Three.\n# Risks\nFour five."
    assert inner.asked[0][0][0].content == "Use these headings: Facts; Risks. Answer in at most 1 words."
    assert lacon.report()["chat test"]["sums"]["missing_sections"] == 0


def test_a_model_without_streams_is_asked_as_it_is():
    inner = fresh(Model)
    model = lacon.wrap(inner, agents={"a": 3}, agent="a")
    assert model.invoke("q").content == LONG and [c.content for c in model.stream("q") if c.content] == [LONG]
    assert [c.content for c in asyncio.run(collect(model.astream("q"))) if c.content] == [LONG]


def test_results_of_tools_are_shorter():
    call = {"name": "prices", "args": {}, "id": "c", "type": "tool_call"}
    messages = [HumanMessage("q"), AIMessage("", tool_calls=[call]), ToolMessage(ROWS, tool_call_id="c")]
    inner = fresh()
    lacon.wrap(inner).invoke(messages)
    assert lacon.expand(inner.asked[0][0][2].content) == ROWS != inner.asked[0][0][2].content and messages[2].content == ROWS
    assert lacon.report()["chat test"]["sums"]["saved_tokens"] > 100
    lacon.wrap(inner, compress=False).invoke(messages)
    assert inner.asked[1][0][2].content == ROWS


def test_a_budget_stops_before_it_is_overspent():
    inner = fresh()
    model = lacon.wrap(inner, budget_usd=0.001, prices=(1.0, 10.0), max_output_tokens=50)
    n = 0
    with pytest.raises(lacon.BudgetError, match="may cost"):
        for n in range(100):
            model.invoke("q")
    assert n == len(inner.asked) and n > 2 and 0 < model.spent_usd <= 0.001
    with pytest.raises(lacon.BudgetError):
        list(lacon.wrap(inner, budget_usd=0.0, prices=(1, 1)).stream("q"))
    copied = copy.deepcopy(model)
    assert copied.spent_usd == model.spent_usd and copied.savings is model.savings
    many = lacon.wrap(fresh(Model, wait=0.05), budget_usd=0.001, prices=(1.0, 10.0), max_output_tokens=50)
    done = many.batch(["q"] * 8, return_exceptions=True)
    assert sum(isinstance(one, lacon.BudgetError) for one in done) == 7 and many.spent_usd <= 0.001


def test_equal_calls_at_the_same_time_are_one():
    inner = fresh(Model, wait=0.2, temperature=0)
    model = lacon.wrap(inner)

    async def main():
        return await asyncio.gather(*(model.ainvoke("same") for _ in range(5)), model.ainvoke("other"))

    answers = asyncio.run(main())
    assert len(inner.asked) == 2 and {a.content for a in answers} == {LONG} and len({id(a) for a in answers}) == 6
    assert lacon.report()["chat test"]["sums"]["shared"] == 4
    assert len(model.batch(["same"] * 3)) == 3 and len(inner.asked) == 3
    warm = fresh(Model, wait=0.05)
    lacon.wrap(warm).batch(["same"] * 3)
    assert len(warm.asked) == 3

    class Fails(Model):
        def _generate(self, *a, **k):
            self.asked.append(1)
            time.sleep(0.2)
            raise RuntimeError("down")

    down = fresh(Fails, temperature=0)
    done = lacon.wrap(down).batch(["same"] * 3, return_exceptions=True)
    assert [str(one) for one in done] == ["down"] * 3 and len(down.asked) == 1
    assert lacon.report()["chat test"]["errors"] == 1


def test_tools_structured_output_and_bind():
    from pydantic import BaseModel

    class Word(BaseModel):
        """A word."""

        word: str

    inner = fresh(Model)
    model = lacon.wrap(inner, agents={"a": 1}, agent="a")
    assert model.bind_tools([Word]).invoke("q").tool_calls[0]["args"] == {"word": "x"}
    assert model.with_structured_output(Word).invoke("q") == Word(word="x")
    assert model.with_structured_output(Word, include_raw=True).invoke("q")["parsed"] == Word(word="x")
    assert len(inner.asked) == 3 and lacon.report()["chat test"]["calls"] == 3
    assert [message.type for message in inner.asked[0][0]] == ["human"]
    bound = lacon.wrap(inner.bind(stop=["x"]), agents={"a": 1})
    assert bound.invoke("q").content == LONG and lacon.report()["chat test"]["calls"] == 4


def test_langgraph_names_the_agent():
    graphs = pytest.importorskip("langgraph.graph")

    class State(TypedDict):
        log: Annotated[list, lambda a, b: a + b]

    inner = fresh()
    model = lacon.wrap(inner, agents={"news": 3, "market": None})
    builder = graphs.StateGraph(State)

    def news(state):
        return {"log": [model.invoke("q").content]}

    def market(state):
        return {"log": ["".join(chunk.content for chunk in model.stream("q"))]}

    async def trader(state):
        return {"log": [(await model.ainvoke("q")).content]}

    builder.add_node("news", news)
    builder.add_node("market", market)
    builder.add_edge(graphs.START, "news")
    builder.add_edge("news", "market")
    assert builder.compile().invoke({"log": []})["log"] == ["One two three.", LONG]
    builder.add_node("risk", trader)
    builder.add_edge("market", "risk")
    assert asyncio.run(builder.compile().ainvoke({"log": []}))["log"] == ["One two three.", LONG, LONG]
    from lacon.langgraph import fuse

    wide = graphs.StateGraph(State)
    for name in ("news", "market", "other", "join"):
        wide.add_node(name, {"news": news, "market": market}.get(name, lambda state: {"log": ["x"]}))
    wide.add_edge(graphs.START, "market")
    wide.add_edge(graphs.START, "other")
    wide.add_edge("other", "news")
    wide.add_edge(["market", "news"], "join")
    fused = fuse(wide)
    assert fused.regions and fused.compile().invoke({"log": []})["log"] == [LONG, "x", "One two three.", "x"]


def test_wrong_arguments_are_named():
    model = fresh()
    for options, error, said in (
        ({"agents": {"a": 0}}, ValueError, r"agents\['a'\] is 0"), ({"agents": {"a": "x"}}, TypeError, r"agents\['a'\]"),
        ({"agents": ["a"]}, TypeError, "agents is of type list"), ({"budget_usd": 1}, ValueError, "needs prices"),
        ({"prices": 3}, TypeError, "a pair"), ({"prices": (-1, 1)}, ValueError, "below 0"), ({"max_output_tokens": 0}, ValueError, "at least 1"),
    ):
        with pytest.raises(error, match=said):
            lacon.wrap(model, **options)
    for wrong in (3, lambda x: x, lacon.wrap(model)):
        with pytest.raises(TypeError, match="model is"):
            lacon.wrap(wrong)
    fake = GenericFakeChatModel(messages=iter([AIMessage("a b. c")]))
    assert lacon.wrap(fake, agents={"x": 1}, agent="x").invoke("q").content == "a b."
    assert threading.active_count() < 50
