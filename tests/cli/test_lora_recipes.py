"""LoRAs in `merge`, `remake`, `lineage` and `preview`: baked in, found again, named by prompts, and refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from modelhub.demo.library import Library
from modelhub.formats.safetensors import read_header
from modelhub.preview.pictures.infotext import Infotext, parse_infotext

Run = Callable[..., Any]
BASE, PASTEL, LORA = "tiny-shapes-base", "tiny-shapes-pastel", "tiny-shapes-framed-lora"
QUICK = ["-p", "a red circle on a blue background", "--steps", "6", "--cfg", "3.5", "--seed", "2"]


def border(path: Path) -> float:
    """How white the outermost pixels are: the mean over the pixels of their least channel, 0 to 255."""
    pixels = np.array(Image.open(path)).min(axis=2)
    return float(np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]]).mean())


def infotext(path: Path) -> Infotext:
    return parse_infotext(Image.open(path).text["parameters"])


def bake(folder: Path, weight: str = "1.0") -> Path:
    """A recipe without steps."""
    path = folder / "bake.toml"
    path.write_text(f'[models]\nA = "{BASE}"\nL = "{LORA}"\n[[loras]]\nmodel = "L"\nweight = {weight}\n')
    return path


# -- merge -------------------------------------------------------------------------------------------------------------


def test_a_merge_with_a_lora_is_the_merge_and_what_the_lora_adds(run: Run, library: Library, tmp_path: Path) -> None:
    plain, goal = tmp_path / "plain.safetensors", tmp_path / "goal.safetensors"
    words = ["merge", "weighted-sum", BASE, PASTEL, "--alpha", "0.4", "--dtype", "fp32"]
    assert run(*words, "-o", plain).code == 0
    made = run(*words, "--lora", f"{LORA}:0.75", "-o", goal, "--json")
    assert made.code == 0 and made.json["baked"] == 192
    before, after, lora = load_file(plain), load_file(goal), load_file(library.lora)
    module = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"
    name = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight"
    up, down = (lora[f"{module}.lora_{part}.weight"].astype(np.float64) for part in ("up", "down"))
    exact = before[name] + 0.75 * float(lora[f"{module}.alpha"]) / len(down) * (up @ down)
    assert np.abs(after[name] - before[name]).max() > 1e-3
    np.testing.assert_allclose(after[name], exact, rtol=1e-5, atol=1e-6)
    assert sum(not np.array_equal(before[key], after[key]) for key in before) == 192


def test_a_baked_file_is_made_again_and_found_by_its_lora(run: Run, library: Library, tmp_path: Path) -> None:
    first, again, third = (tmp_path / f"{name}.safetensors" for name in ("first", "again", "third"))
    words = ["merge", "weighted-sum", BASE, PASTEL, "--lora", f"{LORA}:0.8,te=0.5,IN01=0", "--lora", f"{LORA}:-0.2"]
    assert run(*words, "-o", first, "--save-recipe", tmp_path / "r.toml").code == 0
    assert run("remake", first, "-o", again).code == 0
    assert again.read_bytes() == first.read_bytes()
    assert run("merge", tmp_path / "r.toml", "-o", third, "--name", "x").code == 2, "a recipe says its name itself"
    assert run("merge", tmp_path / "r.toml", "-o", third).code == 0
    assert third.read_bytes() == first.read_bytes()
    assert "[[loras]]" in run("recipe", "first").out
    assert {asset["path"] for asset in run("ls", f"from:{LORA}", "--json").json} == {
        str(p) for p in (first, again, third)
    }
    tree = run("lineage", "first", "--json").json
    assert [one["letter"] for one in tree["parents"]] == ["A", "B", "L1"] and len(tree["loras"]) == 2
    assert tree["parents"][2]["path"] == str(library.lora)
    assert "LoRA L1  te=0.5, IN01=0, 0.8" in run("lineage", "first").out
    assert [use["name"] for use in run("lineage", LORA, "--json").json["used_by"]][:1] == ["again.safetensors"]


def test_a_lora_that_moved_is_found_by_its_hash(run: Run, library: Library, tmp_path: Path) -> None:
    mine, first = tmp_path / "mine.safetensors", tmp_path / "first.safetensors"
    lora = load_file(library.lora)
    save_file({name: np.asarray(tensor * np.float16(0.5)) for name, tensor in lora.items()}, mine)
    assert run("scan", tmp_path, "--hash", "fast").code == 0
    assert run("merge", "weighted-sum", BASE, PASTEL, "--lora", f"{mine}:0.8", "-o", first).code == 0
    assert str(tmp_path) not in json.dumps(dict(read_header(first).metadata)), "places are nobody's business"
    mine.rename(tmp_path / "other.safetensors")
    assert run("scan", tmp_path, "--hash", "fast").code == 0
    assert run("remake", first, "-o", tmp_path / "again.safetensors").code == 0
    assert (tmp_path / "again.safetensors").read_bytes() == first.read_bytes()
    (tmp_path / "other.safetensors").unlink()
    gone = run("remake", first, "-o", tmp_path / "third.safetensors", "--json")
    assert (gone.code, gone.error["code"]) == (2, "not-found")
    assert "'mine'" in gone.error["message"] and "modelhub get" in gone.error["hint"]


def test_a_dry_run_tells_what_loras_change(run: Run, library: Library, tmp_path: Path) -> None:
    goal = tmp_path / "o.safetensors"
    told = run("merge", bake(tmp_path), "-o", goal, "--dry-run")
    assert told.code == 0 and not goal.exists() and "192 tensors with LoRAs, 773 copied" in told.out
    told = run("merge", bake(tmp_path), "-o", goal, "--dry-run", "--json").json
    assert (told["merged"], told["baked"], told["copied"], told["weights"]) == (0, 192, 773, [])
    assert sum(reason["tensors"] for reason in told["reasons"]) == 773


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (["--lora", "no-such-lora:0.8"], 2, "no-such-lora"),
        (["--lora", f"{PASTEL}:0.8"], 4, "no LoRA"),
        (["--lora", f"{LORA}:0.8", "--compat", "a1111"], 2, "bakes no LoRAs"),
        (["--lora", f"{LORA}:0.8,IN77=1"], 2, "IN77"),
        (["--lora", ""], 2, "no LoRA"),
    ],
)
def test_what_cannot_be_baked_is_refused(
    words: list[str], code: int, what: str, run: Run, library: Library, tmp_path: Path
) -> None:
    goal = tmp_path / "o.safetensors"
    refused = run("merge", "weighted-sum", BASE, PASTEL, *words, "-o", goal, "--json")
    assert refused.code == code and what in refused.error["message"] and not goal.exists()


def test_a_lora_of_another_architecture_ends_with_four_before_any_work(
    run: Run, library: Library, tmp_path: Path
) -> None:
    module = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    made = {f"{module}.lora_down.weight": np.ones((4, 2048), np.float16)}
    made[f"{module}.lora_up.weight"] = np.ones((640, 4), np.float16)
    save_file(made, tmp_path / "big.safetensors")
    words = [
        "merge",
        "weighted-sum",
        BASE,
        PASTEL,
        "--lora",
        tmp_path / "big.safetensors",
        "-o",
        tmp_path / "o.safetensors",
    ]
    refused = run(*words, "--json")
    assert (refused.code, refused.error["code"]) == (4, "incompatible")
    assert "2048" in refused.error["message"] or "2,048" in refused.error["message"]
    assert "lora check" in refused.error["hint"] and not (tmp_path / "o.safetensors").exists()


def test_a_recipe_says_its_loras_itself(run: Run, library: Library, tmp_path: Path) -> None:
    refused = run("merge", bake(tmp_path), "--lora", LORA, "-o", tmp_path / "o.safetensors", "--json")
    assert refused.code == 2 and "--lora" in refused.error["message"]


# -- pictures ----------------------------------------------------------------------------------------------------------


def test_a_framed_picture_before_and_after_the_bake(run: Run, library: Library, tmp_path: Path) -> None:
    """base 62, with the LoRA 235 are the border's whiteness over many pictures: here over one of each."""
    plain, worn, recipe, file = (tmp_path / f"{name}.png" for name in ("plain", "worn", "recipe", "file"))
    assert run("preview", BASE, *QUICK, "-o", plain).code == 0
    assert run("preview", BASE, *QUICK, "--lora", LORA, "-o", worn).code == 0
    assert run("preview", bake(tmp_path), *QUICK, "-o", recipe).code == 0
    assert run("merge", bake(tmp_path), "-o", tmp_path / "baked.safetensors").code == 0
    assert run("preview", "baked", *QUICK, "-o", file).code == 0
    assert border(plain) < 120 and border(worn) > 200
    pixels = [np.array(Image.open(path)) for path in (worn, recipe, file)]
    assert np.array_equal(pixels[0], pixels[1]) and np.array_equal(pixels[0], pixels[2])


