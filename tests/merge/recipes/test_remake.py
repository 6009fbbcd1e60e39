"""A merge is made again from what it carries: the same bytes, though its parents have other names and places now."""

import json
from pathlib import Path

import pytest
from merge_bench import VAE, Bench, checkpoint

from modelhub.catalog.opener import Opener
from modelhub.catalog.parents import DIRECT, merged_from, recipe_key
from modelhub.catalog.weighing.weights import Weight
from modelhub.errors import BadRecipeError, NotFoundError
from modelhub.formats.safetensors import read_header
from modelhub.merge.execute import merge
from modelhub.merge.planning.plan import plan
from modelhub.merge.recipes.finding import Carrier
from modelhub.merge.recipes.recipe import Recipe, parse_recipe, simple_recipe
from modelhub.merge.recipes.remake import ancestor_recipe, recipe_of
from modelhub.scan.adding import add_file

FILE = Path("nowhere", "merge.safetensors")
WS = simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": 0.3})
WEIGHT = Weight(0.4, {"te1": 0.1}, {"IN00": 1.0, "M00": 0.0}, (("*attn2*", 0.9),))
NESTED = """
[models]
Z = "c"
A = "a"
B = "b"
[[steps]]
name = "half"
method = "dare"
inputs = ["A", "B", "Z"]
seed = 7
density = 0.5
[[steps]]
method = "weighted-sum"
inputs = ["half", "Z"]
alpha = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.5]
[output]
vae = "B"
te1 = "Z"
dtype = "bf16"
"""


def written(bench: Bench, recipe: Recipe, name: str) -> Path:
    goal = bench.folder / f"{name}.safetensors"
    merge(bench.plan(recipe), goal)
    return goal


def remade(bench: Bench, source: Path, name: str) -> bytes:
    """What the recipe in `source` makes, with its models found in the catalog."""
    goal = bench.folder / f"{name}.safetensors"
    metadata = read_header(source).metadata
    with Opener(bench.catalog, hashed=True) as opener:
        merge(plan(recipe_of(metadata), opener, Carrier(source, metadata)), goal)
    return goal.read_bytes()


@pytest.mark.parametrize(
    "recipe",
    [
        WS,
        simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": WEIGHT}, dtype="fp16", name='odd "näme"\n'),
        simple_recipe("add-difference", ["a", "b", "c"], vae="vae", only=["unet"]),
        simple_recipe("dare", ["a", "b", "c"], parameters={"seed": 42, "weights": [1, 0.5]}),
        simple_recipe("weighted-sum", ["a", "b"], compat="a1111", dtype="fp16"),
        parse_recipe(NESTED),
    ],
    ids=["plain", "weights", "vae", "seed", "compat", "nested"],
)
def test_the_same_bytes_from_renamed_parents(bench: Bench, recipe: Recipe) -> None:
    bench.put("vae", {name.removeprefix(VAE): value for name, value in checkpoint(9).items() if name.startswith(VAE)})
    first = written(bench, recipe, "first")
    (bench.folder / "moved").mkdir()
    for name in ("a", "b", "c", "vae"):
        path = (bench.folder / f"{name}.safetensors").rename(bench.folder / "moved" / f"other-{name}.safetensors")
        number = add_file(bench.catalog, path)
        with Opener(bench.catalog, hashed=True) as opener:
            opener(f"#{number}")  # hashes it, and the catalog keeps that
    assert remade(bench, first, "second") == first.read_bytes()


def test_another_file_under_the_name_is_not_taken(bench: Bench) -> None:
    first = written(bench, WS, "first")
    original = (bench.folder / "b.safetensors").rename(bench.folder / "safe.safetensors")
    bench.put("b", checkpoint(5))
    metadata = read_header(first).metadata
    with pytest.raises(BadRecipeError, match="another file"):
        plan(recipe_of(metadata), bench.open, Carrier(FILE, metadata))
    for path in (original, bench.folder / "a.safetensors", bench.folder / "b.safetensors"):
        number = add_file(bench.catalog, path)
        with Opener(bench.catalog, hashed=True) as opener:
            opener(f"#{number}")
    assert remade(bench, first, "second") == first.read_bytes(), "its content is known elsewhere"


