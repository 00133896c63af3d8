#!/usr/bin/env python3
"""Two proxies, one Redis or Valkey, one simulated upstream: two_proxies.py LACON (a build with --features shared).

Checks what docs/proxy.md says of several proxies, and passes with a message where there is no server.
"""

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def ask(address, path, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{address}{path}", data, {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def main():
    server = shutil.which("redis-server") or shutil.which("valkey-server")
    if server is None:
        print("skipped: there is no redis-server or valkey-server here")
        return
    lacon, started = sys.argv[1], []
    with tempfile.TemporaryDirectory() as folder:

        def start(*words, address=False):
            out = subprocess.PIPE if address else subprocess.DEVNULL
            started.append(subprocess.Popen(words, cwd=folder, stdout=out, stderr=subprocess.DEVNULL, text=True))
            return started[-1].stdout.readline().split("http://")[1].split()[0].rstrip(",") if address else started[-1]

        try:
            port = free_port()
            redis = start(server, "--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always", "--save", "")
            for _ in range(200):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            upstream = start(lacon, "sim", "serve", "--port", "0", "--time-scale", "0", address=True)
            flags = ["--policy", "safe", "--shared", f"redis://127.0.0.1:{port}/0", "--team-budget", "default=0.05", "--notice", "1"]
            serve = [lacon, "serve", "--listen", "127.0.0.1:0", "--upstream", f"http://{upstream}/v1", *flags]
            proxies = [start(*serve, address=True) for _ in range(2)]
            check(proxies, redis, started[-2])
        finally:
            for process in reversed(started):
                process.kill()
                process.wait()


def check(proxies, redis, first):
    for proxy in proxies:
        assert ask(proxy, "/readyz")[0] == 200
    letters = "aB3xYz9QkL+/mN7p0RtUvW2CdEfGh"
    blob = "".join(letters[(i * i % 29 + i % 3) % 29] for i in range(600))
    messages = [{"role": "user", "content": "What is it?"}, {"role": "tool", "tool_call_id": "a", "content": f"data:image/png;base64,{blob}"}]
    body = {"model": "gpt-4o", "messages": messages, "config": {"mode": "ccr"}}
    short = [json.loads(ask(proxy, "/v1/compress", body)[1]) for proxy in proxies]
    assert short[0]["messages"] == short[1]["messages"] and short[0]["ccr_hashes"] == short[1]["ccr_hashes"]
    handle = short[0]["ccr_hashes"][0]
    for proxy in proxies:
        status, text = ask(proxy, f"/v1/retrieve/{handle}")
        assert status == 200 and blob in json.loads(text)["original_content"]
    print("the same bytes from both proxies; the handle is retrievable from either")
    request = {"model": "gpt-4o", "max_tokens": 200, "messages": [{"role": "user", "content": "Say something."}]}
    codes = [ask(proxies[n % 2], "/v1/chat/completions", request)[0] for n in range(200)]
    passed = codes.count(200)
    assert passed > 0 and set(codes[passed:]) <= {200, 429} and codes[-1] == 429, set(codes)
    print(f"{passed} calls passed, then the budget that both share was used up: 429")
    assert ask(proxies[0], "/v1/chat/completions", request, x_lacon_team="another")[0] == 403
    first.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert ask(proxies[0], "/readyz")[0] == 503 and ask(proxies[0], "/healthz")[0] == 200
    assert first.wait(timeout=30) is not None and ask(proxies[1], "/readyz")[0] == 200
    print("one proxy was stopped: /readyz refused first, and the other one stands")
    redis.kill()
    redis.wait()
    assert ask(proxies[1], "/readyz")[0] == 503 and ask(proxies[1], "/v1/chat/completions", request)[0] == 503
    assert "lacon_shared_failed_closed_total 0" not in ask(proxies[1], "/metrics")[1]
    print("the server was killed: no call that costs is made, and the metrics say so")


if __name__ == "__main__":
    main()
