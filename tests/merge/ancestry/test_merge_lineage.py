"""Lineage: what a merge was made of, as files and the library tell, and which merges something went into."""

import json
from pathlib import Path

import pytest
from merge_bench import Bench, checkpoint

from modelhub.catalog.opener import Opener
from modelhub.formats.safetensors import read_header
from modelhub.merge.ancestry.lineage import Ancestor, Known, in_library, lineage, uses
from modelhub.merge.execute import merge
from modelhub.merge.recipes.recipe import ModelRef, Recipe, simple_recipe
from modelhub.scan.adding import add_file, add_written


def mix(first: str, second: str, alpha: float = 0.5) -> Recipe:
    return simple_recipe("weighted-sum", [first, second], parameters={"alpha": alpha})


def add(bench: Bench, name: str) -> int:
    """Put a file into the catalog, and hash it."""
    number = add_file(bench.catalog, bench.folder / f"{name}.safetensors")
    with Opener(bench.catalog, hashed=True) as opener:
        opener(f"#{number}")
    return number


def written(bench: Bench, recipe: Recipe, name: str) -> Path:
    report = merge(bench.plan(recipe), bench.folder / f"{name}.safetensors")
    add_written(bench.catalog, report.written)
    return report.written.path


@pytest.fixture
def family(bench: Bench) -> Bench:
    """a, b, c are in the library; child = a + b, grandchild = child + c, and last = grandchild + a."""
    for name in ("a", "b", "c"):
        add(bench, name)
    written(bench, mix("a", "b", 0.25), "child")
    written(bench, mix("child", "c"), "grandchild")
    written(bench, mix("grandchild", "a"), "last")
    return bench


def tree(bench: Bench, name: str, find=None) -> Ancestor:
    metadata = read_header(bench.folder / f"{name}.safetensors").metadata
    return lineage(metadata, find or in_library(bench.catalog), name=name)


def shape(one: Ancestor) -> object:
    return (one.name, [shape(parent) for parent in one.parents]) if one.parents else one.name


EXPECTED = ("last", [("grandchild", [("child", ["a", "b"]), "c"]), "a"])


def test_the_tree_of_a_merge(family: Bench) -> None:
    found = tree(family, "last")
    assert shape(found) == EXPECTED
    grandchild = found.parents[0]
    child = grandchild.parents[0]
    assert [one.letter for one in child.parents] == ["A", "B"] and grandchild.letter == "A"
    assert child.recipe is not None and child.recipe.steps[0].parameters == {"alpha": 0.25}
    assert child.asset is not None and child.asset.path == family.folder / "child.safetensors"
    plain = found.as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["parents"][0]["parents"][0]["steps"] == [
        {"method": "weighted-sum", "inputs": ["A", "B"], "alpha": 0.25}
    ]


def test_no_file_of_an_ancestor_is_needed(family: Bench) -> None:
    for name in ("a", "b", "c", "child", "grandchild"):
        (family.folder / f"{name}.safetensors").unlink()
    found = tree(family, "last", lambda ref: None)
    assert shape(found) == EXPECTED and found.parents[0].asset is None


def test_the_library_tells_what_a_file_does_not(family: Bench) -> None:
    """A recipe alone, without the ancestry: the parents' own files and rows have theirs."""
    text = read_header(family.folder / "last.safetensors").metadata["modelhub.recipe"]
    found = lineage({"modelhub.recipe": text}, in_library(family.catalog), name="last")
    assert shape(found) == EXPECTED
    (family.folder / "grandchild.safetensors").unlink()
    asset = family.catalog.named("grandchild")[0]
    family.catalog.set_missing([asset.id])
    found = lineage({"modelhub.recipe": text}, in_library(family.catalog), name="last")
    assert shape(found) == EXPECTED, "the row keeps the recipe"
    assert found.parents[0].asset is not None and found.parents[0].as_dict()["missing"] is True


def test_what_was_shown_is_not_shown_again(bench: Bench) -> None:
    written(bench, mix("a", "b"), "child")
    written(bench, mix("child", "child"), "twice")
    one, two = tree(bench, "twice").parents
    assert (shape(one), shape(two), two.note) == (("child", ["a", "b"]), "child", "shown above")


