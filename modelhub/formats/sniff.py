"""What a file is by its first bytes, never by its name."""

from __future__ import annotations

from pathlib import Path

from modelhub.errors import file_error


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
    return "unknown"
