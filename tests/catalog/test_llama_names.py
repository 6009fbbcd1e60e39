"""Names of llama.cpp: the map agrees with llama.cpp's own table, on a real layout."""

from __future__ import annotations

import gguf
import pytest
from layouts_helper import layout

from modelhub.catalog.llama_names import has_llama_names, usual_names

T5 = gguf.get_tensor_name_map(gguf.MODEL_ARCH.T5ENCODER, 24)
USUAL = [name for name in layout("t5xxl") if name != "encoder.embed_tokens.weight"]


def of_llama(name: str) -> str:
    """What llama.cpp calls a tensor."""
    found = T5.get_name(name, try_suffixes=(".weight",))
    assert found, name
    return found


def test_a_t5_encoder_has_its_names_back():
    assert len(USUAL) == 219
    names = usual_names({of_llama(name): None for name in USUAL})
    assert sorted(names.values()) == sorted(USUAL)
    assert all(of_llama(new) == old for old, new in names.items())


def test_a_t5_without_gates_has_one_input_layer():
    gated = {of_llama(name): None for name in USUAL}
    names = usual_names([name for name in gated if "ffn_gate" not in name])
    assert names["enc.blk.7.ffn_up.weight"] == "encoder.block.7.layer.1.DenseReluDense.wi.weight"
    assert T5.get_name("encoder.block.7.layer.1.DenseReluDense.wi") == "enc.blk.7.ffn_up"


@pytest.mark.parametrize(
    "extra",
    [
        "dec.blk.0.attn_q.weight",
        "enc.blk.x.attn_q.weight",
        "enc.blk.0.1.attn_q.weight",
        "enc.blk.00000001.attn_q.weight",
    ],
)
def test_a_file_with_a_name_that_is_not_known_keeps_all(extra: str):
    names = [of_llama(name) for name in USUAL]
    assert usual_names([*names, extra]) == {}
    assert has_llama_names([*names, extra])


def test_other_models_are_left_alone():
    assert not has_llama_names(layout("flux-dev")) and usual_names(layout("flux-dev")) == {}
    language = ["token_embd.weight", "blk.0.attn_q.weight", "blk.0.ffn_down.weight"]
    assert has_llama_names(language) and usual_names(language) == {}
