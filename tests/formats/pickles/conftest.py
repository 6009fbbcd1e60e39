"""torch where a test needs it, and the comparison with what torch itself reads from a file of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from modelhub.formats.pickles.file import PickleFile

#: safetensors' names of torch's dtypes.
DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL",
    "complex64": "C64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    import torch

    return torch


def bytes_of(tensor: Any) -> bytes:
    import torch

    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def check(path: Path, expected: Mapping[str, Any]) -> PickleFile:
    """Names, dtypes, shapes and every byte are those of the torch tensors `expected`; the closed file is returned."""
    with PickleFile(path) as file:
        assert sorted(file.header.tensors) == sorted(expected)
        for name, tensor in expected.items():
            info = file.info(name)
            assert info.shape == tuple(tensor.shape), name
            assert info.dtype == DTYPES[str(tensor.dtype).removeprefix("torch.")], name
            assert file.read_bytes(name) == bytes_of(tensor), name
    return file


@pytest.fixture
def check_file() -> Callable[..., PickleFile]:
    return check
