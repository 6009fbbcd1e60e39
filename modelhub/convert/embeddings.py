"""Textual inversions under the names that programs look for in safetensors: one tensor, or `clip_l` and `clip_g`."""

from __future__ import annotations

from modelhub.catalog.becoming import Part, part
from modelhub.catalog.identity import Identity
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Renamed

_VECTORS, _NUMBERS = "string_to_param.", "string_to_token."
_NAME = "emb_params"
_SDXL = frozenset({"clip_l", "clip_g"})


def embedding_names(source: TensorSource, identity: Identity) -> tuple[TensorSource, list[Part], list[str]]:
    """`source` with the vectors of a textual inversion renamed, what becomes of its tensors (old names), and warnings.

    The same source and no parts for anything else, and for one that has its names already.
    """
    old = [name for name in source.header.tensors if name.startswith(_VECTORS)]
    if identity.kind != "embedding" or not old:
        return source, [], []
    new = _new_names(old)
    taken = set(new.values()) & set(source.header.tensors)
    if not new or taken:
        return source, [], ["It has several sets of vectors: other programs may not load it as one embedding."]
    numbers = [name for name in source.header.tensors if name.startswith(_NUMBERS)]
    view = Renamed(source, lambda name: None if name in numbers else new.get(name, name))
    why = f"named {' and '.join(new.values())}, as programs expect in safetensors"
    parts = [part("change", "vectors", why, old, source.header)]
    if numbers:
        why = "token numbers; in safetensors the name of the file is the token"
        parts.append(part("drop", "token numbers", why, numbers, source.header))
    return view, parts, []


def _new_names(old: list[str]) -> dict[str, str]:
    """Old name to new one; empty when the vectors fit no names that programs know."""
    if len(old) == 1 and old[0].removeprefix(_VECTORS) not in _SDXL:
        return {old[0]: _NAME}
    bare = {name: name.removeprefix(_VECTORS) for name in old}
    return bare if set(bare.values()) <= _SDXL else {}
