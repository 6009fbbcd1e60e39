"""What is published names models, and not where they lay: a path shows the name of a user."""

import json
from pathlib import Path

import pytest
from merge_bench import Bench, checkpoint
from safetensors import safe_open

from modelhub.merge.ancestry.places import unplaced, unplaced_text
from modelhub.merge.execute import merge
from modelhub.merge.recipes.foreign.mecha import read_mecha
from modelhub.merge.recipes.recipe import parse_recipe, simple_recipe

LAST = "of mine"


def path_of(bench: Bench, name: str) -> str:
    return str(bench.folder / f"{name}.safetensors")


def test_no_path_stands_in_a_file_whatever_its_parents_carry(bench: Bench) -> None:
    folder = str(bench.folder)
    webui = {
        "type": "sd-webui-supermerger",
        "model_a": f"{folder}/é.ckpt",
        "model_b": "C:\\Users\\jane\\b.ckpt [0123456789]",
        "mode": "Weight sum",
        "base_alpha": 0.5,
        "calcmode": "normal",
        "mbw": False,
    }
    models = {"1" * 64: {"name": f"{folder}/é.ckpt", "legacy_hash": "", "sd_merge_recipe": webui}}
    mecha = f'version 0.1.0\nmodel "{folder}/x y.ckpt"\nmodel "D:\\\\jane\\\\z"\nmerge "weighted_sum" &0 &1'
    ours = simple_recipe("weighted-sum", [f"{folder}/it's", "~jane/b.safetensors"]).dumps()
    bench.put("a", checkpoint(0), {"sd_merge_recipe": json.dumps(webui), "sd_merge_models": json.dumps(models)})
    bench.put("b", checkpoint(1), {"mecha_recipe": mecha})
    bench.put("c", checkpoint(2), {"modelhub.recipe": ours})
    recipe = simple_recipe("add-difference", [path_of(bench, n) for n in "abc"], vae=path_of(bench, "b"))
    for generation in range(2):
        goal = Path(path_of(bench, f"merge {generation}"))
        merge(bench.plan_paths(recipe), goal)
        with safe_open(goal, "pt") as file:
            metadata = file.metadata()
        text = json.dumps(metadata)
        for bad in (folder, "jane"):
            assert bad not in text, text[max(0, text.find(bad) - 300) : text.find(bad) + 120]
        recipe = simple_recipe("weighted-sum", [str(goal), path_of(bench, "a")])
    entries = {entry["name"]: entry for entry in json.loads(metadata["modelhub.ancestry"])}
    assert read_mecha(entries["b.safetensors"]["mecha_recipe"]).models["A"].ref == "x y.ckpt"
    assert [ref.ref for ref in parse_recipe(entries["c.safetensors"]["modelhub.recipe"]).models.values()] == [
        "it's", "b.safetensors",
    ]  # fmt: skip
    assert json.loads(metadata["sd_merge_models"])["1" * 64]["name"] == "é.ckpt"


def test_the_recipe_of_a_file_has_names_and_hashes_and_the_plan_what_was_typed(bench: Bench) -> None:
    typed = [path_of(bench, name) for name in "ab"]
    planned = bench.plan_paths(simple_recipe("weighted-sum", typed))
    embedded = parse_recipe(planned.header.metadata["modelhub.recipe"])
    assert [ref.ref for ref in embedded.models.values()] == ["a", "b"]
    assert [ref.ref for ref in planned.recipe.models.values()] == typed
    assert embedded.models["A"].sha256 == planned.recipe.models["A"].sha256 is not None


@pytest.mark.parametrize(
    ("name", "expected"), [("deadbeef", "deadbeef.safetensors"), ("v1.5", "v1.5"), ("#12", "#12.safetensors")]
)
def test_a_name_that_looks_like_a_hash_keeps_its_ending(bench: Bench, name: str, expected: str) -> None:
    bench.put(name, checkpoint(3))
    planned = bench.plan_paths(simple_recipe("weighted-sum", [path_of(bench, name), path_of(bench, "b")]))
    assert parse_recipe(planned.header.metadata["modelhub.recipe"]).models["A"].ref == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('A = "/home/jane/a.safetensors"', 'A = "a.safetensors"'),
        ('A = "/a.safetensors"', 'A = "a.safetensors"'),
        (r'A = "C:\\Users\\jane\\a b.ckpt"', 'A = "a b.ckpt"'),
        ("A = '\\\\host\\jane\\a.ckpt'", "A = 'a.ckpt'"),
        ('model "~/x/a.ckpt" model_config="sd1-ldm"', 'model "a.ckpt" model_config="sd1-ldm"'),
        ('A = "folder/a"\nB = "1/2"', 'A = "folder/a"\nB = "1/2"'),
        ('{"model_a": "/x/\\u00e9.ckpt", "n": [1, "~/b"]}', '{"model_a": "\\u00e9.ckpt", "n": [1, "b"]}'),
        ('{"model_a":   "e"}', '{"model_a":   "e"}'),
        ('{"broken": "/x/y"', '{"broken": "y"'),
    ],
)
def test_paths_in_recipes_of_every_program(text: str, expected: str) -> None:
    assert unplaced_text(text) == expected


def test_values_that_are_no_paths_stay() -> None:
    table = {"a": 1, "b": None, "c": ["x/y", {"d": "50%"}]}
    assert unplaced(table) == table
