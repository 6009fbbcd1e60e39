"""The text encoders against transformers, in Hugging Face's names and in OpenCLIP's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from filled import Tensors, assert_vectors_may_be_replaced, filled, token_ids

from modelhub.errors import IncompatibleError, UsageError
from modelhub.preview.networks.clip import text_encoder
from modelhub.preview.networks.text_encoder import TextEncoder

VOCABULARY, LAYERS, END = 60, 3, 3


def oracle(width: int, act: str, *, layers: int = LAYERS, tokens: int = 77) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    torch.manual_seed(width)
    config = CLIPTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64),
        hidden_act=act,
        initializer_factor=20.0,
        max_position_embeddings=tokens,
        projection_dim=40,
        eos_token_id=END,
    )
    network = CLIPTextModelWithProjection(config).eval()
    for parameter in network.parameters():  # norms and biases start as 1 and 0, which would hide a mistake
        torch.nn.init.normal_(parameter, 0.2, 0.2) if parameter.ndim == 1 else None
    return network


def hf_names(network: Any, prefix: str) -> Tensors:
    """Its tensors below `prefix`, without the projection."""
    return {
        prefix + name.removeprefix("text_model."): value
        for name, value in network.state_dict().items()
        if not name.startswith("text_projection")
    }


def projection(network: Any) -> torch.Tensor:
    """Its projection [P, D]."""
    return network.text_projection.weight.data


def open_names(network: Any, prefix: str = "") -> Tensors:
    """Its tensors as OpenCLIP names them: query, key and value in one."""
    hf, out = hf_names(network, ""), {}
    names = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
             "self_attn.out_proj": "attn.out_proj"}  # fmt: skip
    for leaf in ("weight", "bias"):
        for n in range(network.config.num_hidden_layers):
            old, new = f"encoder.layers.{n}.", f"transformer.resblocks.{n}."
            out |= {f"{new}{b}.{leaf}": hf[f"{old}{a}.{leaf}"] for a, b in names.items()}
            fused = [hf[f"{old}self_attn.{x}_proj.{leaf}"] for x in "qkv"]
            out[f"{new}attn.in_proj_{leaf}"] = torch.cat(fused)
        out[f"ln_final.{leaf}"] = hf[f"final_layer_norm.{leaf}"]
    out["token_embedding.weight"] = hf["embeddings.token_embedding.weight"]
    out["positional_embedding"] = hf["embeddings.position_embedding.weight"]
    out |= {"logit_scale": torch.tensor(1.0), "text_projection": projection(network).T.contiguous()}
    return {prefix + name: value for name, value in out.items()}


def ours(tensors: Tensors) -> TextEncoder:
    return filled(text_encoder, tensors)


def prompts() -> torch.Tensor:
    return token_ids(VOCABULARY, 77)


def texts() -> torch.Tensor:
    """Prompts with an end token, padded with more of them."""
    ids = prompts().where(prompts() != END, 4)
    ids[0, 9:], ids[1, 76:] = END, END
    return ids


def ends(ids: torch.Tensor) -> torch.Tensor:
    return (ids == END).int().argmax(dim=1)


@torch.inference_mode()
def expected(network: Any, ids: torch.Tensor, skip: int) -> torch.Tensor:
    body = getattr(network, "text_model", network)
    states = body(ids, output_hidden_states=True).hidden_states
    return body.final_layer_norm(states[-skip])


@pytest.mark.parametrize(
    ("layout", "width", "act"),
    [("hf", 768, "quick_gelu"), ("hf", 1024, "gelu"), ("hf", 1280, "gelu"),
     ("open", 768, "quick_gelu"), ("open", 1024, "gelu"), ("open", 1280, "gelu")],
)  # fmt: skip
@torch.inference_mode()
def test_the_activation_is_that_of_whoever_trained_this_width(layout: str, width: int, act: str) -> None:
    reference = oracle(width, act, layers=1)
    network = ours(hf_names(reference, "") if layout == "hf" else open_names(reference))
    torch.testing.assert_close(network(prompts()), expected(reference, prompts(), 1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("width", [40, 128])
@torch.inference_mode()
def test_equals_transformers_in_hugging_face_names(width: int) -> None:
    reference = oracle(width, "quick_gelu")
    network = ours(hf_names(reference, "transformer.text_model."))
    for skip in range(1, LAYERS + 1):
        wanted = expected(reference, prompts(), skip)
        assert wanted.std() > 0.1
        torch.testing.assert_close(network(prompts(), skip), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prefix", ["", "model."])
@torch.inference_mode()
def test_equals_transformers_in_the_names_of_openclip(prefix: str) -> None:
    reference = oracle(128, "gelu")
    network = ours(open_names(reference, prefix))
    for skip in (1, 2):
        wanted = expected(reference, prompts(), skip)
        torch.testing.assert_close(network(prompts(), skip), wanted, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_outer_names_and_position_ids_make_no_difference() -> None:
    reference = oracle(64, "quick_gelu")
    wanted = expected(reference, prompts(), 1)
    for prefix in ("", "text_model.", "transformer.", "transformer.text_model."):
        tensors = hf_names(reference, prefix)
        assert dict.fromkeys(name for name, _ in ours(tensors).named_parameters()) == dict.fromkeys(tensors)
        for wrong in (torch.zeros(1, 77), torch.arange(3), torch.arange(77)[None]):
            network = ours({f"{prefix}embeddings.position_ids": wrong, **tensors})
            torch.testing.assert_close(network(prompts()), wanted, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_later_tokens_do_not_change_earlier_ones() -> None:
    network, ids = ours(open_names(oracle(64, "gelu"))), prompts()
    changed = ids.clone()
    changed[:, 40:] = 7
    assert torch.equal(network(ids)[:, :40], network(changed)[:, :40])
    assert not torch.equal(network(ids)[:, 40:], network(changed)[:, 40:])


@torch.inference_mode()
def test_vectors_may_be_replaced_between_embed_and_encode() -> None:
    network, ids = ours(hf_names(oracle(64, "quick_gelu"), "")), prompts()
    assert_vectors_may_be_replaced(network, ids)
    assert torch.equal(network.encode(network.embed(ids), 2), network(ids, 2))


@torch.inference_mode()
def test_says_what_it_has_and_refuses_what_it_has_not() -> None:
    network = ours(hf_names(oracle(64, "quick_gelu"), "transformer.text_model."))
    assert (network.depth, network.width) == (LAYERS, 64)
    for skip in (0, -1, LAYERS + 1):
        with pytest.raises(UsageError, match=f"Clip skip {skip} is not possible"):
            network(prompts(), skip)
    for beyond in (-1, VOCABULARY):
        with pytest.raises(IncompatibleError, match="knows 60 tokens"):
            network(torch.tensor([[1, beyond]]))
    with pytest.raises(IncompatibleError, match="78 tokens"):
        network(torch.zeros(1, 78, dtype=torch.int64))


HOLDERS = {
    "text_projection.weight": ["text_model."],
    "transformer.text_projection.weight": ["transformer.text_model.", "transformer."],
    "text_projection": ["transformer.text_model.", "text_model."],
}


@pytest.mark.parametrize("name", HOLDERS)
@torch.inference_mode()
def test_pools_like_transformers_in_hugging_face_names(name: str) -> None:
    reference, ids = oracle(64, "quick_gelu"), texts()
    output = reference.text_model(ids)
    wanted, plain = reference(ids).text_embeds, output.pooler_output
    matrix = projection(reference) if name.endswith("weight") else projection(reference).T.contiguous()
    for prefix in HOLDERS[name]:
        network = ours({**hf_names(reference, prefix), name: matrix})
        vectors = network.embed(ids)
        assert network.pooled_width == 40
        assert name in dict(network.named_parameters())
        torch.testing.assert_close(network.pool(vectors, ends(ids)), wanted, atol=1e-5, rtol=1e-5)
        got = network.pool(vectors, ends(ids), projected=False)
        torch.testing.assert_close(got, plain, atol=1e-5, rtol=1e-5)
    assert wanted.std() > 0.1


@pytest.mark.parametrize("prefix", ["", "model."])
@torch.inference_mode()
def test_pools_like_transformers_in_the_names_of_openclip(prefix: str) -> None:
    reference, ids = oracle(64, "gelu"), texts()
    wanted, tensors = reference(ids).text_embeds, open_names(reference, prefix)
    network = ours(tensors)
    torch.testing.assert_close(network.pool(network.embed(ids), ends(ids)), wanted, atol=1e-5, rtol=1e-5)
    del tensors[f"{prefix}text_projection"]
    as_linear = ours({**tensors, f"{prefix}text_projection.weight": projection(reference)})
    torch.testing.assert_close(as_linear.pool(as_linear.embed(ids), ends(ids)), wanted, atol=1e-5, rtol=1e-5)
    without = ours(tensors)
    plain = reference.text_model(ids).pooler_output
    assert (network.pooled_width, as_linear.pooled_width, without.pooled_width) == (40, 40, 64)
    torch.testing.assert_close(without.pool(without.embed(ids), ends(ids)), plain, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_the_final_norm_may_be_left_out() -> None:
    reference, ids = oracle(64, "gelu"), texts()
    network = ours(open_names(reference))
    states = reference.text_model(ids, output_hidden_states=True).hidden_states
    for skip in (1, 2):
        got = network.encode(network.embed(ids), skip, normed=False)
        torch.testing.assert_close(got, states[-skip], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("skip", [1, 2, LAYERS])
@torch.inference_mode()
def test_both_at_once_are_each_alone(skip: int) -> None:
    network, ids = ours(open_names(oracle(64, "gelu"))), texts()
    vectors = network.embed(ids)
    for normed in (True, False):
        for projected in (True, False):
            tokens, pooled = network.encode_and_pool(vectors, ends(ids), skip, normed=normed, projected=projected)
            assert torch.equal(tokens, network.encode(vectors, skip, normed=normed))
            assert torch.equal(pooled, network.pool(vectors, ends(ids), projected=projected))


@torch.inference_mode()
def test_takes_as_many_tokens_as_it_has_positions() -> None:
    reference = oracle(64, "quick_gelu", tokens=248)
    network = ours(hf_names(reference, "text_model."))
    ids = torch.randint(0, VOCABULARY, (1, 248), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network(ids), expected(reference, ids, 1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(network(ids[:, :30]), expected(reference, ids[:, :30], 1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("layout", ["hf", "open"])
@torch.inference_mode()
def test_half_precision_comes_as_near_as_in_transformers(layout: str, dtype: torch.dtype) -> None:
    reference, ids = oracle(64, "quick_gelu" if layout == "hf" else "gelu"), texts()
    exact = expected(reference, ids, 1)
    tensors = hf_names(reference, "") if layout == "hf" else open_names(reference)
    network = ours(tensors).to(dtype)
    got, pooled = network.encode_and_pool(network.embed(ids), ends(ids))
    theirs = expected(reference.to(dtype), ids, 1).float()
    assert got.dtype == pooled.dtype == torch.float32
    assert 0 < (got - exact).std() < 1.2 * (theirs - exact).std() < 0.1 * exact.std()


@pytest.mark.parametrize("layout", ["hf", "open"])
def test_names_any_tensor_that_is_missing(layout: str) -> None:
    network = oracle(64, "gelu")
    tensors = hf_names(network, "text_model.") if layout == "hf" else open_names(network, "model.")
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    for name in shapes:
        if "logit_scale" in name:
            continue
        if name.endswith("token_embedding.weight"):
            continue  # without it nothing shows where the encoder begins; the next test
        with pytest.raises(IncompatibleError) as caught:
            text_encoder({**shapes, name: (*shapes[name], 2)})
        assert name in caught.value.message
        if "text_projection" in name:
            continue  # the one that may be missing
        with pytest.raises(IncompatibleError) as caught:
            text_encoder({other: shape for other, shape in shapes.items() if other != name})
        assert name in caught.value.message


@pytest.mark.parametrize("shapes", [{}, {"transformer": (1,)}, {"\x1b[31m\n": (2, 2)}, {"text_model.embeddings": ()}])
def test_shapes_of_something_else_are_refused(shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(IncompatibleError, match=r"embeddings\.token_embedding\.weight is missing"):
        text_encoder(shapes)
