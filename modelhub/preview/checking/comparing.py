"""A merge beside its parents, on the same seeds: which one it is nearer to, and whether it fell out of their range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from modelhub.errors import UsageError
from modelhub.preview.checking.figures import Figures, Floats, Pixels, cells, figures
from modelhub.preview.checking.looks import looks
from modelhub.text import brief, plural

if TYPE_CHECKING:
    from torch import Tensor

#: Figures that are compared, and by how much of the parents' range and of the value a merge may leave it unsaid.
_COMPARED: Mapping[str, str] = {
    "saturation": "saturation",
    "contrast": "contrast",
    "detail": "detail",
    "mean": "brightness",
}
_ROOM, _SLACK = 0.35, 0.25
#: Below this part of the distance between two parents a merge shows as one of them.
_SAME = 0.05
#: A merge is told to be nearer to a parent if its distance is at most this part of that to the next one.
_NEARER = 0.9


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture of one model: pixels [H, W, 3], the latents [C, h, w] if they are at hand.

    `warnings` are what is known to be wrong with it; None: the picture is looked at.
    """

    pixels: Pixels
    latents: Tensor | None = None
    warnings: tuple[str, ...] | None = None

    @property
    def wrong(self) -> tuple[str, ...]:
        """Sentences about what cannot be right."""
        return looks(self.pixels, self.latents) if self.warnings is None else self.warnings


@dataclass(frozen=True, slots=True)
class Distance:
    """How far two pictures of one seed are apart, 0 for equal ones.

    `pixels` is the root mean square of all differences, 0 to 255; `structure` is 1 minus the correlation of the means
    of 8 x 8 pixels, 0 to 2; `latents` the root mean square of the differences of the latents in their own spread.
    """

    pixels: float
    structure: float
    latents: float | None

    @property
    def whole(self) -> float:
        """One number to sort by: half of it the pixels (as a part of 255), half the structure."""
        return self.pixels / 255 + self.structure / 2

    def as_dict(self) -> dict[str, float | None]:
        """Plain values for JSON."""
        latents = None if self.latents is None else round(self.latents, 4)
        return {"pixels": round(self.pixels, 3), "structure": round(self.structure, 4), "latents": latents}


@dataclass(frozen=True, slots=True)
class SeedReport:
    """The pictures of one seed: distances of the merge to each parent, figures and warnings of all, and a verdict.

    `nearest` is the parent that the merge is clearly nearer to, None where none is.
    """

    seed: int
    distances: Mapping[str, Distance]
    figures: Mapping[str, Figures]
    warnings: Mapping[str, Sequence[str]]
    nearest: str | None
    verdict: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "seed": self.seed,
            "distances": {name: one.as_dict() for name, one in self.distances.items()},
            "figures": {name: one.as_dict() for name, one in self.figures.items()},
            "warnings": {name: list(one) for name, one in self.warnings.items()},
            "nearest": self.nearest,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """A merge against its parents on all seeds. `verdict` is broken, outside, or fine; `sentences` say why."""

    merge: str
    parents: Sequence[str]
    seeds: Sequence[SeedReport]
    verdict: str
    sentences: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "merge": self.merge,
            "parents": list(self.parents),
            "verdict": self.verdict,
            "sentences": list(self.sentences),
            "seeds": [one.as_dict() for one in self.seeds],
        }

    def lines(self) -> Iterator[str]:
        """What a person gets to read."""
        yield f"{brief(self.merge)}: {self.verdict}"
        for sentence in self.sentences:
            yield f"  {sentence}"
        for one in self.seeds:
            near = ", ".join(f"{brief(name, 30)} {each.whole:.3f}" for name, each in one.distances.items())
            yield f"  seed {one.seed}: {one.verdict}; distance to {near}"
        for name in (self.merge, *self.parents):
            means = ", ".join(f"{word} {self._mean(name, key):.1f}" for key, word in _COMPARED.items())
            yield f"  {brief(name, 30)}: {means}"

    def _mean(self, name: str, figure: str) -> float:
        return fmean(getattr(one.figures[name], figure) for one in self.seeds)


def compare(merge: str, pictures: Mapping[str, Mapping[int, Shot]]) -> Report:
    """Compare the pictures of the model `merge` with those of all others, seed by seed.

    `pictures` is model to seed to picture; all have the same seeds, and one size per seed. Raises UsageError where
    they have not.
    """
    parents = [name for name in pictures if name != merge]
    _check(merge, parents, pictures)
    seeds = [_seed(seed, merge, {name: shots[seed] for name, shots in pictures.items()}) for seed in pictures[merge]]
    verdict, sentences = _judge(merge, parents, seeds)
    return Report(merge, parents, seeds, verdict, sentences)


def distance(one: Shot, other: Shot) -> Distance:
    """How far two pictures of one size are apart. Raises UsageError for two sizes."""
    if one.pixels.shape != other.pixels.shape:
        shapes = " and ".join(f"{shot.pixels.shape[1]}x{shot.pixels.shape[0]}" for shot in (one, other))
        raise UsageError(f"Pictures of {shapes} pixels cannot be compared.", "Render all models at one size.")
    left, right = (shot.pixels.astype(np.float32) for shot in (one, other))
    return Distance(
        pixels=float(np.sqrt(np.square(left - right).mean())),
        structure=1 - _correlation(cells(left), cells(right)),
        latents=_apart(one.latents, other.latents),
    )


