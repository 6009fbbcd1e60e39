"""Recipe files, of every program by their endings."""

import json
import os
from pathlib import Path

import pytest

from modelhub.errors import BadRecipeError, FileError, NotFoundError, UsageError
from modelhub.merge.recipes.files import check_recipe_goal, is_recipe, read_recipe, write_recipe
from modelhub.merge.recipes.recipe import simple_recipe

WS = simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": 0.3})


def test_which_words_are_recipes() -> None:
    assert all(map(is_recipe, ("a.toml", "x/b.mecha", "c.JSON", "D.TOML")))
    models = ("weighted-sum", "a.safetensors", "model_index.json", "x/m.safetensors.index.json", "toml", "")
    assert not any(map(is_recipe, models))


def test_each_is_read_by_its_ending(tmp_path: Path) -> None:
    ours, lines, table = (tmp_path / name for name in ("a.toml", "b.mecha", "c.json"))
    write_recipe(WS.dumps(), ours)
    assert read_recipe(ours) == WS
    lines.write_text('version 0.1.0\nmodel "a"\nmodel "b"\nmerge "weighted_sum" &0 &1 alpha=0.3')
    assert read_recipe(lines).steps == WS.steps
    recipe = {"type": "webui", "primary_model_hash": "1" * 64, "secondary_model_hash": "2" * 64}
    table.write_text(json.dumps(recipe | {"interp_method": "Weighted sum", "multiplier": 0.3}))
    assert read_recipe(table).steps == WS.steps


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.toml", b"models = [", "a.toml: The recipe is not valid TOML"),
        ("a.json", b"{", "a.json: The recipe is not valid JSON"),
        ("a.mecha", b"x", "a.mecha: The sd-mecha recipe begins with 'x'"),
        ("a.mecha", b"version 0.1.0\ncall", "a.mecha: Line 2"),
        ("a.json", b"\xff\xfe", "is not a text file"),
        ("a.toml", b"#" * 1_000_001, "larger than any recipe"),
    ],
)
def test_what_is_wrong_is_said_with_the_path(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadRecipeError, match=what):
        read_recipe(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("name", ["a.toml", "a.mecha"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(FileError, match="pipe"):
        read_recipe(tmp_path / name)


def test_goals_are_checked(tmp_path: Path) -> None:
    check_recipe_goal(tmp_path / "new.toml")
    for name in ("new.json", "new.mecha", "new"):
        with pytest.raises(UsageError, match="not a name for a recipe"):
            check_recipe_goal(tmp_path / name)
    (tmp_path / "old.toml").write_text("x")
    with pytest.raises(FileError):
        check_recipe_goal(tmp_path / "old.toml")
    with pytest.raises(NotFoundError, match=r"none\.toml does not exist"):
        read_recipe(tmp_path / "none.toml")


def test_a_name_that_no_text_can_hold_is_not_written(tmp_path: Path) -> None:
    recipe = simple_recipe("weighted-sum", ["a\udcff", "b"])
    with pytest.raises(UsageError, match="not in UTF-8"):
        write_recipe(recipe.dumps(), tmp_path / "r.toml")
    assert not (tmp_path / "r.toml").exists()
