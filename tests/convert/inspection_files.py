"""Files to inspect: headers of released models over data that takes no disk, GGUF files, pickles that would run code."""

from __future__ import annotations

import json
import lzma
import os
import pickle
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LAYOUTS = Path(__file__).parents[1] / "data" / "layouts"
WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U16": 2, "F8_E4M3": 1, "BOOL": 1}
#: Everything that a terminal must not get: escape codes, a title, a bidi override, line breaks, markup.
HOSTILE = "a\x1b[2J\x1b]0;owned\x07\u202eb\r\n\x9b31m[red]c[/red]"
Entries = Mapping[str, tuple[str, Sequence[int]]]


def layout(name: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name to dtype and shape of a released model."""
    table = json.loads(lzma.decompress((LAYOUTS / f"{name}.json.xz").read_bytes()))
    return {tensor: (dtype, tuple(shape)) for tensor, (dtype, *shape) in table.items()}


def sparse(path: Path, entries: Entries, metadata: Mapping[str, str] | None = None, *, pad: int = 8) -> Path:
    """A safetensors file of these tensors in this order, as the format's page describes it; its data is a hole."""
    table: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, (dtype, shape) in entries.items():
        begin, size = end, WIDTHS[dtype]
        for length in shape:
            size *= length
        end += size
        table[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % pad)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return path


def _gguf_text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def gguf(path: Path, tensors: Sequence[tuple[str, int, Sequence[int], int]], texts: Mapping[str, str]) -> Path:
    """A GGUF 3 file of (name, number of the type, shape, bytes) and texts, as its page describes it."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(texts))
    head += b"".join(_gguf_text(key) + struct.pack("<I", 8) + _gguf_text(text) for key, text in texts.items())
    data = b""
    for name, kind, shape, size in tensors:
        head += _gguf_text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        head += struct.pack("<IQ", kind, len(data))
        data += bytes(size + -size % 32)
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


class Runs:
    """Has the shell run a command, in programs that load it."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self._command,)


def evil_pickle(path: Path, command: str, protocol: int = 2) -> Path:
    """A bare pickle that would run `command`."""
    path.write_bytes(pickle.dumps(Runs(command), protocol))
    return path
