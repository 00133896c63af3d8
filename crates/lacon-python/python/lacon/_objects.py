"""What objects of other packages say as JSON: messages of SDKs and of LangChain, tools, mappings, iterables.

The native half asks here for each value that is no JSON itself.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def plain(value: Any) -> Any:
    """One level of a value as dict, list or a simpler value; NotImplemented where it is none."""
    if "langchain_core" in sys.modules:
        from langchain_core.messages import BaseMessage, convert_to_openai_messages
        from langchain_core.tools import BaseTool

        if isinstance(value, BaseMessage):
            return convert_to_openai_messages(value)
        if isinstance(value, BaseTool):
            from langchain_core.utils.function_calling import convert_to_openai_tool

            return convert_to_openai_tool(value)
    if isinstance(value, (bytes, bytearray, memoryview, set, frozenset, type)):
        return NotImplemented
    # Pydantic's objects, which are those of the OpenAI, Anthropic and Google SDKs.
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if hasattr(value, "to_pylist"):
        return value.to_pylist()
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    if hasattr(value, "keys") and hasattr(value, "__getitem__"):
        return {key: value[key] for key in value.keys()}
    try:
        return list(value)
    except TypeError:
        return NotImplemented
