"""The names of the optimization plan: a view of the vocabularies of the process, and prompts prepared in one batch."""

from __future__ import annotations

from . import _ledger, _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


class TokenizerCache:
    """A view of the encodings that this process has loaded. All views are of the one registry: each encoding is loaded once."""

    def get(self, name: str = "o200k_base") -> _native.Encoding:
        """The encoding of this name; the first call loads it."""
        return _native.get_encoding(name)

    def for_model(self, model: str) -> _native.Encoding:
        """The encoding that counts exactly for this model."""
        return _native.encoding_for_model(model)

    def stats(self) -> dict[str, dict[str, float]]:
        """Of each loaded encoding: its bytes, the seconds that loading took, and how often functions used it after that."""
        loaded = _native.loaded_encodings()
        return {name: {"bytes": size, "load_seconds": took, "hits": max(asked - 1, 0)} for name, size, took, asked in loaded}

    @property
    def loads(self) -> int:
        """Encodings that were loaded."""
        return len(_native.loaded_encodings())

    @property
    def hits(self) -> int:
        """Uses of an encoding that was loaded already."""
        return int(sum(row["hits"] for row in self.stats().values()))

    @property
    def bytes(self) -> int:
        """Bytes that all tables occupy."""
        return sum(size for _, size, _, _ in _native.loaded_encodings())

    def clear(self) -> None:
        """Sets the hits to 0. Loaded tables stay: other threads may be reading them."""
        _native.loaded_encodings(clear=True)

    def __contains__(self, name: object) -> bool:
        return name in self.stats()

    def __repr__(self) -> str:
        return f"TokenizerCache(loads={self.loads}, hits={self.hits}, bytes={self.bytes})"


class PreparedPrompt:
    """A prompt that is ready to be sent: its agent, its text or messages, and its tokens before and after."""

    __slots__ = ("agent", "prompt", "tokens_after", "tokens_before")

    def __init__(self, agent: str, prompt: Any, tokens_before: int, tokens_after: int) -> None:
        self.agent = agent
        self.prompt = prompt
        self.tokens_before = tokens_before
        self.tokens_after = tokens_after

    @property
    def saved(self) -> int:
        """Tokens that were saved."""
        return self.tokens_before - self.tokens_after

    def __repr__(self) -> str:
        return f"PreparedPrompt({self.agent!r}, tokens_before={self.tokens_before}, tokens_after={self.tokens_after})"


class BatchPromptProcessor:
    """Prepares the prompts of many agents at once: compresses them, and trims those of agents with a limit.

    ``limits`` are the most tokens of a prompt by agent; ``num_threads`` is one per processor when not given. Other options are
    those of ``lacon.compress``.
    """

    def __init__(self, *, num_threads: int | None = None, limits: Mapping[str, int] | None = None, **options: Any) -> None:
        self._num_threads = num_threads
        self._limits = dict(limits or {})
        self._options = options
        # Wrong options are errors where they are given.
        _native.compress("", **options)

    def process_prompts_parallel(self, prompts: Iterable[tuple[Any, str]]) -> list[PreparedPrompt | Exception]:
        """One result for each ``(prompt, agent)``, in their order. A failure is its exception, at its place."""
        pairs = []
        for index, pair in enumerate(prompts):
            if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not isinstance(pair[1], str):
                raise TypeError(f"prompts[{index}] is {pair!r:.80}, a pair of a prompt and an agent's name is needed")
            pairs.append(pair)
        with _ledger.performance_monitor("batch_prompts"):
            done = _native.compress_batch((prompt for prompt, _ in pairs), num_threads=self._num_threads, **self._options)
            return [self._finish(agent, one) for (_, agent), one in zip(pairs, done, strict=True)]

    async def process_prompts_parallel_async(self, prompts: Iterable[tuple[Any, str]]) -> list[PreparedPrompt | Exception]:
        """The same off the event loop."""
        from asyncio import to_thread

        return await to_thread(self.process_prompts_parallel, prompts)

    def _finish(self, agent: str, one: Any) -> PreparedPrompt | Exception:
        if isinstance(one, Exception):
            return one
        prompt, after = one.messages if one.text is None else one.text, one.tokens_after
        limit = self._limits.get(agent)
        if limit is not None and after > limit:
            try:
                cut = _native.trim(prompt, limit)
            except Exception as error:  # noqa: BLE001 - a failure of one prompt is its result
                return error
            prompt, after = cut.messages if cut.text is None else cut.text, cut.tokens_after
        return PreparedPrompt(agent, prompt, one.tokens_before, after)
