"""Which files of what each source leads to are wanted: by the options, or by whoever sits before the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelhub.cli.context import Context
from modelhub.cli.get_choice import ask, can_ask
from modelhub.errors import AmbiguousError, ModelhubError
from modelhub.text import few

if TYPE_CHECKING:
    from modelhub.fetch.asking import Asked
    from modelhub.fetch.choosing import Choice, Wish
    from modelhub.fetch.offer import Offer, RemoteFile


def choose_all(context: Context, asked: Sequence[Asked]) -> list[Asked]:
    """What is chosen of every offer, by the options or by whoever sits before the terminal."""
    context.progress.close()
    return [one if one.offer is None else _chosen(context, one, one.offer) for one in asked]


def marked(context: Context, one: Asked) -> Asked:
    """With what get would take of an offer, for a list; nothing where it would ask, or refuse."""
    from modelhub.fetch.asking import usual

    return usual(one, _wish(context))


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
