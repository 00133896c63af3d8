"""`lacon batch` on a real S3 interface on this machine (moto): whole, resumed after a kill, and what goes wrong there."""

import json
import os
import socket
import subprocess
import threading
import time

import pytest

from lacon.__main__ import binary

boto3 = pytest.importorskip("boto3")
server = pytest.importorskip("moto.server")

BUCKET, ROWS = "texts", 30_000


def lacon(*words, check=True, **more):
    environment = {**os.environ, **more}
    done = subprocess.run([str(binary()), "batch", *words], capture_output=True, text=True, env=environment, timeout=300)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def s3():
    if binary() is None or "--features stores" in lacon("s3://a/b", "-o", "http://c/d", check=False).stderr:
        pytest.skip("no command lacon with the feature stores here; LACON_BINARY names one")
    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    told = {"AWS_ENDPOINT": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    client = boto3.client("s3", endpoint_url=told["AWS_ENDPOINT"], aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET)
    lines = "".join(json.dumps({"id": n, "text": f"row {n} of many " * (n % 9), "pad": "x" * 900}) + "\n" for n in range(ROWS))
    client.put_object(Bucket=BUCKET, Key="in.jsonl", Body=lines.encode())
    yield client, told, lines
    moto.stop()


def read(client, key):
    return client.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()


def keys(client, prefix):
    return [one["Key"] for one in client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]


def started(told, key, *more):
    words = [str(binary()), "batch", f"s3://{BUCKET}/in.jsonl", "-o", f"s3://{BUCKET}/{key}", "--jobs", "1", *more]
    return subprocess.Popen(words, env={**os.environ, **told}, stderr=subprocess.PIPE, text=True)


def wait_for_parts(client, key, running):
    until = time.monotonic() + 120
    while len(keys(client, f"{key}.part/")) < 2 and running.poll() is None and time.monotonic() < until:
        time.sleep(0.01)


def test_a_batch_from_and_to_objects_is_what_files_give(s3, tmp_path):
    client, told, lines = s3
    (tmp_path / "in.jsonl").write_text(lines)
    lacon(str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out.jsonl"))
    done = lacon(f"s3://{BUCKET}/in.jsonl", "-o", f"s3://{BUCKET}/out.jsonl", "--json", **told)
    assert json.loads(done.stdout)["items"] == ROWS
    whole = (tmp_path / "out.jsonl").read_text()
    assert len(whole) > 5 << 20 and read(client, "out.jsonl") == whole
    assert keys(client, "out.jsonl") == ["out.jsonl"], "no part is left"
    again = json.loads(lacon(f"s3://{BUCKET}/in.jsonl", "-o", f"s3://{BUCKET}/out.jsonl", "--resume", "--json", **told).stdout)
    assert (again["items"], again["skipped"]) == (0, ROWS)
    # From an object to a file, and an input that has grown since.
    lacon(f"s3://{BUCKET}/in.jsonl", "-o", str(tmp_path / "here.jsonl"), **told)
    assert (tmp_path / "here.jsonl").read_text() == whole
    with (tmp_path / "in.jsonl").open("a") as grown:
        grown.write('{"id": "one more", "text": "two words"}\n')
    more = json.loads(lacon(str(tmp_path / "in.jsonl"), "-o", f"s3://{BUCKET}/out.jsonl", "--resume", "--json", **told).stdout)
    assert (more["items"], more["skipped"]) == (1, ROWS) and keys(client, "out.jsonl") == ["out.jsonl"]
    assert read(client, "out.jsonl") == whole + f'{{"index":{ROWS},"id":"one more","tokens":2}}\n'
    # Nothing in, nothing out; and what is fetched by http.
    client.put_object(Bucket=BUCKET, Key="none.jsonl", Body=b"")
    lacon(f"s3://{BUCKET}/none.jsonl", "-o", f"s3://{BUCKET}/no/rows.jsonl", **told)
    assert read(client, "no/rows.jsonl") == "" and keys(client, "no/") == ["no/rows.jsonl"]
    client.put_object(Bucket=BUCKET, Key="open.jsonl", Body=b'"a b c"\n', ACL="public-read")
    lacon(f"{told['AWS_ENDPOINT']}/{BUCKET}/open.jsonl", "-o", str(tmp_path / "open.jsonl"))
    assert json.loads((tmp_path / "open.jsonl").read_text())["tokens"] == 3


def test_a_killed_batch_goes_on_from_its_parts(s3, tmp_path):
    client, told, lines = s3
    client.put_object(Bucket=BUCKET, Key="killed.jsonl", Body=b"of another day\n")
    running = started(told, "killed.jsonl")
    wait_for_parts(client, "killed.jsonl", running)
    running.kill()
    running.communicate()
    # Until it is whole, what was there stays.
    assert read(client, "killed.jsonl") == "of another day\n" and len(keys(client, "killed.jsonl.part/")) > 1
    done = json.loads(lacon(f"s3://{BUCKET}/in.jsonl", "-o", f"s3://{BUCKET}/killed.jsonl", "--resume", "--json", **told).stdout)
    assert done["items"] + done["skipped"] == ROWS and done["skipped"]
    made = [json.loads(line) for line in read(client, "killed.jsonl").splitlines()]
    assert [(row["id"], row["index"]) for row in made] == [(n, n) for n in range(ROWS)]
    assert keys(client, "killed.jsonl") == ["killed.jsonl"]


def test_two_batches_on_one_output_never_mix(s3):
    client, told, _ = s3
    first = started(told, "two.jsonl", "--resume")
    wait_for_parts(client, "two.jsonl", first)
    second = started(told, "two.jsonl", "--resume", "--op", "compress")
    told_by = [running.communicate(timeout=300)[1] for running in (first, second)]
    ended = [running.returncode for running in (first, second)]
    assert 0 in ended, told_by
    rows = [json.loads(line) for line in read(client, "two.jsonl").splitlines()]
    assert [row["id"] for row in rows] == list(range(ROWS))


def test_parquet_goes_out_whole(s3, tmp_path):
    client, told, _ = s3
    pq = pytest.importorskip("pyarrow.parquet")
    lacon(f"s3://{BUCKET}/in.jsonl", "-o", f"s3://{BUCKET}/out.parquet", "--op", "compress", **told)
    client.download_file(BUCKET, "out.parquet", str(tmp_path / "out.parquet"))
    assert pq.read_table(tmp_path / "out.parquet").num_rows == ROWS
    lacon(f"s3://{BUCKET}/out.parquet", "-o", f"s3://{BUCKET}/back.jsonl", **told)
    assert len(read(client, "back.jsonl").splitlines()) == ROWS


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


def test_a_store_that_dies_in_the_middle_and_comes_back(s3):
    client, told, _ = s3
    gate = Gate(told["AWS_ENDPOINT"])
    running = started({**told, "AWS_ENDPOINT": gate.address}, "died.jsonl")
    wait_for_parts(client, "died.jsonl", running)
    gate.shut()
    time.sleep(1)
    gate.open = True
    said = running.communicate(timeout=300)[1]
    if running.returncode != 0:
        assert "cannot " in said and "panicked" not in said
        lacon(f"s3://{BUCKET}/in.jsonl", "-o", f"s3://{BUCKET}/died.jsonl", "--resume", **told)
    assert [json.loads(line)["id"] for line in read(client, "died.jsonl").splitlines()] == list(range(ROWS))


@pytest.mark.parametrize(
    "words, said",
    [
        ((f"s3://{BUCKET}/missing.jsonl", "-o", "out.jsonl"), "cannot read s3://texts/missing.jsonl: there is no such object"),
        (("s3://nowhere/in.jsonl", "-o", "out.jsonl"), "cannot read s3://nowhere/in.jsonl: there is no such object"),
        ((f"s3://{BUCKET}/in.jsonl", "-o", f"s3://{BUCKET}/in.jsonl"), "is the input"),
        ((f"s3://{BUCKET}/x.part/1-2", "-o", f"s3://{BUCKET}/x"), "is the input"),
        ((f"s3://{BUCKET}/in.jsonl", "-o", "http://127.0.0.1/out"), "http addresses are only read"),
        ((f"s3://{BUCKET}/in.jsonl?X-Amz-Signature=1", "-o", "out.jsonl"), "no query"),
        ((f"s3://{BUCKET}", "-o", "out.jsonl"), "names no object"),
        (("s3://", "-o", "out.jsonl"), "s3://"),
    ],
)
def test_what_cannot_be_is_said(s3, tmp_path, monkeypatch, words, said):
    client, told, lines = s3
    monkeypatch.chdir(tmp_path)
    done = lacon(*words, check=False, **told)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert read(client, "in.jsonl") == lines and not os.listdir(tmp_path)


def test_wrong_keys_are_said(s3, tmp_path):
    _, told, _ = s3
    refuses = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    refuses.start()
    host, port = refuses.get_host_and_port()
    there = {**told, "AWS_ENDPOINT": f"http://{host}:{port}"}
    boto3.client("s3", endpoint_url=there["AWS_ENDPOINT"], aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
    try:
        # From here on moto checks who asks.
        import requests

        requests.post(f"{there['AWS_ENDPOINT']}/moto-api/reset-auth", data="0", timeout=10)
        done = lacon(f"s3://{BUCKET}/in.jsonl", "-o", str(tmp_path / "out.jsonl"), check=False, **there)
        assert done.returncode == 4 and "refused the keys" in done.stderr, done.stderr
    finally:
        requests.post(f"{there['AWS_ENDPOINT']}/moto-api/reset-auth", data="1000000000", timeout=10)
        refuses.stop()
