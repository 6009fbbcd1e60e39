"""Any model as one file of plain weights under the names of the original: packed, in folders or in diffusers' names."""

from __future__ import annotations

from modelhub.catalog.folder.placing import placed
from modelhub.catalog.folder.renames import files
from modelhub.catalog.folder.single_file import single_file
from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Component, Identity
from modelhub.catalog.unpacking import unpacked
from modelhub.formats.assembled import Assembled, Transposed
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Renamed

#: Metadata that sources of diffusers folders have, and no others.
_FOLDER = "diffusers.class"
_DENOISERS = ("unet.", "transformer.")
#: Kinds that are one component; text encoders have the same names wherever they are.
_RENAMED = {"diffusion-model": "denoiser", "vae": "vae"}


def in_original(source: TensorSource, name: str = "") -> tuple[TensorSource, Identity, list[str]]:
    """`source` as programs load it from one file, what that is, and warnings; the same source where it is so already.

    `name` is its file name, good for remarks only. Headers are read, and marks of a few bytes; no weights. Closing the
    view closes the source. Raises IncompatibleError for what cannot be unpacked or renamed, CorruptFileError for packed
    weights that contradict themselves, UsageError where a package is missing.
    """
    is_folder = _FOLDER in source.header.metadata
    form = "diffusers" if is_folder else "safetensors"
    identity = identify(source.header, name=name, form=form)
    view, _, notes = unpacked(source, identity)
    if view is not source:
        identity = identify(view.header, name=name, form=form)
    if is_folder and any(tensor.startswith(_DENOISERS) for tensor in view.header.tensors):
        view, _, more = single_file(view, identity)
        return view, identify(view.header, name=name), [*notes, *more]
    part = identity.component(_RENAMED.get(identity.kind, "")) if identity.layout == "diffusers" else None
    if part is None or part.architecture not in files()["component"]:
        return view, identity, notes
    view = _renamed(view, part)
    return view, identify(view.header, name=name), notes


def _renamed(source: TensorSource, part: Component) -> Assembled:
    """One component, alone in its file, under the names of the original."""
    inside = Renamed(source, lambda name: f"part.{name.removeprefix(part.prefix)}")
    found = placed(inside.header, "part", files()["component"][part.architecture], "")
    return Assembled(Transposed(inside, found.turned) if found.turned else inside, found.made, source.header.metadata)
