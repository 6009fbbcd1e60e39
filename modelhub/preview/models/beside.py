"""What stands beside a model: the parts that the user names, and those that it lacks and the catalog has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from modelhub.catalog.companions import VAE, find, latents, parts_of, place, title, vae_latents
from modelhub.catalog.folder.original import in_original
from modelhub.catalog.identity import Identity
from modelhub.catalog.opener import Parent
from modelhub.catalog.reading import CatalogReader
from modelhub.errors import IncompatibleError
from modelhub.formats.source import TensorSource
from modelhub.preview.models.parts import lacking, only
from modelhub.text import one_line

Open = Callable[[str], Parent]


@dataclass(frozen=True)
class Beside:
    """Opened files by the parts that are taken from them, and sentences about those that nobody named."""

    parents: Mapping[str, Parent] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[str, TensorSource]:
        """The sources, as `Model.load` takes them."""
        return {part: parent.source for part, parent in self.parents.items()}

    @property
    def vae(self) -> Parent | None:
        """The file of the VAE."""
        return self.parents.get(VAE)

    @property
    def encoders(self) -> tuple[str, ...]:
        """The names of the files of the text encoders, once each."""
        return tuple(dict.fromkeys(one.name for part, one in self.parents.items() if part != VAE))


def stand_beside(
    catalog: CatalogReader,
    open: Open,
    identity: Identity,
    *,
    vae: Parent | None = None,
    encoders: Sequence[Parent] = (),
    t5: Parent | None = None,
) -> Beside:
    """The files beside a model of this identity: those given, and for parts that neither has, the catalog's best.

    Of `t5` nothing else is taken than that. What is nowhere is left out, and nothing stands beside a model of an
    architecture whose text encoders nobody knows: `Model.load` says so. Raises IncompatibleError for a given file that
    has no text encoder of this architecture, and what `open` raises.
    """
    family = identity.architecture or ""
    wanted = [part for part in parts_of(family) if part != VAE]
    if not wanted:
        return Beside()
    found: dict[str, Parent] = {}
    for parent in encoders:
        found |= dict.fromkeys(_held(parent, family, wanted, found), parent)
    if t5 is not None:
        found |= dict.fromkeys(_held(t5, family, _t5_of(family, wanted), ()), t5)
    notes: list[str] = []
    if vae is not None:
        found[VAE] = vae
        notes += _other_latents(vae, family)
    for part in lacking(identity):
        asset = None if part in found else find(catalog, family, part, width=_width(identity, part))
        if asset is not None:
            found[part] = open(f"#{asset.id}")
            said = title(part)
            notes.append(f"{said[:1].upper()}{said[1:]} is taken from {one_line(asset.name)}.")
    return Beside(found, tuple(notes))


def _width(identity: Identity, part: str) -> int | None:
    """How wide a text encoder must be, where the model's widths are not those of released ones."""
    context = identity.facts.get("context")
    alone = len(parts_of(identity.architecture or "")) == 2
    return context if identity.confidence == "structure" and alone and part != VAE else None


def _other_latents(vae: Parent, family: str) -> Iterator[str]:
    """A sentence about a VAE of the right shapes that is made for latents of another kind, as far as can be told."""
    _, identity, _ = in_original(vae.source)
    whose = vae_latents(identity.kind, identity.architecture, vae.sha256, [vae.path.name])
    own = [one for one in latents() if family in one.models]
    if own and whose and own[0] not in whose and own[0].vae == whose[0].vae:
        yield (
            f"{one_line(vae.path.name)} seems to be a VAE for latents of {whose[0].title}, and this model has those of "
            f"{own[0].title}: its colours will be wrong."
        )


def _t5_of(family: str, wanted: Sequence[str]) -> list[str]:
    """The T5 of an architecture. Raises IncompatibleError if it has none."""
    found = [part for part in wanted if part.startswith("t5")]
    if not found:
        raise IncompatibleError(f"{family} reads prompts without a T5.", "Name its text encoder with --text-encoder.")
    return found


def _held(parent: Parent, family: str, wanted: Sequence[str], taken: Collection[str]) -> Sequence[str]:
    """Which of the text encoders of an architecture a file has. Raises IncompatibleError if there are none.

    One whose sizes are no released model's may be any of its kind: it is the next that no file before it has `taken`.
    """
    _, identity, _ = in_original(parent.source)
    exact = [part for part in wanted if place(identity.components, family, part)]
    maybe = [part for part in wanted if part not in taken and only(identity, part)][:1]
    is_sure = identity.confidence != "structure" or any(part not in taken for part in exact)
    held = exact if exact and is_sure else maybe or exact
    if not held:
        raise IncompatibleError(
            f"{one_line(parent.path.name)} has no {'T5' if wanted == ['t5xxl'] else 'text encoder'} of {family}.",
            f"Name a file that has {' or '.join(map(title, wanted))}.",
        )
    return held
