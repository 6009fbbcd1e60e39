"""login, logout: keep the token of a provider where only its owner finds it, say where it comes from, delete it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from modelhub.cli.context import Bold, Context
from modelhub.cli.options import command
from modelhub.errors import UsageError

if TYPE_CHECKING:
    from modelhub.cli.options import Commands
    from modelhub.fetch.login import LoggedIn
    from modelhub.fetch.tokens import Forgotten

_PROVIDER = "civitai or huggingface"
_ALIASES = {"hf": "huggingface", "hugging-face": "huggingface"}


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    help = "Keep a token of Civitai or Hugging Face, in the keyring or in a file that only you can read."
    parser = command(commands, "login", _login, help, "modelhub login civitai", reads=False)
    # no choices: an error of argparse would show what was typed, and that may be a token
    parser.add_argument(
        "words", metavar="PROVIDER", nargs="*", help=f"{_PROVIDER}; the token is asked for, or piped in"
    )
    parser.add_argument("--status", action="store_true", help="say where tokens come from, never what they are")
    parser.add_argument("--no-check", action="store_true", help="do not ask the provider whose token it is")

    help = "Delete the token of Civitai or Hugging Face that login kept."
    parser = command(commands, "logout", _logout, help, "modelhub logout civitai", reads=False)
    parser.add_argument("words", metavar="PROVIDER", nargs="*", help=_PROVIDER)


def _provider(words: Sequence[str], what: str) -> str:
    """The provider that was named. Raises UsageError, which never repeats a word: it may be a token."""
    from modelhub.fetch.tokens import PROVIDERS

    hint = f"`modelhub {what} civitai` or `modelhub {what} huggingface`."
    if len(words) > 1:
        message = "A token never stands on a command line: other users and the shell's history could read it."
        raise UsageError(f"One provider at a time. {message}", f"{hint} The token is asked for, or piped in.")
    if not words:
        raise UsageError("Say for which provider.", hint)
    name = words[0].lower()
    provider = _ALIASES.get(name, name)
    if provider not in PROVIDERS:
        raise UsageError("That is no provider that tokens are kept for.", hint)
    return provider


# -- login -------------------------------------------------------------------------------------------------------------


def _login(context: Context) -> int:
    args = context.args
    if args.status:
        return _status(context)
    provider = _provider(args.words, "login")
    done = _kept(context, provider)
    data = {
        "provider": provider,
        "user": done.owner.name if done.owner else None,
        "checked": done.owner is not None,
        "kept": None if args.dry_run else done.kept.kind,
        "place": done.kept.place,
        "notes": list(done.notes),
    }
    context.answer(data, lambda: _login_lines(provider, done, dry_run=args.dry_run))
    return 0


def _kept(context: Context, provider: str) -> LoggedIn:
    """The token is read, checked and kept; this is the only function that holds it."""
    from modelhub.cli.secret_word import ask
    from modelhub.fetch.login import log_in
    from modelhub.fetch.tokens import read_token
    from modelhub.fetch.whose import page_for_tokens

    args, title = context.args, _title(provider)
    context.progress.close()
    prompt = f"Token of {title}, made on {page_for_tokens(provider)} (it is not shown): "
    token = read_token(ask(prompt), "what was given")
    if token is None:
        raise UsageError("No token was given.", f"Make one on {page_for_tokens(provider)}, and paste it when asked.")
    return log_in(provider, token, check=not args.no_check, dry_run=args.dry_run, job=context.job)


def _title(provider: str) -> str:
    from modelhub.fetch.net.endpoints import TITLES

    return TITLES[provider]


def _login_lines(provider: str, done: LoggedIn, *, dry_run: bool) -> Iterator[str]:
    title, owner = _title(provider), done.owner
    who = f"{title} knows the token: it is {owner.name}'s" if owner else f"{title} was not asked whose token it is"
    yield Bold(who)
    yield f"{'would be kept' if dry_run else 'kept'} in {done.kept.place}"
    yield from done.notes


# -- status ------------------------------------------------------------------------------------------------------------


def _status(context: Context) -> int:
    from modelhub.fetch.tokens import PROVIDERS

    words = context.args.words
    wanted = [_provider(words, "login --status")] if words else PROVIDERS
    rows = [_status_of(provider) for provider in wanted]
    context.answer(rows, lambda: (line for row in rows for line in _status_lines(row)))
    return 0


def _status_of(provider: str) -> dict[str, Any]:
    """Where the token comes from, and which others there are, as plain values."""
    from modelhub.fetch.login import token_status

    found = token_status(provider)
    return {
        "provider": provider,
        "from": found.kind,
        "place": found.place,
        "also": list(found.also),
        "problems": list(found.problems),
    }


def _status_lines(row: dict[str, Any]) -> Iterator[str]:
    title = _title(row["provider"])
    yield Bold(f"{title}: the token comes from {row['place']}" if row["from"] else f"{title}: no token")
    for place in row["also"]:
        yield f"  not used: the one in {place}"
    for problem in row["problems"]:
        yield f"  {problem}"
    if not row["from"]:
        yield f"  keep one: modelhub login {row['provider']}"


# -- logout ------------------------------------------------------------------------------------------------------------


def _logout(context: Context) -> int:
    from modelhub.fetch.tokens import forget

    provider, dry_run = _provider(context.args.words, "logout"), context.args.dry_run
    done = forget(provider, dry_run=dry_run)
    data = {
        "provider": provider,
        "removed": list(done.places),
        "left": [{"from": one.kind, "place": one.place} for one in done.left],
        "problems": list(done.troubles),
    }
    context.answer(data, lambda: _logout_lines(provider, done, dry_run=dry_run))
    return 0


def _logout_lines(provider: str, done: Forgotten, *, dry_run: bool) -> Iterator[str]:
    if not done.places:
        yield Bold(f"No token of {_title(provider)} was kept")
    for place in done.places:
        yield Bold(f"{'would delete' if dry_run else 'deleted'} the token of {_title(provider)} in {place}")
    for one in done.left:
        yield f"{one.place} still gives one, which modelhub did not put there"
    yield from done.troubles
