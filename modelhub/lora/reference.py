"""Reference: the layers of an architecture as it was released, for adapters that no checkpoint stands beside."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from modelhub.catalog.adapters import Adapter
from modelhub.catalog.bases import find_base
from modelhub.catalog.identity import Component, Identity
from modelhub.catalog.keymaps import adapter_table
from modelhub.catalog.networks import network
from modelhub.errors import IncompatibleError, UsageError
from modelhub.formats.header import Header
from modelhub.lora.layers import Layers
from modelhub.text import brief


def referred() -> tuple[str, ...]:
    """The architectures that there is a reference of."""
    return tuple(_wholes())


@cache
def reference(architecture: str) -> Layers:
    """The layers of a whole model of an architecture, by `catalog/networks/`; sizes that variants change are 1.

    Raises UsageError for an architecture that is not listed.
    """
    if architecture not in _wholes():
        known = ", ".join(referred())
        raise UsageError(f"There is no list of the layers of {brief(architecture)!r}.", f"There is one of {known}.")
    tensors: list[tuple[str, str, tuple[int, ...]]] = []
    components = []
    for label, listed in _wholes()[architecture].items():
        start = f"{label}."
        rows = {start + name: tuple(size or 1 for size in row.shape) for name, row in network(listed).items()}
        tensors += [(name, "F16", shape) for name, shape in rows.items()]
        role = "denoiser" if label == "unet" else "text_encoder"
        components.append(Component(role, listed, start, len(rows), 0))
    identity = Identity(kind="checkpoint", architecture=architecture, components=tuple(components))
    return Layers(Header.of(tensors), identity)


def reference_for(adapter: Adapter, name: str, architecture: str | None = None) -> Layers:
    """The layers of the architecture that an adapter called `name` is for, or of one that is named.

    Raises UsageError where it could be for several, IncompatibleError where it is for none that is listed.
    """
    if architecture is not None:
        return reference(architecture)
    bases = find_base(adapter).bases
    if len(bases) == 1 and bases[0] in _wholes():
        return reference(bases[0])
    if len(bases) > 1:
        raise UsageError(f"{brief(name)} could be for {' or '.join(bases)}.", f"Say which: --base {bases[0]}.")
    found = f"is for {bases[0]}, whose layers are not listed" if bases else "is for no architecture that is known"
    raise IncompatibleError(f"{brief(name)} {found}.", "Name a model that it is for: --for CHECKPOINT.")


def _wholes() -> Mapping[str, Mapping[str, str]]:
    table: Mapping[str, Mapping[str, str]] = adapter_table()["whole"]
    return table
