"""One module of each algorithm with random parts, and what it makes of a layer, whole and by windows of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from modelhub.lora.algorithms.applying import change_of
from modelhub.lora.algorithms.registry import Change, Given, algorithms

LINEAR, ONE, THREE = (8, 12), (8, 12, 1, 1), (8, 12, 3, 3)
LAYERS = {"linear": LINEAR, "conv 1x1": ONE, "conv 3x3": THREE}
#: What fp32 keeps of values around 1 that several products made.
CLOSE = {"rtol": 1e-5, "atol": 2e-6}

Parts = dict[str, np.ndarray[Any, Any]]


def values(seed: int, *shape: int) -> np.ndarray[Any, Any]:
    """Values around 0 that fp32 holds exactly, in fp64."""
    return np.random.default_rng([seed, *shape]).normal(0, 0.5, shape).astype(np.float32).astype(np.float64)


class Weight:
    """A weight whose rows are read as from a file; `reads` counts them."""

    def __init__(self, weight: np.ndarray[Any, Any]) -> None:
        self.matrix = torch.from_numpy(weight.astype(np.float32)).reshape(weight.shape[0], -1)
        self.reads: list[tuple[int, int]] = []

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape[0], self.matrix.shape[1]

    def rows(self, start: int, stop: int) -> torch.Tensor:
        self.reads.append((start, stop))
        return self.matrix[start:stop].clone()


def made(
    algorithm: str,
    parts: Mapping[str, np.ndarray[Any, Any]],
    weight: np.ndarray[Any, Any],
    settings: Mapping[str, object] | None = None,
) -> tuple[Change, Weight]:
    """The change of a layer with this weight."""
    tensors = {name: torch.from_numpy(np.asarray(part, np.float32)) for name, part in parts.items()}
    rows = Weight(weight)
    return change_of(algorithm, Given(tensors, weight.shape, settings or {}, "some.module"), rows), rows


def window(change: Change, rows: Weight, start: int, stop: int) -> torch.Tensor:
    """Some rows of a change."""
    before = rows.matrix[start:stop].clone()
    kept = before.clone()
    found = change.rows(start, stop, before if change.needs_weight else None)
    assert torch.equal(before, kept), "the rows that were lent are as they were"
    assert found.shape == before.shape
    return found


def delta(
    algorithm: str,
    parts: Mapping[str, np.ndarray[Any, Any]],
    weight: np.ndarray[Any, Any],
    settings: Mapping[str, object] | None = None,
) -> np.ndarray[Any, Any]:
    """The whole change of a layer, in the shape of its weight."""
    change, rows = made(algorithm, parts, weight, settings)
    return window(change, rows, 0, weight.shape[0]).numpy().astype(np.float64).reshape(weight.shape)


def step(algorithm: str, parts: Mapping[str, np.ndarray[Any, Any]], shape: tuple[int, ...]) -> int:
    """The rows that are made together."""
    return algorithms()[algorithm].step({name: part.shape for name, part in parts.items()}, shape)


def forms(shape: tuple[int, ...]) -> dict[str, tuple[str, Parts]]:
    """Form -> algorithm and parts for a layer [8, 12, ...]."""
    flat, ones, kernel = int(np.prod(shape[1:])), [1] * (len(shape) - 2), shape[2:]
    lora = {"a": values(1, 2, *shape[1:]), "b": values(2, 8, 2, *ones), "alpha": np.array(1.0)}
    found = {
        "lora": ("lora", lora),
        "dora out": ("lora", {**lora, "dora": np.abs(values(3, 8, 1, *ones))}),
        "dora in": ("lora", {**lora, "dora": np.abs(values(3, 1, 12, *ones))}),
        "loha": ("loha", {
            "w1_a": values(1, 8, 2), "w1_b": values(2, 2, flat), "w2_a": values(3, 8, 2), "w2_b": values(4, 2, flat),
        }),
        "lokr": ("lokr", {"w1": values(1, 2, 3), "w2_a": values(2, 4, 2), "w2_b": values(3, 2, flat // 3)}),
        "ia3 out": ("ia3", {"scale": values(1, 8), "on_input": np.array(0)}),
        "ia3 in": ("ia3", {"scale": values(1, 12), "on_input": np.array(1)}),
        "glora": ("glora", {
            "a1": values(1, 12, 2, *ones), "a2": values(2, 2, 12, *ones),
            "b1": values(3, 8, 2, *ones), "b2": values(4, 2, *shape[1:]),
        }),
        "oft": ("oft", {"blocks": values(1, 4, 2, 2), "rescale": values(2, 8, 1)}),
        "oft of columns": ("oft", {"skew": 0.3 * values(1, 3 * int(np.prod(kernel)), 6)}),
        "boft": ("oft", {"blocks": values(1, 2, 4, 2, 2)}),
        "boft of columns": ("oft", {"butterfly": values(1, 1, flat // 4, 4, 4), "stretch": values(2, 8, 1)}),
        "diff": ("diff", {"diff": values(1, *shape)}),
        "set": ("diff", {"set": values(1, *shape)}),
    }  # fmt: skip
    if kernel == (3, 3):
        sides = {f"w{side}_{end}": values(side, 2, 8 if end == "a" else 12) for side in (1, 2) for end in "ab"}
        cores = {f"t{side}": values(side + 2, 2, 2, *kernel) for side in (1, 2)}
        found |= {
            "tucker": ("lora", {"a": values(1, 2, 12, 1, 1), "b": values(2, 8, 2, 1, 1), "mid": values(3, 2, 2, 3, 3)}),
            "loha tucker": ("loha", {**sides, **cores}),
            "lokr tucker": ("lokr", {
                "w1": values(1, 2, 3), "t2": values(2, 2, 2, 3, 3), "w2_a": values(3, 2, 4), "w2_b": values(4, 2, 4),
            }),
        }  # fmt: skip
    return found


FORMS = [(name, shape) for shape in LAYERS.values() for name in forms(shape)]
