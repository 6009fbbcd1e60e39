"""Layers of a checkpoint as adapters name them: under native names, or those of diffusers, whole or as a part.

A layer is the weight that a module sees; in the file it may be some rows of a larger tensor (a query of `qkv`), several
tensors one below the other, or lie transposed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from modelhub.catalog.adapter_names import Place
from modelhub.catalog.canonical import Layout, Section
from modelhub.catalog.folder.renames import Target
from modelhub.catalog.identity import Identity
from modelhub.catalog.weighing.spots import spot
from modelhub.catalog.weighing.weight import Spot
from modelhub.formats.header import Header
from modelhub.lora.spelling import Spelling, Tensor, spelling

#: Components that adapters change, as sections are labelled, by what their own names can mean: the likeliest first.
LABELS = {"denoiser": ("unet",), "te": ("te1", "te2"), "te1": ("te1",), "te2": ("te2", "t5"), "te3": ("t5",)}
_CHANGED = frozenset(label for labels in LABELS.values() for label in labels)


@dataclass(frozen=True, slots=True)
class Stretch:
    """`count` rows of a tensor of the checkpoint, from row `start` on."""

    tensor: str
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class Layer:
    """What a module changes: `stretches` one below the other are its weight, `bias` those of its bias, if it has one.

    `shape` is [out, in], [out, in, h, w] or [d], as the module sees it; with `turned` the one tensor of the file is the
    transposed of that. `label` is unet, te1, te2 or t5, `spot` where its first tensor belongs.
    """

    label: str
    stretches: tuple[Stretch, ...]
    shape: tuple[int, ...]
    spot: Spot
    bias: tuple[Stretch, ...] = ()
    turned: bool = False

    @property
    def tensor(self) -> str:
        """Its first tensor, to name it by."""
        return self.stretches[0].tensor


#: (label, flat name): one layer.
_Key = tuple[str, str]


class Layers:
    """The layers of one checkpoint, by the names that adapters have for them. Reads its header only."""

    def __init__(self, header: Header, identity: Identity) -> None:
        self._header, self.identity = header, identity
        self._layout = Layout(header, identity)
        self.sections: Mapping[str, Section] = {
            label: section for label, section in self._layout.sections.items() if label in _CHANGED
        }
        self._found: dict[_Key, Layer | None] = {}
        self._spellings: dict[tuple[str, str], Spelling] = {}

    def present(self, components: Iterable[str]) -> list[str]:
        """The labels of this checkpoint that components of an adapter ("denoiser", "te", "te1", …) can mean."""
        wanted = (label for component in components for label in LABELS[component])
        return [label for label in dict.fromkeys(wanted) if label in self.sections]

    def find(self, place: Place) -> Layer | None:
        """The layer that a module of this place changes, None if there is none."""
        return next(self.candidates(place), None)

    def candidates(self, place: Place) -> Iterator[Layer]:
        """Every layer that a module of this place can mean, the likeliest first: names may be those of two encoders."""
        return (found for key in self._keys(place) if (found := self._layer(key)) is not None)

    def _keys(self, place: Place) -> Iterator[_Key]:
        for component, flat in (place.first, *place.others):
            for label in LABELS[component]:
                if label in self.sections:
                    yield label, flat

    def _layer(self, key: _Key) -> Layer | None:
        if key not in self._found:
            self._found[key] = self._made(key)
        return self._found[key]

    def spelling(self, label: str, kind: str = "weight") -> Spelling:
        """The names of the layers of a component, or of their biases."""
        if (label, kind) not in self._spellings:
            self._spellings[label, kind] = spelling(self.sections[label], kind)
        return self._spellings[label, kind]

    def _made(self, key: _Key) -> Layer | None:
        label = key[0]
        found = self._stretches(key, "weight", ())
        if found is None:
            return None
        stretches, turned = found
        whole = self._header.tensors[stretches[0].tensor].shape
        shape = whole[::-1] if turned else (sum(one.count for one in stretches), *whole[1:])
        bias = self._stretches(key, "bias", whole[1:])
        name = self.sections[label].place(stretches[0].tensor)[1]
        where = spot(self.identity.architecture, label, name, stretches[0].tensor)
        return Layer(label, stretches, shape, where, bias[0] if bias else (), turned)

    def _stretches(self, key: _Key, kind: str, inner: tuple[int, ...]) -> tuple[tuple[Stretch, ...], bool] | None:
        """The rows under a name, and whether they lie transposed; None if there are none.

        Of a bias, `inner` are the sizes that its weight has besides its rows.
        """
        found = self.spelling(key[0], kind).find(key[1])
        if found is None:
            return None
        tensors, parts = found
        every = [stretch for one in tensors for stretch in self._whole(one)]
        if not parts:
            return tuple(every), False
        shape = (*self._header.tensors[every[0].tensor].shape, *inner)
        rows = [row for part in parts for row in _part(every, part, shape)]
        return tuple(_joined(rows)), parts[0].change == "transpose"

    def _whole(self, one: Tensor) -> Iterator[Stretch]:
        """All rows of a native tensor that one of the file is, in its order."""
        shape = self._header.tensors[one.name].shape
        rows = shape[0] if shape else 1
        if one.target.change == "swap":
            yield from _swapped([Stretch(one.name, 0, rows)], rows)
        else:
            yield Stretch(one.name, 0, rows)

    def every(self) -> Iterator[_Key]:
        """(label, flat native name) of every layer, whole, in the order of the file."""
        for label in self.sections:
            for flat in self.spelling(label).native:
                yield label, flat

    def native(self, label: str, flat: str) -> Layer | None:
        """The layer of a component by its flat name: `("unet", "double_blocks_0_img_attn_qkv")`."""
        return self._layer((label, flat))


def _part(every: Sequence[Stretch], target: Target, shape: Sequence[int]) -> Iterator[Stretch]:
    """The part of stretches that lie one below the other; `shape` is that of the first one's tensor."""
    total = sum(one.count for one in every)
    if target.change == "swap":
        return _swapped(every, total)
    return _cut(every, *part_rows(target, total, shape))


def _joined(rows: Iterable[Stretch]) -> list[Stretch]:
    """Stretches that follow each other in one tensor as one."""
    found: list[Stretch] = []
    for row in rows:
        last = found[-1] if found else None
        if last is not None and (last.tensor, last.start + last.count) == (row.tensor, row.start):
            found[-1] = Stretch(row.tensor, last.start, last.count + row.count)
        else:
            found.append(row)
    return found


def _swapped(every: Sequence[Stretch], total: int) -> Iterator[Stretch]:
    """The second half of stretches, then the first."""
    yield from _cut(every, total // 2, total)
    yield from _cut(every, 0, total // 2)


def _cut(every: Iterable[Stretch], start: int, stop: int) -> Iterator[Stretch]:
    """Rows `start` to `stop` of stretches that lie one below the other."""
    at = 0
    for one in every:
        low, high = max(start, at), min(stop, at + one.count)
        if low < high:
            yield Stretch(one.tensor, one.start + low - at, high - low)
        at += one.count


def part_rows(target: Target, total: int, shape: Sequence[int]) -> tuple[int, int]:
    """First and last row (exclusive) of a part of `total` rows: all alike, or of four the first three square."""
    if target.of == 1:
        return 0, total
    if target.of == 4 and len(shape) > 1:
        side = shape[1]
        return (target.part * side, (target.part + 1) * side) if target.part < 3 else (3 * side, total)
    size = total // target.of
    return target.part * size, (target.part + 1) * size
