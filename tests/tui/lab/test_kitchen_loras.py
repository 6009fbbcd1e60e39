"""The kitchen with LoRAs: recipes of assets, names of files, what the form can show, and LoRAs that prompts name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from merge_lab_steps import render
from safetensors.numpy import load_file, save_file

from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.catalog.weighing.weight import Weight
from modelhub.errors import NotFoundError
from modelhub.jobs import QUIET
from modelhub.merge.recipes.recipe import bake_recipe, parse_recipe, simple_recipe
from modelhub.preview.request import Hires, Request
from modelhub.scan.run import scan
from modelhub.tui.lab import kitchen
from modelhub.tui.lab.cooking import suited
from modelhub.tui.lab.stove import Stove
from modelhub.tui.library import Library

REQUEST = Request("a red circle on a blue background", steps=6, cfg=3.5, seed=2)


@pytest.fixture
def assets(tiny: Library) -> dict[str, Asset]:
    with tiny.open() as catalog:
        return {name: catalog.named(f"tiny-shapes-{name}")[0] for name in ("base", "pastel-unet", "framed-lora")}


def picture(library: Library, part: kitchen.Part, prompt: str = REQUEST.prompt) -> np.ndarray:
    request = Request(prompt, steps=6, cfg=3.5, seed=2)
    return render(library, part, request).pixels


def test_a_recipe_of_assets_has_its_loras(assets: dict[str, Asset]) -> None:
    base, pastel, lora = assets.values()
    merged = kitchen.merge_recipe([base, pastel], "weighted-sum", {"alpha": 0.3}, loras=[(lora, 0.5)])
    assert (len(merged.steps), merged.loras[0].weight, merged.models["L1"].ref) == (1, 0.5, str(lora.path))
    baked = kitchen.merge_recipe([base], None, {}, loras=[(lora, 1.0), (lora, -0.25)])
    assert (baked.base, [one.weight for one in baked.loras]) == ("A", [1.0, -0.25])
    assert baked.name == "tiny-shapes-base + tiny-shapes-framed-lora + tiny-shapes-framed-lora"


def test_a_file_is_named_after_its_loras(assets: dict[str, Asset]) -> None:
    base, pastel, lora = assets.values()
    named = kitchen.default_name([base], None, {}, [(lora, 0.8)])
    assert named == base.path.parent / "tiny-shapes-base-tiny-shapes-framed-lora-0.8.safetensors"
    named = kitchen.default_name([base, pastel], "weighted-sum", {"alpha": 0.3}, [(lora, 0.8)])
    assert named.stem == "tiny-shapes-base-tiny-shapes-pastel-unet-weighted-sum-0.3-tiny-shapes-framed-lora-0.8"


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('[[loras]]\nmodel = "L"\nweight = 0.5', True),
        ('[[loras]]\nmodel = "L"', True),
        ('[[loras]]\nmodel = "L"\nweight = { te = 0.5 }', False),
        ('[[loras]]\nmodel = "L"\n[[loras]]\nmodel = "L"', False),
        ('[[loras]]\nmodel = "L"\n[output]\ndtype = "fp16"', True),
        ('[[loras]]\nmodel = "L"\n[output]\nte1 = "A"', False),
        ('[[steps]]\nmethod = "weighted-sum"\ninputs = ["A", "A"]\n[[loras]]\nmodel = "L"', False),
    ],
)
def test_the_form_shows_what_it_has_fields_for(
    text: str, fits: bool, tiny: Library, assets: dict[str, Asset], tmp_path: Path
) -> None:
    path = tmp_path / "r.toml"
    path.write_text(f'[models]\nA = "tiny-shapes-base"\nL = "tiny-shapes-framed-lora"\n{text}\n')
    opened = kitchen.open_recipe(tiny, path)
    assert opened.fits_form is fits
    assert "LoRA tiny-shapes-framed-lora" in "\n".join(opened.lines)
    if fits:
        assert [(asset.id, weight) for asset, weight in opened.loras] == [
            (assets["framed-lora"].id, 0.5 if "weight" in text else 1.0)
        ]


def test_a_recipe_that_only_takes_a_vae_is_shown_as_it_is_written(tiny: Library, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('[models]\nA = "tiny-shapes-base"\nB = "tiny-shapes-pastel-unet"\n[output]\nvae = "B"\n')
    opened = kitchen.open_recipe(tiny, path)
    assert not opened.fits_form and opened.lines
    assert kitchen.parts(opened.recipe)[0].title == "A"


def test_titles_tell_of_loras() -> None:
    bake = bake_recipe("a", [("l", 0.8), ("m", Weight(1.0, {"te": 0.0}))])
    assert kitchen.parts(bake)[0].title == "A + LoRAs 0.8 blocks"
    assert kitchen.parts(simple_recipe("weighted-sum", ["a", "b"], loras=[("l", 1)]))[0].title == "merge 0.5 + LoRA 1"


def test_loras_that_a_prompt_names_are_in_the_picture(tiny: Library, assets: dict[str, Asset]) -> None:
    base, _, lora = assets.values()
    model = kitchen.Part("A", "base", path=base.path)
    baked = kitchen.Part("merge", "baked", recipe=kitchen.merge_recipe([base], None, {}, loras=[(lora, 1.0)]))
    half = kitchen.Part("merge", "half", recipe=kitchen.merge_recipe([base], None, {}, loras=[(lora, 0.5)]))
    named = picture(tiny, model, f"{REQUEST.prompt}<lora:tiny-shapes-framed-lora>")
    assert np.array_equal(named, picture(tiny, baked))
    assert not np.array_equal(named, picture(tiny, model))
    more = picture(tiny, half, f"{REQUEST.prompt}<lora:tiny-shapes-framed-lora:0.5>")
    assert np.abs(more.astype(int) - named.astype(int)).mean() < 8, "half of it twice is all of it, but for rounding"
    with pytest.raises(NotFoundError, match="The prompt names a LoRA"):
        picture(tiny, model, "a <lora:nothing>")


def test_embeddings_that_a_prompt_names_are_in_the_picture(
    models: Path, tiny: Library, assets: dict[str, Asset]
) -> None:
    wide = next(
        value.shape[1]
        for name, value in load_file(models / "tiny-shapes-base.safetensors").items()
        if name.endswith("token_embedding.weight")
    )
    save_file({"emb_params": np.full((2, wide), 0.3, np.float32)}, models / "odd-word.safetensors")
    with Catalog.open(tiny.folder) as catalog:
        scan(catalog, [models])
    model = kitchen.Part("A", "base", path=assets["base"].path)
    request = replace(REQUEST, prompt=f"{REQUEST.prompt} odd-word", width=64, height=64, steps=2)
    assert "odd-word" in render(tiny, model, request).pictures[0].infotext.partition("TI hashes")[2]


def test_a_stove_reads_only_what_differs_and_shows_the_same(tiny: Library, assets: dict[str, Asset]) -> None:
    base, pastel, _ = assets.values()
    request, stove = replace(REQUEST, width=64, height=64, steps=2), Stove()
    merges = [
        kitchen.Part("merge", "m", recipe=kitchen.merge_recipe([base, pastel], "weighted-sum", {"alpha": alpha}))
        for alpha in (0.2, 0.7)
    ]
    shots = [render(tiny, part, request, stove) for part in merges]
    assert stove._renderer is not None
    read = stove._renderer.read
    assert read["denoiser"] and not any(size for part, size in read.items() if part != "denoiser"), read
    assert np.array_equal(shots[1].pixels, render(tiny, merges[1], request).pixels)
    stove.forget()
    assert not stove.is_warm


def test_a_bake_is_saved_and_catalogued(tiny: Library, assets: dict[str, Asset], tmp_path: Path) -> None:
    base, _, lora = assets.values()
    recipe = kitchen.merge_recipe([base], None, {}, loras=[(lora, 1.0)])
    goal, text = tmp_path / "baked.safetensors", tmp_path / "baked.toml"
    assert kitchen.save(tiny, recipe, goal, job=QUIET).baked == 192
    with tiny.open() as catalog:
        (asset,) = catalog.named("baked")
        assert {one.name for one in catalog.parents(asset.id)} == {"tiny-shapes-base", "tiny-shapes-framed-lora"}
    kitchen.save_recipe(tiny, recipe, text, QUIET)
    assert parse_recipe(text.read_text()) == recipe


def test_a_second_pass_enlarges_and_what_says_nothing_suits_the_model(tiny: Library, assets: dict[str, Asset]) -> None:
    model = kitchen.Part("A", "base", path=assets["base"].path)
    request = replace(REQUEST, sampler="", schedule="", width=64, height=64, hires=Hires(2.0, upscaler="Lanczos"))
    shot = render(tiny, model, request)
    assert shot.pixels.shape == (128, 128, 3)
    assert "Sampler: DPM++ 2M" in shot.pictures[0].infotext and "Hires upscaler: Lanczos" in shot.pictures[0].infotext
    euler = suited(replace(request, sampler="Euler"), "sd1")
    assert (euler.sampler, euler.schedule) == ("Euler", "Automatic"), "a schedule of another sampler does not suit"
    flux = suited(request, "flux1")
    assert flux.sampler and flux.schedule and flux.cfg == 1.0


def test_the_outlook_is_made_of_headers(tiny: Library, assets: dict[str, Asset], tmp_path: Path) -> None:
    base, pastel, lora = assets.values()
    recipe = kitchen.merge_recipe([base, pastel], "weighted-sum", {"alpha": 0.3}, loras=[(lora, 0.5)], dtype="fp32")
    found = kitchen.look(tiny, recipe, tmp_path / "x.safetensors", QUIET)
    kitchen.save(tiny, recipe, tmp_path / "x.safetensors", job=QUIET)
    written = (tmp_path / "x.safetensors").stat().st_size
    assert 0 <= written - found.size < 4096, "hashes of the models are not known before they are read"
    assert found.free and "192 with LoRAs" in found.facts and found.warnings
    nowhere = kitchen.look(tiny, recipe, tmp_path / "none" / "x.safetensors", QUIET)
    assert nowhere.free is None and "free" not in nowhere.facts
