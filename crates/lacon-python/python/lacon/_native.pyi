from collections.abc import Collection, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, final, overload

from ._types import Json, Policy, Side, Source

__all__ = [
    "__version__",
    "ArrowBatch",
    "ArrowStream",
    "ArrowWork",
    "Cancel",
    "Compressed",
    "Encoding",
    "Estimate",
    "RequestCount",
    "Store",
    "Tokenizer",
    "Trimmed",
    "add_models",
    "compress",
    "compress_batch",
    "count",
    "count_batch",
    "count_cancellable",
    "count_messages",
    "decode",
    "decode_bytes",
    "encode",
    "encode_batch",
    "encoding_for_model",
    "estimate",
    "exceeds",
    "expand",
    "get_encoding",
    "list_encoding_names",
    "loaded_encodings",
    "split",
    "trim",
    "truncate",
]

__version__: str

@final
class Encoding:
    def __new__(
        cls,
        name: str,
        *,
        pat_str: str,
        mergeable_ranks: dict[bytes, int],
        special_tokens: dict[str, int],
        explicit_n_vocab: int | None = None,
    ) -> Encoding: ...
    @property
    def _pat_str(self) -> str: ...
    @property
    def _mergeable_ranks(self) -> dict[bytes, int]: ...
    @property
    def _special_tokens(self) -> dict[str, int]: ...
    def token_byte_values(self) -> list[bytes]: ...
    def encode_to_numpy(
        self,
        text: str,
        *,
        allowed_special: Literal["all"] | Collection[str] | None = None,
        disallowed_special: Literal["all"] | Collection[str] | None = None,
    ) -> Any: ...
    @property
    def name(self) -> str: ...
    @property
    def n_vocab(self) -> int: ...
    @property
    def max_token_value(self) -> int: ...
    @property
    def eot_token(self) -> int: ...
    @property
    def special_tokens_set(self) -> set[str]: ...
    def is_special_token(self, token: int) -> bool: ...
    def encode(
        self,
        text: str,
        *,
        allowed_special: Literal["all"] | Collection[str] | None = None,
        disallowed_special: Literal["all"] | Collection[str] | None = None,
    ) -> list[int]: ...
    def encode_ordinary(self, text: str) -> list[int]: ...
    def encode_batch(
        self,
        text: Iterable[str],
        *,
        num_threads: int = 8,
        allowed_special: Literal["all"] | Collection[str] | None = None,
        disallowed_special: Literal["all"] | Collection[str] | None = None,
    ) -> list[list[int]]: ...
    def encode_ordinary_batch(self, text: Iterable[str], *, num_threads: int = 8) -> list[list[int]]: ...
    def encode_single_token(self, text_or_bytes: str | bytes) -> int: ...
    def decode(self, tokens: Iterable[int], errors: str = "replace") -> str: ...
    def decode_bytes(self, tokens: Iterable[int]) -> bytes: ...
    def decode_batch(
        self, batch: Iterable[Iterable[int]], *, errors: str = "replace", num_threads: int = 8
    ) -> list[str]: ...
    def decode_bytes_batch(
        self, batch: Iterable[Iterable[int]], *, num_threads: int = 8
    ) -> list[bytes]: ...
    def decode_single_token_bytes(self, token: int) -> bytes: ...
    def decode_tokens_bytes(self, tokens: Iterable[int]) -> list[bytes]: ...
    def decode_with_offsets(self, tokens: Iterable[int]) -> tuple[str, list[int]]: ...
    def count(self, text: str) -> int: ...
    def count_batch(self, texts: Iterable[str], *, num_threads: int | None = None) -> list[int]: ...
    def exceeds(self, text: str, limit: int) -> bool: ...
    def truncate(self, text: str, max_tokens: int, side: Side = "back") -> str: ...
    def split(self, text: str, max_tokens: int) -> list[str]: ...

@final
class Tokenizer:
    @staticmethod
    def from_file(path: str | PathLike[str]) -> Tokenizer: ...
    @property
    def kind(self) -> Literal["bytes", "pieces"]: ...
    def count(self, text: str) -> int: ...
    def count_batch(self, texts: Iterable[str]) -> list[int]: ...
    def encode(self, text: str) -> list[int]: ...
    def decode(self, tokens: Iterable[int]) -> str: ...

