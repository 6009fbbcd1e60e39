"""Names of modules as adapters have them: every layer of a checkpoint that adapters of a dialect change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from modelhub.catalog.adapter_names import place
from modelhub.catalog.keymaps import adapter_table, flatten
from modelhub.lora.layers import Layer, Layers
from modelhub.lora.spelling import Spelling

#: A way to name modules.
Dialect = Literal["kohya", "peft"]
#: Tensors that are matrices without the ending of one.
_BARE = "text_projection"


class Named(NamedTuple):
    """A layer under the name of a module that changes it: `lora_unet_down_blocks_0_…` or `unet.down_blocks.0.…`."""

    module: str
    layer: Layer

    @property
    def group(self) -> str:
        """attention (with the feed-forward beside it), conv, other, te1, te2 or te3."""
        return place(self.module).group[1]

    @property
    def kernel(self) -> tuple[int, ...]:
        """(3, 3) of a convolution, (1, 1) of one that is as good as linear, () of a linear layer."""
        return self.layer.shape[2:]


def named_layers(layers: Layers, dialect: Dialect = "kohya", *, every: bool = False) -> Iterator[Named]:
    """Every layer that adapters of a dialect change, each once, in the order of the file.

    For kohya: the names of its own trainer, which are those of diffusers for SD 1 and 2 and native ones for SDXL and
    Flux, so that fused layers are whole; for PEFT those of diffusers, in parts. Text encoders have the names of
    transformers in both. Layers of which diffusers has no name, or no table here tells it, keep their native one.
    Linear layers and convolutions are meant; with `every` also norms, embeddings and bare parameters.
    """
    for label in layers.sections:
        start = prefix(dialect, layers.identity.architecture, label, layers.spelling(label).table)
        for stem in _stems(layers.spelling(label), is_native(dialect, layers.identity.architecture, label)):
            layer = layers.native(label, flatten(stem))
            if layer is not None and (every or _is_matrix(stem, layer)):
                yield Named(start + (flatten(stem) if start.endswith("_") else stem), layer)


def prefix(dialect: str, architecture: str | None, label: str, table: str | None = None) -> str:
    """What the names of a component's modules begin with in files that are written; `table` is that of its renames."""
    written = adapter_table()["written"][dialect]
    if label == "unet" and (table or "native") in written.get("tables", {}):
        return str(written["tables"][table or "native"])
    prefixes: Mapping[str, Mapping[str, str]] = written["prefixes"]
    return prefixes.get(architecture or "", {}).get(label) or prefixes["*"][label]


def is_native(dialect: str, architecture: str | None, label: str) -> bool:
    """Whether modules of a component are named as in the original layout, not as in diffusers."""
    return (
        dialect == "kohya" and label == "unet" and architecture not in adapter_table()["written"]["kohya"]["diffusers"]
    )


def _stems(spelling: Spelling, native: bool) -> Iterator[str]:
    """The names of all layers with their dots."""
    if native:
        yield from spelling.dotted.values()
        return
    if spelling.own:
        yield from spelling.written.values()
        return
    parts: dict[str, dict[object, str]] = {}
    for alias in spelling.aliases.values():
        if alias.written:
            parts.setdefault(alias.stem, {}).setdefault(alias.parts, alias.written)
    for flat, stem in spelling.dotted.items():
        yield from parts.get(flat, {0: stem}).values()


def _is_matrix(stem: str, layer: Layer) -> bool:
    """Whether a layer is multiplied by: no embedding that is looked up, and no bare parameter."""
    weight = layer.tensor.endswith(("weight", _BARE)) and len(layer.shape) > 1
    return weight and not re.search(adapter_table()["layers"]["embeddings"], stem)
