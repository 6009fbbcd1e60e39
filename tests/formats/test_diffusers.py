"""Diffusers folders, made by hand and by diffusers itself: which files are taken, under which names, with which facts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from leftovers import files_open_below, needs_descriptors

from modelhub.errors import CorruptFileError, FileError, NotAModelError
from modelhub.formats.diffusers import DiffusersFolder, weight_files
from modelhub.formats.writer import write

MakeFile = Callable[..., Path]
PIPELINE = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.30.0",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    "feature_extractor": [None, None],
    "requires_safety_checker": True,
}


def put(path: Path, table: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table))


@pytest.fixture
def pipeline(tmp_path: Path, make_file: MakeFile) -> Path:
    folder = tmp_path / "pipe"
    put(folder / "model_index.json", PIPELINE)
    put(
        folder / "unet" / "config.json",
        {"in_channels": 9, "cross_attention_dim": 768, "guidance_embeds": False, "x": 1},
    )
    put(
        folder / "scheduler" / "scheduler_config.json",
        {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "num_train_timesteps": 1000},
    )
    make_file(folder / "unet" / "diffusion_pytorch_model.safetensors", {"conv_in.weight": np.ones((4, 9), np.float16)})
    make_file(folder / "text_encoder" / "model.safetensors", {"embed": np.zeros((2, 768), np.float32)})
    make_file(folder / "safety_checker" / "model.safetensors", {"concept": np.ones(3, np.float32)})
    return folder


def test_the_place_of_a_tensor_is_in_its_component(pipeline: Path):
    with DiffusersFolder(pipeline) as source:
        for name in source.header.tensors:
            descriptor, offset = source.place(name)
            assert os.pread(descriptor, source.info(name).nbytes, offset) == source.read_bytes(name)
        assert source.file_of("text_encoder.embed") == pipeline / "text_encoder" / "model.safetensors"


def test_a_pipeline_is_one_source_with_the_facts_of_its_configs(pipeline: Path, tmp_path: Path):
    with DiffusersFolder(pipeline) as source:
        assert source.header.shapes == {"text_encoder.embed": (2, 768), "unet.conv_in.weight": (4, 9)}
        assert source.header.metadata == {
            "diffusers.class": "StableDiffusionPipeline",
            "diffusers.unet": "UNet2DConditionModel",
            "diffusers.text_encoder": "CLIPTextModel",
            "diffusers.scheduler": "DDIMScheduler",
            "diffusers.tokenizer": "CLIPTokenizer",
            "diffusers.safety_checker": "StableDiffusionSafetyChecker",
            "diffusers.unet.in_channels": "9",
            "diffusers.unet.cross_attention_dim": "768",
            "diffusers.unet.guidance_embeds": "false",
            "diffusers.scheduler.num_train_timesteps": "1000",
            "diffusers.prediction_type": "v_prediction",
            "diffusers.rescale_betas_zero_snr": "true",
            "diffusers.left_out": "safety_checker",
        }
        assert [path.relative_to(pipeline).as_posix() for path in source.members] == [
            "unet/diffusion_pytorch_model.safetensors",
            "text_encoder/model.safetensors",
        ]
        assert source.read_bytes("unet.conv_in.weight") == np.ones((4, 9), np.float16).tobytes()
        written = write(source, tmp_path / "one.safetensors")
    assert written.tensors == 2


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        (["model.safetensors", "model.fp16.safetensors"], ["model.safetensors"]),
        (["pytorch_model.bin", "model.safetensors"], ["model.safetensors"]),
        (["pytorch_model.bin", "model.fp16.safetensors"], ["model.fp16.safetensors"]),
        (["pytorch_model.bin", "pytorch_model.fp16.bin"], ["pytorch_model.bin"]),
        (["model.non_ema.safetensors", "pytorch_model.fp16.bin"], ["pytorch_model.fp16.bin"]),
        (["model.non_ema.safetensors", "flax_model.msgpack"], ["model.non_ema.safetensors"]),
        (["diffusion_pytorch_model.safetensors", "model-00001-of-00001.safetensors"], ["diffusion_pytorch_model.safetensors"]),
        (
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.fp16.safetensors"],
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
        ),
        (
            ["model.fp16-00002-of-00002.safetensors", "model.fp16-00001-of-00002.safetensors", "pytorch_model.bin"],
            ["model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors"],
        ),
        (["openvino_model.bin", "model.onnx", "tf_model.h5", "model.safetensors.part", "Model.safetensors"], []),
    ],
)  # fmt: skip
def test_which_copy_of_a_component_is_taken(tmp_path: Path, there: Iterable[str], taken: list[str]):
    for name in there:
        (tmp_path / name).touch()
    (tmp_path / "diffusion_pytorch_model.bin").mkdir()
    assert [path.name for path in weight_files(tmp_path)] == taken


def test_shards_and_pickles_of_components(pipeline: Path, make_file: MakeFile):
    torch = pytest.importorskip("torch")
    (pipeline / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    for number in (1, 2):
        make_file(
            pipeline / "unet" / f"diffusion_pytorch_model-{number:05d}-of-00002.safetensors",
            {f"w{number}": np.full(2, number, np.float32)},
        )
    (pipeline / "text_encoder" / "model.safetensors").unlink()
    torch.save({"state_dict": {"embed": torch.ones(3)}}, pipeline / "text_encoder" / "pytorch_model.bin")
    with DiffusersFolder(pipeline) as source:
        assert source.header.shapes == {"unet.w1": (2,), "unet.w2": (2,), "text_encoder.embed": (3,)}
        assert source.tensor("text_encoder.embed").tolist() == [1, 1, 1]
        assert source.tensor("unet.w2").tolist() == [2, 2]
        assert len(source.members) == 3


def test_missing_shards_of_a_component_are_named(pipeline: Path, make_file: MakeFile):
    (pipeline / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    make_file(pipeline / "unet" / "diffusion_pytorch_model-00002-of-00002.safetensors", {"w": np.ones(1)})
    with pytest.raises(CorruptFileError, match="there is no diffusion_pytorch_model-00001-of-00002.safetensors"):
        DiffusersFolder(pipeline)


@pytest.mark.parametrize(
    ("config", "metadata"),
    [
        (
            {"_class_name": "AutoencoderKL", "sample_size": 512, "in_channels": 3},
            {"diffusers.class": "AutoencoderKL", "diffusers.sample_size": "512", "diffusers.in_channels": "3"},
        ),
        ({"architectures": ["T5EncoderModel"]}, {"diffusers.class": "T5EncoderModel"}),
        (
            {"_class_name": "UNet2DConditionModel", "cross_attention_dim": [320, 640], "sample_size": {"a": 1}},
            {"diffusers.class": "UNet2DConditionModel", "diffusers.cross_attention_dim": "[320, 640]"},
        ),
    ],
)
def test_a_component_alone_keeps_its_bare_names(tmp_path: Path, make_file: MakeFile, config: Any, metadata: Any):
    put(tmp_path / "one" / "config.json", config)
    make_file("one/diffusion_pytorch_model.safetensors", {"w": np.ones(2)})
    with DiffusersFolder(tmp_path / "one") as source:
        assert dict(source.header.metadata) == metadata
        assert list(source.header.tensors) == ["w"]


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ("[]", "no table"),
        ("{", "not valid JSON"),
        ("[" * 15_000, "not valid JSON"),
        ('{"_class_name":"X"}', "without weights"),
        ('{"unet":["diffusers","X"]}', "without weights"),
        ('{"../unet":["diffusers","X"]}', "which is no folder in it"),
        ('{"a/b":["diffusers","X"]}', "which is no folder in it"),
        ('{"..":["diffusers","X"]}', "which is no folder in it"),
        ('{"":["diffusers","X"]}', "which is no folder in it"),
        (json.dumps({f"c{i}": ["a", "b"] for i in range(65)}), "names 65 components"),
    ],
)
def test_an_index_of_nonsense_is_refused(tmp_path: Path, index: str, words: str):
    (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(CorruptFileError, match=words) as caught:
        DiffusersFolder(tmp_path)
    assert str(tmp_path) in caught.value.message


def test_facts_of_odd_types_are_left_out_or_short(pipeline: Path):
    odd = {"in_channels": {"a": 1}, "cross_attention_dim": ["x"], "sample_size": "y" * 999, "guidance_embeds": None}
    put(pipeline / "unet" / "config.json", odd)
    with DiffusersFolder(pipeline) as source:
        facts = {name: value for name, value in source.header.metadata.items() if name.startswith("diffusers.unet.")}
    assert facts == {"diffusers.unet.sample_size": "y" * 200}


def test_folders_of_something_else(tmp_path: Path, make_file: MakeFile):
    with pytest.raises(NotAModelError, match="neither model_index.json nor config.json"):
        DiffusersFolder(tmp_path)
    put(tmp_path / "config.json", {"model": "x"})
    make_file("model.safetensors", {"w": np.ones(1)})
    with pytest.raises(NotAModelError, match="names no class"):
        DiffusersFolder(tmp_path)
    with pytest.raises(FileError):
        DiffusersFolder(tmp_path / "none")


@needs_descriptors
def test_a_broken_member_is_named_and_nothing_stays_open(pipeline: Path):
    member = pipeline / "text_encoder" / "model.safetensors"
    member.write_bytes(b"<html>")
    with pytest.raises(FileError, match="text_encoder"):
        DiffusersFolder(pipeline)
    assert files_open_below(pipeline) == []


def test_what_diffusers_saves_is_what_we_read(tmp_path: Path):
    diffusers = pytest.importorskip("diffusers")
    torch = pytest.importorskip("torch")
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=12, attention_head_dim=4,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, sample_size=8)
    parts = {"unet": unet, "vae": vae}
    unet.save_pretrained(tmp_path / "pipe" / "unet", max_shard_size="50KB")
    vae.save_pretrained(tmp_path / "pipe" / "vae", safe_serialization=False)
    diffusers.DDIMScheduler(prediction_type="v_prediction").save_pretrained(tmp_path / "pipe" / "scheduler")
    index = {name: ["diffusers", type(part).__name__] for name, part in parts.items()}
    put(
        tmp_path / "pipe" / "model_index.json",
        {"_class_name": "X", "scheduler": ["diffusers", "DDIMScheduler"], **index},
    )
    with DiffusersFolder(tmp_path / "pipe") as source:
        expected = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
        assert set(source.header.tensors) == set(expected)
        assert all(torch.equal(source.tensor(key), value) for key, value in expected.items())
        assert len(source.members) > 3
        assert source.header.metadata["diffusers.prediction_type"] == "v_prediction"
        assert source.header.metadata["diffusers.unet.cross_attention_dim"] == "12"
    with DiffusersFolder(tmp_path / "pipe" / "unet") as alone:
        assert set(alone.header.tensors) == set(unet.state_dict())
        assert alone.header.metadata["diffusers.class"] == "UNet2DConditionModel"
