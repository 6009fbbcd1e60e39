"""CLIP's tokenizer against transformers', built from the same rules; chunks of 77."""

from __future__ import annotations

import lzma
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.catalog.data import data_path
from modelhub.errors import CorruptFileError, VanishedError
from modelhub.preview.prompts.clip_tokenizer import clip_tokenizer, read_merges

TEXTS = [
    "",
    " ",
    "a photo of an astronaut riding a horse on mars",
    "A  Photo,\tof\n\nA CAT's hat; it's 'llama'",
    "don't we'll I'd they've I'm you're",
    "1234567890 3.14 x2",
    "((best quality)), [bad:1.3], <lora:foo:0.8>",
    "naïve café Ünïcödé ﬁ ⅷ Ⅻ ①",
    "e\u0301 vs \u00e9, \u1e9b\u0323",
    "日本語のテキスト 中文 한국어 العربية עברית हिन्दी ไทย",
    "😀👩‍👩‍👧‍👦🏳️‍🌈 👍🏽",
    "\x00\x01\x1b[31m\x7f\x85\u200b\ufeff\u2028",
    "<|startoftext|>a<|endoftext|>",
    "<|endoftext|><|endoftext|>",
    "<|ENDOFTEXT|> <|endoftext",
    "ＦＵＬＬ　ｗｉｄｔｈ",
    "İstanbul ẞ ΑΣ",
    "x" * 300,
    "\U0010ffff\ufffd",
]


@pytest.fixture(scope="module")
def oracle() -> Any:
    from transformers import CLIPTokenizer

    with lzma.open(data_path("tokenizer", "clip-bpe-merges.txt.xz"), "rt", encoding="utf-8") as file:
        merges = [tuple(line.split()) for line in file]
    names = [*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324)]
    tokens = [chr(n) for n in names] + [chr(n) + "</w>" for n in names] + [a + b for a, b in merges]
    vocabulary = {t: n for n, t in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges)


def test_ids_of_well_known_texts() -> None:
    assert clip_tokenizer().ids("a photo of a cat") == [320, 1125, 539, 320, 2368]
    assert clip_tokenizer().ids("a photo of a dog") == [320, 1125, 539, 320, 1929]


@pytest.mark.parametrize("text", TEXTS)
def test_ids_equal_those_of_transformers(oracle: Any, text: str) -> None:
    assert clip_tokenizer().ids(text) == oracle(text, add_special_tokens=False).input_ids


@settings(deadline=None, max_examples=150)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_ids_of_any_text_equal_those_of_transformers(oracle: Any, text: str) -> None:
    assert clip_tokenizer().ids(text) == oracle(text, add_special_tokens=False).input_ids


def test_surrogates_are_question_marks() -> None:
    assert clip_tokenizer().ids("a \ud800 b") == clip_tokenizer().ids("a ? b")


@pytest.mark.parametrize("pad", [49407, 0])
@pytest.mark.parametrize("count", [0, 1, 74, 75, 76, 150, 151])
def test_chunks_hold_all_ids_in_order(count: int, pad: int) -> None:
    tokenizer = clip_tokenizer()
    text = " ".join(str(n % 10) for n in range(count))
    chunks = tokenizer.chunks(text, pad)
    assert len(chunks) == max(1, -(-count // 75))
    assert all(len(chunk) == 77 and chunk[0] == 49406 for chunk in chunks)
    joined = [number for chunk in chunks for number in chunk[1 : chunk.index(49407)]]
    assert joined == tokenizer.ids(text)
    assert all(set(chunk[chunk.index(49407) + 1 :]) <= {pad} for chunk in chunks)


def test_is_built_once() -> None:
    assert clip_tokenizer() is clip_tokenizer()


@pytest.mark.parametrize(
    "content", [b"", b"not xz", lzma.compress(b"a b\n"), lzma.compress(b"a b c\n" * 48894), lzma.compress(b"\xff")]
)
def test_damaged_rules_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rules.xz"
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"rules\.xz"):
        read_merges(path)


def test_missing_rules_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VanishedError):
        read_merges(tmp_path / "rules.xz")
