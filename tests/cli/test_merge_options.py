"""The options of `merge`: every kind of parameter, block weights, components; and what cannot be meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from modelhub.cli.console import main
from modelhub.demo.library import Library
from modelhub.merge.recipes.recipe import parse_recipe
from modelhub.merge.registry import methods

Run = Callable[..., Any]
A, B, BASE = "tiny-shapes-stripes", "tiny-shapes-pastel", "tiny-shapes-base"
FIRST = "model.diffusion_model.input_blocks.0.0.weight"
LAST = "model.diffusion_model.out.2.weight"


def between(a: np.ndarray, b: np.ndarray, alpha: float) -> np.ndarray:
    """The weighted sum in fp64, as fp16 tells it."""
    return ((1 - alpha) * a.astype(np.float64) + alpha * b.astype(np.float64)).astype(np.float16)


def near(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal but for the last bit of fp16."""
    return bool(np.allclose(one.astype(np.float64), other.astype(np.float64), rtol=2**-10, atol=2**-24))


@pytest.fixture
def make(run: Run, library: Library, tmp_path: Path) -> Callable[..., dict[str, np.ndarray]]:
    """`make("weighted-sum", A, B, "--alpha", 0.3)` merges and loads the result."""

    def call(*words: object) -> dict[str, np.ndarray]:
        goal = tmp_path / "made.safetensors"
        found = run("merge", *words, "-o", goal, "--force")
        assert found.code == 0, found
        return load_file(goal)

    return call


def test_every_parameter_of_every_method_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["merge", "--help"])
    told = capsys.readouterr().out
    for method in methods().values():
        for parameter in method.parameters:
            assert f"--{parameter.name.replace('_', '-')}" in told, (method.name, parameter.name)


def test_blocks_have_numbers_of_their_own(make: Callable[..., Any], library: Library) -> None:
    a, b = load_file(library.stripes), load_file(library.pastel)
    made = make("weighted-sum", A, B, "--alpha", "0.5", "--blocks", "IN00=0.1,OUT11=0.9")
    assert near(made[FIRST], between(a[FIRST], b[FIRST], 0.1))
    assert near(made[LAST], between(a[LAST], b[LAST], 0.9))
    middle = "model.diffusion_model.middle_block.0.in_layers.2.weight"
    assert near(made[middle], between(a[middle], b[middle], 0.5))


def test_a_number_for_each_of_26_blocks(make: Callable[..., Any], library: Library) -> None:
    a, b = load_file(library.stripes), load_file(library.pastel)
    made = make("weighted-sum", A, B, "--alpha", ",".join(["0", "0.25", *["1"] * 23, "0.75"]))
    text = next(name for name in made if name.startswith("cond_stage_model.") and name.endswith("q_proj.weight"))
    assert np.array_equal(made[text], a[text])
    assert near(made[FIRST], between(a[FIRST], b[FIRST], 0.25))
    assert near(made[LAST], between(a[LAST], b[LAST], 0.75))


def test_a_preset_stays_a_preset_in_the_recipe(run: Run, make: Callable[..., Any], library: Library) -> None:
    a, b = load_file(library.stripes), load_file(library.pastel)
    made = make("weighted-sum", A, B, "--alpha", "GRAD_V>FLAT_25@0.5")
    assert near(made[LAST], between(a[LAST], b[LAST], 0.625))
    printed = run("recipe", "made").out
    assert "GRAD_V" in printed and "FLAT_25" in printed


def test_components(make: Callable[..., Any], library: Library) -> None:
    a, b = load_file(library.stripes), load_file(library.pastel)
    texts = [name for name in a if name.startswith("cond_stage_model.") and a[name].dtype == np.float16]
    differing = [name for name in texts if not np.array_equal(a[name], b[name])]
    made = make("weighted-sum", A, B, "--only", "unet")
    assert all(np.array_equal(made[name], a[name]) for name in texts)
    assert near(made[FIRST], between(a[FIRST], b[FIRST], 0.5))
    made = make("weighted-sum", A, B, "--text-encoder", "B")
    assert all(np.array_equal(made[name], b[name]) for name in texts)
    made = make("weighted-sum", A, B, "--take", f"te1={BASE}")
    base = load_file(library.base)
    assert all(np.array_equal(made[name], base[name]) for name in texts)
    assert differing or all(np.array_equal(base[name], a[name]) for name in texts)
    vae = [name for name in a if name.startswith("first_stage_model.")]
    made = make("weighted-sum", A, B, "--vae", "B")
    assert all(np.array_equal(made[name], b[name]) for name in vae)


