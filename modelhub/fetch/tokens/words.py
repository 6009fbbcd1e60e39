"""What a token looks like, whatever white space was pasted with it; a bad one is refused without being shown."""

from __future__ import annotations

from modelhub.errors import UsageError

#: Characters that a token has at most; JSON web tokens are the longest.
_MOST = 8192


def is_token(text: str) -> bool:
    """Whether `text` can be sent as a token: visible ASCII characters, no spaces."""
    return 0 < len(text) <= _MOST and text.isascii() and text.isprintable() and " " not in text


def read_token(text: str, where: str) -> str | None:
    """The token in `text`, without white space around it; None if there is nothing.

    Raises UsageError, which says `where` the text came from and never what it is, for what cannot be a token.
    """
    token = text.strip()
    if not token:
        return None
    if not is_token(token):
        hint = "Copy it once more from your account at the provider: letters and digits in one piece."
        raise UsageError(f"What {where} holds is no token: {_trouble(token)}.", hint)
    return token


def _trouble(token: str) -> str:
    if len(token) > _MOST:
        return f"it has {len(token):,} characters"
    if any(char.isspace() for char in token):
        return "there is white space inside"
    return "there are characters in it that no token has" if token.isascii() else "not all of it is ASCII"
