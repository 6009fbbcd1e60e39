"""folders, sidecars: where the library lies, and what lies beside its models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.cli.context import Bold, Context
from modelhub.cli.options import REF_HELP, command
from modelhub.cli.table import facts, table, wrapped
from modelhub.errors import FileExistsAlreadyError
from modelhub.text import one_line, shorten

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.cli.options import Commands
    from modelhub.formats.sidecars import SidecarFacts

#: The conventions that can be written, as `formats.sidecars.table.WRITABLE` has them.
CONVENTIONS = ("a1111", "civitai-info", "lora-manager", "stability-matrix", "swarm", "sha256")


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    help = "List the folders that are scanned, and whose they are: ComfyUI's, Forge's, SwarmUI's and so on."
    parser = command(commands, "folders", _folders, help, "modelhub folders", reads=False)
    parser.add_argument(
        "--forget", metavar="DIR", type=Path, help="scan this folder no more; its assets stay, e.g. --forget ~/old"
    )

    help = "Show what the files beside a model say and which of them says it, or write it as another program reads it."
    example = "modelhub sidecars my-lora --export lora-manager"
    parser = command(commands, "sidecars", _sidecars, help, example, reads=False)
    parser.add_argument("refs", metavar="REF", nargs="+", help=REF_HELP)
    kinds = f"write this kind of file: {', '.join(CONVENTIONS)}, e.g. --export a1111"
    parser.add_argument("--export", metavar="KIND", choices=CONVENTIONS, help=kinds)
    parser.add_argument("--force", action="store_true", help="change a file that exists; what is foreign in it stays")


def _folders(context: Context) -> int:
    from modelhub.catalog.remembered import remembered_folders
    from modelhub.catalog.store import Catalog
    from modelhub.settings import user_path

    with Catalog.open() as catalog:
        if context.args.forget is not None:
            catalog.remove_root(user_path(context.args.forget).absolute(), dry_run=context.args.dry_run)
        rows = [folder.as_dict() for folder in remembered_folders(catalog)]
    context.answer(rows, lambda: _folder_lines(rows))
    if context.args.forget is not None and context.args.dry_run:
        context.say(f"would scan {context.args.forget} no more; nothing was changed")
    if not rows:
        context.say("No folder is remembered. Index one with `modelhub scan FOLDER`.")
    return 0


def _folder_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    from modelhub.text import human_size

    if not rows:
        return
    cells = [
        (
            ("" if row["there"] else "✗ ") + row["path"],
            f"{row['assets']:,}",
            human_size(row["size"]),
            row["title"] or "",
        )
        for row in rows
    ]
    lines = table(("FOLDER", "ASSETS", "SIZE", "LAYOUT"), cells, right=(1, 2))
    yield Bold(next(lines))
    yield from lines


def _sidecars(context: Context) -> int:
    from modelhub.catalog.reading import CatalogReader
    from modelhub.catalog.refs import resolve

    with CatalogReader.open() as catalog:
        assets = [resolve(catalog, ref) for ref in context.args.refs]
    data = [_export(context, asset) if context.args.export else _shown(asset) for asset in assets]
    context.answer(data, lambda: (line for item in data for line in _sidecar_lines(item)))
    return 0


def _shown(asset: Asset) -> dict[str, Any]:
    from modelhub.formats.sidecars import read_sidecars, sidecars_of

    said = _plain(read_sidecars(asset.path))
    files = [str(path) for path in sidecars_of(asset.path)]
    return {"id": asset.id, "path": str(asset.path), "files": files, "facts": said}


def _plain(found: SidecarFacts) -> dict[str, Any]:
    values = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(found).items()}
    return {name: value for name, value in values.items() if value not in (None, "", (), [], {})}


def _export(context: Context, asset: Asset) -> dict[str, Any]:
    """Write what is known of an asset: its sidecars' words, and before them the user's and the computed hashes."""
    from modelhub.formats.sidecars import export_sidecar, read_sidecars, sidecar_path

    args = context.args
    path = sidecar_path(asset.path, args.export)
    if args.dry_run and path.exists() and not args.force:
        raise _exists(path)
    if not args.dry_run:
        try:
            path = export_sidecar(_known(read_sidecars(asset.path), asset), asset.path, args.export, force=args.force)
        except FileExistsAlreadyError:
            raise _exists(path) from None
    return {"id": asset.id, "path": str(asset.path), "written": str(path), "dry_run": args.dry_run}


def _exists(path: Path) -> FileExistsAlreadyError:
    return FileExistsAlreadyError(
        f"{path} exists already.", "Use --force to change it: what only other programs have in it stays."
    )


def _known(found: SidecarFacts, asset: Asset) -> SidecarFacts:
    hashes = {name: value for name, value in asset.hashes.items() if value}
    return replace(
        found,
        name=found.name or asset.title or asset.path.stem,
        notes=asset.notes or found.notes,
        tags=tuple(dict.fromkeys((*asset.tags, *found.tags))),
        trigger_words=found.trigger_words or tuple(asset.trigger_words),
        source=found.source or asset.source,
        hashes={**found.hashes, **hashes},
    )


def _sidecar_lines(item: Mapping[str, Any]) -> Iterator[str]:
    yield Bold(one_line(item["path"]))
    if "written" in item:
        yield f"  {'would write' if item['dry_run'] else 'written'}: {one_line(item['written'])}"
        return
    said = dict(item["facts"])
    origin, problems = said.pop("origin", {}), said.pop("problems", ())
    yield from facts(
        [(name.replace("_", " "), f"{_words(value)}{_from(origin, name)}") for name, value in said.items()]
    )
    for problem in problems:
        yield from wrapped(f"problem: {one_line(problem)}", 2)
    if not item["files"]:
        yield "  nothing lies beside it"


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return shorten(one_line(text), 300)


def _from(origin: Mapping[str, str], name: str) -> str:
    return f"   ({one_line(origin[name])})" if name in origin else ""
