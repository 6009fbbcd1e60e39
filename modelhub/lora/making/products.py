"""Products: what a module adds, written as one thin matrix times another, exactly and without forming it.

LoRA and LoCon are that already. A core between them (Tucker, of LyCORIS) goes into the second. The element-wise product
of two products, a LoHa, is one of rank r²: its rows are Kronecker products of rows. The Kronecker product of two
products, a LoKr, is the product of their Kronecker products. (Khatri and Rao 1968; Van Loan 2000, "The ubiquitous
Kronecker product".)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from modelhub.errors import CorruptFileError, ModelError
from modelhub.lora.algorithms.registry import Given
from modelhub.lora.making.svd import Decomposed, of_matrix, of_product
from modelhub.text import brief

if TYPE_CHECKING:
    import torch

    Parts = Mapping[str, torch.Tensor]


#: Elements of the largest layers that there are, and some more.
_LARGEST = 1 << 30


class Product(NamedTuple):
    """`scale` · up [out, r] @ down [r, in · kernel], with the `kernel` of the layer, () if linear or not known."""

    up: torch.Tensor
    down: torch.Tensor
    kernel: tuple[int, ...]
    scale: float

    @property
    def rank(self) -> int:
        """r."""
        return self.down.shape[0]


def product_of(module: str, algorithm: str, parts: Parts) -> Product | None:
    """The product that a module is, by its parts as `Given` has them; None for an algorithm that is none.

    Its factors are fp32. Raises CorruptFileError where shapes do not fit together, or a number is not finite, under
    the name of the module.
    """
    maker = _MAKERS.get(algorithm)
    if maker is None:
        return None
    try:
        found = maker(Given(parts, (), name=module))
    except (RuntimeError, IndexError, KeyError, ValueError) as error:
        raise CorruptFileError(f"The parts of {brief(module)} do not fit together: {brief(str(error))}.") from error
    _check(module, found)
    return found


def _check(module: str, found: Product) -> None:
    import torch

    if found.up.shape[1] != found.down.shape[0]:
        raise CorruptFileError(
            f"The parts of {brief(module)} do not fit together: ranks {found.up.shape[1]} and {found.down.shape[0]}."
        )
    for one in (found.up, found.down, torch.tensor(found.scale)):
        check_finite(module, one)


def formed(module: str, product: Product) -> torch.Tensor:
    """scale · up @ down, [out, in · kernel]. Raises CorruptFileError for sizes that no layer has."""
    _check_layer(module, len(product.up), product.down.shape[1])
    return product.up @ product.down * product.scale


def _check_layer(module: str, rows: int, columns: int) -> None:
    """A file of a few kB can claim a layer of terabytes."""
    if rows * columns > _LARGEST:
        raise CorruptFileError(
            f"{brief(module)} is for a layer of {rows:,} x {columns:,}, which no model has.",
            "Fetch the file again, or leave it out.",
        )


def scale_of(module: str, parts: Parts, rank: int) -> float:
    """alpha / rank, 1 without alpha; times what LyCORIS has as `scalar`: see `Given.scale`."""
    return Given(parts, (), name=module).scale(rank)


def _matrix(part: torch.Tensor) -> torch.Tensor:
    return part.reshape(part.shape[0], -1) if part.numel() else part.reshape(part.shape[0], 0)


def _lora(given: Given) -> Product:
    parts = given.parts
    down, up = parts["a"], _matrix(parts["b"])
    rank = down.shape[0]
    kernel = tuple(down.shape[2:])
    if "mid" in parts:
        mid = parts["mid"]
        kernel = tuple(mid.shape[2:])
        down = _cored(mid, _matrix(down))
    return Product(up, _matrix(down), kernel, given.scale(rank))


def _cored(core: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """A core [r, s, h, w] times a factor [s, in]: [r, in, h, w]."""
    import torch

    return torch.einsum("rskl,si->rikl", core, factor)


def _loha(given: Given) -> Product:
    """Of r² ranks where the layer has as many; else it is formed, so that memory is that of the layer."""
    import torch

    rank = given.parts["w1_b"].shape[0]
    (left, first, kernel), (right, second, _) = _half(given.parts, "1"), _half(given.parts, "2")
    if len(first) * len(second) > min(len(left), first.shape[1]):
        _check_layer(given.name, len(left), first.shape[1])
        up, down = _whole((left @ first) * (right @ second))
    else:
        up = torch.einsum("mr,ms->mrs", left, right).reshape(len(left), -1)
        down = torch.einsum("rn,sn->rsn", first, second).reshape(-1, first.shape[1])
    return Product(up, down, kernel, given.scale(rank))


def _half(parts: Parts, which: str) -> tuple[torch.Tensor, torch.Tensor, tuple[int, ...]]:
    """One of the two products of a LoHa: [out, r], [r, in · kernel], and the kernel if it is known."""
    left, right, core = parts[f"w{which}_a"], parts[f"w{which}_b"], parts.get(f"t{which}")
    if core is None:
        return left, _matrix(right), tuple(right.shape[2:])
    return left.T, _matrix(_cored(core, right)), tuple(core.shape[2:])


def _lokr(given: Given) -> Product:
    import torch

    parts = given.parts
    first, second = _factor(parts, "1"), _factor(parts, "2")
    rank = next((parts[name].shape[0] for name in ("w1_b", "w2_b") if name in parts), 0)
    kernel = tuple((parts["t2"] if "t2" in parts else parts.get("w2", second[0])).shape[2:])
    _check_layer(given.name, len(first[0]) * len(second[0]), first[1].shape[1] * second[1].shape[1])
    up, down = (torch.kron(one, two) for one, two in zip(first, second, strict=True))
    return Product(up, down, kernel, given.scale(rank))


def _factor(parts: Parts, which: str) -> tuple[torch.Tensor, torch.Tensor]:
    """One of the two factors of a LoKr, as a product; one of more ranks than it has rows or columns is formed."""
    whole = parts.get(f"w{which}")
    if whole is not None:
        return _whole(_matrix(whole))
    left, right, core = parts[f"w{which}_a"], parts[f"w{which}_b"], parts.get(f"t{which}")
    up, down = (left, _matrix(right)) if core is None else (left.T, _matrix(_cored(core, right)))
    return _whole(up @ down) if len(down) > min(len(up), down.shape[1]) else (up.contiguous(), down.contiguous())


def _whole(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix as a product: itself times ones, on its shorter side."""
    import torch

    rows, columns = matrix.shape
    return (torch.eye(rows), matrix) if rows < columns else (matrix, torch.eye(columns))


_MAKERS: Mapping[str, Callable[[Given], Product]] = {"lora": _lora, "loha": _loha, "lokr": _lokr}


def decomposed(product: Product) -> Decomposed:
    """The singular values of up @ down; a product of more ranks than its layer has rows or columns is formed first."""
    rows, columns = product.up.shape[0], product.down.shape[1]
    if product.rank > min(rows, columns):
        return of_matrix(product.up @ product.down, min(rows, columns), 0, whole=True)
    return of_product(product.up, product.down)


def check_finite(module: str, matrix: torch.Tensor) -> None:
    """Raise ModelError by a module's name for a number that is NaN or infinite."""
    import torch

    if not bool(torch.isfinite(matrix).all()):
        raise ModelError(f"{brief(module)} has numbers that are NaN or infinite.", "Train it again, or leave it out.")
