"""The text of a recipe: TOML as a person would write it, short tables on one line and long ones under a heading."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: Columns that a line may take before it is broken up.
_WIDTH = 100


def dumps(table: Mapping[str, Any]) -> str:
    """A table of texts, numbers, flags, lists and tables as TOML, in the order given; lists of tables come as [[name]].

    Plain values stand first, whatever the order, because nothing else can follow a heading.
    """
    return "\n".join(_blocks(table, ())).strip("\n") + "\n"


def _blocks(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    under = {}
    for name, value in table.items():
        line = None if not path and isinstance(value, Mapping) else _entry(name, value)
        if line is None:
            under[name] = value
        else:
            yield line
    for name, value in under.items():
        yield from _heading((*path, name), value)


def _heading(path: tuple[str, ...], value: Any) -> Iterator[str]:
    title = ".".join(map(_key, path))
    if isinstance(value, Mapping):
        yield from ("", f"[{title}]")
        yield from _blocks(value, path)
        return
    for item in value:
        yield from ("", f"[[{title}]]")
        yield from _blocks(item, path)


def _entry(name: str, value: Any) -> str | None:
    """The line of a value; None for one that needs a heading of its own."""
    if _is_tables(value):
        return None
    line = f"{_key(name)} = {_inline(value)}"
    if len(line) <= _WIDTH or not isinstance(value, Mapping | list) or _is_short(value):
        return line
    return None if isinstance(value, Mapping) else f"{_key(name)} = {_broken(value)}"


def _is_short(value: Any) -> bool:
    """Whether a table stays on its line whatever is in it, so that those beside it keep their order."""
    return isinstance(value, Mapping) and len(value) <= 3 and not any(isinstance(v, Mapping) for v in value.values())


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(name)} = {_inline(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return _scalar(value)


def _broken(items: Sequence[Any]) -> str:
    """A long list over several lines."""
    lines, line = [], ""
    for item in map(_inline, items):
        if line and len(line) + len(item) > _WIDTH - 7:
            lines.append(line)
            line = ""
        line += f"{' ' if line else ''}{item},"
    return "[\n" + "".join(f"    {one}\n" for one in (*lines, line)) + "]"


def _scalar(value: Any) -> str:
    import tomli_w

    return tomli_w.dumps({"v": value}).removeprefix("v = ").rstrip("\n")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _scalar(name)
