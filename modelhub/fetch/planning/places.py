"""Places: the folder that a model belongs into, by the layout of the user's tool and by where the user keeps others."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from modelhub.catalog.habits import usual_folder, usual_folder_of_kind
from modelhub.catalog.layouts import Layout, laid_out_as, named_after, recognise
from modelhub.catalog.store import Catalog
from modelhub.errors import UsageError
from modelhub.fetch.names.safe import safe_name
from modelhub.formats.sidecars import SidecarFacts
from modelhub.settings import Settings, load_settings, user_path

#: The tool whose names folders get that no tool has a name for.
_PLAIN = "comfyui"
_NO_FACTS = SidecarFacts()
#: A word in a template.
_WORD = re.compile(r"\{(.*?)\}")
#: Words among a model's tags that people sort models by; any other tag comes after them.
_SORTING = (
    "character", "concept", "clothing", "style", "poses", "background", "tool", "vehicle", "buildings", "objects",
    "assets", "animal", "action", "celebrity", "realistic", "anime",
)  # fmt: skip


class Places:
    """Where models go: into `library`, by its layout, or just there if the user named a folder (`fixed`)."""

    def __init__(
        self, catalog: Catalog, to: Path | None = None, settings: Settings | None = None, library: Path | None = None
    ) -> None:
        """`to` is the folder that the user named, if any; the root of a known tool is taken as a library.

        `library` is one that was found before. Raises UsageError if there is none of these, and neither a folder in the
        settings nor one that is scanned.
        """
        self._catalog = catalog
        self._settings = settings or load_settings(catalog.folder)
        self.library, self._layout = _chosen(catalog, self._settings, to, library)
        self._habits: dict[tuple[str, str | None, Path], Path] = {}
        self.fixed = to is not None and self._layout is None
        self._named_by_user = [self.library, *catalog.roots(), *([_absolute(to)] if to else [])]

    def folder(
        self, kind: str | None, architecture: str | None, form: str | None = None, facts: SidecarFacts = _NO_FACTS
    ) -> Path:
        """The folder for a model of this kind, architecture and format, which need not exist yet.

        `facts` fill the user's own template. Raises UsageError for a template that cannot be read.
        """
        if self.fixed:
            return self.library
        kind = kind or "unknown"
        base, bases = self._bases(kind, architecture, form)
        if self._settings.download_path:
            return base / filled(self._settings.download_path, _words(kind, architecture, facts))
        return self._usual(kind, architecture, base, bases)

    def _bases(self, kind: str, architecture: str | None, form: str | None) -> tuple[Path, list[Path]]:
        """The folder of new files of the kind, and those that may hold some; the library itself without a layout."""
        if self._layout is None:
            plain = laid_out_as(_PLAIN, self.library)
            return _plain(plain, kind, architecture, form), [self.library]
        own = (
            None if kind in ("other", "unknown") else self._layout.folder(kind, architecture=architecture, format=form)
        )
        if own is None or not self._may_make(own):
            other = _plain(laid_out_as(_PLAIN, self._layout.models), kind, architecture, form)
            return other, [other]
        every = self._layout.folders().get(kind, [])
        return own, every if own in every else [own]

    def _may_make(self, folder: Path) -> bool:
        """Whether a folder is there, or lies in one that the user named: nothing appears beside what was scanned."""
        return folder.is_dir() or any(folder.is_relative_to(one) for one in self._named_by_user)

    def _usual(self, kind: str, architecture: str | None, base: Path, bases: list[Path]) -> Path:
        """The folder where the user keeps such models, looked for once; `base` where there is no habit."""
        if kind in ("other", "unknown"):
            return base
        known = (kind, architecture, base)
        if known not in self._habits:
            self._habits[known] = self._habit(kind, architecture, base, bases)
        return self._habits[known]

    def _habit(self, kind: str, architecture: str | None, base: Path, bases: list[Path]) -> Path:
        usual = usual_folder(self._catalog, kind, architecture, bases) if architecture else None
        if usual is None and (self._layout is None or self._is_foreign(kind, base)):
            usual = usual_folder_of_kind(self._catalog, kind, architecture, self.library)
        if usual is None and self._is_foreign(kind, base):
            usual = named_after(kind, self.library)
        return usual or base

    def _is_foreign(self, kind: str, base: Path) -> bool:
        """Whether the user has no such folder in the library yet: there may be one by another name."""
        names = self._layout or laid_out_as(_PLAIN, self.library)
        return base.parent == self.library and not base.is_dir() and base == names.folder(kind)


def filled(template: str, words: Mapping[str, str | None]) -> Path:
    """The folders that a template such as "{architecture}/{creator}" names; parts without a known word are left out.

    Raises UsageError for a word that there is not.
    """
    unknown = [word for word in _WORD.findall(template) if word not in words]
    if unknown:
        raise UsageError(
            f"settings.toml: 'download_path' speaks of {{{unknown[0]}}}, which no model has.",
            f"Words are: {', '.join(f'{{{word}}}' for word in words)}.",
        )
    kept = [one for one in (_part(part, words) for part in re.split(r"[\\/]+", template)) if one]
    return Path(*kept)


def _part(template: str, words: Mapping[str, str | None]) -> str:
    """The name of one folder; "" if no word in it is known."""
    values = {word: safe_name(words[word] or "", "") for word in _WORD.findall(template) if _says(words[word])}
    if not values and _WORD.search(template):
        return ""
    text = _WORD.sub(lambda word: values.get(word[1], ""), template)
    return safe_name(text) if _says(text) else ""


def _says(text: str | None) -> bool:
    """Whether anything is left of a text without what separates words."""
    return bool(text and text.strip(" .-_"))


def _words(kind: str, architecture: str | None, facts: SidecarFacts) -> dict[str, str | None]:
    tags = {tag.lower(): tag for tag in facts.tags}
    tag = next((tags[word] for word in _SORTING if word in tags), next(iter(facts.tags), None))
    return {
        "kind": None if kind == "unknown" else kind,
        "architecture": architecture,
        "base_model": facts.base_model,
        "creator": facts.creator,
        "tag": tag,
    }


def _plain(layout: Layout, kind: str, architecture: str | None, form: str | None) -> Path:
    """ComfyUI's folder of a kind; what nobody knows stays at hand, for somebody to look at."""
    if kind in ("other", "unknown"):
        return layout.models / "other"
    return layout.folder(kind, architecture=architecture, format=form) or layout.models / "other"


def _chosen(catalog: Catalog, settings: Settings, to: Path | None, library: Path | None) -> tuple[Path, Layout | None]:
    if to is not None:
        return _named(to)
    return (library, recognise(library)) if library is not None else _found(catalog, settings)


def _named(to: Path) -> tuple[Path, Layout | None]:
    """A folder that the user named; with the layout whose root or folder of models it is."""
    folder = _absolute(to)
    layout = recognise(folder)
    if layout is not None and folder in (layout.root, layout.models):
        return layout.models, layout
    return folder, None


def _found(catalog: Catalog, settings: Settings) -> tuple[Path, Layout | None]:
    """The folder of the settings, else the first that is scanned and that a tool knows, else the first."""
    if settings.download_folder:
        folder = _absolute(user_path(settings.download_folder))
        return folder, recognise(folder)
    roots = [root for root in catalog.roots() if root.is_dir()]
    known = [(layout.models, layout) for layout in map(recognise, roots) if layout is not None]
    if known:
        return known[0]
    if roots:
        return roots[0], None
    raise UsageError(
        "There is no folder that downloads could go to.",
        "Name one with `--to DIR`, or have modelhub know your models: `modelhub scan DIR`.",
    )


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 (as it is called: links lead elsewhere)
