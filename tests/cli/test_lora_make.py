"""lora extract, resize and merge on the command line: what is written and said, what is planned, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from modelhub.demo.library import Library

Run = Callable[..., Any]
LORA, STRIPES, PASTEL = "tiny-shapes-framed-lora", "tiny-shapes-stripes", "tiny-shapes-pastel"


def product(path: Path, module: str) -> np.ndarray[Any, Any]:
    """alpha / rank · up @ down in float64."""
    tensors = {name: value.astype(np.float64) for name, value in load_file(path).items() if name.startswith(module)}
    up, down = tensors[f"{module}.lora_up.weight"], tensors[f"{module}.lora_down.weight"]
    return float(tensors[f"{module}.alpha"]) / len(down) * up.reshape(len(up), -1) @ down.reshape(len(down), -1)


def modules(path: Path) -> list[str]:
    ending = ".lora_down.weight"
    return [name.removesuffix(ending) for name in load_file(path) if name.endswith(ending)]


def test_resize_writes_indexes_and_tells(run: Run, library: Library, tmp_path: Path) -> None:
    goal = tmp_path / "small.safetensors"
    found = run("lora", "resize", LORA, "-o", goal, "--rank", "2", "--hash", "--json")
    assert found.code == 0, found
    answer = found.json
    assert (answer["path"], answer["size"]) == (str(goal), goal.stat().st_size)
    assert answer["ranks"] == {"2": answer["modules"]} and 0.5 < answer["energy_kept"] < 1
    (row,) = run("ls", "small", "--json").json
    assert (row["id"], row["kind"], row["architecture"], row["sha256"]) == (
        answer["id"],
        "lora",
        "sd1",
        answer["sha256"],
    )
    original = next(path for path in library.files if path.stem == LORA)
    kept = whole = 0.0
    for module in modules(goal):
        before, after = product(original, module), product(goal, module)
        values = np.linalg.svd(before, compute_uv=False)
        least = np.sqrt((values[2:] ** 2).sum())
        assert np.linalg.norm(before - after) <= least + 2e-3 * np.linalg.norm(before), "fp16 in and out"
        kept, whole = kept + (values[:2] ** 2).sum(), whole + (values**2).sum()
    assert answer["energy_kept"] == pytest.approx(kept / whole, abs=1e-3)
    text = run("lora", "resize", LORA, "-o", goal, "--rank", "2", "--force").out
    assert f"{goal}  #{answer['id']}" in text and "energy kept" in text and "2 in 192" in text


def test_extract_writes_what_lora_check_and_identify_know(run: Run, library: Library, tmp_path: Path) -> None:
    goal = tmp_path / "stripes-lora.safetensors"
    words = [STRIPES, PASTEL, "-o", goal, "--energy", "0.9", "--rank", "64", "--only", "unet", "--name", "Stripes"]
    found = run("lora", "extract", *words, "--json")
    assert found.code == 0, found
    assert found.json["energy_kept_of_layers"]["least"] >= 0.9 and len(found.json["ranks"]) > 3
    known = run("identify", goal, "--json").json
    assert (known["kind"], known["architecture"], known["layout"]) == ("lora", "sd1", "kohya")
    assert known["facts"]["training"]["title"] == "Stripes"
    assert known["facts"]["training"]["base_model"] == f"{PASTEL}.safetensors"
    events = [json.loads(line) for line in found.err.splitlines()]
    last = [event for event in events if event["phase"] == "extracting"][-1]
    assert last["done"] == last["total"] > 0
    baked = tmp_path / "baked.safetensors"
    assert run("lora", "bake", PASTEL, goal, "-o", baked).code == 0
    files = {path.stem: path for path in library.files}
    before, wanted, made = (load_file(path) for path in (files[PASTEL], files[STRIPES], baked))
    name = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn1.to_v.weight"
    far, near = (np.linalg.norm(one[name].astype(np.float64) - wanted[name]) for one in (before, made))
    assert near <= np.sqrt(0.1) * far * 1.02


def test_merge_adds_up(run: Run, library: Library, tmp_path: Path) -> None:
    goal, small = tmp_path / "both.safetensors", tmp_path / "small.safetensors"
    run("lora", "resize", LORA, "-o", small, "--rank", "2", "--dtype", "fp32")
    found = run("lora", "merge", f"{LORA}:0.75", f"{small}:-0.5,IN01=0", "-o", goal, "--dtype", "fp32", "--json")
    assert found.code == 0, found
    assert found.json["ranks"].keys() == {"6", "4"}
    original = next(path for path in library.files if path.stem == LORA)
    for module in modules(goal):
        expected = 0.75 * product(original, module)
        if "down_blocks_0_attentions_0" not in module and "down_blocks_0_resnets_0" not in module:
            expected = expected - 0.5 * product(small, module)
        assert np.linalg.norm(product(goal, module) - expected) <= 1e-6 * np.linalg.norm(expected)


def test_nothing_is_written_dry(run: Run, library: Library, tmp_path: Path) -> None:
    goal = tmp_path / "none.safetensors"
    for words in (
        ("resize", LORA, "--rank", "2"),
        ("extract", STRIPES, PASTEL, "--rank", "4"),
        ("merge", f"{LORA}:0.5", LORA),
    ):
        found = run("lora", *words, "-o", goal, "--dry-run", "--json")
        assert found.code == 0 and found.json["modules"] > 100, found
        assert f"would write {goal}" in run("lora", *words, "-o", goal, "--dry-run").out
    assert not goal.exists()
    assert run("lora", "resize", LORA, "--rank", "2", "-o", goal, "--dry-run", "--json").json["size_at_most"] > 100_000


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (("resize", LORA), 2, "how small"),
        (("resize", LORA, "--conv-rank", "4"), 2, "--conv-rank goes with --rank"),
        (("resize", LORA, "--rank", "0"), 2, "rank of 0"),
        (("resize", LORA, "--by", "sv_ratio=1"), 2, "sv_ratio"),
        (("resize", LORA, "--by", "best=1"), 2, "'best'"),
        (("resize", LORA, "--rank", "4"), 2, "no more ranks"),
        (("resize", "nobody", "--rank", "4"), 2, "nobody"),
        (("resize", PASTEL, "--rank", "4"), 4, "no LoRA"),
        (("extract", LORA, PASTEL), 4, "kind lora"),
        (("extract", PASTEL, PASTEL), 4, "Nothing differs"),
        (("extract", STRIPES, PASTEL, "--only", "te2"), 4, "do not both have te2"),
        (("merge", f"{LORA}:0"), 4, "nothing"),
        (("merge", f"{LORA}:0.5,IN99=1"), 2, "IN99"),
        (("merge", LORA, PASTEL), 4, "no LoRA"),
    ],
)
def test_refusals(run: Run, library: Library, tmp_path: Path, words: tuple[str, ...], code: int, what: str) -> None:
    found = run("lora", *words, "-o", tmp_path / "none.safetensors", "--json")
    assert found.code == code, found
    assert what in found.error["message"] and found.error["hint"]
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".safetensors" or path.suffix == ".part"]


@pytest.mark.parametrize(
    "words", [("extract", "a", "b", "--only", "vae"), ("resize", "a", "--energy", "much"), ("resize", "a", "--by", "sv_fro"),
              ("extract", "a", "b", "--min-diff", "-1"), ("resize", "a", "--energy", "0.9", "--by", "sv_fro=0.9")]
)  # fmt: skip
def test_words_that_say_nothing_are_refused(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    assert run("lora", *words, "-o", tmp_path / "none.safetensors").code == 2


def test_what_would_be_refused_is_refused_when_it_is_only_tried(run: Run, library: Library, tmp_path: Path) -> None:
    goal = tmp_path / "none.safetensors"
    same = run("lora", "resize", LORA, "-o", goal, "--rank", "4", "--dry-run", "--json")
    assert same.code == 2 and "192 modules, each of which has no more ranks" in same.error["message"]
    none = run("lora", "merge", f"{LORA}:0", "-o", goal, "--dry-run", "--json")
    assert none.code == 4 and "weight other than 0" in none.error["hint"]


def test_modules_that_are_copied_count_too(run: Run, library: Library, tmp_path: Path) -> None:
    found = run("lora", "merge", LORA, "-o", tmp_path / "one.safetensors", "--json").json
    assert found["modules"] == 192 == sum(found["as_it_was"].values())


def test_a_file_that_exists_is_not_replaced(run: Run, library: Library, tmp_path: Path) -> None:
    goal = tmp_path / "mine.safetensors"
    goal.write_bytes(b"mine")
    found = run("lora", "resize", LORA, "-o", goal, "--rank", "2", "--json")
    assert (found.code, found.error["code"]) == (3, "file-exists") and goal.read_bytes() == b"mine"
