"""keys.toml in the home folder: `"browse.tag" = "T,ctrl+t"` puts other keys to an action."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from modelhub.errors import UsageError
from modelhub.settings import read_table, save_table
from modelhub.tui.keys.binding_table import Bound, all_bindings, of_actions
from modelhub.tui.keys.key_names import join_keys, split_keys

_NAME = "keys.toml"


def load_keys(folder: Path) -> dict[str, str]:
    """Binding id to keys; empty without the file. Raises UsageError for what is no action or no text."""
    path = folder / _NAME
    table = read_table(path)
    known = {one.id for one in of_actions()}
    if not table.keys() <= known:
        known = {one.id for one in all_bindings()}
    for name, keys in table.items():
        if name not in known:
            raise UsageError(f"{path}: there is no action '{name}'.", f"Actions are: {', '.join(sorted(known))}.")
        if not isinstance(keys, str) or not all(key.strip() for key in keys.split(",")):
            raise UsageError(f"{path}: the keys of '{name}' are {keys!r}.", 'Write them as "ctrl+t" or "t,T".')
    return table


def save_keys(folder: Path, keys: Mapping[str, str]) -> None:
    """Write keys.toml; lines that stay and comments are kept. Raises FileError."""
    save_table(folder / _NAME, keys)


def with_keys(keys: Mapping[str, str], bound: Bound, new: str | None) -> dict[str, str]:
    """`keys` with other ones for a binding; with its own again for None, which need no line in the file."""
    others = {name: value for name, value in keys.items() if name != bound.id}
    return others if new is None or new == bound.keys else {**others, bound.id: new}


def taken_from(keys: Mapping[str, str], key: str, others: list[Bound]) -> dict[str, str]:
    """`keys` with `key` taken from `others`."""
    found = dict(keys)
    for one in others:
        left = [other for other in split_keys(one.effective(keys)) if other != key]
        found = with_keys(found, one, join_keys(left))
    return found
