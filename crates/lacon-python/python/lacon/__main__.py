"""`python -m lacon` and the script `lacon`: the command that the wheel holds, or the one that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_NAME = "lacon.exe" if os.name == "nt" else "lacon"


def binary() -> Path | None:
    """The command: that of the wheel, else that of LACON_BINARY, else one on the path that is not this script."""
    inside = Path(__file__).parent / "bin" / _NAME
    if inside.is_file():
        return inside
    named = os.environ.get("LACON_BINARY")
    if named:
        return Path(named)
    mine = {Path(sys.argv[0]).resolve(), (Path(sys.executable).parent / _NAME).resolve()}
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        found = shutil.which(_NAME, path=folder) if folder else None
        if found and Path(found).resolve() not in mine and not _is_script(Path(found)):
            return Path(found)
    return None


def _is_script(path: Path) -> bool:
    """Whether a file is a script of Python, as this one is in another environment."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def main() -> int:
    """Runs the command with the arguments of this process, and gives its exit code."""
    found = binary()
    if found is None:
        print(
            "lacon: this wheel holds the Python module alone, without the command\n"
            "hint: install the command by `cargo install --path crates/lacon`, or name it by LACON_BINARY",
            file=sys.stderr,
        )
        return 127
    command = [str(found), *sys.argv[1:]]
    try:
        if os.name != "nt":
            sys.stdout.flush()
            os.execv(command[0], command)
        return subprocess.run(command).returncode
    except OSError as error:
        print(f"lacon: {found} cannot be started: {error.strerror or error}", file=sys.stderr)
        return 126


if __name__ == "__main__":
    sys.exit(main())
