"""A view with some float tensors in another precision, each number rounded once from what is stored."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

from modelhub.errors import ModelError
from modelhub.formats.header import FLOAT_DTYPES, Header, TensorInfo
from modelhub.formats.rounding import Findings, store
from modelhub.formats.source import TensorSource, torch_dtype, whole_elements
from modelhub.formats.views import Changed

if TYPE_CHECKING:
    import torch

#: What users call a precision, and its dtype in a file.
PRECISIONS = {"fp16": "F16", "bf16": "BF16", "fp32": "F32"}

#: Elements that are cast at a time: they stay in the cache, and torch does not split so few among threads of its own,
#: which would only get in the way of the writer's.
_WINDOW = 32_000


class Cast(Changed):
    """A source with some of its float tensors as F16, BF16 or F32; the others are passed through, and keep their place.

    `dtypes` maps the names of tensors to their new dtype; one that a tensor has already changes nothing. Metadata
    stays. Closing the view closes the source. Raises NotFoundError for an unknown name, ModelError for a tensor of
    integers or blocks, and for a dtype that nothing is cast to.
    """

    def __init__(self, source: TensorSource, dtypes: Mapping[str, str]) -> None:
        for name, dtype in dtypes.items():
            _check(name, source.info(name).dtype, dtype)
        self._cast = {name: dtype for name, dtype in dtypes.items() if source.info(name).dtype != dtype}
        tensors = source.header.tensors.items()
        entries = ((name, self._cast.get(name, info.dtype), info.shape) for name, info in tensors)
        super().__init__(source, self._cast, Header.of(entries, source.header.metadata))
        self._found: dict[str, dict[int, Findings]] = {}
        self._lock = threading.Lock()

    @property
    def findings(self) -> dict[str, Findings]:
        """Per cast tensor read so far, what came out as NaN or infinite; tensors without any are not in it."""
        with self._lock:
            return {name: sum(found.values(), Findings()) for name, found in self._found.items()}

    def _make(self, name: str, info: TensorInfo, offset: int, buffer: memoryview) -> None:
        whole_elements(info, offset, buffer, lambda start, view: self._fill(name, start, view))

    def _making(self, name: str) -> Hashable:
        return ("cast", self._source.origin(name), self._source.info(name).dtype, self._cast[name])

    def _fill(self, name: str, start: int, view: memoryview) -> None:
        """Cast the elements from `start` on that fill `view`."""
        import torch

        out = torch.frombuffer(view, dtype=torch_dtype(self._cast[name]))
        stored = torch_dtype(self._source.info(name).dtype)
        raw = bytearray(min(_WINDOW, len(out)) * stored.itemsize)
        found = Findings()
        for low in range(0, len(out), _WINDOW):
            piece = out[low : low + _WINDOW]
            part = memoryview(raw)[: len(piece) * stored.itemsize]
            self._source.read_into(name, (start + low) * stored.itemsize, part)
            found += _cast(torch.frombuffer(part, dtype=stored), piece)
        if found.not_finite:
            with self._lock:
                self._found.setdefault(name, {})[start] = found


def _cast(value: torch.Tensor, out: torch.Tensor) -> Findings:
    """fp8 is taken to fp32 first, which holds all of it: torch can do little with it as it is."""
    import torch

    with torch.inference_mode():
        return store(value.float() if value.element_size() == 1 else value, out)


def _check(name: str, stored: str, dtype: str) -> None:
    if dtype not in PRECISIONS.values():
        raise ModelError(f"Nothing is cast to {dtype}.", f"Choose one of: {', '.join(PRECISIONS)}.")
    if stored not in FLOAT_DTYPES:
        raise ModelError(f"Tensor {name[:200]!r} is {stored}, which is not cast to {dtype}.", "Cast floats only.")
