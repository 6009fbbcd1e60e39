"""What the parts of an adapter's module and their shapes say: the algorithm, and the sizes of the layer it changes.

In an adapter many modules have the same parts with the same shapes, so answers are remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from functools import cache, lru_cache
from math import isqrt, prod

from modelhub.catalog.keymaps import adapter_table
from modelhub.catalog.match import Shape

#: Algorithms whose modules never make a file an adapter by themselves.
AUXILIARY = frozenset({"extra", "norm"})
#: Algorithms whose factors keep the number of dimensions of the weight.
KEEP_DIMS = frozenset({"lora", "diff"})
_REMEMBERED = 4_096
#: Parts that scale a module and say nothing of its layer.
_SCALES = frozenset({"extra.alpha", "extra.scalar"})


@dataclass(frozen=True, slots=True)
class Size:
    """What the shapes of a module say of its layer; None is unknown. `rank` is the adapter's, `dims` the weight's.

    `either` is a size that must be that of the output or of the input.
    """

    out_size: int | None = None
    in_size: int | None = None
    rank: int | None = None
    dims: int | None = None
    either: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """What the parts of a module are: `algorithm` is lora, loha, lokr, oft, glora, ia3, diff or norm.

    `dora` is the side that weights are normalised along (out, in, or unknown). `exact` are the sizes (out, in, and
    dimensions if the parts keep them) if all are known. `votes`: whether the module says anything about the base.
    `tensors` is the number of trusted parts, `line` the algorithm and the shapes but for the rank, as text. Equal
    modules share one object.
    """

    algorithm: str
    size: Size
    tensors: int
    incomplete: bool
    alpha: bool
    dora: str | None
    reshape: bool
    votes: bool
    exact: tuple[int, ...] | None
    line: str


Parts = Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class _Form:
    """What the names of a module's parts say: its algorithm, and at which place which part of it stands."""

    algorithm: str
    own: tuple[tuple[str, int], ...]
    extra: Mapping[str, int]
    tensors: int
    incomplete: bool


@lru_cache(maxsize=_REMEMBERED)
def _form(names: tuple[str, ...]) -> _Form | None:
    """The form of a module whose parts have these names; None if they are no adapter's."""
    places = [(owner, part, index) for index, name in enumerate(names) for owner, _, part in (name.partition("."),)]
    trusted = _trusted({(owner, part) for owner, part, _ in places})
    algorithm = next((name for name in adapter_table()["suffixes"] if name in trusted and name != "extra"), None)
    if algorithm is None:
        return None
    own = tuple((part, index) for owner, part, index in places if owner == algorithm)
    extra = {part: index for owner, part, index in places if owner == "extra"}
    tensors = sum(owner in trusted for owner, _, _ in places)
    return _Form(algorithm, own, extra, tensors, _incomplete(algorithm, {part for part, _ in own}))


def kind_new(flat: tuple[str | Shape, ...]) -> Kind | None:
    """The kind of a module with these parts: name (as `algorithm.part`), shape, name, shape; None for no adapter's."""
    form = _form(flat[::2])
    if form is None:
        return None
    shapes: tuple[Shape, ...] = flat[1::2]  # type: ignore[assignment]
    algorithm, extra = form.algorithm, form.extra
    own = {part: shapes[index] for part, index in form.own}
    size = _SIZES[algorithm](own) if algorithm in _SIZES else Size()
    return Kind(
        algorithm,
        size,
        form.tensors,
        form.incomplete,
        # In rotations this is a constraint, not a scale.
        "alpha" in extra and algorithm != "oft",
        _dora({part: shapes[index] for part, index in extra.items()}, own),
        "reshape" in extra,
        algorithm not in AUXILIARY and (algorithm != "diff" or size.dims is not None),
        _exact(algorithm, size),
        f"{algorithm}:{size.out_size}:{size.in_size};{_shapes_line(flat, algorithm, size.rank)}",
    )


kind = lru_cache(maxsize=_REMEMBERED)(kind_new)