def add_models(path: str | PathLike[str]) -> int: ...

@final
class Estimate:
    def __new__(
        cls,
        tokens: int,
        kind: str,
        low: int | None,
        high: int | None,
        encoding: str,
        warning: str | None,
    ) -> Estimate: ...
    @property
    def tokens(self) -> int: ...
    @property
    def kind(self) -> Literal["exact", "calibrated", "heuristic"]: ...
    @property
    def low(self) -> int | None: ...
    @property
    def high(self) -> int | None: ...
    @property
    def encoding(self) -> str: ...
    @property
    def warning(self) -> str | None: ...

@final
class RequestCount:
    def __new__(
        cls,
        total: int,
        messages: int,
        framing: int,
        tools: int,
        images: int,
        kind: str,
        low: int | None,
        high: int | None,
        warning: str | None,
    ) -> RequestCount: ...
    @property
    def total(self) -> int: ...
    @property
    def messages(self) -> int: ...
    @property
    def framing(self) -> int: ...
    @property
    def tools(self) -> int: ...
    @property
    def images(self) -> int: ...
    @property
    def kind(self) -> Literal["framed", "calibrated", "heuristic"]: ...
    @property
    def low(self) -> int | None: ...
    @property
    def high(self) -> int | None: ...
    @property
    def warning(self) -> str | None: ...
    def __int__(self) -> int: ...

@final
class Store:
    def __new__(
        cls, path: str | PathLike[str] | None = None, *, session: str = "default", limit_bytes: int = ...
    ) -> Store: ...
    @property
    def path(self) -> PathLike[str] | None: ...
    @property
    def session(self) -> str: ...
    def put(self, text: str) -> str: ...
    def retrieve(self, handle: str) -> str: ...

@final
class Compressed:
    def __new__(
        cls,
        text: str | None,
        messages: list[dict[str, Json]] | None,
        tokens_before: int,
        tokens_after: int,
        exact: bool,
        receipt: list[dict[str, Json]],
        unkept: bool,
        changed: Sequence[str],
        policy: Policy,
        store: Store | None,
    ) -> Compressed: ...
    # The one of both that was given; the other is None. Any, so that nobody has to ask which.
    @property
    def text(self) -> str | Any: ...
    @property
    def messages(self) -> list[dict[str, Json]] | Any: ...
    @property
    def tokens_before(self) -> int: ...
    @property
    def tokens_after(self) -> int: ...
    @property
    def saved(self) -> int: ...
    @property
    def exact(self) -> bool: ...
    @property
    def receipt(self) -> list[dict[str, Json]]: ...
    @property
    def unkept(self) -> bool: ...
    @property
    def changed(self) -> list[str]: ...
    @property
    def policy(self) -> Policy: ...
    def expand(self) -> Any: ...

@final
class Trimmed:
    def __new__(
        cls,
        text: str | None,
        messages: list[dict[str, Json]] | None,
        tokens_before: int,
        tokens_after: int,
        left_out_tokens: int,
        reformed: Sequence[int],
        digested: Sequence[int],
        dropped: Sequence[int],
    ) -> Trimmed: ...
    # The one of both that was given; the other is None. Any, so that nobody has to ask which.
    @property
    def text(self) -> str | Any: ...
    @property
    def messages(self) -> list[dict[str, Json]] | Any: ...
    @property
    def tokens_before(self) -> int: ...
    @property
    def tokens_after(self) -> int: ...
    @property
    def left_out_tokens(self) -> int: ...
    @property
    def reformed(self) -> list[int]: ...
    @property
    def digested(self) -> list[int]: ...
    @property
    def dropped(self) -> list[int]: ...

@final
class ArrowBatch:
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...
    def __arrow_c_schema__(self) -> object: ...
    def __len__(self) -> int: ...

@final
class ArrowStream:
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __arrow_c_schema__(self) -> object: ...

