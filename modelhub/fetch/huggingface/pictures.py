"""Pictures: those that the card of a repository shows."""

from __future__ import annotations

from urllib.parse import urlsplit

from modelhub.fetch.huggingface.facts import is_adult
from modelhub.fetch.huggingface.repo import Repo
from modelhub.fetch.net import endpoints
from modelhub.fetch.offer import Picture
from modelhub.formats.sidecars import values

#: Civitai's bits, the one language for how adult a picture is.
_HARMLESS, _ADULT = 1, 16
_MOST = 20
_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif")


def pictures_of(repo: Repo) -> tuple[Picture, ...]:
    """What the widget of the card shows, then its thumbnail: files of the repository, or on the hub."""
    widget = values.tables(values.at(repo.card, "widget"), _MOST)
    shown = [values.text(one, "output", "url") for one in widget]
    found = [_address(repo, one) for one in (*shown, values.text(repo.card, "thumbnail")) if one]
    level = _ADULT if is_adult(repo.tags) else _HARMLESS
    return tuple(Picture(url, level) for url in dict.fromkeys(found) if url)


def _address(repo: Repo, text: str) -> str | None:
    """The address of a picture, pinned to the commit; None for what is not on the hub, or no picture."""
    file = repo.by_path.get(text.removeprefix("./"))
    if file is not None:
        return repo.url(file) if file.name.lower().endswith(_ENDINGS) else None
    try:
        is_picture = urlsplit(text).path.lower().endswith(_ENDINGS)
    except ValueError:
        return None
    return endpoints.through_endpoint(text) if is_picture and endpoints.provider_of(text) == "huggingface" else None