def test_a_parent_that_is_gone_and_can_be_made_first(bench: Bench) -> None:
    middle = written(bench, WS, "middle")
    last = written(bench, simple_recipe("weighted-sum", ["middle", "c"]), "last")
    content = middle.read_bytes()
    middle.unlink()
    metadata = read_header(last).metadata
    with pytest.raises(NotFoundError, match="'middle' .* was a merge itself") as caught:
        plan(recipe_of(metadata), bench.open, Carrier(FILE, metadata))
    digest = recipe_of(metadata).models["A"].sha256
    assert digest and digest[:10] in caught.value.hint
    for word in ("middle", "middle.safetensors", digest, digest[:10]):
        recipe = ancestor_recipe(metadata, word)
        assert recipe == recipe_of(read_recipe_metadata(content))
    merge(bench.plan(recipe), middle)
    assert middle.read_bytes() == content
    with pytest.raises(NotFoundError, match="carries no recipe of 'nobody'") as caught:
        ancestor_recipe(metadata, "nobody")
    assert "middle" in caught.value.hint


def read_recipe_metadata(content: bytes) -> dict[str, str]:
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size])["__metadata__"]


def test_a_parent_that_is_gone_for_good(bench: Bench) -> None:
    last = written(bench, WS, "last")
    (bench.folder / "b.safetensors").unlink()
    metadata = read_header(last).metadata
    with pytest.raises(NotFoundError, match="'b' .* is not in the library") as caught:
        plan(recipe_of(metadata), bench.open, Carrier(FILE, metadata))
    assert "modelhub get" in caught.value.hint