@final
class ArrowWork:
    @staticmethod
    def count(encoding: str | None, model: str | None) -> ArrowWork: ...
    @staticmethod
    def count_messages(model: str) -> ArrowWork: ...
    @staticmethod
    def encode(encoding: str | None, model: str | None) -> ArrowWork: ...
    @staticmethod
    def truncate(most: int, side: str, encoding: str | None, model: str | None) -> ArrowWork: ...
    @staticmethod
    def chunk(most: int, encoding: str | None, model: str | None) -> ArrowWork: ...
    @staticmethod
    def compress(
        policy: str,
        budget: int | None,
        query: str,
        ratio: float | None,
        disable: list[str],
        enable: list[str],
        encoding: str | None,
        model: str | None,
    ) -> ArrowWork: ...
    @staticmethod
    def expand() -> ArrowWork: ...
    @staticmethod
    def trim(most: int, messages: bool, encoding: str | None, model: str | None) -> ArrowWork: ...
    def apply(
        self, source: Any, column: str, out: str, errors: str | None, num_threads: int | None, lazy: bool
    ) -> Any: ...

@final
class Cancel:
    def __new__(cls) -> Cancel: ...
    def cancel(self) -> None: ...

def get_encoding(encoding_name: str) -> Encoding: ...
def encoding_for_model(model_name: str) -> Encoding: ...
def list_encoding_names() -> list[str]: ...
def loaded_encodings(*, clear: bool = False) -> list[tuple[str, int, float, int]]: ...
def count(text: str, *, encoding: str | None = None, model: str | None = None) -> int: ...
def count_cancellable(
    text: str, cancel: Cancel, *, encoding: str | None = None, model: str | None = None
) -> int | None: ...
def count_batch(
    texts: Iterable[str],
    *,
    encoding: str | None = None,
    model: str | None = None,
    num_threads: int | None = None,
) -> list[int]: ...
def encode(text: str, *, encoding: str | None = None, model: str | None = None) -> list[int]: ...
def encode_batch(
    texts: Iterable[str],
    *,
    encoding: str | None = None,
    model: str | None = None,
    num_threads: int | None = None,
) -> list[list[int]]: ...
def decode(
    tokens: Iterable[int], *, encoding: str | None = None, model: str | None = None, errors: str = "strict"
) -> str: ...
def decode_bytes(
    tokens: Iterable[int], *, encoding: str | None = None, model: str | None = None
) -> bytes: ...
def truncate(
    text: str, max_tokens: int, side: Side = "back", *, encoding: str | None = None, model: str | None = None
) -> str: ...
def split(
    text: str, max_tokens: int, *, encoding: str | None = None, model: str | None = None
) -> list[str]: ...
def exceeds(text: str, limit: int, *, encoding: str | None = None, model: str | None = None) -> bool: ...
def estimate(text: str, model: str) -> Estimate: ...
def count_messages(
    messages: Iterable[Json],
    model: str = "gpt-4o",
    *,
    tools: Iterable[Json] | None = None,
    response_schema: Json | None = None,
) -> RequestCount: ...
def compress(
    source: Source,
    *,
    policy: Policy | None = None,
    budget: int | None = None,
    store: Store | None = None,
    query: str = ...,
    ratio: float | None = None,
    disable: Sequence[str] = ...,
    enable: Sequence[str] = ...,
    once: bool = False,
    audit: bool = False,
    protect: Sequence[str] = ...,
    shorten_user: bool = False,
    shorten_quotable: bool = False,
    encoding: str | None = None,
    model: str | None = None,
) -> Compressed: ...
def compress_batch(
    sources: Iterable[Source],
    *,
    num_threads: int | None = None,
    policy: Policy | None = None,
    budget: int | None = None,
    store: Store | None = None,
    query: str = ...,
    ratio: float | None = None,
    disable: Sequence[str] = ...,
    enable: Sequence[str] = ...,
    once: bool = False,
    audit: bool = False,
    protect: Sequence[str] = ...,
    shorten_user: bool = False,
    shorten_quotable: bool = False,
    encoding: str | None = None,
    model: str | None = None,
) -> list[Compressed | Exception]: ...
@overload
def expand(source: str, *, store: Store | None = None, changed: Sequence[str] = ...) -> str: ...
@overload
def expand(
    source: Iterable[Mapping[str, Any]], *, store: Store | None = None, changed: Sequence[str] = ...
) -> list[dict[str, Json]]: ...
def trim(
    source: Source,
    max_tokens: int,
    *,
    pin: Sequence[int] = ...,
    tools: Iterable[Json] | None = None,
    stride: int = 0,
    drop_first: bool = False,
    store: Store | None = None,
    encoding: str | None = None,
    model: str | None = None,
) -> Trimmed: ...
