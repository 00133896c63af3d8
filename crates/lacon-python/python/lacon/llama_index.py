"""The savings around a model of LlamaIndex: ``Settings.llm = lacon.llama_index.wrap(llm)``. Needs ``llama-index-core``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.llms import LLM

from . import _native
from ._savings import Call, Savings, alimited, limited

__all__ = ["wrap"]

_L = TypeVar("_L", bound=LLM)
_FORMED = ("tools", "tool_choice", "response_format")


def wrap(llm: _L, **options: Any) -> _L:
    """A copy of the model with the savings of ``lacon.wrap``, whose options it takes but ``single_flight``.

    It saves on ``chat``, ``stream_chat`` and their awaited forms, which agents and chat engines use; ``complete`` stays as it is.
    The agent of a call is ``agent``, what ``lacon.agent`` names, or the node of LangGraph.
    """
    if not isinstance(llm, LLM):
        raise TypeError(f"llm is of type {type(llm).__name__}, a model of LlamaIndex is needed")
    if hasattr(type(llm), "lacon_savings"):
        raise TypeError("llm is wrapped already")
    if options.pop("single_flight", None):
        raise ValueError("single_flight is True: LlamaIndex's calls are not shared\nhint: wrap the client of the SDK that the model uses")
    copy = llm.model_copy()
    copy.__class__ = _derived(type(llm), Savings(**options))
    return copy


def _derived(kind: Any, savings: Savings) -> Any:
    """The model's own class, with other methods for its calls."""

    def chat(self: Any, messages: Sequence[ChatMessage], **given: Any) -> ChatResponse:
        call, sent = _begin(self, savings, messages, given)
        if call.cuts:
            answer: ChatResponse | None = None
            for answer in limited(call, kind.stream_chat(self, sent, **given), _seer(call)):
                pass
            return _there(answer)
        with call.watched():
            return _seen(call, kind.chat(self, sent, **given))

    async def achat(self: Any, messages: Sequence[ChatMessage], **given: Any) -> ChatResponse:
        call, sent = _begin(self, savings, messages, given)
        if call.cuts:
            answer: ChatResponse | None = None
            async for answer in alimited(call, await kind.astream_chat(self, sent, **given), _seer(call)):
                pass
            return _there(answer)
        with call.watched():
            return _seen(call, await kind.achat(self, sent, **given))

    def stream_chat(self: Any, messages: Sequence[ChatMessage], **given: Any) -> Any:
        call, sent = _begin(self, savings, messages, given)
        with call.failing():
            return limited(call, kind.stream_chat(self, sent, **given), _seer(call))

    async def astream_chat(self: Any, messages: Sequence[ChatMessage], **given: Any) -> Any:
        call, sent = _begin(self, savings, messages, given)
        with call.failing():
            return alimited(call, await kind.astream_chat(self, sent, **given), _seer(call))

    own = {"chat": chat, "achat": achat, "stream_chat": stream_chat, "astream_chat": astream_chat, "__module__": kind.__module__}
    made = type(kind)(f"Lacon{kind.__name__}", (kind,), {**own, "spent_usd": property(lambda self: savings.spent_usd)})
    made.lacon_savings = savings
    return made


def _begin(llm: Any, savings: Savings, messages: Sequence[ChatMessage], given: dict[str, Any]) -> tuple[Call, list[ChatMessage]]:
    agent, before = savings.name(), _tokens(messages)
    limit = savings.limit(agent, not any(given.get(key) for key in _FORMED))
    sent = [_shorter(message) for message in messages] if savings.compress else list(messages)
    saved = before - _tokens(sent)
    if limit is not None and savings.instruct:
        said, at = limit.instruction(), next((i for i, one in enumerate(sent) if one.role == MessageRole.SYSTEM), None)
        if at is None:
            sent.insert(0, ChatMessage(said, role=MessageRole.SYSTEM))
        else:
            sent[at] = ChatMessage(f"{sent[at].content or ''}\n\n{said}", role=MessageRole.SYSTEM)
    about = llm.metadata
    most = given.get("max_tokens") or getattr(llm, "max_tokens", None)
    return Call(savings, about.model_name, agent, _tokens(sent), limit=limit, saved=saved, max_output=most), sent


def _shorter(message: ChatMessage) -> ChatMessage:
    if message.role not in (MessageRole.TOOL, MessageRole.FUNCTION) or not message.content or any(b.block_type != "text" for b in message.blocks):
        return message
    short = _native.compress(message.content)
    return message if short.saved <= 0 else ChatMessage(short.text, role=message.role, additional_kwargs=message.additional_kwargs)


def _seer(call: Call) -> Callable[[ChatResponse], list[ChatResponse]]:
    def see(part: ChatResponse) -> list[ChatResponse]:
        # Parts hold the text so far; some models leave out what is new.
        text = part.message.content or ""
        kept = call.take(text[len(call.text) :] if text.startswith(call.text) else part.delta or "")
        if not call.stopped:
            return [part]
        message = ChatMessage(call.text, role=part.message.role, additional_kwargs=part.message.additional_kwargs)
        more = {**part.additional_kwargs, "lacon_stopped_early": True}
        return [part.model_copy(update={"message": message, "delta": kept, "additional_kwargs": more})]

    return see


def _seen(call: Call, answer: ChatResponse) -> ChatResponse:
    call.text = answer.message.content or ""
    usage = getattr(answer.raw, "usage", None)
    call.note((getattr(usage, "prompt_tokens", 0), getattr(usage, "completion_tokens", 0)) if usage is not None else None)
    return answer


def _there(answer: ChatResponse | None) -> ChatResponse:
    if answer is None:
        raise ConnectionError("the stream ended without an answer")
    return answer


def _tokens(messages: Sequence[ChatMessage]) -> int:
    return _native.count("\n".join(message.content or "" for message in messages)) + 4 * len(messages)
