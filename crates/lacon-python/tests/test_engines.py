"""Each engine for real, in this process or on this machine: what it gives is what the functions give, row by row."""

import os
import sys

import pytest

import lacon
import lacon.arrow as arrow

pa = pytest.importorskip("pyarrow")

TEXTS = [None if n % 11 == 3 else f"row {n}: " + "naïve ☕ words " * (n % 17) for n in range(500)]
COUNTS = [None if text is None else lacon.count(text) for text in TEXTS]
IDS = [None if text is None else lacon.encode(text) for text in TEXTS]
SMALL = lacon.compress('[{"ticker": "AAPL", "price": 1.5}, {"ticker": "MSFT", "price": 2.5}]').text
PACKED = [SMALL, None, "@json p\n[#9 broken", "plain"]


def test_pandas():
    pd = pytest.importorskip("pandas", minversion="2")
    from lacon.engines.pandas import apply

    frame = pd.DataFrame({"id": range(500), "text": TEXTS}, index=range(1000, 1500))
    done = apply(apply(frame, arrow.count), arrow.encode, out="ids")
    assert list(done.index) == list(range(1000, 1500)) and list(done.columns) == ["id", "text", "tokens", "ids"]
    assert [None if pd.isna(n) else n for n in done["tokens"]] == COUNTS
    assert [None if ids is None or ids is pd.NA else list(ids) for ids in done["ids"]] == IDS
    if int(pd.__version__.partition(".")[0]) >= 3:
        whole = arrow.count(frame)
        assert isinstance(whole, pd.DataFrame) and len(whole) == 500


def test_polars():
    pl = pytest.importorskip("polars")
    from lacon.engines.polars import expression

    frame = pl.DataFrame({"text": TEXTS})
    whole = arrow.encode(arrow.count(frame))
    assert isinstance(whole, pl.DataFrame)
    assert whole["tokens"].to_list() == COUNTS and whole["ids"].to_list() == IDS
    short = expression(arrow.truncate, pl.col("text"), max_tokens=3)
    for done in (frame.with_columns(tokens=expression(arrow.count), short=short),
                 frame.lazy().with_columns(tokens=expression(arrow.count), short=short).collect(engine="streaming")):
        assert done["tokens"].to_list() == COUNTS
        assert done["short"].to_list() == [None if text is None else lacon.truncate(text, 3) for text in TEXTS]
    kinds = frame.select(expression(arrow.count, pl.col("text").cast(pl.Categorical)))
    assert kinds["text"].to_list() == COUNTS
    packed = pl.DataFrame({"compressed": PACKED}).select(expression(arrow.expand, "compressed").alias("back"))
    rows = packed["back"].to_list()
    assert [row["expanded"] is None for row in rows] == [False, True, True, False]
    assert [row["error"] is None for row in rows] == [True, True, False, True]


def test_datafusion():
    datafusion = pytest.importorskip("datafusion")
    from lacon.engines.datafusion import function

    context = datafusion.SessionContext()
    context.register_udf(function(arrow.count, "tokens"))
    context.register_udf(function(arrow.encode, "ids"))
    context.register_udf(function(arrow.expand, "expanded"))
    context.register_record_batches("texts", [pa.table({"id": range(500), "text": TEXTS}).to_batches(max_chunksize=64)])
    done = context.sql("SELECT id, tokens(text) AS tokens, ids(text) AS ids FROM texts ORDER BY id").to_arrow_table()
    assert done.column("tokens").to_pylist() == COUNTS and done.column("ids").to_pylist() == IDS
    context.register_record_batches("packed", [pa.table({"text": PACKED}).to_batches()])
    rows = context.sql("SELECT expanded(text) AS back FROM packed").to_arrow_table().column("back").to_pylist()
    assert [row["error"] is None for row in rows] == [True, True, False, True]


def test_daft():
    daft = pytest.importorskip("daft")
    from lacon.engines.daft import function

    frame = daft.from_pydict({"id": list(range(500)), "text": TEXTS})
    frame = frame.with_column("tokens", function(arrow.count)(frame["text"]))
    frame = frame.with_column("ids", function(arrow.encode, batch_size=64)(frame["text"]))
    done = frame.sort("id").to_pydict()
    assert done["tokens"] == COUNTS and done["ids"] == IDS


def test_ray_data():
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    from lacon.engines.ray import map_batches

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}})
    try:
        data = ray.data.from_arrow(pa.table({"id": range(500), "text": TEXTS}))
        done = map_batches(map_batches(data, arrow.count, batch_size=64), arrow.encode, workers=(1, 2))
        rows = sorted(done.take_all(), key=lambda row: row["id"])
    finally:
        ray.shutdown()
    assert [row["tokens"] for row in rows] == COUNTS
    assert [None if row["ids"] is None else list(row["ids"]) for row in rows] == IDS


def test_spark():
    pyspark = pytest.importorskip("pyspark.sql")
    from lacon.engines.spark import function, map_in_arrow

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = pyspark.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.executorEnv.PYTHONPATH", os.pathsep.join(sys.path))
    try:
        session = builder.getOrCreate()
    except Exception as why:
        pytest.skip(f"Spark does not start here, is there a Java 17? {why}")
    try:
        frame = session.createDataFrame(list(zip(range(500), TEXTS)), "id int, text string")
        done = map_in_arrow(map_in_arrow(frame, arrow.count), arrow.encode).orderBy("id").collect()
        columns = [function(arrow.count)("text").alias("tokens"), function(arrow.encode)("text").alias("ids")]
        same = frame.select("id", *columns).orderBy("id").collect()
        session.udf.register("tokens", function(arrow.count))
        frame.createOrReplaceTempView("texts")
        total = session.sql("SELECT sum(tokens(text)) AS total FROM texts").first().total
        packed = session.createDataFrame([(text,) for text in PACKED], "text string")
        back = [row.back for row in packed.select(function(arrow.expand)("text").alias("back")).collect()]
    finally:
        session.stop()
    for rows in (done, same):
        assert [row.tokens for row in rows] == COUNTS and [row.ids for row in rows] == IDS
    assert total == sum(count or 0 for count in COUNTS)
    assert [row.error is None for row in back] == [True, True, False, True]
