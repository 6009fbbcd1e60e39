"""Rename: an adapter under the names of another dialect, kohya's or PEFT's; values stay where the form lets them.

Both names of a layer are looked up in one model, so what is one matrix here and three there is cut or joined. PEFT's
files have no alpha: where it is not the rank, the scale goes into the factor at the output, which becomes fp32.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

from modelhub.catalog.keymaps import adapter_table
from modelhub.catalog.opener import Parent
from modelhub.catalog.plain import read
from modelhub.errors import IncompatibleError, UsageError
from modelhub.formats.source import TensorSource
from modelhub.lora.configured import Configured
from modelhub.lora.layers import Layer, Layers
from modelhub.lora.making.factors import BIAS, Joint, Share, Span, factors_reason
from modelhub.lora.making.metadata import changed_metadata
from modelhub.lora.making.renamed import Entry, Renamed
from modelhub.lora.names import Dialect, Named, named_layers
from modelhub.lora.network import ALPHA, SCALAR, Network, Patch
from modelhub.lora.reference import reference_for
from modelhub.text import brief, few, plural

if TYPE_CHECKING:
    import torch

_STRANGE = "no layer of this name is known"


@dataclass(frozen=True)
class Renaming:
    """An adapter under other names: `view` is it, as a source; `modules` are those of the file that it is made of.

    `made` counts new modules by what became of their factors: "kept", "cut", "joined", "folded" (their scale is part of
    a factor). `left` are modules, and tensors that belong to none, that have no place there, and why.
    """

    view: TensorSource
    modules: int
    made: Mapping[str, int]
    left: Mapping[str, str] = field(default_factory=dict)

    def network(self, name: str) -> Network:
        """The adapter in the view; what a configuration said of it, also beside its file, is in the tensors now."""
        return Network(self.view, name, Configured({}))


def rename(network: Network, layers: Layers, dialect: Dialect, *, skip: bool = False) -> Renaming:
    """`network` under the names of `dialect`, for models with `layers`. The view reads, and closes, its source.

    Raises IncompatibleError for modules that have no name there, or no form; with `skip` they are left out, but not all
    of them.
    """
    planned = _Plan(network, layers, dialect)
    if planned.left and (not skip or not planned.shares):
        raise _refusal(planned, network.name, dialect)
    entries, made = [], Counter[str]()
    for index in sorted(planned.shares, key=planned.order):
        found, what = planned.entries(index)
        entries += found
        made[what] += 1
    about = f"renamed to the names of {dialect} by modelhub"
    view = Renamed(network.source, entries, changed_metadata(network.metadata, about))
    return Renaming(view, len(network.patches) - planned.lost, dict(made), planned.left)


def layers_for(network: Network, model: Parent | None, base: str | None = None) -> Layers:
    """The layers that names are looked up in: of `model`, or of the architecture `base` as it was released.

    Without either the modules tell what it is for. Raises UsageError for a LoRA in place of a model, and as
    `reference_for`.
    """
    if model is None:
        return reference_for(network.adapter, network.name, base)
    reading = read(model)
    if reading.identity.kind == "lora":
        raise UsageError(f"{model.path} is a LoRA, no model.", "Name a checkpoint that it is for.")
    return Layers(reading.source.header, reading.identity)


def _refusal(planned: _Plan, name: str, dialect: str) -> IncompatibleError:
    reasons: dict[str, list[str]] = defaultdict(list)
    for module, reason in planned.left.items():
        reasons[reason].append(module)
    told = "; ".join(f"{few(names)} ({reason})" for reason, names in reasons.items())
    every = plural(len(planned.left), "part")
    hint = "Leave them out with --skip." if planned.shares else "Name the model that it is for with --base or --for."
    return IncompatibleError(f"{every} of {brief(name)} cannot be named as {dialect} does: {told}.", hint)


class _Plan:
    """Which modules go where: `shares` of each goal, by its place among the names of the dialect."""

    def __init__(self, network: Network, layers: Layers, dialect: Dialect) -> None:
        self._network, self._layers, self._dialect = network, layers, dialect
        self._endings: Mapping[str, str] = adapter_table()["written"][dialect]["endings"]
        self._goals = list(named_layers(layers, dialect, every=True))
        self._by_tensor = _by_tensor(self._goals)
        self.shares: dict[int, list[Share]] = {}
        used = {tensor for patch in network.patches for tensor in patch.tensors.values()}
        strays = [name for name in network.source.header.tensors if name not in used]
        self.left: dict[str, str] = dict.fromkeys(strays, "it is of no module")
        self._order: dict[int, int] = {}
        for at, patch in enumerate(network.patches):
            self._place(patch, at)
        while sum(self._check(index) for index in [*self.shares]):
            pass

    @property
    def lost(self) -> int:
        """How many modules are left out."""
        return sum(patch.module.name in self.left for patch in self._network.patches)

    def order(self, index: int) -> int:
        """Goals come in the order of the modules that they are made of."""
        return self._order[index]

    def _place(self, patch: Patch, at: int) -> None:
        """Find the goals of a module, which must take all of its rows."""
        module = patch.module
        layer = None if module.incomplete else self._layers.find(module.place)
        if layer is None:
            self.left[module.name] = "one of its factors is missing" if module.incomplete else _STRANGE
            return
        indexes = dict.fromkeys(index for one in layer.stretches for index in self._by_tensor[one.tensor])
        found = {index: spans for index in indexes if (spans := spans_of(self._goals[index].layer, layer))}
        if sum(span.size for spans in found.values() for span in spans) < sum(one.count for one in layer.stretches):
            self.left[module.name] = _STRANGE
            return
        for index, spans in found.items():
            self.shares.setdefault(index, []).append(Share(self._network, patch, layer, spans))
            self._order.setdefault(index, at)

    def _check(self, index: int) -> bool:
        """Leave modules out of a goal that are left out elsewhere, and all of one that cannot get its form."""
        before = self.shares[index]
        shares = [share for share in before if share.patch.module.name not in self.left]
        reason = self._reason(self._goals[index].layer, shares) if shares else ""
        if reason:
            self.left |= {share.patch.module.name: reason for share in shares}
        if reason or not shares:
            del self.shares[index]
        else:
            self.shares[index] = shares
        return bool(reason) or len(shares) < len(before)

    def _reason(self, goal: Layer, shares: Sequence[Share]) -> str:
        """Why a goal cannot have its form, "" if it can."""
        whole, first = is_whole(goal, shares), shares[0]
        if whole and self._keeps(first):
            return ""
        if BIAS not in self._endings and any(share.has(BIAS) for share in shares):
            return "there is no name for the bias of a factor"
        if whole and self._dialect == "kohya" and not first.dora:
            return f"there is no name for its {few(self._unnamed(first))}"
        return factors_reason(shares, goal.shape[0], whole=whole)

    def _keeps(self, share: Share) -> bool:
        """Whether every part of a module has a name in the dialect, and says all that is to be said."""
        has_alpha = ALPHA in self._endings or (share.patch.module.algorithm == "lora" and share.scale == 1.0)
        return has_alpha and not self._unnamed(share)

    def _unnamed(self, share: Share) -> list[str]:
        known = self._endings.keys() | (set() if ALPHA in self._endings else {ALPHA, SCALAR})
        return [part for part in share.patch.tensors if part not in known]

    def entries(self, index: int) -> tuple[list[Entry], str]:
        """The tensors of a goal, and what became of its factors."""
        goal, shares = self._goals[index], self.shares[index]
        found, what = self._entries(goal, shares)
        return [self._shaped(entry, goal) for entry in found], what

    def _shaped(self, entry: Entry, goal: Named) -> Entry:
        """A factor as PEFT wants it: with as many dimensions as its layer has; the bytes are the same."""
        for part in ("lora.a", "lora.b") if self._dialect == "peft" else ():
            if entry.name == goal.module + self._endings[part]:
                return entry._replace(shape=_as_layer(entry.shape, goal.layer.shape, inner=part == "lora.a"))
        return entry

    def _entries(self, goal: Named, shares: Sequence[Share]) -> tuple[list[Entry], str]:
        whole = is_whole(goal.layer, shares)
        if whole and self._keeps(shares[0]):
            return list(self._kept(goal, shares[0])), "kept"
        joint = Joint.of(shares, goal.layer.shape[0], whole=whole, has_alpha=ALPHA in self._endings)
        what = "joined" if len(shares) > 1 else "folded" if whole and joint.fold else "kept" if whole else "cut"
        return list(self._joint(goal, joint)), what

    def _kept(self, goal: Named, share: Share) -> Iterator[Entry]:
        """All parts as they are, and the scale that only PEFT's configuration has."""
        for part, tensor in share.patch.tensors.items():
            if part in self._endings:
                info = self._network.source.info(tensor)
                yield Entry(goal.module + self._endings[part], info.dtype, info.shape, tensor)
        outer = self._network.outer(share.patch)
        if ALPHA in self._endings and not share.has(ALPHA) and share.patch.module.algorithm == "lora":
            outer[ALPHA] = share.alpha
        yield from (_number(goal.module + self._endings[part], value) for part, value in outer.items())

    def _joint(self, goal: Named, joint: Joint) -> Iterator[Entry]:
        first = joint.shares[0]
        yield joint.down(goal.module + self._endings["lora.a"])
        yield joint.up(goal.module + self._endings["lora.b"])
        if first.dora:
            yield self._dora(goal, joint)
        if first.has(BIAS):
            yield joint.bias(goal.module + self._endings[BIAS])
        if ALPHA in self._endings:
            yield _number(goal.module + self._endings[ALPHA], joint.alpha)

    def _dora(self, goal: Named, joint: Joint) -> Entry:
        """Lengths are a column for kohya, for PEFT a row, or channels of a picture."""
        first = joint.shares[0]
        rows = prod(first.shape(first.dora)) if joint.whole else joint.rows
        ones = (1,) * (len(first.shape("lora.a")) - 2)
        if "extra.dora" in self._endings:
            return joint.dora(goal.module + self._endings["extra.dora"], (rows, 1, *ones))
        return joint.dora(goal.module + self._endings["extra.magnitude"], (1, rows, *ones) if ones else (rows,))


