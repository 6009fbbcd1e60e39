"""Network: the modules of an adapter file with the tensors that hold them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog.adapter_names import split_name
from modelhub.catalog.adapters import Adapter, Module, read_adapter
from modelhub.catalog.identify import identify
from modelhub.errors import IncompatibleError
from modelhub.formats.header import FLOAT_DTYPES
from modelhub.formats.source import TensorSource
from modelhub.lora.configured import Configured
from modelhub.text import brief

if TYPE_CHECKING:
    import torch

ALPHA, SCALAR = "extra.alpha", "extra.scalar"


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """One module of an adapter: what it changes and how, and the tensor of the file that holds each of its parts.

    `tensors` has them by `algorithm.part`, such as "lora.a" and "extra.alpha".
    """

    module: Module
    tensors: Mapping[str, str]


class Network:
    """The adapter in `source`, under the `name` that messages give it. It is the opener that closes the source.

    `configured` is what is known of it beside its tensors, if not what PEFT's configuration says, in the file or beside
    it. Raises IncompatibleError for a file that holds no adapter.
    """

    def __init__(self, source: TensorSource, name: str, configured: Configured | None = None) -> None:
        self.source, self.name = source, name
        shapes = source.header.shapes
        adapter = read_adapter(shapes)
        if adapter is None:
            kind = identify(source.header, name=name).kind
            what = (
                "is no LoRA, nor one of its kin" if kind in ("other", "unknown") else f"is of kind {kind}, and no LoRA"
            )
            raise IncompatibleError(f"{brief(name)} {what}.", "`modelhub identify` tells more.")
        self.adapter: Adapter = adapter
        tensors: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for full in shapes:
            pair = split_name(full)
            if pair is not None:
                tensors[pair[0]][pair[1]] = full
        self.patches = tuple(Patch(module, tensors[module.name]) for module in adapter.modules)
        self._configured = configured

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the file says of itself."""
        return self.source.header.metadata

    @cached_property
    def configured(self) -> Configured:
        """What PEFT's configuration says."""
        if self._configured is not None:
            return self._configured
        path = next((self.source.file_of(name) for name in self.source.header.tensors), None)
        return Configured.of(self.metadata, Path(path) if path is not None else None)

    def outer(self, patch: Patch) -> dict[str, float]:
        """The scale that no tensor of a module holds, but its configuration, as the part that a file would have for it.

        "extra.alpha", which is divided by the rank, or "extra.scalar" for a module that has none; empty for no scale.
        """
        scale, rank = self.configured.scale(patch.module), patch.module.size.rank
        if scale is None or ALPHA in patch.tensors or (not rank and SCALAR in patch.tensors):
            return {}
        return {ALPHA: scale * rank} if rank else {SCALAR: scale}

    def values(self, patch: Patch) -> dict[str, torch.Tensor]:
        """The parts of a module, read from the file: by the names of `Patch.tensors`, in fp32 (fp64 stays).

        What is `outer` is among them. Raises what `check_floats` does.
        """
        import torch

        self.check_floats(patch)
        whole = {part: self.source.tensor(name) for part, name in patch.tensors.items()}
        values = {part: value if value.dtype == torch.float64 else value.float() for part, value in whole.items()}
        return values | {part: torch.tensor(value) for part, value in self.outer(patch).items()}

    def check_floats(self, patch: Patch) -> None:
        """Raise IncompatibleError for a module whose weights are integers or complex: packed, or no weights at all.

        Only what stands beside them, marks and sizes, may be such.
        """
        for part, name in patch.tensors.items():
            info = self.source.info(name)
            if info.dtype not in FLOAT_DTYPES and info.numel > 1 and not part.startswith("extra."):
                raise IncompatibleError(
                    f"{brief(patch.module.name)} of {brief(self.name)} is {info.dtype}, and no floating-point numbers.",
                    "Get the file in fp16, bf16 or fp32.",
                )
