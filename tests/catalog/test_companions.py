"""Companions: what a model needs beside its denoiser, where files keep it, and which files of a catalog have it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.catalog.architectures import architecture
from modelhub.catalog.companions import find, parts_of, place, table, title, where_to_get
from modelhub.catalog.identity import Component
from modelhub.catalog.store import Catalog
from modelhub.scan.run import scan

MakeFile = Callable[..., Path]


@pytest.mark.parametrize(
    ("family", "parts"),
    [
        ("sd1", ("clip-l", "vae")),
        ("sd2", ("openclip-h", "vae")),
        ("sdxl", ("clip-l", "clip-g", "vae")),
        ("sdxl-refiner", ("clip-g", "vae")),
        ("flux1", ("clip-l", "t5xxl", "vae")),
    ],
)
def test_what_goes_with_a_denoiser(family: str, parts: tuple[str, ...]) -> None:
    assert parts_of(family) == parts
    for part in parts:
        assert title(part).startswith("the ")


def test_the_data_names_architectures_that_there_are() -> None:
    for family, places in table()["places"].items():
        architecture(family)
        for part in places:
            assert architecture(part).role == "text_encoder"
            assert part in table()["encoders"][family]
    for key, source in table()["sources"].items():
        for word in key.split():
            assert word == "vae" or architecture(word)
        owner, slash, rest = source.partition("/")
        assert owner and slash and rest.count(":") == 1 and source == where_to_get(*(["", *key.split()][-2:]))


def components(*prefixes: tuple[str, str | None]) -> list[Component]:
    return [Component("text_encoder", known, prefix, 1, 1) for prefix, known in prefixes]


def test_text_encoders_are_told_by_where_they_stand() -> None:
    """Small ones all have the structure of CLIP-L: their prefixes tell them apart."""
    both = components(("conditioner.embedders.0.transformer.", "clip-l"), ("conditioner.embedders.1.model.", "clip-l"))
    for part, expected in zip(("clip-l", "clip-g"), both, strict=True):
        assert place(both, "sdxl", part) is expected
    assert place(both[1:], "sdxl", "clip-l") is None
    assert place(components(("text_encoder_2.", "clip-g")), "sdxl", "clip-g") is not None
    assert place(components(("cond_stage_model.model.", "clip-l")), "sd2", "openclip-h") is not None
    assert place([Component("vae", None, "vae.", 1, 1)], "flux1", "vae") is not None
    assert place([], "flux1", "vae") is None


VAE = {"decoder.conv_in.weight": (512, 4, 3, 3), "decoder.mid.block_1.conv1.weight": (1, 1, 3, 3)}


def shaped(shapes: dict[str, tuple[int, ...]], fill: float = 0.0) -> dict[str, Any]:
    return {name: np.full(shape, fill, np.float16) for name, shape in shapes.items()}


def whole() -> dict[str, Any]:
    """A checkpoint of SD1, hardly more than its signature."""
    unet = {
        "input_blocks.0.0.weight": (32, 4, 3, 3),
        "input_blocks.1.1.proj_in.weight": (32, 32, 1, 1),
        "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (32, 24),
        "output_blocks.3.1.transformer_blocks.0.attn2.to_k.weight": (32, 24),
    }
    found = {f"model.diffusion_model.{name}": shape for name, shape in unet.items()}
    found |= {f"first_stage_model.{name}": shape for name, shape in VAE.items()}
    clip = "cond_stage_model.transformer.text_model."
    found |= {
        clip + "encoder.layers.0.mlp.fc1.weight": (3072, 768),
        clip + "embeddings.token_embedding.weight": (9, 768),
    }
    return shaped(found)


@pytest.fixture
def catalog(make_file: MakeFile, tmp_path: Path) -> Callable[[dict[str, dict[str, Any]]], Catalog]:
    def make(files: dict[str, dict[str, Any]]) -> Catalog:
        for fill, (name, tensors) in enumerate(files.items()):
            make_file(tmp_path / "models" / name, {key: value + np.float16(fill) for key, value in tensors.items()})
        found = Catalog.open()
        scan(found, [tmp_path / "models"])
        return found

    return make


def test_a_vae_is_found_by_whose_latents_it_has(catalog: Any) -> None:
    vae = shaped(VAE)
    files = {
        "sdxl_vae.safetensors": vae,
        "a.safetensors": vae,
        "vae-ft-mse-840000.safetensors": vae,
        "w.safetensors": whole(),
    }
    with catalog(files) as found:
        assert [asset.kind for asset in found.find(sort="name")] == ["vae", "vae", "vae", "checkpoint"]
        best = {family: find(found, family, "vae") for family in ("sd1", "sdxl", "flux1")}
        assert best["sd1"] and best["sd1"].name == "vae-ft-mse-840000.safetensors"
        assert best["sdxl"] and best["sdxl"].name == "sdxl_vae.safetensors"
        assert best["flux1"] is None


def test_a_checkpoint_comes_before_a_vae_that_nobody_knows(catalog: Any) -> None:
    with catalog({"a.safetensors": shaped(VAE), "w.safetensors": whole()}) as found:
        inside, unclear = find(found, "sd1", "vae"), find(found, "sdxl", "vae")
        assert inside and inside.name == "w.safetensors"
        assert unclear and unclear.name == "a.safetensors"


def test_a_text_encoder_alone_comes_first(catalog: Any) -> None:
    clip = shaped(
        {
            "text_model.encoder.layers.0.mlp.fc1.weight": (3072, 768),
            "text_model.embeddings.token_embedding.weight": (9, 768),
        }
    )
    long = {**clip, "text_model.embeddings.position_embedding.weight": np.zeros((248, 768), np.float16)}
    with catalog({"long.safetensors": long, "w.safetensors": whole()}) as found:
        inside = find(found, "sd1", "clip-l")
        assert inside and inside.name == "w.safetensors"
        assert find(found, "flux1", "clip-l") is None
    with catalog({"long.safetensors": long, "w.safetensors": whole(), "z.safetensors": clip}) as found:
        for family in ("sd1", "sdxl", "flux1"):
            best = find(found, family, "clip-l")
            assert best and best.name == "z.safetensors"


def test_what_is_gone_is_not_found(catalog: Any, tmp_path: Path) -> None:
    with catalog({"sdxl_vae.safetensors": shaped(VAE)}) as found:
        (tmp_path / "models" / "sdxl_vae.safetensors").unlink()
        scan(found, [tmp_path / "models"])
        assert find(found, "sdxl", "vae") is None
