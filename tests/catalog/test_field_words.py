"""The query language in words: every field has some, and every example is a query that can be asked."""

from __future__ import annotations

import pytest

from modelhub.catalog.field_words import FIELD_WORDS, JOINING
from modelhub.catalog.fields import FIELDS
from modelhub.catalog.store import Catalog


def test_every_field_has_words_and_no_other():
    assert FIELD_WORDS.keys() == FIELDS.keys()
    assert all(words.example.startswith(f"{name}:") for name, words in FIELD_WORDS.items())


@pytest.mark.parametrize("words", [*FIELD_WORDS.values(), *JOINING], ids=lambda words: words.example)
def test_an_example_can_be_asked(home, words):
    with Catalog.open(home) as catalog:
        assert catalog.ids(words.example) == []
