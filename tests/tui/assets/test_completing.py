"""Completion of a query: which word, what may stand there, and what the text is after it was taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.catalog.field_words import FIELD_WORDS
from modelhub.catalog.search import compile_query
from modelhub.tui.assets.completing import NONE, complete, taken

KNOWN = {
    "kind": {"lora": 3400, "checkpoint": 700, "controlnet": 20},
    "tag": {"anime": 9, "two words": 4, "manga anime": 2, "none": 50},
    "path": {"/models/style/": 12, "/models/loras/": 30},
    "rating": {">=4": 3, "5": 1},
}


def at_caret(query):
    """The completion at `|`."""
    text = query.replace("|", "")
    return text, complete(text, query.index("|"), KNOWN.get)


@pytest.mark.parametrize(
    ("query", "first", "result"),
    [
        ("ki|", "kind:", "kind:"),
        ("-ki|", "kind:", "-kind:"),
        ("cat (ki|) dog", "kind:", "cat (kind:) dog"),
        ("kind:|", "lora", "kind:lora "),
        ("kind:c|", "checkpoint", "kind:checkpoint "),
        ("kind:net|", "controlnet", "kind:controlnet "),
        ("kind:che| tag:anime", "checkpoint", "kind:checkpoint tag:anime"),
        ("KIND:L|", "lora", "kind:lora "),
        ("(kind:l| OR x)", "lora", "(kind:lora OR x)"),
        ("-tag:tw|", "two words", '-tag:"two words" '),
        ('tag:"two w|', "two words", 'tag:"two words" '),
        ('"a phrase" tag:an|', "anime", '"a phrase" tag:anime '),
        ("path:sty|", "/models/style/", "path:/models/style/ "),
        ("kind:lor|xyz", "lora", "kind:lora "),
    ],
)
def test_the_first_choice_is_taken(query, first, result):
    text, found = at_caret(query)
    assert found.choices[0].text == first
    assert taken(text, found, found.choices[0])[0] == result


@pytest.mark.parametrize("query", ['"a phrase ki|', "nothing:a|", "kind:xyz|", "kind:lora|", "hash:ab|", "zzz|"])
def test_where_nothing_is_known_nothing_is_offered(query):
    assert not at_caret(query)[1].choices


def test_all_fields_are_offered_in_a_gap():
    for query in ("|", "kind:lora |", "( |"):
        _, found = at_caret(query)
        assert [choice.text for choice in found.choices] == [f"{name}:" for name in FIELD_WORDS]
        assert found.start == found.end


def test_an_exact_field_means_the_first_choice_and_a_free_one_what_was_typed():
    assert at_caret("kind:lo|")[1].sure
    assert at_caret("tag:an|")[1].sure
    assert not at_caret("tag:anime|")[1].sure, "it is a whole value"
    assert not at_caret("path:sty|")[1].sure
    assert not at_caret("rating:>|")[1].sure
    assert not at_caret("ki|")[1].sure, "a word may be meant as it is"


def test_the_best_and_most_frequent_come_first():
    assert [choice.text for choice in at_caret("tag:an|")[1].choices] == ["anime", "manga anime"]
    assert [choice.text for choice in at_caret("kind:c|")[1].choices] == ["checkpoint", "controlnet"]
    assert at_caret("kind:|")[1].choices[0].note == "3,400"


def test_what_is_not_known_yet_is_nothing():
    assert complete("arch:s", 6, lambda _: None).choices == ()
    assert NONE.choices == ()


@given(st.text(alphabet='ab:"-() \\|kindtag', max_size=30), st.integers(0, 30))
def test_any_text_can_be_completed(text, cursor):
    cursor = min(cursor, len(text))
    found = complete(text, cursor, KNOWN.get)
    assert 0 <= found.start <= found.end <= len(text)
    for choice in found.choices[:3]:
        after, at = taken(text, found, choice)
        assert 0 <= at <= len(after)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_value_is_put_so_that_it_can_be_read(value):
    found = complete("tag:", 4, lambda _: {value: 1})
    query, _ = taken("tag:", found, found.choices[0])
    compile_query(query)
