"""lora info: what an adapter is made of, for what, by whom, and how much it changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from modelhub.cli.context import Bold, Context
from modelhub.cli.identity_words import adapter_words, fact_rows
from modelhub.cli.options import REF_HELP, command
from modelhub.cli.table import facts, table, wrapped
from modelhub.text import human_count, human_size, one_line, plural

if TYPE_CHECKING:
    from modelhub.cli.options import Commands
    from modelhub.lora.network import Network

#: What of a training has a line of its own, or is told elsewhere.
_ELSEWHERE = ("base_model", "base_hash", "title", "author", "license", "description", "usage_hint", "comment")


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    parser = command(
        commands,
        "info",
        _info,
        "Tell what a LoRA is made of, for which models, and what its training left in it.",
        "modelhub lora info my-style",
    )
    parser.add_argument("lora", metavar="LORA", help=f"the adapter, {REF_HELP}")
    parser.add_argument(
        "--weights",
        action="store_true",
        help="also compute how much it adds to the weights of each block; reads all of the file",
    )


def _info(context: Context) -> int:
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.cli.lora_sides import side
    from modelhub.lora.info import info
    from modelhub.lora.network import Network

    with Catalog.open() as catalog, Opener(catalog, job=context.job) as opener:
        asset = side(catalog, context.args.lora)
        parent = opener(str(asset.path))
        network = Network(parent.source, parent.path.name)
        data = {
            "path": str(asset.path),
            "kind": asset.kind,
            "architecture": asset.architecture,
            **info(network),
            "prediction": asset.prediction,
            "lineage": asset.facts.get("lineage"),
            "conflicts": asset.conflicts,
        }
        data["trigger_words"] = list(dict.fromkeys([*asset.trigger_words, *data["trigger_words"]]))
        data["weights"] = _weights(context, network) if context.args.weights else None
    context.answer(data, lambda: _lines(data))
    return 0


def _weights(context: Context, network: Network) -> dict[str, Any]:
    """How much each block is changed, in the blocks of the architecture that it is for, if that is one."""
    from modelhub.errors import ModelhubError
    from modelhub.lora.reference import reference_for
    from modelhub.lora.strengths import strengths

    try:
        layers = reference_for(network.adapter, network.name)
    except ModelhubError:
        layers = None
    return strengths(network, layers, context.job).as_dict()


def _lines(data: Mapping[str, Any]) -> Iterator[str]:
    """All of it in words."""
    yield Bold(one_line(str(data["path"])))
    yield from facts([(name, one_line(text)) for name, text in _rows(data)])
    if data["weights"] is not None:
        yield from _weight_lines(data["weights"])


def _rows(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    training = data["training"]
    yield "is", adapter_words({**data, "alpha": False})
    yield "for", _bases(data)
    yield "because", "; ".join(data["base_evidence"][:3])
    yield "alpha", _alpha(data["alpha"])
    yield "ranks", _counted(data["rank"]) if len(data["rank"]) > 1 else ""
    yield "names", str(data["dialect"] or "")
    yield "size", _size(data)
    yield "trained on", " ".join(filter(None, (training.get("base_model"), _hash(training.get("base_hash")))))
    yield "lineage", str(data["lineage"] or "")
    yield "prediction", str(data["prediction"] or "")
    yield "but", "; ".join(data["conflicts"])
    yield "trigger words", ", ".join(data["trigger_words"])
    yield "tags", _counted(data["tags"])
    yield from ((name.replace("_", " "), str(training[name])) for name in _ELSEWHERE[2:] if name in training)
    yield from fact_rows({name: value for name, value in training.items() if name not in _ELSEWHERE}, "training")
    yield "incomplete", ", ".join(data["incomplete_modules"])
    yield "not read", _stray(data["stray_tensors"])


def _bases(data: Mapping[str, Any]) -> str:
    bases = " or ".join(data["bases"]) or "no architecture that is known"
    return bases + (" in structure, not in widths" if data["base_confidence"] == "structure" else "")


def _alpha(alpha: Mapping[str, Any]) -> str:
    """`4 (264), which scales by 0.5`."""
    if not alpha["values"]:
        return "none: the scale is 1" if alpha["missing"] else ""
    scales = list(alpha["scales"])
    told = f", which scales by {scales[0]}" if len(scales) == 1 else f"; scales {_counted(alpha['scales'])}"
    missing = f"; {plural(alpha['missing'], 'module')} without" if alpha["missing"] else ""
    return _counted(alpha["values"]) + told + missing


def _size(data: Mapping[str, Any]) -> str:
    dtypes = ", ".join(f"{name} {human_count(count)}" for name, count in data["dtypes"].items())
    return f"{human_size(data['bytes'])}, {plural(data['tensors'], 'tensor')}: {dtypes}"


def _hash(digest: str | None) -> str:
    return f"({digest[:10]})" if digest else ""


def _stray(names: list[str]) -> str:
    return f"{plural(len(names), 'tensor')} of no module, as {names[0]}" if names else ""


def _counted(counts: Mapping[str, int], most: int = 20) -> str:
    shown = ", ".join(f"{name} ({human_count(count)})" for name, count in list(counts.items())[:most])
    return shown + (f" and {len(counts) - most} others" if len(counts) > most else "")


def _weight_lines(weights: Mapping[str, Any]) -> Iterator[str]:
    """How much is added by block."""
    rows = [
        (name, str(one["modules"]), f"{one['mean']:.3g}", f"{one['rms']:.3g}")
        for name, one in weights["blocks"].items()
    ]
    yield ""
    if rows:
        yield from table(("block", "modules", "mean |ΔW|", "rms"), rows, right=(1, 2, 3))
    for one in weights["largest"][:3]:
        yield from wrapped(one_line(f"largest: {one['module']} ({one['rms']:.3g})"), 9)
    for reason, count in weights["left"].items():
        yield f"{plural(count, 'module')} not measured: {reason}"
