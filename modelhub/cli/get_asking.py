"""What each source leads to, and which of its files are wanted; a source that fails leaves the others alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelhub.cli.context import Context
from modelhub.cli.get_choice import ask, can_ask
from modelhub.errors import AmbiguousError, CancelledError, ModelhubError, UsageError
from modelhub.text import few

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.catalog.store import Catalog
    from modelhub.fetch.choosing import Choice, Wish
    from modelhub.fetch.net import Net
    from modelhub.fetch.offer import Offer, RemoteFile


@dataclass(frozen=True, slots=True)
class Asked:
    """One source and what came of it: an offer with what is chosen of it, an asset that is there, or why not."""

    source: str
    offer: Offer | None = None
    choice: Choice | None = None
    asset: Asset | None = None
    error: ModelhubError | None = None


def pasted_tokens(sources: Sequence[str]) -> dict[str, str]:
    """The tokens that stood in pasted addresses, by provider: for this call alone."""
    from modelhub.fetch.sources import read_source
    from modelhub.fetch.sources.source import CivitaiSource, HuggingFaceSource

    pasted: dict[str, str] = {}
    for source in sources:
        with suppress(UsageError):
            meant = read_source(source)
            if isinstance(meant, CivitaiSource | HuggingFaceSource) and meant.token:
                pasted["civitai" if isinstance(meant, CivitaiSource) else "huggingface"] = meant.token
    return pasted


def ask_all(context: Context, catalog: Catalog, sources: Sequence[str], net: Net) -> list[Asked]:
    """Every source with its offer and nothing chosen yet, or with its error. Raises CancelledError."""
    with context.job.phase("asking", len(sources), "sources") as advance:
        found = []
        for source in sources:
            found.append(_asked(context, catalog, source, net))
            advance(item=shown(source))
    return found


def _asked(context: Context, catalog: Catalog, source: str, net: Net) -> Asked:
    from modelhub.fetch.offers import find_offer

    try:
        owned = None if context.args.force or context.args.list else owned_by_hash(catalog, source)
        if owned is not None:
            return Asked(shown(source), asset=owned)
        offer = find_offer(source, net, context.job)
        return Asked(shown(source), replace(offer, source=shown(source)))
    except CancelledError:
        raise
    except ModelhubError as error:
        return Asked(shown(source), error=error)


def shown(source: str) -> str:
    """A source as it was typed, without the secrets in it."""
    from modelhub.fetch.net.redact import redacted

    return redacted(source)


def owned_by_hash(catalog: Catalog, source: str) -> Asset | None:
    """The asset that a hash names and that is there: no provider has to be asked for it."""
    from modelhub.fetch.sources import HashSource, read_source

    meant = read_source(source)
    if not isinstance(meant, HashSource):
        return None
    return next((asset for asset in catalog.hashed(meant.digits) if asset.path.exists()), None)


# -- choosing ----------------------------------------------------------------------------------------------------------


def choose_all(context: Context, asked: Sequence[Asked]) -> list[Asked]:
    """What is chosen of every offer, by the options or by whoever sits before the terminal."""
    context.progress.close()
    return [one if one.offer is None else _chosen(context, one, one.offer) for one in asked]


def marked(context: Context, one: Asked) -> Asked:
    """With what get would take of an offer, for a list; nothing where it would ask, or refuse."""
    from modelhub.fetch.choosing import choose

    if one.offer is None or one.offer.trouble is not None:
        return one
    try:
        return replace(one, choice=choose(one.offer, _wish(context)))
    except ModelhubError:
        return one


def _chosen(context: Context, one: Asked, offer: Offer) -> Asked:
    from modelhub.fetch.choosing import Choice, choose

    wish = _wish(context)
    try:
        choice = choose(offer, wish)
    except AmbiguousError as error:
        if not _may_ask(context, wish):
            return replace(one, error=error)
        choice = Choice((), others=tuple(file for file in offer.files if file.role != "training-data"))
    except ModelhubError as error:
        return replace(one, error=error)
    if choice.others and not offer.whole and _may_ask(context, wish):
        choice = replace(choice, files=tuple(_picked(context, offer, choice)))
    elif choice.alike and offer.provider == "civitai":
        names = few([file.name for file in choice.alike])
        context.job.say(f"{few([offer.title])} has more files of the same kind: {names}. --all brings them.", "warning")
    return replace(one, choice=choice)


def _wish(context: Context) -> Wish:
    from modelhub.fetch.choosing import Wish

    args = context.args
    return Wish(args.file, args.precision, args.format, args.pruned, args.all)


def _may_ask(context: Context, wish: Wish) -> bool:
    """Whether to ask where several files would do: nobody said which, and somebody is there."""
    from modelhub.fetch.choosing import Wish

    return not (context.json or context.args.yes or context.args.dry_run) and wish == Wish() and can_ask()


def _picked(context: Context, offer: Offer, choice: Choice) -> list[RemoteFile]:
    files = [file for file in offer.files if file in choice.files or file in choice.others]
    return ask(" · ".join(filter(None, (offer.title, offer.version))), files, choice.files, context.job)
