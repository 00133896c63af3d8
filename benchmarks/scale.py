"""Counting tokens of a table of texts: every engine, `lacon batch` and tiktoken, each in a process of its own.

    scale.py ROWS... [--most CHARACTERS] [--lacon BINARY] [--only NAME,...]

Each reads the same Parquet file and writes one with `id` and `tokens`, which are compared: all rows, none doubled, the same sum.
Seconds include starting the engine. Memory is the most that all processes of a run hold together (PSS, sampled).
"""

import argparse
import hashlib
import inspect
import itertools
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent


def pandas(source, target):
    import pandas as pd, lacon.arrow as arrow
    from lacon.engines.pandas import apply
    frame = pd.read_parquet(source)
    apply(frame, arrow.count)[["id", "tokens"]].to_parquet(target)


def polars(source, target):
    import polars as pl, lacon.arrow as arrow
    from lacon.engines.polars import expression
    frame = pl.scan_parquet(source).select("id", tokens=expression(arrow.count))
    frame.sink_parquet(target)


def ray(source, target):
    import ray, lacon.arrow as arrow
    from lacon.engines.ray import map_batches
    data = ray.data.read_parquet(source)
    map_batches(data, arrow.count).drop_columns(["text"]).write_parquet(target)


def daft(source, target):
    import daft, lacon.arrow as arrow
    from lacon.engines.daft import function
    frame = daft.read_parquet(source)
    frame.select("id", function(arrow.count)(frame["text"]).alias("tokens")).write_parquet(target)


def datafusion(source, target):
    import datafusion, lacon.arrow as arrow
    from lacon.engines.datafusion import function
    context = datafusion.SessionContext()
    context.register_udf(function(arrow.count, "tokens"))
    context.register_parquet("texts", source)
    context.sql("SELECT id, tokens(text) AS tokens FROM texts").write_parquet(target)


def spark(source, target):
    from pyspark.sql import SparkSession
    import lacon.arrow as arrow
    from lacon.engines.spark import map_in_arrow
    session = SparkSession.builder.master("local[2]").getOrCreate()
    map_in_arrow(session.read.parquet(source), arrow.count).select("id", "tokens").write.parquet(target)


def spark_udf(source, target):
    from pyspark.sql import SparkSession
    import lacon.arrow as arrow
    from lacon.engines.spark import function
    session = SparkSession.builder.master("local[2]").getOrCreate()
    session.read.parquet(source).select("id", function(arrow.count)("text").alias("tokens")).write.parquet(target)


def pyarrow(source, target):
    import pyarrow as pa, pyarrow.parquet as pq, lacon.arrow as arrow
    with pq.ParquetFile(source) as file:
        texts = pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(16384))
        done = arrow.count(texts)
        with pq.ParquetWriter(target, done.schema.remove(done.schema.get_field_index("text"))) as out:
            for batch in done:
                out.write_batch(batch.drop_columns(["text"]))


def tiktoken(source, target):
    import pyarrow as pa, pyarrow.parquet as pq, tiktoken
    encoding = tiktoken.get_encoding("o200k_base")
    with pq.ParquetFile(source) as file, pq.ParquetWriter(target, pa.schema({"id": pa.int64(), "tokens": pa.int64()})) as out:
        for batch in file.iter_batches(16384):
            ids = encoding.encode_ordinary_batch(batch.column("text").to_pylist(), num_threads=2)
            out.write_batch(pa.record_batch([batch.column("id"), pa.array(map(len, ids), pa.int64())], names=["id", "tokens"]))


def lacon_batch(source, target):
    command = [os.environ["LACON_BINARY"], "batch", source, "-o", target, "--op", "count"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


ENGINES = [lacon_batch, pyarrow, pandas, polars, datafusion, daft, ray, spark, spark_udf, tiktoken]


def texts(rows, most):
    """Parts of this repository's pages and sources, each behind a number of its own."""
    files = sorted([*(HERE.parent / "docs").glob("*.md"), *(HERE.parent / "crates/lacon-tokens/src").glob("*.rs")])
    whole = "\n".join(file.read_text() for file in files)
    some = random.Random(7)
    for row in range(rows):
        start = some.randrange(len(whole) - most)
        yield f"{row}: {whole[start : start + some.randrange(most // 12, most)]}"


def made(rows, most, folder):
    import pyarrow as pa, pyarrow.parquet as pq
    import lacon
    path, tokens, size = folder / f"{rows}.parquet", 0, 0
    schema = pa.schema({"id": pa.int64(), "text": pa.string()})
    with pq.ParquetWriter(path, schema, compression="snappy") as out:
        source, start = texts(rows, most), 0
        while start < rows:
            part = list(itertools.islice(source, 20_000))
            tokens += sum(lacon.count_batch(part))
            size += sum(len(text.encode()) for text in part)
            out.write_table(pa.table([pa.array(range(start, start + len(part))), part], schema=schema))
            start += len(part)
    return path, tokens, size


def processes(mark):
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "environ").read_bytes():
                    yield entry
            except OSError:
                continue


