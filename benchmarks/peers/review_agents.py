import asyncio
import json
import sys
import time  # measured

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI

from roles import REVIEWERS, arbiter, reviewer

set_tracing_disabled(True)
client = AsyncOpenAI()


def agent(name, model, instructions):
    return Agent(name=name, instructions=instructions, model=OpenAIChatCompletionsModel(model=model, openai_client=client))


async def main():
    began = time.monotonic()  # measured
    change = "## change\n" + open(sys.argv[1]).read()
    agents = [agent(name, REVIEWERS[name][0], reviewer(name)) for name in REVIEWERS]
    done = await asyncio.gather(*(Runner.run(one, change) for one in agents))
    reviews = "\n\n".join(f"## {name}\n{one.final_output}" for name, one in zip(REVIEWERS, done))
    last = await Runner.run(agent("arbiter", "gpt-4o", arbiter()), f"{change}\n\n{reviews}")
    if not last.final_output.startswith("CHOICE: "):
        raise ValueError("no decision")
    used = [one.context_wrapper.usage for one in [*done, last]]
    print(json.dumps({"seconds": time.monotonic() - began, "calls": sum(u.requests for u in used), "tokens": sum(u.total_tokens for u in used), "text": last.final_output}))


asyncio.run(main())
