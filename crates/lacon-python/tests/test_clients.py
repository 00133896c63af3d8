"""The savings around clients of the OpenAI and Anthropic SDKs, against a simulated provider on the loopback."""

import asyncio

import pytest
from _server import LONG, ROWS, provider

import lacon

SHORT = "One two three."
CALL = [{"role": "user", "content": "q"}]


@pytest.fixture
def there():
    lacon.report(clear=True)
    with provider() as one:
        yield one


class OpenAI:
    """Chat completions of the OpenAI SDK."""

    path, tool, limit = "/chat/completions", [{"type": "function", "function": {"name": "prices", "parameters": {}}}], {"max_completion_tokens": 50}
    turns = [
        *CALL,
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "prices", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": ROWS},
    ]

    def __init__(self, url):
        self.sdk = pytest.importorskip("openai", reason="openai is not installed")
        self.given = {"base_url": f"{url}/v1", "api_key": "k", "max_retries": 0}

    def client(self, awaits=False, **options):
        kind = self.sdk.AsyncOpenAI if awaits else self.sdk.OpenAI
        return __import__("lacon.openai", fromlist=["wrap"]).wrap(kind(**self.given), **options)

    def create(self, client, messages=CALL, **more):
        return client.chat.completions.create(model="sim", messages=messages, **more)

    def text(self, answer):
        return answer.choices[0].message.content

    def piece(self, event):
        return event.choices[0].delta.content or "" if event.choices else ""

    def result(self, body):
        return body["messages"][-1]["content"]

    def told(self, body):
        return body["messages"][0]["content"]

    def stream(self, client):
        return client.chat.completions.stream(model="sim", messages=CALL)

    def final(self, stream):
        return stream.get_final_completion()


