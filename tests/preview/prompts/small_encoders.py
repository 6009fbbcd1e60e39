"""Small text encoders with CLIP's whole vocabulary, and transformers' own with the same weights."""

from __future__ import annotations

from typing import Any

import torch

from modelhub.preview.networks.clip import text_encoder
from modelhub.preview.networks.text_encoder import TextEncoder

END, LAYERS = 49407, 3


def clip(width: int, *, layers: int = LAYERS, seed: int = 0) -> tuple[TextEncoder, Any]:
    """An encoder of a width, and its oracle; widths of released models have their activation."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    torch.manual_seed(seed + width)
    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64),
        hidden_act="quick_gelu",
        projection_dim=width // 2,
        initializer_factor=20.0,
        eos_token_id=END,
        bos_token_id=49406,
    )
    oracle = CLIPTextModelWithProjection(config).eval()
    for parameter in oracle.parameters():
        torch.nn.init.normal_(parameter, 0.2, 0.2) if parameter.ndim == 1 else None
    tensors = {name: value for name, value in oracle.state_dict().items() if "position_ids" not in name}
    encoder = text_encoder({name: tuple(value.shape) for name, value in tensors.items()})
    encoder.load_state_dict({name: tensors[name] for name, _ in encoder.named_parameters()}, assign=True)
    return encoder.eval(), oracle


@torch.inference_mode()
def hidden(oracle: Any, ids: list[int], skip: int, *, normed: bool) -> torch.Tensor:
    """What transformers says of ids: [T, D] of the layer `skip` from the end."""
    body = oracle.text_model
    states = body(torch.tensor([ids]), output_hidden_states=True).hidden_states[-skip]
    found: torch.Tensor = (body.final_layer_norm(states) if normed else states)[0]
    return found


@torch.inference_mode()
def pooled(oracle: Any, ids: list[int], *, projected: bool) -> torch.Tensor:
    """The vector of a whole text, from transformers."""
    row = torch.tensor([ids])
    found: torch.Tensor = oracle(row).text_embeds if projected else oracle.text_model(row).pooler_output
    return found[0]


def wrap(ids: list[int], pad: int = END) -> list[int]:
    """Ids between begin and end, filled up to 77."""
    return [49406, *ids, END] + [pad] * (75 - len(ids))
