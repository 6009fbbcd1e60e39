"""Make the pictures of README.md anew: the demo's merges, a grid, and the TUI on the demo library, as it is walked through.

`python scripts/screenshots.py` takes about two minutes; with `grid`, only that picture is made. What is downloaded comes from
the sites that the tests play on loopback.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from time import monotonic
from typing import cast

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
os.environ.setdefault("COLORTERM", "truecolor")

import torch
from safetensors.torch import load_file
from textual import events
from textual.pilot import Pilot

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from world.place import World
from world.serving_people import stock

from modelhub.catalog.store import Catalog
from modelhub.cli.console import main as command_line
from modelhub.demo.library import lay_out
from modelhub.demo.stranger import stranger
from modelhub.merge.recipes.files import write_recipe
from modelhub.merge.recipes.recipe import simple_recipe
from modelhub.scan.run import scan
from modelhub.tui.app import ModelhubApp
from modelhub.tui.library import Library

DOCS = Path(__file__).parents[1] / "docs"
SIZE = (124, 36)
#: Seconds until something that does not come is given up.
PATIENCE = 120.0
#: As README.md shows it.
GRID = """--parents --x alpha=0.25,0.5,0.75 --y seed=1-3 -p 'a large blue star on a background' --cfg 3.5 --steps 12
--sampler 'Euler a' --report --force"""


class Walk:
    """A walk through the program as a user takes it, with pictures on the way."""

    def __init__(self, pilot: Pilot[int]) -> None:
        self.pilot = pilot
        self.app = cast(ModelhubApp, pilot.app)

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return "\n".join(strip.text for strip in self.app.screen._compositor.render_strips())

    async def until(self, *words: str) -> None:
        """Until all of the words stand on the screen, nothing runs, and nothing is looked for."""
        end = monotonic() + PATIENCE
        while self.app.jobs.open or "looking" in self.text or not all(word in self.text for word in words):
            if monotonic() > end:
                sys.exit(f"{words} did not come; there is:\n{self.text}")
            await self.pilot.pause(0.1)
        await self.pilot.pause(0.5)

    async def find(self, query: str, *words: str) -> None:
        """Filter the library."""
        self.app.go("browse")
        await self.pilot.pause(0.5)
        await self.pilot.press("slash", "ctrl+u", *query, "enter")
        await self.until(*words)

    async def keys(self, *keys: str) -> None:
        """Press keys."""
        await self.pilot.press(*keys)

    def save(self, name: str) -> None:
        """Save the screen; the font is whatever monospaced one the reader has, nothing is fetched."""
        svg = re.sub(r"@font-face\s*\{.*?\}", "", self.app.export_screenshot(title="modelhub"), flags=re.DOTALL)
        (DOCS / f"{name}.svg").write_text(svg, encoding="utf-8")


async def visit(home: Path, address: str) -> None:
    """Take the pictures; `address` is that of a model which can be downloaded."""
    app = ModelhubApp(Library(home))
    async with app.run_test(size=SIZE) as pilot:
        walk = Walk(pilot)
        await walk.find("arch:sd1", " of ", "IDENTITY")
        await walk.keys("down", "down")
        await walk.until("striped-pastel.safetensors", "▀")
        walk.save("browse")

        await walk.find("tiny-shapes-base", "1 of ")
        await walk.keys("f")
        await walk.until("incompatible")
        await walk.keys("end")
        await walk.until("incompatible")
        walk.save("fits")

        await walk.keys("escape")
        await walk.find("kind:checkpoint tag:style", "2 of ")
        await walk.keys("ctrl+a", "m")
        await walk.until("Weighted sum", "pastel")
        await walk.keys("f5")
        await pilot.pause(1)
        await walk.until("▀")
        walk.save("merge-lab")

        await walk.find("old-training", "1 of ")
        await walk.keys("escape", "P")  # the marks of the merge go first
        await walk.until("WHAT BECOMES OF THE TENSORS")
        walk.save("convert")

        app.post_message(events.Paste(address))
        await walk.until("enter plans it", "▀")
        walk.save("download")


def add_stranger(folder: Path) -> None:
    """A LoRA of all zeros that fits none of the tiny models."""
    header = stranger()
    with (folder / "some-sd15-lora.safetensors").open("wb") as file:
        file.write(header.encoded)
        file.truncate(header.file_size)


def add_checkpoint(folder: Path) -> None:
    """A checkpoint as trainers left it: a pickle with averaged weights and the state of its optimizer."""
    weights = load_file(folder / "tiny-shapes-base.safetensors")
    denoiser = {name: value for name, value in weights.items() if name.startswith("model.diffusion_model.")}
    averaged = {
        "model_ema." + name.removeprefix("model.").replace(".", ""): value.float() for name, value in denoiser.items()
    }
    state = [{"state": {number: {"exp_avg": value} for number, value in enumerate(averaged.values())}}]
    training = {"global_step": 12000, "optimizer_states": state, "state_dict": {**weights, **averaged}}
    torch.save(training, folder / "old-training.ckpt")


def draw_grid(demo: Path) -> None:
    """The sheet of a merge that is not written, at three strengths and beside its parents."""
    recipe = simple_recipe("weighted-sum", ["tiny-shapes-stripes", "tiny-shapes-pastel"], parameters={"alpha": 0.3})
    write_recipe(recipe.dumps(), demo / "soft.toml", force=True)
    os.environ["MODELHUB_HOME"] = str(demo / ".modelhub")
    assert command_line(["grid", str(demo / "soft.toml"), *shlex.split(GRID), "-o", str(DOCS / "grid.png")]) == 0


def scanned(demo: Path) -> Catalog:
    """The catalog of the demo library, with all that is in its folder now."""
    catalog = Catalog.open(demo / ".modelhub")
    scan(catalog, [demo])
    return catalog


def only_grid() -> None:
    """Make the sheet alone, from a library that is not rendered."""
    with tempfile.TemporaryDirectory() as folder:
        demo = lay_out(Path(folder) / "demo").folder
        scanned(demo).close()
        draw_grid(demo)


def main() -> None:
    """Lay out the demo library in the temporary folder and take all pictures."""
    DOCS.mkdir(exist_ok=True)
    if sys.argv[1:] == ["grid"]:
        only_grid()
        return
    demo = Path(tempfile.gettempdir()) / "modelhub-demo"
    if demo.exists():
        sys.exit(f"{demo} exists already; move it away")
    try:
        assert command_line(["demo", str(demo)]) == 0
        shutil.copy(demo / "merges.png", DOCS / "merges.png")
        draw_grid(demo)
        add_stranger(demo / "loras")
        add_checkpoint(demo / "checkpoints")
        with scanned(demo) as catalog:
            for name, tags, stars in (
                ("stripes", ["style", "bold"], 4),
                ("pastel", ["style", "soft"], 5),
                ("base", ["trained-from-scratch"], 3),
            ):
                asset = catalog.find(f"kind:checkpoint name:tiny-shapes-{name}")[0]
                catalog.tag([asset.id], add=tags)
                catalog.rate(asset.id, stars)
        world = stock(World())
        os.environ.update(world.environment())
        asyncio.run(visit(demo / ".modelhub", f"{world.civitai.url}/models/400"))
        world.end()
    finally:
        shutil.rmtree(demo, ignore_errors=True)


if __name__ == "__main__":
    main()
