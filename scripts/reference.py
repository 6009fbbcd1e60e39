"""Write the reference of README.md anew from the code: commands, options, query fields, merge methods, block weights, keys.

`scripts/reference.py` rewrites the part between the two markers; `--check` only says whether it is current.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from modelhub.catalog.blocks import block_names, tables
from modelhub.catalog.fields import FIELDS
from modelhub.catalog.orders import SORTS
from modelhub.catalog.weighing.presets import presets
from modelhub.catalog.weighing.weight import spans
from modelhub.cli.console import all_commands
from modelhub.cli.merge_options import option, option_words
from modelhub.merge.registry import methods
from modelhub.text import sparkline
from modelhub.tui.actions import SCOPES, actions
from modelhub.tui.keys.key_names import key_name, split_keys

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- reference: made by scripts/reference.py -->", "<!-- end of reference -->"


def reference() -> str:
    """The markdown of the reference."""
    lines = []
    for name, parser in all_commands():
        usage = " ".join(parser.format_usage().split()[1:])
        example = (parser.epilog or "").removeprefix("example:\n").strip().replace("\n  modelhub ", "\n$ modelhub ")
        lines += [
            f"### `modelhub {name}`",
            "",
            *_description(parser.description or ""),
            "",
            "```",
            usage,
            "",
            f"$ {example}",
            "```",
            "",
            "| argument | |",
            "|---|---|",
        ]
        for action in parser._actions:
            if not isinstance(action, argparse._HelpAction):
                lines.append(f"| `{_words(action)}` | {_cell(action.help)} |")
        lines.append("")
    lines += [
        "### Query fields",
        "",
        ", ".join(f"`{field}:`" for field in FIELDS),
        "",
        "Sorts: " + ", ".join(f"`{sort}`" for sort in SORTS),
        "",
    ]
    return "\n".join([*lines, *merge_methods(), "", *block_presets(), "", *keys()])


def _description(text: str) -> list[str]:
    """The first paragraph as prose; what stands below it has its lines as they are."""
    first, _, more = text.partition("\n\n")
    return [first, "", "```", more, "```"] if more else [first]


def merge_methods() -> Iterator[str]:
    """Every method with its formula, what it is for, and its parameters, from the registry."""
    yield from ("### Merge methods", "", "| method | models | formula | parameters | |", "|---|---|---|---|---|")
    for method in methods().values():
        parameters = "; ".join(f"`{option(p.name)}` {option_words(p)}" for p in method.parameters)
        cells = (f"`{method.name}`", method.models, method.formula, parameters, " ".join(method.help.split()))
        yield f"| {' | '.join(map(_cell, cells))} |"


def block_presets() -> Iterator[str]:
    """The blocks that weights can name, and the presets, from the tables."""
    yield from ("### Block weights", "", "| architecture | blocks |", "|---|---|")
    for architecture in sorted(tables()):
        names = block_names(architecture)
        yield f"| {architecture} | {len(names)}: {spans(names)} |"
    yield from ("", "| preset | | for SD 1 |", "|---|---|---|")
    for preset in presets().values():
        yield f"| `{preset.name}` | {_cell(preset.about)} | {sparkline(preset.values('sd1').values())} |"


def keys() -> Iterator[str]:
    """The keys of the TUI, place by place, with the names by which keys.toml changes them."""
    yield from ("### Keys of the TUI", "", "| where | key | | in `keys.toml` |", "|---|---|---|---|")
    for scope, title in SCOPES.items():
        for action in actions(scope):
            spoken = " ".join(f"`{key_name(key)}`" for key in split_keys(action.keys))
            yield f"| {title} | {_cell(spoken)} | {_cell(action.help)} | `{action.id}` |"


def _words(action: argparse.Action) -> str:
    if not action.option_strings:
        return str(action.metavar or action.dest)
    value = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    )
    return ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {value}")


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|").replace("%%", "%")


def updated(text: str) -> str:
    """`text` with the part between the markers replaced."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{reference()}\n\n{END}{tail}"


def main() -> int:
    """Rewrite README.md, or check it."""
    os.environ["COLUMNS"] = "1000"
    text = README.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        sys.exit(f"{README} lacks the markers {BEGIN} and {END}")
    if "--check" in sys.argv:
        return int(updated(text) != text)
    README.write_text(updated(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
