"""The savings around a client of the Anthropic SDK: ``client = lacon.anthropic.wrap(Anthropic())``. Needs ``anthropic``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from anthropic import Anthropic, AsyncAnthropic, types

from ._client import Form, wrapped
from ._savings import Call

__all__ = ["wrap"]

_C = TypeVar("_C", Anthropic, AsyncAnthropic)


def wrap(client: _C, **options: Any) -> _C:
    """A copy of the client with the savings of ``lacon.wrap``, whose options it takes: messages, and their streams.

    The agent of a call is ``agent``, what ``lacon.agent`` names, or the node of LangGraph.
    """
    forms = {path: Messages() for path in (Messages.path, f"{Messages.path}?beta=true")}
    return wrapped(client, Anthropic, AsyncAnthropic, forms, options)  # type: ignore[no-any-return]


class Messages(Form):
    """The messages API."""

    path = "/v1/messages"

    def is_text(self, body: Mapping[str, Any]) -> bool:
        form = body.get("output_config")
        return super().is_text(body) and not (isinstance(form, Mapping) and form.get("format"))

    def instruct(self, body: dict[str, Any], said: str) -> None:
        system = body.get("system")
        if not system:
            body["system"] = said
        elif isinstance(system, str):
            body["system"] = f"{system}\n\n{said}"
        else:
            # Behind the marks of a cache, so that what stands before them stays the same.
            body["system"] = [*system, {"type": "text", "text": said}]

    def piece(self, event: Any) -> str | None:
        return event.delta.text if event.type == "content_block_delta" and event.delta.type == "text_delta" else None

    def usage(self, thing: Any) -> tuple[Any, Any] | None:
        usage = getattr(getattr(thing, "message", thing), "usage", None)
        if usage is None:
            return None
        cached = (getattr(usage, key, None) or 0 for key in ("cache_creation_input_tokens", "cache_read_input_tokens"))
        return (usage.input_tokens or 0) + sum(cached), usage.output_tokens

    def text(self, answer: Any) -> str:
        return "".join(block.text for block in answer.content if block.type == "text")

    def last(self, call: Call, events: list[Any], event: Any, kept: str) -> list[Any]:
        begun = next(one.message for one in events if one.type == "message_start")
        # What it was asked is metered at the start, what it said is counted here.
        call.usage = ((self.usage(begun) or (0, 0))[0], 0)
        from . import count

        delta = {"stop_reason": "end_turn", "stop_sequence": None, "lacon_stopped_early": True}
        end = {"type": "message_delta", "delta": delta, "usage": {"output_tokens": count(call.text)}}
        return [
            event.model_copy(update={"delta": event.delta.model_copy(update={"text": kept})}),
            _type(event, "RawContentBlockStopEvent").construct(type="content_block_stop", index=event.index),
            _type(event, "RawMessageDeltaEvent").construct(**end),
            _type(event, "RawMessageStopEvent").construct(type="message_stop"),
        ]

    def joined(self, events: list[Any]) -> Any:
        whole = next((one.message.to_dict() for one in events if one.type == "message_start"), None)
        if whole is None or events[-1].type != "message_stop":
            raise ConnectionError(f"the stream ended after {len(events)} events without message_stop")
        blocks: dict[int, dict[str, Any]] = {}
        for event in events:
            if event.type == "content_block_start":
                blocks[event.index] = event.content_block.to_dict()
            elif event.type == "content_block_delta":
                kind = event.delta.type.removesuffix("_delta")
                block = blocks[event.index]
                if kind == "citations":
                    block["citations"] = [*(block.get("citations") or []), event.delta.citation.to_dict()]
                else:
                    block[kind] = (block.get(kind) or "") + getattr(event.delta, kind)
            elif event.type == "message_delta":
                whole.update(event.delta.to_dict())
                whole["usage"] = {**whole["usage"], **event.usage.to_dict()}
        whole["content"] = [blocks[index] for index in sorted(blocks)]
        return _type(events[0], "Message").construct(**whole)


def _type(event: Any, name: str) -> Any:
    """The class of that name among those that an event is of: the beta endpoint has its own."""
    is_beta = type(event).__name__.startswith("Beta")
    return getattr(types.beta, f"Beta{name}") if is_beta else getattr(types, name)
