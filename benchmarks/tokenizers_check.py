"""Compares `lacon count --tokenizer` with the package `tokenizers` on random texts, for five small vocabularies.

    pip install tokenizers sentencepiece protobuf
    python benchmarks/tokenizers_check.py [--lacon PATH] [--texts 20000] [--write]

`--write` trains the vocabularies anew and writes them with vectors to testdata/tokenizers. The texts are made of letters,
spaces, marks, bytes, tokens of the vocabularies and lines of docs/.
"""

import argparse
import json
import random
import subprocess
import tempfile
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "testdata/tokenizers"
NAMES = ["gemma", "llama2", "mistral", "t5", "xlm"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
FOREIGN = ["Die Größe des Hauses ändert sich.", "L'été à Paris est déjà fini.", "日本語のテキスト 文字 東京", "Привет мир, как дела", "ﬁne ﬂow ½ Ｈｅｌｌｏ"]
# Rules of a table like those that T5 and XLM-R carry, which have 240 kB.
RULES = {
    "ﬁ": "fi", "ﬂ": "fl", "½": "1/2", "Ｈ": "H", "ｅ": "e", "ｌ": "l", "ｏ": "o", "\u00a0": " ", "\u3000": " ",
    "e\u0301": "\u00e9", "a\u0308": "\u00e4", "\u200b": "", "…": "...", "㎞": "km", "\t": " ",
}  # fmt: skip
ATOMS = [
    "a", "b", "e", " ", "  ", "   ", "\n", "\n\n", "\t", "▁", "▁▁", "the", "tool", "lacon", "tokens", "Größe", "\u00e9", "e\u0301",
    "a\u0308", "日本", "文", "ﬁ", "½", "Ｈ", "\u00a0", "\u200b", "…", "㎞", "🙂", "👩\u200d👩\u200d👧", "ก็", "\r\n", "<s>", "</s>", "<unk>",
    "<table>", "<extra_id_0>", "<x>", "<0x0A>", "0", "12", "3.5", "%", "`", ",", ".", "-", '"', "{", "}", "ё", "й", "\u0301", "\x00",
    "İ", "ß",
]  # fmt: skip


def lines():
    files = sorted((ROOT / "docs").glob("*.md"))[:12]
    return [line for file in files for line in file.read_text().split("\n")] + FOREIGN * 5


def save(tokenizer, name):
    text = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
    (FOLDER / f"{name}.json").write_text(text + "\n")


def merges(name, normalizer, words, specials, added, *, fallback=True, size=700, whole=False):
    learner = Tokenizer(models.BPE(unk_token="<unk>"))
    if normalizer:
        learner.normalizer = normalizer
    # Words are bounded while it learns: else a merge would span a line.
    learner.pre_tokenizer = pre_tokenizers.Metaspace(split=True, prepend_scheme="never")
    learner.train_from_iterator(
        lines(),
        trainers.BpeTrainer(vocab_size=size, special_tokens=specials + (BYTES if fallback else []), show_progress=False, limit_alphabet=120),
    )
    learned = json.loads(learner.to_str())
    own = Tokenizer(models.BPE())
    if normalizer:
        own.normalizer = normalizer
    if words:
        own.pre_tokenizer = words
    made = json.loads(own.to_str())
    made["model"] = learned["model"] | {"byte_fallback": fallback, "fuse_unk": fallback, "unk_token": "<unk>", "ignore_merges": whole}
    made["added_tokens"] = [token for token in learned["added_tokens"] if not token["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(made))
    tokenizer.add_tokens(added)
    save(tokenizer, name)


def pieces():
    """Pieces and table of replacements, made by SentencePiece."""
    import io

    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    spell = lambda text: " ".join(f"{ord(c):X}" for c in text)  # noqa: E731
    model = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.write("".join(f"{spell(old)}\t{spell(new)}\n" for old, new in sorted(RULES.items())))
        rules.flush()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines()), model_writer=model, vocab_size=500, model_type="unigram", hard_vocab_limit=False,
            normalization_rule_tsv=rules.name, character_coverage=0.995, minloglevel=2,
        )  # fmt: skip
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    return [(piece.piece, piece.score) for piece in proto.pieces], proto.normalizer_spec.precompiled_charsmap


def unigram(name, vocabulary, normalizer, words, fallback, added):
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=fallback))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, words
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.add_tokens(added)
    save(tokenizer, name)


