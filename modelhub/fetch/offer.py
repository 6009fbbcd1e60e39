"""Offer: what a source leads to at its provider, in one form whoever the provider is. Nothing in it is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from modelhub.errors import ModelhubError
from modelhub.formats.sidecars import SidecarFacts

#: Bytes: no file is larger, and what says so is mistaken.
LARGEST = 2**50


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file that a provider offers, in its words.

    `url` is where it is asked for; it may lead to another host, which then gets no token. `path` is the place of the
    file in a folder that is fetched whole ("unet/config.json"), else its name. `size` is in bytes, None if it is not
    known; `exact` says whether it is that to the byte. `hashes` are lower-case hex by name (sha256, blake3, crc32,
    autov1, autov2, autov3, and git: the SHA1 of a git blob). `role` is model, pruned-model, vae, config, text-encoder,
    negative, archive, training-data or other; `format` safetensors, pickle, gguf, diffusers, onnx, other or None;
    `precision` as people call it: fp16. `primary`: the provider gives this one where nothing is chosen.
    """

    name: str
    url: str
    path: str = ""
    size: int | None = None
    exact: bool = True
    hashes: Mapping[str, str] = field(default_factory=dict)
    role: str = "model"
    format: str | None = None
    precision: str | None = None
    pruned: bool | None = None
    primary: bool = False
    id: int | None = None

    @property
    def exact_size(self) -> int | None:
        """The bytes that the file has, if its provider told them to the byte."""
        return self.size if self.exact else None


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that a provider shows of a model; `level` is Civitai's bit for how adult it is, 1 for harmless."""

    url: str
    level: int = 1


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a model: `address` is what `get` takes for it, `trouble` why it cannot be had."""

    address: str
    name: str
    base_model: str | None = None
    published: str | None = None
    files: tuple[RemoteFile, ...] = ()
    trouble: ModelhubError | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """One version of a model, with all that its provider says of it.

    `source` is what was typed, without secrets; `address` leads to the same version again. `provider` is civitai,
    huggingface or web. `kind` and `architecture` are what the provider's words mean, None for unknown. `whole`: the
    files are one model together (a diffusers folder, shards), to be fetched into one folder, each at its `path`; the
    primary ones are those to be had where nothing is chosen, others are copies of them. `apart` are models of their
    own beside a whole, any of which can be had in its place. `asked` are the files that the source itself names.
    `raw` is the provider's own answer, for sidecars. `versions` are all there
    are, newest first. `trouble` is why nothing of it can be downloaded.
    """

    source: str
    address: str
    provider: str
    title: str
    version: str = ""
    page: str | None = None
    kind: str | None = None
    architecture: str | None = None
    files: tuple[RemoteFile, ...] = ()
    whole: bool = False
    facts: SidecarFacts = field(default_factory=SidecarFacts)
    raw: Mapping[str, Any] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()
    versions: tuple[Version, ...] = ()
    trouble: ModelhubError | None = None
    asked: tuple[RemoteFile, ...] = ()
    apart: tuple[RemoteFile, ...] = ()

    @property
    def all_versions(self) -> Sequence[Version]:
        """All versions of the model; the offer itself where its provider has no versions."""
        own = Version(self.address, self.version, self.facts.base_model, None, self.files, self.trouble)
        return self.versions or (own,)

    def of(self, files: Sequence[RemoteFile]) -> Offer:
        """The offer that `files` were chosen from; nobody says of which kind those are that lie apart from a whole."""
        if not (self.whole and files and all(file in self.apart for file in files)):
            return self
        return replace(self, whole=False, files=self.apart, apart=(), kind=None, architecture=None)
