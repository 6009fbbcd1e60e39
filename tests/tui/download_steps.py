"""Steps in the place of downloads that several tests take."""

from __future__ import annotations

from modelhub.tui.app import ModelhubApp
from modelhub.tui.download.screen import DownloadScreen


def place(app: ModelhubApp) -> DownloadScreen:
    """The place, which was gone to."""
    screen = app.place("download")
    assert isinstance(screen, DownloadScreen)
    return screen
