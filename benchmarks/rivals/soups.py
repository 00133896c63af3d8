#!/usr/bin/env python3
"""Random texts with tiktoken's answers, for the program `compare` beside this file.

  soups.py ENCODING RANKS_DIR N [SEED] | compare ENCODING

RANKS_DIR holds the rank files (`assets` of the crate tiktoken-rs), so that nothing is downloaded. One third of the N texts
each: tokens of the vocabulary joined at random, random bytes read as UTF-8, and scraps that the splitting patterns tell
apart; one in sixteen is twenty times as long. Before them every scalar value in a text of contexts (with N = 0 nothing
else), special-token literals among them. With `--hostile` in place of N: one megabyte and ten of one letter, of spaces, of
line ends and so on, but for what the reference cannot answer.
"""
import os
import random
import struct
import sys

import tiktoken
import tiktoken.load
import tiktoken_ext.openai_public as public

name, folder = sys.argv[1], sys.argv[2]
hostile = sys.argv[3] == "--hostile"
n = 0 if hostile else int(sys.argv[3])
rng = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 1)


def ranks(path, expected_hash=None):
    return tiktoken.load.load_tiktoken_bpe(os.path.join(folder, path.rsplit("/", 1)[-1]), expected_hash)


public.load_tiktoken_bpe = ranks
encoding = tiktoken.Encoding(**getattr(public, name)())
vocabulary = list(encoding._mergeable_ranks)
SCRAPS = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\r", "\t", "\u00a0", "\u3000", "\u2028", "\u0085", "\x0b", "a", "b", "the",
          " the", "Hello", "HTTP", "aB", "Ab", "x", "Z", "1", "12", "123", "1234", "٣", "½", "²", "'s", "'S", "'ll", "'LL", "'re",
          "'Ve", "'d", "'", "\u2019s", "ſ", "'ſ", "\u212a", "!", "!!", "...", "/", "//", "-", "--", "=", "é", "É", "e\u0301",
          "\u0301", "ß", "ǅ", "ʰ", "中", "中文", "你好", "日本語", "カタカナ", "한국어", "привет", "ПРИВЕТ", "عربي", "ע", "हिन्दी", "ไทย",
          "🙂", "👨\u200d👩\u200d👧", "\ufe0f", "\u200d", "\0", "\x7f", "{", "}", "(", ")", "_", "|", "<|endoftext|>", "<|endofprompt|>",
          "<|fim_prefix|>", "<|", "|>", "\ufeff", "\U0010ffff", "\ue000", "𝒳", "𝟘", "0000000", " \n ", "\n  ", "$1,234.56"]
out = sys.stdout.buffer


def write(text):
    data = text.encode()
    ids = encoding.encode_ordinary(text)
    out.write(struct.pack("<II", len(data), len(ids)) + data + struct.pack(f"<{len(ids)}I", *ids))


def scalars():
    for c in range(0x110000):
        if 0xD800 <= c < 0xE000:
            continue
        c = chr(c)
        write(f"{c} {c}{c}a{c}B{c}b 1{c}2 {c} {c}{c}!{c}\n{c}\n\n{c}'s{c}'S {c}A{c}\t{c}{c}{c}9{c}<|endoftext|>{c}")


def soup(kind, times):
    if kind == 0:
        return b"".join(rng.choices(vocabulary, k=rng.randrange(1, 12 * times))).decode(errors="replace")
    if kind == 1:
        return rng.randbytes(rng.randrange(1, 60 * times)).decode(errors="replace")
    return "".join(rng.choices(SCRAPS, k=rng.randrange(1, 24 * times)))


# Characters that are drawn at random, until the text is long enough.
HOSTILE = [["a"], [" "], ["\n"], ["\n", "\r", "\r\n", " \n"], ["0"], list("0123456789"), ["é"], ["\u0301"], ["\u0301", "e\u0301"],
           ["🙂"], ["🙂", "👩\u200d💻", "🎉", "🇩🇪"], list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"), ["中"],
           list("中文的是不了在人"), list("qzxjetaons"), ["="], ["=", "-"], [" ", "\t"], ["a", "A"], ["中", "A", "\u0301"], ["'s"], ["/", "\n"]]


def hostile_texts():
    for parts in HOSTILE:
        for size in (1_000_000, 10_000_000):
            text = "".join(rng.choices(parts, k=size // max(len(part.encode()) for part in parts)))
            for text in (text, "x" + text, text + "x"):
                try:
                    write(text)
                except BaseException as error:  # its panics are no Exception
                    print(f"{size} of {parts}: {type(error).__name__}", file=sys.stderr)
                if size > 1_000_000:
                    break


if hostile:
    hostile_texts()
    sys.exit()
scalars()
for i in range(n):
    write(soup(i % 3, 20 if i % 16 == 0 else 1))
