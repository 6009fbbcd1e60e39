"""Tags of LoRAs in prompts: read as AUTOMATIC1111 reads them, taken out of the text, written again; and hashes."""

import hashlib
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from modelhub.catalog.opener import Parent
from modelhub.catalog.weighing.weights import Weight, read_weight
from modelhub.errors import UsageError
from modelhub.formats.opening import open_source
from modelhub.preview.pictures.infotext import parse_infotext, write_infotext
from modelhub.preview.prompts.tags import Tag, Used, hashes_text, plain, read_tags, tagged, used

READ = {
    "a cat <lora:style>": [Tag("style", Weight(1.0))],
    "<lora:style:0.8>a cat": [Tag("style", Weight(0.8))],
    "<lora:a b.c:-.5><LORA:x:1e-1>": [Tag("a b.c", Weight(-0.5)), Tag("x", Weight(0.1))],
    "<lora:style:0.5:0.8>": [Tag("style", Weight(0.8, {"te": 0.5}))],
    "<lora:style:0.5:0.5>": [Tag("style", Weight(0.5))],
    "<lora:style:te=0.5>": [Tag("style", Weight(0.5))],
    "<lora:style:unet=0.8>": [Tag("style", Weight(0.8, {"te": 1.0}))],
    "<lora:style:te=0.5:unet=0>": [Tag("style", Weight(0.0, {"te": 0.5}))],
    "<lyco:style:0.3>": [Tag("style", Weight(0.3))],
    "<lora:x:1> and <lora:x:0.5>": [Tag("x", Weight(1.0)), Tag("x", Weight(0.5))],
    "a cat, <3, <b>, <lora>, <lora:>, <other:x:1>": [],
}


@pytest.mark.parametrize(("prompt", "tags"), READ.items(), ids=READ)
def test_tags_are_read(prompt: str, tags: list[Tag]) -> None:
    assert read_tags(prompt) == tags


WRONG = {
    "<lora: :1>": "names no LoRA",
    "<lora:x:much>": "'much' is no number",
    "<lora:x:1e999>": "is too large to compute with",
    "<lora:x:-1e39>": "is too large to compute with",
    "<lora:x:nan>": "is no number",
    "<lora:x:1:1:8>": "more than previews know: '8'",
    "<lora:x:lbw=MIDD>": "more than previews know: 'lbw=MIDD'",
    "<hypernet:x:1>": "is a hypernetwork",
    "<lora:x:1>" * 101: "101 LoRA tags",
}


@pytest.mark.parametrize(("prompt", "what"), WRONG.items(), ids=range(len(WRONG)))
def test_tags_that_cannot_be_read_are_refused(prompt: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_tags(prompt)
    assert what in caught.value.message and caught.value.hint


def test_tags_are_no_part_of_the_text() -> None:
    assert plain("a cat <lora:style:0.8>, red<lyco:x>") == "a cat , red"
    assert plain("a < b > c <other:x>, <3 <b> <:x>") == "a < b > c , <3 <b> <:x>"


def test_hostile_text_is_read_in_no_time() -> None:
    assert read_tags("<lora:" * 50_000) == [] and plain("<" * 100_000) == "<" * 100_000


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("0.8", "a cat <lora:style:0.8>"),
        ("1", "a cat <lora:style:1>"),
        ("te=0.5,0.8", "a cat <lora:style:0.5:0.8>"),
        ("unet=0", "a cat <lora:style:1:0>"),
        ("te1=0.5,0.8", None),
        ("IN00=0", None),
        ("GRAD_V", None),
        ("*attn2*=0,1", None),
    ],
)
def test_a_strength_is_written_as_a_tag_if_there_are_words_for_it(words: str, text: str | None) -> None:
    assert tagged("a cat", [Tag("style", read_weight(words))]) == text


@pytest.mark.parametrize("name", ["", " x", "a:b", "a>b", "a<b", 'a"b', "a,b", "a\nb", "a\x1bb"])
def test_a_name_with_marks_in_it_has_no_tag(name: str) -> None:
    assert tagged("a cat", [Tag(name, Weight(1.0))]) is None


NUMBERS = st.floats(-100, 100, allow_nan=False)
TAGS = st.lists(st.builds(Tag, st.sampled_from(["style", "my style-v1.2", "ünï"]), st.builds(
    Weight, NUMBERS, st.dictionaries(st.sampled_from(["te", "unet"]), NUMBERS))), max_size=5)  # fmt: skip


@given(TAGS)
def test_what_is_written_is_read_again(tags: list[Tag]) -> None:
    prompt = tagged("a cat", tags)
    assert prompt is not None and plain(prompt).strip() == "a cat"
    found = read_tags(prompt)
    assert [tag.name for tag in found] == [tag.name for tag in tags]
    for one, other in zip(found, tags, strict=True):
        for part in ("te", "unet"):
            said = [tag.weight.components.get(part, tag.weight.base) for tag in (one, other)]
            assert said[0] == said[1], (part, prompt)


# -- hashes ------------------------------------------------------------------------------------------------------------


def opened(path: Path, metadata: dict[str, str] | None = None) -> Parent:
    save_file({"x": torch.arange(10.0)}, path, metadata)
    return Parent(open_source(path), path, path.stem, None)


def test_the_hash_is_that_of_the_data_or_what_its_trainer_wrote(tmp_path: Path) -> None:
    data = hashlib.sha256(torch.arange(10.0).numpy().tobytes()).hexdigest()
    said, empty = "AB" * 32, hashlib.sha256(b"").hexdigest()
    parents = [
        opened(tmp_path / "a.safetensors"),
        opened(tmp_path / "b.safetensors", {"sshs_model_hash": said}),
        opened(tmp_path / "c.safetensors", {"sshs_model_hash": empty}),
        opened(tmp_path / "d.safetensors", {"sshs_model_hash": "0x123"}),
    ]
    found = used("<lora:a><lora:b:0.5><lora:c><lora:d>", parents)
    assert [one.hash for one in found] == [data[:12], said.lower()[:12], data[:12], data[:12]]
    assert [one.tag.name for one in found] == list("abcd")
    for parent in parents:
        parent.source.close()


def test_infotexts_have_the_hashes_as_other_tools_read_them() -> None:
    loras = [Used(Tag("foo", Weight(0.8)), "0123456789ab"), Used(Tag("b:a,r", Weight(1.0)), "ba9876543210")]
    text = write_infotext("a", "", {"Steps": 20, "Lora hashes": hashes_text(loras), "Seed": 1, "Version": "x"})
    assert 'Lora hashes: "foo: 0123456789ab, bar: ba9876543210"' in text
    assert parse_infotext(text).settings["Lora hashes"] == "foo: 0123456789ab, bar: ba9876543210"
    assert hashes_text([Used(Tag("foo", Weight(1.0)), None)]) is None
