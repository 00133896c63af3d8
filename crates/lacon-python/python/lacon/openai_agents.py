"""The savings for the OpenAI Agents SDK: around a model, and as a filter of what is sent. Needs ``openai-agents``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from agents import Model, ModelResponse, Usage
from agents.run import CallModelData, ModelInputData

from . import _native
from ._client import Job
from ._forms import Responses
from ._savings import Savings, alimited
from ._wrap import agent_now

__all__ = ["input_filter", "wrap"]


def input_filter(**options: Any) -> Callable[[CallModelData[Any]], ModelInputData]:
    """For ``RunConfig(call_model_input_filter=…)``: results of tools in their shorter, exact form.

    It also names the agent to a wrapped model, so that ``agents`` of ``wrap`` finds it. Options are those of ``lacon.compress``.
    """

    def shorten(data: CallModelData[Any]) -> ModelInputData:
        agent_now.set(data.agent.name)
        given = data.model_data
        short = _native.compress(given.input, **options)
        return ModelInputData(input=short.messages if short.changed else given.input, instructions=given.instructions)  # type: ignore[arg-type]

    return shorten


def wrap(model: Model, **options: Any) -> Model:
    """A model with the savings of ``lacon.wrap``, whose options it takes; for ``Agent(model=…)``.

    The agent of a call is ``agent``, or the one that runs where ``input_filter`` is set.
    """
    if not isinstance(model, Model):
        raise TypeError(f"model is of type {type(model).__name__}, a Model of the Agents SDK is needed")
    if isinstance(model, _Model):
        raise TypeError("model is wrapped already")
    return _Model(model, Savings(**options))


class _Form(Responses):
    path = "agents"

    def is_text(self, body: Mapping[str, Any]) -> bool:
        return not any(body[key] for key in ("tools", "handoffs", "output_schema"))

    def count(self, body: Mapping[str, Any], known: int | None = None) -> int:
        return super().count({**body, "tools": None}, known)

    def stream_options(self, body: dict[str, Any]) -> None:
        pass

    def text(self, answer: Any) -> str:
        parts = [part for item in answer.output for part in getattr(item, "content", None) or []]
        return "".join(getattr(part, "text", None) or "" for part in parts)

    def joined(self, events: list[Any]) -> ModelResponse:
        whole, used = super().joined(events), Usage()
        if whole.usage is not None:
            used = Usage(requests=1, input_tokens=whole.usage.input_tokens, output_tokens=whole.usage.output_tokens,
                         total_tokens=whole.usage.total_tokens)  # fmt: skip
        return ModelResponse(output=whole.output, usage=used, response_id=whole.id)


class _Model(Model):
    def __init__(self, inner: Model, savings: Savings) -> None:
        self.inner, self.savings = inner, savings

    @property
    def spent_usd(self) -> float:
        """What the calls that ended have cost."""
        return self.savings.spent_usd

    async def close(self) -> None:
        await self.inner.close()

    def get_retry_advice(self, request: Any) -> Any:
        return self.inner.get_retry_advice(request)

    async def get_response(self, *given: Any, **named: Any) -> ModelResponse:
        body = self._body(given, named)
        job = Job(self.savings, _Form(), body, system="agents", stream=False)

        def send(sent: dict[str, Any], stream: bool) -> Any:
            return (self.inner.stream_response if stream else self.inner.get_response)(**_sent(sent))

        return await job.arun(send, lambda stream, call, see: alimited(call, stream, see))  # type: ignore[no-any-return]

    async def stream_response(self, *given: Any, **named: Any) -> AsyncIterator[Any]:
        job = Job(self.savings, _Form(), self._body(given, named), system="agents", stream=True)
        events = await job.arun(
            lambda sent, _: self.inner.stream_response(**_sent(sent)), lambda stream, call, see: alimited(call, stream, see)
        )
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()

    def _body(self, given: Any, named: dict[str, Any]) -> dict[str, Any]:
        names = ("system_instructions", "input", "model_settings", "tools", "output_schema", "handoffs", "tracing")
        body = {**dict(zip(names, given, strict=False)), **named}
        settings = body["model_settings"]
        body.update(model=str(getattr(self.inner, "model", "unknown")), instructions=body.pop("system_instructions"),
                    max_output_tokens=settings.max_tokens, temperature=settings.temperature)  # fmt: skip
        return body


def _sent(body: dict[str, Any]) -> dict[str, Any]:
    ours = ("model", "instructions", "max_output_tokens", "temperature")
    return {**{key: value for key, value in body.items() if key not in ours}, "system_instructions": body["instructions"]}
