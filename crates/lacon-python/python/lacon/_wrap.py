"""`wrap`: a LangChain chat model with the savings around it. What needs LangChain is imported when it is used."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def wrap(
    model: Any,
    *,
    agents: Mapping[str, int | None] | None = None,
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

    ``agents``: most words of an answer, by agent. The agent is the node of LangGraph that calls, or ``agent``. ``instruct`` tells
    the model the limit. ``early_stop`` ends the stream at the first end of a sentence behind it. Answers that call tools or have a
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
