"""``tiktoken.load``: rank files. Files are read from disk; nothing is downloaded."""

from __future__ import annotations

import base64
import hashlib
import json

__all__ = [
    "check_hash",
    "data_gym_to_mergeable_bpe_ranks",
    "dump_tiktoken_bpe",
    "load_tiktoken_bpe",
    "read_file",
    "read_file_cached",
]


def read_file(blobpath: str) -> bytes:
    """The bytes of a local file. An address raises ValueError: the package downloads nothing."""
    if "://" in str(blobpath):
        raise ValueError(f"{blobpath!r} is an address, and this package downloads nothing\nhint: pass the path of a local file")
    with open(blobpath, "rb") as file:
        return file.read()


def check_hash(data: bytes, expected_hash: str) -> bool:
    """Whether the SHA-256 of the data is this one, in hex."""
    return hashlib.sha256(data).hexdigest() == expected_hash


def read_file_cached(blobpath: str, expected_hash: str | None = None) -> bytes:
    """``read_file``, with its hash checked. Another hash raises ValueError."""
    data = read_file(blobpath)
    if expected_hash is not None and not check_hash(data, expected_hash):
        raise ValueError(f"the SHA-256 of {blobpath!r} is not {expected_hash}\nhint: the file is damaged, or another one")
    return data


def load_tiktoken_bpe(tiktoken_bpe_file: str, expected_hash: str | None = None) -> dict[bytes, int]:
    """Ranks by token from a file with a token in base64 and its rank a line."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(read_file_cached(tiktoken_bpe_file, expected_hash).splitlines(), 1):
        if not line:
            continue
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except ValueError as error:
            raise ValueError(f"{tiktoken_bpe_file}:{number}: {line[:60]!r} is no token in base64 with its rank") from error
    return ranks


def dump_tiktoken_bpe(bpe_ranks: dict[bytes, int], tiktoken_bpe_file: str) -> None:
    """Writes the file that ``load_tiktoken_bpe`` reads."""
    with open(tiktoken_bpe_file, "wb") as file:
        for token, rank in sorted(bpe_ranks.items(), key=lambda item: item[1]):
            file.write(base64.b64encode(token) + b" " + str(rank).encode() + b"\n")


def data_gym_to_mergeable_bpe_ranks(
    vocab_bpe_file: str,
    encoder_json_file: str,
    vocab_bpe_hash: str | None = None,
    encoder_json_hash: str | None = None,
    clobber_one_byte_tokens: bool = False,
) -> dict[bytes, int]:
    """Ranks from GPT-2's two files: merges in order, and the ids that they must agree with."""
    printable = [byte for byte in range(256) if chr(byte).isprintable() and chr(byte) != " "]
    order = printable + [byte for byte in range(256) if byte not in printable]
    byte_of = {chr(byte): byte for byte in printable}
    byte_of |= {chr(256 + place): byte for place, byte in enumerate(order[len(printable) :])}

    def bytes_of(text: str) -> bytes:
        return bytes(byte_of[letter] for letter in text)

    ranks = {bytes([byte]): rank for rank, byte in enumerate(order)}
    merges = read_file_cached(vocab_bpe_file, vocab_bpe_hash).decode().split("\n")[1:]
    for line in merges:
        if line:
            left, right = line.split()
            ranks[bytes_of(left) + bytes_of(right)] = len(ranks)
    encoder = json.loads(read_file_cached(encoder_json_file, encoder_json_hash))
    ids = {bytes_of(token): rank for token, rank in encoder.items() if token not in ("<|endoftext|>", "<|startoftext|>")}
    if clobber_one_byte_tokens:
        ranks |= {token: rank for token, rank in ids.items() if len(token) == 1}
    if ids != ranks:
        raise ValueError(f"the merges of {vocab_bpe_file!r} are not the ids of {encoder_json_file!r}")
    return ranks
