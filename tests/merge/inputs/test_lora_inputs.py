"""LoRAs on models that are read in another form than they lie in: packed, and laid out by diffusers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from aligned_models import opened, put, state
from safetensors.torch import load_file
from test_reading import MARKED, scaled

from modelhub.catalog.opener import Opener
from modelhub.catalog.store import Catalog
from modelhub.lora.baking.merged import changes
from modelhub.merge.execute import merge
from modelhub.merge.planning.plan import plan
from modelhub.merge.recipes.recipe import Recipe, bake_recipe, simple_recipe

QKV, FC = "double_blocks.3.img_attn.qkv.weight", "double_blocks.3.txt_mlp.0.weight"


def written(recipe: Recipe, goal: Path) -> dict[str, torch.Tensor]:
    with Catalog.open() as catalog, Opener(catalog, hashed=True) as opener:
        planned = plan(recipe, opener, None, changes)
        assert set(planned.report.baked) == {QKV, FC}
        merge(planned, goal)
    return load_file(goal)


@pytest.fixture
def lora(tmp_path: Path) -> tuple[str, dict[str, np.ndarray]]:
    """A LoRA by kohya's names for Flux, and what it adds."""
    numbers = torch.Generator().manual_seed(5)
    shapes = {name: tuple(state("flux-schnell", 1)[name].shape) for name in (QKV, FC)}
    made, added = {}, {}
    for name, (out, into) in shapes.items():
        module = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
        up, down = torch.randn(out, 2, generator=numbers), torch.randn(2, into, generator=numbers)
        made |= {f"{module}.lora_up.weight": up, f"{module}.lora_down.weight": down}
        added[name] = up.double().numpy() @ down.double().numpy()
    return str(put(tmp_path / "lora.safetensors", made)), added


@pytest.mark.parametrize("words", MARKED)
def test_a_packed_model_is_baked_into_as_what_it_stands_for(
    tmp_path: Path, lora: tuple[str, dict[str, np.ndarray]], words: str
) -> None:
    packed, plain = scaled(state("flux-schnell", 2, dtype=torch.bfloat16), words)
    base = put(tmp_path / "base.safetensors", packed | MARKED[words](packed))
    ref, added = lora
    found = written(bake_recipe(str(base), [(ref, 0.5)]), tmp_path / "out.safetensors")
    assert found.keys() == plain.keys(), "no scales are left"
    for name, array in plain.items():
        exact = array + 0.5 * added[name] if name in added else array
        assert found[name].dtype == torch.bfloat16
        assert np.allclose(found[name].double().numpy(), exact, rtol=2.0**-8, atol=1e-6), name


def test_a_packed_model_that_is_merged_gets_them_as_well(
    tmp_path: Path, lora: tuple[str, dict[str, np.ndarray]]
) -> None:
    mine = state("flux-schnell", 1)
    packed, plain = scaled(state("flux-schnell", 2, dtype=torch.bfloat16), "scale_weight")
    a = put(tmp_path / "a.safetensors", mine)
    b = put(tmp_path / "b.safetensors", packed | MARKED["scale_weight"](packed))
    ref, added = lora
    recipe = simple_recipe("weighted-sum", [str(a), str(b)], dtype="fp32", loras=[(ref, -1.5)])
    found = written(recipe, tmp_path / "out.safetensors")
    for name, tensor in mine.items():
        exact = (tensor.double().numpy() + plain[name]) / 2 - 1.5 * added.get(name, np.zeros(1))
        assert np.allclose(found[name].double().numpy(), exact, rtol=1e-5, atol=1e-6), name


def test_the_lora_itself_is_never_read_as_a_model(tmp_path: Path, lora: tuple[str, dict[str, np.ndarray]]) -> None:
    """Its layout is nobody's: only what is merged is aligned."""
    base = put(tmp_path / "base.safetensors", state("flux-schnell", 1))
    with Catalog.open() as catalog, Opener(catalog) as opener:
        planned = plan(bake_recipe(str(base), [(lora[0], 1.0)]), opener, None, changes)
        assert "reading" in vars(planned.models["A"]) and "reading" not in vars(planned.models["L1"])
        assert set(planned.stats) == {base, Path(lora[0])}, "and its file is watched while it is read"
    with opened(base) as models:
        assert planned.header.shapes == models["A"].source.header.shapes
