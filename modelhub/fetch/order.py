"""Order: one model to be downloaded, decided down to its path; it survives a restart as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from modelhub.fetch.offer import RemoteFile


@dataclass(frozen=True, slots=True)
class Order:
    """One model to be downloaded: one file, or the files of a folder (`whole`), which are placed together.

    `goal` is the path of the file or folder; unless it is `fixed` by the user, its folder may change when the bytes
    turn out to be of another kind. `library` is the folder whose layout says where. `replace`: what is at `goal` may be
    replaced. `facts` are fields of `SidecarFacts` as JSON, `raw` the provider's answer, `picture` the address of a
    preview, `sidecars` the conventions to write beside the file. `keep_unsafe`: a pickle that would run code is filed
    all the same. No order holds a token.
    """

    source: str
    address: str
    provider: str
    title: str
    files: tuple[RemoteFile, ...]
    goal: Path
    whole: bool = False
    fixed: bool = False
    replace: bool = False
    library: Path | None = None
    kind: str | None = None
    architecture: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict)
    picture: str | None = None
    sidecars: tuple[str, ...] = ()
    keep_unsafe: bool = False

    @property
    def size(self) -> int | None:
        """Bytes of all files together; None if those of one are not known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def sha256(self) -> str | None:
        """The SHA256 that a single file must have, if the provider told it."""
        return None if self.whole else self.files[0].hashes.get("sha256")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` reads them."""
        plain = asdict(self)
        return {**plain, "goal": str(self.goal), "library": str(self.library) if self.library else None}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """What `as_dict` gave, after JSON."""
        files = tuple(RemoteFile(**one) for one in plain["files"])
        library = Path(plain["library"]) if plain["library"] else None
        changed = {"files": files, "goal": Path(plain["goal"]), "library": library}
        return cls(**{**plain, **changed, "sidecars": tuple(plain["sidecars"])})
