"""LangChain and LangGraph: messages made shorter on their way to the model, while the state keeps what was said.

Needs ``langchain-core`` and imports it when first used.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from . import _native, _objects
from .errors import BudgetError

if TYPE_CHECKING:
    from langchain.agents.middleware import AgentMiddleware
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable

__all__ = [
    "BudgetWarning",
    "compress_messages",
    "compressor",
    "middleware",
    "pre_model_hook",
    "token_counter",
    "trim_messages",
]


class BudgetWarning(UserWarning):
    """Messages stay above their budget: what is left of them is not a tool's result, and is not cut."""


def _list(messages: Any) -> list[BaseMessage]:
    """Messages of LangChain from whatever stands for them: a text, one message, a prompt, tuples, dicts, objects of SDKs."""
    from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages

    if hasattr(messages, "to_messages"):
        return list(messages.to_messages())
    if isinstance(messages, str):
        return [HumanMessage(messages)]
    is_pair = isinstance(messages, tuple) and len(messages) == 2 and all(isinstance(part, str) for part in messages)
    if isinstance(messages, (BaseMessage, dict)) or is_pair or hasattr(messages, "role"):
        messages = [messages]
    if isinstance(messages, (bytes, bytearray)) or not isinstance(messages, Iterable):
        raise TypeError(f"messages is of type {type(messages).__name__}, a list of messages or a text is needed")
    out: list[BaseMessage] = []
    for index, message in enumerate(messages):
        if isinstance(message, BaseMessage):
            out.append(message)
            continue
        try:
            if not isinstance(message, (str, tuple, list, dict)):
                plain = _objects.plain(message)
                if not isinstance(plain, dict):
                    raise TypeError(f"a value of type {type(message).__name__} is no message")
                message = plain
            if isinstance(message, dict) and message.get("content") is None:
                message = {**message, "content": ""}
            out += convert_to_messages([message])
        except TypeError as error:
            raise TypeError(f"messages[{index}]: {error}") from error
        except (ValueError, NotImplementedError, KeyError) as error:
            raise ValueError(f"messages[{index}]: {error}") from error
    return out


