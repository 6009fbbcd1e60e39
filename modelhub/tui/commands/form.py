"""Commands of the command line as forms: what argparse knows of them, the words of a filled form, and back again."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

from modelhub.errors import ModelhubError

_EVERY = ("--json", "--dry-run")
#: What argparse takes for the name of an option: neither a number nor a text of several words.
_OPTION = re.compile(r"-(?!\d*\.?\d+$)\S+$")
#: What the fields of a form hold: a text, or whether a flag is set.
Values = Mapping[str, "str | bool"]


class Control(StrEnum):
    """How a field is filled."""

    FLAG = "flag"
    CHOICE = "choice"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class FormField:
    """An option, or a word that stands without one. `key` is `--steps`, or the name of the word: `REF`.

    `many`: several words; `repeated`: the option stands before each of them. `about` says what the words name: assets,
    loras, models, files, paths, folders, or nothing of these. `names`: all names of the option.
    """

    key: str
    metavar: str
    help: str
    control: Control
    choices: tuple[str, ...] = ()
    default: str = ""
    required: bool = False
    many: bool = False
    repeated: bool = False
    about: str = ""
    read: Callable[[str], object] | None = None
    names: tuple[str, ...] = ()

    @property
    def is_option(self) -> bool:
        """Whether it has a name with dashes."""
        return self.key.startswith("-")

    @property
    def label(self) -> str:
        """What stands before the field: `--steps N`, `REF …`."""
        more = " …" if self.many else ""
        return f"{self.key} {self.metavar}{more}".strip() if self.is_option else f"{self.metavar}{more}"


@dataclass(frozen=True, slots=True)
class FormGroup:
    """Fields below one heading."""

    title: str
    fields: tuple[FormField, ...]


@dataclass(frozen=True)
class CommandForm:
    """A command: `lora check`. Of the keys in one of `exclusive`, only one may be given."""

    name: str
    help: str
    example: str
    groups: tuple[FormGroup, ...]
    exclusive: tuple[tuple[str, ...], ...] = ()

    @property
    def fields(self) -> list[FormField]:
        """All of them."""
        return [one for group in self.groups for one in group.fields]

    def has(self, key: str) -> bool:
        """Whether there is a field of that key."""
        return any(one.key == key for one in self.fields)


# -- from argparse -----------------------------------------------------------------------------------------------------


@cache
def all_forms(make: Callable[[], argparse.ArgumentParser]) -> tuple[CommandForm, ...]:
    """Every command of the parser that `make` makes, which takes half a second: call it in a thread."""
    return tuple(_form(name, parser) for name, parser in _commands(make()))


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._subparsers._group_actions if parser._subparsers else ():
        for name, found in dict(action.choices or {}).items():
            if found._subparsers is None:
                yield name, found
            yield from ((f"{name} {verb}", inner) for verb, inner in _commands(found))


def _form(name: str, parser: argparse.ArgumentParser) -> CommandForm:
    groups = [
        FormGroup(str(group.title or ""), _ordered(_field(name, one) for one in group._group_actions if _is_shown(one)))
        for group in parser._action_groups
    ]
    exclusive = tuple(tuple(_key(one) for one in group._group_actions) for group in parser._mutually_exclusive_groups)
    example = (parser.epilog or "").partition("\n  ")[2].strip()
    return CommandForm(name, parser.description or "", example, tuple(one for one in groups if one.fields), exclusive)


def _ordered(fields: Iterable[FormField]) -> tuple[FormField, ...]:
    """What is needed first, what every command has last."""
    return tuple(sorted(fields, key=lambda one: (not one.required) * one.is_option + 2 * (one.key in _EVERY)))


def _is_shown(action: argparse.Action) -> bool:
    return not isinstance(action, argparse._HelpAction) and action.help is not argparse.SUPPRESS


def _field(command: str, action: argparse.Action) -> FormField:
    many = action.nargs in ("*", "+") or isinstance(action, argparse._AppendAction)
    if action.nargs == 0:
        return FormField(_key(action), "", action.help or "", Control.FLAG, names=tuple(action.option_strings))
    choices = tuple(map(str, action.choices or ()))
    metavar = str(action.metavar or ("|".join(choices) if len(choices) < 4 else "") or action.dest.upper())
    return FormField(
        _key(action),
        metavar,
        action.help or "",
        Control.CHOICE if choices and not many else Control.TEXT,
        choices,
        "" if action.default in (None, []) else str(action.default),
        required=action.required and action.nargs not in ("?", "*"),
        many=many,
        repeated=isinstance(action, argparse._AppendAction),
        about=_about(command, metavar, bool(action.option_strings)),
        read=action.type if callable(action.type) else None,
        names=tuple(action.option_strings),
    )


def _key(action: argparse.Action) -> str:
    return max(action.option_strings, key=len) if action.option_strings else str(action.metavar or action.dest)


_ABOUT = {
    "REF": "assets", "SRC": "assets", "SOURCE": "assets", "A|B|REF": "assets", "LORA": "loras", "LORA:WEIGHT": "loras",
    "REF:WEIGHT": "loras", "CHECKPOINT": "models", "TUNED": "models", "BASE": "models", "FILE": "files",
    "IMAGE": "paths", "DST": "paths", "OUT": "paths", "OUT.png": "paths", "GRID.png": "paths", "OUT.png|DIR": "paths",
    "METHOD|RECIPE.toml": "paths", "DIR": "folders", "TARGET": "folders",
}  # fmt: skip


def _about(command: str, metavar: str, is_option: bool) -> str:
    if metavar == "FILE" and is_option:
        return "paths"  # of lists and recipes, no models
    return "" if command == "get" and metavar == "SOURCE" else _ABOUT.get(metavar, "")


# -- to words, and back ------------------------------------------------------------------------------------------------


def words_of(form: CommandForm, values: Values) -> list[str]:
    """The words after `modelhub`. Raises ValueError for a text with an open quote."""
    options: list[str] = []
    plain: list[str] = []
    for field in form.fields:
        value = values.get(field.key) or ""
        if field.control is Control.FLAG:
            options += [field.key] * bool(value)
        else:
            found = _split(field, str(value))
            options += [word for one in found for word in _option(field.key, one)] if field.is_option else []
            plain += [] if field.is_option else found
    dashed = any(word.startswith("-") for word in plain)
    return [*form.name.split(), *options, "--", *plain] if dashed else [*form.name.split(), *plain, *options]


def _split(field: FormField, text: str) -> list[str]:
    """The words of a text: it is one, or where there may be many, those of a shell; `#` begins no comment."""
    if not text.strip():
        return []
    return shlex.split(text) if field.many else [text]


def _option(key: str, value: str) -> list[str]:
    return [f"{key}={value}"] if value.startswith("-") else [key, value]


def line_of(words: Sequence[str]) -> str:
    """What one would type into a shell."""
    return shlex.join(["modelhub", *words])


class Filled(NamedTuple):
    """The form of a command, what its fields hold, and the words of the line that none of them takes."""

    form: CommandForm
    values: dict[str, str | bool]
    rest: list[str]


def form_of(forms: Sequence[CommandForm], words: Sequence[str]) -> Filled | None:
    """The command that `words` begin with, and its form filled with the rest; None if there is no such command."""
    words = list(words)[1:] if words and words[0] == "modelhub" else list(words)
    for size in (2, 1):
        found = next((form for form in forms if form.name == " ".join(words[:size])), None)
        if found is not None:
            return Filled(found, *_values(found, words[size:]))
    return None


def _values(form: CommandForm, words: list[str]) -> tuple[dict[str, str | bool], list[str]]:
    """The values, and the words that are left over."""
    options = {name: field for field in form.fields for name in field.names}
    found: dict[str, list[str]] = {}
    flags: dict[str, str | bool] = {}
    plain: list[str] = []
    unknown: list[str] = []
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        field = options.get(name)
        if word == "--":
            plain += words
            break
        if field is None:
            (unknown if _OPTION.match(word) else plain).append(word)
        elif field.control is Control.FLAG:
            flags[field.key] = True
        else:
            found.setdefault(field.key, []).append(value if equals else words.pop(0) if words else "")
    placed, beyond = _placed(form, plain)
    return flags | {name: _joined(options[name], these) for name, these in found.items()} | placed, unknown + beyond


def _placed(form: CommandForm, plain: list[str]) -> tuple[dict[str, str | bool], list[str]]:
    """Words without an option: one for each field that holds one, and what is between them for one that holds many.

    With them come the words for which there is no field.
    """
    fields = [field for field in form.fields if not field.is_option]
    found: dict[str, str | bool] = {}
    while fields and not fields[0].many and plain:
        found[fields.pop(0).key] = plain.pop(0)
    while fields and not fields[-1].many and plain:
        found[fields.pop().key] = plain.pop()
    if fields and plain:
        return found | {fields[0].key: _joined(fields[0], plain)}, []
    return found, plain


def _joined(field: FormField, words: list[str]) -> str:
    return shlex.join(words) if field.many else words[-1]


# -- what is wrong with a form -----------------------------------------------------------------------------------------


def problems(form: CommandForm, values: Values) -> dict[str, str]:
    """Key to a sentence about what is missing or cannot be."""
    found = {field.key: trouble for field in form.fields if (trouble := _trouble(field, values.get(field.key) or ""))}
    for keys in form.exclusive:
        given = [key for key in keys if values.get(key)]
        if len(given) > 1:
            found[given[-1]] = f"Not together with {given[0]}."
    return found


def _trouble(field: FormField, value: str | bool) -> str:
    if field.control is Control.FLAG or isinstance(value, bool):
        return ""
    if not value.strip():
        return "This is needed." if field.required else ""
    try:
        words = _split(field, value)
    except ValueError:
        return "A quote is open."
    if field.choices and (wrong := [word for word in words if word not in field.choices]):
        return f"'{wrong[0]}' is none of: {', '.join(field.choices)}."
    return next((trouble for word in words if (trouble := _unreadable(field, word))), "")


def _unreadable(field: FormField, word: str) -> str:
    """Why the option would not take the word, by its own reading of it."""
    try:
        _read(field, word)
    except argparse.ArgumentTypeError as error:
        return f"{str(error)[:1].upper()}{str(error)[1:]}."
    except ModelhubError as error:
        return error.message
    except (ValueError, TypeError):
        what = {int: "a whole number", float: "a number"}.get(field.read, field.metavar)  # type: ignore[call-overload]
        return f"This must be {what}."
    return ""


def _read(field: FormField, word: str) -> Any:
    return field.read(word) if field.read is not None else word
