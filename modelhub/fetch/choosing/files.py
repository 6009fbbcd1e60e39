"""Choosing: which files of an offer are fetched, by what the user asks for and else by the rule of its provider.

Training data come only when they are named, a pickle beside its safetensors twin only when it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelhub.errors import AmbiguousError, ModelhubError, NotFoundError
from modelhub.fetch.choosing.matching import (
    is_glob,
    matching,
    of_format,
    of_precision,
    of_pruning,
    same_model,
    without_twins,
)
from modelhub.fetch.choosing.ranking import TRAINING, WEIGHTS, best, score, there_is
from modelhub.fetch.choosing.whole import copies
from modelhub.fetch.names.endings import format_by_name
from modelhub.fetch.offer import Offer, RemoteFile
from modelhub.text import brief, plural

Files = tuple[RemoteFile, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asks for: a `pattern` of names, a `precision` (fp16), a `format` (safetensors, ckpt, gguf), a
    pruned file or a full one, or `everything` that there is."""

    pattern: str | None = None
    precision: str | None = None
    format: str | None = None
    pruned: bool | None = None
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """The `files` that are fetched; `others` that could be had, none where the choice was made by the source or the
    user; `why` these, in words."""

    files: Files
    others: Files = ()
    why: str = ""

    @property
    def alike(self) -> Files:
        """Those of the `others` that Civitai's rule tells in nothing from the one that was chosen: parts, or pairs."""
        one = self.files[0] if len(self.files) == 1 else None
        return tuple(other for other in self.others if one and one.role in WEIGHTS and score(other) == score(one))


_NO_WISH = Wish()


def choose(offer: Offer, wish: Wish = _NO_WISH) -> Choice:
    """The files of `offer` that `wish` means; what there is besides its `trouble` is chosen, too.

    Raises NotFoundError, with what there is, where nothing fits; AmbiguousError where a repository holds several models
    of which none is its main one; the offer's own trouble, or NotFoundError, where it has no files.
    """
    if not offer.files:
        raise offer.trouble or NotFoundError(f"{_title(offer)} has no files.", "Look at its page.")
    if offer.asked and wish == _NO_WISH:
        return Choice(offer.asked, why="the source names it" if len(offer.asked) == 1 else "the source names them")
    return _of_whole(offer, wish) if offer.whole else _of_files(offer, wish)


def _of_files(offer: Offer, wish: Wish) -> Choice:
    pool = _named(offer.files, offer, wish)
    if not (wish.pattern or wish.everything):
        pool = _main(pool)
    narrowed = _narrowed(pool, offer, wish)
    if wish.everything:
        return Choice(narrowed, why="everything was asked for")
    if wish.pattern and is_glob(wish.pattern):
        chosen = narrowed if wish.format or _names_pickles(wish.pattern) else without_twins(narrowed)
        return Choice(chosen, why=f"{plural(len(chosen), 'file')} like {brief(wish.pattern)}")
    _refuse_several(narrowed, offer)
    chosen = _preferred(narrowed, offer, wish) or best(narrowed)
    return Choice(chosen, _others(offer, chosen) if wish == _NO_WISH else (), _why(chosen[0], narrowed, wish))


def _of_whole(offer: Offer, wish: Wish) -> Choice:
    """The members of a whole, or what lies apart from it where the user means that."""
    found = _named((*offer.files, *offer.apart) if wish.pattern else offer.files, offer, wish)
    if wish == _NO_WISH:
        members = tuple(one for one in found if one.primary) or copies(found, None, None)
        return Choice(members, offer.apart, "the files of this folder are one model")
    inside = tuple(one for one in found if one in offer.files)
    if inside and wish.everything:
        return Choice(inside, why="everything was asked for")
    if not inside or not _can_be(inside, wish):
        return _of_files(_apart(offer), wish)
    said = [brief(one) for one in (wish.pattern, wish.format, wish.precision) if one]
    return Choice(
        copies(inside, wish.format, wish.precision), why=f"what goes with {' and '.join(said) or 'the model'}"
    )


def _can_be(files: Files, wish: Wish) -> bool:
    """Whether any of `files` is of the format and of the precision that are asked for."""
    asked = ((wish.format, of_format), (wish.precision, of_precision))
    return all(word is None or bool(narrow(files, word)) for word, narrow in asked)


