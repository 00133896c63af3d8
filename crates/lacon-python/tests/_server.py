"""A simulated provider on the loopback: chat completions, responses and messages, whole and as streams. One answer for all."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROWS = json.dumps([{"day": i, "close": i * 7, "venue": "XNAS"} for i in range(40)], indent=1)
LONG = "One two three. Four costs 5.5 dollars. Six seven! " + "Eight nine ten. " * 60 + "End."


class Provider:
    """What it was asked, and how many words of its answers it sent."""

    def __init__(self):
        self.asked, self.sent, self.wait, self.answer, self.fail = [], 0, 0.0, LONG, 0
        self.url = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        me = self.server.provider
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = self.path.split("/v1", 1)[-1].split("?")[0]
        me.asked.append((path, body))
        time.sleep(me.wait)
        if me.fail:
            return self.whole({"error": {"message": "down", "type": "server_error"}}, me.fail)
        name = {"/chat/completions": "chat", "/responses": "responses", "/messages": "messages"}[path]
        words = [word if at == 0 else f" {word}" for at, word in enumerate(me.answer.split(" "))]
        if not body.get("stream"):
            return self.whole(getattr(self, f"as_{name}")(me.answer, bool(body.get("tools"))))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        try:
            for event in getattr(self, f"as_{name}_events")(words):
                kind = f"event: {event['type']}\n" if "type" in event else ""
                self.wfile.write(f"{kind}data: {json.dumps(event)}\n\n".encode())
                self.wfile.flush()
            if name == "chat":
                self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            pass
        self.close_connection = True

    def whole(self, value, status=200):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def each(self, words):
        for word in words:
            # Slower than a client that closes: what is sent then shows where it stopped.
            time.sleep(0.001)
            self.server.provider.sent += 1
            yield word

    def as_chat(self, text, tools):
        message = {"role": "assistant", "content": text}
        if tools:
            call = {"id": "c1", "type": "function", "function": {"name": "prices", "arguments": "{}"}}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if tools else "stop"}
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        return {"id": "x", "object": "chat.completion", "created": 1, "model": "sim", "choices": [choice], "usage": usage}

    def as_chat_events(self, words):
        head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "sim"}
        for word in self.each(words):
            yield {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": None}]}
        yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        yield {**head, "choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}}

    def as_responses(self, text, tools=False, status="completed"):
        part = {"type": "output_text", "text": text, "annotations": []}
        item = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        if tools:
            item = {"id": "f", "type": "function_call", "call_id": "c1", "name": "prices", "arguments": "{}", "status": "completed"}
        usage = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
        usage |= {"input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        whole = {"id": "r", "object": "response", "created_at": 1, "model": "sim", "status": status, "output": [item] if text or tools else []}
        return {**whole, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "usage": usage if text or tools else None}

    def as_responses_events(self, words):
        number = iter(range(10_000))
        inside = {"item_id": "m", "output_index": 0, "content_index": 0}
        empty = {"id": "m", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        part = {"type": "output_text", "text": "", "annotations": []}
        yield {"type": "response.created", "sequence_number": next(number), "response": self.as_responses("", status="in_progress")}
        yield {"type": "response.output_item.added", "sequence_number": next(number), "output_index": 0, "item": empty}
        yield {"type": "response.content_part.added", "sequence_number": next(number), **inside, "part": part}
        for word in self.each(words):
            yield {"type": "response.output_text.delta", "sequence_number": next(number), **inside, "delta": word, "logprobs": []}
        whole = self.as_responses("".join(words))
        item = whole["output"][0]
        yield {"type": "response.output_text.done", "sequence_number": next(number), **inside, "text": "".join(words), "logprobs": []}
        yield {"type": "response.content_part.done", "sequence_number": next(number), **inside, "part": item["content"][0]}
        yield {"type": "response.output_item.done", "sequence_number": next(number), "output_index": 0, "item": item}
        yield {"type": "response.completed", "sequence_number": next(number), "response": whole}

    def as_messages(self, text, tools=False):
        block = {"type": "text", "text": text}
        if tools:
            block = {"type": "tool_use", "id": "c1", "name": "prices", "input": {}}
        whole = {"id": "m", "type": "message", "role": "assistant", "model": "sim", "content": [block], "stop_sequence": None}
        return {**whole, "stop_reason": "tool_use" if tools else "end_turn", "usage": {"input_tokens": 11, "output_tokens": 7}}

    def as_messages_events(self, words):
        begun = {**self.as_messages(""), "content": [], "stop_reason": None, "usage": {"input_tokens": 11, "output_tokens": 1}}
        yield {"type": "message_start", "message": begun}
        yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        for word in self.each(words):
            yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
        yield {"type": "content_block_stop", "index": 0}
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}}
        yield {"type": "message_stop"}


@contextmanager
def provider():
    """A provider at ``url``, until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.provider = Provider()
    server.provider.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.provider
    finally:
        server.shutdown()
        server.server_close()
