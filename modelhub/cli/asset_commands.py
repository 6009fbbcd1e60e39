"""identify, hash, tag, rate, note, set: one asset, or a few of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.cli.context import Bold, Context
from modelhub.cli.each_file import each_file
from modelhub.cli.identity_words import (
    adapter_words,
    component_words,
    counted_words,
    evidence_lines,
    fact_rows,
    say_what_it_is,
)
from modelhub.cli.options import REF_HELP, command
from modelhub.cli.table import facts, wrapped
from modelhub.errors import UsageError
from modelhub.formats.hashes import hash_asset, hash_file
from modelhub.formats.opening import stat_of
from modelhub.text import human_count, one_line

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.catalog.store import Catalog
    from modelhub.cli.options import Commands


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    parser = command(
        commands,
        "identify",
        _identify,
        "Say what files are, from their headers; needs no catalog.",
        "modelhub identify model.safetensors",
    )
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="a model file, e.g. model.safetensors")

    parser = command(
        commands, "hash", _hash, "Print all hashes of files, each read once.", "modelhub hash model.safetensors --json"
    )
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="any file, e.g. model.safetensors")

    parser = command(
        commands,
        "tag",
        _tag,
        "Add or remove tags.",
        "modelhub tag my-lora --add anime --add style --remove new",
        reads=False,
    )
    parser.add_argument("refs", metavar="REF", nargs="+", help=REF_HELP)
    parser.add_argument("--add", metavar="TAG", action="append", default=[], help="a tag to add, e.g. --add anime")
    parser.add_argument(
        "--remove", metavar="TAG", action="append", default=[], help="a tag to remove, e.g. --remove new"
    )

    parser = command(
        commands,
        "rate",
        _rate,
        "Give an asset 1 to 5 stars; 0 takes them away.",
        "modelhub rate my-lora 4",
        reads=False,
    )
    parser.add_argument("ref", metavar="REF", help=REF_HELP)
    parser.add_argument("rating", metavar="0-5", type=int, help="the number of stars, e.g. 4")

    parser = command(
        commands,
        "note",
        _note,
        "Write a note on an asset; an empty text removes it.",
        'modelhub note my-lora "good at 0.7"',
        reads=False,
    )
    parser.add_argument("ref", metavar="REF", help=REF_HELP)
    parser.add_argument("text", metavar="TEXT", help='the note, e.g. "good at 0.7"')

    parser = command(
        commands,
        "set",
        _set,
        "Say what assets are, where their bytes do not tell; 'auto' takes it back.",
        "modelhub set my-model --architecture sdxl --variant inpaint",
        reads=False,
    )
    parser.add_argument("refs", metavar="REF", nargs="+", help=REF_HELP)
    for name, example in (("kind", "lora"), ("architecture", "sdxl"), ("variant", "inpaint")):
        parser.add_argument(f"--{name}", metavar=name[0].upper(), help=f"the {name}, or auto, e.g. --{name} {example}")
    parser.add_argument(
        "--same-layout", action="store_true", help="also all other assets with the same names and shapes of tensors"
    )


def _identify(context: Context) -> int:
    from modelhub.formats.shards import indexed_by
    from modelhub.scan.know import know

    unknown = False

    def one(path: Path) -> dict[str, Any]:
        nonlocal unknown
        identity = know(indexed_by(path) or path).identity
        unknown |= identity.kind == "unknown" and identity.fingerprint is not None
        return {"path": str(path), **identity.as_dict()}

    code = each_file(context, context.args.files, one, _identity_lines)
    if unknown:
        context.say(say_what_it_is("REF"))
    return code


def _identity_lines(found: dict[str, Any]) -> Iterator[str]:
    yield Bold(one_line(found["path"]))
    structure = " ~ (by structure)" if found["confidence"] == "structure" and found["architecture"] else ""
    pairs = [
        ("kind", found["kind"]),
        ("architecture", (found["architecture"] or "unknown") + structure),
        ("variant", found["variant"] or ""),
        ("format", found["format"]),
        ("layout", found["layout"] or ""),
        ("prediction", found["prediction"] or ""),
        ("parameters", human_count(found["parameters"]) if found["parameters"] else ""),
        ("components", component_words(found["components"])),
        ("dtypes", counted_words(found["dtypes"])),
        ("adapter", adapter_words(found["adapter"])),
        ("trigger words", ", ".join(found["trigger_words"])),
        *fact_rows(found["facts"]),
        ("confidence", found["confidence"]),
        ("fingerprint", found["fingerprint"] or ""),
    ]
    yield from facts([(name, one_line(value)) for name, value in pairs])
    for conflict in found["conflicts"]:
        yield from wrapped(f"contradiction: {one_line(conflict)}", 2)
    yield from evidence_lines(found["evidence"])


def _hash(context: Context) -> int:
    def one(path: Path) -> dict[str, Any]:
        if path.is_dir():  # one shard that is named is hashed alone, as sha256sum would
            hashes, size = hash_asset(path, "full", context.job), stat_of(path).size
        else:
            hashes, size = hash_file(path, "full", context.job), path.stat().st_size
        return {"path": str(path), "size": size, **hashes.as_dict()}

    return each_file(context, context.args.files, one, _hash_lines)


def _hash_lines(found: dict[str, Any]) -> Iterator[str]:
    yield Bold(one_line(found["path"]))
    yield from facts(
        [(name, str(value) if value is not None else "-") for name, value in found.items() if name != "path"]
    )


class _NotMeantError(Exception):
    """Undoes a dry run."""


@contextmanager
def _kept(catalog: Catalog, *, dry_run: bool) -> Iterator[None]:
    """Do what is inside, with all its checks; a dry run is undone at the end."""
    with suppress(_NotMeantError), catalog.atomic():
        yield
        if dry_run:
            raise _NotMeantError


def _tag(context: Context) -> int:
    from modelhub.catalog.refs import resolve
    from modelhub.catalog.store import Catalog
    from modelhub.organize import words

    args = context.args
    if not args.add and not args.remove:
        raise UsageError("Nothing to add or remove.", "Use --add TAG or --remove TAG.")
    with Catalog.open() as catalog:
        ids = [resolve(catalog, ref, strict=True).id for ref in args.refs]
        with _kept(catalog, dry_run=args.dry_run):
            words.tag(catalog, ids, args.add, args.remove)
            assets = catalog.assets(ids)
    data = [{"id": a.id, "path": str(a.path), "tags": a.tags} for a in assets]
    context.answer(data, lambda: (f"{one_line(a.name)}: {', '.join(a.tags) or '(no tags)'}" for a in assets))
    _say_dry(context)
    return 0


def _say_dry(context: Context) -> None:
    if context.args.dry_run:
        context.say("so it would be; nothing was changed")


def _rate(context: Context) -> int:
    return _change(context, "rating", context.args.rating)


def _note(context: Context) -> int:
    return _change(context, "notes", context.args.text)


def _change(context: Context, field: str, value: Any) -> int:
    from modelhub.catalog.refs import resolve
    from modelhub.catalog.store import Catalog
    from modelhub.organize import words

    with Catalog.open() as catalog:
        asset = resolve(catalog, context.args.ref, strict=True)
        with _kept(catalog, dry_run=context.args.dry_run):
            words.rate(catalog, [asset.id], value) if field == "rating" else words.note(catalog, asset.id, value)
            asset = catalog.get(asset.id)
    data = {"id": asset.id, "path": str(asset.path), field: getattr(asset, field)}
    context.answer(data, lambda: [f"{one_line(asset.name)}: {one_line(str(getattr(asset, field))) or '(none)'}"])
    _say_dry(context)
    return 0


def _set(context: Context) -> int:
    from modelhub.catalog.refs import resolve
    from modelhub.catalog.store import Catalog
    from modelhub.organize import words

    args = context.args
    given = {name: getattr(args, name) for name in ("kind", "architecture", "variant")}
    said = {name: "" if word == "auto" else word for name, word in given.items() if word is not None}
    if not said:
        raise UsageError("Nothing to set.", "Use --kind, --architecture or --variant.")
    if "" in given.values():
        raise UsageError("An empty word says nothing.", "Use auto to take a word back.")
    with Catalog.open() as catalog:
        ids = [resolve(catalog, ref, strict=True).id for ref in args.refs]
        ids = _same_layout(catalog, ids) if args.same_layout else ids
        with _kept(catalog, dry_run=args.dry_run):
            entry = words.override(catalog, ids, said)
            assets = catalog.assets(ids)
    data = [
        {"id": a.id, "path": str(a.path), "kind": a.kind, "architecture": a.architecture, "variant": a.variant}
        | {"override": a.said or None}
        for a in assets
    ]
    context.answer(data, lambda: map(_set_line, assets))
    _say_unknown(context, said.get("architecture", ""))
    _say_dry(context)
    if entry is not None and not args.dry_run:
        context.say(f"undo: modelhub undo {entry}")
    return 0


def _say_unknown(context: Context, word: str) -> None:
    """A word of the user's own is kept, but it may be a slip of the pen."""
    from modelhub.catalog.architectures import architectures
    from modelhub.text import meant

    if not word:
        return
    known = {one.id for one in architectures()}
    if word.strip().lower() not in known:
        context.say(f"no architecture that modelhub knows is called '{word}'{meant(word, known)}")


def _same_layout(catalog: Catalog, ids: list[int]) -> list[int]:
    """These assets and all others whose tensors have the same names and shapes."""
    prints = dict.fromkeys(asset.fingerprint for asset in catalog.assets(ids) if asset.fingerprint)
    same = [number for found in prints for number in catalog.ids(f"fingerprint:{found}")]
    return list(dict.fromkeys([*ids, *same]))


def _set_line(asset: Asset) -> str:
    what = ", ".join(
        f"{name} {value or '-'}{' (said)' if name in asset.said else ''}"
        for name, value in (("kind", asset.kind), ("architecture", asset.architecture), ("variant", asset.variant))
    )
    return f"#{asset.id}  {one_line(asset.name)}: {what}"
