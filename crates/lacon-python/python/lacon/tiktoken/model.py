"""``tiktoken.model``: encodings by model."""

from __future__ import annotations

from .. import Encoding
from .. import encoding_for_model as _encoding_for_model
from .registry import get_encoding

__all__ = ["encoding_for_model", "encoding_name_for_model"]

# Models that tiktoken names by GPT-2's own encoding.
_GPT2 = ("gpt2", "gpt-2")


def encoding_name_for_model(model_name: str) -> str:
    """The name of the encoding that counts exactly for this model. Others raise KeyError."""
    return "gpt2" if model_name in _GPT2 else _encoding_for_model(model_name).name


def encoding_for_model(model_name: str) -> Encoding:
    """The encoding that counts exactly for this model. Others raise KeyError."""
    return get_encoding("gpt2") if model_name in _GPT2 else _encoding_for_model(model_name)
