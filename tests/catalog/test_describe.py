"""One line for people."""

from __future__ import annotations

import pytest
from layouts_helper import header, layout, of_shapes

from modelhub.catalog.describe import describe
from modelhub.catalog.identify import identify


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("sd15", "SD 1.x checkpoint, fp32, 1.066B parameters"),
        ("sdxl", "SDXL checkpoint, fp16, 3.469B parameters"),
        ("flux-schnell", "Flux.1 diffusion model, schnell, bf16, 11.9B parameters"),
        ("lora-sdxl-kohya", "SDXL LoRA, lora of rank 16, fp16, 57.0M parameters"),
        ("controlnet-sd15", "SD 1.x ControlNet, fp16, 361.3M parameters"),
        ("t5xxl", "T5-XXL encoder, fp16, 4.762B parameters"),
    ],
)
def test_lines(name, line):
    assert describe(identify(header(layout(name)))) == line


def test_what_is_not_known_is_said():
    assert describe(identify(of_shapes({"a": (3,)}))) == "unknown, fp16, 3 parameters"
    lora = identify(of_shapes({"x.y.lora_A.weight": (4, 99), "x.y.lora_B.weight": (98, 4)}))
    assert describe(lora).startswith("LoRA of unknown base")
    both = {name: entry for name, entry in layout("lora-sd15-kohya").items() if "_attn1_" in name and "unet" in name}
    assert describe(identify(header(both))).startswith("sd1 or sd2 LoRA")
