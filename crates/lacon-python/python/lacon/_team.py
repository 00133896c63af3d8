"""`Team`: a team of agents, run by the command `lacon` as a process of its own; functions of Python answer tools and agents."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, overload

from .__main__ import binary
from .errors import TeamError

_F = TypeVar("_F", bound=Callable[..., Any])

#: Most bytes of one line of the command's output, and seconds that it has to end in when it is told to.
_LINE, _GRACE = 256 << 20, 10.0
_OPTIONS = {"budget_usd": "budget-usd", "budget_tokens": "budget-tokens", "deadline_s": "deadline", "llm": "llm", "base_url": "base-url",
            "out": "out", "run_id": "run-id", "resume": "resume", "seed": "seed", "time_scale": "time-scale", "profile": "profile",
            "quick_model": "quick-model", "deep_model": "deep-model", "config": "config", "html": "html"}  # fmt: skip
_LISTS = {"disable": "disable", "enable": "enable"}
_REPEATED = {"approve": "approve", "allow_mcp": "allow-mcp"}


@dataclass(frozen=True)
class TeamEvent:
    """What went on: ``kind`` is started, finished, calling, retrying, answered, tool or result."""

    kind: str
    #: The agent, or the node of the run.
    agent: str = ""
    #: What the agent says, where ``kind`` is answered.
    text: str = ""
    #: The tool that is called.
    tool: str = ""
    #: Why it failed, or is tried again.
    error: str | None = None
    #: The whole run, where ``kind`` is result: the last event.
    result: TeamResult | None = None


@dataclass(frozen=True)
class TeamResult:
    """What a run gave. ``record`` is all of it, as in run.json."""

    text: str
    decision: str | None
    agents: dict[str, str]
    run_id: str
    tokens: int
    calls: int
    cost_usd: float | None
    seconds: float
    simulated: bool
    warnings: list[str]
    record: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, record: dict[str, Any]) -> TeamResult:
        """The result that a record holds."""
        result, decision, cost = record.get("result"), record.get("decision"), record.get("cost_usd")
        said = {}
        for one in record["agents"]:
            texts = [text["text"] for time in one["said"][-1:] for text in time["texts"] if not text.get("failure")]
            if texts:
                said[one["name"]] = "\n\n".join(texts)
        return cls(
            text=result["text"] if result else "", decision=decision["value"] if decision else None, agents=said, run_id=record["run_id"],
            tokens=record["tokens"]["total"], calls=len(record["calls"]), cost_usd=None if cost is None else float(cost),
            seconds=record["wall_s"], simulated=record["llm"]["simulated"], warnings=record["warnings"], record=record,
        )  # fmt: skip

    def _repr_html_(self) -> str:
        from html import escape

        cost = "" if self.cost_usd is None else f", {self.cost_usd:.6f} USD"
        foot = f"{self.run_id}: {self.seconds:.2f} s, {self.calls} calls, {self.tokens:,} tokens{cost}"
        return f"<pre>{escape(self.text)}</pre><p>{escape(foot)}</p>"


class Team:
    """A team of agents: a file of one, one that comes with the program, or one that is built here.

    ``Team("research")`` and ``Team("my/team.toml")`` name one. Otherwise the keywords are those of ``[team]`` in the file
    (docs/teams.md), and ``agent``, ``tool`` and ``own_agent`` add to it.
    """

    def __init__(self, name: str | os.PathLike[str], **team: Any) -> None:
        self._name = os.fspath(name)
        if not self._name:
            raise ValueError("name is empty, a name, a file or a shipped team is needed")
        self._team: dict[str, Any] = {"name": self._name, **team}
        self._agents: list[dict[str, Any]] = []
        self._tools: dict[str, dict[str, Any]] = {}
        self._more: dict[str, Any] = {}
        self._functions: dict[str, Callable[..., Any]] = {}

    def agent(self, name: str, *, prompt: str, tools: Sequence[str | Callable[..., Any]] = (), **keys: Any) -> Team:
        """Adds an agent; keywords are the keys of ``[[agent]]``. Functions among ``tools`` are added as tools."""
        names = []
        for tool in tools:
            if not isinstance(tool, str) and self._functions.get(_name(tool)) is not tool:
                self.tool(tool)
            names.append(tool if isinstance(tool, str) else _name(tool))
        self._agents.append({"name": name, "prompt": prompt, **({"tools": names} if names else {}), **keys})
        return self

    @overload
    def tool(self, function: _F, *, name: str | None = None, **keys: Any) -> _F: ...
    @overload
    def tool(self, function: None = None, *, name: str | None = None, **keys: Any) -> Callable[[_F], _F]: ...
    def tool(self, function: Any = None, *, name: str | None = None, **keys: Any) -> Any:
        """Adds a function, plain or async, as a tool; a decorator with or without parentheses. Its first line of documentation tells the model what it does.

        For a team of a file it answers the tool of that name. Other keywords are keys of ``[[tool]]``.
        """
        if function is None:
            return lambda function: self.tool(function, name=name, **keys)
        name = name or _name(function)
        about = keys.pop("about", None) or (inspect.getdoc(function) or name).split("\n\n")[0].replace("\n", " ")
        arguments = keys.pop("arguments", None)
        if arguments is None:
            arguments = {one: _about(one, parameter) for one, parameter in inspect.signature(function).parameters.items()}
        self._tools[name] = {"name": name, "about": about, "code": True, "arguments": dict(arguments), **keys}
        self._functions[name] = function
        return function

    @overload
    def own_agent(self, function: _F, *, name: str | None = None, prompt: str = "", timeout_s: float = 600.0, **keys: Any) -> _F: ...
    @overload
    def own_agent(
        self, function: None = None, *, name: str | None = None, prompt: str = "", timeout_s: float = 600.0, **keys: Any
    ) -> Callable[[_F], _F]: ...
    def own_agent(self, function: Any = None, *, name: str | None = None, prompt: str = "", timeout_s: float = 600.0, **keys: Any) -> Any:
        """Adds an agent that a function answers in place of a model; a decorator with or without parentheses.

        The function takes what it names of ``prompt``, ``reads`` (texts by whose they are), ``item``, ``round`` and ``agent``. It
        gives a text, or JSON. Where the agent decides, the first line is the value.
        """
        if function is None:
            return lambda function: self.own_agent(function, name=name, prompt=prompt, timeout_s=timeout_s, **keys)
        name = name or _name(function)
        tool = f"own_{name}"
        self._tools[tool] = {"name": tool, "about": f"Answers for {name}.", "code": True, "timeout_s": timeout_s}
        self._functions[tool] = function
        self._agents.append({"name": name, "prompt": prompt, "by": tool, **keys})
        return function

    def group(self, name: str, agents: Sequence[str], **keys: Any) -> Team:
        """Adds agents that discuss; keywords are the keys of ``[group.NAME]``."""
        self._more.setdefault("group", {})[name] = {"agents": list(agents), **keys}
        return self

    def loop(self, name: str, agents: Sequence[str], **keys: Any) -> Team:
        """Adds agents that run again and again; keywords are the keys of ``[loop.NAME]``."""
        self._more.setdefault("loop", {})[name] = {"agents": list(agents), **keys}
        return self

    def to_toml(self) -> str:
        """The team as a file; functions of Python stand in it as tools that code answers."""
        parts = ["[team]\n" + _keys(self._team)]
        parts += [f"[[tool]]\n{_keys(tool)}" for tool in self._tools.values()]
        parts += [f"[[agent]]\n{_keys(agent)}" for agent in self._agents]
        parts += [f"[{kind}.{_toml_key(name)}]\n{_keys(keys)}" for kind, named in self._more.items() for name, keys in named.items()]
        return "\n".join(parts)

    # Running.

    def run(self, inputs: Mapping[str, Any] | None = None, **options: Any) -> TeamResult:
        """Runs the team and waits. Options are those of ``arun``."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.arun(inputs, **options))
        # As in a notebook: its loop goes on in this thread.
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as one:
            return one.submit(lambda: asyncio.run(self.arun(inputs, **options))).result()

    async def arun(self, inputs: Mapping[str, Any] | None = None, **options: Any) -> TeamResult:
        """Runs the team; canceling it ends the command, which keeps what is finished.

        Options: ``llm``, ``base_url``, ``quick_model``, ``deep_model``, ``budget_usd``, ``budget_tokens``, ``deadline_s``, ``profile``,
        ``disable``, ``enable``, ``approve``, ``allow_mcp``, ``out``, ``run_id``, ``resume``, ``seed``, ``time_scale``, ``html``, ``config``.
        Raises TeamError, with the record where there is one.
        """
        result: TeamResult | None = None
        async for event in self.stream(inputs, **options):
            result = event.result
        assert result is not None, "a stream ends with its result, or raises"
        return result

    async def stream(self, inputs: Mapping[str, Any] | None = None, **options: Any) -> AsyncIterator[TeamEvent]:
        """What goes on, as it does; the last event holds the result. Options are those of ``arun``."""
        command = binary()
        if command is None:
            raise TeamError("there is no command lacon\nhint: install the wheel that holds it, or name it by LACON_BINARY", code=127)
        from ._serve import Served

        # Only the user can read it: it holds the secret of the functions.
        with tempfile.TemporaryDirectory(prefix="lacon-") as folder:
            async with Served(self._functions) as served:
                given = self._arguments(Path(folder), inputs or {}, served.urls, options)
                process = await asyncio.create_subprocess_exec(
                    command, *given, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=_LINE
                )
                assert process.stdout is not None and process.stderr is not None, "both are pipes"
                said = asyncio.create_task(process.stderr.read())
                record: dict[str, Any] | None = None
                try:
                    async for line in process.stdout:
                        value = json.loads(line)
                        if value["event"] == "record":
                            record = value["record"]
                        else:
                            yield _event(value)
                    code = await process.wait()
                    message = (await said).decode("utf-8", "replace").strip()
                finally:
                    await _ended(process)
                    said.cancel()
                if code or record is None:
                    raise _failure(code, message, record) from (served.errors[0] if served.errors else None)
        yield TeamEvent("result", result=TeamResult.of(record))

    def _arguments(self, folder: Path, inputs: Mapping[str, Any], urls: Mapping[str, str], options: Mapping[str, Any]) -> list[str]:
        name = self._name
        if self._agents:
            name = str(folder / "team.toml")
            Path(name).write_text(self.to_toml(), encoding="utf-8")
        given = ["run", name, "--events"]
        if not isinstance(inputs, Mapping):
            raise TypeError(f"inputs is of type {type(inputs).__name__}, a dict by name is needed")
        for flag, values in (("--input", inputs), ("--tool", urls)):
            if values:
                path = folder / f"{flag[2:]}.json"
                path.write_text(json.dumps(dict(values), ensure_ascii=False), encoding="utf-8")
                given += [flag, f"@{path}"]
        for key, value in options.items():
            if key not in _OPTIONS and key not in _LISTS and key not in _REPEATED:
                raise TypeError(f"{key!r} is no option of a run\nhint: there are {', '.join([*_OPTIONS, *_LISTS, *_REPEATED])}")
            if value is None:
                continue
            several = [value] if isinstance(value, str) else value
            if key in _OPTIONS:
                given.append(f"--{_OPTIONS[key]}={os.fspath(value) if isinstance(value, os.PathLike) else value}")
            elif key in _LISTS:
                given.append(f"--{_LISTS[key]}={','.join(several)}")
            else:
                given += [f"--{_REPEATED[key]}={one}" for one in several]
        return given


