"""The sizes of the layer that a module was made for, from the shapes of its parts, and whether a layer has them.

`catalog/adapter_shapes.py` has the formulas for the vote; here kernels, and parts with each other, are compared too.
A kernel of one pixel is none: the layer is a matrix for all that an adapter does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isqrt, prod
from typing import NamedTuple

from modelhub.catalog.adapter_shapes import glora_is_new
from modelhub.catalog.match import Shape

Parts = Mapping[str, Shape]


class Claim(NamedTuple):
    """What a module says of its layer; None is unknown.

    `kernel` is () for matrices; None where inputs and kernel are one number. `either` has to be the size of the output
    or of the input, `divisor` divides the inputs with their kernel. `whole` is the exact shape.
    """

    outputs: int | None = None
    inputs: int | None = None
    kernel: Shape | None = None
    either: int | None = None
    divisor: int | None = None
    whole: Shape | None = None


def claim(algorithm: str, parts: Parts) -> Claim | None:
    """The layer that these parts (`part` to shape, of one algorithm) are for; None if they contradict each other."""
    if any(0 in shape for shape in parts.values()):
        return None
    return _CLAIMS[algorithm](parts)


def kernel_of(shape: Sequence[int]) -> Shape:
    """The kernel of a weight [out, in, ...]; () for none, and for one pixel."""
    return tuple(shape[2:]) if prod(shape[2:]) != 1 else ()


def _low_rank(down: Shape | None, up: Shape | None, core: Shape | None = None) -> Claim | None:
    """up [out, r] · down [r, in, *kernel], or with a core [r, r, *kernel] between them."""
    if down is None or up is None or len(down) < 2 or len(up) < 2 or kernel_of(up):
        return None
    if core is None:
        return Claim(up[0], down[1], kernel_of(down) if len(down) > 2 else None) if up[1] == down[0] else None
    fits = len(core) > 2 and (core[0], core[1]) == (up[1], down[0]) and not kernel_of(down)
    return Claim(up[0], down[1], kernel_of(core)) if fits else None


def _turned(shape: Shape | None) -> Shape | None:
    return None if shape is None or len(shape) < 2 else (shape[1], shape[0], *shape[2:])


def _lora(parts: Parts) -> Claim | None:
    """Of an embedding PEFT has the factors of its transpose: [r, tokens] and [width, r]."""
    if "embedding_a" in parts:
        turned = _low_rank(parts["embedding_a"], parts.get("embedding_b"))
        return None if turned is None else Claim(turned.inputs, turned.outputs, ())
    return _low_rank(parts.get("a"), parts.get("b"), parts.get("mid"))


def _loha(parts: Parts) -> Claim | None:
    """Two low-rank products of the same sizes; with cores their factors at the output lie transposed (LyCORIS)."""
    one, two = (
        _product(parts.get(f"w{number}_a"), parts.get(f"w{number}_b"), parts.get(f"t{number}")) for number in (1, 2)
    )
    return one if one == two else None


def _product(up: Shape | None, down: Shape | None, core: Shape | None) -> Claim | None:
    return _low_rank(down, up if core is None else _turned(up), core)


def _lokr(parts: Parts) -> Claim | None:
    """The Kronecker product of two factors, of which the second has the kernel (LyCORIS)."""
    one, two = _factor(parts, "w1", None), _factor(parts, "w2", parts.get("t2"))
    if one is None or two is None or one.kernel:
        return None
    return Claim((one.outputs or 0) * (two.outputs or 0), (one.inputs or 0) * (two.inputs or 0), two.kernel)


def _factor(parts: Parts, name: str, core: Shape | None) -> Claim | None:
    """A factor, whole or a product of two."""
    whole = parts.get(name)
    if whole is None:
        return _product(parts.get(f"{name}_a"), parts.get(f"{name}_b"), core)
    return Claim(whole[0], whole[1], kernel_of(whole) if len(whole) > 2 else None) if len(whole) > 1 else None


def _glora(parts: Parts) -> Claim | None:
    """weight + weight · A + B, of which only B has a kernel.

    LyCORIS has A = a1 · a2 and B = b1 · b2, older files A = a2 · a1 and B = b2 · b1.
    """
    first, second = ("1", "2") if glora_is_new(parts) else ("2", "1")
    of = _low_rank(parts.get("a" + second), parts.get("a" + first))
    plus = _low_rank(parts.get("b" + second), parts.get("b" + first), parts.get("bm"))
    if of is None or plus is None or not of.outputs == of.inputs == plus.inputs or of.kernel:
        return None
    return plus


def _oft(parts: Parts) -> Claim | None:
    """Rotations of the output in square blocks [blocks, b, b], in BOFT with one more dimension in front.

    PEFT rotates the input: by the values above the diagonal of each block, of which one may serve for all, or by
    butterflies [stages, blocks, b, b], which scale the output, too.
    """
    if "butterfly" in parts:
        wings, stretch = parts["butterfly"], parts.get("stretch")
        return Claim(prod(stretch), wings[1] * wings[-1]) if stretch and len(wings) == 4 and _is_square(wings) else None
    blocks = parts.get("blocks", parts.get("diag"))
    if blocks is None:
        return _skew(parts.get("skew", ()))
    outputs = blocks[-3] * blocks[-1] if len(blocks) in (3, 4) and _is_square(blocks) else 0
    return Claim(outputs) if outputs and prod(parts.get("rescale", (outputs,))) == outputs else None


def _is_square(blocks: Shape) -> bool:
    return blocks[-1] == blocks[-2]


def _skew(blocks: Shape) -> Claim | None:
    """[blocks, b · (b - 1) / 2], or whole blocks."""
    if len(blocks) == 2:
        side = (1 + isqrt(1 + 8 * blocks[1])) // 2
        known = side * (side - 1) == 2 * blocks[1]
    else:
        side = blocks[-1] if blocks else 0
        known = len(blocks) == 3 and _is_square(blocks)
    if not known:
        return None
    return Claim(divisor=side) if blocks[0] == 1 else Claim(inputs=blocks[0] * side)


def _ia3(parts: Parts) -> Claim | None:
    """A factor for each output or each input; of PEFT's [out, 1] and [1, in] the shape tells, but for convolutions."""
    factor = parts.get("factor", parts.get("scale"))
    if "factor" in parts and factor is not None and len(factor) == 2:
        return Claim(factor[0]) if factor[1] == 1 else Claim(inputs=factor[1]) if factor[0] == 1 else None
    return None if factor is None else Claim(either=prod(factor))


