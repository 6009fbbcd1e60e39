"""ModelSpec's fields, by what a model is and what its parents say."""

import pytest

from modelhub.catalog.architectures import claims
from modelhub.catalog.identity import Identity
from modelhub.merge.ancestry.modelspec import modelspec


@pytest.mark.parametrize(
    ("architecture", "variant", "prediction", "expected", "resolution"),
    [
        ("sd1", None, None, "stable-diffusion-v1", "512x512"),
        ("sd1", "inpaint", None, "stable-diffusion-v1-inpainting", "512x512"),
        ("sd2", None, "epsilon", "stable-diffusion-v2-512", "512x512"),
        ("sd2", None, "v", "stable-diffusion-v2-768-v", "768x768"),
        ("sdxl", None, "v", "stable-diffusion-xl-v1-base", "1024x1024"),
        ("sdxl", "pix2pix", None, "stable-diffusion-xl-v1-edit", "1024x1024"),
        ("sdxl-refiner", None, None, "stable-diffusion-xl-v1-refiner", "1024x1024"),
        ("sd3", "3.5-large", "flow", "stable-diffusion-3-5-large", "1024x1024"),
        ("flux1", "schnell", None, "flux-1-schnell", "1024x1024"),
        ("flux1", "fill", None, "flux-1-dev", "1024x1024"),
    ],
)
def test_every_architecture_has_its_id(architecture, variant, prediction, expected, resolution) -> None:
    identity = Identity("checkpoint", architecture, variant, prediction=prediction)
    found = modelspec(identity, [{}])
    assert (found["modelspec.architecture"], found["modelspec.resolution"]) == (expected, resolution)
    assert found.get("modelspec.prediction_type") == (prediction if prediction in ("v", "epsilon") else None)
    assert claims()[expected].architecture == architecture, "our own identification reads it"


def test_what_is_not_known_is_not_said() -> None:
    assert modelspec(Identity("vae", "kl-f8-4ch"), [{}, {}]) == {}
    assert modelspec(Identity(), []) == {}
    assert modelspec(Identity("checkpoint", "cogvideox"), [{}]) == {}
    said = {"modelspec.architecture": "brand-new", "modelspec.resolution": "640x640"}
    assert modelspec(Identity(), [said]) == said, "nothing contradicts it"
    assert modelspec(Identity("checkpoint", "sd1"), [said])["modelspec.architecture"] == "stable-diffusion-v1"


def test_what_parents_say_together() -> None:
    parents = [
        {"modelspec.license": "MIT", "modelspec.tags": "anime"},
        {"modelspec.license": "OpenRAIL", "modelspec.tags": "anime", "modelspec.author": "somebody"},
        {"modelspec.license": "MIT", "modelspec.trigger_phrase": "x" * 20_000, "modelspec.usage_hint": "not the first"},
    ]
    assert modelspec(Identity(), parents) == {"modelspec.license": "MIT AND OpenRAIL", "modelspec.tags": "anime"}
    many = [{"modelspec.license": f"{at} " + "x" * 5000} for at in range(3)]
    assert modelspec(Identity(), many) == {"modelspec.license": many[0]["modelspec.license"]}
