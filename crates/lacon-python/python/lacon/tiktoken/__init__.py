"""The names of tiktoken's package: ``import lacon.tiktoken as tiktoken``.

What is there does what it does in tiktoken. Not there: ``encode_with_unstable``, and splitting expressions for encodings of one's own
that the package has no automaton for.
"""

from .. import Encoding, __version__
from .model import encoding_for_model, encoding_name_for_model
from .registry import get_encoding, list_encoding_names

__all__ = [
    "Encoding",
    "__version__",
    "encoding_for_model",
    "encoding_name_for_model",
    "get_encoding",
    "list_encoding_names",
]
