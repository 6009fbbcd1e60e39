"""The VAE against diffusers, on small random models of every layout; and what it says of files that make no VAE."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ldm_names import Shapes, one_of_each, random_tensors, vae_shapes

from modelhub.errors import IncompatibleError
from modelhub.preview.networks.vae import Vae

LAYOUTS: dict[str, dict[str, Any]] = {
    "sd": {"blocks": 2},
    "three levels, attention of matrices": {"mult": (1, 2, 2), "kernel": ()},
    "flux": {"latents": 16, "quant": False},
}


def ours(shapes: Shapes, **options: bool) -> Vae:
    network = Vae(shapes, **options)
    wanted = dict(network.named_parameters())
    tensors = {name: value for name, value in random_tensors(shapes).items() if name in wanted}
    network.load_state_dict(tensors, strict=True, assign=True)
    return network.eval()


def oracle(mult: tuple[int, ...] = (1, 2), blocks: int = 1, latents: int = 4, quant: bool = True, **other: Any) -> Any:
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    network = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(mult),
        up_block_types=("UpDecoderBlock2D",) * len(mult),
        block_out_channels=tuple(32 * m for m in mult),
        layers_per_block=blocks,
        latent_channels=latents,
        use_quant_conv=quant,
        use_post_quant_conv=quant,
    )
    shapes = vae_shapes(mult=mult, blocks=blocks, latents=latents, quant=quant, **other)
    tensors = {f"first_stage_model.{name}": value for name, value in random_tensors(shapes).items()}
    network.load_state_dict(convert_ldm_vae_checkpoint(tensors, dict(network.config)))
    return network.eval()


@pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS)
@torch.inference_mode()
def test_equals_diffusers(options: dict[str, Any]) -> None:
    network, expected = ours(vae_shapes(**options)), oracle(**options)
    z = torch.randn(2, network.latent_channels, 5, 8, generator=torch.Generator().manual_seed(1))
    x = torch.randn(2, 3, 5 * network.factor + 1, 24, generator=torch.Generator().manual_seed(2))
    picture, (mean, logvar) = network.decode(z), network.encode(x)
    assert picture.shape == (2, 3, 5 * network.factor, 8 * network.factor)
    assert mean.shape == (2, network.latent_channels, 5, 24 // network.factor)
    posterior = expected.encode(x).latent_dist
    torch.testing.assert_close(picture, expected.decode(z).sample, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mean, posterior.mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logvar, posterior.logvar, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.inference_mode()
def test_half_precision_comes_as_near_as_in_diffusers(dtype: torch.dtype) -> None:
    options = LAYOUTS["flux"]
    network, theirs = ours(vae_shapes(**options)), oracle(**options)
    z, x = torch.randn(1, 16, 5, 8), torch.randn(1, 3, 10, 16)
    exact, mean = network.decode(z), network.encode(x)[0]
    network, theirs = network.to(dtype), theirs.to(dtype)
    got, got_mean = network.decode(z), network.encode(x)[0]
    other = theirs.decode(z.to(dtype)).sample.float(), theirs.encode(x.to(dtype)).latent_dist.mean.float()
    assert got.dtype == got_mean.dtype == torch.float32
    assert 0 < (got - exact).std() < 1.2 * (other[0] - exact).std() < 0.06 * exact.std()
    assert 0 < (got_mean - mean).std() < 1.2 * (other[1] - mean).std() < 0.06 * mean.std()


@pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS)
def test_parameters_have_the_names_and_shapes_of_the_file(options: dict[str, Any]) -> None:
    shapes = vae_shapes(**options)
    network = Vae(shapes)
    assert {name: tuple(p.shape) for name, p in network.named_parameters()} == shapes
    assert network.factor == 2 ** (len(options.get("mult", (1, 2))) - 1)


@torch.inference_mode()
def test_either_half_does_alone() -> None:
    shapes, z = vae_shapes(), torch.randn(1, 4, 4, 4)
    x = torch.randn(1, 3, 8, 8)
    whole, decoder = ours(shapes), ours(shapes, encoder=False)
    assert {name.split(".")[0] for name, _ in decoder.named_parameters()} == {"decoder", "post_quant_conv"}
    assert torch.equal(decoder.decode(z), whole.decode(z))
    with pytest.raises(IncompatibleError, match="no encoder"):
        decoder.encode(x)
    only = {name: shape for name, shape in shapes.items() if not name.startswith(("decoder", "post_"))}
    encoder = Vae(only)
    encoder.load_state_dict({name: random_tensors(shapes)[name] for name in only}, strict=True, assign=True)
    assert torch.equal(encoder.encode(x)[0], whole.encode(x)[0])
    with pytest.raises(IncompatibleError, match="no decoder"):
        encoder.decode(z)


def test_names_any_tensor_that_is_missing_or_misshapen() -> None:
    shapes = vae_shapes()
    for name in one_of_each(shapes):
        with pytest.raises(IncompatibleError) as caught:
            Vae({**shapes, name: (*shapes[name], 7)})
        assert name in caught.value.message
        if "quant_conv.weight" not in name:
            with pytest.raises(IncompatibleError) as caught:
                Vae({other: shape for other, shape in shapes.items() if other != name})
            assert name in caught.value.message


def test_shapes_of_something_else_are_refused() -> None:
    with pytest.raises(IncompatibleError, match=r"decoder\.conv_in\.weight is missing"):
        Vae({"model.diffusion_model.out.2.weight": (4, 320, 3, 3)})
