"""The scripts and notebooks of examples/python: they run, and their types hold strictly."""

import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from _server import provider

from lacon.__main__ import binary

EXAMPLES = pathlib.Path(__file__).parents[3] / "examples" / "python"
SCRIPTS, NOTEBOOKS = sorted(EXAMPLES.glob("*.py")), sorted(EXAMPLES.glob("*.ipynb"))
if not SCRIPTS:
    pytest.skip("the examples are not beside the package", allow_module_level=True)


def needed(text):
    """Skips where a package is missing that an example imports."""
    for package in re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    if ("lacon.Team" in text or "run_once" in text) and binary() is None:
        pytest.skip("there is no command lacon")
    if "TEMPORAL_ADDRESS" in text and "TEMPORAL_ADDRESS" not in os.environ:
        pytest.skip("TEMPORAL_ADDRESS names no server")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_run(path, tmp_path):
    needed(path.read_text(encoding="utf-8"))
    with provider() as there:
        there.answer = "Chips rose 3 percent. " * 30
        env = {**os.environ, "LACON_EXAMPLE_URL": f"{there.url}/v1", "XDG_CACHE_HOME": str(tmp_path)}
        done = subprocess.run([sys.executable, path], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout, done.stderr


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_run_and_hold_what_they_print(path, capsys):
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    needed("".join("".join(cell["source"]) for cell in cells))
    __import__("lacon").report(clear=True)
    space = {"__name__": "__main__"}
    for cell in cells:
        exec(compile("".join(cell["source"]), str(path), "exec"), space)
        assert capsys.readouterr().out == "".join(text for output in cell["outputs"] for text in output["text"])


def test_types_hold_strictly():
    pytest.importorskip("pyright", reason="pyright is not installed")
    for package in ("openai", "dbos", "temporalio"):
        pytest.importorskip(package)
    # It runs by Node, which it fetches when it is first used.
    if subprocess.run([sys.executable, "-m", "pyright", "--version"], capture_output=True, timeout=300).returncode:
        pytest.skip("pyright cannot run here")
    check = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", "--project", str(EXAMPLES / "pyrightconfig.json")]
    said = json.loads(subprocess.run(check, capture_output=True, text=True, timeout=600).stdout)
    assert said["summary"]["filesAnalyzed"] == len(SCRIPTS), said["summary"]
    assert not said["generalDiagnostics"], said["generalDiagnostics"][:5]
