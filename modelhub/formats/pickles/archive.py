"""What a pickle was read from, whatever the container: its value, and the storages that it refers to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from modelhub.formats.pickles.span import Data
from modelhub.formats.pickles.storages import Reference, Storage, reference
from modelhub.formats.pickles.survey import Survey
from modelhub.formats.pickles.values import Made, Persistent, Value

#: From a key to the bytes of the storage; None where there are none.
Lookup = Callable[[Reference], Data | None]


@dataclass(eq=False)
class Archive:
    """A container that has been read: `root` is what its pickle holds.

    `inner` are the files that stand as bytes in its pickle, with the values they belong to, by the ids of these.
    `tensors` are those that a container describes outside its pickle, by their ids.
    """

    root: Value
    survey: Survey
    lookup: Lookup = lambda wanted: None
    is_big: bool = False
    inner: dict[int, tuple[Value, Archive]] = field(default_factory=dict)
    tensors: dict[int, tuple[Storage, tuple[Value, ...]]] = field(default_factory=dict)
    _known: dict[str, Reference] = field(default_factory=dict)

    def storage(self, value: Value) -> Storage | None:
        """The storage that a value of the pickle stands for; None for what is no storage of torch.

        Raises CorruptFileError when its bytes are missing, or when it is described in two ways.
        """
        if type(value) is Made and id(value) in self.inner:
            inner = self.inner[id(value)][1]
            return inner.storage(inner.root)
        wanted = reference(value.pid, self.survey) if type(value) is Persistent else None
        return self._found(wanted) if wanted else None

    def _found(self, wanted: Reference) -> Storage:
        known = self._known.setdefault(wanted.key, wanted)
        if known.kind != wanted.kind or known.numel != wanted.numel:
            raise self.survey.broken(f"describes storage {wanted.key[:40]} in two ways")
        width = wanted.kind.width
        data = self.lookup(wanted)
        if data is None or data.size < wanted.numel * width:
            there = "is missing" if data is None else f"has {data.size} bytes"
            raise self.survey.broken(f"needs {wanted.numel * width} bytes in storage {wanted.key[:40]}, which {there}")
        more = data.size - wanted.numel * width
        if more:
            self.survey.find(f"Storage {wanted.key[:40]} holds {more} bytes that no tensor has.")
        begin, count = wanted.view or (0, wanted.numel)
        return Storage(data, begin * width, count * width, wanted.kind, self.is_big)
