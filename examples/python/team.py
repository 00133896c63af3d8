"""A team with a function as tool and a function as agent. Needs the command of the wheel; the simulator answers for the model."""

import lacon

team = lacon.Team("rain", inputs={"city": "text"}, decision={"agent": "judge", "values": ["take an umbrella", "leave it"]})


@team.tool
def rainfall(city: str) -> str:
    """Millimeters of rain of the last days."""
    return {"Kyoto": "12, 0, 31 mm"}.get(city, "no data")


team.agent("reader", prompt="What do the last days say about rain in {city}?", tools=["rainfall"], prefetch={"rainfall": {"city": "{city}"}}, words=60)


@team.own_agent(reads=["reader"])
async def judge(reads: dict[str, str]) -> str:
    """No model is asked."""
    return "take an umbrella\n31 mm fell" if "31 mm" in reads["reader"] else "leave it"


result = team.run({"city": "Kyoto"}, llm="sim", time_scale=0)
print(result.decision, "-", result.agents["judge"])
print(f"{result.calls} call, {result.tokens} tokens, simulated: {result.simulated}")
