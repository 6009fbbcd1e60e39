"""The part of the demo about LoRAs: what fits what, and what a LoRA does to pictures before it is baked in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelhub.cli.table import table, wrapped
from modelhub.text import one_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.demo.library import Library
    from modelhub.formats.source import TensorSource
    from modelhub.lora.checking.answer import Answer

    Pictures = Sequence[NDArray[np.uint8]]

#: How strong the LoRA is in each row of the pictures.
STRENGTHS = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class Framed:
    """One row of pictures: the strength of the LoRA, and how much of a frame each picture has."""

    strength: float
    pictures: Pictures
    scores: tuple[float, ...]

    @property
    def name(self) -> str:
        """What the row shows."""
        return f"base + framed at {self.strength:g}" if self.strength else "base"

    @property
    def framed(self) -> int:
        """How many pictures have a frame."""
        from modelhub.demo.style import LEAST_FRAME

        return sum(score > LEAST_FRAME for score in self.scores)

    def as_dict(self) -> dict[str, Any]:
        """The row as plain values."""
        mean = sum(self.scores) / len(self.scores)
        return {
            "model": self.name, "strength": self.strength, "pictures": len(self.scores), "framed": self.framed,
            "frame_score": round(mean, 1),
        }  # fmt: skip


def prompts() -> list[tuple[str, int]]:
    """Prompts with the word that the LoRA knows, and their seeds: shapes of the usual size on colours but white."""
    from modelhub.demo.prompts import ASKED

    asked = [ask for ask in ASKED if not ask.wanted.size and ask.wanted.background != "white"]
    return [(f"{ask.prompt}, framed", ask.seed) for ask in asked]


def answers(catalog: Catalog, library: Library, opener: Opener) -> Iterator[Answer]:
    """A LoRA and an embedding that fit the base model, and a LoRA of the same names that does not."""
    from modelhub.lora.checking.matrix import Matrix

    matrix = Matrix(catalog)
    base = catalog.named(library.base.name)[0]
    for path in (library.lora, library.embedding):
        yield matrix.answer(catalog.named(path.name)[0], base)
    yield _of_a_stranger(opener, library)


def _of_a_stranger(opener: Opener, library: Library) -> Answer:
    from modelhub.catalog.adapters import read_adapter
    from modelhub.catalog.identify import identify
    from modelhub.demo.stranger import NAME, stranger
    from modelhub.lora.checking.fit import fit
    from modelhub.lora.checking.judging import judge
    from modelhub.lora.checking.known import Known
    from modelhub.lora.checking.models import read_model

    header, model = stranger(), read_model(opener(str(library.base)))
    adapter = read_adapter(header.shapes)
    assert adapter is not None, "its names are those of a LoRA"
    lora, base = (
        Known.of_identity(identity, name)
        for identity, name in ((identify(header), NAME), (model.identity, library.base.name))
    )
    return judge(fit(adapter, model.layers, sized=model.sized), lora, base)


def told_answers(found: Sequence[Answer]) -> Iterator[str]:
    """Each answer in a line, and of the last one, which is the wrong one, what was compared."""
    from modelhub.cli.lora_words import verdict_signs

    signs = verdict_signs()
    for answer in found:
        yield from wrapped(f"{signs[answer.verdict]} {one_line(answer.lora)}: {answer.headline}", 2)
    for mismatch in found[-1].mismatches[:1]:
        yield from wrapped(f"  {mismatch.say}", 4)


def framed(opener: Opener, library: Library, render: Callable[[TensorSource, str], Pictures]) -> list[Framed]:
    """A row for each strength, none of them written."""
    from modelhub.demo.style import frame_score

    sources = ((strength, _baked(opener, library, strength)) for strength in STRENGTHS)
    rows = ((strength, render(source, f"framed at {strength:g}")) for strength, source in sources)
    return [Framed(strength, found, tuple(map(frame_score, found))) for strength, found in rows]


def _baked(opener: Opener, library: Library, strength: float) -> TensorSource:
    from modelhub.lora.baking.merged import changes
    from modelhub.merge.planning.plan import plan
    from modelhub.merge.recipes.making import bake_recipe

    if not strength:
        return opener(str(library.base)).source
    recipe = bake_recipe(str(library.base), [(str(library.lora), strength)], name=f"framed {strength:g}")
    return plan(recipe, opener, None, changes)


def measured(rows: Sequence[Framed]) -> Iterator[str]:
    """How white the borders are, beside what they surround."""
    cells = ((row.name, f"{row.framed} of {len(row.scores)}", f"{row.as_dict()['frame_score']:.1f}") for row in rows)
    yield from table(("MODEL", "FRAMED", "WHITER THAN INSIDE"), cells, right=(1, 2))