class Responses(OpenAI):
    """Responses of the OpenAI SDK."""

    path, tool, limit = "/responses", [{"type": "function", "name": "prices", "parameters": {}, "strict": False}], {"max_output_tokens": 50}
    turns = [
        *CALL,
        {"type": "function_call", "call_id": "c", "name": "prices", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": ROWS},
    ]

    def create(self, client, messages="q", **more):
        return client.responses.create(model="sim", input=messages, **more)

    def text(self, answer):
        return answer.output_text

    def piece(self, event):
        return event.delta if event.type == "response.output_text.delta" else ""

    def result(self, body):
        return body["input"][-1]["output"]

    def told(self, body):
        return body["instructions"]

    def stream(self, client):
        return client.responses.stream(model="sim", input="q")

    def final(self, stream):
        return stream.get_final_response()


class Anthropic(OpenAI):
    """Messages of the Anthropic SDK."""

    path, tool, limit = "/messages", [{"name": "prices", "input_schema": {"type": "object"}}], {"max_tokens": 50}
    turns = [
        *CALL,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "prices", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": ROWS}]},
    ]

    def __init__(self, url):
        self.sdk = pytest.importorskip("anthropic", reason="anthropic is not installed")
        self.given = {"base_url": url, "api_key": "k", "max_retries": 0}

    def client(self, awaits=False, **options):
        kind = self.sdk.AsyncAnthropic if awaits else self.sdk.Anthropic
        return __import__("lacon.anthropic", fromlist=["wrap"]).wrap(kind(**self.given), **options)

    def create(self, client, messages=CALL, **more):
        return client.messages.create(**{"model": "sim", "messages": messages, "max_tokens": 4000, **more})

    def text(self, answer):
        return answer.content[0].text

    def piece(self, event):
        return event.delta.text if event.type == "content_block_delta" else ""

    def result(self, body):
        return body["messages"][-1]["content"][0]["content"]

    def told(self, body):
        return body["system"]

    def stream(self, client):
        return client.messages.stream(model="sim", messages=CALL, max_tokens=4000)

    def final(self, stream):
        return stream.get_final_message()


class Beta(Anthropic):
    """Messages of the Anthropic SDK's beta, which frameworks use."""

    def create(self, client, messages=CALL, **more):
        return client.beta.messages.create(**{"model": "sim", "messages": messages, "max_tokens": 4000, **more})

    def stream(self, client):
        return client.beta.messages.stream(model="sim", messages=CALL, max_tokens=4000)


@pytest.fixture(params=[OpenAI, Responses, Anthropic, Beta])
def sdk(request, there):
    return request.param(there.url)


def row():
    return lacon.report()["chat sim"]


async def collect(stream):
    return [event async for event in stream]


def test_an_answer_ends_at_the_sentence_behind_its_limit(sdk, there):
    client = sdk.client(agents={"a": 3}, agent="a")
    answer = sdk.create(client)
    assert sdk.text(answer) == SHORT and answer.lacon_stopped_early if sdk.path != "/messages" else sdk.text(answer) == SHORT
    assert there.sent < 100 and there.asked[0][1]["stream"] is True
    assert sdk.told(there.asked[0][1]) == "Answer in at most 3 words."
    assert "".join(map(sdk.piece, sdk.create(client, stream=True))) == SHORT
    awaits = sdk.client(True, agents={"a": 3}, agent="a")

    async def main():
        whole = sdk.text(await sdk.create(awaits))
        return whole, "".join(map(sdk.piece, await collect(await sdk.create(awaits, stream=True))))

    assert asyncio.run(main()) == (SHORT, SHORT)
    assert row()["calls"] == 4 and row()["sums"]["stopped_early"] == 4 and there.sent < 400
    with sdk.stream(client) as stream:
        assert sdk.text(sdk.final(stream)) == SHORT


def test_a_longer_limit_and_each_switch(sdk, there):
    assert sdk.text(sdk.create(sdk.client(agents={"a": 5000}, agent="a"))) == LONG
    assert row()["sums"]["input_tokens"] == 11 and row()["sums"]["output_tokens"] == 7
    assert sdk.text(sdk.create(sdk.client(agents={"a": 3}, agent="a", early_stop=False, instruct=False))) == LONG
    assert sdk.text(sdk.create(sdk.client(agents={"a": 3}))) == LONG
    assert not there.asked[1][1].get("stream") and not there.asked[2][1].get("stream")
    with lacon.agent("a"):
        assert sdk.text(sdk.create(sdk.client(agents={"a": 3}).with_options(timeout=9))) == SHORT
    sdk.create(sdk.client(agents={"a": 3}, agent="a"), tools=sdk.tool)
    assert not there.asked[-1][1].get("stream") and row()["sums"]["stopped_early"] == 1
    with sdk.create(sdk.client(), stream=True) as stream:
        next(iter(stream))
    assert there.sent < 900 and row()["calls"] == 6


def test_required_sections_come_before_the_end(sdk, there):
    there.answer = "# Facts\nOne two three. Four five.\n# Risks\nSix seven. Eight nine.\n"
    limit = {"a": {"words": 2, "sections": ["Facts", "Risks"]}}
    answer = sdk.text(sdk.create(sdk.client(agents=limit, agent="a")))
    assert answer == "# Facts\nOne two three. Four five.\n# Risks\nSix seven."
    assert sdk.told(there.asked[0][1]) == "Use these headings: Facts; Risks. Answer in at most 2 words."
    there.answer = LONG
    assert sdk.text(sdk.create(sdk.client(agents=limit, agent="a"))) == LONG
    assert row()["sums"]["missing_sections"] == 2


def test_results_of_tools_are_shorter(sdk, there):
    turns = [dict(turn) for turn in sdk.turns]
    sdk.create(sdk.client(), messages=turns)
    sent = sdk.result(there.asked[0][1])
    assert lacon.expand(sent) == ROWS != sent and turns == sdk.turns and row()["sums"]["saved_tokens"] > 100
    sdk.create(sdk.client(compress=False), messages=turns)
    assert sdk.result(there.asked[1][1]) == ROWS


def test_a_budget_stops_before_it_is_overspent(sdk, there):
    client = sdk.client(budget_usd=0.0012, prices=(1.0, 10.0))
    n = 0
    with pytest.raises(lacon.BudgetError, match="may cost"):
        for n in range(100):
            sdk.create(client, **sdk.limit)
    assert n == len(there.asked) > 2 and 0 < client.spent_usd <= 0.0012
    there.fail = 500
    down = sdk.client(budget_usd=1.0, prices=(1.0, 10.0))
    with pytest.raises(sdk.sdk.InternalServerError):
        sdk.create(down)
    assert down.spent_usd == 0 and down.savings.promised == 0 and row()["errors"] == 1


def test_equal_calls_at_the_same_time_are_one(sdk, there):
    there.wait = 0.2
    client = sdk.client(True, single_flight=True)

    async def main():
        return await asyncio.gather(*(sdk.create(client) for _ in range(4)), sdk.create(client, **sdk.limit))

    answers = asyncio.run(main())
    assert len(there.asked) == 2 and {sdk.text(one) for one in answers} == {LONG} and len(set(map(id, answers))) == 5
    assert row()["sums"]["shared"] == 3


def test_raw_answers_are_metered_and_streams_of_them_cut(sdk, there):
    client = sdk.client(agents={"a": 3}, agent="a")
    api = client.messages if sdk.path == "/messages" else client.responses if sdk.path == "/responses" else client.chat.completions
    given = {"input": "q"} if sdk.path == "/responses" else {"messages": CALL}
    given |= {"max_tokens": 9} if sdk.path == "/messages" else {}
    raw = api.with_raw_response.create(model="sim", **given)
    assert raw.headers["content-type"] == "application/json" and sdk.text(raw.parse()) == LONG
    assert row()["sums"]["output_tokens"] == 7
    stream = api.with_raw_response.create(model="sim", stream=True, **given).parse()
    assert "".join(map(sdk.piece, stream)) == SHORT


def test_what_is_no_json_is_the_sdks_to_send(sdk, there):
    turns = (dict(turn) for turn in sdk.turns)
    # The beta of the SDK itself reads them before it sends them.
    sdk.create(sdk.client(), messages=list(turns) if isinstance(sdk, Beta) else turns)
    assert lacon.expand(sdk.result(there.asked[0][1])) == ROWS
    more = [{"role": "user", "content": "x", "odd": lone} for lone in ("\ud800",)]
    with pytest.raises(Exception, match="surrogate|utf-8|Connection"):
        sdk.create(sdk.client(), messages=more)


def test_what_is_no_client_is_named(sdk):
    for wrong in (3, "client", sdk.client()):
        with pytest.raises(TypeError, match="client is"):
            __import__("lacon.anthropic" if sdk.path == "/messages" else "lacon.openai", fromlist=["wrap"]).wrap(wrong)
    with pytest.raises(ValueError, match="the keys are words and sections"):
        sdk.client(agents={"a": {"word": 3}})
    with pytest.raises(TypeError, match="name is"), lacon.agent(""):
        pass
