"""`lacon batch` on object stores of this machine: whole, resumed after a kill, and what goes wrong there."""

import functools
import http.server
import json
import os
import socket
import subprocess
import threading
import time

import pytest

from _stores import S3, STORES

from lacon.__main__ import binary

BUCKET, ROWS = "texts", 30_000


def lacon(*words, check=True, **more):
    environment = {**os.environ, **more}
    done = subprocess.run([str(binary()), "batch", *words], capture_output=True, text=True, env=environment, timeout=300)
    assert not check or done.returncode == 0, done.stderr
    return done


LINES = "".join(json.dumps({"id": n, "text": f"row {n} of many " * (n % 9), "pad": "x" * 900}) + "\n" for n in range(ROWS))


def ready():
    if binary() is None or "--features stores" in lacon("s3://a/b", "-o", "http://c/d", check=False).stderr:
        pytest.skip("no command lacon with the feature stores here; LACON_BINARY names one")


@pytest.fixture(scope="module", params=STORES)
def store(request):
    ready()
    made = STORES[request.param](BUCKET)
    made.put("in.jsonl", LINES.encode())
    yield made
    made.stop()


def at(store, key):
    return f"{store.scheme}://{BUCKET}/{key}"


def read(store, key):
    return store.get(key).decode()


def started(store, key, *more, address=None):
    words = [str(binary()), "batch", at(store, "in.jsonl"), "-o", at(store, key), "--jobs", "1", *more]
    told = store.told(address or store.address)
    return subprocess.Popen(words, env={**os.environ, **told}, stderr=subprocess.PIPE, text=True)


def wait_for_parts(store, key, running):
    until = time.monotonic() + 120
    while len(store.keys(f"{key}.part/")) < 2 and running.poll() is None and time.monotonic() < until:
        time.sleep(0.01)


