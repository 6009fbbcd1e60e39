"""What is known of every architecture: `catalog/architectures/*.toml` as frozen dataclasses, read when first asked."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from modelhub.catalog.data import data_path
from modelhub.catalog.match import Condition, Dims
from modelhub.errors import CorruptFileError, UnknownModelError

#: Examples come last in a file and are not parsed with the rest: they are for tests and readers.
_EXAMPLES = "\n[[example]]"
ROLES = ("small", "denoiser", "vae", "text_encoder", "whole")


@dataclass(frozen=True, slots=True)
class Signature:
    """Names and shapes that prove an architecture in one layout.

    `confidence` is header, or structure when it looks at no width.
    """

    condition: Condition
    layout: str | None = None
    confidence: str = "header"


@dataclass(frozen=True, slots=True)
class Variant:
    """What more is known when `condition` holds too."""

    condition: Condition
    variant: str | None = None
    architecture: str | None = None
    prediction: str | None = None


@dataclass(frozen=True, slots=True)
class Latent:
    """The latent space: image = decode(latent / scale + shift), one latent pixel for factor × factor image pixels."""

    channels: int
    factor: int
    scale: float
    shift: float = 0.0


@dataclass(frozen=True, slots=True)
class Preview:
    """Settings that give a fair first picture; `size` is in pixels.

    `prediction` is what a file without a marker most likely is.
    """

    size: int
    steps: int
    cfg: float
    sampler: str
    schedule: str
    prediction: str = "epsilon"
    guidance: float | None = None


@dataclass(frozen=True, slots=True)
class Upscale:
    """How an upscaler's factor follows from its shapes: the name of a rule and the tensor it looks at."""

    rule: str
    tensor: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a word in metadata claims beside the architecture.

    `refines` is the variant that it narrows, `like` the architecture whose adapters have the same modules, `kin` the
    architectures that go by the same word.
    """

    architecture: str
    variant: str | None = None
    prediction: str | None = None
    refines: str | None = None
    like: str | None = None
    kin: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Architecture:
    """One file of the catalog: how to recognise an architecture, and what to know of it.

    `released` are tensors and the sizes that they have in released models: with others a match is one of structure.
    """

    id: str
    title: str
    role: str
    order: int
    kind: str | None = None
    architecture: str | None = None
    variant: str | None = None
    prediction: str | None = None
    used_by: tuple[str, ...] = ()
    signatures: tuple[Signature, ...] = ()
    released: Mapping[str, tuple[Dims, ...]] = field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    adapters: tuple[Condition, ...] = ()
    measures: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    assume: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    latent: Latent | None = None
    preview: Preview | None = None
    upscale: tuple[Upscale, ...] = ()


def _read_toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CorruptFileError(
            f"{path} is not valid TOML: {error}.", "Correct the file or reinstall modelhub."
        ) from error


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _dims(value: Iterable[int | str]) -> Dims:
    return tuple(None if size == "_" else int(size) for size in value)


def condition(table: Mapping[str, Any]) -> Condition:
    """A condition from a table of the data files."""
    return Condition(
        all=_names(table.get("all", ())),
        any=_names(table.get("any", ())),
        none=_names(table.get("none", ())),
        shape=tuple((name, _dims(dims)) for name, dims in table.get("shape", {}).items()),
        rank=tuple(table.get("rank", {}).items()),
        max_keys=table.get("max_keys"),
        only=table.get("only", False),
    )


def _signature(table: Mapping[str, Any]) -> Signature:
    return Signature(condition(table), table.get("layout"), table.get("confidence", "header"))


def _variant(table: Mapping[str, Any]) -> Variant:
    return Variant(condition(table), table.get("id"), table.get("architecture"), table.get("prediction"))


@cache
def _families() -> dict[str, Any]:
    path = data_path("measures.toml")
    return _read_toml(path, path.read_text(encoding="utf-8"))


def _measures(table: Any) -> dict[str, dict[str, tuple[str, ...]]]:
    by_layout = _families()[table] if isinstance(table, str) else table
    return {layout: {fact: _names(text) for fact, text in facts.items()} for layout, facts in by_layout.items()}


_PLAIN = ("id", "title", "role", "order", "kind", "architecture", "variant", "prediction", "assume", "claims")


def _architecture(table: Mapping[str, Any]) -> Architecture:
    return Architecture(
        **{name: table[name] for name in _PLAIN if name in table},
        used_by=_names(table.get("used_by", ())),
        signatures=tuple(map(_signature, table.get("signature", ()))),
        released={name: tuple(map(_dims, choices)) for name, choices in table.get("released", {}).items()},
        variants=tuple(map(_variant, table.get("variants", ()))),
        adapters=tuple(map(condition, table.get("adapter", ()))),
        measures=_measures(table.get("measures", {})),
        latent=Latent(**table["latent"]) if "latent" in table else None,
        preview=Preview(**table["preview"]) if "preview" in table else None,
        upscale=tuple(Upscale(**rule) for rule in table.get("upscale", ())),
    )


def read_architecture(path: Path) -> Architecture:
    """One file of `catalog/architectures`. Raises CorruptFileError with the path and what is wrong in it."""
    table = _read_toml(path, path.read_text(encoding="utf-8").partition(_EXAMPLES)[0])
    try:
        return _architecture(table)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptFileError(
            f"{path} has a wrong or missing entry: {error}.", "See catalog/README.md for the format."
        ) from error


@cache
def architectures() -> tuple[Architecture, ...]:
    """Every architecture, in the order in which they are tried."""
    files = data_path("architectures").glob("*.toml")
    return tuple(sorted(map(read_architecture, files), key=lambda one: (ROLES.index(one.role), one.order, one.id)))


@cache
def _by_id() -> dict[str, Architecture]:
    return {one.id: one for one in architectures()}


def architecture(wanted: str) -> Architecture:
    """The architecture with that id. Raises UnknownModelError."""
    try:
        return _by_id()[wanted]
    except KeyError:
        known = ", ".join(one.id for one in architectures() if one.role == "denoiser")
        raise UnknownModelError(f"There is no architecture {wanted!r}.", f"Known ones: {known}.") from None


def with_role(role: str) -> tuple[Architecture, ...]:
    """The architectures of one role, in the order in which they are tried."""
    return tuple(one for one in architectures() if one.role == role)


@cache
def claims() -> dict[str, Claim]:
    """Lower-case words of metadata to what they claim."""
    return {word: _claim(one.id, claim) for one in architectures() for word, claim in one.claims.items()}


def _claim(owner: str, table: Mapping[str, Any]) -> Claim:
    return Claim(owner, **{**table, "kin": _names(table.get("kin", ()))})


def examples(wanted: str) -> list[dict[str, Any]]:
    """The examples of one architecture: tables with `tensors` (name to shape) that its signature must match."""
    path = data_path("architectures", f"{wanted}.toml")
    _, mark, tail = path.read_text(encoding="utf-8").partition(_EXAMPLES)
    found: list[dict[str, Any]] = _read_toml(path, mark + tail).get("example", [])
    return found
