"""What `explain` answers: fits of components, blocks and tensors as plain rows, and the form that they add up to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from modelhub.merge.explain.fitting import Fit
from modelhub.merge.explain.forms import Form
from modelhub.merge.explain.parts import Part
from modelhub.merge.explain.verdicts import Verdict, verdict
from modelhub.merge.recipes.recipe import Recipe

By = Literal["component", "block", "tensor"]
_ORDER: tuple[Verdict, ...] = ("exact to rounding", "good", "cannot tell", "partly", "not from these")


@dataclass(frozen=True)
class Row:
    """One fit. `weights` and their standard `errors` are by the parents' letters; an error is None if it is boundless.

    `residual`: what is not explained, as a share of the way from the `nearest` parent; `rounding`: the same as a
    multiple of what rounding must leave; `distance`: how far the nearest parent is, as a share of the merge's size.
    `same`: the parents that it equals, value by value; `apart`: those that cannot be told apart here.
    """

    component: str
    block: str | None
    tensor: str | None
    elements: int
    verdict: Verdict
    weights: dict[str, float]
    errors: dict[str, float | None]
    residual: float
    rounding: float
    nearest: str
    distance: float
    same: tuple[str, ...] = ()
    apart: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A parent that was tried, under its letter."""

    key: str
    name: str
    path: str
    sha256: str | None


@dataclass(frozen=True)
class Explanation:
    """What a model was merged from. `words` say it in sentences; `recipe` makes it again, where the fit is exact.

    `alphas` are the block weights in the architecture's order and `preset` their name; `skipped` gives for each reason
    the tensors that were not compared; `beside` says of how many other tensors each parent has the same.
    """

    name: str
    architecture: str | None
    parents: tuple[Candidate, ...]
    verdict: Verdict
    form: Form
    words: tuple[str, ...]
    recipe: Recipe | None
    preset: str | None
    alphas: tuple[float | None, ...]
    parts: Mapping[str, Part] = field(repr=False)
    skipped: Mapping[str, Sequence[str]] = field(default_factory=dict)
    beside: Mapping[str, int] = field(default_factory=dict)
    besides: int = 0
    is_sampled: bool = False
    seconds: float = 0.0

    def rows(self, by: By = "block") -> list[Row]:
        """The fits of each component, of each block, or of each tensor."""
        return list(self._rows(by))

    def _rows(self, by: By) -> Iterator[Row]:
        keys = [one.key for one in self.parents]
        for name, part in self.parts.items():
            if by == "component":
                yield component_row(part, keys)
            elif by == "block":
                yield from (row(found, keys, name, block) for block, found in part.blocks.items())
            else:
                yield from (row(part.of_tensor(t), keys, name, part.block_of[t], t) for t in part.tensors)

    def as_dict(self, by: By = "block") -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "architecture": self.architecture,
            "parents": [asdict(one) for one in self.parents],
            "verdict": self.verdict,
            "form": self.form.kind,
            "words": list(self.words),
            "recipe": self.recipe.dumps() if self.recipe else None,
            "preset": self.preset,
            "alphas": list(self.alphas),
            "fits": [asdict(one) for one in self.rows(by)],
            "skipped": {why: list(names) for why, names in self.skipped.items()},
            "beside": dict(self.beside),
            "besides": self.besides,
            "sampled": self.is_sampled,
            "seconds": self.seconds,
        }


def component_row(part: Part, keys: Sequence[str]) -> Row:
    """A component with its blocks' own weights taken together; exact only where each of them is."""
    found = row(part.overall, keys, part.component)
    return found if part.exact or found.verdict != "exact to rounding" else replace(found, verdict="good")


def row(fit: Fit, keys: Sequence[str], component: str, block: str | None = None, tensor: str | None = None) -> Row:
    """A fit in the letters of the parents."""
    names = [keys[parent] for parent in fit.sums.parents]
    return Row(
        component,
        block,
        tensor,
        fit.sums.elements,
        verdict(fit),
        {name: float(weight) for name, weight in zip(names, fit.weights, strict=True)},
        {name: _finite(float(error)) for name, error in zip(names, fit.errors, strict=True)},
        fit.residual,
        fit.rounding,
        names[fit.near],
        (fit.distance / fit.sums.size) ** 0.5 if fit.sums.size else 0.0,
        tuple(name for name, same in zip(names, fit.sums.same, strict=True) if same),
        tuple(tuple(names[i] for i in sorted(group)) for group in fit.apart),
    )


def _finite(error: float) -> float | None:
    return error if error < float("inf") else None


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The least of several verdicts."""
    return max(verdicts, key=_ORDER.index)
