"""What single files are not made of, what is left out of them, and what is said of gaps: never anything in silence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_pipelines as tiny
import torch
from safetensors.torch import load_file, save_file

from modelhub.catalog.becoming import Part
from modelhub.catalog.folder.single_file import single_file
from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.errors import IncompatibleError
from modelhub.formats.opening import open_source
from modelhub.formats.source import TensorSource

Shapes = dict[str, tuple[str, tuple[int, ...]]]
DEMO = Path(__file__).parents[2] / "catalog" / "demo" / "tiny-shapes-base.safetensors"


def f32(*names: str, shape: tuple[int, ...] = (4, 4)) -> Shapes:
    return dict.fromkeys(names, ("F32", shape))


UNET = f32("unet.conv_in.weight", shape=(4, 4, 3, 3))
XL = Identity("checkpoint", "sdxl", format="diffusers")
SD1 = Identity("checkpoint", "sd1", format="diffusers")
FLUX = Identity("checkpoint", "flux1", format="diffusers")


def plan(shapes: Shapes, identity: Identity = SD1, **metadata: str) -> tuple[TensorSource, list[Part], list[str]]:
    said = {f"diffusers.{name}": text for name, text in metadata.items()}
    return single_file(tiny.Unweighed(shapes, said), identity)


@pytest.mark.parametrize(
    ("shapes", "identity", "words"),
    [
        (UNET, Identity("checkpoint", "kolors"), "This is a kolors pipeline; single files can be made of sd1, sd2, sdxl"),
        (UNET, Identity(), "architecture of this pipeline is unknown"),
        (UNET, Identity("checkpoint", "sd2", "unclip-h"), "sd2 unclip-h: an unCLIP file holds the image encoder"),
        (f32("vae.quant_conv.weight"), SD1, "no pipeline folder with weights in unet/ or transformer/"),
        (f32("vae.quant_conv.weight"), Identity("vae", "kl-f8-4ch"), "no pipeline folder with weights in unet/ or"),
        (f32("conv_in.weight"), SD1, "no pipeline folder with weights in unet/"),
        (UNET, FLUX, "no pipeline folder with weights in transformer/"),
        (UNET | f32("prior.x"), SD1, "no place for the component 'prior'"),
        (UNET | f32("unet.conv_in.lora_A.weight"), SD1, r"unet.conv_in.lora_A.weight cannot go into a single file"),
        (UNET | f32("unet.odd", "unet.odder", "unet.oddest"), SD1, r"unet\.odd\w* and 2 other tensors cannot go"),
        (UNET | f32("unet.a\x1b[31m.weight"), SD1, r"unet.a\\x1b\[31m.weight cannot"),
        (UNET | f32("unet.down_blocks.#.resnets.{r}.conv1.weight"), SD1, "cannot go"),
        (UNET | f32("unet.down_blocks.99999.resnets.0.conv1.weight"), SD1, "cannot go"),
        (UNET | f32("unet.down_blocks.١.resnets.0.conv1.weight"), SD1, "cannot go"),
        (UNET | f32("unet.up_blocks.0.upsamplers.1.conv.weight"), SD1, "cannot go"),
        (UNET | f32("unet.time_embedding.cond_proj.weight"), SD1, "it is the guidance embedding of a consistency model"),
        (UNET | f32("unet.conv_in.weight.absmax"), SD1, "cannot go"),
        (
            UNET | f32("unet.add_embedding.linear_1.bias", "unet.class_embedding.linear_1.bias"), XL,
            "unet.add_embedding.linear_1.bias and unet.class_embedding.linear_1.bias would both become",
        ),
        (
            UNET | f32("vae.decoder.mid_block.attentions.0.to_q.weight", "vae.decoder.mid_block.attentions.0.query.weight"),
            SD1, "would both become",
        ),
    ],
)  # fmt: skip
def test_what_no_file_is_made_of(shapes: Shapes, identity: Identity, words: str):
    with pytest.raises(IncompatibleError, match=words) as caught:
        plan(shapes, identity)
    assert "onvert the folder" in caught.value.hint or "Name the folder" in caught.value.hint
    assert "{" not in caught.value.hint


LAYER = "text_encoder_2.text_model.encoder.layers.0.self_attn."


@pytest.mark.parametrize(
    ("others", "words"),
    [
        (f32(f"{LAYER}q_proj.weight", f"{LAYER}v_proj.weight"), "is 3 tensors joined, and these do not make it up"),
        (
            f32(f"{LAYER}q_proj.weight", f"{LAYER}k_proj.weight") | {f"{LAYER}v_proj.weight": ("F16", (4, 4))},
            re.escape(f"{LAYER}v_proj.weight (F16 [4, 4])"),
        ),
        (f32(f"{LAYER}q_proj.bias", f"{LAYER}k_proj.bias", f"{LAYER}v_proj.bias", shape=()), "do not make it up"),
        (
            f32(f"{LAYER}q_proj.weight", f"{LAYER}k_proj.weight") | f32(f"{LAYER}v_proj.weight", shape=(4, 3)),
            r"\(F32 \[4, 3\]\)",
        ),
        (f32("text_encoder_2.text_projection.weight", shape=(4,)), "not a matrix that can be turned"),
    ],
)
def test_what_does_not_join(others: Shapes, words: str):
    with pytest.raises(IncompatibleError, match=words):
        plan(UNET | others, XL)


@pytest.mark.parametrize("shape", [(3, 4), ()])
def test_halves_that_there_are_not(shape: tuple[int, ...]):
    with pytest.raises(IncompatibleError, match="has no two halves"):
        plan(f32("transformer.norm_out.linear.weight", shape=shape), FLUX)


def test_components_without_a_place_are_told():
    shapes = UNET | f32("image_encoder.a", "image_encoder.b", "controlnet.c")
    view, parts, _ = plan(shapes, left_out="safety_checker, feature_extractor")
    assert list(view.header.tensors) == ["model.diffusion_model.input_blocks.0.0.weight"]
    dropped = {part.what: (part.names, part.size) for part in parts if part.action == "drop"}
    assert dropped == {
        "image_encoder": (("image_encoder.a", "image_encoder.b"), 128), "controlnet": (("controlnet.c",), 64),
        "safety_checker": ((), 0), "feature_extractor": ((), 0),
    }  # fmt: skip
    assert all(part.reason for part in parts)


def test_missing_components_and_odd_depths_are_told():
    layer = "text_encoder.text_model.encoder.layers.{}.layer_norm1.bias"
    _, _, warnings = plan(UNET | f32(*(layer.format(number) for number in range(11))))
    assert len(warnings) == 2
    assert "text_encoder has 11 layers; programs use 12" in warnings[0]
    assert "no weights in vae/" in warnings[1]


@pytest.mark.parametrize(
    ("identity", "metadata", "markers", "words"),
    [
        (XL, {"prediction_type": "v_prediction"}, ["v_pred"], None),
        (XL, {"prediction_type": "v_prediction", "rescale_betas_zero_snr": "false"}, ["v_pred"], None),
        (XL, {"prediction_type": "epsilon", "rescale_betas_zero_snr": "true"}, [], None),
        (XL, {"scheduler": "EDMEulerScheduler", "prediction_type": "epsilon"}, [], "EDMEulerScheduler, epsilon"),
        (XL, {"prediction_type": "sample"}, [], r"unknown, sample\) has no mark"),
        (FLUX, {"prediction_type": "v_prediction"}, [], None),
    ],
)
def test_what_the_scheduler_says(identity: Identity, metadata: dict[str, str], markers: list[str], words: str | None):
    shapes = UNET if identity is XL else f32("transformer.x_embedder.weight")
    view, _, warnings = plan(shapes, identity, **metadata)
    assert [name for name in view.header.tensors if "." not in name] == markers
    told = [text for text in warnings if "no weights" not in text]
    assert (len(told) == 0) if words is None else re.search(words, told[0])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that diffusers' loaders make of the demo checkpoint."""
    from diffusers.loaders.single_file_utils import (
        convert_ldm_clip_checkpoint,
        convert_ldm_unet_checkpoint,
        convert_ldm_vae_checkpoint,
    )

    state = load_file(DEMO)
    levels = {"down_block_types": range(4), "up_block_types": range(4)}
    parts = {
        "unet": convert_ldm_unet_checkpoint(dict(state), {"layers_per_block": 2}),
        "vae": convert_ldm_vae_checkpoint(dict(state), levels),
        "text_encoder": convert_ldm_clip_checkpoint(dict(state)),
    }
    folder = tmp_path_factory.mktemp("demo")
    for name, tensors in parts.items():
        write(folder, name, tensors)
    index = ", ".join(f'"{name}": ["diffusers", "X"]' for name in parts)
    (folder / "model_index.json").write_text(f'{{"_class_name": "StableDiffusionPipeline", {index}}}')
    return folder


