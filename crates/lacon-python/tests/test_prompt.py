"""Compression, trimming and stores as a user calls them."""

import asyncio
import json
import math
import pathlib
import random

import pytest

import lacon

PROMPTS = pathlib.Path(__file__).parents[3] / "testdata" / "prompts"
CASES = sorted(folder.name for folder in PROMPTS.iterdir()) if PROMPTS.is_dir() else []
ROWS = json.dumps([{"day": f"2026-01-{i:02}", "close": i * 7.5, "venue": "XNAS"} for i in range(30)], indent=2)


def blob(n=900):
    chance = random.Random(3)
    return "data:image/png;base64," + "".join(chance.choices("abcdefghijkLMNOPQRSTUVwxyz0123456789+/", k=n))


def conversation(n=12):
    messages = [{"role": "system", "content": "You are a trader."}, {"role": "user", "content": "What is it worth?"}]
    for i in range(n):
        call = {"id": f"c{i}", "type": "function", "function": {"name": "prices", "arguments": "{}"}}
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{i}", "content": ROWS.replace("2026", str(2000 + i))},
        ]
    return [*messages, {"role": "user", "content": "Decide."}]


@pytest.mark.parametrize("case", CASES)
def test_texts_are_compressed_as_by_the_command(case):
    text = (PROMPTS / case / "input.txt").read_text(encoding="utf-8")
    done = lacon.compress(text)
    assert done.policy == "lossless" and done.tokens_after == lacon.count(done.text)
    assert done.tokens_before == lacon.count(text) and done.saved == done.tokens_before - done.tokens_after
    assert lacon.expand(done.text) == done.expand() == text


def test_a_text_comes_back_and_is_accounted_for():
    done = lacon.compress(ROWS)
    assert done.text.startswith("@json") and done.exact and done.messages is None
    assert done.tokens_after < done.tokens_before / 2
    assert done.receipt[0]["pass"] == "json" and done.receipt[0]["outcome"] == "kept"
    assert lacon.compress(done.text, once=True).text == done.text
    assert lacon.compress(ROWS, audit=True).text == ROWS
    assert lacon.compress(ROWS, audit=True).tokens_after == done.tokens_after
    assert lacon.compress(ROWS, disable=["json", "repeats"]).text == ROWS
    assert lacon.compress("").text == ""
    assert "tokens_before" in repr(done)


def test_a_store_keeps_what_goes_and_gives_it_back(tmp_path):
    text = f"See {blob()}\nEnd.\n"
    file = tmp_path / "deep" / "store.db"
    for store in (lacon.Store(), lacon.Store(file), lacon.Store(str(file), session="other")):
        done = lacon.compress(text, store=store)
        assert done.policy == "safe" and done.tokens_after < 60 and "ref=" in done.text
        marker = done.text[done.text.index("[blob") : done.text.index("]") + 1]
        handle = marker.split("ref=")[1][:-1]
        assert store.retrieve(handle) == store.retrieve(marker) == blob()
        assert lacon.expand(done.text, store=store) == done.expand() == text
        with pytest.raises(KeyError, match="no stored content"):
            lacon.Store().retrieve(handle)
        with pytest.raises(lacon.MissingError) as raised:
            lacon.expand(done.text)
        assert raised.value.handle == handle
        with pytest.raises(lacon.DamagedError):
            store.retrieve(marker.replace("922", "921").replace("chars", "chars"))
        with pytest.raises(ValueError, match="is no handle"):
            store.retrieve("nothing")
    assert file.exists() and lacon.Store(file).retrieve(lacon.Store(file).put("kept")) == "kept"


def test_a_store_that_is_full_or_none(tmp_path):
    with pytest.raises(lacon.StoreFullError):
        lacon.Store(limit_bytes=10).put("more than ten bytes")
    full = lacon.compress(f"See {blob()}\n", store=lacon.Store(limit_bytes=10))
    assert full.text == f"See {blob()}\n"
    broken = tmp_path / "text"
    broken.write_text("this is a text and no database, whatever its name says")
    with pytest.raises(lacon.StoreError):
        lacon.Store(broken).put("a")
    with pytest.raises(ValueError, match="none is given"):
        lacon.compress("a", policy="safe")
    assert not (tmp_path / "never").exists()
    lacon.compress("nothing to store", store=lacon.Store(tmp_path / "never"))
    assert not (tmp_path / "never").exists()
    with pytest.raises(OverflowError):
        lacon.Store(limit_bytes=-1)


