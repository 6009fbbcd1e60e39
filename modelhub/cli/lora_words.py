"""Verdicts in words and signs, as commands print them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from modelhub.cli.streams import is_unicode

if TYPE_CHECKING:
    from modelhub.lora.checking.answer import Answer, Verdict


def verdict_signs() -> dict[Verdict, str]:
    """A sign for each verdict, of characters that stdout has."""
    from modelhub.lora.checking.answer import ASCII_SIGNS, SIGNS

    return dict(SIGNS if is_unicode(sys.stdout) else ASCII_SIGNS)


def verdict_words(answer: Answer) -> str:
    """`compatible with caution`."""
    from modelhub.lora.checking.answer import WORDS

    return WORDS[answer.verdict]


def why(answer: Answer) -> str:
    """The first reason that made the verdict what it is."""
    return next((one.say for one in answer.reasons if one.severity == answer.verdict), answer.headline)
