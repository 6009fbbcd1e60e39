"""A grid as one picture: every cell in its place, tiny pictures large enough to be seen, and what its infotext says."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from modelhub.errors import UsageError
from modelhub.preview.grids.axes import Axis, Value, model_axis, read_axis
from modelhub.preview.grids.cells import cells
from modelhub.preview.grids.drawing import check, counts, draw, enlargement
from modelhub.preview.grids.family import EMPTY, Parent, compared, free_place, placed, report_lines, with_parents
from modelhub.preview.grids.painting import Painted
from modelhub.preview.grids.telling import grid_infotext
from modelhub.preview.grids.wish import Wish
from modelhub.preview.pictures import sheet
from modelhub.preview.pictures.infotext import parse_infotext, write_infotext
from modelhub.preview.pictures.picture import Picture
from modelhub.preview.request import Request

REQUEST = Request("a red circle", seed=5)


def axis(text: str, *parameters: str) -> Axis:
    return read_axis(text, REQUEST, parameters, ("IN04",))


def block(value: int, height: int = 64, width: int = 64) -> Any:
    return np.full((height, width, 3), value, dtype=np.uint8)


def middle(sheet: Any, value: int) -> tuple[float, float]:
    rows, columns = np.nonzero((sheet == value).all(axis=2))
    return rows.mean(), columns.mean()


def test_x_goes_right_y_down_and_z_to_the_next_page() -> None:
    axes = [axis("seed=1-3"), axis("cfg=3,7"), axis("steps=5,10")]
    places = [(x, y, z) for z in range(2) for y in range(2) for x in range(3)]
    sheet = draw(axes, {place: block(100 + at) for at, place in enumerate(places)})
    found = {place: middle(sheet, 100 + at) for at, place in enumerate(places)}
    for (x, y, z), (row, column) in found.items():
        assert column == found[x, 0, 0][1]
        assert row == found[0, y, z][0]
    assert found[0, 0, 0][1] < found[1, 0, 0][1] < found[2, 0, 0][1]
    assert found[0, 0, 0][0] < found[0, 1, 0][0] < found[0, 0, 1][0] < found[0, 1, 1][0]


def test_tiny_pictures_are_enlarged_by_whole_pixels() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    sheet = draw([axis("seed=1")], {(0, 0, 0): picture})
    assert enlargement([axis("seed=1")], 64) == 3
    large = picture.repeat(3, axis=0).repeat(3, axis=1)
    assert np.array_equal(sheet[-8 - 192 : -8, -8 - 192 : -8], large)


@pytest.mark.parametrize(("side", "count", "scale"), [(64, 4, 3), (64, 200, 1), (128, 2, 2), (160, 2, 1), (512, 2, 1)])
def test_how_much_is_enlarged(side: int, count: int, scale: int) -> None:
    assert enlargement([axis(f"seed=1-{count}")], side) == scale


def test_an_axis_may_be_left_out() -> None:
    axes = placed([], 1, axis("seed=1,2"))
    assert axes[0] is EMPTY and counts(axes) == (1, 2, 1)
    sheet = draw(axes, {(0, 0, 0): block(101), (0, 1, 0): block(102)})
    assert middle(sheet, 101)[0] < middle(sheet, 102)[0]
    assert free_place(axes, "more") == 0
    with pytest.raises(UsageError, match="none left for more"):
        free_place([axis("seed=1"), axis("cfg=1"), axis("steps=1")], "more")


def test_a_sheet_that_cannot_be_drawn_is_refused_before() -> None:
    check([axis("seed=1-10"), axis("cfg=1-10")], 512, 512)
    with pytest.raises(UsageError, match="too large"):
        check([axis("seed=1-40"), axis("cfg=1-20")], 2048, 2048)


def test_what_is_refused_before_is_what_drawing_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    axes = [axis("seed=1-3"), axis("cfg=1-3"), axis("steps=1-2")]
    places = list(product(range(3), range(3), range(2)))

    def ends(work: Any, *given: Any) -> str:
        try:
            work(axes, *given)
        except UsageError as error:
            return error.message
        return "drawn"

    for most in range(1_000_000, 1_400_000, 20_000):
        monkeypatch.setattr(sheet, "_MAX_PIXELS", most)
        for width, height in ((64, 80), (200, 256)):
            pictures = dict.fromkeys(places, block(0, height, width))
            assert ends(check, width, height) == ends(draw, pictures)


def test_the_infotext_names_the_axes_as_a1111_does() -> None:
    first = write_infotext("a red circle", "", {"Steps": 5, "Sampler": "Euler", "Seed": 5})
    axes = [axis('prompt=red,"blue, pale"'), axis("seed=1-3"), model_axis("model", ["/home/me/one.safetensors", "two"])]
    found = parse_infotext(grid_infotext(first, axes))
    assert found.prompt == "a red circle"
    assert list(found.settings.items())[:3] == [("Steps", "5"), ("Sampler", "Euler"), ("Seed", "5")]
    assert list(found.settings.items())[3:] == [
        ("Script", "X/Y/Z plot"),
        ("X Type", "Prompt S/R"),
        ("X Values", 'red,"blue, pale"'),
        ("Y Type", "Seed"),
        ("Y Values", "1,2,3"),
        ("Z Type", "Checkpoint name"),
        ("Z Values", "one,two"),
    ]


def test_no_vae_is_the_models_own() -> None:
    found = model_axis("vae", ["own", "None", "ft-mse"])
    assert found.labels == ["own VAE", "own VAE", "ft-mse"]
    assert [found.apply(Wish("m", vae="x"), REQUEST, value)[0].vae for value in found.values] == ["", "", "ft-mse"]


PARENTS = [Parent("A: base", "base"), Parent("B: pastel", "pastel", "base")]
MERGE = model_axis("model", ["mix.toml"])


def test_parents_stand_beside_the_numbers_of_the_recipe() -> None:
    axes, family = with_parents([axis("seed=1,2"), axis("alpha=0,1", "alpha")], MERGE, PARENTS)
    assert family == (1, (0, 1), (2, 3))
    assert axes[1].labels == ["alpha 0", "alpha 1", "A: base", "B: pastel"]
    found = cells(Wish("mix.toml", loras=("l:1",)), REQUEST, axes)
    wishes = [cell.wish for cell in found if cell.place[0] == 0]
    assert wishes == [
        Wish("mix.toml", parameters=(("alpha", "0"),), loras=("l:1",)),
        Wish("mix.toml", parameters=(("alpha", "1"),), loras=("l:1",)),
        Wish("base", loras=("l:1",)),
        Wish("pastel", loras=("l:1",), shell="base"),
    ]


def test_parents_get_an_axis_of_their_own_where_nothing_of_the_recipe_differs() -> None:
    axes, family = with_parents([axis("seed=1,2")], MERGE, PARENTS)
    assert family == (1, (0,), (1, 2))
    assert axes[1].labels == ["mix", "A: base", "B: pastel"]
    with pytest.raises(UsageError, match="the parents"):
        with_parents([axis("seed=1"), axis("cfg=1"), axis("steps=1")], MERGE, PARENTS)


def painted(axes: list[Axis], value: Any) -> dict[tuple[int, int, int], Painted]:
    return {
        cell.place: Painted(cell, Picture(value(cell), cell.request.seed, "", 0, 0, ()), ())
        for cell in cells(Wish("mix.toml"), REQUEST, axes)
    }


def noisy(seed: int, shift: float, size: int = 64) -> Any:
    return (np.random.default_rng(seed).random((size, size, 3)) * 100 + shift).astype(np.uint8)


def test_a_merge_is_compared_with_its_parents_on_the_same_seeds() -> None:
    axes, family = with_parents([axis("seed=1-2"), axis("alpha=0,1", "alpha"), axis("cfg=3,7")], MERGE, PARENTS)
    shifts = {"base": 0, "pastel": 100}

    def value(cell: Any) -> Any:
        alpha = dict(cell.wish.parameters).get("alpha")
        return noisy(cell.request.seed, shifts[cell.wish.source] if alpha is None else float(alpha) * 100)

    found = list(compared(axes, family, painted(axes, value)))
    assert [(one.at, one.report.merge) for one in found] == [
        ("cfg 3", "alpha 0"),
        ("cfg 3", "alpha 1"),
        ("cfg 7", "alpha 0"),
        ("cfg 7", "alpha 1"),
    ]
    for one in found:
        near = "A: base" if one.report.merge == "alpha 0" else "B: pastel"
        assert [seed.seed for seed in one.report.seeds] == [1, 2]
        assert {seed.nearest for seed in one.report.seeds} == {near}
        assert all(seed.distances[near].pixels == 0 for seed in one.report.seeds)
        assert one.as_dict()["at"] == one.at
    titles = [line for line in report_lines(found) if line[0] != " "]
    assert titles[1:3] == ["alpha 1, cfg 3: fine", "alpha 0, cfg 7: fine"]
    assert len(list(report_lines(found[:1]))) == 3


def test_pictures_of_several_sizes_are_not_compared() -> None:
    axes, family = with_parents([], MERGE, PARENTS)
    found = painted(axes, lambda cell: noisy(1, 0, 64 if cell.wish.source == "base" else 32))
    assert list(compared(axes, family, found)) == []


def test_a_value_knows_its_label() -> None:
    assert axis("prompt=red,green").values[1] == Value("green", "green")