def test_messages_change_where_they_hold_material():
    messages = conversation()
    before = json.dumps(messages)
    done = lacon.compress(messages)
    assert json.dumps(messages) == before and done.text is None
    assert done.tokens_after < done.tokens_before and done.exact
    assert done.tokens_before == lacon.count_messages(messages).total
    for old, new in zip(messages, done.messages, strict=True):
        assert (old == new) == (old["role"] != "tool")
    assert lacon.expand(done.messages, changed=done.changed) == done.expand() == messages
    assert done.receipt[0]["segment"] == done.changed[0] == "/3/content"
    with pytest.raises(ValueError, match="no text at"):
        lacon.expand(done.messages, changed=["/9/nothing"])
    said = [{"role": "user", "content": ROWS}]
    assert lacon.compress(said).messages == said
    asked = lacon.compress(said, shorten_user=True)
    assert asked.messages[0]["content"].startswith("@json") and asked.expand()[0]["content"] == ROWS
    assert lacon.compress(said, shorten_user=True, protect=["user"]).messages == said
    with pytest.raises(ValueError, match="not compressed with loss"):
        lacon.compress(said, policy="lossy")
    assert lacon.compress([]).messages == []
    assert lacon.compress(tuple(messages)).messages == done.messages


def test_an_extract_keeps_what_is_asked_for():
    table = "| item | 2019 |\n|---|---|\n" + "".join(f"| thing{i} | {i}.5 |\n" for i in range(200))
    store = lacon.Store()
    done = lacon.compress(table, policy="lossy", ratio=0.2, query="What is thing77?", store=store)
    assert "| thing77 | 77.5 |" in done.text and not done.exact and done.tokens_after < done.tokens_before / 3
    assert store.retrieve(done.text.rsplit("ref=", 1)[1][:-1]) == table
    assert done.receipt[0]["pass"] == "extract" and done.receipt[0]["left_out"]
    with pytest.raises(ValueError, match="an extract cannot be expanded"):
        done.expand()
    fitted = lacon.compress(table, policy="lossy", budget=300, query="thing77")
    assert fitted.tokens_after <= 300 and "thing77" in fitted.text
    for ratio in (math.nan, math.inf, -0.1, 1.5):
        with pytest.raises(ValueError, match="between 0 and 1"):
            lacon.compress(table, policy="lossy", ratio=ratio)
    with pytest.raises(ValueError, match="ratio"):
        lacon.compress(table, ratio=0.5)


def test_a_budget_is_met_or_named():
    with pytest.raises(lacon.BudgetError) as raised:
        lacon.compress(ROWS, budget=10)
    assert raised.value.budget == 10 and raised.value.minimum == lacon.compress(ROWS).tokens_after
    for bad in (math.nan, 1.5, "10"):
        with pytest.raises(TypeError):
            lacon.compress(ROWS, budget=bad)
        with pytest.raises(TypeError):
            lacon.trim(ROWS, bad)
    with pytest.raises(OverflowError):
        lacon.compress(ROWS, budget=-1)
    with pytest.raises(lacon.BudgetError):
        lacon.compress(conversation(), budget=100)


def test_trimming():
    messages = conversation()
    done = lacon.trim(messages, 1500)
    assert done.tokens_after <= 1500 < done.tokens_before and done.dropped or done.digested
    assert done.messages[0] == messages[0] and done.messages[-1] == messages[-1]
    assert lacon.trim(messages, 100_000).messages == messages
    with pytest.raises(lacon.BudgetError) as raised:
        lacon.trim(messages, 10)
    assert lacon.trim(messages, raised.value.minimum).tokens_after <= raised.value.minimum
    store = lacon.Store()
    told = [{**m, "content": "A long story of 3 brothers. " * 40} if m["role"] == "tool" else m for m in messages]
    kept = lacon.trim(told, 1200, store=store)
    place = next(i for i in kept.digested if i not in kept.dropped)
    digest = next(str(m["content"]) for m in kept.messages if "ref=" in str(m["content"]))
    assert store.retrieve(digest.split("ref=")[1][:16]) == told[place]["content"]
    tools = [{"type": "function", "function": {"name": "f", "description": "long " * 200}}]
    assert lacon.trim(messages, 100_000, tools=tools).tokens_before > done.tokens_before
    text = "\n".join(f"line {i} of a long text" for i in range(400))
    cut = lacon.trim(text, 200)
    assert lacon.count(cut.text) == cut.tokens_after <= 200 and cut.left_out_tokens > 0
    assert cut.text.startswith("line 0 ") and cut.text.endswith("line 399 of a long text")
    with pytest.raises(lacon.BudgetError, match="to be cut"):
        lacon.trim(text, 3)
    with pytest.raises(TypeError, match="are about messages"):
        lacon.trim(text, 100, pin=[1])


def test_lists_that_are_no_conversations():
    with pytest.raises(lacon.MessageError) as raised:
        lacon.trim([{"role": "user", "content": "a"}, {"role": "tool", "tool_call_id": "x", "content": "b"}], 100)
    assert raised.value.index == 1
    for call in (lacon.compress, lacon.count_messages, lacon.expand):
        with pytest.raises(lacon.MessageError) as raised:
            call([{"role": "user", "content": "a"}, {"no": "role"}])
        assert raised.value.index == 1
        for bad in (None, 3, {"messages": []}, b"bytes"):
            with pytest.raises(TypeError):
                call(bad)


