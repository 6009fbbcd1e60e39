"""Where tensors belong: text encoders are numbered as the file numbers them, whatever is known of them."""

from __future__ import annotations

import pytest
from layouts_helper import layout

from modelhub.catalog.belonging import belonging
from modelhub.catalog.identify import identify
from modelhub.formats.header import Header


def encoders(entries, form="safetensors"):
    header = Header.of((name, dtype, shape) for name, (dtype, shape) in entries.items())
    where = belonging(header, identify(header, form=form))
    return {one.label: (one.prefix, one.component.architecture) for one in where.of_role("text_encoder")}


@pytest.mark.parametrize(
    "gone", [None, "conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1.weight"]
)
def test_embedders_keep_their_number_when_one_is_not_known(gone):
    found = encoders({name: entry for name, entry in layout("sdxl").items() if name != gone})
    assert [found[f"text_encoder_{n + 1}"][0] for n in (0, 1)] == [
        "conditioner.embedders.0.",
        "conditioner.embedders.1.",
    ]
    assert found["text_encoder_2"][1] == "clip-g"
    assert (found["text_encoder_1"][1] is None) == (gone is not None)


def test_folders_of_a_pipeline_keep_their_number():
    first = {f"text_encoder.strange.{n}.weight": ("F16", (8, 8)) for n in range(4)}
    second = {f"text_encoder_2.{name}": entry for name, entry in layout("clip-l").items()}
    unet = {
        "unet." + name: entry for name, entry in layout("sd15").items() if name.startswith("model.diffusion_model.")
    }
    found = encoders({**second, **first, **unet}, "diffusers")
    assert found == {
        "text_encoder_1": ("text_encoder.", None),
        "text_encoder_2": ("text_encoder_2.", "clip-l"),
    }


def test_encoders_that_are_named_stand_in_the_usual_order():
    entries = {f"text_encoders.t5xxl.transformer.{name}": entry for name, entry in layout("t5xxl").items()}
    entries |= {f"text_encoders.clip_l.transformer.{name}": entry for name, entry in layout("clip-l").items()}
    found = encoders(entries | layout("sd3-medium"))
    assert [found[f"text_encoder_{n}"][1] for n in (1, 2)] == ["clip-l", "t5xxl"]
