"""What the package raises. Each class is also the built-in one that a caller would expect."""

from __future__ import annotations

__all__ = [
    "BudgetError",
    "DamagedError",
    "InternalError",
    "LaconError",
    "MessageError",
    "MissingError",
    "ModelError",
    "StoreError",
    "StoreFullError",
    "TeamError",
    "UnknownEncodingError",
    "UnknownTokenError",
]


class LaconError(Exception):
    """The base of all others. What can be mended has a line that begins with ``hint:``."""

    def __str__(self) -> str:
        # KeyError would show its argument quoted, and hints are lines of their own.
        return str(self.args[0]) if self.args else ""


class UnknownEncodingError(LaconError, ValueError):
    """No encoding has this name."""


class ModelError(LaconError, KeyError):
    """No exact count is possible for this model: its vocabulary is not public, or it is not known."""

    def __init__(self, message: str, model: str | None = None) -> None:
        super().__init__(message)
        self.model = model


class UnknownTokenError(LaconError, KeyError):
    """The id stands for no token of the encoding."""

    def __init__(self, message: str, token: int | None = None) -> None:
        super().__init__(message)
        self.token = token


class BudgetError(LaconError, ValueError):
    """The budget cannot be met; ``minimum`` is the fewest tokens that can."""

    def __init__(self, message: str, minimum: int | None = None, budget: int | None = None) -> None:
        super().__init__(message)
        self.minimum = minimum
        self.budget = budget


class MessageError(LaconError, ValueError):
    """A list of messages is not one that can be sent; ``index`` is the first message that is wrong."""

    def __init__(self, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index


class DamagedError(LaconError, ValueError):
    """A compressed text was edited; ``at`` is the byte where reading it stopped, where that is known."""

    def __init__(self, message: str, at: int | None = None) -> None:
        super().__init__(message)
        self.at = at


class MissingError(LaconError, KeyError):
    """The store does not hold what a handle or marker names."""

    def __init__(self, message: str, handle: str | None = None) -> None:
        super().__init__(message)
        self.handle = handle


class StoreError(LaconError, OSError):
    """The store's medium failed."""


class StoreFullError(StoreError):
    """The store's limit would be passed; nothing was stored."""


class TeamError(LaconError, RuntimeError):
    """A run of a team gave no result. ``code`` is the command's exit code, ``record`` the run as far as it came.

    Codes: 1 a deadline or a missing decision, 2 the input, 3 the model or the network, 4 a key, 5 a person has to agree, 130 stopped.
    """

    def __init__(self, message: str, code: int = 2, record: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.record = record


class InternalError(LaconError, RuntimeError):
    """A bug of this package ended the work."""