def test_recipes_of_other_programs_are_run_too(bench: Bench) -> None:
    digests = [bench.open(name).sha256 for name in "ab"]
    recipe = {
        "type": "webui", "primary_model_hash": digests[0], "secondary_model_hash": digests[1],
        "interp_method": "Weighted sum", "multiplier": 0.3, "save_as_half": False, "custom_name": "", "bake_in_vae": "None",
        "discard_weights": "skip.*",
    }  # fmt: skip
    models = {digests[0]: {"name": "a"}, digests[1]: {"name": "b [0123456789]"}}
    metadata = {"sd_merge_recipe": json.dumps(recipe), "sd_merge_models": json.dumps(models)}
    planned = plan(recipe_of(metadata), bench.open)
    ours = bench.plan(simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": 0.3}, vae="merge", compat="a1111"))
    assert all(planned.read_bytes(name) == ours.read_bytes(name) for name in ours.header.tensors)
    assert any("skip.*" in warning for warning in planned.report.warnings)


def test_our_recipe_goes_before_others_and_none_is_said() -> None:
    pinned = WS.pinned({"A": "1" * 64, "B": "2" * 64})
    assert recipe_of({"modelhub.recipe": pinned.dumps(), "sd_merge_recipe": "{}"}) == pinned
    with pytest.raises(NotFoundError, match="carries no recipe"):
        recipe_of({"format": "pt"})
    with pytest.raises(BadRecipeError):
        recipe_of({"modelhub.recipe": "models = 5"})


# -- where parents are -------------------------------------------------------------------------------------------------


def moved(bench: Bench, source: Path, *names: str) -> Path:
    """A merge and some of its parents in a folder that no catalog knows."""
    folder = bench.folder / "elsewhere"
    folder.mkdir()
    for name in names:
        (bench.folder / f"{name}.safetensors").rename(folder / f"{name}.safetensors")
    return source.rename(folder / source.name)


def test_parents_beside_the_merge_are_found_if_they_are_the_ones(bench: Bench) -> None:
    first = moved(bench, written(bench, WS, "first"), "a", "b")
    assert remade(bench, first, "second") == first.read_bytes()
    bench.put("elsewhere/b", checkpoint(8))
    with pytest.raises(BadRecipeError, match="another file"):
        remade(bench, first, "third")


def test_a_file_of_the_same_name_in_the_library_does_not_hide_the_one_beside(bench: Bench) -> None:
    first = moved(bench, written(bench, WS, "first"), "a", "b")
    for seed in (11, 12):  # even two of them
        add_file(bench.catalog, bench.put("b", checkpoint(seed)))
        assert remade(bench, first, f"with {seed}") == first.read_bytes()
        (bench.folder / "more").mkdir(exist_ok=True)
        add_file(bench.catalog, bench.put("more/b", checkpoint(seed + 5)))


def test_without_the_hash_nothing_beside_a_file_is_taken(bench: Bench) -> None:
    folder = bench.folder / "elsewhere"
    folder.mkdir()
    bench.put("elsewhere/b", checkpoint(1))
    carrier = Carrier(folder / "merge.safetensors", {"modelhub.recipe": "x"})
    with Opener(bench.catalog) as opener, pytest.raises(NotFoundError, match="'b' is not in the library"):
        plan(simple_recipe("weighted-sum", [str(bench.folder / "a.safetensors"), "b"]), opener, carrier)


@pytest.mark.parametrize("ref", ["../../etc/no one", "..", "nul\0", "x" * 5000, "/"])
def test_hostile_names_are_only_names(bench: Bench, ref: str) -> None:
    recipe = simple_recipe("weighted-sum", [ref, str(bench.folder / "b.safetensors")]).pinned({"A": "1" * 64})
    with Opener(bench.catalog) as opener, pytest.raises(NotFoundError, match="sha256 1111111111…"):
        plan(recipe, opener, Carrier(bench.folder / "m.safetensors", {"modelhub.recipe": "x"}))


def test_a_path_of_another_machine_is_tried_by_its_name(bench: Bench) -> None:
    number = add_file(bench.catalog, bench.folder / "b.safetensors")
    with Opener(bench.catalog, hashed=True) as opener:
        digest = opener(f"#{number}").sha256 or ""
    a = str(bench.folder / "a.safetensors")
    pinned = simple_recipe("weighted-sum", [a, "D:\\models\\b.safetensors"]).pinned({"B": digest})
    typed = simple_recipe("weighted-sum", [a, "/old/b.safetensors"])
    theirs = {"mecha_recipe": f'version 0.1.0\nmodel "{a}"\nmodel "/old/b.safetensors"\nmerge "weighted_sum" &0 &1'}
    with Opener(bench.catalog) as opener:
        assert plan(pinned, opener).models["B"].parent.name == "b"
        assert plan(recipe_of(theirs), opener, Carrier(FILE, theirs)).models["B"].parent.name == "b"
        with pytest.raises(NotFoundError):
            plan(typed, opener)


def test_a_merge_by_the_webui_of_one_of_ours_is_not_taken_for_that_one(bench: Bench) -> None:
    """It copies the fields of the models that it merges, `modelhub.recipe` too."""
    copied = read_header(written(bench, WS, "first")).metadata
    digest = bench.open("first").sha256 or ""
    other = bench.open("c").sha256 or ""
    theirs = {
        "type": "webui", "primary_model_hash": digest, "secondary_model_hash": other, "interp_method": "Weighted sum",
        "multiplier": 0.75, "save_as_half": False, "custom_name": "", "bake_in_vae": "None", "discard_weights": "",
    }  # fmt: skip
    models = json.loads(copied["sd_merge_models"]) | {
        digest: {"name": "first", "legacy_hash": "", "sd_merge_recipe": json.loads(copied["sd_merge_recipe"])},
        other: {"name": "c", "legacy_hash": "", "sd_merge_recipe": None},
    }
    theirs_too = {"sd_merge_recipe": json.dumps(theirs), "sd_merge_models": json.dumps(models)}
    made = bench.put("child", checkpoint(7), copied | theirs_too)
    recipe = recipe_of(read_header(made).metadata)
    assert [ref.sha256 for ref in recipe.models.values()] == [digest, other]
    assert recipe.steps[0].parameters["alpha"] == 0.75
    assert [one.sha256 for one in merged_from(copied | theirs_too) if one.depth == DIRECT] == [digest, other]
    assert recipe_of(copied).steps[0].parameters["alpha"] == 0.3, "ours stands beside a webui recipe of the same merge"
    supermerger = json.dumps({"type": "sd-webui-supermerger", "model_a": "first", "model_b": "c"})
    assert recipe_key(copied | {"sd_merge_recipe": supermerger}) == "sd_merge_recipe"
    grandchild = bench.plan(simple_recipe("weighted-sum", ["child", "b"])).header.metadata
    assert ancestor_recipe(grandchild, "child").steps[0].parameters["alpha"] == 0.75
    assert recipe_key({"mecha_recipe": "version 0.1.0", "sd_merge_recipe": json.dumps(theirs)}) == "sd_merge_recipe"
