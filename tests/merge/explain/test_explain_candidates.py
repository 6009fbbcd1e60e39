"""Candidates are found in a library: by what a merge says of itself, and by a sample of its weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from modelhub.catalog.opener import Opener
from modelhub.catalog.store import Catalog
from modelhub.errors import NotFoundError
from modelhub.formats.hashes import hash_file
from modelhub.merge.explain import explain, find_candidates
from modelhub.merge.explain.candidates import pursue
from modelhub.merge.inputs.model import Model
from modelhub.scan.run import scan

UNET = "model.diffusion_model."
SHAPES = {
    UNET + "input_blocks.0.0.weight": (16, 4, 3, 3),
    UNET + "input_blocks.1.1.proj_in.weight": (16, 16, 1, 1),
    UNET + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (16, 12),
    UNET + "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (16, 12),
    UNET + "output_blocks.3.1.transformer_blocks.0.attn2.to_k.weight": (16, 12),
    UNET + "middle_block.1.transformer_blocks.0.attn2.to_k.weight": (16, 12),
    UNET + "out.2.weight": (4, 16, 3, 3),
    "first_stage_model.decoder.conv_in.weight": (16, 4, 3, 3),
    "first_stage_model.encoder.conv_in.weight": (16, 3, 3, 3),
    "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight": (48, 24),
    "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (50, 24),
}


def weights(seed: int, family: int = 0) -> dict[str, torch.Tensor]:
    """A fine-tune of one of several base models."""
    base, tune = torch.Generator().manual_seed(1000 + family), torch.Generator().manual_seed(seed)
    return {
        name: (torch.randn(shape, generator=base) * 0.1 + torch.randn(shape, generator=tune) * 0.01).half()
        for name, shape in SHAPES.items()
    }


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    for seed in range(8):
        save_file(weights(seed, family=seed % 2), folder / f"m{seed}.safetensors")
    return folder


def found(folder: Path, name: str) -> list[str]:
    with Catalog.open() as catalog:
        scan(catalog, [folder], hashes="fast")
        with Opener(catalog) as opener:
            return [m.parent.name for m in find_candidates(Model("m", opener(name)), catalog, opener)]


def mixed(parts: dict[int, float]) -> dict[str, torch.Tensor]:
    models = {seed: weights(seed, family=seed % 2) for seed in parts}
    return {n: sum(w * models[s][n].float() for s, w in parts.items()).half() for n in SHAPES}  # type: ignore[union-attr]


@pytest.mark.parametrize("parts", [{0: 0.7, 2: 0.3}, {4: 0.5, 6: 0.25, 0: 0.25}, {0: 1.0, 2: 0.6, 4: -0.6}])
def test_parents_are_found_among_others_by_a_sample(library: Path, parts: dict[int, float]) -> None:
    save_file(mixed(parts), library / "mix.safetensors")
    names = found(library, "mix")
    assert set(names) >= {f"m{seed}" for seed in parts} and len(names) <= 6 and "mix" not in names
    with Catalog.open() as catalog, Opener(catalog) as opener:
        merge = Model("mix", opener("mix"))
        answer = explain(merge, find_candidates(merge, catalog, opener))
    used = {answer.parents[at].name for at in answer.form.order}
    assert used == {f"m{seed}" for seed in parts} and answer.verdict == "exact to rounding"


def test_what_a_merge_says_of_itself_goes_first(library: Path) -> None:
    said = {f"{hash_file(library / f'm{seed}.safetensors').sha256}": {"name": f"m{seed}"} for seed in (2, 6)}
    one, two = said
    recipe = {"primary_model_hash": one, "secondary_model_hash": two, "type": "webui"}
    metadata = {"sd_merge_models": json.dumps(said), "sd_merge_recipe": json.dumps(recipe)}
    save_file(mixed({2: 0.9, 6: 0.1}), library / "mix.safetensors", metadata)
    assert set(found(library, "mix")) == {"m2", "m6"}
    save_file(mixed({2: 0.6, 4: 0.4}), library / "liar.safetensors", metadata)
    names = found(library, "liar")
    assert set(names[:2]) == {"m2", "m6"} and "m4" in names


def test_a_library_without_a_model_like_it(tmp_path: Path) -> None:
    save_file(weights(1), tmp_path / "alone.safetensors")
    with pytest.raises(NotFoundError, match="no other model"):
        found(tmp_path, "alone")


def test_a_model_that_is_laid_out_otherwise_or_damaged_is_left_out(library: Path) -> None:
    lora = {f"lora_unet_x.lora_{u}.weight": torch.ones(4, 4) for u in ("up", "down")}
    save_file(lora, library / "lora.safetensors")
    (library / "broken.safetensors").write_bytes(b"\xff" * 100)
    save_file(mixed({1: 0.5, 3: 0.5}), library / "mix.safetensors")
    assert set(found(library, "mix")) == {"m1", "m3"}


def test_a_pursuit_stops_when_nothing_is_left() -> None:
    generator = np.random.default_rng(3)
    samples = [generator.normal(size=2000).astype(np.float32) for _ in range(20)]
    goal = (0.6 * samples[3] + 0.4 * samples[11]).astype(np.float32)
    assert set(pursue(goal, samples, 1e-6)) == {3, 11}
    assert pursue(samples[5], samples, 1e-6) == [5]
    assert pursue(goal, samples, 1e-6, [11])[0] == 11