def test_a_lie_that_goes_round_has_an_end() -> None:
    digests = [f"{at:064x}" for at in range(3)]
    recipes = {
        digest: mix("x", "y").pinned({"A": digests[(at + 1) % 3], "B": "f" * 64}).dumps()
        for at, digest in enumerate(digests)
    }
    entries = [{"sha256": digest, "modelhub.recipe": text} for digest, text in recipes.items()]
    metadata = {"modelhub.recipe": recipes[digests[0]], "modelhub.ancestry": json.dumps(entries)}
    found = lineage(metadata, lambda ref: None, name="liar", sha256=digests[0])
    assert found.parents[0].parents[0].parents[0].note == "shown above"


def test_very_many_ancestors_have_an_end() -> None:
    entries = [
        {
            "sha256": f"{at:064x}",
            "modelhub.recipe": mix("x", "y").pinned({"A": f"{at + 1:064x}", "B": f"{at + 2:064x}"}).dumps(),
        }
        for at in range(1, 200)
    ]
    metadata = {
        "modelhub.recipe": mix("x", "y").pinned({"A": f"{1:064x}"}).dumps(),
        "modelhub.ancestry": json.dumps(entries),
    }
    notes: list[str] = []

    def walk(one: Ancestor) -> int:
        notes.append(one.note)
        return 1 + sum(map(walk, one.parents))

    assert walk(lineage(metadata, lambda ref: None, name="many")) < 5000
    assert any("not followed any further" in note for note in notes)


def test_recipes_of_other_programs_are_part_of_it(bench: Bench) -> None:
    webui = {"type": "webui", "primary_model_hash": "1" * 64, "secondary_model_hash": "2" * 64}
    table = {"1" * 64: {"name": "one.ckpt"}, "2" * 64: {"name": "two.ckpt"}}
    known = {"sd_merge_recipe": json.dumps(webui | {"interp_method": "Weighted sum", "multiplier": 1})}
    bench.put("a", checkpoint(0), known | {"sd_merge_models": json.dumps(table)})
    bench.put(
        "b", checkpoint(1), {"mecha_recipe": 'version 0.1.0\nmodel "x/three"\nmodel "four"\nmerge "rebasin" &0 &1'}
    )
    written(bench, mix("a", "b"), "child")
    found = tree(bench, "child")
    assert shape(found) == ("child", [("a", ["one.ckpt", "two.ckpt"]), ("b", ["three", "four"])])
    assert found.parents[1].recipe is None and "'rebasin' has no equal here" in found.parents[1].note


def test_models_are_found_by_hash_or_by_a_name_that_is_one(family: Bench) -> None:
    find = in_library(family.catalog)
    digest = family.catalog.named("a")[0].sha256
    assert (
        (known := find(ModelRef("elsewhere", digest)))
        and isinstance(known, Known)
        and known.asset.name == "a.safetensors"
    )
    assert (named := find(ModelRef("/other/place/b.safetensors"))) and named.asset.name == "b.safetensors"
    assert find(ModelRef("a", "e" * 64)) is None, "another content"
    (family.folder / "more").mkdir()
    (family.folder / "more" / "b.safetensors").write_bytes((family.folder / "c.safetensors").read_bytes())
    add(family, "more/b")
    assert find(ModelRef("b")) is None, "two files have that name"


def test_which_merges_something_went_into(family: Bench) -> None:
    def found(name: str) -> list[tuple[int, str]]:
        return [(use.depth, use.asset.path.stem) for use in uses(family.catalog, family.catalog.named(name)[0])]

    assert found("a") == [(1, "child"), (1, "last"), (2, "grandchild")]
    assert found("b") == [(1, "child"), (2, "grandchild"), (2, "last")]
    assert found("child") == [(1, "grandchild"), (2, "last")]
    assert found("last") == []


def test_merges_that_know_names_alone(bench: Bench) -> None:
    add(bench, "a")
    bench.put("heir", checkpoint(3), {"mecha_recipe": 'version 0.1.0\nmodel "old/A"\nmodel "zzz"\nmerge "x" &0 &1'})
    add(bench, "heir")
    assert [use.asset.path.stem for use in uses(bench.catalog, bench.catalog.named("a")[0])] == ["heir"]


def test_the_search_knows_merges(family: Bench) -> None:
    digest = family.catalog.named("b")[0].sha256 or ""

    def names(query: str) -> list[str]:
        return [asset.path.stem for asset in family.catalog.find(query)]

    assert names("merged:yes") == ["child", "grandchild", "last"]
    assert names(f"from:{digest}") == names(f"from:{digest[:10].upper()}") == ["child", "grandchild", "last"]
    assert names("from:child") == names("from:CHILD.safetensors") == ["grandchild", "last"]
    assert names("from:grand*") == ["last"] and names("from:nothing") == []
    assert names("merged:no -from:a") == ["a", "b", "c"]
