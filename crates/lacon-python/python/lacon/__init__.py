"""Exact token counts, and prompts made shorter without losing a fact.

Counting and encoding give the numbers of tiktoken, on every input; vocabularies are inside the package, so nothing is downloaded
and importing loads none. Functions take a keyword ``encoding`` or ``model`` (``o200k_base`` when neither is given) and let other
threads run while they work on long texts. What they raise is listed in ``lacon.errors``.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._team import Team, TeamEvent, TeamResult

from ._async import (
    compress_async,
    compress_batch_async,
    count_async,
    count_batch_async,
    count_messages_async,
    encode_async,
    expand_async,
    trim_async,
)
from ._ledger import Report, performance_monitor, report, save_trace
from ._native import (
    Compressed,
    Encoding,
    Estimate,
    RequestCount,
    Store,
    Tokenizer,
    Trimmed,
    __version__,
    add_models,
    compress,
    compress_batch,
    count,
    count_batch,
    count_messages,
    decode,
    decode_bytes,
    encode,
    encode_batch,
    encoding_for_model,
    estimate,
    exceeds,
    expand,
    get_encoding,
    list_encoding_names,
    split,
    trim,
    truncate,
)
from ._plan import BatchPromptProcessor, PreparedPrompt, TokenizerCache
from ._wrap import agent, wrap
from .errors import (
    BudgetError,
    DamagedError,
    InternalError,
    LaconError,
    MessageError,
    MissingError,
    ModelError,
    StoreError,
    StoreFullError,
    TeamError,
    UnknownEncodingError,
    UnknownTokenError,
)

__all__ = [
    "BatchPromptProcessor",
    "PreparedPrompt",
    "Report",
    "TokenizerCache",
    "agent",
    "performance_monitor",
    "report",
    "save_trace",
    "wrap",
    "BudgetError",
    "Compressed",
    "DamagedError",
    "Encoding",
    "Estimate",
    "InternalError",
    "LaconError",
    "MessageError",
    "MissingError",
    "ModelError",
    "RequestCount",
    "Store",
    "StoreError",
    "StoreFullError",
    "Team",
    "TeamError",
    "TeamEvent",
    "TeamResult",
    "Tokenizer",
    "Trimmed",
    "UnknownEncodingError",
    "UnknownTokenError",
    "__version__",
    "add_models",
    "compress",
    "compress_async",
    "compress_batch",
    "compress_batch_async",
    "count",
    "count_async",
    "count_batch",
    "count_batch_async",
    "count_messages",
    "count_messages_async",
    "decode",
    "decode_bytes",
    "encode",
    "encode_async",
    "encode_batch",
    "encoding_for_model",
    "encoding_name_for_model",
    "estimate",
    "exceeds",
    "expand",
    "expand_async",
    "get_encoding",
    "list_encoding_names",
    "split",
    "trim",
    "trim_async",
    "truncate",
]


def encoding_name_for_model(model_name: str) -> str:
    """The name of the encoding that counts exactly for this model. Others raise ModelError, a KeyError."""
    return encoding_for_model(model_name).name


def __getattr__(name: str) -> object:
    # Teams need asyncio, whose import takes longer than all of this package.
    if name in ("Team", "TeamEvent", "TeamResult"):
        from . import _team

        return getattr(_team, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