def watch(mark, over, peak):
    while not over.wait(0.2):
        total = 0
        for process in processes(mark):
            try:
                lines = (process / "smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            except OSError:
                continue
        peak[0] = max(peak[0], total)


def ranks(folder):
    """tiktoken's cache with the rank file that RANKS_DIR holds (`assets` of the crate tiktoken-rs), so that nothing is downloaded."""
    held = pathlib.Path(os.environ.get("RANKS_DIR", "")) / "o200k_base.tiktoken"
    if held.is_file():
        address = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
        (folder / hashlib.sha1(address.encode()).hexdigest()).write_bytes(held.read_bytes())
    return str(folder)


def check(target, rows, tokens):
    import pyarrow.compute as pc, pyarrow.dataset as ds
    table = ds.dataset(target, format="parquet").to_table()
    name = "lacon_tokens" if "lacon_tokens" in table.column_names else "tokens"
    ids = table.column("id")
    if table.num_rows != rows or pc.count_distinct(ids).as_py() != rows or pc.max(ids).as_py() != rows - 1:
        return f"ROWS DIFFER: {table.num_rows}, distinct {pc.count_distinct(ids).as_py()}"
    found = pc.sum(table.column(name)).as_py()
    return "equal" if found == tokens else f"TOKENS DIFFER: {found}, not {tokens}"


def lines(function):
    body = inspect.getsource(function).strip().splitlines()[1:]
    return len([line for line in body if line.strip()])


def main():
    words = argparse.ArgumentParser()
    words.add_argument("rows", type=int, nargs="*", default=[1_000, 100_000])
    words.add_argument("--lacon", default=os.environ.get("LACON_BINARY"))
    words.add_argument("--only", default="")
    words.add_argument("--most", type=int, default=1200)
    words.add_argument("--run", nargs=3)
    words = words.parse_args()
    if words.run:
        name, source, target = words.run
        next(engine for engine in ENGINES if engine.__name__ == name)(source, target)
        return
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} processors, " + ", ".join(versions()))
    for rows in words.rows:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            path, tokens, size = made(rows, words.most, folder)
            (folder / "ranks").mkdir()
            os.environ["TIKTOKEN_CACHE_DIR"] = ranks(folder / "ranks")
            print(f"\n{rows:,} rows, {size / 1e6:.1f} MB of text, {tokens:,} tokens")
            print(f"{'engine':<12} {'seconds':>8} {'rows/s':>10} {'MB peak':>8} {'lines':>6}  result")
            for engine in ENGINES:
                name = engine.__name__
                if words.only and name not in words.only.split(","):
                    continue
                if engine is lacon_batch and not words.lacon:
                    print(f"{name:<12} skipped: name the command by --lacon")
                    continue
                target, mark = str(folder / f"{name}.parquet"), f"LACON_SCALE={os.getpid()}-{name}-{rows}"
                key, _, value = mark.partition("=")
                environment = {**os.environ, key: value, "PYSPARK_PYTHON": sys.executable, "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}
                environment["LACON_BINARY"] = words.lacon or ""
                over, peak = threading.Event(), [0]
                watcher = threading.Thread(target=watch, args=(mark.encode(), over, peak))
                watcher.start()
                began = time.perf_counter()
                run = [sys.executable, __file__, "--run", name, str(path), target]
                try:
                    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=900)
                    seconds = time.perf_counter() - began
                    told = done.stderr.strip().splitlines()
                    result = check(target, rows, tokens) if done.returncode == 0 else f"failed: {told[-1] if told else ''}"
                except subprocess.TimeoutExpired:
                    seconds, result = 900.0, "not done in 900 s"
                over.set()
                watcher.join()
                print(f"{name:<12} {seconds:>8.2f} {rows / seconds:>10,.0f} {peak[0] / 1024:>8.0f} {lines(engine):>6}  {result}", flush=True)


def versions():
    from importlib.metadata import version
    for package in ("pyarrow", "pandas", "polars", "datafusion", "daft", "ray", "pyspark", "tiktoken"):
        try:
            yield f"{package} {version(package)}"
        except Exception:
            yield f"{package} absent"


if __name__ == "__main__":
    main()
