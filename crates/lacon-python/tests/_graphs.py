"""The graph that tests of `fuse` and `compile` share: a quick node and the one after it beside a slow one, then a join."""

from operator import add
from typing import Annotated, TypedDict

import pytest

pytest.importorskip("langgraph", reason="langgraph is not installed")

from langgraph.graph import END


class Log(TypedDict, total=False):
    log: Annotated[list, add]
    seen: str
    quick: str


def wired(builder, start, nodes):
    """Adds the nodes, by name, and their edges."""
    for name, node in nodes.items():
        builder.add_node(name, node)
    for before, after in ((start, "fast"), (start, "slow"), ("fast", "after"), (["after", "slow"], "join"), ("join", END)):
        builder.add_edge(before, after)
    return builder
