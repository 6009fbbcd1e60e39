"""The layers of a model as adapters meet them: packed weights by the sizes they stand for, a folder as one file."""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.catalog.opener import Parent
from modelhub.catalog.plain import read
from modelhub.errors import IncompatibleError, UsageError
from modelhub.lora.layers import Layers


@dataclass(frozen=True, slots=True)
class Model:
    """The layers of a model, and what it is. `sized` is False where its header does not tell the sizes of weights."""

    layers: Layers
    identity: Identity
    sized: bool = True


def read_model(parent: Parent) -> Model:
    """The layers of what was opened; headers are read, and marks of a few bytes, no weights.

    What is packed in a way that cannot be undone, or has no place in a single file, is taken as it lies there. Raises
    CorruptFileError for packed weights that contradict themselves.
    """
    try:
        plain = read(parent)
    except UsageError:  # without the package that unpacks GGUF; shapes in such a file are those of the weights
        return _as_it_lies(parent, sized=True)
    except IncompatibleError:
        return _as_it_lies(parent, sized=False)
    return Model(Layers(plain.source.header, plain.identity), plain.identity)


def _as_it_lies(parent: Parent, *, sized: bool) -> Model:
    is_folder = parent.path.is_dir()
    form = "diffusers" if is_folder else "safetensors"
    identity = identify(parent.source.header, name=parent.path.name, form=form)
    plain_folder = is_folder and not identity.facts.get("quantisation")
    return Model(Layers(parent.source.header, identity), identity, sized=sized or plain_folder)
