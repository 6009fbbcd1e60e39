"""What a model is made of: SD1 and SD2 differ in text encoder, padding, layer and prediction, and both render."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from ldm_names import Shapes, SmallUNet, random_tensors, vae_shapes
from small_pictures import one_thread

from modelhub.errors import IncompatibleError
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.views import Combined, Renamed
from modelhub.preview.denoising.guidance import from_epsilon, from_v
from modelhub.preview.models.model import Model
from modelhub.preview.render import Renderer
from modelhub.preview.request import Request

MakeFile = Callable[..., Path]
WIDTH = 64


@pytest.fixture(autouse=True)
def single() -> Iterator[None]:
    with one_thread():
        yield


def open_clip(layers: int) -> Shapes:
    """Names below `cond_stage_model.model.` of a small OpenCLIP text encoder."""
    shapes: Shapes = {"token_embedding.weight": (49408, WIDTH), "positional_embedding": (77, WIDTH)}
    for name in ["ln_final"] + [f"transformer.resblocks.{n}.{ln}" for n in range(layers) for ln in ("ln_1", "ln_2")]:
        shapes |= {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}
    for block in (f"transformer.resblocks.{number}" for number in range(layers)):
        shapes |= {f"{block}.attn.in_proj_weight": (3 * WIDTH, WIDTH), f"{block}.attn.in_proj_bias": (3 * WIDTH,)}
        for part, sizes in {"attn.out_proj": (1, 1), "mlp.c_fc": (4, 1), "mlp.c_proj": (1, 4)}.items():
            outputs, inputs = (size * WIDTH for size in sizes)
            shapes |= {f"{block}.{part}.weight": (outputs, inputs), f"{block}.{part}.bias": (outputs,)}
    return shapes


def sd2(
    make_file: MakeFile, *, metadata: dict[str, str] | None = None, inputs: int = 4, layers: int = 2
) -> SafetensorsFile:
    unet = SmallUNet(channels=WIDTH, depths=(1, 1), linear=True, context=WIDTH, inputs=inputs).shapes()
    parts = {
        "model.diffusion_model.": unet,
        "first_stage_model.": vae_shapes(mult=(1, 1, 1, 1)),
        "cond_stage_model.model.": open_clip(layers),
    }
    shapes = {prefix + name: shape for prefix, part in parts.items() for name, shape in part.items()}
    return SafetensorsFile(make_file("sd2.safetensors", random_tensors(shapes), metadata))


def test_sd2_predicts_velocity(make_file: MakeFile) -> None:
    with sd2(make_file) as source:
        renderer = Renderer(source, name="small", device="cpu")
    model = renderer.model
    assert model.identity.architecture == "sd2"
    assert model.prediction is from_v
    assert model.size == (768, 768)
    (picture,) = renderer.render(Request("a cat", steps=2, width=64, height=72)).pictures
    assert picture.pixels.shape == (72, 64, 3)
    assert picture.warnings == ()


def test_metadata_decides_on_prediction_and_size(make_file: MakeFile) -> None:
    told = {"modelspec.prediction_type": "epsilon", "modelspec.resolution": "512x640"}
    with sd2(make_file, metadata=told) as source:
        model = Model.load(source, device="cpu")
    assert model.prediction is from_epsilon
    assert model.size == (512, 640)


@pytest.mark.parametrize("resolution", ["", "512", "512x511", "99999x8", "-1x-1", "64x64\n", "٦٤x٦٤"])
def test_an_impossible_resolution_is_not_believed(make_file: MakeFile, resolution: str) -> None:
    with sd2(make_file, metadata={"modelspec.resolution": resolution}) as source:
        assert Model.load(source, device="cpu").size == (768, 768)


def test_a_variant_that_wants_more_is_refused(make_file: MakeFile) -> None:
    with sd2(make_file, inputs=5) as source, pytest.raises(IncompatibleError, match="a depth map"):
        Model.load(source, device="cpu", name="x")


def test_a_vae_of_other_latents_is_refused(make_file: MakeFile) -> None:
    with sd2(make_file) as source:
        tensors = {name: source.tensor(name) for name in source.header.tensors if name.startswith("first_stage")}
        wide = {
            name: tensor.repeat(1, 4, 1, 1)
            for name, tensor in tensors.items()
            if name.endswith("decoder.conv_in.weight")
        }
        assert wide
        quant = "first_stage_model.post_quant_conv"
        wide |= {f"{quant}.weight": torch.ones(16, 16, 1, 1), f"{quant}.bias": torch.ones(16)}
        with SafetensorsFile(make_file("wide.safetensors", wide)) as other:
            vae = Renamed(Combined([source, other]), lambda name: name if name.startswith("first_stage") else None)
            with pytest.raises(IncompatibleError):
                Model.load(source, device="cpu", parts={"vae": vae})
