"""Contents: what the bytes that came are, whatever their name and provider say, and whether they would run code."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.errors import FileError, UnsafePickleError
from modelhub.fetch.names.endings import format_by_name
from modelhub.formats.header import Header
from modelhub.formats.opening import read_any_header
from modelhub.formats.sniff import sniff
from modelhub.text import brief, few

#: What files get whose suffix says another format.
_SUFFIXES = {"safetensors": ".safetensors", "pickle": ".pt", "gguf": ".gguf"}
_PICKLES_OF = {"checkpoint": ".ckpt", "diffusion-model": ".ckpt", "upscaler": ".pth"}


@dataclass(frozen=True, slots=True)
class Content:
    """What a file is: `form` is its format, `identity` None where it holds no weights that can be read.

    `dangers` are what it would run, for which it must not be filed; `notes` sentences that a user should read.
    """

    form: str
    identity: Identity | None = None
    dangers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_proven(self) -> bool:
        """Whether its names and shapes tell the kind."""
        known = self.identity is not None and self.identity.kind not in ("unknown", "other")
        return known and self.identity is not None and self.identity.confidence in ("header", "structure")

    def name(self, name: str) -> str:
        """The file name with a suffix that tells the truth about the format."""
        stem, suffix = os.path.splitext(name)  # noqa: PTH122 (a name, not a path)
        said = format_by_name(name)
        if self.form not in _SUFFIXES or said == self.form or (said == "other" and self.form == "pickle" and suffix):
            return name  # a zip archive of pictures is no model
        kind = self.identity.kind if self.identity and self.form == "pickle" else ""
        return (name if said == "other" else stem) + _PICKLES_OF.get(kind, _SUFFIXES[self.form])


def look(part: Path, name: str) -> Content:
    """What the file `part` is that shall be called `name`; nothing of it is run. Raises FileError if it cannot be read.

    What is broken is no error: it was sent so, and the catalog says what is wrong with it.
    """
    form = sniff(part)
    if form == "pickle" or (form == "unknown" and format_by_name(name) == "pickle"):
        return _look_at_pickle(part, name)
    if form == "unknown":
        return Content(form)
    try:
        return Content(form, identify(read_any_header(part)[1], name=name, form=form))
    except UnsafePickleError as error:
        return Content(form, dangers=(error.message,))
    except FileError as error:
        return Content(form, notes=(f"It cannot be read as a model: {error.message}",))


def unsafe(name: str, kept: Path, content: Content) -> UnsafePickleError:
    """The error for a file that would run code, and was kept as `kept` out of every tool's sight."""
    return UnsafePickleError(
        f"{brief(name)} would run code when a program loads it: {few(content.dangers, 120)}. "
        f"It was not filed, and lies at {kept}, where no tool loads it.",
        f"Look into it with `modelhub inspect {quote(str(kept))}`, delete it, or save its weights: "
        f"`modelhub convert {quote(str(kept))} OUT.safetensors --salvage`.",
    )


def _look_at_pickle(part: Path, name: str) -> Content:
    from modelhub.formats.pickles.examine import examine

    found = examine(part)
    if found.dangers:
        return Content("pickle", dangers=found.dangers)
    if not found.container:
        return Content("unknown")
    if found.header is None:
        return Content("pickle", notes=(_PICKLE, f"It cannot be read as a model: {found.error}"))
    strange = [one.path for one in found.globals if one.verdict == "unknown"]
    doubts = (f"It refers to names that no model needs: {few(strange)}.",) if strange else ()
    return Content("pickle", _identified(found.header, name), notes=(_PICKLE, *doubts))


_PICKLE = (
    "It is a pickle, of which nothing was run: `modelhub convert` makes a safetensors file of it, which runs nothing."
)


def _identified(header: Header, name: str) -> Identity:
    return identify(header, name=name, form="pickle")
