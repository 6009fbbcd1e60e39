"""Watching: which layer of a network was the first whose numbers went wrong; hooks only while one looks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from modelhub.preview.networks.packing import dense

Kind = Literal["nan", "inf", "beyond-fp16"]

#: The largest number that float16 has.
_LARGEST = torch.finfo(torch.float16).max


class Finding(NamedTuple):
    """The first layer whose output is wrong, by its name in the file.

    `kind`: "nan", "inf", or "beyond-fp16" for finite numbers that float16 cannot hold. `size` is the largest distance
    from 0 of its finite numbers. `is_weight`: the layer's own weights are not finite, so it is not what it was given.
    """

    name: str
    kind: Kind
    size: float
    is_weight: bool


def first_bad_layer(network: nn.Module, call: Callable[[], object], prefix: str = "") -> Finding | None:
    """Run `call`, which is to use `network`, and say which layer was the first to leave the range, in running order.

    A NaN or an infinity goes before numbers beyond float16. `prefix` is put before the name. A layer between whose
    parts the numbers went wrong, as in the sum of a shortcut, is named itself. None when all is well; what `call`
    raises is raised.
    """
    watch = _Watch()
    hooks: list[RemovableHandle] = []
    try:
        hooks.extend(module.register_forward_hook(watch.hook(name)) for name, module in network.named_modules())
        call()
    finally:
        for hook in hooks:
            hook.remove()
    if watch.broken is not None and watch.was_given:
        return _silent(network, watch, prefix)
    found = watch.broken or watch.beyond
    return found and found._replace(name=prefix + found.name)


class _Watch:
    """The first finding of each kind, whether that layer was given broken numbers, and which layers have run."""

    def __init__(self) -> None:
        self.broken: Finding | None = None
        self.beyond: Finding | None = None
        self.was_given = False
        self.seen: set[str] = set()

    def hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        """A forward hook for the module `name`."""

        def look(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            self.seen.add(name)
            if self.broken is None and _is_numbers(output):
                self._look(name, module, given, output)

        return look

    def _look(self, name: str, module: nn.Module, given: tuple[Any, ...], output: Tensor) -> None:
        size = _size(output)
        if size <= _LARGEST:
            return
        if math.isfinite(size):
            self.beyond = self.beyond or Finding(name, "beyond-fp16", size, False)
            return
        finite = output[torch.isfinite(output)]
        is_weight = _are_broken(module.parameters(recurse=False))
        self.broken = Finding(name, "nan" if math.isnan(size) else "inf", _size(finite), is_weight)
        self.was_given = not is_weight and _are_broken(one for one in given if _is_numbers(one))


def _silent(network: nn.Module, watch: _Watch, prefix: str) -> Finding:
    """What broke the numbers that a layer was given: weights used without a call, else what computes around it."""
    assert watch.broken is not None
    for name, module in network.named_modules():
        if name not in watch.seen and _are_broken(module.parameters(recurse=False)):
            return watch.broken._replace(name=prefix + name, is_weight=True)
    return watch.broken._replace(name=(prefix + watch.broken.name.rpartition(".")[0]).rstrip("."))


def _is_numbers(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _size(tensor: Tensor) -> float:
    """The largest distance from 0; NaN if there is one."""
    return float(tensor.abs().max()) if tensor.numel() else 0.0


def _are_broken(tensors: Iterable[Tensor]) -> bool:
    return any(not torch.isfinite(dense(tensor).float()).all() for tensor in tensors)
