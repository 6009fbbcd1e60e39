"""The words of a command line put in order: options may stand anywhere, and a word with one dash may be no option.

argparse alone refuses `ls -tag:nsfw`, `tag A --add anime B` and `note A "-1 at most"`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence


def in_order(words: Sequence[str], options: Mapping[str, argparse.Action]) -> list[str]:
    """`words` of one command with its options first, each joined with its value, then `--` and all other words.

    `options` maps the names of options to what they do. A word with two dashes, known or not, stays an option.
    """
    first: list[str] = []
    others: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            others += waiting
            break
        if word in options:
            first.append(_with_value(word, options, waiting))
        elif word.startswith("--") or _is_short_with_value(word, options):
            first.append(word)
        else:
            others.append(word)
    return [*first, "--", *others] if others else first


def _with_value(word: str, options: Mapping[str, argparse.Action], waiting: list[str]) -> str:
    """The option as one word with its value, taken from `waiting`, if it wants one and there is one."""
    action = options[word]
    if action.nargs == 0 or not waiting or waiting[0] in options:
        return word
    return f"{max(action.option_strings, key=len)}={waiting.pop(0)}"


def _is_short_with_value(word: str, options: Mapping[str, argparse.Action]) -> bool:
    """Whether `word` is such as `-oOUT` or `-o=OUT`: one letter of an option with a value, the value joined to it.

    Words with a colon or a space are not: they are conditions of a search, or a sentence.
    """
    action = options.get(word[:2])
    return action is not None and action.nargs != 0 and not re.search(r"[:\s]", word[2:])
