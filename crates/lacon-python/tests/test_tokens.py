"""Counting and encoding as a user calls them."""

import asyncio
import json
import pathlib
import pickle
import threading

import pytest

import lacon

TEXT = "Many things in few words: naïve ☕ 1,234.56\n\n"


def test_counts_encodes_and_decodes():
    assert lacon.count("many things in few words") == 5
    ids = lacon.encode(TEXT)
    assert len(ids) == lacon.count(TEXT)
    assert lacon.decode(ids) == TEXT
    assert lacon.decode_bytes(ids) == TEXT.encode()
    assert lacon.count("") == 0 and lacon.encode("") == [] and lacon.decode([]) == ""


@pytest.mark.parametrize("name", lacon.list_encoding_names())
def test_every_encoding_comes_back(name):
    encoding = lacon.get_encoding(name)
    assert encoding.name == name
    ids = encoding.encode(TEXT)
    assert ids == lacon.encode(TEXT, encoding=name) == encoding.encode_ordinary(TEXT)
    assert encoding.decode(ids) == TEXT and encoding.count(TEXT) == len(ids)
    assert max(ids) < encoding.n_vocab == encoding.max_token_value + 1
    assert encoding.eot_token == encoding.encode_single_token("<|endoftext|>")
    assert encoding.is_special_token(encoding.eot_token)
    assert not encoding.is_special_token(ids[0])


def test_models():
    assert lacon.encoding_name_for_model("gpt-4o") == "o200k_base"
    assert lacon.encoding_for_model("gpt-4") is lacon.get_encoding("cl100k_base")
    assert lacon.count("hello world", model="gpt-4") == 2
    for model in ("claude-sonnet-4-5", "llama-3", "nobody-knows"):
        for call in (lambda m: lacon.count("a", model=m), lacon.encoding_for_model):
            with pytest.raises(KeyError) as raised:
                call(model)
            assert isinstance(raised.value, lacon.ModelError) and raised.value.model == model
            assert "hint: lacon.estimate" in str(raised.value)
    with pytest.raises(ValueError, match="did you mean"):
        lacon.get_encoding("o200k_bas")
    with pytest.raises(TypeError, match="both encoding and model"):
        lacon.count("a", encoding="o200k_base", model="gpt-4o")


def test_an_estimate_says_what_it_is_worth():
    exact = lacon.estimate("hello world", "gpt-4o")
    assert (exact.tokens, exact.kind, exact.low, exact.warning) == (2, "exact", None, None)
    guess = lacon.estimate("hello world " * 50, "claude-sonnet-4-5")
    assert guess.kind == "calibrated" and guess.low < guess.tokens < guess.high and guess.warning
    assert lacon.estimate("hello", "nobody-knows").kind == "heuristic"
    assert repr(guess).startswith("Estimate(tokens=")


def test_special_tokens_as_in_tiktoken():
    encoding = lacon.get_encoding("cl100k_base")
    text = "é <|endoftext|> b"
    with pytest.raises(ValueError, match="disallowed special token .* at character 2"):
        encoding.encode(text)
    assert encoding.eot_token in encoding.encode(text, allowed_special={"<|endoftext|>"})
    assert encoding.eot_token in encoding.encode(text, allowed_special="all")
    plain = encoding.encode(text, disallowed_special=())
    assert plain == encoding.encode_ordinary(text) and encoding.eot_token not in plain
    assert lacon.count(text, encoding="cl100k_base") == len(plain) == encoding.count(text)
    with pytest.raises(ValueError):
        encoding.encode("<|fim_prefix|>", allowed_special={"<|endoftext|>"})
    with pytest.raises(ValueError, match="'?<?b"):
        encoding.encode("abc", disallowed_special={"b"})
    with pytest.raises(ValueError):
        encoding.encode_batch(["fine", text])
    assert encoding.encode_batch(["fine", text], disallowed_special=()) == [encoding.encode("fine"), plain]
    assert "<|endoftext|>" in encoding.special_tokens_set
    with pytest.raises(ValueError, match="all"):
        encoding.encode("a", allowed_special="some")


def test_cutting():
    text = "one two three four five six seven eight nine ten"
    assert lacon.truncate(text, 3) == "one two three"
    assert lacon.truncate(text, 2, "front") == " nine ten"
    assert lacon.truncate(text, 2, side="middle") == "one ten"
    assert "".join(lacon.split(text, 4)) == text
    assert all(lacon.count(part) <= 4 for part in lacon.split(text, 4))
    assert lacon.exceeds(text, 9) and not lacon.exceeds(text, 10)
    encoding = lacon.get_encoding("o200k_base")
    assert encoding.truncate(text, 3) == "one two three" and encoding.exceeds(text, 9)
    assert encoding.split(text, 4) == lacon.split(text, 4)
    with pytest.raises(ValueError, match="unknown side"):
        lacon.truncate(text, 3, "left")


