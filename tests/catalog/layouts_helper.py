"""Headers for tests: the real layouts of tests/data/layouts, whole or changed, without any tensor data."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from modelhub.catalog.keymaps import keymap
from modelhub.formats.header import Header

Layout = dict[str, tuple[str, tuple[int, ...]]]
FOLDER = Path(__file__).parents[1] / "data" / "layouts"
DENOISER = "model.diffusion_model."


@cache
def _read(name: str) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    table = json.loads(lzma.decompress((FOLDER / f"{name}.json.xz").read_bytes()))
    return {tensor: (dtype, tuple(shape)) for tensor, (dtype, *shape) in table.items()}


def names() -> list[str]:
    """All layouts."""
    return sorted(path.name.partition(".")[0] for path in FOLDER.glob("*.json.xz"))


def layout(name: str) -> Layout:
    """Tensor name to (dtype, shape), free to change."""
    return dict(_read(name))


def header(tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str] | None = None) -> Header:
    return Header.of(((name, dtype, shape) for name, (dtype, shape) in tensors.items()), metadata)


def of_shapes(shapes: Mapping[str, Iterable[int]], metadata: Mapping[str, str] | None = None) -> Header:
    return header({name: ("F16", tuple(shape)) for name, shape in shapes.items()}, metadata)


def only(tensors: Layout, *prefixes: str) -> Layout:
    return {name: entry for name, entry in tensors.items() if name.startswith(prefixes)}


def without(tensors: Layout, *prefixes: str) -> Layout:
    return {name: entry for name, entry in tensors.items() if not name.startswith(prefixes)}


def moved(tensors: Layout, old: str, new: str) -> Layout:
    """With the prefix `old` replaced by `new`."""
    return {(new + name[len(old) :] if name.startswith(old) else name): entry for name, entry in tensors.items()}


def reshaped(tensors: Layout, name: str, shape: tuple[int, ...]) -> Layout:
    assert name in tensors
    return {**tensors, name: (tensors[name][0], shape)}


def cast(tensors: Layout, dtype: str) -> Layout:
    return {name: (dtype if old.startswith(("F", "BF")) else old, shape) for name, (old, shape) in tensors.items()}


def narrow(tensors: Layout, divisor: int) -> Layout:
    """The same structure with all large widths divided."""
    return {
        name: (dtype, tuple(size // divisor if size >= 256 else size for size in shape))
        for name, (dtype, shape) in tensors.items()
    }


def adapter(
    architecture: str, component: str, spell: str, *, rank: int = 4, down: str, up: str
) -> dict[str, tuple[int, ...]]:
    """An adapter for every attention module with a diffusers name; a prefix that ends in `_` flattens names."""
    shapes: dict[str, tuple[int, ...]] = {}
    for target in dict.fromkeys(keymap(architecture).values()):
        if target.component == component and target.attention and target.diffusers:
            name = spell + (target.diffusers.replace(".", "_") if spell.endswith("_") else target.diffusers)
            ones = (1, 1) if target.rank == 4 else ()
            shapes[name + down] = (rank, target.in_size, *ones)
            shapes[name + up] = (target.out_size, rank, *ones)
    assert shapes
    return shapes


def denoiser_of_map(architecture: str) -> dict[str, tuple[int, ...]]:
    """A denoiser with the block matrices that a key map names (kernels of 3 for convolutions)."""
    whole = (one for one in keymap(architecture).values() if one.component == "denoiser" and one.part is None)
    return {one.tensor: (one.out_size, one.in_size, *((3, 3) if one.rank == 4 else ())) for one in whole}
