"""Steps that tests of the merge lab have in common."""

from __future__ import annotations

from modelhub.errors import ModelhubError
from modelhub.jobs import QUIET
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.lab.screen import MergeLab
from modelhub.tui.lab.stove import Stove
from modelhub.tui.widgets.slider import Slider
from modelhub.tui.widgets.status import StatusLine


async def lab(pilot, until, *names):
    """Mark assets by name, in that order, and open the lab."""
    assets = pilot.app.screen.query_one(AssetList)
    await until(pilot, lambda: assets.count == 4)
    by_name = {assets._pages.get(row).name: assets.ids[row] for row in range(4)}
    assets.marks = {by_name[name]: None for name in names}
    await pilot.press("m")
    await until(pilot, lambda: isinstance(pilot.app.screen, MergeLab) and pilot.app.screen.query(Slider))
    return pilot.app.screen


def idle(screen):
    return screen.query_one(StatusLine).event is None


def render(library, part, request, stove=None):
    """The shot of one part, by a renderer of its own where no stove is given."""
    [(_, found)] = (stove or Stove()).cook(library, [part], request, "cpu", QUIET)
    if isinstance(found, ModelhubError):
        raise found
    return found
