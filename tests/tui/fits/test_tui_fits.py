"""The fits screen: answers that come in, sorted best first, with the evidence of each; small, empty and hostile ones."""

from __future__ import annotations

import shutil
import threading

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from modelhub.catalog.data import data_path
from modelhub.catalog.store import Catalog
from modelhub.lora.checking.answer import SIGNS, VERDICTS, Answer, Mismatch, Reason
from modelhub.scan.run import scan
from modelhub.tui.actions import ACTIONS
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.browse.screen import BrowseScreen
from modelhub.tui.fits import partners
from modelhub.tui.fits.fit_facts import fit_sections
from modelhub.tui.fits.fit_list import FitList, Pair
from modelhub.tui.fits.pair_screen import FitBody
from modelhub.tui.fits.screen import FitsScreen
from modelhub.tui.lab.lora_rows import Strength
from modelhub.tui.lab.screen import MergeLab
from modelhub.tui.library import Library
from modelhub.tui.widgets.status import StatusLine

BASE, FRAMED = "tiny-shapes-base.safetensors", "tiny-shapes-framed-lora.safetensors"
SIZE = (120, 40)


@pytest.fixture
def mixed(models, home):
    """The tiny models, an embedding and an upscaler, and a LoRA of which every layer is twice as wide."""
    for name in ("sundisc.safetensors", "tiny-realesrgan-x4.pth"):
        shutil.copy(data_path("demo", name), models)
    wide = {
        name: np.concatenate([value, value], axis=1 if name.endswith("down.weight") else 0) if value.ndim else value
        for name, value in load_file(models / FRAMED).items()
    }
    with safe_open(models / FRAMED, "np") as file:
        save_file(wide, models / "too-wide[b].safetensors", file.metadata())
    with Catalog.open(home) as catalog:
        scan(catalog, [models])
    return Library(home)


async def fits(pilot, until, name, count):
    """Go to an asset by name and ask what it fits."""
    assets = pilot.app.screen.query_one(AssetList)
    await until(pilot, lambda: assets.count >= 4)
    await pilot.press("slash", *name.partition(".")[0].partition("[")[0], "enter")
    await until(pilot, lambda: assets.count == 1 and assets.current and assets.current.name == name)
    await pilot.press("f")
    await until(pilot, lambda: isinstance(pilot.app.screen, FitsScreen))
    screen = pilot.app.screen
    await until(pilot, lambda: idle(screen) and screen.query_one(FitList).count == count)
    return screen


def idle(screen):
    return screen.query_one(StatusLine).event is None


def rows(screen):
    return [(pair.answer.verdict, pair.asset.name) for pair in screen.query_one(FitList)._pairs]


async def test_a_lora_and_the_models_of_the_library(mixed, app, until, text):
    async with (it := app(mixed)).run_test(size=SIZE) as pilot:
        screen = await fits(pilot, until, FRAMED, 3)
        assert {name for _, name in rows(screen)} == {
            BASE, "tiny-shapes-pastel-unet.safetensors", "tiny-shapes-stripes-unet.safetensors",
        }  # fmt: skip
        assert {verdict for verdict, _ in rows(screen)} == {"compatible"}
        await until(pilot, lambda: "Which models does tiny-shapes-framed-lora fit?" in text(it))
        await until(pilot, lambda: "U-Net 192 of 192" in text(it) and "not checked" in text(it))
        assert text(it).count("✓ compatible") >= 4, "sign and word in every row and over the evidence"
        await pilot.press("enter")
        assert it.focused.id == "evidence"
        await pilot.press("escape")
        assert it.focused is screen.list
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(it.screen, BrowseScreen))


