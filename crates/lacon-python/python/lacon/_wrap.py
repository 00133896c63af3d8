"""`wrap`: a LangChain chat model with the savings around it. What needs LangChain is imported when it is used."""

from __future__ import annotations

from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

agent_now: ContextVar[str | None] = ContextVar("lacon_agent", default=None)


class agent:
    """Names the agent that the calls inside are made for, where no framework does: ``with lacon.agent("news"):``."""

    __slots__ = ("_before", "_name")

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"name is {name!r}, the name of an agent is needed")
        self._name = name

    def __enter__(self) -> agent:
        self._before = agent_now.get()
        agent_now.set(self._name)
        return self

    def __exit__(self, *_: object) -> None:
        agent_now.set(self._before)


def wrap(
    model: Any,
    *,
    agents: Mapping[str, int | Mapping[str, Any] | None] | None = None,
    agent: str | None = None,
    instruct: bool = True,
    early_stop: bool = True,
    compress: bool = True,
    budget_usd: float | None = None,
    prices: tuple[float, float] | None = None,
    max_output_tokens: int = 4096,
    single_flight: bool | None = None,
) -> Any:
    """The chat model with savings around it; itself a chat model, to be used in its place. Needs ``langchain-core``.

    ``agents``: most words of an answer, by agent, or ``{"words": 300, "sections": ["Summary", "Risks"]}``: an answer is not ended
    before it has its sections. The agent is the node of LangGraph that calls, or ``agent``. ``instruct`` tells the model both. ``early_stop`` ends the stream at the first end of a sentence behind it. Answers that call tools or have a
    schema are never stopped.
    ``compress``: results of tools in their shorter, exact form.
    ``budget_usd``: a call that could pass it raises BudgetError before it is made. Needs ``prices``: USD for a million tokens of
    input and of output. ``max_output_tokens`` is reserved for each call that sets no limit of its own.
    ``single_flight``: equal calls at the same time are made once. When not given, for models with temperature 0.
    Each call is a row of ``lacon.report()``.
    """
    from ._langchain_model import make

    return make(
        model,
        agents=agents,
        agent=agent,
        instruct=instruct,
        early_stop=early_stop,
        compress=compress,
        budget_usd=budget_usd,
        prices=prices,
        max_output_tokens=max_output_tokens,
        single_flight=single_flight,
    )