def _event(value: dict[str, Any]) -> TeamEvent:
    return TeamEvent(
        kind=value["event"], agent=value.get("agent") or value.get("node") or "", text=value.get("text", ""), tool=value.get("tool", ""),
        error=value.get("error") or value.get("reason"),
    )  # fmt: skip


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Ends a command that is still there: it is told to, and keeps what is finished."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _GRACE)
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()
    except asyncio.CancelledError:
        process.kill()
        raise
    finally:
        # Its pipes would keep it from being reaped.
        process._transport.close()  # type: ignore[attr-defined]


def _failure(code: int, message: str, record: dict[str, Any] | None) -> TeamError:
    # What the command says last; the lines before it are its heading and warnings.
    at = message.rfind("error: ")
    said = message[at + len("error: ") :] if at >= 0 else (record or {}).get("failure") or message or f"the command ended with {code}"
    return TeamError(said, code=code, record=record)


def _name(function: Any) -> str:
    if not callable(function):
        raise TypeError(f"a value of type {type(function).__name__} is given, a function is needed")
    return str(function.__name__)


def _about(name: str, parameter: inspect.Parameter) -> str:
    kind = parameter.annotation
    kind = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    return f"{name.replace('_', ' ')}, a number" if kind in ("int", "float") else name.replace("_", " ")


def _toml_key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "").replace("-", "").isalnum() else _toml(key)


def _keys(table: Mapping[str, Any]) -> str:
    return "".join(f"{_toml_key(key)} = {_toml(value)}\n" for key, value in table.items() if value is not None)


def _toml(value: Any) -> str:
    """A value of TOML, which is that of JSON but for tables and a few characters."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml_key(str(key))} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, (str, bool, int, float)):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    raise TypeError(f"a value of type {type(value).__name__} cannot stand in a team: {value!r}")
