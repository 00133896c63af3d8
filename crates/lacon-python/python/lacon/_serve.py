"""Functions of Python as tools over HTTP on the loopback, for the command that runs a team. A secret in the path keeps others out."""

from __future__ import annotations

import asyncio
import hmac
import inspect
import json
import secrets
import typing
from collections.abc import Callable, Mapping
from typing import Any

#: Most bytes of a request's head and body, and seconds until a request is there.
HEAD, BODY, PATIENCE = 16 << 10, 8 << 20, 30.0
_CONVERTED: dict[Any, Callable[[str], Any]] = {int: int, float: float, bool: {"true": True, "false": False}.__getitem__}


class Served:
    """A server of functions, by name. ``errors`` holds what they raised."""

    def __init__(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        self.functions = {name: (function, _hints(function)) for name, function in functions.items()}
        self.errors: list[BaseException] = []
        self._secret = secrets.token_urlsafe(24)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Served:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=HEAD)
        port = self._server.sockets[0].getsockname()[1]
        self.urls = {name: f"http://127.0.0.1:{port}/{self._secret}/{name}" for name in self.functions}
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a server runs its handlers as tasks"
        self._tasks.add(task)
        try:
            status, answer = await self._answer(reader)
            body = json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")
            head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, asyncio.TimeoutError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[str, dict[str, Any]]:
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode("latin-1").split("\r\n")
        method, path = [*head[0].split(" "), "", ""][:2]
        fields = dict(line.lower().split(":", 1) for line in head[1:] if ":" in line)
        length = fields.get("content-length", "").strip()
        if not length.isdigit() or int(length) > BODY:
            return "413 Content Too Large", {"error": f"content-length is {length!r}, at most {BODY} is read"}
        body = await asyncio.wait_for(reader.readexactly(int(length)), PATIENCE)
        _, secret, name = [*path.split("/"), "", ""][:3]
        if not hmac.compare_digest(secret.encode(), self._secret.encode()):
            return "403 Forbidden", {"error": "this is no tool of yours"}
        if method != "POST" or name not in self.functions:
            return "404 Not Found", {"error": f"there is no tool {name!r}"}
        try:
            given = json.loads(body)
        except ValueError as error:
            return "400 Bad Request", {"error": f"the arguments are no JSON: {error}"}
        function, hints = self.functions[name]
        try:
            return "200 OK", {"text": await called(function, hints, given)}
        except Exception as error:
            self.errors.append(error)
            return "500 Internal Server Error", {"error": f"{type(error).__name__}: {error}"}


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:
        # A name in an annotation that is not there at run time says nothing of its argument.
        return {}


async def called(function: Callable[..., Any], hints: Mapping[str, Any], given: Any) -> str:
    """Calls a function with those of the arguments that it takes; what it gives is text, or JSON."""
    if not isinstance(given, dict):
        raise TypeError(f"the arguments are of type {type(given).__name__}, an object is needed")
    parameters = inspect.signature(function).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    taken = {name: _converted(name, value, hints.get(name)) for name, value in given.items() if takes_all or name in parameters}
    if inspect.iscoroutinefunction(function):
        answer = await function(**taken)
    else:
        answer = await asyncio.to_thread(function, **taken)
        answer = await answer if inspect.isawaitable(answer) else answer
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def _converted(name: str, value: Any, kind: Any) -> Any:
    """Models write numbers as text where a tool's arguments are said to be texts."""
    convert = _CONVERTED.get(kind)
    if convert is None or not isinstance(value, str):
        return value
    try:
        return convert(value.strip().lower())
    except (ValueError, KeyError):
        raise ValueError(f"{name} is {value!r}, {kind.__name__} is needed") from None
