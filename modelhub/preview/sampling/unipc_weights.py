"""The weights of UniPC's predictor and corrector, from the distances of the levels and for its three variants."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from modelhub.errors import UsageError
from modelhub.preview.sampling.levels import Floats

_HALF: Floats = np.array([0.5])


@dataclass(frozen=True, slots=True)
class Weights:
    """What is taken off the first order step: `predictor` times the changes towards older looks, newest first.

    `corrector` has one more, for the change to the look ahead. `parts` are the places of the older looks in units of
    the step, all negative; a change is the difference to the newest look, divided by them.
    """

    parts: tuple[float, ...]
    predictor: tuple[float, ...]
    corrector: tuple[float, ...]


def weights(variant: str, log_sigmas: Sequence[float]) -> Weights:
    """Of a step to the last of `log_sigmas` from the one before it; those before are of older looks.

    With h the step in -log(sigma) all formulas are in -h: data prediction. Raises UsageError.
    """
    if variant not in _VARIANTS:
        raise UsageError(f"UniPC knows no variant '{variant}'.", f"Choose one of {', '.join(_VARIANTS)}.")
    *older, here, ahead = log_sigmas
    h = here - ahead
    parts = tuple((here - place) / h for place in reversed(older))
    predictor, corrector = _VARIANTS[variant](np.array([*parts, 1.0]), -h)
    return Weights(parts, tuple(predictor.tolist()), tuple(corrector.tolist()))


def _of_bh1(places: Floats, h: float) -> tuple[Floats, Floats]:
    """B(h) = h."""
    return _of_bh(places, h, h)


def _of_bh2(places: Floats, h: float) -> tuple[Floats, Floats]:
    """B(h) = e^h - 1."""
    return _of_bh(places, h, math.expm1(h))


def _of_bh(places: Floats, h: float, scale: float) -> tuple[Floats, Floats]:
    """Solves R rho = b, R_ij = r_j^(i-1), b_i = i! phi_(i+1) / B(h): Zhao et al. 2023, theorem 3.1.

    One unknown is 1/2, as in the authors' code.
    """
    order = len(places)
    phis = _phis(h, order + 1)[1:]
    right = np.array([phi * math.factorial(i) for i, phi in enumerate(phis, start=1)]) / scale
    powers = np.vander(places, increasing=True).T
    predictor = _HALF[: order - 1] if order <= 2 else _solved(powers[:-1, :-1], right[:-1])
    corrector = _HALF if order == 1 else _solved(powers, right)
    return scale * predictor, scale * corrector


def _solved(matrix: Floats, right: Floats) -> Floats:
    return np.linalg.solve(matrix, right).astype(np.float64)


def _of_varied(places: Floats, h: float) -> tuple[Floats, Floats]:
    """Varying coefficients: derivatives by the inverse of C_jk = r_j^(k-1) / k!, each times its phi.

    Zhao et al. 2023, appendix C. For the look ahead the authors' code takes one term of the sum; so do pictures.
    """
    order = len(places)
    phis = np.array(_phis(h, order + 1))
    factorials = np.array([math.factorial(k) for k in range(1, order + 1)])
    table = np.vander(places, increasing=True) / factorials
    predictor: Floats = phis[1:order] @ np.linalg.inv(table[:-1, :-1])
    inverse = np.linalg.inv(table)
    ahead = phis[order] * inverse[max(order - 2, 0), -1]
    return predictor, np.append(phis[1:order] @ inverse[: order - 1, :-1], ahead)


def _phis(h: float, count: int) -> list[float]:
    """h phi_k for k = 1, 2, ...: e^h - 1, and then each divided by h, less 1 / (k-1)!."""
    found = [math.expm1(h)]
    for k in range(1, count):
        found.append(found[-1] / h - 1 / math.factorial(k))
    return found


_VARIANTS: Mapping[str, Callable[[Floats, float], tuple[Floats, Floats]]] = MappingProxyType(
    {"bh1": _of_bh1, "bh2": _of_bh2, "vary_coeff": _of_varied}
)