async def test_a_model_and_the_loras_of_the_library_best_first(mixed, app, until, text):
    async with (it := app(mixed)).run_test(size=SIZE) as pilot:
        screen = await fits(pilot, until, BASE, 2)
        assert rows(screen) == [("compatible", FRAMED), ("incompatible", "too-wide[b].safetensors")]
        await until(pilot, lambda: "✓ 1  ✗ 1" in text(it))
        await pilot.press("down")
        await until(pilot, lambda: "too-wide[b].safetensors on" in text(it) and "192 of other sizes" in text(it))
        assert "lora_unet_" in text(it), "the worst module by its name"


async def test_the_help_tells_the_keys_of_this_screen(mixed, app, until, text):
    async with (it := app(mixed)).run_test(size=SIZE) as pilot:
        screen = await fits(pilot, until, FRAMED, 3)
        assert all(hasattr(screen, f"action_{action.call}") for action in ACTIONS if action.scope == "fits")
        await pilot.press("question_mark")
        await until(pilot, lambda: all(action.help in text(it) for action in ACTIONS if action.scope == "fits"))


async def test_the_merge_lab_opens_with_the_pair(mixed, app, until):
    async with (it := app(mixed)).run_test(size=SIZE) as pilot:
        await fits(pilot, until, FRAMED, 3)
        chosen = it.screen.list.current.asset
        await pilot.press("m")
        await until(pilot, lambda: isinstance(it.screen, MergeLab) and it.screen.query(Strength))
        assert it.screen._slot("A").asset.id == chosen.id
        assert [asset.name for asset, _ in it.screen.form.loras] == [FRAMED]
        assert it.screen.form.bakes


@pytest.mark.parametrize("size", [(80, 24), (40, 20), (200, 60)])
async def test_an_embedding_on_every_terminal(mixed, app, until, text, size):
    async with (it := app(mixed)).run_test(size=size) as pilot:
        screen = await fits(pilot, until, "sundisc.safetensors", 3)
        assert any(name == BASE for _, name in rows(screen))
        assert all(len(line) == size[0] for line in text(it).splitlines())
        assert all(child.region.right <= size[0] for child in screen.query("#fits *"))
        first = screen.list.current.answer
        says = [fact.text for section in fit_sections(first) for fact in section.facts]
        assert len(says) == len(set(says)), "nothing is said twice"
        await until(pilot, lambda: f"{SIGNS[first.verdict]} " in text(it))
        assert "Merge lab" not in text(it)
        await pilot.press("m")
        assert it.screen is screen, "there is nothing to bake"


async def test_other_kinds_are_told_what_can_be_asked(few, app, until, text):
    async with (it := app(few)).run_test(size=SIZE, notifications=True) as pilot:
        assets = it.screen.query_one(AssetList)
        await until(pilot, lambda: assets.count == 12)
        it.screen.finder.bar.put("kind:unknown")
        await until(pilot, lambda: assets.count == 2 and assets.current and assets.current.kind == "unknown")
        await pilot.press("f")
        await until(pilot, lambda: "Choose a checkpoint, a LoRA" in text(it))
        assert isinstance(it.screen, BrowseScreen)


@pytest.mark.parametrize(
    ("keep", "says"), [("lora", "no checkpoint in the library"), ("base", "no LoRA in the library")]
)
async def test_a_library_without_partners_says_what_to_do(models, home, app, until, text, keep, says):
    for path in models.iterdir():
        if keep not in path.name:
            path.unlink()
    with Catalog.open(home) as catalog:
        scan(catalog, [models])
    async with (it := app(Library(home))).run_test(size=(80, 24)) as pilot:
        assets = it.screen.query_one(AssetList)
        await until(pilot, lambda: assets.count == 1 and assets.current)
        await pilot.press("f")
        await until(pilot, lambda: isinstance(it.screen, FitsScreen) and says in text(it))
        await until(pilot, lambda: "a scans a folder" in text(it))


