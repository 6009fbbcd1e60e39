"""State: what is known of the bytes of a part, so that the next try asks for the rest of the same file and no other.

It says which file the bytes belong to, never how many there are: that the part itself says. It is written before the
first byte, and after a part was emptied; so it is true at every moment at which a process can die.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from modelhub.errors import FileError
from modelhub.formats.handle import read_bounded
from modelhub.formats.writer import replacing, write_all

_FORM = 1
_MOST = 64 * 1024


@dataclass(frozen=True, slots=True)
class State:
    """What a server said of the file whose beginning a part is.

    `size` of the whole file in bytes; `etag` a strong one; `modified` the Last-Modified where it is as good; `hashes`
    those the provider had told; `host` where the bytes came from; `served` what the server calls the file, `goal` where
    it was to go.
    """

    size: int | None = None
    etag: str | None = None
    modified: str | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    served: str | None = None
    goal: str = ""

    @property
    def validator(self) -> str | None:
        """What goes into If-Range; None where the server gave nothing that tells one content from another."""
        return self.etag or self.modified


def read_state(path: Path) -> State | None:
    """The state in a file; None for none, and for one that this program did not write."""
    try:
        plain = json.loads(read_bounded(path, _MOST)[1])
    except (ValueError, RecursionError, FileError):
        return None
    if not isinstance(plain, dict) or plain.pop("form", None) != _FORM or not _is_right(plain):
        return None
    return State(**plain)


def write_state(path: Path, state: State) -> None:
    """Put a state in place of whatever is there, whole and durably. Raises FileError."""
    text = json.dumps({"form": _FORM, **asdict(state)}, indent=1)
    with replacing(path, force=True) as file:
        write_all(file, text.encode("utf-8", "backslashreplace"))


def _is_right(plain: dict[str, Any]) -> bool:
    texts = (plain.get(name) for name in ("etag", "modified", "host", "served", "goal"))
    size, hashes = plain.get("size"), plain.get("hashes")
    return (
        plain.keys() == State.__dataclass_fields__.keys()
        and all(text is None or isinstance(text, str) for text in texts)
        and (size is None or (type(size) is int and size >= 0))
        and isinstance(hashes, dict)
        and all(isinstance(value, str) for value in hashes.values())
    )
