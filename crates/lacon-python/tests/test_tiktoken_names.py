"""`lacon.tiktoken` has the modules and names of tiktoken's package; tiktoken itself is not needed."""

import importlib
import pickle

import pytest

import lacon
import lacon.tiktoken as tiktoken

SOME = lacon.get_encoding("r50k_base")


def test_modules_and_their_names():
    for module, names in {
        "core": ["Encoding"],
        "model": ["encoding_for_model", "encoding_name_for_model"],
        "registry": ["get_encoding", "list_encoding_names"],
        "load": ["load_tiktoken_bpe", "dump_tiktoken_bpe", "data_gym_to_mergeable_bpe_ranks", "read_file", "read_file_cached"],
    }.items():
        there = importlib.import_module(f"lacon.tiktoken.{module}")
        assert set(names) <= set(there.__all__) and all(hasattr(there, name) for name in there.__all__)
    assert tiktoken.Encoding is lacon.Encoding


def test_gpt2_has_its_own_name():
    gpt2 = tiktoken.get_encoding("gpt2")
    assert gpt2.name == "gpt2" and gpt2 is tiktoken.encoding_for_model("gpt2") and "gpt2" in tiktoken.list_encoding_names()
    assert gpt2.encode("hello world") == [31373, 995] and gpt2.n_vocab == 50257
    assert pickle.loads(pickle.dumps(gpt2)).name == "gpt2" and tiktoken.encoding_name_for_model("gpt-2") == "gpt2"
    with pytest.raises(ValueError, match="expected a string"):
        tiktoken.get_encoding(None)


def test_all_tokens_by_their_bytes():
    values = SOME.token_byte_values()
    assert len(values) == 50256 and SOME.decode_single_token_bytes(1234) == values[1234]
    assert SOME._mergeable_ranks[b" the"] == SOME.encode_single_token(" the") and "\\p{L}" in SOME._pat_str
    assert SOME._special_tokens == {"<|endoftext|>": 50256}


def test_an_encoding_of_ones_own(tmp_path):
    made = tiktoken.Encoding(
        name="mine",
        pat_str=SOME._pat_str,
        mergeable_ranks=SOME._mergeable_ranks,
        special_tokens={"<|endoftext|>": 50256, "<|mine|>": 100_000},
    )
    text = "Many things in few words: naïve ☕ 1,234.56\n\n"
    assert made.encode(text) == SOME.encode(text) and made.decode(made.encode(text)) == text and made.name == "mine"
    assert made.encode("<|mine|>", allowed_special="all") == [100_000] and made.n_vocab == 100_001
    again = pickle.loads(pickle.dumps(made))
    assert again.name == "mine" and again.encode("<|mine|>", allowed_special="all") == [100_000] and repr(made) == "<Encoding 'mine'>"
    file = str(tmp_path / "mine.tiktoken")
    tiktoken.load.dump_tiktoken_bpe(SOME._mergeable_ranks, file)
    assert tiktoken.load.load_tiktoken_bpe(file) == SOME._mergeable_ranks
    with pytest.raises(ValueError, match="SHA-256"):
        tiktoken.load.load_tiktoken_bpe(file, "0" * 64)
    with pytest.raises(ValueError, match="downloads nothing"):
        tiktoken.load.load_tiktoken_bpe("https://example.com/x.tiktoken")
    whole = {"pat_str": SOME._pat_str, "mergeable_ranks": {b"a": 0}, "special_tokens": {}}
    for wrong, error, said in (
        ({"pat_str": "[a-z]+"}, ValueError, "no automaton"),
        ({"mergeable_ranks": {"a": 0}}, TypeError, "bytes are needed"),
        ({"mergeable_ranks": {b"a": "x"}}, TypeError, "no whole number"),
        ({"explicit_n_vocab": 9}, ValueError, "explicit_n_vocab is 9"),
    ):
        with pytest.raises(error, match=said):
            tiktoken.Encoding("x", **{**whole, **wrong})


def test_arrays_of_numpy():
    numpy = pytest.importorskip("numpy")
    assert SOME.encode_to_numpy("hello world").tolist() == [31373, 995]
    assert SOME.decode(SOME.encode_to_numpy("hello world")) == "hello world"
    assert SOME.encode_to_numpy("a").dtype == numpy.uint32
