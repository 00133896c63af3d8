import asyncio
import json
import sys
import time  # measured

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel

from roles import REVIEWERS, arbiter, reviewer


async def main():
    began = time.monotonic()  # measured
    change = "## change\n" + open(sys.argv[1]).read()
    agents = [Agent(OpenAIChatModel(REVIEWERS[name][0]), instructions=reviewer(name)) for name in REVIEWERS]
    done = await asyncio.gather(*(agent.run(change) for agent in agents))
    reviews = "\n\n".join(f"## {name}\n{one.output}" for name, one in zip(REVIEWERS, done))
    last = await Agent(OpenAIChatModel("gpt-4o"), instructions=arbiter()).run(f"{change}\n\n{reviews}")
    if not last.output.startswith("CHOICE: "):
        raise ValueError("no decision")
    use = lambda one: one.usage() if callable(one.usage) else one.usage
    used = [use(one) for one in [*done, last]]
    print(json.dumps({"seconds": time.monotonic() - began, "calls": sum(u.requests for u in used), "tokens": sum(u.total_tokens for u in used), "text": last.output}))


asyncio.run(main())
