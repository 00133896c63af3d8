"""Names for what functions take; only type checkers read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, Union

#: dict, list, tuple, str, int of 64 bits, finite float, bool or None.
Json: TypeAlias = Any
#: A text, or chat messages: dicts, TypedDicts, objects of an SDK.
Source: TypeAlias = Union[str, Iterable[Union[Mapping[str, Any], Any]]]
Policy: TypeAlias = Literal["lossless", "safe", "lossy"]
Side: TypeAlias = Literal["back", "front", "middle"]
