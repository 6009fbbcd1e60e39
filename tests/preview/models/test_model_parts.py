"""Parts of models from anywhere and in any layout: the picture is that of the whole file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_pictures import (
    SD1,
    SDXL,
    UNET,
    VAE,
    Letters,
    Memory,
    Tensors,
    diffusers_unet,
    diffusers_vae,
    flux,
    flux_parts,
    one_thread,
)  # fmt: skip

from modelhub.catalog.folder.original import in_original
from modelhub.errors import IncompatibleError
from modelhub.formats.opening import open_source
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.source import TensorSource
from modelhub.preview.models.model import Model
from modelhub.preview.models.parts import lacking
from modelhub.preview.pictures.picture import Pixels
from modelhub.preview.render import Renderer
from modelhub.preview.request import Request

REQUEST = Request("a red circle", steps=2, cfg=2.0, seed=2, width=64, height=64)
CLIP = "cond_stage_model.transformer."


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with one_thread():
        yield


def picture(source: TensorSource, **parts: TensorSource) -> Pixels:
    given = {name.replace("_", "-"): part for name, part in parts.items()}
    return Renderer(source, name="m", device="cpu", parts=given).render(REQUEST).pictures[0].pixels


def below(tensors: Tensors, prefix: str, new: str = "") -> Memory:
    return Memory(
        {new + name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    )


def assert_near(one: Pixels, other: Pixels) -> None:
    assert np.abs(one.astype(int) - other.astype(int)).max() <= 1
    assert other.std() > 20


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    return SD1.tensors()


@pytest.fixture(scope="module")
def whole(tensors: Tensors) -> Pixels:
    with one_thread():
        return picture(Memory(tensors))


def test_parts_in_files_of_their_own(tensors: Tensors, whole: Pixels) -> None:
    unet = below(tensors, UNET, UNET)
    assert_near(picture(unet, vae=below(tensors, VAE), clip_l=below(tensors, CLIP)), whole)
    bare = below(tensors, UNET)
    assert_near(picture(bare, vae=below(tensors, VAE, "vae."), clip_l=below(tensors, CLIP, "text_encoder.")), whole)
    assert_near(picture(bare, vae=Memory(tensors), clip_l=Memory(tensors)), whole)


def test_parts_that_are_given_go_before_the_models_own(tensors: Tensors, whole: Pixels) -> None:
    other = SD1.tensors(seed=3)
    mixed = {**other, **{name: value for name, value in tensors.items() if name.startswith(UNET)}}
    assert_near(picture(Memory(mixed), vae=Memory(tensors), clip_l=Memory(tensors)), whole)


@torch.inference_mode()
def test_names_of_diffusers(tensors: Tensors, whole: Pixels) -> None:
    unet, vae = (Memory(dict(one.state_dict())) for one in (diffusers_unet(SD1.unet, tensors), diffusers_vae(tensors)))
    assert "down_blocks.0.resnets.0.conv1.weight" in unet.header.tensors
    assert_near(picture(unet, vae=vae, clip_l=below(tensors, CLIP)), whole)


@torch.inference_mode()
def test_a_folder_of_diffusers(tensors: Tensors, whole: Pixels, tmp_path: Path) -> None:
    parts = {
        "unet": dict(diffusers_unet(SD1.unet, tensors).state_dict()),
        "vae": dict(diffusers_vae(tensors).state_dict()),
        "text_encoder": below(tensors, CLIP).tensors,
    }
    index: dict[str, object] = {"_class_name": "StableDiffusionPipeline"}
    classes = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "text_encoder": "CLIPTextModel"}
    for name, found in parts.items():
        (tmp_path / name).mkdir()
        stem = "model" if name == "text_encoder" else "diffusion_pytorch_model"
        save_file({key: value.contiguous() for key, value in found.items()}, tmp_path / name / f"{stem}.safetensors")
        library = "transformers" if name == "text_encoder" else "diffusers"
        index[name] = [library, classes[name]]
        (tmp_path / name / "config.json").write_text(json.dumps({"_class_name": classes[name]}))
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with open_source(tmp_path) as source:
        _, identity, _ = in_original(source)
        assert lacking(identity) == ()
        assert_near(picture(source), whole)


def test_packed_weights(tensors: Tensors, tmp_path: Path) -> None:
    """fp8 with scales is what it stands for."""
    packed, plain = {}, {}
    for name, value in tensors.items():
        if name.startswith(UNET) and value.dim() == 2:
            eighths = (value * 4).to(torch.float8_e4m3fn)
            packed[name], packed[name.replace(".weight", ".scale_weight")] = eighths, torch.tensor(0.25)
            plain[name] = eighths.float() / 4
        else:
            packed[name] = plain[name] = value
    save_file(packed, tmp_path / "fp8.safetensors")
    with SafetensorsFile(tmp_path / "fp8.safetensors") as source:
        assert_near(picture(source), picture(Memory(plain)))
        assert Model.load(source, device="cpu").notes == ()  # no file is written that would grow


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_full_on_a_cpu(tensors: Tensors, dtype: torch.dtype) -> None:
    half = {name: value.to(dtype) for name, value in tensors.items()}
    assert_near(picture(Memory(half)), picture(Memory({name: value.float() for name, value in half.items()})))


def test_what_is_lacking_is_named_with_the_way_to_get_it(tensors: Tensors) -> None:
    cases = [
        (below(tensors, UNET), "lacks the CLIP-L text encoder and the VAE", "sd-vae-ft-mse"),
        (below(SDXL.tensors(), UNET, UNET), "lacks the CLIP-L text encoder and the OpenCLIP-G", "clip_g.safetensors"),
        (Memory(flux()), "the T5-XXL text encoder", "--t5"),
    ]
    for source, message, hint in cases:
        with pytest.raises(IncompatibleError, match=message) as caught:
            Model.load(source, device="cpu", name="m")
        assert hint in caught.value.hint
        assert "modelhub get" in caught.value.hint


def test_parts_that_do_not_fit_are_refused(tensors: Tensors) -> None:
    unet, parts = below(tensors, UNET), flux_parts()
    given = {"clip-l": below(tensors, CLIP), "vae": below(tensors, VAE)}
    for part, other, message in (
        ("vae", parts["vae"], "VAE decodes 16 channels"),
        ("vae", parts["t5xxl"], "is a text-encoder without one"),
        ("clip-l", parts["t5xxl"], "is a text-encoder without one"),
        ("clip-l", given["vae"], "is a vae without one"),
    ):
        with pytest.raises(IncompatibleError, match=message):
            Model.load(unet, device="cpu", parts={**given, part: other})
    wide = Memory({name: value for name, value in tensors.items() if not name.startswith(CLIP)})
    narrow = {name: value[..., :32] if value.dim() == 2 else value for name, value in given["clip-l"].tensors.items()}
    with pytest.raises(IncompatibleError):
        Model.load(wide, device="cpu", parts={"clip-l": Memory(narrow)})
    with pytest.raises(IncompatibleError, match="numbers for each word"):
        Model.load(Memory(SD1.tensors()), device="cpu", parts={"clip-l": _narrow()})


def _narrow() -> Memory:
    from flux_names import clip_shapes
    from ldm_names import random_tensors

    return Memory(random_tensors(clip_shapes(vocabulary=49408, width=32)))


def test_zero_terminal_snr_and_prediction_are_told_by_marks_or_by_the_user(tensors: Tensors) -> None:
    from modelhub.preview.denoising.guidance import from_epsilon, from_v

    plain = Model.load(Memory(tensors), device="cpu")
    assert plain.prediction is from_epsilon and plain.levels.highest == pytest.approx(14.6146, abs=1e-3)
    marks = {"v_pred": torch.empty(0), "ztsnr": torch.empty(0)}
    marked = Model.load(Memory({**tensors, **marks}), device="cpu")
    told = Model.load(Memory(tensors), device="cpu", prediction="v", zero_snr=True)
    for model in (marked, told):
        assert model.prediction is from_v and model.levels.highest == pytest.approx(4518.76, abs=0.1)
    assert Model.load(Memory({**tensors, **marks}), device="cpu", zero_snr=False).levels.highest < 15


def test_levels_are_those_of_the_file() -> None:
    """Alphas of a linear schedule are not latent diffusion's own; half precision of its own ones is only rounding."""
    tensors = SD1.tensors()
    linear = torch.cumprod(1 - torch.linspace(0.0001, 0.02, 1000, dtype=torch.float64), 0)
    own = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)
    for alphas, expected in (
        (linear.float(), float(((1 - linear[-1]) / linear[-1]).sqrt())),
        (own.half(), 14.6146),
        (torch.full((1000,), torch.nan), 14.6146),
        (linear.float().flip(0), 14.6146),
    ):
        model = Model.load(Memory({**tensors, "alphas_cumprod": alphas}), device="cpu")
        assert model.levels.highest == pytest.approx(expected, rel=1e-3)


def test_flux_with_everything_beside_it() -> None:
    renderer = Renderer(Memory(flux()), name="f", device="cpu", parts=flux_parts(), t5_tokenizer=Letters())
    request = Request("a cat", sampler="Euler", schedule="Simple", cfg=1.0, steps=2, width=64, height=72)
    one = renderer.render(request).pictures[0]
    other = renderer.render(Request(**{**_fields(request), "guidance": 9.0})).pictures[0]
    assert one.pixels.std() > 10
    assert np.abs(one.pixels.astype(int) - other.pixels).max() > 1
    assert "Distilled CFG Scale: 9" in other.infotext


def _fields(request: Request) -> dict[str, object]:
    return {name: getattr(request, name) for name in Request.__dataclass_fields__}
