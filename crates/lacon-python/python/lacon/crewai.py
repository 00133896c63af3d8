"""The savings as hooks of CrewAI: ``lacon.crewai.install(agents={"Analyst": 300})``. Needs ``crewai``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from crewai.hooks import (
    register_after_llm_call_hook,
    register_before_llm_call_hook,
    unregister_after_llm_call_hook,
    unregister_before_llm_call_hook,
)
from crewai.hooks.dispatch import HookAborted

from . import _native
from ._savings import Call, Savings
from .errors import BudgetError

__all__ = ["install"]


class _Spent(HookAborted, BudgetError):
    """CrewAI passes on its own exception alone."""

    def __init__(self, message: str) -> None:
        HookAborted.__init__(self, reason=message, source="lacon")
        self.minimum = self.budget = None

    def __str__(self) -> str:
        return str(self.reason)


def install(**options: Any) -> Callable[[], None]:
    """Hooks before and after each call of a model; what it gives removes them. Options are those of ``lacon.wrap``.

    The agent of a call is its role. CrewAI's hooks see no stream and no second caller, so ``early_stop`` and ``single_flight`` do
    nothing here: wrap the client of the SDK where a model takes one.
    """
    if options.pop("single_flight", None):
        raise ValueError("single_flight is True: hooks of CrewAI cannot share a call\nhint: leave it out")
    savings = Savings(**{**options, "early_stop": False})
    calls: dict[int, Call] = {}

    def before(context: Any) -> None:
        role = getattr(context.agent, "role", None)
        agent = savings.name(role.strip() if isinstance(role, str) else None)
        limit = savings.limit(agent)
        messages = context.messages
        before = _native.count_messages(messages).total
        short = _native.compress(messages) if savings.compress and messages else None
        if short is not None and short.changed:
            assert short.messages is not None, "messages were given"
            for at, (old, new) in enumerate(zip(messages, short.messages, strict=True)):
                # CrewAI keeps objects in its messages, which are not JSON: those that got no shorter stay what they are.
                if old.get("content") != new.get("content"):
                    messages[at] = {**old, "content": new["content"]}
        saved = before - _native.count_messages(messages).total
        said = limit.instruction() if limit is not None and savings.instruct else ""
        if said and not any(said in str(message.get("content")) for message in messages):
            at = next((i for i, message in enumerate(messages) if message.get("role") == "system"), None)
            if at is None:
                messages.insert(0, {"role": "system", "content": said})
            else:
                messages[at] = {**messages[at], "content": f"{messages[at].get('content') or ''}\n\n{said}"}
        # A call that failed had no hook behind it.
        failed = calls.pop(threading.get_ident(), None)
        if failed is not None:
            failed.end(RuntimeError("the call before this one gave no answer"))
        tokens = _native.count_messages(messages).total
        model, most = str(getattr(context.llm, "model", None) or "unknown"), getattr(context.llm, "max_tokens", None)
        try:
            calls[threading.get_ident()] = Call(
                savings, model, agent, tokens, limit=limit, saved=saved, max_output=most, system="crewai"
            )
        except BudgetError as error:
            raise _Spent(str(error)) from error

    def after(context: Any) -> None:
        call = calls.pop(threading.get_ident(), None)
        if call is not None:
            call.text = context.response or ""
            call.end()

    register_before_llm_call_hook(before)
    register_after_llm_call_hook(after)

    def remove() -> None:
        unregister_before_llm_call_hook(before)
        unregister_after_llm_call_hook(after)

    return remove
