"""The clients of clients.sh: `clients.py LACON` starts an upstream of three wire formats and `lacon serve` before it.

The upstream answers by the name of the model: `busy`, `broken` and `refused` are errors, `endless` streams until its reader
leaves. Whatever it answers is known here, so each check compares what a client gives with that, to the letter.
"""
import asyncio, faulthandler, gc, importlib.metadata, json, signal, subprocess, sys, threading

import anthropic, litellm, openai
from aiohttp import web
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

LACON = sys.argv[1]
litellm.suppress_debug_info = True
# One loop for all: clients keep connections, which belong to the loop they were made in.
LOOP = asyncio.new_event_loop()
KEY = "sk-of-the-client"
QUESTION = "Was kostet „NVDA“ heute? \U0001f680 <&> \\ \"x\"\ttab"
ROWS = [{"ticker": f"T{i}", "price": round(i / 7, 4), "venue": "XNAS", "currency": "USD", "halted": i % 50 == 0} for i in range(400)]
RESULT = json.dumps(ROWS)
TOOL = "prices"
SCHEMA = {"type": "object", "properties": {"list": {"type": "string"}}, "required": ["list"]}
ARGUMENTS = {"list": "watch \u2028 list"}
ERRORS = {"busy": (429, "rate_limit_error"), "broken": (500, "api_error"), "refused": (400, "invalid_request_error")}
CHAT_TOOL = {"type": "function", "function": {"name": TOOL, "description": "prices of a list", "parameters": SCHEMA}}


def answer_to(text):
    return f"answer to {text}"


