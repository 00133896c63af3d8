"""`lacon.langchain`, where langchain-core is installed."""

import asyncio
import json

import pytest

import lacon

pytest.importorskip("langchain_core")

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages import trim_messages as their_trim

from lacon.langchain import compress_messages, compressor, middleware, pre_model_hook, token_counter, trim_messages

ROWS = json.dumps([{"day": i, "close": i * 7, "venue": "XNAS"} for i in range(40)], indent=1)


def history(n=6):
    messages = [SystemMessage("You are a trader."), HumanMessage("What is it worth?")]
    for i in range(n):
        call = {"name": "prices", "args": {"day": i}, "id": f"c{i}", "type": "tool_call"}
        messages += [AIMessage("", tool_calls=[call]), ToolMessage(f"{i}\n{ROWS}", tool_call_id=f"c{i}")]
    return [*messages, HumanMessage("Decide.")]


def test_results_of_tools_are_shorter_and_all_else_is_the_same_object():
    messages = history()
    copies = [message.model_copy(deep=True) for message in messages]
    short = compress_messages(messages)
    assert messages == copies
    for old, new in zip(messages, short, strict=True):
        assert type(old) is type(new)
        assert (old is new) != isinstance(old, ToolMessage)
    assert lacon.expand(short[3].content) == messages[3].content
    assert short[3].tool_call_id == "c0"
    with pytest.raises(ValueError, match="trim_messages"):
        compress_messages(messages, budget=100)


def test_trimmed_messages_keep_calls_with_their_results():
    messages = history()
    count = token_counter("gpt-4o")
    for budget in (1200, 800, 400, 220):
        fitted = trim_messages(messages, budget)
        assert count(fitted) <= budget
        open_calls = []
        for message in fitted:
            if isinstance(message, ToolMessage):
                assert message.tool_call_id in open_calls
            open_calls = [c["id"] for c in message.tool_calls] if isinstance(message, AIMessage) else open_calls
        assert fitted[0] is messages[0] and fitted[1] is messages[1] and fitted[-1] is messages[-1]
    assert trim_messages(messages, 100_000) == messages


def test_a_counter_for_their_trimming():
    messages = history()
    fitted = their_trim(messages, max_tokens=900, token_counter=token_counter("gpt-4o"), include_system=True)
    assert token_counter("gpt-4o")(fitted) <= 900


def watched():
    """A model that is asked twice, and what it was asked."""
    seen = []

    class Model(GenericFakeChatModel):
        def _generate(self, messages, *args, **kwargs):
            seen.append(messages)
            return super()._generate(messages, *args, **kwargs)

        def bind_tools(self, *args, **kwargs):
            return self

    return Model(messages=iter([AIMessage("HOLD"), AIMessage("HOLD")])), seen


def test_before_a_model_and_in_a_graph():
    model, seen = watched()
    assert (compressor() | model).invoke(history()).content == "HOLD"
    assert len(seen[0][3].content) < len(history()[3].content)
    state = {"messages": history()}
    update = pre_model_hook(max_tokens=800)(state)
    assert state["messages"] == history()
    assert token_counter()(update["llm_input_messages"]) <= 800


@pytest.mark.filterwarnings("ignore")
def test_an_agent_of_langgraph_sees_the_shorter_messages():
    prebuilt = pytest.importorskip("langgraph.prebuilt")
    model, seen = watched()
    agent = prebuilt.create_react_agent(model, [], pre_model_hook=pre_model_hook())
    state = agent.invoke({"messages": history()})
    assert state["messages"][3].content == history()[3].content
    assert len(seen[0][3].content) < len(history()[3].content)


def test_an_agent_of_langchain_sees_the_shorter_messages():
    agents = pytest.importorskip("langchain.agents")
    model, seen = watched()
    agent = agents.create_agent(model, [], middleware=[middleware()])
    state = agent.invoke({"messages": history()})
    again = asyncio.run(agent.ainvoke({"messages": history()}))
    for kept, asked in zip((state, again), seen, strict=True):
        assert kept["messages"][3].content == history()[3].content
        assert len(asked[3].content) < len(history()[3].content)


