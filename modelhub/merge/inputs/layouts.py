"""One model seen in the layout of another: tensors joined, cut or turned as the other has them, no number changed.

A query, a key and a value of diffusers are a `qkv` of the original, and the other way round; which way is told by the
model whose layout the result has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from modelhub.catalog.canonical import Layout, Place, Section, is_special
from modelhub.catalog.folder.placing import Old, fitted
from modelhub.catalog.folder.renames import Target
from modelhub.errors import IncompatibleError
from modelhub.formats.assembled import Assembled, Made, Piece, Transposed
from modelhub.formats.cast import Cast
from modelhub.formats.header import Header, TensorInfo
from modelhub.formats.source import TensorSource
from modelhub.text import brief


@dataclass
class _View:
    """What a source becomes: new tensors and their places, which old ones they replace, which are turned or cast."""

    made: dict[str, Made] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    turned: list[str] = field(default_factory=list)
    cast: list[str] = field(default_factory=list)


def seen_as(
    source: TensorSource, layout: Layout, first: Layout, infos: Mapping[str, TensorInfo]
) -> tuple[TensorSource, dict[str, Place]] | None:
    """`source`, which is laid out as `layout`, in the layout `first` of a model with the tensors `infos`; and places.

    A component that `first` lacks is seen as in the original layout. None if there is nothing to change. Raises
    IncompatibleError for parts of a tensor that are missing or do not fit together.
    """
    view = _View()
    for label, section in layout.sections.items():
        wanted = first.sections.get(label)
        if section.is_renamed and (wanted is None or not wanted.is_renamed):
            _join(view, source.header, section)
        elif wanted is not None and wanted.is_renamed and not section.is_renamed:
            _cut(view, source.header, layout, wanted, infos)
    if not view.made:
        return None
    tensors = source.header.tensors
    rest = {name: _whole(name, info) for name, info in tensors.items() if name not in view.replaced}
    places = {name: place for name, place in layout.places.items() if name in rest}
    return _built(source, view, rest), places | view.places


def _built(source: TensorSource, view: _View, rest: Mapping[str, Made]) -> TensorSource:
    metadata = source.header.metadata
    if view.cast:
        source = Cast(source, dict.fromkeys(view.cast, "F32"))
    return Assembled(Transposed(source, view.turned) if view.turned else source, {**rest, **view.made}, metadata)


def _whole(name: str, info: TensorInfo) -> Made:
    return Made(info.dtype, info.shape, (Piece(name, 0, info.nbytes),))


def _join(view: _View, header: Header, section: Section) -> None:
    """Tensors of diffusers become those of the original."""
    parts: defaultdict[str, list[Old]] = defaultdict(list)
    for name, target in section.targets.items():
        new = section.prefix + target.name
        if is_special(target) and new not in header.tensors:
            parts[new].append(Old(name, header.tensors[name], target))
    for new, olds in parts.items():
        if len({old.info.dtype for old in olds}) > 1:
            view.cast += [old.name for old in olds if old.info.dtype != "F32"]
            olds = [old._replace(info=_as_f32(old.info)) for old in olds]
        view.made[new] = fitted(new, olds, view.turned)
        view.places[new] = section.label, olds[0].target.name
        view.replaced |= {old.name for old in olds}


def _as_f32(info: TensorInfo) -> TensorInfo:
    return next(iter(Header.of([("", "F32", info.shape)]).tensors.values()))


def _cut(view: _View, header: Header, layout: Layout, wanted: Section, infos: Mapping[str, TensorInfo]) -> None:
    """Tensors of the original become those of diffusers, cut as those of the first model are."""
    there = {place: name for name, place in layout.places.items()}
    prefix = layout.sections[wanted.label].prefix
    for new, likes in _grouped(wanted).items():
        old = there.get((wanted.label, new))
        if old is None:
            continue
        shapes = [infos[name].shape for name, _ in likes]
        pieces = _pieces(old, header.tensors[old], likes[0][1], shapes)
        if pieces is None:
            raise _no_fit(old, header.tensors[old].shape, likes[0][0], shapes)
        if likes[0][1].change == "transpose":
            view.turned.append(old)
        for (name, _), shape, piece in zip(likes, shapes, pieces, strict=True):
            made = prefix + wanted.below(name)
            view.made[made] = Made(header.tensors[old].dtype, shape, piece)
            view.places[made] = wanted.place(name)
        view.replaced.add(old)


def _grouped(wanted: Section) -> dict[str, list[tuple[str, Target]]]:
    """By tensors of the original: the tensors of diffusers that are more than that renamed, in their order."""
    found: defaultdict[str, list[tuple[str, Target]]] = defaultdict(list)
    for name, target in wanted.targets.items():
        if is_special(target):
            found[target.name].append((name, target))
    return {new: sorted(likes, key=lambda like: like[1].part) for new, likes in found.items()}


def _pieces(
    old: str, info: TensorInfo, target: Target, shapes: list[tuple[int, ...]]
) -> list[tuple[Piece, ...]] | None:
    """What of `old` each tensor of these shapes is made of; None if they do not fit."""
    if target.of > 1:
        rows = [shape[0] for shape in shapes if shape and shape[1:] == info.shape[1:]]
        if len(rows) != target.of or not info.shape or sum(rows) != info.shape[0]:
            return None
        sizes = [info.nbytes * count // max(1, info.shape[0]) for count in rows]
        starts = accumulate(sizes, initial=0)
        return [(Piece(old, start, size),) for start, size in zip(starts, sizes, strict=False)]
    shape, half = shapes[0], info.nbytes // 2
    if target.change == "swap":
        fits = info.shape == shape and shape[:1] and shape[0] % 2 == 0
        return [(Piece(old, half, half), Piece(old, 0, half))] if fits else None
    fits = info.shape == (shape[::-1] if target.change == "transpose" else (*shape, 1, 1))
    return [(Piece(old, 0, info.nbytes),)] if fits else None


def _no_fit(old: str, shape: tuple[int, ...], like: str, shapes: list[tuple[int, ...]]) -> IncompatibleError:
    wanted = " and ".join(str(list(one)) for one in shapes)
    return IncompatibleError(
        f"The tensor {brief(old, 90)!r} is {list(shape)}, and does not come apart into {brief(like, 90)!r} and "
        f"what else the first model makes of it, {wanted}: the models have other widths.",
        "Merge models of one variant and width; `modelhub identify` shows both.",
    )