def write(folder: Path, name: str, tensors: dict[str, torch.Tensor]) -> None:
    (folder / name).mkdir(exist_ok=True)
    whole = {key: tensor.contiguous().clone() for key, tensor in tensors.items()}
    save_file(whole, folder / name / ("model.safetensors" if "text" in name else "diffusion_pytorch_model.safetensors"))


def rewrite(folder: Path, goal: Path, **changes: Callable[[str], str]) -> Path:
    """A copy of the folder with other names in some components."""
    goal.mkdir()
    (goal / "model_index.json").write_bytes((folder / "model_index.json").read_bytes())
    for part in ("unet", "vae", "text_encoder"):
        tensors = load_file(next((folder / part).iterdir()))
        write(goal, part, {changes.get(part, str)(name): tensor for name, tensor in tensors.items()})
    return goal


def check_demo(folder: Path) -> None:
    """All comes back but the noise schedule, which diffusers keeps in a config."""
    wanted = {name: tensor for name, tensor in load_file(DEMO).items() if name not in ("betas", "alphas_cumprod")}
    with open_source(folder) as source:
        view, _, _ = single_file(source, identify(source.header, form="diffusers"))
        assert view.header.shapes.keys() == wanted.keys()
        for name, tensor in wanted.items():
            assert torch.equal(view.tensor(name), tensor), name