def test_a_batch_from_and_to_objects_is_what_files_give(store, tmp_path):
    told = store.told(store.address)
    (tmp_path / "in.jsonl").write_text(LINES)
    lacon(str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out.jsonl"))
    done = lacon(at(store, "in.jsonl"), "-o", at(store, "out.jsonl"), "--json", **told)
    assert json.loads(done.stdout)["items"] == ROWS
    whole = (tmp_path / "out.jsonl").read_text()
    assert len(whole) > 5 << 20 and read(store, "out.jsonl") == whole
    assert store.keys("out.jsonl") == ["out.jsonl"], "no part is left"
    again = json.loads(lacon(at(store, "in.jsonl"), "-o", at(store, "out.jsonl"), "--resume", "--json", **told).stdout)
    assert (again["items"], again["skipped"]) == (0, ROWS)
    # From an object to a file, and an input that has grown since.
    lacon(at(store, "in.jsonl"), "-o", str(tmp_path / "here.jsonl"), **told)
    assert (tmp_path / "here.jsonl").read_text() == whole
    with (tmp_path / "in.jsonl").open("a") as grown:
        grown.write('{"id": "one more", "text": "two words"}\n')
    more = json.loads(lacon(str(tmp_path / "in.jsonl"), "-o", at(store, "out.jsonl"), "--resume", "--json", **told).stdout)
    assert (more["items"], more["skipped"]) == (1, ROWS) and store.keys("out.jsonl") == ["out.jsonl"]
    assert read(store, "out.jsonl") == whole + f'{{"index":{ROWS},"id":"one more","tokens":2}}\n'
    # Nothing in, nothing out.
    store.put("none.jsonl", b"")
    lacon(at(store, "none.jsonl"), "-o", at(store, "no/rows.jsonl"), **told)
    assert read(store, "no/rows.jsonl") == "" and store.keys("no/") == ["no/rows.jsonl"]


def test_an_input_is_fetched_by_http(tmp_path):
    ready()
    (tmp_path / "open.jsonl").write_text('"a b c"\n')
    serve = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        lacon(f"http://127.0.0.1:{server.server_port}/open.jsonl", "-o", str(tmp_path / "out.jsonl"))
        server.shutdown()
    assert json.loads((tmp_path / "out.jsonl").read_text())["tokens"] == 3


def test_a_killed_batch_goes_on_from_its_parts(store, tmp_path):
    told = store.told(store.address)
    store.put("killed.jsonl", b"of another day\n")
    running = started(store, "killed.jsonl")
    wait_for_parts(store, "killed.jsonl", running)
    running.kill()
    running.communicate()
    # Until it is whole, what was there stays.
    assert read(store, "killed.jsonl") == "of another day\n" and len(store.keys("killed.jsonl.part/")) > 1
    done = json.loads(lacon(at(store, "in.jsonl"), "-o", at(store, "killed.jsonl"), "--resume", "--json", **told).stdout)
    assert done["items"] + done["skipped"] == ROWS and done["skipped"]
    made = [json.loads(line) for line in read(store, "killed.jsonl").splitlines()]
    assert [(row["id"], row["index"]) for row in made] == [(n, n) for n in range(ROWS)]
    assert store.keys("killed.jsonl") == ["killed.jsonl"]


def test_two_batches_on_one_output_never_mix(store):
    told = store.told(store.address)
    first = started(store, "two.jsonl", "--resume")
    wait_for_parts(store, "two.jsonl", first)
    second = started(store, "two.jsonl", "--resume", "--op", "compress")
    told_by = [running.communicate(timeout=300)[1] for running in (first, second)]
    ended = [running.returncode for running in (first, second)]
    assert 0 in ended, told_by
    rows = [json.loads(line) for line in read(store, "two.jsonl").splitlines()]
    assert [row["id"] for row in rows] == list(range(ROWS))


def test_parquet_goes_out_whole(store, tmp_path):
    told = store.told(store.address)
    pq = pytest.importorskip("pyarrow.parquet")
    lacon(at(store, "in.jsonl"), "-o", at(store, "out.parquet"), "--op", "compress", **told)
    (tmp_path / "out.parquet").write_bytes(store.get("out.parquet"))
    assert pq.read_table(tmp_path / "out.parquet").num_rows == ROWS
    lacon(at(store, "out.parquet"), "-o", at(store, "back.jsonl"), **told)
    assert len(read(store, "back.jsonl").splitlines()) == ROWS


class Gate:
    """A port before the store that can be shut."""

    def __init__(self, endpoint):
        self.to = tuple(endpoint.removeprefix("http://").split(":"))
        self.open, self.links = True, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            client, _ = self.listener.accept()
            if not self.open:
                client.close()
                continue
            there = socket.create_connection(self.to)
            self.links += [client, there]
            for source, into in ((client, there), (there, client)):
                threading.Thread(target=self._pump, args=(source, into), daemon=True).start()

    @staticmethod
    def _pump(source, into):
        try:
            while some := source.recv(1 << 16):
                into.sendall(some)
            into.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def shut(self):
        self.open = False
        for link in self.links:
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def test_a_store_that_dies_in_the_middle_and_comes_back(store):
    told = store.told(store.address)
    gate = Gate(store.address)
    running = started(store, "died.jsonl", address=gate.address)
    wait_for_parts(store, "died.jsonl", running)
    gate.shut()
    time.sleep(1)
    gate.open = True
    said = running.communicate(timeout=300)[1]
    if running.returncode != 0:
        assert "cannot " in said and "panicked" not in said
        lacon(at(store, "in.jsonl"), "-o", at(store, "died.jsonl"), "--resume", **told)
    assert [json.loads(line)["id"] for line in read(store, "died.jsonl").splitlines()] == list(range(ROWS))


@pytest.mark.parametrize(
    "words, said",
    [
        (("AT/texts/missing.jsonl", "-o", "out.jsonl"), "cannot read AT/texts/missing.jsonl: there is no such object"),
        (("AT/nowhere/in.jsonl", "-o", "out.jsonl"), "cannot read AT/nowhere/in.jsonl: there is no such object"),
        (("AT/texts/in.jsonl", "-o", "AT/texts/in.jsonl"), "is the input"),
        (("AT/texts/x.part/1-2", "-o", "AT/texts/x"), "is the input"),
        (("AT/texts/in.jsonl", "-o", "http://127.0.0.1/out"), "http addresses are only read"),
        (("AT/texts/in.jsonl?X-Amz-Signature=1", "-o", "out.jsonl"), "no query"),
        (("AT/texts", "-o", "out.jsonl"), "names no object"),
        (("AT/", "-o", "out.jsonl"), "AT/"),
    ],
)
def test_what_cannot_be_is_said(store, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    place = f"{store.scheme}:/"
    done = lacon(*(word.replace("AT", place) for word in words), check=False, **store.told(store.address))
    assert done.returncode == 2 and said.replace("AT", place) in done.stderr, done.stderr
    assert read(store, "in.jsonl") == LINES and not os.listdir(tmp_path)


def test_wrong_keys_are_said(tmp_path):
    ready()
    requests = pytest.importorskip("requests")
    refuses = S3("closed")
    try:
        # From here on moto checks who asks.
        requests.post(f"{refuses.address}/moto-api/reset-auth", data="0", timeout=10)
        done = lacon(at(refuses, "in.jsonl"), "-o", str(tmp_path / "out.jsonl"), check=False, **refuses.told(refuses.address))
        assert done.returncode == 4 and "refused the keys" in done.stderr, done.stderr
    finally:
        requests.post(f"{refuses.address}/moto-api/reset-auth", data="1000000000", timeout=10)
        refuses.stop()
