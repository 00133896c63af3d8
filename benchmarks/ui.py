#!/usr/bin/env python3
"""`lacon ui` in a real Chromium: clicks, filters, keys, live updates, a page without a server, accessibility by axe-core.

    benchmarks/ui.py [BINARY] [--shots DIR]

Needs Chromium on the path, and the packages playwright and axe-playwright-python. Makes its own traces: three runs, one
of 100,000 spans, and a journal that grows. A double of a provider stands behind the proxy. Budgets are looked at where
redis-server is on the path and the binary has the feature `shared`. Prints one line a check and ends with 1 where one fails.
"""
import argparse, http.server, json, pathlib, shutil, socket, subprocess, sys, tempfile, threading, time, urllib.error, urllib.request

try:
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright
except ImportError as missing:
    sys.exit(f"ui: {missing.name} is missing, skipped\nhint: pip install playwright axe-playwright-python")
CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
if not CHROMIUM:
    sys.exit("ui: no Chromium on the path, skipped")
arguments = argparse.ArgumentParser()
arguments.add_argument("binary", nargs="?", default="target/release/lacon")
arguments.add_argument("--shots", type=pathlib.Path)
arguments = arguments.parse_args()
if arguments.shots:
    arguments.shots.mkdir(parents=True, exist_ok=True)
folder = pathlib.Path(tempfile.mkdtemp())


def line(span, parent, name, start, end, **attributes):
    return json.dumps({"trace_id": "t", "span_id": span, "parent_span_id": parent, "name": name, "start_s": start,
                       "end_s": end, "attributes": attributes})


def call(span, parent, start, end, prompt, answer):
    return line(span, parent, "chat gpt-5-mini", start, end, **{
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5-mini", "gen_ai.usage.input_tokens": prompt,
        "gen_ai.usage.output_tokens": len(answer) // 4, "gen_ai.output.messages":
            [{"role": "assistant", "parts": [{"type": "text", "content": answer}]}]})


def run(name, seconds):
    answer = "The answer with <script>alert(1)</script> in it, which is text. " * 3
    return "\n".join([line("r", None, name, 0, seconds), line("n1", "r", "reader", 0, seconds / 2),
                      call("c1", "n1", 0.1, seconds / 2, 900, answer), line("n2", "r", "writer", seconds / 2, seconds),
                      call("c2", "n2", seconds / 2, seconds, 1500, answer)])


(folder / "first.jsonl").write_text(run("answer a question", 4))
(folder / "second.jsonl").write_text(run("answer a question", 7))
(folder / "third.jsonl").write_text(run("sort the mail", 2))
(folder / "notes.json").write_text('{"no": "trace"}')
with open(folder / "large.jsonl", "w") as large:
    large.write(line("r", None, "large run", 0, 3000) + "\n")
    for n in range(2000):
        large.write(line(f"n{n}", "r", f"step_{n % 50}", n * 1.4, n * 1.4 + 3) + "\n")
        for c in range(49):
            large.write(call(f"n{n}c{c}", f"n{n}", n * 1.4 + c * 0.06, n * 1.4 + c * 0.06 + 0.05, 100, "short") + "\n")
going = folder / "going" / "journal.jsonl"
going.parent.mkdir()
head = "0123abcd " + json.dumps({"kind": "run", "about": {"kind": "team", "team": "research", "inputs": {"topic": "roofs"}}})


def journal(n):
    calls = [json.dumps({"kind": "call", "answer": {"text": "Yes."}, "fact": {"call": {
        "role": f"searcher_{i}", "model": "gpt-5-mini", "prompt": 100, "completion": 20, "start_s": i, "end_s": i + 1,
        "status": "ok"}}}) for i in range(n)]
    going.write_text("\n".join([head, *("0123abcd " + c for c in calls)]) + "\n")