def test_a_checkpoint_comes_back_from_its_folder_bit_for_bit(demo: Path):
    check_demo(demo)


OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def test_older_and_newer_names_of_the_same_folder(demo: Path, tmp_path: Path):
    """VAEs of the first folders say `query`; newer versions of transformers leave `text_model.` out."""

    def aged(name: str) -> str:
        found = re.fullmatch(r"(.*attentions\.0\.)(to_\w(?:ut\.0)?)(\..*)", name)
        return found[1] + OLD[found[2]] + found[3] if found else name

    changes: dict[str, Any] = {"vae": aged, "text_encoder": lambda name: name.removeprefix("text_model.")}
    check_demo(rewrite(demo, tmp_path / "other", **changes))


def test_buffers_of_a_text_encoder_that_the_file_does_without():
    start = "text_encoder_2.text_model.embeddings."
    shapes = UNET | {f"{start}position_ids": ("I64", (1, 77))} | f32(f"{start}position_embedding.weight")
    view, parts, _ = plan(shapes, XL)
    assert "conditioner.embedders.1.model.positional_embedding" in view.header.tensors
    (dropped,) = [part for part in parts if part.action == "drop"]
    assert (dropped.names, dropped.size) == ((f"{start}position_ids",), 616)
    told = next(part for part in parts if "text_encoder_2" in part.what and part.action == "change")
    assert told.names == (f"{start}position_embedding.weight",)


@pytest.mark.parametrize(
    ("names", "dropped"), [(("shared", "encoder.embed_tokens"), True), (("encoder.embed_tokens",), False)]
)
def test_an_embedding_with_two_names_is_written_once(names: tuple[str, ...], dropped: bool):
    shapes = f32("transformer.x_embedder.weight", *(f"text_encoder_2.{name}.weight" for name in names))
    view, parts, _ = plan(shapes, FLUX)
    encoder = [name for name in view.header.tensors if name.startswith("text_encoders.")]
    assert encoder == ["text_encoders.t5xxl.transformer.shared.weight"]
    told = [part.reason for part in parts if part.action == "drop"]
    assert told == (["the same as shared.weight"] if dropped else [])
