"""The places of the interface, in the order of the bar at the top; each is made when it is first gone to."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from modelhub.tui.library import Library
    from modelhub.tui.screens.place import Place


class PlaceName(NamedTuple):
    """A place: its id, which is the scope of its actions, its title in the bar, and the room with its screen."""

    id: str
    title: str
    room: str
    screen: str

    def make(self, library: Library) -> Place:
        """Its screen; only now its module is imported, so that the first place is there at once."""
        made: Place = getattr(import_module(f"modelhub.tui.{self.room}.screen"), self.screen)(library)
        return made


PLACES = (
    PlaceName("browse", "Library", "browse", "BrowseScreen"),
    PlaceName("download", "Download", "download", "DownloadScreen"),
    PlaceName("lab", "Merge", "lab", "MergeLab"),
    PlaceName("lora", "LoRA", "loras", "LoraScreen"),
    PlaceName("convert", "Convert", "convert", "ConvertScreen"),
    PlaceName("jobs", "Jobs", "jobs", "JobsScreen"),
    PlaceName("settings", "Settings", "settings", "SettingsScreen"),
)
