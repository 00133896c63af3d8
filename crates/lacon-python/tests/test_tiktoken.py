"""Equal to tiktoken, where it is installed and finds its rank files without a network (TIKTOKEN_CACHE_DIR)."""

import random

import pytest

import lacon

tiktoken = pytest.importorskip("tiktoken")

SCRAPS = [" ", "  ", "\n", "\n\n", "\r\n", "\t", "a", "the", " the", "Hello", "HTTP", "aB", "1", "1234", "'s", "'LL", "!", "...", "é",
          "e\u0301", "中文", "日本語", "привет", "عربي", "🙂", "👨\u200d👩\u200d👧", "\u00a0", "\u3000", "$1,234.56", "ǅ", "\0"]


def theirs(name, monkeypatch):
    """Their encoding; skips where its ranks would have to be downloaded."""
    monkeypatch.setattr("socket.socket.connect", lambda *_: (_ for _ in ()).throw(OSError("no network in tests")))
    try:
        return tiktoken.get_encoding(name)
    except Exception as error:
        pytest.skip(f"tiktoken has no ranks of {name} on this machine: {type(error).__name__}")


@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base", "p50k_base", "r50k_base"])
def test_ids_are_tiktokens(name, monkeypatch):
    their, our = theirs(name, monkeypatch), lacon.get_encoding(name)
    chance = random.Random(7)
    texts = ["".join(chance.choices(SCRAPS, k=chance.randrange(1, 60))) for _ in range(3000)]
    assert our.encode_ordinary_batch(texts) == their.encode_ordinary_batch(texts)
    assert our.n_vocab == their.n_vocab and our.special_tokens_set == their.special_tokens_set
    assert our.eot_token == their.eot_token
    text = "é <|endoftext|> a\ud800b 😀"
    for how in ({"allowed_special": "all"}, {"disallowed_special": ()}, {"allowed_special": {"<|endoftext|>"}}):
        assert our.encode(text, **how) == their.encode(text, **how)
    for how in ({}, {"allowed_special": "all", "disallowed_special": {"é"}}):
        with pytest.raises(ValueError):
            their.encode(text, **how)
        with pytest.raises(ValueError):
            our.encode(text, **how)
    ids = our.encode("hello world ☕ naïve")
    assert our.decode_with_offsets(ids) == their.decode_with_offsets(ids)
    assert our.decode_tokens_bytes(ids) == their.decode_tokens_bytes(ids)
    assert our.encode_single_token(" the") == their.encode_single_token(" the")
    assert our.decode(ids[:1]) == their.decode(ids[:1])


def test_models_have_tiktokens_encodings():
    for model in ("gpt-4o", "gpt-4", "gpt-3.5-turbo", "gpt-5", "o1", "o3-mini", "text-embedding-3-small", "text-davinci-003", "davinci"):
        assert lacon.encoding_name_for_model(model) == tiktoken.encoding_name_for_model(model)
