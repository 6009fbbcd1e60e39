"""Headers beside each other: which tensors several models share, which only some have, and which differ in shape.

Only headers are compared, so it takes no time; the prefix of a component does not count, so that layouts can differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelhub.formats.header import Header, TensorInfo

#: Role of a component, and the name of a tensor in it.
Key = tuple[str, str]
#: The prefixes of the components of a model: (role, prefix).
Prefixes = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class HeaderComparison:
    """`counts`: tensors of each model; `common`: how many all have; `lacking`: those that some model lacks.

    `shapes` are those that all have in other shapes, `dtypes` counts the combinations of dtypes of the rest.
    """

    counts: tuple[int, ...]
    common: int
    lacking: Mapping[Key, tuple[TensorInfo | None, ...]] = field(default_factory=dict)
    shapes: Mapping[Key, tuple[TensorInfo, ...]] = field(default_factory=dict)
    dtypes: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def only(self, number: int) -> Counter[str]:
        """Role to the number of tensors that a model has and some other lacks."""
        return Counter(role for (role, _), found in self.lacking.items() if found[number] is not None)


def compare_headers(headers: Sequence[Header], prefixes: Sequence[Prefixes]) -> HeaderComparison:
    """Compare the headers of models, with the prefixes of the components of each."""
    tables = [_keyed(header, parts) for header, parts in zip(headers, prefixes, strict=True)]
    keys = dict.fromkeys(key for table in tables for key in table)
    lacking: dict[Key, tuple[TensorInfo | None, ...]] = {}
    shapes: dict[Key, tuple[TensorInfo, ...]] = {}
    dtypes: Counter[tuple[str, ...]] = Counter()
    for key in keys:
        found = tuple(table.get(key) for table in tables)
        there = tuple(info for info in found if info is not None)
        if len(there) < len(found):
            lacking[key] = found
        elif len({info.shape for info in there}) > 1:
            shapes[key] = there
        else:
            dtypes[tuple(info.dtype for info in there)] += 1
    common = len(keys) - len(lacking)
    return HeaderComparison(tuple(map(len, tables)), common, lacking, shapes, dict(dtypes.most_common()))


def _keyed(header: Header, prefixes: Prefixes) -> dict[Key, TensorInfo]:
    """The tensors by role and name; a name that two components share keeps its prefix in the second."""
    longest = sorted(prefixes, key=lambda part: -len(part[1]))
    found: dict[Key, TensorInfo] = {}
    for name, info in header.tensors.items():
        role, prefix = next((part for part in longest if name.startswith(part[1])), ("", ""))
        key = (role, name[len(prefix) :])
        found[key if key not in found else (role, name)] = info
    return found
