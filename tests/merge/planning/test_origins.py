"""Origins: where those of two plans are equal, so are the bytes; only what a recipe changes has another."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhub.catalog.data import data_path
from modelhub.catalog.opener import Opener
from modelhub.catalog.store import Catalog
from modelhub.catalog.weighing.weight import Weight
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.views import Combined, Renamed
from modelhub.lora.baking.merged import changes
from modelhub.merge.planning.plan import plan
from modelhub.merge.recipes.recipe import Recipe, simple_recipe

BASE = data_path("demo", "tiny-shapes-base.safetensors")
PASTEL = data_path("demo", "tiny-shapes-pastel-unet.safetensors")
LORA = data_path("demo", "tiny-shapes-framed-lora.safetensors")


def mixed(alpha: float | Weight, lora: float | None = None) -> Recipe:
    loras = [(str(LORA), Weight(lora))] if lora is not None else []
    return simple_recipe("weighted-sum", [str(BASE), str(PASTEL)], parameters={"alpha": alpha}, loras=loras)


def block(number: float) -> Weight:
    return Weight(0.5, blocks={"OUT03": number})


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        (mixed(0.25), mixed(0.25), lambda name: False),
        (mixed(0.25), mixed(0.5), lambda name: "diffusion_model" in name),
        (mixed(block(0.25)), mixed(block(0.75)), lambda name: "output_blocks.3." in name),
        (mixed(0.25, 0.5), mixed(0.25, 0.5), lambda name: False),
    ],
)
def test_equal_origins_are_equal_bytes_and_only_what_changed_has_another(
    tmp_path: Path, one: Recipe, other: Recipe, differs
) -> None:
    with Catalog.open(tmp_path / "catalog.db") as catalog, Opener(catalog) as first, Opener(catalog) as second:
        a, b = plan(one, first, bake=changes), plan(other, second, bake=changes)
        told = {name for name in a.header.tensors if a.origin(name) != b.origin(name)}
        assert told == {name for name in a.header.tensors if differs(name)}
        changed = {name for name in a.header.tensors if a.read_bytes(name) != b.read_bytes(name)}
        assert changed <= told
        assert bool(changed) == bool(told)


def test_another_strength_of_a_lora_is_another_origin_where_it_changes_something(tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "catalog.db") as catalog, Opener(catalog) as opener:
        a, b = (plan(mixed(0.25, strength), opener, bake=changes) for strength in (0.5, 0.75))
        told = {name for name in a.header.tensors if a.origin(name) != b.origin(name)}
        changed = {name for name in a.header.tensors if a.read_bytes(name) != b.read_bytes(name)}
        assert changed
        assert changed <= told


def test_a_file_that_is_replaced_has_other_origins(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(LORA.read_bytes())
    with SafetensorsFile(path) as before:
        name = next(iter(before.header.tensors))
        path.unlink()
        path.write_bytes(LORA.read_bytes())
        with SafetensorsFile(path) as after, SafetensorsFile(path) as again:
            assert before.origin(name) != after.origin(name)
            assert after.origin(name) == again.origin(name)


def test_views_pass_origins_on() -> None:
    with SafetensorsFile(LORA) as source:
        name = next(iter(source.header.tensors))
        view = Combined([Renamed(source, lambda name: f"x.{name}")])
        assert view.origin(f"x.{name}") == source.origin(name)