def _diff(parts: Parts) -> Claim | None:
    return Claim(whole=parts.get("diff", parts.get("set")))


def _norm(parts: Parts) -> Claim | None:
    return Claim(whole=parts.get("w"))


_CLAIMS: Mapping[str, Callable[[Parts], Claim | None]] = {
    "lora": _lora, "loha": _loha, "lokr": _lokr, "oft": _oft, "glora": _glora,
    "ia3": _ia3, "diff": _diff, "norm": _norm,
}  # fmt: skip


def differences(wanted: Claim, shape: Shape) -> Iterator[str]:
    """What a module wants that a layer of this shape has not: "in 768", "kernel 3x3"; nothing if it fits."""
    if wanted.whole is not None:
        yield from [f"shape {list(wanted.whole)}"] if wanted.whole != shape else ()
    elif wanted.either is not None:
        yield from [f"{wanted.either} factors"] if wanted.either not in shape[:2] else ()
    elif len(shape) < 2:
        yield from ["a matrix"] if wanted != Claim() else ()
    else:
        yield from [f"out {wanted.outputs}"] if wanted.outputs not in (None, shape[0]) else ()
        yield from _inputs(wanted, shape)


def _inputs(wanted: Claim, shape: Shape) -> Iterator[str]:
    """Inputs and kernel; factors without dimensions for a kernel have it in their inputs."""
    columns = prod(shape[1:])
    if wanted.divisor is not None and columns % wanted.divisor:
        yield f"blocks of {wanted.divisor}"
    if wanted.inputs is None or (wanted.kernel is None and wanted.inputs == columns):
        return
    if wanted.inputs != shape[1]:
        yield f"in {wanted.inputs}"
    if (wanted.kernel or ()) != kernel_of(shape):
        yield f"kernel {'x'.join(map(str, wanted.kernel))}" if wanted.kernel else "no kernel"