def test_three_models_and_a_list(run: Run, make: Callable[..., Any], library: Library) -> None:
    a, b, base = load_file(library.stripes), load_file(library.pastel), load_file(library.base)
    name = next(
        m.name for m in methods().values() if m.many and not m.names and any(p.kind == "list" for p in m.parameters)
    )
    parameter = next(p.name for p in methods()[name].parameters if p.kind == "list")
    made = make(name, A, B, BASE, f"--{parameter.replace('_', '-')}", "2,1,1")
    expected = (2 * a[FIRST].astype(np.float64) + b[FIRST] + base[FIRST]) / 4
    assert np.abs(made[FIRST] - expected).max() < 1e-3


def test_the_same_seed_makes_the_same_file(run: Run, library: Library, tmp_path: Path) -> None:
    names = ("one", "two", "other")
    goals = [tmp_path / f"{name}.safetensors" for name in names]
    for goal, seed in zip(goals, (7, 7, 8), strict=True):
        found = run("merge", "dare", BASE, A, B, "--seed", seed, "--name", "x", "-o", goal)
        assert found.code == 0, found
    one, other = load_file(goals[0]), load_file(goals[2])
    assert goals[0].read_bytes() == goals[1].read_bytes()
    assert not np.array_equal(one[FIRST], other[FIRST])


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["weighted-smu", A, B], "not-found", "weighted-smu"),
        (["weighted-sum", A], "bad-recipe", "2 models"),
        (["weighted-sum", A, B, BASE], "bad-recipe", "2 models"),
        (["weighted-sum", A, B, "--beta", "1"], "usage", "--alpha"),
        (["weighted-sum", A, B, "--alpha", "much"], "bad-recipe", "much"),
        (["weighted-sum", A, B, "--alpha", "1,2,3"], "bad-recipe", "3 numbers"),
        (["weighted-sum", A, B, "--blocks", "GRAD_W"], "bad-recipe", "GRAD_W"),
        (["weighted-sum", A, B, "--blocks", "GRAD_V>NOTHING@0.5"], "bad-recipe", "NOTHING"),
        (["weighted-sum", A, B, "--alpha", "GRAD_V", "--blocks", "GRAD_A"], "usage", "alpha"),
        (["weighted-sum", A, B, "--blocks", "IN77=1"], "bad-recipe", "IN77"),
        (["weighted-sum", A, B, "--only", "nose"], "bad-recipe", "nose"),
        (["weighted-sum", A, B, "--take", "te1"], "usage", "te2=B"),
        (["weighted-sum", A, B, "--take", "nose=B"], "bad-recipe", "nose"),
        (["weighted-sum", A, B, "--text-encoder", "nobody"], "not-found", "nobody"),
        (["weighted-sum", A, "nobody"], "not-found", "nobody"),
        (["dare", BASE, A, "--seed", "1.5"], "usage", "whole number"),
        (["weighted-sum", A, B, "--dtype", "fp8"], "usage", "fp8"),
        (["weighted-sum", A, B, "--compat", "meh"], "usage", "meh"),
    ],
)
def test_what_cannot_be_meant(
    words: list[str], code: str, says: str, run: Run, library: Library, tmp_path: Path
) -> None:
    refused = run("merge", *words, "-o", tmp_path / "o.safetensors", "--json")
    assert (refused.code, refused.error["code"]) == (2, code), refused
    assert says in refused.error["message"] + refused.error["hint"]
    assert not (tmp_path / "o.safetensors").exists()


