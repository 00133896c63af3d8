"""The savings around a client of the OpenAI or Anthropic SDK. Both send every request by one method, ``post``, and it is that one.

So `create`, `parse`, `stream` and raw responses all go through here, with the JSON that is sent. A *form* knows one endpoint.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from functools import partial
from typing import Any

from . import _native
from ._savings import Call, Savings, alimited, limited, note_shared

_RAW = "X-Stainless-Raw-Response"


class Form:
    """What is different between endpoints; one subclass each."""

    path = ""
    messages = "messages"
    limits: tuple[str, ...] = ("max_tokens",)

    def is_text(self, body: Mapping[str, Any]) -> bool:
        """Whether the answer is text alone."""
        return not any(body.get(key) for key in ("tools", "tool_choice", "functions", "response_format"))

    def instruct(self, body: dict[str, Any], said: str) -> None:
        """Tells the model something, at the end of the system's text."""
        raise NotImplementedError

    def piece(self, event: Any) -> str | None:
        """The text that an event of a stream adds."""
        raise NotImplementedError

    def usage(self, thing: Any) -> tuple[Any, Any] | None:
        """Tokens in and out, where an event or an answer names them."""
        raise NotImplementedError

    def text(self, answer: Any) -> str:
        """The text of a whole answer."""
        raise NotImplementedError

    def last(self, call: Call, events: list[Any], event: Any, kept: str) -> list[Any]:
        """An event that is cut, and those that end a stream behind it. ``events`` are those that tell of the whole."""
        raise NotImplementedError

    def joined(self, events: list[Any]) -> Any:
        """The answer that a whole stream makes."""
        raise NotImplementedError

    def stream_options(self, body: dict[str, Any]) -> None:
        """What a stream must be told to end as the answer alone would."""
        body["stream"] = True

    def begin(self, savings: Savings, body: dict[str, Any], agent: str | None, system: str) -> tuple[Call, dict[str, Any]]:
        """What is sent in place of ``body``, and the call."""
        limit = savings.limit(agent, self.is_text(body))
        body, saved = dict(body), 0
        known: int | None = None
        said = body.get(self.messages)
        if said and not isinstance(said, (str, list)):
            # A generator is read once.
            said = body[self.messages] = list(said)
        if savings.compress and isinstance(said, list):
            # What is no JSON yet, as files are, is the SDK's to send.
            with suppress(TypeError, ValueError):
                short = _native.compress(said)
                saved, known = short.saved, short.tokens_after
                if short.changed:
                    body[self.messages] = short.messages
        if limit is not None and savings.instruct:
            self.instruct(body, limit.instruction())
            known = None
        most = next((body[key] for key in self.limits if isinstance(body.get(key), int)), None)
        model = str(body.get("model") or "unknown")
        call = Call(savings, model, agent, self.count(body, known), limit=limit, saved=saved, max_output=most, system=system)
        return call, body

    def count(self, body: Mapping[str, Any], known: int | None = None) -> int:
        """The tokens of a request; ``known`` are those of its messages, where somebody counted them."""
        said, more = body.get(self.messages) or [], [body.get(key) for key in ("system", "instructions")]
        try:
            if known is not None and not body.get("tools"):
                n = known
            else:
                n = _native.count(said) if isinstance(said, str) else _native.count_messages(said, tools=body.get("tools") or None).total
        except (TypeError, ValueError):
            n = _native.count(json.dumps([said, body.get("tools") or []], default=repr))
        return n + sum(_native.count(text if isinstance(text, str) else json.dumps(text, default=str)) for text in more if text)

    def seer(self, call: Call) -> Any:
        """Tells a call of each event of its stream."""
        events: list[Any] = []

        def see(event: Any) -> list[Any]:
            call.note(self.usage(event))
            piece = self.piece(event)
            if piece is None:
                events.append(event)
                return [event]
            kept = call.take(piece)
            return self.last(call, events, event, kept) if call.stopped else [event]

        return see

class Job:
    """One request: what of it is changed, and how it is made. ``raw`` and ``is_formed`` answers are taken as they come."""

    def __init__(
        self, savings: Savings, form: Form, body: Mapping[str, Any], *, system: str, stream: bool, raw: Any = None, is_formed: bool = False
    ) -> None:  # fmt: skip
        self.savings, self.form, self.body, self.system = savings, form, dict(body), system
        self.stream, self.raw, self.is_formed = stream, raw, is_formed
        self.agent = savings.name()
        self.flies = not (stream or raw or is_formed) and savings.flies(body.get("temperature"))
        self.key = json.dumps([form.path, body, self.agent], default=repr, sort_keys=True) if self.flies else ""

    def begin(self) -> tuple[Call, dict[str, Any]]:
        """Takes the money, and gives what is sent."""
        call, sent = self.form.begin(self.savings, self.body, self.agent, self.system)
        self.joins = call.cuts and not (self.stream or self.raw or self.is_formed)
        if self.joins:
            self.form.stream_options(sent)
        return call, sent

    def shared(self, answer: Any) -> Any:
        note_shared(str(self.body.get("model") or "unknown"), self.agent)
        return deepcopy(answer)

    def run(self, send: Callable[[dict[str, Any], bool], Any], cut: Callable[[Any, Call, Any], Any]) -> Any:
        """Makes it. ``send`` takes what is sent and whether a stream is wanted, ``cut`` a stream that may end early."""

        def ask() -> Any:
            call, sent = self.begin()
            with call.failing():
                got = send(sent, self.stream or self.joins)
                whole = got.parse() if self.raw and self.raw != "stream" else got
            return self._end(call, got, whole, cut) if not self.joins else self.form.joined(list(cut(got, call, self.form.seer(call))))

        return self.savings.once(self.key, ask, self.shared) if self.flies else ask()

    async def arun(self, send: Callable[[dict[str, Any], bool], Any], cut: Callable[[Any, Call, Any], Any]) -> Any:
        """``run`` for what is awaited."""

        async def ask() -> Any:
            call, sent = self.begin()
            with call.failing():
                got = await _now(send(sent, self.stream or self.joins))
                whole = await _now(got.parse()) if self.raw and self.raw != "stream" else got
            if not self.joins:
                return self._end(call, got, whole, cut)
            return self.form.joined([event async for event in cut(got, call, self.form.seer(call))])

        return await self.savings.aonce(self.key, ask, self.shared) if self.flies else await ask()

    def _end(self, call: Call, got: Any, whole: Any, cut: Callable[[Any, Call, Any], Any]) -> Any:
        if self.raw == "stream":
            # Its body is read later and elsewhere: what was held back is what it cost.
            call.usage = (call.input_tokens, call.max_output)
            call.end()
        elif self.stream:
            stream = cut(whole, call, self.form.seer(call))
            return got if self.raw else stream
        else:
            call.note(self.form.usage(whole))
            call.text = self.form.text(whole)
            call.end()
        return got


