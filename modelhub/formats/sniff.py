"""What a file is by its first bytes, never by its name."""

from __future__ import annotations

import re
from pathlib import Path

from modelhub.errors import file_error

#: How pickles of protocol 0 and 1 begin, which have no magic number: torch's own as text, a name that is called or
#: remembered, a dict or list that is remembered. Words of a text that begins with "c" or "(" do not continue so.
_OLD_PICKLE = re.compile(
    rb"L119547037146038801333356L\n\."
    rb"|c[A-Za-z_][\w.]*\n[A-Za-z_]\w*\n"
    rb"(?:q[\0-\x1f]|p\d+\n|\)R|\((?:[dlt][pqR]|[SV][^\n]*\n|X..\0\0|U[\0-\x1f]|c[\w.]+\n))"
    rb"|\([dl](?:p\d+\n|q[\0-\x1f])|[\]}]q\0",
    re.DOTALL,
)


def sniff(path: str | Path) -> str:
    """The format of a file: safetensors, pickle, gguf, or unknown. Reads 265 bytes. Raises FileError."""
    try:
        with Path(path).open("rb", buffering=0) as file:
            front = file.read(265)
    except OSError as error:
        raise file_error(error, path) from error
    return sniff_bytes(front)


def sniff_bytes(front: bytes) -> str:
    """The format of a file that begins with these bytes; 265 of them are enough for every format."""
    if front.startswith(b"GGUF"):
        return "gguf"
    if front[8:9] == b"{" and front[5:8] == b"\0\0\0":
        return "safetensors"
    if front.startswith(b"PK\x03\x04") or front[257:262] == b"ustar":
        return "pickle"
    if front[:1] == b"\x80" and front[1:2] in b"\x02\x03\x04\x05" and len(front) > 2:
        return "pickle"
    return "pickle" if _OLD_PICKLE.match(front) else "unknown"
