"""Packed files made plain: the numbers, what is said of it, what the result is taken for, and what is refused."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors import safe_open

from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.catalog.unpacking import unpacked
from modelhub.convert.conversion import Conversion, carry_out
from modelhub.errors import CorruptFileError, IncompatibleError, UsageError
from modelhub.formats.cast import Cast
from modelhub.formats.header import BLOCKS, Header
from modelhub.formats.opening import open_source
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Held
from modelhub.formats.watching import stats_of

LAYOUTS = Path(__file__).parents[1] / "data" / "layouts"
E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2
Entry = tuple[str, tuple[int, ...]]
Gguf = Callable[..., Path]


class Bare(TensorSource):
    """A header, and the bytes of a few small tensors; the others cannot be read."""

    def __init__(self, tensors: Mapping[str, Entry], data: Mapping[str, bytes], metadata: Mapping[str, str]) -> None:
        self.header = Header.of(((name, *entry) for name, entry in tensors.items()), metadata)
        self.data = data

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        buffer[:] = self.data[name][offset : offset + len(buffer)]


def what(source: TensorSource) -> Identity:
    return identify(source.header)


def layout(name: str) -> dict[str, Entry]:
    table = json.loads(lzma.decompress((LAYOUTS / f"{name}.json.xz").read_bytes()))
    return {tensor: (dtype, tuple(shape)) for tensor, (dtype, *shape) in table.items()}


@pytest.fixture
def write_gguf(tmp_path: Path) -> Gguf:
    """`write_gguf({name: array | (type, array)}, key=text)`: a file written by the package gguf."""

    def make(tensors: Mapping[str, Any], architecture: str = "flux", **texts: str) -> Path:
        writer = gguf.GGUFWriter(tmp_path / "a.gguf", architecture)
        writer.add_file_type(15)
        writer.add_quantization_version(2)
        for key, value in texts.items():
            writer.add_string(f"general.{key}", value)
        for name, tensor in tensors.items():
            kind, array = tensor if isinstance(tensor, tuple) else (None, tensor)
            packed = gguf.quants.quantize(array, gguf.GGMLQuantizationType[kind]) if kind else array
            writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType[kind] if kind else None)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return tmp_path / "a.gguf"

    return make


def array(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def test_a_gguf_becomes_plain_floats(write_gguf: Gguf, tmp_path: Path):
    one, two, norm = array(4, 256), array(3, 64), array(7).astype(np.float16)
    path = write_gguf(
        {"a.weight": ("Q8_0", one), "b.weight": ("Q4_0", two), "c.weight": ("Q8_0", two), "n": norm}, name="X"
    )
    with open_source(path) as source:
        view, parts, warnings = unpacked(source, what(source))
        carry_out(Conversion(view, stats_of([path]), parts, warnings), tmp_path / "b.safetensors")
    tensors, metadata = read(tmp_path / "b.safetensors")
    for name, kind, weights in (("a", "Q8_0", one), ("b", "Q4_0", two), ("c", "Q8_0", two)):
        number = gguf.GGMLQuantizationType[kind]
        want = gguf.quants.dequantize(gguf.quants.quantize(weights, number), number)
        np.testing.assert_array_equal(tensors[f"{name}.weight"].numpy(), want)
    assert tensors["n"].dtype == torch.float16 and (tensors["n"].numpy() == norm).all()
    assert metadata == {"format": "pt", "general.architecture": "flux", "general.name": "X"}
    assert [(one.action, one.what, one.names) for one in parts] == [
        ("change", "weights in blocks of Q8_0", ("a.weight", "c.weight")),
        ("change", "weights in blocks of Q4_0", ("b.weight",)),
    ]
    assert parts[0].size == (4 * 256 + 3 * 64) // 32 * 34 and "lost precision stays lost" in parts[0].reason
    assert len(warnings) == 1 and "grows" in warnings[0]


def test_a_convolution_that_was_flattened_has_its_shape_back(tmp_path: Path):
    """ComfyUI's converter stores 3x3 kernels as rows, and their shape in the metadata."""
    kernel = array(64, 4, 3, 3)
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "sdxl")
    writer.add_array("comfy.gguf.orig_shape.conv.weight", kernel.shape)
    packed = gguf.quants.quantize(kernel.reshape(-1, 256), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("conv.weight", packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with open_source(tmp_path / "a.gguf") as source:
        found = unpacked(source, what(source))[0].tensor("conv.weight").numpy()
    want = gguf.quants.dequantize(packed, gguf.GGMLQuantizationType.Q8_0)
    np.testing.assert_array_equal(found, want.reshape(kernel.shape))


def test_nothing_is_read_before_it_is_asked_for(write_gguf: Gguf):
    path = write_gguf({"a.weight": ("Q8_0", array(4, 256))})
    with open_source(path) as source:
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size - 100)
        view, _, _ = unpacked(source, what(source))
        assert view.read_range(0, 8) == view.header.encoded[:8]
        with pytest.raises(CorruptFileError, match="became shorter"):
            view.read_bytes("a.weight")


def test_a_t5_encoder_of_llama_cpp_gets_its_usual_names():
    of_llama = gguf.get_tensor_name_map(gguf.MODEL_ARCH.T5ENCODER, 24)
    usual = {name: shape for name, (_, shape) in layout("t5xxl").items() if name != "encoder.embed_tokens.weight"}
    tensors = {of_llama.get_name(name, (".weight",)): ("Q5_K" if len(s) > 1 else "F32", s) for name, s in usual.items()}
    source = Bare(
        tensors,
        {},
        {"general.architecture": "t5encoder", "gguf.version": "3", "gguf.arrays": "3", "gguf.long_texts": "0"},
    )
    before = identify(source.header, form="gguf")
    view, parts, warnings = unpacked(source, before)
    after = what(view)
    assert view.header.shapes == usual
    assert (before.architecture, before.layout, before.facts["quantisation"]) == (
        "t5xxl",
        "llama.cpp",
        {"gguf": "Q5_K"},
    )
    assert (after.architecture, after.layout, after.parameters) == ("t5xxl", "hf", before.parameters)
    assert "quantisation" not in after.facts
    assert [one.what for one in parts] == ["weights in blocks of Q5_K", "names of llama.cpp"]
    assert view.header.metadata == {"general.architecture": "t5encoder", "format": "pt"}
    assert any("3 lists" in one for one in warnings)


def test_a_language_model_keeps_its_names_and_this_is_said(write_gguf: Gguf):
    path = write_gguf(
        {"token_embd.weight": ("Q8_0", array(4, 64)), "blk.0.attn_q.weight": ("Q8_0", array(4, 64))}, "llama"
    )
    with open_source(path) as source:
        view, _, warnings = unpacked(source, what(source))
        assert set(view.header.tensors) == set(source.header.tensors)
        assert any("keep the names of llama.cpp" in one for one in warnings)


def test_a_gguf_without_blocks_loses_only_what_is_true_of_gguf(write_gguf: Gguf):
    with open_source(write_gguf({"a": array(3)})) as source:
        view, parts, warnings = unpacked(source, what(source))
        assert view.header.metadata == {"general.architecture": "flux", "format": "pt"}
        assert (parts, warnings) == ([], []) and view.place("a") == source.place("a")


SCALED = {
    "a.weight": torch.linspace(-400, 400, 24).reshape(4, 6).to(E4M3), "a.scale_weight": torch.tensor(0.01),
    "a.scale_input": torch.tensor(1.0), "a.bias": torch.ones(4, dtype=torch.float16), "scaled_fp8": torch.zeros(2).to(E4M3),
    "b.weight": torch.linspace(-9, 9, 24).reshape(4, 6).to(E5M2), "b.scale_weight": torch.arange(4.0) + 1,
    "c.weight": torch.linspace(-1, 1, 24).reshape(4, 6).to(E4M3), "c.scale": torch.tensor([[2.0]]),
    "norm.scale": torch.ones(4),
}  # fmt: skip


def test_scaled_fp8_becomes_plain_floats(make_file, tmp_path: Path):
    path = make_file("a.safetensors", SCALED, {"keep": "me", "_quantization_metadata": "{}"})
    with open_source(path) as source:
        view, parts, warnings = unpacked(source, what(source))
        carry_out(Conversion(view, stats_of([path]), parts, warnings), tmp_path / "b.safetensors")
    tensors, metadata = read(tmp_path / "b.safetensors")
    assert metadata == {"format": "pt", "keep": "me"}
    assert set(tensors) == {"a.weight", "b.weight", "c.weight", "a.bias", "norm.scale"}
    assert torch.equal(tensors["a.weight"], SCALED["a.weight"].float() * 0.01)
    assert torch.equal(tensors["b.weight"], SCALED["b.weight"].float() * SCALED["b.scale_weight"][:, None])
    assert torch.equal(tensors["c.weight"], SCALED["c.weight"].float() * 2)
    assert {one.what: (one.action, one.names) for one in parts} == {
        "weights with scales": ("change", ("a.weight", "b.weight", "c.weight")),
        "scales of weights": ("drop", ("a.scale_weight", "b.scale_weight", "c.scale")),
        "scales of inputs": ("drop", ("a.scale_input",)),
        "marks of packed weights": ("drop", ("scaled_fp8",)),
    }


def test_floats_are_rounded_once_and_what_is_not_finite_is_counted(make_file):
    """As `convert --dtype fp16` chains it: the product in float32, then one rounding."""
    tensors = {
        "a.weight": SCALED["a.weight"], "a.scale_weight": torch.tensor(1 / 3),
        "b.weight": SCALED["b.weight"], "b.scale_weight": torch.tensor([1, float("nan"), 1e9, float("inf")]),
    }  # fmt: skip
    with open_source(make_file("a.safetensors", tensors)) as source:
        view = Cast(unpacked(source, what(source))[0], {"a.weight": "F16", "b.weight": "F16"})
        assert torch.equal(view.tensor("a.weight"), (SCALED["a.weight"].float() * tensors["a.scale_weight"]).half())
        want = (SCALED["b.weight"].float() * tensors["b.scale_weight"][:, None]).half()
        assert np.array_equal(view.tensor("b.weight").numpy(), want.numpy(), equal_nan=True)
        assert view.findings["b.weight"].not_finite == 18 and view.findings["b.weight"].overflowed == 6
        assert "a.weight" not in view.findings


def comfy(form: str | None = "float8_e4m3fn", **changed: torch.Tensor) -> dict[str, torch.Tensor]:
    """A layer as newer versions of ComfyUI save it."""
    said = torch.tensor(list(json.dumps({"format": form}).encode()), dtype=torch.uint8)
    names = {key.replace("_of_", "."): value for key, value in changed.items()}
    return {"a.weight": torch.ones(4, 6).to(E4M3), "a.weight_scale": torch.tensor(3.0), "a.comfy_quant": said, **names}


def test_layers_of_newer_comfyui(make_file):
    path = make_file("a.safetensors", comfy(a_of_input_scale=torch.tensor(1.0)))
    with open_source(path) as source:
        view, parts, _ = unpacked(source, what(source))
        assert torch.equal(view.tensor("a.weight"), torch.full((4, 6), 3.0))
        assert list(view.header.tensors) == ["a.weight"]
        assert sum(len(one.names) for one in parts) == 4


@pytest.mark.parametrize("tensors", [
    {"a.weight": torch.ones(4, 6).to(E4M3), "b": torch.ones(2)},
    {"a.weight": torch.ones(4, 6).half(), "a.weight_scale": torch.ones(4), "a.scale": torch.ones(4)},
    {"norm.scale": torch.ones(4), "norm.weight": torch.ones(4, dtype=torch.bfloat16)},
])  # fmt: skip
def test_what_is_plain_comes_back_as_it_is(make_file, tensors: dict[str, torch.Tensor]):
    with open_source(make_file("a.safetensors", tensors, {"gguf.arrays": "many"})) as source:
        assert unpacked(source, what(source)) == (source, [], [])


def test_fp8_without_a_scale_beside_fp8_with_one_is_said(make_file):
    tensors = {**SCALED, "d.weight": torch.ones(2, 2).to(E4M3), "e.weight": torch.ones(2, 2).to(E5M2)}
    with open_source(make_file("a.safetensors", tensors)) as source:
        view, _, warnings = unpacked(source, what(source))
        assert view.info("d.weight").dtype == "F8_E4M3"
        assert any("2 fp8 weights without a scale" in one for one in warnings)


W8, ONE, TWO = torch.ones(4, 6).to(E4M3), torch.tensor(1.0), torch.tensor(2.0)
REFUSED: dict[str, tuple[dict[str, torch.Tensor], str]] = {
    "a scale per column": ({"a.weight": W8, "a.scale_weight": torch.ones(6)}, r"'a.scale_weight' of F32 \[6\] does not fit"),
    "a scale per block": ({"a.weight": W8, "a.weight_scale": torch.ones(4, 3)}, "does not fit the weight 'a.weight'"),
    "scales in bytes": ({"a.weight": W8, "a.weight_scale": torch.ones(4, 3, dtype=torch.uint8)}, "does not fit"),
    "a scale of nothing": ({"a.scale_weight": ONE, "b": TWO}, "it is missing"),
    "a scale of integers": ({"a.weight": torch.ones(4, dtype=torch.int32), "a.scale_weight": ONE}, "it is I32"),
    "two scales": ({"a.weight": W8, "a.scale_weight": ONE, "a.weight_scale": TWO}, "two scales"),
    "a scale of another name": ({"a.weight": W8, "a.weight_scalar": ONE}, "'a.weight_scalar' means is not known"),
    "a zero point": ({"a.weight": W8, "a.scale": ONE, "a.zero_point": TWO}, "'a.zero_point' means is not known"),
    "square blocks": ({"a.weight": W8, "a.weight_scale_inv": ONE}, "fp8 in square blocks"),
    "another format": (comfy("nvfp4"), "packed as nvfp4"),
    "an escape": (comfy("\x1b[31m"), r"\\x1b\[31m"),
    "no format": (comfy(None), "packed as None"),
    "no scale": ({key: value for key, value in comfy().items() if "scale" not in key}, "has no scale"),
    "no JSON": (comfy(a_of_comfy_quant=torch.full((9,), 255, dtype=torch.uint8)), "nobody says what"),
    "much JSON": (comfy(a_of_comfy_quant=torch.tensor(list(b'{"format": "float8_x"}'.ljust(9000)), dtype=torch.uint8)), "nobody says what"),
    "bitsandbytes int8": ({"a.weight": torch.ones(4, 6, dtype=torch.int8), "a.SCB": torch.ones(4)}, "bitsandbytes int8"),
    "GPTQ": ({"a.qweight": torch.ones(4, 6, dtype=torch.int32), "a.scales": torch.ones(4)}, "GPTQ"),
    "int8": ({"a.weight": torch.ones(4, 6, dtype=torch.int8), "a.weight_scale": ONE}, "packed as int8"),
    "SDNQ": ({"a.weight": torch.ones(4, 6, dtype=torch.int8), "a.scale": ONE}, "packed as sdnq"),
    "SVDQuant": ({"a.qweight": torch.ones(4, 6, dtype=torch.int8), "a.wscales": torch.ones(4)}, "packed as svdquant"),
    "NVFP4": (
        {"a.weight": torch.ones(4, 6, dtype=torch.uint8), "a.weight_scale": torch.ones(4, 1).to(E4M3), "a.weight_scale_2": ONE},
        "packed as nvfp4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_unpacked_is_refused_by_name(make_file, case: str):
    tensors, message = REFUSED[case]
    with (
        open_source(make_file("a.safetensors", tensors)) as source,
        pytest.raises(IncompatibleError, match=message) as caught,
    ):
        unpacked(source, what(source))
    assert "original" in caught.value.hint and caught.value.exit_code == 4


def test_a_format_that_only_metadata_names_is_refused(make_file):
    said = json.dumps({"layers": {"a": {"format": "mxfp8"}}})
    path = make_file("a.safetensors", {"a.weight": W8, "b": ONE}, {"_quantization_metadata": said})
    with open_source(path) as source, pytest.raises(IncompatibleError, match="packed as mxfp8"):
        unpacked(source, what(source))


def test_blocks_that_the_package_does_not_know_are_refused():
    source = Held({"a.weight": ("Q8_K", (1, 256), bytes(BLOCKS["Q8_K"][1]))})
    with pytest.raises(IncompatibleError, match="blocks of Q8_K"):
        unpacked(source, what(source))


def test_without_the_package_the_command_is_named(write_gguf: Gguf, monkeypatch: pytest.MonkeyPatch):
    with open_source(write_gguf({"a": ("Q8_0", array(1, 32))})) as source:
        monkeypatch.setitem(__import__("sys").modules, "gguf", None)
        with pytest.raises(UsageError) as caught:
            unpacked(source, what(source))
        assert "pip install" in caught.value.hint


def matrices(tensors: Mapping[str, Entry]) -> list[str]:
    return [name for name, (_, shape) in tensors.items() if len(shape) == 2 and "blocks" in name]


def as_gguf(tensors: dict[str, Entry]) -> tuple[dict[str, Entry], dict[str, bytes]]:
    return {
        name: ("Q4_K" if len(entry[1]) == 2 and entry[1][1] % 256 == 0 else "F32", entry[1])
        for name, entry in tensors.items()
    }, {}


def as_fp8(tensors: dict[str, Entry]) -> tuple[dict[str, Entry], dict[str, bytes]]:
    packed = dict(tensors)
    for name in matrices(tensors):
        packed[name] = ("F8_E4M3", tensors[name][1])
        packed[name.removesuffix("weight") + "scale_weight"] = ("F32", ())
        packed[name.removesuffix("weight") + "scale_input"] = ("F32", ())
    return {**packed, "scaled_fp8": ("F8_E4M3", (2,))}, {}


def as_nf4(tensors: dict[str, Entry]) -> tuple[dict[str, Entry], dict[str, bytes]]:
    packed, data = dict(tensors), {}
    for name in matrices(tensors):
        shape = tensors[name][1]
        count = shape[0] * shape[1]
        text = json.dumps({"quant_type": "nf4", "blocksize": 64, "shape": shape}).encode()
        mark = f"{name}.quant_state.bitsandbytes__nf4"
        packed |= {name: ("U8", (count // 2, 1)), f"{name}.absmax": ("F32", (count // 64,)), mark: ("U8", (len(text),))}
        packed[f"{name}.quant_map"] = ("F32", (16,))
        data |= {mark: text, f"{name}.quant_map": bytes(64)}
    return packed, data


@pytest.mark.parametrize("pack", [as_gguf, as_fp8, as_nf4])
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_an_unpacked_model_is_what_the_packed_one_was(pack: Callable, prefix: str):
    """A real layout; no weight is read."""
    plain = {prefix + name: entry for name, entry in layout("flux-dev").items()}
    source = Bare(*pack(plain), {})
    before = what(source)
    view, parts, _ = unpacked(source, before)
    after = what(view)
    assert view.header.shapes == {name: shape for name, (_, shape) in plain.items()}
    assert (after.kind, after.architecture, after.variant) == ("diffusion-model", "flux1", "dev")
    assert after.confidence == "header" and after.parameters == 11_901_408_320
    assert after.fingerprint == identify(Bare(plain, {}, {}).header).fingerprint
    assert "quantisation" in before.facts and "quantisation" not in after.facts
    assert unpacked(view, after) == (view, [], [])
    assert {name for one in parts for name in one.names} <= set(source.header.tensors)


def test_4_bit_weights_have_their_shapes_back():
    table = np.linspace(-1, 1, 16, dtype=np.float32)
    text = json.dumps({"quant_type": "fp4", "blocksize": 64, "shape": [4, 32]}).encode()
    mark = "a.weight.quant_state.bitsandbytes__fp4"
    source = Held({
        "a.weight": ("U8", (64, 1), bytes([0x1F] * 64)), "a.weight.quant_map": ("F32", (16,), table.tobytes()),
        "a.weight.absmax": ("F32", (2,), np.array([2, 4], np.float32).tobytes()), mark: ("U8", (len(text),), text),
    })  # fmt: skip
    view, parts, _ = unpacked(source, what(source))
    assert list(view.header.tensors) == ["a.weight"]
    want = np.tile(table[[1, 15]], 64) * np.repeat(np.array([2, 4], np.float32), 64)
    assert (view.tensor("a.weight").numpy() == want.reshape(4, 32)).all()
    assert [one.what for one in parts] == ["4-bit weights (fp4)", "tables of fp4"]
    broken = Held(
        {
            name: (i.dtype, i.shape, source.read_bytes(name))
            for name, i in source.header.tensors.items()
            if name != "a.weight"
        }
    )
    with pytest.raises(CorruptFileError, match="'a.weight' should have"):
        unpacked(broken, what(broken))
