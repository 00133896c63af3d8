"""Columns of texts against the functions for one text: layouts of Arrow, nulls, slices, errors, types of tables."""

import json
import random
import threading

import pytest

import lacon
import lacon.arrow as arrow

pa = pytest.importorskip("pyarrow")

WORDS = ["many ", "naïve ☕", "\n\n", "1,234.56 ", "价格 ", "a" * 40, "<|endoftext|>", "\t", "🙂", '{"k": 1}']
ROWS = '[{"ticker": "AAPL", "price": 1.50}, {"ticker": "MSFT", "price": 2.25}, {"ticker": "AMD", "price": 3.00}]'
LAYOUTS = {
    "string": pa.string(),
    "large_string": pa.large_string(),
    "string_view": pa.string_view(),
    "dictionary": pa.dictionary(pa.int8(), pa.string()),
    "large_dictionary": pa.dictionary(pa.int64(), pa.large_string()),
}


def texts(seed: int, n: int = 60) -> list[str | None]:
    """Texts of every length, with nulls, the same for a seed."""
    some = random.Random(seed)
    made = ["".join(some.choices(WORDS, k=some.choice([0, 1, 3, 30]))) for _ in range(n)]
    return [None if some.random() < 0.2 else text for text in made]


def column(values, kind):
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def batch(values, kind=pa.string(), name="text"):
    return pa.record_batch([pa.array(range(len(values))), column(values, kind)], names=["id", name])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("seed", range(6))
def test_each_row_is_what_the_function_gives(layout, seed):
    values = texts(seed)
    whole = batch(values, LAYOUTS[layout])
    start = random.Random(seed).randrange(0, 9)
    part, values = whole.slice(start, 41), values[start : start + 41]
    known = [value is not None for value in values]
    for threads in (1, 3):
        done = {
            "tokens": arrow.count(part, num_threads=threads),
            "ids": arrow.encode(part, num_threads=threads),
            "truncated": arrow.truncate(part, 7, side="middle", num_threads=threads),
            "chunks": arrow.chunk(part, 5, num_threads=threads),
            "compressed": arrow.compress(part, num_threads=threads),
            "trimmed": arrow.trim(part, 40, num_threads=threads),
        }
        wanted = {
            "tokens": lacon.count,
            "ids": lacon.encode,
            "truncated": lambda text: lacon.truncate(text, 7, "middle"),
            "chunks": lambda text: lacon.split(text, 5),
            "compressed": lambda text: lacon.compress(text).text,
            "trimmed": lambda text: lacon.trim(text, 40).text,
        }
        for name, made in done.items():
            made.validate(full=True)
            assert made.column("id").equals(part.column("id")) and made.column("text").equals(part.column("text"))
            expected = [wanted[name](text) if there else None for text, there in zip(values, known)]
            assert made.column(name).to_pylist() == expected, name
        short = done["compressed"]
        assert short.column("error").null_count == len(values)
        back = arrow.expand(short, errors="expand_error", num_threads=threads)
        assert back.column("expanded").to_pylist() == values
        assert arrow.count(part, encoding="cl100k_base").column("tokens").to_pylist() == [
            None if text is None else lacon.count(text, encoding="cl100k_base") for text in values
        ]


def test_types_follow_the_offsets():
    small, large = batch(["a b"]), batch(["a b"], pa.large_string())
    assert arrow.count(small).schema.field("tokens").type == pa.int64()
    assert arrow.encode(small).schema.field("ids").type == pa.list_(pa.uint32())
    assert arrow.encode(large).schema.field("ids").type == pa.large_list(pa.uint32())
    assert arrow.truncate(small, 1).schema.field("truncated").type == pa.string()
    assert arrow.chunk(large, 1).schema.field("chunks").type == pa.large_list(pa.large_string())


def test_long_columns_are_shared_among_threads_in_their_order():
    values = [f"row {n}: " + "many words " * (n % 37) for n in range(30_000)]
    done = arrow.encode(arrow.count(batch(values), num_threads=4), num_threads=4)
    assert done.column("tokens").to_pylist() == lacon.count_batch(values)
    assert done.column("ids").to_pylist() == lacon.encode_batch(values)


def test_messages():
    request = [{"role": "user", "content": "hello"}]
    held = pa.record_batch([pa.array([json.dumps(request), "no json", None, "[3]"])], names=["messages"])
    done = arrow.count_messages(held)
    assert done.column("tokens").to_pylist() == [lacon.count_messages(request).total, None, None, None]
    failed = done.column("error").to_pylist()
    assert failed[0] is None and failed[2] is None
    assert failed[1].startswith("no JSON array of messages: ") and "message 0 is no object" in failed[3]
    roles = ["system", *["user", "assistant"] * 6, "user"]
    long = [{"role": role, "content": f"turn {n} " * 30} for n, role in enumerate(roles)]
    done = arrow.trim(pa.record_batch([[json.dumps(long)]], names=["text"]), 500, messages=True)
    assert json.loads(done.column("trimmed")[0].as_py()) == lacon.trim(long, 500).messages


