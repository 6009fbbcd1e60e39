"""Baking against the libraries that LoRAs are trained and loaded with: the same file gives the same weights."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import tiny_pipelines as tiny
import torch
from bakes import Baked, baked, plain
from safetensors.torch import save_file

from modelhub.catalog.identify import identify
from modelhub.formats.source import TensorSource
from modelhub.formats.writer import write
from modelhub.lora.layers import Layers
from modelhub.lora.names import named_layers

#: What trainers change: every matrix and convolution, or those of attention.
CHANGED = {
    "unet": ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "conv1", "conv2",
             "conv_shortcut", "time_emb_proj", "conv_in", "linear_1", "conv"],
    "transformer": ["to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out",
                    "ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2", "proj_mlp", "proj_out",
                    "norm.linear", "norm1.linear", "norm1_context.linear", "norm_out.linear", "x_embedder",
                    "context_embedder", "linear_1", "linear_2"],
    "text_encoder": ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"],
    "text_encoder_2": ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2", "text_projection"],
}  # fmt: skip
T5 = ["q", "k", "v", "o", "wi_0", "wi_1", "wo"]


class Folder:
    """A pipeline of few channels with random weights: the folder, the file that it is as one, and its components."""

    def __init__(self, path: Path, parts: Mapping[str, Callable[[], Any]], seed: int = 1) -> None:
        self.path = path
        self.modules = {name: tiny.randomise(make(), seed + at).eval() for at, (name, make) in enumerate(parts.items())}
        tiny.save(path, self.modules)

    def bake(self, *loras: tuple[Path, float]) -> Baked:
        return baked(self.path, *loras)


def targets(name: str, module: Any) -> list[str]:
    return T5 if type(module).__name__.startswith("T5") else CHANGED[name]


def train(module: Any, name: str, seed: int, **wishes: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """The module with a random LoRA of PEFT merged into it, and the tensors of that as PEFT saves them."""
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict

    generator = torch.Generator().manual_seed(seed)
    wanted = dict.fromkeys(targets(name, module), True)
    config = LoraConfig(**{"r": 4, "lora_alpha": 6, "target_modules": list(wanted), **wishes})
    model = get_peft_model(module, config)
    for key, parameter in model.named_parameters():
        if "lora_" in key:
            parameter.data = torch.randn(parameter.shape, generator=generator) * (1 if "magnitude" in key else 0.3)
            if "magnitude" in key:
                parameter.data = parameter.data.abs() + 0.5
    state = {key: value.contiguous().clone() for key, value in get_peft_model_state_dict(model).items()}
    return model.merge_and_unload(), state


def difference(ours: TensorSource, wanted: TensorSource) -> float:
    """The largest difference of two checkpoints, relative to the largest weight of each tensor."""
    assert list(ours.header.tensors) == list(wanted.header.tensors)
    worst = 0.0
    for key in wanted.header.tensors:
        one, two = ours.tensor(key).double(), wanted.tensor(key).double()
        worst = max(worst, float((one - two).abs().max() / two.abs().max().clamp(min=1)))
    return worst


def trained(folder: Path, pipeline: str, **wishes: Any) -> tuple[Folder, Path, Path]:
    """A pipeline, the LoRA for all its networks in one file of diffusers, and the pipeline with it merged by PEFT."""
    base = Folder(folder / "base", tiny.PIPELINES[pipeline])
    tensors: dict[str, torch.Tensor] = {}
    alphas: dict[str, Any] = {}
    for at, (name, module) in enumerate(base.modules.items()):
        if name != "vae":
            base.modules[name], state = train(module, name, 10 + at, **wishes)
            tensors |= {f"{name}.{key.removeprefix('base_model.model.')}": value for key, value in state.items()}
            alphas |= {f"{name}.lora_alpha": 6, f"{name}.r": 4, **{f"{name}.{k}": v for k, v in wishes.items()}}
    save_file(tensors, folder / "lora.safetensors", {"lora_adapter_metadata": json.dumps(alphas)})
    tiny.save(folder / "merged", base.modules)
    return base, folder / "lora.safetensors", folder / "merged"


@pytest.mark.parametrize("pipeline", tiny.PIPELINES)
@pytest.mark.parametrize("wishes", [{}, {"use_dora": True}, {"use_rslora": True}], ids=["lora", "dora", "rslora"])
def test_a_file_of_peft_gives_what_peft_merges(tmp_path: Path, pipeline: str, wishes: dict[str, Any]) -> None:
    base, lora, merged = trained(tmp_path, pipeline, **wishes)
    ours = base.bake((lora, 1.0))
    assert ours.stack.warnings() == []
    assert difference(ours.plan, plain(merged)) < 1e-5
    assert difference(ours.plan, plain(base.path)) > 0.1


# -- files of kohya's trainer, as diffusers loads them ------------------------------------------------------------------


def kohya(base: TensorSource, path: Path, wanted: str = "", alpha: float = 3.0) -> Path:
    """A LoRA of kohya's names and form for the layers of a checkpoint whose modules fit a pattern, random."""
    layers = Layers(base.header, identify(base.header))
    generator = torch.Generator().manual_seed(7)
    tensors: dict[str, torch.Tensor] = {}
    for module, layer in named_layers(layers, "kohya"):
        if not re.search(wanted, module):
            continue
        out, into, *kernel = layer.shape
        ones = [1] * len(kernel)
        tensors[f"{module}.lora_down.weight"] = torch.randn(4, into, *kernel, generator=generator) * 0.3
        tensors[f"{module}.lora_up.weight"] = torch.randn(out, 4, *ones, generator=generator) * 0.3
        tensors[f"{module}.alpha"] = torch.tensor(alpha)
    save_file(tensors, path)
    return path


