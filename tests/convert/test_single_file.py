"""Single files made of small random pipelines, taken apart again by diffusers' own loaders, tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tiny_pipelines as tiny
import torch
from safetensors.torch import load_file

from modelhub.catalog.becoming import Part
from modelhub.catalog.folder.single_file import single_file
from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.formats.header import Header
from modelhub.formats.opening import open_source
from modelhub.formats.writer import write

State = dict[str, torch.Tensor]
V = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
BIG = {"hidden_size": 24, "num_attention_heads": 3, "projection_dim": 24}


class Case(NamedTuple):
    """What a pipeline is made of, and what its file is to be."""

    parts: dict[str, Callable[[], Any]]
    architecture: str
    scheduler: dict[str, Any] | None = None
    variant: str | None = None
    prediction: str | None = None


def sd1(**wishes: Any) -> dict[str, Callable[[], Any]]:
    return {"unet": partial(tiny.unet, **wishes), "vae": tiny.vae, "text_encoder": tiny.clip}


def sdxl(**wishes: Any) -> dict[str, Callable[[], Any]]:
    return {
        "unet": partial(tiny.xl_unet, **wishes), "vae": tiny.vae, "text_encoder": tiny.clip,
        "text_encoder_2": partial(tiny.clip, projection=True, **BIG),
    }  # fmt: skip


TWO_LEVELS = {
    "block_out_channels": (8, 16), "layers_per_block": 1, "mid_block_type": None,
    "down_block_types": ("CrossAttnDownBlock2D",) * 2, "up_block_types": ("CrossAttnUpBlock2D",) * 2,
}  # fmt: skip
CASES = {
    "sd1": Case(sd1(), "sd1", {"prediction_type": "epsilon"}, None, "epsilon"),
    "sd1-inpaint": Case(sd1(in_channels=9), "sd1", None, "inpaint"),
    "sd1-distilled": Case(sd1(**TWO_LEVELS), "sd1", None, "distilled"),
    "sd1-v": Case(sd1(), "sd1", V, None, "v"),
    "sd2": Case({**sd1(use_linear_projection=True), "text_encoder": partial(tiny.clip, **BIG)}, "sd2", V, None, "v"),
    "sdxl": Case(sdxl(), "sdxl", {"prediction_type": "epsilon"}, None, "epsilon"),
    "sdxl-v": Case(sdxl(), "sdxl", V, None, "v"),
    "sdxl-no-middle-attention": Case(sdxl(mid_block_type="UNetMidBlock2D"), "sdxl"),
    "refiner": Case(
        {"unet": tiny.refiner_unet, "vae": tiny.vae, "text_encoder_2": partial(tiny.clip, projection=True, **BIG)},
        "sdxl-refiner",
    ),
    "flux": Case(
        {
            "transformer": tiny.flux, "text_encoder": tiny.clip, "text_encoder_2": tiny.t5,
            "vae": partial(tiny.vae, latent_channels=16, use_quant_conv=False, use_post_quant_conv=False),
        },
        "flux1", None, "dev", "flow",
    ),
    "schnell": Case({"transformer": partial(tiny.flux, guidance_embeds=False)}, "flux1", None, "schnell", "flow"),
    "sd3": Case(
        {
            "transformer": tiny.sd3, "text_encoder": partial(tiny.clip, projection=True),
            "text_encoder_2": partial(tiny.clip, projection=True, **BIG), "text_encoder_3": tiny.t5,
            "vae": partial(tiny.vae, latent_channels=16, use_quant_conv=False, use_post_quant_conv=False),
        },
        "sd3", None, "3.5-medium", "flow",
    ),
}  # fmt: skip


class Done(NamedTuple):
    """A pipeline and the file that was made of it."""

    case: Case
    modules: dict[str, Any]
    file: State
    parts: list[Part]
    warnings: list[str]
    header: Header
    identity: Identity

    def take_apart(self, folder: str) -> State:
        """The component as diffusers' loaders have it from the file."""
        return TAKE_APART[folder if "encoder" in folder else type(self.modules[folder]).__name__](self, folder)


