"""The formula of every method in numpy and float64, written plainly on whole arrays, as the papers and docs have them."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from applying import KEY
from numpy.lib.stride_tricks import sliding_window_view

from modelhub.merge.engine.chance import Drawn

Array = np.ndarray


def zero_if_nan(values: Any) -> Any:
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def given(weights: tuple[float, ...], count: int) -> tuple[float, ...]:
    return weights or (1.0,) * count


def average(*models: Array, weights: tuple[float, ...] = ()) -> Array:
    weights = given(weights, len(models))
    total = sum(w * x for w, x in zip(weights, models, strict=True))
    return total / sum(weights) if sum(weights) else total


def add_difference_clamped(a: Array, b: Array, c: Array, alpha: float) -> Array:
    return np.minimum(np.maximum(a + alpha * (b - c), np.minimum(a, b)), np.maximum(a, b))


def train_difference(a: Array, b: Array, c: Array, alpha: float) -> Array:
    scale = zero_if_nan(np.abs(b - a) / (np.abs(b - c) + np.abs(b - a)))
    return a + 1.8 * alpha * scale * (b - c)


def add_opposite(a: Array, b: Array, c: Array, alpha: float) -> Array:
    mask = 2 * alpha * zero_if_nan(np.abs(a - b) / (np.abs(a - b) + np.abs(a + b - 2 * c)))
    return a + mask * (b - c)


def similarity_difference(a: Array, b: Array, c: Array, alpha: float, beta: float) -> Array:
    similarity = beta * np.nan_to_num((a * b / np.maximum(np.abs(a), np.abs(b)) ** 2 + 1) / 2, nan=1.0)
    return (1 - similarity) * (a + alpha * (b - c)) + similarity * ((1 - alpha / 2) * a + alpha / 2 * b)


def multiply_difference(a: Array, b: Array, c: Array, alpha: float, beta: float) -> Array:
    size = zero_if_nan(np.abs(a - c) ** (1 - alpha)) * zero_if_nan(np.abs(b - c) ** alpha)
    return c + np.copysign(size, (1 - beta) * a + beta * b - c)


def slerp(a: Array, b: Array, alpha: float) -> Array:
    one, two = np.linalg.norm(a), np.linalg.norm(b)
    if not one * two:
        return (1 - alpha) * a + alpha * b
    omega = np.arccos(np.clip((a * b).sum() / (one * two), -1, 1))
    if np.sin(omega) < 1e-5:
        return (1 - alpha) * a + alpha * b
    arc = (np.sin((1 - alpha) * omega) * a / one + np.sin(alpha * omega) * b / two) / np.sin(omega)
    return arc * ((1 - alpha) * one + alpha * two)


def perpendicular(a: Array, b: Array, c: Array, alpha: float) -> Array:
    x, y = a - c, b - c
    return a + alpha * (y - x * zero_if_nan((x * y).sum() / (x * x).sum()))


def extract(a: Array, b: Array, c: Array, alpha: float, beta: float, gamma: float) -> Array:
    x, y = b - a, c - a
    along = (-1,) if np.ndim(a) else None
    cosine = (x * y).sum(along, keepdims=True) / np.sqrt(
        (x * x).sum(along, keepdims=True) * (y * y).sum(along, keepdims=True)
    )
    d = ((np.clip(zero_if_nan(cosine), -1, 1) + 1) / 2) ** gamma
    return a + ((1 - alpha) * x + alpha * y) * ((1 - beta) * d + beta * (1 - d))


def _rows(a: Array) -> Array:
    """With a dimension 0, at least."""
    return a.reshape(1) if a.ndim == 0 else a


def similarities_a(a: Array, b: Array) -> tuple[Array, Array]:
    """(S, c) of one tensor."""
    a, b = _rows(a), _rows(b)
    a, b = (zero_if_nan(x / np.sqrt((x * x).sum(0))) for x in (a, b))
    s = (a * b).sum(0)
    m = zero_if_nan((a * b).sum() / (np.sqrt((a * a).sum()) * np.sqrt((b * b).sum())))
    return s, (s + m) / 2


def similarities_b(a: Array, b: Array) -> tuple[Array, Array]:
    a, b = _rows(a), _rows(b)
    s = zero_if_nan((a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0)))
    c = (s + zero_if_nan((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))) / 2
    return c, c


def trimmed(found: Array) -> tuple[float, float]:
    found = np.delete(found, np.where(found < np.percentile(found, 1, method="midpoint")))
    found = np.delete(found, np.where(found > np.percentile(found, 99, method="midpoint")))
    return found.min(), found.max()


def cosine(similarities: Callable[[Array, Array], tuple[Array, Array]], sizes: bool) -> Callable[..., Array]:
    """Cosine A or B of the first of several tensors of a model, (a, b) each."""

    def merged(a: Array, b: Array, alpha: float, others: tuple[tuple[Array, Array], ...] = ()) -> Array:
        if not a.size:
            return a
        low, high = trimmed(np.concatenate([similarities(*each)[0].reshape(-1) for each in ((a, b), *others)]))
        c = similarities(a, b)[1]
        k = (c - low) / (high - low) if high > low else np.ones_like(c)
        k = np.clip(k - (abs(alpha) if sizes else alpha), 0, 1)
        return (_rows(b) * (1 - k) + _rows(a) * k).reshape(a.shape)

    return merged


def tensor_sum(a: Array, b: Array, alpha: float, beta: float) -> Array:
    found, size = _rows(a).copy(), len(_rows(a))
    for row in range(size):
        end = int(size * (alpha + beta) + 1e-6)
        inside = int(size * beta + 1e-6) <= row < end
        over = alpha + beta > 1 and not (int(size * (alpha + beta - 1) + 1e-6) <= row < int(size * beta + 1e-6))
        if (over if alpha + beta > 1 else inside) or alpha >= 1:
            found[row] = _rows(b)[row]
    return found.reshape(a.shape)


def crossover(a: Array, b: Array, alpha: float, tilt: float) -> Array:
    if not a.ndim or not a.size:
        return (1 - alpha) * a + alpha * b
    axes = [np.abs(np.fft.fftfreq(size)) * size / max(1, size // 2) for size in a.shape]
    grid = np.meshgrid(*axes, indexing="ij")
    rho = np.sqrt(sum(axis**2 for axis in grid) / len(grid))
    share = alpha + (rho - 1 + alpha) * (1 - tilt) / tilt if tilt else np.where(rho >= 1 - alpha, 1.0, 0.0)
    share = np.clip(share, 0, 1)
    return np.fft.ifftn((1 - share) * np.fft.fftn(a) + share * np.fft.fftn(b)).real


def task_arithmetic(
    base: Array, *models: Array, alpha: float, weights: tuple[float, ...] = (), normalize: bool = False
) -> Array:
    return base + alpha * _sum([x - base for x in models], given(weights, len(models)), normalize)


def _sum(deltas: list[Array], weights: tuple[float, ...], normalize: bool) -> Array:
    total = sum(w * d for w, d in zip(weights, deltas, strict=True))
    return total / sum(weights) if normalize and sum(weights) else total


def _elected(deltas: list[Array], weights: tuple[float, ...], sign: str = "sum") -> Array:
    weighted = [w * d for w, d in zip(weights, deltas, strict=True)]
    votes = np.sign(sum(weighted) if sign == "sum" else sum(np.sign(d) for d in weighted))
    above = sum(np.where((np.sign(d) == votes) & (d != 0), d, 0) for d in weighted)
    below = sum(np.where((np.sign(d) == votes) & (d != 0), abs(w), 0) for w, d in zip(weights, weighted, strict=True))
    return above / np.where(below == 0, 1, below)


def ties(
    base: Array,
    *models: Array,
    density: float,
    alpha: float,
    sign: str = "sum",
    weights: tuple[float, ...] = (),
) -> Array:
    deltas = [x - base for x in models]
    if base.size:
        kept = max(1, round(density * base.size))
        least = [np.sort(np.abs(d).reshape(-1))[-kept] for d in deltas]
        deltas = [np.where(np.abs(d) >= t, d, 0) for d, t in zip(deltas, least, strict=True)]
    return base + alpha * _elected(deltas, given(weights, len(models)), sign)


def _draw(seed: int, shape: tuple[int, ...], stream: int) -> Array:
    return Drawn(seed, KEY, 0, shape).uniform(stream).double().numpy()


def dare(
    base: Array,
    *models: Array,
    density: float,
    alpha: float,
    combine: str = "sum",
    weights: tuple[float, ...] = (),
    normalize: bool = False,
    seed: int = 0,
) -> Array:
    deltas = [(x - base) * (_draw(seed, base.shape, i) < density) / density for i, x in enumerate(models)]
    weights = given(weights, len(models))
    return base + alpha * (_elected(deltas, weights) if combine == "ties" else _sum(deltas, weights, normalize))


def della(
    base: Array,
    *models: Array,
    density: float,
    epsilon: float,
    alpha: float,
    combine: str = "ties",
    weights: tuple[float, ...] = (),
    normalize: bool = False,
    seed: int = 0,
) -> Array:
    deltas = []
    for i, x in enumerate(models):
        d = (x - base).reshape(len(base), -1) if base.ndim > 1 and base.size else (x - base).reshape(1, -1)
        rank = np.zeros(d.shape)
        for row, values in enumerate(d):
            rank[row, np.argsort(np.abs(values), kind="stable")] = np.arange(len(values))
        rank = rank / (d.shape[1] - 1) if d.shape[1] > 1 else np.full(d.shape, 0.5)
        p = np.clip(density - epsilon / 2 + epsilon * rank, 0, 1)
        kept = _draw(seed, base.shape, i).reshape(d.shape) < p
        deltas.append(np.where(kept, d / np.where(kept, p, 1), 0).reshape(base.shape))
    weights = given(weights, len(models))
    return base + alpha * (_elected(deltas, weights) if combine == "ties" else _sum(deltas, weights, normalize))


def model_stock(base: Array, *models: Array) -> Array:
    deltas, n = [(x - base).reshape(-1) for x in models], len(models)
    cosines = [zero_if_nan(d @ e / (np.linalg.norm(d) * np.linalg.norm(e))) for d, e in combinations(deltas, 2)]
    c = float(np.mean(cosines))
    t = max(0.0, n * c / (1 + (n - 1) * c)) if c > 0 else 0.0
    return t * np.mean(models, axis=0) + (1 - t) * base


def geometric_median(*models: Array, iterations: int = 0) -> Array:
    """Gradient steps on Σ |x − xᵢ|, each point pulled with the same strength, until nothing moves."""
    points = np.stack([x.reshape(-1) for x in models])
    if not points.size:
        return models[0]
    here = points.mean(0)
    for _ in range(1500):
        distances = np.sqrt(((points - here) ** 2).sum(1))
        inverse = 1 / np.maximum(distances, 1e-13)
        here = (points * inverse[:, None]).sum(0) / inverse.sum()
    lengths = [np.sqrt(((points - x) ** 2).sum(1)).sum() for x in (here, *points)]
    best = here if min(lengths) > lengths[0] * (1 - 1e-9) else points[int(np.argmin(lengths)) - 1]
    return best.reshape(models[0].shape)


def clamp(x: Array, *bounds: Array, stiffness: float = 0.0) -> Array:
    low, high, mean = np.min(bounds, axis=0), np.max(bounds, axis=0), np.mean(bounds, axis=0)
    return np.clip(x, low + stiffness * (mean - low), high + stiffness * (mean - high))


def truncate_rank(base: Array, a: Array, rank: int, alpha: float) -> Array:
    d = a - base
    if d.ndim > 1 and d.size:
        u, s, v = np.linalg.svd(d.reshape(len(d), -1), full_matrices=False)
        d = (u[:, :rank] * s[:rank] @ v[:rank]).reshape(a.shape)
    return base + alpha * d


def rotate(a: Array, b: Array, alignment: float, alpha: float) -> Array:
    if not a.size:
        return a
    kernel = int(np.prod(a.shape[2:])) if a.ndim > 2 else 1
    width = kernel if kernel > 1 else a[0].size if a.ndim > 1 else a.size
    x, y = a.reshape(-1, width), b.reshape(-1, width)
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = x - mean_x, y - mean_y
    u, _, v = np.linalg.svd(x.T @ y)
    if alignment not in (0, 1) and np.linalg.det(u @ v) < 0:
        u[:, -1] *= -1
    q = u @ v
    values, vectors = np.linalg.eig(q)
    power = (vectors * values.astype(complex) ** alignment @ np.linalg.inv(vectors)).real
    found = ((1 - alpha) * x + alpha * y @ q.T) @ power + (1 - alignment) * mean_x + alignment * mean_y
    return found.reshape(a.shape)


def smooth_add(a: Array, b: Array, c: Array, alpha: float) -> Array:
    d = b - c
    if not d.size:
        return a
    if d.ndim:
        windows = sliding_window_view(np.pad(d, 1, mode="symmetric"), (3,) * d.ndim)
        d = np.median(windows.reshape(*d.shape, -1), axis=-1)
        bell = np.exp(-0.5 * np.arange(-4, 5) ** 2)
        bell /= bell.sum()
        for axis in range(d.ndim):
            d = np.apply_along_axis(lambda x: np.convolve(np.pad(x, 4, mode="symmetric"), bell, "valid"), axis, d)
    return a + alpha * d


ORACLES: dict[str, Callable[..., Array]] = {
    "weighted-sum": lambda a, b, alpha: (1 - alpha) * a + alpha * b,
    "average": average,
    "sum-twice": lambda a, b, c, alpha, beta: (1 - beta) * ((1 - alpha) * a + alpha * b) + beta * c,
    "triple-sum": lambda a, b, c, alpha, beta: (1 - alpha - beta) * a + alpha * b + beta * c,
    "add": lambda a, b, alpha: a + alpha * b,
    "add-difference": lambda a, b, c, alpha: a + alpha * (b - c),
    "add-difference-clamped": add_difference_clamped,
    "subtract": lambda a, b, alpha: alpha * (a - b),
    "train-difference": train_difference,
    "add-opposite": add_opposite,
    "similarity-difference": similarity_difference,
    "multiply-difference": multiply_difference,
    "slerp": slerp,
    "perpendicular": perpendicular,
    "extract": extract,
    "cosine-a": cosine(similarities_a, True),
    "cosine-b": cosine(similarities_b, False),
    "tensor-sum": tensor_sum,
    "crossover": crossover,
    "task-arithmetic": task_arithmetic,
    "ties": ties,
    "dare": dare,
    "della": della,
    "model-stock": model_stock,
    "geometric-median": geometric_median,
    "clamp": clamp,
    "truncate-rank": truncate_rank,
    "rotate": rotate,
    "smooth-add": smooth_add,
}

#: Settings to try each method with, and how many models to give it.
CASES: list[tuple[str, int, dict[str, Any]]] = [
    *(("weighted-sum", 2, {"alpha": x}) for x in (0.0, 0.3, 0.5, 0.77, 1.0, 1.4, -0.2)),
    ("average", 2, {}),
    ("average", 5, {}),
    ("average", 3, {"weights": (1.0, 0.25, 2.0)}),
    ("average", 3, {"weights": (1.0, -2.0, 1.0)}),
    *(("sum-twice", 3, {"alpha": x, "beta": y}) for x, y in ((0.3, 0.6), (1.0, 0.0), (0.4, 1.0), (1.2, -0.1))),
    *(("triple-sum", 3, {"alpha": x, "beta": y}) for x, y in ((0.3, 0.6), (1.0, 0.0), (0.0, 1.0), (0.7, 0.9))),
    ("add", 2, {"alpha": 0.7}),
    *(("add-difference", 3, {"alpha": x}) for x in (0.0, 0.3, 1.0, 1.7)),
    *(("add-difference-clamped", 3, {"alpha": x}) for x in (0.3, 1.0, 1.7)),
    *(("subtract", 2, {"alpha": x}) for x in (0.3, 1.0)),
    *(("train-difference", 3, {"alpha": x}) for x in (0.3, 1.0)),
    *(("add-opposite", 3, {"alpha": x}) for x in (0.3, 1.0)),
    *(("similarity-difference", 3, {"alpha": x, "beta": y}) for x, y in ((0.3, 0.6), (1.0, 1.0), (1.0, 0.0))),
    *(
        ("multiply-difference", 3, {"alpha": x, "beta": y})
        for x, y in ((0.3, 0.6), (0.5, 0.5), (1.0, 0.0), (0.0, 1.0), (1.3, 0.2))
    ),
    *(("slerp", 2, {"alpha": x}) for x in (0.0, 0.3, 1.0, 1.2)),
    *(("perpendicular", 3, {"alpha": x}) for x in (0.3, 1.0)),
    *(
        ("extract", 3, {"alpha": x, "beta": y, "gamma": z})
        for x, y, z in ((0.5, 0.0, 1.0), (0.3, 1.0, 1.0), (0.3, 0.4, 3.3))
    ),
    *(("cosine-a", 2, {"alpha": x}) for x in (0.0, 0.3, -0.3)),
    *(("cosine-b", 2, {"alpha": x}) for x in (0.0, 0.3, -0.3)),
    *(
        ("tensor-sum", 2, {"alpha": x, "beta": y})
        for x, y in ((0.5, 0.0), (0.3, 0.6), (0.7, 0.1), (0.7, 0.6), (0.0, 0.3), (1.0, 0.3))
    ),
    *(("crossover", 2, {"alpha": x, "tilt": y}) for x, y in ((0.5, 0.0), (0.3, 0.5), (0.6, 1.0), (0.7, 0.05))),
    ("task-arithmetic", 4, {"alpha": 0.4}),
    ("task-arithmetic", 3, {"alpha": 1.0, "weights": (0.5, -1.5), "normalize": True}),
    ("task-arithmetic", 3, {"alpha": 1.0, "weights": (1.0, -1.0), "normalize": True}),
    *(("ties", 4, {"density": x, "alpha": 1.0}) for x in (0.001, 0.2, 0.5, 1.0)),
    ("ties", 4, {"density": 0.4, "alpha": 0.7, "sign": "count", "weights": (1.0, 0.5, 2.0)}),
    ("ties", 3, {"density": 0.4, "alpha": 0.7, "weights": (1.0, -0.5)}),
    *(("dare", 4, {"density": 0.4, "alpha": 0.5, "combine": x, "seed": 5}) for x in ("sum", "ties")),
    ("dare", 3, {"density": 1.0, "alpha": 0.5, "weights": (3.0, 1.0), "normalize": True}),
    *(("della", 4, {"density": 0.4, "epsilon": 0.3, "alpha": 0.5, "combine": x}) for x in ("sum", "ties")),
    ("della", 3, {"density": 0.2, "epsilon": 1.0, "alpha": 0.5, "weights": (0.5, 1.0), "seed": 2}),
    ("model-stock", 3, {}),
    ("model-stock", 5, {}),
    ("geometric-median", 2, {}),
    ("geometric-median", 5, {"iterations": 1000}),
    ("clamp", 3, {}),
    ("clamp", 4, {"stiffness": 0.4}),
    *(("truncate-rank", 2, {"rank": x, "alpha": 0.8}) for x in (1, 3, 320)),
    *(
        ("rotate", 2, {"alignment": x, "alpha": y})
        for x, y in ((1.0, 0.0), (0.0, 0.3), (1.0, 0.4), (0.5, 0.0), (0.3, 0.2))
    ),
    *(("smooth-add", 3, {"alpha": x}) for x in (0.5, 1.0)),
]