def loaded_by_diffusers(folder: Folder, lora: Path, mixin: str, goal: Path) -> Path:
    """The pipeline with a file that diffusers itself has read, loaded and fused."""
    from diffusers import loaders
    from diffusers.utils import recurse_remove_peft_layers
    from peft.tuners.tuners_utils import BaseTunerLayer

    cls = getattr(loaders, mixin)
    denoiser = "unet" if "unet" in folder.modules else "transformer"
    module = folder.modules[denoiser]
    wishes = {"unet_config": module.config} if mixin == "StableDiffusionXLLoraLoaderMixin" else {}
    options = {"return_alphas": True} if denoiser == "transformer" else {}
    state, alphas = cls.lora_state_dict(str(lora), **wishes, **options)
    getattr(cls, f"load_lora_into_{denoiser}")(state, alphas, module)
    for prefix in ("text_encoder", "text_encoder_2"):
        if prefix in folder.modules and any(key.startswith(f"{prefix}.") for key in state):
            cls.load_lora_into_text_encoder(state, alphas, folder.modules[prefix], prefix=prefix)
    for name, one in folder.modules.items():
        for layer in one.modules():
            if isinstance(layer, BaseTunerLayer):
                layer.merge()
        folder.modules[name] = recurse_remove_peft_layers(one)
        if getattr(one, "_hf_peft_config_loaded", False):
            one._hf_peft_config_loaded = False
    tiny.save(goal, folder.modules)
    return goal


#: What diffusers can read of kohya's files: of SDXL no embeddings, of Flux no width but the released one in `linear1`.
READ = {
    "sd1": ("StableDiffusionLoraLoaderMixin", "lora_te|_(attn[12]|ff|proj|conv|conv[12]|conv_shortcut|time_emb_proj)"),
    "sdxl": ("StableDiffusionXLLoraLoaderMixin", "lora_te|_(attn[12]|ff|proj_in|proj_out|in_layers|out_layers|skip)"),
    "flux": ("FluxLoraLoaderMixin", "lora_te1|_(img|txt)_(attn|mlp|mod)|_single_blocks_._(linear2|modulation)"),
}


