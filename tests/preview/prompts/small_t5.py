"""A small unigram model, its charsmap and its `spiece.model`, written byte by byte as SentencePiece describes them."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping

Pieces = list[tuple[str, float]]

#: Characters that are read as others, as in NFKC: among them what is left out, and what becomes several.
READ_AS = {"ﬁ": "fi", "①": "1", "Ａ": "A", "ａ": "a", "\u3000": " ", "\u200b": "", "\t": " ", "㌔": "キロ", "…": "..."}

WORDS = ["red", "circle", "blue", "sky", "a", "on", "the", "cat", "dog", "ing", "walk", "ed", "s", "fi", "1", ".", ",", "キロ",
         "é", "(", ")", "A", "..", "...", "ci", "rcle", "r", "e", "d", "b", "l", "u", "c", "i", "k", "y", "t", "h", "n", "g"]  # fmt: skip


def pieces() -> Pieces:
    """A vocabulary: T5's marks, the space, and words with it and without."""
    found = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.5)]
    for place, word in enumerate(WORDS):
        found += [(f"▁{word}", -3.0 - place / 7), (word, -3.5 - place / 9)]
    return found


def charsmap(table: Mapping[str, str] = READ_AS) -> bytes:
    """A charsmap: the count of bytes, a double array of the keys' bytes, and the texts they are read as."""
    texts, places = b"", {}
    for value in table.values():
        places[value] = len(texts)
        texts += value.encode() + b"\0"
    units = _double_array({key.encode(): places[value] for key, value in table.items()})
    return struct.pack("<I", 4 * len(units)) + struct.pack(f"<{len(units)}I", *units) + texts


def _double_array(values: Mapping[bytes, int]) -> list[int]:
    """Each node has a block of 256 units for its children; a unit has its label, the way to its block, and an end."""
    nodes: dict[bytes, int] = {b"": 0}
    for key in values:
        for length in range(1, len(key) + 1):
            nodes.setdefault(key[:length], len(nodes))
    units = [0] * (256 * (len(nodes) + 1))
    places = {b"": 0}
    for prefix, number in nodes.items():
        block = 256 * (number + 1)
        place = places[prefix]
        for child in nodes:
            if len(child) == len(prefix) + 1 and child.startswith(prefix):
                places[child] = block ^ child[-1]
        base = block ^ place
        units[place] = _unit(prefix[-1] if prefix else 0, base, ends=prefix in values)
        if prefix in values:
            units[block] = values[prefix] | 1 << 31
    return units


def _unit(label: int, offset: int, *, ends: bool) -> int:
    low, shift = (offset, 0) if offset < 1 << 21 else (offset >> 8, 1)
    return label | ends << 8 | shift << 9 | low << 10


# -- files -------------------------------------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    """A number, seven bits a byte."""
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def block(number: int, data: bytes) -> bytes:
    """A field of bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def spiece(vocabulary: Pieces | None = None, table: bytes | None = None, *, kind: int = 1, unknown: int = 2) -> bytes:
    """A `spiece.model`, with fields that nobody needs among those that matter."""
    kinds = {"<pad>": 3, "</s>": 3, "<unk>": 2}
    out = b""
    for piece, score in pieces() if vocabulary is None else vocabulary:
        told = block(1, piece.encode()) + varint(2 << 3 | 5) + struct.pack("<f", score)
        out += block(1, told + varint(3 << 3) + varint(kinds.get(piece, 1)))
    trainer = block(1, b"corpus.txt") + varint(3 << 3) + varint(kind) + varint(40 << 3) + varint(unknown)
    trainer += varint(10 << 3 | 5) + struct.pack("<f", 0.9995) + varint(4 << 3 | 1) + bytes(8)
    normaliser = block(1, b"nmt_nfkc") + block(2, charsmap() if table is None else table) + varint(3 << 3) + varint(1)
    return out + block(2, trainer) + block(3, normaliser)


def tokenizer_json(vocabulary: Pieces | None = None, table: bytes | None = None, *, nested: bool = False) -> bytes:
    """A `tokenizer.json` of Hugging Face."""
    own = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table or charsmap()).decode()}
    several = {"type": "Sequence", "normalizers": [{"type": "Strip"}, own]}
    model = {"type": "Unigram", "unk_id": 2, "vocab": pieces() if vocabulary is None else vocabulary}
    return json.dumps({"version": "1.0", "normalizer": several if nested else own, "model": model}).encode()
