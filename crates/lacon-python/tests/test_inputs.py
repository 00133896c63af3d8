"""What callers hand over besides lists of dicts: TypedDicts, generators, objects of SDKs; and what errors say of it."""

import dataclasses
import json
import pathlib
import pickle
import subprocess
import sys

import pytest

import lacon

ROWS = json.dumps([{"day": i, "close": i * 7, "venue": "XNAS"} for i in range(40)], indent=1)


def test_generators_and_columns_are_iterables():
    assert lacon.count_batch(text for text in ("one", "one two")) == [1, 2]
    assert lacon.encode_batch(iter(["one"])) == [lacon.encode("one")]
    assert lacon.decode(iter(lacon.encode("many things"))) == "many things"
    assert [one.text for one in lacon.compress_batch(text for text in ("a", "b"))] == ["a", "b"]
    said = [{"role": "user", "content": "hello"}]
    assert lacon.count_messages(message for message in said).total == 8
    assert lacon.compress(message for message in said).messages == said
    encoding = lacon.get_encoding("o200k_base")
    assert encoding.count_batch({"a": 1}.keys()) == [1]
    assert encoding.decode_batch(iter([encoding.encode("a")])) == ["a"]

    class Column:
        """As Arrow's: its items are no str, its list's are."""

        def to_pylist(self):
            return ["one", "one two"]

        def __iter__(self):
            raise AssertionError("scalars")

    assert lacon.count_batch(Column()) == [1, 2]


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: lacon.count_batch(["a", 3]), TypeError, r"texts\[1\] is of type int"),
        (lambda: lacon.count_batch("abc"), TypeError, "texts is a str"),
        (lambda: lacon.count_batch(3), TypeError, "texts is a int"),
        (lambda: lacon.count_batch(["a", "\ud800"]), UnicodeEncodeError, r"at texts\[1\]"),
        (lambda: lacon.decode([1, "x"]), TypeError, r"tokens\[1\]"),
        (lambda: lacon.decode([1, -1]), OverflowError, r"tokens\[1\]"),
        (lambda: lacon.get_encoding("o200k_base").encode_batch(["a", None]), TypeError, r"text\[1\]"),
        (lambda: lacon.compress([{"role": "user", "content": [{"x": object()}]}]), TypeError, r"source\[0\].content\[0\].x: .*object"),
        (lambda: lacon.compress([{"role": "user", "content": 1 << 80}]), ValueError, r"source\[0\].content: "),
        (lambda: lacon.compress([{"role": "user", "content": "\ud800"}]), UnicodeEncodeError, r"source\[0\].content"),
        (lambda: lacon.count_messages([], tools=[{"a": {1, 2}}]), TypeError, r"tools\[0\].a: "),
        (lambda: lacon.count_messages([], response_schema={"a": float("nan")}), ValueError, "response_schema.a: "),
    ],
)
def test_errors_name_the_element(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_mappings_and_dataclasses_are_objects():
    import types

    @dataclasses.dataclass
    class Message:
        role: str
        content: str

    said = [{"role": "user", "content": "hello"}]
    assert lacon.count_messages([types.MappingProxyType(said[0])]).total == 8
    assert lacon.count_messages([Message("user", "hello")]).total == 8


def test_objects_of_the_openai_sdk():
    chat = pytest.importorskip("openai.types.chat")
    call = {"id": "a", "type": "function", "function": {"name": "prices", "arguments": "{}"}}
    answer = chat.ChatCompletionMessage.model_validate({"role": "assistant", "content": None, "tool_calls": [call]})
    messages = [{"role": "user", "content": "hello"}, answer, {"role": "tool", "tool_call_id": "a", "content": ROWS}]
    short = lacon.compress(messages)
    assert short.messages[1]["tool_calls"] == [call] and short.messages[2]["content"].startswith("@json")
    assert lacon.count_messages(messages).total > 100 and lacon.trim(messages, 10_000).messages[2]["content"] == ROWS


def test_results_are_pickled():
    said = [{"role": "user", "content": "a"}, {"role": "tool", "tool_call_id": "x", "content": ROWS}]
    for thing in (
        lacon.estimate("hello", "claude-sonnet-4-5"),
        lacon.count_messages(said),
        lacon.compress(ROWS),
        lacon.compress([said[0]]),
        lacon.trim(ROWS, 100),
    ):
        again = pickle.loads(pickle.dumps(thing))
        names = [name for name in dir(thing) if not name.startswith("_") and not callable(getattr(thing, name))]
        assert names and [getattr(again, n) for n in names] == [getattr(thing, n) for n in names]
    whole = lacon.compress(ROWS)
    assert pickle.loads(pickle.dumps(whole)).expand() == ROWS


def test_stores_are_pickled(tmp_path):
    memory = lacon.Store(session="mine", limit_bytes=1000)
    handle = memory.put("kept")
    again = pickle.loads(pickle.dumps(memory))
    assert again.retrieve(handle) == "kept" and again.session == "mine" and again.put("kept") == handle
    with pytest.raises(lacon.StoreFullError):
        again.put("x" * 2000)
    file = lacon.Store(tmp_path / "store.db", session="s")
    handle = file.put("on disk")
    assert pickle.loads(pickle.dumps(file)).retrieve(handle) == "on disk"


def test_an_unknown_model_is_not_said_to_be_counted():
    for model in ("nobody-knows", "llama-3-70b"):
        with pytest.raises(lacon.ModelError) as raised:
            lacon.count("a", model=model)
        assert "counted with" not in str(raised.value) and repr(model)[1:-1] in str(raised.value)


TYPED = '''
from typing import TypedDict
import lacon
import lacon.tiktoken as tiktoken

class Message(TypedDict):
    role: str
    content: str

said: list[Message] = [{"role": "user", "content": "hello"}]
n: int = lacon.count_messages(said, "gpt-4o").total
short: lacon.Compressed = lacon.compress(said)
short = lacon.compress("text")
fitted: lacon.Trimmed = lacon.trim(said, 100)
counts: list[int] = lacon.count_batch(text for text in ("a", "b"))
ids: list[int] = tiktoken.encoding_for_model("gpt-4o").encode("a")
back = lacon.expand(said, changed=[])
'''


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_typed_dicts_pass_type_checkers(checker, tmp_path):
    pytest.importorskip(checker)
    (tmp_path / "typed.py").write_text(TYPED)
    options = {"mypy": ["--strict", "--no-incremental"], "pyright": ["--pythonpath", sys.executable]}[checker]
    here = str(pathlib.Path(lacon.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", checker, *options, "typed.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**__import__("os").environ, "MYPYPATH": here if "site-packages" not in here else ""},
    )
    if checker == "pyright" and "No configuration" not in done.stdout and "error" not in done.stdout and done.returncode != 0:
        pytest.skip(f"pyright cannot start here: {(done.stdout + done.stderr).strip()[-200:]}")
    assert done.returncode == 0, done.stdout + done.stderr
