"""Word limits, early stop and a budget around a client of the OpenAI SDK. Needs openai.

`lacon sim serve --port 8090` simulates a provider; LACON_EXAMPLE_URL names another one.
"""

import os

from openai import OpenAI

import lacon
import lacon.openai

url = os.environ.get("LACON_EXAMPLE_URL", "http://127.0.0.1:8090/v1")
plain = OpenAI(base_url=url, api_key=os.environ.get("OPENAI_API_KEY", "none"))
client = lacon.openai.wrap(plain, agents={"news": 20}, budget_usd=0.10, prices=(0.15, 0.60))

with lacon.agent("news"):
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "What happened to chip makers?"}])
print(answer.choices[0].message.content)
print(lacon.report())
