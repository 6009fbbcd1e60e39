"""Files of embeddings in every layout, what is none, and the hashes and names that go with them."""

from __future__ import annotations

import base64
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from modelhub.catalog.data import data_path
from modelhub.errors import CorruptFileError, FileError, IncompatibleError, UnsafePickleError
from modelhub.preview.prompts.embedding_files import read_embedding
from modelhub.preview.prompts.embeddings import ANY, without_prefix

VECTORS = torch.arange(8.0).reshape(2, 4)


def a1111(**more: Any) -> dict[str, Any]:
    return {"string_to_token": {"*": 265}, "string_to_param": {"*": VECTORS}, "name": "inside", "step": 9, **more}


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_the_demo_is_read(ending: str) -> None:
    found = read_embedding(data_path("demo", f"sundisc.{ending}"))
    assert found.name == "sundisc" and found.count == 1 and found.vectors[ANY].shape == (1, 64)


def test_both_files_of_the_demo_hold_the_same() -> None:
    one, other = (read_embedding(data_path("demo", f"sundisc.{ending}")) for ending in ("pt", "safetensors"))
    assert torch.equal(one.vectors[ANY], other.vectors[ANY])


@pytest.mark.parametrize(
    "data",
    [a1111(), a1111(string_to_param=torch.nn.ParameterDict({"*": torch.nn.Parameter(VECTORS)})), {"<cat>": VECTORS}],
    ids=["a1111", "parameters", "diffusers"],
)
@pytest.mark.parametrize("old", [False, True])
def test_pickles_are_read_without_running_them(tmp_path: Path, data: dict[str, Any], old: bool) -> None:
    torch.save(data, path := tmp_path / "my-style.pt", _use_new_zipfile_serialization=not old)
    found = read_embedding(path)
    assert found.name == "my-style" and torch.equal(found.vectors[ANY], VECTORS)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (exec, (f"open({str(tmp_path / 'gotcha')!r}, 'w')",))

    torch.save({"<cat>": VECTORS, "trap": Trap()}, path := tmp_path / "trap.bin", pickle_module=pickle)
    with pytest.raises(UnsafePickleError):
        read_embedding(path)
    assert not (tmp_path / "gotcha").exists()


@pytest.mark.parametrize(
    ("tensors", "encoders"),
    [
        ({"emb_params": VECTORS}, {ANY}),
        ({"<my-style>": VECTORS[0]}, {ANY}),
        ({"clip_l": VECTORS, "clip_g": VECTORS.repeat(1, 2)}, {"clip-l", "clip-g"}),
        ({"clip_l": VECTORS, "t5": VECTORS.half()}, {"clip-l", "t5xxl"}),
        ({"t5xxl": VECTORS}, {"t5xxl"}),
        ({"string_to_param.*": VECTORS}, {ANY}),
    ],
)
def test_safetensors_say_which_encoder(tmp_path: Path, tensors: dict[str, torch.Tensor], encoders: set[str]) -> None:
    save_file(tensors, path := tmp_path / "x.safetensors")
    found = read_embedding(path, "word", asked=False)
    assert set(found.vectors) == encoders and found.name == "word" and not found.asked
    assert all(one.dtype == torch.float32 and one.ndim == 2 for one in found.vectors.values())


WRONG: dict[str, tuple[dict[str, torch.Tensor], str]] = {
    "two": ({"a": VECTORS, "b": VECTORS + 1}, "holds 2 tensors"),
    "none": ({}, "holds 0 tensors"),
    "cube": ({"emb_params": torch.zeros(2, 2, 2)}, r"the shape \[2, 2, 2\]"),
    "scalar": ({"emb_params": torch.zeros(())}, "the shape"),
    "empty": ({"emb_params": torch.zeros(0, 4)}, "the shape"),
    "large": ({"emb_params": torch.zeros(6000, 1000)}, "take 24,000,000 bytes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_embedding_is_refused(tmp_path: Path, name: str) -> None:
    tensors, said = WRONG[name]
    save_file(tensors, path := tmp_path / "x.safetensors")
    with pytest.raises(IncompatibleError, match=said) as caught:
        read_embedding(path)
    assert caught.value.hint


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    save_file({"emb_params": torch.full((1, 4), float("nan"))}, path := tmp_path / "x.safetensors")
    with pytest.raises(CorruptFileError, match="numbers that are none"):
        read_embedding(path)


# -- pictures ----------------------------------------------------------------------------------------------------------


def picture(path: Path, text: str | None) -> Path:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    if text is not None:
        info.add_text("sd-ti-embedding", text)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


def packed(data: Any) -> str:
    return base64.b64encode(json.dumps(data).encode()).decode()


def test_pictures_of_a1111_have_an_embedding_in_them(tmp_path: Path) -> None:
    data = a1111(string_to_param={"*": {"TORCHTENSOR": VECTORS.tolist()}})
    found = read_embedding(picture(tmp_path / "x.png", packed(data)))
    assert found.name == "inside" and torch.equal(found.vectors[ANY], VECTORS)
    assert read_embedding(picture(tmp_path / "y.png", packed({**data, "name": None}))).name == "y"


def parameters(value: Any) -> str:
    return packed({"string_to_param": value})


@pytest.mark.parametrize(
    "text",
    ["", "no base64!", "AAAA", packed([]), packed({}), parameters([1]), parameters({}), parameters({"*": 1}),
     parameters({"*": {}}), parameters({"*": {"TORCHTENSOR": "x"}}), parameters({"*": {"TORCHTENSOR": [[1], [1, 2]]}}),
     parameters({"*": {"TORCHTENSOR": [[None]]}}), packed("[" * 5000)],
)  # fmt: skip
def test_broken_pictures_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises((CorruptFileError, IncompatibleError)):
        read_embedding(picture(tmp_path / "x.png", text))


def test_a_picture_without_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match="no embedding in it"):
        read_embedding(picture(tmp_path / "x.png", None))
    (tmp_path / "z.png").write_bytes(b"no picture")
    with pytest.raises(FileError):
        read_embedding(tmp_path / "z.png")


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a embedding:sun", "a sun"),
        ("(Embedding:SUN.pt:1.2)", "(SUN:1.2)"),
        ("embedding:sun-disc.safetensors, x", "sun-disc, x"),
        ("embedding:sunny", "embedding:sunny"),
        ("myembedding:sun", "myembedding:sun"),
        ("embedding: sun", "embedding: sun"),
        ("embedding:other", "embedding:other"),
    ],
)
def test_the_words_of_comfyui_are_understood(text: str, plain: str) -> None:
    assert without_prefix(text, ["sun", "sun-disc", "a.b(c"]) == plain