def write():
    FOLDER.mkdir(exist_ok=True)
    plain = lambda content: AddedToken(content, normalized=False)  # noqa: E731
    mark = normalizers.Replace(" ", "▁")
    merges("gemma", mark, pre_tokenizers.Split(" ", "merged_with_previous"), ["<pad>", "<eos>", "<bos>", "<unk>"],
           [plain("\n\n"), plain("▁▁"), plain("<table>")])  # fmt: skip
    merges("llama2", normalizers.Sequence([normalizers.Prepend("▁"), mark]), None, ["<unk>", "<s>", "</s>"],
           [AddedToken("tool", normalized=True)])  # fmt: skip
    merges("mistral", None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False), ["<unk>", "<s>", "</s>"], [plain("<x>")],
           fallback=False, size=300, whole=True)  # fmt: skip
    found, table = pieces()
    unigram("t5", found, normalizers.Precompiled(table),
            pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]), False, [plain("<extra_id_0>")])  # fmt: skip
    # As newer files write it: bytes for what is unknown, and runs of spaces.
    unigram("xlm", found[:3] + [(byte, 0.0) for byte in BYTES] + found[3:],
            normalizers.Sequence([normalizers.Precompiled(table), normalizers.Strip(left=False, right=True),
                                  normalizers.Replace(Regex(" {2,}"), "▁")]),
            pre_tokenizers.Metaspace(prepend_scheme="always", split=True), True, [])  # fmt: skip
    known = load()
    edge = ["", " ", "▁", "\n", " a", "a ", "  a  b  ", "</s>a", "a</s>", "<s> x", "x<0x0A>y", "İstanbul"]
    with (FOLDER / "vectors.jsonl").open("w") as file:
        for text in edge + texts(70, 7):
            row = {"text": text} | {name: ids(known[name], text) for name in NAMES}
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


def load():
    known = {name: Tokenizer.from_file(str(FOLDER / f"{name}.json")) for name in NAMES}
    for tokenizer in known.values():
        # Special tokens in a text are text.
        tokenizer.encode_special_tokens = True
    return known


def ids(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def texts(count, seed):
    draw, all_lines = random.Random(seed), lines()
    part = lambda: draw.choice(ATOMS) if draw.random() < 0.7 else draw.choice(all_lines)[: draw.randrange(1, 24)]  # noqa: E731
    return ["".join(part() for _ in range(draw.randrange(14))) for _ in range(count)]


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--lacon", default="lacon")
    parse.add_argument("--texts", type=int, default=20000)
    parse.add_argument("--write", action="store_true")
    args = parse.parse_args()
    if args.write:
        write()
    # A file of nothing, and one with a byte of zero, are no texts to the command.
    given = [text for text in texts(args.texts, 11) if text and "\x00" not in text]
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for n, text in enumerate(given):
            Path(folder, f"{n:06}.txt").write_bytes(text.encode())
        for name, tokenizer in load().items():
            command = [args.lacon, "count", "--tokenizer", str(FOLDER / f"{name}.json"), "--json", folder]
            found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["files"]
            counts = {Path(file["path"]).stem: file["tokens"][0] for file in found}
            wrong = [text for n, text in enumerate(given) if counts.get(f"{n:06}") != len(ids(tokenizer, text))]
            print(f"{name:<8} {len(given) - len(wrong)} of {len(given)} texts have the same count", *map(repr, wrong[:3]))
            failed = failed or bool(wrong)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
