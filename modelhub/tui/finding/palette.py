"""What the palette finds: actions that apply here, places, commands of the command line, themes, assets; and the order
in which they are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.dom import DOMNode
from textual.screen import Screen

from modelhub.text import one_line
from modelhub.tui.actions import Action, actions
from modelhub.tui.keys.key_names import keys_in_words
from modelhub.tui.widgets.line_list import LineList

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.tui.app import ModelhubApp
    from modelhub.tui.commands.form import CommandForm
    from modelhub.tui.lab.history import Entry as Recipe

#: Assets that are shown at most.
MOST_ASSETS = 40


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to choose: what it is, its name, what it does, the keys that do the same, and the doing.

    `tries` shows what it would look like, for a theme.
    """

    kind: str
    label: str
    help: str
    run: Callable[[], object]
    keys: str = ""
    tries: Callable[[], object] | None = None


def action_entries(app: ModelhubApp, screen: Screen[Any]) -> list[Entry]:
    """The actions of `screen`, those of a list that has the focus, and those of everywhere."""
    scopes: dict[str, DOMNode] = {getattr(screen, "scope", ""): screen, **getattr(screen, "scopes", {})}
    if isinstance(screen.focused, LineList):
        scopes["list"] = screen.focused
    scopes["app"] = app
    return [_of_action(app, one, node) for scope, node in scopes.items() for one in actions(scope) if _offered(one)]


def _offered(action: Action) -> bool:
    return action.id != "app.command_palette"


def _of_action(app: ModelhubApp, action: Action, node: DOMNode) -> Entry:
    kind = "Place" if action.call.startswith("go(") else "Action"
    keys = keys_in_words(app.keys.get(action.id, action.keys))
    return Entry(kind, action.label, action.help, partial(app.call_later, app.run_action, action.call, node), keys)


def theme_entries(app: ModelhubApp, *, tries: bool) -> list[Entry]:
    """All themes; `tries`: each is worn while the cursor is on it."""
    from modelhub.tui.themes import describe_theme, keep_theme, try_theme

    return [
        Entry(
            "Theme",
            name,
            describe_theme(theme),
            partial(keep_theme, app, name),
            tries=partial(try_theme, app, name) if tries else None,
        )
        for name, theme in sorted(app.available_themes.items())
    ]


def command_entries(app: ModelhubApp, forms: Iterable[CommandForm]) -> list[Entry]:
    """The commands of the command line; choosing one opens its form."""
    from modelhub.tui.commands.screen import open_commands

    return [Entry("Command", form.name, form.help, partial(open_commands, app, form.name)) for form in forms]


def asset_entries(app: ModelhubApp, assets: Iterable[Asset]) -> list[Entry]:
    """Assets; choosing one goes to it in the library."""
    return [Entry("Asset", one_line(one.name), _about(one), partial(show_asset, app, one.id)) for one in assets]


def recipe_entries(app: ModelhubApp, kept: Iterable[Recipe]) -> list[Entry]:
    """What was previewed and saved in the merge lab; choosing one brings its recipe back there."""
    return [
        Entry("Recipe", one_line(one.title), f"{one.what} of the lab", partial(show_recipe, app, one)) for one in kept
    ]


async def show_recipe(app: ModelhubApp, recipe: Recipe) -> None:
    """To the merge lab, with a recipe of its history in the form."""
    from modelhub.tui.lab.screen import MergeLab

    await app.switch_mode("lab")
    lab = app.place("lab")
    if isinstance(lab, MergeLab):
        lab.bring_back(recipe)


def _about(asset: Asset) -> str:
    title = asset.title if asset.title != asset.path.stem else None
    words = (asset.kind, asset.architecture, title)
    return " · ".join(one_line(word) for word in words if word)


def show_asset(app: ModelhubApp, number: int) -> None:
    """To an asset in the library: the cursor goes there, or where the filter hides it, the filter is for it alone."""
    from modelhub.tui.browse.screen import BrowseScreen

    app.go("browse")
    place = app.place("browse")
    if isinstance(place, BrowseScreen):
        if number in place.assets.ids:
            place.assets.cursor = place.assets.ids.index(number)
        else:
            place.finder.bar.put(f"id:{number}")
        place.assets.focus()


# -- order -------------------------------------------------------------------------------------------------------------

_KINDS = ("Action", "Place", "Asset", "Command", "Recipe", "Theme")


def ranked(entries: Sequence[Entry], typed: str) -> list[Entry]:
    """The entries that fit what was typed, the best first; all of them, as they come, if nothing was."""
    if not typed.strip():
        return list(entries)
    scored = [(fit(entry, typed.lower()), -_KINDS.index(entry.kind), -at) for at, entry in enumerate(entries)]
    return [entries[-at] for score, _, at in sorted(scored, reverse=True) if score > 0]


def fit(entry: Entry, typed: str) -> int:
    """How well an entry fits what was typed in lower case: 0 is not at all."""
    label, words = entry.label.lower(), typed.split()
    if label == typed.strip():
        return 100
    if label.startswith(typed.strip()):
        return 90
    if all(any(part.startswith(word) for part in _parts(label)) for word in words):
        return 80
    if all(word in label for word in words):
        return 70
    if entry.kind == "Asset":  # the catalog found it, by whatever it knows of it
        return 45
    whole = f"{label} {entry.help.lower()} {entry.kind.lower()}"
    if all(any(part.startswith(word) for part in _parts(whole)) for word in words):
        return 50
    if all(word in whole for word in words):
        return 40
    return 20 if _scattered(label, "".join(words)) else 0


def _parts(text: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in text).split()


def _scattered(label: str, typed: str) -> bool:
    """Whether the letters stand in the label in this order, the first at its beginning: `mlab` in `merge lab`."""
    rest: Iterator[str] = iter(label)
    return label.startswith(typed[:1]) and all(char in rest for char in typed)
