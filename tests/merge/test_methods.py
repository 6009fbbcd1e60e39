"""Every method against its formula in numpy float64, and the registry that interfaces read."""

import numpy as np
import pytest
import torch

from modelhub.errors import NotFoundError
from modelhub.merge.registry import find_method, methods

ORACLES = {
    "weighted-sum": lambda a, b, alpha: (1 - alpha) * a + alpha * b,
    "add-difference": lambda a, b, c, alpha: a + alpha * (b - c),
}


def tensors(count: int, dtype: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(5000, generator=generator).to(dtype) for _ in range(count)]


def test_every_method_has_an_oracle() -> None:
    assert set(methods()) == set(ORACLES)


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 0.77, 1.0, 1.4])
def test_a_method_is_its_formula(name: str, alpha: float) -> None:
    method = find_method(name)
    inputs = tensors(method.inputs, torch.float32)
    before = [tensor.clone() for tensor in inputs]
    found = method.function(*inputs, alpha=alpha).double().numpy()
    wanted = ORACLES[name](*(tensor.double().numpy() for tensor in inputs), alpha)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
    assert all(torch.equal(one, two) for one, two in zip(inputs, before, strict=True)), "inputs are left alone"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_native_methods_round_once(dtype: torch.dtype, alpha: float) -> None:
    for method in methods().values():
        if method.native:
            inputs = tensors(method.inputs, dtype)
            native = method.function(*inputs, alpha=alpha)
            in_fp32 = method.function(*(tensor.float() for tensor in inputs), alpha=alpha).to(dtype)
            assert torch.equal(native, in_fp32)


def test_the_ends_of_a_weighted_sum_are_exact() -> None:
    a, b = tensors(2, torch.float16)
    assert torch.equal(find_method("weighted-sum").function(a, b, alpha=0.0), a)
    assert torch.equal(find_method("weighted-sum").function(a, b, alpha=1.0), b)


def test_interfaces_can_read_everything_from_the_registry() -> None:
    for name, method in methods().items():
        assert method.name == name
        assert method.formula and "Source" in method.help, name
        for parameter in method.parameters:
            assert parameter.help and parameter.low <= parameter.default <= parameter.high


def test_names_are_found_however_they_are_written() -> None:
    assert find_method("Weighted Sum") is find_method("weighted_sum") is find_method("weighted-sum")
    with pytest.raises(NotFoundError, match="ninja") as caught:
        find_method("ninja")
    assert "weighted-sum" in caught.value.hint
