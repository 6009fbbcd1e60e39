"""T5's tokenizer against transformers', from either file; hostile files; and where it is looked for."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_t5 import READ_AS, block, charsmap, pieces, spiece, tokenizer_json, varint

from modelhub.errors import CorruptFileError, FileError, IncompatibleError, ModelhubError, NotFoundError
from modelhub.preview.prompts.sentencepiece import read_vocabulary
from modelhub.preview.prompts.t5_places import VARIABLE, find_t5_tokenizer, kept
from modelhub.preview.prompts.t5_tokenizer import T5Tokenizer, read_t5_tokenizer
from modelhub.settings import Settings, save_settings

TEXTS = [
    "",
    " ",
    "a red circle on the blue sky",
    "  walking   dogs,\t\n cats...",
    "ﬁ① ＡａＡ\u3000sky\u200b㌔ …",
    "naïve é e\u0301 😀 日本語",
    "</s> a <pad> <unk> <extra_id_0> <extra_id_99> <extra_id_100>",
    "a</s>b",
    "▁red ▁▁ circle",
    "\x00\x01\x85\u2028",
    "RED CIRCLE",
    "circle" * 50,
]


def written(tmp_path: Path, data: bytes, name: str = "spiece.model") -> Path:
    tmp_path.mkdir(parents=True, exist_ok=True)
    (path := tmp_path / name).write_bytes(data)
    return path


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> T5Tokenizer:
    return read_t5_tokenizer(written(tmp_path_factory.mktemp("t5"), spiece()))


@pytest.fixture(scope="module")
def oracle() -> Any:
    from transformers import T5Tokenizer as Theirs

    gaps = [(f"<extra_id_{number}>", 0.0) for number in range(99, -1, -1)]
    scores = [(piece, struct.unpack("<f", struct.pack("<f", score))[0]) for piece, score in pieces()]
    return Theirs(vocab=[*scores, *gaps], _spm_precompiled_charsmap=charsmap())


@pytest.mark.parametrize("text", TEXTS)
def test_ids_equal_those_of_transformers(ours: T5Tokenizer, oracle: Any, text: str) -> None:
    assert ours.ids(text) == oracle(text, add_special_tokens=False).input_ids


LETTERS = st.sampled_from([*"redcilbu sky.,()", "ﬁ", "①", "㌔", "\u200b", "▁", "</s>", "é", "😀", *READ_AS])


@settings(max_examples=150, deadline=None)
@given(text=st.lists(LETTERS, max_size=30).map("".join))
def test_ids_of_any_text_equal_those_of_transformers(ours: T5Tokenizer, oracle: Any, text: str) -> None:
    assert ours.ids(text) == oracle(text, add_special_tokens=False).input_ids


def test_characters_are_read_as_others(ours: T5Tokenizer) -> None:
    assert ours.ids("ﬁ") == ours.ids("fi") != ours.ids("f")
    assert ours.ids("red\u3000sky") == ours.ids("red sky") and ours.ids("r\u200bed") == ours.ids("red")
    assert ours.size == len(pieces()) + 100


@pytest.mark.parametrize("nested", [False, True])
def test_either_file_makes_the_same_tokenizer(tmp_path: Path, ours: T5Tokenizer, nested: bool) -> None:
    other = read_t5_tokenizer(written(tmp_path, tokenizer_json(nested=nested), "tokenizer.json"))
    for text in TEXTS:
        assert other.ids(text) == ours.ids(text)
    gaps = [(f"<extra_id_{number}>", 0.0) for number in range(99, -1, -1)]
    whole = read_t5_tokenizer(written(tmp_path, tokenizer_json([*pieces(), *gaps]), "tokenizer.json"))
    assert whole.size == ours.size and whole.ids(TEXTS[6]) == ours.ids(TEXTS[6])


def test_a_model_without_charsmap_reads_characters_as_they_are(tmp_path: Path) -> None:
    plain = read_t5_tokenizer(written(tmp_path, spiece(table=b"")))
    assert plain.ids("ﬁ") != plain.ids("fi") and plain.ids("red") == [4]


def test_a_trained_model_reads_as_tokenizers_itself_does(tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import Unigram
    from tokenizers.pre_tokenizers import Metaspace, Sequence, WhitespaceSplit
    from tokenizers.trainers import UnigramTrainer

    trained = Tokenizer(Unigram())
    trained.pre_tokenizer = Sequence([WhitespaceSplit(), Metaspace()])
    marks = ["<pad>", "</s>", "<unk>"]
    trainer = UnigramTrainer(vocab_size=600, special_tokens=marks, unk_token="<unk>", show_progress=False)
    text = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    trained.train_from_iterator(text.splitlines(), trainer)
    vocabulary = [(piece, score) for piece, score in json.loads(trained.to_str())["model"]["vocab"]]
    ours = read_t5_tokenizer(written(tmp_path, spiece(vocabulary, b"")))
    for line in filter(str.strip, text.splitlines()[:60]):
        assert ours.ids(line) == trained.encode(line, add_special_tokens=False).ids


def test_surrogates_are_question_marks(ours: T5Tokenizer) -> None:
    assert ours.ids("a \ud800") == ours.ids("a ?")


# -- hostile files -----------------------------------------------------------------------------------------------------


BROKEN: dict[str, bytes] = {
    "empty": b"",
    "text": b"no model",
    "cut": spiece()[:-20],
    "field type": spiece() + varint(9 << 3 | 3),
    "endless number": b"\x08" + b"\xff" * 20,
    "huge length": varint(1 << 3 | 2) + varint(2**60),
    "number for a piece": varint(1 << 3) + varint(7),
    "score of two bytes": block(1, block(1, b"x") + block(2, b"ab")),
    "no utf-8": block(1, block(1, b"\xff\xfe")),
    "bpe": spiece(kind=2),
    "empty piece": spiece([*pieces(), ("", 0.0)]),
    "endless piece": spiece([*pieces(), ("x" * 2000, 0.0)]),
    "no number": spiece([*pieces(), ("x", float("nan"))]),
    "unknown beyond": spiece(unknown=9999),
    "json": b"{",
    "json list": b'{"model": []}',
    "json of bpe": b'{"model": {"type": "BPE", "vocab": {"a": 1}}}',
    "json deep": b'{"model":' + b"[" * 100_000,
    "json scores": tokenizer_json().replace(b"-2.5", b"null"),
    "json infinite": tokenizer_json().replace(b"-2.5", b"1e999"),
    "json charsmap": tokenizer_json().replace(b'"precompiled_charsmap": "', b'"precompiled_charsmap": "!'),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises((CorruptFileError, IncompatibleError)) as caught:
        read_t5_tokenizer(written(tmp_path, BROKEN[name]))
    assert "spiece.model" in caught.value.message and caught.value.hint


def test_tokenizers_of_other_encoders_are_refused(tmp_path: Path) -> None:
    swapped = [pieces()[1], pieces()[0], *pieces()[2:]]
    for data in (spiece(swapped), spiece(pieces()[:2]), tokenizer_json(swapped)):
        with pytest.raises(IncompatibleError, match="of another text encoder"):
            read_t5_tokenizer(written(tmp_path, data))


def test_tables_of_characters_that_lead_astray_are_refused(tmp_path: Path) -> None:
    whole = charsmap()
    count = struct.unpack("<I", whole[:4])[0]
    units = list(struct.unpack(f"<{count // 4}I", whole[4 : 4 + count]))

    def packed(changed: list[int], texts: bytes = whole[4 + count :]) -> bytes:
        return struct.pack("<I", 4 * len(changed)) + struct.pack(f"<{len(changed)}I", *changed) + texts

    end = next(place for place, unit in enumerate(units) if unit >> 31)
    bad = [
        whole[:10],
        whole[:4] + whole[8:],
        packed(units[:-1]),
        packed([units[0] | 0x1FFFFF << 10, *units[1:]]),
        packed([*units[:end], 1 << 31 | 99_999, *units[end + 1 :]]),
        packed(units, b""),
        packed(units, b"\xff" * 99),
        packed([*units[:end], 1 << 31 | 1, *units[end + 1 :]], "é\0".encode() + b"x" * 99),
    ]
    assert read_t5_tokenizer(written(tmp_path, spiece(table=packed(units)))).ids("red") == [4]
    for table in bad:
        with pytest.raises(CorruptFileError, match="table of characters"):
            read_t5_tokenizer(written(tmp_path, spiece(table=table)))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damage_anywhere_is_an_error_or_does_no_harm(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    whole = bytearray(spiece())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = written(tmp_path_factory.getbasetemp(), bytes(whole), "damaged.model")
    try:
        assert all(number >= 0 for text in TEXTS for number in read_t5_tokenizer(path).ids(text))
    except ModelhubError as error:
        assert "damaged.model" in error.message


def test_only_fields_that_matter_are_read() -> None:
    vocabulary = read_vocabulary(spiece(), "x")
    assert [piece for piece, _ in vocabulary.pieces] == [piece for piece, _ in pieces()]
    assert vocabulary.unknown == 2 and vocabulary.charsmap == charsmap()


# -- where it is -------------------------------------------------------------------------------------------------------


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (VARIABLE, "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_when_it_is_nowhere_all_ways_to_it_are_named(nowhere: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_t5_tokenizer()
    for way in ("modelhub preview --download-tokenizer", "t5_tokenizer", VARIABLE, "Hugging Face's cache"):
        assert way in caught.value.hint


def test_a_named_file_or_folder_comes_first(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(nowhere / "mine" / "tokenizer_2", spiece())
    written(kept().parent, b"broken")
    monkeypatch.setenv(VARIABLE, str(path))
    assert find_t5_tokenizer().ids("red") == [4]
    monkeypatch.delenv(VARIABLE)
    save_settings(Settings(t5_tokenizer=str(nowhere / "mine")))
    assert find_t5_tokenizer().ids("red") == [4]
    for named in (kept(), nowhere / "cache", nowhere / "none"):
        (nowhere / "cache").mkdir(exist_ok=True)
        monkeypatch.setenv(VARIABLE, str(named))
        with pytest.raises(FileError):
            find_t5_tokenizer()


@pytest.mark.parametrize(
    ("variable", "below"),
    [("HF_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub")],
)
@pytest.mark.parametrize(
    "place",
    ["models--google--t5-v1_1-xxl/snapshots/abc/spiece.model",
     "models--black-forest-labs--FLUX.1-dev/snapshots/abc/tokenizer_2/tokenizer.json"],
)  # fmt: skip
def test_the_cache_of_hugging_face_is_searched(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, variable: str, below: str, place: str
) -> None:
    monkeypatch.setenv(variable, str(nowhere / "hf"))
    path = nowhere / "hf" / below / place
    written(path.parent, tokenizer_json() if path.suffix == ".json" else spiece(), path.name)
    broken = nowhere / "hf" / below / "models--google--t5-v1_1-large" / "snapshots" / "x"
    written(broken, b"broken")
    assert find_t5_tokenizer().ids("red") == [4]


def test_what_was_fetched_and_what_lies_beside_the_model_is_used(nowhere: Path) -> None:
    with pytest.raises(NotFoundError):
        find_t5_tokenizer([nowhere, nowhere / "none"])
    written(nowhere / "flux" / "tokenizer_2", tokenizer_json(), "tokenizer.json")
    assert find_t5_tokenizer([nowhere, nowhere / "flux"]).ids("red") == [4]
    for t5 in ("text_encoder_2", "text_encoder_2/model.safetensors"):
        (nowhere / "flux" / t5).mkdir(parents=True) if t5.endswith("2") else (nowhere / "flux" / t5).touch()
        assert find_t5_tokenizer([nowhere / "flux" / t5]).ids("red") == [4]
    written(kept().parent, spiece())
    assert find_t5_tokenizer().ids("red") == [4]
