"""Names for what functions take; only type checkers read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, Union

#: dict, list, tuple, str, int of 64 bits, finite float, bool or None.
Json: TypeAlias = Any
#: A text, or a list of chat messages.
Source: TypeAlias = Union[str, Sequence[dict[str, Any]]]
Policy: TypeAlias = Literal["lossless", "safe", "lossy"]
Side: TypeAlias = Literal["back", "front", "middle"]
