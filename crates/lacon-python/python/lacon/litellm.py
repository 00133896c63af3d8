"""The savings around LiteLLM: ``completion = lacon.litellm.wrap(litellm.completion)``. Needs ``litellm``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from time import perf_counter
from typing import Any, TypeVar

from litellm.integrations.custom_logger import CustomLogger

from . import _ledger, _native
from ._client import Job, told
from ._forms import Chat
from ._savings import Savings, alimited, limited

__all__ = ["callback", "wrap"]

_F = TypeVar("_F", bound=Callable[..., Any])


def wrap(function: _F, **options: Any) -> _F:
    """``completion``, ``acompletion``, or a router's, with the savings of ``lacon.wrap``, whose options it takes.

    Streams are plain iterators. The agent of a call is ``agent``, what ``lacon.agent`` names, or the node of LangGraph.
    """
    if not callable(function):
        raise TypeError(f"function is of type {type(function).__name__}, litellm.completion or litellm.acompletion is needed")
    savings, form, is_async = Savings(**options), _Completion(), inspect.iscoroutinefunction(function)

    @wraps(function)
    def call(*given: Any, **body: Any) -> Any:
        body.update(zip(("model", "messages"), given, strict=False))
        if len(given) > 2:
            raise TypeError(f"{len(given)} values without a name are given, model and messages are the only ones")
        job = Job(savings, form, body, system="litellm", stream=bool(body.get("stream")))
        if is_async:
            return job.arun(lambda sent, _: function(**sent), alimited_of)
        return job.run(lambda sent, _: function(**sent), limited_of)

    if is_async:

        @wraps(function)
        async def acall(*given: Any, **body: Any) -> Any:
            return await call(*given, **body)

        return acall  # type: ignore[return-value]
    return call  # type: ignore[return-value]


def limited_of(stream: Any, call: Any, see: Any) -> Any:
    return limited(call, stream, see)


def alimited_of(stream: Any, call: Any, see: Any) -> Any:
    return alimited(call, stream, see)


class _Completion(Chat):
    path = "litellm"

    def joined(self, events: list[Any]) -> Any:
        from litellm import ModelResponse

        return ModelResponse(**self.whole(events))


def callback(**options: Any) -> CustomLogger:
    """For ``litellm.callbacks``, where calls cannot be wrapped: a row of the ledger for each call.

    Calls that are awaited, as those of a router or of LiteLLM's proxy, are compressed and told their limit too.
    """
    return _Callback(Savings(**options))


class _Callback(CustomLogger):  # type: ignore[misc, unused-ignore]
    def __init__(self, savings: Savings) -> None:
        super().__init__()
        self.savings = savings

    async def async_pre_call_deployment_hook(self, kwargs: Mapping[str, Any], call_type: Any) -> dict[str, Any] | None:
        messages = kwargs.get("messages")
        if getattr(call_type, "value", call_type) not in ("completion", "acompletion") or not messages:
            return None
        if self.savings.compress:
            short = _native.compress(messages)
            messages = short.messages or messages
        limit = self.savings.limit(self.savings.name(), Chat().is_text(kwargs))
        if limit is not None and self.savings.instruct:
            messages = told(messages, limit.instruction())
        return {**kwargs, "messages": messages}

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._note(kwargs, response_obj, start_time, end_time, None)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._note(kwargs, None, start_time, end_time, type(kwargs.get("exception")).__name__)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._note(kwargs, response_obj, start_time, end_time, None)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._note(kwargs, None, start_time, end_time, type(kwargs.get("exception")).__name__)

    def _note(self, kwargs: Any, answer: Any, start: Any, end: Any, error: str | None) -> None:
        n_in, n_out = Chat().usage(answer) or (0, 0) if answer is not None else (0, 0)
        model, usd = str(kwargs.get("model") or "unknown"), self.savings.cost(n_in or 0, n_out or 0)
        self.savings.spent_usd += usd
        began = perf_counter() - (end - start).total_seconds()
        _ledger.add(f"chat {model}", began, error, operation="chat", model=model, agent=self.savings.name() or "", input_tokens=n_in,
                    output_tokens=n_out, saved_tokens=0, stopped_early=0, shared=0, usd=usd)  # fmt: skip
