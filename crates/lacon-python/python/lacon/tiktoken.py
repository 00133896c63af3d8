"""The names of tiktoken's module: ``import lacon.tiktoken as tiktoken``.

What is there does what it does in tiktoken. Not there: encodings of one's own, ``encode_to_numpy``, ``encode_with_unstable`` and
whatever begins with an underscore.
"""

from . import (
    Encoding,
    __version__,
    encoding_for_model,
    encoding_name_for_model,
    get_encoding,
    list_encoding_names,
)

__all__ = [
    "Encoding",
    "__version__",
    "encoding_for_model",
    "encoding_name_for_model",
    "get_encoding",
    "list_encoding_names",
]
