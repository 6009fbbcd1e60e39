"""What a file is made of: its components and what stands beside them, with tensors, parameters, bytes and dtypes."""

from __future__ import annotations

from collections.abc import Iterator

from modelhub.catalog.belonging import Belonging, Owned, groups
from modelhub.catalog.identity import Identity
from modelhub.convert.inspect.report import Piece
from modelhub.formats.header import BLOCKS, FLOAT_DTYPES, Header


def pieces(header: Header, identity: Identity, where: Belonging) -> Iterator[Piece]:
    """Components in the order of the identity, then groups beside them, then what belongs to neither."""
    for one in where.owned:
        known = one.component.architecture
        yield _piece(one.words, one.role, known, one.prefix, one.names, header, _logical(one))
    for group in groups():
        if names := where.group(group.id):
            yield _piece(group.what, group.id, None, _common(names), names, header)
    if where.extras:
        what = "other tensors" if where.owned or where.groups else "all tensors"
        logical = None if where.owned else identity.parameters
        yield _piece(what, "extra", None, "", where.extras, header, logical)


def _logical(one: Owned) -> int | None:
    """The parameters that packed weights stand for, as long as the component's own tensors are all that is below it."""
    return one.component.parameters if one.component.tensors == len(one.names) else None


def _common(names: list[str]) -> str:
    """The first word of all names, if they share it."""
    first = {name.partition(".")[0] for name in names}
    return f"{first.pop()}." if len(first) == 1 and "." in names[0] else ""


def _piece(
    what: str,
    role: str,
    known: str | None,
    prefix: str,
    names: list[str],
    header: Header,
    logical: int | None = None,
) -> Piece:
    dtypes: dict[str, int] = {}
    tensors = size = 0
    for name in names:
        info = header.tensors[name]
        tensors, size = tensors + 1, size + info.nbytes
        dtypes[info.dtype] = dtypes.get(info.dtype, 0) + info.numel
    ordered = dict(sorted(dtypes.items(), key=lambda item: -item[1]))
    counted = sum(count for dtype, count in dtypes.items() if dtype in FLOAT_DTYPES or dtype in BLOCKS)
    return Piece(what, role, known, prefix, tensors, counted if logical is None else logical, size, ordered)
