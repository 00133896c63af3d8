"""``tiktoken.registry``: encodings by name."""

from __future__ import annotations

from .. import Encoding
from .. import get_encoding as _get_encoding
from .. import list_encoding_names as _list_encoding_names

__all__ = ["get_encoding", "list_encoding_names"]


def list_encoding_names() -> list[str]:
    """Names of all encodings; GPT-2's, which are the ranks of ``r50k_base``, by their own name too."""
    return ["gpt2", *_list_encoding_names()]


def get_encoding(encoding_name: str) -> Encoding:
    """The encoding of this name. Unknown names raise ValueError."""
    if not isinstance(encoding_name, str):
        raise ValueError(f"expected a string in get_encoding, got {type(encoding_name).__name__}")
    return _get_encoding(encoding_name)
