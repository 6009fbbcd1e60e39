"""Make the pictures of README.md anew, from the demo library and the program itself: browse, fits, merge-lab, merges, grid.

`python scripts/screenshots.py` takes about a minute; with `grid`, only that picture is made.
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

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
os.environ.setdefault("COLORTERM", "truecolor")

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
#: As README.md shows it.
GRID = """--parents --x alpha=0.25,0.5,0.75 --y seed=1-3 -p 'a large blue star on a background' --cfg 3.5 --steps 12
--sampler 'Euler a' --report --force"""


def save(app: ModelhubApp, name: str) -> None:
    """Save the screen; the font is whatever monospaced one the reader has, nothing is fetched."""
    svg = re.sub(r"@font-face\s*\{.*?\}", "", app.export_screenshot(title="modelhub"), flags=re.DOTALL)
    (DOCS / f"{name}.svg").write_text(svg, encoding="utf-8")


async def visit(home: Path) -> None:
    """Walk through the program as a user would, and take the pictures."""
    app = ModelhubApp(Library(home))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(1)
        await pilot.press("slash", *"arch:sd1", "enter")
        await pilot.pause(1)
        save(app, "browse")
        await pilot.press("slash", *([*["backspace"] * 8]), *"tiny-shapes-base", "enter")
        await pilot.pause(1)
        await pilot.press("f")
        await pilot.pause(2)
        await pilot.press("end")
        await pilot.pause(0.5)
        save(app, "fits")
        await pilot.press("escape")
        await pilot.press("slash", *([*["backspace"] * 16]), *"kind:checkpoint tag:style", "enter")
        await pilot.pause(1)
        await pilot.press("space", "down", "space", "m")
        await pilot.pause(1)
        await pilot.press("f5")
        for _ in range(120):
            await pilot.pause(0.5)
            if not app.workers or all(worker.is_finished for worker in app.workers):
                break
        await pilot.pause(0.5)
        save(app, "merge-lab")


def add_stranger(folder: Path) -> None:
    """A LoRA of all zeros that fits none of the tiny models."""
    header = stranger()
    with (folder / "some-sd15-lora.safetensors").open("wb") as file:
        file.write(header.encoded)
        file.truncate(header.file_size)


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
        with scanned(demo) as catalog:
            for name, tags, stars in (
                ("stripes", ["style", "bold"], 4),
                ("pastel", ["style", "soft"], 5),
                ("base", ["trained-from-scratch"], 3),
            ):
                asset = catalog.find(f"kind:checkpoint name:tiny-shapes-{name}")[0]
                catalog.tag([asset.id], add=tags)
                catalog.rate(asset.id, stars)
        asyncio.run(visit(demo / ".modelhub"))
    finally:
        shutil.rmtree(demo, ignore_errors=True)


if __name__ == "__main__":
    main()
