"""demo: the whole of modelhub on tiny models: lay out, scan, convert, merge, preview, write, check, bake, enlarge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from modelhub.cli.catalog_commands import asset_rows
from modelhub.cli.context import Bold, Context
from modelhub.cli.options import command
from modelhub.cli.table import table, wrapped
from modelhub.settings import user_path
from modelhub.text import one_line, plural

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.cli.demo_lora import Framed
    from modelhub.cli.options import Commands
    from modelhub.convert.batch import Item
    from modelhub.convert.inspect import Inspection
    from modelhub.demo.judge import Verdict
    from modelhub.demo.library import Library
    from modelhub.formats.source import TensorSource
    from modelhub.jobs import Advance
    from modelhub.lora.checking.answer import Answer
    from modelhub.merge.recipes.recipe import Recipe
    from modelhub.preview.request import Request

    Pictures = Sequence[NDArray[np.uint8]]

STRENGTHS = (0.25, 0.5, 0.75)
#: The strength that is written to a file in the end.
WRITTEN = 0.5
SAMPLER, STEPS, CFG = "Euler a", 12, 3.5


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "demo",
        _demo,
        "See it all on tiny models: scan, search, convert, merge, preview, LoRAs, grids.",
        "modelhub demo ~/modelhub-demo",
        reads=False,
    )
    parser.add_argument(
        "folder",
        metavar="DIR",
        nargs="?",
        type=Path,
        default=Path("modelhub-demo"),
        help="where to lay out the library (default: modelhub-demo), e.g. ~/demo",
    )


@dataclass(frozen=True)
class Row:
    """One row of the contact sheet: a model, its pictures, and what they show."""

    name: str
    pictures: Pictures
    verdicts: tuple[Verdict, ...]
    stripes: float
    pastel: float

    def as_dict(self) -> dict[str, Any]:
        """The row as plain values."""
        counts = [sum(found) for found in zip(*(verdict.right for verdict in self.verdicts), strict=True)]
        names = ("background", "colour", "shape")
        return {
            "model": self.name,
            "pictures": len(self.verdicts),
            "stripe_score": round(self.stripes, 1),
            "pastel": round(self.pastel, 2),
            "right": dict(zip(names, counts, strict=True)),
            "all_right": all(verdict.ok for verdict in self.verdicts),
            "verdicts": [v.sentence for v in self.verdicts],
        }


def _demo(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.demo.library import lay_out

    folder = user_path(context.args.folder).absolute()
    if context.args.dry_run:
        context.answer({"folder": str(folder)}, lambda: [f"would lay out a library of tiny models in {folder}"])
        return 0
    library = lay_out(folder, job=context.job)
    with Catalog.open(folder / ".modelhub") as catalog:
        answer = _Walk(context, catalog, library).run()
    if context.json:
        context.answer(answer, list)
    return 0


class _Walk:
    """The steps of the demo, each told before it is done."""

    def __init__(self, context: Context, catalog: Catalog, library: Library) -> None:
        self.context, self.catalog, self.library = context, catalog, library
        self.sheet, self.framed_sheet = library.folder / "merges.png", library.folder / "framed.png"
        self.goal = library.folder / "checkpoints" / "striped-pastel.safetensors"

    def run(self) -> dict[str, Any]:
        """All steps; the answer for --json."""
        from modelhub.catalog.opener import Opener

        scanned, converted = self._scan(), self._convert()
        with Opener(self.catalog, hashed=True, job=self.context.job) as opener:
            rows = self._render(opener)
            written, same = self._write(opener, rows)
            checks, framed = self._loras(opener)
            grid, enlarged = self._blocks(opener), self._enlarged(opener)
        self._tell("What next", self._next())
        return {
            "folder": str(self.library.folder),
            "scan": scanned,
            "converted": converted,
            "sheet": str(self.sheet),
            "rows": [row.as_dict() for row in rows],
            "written": written,
            "same_picture": same,
            "checks": [answer.as_dict() for answer in checks],
            "framed": {"sheet": str(self.framed_sheet), "rows": [row.as_dict() for row in framed]},
            "grid": str(grid),
            "enlarged": str(enlarged),
        }

    def _tell(self, title: str, lines: Iterator[str] | Sequence[str]) -> None:
        if not self.context.json:
            self.context.answer(None, lambda: ["", *map(Bold, wrapped(f"── {title}", 3)), *lines])

    def _scan(self) -> dict[str, Any]:
        from modelhub.scan.run import scan

        report = scan(self.catalog, [self.library.folder], hashes="full", job=self.context.job)
        self._tell(
            f"1. A library of tiny models in {self.library.folder}, scanned and hashed in {report.seconds:.1f} s", ()
        )
        self._tell("modelhub ls", asset_rows(self.catalog.find(sort="kind")))
        return report.as_dict()

    def _convert(self) -> list[dict[str, Any]]:
        """Look into the pickles and write those as safetensors that have not been yet."""
        from modelhub.cli.convert_library import make_library
        from modelhub.convert.batch import plan_batch, run_batch
        from modelhub.convert.inspect import inspect
        from modelhub.convert.one import Wish

        job = self.context.job
        items = plan_batch(self.catalog.find("format:pickle", sort="path"), None, Wish(), job)
        seen = [inspect(item.source) for item in items]
        done = [*run_batch(make_library(self.catalog, job), items, Wish(), job)]
        self._tell("2. The old pickles, converted without running them", [*chain(*map(_converted, done, seen))])
        return [
            {**item.as_dict(), "verdict": one.verdict, "globals": len(one.globals)}
            for item, one in zip(done, seen, strict=True)
        ]

    def _sources(self, opener: Opener) -> Iterator[tuple[str, TensorSource]]:
        """The rows of the sheet: a parent, the merges between, the other parent, and both styles in full."""
        from modelhub.merge.planning.plan import plan

        stripes, pastel, base = (str(path) for path in (self.library.stripes, self.library.pastel, self.library.base))
        yield "stripes", opener(stripes).source
        for strength in STRENGTHS:
            yield f"{strength:.0%} pastel", plan(self._recipe(strength), opener)
        yield "pastel", opener(pastel).source
        yield "stripes + (pastel − base)", plan(_recipe("add-difference", [stripes, pastel, base], 1.0), opener)

    def _recipe(self, strength: float) -> Recipe:
        return _recipe("weighted-sum", [str(self.library.stripes), str(self.library.pastel)], strength)

    def _render(self, opener: Opener) -> list[Row]:
        from modelhub.demo.prompts import ASKED
        from modelhub.formats.images import save_png
        from modelhub.preview.pictures.sheet import contact_sheet

        self._tell("3. Two styles merged at three strengths, and rendered before anything is written", ())
        sources = dict([("base", opener(str(self.library.base)).source), *self._sources(opener)])
        with self.context.job.phase("rendering", len(sources) * len(ASKED), "pictures") as advance:
            pictures = {name: self._pictures(source, name, advance) for name, source in sources.items()}
        plain = pictures.pop("base")
        rows = [_judged(name, found, plain) for name, found in pictures.items()]
        names = [name.replace("−", "-") for name in sources]  # the sheet's font has no minus sign
        labels = [f"{ask.wanted.colour} {ask.wanted.shape}" for ask in ASKED]
        sheet = contact_sheet(
            [plain, *(row.pictures for row in rows)],
            names,
            labels,
            scale=2,
        )
        save_png(self.sheet, sheet, force=True)
        self._tell("measured from the pixels: what the prompts asked for, and the styles", _measured(rows))
        self._tell(f"the contact sheet: {self.sheet}", ())
        return rows

    def _pictures(
        self, source: TensorSource, name: str, advance: Advance, asked: Sequence[tuple[str, int]] = ()
    ) -> Pictures:
        """One picture for each prompt and seed; a picture takes half a second, and tells nothing of its steps."""
        from modelhub.demo.prompts import ASKED
        from modelhub.preview.render import Renderer

        renderer = Renderer(source, name=name)
        found = []
        for prompt, seed in asked or [(ask.prompt, ask.seed) for ask in ASKED]:
            found.append(renderer.render(_asked(prompt, seed)).pictures[0].pixels)
            advance(1, name)
        return found

    def _write(self, opener: Opener, rows: Sequence[Row]) -> tuple[dict[str, Any], bool]:
        """Write the middle merge, find it in the catalog, render the file: the pictures are those of before."""
        from modelhub.demo.prompts import ASKED
        from modelhub.merge.execute import merge
        from modelhub.merge.planning.plan import plan
        from modelhub.scan.adding import add_written

        report = merge(plan(self._recipe(WRITTEN), opener), self.goal, force=True, job=self.context.job)
        number = add_written(self.catalog, report.written)
        before = next(row.pictures for row in rows if row.name == f"{WRITTEN:.0%} pastel")
        with self.context.job.phase("rendering the file", len(ASKED), "pictures") as advance:
            after = self._pictures(opener(f"#{number}").source, self.goal.stem, advance)
        same = all(bool((one == two).all()) for one, two in zip(before, after, strict=True))
        told = "the same, byte for byte" if same else "NOT the same: please report this"
        self._tell(
            f"4. {WRITTEN:.0%} pastel written in {report.seconds:.1f} s; "
            f"pictures of the file and of the unwritten merge are {told}",
            (),
        )
        self._tell("modelhub ls merged:yes", asset_rows(self.catalog.find("merged:yes")))
        return self.catalog.get(number).as_dict(), same

    def _loras(self, opener: Opener) -> tuple[list[Answer], list[Framed]]:
        """Check three LoRAs and embeddings; render one that fits at several strengths, baked into nothing yet."""
        from modelhub.cli import demo_lora
        from modelhub.formats.images import save_png
        from modelhub.preview.pictures.sheet import contact_sheet

        checks = [*demo_lora.answers(self.catalog, self.library, opener)]
        title = f"5. What fits {self.library.base.stem}? Names and sizes tell, no weight is read"
        self._tell(title, demo_lora.told_answers(checks))
        asked = demo_lora.prompts()
        with self.context.job.phase("rendering", len(asked) * len(demo_lora.STRENGTHS), "pictures") as advance:
            rows = demo_lora.framed(
                opener, self.library, lambda source, name: self._pictures(source, name, advance, asked)
            )
        sheet = contact_sheet([row.pictures for row in rows], [row.name for row in rows], [], scale=2)
        save_png(self.framed_sheet, sheet, force=True)
        title = 'The LoRA draws a white frame when the prompt says "framed", from a strength of 0.8 or so'
        self._tell(title, demo_lora.measured(rows))
        self._tell(f"side by side, and nothing of it is written: {self.framed_sheet}", ())
        return checks, rows

    def _blocks(self, opener: Opener) -> Path:
        """A grid over the weights of the two halves of the U-Net, which shows where the styles live."""
        from modelhub.cli.demo_pictures import block_grid
        from modelhub.formats.images import save_png

        goal = self.library.folder / "blocks.png"
        self._tell("6. Where does a style live? A grid over its weight in input blocks and in output blocks", ())
        grid = block_grid(self._recipe(WRITTEN), _asked(*_first()), opener, self.context.job)
        save_png(goal, grid.sheet, force=True)
        across, down = grid.across, grid.down
        where = "output" if down > across else "input"
        self._tell(
            f"in the {where} blocks: from 0 to 1 there a pixel changes by {max(across, down):.0f} of 255, "
            f"and by {min(across, down):.0f} in the others. The sheet: {goal}",
            (),
        )
        return goal

    def _enlarged(self, opener: Opener) -> Path:
        """A picture of the merge that was written: what it says of itself, and four times as large."""
        from modelhub.cli.demo_pictures import enlarge, told
        from modelhub.formats.images import save_png
        from modelhub.preview.render import Renderer

        path, parent = self.goal.with_name("striped-pastel.png"), opener(str(self.goal))
        renderer = Renderer(parent.source, name=parent.name, sha256=parent.sha256)
        picture = renderer.render(_asked(*_first())).pictures[0]
        save_png(path, picture.pixels, picture.infotext, force=True)
        larger = enlarge(path, self.library.upscaler, opener, self.context.job)
        self._tell("7. A picture says how it was made, and grows by an upscaler", told(self.catalog, path))
        self._tell(f"four times as large: {larger}", ())
        return larger

    def _next(self) -> list[str]:
        home = f"MODELHUB_HOME={quote(str(self.library.folder / '.modelhub'))}"
        return [
            f"{home} modelhub  # the TUI on this library",
            f"{home} modelhub show {self.goal.stem}",
            f"{home} modelhub lora check {self.library.lora.stem} {self.goal.stem}",
            "modelhub scan ~/your/models",
        ]


def _converted(item: Item, seen: Inspection) -> Iterator[str]:
    words = {"converted": item.goal.name, "already": f"{item.goal.name}, which was there already"}
    became = words.get(item.status, f"{item.status}: {item.message}")
    told = f"{seen.verdict}, {plural(len(seen.globals), 'global')} in it: {item.source.name}  →  {became}"
    return wrapped(one_line(told), 2)


def _recipe(method: str, refs: Sequence[str], alpha: float) -> Recipe:
    from modelhub.merge.recipes.recipe import simple_recipe

    return simple_recipe(method, refs, name=f"demo {method} {alpha:g}", parameters={"alpha": alpha})


def _asked(prompt: str, seed: int) -> Request:
    from modelhub.demo.prompts import HEIGHT, WIDTH
    from modelhub.preview.request import Request

    return Request(prompt, seed=seed, sampler=SAMPLER, steps=STEPS, cfg=CFG, width=WIDTH, height=HEIGHT)


def _first() -> tuple[str, int]:
    """The prompt and the seed that one picture is shown of."""
    from modelhub.demo.prompts import ASKED

    return ASKED[0].prompt, ASKED[0].seed


def _judged(name: str, pictures: Pictures, plain: Pictures) -> Row:
    """Measure a row beside what the base model makes of the same prompts."""
    from modelhub.demo.judge import judge
    from modelhub.demo.prompts import ASKED
    from modelhub.demo.style import pastel_strength, stripe_score

    pastel = pastel_strength(pictures, plain)
    verdicts = tuple(judge(picture, ask.wanted, pastel=pastel) for picture, ask in zip(pictures, ASKED, strict=True))
    return Row(name, pictures, verdicts, sum(map(stripe_score, pictures)) / len(pictures), pastel)


def _measured(rows: Sequence[Row]) -> Iterator[str]:
    head = ("MODEL", "BACKGROUND", "COLOUR", "SHAPE", "STRIPES", "PASTEL")
    found = [row.as_dict() for row in rows]
    cells = [
        (
            row["model"],
            *(f"{count} of {row['pictures']}" for count in row["right"].values()),
            f"{row['stripe_score']:.1f}",
            f"{row['pastel']:.0%}",
        )
        for row in found
    ]
    yield from table(head, cells, right=(1, 2, 3, 4, 5))
    wrong = [(row.name, verdict) for row in rows for verdict in row.verdicts if not verdict.ok]
    for name, verdict in wrong:
        yield from wrapped(f"not as asked: {name}: {verdict.sentence}", 2)
