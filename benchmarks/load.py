#!/usr/bin/env python3
"""Requests and streams through `lacon serve`, with its resident memory before, during and after.

    benchmarks/load.py [BINARY] [--requests 100000] [--streams 1000]

Upstream, proxy and clients are on loopback. Requests hold a tool result of 2 KiB; 64 connections send them one after
another. Then a burst of requests of 3 MB, 32 at once. All streams are open at once and bring one event each 0.1 s, 50 in all; one in ten is left by its client in the
middle. A line that is not what was sent, a status other than 200 or a proxy that ends is an error.
"""
import argparse, asyncio, json, re, subprocess, sys, time

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n"


async def message(reader):
    """One HTTP message with a length: its first line and its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head.lower()).group(1))
    return head, await reader.readexactly(length)


async def upstream(reader, writer):
    try:
        while True:
            _, body = await message(reader)
            request = json.loads(body)
            if not request.get("stream"):
                # The answer holds what the request asked, so that mixed up answers would be seen.
                answer = json.dumps({"id": request["user"], "choices": []}).encode()
                writer.write(HEAD % b"application/json" + b"content-length: %d\r\n\r\n" % len(answer) + answer)
                await writer.drain()
                continue
            writer.write(HEAD % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n")
            for i in range(50):
                event = b'data: {"id": "%s", "n": %d}\n\n' % (request["user"].encode(), i)
                writer.write(b"%x\r\n" % len(event) + event + b"\r\n")
                await writer.drain()
                await asyncio.sleep(0.1)
            writer.write(b"0\r\n\r\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def request(name, stream, seed, rows=40):
    rows = [{"id": seed + i, "name": f"row {seed % 997} {i}", "value": (seed * 31 + i) % 1000} for i in range(rows)]
    body = json.dumps({"model": "gpt-5-mini", "user": name, "stream": stream, "messages": [
        {"role": "user", "content": "What is the highest value?"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "rows", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": json.dumps(rows)}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def client(port, numbers, times, made=None):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for n in numbers:
        began = time.perf_counter()
        writer.write(made[n] if made else request(f"r{n}", False, n))
        head, body = await message(reader)
        times.append(time.perf_counter() - began)
        assert b" 200 " in head.split(b"\r\n")[0] and json.loads(body)["id"] == f"r{n}", (head, body)
    writer.close()


async def stream(port, n, leaves):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(request(f"s{n}", True, n))
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0], head
    seen, text = 0, b""
    while seen < (20 if leaves else 50):
        part = await reader.read(1 << 16)
        assert part, f"stream {n} ended after {seen} events"
        text += part
        events = re.findall(rb'"id": "(\w+)", "n": (\d+)', text)
        assert all(who == b"s%d" % n for who, _ in events)
        assert [int(k) for _, k in events] == list(range(len(events)))
        seen = len(events)
    writer.close()


def resident(pid):
    status = open(f"/proc/{pid}/status").read()
    return [int(re.search(rf"{key}:\s+(\d+)", status).group(1)) / 1024 for key in ("VmRSS", "VmHWM")]


async def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("binary", nargs="?", default="target/release/lacon")
    flags.add_argument("--requests", type=int, default=100_000)
    flags.add_argument("--streams", type=int, default=1_000)
    flags = flags.parse_args()
    server = await asyncio.start_server(upstream, "127.0.0.1", 0, limit=1 << 24, backlog=2048)
    to = server.sockets[0].getsockname()[1]
    proxy = subprocess.Popen([flags.binary, "serve", "--listen", "127.0.0.1:0", "--upstream", f"http://127.0.0.1:{to}/v1"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = int(re.search(r":(\d+)", proxy.stdout.readline()).group(1))
        await client(port, range(200), [])
        show = lambda what: print("%-44s resident %6.1f MB, at most %6.1f MB" % (what, *resident(proxy.pid)), flush=True)
        show("after 200 requests")
        times, began = [], time.perf_counter()
        await asyncio.gather(*(client(port, range(c, flags.requests, 64), times) for c in range(64)))
        took = time.perf_counter() - began
        times.sort()
        at = lambda q: times[int((len(times) - 1) * q)] * 1e3
        print(f"{len(times):,} requests in {took:.0f} s, p50 {at(.5):.1f} ms, p99 {at(.99):.1f} ms, slowest {at(1):.0f} ms")
        show("after the requests")
        # Made beforehand: a client that computes while it sends looks like a stalled one, and the proxy closes it.
        large = [request(f"r{n}", False, n, rows=60_000) for n in range(96)]
        await asyncio.gather(*(client(port, range(c, 96, 32), [], large) for c in range(32)))
        show("after 96 requests of 3 MB, 32 at once")
        opened = asyncio.gather(*(stream(port, n, n % 10 == 0) for n in range(flags.streams)))
        await asyncio.sleep(3)
        show(f"while {flags.streams:,} streams are open")
        await opened
        print(f"{flags.streams:,} streams at once: every event came once, in order, to its own client")
        await asyncio.sleep(15)
        show("15 s after the streams")
        assert proxy.poll() is None, "the proxy ended"
    finally:
        proxy.terminate()
        proxy.wait(10)


if __name__ == "__main__":
    asyncio.run(main())
