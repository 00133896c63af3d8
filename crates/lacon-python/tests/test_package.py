"""The package as it is installed: its names, its types, what importing it does, and the examples of its guide."""

import ast
import doctest
import importlib.util
import inspect
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import lacon
import lacon.errors
from lacon import _native

PACKAGE = pathlib.Path(lacon.__file__).parent
GUIDE = pathlib.Path(__file__).parents[3] / "docs" / "python.md"
STUB = ast.parse((PACKAGE / "_native.pyi").read_text(encoding="utf-8"))


def arguments(node):
    """Names of a stub's arguments, `self` and `cls` left out, and those that are keywords alone."""
    both = [a.arg for a in node.args.posonlyargs + node.args.args if a.arg not in ("self", "cls")]
    return both, [a.arg for a in node.args.kwonlyargs]


def signature(function):
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
    alone = inspect.Parameter.KEYWORD_ONLY
    return [p.name for p in parameters if p.kind != alone], [p.name for p in parameters if p.kind == alone]


def test_the_stub_has_every_name_and_no_other():
    written = {node.name for node in STUB.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    there = {name for name in dir(_native) if not name.startswith("__")}
    assert written == there - {"_native"}


def test_the_stubs_arguments_are_the_modules():
    for node in STUB.body:
        if isinstance(node, ast.FunctionDef):
            assert arguments(node) == signature(getattr(_native, node.name)), node.name
        if isinstance(node, ast.ClassDef):
            kind = getattr(_native, node.name)
            members = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
            members = {n for n in members if not n.startswith("__")}
            assert members == {n for n in vars(kind) if not n.startswith("__")}, node.name
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and not item.decorator_list and not item.name.startswith("__"):
                    assert arguments(item) == signature(getattr(kind, item.name)), (node.name, item.name)


def test_every_public_name_is_there_and_documented():
    assert (PACKAGE / "py.typed").exists()
    assert set(lacon.errors.__all__) <= set(lacon.__all__)
    for name in lacon.__all__:
        thing = getattr(lacon, name)
        if name != "__version__":
            assert inspect.getdoc(thing), name


def test_the_types_hold_where_mypy_is_installed():
    pytest.importorskip("mypy")
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "lacon._native", "--ignore-disjoint-bases"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_itself_is_typed_strictly(tmp_path):
    pytest.importorskip("mypy")
    pytest.importorskip("langgraph")
    pytest.importorskip("langchain")
    # Beside other installed packages mypy would take those for sources too.
    adapters = {"openai": "openai", "anthropic": "anthropic", "litellm": "litellm", "openai_agents": "agents", "pydantic_ai": "pydantic_ai",
                "llama_index": "llama_index", "crewai": "crewai"}  # fmt: skip
    absent = [f"{name}.py" for name, package in adapters.items() if importlib.util.find_spec(package) is None]
    shutil.copytree(PACKAGE, tmp_path / "lacon", ignore=shutil.ignore_patterns("*.so", "bin", "__pycache__", *absent))
    check = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "lacon"]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_opens_no_socket_starts_no_thread_and_loads_no_vocabulary():
    script = """
import sys, threading
def refuse(event, arguments):
    if event.startswith("socket."):
        raise AssertionError(event)
sys.addaudithook(refuse)
import lacon
assert threading.active_count() == 1
for heavy in ("asyncio.base_events", "numpy", "tiktoken", "langchain_core"):
    assert heavy not in sys.modules, heavy
assert lacon.count("hello") == 1
"""
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_forked_child_counts():
    script = """
import os, lacon
lacon.count_batch(["word " * 100000] * 8)
child = os.fork()
if child == 0:
    os._exit(0 if lacon.count_batch(["word " * 100000] * 8)[0] == 100001 and lacon.compress("a").text == "a" else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    if not hasattr(__import__("os"), "fork"):
        pytest.skip("no fork here")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("guide", ["python.md", "langgraph.md"])
def test_the_guides_examples_are_true(guide):
    path = GUIDE.parent / guide
    if not path.exists():
        pytest.skip("the guide is not beside the package")
    blocks = re.findall(r"^```pycon\n(.*?)^```", path.read_text(encoding="utf-8"), re.S | re.M)
    assert len(blocks) >= 2
    for needed in ("langgraph", "langchain_core", "pyarrow"):
        if any(needed in block for block in blocks) and importlib.util.find_spec(needed) is None:
            blocks = [block for block in blocks if needed not in block]
    # A guide begins with a process that did nothing yet.
    lacon.report(clear=True)
    # One example: the source of a function is there as long as its example is.
    example = doctest.DocTestParser().get_doctest("\n".join(blocks), {"__name__": "guide"}, guide, str(path), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(example)
    assert runner.failures == 0, path
