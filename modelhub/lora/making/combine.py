"""Combine: several adapters as one, which does what they do together.

The sum of two products is the product of their factors side by side: up = [w₁s₁·up₁, w₂s₂·up₂], down = [down₁; down₂],
with the weights w and scales s (alpha / rank). Ranks add up, and nothing is lost but the rounding; with a rank the
result is then resized by its small core.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from modelhub.catalog.weighing.words import weight_text
from modelhub.errors import IncompatibleError
from modelhub.jobs import QUIET, Job
from modelhub.lora.making.abreast import abreast
from modelhub.lora.making.combining import Combining, Group, Share
from modelhub.lora.making.metadata import combined_metadata
from modelhub.lora.making.products import Product, check_finite, decomposed, formed, product_of, scale_of
from modelhub.lora.making.ranks import Ranks
from modelhub.lora.making.report import Report, Row
from modelhub.lora.making.resizing import layer_shape, stored_dtype
from modelhub.lora.making.workbench import Factors, Names, Workbench, halves
from modelhub.text import brief

if TYPE_CHECKING:
    import torch

#: Bits of a mantissa are lost in neither where both go.
_WIDTHS = ("F8_E5M2", "F8_E4M3", "BF16", "F16", "F32", "F64")
_MIXED = {"BF16", "F16"}
#: By so much may factors grow: those that are trained are below 1, fp16 ends at 65,504.
_SPREAD = 1000.0


def combine(
    plan: Combining, goal: Path, *, title: str = "", force: bool = False, hashes: bool = False, job: Job = QUIET
) -> Report:
    """Merge the adapters and write the result to `goal`. Memory is that of a few modules.

    Raises UsageError when `goal` is one of them, IncompatibleError for modules of one name and different sizes,
    ModelError and CorruptFileError by a module's name for numbers that are NaN and parts that do not fit together, and
    as `modelhub.formats.writer.write`.
    """
    with Workbench(goal, plan.stats, force=force, job=job) as bench:
        return _Combining(plan, bench).run(title or goal.stem, hashes)


class _Made(NamedTuple):
    """One module: factors and what is told of them, or tensors that it adds whole, by endings."""

    factors: tuple[Factors, Row] | None
    tensors: Mapping[str, torch.Tensor]


class _Combining:
    """The making of one file; modules are made by workers, and put down in their order."""

    def __init__(self, plan: Combining, bench: Workbench) -> None:
        self._plan, self._bench, self._wish = plan, bench, plan.wish

    def run(self, title: str, hashes: bool) -> Report:
        groups = self._plan.groups
        with self._bench.job.phase("merging", len(groups), "modules") as advance:
            for group, made in abreast(groups, _elements, self._made, self._bench.job):
                self._put(group, made)
                advance(1, group.shares[0].patch.module.name)
        return self._bench.finish(self._metadata(title), hashes=hashes)

    def _made(self, group: Group) -> _Made | None:
        if group.how == "copy":
            return None
        values = [_parts(share) for share in group.shares]
        bias = _bias(group.shares, values)
        beside = {".diff_b": bias} if bias is not None else {}
        if group.how == "product":
            return _Made(self._product(group, values), beside)
        return _Made(None, {**_sums(group.shares, values), **beside})

    def _product(self, group: Group, values: Sequence[Mapping[str, torch.Tensor]]) -> tuple[Factors, Row]:
        module = group.shares[0].patch.module.name
        products = [_product_of(share, parts) for share, parts in zip(group.shares, values, strict=True)]
        joint = _joined(module, products, [share.strength for share in group.shares])
        columns = joint.down.shape[1]
        shape = (joint.up.shape[0], columns // prod(joint.kernel), *joint.kernel)
        if self._wish.ranks is None and joint.rank <= min(joint.up.shape[0], columns):
            up = joint.up.reshape(*joint.up.shape, *(1 for _ in joint.kernel))
            factors = Factors(up, joint.down.reshape(-1, *shape[1:]), joint.scale)
            return factors, Row(module, shape, joint.rank, joint.rank, 0.0, 0.0)
        ranks = self._wish.ranks or Ranks(min(shape[0], columns))
        found = decomposed(joint)
        rank = ranks.of(found.values, found.energy, shape)
        kept, by = float(found.values[:rank].square().sum()), joint.scale**2
        row = Row(module, shape, joint.rank, rank, found.energy * by, kept * by)
        return Factors(*halves(found, rank, shape), joint.scale), row

    def _put(self, group: Group, made: _Made | None) -> None:
        first = group.shares[0]
        module = first.patch.module
        if made is None:
            self._bench.leave(first.network, first.patch, "only one of them has")
            return
        dtype = self._wish.dtype or _widest([stored_dtype(one.network, one.patch) for one in group.shares])
        if made.factors is not None:
            factors, row = made.factors
            self._bench.put(_names(first), factors, dtype, row)
        self._bench.add(module.name, {module.name + ending: value for ending, value in made.tensors.items()}, dtype)

    def _metadata(self, title: str) -> dict[str, str]:
        loras = [
            {"name": one.parent.name, "sha256": one.parent.sha256, "weight": weight_text(one.weight)}
            for one in self._plan.ingredients
        ]
        said = ", ".join(f"{one['name']}:{one['weight']}" for one in loras)
        every = [one.parent.source.header.metadata for one in self._plan.ingredients]
        found = combined_metadata(every, title, f"merged from {said}")
        return {**found, "modelhub.loras": json.dumps(loras)}


def _parts(share: Share) -> dict[str, torch.Tensor]:
    """The parts of a module, without their algorithm."""
    return {part.rpartition(".")[2]: value for part, value in share.network.values(share.patch).items()}


def _product_of(share: Share, parts: Mapping[str, torch.Tensor]) -> Product:
    """The product that a module is, with the kernel of its layer where its place tells it."""
    module = share.patch.module
    found = product_of(module.name, module.algorithm, parts)
    assert found is not None  # by the plan, it is a product
    shape = layer_shape(share.network, share.patch) if not found.kernel else None
    return found if shape is None else found._replace(kernel=shape[2:])


def _joined(module: str, products: Sequence[Product], strengths: Sequence[float]) -> Product:
    """Products side by side. The scale is that of the first, so that the bits of its factors stay as they are.

    If that is so small that the factors of another would not fit their precision, it is the largest.
    """
    import torch

    if len({(len(one.up), one.down.shape[1]) for one in products}) > 1:
        sizes = ", ".join(f"{len(one.up)} x {one.down.shape[1]}" for one in products)
        raise IncompatibleError(
            f"{brief(module)} has different sizes in these LoRAs: {sizes}.", "Merge those of one base."
        )
    scales = [one.scale * strength for one, strength in zip(products, strengths, strict=True)]
    scale, largest = abs(next(filter(None, scales), 1.0)), max(map(abs, scales))
    if largest > scale * _SPREAD:
        scale = largest
    up = torch.cat([one.up * (by / scale) for one, by in zip(products, scales, strict=True)], dim=1)
    down = torch.cat([one.down for one in products])
    return Product(up, down, max((one.kernel for one in products), key=len), scale)


def _bias(shares: Sequence[Share], values: Sequence[Mapping[str, torch.Tensor]]) -> torch.Tensor | None:
    """What all add to the bias of their layer; None for nothing."""
    found: torch.Tensor | None = None
    for share, parts in zip(shares, values, strict=True):
        name = share.patch.module.name
        scale = scale_of(name, parts, parts["a"].shape[0]) if "a" in parts else 1.0
        for part, by in (("bias", scale), ("diff_b", 1.0)):
            if part in parts:
                added = parts[part].reshape(-1) * (by * share.strength)
                check_finite(name, added)
                found = added if found is None else _plus(share, found, added)
    return found


def _sums(shares: Sequence[Share], values: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """What all add, whole: by the endings of a difference or of a norm."""
    found: dict[str, torch.Tensor] = {}
    for share, parts in zip(shares, values, strict=True):
        for ending, value in _whole(share, parts).items():
            added = value * share.strength
            check_finite(share.patch.module.name, added)
            found[ending] = added if ending not in found else _plus(share, found[ending], added)
    return found


def _whole(share: Share, parts: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What one adds, at strength 1."""
    algorithm = share.patch.module.algorithm
    if algorithm == "norm":
        return {f".{part}_norm": parts[part] for part in ("w", "b") if part in parts}
    if algorithm == "diff":
        return {".diff": parts["diff"] * scale_of(share.patch.module.name, parts, 0)} if "diff" in parts else {}
    one = _product_of(share, parts)
    return {".diff": formed(share.patch.module.name, one).reshape(len(one.up), -1, *one.kernel)}


