"""The savings around a client of the OpenAI SDK: ``client = lacon.openai.wrap(OpenAI())``. Needs ``openai``."""

from __future__ import annotations

from typing import Any, TypeVar

from openai import AsyncOpenAI, OpenAI

from ._client import wrapped
from ._forms import Chat, Responses

__all__ = ["wrap"]

_C = TypeVar("_C", OpenAI, AsyncOpenAI)


def wrap(client: _C, **options: Any) -> _C:
    """A copy of the client with the savings of ``lacon.wrap``, whose options it takes: chat completions and responses.

    The agent of a call is ``agent``, what ``lacon.agent`` names, or the node of LangGraph.
    """
    forms = {form.path: form for form in (Chat(), Responses())}
    return wrapped(client, OpenAI, AsyncOpenAI, forms, options)  # type: ignore[no-any-return]
