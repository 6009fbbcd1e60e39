"""Fit: how the modules of an adapter meet the layers of a model, by names and shapes alone; equal for equal layouts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any

from modelhub.catalog.adapter_names import Place
from modelhub.catalog.adapters import Module
from modelhub.lora.checking.answer import Mismatch
from modelhub.lora.checking.relations import marks
from modelhub.lora.fitting import APPLIED, Fate, fate, meant
from modelhub.lora.layers import LABELS, Layer, Layers
from modelhub.lora.vocabulary import pattern
from modelhub.text import brief

if TYPE_CHECKING:
    from modelhub.catalog.adapters import Adapter

#: Kinds of failures that are kept, each with one module as its example.
_MOST = 12
#: Columns of the names that files chose.
_NAME = 160
#: What is worst comes first.
_WORST = ("dim-mismatch", "missing-module", "incomplete", "unknown-name", "reshape", "missing-component")


@dataclass(frozen=True, slots=True)
class Fit:
    """Modules by component ("unet", "te1", "te2", "t5") and state ("ok", …), and the worst mismatches.

    `marks` counts modules by mark and state: those of `catalog/relations.toml`, "input" for layers that the model's
    input goes through first, "auxiliary" for norms and biases. `sized` is False where the sizes of the model cannot be
    known from its header (some quantised ones): states are of names then.
    """

    counts: Mapping[str, Mapping[str, int]]
    mismatches: tuple[Mismatch, ...] = ()
    marks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    sized: bool = True
    _totals: dict[tuple[tuple[str, ...], str | None], int] = field(default_factory=dict, compare=False, repr=False)

    def total(self, *states: str, component: str | None = None) -> int:
        """How many modules are in these states (all of them without one), in one component or in all."""
        found = self._totals.get((states, component))  # one fit is asked for thousands of pairs
        if found is None:
            tables = self.counts.values() if component is None else [self.counts.get(component, {})]
            found = sum(count for table in tables for state, count in table.items() if not states or state in states)
            self._totals[states, component] = found
        return found

    def marked(self, mark: str, *states: str) -> int:
        """How many modules with a mark are in these states (in any without one)."""
        return sum(count for state, count in self.marks.get(mark, {}).items() if not states or state in states)

    def as_json(self) -> list[Any]:
        """Plain values, small: for a cache."""
        return [self.counts, [astuple(one) for one in self.mismatches], self.marks, self.sized]

    @staticmethod
    def of_json(plain: list[Any]) -> Fit:
        """What `as_json` gave."""
        counts, mismatches, marked, sized = plain
        return Fit(counts, tuple(Mismatch(*one) for one in mismatches), marked, sized)


def fit(adapter: Adapter, layers: Layers, *, sized: bool = True) -> Fit:
    """Every module of the adapter against the layers of one model. `sized=False` compares names only.

    The order of the modules makes no difference.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    marked: defaultdict[str, Counter[str]] = defaultdict(Counter)
    failures: defaultdict[tuple[str, str, str], list[tuple[str, Fate]]] = defaultdict(list)
    for module in adapter.modules:
        found = fate(module, layers, sized=sized)
        label = _label(module.place, found.layer, layers)
        counts[label][found.state] += 1
        for mark in _marks(module, label):
            marked[mark][found.state] += 1
        if found.state != "ok":
            failures[found.state, label, pattern(module.place.flat)].append((module.name, found))
    mismatches = tuple(_mismatches(failures))
    return Fit(_sorted(counts), mismatches, _sorted(marked), sized)


def _sorted(counts: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {name: dict(sorted(counts[name].items())) for name in sorted(counts, key=lambda one: (one != "unet", one))}


def _label(place: Place, layer: Layer | None, layers: Layers) -> str:
    """The component that a module is of: that of its layer, else what its name means."""
    if layer is not None:
        return layer.label
    components = meant(place)
    return next(iter(layers.present(components)), LABELS[components[0]][0])


def _marks(module: Module, label: str) -> Iterator[str]:
    if label != "unet":
        return
    place = module.place
    if place.input:
        yield "input"
    if module.algorithm == "norm" or (module.algorithm == "diff" and not module.kind.votes):
        yield "auxiliary"
    yield from (name for name, fits in marks() if fits.search(place.flat))


def _mismatches(failures: Mapping[tuple[str, str, str], list[tuple[str, Fate]]]) -> Iterator[Mismatch]:
    """One example of each kind of failure, the worst first, then those of which there are most."""
    order = sorted(failures, key=lambda key: (_WORST.index(key[0]), key[1] != "unet", -len(failures[key]), key))
    for state, label, like in order[:_MOST]:
        name, found = min(failures[state, label, like], key=lambda one: one[0])
        yield _mismatch(state, label, name, found, len(failures[state, label, like]))


def _mismatch(state: str, label: str, name: str, found: Fate, count: int) -> Mismatch:
    lora = found.say if state in ("dim-mismatch", "reshape") else ""
    checkpoint = layer_words(found.layer) if found.layer is not None else ""
    return Mismatch(label, state, brief(name, _NAME), lora, checkpoint, _say(state, name, found, checkpoint), count)


def _say(state: str, name: str, found: Fate, checkpoint: str) -> str:
    """All of a mismatch in a line."""
    said = {
        "dim-mismatch": f"LoRA {found.say}, checkpoint {checkpoint}",
        "reshape": f"{found.say}: {checkpoint}",
        "missing-component": "the checkpoint has no such component",
        "missing-module": found.say or "the checkpoint has no such layer",
        "unknown-name": "no known model has a layer of that name",
        "incomplete": found.say,
    }
    return f"{brief(name, _NAME)}: {said[state]}"


def layer_words(layer: Layer) -> str:
    """A layer as the file has it: `….attn2.to_k.weight [320, 1024]`, of a part of a tensor with its rows."""
    first = layer.stretches[0]
    of_whole = layer.turned or (len(layer.stretches) == 1 and first.start == 0)
    rows = "" if of_whole else f" rows {first.start} to {first.start + first.count - 1}"
    return f"{brief(layer.tensor, _NAME)}{rows} {list(layer.shape)}"


def applied(counts: Iterable[Mapping[str, int]]) -> int:
    """How many modules of some components can be applied."""
    return sum(count for table in counts for state, count in table.items() if state in APPLIED)
