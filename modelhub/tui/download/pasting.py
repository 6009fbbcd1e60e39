"""What is pasted anywhere beside a field: sources of models go to the place of downloads, all else is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelhub.tui.download.asking import pasted_sources

if TYPE_CHECKING:
    from modelhub.tui.app import ModelhubApp


async def take_pasted(app: ModelhubApp, text: str) -> bool:
    """Go to the downloads and ask for what was pasted; False if it is no source."""
    from modelhub.tui.download.screen import DownloadScreen

    sources = pasted_sources(text)
    if not sources:
        return False
    await app.switch_mode("download")
    place = app.place("download")
    if isinstance(place, DownloadScreen):
        place.take(sources)
    return True