def test_batches_keep_their_order():
    texts = [f"text {i} " * (i % 50) for i in range(3000)]
    counts = [lacon.count(text) for text in texts]
    assert lacon.count_batch(texts) == counts == lacon.count_batch(texts, num_threads=1)
    assert lacon.get_encoding("o200k_base").count_batch(texts, num_threads=3) == counts
    assert [len(ids) for ids in lacon.encode_batch(texts)] == counts
    encoding = lacon.get_encoding("o200k_base")
    assert encoding.decode_batch(encoding.encode_batch(texts)) == texts
    assert encoding.encode_ordinary_batch(texts) == encoding.encode_batch(texts)
    assert encoding.decode_bytes_batch(encoding.encode_batch(["é"])) == ["é".encode()]
    assert lacon.count_batch([]) == []
    with pytest.raises(ValueError, match="num_threads is 0"):
        lacon.count_batch(texts, num_threads=0)


def test_decoding_of_what_is_no_text():
    encoding = lacon.get_encoding("o200k_base")
    half = encoding.encode("☕🙂")[:1]
    assert encoding.decode_bytes(half) == "☕🙂".encode()[: len(encoding.decode_bytes(half))]
    cut = lacon.encode("𝒳")[:-1]
    assert lacon.decode_bytes(cut) == "𝒳".encode()[: len(lacon.decode_bytes(cut))]
    with pytest.raises(UnicodeDecodeError):
        lacon.decode(cut)
    assert "\ufffd" in lacon.decode(cut, errors="replace") and "\ufffd" in encoding.decode(cut)
    for call in (lacon.decode, lacon.decode_bytes, encoding.decode, encoding.decode_single_token_bytes):
        with pytest.raises(KeyError, match="300000"):
            call(300_000 if call == encoding.decode_single_token_bytes else [300_000])
    for bad in ([-1], [1 << 32]):
        with pytest.raises(OverflowError):
            lacon.decode(bad)
    text, offsets = encoding.decode_with_offsets(encoding.encode("hello world ☕"))
    assert text == "hello world ☕" and offsets[:3] == [0, 5, 11]
    assert b"".join(encoding.decode_tokens_bytes(encoding.encode(TEXT))) == TEXT.encode()
    with pytest.raises(KeyError):
        encoding.encode_single_token("no single token at all")
    assert encoding.encode_single_token(b" the") == encoding.encode(" the")[0]


def test_lone_surrogates_are_refused_or_replaced_as_tiktoken_does():
    for call in (lacon.count, lacon.encode, lambda text: lacon.split(text, 3), lambda text: lacon.count_batch([text])):
        with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
            call("a\ud800b")
    encoding = lacon.get_encoding("o200k_base")
    assert encoding.encode("a\ud800b") == [64, 3251, 65]
    assert encoding.encode("\ud83d\ude00") == encoding.encode("😀")
    assert encoding.count("a\ud800b") == 3 and encoding.encode_batch(["a\ud800b"]) == [[64, 3251, 65]]


@pytest.mark.parametrize("bad", [None, b"bytes", 3, 1.5, ["list"]])
def test_wrong_types_are_type_errors(bad):
    encoding = lacon.get_encoding("o200k_base")
    for call in (lacon.count, lacon.encode, encoding.encode, encoding.encode_ordinary, encoding.count):
        with pytest.raises(TypeError):
            call(bad)


def test_numbers_that_are_none():
    for call in (lacon.truncate, lacon.split, lacon.exceeds):
        with pytest.raises(TypeError):
            call("a", float("nan"))
        with pytest.raises(OverflowError):
            call("a", -1)
    with pytest.raises(TypeError):
        lacon.count_batch("a text is no list of texts")


def test_hostile_texts():
    for text in (" " * 1_100_000 + "a", "a" * 1_000_000, "^" * 300_000, "\n" * 300_000):
        assert lacon.count(text) == len(lacon.encode(text))


def test_an_encoding_pickles_by_name():
    encoding = lacon.get_encoding("o200k_base")
    assert pickle.loads(pickle.dumps(encoding)) is encoding
    assert repr(encoding) == "<Encoding 'o200k_base'>"


