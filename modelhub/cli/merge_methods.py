"""methods and presets: what the registry of merge methods and the tables of block weights hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from modelhub.cli.context import Bold, Context
from modelhub.cli.merge_options import option, option_words
from modelhub.cli.options import command
from modelhub.cli.table import facts, wrapped
from modelhub.errors import NotFoundError
from modelhub.merge.recipes.asking import block_parameter
from modelhub.merge.registry import Method, find_method, methods
from modelhub.text import plural, sparkline, width

if TYPE_CHECKING:
    from modelhub.cli.options import Commands

_SCOPES = {
    "element": "element by element",
    "rows": "row by row",
    "tensor": "whole tensors, which takes their memory",
}


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    parser = command(
        commands, "methods", _methods, "List the merge methods, or all about one of them.", "modelhub methods ties"
    )
    parser.add_argument("method", metavar="METHOD", nargs="?", help="tell all about this one, e.g. add-difference")
    parser = command(
        commands, "presets", _presets, "List the presets of block weights.", "modelhub presets GRAD_V --for sdxl"
    )
    parser.add_argument(
        "--for",
        dest="architecture",
        metavar="ARCH",
        default="sd1",
        help="show them for the blocks of this architecture, e.g. --for sdxl (default: sd1)",
    )
    parser.add_argument("preset", metavar="PRESET", nargs="?", help="show the numbers of this one, e.g. GRAD_V")


def _methods(context: Context) -> int:
    if context.args.method is not None:
        found = find_method(context.args.method)
        context.answer(_method_json(found), lambda: _method_lines(found))
        return 0
    context.answer([_method_json(m) for m in methods().values()], _list_lines)
    return 0


def _method_json(method: Method) -> dict[str, Any]:
    return {
        "name": method.name,
        "title": method.title,
        "inputs": method.least,
        "many": method.many,
        "names": list(method.names),
        "formula": method.formula,
        "help": method.help,
        "passes": method.passes,
        "scope": method.scope,
        "random": "chance" in method.wants,
        "parameters": [asdict(parameter) for parameter in method.parameters],
        "example": _example(method),
    }


def _group(method: Method) -> str:
    if not method.many:
        return {1: "one model", 2: "two models", 3: "three models"}.get(method.least, plural(method.least, "model"))
    return "one model and any number of others" if method.names else "any number of models"


def _list_lines() -> Iterator[str]:
    """Groups by what they take, one line for each method."""
    found = sorted(methods().values(), key=lambda method: (method.many, len(method.names), method.name))
    left = max(width(method.name) for method in found) + 2
    for group in dict.fromkeys(map(_group, found)):
        yield Bold(group)
        for method in found:
            if _group(method) == group:
                yield from wrapped(f"  {method.name.ljust(left)}{method.formula}{_marks(method)}", left + 4)
        yield ""
    yield "`modelhub methods METHOD` tells all about one, and its options, as --alpha."


def _marks(method: Method) -> str:
    marks = [f"{method.passes} passes"] if method.passes > 1 else []
    marks += ["random"] if "chance" in method.wants else []
    return f"  [{', '.join(marks)}]" if marks else ""


def _passes(count: int) -> str:
    return "one" if count == 1 else f"{count}: every input is read {count} times, first to measure it"


def _method_lines(method: Method) -> Iterator[str]:
    yield Bold(f"{method.name}  {method.models}")
    yield f"    {method.formula}"
    yield ""
    for paragraph in method.help.split("\n\n"):
        yield from wrapped("    " + " ".join(paragraph.split()), 4)
        yield ""
    yield from facts([(option(p.name), option_words(p)) for p in method.parameters])
    yield from [""] if method.parameters else []
    at_least = f"{_group(method)}, {method.least} or more in all" if method.many else _group(method)
    yield from facts(
        [
            ("models", at_least),
            ("passes", _passes(method.passes)),
            ("computed", _SCOPES[method.scope]),
            ("example", _example(method)),
        ]
    )


def _example(method: Method) -> str:
    names = [name.upper() if len(name) == 1 else name for name in method.names]
    letters = "ABCDEFGH"[: max(method.least - len(names), 2 if names else 3)]
    number = block_parameter(method)
    said = [f"{option(number.name)} {number.default:g}"] if number else []
    models = [*names, *(letters if method.many else ())]
    return " ".join(["modelhub merge", method.name, *models, *said, "-o out.safetensors"])


def _presets(context: Context) -> int:
    from modelhub.catalog.blocks import block_names, tables
    from modelhub.catalog.weighing.presets import find_preset, presets
    from modelhub.catalog.weighing.weight import spans

    architecture = context.args.architecture.lower()
    names = block_names(architecture)
    wanted = [find_preset(context.args.preset, "presets")] if context.args.preset is not None else presets().values()
    found = [(preset, preset.values(architecture)) for preset in wanted]
    found = [(preset, values) for preset, values in found if values]
    if not found:
        fit = ", ".join(sorted(one for one in tables() if any(p.values(one) for p in presets().values())))
        raise NotFoundError(f"There are no presets for the blocks of '{architecture}'.", f"There are for: {fit}.")
    data = [
        {"name": preset.name, "about": preset.about, "aliases": list(preset.aliases), "weights": values}
        for preset, values in found
    ]

    def lines() -> Iterator[str]:
        yield Bold(f"{architecture}: {len(names)} blocks, {spans(names)}")
        yield ""
        left = max(width(preset.name) for preset, _ in found) + 2
        for preset, values in found:
            yield f"{preset.name.ljust(left)}{sparkline(values.values())}  {preset.about}"
            if context.args.preset is not None:
                yield from facts([("", ""), *((block, f"{value:.4g}") for block, value in values.items())])

    context.answer(data, lines)
    return 0
