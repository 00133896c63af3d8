#!/usr/bin/env python3
"""Rivals from PyPI behind the line protocol of `lacon bench tokens --rivals`.

  benchmarks/rivals/prepare.sh FOLDER
  lacon bench tokens --rivals FOLDER/pypi

One thread: RAYON_NUM_THREADS is set to 1.
"""
import os
import sys
import time

os.environ.setdefault("RAYON_NUM_THREADS", "1")
PATH = os.environ["TOKENIZER_JSON"]


def gigatoken():
    import gigatoken as module
    tokenizer = module.Tokenizer(PATH)
    return lambda text: len(tokenizer.encode(text))


def fastokens():
    from fastokens._native import Tokenizer
    tokenizer = Tokenizer.from_file(PATH)
    return lambda text: len(tokenizer.encode(text))


def snaptokens():
    from snaptokens import Tokenizer
    tokenizer = Tokenizer.from_file(PATH)
    return lambda text: len(tokenizer.encode(text))


contenders = {}
for make in (gigatoken, fastokens, snaptokens):
    try:
        contenders[make.__name__ + " (PyPI)"] = make()
    except Exception as error:
        print(f"{make.__name__} is left out: {error}", file=sys.stderr)
print("\t".join(contenders), flush=True)
texts = {}
for line in sys.stdin:
    name, path = line.rstrip("\n").split("\t")
    if path not in texts:
        texts[path] = open(path, encoding="utf-8", newline="").read()
    began = time.perf_counter()
    tokens = contenders[name](texts[path])
    print(f"{tokens}\t{time.perf_counter() - began}", flush=True)
