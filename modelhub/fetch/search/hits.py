"""Search and its hits: what is looked for at providers, and one model that was found, in one form for all of them."""

from __future__ import annotations

from dataclasses import dataclass

#: What people call an order to what providers are asked for.
SORTS = {"relevance": "relevance", "downloads": "downloads", "rating": "likes", "newest": "newest"}


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for: every provider takes of it what it can search by, and filters the rest itself.

    `text` is what a person typed. `kind` and `architecture` are words of the catalog, `base_model` is one of Civitai
    ("Pony"), finer than an architecture; the hub has none. `creator` is the provider's name
    of a user or organization, `tag` one of its tags. `sort` is relevance, downloads, likes or newest. `limit` is how
    many hits are wanted. `adult`: models that the provider marks as not safe for work are wanted, too. `cursor` goes on
    where an earlier answer ended: the `cursor` of its last hit.
    """

    text: str = ""
    kind: str | None = None
    architecture: str | None = None
    base_model: str | None = None
    creator: str | None = None
    tag: str | None = None
    sort: str = "relevance"
    limit: int = 20
    adult: bool = False
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One model that a provider knows, with its newest version.

    `address` is what `get` takes for it. `base_model` is in the provider's words; `kind` and `architecture` are what
    its words mean, None for unknown. `size` is in bytes, of the file that would be chosen. `updated` is a date as the
    provider writes it (ISO 8601). `trouble` is in words why nothing of it can be downloaded. `cursor` goes on after it.
    """

    provider: str
    address: str
    title: str
    version: str = ""
    creator: str | None = None
    kind: str | None = None
    base_model: str | None = None
    architecture: str | None = None
    downloads: int | None = None
    likes: int | None = None
    size: int | None = None
    updated: str | None = None
    nsfw: bool | None = None
    page: str | None = None
    tags: tuple[str, ...] = ()
    trouble: str | None = None
    cursor: str | None = None
