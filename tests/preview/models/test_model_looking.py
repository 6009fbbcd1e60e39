"""What cannot go together is said from headers alone: of weights not a byte is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from flux_names import clip_shapes
from ldm_names import random_tensors
from small_pictures import DEV, REFINER, SD1, SDXL, UNET, VAE, Memory, flux, flux_parts, flux_vae

from modelhub.catalog.folder.original import in_original
from modelhub.catalog.opener import Parent
from modelhub.catalog.store import Catalog
from modelhub.errors import IncompatibleError
from modelhub.formats.source import TensorSource
from modelhub.preview.models.beside import Beside, stand_beside
from modelhub.preview.models.looking import check_refiner, look
from modelhub.preview.models.model import Model


class Unread(Memory):
    """A source whose weights nobody may read."""

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        raise AssertionError(f"{name} was read")


def test_a_vae_that_does_not_fit_is_found_before_weights_are_read() -> None:
    with pytest.raises(IncompatibleError, match="16 channels"):
        Model.load(Unread(SD1.tensors()), parts={"vae": Memory(flux_vae())}, device="cpu", name="m")


def test_a_text_encoder_that_does_not_fit_is_found_before_weights_are_read() -> None:
    narrow = Memory(random_tensors(clip_shapes(width=32)))
    with pytest.raises(IncompatibleError, match="numbers for a whole text"):
        Model.load(Unread(flux(DEV)), parts={**flux_parts(), "clip-l": narrow}, device="cpu", name="m")


def test_a_refiner_goes_on_with_latents_of_its_own_kind_only() -> None:
    model, refiner, other = (look(Unread(one.tensors()), {}, "m") for one in (SDXL, REFINER, SD1))
    check_refiner(model, refiner, "refiner")
    with pytest.raises(IncompatibleError, match=r"latents are those of SD 1\.x and 2\.x, the model's SDXL"):
        check_refiner(model, other, "other")


def standing(tmp_path: Path, **given: Parent) -> Beside:
    """What stands beside a whole SD1 model."""
    identity = look(Unread(SD1.tensors()), {}, "m").identity
    with Catalog.open(tmp_path / "home") as catalog:
        return stand_beside(catalog, lambda ref: pytest.fail(ref), identity, **given)  # type: ignore[arg-type]


def parent(name: str, source: TensorSource) -> Parent:
    return Parent(source=source, path=Path(name), name=name, sha256=None)


@pytest.mark.parametrize(("name", "wrong"), [("sdxl_vae.safetensors", True), ("vae-ft-mse.safetensors", False)])
def test_a_vae_for_latents_of_another_kind_is_said(name: str, wrong: bool, tmp_path: Path) -> None:
    vae = Memory({key.removeprefix(VAE): one for key, one in SD1.tensors().items() if key.startswith(VAE)})
    notes = standing(tmp_path, vae=parent(name, vae)).notes
    assert ["latents of SDXL" in note and "colours will be wrong" in note for note in notes] == [True] * wrong


def test_the_vae_of_a_checkpoint_has_the_latents_of_its_model(tmp_path: Path) -> None:
    assert standing(tmp_path, vae=parent("sdxl-merge", SD1.source())).notes == ()
    assert "latents of SDXL" in standing(tmp_path, vae=parent("sd1-merge", SDXL.source())).notes[0]


def test_of_t5_nothing_else_is_taken(tmp_path: Path) -> None:
    parts = flux_parts()
    identity = look(Unread(flux(DEV)), parts, "m").identity
    beside = {"encoders": [parent("clip_l", parts["clip-l"])], "vae": parent("ae", parts["vae"])}
    with Catalog.open(tmp_path / "home") as catalog:
        found = stand_beside(catalog, pytest.fail, identity, t5=parent("t5", parts["t5xxl"]), **beside)  # type: ignore[arg-type]
        assert found.parts == parts
        with pytest.raises(IncompatibleError, match="no T5 of flux1"):
            stand_beside(catalog, pytest.fail, identity, t5=parent("clip_l", parts["clip-l"]))
    with pytest.raises(IncompatibleError, match="sd1 reads prompts without a T5"):
        standing(tmp_path, t5=parent("t5", parts["t5xxl"]))


def names(found: Beside) -> dict[str, str]:
    """Which file each part is taken from."""
    return {part: one.name for part, one in found.parents.items()}


def test_clips_of_no_released_size_are_taken_one_by_one_in_the_order_they_are_named(tmp_path: Path) -> None:
    """Both are of the same structure: nothing in a file says which one it is."""
    alone = {name: value for name, value in SDXL.tensors().items() if name.startswith(UNET)}
    identity = in_original(Memory(alone))[1]
    small = [parent(name, Memory(random_tensors(clip_shapes(vocabulary=60)))) for name in ("one", "two")]
    with Catalog.open(tmp_path / "home") as catalog:
        both = stand_beside(catalog, pytest.fail, identity, encoders=small)  # type: ignore[arg-type]
        single = stand_beside(catalog, pytest.fail, identity, encoders=small[1:])  # type: ignore[arg-type]
        whole = stand_beside(catalog, pytest.fail, identity, encoders=[parent("whole", SDXL.source())])  # type: ignore[arg-type]
    assert names(both) == {"clip-l": "one", "clip-g": "two"}
    assert names(single) == {"clip-l": "two"}
    assert names(whole) == {"clip-l": "whole", "clip-g": "whole"}


@pytest.mark.parametrize("family", [None, "pixart"])
def test_of_a_model_that_nobody_can_render_nothing_else_is_said_first(family: str | None, tmp_path: Path) -> None:
    identity = replace(in_original(SD1.source())[1], architecture=family)
    given = {"encoders": [parent("clip", flux_parts()["clip-l"])], "t5": parent("t5", flux_parts()["t5xxl"])}
    with Catalog.open(tmp_path / "home") as catalog:
        assert stand_beside(catalog, pytest.fail, identity, **given) == Beside()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"autoencoder.decoder.conv_in.weight": torch.ones(4, 4, 3, 3)}, "the VAE for m is of no kind that modelhub"),
        ({"clip_l": torch.ones(4, 768), "clip_g": torch.ones(4, 1280)}, "the VAE for m is an embedding without one"),
    ],
)
def test_what_a_wrong_part_is_is_said_in_a_sentence(tensors: dict[str, torch.Tensor], said: str) -> None:
    with pytest.raises(IncompatibleError, match=said):
        look(Unread(SD1.tensors()), {"vae": Memory(tensors)}, "m")
