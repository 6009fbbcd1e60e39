"""lora bake: what is written, what is refused, and that it can be made again."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from modelhub.demo.library import Library

Run = Callable[..., Any]
CATALOG = Path(__file__).parents[2] / "catalog" / "demo"
BASE, LORA = CATALOG / "tiny-shapes-base.safetensors", CATALOG / "tiny-shapes-framed-lora.safetensors"
NAME = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
MODULE = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"


def product() -> np.ndarray:
    parts = {key: value.astype(np.float64) for key, value in load_file(LORA).items()}
    down, up = parts[f"{MODULE}.lora_down.weight"], parts[f"{MODULE}.lora_up.weight"]
    return np.asarray(float(parts[f"{MODULE}.alpha"]) / len(down) * (up @ down))


def test_a_lora_is_baked_in_and_the_file_can_be_made_again(run: Run, home: Path, tmp_path: Path) -> None:
    goal = tmp_path / "framed.safetensors"
    found = run("lora", "bake", BASE, f"{LORA}:0.8", "-o", goal, "--hash", "--json")
    assert found.code == 0, found
    assert found.json["baked"] == 192 and found.json["warnings"] == []
    assert found.json["sha256"] == subprocess.run(["sha256sum", goal], capture_output=True, text=True).stdout.split()[0]
    before, after = load_file(BASE), load_file(goal)
    assert list(before) == list(after)
    np.testing.assert_allclose(after[NAME], before[NAME] + 0.8 * product(), rtol=1e-3, atol=1e-4)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert 185 <= len(changed) <= 192 and all(name.startswith("model.diffusion_model.") for name in changed)
    metadata = safe_open(goal, "np").metadata()
    assert "tiny-shapes-framed-lora" in metadata["modelspec.merged_from"]
    assert len(json.loads(metadata["sd_merge_models"])) == 2
    run("scan", CATALOG)
    again = run("remake", goal, "-o", tmp_path / "again.safetensors", "--json")
    assert again.code == 0, again
    assert (tmp_path / "again.safetensors").read_bytes() == goal.read_bytes()


def test_names_of_the_catalog_and_block_weights(run: Run, library: Library, tmp_path: Path) -> None:
    shutil.copy(LORA, tmp_path / "frames.safetensors")
    run("scan", tmp_path)
    goal = tmp_path / "out.safetensors"
    words = ["tiny-shapes-base", "frames:0.5,IN01=0,OUT09-OUT11=-1"]
    found = run("lora", "bake", *words, "-o", goal, "--dtype", "fp32", "--json")
    assert found.code == 0, found
    before, after = load_file(BASE), load_file(goal)
    np.testing.assert_array_equal(after[NAME], before[NAME].astype(np.float32))
    parts, last = load_file(LORA), "lora_unet_up_blocks_3_attentions_2_transformer_blocks_0_attn1_to_q"
    down, up = (parts[f"{last}.lora_{one}.weight"].astype(np.float64) for one in ("down", "up"))
    name = NAME.replace("input_blocks.1.", "output_blocks.11.")
    wanted = before[name] - float(parts[f"{last}.alpha"]) / len(down) * (up @ down)
    np.testing.assert_allclose(after[name], wanted, rtol=1e-6, atol=1e-6)


def test_a_dry_run_writes_nothing_and_shows_the_recipe(run: Run, home: Path, tmp_path: Path) -> None:
    goal = tmp_path / "out.safetensors"
    found = run("lora", "bake", BASE, f"{LORA}:0.8,te=0", "-o", goal, "--dry-run")
    assert found.code == 0 and not goal.exists()
    assert "192 tensors with LoRAs" in found.out and "[[loras]]" in found.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((BASE, "nothing-of-that-name"), 2, "nothing-of-that-name"),
        ((BASE, f"{LORA}:IN99=1"), 2, "IN99"),
        ((BASE, f"{LORA}:D03=1"), 2, "D03"),
        ((BASE, BASE), 4, "and no LoRA"),
        ((LORA, BASE), 4, ""),
        ((BASE, f"{LORA}:abc"), 2, f"but '{LORA}' is there"),
        ((BASE, f"{LORA}:nan"), 2, f"but '{LORA}' is there"),
        ((BASE, f"{LORA}:0.8:NOPE"), 2, f"but '{LORA}' is there"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(
    run: Run, home: Path, tmp_path: Path, words: tuple[object, ...], code: int, said: str
) -> None:
    goal = tmp_path / "out.safetensors"
    found = run("lora", "bake", *words, "-o", goal, "--json")
    assert (found.code, goal.exists()) == (code, False), found
    assert said in found.error["message"]
    assert not list(tmp_path.glob("*.part*"))


def test_a_wrong_weight_and_a_swapped_order_say_what_to_write(run: Run, library: Library, tmp_path: Path) -> None:
    goal = tmp_path / "out.safetensors"
    typo = run("lora", "bake", "tiny-shapes-base", "tiny-shapes-framed-lora:MIDDD", "-o", goal, "--json").error
    assert "but 'tiny-shapes-framed-lora' is there" in typo["message"] and "te=0.5" in typo["hint"]
    swapped = run("lora", "bake", "tiny-shapes-framed-lora", "tiny-shapes-base", "-o", goal, "--json").error
    assert "name a checkpoint here" in swapped["hint"]


def test_a_pattern_that_fits_nothing_is_told(run: Run, home: Path, tmp_path: Path) -> None:
    goal = tmp_path / "out.safetensors"
    found = run("lora", "bake", BASE, f"{LORA}:1,*nosuch*=0,*attn2*=0.5", "-o", goal, "--dry-run")
    told = [line for line in (found.out + found.err).splitlines() if "is named like" in line]
    assert len(told) == 1 and "'*nosuch*'" in told[0], found
    assert "nothing changes it" in found.out and "no steps" not in found.out


def test_a_lora_of_another_width_is_refused_from_headers(run: Run, home: Path, tmp_path: Path) -> None:
    tensors = load_file(LORA)
    tensors[f"{MODULE}.lora_down.weight"] = np.ones((4, 96), np.float16)
    save_file(tensors, tmp_path / "wide.safetensors")
    found = run("lora", "bake", BASE, tmp_path / "wide.safetensors", "-o", tmp_path / "out.safetensors", "--json")
    assert found.code == 4 and MODULE in found.error["message"] and "lora check" in found.error["hint"]
    words = [BASE, f"{tmp_path / 'wide.safetensors'}:1,*input_blocks.1.1*attn1.to_q*=0"]
    assert run("lora", "bake", *words, "-o", tmp_path / "out.safetensors").code == 0


def test_the_result_is_neither_of_the_files_that_go_in(run: Run, home: Path, tmp_path: Path) -> None:
    base, lora = Path(shutil.copy(BASE, tmp_path)), Path(shutil.copy(LORA, tmp_path))
    for goal in (base, lora):
        before = goal.read_bytes()
        found = run("lora", "bake", base, lora, "-o", goal, "--force", "--json")
        assert found.code == 2 and goal.read_bytes() == before, found


def test_an_existing_file_is_kept_unless_forced(run: Run, home: Path, tmp_path: Path) -> None:
    goal = tmp_path / "out.safetensors"
    goal.write_bytes(b"mine")
    assert run("lora", "bake", BASE, LORA, "-o", goal).code == 3 and goal.read_bytes() == b"mine"
    assert run("lora", "bake", BASE, LORA, "-o", goal, "--force").code == 0 and goal.stat().st_size > 1_000_000


def test_a_pickle_is_a_lora_too(run: Run, home: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file as load_torch

    torch.save({"state_dict": load_torch(LORA)}, tmp_path / "framed.ckpt")
    for name, lora in (("a", LORA), ("b", tmp_path / "framed.ckpt")):
        assert run("lora", "bake", BASE, lora, "-o", tmp_path / f"{name}.safetensors").code == 0
    one, two = load_file(tmp_path / "a.safetensors"), load_file(tmp_path / "b.safetensors")
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_what_is_not_finite_in_a_lora_is_told(run: Run, home: Path, tmp_path: Path) -> None:
    tensors = load_file(LORA)
    tensors[f"{MODULE}.lora_up.weight"][2] = np.nan
    save_file(tensors, tmp_path / "broken.safetensors")
    found = run("lora", "bake", BASE, tmp_path / "broken.safetensors", "-o", tmp_path / "out.safetensors", "--json")
    assert found.code == 0
    assert f"{NAME}: 64 elements NaN or infinite." in found.json["warnings"]


def test_a_lora_that_changes_meanwhile_ends_it(home: Path, tmp_path: Path) -> None:
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.errors import CorruptFileError
    from modelhub.lora.baking.merged import changes
    from modelhub.merge.execute import merge
    from modelhub.merge.planning.plan import plan
    from modelhub.merge.recipes.making import bake_recipe

    lora = Path(shutil.copy(LORA, tmp_path))
    with Catalog.open() as catalog, Opener(catalog) as opener:
        planned = plan(bake_recipe(str(BASE), [(str(lora), 1.0)]), opener, None, changes)
        with lora.open("ab") as file:
            file.write(b"more")
        with pytest.raises(CorruptFileError, match="was written to while"):
            merge(planned, tmp_path / "out.safetensors")
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []
