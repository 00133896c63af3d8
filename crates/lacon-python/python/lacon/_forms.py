"""The endpoints of OpenAI's API, for its SDK and for those that speak as it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._client import Form, told
from ._savings import Call


class Chat(Form):
    """Chat completions."""

    path = "/chat/completions"
    limits = ("max_completion_tokens", "max_tokens")

    def is_text(self, body: Mapping[str, Any]) -> bool:
        return super().is_text(body) and (body.get("n") or 1) == 1 and not body.get("audio") and not body.get("logprobs")

    def instruct(self, body: dict[str, Any], said: str) -> None:
        body["messages"] = told(body["messages"], said)

    def stream_options(self, body: dict[str, Any]) -> None:
        body.update(stream=True, stream_options={"include_usage": True})

    def piece(self, event: Any) -> str | None:
        choice = event.choices[0] if event.choices else None
        return choice.delta.content or None if choice is not None and choice.delta is not None else None

    def usage(self, thing: Any) -> tuple[Any, Any] | None:
        usage = getattr(thing, "usage", None)
        return (usage.prompt_tokens, usage.completion_tokens) if usage else None

    def text(self, answer: Any) -> str:
        return (answer.choices[0].message.content or "") if answer.choices else ""

    def last(self, call: Call, events: list[Any], event: Any, kept: str) -> list[Any]:
        choice = event.choices[0]
        delta = choice.delta.model_copy(update={"content": kept})
        choice = choice.model_copy(update={"delta": delta, "finish_reason": "stop"})
        return [event.model_copy(update={"choices": [choice], "lacon_stopped_early": True})]

    def joined(self, events: list[Any]) -> Any:
        from openai.types.chat import ChatCompletion

        return ChatCompletion.model_validate(self.whole(events))

    def whole(self, events: list[Any]) -> dict[str, Any]:
        """The completion of one choice. (The SDK's own fold repeats the role where a server does.)"""
        message: dict[str, Any] = {"role": "assistant", "content": None}
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": None}
        whole: dict[str, Any] = {}
        for event in events:
            said = event.model_dump(exclude_none=True)
            for one in said.pop("choices", [])[:1]:
                choice["finish_reason"] = one.get("finish_reason") or choice["finish_reason"]
                for key, value in (one.get("delta") or {}).items():
                    if key != "role" and isinstance(value, str):
                        message[key] = (message.get(key) or "") + value
            whole.update(said)
        if choice["finish_reason"] is None:
            raise ConnectionError(f"the stream ended after {len(events)} chunks without a finish_reason")
        return {**whole, "object": "chat.completion", "choices": [choice]}


class Responses(Form):
    """The responses API."""

    path = "/responses"
    messages = "input"
    limits = ("max_output_tokens",)

    def is_text(self, body: Mapping[str, Any]) -> bool:
        form = ((body.get("text") or {}).get("format") or {}).get("type", "text")
        return super().is_text(body) and form == "text" and not body.get("background")

    def instruct(self, body: dict[str, Any], said: str) -> None:
        body["instructions"] = f"{body['instructions']}\n\n{said}" if body.get("instructions") else said

    def piece(self, event: Any) -> str | None:
        return event.delta if event.type == "response.output_text.delta" else None

    def usage(self, thing: Any) -> tuple[Any, Any] | None:
        usage = getattr(getattr(thing, "response", thing), "usage", None)
        return (usage.input_tokens, usage.output_tokens) if usage else None

    def text(self, answer: Any) -> str:
        return answer.output_text or ""

    def last(self, call: Call, events: list[Any], event: Any, kept: str) -> list[Any]:
        from openai.types import responses as of

        # The text of parts and items that are whole already is not this one's.
        text = call.text[sum(len(one.text) for one in events if one.type == "response.output_text.done") :]
        done = [one.item for one in events if one.type == "response.output_item.done"]
        part = of.ResponseOutputText(type="output_text", text=text, annotations=[])
        item = of.ResponseOutputMessage(id=event.item_id, type="message", role="assistant", status="completed", content=[part])
        begun = next(one.response for one in events if one.type in ("response.created", "response.in_progress"))
        whole = begun.model_copy(update={"output": [*done, item], "status": "completed", "lacon_stopped_early": True})
        n = event.sequence_number
        inside = {"item_id": event.item_id, "output_index": event.output_index, "content_index": event.content_index}
        return [
            event.model_copy(update={"delta": kept}),
            of.ResponseTextDoneEvent(type="response.output_text.done", text=text, logprobs=[], sequence_number=n + 1, **inside),
            of.ResponseContentPartDoneEvent(type="response.content_part.done", part=part, sequence_number=n + 2, **inside),
            of.ResponseOutputItemDoneEvent(
                type="response.output_item.done", item=item, output_index=event.output_index, sequence_number=n + 3
            ),
            of.ResponseCompletedEvent(type="response.completed", response=whole, sequence_number=n + 4),
        ]

    def joined(self, events: list[Any]) -> Any:
        ends = ("response.completed", "response.incomplete", "response.failed")
        for event in reversed(events):
            if event.type in ends:
                return event.response
        raise ConnectionError(f"the stream ended after {len(events)} events without {ends[0]}")
