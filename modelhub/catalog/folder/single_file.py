"""A diffusers pipeline folder as the one file that A1111, Forge and ComfyUI load: other names, some tensors joined.

Nothing is computed: every byte is one of the folder's. What no rule knows is refused, never left out in silence. What
goes where is data: `catalog/renames/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelhub.catalog.becoming import Part, part
from modelhub.catalog.folder.placing import Placed, placed
from modelhub.catalog.folder.renames import files
from modelhub.catalog.identity import Identity
from modelhub.errors import IncompatibleError
from modelhub.formats.assembled import Assembled, Made, Transposed
from modelhub.formats.header import Header
from modelhub.formats.source import TensorSource
from modelhub.text import brief, one_line, plural

_ALONE = "Convert the folder of one component by itself: `modelhub convert FOLDER/{denoiser} OUT.safetensors`."
_WORDS = {"denoiser": "denoiser", "vae": "VAE", "text_encoder": "text encoder"}
#: What the scheduler's config says, in the words of ModelSpec.
_PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v"}
_EMPTY = Made("F32", (0,), ())


def single_file(source: TensorSource, identity: Identity) -> tuple[Assembled, list[Part], list[str]]:
    """`source`, a whole diffusers pipeline, as a checkpoint of the original layout.

    Answers with the view, what becomes of the tensors, and warnings. Dtypes and bytes stay; markers that its scheduler
    asks for are added. Raises IncompatibleError for an architecture without such a file, for a tensor that no rule
    knows, and for tensors that do not join.
    """
    header = source.header
    folders = dict.fromkeys(name.partition(".")[0] for name in header.tensors)
    table = _table(identity, folders)
    parts: list[Part] = []
    made: dict[str, Made] = {}
    warnings: list[str] = []
    turned: list[str] = []
    for folder in folders:
        if folder not in table:
            parts.append(_left_out(header, folder))
            continue
        row = table[folder]
        found = placed(header, folder, row["names"], row["prefix"])
        made |= found.made
        turned += found.turned
        parts += _told(header, folder, row, found)
        warnings += _layers(folder, row, found.layers)
    parts += _never_read(header)
    warnings += [_missing(folder, row) for folder, row in table.items() if folder not in folders]
    added, metadata, said = _prediction(header.metadata, identity.architecture or "")
    parts += [Part("add", name, reason, (name,)) for name, reason in added.items()]
    made |= dict.fromkeys(added, _EMPTY)
    return Assembled(Transposed(source, turned) if turned else source, made, metadata), parts, warnings + said


def _table(identity: Identity, folders: Mapping[str, None]) -> Mapping[str, Any]:
    """The folders that the file of an architecture is made of. Raises IncompatibleError."""
    known = files()["pipeline"]
    found = identity.architecture or ""
    table: dict[str, Any] = known.get(found, {})
    hint = _ALONE.format(denoiser="transformer" if "transformer" in folders else "unet")
    if not {"unet", "transformer"} & folders.keys():
        raise _no_denoiser("unet/ or transformer/")
    if not table:
        said = f"This is a {found} pipeline" if found else "The architecture of this pipeline is unknown"
        raise IncompatibleError(f"{said}; single files can be made of {', '.join(known)}.", hint)
    reason = files()["refused"].get(found, {}).get(identity.variant)
    if reason:
        raise IncompatibleError(f"No single file can be made of {found} {identity.variant}: {reason}.", hint)
    denoiser = next(folder for folder, row in table.items() if row["role"] == "denoiser")
    if denoiser not in folders:
        raise _no_denoiser(f"{denoiser}/")
    return table


def _no_denoiser(where: str) -> IncompatibleError:
    return IncompatibleError(
        f"This is no pipeline folder with weights in {where}, so no checkpoint can be made of it.",
        "Name the folder that model_index.json stands in, or download what is missing in it.",
    )


def _left_out(header: Header, folder: str) -> Part:
    """A folder that has no place in the file. Raises IncompatibleError for one that nobody knows."""
    reason = files()["left_out"].get(folder)
    if reason is None:
        raise IncompatibleError(
            f"A single file has no place for the component {brief(folder, 60)!r} of this pipeline.",
            "Convert the folders of the components one by one.",
        )
    return part("drop", folder, reason, _below(header, folder), header)


def _below(header: Header, folder: str) -> list[str]:
    return [name for name in header.tensors if name.startswith(f"{folder}.")]


def _never_read(header: Header) -> list[Part]:
    """Folders of the pipeline that its source passes over."""
    names = header.metadata.get("diffusers.left_out", "")
    return [
        Part("drop", one_line(name), files()["left_out"].get(name, "it makes no picture"), ())
        for name in filter(None, names.split(", "))
    ]


def _told(header: Header, folder: str, row: Mapping[str, Any], found: Placed) -> Iterator[Part]:
    """What becomes of one component, in words."""
    reason = f"renamed to {row['prefix']}*"
    reason += f"; {plural(found.joined, 'of them is', 'of them are')} joined of several" if found.joined else ""
    reason += f"; {row['note']}" if "note" in row else ""
    names = [name for name in _below(header, folder) if name not in found.dropped]
    yield part("change", f"{_WORDS[row['role']]} ({folder})", reason, names, header)
    for name, why in found.dropped.items():
        yield part("drop", one_line(name), why, [name], header)


def _layers(folder: str, row: Mapping[str, Any], layers: int) -> list[str]:
    """A warning about a text encoder of another depth than programs build."""
    wanted = row.get("layers", 0)
    if not wanted or layers == wanted:
        return []
    rest = "leave the rest out" if layers > wanted else "refuse the file or make the rest up"
    return [f"{folder} has {plural(layers, 'layer')}; programs use {wanted}, and {rest}."]


def _missing(folder: str, row: Mapping[str, Any]) -> str:
    kind = _WORDS[row["role"]]
    return f"There are no weights in {folder}/: the file will have no {kind} of that name; choose one in the program."


def _prediction(said: Mapping[str, str], architecture: str) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Of what the scheduler says: the markers to add with their reasons, the metadata of the file, and warnings."""
    metadata = {"format": "pt"}
    known = files()["prediction"].get(architecture)
    if known is None:
        return {}, metadata, []
    scheduler = one_line(said.get("diffusers.scheduler", ""))
    kind = one_line(said.get("diffusers.prediction_type", ""))
    if scheduler.startswith("EDM") or kind not in ("", *_PREDICTIONS):
        told = f"The scheduler ({scheduler or 'unknown'}, {kind or 'no prediction type'}) has no mark in single files"
        return {}, metadata, [f"{told}: set it in the program."]
    if kind:
        metadata["modelspec.prediction_type"] = _PREDICTIONS[kind]
    if kind != "v_prediction":
        return {}, metadata, []
    added = dict(known.get("markers", {}))
    if said.get("diffusers.rescale_betas_zero_snr", "").lower() != "true":
        added.pop("ztsnr", None)
    return added, metadata, [known["note"]] if "note" in known else []
