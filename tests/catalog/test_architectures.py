"""The data files: each example matches its own file and no other; broken files are said to be broken."""

from __future__ import annotations

import pytest
from layouts_helper import of_shapes

from modelhub.catalog.architectures import ROLES, architecture, architectures, examples, read_architecture
from modelhub.catalog.identify import identify
from modelhub.catalog.keymaps import keymap, mapped
from modelhub.catalog.match import Names, View
from modelhub.errors import CorruptFileError, UnknownModelError

IDS = [one.id for one in architectures()]
CASES = [(one.id, index) for one in architectures() for index in range(len(examples(one.id)))]
#: Kinds whose architecture is the model they belong to, not their own id.
BELONGS = ("small",)


@pytest.mark.parametrize(("wanted", "index"), CASES)
def test_an_example_is_identified_as_its_own_architecture(wanted, index):
    one, example = architecture(wanted), examples(wanted)[index]
    found = identify(of_shapes(example["tensors"]))
    kind = one.kind or ("diffusion-model" if one.role == "denoiser" else "other")
    assert found.kind == kind
    if one.role in BELONGS:
        assert found.architecture == example.get("architecture", found.architecture)
    elif kind != "clip-vision":
        assert (found.architecture, found.confidence) == (wanted, "header")
    if "variant" in example:
        assert found.variant == example["variant"]


#: Later in the order on purpose: a family that contains another, or general names that need the ranks.
CONTAINED = {
    ("chroma", "flux1"), ("ovis", "flux1"), ("longcat-image", "flux1"), ("ltx-video-2", "ltx-video"), ("t5xxl", "t5"),
    ("wan22-vae", "wan-qwen-vae"), ("flux2-vae", "ae-16ch"), ("clip-g", "clip-l"), ("openclip-h", "clip-l"),
    ("anima", "cosmos-predict2"), ("allegro", "pixart"),
}  # fmt: skip


@pytest.mark.parametrize(("wanted", "index"), CASES)
def test_no_other_signature_of_its_role_matches(wanted, index):
    one = architecture(wanted)
    names = Names({name: tuple(shape) for name, shape in examples(wanted)[index]["tensors"].items()})
    prefixes = (
        "",
        "model.diffusion_model.",
        "diffusion_model.",
        "net.",
        "unet.",
        "transformer.",
        "model.",
        "control_model.",
    )
    others = {
        other.id
        for other in architectures()
        if other.role == one.role and other.id != wanted
        for signature in other.signatures
        for prefix in prefixes
        if signature.confidence == "header" and signature.condition.holds(View(names, prefix))
    }
    assert {(wanted, other) for other in others} <= CONTAINED


def test_every_file_is_whole():
    assert len(set(IDS)) == len(IDS)
    for one in architectures():
        assert one.role in ROLES
        assert one.title
        assert one.signatures
        assert examples(one.id)
        assert all(signature.confidence in ("header", "structure") for signature in one.signatures)


@pytest.mark.parametrize("wanted", ["sd1", "sd2", "sdxl", "sdxl-refiner", "sd3", "flux1"])
def test_what_previews_need_is_there(wanted):
    one = architecture(wanted)
    assert one.latent.channels == (16 if wanted in ("sd3", "flux1") else 4)
    assert one.preview.size >= 512
    assert wanted in mapped()


def test_an_unknown_architecture():
    with pytest.raises(UnknownModelError) as caught:
        architecture("sd9")
    assert "sd9" in caught.value.message
    assert "sdxl" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "id = ", "", 'id = "x"', 'id = "x"\ntitle = "x"\nrole = "vae"\norder = 1\n[latent]\nchannels = 4\nsize = 3',
        'id = "x"\ntitle = "x"\nrole = "vae"\norder = 1\n[[signature]]\nshape = { a = ["?"] }',
    ],
)  # fmt: skip
def test_a_broken_file_is_named(tmp_path, text):
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(CorruptFileError) as caught:
        read_architecture(path)
    assert str(path) in caught.value.message


@pytest.mark.parametrize(("wanted", "modules"), [("sd1", 282), ("sd2", 282), ("sdxl", 794), ("sdxl-refiner", 554)])
def test_key_maps_know_both_spellings(wanted, modules):
    targets = [one for (place, _), one in keymap(wanted).items() if place == "denoiser"]
    assert len(set(targets)) == modules
    assert len(targets) > modules


def test_slices_tile_the_fused_tensors_of_flux():
    parts: dict[str, list[tuple[int, int]]] = {}
    rows: dict[str, int] = {}
    for one in set(keymap("flux1").values()):
        if one.part:
            assert one.part[2] == one.out_size
            parts.setdefault(one.tensor, []).append(one.part[1:])
        elif one.component == "denoiser":
            rows[one.tensor] = one.out_size
    assert len(parts) == 19 * 2 + 38
    for tensor, pieces in parts.items():
        ends = [offset + length for offset, length in sorted(pieces)]
        assert [offset for offset, _ in sorted(pieces)] == [0, *ends[:-1]]
        assert ends[-1] == rows[tensor]