def _number(name: str, value: float) -> Entry:
    """A tensor of one number."""

    def make() -> torch.Tensor:
        import torch

        return torch.tensor(value, dtype=torch.float64)

    return Entry(name, "F32", (), make=make)


def _as_layer(shape: tuple[int, ...], layer: tuple[int, ...], *, inner: bool) -> tuple[int, ...]:
    """The shape of a factor for a layer: kernels of one pixel more or less, or a flattened kernel in its own shape."""
    if len(layer) == 2 and len(shape) == 4 and shape[2:] == (1, 1):
        return shape[:2]
    if len(layer) != 4 or len(shape) != 2:
        return shape
    if inner and shape[1] == prod(layer[1:]):
        return (shape[0], *layer[1:])
    return (*shape, 1, 1)


def _by_tensor(goals: Sequence[Named]) -> defaultdict[str, list[int]]:
    found: defaultdict[str, list[int]] = defaultdict(list)
    for index, goal in enumerate(goals):
        for tensor in dict.fromkeys(one.tensor for one in goal.layer.stretches):
            found[tensor].append(index)
    return found


def spans_of(goal: Layer, layer: Layer) -> tuple[Span, ...]:
    """The rows that two layers have in common; none if one of them has them turned."""
    found: list[Span] = []
    at = 0
    for want in goal.stretches if goal.turned == layer.turned else ():
        start = 0
        for have in layer.stretches:
            low, high = max(want.start, have.start), min(want.start + want.count, have.start + have.count)
            if want.tensor == have.tensor and low < high:
                found.append(Span(at + low - want.start, start + low - have.start, high - low))
            start += have.count
        at += want.count
    return tuple(_merged(sorted(found)))


def _merged(spans: Sequence[Span]) -> Iterator[Span]:
    """Spans that go on where another ends as one."""
    last: Span | None = None
    for span in spans:
        if last is not None and span.at - last.at == span.start - last.start == last.size:
            last = last._replace(size=last.size + span.size)
        else:
            if last is not None:
                yield last
            last = span
    if last is not None:
        yield last


def is_whole(goal: Layer, shares: Sequence[Share]) -> bool:
    """Whether one module is all of a goal, row by row."""
    rows = sum(one.count for one in goal.stretches)
    return len(shares) == 1 and shares[0].spans == (Span(0, 0, rows),) == (
        Span(0, 0, sum(one.count for one in shares[0].layer.stretches)),
    )
