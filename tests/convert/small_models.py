"""Models for the tests of pruning and repair: the real layouts, made narrow, with random numbers in memory."""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.convert.conversion import Conversion
from modelhub.convert.prune.pruning import Pruning, prune
from modelhub.formats.header import Header, nbytes
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Held

LAYOUTS = Path(__file__).parents[1] / "data" / "layouts"
DENOISER = "model.diffusion_model."
Entry = tuple[str, tuple[int, ...]]
Tensors = dict[str, tuple[str, tuple[int, ...], bytes]]


@cache
def _layout(name: str) -> Mapping[str, Entry]:
    table = json.loads(lzma.decompress((LAYOUTS / f"{name}.json.xz").read_bytes()))
    return {tensor: (dtype, tuple(shape)) for tensor, (dtype, *shape) in table.items()}


def layout(name: str) -> dict[str, Entry]:
    """Tensor name to dtype and shape of a released model."""
    return dict(_layout(name))


def filled(entries: Mapping[str, Entry], seed: int = 0) -> Tensors:
    """Random small floats; integers count up."""
    numbers = np.random.default_rng(seed)
    return {name: (dtype, shape, data(dtype, shape, numbers)) for name, (dtype, shape) in entries.items()}


def data(dtype: str, shape: tuple[int, ...], numbers: np.random.Generator) -> bytes:
    count = prod(shape)
    if dtype == "I64":
        return np.arange(count).astype("<i8").tobytes()
    values = numbers.standard_normal(count).astype("<f4") / 8
    if dtype == "BF16":
        return (values.view("<u4") >> 16).astype("<u2").tobytes()
    return values.astype({"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype]).tobytes()


@cache
def _narrow(name: str, divisor: int) -> Mapping[str, tuple[str, tuple[int, ...], bytes]]:
    entries = {
        tensor: (dtype, tuple(size // divisor if size >= 256 else size for size in shape))
        for tensor, (dtype, shape) in _layout(name).items()
    }
    return filled(entries)


def narrow(name: str, divisor: int = 64) -> Tensors:
    """A released model with its large widths divided; to change at will."""
    return dict(_narrow(name, divisor))


def scalar(value: float, dtype: str = "<f4") -> tuple[str, tuple[int, ...], bytes]:
    return {"<f4": "F32", "<i4": "I32"}[dtype], (), np.array(value, dtype).tobytes()


def empty() -> tuple[str, tuple[int, ...], bytes]:
    return "F32", (0,), b""


def floats(source: TensorSource, name: str) -> Any:
    """A tensor of a source as a flat numpy array."""
    kind = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4"}[source.info(name).dtype]
    return np.frombuffer(source.read_bytes(name), kind)


def opened(
    tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]], metadata: Mapping[str, str] | None = None
) -> Held:
    """A source of tensors in memory."""
    held = Held(tensors)
    held.header = Header.of(((name, dtype, shape) for name, (dtype, shape, _) in tensors.items()), metadata)
    return held


def known(source: TensorSource, form: str = "safetensors") -> Identity:
    return identify(source.header, form=form)


class Zeros(TensorSource):
    """A model of the sizes of a released one that takes no memory: every number is 0 but the bytes given."""

    def __init__(self, entries: Mapping[str, Entry], bytes_of: Mapping[str, bytes] | None = None) -> None:
        self.header = Header.of((name, dtype, shape) for name, (dtype, shape) in entries.items())
        self.bytes_of = bytes_of or {}
        self.entries = entries

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        dtype, shape = self.entries[name]
        whole = self.bytes_of.get(name)
        assert offset >= 0 and offset + len(buffer) <= nbytes(dtype, shape)
        buffer[:] = whole[offset : offset + len(buffer)] if whole else bytes(len(buffer))


def averaged(name: str) -> str:
    """As the training code names the average of a weight."""
    return "model_ema." + name.removeprefix("model.").replace(".", "")


def trained() -> Tensors:
    """A checkpoint as training leaves it."""
    tensors = narrow("sd15")
    ema = {averaged(name): entry[:2] for name, entry in tensors.items() if name.startswith(DENOISER)}
    tensors |= filled(ema, seed=1)
    tensors |= {"model_ema.decay": scalar(0.999), "model_ema.num_updates": scalar(7, "<i4"), "global_step": scalar(9)}
    tensors |= {"v_pred": empty(), "ztsnr": empty(), "first_stage_model.loss.logvar": scalar(0)}
    return tensors | filled(
        {"betas": ("F32", (1000,)), "posterior_variance": ("F32", (1000,)), "some.extra": ("F32", (3,))}
    )


def pruned(tensors: Tensors, metadata: dict[str, str] | None = None, **wish: Any) -> Conversion:
    """What pruning makes of these tensors."""
    source = opened(tensors, metadata)
    return prune(source, known(source), Pruning(**wish))


def kept_names(conversion: Conversion) -> set[str]:
    """The tensors that stay."""
    return {name for one in conversion.parts if one.action != "drop" for name in one.names}


def dropped_names(conversion: Conversion) -> set[str]:
    """The tensors that go."""
    return {name for one in conversion.parts if one.action == "drop" for name in one.names}