def _shapes_line(flat: tuple[str | Shape, ...], algorithm: str, rank: int | None) -> str:
    """Parts with their shapes, sorted, with `r` for the rank: whatever a check of the module looks at is in it."""
    shapes = sorted(parts_of(flat).items())
    return ";".join(f"{name}={_ranked(name, shape, algorithm, rank)}" for name, shape in shapes if name not in _SCALES)


def _ranked(name: str, shape: Shape, algorithm: str, rank: int | None) -> str:
    ranked = 2 if rank and name.startswith(algorithm) else 0
    return ",".join("r" if at < ranked and size == rank else str(size) for at, size in enumerate(shape))


def parts_of(flat: tuple[str | Shape, ...]) -> dict[str, Shape]:
    """{name: shape} of names and shapes in turn."""
    return dict(zip(flat[::2], flat[1::2], strict=True))  # type: ignore[arg-type]


def _exact(algorithm: str, size: Size) -> tuple[int, ...] | None:
    sizes = (size.out_size, size.in_size, *((size.dims,) if algorithm in KEEP_DIMS else ()))
    known = tuple(one for one in sizes if one is not None)
    return known if len(known) == len(sizes) else None


def _trusted(parts: Set[tuple[str, str]]) -> set[str]:
    """The algorithms in the parts, without those whose endings are too common to count without their partners."""
    table = adapter_table()
    return {owner for owner, _ in parts if _complete(owner, parts, table["needs"], table["one_of"])}


def _complete(
    owner: str, parts: Set[tuple[str, str]], needs: Mapping[str, list[str]], one_of: Mapping[str, list[str]]
) -> bool:
    needed = all((owner, part) in parts for part in needs.get(owner, ()))
    return needed and (owner not in one_of or any((owner, part) in parts for part in one_of[owner]))


@cache
def _pairs(algorithm: str) -> list[list[str]]:
    pairs: list[list[str]] = adapter_table()["pairs"].get(algorithm, [])
    return pairs


def _incomplete(algorithm: str, own: Set[str]) -> bool:
    return any((one in own) != (two in own) for one, two in _pairs(algorithm)) or _half_kronecker(algorithm, own)


def _half_kronecker(algorithm: str, own: Set[str]) -> bool:
    """Whether one of the two factors of a Kronecker product is not there at all."""
    return algorithm == "lokr" and not all({name, name + "_a"} & own for name in ("w1", "w2"))


def _dora(extra: Parts, own: Parts) -> str | None:
    """[out, 1, ...] or [out] has one scale for each output, [1, in, ...] one for each input; None without any.

    The magnitudes of PEFT are those of outputs, of whatever shape; only those of an embedding belong to its columns.
    """
    if "magnitude" in extra:
        return "in" if "embedding_a" in own else "out"
    shape = extra.get("dora")
    if shape is None:
        return None
    if len(shape) == 1 or (len(shape) > 1 and shape[1] == 1):
        return "out"
    return "in" if shape[:1] == (1,) else "unknown"


def _at(shape: Shape | None, index: int) -> int | None:
    return shape[index] if shape is not None and len(shape) > index else None


