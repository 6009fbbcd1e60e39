"""A merge beside its parents, on the same seeds: which one it is nearer to, what differs, and what is broken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelhub.errors import UsageError
from modelhub.preview.checking.distances import Distance, Shot, distance
from modelhub.preview.checking.figures import Figures, figures
from modelhub.preview.checking.wording import by_seed, difference, outside, sentence, the_same
from modelhub.text import brief

#: Below this part of the distance between two parents a merge shows as one of them.
_SAME = 0.05
#: Beyond this many times the distance between two parents a merge is unlike both.
_UNLIKE = 1.5
#: A merge is told to be nearer to a parent if its distance is at most this part of that to the next one.
_NEARER = 0.9
_ALL_BROKEN = "as its parents, broken"


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
    """A merge against its parents on all seeds. `verdict` is broken, outside (of what its parents span), or fine.

    `sentences` say why, which parent it is nearer to on which seeds, how it differs from each, and which pictures of
    parents look wrong.
    """

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

    def lines(self, at: str = "") -> Iterator[str]:
        """What a person gets to read; `at` says what else the pictures have in common."""
        yield f"{brief(f'{self.merge}, {at}' if at else self.merge)}: {self.verdict}"
        for one in self.sentences:
            yield f"  {one}"


def compare(merge: str, pictures: Mapping[str, Mapping[int, Shot]]) -> Report:
    """Compare the pictures of the model `merge` with those of all others, seed by seed.

    `pictures` is model to seed to picture; all have the same seeds, and one size per seed. Raises UsageError where
    they have not.
    """
    parents = [name for name in pictures if name != merge]
    _check(merge, parents, pictures)
    seeds = [_seed(seed, merge, {name: shots[seed] for name, shots in pictures.items()}) for seed in pictures[merge]]
    broken = [*_broken(merge, seeds)]
    whole = [one.figures for one in seeds if not any(one.warnings.values())]
    left = [*outside(merge, parents, whole)] if whole else []
    sentences = [*broken, *left, *_nearness(merge, seeds), *_differences(merge, parents, seeds)]
    for name in parents:
        sentences += _broken(name, seeds, f"{brief(name, 40)} is broken")
    return Report(merge, parents, seeds, _whole_verdict(merge, parents, seeds, bool(left)), sentences)


def _check(merge: str, parents: Sequence[str], pictures: Mapping[str, Mapping[int, Shot]]) -> None:
    if merge not in pictures or not parents or not pictures[merge]:
        raise UsageError("A comparison needs pictures of a merge and of one parent at least.", "Render some of both.")
    for name in parents:
        if set(pictures[name]) != set(pictures[merge]):
            raise UsageError(
                f"The pictures of {brief(name)} have other seeds than those of {brief(merge)}.",
                "Render all models with the same seeds.",
            )


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
        return _ALL_BROKEN if same else f"broken: {warnings[merge][0].partition(':')[0].rstrip('.')}"
    closest = min(distances, key=lambda name: distances[name].whole)
    if distances[closest].whole <= _SAME * max(span, 0.1):
        return the_same(closest)
    if span and distances[closest].whole > _UNLIKE * span:
        return "unlike all its parents"
    if len(distances) == 1:
        return f"other than {brief(closest, 40)}"
    return f"nearer to {brief(nearest, 40)}" if nearest else "between its parents"


def _whole_verdict(merge: str, parents: Sequence[str], seeds: Sequence[SeedReport], left: bool) -> str:
    """Broken where most pictures are, though those of a parent are not; outside where some are, or figures are."""
    worse = [one for one in seeds if one.warnings[merge] and not all(one.warnings[name] for name in parents)]
    if worse and len(worse) * 2 >= len(seeds):
        return "broken"
    return "outside" if left or worse else "fine"


def _broken(name: str, seeds: Sequence[SeedReport], what: str = "Broken") -> Iterator[str]:
    """What looks wrong with the pictures of a model, and on which seeds."""
    said = {one.seed: one.warnings[name][0] for one in seeds if one.warnings[name]}
    for warning, where in by_seed(said):
        yield f"{what} {where}: {warning}"


def _nearness(merge: str, seeds: Sequence[SeedReport]) -> Iterator[str]:
    """Where the pictures stand between the parents, and on which seeds; broken ones were told of."""
    said = {one.seed: one.verdict for one in seeds if not one.warnings[merge]}
    if said:
        yield sentence(f"{'; '.join(f'{verdict} {where}' for verdict, where in by_seed(said))}.")
    for _, where in by_seed({one.seed: "" for one in seeds if one.verdict == _ALL_BROKEN}):
        yield f"Its parents are no better {where}: the cause is in a parent, or in the settings."


def _differences(merge: str, parents: Sequence[str], seeds: Sequence[SeedReport]) -> Iterator[str]:
    """How the merge differs from each parent, on the mean of those seeds where neither is broken."""
    for name in parents:
        whole = [one for one in seeds if not one.warnings[merge] and not one.warnings[name]]
        if any(one.verdict != the_same(name) for one in whole):
            yield difference(merge, name, [one.figures for one in whole])