def test_an_infotext_names_loras_as_other_tools_read_them(run: Run, library: Library, tmp_path: Path) -> None:
    goal = tmp_path / "p.png"
    assert run("preview", BASE, *QUICK, "--lora", f"{LORA}:te=0.5,0.25", "-o", goal).code == 0
    said = infotext(goal)
    assert said.prompt == f"a red circle on a blue background <lora:{LORA}:0.5:0.25>"
    autov3 = run("show", LORA, "--json").json["autov3"]
    assert said.settings["Lora hashes"] == f"{LORA}: {autov3}"
    assert said.settings["Model"] == BASE and len(said.settings["Model hash"]) == 10
    assert "Merge recipe" not in said.settings


def test_a_prompt_names_loras(run: Run, library: Library, tmp_path: Path) -> None:
    asked, named = tmp_path / "asked.png", tmp_path / "named.png"
    words = ["preview", BASE, *QUICK[2:]]
    assert run(*words, "-p", "a red circle", "--lora", f"{LORA}:0.9", "-o", asked).code == 0
    assert run(*words, "-p", f"a red circle <lora:{LORA.upper()}:0.9>", "-o", named).code == 0
    assert np.array_equal(np.array(Image.open(asked)), np.array(Image.open(named)))
    assert infotext(named).prompt == f"a red circle <lora:{LORA.upper()}:0.9>"


