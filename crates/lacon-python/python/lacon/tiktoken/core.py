"""``tiktoken.core``: the class of encodings."""

from .. import Encoding

__all__ = ["Encoding"]
