#!/usr/bin/env python3
"""What pages in a real Chromium can do with `lacon serve`: nothing, unless their origin is allowed.

    benchmarks/browser.py [BINARY]

Chromium runs headless. A page on another origin, and a page whose name was rebound to the proxy's address, call every
route. The table says what the page could read and how many requests reached the upstream.
"""
import http.server, json, re, shutil, subprocess, sys, tempfile, threading

BINARY = sys.argv[1] if len(sys.argv) > 1 else "target/release/lacon"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if not CHROMIUM:
    sys.exit("browser: no Chromium on the path, skipped")

PAGE = """<!doctype html><pre id=out></pre><script>
const base = %s, out = {};
const chat = JSON.stringify({model: "m", messages: [{role: "user", content: "hello"}]});
const calls = {
  "GET /metrics": ["/metrics", {}],
  "GET /healthz": ["/healthz", {}],
  "POST /v1/compress": ["/v1/compress", {method: "POST", body: chat, headers: {"content-type": "application/json"}}],
  "POST /v1/compress as text": ["/v1/compress", {method: "POST", body: chat, headers: {"content-type": "text/plain"}}],
  "POST /v1/chat/completions": ["/v1/chat/completions", {method: "POST", body: chat, headers: {"content-type": "application/json"}}],
  "POST chat as text": ["/v1/chat/completions", {method: "POST", body: chat, headers: {"content-type": "text/plain"}}],
  "POST chat, not read": ["/v1/chat/completions", {method: "POST", body: chat, mode: "no-cors"}],
};
(async () => {
  for (const [name, [path, options]] of Object.entries(calls)) {
    try { const r = await fetch(base + path, options); out[name] = r.type === "opaque" ? "opaque" : r.status; }
    catch (e) { out[name] = "blocked"; }
  }
  document.getElementById("out").textContent = JSON.stringify(out);
})();
</script>"""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (PAGE % json.dumps(self.server.target)).encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.server.seen += 1
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def served():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen, server.target = 0, ""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def visit(url, *flags):
    """The text that the page has written."""
    with tempfile.TemporaryDirectory() as profile:
        dom = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", f"--user-data-dir={profile}", "--virtual-time-budget=15000",
             "--dump-dom", *flags, url], capture_output=True, text=True, timeout=120).stdout
    found = re.search(r'<pre id="out">(\{.*?\})</pre>', dom)
    return json.loads(found.group(1).replace("&quot;", '"')) if found else None


def proxy(upstream, *flags):
    process = subprocess.Popen([BINARY, "serve", "--listen", "127.0.0.1:0", "--upstream",
                                f"http://127.0.0.1:{upstream.server_port}/v1", *flags],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return process, int(re.search(r":(\d+)", process.stdout.readline()).group(1))


def main():
    failed = []
    pages = served()
    origin = f"http://127.0.0.1:{pages.server_port}"
    for name, flags, host, allowed in [
        ("page of another origin", (), "127.0.0.1", False),
        ("name rebound to the proxy", (), "evil.example", False),
        ("allowed origin", ("--allow-origin", origin), "127.0.0.1", True),
    ]:
        upstream = served()
        process, port = proxy(upstream, *flags)
        try:
            pages.target = f"http://{host}:{port}"
            read = visit(origin + "/", f"--host-resolver-rules=MAP evil.example 127.0.0.1")
            print(f"\n{name}: {upstream.seen} requests reached the upstream")
            if read is None:
                failed.append(f"{name}: the page has written nothing")
                continue
            for call, result in read.items():
                print(f"  {call:<28} {result}")
            answered = [call for call, result in read.items() if result == 200]
            if not allowed and (upstream.seen or answered):
                failed.append(f"{name}: {upstream.seen} requests passed, answered {answered}")
            if allowed and read["POST /v1/chat/completions"] != 200:
                failed.append(f"{name}: the allowed page was refused")
        finally:
            process.terminate()
            process.wait(10)
    sys.exit("\n".join(["", *failed]) if failed else 0)


main()