class Upstream:
    """Chat completions, responses and messages, whole and streamed; keeps what it was asked."""

    def __init__(self):
        self.seen, self.left = [], threading.Event()
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        threading.Thread(target=self.run, args=(started,), daemon=True).start()
        started.wait(10)

    def run(self, started):
        asyncio.set_event_loop(self.loop)
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/chat/completions", self.serve(self.chat))
        app.router.add_post("/v1/responses", self.serve(self.responses))
        app.router.add_post("/v1/messages", self.serve(self.messages))
        app.router.add_get("/v1/models", self.models)
        app.router.add_post("/v1/embeddings", self.embeddings)
        app.router.add_post("/v1/messages/count_tokens", self.count)
        runner = web.AppRunner(app, handler_cancellation=True)
        self.loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self.loop.run_until_complete(site.start())
        self.port = site._server.sockets[0].getsockname()[1]
        started.set()
        self.loop.run_forever()

    async def models(self, request):
        return web.json_response({"object": "list", "data": [{"id": "ok", "object": "model", "created": 1, "owned_by": "x"}]})

    async def embeddings(self, request):
        await request.json()
        data = [{"object": "embedding", "index": 0, "embedding": [0.25, -1.5]}]
        return web.json_response({"object": "list", "data": data, "model": "e", "usage": {"prompt_tokens": 1, "total_tokens": 1}})

    async def count(self, request):
        await request.json()
        return web.json_response({"input_tokens": 7})

    def serve(self, format):
        async def answer(request):
            body = await request.json()
            self.seen.append((request.path, dict(request.headers), body))
            model = body["model"]
            if model in ERRORS:
                status, kind = ERRORS[model]
                error = {"type": "error", "error": {"type": kind, "message": f"{model} on purpose", "code": model}}
                return web.json_response(error, status=status, headers={"retry-after": "7"} if status == 429 else {})
            events = format(body)
            if not body.get("stream"):
                return web.json_response(next(events))
            next(events)
            stream = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await stream.prepare(request)
            try:
                for event in events:
                    await stream.write(event.encode())
                    await asyncio.sleep(0.02 if model == "endless" else 0)
            except (ConnectionError, asyncio.CancelledError):
                self.left.set()
                raise
            await stream.write_eof()
            return stream

        return answer

    @staticmethod
    def pieces(body, text):
        if body["model"] == "endless":
            for i in range(1000):
                yield f"{i} "
        for i in range(0, len(text), 7):
            yield text[i : i + 7]

    def chat(self, body):
        last = body["messages"][-1]
        calls = bool(body.get("tools")) and last["role"] != "tool"
        usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
        base = {"id": "c1", "created": 1, "model": body["model"]}
        call = {"id": "call_1", "type": "function", "function": {"name": TOOL, "arguments": json.dumps(ARGUMENTS)}}
        text = answer_to("a tool" if last["role"] == "tool" else flat(last["content"]))
        message = {"role": "assistant", "content": None, "tool_calls": [call]} if calls else {"role": "assistant", "content": text}
        finish = "tool_calls" if calls else "stop"
        yield {**base, "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}
        chunk = lambda delta, finish=None: "data: " + json.dumps(
            {**base, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}) + "\n\n"
        yield chunk({"role": "assistant", "content": ""})
        if calls:
            arguments = call["function"]["arguments"]
            yield chunk({"tool_calls": [{"index": 0, **call, "function": {"name": TOOL, "arguments": ""}}]})
            for i in range(0, len(arguments), 5):
                yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments[i : i + 5]}}]})
        else:
            for piece in self.pieces(body, text):
                yield chunk({"content": piece})
        yield chunk({}, finish)
        if (body.get("stream_options") or {}).get("include_usage"):
            yield "data: " + json.dumps({**base, "object": "chat.completion.chunk", "choices": [], "usage": usage}) + "\n\n"
        yield "data: [DONE]\n\n"

    def responses(self, body):
        items = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
        last = items[-1]
        done = last.get("type") == "function_call_output"
        base = {"id": "r1", "object": "response", "created_at": 1, "model": body["model"], "parallel_tool_calls": True, "tool_choice": "auto",
                "tools": [], "error": None, "incomplete_details": None, "instructions": None, "metadata": {}, "temperature": 1, "top_p": 1}
        if body.get("tools") and not done:
            item = {"type": "function_call", "id": "f1", "call_id": "call_1", "name": TOOL, "arguments": json.dumps(ARGUMENTS), "status": "completed"}
        else:
            text = answer_to("a tool" if done else flat(last["content"]))
            part = {"type": "output_text", "text": text, "annotations": []}
            item = {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": [part]}
        usage = {"input_tokens": 11, "output_tokens": 3, "total_tokens": 14, "input_tokens_details": {"cached_tokens": 0},
                 "output_tokens_details": {"reasoning_tokens": 0}}
        whole = {**base, "status": "completed", "output": [item], "usage": usage}
        yield whole
        numbers = iter(range(10_000))
        event = lambda kind, **fields: f"event: {kind}\ndata: " + json.dumps(
            {"type": kind, "sequence_number": next(numbers), **fields}) + "\n\n"
        yield event("response.created", response={**base, "status": "in_progress", "output": []})
        if item["type"] == "function_call":
            yield event("response.output_item.added", output_index=0, item={**item, "arguments": "", "status": "in_progress"})
            yield event("response.function_call_arguments.delta", output_index=0, item_id="f1", delta=item["arguments"])
            yield event("response.function_call_arguments.done", output_index=0, item_id="f1", name=TOOL, arguments=item["arguments"])
        else:
            place = {"output_index": 0, "item_id": "m1", "content_index": 0}
            yield event("response.output_item.added", output_index=0, item={**item, "content": [], "status": "in_progress"})
            yield event("response.content_part.added", **place, part={**part, "text": ""})
            for piece in self.pieces(body, text):
                yield event("response.output_text.delta", **place, delta=piece, logprobs=[])
            yield event("response.output_text.done", **place, text=text, logprobs=[])
            yield event("response.content_part.done", **place, part=part)
        yield event("response.output_item.done", output_index=0, item=item)
        yield event("response.completed", response=whole)

    def messages(self, body):
        last = body["messages"][-1]["content"]
        done = isinstance(last, list) and any(part["type"] == "tool_result" for part in last)
        calls = bool(body.get("tools")) and not done
        text = answer_to("a tool" if done else flat(last))
        block = {"type": "tool_use", "id": "call_1", "name": TOOL, "input": ARGUMENTS} if calls else {"type": "text", "text": text}
        usage = {"input_tokens": 11, "output_tokens": 3}
        base = {"id": "m1", "type": "message", "role": "assistant", "model": body["model"], "stop_sequence": None}
        stop = "tool_use" if calls else "end_turn"
        yield {**base, "content": [block], "stop_reason": stop, "usage": usage}
        event = lambda kind, **fields: f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"
        yield event("message_start", message={**base, "content": [], "stop_reason": None, "usage": usage})
        yield event("content_block_start", index=0, content_block={**block, "input": {}} if calls else {"type": "text", "text": ""})
        yield event("ping")
        if calls:
            arguments = json.dumps(ARGUMENTS)
            for i in range(0, len(arguments), 5):
                yield event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": arguments[i : i + 5]})
        else:
            for piece in self.pieces(body, text):
                yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        yield event("content_block_stop", index=0)
        yield event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage={"output_tokens": 3})
        yield event("message_stop")


