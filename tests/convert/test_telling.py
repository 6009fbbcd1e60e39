"""However many steps a conversion takes, each tensor is in one part of what is told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import gguf
import numpy as np
import pytest
import tiny_pipelines as tiny
from safetensors.numpy import load_file, save_file

from modelhub.catalog.identify import identify
from modelhub.convert.conversion import Conversion, carry_out
from modelhub.convert.converting import Options, planned
from modelhub.convert.prune.pruning import Pruning, prune
from modelhub.formats.opening import open_source
from modelhub.formats.watching import stats_of

Q8 = gguf.GGMLQuantizationType.Q8_0


def packed(path: Path, names: dict[str, bool]) -> Path:
    """A GGUF file of these tensors, in blocks or as they are."""
    writer = gguf.GGUFWriter(path, "flux")
    for name, in_blocks in names.items():
        data = np.linspace(-1, 1, 64 * 64, dtype="f4").reshape(64, 64)
        writer.add_tensor(name, gguf.quantize(data, Q8) if in_blocks else data, raw_dtype=Q8 if in_blocks else None)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    return path


def once(conversion: Conversion, names: set[str]) -> None:
    told = Counter(name for part in conversion.parts for name in part.names)
    assert set(told) == names and set(told.values()) == {1}


@pytest.mark.parametrize("dtype", ["fp16", "fp32"])
def test_blocks_in_another_precision(tmp_path: Path, dtype: str) -> None:
    path = packed(tmp_path / "a.gguf", {"one": True, "two": True, "plain": False})
    with planned(path, Options(dtype=dtype)) as conversion, open_source(path) as source:
        once(conversion, {"one", "two", "plain"})
        assert sum(part.size for part in conversion.parts) == source.header.data_size, "as the file has them"
        pruned = prune(source, identify(source.header, form="gguf"), Pruning(dtype=dtype), stats_of([path]))
        once(pruned, {"one", "two", "plain"})
        reasons = {name: part.reason for part in conversion.parts for name in part.names}
        assert {name: part.reason for part in pruned.parts for name in part.names} == reasons
        assert ("Q8_0" in reasons["one"]) is (dtype == "fp16") and reasons["one"] != "bit for bit"
        assert [part.action for part in pruned.parts if "one" in part.names] == ["change"]


def test_a_pipeline_in_another_precision(tmp_path: Path) -> None:
    folder = tiny.save(tmp_path / "pipe", {"unet": tiny.unet(), "vae": tiny.vae(), "text_encoder": tiny.clip()})
    with planned(folder, Options()) as conversion:
        whole = carry_out(conversion, tmp_path / "whole.safetensors")
        names = {name for part in whole.conversion.parts for name in part.names}
    with planned(folder, Options(dtype="fp16")) as conversion:
        once(conversion, names)
        by_role = {part.what: part for part in conversion.parts if part.action == "change"}
        assert by_role["denoiser (unet)"].reason == "fp32 to fp16; renamed to model.diffusion_model.*"
        assert by_role["VAE (vae)"].reason.startswith("stays in fp32 unless --vae-dtype says another; renamed to ")
        carry_out(conversion, tmp_path / "half.safetensors")
    found, plain = load_file(tmp_path / "half.safetensors"), load_file(tmp_path / "whole.safetensors")
    assert found.keys() == plain.keys()
    for name, value in plain.items():
        goal = "f4" if name.startswith("first_stage_model.") or value.dtype != np.float32 else "f2"
        wanted = value.astype(goal) if value.dtype == np.float32 else value
        assert found[name].dtype == wanted.dtype and np.array_equal(found[name], wanted), name


def test_the_dtypes_are_those_of_the_file(tmp_path: Path) -> None:
    tensors = {"a": np.ones((4, 4), "f4"), "b": np.ones((4, 4), "f8"), "c": np.ones(3, "i8")}
    save_file(tensors, tmp_path / "a.safetensors")
    with planned(tmp_path / "a.safetensors", Options(dtype="bf16")) as conversion:
        once(conversion, set(tensors))
        (changed,) = [part for part in conversion.parts if part.action == "change"]
    assert changed.reason == "fp64 and fp32 to bf16" and changed.size == 192