@pytest.mark.parametrize("pipeline", READ)
def test_a_file_of_kohya_gives_what_diffusers_loads(tmp_path: Path, pipeline: str) -> None:
    mixin, wanted = READ[pipeline]
    parts = {name: make for name, make in tiny.PIPELINES[pipeline].items() if make is not tiny.t5}
    base = Folder(tmp_path / "base", parts)
    lora = kohya(plain(base.path), tmp_path / "lora.safetensors", wanted)
    merged = loaded_by_diffusers(base, lora, mixin, tmp_path / "merged")
    ours = base.bake((lora, 1.0))
    assert ours.stack.warnings() == []
    assert difference(ours.plan, plain(merged)) < 1e-5
    assert difference(ours.plan, plain(base.path)) > 0.1


# -- one LoRA, checkpoints in other layouts -----------------------------------------------------------------------------


@pytest.mark.parametrize("pipeline", ["sd1", "sd2", "sdxl", "flux", "sd3"])
def test_the_denoiser_in_the_layout_of_diffusers_becomes_the_same(tmp_path: Path, pipeline: str) -> None:
    """Layers that are fused in one layout are several in the other; matrices lie turned, halves swapped."""
    base = Folder(tmp_path / "base", tiny.PIPELINES[pipeline])
    lora = kohya(plain(base.path), tmp_path / "lora.safetensors", "^lora_unet_")
    name = "unet" if "unet" in base.modules else "transformer"
    alone = baked(base.path / name, (lora, 0.7))
    assert alone.stack.warnings() == []
    shutil.copytree(base.path, tmp_path / "merged")
    (file,) = (tmp_path / "merged" / name).glob("*.safetensors")
    write(alone.plan, file, force=True, hashes=False)
    ours = base.bake((lora, 0.7))
    assert difference(ours.plan, plain(tmp_path / "merged")) < 1e-6
    assert difference(ours.plan, plain(base.path)) > 0.1


# -- folders of PEFT, with the configuration beside the weights ---------------------------------------------------------

ADAPTERS: dict[str, dict[str, Any]] = {
    "LoraConfig": {"r": 4, "lora_alpha": 6, "rank_pattern": {"attn1.to_q": 2}, "alpha_pattern": {"to_v": 3}},
    "LoHaConfig": {"r": 3, "alpha": 5, "rank_pattern": {"attn1.to_q": 2}, "alpha_pattern": {"attn2.to_v": 2}},
    "LoKrConfig": {"r": 2, "alpha": 5, "decompose_both": False},
    "OFTConfig": {"oft_block_size": 4, "use_cayley_neumann": False},
    "BOFTConfig": {"boft_block_size": 4, "boft_n_butterfly_factor": 1},
    "IA3Config": {"feedforward_modules": ["to_v"]},
}


@pytest.mark.parametrize("kind", ADAPTERS)
def test_a_folder_of_peft_gives_what_peft_merges(tmp_path: Path, kind: str) -> None:
    import peft

    base = Folder(tmp_path / "base", tiny.PIPELINES["sd1"])
    config = getattr(peft, kind)(target_modules=["to_q", "to_k", "to_v", "to_out.0"], **ADAPTERS[kind])
    model = peft.get_peft_model(base.modules["unet"], config)
    generator = torch.Generator().manual_seed(3)
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            spread = torch.randn(parameter.shape, generator=generator) * 0.3
            parameter.data = parameter.data + spread if kind == "IA3Config" else spread
            assert re.search("lora|hada|lokr|oft|ia3", key)
    model.save_pretrained(tmp_path / "adapter")
    base.modules["unet"] = model.merge_and_unload()
    tiny.save(tmp_path / "merged", base.modules)
    ours = base.bake((tmp_path / "adapter" / "adapter_model.safetensors", 1.0))
    assert ours.stack.warnings() == []
    assert difference(ours.plan, plain(tmp_path / "merged")) < 1e-5
    assert difference(ours.plan, plain(base.path)) > 0.05
