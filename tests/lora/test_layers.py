"""Layers by the names of adapters: the rows that a file has for a module are the weights of the library's own module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tiny_pipelines as tiny
import torch

from modelhub.catalog.adapter_names import place
from modelhub.catalog.folder.single_file import single_file
from modelhub.catalog.identify import identify
from modelhub.formats.opening import open_source
from modelhub.formats.source import TensorSource
from modelhub.lora.layers import Layers, Stretch
from modelhub.lora.names import named_layers

ONE_LEVEL_LESS = {
    "block_out_channels": (8, 16), "layers_per_block": 1, "mid_block_type": None,
    "down_block_types": ("CrossAttnDownBlock2D",) * 2, "up_block_types": ("CrossAttnUpBlock2D",) * 2,
}  # fmt: skip
CASES: dict[str, dict[str, Callable[[], Any]]] = {
    **tiny.PIPELINES,
    "sd1-distilled": {**tiny.PIPELINES["sd1"], "unet": partial(tiny.unet, **ONE_LEVEL_LESS)},
    "sdxl-three-deep": {**tiny.PIPELINES["sdxl"], "unet": partial(tiny.xl_unet, layers_per_block=3)},
    "refiner": {
        "unet": tiny.refiner_unet, "vae": tiny.vae, "text_encoder_2": partial(tiny.clip, projection=True, **tiny.BIG)
    },
    "flux-wide": {
        "transformer": partial(tiny.flux, attention_head_dim=12, num_attention_heads=3, axes_dims_rope=(4, 4, 4)),
    },
}  # fmt: skip
#: Adapters of text encoders, by the folders of each case.
KOHYA = {
    "sd1": {"text_encoder": "lora_te_"}, "sd1-distilled": {"text_encoder": "lora_te_"},
    "sd2": {"text_encoder": "lora_te_"}, "refiner": {"text_encoder_2": "lora_te_"},
    "sdxl": {"text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"},
    "sdxl-three-deep": {"text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"},
    "flux": {"text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}, "flux-wide": {},
    "sd3": {"text_encoder": "lora_te1_", "text_encoder_3": "lora_te3_"},
}  # fmt: skip


class File(NamedTuple):
    """A pipeline in one layout."""

    source: TensorSource
    layers: Layers

    def values(self, stretches: tuple[Stretch, ...]) -> torch.Tensor:
        parts = [self.source.tensor(one.tensor)[one.start : one.start + one.count] for one in stretches]
        return torch.cat(parts)


class Pipe(NamedTuple):
    name: str
    modules: Mapping[str, Any]
    files: tuple[File, File]


@pytest.fixture(scope="module", params=CASES)
def pipe(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipe]:
    """Folder and single file of the same pipeline."""
    modules = {name: tiny.randomise(make(), seed) for seed, (name, make) in enumerate(CASES[request.param].items())}
    folder: Path = tiny.save(tmp_path_factory.mktemp("pipe"), modules)
    with open_source(folder) as source:
        identity = identify(source.header, form="diffusers")
        view, _, _ = single_file(source, identity)
        files = (
            File(source, Layers(source.header, identity)),
            File(view, Layers(view.header, identify(view.header))),
        )
        yield Pipe(request.param, modules, files)


def _modules(pipe: Pipe) -> Iterator[tuple[str, str, Any]]:
    """Folder, name and module of everything with a weight that adapters may change, but embeddings."""
    for folder, whole in pipe.modules.items():
        for name, module in whole.named_modules() if folder != "vae" else ():
            weight = getattr(module, "weight", None)
            if weight is not None and not isinstance(module, torch.nn.Embedding):
                yield folder, _full(folder, name), module


def _full(folder: str, name: str) -> str:
    """The names that adapters have for text encoders of transformers, whose newer versions leave out a word."""
    clip = name.startswith(("encoder.layers", "embeddings", "final_layer_norm"))
    return f"text_model.{name}" if folder != "transformer" and clip else name


def _spellings(pipe: Pipe, folder: str, name: str) -> Iterator[str]:
    """How adapters spell a module of diffusers or transformers."""
    flat = name.replace(".", "_")
    if pipe.name == "refiner" and folder == "text_encoder_2":
        yield KOHYA["refiner"]["text_encoder_2"] + flat
    elif folder in ("unet", "transformer"):
        yield from (f"{folder}.{name}", f"lora_unet_{flat}", f"lora_unet__{flat}", f"lora_transformer_{flat}", name)
        yield from (f"lycoris_{flat}", f"base_model.model.{name}", f"{folder}.base_model.model.{name}")
        yield f"diffusion_model.{name}"
    else:
        yield from (f"{folder}.{name}", KOHYA[pipe.name][folder] + flat)


def test_every_module_has_its_weights_in_both_layouts(pipe: Pipe) -> None:
    count = 0
    for folder, name, module in _modules(pipe):
        for spelled in _spellings(pipe, folder, name):
            for file in pipe.files:
                layer = file.layers.find(place(spelled))
                assert layer is not None, spelled
                weight = file.values(layer.stretches)
                assert tuple(module.weight.shape) == layer.shape, spelled
                assert torch.equal(weight.T if layer.turned else weight, module.weight), spelled
                if getattr(module, "bias", None) is not None:
                    assert torch.equal(file.values(layer.bias), module.bias), spelled
        count += 1
    assert count > 50


def test_named_layers_of_peft_are_the_modules_of_the_libraries(pipe: Pipe) -> None:
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    wanted = {f"{folder}.{name}" for folder, name, module in _modules(pipe) if isinstance(module, kinds)}
    for file in pipe.files:
        found = [one.module for one in named_layers(file.layers, "peft")]
        assert len(found) == len(set(found))
        assert set(found) == wanted
        for one in named_layers(file.layers, "peft"):
            if pipe.name != "refiner" or one.layer.label == "unet":  # so narrow, its text encoder passes for CLIP-L
                assert file.layers.find(place(one.module)) == one.layer


def test_named_layers_of_kohya_are_found_again_and_cover_each_row_once(pipe: Pipe) -> None:
    every = []
    for file in pipe.files:
        rows: set[tuple[str, int]] = set()
        names = list(named_layers(file.layers, "kohya"))
        every.append({one.module for one in names})
        for one in names:
            assert file.layers.find(place(one.module)) == one.layer
            covered = {
                (row.tensor, at) for row in one.layer.stretches for at in range(row.start, row.start + row.count)
            }
            assert not rows & covered, one.module
            rows |= covered
    assert every[0] == every[1]
