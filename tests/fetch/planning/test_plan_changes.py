"""Changes of a plan: names and folders, what is replaced, what is left out, and two that want one place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from getting import Getter
from world import samples

from modelhub.errors import UsageError
from modelhub.fetch.planning.changing import changed, moved, renamed
from modelhub.fetch.planning.ordering import Options
from modelhub.fetch.planning.plans import Plan
from modelhub.settings import Settings


@pytest.fixture
def made(getter: Getter) -> Plan:
    """Two LoRAs."""
    for n in (1, 2):
        file = {"data": samples.lora(seed=n), "name": f"lora{n}.safetensors"}
        getter.world.add_version(n, n, [file], type="LORA", baseModel="SD 1.5", title=f"Lora {n}")
    return getter.plan("civitai:1@1", "civitai:2@2")


def names(plan: Plan) -> list[tuple[str, str]]:
    return [(one.status, one.path.name) for one in plan.items if one.path]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("ink", "ink.safetensors"),
        ("ink.safetensors", "ink.safetensors"),
        ("a/../b", "a_.._b.safetensors"),
        ("CON", "_CON.safetensors"),
    ],
)
def test_a_typed_name_is_made_safe_and_keeps_its_ending(getter: Getter, made: Plan, typed: str, name: str):
    first, second = made.orders
    plan = changed(getter.catalog, made, [renamed(first, typed), second])
    assert plan.items[0].path == getter.models / "loras" / name or plan.items[0].path.parent == getter.models / "loras"
    assert plan.items[0].path.name.endswith(".safetensors") and names(plan)[1] == ("new", "lora2.safetensors")
    assert not plan.orders[0].fixed, "its folder may still be another when the bytes say so"


def test_a_named_folder_is_where_it_goes(getter: Getter, made: Plan, tmp_path: Path):
    first, second = made.orders
    plan = changed(getter.catalog, made, [moved(first, tmp_path / "new"), None])
    assert [one.path for one in plan.items] == [tmp_path / "new" / "lora1.safetensors"]
    assert plan.orders[0].fixed and plan.orders[0].library is None and second not in plan.orders


def test_two_do_not_become_one_file(getter: Getter, made: Plan):
    first, second = made.orders
    plan = changed(getter.catalog, made, [first, renamed(second, "LORA1")])
    assert [one.status for one in plan.items] == ["new", "conflict"] and "Something before it" in plan.items[1].why
    assert plan.to_come == made.items[0].to_come


def test_what_is_in_the_way_is_replaced_when_that_is_said(getter: Getter, made: Plan):
    (getter.models / "loras" / "lora1.safetensors").write_bytes(b"another")
    again = changed(getter.catalog, made, list(made.orders))
    assert again.items[0].status == "conflict"
    orders = [replace(one.order, replace=True) if one.order else None for one in again.items]
    assert [one.status for one in changed(getter.catalog, again, orders).items] == ["new", "new"]


def test_refused_items_stay_as_they_are(getter: Getter, made: Plan):
    getter.world.add_version(3, 3, [{"data": samples.lora(seed=3), "name": "x.safetensors"}], usageControl="Generation")
    plan = getter.plan("civitai:3@3", "civitai:1@1")
    again = changed(getter.catalog, plan, [one.order for one in plan.items])
    assert [one.status for one in again.items] == ["refused", "new"] and again.items[0].error is plan.items[0].error


def test_settings_say_what_is_usual():
    told = Options.usual(Settings(download_sidecars="a1111, sha256 a1111", download_previews="none"))
    assert (told.sidecars, told.previews) == (("a1111", "sha256"), "none")
    with pytest.raises(UsageError, match="telegram"):
        Options.usual(Settings(download_sidecars="telegram"))