def test_threads_share_an_encoding():
    found = []
    encoding = lacon.get_encoding("o200k_base")
    threads = [threading.Thread(target=lambda: found.append(encoding.count(TEXT * 2000))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1


def test_awaitables_give_the_same():
    text = TEXT * 3000

    async def main():
        assert await lacon.count_async("short") == 1
        counted, ids, batch = await asyncio.gather(
            lacon.count_async(text), lacon.encode_async(text), lacon.count_batch_async([text, "a"])
        )
        assert counted == len(ids) == batch[0] == lacon.count(text)
        assert await lacon.encode_async("short") == lacon.encode("short")
        for call in (lacon.count_async, lacon.encode_async):
            with pytest.raises(TypeError):
                await call(3)

    asyncio.run(main())


def test_a_cancelled_count_ends():
    async def main():
        task = asyncio.create_task(lacon.count_async("word " * 20_000_000))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    # Leaving waits for the executor's threads: without the cancellation it would count all of it.
    asyncio.run(main())


def test_tiktokens_names():
    import lacon.tiktoken as tiktoken

    assert tiktoken.encoding_for_model("gpt-4o").encode("hello") == lacon.encode("hello")
    assert set(tiktoken.__all__) <= set(dir(tiktoken))


def test_a_models_own_file_counts_as_tokenizers_does():
    folder = pathlib.Path(__file__).resolve().parents[3] / "testdata/tokenizers"
    rows = [json.loads(line) for line in (folder / "vectors.jsonl").read_text().splitlines()]
    for name in ("gemma", "llama2", "mistral", "t5", "xlm"):
        own = lacon.Tokenizer.from_file(folder / f"{name}.json")
        assert own.kind == "pieces"
        assert [own.encode(row["text"]) for row in rows] == [row[name] for row in rows]
        assert own.count_batch(row["text"] for row in rows) == [own.count(row["text"]) for row in rows]
    with pytest.raises(FileNotFoundError):
        lacon.Tokenizer.from_file("none.json")
    with pytest.raises(ValueError, match="not JSON"):
        lacon.Tokenizer.from_file(__file__)


def test_a_vocabulary_of_bytes_decodes_and_one_of_pieces_says_why_not(tmp_path):
    letters = "".join(chr(n) for n in (*range(33, 127), *range(161, 173), *range(174, 256)))
    others = [n for n in range(256) if chr(n) not in letters]
    spelled = {**{chr(n): n for n in map(ord, letters)}, **{chr(256 + at): n for at, n in enumerate(others)}}
    made = {
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
        "model": {"type": "BPE", "vocab": spelled, "merges": []},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(made))
    own = lacon.Tokenizer.from_file(tmp_path / "tokenizer.json")
    text = "naïve ☕"
    assert (own.kind, own.count(text), own.decode(own.encode(text))) == ("bytes", len(text.encode()), text)
    with pytest.raises(lacon.UnknownTokenError):
        own.decode([256])
    folder = pathlib.Path(__file__).resolve().parents[3] / "testdata/tokenizers"
    with pytest.raises(ValueError, match="keep the text"):
        lacon.Tokenizer.from_file(folder / "llama2.json").decode([1])


def test_a_model_is_counted_with_the_file_that_its_row_names(tmp_path):
    folder = pathlib.Path(__file__).resolve().parents[3] / "testdata/tokenizers"
    (tmp_path / "gemma.json").write_bytes((folder / "gemma.json").read_bytes())
    (tmp_path / "models").write_text("py-gemma = gemma.json\n[py-other]\ncontext = 1000\n")
    assert lacon.add_models(tmp_path / "models") == 2
    text = "the cat sat on the mat " * 50
    own = lacon.Tokenizer.from_file(tmp_path / "gemma.json")
    assert lacon.count(text, model="google/py-gemma-4b") == own.count(text)
    assert lacon.estimate(text, "py-gemma").kind == "exact"
    assert lacon.count(lacon.truncate(text, 40, model="py-gemma"), model="py-gemma") <= 40
    assert "".join(lacon.split(text, 40, model="py-gemma")) == text
    message = [{"role": "user", "content": text}]
    counted = lacon.count_messages(message, "py-gemma")
    assert counted.kind == "framed" and counted.total > own.count(text)
    rows = json.dumps([{"id": n, "city": "Lund", "rain": n * 7 % 31} for n in range(40)], indent=1)
    short = lacon.compress(rows, model="py-gemma")
    assert (short.tokens_before, short.tokens_after) == (own.count(rows), own.count(short.text))
    with pytest.raises(ValueError, match="do not give it back"):
        lacon.decode([1], model="py-gemma")
    with pytest.raises(FileNotFoundError):
        lacon.add_models(tmp_path / "none")
    (tmp_path / "bad").write_text("a = none.json\n")
    with pytest.raises(FileNotFoundError):
        lacon.add_models(tmp_path / "bad")
    (tmp_path / "bad").write_text("what")
    with pytest.raises(ValueError, match="line 1"):
        lacon.add_models(tmp_path / "bad")
