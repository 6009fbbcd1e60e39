"""The lists of tensors: those of the released models, and what they let pass."""

from __future__ import annotations

import lzma
import subprocess
import sys
from math import prod
from pathlib import Path

import pytest
from layouts_helper import layout

from modelhub.catalog.data import data_path
from modelhub.catalog.keymaps import keymap
from modelhub.catalog.networks import Row, listed, network, read_network
from modelhub.errors import CorruptFileError

ROOT = Path(__file__).parents[2]


def test_every_list_has_an_architecture():
    assert set(listed()) == {
        "ae-16ch", "clip-g", "clip-l", "flux1", "kl-f8-4ch", "openclip-h",
        "sd1", "sd2", "sd3", "sdxl", "sdxl-refiner", "t5xxl",
    }  # fmt: skip
    assert all(data_path("architectures", f"{name}.toml").is_file() for name in listed())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("sd1", 859_520_964),
        ("kl-f8-4ch", 83_653_863),
        ("clip-l", 123_060_480),
        ("sdxl", 2_567_463_684),
        ("flux1", 11_901_408_320),
    ],
)
def test_sizes_add_up_to_the_published_numbers(name, parameters):
    released = {
        "input_blocks.0.0.weight": 4,
        "img_in.weight": 64,
        "text_model.embeddings.position_embedding.weight": 77,
    }
    sizes = [prod(released[n] if size is None else size for size in row.shape) for n, row in network(name).items()]
    assert sum(sizes) == parameters


def test_the_refiner_has_every_module_that_adapters_change():
    rows = network("sdxl-refiner")
    modules = [one for one in keymap("sdxl-refiner").values() if one.component == "denoiser" and one.part is None]
    assert len({one.tensor for one in modules}) > 500
    for one in modules:
        shape = rows[one.tensor.removeprefix("model.diffusion_model.")].shape
        assert shape[:2] == (one.out_size, one.in_size) or None in shape, one.tensor


def test_the_refiner_is_the_network_that_diffusers_builds():
    """Built from the published config, it has tensors of just these sizes."""
    import torch
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        built = UNet2DConditionModel(
            block_out_channels=(384, 768, 1536, 1536),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=4,
            attention_head_dim=(6, 12, 24, 24),
            cross_attention_dim=1280,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2560,
            use_linear_projection=True,
        )
    ours = [prod(4 if size is None else size for size in row.shape) for row in network("sdxl-refiner").values()]
    theirs = [parameter.numel() for parameter in built.parameters()]
    assert sorted(ours) == sorted(theirs)


def test_the_script_makes_what_is_shipped(tmp_path):
    subprocess.run([sys.executable, ROOT / "scripts" / "networks.py", tmp_path], check=True, capture_output=True)
    for path in sorted(data_path("networks").glob("*.tsv.xz")):
        assert lzma.decompress((tmp_path / path.name).read_bytes()) == lzma.decompress(path.read_bytes()), path.name


def test_variants_fit_the_same_row():
    row = network("sd1")["input_blocks.0.0.weight"]
    assert [row.fits((320, channels, 3, 3)) for channels in (4, 8, 9)] == [True] * 3
    assert not row.fits((321, 4, 3, 3))
    assert not row.fits((320, 4, 3))


def test_a_matrix_may_be_a_convolution_of_one_point():
    assert Row((512, 512, 1, 1)).fits((512, 512))
    assert Row((512, 512)).fits((512, 512, 1, 1))
    assert not Row((512, 512)).fits((512, 256, 2))


def test_what_good_files_lack_is_optional():
    optional = {name for name, row in network("flux1").items() if row.optional}
    assert set(layout("flux-dev")) - set(layout("flux-schnell")) == optional
    assert network("openclip-h")["logit_scale"].optional


def test_no_list_is_no_error():
    assert network("wan") == {}


@pytest.mark.parametrize("content", [b"", b"not xz", lzma.compress(b"a\tx,y\n"), lzma.compress(b"\xff\t1\n")])
def test_a_broken_list_is_named(tmp_path, content):
    path = tmp_path / "sd1.tsv.xz"
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match="sd1"):
        read_network(path)