def _product(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else left * right


def _lora(parts: Parts) -> Size:
    """Product of two thin matrices; of an embedding they are those of its transpose, as PEFT writes them."""
    if "embedding_a" in parts:
        tokens, width = parts["embedding_a"], parts.get("embedding_b")
        return Size(_at(tokens, 1), _at(width, 0), _at(tokens, 0), 2)
    down, up = parts.get("a"), parts.get("b")
    dims = max((len(shape) for shape in parts.values()), default=None)
    rank = _at(down, 0) if down else _at(up, 1)
    return Size(_at(up, 0), _at(down, 1), rank, dims)


def _loha(parts: Parts) -> Size:
    """Hadamard product of two low-rank products; with a core tensor `t1` the factors lie transposed (LyCORIS)."""
    left, right = parts.get("w1_a", parts.get("w2_a")), parts.get("w1_b", parts.get("w2_b"))
    turned = int("t1" in parts)
    return Size(_at(left, turned), _at(right, 1), _at(left, 1 - turned))


def _lokr(parts: Parts) -> Size:
    """Kronecker product of two factors, each whole or itself a low-rank product (LyCORIS)."""
    turned = int("t2" in parts)
    out_one = _at(parts.get("w1", parts.get("w1_a")), 0)
    in_one = _at(parts.get("w1", parts.get("w1_b")), 1)
    out_two = _at(parts["w2"], 0) if "w2" in parts else _at(parts.get("w2_a"), turned)
    in_two = _at(parts.get("w2", parts.get("w2_b")), 1)
    rank = _at(parts.get("w2_a"), 1 - turned) if "w2_a" in parts else _at(parts.get("w1_a"), 1)
    return Size(_product(out_one, out_two), _product(in_one, in_two), rank)


def _oft(parts: Parts) -> Size:
    """Block-diagonal rotation of the output: [blocks, b, b], with one more leading dimension in BOFT.

    PEFT keeps the b·(b-1)/2 values above the diagonal of each block and rotates the input; one block may serve for all.
    Its butterflies rotate the input too, and scale the output.
    """
    if "butterfly" in parts:
        wings = parts["butterfly"]
        return Size(prod(parts.get("stretch", ())) or None, _product(_at(wings, 1), _at(wings, 2)), _at(wings, 2))
    blocks = parts.get("blocks", parts.get("diag", parts.get("skew", ())))
    if len(blocks) == 2:
        side = (1 + isqrt(1 + 8 * blocks[1])) // 2
        return Size(rank=side, either=blocks[0] * side if blocks[0] > 1 else None)
    if len(blocks) < 3:
        return Size()
    whole = blocks[-3] * blocks[-1]
    return Size(None if "skew" in parts else whole, None, blocks[-1], None, whole if "skew" in parts else None)


def _glora(parts: Parts) -> Size:
    """Weight plus b2·b1 plus weight·a2·a1; newer files (LyCORIS 2) have the numbers the other way round."""
    up, down = ("b1", "a2") if glora_is_new(parts) else ("b2", "a1")
    return Size(_at(parts.get(up), 0), _at(parts.get(down), 1), _at(parts.get(down), 0))


def glora_is_new(parts: Parts) -> bool:
    """Whether `a1` [in, rank] and `b1` [out, rank] are the factors at the output; in older files they are a2 and b2.

    Of a layer with as many inputs as outputs both would do: the rank is then the smaller side.
    """
    a1, a2, b1, b2 = (parts.get(name, ())[:2] for name in ("a1", "a2", "b1", "b2"))
    if min(map(len, (a1, a2, b1, b2))) < 2:
        return False
    is_new, is_old = _glora_fits(a1, a2, b1, b2), _glora_fits(a2, a1, b2, b1)
    return a1[0] >= a1[1] if is_new == is_old else is_new


def _glora_fits(a_up: Shape, a_down: Shape, b_up: Shape, b_down: Shape) -> bool:
    """Whether two products are those of a square of the inputs, and of a layer with as many."""
    return a_up[1] == a_down[0] and b_up[1] == b_down[0] and a_up[0] == a_down[1] == b_down[1]


def _ia3(parts: Parts) -> Size:
    """One factor for each output or each input; which of them, only the value of `on_input` says.

    For PEFT [out, 1] and [1, in] tell it, but for convolutions.
    """
    shape = parts.get("scale", parts.get("factor", ()))
    if "factor" in parts and len(shape) == 2 and 1 in shape:
        return Size(shape[0] if shape[1] == 1 else None, shape[1] if shape[0] == 1 else None)
    return Size(either=prod(shape))


def _diff(parts: Parts) -> Size:
    shape = parts.get("diff", parts.get("set", ()))
    return Size(shape[0], shape[1], None, len(shape)) if len(shape) > 1 else Size()


_SIZES: Mapping[str, Callable[[Parts], Size]] = {
    "lora": _lora, "loha": _loha, "lokr": _lokr, "oft": _oft, "glora": _glora, "ia3": _ia3, "diff": _diff,
}  # fmt: skip


def is_kernel(in_size: int, channels: int) -> bool:
    """Whether `in_size` is `channels` times a square: a convolution flattened to a matrix."""
    times, rest = divmod(in_size, channels)
    return rest == 0 and isqrt(times) ** 2 == times > 0
