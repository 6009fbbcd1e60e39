"""Networks: every tensor that a released model has, by architecture, from `catalog/networks/*.tsv.xz`.

Names are those of the original code (LDM, BFL, OpenCLIP; Hugging Face for CLIP-L and T5), below a component's prefix.
`scripts/networks.py` makes the files.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from modelhub.catalog.data import data_path
from modelhub.catalog.match import Dims, Shape
from modelhub.errors import CorruptFileError


@dataclass(frozen=True, slots=True)
class Row:
    """One tensor: its shape, None for a size that variants change; `optional` if good files may lack it."""

    shape: Dims
    optional: bool = False

    def fits(self, shape: Shape) -> bool:
        """Whether `shape` is this one; sizes of 1 do not count, as a matrix may be stored as a convolution."""
        if len(shape) == len(self.shape):
            return all(want in (None, size) for want, size in zip(self.shape, shape, strict=True))
        return None not in self.shape and [n for n in shape if n != 1] == [n for n in self.shape if n != 1]


def read_network(path: Path) -> dict[str, Row]:
    """Name to row of one file. Raises CorruptFileError."""
    try:
        lines = lzma.decompress(path.read_bytes()).decode("utf-8").splitlines()
        return dict(_row(line) for line in lines if not line.startswith("#"))
    except (OSError, lzma.LZMAError, ValueError) as error:
        raise CorruptFileError(f"{path} is not a list of tensors: {error}.", "Reinstall modelhub.") from error


def _row(line: str) -> tuple[str, Row]:
    name, dims, optional = (*line.split("\t"), "", "")[:3]
    shape = tuple(None if size == "_" else int(size) for size in dims.split(",")) if dims else ()
    return name, Row(shape, optional == "?")


@cache
def network(architecture: str) -> Mapping[str, Row]:
    """The tensors of an architecture; empty if there is no list of them."""
    path = data_path("networks", f"{architecture}.tsv.xz")
    return read_network(path) if path.is_file() else {}


@cache
def listed() -> tuple[str, ...]:
    """The architectures that have a list."""
    return tuple(sorted(path.name.partition(".")[0] for path in data_path("networks").glob("*.tsv.xz")))
