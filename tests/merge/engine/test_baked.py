"""Baked tensors: rows on a grid of their own, computed from those before; nothing depends on what is read when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Thread

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_nodes import apply, leaf, noise, planned, unregistered

from modelhub.merge.engine.baked import Baked, Rows
from modelhub.merge.engine.expression import WINDOW, Node


@dataclass
class Doubling:
    """Adds to each row of a tensor itself, its number, and the first element of the first row of another tensor."""

    read: Callable[[str, int, int], torch.Tensor]
    other: str
    steps: int = 1
    forgotten: list[str] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)

    @property
    def changed(self) -> set[str]:
        return {"x"}

    def rows(self, tensor: str, start: int, stop: int) -> torch.Tensor:
        found = self.read(tensor, start, stop).reshape(stop - start, -1)
        self.add(tensor, start, found)
        return found

    def add(self, tensor: str, start: int, rows: torch.Tensor) -> None:
        self.asked.append((start, start + len(rows)))
        number = torch.arange(start, start + len(rows), dtype=rows.dtype)[:, None]
        rows.mul_(2).add_(number).add_(self.read(self.other, 0, 1).reshape(-1)[0].to(rows.dtype))

    def step(self, tensor: str) -> int:
        return self.steps

    def forget(self, tensor: str) -> None:
        self.forgotten.append(tensor)

    def warnings(self) -> list[str]:
        return []


def made(shape: tuple[int, ...], dtype: str = "F32", steps: int = 1) -> tuple[Baked, torch.Tensor]:
    """A baked tensor, and what it is to be."""
    values = noise(1, *shape).float()
    nodes: dict[str, Node] = {"x": leaf(values, dtype), "y": leaf(torch.tensor([[3.0, 4.0]]), "F32")}
    number = torch.arange(shape[0] if shape else 1).reshape(-1, *(1 for _ in shape[1:]))
    exact = nodes["x"].window(0, values.numel(), torch.float32).view(shape) * 2 + number.view(-1, *number.shape[1:]) + 3
    return Baked(nodes["x"], "x", Doubling(Rows(nodes), "y", steps)), exact.reshape(-1)


SHAPES = [(), (1,), (7,), (13, 5), (6, 3, 2, 2), (700, 401), (3, WINDOW + 5)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("steps", [1, 4, 1000])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_any_window_is_that_of_the_whole(shape: tuple[int, ...], steps: int, data: st.DataObject) -> None:
    node, exact = made(shape, steps=steps)
    start = data.draw(st.integers(0, node.numel))
    count = data.draw(st.integers(0, node.numel - start))
    assert torch.equal(node.window(start, count, torch.float32), exact[start : start + count])
    row = max(1, node.numel // (shape[0] if shape else 1))
    for low, high in node.changes.asked:  # type: ignore[attr-defined]
        assert low * row % node.grid == 0 and (high * row == node.numel or (high - low) * row == node.grid)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_nothing_of_it_is_nothing(shape: tuple[int, ...]) -> None:
    node, _ = made(shape)
    for start in (0, node.numel // 2, node.numel):
        assert node.window(start, 0, torch.float32).shape == node.lent(start, 0, torch.float32).shape == (0,)


def test_rows_are_computed_in_whole_steps_and_few_at_a_time() -> None:
    assert made((700, 401))[0].grid == WINDOW // 401 * 401
    assert made((700, 401), steps=100)[0].grid == 300 * 401
    assert made((700, 401), steps=1000)[0].grid == 1000 * 401
    assert made((3, WINDOW + 5))[0].grid == WINDOW + 5


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F8_E4M3", "F64"])
def test_it_is_rounded_once_into_the_dtype_of_the_file(dtype: str) -> None:
    node, _ = made((50, 30), dtype)
    plan = planned({"x": (node, dtype)})
    held = node.before.window(0, 1500, torch.float64).view(50, 30) * 2
    exact = held + torch.arange(50)[:, None] + 3
    assert torch.equal(plan.tensor("x"), exact.float().to(plan.tensor("x").dtype) if dtype != "F64" else exact)


def test_what_it_is_made_of_is_let_go_of_with_it() -> None:
    @unregistered(scope="tensor")
    def turned(a, b):
        """A + B reversed."""
        return a + b.flatten().flip(0).view(a.shape)

    x, y = (apply(turned, leaf(noise(n, 4, 6), "F32"), leaf(noise(n + 1, 4, 6), "F32")) for n in (1, 3))
    changes = Doubling(Rows({"x": x, "y": y}), "y")
    node = Baked(x, "x", changes)
    first = node.window(0, 24, torch.float32)
    assert x._whole is not None and y._whole is not None, "that of the tensor itself, and of another"
    node.forget()
    assert (x._whole, y._whole, changes.forgotten, node.read) == (None, None, ["x"], set())
    assert torch.equal(node.window(0, 24, torch.float32), first), "and computed again when it is asked for"


def test_threads_do_not_disturb_each_other() -> None:
    node, exact = made((700, 401))
    found: dict[int, torch.Tensor] = {}

    def read(part: int) -> None:
        found[part] = node.window(part * 10_007, 30_011, torch.float32)

    threads = [Thread(target=read, args=(part,)) for part in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for part, value in found.items():
        assert torch.equal(value, exact[part * 10_007 : part * 10_007 + 30_011])
    assert len(found) == 8
