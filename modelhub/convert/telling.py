"""What becomes of each tensor of a file, told once: steps say what they do to it, and equal stories make one part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from modelhub.catalog.becoming import Action, Part
from modelhub.catalog.unpacking import LOST
from modelhub.formats.header import Header
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Renamed

#: What is told first.
_ORDER = ("keep", "change", "add", "drop")


class _Story(NamedTuple):
    action: Action
    what: str
    reasons: tuple[str, ...]

    def then(self, later: _Story) -> _Story:
        """Both in one: what goes is gone, and what is added stays that, whatever else is done to it."""
        if self.action == "drop" or later.action == "drop":
            return self if self.action == "drop" else later
        action = later.action if self.action == "keep" else self.action
        what = self.what if action == "add" or not later.what else later.what
        before = self.reasons if later.action == "keep" else tuple(one for one in self.reasons if one != LOST)
        return _Story(action, what, tuple(dict.fromkeys(before + later.reasons)))


class Telling:
    """Tells of every tensor of the file with the header `file`, and of those that are added to it."""

    def __init__(self, file: Header) -> None:
        self._file = file
        self._stories: dict[str, _Story] = {}
        self._old: Mapping[str, str] = {}

    def tell(self, action: Action, what: str, reason: str, names: Iterable[str]) -> None:
        """A step does this to tensors of the view so far; with "" as `what`, they are called as they were before."""
        later = _Story(action, what, (reason,) if reason else ())
        for name in map(self._in_file, names):
            self._stories[name] = self._stories[name].then(later) if name in self._stories else later

    def take(self, parts: Iterable[Part]) -> None:
        """The same of all `parts` of a step."""
        for one in parts:
            self.tell(one.action, one.what, one.reason, one.names)

    def follow(self, view: TensorSource) -> None:
        """From now on names are those in `view`."""
        if isinstance(view, Renamed):
            self._old = {new: self._in_file(old) for new, old in view.old_names.items()}

    def _in_file(self, name: str) -> str:
        """The name in the file of a tensor of the view; its own if it is not there."""
        return self._old.get(name, name)

    def stored(self, name: str) -> str:
        """The dtype that a tensor of the view has in the file, "" for one that is not there."""
        name = self._in_file(name)
        return self._file.tensors[name].dtype if name in self._file.tensors else ""

    def action(self, name: str) -> Action | None:
        """What becomes of a tensor of the view, None if nothing was told of it."""
        story = self._stories.get(self._in_file(name))
        return story and story.action

    @property
    def changes(self) -> bool:
        """Whether anything but the container changes."""
        return any(story.action != "keep" for story in self._stories.values())

    def parts(self, result: Header) -> list[Part]:
        """All that was told, what stays first; `result` has the sizes of what is added."""
        groups: dict[_Story, list[str]] = {}
        for name, story in self._stories.items():
            groups.setdefault(story, []).append(name)
        found = [self._part(story, names, result) for story, names in groups.items()]
        return sorted(found, key=lambda one: _ORDER.index(one.action))

    def _part(self, story: _Story, names: list[str], result: Header) -> Part:
        headers = (self._file.tensors, result.tensors)
        size = sum(next((tensors[name].nbytes for tensors in headers if name in tensors), 0) for name in names)
        unchanged = "bit for bit" if story.action == "keep" else ""
        return Part(story.action, story.what, "; ".join(story.reasons) or unchanged, tuple(names), size)
