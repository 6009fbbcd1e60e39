"""TIES, DARE and DELLA: against plain code on whole tensors, and what they become at their ends."""

import numpy as np
import pytest
import torch
from applying import result

from modelhub.merge.methods.tasks import elected
from modelhub.merge.registry import find_method


def relatives(count: int, *shape: int, coarse: float = 2**16) -> list[np.ndarray]:
    random = np.random.default_rng(11)
    base = random.normal(size=shape)
    return [
        (np.round((base + 0.3 * random.normal(size=shape) * (i > 0)) * coarse) / coarse).astype(np.float32)
        for i in range(count)
    ]


def plain_ties(base: torch.Tensor, models: list[torch.Tensor], density: float) -> torch.Tensor:
    """The three steps of the paper on whole tensors: trim, elect, mean."""
    trimmed = []
    for model in models:
        task = model - base
        least = task.abs().flatten().topk(max(1, round(density * task.numel()))).values[-1]
        trimmed.append(torch.where(task.abs() >= least, task, torch.zeros_like(task)))
    tasks = torch.stack(trimmed)
    sign = tasks.sum(0).sign()
    agree = (tasks.sign() == sign) & (tasks != 0)
    return base + (tasks * agree).sum(0) / agree.sum(0).clamp(min=1)


@pytest.mark.parametrize("density", [0.01, 0.2, 0.77])
@pytest.mark.parametrize("coarse", [2**16, 8])
def test_ties_is_the_plain_one_on_whole_tensors(density: float, coarse: float) -> None:
    base, *models = relatives(5, 300, 257, coarse=coarse)
    wanted = plain_ties(torch.from_numpy(base), [torch.from_numpy(m) for m in models], density)
    found = result("ties", base, *models, density=density, alpha=1.0)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=2e-6)


def test_what_is_not_trimmed_of_one_model_is_that_model() -> None:
    base, model = relatives(2, 500)
    np.testing.assert_allclose(result("ties", base, model, density=1.0), model, atol=1e-6)
    found = result("ties", base, model, density=0.1)
    assert (found != base).sum() == 50
    changed = np.abs(model - base)[found != base]
    assert changed.min() >= np.sort(np.abs(model - base))[-50]


def test_values_that_cancel_leave_the_base() -> None:
    base = np.zeros(3, np.float32)
    up, down = np.float32([1, 2, -1]), np.float32([-1, 1, 1])
    np.testing.assert_array_equal(result("ties", base, up, down, density=1.0), np.float32([0, 1.5, 0]))


def test_signs_are_elected_by_sum_or_by_count() -> None:
    tasks = [torch.tensor([5.0]), torch.tensor([-1.0]), torch.tensor([-2.0])]
    assert elected([task.clone() for task in tasks], (1, 1, 1), "sum").tolist() == [5.0]
    assert elected([task.clone() for task in tasks], (1, 1, 1), "count").tolist() == [-1.5]


@pytest.mark.parametrize("name", ["dare", "della"])
def test_with_nothing_dropped_they_are_task_arithmetic(name: str) -> None:
    inputs = relatives(4, 60, 30)
    more = {"epsilon": 0.0} if name == "della" else {}
    found = result(name, *inputs, density=1.0, combine="sum", alpha=0.3, **more)
    np.testing.assert_array_equal(found, result("task-arithmetic", *inputs, alpha=0.3))
    elected = result(name, *inputs, density=1.0, combine="ties", alpha=0.3, **more)
    np.testing.assert_array_equal(elected, result("ties", *inputs, density=1.0, alpha=0.3))


def test_task_arithmetic_with_one_task_is_add_difference() -> None:
    base, model = relatives(2, 400)
    np.testing.assert_array_equal(
        result("task-arithmetic", base, model, alpha=0.4), result("add-difference", base, model, base, alpha=0.4)
    )


@pytest.mark.parametrize("name", ["dare", "della"])
def test_a_share_is_kept_and_made_up_for(name: str) -> None:
    base = np.zeros((200, 300), np.float32)
    model = np.random.default_rng(2).uniform(1, 2, base.shape).astype(np.float32)
    found = result(name, base, model, density=0.3, combine="sum", alpha=1.0)
    assert abs((found != 0).mean() - 0.3) < 0.01
    assert abs(found.mean() - model.mean()) < 0.02


def test_the_models_are_thinned_independently() -> None:
    base, model = relatives(2, 2000)
    parts = [result("dare", base, *pair, density=0.5) != base for pair in ((model, base), (base, model))]
    assert 0.15 < (parts[0] & parts[1]).mean() < 0.35


def test_della_keeps_large_values_rather_than_small_ones() -> None:
    base = np.zeros((400, 50), np.float32)
    model = np.tile(np.arange(1, 51, dtype=np.float32), (400, 1))
    kept = (result("della", base, model, density=0.5, epsilon=0.8) != 0).mean(0)
    np.testing.assert_allclose(kept, np.linspace(0.1, 0.9, 50), atol=0.12)
    assert kept[-10:].mean() > kept[:10].mean() + 0.5


def test_a_wrong_number_of_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="3 weights for 2 models"):
        result("task-arithmetic", *relatives(3, 5), weights=(1.0, 2.0, 3.0))
    assert find_method("ties").accepts(2) and not find_method("ties").accepts(1)
