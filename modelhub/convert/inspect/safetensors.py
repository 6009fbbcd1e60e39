"""How a safetensors file is laid out: its header, padding, order and alignment, and what of it breaks other readers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelhub.convert.inspect.report import Finding
from modelhub.errors import file_error
from modelhub.formats.handle import open_regular
from modelhub.formats.header import Header, element_bits
from modelhub.text import few, plural

#: Libraries make the header end at a multiple of so many bytes.
_ALIGNMENT = 8
#: Padding is counted up to here: modelhub and others keep room for metadata that is written later.
_MOST_PADDING = 1 << 20
_ANEW = "`modelhub prune FILE NEW.safetensors` writes it anew."


def layout_of(path: Path, header: Header) -> dict[str, Any]:
    """Facts about a file with this header: bytes of the header and its padding, order of the tensors, alignment."""
    return {
        "kind": "safetensors", "header_bytes": header.start, "padding": _padding(path, header.start),
        "order": _order(header), "aligned": not unaligned(header),
    }  # fmt: skip


def _padding(path: Path, start: int) -> int:
    """Spaces at the end of the header."""
    size = min(start - 8, _MOST_PADDING)
    descriptor = open_regular(path)
    try:
        tail = os.pread(descriptor, size, start - size)
    except OSError as error:
        raise file_error(error, path) from error
    finally:
        os.close(descriptor)
    return len(tail) - len(tail.rstrip(b" "))


def _order(header: Header) -> str:
    """How the data is ordered: by name; by dtype, then name, as the safetensors library does it; else its writer's."""
    names, dtypes = header.columns.names, header.columns.dtypes
    if names == sorted(names):
        return "name"
    ranks = {dtype: at for at, dtype in enumerate(dict.fromkeys(dtypes))}
    rows = [(ranks[dtype], name) for name, dtype in zip(names, dtypes, strict=True)]
    return "dtype, name" if rows == sorted(rows) else "writer"


def unaligned(header: Header) -> list[str]:
    """Tensors whose data does not begin at a multiple of its element's width in the file."""
    columns = header.columns
    widths = {dtype: max(1, element_bits(dtype) // 8) for dtype in dict.fromkeys(columns.dtypes)}
    rows = zip(columns.names, columns.dtypes, columns.begins, columns.sizes, strict=True)
    return [name for name, dtype, begin, size in rows if size and (header.start + begin) % widths[dtype]]


def layout_findings(header: Header) -> Iterator[Finding]:
    """What of the layout other programs stumble over."""
    if found := unaligned(header):
        yield Finding(
            "problem", "unaligned",
            f"{plural(len(found), 'tensor')} not aligned to the width of the elements in the file: {few(found)}.",
            f"Programs that map the file into memory fail on it, or copy everything; {_ANEW}",
            tuple(found),
        )  # fmt: skip
    elif header.start % _ALIGNMENT:
        yield Finding(
            "note", "unpadded", f"The header ends at byte {header.start}, which is no multiple of {_ALIGNMENT}.",
            f"Some programs that map files expect that; {_ANEW}",
        )  # fmt: skip
