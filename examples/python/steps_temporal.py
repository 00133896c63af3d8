"""A run of a team as an activity of Temporal. An activity that is repeated, on any worker, goes on from the run's own journal."""

import asyncio
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from lacon.step import run_once

# In production: a folder, or `journal="postgres://…"`, that every worker sees.
folder = os.environ.get("LACON_EXAMPLE_FOLDER") or tempfile.gettempdir()
options = ["--llm", "sim", "--time-scale", "0"]


@activity.defn
def team_run(question: str, run_id: str) -> dict[str, Any]:
    return run_once("debate", {"question": question}, run_id, folder, options=options)


@workflow.defn
class Answer:
    @workflow.run
    async def run(self, question: str) -> str:
        # The workflow's id names the run, so an activity that is repeated finds what it did.
        row = await workflow.execute_activity(
            team_run, args=[question, workflow.info().workflow_id], start_to_close_timeout=timedelta(minutes=30)
        )
        return f"{row['decision']}: {row['status']} with {row['tokens']} tokens"


async def main() -> None:
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    with ThreadPoolExecutor(8) as threads:
        async with Worker(client, task_queue="teams", workflows=[Answer], activities=[team_run], activity_executor=threads):
            print(await client.execute_workflow(Answer.run, "Is it worth it?", id="worth-it", task_queue="teams"))


if __name__ == "__main__":
    asyncio.run(main())
