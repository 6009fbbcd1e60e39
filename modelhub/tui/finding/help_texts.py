"""What the help says, section by section: the keys of where the user is, then of lists and everywhere, then queries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from textual.widget import Widget
from textual.widgets import Input

from modelhub.catalog.field_words import FIELD_WORDS, JOINING, FieldWords
from modelhub.tui.actions import SCOPES, actions
from modelhub.tui.keys.binding_table import own_bindings
from modelhub.tui.keys.key_names import keys_in_words


class HelpLine(NamedTuple):
    """A key, or an example, and what it does."""

    left: str
    right: str


class HelpSection(NamedTuple):
    """A heading and its lines."""

    title: str
    lines: tuple[HelpLine, ...]


#: What a place says beyond its keys.
NOTES: dict[str, HelpSection] = {
    "lab": HelpSection(
        "Fields of the merge lab",
        (
            HelpLine("tab", "From field to field; shift-tab goes back."),
            HelpLine("enter", "Choose a model for a slot, add a LoRA, open a list, press a button, take a number."),
            HelpLine("del", "Empty a slot, or take a LoRA out."),
            HelpLine("← →", "Less or more on a slider; the next of the bars of block weights. With shift a little."),
            HelpLine("↑ ↓", "More or less on a bar; with shift a little."),
            HelpLine("home end", "The lowest or the highest."),
            HelpLine("0-9 . -", "Type the number itself, also one beyond the ends."),
            HelpLine("mouse", "Click or drag a slider; draw over the bars."),
        ),
    ),
}
_FIELD = (
    HelpLine("^a ^e", "To the beginning, to the end."),
    HelpLine("^w ^u ^k", "Delete the word before, all before, all after the cursor."),
    HelpLine("^c ^x ^v", "Copy, cut, paste what is selected."),
)
_MOUSE = HelpSection(
    "Mouse and clipboard",
    (
        HelpLine("click", "Goes there, moves the cursor, presses, sorts by a heading; twice chooses."),
        HelpLine("copy", "Goes to the clipboard of your own machine by OSC 52, also over SSH."),
        HelpLine("in tmux", "Copying needs `set -g set-clipboard on` in tmux.conf; the mouse `set -g mouse on`."),
        HelpLine("shift+drag", "Selects text as your terminal does (option+drag on a Mac)."),
    ),
)


def help_sections(scope: str, focused: Widget | None, keys: Mapping[str, str]) -> list[HelpSection]:
    """The whole help, for a place or screen and the widget that has the focus there."""
    found = [_of_actions(scope, keys)] if scope in SCOPES else []
    found += [NOTES[scope]] if scope in NOTES else []
    found += _of_widget(focused, keys)
    found += [_of_actions(other, keys) for other in ("list", "app") if other != scope]
    return [*found, _MOUSE, *_queries()]


def _of_actions(scope: str, keys: Mapping[str, str]) -> HelpSection:
    lines = (HelpLine(keys_in_words(keys.get(one.id, one.keys)), one.help) for one in actions(scope))
    return HelpSection(SCOPES[scope], tuple(lines))


def _of_widget(focused: Widget | None, keys: Mapping[str, str]) -> list[HelpSection]:
    """The keys of the widget with the focus, and of those around it."""
    found = []
    for node in focused.ancestors_with_self if focused is not None else ():
        if isinstance(node, Widget) and not node.is_modal and node is not node.screen:
            lines = tuple(dict.fromkeys(_own(node, keys)))
            found += [HelpSection(f"{_title(node)} (has the focus)" if node is focused else _title(node), lines)]
    return [section for section in found if section.lines]


def _own(node: Widget, keys: Mapping[str, str]) -> Iterator[HelpLine]:
    if isinstance(node, Input):
        yield from _FIELD
        return
    for holder in type(node).__mro__:
        for one in own_bindings(holder) if issubclass(holder, Widget) else ():
            if one.description and not (one.id or "").startswith("list."):
                yield HelpLine(keys_in_words(keys.get(one.id or "", one.key)), f"{one.description}.")


def _title(node: Widget) -> str:
    name = type(node).__name__
    return "".join(f" {char.lower()}" if char.isupper() and at else char for at, char in enumerate(name))


def _queries() -> Iterator[HelpSection]:
    yield HelpSection("Queries", _lines(JOINING))
    yield HelpSection("Fields of queries", _lines(FIELD_WORDS.values()))


def _lines(words: Iterable[FieldWords]) -> tuple[HelpLine, ...]:
    return tuple(HelpLine(one.example, f"{one.finds[:1].upper()}{one.finds[1:]}.") for one in words)


def filtered(sections: Iterable[HelpSection], typed: str) -> list[HelpSection]:
    """Those lines that hold every typed word; a word of the heading brings all lines below it."""
    words = typed.lower().split()
    found = []
    for title, lines in sections:
        kept = tuple(one for one in lines if all(word in f"{title} {one.left} {one.right}".lower() for word in words))
        found += [HelpSection(title, kept)] if kept else []
    return found