def _check(merge: str, parents: Sequence[str], pictures: Mapping[str, Mapping[int, Shot]]) -> None:
    if merge not in pictures or not parents or not pictures[merge]:
        raise UsageError("A comparison needs pictures of a merge and of one parent at least.", "Render some of both.")
    for name in parents:
        if set(pictures[name]) != set(pictures[merge]):
            raise UsageError(
                f"The pictures of {brief(name)} have other seeds than those of {brief(merge)}.",
                "Render all models with the same seeds.",
            )


def _correlation(one: Floats, other: Floats) -> float:
    """The correlation of two arrays, all channels together; of two that are constant 1, of one that is 0."""
    left, right = (np.asarray(each, dtype=np.float64).ravel() for each in (one, other))
    left, right = left - left.mean(), right - right.mean()
    spread = float(np.sqrt(np.square(left).sum() * np.square(right).sum()))
    if spread < 1e-9:
        return 1.0 if np.allclose(one, other) else 0.0
    return float((left * right).sum() / spread)


def _apart(one: Tensor | None, other: Tensor | None) -> float | None:
    if one is None or other is None or one.shape != other.shape:
        return None
    left, right = (each.detach().float().cpu() for each in (one, other))
    spread = float((left.var() + right.var()).sqrt()) or 1.0
    found = float((left - right).square().mean().sqrt()) / spread
    return found if np.isfinite(found) else None


def _seed(seed: int, merge: str, shots: Mapping[str, Shot]) -> SeedReport:
    own = shots[merge]
    distances = {name: distance(own, shot) for name, shot in shots.items() if name != merge}
    measured = {name: figures(shot.pixels) for name, shot in shots.items()}
    warnings = {name: shot.wrong for name, shot in shots.items()}
    nearest = _nearest(distances)
    verdict = _verdict(merge, distances, warnings, nearest, _between(merge, shots))
    return SeedReport(seed, distances, measured, warnings, nearest, verdict)


def _nearest(distances: Mapping[str, Distance]) -> str | None:
    """The parent that is clearly nearer than all others."""
    ranked = sorted(distances, key=lambda name: distances[name].whole)
    if len(ranked) < 2 or distances[ranked[0]].whole <= _NEARER * distances[ranked[1]].whole:
        return ranked[0]
    return None


def _between(merge: str, shots: Mapping[str, Shot]) -> float:
    """The largest distance between two parents; 0 for only one."""
    parents = [shot for name, shot in shots.items() if name != merge]
    return max((distance(one, other).whole for at, one in enumerate(parents) for other in parents[:at]), default=0.0)


def _verdict(
    merge: str,
    distances: Mapping[str, Distance],
    warnings: Mapping[str, Sequence[str]],
    nearest: str | None,
    span: float,
) -> str:
    """One of: broken, as broken as its parents, the same as a parent, nearer to one, between them, unlike all."""
    if warnings[merge]:
        same = all(warnings[name] for name in distances)
        return "as its parents, broken" if same else f"broken: {warnings[merge][0].partition(':')[0].rstrip('.')}"
    closest = min(distances, key=lambda name: distances[name].whole)
    if distances[closest].whole <= _SAME * max(span, 0.1):
        return f"the same as {brief(closest, 40)}"
    if span and distances[closest].whole > 1.5 * span:
        return "unlike all parents"
    return f"nearer to {brief(nearest, 40)}" if nearest else "between its parents"


def _judge(merge: str, parents: Sequence[str], seeds: Sequence[SeedReport]) -> tuple[str, list[str]]:
    """The verdict on all seeds, with the sentences that say why."""
    broken = [one for one in seeds if one.warnings[merge]]
    worse = [one for one in broken if not all(one.warnings[name] for name in parents)]
    sentences = (
        [f"{plural(len(broken), 'picture')} of {len(seeds)} cannot be right: {broken[0].warnings[merge][0]}"]
        if broken
        else []
    )
    if broken and not worse:
        sentences.append("Those of its parents are no better: the cause is in a parent, or in the settings.")
    outside = list(_outside(merge, parents, seeds))
    sentences += outside
    if not sentences:
        sentences.append(_summary(seeds))
    return (
        "broken" if len(worse) * 2 >= len(seeds) and worse else "outside" if outside or worse else "fine"
    ), sentences


def _outside(merge: str, parents: Sequence[str], seeds: Sequence[SeedReport]) -> Iterator[str]:
    """Figures in which a merge lies outside what its parents span, by more than a part of it or of the value itself."""
    for key, word in _COMPARED.items():
        own = fmean(getattr(one.figures[merge], key) for one in seeds)
        theirs = [fmean(getattr(one.figures[name], key) for one in seeds) for name in parents]
        low, high = min(theirs), max(theirs)
        room = _ROOM * (high - low) + _SLACK * high
        if own < low - room or own > high + room:
            way = "less" if own < low else "more"
            yield f"It has {way} {word} than all its parents: {own:.1f}, theirs {low:.1f} to {high:.1f}."


def _summary(seeds: Sequence[SeedReport]) -> str:
    counts: dict[str, int] = {}
    for one in seeds:
        counts[one.verdict] = counts.get(one.verdict, 0) + 1
    most = sorted(counts, key=lambda verdict: -counts[verdict])
    return "; ".join(f"{plural(counts[verdict], 'picture')} {verdict}" for verdict in most) + "."
