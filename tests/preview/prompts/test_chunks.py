"""Chunks: 75 tokens between begin and end, moved on after a comma, filled up by BREAK, with embeddings in one piece."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modelhub.preview.prompts.attention import Piece
from modelhub.preview.prompts.chunks import COMMA, Chunk, clip_chunks, t5_chunks
from modelhub.preview.prompts.clip_tokenizer import clip_tokenizer
from modelhub.preview.prompts.embeddings import ANY, Embedding, Words

BEGIN, END, BREAK = 49406, 49407, Piece("BREAK", -1.0)


def numbers(text: str) -> list[int]:
    """A tokenizer: the text is a list of tokens."""
    return [int(word) for word in text.split()]


def embedding(name: str, count: int) -> Embedding:
    return Embedding(name, {ANY: torch.zeros(count, 4)})


def split(*pieces: Piece | list[int], embeddings: list[Embedding] | None = None, pad: int = END) -> list[Chunk]:
    told = [one if isinstance(one, Piece) else Piece(" ".join(map(str, one)), 1.0) for one in pieces]
    return clip_chunks(told, numbers, Words(embeddings or [], numbers), pad)


def inside(chunks: list[Chunk]) -> list[list[int]]:
    """The tokens of each chunk between begin and end."""
    return [list(chunk.ids[1 : chunk.ids.index(END)]) for chunk in chunks]


def test_the_comma_is_the_one_of_clip() -> None:
    assert clip_tokenizer().ids(",") == [COMMA]


@pytest.mark.parametrize(("count", "lengths"), [(0, [0]), (1, [1]), (75, [75]), (76, [75, 1]), (151, [75, 75, 1])])
@pytest.mark.parametrize("pad", [END, 0])
def test_a_text_is_as_many_chunks_as_it_needs(count: int, lengths: list[int], pad: int) -> None:
    chunks = split(list(range(1000, 1000 + count)), pad=pad)
    assert [len(one) for one in inside(chunks)] == lengths
    assert [token for one in inside(chunks) for token in one] == list(range(1000, 1000 + count))
    for chunk in chunks:
        end = chunk.ids.index(END)
        assert len(chunk.ids) == len(chunk.weights) == 77 and chunk.ids[0] == BEGIN
        assert set(chunk.ids[end + 1 :]) <= {pad}


def sentence(comma: int, length: int = 80) -> list[int]:
    """Tokens with a comma at a place."""
    return [COMMA if place == comma else 1000 + place for place in range(length)]


@pytest.mark.parametrize(
    ("comma", "first"), [(74, 75), (73, 74), (60, 61), (56, 57), (55, 56), (54, 75), (0, 75), (75, 75)]
)
def test_what_follows_a_comma_near_the_end_moves_on(comma: int, first: int) -> None:
    one, other = inside(split(sentence(comma)))
    assert len(one) == first and one + other == sentence(comma)


def test_nothing_moves_where_the_next_token_is_a_comma_or_there_is_none() -> None:
    tokens = sentence(70)
    tokens[75] = COMMA
    assert len(inside(split(tokens))[0]) == 75
    assert [len(one) for one in inside(split(sentence(70, 75)))] == [75]


def test_weights_stay_with_their_tokens() -> None:
    first, second = split(Piece(" ".join(map(str, sentence(70, 72))), 1.0), Piece("5 6 7 8 9", 1.5))
    assert inside([second])[0] == [1071, 5, 6, 7, 8, 9]
    assert second.weights[:8] == (1.0, 1.0, 1.5, 1.5, 1.5, 1.5, 1.5, 1.0)
    assert set(first.weights) == {1.0}


def test_break_fills_a_chunk_up_even_an_empty_one() -> None:
    assert inside(split([1], BREAK, [2])) == [[1], [2]]
    assert inside(split(BREAK, [2])) == [[], [2]]
    assert inside(split([1], BREAK)) == [[1]]
    assert inside(split([1], BREAK, BREAK, [2])) == [[1], [], [2]]
    assert inside(split(sentence(-1, 75), BREAK, [2])) == [sentence(-1, 75), [2]]


# -- embeddings --------------------------------------------------------------------------------------------------------


def test_an_embedding_takes_the_place_of_its_name_the_longest_first() -> None:
    short, long = embedding("7", 2), embedding("7 8", 3)
    (chunk,) = split([1, 7, 8, 7, 9], embeddings=[short, long])
    assert inside([chunk]) == [[1, 0, 0, 0, 0, 0, 9]]
    assert [(fix.place, fix.embedding) for fix in chunk.fixes] == [(2, long), (5, short)]


@pytest.mark.parametrize(("before", "places"), [(72, [(0, 73)]), (73, [(1, 1)]), (75, [(1, 1)])])
def test_an_embedding_is_never_split(before: int, places: list[tuple[int, int]]) -> None:
    chunks = split([*range(1000, 1000 + before), 7], embeddings=[embedding("7", 3)])
    assert [(number, fix.place) for number, chunk in enumerate(chunks) for fix in chunk.fixes] == places


def test_a_name_is_found_in_one_piece_only() -> None:
    assert not split([7], [8], embeddings=[embedding("7 8", 1)])[0].fixes
    assert not split([7], embeddings=[embedding("", 1)])[0].fixes


TOKENS = st.lists(st.sampled_from([COMMA, 7, 8, *range(1000, 1006)]), max_size=120)


@given(st.lists(st.one_of(TOKENS, st.just(BREAK)), max_size=5), st.integers(1, 75))
def test_all_tokens_are_there_in_order(pieces: list[Piece | list[int]], count: int) -> None:
    known = [embedding("7 8", count), embedding("8", 2)]
    chunks = split(*pieces, embeddings=known)
    assert all(len(chunk.ids) == len(chunk.weights) == 77 for chunk in chunks)
    named = sum(len(one) for one in pieces if isinstance(one, list))
    fixes = [fix for chunk in chunks for fix in chunk.fixes]
    taken = sum(2 if fix.embedding is known[0] else 1 for fix in fixes)
    placed = sum(fix.embedding.count for fix in fixes)
    assert sum(map(len, inside(chunks))) == named - taken + placed
    assert all(fix.place >= 1 and fix.place + fix.embedding.count <= 76 for fix in fixes)


# -- T5 ----------------------------------------------------------------------------------------------------------------


def t5(*pieces: Piece | list[int], embeddings: list[Embedding] | None = None) -> list[Chunk]:
    told = [one if isinstance(one, Piece) else Piece(" ".join(map(str, one)), 1.0) for one in pieces]
    return t5_chunks(told, numbers, Words(embeddings or [], numbers))


@pytest.mark.parametrize(("count", "length"), [(0, 256), (1, 256), (255, 256), (256, 257), (900, 901)])
def test_t5_has_an_end_and_zeros_up_to_256(count: int, length: int) -> None:
    (chunk,) = t5([5] * count)
    assert chunk.ids == (*[5] * count, 1, *[0] * (length - count - 1))
    assert chunk.weights == (1.0,) * length


def test_t5_breaks_weighs_and_takes_embeddings() -> None:
    first, second = t5([5, 6], BREAK, Piece("7 5", 1.5), embeddings=[embedding("7", 2)])
    assert first.ids[:3] == (5, 6, 1) and second.ids[:4] == (0, 0, 5, 1)
    assert second.weights[:4] == (1.5, 1.5, 1.5, 1.0) and [fix.place for fix in second.fixes] == [0]
    assert len(t5([5], BREAK)) == 1
