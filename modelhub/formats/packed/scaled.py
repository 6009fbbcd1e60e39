"""Weights stored as floats with a scale: value = weight × scale, in float32. So fp8 is kept where its range matters."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from modelhub.errors import IncompatibleError
from modelhub.formats.header import TensorInfo
from modelhub.formats.packed.view import Unpacking
from modelhub.formats.samples import PRECISIONS, numbers
from modelhub.formats.source import TensorSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from modelhub.formats.packed.view import Floats

#: Dtypes that weights with a scale, and scales, may have.
FP8 = frozenset({"F8_E4M3", "F8_E5M2"})
SCALES = frozenset({"F32", "F16", "BF16", "F64"})


class Scaled(Unpacking):
    """A tensor of floats with a tensor of scales: one for all, or one for each row, which is each index of dimension 0.

    Raises IncompatibleError for scales of another dtype or shape.
    """

    step = 1

    def __init__(self, source: TensorSource, name: str, scale: str) -> None:
        self._source, self._name, self._scale = source, name, scale
        info, scales = source.info(name), source.info(scale)
        _check(name, info, scale, scales)
        self.shape = info.shape
        self._rows = scales.numel
        self._width = info.numel // self._rows if self._rows else 0

    @property
    def origin(self) -> Hashable:
        """The tensor and its scales."""
        both = (self._name, self._scale)
        return tuple((self._source.origin(name), self._source.info(name).dtype) for name in both)

    def floats(self, start: int, stop: int) -> Floats:
        """Elements times the scales of their rows."""
        import numpy as np

        found = read_floats(self._source, self._name, start, stop)
        if stop == start:
            return found
        first, last = start // self._width, -(-stop // self._width)
        scales = read_floats(self._source, self._scale, first, last)
        with np.errstate(all="ignore"):
            return found * np.repeat(scales, runs(start, stop, self._width))


def _check(name: str, info: TensorInfo, scale: str, scales: TensorInfo) -> None:
    rows = info.shape[:1]
    fits = scales.numel == 1 or (scales.shape[:1] == rows and set(scales.shape[1:]) <= {1})
    if scales.dtype in SCALES and fits:
        return
    raise IncompatibleError(
        f"The scale {scale!r} of {scales.dtype} {list(scales.shape)} does not fit the weight {name!r} of "
        f"{list(info.shape)}: one number is known, or one for each row.",
        "Look for the fp16 or bf16 original of the model.",
    )


def runs(start: int, stop: int, width: int) -> NDArray[np.int64]:
    """How many of the elements `start` to `stop` lie in each run of `width` that they touch."""
    import numpy as np

    edges = np.clip(np.arange(start // width, -(-stop // width) + 1) * width, start, stop)
    return edges[1:] - edges[:-1]


def read_floats(source: TensorSource, name: str, start: int, stop: int) -> Floats:
    """Elements `start` to `stop` of a tensor of plain floats, as float32."""
    import numpy as np

    dtype = source.info(name).dtype
    size = PRECISIONS[dtype][0]
    raw = np.empty((stop - start) * size, np.uint8)
    source.read_into(name, start * size, raw.data)
    with np.errstate(all="ignore"):
        return numbers(dtype, raw.data).astype(np.float32, copy=False)
