"""What can be copied of an asset, and the dialog that offers it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import OptionList

from modelhub.catalog.asset import FileStat
from modelhub.catalog.identity import Identity
from modelhub.catalog.store import Catalog
from modelhub.fetch.sources.air import read_air
from modelhub.formats.hashes import Hashes
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.detail.copies import copies, infotext
from modelhub.tui.detail.copying import CopyDialog
from modelhub.tui.library import Library


@pytest.fixture
def asset(home):
    with Catalog.open(home) as catalog:
        found = Identity(kind="lora", architecture="sdxl", trigger_words=("hat", "red [b]hat[/b]"))
        number = catalog.record(Path("/m/my hat.safetensors"), FileStat(1, 1, 5, 0), found, "1")
        catalog.set_hashes(number, Hashes(sha256="ab" * 32, autov2="abababab" + "ab", autov3="0123456789ab"))
        return catalog.get(number)


def told(asset):
    return {one.label: one.text for one in copies(asset)}


def test_a_lora_has_its_tag_its_words_and_its_hashes(asset):
    found = told(replace(asset, sidecar={"weight": 0.7, "negative_words": ["bad"]}))
    assert found["prompt tag"] == "<lora:my hat:0.7>" and found["trigger words"] == "hat, red [b]hat[/b]"
    assert found["SHA256"] == "ab" * 32 and found["infotext"] == 'Lora hashes: "my hat: 0123456789ab"'
    assert found["negative words"] == "bad" and found["reference"] == "#1"
    assert "AIR" not in found and "BLAKE3" not in found and all(found.values())


def test_the_air_can_be_read_again(asset):
    air = told(replace(asset, provided={"model_id": 11, "version_id": 22}))["AIR"]
    assert air == "urn:air:sdxl:lora:civitai:11@22"
    assert read_air(air) == read_air("civitai:11@22")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("checkpoint", "Model hash: ababababab, Model: my hat"),
        ("vae", "VAE hash: ababababab, VAE: my hat.safetensors"),
        ("embedding", 'TI hashes: "my hat: ababababab"'),
        ("controlnet", ""),
    ],
)
def test_infotext(asset, kind, says):
    assert infotext(replace(asset, kind=kind)) == says


def test_without_a_hash_there_is_no_infotext(asset):
    assert infotext(replace(asset, kind="checkpoint", hashes=dict.fromkeys(asset.hashes))) == ""


async def test_the_menu_copies_what_is_chosen(asset, home, app, until, text):
    async with (it := app(Library(home))).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: it.screen.query_one(AssetList).count)
        await pilot.press("Y")
        await until(pilot, lambda: isinstance(it.screen, CopyDialog))
        assert "red [b]hat[/b]" in text(it) and "<lora:my hat:1>" in text(it)
        await pilot.press("j", "j", "j", "enter")
        await until(pilot, lambda: not isinstance(it.screen, CopyDialog))
        assert it.clipboard == "hat, red [b]hat[/b]"
        await pilot.press("Y")
        await until(pilot, lambda: isinstance(it.screen, CopyDialog))
        assert it.screen.query_one(OptionList).highlighted == 0
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(it.screen, CopyDialog))