@pytest.fixture(scope="module", params=CASES)
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Done:
    case = CASES[request.param]
    modules = {name: tiny.randomise(make(), seed) for seed, (name, make) in enumerate(case.parts.items())}
    folder = tiny.save(tmp_path_factory.mktemp("pipe"), modules, case.scheduler)
    return convert(folder, case, modules)


def convert(folder: Path, case: Case, modules: dict[str, Any]) -> Done:
    goal = folder / "single.safetensors"
    with open_source(folder) as source:
        view, parts, warnings = single_file(source, identify(source.header, form="diffusers"))
        write(view, goal)
    with open_source(goal) as result:
        return Done(case, modules, load_file(goal), parts, warnings, result.header, identify(result.header))


def _unet(done: Done, folder: str) -> State:
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    return convert_ldm_unet_checkpoint(dict(done.file), done.modules[folder].config)


def _vae(done: Done, folder: str) -> State:
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    return convert_ldm_vae_checkpoint(dict(done.file), done.modules[folder].config)


def _flux(done: Done, folder: str) -> State:
    """The double blocks; diffusers takes single blocks apart at Flux's own width only (see the next test)."""
    from diffusers.loaders.single_file_utils import convert_flux_transformer_checkpoint_to_diffusers as take_apart

    wide = below(done.file, "model.diffusion_model.")
    for name in [name for name in wide if name.startswith("single_blocks") and "linear1" in name]:
        wide[name] = wide[name].new_zeros(21504, *wide[name].shape[1:])
    found = take_apart(wide)
    return {name: tensor for name, tensor in found.items() if not is_single(name)}


def is_single(name: str) -> bool:
    parts = ("to_q.", "to_k.", "to_v.", "proj_mlp.")
    return name.startswith("single_") and any(part in name for part in parts)


def _sd3(done: Done, folder: str) -> State:
    from diffusers.loaders.single_file_utils import convert_sd3_transformer_checkpoint_to_diffusers

    return convert_sd3_transformer_checkpoint_to_diffusers(below(done.file, "model.diffusion_model."))


def below(state: State, prefix: str) -> State:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


#: Where single files have their text encoders, and how: as transformers names them, or as OpenCLIP does.
ENCODERS = {
    ("sd1", "text_encoder"): ("cond_stage_model.transformer.", "hf"),
    ("sd2", "text_encoder"): ("cond_stage_model.model.", "openclip"),
    ("sdxl", "text_encoder"): ("conditioner.embedders.0.transformer.", "hf"),
    ("sdxl", "text_encoder_2"): ("conditioner.embedders.1.model.", "openclip"),
    ("sdxl-refiner", "text_encoder_2"): ("conditioner.embedders.0.model.", "openclip"),
    ("flux1", "text_encoder"): ("text_encoders.clip_l.transformer.", "hf"),
    ("flux1", "text_encoder_2"): ("text_encoders.t5xxl.transformer.", "hf"),
    ("sd3", "text_encoder"): ("text_encoders.clip_l.transformer.", "hf"),
    ("sd3", "text_encoder_2"): ("text_encoders.clip_g.transformer.", "hf"),
    ("sd3", "text_encoder_3"): ("text_encoders.t5xxl.transformer.", "hf"),
}


def _encoder(done: Done, folder: str) -> State:
    from diffusers.loaders.single_file_utils import convert_ldm_clip_checkpoint, convert_open_clip_checkpoint

    prefix, kind = ENCODERS[done.case.architecture, folder]
    module = done.modules[folder]
    if kind == "hf":
        state = convert_ldm_clip_checkpoint(dict(done.file), prefix)
    else:
        state = convert_open_clip_checkpoint(module, dict(done.file), prefix)
    state = state if hasattr(module, "text_model") else {k.removeprefix("text_model."): v for k, v in state.items()}
    return {"encoder.embed_tokens.weight": state["shared.weight"], **state} if "shared.weight" in state else state


