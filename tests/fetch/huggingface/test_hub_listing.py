"""Which files of a repository are chosen, on the listings of real ones; diffusers' own selection judges pipelines."""

from __future__ import annotations

import pytest

from modelhub.errors import AmbiguousError, NotFoundError
from modelhub.fetch.huggingface.listing import Weights, best, obvious, precision, pruned, weights
from modelhub.fetch.huggingface.picking import Picked, pick_file, pick_folder
from modelhub.fetch.huggingface.repo import Repo, RepoFile

SDXL = [
    ".gitattributes",
    "01.png",
    "LICENSE.md",
    "README.md",
    "model_index.json",
    "scheduler/scheduler_config.json",
    "sd_xl_base_1.0.safetensors",
    "sd_xl_base_1.0_0.9vae.safetensors",
    "sd_xl_offset_example-lora_1.0.safetensors",
    "text_encoder/config.json",
    "text_encoder/flax_model.msgpack",
    "text_encoder/model.fp16.safetensors",
    "text_encoder/model.onnx",
    "text_encoder/model.safetensors",
    "text_encoder/openvino_model.bin",
    "text_encoder/openvino_model.xml",
    "text_encoder_2/config.json",
    "text_encoder_2/flax_model.msgpack",
    "text_encoder_2/model.fp16.safetensors",
    "text_encoder_2/model.onnx",
    "text_encoder_2/model.onnx_data",
    "text_encoder_2/model.safetensors",
    "text_encoder_2/openvino_model.bin",
    "text_encoder_2/openvino_model.xml",
    "tokenizer/merges.txt",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "tokenizer_2/merges.txt",
    "tokenizer_2/special_tokens_map.json",
    "tokenizer_2/tokenizer_config.json",
    "tokenizer_2/vocab.json",
    "unet/config.json",
    "unet/diffusion_flax_model.msgpack",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "unet/model.onnx",
    "unet/model.onnx_data",
    "unet/openvino_model.bin",
    "unet/openvino_model.xml",
    "vae/config.json",
    "vae/diffusion_flax_model.msgpack",
    "vae/diffusion_pytorch_model.fp16.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
    "vae_1_0/config.json",
    "vae_1_0/diffusion_pytorch_model.fp16.safetensors",
    "vae_1_0/diffusion_pytorch_model.safetensors",
    "vae_decoder/config.json",
    "vae_decoder/model.onnx",
    "vae_encoder/config.json",
    "vae_encoder/openvino_model.bin",
]
SDXL_INDEX = {
    "_class_name": "StableDiffusionXLPipeline", "_diffusers_version": "0.19.0.dev0", "force_zeros_for_empty_prompt": True,
    "scheduler": ["diffusers", "EulerDiscreteScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"], "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"], "image_encoder": [None, None],
}  # fmt: skip
FLUX = [
    ".gitattributes",
    "README.md",
    "ae.safetensors",
    "dev_grid.jpg",
    "flux1-dev.safetensors",
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "text_encoder_2/config.json",
    "text_encoder_2/model-00001-of-00002.safetensors",
    "text_encoder_2/model-00002-of-00002.safetensors",
    "text_encoder_2/model.safetensors.index.json",
    "tokenizer/merges.txt",
    "tokenizer/vocab.json",
    "tokenizer_2/spiece.model",
    "tokenizer_2/tokenizer.json",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model-00001-of-00003.safetensors",
    "transformer/diffusion_pytorch_model-00002-of-00003.safetensors",
    "transformer/diffusion_pytorch_model-00003-of-00003.safetensors",
    "transformer/diffusion_pytorch_model.safetensors.index.json",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
]
FLUX_INDEX = {
    "_class_name": "FluxPipeline", "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"], "text_encoder_2": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"], "tokenizer_2": ["transformers", "T5TokenizerFast"],
    "transformer": ["diffusers", "FluxTransformer2DModel"], "vae": ["diffusers", "AutoencoderKL"],
}  # fmt: skip
SD15 = [
    "README.md",
    "feature_extractor/preprocessor_config.json",
    "model_index.json",
    "safety_checker/config.json",
    "safety_checker/model.fp16.safetensors",
    "safety_checker/model.safetensors",
    "safety_checker/pytorch_model.bin",
    "safety_checker/pytorch_model.fp16.bin",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/pytorch_model.bin",
    "text_encoder/pytorch_model.fp16.bin",
    "tokenizer/merges.txt",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.fp16.bin",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.non_ema.bin",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "v1-5-pruned-emaonly.ckpt",
    "v1-5-pruned-emaonly.safetensors",
    "v1-5-pruned.ckpt",
    "v1-5-pruned.safetensors",
    "v1-inference.yaml",
    "vae/config.json",
    "vae/diffusion_pytorch_model.bin",
    "vae/diffusion_pytorch_model.fp16.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
]
SD15_INDEX = {
    "_class_name": "StableDiffusionPipeline", "feature_extractor": ["transformers", "CLIPImageProcessor"],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"], "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
}  # fmt: skip


