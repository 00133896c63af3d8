"""The savings for Pydantic AI: around a model, and as a processor of the history. Needs ``pydantic-ai``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from pydantic_ai import messages as of
from pydantic_ai.models import Model
from pydantic_ai.models.wrapper import WrapperModel

from . import _native
from ._savings import Call, Savings, alimited

__all__ = ["history_processor", "wrap"]


def history_processor(**options: Any) -> Callable[[list[of.ModelMessage]], list[of.ModelMessage]]:
    """For ``ProcessHistory(…)``: results of tools in their shorter, exact form. Options are those of ``lacon.compress``.

    Pydantic AI keeps what a processor gives, so the history itself gets shorter; ``wrap`` leaves it as it is.
    """

    def shorten(messages: list[of.ModelMessage]) -> list[of.ModelMessage]:
        return [_message(message, options) for message in messages]

    return shorten


def _message(message: of.ModelMessage, options: dict[str, Any]) -> of.ModelMessage:
    if not isinstance(message, of.ModelRequest):
        return message
    parts = [_part(part, options) for part in message.parts]
    return message if all(new is old for new, old in zip(parts, message.parts, strict=True)) else replace(message, parts=parts)


def _part(part: Any, options: dict[str, Any]) -> Any:
    if not isinstance(part, of.ToolReturnPart):
        return part
    # What is no text is sent as this JSON.
    short = _native.compress(part.model_response_str(), **options)
    return part if short.saved <= 0 else replace(part, content=short.text)


def wrap(model: Model | str, **options: Any) -> WrapperModel:
    """A model with the savings of ``lacon.wrap``, whose options it takes but ``single_flight``; for ``Agent(model)``.

    The agent of a call is ``agent``, what ``lacon.agent`` names, or the node of LangGraph.
    """
    if not isinstance(model, (Model, str)):
        raise TypeError(f"model is of type {type(model).__name__}, a Model of Pydantic AI or its name is needed")
    if isinstance(model, _Model):
        raise TypeError("model is wrapped already")
    if options.pop("single_flight", None):
        raise ValueError("single_flight is True: Pydantic AI's calls are not shared\nhint: wrap the client by lacon.openai.wrap")
    return _Model(model, Savings(**options))


class _Model(WrapperModel):
    def __init__(self, wrapped: Model | str, savings: Savings) -> None:
        super().__init__(wrapped)
        self.savings = savings

    @property
    def spent_usd(self) -> float:
        """What the calls that ended have cost."""
        return self.savings.spent_usd

    def _begin(self, messages: list[of.ModelMessage], settings: Any, form: Any) -> tuple[Call, list[of.ModelMessage]]:
        agent, before = self.savings.name(), _tokens(messages)
        limit = self.savings.limit(agent, form.output_mode == "text" and not (form.function_tools or form.output_tools))
        sent = [_message(message, {}) for message in messages] if self.savings.compress else list(messages)
        saved = before - _tokens(sent)
        if limit is not None and self.savings.instruct and isinstance(sent[0], of.ModelRequest):
            sent[0] = replace(sent[0], parts=[of.SystemPromptPart(limit.instruction()), *sent[0].parts])
        most = (settings or {}).get("max_tokens")
        return Call(self.savings, self.model_name, agent, _tokens(sent), limit=limit, saved=saved, max_output=most), sent

    async def request(self, messages: Any, model_settings: Any, model_request_parameters: Any) -> of.ModelResponse:
        call, sent = self._begin(messages, model_settings, model_request_parameters)
        if call.cuts:
            async with self._streamed(call, sent, model_settings, model_request_parameters) as stream:
                async for _ in stream:
                    pass
                return stream.get()  # type: ignore[no-any-return]
        with call.watched():
            answer = await self.wrapped.request(sent, model_settings, model_request_parameters)
            call.text = "".join(part.content for part in answer.parts if isinstance(part, of.TextPart))
            call.note((answer.usage.input_tokens, answer.usage.output_tokens))
            return answer

    @asynccontextmanager
    async def request_stream(
        self, messages: Any, model_settings: Any, model_request_parameters: Any, run_context: Any = None
    ) -> AsyncIterator[Any]:  # type: ignore[override, unused-ignore]
        call, sent = self._begin(messages, model_settings, model_request_parameters)
        async with self._streamed(call, sent, model_settings, model_request_parameters, run_context) as stream:
            yield stream

    @asynccontextmanager
    async def _streamed(self, call: Call, *given: Any) -> AsyncIterator[Any]:
        with call.failing():
            async with self.wrapped.request_stream(*given) as stream:
                inner = stream._get_event_iterator

                def see(event: Any) -> list[Any]:
                    return _see(call, stream, event)

                stream._get_event_iterator = lambda: alimited(call, inner(), see)  # type: ignore[method-assign]
                try:
                    yield stream
                finally:
                    if call.stopped:
                        await stream.close_stream()
        call.end()


def _see(call: Call, stream: Any, event: Any) -> list[Any]:
    """Tells a call of an event, and shortens it and the text that Pydantic AI gathered where the answer ends."""
    call.note((stream.usage.input_tokens, stream.usage.output_tokens))
    if isinstance(event, of.PartStartEvent) and isinstance(event.part, of.TextPart):
        piece = event.part.content
    elif isinstance(event, of.PartDeltaEvent) and isinstance(event.delta, of.TextPartDelta):
        piece = event.delta.content_delta
    else:
        return [event]
    kept = call.take(piece)
    if not call.stopped:
        return [event]
    parts, at = stream._parts_manager, event.index
    # Makes texts of the pieces that it holds.
    parts.get_parts()
    text = parts._parts[at].content
    parts._parts[at] = replace(parts._parts[at], content=text[: len(text) - len(piece) + len(kept)])
    stream.finish_reason, stream.provider_details = "stop", {**(stream.provider_details or {}), "lacon_stopped_early": True}
    if isinstance(event, of.PartStartEvent):
        return [replace(event, part=parts._parts[at])]
    return [replace(event, delta=replace(event.delta, content_delta=kept))]


def _tokens(messages: list[of.ModelMessage]) -> int:
    said = [getattr(message, "instructions", None) or "" for message in messages]
    for message in messages:
        for part in message.parts:
            content = getattr(part, "content", None)
            said.append(part.model_response_str() if isinstance(part, of.ToolReturnPart) else content if isinstance(content, str) else "")
    return _native.count("\n".join(said)) + 4 * len(messages)
