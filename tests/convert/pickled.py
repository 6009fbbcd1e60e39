"""Pickles as torch and others write them, and the comparison of what became of them with what torch reads."""

from __future__ import annotations

import json
import lzma
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LAYOUTS = Path(__file__).parents[1] / "data" / "layouts"


def bytes_of(tensor: Any) -> bytes:
    """The bytes of the contiguous tensor."""
    import torch

    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def same(path: Path, expected: Mapping[str, Any]) -> None:
    """The safetensors library reads from `path` just the names, dtypes, shapes and bytes of `expected`."""
    from safetensors.torch import load_file

    found = load_file(path)
    assert sorted(found) == sorted(expected)
    for name, tensor in expected.items():
        assert (found[name].dtype, tuple(found[name].shape)) == (tensor.dtype, tuple(tensor.shape)), name
        assert bytes_of(found[name]) == bytes_of(tensor), name


def layout(name: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name to dtype and shape of a released model."""
    table = json.loads(lzma.decompress((LAYOUTS / f"{name}.json.xz").read_bytes()))
    return {tensor: (dtype, tuple(shape)) for tensor, (dtype, *shape) in table.items()}


class Makes:
    """Calls `os.mkdir` with a path, in programs that load it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


def plain_pickle(path: Path, value: object) -> Path:
    """A pickle in no container."""
    path.write_bytes(pickle.dumps(value))
    return path


def deflated(path: Path, goal: Path) -> Path:
    """The same zip archive with its entries packed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(goal, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return goal


def flip(path: Path, old: bytes) -> None:
    """Change one bit of a file, in the first place where `old` stands."""
    data = bytearray(path.read_bytes())
    data[data.index(old)] ^= 1
    path.write_bytes(data)
