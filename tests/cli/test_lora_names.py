"""`modelhub lora rename` and `modelhub lora info`: files, answers, and what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

NAME = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
LOOSE = "lora_unet_down_blocks_1_attentions_0_proj_in"


def _lora(path: Path, *, loose: bool = True, alpha: float = 2.0) -> Path:
    """SD 1 by its projection, whose kernel SD 2 has not; without it, it could be of either."""
    state = {f"{NAME}.lora_down.weight": torch.randn(2, 320), f"{NAME}.lora_up.weight": torch.randn(320, 2)}
    if loose:
        state[f"{LOOSE}.lora_down.weight"] = torch.randn(2, 640, 1, 1)
        state[f"{LOOSE}.lora_up.weight"] = torch.randn(640, 2, 1, 1)
    save_file(state | {f"{NAME}.alpha": torch.tensor(alpha)}, path)
    return path


def test_a_lora_gets_names_of_peft_and_its_own_again(run: Any, tmp_path: Path) -> None:
    path, there, back = _lora(tmp_path / "a.safetensors"), tmp_path / "b.safetensors", tmp_path / "c.safetensors"
    first = run("lora", "rename", path, "-o", there, "--names", "peft", "--json")
    assert first.code == 0 and first.json["made"] == {"kept": 2} and first.json["modules"] == 2
    assert first.json["path"] == str(there) and first.json["id"] is not None
    found = load_file(there)
    name = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    assert torch.equal(found[f"{name}.lora_A.weight"], load_file(path)[f"{NAME}.lora_down.weight"])
    assert run("lora", "rename", there, "-o", back, "--names", "kohya").code == 0
    before, after = load_file(path), load_file(back)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert after.keys() - before.keys() == {f"{LOOSE}.alpha"}


def test_nothing_is_written_when_it_is_only_tried(run: Any, tmp_path: Path) -> None:
    path = _lora(tmp_path / "a.safetensors", alpha=1.0)
    result = run("lora", "rename", path, "-o", tmp_path / "b.safetensors", "--names", "peft", "--dry-run")
    assert result.code == 0 and "would write" in result.out and "scale in its factors" in result.out
    assert not (tmp_path / "b.safetensors").exists()


def test_a_lora_of_several_bases_asks_which(run: Any, tmp_path: Path) -> None:
    path, goal = _lora(tmp_path / "a.safetensors", loose=False), tmp_path / "b.safetensors"
    result = run("lora", "rename", path, "-o", goal, "--names", "peft", "--json")
    assert result.code == 2 and "sd1 or sd2" in result.error["message"] and "--base sd1" in result.error["hint"]
    assert run("lora", "rename", path, "-o", goal, "--names", "peft", "--base", "sd2").code == 0
    assert run("lora", "rename", path, "-o", goal, "--names", "peft", "--base", "sd9", "--force").code == 2


def test_names_are_looked_up_in_a_checkpoint(run: Any, tmp_path: Path, library: Any) -> None:
    state = {"lora_unet_conv_in.lora_down.weight": torch.randn(2, 4, 3, 3)}
    state["lora_unet_conv_in.lora_up.weight"] = torch.randn(8, 2, 1, 1)
    path, goal = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_file(state, path)
    assert run("lora", "rename", path, "-o", goal, "--names", "peft", "--for", "tiny-shapes-base").code == 0
    assert set(load_file(goal)) == {"unet.conv_in.lora_A.weight", "unet.conv_in.lora_B.weight"}


def test_names_are_not_looked_up_in_another_lora(run: Any, tmp_path: Path) -> None:
    path, goal = _lora(tmp_path / "a.safetensors"), tmp_path / "b.safetensors"
    found = run("lora", "rename", path, "-o", goal, "--names", "peft", "--for", path, "--json")
    assert found.code == 2 and "is a LoRA, no model" in found.error["message"] and not goal.exists()


def test_a_renamed_file_is_told_with_its_number(run: Any, tmp_path: Path) -> None:
    path, goal = _lora(tmp_path / "a.safetensors"), tmp_path / "b.safetensors"
    text = run("lora", "rename", path, "-o", goal, "--names", "peft").out
    assert re.search(rf"^{re.escape(str(goal))}  #\d+$", text, re.MULTILINE) and "modules  2 as before" in text


def test_what_has_no_name_is_refused(run: Any, tmp_path: Path) -> None:
    path, goal = _lora(tmp_path / "a.safetensors"), tmp_path / "b.safetensors"
    save_file(load_file(path) | {"lora_unet_conv_norm_out.w_norm": torch.zeros(320)}, path)
    refused = run("lora", "rename", path, "-o", goal, "--names", "peft", "--json")
    assert refused.code == 4 and refused.error["code"] == "incompatible" and not goal.exists()
    left = run("lora", "rename", path, "-o", goal, "--names", "peft", "--skip", "--json")
    assert left.code == 0 and list(left.json["left"]) == ["lora_unet_conv_norm_out"]


def test_a_file_is_neither_replaced_nor_its_own_source(run: Any, tmp_path: Path) -> None:
    path, goal = _lora(tmp_path / "a.safetensors"), tmp_path / "b.safetensors"
    goal.write_bytes(b"mine")
    assert run("lora", "rename", path, "-o", goal, "--names", "peft").code == 3
    assert goal.read_bytes() == b"mine"
    before = path.read_bytes()
    assert run("lora", "rename", path, "-o", path, "--names", "peft", "--force").code == 2
    assert path.read_bytes() == before


def test_info_tells_what_is_known(run: Any, tmp_path: Path) -> None:
    path = _lora(tmp_path / "a.safetensors")
    told = run("lora", "info", path, "--json").json
    assert (told["kind"], told["architecture"], told["weights"]) == ("lora", "sd1", None)
    assert told["alpha"]["scales"] == {"1": 1}
    text = run("lora", "info", path).out
    assert "lora of rank 2" in text and "2 (1), which scales by 1; 1 module without" in text


def test_info_measures_what_is_added(run: Any, tmp_path: Path) -> None:
    path = _lora(tmp_path / "a.safetensors")
    told = run("lora", "info", path, "--weights", "--json").json["weights"]
    state = load_file(path)
    added = state[f"{NAME}.lora_up.weight"].double() @ state[f"{NAME}.lora_down.weight"].double()
    assert told["blocks"]["IN01"] == {
        "modules": 1, "mean": pytest.approx(float(added.abs().mean()), rel=1e-5),
        "rms": pytest.approx(float(added.square().mean().sqrt()), rel=1e-5),
    }  # fmt: skip
    text = run("lora", "info", path, "--weights").out
    assert "mean |ΔW|" in text and "IN04" in text


@pytest.mark.parametrize("verb", ["info", "rename"])
def test_what_is_no_adapter_is_refused(run: Any, tmp_path: Path, verb: str) -> None:
    save_file({"model.diffusion_model.x": torch.zeros(2)}, tmp_path / "a.safetensors")
    rest = ["-o", tmp_path / "b.safetensors", "--names", "peft"] if verb == "rename" else []
    assert run("lora", verb, tmp_path / "a.safetensors", *rest, "--json").code == 4


def test_info_needs_no_torch(tmp_path: Path) -> None:
    path = _lora(tmp_path / "a.safetensors")
    code = (
        "import sys; from modelhub.cli.console import main; "
        f"assert main(['lora', 'info', {str(path)!r}]) == 0; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