def _plus(share: Share, one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
    """The sum of equal shapes; pixels of a kernel of one count for nothing."""
    if one.numel() != two.numel() or one.shape[:1] != two.shape[:1]:
        raise IncompatibleError(
            f"{brief(share.patch.module.name)} has different sizes in these LoRAs: "
            f"{list(one.shape)}, {list(two.shape)}.", "Merge those of one base.",
        )  # fmt: skip
    return one + two.reshape(one.shape) if one.dim() >= two.dim() else one.reshape(two.shape) + two


def _names(first: Share) -> Names:
    """Those of the first, or of a LoRA with its dialect."""
    tensors, module = first.patch.tensors, first.patch.module
    if module.algorithm == "lora":
        return Names(tensors["lora.a"], tensors["lora.b"], tensors.get("extra.alpha"))
    return Names.of(module.name, "peft" if module.place.group[0] in ("diffusers", "peft") else "kohya")


def _widest(dtypes: Sequence[str]) -> str:
    """A dtype that holds all of these numbers as they are."""
    found = {*dtypes}
    return "F32" if found >= _MIXED else max(found, key=_WIDTHS.index)


def _elements(group: Group) -> int:
    """What a module takes in memory while it is made, at most."""
    if group.how == "copy":
        return 0
    stored = sum(prod(shape) for share in group.shares for shape in share.patch.module.parts.values())
    shape = layer_shape(group.shares[0].network, group.shares[0].patch)
    is_thin = group.how == "product" and all(share.patch.module.algorithm == "lora" for share in group.shares)
    return stored if is_thin else stored + prod(shape or ())
