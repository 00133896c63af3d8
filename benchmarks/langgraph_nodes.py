"""Microseconds per node of LangGraph: one chain of nodes that do nothing, and one step of as many side by side."""

import importlib.metadata
import json
import operator
import sys
import time
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    n: Annotated[int, operator.add]


def build(nodes: int, chain: bool):
    graph = StateGraph(State)
    for i in range(nodes):
        graph.add_node(f"n{i}", lambda state: {"n": 1})
        graph.add_edge(f"n{i - 1}" if chain and i else START, f"n{i}")
        if not chain or i == nodes - 1:
            graph.add_edge(f"n{i}", END)
    return graph.compile()


def microseconds(graph, nodes: int) -> float:
    began = time.perf_counter()
    assert graph.invoke({"n": 0}, {"recursion_limit": nodes + 10})["n"] == nodes
    return (time.perf_counter() - began) * 1e6 / nodes


nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 200
chain, wide = build(nodes, True), build(nodes, False)
row = {"name": "langgraph " + importlib.metadata.version("langgraph"), "nodes": nodes}
print(json.dumps(row | {"chain_us": microseconds(chain, nodes), "wide_us": microseconds(wide, nodes)}))