def flat(content):
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def results(body):
    """The texts of tools in a request, in whatever format."""
    for turn in body.get("messages") or body.get("input"):
        content = turn.get("output") if turn.get("type") == "function_call_output" else turn.get("content")
        if turn.get("role") == "tool" or turn.get("type") == "function_call_output":
            yield flat(content)
        elif isinstance(content, list):
            yield from (flat(part["content"]) for part in content if part.get("type") == "tool_result")


class Chat:
    """OpenAI's client, chat completions."""

    errors = {"busy": openai.RateLimitError, "broken": openai.InternalServerError, "refused": openai.BadRequestError}

    def __init__(self, url):
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
        self.later = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)

    def asked(self, text, model="ok", **more):
        return {"model": model, "messages": [{"role": "user", "content": text}], **more}

    def plain(self, text, model="ok"):
        return self.client.chat.completions.create(**self.asked(text, model)).choices[0].message.content

    async def plain_later(self, text):
        return (await self.later.chat.completions.create(**self.asked(text))).choices[0].message.content

    def stream(self, text, model="ok"):
        stream = self.client.chat.completions.create(**self.asked(text, model, stream=True, stream_options={"include_usage": True}))
        yield from (chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

    async def stream_later(self, text, model="ok"):
        async with await self.later.chat.completions.create(**self.asked(text, model, stream=True)) as stream:
            async for chunk in stream:
                yield chunk.choices[0].delta.content or ""

    def tool(self, result):
        turns = self.asked(QUESTION)["messages"]
        first = self.client.chat.completions.create(model="ok", messages=turns, tools=[CHAT_TOOL]).choices[0].message
        call = first.tool_calls[0]
        turns += [first.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": result}]
        last = self.client.chat.completions.create(model="ok", messages=turns, tools=[CHAT_TOOL]).choices[0].message
        return json.loads(call.function.arguments), last.content

    def others(self):
        embedding = self.client.embeddings.create(model="e", input="x", encoding_format="float").data[0].embedding
        raw = self.client.chat.completions.with_raw_response.create(**self.asked(QUESTION))
        return self.client.models.list().data[0].id == "ok" and embedding == [0.25, -1.5] and int(raw.headers["x-lacon-tokens-before"]) > 5


class Responses(Chat):
    """OpenAI's client, responses."""

    def asked(self, text, model="ok", **more):
        return {"model": model, "input": text, **more}

    def plain(self, text, model="ok"):
        return self.client.responses.create(**self.asked(text, model)).output_text

    async def plain_later(self, text):
        return (await self.later.responses.create(**self.asked(text))).output_text

    def stream(self, text, model="ok"):
        with self.client.responses.create(**self.asked(text, model, stream=True)) as stream:
            yield from (event.delta for event in stream if event.type == "response.output_text.delta")

    async def stream_later(self, text, model="ok"):
        async with await self.later.responses.create(**self.asked(text, model, stream=True)) as stream:
            async for event in stream:
                if event.type == "response.output_text.delta":
                    yield event.delta

    def tool(self, result):
        tools = [{"type": "function", "name": TOOL, "parameters": SCHEMA, "strict": False}]
        turns = [{"role": "user", "content": QUESTION}]
        call = self.client.responses.create(model="ok", input=turns, tools=tools).output[0]
        turns += [call.model_dump(exclude_none=True), {"type": "function_call_output", "call_id": call.call_id, "output": result}]
        return json.loads(call.arguments), self.client.responses.create(model="ok", input=turns, tools=tools).output_text

    def others(self):
        with self.client.responses.stream(model="ok", input=QUESTION) as stream:
            return stream.get_final_response().output_text == answer_to(QUESTION)


class Messages:
    """Anthropic's client."""

    errors = {"busy": anthropic.RateLimitError, "broken": anthropic.InternalServerError, "refused": anthropic.BadRequestError}

    def __init__(self, url):
        self.client = anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0)
        self.later = anthropic.AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0)

    def asked(self, text, model="ok"):
        return {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": text}]}

    def plain(self, text, model="ok"):
        return self.client.messages.create(**self.asked(text, model)).content[0].text

    async def plain_later(self, text):
        return (await self.later.messages.create(**self.asked(text))).content[0].text

    def stream(self, text, model="ok"):
        with self.client.messages.stream(**self.asked(text, model)) as stream:
            yield from stream.text_stream

    async def stream_later(self, text, model="ok"):
        async with self.later.messages.stream(**self.asked(text, model)) as stream:
            async for piece in stream.text_stream:
                yield piece

    def tool(self, result):
        tools = [{"name": TOOL, "input_schema": SCHEMA}]
        turns = self.asked(QUESTION)["messages"]
        # Streamed, so that arguments come in pieces.
        with self.client.messages.stream(model="ok", max_tokens=64, messages=turns, tools=tools) as stream:
            first = stream.get_final_message()
        call = first.content[0]
        turns += [{"role": "assistant", "content": [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}]},
                  {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": result}]}]
        return call.input, self.client.messages.create(model="ok", max_tokens=64, messages=turns, tools=tools).content[0].text

    def others(self):
        return self.client.messages.count_tokens(model="ok", messages=[{"role": "user", "content": "x"}]).input_tokens == 7


class LiteLlm:
    """LiteLLM as a library."""

    errors = {"busy": litellm.RateLimitError, "broken": litellm.InternalServerError, "refused": litellm.BadRequestError}

    def __init__(self, url, kind):
        self.kind, self.to = kind, {"api_base": f"{url}/v1" if kind == "openai" else url, "api_key": KEY, "max_retries": 0, "num_retries": 0}

    def asked(self, text, model="ok", **more):
        return {"model": f"{self.kind}/{model}", "messages": [{"role": "user", "content": text}], **self.to, **more}

    def plain(self, text, model="ok"):
        return litellm.completion(**self.asked(text, model)).choices[0].message.content

    async def plain_later(self, text):
        return (await litellm.acompletion(**self.asked(text))).choices[0].message.content

    def stream(self, text, model="ok"):
        for chunk in litellm.completion(**self.asked(text, model, stream=True)):
            yield chunk.choices[0].delta.content or ""

    async def stream_later(self, text, model="ok"):
        stream = await litellm.acompletion(**self.asked(text, model, stream=True))
        try:
            async for chunk in stream:
                yield chunk.choices[0].delta.content or ""
        finally:
            await stream.aclose()

    def tool(self, result):
        turns = self.asked(QUESTION)["messages"]
        first = litellm.completion(**{**self.asked(QUESTION), "tools": [CHAT_TOOL]}).choices[0].message
        call = first.tool_calls[0]
        turns += [first.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": result}]
        last = litellm.completion(**{**self.asked(QUESTION), "messages": turns, "tools": [CHAT_TOOL]}).choices[0].message
        return json.loads(call.function.arguments), last.content

    others = None


class LangChain:
    """LangChain's chat models."""

    def __init__(self, url, kind):
        make = {
            "openai": lambda model: ChatOpenAI(model=model, base_url=f"{url}/v1", api_key=KEY, max_retries=0),
            "responses": lambda model: ChatOpenAI(model=model, base_url=f"{url}/v1", api_key=KEY, max_retries=0, use_responses_api=True),
            "anthropic": lambda model: ChatAnthropic(model=model, base_url=url, api_key=KEY, max_retries=0, max_tokens=64),
        }
        self.make, self.errors = make[kind], (Messages if kind == "anthropic" else Chat).errors

    def plain(self, text, model="ok"):
        return flat(self.make(model).invoke(text).content)

    async def plain_later(self, text):
        return flat((await self.make("ok").ainvoke(text)).content)

    def stream(self, text, model="ok"):
        for chunk in self.make(model).stream(text):
            yield flat(chunk.content)

    async def stream_later(self, text, model="ok"):
        async for chunk in self.make(model).astream(text):
            yield flat(chunk.content)

    def tool(self, result):
        model = self.make("ok").bind_tools([CHAT_TOOL])
        first = model.invoke([HumanMessage(QUESTION)])
        call = first.tool_calls[0]
        last = model.invoke([HumanMessage(QUESTION), AIMessage(first.content, tool_calls=[call]), ToolMessage(result, tool_call_id=call["id"])])
        return call["args"], flat(last.content)

    others = None


def check_plain(client, up):
    assert client.plain(QUESTION) == answer_to(QUESTION)
    path, headers, _ = up.seen[-1]
    assert headers.get("Authorization", headers.get("X-Api-Key", headers.get("x-api-key", ""))).endswith(KEY), "the key went missing"
    assert not any(name.lower().startswith("x-lacon") for name in headers)


def check_stream(client, up):
    pieces = list(client.stream(QUESTION))
    assert "".join(pieces) == answer_to(QUESTION), pieces
    assert len([piece for piece in pieces if piece]) > 3, "the stream came at once"


def check_tool(client, up):
    arguments, answer = client.tool(RESULT)
    assert arguments == ARGUMENTS, arguments
    assert answer == answer_to("a tool"), answer
    [sent] = results(up.seen[-1][2])
    assert len(sent) < len(RESULT) * 0.7, f"{len(sent)} of {len(RESULT)} characters went on"
    back = subprocess.run([LACON, "expand", "-"], input=sent.encode(), capture_output=True, check=True, timeout=30).stdout.decode()
    assert back == RESULT, "the tool's result cannot be had back"


def check_errors(client, up):
    for model, error in client.errors.items():
        before = len(up.seen)
        try:
            client.plain(QUESTION, model)
        except error as err:
            assert f"{model} on purpose" in str(err), err
            response = getattr(err, "response", None)
            if model == "busy" and not isinstance(client, LiteLlm):
                assert response.headers["retry-after"] == "7"
        else:
            raise AssertionError(f"{model}: no error")
        assert len(up.seen) == before + 1, f"{model}: {len(up.seen) - before} calls"


def check_cancel(client, up):
    async def leave():
        stream = client.stream_later(QUESTION, "endless")
        n = 0
        async for _ in stream:
            n += 1
            if n == 5:
                break
        await stream.aclose()
        del stream
        gc.collect()
        for _ in range(100):
            if up.left.is_set():
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the upstream still streams")

    up.left.clear()
    LOOP.run_until_complete(leave())


def check_many(client, up):
    async def ask():
        texts = [f"question {i}" for i in range(50)]
        answers = await asyncio.gather(*(client.plain_later(text) for text in texts))
        assert answers == [answer_to(text) for text in texts]

    LOOP.run_until_complete(ask())


def check_others(client, up):
    assert client.others()


CHECKS = {"plain": check_plain, "stream": check_stream, "tool": check_tool, "errors": check_errors, "cancel": check_cancel, "many": check_many,
          "others": check_others}


def main():
    # What hangs says where, and takes the server with it.
    signal.signal(signal.SIGTERM, lambda *_: (faulthandler.dump_traceback(), sys.exit(1)))
    up = Upstream()
    command = [LACON, "serve", "--listen", "127.0.0.1:0", "--upstream", f"http://127.0.0.1:{up.port}/v1", "--store", "memory"]
    proxy = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    failures = []
    try:
        said = proxy.stdout.readline()
        if not said.startswith("proxy at "):
            raise SystemExit(f"{LACON} serve did not start: exit {proxy.wait(timeout=10)}, said {said!r}")
        url = said.split()[2].rstrip(",")
        version = importlib.metadata.version
        rows = [
            (f"openai {version('openai')}, chat completions", Chat(url)),
            (f"openai {version('openai')}, responses", Responses(url)),
            (f"anthropic {version('anthropic')}", Messages(url)),
            (f"litellm {version('litellm')}, openai", LiteLlm(url, "openai")),
            (f"litellm {version('litellm')}, anthropic", LiteLlm(url, "anthropic")),
            (f"langchain-openai {version('langchain-openai')}", LangChain(url, "openai")),
            (f"langchain-openai {version('langchain-openai')}, responses", LangChain(url, "responses")),
            (f"langchain-anthropic {version('langchain-anthropic')}", LangChain(url, "anthropic")),
        ]
        print(f"{'':<42}" + "".join(f"{name:>8}" for name in CHECKS), flush=True)
        for name, client in rows:
            line = f"{name:<42}"
            for check, run in CHECKS.items():
                if check == "others" and client.others is None:
                    line += f"{'–':>8}"
                    continue
                try:
                    run(client, up)
                    line += f"{'ok':>8}"
                except Exception as err:
                    line += f"{'FAIL':>8}"
                    failures.append(f"{name}, {check}: {type(err).__name__}: {str(err)[:600]}")
            print(line, flush=True)
    finally:
        proxy.terminate()
        proxy.wait(35)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


sys.exit(main())