async def test_a_file_that_went_away_is_unknown_and_no_error(mixed, models, app, until, text):
    (models / BASE).rename(models.parent / "gone.safetensors")
    async with app(mixed).run_test(size=SIZE) as pilot:
        screen = await fits(pilot, until, FRAMED, 3)
        assert dict(map(reversed, rows(screen)))[BASE] == "unknown"
        assert rows(screen)[-1][1] == BASE, "what nothing is known of comes last"


async def test_answers_are_shown_as_they_come_and_escape_stops(mixed, app, until, text, monkeypatch):
    let, stopped = threading.Event(), []
    with mixed.open() as catalog:
        some = catalog.find("kind:checkpoint OR kind:diffusion-model")

    def slow(catalog, asset, job):
        verdicts = ("incompatible", "compatible", "unknown")
        for number in range(3000):
            other = some[number % 3]
            yield Pair(other, Answer("a", other.name, verdicts[number % 3], f"{number}"))
            if number >= 2:
                let.wait(0.01)
                if job.cancelled:
                    stopped.append(number)
                    job.check()

    monkeypatch.setattr(partners, "pairs", slow)
    async with (it := app(mixed)).run_test(size=SIZE) as pilot:
        assets = it.screen.query_one(AssetList)
        await until(pilot, lambda: assets.count == 7 and assets.current)
        await pilot.press("f")
        await until(pilot, lambda: isinstance(it.screen, FitsScreen) and it.screen.list.count > 3)
        screen = it.screen
        assert not idle(screen)
        found = [verdict for verdict, _ in rows(screen)]
        assert found == sorted(found, key=VERDICTS.index)
        await pilot.press("end")
        here = screen.list.current
        await until(pilot, lambda: screen.list.count > 40)
        assert screen.list.current is here, "the cursor stays on its pair"
        await pilot.press("escape")
        await until(pilot, lambda: stopped and idle(screen))
        assert it.screen is screen and screen.list.count >= 40
        fit = screen.list.counts["compatible"]
        await until(pilot, lambda: f"stopped; so far {screen.list.count} pairs: ✓ {fit}  " in text(it))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(it.screen, BrowseScreen))


HOSTILE = "[red]x[/]\x1b[31m\u202e\nline"


async def test_hostile_texts_are_shown_and_not_obeyed(mixed, app, until, text, monkeypatch):
    with mixed.open() as catalog:
        other = catalog.find("kind:checkpoint")[0]
    answer = Answer(
        HOSTILE, HOSTILE, "incompatible", HOSTILE, (HOSTILE,), {HOSTILE: {HOSTILE: 1, "ok": 2}}, names={HOSTILE: HOSTILE},
        mismatches=(Mismatch(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, 3),),
        reasons=(Reason(HOSTILE, f"r {HOSTILE}", "caution"),),
        checked=(HOSTILE,), unchecked=(HOSTILE,),
    )  # fmt: skip
    monkeypatch.setattr(partners, "pairs", lambda catalog, asset, job: iter([Pair(other, answer)]))
    async with (it := app(mixed)).run_test(size=SIZE) as pilot:
        assets = it.screen.query_one(AssetList)
        await until(pilot, lambda: assets.count == 7 and assets.current)
        await pilot.press("f")
        await until(pilot, lambda: isinstance(it.screen, FitsScreen) and it.screen.query_one(FitBody).pair)
        await until(pilot, lambda: "2 others like it" in text(it))
        seen = text(it)
        assert r"[red]x[/]\x1b[31m\u202e\x0aline" in seen and seen.count(r"[red]x[/]\x1b[31m\u202e") > 6
        assert not {char for char in seen if not char.isprintable()} - {"\n"}


def test_every_verdict_has_a_sign_and_a_word_in_the_evidence():
    heads = set()
    for verdict in VERDICTS:
        head = next(fit_sections(Answer("l", "c", verdict, ""))).facts[0]
        sign, _, word = head.text.partition(" ")
        assert sign == SIGNS[verdict] and word
        heads.add(head.text)
    assert len(heads) == len(VERDICTS)
