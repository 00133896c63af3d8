"""The savings in LiteLLM, the OpenAI Agents SDK, Pydantic AI, LlamaIndex and CrewAI, against a simulated provider on the loopback.

Each test needs its package, and is skipped without it.
"""

import asyncio
import os

import pytest
from _server import LONG, ROWS, provider

import lacon

os.environ |= {"CREWAI_DISABLE_TELEMETRY": "true", "OTEL_SDK_DISABLED": "true", "OPENAI_AGENTS_DISABLE_TRACING": "1"}
os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "CREWAI_TRACING_ENABLED": "false"}
SHORT = "One two three."
TOLD = "Answer in at most 3 words."
CALL = [{"role": "user", "content": "q"}]
TURNS = [
    *CALL,
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "prices", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "c", "content": ROWS},
]


@pytest.fixture
def there():
    lacon.report(clear=True)
    with provider() as one:
        yield one


def sums(name="chat sim"):
    return lacon.report()[name]["sums"]


def test_litellm(there):
    litellm = pytest.importorskip("litellm", reason="litellm is not installed")
    from lacon.litellm import callback, wrap

    given = {"model": "openai/sim", "api_base": f"{there.url}/v1", "api_key": "k", "num_retries": 0}
    limits = {"agents": {"a": 3}, "agent": "a"}
    ask, aask = wrap(litellm.completion, **limits), wrap(litellm.acompletion, **limits)
    answer = ask(messages=CALL, **given)
    assert isinstance(answer, litellm.ModelResponse) and answer.choices[0].message.content == SHORT
    assert there.asked[0][1]["messages"][0]["content"] == TOLD and there.sent < 100
    assert "".join(part.choices[0].delta.content or "" for part in ask(messages=CALL, stream=True, **given)) == SHORT

    async def main():
        whole = (await aask(messages=CALL, **given)).choices[0].message.content
        parts = [part.choices[0].delta.content or "" async for part in await aask(messages=CALL, stream=True, **given)]
        return whole, "".join(parts)

    assert asyncio.run(main()) == (SHORT, SHORT) and sums("chat openai/sim")["stopped_early"] == 4
    assert wrap(litellm.completion)(messages=TURNS, **given).choices[0].message.content == LONG
    assert lacon.expand(there.asked[-1][1]["messages"][2]["content"]) == ROWS != there.asked[-1][1]["messages"][2]["content"]
    with pytest.raises(lacon.BudgetError):
        wrap(litellm.completion, budget_usd=0.0, prices=(1, 1))(messages=CALL, **given)
    with pytest.raises(TypeError, match="function is"):
        wrap("completion")
    lacon.report(clear=True)
    litellm.callbacks = [callback(**limits)]
    try:

        async def hooked():
            answer = await litellm.acompletion(messages=TURNS, **given)
            for _ in range(200):
                if lacon.report().rows:
                    break
                await asyncio.sleep(0.01)
            return answer.choices[0].message.content

        assert asyncio.run(hooked()) == LONG and there.asked[-1][1]["messages"][0]["content"] == TOLD
        assert lacon.expand(there.asked[-1][1]["messages"][3]["content"]) == ROWS
        assert sums()["input_tokens"] == 11 and lacon.report()["chat sim"]["calls"] == 1
    finally:
        litellm.callbacks = []