def repo(*paths: str) -> Repo:
    return Repo("o/r", "0" * 40, "https://x", tuple(RepoFile(path, 10) for path in sorted(paths)))


def members(picked: Picked) -> set[str]:
    return {file.path for file in picked.members}


def of_weights(paths: set[str]) -> set[str]:
    return {path for path in paths if path.endswith((".safetensors", ".bin", ".ckpt", ".msgpack", ".onnx"))}


@pytest.mark.parametrize(("listing", "index"), [(SDXL, SDXL_INDEX), (FLUX, FLUX_INDEX), (SD15, SD15_INDEX)])
def test_pipelines_are_what_diffusers_would_load(listing: list[str], index: dict[str, object]):
    from diffusers.pipelines.pipeline_loading_utils import variant_compatible_siblings

    names = [name for name, value in index.items() if isinstance(value, list) and value[0]]
    chosen = members(pick_folder(repo(*listing), "", index))
    inside = [path for path in listing if path.partition("/")[0] in names]
    safe = {path.partition("/")[0] for path in inside if path.endswith(".safetensors")}
    fit = [path for path in inside if not path.endswith(".bin") or path.partition("/")[0] not in safe]
    usable, _ = variant_compatible_siblings(fit, variant="fp16" if any("fp16" in path for path in fit) else None)
    theirs = {str(path) for path in usable if str(path).endswith((".safetensors", ".bin", ".index.json"))}
    assert {path for path in chosen if path.endswith((".safetensors", ".bin", ".index.json"))} == theirs
    assert {path.partition("/")[0] for path in chosen} == {*names, "model_index.json"}


def test_sdxl_takes_all_that_it_needs_and_nothing_else():
    picked = pick_folder(repo(*SDXL), "", SDXL_INDEX)
    assert of_weights(members(picked)) == {
        "unet/diffusion_pytorch_model.fp16.safetensors", "vae/diffusion_pytorch_model.fp16.safetensors",
        "text_encoder/model.fp16.safetensors", "text_encoder_2/model.fp16.safetensors",
    }  # fmt: skip
    assert members(picked) - of_weights(members(picked)) == {
        path
        for path in SDXL
        if path.endswith((".json", ".txt")) and not path.startswith(("vae_1_0", "vae_dec", "vae_enc"))
    }
    assert [file.path for file in picked.others] == [
        "sd_xl_base_1.0.safetensors", "sd_xl_base_1.0_0.9vae.safetensors", "sd_xl_offset_example-lora_1.0.safetensors",
    ]  # fmt: skip
    assert {file.path for file in picked.copies} == {path.replace(".fp16", "") for path in of_weights(members(picked))}


def test_flux_takes_its_shards_with_their_indexes():
    found = members(pick_folder(repo(*FLUX), "", FLUX_INDEX))
    assert {path for path in FLUX if path.startswith("transformer/")} < found
    assert "tokenizer_2/spiece.model" in found and "flux1-dev.safetensors" not in found


def test_pickles_only_where_there_is_nothing_else():
    found = members(pick_folder(repo(*SD15), "", SD15_INDEX))
    assert {path for path in found if path.endswith(".bin")} == {"text_encoder/pytorch_model.fp16.bin"}
    assert not [path for path in found if "non_ema" in path]


def test_an_index_goes_with_the_shards_of_its_own_precision():
    names = [f"unet/diffusion_pytorch_model.fp16-0000{n}-of-00002.safetensors" for n in (1, 2)]
    more = [f"unet/diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    indexes = [
        "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
        "unet/diffusion_pytorch_model.safetensors.index.json",
    ]
    listed = repo("model_index.json", "unet/config.json", *names, *more, *indexes)
    found = pick_folder(listed, "", {"unet": ["diffusers", "UNet2DConditionModel"]})
    assert members(found) == {"model_index.json", "unet/config.json", *names, indexes[0]}
    assert {file.path for file in found.copies} == {*more, indexes[1]}


def test_a_pipeline_without_an_index_that_may_be_read_is_its_folders():
    assert of_weights(members(pick_folder(repo(*SD15), "", {}))) == of_weights(
        members(pick_folder(repo(*SD15), "", SD15_INDEX))
    )


