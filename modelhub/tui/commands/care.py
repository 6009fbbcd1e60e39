"""What a form of a command needs besides its fields: what to ask before it runs, and what is filled in beforehand."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from modelhub.catalog.asset import Asset
from modelhub.tui.commands.form import CommandForm, Values

#: Commands that are asked about, and what they do that is not what most people do every day.
_CARE = {
    "rm": "The assets go to the trash; `undo` brings them back.",
    "mv": "Files are moved, with their sidecars; `undo` moves them back.",
    "forget": "Rows go out of the catalog, with their tags, stars and notes; no file is touched.",
    "queue remove": "Downloads go out of the queue, with what came of them so far.",
    "logout": "The token is deleted here; at the provider it stays.",
}
#: Flags that are asked about.
_FLAGS = {
    "--empty": "What is in the trash is deleted for good.",
    "--force": "A file that stands at the goal is replaced.",
    "--trash-originals": "The originals go to the trash; `undo` brings them back.",
}


def care(form: CommandForm, values: Values) -> str:
    """What to ask before the command runs; "" where there is nothing to ask."""
    if values.get("--dry-run") or values.get("--list"):
        return ""
    found = [_CARE[form.name]] if form.name in _CARE else []
    found += [says for flag, says in _FLAGS.items() if values.get(flag)]
    return " ".join(found)


def agreed(form: CommandForm, values: Values) -> dict[str, str | bool]:
    """The values of a command that was asked about: it does not ask once more, where nobody could answer."""
    return {**values, "--yes": True} if form.has("--yes") and values.get("--empty") else dict(values)


def asks_for_secret(form: CommandForm, values: Values) -> bool:
    """Whether the command would ask for a token: that is done in the settings, where it is not shown."""
    return form.name == "login" and not values.get("--status")


def prefilled(form: CommandForm, assets: Sequence[Asset]) -> dict[str, str | bool]:
    """The fields that `assets`, marked in the library, go into: each takes those of its kind, in the order of marking.

    The last field of a kind takes all that are left, if it may hold several.
    """
    left = list(assets)
    found: dict[str, str | bool] = {}
    for field in form.fields:
        fits = _FITS.get(field.about)
        if field.is_option or fits is None:
            continue
        mine = [asset for asset in left if fits(asset)][: None if field.many else 1]
        if mine:
            words = [_word(asset, field.about) for asset in sorted(mine, key=_lora_first)]
            found[field.key] = shlex.join(words) if field.many else words[0]
            left = [asset for asset in left if asset not in mine]
    return found


_FITS: dict[str, Callable[[Asset], bool]] = {
    "assets": lambda asset: True,
    "files": lambda asset: True,
    "loras": lambda asset: asset.kind == "lora",
    "models": lambda asset: asset.kind != "lora",
}


def _word(asset: Asset, about: str) -> str:
    return str(asset.path) if about == "files" else f"#{asset.id}"


def _lora_first(asset: Asset) -> bool:
    """What is checked against a checkpoint is named before it."""
    return asset.kind != "lora"
