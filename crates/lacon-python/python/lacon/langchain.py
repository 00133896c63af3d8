"""LangChain and LangGraph: messages made shorter on their way to the model, while the state keeps what was said.

Needs ``langchain-core`` and imports it when first used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from . import _native

if TYPE_CHECKING:
    from langchain.agents.middleware import AgentMiddleware
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable

__all__ = ["compress_messages", "compressor", "middleware", "pre_model_hook", "token_counter", "trim_messages"]


def _wire(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    from langchain_core.messages import convert_to_openai_messages

    return convert_to_openai_messages(list(messages))


def compress_messages(messages: Sequence[BaseMessage], **options: Any) -> list[BaseMessage]:
    """The messages with texts in their shorter form; options are those of ``lacon.compress``.

    Given messages are not changed: those with a new text are copies, all others the same objects. A lossy policy with a budget
    would leave messages out; use ``trim_messages`` for that.
    """
    if options.get("budget") is not None:
        raise ValueError("compress_messages takes no budget\nhint: trim_messages fits messages into one")
    wire = _wire(messages)
    short = _native.compress(wire, **options).messages
    assert short is not None, "messages were given"
    return [
        message if after == before else _with_content(message, after["content"])
        for message, before, after in zip(messages, wire, short, strict=True)
    ]


def trim_messages(messages: Sequence[BaseMessage], max_tokens: int, **options: Any) -> list[BaseMessage]:
    """The messages fitted into ``max_tokens``; options are those of ``lacon.trim``.

    A call and its results stay or go together. Where messages are left out, one of the user says how many.
    """
    from langchain_core.messages import HumanMessage

    wire = _wire(messages)
    done = _native.trim(wire, max_tokens, **options)
    assert done.messages is not None, "messages were given"
    gone = set(done.dropped)
    kept = [(message, before) for at, (message, before) in enumerate(zip(messages, wire, strict=True)) if at not in gone]
    out: list[BaseMessage] = []
    at = 0
    # The note about what is left out is the one message more, at the first gap.
    n_notes = len(done.messages) - len(kept)
    note_at = next(i for i in range(len(wire) + 1) if i in gone) if n_notes else -1
    for place, after in enumerate(done.messages):
        if place == note_at:
            out.append(HumanMessage(content=after["content"]))
            continue
        message, before = kept[at]
        at += 1
        out.append(message if after == before else _with_content(message, after["content"]))
    return out


def _with_content(message: BaseMessage, content: Any) -> BaseMessage:
    return message.model_copy(update={"content": content})


def token_counter(model: str = "gpt-4o", *, tools: Sequence[Any] | None = None) -> Callable[[list[BaseMessage]], int]:
    """A counter for ``langchain_core.messages.trim_messages``: whole requests, with framing, calls and tools."""

    def counter(messages: list[BaseMessage]) -> int:
        return _native.count_messages(_wire(messages), model, tools=tools).total

    return counter


def compressor(*, max_tokens: int | None = None, **options: Any) -> Runnable[Any, Any]:
    """A Runnable from messages to messages, to stand before a model: ``compressor() | model``.

    Compresses; with ``max_tokens`` it then trims. Options are those of ``lacon.compress``.
    """
    from langchain_core.runnables import RunnableLambda

    def run(messages: Any) -> list[BaseMessage]:
        messages = messages.to_messages() if hasattr(messages, "to_messages") else messages
        short = compress_messages(messages, **options)
        return short if max_tokens is None else trim_messages(short, max_tokens)

    return RunnableLambda(run, name="lacon")


def middleware(*, max_tokens: int | None = None, **options: Any) -> AgentMiddleware[Any, Any]:
    """A middleware for ``langchain.agents.create_agent``: the model gets the shorter messages, the state keeps the whole ones.

    Needs ``langchain``. Options are those of ``compressor``; an agent that awaits has the work done in a thread.
    """
    from langchain.agents.middleware import AgentMiddleware

    shorten = compressor(max_tokens=max_tokens, **options)

    class Shorter(AgentMiddleware):  # type: ignore[misc, type-arg, unused-ignore]
        name = "lacon"

        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            return handler(request.override(messages=shorten.invoke(request.messages)))

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            return await handler(request.override(messages=await shorten.ainvoke(request.messages)))

    return Shorter()


def pre_model_hook(
    *, max_tokens: int | None = None, messages_key: str = "messages", **options: Any
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A ``pre_model_hook`` for LangGraph's agents: the model gets the shorter messages, the state keeps the whole ones.

    As a node of a graph of one's own, read ``llm_input_messages`` from what it returns.
    """
    shorten = compressor(max_tokens=max_tokens, **options)

    def hook(state: dict[str, Any]) -> dict[str, Any]:
        return {"llm_input_messages": shorten.invoke(state[messages_key])}

    return hook
