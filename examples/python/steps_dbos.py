"""A run of a team as a step of DBOS. The workflow goes on after a crash, and the step goes on from the run's own journal."""

import os
import tempfile
from typing import Any

from dbos import DBOS, DBOSConfig

from lacon.step import run_once

# In production: a database of yours, and a folder or `journal="postgres://…"` that every worker sees.
folder = os.environ.get("LACON_EXAMPLE_FOLDER") or tempfile.mkdtemp()
config: DBOSConfig = {"name": "lacon", "system_database_url": f"sqlite:///{folder}/dbos.sqlite"}
options = ["--llm", "sim", "--time-scale", "0"]


@DBOS.step(retries_allowed=True, max_attempts=3)
def team_run(question: str, run_id: str) -> dict[str, Any]:
    return run_once("debate", {"question": question}, run_id, folder, options=options)


@DBOS.workflow()
def answer(question: str) -> str:
    # The workflow's id names the run, so a step that is repeated finds what it did.
    row = team_run(question, f"{DBOS.workflow_id}")
    return f"{row['decision']}: {row['status']} with {row['tokens']} tokens"


if __name__ == "__main__":
    DBOS(config=config)
    DBOS.launch()
    print(answer("Is it worth it?"))
    DBOS.destroy()
