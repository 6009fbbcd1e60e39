"""Stacks of adapters: sums in fp64 by the formula, strengths by place, one after the other, and what else is touched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bakes import baked
from baking_helper import BLOCK, LAYERS, MODULE, Arrays, base, lora, product, write_modules

from modelhub.errors import BadRecipeError

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Arrays]:
    return base(tmp_path_factory.mktemp("model"))


def for_layers(arrays: Arrays, seed: int) -> dict[str, Arrays]:
    return {module: lora(arrays[name].shape, seed + at) for at, (module, (name, _)) in enumerate(LAYERS.items())}


def test_every_layer_has_its_product_added_and_all_others_stay(tmp_path: Path, model: tuple[Path, Arrays]) -> None:
    path, arrays = model
    modules = for_layers(arrays, 1)
    view = baked(path, (write_modules(tmp_path / "one.safetensors", modules), "0.8"))
    assert view.stack.changed == {name for name, _ in LAYERS.values()} and view.stack.warnings() == []
    for module, (name, _) in LAYERS.items():
        wanted = arrays[name].astype(np.float64) + 0.8 * product(modules[module], arrays[name].shape)
        np.testing.assert_allclose(view.plan.tensor(name).numpy(), wanted, **CLOSE)
    for name in set(arrays) - view.stack.changed:
        assert view.plan.read_bytes(name) == arrays[name].tobytes() and view.plan.place(name) is not None


@pytest.mark.parametrize(
    ("words", "strengths"),
    [
        ("te=0.5", {"BASE": 0.5}),
        ("0.2, M00=0.7, OUT11=-1", {"IN01": 0.2, "M00": 0.7, "OUT11": -1, "BASE": 0.2}),
        ("unet=0, IN01=0.3", {"IN01": 0.3, "M00": 0, "OUT11": 0, "BASE": 1}),
        ("0, *.ff.*=1", {"IN01": 0, "M00": 0, "OUT11": 0, "BASE": 0}),
        ("MIDD", {"IN01": 0, "M00": 1, "OUT11": 0, "BASE": 1}),
    ],
)
def test_strengths_differ_by_block(
    tmp_path: Path, model: tuple[Path, Arrays], words: str, strengths: dict[str, float]
) -> None:
    path, arrays = model
    modules = for_layers(arrays, 5)
    view = baked(path, (write_modules(tmp_path / "one.safetensors", modules), words))
    for module, (name, block) in LAYERS.items():
        strength = 1 if ".ff." in words and ".ff." in name else strengths.get(block, 1)
        wanted = arrays[name].astype(np.float64) + strength * product(modules[module], arrays[name].shape)
        np.testing.assert_allclose(view.plan.tensor(name).numpy(), wanted, **CLOSE)
        assert (name in view.stack.changed) == bool(strength)


def test_a_block_of_another_architecture_is_refused(tmp_path: Path, model: tuple[Path, Arrays]) -> None:
    path, arrays = model
    file = write_modules(tmp_path / "one.safetensors", for_layers(arrays, 1))
    with pytest.raises(BadRecipeError, match="D03"):
        baked(path, (file, "D03=0.5"))


def test_several_add_up_and_one_may_be_taken_off_again(tmp_path: Path, model: tuple[Path, Arrays]) -> None:
    path, arrays = model
    one, two = for_layers(arrays, 1), for_layers(arrays, 20)
    files = [write_modules(tmp_path / f"{at}.safetensors", modules) for at, modules in enumerate((one, two))]
    view = baked(path, (files[0], "0.8"), (files[1], "-0.4"), (files[0], "-0.8"))
    for module, (name, _) in LAYERS.items():
        wanted = arrays[name].astype(np.float64) - 0.4 * product(two[module], arrays[name].shape)
        np.testing.assert_allclose(view.plan.tensor(name).numpy(), wanted, **CLOSE)
    assert view.stack.warnings() == ["0 is baked in 2 times."]


def dora(weight: np.ndarray, parts: Arrays, strength: float) -> np.ndarray:
    """W + m · (V · d / ‖V‖ − W), V = W + ΔW, with the norms of rows."""
    changed = weight + product(parts, weight.shape)
    norms = np.sqrt((changed.reshape(len(changed), -1) ** 2).sum(1)).reshape(-1, *[1] * (weight.ndim - 1))
    scaled = changed * parts["dora_scale"].astype(np.float64).reshape(norms.shape) / norms
    return np.asarray(weight + strength * (scaled - weight))


def test_dora_sees_what_those_before_it_made(tmp_path: Path, model: tuple[Path, Arrays]) -> None:
    path, arrays = model
    module = f"{MODULE}_attn1_to_q"
    name = LAYERS[module][0]
    weight = arrays[name].astype(np.float64)
    stack = []
    for seed in range(4):
        parts = lora(weight.shape, seed)
        if seed % 2:
            parts["dora_scale"] = np.random.default_rng(seed).uniform(0.5, 2, (len(weight), 1)).astype(np.float32)
        stack.append((write_modules(tmp_path / f"{seed}.safetensors", {module: parts}), parts, 0.3 + 0.2 * seed))
    for file, parts, strength in stack:
        with_norms = "dora_scale" in parts
        weight = dora(weight, parts, strength) if with_norms else weight + strength * product(parts, weight.shape)
        assert file.exists()
    view = baked(path, *((file, str(strength)) for file, _, strength in stack))
    np.testing.assert_allclose(view.plan.tensor(name).numpy(), weight, **CLOSE)
    turned = baked(path, *((file, str(strength)) for file, _, strength in reversed(stack)))
    assert np.abs(turned.plan.tensor(name).numpy() - weight).max() > 1e-3, "the order means something"


def test_a_deep_stack_of_doras_takes_a_step_for_each(tmp_path: Path, model: tuple[Path, Arrays]) -> None:
    """Each sees the result of all before it, which must not be computed anew by each: 2 to the 24th steps never end."""
    path, arrays = model
    module = f"{MODULE}_attn1_to_q"
    weight = arrays[LAYERS[module][0]].astype(np.float64)
    parts = lora(weight.shape, 1)
    parts["dora_scale"] = np.sqrt((weight**2).sum(1, keepdims=True)).astype(np.float32)
    file = write_modules(tmp_path / "one.safetensors", {module: parts})
    for _ in range(24):
        weight = dora(weight, parts, 0.1)
    view = baked(path, *[(file, "0.1")] * 24)
    np.testing.assert_allclose(view.plan.tensor(LAYERS[module][0]).numpy(), weight, **CLOSE)


def test_norms_and_biases_are_changed(tmp_path: Path, model: tuple[Path, Arrays]) -> None:
    path, arrays = model
    rng = np.random.default_rng(2)
    norm, out = arrays[f"{BLOCK}.norm1.weight"], arrays[f"{BLOCK}.attn1.to_out.0.weight"]
    modules: dict[str, Arrays] = {
        f"{MODULE}_norm1": {
            "w_norm": rng.normal(size=norm.shape).astype(np.float32),
            "b_norm": rng.normal(size=norm.shape).astype(np.float32),
        },
        f"{MODULE}_attn1_to_out_0": {
            **lora(out.shape, 3),
            "diff_b": rng.normal(size=len(out)).astype(np.float32),
        },
        f"{MODULE}_attn2_to_out_0": {"diff_b": rng.normal(size=len(out)).astype(np.float32)},
    }
    view = baked(path, (write_modules(tmp_path / "one.safetensors", modules), "0.5"))
    wanted = {
        f"{BLOCK}.norm1.weight": modules[f"{MODULE}_norm1"]["w_norm"],
        f"{BLOCK}.norm1.bias": modules[f"{MODULE}_norm1"]["b_norm"],
        f"{BLOCK}.attn1.to_out.0.weight": product(modules[f"{MODULE}_attn1_to_out_0"], out.shape),
        f"{BLOCK}.attn1.to_out.0.bias": modules[f"{MODULE}_attn1_to_out_0"]["diff_b"],
        f"{BLOCK}.attn2.to_out.0.bias": modules[f"{MODULE}_attn2_to_out_0"]["diff_b"],
    }
    assert view.stack.changed == set(wanted)
    for name, added in wanted.items():
        np.testing.assert_allclose(view.plan.tensor(name).numpy(), arrays[name] + 0.5 * added, **CLOSE)


def test_a_bias_that_is_not_there_is_left_out_and_said(tmp_path: Path, model: tuple[Path, Arrays]) -> None:
    path, arrays = model
    module = f"{MODULE}_attn1_to_q"
    parts = {**lora(arrays[LAYERS[module][0]].shape, 1), "diff_b": np.ones(64, np.float32)}
    view = baked(path, (write_modules(tmp_path / "one.safetensors", {module: parts}), "1"))
    assert view.stack.changed == {LAYERS[module][0]}
    assert view.stack.warnings() == [f"one: biases that it changes are left out where the model has none: {module}."]


def test_a_model_for_inpainting_has_its_first_channels_changed(tmp_path: Path, model: tuple[Path, Arrays]) -> None:
    from safetensors.numpy import save_file

    _, arrays = model
    name = "model.diffusion_model.input_blocks.0.0.weight"
    whole = np.random.default_rng(1).normal(size=(64, 9, 3, 3)).astype(np.float32)
    save_file({**arrays, name: whole}, tmp_path / "inpaint.safetensors")
    parts = lora((64, 4, 3, 3), 8)
    view = baked(
        tmp_path / "inpaint.safetensors",
        (write_modules(tmp_path / "one.safetensors", {"lora_unet_conv_in": parts}), "0.5"),
    )
    wanted = whole.astype(np.float64)
    wanted[:, :4] += 0.5 * product(parts, (64, 4, 3, 3))
    np.testing.assert_allclose(view.plan.tensor(name).numpy(), wanted, **CLOSE)
    (warning,) = view.stack.warnings()
    assert "9 channels" in warning and "knows 4" in warning