def test_values_that_are_no_json():
    loop = {"role": "user"}
    loop["content"] = [loop]
    cases = [({"x": 1 << 80}, ValueError), ({"x": math.nan}, ValueError), ({"x": math.inf}, ValueError), (loop, ValueError)]
    cases += [({"x": object()}, TypeError), ({1: "x"}, TypeError), ({"x": {1, 2}}, TypeError), ({"x": "\ud800"}, UnicodeEncodeError)]
    for members, error in cases:
        with pytest.raises(error):
            lacon.compress([{"role": "user", "content": "a", **{str(k) if k == "x" else k: v for k, v in members.items()}}])
    for levels in (20, 99, 101, 110, 127, 128, 129, 1000):
        deep = [1]
        for _ in range(levels - 1):
            deep = [deep]
        nested = [{"role": "user", "content": "a", "x": deep}]
        if levels <= 100:
            assert lacon.compress(nested).messages == nested
        else:
            with pytest.raises(ValueError, match="nested"):
                lacon.compress(nested)
    whole = {"role": "user", "content": "a", "n": [2**63, -(2**63), 0.1, 1e300, True, None, "é☕😀", {"b": 1, "a": 2}]}
    assert lacon.compress([whole]).messages == [whole]
    assert list(lacon.compress([whole]).messages[0]["n"][-1]) == ["b", "a"]


def test_a_request_is_counted_by_its_parts():
    hello = lacon.count_messages([{"role": "user", "content": "hello"}])
    assert (hello.total, hello.framing, hello.kind, int(hello)) == (8, 6, "framed", 8)
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    assert lacon.count_messages([], tools=tools).tools > 0
    guess = lacon.count_messages(conversation(), "claude-sonnet-4-5")
    assert guess.kind == "calibrated" and guess.low < guess.total < guess.high and guess.warning
    assert lacon.count_messages(conversation(), "nobody-knows").kind == "heuristic"
    assert lacon.count_messages([], response_schema={"type": "object"}).tools > 0


def test_a_batch_keeps_order_and_failures_in_their_place():
    sources = [ROWS.replace("2026", str(1000 + i)) for i in range(40)]
    sources[7], sources[9], sources[11] = 3, "a\ud800", conversation()
    done = lacon.compress_batch(sources, num_threads=3)
    assert len(done) == 40
    assert isinstance(done[7], TypeError) and isinstance(done[9], UnicodeEncodeError)
    assert done[11].expand() == sources[11]
    for i in set(range(40)) - {7, 9, 11}:
        assert done[i].expand() == sources[i]
    tight = lacon.compress_batch(["short", ROWS], budget=20)
    assert tight[0].text == "short" and isinstance(tight[1], lacon.BudgetError)
    store = lacon.Store()
    stored = lacon.compress_batch([f"{i} {blob(900 + i)}" for i in range(20)], store=store)
    assert [one.expand() for one in stored] == [f"{i} {blob(900 + i)}" for i in range(20)]
    assert lacon.compress_batch([]) == []


def test_words_that_are_none():
    for wrong in ({"policy": "fast"}, {"disable": ["jsn"]}, {"encoding": "o300k"}):
        with pytest.raises(ValueError, match="hint:"):
            lacon.compress("a", **wrong)
    with pytest.raises(lacon.DamagedError) as raised:
        lacon.expand("@json 2\n{")
    assert raised.value.at is not None
    with pytest.raises(TypeError):
        lacon.compress("a", nonsense=1)


def test_awaitables_give_the_same():
    async def main():
        done, trimmed, counted, batch = await asyncio.gather(
            lacon.compress_async(ROWS),
            lacon.trim_async(conversation(), 1500),
            lacon.count_messages_async(conversation(), "gpt-4o"),
            lacon.compress_batch_async([ROWS, 3]),
        )
        assert done.text == lacon.compress(ROWS).text == batch[0].text and isinstance(batch[1], TypeError)
        assert trimmed.messages == lacon.trim(conversation(), 1500).messages
        assert counted.total == lacon.count_messages(conversation()).total
        assert await lacon.expand_async(done.text) == ROWS

    asyncio.run(main())


def test_what_a_file_reader_returned_stays_for_a_later_edit():
    rows = json.dumps([{"id": i, "venue": "XNAS", "value": i * 7} for i in range(60)])
    call = {"id": "c1", "type": "function", "function": {"name": "read_file", "arguments": "{}"}}
    talk = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": rows},
    ]
    assert lacon.compress(talk).messages == talk
    assert lacon.compress(talk, shorten_quotable=True).messages != talk
