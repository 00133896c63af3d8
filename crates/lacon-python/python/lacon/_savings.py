"""What `wrap` does around any client, of whatever SDK: limits, early stop, budget, single flight, rows of the ledger.

An adapter reads its SDK's requests and answers; it decides nothing.
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from time import perf_counter
from typing import Any, TypeVar

from . import _ledger, _native
from ._wrap import agent_now
from .errors import BudgetError

_T = TypeVar("_T")

# A full stop inside a number or a name has no space behind it.
_SENTENCE_END = re.compile(r"[.!?…][\"')\]]*(?=\s)|\n")
_WORD = re.compile(r"\S+")


class Limit:
    """What an agent's answer must keep to: most words, and sections that must be in it."""

    def __init__(self, words: int | None, sections: tuple[str, ...]) -> None:
        self.words = words
        self.sections = sections

    @classmethod
    def of(cls, name: Any, value: Any) -> Limit:
        if not isinstance(name, str):
            raise TypeError(f"agents has the key {name!r}, a str is needed")
        where, words = f"agents[{name!r}]", value
        sections: Any = ()
        if isinstance(value, Mapping):
            odd = sorted(map(str, set(value) - {"words", "sections"}))
            if odd:
                raise ValueError(f"{where} has the key {odd[0]!r}\nhint: the keys are words and sections")
            words, sections = value.get("words"), value.get("sections") or ()
            if isinstance(sections, str) or not all(isinstance(one, str) and one.strip() for one in sections):
                raise TypeError(f"{where}['sections'] is {sections!r}, a list of headings is needed")
        if words is not None and (isinstance(words, bool) or not isinstance(words, int)):
            raise TypeError(f"{where} is {words!r}, a whole number of words or None is needed")
        if words is not None and words < 1:
            raise ValueError(f"{where} is {words}, at least 1 word is needed")
        return cls(words, tuple(one.strip() for one in sections))

    def instruction(self) -> str:
        """What the model is told."""
        said = []
        if self.sections:
            said.append("Use these headings: " + "; ".join(self.sections) + ".")
        if self.words is not None:
            said.append(f"Answer in at most {self.words} words.")
        return " ".join(said)

    def heading(self, text: str, section: str) -> int:
        """The place behind a section's heading; -1 where the text has none."""
        found = re.search(rf"^[#*\d.\s]*{re.escape(section)}[:*#_\s]*", text, re.IGNORECASE | re.MULTILINE)
        return found.end() if found else -1

    def missing(self, text: str) -> list[str]:
        """The sections that a text does not have."""
        return [section for section in self.sections if self.heading(text, section) < 0]


