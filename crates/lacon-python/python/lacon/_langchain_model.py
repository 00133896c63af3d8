"""The chat model that `wrap` gives."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future
from time import perf_counter
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel, agenerate_from_stream, generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableBinding, RunnableSequence
from langchain_core.runnables.config import ensure_config
from pydantic import Field, PrivateAttr

from . import _ledger, _native
from .errors import BudgetError
from .langchain import compress_messages

# A full stop inside a number or a name has no space behind it.
_SENTENCE_END = re.compile(r"[.!?…][\"')\]]*(?=\s)|\n")
_WORD = re.compile(r"\S+")


def make(model: Any, **options: Any) -> Any:
    """Checks what `wrap` was given."""
    if isinstance(model, RunnableBinding):
        return model.model_copy(update={"bound": make(model.bound, **options)})
    if not isinstance(model, BaseChatModel):
        raise TypeError(f"model is of type {type(model).__name__}, a chat model of LangChain is needed")
    if isinstance(model, LaconChatModel):
        raise TypeError("model is wrapped already")
    agents = options["agents"]
    if agents is not None and not isinstance(agents, Mapping):
        raise TypeError(f"agents is of type {type(agents).__name__}, a dict of words by agent is needed")
    for name, words in (agents or {}).items():
        if not isinstance(name, str):
            raise TypeError(f"agents has the key {name!r}, a str is needed")
        if words is not None and (isinstance(words, bool) or not isinstance(words, int)):
            raise TypeError(f"agents[{name!r}] is {words!r}, a whole number of words or None is needed")
        if words is not None and words < 1:
            raise ValueError(f"agents[{name!r}] is {words}, at least 1 word is needed")
    budget, prices = options["budget_usd"], options["prices"]
    if budget is not None:
        if prices is None:
            raise ValueError("budget_usd needs prices\nhint: prices=(input, output), in USD for a million tokens")
        if not budget >= 0:
            raise ValueError(f"budget_usd is {budget}, it must not be below 0")
    if prices is not None:
        try:
            first, second = (float(price) for price in prices)
        except (TypeError, ValueError):
            raise TypeError(f"prices is {prices!r}, a pair (input, output) in USD for a million tokens is needed") from None
        if not (first >= 0 and second >= 0):
            raise ValueError(f"prices is {prices!r}: prices must not be below 0")
        prices = (first, second)
    if options["max_output_tokens"] < 1:
        raise ValueError(f"max_output_tokens is {options['max_output_tokens']}, at least 1 is needed")
    once = options["single_flight"]
    once = getattr(model, "temperature", None) == 0 if once is None else once
    own = {"agents": dict(agents or {}), "prices": prices, "single_flight": once}
    return LaconChatModel(
        inner=model, cache=model.cache, rate_limiter=model.rate_limiter, disable_streaming=model.disable_streaming,
        **{**options, **own},
    )  # fmt: skip


class _Call:
    """One call on its way: what is sent, for whom, and what it may cost."""

    def __init__(self, model: LaconChatModel, messages: list[BaseMessage], kwargs: dict[str, Any], agent: str | None) -> None:
        self.model = model
        self.agent = agent
        self.start = perf_counter()
        self.saved = 0
        self.stopped = False
        self.words = model.agents.get(agent) if agent is not None else None
        # An answer with a form of its own is not text to be cut.
        if any(kwargs.get(key) for key in ("tools", "response_format", "tool_choice", "functions", "ls_structured_output_format")):
            self.words = None
        sent = list(messages)
        before = _tokens(sent)
        if model.compress:
            sent = compress_messages(sent)
        self.saved = max(before - _tokens(sent), 0)
        if self.words is not None and model.instruct:
            sent = _instructed(sent, self.words)
        self.messages = sent
        self.input_tokens = _tokens(sent)
        self.reserved = 0.0
        if model.budget_usd is not None:
            limit = next((kwargs[key] for key in ("max_tokens", "max_completion_tokens", "max_output_tokens") if kwargs.get(key)), None)
            limit = limit or getattr(model.inner, "max_tokens", None) or model.max_output_tokens
            self.reserved = self.cost(self.input_tokens, int(limit))
            with model._lock:
                after = model._spent + model._promised + self.reserved
                if after > model.budget_usd:
                    raise BudgetError(
                        f"this call may cost {self.reserved:.6f} USD, and {model._spent + model._promised:.6f} of "
                        f"{model.budget_usd:.6f} USD are spent or promised\nhint: raise budget_usd, or lower max_output_tokens"
                    )
                model._promised += self.reserved

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        if self.model.prices is None:
            return 0.0
        return (input_tokens * self.model.prices[0] + output_tokens * self.model.prices[1]) / 1e6

    def end(self, message: BaseMessage | None, text: str, error: BaseException | None = None) -> None:
        """Notes what came of it. A call that failed is paid for as far as its answer came."""
        usage = getattr(message, "usage_metadata", None) or {}
        n_in = usage.get("input_tokens") or self.input_tokens
        n_out = usage.get("output_tokens") or _native.count(text)
        nothing = error is not None and not text
        spent = 0.0 if nothing else self.cost(n_in, n_out)
        model = self.model
        with model._lock:
            model._promised -= self.reserved
            model._spent += spent
        _ledger.add(
            f"chat {model.model_name_or_type}",
            self.start,
            None if error is None else type(error).__name__,
            operation="chat",
            model=model.model_name_or_type,
            agent=self.agent or "",
            input_tokens=0 if nothing else n_in,
            output_tokens=0 if nothing else n_out,
            saved_tokens=self.saved,
            stopped_early=int(self.stopped),
            shared=0,
            usd=spent,
        )


class _Cutter:
    """Passes chunks of a stream on until the end of the sentence behind a limit of words."""

    def __init__(self, call: _Call) -> None:
        self.call = call
        self.text = ""
        self.last: BaseMessage | None = None
        self.words = call.words if call.model.early_stop else None

    def take(self, chunk: ChatGenerationChunk) -> ChatGenerationChunk | None:
        """What to pass on of a chunk; ``call.stopped`` says whether it is the last."""
        message = chunk.message
        if getattr(message, "usage_metadata", None):
            self.last = message
        if not isinstance(message.content, str) or getattr(message, "tool_call_chunks", None):
            self.words = None
        before = len(self.text)
        self.text += str(message.text)
        if self.words is None:
            return chunk
        for number, word in enumerate(_WORD.finditer(self.text), 1):
            if number == self.words:
                end = _SENTENCE_END.search(self.text, word.start())
                if end is None:
                    return chunk
                # Where the end of a sentence shows with the next chunk alone, all before it is passed on already.
                cut = max(end.end(), before)
                self.call.stopped = True
                self.text = self.text[:cut]
                content = message.content[: cut - before]
                metadata = {**message.response_metadata, "finish_reason": "stop", "lacon_stopped_early": True}
                short = message.model_copy(update={"content": content, "response_metadata": metadata})
                info = {**(chunk.generation_info or {}), "finish_reason": "stop", "lacon_stopped_early": True}
                return ChatGenerationChunk(message=short, generation_info=info)
        return chunk


class LaconChatModel(BaseChatModel):
    """A chat model with Lacon's savings; made by ``lacon.wrap``."""

    inner: BaseChatModel
    agents: dict[str, int | None] = Field(default_factory=dict)
    agent: str | None = None
    instruct: bool = True
    early_stop: bool = True
    compress: bool = True
    budget_usd: float | None = None
    prices: tuple[float, float] | None = None
    max_output_tokens: int = 4096
    single_flight: bool = False

    _lock: Any = PrivateAttr(default_factory=threading.Lock)
    _spent: float = PrivateAttr(default=0.0)
    _promised: float = PrivateAttr(default=0.0)
    _flights: dict[Any, Any] = PrivateAttr(default_factory=dict)

    @property
    def spent_usd(self) -> float:
        """What the calls that ended have cost."""
        return self._spent

    @property
    def model_name_or_type(self) -> str:
        """The inner model's name, or its type."""
        return str(getattr(self.inner, "model_name", None) or getattr(self.inner, "model", None) or self.inner._llm_type)

    @property
    def _llm_type(self) -> str:
        return f"lacon-{self.inner._llm_type}"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**dict(self.inner._identifying_params), "lacon_agents": self.agents, "lacon_agent": self._agent(None)}

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

    def _agent(self, run_manager: Any) -> str | None:
        if self.agent is not None:
            return self.agent
        metadata = getattr(run_manager, "metadata", None) or {}
        return metadata.get("langgraph_node") or (ensure_config().get("metadata") or {}).get("langgraph_node")

    def _streams(self, call: _Call, is_async: bool) -> bool:
        """Whether a call that wants one answer is made as a stream, to stop it early."""
        inner = type(self.inner)
        there = inner._stream is not BaseChatModel._stream or (is_async and inner._astream is not BaseChatModel._astream)
        return call.words is not None and self.early_stop and there and self.inner.disable_streaming is not True

    # Calls.

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        agent = self._agent(run_manager)
        if not self.single_flight:
            return self._call(messages, stop, agent, kwargs)
        key = self._key(messages, stop, kwargs, agent)
        with self._lock:
            mine = key not in self._flights
            flight = self._flights.setdefault(key, Future())
        if not mine:
            return self._shared(flight.result(), agent)
        try:
            result = self._call(messages, stop, agent, kwargs)
        except BaseException as error:
            self._land(key)
            flight.set_exception(error)
            raise
        self._land(key)
        flight.set_result(result)
        return result

    async def _agenerate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        agent = self._agent(run_manager)
        if not self.single_flight:
            return await self._acall(messages, stop, agent, kwargs)
        key = self._key(messages, stop, kwargs, agent)
        while True:
            with self._lock:
                mine = key not in self._flights
                flight = self._flights.setdefault(key, Future())
            if mine:
                break
            # The task that made the call may be canceled; its followers then make it themselves.
            result = await asyncio.wrap_future(_follow(flight))
            if result is not None:
                return self._shared(result, agent)
        try:
            result = await self._acall(messages, stop, agent, kwargs)
        except asyncio.CancelledError:
            self._land(key)
            flight.set_result(None)
            raise
        except BaseException as error:
            self._land(key)
            flight.set_exception(error)
            raise
        self._land(key)
        flight.set_result(result)
        return result

    def _key(self, messages: list[BaseMessage], stop: Any, kwargs: dict[str, Any], agent: str | None) -> str:
        said = [(message.type, message.model_dump(exclude={"id"})) for message in messages]
        return repr((said, stop, sorted(kwargs.items(), key=lambda item: item[0]), agent))

    def _land(self, key: str) -> None:
        with self._lock:
            self._flights.pop(key, None)

    def _shared(self, result: ChatResult | None, agent: str | None) -> ChatResult:
        if result is None:
            raise RuntimeError("the equal call that this one waited for was canceled")
        now = perf_counter()
        name = self.model_name_or_type
        _ledger.add(f"chat {name}", now, operation="chat", model=name, agent=agent or "", input_tokens=0, output_tokens=0, saved_tokens=0,
                    stopped_early=0, shared=1, usd=0.0)  # fmt: skip
        out = []
        for generation in result.generations:
            # Each caller's answer is a message of its own.
            message = generation.message.model_copy(deep=True, update={"id": None})
            out.append(ChatGeneration(message=message, generation_info=generation.generation_info))
        return ChatResult(generations=out, llm_output=result.llm_output)

    def _call(self, messages: list[BaseMessage], stop: Any, agent: str | None, kwargs: dict[str, Any]) -> ChatResult:
        call = _Call(self, messages, kwargs, agent)
        if self._streams(call, False):
            return generate_from_stream(self._limited(call, stop, kwargs))
        try:
            result = self.inner._generate(call.messages, stop=stop, **kwargs)
        except BaseException as error:
            call.end(None, "", error)
            raise
        _end(call, result)
        return result

    async def _acall(self, messages: list[BaseMessage], stop: Any, agent: str | None, kwargs: dict[str, Any]) -> ChatResult:
        call = _Call(self, messages, kwargs, agent)
        if self._streams(call, True):
            return await agenerate_from_stream(self._alimited(call, stop, kwargs))
        try:
            result = await self.inner._agenerate(call.messages, stop=stop, **kwargs)
        except BaseException as error:
            call.end(None, "", error)
            raise
        _end(call, result)
        return result

    def _stream(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        call = _Call(self, messages, kwargs, self._agent(run_manager))
        yield from self._limited(call, stop, kwargs)

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        call = _Call(self, messages, kwargs, self._agent(run_manager))
        async for chunk in self._alimited(call, stop, kwargs):
            yield chunk

    def _limited(self, call: _Call, stop: Any, kwargs: dict[str, Any]) -> Iterator[ChatGenerationChunk]:
        cutter, failed = _Cutter(call), None
        if type(self.inner)._stream is BaseChatModel._stream:
            # Nothing is saved by cutting an answer that is there already.
            cutter.words = None
            chunks = _one(self.inner, call, stop, kwargs)
        else:
            chunks = self.inner._stream(call.messages, stop=stop, **kwargs)
        try:
            for chunk in chunks:
                part = cutter.take(chunk)
                if part is not None:
                    yield part
                if call.stopped:
                    break
        except BaseException as error:
            failed = None if isinstance(error, GeneratorExit) else error
            raise
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
            call.end(cutter.last, cutter.text, failed)

    async def _alimited(self, call: _Call, stop: Any, kwargs: dict[str, Any]) -> AsyncIterator[ChatGenerationChunk]:
        cutter, failed = _Cutter(call), None
        inner = type(self.inner)
        if inner._astream is BaseChatModel._astream and inner._stream is BaseChatModel._stream:
            cutter.words = None
            chunks = _aone(self.inner, call, stop, kwargs)
        else:
            chunks = self.inner._astream(call.messages, stop=stop, **kwargs)
        try:
            async for chunk in chunks:
                part = cutter.take(chunk)
                if part is not None:
                    yield part
                if call.stopped:
                    break
        except BaseException as error:
            failed = None if isinstance(error, GeneratorExit) else error
            raise
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
            call.end(cutter.last, cutter.text, failed)


def _follow(flight: Future[Any]) -> Future[Any]:
    """A future that ends as another one does; canceling it leaves that one alone."""
    mine: Future[Any] = Future()

    def done(other: Future[Any]) -> None:
        if mine.set_running_or_notify_cancel():
            error = other.exception()
            mine.set_exception(error) if error is not None else mine.set_result(other.result())

    flight.add_done_callback(done)
    return mine


def _as_chunks(result: ChatResult) -> Iterator[ChatGenerationChunk]:
    for generation in result.generations[:1]:
        message = generation.message
        fields = {key: value for key, value in message.model_dump().items() if key in AIMessageChunk.model_fields and key != "type"}
        yield ChatGenerationChunk(message=AIMessageChunk(**fields), generation_info=generation.generation_info)


def _one(inner: BaseChatModel, call: _Call, stop: Any, kwargs: dict[str, Any]) -> Iterator[ChatGenerationChunk]:
    yield from _as_chunks(inner._generate(call.messages, stop=stop, **kwargs))


async def _aone(inner: BaseChatModel, call: _Call, stop: Any, kwargs: dict[str, Any]) -> AsyncIterator[ChatGenerationChunk]:
    for chunk in _as_chunks(await inner._agenerate(call.messages, stop=stop, **kwargs)):
        yield chunk


def _end(call: _Call, result: ChatResult) -> None:
    message = result.generations[0].message if result.generations else None
    call.end(message, str(message.text) if message is not None else "")


def _tokens(messages: list[BaseMessage]) -> int:
    from .langchain import _wire

    return _native.count_messages(_wire(messages)).total


def _instructed(messages: list[BaseMessage], words: int) -> list[BaseMessage]:
    said = f"Answer in at most {words} words."
    if messages and isinstance(messages[0], SystemMessage) and isinstance(messages[0].content, str):
        first = messages[0].model_copy(update={"content": f"{messages[0].content}\n\n{said}"})
        return [first, *messages[1:]]
    return [SystemMessage(said), *messages]