async def _now(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


# Streams of the SDKs stay what they are, and end where their call says.


def _cut(stream: Any, call: Call, see: Any) -> Any:
    kind = type(stream)
    is_async = hasattr(kind, "__anext__")
    stream.__class__ = _derived(kind, kind.__name__, _ACut if is_async else _Cut)
    run: Any = alimited if is_async else limited
    stream._lacon_call = call
    stream._lacon = run(call, (_aevents if is_async else _events)(stream, kind), see)
    return stream


def _events(stream: Any, kind: Any) -> Iterator[Any]:
    try:
        yield from kind.__iter__(stream)
    finally:
        kind.close(stream)


async def _aevents(stream: Any, kind: Any) -> AsyncIterator[Any]:
    try:
        async for event in kind.__aiter__(stream):
            yield event
    finally:
        await kind.close(stream)


def _derived(kind: Any, name: str, methods: type, **more: Any) -> Any:
    """A class of an SDK with other methods. One with a second base would not fit objects that are there already."""
    skipped = ("__dict__", "__weakref__", "__module__", "__doc__", "__annotations__")
    own = {key: value for key, value in vars(methods).items() if key not in skipped}
    return type(kind)(name, (kind,), {**own, "_lacon_kind": kind, **more})


class _Cut:
    _lacon: Any
    _lacon_call: Call
    _lacon_kind: Any

    def __iter__(self) -> Any:
        return self._lacon

    def __next__(self) -> Any:
        return next(self._lacon)

    def close(self) -> None:
        self._lacon.close()
        self._lacon_call.end()
        self._lacon_kind.close(self)


class _ACut:
    _lacon: Any
    _lacon_call: Call
    _lacon_kind: Any

    def __aiter__(self) -> Any:
        return self._lacon

    async def __anext__(self) -> Any:
        return await self._lacon.__anext__()

    async def close(self) -> None:
        await self._lacon.aclose()
        self._lacon_call.end()
        await self._lacon_kind.close(self)


class _Client:
    savings: Savings
    _lacon_forms: Mapping[str, Form]
    _lacon_system: str
    _lacon_kind: Any

    @property
    def spent_usd(self) -> float:
        """What the calls that ended have cost."""
        return self.savings.spent_usd

    def post(self, path: str, *, body: Any = None, **given: Any) -> Any:
        post = partial(self._lacon_kind.post, self, path)
        if path not in self._lacon_forms or not isinstance(body, Mapping):
            return post(body=body, **given)
        options = given.get("options") or {}
        raw = (options.get("headers") or {}).get(_RAW)
        job = Job(
            self.savings, self._lacon_forms[path], body, system=self._lacon_system, stream=bool(given.pop("stream", False)), raw=raw,
            is_formed="post_parser" in options,
        )  # fmt: skip

        def send(sent: dict[str, Any], stream: bool) -> Any:
            return post(body=sent, stream=stream, **given)

        # Of an async client this is awaited by who calls it.
        return job.arun(send, _cut) if inspect.iscoroutinefunction(self._lacon_kind.post) else job.run(send, _cut)


def wrapped(client: Any, sync: Any, awaits: Any, forms: Mapping[str, Form], options: Mapping[str, Any]) -> Any:
    """A copy of a client that goes through its savings; `with_options` keeps them."""
    if not isinstance(client, (sync, awaits)):
        raise TypeError(f"client is of type {type(client).__name__}, {sync.__name__} or {awaits.__name__} is needed")
    if hasattr(client, "_lacon_kind"):
        raise TypeError("client is wrapped already")
    kind = type(client)
    copy = client.copy()
    copy.__class__ = _derived(
        kind, f"Lacon{kind.__name__}", _Client,
        savings=Savings(**options), _lacon_forms=forms, _lacon_system=sync.__module__.split(".")[0],
    )  # fmt: skip
    return copy


def told(messages: Iterable[Any], said: str, roles: tuple[str, ...] = ("system", "developer")) -> list[Any]:
    """Messages whose first one of the system says something more."""
    first, *rest = whole = [one if isinstance(one, Mapping) else one.model_dump(exclude_none=True) for one in messages] or [{}]
    if first.get("role") in roles and isinstance(first.get("content"), str):
        return [{**first, "content": f"{first['content']}\n\n{said}"}, *rest]
    return [{"role": "system", "content": said}, *(one for one in whole if one)]
