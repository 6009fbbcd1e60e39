"""The Flux transformer against diffusers, on small random models; and what it says of files that make no Flux."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from flux_names import SmallFlux
from ldm_names import one_of_each, random_tensors

from modelhub.errors import IncompatibleError
from modelhub.preview.networks.flux import Flux, pack, unpack
from modelhub.preview.networks.positions import axes

Tensors = dict[str, torch.Tensor]
DEV = SmallFlux()
MODELS = {
    "dev": DEV,
    "schnell": replace(DEV, guided=False, heads=3, doubles=1, singles=3),
    "fill": replace(DEV, inputs=96, head=32),
    "depth or canny": replace(DEV, inputs=32, heads=1, head=64),
    "heads as wide as Flux's": replace(DEV, heads=2, head=128, doubles=1, singles=1),
}
SIZES = {"square": (8, 8), "wide": (4, 10)}


def ours(config: SmallFlux, tensors: Tensors | None = None) -> Flux:
    network = Flux(config.shapes())
    network.load_state_dict(tensors or random_tensors(config.shapes()), strict=True, assign=True)
    return network.eval()


def diffusers_names(config: SmallFlux, tensors: Tensors) -> Tensors:
    """The same weights under the names of diffusers: fused ones taken apart, shift and scale of the end exchanged."""
    out = {}

    def put(old: str, *new: str, sizes: tuple[int, ...] | None = None) -> None:
        for leaf in ("weight", "bias"):
            parts = tensors[f"{old}.{leaf}"].split(sizes or (len(tensors[f"{old}.{leaf}"]) // len(new),) * len(new))
            out.update({f"{name}.{leaf}": part for name, part in zip(new, parts, strict=True)})

    def norms(old: str, new: str, middle: str = "") -> None:
        for a, b in (("query", "q"), ("key", "k")):
            out[f"{new}.attn.norm_{middle}{b}.weight"] = tensors[f"{old}.{a}_norm.scale"]

    put("img_in", "x_embedder")
    put("txt_in", "context_embedder")
    names = {"time_in": "timestep_embedder", "vector_in": "text_embedder", "guidance_in": "guidance_embedder"}
    for old, new in names.items():
        if f"{old}.in_layer.weight" in tensors:
            put(f"{old}.in_layer", f"time_text_embed.{new}.linear_1")
            put(f"{old}.out_layer", f"time_text_embed.{new}.linear_2")
    for n in range(config.doubles):
        old, new = f"double_blocks.{n}", f"transformer_blocks.{n}"
        for stream, tail, qkv, proj, middle in (
            ("img", "", [f"{new}.attn.to_{x}" for x in "qkv"], "to_out.0", ""),
            ("txt", "_context", [f"{new}.attn.add_{x}_proj" for x in "qkv"], "to_add_out", "added_"),
        ):
            put(f"{old}.{stream}_mod.lin", f"{new}.norm1{tail}.linear")
            put(f"{old}.{stream}_attn.qkv", *qkv)
            norms(f"{old}.{stream}_attn.norm", new, middle)
            put(f"{old}.{stream}_attn.proj", f"{new}.attn.{proj}")
            put(f"{old}.{stream}_mlp.0", f"{new}.ff{tail}.net.0.proj")
            put(f"{old}.{stream}_mlp.2", f"{new}.ff{tail}.net.2")
    for n in range(config.singles):
        old, new = f"single_blocks.{n}", f"single_transformer_blocks.{n}"
        put(f"{old}.modulation.lin", f"{new}.norm.linear")
        parts = [f"{new}.attn.to_q", f"{new}.attn.to_k", f"{new}.attn.to_v", f"{new}.proj_mlp"]
        put(f"{old}.linear1", *parts, sizes=(config.width,) * 3 + (4 * config.width,))
        put(f"{old}.linear2", f"{new}.proj_out")
        norms(f"{old}.norm", new)
    for leaf in ("weight", "bias"):
        shift, scale = tensors[f"final_layer.adaLN_modulation.1.{leaf}"].chunk(2)
        out[f"norm_out.linear.{leaf}"] = torch.cat((scale, shift))
    put("final_layer.linear", "proj_out")
    return out


def oracle(config: SmallFlux) -> Any:
    from diffusers import FluxTransformer2DModel

    network = FluxTransformer2DModel(
        in_channels=4 * config.inputs,
        out_channels=4 * config.outputs,
        num_layers=config.doubles,
        num_single_layers=config.singles,
        attention_head_dim=config.head,
        num_attention_heads=config.heads,
        joint_attention_dim=config.context,
        pooled_projection_dim=config.vector,
        guidance_embeds=config.guided,
        axes_dims_rope=axes(config.head),
    )
    network.load_state_dict(diffusers_names(config, random_tensors(config.shapes())), strict=True)
    return network.eval()


def inputs(config: SmallFlux, size: tuple[int, int], texts: int = 7) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, config.inputs, *size, generator=generator)
    context = torch.randn(2, texts, config.context, generator=generator)
    pooled = torch.randn(2, config.vector, generator=generator)
    return x, torch.tensor([0.93, 0.21]), context, pooled, torch.tensor([3.5, 1.0])


def expected(network: Any, config: SmallFlux, x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
    from diffusers import FluxPipeline

    sigmas, context, pooled, guidance = others
    n, c, h, w = x.shape
    ids = FluxPipeline._prepare_latent_image_ids(n, h // 2, w // 2, "cpu", torch.float32)
    out = network(
        hidden_states=FluxPipeline._pack_latents(x, n, c, h, w),
        encoder_hidden_states=context,
        pooled_projections=pooled,
        timestep=sigmas,
        img_ids=ids,
        txt_ids=torch.zeros(context.shape[1], 3),
        guidance=guidance if config.guided else None,
    ).sample
    return FluxPipeline._unpack_latents(out, 8 * h, 8 * w, 8)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("config", MODELS.values(), ids=MODELS)
@torch.inference_mode()
def test_equals_diffusers(config: SmallFlux, size: tuple[int, int]) -> None:
    given = inputs(config, size)
    wanted = expected(oracle(config), config, *given)
    got = ours(config)(*given)
    assert got.shape == (2, config.outputs, *size)
    assert wanted.std() > 0.1
    torch.testing.assert_close(got, wanted, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.inference_mode()
def test_half_precision_comes_as_near_as_in_diffusers(dtype: torch.dtype) -> None:
    given = inputs(DEV, (8, 8))
    exact = ours(DEV)(*given)
    got = ours(DEV).to(dtype)(*given)
    assert got.dtype == torch.float32
    theirs = expected(oracle(DEV).to(dtype), DEV, *(x.to(dtype) for x in given)).float()
    assert (got - exact).std() < 1.2 * (theirs - exact).std()
    assert 0 < (got - exact).std() < 0.05 * exact.std()


@pytest.mark.parametrize("size", [(7, 10), (8, 3), (5, 1)], ids=["height", "width", "both"])
@torch.inference_mode()
def test_an_odd_size_is_filled_up_from_the_other_edge_and_cut_again(size: tuple[int, int]) -> None:
    network, (x, *others) = ours(DEV), inputs(DEV, size)
    rows, columns = (torch.arange(n + n % 2) % n for n in size)
    whole = network(x[:, :, rows][..., columns], *others)
    got = network(x, *others)
    assert got.shape == x.shape
    assert torch.equal(got, whole[..., : size[0], : size[1]])


@torch.inference_mode()
def test_a_batch_is_as_good_as_one_by_one() -> None:
    network, given = ours(DEV), inputs(DEV, (6, 8))
    each = torch.cat([network(*(x[n : n + 1] for x in given)) for n in range(2)])
    torch.testing.assert_close(network(*given), each, atol=1e-5, rtol=1e-5)


def test_packing_is_that_of_diffusers_and_reverses() -> None:
    from diffusers import FluxPipeline

    x = torch.randn(2, 16, 6, 10)
    assert torch.equal(pack(x), FluxPipeline._pack_latents(x, 2, 16, 6, 10))
    assert torch.equal(unpack(pack(x), 3, 5), x)


def test_fill_is_shown_its_mask_as_diffusers_shows_it() -> None:
    """Channels of latents side by side become what FluxFillPipeline puts side by side of tokens."""
    from diffusers import FluxFillPipeline

    x, picture = torch.randn(2, 16, 4, 6), torch.randn(2, 16, 4, 6)
    mask = (torch.rand(2, 1, 32, 48) > 0.5).float()
    vae = SimpleNamespace(config=SimpleNamespace(shift_factor=0.0, scaling_factor=1.0))
    pipeline = SimpleNamespace(vae=vae, vae_scale_factor=8, _pack_latents=FluxFillPipeline._pack_latents)
    told, shown = FluxFillPipeline.prepare_mask_latents(
        pipeline, mask, picture, 2, 16, 1, 32, 48, torch.float32, torch.device("cpu"), None
    )
    theirs = torch.cat((FluxFillPipeline._pack_latents(x, 2, 16, 4, 6), shown, told), dim=2)
    ours = torch.cat((x, picture, torch.nn.functional.pixel_unshuffle(mask, 8)), dim=1)
    assert ours.shape[1] == MODELS["fill"].inputs
    assert torch.equal(pack(ours), theirs)


@pytest.mark.parametrize("config", MODELS.values(), ids=MODELS)
def test_parameters_have_the_names_and_shapes_of_the_file(config: SmallFlux) -> None:
    network = Flux(config.shapes())
    assert {name: tuple(p.shape) for name, p in network.named_parameters()} == config.shapes()
    assert all(p.is_meta and not p.requires_grad for p in network.parameters())
    assert (network.in_channels, network.out_channels) == (config.inputs, 16)
    assert (network.context_width, network.vector_width, network.guided) == (24, 20, config.guided)


@torch.inference_mode()
def test_norms_may_be_called_weight() -> None:
    tensors = random_tensors(DEV.shapes())
    renamed = {name.replace("_norm.scale", "_norm.weight"): value for name, value in tensors.items()}
    network = Flux({name: tuple(value.shape) for name, value in renamed.items()})
    network.load_state_dict(renamed, strict=True, assign=True)
    given = inputs(DEV, (4, 4))
    assert torch.equal(network(*given), ours(DEV)(*given))


@torch.inference_mode()
def test_guidance_matters_where_the_model_takes_it() -> None:
    x, sigmas, context, pooled, guidance = inputs(DEV, (4, 4))
    network = ours(DEV)
    other = network(x, sigmas, context, pooled, guidance + 1)
    assert not torch.allclose(other, network(x, sigmas, context, pooled, guidance))
    with pytest.raises(IncompatibleError, match="wants a guidance number"):
        network(x, sigmas, context, pooled)
    schnell = ours(MODELS["schnell"])
    assert torch.equal(schnell(x, sigmas, context, pooled), schnell(x, sigmas, context, pooled, guidance))


@torch.inference_mode()
def test_inputs_of_another_width_are_refused() -> None:
    network, (x, sigmas, context, pooled, guidance) = ours(DEV), inputs(DEV, (4, 4))
    with pytest.raises(IncompatibleError, match="latents of width 16, and was given width 4"):
        network(x[:, :4], sigmas, context, pooled, guidance)
    with pytest.raises(IncompatibleError, match="prompt vectors of width 24, and was given width 23"):
        network(x, sigmas, context[..., :-1], pooled, guidance)
    with pytest.raises(IncompatibleError, match="pooled vector of width 20, and was given width 3"):
        network(x, sigmas, context, pooled[:, :3], guidance)


def test_names_any_tensor_that_is_missing_or_misshapen() -> None:
    shapes = DEV.shapes()
    for name in one_of_each(shapes):
        with pytest.raises(IncompatibleError) as caught:
            Flux({other: shape for other, shape in shapes.items() if other != name})
        assert name in caught.value.message
        with pytest.raises(IncompatibleError) as caught:
            Flux({**shapes, name: (*shapes[name], 7)})
        assert name in caught.value.message


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"img_in.weight": (32, 66)}, "img_in has 66 channels, no multiple of 4"),
        ({"single_blocks.0.linear1.weight": (96, 32), "single_blocks.0.linear1.bias": (96,)}, "gives 96 channels"),
        ({"single_blocks.0.norm.key_norm.scale": (15,)}, "heads of 15 channels"),
        ({"double_blocks.1.img_attn.norm.key_norm.scale": (8,)}, "different widths"),
        ({f"single_blocks.1.norm.{x}_norm.scale": (8,) for x in ("key", "query")}, "and other blocks of 16"),
    ],
)
def test_says_which_sizes_do_not_go_together(changed: dict[str, tuple[int, ...]], said: str) -> None:
    with pytest.raises(IncompatibleError, match=said):
        Flux({**DEV.shapes(), **changed})


@pytest.mark.parametrize("shapes", [{}, {"": (1,)}, {"." * 5000: ()}, {"img_in.weight": (2**62, 4)}])
def test_shapes_of_something_else_are_refused(shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(IncompatibleError, match="The Flux transformer cannot be built"):
        Flux(shapes)
