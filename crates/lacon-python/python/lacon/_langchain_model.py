"""The chat model of LangChain that `wrap` gives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel, agenerate_from_stream, generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableBinding, RunnableSequence

from . import _native
from ._savings import Call, Savings, alimited, limited, note_shared
from .langchain import _wire, compress_messages

_FORMED = ("tools", "response_format", "tool_choice", "functions", "ls_structured_output_format")


def make(model: Any, **options: Any) -> Any:
    """Checks what `wrap` was given."""
    if isinstance(model, RunnableBinding):
        return model.model_copy(update={"bound": make(model.bound, **options)})
    if not isinstance(model, BaseChatModel):
        hint = "\nhint: clients of SDKs are wrapped by lacon.openai.wrap, lacon.anthropic.wrap and their like"
        raise TypeError(f"model is of type {type(model).__name__}, a chat model of LangChain is needed{hint}")
    if isinstance(model, LaconChatModel):
        raise TypeError("model is wrapped already")
    return LaconChatModel(
        inner=model, savings=Savings(**options), cache=model.cache, rate_limiter=model.rate_limiter, disable_streaming=model.disable_streaming
    )


class LaconChatModel(BaseChatModel):
    """A chat model with Lacon's savings; made by ``lacon.wrap``."""

    inner: BaseChatModel
    savings: Any

    @property
    def spent_usd(self) -> float:
        """What the calls that ended have cost."""
        return float(self.savings.spent_usd)

    @property
    def model_name_or_type(self) -> str:
        """The inner model's name, or its type."""
        return str(getattr(self.inner, "model_name", None) or getattr(self.inner, "model", None) or self.inner._llm_type)

    @property
    def _llm_type(self) -> str:
        return f"lacon-{self.inner._llm_type}"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**dict(self.inner._identifying_params), "lacon": self._identity()}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return self.inner._get_ls_params(stop=stop, **kwargs)

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        """As the inner model binds them."""
        return self._outside(self.inner.bind_tools(tools, **kwargs))

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
        """As the inner model does it, with the calls through this one."""
        return self._outside(self.inner.with_structured_output(schema, **kwargs))

    def _outside(self, made: Any) -> Any:
        """What the inner model made of itself, with this model in its place."""
        if made is self.inner:
            return self
        if isinstance(made, RunnableBinding):
            return made.model_copy(update={"bound": self._outside(made.bound)})
        if isinstance(made, RunnableSequence):
            return RunnableSequence(*(self._outside(step) for step in made.steps))
        if hasattr(made, "steps__"):
            return type(made)({name: self._outside(step) for name, step in made.steps__.items()})
        return made

    def _identity(self) -> Any:
        """What a cache of LangChain must tell apart."""
        limits = {name: (limit.words, limit.sections) for name, limit in self.savings.agents.items()}
        return {"agents": limits, "agent": self._agent(None), "compress": self.savings.compress, "instruct": self.savings.instruct}

    def _agent(self, run_manager: Any) -> str | None:
        return self.savings.name((getattr(run_manager, "metadata", None) or {}).get("langgraph_node"))  # type: ignore[no-any-return]

    def _begin(self, messages: list[BaseMessage], agent: str | None, kwargs: dict[str, Any]) -> tuple[Call, list[BaseMessage]]:
        limit = self.savings.limit(agent, not any(kwargs.get(key) for key in _FORMED))
        before = _tokens(messages)
        sent = compress_messages(messages) if self.savings.compress else list(messages)
        saved = before - _tokens(sent)
        if limit is not None and self.savings.instruct:
            sent = _instructed(sent, limit.instruction())
        most = next((kwargs[key] for key in ("max_tokens", "max_completion_tokens", "max_output_tokens") if kwargs.get(key)), None)
        most = most or getattr(self.inner, "max_tokens", None)
        return Call(self.savings, self.model_name_or_type, agent, _tokens(sent), limit=limit, saved=saved, max_output=most), sent

    def _streams(self, call: Call, is_async: bool) -> bool:
        """Whether a call that wants one answer is made as a stream, to stop it early."""
        inner = type(self.inner)
        there = inner._stream is not BaseChatModel._stream or (is_async and inner._astream is not BaseChatModel._astream)
        return call.cuts and there and self.inner.disable_streaming is not True

    # Calls.

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        agent = self._agent(run_manager)

        def ask() -> ChatResult:
            call, sent = self._begin(messages, agent, kwargs)
            if self._streams(call, False):
                return generate_from_stream(limited(call, self.inner._stream(sent, stop=stop, **kwargs), _seer(call)))
            with call.watched():
                return _seen(call, self.inner._generate(sent, stop=stop, **kwargs))

        if not self.savings.flies(getattr(self.inner, "temperature", None)):
            return ask()
        return self.savings.once(self._key(messages, stop, kwargs, agent), ask, lambda result: self._shared(result, agent))  # type: ignore[no-any-return]

    async def _agenerate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        agent = self._agent(run_manager)

        async def ask() -> ChatResult:
            call, sent = self._begin(messages, agent, kwargs)
            if self._streams(call, True):
                return await agenerate_from_stream(alimited(call, self.inner._astream(sent, stop=stop, **kwargs), _seer(call)))
            with call.watched():
                return _seen(call, await self.inner._agenerate(sent, stop=stop, **kwargs))

        if not self.savings.flies(getattr(self.inner, "temperature", None)):
            return await ask()
        return await self.savings.aonce(self._key(messages, stop, kwargs, agent), ask, lambda result: self._shared(result, agent))  # type: ignore[no-any-return]

    def _stream(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        call, sent = self._begin(messages, self._agent(run_manager), kwargs)
        if type(self.inner)._stream is BaseChatModel._stream:
            # Nothing is saved by cutting an answer that is there already.
            with call.watched():
                yield from _as_chunks(_seen(call, self.inner._generate(sent, stop=stop, **kwargs)))
            return
        yield from limited(call, self.inner._stream(sent, stop=stop, **kwargs), _seer(call))

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        call, sent = self._begin(messages, self._agent(run_manager), kwargs)
        inner = type(self.inner)
        if inner._astream is BaseChatModel._astream and inner._stream is BaseChatModel._stream:
            with call.watched():
                for chunk in _as_chunks(_seen(call, await self.inner._agenerate(sent, stop=stop, **kwargs))):
                    yield chunk
            return
        chunks = alimited(call, self.inner._astream(sent, stop=stop, **kwargs), _seer(call))
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()  # type: ignore[attr-defined]

    def _key(self, messages: list[BaseMessage], stop: Any, kwargs: dict[str, Any], agent: str | None) -> str:
        said = [(message.type, message.model_dump(exclude={"id"})) for message in messages]
        return repr((said, stop, sorted(kwargs.items(), key=lambda item: item[0]), agent))

    def _shared(self, result: ChatResult, agent: str | None) -> ChatResult:
        note_shared(self.model_name_or_type, agent)
        out = []
        for generation in result.generations:
            # Each caller's answer is a message of its own.
            message = generation.message.model_copy(deep=True, update={"id": None})
            out.append(ChatGeneration(message=message, generation_info=generation.generation_info))
        return ChatResult(generations=out, llm_output=result.llm_output)


def _seer(call: Call) -> Any:
    """Tells a call of each chunk of its stream."""

    def see(chunk: ChatGenerationChunk) -> list[ChatGenerationChunk]:
        message = chunk.message
        _note(call, message)
        if not isinstance(message.content, str) or getattr(message, "tool_call_chunks", None):
            call.cuts = False
            call.take(str(message.text))
            return [chunk]
        kept = call.take(message.content)
        if not call.stopped:
            return [chunk]
        metadata = {**message.response_metadata, "finish_reason": "stop", "lacon_stopped_early": True}
        short = message.model_copy(update={"content": kept, "response_metadata": metadata})
        info = {**(chunk.generation_info or {}), "finish_reason": "stop", "lacon_stopped_early": True}
        return [ChatGenerationChunk(message=short, generation_info=info)]

    return see


def _note(call: Call, message: BaseMessage) -> None:
    usage = getattr(message, "usage_metadata", None)
    call.note((usage.get("input_tokens"), usage.get("output_tokens")) if usage else None)


def _seen(call: Call, result: ChatResult) -> ChatResult:
    for generation in result.generations[:1]:
        call.text = str(generation.message.text)
        _note(call, generation.message)
    return result


def _as_chunks(result: ChatResult) -> Iterator[ChatGenerationChunk]:
    for generation in result.generations[:1]:
        message = generation.message
        fields = {key: value for key, value in message.model_dump().items() if key in AIMessageChunk.model_fields and key != "type"}
        yield ChatGenerationChunk(message=AIMessageChunk(**fields), generation_info=generation.generation_info)


def _tokens(messages: list[BaseMessage]) -> int:
    return _native.count_messages(_wire(messages)).total


def _instructed(messages: list[BaseMessage], said: str) -> list[BaseMessage]:
    if messages and isinstance(messages[0], SystemMessage) and isinstance(messages[0].content, str):
        first = messages[0].model_copy(update={"content": f"{messages[0].content}\n\n{said}"})
        return [first, *messages[1:]]
    return [SystemMessage(said), *messages]
