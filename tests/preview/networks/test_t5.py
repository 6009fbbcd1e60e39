"""T5's encoder against transformers, on small random models; and what it says of files that make none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from filled import Tensors, assert_vectors_may_be_replaced, filled, token_ids
from flux_names import Shapes, t5_shapes
from ldm_names import one_of_each, random_tensors

from modelhub.errors import IncompatibleError
from modelhub.preview.networks.t5 import T5, distances

BIAS = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"


def weights(**options: Any) -> Tensors:
    tensors = random_tensors(t5_shapes(**options))
    tensors[BIAS] *= 8  # else distances would hardly matter
    return tensors


def ours(tensors: Tensors) -> T5:
    return filled(T5, tensors)


def oracle(tensors: Tensors, *, gated: bool = True, head: int = 8, dtype: torch.dtype = torch.float32) -> Any:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=len(tensors["shared.weight"]),
        d_model=tensors["shared.weight"].shape[1],
        d_kv=head,
        d_ff=tensors["encoder.block.0.layer.1.DenseReluDense.wo.weight"].shape[1],
        num_layers=len({name.split(".")[2] for name in tensors if ".block." in name}),
        num_heads=tensors[BIAS].shape[1],
        feed_forward_proj="gated-gelu" if gated else "relu",
    )
    network = T5EncoderModel(config)
    network.load_state_dict({**tensors, "encoder.embed_tokens.weight": tensors["shared.weight"]}, strict=True)
    network = network.to(dtype)
    for name, module in network.named_modules():  # as `from_pretrained` does for this model
        if name.endswith(".wo") and dtype == torch.float16:
            module.float()
    return network.eval()


def prompts(length: int = 40) -> torch.Tensor:
    return token_ids(50, length)


@pytest.mark.parametrize(
    "options",
    [{}, {"heads": 2, "head": 24, "layers": 3}, {"gated": False}],
    ids=["gated", "heads wider than the model", "the first T5"],
)
@pytest.mark.parametrize("length", [1, 9, 300])
@torch.inference_mode()
def test_equals_transformers(options: dict[str, Any], length: int) -> None:
    tensors = weights(**options)
    reference = oracle(tensors, gated=options.get("gated", True), head=options.get("head", 8))
    wanted = reference(prompts(length)).last_hidden_state
    got = ours(tensors)(prompts(length))
    assert wanted.std() > 0.1
    torch.testing.assert_close(got, wanted, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@torch.inference_mode()
def test_half_precision_comes_as_near_as_in_transformers(dtype: torch.dtype) -> None:
    tensors = weights()
    exact = ours(tensors)(prompts())
    got = ours(tensors).to(dtype)(prompts())
    theirs = oracle(tensors, dtype=dtype)(prompts()).last_hidden_state.float()
    assert got.dtype == torch.float32
    assert (got - exact).std() < 1.1 * (theirs - exact).std()
    assert 0 < (got - exact).std() < 0.05 * exact.std()


@torch.inference_mode()
def test_float16_survives_what_the_largest_models_add_up() -> None:
    tensors = weights()
    name = "encoder.block.{}.layer.1.DenseReluDense.wo.weight"
    tensors[name.format(0)] *= 1e4
    tensors[name.format(1)] *= 1e5
    exact, half = ours(tensors), ours(tensors).half()
    sums = []
    half.encoder.block.get_submodule("1").register_forward_hook(lambda module, given, out: sums.append(out))
    got, wanted = half(prompts()), exact(prompts())
    assert sums[0].abs().max() > 2 * torch.finfo(torch.float16).max
    assert torch.isfinite(got).all()
    torch.testing.assert_close(got, wanted, atol=0.02, rtol=0.02)


def test_distances_are_those_of_transformers() -> None:
    from transformers.models.t5.modeling_t5 import T5Attention

    for length, kinds in ((1, 32), (7, 32), (512, 32), (300, 16)):
        places = torch.arange(length)
        wanted = T5Attention._relative_position_bucket(places[None] - places[:, None], num_buckets=kinds)
        assert torch.equal(distances(length, kinds, torch.device("cpu")), wanted)


@pytest.mark.parametrize("prefix", ["", "transformer.", "model.", "module.", "transformer.model."])
@torch.inference_mode()
def test_outer_names_and_what_the_table_is_called_make_no_difference(prefix: str) -> None:
    tensors = weights()
    wanted = ours(tensors)(prompts())
    table = tensors.pop("shared.weight")
    for names in (["shared"], ["encoder.embed_tokens"], ["shared", "encoder.embed_tokens"]):
        renamed = {prefix + name: value for name, value in tensors.items()}
        renamed |= {f"{prefix}{name}.weight": table for name in names}
        renamed[f"{prefix}decoder.block.0.layer.0.SelfAttention.q.weight"] = torch.zeros(2, 2)
        network = ours(renamed)
        assert torch.equal(network(prompts()), wanted)
        assert {name for name, _ in network.named_parameters()} == (
            {prefix + name for name in tensors} | {f"{prefix}{names[0]}.weight"}
        )


@torch.inference_mode()
def test_vectors_may_be_replaced_between_embed_and_encode() -> None:
    assert_vectors_may_be_replaced(ours(weights()), prompts())


@torch.inference_mode()
def test_says_what_it_has_and_refuses_what_it_has_not() -> None:
    network = ours(weights())
    assert network.width == 32
    for beyond in (-1, 50):
        with pytest.raises(IncompatibleError, match="knows 50 tokens"):
            network(torch.tensor([[1, beyond]]))
    with pytest.raises(IncompatibleError, match="token vectors of width 32, and was given width 31"):
        network.encode(torch.zeros(1, 5, 31))


@pytest.mark.parametrize("gated", [True, False])
def test_names_any_tensor_that_is_missing_or_misshapen(gated: bool) -> None:
    shapes = t5_shapes(gated=gated)
    for name in one_of_each(shapes):
        with pytest.raises(IncompatibleError) as caught:
            T5({other: shape for other, shape in shapes.items() if other != name})
        assert name.replace(".wi.", ".wi_0.") in caught.value.message
        with pytest.raises(IncompatibleError) as caught:
            T5({**shapes, name: (*shapes[name], 2)})
        assert name in caught.value.message


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({BIAS: (3, 4)}, "relative_attention_bias has 3 rows"),
        ({BIAS: (512, 4)}, "an even number from 4 to 510"),
        ({BIAS: (32, 5)}, "32 channels, which 5 attention heads cannot share"),
    ],
)
def test_says_which_sizes_do_not_go_together(changed: Shapes, said: str) -> None:
    with pytest.raises(IncompatibleError, match=said):
        T5({**t5_shapes(), **changed})


@pytest.mark.parametrize("shapes", [{}, {"encoder": (1,)}, {"\x1b[31m\n": (2, 2)}, {"shared.weight": (2**60, 2)}])
def test_shapes_of_something_else_are_refused(shapes: Shapes) -> None:
    with pytest.raises(IncompatibleError, match="The T5 text encoder cannot be built"):
        T5(shapes)