class Provider(http.server.BaseHTTPRequestHandler):
    """A double: each third call is refused, the others read 600 of 800 prompt tokens from a cache."""
    calls = 0

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        Provider.calls += 1
        usage = {"prompt_tokens": 800, "completion_tokens": 50, "total_tokens": 850, "prompt_tokens_details": {"cached_tokens": 600}}
        refused = Provider.calls % 3 == 0
        body = json.dumps({"error": {"message": "busy"}} if refused else {"model": "gpt-5-mini", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}], "usage": usage}).encode()
        self.send_response(529 if refused else 200)
        for key, value in {"content-type": "application/json", "content-length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def shared():
    """Flags for budgets, and the Redis behind them; nothing where they cannot be had."""
    if not shutil.which("redis-server") or "shares nothing" in subprocess.run(
            [arguments.binary, "serve", "--shared", "redis://127.0.0.1:1", "--team-budget", "default=1", "--upstream",
             "http://127.0.0.1:1"], capture_output=True, text=True, timeout=30).stderr:
        return [], None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    redis = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes",
                              "--appendfsync", "always"], stdout=subprocess.DEVNULL)
    for _ in range(100):
        with socket.socket() as line_to:
            if line_to.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    return ["--shared", f"redis://127.0.0.1:{port}", "--team-budget", "default=5,night \"shift\"=0.5"], redis