def test_weights_by_block_stand_in_the_recipe_that_the_infotext_has(run: Run, library: Library, tmp_path: Path) -> None:
    goal = tmp_path / "p.png"
    assert run("preview", BASE, *QUICK, "--lora", f"{LORA}:IN01=0", "-o", goal).code == 0
    said = infotext(goal)
    assert said.prompt == "a red circle on a blue background" and "Lora hashes" not in said.settings
    assert said.settings["Model"] == BASE and "Model hash" not in said.settings, "it is another model"
    assert "IN01 = 0" in said.settings["Merge recipe"]


def test_loras_on_top_of_a_recipe_are_no_part_of_it(run: Run, library: Library, tmp_path: Path) -> None:
    goal = tmp_path / "p.png"
    half = bake(tmp_path, "0.5")
    assert run("preview", half, *QUICK, "--lora", f"{LORA}:0.5", "-o", goal).code == 0
    said = infotext(goal)
    assert said.prompt.endswith(f"<lora:{LORA}:0.5>") and "weight = 0.5" in said.settings["Merge recipe"]
    assert said.settings["Merge recipe"].count("[[loras]]") == 1
    assert border(goal) > 200, "half of it twice is all of it"


def test_the_preview_of_a_merge_has_its_loras_and_those_of_the_prompt(
    run: Run, library: Library, tmp_path: Path
) -> None:
    words = ["merge", "weighted-sum", BASE, PASTEL, "--alpha", "0.1"]
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    assert run(*words, "--lora", LORA, "--preview", "a red circle", "-o", one).code == 0
    assert run(*words, "--preview", f"a red circle <lora:{LORA}>", "-o", two).code == 0
    assert border(one.with_suffix(".preview.png")) > 180 and border(two.with_suffix(".preview.png")) > 180
    assert "[[loras]]" in infotext(one.with_suffix(".preview.png")).settings["Merge recipe"]
    assert "[[loras]]" not in infotext(two.with_suffix(".preview.png")).settings["Merge recipe"]
    assert run("recipe", "two").out.count("[[loras]]") == 0


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (["-p", "a <lora:nothing:1>"], 2, "The prompt names a LoRA: Nothing is named 'nothing'"),
        (["-p", f"a <lora:{LORA}:much>"], 2, "no number"),
        (["-p", "a <hypernet:x:1>"], 2, "hypernetwork"),
        (["-p", f"a <lora:{BASE}>"], 4, "no LoRA"),
        (["-p", "a", "--lora", "nothing"], 2, "Nothing is named 'nothing'"),
    ],
)
def test_what_a_prompt_cannot_name(
    words: list[str], code: int, what: str, run: Run, library: Library, tmp_path: Path
) -> None:
    refused = run("preview", BASE, *words, "-o", tmp_path / "p.png", "--json")
    assert refused.code == code and what in refused.error["message"] and not list(tmp_path.glob("*.png"))


def test_of_two_assets_of_one_name_a_prompt_means_the_lora(run: Run, library: Library, tmp_path: Path) -> None:
    shutil.copy(library.base, tmp_path / f"{LORA}.safetensors")
    assert run("scan", tmp_path, "--hash", "fast").code == 0
    goal = tmp_path / "p.png"
    assert run("preview", BASE, "-p", f"a red circle <lora:{LORA}>", *QUICK[2:], "-o", goal).code == 0
    assert border(goal) > 180
