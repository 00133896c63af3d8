"""LangGraph graphs: what their barriers cost, and the same graph without those that nothing needs.

Needs ``langgraph`` and imports it when first used. ``lint`` reads a graph and changes nothing. ``fuse`` gives a new graph builder.
"""

from __future__ import annotations

from ._fuse import FusedGraph, Region, fuse
from ._lint import Finding, Lint, lint
from ._static import observes

__all__ = ["Finding", "FusedGraph", "Lint", "Region", "fuse", "lint", "observes"]
