import json
import operator
import sys
import time  # measured
from typing import Annotated, TypedDict

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph

from roles import REVIEWERS, arbiter, reviewer


class State(TypedDict):
    change: str
    reviews: Annotated[dict, operator.or_]
    result: str
    used: Annotated[list, operator.add]


def ask(model, system, user):
    llm = ChatOpenAI(model=model)
    return llm.invoke([SystemMessage(system), HumanMessage(user)])


def review(name):
    def node(state):
        answer = ask(REVIEWERS[name][0], reviewer(name), "## change\n" + state["change"])
        return {"reviews": {name: answer.content}, "used": [answer.usage_metadata["total_tokens"]]}
    return node


def decide(state):
    reviews = "\n\n".join(f"## {name}\n{state['reviews'][name]}" for name in REVIEWERS)
    answer = ask("gpt-4o", arbiter(), f"## change\n{state['change']}\n\n{reviews}")
    if not answer.content.startswith("CHOICE: "):
        raise ValueError("no decision")
    return {"result": answer.content, "used": [answer.usage_metadata["total_tokens"]]}


graph = StateGraph(State)
graph.add_node("arbiter", decide)
for name in REVIEWERS:
    graph.add_node(name, review(name))
    graph.add_edge(START, name)
graph.add_edge(list(REVIEWERS), "arbiter")
graph.add_edge("arbiter", END)
began = time.monotonic()  # measured
state = graph.compile().invoke({"change": open(sys.argv[1]).read(), "reviews": {}, "used": []})
print(json.dumps({"seconds": time.monotonic() - began, "calls": len(state["used"]), "tokens": sum(state["used"]), "text": state["result"]}))
