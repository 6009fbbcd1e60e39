"""Blocks of GGUF as floats, by the arithmetic of the Python package gguf: an extra, `pip install modelhub[gguf]`."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from modelhub.errors import IncompatibleError, UsageError
from modelhub.formats.header import BLOCKS
from modelhub.formats.packed.view import Unpacking
from modelhub.formats.source import TensorSource

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

    from modelhub.formats.packed.view import Floats


class Blocks(Unpacking):
    """A tensor in blocks of ggml, such as Q4_K."""

    def __init__(self, source: TensorSource, name: str) -> None:
        info = source.info(name)
        self._source, self._name, self._dtype = source, name, info.dtype
        self.shape = info.shape
        self.step, self._size = BLOCKS[info.dtype]

    @property
    def origin(self) -> Hashable:
        """The blocks."""
        return self._source.origin(self._name), self._dtype, self.shape

    def floats(self, start: int, stop: int) -> Floats:
        """Elements of whole blocks."""
        import numpy as np

        packed = np.empty((stop - start) // self.step * self._size, np.uint8)
        self._source.read_into(self._name, start // self.step * self._size, packed.data)
        return dequantized(packed, self._dtype)


def dequantized(packed: NDArray[np.uint8], dtype: str) -> Floats:
    """The float32 elements of whole blocks of `dtype` that lie one after another; scales of NaN and inf count."""
    import numpy as np

    gguf = _package()
    with np.errstate(all="ignore"):
        found: Floats = gguf.quants.dequantize(packed, gguf.GGMLQuantizationType[dtype])
    return found


def check_blocks(dtype: str) -> None:
    """Raise UsageError without the package gguf, IncompatibleError for a block type that it cannot unpack."""
    import numpy as np

    gguf = _package(dtype)
    elements, size = BLOCKS[dtype]
    try:
        done = dequantized(np.zeros(size, np.uint8), dtype).size == elements
    except (KeyError, NotImplementedError):
        done = False
    if not done:
        version = getattr(gguf, "__version__", "")
        raise IncompatibleError(
            f"Weights in blocks of {dtype} cannot be unpacked: the package gguf {version}".rstrip()
            + " does not know how.",
            "Look for the fp16 or bf16 original of the model, or update the package: pip install --upgrade gguf",
        )


def _package(dtype: str = "GGUF") -> ModuleType:
    try:
        import gguf
        import gguf.quants
    except ImportError as error:
        raise UsageError(
            f"Weights in blocks of {dtype} are unpacked by the Python package gguf, which is not installed.",
            'Install it: pip install "gguf>=0.17"',
        ) from error
    return gguf
