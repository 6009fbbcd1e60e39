"""extract against diffusers and PEFT: what is extracted of a pipeline, loaded by them, gives the tuned pipeline."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import tiny_pipelines as tiny
import torch
from bakes import baked, parent, plain
from safetensors.torch import load_file

from modelhub.lora.making.extract import Wish, extract, plan_extract
from modelhub.lora.making.ranks import Ranks
from modelhub.lora.making.report import Report

WHICH = ("sd1", "sdxl", "flux", "sd3")
Modules = Mapping[str, Any]
#: Matrices that are looked up, and not multiplied.
LOOKED_UP = re.compile(r"token_embedding|position_embedding|shared|embed_tokens|relative_attention_bias")
FULL = Wish(Ranks(60_000), "F32")


def pipelines(folder: Path, which: str) -> tuple[Modules, Modules]:
    """The networks of a base and of what it was tuned to, each pipeline in a folder: `base` and `tuned`."""
    found = []
    for name, size in (("base", 0.0), ("tuned", 0.1)):
        modules = {
            part: tiny.randomise(make(), 3 + at) for at, (part, make) in enumerate(tiny.PIPELINES[which].items())
        }
        generator = torch.Generator().manual_seed(1)
        for part, module in modules.items():
            for key, value in module.named_parameters():
                if part != "vae" and key.endswith("weight") and value.dim() > 1 and not LOOKED_UP.search(key):
                    value.data += size * torch.randn(value.shape, generator=generator)
        tiny.save(folder / name, modules)
        found.append(modules)
    return found[0], found[1]


def run(folder: Path, wish: Wish) -> Report:
    plan = plan_extract(parent(folder / "tuned"), parent(folder / "base"), wish)
    return extract(plan, folder / "lora.safetensors")


@pytest.mark.parametrize("which", WHICH)
def test_baked_into_the_base_it_gives_the_tuned_pipeline(tmp_path: Path, which: str) -> None:
    pipelines(tmp_path, which)
    report = run(tmp_path, FULL)
    assert report.left_out == 0, "every layer that was tuned has a name"
    ours, wanted = baked(tmp_path / "base", (tmp_path / "lora.safetensors", 1.0)), plain(tmp_path / "tuned")
    assert ours.stack.warnings() == []
    for key in wanted.header.tensors:
        one, two = ours.plan.tensor(key).double(), wanted.tensor(key).double()
        assert float((one - two).abs().max()) < 1e-5 * max(1.0, float(two.abs().max())), key


@pytest.mark.parametrize("which", WHICH)
def test_loaded_by_diffusers_and_peft_it_gives_the_tuned_networks(tmp_path: Path, which: str) -> None:
    base, tuned = pipelines(tmp_path, which)
    run(tmp_path, Wish(Ranks(60_000), "F32", names="peft"))
    state = load_file(tmp_path / "lora.safetensors")
    for part in ("unet", "transformer"):
        if part in base:
            base[part].load_lora_adapter(dict(state), prefix=part)
            base[part].fuse_lora()
            base[part].unload_lora()
    for part in base:
        own = {key.removeprefix(f"{part}."): value for key, value in state.items() if key.startswith(f"{part}.")}
        if part.startswith("text_encoder"):
            known = any(name == "text_model" for name, _ in base[part].named_modules())
            inner = "" if known else "text_model."  # newer transformers have none
            inject(base[part], {key.removeprefix(inner): value for key, value in own.items()})
        wanted = dict(tuned[part].named_parameters())
        for key, value in base[part].named_parameters():
            assert float((value - wanted[key]).detach().abs().max()) < 1e-4, (part, key)


def inject(module: Any, state: Mapping[str, torch.Tensor]) -> None:
    """Have PEFT load what is for a network of transformers, and merge it."""
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

    targets = {key.rpartition(".lora_")[0] for key in state}
    ranks = {
        key.removesuffix(".lora_A.weight"): len(value) for key, value in state.items() if key.endswith("lora_A.weight")
    }
    config = LoraConfig(
        r=1, lora_alpha=1, target_modules=sorted(targets), rank_pattern=ranks, alpha_pattern=dict(ranks)
    )
    model = get_peft_model(module, config)
    unknown = set_peft_model_state_dict(model, {f"base_model.model.{key}": value for key, value in state.items()})
    assert not unknown.unexpected_keys
    model.merge_and_unload()
