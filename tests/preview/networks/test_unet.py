"""The U-Net against diffusers, on small random models of every layout; and what it says of files that make no U-Net."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from ldm_names import SmallUNet, one_of_each, random_tensors, without_numbers

from modelhub.errors import IncompatibleError
from modelhub.preview.networks.unet import UNet

PREFIX = "model.diffusion_model."
SD1 = SmallUNet()
SDXL = SmallUNet(channels=64, mult=(1, 2), depths=(0, 3), mid=3, linear=True, vector=20)
LAYOUTS = {
    "sd1": SD1,
    "sd1-inpaint-wide-context": replace(SD1, inputs=9, context=40, depths=(1, 1)),
    "sd1-pix2pix": replace(SD1, inputs=8),
    "sd2": replace(SD1, channels=64, linear=True, depths=(1, 1)),
    "sd2-depth": replace(SD1, channels=64, linear=True, inputs=5),
    "sdxl": SDXL,
    "sdxl-refiner": replace(SDXL, mult=(1, 2, 2), depths=(0, 2, 0), mid=2),
    "ssd-1b": replace(SDXL, mult=(1, 2, 4), depths=(0, (2, 2), (4, 4)), ups=((4, 4, 10), (2, 1, 1), 0), mid=0),
    "segmind-vega": replace(SDXL, mult=(1, 2, 4), depths=(0, 1, 2), ups=((2, 2, 2), (1, 1, 1), 0), mid=0),
    "koala-1b": replace(SDXL, mult=(1, 2, 4), blocks=1, depths=(0, 2, 6), mid=6),
    "koala-700m": replace(SDXL, mult=(1, 2, 4), blocks=1, depths=(0, 2, 5), mid=None),
    "bk-sdm-base": replace(SD1, mult=(1, 2, 4, 4), blocks=1, depths=(1, 1, 1, 0)),
    "bk-sdm-small": replace(SD1, mult=(1, 2, 4, 4), blocks=1, depths=(1, 1, 1, 0), mid=None),
    "bk-sdm-tiny": replace(SD1, mult=(1, 2, 4), blocks=1, mid=None, depths=(1, 1, 1)),
    "middle without attention": replace(SDXL, blocks=1, mid=0, depths=(0, 1)),
    "no attention at all": replace(SD1, depths=(0, 0), mid=0, blocks=1),
}


def ours(config: SmallUNet) -> UNet:
    network = UNet(config.shapes())
    network.load_state_dict(random_tensors(config.shapes()), strict=True, assign=True)
    return network.eval()


def oracle(config: SmallUNet) -> Any:
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    levels = range(len(config.mult))
    widths = tuple(config.channels * m for m in config.mult)
    downs, ups = [config.down(n) for n in levels], [config.up(n) for n in reversed(levels)]
    mid = {None: None, 0: "UNetMidBlock2D"}.get(config.mid, "UNetMidBlock2DCrossAttn")
    network = UNet2DConditionModel(
        in_channels=config.inputs,
        out_channels=4,
        block_out_channels=widths,
        layers_per_block=config.blocks,
        down_block_types=["CrossAttnDownBlock2D" if any(d) else "DownBlock2D" for d in downs],
        up_block_types=["CrossAttnUpBlock2D" if any(d) else "UpBlock2D" for d in ups],
        mid_block_type=mid,
        transformer_layers_per_block=[
            *([max(1, d) for d in each] for each in downs[:-1]),
            max(1, config.mid or downs[-1][0]),
        ],
        reverse_transformer_layers_per_block=[[max(1, d) for d in each] for each in ups],
        cross_attention_dim=config.context,
        attention_head_dim=tuple(w // 64 for w in widths) if config.linear else 8,
        use_linear_projection=config.linear,
        class_embed_type="projection" if config.vector else None,
        projection_class_embeddings_input_dim=config.vector or None,
    )
    tensors = {PREFIX + name: value for name, value in random_tensors(config.shapes()).items()}
    network.load_state_dict(convert_ldm_unet_checkpoint(tensors, dict(network.config)))
    return network.eval()


CASES = [(config, (7, 10)) for config in LAYOUTS.values()] + [(SD1, (8, 8)), (SDXL, (8, 16))]


@pytest.mark.parametrize(("config", "size"), CASES, ids=[*LAYOUTS, "sd1-square", "sdxl-wide"])
@torch.inference_mode()
def test_equals_diffusers(config: SmallUNet, size: tuple[int, int]) -> None:
    x = torch.randn(2, config.inputs, *size, generator=torch.Generator().manual_seed(1))
    context = torch.randn(2, 5, config.context, generator=torch.Generator().manual_seed(2))
    y = torch.randn(2, config.vector, generator=torch.Generator().manual_seed(3)) if config.vector else None
    timesteps = torch.tensor([981.25, 0.4])
    got = ours(config)(x, timesteps, context, y)
    expected = oracle(config)(x, timesteps, context, class_labels=y).sample
    assert got.shape == (2, 4, *size)
    assert expected.std() > 0.1
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("config", [SD1, SDXL], ids=["sd1", "sdxl"])
def test_parameters_have_the_names_and_shapes_of_the_file(config: SmallUNet) -> None:
    shapes = config.shapes()
    assert {name: tuple(p.shape) for name, p in UNet(shapes).named_parameters()} == shapes


def test_says_what_it_takes() -> None:
    network = UNet(replace(SDXL, inputs=9).shapes())
    assert (network.in_channels, network.out_channels) == (9, 4)
    assert (network.context_width, network.vector_width) == (24, 20)


def test_building_costs_no_memory_and_no_random_numbers() -> None:
    before = torch.get_rng_state()
    assert all(p.is_meta and not p.requires_grad for p in UNet(SD1.shapes()).parameters())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("config", [SD1, SDXL], ids=["sd1", "sdxl"])
@torch.inference_mode()
def test_half_precision_comes_as_near_as_in_diffusers(config: SmallUNet, dtype: torch.dtype) -> None:
    x, context, y, t = torch.randn(4, 4, 8, 8), torch.randn(4, 5, 24), torch.randn(4, 20), torch.full((4,), 500.0)
    exact = ours(config)(x, t, context, y)
    got = ours(config).to(dtype)(x, t, context, y)
    given = (value.to(dtype) for value in (x, t, context))
    theirs = oracle(config).to(dtype)(*given, class_labels=y.to(dtype) if config.vector else None).sample.float()
    assert got.dtype == torch.float32
    assert 0 < (got - exact).std() < 1.2 * (theirs - exact).std() < 0.06 * exact.std()


@pytest.mark.parametrize(("config", "known"), [(SD1, None), (SDXL, SD1)], ids=["sd1", "sdxl"])
def test_names_any_tensor_that_is_missing(config: SmallUNet, known: SmallUNet | None) -> None:
    shapes = config.shapes()
    seen = {without_numbers(name) for name in known.shapes()} if known else set()
    names = [name for name in one_of_each(shapes) if without_numbers(name) not in seen]
    assert names
    for name in names:
        with pytest.raises(IncompatibleError) as caught:
            UNet({other: shape for other, shape in shapes.items() if other != name})
        assert name in caught.value.message


def test_names_any_tensor_of_the_wrong_rank_or_size() -> None:
    shapes = SD1.shapes()
    for at, name in enumerate(one_of_each(shapes)):
        shape = shapes[name]
        wrong = ((), (*shape, 1), (0, *shape[1:]))[at % 3]
        with pytest.raises(IncompatibleError, match=r"shape \[") as caught:
            UNet({**shapes, name: wrong})
        assert name in caught.value.message


def test_names_a_missing_block() -> None:
    for block in ("input_blocks.2.", "output_blocks.4.", "input_blocks.1.1.transformer_blocks.0."):
        kept = {name: shape for name, shape in SD1.shapes().items() if not name.startswith(block)}
        with pytest.raises(IncompatibleError):
            UNet(kept)


@pytest.mark.parametrize("shapes", [{}, {"": (1,)}, {"." * 5000: ()}, {"input_blocks.0.0.weight": (2**62, 4, 3, 3)}])
def test_shapes_of_something_else_are_refused(shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(IncompatibleError, match=r"time_embed\.0\.weight is missing.*and \d+ more"):
        UNet(shapes)


@torch.inference_mode()
def test_inputs_of_another_width_are_refused() -> None:
    network, x, context = ours(SDXL), torch.randn(1, 4, 8, 8), torch.randn(1, 5, 24)
    t, y = torch.tensor([1.0]), torch.randn(1, 20)
    with pytest.raises(IncompatibleError, match="latents of width 4, and was given width 16"):
        network(torch.randn(1, 16, 8, 8), t, context, y)
    with pytest.raises(IncompatibleError, match="prompt vectors of width 24, and was given width 40"):
        network(x, t, torch.randn(1, 5, 40), y)
    with pytest.raises(IncompatibleError, match="size vector of width 20, and was given width 0"):
        network(x, t, context)


@pytest.mark.parametrize(
    "config",
    [replace(SD1, context=768), *(replace(SDXL, context=width) for width in (1024, 1280, 2048))],
    ids=["sd1", "sd2", "refiner", "sdxl"],
)
@torch.inference_mode()
def test_matrices_may_be_convolutions_and_the_reverse(config: SmallUNet) -> None:
    """Whatever a converter made of them: numbers of heads do not hang on it."""
    tensors = random_tensors(config.shapes())
    inputs = (torch.randn(1, 4, 8, 8), torch.tensor([3.5]), torch.randn(1, 5, config.context))
    inputs = (*inputs, torch.randn(1, config.vector)) if config.vector else inputs
    expected = ours(config)(*inputs)
    for kernel in ((), (1, 1)):
        other = {
            name: value.reshape(*value.shape[:2], *kernel) if ".proj_" in name or ".to_" in name else value
            for name, value in tensors.items()
            if value.ndim > 1
        }
        changed = {**tensors, **{name: value for name, value in other.items() if name.endswith("weight")}}
        network = UNet({name: tuple(value.shape) for name, value in changed.items()})
        network.load_state_dict(changed, strict=True, assign=True)
        assert network.context_width == config.context
        torch.testing.assert_close(network(*inputs), expected)
