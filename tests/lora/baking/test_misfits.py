"""Adapters that do not fit: refused with the first module in words, or baked in part and said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bakes import baked
from baking_helper import LAYERS, MODULE, Arrays, base, lora, write_modules

from modelhub.errors import IncompatibleError

Q = f"{MODULE}_attn1_to_q"
Modules = dict[str, Arrays]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Arrays]:
    return base(tmp_path_factory.mktemp("model"))


@pytest.fixture
def modules(model: tuple[Path, Arrays]) -> Modules:
    return {module: lora(model[1][name].shape, at) for at, (module, (name, _)) in enumerate(LAYERS.items())}


Bake = Callable[..., list[str]]


@pytest.fixture
def bake(model: tuple[Path, Arrays], tmp_path: Path) -> Bake:
    def call(modules: Modules, words: str = "1") -> list[str]:
        return baked(model[0], (write_modules(tmp_path / "style.safetensors", modules), words)).stack.warnings()

    return call


def test_one_wrong_size_is_enough(bake: Bake, modules: Modules) -> None:
    modules[Q] = lora((64, 96), 1)
    with pytest.raises(IncompatibleError) as caught:
        bake(modules)
    assert "style does not fit this model: 1 of its 5 modules" in caught.value.message
    assert Q in caught.value.message and "[64, 64]" in caught.value.message
    assert "lora check" in caught.value.hint and "weight of 0" in caught.value.hint
    assert caught.value.exit_code == 4
    assert bake(modules, "1,*attn1.to_q*=0") == [], "what has no strength need not fit"


def test_most_of_another_model_is_not_offered_to_be_left_out(bake: Bake, modules: Modules) -> None:
    wrong = {module: lora((32, 48), 1) for module in list(modules)[:4]}
    with pytest.raises(IncompatibleError, match="of its 5 modules") as caught:
        bake(modules | wrong)
    assert "weight of 0" not in caught.value.hint


def test_half_a_module_is_refused(bake: Bake, modules: Modules) -> None:
    del modules[Q]["lora_up.weight"]
    with pytest.raises(IncompatibleError, match=f"1 of its 5 modules is not whole, the first is {Q}"):
        bake(modules)
    assert bake(modules, "1,*attn1.to_q*=0") == []


def test_ranks_that_contradict_each_other_are_refused(bake: Bake, modules: Modules) -> None:
    modules[Q]["lora_down.weight"] = np.ones((5, 64), np.float32)
    with pytest.raises(IncompatibleError, match="1 of its 5 modules"):
        bake(modules)


def test_a_text_encoder_that_is_not_there_is_said(tmp_path: Path, model: tuple[Path, Arrays], modules: Modules) -> None:
    from safetensors.numpy import save_file

    unet = {name: value for name, value in model[1].items() if name.startswith("model.diffusion_model.")}
    save_file(unet, tmp_path / "unet.safetensors")
    file = write_modules(tmp_path / "style.safetensors", modules)
    view = baked(tmp_path / "unet.safetensors", (file, "1"))
    assert view.stack.warnings() == ["style: 1 of 5 modules is for the text encoder, which this file does not have."]
    only = {module: parts for module, parts in modules.items() if module.startswith("lora_te_")}
    file = write_modules(tmp_path / "words.safetensors", only)
    with pytest.raises(IncompatibleError, match="Nothing of words fits this model: 1 module for the text encoder"):
        baked(tmp_path / "unet.safetensors", (file, "1"))


def test_a_module_without_a_layer_is_left_out_and_said(bake: Bake, modules: Modules) -> None:
    strange = "lora_unet_down_blocks_9_attentions_0_transformer_blocks_0_attn1_to_q"
    (warning,) = bake({**modules, strange: lora((64, 64), 1)})
    assert warning.startswith("style: 1 of 6 modules has no layer here") and strange in warning


def test_nothing_that_fits_is_refused(bake: Bake) -> None:
    with pytest.raises(IncompatibleError, match="Nothing of style fits this model"):
        bake({"lora_unet_down_blocks_9_attentions_0_proj_in": lora((64, 64), 1)})


def test_no_strength_anywhere_is_said(bake: Bake, modules: Modules) -> None:
    assert bake(modules, "0") == ["style: its weight is 0 everywhere, and nothing of it is baked in."]


def test_hostile_names_are_shown_escaped(bake: Bake, modules: Modules) -> None:
    strange = "lora_unet_\x1b[31mred\n<b>_attn1_to_q"
    (warning,) = bake({**modules, strange: lora((64, 64), 1)})
    assert "\x1b" not in warning and "\n" not in warning and "\\x1b" in warning


def test_embeddings_beside_the_modules_are_said(bake: Bake, modules: Modules) -> None:
    (warning,) = bake({**modules, "bundle_emb.sparkle.string_to_param": {"*": np.ones((2, 64), np.float32)}})
    assert "sparkle" in warning and "not baked in" in warning


def test_a_rank_of_nothing_is_no_module(bake: Bake, modules: Modules) -> None:
    modules[Q] = {"lora_down.weight": np.ones((0, 64), np.float32), "lora_up.weight": np.ones((64, 0), np.float32)}
    with pytest.raises(IncompatibleError, match=f"1 of its 5 modules is not whole, the first is {Q}"):
        bake(modules)


@pytest.mark.parametrize(("dtype", "word"), [("int8", "I8"), ("uint16", "U16"), ("complex64", "C64"), ("bool", "BOOL")])
def test_weights_that_are_no_floats_are_refused_before_anything_is_made(
    bake: Bake, modules: Modules, dtype: str, word: str
) -> None:
    modules[Q] = {name: value.astype(dtype) for name, value in modules[Q].items()}
    with pytest.raises(IncompatibleError, match=f"attn1_to_q of style is {word}, and no"):
        bake(modules)
    assert bake(modules, "1,*attn1.to_q*=0") == []


def test_a_checkpoint_is_no_lora(model: tuple[Path, Arrays]) -> None:
    with pytest.raises(IncompatibleError, match="base is of kind checkpoint, and no LoRA"):
        baked(model[0], (model[0], "1"))
