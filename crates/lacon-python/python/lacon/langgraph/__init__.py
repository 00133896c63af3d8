"""LangGraph graphs: what their barriers cost, and the same graph without those that nothing needs.

Needs ``langgraph`` and imports it when first used. ``lint`` reads a graph and changes nothing. ``compile`` gives a compiled graph whose
nodes start as soon as what they read is final. ``fuse`` gives a new graph builder with fewer steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._fuse import FusedGraph, Region, fuse
from ._lint import Finding, Lint, lint
from ._static import observes

if TYPE_CHECKING:
    from ._compile import EarlyGraph, compile

__all__ = ["EarlyGraph", "Finding", "FusedGraph", "Lint", "Region", "compile", "fuse", "lint", "observes"]


def __getattr__(name: str) -> Any:
    # Both need LangGraph as soon as they are imported.
    if name in ("EarlyGraph", "compile"):
        from . import _compile

        return getattr(_compile, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
