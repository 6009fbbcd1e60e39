"""Files: one file of a repository as it is offered, under a name that still says something outside of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from modelhub.fetch.huggingface.listing import GENERIC, precision, pruned
from modelhub.fetch.huggingface.picking import Picked
from modelhub.fetch.huggingface.repo import Repo, RepoFile
from modelhub.fetch.names.endings import format_by_name
from modelhub.fetch.offer import RemoteFile

_CONFIGS = frozenset({"json", "yaml", "yml", "txt", "jinja", "model", "md", "tiktoken"})


def remote_file(repo: Repo, file: RepoFile, picked: Picked, *, primary: bool) -> RemoteFile:
    """The file as it is offered: in a whole, `path` counts from the folder of that; else from the repository."""
    ending = file.name.rpartition(".")[2].lower()
    hashes = {"sha256": file.sha256} if file.sha256 else {"git": file.git} if file.git else {}
    skip = len(picked.root) + 1 if picked.whole and picked.root else 0
    return RemoteFile(
        name=file.name if picked.whole else proposed_name(repo, file),
        url=repo.url(file),
        path=file.path[skip:],
        size=file.size,
        hashes=hashes,
        role="config" if ending in _CONFIGS else "model",
        format=format_by_name(file.name),
        precision=precision(file.name),
        pruned=pruned(file.name),
        primary=primary,
    )


def proposed_name(repo: Repo, file: RepoFile) -> str:
    """The file's own name, or one made of its repository and folder where its own is that of a thousand others."""
    base, dot, rest = file.name.partition(".")
    if base.lower() not in GENERIC:
        return file.name
    folder = file.folder.replace("/", "_")
    return "_".join(part for part in (repo.id.replace("/", "_"), folder) if part) + dot + rest


def with_full_precision(files: Sequence[RemoteFile]) -> tuple[RemoteFile, ...]:
    """`files`, where weights of no named precision that take twice the bytes of those in fp16 beside them are fp32."""
    known = {_copy(one, "fp16"): one.size for one in files if one.precision == "fp16" and one.size}
    return tuple(replace(one, precision="fp32") if _is_twice(one, known) else one for one in files)


def _is_twice(file: RemoteFile, known: Mapping[str, int]) -> bool:
    half = known.get(_copy(file, None)) if file.precision is None and file.size else None
    return half is not None and 1.9 < (file.size or 0) / half < 2.1


def _copy(file: RemoteFile, precision: str | None) -> str:
    """The path that a copy of no named precision has."""
    return file.path.replace(f".{precision}", "") if precision else file.path
