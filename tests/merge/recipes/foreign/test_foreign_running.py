"""Recipes of other programs, run here, against their own rules written down again for single tensors."""

import json
import re
from dataclasses import replace

import pytest
import torch
from merge_bench import TEXT, UNET, Bench, Tensors, checkpoint

from modelhub.merge.recipes.foreign.reading import read_foreign
from modelhub.merge.recipes.recipe import ModelRef, Recipe

NUMBERS = [n / 40 for n in range(25)]
BASE = 0.9
DIGESTS = {"A": "1" * 64, "B": "2" * 64}


def block_of(name: str, time_embed: str) -> str:
    """The block that supermerger counts a tensor of SD 1 to; time embeddings go where a program has them."""
    if not name.startswith(UNET):
        return "BASE"
    if "time_embed" in name:
        return time_embed
    if ".out." in name:
        return "OUT11"
    found = re.search(r"\.(input|output)_blocks\.(\d+)\.", name)
    return ("IN" if found[1] == "input" else "OUT") + f"{int(found[2]):02}" if found else "M00"


def blocks() -> dict[str, float]:
    names = [*(f"IN{n:02}" for n in range(12)), "M00", *(f"OUT{n:02}" for n in range(12))]
    return dict(zip(names, NUMBERS, strict=True)) | {"BASE": BASE}


def run(bench: Bench, recipe: Recipe, names: dict[str, str]) -> Tensors:
    """Merge with models that are known by their letters' hashes or names."""
    for seed, letter in enumerate("AB"):
        bench.put(letter, checkpoint(seed, torch.float32))
    models = {key: ModelRef(names.get(model.ref, model.ref)) for key, model in recipe.models.items()}
    return bench.merged(replace(recipe, models=models))


def check(bench: Bench, result: Tensors, alpha) -> None:
    a, b = bench.load("A"), bench.load("B")
    for name, value in result.items():
        wanted = alpha(name) if "model" in name and "position_ids" not in name else 0.0
        exact = a[name].double() * (1 - wanted) + b[name].double() * wanted
        assert torch.allclose(value.double(), exact, atol=1e-5), (name, wanted)


def test_blocks_and_elements_of_supermerger(bench: Bench) -> None:
    rules = ["IN01 OUT03:attn2 proj:0.02", "NOT IN00 BASE:bias:0.31", "BASE:embeddings:0.5", "M00::0.77"]
    table = {
        "type": "sd-webui-supermerger", "mode": "Weight sum", "calcmode": "normal", "mbw": True,
        "weights_alpha": NUMBERS, "base_alpha": BASE, "base_beta": 0, "elemental_merge": rules,
        "model_a": DIGESTS["A"], "model_b": DIGESTS["B"],
    }  # fmt: skip
    recipe = read_foreign(json.dumps(table))

    def alpha(name: str) -> float:
        block = block_of(name, "IN00")
        found = blocks()[block]
        for places, words, number in (rule.split(":") for rule in rules):
            turned = places.startswith("NOT ")
            within = not places or (block in places.split()) != turned
            if within and (not words or any(word in name for word in words.split())):
                found = float(number)
        return found

    check(bench, run(bench, recipe, {digest: letter for letter, digest in DIGESTS.items()}), alpha)


@pytest.mark.parametrize("vae", [None, 0.33])
def test_blocks_of_sd_mecha(bench: Bench, vae: float | None) -> None:
    said = blocks() | ({"VAE": vae} if vae is not None else {})
    words = " ".join(f"{name}={value}" for name, value in said.items())
    text = f'version 0.1.0\nmodel "A"\nmodel "B"\ndict {words}\nmerge "weighted_sum" &0 &1 alpha=&2\nmerge "fallback" &3 &0'

    def alpha(name: str) -> float:
        if name.startswith("first_stage_model.") and vae is not None:
            return vae
        return blocks()[block_of(name, "BASE")]

    check(bench, run(bench, read_foreign(text), {}), alpha)


def test_single_tensors_of_sd_mecha(bench: Bench) -> None:
    name = TEXT + "encoder.layers.0.mlp.fc1.weight"
    text = (
        f'version 0.1.0\nmodel "A"\nmodel "B"\ndict {name}=0.8\nmerge "fallback" &2 0.1\nmerge "weighted_sum" &0 &1 &3'
    )
    check(bench, run(bench, read_foreign(text), {}), lambda one: 0.8 if one == name else 0.1)