class Savings:
    """The options of one `wrap`, and what its calls have in common: the money, and the calls on their way."""

    def __init__(
        self,
        *,
        agents: Mapping[str, Any] | None = None,
        agent: str | None = None,
        instruct: bool = True,
        early_stop: bool = True,
        compress: bool = True,
        budget_usd: float | None = None,
        prices: tuple[float, float] | None = None,
        max_output_tokens: int = 4096,
        single_flight: bool | None = None,
    ) -> None:
        if agents is not None and not isinstance(agents, Mapping):
            raise TypeError(f"agents is of type {type(agents).__name__}, a dict of words by agent is needed")
        self.agents = {name: Limit.of(name, value) for name, value in (agents or {}).items()}
        if budget_usd is not None:
            if prices is None:
                raise ValueError("budget_usd needs prices\nhint: prices=(input, output), in USD for a million tokens")
            if not budget_usd >= 0:
                raise ValueError(f"budget_usd is {budget_usd}, it must not be below 0")
        self.prices: tuple[float, float] | None = None
        if prices is not None:
            try:
                first, second = (float(price) for price in prices)
            except (TypeError, ValueError):
                raise TypeError(f"prices is {prices!r}, a pair (input, output) in USD for a million tokens is needed") from None
            if not (first >= 0 and second >= 0):
                raise ValueError(f"prices is {prices!r}: prices must not be below 0")
            self.prices = (first, second)
        if max_output_tokens < 1:
            raise ValueError(f"max_output_tokens is {max_output_tokens}, at least 1 is needed")
        self.agent, self.instruct, self.early_stop, self.compress = agent, instruct, early_stop, compress
        self.budget_usd, self.max_output_tokens, self.single_flight = budget_usd, max_output_tokens, single_flight
        self.spent_usd, self.promised = 0.0, 0.0
        # Entered again where a call that was given up is collected while another one is noted.
        self.lock = threading.RLock()
        self._flights: dict[str, Future[Any]] = {}

    def __deepcopy__(self, memo: Any) -> Savings:
        # Copies of a model spend from one budget.
        return self

    def name(self, found: str | None = None) -> str | None:
        """For whom a call is: the agent of `wrap`, of ``lacon.agent``, of the framework, or the node of LangGraph."""
        name = self.agent or agent_now.get() or found
        if name is None and "langgraph" in sys.modules:
            from langchain_core.runnables.config import ensure_config

            name = (ensure_config().get("metadata") or {}).get("langgraph_node")
        return name

    def limit(self, agent: str | None, is_text: bool = True) -> Limit | None:
        """What an answer must keep to. One that calls tools or has a form of its own is not text to be cut."""
        return self.agents.get(agent) if agent is not None and is_text else None

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        if self.prices is None:
            return 0.0
        return (input_tokens * self.prices[0] + output_tokens * self.prices[1]) / 1e6

    def flies(self, temperature: Any) -> bool:
        """Whether equal calls are made once."""
        return temperature == 0 if self.single_flight is None else self.single_flight

    # Equal calls at the same time. A follower of a call that was given up makes it itself.

    def once(self, key: str, make: Callable[[], _T], shared: Callable[[_T], _T]) -> _T:
        while True:
            flight, mine = self._flight(key)
            if mine:
                with self._landing(key, flight) as land:
                    land.append(result := make())
                return result
            done = flight.result()
            if done is not None:
                return shared(done[0])

    async def aonce(self, key: str, make: Callable[[], Awaitable[_T]], shared: Callable[[_T], _T]) -> _T:
        while True:
            flight, mine = self._flight(key)
            if mine:
                with self._landing(key, flight) as land:
                    land.append(result := await make())
                return result
            done = await asyncio.wrap_future(_follow(flight))
            if done is not None:
                return shared(done[0])

    def _flight(self, key: str) -> tuple[Future[Any], bool]:
        with self.lock:
            mine = key not in self._flights
            return self._flights.setdefault(key, Future()), mine

    @contextmanager
    def _landing(self, key: str, flight: Future[Any]) -> Iterator[list[Any]]:
        land: list[Any] = []
        failed: BaseException | None = None
        try:
            yield land
        except BaseException as error:
            failed = error
            raise
        finally:
            with self.lock:
                self._flights.pop(key, None)
            if isinstance(failed, Exception):
                flight.set_exception(failed)
            else:
                flight.set_result(land or None)


def _follow(flight: Future[Any]) -> Future[Any]:
    """A future that ends as another one does; canceling it leaves that one alone."""
    mine: Future[Any] = Future()

    def done(other: Future[Any]) -> None:
        if mine.set_running_or_notify_cancel():
            error = other.exception()
            mine.set_exception(error) if error is not None else mine.set_result(other.result())

    flight.add_done_callback(done)
    return mine