def test_openai_agents(there):
    agents = pytest.importorskip("agents", reason="openai-agents is not installed")
    openai = pytest.importorskip("openai")
    from lacon.openai_agents import input_filter, wrap

    agents.set_tracing_disabled(True)
    items = [{"role": "user", "content": "q"}, {"type": "function_call", "call_id": "c", "name": "prices", "arguments": "{}"}]
    items.append({"type": "function_call_output", "call_id": "c", "output": ROWS})
    config = agents.RunConfig(call_model_input_filter=input_filter())

    @agents.function_tool
    def prices() -> str:
        return ROWS

    for kind in (agents.OpenAIResponsesModel, agents.OpenAIChatCompletionsModel):
        lacon.report(clear=True)
        # A client belongs to one event loop.
        model = kind("sim", openai.AsyncOpenAI(base_url=f"{there.url}/v1", api_key="k", max_retries=0))
        mine = wrap(model, agents={"news": 3})

        async def main(model=model, mine=mine):
            news = agents.Agent(name="news", model=mine, instructions="Be brief.")
            whole = (await agents.Runner.run(news, items, run_config=config)).final_output
            path, body = there.asked[-1]
            assert TOLD in str(body.get("instructions") or body["messages"][0]["content"])
            sent = body["input"][-1]["output"] if path == "/responses" else body["messages"][-1]["content"]
            assert lacon.expand(sent) == ROWS != sent
            stream = agents.Runner.run_streamed(news, "q", run_config=config)
            parts = [event.data.delta async for event in stream.stream_events()
                     if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"]  # fmt: skip
            assert (whole, "".join(parts), stream.final_output) == (SHORT, SHORT, SHORT)
            assert sums()["stopped_early"] == 2 and sums()["input_tokens"] > 0
            other = agents.Agent(name="other", model=mine)
            assert (await agents.Runner.run(other, "q", run_config=config)).final_output == LONG
            assert sums()["output_tokens"] >= 7
            poor = agents.Agent(name="news", model=wrap(model, budget_usd=0.0, prices=(1, 1)), tools=[prices])
            with pytest.raises(lacon.BudgetError):
                await agents.Runner.run(poor, "q", run_config=config)

        asyncio.run(main())
        for wrong in (3, mine):
            with pytest.raises(TypeError, match="model is"):
                wrap(wrong)


def test_pydantic_ai(there):
    ai = pytest.importorskip("pydantic_ai", reason="pydantic-ai is not installed")
    pytest.importorskip("openai")
    from pydantic_ai import messages as of
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    from lacon.pydantic_ai import history_processor, wrap

    back = of.ToolReturnPart("prices", ROWS, "c")
    history = [
        of.ModelRequest([of.UserPromptPart("q")]), of.ModelResponse([of.ToolCallPart("prices", {}, "c")]), of.ModelRequest([back]),
        of.ModelResponse([of.TextPart("ok")]),
    ]  # fmt: skip
    for kind in (OpenAIChatModel, OpenAIResponsesModel):
        lacon.report(clear=True)
        model = kind("sim", provider=OpenAIProvider(base_url=f"{there.url}/v1", api_key="k"))
        agent = ai.Agent(wrap(model, agents={"a": 3}, agent="a"))
        before = there.sent
        done = agent.run_sync("q", message_history=history)
        assert done.output == SHORT and there.sent - before < 100 and TOLD in str(there.asked[-1][1])
        assert done.response.finish_reason == "stop" and back.content == ROWS
        assert "XNAS|" in str(there.asked[-1][1]) or "XNAS" in str(there.asked[-1][1])
        assert sums()["saved_tokens"] > 100 and sums()["stopped_early"] == 1

        async def main(agent=agent):
            async with agent.run_stream("q") as stream:
                return "".join([part async for part in stream.stream_text(delta=True)]), stream.response.text

        assert asyncio.run(main()) == (SHORT, SHORT) and sums()["stopped_early"] == 2
        whole = wrap(model)
        assert ai.Agent(whole).run_sync("q").output == LONG and sums()["output_tokens"] >= 7
        with pytest.raises(lacon.BudgetError):
            ai.Agent(wrap(model, budget_usd=0.0, prices=(1, 1))).run_sync("q")
        for wrong in (3, whole):
            with pytest.raises(TypeError, match="model is"):
                wrap(wrong)
    short = history_processor()(history)
    assert lacon.expand(short[2].parts[0].content) == ROWS and short[0] is history[0] and back.content == ROWS
    from pydantic_ai.capabilities import ProcessHistory

    ai.Agent(model, capabilities=[ProcessHistory(history_processor())]).run_sync("q", message_history=history)
    assert ROWS not in str(there.asked[-1][1])


def test_llama_index(there):
    pytest.importorskip("llama_index.core", reason="llama-index-core is not installed")
    from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, LLMMetadata, MessageRole
    from llama_index.core.chat_engine import SimpleChatEngine
    from llama_index.core.llms import CustomLLM

    from lacon.llama_index import wrap

    asked, said = [], []

    class Words(CustomLLM):
        @property
        def metadata(self):
            return LLMMetadata(model_name="sim", is_chat_model=True)

        def chat(self, messages, **kwargs):
            asked.append(messages)
            return ChatResponse(message=ChatMessage(LONG, role="assistant"))

        def stream_chat(self, messages, **kwargs):
            asked.append(messages)

            def parts():
                text = ""
                for at, word in enumerate(LONG.split(" ")):
                    piece = f" {word}" if at else word
                    text += piece
                    said.append(word)
                    yield ChatResponse(message=ChatMessage(text, role="assistant"), delta=piece)

            return parts()

        def complete(self, prompt, formatted=False, **kwargs):
            return CompletionResponse(text=LONG)

        def stream_complete(self, prompt, formatted=False, **kwargs):
            raise NotImplementedError

    llm = wrap(Words(), agents={"a": 3}, agent="a")
    assert isinstance(llm, Words) and SimpleChatEngine.from_defaults(llm=llm).chat("q").response == SHORT
    assert asked[0][0].content == TOLD and len(said) < 10
    engine = SimpleChatEngine.from_defaults(llm=llm)
    assert "".join(engine.stream_chat("q").response_gen) == SHORT
    assert asyncio.run(llm.achat([ChatMessage("q")])).message.content == SHORT

    async def main():
        return [part.message.content async for part in await llm.astream_chat([ChatMessage("q")])][-1]

    assert asyncio.run(main()) == SHORT and sums()["stopped_early"] == 4
    back = ChatMessage(ROWS, role=MessageRole.TOOL, additional_kwargs={"tool_call_id": "c"})
    assert wrap(Words()).chat([ChatMessage("q"), back]).message.content == LONG
    assert lacon.expand(asked[-1][1].content) == ROWS and asked[-1][1].additional_kwargs == {"tool_call_id": "c"} and back.content == ROWS
    poor = wrap(Words(), budget_usd=0.0, prices=(1, 1))
    with pytest.raises(lacon.BudgetError):
        poor.chat([ChatMessage("q")])
    for wrong in (3, llm):
        with pytest.raises(TypeError, match="llm is"):
            wrap(wrong)


def test_crewai(there):
    crewai = pytest.importorskip("crewai", reason="crewai is not installed")
    from lacon.crewai import install

    llm = crewai.LLM(model="openai/sim", base_url=f"{there.url}/v1", api_key="k")
    agent = crewai.Agent(role="Analyst", goal="Answer.", backstory="You know things.", llm=llm, verbose=False)
    remove = install(agents={"Analyst": 3}, prices=(1.0, 1.0))
    try:
        task = crewai.Task(description="Say what happened.", expected_output="A text.", agent=agent)
        assert str(crewai.Crew(agents=[agent], tasks=[task], verbose=False).kickoff()) == LONG
        assert TOLD in str(there.asked[0][1]["messages"][0]["content"])
        row = lacon.report().rows[0]
        assert row["calls"] == 1 and row["sums"]["output_tokens"] > 0
        assert llm.call([dict(turn) for turn in TURNS]) == LONG
        assert lacon.expand(there.asked[-1][1]["messages"][-1]["content"]) == ROWS
    finally:
        remove()
    n = len(there.asked)
    remove = install(budget_usd=0.0, prices=(1.0, 1.0))
    try:
        with pytest.raises(lacon.BudgetError, match="may cost"):
            llm.call("q")
        assert len(there.asked) == n
    finally:
        remove()
    assert llm.call("q") == LONG