def test_a_pipeline_in_a_folder():
    listed = repo(*(f"v2/{path}" for path in FLUX), "other.safetensors")
    picked = pick_folder(listed, "v2", FLUX_INDEX)
    assert picked.root == "v2" and "v2/vae/diffusion_pytorch_model.safetensors" in members(picked)


@pytest.mark.parametrize(
    "index", [{"unet": "x"}, {"unet": [1, 2]}, {"unet": ["a"]}, [], None, {"../..": ["a", "b"]}, {"": ["a", "b"]}]
)
def test_a_strange_index_leads_nowhere_else(index: object):
    listed = repo("model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors")
    try:
        found = members(pick_folder(listed, "", index))
    except NotFoundError:
        return
    assert found == {"model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors"}


def test_a_pipeline_for_other_programs_only():
    with pytest.raises(NotFoundError, match="flax_model"):
        pick_folder(repo("model_index.json", "unet/flax_model.msgpack"), "", {"unet": ["diffusers", "FlaxUNet2D"]})


# -- single files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listing", "meant"),
    [
        (["sdxl_vae.safetensors", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"], "diffusion_pytorch_model.safetensors"),
        (["diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.safetensors"], "diffusion_pytorch_model.fp16.safetensors"),
        (["a.ckpt", "a.safetensors"], "a.safetensors"),
        (["a_fp32.safetensors", "a_fp16.safetensors", "a_bf16.safetensors"], "a_fp16.safetensors"),
        (["a.safetensors", "b.safetensors"], None),
        (["flux1-dev-Q4_K_S.gguf", "flux1-dev-Q8_0.gguf"], None),
        (["x/a.safetensors"], "x/a.safetensors"),
        (["4x_foo.pth"], "4x_foo.pth"),
        (["learned_embeds.safetensors", "learned_embeds-steps-500.safetensors"], "learned_embeds.safetensors"),
    ],
)  # fmt: skip
def test_the_obvious_one(listing: list[str], meant: str | None):
    found = obvious(weights(RepoFile(path, 10) for path in listing))
    assert (found.first.path if found else None) == meant


def test_what_is_no_model_is_left_out():
    others = [
        "optimizer.bin",
        "random_states_0.pkl",
        "training_args.bin",
        "flax_model.msgpack",
        "x.onnx",
        "x.h5",
        "openvino_model.bin",
    ]
    assert weights([RepoFile(path, 1) for path in others]) == []


def test_copies_of_one_model_are_one():
    listed = weights(
        [RepoFile(path, 1) for path in ("a.fp16.safetensors", "a.ckpt", "A.safetensors", "sub/a.safetensors")]
    )
    assert [one.first.path for one in best(listed)] == ["a.fp16.safetensors", "sub/a.safetensors"]


def test_a_set_of_shards_is_one_model_whatever_its_names():
    paths = [
        "d/m-00001-of-00002.fp16.safetensors",
        "d/m-00002-of-00002.fp16.safetensors",
        "d/m.safetensors.index.fp16.json",
    ]
    (found,) = weights([RepoFile(path, 1) for path in paths])
    assert [file.path for file in found.with_index] == paths
    assert (found.variant, found.precision, found.stem) == ("fp16", "fp16", "m")


def test_a_claim_of_a_million_shards_costs_nothing():
    assert weights([RepoFile("m-00001-of-99999.safetensors", 1)]) == []


def test_two_sets_and_nothing_else_have_to_be_named():
    paths = [f"{name}-0000{n}-of-00002.safetensors" for name in ("a", "b") for n in (1, 2)]
    with pytest.raises(AmbiguousError) as caught:
        pick_folder(repo(*paths), "", {})
    assert "o/r:a-00001-of-00002.safetensors" in caught.value.hint
    listed = repo(*paths)
    assert members(pick_file(listed, listed.by_path[paths[3]])) == set(paths[2:])


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("x.fp16.safetensors", "fp16"), ("x-FP8_e4m3fn.safetensors", "fp8"), ("flux1-dev-Q4_K_S.gguf", "Q4_K_S"),
        ("x-iq4_xs.gguf", "IQ4_XS"), ("wan_bf16.safetensors", "bf16"), ("fp16.safetensors", "fp16"),
        ("frankfp16x.safetensors", None), ("x.safetensors", None), ("queen.gguf", None),
    ],
)  # fmt: skip
def test_precision_by_name(name: str, wanted: str | None):
    assert precision(name) == wanted


def test_pruned_by_name():
    assert pruned("v1-5-pruned-emaonly.safetensors") is True
    assert pruned("unpruned.safetensors") is None


def test_a_name_of_nothing_but_an_ending():
    assert Weights((RepoFile(".safetensors", 1),)).stem == ""