def _wire(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    from langchain_core.messages import convert_to_openai_messages

    return convert_to_openai_messages(list(messages))


def _wire_of_each(messages: Sequence[BaseMessage]) -> list[list[dict[str, Any]]]:
    """What each message is on the wire. One that holds several results of tools, as Anthropic's do, is several there."""
    wire = _wire(messages)
    if len(wire) == len(messages):
        return [[one] for one in wire]
    return [_wire([message]) for message in messages]


def compress_messages(messages: Any, **options: Any) -> list[BaseMessage]:
    """The messages with results of tools in their shorter form; options are those of ``lacon.compress``.

    ``messages`` is a list of messages, tuples, dicts or objects of SDKs, one of them, a prompt or a text. What users say stays,
    unless ``shorten_user`` is true. Given messages are not changed: those with a new text are copies, all others the same objects.
    A lossy policy with a budget would leave messages out; use ``trim_messages`` for that.
    """
    if options.get("budget") is not None:
        raise ValueError("compress_messages takes no budget\nhint: trim_messages fits messages into one")
    whole = _list(messages)
    parts = _wire_of_each(whole)
    short = _native.compress([one for part in parts for one in part], **options).messages
    assert short is not None, "messages were given"
    out: list[BaseMessage] = []
    at = 0
    for message, before in zip(whole, parts, strict=True):
        after = short[at : at + len(before)]
        at += len(before)
        # One message of several results has no place for the text of each.
        out.append(message if after == before or len(before) != 1 else _with_content(message, after[0]["content"]))
    return out


def trim_messages(messages: Any, max_tokens: int, **options: Any) -> list[BaseMessage]:
    """The messages fitted into ``max_tokens``; options are those of ``lacon.trim``.

    A call and its results stay or go together. Where messages are left out, one of the user says how many. Raises BudgetError
    where what must stay is larger.
    """
    from langchain_core.messages import HumanMessage

    whole = _list(messages)
    parts = _wire_of_each(whole)
    owners = [owner for owner, part in enumerate(parts) for _ in part]
    wire = [one for part in parts for one in part]
    pin = [place for place, owner in enumerate(owners) if len(parts[owner]) > 1 or owner in options.get("pin", ())]
    done = _native.trim(wire, max_tokens, **{**options, "pin": pin})
    assert done.messages is not None, "messages were given"
    gone = set(done.dropped)
    kept = [place for place in range(len(wire)) if place not in gone]
    out: list[BaseMessage] = []
    at = 0
    # The note about what is left out is the one message more, at the first gap.
    n_notes = len(done.messages) - len(kept)
    note_at = next(i for i in range(len(wire) + 1) if i in gone) if n_notes else -1
    for place, after in enumerate(done.messages):
        if place == note_at:
            out.append(HumanMessage(content=after["content"]))
            continue
        before = wire[kept[at]]
        owner = owners[kept[at]]
        at += 1
        message = whole[owner]
        if len(parts[owner]) > 1:
            if not out or out[-1] is not message:
                out.append(message)
            continue
        out.append(message if after == before else _with_content(message, after["content"]))
    return out


def _with_content(message: BaseMessage, content: Any) -> BaseMessage:
    return message.model_copy(update={"content": content})


def _fit(messages: list[BaseMessage], max_tokens: int, store: _native.Store | None) -> list[BaseMessage]:
    """``trim_messages`` that cuts results of tools where nothing else helps, and never raises BudgetError."""
    from langchain_core.messages import ToolMessage

    options: dict[str, Any] = {} if store is None else {"store": store}
    for _ in range(len(messages) + 8):
        try:
            return trim_messages(messages, max_tokens, **options)
        except BudgetError as error:
            over = (error.minimum or 0) - max_tokens
        sizes = [_native.count(str(m.text)) if isinstance(m, ToolMessage) else 0 for m in messages]
        # The last results are those that must stay.
        last = max((i for i, m in enumerate(messages) if isinstance(m, ToolMessage)), default=-1)
        first = last
        while first > 0 and isinstance(messages[first - 1], ToolMessage):
            first -= 1
        place = max(range(first, last + 1), key=lambda i: sizes[i]) if last >= 0 else -1
        if place < 0 or sizes[place] <= _NOTE_TOKENS:
            break
        text = str(messages[place].text)
        room = max(sizes[place] - over - _NOTE_TOKENS - 16, 0)
        handle = "" if store is None else f", ref={store.put(text)}"
        head = _native.truncate(text, room * 2 // 3)
        tail = _native.truncate(text[len(head) :], room // 3, "front")
        n_left_out = sizes[place] - _native.count(head) - _native.count(tail)
        short = f"{head}\n[... {n_left_out} tokens of this result left out{handle} ...]\n{tail}"
        messages = [*messages[:place], _with_content(messages[place], short), *messages[place + 1 :]]
    n_tokens = _native.count_messages(_wire(messages)).total
    warnings.warn(
        f"messages have {n_tokens} tokens, max_tokens is {max_tokens}: they are sent as they are\nhint: raise max_tokens",
        BudgetWarning,
        stacklevel=3,
    )
    return messages


# A result that is cut holds a note, which has so many tokens with a handle.
_NOTE_TOKENS = 32


def token_counter(
    model: str = "gpt-4o", *, tools: Iterable[Any] | None = None
) -> Callable[[Any], int]:
    """A counter for ``langchain_core.messages.trim_messages``: whole requests, with framing, calls and tools.

    ``tools`` are what ``bind_tools`` takes: tools of LangChain, functions, Pydantic classes, dicts.
    """
    declared: list[Any] | None = None
    if tools is not None:
        declared = []
        for index, tool in enumerate(tools):
            try:
                if isinstance(tool, dict):
                    declared.append(tool)
                    continue
                from langchain_core.utils.function_calling import convert_to_openai_tool

                declared.append(convert_to_openai_tool(tool))
            except (TypeError, ValueError, AttributeError) as error:
                raise TypeError(f"tools[{index}] of type {type(tool).__name__} is no tool: {error}") from error

    def counter(messages: Any) -> int:
        return _native.count_messages(_wire(_list(messages)), model, tools=declared).total

    return counter


def compressor(*, max_tokens: int | None = None, **options: Any) -> Runnable[Any, Any]:
    """A Runnable from messages to messages, to stand before a model: ``compressor() | model``.

    Compresses results of tools, and with ``shorten_user`` what users say; with ``max_tokens`` it then trims. Where that does not
    suffice, the last results of tools are cut, and kept in ``store`` if one is given. Options are those of ``lacon.compress``.
    """
    from langchain_core.runnables import RunnableLambda

    store = options.get("store")

    def run(messages: Any) -> list[BaseMessage]:
        short = compress_messages(messages, **options)
        return short if max_tokens is None else _fit(short, max_tokens, store)

    return RunnableLambda(run, name="lacon")


def middleware(*, max_tokens: int | None = None, **options: Any) -> AgentMiddleware[Any, Any]:
    """A middleware for ``langchain.agents.create_agent``: the model gets the shorter messages, the state keeps the whole ones.

    Needs ``langchain``. Options are those of ``compressor``; an agent that awaits has the work done in a thread.
    """
    from langchain.agents.middleware import AgentMiddleware

    shorten = compressor(max_tokens=max_tokens, **options)

    class Shorter(AgentMiddleware):  # type: ignore[misc, type-arg, unused-ignore]
        @property
        def name(self) -> str:
            return "lacon"

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
