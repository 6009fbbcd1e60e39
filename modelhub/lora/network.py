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
from modelhub.formats.source import TensorSource
from modelhub.lora.configured import Configured
from modelhub.text import brief

if TYPE_CHECKING:
    import torch

ALPHA = "extra.alpha"


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """One module of an adapter: what it changes and how, and the tensor of the file that holds each of its parts.

    `tensors` has them by `algorithm.part`, such as "lora.a" and "extra.alpha".
    """

    module: Module
    tensors: Mapping[str, str]


class Network:
    """The adapter in `source`, under the `name` that messages give it. It is the opener that closes the source.

    Raises IncompatibleError for a file that holds no adapter.
    """

    def __init__(self, source: TensorSource, name: str) -> None:
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

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the file says of itself."""
        return self.source.header.metadata

    @cached_property
    def configured(self) -> Configured:
        """What PEFT's configuration says, in the file or beside it."""
        path = next((self.source.file_of(name) for name in self.source.header.tensors), None)
        return Configured.of(self.metadata, Path(path) if path is not None else None)

    def values(self, patch: Patch) -> dict[str, torch.Tensor]:
        """The parts of a module, read from the file: by the names of `Patch.tensors`, in fp32 (fp64 stays).

        "extra.alpha" is among them where PEFT's configuration has one for the module.
        """
        import torch

        whole = {part: self.source.tensor(name) for part, name in patch.tensors.items()}
        values = {part: value if value.dtype == torch.float64 else value.float() for part, value in whole.items()}
        alpha = None if ALPHA in values else self.configured.alpha(patch.module)
        return values if alpha is None else {**values, ALPHA: torch.tensor(alpha)}
