"""The truth about small networks: what is called compatible is what diffusers and PEFT load without a complaint."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest
import torch
from check_helper import check
from diffusers import FluxTransformer2DModel, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from layouts_helper import of_shapes

from modelhub.formats.header import Header
from modelhub.lora.checking.answer import Answer

Sizes = dict[str, tuple[int, int]]
UNET = {
    "block_out_channels": (32, 32, 64, 64), "cross_attention_dim": 48, "attention_head_dim": 8, "norm_num_groups": 8,
    "sample_size": 8,
}  # fmt: skip
FLUX = {
    "num_layers": 1, "num_single_layers": 2, "attention_head_dim": 16, "num_attention_heads": 2, "joint_attention_dim": 32,
    "pooled_projection_dim": 32, "in_channels": 4, "guidance_embeds": True, "axes_dims_rope": (4, 4, 8),
}  # fmt: skip


@pytest.fixture
def complaints(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What diffusers warns of."""
    diffusers_logging.enable_propagation()
    caplog.set_level(logging.WARNING)
    yield caplog
    diffusers_logging.disable_propagation()


def _network(kind: str) -> torch.nn.Module:
    return UNet2DConditionModel(**UNET) if kind == "unet" else FluxTransformer2DModel(**FLUX)


def _linear(network: torch.nn.Module, pattern: str) -> Sizes:
    found = {name: one for name, one in network.named_modules() if isinstance(one, torch.nn.Linear)}
    return {name: (one.out_features, one.in_features) for name, one in found.items() if re.search(pattern, name)}


def _state(sizes: Sizes, rank: int = 4) -> dict[str, torch.Tensor]:
    downs = {f"{name}.lora_A.weight": torch.ones(rank, in_size) for name, (_, in_size) in sizes.items()}
    return downs | {f"{name}.lora_B.weight": torch.ones(out_size, rank) for name, (out_size, _) in sizes.items()}


def _loads(network: torch.nn.Module, state: dict[str, torch.Tensor], complaints: pytest.LogCaptureFixture) -> bool:
    """Whether the network takes the adapter whole."""
    complaints.clear()
    try:
        network.load_lora_adapter(state, prefix=None)
    except (RuntimeError, ValueError):
        return False
    return not any(one.levelno >= logging.WARNING for one in complaints.records)


def _ours(network: torch.nn.Module, state: dict[str, torch.Tensor], prefix: str) -> Answer:
    model = of_shapes({name: tuple(one.shape) for name, one in network.state_dict().items()})
    lora: Header = of_shapes({prefix + name: tuple(one.shape) for name, one in state.items()})
    return check(lora, model)


#: What is made of the sizes of all chosen layers, and whether the result fits.
CHANGES = {
    "as it is": (lambda sizes: sizes, True),
    "one layer": (lambda sizes: dict([*sizes.items()][:1]), True),
    "one is wider at its input": (lambda sizes: {**sizes, next(iter(sizes)): (32, 56)}, False),
    "one is wider at its output": (
        lambda sizes: {**sizes, next(iter(sizes)): (40, sizes[next(iter(sizes))][1])},
        False,
    ),
    "one more that is not there": (lambda sizes: {**sizes, "down_blocks.7.attentions.0.proj_in": (32, 32)}, False),
    "all are wider": (lambda sizes: {name: (out + 8, into + 8) for name, (out, into) in sizes.items()}, False),
    "other names": (lambda sizes: {"odd." + name: size for name, size in sizes.items()}, False),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("kind", "prefix", "pattern"),
    [
        ("unet", "unet.", r"attn[12]\.to_[qkv]$"),
        ("unet", "unet.", r"(attn2\.to_out\.0|ff\.net\.2|time_emb_proj)$"),
        ("flux", "transformer.", r"attn\.(to_[qkv]|add_[qkv]_proj|to_add_out)$"),
        ("flux", "transformer.", r"(proj_mlp|proj_out|x_embedder|norm1\.linear)$"),
    ],
)
def test_compatible_is_what_loads(complaints, kind, prefix, pattern, change):
    network = _network(kind)
    changed, fits = CHANGES[change]
    state = _state(changed(_linear(network, pattern)))
    answer = _ours(network, state, prefix)
    assert _loads(network, state, complaints) is fits
    assert (answer.verdict == "compatible") is fits, answer.headline


def test_convolutions(complaints):
    network = _network("unet")
    where = "down_blocks.0.resnets.0.conv1"
    for kernel, fits in ((3, True), (5, False)):
        state = {
            f"{where}.lora_A.weight": torch.ones(4, 32, kernel, kernel),
            f"{where}.lora_B.weight": torch.ones(32, 4, 1, 1),
        }
        answer = _ours(network, state, "unet.")
        assert _loads(_network("unet"), state, complaints) is fits
        assert (answer.verdict == "compatible") is fits


def test_norms_of_dora(complaints):
    where = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
    for size, fits in ((32, True), (33, False)):
        state = {**_state({where: (32, 48)}), f"{where}.lora_magnitude_vector": torch.ones(size)}
        answer = _ours(_network("unet"), state, "unet.")
        assert _loads(_network("unet"), state, complaints) is fits
        assert (answer.verdict == "compatible") is fits