def _apart(offer: Offer) -> Offer:
    """What lies apart from a whole, as an offer of its own; where nothing does, the whole, to be listed in errors."""
    return replace(offer, files=offer.apart or offer.files, whole=False, apart=())


def _named(files: Files, offer: Offer, wish: Wish) -> Files:
    """The files that the pattern means, all where there is none; training data only if the pattern means no other."""
    found = matching(files, wish.pattern) if wish.pattern else files
    if not found:
        raise _nothing(f"file like {brief(wish.pattern or '')}", offer)
    usual = tuple(one for one in found if one.role != TRAINING)
    if not usual and not wish.pattern:
        raise NotFoundError(
            f"{_title(offer)} has nothing but training data.", f"{there_is(found)} Name it with --file."
        )
    return usual or found


def _main(files: Files) -> Files:
    """The weights of the model itself; where there are none, all files: wildcards and poses come in archives."""
    return tuple(one for one in files if one.role in WEIGHTS) or files


def _narrowed(files: Files, offer: Offer, wish: Wish) -> Files:
    """The files of the format, precision and pruning that are asked for."""
    steps = (
        (wish.format, lambda left: of_format(left, wish.format or "")),
        (wish.precision, lambda left: of_precision(left, wish.precision or "")),
        (wish.pruned, lambda left: of_pruning(left, bool(wish.pruned))),
    )
    for asked, narrow in steps:
        if asked is None:
            continue
        files = narrow(files)
        if not files:
            raise _nothing(f"file that is {_spoken(wish)}", offer)
    return files


def _refuse_several(files: Files, offer: Offer) -> None:
    """Raise AmbiguousError for several models of a repository: which is meant, only the user knows."""
    if offer.provider == "civitai" or any(one.primary for one in files):
        return
    usual = without_twins(files)
    if not same_model(usual):
        message = f"{_title(offer)} has {plural(len(usual), 'file')} that could be meant."
        raise AmbiguousError(message, f"Say which with --file. {there_is(usual)}")


def _preferred(files: Files, offer: Offer, wish: Wish) -> Files:
    """The main one among the models of a repository; Civitai's rule is kept by ranking, whatever an account prefers."""
    usual = wish == _NO_WISH and offer.provider != "civitai"
    return tuple(one for one in files if usual and one.primary)[:1]


def _others(offer: Offer, chosen: Files) -> Files:
    """What else could be had: no training data, and no pickles of what there is as safetensors."""
    usual = without_twins(tuple(one for one in offer.files if one.role != TRAINING))
    return tuple(one for one in usual if one not in chosen)


def _why(file: RemoteFile, among: Files, wish: Wish) -> str:
    if len(among) == 1:
        return f"the only one that is {_spoken(wish)}" if wish != _NO_WISH else "the only file of the model"
    rivals = [one for one in among if one != file]
    return f"{_better(file, rivals)}, of {plural(len(among), 'file')}" + (
        f" that {'are' if len(among) > 1 else 'is'} {_spoken(wish)}" if wish != _NO_WISH else ""
    )


def _better(file: RemoteFile, rivals: Sequence[RemoteFile]) -> str:
    """What speaks for a file: what it has and not all the others have."""
    merits = (
        (lambda one: one.format == "safetensors", "safetensors"),
        (lambda one: one.pruned is True, "pruned"),
        (lambda one: one.precision == "fp16", "fp16"),
    )
    said = [word for has, word in merits if has(file) and not all(has(one) for one in rivals)]
    if said:
        return " and ".join(said)
    return (
        "the one its provider prefers"
        if file.primary
        else "the first"
        if score(file) == score(rivals[0])
        else "the best"
    )


def _spoken(wish: Wish) -> str:
    pruned = {True: "pruned", False: "full"}.get(wish.pruned) if wish.pruned is not None else None
    like = f"like {brief(wish.pattern)}" if wish.pattern else None
    return " and ".join(brief(one) for one in (like, wish.format, wish.precision, pruned) if one) or "wanted"


def _names_pickles(pattern: str) -> bool:
    return format_by_name(pattern.strip()) == "pickle"


def _nothing(what: str, offer: Offer) -> ModelhubError:
    return NotFoundError(f"{_title(offer)} has no {what}.", there_is((*offer.files, *offer.apart)))


def _title(offer: Offer) -> str:
    return brief(f"{offer.title} {offer.version}".strip())
