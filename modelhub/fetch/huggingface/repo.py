"""Repo: what Hugging Face says of one revision of a repository, and of the files in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True, slots=True)
class RepoFile:
    """A file by its path in the repository; `sha256` of large files, `git` (SHA1 of the blob) of small ones."""

    path: str
    size: int | None = None
    sha256: str | None = None
    git: str | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """The path without its last part; "" at the root."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True)
class Repo:
    """One revision: `sha` is its commit, `files` are sorted by path. `card` and `class_name` are the author's words.

    `gated`: terms have to be accepted before files are given out. `endpoint` is where it was asked for.
    """

    id: str
    sha: str
    endpoint: str
    files: tuple[RepoFile, ...] = ()
    tags: tuple[str, ...] = ()
    card: Mapping[str, Any] = field(default_factory=dict)
    class_name: str | None = None
    library: str | None = None
    pipeline: str | None = None
    modified: str | None = None
    gated: bool = False
    disabled: bool = False

    @property
    def name(self) -> str:
        """The name without the owner."""
        return self.id.rpartition("/")[2]

    @property
    def owner(self) -> str | None:
        """The user or organization; None for the few repositories that have none."""
        return self.id.rpartition("/")[0] or None

    @property
    def page(self) -> str:
        """The address that people know, whichever endpoint was asked."""
        return f"https://huggingface.co/{self.id}"

    @cached_property
    def by_path(self) -> dict[str, RepoFile]:
        """The files by their paths."""
        return {file.path: file for file in self.files}

    def below(self, folder: str) -> tuple[RepoFile, ...]:
        """The files in a folder and the folders in it; all of them for ""."""
        return tuple(file for file in self.files if not folder or file.path.startswith(f"{folder}/"))

    def url(self, file: RepoFile) -> str:
        """Where the bytes of a file are given out, of this very commit."""
        from huggingface_hub import hf_hub_url

        return hf_hub_url(self.id, file.path, revision=self.sha, endpoint=self.endpoint)

    @property
    def raw(self) -> dict[str, Any]:
        """What is kept of the provider's answer, as plain values for JSON."""
        kept = {"library_name": self.library, "pipeline_tag": self.pipeline, "lastModified": self.modified}
        return {
            "id": self.id,
            "sha": self.sha,
            "gated": self.gated,
            "tags": list(self.tags),
            "cardData": dict(self.card),
            **kept,
        }
