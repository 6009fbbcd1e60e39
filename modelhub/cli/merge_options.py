"""Options of `merge`: one for every parameter name that any method has, read from the registry; and what they mean."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

from modelhub.catalog.weighing.weights import Weight
from modelhub.errors import UsageError
from modelhub.merge.recipes.asking import read_value, shown_value, with_blocks
from modelhub.merge.registry import Method, Parameter, Value, find_method, methods
from modelhub.text import plural

_METAVARS = {"number": "WEIGHT", "whole": "N", "choice": "WORD", "list": "X,X,…"}
_EXAMPLES = {"number": "0.3", "whole": "1", "list": "0.5,0.3,0.2"}
#: What a parameter is to so many methods is told with the option; of more, `modelhub methods METHOD` tells.
_FEW = 2


def add_parameters(group: argparse._ArgumentGroup) -> None:
    """One option per parameter name of all methods, those of the most methods first, and --blocks after the first."""
    for at, (name, users) in enumerate(sorted(_by_name().items(), key=lambda one: -len(one[1]))):
        if at == 1:
            _add_blocks(group)
        first = users[0][1]
        if all(parameter.kind == "flag" for _, parameter in users):
            group.add_argument(option(name), dest=name, action="store_true", default=None, help=_help(users))
        else:
            example = first.choices[-1] if first.choices else _EXAMPLES.get(first.kind, "0.3")
            text = f"{_help(users)}, e.g. {option(name)} {example}"
            group.add_argument(option(name), dest=name, metavar=_METAVARS.get(first.kind, "X"), help=text)


def _add_blocks(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--blocks",
        metavar="WEIGHTS",
        help="block weights for --alpha (or else the first number of the method), which holds for what they do not "
        "name: a preset of `modelhub presets`, a number for each block, or some by name, e.g. --blocks GRAD_V, "
        "--blocks IN00=0.1,te1=0.5, --blocks 'GRAD_V>FLAT_25@0.3'",
    )


def add_ancestor(parser: argparse.ArgumentParser) -> None:
    """--ancestor: not the file's own recipe, but one that it carries."""
    parser.add_argument(
        "--ancestor",
        metavar="NAME|HASH",
        help="take the recipe of this merge that went into it, as REF carries it, e.g. --ancestor 464984d3",
    )


def _by_name() -> dict[str, list[tuple[str, Parameter]]]:
    """Parameter name to the methods that have one of that name."""
    found: dict[str, list[tuple[str, Parameter]]] = {}
    for method in methods().values():
        for parameter in method.parameters:
            found.setdefault(parameter.name, []).append((method.name, parameter))
    return found


def option(name: str) -> str:
    """A parameter's name as an option."""
    return "--" + name.replace("_", "-")


def _help(users: list[tuple[str, Parameter]]) -> str:
    """What the parameter is to each of few methods, or to how many it means something."""
    words: dict[str, list[tuple[str, Parameter]]] = {}
    for name, parameter in users:
        words.setdefault(parameter.help, []).append((name, parameter))
    if len(words) > _FEW:
        told = [(help, len(same)) for help, same in words.items() if len(same) > 1]
        shared = "".join(f"{help} ({count} methods); " for help, count in sorted(told, key=lambda one: -one[1])[:_FEW])
        return f"{shared}{plural(len(users), 'method')} in all, each says what it is".replace("%", "%%")
    return "; ".join(f"{help} ({_users(same)})" for help, same in words.items()).replace("%", "%%")


def _users(users: list[tuple[str, Parameter]]) -> str:
    """`dare and della, default sum`, or how many methods there are of it."""
    names = " and ".join(name for name, _ in users) if len(users) <= _FEW else f"{len(users)} methods"
    defaults = list(dict.fromkeys(shown_value(parameter.default) for _, parameter in users))
    return f"{names}, default {' or '.join(defaults)}" if users[0][1].kind != "flag" else names


def option_words(parameter: Parameter) -> str:
    """A parameter as an option with its range: `--alpha  how much of B (default 0.5, usually 0 to 1)`."""
    ends = {
        "number": f", usually {parameter.low:g} to {parameter.high:g}",
        "whole": f", {parameter.low:g} or more",
        "choice": f"; one of {', '.join(parameter.choices)}",
    }
    return f"{parameter.help} (default {shown_value(parameter.default)}{ends.get(parameter.kind, '')})"


def asked_names(args: argparse.Namespace) -> Iterator[str]:
    """The parameters that the user gave, as options."""
    yield from (option(name) for name in _by_name() if getattr(args, name) is not None)
    if args.blocks is not None:
        yield "--blocks"


def asked_parameters(args: argparse.Namespace) -> Mapping[str, Value | Weight]:
    """What the user gave, as the parameters of the method read it. Raises UsageError, BadRecipeError, NotFoundError."""
    method = find_method(args.what)
    given = {name: getattr(args, name) for name in _by_name() if getattr(args, name) is not None}
    read = {name: value if value is True else read_value(_known(method, name), value) for name, value in given.items()}
    return read if args.blocks is None else with_blocks(method, read, args.blocks)


def _known(method: Method, name: str) -> Parameter:
    parameter = method.parameter(name)
    if parameter is not None:
        return parameter
    known = ", ".join(option(p.name) for p in method.parameters)
    raise UsageError(f"{method.name} has no {option(name)}.", f"It has: {known}." if known else "It has none at all.")
