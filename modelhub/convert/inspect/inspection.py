"""Inspect a file, a set of shards or a diffusers folder: only headers and pickles are read, and nothing is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelhub.catalog.belonging import belonging
from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.convert.inspect.metadata import metadata_findings, safetensors_metadata_findings
from modelhub.convert.inspect.names import dtype_findings, name_findings, tensor_findings
from modelhub.convert.inspect.pickled import container_of, pickle_findings
from modelhub.convert.inspect.pieces import pieces
from modelhub.convert.inspect.report import Finding, Inspection, in_order, worst_first
from modelhub.convert.inspect.safetensors import layout_findings, layout_of
from modelhub.convert.inspect.strangers import explain
from modelhub.convert.inspect.target import Target, find_target
from modelhub.errors import NotAModelError
from modelhub.formats.files import claims_safetensors
from modelhub.formats.header import Header
from modelhub.formats.pickles.disguise import disguise
from modelhub.formats.pickles.values import GlobalName
from modelhub.formats.shards import indexed_by
from modelhub.text import one_line

_ENDINGS = {
    "pickle": (".ckpt", ".pt", ".pth", ".bin"),
    "gguf": (".gguf",),
    "safetensors": (".safetensors", ".sft"),
}
#: What a scheduler's config says stands among the classes of components.
_NO_COMPONENTS = ("class", "left_out", "prediction_type", "rescale_betas_zero_snr")


def inspect(path: str | Path) -> Inspection:
    """Look at what `path` names: a file of any format, any shard of a set or its index, or a diffusers folder.

    Never runs or loads anything of it. Raises NotAModelError that says what another kind of file is, CorruptFileError
    for one that is broken and not dangerous as well, FileError when it cannot be read.
    """
    path = Path(path)
    path = indexed_by(path) or path
    try:
        target = find_target(path)
        return _inspection(target, target.header)
    except NotAModelError as error:
        raise explain(path, error) from error


def _inspection(target: Target, header: Header) -> Inspection:
    form, path = target.format, target.path
    identity = identify(header, name=path.name, form=form) if header.tensors else Identity(format=form)
    where = belonging(header, identity)
    found = [finding for file, one in target.examined.items() for finding in pickle_findings(one, target.label(file))]
    found += [*_disguises(target), *_claims(path, form), *name_findings(header), *tensor_findings(header, where)]
    found += metadata_findings(header.metadata, identity)
    if form == "safetensors" and len(target.files) == 1:
        found += [*layout_findings(header), *safetensors_metadata_findings(header.metadata, identity)]
    if form != "pickle":
        found += dtype_findings(header)
    return Inspection(
        path, form, _container(target, header), target.sizes, header, identity,
        tuple(pieces(header, identity, where)), in_order(found), worst_first(_globals(target)),
    )  # fmt: skip


def _container(target: Target, header: Header) -> dict[str, Any]:
    """Facts about how the tensors are stored."""
    files = target.files
    if target.format == "diffusers":
        return _folder(target)
    if len(files) > 1:
        return {"kind": "shards", "shards": len(files)}
    if target.format == "pickle":
        return container_of(files[0], target.examined[files[0]])
    if target.format == "gguf":
        types = dict(Counter(header.columns.dtypes).most_common())
        return {"kind": "gguf", "version": int(header.metadata["gguf.version"]), "types": types}
    return layout_of(files[0], header)


def _folder(target: Target) -> dict[str, Any]:
    """A diffusers folder: its class, and those of its components with the files of each."""
    said, single = target.said, "" in target.parts
    named = [key.removeprefix("diffusers.") for key in said if not single and key.count(".") == 1]
    components = [
        {"name": name, "class": said[f"diffusers.{name}"], "files": list(map(str, target.parts.get(name, ())))}
        for name in named
        if name not in _NO_COMPONENTS
    ]
    return {
        "kind": "diffusers", "class": said.get("diffusers.class"), "components": components,
        "left_out": said.get("diffusers.left_out"),
    }  # fmt: skip


def _disguises(target: Target) -> Iterator[Finding]:
    """Files that are something else as well, which torch finds in them when they get another name."""
    for file in target.files:
        what = "" if file in target.examined else disguise(file)
        if what:
            label = one_line(target.label(file))
            yield Finding(
                "danger", "two-formats", f"{label}: it is {what}." if label else f"It is {what}.",
                "Do not load it with other programs: look for the model elsewhere.",
            )  # fmt: skip


def _claims(path: Path, form: str) -> Iterator[Finding]:
    """A name that says another format than the bytes: programs choose their loader by it."""
    ending = path.suffix.lower()
    if form not in _ENDINGS or ending in _ENDINGS[form]:
        return
    if form == "pickle" and claims_safetensors(path.name):
        yield Finding(
            "suspicious", "wrong-name", "Its name says safetensors, and it is a pickle, which can hold code.",
            "A checker that goes by names lets it pass. Convert it, or throw it away.",
        )  # fmt: skip
    elif any(ending in endings for endings in _ENDINGS.values()):
        yield Finding(
            "problem", "wrong-name", f"It is {form}, and its name ends with {one_line(path.suffix)}.",
            f"Programs that go by names fail to load it; rename it to end with {_ENDINGS[form][0]}.",
        )  # fmt: skip


def _globals(target: Target) -> list[GlobalName]:
    """The names of all pickles, each once."""
    found: dict[tuple[str, str], GlobalName] = {}
    for one in target.examined.values():
        for name in one.globals:
            found.setdefault((name.module, name.name), name)
    return list(found.values())