def test_a_row_that_fails_is_told_and_never_lost():
    held = batch([lacon.compress(ROWS).text, "@json p\n[#9 broken", "plain", None], name="compressed")
    done = arrow.expand(held)
    assert done.num_rows == 4 and done.column("expanded").to_pylist()[::2] == [ROWS, "plain"]
    assert [error is None for error in done.column("error").to_pylist()] == [True, False, True, True]
    with pytest.raises(ValueError, match="^row 1: compressed text cannot be expanded"):
        arrow.expand(held, errors=None)
    done = arrow.compress(batch([ROWS, "short"]), budget=10)
    assert done.column("compressed").to_pylist() == [None, "short"]
    assert "budget is 10" in done.column("error")[0].as_py()


def test_bytes_that_are_no_utf8_fail_their_row():
    bad = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0\4\0\0\0"), pa.py_buffer(b"ok\xff\xfe")])
    held = pa.record_batch([bad], names=["text"])
    done = arrow.compress(held)
    assert done.column("compressed").to_pylist() == ["ok", None]
    assert done.column("error").to_pylist() == [None, "the text is no valid UTF-8"]
    for work in (arrow.count, arrow.encode, lambda held: arrow.chunk(held, 3)):
        with pytest.raises(ValueError, match="^row 1: the text is no valid UTF-8"):
            work(held)


def test_names_of_columns():
    held = batch(["one two"])
    assert arrow.truncate(held, 1, out="text").to_pydict() == {"id": [0], "text": ["one"]}
    with pytest.raises(KeyError, match="0 columns are named 'txt'|0 columns are named"):
        arrow.count(held, "txt")
    with pytest.raises(TypeError, match='column "id" holds Int64, texts are needed'):
        arrow.count(held, "id")
    for work in (lambda: arrow.count(held, out="id"), lambda: arrow.compress(held, errors="id")):
        with pytest.raises(ValueError, match='there is a column "id" already'):
            work()
    twice = pa.record_batch([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    with pytest.raises(KeyError, match="2 columns are named"):
        arrow.count(twice)
    for wrong in (3, "text", pa.array(["a"])):
        with pytest.raises(TypeError, match="a record batch is needed"):
            arrow.count(wrong)
    kept = held.replace_schema_metadata({"a": "b"})
    assert arrow.count(kept).schema.metadata == {b"a": b"b"}


def test_empty_batches():
    for kind in LAYOUTS.values():
        for values in ([], [None, None]):
            held = batch(values, kind)
            assert arrow.count(held).column("tokens").to_pylist() == values
            assert arrow.chunk(held, 2).column("chunks").to_pylist() == values


def test_tables_come_back_as_what_they_were():
    table = pa.table({"text": pa.chunked_array([["a b", None], [], ["c"]])})
    done = arrow.count(table)
    assert isinstance(done, pa.Table) and done.column("tokens").to_pylist() == [2, None, 1]
    made = []

    def batches():
        for n in range(3):
            made.append(n)
            yield pa.record_batch([pa.array([f"text {n}"])], names=["text"])

    reader = arrow.count(pa.RecordBatchReader.from_batches(pa.schema({"text": pa.string()}), batches()))
    assert isinstance(reader, pa.RecordBatchReader) and made == []
    assert reader.read_next_batch().column("tokens").to_pylist() == [lacon.count("text 0")] and made == [0]
    assert reader.read_all().num_rows == 2 and made == [0, 1, 2]


def test_a_producer_that_fails_says_so():
    def batches():
        yield pa.record_batch([pa.array(["a"])], names=["text"])
        raise RuntimeError("the disk is gone")

    reader = arrow.count(pa.RecordBatchReader.from_batches(pa.schema({"text": pa.string()}), batches()))
    with pytest.raises(Exception, match="the disk is gone"):
        reader.read_all()


def test_other_threads_run_meanwhile():
    held = batch(["many words in a text " * 20_000] * 20)
    ticks, over = [], threading.Event()

    def tick():
        while not over.wait(0.001):
            ticks.append(1)

    thread = threading.Thread(target=tick)
    thread.start()
    arrow.encode(held, num_threads=1)
    over.set()
    thread.join()
    assert ticks
