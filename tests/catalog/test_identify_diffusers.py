"""What identify says of the models that diffusers and transformers build: an oracle that knows none of our rules."""

from __future__ import annotations

import re
from functools import cache

import pytest
from diffusers_helper import MODELS, TEXT_MODELS, Released, Shapes, shapes, text_shapes
from layouts_helper import of_shapes

from modelhub.catalog.identify import identify

#: One family of files with other widths of its own, by its decoder's layers alone.
ANY_WIDTH = ("taesd",)
#: Their attention has names and sizes of Flux.1 or SDXL: what else it fits is a remark, and metadata may say so.
SAME_ATTENTION = {"bria": "flux1", "chroma": "flux1", "longcat-image": "flux1", "ovis": "flux1", "kolors": "sdxl"}
ATTENTION = r"\.(to_[qkv]|to_query|to_key|to_value)\.weight$"


@cache
def built(index: int) -> Shapes:
    """Each is built once for all tests of a process."""
    return shapes(MODELS[index].cls, MODELS[index].config)


def each(**equal: str) -> list[object]:
    """Index and model of those with these values."""
    rows = [row for row in enumerate(MODELS) if all(getattr(row[1], field) == value for field, value in equal.items())]
    return [pytest.param(index, one, id=str(one)) for index, one in rows]


@pytest.mark.parametrize(("index", "released"), each())
def test_a_released_model_is_what_its_class_says(index: int, released: Released):
    found = identify(of_shapes(built(index)))
    told = (found.kind, found.architecture, found.variant, found.confidence)
    assert told == (released.kind, released.architecture, released.variant, released.confidence)


@pytest.mark.parametrize(("index", "released"), each(confidence="header"))
def test_other_widths_are_never_a_released_model(index: int, released: Released):
    narrow = {name: tuple(size // 3 if size > 200 else size for size in shape) for name, shape in built(index).items()}
    found = identify(of_shapes(narrow))
    assert found.confidence != "header" or found.architecture in ANY_WIDTH or released.architecture in ANY_WIDTH


@pytest.mark.parametrize(("cls", "config", "sizes", "kind", "architecture", "variant"), TEXT_MODELS)
def test_encoders(cls: str, config: str, sizes: dict[str, int], kind: str, architecture: str, variant: str):
    found = identify(of_shapes(text_shapes(cls, config, sizes)))
    assert (found.kind, found.architecture, found.variant) == (kind, architecture, variant)


def adapted(tensors: Shapes, front: str, wanted: str) -> Shapes:
    """A LoRA of rank 8 for the matrices whose names fit, as PEFT spells it."""
    matrices = {name: shape for name, shape in tensors.items() if len(shape) == 2 and re.search(wanted, name)}
    down = {f"{front}{name[:-7]}.lora_A.weight": (8, shape[1]) for name, shape in matrices.items()}
    return {**down, **{f"{front}{name[:-7]}.lora_B.weight": (shape[0], 8) for name, shape in matrices.items()}}


@pytest.mark.parametrize(("index", "released"), each(kind="diffusion-model"))
@pytest.mark.parametrize("wanted", [ATTENTION, r"\.weight$"], ids=["attention", "all"])
def test_a_lora_names_its_base_or_none(index: int, released: Released, wanted: str):
    front = "unet." if released.cls.startswith("UNet") else "transformer."
    lora = adapted(built(index), front, wanted)
    if not lora:
        pytest.skip("its attention goes by other names")
    found = identify(of_shapes(lora))
    assert found.kind == "lora"
    klein = released.variant == "klein-4b" and "flux2" in found.adapter["also"]
    right = {released.architecture, SAME_ATTENTION.get(released.architecture), "flux1" if klein else None} - {None}
    assert found.architecture is None or found.architecture in right
    bases = set(found.adapter["bases"])
    assert not bases or bases & right or released.confidence == "structure"