journal(2)
provider = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=provider.serve_forever, daemon=True).start()
flags, redis = shared()
store = [] if flags else ["--store", "memory"]
proxy = subprocess.Popen([arguments.binary, "serve", "--listen", "127.0.0.1:0", *store, *flags, "--upstream",
                          f"http://127.0.0.1:{provider.server_port}/v1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
proxy_at = proxy.stdout.readline().split("http://")[1].split(",")[0]
for n in range(6):
    asked = json.dumps({"model": "gpt-5-mini", "max_completion_tokens": 60, "messages": [{"role": "user", "content": f"question {n}"}]})
    ask = urllib.request.Request(f"http://{proxy_at}/v1/chat/completions", asked.encode(), {"content-type": "application/json"})
    try:
        urllib.request.urlopen(ask, timeout=20).read()
    except urllib.error.HTTPError:
        pass
server = subprocess.Popen([arguments.binary, "ui", str(folder), "--port", "0", "--proxy", proxy_at],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
address = server.stdout.readline().strip()
failed = 0


def check(what, good, told=""):
    global failed
    failed += not good
    print(f"{'ok  ' if good else 'FAIL'}  {what}{f': {told}' if told != '' else ''}")


try:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        faults, outside = [], []

        def page_of(theme="light", width=1400, height=900):
            page = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme).new_page()
            page.on("console", lambda m: m.type in ("error", "warning") and faults.append(m.text))
            page.on("pageerror", lambda e: faults.append(str(e)))
            page.on("request", lambda r: r.url.startswith((address.split("/?")[0], "data:", "file:")) or outside.append(r.url))
            return page

        page = page_of()
        page.goto(address)
        page.wait_for_function("() => document.querySelectorAll('.grid .line').length == 5", timeout=120_000)
        check("five runs are listed, one of them going on", page.locator(".grid .live").count() == 1)
        page.get_by_label("Search runs").fill("question")
        check("a filter leaves two", page.locator(".grid .line").count() == 2)
        page.get_by_role("button", name="Time").click()
        first = page.locator(".grid .line").first.inner_text()
        page.get_by_role("button", name="Time").click()
        check("a click on a head turns the order", first != page.locator(".grid .line").first.inner_text())
        for box in page.locator(".grid .line input").all():
            box.check()
        page.get_by_role("button", name="Compare two").click()
        page.wait_for_selector("text=What changed")
        check("two runs stand side by side", page.locator(".pair .fall").count() == 2)
        page.goto(address + "#/")
        page.get_by_label("Search runs").fill("mail")
        page.get_by_role("link", name="sort the mail").click()
        page.wait_for_selector(".fall .row")
        page.locator(".fall .row button").first.click()
        page.keyboard.press("ArrowDown")
        page.wait_for_selector(".panel pre")
        check("keys move, and the answer is shown as text", "<script>" in page.locator(".panel pre").first.inner_text())
        page.keyboard.press("+")
        check("a key zooms", page.locator(".ticks span").first.inner_text() != "0 s" or page.locator(".ticks span").count() > 0)
        with page.expect_download() as saved:
            page.get_by_role("link", name="Save as one file").click()
        alone = folder / "saved.html"
        saved.value.save_as(alone)
        page.goto(address + "#/live")
        page.wait_for_selector("text=Requests a second", timeout=30_000)
        told = page.inner_text("main")
        check("the proxy's cache hits, errors and first bytes are shown", all(part in told for part in ("75", "of 3,200 prompt tokens", "2 refused", "First byte")), told.replace("\n", " ")[-400:])
        if flags:
            check("budgets of teams are shown", 'night "shift"' in told and "Left when last asked" in told)
        journal(5)
        page.wait_for_function("() => [...document.querySelectorAll('td')].some(td => td.textContent == '600')", timeout=30_000)
        check("a run that goes on grows by itself", True)
        begin = time.time()
        large = page.evaluate("fetch('/api/runs', {headers: {'x-lacon-token': TOKEN}}).then(r => r.json()).then(l => l.runs.find(r => r.file == 'large.jsonl').id)")
        page.goto(address + f"#/run/{large}")
        page.wait_for_function("() => document.querySelector('h1') && document.querySelector('h1').textContent.includes('large run') && document.querySelectorAll('.fall .row').length > 5", timeout=120_000)
        check("100,000 spans are open", True, f"{time.time() - begin:.1f} s")
        frames = page.evaluate("""async () => {
          const view = document.querySelector('.fall .view'), times = [];
          let last = performance.now();
          for (let i = 0; i < 120; i++) { view.scrollTop += 3700; await new Promise(requestAnimationFrame); times.push(performance.now() - last); last = performance.now(); }
          return times.sort((a, b) => a - b).filter((_, i) => i == 60 || i == 114).map(Math.round);
        }""")
        check("frames while it scrolls: p50 and p95 in ms", True, frames)
        page.get_by_label("Search spans").fill("step_7")
        check("a search finds spans", page.locator(".fall .row").count() > 5)
        file_page = page_of()
        file_page.goto(alone.as_uri())
        file_page.wait_for_selector(".fall .row")
        file_page.locator(".fall .row button").nth(1).click()
        file_page.wait_for_selector(".panel pre")
        check("the saved file shows the run without a server", True)
        third = page.evaluate("fetch('/api/runs', {headers: {'x-lacon-token': TOKEN}}).then(r => r.json()).then(l => l.runs.filter(r => r.title.includes('question')).map(r => r.id))")
        views = {"list": "#/", "shapes": "#/shapes", "live": "#/live", "run": f"#/run/{third[0]}", "compare": f"#/compare/{third[0]}/{third[1]}"}
        for theme in ("light", "dark"):
            for width in (1400, 420):
                page = page_of(theme, width)
                for name, hash in views.items():
                    page.goto(address + hash)
                    page.wait_for_timeout(1500)
                    found = Axe().run(page).response["violations"]
                    bad = [f"{v['id']} ({len(v['nodes'])}: {v['nodes'][0]['target']})" for v in found]
                    check(f"axe: {name}, {theme}, {width} px", not bad, ", ".join(bad))
                    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                    check(f"nothing sticks out: {name}, {theme}, {width} px", wide <= 0, wide if wide > 0 else "")
                    if arguments.shots:
                        page.screenshot(path=arguments.shots / f"{name}-{theme}-{width}.png", full_page=name != "list")
        check("no message in the console", not faults, faults[:3] if faults else "")
        check("no request to another place", not outside, outside[:3] if outside else "")
        browser.close()
finally:
    for process in filter(None, (server, proxy, redis)):
        process.terminate()
        process.wait(10)
    shutil.rmtree(folder)
print("failed" if failed else "passed")
sys.exit(1 if failed else 0)