def test_what_a_recipe_says_itself(run: Run, library: Library, tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    assert run("merge", "weighted-sum", A, B, "-o", tmp_path / "a.safetensors", "--save-recipe", recipe).code == 0
    parse_recipe(recipe.read_text())
    for words in (
        ["--alpha", "0.1"],
        ["--blocks", "GRAD_V"],
        ["--only", "unet"],
        ["--text-encoder", "A"],
        ["--ema", "keep"],
    ):
        refused = run("merge", recipe, *words, "-o", tmp_path / "b.safetensors", "--json")
        assert refused.error["code"] == "usage" and words[0] in refused.error["message"]
    refused = run("merge", recipe, A, "-o", tmp_path / "b.safetensors", "--json")
    assert refused.error["code"] == "usage"


# -- what is wrong, what there is, and what to write instead -----------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "message", "hint"),
    [
        ("weighted-sum A B --only te2", 2, "sd1 has no component 'te2'", "te1, unet, vae"),
        ("weighted-sum A B --only unet,te2", 2, "sd1 has no component 'te2'", "te1, unet, vae"),
        ("weighted-sum U U --only te1", 4, "has no te1, so there is nothing to merge", "It has unet"),
        ("weighted-sum A", 2, "takes 2 models, not 1", "weighted-sum A B: (1 − α)·A + α·B"),
        ("ties A", 2, "takes 2 models or more, not 1", "ties BASE A…"),
        ("tis A B", 2, "no merge method 'tis'", "Did you mean ties? `modelhub methods`"),
        ("weighted-sum A B --alpha loud", 2, "and no number", "OUTD"),
    ],
)
def test_a_merge_that_cannot_be_says_what_can(
    run: Run, library: Library, tmp_path: Path, words: str, code: int, message: str, hint: str
) -> None:
    names = {"A": "tiny-shapes-stripes", "B": "tiny-shapes-pastel", "U": "tiny-shapes-stripes-unet"}
    given = [names.get(word, word) for word in words.split()]
    found = run("merge", *given, "-o", tmp_path / "o.safetensors", "--dry-run", "--json")
    assert found.code == code and message in found.error["message"] and hint in found.error["hint"], found


def test_components_have_the_names_that_block_weights_know(run: Run, library: Library, tmp_path: Path) -> None:
    words = ["merge", "weighted-sum", "tiny-shapes-stripes", "tiny-shapes-pastel", "-o", tmp_path / "o.safetensors"]
    assert run(*words, "--only", "te", "--dry-run", "--json").json["merged"] == 36
    assert 'only = ["unet"]' in run(*words, "--only", "denoiser", "--dry-run", "--json").json["recipe"]
    assert 'text_encoder = "B"' in run(*words, "--take", "te=B", "--dry-run", "--json").json["recipe"]
    assert run(*words, "--only", " ", "--dry-run").code == 2, "an unset variable of a shell"


def test_a_pattern_that_fits_no_tensor_is_told(run: Run, library: Library, tmp_path: Path) -> None:
    words = ["merge", "weighted-sum", "tiny-shapes-stripes", "tiny-shapes-pastel", "-o", tmp_path / "o.safetensors"]
    told = run(*words, "--blocks", "*attn2*=0.2, *nosuch*=0.3", "--dry-run", "--json").json["warnings"]
    assert told == ["Step 1, alpha: no tensor that is merged is named like '*nosuch*'."]


def test_a_dry_run_tells_each_step_once(run: Run, library: Library, tmp_path: Path) -> None:
    recipe = tmp_path / "two.toml"
    recipe.write_text(
        '[models]\nA = "tiny-shapes-stripes"\nB = "tiny-shapes-pastel"\nC = "tiny-shapes-base"\n'
        '[[steps]]\nname = "style"\nmethod = "subtract"\ninputs = ["B", "C"]\n'
        '[[steps]]\nmethod = "add"\ninputs = ["A", "style"]\nalpha = "GRAD_V"\n',
        encoding="utf-8",
    )
    told = run("merge", recipe, "-o", tmp_path / "o.safetensors", "--dry-run").out.splitlines()
    heads = [line for line in told if line.startswith("step ")]
    assert heads == ["step 1  style = subtract B C", "step 2  add A style"]
    assert "  2 copied: no weight of a component (alphas_cumprod, betas)" in told


def test_a_merged_file_names_its_parents(run: Run, library: Library, tmp_path: Path) -> None:
    goal = tmp_path / "m.safetensors"
    assert run("merge", "weighted-sum", "tiny-shapes-stripes", "tiny-shapes-pastel", "-o", goal).code == 0
    for command in ("show", "inspect"):
        (row,) = [line for line in run(command, goal).out.splitlines() if line.startswith("merged from")]
        assert "tiny-shapes-stripes, tiny-shapes-pastel" in row and "modelhub lineage" in row


def test_an_empty_prompt_is_a_prompt(run: Run, library: Library, tmp_path: Path) -> None:
    words = ["merge", "weighted-sum", "tiny-shapes-stripes", "tiny-shapes-pastel", "-o", tmp_path / "m.safetensors"]
    assert run(*words, "--preview", "").code == 0
    assert (tmp_path / "m.preview.png").is_file()


def test_explain_refuses_what_is_no_model(run: Run, library: Library) -> None:
    found = run("explain", "sundisc.safetensors", "--json")
    assert found.code == 4 and found.error["message"].startswith("the merge (sundisc) is of kind embedding")