class Call:
    """One call on its way: what it is for, what it may cost, and what came of it."""

    def __init__(
        self, savings: Savings, model: str, agent: str | None, tokens: int, *, limit: Limit | None = None, saved: int = 0,
        max_output: Any = None, system: str | None = None,
    ) -> None:  # fmt: skip
        self.savings, self.model, self.agent, self.limit = savings, model, agent, limit
        self.input_tokens, self.saved, self.system = tokens, max(saved, 0), system
        self.start = perf_counter()
        self.text = ""
        self.usage: tuple[int, int] | None = None
        self.stopped = False
        self.ended = True
        self._from = self._at = self._n = 0
        self.cuts = limit is not None and limit.words is not None and savings.early_stop
        self.max_output = int(max_output or savings.max_output_tokens)
        self.reserved = 0.0
        if savings.budget_usd is not None:
            self.reserved = savings.cost(tokens, self.max_output)
            with savings.lock:
                before = savings.spent_usd + savings.promised
                if before + self.reserved > savings.budget_usd:
                    raise BudgetError(
                        f"this call may cost {self.reserved:.6f} USD, and {before:.6f} of {savings.budget_usd:.6f} USD are spent or "
                        "promised\nhint: raise budget_usd, or lower max_output_tokens"
                    )
                savings.promised += self.reserved
        self.ended = False

    def take(self, piece: str) -> str:
        """What to pass on of the next piece of the answer. ``stopped`` then says whether it is the last."""
        before = len(self.text)
        self.text += piece
        end = self._end() if self.cuts else None
        if end is None:
            return piece
        # Where the end of a sentence shows with the next piece alone, all before it is passed on already.
        end = max(end, before)
        self.stopped = True
        self.text = self.text[:end]
        return piece[: end - before]

    def _end(self) -> int | None:
        """Where the text ends: behind the sentence in which the last allowed word and the last section begin."""
        limit = self.limit
        assert limit is not None and limit.words is not None, "asked where there is a limit alone"
        while self._n < limit.words:
            word = _WORD.search(self.text, self._at)
            if word is None:
                return None
            if self._n + 1 < limit.words and word.end() == len(self.text):
                return None
            self._n, self._at, self._from = self._n + 1, word.end(), word.start()
        for section in limit.sections:
            place = limit.heading(self.text, section)
            if place < 0 or place == len(self.text):
                return None
            self._from = max(self._from, place)
        found = _SENTENCE_END.search(self.text, self._from)
        return None if found is None else found.end()

    def note(self, usage: tuple[Any, Any] | None) -> None:
        """What the provider says that it counted."""
        if usage is not None:
            before = self.usage or (0, 0)
            self.usage = (int(usage[0] or before[0]), int(usage[1] or before[1]))

    def end(self, error: BaseException | None = None) -> None:
        """Notes what came of it. A call that failed is paid for as far as its answer came."""
        with self.savings.lock:
            if self.ended:
                return
            self.ended = True
        nothing = error is not None and not self.text
        n_in, n_out = self.usage or (0, 0)
        n_in, n_out = (0, 0) if nothing else (n_in or self.input_tokens, n_out or _native.count(self.text))
        spent = self.savings.cost(n_in, n_out)
        with self.savings.lock:
            self.savings.promised -= self.reserved
            self.savings.spent_usd += spent
        more = {}
        if self.limit is not None and self.limit.sections and not nothing:
            more["missing_sections"] = len(self.limit.missing(self.text))
        if self.system:
            more["system"] = self.system  # type: ignore[assignment]
        _ledger.add(
            f"chat {self.model}", self.start, None if error is None else type(error).__name__, operation="chat", model=self.model,
            agent=self.agent or "", input_tokens=n_in, output_tokens=n_out, saved_tokens=self.saved, stopped_early=int(self.stopped),
            shared=0, usd=spent, **more,
        )  # fmt: skip

    def __del__(self) -> None:
        # A stream that nobody read or closed still holds money back.
        if not self.ended:
            self.end()

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Ends the call where what is done inside fails."""
        try:
            yield
        except BaseException as error:
            self.end(error)
            raise

    @contextmanager
    def watched(self) -> Iterator[Call]:
        """Ends the call with what is done inside."""
        failed: BaseException | None = None
        try:
            yield self
        except BaseException as error:
            failed = None if isinstance(error, GeneratorExit) else error
            raise
        finally:
            self.end(failed)


def note_shared(model: str, agent: str | None) -> None:
    """A row for a call that another one answered."""
    _ledger.add(f"chat {model}", perf_counter(), operation="chat", model=model, agent=agent or "", input_tokens=0, output_tokens=0,
                saved_tokens=0, stopped_early=0, shared=1, usd=0.0)  # fmt: skip


def limited(call: Call, parts: Iterable[Any], see: Callable[[Any], Iterable[Any]]) -> Iterator[Any]:
    """The parts of a streamed answer until it is stopped. ``see`` tells the call of a part and gives what to pass on."""
    with call.watched():
        try:
            for part in parts:
                yield from see(part)
                if call.stopped:
                    break
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()


async def alimited(call: Call, parts: Any, see: Callable[[Any], Iterable[Any]]) -> AsyncIterator[Any]:
    """``limited`` for a stream that is awaited."""
    with call.watched():
        try:
            async for part in parts:
                for one in see(part):
                    yield one
                if call.stopped:
                    break
        finally:
            close = getattr(parts, "aclose", None) or getattr(parts, "close", None)
            if close is not None:
                await close()