def test_whatever_stands_for_messages():
    for form in ("hello", HumanMessage("hello"), [HumanMessage("hello")], ["hello"], [("user", "hello")], ("user", "hello"),
                 {"role": "user", "content": "hello"}, [{"role": "user", "content": "hello"}], (m for m in [HumanMessage("hello")])):
        (one,) = compress_messages(form)
        assert isinstance(one, HumanMessage) and one.content == "hello"
    (one,) = compressor().invoke("What is it worth? " * 50)
    assert one.content == "What is it worth? " * 50
    short = compress_messages([("user", "q"), {"role": "assistant", "content": None, "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": ROWS}])
    assert short[2].content.startswith("@json") and short[1].tool_calls[0]["name"] == "f"
    assert token_counter()("hello") == 8 and trim_messages("hello", 100)[0].content == "hello"


def test_wrong_messages_are_named():
    for wrong, error in (([("user", "a"), 3], TypeError), ([("user", "a"), object()], TypeError), ([("user", "a"), ("nobody", "b")], ValueError),
                         ([("user", "a"), {"content": "b"}], ValueError), (3, TypeError), (b"text", TypeError)):
        with pytest.raises(error, match=r"messages\[1\]" if isinstance(wrong, list) else "messages is"):
            compress_messages(wrong)


def test_what_users_say_stays_unless_asked():
    (same,) = compress_messages([HumanMessage(ROWS)])
    assert same.content == ROWS
    (short,) = compress_messages([HumanMessage(ROWS)], shorten_user=True)
    assert short.content.startswith("@json")


def test_one_message_of_several_results():
    blocks = [{"type": "tool_result", "tool_use_id": f"c{i}", "content": ROWS} for i in range(2)]
    calls = [{"name": "f", "args": {}, "id": f"c{i}", "type": "tool_call"} for i in range(2)]
    messages = [HumanMessage("q"), AIMessage("", tool_calls=calls), HumanMessage(blocks), HumanMessage("Decide.")]
    assert compress_messages(messages)[2] is messages[2]
    assert trim_messages(messages, 100_000) == messages


def test_tools_of_langchain_are_counted():
    from langchain_core.tools import StructuredTool, tool

    def prices(day: int) -> str:
        """Prices of a day."""
        return ""

    made = StructuredTool.from_function(prices)
    declared = [token_counter(tools=[form])([HumanMessage("a")]) for form in (made, prices, tool(prices))]
    assert len(set(declared)) == 1 and declared[0] > token_counter()([HumanMessage("a")])
    assert lacon.count_messages([HumanMessage("a")], tools=[made]).tools > 0
    with pytest.raises(TypeError, match=r"tools\[1\] of type int"):
        token_counter(tools=[made, 3])


def test_a_large_last_result_never_stops_an_agent():
    agents = pytest.importorskip("langchain.agents")
    long = " ".join(f"word{i}" for i in range(4000))
    call = {"name": "prices", "args": {}, "id": "c", "type": "tool_call"}
    messages = [HumanMessage("What is it worth?"), AIMessage("", tool_calls=[call]), ToolMessage(long, tool_call_id="c")]
    store = lacon.Store()
    for options in ({}, {"store": store}):
        model, seen = watched()
        agents.create_agent(model, [], middleware=[middleware(max_tokens=300, **options)]).invoke({"messages": messages})
        assert token_counter()(seen[0]) <= 300 and "word0 word1" in seen[0][2].content
        assert "left out" in seen[0][2].content or options
        assert seen[0][2].content.endswith("word3999")
    assert store.retrieve(seen[0][2].content.split("ref=")[1][:16]) == long
    from lacon.langchain import BudgetWarning

    with pytest.warns(BudgetWarning, match="max_tokens is 5"):
        assert compressor(max_tokens=5).invoke("What is it worth in the end?")[0].content == "What is it worth in the end?"
