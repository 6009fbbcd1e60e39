"""What a merge carries in its metadata: for us, for other programs, and of its whole ancestry."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from merge_bench import VAE, Bench, checkpoint
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from modelhub.catalog.weighing.weights import Weight
from modelhub.formats.hashes import autov1
from modelhub.formats.safetensors import read_header
from modelhub.merge.ancestry.table import ancestors_recipes
from modelhub.merge.execute import merge
from modelhub.merge.planning.plan import plan
from modelhub.merge.recipes.recipe import Recipe, parse_recipe, simple_recipe

WS = simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": 0.3})


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def made(bench: Bench, recipe: Recipe, name: str = "out") -> dict[str, str]:
    """The metadata of a merge that was written, by the safetensors library."""
    goal = bench.folder / f"{name}.safetensors"
    merge(bench.plan(recipe), goal, force=True)
    with safe_open(goal, "pt") as file:
        return file.metadata()


def webui_of(metadata: dict[str, str]) -> dict[str, Any]:
    return json.loads(metadata["sd_merge_recipe"])


def test_a_weighted_sum_is_told_as_the_webui_tells_it(bench: Bench) -> None:
    metadata = made(bench, replace(WS, name="mix", dtype="fp16"))
    assert webui_of(metadata) == {
        "type": "webui",
        "primary_model_hash": sha256(bench.folder / "a.safetensors"),
        "secondary_model_hash": sha256(bench.folder / "b.safetensors"),
        "tertiary_model_hash": None,
        "interp_method": "Weighted sum",
        "multiplier": 0.3,
        "save_as_half": True,
        "custom_name": "mix",
        "config_source": 0,
        "bake_in_vae": "None",
        "discard_weights": "",
        "is_inpainting": False,
        "is_instruct_pix2pix": False,
    }
    assert metadata["format"] == "pt" and metadata["modelspec.title"] == "mix"
    assert metadata["modelspec.merged_from"] == "a, b"
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1"
    assert metadata["modelspec.resolution"] == "512x512" and metadata["modelspec.sai_model_spec"] == "1.0.1"
    assert metadata["modelspec.implementation"].startswith("https://")
    assert "Weighted sum (alpha 0.3)" in metadata["modelspec.description"]


def test_a_difference_with_another_vae(bench: Bench) -> None:
    bench.put("vae", {name.removeprefix(VAE): value for name, value in checkpoint(9).items() if name.startswith(VAE)})
    recipe = webui_of(made(bench, simple_recipe("add-difference", ["a", "b", "c"], vae="vae")))
    assert (recipe["type"], recipe["interp_method"], recipe["multiplier"]) == ("webui", "Add difference", 1.0)
    assert recipe["tertiary_model_hash"] == sha256(bench.folder / "c.safetensors")
    assert (recipe["bake_in_vae"], recipe["save_as_half"]) == ("vae.safetensors", False)


@pytest.mark.parametrize(
    "recipe",
    [
        simple_recipe("slerp", ["a", "b"]),
        simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": Weight(0.5, {}, {"IN00": 0.1})}),
        simple_recipe("weighted-sum", ["a", "b"], only=["unet"]),
        simple_recipe("weighted-sum", ["a", "b"], take={"te1": "B"}),
        simple_recipe("weighted-sum", ["a", "b"], dtype="bf16"),
        parse_recipe(
            '[models]\nA = "a"\nB = "b"\nC = "c"\n[[steps]]\nname = "x"\nmethod = "weighted-sum"\ninputs = ["A", "B"]\n'
            '[[steps]]\nmethod = "weighted-sum"\ninputs = ["x", "C"]'
        ),
    ],
)
def test_what_the_webui_cannot_make_is_not_told_as_its_own(bench: Bench, recipe: Recipe) -> None:
    found = webui_of(made(bench, recipe))
    assert found["type"] == "modelhub"
    hashes = [found[f"{which}_model_hash"] for which in ("primary", "secondary", "tertiary")]
    names = [bench.folder / f"{model.ref}.safetensors" for model in recipe.models.values()]
    assert hashes[: len(names)] == [sha256(path) for path in names]


def test_texts_that_look_like_tables_stay_texts(bench: Bench) -> None:
    """A program that read `{...}` as a table could not write it back: every value must be a string, as it was."""
    odd = {"modelspec.license": '{"name": "CC"}', "modelspec.trigger_phrase": "{", "sd_merge_models": '{"x": "y"}'}
    bench.put("a", checkpoint(0), odd | {"ss_tag_frequency": "{}", "modelspec.thumbnail": "data:x", "user": "{}"})
    bench.put("b", checkpoint(1), {"modelspec.license": "MIT", "modelspec.trigger_phrase": "pastel style"})
    metadata = made(bench, WS)
    assert all(isinstance(value, str) for value in metadata.values())
    assert metadata["modelspec.license"] == '{"name": "CC"} AND MIT'
    assert metadata["modelspec.trigger_phrase"] == "{, pastel style"
    assert not {"ss_tag_frequency", "modelspec.thumbnail", "user"} & set(metadata)
    save_file(load_file(bench.folder / "out.safetensors"), bench.folder / "again.safetensors", metadata)
    assert read_header(bench.folder / "again.safetensors").metadata == metadata


def test_what_the_first_parent_says_of_its_architecture_holds_unless_shapes_contradict(bench: Bench) -> None:
    said = {"modelspec.architecture": "stable-diffusion-v1-inpainting", "modelspec.prediction_type": "v"}
    bench.put("a", checkpoint(0), said | {"modelspec.resolution": "768x768", "modelspec.usage_hint": "clip skip 2"})
    metadata = made(bench, WS)
    assert metadata["modelspec.prediction_type"] == "v" and metadata["modelspec.resolution"] == "768x768"
    assert metadata["modelspec.usage_hint"] == "clip skip 2"
    bench.put(
        "a",
        checkpoint(0),
        {"modelspec.architecture": "stable-diffusion-xl-v1-base", "modelspec.resolution": "1024x1024"},
    )
    metadata = made(bench, WS)
    assert (metadata["modelspec.architecture"], metadata["modelspec.resolution"]) == ("stable-diffusion-v1", "512x512")


def test_the_whole_ancestry_goes_along(bench: Bench) -> None:
    foreign = {
        "sd_merge_recipe": json.dumps(
            {"type": "webui", "interp_method": "Weighted sum", "primary_model_hash": "5" * 64}
        ),
        "sd_merge_models": json.dumps(
            {"5" * 64: {"name": "old.ckpt", "legacy_hash": "55555555", "sd_merge_recipe": None}}
        ),
    }
    bench.put("c", checkpoint(2), foreign)
    made(bench, WS, "child")
    made(bench, simple_recipe("weighted-sum", ["child", "c"], name="grandchild"), "grandchild")
    metadata = made(bench, simple_recipe("add-difference", ["grandchild", "a", "b"]), "last")
    hashes = {name: sha256(bench.folder / f"{name}.safetensors") for name in ("a", "b", "c", "child", "grandchild")}
    table = json.loads(metadata["sd_merge_models"])
    assert set(table) == {*hashes.values(), "5" * 64}
    assert list(table)[:3] == [hashes["grandchild"], hashes["a"], hashes["b"]], "the nearest first"
    assert table[hashes["c"]]["sd_merge_recipe"]["interp_method"] == "Weighted sum"
    assert table["5" * 64] == {"name": "old.ckpt", "legacy_hash": "55555555", "sd_merge_recipe": None}
    assert table[hashes["a"]]["name"] == "a.safetensors"
    recipes = ancestors_recipes(metadata)
    assert set(recipes) == {hashes["grandchild"], hashes["child"], hashes["c"]}
    assert parse_recipe(recipes[hashes["child"]]["modelhub.recipe"]).models["A"].sha256 == hashes["a"]
    assert recipes[hashes["c"]]["sd_merge_recipe"] == foreign["sd_merge_recipe"]
    assert metadata["modelhub.ancestry"].startswith("["), "what begins with a brace is taken for a table by others"
    assert "modelhub.ancestry_left_out" not in metadata


def test_a_deep_ancestry_is_cut_where_it_is_farthest(bench: Bench) -> None:
    text = WS.pinned({"A": "1" * 64, "B": "2" * 64}).dumps() + "# " + "x" * 2000
    entries = [{"sha256": f"{at:064x}", "name": f"old {at}", "modelhub.recipe": text} for at in range(400)]
    bench.put(
        "a",
        checkpoint(0),
        {"modelhub.recipe": text, "modelhub.ancestry": json.dumps(entries), "modelhub.ancestry_left_out": "7"},
    )
    metadata = made(bench, WS)
    recipes = ancestors_recipes(metadata)
    assert len(metadata["modelhub.ancestry"]) < 500_000
    kept = len(recipes)
    assert 100 < kept < 400 and list(recipes)[1] == f"{0:064x}", "the parent, then what it carries, from the first on"
    assert metadata["modelhub.ancestry_left_out"] == str(7 + 401 - kept)
    read_header(bench.folder / "out.safetensors")


@pytest.mark.parametrize(
    "hostile", ["[" * 10_000, "{", "[1, 2]", '[{"sha256": 5}]', '{"a": ' * 900 + "1" + "}" * 900, "[]\x00"]
)
def test_hostile_ancestries_say_nothing(bench: Bench, hostile: str) -> None:
    bench.put(
        "a", checkpoint(0), {"sd_merge_models": hostile, "modelhub.ancestry": hostile, "sd_merge_recipe": hostile}
    )
    metadata = made(bench, WS)
    assert len(json.loads(metadata["sd_merge_models"])) == 2
    assert all(
        value is None for value in (one["sd_merge_recipe"] for one in json.loads(metadata["sd_merge_models"]).values())
    )
    json.loads(metadata.get("modelhub.ancestry", "[]"))


def test_the_legacy_hash_is_that_of_the_old_webui(bench: Bench, tmp_path: Path) -> None:
    long = checkpoint(0) | {"betas": torch.linspace(0, 1, 400_000)}
    path = bench.put("a", long)
    expected = hashlib.sha256(path.read_bytes()[0x100000:0x110000]).hexdigest()[:8]
    entry = json.loads(made(bench, WS)["sd_merge_models"])[sha256(path)]
    assert entry["legacy_hash"] == expected == autov1(path)
    assert autov1(bench.folder / "b.safetensors") is None and autov1(tmp_path) is None


def test_numbers_of_one_catalog_do_not_go_into_files(bench: Bench) -> None:
    digest = sha256(bench.folder / "a.safetensors")
    known = {"#12": "a", digest[:10]: "a", digest: "a"}
    for ref in known:
        planned = plan(simple_recipe("weighted-sum", [ref, "b"]), lambda word: bench.open(known.get(word, word)))
        recipe = parse_recipe(planned.header.metadata["modelhub.recipe"])
        assert (recipe.models["A"].ref, recipe.models["A"].sha256) == ("a", digest)
        assert planned.header.metadata["modelspec.merged_from"] == "a, b"