TAKE_APART: dict[str, Callable[[Done, str], State]] = {
    "UNet2DConditionModel": _unet, "AutoencoderKL": _vae, "FluxTransformer2DModel": _flux,
    "SD3Transformer2DModel": _sd3, "text_encoder": _encoder, "text_encoder_2": _encoder, "text_encoder_3": _encoder,
}  # fmt: skip


def test_diffusers_takes_every_tensor_back_bit_for_bit(done: Done):
    for folder, module in done.modules.items():
        found, wanted = done.take_apart(folder), module.state_dict()
        if folder == "transformer":
            wanted = {name: tensor for name, tensor in wanted.items() if name in found or not is_single(name)}
        assert found.keys() == wanted.keys(), folder
        for name, tensor in wanted.items():
            assert found[name].dtype == tensor.dtype
            assert torch.equal(found[name], tensor), f"{folder}.{name}"


def test_the_file_is_what_the_folder_was(done: Done):
    case, identity = done.case, done.identity
    assert (identity.kind, identity.architecture) == (
        "checkpoint" if len(done.modules) > 1 else "diffusion-model", case.architecture,
    )  # fmt: skip
    assert identity.variant == case.variant
    assert identity.prediction == case.prediction
    assert identity.conflicts == ()
    assert {one.role for one in identity.components} == {
        {"unet": "denoiser", "transformer": "denoiser", "vae": "vae"}.get(name, "text_encoder") for name in done.modules
    }


def test_every_tensor_is_accounted_for(done: Done):
    told = [name for part in done.parts if part.action != "add" for name in part.names]
    there = [f"{folder}.{name}" for folder, module in done.modules.items() for name in saved(module)]
    assert sorted(told) == sorted(there)
    assert sum(part.size for part in done.parts) == done.header.data_size
    assert done.header.metadata["format"] == "pt"


def saved(module: Any) -> list[str]:
    """The names of a saved module: a tensor that has two is saved under one."""
    return [name for name in module.state_dict() if name != "encoder.embed_tokens.weight"]


def test_v_prediction_is_marked_where_programs_look_for_it(done: Done):
    markers = {name: (info.dtype, info.shape) for name, info in done.header.tensors.items() if "." not in name}
    v = bool(done.case.scheduler) and done.case.prediction == "v"
    marked = v and done.case.architecture != "sd2"
    assert markers == ({"v_pred": ("F32", (0,)), "ztsnr": ("F32", (0,))} if marked else {})
    assert [part.what for part in done.parts if part.action == "add"] == list(markers)
    spec = {"v": "v", "epsilon": "epsilon"}.get(done.case.prediction or "") if done.case.scheduler else None
    assert done.header.metadata.get("modelspec.prediction_type") == spec
    assert any("v-prediction" in text for text in done.warnings) == (v and done.case.architecture == "sd1")
    assert any("v-prediction" in part.reason for part in done.parts) == (done.case.architecture == "sd2")


def test_single_blocks_of_flux_at_their_own_width():
    """Widths of Flux, next to no columns: diffusers splits linear1 at 3072 whatever the model."""
    from diffusers.loaders.single_file_utils import convert_flux_transformer_checkpoint_to_diffusers as take_apart

    names = tiny.flux().state_dict()
    rows = {"to_q": 3072, "to_k": 3072, "to_v": 3072, "proj_mlp": 12288}
    state = {
        f"transformer.{name}": torch.randn(rows[name.split(".")[-2]], *tensor.shape[1:]) if is_single(name) else tensor
        for name, tensor in names.items()
    }
    source = held(state)
    view, _, _ = single_file(source, Identity("diffusion-model", "flux1", format="diffusers"))
    found = take_apart({name: view.tensor(name) for name in view.header.tensors})
    assert found.keys() == names.keys()
    assert all(torch.equal(found[name], state[f"transformer.{name}"]) for name in found)


def held(state: State) -> Any:
    from modelhub.formats.views import Held

    return Held({
        name: (tiny.DTYPES[tensor.dtype], tuple(tensor.shape), tensor.contiguous().numpy().tobytes())
        for name, tensor in state.items()
    })  # fmt: skip
